//! What pages can do with jobs beyond the two procedures: free-standing and recurring jobs, what is done to a job, waves,
//! dry runs, reports, tags, follow-up and retention. What agents report is played by the test.

use super::driver::Browser;
use super::hands::{draft, in_place, only_safe, over, patch, ready, report, said, tag};
use super::speaker::{Speaker, check};
use super::steps::step;
use super::world::World;
use domain::mitigation::{ControlState, Origin};
use protocol::agent::Outcome;
use serde_json::json;
use testkit::server::{ADMIN_PASSWORD, TestServer};

const DAY: i64 = 86_400;

struct Stage {
    browser: Browser,
    world: World,
    qid: i64,
    assets: Vec<i64>,
    names: Vec<String>,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_can_be_done_with_jobs_is_walked() {
    let test = "browser::flows::what_can_be_done_with_jobs_is_walked";
    let Some(mut browser) = Browser::start("flows", test).await else { return };
    let world = World::ready(TestServer::start().await).await;
    browser.open(&world.server.url(""), "/jobs").await;
    browser.sign_in("admin", ADMIN_PASSWORD).await;
    let (qid, found) = world.mitigable().await;
    let assets: Vec<i64> = found.iter().map(|asset| asset["id"].as_i64().unwrap()).collect();
    let names = found.iter().map(|asset| asset["name"].as_str().unwrap().to_owned()).collect();
    world.server.user("carla", &["job_author"]).await;
    tag(&world, assets[0], &["lab"]).await;
    tag(&world, assets[1], &["lab", "payments"]).await;
    let mut stage = Stage { browser, world, qid, assets, names };

    step!(a_free_standing_job_chooses_its_assets(&stage));
    step!(and_what_is_done_on_them(&stage));
    step!(a_schedule_that_recurs_shows_its_times(&stage));
    step!(a_rollout_in_waves_and_the_time_after(&stage));
    let job = step!(all_of_it_is_reviewed_and_saved(&stage));
    step!(a_dry_run_is_asked_for(&stage, &job));
    step!(it_is_enabled_paused_resumed_and_run_now(&stage, &job));
    step!(it_is_cloned_and_changes_its_owner(&stage, &job));
    let job = step!(what_failed_is_tried_again(&stage));
    step!(the_job_is_read_on_paper_as_a_file_and_by_cve(&stage, &job));
    step!(a_canary_that_fails_halts_and_a_person_goes_on(&stage));
    step!(the_status_column_is_a_filter(&stage));
    step!(tags_are_added_and_put_below_others(&stage));
    step!(drift_is_shown_and_put_back(&mut stage));
    step!(proposals_and_reviews_are_decided(&mut stage));
    step!(evidence_is_kept_as_long_as_somebody_says(&stage));
    stage.browser.close().await;
}

async fn stands_at(browser: &Browser, heading: &str) {
    let at = format!("document.querySelector('form .head h2')?.innerText === {}", json!(heading));
    browser.wait(heading, &at).await;
}

async fn next(browser: &Browser, heading: &str) {
    browser.click("button[value=next]").await;
    stands_at(browser, heading).await;
}

async fn a_free_standing_job_chooses_its_assets(stage: &Stage) {
    let browser = &stage.browser;
    browser.go("/jobs").await;
    browser.shot("no-jobs").await;
    browser.click("a[href='/jobs/new']").await;
    browser.see("Which platform?").await;
    browser.shot("platform").await;
    browser.click("button[formaction*='platform=linux']").await;
    browser.see_in(".q-top", "Create: Linux Mitigation Job").await;
    browser.fill("#f-title", "Harden the lab").await;
    next(browser, "Select assets").await;
    browser.see("No asset is chosen yet.").await;
    browser.shot("nothing-chosen").await;
    // What is wrong with a filter is said while it is typed.
    browser.fill("#f-query", "agnt:true").await;
    browser.see_in("#q-who", "agnt").await;
    browser.shot("bad-filter").await;
    browser.fill("#f-query", "agent:true").await;
    browser.see_in("#q-who", "are in").await;
    browser.see_in("#q-who", &stage.names[0]).await;
    browser.shot("by-filter").await;
    // Taken out by name, and in again.
    browser.click(&format!("#q-who button[aria-label='Take {} out']", stage.names[0])).await;
    browser.see("It is taken out by name.").await;
    browser.shot("taken-out").await;
    browser.click("#q-who button[name=back]").await;
    browser.wait("nobody is taken out", "!document.body.innerText.includes('It is taken out by name.')").await;
    // One by one, by name.
    browser.fill("#f-query", "tag:payments").await;
    browser.fill("#f-find", &stage.names[0]).await;
    browser.click("button[value=find]").await;
    browser.see_in("form", "Take").await;
    browser.shot("found").await;
    browser.click(&format!("button[aria-label='Take {}']", stage.names[0])).await;
    browser.see_in("#q-who", "2 assets are in").await;
    browser.shot("one-by-one").await;
    next(browser, "Select actions").await;
}

async fn and_what_is_done_on_them(stage: &Stage) {
    let browser = &stage.browser;
    browser.shot("nothing-done").await;
    browser.click("button[value=next]").await;
    browser.see("At least one action is needed").await;
    browser.shot("no-action").await;
    browser.click(&format!("input[name=qid][value='{}']", stage.qid)).await;
    browser.click("form button[value=stay]").await;
    browser.see("Actions of the job").await;
    browser.shot("actions").await;
    browser.click("a[aria-label^='Details of']").await;
    browser.wait("the details", "document.querySelector('#q-dialog').open").await;
    browser.see_in("#q-dialog", "Signature").await;
    browser.see_in("#q-dialog", "Undone").await;
    browser.shot("entry-details").await;
    browser.click("#q-dialog [data-close]").await;
    browser.wait("the details closed", "!document.querySelector('#q-dialog').open").await;
    next(browser, "Schedule").await;
}

async fn a_schedule_that_recurs_shows_its_times(stage: &Stage) {
    let browser = &stage.browser;
    browser.click("input[name=when][value=timed]").await;
    browser.choose("input[name=date]", "2027-01-04").await;
    browser.choose("input[name=time]", "02:30").await;
    browser.see_in("#q-times", "4 January 2027 at 02:30").await;
    browser.shot("once").await;
    for (repeat, words) in [
        ("daily", "Every day"),
        ("weekly", "Choose at least one day of the week."),
        ("month_day", "Every month on day"),
        ("month_weekday", "Every month on the"),
        ("last_day", "Every month on the last day"),
        ("patch_tuesday", "Patch Tuesday"),
    ] {
        browser.click(&format!("#f-repeat label:has(input[value={repeat}])")).await;
        browser.see_in("#q-times", words).await;
        browser.shot(&format!("repeat-{repeat}")).await;
    }
    // The night on which the clocks go forward in Rome.
    browser.click("#f-repeat label:has(input[value=daily])").await;
    browser.choose("#f-zone", "Europe/Rome").await;
    browser.choose("input[name=date]", "2027-03-27").await;
    browser.see_in("#q-times", "The clocks jump over this time").await;
    browser.see_in("#q-times", "03:30").await;
    browser.shot("clocks-change").await;
    browser.choose("#f-zone", "").await;
    browser.click("input[name=standing]").await;
    browser.choose("input[name=date]", "2027-01-04").await;
    next(browser, "Options").await;
}

async fn a_rollout_in_waves_and_the_time_after(stage: &Stage) {
    let browser = &stage.browser;
    browser.shot("options").await;
    browser.choose("#f-rollout", "own").await;
    browser.fill("#f-waves", "nonsense").await;
    browser.click("button[value=next]").await;
    browser.wait("what is wrong with it", "document.querySelector('#error-waves')").await;
    browser.shot("waves-refused").await;
    browser.fill("#f-waves", "1, 50%").await;
    browser.fill("#f-soak_minutes", "10").await;
    browser.choose("#f-expiry", "days").await;
    browser.fill("#f-expires_days", "90").await;
    browser.shot("waves").await;
    next(browser, "Job access").await;
    next(browser, "Confirmation").await;
}

async fn all_of_it_is_reviewed_and_saved(stage: &Stage) -> String {
    let browser = &stage.browser;
    for part in ["Harden the lab", "tag:payments", "Every day", "90"] {
        browser.see_in(".q-review", part).await;
    }
    browser.shot("review").await;
    let job = browser.read("location.pathname.split('/')[2]").await;
    browser.click("button[name=then][value=save]").await;
    browser.see(&format!("{job} is saved, disabled.")).await;
    browser.shot("jobs").await;
    job
}

async fn quick_action(browser: &Browser, job: &str, words: &str) {
    browser.go(&format!("/jobs/{job}")).await;
    browser.click("button[popovertarget='m-job']").await;
    browser.wait("the menu", "document.querySelector('[popover]:popover-open')").await;
    let found = format!(
        "(() => {{ const found = [...document.querySelectorAll('[popover]:popover-open :is(a, button:not([aria-disabled]))')]\
         .find(one => one.innerText.trim() === {}); found?.setAttribute('data-walked', ''); return found }})()",
        json!(words)
    );
    browser.check(words, &found).await;
    browser.click("[data-walked]").await;
}

async fn a_dry_run_is_asked_for(stage: &Stage, job: &str) {
    let browser = &stage.browser;
    quick_action(browser, job, "Dry run").await;
    browser.at(&format!("/jobs/{job}/dry-run")).await;
    browser.see("A dry run changes nothing").await;
    browser.shot("dry-run").await;
    for asset in &stage.assets[..2] {
        ready(&stage.world.server, 1).await;
        report(&stage.world.server, *asset, &said(Outcome::Reported, ControlState::Exposed, None)).await;
    }
    // The page asks again by itself.
    browser.see("said by a test").await;
    browser.shot("dry-run-answered").await;
}

async fn it_is_enabled_paused_resumed_and_run_now(stage: &Stage, job: &str) {
    let browser = &stage.browser;
    quick_action(browser, job, "Enable").await;
    browser.see(&format!("{job} is enabled.")).await;
    browser.shot("enabled").await;
    quick_action(browser, job, "Pause").await;
    browser.see(&format!("{job} is paused.")).await;
    browser.see("Resume it to go on.").await;
    browser.shot("paused").await;
    quick_action(browser, job, "Resume").await;
    browser.see(&format!("{job} is resumed.")).await;
    quick_action(browser, job, "Run now").await;
    browser.wait("the question", "document.querySelector('#q-confirm').open").await;
    browser.shot("run-now").await;
    browser.click("#q-confirm [data-yes]").await;
    browser.see(&format!("{job} is run now.")).await;
    browser.see_in("#runs", "run now by admin").await;
    browser.shot("runs").await;
    stage.world.admin.post(&format!("/api/v1/jobs/{job}/cancel"), &json!({})).await.expect(200);
}

async fn it_is_cloned_and_changes_its_owner(stage: &Stage, job: &str) {
    let browser = &stage.browser;
    quick_action(browser, job, "Clone").await;
    browser.wait("a draft", "location.pathname.endsWith('/edit/basic')").await;
    browser.shot("clone").await;
    quick_action(browser, job, "Change owner").await;
    browser.wait("the form", "document.querySelector('#f-owner')").await;
    browser.shot("owner").await;
    browser.choose("#f-owner", "carla").await;
    browser.click("form:has(#f-owner) .foot button[type=submit]").await;
    browser.see(&format!("{job} now belongs to carla.")).await;
}

async fn what_failed_is_tried_again(stage: &Stage) -> String {
    let (browser, admin) = (&stage.browser, &stage.world.admin);
    let number = draft(admin, stage.qid, &stage.assets[..2]).await;
    only_safe(&stage.world, &number, stage.qid).await;
    admin.post(&format!("/api/v1/jobs/{number}/save"), &json!({ "enable": true })).await.expect(200);
    ready(&stage.world.server, 2).await;
    browser.go(&format!("/jobs/{number}")).await;
    browser.see_in("#tasks", "Waiting for its turn").await;
    report(&stage.world.server, stage.assets[0], &in_place()).await;
    report(&stage.world.server, stage.assets[1], &said(Outcome::Failed, ControlState::Exposed, None)).await;
    over(admin, &number).await;
    browser.see_in("#q-live .q-chip", "With failures").await;
    browser.click(&format!("#evidence-{} summary, tr.q-under summary", "none")).await;
    browser.shot("evidence").await;
    quick_action(browser, &number, "Retry failed").await;
    browser.see(&format!("{number} is run again where it failed.")).await;
    ready(&stage.world.server, 1).await;
    report(
        &stage.world.server,
        stage.assets[1],
        &said(Outcome::Succeeded, ControlState::Configured, Some(Origin::Ours)),
    )
    .await;
    over(admin, &number).await;
    browser.see_in("#q-live .q-chip", "Completed").await;
    browser.shot("retried").await;
    number
}

async fn the_job_is_read_on_paper_as_a_file_and_by_cve(stage: &Stage, job: &str) {
    let browser = &stage.browser;
    quick_action(browser, job, "Summary to print").await;
    browser.at(&format!("/jobs/{job}/summary")).await;
    for part in
        ["Who, what, when", "Plan", "Outcome of run 2", "CVE-", "Mitigated", "Asset by asset", "Evidence", "SHA-256"]
    {
        browser.see_in("main", part).await;
    }
    browser.shot("summary").await;
    // What the links of the menu give, with the session of who looks.
    let fetched = format!(
        "return fetch('/jobs/{job}/report?format=csv').then(reply => reply.text()).then(text => text.split('\\n')[0])"
    );
    let head = browser.script(&fetched).await;
    assert!(head.as_str().is_some_and(|line| line.starts_with("jobNumber,run,assetId,assetName,")), "{head}");
    let fetched =
        format!("return fetch('/jobs/{job}/report').then(reply => reply.json()).then(all => all.lines.length)");
    assert_eq!(browser.script(&fetched).await, 2, "a line per asset");
}

/// The asset of the first task that is ready.
async fn ready_asset(server: &TestServer) -> i64 {
    let read = server
        .app()
        .database
        .read(|tx| tx.scalar::<i64>("SELECT asset_id FROM task WHERE state = 'ready' ORDER BY id LIMIT 1", &[]));
    read.await.unwrap()
}

async fn a_canary_that_fails_halts_and_a_person_goes_on(stage: &Stage) {
    let (browser, admin) = (&stage.browser, &stage.world.admin);
    let number = draft(admin, stage.qid, &stage.assets).await;
    only_safe(&stage.world, &number, stage.qid).await;
    patch(admin, &number, &json!({ "title": "In waves", "rollout": { "waves": ["1"] } })).await.expect(200);
    admin.post(&format!("/api/v1/jobs/{number}/save"), &json!({ "enable": true })).await.expect(200);
    ready(&stage.world.server, 1).await;
    browser.go(&format!("/jobs/{number}")).await;
    browser.see_in("section[aria-labelledby=h-rollout]", "Wave").await;
    browser.shot("canary").await;
    let canary = ready_asset(&stage.world.server).await;
    report(&stage.world.server, canary, &said(Outcome::Failed, ControlState::Exposed, None)).await;
    browser.see("halted by the gate").await;
    browser.go(&format!("/jobs/{number}")).await;
    browser.shot("halted").await;
    browser.click(".q-top button[formaction$='/resume-run']").await;
    browser.see_in("section[aria-labelledby=h-rollout]", "Open").await;
    browser.click(".q-top button[formaction$='/halt-run']").await;
    browser.see("halted by admin").await;
    browser.shot("halted-by-a-person").await;
    browser.click(".q-top button[formaction$='/resume-run']").await;
    browser.see_in("section[aria-labelledby=h-rollout]", "Open").await;
    browser.shot("going-on").await;
    admin.post(&format!("/api/v1/jobs/{number}/cancel"), &json!({})).await.expect(200);
    over(admin, &number).await;
}

async fn the_status_column_is_a_filter(stage: &Stage) {
    let browser = &stage.browser;
    browser.go("/items?q=status%3Amitigated+or+status%3Apartial").await;
    browser.wait("items", "document.querySelector('tr[data-row]')").await;
    browser.see_in("tr[data-row]", "itigated").await;
    browser.shot("items-by-status").await;
    browser.go("/vulnerabilities?q=is%3Afound").await;
    browser.wait("vulnerabilities", "document.querySelector('tr[data-row]')").await;
    browser.see("Partly mitigated").await;
    browser.shot("vulnerabilities").await;
    // The last job is a link.
    browser.click("tr[data-row] a[href^='/jobs/MJ']").await;
    browser.wait("the job", "location.pathname.startsWith('/jobs/MJ')").await;
}

async fn tags_are_added_and_put_below_others(stage: &Stage) {
    let browser = &stage.browser;
    browser.go("/tags").await;
    browser.see("lab").await;
    browser.click(".q-top a[href='/tags/edit']").await;
    browser.wait("the form", "document.querySelector('#f-name')").await;
    browser.fill("#f-name", "estate").await;
    browser.choose("#f-criticality", "3").await;
    browser.shot("new-tag").await;
    browser.click("form:has(#f-name) .foot button[type=submit]").await;
    browser.see("Saved estate.").await;
    browser.click("a[href='/tags/edit?name=lab']").await;
    browser.wait("the form", "document.querySelector('#f-parent')").await;
    browser.choose("#f-parent", "estate").await;
    browser.click("form:has(#f-parent) .foot button[type=submit]").await;
    browser.see("Saved lab.").await;
    browser.shot("tags").await;
}

/// Turn the clock; whoever is signed in has to sign in again.
async fn later(stage: &mut Stage, seconds: i64) {
    stage.world.server.clock.advance(seconds);
    stage.world.admin = stage.world.server.admin().await;
    stage.browser.forget().await;
    stage.browser.go("/sign-in?next=/follow-up").await;
    stage.browser.sign_in("admin", ADMIN_PASSWORD).await;
}

async fn drift_is_shown_and_put_back(stage: &mut Stage) {
    let number = draft(&stage.world.admin, stage.qid, &stage.assets[..1]).await;
    let entry = only_safe(&stage.world, &number, stage.qid).await;
    stage.world.admin.delete(&format!("/api/v1/jobs/{number}")).await;
    stage.browser.go("/follow-up").await;
    stage.browser.see("Everything that was put in place is as it was left.").await;
    stage.browser.shot("nothing-to-follow").await;
    let agent = Speaker::on(&stage.world.server, stage.assets[0]).await;
    later(stage, 3_600).await;
    let found = check(&stage.world.server, &entry, ControlState::Drifted, true);
    assert_eq!(agent.says(&stage.world.server, 1, vec![found]).await.0, 200);
    let browser = &stage.browser;
    browser.go("/follow-up").await;
    browser.see_in("#drifted", &stage.names[0]).await;
    browser.shot("drifted").await;
    browser.go("/").await;
    browser.see("1 mitigation drifted.").await;
    browser.shot("home").await;
    browser.go(&format!("/assets/{}", stage.assets[0])).await;
    browser.see("Somebody changed this").await;
    browser.shot("asset-drifted").await;
    browser.go("/follow-up").await;
    browser.click("#drifted button[formaction$='/reapply']").await;
    // The standing job puts it back by itself, but in waves, for which this agent is too old: then it is the other job's turn.
    for _ in 0..2 {
        ready(&stage.world.server, 1).await;
        let done = in_place();
        report(&stage.world.server, stage.assets[0], &done).await;
    }
    browser.go("/follow-up").await;
    browser.see("Everything that was put in place is as it was left.").await;
}

async fn proposals_and_reviews_are_decided(stage: &mut Stage) {
    let admin = &stage.world.admin;
    let number = draft(admin, stage.qid, &stage.assets[..1]).await;
    only_safe(&stage.world, &number, stage.qid).await;
    let after = json!({ "after": { "expires_days": 1, "review_at": "2026-11-24" } });
    patch(admin, &number, &after).await.expect(200);
    admin.post(&format!("/api/v1/jobs/{number}/save"), &json!({ "enable": true })).await.expect(200);
    ready(&stage.world.server, 1).await;
    report(&stage.world.server, stage.assets[0], &in_place()).await;
    over(admin, &number).await;
    later(stage, 5 * DAY).await;
    server::engine::after::look(stage.world.server.app()).await.unwrap();
    let browser = &stage.browser;
    browser.go("/follow-up").await;
    browser.see_in("#proposals", &stage.names[0]).await;
    browser.see_in("#reviews", &number).await;
    browser.shot("proposed").await;
    browser.click("#proposals a[href$='/dismiss']").await;
    browser.wait("the form", "document.querySelector('#f-reason')").await;
    browser.fill("#f-reason", "The patch is taken back tomorrow").await;
    browser.shot("dismiss").await;
    browser.click("form:has(#f-reason) .foot button[type=submit]").await;
    browser.see("Nothing is proposed.").await;
    browser.click("#reviews button[formaction$='/done']").await;
    browser.see("No job is to be looked at again now.").await;
}

async fn evidence_is_kept_as_long_as_somebody_says(stage: &Stage) {
    let browser = &stage.browser;
    browser.go("/follow-up").await;
    browser.click("a[href='/settings/retention']").await;
    browser.at("/settings/retention").await;
    browser.fill("#f-days", "1").await;
    browser.click("form:has(#f-days) .foot button[type=submit]").await;
    browser.wait("why not", "document.querySelector('#error-days')").await;
    browser.shot("retention").await;
    browser.fill("#f-days", "30").await;
    browser.click("form:has(#f-days) .foot button[type=submit]").await;
    browser.see("Evidence is kept for 30 days.").await;
}

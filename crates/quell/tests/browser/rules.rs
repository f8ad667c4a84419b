//! The rules of mitigation jobs that pages show and that a whole host would never break by itself: R12 to R20, R22, R23.
//! What agents report is played by the test, through the code that serves real ones. R1 to R11 are in the walk of S1.

use super::driver::Browser;
use super::hands::{self, draft, in_place, only_safe, over, patch, program, ready, report, said, tag};
use super::steps::step;
use super::world::World;
use domain::id::AssetId;
use domain::mitigation::{ControlState, Origin};
use protocol::agent::{Event, EventKind, Outcome, TaskReport};
use protocol::order::RefusalCode;
use serde_json::json;
use server::config::smtp::Security;
use server::engine::results;
use testkit::mailbox::Mailbox;
use testkit::server::{ADMIN_PASSWORD, TestServer, USER_PASSWORD};

/// A world with a mailbox, and what the steps talk about.
struct Stage {
    browser: Browser,
    world: World,
    qid: i64,
    assets: Vec<i64>,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_rules_of_jobs_are_walked_on_their_pages() {
    let test = "browser::rules::the_rules_of_jobs_are_walked_on_their_pages";
    let Some(mut browser) = Browser::start("rules", test).await else { return };
    let Some(mailbox) = tokio::task::spawn_blocking(Mailbox::start).await.expect("it starts") else { return };
    let smtp = mailbox.smtp(Security::StartTls);
    let server = TestServer::start_with(store::Engine::Sqlite, test, move |config| config.smtp = Some(smtp)).await;
    let world = World::ready(server.expect("SQLite is always there")).await;
    browser.open(&world.server.url(""), "/jobs").await;
    browser.sign_in("admin", ADMIN_PASSWORD).await;
    let (qid, assets) = world.mitigable().await;
    let assets = assets.iter().map(|asset| asset["id"].as_i64().unwrap()).collect();
    let stage = Stage { browser, world, qid, assets };

    step!(r18_the_points_of_a_mitigation_are_1_to_99_and_of_a_fix_100(&stage));
    step!(r20_the_second_job_of_an_asset_waits(&stage));
    step!(r16_a_job_with_any_failure_is_said_to_have_failures(&stage));
    step!(r14_of_others_the_score_is_lowered_once(&stage));
    step!(r13_of_ours_it_is_skipped_as_ours(&stage));
    step!(r15_what_is_not_ours_is_not_taken_back(&stage));
    step!(r17_mail_at_the_start_and_at_the_percentage(&stage));
    step!(r22_the_highest_tag_says_how_much_an_asset_matters(&stage));
    step!(r19_tags_choose_any_or_all_and_take_out(&stage));
    step!(r12_a_fix_resolves_and_has_no_way_back(&stage));
    step!(r23_a_co_author_keeps_the_rights_of_his_own_role(&stage));
    step!(r19_a_scope_clips_what_is_chosen(&stage));
    stage.browser.close().await;
}

/// A saved and enabled job of this QID on these assets that only does what is safe; gives its number and its entry.
async fn job(stage: &Stage, assets: &[i64], options: &serde_json::Value) -> (String, String) {
    let admin = &stage.world.admin;
    let number = draft(admin, stage.qid, assets).await;
    let entry = only_safe(&stage.world, &number, stage.qid).await;
    if options.is_object() {
        patch(admin, &number, options).await.expect(200);
    }
    admin.post(&format!("/api/v1/jobs/{number}/save"), &json!({ "enable": true })).await.expect(200);
    ready(&stage.world.server, i64::try_from(assets.len()).unwrap()).await;
    (number, entry)
}

/// A job on the first asset whose agent says this; gives its number once it is over.
async fn played(stage: &Stage, says: &TaskReport) -> String {
    let (number, _) = job(stage, &stage.assets[..1], &json!(null)).await;
    report(&stage.world.server, stage.assets[0], says).await;
    over(&stage.world.admin, &number).await;
    number
}

/// Open a job's page and see all of these words in its tasks.
async fn tasks_say(stage: &Stage, number: &str, words: &[&str]) {
    stage.browser.go(&format!("/jobs/{number}")).await;
    for word in words {
        stage.browser.see_in("#tasks", word).await;
    }
}

async fn r18_the_points_of_a_mitigation_are_1_to_99_and_of_a_fix_100(stage: &Stage) {
    let browser = &stage.browser;
    browser.go("/eliminations").await;
    browser.click("tr[data-row] a.q-name").await;
    browser.wait("the details", "document.querySelector('#q-dialog').open").await;
    let points =
        "[...document.querySelectorAll('#q-dialog table td.end')].map(cell => Number(cell.innerText.replace('−', '')))";
    browser.check("points of one CVE at least", &format!("{points}.length >= 1")).await;
    let fix = browser.holds("document.querySelector('#q-modal .head').innerText.includes('Fix')").await;
    let right = if fix { "=> n === 100" } else { "=> n >= 1 && n <= 99" };
    browser.check("points within their bounds", &format!("{points}.every(n {right})")).await;
    browser.see_in("#q-dialog", "Signature").await;
    browser.shot("entry-details").await;
    browser.click("#q-dialog [data-close]").await;
}

/// The asset's agent refuses everything that was offered to it.
async fn refuses(server: &TestServer, asset: i64) {
    let app = server.app().clone();
    let now = app.clock.now();
    let write = app.database.try_write(move |tx| {
        let agent = store::agents::on_asset(tx, AssetId(asset))?.unwrap();
        let mut events = Vec::new();
        for task in store::tasks::of_agent(tx, agent.id)? {
            let epoch = u32::try_from(store::tasks::read(tx, task.id)?.epoch).unwrap();
            let event =
                EventKind::Refused { code: RefusalCode::Denied, reason: "cancelled".to_owned(), order: String::new() };
            events.push(serde_json::to_string(&Event { task: task.uuid, epoch, n: 1, at: now, event }).unwrap());
        }
        results::store(tx, &agent, &events, now)
    });
    for job in write.await.unwrap().touched {
        app.wake.notify("job", job.0);
        app.wake.notify("dispatch", 0);
    }
}

async fn r20_the_second_job_of_an_asset_waits(stage: &Stage) {
    let (first, _) = job(stage, &stage.assets[..1], &json!(null)).await;
    let (second, _) = job(stage, &stage.assets[..1], &json!(null)).await;
    ready(&stage.world.server, 2).await;
    hands::offer(&stage.world.server, stage.assets[0]).await;
    tasks_say(stage, &first, &["Offered to the agent"]).await;
    tasks_say(stage, &second, &[&format!("Waits for {first}")]).await;
    stage.browser.shot("one-at-a-time").await;
    for number in [&first, &second] {
        stage.world.admin.post(&format!("/api/v1/jobs/{number}/cancel"), &json!({})).await.expect(200);
    }
    // What was offered ends with the agent's word.
    refuses(&stage.world.server, stage.assets[0]).await;
    for number in [&first, &second] {
        over(&stage.world.admin, number).await;
    }
}

async fn r16_a_job_with_any_failure_is_said_to_have_failures(stage: &Stage) {
    let (number, _) = job(stage, &stage.assets[..2], &json!(null)).await;
    report(&stage.world.server, stage.assets[0], &in_place()).await;
    report(&stage.world.server, stage.assets[1], &said(Outcome::Failed, ControlState::Exposed, None)).await;
    assert_eq!(over(&stage.world.admin, &number).await, "COMPLETED_WITH_FAILURES");
    tasks_say(stage, &number, &["1 Failed", "0 Succeeded", "said by a test"]).await;
    stage.browser.see_in("#q-live .q-chip", "With failures").await;
    stage.browser.shot("with-failures").await;
    stage.browser.go("/jobs?q=is%3Afailed").await;
    stage.browser.see_in("tr[data-row]", &number).await;
    // Put back as it was, so that what follows begins from nothing.
    taken_back(stage, &said(Outcome::Reverted, ControlState::Exposed, None)).await;
}

/// A rollback job for the first asset, made on the asset's page; its agent says this.
async fn taken_back(stage: &Stage, says: &TaskReport) -> String {
    let browser = &stage.browser;
    browser.go(&format!("/assets/{}", stage.assets[0])).await;
    browser.click("#mitigations button[formaction*='rollback']").await;
    browser.see_in(".q-top h1", "Rollback").await;
    let number = browser.read("location.pathname.split('/')[2]").await;
    browser.go(&format!("/jobs/{number}/edit/confirm")).await;
    browser.click("button[name=then][value=enable]").await;
    browser.at(&format!("/jobs/{number}")).await;
    ready(&stage.world.server, 1).await;
    report(&stage.world.server, stage.assets[0], says).await;
    over(&stage.world.admin, &number).await;
    number
}

async fn r14_of_others_the_score_is_lowered_once(stage: &Stage) {
    let others = said(Outcome::Unchanged, ControlState::Effective, Some(Origin::External));
    let first = played(stage, &others).await;
    tasks_say(stage, &first, &["33/203 Skipped", "put there by others; the score was lowered"]).await;
    let lowered = "document.querySelector('#tasks tbody td:last-child .q-change').innerText";
    let score = stage.browser.read(lowered).await;
    let second = played(stage, &others).await;
    tasks_say(stage, &second, &["33/206 Skipped", "the score was lowered for it before"]).await;
    assert_eq!(stage.browser.read(lowered).await, score, "once");
    stage.browser.shot("by-others").await;
    // The asset says whose it is, and that it is not ours to undo.
    stage.browser.go(&format!("/assets/{}", stage.assets[0])).await;
    stage.browser.see_in("#mitigations", "put there by others").await;
    let why = "[...document.querySelectorAll('#mitigations .q-reason')].map(one => one.textContent).join()";
    assert!(stage.browser.read(why).await.contains("not ours to undo"), "{}", stage.browser.read(why).await);
    stage.browser.shot("asset-by-others").await;
}

async fn r13_of_ours_it_is_skipped_as_ours(stage: &Stage) {
    played(stage, &in_place()).await;
    let again = played(stage, &said(Outcome::Unchanged, ControlState::Effective, Some(Origin::Ours))).await;
    tasks_say(stage, &again, &["33/204 Skipped", "put there by an earlier job of ours"]).await;
}

async fn r15_what_is_not_ours_is_not_taken_back(stage: &Stage) {
    let number = taken_back(stage, &said(Outcome::NotOurs, ControlState::Effective, Some(Origin::External))).await;
    tasks_say(stage, &number, &["33/205 Skipped", "not ours, so it was left alone"]).await;
    stage.browser.shot("not-ours").await;
}

async fn r17_mail_at_the_start_and_at_the_percentage(stage: &Stage) {
    let options = json!({ "recipients": ["ann@example.org"], "mail_started": true, "mail_percent": 100 });
    let (number, _) = job(stage, &stage.assets[..1], &options).await;
    let browser = &stage.browser;
    let sent = |about: &str| {
        format!(
            "[...document.querySelectorAll('tr[data-row]')].some(row => row.innerText.includes({}) && \
             row.innerText.includes({}) && row.innerText.includes('Sent'))",
            json!(about),
            json!(number)
        )
    };
    let until_sent = |about: &'static str| {
        let sent = sent(about);
        async move {
            for _ in 0..200 {
                browser.go("/mail").await;
                if browser.holds(&sent).await {
                    return;
                }
            }
            panic!("no mail about {about}: {}", browser.shown().await);
        }
    };
    report(&stage.world.server, stage.assets[0], &in_place()).await;
    over(&stage.world.admin, &number).await;
    until_sent("Execution started").await;
    until_sent("Percentage reported").await;
    browser.shot("mail").await;
}

async fn r22_the_highest_tag_says_how_much_an_asset_matters(stage: &Stage) {
    tag(&stage.world, stage.assets[0], &["lab", "payments"]).await;
    tag(&stage.world, stage.assets[1], &["lab"]).await;
    let browser = &stage.browser;
    for (name, level) in [("lab", "2"), ("payments", "5")] {
        browser.go("/tags").await;
        browser.click(&format!("a[href='/tags/edit?name={name}']")).await;
        browser.wait("the form", "document.querySelector('#f-criticality')").await;
        browser.choose("#f-criticality", level).await;
        browser.shot("tag").await;
        browser.click("form:has(#f-criticality) .foot button[type=submit]").await;
        browser.see(&format!("Saved {name}.")).await;
    }
    browser.shot("tags").await;
    for (asset, level) in [(stage.assets[0], 5), (stage.assets[1], 2)] {
        browser.go(&format!("/assets/{asset}")).await;
        browser.see(&format!("{level} of 5")).await;
    }
    browser.see("Risk, 0 to 1000").await;
    browser.shot("asset-criticality").await;
}

/// A free-standing draft at its second step.
async fn choosing(browser: &Browser) {
    browser.go("/jobs").await;
    browser.click("a[href='/jobs/new']").await;
    browser.see("Which platform?").await;
    browser.click("button[formaction*='platform=linux']").await;
    browser.see_in(".q-top", "Create: Linux Mitigation Job").await;
    browser.fill("#f-title", "By tag").await;
    browser.click("button[value=next]").await;
    browser.see("No asset is chosen yet.").await;
}

async fn r19_tags_choose_any_or_all_and_take_out(stage: &Stage) {
    let browser = &stage.browser;
    choosing(browser).await;
    browser.fill("#f-tags", "lab, payments").await;
    browser.see_in("#q-who", "2 assets are in").await;
    browser.shot("tags-any").await;
    browser.choose("#f-tag_match", "all").await;
    browser.script("document.querySelector('#f-tag_match').dispatchEvent(new Event('input', { bubbles: true }))").await;
    browser.see_in("#q-who", "1 asset is in").await;
    browser.choose("#f-tag_match", "any").await;
    browser.click("details.q-alt summary").await;
    browser.fill("#f-exclude", "payments, nothing").await;
    browser.see_in("#q-who", "1 asset is in").await;
    browser.see_in("#q-who", "1 named and left out").await;
    browser.shot("tags-without").await;
    browser.choose("#f-exclude_match", "all").await;
    browser
        .script("document.querySelector('#f-exclude_match').dispatchEvent(new Event('input', { bubbles: true }))")
        .await;
    browser.see_in("#q-who", "2 assets are in").await;
}

async fn r12_a_fix_resolves_and_has_no_way_back(stage: &Stage) {
    // The built-in catalogue has no fix for this QID: its mitigation is made one.
    let admin = &stage.world.admin;
    let number = draft(admin, stage.qid, &stage.assets[1..2]).await;
    let entry = only_safe(&stage.world, &number, stage.qid).await;
    let write = stage
        .world
        .server
        .app()
        .database
        .write(move |tx| tx.execute("UPDATE catalogue_entry SET implication = 'fix' WHERE entry = $1", &[&entry]));
    write.await.unwrap();
    admin.post(&format!("/api/v1/jobs/{number}/save"), &json!({ "enable": true })).await.expect(200);
    ready(&stage.world.server, 1).await;
    report(&stage.world.server, stage.assets[1], &in_place()).await;
    over(admin, &number).await;
    let browser = &stage.browser;
    browser.go(&format!("/items?q=qid%3A{}+and+asset.id%3A{}", stage.qid, stage.assets[1])).await;
    browser.see_in("tr[data-row]", "Fixed").await;
    browser.shot("fixed").await;
    browser.go(&format!("/assets/{}", stage.assets[1])).await;
    let why = "[...document.querySelectorAll('#mitigations .q-reason')].map(one => one.textContent).join()";
    assert!(browser.read(why).await.contains("a fix is not taken back"), "{}", browser.read(why).await);
    browser.check("no rollback", "!document.querySelector('#mitigations button[formaction*=rollback]')").await;
    browser.shot("no-way-back").await;
}

/// Somebody else at the same screen.
async fn becomes(stage: &Stage, name: &str) {
    let browser = &stage.browser;
    browser.click("button[popovertarget=q-user]").await;
    browser.click("#q-user button[formaction='/sign-out']").await;
    browser.wait("the sign-in page", "document.querySelector('#f-password')").await;
    browser.go("/sign-in?next=/jobs").await;
    browser.sign_in(name, USER_PASSWORD).await;
}

async fn r23_a_co_author_keeps_the_rights_of_his_own_role(stage: &Stage) {
    for (name, role) in [("oz", "job_author"), ("rae", "job_reader"), ("adi", "administrator")] {
        program(&stage.world, name, &[role], None, &["read"]).await;
    }
    let admin = &stage.world.admin;
    let number = draft(admin, stage.qid, &stage.assets[..1]).await;
    only_safe(&stage.world, &number, stage.qid).await;
    patch(admin, &number, &json!({ "coauthors": ["oz", "rae"] })).await.expect(200);
    admin.post(&format!("/api/v1/jobs/{number}/save"), &json!({ "enable": false })).await.expect(200);
    let browser = &stage.browser;
    let offered = "[...document.querySelectorAll('[popover]:popover-open :is(a, button:not([aria-disabled]))')]\
                   .map(action => action.innerText.trim())";
    for (name, may, may_not) in [
        ("oz", vec!["Edit", "Enable"], vec!["Delete", "Change owner"]),
        ("rae", vec!["View progress"], vec!["Edit", "Enable", "Delete", "Change owner"]),
        // Who is neither its owner nor a co-author, and may do all to any job (S1.18).
        ("adi", vec!["Edit", "Enable", "Delete", "Change owner"], vec![]),
    ] {
        becomes(stage, name).await;
        browser.go("/jobs").await;
        browser.click(&format!("button[aria-label='Quick actions for {number}']")).await;
        browser.wait("the menu", "document.querySelector('[popover]:popover-open')").await;
        let words = browser.script(&format!("return {offered}")).await;
        let words = words.as_array().unwrap();
        assert!(may.iter().all(|word| words.contains(&json!(word))), "{name} may {may:?}: {words:?}");
        assert!(may_not.iter().all(|word| !words.contains(&json!(word))), "{name} may not {may_not:?}: {words:?}");
        browser.shot(&format!("co-author-{name}")).await;
    }
}

async fn r19_a_scope_clips_what_is_chosen(stage: &Stage) {
    program(&stage.world, "lara", &["job_author"], Some(&["payments"]), &["read"]).await;
    becomes(stage, "lara").await;
    let browser = &stage.browser;
    choosing(browser).await;
    browser.fill("#f-tags", "lab, payments").await;
    browser.see_in("#q-who", "1 asset is in").await;
    browser.fill("#f-query", "agent:true").await;
    browser.see_in("#q-who", "1 asset is in").await;
    browser.shot("scope").await;
}

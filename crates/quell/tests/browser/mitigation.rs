//! S1: making, saving, enabling, disabling and deleting a mitigation job, against the demo with its real agents, and
//! what comes of it.

use super::demo::demo;
use super::driver::Browser;
use super::steps::step;
use serde_json::json;

/// Reversible mitigations that are not done yet and that need no approval; the one named is undone by a reboot only.
const LEFT: &str = "/eliminations?q=left%3A%3E0+and+risk%3A%5Blow%2C+medium%5D+and+is%3Areversible\
                    +and+not+entry%3Alinux-bpf-unprivileged-off";
/// The seven steps (S1.03).
const STEPS: [&str; 7] =
    ["Basic information", "Select assets", "Select actions", "Schedule", "Options", "Job access", "Confirmation"];
/// The steps of the stepper, as an expression.
const STEPPER: &str = "[...document.querySelectorAll('.q-stepper li')].map(step => \
                       step.querySelector('b, a').innerText)";
/// The assets of the second step, as an expression: `[name, QIDs]`.
const ASSETS: &str = "[...document.querySelectorAll('form .q-table tbody tr')].map(row => \
                      [row.querySelector('th a').innerText, row.cells[2].title.split(' ')])";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_mitigation_job_is_walked_from_the_vulnerability_to_its_end() {
    let test = "browser::mitigation::a_mitigation_job_is_walked_from_the_vulnerability_to_its_end";
    let Some(mut browser) = Browser::start("s1", test).await else { return };
    let (_demo, address, password) = tokio::task::spawn_blocking(demo).await.expect("the demo plays");
    browser.open(&address, "/vulnerabilities?q=is%3Afound+and+is%3Amitigable").await;
    browser.shot("sign-in").await;
    browser.sign_in("admin", &password).await;
    browser.at("/vulnerabilities").await;
    a_colleague(&browser).await;

    let qid = a_qid(&browser).await;
    step!(s1_01_a_qid_has_cves_and_each_has_its_score(&browser, &qid));
    step!(s1_02_from_the_vulnerability_to_mitigate_now(&browser, &qid));
    step!(s1_03_r8_the_window_names_one_platform_and_has_seven_steps(&browser));
    step!(s1_04_a_title_and_a_description(&browser));
    step!(s1_05_the_chosen_asset_is_there(&browser));
    step!(s1_06_assets_are_removed_not_added(&browser));
    step!(s1_09_an_icon_opens_the_details_of_the_action(&browser));
    step!(s1_10_on_demand_is_preselected(&browser));
    step!(s1_11_or_at_a_date_and_a_time(&browser));
    step!(s1_12_r6_zones_are_a_list_and_the_agents_own_counts_without_one(&browser));
    step!(s1_13_r5_fifty_recipients_and_not_one_more(&browser));
    step!(s1_14_mail_at_the_start_is_a_choice(&browser));
    step!(s1_15_mail_at_a_percentage_is_a_choice(&browser));
    step!(s1_16_a_co_author_has_what_his_own_role_allows(&browser));
    step!(s1_17_everything_is_there_to_be_reviewed(&browser));
    let job = step!(s1_19_r1_save_stores_it_disabled(&browser));
    step!(s1_18_what_the_super_user_can_do_and_what_not_now(&browser, &job));
    step!(s1_21_what_is_edited_is_saved_and_not_enabled(&browser, &job));
    step!(s1_20_r2_enable_makes_it_run_to_its_end(&browser, &job));
    step!(s1_23_r9_the_asset_is_mitigated(&browser, &qid));
    step!(s1_24_s1_25_r10_r11_a_click_on_the_score_shows_the_reduction(&browser));
    step!(s1_07_r4_a_removed_asset_takes_its_own_qids_along(&browser));
    step!(s1_08_r3_without_an_asset_nothing_is_saved(&browser));
    let job = step!(s1_21_r1_save_and_enable_at_creation(&browser));
    step!(s1_22_r7_disabled_for_a_while_and_enabled_again(&browser, &job));
    step!(s1_18_the_super_user_deletes_it(&browser, &job));
    browser.close().await;
}

/// Somebody to share a job with (S1.16).
async fn a_colleague(browser: &Browser) {
    browser.go("/users/new").await;
    browser.fill("#f-name", "carla").await;
    browser.fill("#f-full_name", "Carla Colleague").await;
    browser.click("input[name=role][value=job_author]").await;
    browser.shot("new-user").await;
    browser.click("form.q-card .foot button[type=submit]").await;
    browser.see("The one-time password is shown once.").await;
}

/// A QID that agents can do something about, and did not yet, is asked of the list that people see. Removing a package
/// is left out: the demo's hosts are folders without one.
async fn a_qid(browser: &Browser) -> String {
    browser.go(LEFT).await;
    browser.wait("eliminations", "document.querySelector('tr[data-row]')").await;
    let found = "[...document.querySelectorAll(\"td.acts > button[formaction*='/jobs/new']\")].map(button => \
                 new URL(button.formAction).searchParams).find(chosen => !chosen.get('entry').endsWith('-removed') && \
                 !chosen.get('qid').includes(','))?.get('qid')";
    let qid = browser.read(found).await;
    assert!(!qid.is_empty(), "nothing is left to mitigate: {}", browser.read("document.body.innerText").await);
    qid
}

/// The next step of the wizard, by its heading.
async fn next(browser: &Browser, heading: &str) {
    browser.click("button[value=next]").await;
    stands_at(browser, heading).await;
}

async fn stands_at(browser: &Browser, heading: &str) {
    let at = format!("document.querySelector('form .head h2')?.innerText === {}", json!(heading));
    browser.wait(heading, &at).await;
}

/// A QID can hold several CVEs, and each CVE has a detection score.
async fn s1_01_a_qid_has_cves_and_each_has_its_score(browser: &Browser, qid: &str) {
    browser.go(&format!("/vulnerabilities/{qid}")).await;
    browser.see_in(".q-record .meta", &format!("QID {qid}")).await;
    browser.click("#assets td a.q-change, #assets td .q-change a").await;
    browser.wait("the drill-down", "document.querySelector('#q-dialog').open").await;
    let cves = "[...document.querySelectorAll('#q-dialog table')].find(table => table.caption?.innerText === \
                'CVEs and their scores').tBodies[0].rows";
    browser
        .check(
            "each CVE has a score",
            &format!(
                "[...{cves}].every(row => /CVE-\\d+-\\d+/.test(row.cells[0].innerText) && \
                  /\\d/.test(row.cells[1].innerText))"
            ),
        )
        .await;
    browser.click("#q-dialog [data-close]").await;
}

/// The vulnerability, Quick Actions, View Risk Elimination, Mitigate Now.
async fn s1_02_from_the_vulnerability_to_mitigate_now(browser: &Browser, qid: &str) {
    browser.go(&format!("/vulnerabilities?q=qid%3A{qid}")).await;
    browser.click("tr[data-row] button[aria-haspopup][popovertarget]").await;
    browser.see_in("[popover]:popover-open", "View Risk Elimination").await;
    browser.shot("vulnerabilities").await;
    browser.click("[popover]:popover-open a[href*='/eliminations']").await;
    browser.at("/eliminations").await;
    assert_eq!(browser.read("new URL(location).searchParams.get('q')").await, format!("qid:{qid}"));
    browser.see_in(".q-top h1", "Eliminations").await;
    browser.see_in("tr[data-row] td.acts", "Mitigate Now").await;
    browser.shot("eliminations").await;
    browser.click("td.acts button[formaction*='/jobs/new']").await;
}

/// The window's title names the one platform of the job; the steps are seven, in order.
async fn s1_03_r8_the_window_names_one_platform_and_has_seven_steps(browser: &Browser) {
    browser.see_in(".q-top", "Create: Linux Mitigation Job").await;
    assert_eq!(browser.script(&format!("return {STEPPER}")).await, json!(STEPS));
    browser.see_in(".q-wizard aside", "Platform").await;
}

/// Title and description; without a title there is no Next.
async fn s1_04_a_title_and_a_description(browser: &Browser) {
    browser.fill("#f-title", " ").await;
    browser.click("button[value=next]").await;
    browser.see_in("#error-title", "title").await;
    browser.fill("#f-title", "Walked by a browser").await;
    browser.fill("#f-description", "Until the patch is there").await;
    browser.shot("basic").await;
    next(browser, "Select assets").await;
}

/// Manual selection is preselected, and the asset of the elimination is there.
async fn s1_05_the_chosen_asset_is_there(browser: &Browser) {
    browser.check("manual selection", "document.querySelector('input[name=selection][value=manual]').checked").await;
    browser.check("an asset", &format!("{ASSETS}.length >= 1")).await;
}

/// Nothing on the form adds an asset. Every control is one of these, and those named `asset` remove.
async fn s1_06_assets_are_removed_not_added(browser: &Browser) {
    let controls = "[...new Set([...document.querySelectorAll('form.q-card [name]')].map(field => field.name))].sort()";
    let named = browser.script(&format!("return {controls}")).await;
    assert_eq!(named, json!(["asset", "csrf", "selection", "then", "version"]));
    let remove = "[...document.querySelectorAll('form [name=asset]')].every(button => \
                  button.ariaLabel.startsWith('Remove ') && button.formAction.endsWith('/assets/remove'))";
    browser.check("assets can only be removed", remove).await;
    browser.see("They can be removed here, not added.").await;
    browser.shot("assets").await;
    next(browser, "Select actions").await;
}

/// The action is filled in, and an icon opens its details.
async fn s1_09_an_icon_opens_the_details_of_the_action(browser: &Browser) {
    browser.check("an action", "document.querySelectorAll('form .q-table tbody tr').length >= 1").await;
    browser.click("a[aria-label^='Details of']").await;
    browser.wait("the details", "document.querySelector('#q-dialog').open").await;
    for part in ["What it covers", "Checked", "Changed", "Undone", "Signature"] {
        browser.see_in("#q-dialog", part).await;
    }
    browser.shot("action-details").await;
    browser.click("#q-dialog [data-close]").await;
    browser.wait("the details closed", "!document.querySelector('#q-dialog').open").await;
    next(browser, "Schedule").await;
}

/// On demand is preselected, and runs once when the job is enabled.
async fn s1_10_on_demand_is_preselected(browser: &Browser) {
    browser.check("on demand", "document.querySelector('input[name=when][value=demand]').checked").await;
    browser.see("Runs once, as soon as the job is enabled").await;
}

/// Or at a date and a time, which the summary reads back.
async fn s1_11_or_at_a_date_and_a_time(browser: &Browser) {
    browser.click("input[name=when][value=timed]").await;
    browser.choose("input[type=date][name=date]", "2030-12-24").await;
    browser.choose("input[type=time][name=time]", "02:00").await;
    browser.see_in("#q-times", "24 December 2030 at 02:00").await;
    browser.shot("schedule").await;
}

/// Zones are a list; without one the agent's own counts.
async fn s1_12_r6_zones_are_a_list_and_the_agents_own_counts_without_one(browser: &Browser) {
    browser.check("no zone is chosen", "document.querySelector('#f-zone').value === ''").await;
    browser
        .check("what that means", "document.querySelector('#f-zone').placeholder.startsWith('Agent time zone')")
        .await;
    browser.check("a list of zones", "document.querySelectorAll('#q-zones option').length > 300").await;
    next(browser, "Options").await;
    browser.see_in(".q-wizard aside", "24 Dec 02:00").await;
    browser.click(".q-stepper a[href$='/edit/schedule']").await;
    stands_at(browser, "Schedule").await;
    browser.see("in each agent's own time zone").await;
    browser.choose("#f-zone", "Asia/Tokyo").await;
    next(browser, "Options").await;
    browser.see_in(".q-wizard aside", "Asia/Tokyo").await;
}

/// The fifty-first recipient is refused where it was typed.
async fn s1_13_r5_fifty_recipients_and_not_one_more(browser: &Browser) {
    let many: Vec<String> = (1..=51).map(|at| format!("team-{at}@example.org")).collect();
    browser.choose("#f-recipients", &many.join("\n")).await;
    browser.click("button[value=next]").await;
    browser.see_in("#error-recipients", "50").await;
    browser.shot("options-refused").await;
    browser.choose("#f-recipients", &many[..50].join("\n")).await;
    next(browser, "Job access").await;
    browser.click(".q-stepper a[href$='/edit/options']").await;
    stands_at(browser, "Options").await;
    browser.see_in(".q-stepper", "50 recipients").await;
    browser.fill("#f-recipients", "ops@example.org").await;
}

async fn s1_14_mail_at_the_start_is_a_choice(browser: &Browser) {
    browser.check("no mail unless asked for", "!document.querySelector('input[name=on_start]').checked").await;
    browser.click("input[name=on_start]").await;
}

async fn s1_15_mail_at_a_percentage_is_a_choice(browser: &Browser) {
    browser.check("no mail unless asked for", "!document.querySelector('input[name=on_share]').checked").await;
    browser.click("input[name=on_share]").await;
    browser.fill("#f-share", "101").await;
    browser.click("button[value=next]").await;
    browser.see_in("#error-share", "100").await;
    browser.fill("#f-share", "75").await;
    browser.shot("options").await;
    next(browser, "Job access").await;
}

async fn s1_16_a_co_author_has_what_his_own_role_allows(browser: &Browser) {
    browser.choose("#f-add", "carla").await;
    browser.click("button[value=stay]").await;
    browser.see_in("form .q-table", "Carla Colleague").await;
    browser.see_in("form .q-table", "may edit, enable, disable and cancel").await;
    browser.shot("access").await;
    next(browser, "Confirmation").await;
}

async fn s1_17_everything_is_there_to_be_reviewed(browser: &Browser) {
    for part in ["Walked by a browser", "Until the patch is there", "Asia/Tokyo", "75", "carla"] {
        browser.see_in(".q-review", part).await;
    }
    browser.shot("confirmation").await;
    // Back to on demand, so that the end of the run can be watched.
    browser.click(".q-review a[href$='/edit/schedule']").await;
    stands_at(browser, "Schedule").await;
    browser.click("input[name=when][value=demand]").await;
    for step in ["Options", "Job access", "Confirmation"] {
        next(browser, step).await;
    }
    // The first time both are offered.
    browser.check("Save", "document.querySelector('button[name=then][value=save]')").await;
    browser.check("Save and Enable", "document.querySelector('button[name=then][value=enable]')").await;
}

/// Gives the job's number.
async fn s1_19_r1_save_stores_it_disabled(browser: &Browser) -> String {
    let job = browser.read("location.pathname.split('/')[2]").await;
    browser.click("button[name=then][value=save]").await;
    browser.at("/jobs").await;
    browser.see(&format!("{job} is saved, disabled.")).await;
    let status = format!("{}.innerText.includes('Disabled')", row(&job));
    browser.wait("a disabled job", &status).await;
    browser.shot("saved").await;
    job
}

/// The row of a job, as an expression.
fn row(job: &str) -> String {
    format!("document.querySelector('tr[data-row] input[value={job}]')?.closest('tr')")
}

/// What Quick Actions offers, as an expression: the words of those that can be chosen.
const OFFERED: &str = "[...document.querySelectorAll('[popover]:popover-open :is(a, button:not([aria-disabled]))')]\
                       .map(action => action.innerText.trim())";

async fn quick_actions(browser: &Browser, job: &str) {
    browser.go("/jobs").await;
    browser.click(&format!("button[aria-label='Quick actions for {job}']")).await;
    browser.wait("the menu", "document.querySelector('[popover]:popover-open')").await;
}

/// The SuperUser can enable, edit and delete it; it is disabled already, and that is said.
async fn s1_18_what_the_super_user_can_do_and_what_not_now(browser: &Browser, job: &str) {
    quick_actions(browser, job).await;
    let offered = browser.script(&format!("return {OFFERED}")).await;
    let offered = offered.as_array().expect("a list");
    for word in ["View progress", "Edit", "Enable", "Clone", "Change owner", "Delete"] {
        assert!(offered.contains(&json!(word)), "{word} in {offered:?}");
    }
    for word in ["Disable", "Pause", "Run now", "Retry failed", "Cancel run"] {
        assert!(!offered.contains(&json!(word)), "{word} in {offered:?}");
    }
    let disable = "[...document.querySelectorAll('[popover]:popover-open [aria-disabled]')]\
                   .find(action => action.innerText.startsWith('Disable')).querySelector('small').innerText";
    assert!(!browser.read(disable).await.is_empty(), "why it cannot be disabled");
    browser.shot("quick-actions").await;
}

/// What was saved once is edited and saved, not saved and enabled.
async fn s1_21_what_is_edited_is_saved_and_not_enabled(browser: &Browser, job: &str) {
    browser.click("[popover]:popover-open a[href$='/edit/basic']").await;
    browser.see_in(".q-top", "Edit: Linux Mitigation Job").await;
    browser.fill("#f-title", "Walked and edited by a browser").await;
    next(browser, "Select assets").await;
    browser.click(".q-stepper a[href$='/edit/confirm']").await;
    stands_at(browser, "Confirmation").await;
    browser.check("Save", "document.querySelector('button[name=then][value=save]')").await;
    browser.check("no Save and Enable", "!document.querySelector('button[name=then][value=enable]')").await;
    browser.see("Whether it is enabled stays as it is.").await;
    browser.shot("edited").await;
    browser.click("button[name=then][value=save]").await;
    browser.at(&format!("/jobs/{job}")).await;
    browser.see_in(".q-record .name", "Walked and edited by a browser").await;
}

/// Jobs, Quick Actions, Enable: until then it did not run (R2).
async fn s1_20_r2_enable_makes_it_run_to_its_end(browser: &Browser, job: &str) {
    browser.go(&format!("/jobs/{job}")).await;
    browser.see("No tasks here").await;
    quick_actions(browser, job).await;
    browser.click("[popover]:popover-open button[formaction$='/enable']").await;
    browser.at(&format!("/jobs/{job}")).await;
    browser.shot("running").await;
    // Live: nobody reloads the page.
    browser.script("window.walked = true").await;
    browser.wait("the end", "document.querySelector('#q-live .q-chip').innerText.startsWith('Completed')").await;
    assert_eq!(browser.read("document.querySelector('#q-live .q-chip').innerText.trim()").await, "Completed");
    let actions = "!document.querySelector('.q-top button[formaction$=\"/cancel\"]')";
    browser.wait("actions of a job that is over", actions).await;
    browser.wait("an honest mark", "!document.querySelector('[data-live=off]')").await;
    browser.check("nobody reloaded the page", "window.walked").await;
    browser.shot("completed").await;
}

/// All of the CVEs are covered, so the item is Mitigated; that shows under Vulnerabilities.
async fn s1_23_r9_the_asset_is_mitigated(browser: &Browser, qid: &str) {
    browser.go(&format!("/vulnerabilities?q=qid%3A{qid}")).await;
    browser.see_in("tr[data-row]", "itigated").await;
    browser.shot("status-column").await;
    browser.go(&format!("/vulnerabilities/{qid}")).await;
    browser.see_in("#assets", "Mitigated").await;
    browser.shot("mitigated").await;
}

/// A click on the score shows the reduction by the points of the impact: per CVE, and the highest is the item's.
async fn s1_24_s1_25_r10_r11_a_click_on_the_score_shows_the_reduction(browser: &Browser) {
    browser.click("#assets td a.q-change:has(svg)").await;
    browser.wait("the drill-down", "document.querySelector('#q-dialog').open").await;
    browser.see_in("#q-dialog", "How it is reckoned").await;
    browser.see_in("#q-dialog", "effective, verified by the agent").await;
    let table = |caption: &str| {
        format!(
            "[...document.querySelectorAll('#q-dialog table')].find(table => table.caption?.innerText === {})",
            json!(caption)
        )
    };
    let last = format!("[...{}.tBodies[0].rows].at(-1).cells", table("How the score is reckoned"));
    let whole = format!("[2, 3].map(at => Number({last}[at].innerText))");
    let numbers = |expression: String| async move {
        let found = browser.script(&format!("return {expression}")).await;
        serde_json::from_value::<Vec<i64>>(found).expect("numbers")
    };
    let whole = numbers(whole).await;
    let after = format!(
        "[...{}.tBodies[0].rows].map(row => Number(row.cells[1].innerText.match(/\\d+/g).at(-1)))",
        table("CVEs and their scores")
    );
    let cves = numbers(after).await;
    assert!(whole[1] < whole[0], "R10: lower by the points: {whole:?}");
    assert_eq!(cves.iter().max(), whole.last(), "R11: the highest CVE is the score: {cves:?}");
    browser.shot("score").await;
    browser.click("#q-dialog [data-close]").await;
}

/// Everything that is left to mitigate, as one draft at its second step.
async fn everything(browser: &Browser) {
    browser.go(LEFT).await;
    browser.click("input[data-all]").await;
    browser.wait("the chosen rows", "!document.querySelector('#q-bulk').hidden").await;
    browser.shot("several").await;
    browser.click("#q-bulk button[formaction='/eliminations/mitigate']").await;
    browser.see_in(".q-top", "Create: Linux Mitigation Job").await;
    browser.fill("#f-title", "Everything that is left").await;
    next(browser, "Select assets").await;
}

async fn remove(browser: &Browser, asset: &str) {
    browser.click(&format!("form button[aria-label='Remove {asset}']")).await;
    browser.see(&format!("{asset} was removed.")).await;
}

/// The QIDs that only this asset has go with it, and those that others have stay.
async fn s1_07_r4_a_removed_asset_takes_its_own_qids_along(browser: &Browser) {
    everything(browser).await;
    let assets = browser.script(&format!("return {ASSETS}")).await;
    let assets: Vec<(String, Vec<String>)> = serde_json::from_value(assets).expect("names and QIDs");
    let others = |name: &str, qid: &String| assets.iter().any(|(other, qids)| other != name && qids.contains(qid));
    let alone = assets.iter().find_map(|(name, qids)| {
        let alone: Vec<&String> = qids.iter().filter(|qid| !others(name, qid)).collect();
        (!alone.is_empty() && alone.len() < qids.len()).then_some((name, alone))
    });
    let (first, alone) = alone.expect("an asset has a QID that no other has");
    remove(browser, first).await;
    browser.see("went with it").await;
    let kept = browser.read("document.querySelector('.q-wizard aside').innerText").await;
    assert!(alone.iter().all(|qid| !kept.contains(qid.as_str())), "{alone:?} are still there:\n{kept}");
    let shared: Vec<&String> = assets.iter().flat_map(|(_, qids)| qids).filter(|qid| !alone.contains(qid)).collect();
    assert!(shared.iter().all(|qid| kept.contains(qid.as_str())), "{shared:?} are gone:\n{kept}");
    browser.shot("asset-removed").await;
}

/// Without an asset there is no way on, and nothing that could be saved.
async fn s1_08_r3_without_an_asset_nothing_is_saved(browser: &Browser) {
    let names = browser.script(&format!("return {ASSETS}.map(([name]) => name)")).await;
    let names: Vec<String> = serde_json::from_value(names).expect("names");
    for name in &names {
        remove(browser, name).await;
    }
    browser.see("No asset is left. A job needs at least one.").await;
    browser.click("button[value=next]").await;
    browser.see_in(".q-errors[role=alert]", "asset").await;
    stands_at(browser, "Select assets").await;
    browser.shot("no-asset").await;
    let job = browser.read("location.pathname.split('/')[2]").await;
    browser.go(&format!("/jobs/{job}/edit/confirm")).await;
    let save = "document.querySelector('.foot [aria-disabled]')?.innerText.includes('Save')";
    browser.check("what has no asset cannot be saved", save).await;
    browser.check("nor enabled", "!document.querySelector('.foot button[name=then]')").await;
    browser.click("button[formaction$='/delete'][data-confirm]").await;
    browser.wait("the question", "document.querySelector('#q-confirm').open").await;
    browser.shot("discard").await;
    browser.click("#q-confirm [data-yes]").await;
    browser.see(&format!("{job} is deleted.")).await;
}

/// Saved and enabled at once, for a time far away.
async fn s1_21_r1_save_and_enable_at_creation(browser: &Browser) -> String {
    everything(browser).await;
    let job = browser.read("location.pathname.split('/')[2]").await;
    next(browser, "Select actions").await;
    next(browser, "Schedule").await;
    browser.click("input[name=when][value=timed]").await;
    browser.choose("input[name=date]", "2030-12-24").await;
    for step in ["Options", "Job access", "Confirmation"] {
        next(browser, step).await;
    }
    browser.see("makes it ready to execute at the time shown").await;
    browser.click("button[name=then][value=enable]").await;
    browser.at(&format!("/jobs/{job}")).await;
    browser.see(&format!("{job} is saved and enabled.")).await;
    browser.shot("enabled").await;
    job
}

async fn s1_22_r7_disabled_for_a_while_and_enabled_again(browser: &Browser, job: &str) {
    for (act, said) in [("disable", "is disabled."), ("enable", "is enabled."), ("disable", "is disabled.")] {
        quick_actions(browser, job).await;
        browser.click(&format!("[popover]:popover-open button[formaction$='/{act}']")).await;
        browser.see(&format!("{job} {said}")).await;
    }
}

async fn s1_18_the_super_user_deletes_it(browser: &Browser, job: &str) {
    quick_actions(browser, job).await;
    browser.click("[popover]:popover-open button[formaction$='/delete']").await;
    browser.click("#q-confirm [data-yes]").await;
    browser.see(&format!("{job} is deleted.")).await;
    browser.wait("a job that left the list", &format!("!({})", row(job))).await;
}

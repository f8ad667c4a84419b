//! S2: asking for a rescan, following it to its end, and what its record shows.

use super::clocks::{Found, World};
use super::driver::Browser;
use super::steps::step;
use qualys_sim::Outcome;
use serde_json::json;
use testkit::server::ADMIN_PASSWORD;

/// The button at the upper right of an item, where it can be pressed.
pub const RESCAN: &str = ".q-record .acts a[href$='/rescan']";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rescan_is_walked_from_the_item_to_its_record() {
    let test = "browser::rescan::a_rescan_is_walked_from_the_item_to_its_record";
    let Some(mut browser) = Browser::start("s2", test).await else { return };
    let world = World::start().await;
    let items = world.items(3).await;
    let [first, second, third] = &items[..] else { panic!("{items:?}") };
    browser.open(&world.server.url(""), &format!("/items/{}", first.number)).await;
    browser.sign_in("admin", ADMIN_PASSWORD).await;

    step!(s2_11_the_default_profile_is_chosen_where_the_scanner_is_set_up(&browser, &world));
    step!(s2_02_without_an_active_scanner_there_is_no_rescan(&browser, first));
    step!(s2_03_the_scanner_is_activated(&browser, first));
    step!(s2_04_after_the_next_import_there_is_a_source_and_a_rescan(&browser, &world, first));
    step!(s2_10_rescan_is_at_the_upper_right_and_opens_the_modal(&browser, first));
    step!(s2_11_the_default_option_profile_is_preselected(&browser));
    step!(s2_12_or_one_is_specified_from_a_list(&browser));
    step!(s2_13_a_message_says_that_the_request_is_processed(&browser));
    let scan = step!(s2_14_view_status_opens_the_record(&browser));
    step!(s2_15_details_and_summary_are_live(&browser, &world, &scan));
    let scan = step!(s2_01_several_items_are_rescanned_between_two_imports(&browser, &world, second, third));
    step!(s2_16_the_parent_is_complete_when_its_children_are(&browser, &world, &scan, second));
    step!(s2_17_the_source_names_item_asset_vulnerability_and_states(&browser, second, third));
    let (scan, reference) = step!(s2_12_a_named_profile_is_used(&browser, &world, third));
    step!(s2_18_tracking_ends_with_its_period(&browser, &world, &scan, &reference));
    step!(s2_19_the_scan_goes_on_and_is_taken_in_late(&browser, &world, &scan, &reference));
    step!(s2_20_what_the_platform_closed_arrives_with_the_next_import(&browser, &world, first));
    browser.close().await;
}

/// Why Rescan cannot be pressed, as an expression.
pub const REASON: &str = "[...document.querySelectorAll('.q-record .acts .q-reason')].find(action => \
                      action.innerText.startsWith('Rescan'))?.querySelector('[role=tooltip]').textContent";

/// Shown, disabled, with the reason.
async fn s2_02_without_an_active_scanner_there_is_no_rescan(browser: &Browser, item: &Found) {
    browser.go(&format!("/items/{}", item.number)).await;
    browser.wait("a reason", REASON).await;
    assert!(browser.read(REASON).await.contains("scanner is inactive"), "{}", browser.read(REASON).await);
    browser.check("nothing to press", &format!("!document.querySelector({})", json!(RESCAN))).await;
    browser.script("document.querySelector('.q-record .acts .q-reason button').focus()").await;
    browser.shot("inactive").await;
}

/// Scanners, the product, Active, Update; that alone is not enough yet.
async fn s2_03_the_scanner_is_activated(browser: &Browser, item: &Found) {
    browser.go("/scanners").await;
    browser.see("Inactive").await;
    browser.shot("scanners").await;
    browser.click("a[href='/scanners/qualys']:not(.q-nav *)").await;
    browser.check("inactive by default", "!document.querySelector('input[name=active]').checked").await;
    browser.click("input[name=active]").await;
    browser.shot("scanner").await;
    browser.click("form.q-card .foot button[type=submit]").await;
    browser.see("Qualys is active.").await;
    browser.go(&format!("/items/{}", item.number)).await;
    assert!(browser.read(REASON).await.contains("after the next import"), "{}", browser.read(REASON).await);
}

/// After the next import the product is the source, and Rescan can be pressed.
async fn s2_04_after_the_next_import_there_is_a_source_and_a_rescan(browser: &Browser, world: &World, item: &Found) {
    browser.go("/scanners/qualys").await;
    world.advance(60);
    browser.click("button[formaction$='/import']").await;
    browser.wait("the import's page or list", "location.pathname !== '/scanners/qualys'").await;
    world.all_imported().await;
    browser.go(&format!("/items/{}", item.number)).await;
    browser.see_in("#details", "Qualys").await;
    browser.wait("Rescan", &format!("document.querySelector({})", json!(RESCAN))).await;
}

/// Without a default profile nothing can be rescanned, whatever else is set up. The tracking period of S2.18 is set there, too.
async fn s2_11_the_default_profile_is_chosen_where_the_scanner_is_set_up(browser: &Browser, world: &World) {
    browser.go(&format!("/instances/{}", world.instance)).await;
    let title = "[...document.querySelector('#f-default_profile').options].find(option => \
                 option.text.startsWith('Initial Options')).value";
    let key = browser.read(title).await;
    browser.choose("#f-default_profile", &key).await;
    browser.fill("#f-tracking_hours", "1").await;
    browser.shot("integration").await;
    browser.click("form.q-card .foot button.btn-primary").await;
    browser.see("Saved Qualys EU.").await;
}

/// At the upper right of the record, and it opens the modal over it.
async fn s2_10_rescan_is_at_the_upper_right_and_opens_the_modal(browser: &Browser, item: &Found) {
    browser.go(&format!("/items/{}", item.number)).await;
    let place = format!(
        "(() => {{ const at = document.querySelector({}).getBoundingClientRect(); \
         return at.top < innerHeight / 3 && at.left > innerWidth / 2 }})()",
        json!(RESCAN)
    );
    browser.check("at the upper right", &place).await;
    browser.shot("item").await;
    browser.click(RESCAN).await;
    browser.wait("the modal", "document.querySelector('#q-dialog').open").await;
    browser.at(&format!("/items/{}", item.number)).await;
}

/// The default option profile is preselected, and named.
async fn s2_11_the_default_option_profile_is_preselected(browser: &Browser) {
    browser.see_in("#q-dialog", "Use default option profile").await;
    browser.check("preselected", "document.querySelector('#q-dialog input[value=default]').checked").await;
    browser.see_in("#q-dialog .q-choice", "Initial Options").await;
}

/// Or another from a list.
async fn s2_12_or_one_is_specified_from_a_list(browser: &Browser) {
    browser.see_in("#q-dialog", "Specify option profile").await;
    let listed = "[...document.querySelector('#q-dialog #f-named').options].some(option => \
                  option.text.startsWith('Windows only'))";
    browser.check("a list of profiles", listed).await;
    browser.shot("modal").await;
}

/// Request rescan, and the message.
async fn s2_13_a_message_says_that_the_request_is_processed(browser: &Browser) {
    browser.click("#q-dialog button[type=submit]").await;
    browser.see("The scan request is being processed.").await;
    browser.shot("requested").await;
}

/// View status in the message opens the record; gives its number.
async fn s2_14_view_status_opens_the_record(browser: &Browser) -> String {
    let link = "[...document.querySelectorAll('.q-toast a')].find(link => link.innerText === 'View status')";
    let record = browser.read(&format!("new URL({link}.href).pathname")).await;
    browser.click(&format!(".q-toast a[href='{record}']")).await;
    browser.at(&record).await;
    let scan = record.trim_start_matches("/scans/").to_owned();
    assert!(scan.starts_with("VSCAN"), "{scan}");
    scan
}

/// A fact of the record, as an expression.
fn fact(label: &str) -> String {
    format!(
        "[...document.querySelectorAll('.q-facts > div')].find(fact => fact.querySelector('dt').innerText === \
         {})?.querySelector('dd').innerText.trim()",
        json!(label)
    )
}

/// A count of the Scan Summary, as an expression.
fn summary(word: &str) -> String {
    format!(
        "[...document.querySelectorAll('[aria-labelledby=h-summary] .q-counts > span')].find(count => \
         count.innerText.includes({}))?.querySelector('b').innerText",
        json!(word)
    )
}

/// Scan number, source and state, and how many scans are complete, live from the launch to the end.
async fn s2_15_details_and_summary_are_live(browser: &Browser, world: &World, scan: &str) {
    browser.see_in(".q-top h1", scan).await;
    assert_eq!(browser.read(&fact("Scan number")).await, scan);
    assert_eq!(browser.read(&fact("Scanner source")).await, "Qualys");
    assert_eq!(browser.read(&fact("Option profile")).await, "Initial Options (default)");
    browser.script("window.walked = true").await;
    world.launched(scan).await;
    browser.wait("a running scan", &format!("{} === 'Running'", fact("State"))).await;
    assert_eq!(browser.read(&summary("completed")).await, "0");
    assert_eq!(browser.read(&summary("running")).await, "1");
    browser.shot("details-running").await;
    let over = format!("{} === 'Complete'", fact("State"));
    world.turning(browser, scan, 20, "the end", &over).await;
    assert_eq!(browser.read(&summary("completed")).await, "1");
    assert_eq!(browser.read(&summary("failed")).await, "0");
    browser.check("nobody reloaded the page", "window.walked").await;
    browser.wait("no mark that it is live", "!document.querySelector('.q-live')").await;
    browser.shot("details-complete").await;
}

/// The states of the children, as an expression.
const CHILDREN: &str =
    "[...document.querySelectorAll('#q-live tbody tr')].map(row => row.cells[1].innerText.trim()).sort()";
/// The state of the request, as an expression.
const PARENT: &str = "document.querySelector('#q-live .q-chip').innerText.trim()";

/// Two items are picked from the list and asked for together, whenever somebody wants to know; gives the record's number.
async fn s2_01_several_items_are_rescanned_between_two_imports(
    browser: &Browser,
    world: &World,
    gone: &Found,
    there: &Found,
) -> String {
    let imports = world.imports().await;
    let one = |item: &Found| format!("(asset.id:{} and qid:{})", item.asset, item.qid);
    let q = format!("{} or {}", one(gone), one(there)).replace(' ', "+").replace(':', "%3A");
    browser.go(&format!("/items?q={q}")).await;
    for item in [gone, there] {
        browser.click(&format!("input[name=row][value={}]", item.number)).await;
    }
    browser.shot("two-items").await;
    browser.click("#q-bulk button[formaction='/items/rescan']").await;
    browser.at("/rescan").await;
    browser.check("preselected", "document.querySelector('input[name=profile][value=default]').checked").await;
    browser.shot("several").await;
    browser.click("#q-modal button[type=submit]").await;
    browser.see("The scan request is being processed.").await;
    browser.click(".q-toast a[href^='/scans/VSCAN']").await;
    browser.wait("the record", "location.pathname.startsWith('/scans/VSCAN')").await;
    assert_eq!(world.imports().await, imports, "no scheduled import had to come first");
    browser.read("location.pathname.split('/')[2]").await
}

/// Two networks are two children with their states; the parent is complete when both are.
async fn s2_16_the_parent_is_complete_when_its_children_are(
    browser: &Browser,
    world: &World,
    scan: &str,
    gone: &Found,
) {
    browser.click("#q-live .q-tabs a[href$='part=scans']").await;
    browser.wait("the children", "document.querySelectorAll('#q-live tbody tr').length === 2").await;
    let references = world.launched(scan).await;
    assert_eq!(references.len(), 2);
    world.simulator.set_fixed(gone.host, gone.qid, true);
    world.ends(&references[1], Outcome::NeverProcessed);
    browser.script("window.walked = true").await;
    browser.wait("running children", &format!("{CHILDREN}.join() === 'Running,Running'")).await;
    assert_eq!(browser.read(PARENT).await, "Running");
    browser.shot("scans-running").await;
    let half = format!("{CHILDREN}.join() === 'Complete,Processing'");
    world.turning(browser, scan, 20, "one complete child", &half).await;
    assert_eq!(browser.read(PARENT).await, "Running", "not before all of them are");
    browser.shot("scans-half").await;
    world.ends(&references[1], Outcome::Truth);
    let both = format!("{CHILDREN}.join() === 'Complete,Complete' && {PARENT} === 'Complete'");
    world.turning(browser, scan, 20, "a complete parent", &both).await;
    browser.check("nobody reloaded the page", "window.walked").await;
    browser.shot("scans-complete").await;
}

/// Item, asset, vulnerability, the item's state and its remediation status.
async fn s2_17_the_source_names_item_asset_vulnerability_and_states(browser: &Browser, gone: &Found, there: &Found) {
    browser.click("#q-live .q-tabs a[href$='part=source']").await;
    browser.wait("the source", "document.querySelectorAll('#q-live tbody tr').length === 2").await;
    for (item, state, remediation, mitigation, verdict) in
        [(gone, "Closed", "Target met", "Fixed", "Fixed"), (there, "Open", "In-flight", "None", "Still present")]
    {
        let row = format!(
            "[...document.querySelectorAll('#q-live tbody tr')].find(row => \
                           row.cells[0].innerText.trim() === '{}')",
            item.number
        );
        let cells = browser.script(&format!("return [...{row}.cells].map(cell => cell.innerText.trim())")).await;
        assert_eq!(cells[1], item.name.as_str(), "{cells}");
        assert!(cells[2].as_str().is_some_and(|text| text.contains(&item.title)), "{cells}");
        for (at, words) in [(3, state), (4, remediation), (5, mitigation), (7, verdict)] {
            assert!(cells[at].as_str().is_some_and(|text| text.contains(words)), "{words} in {cells}");
        }
        let links = browser.script(&format!("return [...{row}.querySelectorAll('a')].map(a => a.pathname)")).await;
        let links: Vec<String> = serde_json::from_value(links).expect("paths");
        assert!(links.contains(&format!("/items/{}", item.number)), "{links:?}");
        assert!(links.contains(&format!("/assets/{}", item.asset)), "{links:?}");
    }
    browser.shot("source").await;
}

/// A profile that is to be specified has to be; gives the record's number and the scan at the scanner.
async fn s2_12_a_named_profile_is_used(browser: &Browser, world: &World, item: &Found) -> (String, String) {
    browser.go(&format!("/items/{}", item.number)).await;
    browser.click(RESCAN).await;
    browser.click("#q-dialog input[name=profile][value=named]").await;
    browser.click("#q-dialog button[type=submit]").await;
    browser.see("Choose the option profile to scan with.").await;
    browser.check("the choice is kept", "document.querySelector('input[name=profile][value=named]').checked").await;
    browser.shot("profile-missing").await;
    let named = "[...document.querySelector('#f-named').options].find(option => option.value && \
                 !option.text.startsWith('Initial Options') && !option.text.includes('some vulnerabilities only'))";
    let title = browser.read(&format!("{named}.text")).await;
    let key = browser.read(&format!("{named}.value")).await;
    browser.choose("#f-named", &key).await;
    browser.click("#q-modal button[type=submit]").await;
    browser.click(".q-toast a[href^='/scans/VSCAN']").await;
    browser.wait("the record", "location.pathname.startsWith('/scans/VSCAN')").await;
    let scan = browser.read("location.pathname.split('/')[2]").await;
    assert_eq!(browser.read(&fact("Option profile")).await, format!("{title} (named)"));
    let reference = world.launched(&scan).await.remove(0);
    (scan, reference)
}

/// The tracking period ends before the scan does.
async fn s2_18_tracking_ends_with_its_period(browser: &Browser, world: &World, scan: &str, reference: &str) {
    world.ends(reference, Outcome::Stuck);
    let over = format!("{} === 'Timed out'", fact("State"));
    world.turning(browser, scan, 300, "the end of the tracking", &over).await;
}

/// That stops nothing at the scanner, and says so; what ends after all is taken in.
async fn s2_19_the_scan_goes_on_and_is_taken_in_late(browser: &Browser, world: &World, scan: &str, reference: &str) {
    let running = || {
        let scans = world.simulator.scans();
        scans.iter().any(|scan| scan.reference == reference && !scan.has_ended())
    };
    browser.see("Tracking ended before the scan did. The scan itself goes on at the scanner").await;
    assert!(running(), "the scan goes on");
    assert_eq!(world.cancels(), 0);
    browser.shot("timed-out").await;
    world.ends(reference, Outcome::Truth);
    let before = world.scan(scan).await;
    assert_eq!(before["scan"]["state"], "timed_out");
    world.turning_to(browser, scan, 60, "complete").await;
    browser.go(&format!("/scans/{scan}?part=scans")).await;
    assert_eq!(browser.read(PARENT).await, "Complete");
    browser.see("Ended after tracking did").await;
    browser.shot("taken-in-late").await;
}

/// What a scan has seen that nobody asked Quell for closes the item with the next import by schedule.
async fn s2_20_what_the_platform_closed_arrives_with_the_next_import(browser: &Browser, world: &World, item: &Found) {
    let page = format!("/items/{}", item.number);
    browser.go(&page).await;
    browser.see_in(".q-record .meta", "Open").await;
    world.simulator.set_fixed(item.host, item.qid, true);
    assert!(world.simulator.scan_by_others(item.host));
    browser.go(&format!("/instances/{}", world.instance)).await;
    browser.click(&format!("a[href='/instances/{}/schedule']", world.instance)).await;
    browser.wait("the schedules", "document.querySelectorAll('main tbody tr').length > 3").await;
    browser.shot("schedules").await;
    world.by_schedule(browser, "host_detection").await;
    browser.go(&page).await;
    browser.see_in(".q-record .meta", "Closed · fixed").await;
    browser.shot("closed-by-the-next-import").await;
}

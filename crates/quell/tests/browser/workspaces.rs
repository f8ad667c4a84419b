//! S2 as a remediation owner does it: from a workspace of his own, on an item, a task and an effort that are his.

use super::clocks::{Found, World};
use super::driver::Browser;
use super::rescan::{REASON, RESCAN};
use super::steps::step;
use serde_json::json;
use testkit::server::USER_PASSWORD;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_owner_rescans_what_is_his() {
    let test = "browser::workspaces::an_owner_rescans_what_is_his";
    let Some(mut browser) = Browser::start("s2-owner", test).await else { return };
    let world = World::start().await;
    world.ready().await;
    let items = world.items(5).await;
    let [mine, first, second, whole, other] = &items[..] else { panic!("{items:?}") };
    world.server.user("rita", &["remediation_owner"]).await;
    world.assign(mine, "rita").await;
    world.assign(whole, "rita").await;
    let task = world.task(&[first, second], "rita").await;
    let effort = world.effort(&[whole], "rita").await;

    browser.open(&world.server.url(""), "/").await;
    browser.sign_in("rita", USER_PASSWORD).await;
    step!(s2_08_an_owner_works_in_a_workspace_of_his_own(&browser, mine));
    step!(s2_07_of_what_is_not_his_there_is_nothing(&browser, other));
    step!(s2_01_s2_09_an_item_that_is_his_is_opened_and_rescanned(&browser, &world, mine));
    let scan = step!(s2_05_s2_10_a_task_is_rescanned_from_its_upper_right(&browser, &task));
    step!(s2_06_a_closed_task_has_no_rescan(&browser, &world, &task, &scan, [first, second]));
    step!(s2_09_of_an_effort_all_items_are_scanned(&browser, &world, &effort, whole));
    browser.close().await;
}

/// He lands among what is his, and nothing else is offered to him.
async fn s2_08_an_owner_works_in_a_workspace_of_his_own(browser: &Browser, mine: &Found) {
    browser.at("/").await;
    browser.see_in(".q-top h1", "My work").await;
    browser.see("My items, the highest scores first").await;
    browser.wait("his item", &format!("document.querySelector('main a[href=\"/items/{}\"]')", mine.number)).await;
    browser.check("no way to the scanners", "!document.querySelector('.q-side a[href=\"/scanners\"]')").await;
    browser.shot("mine").await;
}

/// Neither in lists nor by its address.
async fn s2_07_of_what_is_not_his_there_is_nothing(browser: &Browser, other: &Found) {
    browser.go("/items").await;
    let listed = |item: &Found| format!("document.querySelector('a[href=\"/items/{}\"]')", item.number);
    browser.check("not in the list", &format!("!{}", listed(other))).await;
    browser.go(&format!("/items/{}", other.number)).await;
    browser.check("nothing to press", &format!("!document.querySelector({})", json!(RESCAN))).await;
    browser.shot("not-his").await;
}

/// The modal, the request, and the record it leads to; gives its number.
async fn requested(browser: &Browser) -> String {
    browser.click(RESCAN).await;
    browser.wait("the modal", "document.querySelector('#q-dialog').open").await;
    browser.see_in("#q-dialog", "Use default option profile").await;
    browser.shot("modal").await;
    browser.click("#q-dialog button[type=submit]:not([name])").await;
    browser.see("The scan request is being processed.").await;
    browser.click(".q-toast a[href^='/scans/VSCAN']").await;
    browser.wait("the record", "location.pathname.startsWith('/scans/VSCAN')").await;
    browser.read("location.pathname.split('/')[2]").await
}

/// From his workspace to the item, and to the end of its rescan.
async fn s2_01_s2_09_an_item_that_is_his_is_opened_and_rescanned(browser: &Browser, world: &World, mine: &Found) {
    browser.go("/mine").await;
    browser.click(&format!("main a[href='/items/{}']", mine.number)).await;
    browser.at(&format!("/items/{}", mine.number)).await;
    let scan = requested(browser).await;
    world.launched(&scan).await;
    world.turning_to(browser, &scan, 20, "complete").await;
    browser.go(&format!("/scans/{scan}?part=source")).await;
    browser.see("Still present").await;
    browser.shot("item-rescanned").await;
}

/// A task that is assigned to him; gives the number of the record.
async fn s2_05_s2_10_a_task_is_rescanned_from_its_upper_right(browser: &Browser, task: &str) -> String {
    browser.go(&format!("/tasks/{task}")).await;
    let place = format!(
        "(() => {{ const at = document.querySelector({}).getBoundingClientRect(); \
         return at.top < innerHeight / 3 && at.left > innerWidth / 2 }})()",
        json!(RESCAN)
    );
    browser.check("at the upper right", &place).await;
    browser.shot("task").await;
    requested(browser).await
}

/// Its items are found fixed, so it closes, and there is nothing left to verify.
async fn s2_06_a_closed_task_has_no_rescan(
    browser: &Browser,
    world: &World,
    task: &str,
    scan: &str,
    items: [&Found; 2],
) {
    for item in items {
        world.simulator.set_fixed(item.host, item.qid, true);
    }
    world.launched(scan).await;
    world.turning_to(browser, scan, 20, "complete").await;
    browser.go(&format!("/scans/{scan}?part=source")).await;
    let rows = "document.querySelectorAll('#q-live tbody tr').length";
    browser.check("both items", &format!("{rows} === 2")).await;
    browser.shot("task-rescanned").await;
    browser.go(&format!("/tasks/{task}")).await;
    browser.wait("a reason", REASON).await;
    assert_eq!(browser.read(REASON).await, "The task is closed; there is nothing left to verify.");
    browser.check("nothing to press", &format!("!document.querySelector({})", json!(RESCAN))).await;
    browser.shot("task-closed").await;
}

/// Everything in it that is not closed.
async fn s2_09_of_an_effort_all_items_are_scanned(browser: &Browser, world: &World, effort: &str, item: &Found) {
    browser.go(&format!("/efforts/{effort}")).await;
    browser.shot("effort").await;
    let scan = requested(browser).await;
    world.launched(&scan).await;
    world.turning_to(browser, &scan, 20, "complete").await;
    browser.go(&format!("/scans/{scan}?part=source")).await;
    browser.wait("its item", &format!("document.querySelector('#q-live a[href=\"/items/{}\"]')", item.number)).await;
    browser.shot("effort-rescanned").await;
}

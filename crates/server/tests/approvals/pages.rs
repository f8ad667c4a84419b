//! The pages of approvals and dry runs, by forms alone.

use crate::world::{ORG, RISKY, World, opened, said, signed};
use testkit::both_servers;
use testkit::server::{Client, USER_PASSWORD};

pub struct Browser {
    client: Client,
    csrf: String,
}

impl Browser {
    pub async fn of(world: &World, name: &str) -> Browser {
        let client = world.server.client();
        let reply = client.form("/sign-in", &[("name", name), ("password", USER_PASSWORD), ("next", "/")]).await;
        assert_eq!(reply.status, 303, "{}", reply.text);
        let home = client.get("/").await.text;
        let csrf = home.split_once("name=\"csrf-token\" content=\"").unwrap().1.split_once('"').unwrap().0.to_owned();
        Browser { client, csrf }
    }

    pub async fn page(&self, path: &str) -> String {
        let reply = self.client.get(path).await;
        assert_eq!(reply.status, 200, "{path}: {}", reply.text);
        let html = reply.text.to_lowercase();
        for bad in ["<style", " style=\"", " onclick=", "javascript:"] {
            assert!(!html.contains(bad), "{path}: {bad}");
        }
        reply.text
    }

    async fn post(&self, path: &str, fields: &[(&str, &str)]) -> u16 {
        let mut all = vec![("csrf", self.csrf.as_str())];
        all.extend_from_slice(fields);
        self.client.form(path, &all).await.status
    }
}

both_servers!(the_pages_show_the_plan_and_take_a_pasted_signature, |server| async move {
    let world = World::ready(server).await;
    let (number, approval) = world.asked(&[RISKY]).await;
    let here = format!("/approvals/{}", approval["summary"]["id"]);
    let (ada, ben) = (Browser::of(&world, "ada").await, Browser::of(&world, "ben").await);
    let list = ben.page("/approvals").await;
    assert!(list.contains(&here) && list.contains(&format!("{number} run 1")) && list.contains("Waiting"), "{list}");
    let page = ben.page(&here).await;
    for text in ["A risky one", "Somebody may notice.", "alpha", "beta", "Class 2", "sum 180 to 180", "Reject"] {
        assert!(page.contains(text), "{text}");
    }
    for text in [
        "How it is rolled out",
        "one, of all 2 machines",
        "after more than 10 failures of 2 tasks",
        "at most 1000 tasks",
        "every start asks the server for a permit",
        "no machine is restarted",
        "not before ",
    ] {
        assert!(page.contains(text), "{text}");
    }
    assert!(page.contains(&format!("approvals approve {number} --key organisation.pem")), "the exact command");
    let own = ada.page(&here).await;
    assert!(own.contains("another person has to") && !own.contains("name=\"envelope\""), "who asked cannot sign");
    assert!(ada.page(&format!("/jobs/{number}")).await.contains("waits for approval by a second person"));
    assert_eq!(ben.post(&format!("{here}/sign"), &[("envelope", "{}")]).await, 422);
    assert_eq!(ben.post(&format!("{here}/sign"), &[("envelope", &signed(&approval, &[ORG]))]).await, 303);
    assert!(ben.page(&here).await.contains("Approved"));
    assert_eq!(world.poll(0).await.orders.len(), 1);
});

both_servers!(a_page_rejects_with_a_reason, |server| async move {
    let world = World::ready(server).await;
    let (number, approval) = world.asked(&[RISKY]).await;
    let reject = format!("/approvals/{}/reject", approval["summary"]["id"]);
    let ben = Browser::of(&world, "ben").await;
    assert!(ben.page(&reject).await.contains("Reason"));
    assert_eq!(ben.post(&reject, &[("reason", "")]).await, 422);
    assert_eq!(ben.post(&reject, &[("reason", "too <wide>")]).await, 303);
    assert_eq!(world.status(&number).await, "DISABLED");
    let page = ben.page(&format!("/jobs/{number}")).await;
    assert!(page.contains("ben rejected the last run: too &#60;wide&#62;"), "{page}");
});

both_servers!(the_dry_run_page_shows_diffs, |server| async move {
    let world = World::ready(server).await;
    let number = world.job(&[RISKY]).await;
    let ada = Browser::of(&world, "ada").await;
    let here = format!("/jobs/{number}/dry-run");
    assert!(ada.page(&here).await.contains("No dry run yet"));
    assert!(ada.page(&format!("/jobs/{number}/edit/confirm")).await.contains(&here), "step 7 links to it");
    assert_eq!(ada.post(&here, &[]).await, 303);
    let page = ada.page(&here).await;
    assert!(page.contains("hx-trigger=\"every 2s\"") && page.contains("waited for"), "{page}");
    for agent in 0..2 {
        let order = opened(&world.poll(agent).await.orders[0]);
        let diff = "--- /etc/x\n+++ /etc/x\n-<old>\n+<new>\n";
        let report =
            said(protocol::agent::Outcome::Reported, domain::mitigation::ControlState::Exposed, "planned", diff);
        world.report(agent, &order, report).await;
    }
    let page = ada.page(&here).await;
    assert!(page.contains("<ins>+&#60;new&#62;</ins>") && page.contains("<del>-&#60;old&#62;</del>"), "{page}");
    assert!(!page.contains("every 2s") && page.contains("180 now, "), "{page}");
});

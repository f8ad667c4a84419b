//! Letters about what was assigned and what became overdue: collected, once, to whom it concerns, as he may see it.

use super::*;
use domain::notice::{Kind, opens};
use server::engine::notices;

fn unfolded(data: &str) -> String {
    data.replace("=\r\n", "").replace("=\n", "")
}

async fn give(by: &testkit::server::Client, items: &[String], to: Value) {
    for item in items {
        by.post(&format!("/api/v1/items/{item}/assignment"), &to).await.expect(200);
    }
}

/// Collecting is over: twice, on two replicas for all we know.
async fn collected(server: &TestServer) {
    server.clock.advance(domain::notice::COLLECT_SECONDS);
    notices::look(server.app()).await.unwrap();
    notices::look(server.app()).await.unwrap();
}

both_mailed!(people_are_told_once_of_what_came_to_them_and_of_what_is_overdue, |server, mailbox: Mailbox| async move {
    let world = World::ready(server).await;
    let server = &world.server;
    let token = |client: testkit::server::Client| async move { client.make_token(&["read", "items"]).await };
    let anna = server.client().with_token(&token(server.user("anna", &["vulnerability_analyst"]).await).await);
    let rita = server.client().with_token(&token(server.user("rita", &["remediation_owner"]).await).await);
    for name in ["sue", "ida", "max"] {
        server.user(name, &["remediation_owner"]).await;
    }
    let admin = server.admin().await;
    let members = json!({ "members": ["rita", "sue", "ida", "max"] });
    admin.put("/api/v1/groups/linux", &members).await.expect(200);
    let write = server.app().database.write(|tx| {
        tx.execute("UPDATE account SET email = name || '@example.org'", &[])?;
        tx.execute("UPDATE account SET scope = '[\"nothing has it\"]' WHERE name = 'sue'", &[])?;
        tx.execute("UPDATE account SET active = FALSE WHERE name = 'ida'", &[])?;
        tx.execute("UPDATE vulnerability SET title = 'Bcc: <b>eve</b>'", &[])
    });
    write.await.unwrap();
    let admin_token = server.admin().await.make_token(&["read", "items"]).await;
    let admin = server.client().with_token(&admin_token);
    let listed = anna.get("/api/v1/items?q=is:open&limit=4").await.expect(200);
    let items: Vec<String> =
        listed["items"].as_array().unwrap().iter().map(|item| item["number"].as_str().unwrap().to_owned()).collect();
    let (mine, group) = (json!({ "assignee": "rita" }), json!({ "group": "linux" }));

    // One letter for all of it, not for what she took herself, and nothing of what went away again.
    give(&anna, &items[..2], mine.clone()).await;
    give(&anna, &items[2..3], json!({ "assignee": "max" })).await;
    give(&anna, &items[2..3], mine.clone()).await;
    notices::look(server.app()).await.unwrap();
    assert_eq!(mailbox.taken().len(), 0, "it is collected first");
    collected(server).await;
    let taken = mailbox.until(1).await;
    assert_eq!(taken[0].to, ["rita@example.org"]);
    assert_eq!(taken[0].header("subject"), "[Quell] 3 items assigned");
    assert_eq!(taken[0].header("bcc"), "", "no header injection");
    let text = unfolded(&taken[0].data);
    assert!(items[..3].iter().all(|item| text.contains(item.as_str())), "{text}");
    assert!(text.contains(&server.url("/mine")) && !text.contains("<b>eve</b></"), "{text}");
    rita.post(&format!("/api/v1/items/{}/assignment", items[0]), &json!({ "assignee": "" })).await.expect(200);
    give(&anna, &items[..1], json!({ "group": "linux" })).await;
    give(&rita, &items[..1], mine.clone()).await;
    collected(server).await;
    settled(server, &[State::Sent]).await;
    assert_eq!(mailbox.taken().len(), 1, "what she took herself, nobody tells her; the others have nothing any more");

    // Of a group every member who is active and sees it; who turned it off is left alone.
    give(&anna, &items[3..], group).await;
    collected(server).await;
    let to: BTreeSet<String> = mailbox.until(3).await[1..].iter().flat_map(|mail| mail.to.clone()).collect();
    assert_eq!(to, BTreeSet::from(["max@example.org".to_owned(), "rita@example.org".to_owned()]));
    let off = rita.patch("/api/v1/me/notices", &json!({ "assigned": false })).await;
    assert_eq!((off.status, &off.json["notices"]["assigned"]), (200, &json!(false)), "{}", off.text);
    give(&admin, &items[3..], mine).await;
    collected(server).await;

    // Overdue: once a day at seven, with what became so since.
    let write = server.app().database.write(|tx| {
        tx.execute("UPDATE vulnerable_item SET due_at = 1000, due_told_at = NULL WHERE owner_id IS NOT NULL", &[])
    });
    write.await.unwrap();
    notices::look(server.app()).await.unwrap();
    assert_eq!(mailbox.taken().len(), 3, "not before seven, and nothing of what was turned off");
    let now = server.app().clock.now();
    let seconds = (opens(Kind::Overdue, now).micros() - now.micros()) / 1_000_000 + 1;
    server.clock.advance(seconds);
    notices::look(server.app()).await.unwrap();
    notices::look(server.app()).await.unwrap();
    let taken = mailbox.until(4).await;
    assert_eq!(
        (taken[3].to.clone(), taken[3].header("subject")),
        (vec!["rita@example.org".to_owned()], "[Quell] 4 items are overdue".to_owned())
    );
    server.clock.advance(86_400);
    notices::look(server.app()).await.unwrap();
    assert_eq!(mailbox.taken().len(), 4, "told once");

    // Off for everybody, by who may change settings.
    let refused = anna.put("/api/v1/settings/notices", &json!({ "overdue": false })).await;
    assert_eq!(refused.status, 403, "{}", refused.text);
    let all = server.admin().await.put("/api/v1/settings/notices", &json!({ "overdue": false })).await.expect(200);
    assert_eq!((&all["everybody"]["overdue"], &all["everybody"]["assigned"]), (&json!(false), &json!(true)));
    let write = server.app().database.write(|tx| tx.execute("UPDATE vulnerable_item SET due_told_at = NULL", &[]));
    write.await.unwrap();
    notices::look(server.app()).await.unwrap();
    server.clock.advance(86_400);
    notices::look(server.app()).await.unwrap();
    assert_eq!(mailbox.taken().len(), 4);
});

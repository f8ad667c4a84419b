//! Mail about exceptions: who may decide is asked, who asked is told, and what others wrote stays text.

use super::*;

const DAY: i64 = 86_400;

fn note(text: &str, until: &str, items: &[String]) -> Value {
    json!({ "kind": "deferral", "reason": "risk_accepted", "note": text, "until": until, "items": items })
}

/// The text of a letter without the line ends that mail folds it with.
fn unfolded(data: &str) -> String {
    data.replace("=\r\n", "").replace("=\n", "")
}

both_mailed!(deciders_are_asked_and_who_asked_is_told_of_the_answer, |server, mailbox: Mailbox| async move {
    let world = World::ready(server).await;
    let server = &world.server;
    let anna = server.user("anna", &["vulnerability_analyst"]).await;
    let vera = server.user("vera", &["vulnerability_administrator"]).await;
    for (name, role) in [("rae", "read_only"), ("sue", "vulnerability_administrator"), ("ida", "administrator")] {
        server.user(name, &[role]).await;
    }
    let write = server.app().database.write(|tx| {
        tx.execute("UPDATE account SET email = name || '@example.org'", &[])?;
        tx.execute("UPDATE account SET scope = '[\"prod\"]' WHERE name = 'sue'", &[])?;
        tx.execute("UPDATE account SET active = FALSE WHERE name = 'ida'", &[])
    });
    write.await.unwrap();
    let listed = anna.get("/api/v1/items?q=state:open&limit=3").await.expect(200);
    let items: Vec<String> =
        listed["items"].as_array().unwrap().iter().map(|item| item["number"].as_str().unwrap().to_owned()).collect();
    let until = server.app().clock.now().plus_seconds(10 * DAY).to_string();

    // Asked: everybody who may decide and sees every asset, never who asked.
    let hostile = "no fix yet\r\nBcc: eve@example.org <b>bold</b>";
    let asked = anna.post("/api/v1/exceptions", &note(hostile, &until, &items[..2])).await.expect(201);
    let number = asked["exception"]["number"].as_str().unwrap().to_owned();
    let taken = mailbox.until(2).await;
    let to: BTreeSet<String> = taken.iter().flat_map(|mail| mail.to.clone()).collect();
    assert_eq!(to, BTreeSet::from(["admin@example.org".to_owned(), "vera@example.org".to_owned()]));
    for mail in &taken {
        assert_eq!(mail.header("subject"), format!("[Quell] {number} waits for a decision"));
        assert_eq!(mail.header("bcc"), "", "no header injection");
        let text = unfolded(&mail.data);
        assert!(text.contains(&server.url(&format!("/exceptions/{number}"))), "{text}");
        assert!(text.contains("anna asks for an exception") && !text.contains("<b>bold</b></"), "{text}");
    }

    // Answered: who asked, with what was said.
    let path = format!("/api/v1/exceptions/{number}/decision");
    vera.post(&path, &json!({ "approve": true, "answer": "until the <release>" })).await.expect(200);
    let taken = mailbox.until(3).await;
    let answer = &taken[2];
    assert_eq!(answer.to, ["anna@example.org"]);
    assert_eq!(answer.header("subject"), format!("[Quell] {number} is approved"));
    assert!(unfolded(&answer.data).contains("until the"), "{}", answer.data);

    // Withdrawn by who asked: nobody needs to be told. Nobody answers: who asked is.
    let more = note("again", &until, &items[2..]);
    let asked = anna.post("/api/v1/exceptions", &more).await.expect(201);
    let second = asked["exception"]["number"].as_str().unwrap().to_owned();
    mailbox.until(5).await;
    anna.post(&format!("/api/v1/exceptions/{second}/withdraw"), &json!({})).await.expect(200);
    let asked = anna.post("/api/v1/exceptions", &more).await.expect(201);
    let third = asked["exception"]["number"].as_str().unwrap().to_owned();
    mailbox.until(7).await;
    server.clock.advance(30 * DAY);
    server::engine::exceptions::look(server.app()).await.unwrap();
    let taken = mailbox.until(8).await;
    let lapsed = &taken[7];
    assert_eq!(lapsed.to, ["anna@example.org"]);
    assert_eq!(lapsed.header("subject"), format!("[Quell] {third} is lapsed"));
    assert_eq!(settled(server, &[State::Sent]).await.len(), 8, "told once each");
});

/// Without a mail server nothing is put down, and everything else goes on.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_mail_server_nobody_is_told_of_exceptions() {
    let world = World::ready(TestServer::start().await).await;
    let listed = world.admin.get("/api/v1/items?q=state:open&limit=1").await.expect(200);
    let items = vec![listed["items"][0]["number"].as_str().unwrap().to_owned()];
    let until = world.server.app().clock.now().plus_seconds(DAY).to_string();
    world.admin.post("/api/v1/exceptions", &note("why", &until, &items)).await.expect(201);
    assert!(rows(&world.server).await.is_empty());
}

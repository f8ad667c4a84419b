//! Faults of the mail server, which are no fault of a recipient, and dead letters all at once.

use super::{mail, rows, server, settled, world};
use domain::mail::{RELAY_REFUSES, State};
use serde_json::json;
use server::config::smtp::Security;
use store::{Engine, mails};
use testkit::mailbox::Mailbox;
use testkit::server::TestServer;

/// Queue a mail for each of these.
async fn queue(server: &TestServer, recipients: &[&str]) {
    let now = server.app().clock.now();
    let recipients: Vec<String> = recipients.iter().map(|&one| one.to_owned()).collect();
    let put = server.app().database.write(move |tx| {
        let facts = domain::mail::Facts { job: "MJ0000001".to_owned(), ..Default::default() };
        let notice =
            mails::Notice { key: "runs/1/started", kind: domain::mail::Kind::Started, job: None, facts: &facts };
        mails::put(tx, &notice, &recipients, now)
    });
    put.await.unwrap();
    server.app().wake.notify("mail", 0);
}

both_mailed!(
    a_refused_sender_is_a_fault_of_the_server_and_its_mail_arrives_later,
    |server: TestServer, mailbox: Mailbox| async move {
        mailbox.refuse_sender(true);
        queue(&server, &["ann@example.org", "bob@example.org", "refused@example.org"]).await;
        let waiting = settled(&server, &[State::Failed]).await;
        assert_eq!(waiting.len(), 3, "nobody's mail is a dead letter");
        for row in &waiting {
            assert!(
                row.last_error.starts_with(RELAY_REFUSES) && row.last_error.contains("may not send here"),
                "{row:?}"
            );
            assert_eq!(row.attempts, 1);
        }
        assert_eq!(mailbox.asked(), Vec::<String>::new(), "no recipient was asked for");
        let me = world::admin_browser(&server).await;
        let said = "The mail server takes no mail of this server";
        let page = me.page("/mail").await;
        assert!(page.contains(said) && page.contains("tried again by itself"), "{}", world::gist(&page));

        mailbox.refuse_sender(false);
        server.clock.advance(75);
        mailbox.until(2).await;
        let ended = settled(&server, &[State::Sent, State::Dead]).await;
        let dead: Vec<&str> =
            ended.iter().filter(|row| row.state == State::Dead).map(|row| row.recipient.as_str()).collect();
        assert_eq!(dead, ["refused@example.org"], "a refused recipient is final as before");
        let page = me.page("/mail").await;
        assert!(!page.contains(said), "{}", world::gist(&page));
    }
);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refusal_at_the_greeting_is_tried_again_until_the_mail_is_too_old() {
    let Some(mailbox) = tokio::task::spawn_blocking(Mailbox::start).await.unwrap() else { return };
    let mut smtp = mailbox.smtp(Security::None);
    smtp.port = mailbox.port("refusing");
    let server = TestServer::start_with(Engine::Sqlite, "", move |config| config.smtp = Some(smtp)).await.unwrap();
    queue(&server, &["ann@example.org"]).await;
    for tries in 1..domain::mail::TRIES_MAX {
        let rows = loop {
            let rows = settled(&server, &[State::Failed]).await;
            if rows[0].attempts == tries {
                break rows;
            }
            tokio::time::sleep(std::time::Duration::from_millis(25)).await;
        };
        assert!(rows[0].last_error.contains("no service for you"), "{rows:?}");
        let wait = rows[0].next_try_at.unwrap().seconds_since(server.app().clock.now());
        server.clock.advance(wait + 1);
        server.app().wake.notify("mail", 0);
    }
    let rows = settled(&server, &[State::Dead]).await;
    assert_eq!(rows[0].attempts, domain::mail::TRIES_MAX);
}

both_mailed!(two_mails_travel_by_one_connection, |server: TestServer, mailbox: Mailbox| async move {
    let admin = server.admin().await;
    for (count, to) in [(1, "ann@example.org"), (2, "bob@example.org")] {
        admin.post("/api/v1/mail/test", &json!({ "recipient": to })).await.expect(202);
        mailbox.until(count).await;
        settled(&server, &[State::Sent]).await;
    }
    let taken = mailbox.taken();
    assert!(taken[0].peer.contains("127.0.0.1"), "{}", taken[0].peer);
    assert_eq!(taken[0].peer, taken[1].peer, "connected, protected and signed in once");
});

both_mailed!(every_dead_letter_is_tried_again_at_once, |server: TestServer, mailbox: Mailbox| async move {
    queue(&server, &["refused1@example.org", "refused2@example.org", "ann@example.org"]).await;
    settled(&server, &[State::Sent, State::Dead]).await;
    assert_eq!(mailbox.asked().len(), 3);
    let admin = server.admin().await;
    assert_eq!(admin.post("/api/v1/mail/retry", &json!({})).await.expect(200)["retried"], 2);
    let asked = async |count: usize| {
        for _ in 0..400 {
            if mailbox.asked().len() == count {
                return;
            }
            tokio::time::sleep(std::time::Duration::from_millis(25)).await;
        }
        panic!("not asked for {count} recipients: {:?}", mailbox.asked());
    };
    asked(5).await;
    let again = settled(&server, &[State::Sent, State::Dead]).await;
    assert!(again.iter().all(|row| row.attempts == 1), "counted from the beginning: {again:?}");
    let audit = admin.get("/api/v1/audit?q=action:mail.retry_all").await.expect(200);
    assert_eq!(audit["entries"].as_array().unwrap().len(), 1, "{audit}");

    let me = world::admin_browser(&server).await;
    assert!(me.page("/mail").await.contains("Retry all dead letters"));
    assert_eq!(me.leads("/mail/retry", &[]).await, "/mail");
    asked(7).await;
    assert_eq!(mailbox.taken().len(), 1, "what was sent is not sent again");
});

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_mail_server_dead_letters_stay_and_it_is_said() {
    let server = TestServer::start().await;
    queue(&server, &["ann@example.org"]).await;
    settled(&server, &[State::Dead]).await;
    let refused = server.admin().await.post("/api/v1/mail/retry", &json!({})).await;
    assert_eq!((refused.status, refused.code()), (409, "mail_not_configured"), "{}", refused.text);
    assert_eq!(rows(&server).await[0].last_error, mail::NO_SERVER);
}

both_mailed!(
    a_mail_server_that_stands_still_for_a_while_costs_no_try,
    |server: TestServer, mailbox: Mailbox| async move {
        let admin = server.admin().await;
        admin.post("/api/v1/mail/test", &json!({ "recipient": "ann@example.org" })).await.expect(202);
        mailbox.until(1).await;
        settled(&server, &[State::Sent]).await;
        mailbox.freeze(true);
        queue(&server, &["bob@example.org"]).await;
        // Longer than a kept connection is waited for, shorter than a mail may take.
        tokio::time::sleep(std::time::Duration::from_secs(10)).await;
        assert_ne!(rows(&server).await[1].state, State::Sent);
        mailbox.freeze(false);
        let taken = mailbox.until(2).await;
        let sent = settled(&server, &[State::Sent]).await;
        assert_eq!(sent[1].attempts, 1, "{sent:?}");
        assert_ne!(taken[0].peer, taken[1].peer, "not by the connection that did not answer");
    }
);

both_mailed!(
    a_refused_recipient_is_final_though_quit_is_not_answered,
    |server: TestServer, mailbox: Mailbox| async move {
        mailbox.hold_quit();
        queue(&server, &["refused@example.org", "ann@example.org"]).await;
        let ended = settled(&server, &[State::Sent, State::Dead]).await;
        let refused = ended.iter().find(|mail| mail.recipient == "refused@example.org").expect("it was queued");
        assert_eq!((refused.state, refused.attempts), (State::Dead, 1), "{ended:?}");
        assert!(refused.last_error.contains("no such mailbox here"), "{ended:?}");
    }
);

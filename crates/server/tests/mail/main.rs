//! Mail end to end against a mail server of somebody else's: S1.13 to S1.15, R5, R17, and what must never happen.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::allow_attributes,
    reason = "a test panics rather than returning an error"
)]

#[path = "../pages_jobs/world.rs"]
#[allow(dead_code, clippy::allow_attributes, reason = "shared with the tests of pages")]
mod world;

use domain::id::AssetId;
use domain::mail::State;
use domain::mitigation::{ControlState, Origin};
use protocol::agent::{Event, EventKind, Outcome, TaskReport};
use serde_json::{Value, json};
use server::config::smtp::{Password, Security};
use server::engine::{catalogue, mail, orders, results};
use std::collections::BTreeSet;
use std::time::Duration;
use store::Engine;
use store::mails::{self, MailRow};
use testkit::mailbox::Mailbox;
use testkit::server::{TestServer, able};
use uuid::Uuid;
use world::World;

/// A server on this engine that hands its mail to `mailbox`.
async fn server(engine: Engine, test: &'static str, mailbox: &Mailbox, security: Security) -> Option<TestServer> {
    let smtp = mailbox.smtp(security);
    TestServer::start_with(engine, test, move |config| {
        config.smtp = Some(smtp);
    })
    .await
}

/// A test with a mail server, once per engine.
macro_rules! both_mailed {
    ($name:ident, $body:expr) => {
        mod $name {
            use super::*;

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn sqlite() {
                run(Engine::Sqlite).await;
            }

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn postgres() {
                run(Engine::Postgres).await;
            }

            async fn run(engine: Engine) {
                let Some(mailbox) = tokio::task::spawn_blocking(Mailbox::start).await.unwrap() else { return };
                let name = concat!(module_path!(), "::", stringify!($name));
                let Some(server) = server(engine, name, &mailbox, Security::StartTls).await else { return };
                $body(server, mailbox).await;
            }
        }
    };
}

mod agents;
mod exceptions;
mod faults;
mod notices;

async fn rows(server: &TestServer) -> Vec<MailRow> {
    let read = server.app().database.read(|tx| {
        let ids: Vec<(i64,)> = tx.all("SELECT id FROM mail ORDER BY id", &[])?;
        ids.into_iter().map(|(id,)| Ok(mails::find(tx, id)?.unwrap())).collect::<store::Result<Vec<_>>>()
    });
    read.await.unwrap()
}

/// Wait until every mail is in one of these states.
async fn settled(server: &TestServer, states: &[State]) -> Vec<MailRow> {
    for _ in 0..400 {
        let rows = rows(server).await;
        if rows.iter().all(|row| states.contains(&row.state)) {
            return rows;
        }
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
    panic!("not all {states:?}: {:?}", rows(server).await);
}

/// An enabled job on `assets` assets with these options; gives its number and the assets.
async fn job(world: &World, options: &Value) -> (String, Vec<i64>) {
    let (qid, assets) = world.mitigable().await;
    let assets: Vec<i64> = assets.iter().map(|asset| asset["id"].as_i64().unwrap()).collect();
    let new = json!({ "vulnerabilities": [{ "qid": qid, "assets": assets }] });
    let made = world.admin.post("/api/v1/jobs", &new).await.expect(201);
    let number = made["job"]["summary"]["number"].as_str().unwrap().to_owned();
    let reply = world.admin.get(&format!("/api/v1/jobs/{number}")).await;
    let version = reply.headers["etag"].to_str().unwrap().to_owned();
    let request = world.admin.request(reqwest::Method::PATCH, &format!("/api/v1/jobs/{number}"));
    world.admin.send(request.header("if-match", version).json(options)).await.expect(200);
    world.admin.post(&format!("/api/v1/jobs/{number}/save"), &json!({ "enable": true })).await.expect(200);
    (number, assets)
}

/// The asset's agent takes its orders and reports this outcome, through the code that serves real agents.
async fn report(server: &TestServer, asset: i64, outcome: Outcome) {
    let app = server.app().clone();
    let (key, now) = (catalogue::order_key(&app), app.clock.now());
    let write = app.database.try_write(move |tx| {
        let agent = store::agents::on_asset(tx, AssetId(asset))?.unwrap();
        let tasks = store::tasks::of_agent(tx, agent.id)?;
        assert!(!tasks.is_empty(), "nothing is ready for asset {asset}");
        let capabilities = able(tasks.iter().map(|task| task.needs.as_str()));
        let maker = orders::Maker { key: &key, halted: false, capabilities: &capabilities, now };
        orders::offer(tx, &agent, maker)?;
        let mut events = Vec::new();
        for task in tasks {
            let report = TaskReport {
                outcome,
                state: ControlState::Effective,
                origin: Some(Origin::Ours),
                message: "said by a test".to_owned(),
                actions: vec![],
                left_changed: false,
                restart_needed: None,
            };
            let kinds = [EventKind::Accepted, EventKind::Started, EventKind::Finished(Box::new(report))];
            for (n, event) in (1..).zip(kinds) {
                events.push(serde_json::to_string(&Event { task: task.uuid, epoch: 1, n, at: now, event }).unwrap());
            }
        }
        results::store(tx, &agent, &events, now)
    });
    let stored = write.await.unwrap();
    for job in stored.touched {
        app.wake.notify("job", job.0);
    }
}

async fn ready(server: &TestServer, count: i64) {
    for _ in 0..400 {
        let ready =
            server.app().database.read(|tx| tx.scalar::<i64>("SELECT count(*) FROM task WHERE state = 'ready'", &[]));
        if ready.await.unwrap() >= count {
            return;
        }
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
    panic!("the tasks do not become ready");
}

both_mailed!(
    s1_13_s1_14_s1_15_r17_recipients_are_told_once_at_the_start_and_at_the_percentage,
    |server, mailbox: Mailbox| async move {
        let world = World::ready(server).await;
        let server = &world.server;
        let options = json!({
            "title": "Until the <patch>\r\nBcc: eve@example.org",
            "recipients": ["ann@example.org", "refused@example.org", "bob@example.org"],
            "mail_started": true, "mail_percent": 100,
        });
        let (number, assets) = job(&world, &options).await;
        ready(server, i64::try_from(assets.len()).unwrap()).await;

        // S1.14: one mail each at the start; the refused one stops nobody and is not tried again.
        let taken = mailbox.until(2).await;
        let rows = settled(server, &[State::Sent, State::Dead]).await;
        assert_eq!(rows.len(), 3);
        let dead: Vec<&MailRow> = rows.iter().filter(|row| row.state == State::Dead).collect();
        assert_eq!((dead.len(), dead[0].recipient.as_str(), dead[0].attempts), (1, "refused@example.org", 1));
        assert!(dead[0].last_error.contains("no such mailbox here"), "{}", dead[0].last_error);
        let to: BTreeSet<String> = taken.iter().flat_map(|mail| mail.to.clone()).collect();
        assert_eq!(to, BTreeSet::from(["ann@example.org".to_owned(), "bob@example.org".to_owned()]));
        for mail in &taken {
            assert_eq!(
                (mail.to.len(), mail.tls, mail.user.as_str()),
                (1, true, "quell"),
                "an envelope each, protected"
            );
            assert_eq!(mail.header("to"), mail.to[0]);
            assert_eq!(mail.header("bcc"), "", "no header injection");
            assert_eq!(
                mail.header("subject"),
                format!("[Quell] {number} has started: Until the <patch> Bcc: eve@example.org")
            );
            assert_eq!(mail.header("auto-submitted"), "auto-generated");
            assert_eq!(mail.from, "quell@quell.example.org");
            assert!(mail.header("message-id").ends_with(".quell@quell.example.org>"), "{}", mail.header("message-id"));
            assert!(mail.data.contains(&server.url(&format!("/jobs/{number}"))), "{}", mail.data);
            assert!(!mail.data.contains("<patch></title>") && mail.data.contains("text/html"), "{}", mail.data);
        }

        // S1.15, R17: nothing before the percentage, one mail each when it is reached.
        let (last, others) = assets.split_last().unwrap();
        for asset in others {
            report(server, *asset, Outcome::Succeeded).await;
        }
        tokio::time::sleep(Duration::from_millis(300)).await;
        assert_eq!(mailbox.taken().len(), 2, "not yet 100 %");
        report(server, *last, Outcome::Failed).await;
        let taken = mailbox.until(4).await;
        let text = &taken[3].data;
        let n = assets.len();
        assert!(
            taken[3].header("subject").contains("has completed on 100 % of assets"),
            "{}",
            taken[3].header("subject")
        );
        assert!(text.contains(&format!("{n} of {n} have reported")), "{text}");
        assert!(text.contains("succeeded, 1 failed, 0 skipped, 0 without a result yet"), "{text}");
        let ended = settled(server, &[State::Sent, State::Dead]).await;
        assert_eq!(ended.len(), 6);
        tokio::time::sleep(Duration::from_millis(2_500)).await;
        assert_eq!(mailbox.taken().len(), 4, "each once, however often the loops look");

        // Audit, and the dead letters for whoever runs the server.
        let audit = world.admin.get("/api/v1/audit?q=action:mail.dead").await.expect(200);
        assert_eq!(audit["entries"].as_array().unwrap().len(), 2, "{audit}");
        let list = world.admin.get("/api/v1/mail?q=is:dead").await.expect(200);
        assert_eq!(list["mails"].as_array().unwrap().len(), 2, "{list}");
        assert_eq!(list["mails"][0]["job"], number);
    }
);

both_mailed!(
    s1_14_s1_15_r17_at_half_of_the_assets_and_of_a_start_nobody_who_did_not_ask,
    |server, mailbox: Mailbox| async move {
        let world = World::ready(server).await;
        let server = &world.server;
        let options = json!({ "recipients": ["ann@example.org"], "mail_started": false, "mail_percent": 50 });
        let (number, assets) = job(&world, &options).await;
        let (n, half) = (assets.len(), assets.len().div_ceil(2));
        ready(server, i64::try_from(n).unwrap()).await;
        let (before, rest) = assets.split_at(half - 1);
        for asset in before {
            report(server, *asset, Outcome::Succeeded).await;
        }
        tokio::time::sleep(Duration::from_millis(1_500)).await;
        assert_eq!(rows(server).await.len(), 0, "neither a start nor less than half is told");
        report(server, rest[0], Outcome::Succeeded).await;
        let taken = mailbox.until(1).await;
        let subject = taken[0].header("subject");
        assert!(subject.contains(&number) && subject.contains("has completed on 50 % of assets"), "{subject}");
        assert!(taken[0].data.contains(&format!("{half} of {n} have reported")), "{}", taken[0].data);
        for part in ["multipart/alternative", "text/plain", "text/html"] {
            assert!(taken[0].data.contains(part), "{part}: {}", taken[0].data);
        }
        let shown = world.admin.get(&format!("/api/v1/jobs/{number}")).await.expect(200);
        assert_eq!(shown["job"]["summary"]["status"], "ENABLED", "told on the way, not at the end: {shown}");
        for asset in &rest[1..] {
            report(server, *asset, Outcome::Succeeded).await;
        }
        tokio::time::sleep(Duration::from_millis(2_500)).await;
        assert_eq!(mailbox.taken().len(), 1, "once, and not at 100 % again");
    }
);

both_mailed!(s1_14_s1_15_a_second_run_of_a_job_is_told_of_anew, |server, mailbox: Mailbox| async move {
    let world = World::ready(server).await;
    let server = &world.server;
    let options = json!({ "recipients": ["ann@example.org"], "mail_started": true, "mail_percent": 100 });
    let (number, assets) = job(&world, &options).await;
    for run in 1..=2 {
        ready(server, i64::try_from(assets.len()).unwrap()).await;
        for asset in &assets {
            report(server, *asset, Outcome::Succeeded).await;
        }
        let taken = mailbox.until(2 * run).await;
        assert!(taken[2 * run - 2].header("subject").contains("has started"), "run {run}");
        assert!(taken[2 * run - 1].header("subject").contains("100 %"), "run {run}");
        if run == 1 {
            for _ in 0..400 {
                let shown = world.admin.get(&format!("/api/v1/jobs/{number}")).await.expect(200);
                if shown["job"]["summary"]["status"] == "COMPLETED" {
                    break;
                }
                tokio::time::sleep(Duration::from_millis(25)).await;
            }
            world.admin.post(&format!("/api/v1/jobs/{number}/run"), &json!({})).await.expect(200);
        }
    }
    tokio::time::sleep(Duration::from_millis(2_500)).await;
    assert_eq!(mailbox.taken().len(), 4, "each once a run");
});

both_mailed!(
    a_mail_that_is_not_taken_is_tried_again_later_and_then_arrives,
    |server: TestServer, mailbox: Mailbox| async move {
        let admin = server.admin().await;
        let made = admin.post("/api/v1/mail/test", &json!({ "recipient": "later@example.org" })).await.expect(202);
        let path = format!("/api/v1/mail/{}", made["mail"]["id"]);
        let rows = settled(&server, &[State::Failed]).await;
        assert!(rows[0].last_error.contains("451") && rows[0].last_error.contains("come back later"), "{rows:?}");
        let wait = rows[0].next_try_at.unwrap().micros() - server.app().clock.now().micros();
        assert!((60_000_000..=72_000_000).contains(&wait), "the first wait is a minute and some jitter: {wait}");
        mailbox.accept();
        server.clock.advance(59);
        tokio::time::sleep(Duration::from_millis(2_500)).await;
        assert_eq!(mailbox.asked().len(), 1, "not before its time");
        server.clock.advance(14);
        let taken = mailbox.until(1).await;
        assert_eq!(taken[0].header("subject"), "[Quell] Test mail");
        let rows = settled(&server, &[State::Sent]).await;
        assert_eq!((rows[0].attempts, rows[0].next_try_at), (2, None));
        assert_eq!(admin.get(&path).await.expect(200)["mail"]["state"], "sent");
        let refused = admin.post(&format!("{path}/retry"), &json!({})).await;
        assert_eq!((refused.status, refused.code()), (409, "mail_not_failed"), "{}", refused.text);
    }
);

both_mailed!(
    a_replica_that_dies_after_handing_over_costs_one_copy_with_the_same_message_id,
    |server: TestServer, mailbox: Mailbox| async move {
        let app = server.app().clone();
        let now = app.clock.now();
        // What a replica does up to the instant of its death: claim and hand over, without the mark.
        let put = app.database.write(move |tx| {
            let facts = domain::mail::Facts { job: "MJ0000001".to_owned(), at: Some(now), ..Default::default() };
            let notice =
                mails::Notice { key: "runs/1/started", kind: domain::mail::Kind::Started, job: None, facts: &facts };
            mails::put(tx, &notice, &["ann@example.org".to_owned()], now)?;
            mails::claim(tx, Uuid::new_v4(), now, mail::CLAIM_SECONDS, 1)
        });
        let claimed = put.await.unwrap().remove(0);
        let facts = serde_json::from_str(&claimed.mail.facts).unwrap();
        let letter = server::letters::write(claimed.mail.kind, &facts, &app.site.public_url).unwrap();
        let mailer = app.mailer.clone().unwrap();
        mailer.send(claimed.mail.uuid, &claimed.mail.recipient, &letter, claimed.mail.created_at).await.unwrap();
        assert_eq!(mail::look(&app).await.unwrap(), 0, "the claim stands");
        server.clock.advance(mail::CLAIM_SECONDS);
        app.wake.notify("mail", 0);
        let taken = mailbox.until(2).await;
        assert_eq!(taken[0].data, taken[1].data, "the same mail, Message-ID and all");
        settled(&server, &[State::Sent]).await;
        server.clock.advance(100_000);
        tokio::time::sleep(Duration::from_millis(2_500)).await;
        assert_eq!(mailbox.taken().len(), 2, "at most one copy more");
    }
);

both_mailed!(two_replicas_send_each_mail_once, |server: TestServer, mailbox: Mailbox| async move {
    let app = server.app().clone();
    let now = app.clock.now();
    let recipients: Vec<String> = (0..50).map(|n| format!("r{n}@example.org")).collect();
    let put = app.database.write(move |tx| {
        let facts = domain::mail::Facts { job: "MJ0000001".to_owned(), ..Default::default() };
        let notice =
            mails::Notice { key: "runs/1/started", kind: domain::mail::Kind::Started, job: None, facts: &facts };
        mails::put(tx, &notice, &recipients, now)
    });
    put.await.unwrap();
    // Besides the server's own loop.
    let other = async || while mail::look(&app).await.unwrap() > 0 {};
    tokio::join!(other(), other());
    mailbox.until(50).await;
    settled(&server, &[State::Sent]).await;
    let mut to: Vec<String> = mailbox.taken().into_iter().flat_map(|mail| mail.to).collect();
    to.sort();
    to.dedup();
    assert_eq!((to.len(), mailbox.taken().len()), (50, 50));
});

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn implicit_tls_and_loopback_without_protection_work_and_wrong_passwords_do_not() {
    let Some(mailbox) = tokio::task::spawn_blocking(Mailbox::start).await.unwrap() else { return };
    for security in [Security::Tls, Security::None] {
        let before = mailbox.taken().len();
        let server = server(Engine::Sqlite, "", &mailbox, security).await.unwrap();
        let admin = server.admin().await;
        admin.post("/api/v1/mail/test", &json!({ "recipient": "ann@example.org" })).await.expect(202);
        let taken = mailbox.until(before + 1).await;
        assert_eq!(taken[before].tls, security == Security::Tls);
        server.stop().await;
    }
    // A wrong password is the server's trouble, not the recipient's: tried again.
    let mut smtp = mailbox.smtp(Security::StartTls);
    smtp.credentials = Some(("quell".to_owned(), Password("wrong".to_owned())));
    let server = TestServer::start_with(Engine::Sqlite, "", move |config| config.smtp = Some(smtp)).await.unwrap();
    let admin = server.admin().await;
    admin.post("/api/v1/mail/test", &json!({ "recipient": "ann@example.org" })).await.expect(202);
    let rows = settled(&server, &[State::Failed]).await;
    assert!(rows[0].last_error.contains("535") && !rows[0].last_error.contains("wrong"), "{rows:?}");
    // A server that is not certified by whom we trust gets neither password nor mail.
    let mut smtp = mailbox.smtp(Security::StartTls);
    smtp.ca = None;
    let other = TestServer::start_with(Engine::Sqlite, "", move |config| config.smtp = Some(smtp)).await.unwrap();
    let admin = other.admin().await;
    admin.post("/api/v1/mail/test", &json!({ "recipient": "ann@example.org" })).await.expect(202);
    let rows = settled(&other, &[State::Failed]).await;
    assert!(rows[0].last_error.to_lowercase().contains("certificate"), "{rows:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_mail_server_mail_is_a_dead_letter_and_said_so() {
    let server = TestServer::start().await;
    let admin = server.admin().await;
    let refused = admin.post("/api/v1/mail/test", &json!({ "recipient": "ann@example.org" })).await;
    assert_eq!((refused.status, refused.code()), (409, "mail_not_configured"), "{}", refused.text);
    let now = server.app().clock.now();
    let put = server.app().database.write(move |tx| {
        let facts = domain::mail::Facts::default();
        let notice =
            mails::Notice { key: "runs/1/started", kind: domain::mail::Kind::Started, job: None, facts: &facts };
        mails::put(tx, &notice, &["ann@example.org".to_owned()], now)
    });
    put.await.unwrap();
    let rows = settled(&server, &[State::Dead]).await;
    assert_eq!(rows[0].last_error, mail::NO_SERVER);
    let page = world::admin_browser(&server).await.page("/mail").await;
    assert!(page.contains("no mail server") && page.contains("ann@example.org"), "{}", world::gist(&page));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn mail_is_for_whoever_may_change_settings() {
    let server = TestServer::start().await;
    let author = server.user("author", &["job_author"]).await;
    for reply in [
        author.get("/api/v1/mail").await,
        author.get("/api/v1/mail/1").await,
        author.post("/api/v1/mail/test", &json!({ "recipient": "ann@example.org" })).await,
        author.post("/api/v1/mail/1/retry", &json!({})).await,
        author.post("/api/v1/mail/retry", &json!({})).await,
    ] {
        assert_eq!(reply.status, 403, "{}", reply.text);
    }
    let admin = server.admin().await;
    assert_eq!(admin.get("/api/v1/mail/999").await.status, 404);
    assert_eq!(admin.get("/api/v1/mail").await.expect(200)["mails"], json!([]));
    let reply = author.get("/mail").await;
    assert_eq!(reply.status, 403, "{}", world::gist(&reply.text));
}

both_mailed!(
    a_dead_letter_is_shown_on_the_page_and_tried_again_from_there,
    |server: TestServer, mailbox: Mailbox| async move {
        let me = world::admin_browser(&server).await;
        let page = me.page("/mail").await;
        assert!(page.contains("STARTTLS") && !page.contains(testkit::mailbox::PASSWORD), "{}", world::gist(&page));
        let bad = me.post("/mail/test", &[("recipient", "nobody\r\nBcc: eve@example.org")]).await;
        assert_eq!(bad.status, 422, "{}", world::gist(&bad.text));
        assert_eq!(me.leads("/mail/test", &[("recipient", "refused@example.org")]).await, "/mail");
        let rows = settled(&server, &[State::Dead]).await;
        let page = me.page("/mail?q=is:dead").await;
        assert!(
            page.contains("refused@example.org") && page.contains("no such mailbox here"),
            "{}",
            world::gist(&page)
        );
        assert_eq!(me.leads(&format!("/mail/{}/retry", rows[0].id), &[]).await, "/mail");
        for _ in 0..400 {
            if mailbox.asked().len() == 2 {
                return;
            }
            tokio::time::sleep(Duration::from_millis(25)).await;
        }
        panic!("it was not tried again: {:?}", mailbox.asked());
    }
);

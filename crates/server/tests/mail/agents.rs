//! Mail about agents that are not heard of: one for each look, to whoever may take agents back and sees all of them.

use super::*;
use server::engine::retire::{self, Looked};

const DAY: i64 = 86_400;

/// Accounts with addresses: two that are told, and everybody who is not.
async fn people(server: &TestServer) {
    for (name, role) in
        [("adam", "administrator"), ("rae", "read_only"), ("sue", "administrator"), ("ida", "administrator")]
    {
        server.user(name, &[role]).await;
    }
    let write = server.app().database.write(|tx| {
        tx.execute("UPDATE account SET email = name || '@example.org'", &[])?;
        tx.execute("UPDATE account SET scope = '[\"prod\"]' WHERE name = 'sue'", &[])?;
        tx.execute("UPDATE account SET active = FALSE WHERE name = 'ida'", &[])?;
        Ok(())
    });
    write.await.unwrap();
}

async fn look(server: &TestServer) -> Looked {
    retire::look(server.app()).await.unwrap()
}

/// The assets of all agents, and two that fall silent.
async fn silent(world: &World) -> Vec<i64> {
    let agents = world.admin.get("/api/v1/agents?limit=100").await.expect(200);
    let all: Vec<i64> =
        agents["agents"].as_array().unwrap().iter().filter_map(|agent| agent["asset"].as_i64()).collect();
    assert!(all.len() >= 4, "two are not most of the fleet: {all:?}");
    all[..2].to_vec()
}

both_mailed!(
    whoever_looks_after_agents_is_told_once_a_look_of_those_that_are_not_heard_of,
    |server, mailbox: Mailbox| async move {
        let world = World::ready(server).await;
        let server = &world.server;
        people(server).await;
        let two = silent(&world).await;

        world::pass(server, 8 * DAY, &two).await;
        let looked = look(server).await;
        assert_eq!((looked.missing, looked.retired), (2, 0), "{looked:?}");
        let taken = mailbox.until(2).await;
        let to: BTreeSet<String> = taken.iter().flat_map(|mail| mail.to.clone()).collect();
        assert_eq!(to, BTreeSet::from(["adam@example.org".to_owned(), "admin@example.org".to_owned()]));
        for mail in &taken {
            assert_eq!(mail.header("subject"), "[Quell] Contact is lost with 2 agents");
            assert_eq!(mail.data.matches("Contact lost: ").count(), 2, "both are named: {}", mail.data);
            assert!(mail.data.contains("Who is not heard of for 45 days is retired"), "{}", mail.data);
        }

        world::pass(server, 38 * DAY, &two).await;
        assert_eq!(look(server).await, Looked { retired: 2, ..Looked::default() });
        assert_eq!(look(server).await, Looked::default());
        let taken = mailbox.until(4).await;
        assert_eq!(taken[3].header("subject"), "[Quell] 2 agents were retired");
        assert!(taken[3].data.contains("is refused until somebody takes it back"), "{}", taken[3].data);
        let rows = settled(server, &[State::Sent]).await;
        assert_eq!(rows.len(), 4, "told once each: {rows:?}");
        let admin = server.admin().await;
        let listed = admin.get("/api/v1/mail?q=kind:agents").await.expect(200);
        assert_eq!(listed["mails"].as_array().map(Vec::len), Some(4), "{listed}");
        assert!(world::admin_browser(server).await.page("/mail").await.contains("Agents not heard of"));
    }
);

both_mailed!(of_more_agents_than_one_transaction_marks_one_mail_tells, |server, mailbox: Mailbox| async move {
    let world = World::ready(server).await;
    let server = &world.server;
    people(server).await;
    world::pass(server, 9 * DAY, &[]).await;
    world::enrolled(server, 1_050, 8 * DAY).await;
    assert_eq!(look(server).await.missing, 1_050);
    let taken = mailbox.until(2).await;
    assert_eq!(taken[0].header("subject"), "[Quell] Contact is lost with 1050 agents");
    assert!(taken[0].data.contains("And: 1000 more"), "{}", taken[0].data);
    assert!(
        taken[0].data.contains("no agent is retired by itself"),
        "the server or its network is ill: {}",
        taken[0].data
    );
    assert_eq!(settled(server, &[State::Sent]).await.len(), 2, "one each");
});

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_mail_server_nobody_is_told_of_agents_and_no_dead_letter_is_made() {
    let world = World::ready(TestServer::start().await).await;
    people(&world.server).await;
    let two = silent(&world).await;
    world::pass(&world.server, 8 * DAY, &two).await;
    assert_eq!(look(&world.server).await.missing, 2);
    assert!(rows(&world.server).await.is_empty());
}

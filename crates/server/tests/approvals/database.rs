//! Whoever writes to the database of the server, and holds nothing else: what that gains of a run that people approved, and what it
//! does not. `docs/approvals.md` says the same in words.

use crate::rollout::{asked, newest, sign, write};
use crate::world::{RISKY, World, opened, signed};
use protocol::approval::check;
use protocol::order::Order;
use protocol::signed::Envelope;
use serde_json::json;
use testkit::both_servers;

/// The orders of a machine now, each with whether an agent would take it: by the agent's own check.
async fn orders(world: &World, machine: usize) -> Vec<(Order, Result<(), &'static str>)> {
    let offer = world.poll(machine).await;
    let (root, now) = (world.root().await, world.server.app().clock.now());
    let envelope = offer.approvals.first().map(|text| Envelope::parse(text.as_bytes(), 1_000_000).unwrap());
    let taken = |order: &Order| match &order.approval {
        Some(approval) => check(&root, order, approval, envelope.as_ref(), now).map_err(|fault| fault.code().as_str()),
        // The entry is of class 2: an order without an approval is refused.
        None => Err("approval_needed"),
    };
    let opened = offer.orders.iter().map(|order| opened(order));
    opened.map(|order| (order.clone(), taken(&order))).collect()
}

both_servers!(a_request_that_is_called_approved_without_signatures_orders_nothing, |server| async move {
    let world = World::ready(server).await;
    asked(&world, &json!({})).await;
    write(&world, |tx| tx.execute("UPDATE approval SET state = 'approved', signatures = 9", &[])).await;
    assert!(orders(&world, 0).await.is_empty() && orders(&world, 1).await.is_empty());
});

both_servers!(a_run_whose_request_is_taken_away_has_orders_that_agents_refuse, |server| async move {
    let world = World::ready(server).await;
    asked(&world, &json!({})).await;
    write(&world, |tx| tx.execute("UPDATE approval SET state = 'void'", &[])).await;
    for machine in 0..2 {
        let found = orders(&world, machine).await;
        assert!(!found.is_empty() && found.iter().all(|(_, taken)| *taken == Err("approval_needed")), "{found:?}");
    }
});

both_servers!(what_was_signed_for_one_run_is_worth_nothing_for_another, |server| async move {
    let world = World::ready(server).await;
    let (_, first) = asked(&world, &json!({})).await;
    sign(&world, &first).await.expect(200);
    let (second, _) = asked(&world, &json!({})).await;
    let (envelope, manifest) = (signed(&first, &[crate::world::ORG]), first["manifest"].as_str().unwrap().to_owned());
    let digest = first["manifest_digest"].as_str().unwrap().to_owned();
    let changed = write(&world, move |tx| {
        tx.execute(
            "UPDATE approval SET state = 'approved', envelope = $1, manifest = $2, manifest_digest = $3
             WHERE id = (SELECT max(id) FROM approval)",
            &[&envelope, &manifest, &digest],
        )
    });
    assert_eq!(changed.await, 1);
    // The first job has its turn on both machines before the second.
    write(&world, |tx| tx.execute("UPDATE run SET state = 'halted' WHERE id = (SELECT min(id) FROM run)", &[])).await;
    for machine in 0..2 {
        let found = orders(&world, machine).await;
        let refused =
            |(order, taken): &(Order, Result<(), &str>)| order.job == second && *taken == Err("approval_mismatch");
        assert!(!found.is_empty() && found.iter().all(refused), "{found:?}");
    }
});

both_servers!(a_machine_that_was_not_approved_is_not_proven_to_be_by_the_proof_of_another, |server| async move {
    let world = World::ready(server).await;
    let (_, approval) = asked(&world, &json!({})).await;
    sign(&world, &approval).await.expect(200);
    // The first machine is another installation now, and takes over the proof of the one before.
    let (agent, other) = (world.agents[0], uuid::Uuid::now_v7());
    write(&world, move |tx| {
        let before: (uuid::Uuid, uuid::Uuid) =
            tx.one("SELECT agent_id, instance_id FROM agent WHERE id = $1", &[&agent])?;
        tx.execute("UPDATE agent SET instance_id = $2 WHERE id = $1", &[&agent, &other])?;
        tx.execute(
            "UPDATE approval_target SET instance_id = $3 WHERE agent_id = $1 AND instance_id = $2",
            &[&before.0, &before.1, &other],
        )
    })
    .await;
    let found = orders(&world, 0).await;
    assert!(!found.is_empty() && found.iter().all(|(_, taken)| *taken == Err("approval_not_target")), "{found:?}");
    assert_eq!(orders(&world, 1).await[0].1, Ok(()), "the other one is what it was");
});

both_servers!(times_that_were_not_signed_are_not_ordered, |server| async move {
    let world = World::ready(server).await;
    let (_, approval) = asked(&world, &json!({})).await;
    let manifest: serde_json::Value = serde_json::from_str(approval["manifest"].as_str().unwrap()).unwrap();
    sign(&world, &approval).await.expect(200);
    write(&world, |tx| {
        tx.execute("UPDATE approval SET valid_until = valid_until + 86400000000000", &[])?;
        tx.execute("UPDATE task SET due_at = due_at - 86400000000, start_by = NULL, window_end = NULL", &[])
    })
    .await;
    let (order, taken) = orders(&world, 0).await.remove(0);
    assert_eq!(taken, Ok(()));
    let said = |at: domain::time::Timestamp| serde_json::to_value(at).unwrap();
    assert!(said(order.not_before) == manifest["starts"]["from"], "{order:?} {manifest}");
});

// The risk that is left, as `docs/approvals.md` says it: waves, pace and places are counted by the server alone.
both_servers!(waves_can_be_opened_early_and_nothing_else_of_what_was_signed_is_lost_by_it, |server| async move {
    let world = World::ready(server).await;
    let (number, approval) = asked(&world, &json!({ "rollout": { "waves": ["1"], "soak_seconds": 3600 } })).await;
    sign(&world, &approval).await.expect(200);
    let before = orders(&world, 0).await.len() + orders(&world, 1).await.len();
    assert_eq!(before, 1, "the first wave");
    write(&world, |tx| tx.execute("UPDATE run SET wave = 2", &[])).await;
    for machine in 0..2 {
        let found = orders(&world, machine).await;
        assert!(found.iter().all(|(order, taken)| *taken == Ok(()) && order.permit), "{found:?}");
        assert_eq!(found.len(), 1);
        assert_eq!((found[0].0.job.as_str(), found[0].0.entry_id.as_str()), (number.as_str(), RISKY));
    }
    assert_eq!(newest(&world, &number).await["summary"]["state"], "approved");
});

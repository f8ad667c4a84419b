//! The root in force says whose signatures count: at once, whoever has looked at it before.

use crate::rollout::{asked, sign, write};
use crate::world::{CONTENT, ORG2, ROOT, World, key};
use protocol::root::{RoleKeys, Root};
use serde_json::json;
use server::engine::catalogue::Roots;
use store::catalogue::add_root;
use testkit::both_servers;

/// The next root, of which only the second approver holds the organisation role.
async fn without_the_first(world: &World) -> Root {
    let mut root = world.root().await;
    root.version += 1;
    let other = key(ORG2).public();
    root.roles.organisation = RoleKeys::single(&other);
    let kept = [&root.roles.root, &root.roles.content, &root.roles.organisation, &root.roles.order];
    let kept: Vec<_> = kept.iter().flat_map(|role| role.keyids.clone()).collect();
    root.keys.retain(|key| kept.contains(&key.id()));
    root
}

fn sealed(root: &Root, with: u8) -> String {
    String::from_utf8(root.seal(&[&key(with)]).unwrap().to_json()).unwrap()
}

both_servers!(a_changed_root_is_seen_at_once_by_who_has_kept_the_one_before, |server| async move {
    let world = World::ready(server).await;
    let next = without_the_first(&world).await;
    let (good, forged) = (sealed(&next, ROOT), sealed(&next, CONTENT));
    let now = world.server.app().clock.now();
    let seen = world.server.app().database.try_write(move |tx| {
        let mut roots = Roots::default();
        let mut seen = Vec::new();
        for _ in 0..2 {
            seen.push(roots.in_force(tx)?.map(|root| root.version));
        }
        add_root(tx, 2, &good, now)?;
        for _ in 0..2 {
            seen.push(roots.in_force(tx)?.map(|root| root.version));
        }
        // The same version with other bytes, then none.
        tx.execute("UPDATE trust_root SET envelope = $1 WHERE version = 2", &[&forged])?;
        for _ in 0..2 {
            assert!(roots.in_force(tx).is_err(), "not signed by a key of the root role");
        }
        tx.execute("DELETE FROM trust_root WHERE version = 2", &[])?;
        seen.push(roots.in_force(tx)?.map(|root| root.version));
        tx.execute("DELETE FROM trust_root", &[])?;
        seen.push(roots.in_force(tx)?.map(|root| root.version));
        Ok::<_, server::http::Error>(seen)
    });
    assert_eq!(seen.await.unwrap(), [Some(1), Some(1), Some(2), Some(2), Some(1), None]);
});

both_servers!(of_a_long_chain_the_newest_root_is_in_force, |server| async move {
    const LENGTH: u64 = 130;
    let world = World::ready(server).await;
    let mut root = world.root().await;
    let now = world.server.app().clock.now();
    let mut chain = Vec::new();
    for version in root.version + 1..=LENGTH {
        root.version = version;
        chain.push((i64::try_from(version).unwrap(), sealed(&root, ROOT)));
    }
    let seen = world.server.app().database.try_write(move |tx| {
        for (version, text) in &chain {
            add_root(tx, *version, text, now)?;
        }
        let newest = server::engine::catalogue::root(tx)?.map(|(root, _)| root.version);
        let kept = Roots::default().in_force(tx)?.map(|root| root.version);
        // Agents take them by the hundred.
        let first = store::catalogue::roots_above(tx, 1)?;
        let rest = store::catalogue::roots_above(tx, first.last().unwrap().0)?;
        Ok::<_, server::http::Error>((newest, kept, first.len(), rest.len()))
    });
    assert_eq!(seen.await.unwrap(), (Some(LENGTH), Some(LENGTH), 100, 29));
});

both_servers!(what_a_key_signed_counts_no_more_once_a_root_is_in_force_without_it, |server| async move {
    let world = World::ready(server).await;
    let (number, approval) = asked(&world, &json!({})).await;
    sign(&world, &approval).await.expect(200);
    assert_eq!(world.poll(0).await.orders.len(), 1);
    let (next, now) = (sealed(&without_the_first(&world).await, ROOT), world.server.app().clock.now());
    write(&world, move |tx| add_root(tx, 2, &next, now)).await;
    assert!(world.poll(1).await.orders.is_empty());
    let tasks = world.tasks(&number).await;
    let task = tasks.iter().find(|task| task["asset"] == world.assets[1].0).unwrap();
    assert!(task["message"].as_str().unwrap().contains("its approval counts no more"), "{task}");
});

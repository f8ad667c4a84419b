//! Rolling back a job goes about its hosts the other way round: what was changed last is taken back first, in waves of its own
//! (`fleet-execution.md` 6.3).

use crate::hands::{act, in_place, over, patch, report, running};
use crate::rollback::crowd;
use crate::world::World;
use domain::id::JobId;
use domain::time::Timestamp;
use serde_json::json;
use testkit::both_servers;

/// Of every host in the rollback: whether it was changed late, and the wave that it is taken back in.
async fn waves(world: &World, late: Timestamp) -> Vec<(bool, i64)> {
    let read = world.server.app().database.read(move |tx| {
        tx.all::<(bool, i64)>(
            "SELECT max(a.ended_at) >= $1, r.wave FROM task r JOIN task a ON a.asset_id = r.asset_id AND a.kind = 'apply'
             WHERE r.kind = 'revert' GROUP BY r.asset_id, r.wave ORDER BY 1, 2",
            &[&late],
        )
    });
    read.await.unwrap()
}

both_servers!(a_rollback_takes_back_first_what_was_changed_last_by_whichever_run, |server| async move {
    let world = World::ready(server).await;
    let (number, _, all) = running(&world).await;
    for asset in &all {
        report(&world.server, *asset, &in_place()).await;
    }
    over(&world.admin, &number).await;
    crowd(&world, &number, 30).await;
    let of: i64 = number.trim_start_matches("MJ").parse().unwrap();
    let now = world.server.app().clock.now();
    let late = now.plus_seconds(3_600);
    let write = world.server.app().database.write(move |tx| {
        let job: JobId = tx.scalar("SELECT id FROM job WHERE number = $1", &[&of])?;
        store::rollouts::set_policy(tx, job, r#"{"waves":["1","8"],"apart":{"tag":"cluster:","at_most":1}}"#)?;
        // A third of the hosts failed at first, and was done by a retry: in its first wave, but after all others.
        let retry: i64 = tx.insert(
            "INSERT INTO run (job_id, ordinal, state, started_at, ended_at, cause) VALUES ($1, 2, 'ended', $2, $2, 'retry')
             RETURNING id",
            &[&job, &late],
        )?;
        tx.execute("UPDATE task SET wave = 3", &[])?;
        tx.execute(
            "UPDATE task SET run_id = $1, wave = 1, ended_at = $2 + asset_id WHERE asset_id % 3 = 0",
            &[&retry, &late],
        )
    });
    write.await.unwrap();

    // The draft starts with the rollout of the job, and a person may say otherwise.
    let made = act(&world.admin, &number, "rollback").await.expect(201);
    let back = made["job"]["summary"]["number"].as_str().unwrap().to_owned();
    let told = world.admin.get(&format!("/api/v1/jobs/{back}/rollout")).await.expect(200);
    let rollout = &told["rollout"];
    assert_eq!((&rollout["waves"], &rollout["apart_tag"]), (&json!(["1", "8"]), &json!("cluster:")), "{told}");
    patch(&world.admin, &back, &json!({ "rollout": { "waves": ["1", "6"] } })).await.expect(200);
    world.admin.post(&format!("/api/v1/jobs/{back}/save"), &json!({ "enable": true })).await.expect(200);

    let waves = waves(&world, late).await;
    let sizes = [1, 2, 3].map(|wave| waves.iter().filter(|(_, back)| *back == wave).count());
    assert_eq!(sizes, [1, 6, all.len() + 30 - 7], "its own canaries: {waves:?}");
    let last = waves.iter().filter(|(late, _)| *late).count();
    assert!(last > 7 && last < waves.len(), "{waves:?}");
    assert!(waves.iter().all(|(late, back)| *late || *back == 3), "the last come first: {waves:?}");
});

//! Rolling back a job goes about its hosts the other way round: what was changed last is taken back first, in waves of its own
//! (`fleet-execution.md` 6.3).

use crate::hands::{act, in_place, over, patch, report, running};
use crate::rollback::crowd;
use crate::world::World;
use domain::id::JobId;
use serde_json::json;
use testkit::both_servers;

/// Of every host in the rollback: the wave that it was changed in, and the one that it is taken back in.
async fn waves(world: &World) -> Vec<(i64, i64)> {
    let read = world.server.app().database.read(|tx| {
        tx.all::<(i64, i64)>(
            "SELECT a.wave, r.wave FROM task r JOIN task a ON a.asset_id = r.asset_id AND a.kind = 'apply'
             WHERE r.kind = 'revert' ORDER BY 1, 2",
            &[],
        )
    });
    read.await.unwrap()
}

both_servers!(a_rollback_takes_back_first_what_was_changed_last, |server| async move {
    let world = World::ready(server).await;
    let (number, _, all) = running(&world).await;
    for asset in &all {
        report(&world.server, *asset, &in_place()).await;
    }
    over(&world.admin, &number).await;
    crowd(&world, &number, 30).await;
    let of: i64 = number.trim_start_matches("MJ").parse().unwrap();
    let write = world.server.app().database.write(move |tx| {
        let job: JobId = tx.scalar("SELECT id FROM job WHERE number = $1", &[&of])?;
        store::rollouts::set_policy(tx, job, r#"{"waves":["1","8"],"apart":{"tag":"cluster:","at_most":1}}"#)?;
        // A third of the hosts came last.
        tx.execute("UPDATE task SET wave = CASE WHEN asset_id % 3 = 0 THEN 3 ELSE 1 END", &[])
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

    let waves = waves(&world).await;
    let sizes = [1, 2, 3].map(|wave| waves.iter().filter(|(_, back)| *back == wave).count());
    assert_eq!(sizes, [1, 6, all.len() + 30 - 7], "its own canaries: {waves:?}");
    let last = waves.iter().filter(|(changed, _)| *changed == 3).count();
    assert!(last > 7 && last < waves.len(), "{waves:?}");
    assert!(waves.iter().all(|(changed, back)| *changed == 3 || *back == 3), "the last come first: {waves:?}");
});

//! A copy of a job does what the job does, on the same terms.

use crate::play::{act, at, draft, job};
use crate::world::World;
use serde_json::{Value, json};
use testkit::both_servers;

both_servers!(a_copy_takes_over_the_rollout_and_what_is_said_of_the_time_after, |server| async move {
    let mut world = World::ready(server).await;
    world.server.clock.set(at("2027-03-01T00:00:00Z"));
    world.admin = world.server.admin().await;
    let after = json!({ "expires_at": "2027-04-01", "roll_back": true, "review_at": "2027-05-01" });
    let rollout = json!({ "waves": ["1", "50%"], "soak_seconds": 60, "max_running": 7, "failures": "2" });
    let (number, _) = draft(&world, &json!({ "after": after, "rollout": rollout })).await;
    let of = async |number: &str| {
        let shown = job(&world.admin, number).await;
        let rollout = world.admin.get(&format!("/api/v1/jobs/{number}/rollout")).await.expect(200);
        (shown["after"].clone(), rollout["rollout"].clone())
    };
    let original = of(&number).await;
    assert_eq!((&original.0["roll_back"], &original.1["max_running"]), (&json!(true), &json!(7)), "{original:?}");
    let copied = |copy: &Value| copy["job"]["summary"]["number"].as_str().unwrap().to_owned();
    let copy = copied(&act(&world.admin, &number, "clone").await.expect(201));
    assert_eq!(of(&copy).await, original);

    // What is over by then would expire at once: the copy does not take it over.
    world.server.clock.set(at("2027-04-15T00:00:00Z"));
    let admin = world.server.admin().await;
    let late = copied(&act(&admin, &number, "clone").await.expect(201));
    let shown = job(&admin, &late).await;
    assert_eq!((&shown["after"]["expires_at"], &shown["after"]["review_at"]), (&Value::Null, &original.0["review_at"]));
});

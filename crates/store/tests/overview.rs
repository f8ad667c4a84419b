//! The counts of the dashboard, asked of both engines by whoever sees everything, something or nothing.

use domain::access::{Actor, AssetScope, Role};
use domain::id::UserId;
use domain::time::Timestamp;
use store::overview;
use testkit::both_engines;

fn actor(role: Role, scope: AssetScope) -> Actor {
    Actor {
        user: UserId(1),
        name: "ada".to_owned(),
        roles: [role].into(),
        groups: ["web".to_owned()].into(),
        scope,
        token_scopes: None,
    }
}

both_engines!(nothing_is_counted_where_nothing_is, |database| {
    let actors = [
        actor(Role::SuperUser, AssetScope::All),
        actor(Role::RemediationOwner, AssetScope::Tags(["prod".to_owned()].into())),
    ];
    for actor in actors {
        database
            .read_blocking(move |tx| {
                assert_eq!(overview::now(tx)?, overview::Now::default());
                assert_eq!(overview::set_up(tx)?, overview::SetUp::default());
                assert_eq!(overview::stand(tx, &actor)?, [overview::Band::default(); 4]);
                assert!(overview::changes(tx, &actor, Timestamp::from_micros(0))?.is_empty());
                assert!(overview::possible(tx, &actor, None)?.is_empty());
                assert!(overview::possible(tx, &actor, Some(&[1, 2]))?.is_empty());
                assert!(overview::possible_on(tx, &actor, Some(&[1]), Some(&[7]))?.is_empty());
                assert!(overview::possible_on(tx, &actor, None, Some(&[]))?.is_empty());
                assert!(overview::job_scores(tx, &[1], &actor.scope)?.is_empty());
                Ok(())
            })
            .expect("every statement is understood");
    }
});

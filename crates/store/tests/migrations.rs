//! Every migration applies to an empty database on both engines.

use testkit::both_engines;

both_engines!(every_migration_applies_once, |db| {
    let applied = db.read_blocking(store::migrate::version).unwrap();
    assert_eq!(usize::try_from(applied).unwrap(), store::migrate::MIGRATIONS.len());
    assert_eq!(store::migrate::run(db).unwrap(), 0);
});

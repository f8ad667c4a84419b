//! The audit log is sealed by itself, the seals verify, and what was tampered with shows.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::allow_attributes,
    reason = "a test stops where something is missing"
)]

use testkit::both_servers;
use uuid::Uuid;

both_servers!(the_audit_log_is_sealed_and_tampering_shows, |server| async move {
    let app = server.app().clone();
    // The server's own loop may hold the lease; it ends by the clock.
    server.clock.advance(61);
    server::engine::housekeeping::seal(&app, Uuid::new_v4()).await.unwrap();
    let key = app.keys.audit.verifying_key();
    let id = app.keys.audit_id();
    let verify = || {
        let (database, id) = (app.database.clone(), id.clone());
        async move { database.read(move |tx| store::audit::verify(tx, |asked| (asked == id).then_some(key))).await }
    };
    let found = verify().await.unwrap();
    assert!(found.seals >= 1 && found.entries >= 3, "{found:?}");
    assert_eq!(found.findings, []);
    server
        .app()
        .database
        .write(|tx| tx.execute("UPDATE audit_entry SET actor = 'users/eve' WHERE id = 1", &[]))
        .await
        .unwrap();
    assert_ne!(verify().await.unwrap().findings, [], "a changed entry shows");
});

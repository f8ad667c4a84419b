//! The audit log is sealed by itself, the seals verify, and what was tampered with shows.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::allow_attributes,
    reason = "a test stops where something is missing"
)]

use serde_json::json;
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

both_servers!(tokens_are_forgotten_a_week_after_their_end_and_their_story_is_kept, |server| async move {
    let admin = server.admin().await;
    let (short, long, revoked) = ("until tomorrow", "until next year", "revoked before its end");
    let mut ids = Vec::new();
    for (name, days) in [(short, 1), (long, 300), (revoked, 1)] {
        let wanted = json!({ "name": name, "scopes": ["read"], "days": days });
        ids.push(admin.post("/api/v1/tokens", &wanted).await.expect(201)["token"]["id"].as_i64().unwrap());
    }
    admin.send(admin.request(reqwest::Method::DELETE, &format!("/api/v1/tokens/{}", ids[2]))).await.expect(204);
    let left = async || {
        server::engine::housekeeping::sweep(server.app()).await.unwrap();
        let read = server.app().database.read(|tx| tx.all::<(String,)>("SELECT name FROM token ORDER BY id", &[]));
        read.await.unwrap().into_iter().map(|(name,)| name).collect::<Vec<_>>()
    };
    server.clock.advance(8 * 86_400 - 60);
    assert_eq!(left().await, [short, long, revoked], "a week after the end it can still be seen");
    server.clock.advance(120);
    assert_eq!(left().await, [long]);
    let told = server.admin().await.get("/api/v1/audit?q=action:token.create").await.expect(200);
    assert_eq!(told["entries"].as_array().unwrap().len(), 3, "the audit log keeps their story: {told}");
});

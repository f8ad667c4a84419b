//! Signing in over real HTTP: one-time password, wrong credentials, throttle, expiry, sign-out, sign-in pages' way back.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::allow_attributes,
    reason = "a test stops where something is missing"
)]

use serde_json::json;
use testkit::both_servers;
use testkit::server::{ADMIN_PASSWORD, TestServer, USER_PASSWORD};

both_servers!(the_first_password_works_once_and_for_nothing_else, |server| async move {
    // `start` has replaced it already; it is not accepted any more.
    let reply = server.client().try_sign_in("admin", &server.first_password).await;
    assert_eq!((reply.status, reply.code()), (401, "wrong_credentials"));

    let admin = server.admin().await;
    let made = admin.post("/api/v1/users", &json!({ "name": "ada" })).await.expect(201);
    let once = made["one_time_password"].as_str().unwrap().to_owned();
    let ada = server.client().sign_in("ada", &once).await;
    let refused = ada.get("/api/v1/groups").await;
    assert_eq!((refused.status, refused.code()), (403, "password_change_required"));
    assert_eq!(ada.get("/api/v1/me").await.status, 200, "who one is may be asked");
    let same = json!({ "password": once, "new_password": once });
    assert_eq!(ada.post("/api/v1/me/password", &same).await.json["errors"][0]["code"], "password_same");
    let short = json!({ "password": once, "new_password": "short" });
    assert_eq!(ada.post("/api/v1/me/password", &short).await.json["errors"][0]["code"], "password_short");
    let wrong = json!({ "password": "not it, not at all", "new_password": USER_PASSWORD });
    assert_eq!(ada.post("/api/v1/me/password", &wrong).await.json["errors"][0]["code"], "wrong_password");
    let right = json!({ "password": once, "new_password": USER_PASSWORD });
    ada.post("/api/v1/me/password", &right).await.expect(200);
    assert_eq!(ada.get("/api/v1/groups").await.status, 200);
});

both_servers!(wrong_names_and_wrong_passwords_look_the_same, |server| async move {
    let client = server.client();
    let known = client.try_sign_in("admin", "not the password").await;
    let unknown = client.try_sign_in("nobody", "not the password").await;
    let odd = client.try_sign_in("no body\u{1F600}", "not the password").await;
    assert_eq!((known.status, known.code()), (401, "wrong_credentials"));
    for other in [unknown, odd] {
        assert_eq!((other.status, other.code()), (known.status, known.code()));
        assert_eq!(other.json["detail"], known.json["detail"]);
    }
    let admin = server.admin().await;
    server.user("ada", &["read_only"]).await;
    admin.patch("/api/v1/users/ada", &json!({ "active": false })).await.expect(200);
    let disabled = client.try_sign_in("ada", USER_PASSWORD).await;
    assert_eq!((disabled.status, disabled.code()), (401, "wrong_credentials"));
});

both_servers!(failed_attempts_slow_the_next_one_down_and_survive_a_restart, |server| async move {
    let mut waits = Vec::new();
    for _ in 0..9 {
        let reply = server.client().try_sign_in("ghost", "guess").await;
        if reply.status == 429 {
            let wait = reply.json["retry_after"].as_i64().unwrap();
            assert_eq!(reply.headers["retry-after"], wait.to_string());
            waits.push(wait);
            server.clock.advance(wait);
            assert_eq!(server.client().try_sign_in("ghost", "guess").await.status, 401);
        } else {
            assert_eq!((reply.status, reply.code()), (401, "wrong_credentials"));
        }
    }
    // Six attempts are free (five failures and the one that starts the wait); the rounded-up waits double.
    assert_eq!(waits, [2, 3, 5]);
    server.restart().await;
    let reply = server.client().try_sign_in("ghost", "guess").await;
    assert_eq!((reply.status, reply.code()), (429, "throttled"), "the wait outlives the process");
    assert_eq!(server.client().try_sign_in("admin", ADMIN_PASSWORD).await.status, 200, "others are not affected");
    server.clock.advance(86_400);
    assert_eq!(server.client().try_sign_in("ghost", "guess").await.status, 401, "forgotten after a day");
});

both_servers!(an_address_that_tries_many_names_waits_too, |server| async move {
    let mut throttled = 0;
    for n in 0..24 {
        let reply = server.client().try_sign_in(&format!("name{n}"), "guess").await;
        throttled += i32::from(reply.status == 429);
    }
    assert_eq!(throttled, 3, "21 names are free, then the address has to wait");
});

both_servers!(many_attempts_at_once_are_not_all_free, |server| async move {
    let client = server.client();
    let attempts = (0..16).map(|_| {
        let client = client.clone();
        tokio::spawn(async move { client.try_sign_in("admin", "guess").await.status })
    });
    let mut refused = 0;
    for attempt in attempts.collect::<Vec<_>>() {
        refused += i32::from(attempt.await.unwrap() == 429);
    }
    assert_eq!(refused, 10, "six are tried, whatever their order");
});

both_servers!(sessions_end_by_idleness_age_sign_out_and_disabling, |server| async move {
    let admin = server.admin().await;
    let ada = server.user("ada", &["read_only"]).await;
    server.clock.advance(3_599);
    assert_eq!(ada.get("/api/v1/groups").await.status, 200);
    server.clock.advance(3_599);
    assert_eq!(ada.get("/api/v1/groups").await.status, 200, "use keeps it alive");
    server.clock.advance(3_600);
    let ended = ada.get("/api/v1/groups").await;
    assert_eq!((ended.status, ended.code()), (401, "sign_in_required"), "an hour without use ends it");

    let ada = server.client().sign_in("ada", USER_PASSWORD).await;
    for _ in 0..11 {
        server.clock.advance(3_500);
        assert_eq!(ada.get("/api/v1/groups").await.status, 200);
    }
    server.clock.advance(3_500);
    assert_eq!(ada.get("/api/v1/groups").await.status, 200);
    server.clock.advance(1_300);
    assert_eq!(ada.get("/api/v1/groups").await.status, 401, "twelve hours end it whatever happens");

    let ada = server.client().sign_in("ada", USER_PASSWORD).await;
    assert_eq!(ada.delete("/api/v1/session").await.status, 204);
    assert_eq!(ada.get("/api/v1/groups").await.status, 401);

    drop(admin);
    let admin = server.admin().await;
    let ada = server.client().sign_in("ada", USER_PASSWORD).await;
    admin.patch("/api/v1/users/ada", &json!({ "active": false })).await.expect(200);
    assert_eq!(ada.get("/api/v1/groups").await.status, 401, "disabling ends sessions at once");
});

both_servers!(a_password_change_ends_every_other_session, |server| async move {
    let first = server.user("ada", &["read_only"]).await;
    let second = server.client().sign_in("ada", USER_PASSWORD).await;
    let change = json!({ "password": USER_PASSWORD, "new_password": "another good password" });
    first.post("/api/v1/me/password", &change).await.expect(200);
    assert_eq!(first.get("/api/v1/me").await.status, 200, "the one who changed it goes on, with a new cookie");
    assert_eq!(second.get("/api/v1/me").await.status, 401);
});

#[tokio::test]
async fn the_session_cookie_is_closed_to_scripts_and_other_sites() {
    let server = TestServer::start().await;
    let reply = server.client().try_sign_in("admin", ADMIN_PASSWORD).await;
    let cookie = reply.headers["set-cookie"].to_str().unwrap().to_owned();
    assert!(cookie.starts_with("quell_session="), "{cookie}");
    for part in ["; Path=/", "; HttpOnly", "; SameSite=Lax", "; Max-Age=43200"] {
        assert!(cookie.contains(part), "{cookie}");
    }
    assert!(!cookie.contains("Domain"), "{cookie}");
}

#[tokio::test]
async fn secrets_are_stored_as_digests_only() {
    let server = TestServer::start().await;
    let admin = server.admin().await;
    let token = admin.make_token(&["read"]).await;
    let reply = server.client().try_sign_in("admin", ADMIN_PASSWORD).await;
    let cookie = reply.headers["set-cookie"].to_str().unwrap().to_owned();
    let session = cookie.split(['=', ';']).nth(1).unwrap().to_owned();
    let folder = server.folder().to_owned();
    let mut bytes = Vec::new();
    for name in ["quell.db", "quell.db-wal"] {
        bytes.extend(std::fs::read(folder.join(name)).unwrap_or_default());
    }
    assert!(!bytes.is_empty());
    for secret in [token.as_str(), &session, ADMIN_PASSWORD, &server.first_password] {
        let found = bytes.windows(secret.len()).any(|window| window == secret.as_bytes());
        assert!(!found, "a secret lies in the database");
    }
}

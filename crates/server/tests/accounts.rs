//! Users, groups, tokens, idempotency, entity tags and the audit log over real HTTP.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::allow_attributes,
    reason = "a test stops where something is missing"
)]

use reqwest::Method;
use serde_json::{Value, json};
use testkit::both_servers;
use testkit::server::{Client, TestServer, USER_PASSWORD};

both_servers!(users_are_made_shown_listed_and_changed, |server| async move {
    let admin = server.admin().await;
    let new = json!({ "name": "Ada.L", "full_name": "Ada Lovelace", "email": "ada@example.org", "roles": ["job_author", "read_only"], "scope": ["prod"] });
    let made = admin.post("/api/v1/users", &new).await.expect(201);
    assert_eq!(made["user"]["name"], "ada.l", "names are folded");
    assert_eq!(made["user"]["roles"], json!(["job_author", "read_only"]));
    assert_eq!(made["user"]["scope"], json!(["prod"]));
    let taken = admin.post("/api/v1/users", &new).await;
    assert_eq!((taken.status, taken.json["errors"][0]["code"].as_str()), (422, Some("taken")));
    for (body, field) in [
        (json!({ "name": "" }), "name"),
        (json!({ "name": "a b" }), "name"),
        (json!({ "name": "bob", "roles": ["root"] }), "roles.0"),
        (json!({ "name": "bob", "scope": [""] }), "scope.0"),
        (json!({ "name": "bob", "full_name": "a\u{7}b" }), "full_name"),
    ] {
        assert_eq!(admin.post("/api/v1/users", &body).await.expect(422)["errors"][0]["field"], field);
    }
    let shown = admin.get("/api/v1/users/ADA.L").await;
    assert_eq!(shown.json["user"]["full_name"], "Ada Lovelace");
    let tag = shown.headers["etag"].to_str().unwrap().to_owned();
    let change = |tag: String| {
        let request = admin.request(Method::PATCH, "/api/v1/users/ada.l").header("if-match", tag);
        admin.send(request.json(&json!({ "full_name": "Countess", "scope": { "tags": null } })))
    };
    let changed = change(tag.clone()).await.expect(200);
    assert_eq!((&changed["user"]["full_name"], &changed["user"]["scope"]), (&json!("Countess"), &json!(null)));
    let late = change(tag).await;
    assert_eq!((late.status, late.code()), (412, "changed_meanwhile"));

    for n in 0..5 {
        admin.post("/api/v1/users", &json!({ "name": format!("user{n}") })).await.expect(201);
    }
    let mut names = Vec::new();
    let mut path = "/api/v1/users?limit=3".to_owned();
    loop {
        let page = admin.get(&path).await.expect(200);
        names.extend(page["users"].as_array().unwrap().iter().map(|user| user["name"].as_str().unwrap().to_owned()));
        let Some(next) = page["next"].as_str() else { break };
        path = format!("/api/v1/users?limit=3&cursor={next}");
    }
    assert_eq!(names, ["ada.l", "admin", "user0", "user1", "user2", "user3", "user4"]);
    for (q, found) in [
        ("countess", 1),
        ("name:ada.l", 1),
        ("name:ada", 0),
        ("role:job_author and not is:active", 0),
        ("is:active", 7),
        ("seen:>now-1h", 1),
    ] {
        let page =
            admin.get(&format!("/api/v1/users?q={}", q.replace(' ', "%20").replace('>', "%3E"))).await.expect(200);
        assert_eq!(page["users"].as_array().unwrap().len(), found, "{q}");
    }
    let syntax = admin.get("/api/v1/users?q=nmae:x").await.expect(422);
    assert_eq!(syntax["errors"][0]["code"], "query");
    assert!(syntax["errors"][0]["message"].as_str().unwrap().contains("there is no field `nmae`"), "{syntax}");
    assert_eq!(admin.get("/api/v1/users?sort=shoe_size").await.expect(422)["errors"][0]["code"], "sort");
    let last = admin.get("/api/v1/users?sort=-name&limit=1").await.expect(200);
    assert_eq!(last["users"][0]["name"], "user4");
});

both_servers!(power_is_handed_out_by_a_super_user_only, |server| async move {
    let admin = server.admin().await;
    let boss = server.user("boss", &["administrator"]).await;
    boss.post("/api/v1/users", &json!({ "name": "reader" })).await.expect(201);
    let refused = boss.post("/api/v1/users", &json!({ "name": "x", "roles": ["administrator"] })).await;
    assert_eq!((refused.status, refused.code()), (403, "role_missing"));
    assert_eq!(refused.json["detail"], "your roles do not include the permission to change roles and asset scopes");
    let roles = json!({ "roles": ["super_user"] });
    assert_eq!(boss.patch("/api/v1/users/boss", &roles).await.status, 403, "not even for oneself");
    let reader = server.user("looks", &["read_only"]).await;
    let wrong = reader.patch("/api/v1/users/looks", &json!({ "roles": ["root"], "email": "a\u{7}b" })).await;
    assert_eq!((wrong.status, wrong.code()), (403, "role_missing"), "no word about fields nobody may send");
    assert_eq!(boss.patch("/api/v1/users/admin", &json!({ "active": false })).await.code(), "guarded");
    assert_eq!(boss.post("/api/v1/users/admin/password-reset", &json!({})).await.code(), "guarded");
    boss.post("/api/v1/users/reader/password-reset", &json!({})).await.expect(200);
    let last = admin.patch("/api/v1/users/admin", &json!({ "roles": ["read_only"] })).await;
    assert_eq!((last.status, last.code()), (409, "last_super_user"));
    assert_eq!(admin.patch("/api/v1/users/admin", &json!({ "active": false })).await.code(), "last_super_user");
    admin.patch("/api/v1/users/boss", &roles).await.expect(200);
    assert_eq!(boss.patch("/api/v1/users/admin", &json!({ "active": false })).await.status, 200);

    // A scoped administrator makes nobody who sees more than he does.
    boss.post("/api/v1/users", &json!({ "name": "part", "roles": ["administrator"], "scope": ["lab"] }))
        .await
        .expect(201);
    let once = boss.post("/api/v1/users/part/password-reset", &json!({})).await.expect(200);
    let once = once["one_time_password"].as_str().unwrap().to_owned();
    let part = server.client().sign_in("part", &once).await.choose_password(&once, USER_PASSWORD).await;
    assert_eq!(part.post("/api/v1/users", &json!({ "name": "wide" })).await.status, 403);
    part.post("/api/v1/users", &json!({ "name": "narrow", "scope": ["lab"] })).await.expect(201);
});

both_servers!(a_scoped_administrator_changes_nobody_who_sees_more, |server| async move {
    let admin = server.admin().await;
    let part = scoped(&server, "part", "administrator", &["lab"]).await;
    let wide = server.user("wide", &["administrator"]).await;
    let token = wide.with_token(&wide.make_token(&["read"]).await);
    scoped(&server, "prod", "administrator", &["prod"]).await;
    scoped(&server, "both", "read_only", &["lab", "prod"]).await;
    admin.put("/api/v1/groups/team", &json!({ "members": ["wide"] })).await.expect(200);
    for name in ["wide", "prod", "both"] {
        let path = format!("/api/v1/users/{name}");
        for refused in [
            part.post(&format!("{path}/password-reset"), &json!({})).await,
            part.patch(&path, &json!({ "active": false })).await,
            part.patch(&path, &json!({ "email": "mine@example.org" })).await,
            part.put("/api/v1/groups/lab", &json!({ "members": [name] })).await,
        ] {
            assert_eq!((refused.status, refused.code()), (403, "wider_scope"), "{name}: {}", refused.text);
        }
    }
    for refused in
        [part.put("/api/v1/groups/team", &json!({ "members": [] })).await, part.delete("/api/v1/groups/team").await]
    {
        assert_eq!((refused.status, refused.code()), (403, "wider_scope"), "{}", refused.text);
    }
    let id = admin.get("/api/v1/tokens?q=owner:wide").await.expect(200)["tokens"][0]["id"].clone();
    assert_eq!(part.delete(&format!("/api/v1/tokens/{id}")).await.status, 404);
    assert_eq!((wide.get("/api/v1/me").await.status, token.get("/api/v1/me").await.status), (200, 200));
    // A person who was disabled is not brought back by whoever may not change him either.
    admin.patch("/api/v1/users/both", &json!({ "active": false })).await.expect(200);
    assert_eq!(part.patch("/api/v1/users/both", &json!({ "active": true })).await.code(), "wider_scope");

    // Within his scope he manages users as before.
    scoped(&server, "narrow", "read_only", &["lab"]).await;
    part.put("/api/v1/groups/lab", &json!({ "members": ["narrow", "part"] })).await.expect(200);
    part.patch("/api/v1/users/narrow", &json!({ "full_name": "N" })).await.expect(200);
    part.post("/api/v1/users/narrow/password-reset", &json!({})).await.expect(200);
    assert_eq!(part.delete("/api/v1/groups/lab").await.status, 204);
});

// Everything that holds for the whole installation, as somebody would try it who may see a part of it only.
both_servers!(no_scoped_account_changes_what_concerns_every_asset, |server| async move {
    let pace = json!({ "first_seconds": 60, "longest_seconds": 300, "search_seconds": 60 });
    let instance = json!({ "name": "mine", "api_url": "https://127.0.0.1:1", "username": "u", "password": "p" });
    let policy = json!({ "policy": {
        "from": "00:00", "until": "00:00", "zone": "UTC", "running_max": 9, "launches_max": 9, "launches_seconds": 9
    } });
    let attempts = [
        ("PUT", "/api/v1/settings/follow-up", json!({ "check_minutes": 60, "formula": "quell" })),
        ("PUT", "/api/v1/settings/retention", json!({ "days": 401 })),
        ("PUT", "/api/v1/settings/rescan-pace", json!({ "pace": pace })),
        ("PUT", "/api/v1/settings/rescan-rules", json!({ "rules": { "by_group": true } })),
        ("PUT", "/api/v1/instances/1/rescan-policy", policy),
        ("PUT", "/api/v1/approvals/policy", json!({ "from_class": 3 })),
        ("POST", "/api/v1/mail/test", json!({ "recipient": "a@example.org" })),
        ("POST", "/api/v1/mail/1/retry", json!({})),
        ("PATCH", "/api/v1/scanners/qualys", json!({ "active": true })),
        ("POST", "/api/v1/instances", instance),
        ("POST", "/api/v1/catalogue", json!({ "roots": [], "index": "{}", "entries": [] })),
        ("PATCH", "/api/v1/tags/lab", json!({ "criticality": 5 })),
        ("PUT", "/api/v1/halt", json!({ "halted": true, "reason": "mine" })),
    ];
    for (name, role) in [("part", "administrator"), ("boss", "super_user")] {
        let part = scoped(&server, name, role, &["lab"]).await;
        for (method, path, body) in &attempts {
            let reply = part.send(part.request(method.parse().unwrap(), path).json(body)).await;
            assert_eq!((reply.status, reply.code()), (403, "account_scoped"), "{name} {method} {path}: {}", reply.text);
        }
    }
    let settings = server.admin().await.get("/api/v1/settings/retention").await.expect(200);
    assert_ne!(settings["retention"]["days"], 401, "{settings}");
    // An enrolment token of somebody who sees more is not his to end; his own is.
    let admin = server.admin().await;
    let theirs = admin.post("/api/v1/agents/tokens", &json!({ "label": "all" })).await.expect(201);
    let part = server.client().sign_in("part", USER_PASSWORD).await;
    let ours = part.post("/api/v1/agents/tokens", &json!({ "label": "lab" })).await.expect(201);
    let place = |made: &Value| format!("/api/v1/agents/tokens/{}", made["token"]["id"].as_str().unwrap());
    let reply = part.delete(&place(&theirs)).await;
    assert_eq!((reply.status, reply.code()), (403, "wider_scope"), "{}", reply.text);
    assert_eq!(part.delete(&place(&ours)).await.status, 204);
    assert_eq!(admin.delete(&place(&theirs)).await.status, 204);
});

/// A new user with this role and asset scope, signed in.
async fn scoped(server: &TestServer, name: &str, role: &str, scope: &[&str]) -> Client {
    let new = json!({ "name": name, "roles": [role], "scope": scope });
    let made = server.admin().await.post("/api/v1/users", &new).await.expect(201);
    let once = made["one_time_password"].as_str().unwrap().to_owned();
    server.client().sign_in(name, &once).await.choose_password(&once, USER_PASSWORD).await
}

both_servers!(groups_hold_users, |server| async move {
    let admin = server.admin().await;
    server.user("ada", &["remediation_owner"]).await;
    let group =
        admin.put("/api/v1/groups/linux-team", &json!({ "members": ["ada", "ADMIN", "ada"] })).await.expect(200);
    assert_eq!(group["group"]["members"], json!(["ada", "admin"]));
    let unknown = admin.put("/api/v1/groups/linux-team", &json!({ "members": ["ghost"] })).await;
    assert_eq!(unknown.json["errors"][0]["code"], "unknown_user");
    let listed = admin.get("/api/v1/groups").await.expect(200);
    assert_eq!(
        listed["groups"],
        json!([{ "name": "linux-team", "members": ["ada", "admin"] }]),
        "a refused change changed nothing"
    );
    assert_eq!(admin.get("/api/v1/users/ada").await.json["user"]["groups"], json!(["linux-team"]));
    assert_eq!(admin.delete("/api/v1/groups/linux-team").await.status, 204);
    assert_eq!(admin.delete("/api/v1/groups/linux-team").await.status, 404);
});

both_servers!(tokens_are_narrow_expire_and_are_revoked, |server| async move {
    let admin = server.admin().await;
    let read = admin.with_token(&admin.make_token(&["read"]).await);
    assert_eq!(read.get("/api/v1/users").await.status, 200);
    let refused = read.post("/api/v1/users", &json!({ "name": "x" })).await;
    assert_eq!((refused.status, refused.code()), (403, "token_scope"));
    assert_eq!(refused.json["detail"], "the token in use lacks the scope `accounts`");
    let me = read.get("/api/v1/me").await.expect(200);
    assert_eq!(me["me"]["token_scopes"], json!(["read"]));
    let accounts = admin.with_token(&admin.make_token(&["read", "accounts"]).await);
    let wider = accounts.post("/api/v1/tokens", &json!({ "name": "w", "scopes": ["system"] })).await;
    assert_eq!((wider.status, wider.code()), (403, "token_scope"), "a token makes no stronger one");
    let change = json!({ "password": "a", "new_password": "b" });
    assert_eq!(accounts.post("/api/v1/me/password", &change).await.code(), "session_required");
    for (body, code) in [
        (json!({ "name": "", "scopes": ["read"] }), "empty"),
        (json!({ "name": "n", "scopes": [] }), "empty"),
        (json!({ "name": "n", "scopes": ["everything"] }), "unknown"),
        (json!({ "name": "n", "scopes": ["read"], "days": 367 }), "range"),
    ] {
        assert_eq!(admin.post("/api/v1/tokens", &body).await.expect(422)["errors"][0]["code"], code);
    }

    let made =
        admin.post("/api/v1/tokens", &json!({ "name": "short", "scopes": ["read"], "days": 1 })).await.expect(201);
    let short = admin.with_token(made["secret"].as_str().unwrap());
    assert_eq!(made["token"]["hint"], made["secret"].as_str().unwrap()[..10]);
    assert_eq!(short.get("/api/v1/me").await.status, 200);
    server.clock.advance(86_400);
    assert_eq!(short.get("/api/v1/me").await.status, 401, "ended by itself");
    assert_eq!(read.get("/api/v1/me").await.status, 200);

    let admin = server.admin().await;
    let listed = admin.get("/api/v1/tokens").await.expect(200);
    let tokens = listed["tokens"].as_array().unwrap();
    assert_eq!(tokens.len(), 3);
    assert_eq!(tokens[2]["used_at"], "2026-11-23T12:00:00Z", "noted, to the hour");
    let id = tokens[2]["id"].as_i64().unwrap();
    let ada = server.user("ada", &["read_only"]).await;
    assert_eq!(ada.delete(&format!("/api/v1/tokens/{id}")).await.status, 404, "other people's tokens do not exist");
    assert_eq!(ada.get("/api/v1/tokens").await.json["tokens"], json!([]));
    assert_eq!(admin.delete(&format!("/api/v1/tokens/{id}")).await.status, 204);
    assert_eq!(read.get("/api/v1/me").await.status, 401);
    // A token sees others only where its scopes let it look; itself it finds and ends whatever they are.
    server.clock.advance(1);
    let wide = admin.with_token(&admin.make_token(&["accounts"]).await);
    let count = |listed: Value| listed["tokens"].as_array().unwrap().len();
    let all = count(wide.get("/api/v1/tokens").await.expect(200));
    let jobs = admin.with_token(&admin.make_token(&["jobs", "system"]).await);
    let seen = jobs.get("/api/v1/tokens?limit=500").await.expect(200);
    assert_eq!((count(seen.clone()), all), (1, 4), "{seen}");
    assert_eq!(seen["tokens"][0]["scopes"], json!(["jobs", "system"]));
    assert_eq!(jobs.delete(&format!("/api/v1/tokens/{}", seen["tokens"][0]["id"])).await.status, 204);
    assert_eq!(jobs.get("/api/v1/tokens").await.status, 401);
    let read = admin.with_token(&admin.make_token(&["read"]).await);
    assert_eq!(count(read.get("/api/v1/tokens").await.expect(200)), 6);

    // A password reset ends what was made with the old password; one's own change does not.
    let token = ada.with_token(&ada.make_token(&["read"]).await);
    let ada = ada.choose_password(USER_PASSWORD, "another good password").await;
    assert_eq!((ada.get("/api/v1/me").await.status, token.get("/api/v1/me").await.status), (200, 200));
    admin.post("/api/v1/users/ada/password-reset", &json!({})).await.expect(200);
    assert_eq!((ada.get("/api/v1/me").await.status, token.get("/api/v1/me").await.status), (401, 401));
    let ended = admin.get("/api/v1/tokens?q=owner:ada").await.expect(200);
    assert!(ended["tokens"][0]["revoked_at"].is_string(), "{ended}");
    let log = admin.get("/api/v1/audit?q=action:token.revoke&limit=1").await.expect(200);
    assert_eq!(log["entries"][0]["actor"], "users/admin");

    for wrong in ["quell_wrong", "wrong", ""] {
        assert_eq!(admin.with_token(wrong).get("/api/v1/me").await.status, 401);
    }
});

both_servers!(a_repeated_post_gets_the_first_answer_and_does_nothing, |server| async move {
    let admin = server.admin().await;
    let post = |path: &'static str, key: &'static str, body: Value| {
        let request = admin.request(Method::POST, path).header("idempotency-key", key);
        admin.send(request.json(&body))
    };
    // Secrets are shown once: the repetition is refused and made no second token.
    let token = json!({ "name": "t", "scopes": ["read"] });
    post("/api/v1/tokens", "k1", token.clone()).await.expect(201);
    let again = post("/api/v1/tokens", "k1", token.clone()).await;
    assert_eq!((again.status, again.code()), (409, "shown_once"));
    assert_eq!(admin.get("/api/v1/tokens").await.json["tokens"].as_array().unwrap().len(), 1);
    let other = post("/api/v1/tokens", "k1", json!({ "name": "u", "scopes": ["read"] })).await;
    assert_eq!((other.status, other.code()), (422, "idempotency_key_reused"));
    // A refused request did nothing; its key can be used again.
    assert_eq!(post("/api/v1/users", "k2", json!({ "name": "a b" })).await.status, 422);
    assert_eq!(post("/api/v1/users", "k2", json!({ "name": "ab" })).await.status, 201);
    // Bodies that are larger than an ordinary one reach their handlers, which say what they think of them.
    let large = "x".repeat(2 * 1024 * 1024);
    assert_ne!(post("/api/v1/catalogue", "k4", json!(large.clone())).await.status, 413);
    assert_ne!(post("/api/v1/imports/files", "k5", json!(large.clone())).await.status, 413);
    assert_eq!(post("/api/v1/users", "k6", json!(large)).await.status, 413);
    // An ordinary answer comes back as it was.
    let changes = json!({ "password": testkit::server::ADMIN_PASSWORD, "new_password": "another good password" });
    let first = post("/api/v1/me/password", "k3", changes).await;
    assert_eq!(first.status, 200);
    server.clock.advance(86_401);
    let admin = server.client().sign_in("admin", "another good password").await;
    let request = admin.request(Method::POST, "/api/v1/tokens").header("idempotency-key", "k1");
    assert_eq!(admin.send(request.json(&token)).await.status, 201, "forgotten after a day");
    let bad = admin.request(Method::POST, "/api/v1/tokens").header("idempotency-key", "x".repeat(129));
    assert_eq!(admin.send(bad.json(&token)).await.code(), "idempotency_key");
});

both_servers!(every_change_is_in_the_audit_log, |server| async move {
    let admin = server.admin().await;
    server.user("ada", &["job_author"]).await;
    admin.patch("/api/v1/users/ada", &json!({ "roles": ["job_reader"], "active": false })).await.expect(200);
    admin.make_token(&["read"]).await;
    let log = admin.get("/api/v1/audit?limit=500").await.expect(200);
    let said: Vec<(String, String, String)> = log["entries"]
        .as_array()
        .unwrap()
        .iter()
        .rev()
        .map(|entry| ["actor", "action", "resource"].map(|key| entry[key].as_str().unwrap().to_owned()).into())
        .collect();
    let expected = [
        ("engine/start", "user.create", "users/admin"),
        ("users/admin", "session.begin", "users/admin"),
        ("users/admin", "user.password", "users/admin"),
        ("users/admin", "session.begin", "users/admin"),
        ("users/admin", "session.begin", "users/admin"),
        ("users/admin", "user.create", "users/ada"),
        ("users/ada", "session.begin", "users/ada"),
        ("users/ada", "user.password", "users/ada"),
        ("users/admin", "user.disable", "users/ada"),
        ("users/admin", "token.create", "tokens/1"),
    ];
    let expected: Vec<_> =
        expected.iter().map(|(a, b, c)| ((*a).to_owned(), (*b).to_owned(), (*c).to_owned())).collect();
    assert_eq!(said, expected);
    let disabled = admin.get("/api/v1/audit?q=action:user.disable").await.expect(200);
    assert_eq!(disabled["entries"][0]["detail"]["before"]["roles"], json!(["job_author"]));
    assert_eq!(disabled["entries"][0]["detail"]["after"]["roles"], json!(["job_reader"]));
    assert!(!log.to_string().contains("argon2id"), "no hash in the log");
});

//! Each role on each endpoint, against the permission table of the domain.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::allow_attributes,
    reason = "a test stops where something is missing"
)]

use domain::access::ROLES;
use reqwest::Method;
use serde_json::json;
use testkit::server::TestServer;

/// Method, path, and the row of `crates/domain/src/access/tests.txt` that decides.
const ENDPOINTS: &[(Method, &str, &str)] = &[
    (Method::GET, "/api/v1/users", "users_view"),
    (Method::GET, "/api/v1/users/admin", "users_view"),
    (Method::POST, "/api/v1/users", "user_manage"),
    (Method::PATCH, "/api/v1/users/plain", "user_manage"),
    (Method::POST, "/api/v1/users/plain/password-reset", "user_manage"),
    (Method::PUT, "/api/v1/groups/team", "user_manage"),
    (Method::DELETE, "/api/v1/groups/team", "user_manage"),
    (Method::GET, "/api/v1/groups", "people_view"),
    (Method::POST, "/api/v1/tokens", "token_create"),
    (Method::GET, "/api/v1/tokens", "people_view"),
    (Method::GET, "/api/v1/audit", "audit_view"),
    (Method::GET, "/api/v1/mail", "settings_view"),
];

fn allowed(action: &str, role: usize) -> bool {
    let table = include_str!("../../domain/src/access/tests.txt");
    let row = table.lines().find(|line| line.split_whitespace().next() == Some(action)).expect("the action has a row");
    row.split_whitespace().nth(role + 1) != Some("-")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_role_gets_what_the_table_says() {
    let server = TestServer::start().await;
    server.admin().await.post("/api/v1/users", &json!({ "name": "plain" })).await.expect(201);
    for (index, role) in ROLES.iter().enumerate() {
        let client = server.user(&format!("user{index}"), &[role.as_str()]).await;
        for (method, path, action) in ENDPOINTS {
            let body = match *path {
                "/api/v1/users" => json!({ "name": format!("made{index}") }),
                "/api/v1/tokens" => json!({ "name": "t", "scopes": ["read"] }),
                "/api/v1/groups/team" => json!({ "members": [] }),
                _ => json!({}),
            };
            let mut request = client.request(method.clone(), path);
            if *method != Method::GET {
                request = request.json(&body);
            }
            let reply = client.send(request).await;
            let expected = allowed(action, index);
            assert_eq!(reply.status < 300, expected, "{role} {method} {path}: {} {}", reply.status, reply.text);
            assert!(expected || reply.code() == "role_missing", "{role} {method} {path}: {}", reply.text);
        }
    }
    let nobody = server.client();
    for (method, path, _) in ENDPOINTS {
        let reply = nobody.send(nobody.request(method.clone(), path).json(&json!({}))).await;
        assert_eq!((reply.status, reply.code()), (401, "sign_in_required"), "{method} {path}");
    }
}

//! What protects every request: headers, anti-forgery, limits, error bodies, TLS on the agents' port.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::allow_attributes,
    reason = "a test stops where something is missing"
)]

use reqwest::Method;
use serde_json::json;
use testkit::server::{ADMIN_PASSWORD, TestServer};

#[tokio::test]
async fn every_answer_carries_the_security_headers() {
    let server = TestServer::start().await;
    let client = server.client();
    for path in
        ["/livez", "/readyz", "/api/v1/server", "/api/v1/openapi.json", "/api/v1/users", "/nowhere", "/api/v1/nowhere"]
    {
        let reply = client.get(path).await;
        let header = |name: &str| reply.headers.get(name).map(|value| value.to_str().unwrap()).unwrap_or_default();
        assert_eq!(
            header("content-security-policy"),
            "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; \
             connect-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'",
            "{path}"
        );
        assert_eq!(header("x-content-type-options"), "nosniff", "{path}");
        assert_eq!(header("x-frame-options"), "DENY", "{path}");
        assert_eq!(header("referrer-policy"), "same-origin", "{path}");
        assert_eq!(header("cross-origin-opener-policy"), "same-origin", "{path}");
        assert_eq!(header("cache-control"), "no-store", "{path}");
        assert_eq!(header("x-request-id").len(), 36, "{path}");
    }
}

#[tokio::test]
async fn what_agents_sign_has_the_bounds_and_headers_of_every_request() {
    let server = TestServer::start().await;
    let site = server.app().site.clone();
    let authority = reqwest::Certificate::from_pem(site.ca_pem.as_bytes()).unwrap();
    let agent = reqwest::Client::builder().tls_certs_only([authority]).build().unwrap();
    let at = |path: &str| site.agent_url.join(path).unwrap();
    let large = vec![b'x'; protocol::agent::BODY_BYTES_MAX + 1];
    for (path, body, status, code) in [
        ("/agent/v1/poll", b"nothing signed".to_vec(), 400, "bad_envelope"),
        ("/agent/v1/events", large, 413, "too_large"),
        ("/agent/v1/restart", Vec::new(), 400, "bad_envelope"),
        ("/agent/v1/nowhere", Vec::new(), 404, "not_found"),
    ] {
        let answer = agent.post(at(path)).header("x-request-id", "agent-0001").body(body).send().await.unwrap();
        assert_eq!((answer.status().as_u16(), answer.version()), (status, reqwest::Version::HTTP_11), "{path}");
        let headers = answer.headers().clone();
        assert_eq!(headers["content-type"], "application/problem+json", "{path}");
        assert_eq!(headers["cache-control"], "no-store", "{path}");
        assert_eq!(headers["x-frame-options"], "DENY", "{path}");
        assert_eq!(headers["x-request-id"], "agent-0001", "{path}");
        let problem: serde_json::Value = answer.json().await.unwrap();
        assert_eq!((&problem["code"], &problem["request_id"]), (&json!(code), &json!("agent-0001")), "{path}");
    }
    let looked = agent.get(at("/agent/v1/poll")).send().await.unwrap();
    assert_eq!(looked.status(), 404, "a poll is signed and posted");
}

#[tokio::test]
async fn a_request_keeps_a_plain_name_given_by_its_caller() {
    let server = TestServer::start().await;
    let client = server.client();
    let named = |id: &'static str| {
        let client = client.clone();
        async move {
            let request = client.request(Method::GET, "/api/v1/nowhere").header("x-request-id", id);
            let reply = client.send(request).await;
            assert_eq!(reply.json["request_id"], reply.headers["x-request-id"].to_str().unwrap());
            reply.headers["x-request-id"].to_str().unwrap().to_owned()
        }
    };
    assert_eq!(named("proxy-1234.x").await, "proxy-1234.x");
    assert_ne!(named("<script>alert</script>").await, "<script>alert</script>");
}

#[tokio::test]
async fn what_another_site_makes_a_browser_send_is_refused() {
    let server = TestServer::start().await;
    let admin = server.admin().await;
    let body = json!({ "members": [] });
    let put = |site: Option<(&'static str, String)>, csrf: Option<String>| {
        let client = admin.clone().with_csrf(csrf);
        let mut request = client.request(Method::PUT, "/api/v1/groups/team").json(&body);
        if let Some((name, value)) = site {
            request = request.header(name, value);
        }
        async move { client.send(request).await }
    };
    let good = admin.csrf.clone();
    assert_eq!(put(None, good.clone()).await.status, 200);
    assert_eq!(put(None, None).await.code(), "csrf_token");
    assert_eq!(put(None, Some("x".repeat(86))).await.code(), "csrf_token");
    let other = server.admin().await.csrf;
    assert_eq!(put(None, other).await.code(), "csrf_token", "a token belongs to its session");
    for (name, value, allowed) in [
        ("sec-fetch-site", "same-origin".to_owned(), true),
        ("sec-fetch-site", "none".to_owned(), true),
        ("sec-fetch-site", "same-site".to_owned(), false),
        ("sec-fetch-site", "cross-site".to_owned(), false),
        ("origin", server.url(""), true),
        ("origin", "https://evil.example".to_owned(), false),
        ("origin", "null".to_owned(), false),
    ] {
        let reply = put(Some((name, value.clone())), good.clone()).await;
        assert_eq!(reply.status, if allowed { 200 } else { 403 }, "{name}: {value}");
        if !allowed {
            assert_eq!(reply.code(), "cross_site");
        }
    }
    // Signing somebody in from another site is refused too, though there is no session yet.
    let client = server.client();
    let request = client.request(Method::POST, "/api/v1/session").header("sec-fetch-site", "cross-site");
    let reply = client.send(request.json(&json!({ "name": "admin", "password": ADMIN_PASSWORD }))).await;
    assert_eq!(reply.code(), "cross_site");
    // A token is not sent by browsers on their own.
    let token = admin.make_token(&["accounts"]).await;
    let program = server.client().with_token(&token);
    let request = program.request(Method::PUT, "/api/v1/groups/team").header("origin", "https://evil.example");
    assert_eq!(program.send(request.json(&body)).await.status, 200);
}

#[tokio::test]
async fn errors_are_problem_bodies_and_say_what_to_do() {
    let server = TestServer::start().await;
    let admin = server.admin().await;
    let missing = admin.get("/api/v1/users/nobody").await;
    assert_eq!((missing.status, missing.code()), (404, "not_found"));
    assert_eq!(missing.json["detail"], "there is no user nobody");
    assert_eq!(missing.json["type"], "urn:quell:problem:not_found");
    assert_eq!(missing.headers["content-type"], "application/problem+json");
    let method = admin.delete("/api/v1/users").await;
    assert_eq!((method.status, method.code()), (405, "method_not_allowed"));
    let broken = admin
        .send(admin.request(Method::POST, "/api/v1/users").header("content-type", "application/json").body("{"))
        .await;
    assert_eq!((broken.status, broken.code()), (400, "bad_request"));
    let unknown = admin.post("/api/v1/users", &json!({ "name": "x", "admin": true })).await;
    assert_eq!(unknown.status, 422);
    assert!(unknown.json["detail"].as_str().unwrap().contains("unknown field `admin`"), "{}", unknown.text);
    let kind = admin.send(admin.request(Method::POST, "/api/v1/users").body("name=x")).await;
    assert_eq!((kind.status, kind.code()), (415, "media_type"));
    let large = json!({ "name": "x".repeat(1_100_000) });
    assert_eq!(admin.post("/api/v1/users", &large).await.code(), "too_large");
    let cursor = admin.get("/api/v1/users?cursor=abc").await;
    assert_eq!((cursor.status, cursor.json["errors"][0]["field"].as_str()), (422, Some("cursor")));
    assert_eq!(admin.get("/api/v1/users?limti=3").await.status, 422, "a misspelt parameter is not ignored");
}

#[tokio::test]
async fn errors_of_pages_are_pages() {
    let server = TestServer::start().await;
    let nobody = server.client();
    let page = nobody.get("/nowhere?x=<script>").await;
    assert_eq!(page.status, 404);
    assert_eq!(page.headers["content-type"], "text/html; charset=utf-8");
    assert!(page.text.contains("<h1>Not found</h1>") && !page.text.contains("<script>"), "{}", page.text);
    let fragment = nobody.send(nobody.request(Method::GET, "/nowhere").header("hx-request", "true")).await;
    assert!(fragment.text.starts_with("<div role=\"alert\""), "{}", fragment.text);
}

#[tokio::test]
async fn the_agents_port_speaks_tls_and_knows_nothing_of_the_api() {
    let server = TestServer::start().await;
    let url = server.app().site.agent_url.clone();
    assert_eq!(url.scheme(), "https");
    testkit::server::provide_tls();
    let authority = reqwest::Certificate::from_pem(server.app().site.ca_pem.as_bytes()).unwrap();
    let client = reqwest::Client::builder().tls_certs_only([authority]).build().unwrap();
    assert_eq!(client.get(url.join("/livez").unwrap()).send().await.unwrap().status(), 200);
    assert_eq!(client.get(url.join("/api/v1/server").unwrap()).send().await.unwrap().status(), 404);
    let stranger = reqwest::Client::builder().build().unwrap();
    assert!(stranger.get(url.join("/livez").unwrap()).send().await.is_err(), "nobody else vouches for it");
}

#[tokio::test]
async fn large_answers_are_compressed() {
    let server = TestServer::start().await;
    // A client that leaves the body as it came: others hide the header.
    let client = reqwest::Client::builder().no_gzip().build().unwrap();
    let request = client.get(server.url("/api/v1/openapi.json")).header("accept-encoding", "gzip");
    assert_eq!(request.send().await.unwrap().headers()["content-encoding"], "gzip");
}

/// A server for people over TLS with one trusted proxy on this host.
async fn behind_tls() -> (tempfile::TempDir, server::Server, reqwest::Client) {
    testkit::server::provide_tls();
    let folder = tempfile::tempdir().unwrap();
    let mut config = server::Config::loopback(folder.path());
    config.people = server::config::People::Tls;
    config.trusted_proxies = vec!["127.0.0.1".parse().unwrap()];
    let server = server::Server::start(config).await.unwrap();
    let authority = reqwest::Certificate::from_pem(server.app.site.ca_pem.as_bytes()).unwrap();
    let client = reqwest::Client::builder().tls_certs_only([authority]).build().unwrap();
    (folder, server, client)
}

#[tokio::test]
async fn under_tls_the_cookie_is_bound_to_tls_and_the_host() {
    let (_folder, server, client) = behind_tls().await;
    assert_eq!(server.app.site.public_url.scheme(), "https");
    let first = server.first_account.clone().unwrap();
    let given = json!({ "name": first.name, "password": first.password });
    let url = server.app.site.public_url.join("/api/v1/session").unwrap();
    let reply = client.post(url).json(&given).send().await.unwrap();
    let cookie = reply.headers()["set-cookie"].to_str().unwrap().to_owned();
    assert!(cookie.starts_with("__Host-quell=") && cookie.ends_with("; Secure"), "{cookie}");
    assert!(!reply.headers().contains_key("strict-transport-security"), "nobody is bound to our own authority");
    server.shutdown().await;
}

#[tokio::test]
async fn behind_a_trusted_proxy_each_client_has_its_own_throttle() {
    let (_folder, server, client) = behind_tls().await;
    let url = server.app.site.public_url.join("/api/v1/session").unwrap();
    let attempt = |from: &'static str, name: String| {
        let request = client.post(url.clone()).header("x-forwarded-for", from);
        async move { request.json(&json!({ "name": name, "password": "guess" })).send().await.unwrap().status().as_u16() }
    };
    for n in 0..21 {
        assert_eq!(attempt("6.6.6.6, 203.0.113.7", format!("name{n}")).await, 401);
    }
    assert_eq!(attempt("203.0.113.7", "other".to_owned()).await, 429, "the last address is the one the proxy saw");
    assert_eq!(attempt("203.0.113.8", "other".to_owned()).await, 401);
    server.shutdown().await;
}

#[tokio::test]
async fn a_stranger_who_fails_on_purpose_does_not_keep_an_owner_out() {
    let (_folder, server, client) = behind_tls().await;
    let url = server.app.site.public_url.join("/api/v1/session").unwrap();
    let right = server.first_account.clone().unwrap().password;
    let attempt = |from: String, password: &str| {
        let request = client.post(url.clone()).header("x-forwarded-for", from);
        let request = request.json(&json!({ "name": "admin", "password": password }));
        async move { request.send().await.unwrap().status().as_u16() }
    };
    assert_eq!(attempt("203.0.113.8".to_owned(), &right).await, 200);
    let mut refused = 0;
    // Each from an address of its own, of one /64 where they are IPv6.
    for n in 0..12 {
        refused += i32::from(attempt(format!("198.51.100.{n}"), "guess").await == 429);
    }
    assert!(refused > 0, "an account is guarded against many addresses");
    assert_eq!(attempt("198.51.100.99".to_owned(), &right).await, 429, "from a network nobody knows");
    assert_eq!(attempt("203.0.113.8".to_owned(), &right).await, 200, "from where the owner is known");
    server.shutdown().await;
}

#[tokio::test]
async fn readiness_ends_when_the_server_is_asked_to_stop() {
    let server = TestServer::start().await;
    let client = server.client();
    assert_eq!(client.get("/readyz").await.status, 200);
    server.app().stopping.cancel();
    assert_eq!(client.get("/readyz").await.status, 503);
    assert_eq!(client.get("/livez").await.status, 200);
}

//! The server starts on free ports, answers on both, and stops.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::allow_attributes,
    reason = "a test stops where something is missing"
)]

use server::{Config, Server};
use std::time::{Duration, Instant};

fn folder() -> std::path::PathBuf {
    std::env::temp_dir().join(format!("quell-test-{}", uuid::Uuid::new_v4()))
}

#[tokio::test]
async fn starts_answers_and_stops() {
    let folder = folder();
    let started = Instant::now();
    let server = Server::start(Config::loopback(&folder)).await.unwrap();
    assert!(started.elapsed() < Duration::from_secs(1), "ready below one second");
    let provider = rustls::crypto::ring::default_provider();
    let _ = provider.install_default();
    let authority = reqwest::Certificate::from_pem(server.app.site.ca_pem.as_bytes()).unwrap();
    let client = reqwest::Client::builder().tls_certs_only([authority]).build().unwrap();
    for base in [&server.app.site.public_url, &server.app.site.agent_url] {
        let answer = client.get(base.join("/livez").unwrap()).send().await.unwrap();
        assert_eq!(answer.status(), 200, "{base}");
        assert_eq!(answer.headers()["x-content-type-options"], "nosniff");
        assert!(answer.headers().contains_key("x-request-id"));
    }
    let problem = client.get(server.app.site.public_url.join("/api/v1/nowhere").unwrap()).send().await.unwrap();
    assert_eq!(problem.status(), 404);
    assert_eq!(problem.headers()["content-type"], "application/problem+json");
    let page = client.get(server.app.site.public_url.join("/nowhere").unwrap()).send().await.unwrap();
    assert_eq!(
        (page.status().as_u16(), &page.headers()["content-type"]),
        (404, &"text/html; charset=utf-8".parse().unwrap())
    );
    server.shutdown().await;
    std::fs::remove_dir_all(folder).unwrap();
}

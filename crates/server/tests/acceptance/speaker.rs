//! An agent that asks and says over its own door.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use domain::id::AssetId;
use domain::mitigation::ControlState;
use protocol::agent::{Body, CHECKS_PATH, Check, CheckCause, Checks, REQUEST_TYPE, Request};
use protocol::signed::{Envelope, SigningKey};
use serde_json::Value;
use std::sync::atomic::{AtomicU64, Ordering};
use testkit::server::TestServer;
use uuid::Uuid;

/// The agent of an asset, with a key of its own.
pub struct Speaker {
    agent: Uuid,
    instance: Uuid,
    key: SigningKey,
    seq: AtomicU64,
    http: reqwest::Client,
    url: String,
}

impl Speaker {
    pub async fn on(server: &TestServer, asset: i64) -> Speaker {
        let key = SigningKey::generate().unwrap();
        let public = STANDARD.encode(key.public().as_bytes());
        let write = server.app().database.write(move |tx| {
            tx.execute("UPDATE agent SET public_key = $2 WHERE asset_id = $1", &[&asset, &public])?;
            store::agents::on_asset(tx, AssetId(asset))
        });
        let row = write.await.unwrap().unwrap();
        let authority = reqwest::Certificate::from_pem(server.app().site.ca_pem.as_bytes()).unwrap();
        let http = reqwest::Client::builder().tls_certs_only([authority]).build().unwrap();
        let url = format!("https://127.0.0.1:{}", server.server().agent_address.port());
        Speaker { agent: row.agent_id, instance: row.instance_id, key, seq: AtomicU64::new(1), http, url }
    }

    /// Report checks; gives status and body.
    pub async fn says(&self, server: &TestServer, n: u64, controls: Vec<Check>) -> (u16, Value) {
        let checks = Checks { n, why: CheckCause::Timer, boot_id: "b".to_owned(), controls };
        self.asks(server, CHECKS_PATH, Body::Checks(Box::new(checks))).await
    }

    /// Ask or say this at an address of its door; gives status and body.
    pub async fn asks(&self, server: &TestServer, path: &str, body: Body) -> (u16, Value) {
        let request = Request {
            v: 1,
            agent_id: self.agent,
            instance_id: self.instance,
            seq: self.seq.fetch_add(1, Ordering::Relaxed),
            sent_at: server.app().clock.now(),
            body,
        };
        let payload = serde_json::to_vec(&request).unwrap();
        let body = Envelope::sign(REQUEST_TYPE, &payload, &[&self.key]).to_json();
        let url = format!("{}{path}", self.url);
        let reply = self.http.post(url).header("content-type", "application/json").body(body).send().await.unwrap();
        let status = reply.status().as_u16();
        (status, serde_json::from_slice(&reply.bytes().await.unwrap()).unwrap_or(Value::Null))
    }
}

/// What a check of this entry found, now.
pub fn check(server: &TestServer, entry: &str, state: ControlState, held: bool) -> Check {
    Check {
        entry_id: entry.to_owned(),
        content_digest: "0".repeat(64),
        state,
        held,
        at: server.app().clock.now(),
        message: "net.ipv4.tcp_sack is 1".to_owned(),
    }
}

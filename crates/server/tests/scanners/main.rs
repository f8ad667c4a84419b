//! Scanner administration over real HTTP: the test of a connection, versions, limits, and instances that are disabled,
//! deleted, or only begun.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::allow_attributes,
    reason = "a test stops where something is missing"
)]

mod appliances;
mod instances;
mod platform;

use qualys_sim::{Limits, Options, Simulator};
use serde_json::{Value, json};
use std::time::Duration;
use testkit::server::Client;

async fn simulator(options: Options) -> Simulator {
    // No limits: the test server's clock stands still, so nobody could wait for one.
    let limits = Limits { rate: 1_000_000, window_seconds: 1, concurrency: 100 };
    Simulator::start(Options { limits, ..options }).await.expect("the simulator starts")
}

fn new_instance(simulator: &Simulator) -> Value {
    json!({
        "name": "Simulated", "api_url": simulator.api_url(), "gateway_url": simulator.gateway_url(),
        "username": simulator.username(), "password": simulator.password(),
    })
}

async fn instance(admin: &Client, simulator: &Simulator) -> String {
    let made = admin.post("/api/v1/instances", &new_instance(simulator)).await.expect(201);
    format!("/api/v1/instances/{}", made["instance"]["id"])
}

/// Import and wait for the end of the run.
async fn import(admin: &Client, instance: &str, kind: &str) -> Value {
    let begun = admin.post(&format!("{instance}/imports"), &json!({ "kind": kind })).await.expect(202);
    let number = begun["import"]["number"].as_str().expect("a number").to_owned();
    for _ in 0..1_200 {
        let run = admin.get(&format!("/api/v1/imports/{number}")).await.expect(200);
        if run["import"]["state"] != "running" {
            return run;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("the import {number} does not end");
}

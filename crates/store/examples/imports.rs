//! How fast whole machines are merged: `cargo run --release -p store --example imports -- [HOSTS] [DETECTIONS_PER_HOST]`, or
//! only the floor, on either engine: `... -- --floor HOSTS DETECTIONS_PER_HOST [POSTGRES_URL]`.
//!
//! Prints, for SQLite in a temporary folder, the time per detection of a first load (hosts, assets, placeholders,
//! detections and items), of the same again (nothing is written), and of a scan that saw everything once more (every
//! row is written). Beside it the floor: bare prepared inserts of as many detections and items by the same driver.

#![allow(
    clippy::print_stdout,
    clippy::disallowed_methods,
    clippy::expect_used,
    clippy::allow_attributes,
    reason = "a measuring program"
)]

use domain::id::InstanceId;
use domain::time::Timestamp;
use std::time::{Duration, Instant};
use store::detections::{DetectionSeen, Machine};
use store::hosts::HostSeen;
use store::imports::{Cause, Kind, Run, Start};
use store::{Database, detections, imports, instances, migrate};

/// Detections merged in one transaction, as the server does it.
const BATCH: usize = 5_000;

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_micros(1_790_000_000_000_000).plus_seconds(seconds)
}

fn machine(host: usize, detections: usize, seen: i64) -> Machine {
    let rows = (0..detections).map(|n| DetectionSeen {
        qid: 100_000 + ((host * 7 + n * 13) % 5_000) as i64,
        unique_id: (host * detections + n).to_string(),
        kind: "confirmed".to_owned(),
        severity: Some(4),
        protocol: "tcp".to_owned(),
        port: (n % 60_000) as i64,
        status: if seen == 0 { "new" } else { "active" }.to_owned(),
        qds: Some(((host + n) % 100 + 1) as u8),
        results: "Package installed version required version: something that a scanner writes down".repeat(2),
        times_found: seen + 1,
        first_found_at: Some(at(0)),
        last_found_at: Some(at(seen)),
        last_test_at: Some(at(seen)),
        last_processed_at: Some(at(seen)),
        ..DetectionSeen::default()
    });
    Machine {
        host: HostSeen {
            host_key: host.to_string(),
            keyed: true,
            ip: format!("10.{}.{}.{}", host >> 16 & 255, host >> 8 & 255, host & 255),
            fqdn: format!("host{host}.example"),
            os: "Ubuntu 22.04".to_owned(),
            last_scan_at: Some(at(seen)),
            ..HostSeen::default()
        },
        detections: rows.collect(),
    }
}

fn load(database: &Database, run: &Run, hosts: usize, per_host: usize, seen: i64) -> Duration {
    let per_batch = (BATCH / per_host).max(1);
    let mut spent = Duration::ZERO;
    for first in (0..hosts).step_by(per_batch) {
        let machines: Vec<Machine> =
            (first..(first + per_batch).min(hosts)).map(|host| machine(host, per_host, seen)).collect();
        let run = run.clone();
        let began = Instant::now();
        database.write_bulk_blocking(move |tx| detections::merge(tx, &run, &machines, at(seen))).expect("a merge");
        spent += began.elapsed();
    }
    spent
}

/// Bare prepared inserts of as many rows into tables of the same shape, one transaction per batch.
fn floor(database: &Database, hosts: usize, per_host: usize) -> Duration {
    migrate::run(database).expect("migrations");
    database
        .write_blocking(|tx| {
            tx.script(
                "CREATE TABLE floor_detection (id {id}, host {whole}, vulnerability {whole}, item {whole},
                     protocol {text}, port {whole}, fqdn {text}, service {text}, unique_id {text}, kind {text},
                     severity {whole}, status {text}, qds {whole}, inherent {whole}, source {text}, results {text},
                     times_found {whole}, first_at {whole}, last_at {whole}, test_at {whole}, processed_at {whole},
                     digest {bytes}, run {whole}) {strict};
                 CREATE UNIQUE INDEX floor_detection_key
                     ON floor_detection (host, vulnerability, protocol, port, fqdn, service);
                 CREATE INDEX floor_detection_item ON floor_detection (item);
                 CREATE INDEX floor_detection_vulnerability ON floor_detection (vulnerability);
                 CREATE TABLE floor_item (id {id}, number {whole}, vulnerability {whole}, asset {whole}, state {text},
                     inherent {whole}, residual {whole}, opened_at {whole}) {strict};
                 CREATE UNIQUE INDEX floor_item_number ON floor_item (number);
                 CREATE UNIQUE INDEX floor_item_key ON floor_item (vulnerability, asset);
                 CREATE INDEX floor_item_asset ON floor_item (asset);
                 CREATE INDEX floor_item_residual ON floor_item (residual, id)",
            )
        })
        .expect("tables");
    let mut spent = Duration::ZERO;
    let per_batch = (BATCH / per_host).max(1);
    for first in (0..hosts).step_by(per_batch) {
        let machines: Vec<Machine> =
            (first..(first + per_batch).min(hosts)).map(|host| machine(host, per_host, 0)).collect();
        let began = Instant::now();
        database
            .write_bulk_blocking(move |tx| {
                for machine in &machines {
                    let host: i64 = machine.host.host_key.parse().expect("a number");
                    for row in &machine.detections {
                        tx.execute(
                            "INSERT INTO floor_detection (host, vulnerability, item, protocol, port, fqdn, service,
                                 unique_id, kind, severity, status, qds, inherent, source, results, times_found,
                                 first_at, last_at, test_at, processed_at, digest, run)
                             VALUES ($1, $2, $2, $3, $4, '', '', $5, $6, 4, $7, $8, $8, 'qds', $9, 1, $10, $10, $10,
                                 $10, $11, 1)",
                            &[
                                &host,
                                &row.qid,
                                &row.protocol,
                                &row.port,
                                &row.unique_id,
                                &row.kind,
                                &row.status,
                                &row.qds,
                                &row.results,
                                &row.last_found_at,
                                &[0_u8; 16],
                            ],
                        )?;
                        let number: i64 = row.unique_id.parse().expect("a number");
                        tx.execute(
                            "INSERT INTO floor_item (number, vulnerability, asset, state, inherent, residual, opened_at)
                             VALUES ($1, $2, $3, 'open', $4, $4, $5) ON CONFLICT DO NOTHING",
                            &[&number, &row.qid, &host, &row.qds, &row.last_found_at],
                        )?;
                    }
                }
                Ok(())
            })
            .expect("rows");
        spent += began.elapsed();
    }
    spent
}

fn main() {
    let mut arguments: Vec<String> = std::env::args().skip(1).collect();
    let only_floor = arguments.first().is_some_and(|first| first == "--floor");
    arguments.drain(..usize::from(only_floor));
    let number = |at: usize, default: usize| arguments.get(at).map_or(default, |text| text.parse().expect("a number"));
    let (hosts, per_host) = (number(0, 2_000), number(1, 100));
    let folder = tempfile::tempdir().expect("a folder");
    let rows = (hosts * per_host) as f64;
    let told = |what: &str, spent: Duration| {
        println!("{what:28} {:8.2} s  {:6.2} µs per detection", spent.as_secs_f64(), spent.as_secs_f64() * 1e6 / rows);
    };
    let lowest = match arguments.get(2) {
        Some(url) => Database::postgres(url),
        None => Database::sqlite(folder.path().join("floor.db")),
    };
    let lowest = floor(&lowest.expect("a database"), hosts, per_host);
    told("floor: bare inserts", lowest);
    if only_floor {
        return;
    }
    let database = Database::sqlite(folder.path().join("quell.db")).expect("a database");
    migrate::run(&database).expect("migrations");
    let run = database
        .write_blocking(|tx| {
            let instance: InstanceId = instances::for_files(tx, "users/bench", "Bench", "qualys", at(0))?;
            let start = Start { instance, kind: Kind::File, cause: Cause::People, actor: "users/bench", source: "" };
            imports::start(tx, start, at(0))
        })
        .expect("a run");
    println!("{hosts} hosts with {per_host} detections each");
    told("first load", load(&database, &run, hosts, per_host, 0));
    told("the same again", load(&database, &run, hosts, per_host, 0));
    told("everything seen once more", load(&database, &run, hosts, per_host, 60));
}

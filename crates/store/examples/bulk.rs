//! How fast rows are merged: one million rows of fourteen columns, a first load and a second of which 95 % are known.
//!
//! `cargo run --release -p store --example bulk -- sqlite:FILE|postgres://… [ROWS]`. The figures to compare with are
//! those of a bare prepared-statement loop (SQLite) and of COPY and merge (PostgreSQL) on the same machine, which the
//! program measures as well for SQLite.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::indexing_slicing,
    clippy::allow_attributes,
    reason = "a measuring program: it stops where something is wrong"
)]

use std::time::Instant;
use store::{Config, Database, Location, Result, Transaction, stage};

#[derive(Clone)]
struct Seen {
    host: i64,
    check_id: i64,
    port: i32,
    protocol: &'static str,
    instance: String,
    scanner: i32,
    severity: i16,
    score: f64,
    state: &'static str,
    evidence: String,
    first_at: i64,
    last_at: i64,
    scan: i64,
    print: String,
}
stage!(Seen as "seen_batch" {
    host: i64, check_id: i64, port: i32, protocol: &str, instance: String, scanner: i32, severity: i16, score: f64,
    state: &str, evidence: String, first_at: i64, last_at: i64, scan: i64, print: String,
});

const TABLE: &str = "
    CREATE TABLE seen (
        id {id}, host {whole} NOT NULL, check_id {whole} NOT NULL, port {medium} NOT NULL, protocol {text} NOT NULL,
        instance {text} NOT NULL, scanner {medium} NOT NULL, severity {small} NOT NULL, score {real} NOT NULL,
        state {text} NOT NULL, evidence {text} NOT NULL, first_at {time} NOT NULL, last_at {time} NOT NULL,
        scan {whole} NOT NULL, print {text} NOT NULL
    ) {strict};
    CREATE UNIQUE INDEX seen_key ON seen (host, check_id, port, protocol, instance);
    CREATE INDEX seen_check ON seen (check_id);";

const TAIL: &str = "ON CONFLICT (host, check_id, port, protocol, instance) DO UPDATE SET
    severity = excluded.severity, score = excluded.score, evidence = excluded.evidence, last_at = excluded.last_at,
    scan = excluded.scan, state = CASE seen.state WHEN 'fixed' THEN 'reopened' ELSE seen.state END";

fn merge(tx: &mut Transaction<'_>, rows: &[Seen]) -> Result<u64> {
    tx.stage(rows)?;
    tx.execute(
        "INSERT INTO seen (host, check_id, port, protocol, instance, scanner, severity, score, state, evidence,
                           first_at, last_at, scan, print)
         SELECT host, check_id, port, protocol, instance, scanner, severity, score, state, evidence,
                first_at, last_at, scan, print FROM seen_batch WHERE true
         ON CONFLICT (host, check_id, port, protocol, instance) DO UPDATE SET
             severity = excluded.severity, score = excluded.score, evidence = excluded.evidence,
             last_at = excluded.last_at, scan = excluded.scan,
             state = CASE seen.state WHEN 'fixed' THEN 'reopened' ELSE seen.state END",
        &[],
    )
}

/// Ordered by host, as scanners report; in the second round one row in twenty is new.
fn rows(count: usize, round: i64) -> Vec<Seen> {
    let mix = |n: u64| (n ^ (n >> 31)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (0..count as u64)
        .map(|n| {
            let random = mix(n + 1);
            let version = random % 20;
            Seen {
                host: i64::try_from(n / 100).unwrap(),
                check_id: i64::try_from(random % 40_000).unwrap() + 100_000,
                port: [22, 80, 443, 445, 3389, 8443, 0][(random >> 20) as usize % 7],
                protocol: if random % 10 == 0 { "udp" } else { "tcp" },
                instance: format!("{}{:08x}", if round > 1 && n % 20 == 0 { "new" } else { "lib" }, random as u32),
                scanner: 1,
                severity: i16::try_from(random % 5).unwrap() + 1,
                score: (random % 101) as f64,
                state: "open",
                evidence: format!(
                    "installed: openssl-3.0.{version}, expected: openssl-3.0.{}, found in /usr/lib/x86_64-linux-gnu/libssl.so.{} by the package manager",
                    version + 1,
                    random % 4
                ),
                first_at: 1_790_000_000_000_000 + round,
                last_at: 1_790_000_000_000_000 + round,
                scan: round,
                print: format!("{random:016x}{:016x}", mix(random)),
            }
        })
        .collect()
}

fn staged(location: &str, count: usize) {
    let db = Database::open(&Config::new(location.parse().unwrap())).unwrap();
    db.write_bulk_blocking(|tx| tx.script("DROP TABLE IF EXISTS seen").and_then(|()| tx.script(TABLE))).unwrap();
    for round in 1..=2 {
        let chunks: Vec<Vec<Seen>> = rows(count, round).chunks(10_000).map(<[_]>::to_vec).collect();
        let started = Instant::now();
        for chunk in chunks {
            db.write_bulk_blocking(move |tx| merge(tx, &chunk)).unwrap();
        }
        println!("staged and merged, round {round}: {:.2} s", started.elapsed().as_secs_f64());
    }
}

/// The floor: the driver alone, one prepared upsert.
fn bare(path: &std::path::Path, count: usize) {
    let mut connection = rusqlite::Connection::open(path.with_extension("bare")).unwrap();
    let pragmas = "PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; PRAGMA cache_size = -24576;
        PRAGMA wal_autocheckpoint = 4000; DROP TABLE IF EXISTS seen";
    connection.execute_batch(pragmas).unwrap();
    let table = TABLE
        .replace("{id}", "INTEGER PRIMARY KEY AUTOINCREMENT")
        .replace("{text}", "TEXT")
        .replace("{real}", "REAL")
        .replace("{strict}", "STRICT");
    let table =
        ["{whole}", "{medium}", "{small}", "{time}"].iter().fold(table, |sql, word| sql.replace(word, "INTEGER"));
    connection.execute_batch(&table).unwrap();
    let upsert = format!(
        "INSERT INTO seen (host, check_id, port, protocol, instance, scanner, severity, score, state, evidence,
         first_at, last_at, scan, print) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) {TAIL}"
    );
    for round in 1..=2 {
        let rows = rows(count, round);
        let started = Instant::now();
        for chunk in rows.chunks(10_000) {
            let transaction = connection.transaction().unwrap();
            {
                let mut statement = transaction.prepare_cached(&upsert).unwrap();
                for row in chunk {
                    statement
                        .execute(rusqlite::params![
                            row.host,
                            row.check_id,
                            row.port,
                            row.protocol,
                            row.instance,
                            row.scanner,
                            row.severity,
                            row.score,
                            row.state,
                            row.evidence,
                            row.first_at,
                            row.last_at,
                            row.scan,
                            row.print
                        ])
                        .unwrap();
                }
            }
            transaction.commit().unwrap();
        }
        println!("the driver alone, round {round}: {:.2} s", started.elapsed().as_secs_f64());
    }
}

fn main() {
    let mut arguments = std::env::args().skip(1);
    let location = arguments.next().expect("the first argument is a place: sqlite:FILE or postgres://…");
    let count = arguments.next().map_or(1_000_000, |count| count.parse().expect("the second argument is a number"));
    if let Ok(Location::Sqlite(path)) = location.parse() {
        bare(&path, count);
    }
    staged(&location, count);
}

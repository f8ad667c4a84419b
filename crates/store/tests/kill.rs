//! A process that is killed in the middle of its writes: what was acknowledged is there, and nothing is there by half.
//!
//! Killing a process does not lose what the operating system holds, so this shows atomicity and order, not fsync.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::allow_attributes,
    reason = "a test panics rather than returning an error"
)]

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use store::{Database, Result, Transaction};

const CHILD: &str = "QUELL_KILL_TEST_DATABASE";

fn insert(tx: &mut Transaction<'_>, n: i64, half: i64) -> Result<()> {
    tx.execute("INSERT INTO half (n, half) VALUES ($1, $2)", &[&n, &half]).map(|_| ())
}

/// Not a test of its own: what the killed process runs.
#[test]
fn child() {
    let Ok(path) = std::env::var(CHILD) else { return };
    let db = Database::sqlite(Path::new(&path)).unwrap();
    let first: i64 = db
        .write_blocking(|tx| {
            tx.script("CREATE TABLE IF NOT EXISTS half (n {whole} NOT NULL, half {whole} NOT NULL, PRIMARY KEY (n, half)) {keyed};")?;
            tx.scalar("SELECT coalesce(max(n), 0) + 1 FROM half", &[])
        })
        .unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().unwrap();
    runtime.block_on(async move {
        let mut tasks = Vec::new();
        for lane in 0..16_i64 {
            let db = db.clone();
            tasks.push(tokio::spawn(async move {
                for turn in 0.. {
                    let n = first + turn * 16 + lane;
                    db.write(move |tx| insert(tx, n, 1).and_then(|()| insert(tx, n, 2))).await.unwrap();
                    let mut out = std::io::stdout().lock();
                    writeln!(out, "kept {n}").and_then(|()| out.flush()).unwrap();
                }
            }));
        }
        for task in tasks {
            task.await.unwrap();
        }
    });
}

#[test]
fn what_was_acknowledged_survives_a_kill() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("quell.db");
    let mut acknowledged: Vec<i64> = Vec::new();
    for round in 0..6_u64 {
        let mut process = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "child", "--nocapture"])
            .env(CHILD, &path)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let started = Instant::now();
        let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
        let before = acknowledged.len();
        while let Some(Ok(line)) = lines.next() {
            acknowledged.extend(line.strip_prefix("kept ").and_then(|n| n.parse::<i64>().ok()));
            if acknowledged.len() > before + 20 && started.elapsed() > Duration::from_millis(60 + round * 37) {
                break;
            }
        }
        process.kill().unwrap();
        // What it still said before it died counts as well.
        acknowledged.extend(
            lines.map_while(std::result::Result::ok).filter_map(|line| line.strip_prefix("kept ")?.parse::<i64>().ok()),
        );
        process.wait().unwrap();
        let db = Database::sqlite(&path).unwrap();
        let kept: Vec<(i64, i64)> =
            db.read_blocking(|tx| tx.all("SELECT n, count(*) FROM half GROUP BY n ORDER BY n", &[])).unwrap();
        assert!(kept.iter().all(|(_, halves)| *halves == 2), "round {round}: a write is there by half");
        let kept: std::collections::BTreeSet<i64> = kept.into_iter().map(|(n, _)| n).collect();
        let lost: Vec<&i64> = acknowledged.iter().filter(|n| !kept.contains(n)).collect();
        assert!(lost.is_empty(), "round {round}: acknowledged and lost: {lost:?}");
        assert!(acknowledged.len() > before, "round {round}: the process did something");
        assert_eq!(db.read_blocking(|tx| tx.scalar::<String>("PRAGMA integrity_check", &[])).unwrap(), "ok");
    }
}

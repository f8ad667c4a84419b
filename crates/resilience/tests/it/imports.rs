//! Imports whose server is killed: what is known is what the platform holds, and no cursor is ahead of it.

use crate::crash::{Dice, number};
use crate::site::{OUTAGE, Setup, Site, pick};
use std::time::Duration;
use store::Engine;

const FAST: Setup = Setup { speed: "400", search_seconds: 60 };
/// Kills after which everything is let come to rest and is compared.
const REST_AFTER: u64 = 20;

/// Kill the server at every point of an import. What changed is older than what the next import asks for again anyhow, so that a cursor
/// which moves too early is seen.
fn killed_at_every_point(engine: Engine, test: &str) {
    let Some(mut site) = Site::new(engine, test, FAST) else { return };
    let mut dice = Dice::new();
    for (point, _) in server::failpoint::IMPORT {
        site.outage(OUTAGE);
        site.change(&mut dice, 12);
        site.outage(1_000);
        site.start(Some(point));
        let number = site.ask("host_detection");
        site.after_death(point);
        site.outage(1_000);
        site.start(None);
        site.complete("host_detection");
        if let Some(number) = number {
            let run = site.ended(&number);
            let expected = if *point == "import.finished" { "complete" } else { "failed" };
            assert_eq!(run["state"], expected, "{point}: {run}");
        }
        site.agrees(point);
        site.cursors(point);
        eprintln!("killed at {point}: {:?}", site.runs());
    }
}

#[test]
fn an_import_loses_nothing_at_every_failpoint_sqlite() {
    killed_at_every_point(Engine::Sqlite, "import failpoints on SQLite");
}

#[test]
fn an_import_loses_nothing_at_every_failpoint_postgres() {
    killed_at_every_point(Engine::Postgres, "import failpoints on PostgreSQL");
}

/// Let everything end, and compare.
#[track_caller]
fn at_rest(site: &mut Site, what: &str) {
    site.outage(OUTAGE);
    site.start(None);
    for scan in site.all_scanned() {
        let states =
            scan["children"].as_array().unwrap().iter().map(|child| child["state"].as_str().unwrap_or_default());
        assert!(states.clone().all(|state| state == "complete"), "{what}: {:?} {scan}", states.collect::<Vec<_>>());
    }
    site.complete("host_detection");
    site.agrees(what);
    site.cursors(what);
    let titles = site.titles();
    assert!(titles.values().all(|count| *count == 1), "{what}: launched twice: {titles:?}");
}

/// Kill the server at random instants while the platform changes, imports run and items are rescanned.
fn killed_at_random(engine: Engine, test: &str) {
    let wanted = number("QUELL_CRASH_KILLS", 10);
    let Some(mut site) = Site::new(engine, test, FAST) else { return };
    let mut dice = Dice::new();
    let (mut items, mut rescans) = (site.items(), 0);
    // A platform that is a little slow, so that there is time to die in.
    site.slow(40);
    for kill in 1..=wanted {
        // The world changes at the beginning of an outage that is longer than what imports ask for again.
        site.server.take();
        let hosts = 1 + pick(&mut dice, 12);
        site.change(&mut dice, hosts);
        site.outage(OUTAGE + i64::try_from(dice.below(900)).unwrap());
        site.start(None);
        let kind = match dice.below(8) {
            0 => "comprehensive",
            1 => "knowledge_base",
            _ => "host_detection",
        };
        site.ask(kind);
        if dice.below(3) == 0 {
            let at = pick(&mut dice, items.len());
            rescans += usize::from(site.rescan(&items[at]).is_some());
        }
        if dice.below(3) == 0 {
            site.change(&mut dice, 2);
        }
        // Most of an import is over within a second; a rescan takes longer.
        let longest = if dice.below(4) == 0 { 2_500 } else { 700 };
        std::thread::sleep(Duration::from_millis(dice.below(longest)));
        site.cursors(&format!("kill {kill}"));
        site.server.as_mut().unwrap().kill();
        if kill % REST_AFTER == 0 || kill == wanted {
            at_rest(&mut site, &format!("after {kill} kills"));
            items = site.items();
            eprintln!("{kill} kills, {rescans} rescans, {} launches, runs {:?}", site.titles().len(), site.runs());
        }
    }
}

#[test]
fn nothing_is_skipped_after_kill_9_at_random_instants_sqlite() {
    killed_at_random(Engine::Sqlite, "random kills on SQLite");
}

#[test]
fn nothing_is_skipped_after_kill_9_at_random_instants_postgres() {
    killed_at_random(Engine::Postgres, "random kills on PostgreSQL");
}

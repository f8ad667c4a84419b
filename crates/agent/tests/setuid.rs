//! Setuid that was taken away goes back to the very program that lost it, and to no other that has its name since.

#![allow(clippy::unwrap_used, clippy::allow_attributes, reason = "a test that fails says so by panicking")]

mod common;

use agent::journal::Journal;
use agent::record::{Record, Step};
use common::{World, entry, mode, set_mode};
use protocol::agent::Outcome;

const ACTION: &str = "[[action]]\nkind = \"file.mode\"\npath = \"/usr/bin/pkexec\"\nclear = [\"suid\"]\n";

#[test]
fn setuid_is_not_given_back_to_another_program_of_that_name() {
    let world = World::new(vec![entry("linux-mode", ACTION)]);
    let program = world.host().join("usr/bin/pkexec");
    world.write("usr/bin/pkexec", "version 1");
    set_mode(&program, 0o4755);
    assert_eq!(world.apply("linux-mode", 1).outcome, Outcome::Succeeded);
    // An update brings another program, and leaves the bits as it found them.
    world.write("usr/bin/pkexec", "version 2");
    set_mode(&program, 0o755);
    let before = world.snapshot();
    let report = world.revert("linux-mode", 2);
    assert_eq!(report.outcome, Outcome::DriftedSinceApply, "{report:#?}");
    assert!(report.message.contains("/usr/bin/pkexec has another content than when it lost setuid"), "{report:#?}");
    assert_eq!(world.snapshot(), before);
    // The same content under the name again is the same program; an update that brings the bit itself leaves nothing to do.
    world.write("usr/bin/pkexec", "version 1");
    set_mode(&program, 0o755);
    assert_eq!(world.revert("linux-mode", 3).outcome, Outcome::Reverted);
    assert_eq!(mode(&program), 0o4755);
    assert_eq!(world.apply("linux-mode", 4).outcome, Outcome::Succeeded);
    world.write("usr/bin/pkexec", "version 3");
    set_mode(&program, 0o4755);
    assert_eq!(world.revert("linux-mode", 5).outcome, Outcome::Reverted);
    assert_eq!(mode(&program), 0o4755);
}

#[test]
fn what_a_journal_of_before_does_not_say_gives_setuid_to_nothing() {
    let world = World::new(vec![entry("linux-mode", ACTION)]);
    world.write("usr/bin/pkexec", "program");
    set_mode(&world.host().join("usr/bin/pkexec"), 0o4755);
    assert_eq!(world.apply("linux-mode", 1).outcome, Outcome::Succeeded);
    world.stop();
    let path = world.state().join("journal");
    let (mut journal, records) = Journal::open(&path).unwrap();
    let json = serde_json::to_value(&records).unwrap();
    let before = without(json, "mark");
    let records: Vec<Record> = serde_json::from_value(before).unwrap();
    let unmarked = |step: &Step| matches!(step, Step::Mode { mark: None, .. });
    let held =
        |record: &Record| matches!(record, Record::Captured { holding, .. } if holding.steps.iter().all(unmarked));
    assert!(records.iter().any(held), "{records:#?}");
    journal.rewrite(&records).unwrap();
    drop(journal);
    let report = world.revert("linux-mode", 2);
    assert_eq!(report.outcome, Outcome::RevertFailed, "{report:#?}");
    assert!(report.message.contains("without noting of which file") && report.message.contains("nothing was written"));
    assert_eq!(mode(&world.host().join("usr/bin/pkexec")), 0o755);
}

/// The same JSON without a field, wherever it is.
fn without(json: serde_json::Value, field: &str) -> serde_json::Value {
    use serde_json::Value;
    match json {
        Value::Array(values) => Value::Array(values.into_iter().map(|value| without(value, field)).collect()),
        Value::Object(fields) => {
            let kept = fields.into_iter().filter(|(name, _)| name != field);
            Value::Object(kept.map(|(name, value)| (name, without(value, field))).collect())
        }
        other => other,
    }
}

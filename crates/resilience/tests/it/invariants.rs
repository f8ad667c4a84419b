//! What has to hold whenever everything is up again (`fleet-execution.md` 6.6), read from the agent's journal, the
//! server's database and the host's files, each on its own.

use crate::processes::until;
use crate::watch::Watch;
use crate::world::{Ended, World};
use agent::journal::Journal;
use agent::record::Record;
use protocol::agent::{Event, EventKind};
use protocol::digest::Digest;
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use uuid::Uuid;

type Try = (Uuid, u32);

/// What was seen so far; what is seen later may not contradict it.
#[derive(Default)]
pub struct History {
    intents: BTreeMap<Try, String>,
    ended: Vec<Ended>,
    /// How many orders the agent took in higher epochs than the first.
    pub repeated: usize,
}

/// The journal's records; it must be undamaged.
pub fn journal(world: &World) -> Vec<Record> {
    let (damage, records) = Journal::read(&world.state().join("journal")).unwrap();
    assert_eq!(damage, None, "the journal is damaged");
    records
}

/// The event a record carries, as its exact text.
fn event_of(record: &Record) -> Option<&str> {
    match record {
        Record::Accepted { event, .. }
        | Record::Refused { event, .. }
        | Record::Intent { event, .. }
        | Record::Finished { event, .. }
        | Record::Tombstone { event, .. } => Some(event),
        _ => None,
    }
}

/// Every report the server has stored, read past the server.
pub fn stored_events(world: &World) -> BTreeSet<String> {
    let flags = rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY;
    let database = rusqlite::Connection::open_with_flags(world.database(), flags).unwrap();
    database.busy_timeout(std::time::Duration::from_secs(5)).unwrap();
    let mut statement = database.prepare("SELECT body FROM task_event").unwrap();
    let rows = statement.query_map([], |row| row.get::<_, String>(0)).unwrap();
    rows.map(Result::unwrap).collect()
}

impl History {
    /// After a job has ended with everything up again. `changes` are those since the job was made.
    #[track_caller]
    pub fn check(&mut self, world: &mut World, ended: &Ended, changes: Option<&Watch>, what: &str) {
        let records = journal(world);
        self.s1_at_most_one_start_per_task_and_epoch(&records, what);
        self.s2_a_higher_epoch_names_the_result_of_the_lower_one(&records, what);
        s3_no_effect_without_a_prior_durable_intent(&records, what);
        s4_no_start_after_a_tombstone(&records, what);
        self.s5_terminal_states_absorb(world, what);
        nothing_reported_is_lost(world, what);
        let failed = ended.tasks.iter().any(|(_, _, code, _)| *code == 1);
        let status = if failed { "COMPLETED_WITH_FAILURES" } else { "COMPLETED" };
        assert_eq!(ended.status, status, "{what}: {ended:?}");
        if let Some(watch) = changes {
            at_most_one_replacement(world, watch, what);
        }
        self.ended.push(ended.clone());
    }

    fn s1_at_most_one_start_per_task_and_epoch(&mut self, records: &[Record], what: &str) {
        let mut seen = BTreeSet::new();
        for record in records {
            if let Record::Intent { task, epoch, event, .. } = record {
                assert!(seen.insert((*task, *epoch)), "S1: {what}: two intents of {task} epoch {epoch}");
                let known = self.intents.entry((*task, *epoch)).or_insert_with(|| event.clone());
                assert_eq!(known, event, "S1: {what}: another intent of {task} epoch {epoch}");
            }
        }
    }

    fn s2_a_higher_epoch_names_the_result_of_the_lower_one(&mut self, records: &[Record], what: &str) {
        let mut last: BTreeMap<Try, &str> = BTreeMap::new();
        self.repeated = 0;
        for record in records {
            if let Record::Accepted { order, .. } = record
                && order.epoch > 1
            {
                self.repeated += 1;
                let named = order.supersedes.as_ref().unwrap_or_else(|| panic!("S2: {what}: {order:?}"));
                assert_eq!(named.epoch, order.epoch - 1, "S2: {what}");
                let resolved = last.get(&(order.task, named.epoch)).copied();
                let resolved = resolved.unwrap_or_else(|| panic!("S2: {what}: epoch {} is open", named.epoch));
                assert_eq!(named.result_digest, Digest::of(resolved.as_bytes()).to_string(), "S2: {what}");
            }
            if let Some(text) = event_of(record) {
                let event: Event = serde_json::from_str(text).unwrap();
                if !matches!(event.event, EventKind::Accepted | EventKind::Started) {
                    last.insert((event.task, event.epoch), text);
                }
            }
        }
    }

    fn s5_terminal_states_absorb(&self, world: &mut World, what: &str) {
        for before in &self.ended {
            let now = world.ended(&before.number);
            assert_eq!(now.as_ref(), Some(before), "S5: {what}: {} has changed after its end", before.number);
        }
    }
}

fn s3_no_effect_without_a_prior_durable_intent(records: &[Record], what: &str) {
    let mut intents = BTreeSet::new();
    for record in records {
        match record {
            Record::Intent { task, epoch, .. } => {
                intents.insert((*task, *epoch));
            }
            Record::Captured { task, epoch, .. } | Record::Effect { task, epoch, .. } => {
                assert!(intents.contains(&(*task, *epoch)), "S3: {what}: an effect without an intent: {record:?}");
            }
            _ => {}
        }
    }
}

fn s4_no_start_after_a_tombstone(records: &[Record], what: &str) {
    let mut revoked = BTreeSet::new();
    for record in records {
        match record {
            Record::Tombstone { task, epoch, .. } => {
                revoked.insert((*task, *epoch));
            }
            Record::Intent { task, epoch, .. } => {
                assert!(!revoked.contains(&(*task, *epoch)), "S4: {what}: {task} started after its tombstone");
            }
            Record::Accepted { order, event, .. } => {
                let event: Event = serde_json::from_str(event).unwrap();
                assert!(event.at <= order.not_after, "S4: {what}: taken after its end: {order:?}");
            }
            _ => {}
        }
    }
}

/// Every report in the journal is in the server's table, word for word.
fn nothing_reported_is_lost(world: &mut World, what: &str) {
    until(&format!("{what}: every report of the journal reaching the server"), 60, || {
        world.supervise();
        let stored = stored_events(world);
        journal(world).iter().filter_map(event_of).all(|event| stored.contains(event)).then_some(())
    });
}

fn at_most_one_replacement(world: &World, watch: &Watch, what: &str) {
    let changes = watch.changes();
    for (path, count) in &changes {
        assert!(world.targets.contains(path), "{what}: {} is nobody's target", path.display());
        assert!(*count <= 1, "{what}: {} was replaced {count} times", path.display());
    }
    let leftovers: Vec<PathBuf> =
        world.files().into_keys().filter(|path| path.to_string_lossy().contains("/.quell-")).collect();
    assert!(leftovers.is_empty(), "{what}: temporary files stay: {leftovers:?}");
}

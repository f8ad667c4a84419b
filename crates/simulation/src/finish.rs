//! When faults have stopped and everybody has had time: does everything that was promised hold? What people are shown is
//! held against what is truly on the hosts' disks, and every sum against its parts.

use crate::disks::changed;
use crate::fleet::Fleet;
use agent::journal::Journal;
use agent::record::Record;
use domain::mitigation::{ControlState, Coverage};
use domain::score::{self, Control, Source};
use protocol::agent::{Event, EventKind};
use qualys_sim::judge;
use qualys_sim::weakness::{self, Weakness};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use uuid::Uuid;

/// States after which a host may hold what the server does not list as a control: nobody could report it, or it says so.
const UNTOLD: [&str; 6] = ["lost", "interrupted", "failed", "revert_failed", "drifted_since_apply", "verify_failed"];

impl Fleet<'_> {
    /// Everything of a job has ended.
    pub fn quiet(&self) -> bool {
        let more = "SELECT count(*) FROM job WHERE next_at IS NOT NULL AND status = 'ENABLED'";
        self.tasks().iter().all(|task| task.code >= 0) && self.number(more) == 0
    }

    /// Every check of the end; adds what is wrong to what the watch has found.
    pub fn finish(&mut self) {
        let mut broken = Vec::new();
        self.everything_ended(&mut broken);
        self.epochs_follow_results(&mut broken);
        self.journals_hold(&mut broken);
        self.truth(&mut broken);
        self.scores(&mut broken);
        self.audit(&mut broken);
        self.jobs_count(&mut broken);
        self.runs_count(&mut broken);
        self.watch.broken.extend(broken);
    }

    /// L1, S13: whoever was connected long enough has ended everything.
    fn everything_ended(&self, broken: &mut Vec<String>) {
        for task in self.tasks().iter().filter(|task| task.code < 0) {
            let (run, wave, open) = (&task.run_state, task.wave, task.open_wave);
            let (id, state, epoch) = (task.id, &task.state, task.epoch);
            let what = format!("task {id} is still {state} in epoch {epoch}, wave {wave} of {open}, its run is {run}");
            broken.push(format!("L1: {what}"));
        }
        let more = "SELECT number FROM job WHERE next_at IS NOT NULL AND status = 'ENABLED'";
        for number in self.rows::<i64>(more, |row| row.get(0)) {
            broken.push(format!("L1: job {number} waits for a time of its schedule that should have passed"));
        }
    }

    /// S2, on the server: a later epoch exists only after a result of the one before.
    fn epochs_follow_results(&self, broken: &mut Vec<String>) {
        let events: Vec<(i64, i64, String)> = self
            .rows("SELECT task_id, epoch, body FROM task_event ORDER BY id", |row| {
                Ok((row.get(0)?, row.get(1)?, row.get(2)?))
            });
        let mut resolved = BTreeSet::new();
        for (task, epoch, body) in &events {
            let event: Event = serde_json::from_str(body).expect("an event");
            if !matches!(event.event, EventKind::Accepted | EventKind::Started) {
                resolved.insert((*task, *epoch));
            }
        }
        for task in self.tasks() {
            for epoch in 1..task.epoch {
                if !resolved.contains(&(task.id, epoch)) {
                    broken.push(format!("S2: task {} has epoch {}, epoch {epoch} has no result", task.id, task.epoch));
                }
            }
        }
    }

    /// S1, S3 and S4 as the journals have it, and that no result in them was lost.
    fn journals_hold(&self, broken: &mut Vec<String>) {
        let stored: BTreeSet<String> = self.rows("SELECT body FROM task_event", |row| row.get(0)).into_iter().collect();
        let tasks = self.tasks();
        for node in self.nodes.iter().filter(|node| node.agent_id.is_some()) {
            let (damage, records) = Journal::read(&node.state.join("journal")).expect("a journal");
            let host = node.index;
            if let Some(offset) = damage {
                broken.push(format!("durable: the journal of h{host} is damaged at {offset}"));
            }
            let mut intents: BTreeSet<(Uuid, u32)> = BTreeSet::new();
            let mut tombstones: BTreeSet<(Uuid, u32)> = BTreeSet::new();
            for record in &records {
                match record {
                    Record::Intent { task, epoch, .. } => {
                        if !intents.insert((*task, *epoch)) {
                            broken.push(format!("S1: h{host} has two intents of one try"));
                        }
                        if tombstones.contains(&(*task, *epoch)) {
                            broken.push(format!("S4: h{host} has an intent after a tombstone"));
                        }
                    }
                    Record::Tombstone { task, epoch, .. } => {
                        tombstones.insert((*task, *epoch));
                    }
                    Record::Effect { task, epoch, .. } if !intents.contains(&(*task, *epoch)) => {
                        broken.push(format!("S3: h{host} has an effect without an intent"));
                    }
                    _ => {}
                }
                if let Record::Finished { task, event, .. } = record {
                    let ours = tasks.iter().any(|known| known.uuid == *task && known.agent_id == node.agent_id);
                    if ours && !node.gone && !stored.contains(event) {
                        broken.push(format!("durable: a result in the journal of h{host} is not on the server"));
                    }
                }
            }
        }
    }

    /// Where each host's asset is: by the agent in force.
    fn assets(&self) -> BTreeMap<usize, i64> {
        let mut found = BTreeMap::new();
        let rows: Vec<(i64, Option<i64>)> =
            self.rows("SELECT id, asset_id FROM agent", |row| Ok((row.get(0)?, row.get(1)?)));
        for (key, asset) in rows {
            if let (Some(node), Some(asset)) = (self.nodes.iter().find(|node| node.key == key), asset) {
                found.insert(node.index, asset);
            }
        }
        found
    }

    /// Assets that may hold what the server does not list: a task ended so, or a try died half-way and said so, and its task then ended
    /// without another. What such a try left in force is listed.
    fn untold(&self) -> BTreeSet<i64> {
        let ended: Vec<(i64, String)> =
            self.rows("SELECT asset_id, state FROM task", |row| Ok((row.get(0)?, row.get(1)?)));
        let ended = ended.into_iter().filter(|(_, state)| UNTOLD.contains(&state.as_str())).map(|(asset, _)| asset);
        let half_way: Vec<(i64, String)> = self.rows(
            "SELECT t.asset_id, e.body FROM task_event e JOIN task t ON t.id = e.task_id
             WHERE t.state IN ('refused', 'cancelled', 'expired')",
            |row| Ok((row.get(0)?, row.get(1)?)),
        );
        let left = |body: &str| match serde_json::from_str::<Event>(body).expect("an event").event {
            EventKind::Interrupted { state, .. } => {
                !matches!(state, ControlState::Effective | ControlState::Configured)
            }
            _ => false,
        };
        let half_way = half_way.into_iter().filter(|(_, body)| left(body)).map(|(asset, _)| asset);
        ended.chain(half_way).collect()
    }

    /// What the server believes of a host is what is on its disk; what owners wrote is still there (S10).
    fn truth(&self, broken: &mut Vec<String>) {
        let assets = self.assets();
        let untold = self.untold();
        // `unknown` is what an installation says of what an earlier one put there and it has no entry for.
        let sql = "SELECT asset_id FROM control WHERE state IN ('effective', 'configured', 'unknown', 'drifted')";
        let in_force: BTreeSet<i64> = self.rows(sql, |row| row.get(0)).into_iter().collect();
        let items: Vec<(i64, i64, String)> = self.rows(
            "SELECT i.asset_id, v.qid, i.mitigation FROM vulnerable_item i
             JOIN vulnerability v ON v.id = i.vulnerability_id ORDER BY i.id",
            |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)),
        );
        for node in &self.nodes {
            let (host, root) = (node.index, &node.root);
            let Some(asset) = assets.get(&host) else { continue };
            let changes = changed(&self.template.root(host), root);
            let edited: BTreeSet<&PathBuf> =
                self.edits.iter().filter(|(of, _, _)| *of == host).map(|(_, path, _)| path).collect();
            let left_by_kernel =
                |path: &PathBuf| path.starts_with("proc") && path.to_string_lossy().contains("/.quell-");
            let unexplained: Vec<&PathBuf> =
                changes.iter().filter(|path| !edited.contains(path) && !left_by_kernel(path)).collect();
            if !in_force.contains(asset) && !untold.contains(asset) && !unexplained.is_empty() {
                broken.push(format!("truth: the server lists nothing on h{host}, changed are {unexplained:?}"));
            }
            // It died in the middle of work and never came back: of that nobody can say more than that the task is lost.
            if node.gone {
                continue;
            }
            if let Some(left) = changes.iter().find(|path| temporary(path)) {
                broken.push(format!("truth: a temporary file stays on h{host}: {}", left.display()));
            }
            for (_, qid, mitigation) in items.iter().filter(|(of, _, _)| of == asset) {
                let Some(weakness) = u32::try_from(*qid).ok().and_then(weakness::find) else { continue };
                let exposed = judge::is_exposed(root, weakness);
                let before = judge::is_exposed(&self.template.root(host), weakness);
                if mitigation == "mitigated" && exposed {
                    broken.push(format!("truth: QID {qid} is called mitigated on h{host}, and it is exposed"));
                }
                let unlisted = mitigation == "none" && !untold.contains(asset) && !in_force.contains(asset);
                if unlisted && before && !exposed && !self.by_its_owner(host, &edited, weakness) {
                    broken.push(format!("truth: QID {qid} is not exposed on h{host}, and nothing is listed"));
                }
            }
        }
        for (host, path, line) in &self.edits {
            let text = std::fs::read_to_string(self.nodes[*host].root.join(path)).unwrap_or_default();
            if !text.contains(line.as_str()) {
                broken.push(format!("S10: what the owner of h{host} wrote into {} is gone", path.display()));
            }
        }
    }

    /// Without what its owner wrote the host would be exposed: a file of ours that its owner had changed is given back with the owner's
    /// text by a revert, and what we had written there is a part of it.
    fn by_its_owner(&self, host: usize, edited: &BTreeSet<&PathBuf>, weakness: &Weakness) -> bool {
        let (root, template) = (&self.nodes[host].root, self.template.root(host));
        let place = |path: &Path, text: Option<&[u8]>| match text {
            Some(text) => std::fs::write(path, text).expect("a file of a simulated host is ours to write"),
            None => drop(std::fs::remove_file(path)),
        };
        let mut written = Vec::new();
        for path in edited.iter().map(|path| path.as_path()) {
            let ours = root.join(path);
            written.push((ours.clone(), std::fs::read(&ours).ok()));
            place(&ours, std::fs::read(template.join(path)).ok().as_deref());
        }
        let exposed = judge::is_exposed(root, weakness);
        for (path, text) in written {
            place(&path, text.as_deref());
        }
        exposed
    }

    /// Every score is what `domain::score` makes of the controls as they are listed.
    fn scores(&self, broken: &mut Vec<String>) {
        let cves: Vec<(i64, String, Option<u8>)> = self
            .rows("SELECT vulnerability_id, cve, qvs FROM vulnerability_cve ORDER BY vulnerability_id, cve", |row| {
                Ok((row.get(0)?, row.get(1)?, row.get(2)?))
            });
        let mut cves_of: BTreeMap<i64, Vec<(String, Option<u8>)>> = BTreeMap::new();
        for (vulnerability, cve, qvs) in cves {
            cves_of.entry(vulnerability).or_default().push((cve, qvs));
        }
        let mut controls: BTreeMap<i64, Vec<(Control, i64)>> = BTreeMap::new();
        let lines = self.rows(
            "SELECT c.asset_id, c.entry, c.state, cc.cve, cc.qid, cc.coverage, cc.points
             FROM control c JOIN catalogue_cve cc ON cc.entry_key = c.entry_key
             ORDER BY c.asset_id, c.entry, cc.cve, cc.qid",
            |row| {
                let (cve, state, coverage): (String, String, String) = (row.get(3)?, row.get(2)?, row.get(5)?);
                let control = Control {
                    entry: row.get(1)?,
                    cve: (!cve.is_empty()).then_some(cve),
                    coverage: word::<Coverage>(&coverage),
                    points: row.get(6)?,
                    state: word::<ControlState>(&state),
                };
                Ok((row.get::<_, i64>(0)?, (control, row.get::<_, i64>(4)?)))
            },
        );
        for (asset, line) in lines {
            controls.entry(asset).or_default().push(line);
        }
        let items = self.rows(
            "SELECT i.id, i.asset_id, i.vulnerability_id, v.qid, i.inherent, i.residual, i.score_source, i.mitigation
             FROM vulnerable_item i JOIN vulnerability v ON v.id = i.vulnerability_id ORDER BY i.id",
            |row| {
                let key = (row.get::<_, i64>(0)?, row.get::<_, i64>(1)?, row.get::<_, i64>(2)?, row.get::<_, i64>(3)?);
                let kept = (row.get::<_, u8>(4)?, row.get::<_, u8>(5)?);
                Ok((key, kept, row.get::<_, String>(6)?, row.get::<_, String>(7)?))
            },
        );
        for ((id, asset, vulnerability, qid), (inherent, residual), source, mitigation) in items {
            let none = Vec::new();
            let cves = cves_of.get(&vulnerability).unwrap_or(&none);
            let units = score::units(inherent.clamp(1, 100), Source::parse(&source), cves);
            let mine: Vec<Control> = controls
                .get(&asset)
                .into_iter()
                .flatten()
                .filter(|(control, number)| match &control.cve {
                    Some(cve) => cves.iter().any(|(known, _)| known == cve),
                    None => cves.is_empty() && *number == qid,
                })
                .map(|(control, _)| control.clone())
                .collect();
            let counted = score::assess(&units, &mine);
            if counted.residual != residual || counted.mitigation.as_str() != mitigation {
                broken.push(format!(
                    "scores: item {id} of QID {qid} is {residual} and {mitigation}, counted again {} and {}",
                    counted.residual,
                    counted.mitigation.as_str()
                ));
            }
        }
    }

    /// S11: the chain verifies, and what people did and what ended is in it.
    fn audit(&mut self, broken: &mut Vec<String>) {
        let now = self.now;
        let Some(of) = self.replicas.iter().position(crate::replica::Replica::up) else {
            return broken.push("L1: no server runs at the end".to_owned());
        };
        self.replicas[of].housekeep(&self.runtime, now);
        let Some(app) = self.replicas[of].app().cloned() else { return };
        let key = app.keys.audit.verifying_key();
        let verified = self.runtime.block_on(app.database.read(move |tx| store::audit::verify(tx, |_| Some(key))));
        let verified = verified.expect("the audit can be read");
        for finding in &verified.findings {
            broken.push(format!("S11: {finding}"));
        }
        if verified.unsealed > 0 {
            broken.push(format!("S11: {} entries are not sealed", verified.unsealed));
        }
        let count = |action: &str| -> i64 {
            let sql = "SELECT count(*) FROM audit_entry WHERE action = ?1";
            self.database.query_row(sql, [action], |row| row.get(0)).expect("a count")
        };
        let whole = |sql: &str| -> i64 { self.database.query_row(sql, [], |row| row.get(0)).expect("a count") };
        for (action, sql) in [
            ("agent.enrol", "SELECT count(*) FROM agent"),
            ("job.create", "SELECT count(*) FROM job"),
            ("job.end", "SELECT count(*) FROM run WHERE ended_at IS NOT NULL"),
        ] {
            let (entries, records) = (count(action), whole(sql));
            if entries != records {
                broken.push(format!("S11: {records} times {action}, {entries} entries"));
            }
        }
    }

    /// S12: the counts of waves are what the tasks say, and every place that a permit took is free again.
    fn runs_count(&self, broken: &mut Vec<String>) {
        const NAMES: [&str; 8] = ["waiting", "out", "unknown", "good", "bad", "neutral", "untried", "changed"];
        let mut counted: BTreeMap<(i64, i64), [i64; 8]> = BTreeMap::new();
        for task in self.tasks() {
            let place = match (task.state.as_str(), task.code) {
                ("pending" | "ready", _) => 0,
                ("unknown", _) => 2,
                (_, -1) => 1,
                (_, 0 | 33) => 3,
                ("not_applicable", _) => 5,
                ("cancelled" | "expired", _) => 6,
                _ => 4,
            };
            let counts = counted.entry((task.run, task.wave)).or_default();
            counts[place] += 1;
            counts[7] += i64::from(task.state == "succeeded" || task.state == "reverted");
        }
        let kept = self.rows(
            "SELECT run_id, wave, sum(waiting), sum(offered), sum(unknown), sum(good), sum(bad), sum(neutral), sum(untried),
                 sum(changed)
             FROM wave_count GROUP BY run_id, wave ORDER BY run_id, wave",
            |row| {
                let mut counts = [0_i64; 8];
                for (at, count) in counts.iter_mut().enumerate() {
                    *count = row.get(at + 2)?;
                }
                Ok(((row.get(0)?, row.get(1)?), counts))
            },
        );
        let kept: BTreeMap<(i64, i64), [i64; 8]> = kept.into_iter().collect();
        for (of, counts) in &counted {
            let stored = kept.get(of).copied().unwrap_or_default();
            if stored != *counts {
                broken.push(format!("S12: run and wave {of:?} have {counts:?} of {NAMES:?}, counted are {stored:?}"));
            }
        }
        for (scope, taken) in self.rows("SELECT scope, taken FROM place WHERE taken <> 0 ORDER BY scope", |row| {
            Ok((row.get::<_, String>(0)?, row.get::<_, i64>(1)?))
        }) {
            broken.push(format!("S12: {taken} places of {scope} are taken at the end"));
        }
    }

    /// S12: a job's status is what its tasks' codes make of it.
    fn jobs_count(&self, broken: &mut Vec<String>) {
        let jobs: Vec<(i64, i64, String)> = self.rows(
            "SELECT j.id, j.number, j.status FROM job j
             WHERE EXISTS (SELECT 1 FROM task t WHERE t.job_id = j.id) ORDER BY j.id",
            |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)),
        );
        for (id, number, status) in jobs {
            let sql =
                format!("SELECT asset_id, entry_key, coalesce(code, -1) FROM task WHERE job_id = {id} ORDER BY id");
            // Of several runs the last result of each asset and action counts.
            let last: BTreeMap<(i64, i64), i64> =
                self.rows(&sql, |row| Ok(((row.get(0)?, row.get(1)?), row.get(2)?))).into_iter().collect();
            if last.values().any(|code| *code == -1) {
                continue;
            }
            let failed = last.values().any(|code| *code == 1);
            let expected = if failed { "COMPLETED_WITH_FAILURES" } else { "COMPLETED" };
            // Whoever says no to a later run disables the job.
            let said_no = format!("SELECT count(*) FROM approval WHERE job_id = {id} AND state = 'rejected'");
            if status != expected && !(status == "DISABLED" && self.number(&said_no) > 0) {
                broken.push(format!("S12: job {number} is {status}, its tasks say {expected}"));
            }
        }
    }
}

/// Whether a file is one that the agent makes beside its target for a moment. What stands for the kernel's files below a root is
/// replaced like others there; a real kernel's are written in place.
fn temporary(path: &Path) -> bool {
    path.to_string_lossy().contains("/.quell-") && !path.starts_with("proc")
}

/// A word of the database as the domain's value.
fn word<T: serde::de::DeserializeOwned>(word: &str) -> T {
    serde_json::from_value(serde_json::Value::String(word.to_owned())).expect("a known word")
}

//! Writing a journal anew with what still counts.

use super::*;

impl Book {
    /// Records that mean the same as this book without tasks that are over and delivered, the newest `keep` of them excepted.
    ///
    /// What is forgotten stays refused, by its number. A tombstone of an order that never came has no number to be refused
    /// by: it is kept until no order of its time can be valid any more.
    #[must_use]
    pub fn compacted(&self, instance_id: Uuid, previous: String, keep: usize, now: Timestamp) -> Vec<Record> {
        let mut records = vec![
            Record::Opened { format: crate::record::FORMAT, instance_id, previous: Some(previous) },
            Record::Trust { root_version: self.root_version, index_version: self.index_version },
        ];
        let over = |entry: &Try| {
            let known = matches!(entry.progress, Progress::Claimed) || entry.order_seq.is_some();
            let settled = matches!(entry.progress, Progress::Ended | Progress::Claimed) && entry.delivered();
            settled && (known || entry.older_than(now.plus_seconds(-TOMBSTONE_SECONDS)))
        };
        let mut settled: Vec<(u64, Uuid)> = self
            .tries
            .iter()
            .filter(|(_, tries)| tries.values().all(over))
            .map(|(task, tries)| (tries.values().filter_map(|entry| entry.order_seq).max().unwrap_or(0), *task))
            .collect();
        settled.sort_unstable();
        settled.truncate(settled.len().saturating_sub(keep));
        let forgotten: BTreeSet<Uuid> = settled.iter().map(|(_, task)| *task).collect();
        let floor = self.floor_without(&forgotten);
        records.push(Record::Floor { order_seq: floor });
        let carried: BTreeSet<u64> = self.all().filter_map(|(_, _, entry)| entry.order_seq).collect();
        let others: Vec<u64> = self.seqs.iter().copied().filter(|seq| *seq > floor && !carried.contains(seq)).collect();
        if !others.is_empty() {
            records.push(Record::Used { order_seqs: others });
        }
        for (task, epoch, entry) in self.all().filter(|(task, _, _)| !forgotten.contains(task)) {
            self.write(task, epoch, entry, &mut records);
        }
        records.extend(self.holdings.values().map(|holding| Record::Held { holding: holding.clone() }));
        records.extend(self.reverting.iter().map(|(entry_id, content_digest)| Record::OwnerIntent {
            entry_id: entry_id.clone(),
            content_digest: content_digest.clone(),
            pre_digest: String::new(),
        }));
        records
    }

    /// Whatever is forgotten must stay refused, so the floor rises to the highest number that is dropped; the window
    /// guarantees that nothing above it is still on its way.
    fn floor_without(&self, forgotten: &BTreeSet<Uuid>) -> u64 {
        let dropped = self.all().filter(|(task, _, _)| forgotten.contains(task)).filter_map(|(_, _, e)| e.order_seq);
        dropped.max().unwrap_or(0).max(self.floor)
    }

    fn write(&self, task: Uuid, epoch: u32, entry: &Try, records: &mut Vec<Record>) {
        let mut events = entry.events.iter();
        match (&entry.order, entry.order_seq) {
            (Some(order), _) => {
                let event = events.next().cloned().unwrap_or_default();
                records.push(Record::Accepted { order: order.clone(), digest: entry.digest.clone(), event });
            }
            (None, order_seq) if !self.tombstone(task, epoch) => {
                let event = events.next().cloned().unwrap_or_default();
                records.push(Record::Refused { task, epoch, order_seq, digest: entry.digest.clone(), event });
            }
            (None, _) => {}
        }
        for event in events.cloned() {
            records.push(match kind_of(&event) {
                Some(EventKind::Started) => Record::Intent { task, epoch, pre_digest: String::new(), event },
                Some(EventKind::Revoked) => Record::Tombstone { task, epoch, event },
                Some(EventKind::Restarting { now: true, .. }) => Record::Restarting { task, epoch, event },
                Some(EventKind::Restarting { now: false, boot_id }) => match &entry.restart {
                    Some(Restart { report, .. }) => {
                        Record::Waits { task, epoch, boot_id, report: report.clone(), event }
                    }
                    None => Record::Intent { task, epoch, pre_digest: String::new(), event },
                },
                Some(EventKind::Finished(_) | EventKind::Interrupted { .. }) => Record::Finished { task, epoch, event },
                _ => Record::Refused { task, epoch, order_seq: None, digest: entry.digest.clone(), event },
            });
        }
        if entry.acked > 0 {
            records.push(Record::Acked { task, epoch, n: entry.acked });
        }
    }
}

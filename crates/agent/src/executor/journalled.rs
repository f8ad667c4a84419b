//! What is made durable before it is believed and told, and the journal written anew where it grew large.

use super::*;

impl Executor {
    pub(super) fn acknowledge(&mut self, acked: &[Acked]) {
        for acked in acked {
            failpoint::hit("before-acked");
            if let Some(record) = self.book.news(acked) {
                match self.record(&record) {
                    Ok(()) => self.acknowledged = true,
                    Err(error) => tracing::error!("an acknowledgement was not journalled: {error}"),
                }
            }
            failpoint::hit("after-acked");
        }
        self.compact_when_large();
    }

    /// Make a record durable, then believe it, then tell.
    pub(crate) fn record(&mut self, record: &Record) -> Result<(), JournalError> {
        let appended = self.journal.append(record);
        self.unwritable = appended.is_err();
        appended?;
        if let Record::Finished { task, epoch, .. } | Record::Tombstone { task, epoch, .. } = record {
            self.permits.forget(TaskEpoch { task: *task, epoch: *epoch });
        }
        let event = decide::said(record).map(|(of, text)| (of, text.to_owned()));
        let acked = match record {
            Record::Acked { task, epoch, n } => Some(Acked { task: *task, epoch: *epoch, n: *n }),
            _ => None,
        };
        let event = event.map(|(of, text)| (of, self.book.next_event(of.task, of.epoch), text));
        self.book.apply(record);
        self.out.push(ToNet::Status(self.status()));
        if let Some((of, n, text)) = event {
            self.out.push(ToNet::Event { of, n, text });
        }
        self.out.extend(acked.map(ToNet::Acked));
        Ok(())
    }

    /// Whether the journal takes an order of this kind; compacts it first where that may help.
    pub(super) fn room(&mut self, kind: OrderKind) -> Result<(), JournalError> {
        let revert = kind == OrderKind::Revert;
        if self.journal.room(revert).is_err() && self.acknowledged {
            self.compact();
        }
        self.journal.room(revert)
    }

    pub(super) fn compact_when_large(&mut self) {
        if self.journal.bytes() >= self.compact_at {
            self.compact();
            // What has to be kept may itself be large: not again for every record.
            self.compact_at = COMPACT_BYTES.max(self.journal.bytes() * 2);
        }
    }

    /// Rewrite the journal without what is over, and drop prior states nobody needs.
    pub fn compact(&mut self) {
        // What is to be taken back unless the server is heard is in the records of its try, which compaction leaves out.
        if self.unproven.is_some() {
            return;
        }
        self.acknowledged = false;
        // Long reports of tasks that are over must not keep new work out: fewer are remembered then.
        let mut length = usize::MAX;
        for keep in [REMEMBERED_TASKS, REMEMBERED_TASKS / 10, 0] {
            let (instance, head) = (self.enrolment.instance_id, self.journal.head());
            let records = self.book.compacted(instance, head, keep, self.clock.now());
            if records.len() >= std::mem::replace(&mut length, records.len()) {
                continue;
            }
            match self.journal.rewrite(&records) {
                Ok(()) => self.book = Book::read(&records),
                Err(error) => return tracing::error!("the journal was not compacted: {error}"),
            }
            if self.journal.bytes() < WORK_BYTES_MAX / 2 {
                break;
            }
        }
        let used = crate::restore::priors(&self.book);
        self.state.drop_priors(&|digest| used.contains(digest));
    }
}

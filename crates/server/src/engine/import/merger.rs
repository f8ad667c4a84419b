//! One import run at work: its lease, its counters, and the merging of portions into the store.

use super::Error;
use super::batch::Batch;
use crate::app::App;
use crate::failpoint;
use domain::id::{InstanceId, VulnerabilityId};
use domain::time::Timestamp;
use intake::summary::Rejection;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};
use store::imports::{self, Counters, Kind, Outcome, Queued, Run, Start, Step};
use store::lease::{self, Lease};
use store::{detections, scores, tags, unseen, vulnerabilities};
use tokio::sync::mpsc;
use tokio_util::sync::{CancellationToken, DropGuard};
use uuid::Uuid;

/// How long an instance stays taken after its server died, in seconds.
const LEASE_SECONDS: i64 = 90;
/// How often a living server renews that, in seconds.
const RENEW_SECONDS: i64 = 20;
/// How often it looks whether the run is to stop.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Rows that could not be used and are described one by one; the rest is only counted.
pub const DESCRIBED_MAX: usize = 10_000;
/// Runs at work at once, on all replicas together, beyond which what waits goes on waiting.
const AT_WORK_MAX: i64 = 8;
/// Items whose scores are computed again in one transaction.
const RESCORED_MAX: usize = 5_000;

/// A run at work. One per instance at a time: it holds the instance's lease.
#[derive(Debug)]
pub struct Merger {
    app: App,
    /// The run.
    pub run: Run,
    /// What it did so far.
    pub counters: Counters,
    digest: [u8; 32],
    notes: BTreeSet<&'static str>,
    described: usize,
    pull: Pull,
    step: Step,
    lease: Lease,
    cancelled: CancellationToken,
    _renewing: DropGuard,
}

/// What a run says of what it does not show.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Pull {
    /// Nothing: a part of what the platform holds, and as it is now.
    Part,
    /// That it is not reported any more.
    Whole,
    /// Nothing, and what it shows may be old.
    File,
}

/// What the names of all leases of imports begin with.
const LEASES: &str = "import/";

fn lease_name(instance: InstanceId) -> String {
    format!("{LEASES}{instance}")
}

impl Merger {
    /// Take the instance's lease and begin a run that did not wait.
    ///
    /// # Errors
    /// [`Error::Refused`] `import_running` while another run of the instance is at work.
    pub async fn start(app: &App, start: Start<'_>) -> Result<Merger, Error> {
        let now = app.clock.now();
        let (instance, kind, cause) = (start.instance, start.kind, start.cause);
        let (actor, source) = (start.actor.to_owned(), start.source.to_owned());
        let begun = app
            .database
            .write(move |tx| {
                let holder = Uuid::new_v4();
                let Some(lease) = lease::acquire(tx, &lease_name(instance), holder, now, LEASE_SECONDS)? else {
                    return Ok(None);
                };
                let start = Start { instance, kind, cause, actor: &actor, source: &source };
                Ok(Some((imports::start(tx, start, now)?, lease)))
            })
            .await?;
        let (run, lease) = begun.ok_or_else(super::running)?;
        Ok(Self::at_work(app, run, lease, kind))
    }

    /// Begin what has waited longest of an instance, in one transaction: of several replicas one does. `None` where nothing
    /// waits, another run of the instance is at work, or too many are.
    ///
    /// # Errors
    /// [`Error::Store`].
    pub async fn next(app: &App, instance: InstanceId) -> Result<Option<(Merger, Queued)>, Error> {
        let now = app.clock.now();
        let begun = app.database.write(move |tx| {
            let Some(queued) = imports::next(tx, instance)? else { return Ok(None) };
            if lease::held(tx, LEASES, now)? >= AT_WORK_MAX {
                return Ok(None);
            }
            let holder = Uuid::new_v4();
            let Some(lease) = lease::acquire(tx, &lease_name(instance), holder, now, LEASE_SECONDS)? else {
                return Ok(None);
            };
            Ok(Some((imports::begin(tx, instance, &queued, now)?, lease, queued)))
        });
        Ok(begun.await?.map(|(run, lease, queued)| (Self::at_work(app, run, lease, queued.kind), queued)))
    }

    fn at_work(app: &App, run: Run, lease: Lease, kind: Kind) -> Merger {
        let (stop, cancelled) = (CancellationToken::new(), CancellationToken::new());
        tokio::spawn(renew(app.clone(), run.id, lease.clone(), stop.clone(), cancelled.clone()));
        app.wake.notify("import", run.id);
        Merger {
            app: app.clone(),
            run,
            counters: Counters::default(),
            digest: [0; 32],
            notes: BTreeSet::new(),
            described: 0,
            pull: if kind == Kind::File { Pull::File } else { Pull::Part },
            step: Step::default(),
            lease,
            cancelled,
            _renewing: stop.drop_guard(),
        }
    }

    /// Wait for something of the platform, or for somebody who stops the run; the time counts as asking.
    ///
    /// # Errors
    /// [`Error::Cancelled`]; what the platform says.
    pub async fn ask<T>(
        &mut self,
        asked: impl Future<Output = Result<T, crate::connect::qualys::Error>>,
    ) -> Result<T, Error> {
        let began = Instant::now();
        let answer = tokio::select! {
            answer = asked => answer.map_err(Error::from),
            () = self.cancelled.cancelled() => Err(Error::Cancelled),
        };
        self.step.asked_ms += millis(began);
        answer
    }

    /// Begin a step; the one before has ended.
    ///
    /// # Errors
    /// [`Error::Store`].
    pub async fn step(&mut self, name: &str) -> Result<(), Error> {
        self.end_step().await?;
        let (ordinal, started_at) = (self.step.ordinal + 1, self.app.clock.now());
        self.step = Step { ordinal, name: name.to_owned(), started_at, ..Step::default() };
        self.keep_step().await
    }

    /// Count what an answer of the platform, or a file, held.
    ///
    /// # Errors
    /// [`Error::Store`].
    pub async fn count(&mut self, pages: i64, rows: u64, bytes: u64) -> Result<(), Error> {
        self.step.pages += pages;
        self.step.rows_read += i64::try_from(rows).unwrap_or(i64::MAX);
        self.step.bytes += i64::try_from(bytes).unwrap_or(i64::MAX);
        self.keep_step().await
    }

    async fn end_step(&mut self) -> Result<(), Error> {
        if self.step.ordinal == 0 {
            return Ok(());
        }
        self.step.ended_at = Some(self.app.clock.now());
        self.keep_step().await
    }

    async fn keep_step(&mut self) -> Result<(), Error> {
        let (run, step) = (self.run.clone(), self.step.clone());
        self.app.database.write(move |tx| imports::keep(tx, &run, &step)).await?;
        self.app.wake.notify("import", self.run.id);
        Ok(())
    }

    /// From now on all that is known of a host is merged at once: what is missing is not reported any more.
    pub fn compare(&mut self) {
        self.pull = Pull::Whole;
    }

    /// Decide whether what a full pull did not show counts; gives what the run says of it.
    ///
    /// # Errors
    /// [`Error::Store`], also where the lease was lost.
    pub async fn settle(&mut self) -> Result<String, Error> {
        let (run, lease, now) = (self.run.clone(), self.lease.clone(), self.app.clock.now());
        let shown = unseen::shown(&self.counters);
        let settled = self.app.database.write_bulk(move |tx| {
            lease::hold(tx, &lease)?;
            let expected = unseen::expected(tx, &run)?;
            let counts = domain::import::whole(shown, expected);
            Ok((expected, counts, unseen::settle(tx, &run, counts, now)?))
        });
        Ok(match settled.await? {
            (expected, false, _) => format!(
                "it showed {shown} hosts where {expected} were expected: the account may see less than before, so nothing is \
                 marked as not reported any more"
            ),
            (_, true, 0) => String::new(),
            (_, true, 1) => "1 open detection is not reported any more; it is marked, not closed".to_owned(),
            (_, true, count) => {
                format!("{count} open detections are not reported any more; they are marked, not closed")
            }
        })
    }

    /// Have the run's record say this at its end, once.
    pub fn note(&mut self, remark: &'static str) {
        self.notes.insert(remark);
    }

    /// Merge a portion. Whole machines are kept even when the run fails later.
    ///
    /// # Errors
    /// [`Error::Store`], also where the lease was lost to another server; [`Error::Stopping`]; [`Error::Cancelled`].
    pub async fn merge(&mut self, batch: Batch) -> Result<(), Error> {
        if self.app.stopping.is_cancelled() {
            return Err(Error::Stopping);
        }
        if self.cancelled.is_cancelled() {
            return Err(Error::Cancelled);
        }
        let began = Instant::now();
        let merged = self.merge_batch(batch).await;
        self.step.merged_ms += millis(began);
        merged
    }

    async fn merge_batch(&mut self, batch: Batch) -> Result<(), Error> {
        let batch = Arc::new(batch);
        if !batch.vulnerabilities.is_empty() {
            self.merge_vulnerabilities(&batch).await?;
        }
        if batch.machines.is_empty() {
            return Ok(());
        }
        let (run, lease, before, now) = (self.run.clone(), self.lease.clone(), self.counters, self.app.clock.now());
        let pull = self.pull;
        let merged = self
            .app
            .database
            .write_bulk(move |tx| {
                lease::hold(tx, &lease)?;
                let merged = detections::merge(tx, &run, &batch.machines, now)?;
                tags::rebase(tx, &run, &batch.machines)?;
                match pull {
                    Pull::Whole => unseen::compare(tx, &run, &batch.machines, now)?,
                    Pull::Part => unseen::shown_again(tx, &run, &batch.machines)?,
                    Pull::File => {}
                }
                let mut counters = before;
                counters.add(&merged.counters);
                imports::progress(tx, &run, &counters)?;
                Ok(merged)
            })
            .await?;
        failpoint::hit("import.merged");
        self.counters.add(&merged.counters);
        self.digest = imports::chain(&self.digest, &merged.digest);
        self.app.wake.notify("import", self.run.id);
        Ok(())
    }

    /// Merge what a reader sends, up to the first failure; then the reader stops at its next portion, because nobody takes it.
    ///
    /// # Errors
    /// See [`Merger::merge`].
    pub async fn merge_all(&mut self, mut batches: mpsc::Receiver<Batch>) -> Result<(), Error> {
        while let Some(batch) = batches.recv().await {
            self.merge(batch).await?;
        }
        Ok(())
    }

    async fn merge_vulnerabilities(&mut self, batch: &Arc<Batch>) -> Result<(), Error> {
        let (run, lease, before) = (self.run.clone(), self.lease.clone(), self.counters);
        let batch = Arc::clone(batch);
        let (changed, counters) = self
            .app
            .database
            .write_bulk(move |tx| {
                lease::hold(tx, &lease)?;
                let mut counters = before;
                let changed = vulnerabilities::merge(tx, &run, &batch.vulnerabilities, &mut counters)?;
                imports::progress(tx, &run, &counters)?;
                Ok((changed, counters))
            })
            .await?;
        self.counters = counters;
        self.app.wake.notify("import", self.run.id);
        self.look_again(changed).await
    }

    /// Scores that hang on what changed in the knowledge base.
    async fn look_again(&mut self, changed: Vec<VulnerabilityId>) -> Result<(), Error> {
        if changed.is_empty() {
            return Ok(());
        }
        let changed = Arc::new(changed);
        let mut after = None;
        loop {
            let (run, lease, before, ids) = (self.run.clone(), self.lease.clone(), self.counters, Arc::clone(&changed));
            let now = self.app.clock.now();
            let (next, counters) = self
                .app
                .database
                .write_bulk(move |tx| {
                    lease::hold(tx, &lease)?;
                    let mut counters = before;
                    let next = detections::estimate_again(tx, &run, &ids, after, now, &mut counters)?;
                    Ok((next, counters))
                })
                .await?;
            self.counters = counters;
            after = next;
            if after.is_none() {
                break;
            }
        }
        let ids = Arc::clone(&changed);
        let items = self.app.database.read(move |tx| scores::controlled_items_of(tx, &ids)).await?;
        for chunk in items.chunks(RESCORED_MAX) {
            let (chunk, cause, now) = (chunk.to_vec(), self.run.number.to_string(), self.app.clock.now());
            self.app.database.write_bulk(move |tx| scores::recompute(tx, &chunk, &cause, now)).await?;
        }
        Ok(())
    }

    /// Everything before `cursor` is merged: where a run after a failure of this one goes on, and what the two together
    /// cover.
    ///
    /// # Errors
    /// [`Error::Store`].
    pub async fn reached(&mut self, cursor: &str, until: Timestamp) -> Result<(), Error> {
        let (run, cursor) = (self.run.clone(), cursor.to_owned());
        Ok(self.app.database.write(move |tx| imports::reached(tx, &run, &cursor, until)).await?)
    }

    /// Count rows of the input that could not be used, and describe them up to [`DESCRIBED_MAX`].
    ///
    /// # Errors
    /// [`Error::Store`].
    pub async fn reject(&mut self, summary: &intake::Summary, rejections: &[Rejection]) -> Result<(), Error> {
        // A document that lists machines rejects machines and detections; one that does not, entries.
        let rejected = match summary.hosts + summary.detections {
            0 if summary.vulnerabilities > 0 => &mut self.counters.vulnerabilities.rejected,
            _ => &mut self.counters.detections.rejected,
        };
        *rejected += summary.rejected;
        let room = DESCRIBED_MAX.saturating_sub(self.described);
        let rejections: Vec<_> = rejections.iter().take(room).cloned().collect();
        self.described += rejections.len();
        if rejections.is_empty() {
            return Ok(());
        }
        let run = self.run.clone();
        let described = move |tx: &mut store::Transaction<'_>| {
            for rejection in &rejections {
                let line = i64::try_from(rejection.line).ok();
                imports::reject(tx, &run, &rejection.row, line, &rejection.reason)?;
            }
            Ok(())
        };
        Ok(self.app.database.write_bulk(described).await?)
    }

    /// End the run and give the instance back, with a remark, or with what ended it early; complete hosts stay.
    ///
    /// # Errors
    /// What ended it early; [`Error::Store`] where the end cannot be written down: the next run of the instance will see
    /// to it.
    pub async fn finish(mut self, until: Option<Timestamp>, outcome: Result<String, Error>) -> Result<Counters, Error> {
        if outcome.is_ok() {
            self.end_step().await?;
        }
        let (run, lease, counters, digest) = (self.run.clone(), self.lease.clone(), self.counters, self.digest);
        let now = self.app.clock.now();
        failpoint::hit("import.before_finish");
        let cancelled = matches!(outcome, Err(Error::Cancelled));
        let failed = outcome.as_ref().err().map(|error| (error.reason(), error.kind()));
        let remark = outcome.as_ref().map(String::as_str).unwrap_or_default();
        let remarks = std::iter::once(remark).chain(self.notes.iter().copied()).filter(|text| !text.is_empty());
        let remark = remarks.collect::<Vec<_>>().join("; ");
        self.app
            .database
            .write(move |tx| {
                lease::hold(tx, &lease)?;
                let outcome = match &failed {
                    None => Outcome::Complete { until, remark: &remark },
                    Some(_) if cancelled => Outcome::Cancelled,
                    Some((reason, _)) => Outcome::Failed { reason },
                };
                imports::finish(tx, &run, &counters, &digest, outcome, now)?;
                if let Some((_, kind)) = &failed {
                    imports::failed_by(tx, &run, kind)?;
                }
                lease::release(tx, &lease)
            })
            .await?;
        failpoint::hit("import.finished");
        self.app.wake.notify("import", self.run.id);
        self.app.wake.notify("instance", self.run.instance.0);
        outcome.map(|_| counters)
    }
}

fn millis(since: Instant) -> i64 {
    i64::try_from(since.elapsed().as_millis()).unwrap_or(i64::MAX)
}

/// Keep the lease while the run is at work, and look whether somebody stops it.
async fn renew(app: App, run: i64, lease: Lease, stop: CancellationToken, cancelled: CancellationToken) {
    // By the clock that the lease is measured by.
    let mut renewed = app.clock.now();
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            () = app.clock.sleep_until(renewed.plus_seconds(RENEW_SECONDS)) => {}
            () = tokio::time::sleep(LOOK_EVERY) => {}
        }
        if !cancelled.is_cancelled() {
            match app.database.read(move |tx| imports::asked_to_stop(tx, run)).await {
                Ok(true) => cancelled.cancel(),
                Ok(false) => {}
                Err(error) => tracing::warn!("whether an import is to stop could not be seen: {error}"),
            }
        }
        let now = app.clock.now();
        if now < renewed.plus_seconds(RENEW_SECONDS) {
            continue;
        }
        renewed = now;
        let lease = lease.clone();
        match app.database.write(move |tx| lease::renew(tx, &lease, now, LEASE_SECONDS)).await {
            Ok(Some(_)) => {}
            Ok(None) => return,
            Err(error) => tracing::warn!("the lease of an import was not renewed: {error}"),
        }
    }
}

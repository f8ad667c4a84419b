//! One import run at work: its lease, its counters, and the merging of portions into the store.

use super::Error;
use super::batch::Batch;
use crate::app::App;
use domain::id::{InstanceId, VulnerabilityId};
use domain::time::Timestamp;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;
use store::imports::{self, Cause, Counters, Outcome, Run, Start};
use store::lease::{self, Lease};
use store::{detections, instances, scores, vulnerabilities};
use tokio::sync::mpsc;
use tokio_util::sync::{CancellationToken, DropGuard};
use uuid::Uuid;

/// How long an instance stays taken after its server died, in seconds.
const LEASE_SECONDS: i64 = 90;
/// How often a living server renews that.
const RENEW_EVERY: Duration = Duration::from_secs(20);
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
    lease: Lease,
    _renewing: DropGuard,
}

fn lease_name(instance: InstanceId) -> String {
    format!("import/{instance}")
}

impl Merger {
    /// Take the instance's lease and begin a run. A scheduled one takes its turn in the same transaction: an import that
    /// cannot begin stays due, and of several replicas one begins it.
    ///
    /// # Errors
    /// [`Error::Refused`] `import_running` while another run of the instance is at work, `import_not_due` for a scheduled
    /// one that another replica has begun meanwhile.
    pub async fn start(app: &App, start: Start<'_>) -> Result<Merger, Error> {
        let now = app.clock.now();
        let (instance, kind, cause) = (start.instance, start.kind, start.cause);
        let (actor, source) = (start.actor.to_owned(), start.source.to_owned());
        let begun = app
            .database
            .write(move |tx| {
                let holder = Uuid::new_v4();
                let Some(lease) = lease::acquire(tx, &lease_name(instance), holder, now, LEASE_SECONDS)? else {
                    return Ok(Err(super::running()));
                };
                if cause == Cause::Schedule && !instances::take_due(tx, instance, now)? {
                    lease::release(tx, &lease)?;
                    return Ok(Err(super::not_due()));
                }
                let start = Start { instance, kind, cause, actor: &actor, source: &source };
                Ok(Ok((imports::start(tx, start, now)?, lease)))
            })
            .await?;
        let (run, lease) = begun?;
        let stop = CancellationToken::new();
        tokio::spawn(renew(app.clone(), lease.clone(), stop.clone()));
        app.wake.notify("import", run.id);
        let (counters, digest, notes) = (Counters::default(), [0; 32], BTreeSet::new());
        Ok(Merger { app: app.clone(), run, counters, digest, notes, lease, _renewing: stop.drop_guard() })
    }

    /// Have the run's record say this at its end, once.
    pub fn note(&mut self, remark: &'static str) {
        self.notes.insert(remark);
    }

    /// Merge a portion. Whole machines are kept even when the run fails later.
    ///
    /// # Errors
    /// [`Error::Store`], also where the lease was lost to another server; [`Error::Stopping`].
    pub async fn merge(&mut self, batch: Batch) -> Result<(), Error> {
        if self.app.stopping.is_cancelled() {
            return Err(Error::Stopping);
        }
        let batch = Arc::new(batch);
        if !batch.vulnerabilities.is_empty() {
            self.merge_vulnerabilities(&batch).await?;
        }
        if batch.machines.is_empty() {
            return Ok(());
        }
        let (run, lease, before, now) = (self.run.clone(), self.lease.clone(), self.counters, self.app.clock.now());
        let merged = self
            .app
            .database
            .write_bulk(move |tx| {
                lease::hold(tx, &lease)?;
                let merged = detections::merge(tx, &run, &batch.machines, now)?;
                let mut counters = before;
                counters.add(&merged.counters);
                imports::progress(tx, &run, &counters)?;
                Ok(merged)
            })
            .await?;
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

    /// Count and describe rows of the input that could not be used.
    ///
    /// # Errors
    /// [`Error::Store`].
    pub async fn reject(&mut self, summary: &intake::Summary) -> Result<(), Error> {
        // A document that lists machines rejects machines and detections; one that does not, entries.
        let rejected = match summary.hosts + summary.detections {
            0 if summary.vulnerabilities > 0 => &mut self.counters.vulnerabilities.rejected,
            _ => &mut self.counters.detections.rejected,
        };
        *rejected += summary.rejected;
        if summary.rejections.is_empty() {
            return Ok(());
        }
        let (run, rejections) = (self.run.clone(), summary.rejections.clone());
        let described = move |tx: &mut store::Transaction<'_>| {
            for rejection in &rejections {
                let what = format!("{} (line {})", rejection.row, rejection.line);
                imports::reject(tx, &run, &what, &rejection.reason)?;
            }
            Ok(())
        };
        Ok(self.app.database.write(described).await?)
    }

    /// End the run and give the instance back, with a remark, or with the reason of its failure; complete hosts stay.
    ///
    /// # Errors
    /// [`Error::Store`] where the end cannot be written down; the next run of the instance will see to it.
    pub async fn finish(self, until: Option<Timestamp>, outcome: Result<String, String>) -> Result<Counters, Error> {
        let (run, lease, counters, digest) = (self.run.clone(), self.lease.clone(), self.counters, self.digest);
        let now = self.app.clock.now();
        let remarks: Vec<&str> = outcome
            .iter()
            .map(String::as_str)
            .chain(self.notes.iter().copied())
            .filter(|text| !text.is_empty())
            .collect();
        let remark = remarks.join("; ");
        self.app
            .database
            .write(move |tx| {
                lease::hold(tx, &lease)?;
                let outcome = match &outcome {
                    Ok(_) => Outcome::Complete { until, remark: &remark },
                    Err(reason) => Outcome::Failed { reason },
                };
                imports::finish(tx, &run, &counters, &digest, outcome, now)?;
                lease::release(tx, &lease)
            })
            .await?;
        self.app.wake.notify("import", self.run.id);
        self.app.wake.notify("instance", self.run.instance.0);
        Ok(self.counters)
    }
}

async fn renew(app: App, lease: Lease, stop: CancellationToken) {
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(RENEW_EVERY) => {}
        }
        let (lease, now) = (lease.clone(), app.clock.now());
        match app.database.write(move |tx| lease::renew(tx, &lease, now, LEASE_SECONDS)).await {
            Ok(Some(_)) => {}
            Ok(None) => return,
            Err(error) => tracing::warn!("the lease of an import was not renewed: {error}"),
        }
    }
}

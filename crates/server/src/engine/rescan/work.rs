//! One step of one launch: what the scanner is asked, and what is saved of its answer.
//!
//! Nothing here waits for the scanner beyond a single call; whatever has to wait is saved with the time of the next
//! look, so that any replica can go on. Every save is bound to the claim.

use super::judge;
use super::scanner::{self, Failed, instant, sign_out, timed, told, words};
use crate::app::App;
use crate::connect::qualys::{Client, ScanQuery};
use crate::engine::import::{self, import_targeted};
use crate::failpoint;
use domain::rescan::{self, ADOPTION_DAYS, Child, Cut, Event, Pace, Told};
use domain::time::Timestamp;
use intake::qualys::scan_fetch::ScanResult;
use intake::qualys::scans::ScanReport;
use std::net::IpAddr;
use store::Transaction;
use store::audit::{self, Entry};
use store::scans::{self, ChildRow};

mod launch;

/// How far back the scanner's list is searched for a title before the intent, because clocks differ.
const SEARCH_BACK_SECONDS: i64 = 24 * 3_600;
/// Pulls that fail before the results are left to the next import.
const PULLS_MAX: u32 = 10;
/// Looks that a scan may be missing from the scanner's list, or be refused, before it counts as gone.
const MISSING_MAX: u32 = 3;
/// Tries to cancel a scan at the scanner.
const CANCELS_MAX: u32 = 20;
/// Longest pause after failures, in seconds.
const BACKOFF_SECONDS_MAX: i64 = 900;
/// Pause while another import of the instance runs, in seconds.
const IMPORT_WAIT_SECONDS: i64 = 5;

/// A launch at work.
struct Work<'a> {
    app: &'a App,
    pace: Pace,
    child: ChildRow,
    /// Doubles of the launch that nobody knew of.
    found: Vec<String>,
}

/// Do what is due for a claimed launch.
pub(super) async fn work(app: &App, child: ChildRow) -> store::Result<()> {
    let pace = app.database.read(super::pace).await?;
    let state = child.state;
    let work = Work { app, pace, child, found: Vec::new() };
    match state {
        Child::Planned => work.launch().await,
        Child::Launching => work.find().await,
        Child::Running | Child::Finished => work.look().await,
        Child::Pulling => work.pull().await,
        Child::TimedOut => work.look_late().await,
        Child::Cancelled => work.stop().await,
        Child::Complete | Child::Error => work.rest().await,
    }
}

impl Work<'_> {
    fn now(&self) -> Timestamp {
        self.app.clock.now()
    }

    async fn client(&self) -> Result<Client, Failed> {
        scanner::client(self.app, self.child.instance_id).await
    }

    /// The pause after `failures` failures in a row.
    fn backoff(&self) -> i64 {
        let grown = self.pace.first_seconds.max(1).saturating_mul(1 << self.child.failures.min(10));
        grown.min(BACKOFF_SECONDS_MAX.max(self.pace.first_seconds))
    }

    fn step(&mut self, event: Event) {
        self.child.state = rescan::step(self.child.state, event);
        if self.child.state.ended() {
            self.child.ended_at = Some(self.now());
            self.child.next_at = None;
        }
    }

    fn next_in(&mut self, seconds: i64) {
        self.child.next_at = Some(self.now().plus_seconds(seconds));
    }

    fn failed_for_now(&mut self, failed: &Failed) {
        self.child.failures += 1;
        failed.text().clone_into(&mut self.child.message);
        let wait = if let Failed::Later(_, seconds) = failed { *seconds } else { 0 };
        self.next_in(self.backoff().max(wait));
    }

    /// Save, give the claim back, and bring the request up to date.
    async fn save(self) -> store::Result<()> {
        let (child, found, now) = (self.child, self.found, self.app.clock.now());
        self.app
            .database
            .write(move |tx| {
                if scans::save(tx, &child, None)? {
                    note_doubles(tx, &child, &found, now)?;
                    explain_targets(tx, &child, now)?;
                    judge::parent(tx, child.scan_id, now)?;
                }
                Ok(())
            })
            .await
    }

    /// Nothing is left to do.
    async fn rest(mut self) -> store::Result<()> {
        self.child.next_at = None;
        self.save().await
    }

    async fn fail(mut self, event: Event, message: String) -> store::Result<()> {
        self.child.message = message;
        self.step(event);
        self.save().await
    }

    /// Ask the scanner something and sign out again.
    async fn ask<T>(&self, call: impl AsyncFnOnce(&Client) -> Result<T, Failed>) -> Result<T, Failed> {
        let client = self.client().await?;
        let answer = call(&client).await;
        sign_out(&client).await;
        answer
    }

    /// The tracking ends, the scan does not (S2.18, S2.19).
    async fn time_out(mut self) -> store::Result<()> {
        self.step(Event::TrackingEnded);
        self.child.message = format!(
            "tracking ended before the scan did; the scan goes on, and its results are taken in if it ends within {ADOPTION_DAYS} days"
        );
        self.next_in(self.pace.longest_seconds);
        self.save().await
    }

    /// What the scanner says of the scan, and of doubles of it, the earliest first; empty where it lists none. Only what was
    /// sent more than once can have doubles.
    async fn reports(&self) -> Result<Vec<ScanReport>, Failed> {
        let child = &self.child;
        let query = if child.attempts < 2 {
            ScanQuery { reference: Some(child.reference.clone()), ..ScanQuery::default() }
        } else {
            let since = child.launching_at.map(|at| at.plus_seconds(-SEARCH_BACK_SECONDS));
            ScanQuery { launched_after: since, ..ScanQuery::default() }
        };
        let mut reports = self.ask(async |client| timed(client.list_scans(&query)).await).await?;
        let ours = |scan: &ScanReport| {
            let titled = || scan.title.as_deref().is_some_and(|title| rescan::titled(title, &child.request_key));
            scan.reference == child.reference || child.attempts > 1 && titled()
        };
        reports.retain(ours);
        reports.sort_by(|one, other| (one.launched_at, &one.reference).cmp(&(other.launched_at, &other.reference)));
        Ok(reports)
    }

    /// Of several scans of one launch the earliest is followed; the others are remembered and said.
    fn follow_first(&mut self, reports: &[ScanReport]) {
        let Some((first, others)) = reports.split_first() else { return };
        let known: Vec<String> =
            self.child.doubles().chain([self.child.reference.as_str()]).map(str::to_owned).collect();
        let found = reports.iter().map(|report| &report.reference).filter(|reference| !known.contains(reference));
        self.found.extend(found.cloned());
        self.child.reference.clone_from(&first.reference);
        self.child.scanner_launched_at = instant(first.launched_at).or(self.child.scanner_launched_at);
        if !others.is_empty() {
            let others: Vec<&str> = others.iter().map(|report| report.reference.as_str()).collect();
            self.child.doubles = others.join(",");
        }
    }

    /// Running or finished: look at it.
    async fn look(mut self) -> store::Result<()> {
        if rescan::tracking_ended(self.child.tracking_until, self.now()) {
            return self.time_out().await;
        }
        match self.reports().await {
            Ok(reports) if !reports.is_empty() => self.told(&reports).await,
            Ok(_) if self.child.failures + 1 >= MISSING_MAX => {
                let message = "the scanner does not list the scan any more".to_owned();
                self.fail(Event::Looked(Told::Absent), message).await
            }
            Err(Failed::Refused(text)) if self.child.failures + 1 >= MISSING_MAX => {
                self.fail(Event::Looked(Told::Error), text).await
            }
            Ok(_) => {
                self.failed_for_now(&Failed::Later("the scanner does not list the scan yet".to_owned(), 0));
                self.save().await
            }
            Err(failed) => {
                self.failed_for_now(&failed);
                self.save().await
            }
        }
    }

    async fn told(mut self, reports: &[ScanReport]) -> store::Result<()> {
        failpoint::hit("rescan.looked");
        let told = told_of(reports);
        let now = self.now();
        self.follow_first(reports);
        let child = &mut self.child;
        child.failures = 0;
        child.looks += 1;
        if matches!(told, Told::Finished { .. } | Told::Cancelled) {
            child.finished_at = child.finished_at.or(Some(now));
        }
        child.message = words_of(reports, told);
        if let Some(dropped) = dropped(child, reports) {
            let apart = if child.message.is_empty() { "" } else { "; " };
            child.message = format!("{}{apart}{dropped}", child.message);
        }
        let looks = child.looks;
        let mut seen = told;
        if told == Told::Cancelled {
            let processed = reports.iter().any(|report| report.processed);
            match rescan::cut(processed, child.finished_at.unwrap_or(now), now) {
                Cut::Wait => {
                    self.next_in(self.pace.first_seconds);
                    return self.save().await;
                }
                Cut::Pull => (child.cut, seen) = (true, Told::Finished { processed: true }),
                Cut::End => {}
            }
        }
        self.step(Event::Looked(seen));
        match self.child.state {
            Child::Pulling => self.next_in(0),
            // Results are processed soon after the end.
            Child::Finished => self.next_in(self.pace.first_seconds),
            Child::Running => self.next_in(self.pace.next_look_seconds(looks)),
            _ => {}
        }
        let processed = self.child.state == Child::Pulling;
        self.save().await?;
        if processed {
            failpoint::hit("rescan.finished");
        }
        Ok(())
    }

    /// Pulling: exactly these hosts and vulnerabilities, through the import, then the verdicts.
    async fn pull(mut self) -> store::Result<()> {
        let id = self.child.id;
        let pairs = self.app.database.read(move |tx| scans::lookup_pairs(tx, id)).await?;
        let keyed = pairs.iter().filter(|(_, keyed, _, _)| *keyed);
        let hosts = super::each_once(keyed.filter_map(|(key, _, _, _)| key.parse::<i64>().ok()));
        let qids = super::each_once(pairs.iter().map(|(_, _, _, qid)| *qid));
        // Without a host the scanner would be asked for all of them.
        if hosts.is_empty() || qids.is_empty() {
            return self.judged(None).await;
        }
        let scan = self.child.name();
        let source = format!("scans/{}", scan.split('/').next().unwrap_or_default());
        failpoint::hit("rescan.pull_begun");
        match import_targeted(self.app, self.child.instance_id, hosts, qids, source).await {
            Ok((number, _)) => {
                failpoint::hit("rescan.pulled");
                self.judged(Some(number.ordinal)).await
            }
            Err(import::Error::Stopping) => Ok(()),
            Err(import::Error::Refused(refusal)) if refusal.code == import::RUNNING => {
                self.child.message = "waiting for another import of the instance to end".to_owned();
                self.next_in(IMPORT_WAIT_SECONDS.min(self.pace.first_seconds));
                self.save().await
            }
            Err(error) if self.child.failures + 1 >= PULLS_MAX => {
                let reason = error.reason();
                let message = format!(
                    "the scan ended, but its results could not be pulled; the next import brings them: {reason}"
                );
                self.fail(Event::PullFailed, message).await
            }
            Err(error) => {
                self.failed_for_now(&Failed::Later(error.reason(), 0));
                self.save().await
            }
        }
    }

    /// What the scan reached, once: what it does not say is a remark, no failure.
    async fn reached(&mut self) -> Option<Vec<(String, String)>> {
        let reference = self.child.reference.clone();
        match self.ask(async |client| timed(client.fetch_scan(&reference)).await).await {
            Ok(result) => {
                (self.child.hosts_alive, self.child.hosts_total) = (result.active_hosts, result.total_hosts);
                let addresses = self.child.addresses().filter(|address| !result.reached.contains_key(*address));
                Some(addresses.map(|address| (address.to_owned(), unscanned(&result, address))).collect())
            }
            Err(failed) => {
                let name = self.child.name();
                tracing::info!(scan.name = name, "what the scan {name} reached is not known: {}", failed.text());
                None
            }
        }
    }

    /// Verdicts, the end of the launch and the state of the request in one transaction.
    async fn judged(mut self, run: Option<i64>) -> store::Result<()> {
        let unscanned = self.reached().await;
        failpoint::hit("rescan.fetched");
        self.child.run_number = run.or(self.child.run_number);
        self.child.message = match (self.child.cut, self.child.adopted) {
            (true, _) => "the scan was cancelled at the scanner; what it found by then was taken in".to_owned(),
            (false, true) => "ended after its tracking had".to_owned(),
            (false, false) => String::new(),
        };
        self.step(if self.child.cut { Event::Cancel } else { Event::Pulled });
        let (child, now) = (self.child, self.app.clock.now());
        self.app
            .database
            .write(move |tx| {
                if scans::save(tx, &child, None)? {
                    if let Some(unscanned) = &unscanned {
                        scans::set_unscanned(tx, child.id, unscanned)?;
                    }
                    judge::targets(tx, &child, now)?;
                    judge::parent(tx, child.scan_id, now)?;
                }
                Ok(())
            })
            .await?;
        failpoint::hit("rescan.judged");
        self.app.wake.notify("item", 0);
        Ok(())
    }

    /// Timed out: a scan that ends after all is adopted, for some days.
    async fn look_late(mut self) -> store::Result<()> {
        let until = self.child.tracking_until.plus_seconds(ADOPTION_DAYS * 24 * 3_600);
        if self.now() >= until {
            return self.rest().await;
        }
        self.next_in(self.pace.longest_seconds);
        if self.child.reference.is_empty() {
            let found = self.ask(async |client| self.search(client).await).await;
            if let Ok(Some(report)) = found {
                self.child.reference = report.reference;
                self.child.launched_at = self.child.launching_at;
                self.child.scanner_launched_at = instant(report.launched_at);
                self.next_in(0);
            }
            return self.save().await;
        }
        match self.reports().await {
            Ok(reports) if !reports.is_empty() => {
                self.follow_first(&reports);
                let told = told_of(&reports);
                match told {
                    Told::Finished { processed: true } => {
                        self.step(Event::Adopted);
                        (self.child.adopted, self.child.ended_at) = (true, None);
                        self.child.failures = 0;
                        self.child.finished_at = self.child.finished_at.or(Some(self.now()));
                        self.child.message =
                            "the scan ended after its tracking had; its results are taken in".to_owned();
                        self.next_in(0);
                    }
                    Told::Cancelled | Told::Error => {
                        self.child.message = format!("tracking ended; {}", words_of(&reports, told));
                        self.child.next_at = None;
                    }
                    Told::Going | Told::Finished { .. } | Told::Absent => {}
                }
                self.save().await
            }
            Ok(_) | Err(_) => self.save().await,
        }
    }

    /// Cancelled by a person: stop it at the scanner as well.
    async fn stop(mut self) -> store::Result<()> {
        if self.child.reference.is_empty() {
            match self.ask(async |client| self.search(client).await).await {
                Ok(Some(report)) => self.child.reference = report.reference,
                Ok(None) => {
                    let since = self.child.launching_at.unwrap_or_else(|| self.now());
                    if self.now() >= since.plus_seconds(self.pace.search_seconds) {
                        return self.rest().await;
                    }
                    self.next_in(self.search_pause());
                    return self.save().await;
                }
                Err(failed) => return self.not_stopped(failed).await,
            }
        }
        // Of what was sent more than once everything that still goes on is stopped.
        let mut references = vec![self.child.reference.clone()];
        if self.child.attempts > 1 {
            match self.reports().await {
                Ok(reports) if !reports.is_empty() => {
                    self.follow_first(&reports);
                    let going = reports.iter().filter(|report| told(report) == Told::Going);
                    references = going.map(|report| report.reference.clone()).collect();
                }
                Ok(_) => {}
                Err(failed) => return self.not_stopped(failed).await,
            }
        }
        let mut failed = None;
        for reference in references {
            let stopped = self.ask(async |client| timed(client.cancel_scan(&reference)).await).await;
            failed = failed.or(stopped.err());
        }
        if let Some(failed) = failed {
            return self.not_stopped(failed).await;
        }
        self.child.message.push_str("; stopped at the scanner");
        self.rest().await
    }

    async fn not_stopped(mut self, failed: Failed) -> store::Result<()> {
        let given_up = matches!(failed, Failed::Refused(_)) || self.child.failures >= CANCELS_MAX;
        self.child.failures += 1;
        self.next_in(self.backoff());
        if given_up {
            self.child.message = format!("{}; the scanner did not stop it: {}", self.child.message, failed.text());
            self.child.next_at = None;
        }
        self.save().await
    }
}

/// Why a scan has no result for an address, as far as the scanner says: its lists hold addresses and ranges.
fn unscanned(result: &ScanResult, address: &str) -> String {
    let which = result.not_scanned.iter().find(|(_, list)| names(list, address));
    let which = which.map(|(key, _)| key.to_ascii_lowercase());
    match which {
        None if result.target.as_ref().is_some_and(|target| left_out(target, address)) => LEFT_OUT.to_owned(),
        Some(key) if key.contains("alive") => "the host did not answer".to_owned(),
        Some(key) if key.contains("exclu") => "the scanner leaves the address out".to_owned(),
        _ => "the scan has no result for the address".to_owned(),
    }
}

/// Why an address that was sent has no result: the scanner drops those outside of its user's scope without a word.
const LEFT_OUT: &str = "the scanner did not take the address into the scan";

/// An address, or a range of them.
fn range(part: &str) -> Option<(IpAddr, IpAddr)> {
    let whole = |text: &str| text.trim().parse::<IpAddr>().ok();
    match part.split_once('-') {
        None => whole(part).map(|at| (at, at)),
        Some((low, high)) => Some((whole(low)?, whole(high)?)),
    }
}

/// Does a list of addresses and ranges, as the scanner writes it, hold this address?
fn names(list: &str, address: &str) -> bool {
    let Ok(at) = address.parse::<IpAddr>() else { return false };
    list.split(',').filter_map(range).any(|(low, high)| (low..=high).contains(&at))
}

/// Is the address certainly no target of a scan? A target that is more than addresses, as names and groups, leaves it open.
fn left_out(target: &str, address: &str) -> bool {
    let parts = || target.split(',').map(str::trim).filter(|part| !part.is_empty());
    parts().next().is_some() && parts().all(|part| range(part).is_some()) && !names(target, address)
}

/// What the scanner did not take of the addresses that were sent, as a sentence; nothing where it took them all.
fn dropped(child: &ChildRow, reports: &[ScanReport]) -> Option<String> {
    let target = reports.iter().find(|report| report.reference == child.reference)?.target.as_ref()?;
    let missing: Vec<&str> = child.addresses().filter(|address| left_out(target, address)).collect();
    let (first, rest) = missing.split_first()?;
    let more = if rest.is_empty() { String::new() } else { format!(" and {} more", rest.len()) };
    Some(format!("the scanner did not take {first}{more} into the scan"))
}

/// What the scanner says of all scans of one launch.
fn told_of(reports: &[ScanReport]) -> Told {
    let each: Vec<Told> = reports.iter().map(told).collect();
    rescan::together(&each)
}

/// What is worth saying of them: the words of the first that is where they all are.
fn words_of(reports: &[ScanReport], all: Told) -> String {
    let which = reports.iter().find(|report| told(report) == all);
    which.map(|report| words(report, all)).unwrap_or_default()
}

/// A launch that runs twice is said in the audit, once for each double.
fn note_doubles(tx: &mut Transaction<'_>, child: &ChildRow, found: &[String], now: Timestamp) -> store::Result<()> {
    let name = child.name();
    let resource = format!("scans/{}", name.split('/').next().unwrap_or_default());
    for reference in found {
        tracing::warn!(scan.name = name, "the scan {name} was launched twice; {reference} is its double");
        let detail = serde_json::json!({ "scan": name, "double": reference, "followed": child.reference });
        let (actor, action) = ("engine/rescan", "scan.double");
        audit::append(tx, &Entry { at: now, actor, action, resource: &resource, detail })?;
    }
    Ok(())
}

/// What the targets of a launch hear that ends without a pull.
fn explain_targets(tx: &mut Transaction<'_>, child: &ChildRow, now: Timestamp) -> store::Result<()> {
    match child.state {
        Child::Error | Child::Cancelled => scans::close_targets(tx, child.id, "not_tested", &child.message, now),
        Child::TimedOut => scans::close_targets(tx, child.id, "", &child.message, now),
        _ => Ok(()),
    }
}

//! Sending a launch: whether it may be sent, the intent, the call, and the search for one whose answer was lost.

use super::{SEARCH_BACK_SECONDS, Work};
use crate::connect::qualys::{Client, LaunchRequest, LaunchedScan, ProfileChoice, ScanQuery, ScannerChoice};
use crate::engine::rescan::CLAIM_SECONDS;
use crate::engine::rescan::scanner::{Failed, instant, sign_out, timed};
use crate::failpoint;
use domain::rescan::{self, EXTERNAL, Event, Line, Pace, Turn, Waits};
use domain::time::Timestamp;
use intake::qualys::scans::ScanReport;
use store::scans::{self, ChildRow};
use store::{Transaction, instances, scanners};

/// What became of the intent to launch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Intent {
    /// It is written down.
    Durable,
    /// Somebody else holds the launch.
    Lost,
    /// It has to wait for this, and asks again then.
    Held(Waits, Timestamp),
}

/// What holds a launch back: an inactive scanner, or the policy of its integration.
fn held(
    tx: &mut Transaction<'_>,
    child: &ChildRow,
    pace: Pace,
    now: Timestamp,
) -> store::Result<Option<(Waits, Timestamp)>> {
    if !scanners::active_at(tx, child.instance_id)? {
        return Ok(Some((Waits::Inactive, now.plus_seconds(pace.longest_seconds))));
    }
    let (policy, _) = scans::policy(tx, child.instance_id)?;
    let since = now.plus_seconds(-policy.launches_seconds);
    let standing = scans::standing(tx, child.instance_id, child.id, since)?;
    let line = Line { running: &standing.running, waiting: &standing.waiting, launched: &standing.launched };
    Ok(match policy.turn(&line, child.id, now) {
        Turn::Go => None,
        Turn::Wait { why, until } => Some((why, until)),
    })
}

impl Work<'_> {
    /// Planned: write the intent down, then launch.
    pub(super) async fn launch(mut self) -> store::Result<()> {
        if rescan::tracking_ended(self.child.tracking_until, self.now()) {
            let message = format!("the scan could not be launched in time: {}", self.child.message);
            return self.fail(Event::LaunchRefused, message).await;
        }
        // Who has to wait does not sign in for it; the intent asks again.
        let (child, pace, now) = (self.child.clone(), self.pace, self.now());
        if let Some((why, until)) = self.app.database.read(move |tx| held(tx, &child, pace, now)).await? {
            return self.wait(why, until).await;
        }
        let client = match self.client().await {
            Ok(client) => client,
            Err(failed) => return self.not_launched(failed).await,
        };
        if self.child.attempts > 0 {
            // An earlier try may have worked after all, however late the scanner shows it.
            match self.search(&client).await {
                Ok(Some(report)) => return self.launched(report.reference, instant(report.launched_at)).await,
                Ok(None) => {}
                Err(failed) => return self.not_launched(failed).await,
            }
        }
        failpoint::hit("rescan.before_intent");
        match self.intend().await? {
            Intent::Durable => failpoint::hit("rescan.intent"),
            Intent::Lost => return Ok(()),
            Intent::Held(why, until) => {
                sign_out(&client).await;
                return self.wait(why, until).await;
            }
        }
        let request = self.order();
        let answer = timed(client.launch_scan(&request)).await;
        failpoint::hit("rescan.called");
        sign_out(&client).await;
        match answer {
            Ok(LaunchedScan { reference, .. }) => self.launched(reference, None).await,
            Err(Failed::Lost(reason)) => {
                self.child.message = format!("the launch got no answer, looking for it at the scanner: {reason}");
                self.next_in(self.search_pause());
                self.save().await
            }
            Err(failed) => self.not_launched(failed).await,
        }
    }

    /// Not yet: say what for, and come back then.
    async fn wait(mut self, why: Waits, until: Timestamp) -> store::Result<()> {
        why.as_str().clone_into(&mut self.child.waits);
        self.child.message = why.sentence(until);
        self.child.next_at = Some(until);
        self.save().await
    }

    /// The intent is durable before the scanner hears of it. Whether the scanner is still active and it is the launch's turn
    /// is looked at in the same transaction: what was asked for before the scanner was deactivated is not launched after, and
    /// two replicas do not launch more than was set.
    async fn intend(&mut self) -> store::Result<Intent> {
        let now = self.now();
        let mut intended = self.child.clone();
        intended.state = rescan::step(intended.state, Event::Launching);
        intended.launching_at = Some(now);
        intended.attempts += 1;
        intended.next_at = Some(now);
        if !intended.waits.is_empty() {
            intended.waits.clear();
            intended.message.clear();
        }
        let (child, until, pace) = (intended.clone(), now.plus_seconds(CLAIM_SECONDS), self.pace);
        let written = self.app.database.write(move |tx| {
            if let Some((why, until)) = held(tx, &child, pace, now)? {
                return Ok(Intent::Held(why, until));
            }
            Ok(if scans::save(tx, &child, Some(until))? { Intent::Durable } else { Intent::Lost })
        });
        let written = written.await?;
        if written == Intent::Durable {
            self.child = intended;
        }
        Ok(written)
    }

    fn order(&self) -> LaunchRequest {
        let child = &self.child;
        let profile = child.profile_key.parse().map(ProfileChoice::Id);
        let scanner = match child.appliance.as_str() {
            EXTERNAL | "0" | "" => ScannerChoice::External,
            key => key.parse().map_or_else(|_| ScannerChoice::Name(key.to_owned()), ScannerChoice::Id),
        };
        LaunchRequest {
            title: child.request_key.clone(),
            profile: profile.unwrap_or_else(|_| ProfileChoice::Title(child.profile_title.clone())),
            ips: child.addresses().map(str::to_owned).collect(),
            network_id: child.network_id.parse().ok(),
            scanner,
            priority: None,
        }
    }

    /// The launch certainly did not happen.
    async fn not_launched(mut self, failed: Failed) -> store::Result<()> {
        if let Failed::Refused(text) = failed {
            return self.fail(Event::LaunchRefused, text).await;
        }
        self.step(Event::NotLaunched);
        self.failed_for_now(&failed);
        self.save().await
    }

    async fn launched(mut self, reference: String, at: Option<Timestamp>) -> store::Result<()> {
        let (now, instance) = (self.now(), self.child.instance_id);
        let hours = self.app.database.read(move |tx| instances::one(tx, instance)).await?.tracking_hours;
        tracing::info!(scan.name = self.child.name(), "the scan {} was launched as {reference}", self.child.name());
        // A launch found from Planned has its intent behind it as well.
        self.step(Event::Launching);
        self.step(Event::Launched);
        let child = &mut self.child;
        child.reference = reference;
        (child.message, child.waits) = (String::new(), String::new());
        child.launched_at = Some(now);
        child.scanner_launched_at = at;
        (child.looks, child.failures) = (0, 0);
        child.tracking_until = now.plus_seconds(hours.saturating_mul(3_600));
        self.next_in(self.pace.next_look_seconds(0));
        self.save().await?;
        failpoint::hit("rescan.launched");
        Ok(())
    }

    pub(super) fn search_pause(&self) -> i64 {
        (self.pace.search_seconds / 8).clamp(1, 15)
    }

    /// The scan of our title at the scanner.
    pub(super) async fn search(&self, client: &Client) -> Result<Option<ScanReport>, Failed> {
        let since = self.child.launching_at.map(|at| at.plus_seconds(-SEARCH_BACK_SECONDS));
        let query = ScanQuery { launched_after: since, ..ScanQuery::default() };
        let ours = |scan: &ScanReport| {
            scan.title.as_deref().is_some_and(|title| rescan::titled(title, &self.child.request_key))
        };
        Ok(timed(client.list_scans(&query)).await?.into_iter().find(ours))
    }

    /// Launching: nobody knows whether the scanner heard of it. Look for the title before anything else.
    pub(super) async fn find(mut self) -> store::Result<()> {
        match self.ask(async |client| self.search(client).await).await {
            Ok(Some(report)) => self.launched(report.reference, instant(report.launched_at)).await,
            Ok(None) => {
                let since = self.child.launching_at.unwrap_or_else(|| self.now());
                if self.now() >= since.plus_seconds(self.pace.search_seconds) {
                    self.child.message = "the scanner does not know the scan; it is launched again".to_owned();
                    self.step(Event::NotLaunched);
                    self.next_in(0);
                } else {
                    self.next_in(self.search_pause());
                }
                self.save().await
            }
            Err(failed) => {
                if rescan::tracking_ended(self.child.tracking_until, self.now()) {
                    return self.time_out().await;
                }
                self.failed_for_now(&failed);
                self.save().await
            }
        }
    }
}

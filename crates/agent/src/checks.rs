//! Looks at the controls on this host without being asked: on a timer, after packages were changed, after a start.
//!
//! What is looked at is what the journal says we hold, and what an order found in place already. It is read only, by the
//! same code as a check order, from content whose digest the journal or an order named, and bounded in time. Nobody is
//! called when packages change: the package databases' own files tell ([`DATABASES`]), looked at about once a minute, and
//! only once they have been still for a while. [`due`] decides; no clock is read in here.

use crate::executor::Executor;
use crate::frame::ToNet;
use catalogue::applies::Applicability;
use catalogue::schema::Entry;
use domain::mitigation::{ControlState, Origin};
use protocol::agent::{CHECK_CHARS_MAX, CHECKS_MAX, Check, CheckCause, Checks as Report, EventKind, TaskReport};
use protocol::order::Order;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// Seconds between two looks unless the server says otherwise: four hours.
pub const INTERVAL_SECONDS: u32 = 4 * 3600;
/// The shortest interval a server can ask for, in seconds.
pub const INTERVAL_SECONDS_MIN: u32 = 15 * 60;
/// The longest, in seconds: a week.
pub const INTERVAL_SECONDS_MAX: u32 = 7 * 24 * 3600;
/// The first look after a start comes within this many seconds, so that a restarted fleet is spread out.
pub const START_SECONDS_MAX: u32 = 300;
/// No two looks are closer together, in seconds.
pub const PAUSE_SECONDS: i64 = 60;
/// A package database counts as changed when it has been still for so many seconds: a transaction writes it many times.
pub const STILL_SECONDS: i64 = 20;
/// A look ends after so many seconds; the rest is looked at in the next one.
const LOOK_SECONDS_MAX: u64 = 60;
/// A number of a report that is not believed.
const NUMBER_MAX: u64 = 1 << 62;
/// Controls found in place from elsewhere that are remembered at most.
const FOUND_MAX: usize = CHECKS_MAX / 2;

/// The files in which dpkg and rpm keep what is installed.
pub const DATABASES: [&str; 6] = [
    "/var/lib/dpkg/status",
    "/var/lib/rpm/rpmdb.sqlite",
    "/var/lib/rpm/Packages.db",
    "/var/lib/rpm/Packages",
    "/usr/lib/sysimage/rpm/rpmdb.sqlite",
    "/usr/lib/sysimage/rpm/Packages.db",
];

/// What is remembered over restarts.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Kept {
    /// The number of the last report.
    pub n: u64,
    /// Boot id at the last look.
    pub boot_id: String,
    /// The package databases at the last look.
    pub packages: String,
    /// What the server wants, in seconds; 0 = it has not said.
    pub interval_seconds: u32,
    /// Entries that an order found in place from elsewhere: id to digest.
    pub found: BTreeMap<String, String>,
    /// Where the next look goes on after one that ended early; empty = at the beginning.
    pub after: String,
}

/// What stands around a decision.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signs {
    /// Boot id now.
    pub boot_id: String,
    /// The package databases now.
    pub packages: String,
    /// The clock that nobody can set, in microseconds.
    pub now: i64,
}

/// The looks: when the last one was and the next one is.
#[derive(Debug)]
pub struct Checks {
    kept: Kept,
    looked_at: Option<i64>,
    due_at: Option<i64>,
    /// The package databases as they stand since, while they differ from the last look's.
    moving: Option<(String, i64)>,
    /// An order ended while a report was under way, or a look ended early.
    again: bool,
    pending: Option<Box<Report>>,
}

impl Checks {
    /// Go on from what is remembered.
    #[must_use]
    pub fn new(kept: Kept) -> Self {
        Self { kept, looked_at: None, due_at: None, moving: None, again: false, pending: None }
    }

    /// The report that the server has not taken yet.
    #[must_use]
    pub fn undelivered(&self) -> Option<Box<Report>> {
        self.pending.clone()
    }

    /// Whether to look now, and why. `random` spreads looks out.
    pub fn due(&mut self, signs: &Signs, random: u32) -> Option<CheckCause> {
        let seconds = |seconds: i64| seconds * 1_000_000;
        let rebooted = !self.kept.boot_id.is_empty() && self.kept.boot_id != signs.boot_id;
        if signs.packages == self.kept.packages {
            self.moving = None;
        } else if self.moving.as_ref().is_none_or(|(mark, _)| *mark != signs.packages) {
            self.moving = Some((signs.packages.clone(), signs.now));
        }
        let due_at = *self.due_at.get_or_insert_with(|| {
            signs.now + seconds(i64::from(random % if rebooted { PAUSE_SECONDS as u32 } else { START_SECONDS_MAX }))
        });
        if self.looked_at.is_some_and(|at| signs.now < at + seconds(PAUSE_SECONDS)) {
            return None;
        }
        let still = |since: i64| signs.now >= since + seconds(STILL_SECONDS);
        if self.moving.as_ref().is_some_and(|(_, since)| still(*since)) && self.looked_at.is_some() {
            return Some(CheckCause::Packages);
        }
        if self.again {
            return Some(CheckCause::Order);
        }
        let cause = match self.looked_at {
            _ if rebooted => CheckCause::Reboot,
            None => CheckCause::Start,
            Some(_) => CheckCause::Timer,
        };
        (signs.now >= due_at).then_some(cause)
    }

    /// A look happened.
    fn looked(&mut self, signs: &Signs, random: u32) {
        let interval = match self.kept.interval_seconds {
            0 => INTERVAL_SECONDS,
            wanted => wanted.clamp(INTERVAL_SECONDS_MIN, INTERVAL_SECONDS_MAX),
        };
        // A tenth less to a tenth more.
        let jittered = i64::from(interval) * (900 + i64::from(random % 201)) / 1000;
        (self.looked_at, self.due_at) = (Some(signs.now), Some(signs.now + jittered * 1_000_000));
        (self.again, self.moving) = (false, None);
        self.kept.boot_id.clone_from(&signs.boot_id);
        self.kept.packages.clone_from(&signs.packages);
    }
}

impl Executor {
    /// Look at the controls if it is time; `now` is the clock of [`crate::clock::boot_micros`].
    pub fn look(&mut self, now: i64) {
        self.look_with(now, &mut random);
    }

    /// As [`Executor::look`], with the chance that spreads the looks of many hosts given.
    pub fn look_with(&mut self, now: i64, random: &mut dyn FnMut() -> u32) {
        let tree = &self.host.tree;
        let packages: Vec<String> = DATABASES.iter().map(|path| tree.mark(path).unwrap_or_default()).collect();
        let signs = Signs { boot_id: self.host.boot_id(), packages: packages.join(" "), now };
        let Some(why) = self.checks.due(&signs, random()) else { return };
        let (controls, rest) = self.look_at_controls(Instant::now() + Duration::from_secs(LOOK_SECONDS_MAX));
        self.checks.looked(&signs, random());
        self.checks.again = !rest.is_empty();
        self.checks.kept.after = rest;
        if !controls.is_empty() {
            self.checks.kept.n = self.checks.kept.n.saturating_add(1);
        }
        // Durable before it is said: a number is never used for two reports.
        if let Err(error) = self.state.keep_checks(&self.checks.kept) {
            tracing::error!("the controls were checked, but that could not be written down: {error}");
            return;
        }
        if controls.is_empty() {
            return;
        }
        let report = Box::new(Report { n: self.checks.kept.n, why, boot_id: signs.boot_id, controls });
        self.checks.pending = Some(report.clone());
        self.out.push(ToNet::Checks(report));
    }

    /// The server has taken reports up to `n`, and says how often it wants them.
    pub(crate) fn checked_up_to(&mut self, n: u64, interval_seconds: u32) {
        let checks = &mut self.checks;
        let asked = interval_seconds.clamp(INTERVAL_SECONDS_MIN, INTERVAL_SECONDS_MAX);
        let mut changed = std::mem::replace(&mut checks.kept.interval_seconds, asked) != asked;
        // Nobody has counted that far one by one: who says so is not believed, and the numbers do not run out.
        if n > checks.kept.n && n < NUMBER_MAX {
            // It knows of later reports than we: our memory was lost. The next look goes on above them.
            (checks.kept.n, checks.again, checks.pending) = (n, true, None);
            changed = true;
        }
        if n < NUMBER_MAX && checks.pending.as_ref().is_some_and(|pending| pending.n <= n) {
            checks.pending = None;
        }
        if changed && let Err(error) = self.state.keep_checks(&self.checks.kept) {
            tracing::error!("what the server wants checked was not written down: {error}");
        }
    }

    /// An order ended: remember what it found in place, and do not let an older look stand.
    pub(crate) fn ended_while_checked(&mut self, order: &Order, end: &EventKind) {
        let EventKind::Finished(report) = end else { return };
        let checks = &mut self.checks;
        // What a look found before may be told after this end.
        checks.again |= checks.pending.take().is_some();
        let in_place = matches!(report.state, ControlState::Effective | ControlState::Configured);
        let before = checks.kept.found.get(&order.entry_id).cloned();
        match report.origin {
            Some(Origin::External) if in_place && checks.kept.found.len() < FOUND_MAX => {
                checks.kept.found.insert(order.entry_id.clone(), order.content_digest.clone());
            }
            Some(Origin::Ours) => drop(checks.kept.found.remove(&order.entry_id)),
            _ => {}
        }
        if checks.kept.found.get(&order.entry_id) != before.as_ref()
            && let Err(error) = self.state.keep_checks(&self.checks.kept)
        {
            tracing::error!("a control from elsewhere was not written down: {error}");
        }
    }

    /// Look at everything we hold or found, until the deadline; gives the lines and where the next look goes on.
    fn look_at_controls(&mut self, deadline: Instant) -> (Vec<Check>, String) {
        let mut all: BTreeMap<String, (String, bool)> = BTreeMap::new();
        for (entry, digest) in &self.checks.kept.found {
            all.insert(entry.clone(), (digest.clone(), false));
        }
        for (entry, holding) in self.book.holdings() {
            all.insert(entry.clone(), (holding.content_digest.clone(), true));
        }
        if all.is_empty() {
            return (Vec::new(), String::new());
        }
        self.host.refresh();
        let from = std::mem::take(&mut self.checks.kept.after);
        let mut lines = Vec::new();
        for (entry, (digest, held)) in all.range(from..) {
            if lines.len() >= CHECKS_MAX || (!lines.is_empty() && Instant::now() >= deadline) {
                return (lines, entry.clone());
            }
            lines.push(self.look_at(entry, digest, *held));
        }
        (lines, String::new())
    }

    fn look_at(&self, entry_id: &str, digest: &str, held: bool) -> Check {
        let at = self.clock.now();
        let (state, message) = match self.state.content(digest).map(|bytes| Entry::from_json(&bytes)) {
            None => (ControlState::Unknown, "its content is not kept here any more".to_owned()),
            Some(Err(error)) => (ControlState::Unknown, format!("its content cannot be read: {error}")),
            Some(Ok(entry)) if !entry.platform.covers(self.host.platform()) => {
                (ControlState::NotApplicable, format!("the entry is for {}", entry.platform.as_str()))
            }
            Some(Ok(entry)) => match entry.applies.decide(&self.host) {
                Applicability::NotApplicable(reason) => (ControlState::NotApplicable, reason),
                Applicability::Unknown(reason) => (ControlState::Unknown, reason),
                Applicability::Applicable => {
                    let report = self.checked(&entry);
                    (report.state, said(&report))
                }
            },
        };
        let (entry_id, content_digest) = (entry_id.to_owned(), digest.to_owned());
        let message = message.chars().filter(|c| !c.is_control()).take(CHECK_CHARS_MAX).collect();
        Check { entry_id, content_digest, state, held, at, message }
    }
}

/// What a check found, action by action.
fn said(report: &TaskReport) -> String {
    let found: Vec<String> = report.actions.iter().map(|a| format!("{} is {}", a.target, a.after)).collect();
    found.join("; ")
}

fn random() -> u32 {
    use rand::TryRng as _;
    let mut bytes = [0; 4];
    match rand::rngs::SysRng.try_fill_bytes(&mut bytes) {
        Ok(()) => u32::from_le_bytes(bytes),
        Err(_) => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: i64 = 1_000_000;

    fn signs(boot: &str, packages: &str, seconds: i64) -> Signs {
        Signs { boot_id: boot.to_owned(), packages: packages.to_owned(), now: seconds * SECOND }
    }

    fn kept() -> Kept {
        Kept { boot_id: "a".to_owned(), packages: "p".to_owned(), ..Kept::default() }
    }

    #[test]
    fn a_start_a_timer_and_the_servers_interval_within_bounds() {
        let mut checks = Checks::new(kept());
        assert_eq!(checks.due(&signs("a", "p", 0), 299), None);
        assert_eq!(checks.due(&signs("a", "p", 298), 0), None, "drawn once");
        assert_eq!(checks.due(&signs("a", "p", 299), 0), Some(CheckCause::Start));
        checks.looked(&signs("a", "p", 299), 100);
        let interval = i64::from(INTERVAL_SECONDS);
        assert_eq!(checks.due(&signs("a", "p", 298 + interval), 0), None);
        assert_eq!(checks.due(&signs("a", "p", 299 + interval), 0), Some(CheckCause::Timer));
        for (asked, got) in [(1, INTERVAL_SECONDS_MIN), (3600, 3600), (u32::MAX, INTERVAL_SECONDS_MAX)] {
            checks.kept.interval_seconds = asked;
            checks.looked(&signs("a", "p", 0), 100);
            assert_eq!(checks.due_at, Some(i64::from(got) * SECOND));
        }
    }

    #[test]
    fn a_transaction_of_packages_is_waited_out() {
        let mut checks = Checks::new(kept());
        checks.looked(&signs("a", "p", 0), 0);
        assert_eq!(checks.due(&signs("a", "q", 100), 0), None);
        assert_eq!(checks.due(&signs("a", "r", 115), 0), None, "still moving");
        assert_eq!(checks.due(&signs("a", "r", 134), 0), None);
        assert_eq!(checks.due(&signs("a", "r", 135), 0), Some(CheckCause::Packages));
        checks.looked(&signs("a", "r", 135), 0);
        assert_eq!(checks.due(&signs("a", "r", 400), 0), None);
    }

    #[test]
    fn a_reboot_is_noticed_over_a_restart_and_looks_keep_their_distance() {
        let mut checks = Checks::new(kept());
        assert_eq!(checks.due(&signs("b", "p", 0), 59), None);
        assert_eq!(checks.due(&signs("b", "p", 59), 0), Some(CheckCause::Reboot));
        checks.looked(&signs("b", "p", 59), 0);
        checks.again = true;
        assert_eq!(checks.due(&signs("b", "p", 118), 0), None);
        assert_eq!(checks.due(&signs("b", "p", 119), 0), Some(CheckCause::Order));
    }
}

//! Scans: the state machine that moves with the clock, and what a finished scan says about the hosts it reached.
//!
//! launch -> Queued -> Running (-> Paused -> Running) -> Loading -> Finished (not processed) -> Finished (processed);
//! side exits Canceled and Error. The truth is looked at when Running ends; detections change when processing ends.

use crate::detections::Finding;
use jiff::{SignedDuration, Timestamp};
use std::sync::Arc;

/// State of a scan as the scanner words it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Waiting for the appliance.
    Queued,
    /// Under way.
    Running,
    /// Held by a user.
    Paused,
    /// Results are being stored.
    Loading,
    /// Done.
    Finished,
    /// Stopped by a user.
    Canceled,
    /// Failed.
    Error,
}

impl State {
    /// The scanner's word.
    pub fn word(self) -> &'static str {
        match self {
            Self::Queued => "Queued",
            Self::Running => "Running",
            Self::Paused => "Paused",
            Self::Loading => "Loading",
            Self::Finished => "Finished",
            Self::Canceled => "Canceled",
            Self::Error => "Error",
        }
    }

    /// Every state.
    pub const ALL: [Self; 7] =
        [Self::Queued, Self::Running, Self::Paused, Self::Loading, Self::Finished, Self::Canceled, Self::Error];
}

/// How a scan is to end; a knob of the tests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Outcome {
    /// By the hosts' true state.
    #[default]
    Truth,
    /// No target answers: Finished, `No_Host`, nothing changes.
    NoHost,
    /// Ends in Error.
    Error,
    /// Ends as Canceled after half of the targets, whose results are kept.
    Partial,
    /// Finishes, but its results are never processed.
    NeverProcessed,
    /// Runs for ever.
    Stuck,
}

impl Outcome {
    /// Reads the name used by the control end point.
    pub fn parse(word: &str) -> Option<Self> {
        Some(match word {
            "truth" => Self::Truth,
            "no-host" => Self::NoHost,
            "error" => Self::Error,
            "partial" => Self::Partial,
            "never-processed" => Self::NeverProcessed,
            "stuck" => Self::Stuck,
            _ => return None,
        })
    }
}

/// The results for one host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostResult {
    /// Index of the host.
    pub index: u32,
    /// One finding per QID tested.
    pub findings: Vec<Finding>,
}

/// One scan.
#[derive(Debug, Clone, PartialEq)]
pub struct Scan {
    /// Numeric id, only in the answer to the launch.
    pub id: u64,
    /// `scan/<seconds>.<five digits>`.
    pub reference: String,
    /// Title given at launch.
    pub title: String,
    /// Login of the user.
    pub user: String,
    /// When it was launched.
    pub launched: Timestamp,
    /// From when on the scan list tells of it.
    pub shown: Timestamp,
    /// Option profile.
    pub profile: u32,
    /// Appliances; empty means the external scanners.
    pub appliances: Vec<u32>,
    /// Network the addresses belong to.
    pub network: u32,
    /// Indices of the targets in the subscription.
    pub targets: Vec<u32>,
    /// Target text, as listed.
    pub target_text: String,
    /// Titles of the asset groups it was launched for.
    pub groups: Vec<String>,
    /// Processing priority 0 to 9.
    pub priority: u8,
    /// How it is to end.
    pub outcome: Outcome,
    /// Where it stands.
    pub state: State,
    /// When it entered that state.
    pub since: Timestamp,
    /// Running time behind it when it was paused.
    pub ran: SignedDuration,
    /// End of the last phase; empty while it is under way.
    pub ended: Option<Timestamp>,
    /// Detections have been brought up to date.
    pub processed: bool,
    /// What it found out, once Running ended.
    pub results: Arc<Vec<HostResult>>,
}

/// Lengths of the phases.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    /// How many times faster than a real scan.
    pub speed: f64,
}

impl Pace {
    fn scaled(self, seconds: f64) -> SignedDuration {
        let speed = if self.speed > 0.0 { self.speed } else { 1.0 };
        SignedDuration::try_from_secs_f64(seconds / speed).unwrap_or(SignedDuration::ZERO)
    }

    /// Time between launch and start.
    pub fn queued(self) -> SignedDuration {
        self.scaled(20.0)
    }

    /// Running time for a number of targets.
    pub fn running(self, targets: usize) -> SignedDuration {
        let targets = u32::try_from(targets).unwrap_or(u32::MAX);
        self.scaled((90.0 + 4.0 * f64::from(targets)).min(7_200.0))
    }

    /// Time for storing the results.
    pub fn loading(self) -> SignedDuration {
        self.scaled(15.0)
    }

    /// Time between the end and up-to-date detections.
    pub fn processing(self) -> SignedDuration {
        self.scaled(30.0)
    }
}

/// What the simulator has to do after a scan moved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// Look at the truth of the targets now.
    Examine,
    /// Bring the detections up to date with the results.
    Process,
}

/// Why a scan could not be controlled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WrongState(pub State);

impl Scan {
    /// Moves the scan to where it is at `now`; one step per call, `None` when nothing is due.
    pub fn step(&mut self, now: Timestamp, pace: Pace) -> Option<Option<Effect>> {
        match self.state {
            State::Queued => self.due(now, pace.queued()).map(|at| self.enter(State::Running, at, None)),
            State::Running if self.outcome == Outcome::Stuck => None,
            State::Running => {
                let whole = pace.running(self.targets.len());
                let at = self.due(now, whole.saturating_sub(self.ran))?;
                Some(match self.outcome {
                    Outcome::Error => self.end(State::Error, at, None),
                    Outcome::Partial => self.end(State::Canceled, at, Some(Effect::Examine)),
                    _ => self.enter(State::Loading, at, Some(Effect::Examine)),
                })
            }
            State::Loading => self.due(now, pace.loading()).map(|at| self.end(State::Finished, at, None)),
            State::Finished | State::Canceled if !self.processed && self.outcome != Outcome::NeverProcessed => {
                let at = self.due(now, pace.processing())?;
                self.processed = true;
                self.since = at;
                Some(Some(Effect::Process))
            }
            _ => None,
        }
    }

    /// The instant at which a phase of this length ended, if it has.
    fn due(&self, now: Timestamp, length: SignedDuration) -> Option<Timestamp> {
        let at = self.since.checked_add(length).ok()?;
        (now >= at).then_some(at)
    }

    fn enter(&mut self, state: State, at: Timestamp, effect: Option<Effect>) -> Option<Effect> {
        self.state = state;
        self.since = at;
        effect
    }

    fn end(&mut self, state: State, at: Timestamp, effect: Option<Effect>) -> Option<Effect> {
        self.ended = Some(at);
        self.enter(state, at, effect)
    }

    /// Stops the scan for good.
    ///
    /// # Errors
    /// When it is loading or has ended.
    pub fn cancel(&mut self, now: Timestamp) -> Result<(), WrongState> {
        match self.state {
            State::Queued | State::Running | State::Paused => {
                self.end(State::Canceled, now, None);
                Ok(())
            }
            other => Err(WrongState(other)),
        }
    }

    /// Holds the scan.
    ///
    /// # Errors
    /// When it is not running.
    pub fn pause(&mut self, now: Timestamp) -> Result<(), WrongState> {
        if self.state != State::Running {
            return Err(WrongState(self.state));
        }
        self.ran = self.ran.saturating_add(now.duration_since(self.since));
        self.enter(State::Paused, now, None);
        Ok(())
    }

    /// Goes on with a held scan.
    ///
    /// # Errors
    /// When it is not paused.
    pub fn resume(&mut self, now: Timestamp) -> Result<(), WrongState> {
        if self.state != State::Paused {
            return Err(WrongState(self.state));
        }
        self.enter(State::Running, now, None);
        Ok(())
    }

    /// Whether nothing will change any more, processing aside.
    pub fn has_ended(&self) -> bool {
        matches!(self.state, State::Finished | State::Canceled | State::Error)
    }

    /// `Pending`, `Running` or the length as `00:11:14`.
    pub fn duration_text(&self) -> String {
        let Some(ended) = self.ended else {
            return if self.state == State::Queued { "Pending" } else { "Running" }.to_owned();
        };
        let seconds = ended.duration_since(self.launched).as_secs();
        let (days, rest) = (seconds / 86_400, seconds % 86_400);
        let clock = format!("{:02}:{:02}:{:02}", rest / 3_600, rest % 3_600 / 60, rest % 60);
        match days {
            0 => clock,
            1 => format!("1 day {clock}"),
            _ => format!("{days} days {clock}"),
        }
    }

    /// `No_Host`, `No_Vuln` or nothing.
    pub fn sub_state(&self) -> Option<&'static str> {
        if self.state != State::Finished {
            return None;
        }
        if self.results.is_empty() {
            return Some("No_Host");
        }
        let found = self.results.iter().any(|host| host.findings.iter().any(|finding| finding.present));
        (!found).then_some("No_Vuln")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scan(outcome: Outcome) -> Scan {
        let launched: Timestamp = "2026-01-01T00:00:00Z".parse().expect("a fixed instant");
        Scan {
            id: 1,
            reference: "scan/1.00001".to_owned(),
            title: "t".to_owned(),
            user: "u".to_owned(),
            launched,
            shown: launched,
            profile: 1,
            appliances: Vec::new(),
            network: 0,
            targets: vec![0],
            target_text: String::new(),
            groups: Vec::new(),
            priority: 0,
            outcome,
            state: State::Queued,
            since: launched,
            ran: SignedDuration::ZERO,
            ended: None,
            processed: false,
            results: Arc::default(),
        }
    }

    fn run(scan: &mut Scan, seconds: i64) -> Vec<Effect> {
        let now = scan.launched.checked_add(SignedDuration::from_secs(seconds)).expect("in range");
        let mut effects = Vec::new();
        while let Some(effect) = scan.step(now, Pace { speed: 1.0 }) {
            effects.extend(effect);
        }
        effects
    }

    #[test]
    fn the_phases_follow_one_another_however_late_one_looks() {
        let cases = [
            (Outcome::Truth, 19, State::Queued, false),
            (Outcome::Truth, 21, State::Running, false),
            (Outcome::Truth, 115, State::Loading, false),
            (Outcome::Truth, 130, State::Finished, false),
            (Outcome::Truth, 160, State::Finished, true),
            (Outcome::Error, 9_999, State::Error, false),
            (Outcome::Partial, 9_999, State::Canceled, true),
            (Outcome::NeverProcessed, 9_999, State::Finished, false),
            (Outcome::Stuck, 999_999, State::Running, false),
        ];
        for (outcome, seconds, state, processed) in cases {
            let mut scan = scan(outcome);
            run(&mut scan, seconds);
            assert_eq!((scan.state, scan.processed), (state, processed), "{outcome:?} after {seconds} s");
        }
    }

    #[test]
    fn the_truth_is_examined_before_it_is_processed_and_each_once() {
        let mut scan = scan(Outcome::Truth);
        assert_eq!(run(&mut scan, 9_999), vec![Effect::Examine, Effect::Process]);
        assert_eq!(run(&mut scan, 99_999), vec![]);
        assert_eq!(scan.duration_text(), "00:02:09");
    }

    #[test]
    fn a_pause_holds_the_running_time() {
        let mut scan = scan(Outcome::Truth);
        run(&mut scan, 30);
        let at = |seconds| scan_time(seconds);
        assert!(scan.resume(at(31)).is_err());
        scan.pause(at(40)).expect("it runs");
        run(&mut scan, 5_000);
        assert_eq!(scan.state, State::Paused);
        scan.resume(at(5_000)).expect("it is paused");
        run(&mut scan, 5_070);
        assert_eq!(scan.state, State::Running);
        run(&mut scan, 5_075);
        assert_eq!(scan.state, State::Loading);
        assert_eq!(scan.cancel(at(5_076)), Err(WrongState(State::Loading)));
    }

    fn scan_time(seconds: i64) -> Timestamp {
        let launched: Timestamp = "2026-01-01T00:00:00Z".parse().expect("a fixed instant");
        launched.checked_add(SignedDuration::from_secs(seconds)).expect("in range")
    }
}

//! Restarting what has read a changed file, and hearing whether it came back.
//!
//! A unit that ran before and does not run afterwards has not come back, whatever the restart itself said: many services die a
//! moment after they were started.
//!
//! A restart is queued and then watched: some services take minutes, and the service manager goes on with its job whoever stops
//! waiting. One that is still under way when the time is over has not failed; it is left to the service manager, and said to be open.

use crate::host::{COMMAND_SECONDS_MAX, Host};
use crate::kinds::service_state::SYSTEMCTL;
use catalogue::text::ServiceName;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// How long a unit has to run after its restart until it counts as back, in seconds.
pub const SETTLE_SECONDS: u64 = 3;
/// Kept of the time there is for a restart, at most, so that what follows it can still be looked at.
const LOOKING: Duration = Duration::from_secs(10);
/// So many times that long is waited for a unit that is started again and again.
const PATIENCE: u32 = 4;
/// Between two looks at a unit that was restarted.
const POLL: Duration = Duration::from_millis(250);
/// Looks in a row that find a unit running until it counts as back, however slow this machine is.
const RUNNING_LOOKS: u32 = 3;
/// Looks in a row that find a unit not running until it is given up.
const RESTING_LOOKS: u32 = 2;
/// Characters kept of what a unit said last.
const WORDS_MAX: usize = 600;

/// What became of restarting what an entry names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Restarted {
    /// Nothing runs that has read the files.
    Nothing,
    /// This unit was restarted and runs.
    Back(String),
    /// Nothing was restarted: a person has to restart these units.
    Waits {
        /// Which.
        units: String,
        /// Why.
        why: String,
    },
    /// The restart of this unit was begun, and how it ends is not known.
    Open {
        /// Which.
        unit: String,
        /// What was seen of it last.
        why: String,
    },
    /// This unit ran and could not be restarted, or did not come back.
    Failed {
        /// Which.
        unit: String,
        /// What the service manager and the unit said.
        why: String,
    },
}

impl Restarted {
    /// The units that still have to be restarted by somebody.
    #[must_use]
    pub fn missing(&self) -> Option<String> {
        match self {
            Self::Nothing | Self::Back(_) => None,
            Self::Waits { units, .. } => Some(units.clone()),
            Self::Open { unit, .. } | Self::Failed { unit, .. } => Some(unit.clone()),
        }
    }

    /// What is wrong, as the end of a sentence; nothing when nothing is.
    #[must_use]
    pub fn trouble(&self) -> Option<String> {
        match self {
            Self::Nothing | Self::Back(_) => None,
            Self::Waits { units, why } => Some(format!("{units} has to be restarted by hand: {why}")),
            Self::Open { unit, why } => Some(format!("the restart of {unit} was begun, and {why}")),
            Self::Failed { unit, why } => Some(format!("{unit} did not come back after its restart: {why}")),
        }
    }

    /// What was done before, and what became of the restart, in one sentence.
    #[must_use]
    pub fn said(&self, done: &str) -> String {
        match (self.trouble(), self) {
            (Some(trouble), _) => format!("{done}, but {trouble}"),
            (None, Self::Back(unit)) => format!("{done}, and {unit} was restarted"),
            (None, _) => done.to_owned(),
        }
    }
}

/// The service that an entry names, as it is here.
enum Named {
    /// None of the names is installed.
    Absent,
    /// This unit.
    Unit(&'static str, String),
    /// It cannot be told: why.
    Untold(String),
}

/// Call systemctl on the live system.
///
/// # Errors
/// What it said, or that it is not here.
pub fn systemctl(host: &Host, arguments: &[&str]) -> Result<(), String> {
    let program = host.program(&SYSTEMCTL).ok_or("there is no systemctl here")?;
    match host.call(program, arguments)? {
        said if said.ok => Ok(()),
        said => Err(format!("systemctl {}: {}", arguments.join(" "), said.text)),
    }
}

fn all(names: &[ServiceName]) -> String {
    names.iter().map(ServiceName::unit).collect::<Vec<_>>().join(" or ")
}

/// Properties of a unit.
type Shown = BTreeMap<String, String>;

/// What the service manager says of a unit, by the names of these properties; within that, what it says where it refuses.
fn show(host: &Host, program: &'static str, names: &str, unit: &str) -> Result<Result<Shown, String>, String> {
    let said = host.call_long(program, &["show", &format!("--property={names}"), "--", unit])?;
    if !said.ok {
        return Ok(Err(said.text));
    }
    let pairs = said.text.lines().filter_map(|line| line.split_once('='));
    Ok(Ok(pairs.map(|(name, value)| (name.to_owned(), value.trim().to_owned())).collect()))
}

/// The first of these services that exists.
fn first(host: &Host, names: &[ServiceName]) -> Named {
    if names.is_empty() {
        return Named::Absent;
    }
    let Some(program) = host.program(&SYSTEMCTL) else { return Named::Untold("there is no systemctl here".to_owned()) };
    for name in names {
        let unit = name.unit();
        match show(host, program, "LoadState,Type,RemainAfterExit,Wants", &unit) {
            Ok(Ok(shown)) if is(&shown, "LoadState", "loaded") => {
                let daemon = instance(host, program, &unit, &shown);
                return Named::Unit(program, daemon.unwrap_or(unit));
            }
            Ok(Ok(_)) => {}
            // In a container, say, where something may run all the same.
            Ok(Err(said)) => return Named::Untold(format!("the service manager does not answer: {said}")),
            Err(why) => return Named::Untold(why),
        }
    }
    Named::Absent
}

fn is(shown: &Shown, property: &str, value: &str) -> bool {
    shown.get(property).is_some_and(|shown| shown == value)
}

/// The unit that does a unit's work where that is a wrapper which runs nothing and stays active whatever happens, as Debian's
/// `postfix.service` does for `postfix@-.service`.
fn instance(host: &Host, program: &'static str, unit: &str, shown: &Shown) -> Option<String> {
    let daemon = format!("{}@-.service", unit.strip_suffix(".service")?);
    let wanted = shown.get("Wants").is_some_and(|wants| wants.split_whitespace().any(|wanted| wanted == daemon));
    // A template loads under any name, so being loaded alone says nothing.
    if !wanted || !is(shown, "Type", "oneshot") || !is(shown, "RemainAfterExit", "yes") {
        return None;
    }
    let loaded = show(host, program, "LoadState", &daemon).ok()?.ok()?;
    is(&loaded, "LoadState", "loaded").then_some(daemon)
}

/// A unit as it is now.
struct Seen {
    /// Its state in the service manager's word.
    word: String,
    /// The service manager has a job for it, or it is on its way to another state.
    under_way: bool,
}

fn look(host: &Host, program: &'static str, unit: &str) -> Result<Seen, String> {
    let untold = |why: &str| format!("whether {unit} runs cannot be told: {why}");
    let shown = show(host, program, "ActiveState,SubState,Job", unit)?.map_err(|said| untold(&said))?;
    let of = |property: &str| shown.get(property).map(String::as_str).unwrap_or_default();
    let word = of("ActiveState");
    let known =
        ["active", "reloading", "refreshing", "activating", "deactivating", "inactive", "failed", "maintenance"];
    if !known.contains(&word) {
        return Err(untold(word));
    }
    // What waits to be started again has failed before.
    let between = matches!(word, "activating" | "deactivating") && !of("SubState").starts_with("auto-restart");
    let job = !matches!(of("Job"), "" | "0");
    Ok(Seen { word: word.to_owned(), under_way: job || between })
}

fn runs(word: &str) -> bool {
    matches!(word, "active" | "reloading" | "refreshing")
}

/// Restart the first of these services that exists, if it runs, and hear whether it comes back.
#[must_use]
pub fn restart_first(host: &Host, names: &[ServiceName]) -> Restarted {
    let (program, unit) = match first(host, names) {
        Named::Absent => return Restarted::Nothing,
        Named::Untold(why) => return Restarted::Waits { units: all(names), why },
        Named::Unit(program, unit) => (program, unit),
    };
    let before = match look(host, program, &unit) {
        Ok(before) => before.word,
        Err(why) => return Restarted::Waits { units: unit, why },
    };
    match before.as_str() {
        // What is not finished starting has not been seen to work, so it is not held to come back. `try-restart` leaves it alone.
        "activating" => match restart(host, program, &unit, "restart") {
            Restarted::Failed { unit, why } => Restarted::Open {
                unit,
                why: format!("did not help a unit that had not finished starting before: {why}"),
            },
            ended => ended,
        },
        before if runs(before) => restart(host, program, &unit, "try-restart"),
        // It reads the files when it is started.
        _ => Restarted::Nothing,
    }
}

/// As [`restart_first`], after a try of which nobody knows any more what it did to the service: a unit that has failed may have
/// failed by it, so it is started again, too.
#[must_use]
pub fn restart_or_revive(host: &Host, names: &[ServiceName]) -> Restarted {
    match first(host, names) {
        Named::Unit(program, unit) if look(host, program, &unit).is_ok_and(|seen| seen.word == "failed") => {
            bring_back(host, &unit)
        }
        _ => restart_first(host, names),
    }
}

/// Start a unit again that ran before a restart of ours, whatever state that left it in.
#[must_use]
pub fn bring_back(host: &Host, unit: &str) -> Restarted {
    let Some(program) = host.program(&SYSTEMCTL) else {
        return Restarted::Waits { units: unit.to_owned(), why: "there is no systemctl here".to_owned() };
    };
    // A unit that failed too often in a row is not started before that is forgotten.
    let _ = systemctl(host, &["reset-failed", "--", unit]);
    restart(host, program, unit, "restart")
}

/// What is wrong with the first of these services that exists, after a restart of which nobody heard how it ended: nothing where
/// it runs, was not started at all, or is not finished starting.
#[must_use]
pub fn down(host: &Host, names: &[ServiceName]) -> Option<String> {
    let Named::Unit(program, unit) = first(host, names) else { return None };
    let seen = look(host, program, &unit).ok()?;
    let why = match seen.word.as_str() {
        "failed" if !seen.under_way => "it is failed".to_owned(),
        "active" | "inactive" if !seen.under_way => return None,
        _ => settled(host, program, &unit).err()?,
    };
    Some(format!("{unit} did not come back after its restart: {why}{}", last_words(host, program, &unit)))
}

/// Leave what runs alone, because it would not come back; says which unit that is.
#[must_use]
pub fn leave(host: &Host, names: &[ServiceName], why: &str) -> Restarted {
    let units = match first(host, names) {
        Named::Absent => return Restarted::Nothing,
        Named::Untold(_) => all(names),
        Named::Unit(program, unit) => match look(host, program, &unit) {
            Ok(seen) if matches!(seen.word.as_str(), "inactive" | "deactivating") => return Restarted::Nothing,
            _ => unit,
        },
    };
    Restarted::Waits { units, why: format!("{why}; that has to be corrected first") }
}

/// Queue a restart, and hear how it ends; `how` is the service manager's word for it.
fn restart(host: &Host, program: &'static str, unit: &str, how: &str) -> Restarted {
    let queued = systemctl(host, &[how, "--no-block", "--", unit]);
    let unit = unit.to_owned();
    match queued.and_then(|()| settled(host, program, &unit)) {
        Ok(None) => Restarted::Back(unit),
        Ok(Some(word)) => {
            let why = format!("was not over when the time for it was: the unit is {word}, the service manager goes on");
            Restarted::Open { unit, why }
        }
        Err(why) => {
            let why = format!("{why}{}", last_words(host, program, &unit));
            Restarted::Failed { unit, why }
        }
    }
}

/// Whether a unit runs after its restart, and goes on running; its state where the restart is not over when the time for it is.
fn settled(host: &Host, program: &'static str, unit: &str) -> Result<Option<String>, String> {
    let most = Duration::from_secs(COMMAND_SECONDS_MAX);
    let most = host.until.left().map_or(most, |left| left.saturating_sub(LOOKING.min(left / 4)));
    let queued = Instant::now();
    // From when on the restart was over.
    let mut over = None;
    let (mut since, mut running, mut resting) = (queued, 0, 0);
    loop {
        let Seen { word, under_way } = look(host, program, unit)?;
        let now = Instant::now();
        if under_way && over.is_none() {
            since = now;
            if now.duration_since(queued) >= most {
                return Ok(Some(word));
            }
        } else {
            let over = *over.get_or_insert(now);
            if runs(&word) {
                (running, resting) = (running + 1, 0);
                if running >= RUNNING_LOOKS && now.duration_since(since) >= host.settle {
                    return Ok(None);
                }
            } else {
                (since, running) = (now, 0);
                resting = if word == "activating" { 0 } else { resting + 1 };
            }
            if resting >= RESTING_LOOKS {
                return Err(format!("it is {word}"));
            }
            if now.duration_since(over) >= host.settle * PATIENCE {
                return Err(format!("it does not stay up, and is {word} now"));
            }
        }
        std::thread::sleep(POLL.min(host.settle));
    }
}

/// The last lines of the unit's own log, which say what is wrong with it.
fn last_words(host: &Host, program: &'static str, unit: &str) -> String {
    let asked = ["status", "--no-pager", "--full", "--lines=3", "--output=cat", "--", unit];
    let text = host.call(program, &asked).map(|said| said.text).unwrap_or_default();
    // What comes before the empty line is the unit's description.
    let log = text.split_once("\n\n").map_or("", |(_, log)| log.trim());
    let lines: Vec<&str> = log.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    let words: String = lines.join(" | ").chars().take(WORDS_MAX).collect();
    if words.is_empty() { words } else { format!(" ({words})") }
}

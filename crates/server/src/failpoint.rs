//! Named points at which a test makes the server die, so that a crash at every instant that matters can be shown.
//!
//! Compiled into every build, so that what is tested is what ships, and inert unless the server was started with
//! `--allow-failpoints` *and* [`VARIABLE`] names the point. Not a debugging aid: a point can only stop the process. A simulation
//! that drives the engine inside its own process watches the same points through [`observe`]. What a long outage does is shown
//! with [`AHEAD`], which the same flag allows.

use crate::clock::Clock;
use std::sync::OnceLock;

/// The environment variable: `name:kill`.
pub const VARIABLE: &str = "QUELL_SERVER_FAILPOINT";

/// The environment variable with the seconds that the server's clock is ahead of the machine's.
pub const AHEAD: &str = "QUELL_SERVER_AHEAD_SECONDS";

/// Every point, in the order in which one job passes them, with what has happened by then.
pub const ALL: &[(&str, &str)] = &[
    ("job.enabled", "a job and its tasks are durable, nobody has been told"),
    ("dispatch.before_commit", "tasks have moved, nothing of it is durable"),
    ("dispatch.after_commit", "tasks have moved and this is durable, no agent has been woken"),
    ("order.made", "an order is made and signed, nothing of it is durable"),
    ("order.sent", "an order is durable, the agent has not got it"),
    ("events.before_commit", "an agent's reports are taken in, nothing of it is durable"),
    ("events.after_commit", "an agent's reports are durable, not acknowledged"),
];

/// The points of mail, which not every job passes.
pub const MAIL: &[(&str, &str)] = &[("mail.handed_over", "the mail server has taken a mail, nothing of it is durable")];

/// The points of a rescan, in the order in which one passes them.
pub const RESCAN: &[(&str, &str)] = &[
    ("rescan.before_intent", "a launch has its turn, nothing of it is durable"),
    ("rescan.intent", "the intent to launch is durable, the scanner has not heard of it"),
    ("rescan.called", "the scanner has launched it and said so, nothing of it is durable"),
    ("rescan.launched", "the scanner's reference is durable"),
    ("rescan.looked", "the scanner said how far the scan is, nothing of it is durable"),
    ("rescan.finished", "it is durable that the scan has ended and is processed, nothing is pulled"),
    ("rescan.pull_begun", "its results are about to be asked for"),
    ("rescan.pulled", "its results are merged and durable, nothing is judged"),
    ("rescan.fetched", "the scanner said what the scan reached, nothing of it is durable"),
    ("rescan.judged", "the verdicts are durable"),
];

/// The points of an import from a platform, in the order in which one passes them.
pub const IMPORT: &[(&str, &str)] = &[
    ("import.begun", "the run and its lease are durable, the platform is not asked yet"),
    ("import.page", "a page is there and good, nothing of it is merged"),
    ("import.merged", "a portion of a page is merged and durable"),
    ("import.reached", "a page is merged, and where the next begins is durable"),
    ("import.back_filled", "everything is merged"),
    ("import.before_finish", "the run is about to end, its cursor has not moved"),
    ("import.finished", "the run has ended, its cursor has moved, and this is durable"),
];

static ACTIVE: OnceLock<String> = OnceLock::new();
static OBSERVER: OnceLock<fn(&str)> = OnceLock::new();

/// Let `observer` be told of every point for the rest of the process's life; it may unwind, which is this server's death.
/// The simulation does; no program.
pub fn observe(observer: fn(&str)) {
    let _ = OBSERVER.set(observer);
}

/// Read the variable. Called once at start, and only when the command line allows failpoints.
///
/// # Errors
/// A sentence when the variable names no known point.
pub fn allow() -> Result<(), String> {
    let text = std::env::var(VARIABLE).unwrap_or_default();
    if let Some(name) = parse(&text)? {
        // A second call changes nothing.
        let _ = ACTIVE.set(name.to_owned());
    }
    Ok(())
}

/// The clock that [`AHEAD`] asks for; only for a server whose command line allows failpoints.
///
/// # Errors
/// A sentence when the variable holds no number.
pub fn clock() -> Result<Clock, String> {
    match std::env::var(AHEAD) {
        Err(_) => Ok(Clock::System),
        Ok(text) => {
            let bad = |_| format!("reading {AHEAD}: `{text}` is no number of seconds");
            text.parse().map(Clock::Ahead).map_err(bad)
        }
    }
}

/// Every point there is.
pub fn all() -> impl Iterator<Item = &'static str> {
    [ALL, MAIL, RESCAN, IMPORT].into_iter().flatten().map(|(name, _)| *name)
}

/// Pass a point.
pub fn hit(name: &str) {
    if let Some(observer) = OBSERVER.get() {
        observer(name);
    }
    if ACTIVE.get().is_some_and(|active| active == name) {
        // SIGKILL to ourselves: nothing is flushed, no destructor runs, as with `kill -9`.
        let _ = rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL);
    }
}

fn parse(text: &str) -> Result<Option<&str>, String> {
    if text.is_empty() {
        return Ok(None);
    }
    let known = |name: &&str| all().any(|known| known == *name);
    let found = text.strip_suffix(":kill").filter(known);
    found.map(Some).ok_or_else(|| format!("reading {VARIABLE}: `{text}` is not NAME:kill with a known name"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_known_names_and_kill_are_read() {
        assert_eq!(parse(""), Ok(None));
        assert_eq!(parse("order.made:kill"), Ok(Some("order.made")));
        assert_eq!(parse("import.page:kill"), Ok(Some("import.page")));
        for bad in ["order.made", "order.made:abort", "nowhere:kill"] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }
}

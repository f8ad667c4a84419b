//! Named points at which a test makes this process die, so that a crash at every instant that matters can be shown.
//!
//! Compiled into every build, so that what is tested is what ships, and inert unless the binary was started with
//! `--allow-failpoints` *and* [`VARIABLE`] names the point. Not a debugging aid: a point can only stop the process. A simulation
//! that drives an executor inside its own process watches the same points through an [`Observer`].

use std::io;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

/// The environment variable: `name:kill`, `name:kill@3` (the third time the point is passed), `name:abort` or `name:sleep=MILLISECONDS`; several are separated by commas.
pub const VARIABLE: &str = "QUELL_AGENT_FAILPOINT";

/// Every point, in the order in which one apply passes them, with what has happened by then.
pub const ALL: &[(&str, &str)] = &[
    ("before-accepted", "an order is verified, nothing is written"),
    ("after-accepted", "the acceptance is durable"),
    ("before-intent", "the plan is made, the intent is not durable"),
    ("after-intent", "the intent is durable"),
    ("after-prior", "the bytes of the prior state are durable, the record that names them is not"),
    ("after-captured", "the prior state is recorded"),
    ("before-replace", "the new file is written beside its target"),
    ("after-replace", "the target is replaced, its directory not yet synced"),
    ("after-effect", "one effect is recorded as done"),
    ("unproven", "a firewall rule is in force, the server was not heard through it"),
    ("before-finished", "all effects are done and checked, the result is not durable"),
    ("after-finished", "the result is durable, not sent"),
    ("before-acked", "the server has acknowledged, this is not durable"),
    ("after-acked", "the acknowledgement is durable"),
    ("journal-before-sync", "a record is written to the journal, not yet synced"),
    ("undo-released", "a try that failed is undone and its end durable, what read its files is not yet restarted"),
    ("revert-before-write", "a revert is decided, nothing is written"),
    ("revert-effect", "one effect of a revert is done, others may follow"),
    ("revert-after-write", "a revert's files are written, its end is not durable"),
    ("revert-released", "a revert's end is durable, what reads its files is not yet restarted"),
    ("revert-restarted", "what reads a revert's files was restarted, that it is over is not durable"),
    ("net-before-send", "network half: a request is about to be sent"),
    ("net-after-reply", "network half: a reply has arrived, the executor has not seen it"),
];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Action {
    Kill,
    Abort,
    Sleep(Duration),
}

#[derive(Debug)]
struct Point {
    name: String,
    action: Action,
    /// How often it has to be passed still, before it acts.
    left: AtomicU32,
}

static ACTIVE: OnceLock<Vec<Point>> = OnceLock::new();

/// Watches the points from inside the process: the simulation. No program installs one.
#[derive(Clone, Copy, Debug)]
pub struct Observer {
    /// Told of every point that is passed; may unwind, which is this executor's death.
    pub hit: fn(&str),
    /// Whether the disk with the agent's directory is full.
    pub disk_full: fn() -> bool,
}

static OBSERVER: OnceLock<Observer> = OnceLock::new();

/// Let `observer` watch for the rest of the process's life; the first one stays.
pub fn observe(observer: Observer) {
    let _ = OBSERVER.set(observer);
}

/// Asked before each write below the agent's directory.
pub(crate) fn room() -> io::Result<()> {
    match OBSERVER.get() {
        Some(observer) if (observer.disk_full)() => Err(io::ErrorKind::StorageFull.into()),
        _ => Ok(()),
    }
}

/// Read the variable. Called once at start, and only when the command line allows failpoints.
///
/// # Errors
/// A sentence when the variable names no known point or action.
pub fn allow() -> Result<(), String> {
    let active = parse(&std::env::var(VARIABLE).unwrap_or_default())?;
    // A second call changes nothing: both halves may run in one process under test.
    let _ = ACTIVE.set(active);
    Ok(())
}

/// Whether any point is armed, so that a parent can tell its child.
#[must_use]
pub fn armed() -> bool {
    ACTIVE.get().is_some_and(|active| !active.is_empty())
}

/// Pass a point.
pub fn hit(name: &str) {
    if let Some(observer) = OBSERVER.get() {
        (observer.hit)(name);
    }
    let Some(active) = ACTIVE.get() else { return };
    for point in active.iter().filter(|point| point.name == name) {
        if point.left.fetch_sub(1, Ordering::Relaxed) != 1 {
            continue;
        }
        match point.action {
            // SIGKILL to ourselves: nothing is flushed, no destructor runs, as with `kill -9`.
            Action::Kill => {
                let _ = rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL);
                std::thread::sleep(Duration::from_secs(60));
            }
            Action::Abort => std::process::abort(),
            Action::Sleep(time) => std::thread::sleep(time),
        }
    }
}

fn parse(text: &str) -> Result<Vec<Point>, String> {
    text.split(',').filter(|part| !part.trim().is_empty()).map(|part| parse_one(part.trim())).collect()
}

fn parse_one(part: &str) -> Result<Point, String> {
    let (name, action) = part.split_once(':').ok_or_else(|| format!("reading {VARIABLE}: `{part}` has no action"))?;
    if !ALL.iter().any(|(known, _)| *known == name) {
        return Err(format!("reading {VARIABLE}: no failpoint is called `{name}`; see `quell-agent failpoints`"));
    }
    let (action, times) = action.split_once('@').unwrap_or((action, "1"));
    let left = times.parse().map_err(|_| format!("reading {VARIABLE}: `{times}` is no count"))?;
    let action = match action.split_once('=') {
        None if action == "kill" => Action::Kill,
        None if action == "abort" => Action::Abort,
        Some(("sleep", ms)) => Action::Sleep(Duration::from_millis(
            ms.parse().map_err(|_| format!("reading {VARIABLE}: `{ms}` is no number of milliseconds"))?,
        )),
        _ => return Err(format!("reading {VARIABLE}: `{action}` is none of kill, abort, sleep=MS")),
    };
    Ok(Point { name: name.to_owned(), action, left: AtomicU32::new(left) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_known_names_and_actions_are_read() {
        let points = parse("after-intent:kill@2, before-replace:sleep=5").unwrap();
        let read: Vec<_> = points.iter().map(|p| (p.name.clone(), p.action, p.left.load(Ordering::Relaxed))).collect();
        assert_eq!(
            read,
            [
                ("after-intent".to_owned(), Action::Kill, 2),
                ("before-replace".to_owned(), Action::Sleep(Duration::from_millis(5)), 1)
            ]
        );
        assert!(parse("").unwrap().is_empty());
        for bad in ["after-intent", "nowhere:kill", "after-intent:explode", "after-intent:sleep=x"] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }
}

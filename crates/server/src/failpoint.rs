//! Named points at which a test makes the server die, so that a crash at every instant that matters can be shown.
//!
//! Compiled into every build, so that what is tested is what ships, and inert unless the server was started with
//! `--allow-failpoints` *and* [`VARIABLE`] names the point. Not a debugging aid: a point can only stop the process. A simulation
//! that drives the engine inside its own process watches the same points through [`observe`].

use std::sync::OnceLock;

/// The environment variable: `name:kill`.
pub const VARIABLE: &str = "QUELL_SERVER_FAILPOINT";

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
    let known = |name: &&str| ALL.iter().chain(MAIL).any(|(known, _)| known == name);
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
        for bad in ["order.made", "order.made:abort", "nowhere:kill"] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }
}

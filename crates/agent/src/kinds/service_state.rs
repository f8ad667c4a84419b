//! `service.state`: a unit of systemd does not run and does not start.
//!
//! Start links are ours to change as files, below any root; stopping needs the live system. Below another root a unit counts as
//! running when its control group (a fact below `/sys/fs/cgroup`) has processes; without that fact nothing is known.

use super::{Finding, KindError, Presence, Workspace};
use crate::fs::Node;
use crate::host::{Host, call};
use crate::record::Step;
use catalogue::actions::{ServiceStart, ServiceState};

/// Where the host's own units and links are.
const OWN: &str = "/etc/systemd/system";
/// Where units may be, the strongest first.
const FOLDERS: [&str; 5] =
    [OWN, "/run/systemd/system", "/usr/local/lib/systemd/system", "/usr/lib/systemd/system", "/lib/systemd/system"];
/// What a masked unit is linked to.
const NOTHING: &str = "/dev/null";
/// The program, on the live system.
pub const SYSTEMCTL: [&str; 2] = ["/usr/bin/systemctl", "/bin/systemctl"];

/// See [`super::check`].
///
/// # Errors
/// When links cannot be looked at.
pub fn check(action: &ServiceState, host: &Host, workspace: &Workspace<'_>) -> Result<Finding, KindError> {
    let unit = action.name.unit();
    let masked = workspace.node(&format!("{OWN}/{unit}"))? == Node::Link(NOTHING.to_owned());
    if !masked && !exists(host, &unit) {
        return Ok(Finding::because(Presence::NotHere, "(absent)", format!("there is no {unit}")));
    }
    let links = links(&unit, host, workspace)?;
    let start = if masked {
        "masked"
    } else if links.is_empty() {
        "disabled"
    } else {
        "enabled"
    };
    let starts = match action.start {
        ServiceStart::Masked => masked,
        ServiceStart::Disabled => masked || links.is_empty(),
        ServiceStart::Manual => !masked && links.is_empty(),
        ServiceStart::Auto => !masked && !links.is_empty(),
    };
    let stopping = workspace.acts(|step| *step == Step::Stop { unit: unit.clone() });
    let running = if stopping { Some(false) } else { running(&unit, host) };
    let word = match running {
        Some(true) => "running",
        Some(false) => "stopped",
        None => "(unknown)",
    };
    let shown = format!("{start}, {word}");
    Ok(match (starts, running.map(|running| running == action.running)) {
        (true, Some(true)) => Finding::new(Presence::Present, shown),
        (true, Some(false)) => Finding::because(Presence::Partial, shown, "it takes effect with the next boot"),
        (true, None) => Finding::because(Presence::Unknown, shown, "whether the unit runs cannot be read"),
        (false, _) => Finding::new(Presence::Absent, shown),
    })
}

/// See [`super::plan`].
///
/// # Errors
/// When the unit's own file stands in the way of a mask, or more is asked than stopping.
pub fn plan(action: &ServiceState, host: &Host, workspace: &mut Workspace<'_>) -> Result<(), KindError> {
    let unit = action.name.unit();
    if action.running || !matches!(action.start, ServiceStart::Disabled | ServiceStart::Masked) {
        return Err(KindError::Cannot(format!("this agent stops units; it does not start {unit}")));
    }
    for (path, target) in links(&unit, host, workspace)? {
        workspace.put_link(&path, Some(target), None);
    }
    if action.start == ServiceStart::Masked {
        let path = format!("{OWN}/{unit}");
        let before = match workspace.node(&path)? {
            Node::Absent => None,
            Node::Link(target) => Some(target),
            Node::File { .. } | Node::Other => {
                return Err(KindError::Cannot(format!("{path} is a file of the host, so the unit cannot be masked")));
            }
        };
        workspace.put_link(&path, before, Some(NOTHING.to_owned()));
    }
    if host.tree.live() && running(&unit, host) == Some(true) {
        workspace.act(Step::Stop { unit });
    }
    Ok(())
}

/// Whether a unit's file is anywhere.
#[must_use]
pub fn exists(host: &Host, unit: &str) -> bool {
    FOLDERS.iter().any(|folder| {
        let path = format!("{folder}/{unit}");
        host.tree.fact(&path).is_some() || host.tree.link(&path).is_some()
    })
}

/// The links that start a unit, with their targets: in `.wants` and `.requires`, and its aliases.
fn links(unit: &str, host: &Host, workspace: &Workspace<'_>) -> Result<Vec<(String, String)>, KindError> {
    let mut links = Vec::new();
    for name in host.tree.names(OWN).unwrap_or_default() {
        let path = if name.ends_with(".wants") || name.ends_with(".requires") {
            format!("{OWN}/{name}/{unit}")
        } else if name != unit {
            format!("{OWN}/{name}")
        } else {
            continue;
        };
        let Node::Link(target) = workspace.node(&path)? else { continue };
        let named = target.rsplit_once('/').map_or(target.as_str(), |(_, name)| name) == unit;
        if named || path.ends_with(&format!("/{unit}")) {
            links.push((path, target));
        }
    }
    Ok(links)
}

/// Whether a unit runs; nothing when that cannot be read.
fn running(unit: &str, host: &Host) -> Option<bool> {
    if let Some(systemctl) = host.program(&SYSTEMCTL)
        && host.tree.names("/run/systemd/system").is_some()
    {
        let said = call(systemctl, &["is-active", "--", unit]).ok()?;
        return Some(matches!(said.text.as_str(), "active" | "activating" | "reloading" | "deactivating"));
    }
    host.tree.names("/sys/fs/cgroup/system.slice")?;
    let processes = host.tree.fact(&format!("/sys/fs/cgroup/system.slice/{unit}/cgroup.procs"));
    Some(processes.is_some_and(|list| !list.trim().is_empty()))
}

//! `service.state`: a unit of systemd does not run and does not start.
//!
//! Start links are ours to change as files, below any root; stopping needs the live system. Below another root a unit counts as
//! running when its control group (a fact below `/sys/fs/cgroup`) has processes; without that fact nothing is known.

use super::{Finding, KindError, Presence, Workspace};
use crate::fs::Node;
use crate::host::Host;
use crate::record::Step;
use crate::shells;
use catalogue::actions::{ServiceStart, ServiceState, rails};
use std::collections::BTreeSet;

/// Where the host's own units and links are.
const OWN: &str = "/etc/systemd/system";
/// Where units may be, the strongest first.
pub(crate) const FOLDERS: [&str; 5] =
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
    if let Some(other) = other_names(&unit, host).into_iter().find(|other| rails::is_access_unit(other)) {
        let text = format!("{unit} is another name of {other}; stopping it cuts off administrators or the agent");
        return Err(KindError::Cannot(text));
    }
    // By any name, what lets people in is not stopped.
    if let Some(why) = shells::lets_in(&unit, host) {
        return Err(KindError::Cannot(format!("{why}; stopping {unit} cuts off administrators")));
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

/// Every other name that a unit has on this host by links in the folders of units, in both directions and over several links; of
/// an instance the names of its template, too.
fn other_names(unit: &str, host: &Host) -> BTreeSet<String> {
    let links: Vec<(String, String)> = FOLDERS.iter().flat_map(|folder| links_in(folder, host)).collect();
    let template =
        unit.split_once('@').zip(unit.rsplit_once('.')).map(|((name, _), (_, kind))| format!("{name}@.{kind}"));
    let own: BTreeSet<String> = std::iter::once(unit.to_owned()).chain(template).collect();
    let mut names = own.clone();
    let mut known = 0;
    while known < names.len() {
        known = names.len();
        for (name, target) in &links {
            if names.contains(name) || names.contains(target) {
                names.extend([name.clone(), target.clone()]);
            }
        }
    }
    &names - &own
}

/// The links in a folder of units, as names of units. One that masks a unit gives it no name.
fn links_in(folder: &str, host: &Host) -> Vec<(String, String)> {
    let target = |name: &String| host.tree.link(&format!("{folder}/{name}")).filter(|target| target != NOTHING);
    let names = host.tree.names(folder).unwrap_or_default().into_iter();
    let last = |target: String| target.rsplit('/').next().unwrap_or_default().to_owned();
    names.filter_map(|name| target(&name).map(|target| (name, last(target)))).collect()
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
        let said = host.call(systemctl, &["is-active", "--", unit]).ok()?;
        return Some(matches!(said.text.as_str(), "active" | "activating" | "reloading" | "deactivating"));
    }
    host.tree.names("/sys/fs/cgroup/system.slice")?;
    let processes = host.tree.fact(&format!("/sys/fs/cgroup/system.slice/{unit}/cgroup.procs"));
    Some(processes.is_some_and(|list| !list.trim().is_empty()))
}

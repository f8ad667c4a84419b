//! What no entry may do to a host, whatever it says and whoever signed it: compiled in, asked by the lints and again by agents.
//!
//! Where an action may write is [`super::allowed_path`]'s business. Here is what keeps people and the agent from being shut out and
//! the machine from not starting. What depends on the host, such as the address of its server, the agent decides by itself.

mod boot;
mod names;
mod programs;

use super::firewall::{Direction, FirewallRule, Ports, Transport};
use super::{Action, KernelCmdline, KernelSysctl, PackageState, PackageWant, ServiceStart, ServiceState};
use crate::schema::Entry;
use crate::text::{PackageName, ServiceName};
use names::{ACCESS_UNITS, ACCESS_UNITS_BEGIN, NETWORK_UNITS, VITAL_MODULES, VITAL_PACKAGES, VITAL_SYSCTLS};
pub use programs::{is_of_libraries, takes_exec};

/// A rail that an entry breaks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Breach {
    /// The rail's stable name, which is also the name of its lint.
    pub rail: &'static str,
    /// What is wrong and what to do.
    pub message: String,
}

/// Every rail that an entry breaks: of its actions, in their order, then of what it restarts.
#[must_use]
pub fn breaches(entry: &Entry) -> Vec<Breach> {
    let restarts_itself = entry.after.restart.iter().any(|name| is_of_agent(&name.unit()));
    let restart = restarts_itself
        .then(|| Breach { rail: "own-access", message: "it restarts the agent that runs it".to_owned() });
    entry.actions.iter().filter_map(breach).chain(restart).collect()
}

/// The rail that an action breaks, if it breaks one.
#[must_use]
pub fn breach(action: &Action) -> Option<Breach> {
    let target = action.target();
    let broken = |broken: bool, rail, message: String| broken.then_some(Breach { rail, message });
    match action {
        Action::FileMode(mode) => {
            programs::kept(mode).map(|(rail, why)| Breach { rail, message: format!("{target} {}: {why}", mode.change) })
        }
        Action::KernelCmdline(KernelCmdline { param }) => {
            let other = !boot::switches_protection_on(param.as_str());
            let why = "none of the parameters that switch a protection on; another can keep the machine from starting";
            broken(other, "boot-parameter", format!("{target}: {why}"))
        }
        Action::KernelModule(module) => {
            let vital = is_vital_module(module.name.as_str());
            broken(vital, "vital-module", format!("{target}: machines do not start or have no network without it"))
        }
        Action::KernelSysctl(KernelSysctl { key, .. }) => {
            let vital = VITAL_SYSCTLS.contains(&key.as_str());
            broken(vital, "vital-sysctl", format!("{target}: set too low, nothing starts and nobody logs in any more"))
        }
        Action::ServiceState(service) => {
            let stops = stops(service) && is_access_unit(&service.name.unit());
            broken(stops, "own-access", format!("{target}: stopping it cuts off administrators or the agent"))
        }
        Action::PackageState(state) => removes_vital(state).map(|names| Breach {
            rail: "own-access",
            message: format!("removing {names} cuts off administrators or the agent, or breaks the system"),
        }),
        Action::SelinuxBoolean(boolean) => {
            broken(boolean.is_about_access(), "own-access", format!("{target}: it decides how administrators come in"))
        }
        Action::FirewallRule(rule) => {
            closed(rule).map(|why| Breach { rail: "own-access", message: format!("{}: {why}", rule.name) })
        }
        _ => None,
    }
}

/// Whether people or the agent come in by a unit, `ssh.service`. What a target holds is never stopped as a whole.
#[must_use]
pub fn is_access_unit(unit: &str) -> bool {
    let name = stem(unit);
    ACCESS_UNITS.contains(&name)
        || ACCESS_UNITS_BEGIN.iter().any(|start| name.starts_with(start))
        || unit.ends_with(".target")
        || is_of_agent(unit)
}

/// Whether a machine may not start, or not have its network, without a module. Both spellings of its name count.
#[must_use]
pub fn is_vital_module(name: &str) -> bool {
    VITAL_MODULES.contains(&name.replace('-', "_").as_str())
}

/// Whether restarting one of these units can cut this host off, so that its server has to be heard afterwards.
#[must_use]
pub fn restarts_access(names: &[ServiceName]) -> bool {
    names.iter().map(ServiceName::unit).any(|unit| is_access_unit(&unit) || NETWORK_UNITS.contains(&stem(&unit)))
}

fn is_of_agent(unit: &str) -> bool {
    unit.starts_with("quell")
}

/// A unit's name without its suffix and the name of its instance.
fn stem(unit: &str) -> &str {
    let name =
        [".service", ".socket", ".timer", ".path", ".target"].iter().find_map(|suffix| unit.strip_suffix(suffix));
    let name = name.unwrap_or(unit);
    name.split_once('@').map_or(name, |(template, _)| template)
}

fn stops(service: &ServiceState) -> bool {
    !service.running || matches!(service.start, ServiceStart::Disabled | ServiceStart::Masked)
}

fn removes_vital(state: &PackageState) -> Option<String> {
    let names = state.names.values().flatten().map(PackageName::as_str);
    let vital: Vec<&str> = names.filter(|name| is_vital_package(name)).collect();
    (state.want == PackageWant::Absent && !vital.is_empty()).then(|| vital.join(", "))
}

fn is_vital_package(name: &str) -> bool {
    VITAL_PACKAGES.contains(&name) || ["linux-image", "kernel", "quell"].iter().any(|prefix| name.starts_with(prefix))
}

/// Why a rule closes more than an entry can mean: every connection, or a range in which SSH lies.
fn closed(rule: &FirewallRule) -> Option<&'static str> {
    if rule.protocol != Transport::Tcp || rule.is_unusual_only() {
        return None;
    }
    let range = |ports: &Ports| ports.contains(22) && ports.first != ports.last;
    if rule.ports.is_empty() {
        Some("without ports it cuts off every connection; name ports, or a match of sizes below 536")
    } else if rule.direction == Direction::In && rule.ports.iter().any(range) {
        Some("a range that holds port 22 cuts off administrators; name the port by itself if it is meant")
    } else {
        None
    }
}

#[cfg(test)]
#[path = "rails_tests.rs"]
mod tests;

//! How one run spreads over its machines, with every share worked out: what approvers read and sign, and what the run is held to.
//!
//! `fleet-execution.md` 2.4: a plan is its content, its targets, its waves and its gates. Not here: who decides on it
//! ([`crate::approval`]) and what of it agents check themselves (`protocol::approval`).

use super::gate::SILENT_HOSTS_MAX;
use super::{Apart, Policy, seconds};
use serde::{Deserialize, Serialize};

/// A policy as it works out for a run of a known size. A field that is not known refuses it: it may be a restriction.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rollout {
    /// How many tasks the run has.
    pub tasks: u64,
    /// How many machines each wave has, the last one included.
    pub waves: Vec<u64>,
    /// How long a wave's results have to stand before the next wave opens, in seconds.
    pub soak_seconds: u32,
    /// Results a wave needs before the next one opens, in percent of its tasks.
    pub definitive_percent: u8,
    /// Failures the run survives; one more halts it.
    pub failures: u64,
    /// The failure rate in percent above which, with 95 % confidence, the run halts.
    pub failure_percent: Option<u8>,
    /// Tasks that run at once, at most.
    pub max_running: u32,
    /// Starts in a minute, at most.
    pub starts_per_minute: Option<u32>,
    /// Machines that must not be worked on together.
    pub apart: Option<Apart>,
    /// Every start asks for a permit.
    pub permits: bool,
    /// How many machines are restarted at once; none: no machine is.
    pub restarts: Option<u32>,
    /// A machine that was not heard of for so long is not waited for, in hours.
    pub freshness_hours: u32,
}

impl Rollout {
    /// What a policy comes to for a run of so many machines and tasks.
    #[must_use]
    pub fn of(policy: &Policy, machines: u64, tasks: u64) -> Self {
        // Taken apart, so that a field that is added to the policy has to be thought of here.
        let Policy {
            waves: _,
            soak_seconds,
            max_running,
            starts_per_minute,
            failures: _,
            failure_percent,
            definitive_percent,
            freshness_hours,
            apart,
            permits: _,
            restarts,
        } = policy;
        Rollout {
            tasks,
            waves: policy.sizes(machines),
            soak_seconds: *soak_seconds,
            definitive_percent: *definitive_percent,
            failures: policy.tolerated(tasks),
            failure_percent: *failure_percent,
            max_running: *max_running,
            starts_per_minute: *starts_per_minute,
            apart: apart.clone(),
            permits: policy.needs_permits(tasks),
            restarts: *restarts,
            freshness_hours: *freshness_hours,
        }
    }

    /// How many machines it is for.
    #[must_use]
    pub fn machines(&self) -> u64 {
        self.waves.iter().fold(0, |sum, machines| sum.saturating_add(*machines))
    }

    /// In what another one differs from this one, if it does.
    #[must_use]
    pub fn differs(&self, other: &Self) -> Option<&'static str> {
        let parts = [
            ("the waves", (self.tasks, &self.waves) != (other.tasks, &other.waves)),
            (
                "the gates",
                (self.soak_seconds, self.definitive_percent, self.failures, self.failure_percent)
                    != (other.soak_seconds, other.definitive_percent, other.failures, other.failure_percent),
            ),
            (
                "the limits",
                (self.max_running, self.starts_per_minute, &self.apart, self.permits)
                    != (other.max_running, other.starts_per_minute, &other.apart, other.permits),
            ),
            ("the restarts", self.restarts != other.restarts),
            ("the time that a machine may be away", self.freshness_hours != other.freshness_hours),
        ];
        let named = parts.into_iter().find(|(_, differ)| *differ).map(|(what, _)| what);
        named.or_else(|| (self != other).then_some("the rollouts"))
    }

    /// In words, each with its heading: what people read before they sign.
    #[must_use]
    pub fn words(&self) -> Vec<(&'static str, String)> {
        let machines = self.machines();
        let mut said = vec![match self.waves.as_slice() {
            [] | [_] => ("Waves", format!("one, of all {machines} machines")),
            waves => {
                let sizes: Vec<String> = waves.iter().map(ToString::to_string).collect();
                ("Waves", format!("{} waves of {} machines", waves.len(), sizes.join(", ")))
            }
        }];
        if self.waves.len() > 1 {
            let text = format!(
                "opens when {}% of the tasks that were tried have a known result, some machine was really changed, nothing below is broken, \
                 and the results have stood for {}; or when a person who may resume runs opens it",
                self.definitive_percent,
                seconds(self.soak_seconds)
            );
            said.push(("Next wave", text));
        }
        let mut halts = vec![format!("after more than {} failures of {} tasks", self.failures, self.tasks)];
        halts
            .extend(self.failure_percent.map(|percent| format!("when more than {percent}% fail, with 95% confidence")));
        halts.push("when one machine is left half undone".to_owned());
        halts.push(format!("when {} machines fall silent", SILENT_HOSTS_MAX + 1));
        said.push(("Halts", format!("{}; a person who may resume runs may let it go on", halts.join(", "))));
        let mut limits = vec![format!("at most {} tasks", self.max_running)];
        limits.extend(self.starts_per_minute.map(|starts| format!("at most {starts} starts a minute")));
        limits.extend(self.apart.as_ref().map(|a| format!("at most {} of a group by the tag {}", a.at_most, a.tag)));
        said.push(("At once", limits.join(", ")));
        let permits = if self.permits {
            "every start asks the server for a permit, so a halt is exact"
        } else {
            "starts ask for no permit unless the action is risky, so a halt does not stop what has its order"
        };
        said.push(("Permits", permits.to_owned()));
        said.push((
            "Restarts",
            match self.restarts {
                Some(slots) => {
                    format!("machines that need it are restarted where their owner allows it, at most {slots} at once")
                }
                None => "no machine is restarted".to_owned(),
            },
        ));
        let away = match self.waves.len() {
            0 | 1 => "is not waited for",
            _ => "is not waited for, and changes places with one of a later wave",
        };
        said.push(("Away", format!("a machine that was not heard of for {} h {away}", self.freshness_hours)));
        said
    }
}

#[cfg(test)]
#[path = "resolved_tests.rs"]
mod tests;

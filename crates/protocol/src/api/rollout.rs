//! How runs of a job spread over its assets: the policy, the waves and what their gates say.

use domain::time::Timestamp;
use serde::{Deserialize, Serialize};

/// How a run spreads over its assets. What is absent has its default.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(default, deny_unknown_fields)]
pub struct Rollout {
    /// Assets of each wave but the last, which takes the rest: numbers (`10`) or shares (`5%`). None: one wave.
    pub waves: Vec<String>,
    /// How long a wave's results have to stand before the next wave opens, in seconds.
    pub soak_seconds: u32,
    /// Tasks that run at once, at most.
    pub max_running: u32,
    /// Starts in a minute, at most.
    pub starts_per_minute: Option<u32>,
    /// Failures the run survives, as a number or a share of its tasks; one more halts it. Absent: more than 10 and more than 10%.
    pub failures: Option<String>,
    /// The failure rate in percent above which, with 95% confidence, the run halts.
    pub failure_percent: Option<u8>,
    /// Results a wave needs before the next opens, in percent of its tasks.
    pub definitive_percent: u8,
    /// A host that was not heard of for so long is away: others take its place in a wave, and windowed and recurring work for it
    /// expires. In hours.
    pub freshness_hours: u32,
    /// Assets that share a tag beginning with this are one group, of which only some run at once.
    pub apart_tag: Option<String>,
    /// How many of a group run at once.
    pub apart_at_most: Option<u32>,
    /// Every start asks for a permit, so that a halt is exact, even where no limit needs one.
    pub permits: bool,
    /// Hosts that need a restart are restarted, at most so many at once, where their owners allow it. Absent: none is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub restarts_at_once: Option<u32>,
}

impl Default for Rollout {
    fn default() -> Self {
        let policy = domain::rollout::Policy::default();
        Rollout {
            waves: Vec::new(),
            soak_seconds: policy.soak_seconds,
            max_running: policy.max_running,
            starts_per_minute: None,
            failures: None,
            failure_percent: None,
            definitive_percent: policy.definitive_percent,
            freshness_hours: policy.freshness_hours,
            apart_tag: None,
            apart_at_most: None,
            permits: policy.permits,
            restarts_at_once: policy.restarts,
        }
    }
}

/// `{"rollout": …, "runs": […]}`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct RolloutBody {
    /// The policy of the next run.
    pub rollout: Rollout,
    /// The policy in words.
    pub sentence: String,
    /// The runs, newest first.
    pub runs: Vec<RolloutRun>,
}

/// A run and its waves.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct RolloutRun {
    /// Counts the runs of the job.
    pub ordinal: i64,
    /// `open`, `halting`, `halted` or `ended`.
    pub state: String,
    /// What the gate says, or why the run is halted.
    pub reason: String,
    /// By whom it was halted; `gate` for none.
    pub halted_by: String,
    /// When.
    #[cfg_attr(feature = "schema", schema(value_type = Option<String>, format = DateTime))]
    pub halted_at: Option<Timestamp>,
    /// When the next wave opens if nothing fails; absent while results are missing.
    #[cfg_attr(feature = "schema", schema(value_type = Option<String>, format = DateTime))]
    pub next_wave_at: Option<Timestamp>,
    /// Every start asks for a permit.
    pub permits: bool,
    /// Permits out now.
    pub permits_out: i64,
    /// Hosts being restarted now.
    #[serde(default)]
    pub restarts_out: i64,
    /// The policy it began with, in words.
    pub sentence: String,
    /// The waves.
    pub waves: Vec<RolloutWave>,
    /// What the caller may do now, and why not: `halt`, `resume`, `promote`.
    pub acts: Vec<super::response::Act>,
}

/// A wave, with its tasks on the assets that the caller may know of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct RolloutWave {
    /// From 1.
    pub wave: i64,
    /// `waiting`, `open`, `done`.
    pub state: String,
    /// Tasks in all.
    pub tasks: u64,
    /// Not offered yet.
    pub waiting: u64,
    /// Orders out.
    pub out: u64,
    /// Orders that were out and of which nobody knows what became.
    pub unknown: u64,
    /// Ended well.
    pub good: u64,
    /// Ended badly.
    pub bad: u64,
    /// Not applicable.
    pub neutral: u64,
    /// Ended without a try.
    pub untried: u64,
}

/// Why a run is halted.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields, default)]
pub struct RunHalt {
    /// For everybody who sees the run.
    pub reason: String,
}

//! `quell jobs progress|set|halt-run|resume-run|promote`: how runs of a job spread over its assets, and stopping one.

use crate::client::{Client, path};
use crate::failure::Failure;
use crate::output::{self, Column, Format};
use domain::rollout::Preset;
use protocol::api::response::{JobBody, JobPatch};
use protocol::api::rollout::{Rollout, RolloutBody, RolloutRun, RolloutWave, RunHalt};

/// Changes to how a job's runs spread over its assets; what is not given stays as it is.
#[derive(Debug, clap::Args)]
pub struct Set {
    /// Its number
    number: String,
    /// Begin from this: all_at_once, canary or careful
    #[arg(long)]
    preset: Option<String>,
    /// Assets of a wave, as a number or a share; repeat it for each but the last wave, which takes the rest
    #[arg(long = "wave", value_name = "SIZE")]
    waves: Vec<String>,
    /// One wave
    #[arg(long, conflicts_with = "waves")]
    one_wave: bool,
    /// How long a wave's results have to stand before the next opens, in seconds
    #[arg(long, value_name = "SECONDS")]
    soak: Option<u32>,
    /// Tasks that run at once, at most
    #[arg(long)]
    max_running: Option<u32>,
    /// Starts in a minute, at most; 0 for no limit
    #[arg(long)]
    starts_per_minute: Option<u32>,
    /// Failures the run survives, as a number or a share; one more halts it
    #[arg(long, value_name = "SIZE")]
    failures: Option<String>,
    /// Failure rate in percent above which, with 95% confidence, the run halts; 0 for none
    #[arg(long, value_name = "PERCENT")]
    failure_percent: Option<u8>,
    /// Share of a wave's tasks that need a known result before the next wave opens, in percent, 1 to 100; what was not tried
    /// does not count, and with 100 one silent host holds the next wave back
    #[arg(long, value_name = "PERCENT")]
    definitive: Option<u8>,
    /// A host not heard of for so long is not waited for: others take its place, recurring work for it expires; in hours
    #[arg(long, value_name = "HOURS")]
    freshness: Option<u32>,
    /// Assets that share a tag beginning with this are not worked on together; empty for none
    #[arg(long, value_name = "TAG")]
    apart: Option<String>,
    /// How many of such a group run at once
    #[arg(long, value_name = "COUNT")]
    at_most: Option<u32>,
    /// Hosts that are restarted at once, at most, where a mitigation needs it and the host's owner allows it; 0 for none
    #[arg(long, value_name = "HOSTS")]
    restarts: Option<u32>,
    /// Whether every start asks for a permit, so that a halt is exact
    #[arg(long)]
    permits: Option<bool>,
}

const WAVES: &[Column<(i64, RolloutWave)>] = &[
    ("RUN", |(run, _)| run.to_string()),
    ("WAVE", |(_, wave)| wave.wave.to_string()),
    ("STATE", |(_, wave)| wave.state.clone()),
    ("TASKS", |(_, wave)| wave.tasks.to_string()),
    ("WAITING", |(_, wave)| wave.waiting.to_string()),
    ("OUT", |(_, wave)| wave.out.to_string()),
    ("UNKNOWN", |(_, wave)| wave.unknown.to_string()),
    ("GOOD", |(_, wave)| wave.good.to_string()),
    ("FAILED", |(_, wave)| wave.bad.to_string()),
    ("OTHER", |(_, wave)| (wave.neutral + wave.untried).to_string()),
];

/// Show policy and waves.
///
/// # Errors
/// [`Failure`] of the server.
pub async fn show(client: &Client, number: &str, format: Format) -> Result<(), Failure> {
    told(format, &client.get(&path(&["jobs", number, "rollout"]), &[]).await?)
}

fn told(format: Format, body: &RolloutBody) -> Result<(), Failure> {
    if format == Format::Json {
        return output::json(body);
    }
    let line = |run: &RolloutRun| {
        let why = if run.reason.is_empty() { String::new() } else { format!(": {}", run.reason) };
        let by = if run.halted_by.is_empty() { String::new() } else { format!(" (by {})", run.halted_by) };
        let restarting =
            if run.restarts_out > 0 { format!(", {} restarting", run.restarts_out) } else { String::new() };
        format!("run {} {}{by}{why}; {} permits out{restarting}", run.ordinal, run.state, run.permits_out)
    };
    if format == Format::Table {
        output::line(&body.sentence)?;
        for run in &body.runs {
            output::line(&line(run))?;
        }
    }
    let waves = |run: &RolloutRun| run.waves.iter().map(|wave| (run.ordinal, wave.clone())).collect::<Vec<_>>();
    let all: Vec<_> = body.runs.iter().flat_map(waves).collect();
    // Before the first run the policy says all there is to say.
    if format == Format::Table && all.is_empty() { Ok(()) } else { output::list(format, &all, WAVES) }
}

/// Change the policy of a draft or a disabled job.
///
/// # Errors
/// [`Failure`] of the server, or a preset that is none.
pub async fn set(client: &Client, set: Set, format: Format) -> Result<(), Failure> {
    let number = set.number.clone();
    let present: RolloutBody = client.get(&path(&["jobs", &number, "rollout"]), &[]).await?;
    let job: JobBody = client.get(&path(&["jobs", &number]), &[]).await?;
    let tag = format!("\"v{}\"", job.job.version);
    let patch = JobPatch { rollout: Some(changed(present.rollout, set)?), ..JobPatch::default() };
    let _: JobBody = client.patch(&path(&["jobs", &number]), &patch, Some(&tag)).await?;
    show(client, &number, format).await
}

fn changed(present: Rollout, set: Set) -> Result<Rollout, Failure> {
    let mut rollout = match &set.preset {
        None => present,
        Some(word) => {
            let preset = Preset::parse(word).ok_or_else(|| {
                let known = Preset::ALL.map(Preset::as_str).join(", ");
                Failure::Said(format!("`{word}` is no preset; there are {known}"))
            })?;
            of_preset(preset)
        }
    };
    if set.one_wave || !set.waves.is_empty() {
        rollout.waves = set.waves;
    }
    rollout.soak_seconds = set.soak.unwrap_or(rollout.soak_seconds);
    rollout.max_running = set.max_running.unwrap_or(rollout.max_running);
    rollout.definitive_percent = set.definitive.unwrap_or(rollout.definitive_percent);
    if let Some(hosts) = set.restarts {
        rollout.restarts_at_once = (hosts > 0).then_some(hosts);
    }
    rollout.freshness_hours = set.freshness.unwrap_or(rollout.freshness_hours);
    rollout.permits = set.permits.unwrap_or(rollout.permits);
    rollout.failures = set.failures.or(rollout.failures);
    if let Some(starts) = set.starts_per_minute {
        rollout.starts_per_minute = (starts > 0).then_some(starts);
    }
    if let Some(percent) = set.failure_percent {
        rollout.failure_percent = (percent > 0).then_some(percent);
    }
    if let Some(tag) = set.apart {
        rollout.apart_at_most = (!tag.is_empty()).then(|| rollout.apart_at_most.unwrap_or(1));
        rollout.apart_tag = (!tag.is_empty()).then_some(tag);
    }
    rollout.apart_at_most = set.at_most.or(rollout.apart_at_most);
    Ok(rollout)
}

fn of_preset(preset: Preset) -> Rollout {
    let policy = preset.policy();
    Rollout {
        waves: policy.waves.iter().map(ToString::to_string).collect(),
        soak_seconds: policy.soak_seconds,
        max_running: policy.max_running,
        starts_per_minute: policy.starts_per_minute,
        failures: policy.failures.map(|size| size.to_string()),
        failure_percent: policy.failure_percent,
        permits: policy.permits,
        ..Rollout::default()
    }
}

/// Halt, resume or promote the newest run.
///
/// # Errors
/// [`Failure`] of the server.
pub async fn act(
    client: &Client,
    number: &str,
    act: &str,
    reason: Option<String>,
    format: Format,
) -> Result<(), Failure> {
    let place = path(&["jobs", number, "run", act]);
    let body: RolloutBody = match reason {
        Some(reason) => client.post(&place, &RunHalt { reason }).await?,
        None => client.post(&place, &serde_json::Map::<String, serde_json::Value>::new()).await?,
    };
    told(format, &body)
}

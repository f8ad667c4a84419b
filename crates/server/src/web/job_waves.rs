//! The rollout of a job on its page: the waves of the run to be looked at, what their gate says, and the switches of people.

use crate::engine::jobs::Job as Full;
use crate::engine::rollouts;
use crate::http::Error;
use crate::http::auth::Caller;
use crate::pages::chips::{Bar, Chip, Tone};
use crate::pages::jobs::{RolloutPart, WaveRow};
use crate::pages::lists::Action as Button;
use domain::rollout::Policy;
use protocol::api::rollout::{RolloutRun, RolloutWave};
use store::Transaction;

/// The waves of the newest run that is halted, else of the newest; none for a run in one wave of which there is nothing to say.
///
/// # Errors
/// A failure of the store.
pub(super) fn part(tx: &mut Transaction<'_>, full: &Full) -> Result<Option<RolloutPart>, Error> {
    let Some(run) = rollouts::looked_at(tx, full)? else { return Ok(None) };
    let plain = run.sentence == Policy::default().sentence();
    if run.waves.len() < 2 && run.reason.is_empty() && plain && run.restarts_out == 0 {
        return Ok(None);
    }
    let (tone, word) = match run.state.as_str() {
        "open" => (Tone::Run, "Open"),
        "halting" => (Tone::Warn, "Halting"),
        "halted" => (Tone::Fail, "Halted"),
        _ => (Tone::Idle, "Ended"),
    };
    let why = match (run.state.as_str(), run.halted_by.as_str()) {
        ("halting" | "halted", "gate") => format!("halted by the gate: {}", run.reason),
        ("halting" | "halted", by) => {
            let by = by.strip_prefix("users/").unwrap_or(by);
            format!("halted by {by}: {}", run.reason)
        }
        _ => run.reason.clone(),
    };
    let permits = if run.permits { format!("{} permits out", run.permits_out) } else { String::new() };
    let restarts = match run.restarts_out {
        0 => String::new(),
        1 => "1 host restarting".to_owned(),
        hosts => format!("{hosts} hosts restarting"),
    };
    let line =
        [run.sentence.clone(), why, permits, restarts].into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>();
    Ok(Some(RolloutPart {
        state: Chip::new(tone, word),
        line: line.join(" · "),
        waves: run.waves.iter().map(row).collect(),
    }))
}

fn row(wave: &RolloutWave) -> WaveRow {
    let (tone, word) = match wave.state.as_str() {
        "done" if wave.bad > 0 => (Tone::Warn, "Done"),
        "done" => (Tone::Ok, "Done"),
        "open" => (Tone::Run, "Open"),
        _ => (Tone::Idle, "Waiting"),
    };
    let whole = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
    let parts = [
        (Tone::Mit, whole(wave.good), "well"),
        (Tone::Warn, whole(wave.neutral + wave.untried + wave.unknown), "other"),
        (Tone::Fail, whole(wave.bad), "failed"),
        (Tone::Run, whole(wave.out), "out"),
    ];
    let counts = [
        (wave.good, "well"),
        (wave.bad, "failed"),
        (wave.unknown, "unknown"),
        (wave.out, "out"),
        (wave.waiting, "waiting"),
        (wave.neutral + wave.untried, "not done"),
    ];
    let said = counts.into_iter().filter(|(count, _)| *count > 0).map(|(count, word)| format!("{count} {word}"));
    WaveRow {
        number: wave.wave,
        state: Chip::new(tone, word),
        bar: Bar::new(&parts, whole(wave.tasks).max(1)),
        counts: said.collect::<Vec<_>>().join(", "),
    }
}

/// Halt, resume, next wave: what the person may do to the runs.
///
/// # Errors
/// A failure of the store.
pub(super) fn switches(tx: &mut Transaction<'_>, who: &Caller, full: &Full) -> Result<Vec<Button>, Error> {
    let body = rollouts::body(tx, who, full)?;
    let number = full.row.name();
    // Each act stands beside the run that it is for; with an older run that is halted and a newer one at work both can be done.
    let of = |word: &str| {
        let act = |run: &&RolloutRun| run.acts.iter().any(|act| act.act == word);
        body.runs.iter().find(act).filter(|run| run.state != "ended")
    };
    let reason = |run: &RolloutRun, word: &str| {
        let found = run.acts.iter().find(|act| act.act == word);
        found.filter(|act| !act.allowed).map(|act| super::frame::sentence(&act.reason))
    };
    let mut buttons = Vec::new();
    if let Some(run) = of("resume").filter(|run| run.state != "open") {
        let resume = Button::post("Resume run", format!("/jobs/{number}/resume-run")).icon("player-play");
        buttons.push(resume.unless(reason(run, "resume")));
    }
    if let Some(run) = of("halt").filter(|run| run.state == "open") {
        let halt = Button::post("Halt run", format!("/jobs/{number}/halt-run")).icon("player-pause");
        buttons.push(halt.unless(reason(run, "halt")));
    }
    if let Some(run) = of("promote").filter(|run| run.waves.len() > 1) {
        buttons.push(next(&number, run).unless(reason(run, "promote")));
    }
    Ok(buttons)
}

fn next(number: &str, run: &RolloutRun) -> Button {
    let said = if run.reason.is_empty() { String::new() } else { format!(" The gate says: {}.", run.reason) };
    Button::post("Open next wave", format!("/jobs/{number}/promote")).icon("activity").asking(
        format!("Open the next wave of {number}"),
        format!("It opens whatever the results of this wave are.{said}"),
        "Open next wave",
    )
}

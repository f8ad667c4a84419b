//! `quell jobs dry-run`: what a job would change on each machine, exactly, and what that would do to the scores.

use super::waiting::{self, Look};
use crate::client::{Client, path};
use crate::failure::Failure;
use crate::output::{self, Column, Format, line, note, said};
use protocol::api::response::{DryRun, DryRunAnswer, DryRunBody, DryRunItem};
use std::time::Duration;

/// How often a dry run that is waited for is looked at.
const LOOK_EVERY: Duration = Duration::from_secs(1);

const ANSWERS: &[Column<DryRunAnswer>] = &[
    ("ASSET", |answer| answer.asset_name.clone()),
    ("ENTRY", |answer| answer.entry.clone()),
    ("VERDICT", |answer| answer.verdict.clone()),
    ("MESSAGE", |answer| answer.message.clone()),
];

const ITEMS: &[Column<DryRunItem>] = &[
    ("ITEM", |item| item.number.clone()),
    ("ASSET", |item| item.asset_name.clone()),
    ("QID", |item| item.qid.to_string()),
    ("SCORE", |item| format!("{} -> {}", item.before, item.after)),
    ("MITIGATION", |item| format!("{} -> {}", item.mitigation_before, item.mitigation)),
    ("TITLE", |item| item.title.clone()),
];

/// Begin a dry run, or show the last one.
///
/// # Errors
/// [`Failure`] of the server.
pub async fn run(client: &Client, format: Format, number: &str, wait: bool, last: bool) -> Result<(), Failure> {
    let at = path(&["jobs", number, "dry-run"]);
    let body: DryRunBody = if last {
        client.get(&at, &[]).await?
    } else {
        client.post(&at, &serde_json::Map::<String, serde_json::Value>::new()).await?
    };
    let body = if wait { waiting::until(LOOK_EVERY, async || look(client, &at).await).await? } else { body };
    match body.dry_run {
        None => Err(Failure::Said(format!("{number} was never run dry"))),
        Some(run) => show(format, number, &run),
    }
}

async fn look(client: &Client, at: &str) -> Result<Look<DryRunBody>, Failure> {
    let body: DryRunBody = client.get(at, &[]).await?;
    Ok(match &body.dry_run {
        Some(run) if run.ended_at.is_none() => {
            let waiting = run.answers.iter().filter(|answer| answer.verdict == "waiting").count();
            Look::Still(format!("{} of {} answers are there", run.answers.len() - waiting, run.answers.len()))
        }
        _ => Look::Over(body),
    })
}

fn show(format: Format, number: &str, run: &DryRun) -> Result<(), Failure> {
    match format {
        Format::Json => return output::json(run),
        Format::Csv => return output::list(format, &run.answers, ANSWERS),
        Format::Table => {}
    }
    output::list(format, &run.answers, ANSWERS)?;
    for answer in run.answers.iter().filter(|answer| !answer.changes.is_empty()) {
        said(&format!("\n{}  {}", answer.asset_name, answer.entry))?;
        for change in &answer.changes {
            said(&format!("  {} {}: {} -> {}", change.kind, change.target, change.before, change.after))?;
            for text in change.diff.lines() {
                said(&format!("    {text}"))?;
            }
        }
    }
    if !run.items.is_empty() {
        line("")?;
        output::list(format, &run.items, ITEMS)?;
    }
    let score = &run.score;
    said(&format!(
        "\n{} items: sum of scores {} now, {} then; {} mitigated now, {} then",
        score.items, score.before, score.after, score.mitigated_before, score.mitigated
    ))?;
    if run.outdated {
        note("the job has other machines or actions since; run it dry again");
    }
    if run.ended_at.is_none() {
        note(&format!("agents are still being waited for; see `quell jobs dry-run {number} --last`"));
    }
    Ok(())
}

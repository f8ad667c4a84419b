//! A job as people read it before they save it: everything that its last step shows on the page.

use super::tables;
use crate::client::{Client, path};
use crate::failure::Failure;
use crate::output::{self, Format, note};
use protocol::api::follow::Afterwards;
use protocol::api::response::{Job, ResolvedInstant};
use protocol::api::rollout::RolloutBody;

/// Show a job.
///
/// # Errors
/// [`Failure`] of the server, or where standard output cannot be written.
pub async fn show(client: &Client, format: Format, job: &Job) -> Result<(), Failure> {
    if format == Format::Json {
        return output::json(job);
    }
    let rollout: RolloutBody = client.get(&path(&["jobs", &job.summary.number, "rollout"]), &[]).await?;
    output::record(format, job, &fields(job, &rollout.sentence))
}

/// Show a job that was just made, and name the draft that was made beside it.
///
/// # Errors
/// As [`show`].
pub async fn made(client: &Client, format: Format, job: &Job) -> Result<(), Failure> {
    show(client, format, job).await?;
    if let Some(twin) = &job.twin {
        note(&format!("{twin} is the draft for the other platform"));
    }
    Ok(())
}

fn fields(job: &Job, rollout: &str) -> Vec<(&'static str, String)> {
    let summary = &job.summary;
    let tasks = &summary.tasks;
    let actions: Vec<String> = job.actions.iter().map(|action| format!("{}: {}", action.qid, action.entry)).collect();
    vec![
        ("number", summary.number.clone()),
        ("status", tables::status(summary)),
        ("title", summary.title.clone()),
        ("description", job.description.clone()),
        ("kind", format!("{} on {}", summary.kind, summary.platform)),
        ("other platform", job.twin.clone().unwrap_or_default()),
        ("schedule", summary.schedule.clone()),
        ("next run", job.next_time.clone().unwrap_or_default()),
        ("instants", job.instants.iter().map(instant).collect::<Vec<_>>().join("\n")),
        ("owner", summary.owner.clone()),
        ("co-authors", job.coauthors.join(", ")),
        ("recipients", job.recipients.join(", ")),
        ("mail", mail(job)),
        ("afterwards", afterwards(&job.after)),
        ("standing", if job.standing { "targets are chosen anew at each run" } else { "no" }.to_owned()),
        ("rollout", rollout.to_owned()),
        ("assets", assets(job)),
        ("actions", actions.join(", ")),
        (
            "tasks",
            format!(
                "{} of {} open, {} succeeded, {} failed, {} skipped",
                tasks.open, tasks.total, tasks.succeeded, tasks.failed, tasks.skipped
            ),
        ),
    ]
}

fn assets(job: &Job) -> String {
    let mut named: Vec<String> = job.assets.iter().map(|asset| format!("{} ({})", asset.name, asset.id)).collect();
    if job.hidden_assets > 0 {
        named.push(format!("and {} outside your asset scope", job.hidden_assets));
    }
    named.join(", ")
}

/// When it is on the clock of one zone and in UTC, and what is special about that.
fn instant(instant: &ResolvedInstant) -> String {
    let assets = if instant.assets == 1 { "1 asset".to_owned() } else { format!("{} assets", instant.assets) };
    let end = instant.window_end.map(|end| format!(", until {end}")).unwrap_or_default();
    let note = if instant.note.is_empty() { String::new() } else { format!(": {}", instant.note) };
    format!("{} in {} ({}{end}), {assets}{note}", instant.local, instant.zone, instant.at)
}

/// When its recipients get mail.
fn mail(job: &Job) -> String {
    let started = job.mail_started.then(|| "at the start".to_owned());
    let percent = (job.mail_percent > 0).then(|| format!("when {} % have reported", job.mail_percent));
    let when: Vec<String> = started.into_iter().chain(percent).collect();
    if when.is_empty() { "never".to_owned() } else { when.join(" and ") }
}

/// What is said of the time after it.
fn afterwards(after: &Afterwards) -> String {
    let days = after.expires_days.map(|days| format!("expires {days} days after it was put in place"));
    let at = after.expires_at.as_ref().map(|at| format!("expires at {at}"));
    let expires = days.or(at).map(|expires| {
        let then = if after.roll_back { "rolled back" } else { "its rollback is proposed" };
        format!("{expires}, then {then}")
    });
    let review = after.review_at.as_ref().map(|at| format!("review at {at}"));
    let said: Vec<String> = expires.into_iter().chain(review).collect();
    if said.is_empty() { "nothing".to_owned() } else { said.join("; ") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_follows_a_job_is_said_in_few_words() {
        let after = |days: Option<i64>, at: Option<&str>, roll_back: bool, review: Option<&str>| {
            let text = |date: Option<&str>| date.map(str::to_owned);
            afterwards(&Afterwards { expires_days: days, expires_at: text(at), roll_back, review_at: text(review) })
        };
        assert_eq!(after(None, None, false, None), "nothing");
        let both = after(Some(90), None, false, Some("2027-02-01"));
        assert_eq!(
            both,
            "expires 90 days after it was put in place, then its rollback is proposed; review at 2027-02-01"
        );
        assert_eq!(after(None, Some("2027-02-01"), true, None), "expires at 2027-02-01, then rolled back");
    }
}

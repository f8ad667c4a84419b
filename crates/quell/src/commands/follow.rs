//! `quell controls`, `quell proposals`, `quell reviews`: what follows a job.

use super::Context;
use crate::client::{ListArguments, path};
use crate::failure::Failure;
use crate::output::{self, Column, note};
use protocol::api::follow::{
    Control, ControlsBody, Dismissal, FollowSettings, MadeJob, Proposal, ProposalsBody, Review, Reviewed, ReviewsBody,
    RisksBody,
};

/// What can be done with mitigations on assets.
#[derive(Debug, clap::Subcommand)]
pub enum Controls {
    /// List them; what drifted is `-q is:drifted`
    List(ListArguments),
    /// Put one back that drifted, by a job of its own
    Reapply {
        /// Its key, as listed
        id: i64,
    },
    /// Show an asset's risk by every formula, the one in use first
    Risk {
        /// Key of the asset
        asset: i64,
    },
    /// Show or change how often agents look, and which formula of risk is shown
    Settings {
        /// Minutes between two looks, 15 to 10080
        #[arg(long)]
        check_minutes: Option<i64>,
        /// quell, first, trurisk_1, updated or trurisk_2
        #[arg(long)]
        formula: Option<String>,
    },
}

/// What can be done with proposed rollbacks.
#[derive(Debug, clap::Subcommand)]
pub enum Proposals {
    /// List them; undecided ones are `-q is:open`
    List(ListArguments),
    /// Accept one: makes a draft of a rollback job
    Accept {
        /// Its key, as listed
        id: i64,
    },
    /// Dismiss one
    Dismiss {
        /// Its key, as listed
        id: i64,
        /// Why
        #[arg(long)]
        reason: String,
    },
}

/// What can be done with reviews.
#[derive(Debug, clap::Subcommand)]
pub enum Reviews {
    /// List jobs whose review is due
    List,
    /// Say that one was done
    Done {
        /// Number of the job
        job: String,
        /// When it is to be looked at again, 2027-01-31; never when left out
        #[arg(long)]
        next: Option<String>,
    },
}

const CONTROLS: &[Column<Control>] = &[
    ("ID", |row| row.id.to_string()),
    ("ASSET", |row| row.asset.clone()),
    ("MITIGATION", |row| row.entry.clone()),
    ("STATE", |row| row.state.clone()),
    ("ORIGIN", |row| row.origin.clone()),
    ("JOB", |row| row.job.clone().unwrap_or_default()),
    ("SINCE", |row| row.since_at.map(|at| at.to_string()).unwrap_or_default()),
    ("CHECKED", |row| row.checked_at.map(|at| at.to_string()).unwrap_or_default()),
    ("EXPIRES", |row| row.expires_at.map(|at| at.to_string()).unwrap_or_default()),
    ("FOUND", |row| row.note.clone()),
];

const PROPOSALS: &[Column<Proposal>] = &[
    ("ID", |row| row.id.to_string()),
    ("ASSET", |row| row.asset.clone()),
    ("MITIGATION", |row| row.entry.clone()),
    ("REASON", |row| row.reason.clone()),
    ("STATE", |row| row.state.clone()),
    ("BECAUSE", |row| row.detail.clone()),
    ("JOB", |row| row.job.clone().unwrap_or_default()),
];

const REVIEWS: &[Column<Review>] = &[
    ("JOB", |row| row.job.clone()),
    ("TITLE", |row| row.title.clone()),
    ("OWNER", |row| row.owner.clone()),
    ("DUE", |row| row.review_at.map(|at| at.to_string()).unwrap_or_default()),
    ("IN FORCE", |row| row.controls.to_string()),
];

/// Run a command about mitigations on assets.
///
/// # Errors
/// [`Failure`] of the server.
pub async fn controls(command: Controls, context: &Context) -> Result<(), Failure> {
    let client = context.client()?;
    match command {
        Controls::List(list) => {
            let read = |body: ControlsBody| (body.controls, body.next);
            let rows = client.list(&path(&["controls"]), &list, read).await?;
            output::list(context.format, &rows, CONTROLS)
        }
        Controls::Reapply { id } => {
            let to = path(&["controls", &id.to_string(), "reapply"]);
            let made: MadeJob = client.post(&to, &serde_json::json!({})).await?;
            note(&format!("{} puts it back", made.job));
            output::record(context.format, &made, &[("job", made.job.clone())])
        }
        Controls::Risk { asset } => {
            let body: RisksBody = client.get(&path(&["assets", &asset.to_string(), "risk"]), &[]).await?;
            output::list(
                context.format,
                &body.risks,
                &[
                    ("FORMULA", |row| row.formula.clone()),
                    ("RISK", |row| row.value.to_string()),
                    ("IS", |row| row.text.clone()),
                ],
            )
        }
        Controls::Settings { check_minutes, formula } => {
            let to = path(&["settings", "follow-up"]);
            let mut settings: FollowSettings = client.get(&to, &[]).await?;
            if check_minutes.is_some() || formula.is_some() {
                settings.check_minutes = check_minutes.unwrap_or(settings.check_minutes);
                settings.formula = formula.unwrap_or(settings.formula);
                settings = client.put(&to, &settings).await?;
            }
            let fields = [("check minutes", settings.check_minutes.to_string()), ("formula", settings.formula.clone())];
            output::record(context.format, &settings, &fields)
        }
    }
}

/// Run a command about proposed rollbacks.
///
/// # Errors
/// [`Failure`] of the server.
pub async fn proposals(command: Proposals, context: &Context) -> Result<(), Failure> {
    let client = context.client()?;
    match command {
        Proposals::List(list) => {
            let read = |body: ProposalsBody| (body.proposals, body.next);
            let rows = client.list(&path(&["proposals"]), &list, read).await?;
            output::list(context.format, &rows, PROPOSALS)
        }
        Proposals::Accept { id } => {
            let to = path(&["proposals", &id.to_string(), "accept"]);
            let made: MadeJob = client.post(&to, &serde_json::json!({})).await?;
            note(&format!("{} is a draft; save and enable it to roll back", made.job));
            output::record(context.format, &made, &[("job", made.job.clone())])
        }
        Proposals::Dismiss { id, reason } => {
            let to = path(&["proposals", &id.to_string(), "dismiss"]);
            client.post_quietly(&to, &Dismissal { reason }).await?;
            note("dismissed");
            Ok(())
        }
    }
}

/// Run a command about reviews.
///
/// # Errors
/// [`Failure`] of the server.
pub async fn reviews(command: Reviews, context: &Context) -> Result<(), Failure> {
    let client = context.client()?;
    match command {
        Reviews::List => {
            let body: ReviewsBody = client.get(&path(&["reviews"]), &[]).await?;
            output::list(context.format, &body.reviews, REVIEWS)
        }
        Reviews::Done { job, next } => {
            client.post_quietly(&path(&["reviews", &job, "done"]), &Reviewed { next }).await?;
            note(&format!("{job} was reviewed"));
            Ok(())
        }
    }
}

//! A draft as it is stored, whoever makes it: somebody who asks for it, or what follows a job.

use super::choice::FilledIn;
use crate::http::error::Error;
use domain::id::{JobId, UserId};
use domain::job::{self, Kind};
use domain::number::Series;
use domain::schedule::Schedule;
use domain::time::Timestamp;
use store::audit::{self, Entry};
use store::controls::rollback as kept;
use store::jobs::{self, Draft, NewJob};
use store::{Transaction, numbers};

/// What is written of a draft, in it and in the audit log.
pub(crate) struct Text {
    /// Its title; cut where it is too long.
    pub title: String,
    /// Its description.
    pub description: String,
    /// For the audit log.
    pub detail: serde_json::Value,
}

/// What a draft says of itself; what only a person decides is left as it is by default.
pub(crate) struct Written {
    /// Title, description, and what the audit log says.
    pub text: Text,
    /// When it runs.
    pub schedule: Schedule,
    /// Who is told of it, as a job keeps them.
    pub recipients: String,
    /// At its start.
    pub mail_started: bool,
    /// At a percentage.
    pub mail_percent: Option<i64>,
}

impl From<Text> for Written {
    fn from(text: Text) -> Written {
        let (schedule, recipients) = (Schedule::OnDemand, "[]".to_owned());
        Written { text, schedule, recipients, mail_started: false, mail_percent: None }
    }
}

/// Store a draft of these targets and actions, which somebody owns and an author (as in the audit log) makes.
///
/// # Errors
/// A failure of the store.
pub(crate) fn store(
    tx: &mut Transaction<'_>,
    kind: Kind,
    found: &FilledIn,
    (owner, author): (UserId, &str),
    written: Written,
    now: Timestamp,
) -> Result<JobId, Error> {
    let number = numbers::next(tx, Series::Job)?;
    let Written { text, schedule, recipients, mail_started, mail_percent } = written;
    let draft = Draft {
        title: text.title.chars().take(job::TITLE_MAX).collect(),
        description: text.description,
        schedule: serde_json::to_string(&schedule).map_err(Error::internal)?,
        recipients,
        mail_started,
        mail_percent,
        standing: false,
    };
    let (platform, origin) = (found.platform, "elimination".to_owned());
    let id = jobs::create(tx, &NewJob { number: number.ordinal, kind, platform, origin, owner }, &draft, now)?;
    jobs::set_targets(tx, id, &found.targets)?;
    jobs::set_actions(tx, id, &found.actions)?;
    kept::keep_to(tx, id, found.only.iter().copied())?;
    let resource = format!("jobs/{number}");
    let entry = Entry { at: now, actor: author, action: "job.create", resource: &resource, detail: text.detail };
    audit::append(tx, &entry)?;
    Ok(id)
}

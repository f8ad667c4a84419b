//! Mail: what was sent, waits or was given up, and trying it out.

use domain::time::Timestamp;
use serde::{Deserialize, Serialize};

/// `{"mails": …, "next": …}`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct MailsBody {
    /// A page of mails, newest first unless sorted otherwise.
    pub mails: Vec<Mail>,
    /// Where the next page begins.
    pub next: Option<String>,
}

/// `{"mail": …}`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct MailBody {
    /// The mail.
    pub mail: Mail,
}

/// A mail to one recipient.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Mail {
    /// Its key.
    pub id: i64,
    /// What it is about: `started`, `reported` or `test`.
    pub kind: String,
    /// The job's number; absent for a test.
    pub job: Option<String>,
    /// To whom.
    pub recipient: String,
    /// `queued`, `sending`, `sent`, `failed` (tried again by itself) or `dead` (not tried again).
    pub state: String,
    /// How often it was tried.
    pub attempts: i64,
    /// When it is tried next.
    #[cfg_attr(feature = "schema", schema(value_type = Option<String>, format = DateTime))]
    pub next_try_at: Option<Timestamp>,
    /// What the last failed try said; empty where none failed.
    pub last_error: String,
    /// When it was caused.
    #[cfg_attr(feature = "schema", schema(value_type = String, format = DateTime))]
    pub created_at: Timestamp,
    /// When the mail server took it.
    #[cfg_attr(feature = "schema", schema(value_type = Option<String>, format = DateTime))]
    pub sent_at: Option<Timestamp>,
}

/// `{"retried": …}`.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct MailsRetried {
    /// How many dead letters are tried again.
    pub retried: usize,
}

/// A test mail to be sent.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct MailTest {
    /// To whom.
    pub recipient: String,
}

/// Which letters are written.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Notices {
    /// About items that are newly assigned.
    pub assigned: bool,
    /// About items that became overdue.
    pub overdue: bool,
}

/// `{"notices": …, "everybody": …}`.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct NoticesBody {
    /// What the caller wants.
    pub notices: Notices,
    /// What is written at all.
    pub everybody: Notices,
}

/// Which letters are wanted; what is absent stays as it is.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct NoticesChange {
    /// About items that are newly assigned.
    #[serde(default)]
    pub assigned: Option<bool>,
    /// About items that became overdue.
    #[serde(default)]
    pub overdue: Option<bool>,
}

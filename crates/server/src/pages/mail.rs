//! Mail: the outbox with its dead letters.

use super::chips::{Chip, When};
use super::lists::{Column, List, Menu};
use super::shell::Shell;
use askama::Template;

/// The columns of the list.
pub const COLUMNS: [Column; 9] = [
    Column::sorted("To", "", "recipient"),
    Column::new("About", "q-w6"),
    Column::sorted("Job", "q-w4", "job"),
    Column::sorted("State", "q-w4", "state"),
    Column::new("Tries", "q-w2").end(),
    Column::new("Caused", "q-w4"),
    Column::sorted("Next try", "q-w4", "next"),
    Column::sorted("Sent", "q-w4", "sent"),
    Column::new("", "q-w1"),
];

/// One mail to one recipient.
#[derive(Debug, Clone)]
pub struct MailLine {
    /// To whom.
    pub recipient: String,
    /// What it is about.
    pub about: &'static str,
    /// The job's number.
    pub job: Option<String>,
    /// Queued, sending, sent, tried again, dead letter.
    pub state: Chip,
    /// How often it was tried.
    pub attempts: i64,
    /// When it was caused.
    pub caused: When,
    /// When it is tried next.
    pub next: Option<When>,
    /// When it was sent.
    pub sent: Option<When>,
    /// What the last failed try said.
    pub error: String,
    /// Quick actions.
    pub menu: Menu,
}

/// The list.
#[derive(Debug, Clone, Template)]
#[template(path = "mail.html")]
pub struct MailPage {
    /// The frame.
    pub shell: Shell,
    /// The list's frame.
    pub list: List,
    /// To whom mail is handed, in a sentence; empty without a mail server.
    pub server: String,
    /// Why nothing is sent.
    pub no_server: Option<String>,
    /// What the mail server says where it takes no mail of this server.
    pub fault: Option<String>,
    /// The rows.
    pub rows: Vec<MailLine>,
}

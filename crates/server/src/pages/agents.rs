//! Agents and their enrolment: the list, one agent, and the tokens with which a new one enrols.

use super::chips::{Chip, When};
use super::forms::{Faults, Field};
use super::lists::{Action, Column, List, Menu};
use super::records::{Entry, Fact};
use super::shell::Shell;
use askama::Template;

/// The columns of the list.
pub const COLUMNS: [Column; 8] = [
    Column::sorted("Host", "", "hostname"),
    Column::new("State", "q-w5"),
    Column::new("Version", "q-w4"),
    Column::new("Platform", "q-w6"),
    Column::sorted("Last contact", "q-w4", "last_seen"),
    Column::new("Time zone", "q-w6"),
    Column::new("Asset", "q-w6"),
    Column::new("", "q-w1"),
];

/// One agent.
#[derive(Debug, Clone)]
pub struct AgentRow {
    /// Its key.
    pub key: String,
    /// What it calls its host.
    pub name: String,
    /// Its page.
    pub href: String,
    /// Connected, silent, quarantined, monitor only, halted, awaiting a decision.
    pub state: Chip,
    /// Its version.
    pub version: String,
    /// Its platform and icon.
    pub platform: (String, &'static str),
    /// When it was last heard of.
    pub contact: Option<When>,
    /// Its time zone; "UTC (unknown)" when it could not tell.
    pub zone: String,
    /// The asset it is linked to, or why it is not.
    pub asset: Result<(String, String), String>,
    /// Quick actions: quarantine, revoke, link to an asset.
    pub menu: Menu,
}

/// The list.
#[derive(Debug, Clone, Template)]
#[template(path = "agents.html")]
pub struct AgentsPage {
    /// The frame.
    pub shell: Shell,
    /// The list's frame.
    pub list: List,
    /// The rows.
    pub rows: Vec<AgentRow>,
    /// Why no agent is retired by itself now although some would be, if so.
    pub held: Option<String>,
    /// When agents are retired, in a sentence; none for who may not see settings.
    pub retirement: Option<String>,
    /// Changes that.
    pub change: Option<Action>,
    /// Enrolment tokens still good: name, uses left, expiry, revoke.
    pub tokens: Vec<(String, String, When, Action)>,
}

/// An agent that is not heard of: why, since when, what follows and when.
#[derive(Debug, Clone)]
pub struct Gone {
    /// Contact lost, or retired.
    pub title: &'static str,
    /// Why, since, follows, when.
    pub said: Vec<Fact>,
    /// Changes when agents are retired.
    pub change: Option<Action>,
}

/// One agent.
#[derive(Debug, Clone, Template)]
#[template(path = "agent.html")]
pub struct AgentPage {
    /// The frame.
    pub shell: Shell,
    /// What it calls its host.
    pub name: String,
    /// Its state and controls of the host's owner.
    pub marks: Vec<Chip>,
    /// Take back, revoke.
    pub actions: Vec<Action>,
    /// What there is to say of its silence.
    pub gone: Option<Gone>,
    /// Identity, version, capabilities, zone, contact.
    pub facts: Vec<Fact>,
    /// The evidence for the link with an asset: what it says, what the scanner says, whether they agree.
    pub evidence: Vec<(String, String, String, Chip)>,
    /// The assets it could be: name, why, link action.
    pub candidates: Vec<(String, String, Action)>,
    /// What it can do, as kind@version.
    pub capabilities: Vec<String>,
    /// What happened.
    pub log: Vec<Entry>,
}

/// Making an enrolment token, as a dialog and as a page.
#[derive(Debug, Clone, Template)]
#[template(path = "enrol.html")]
pub struct EnrolPage {
    /// The frame.
    pub shell: Shell,
    /// `name`, `uses`, `hours`.
    pub fields: Vec<Field>,
    /// What is wrong.
    pub faults: Faults,
    /// The token just made, shown once: the install line and what it holds.
    pub made: Option<MadeToken>,
}

/// A token that is shown once.
#[derive(Debug, Clone)]
pub struct MadeToken {
    /// The line to run on the host.
    pub line: String,
    /// The fingerprint of the server's certificate authority that the token carries.
    pub fingerprint: String,
    /// Until when it is good and how often.
    pub note: String,
}

//! What follows jobs: mitigations that drifted, rollbacks that are proposed, reviews that are due, and the settings.

use super::chips::{Chip, When};
use super::forms::Field;
use super::lists::Action;
use super::shell::Shell;
use askama::Template;

/// A mitigation that drifted.
#[derive(Debug, Clone)]
pub struct DriftRow {
    /// The entry's title.
    pub title: String,
    /// The entry.
    pub entry: String,
    /// Its asset's name and page.
    pub asset: (String, String),
    /// What the check found.
    pub note: String,
    /// Since when.
    pub since: When,
    /// The job that put it there or found it.
    pub job: Option<(String, String)>,
    /// Whose it is, or that it flaps.
    pub mark: Chip,
    /// Put it back.
    pub act: Action,
}

/// A rollback that is proposed.
#[derive(Debug, Clone)]
pub struct ProposalRow {
    /// The entry's title.
    pub title: String,
    /// The entry.
    pub entry: String,
    /// Its asset's name and page.
    pub asset: (String, String),
    /// Why.
    pub reason: Chip,
    /// The particulars.
    pub detail: String,
    /// Since when.
    pub made: When,
    /// Make the rollback job.
    pub accept: Action,
    /// Dismiss it.
    pub dismiss: Action,
}

/// A job whose review is due.
#[derive(Debug, Clone)]
pub struct ReviewRow {
    /// Its number.
    pub number: String,
    /// Its page.
    pub href: String,
    /// Its title.
    pub title: String,
    /// Its owner.
    pub owner: String,
    /// Since when.
    pub due: When,
    /// Mitigations of it in force.
    pub controls: i64,
    /// Reviewed.
    pub done: Action,
}

/// The page.
#[derive(Debug, Clone, Template)]
#[template(path = "follow.html")]
pub struct FollowPage {
    /// The frame.
    pub shell: Shell,
    /// What drifted.
    pub drifted: Vec<DriftRow>,
    /// What is proposed.
    pub proposals: Vec<ProposalRow>,
    /// What is due.
    pub reviews: Vec<ReviewRow>,
    /// The settings, for whoever may change them.
    pub settings: Vec<Field>,
    /// What the formula in use is.
    pub formula: (&'static str, &'static str),
    /// Minutes between two looks of an agent.
    pub minutes: i64,
    /// How long evidence is kept, in words.
    pub kept: String,
}

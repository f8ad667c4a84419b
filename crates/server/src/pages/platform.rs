//! Which platform a job is for, asked when what was chosen exists on several: a job has one (R8).

use super::lists::Action;
use super::shell::Shell;
use askama::Template;

/// One platform to choose.
#[derive(Debug, Clone)]
pub struct PlatformChoice {
    /// Its icon.
    pub icon: &'static str,
    /// Its name.
    pub name: String,
    /// How many assets could be part of the job.
    pub note: String,
    /// Makes the job.
    pub action: Action,
}

/// The question, as a page.
#[derive(Debug, Clone, Template)]
#[template(path = "platform.html")]
pub struct PlatformPage {
    /// The frame.
    pub shell: Shell,
    /// What was chosen.
    pub about: String,
    /// What is asked, in a sentence or two.
    pub text: String,
    /// The platforms.
    pub choices: Vec<PlatformChoice>,
    /// Other ways on.
    pub others: Vec<Action>,
    /// Where one came from.
    pub back: String,
}

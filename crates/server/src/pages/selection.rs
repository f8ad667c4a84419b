//! Steps 2 and 3 of a free-standing job: who is in, who is out and why, and what is done there.

use super::chips::Score;
use super::forms::Field;
use super::shell::Shell;
use super::wizard::{ActionRow, WizardFrame};
use askama::Template;
use askama::filters::HtmlSafe;

/// An asset that a selection names, or that could be picked.
#[derive(Debug, Clone)]
pub struct WhoRow {
    /// Its key.
    pub key: String,
    /// Its name.
    pub name: String,
    /// Its page.
    pub href: String,
    /// Its address.
    pub ip: String,
    /// Its system.
    pub os: String,
    /// The QIDs it is in the job for.
    pub qids: String,
    /// Why it is left out, in a sentence; empty where it is in.
    pub why: String,
    /// Whether it was taken out by name, and so can be taken in again.
    pub back: bool,
}

/// Who is in and who is out: a part of the page that follows the fields.
#[derive(Debug, Clone, Default, Template)]
#[template(path = "wizard/who.html")]
pub struct Who {
    /// How many are in.
    pub chosen: i64,
    /// How many are left out.
    pub left_out: i64,
    /// Those that are in, the first of them.
    pub inside: Vec<WhoRow>,
    /// Those that are left out, the first of them.
    pub outside: Vec<WhoRow>,
    /// What could not be taken, in sentences.
    pub notes: Vec<String>,
    /// Why nothing can be said: a field that cannot be read.
    pub fault: String,
    /// The line that installs an agent, where one is missing.
    pub install: Option<String>,
}
impl HtmlSafe for Who {}

impl Who {
    /// Whether any of those that are in has something to be done: before the third step none has.
    fn has_qids(&self) -> bool {
        self.inside.iter().any(|row| !row.qids.is_empty())
    }
}

/// Step 2.
#[derive(Debug, Clone, Template)]
#[template(path = "wizard/free_assets.html")]
pub struct FreeAssetsPage {
    /// The frame.
    pub shell: Shell,
    /// What surrounds the step.
    pub frame: WizardFrame,
    /// The query.
    pub query: Field,
    /// Tags, and whether one is enough.
    pub tags: Field,
    /// Any or all.
    pub matching: Field,
    /// Further tags.
    pub must: Field,
    /// Tags that take out.
    pub exclude: Field,
    /// Any or all.
    pub exclude_matching: Field,
    /// Whether the second group of fields holds something.
    pub more: bool,
    /// Keys of the assets picked one by one.
    pub listed: Vec<String>,
    /// Keys of the assets taken out one by one.
    pub taken_out: Vec<String>,
    /// What was looked for.
    pub find: String,
    /// What was found, to be picked.
    pub found: Vec<WhoRow>,
    /// Where [`Who`] is asked anew.
    pub live: String,
    /// Who is in and who is out.
    pub who: Who,
}

/// A vulnerability of the chosen assets.
#[derive(Debug, Clone)]
pub struct OfferRow {
    /// QID.
    pub qid: i64,
    /// Title.
    pub title: String,
    /// Its page.
    pub href: String,
    /// How many of the chosen assets have it.
    pub assets: i64,
    /// The highest score among them.
    pub score: Score,
    /// Whether it is chosen.
    pub on: bool,
}

/// Step 3.
#[derive(Debug, Clone, Template)]
#[template(path = "wizard/free_actions.html")]
pub struct FreeActionsPage {
    /// The frame.
    pub shell: Shell,
    /// What surrounds the step.
    pub frame: WizardFrame,
    /// What is open on the chosen assets.
    pub offers: Vec<OfferRow>,
    /// Other QIDs.
    pub qids: Field,
    /// Catalogue entries.
    pub entries: Field,
    /// What the job does so far.
    pub rows: Vec<ActionRow>,
    /// What has to be known of it.
    pub notes: Vec<String>,
    /// Entries that are never taken.
    pub without: Vec<String>,
}

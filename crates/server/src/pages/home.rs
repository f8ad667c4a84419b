//! The dashboard: where things stand, what would help most, what runs now.

use super::charts::{Areas, Spark};
use super::chips::{Bar, Change, Chip, Tone};
use super::exceptions::ItemRow;
use super::shell::Shell;
use askama::Template;

/// One large number; it leads to the list that makes it up.
#[derive(Debug, Clone)]
pub struct Stat {
    /// What it counts.
    pub label: String,
    /// The number.
    pub value: String,
    /// What changed, or how it was reckoned.
    pub note: String,
    /// Whether the note is good or bad news.
    pub tone: Tone,
    /// How it went.
    pub spark: Option<Spark>,
    /// The list behind it.
    pub href: String,
}

/// One severity band across the states.
#[derive(Debug, Clone)]
pub struct StandRow {
    /// The class of the band.
    pub class: &'static str,
    /// The band.
    pub band: &'static str,
    /// The band's numbers with the lists behind them: open, in a job, mitigated, fixed.
    pub cells: Vec<(i64, String)>,
}

/// A mitigation worth doing next.
#[derive(Debug, Clone)]
pub struct NextRow {
    /// Its title.
    pub title: String,
    /// The elimination.
    pub href: String,
    /// The worst score before and after.
    pub change: Change,
    /// On how many assets.
    pub assets: i64,
    /// How the points of all detections together change; negative.
    pub drop: i64,
    /// Where "Mitigate" leads, as a post.
    pub mitigate: String,
}

/// Something under way.
#[derive(Debug, Clone)]
pub struct RunningRow {
    /// A job or scan number.
    pub number: String,
    /// Its title.
    pub title: String,
    /// Its page.
    pub href: String,
    /// How far it is.
    pub bar: Bar,
    /// "41/60".
    pub done: String,
    /// Its state.
    pub state: Chip,
}

/// A step of the first set-up, shown until all are done.
#[derive(Debug, Clone)]
pub struct Setup {
    /// What to do.
    pub label: String,
    /// Why.
    pub text: String,
    /// Where.
    pub href: String,
    /// Whether it is done.
    pub done: bool,
}

/// The dashboard.
#[derive(Debug, Clone, Template)]
#[template(path = "home.html")]
pub struct HomePage {
    /// The frame.
    pub shell: Shell,
    /// What waits for somebody after jobs, in a sentence; none where nothing does.
    pub waiting: Option<String>,
    /// What is wrong with imports: a sentence, and where to look.
    pub troubles: Vec<(String, String)>,
    /// What is still to be set up; empty when all is.
    pub setup: Vec<Setup>,
    /// The large numbers.
    pub stats: Vec<Stat>,
    /// Detections over time.
    pub over_time: Areas,
    /// Where it stands.
    pub stand: Vec<StandRow>,
    /// What would help most.
    pub next: Vec<NextRow>,
    /// What runs now.
    pub running: Vec<RunningRow>,
    /// How the work stands: by target, state, group and so on.
    pub panels: Vec<Panel>,
}

/// Numbers under one heading, each with the list behind it.
#[derive(Debug, Clone)]
pub struct Panel {
    /// Its name in the page.
    pub id: &'static str,
    /// The heading.
    pub title: &'static str,
    /// Words, number, list.
    pub rows: Vec<(String, i64, String)>,
}

/// What waits for whoever looks.
#[derive(Debug, Clone, Template)]
#[template(path = "mine.html")]
pub struct MinePage {
    /// The frame.
    pub shell: Shell,
    /// The large numbers.
    pub stats: Vec<Stat>,
    /// The other numbers.
    pub panels: Vec<Panel>,
    /// The items with the highest scores.
    pub items: Vec<ItemRow>,
    /// All of them, in the list of items.
    pub all: String,
    /// What could be done about them now.
    pub next: Vec<NextRow>,
}

impl HomePage {
    fn setting_up(&self) -> bool {
        self.setup.iter().any(|step| !step.done)
    }
}

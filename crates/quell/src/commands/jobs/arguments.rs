//! What is said of a job on the command line: whom it chooses, what it does, when, and what follows it.

use crate::failure::Failure;
use protocol::api::follow::Afterwards;
use protocol::api::response::{Job, JobActionChoice, JobPatch, RepeatBody, ScheduleBody};
use protocol::api::selection::{ActionSelection, AssetSelection};
use std::collections::BTreeSet;

/// What a free-standing job chooses. Ways to name assets add up; what is taken out is out.
#[derive(Debug, Default, clap::Args)]
pub struct Choice {
    /// These assets, by key
    #[arg(long = "asset", value_name = "KEY", value_delimiter = ',')]
    listed: Vec<i64>,
    /// Every asset that this query of `quell assets list` gives
    #[arg(long, default_value = "")]
    query: String,
    /// Every asset with one of these tags, or a tag below one
    #[arg(long = "tag", value_name = "TAG", value_delimiter = ',')]
    tags: Vec<String>,
    /// With all of the tags instead of one
    #[arg(long)]
    all_tags: bool,
    /// Further tags that an asset chosen by tag has to carry, all of them
    #[arg(long = "must-tag", value_name = "TAG", value_delimiter = ',')]
    must_tags: Vec<String>,
    /// Not what carries one of these tags
    #[arg(long = "without-tag", value_name = "TAG", value_delimiter = ',')]
    without_tags: Vec<String>,
    /// Only what carries all of these tags is taken out
    #[arg(long)]
    without_all_tags: bool,
    /// Not these assets, by key
    #[arg(long = "without-asset", value_name = "KEY", value_delimiter = ',')]
    without_assets: Vec<i64>,
    /// What is done: the eliminations of these QIDs
    #[arg(long = "qid", value_name = "QID", value_delimiter = ',')]
    choose: Vec<i64>,
    /// What is done: these catalogue entries, wherever they cover something open
    #[arg(long = "entry", value_name = "ENTRY", value_delimiter = ',')]
    entries: Vec<String>,
    /// Never these catalogue entries
    #[arg(long = "without-entry", value_name = "ENTRY", value_delimiter = ',')]
    without_entries: Vec<String>,
}

impl Choice {
    /// The assets; none where no way to name one is given.
    pub fn selection(&self) -> Option<AssetSelection> {
        let matching = |all: bool| if all { "all" } else { "any" }.to_owned();
        let named =
            !self.listed.is_empty() || !self.query.is_empty() || !self.tags.is_empty() || !self.must_tags.is_empty();
        named.then(|| AssetSelection {
            assets: self.listed.clone(),
            query: self.query.clone(),
            tags: self.tags.clone(),
            tag_match: matching(self.all_tags),
            must_tags: self.must_tags.clone(),
            exclude_tags: self.without_tags.clone(),
            exclude_match: matching(self.without_all_tags),
            exclude_assets: self.without_assets.clone(),
        })
    }

    /// What is done; none where nothing is given.
    pub fn actions(&self) -> Option<ActionSelection> {
        let any = !self.choose.is_empty() || !self.entries.is_empty() || !self.without_entries.is_empty();
        any.then(|| ActionSelection {
            qids: self.choose.clone(),
            entries: self.entries.clone(),
            without: self.without_entries.clone(),
        })
    }
}

/// Changes to a job; what is not given stays as it is.
#[derive(Debug, clap::Args)]
pub struct Edit {
    /// Its number
    pub number: String,
    /// Title
    #[arg(long)]
    title: Option<String>,
    /// Description
    #[arg(long)]
    description: Option<String>,
    /// The assets that remain, by key
    #[arg(long, value_delimiter = ',')]
    assets: Option<Vec<i64>>,
    /// Leave this catalogue entry out of a job made from eliminations; repeat it for more
    #[arg(long = "remove-entry", value_name = "ENTRY", value_delimiter = ',', conflicts_with_all = ["choose", "entries", "without_entries"])]
    pub remove_entries: Vec<String>,
    /// What a free-standing job chooses; the assets, or the actions, that are given replace those it has
    #[command(flatten)]
    choice: Choice,
    #[command(flatten)]
    when: When,
    /// Choose the targets anew at each run, and put back what drifts
    #[arg(long)]
    standing: Option<bool>,
    /// Mail recipients, at most 50
    #[arg(long, value_delimiter = ',')]
    recipients: Option<Vec<String>>,
    /// No mail recipients any more
    #[arg(long, conflicts_with = "recipients")]
    no_recipients: bool,
    /// Mail when execution starts
    #[arg(long)]
    mail_started: Option<bool>,
    /// Mail when this percentage of assets has reported; 0 for none
    #[arg(long)]
    mail_percent: Option<i64>,
    /// Co-authors, by sign-in name
    #[arg(long, value_delimiter = ',')]
    coauthors: Option<Vec<String>>,
    /// No co-authors any more
    #[arg(long, conflicts_with = "coauthors")]
    no_coauthors: bool,
    #[command(flatten)]
    after: After,
}

impl Edit {
    /// What is changed of this job.
    ///
    /// # Errors
    /// An entry to be removed that the job does not have, or that a free-standing job chooses by other arguments.
    pub fn patch(self, job: &Job) -> Result<JobPatch, Failure> {
        let none = |cleared: bool| cleared.then(Vec::new);
        Ok(JobPatch {
            title: self.title,
            description: self.description,
            assets: self.assets,
            selection: self.choice.selection(),
            choose: self.choice.actions(),
            actions: remaining(job, &self.remove_entries)?,
            schedule: self.when.schedule(),
            recipients: self.recipients.or(none(self.no_recipients)),
            mail_started: self.mail_started,
            mail_percent: self.mail_percent,
            coauthors: self.coauthors.or(none(self.no_coauthors)),
            standing: self.standing,
            after: self.after.body(),
            rollout: None,
        })
    }
}

/// The actions of a job without these entries; none where nothing is removed.
fn remaining(job: &Job, removed: &[String]) -> Result<Option<Vec<JobActionChoice>>, Failure> {
    if removed.is_empty() {
        return Ok(None);
    }
    let number = &job.summary.number;
    if job.origin == "free" {
        let why = format!("{number} is free-standing and chooses its actions itself: leave one out by --without-entry");
        return Err(Failure::Said(why));
    }
    if let Some(unknown) = removed.iter().find(|entry| job.actions.iter().all(|action| action.entry != **entry)) {
        let known: BTreeSet<&str> = job.actions.iter().map(|action| action.entry.as_str()).collect();
        let known = known.into_iter().collect::<Vec<_>>().join(", ");
        let known = if known.is_empty() { "no action".to_owned() } else { known };
        return Err(Failure::Said(format!("{number} has no action `{unknown}`; it has {known}")));
    }
    let left = job.actions.iter().filter(|action| !removed.contains(&action.entry));
    Ok(Some(left.map(|action| JobActionChoice { qid: action.qid, entry: action.entry.clone() }).collect()))
}

/// The time after a job. These are changed together: what is not given is off as soon as one of them is.
#[derive(Debug, clap::Args)]
struct After {
    /// Each mitigation expires so many days after it was put in place
    #[arg(long, value_name = "DAYS", conflicts_with = "expires_at")]
    expires_days: Option<i64>,
    /// Every mitigation expires on this date, 2026-12-31
    #[arg(long, value_name = "DATE")]
    expires_at: Option<String>,
    /// At expiry make and enable the rollback instead of only proposing it
    #[arg(long)]
    roll_back_at_expiry: bool,
    /// The job is to be looked at again on this date, 2026-12-31
    #[arg(long, value_name = "DATE")]
    review_at: Option<String>,
    /// Neither expiry nor review
    #[arg(long, conflicts_with_all = ["expires_days", "expires_at", "roll_back_at_expiry", "review_at"])]
    nothing_after: bool,
}

impl After {
    fn body(self) -> Option<Afterwards> {
        let said = self.nothing_after
            || self.roll_back_at_expiry
            || self.expires_days.is_some()
            || self.expires_at.is_some()
            || self.review_at.is_some();
        said.then_some(Afterwards {
            expires_days: self.expires_days,
            expires_at: self.expires_at,
            roll_back: self.roll_back_at_expiry,
            review_at: self.review_at,
        })
    }
}

/// When a job runs.
#[derive(Debug, clap::Args)]
pub struct When {
    /// Run as soon as it is enabled
    #[arg(long, conflicts_with = "at")]
    on_demand: bool,
    /// Run at this date and time, 2026-11-22T03:00; with --repeat the first day on which it may run, and the time of day
    #[arg(long, value_name = "DATETIME")]
    at: Option<String>,
    /// Zone of --at: an IANA name; each asset's own when absent
    #[arg(long, requires = "at")]
    zone: Option<String>,
    /// Maintenance window in minutes: nothing starts that could not end within it
    #[arg(long, requires = "at", value_name = "MINUTES")]
    window: Option<i64>,
    /// Run again and again
    #[arg(long, requires = "at", value_parser = ["daily", "weekly", "month_day", "month_weekday", "last_day", "patch_tuesday"])]
    repeat: Option<String>,
    /// Every so many days, weeks or months
    #[arg(long, requires = "repeat")]
    every: Option<i64>,
    /// Days of the week for weekly: mon,thu
    #[arg(long, requires = "repeat", value_delimiter = ',')]
    days: Option<Vec<String>>,
    /// Day of the month for month_day; 31 is the last day where the month is shorter
    #[arg(long, requires = "repeat")]
    day: Option<i64>,
    /// Which one for month_weekday: first, second, third, fourth or last
    #[arg(long, requires = "repeat")]
    nth: Option<String>,
    /// Which day of the week for month_weekday: fri
    #[arg(long, requires = "repeat")]
    weekday: Option<String>,
    /// Days after Patch Tuesday; before it when negative
    #[arg(long, requires = "repeat", allow_hyphen_values = true)]
    offset: Option<i64>,
    /// The last day on which it may run
    #[arg(long, requires = "repeat", conflicts_with = "count")]
    until: Option<String>,
    /// How many times it runs, counted from its first day
    #[arg(long, requires = "repeat")]
    count: Option<i64>,
}

impl When {
    /// The schedule these arguments say; none when they say nothing.
    pub fn schedule(self) -> Option<ScheduleBody> {
        if self.on_demand {
            return Some(ScheduleBody { when: "on_demand".to_owned(), ..ScheduleBody::default() });
        }
        let when = if self.repeat.is_some() { "recurring" } else { "once" }.to_owned();
        let repeat = self.repeat.map(|by| RepeatBody {
            by,
            every: self.every,
            days: self.days,
            day: self.day,
            nth: self.nth,
            weekday: self.weekday,
            offset: self.offset,
            until: self.until,
            count: self.count,
        });
        let at = self.at?;
        Some(ScheduleBody { when, at: Some(at), zone: self.zone, window_minutes: self.window, repeat })
    }
}

/// What is previewed.
#[derive(Debug, clap::Args)]
pub struct Preview {
    /// Its number
    pub number: String,
    #[command(flatten)]
    pub when: When,
    /// How many times, at most 50
    #[arg(long, default_value_t = 5)]
    pub times: i64,
}

//! `quell jobs`: mitigation jobs from eliminations to results, and the global halt.

use super::Context;
use crate::client::{Client, ListArguments, path};
use crate::failure::Failure;
use crate::output::{self, Column, Format, note};
use protocol::api::follow::Afterwards;
use protocol::api::response::{
    Elimination, EliminationAsset, EliminationsBody, HaltBody, HaltRequest, Job, JobBody, JobCve, JobCvesBody,
    JobPatch, JobSave, JobSelection, JobSummary, JobsBody, NewJob, OwnerRequest, PreviewBody, PreviewRequest,
    RepeatBody, ReportBody, ReportLine, ResolvedInstant, RetentionBody, RetentionRequest, Run, RunsBody, ScheduleBody,
    Task, TasksBody,
};
use protocol::api::selection::{ActionSelection, AssetSelection, SelectedAsset, SelectionBody, SelectionTrial};
use std::time::Duration;

/// What can be done with jobs.
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// Show what can be done about QIDs, and on which assets
    Eliminations {
        /// QIDs
        #[arg(required = true, value_delimiter = ',')]
        qids: Vec<i64>,
    },
    /// List jobs
    List(ListArguments),
    /// Show a job
    Show {
        /// Its number, MJ0000001
        number: String,
    },
    /// Make a draft for QIDs; assets and actions are filled in
    Create {
        /// QIDs
        #[arg(required = true, value_delimiter = ',')]
        qids: Vec<i64>,
        /// Only these assets, by key
        #[arg(long, value_delimiter = ',')]
        assets: Option<Vec<i64>>,
        /// linux or windows, where the assets run both
        #[arg(long)]
        platform: Option<String>,
        /// Title
        #[arg(long, default_value = "")]
        title: String,
        /// Description
        #[arg(long, default_value = "")]
        description: String,
        /// Roll mitigations of ours back instead
        #[arg(long)]
        rollback: bool,
    },
    /// Make a free-standing draft: it chooses assets by list, query and tags, actions by QID and catalogue entry
    New {
        /// linux or windows
        platform: String,
        /// Title
        #[arg(long, default_value = "")]
        title: String,
        /// Description
        #[arg(long, default_value = "")]
        description: String,
        #[command(flatten)]
        choice: Box<Choice>,
    },
    /// Try a selection without making a job: who is in, who is left out and why
    Try {
        /// linux or windows
        platform: String,
        #[command(flatten)]
        choice: Box<Choice>,
    },
    /// Show whom a free-standing job chooses now, who is left out and why
    Selection {
        /// Its number
        number: String,
    },
    /// Edit a draft or a disabled job
    Edit(Box<Edit>),
    /// Save a draft: the job is DISABLED, or ENABLED with --enable
    Save {
        /// Its number
        number: String,
        /// Enable it at once; only at creation
        #[arg(long)]
        enable: bool,
    },
    /// Let every agent say what the job would change; nothing is changed and the job does not start
    DryRun {
        /// Its number
        number: String,
        /// Wait until every agent has answered, an hour at most
        #[arg(long)]
        wait: bool,
        /// Show the last one instead of beginning another
        #[arg(long, conflicts_with = "wait")]
        last: bool,
    },
    /// Enable a job: it runs, now or at its time
    Enable {
        /// Its number
        number: String,
        /// Wait until it is over
        #[arg(long)]
        wait: bool,
    },
    /// Disable a job that has not started, or a recurring one between two runs
    Disable {
        /// Its number
        number: String,
    },
    /// Pause a job: nothing more of it starts, what runs ends
    Pause {
        /// Its number
        number: String,
    },
    /// Resume a paused job
    Resume {
        /// Its number
        number: String,
    },
    /// Run a job now: a scheduled one, or again one that has ended
    RunNow {
        /// Its number
        number: String,
        /// Wait until it is over
        #[arg(long)]
        wait: bool,
    },
    /// Run again what failed last
    Retry {
        /// Its number
        number: String,
        /// Wait until it is over
        #[arg(long)]
        wait: bool,
    },
    /// Make a draft with the same content
    Clone {
        /// Its number
        number: String,
    },
    /// Give a job to somebody else
    Owner {
        /// Its number
        number: String,
        /// Sign-in name of the new owner
        owner: String,
    },
    /// List a job's runs
    Runs {
        /// Its number
        number: String,
    },
    /// Show the next times of a job's schedule, or of one that is not saved, by zone of its assets
    Preview(Box<Preview>),
    /// Cancel a running job: nothing more starts
    Cancel {
        /// Its number
        number: String,
    },
    /// Delete a job that is not running
    Delete {
        /// Its number
        number: String,
    },
    /// List the tasks of a job's run with their results
    Tasks {
        /// Its number
        number: String,
        /// Of which run; the newest when absent
        #[arg(long)]
        run: Option<i64>,
    },
    /// Download the progress report: a line per asset, QID and mitigation; `-o csv` or `-o json` for the whole of it
    Report {
        /// Its number
        number: String,
        /// Which run, from 1; the newest when absent
        #[arg(long)]
        run: Option<i64>,
        /// Only lines with these action statuses: Pending, Running, Succeeded, Partial, Failed, Skipped
        #[arg(long, value_delimiter = ',')]
        status: Vec<String>,
        /// Only these columns of the CSV form
        #[arg(long, value_delimiter = ',')]
        columns: Vec<String>,
    },
    /// Show what a job means for each CVE
    Cves {
        /// Its number
        number: String,
    },
    /// Show or change how many days the evidence of ended runs is kept; 0 for ever
    Retention {
        /// Days, at least 7, or 0
        days: Option<i64>,
    },
    /// Show how a job's runs spread over its assets, and how far the waves came
    Progress {
        /// Its number
        number: String,
    },
    /// Change how a job's runs spread over its assets: waves, limits, when they halt
    Set(Box<super::rollout::Set>),
    /// Halt the run of a job: nothing starts that has no permit
    HaltRun {
        /// Its number
        number: String,
        /// Why; everybody who sees the job sees it
        reason: String,
    },
    /// Let a halted run go on
    ResumeRun {
        /// Its number
        number: String,
    },
    /// Open the next wave of a run, whatever its gate says
    Promote {
        /// Its number
        number: String,
    },
    /// Wait until a job is over
    Wait {
        /// Its number
        number: String,
    },
    /// Halt everything: nothing new starts anywhere
    Halt {
        /// Why; everybody sees it
        reason: String,
    },
    /// Lift the halt
    GoOn,
}

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
    fn selection(&self) -> Option<AssetSelection> {
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
    fn actions(&self) -> Option<ActionSelection> {
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
    number: String,
    /// Title
    #[arg(long)]
    title: Option<String>,
    /// Description
    #[arg(long)]
    description: Option<String>,
    /// The assets that remain, by key
    #[arg(long, value_delimiter = ',')]
    assets: Option<Vec<i64>>,
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
    /// Mail when execution starts
    #[arg(long)]
    mail_started: Option<bool>,
    /// Mail when this percentage of assets has reported; 0 for none
    #[arg(long)]
    mail_percent: Option<i64>,
    /// Co-authors, by sign-in name
    #[arg(long, value_delimiter = ',')]
    coauthors: Option<Vec<String>>,
    #[command(flatten)]
    after: After,
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
    fn schedule(self) -> Option<ScheduleBody> {
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
    number: String,
    #[command(flatten)]
    when: When,
    /// How many times, at most 50
    #[arg(long, default_value_t = 5)]
    times: i64,
}

/// One instant of a preview, as a row.
#[derive(serde::Serialize)]
struct PreviewRow {
    time: String,
    instant: ResolvedInstant,
}

const PREVIEW: &[Column<PreviewRow>] = &[
    ("TIME", |row| row.time.clone()),
    ("ZONE", |row| row.instant.zone.clone()),
    ("ASSETS", |row| row.instant.assets.to_string()),
    ("LOCAL", |row| row.instant.local.clone()),
    ("UTC", |row| row.instant.at.to_string()),
    ("WINDOW ENDS", |row| row.instant.window_end.map(|end| end.to_string()).unwrap_or_default()),
    ("NOTE", |row| row.instant.note.clone()),
];

const RUNS: &[Column<Run>] = &[
    ("RUN", |run| run.run.to_string()),
    ("STATE", |run| run.state.clone()),
    ("TIME", |run| run.time.clone().unwrap_or_default()),
    ("CAUSE", |run| run.cause.clone()),
    ("BY", |run| run.asked_by.clone()),
    ("DONE", |run| format!("{}/{}", run.tasks.total - run.tasks.open, run.tasks.total)),
    ("FAILED", |run| run.tasks.failed.to_string()),
    ("STARTED", |run| run.begun_at.map(|at| at.to_string()).unwrap_or_default()),
    ("ENDED", |run| run.ended_at.map(|at| at.to_string()).unwrap_or_default()),
];

const JOBS: &[Column<JobSummary>] = &[
    ("NUMBER", |job| job.number.clone()),
    ("STATUS", |job| job.status.clone()),
    ("KIND", |job| job.kind.clone()),
    ("PLATFORM", |job| job.platform.clone()),
    ("TITLE", |job| job.title.clone()),
    ("ASSETS", |job| job.assets.to_string()),
    ("DONE", |job| format!("{}/{}", job.tasks.total - job.tasks.open, job.tasks.total)),
    ("FAILED", |job| job.tasks.failed.to_string()),
    ("SCHEDULE", |job| job.schedule.clone()),
    ("OWNER", |job| job.owner.clone()),
];

const TASKS: &[Column<Task>] = &[
    ("ASSET", |task| task.asset_name.clone()),
    ("ENTRY", |task| task.entry.clone()),
    ("DOES", |task| task.kind.clone()),
    ("STATE", |task| task.state.clone()),
    ("CODE", |task| task.code.map(|code| code.to_string()).unwrap_or_default()),
    ("DETAIL", |task| task.detail.map(|code| code.to_string()).unwrap_or_default()),
    ("MESSAGE", |task| task.message.clone()),
];

const REPORT: &[Column<ReportLine>] = &[
    ("ASSET", |line| line.asset_name.clone()),
    ("QID", |line| line.qid.to_string()),
    ("MITIGATION", |line| line.mitigation_id.clone()),
    ("ACTION", |line| line.action_status.clone()),
    ("CODE", |line| match (line.return_code, line.mitigation_return_code) {
        (Some(code), Some(detail)) if code != detail => format!("{code}/{detail}"),
        (Some(code), _) => code.to_string(),
        (None, _) => String::new(),
    }),
    ("REASON", |line| line.mitigation_reason.clone()),
    ("STATUS", |line| line.mitigation_status.clone()),
    ("SCORE", |line| match (line.score_before, line.score_after) {
        (Some(before), Some(after)) if before != after => format!("{before} -> {after}"),
        (_, after) => after.map(|score| score.to_string()).unwrap_or_default(),
    }),
];

const CVES: &[Column<JobCve>] = &[
    ("CVE", |cve| cve.cve.clone()),
    ("QIDS", |cve| cve.qids.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")),
    ("ASSETS", |cve| cve.assets.to_string()),
    ("MITIGATED", |cve| cve.mitigated.to_string()),
    ("PARTLY", |cve| cve.partly.to_string()),
    ("NOT", |cve| cve.not.to_string()),
    ("POINTS", |cve| cve.points.to_string()),
    ("SCORE", |cve| format!("{} -> {}", cve.inherent, cve.residual)),
];

const ELIMINATIONS: &[Column<Elimination>] = &[
    ("QID", |e| e.qid.to_string()),
    ("ENTRY", |e| e.entry.clone()),
    ("TITLE", |e| e.title.clone()),
    ("PLATFORM", |e| e.platform.clone()),
    ("DOES", |e| e.implication.clone()),
    ("RISK", |e| e.risk.clone()),
    ("COVERS", |e| {
        let covers = e.covers.iter().map(|c| format!("{} {} -{}", c.cve, c.coverage, c.points).trim().to_owned());
        covers.collect::<Vec<_>>().join("; ")
    }),
];

const ASSETS: &[Column<EliminationAsset>] = &[
    ("ASSET", |asset| asset.id.to_string()),
    ("NAME", |asset| asset.name.clone()),
    ("ADDRESS", |asset| asset.ip.clone()),
    ("QID", |asset| asset.qid.to_string()),
    ("SCORE", |asset| asset.residual.to_string()),
    ("MITIGATION", |asset| asset.mitigation.clone()),
    ("CAN BE CHOSEN", |asset| if asset.selectable { "yes".to_owned() } else { format!("no: {}", asset.reason) }),
];

const SELECTED: &[Column<SelectedAsset>] = &[
    ("ASSET", |asset| asset.id.to_string()),
    ("NAME", |asset| asset.name.clone()),
    ("ADDRESS", |asset| asset.ip.clone()),
    ("QIDS", |asset| asset.qids.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")),
    ("IN", |asset| if asset.why.is_empty() { "yes".to_owned() } else { format!("no: {}", asset.why) }),
];

/// Who is in, then who is left out and why.
fn selected(format: Format, body: &SelectionBody) -> Result<(), Failure> {
    if format == Format::Json {
        return output::json(body);
    }
    let all: Vec<SelectedAsset> = body.assets.iter().chain(&body.others).cloned().collect();
    output::list(format, &all, SELECTED)?;
    note(&format!("{} in, {} left out", body.chosen, body.left_out));
    for line in &body.notes {
        note(line);
    }
    if let Some(line) = &body.install {
        note(&format!("an agent is missing on some; install it there: {line}"));
    }
    Ok(())
}

/// Run a command.
///
/// # Errors
/// [`Failure`] of the server.
pub async fn run(command: Command, context: &Context) -> Result<(), Failure> {
    let client = context.client()?;
    match command {
        Command::Eliminations { qids } => eliminations(&client, &qids, context.format).await,
        Command::List(list) => {
            let jobs = client.list(&path(&["jobs"]), &list, |body: JobsBody| (body.jobs, body.next)).await?;
            output::list(context.format, &jobs, JOBS)
        }
        Command::Show { number } => show(context.format, &read(&client, &number).await?),
        Command::Create { qids, assets, platform, title, description, rollback } => {
            let select = |qid| JobSelection { qid, assets: assets.clone() };
            let kind = if rollback { "rollback" } else { "mitigation" }.to_owned();
            let vulnerabilities = qids.into_iter().map(select).collect();
            let new = NewJob { kind, platform, vulnerabilities, title, description, ..NewJob::default() };
            let made: JobBody = client.post(&path(&["jobs"]), &new).await?;
            show(context.format, &made.job)
        }
        Command::New { platform, title, description, choice } => {
            let (selection, choose) = (choice.selection(), choice.actions());
            let new = NewJob { platform: Some(platform), selection, choose, title, description, ..NewJob::default() };
            let made: JobBody = client.post(&path(&["jobs"]), &new).await?;
            show(context.format, &made.job)
        }
        Command::Try { platform, choice } => {
            let selection = choice.selection().unwrap_or_default();
            let trial = SelectionTrial { platform, selection, choose: choice.actions() };
            selected(context.format, &client.post(&path(&["selection"]), &trial).await?)
        }
        Command::Selection { number } => {
            selected(context.format, &client.get(&path(&["jobs", &number, "selection"]), &[]).await?)
        }
        Command::Edit(edit) => {
            let number = edit.number.clone();
            let version = read(&client, &number).await?.version;
            let tag = format!("\"v{version}\"");
            let edited: JobBody = client.patch(&path(&["jobs", &number]), &patch(*edit), Some(&tag)).await?;
            show(context.format, &edited.job)
        }
        Command::Save { number, enable } => {
            let saved: JobBody = client.post(&path(&["jobs", &number, "save"]), &JobSave { enable }).await?;
            show(context.format, &saved.job)
        }
        Command::Enable { number, wait: waiting } => {
            act(&client, &number, "enable", context.format).await?;
            if waiting { wait(&client, &number, context.format).await } else { Ok(()) }
        }
        Command::DryRun { number, wait, last } => {
            super::dry_run::run(&client, context.format, &number, wait, last).await
        }
        Command::Disable { number } => act(&client, &number, "disable", context.format).await,
        Command::Pause { number } => act(&client, &number, "pause", context.format).await,
        Command::Resume { number } => act(&client, &number, "resume", context.format).await,
        Command::RunNow { number, wait: waiting } => {
            act(&client, &number, "run", context.format).await?;
            if waiting { wait(&client, &number, context.format).await } else { Ok(()) }
        }
        Command::Retry { number, wait: waiting } => {
            act(&client, &number, "retry", context.format).await?;
            if waiting { wait(&client, &number, context.format).await } else { Ok(()) }
        }
        Command::Clone { number } => act(&client, &number, "clone", context.format).await,
        Command::Owner { number, owner } => {
            let changed: JobBody = client.put(&path(&["jobs", &number, "owner"]), &OwnerRequest { owner }).await?;
            show(context.format, &changed.job)
        }
        Command::Runs { number } => {
            let runs: RunsBody = client.get(&path(&["jobs", &number, "runs"]), &[]).await?;
            output::list(context.format, &runs.runs, RUNS)
        }
        Command::Preview(wanted) => preview(&client, *wanted, context.format).await,
        Command::Cancel { number } => act(&client, &number, "cancel", context.format).await,
        Command::Delete { number } => {
            client.delete(&path(&["jobs", &number])).await?;
            note(&format!("{number} is deleted"));
            Ok(())
        }
        Command::Tasks { number, run } => {
            let run: Vec<(&str, String)> = run.iter().map(|run| ("run", run.to_string())).collect();
            let tasks: TasksBody = client.get(&path(&["jobs", &number, "tasks"]), &run).await?;
            output::list(context.format, &tasks.tasks, TASKS)
        }
        Command::Report { number, run, status, columns } => {
            let wanted = [
                ("run", run.map(|run| run.to_string()).unwrap_or_default()),
                ("status", status.join(",")),
                ("columns", columns.join(",")),
            ];
            report(&client, &number, wanted.into_iter().filter(|(_, value)| !value.is_empty()), context.format).await
        }
        Command::Cves { number } => {
            let found: JobCvesBody = client.get(&path(&["jobs", &number, "cves"]), &[]).await?;
            output::list(context.format, &found.cves, CVES)
        }
        Command::Retention { days } => retention(&client, days, context.format).await,
        Command::Progress { number } => super::rollout::show(&client, &number, context.format).await,
        Command::Set(set) => super::rollout::set(&client, *set, context.format).await,
        Command::HaltRun { number, reason } => {
            super::rollout::act(&client, &number, "halt", Some(reason), context.format).await
        }
        Command::ResumeRun { number } => super::rollout::act(&client, &number, "resume", None, context.format).await,
        Command::Promote { number } => super::rollout::act(&client, &number, "promote", None, context.format).await,
        Command::Wait { number } => wait(&client, &number, context.format).await,
        Command::Halt { reason } => halt(&client, HaltRequest { halted: true, reason }, context.format).await,
        Command::GoOn => halt(&client, HaltRequest::default(), context.format).await,
    }
}

/// The report in the form of its own: CSV and JSON as the server writes them, a table of what matters for people.
async fn report(
    client: &Client,
    number: &str,
    wanted: impl Iterator<Item = (&'static str, String)>,
    format: Format,
) -> Result<(), Failure> {
    let mut query: Vec<(&str, String)> = wanted.collect();
    let place = path(&["jobs", number, "report"]);
    if format == Format::Csv {
        query.push(("format", "csv".to_owned()));
        return client.copy(&place, &query).await;
    }
    let report: ReportBody = client.get(&place, &query).await?;
    if format == Format::Json {
        return output::json(&report);
    }
    output::list(format, &report.lines, REPORT)
}

async fn retention(client: &Client, days: Option<i64>, format: Format) -> Result<(), Failure> {
    let place = path(&["settings", "retention"]);
    let RetentionBody { retention } = match days {
        None => client.get(&place, &[]).await?,
        Some(days) => client.put(&place, &RetentionRequest { days }).await?,
    };
    let kept = if retention.days == 0 { "for ever".to_owned() } else { format!("{} days", retention.days) };
    let fields = [("kept", kept), ("default", format!("{} days", retention.default_days))];
    output::record(format, &retention, &fields)
}

async fn read(client: &Client, number: &str) -> Result<Job, Failure> {
    client.get::<JobBody>(&path(&["jobs", number]), &[]).await.map(|body| body.job)
}

async fn eliminations(client: &Client, qids: &[i64], format: Format) -> Result<(), Failure> {
    let qids: Vec<String> = qids.iter().map(ToString::to_string).collect();
    let found: EliminationsBody = client.get(&path(&["eliminations"]), &[("qid", qids.join(","))]).await?;
    if format == Format::Json {
        return output::json(&found);
    }
    output::list(format, &found.eliminations, ELIMINATIONS)?;
    for said in &found.no_sound_mitigation {
        note(&format!("QID {}: {} {}", said.qid, said.statement.sentence, said.statement.url));
    }
    output::line("")?;
    output::list(format, &found.assets, ASSETS)
}

async fn act(client: &Client, number: &str, act: &str, format: Format) -> Result<(), Failure> {
    let nothing = serde_json::Map::<String, serde_json::Value>::new();
    let done: JobBody = client.post(&path(&["jobs", number, act]), &nothing).await?;
    show(format, &done.job)
}

async fn preview(client: &Client, wanted: Preview, format: Format) -> Result<(), Failure> {
    let request = PreviewRequest { schedule: wanted.when.schedule(), times: Some(wanted.times) };
    let found: PreviewBody = client.post(&path(&["jobs", &wanted.number, "preview"]), &request).await?;
    if format == Format::Json {
        return output::json(&found);
    }
    note(&found.words);
    let rows: Vec<PreviewRow> = found
        .times
        .into_iter()
        .flat_map(|time| {
            let civil = time.time;
            time.instants.into_iter().map(move |instant| PreviewRow { time: civil.clone(), instant })
        })
        .collect();
    output::list(format, &rows, PREVIEW)
}

async fn halt(client: &Client, request: HaltRequest, format: Format) -> Result<(), Failure> {
    let halt: HaltBody = client.put(&path(&["halt"]), &request).await?;
    let fields = [("halted", halt.halted.to_string()), ("reason", halt.reason.clone()), ("by", halt.by.clone())];
    output::record(format, &halt, &fields)
}

fn patch(edit: Edit) -> JobPatch {
    JobPatch {
        title: edit.title,
        description: edit.description,
        assets: edit.assets,
        selection: edit.choice.selection(),
        choose: edit.choice.actions(),
        actions: None,
        schedule: edit.when.schedule(),
        recipients: edit.recipients,
        mail_started: edit.mail_started,
        mail_percent: edit.mail_percent,
        coauthors: edit.coauthors,
        standing: edit.standing,
        after: edit.after.body(),
        rollout: None,
    }
}

fn show(format: Format, job: &Job) -> Result<(), Failure> {
    let summary = &job.summary;
    let tasks = &summary.tasks;
    let assets: Vec<String> = job.assets.iter().map(|asset| format!("{} ({})", asset.name, asset.id)).collect();
    let actions: Vec<String> = job.actions.iter().map(|action| format!("{}: {}", action.qid, action.entry)).collect();
    let fields = [
        ("number", summary.number.clone()),
        ("status", if summary.paused { format!("{}, paused", summary.status) } else { summary.status.clone() }),
        ("title", summary.title.clone()),
        ("kind", format!("{} on {}", summary.kind, summary.platform)),
        ("schedule", summary.schedule.clone()),
        ("next run", job.next_time.clone().unwrap_or_default()),
        ("owner", summary.owner.clone()),
        ("assets", assets.join(", ")),
        ("actions", actions.join(", ")),
        (
            "tasks",
            format!(
                "{} of {} open, {} succeeded, {} failed, {} skipped",
                tasks.open, tasks.total, tasks.succeeded, tasks.failed, tasks.skipped
            ),
        ),
    ];
    output::record(format, job, &fields)
}

/// Look at a job until it is over.
async fn wait(client: &Client, number: &str, format: Format) -> Result<(), Failure> {
    loop {
        let job = read(client, number).await?;
        // A recurring job is over only with its schedule: here its run is.
        if job.summary.ended_at.is_some() || (job.next_time.is_some() && job.summary.tasks.open == 0) {
            return show(format, &job);
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}

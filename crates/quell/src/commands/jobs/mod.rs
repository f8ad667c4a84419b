//! `quell jobs`: mitigation jobs from eliminations to results, and the global halt.

mod arguments;
mod results;
mod show;
mod tables;
mod wait;

use super::Context;
use crate::client::{Client, ListArguments, path};
use crate::failure::Failure;
use crate::output::{self, Format, note};
use arguments::{Choice, Edit, Preview};
use protocol::api::response::{
    EliminationsBody, HaltBody, HaltRequest, Job, JobBody, JobCvesBody, JobHistoryBody, JobSave, JobSelection,
    JobsBody, NewJob, OwnerRequest, PreviewBody, PreviewRequest, RunsBody, TasksBody,
};
use protocol::api::selection::{SelectedAsset, SelectionBody, SelectionTrial};
use show::{made, show};
use tables::{ASSETS, CVES, ELIMINATIONS, HISTORY, JOBS, PREVIEW, PreviewRow, RUNS, SELECTED, TASKS};
use wait::wait;

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
        /// Make one draft for each platform that the assets run
        #[arg(long)]
        each_platform: bool,
        /// Do these catalogue entries instead of the best ones, for the QIDs that they cover; with --rollback take back only these
        #[arg(long = "entry", value_name = "ENTRY", value_delimiter = ',')]
        entries: Vec<String>,
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
        /// Wait until it is over, or cannot go on by itself (exit code 7)
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
        /// Wait until it is over, or cannot go on by itself (exit code 7)
        #[arg(long)]
        wait: bool,
    },
    /// Run again what failed last
    Retry {
        /// Its number
        number: String,
        /// Wait until it is over, or cannot go on by itself (exit code 7)
        #[arg(long)]
        wait: bool,
    },
    /// Make a draft with the same content
    Clone {
        /// Its number
        number: String,
    },
    /// Make a draft that rolls back what this job put in place
    Rollback {
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
    /// Show what people and agents did with a job, newest first; `-q "what:run"`
    History {
        /// Its number
        number: String,
        #[command(flatten)]
        list: ListArguments,
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
        /// Condition in the query language: `is:failed`, `asset:web-1`
        #[arg(short, long, default_value = "", value_name = "QUERY")]
        query: String,
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
    /// Wait until a job is over, or cannot go on by itself (exit code 7)
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
        Command::Show { number } => show(&client, context.format, &read(&client, &number).await?).await,
        Command::Create { qids, assets, platform, each_platform, entries, title, description, rollback } => {
            let select = |qid| JobSelection { qid, assets: assets.clone() };
            let kind = if rollback { "rollback" } else { "mitigation" }.to_owned();
            let vulnerabilities = qids.into_iter().map(select).collect();
            let new = NewJob {
                kind,
                platform,
                each_platform,
                vulnerabilities,
                entries,
                title,
                description,
                ..NewJob::default()
            };
            let body: JobBody = client.post(&path(&["jobs"]), &new).await?;
            made(&client, context.format, &body.job).await
        }
        Command::New { platform, title, description, choice } => {
            let (selection, choose) = (choice.selection(), choice.actions());
            let new = NewJob { platform: Some(platform), selection, choose, title, description, ..NewJob::default() };
            let body: JobBody = client.post(&path(&["jobs"]), &new).await?;
            made(&client, context.format, &body.job).await
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
            let present = read(&client, &number).await?;
            let tag = format!("\"v{}\"", present.version);
            let patch = edit.patch(&present)?;
            let edited: JobBody = client.patch(&path(&["jobs", &number]), &patch, Some(&tag)).await?;
            show(&client, context.format, &edited.job).await
        }
        Command::Save { number, enable } => {
            let saved: JobBody = client.post(&path(&["jobs", &number, "save"]), &JobSave { enable }).await?;
            show(&client, context.format, &saved.job).await
        }
        Command::Enable { number, wait } => begin(&client, &number, "enable", wait, context.format).await,
        Command::DryRun { number, wait, last } => {
            super::dry_run::run(&client, context.format, &number, wait, last).await
        }
        Command::Disable { number } => act(&client, &number, "disable", context.format).await,
        Command::Pause { number } => act(&client, &number, "pause", context.format).await,
        Command::Resume { number } => act(&client, &number, "resume", context.format).await,
        Command::RunNow { number, wait } => begin(&client, &number, "run", wait, context.format).await,
        Command::Retry { number, wait } => begin(&client, &number, "retry", wait, context.format).await,
        Command::Clone { number } => act(&client, &number, "clone", context.format).await,
        Command::Rollback { number } => {
            let nothing = serde_json::Map::<String, serde_json::Value>::new();
            let body: JobBody = client.post(&path(&["jobs", &number, "rollback"]), &nothing).await?;
            made(&client, context.format, &body.job).await
        }
        Command::History { number, list } => {
            let parts = |body: JobHistoryBody| (body.events, body.next);
            let events = client.list(&path(&["jobs", &number, "history"]), &list, parts).await?;
            output::list(context.format, &events, HISTORY)
        }
        Command::Owner { number, owner } => {
            let changed: JobBody = client.put(&path(&["jobs", &number, "owner"]), &OwnerRequest { owner }).await?;
            show(&client, context.format, &changed.job).await
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
        Command::Tasks { number, run, query } => {
            let run = run.map(|run| format!("?run={run}")).unwrap_or_default();
            let place = path(&["jobs", &number, "tasks"]) + &run;
            // A task that is left out is one whose failure nobody sees: every page is read.
            let every = ListArguments { query, all: true, ..ListArguments::default() };
            let tasks = client.list(&place, &every, |body: TasksBody| (body.tasks, body.next)).await?;
            output::list(context.format, &tasks, TASKS)
        }
        Command::Report { number, run, status, columns } => {
            let wanted = [
                ("run", run.map(|run| run.to_string()).unwrap_or_default()),
                ("status", status.join(",")),
                ("columns", columns.join(",")),
            ];
            results::report(&client, &number, wanted.into_iter().filter(|(_, value)| !value.is_empty()), context.format)
                .await
        }
        Command::Cves { number } => {
            let found: JobCvesBody = client.get(&path(&["jobs", &number, "cves"]), &[]).await?;
            output::list(context.format, &found.cves, CVES)
        }
        Command::Retention { days } => results::retention(&client, days, context.format).await,
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
    show(client, format, &done(client, number, act).await?).await
}

async fn done(client: &Client, number: &str, act: &str) -> Result<Job, Failure> {
    let nothing = serde_json::Map::<String, serde_json::Value>::new();
    let done: JobBody = client.post(&path(&["jobs", number, act]), &nothing).await?;
    Ok(done.job)
}

/// Set a job in motion and show it: as it is then, or once it is over.
async fn begin(client: &Client, number: &str, act: &str, waiting: bool, format: Format) -> Result<(), Failure> {
    let job = done(client, number, act).await?;
    if waiting { wait(client, number, format).await } else { show(client, format, &job).await }
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

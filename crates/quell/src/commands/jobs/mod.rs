//! `quell jobs`: mitigation jobs from eliminations to results, and the global halt.

mod arguments;
mod results;
mod tables;

use super::Context;
use crate::client::{Client, ListArguments, path};
use crate::failure::Failure;
use crate::output::{self, Format, note};
use arguments::{Choice, Edit, Preview};
use protocol::api::response::{
    EliminationsBody, HaltBody, HaltRequest, Job, JobBody, JobCvesBody, JobSave, JobSelection, JobsBody, NewJob,
    OwnerRequest, PreviewBody, PreviewRequest, RunsBody, TasksBody,
};
use protocol::api::selection::{SelectedAsset, SelectionBody, SelectionTrial};
use std::time::Duration;
use tables::{ASSETS, CVES, ELIMINATIONS, JOBS, PREVIEW, PreviewRow, RUNS, SELECTED, TASKS};

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
            let edited: JobBody = client.patch(&path(&["jobs", &number]), &edit.patch(), Some(&tag)).await?;
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
        ("co-authors", job.coauthors.join(", ")),
        ("standing", if job.standing { "targets are chosen anew at each run" } else { "no" }.to_owned()),
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

//! `quell tasks`: remediation tasks, their items, states and notes.

use super::Context;
use crate::client::{Client, ListArguments, path};
use crate::failure::Failure;
use crate::output::{self, Column, Format, note};
use protocol::api::exposure::{ItemHistoryLine, StateChange};
use protocol::api::tasks::{
    NewNote, NewRemediationTasks, Note, NoteBody, NotesBody, RemediationTask, RemediationTaskAssignment,
    RemediationTaskBody, RemediationTaskChange, RemediationTaskHistoryBody, RemediationTaskItems, RemediationTaskSplit,
    RemediationTaskSplitBody, RemediationTaskWhyBody, RemediationTasksBody, RemediationTasksMadeBody,
};

/// What can be done with remediation tasks.
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// List tasks; `-q "is:open and assignee:me"`
    List(ListArguments),
    /// Show a task; its items are `quell items list -q task:VUL0000001`
    Show {
        /// Its number, VUL0000001
        number: String,
    },
    /// Make tasks of items
    Create {
        /// Numbers of the items, VIT0000001
        #[arg(value_delimiter = ',', required_unless_present = "matching", conflicts_with = "matching")]
        items: Vec<String>,
        /// Instead: all items that match now, in the query language of items
        #[arg(long, value_name = "QUERY")]
        matching: Option<String>,
        /// How the items are grouped
        #[arg(long, default_value = "none", value_parser = ["none", "group", "group_asset", "group_vulnerability", "group_band"])]
        group_by: String,
        /// What is done with items that are in an open task already
        #[arg(long, default_value = "skip", value_parser = ["skip", "move", "keep"])]
        existing: String,
        /// Title, before what the items of a task share
        #[arg(long, default_value = "")]
        title: String,
        /// Description
        #[arg(long, default_value = "")]
        description: String,
        /// Sign-in name of who gets the tasks
        #[arg(long)]
        to: Option<String>,
        /// Name of the group that gets them
        #[arg(long)]
        group: Option<String>,
    },
    /// Give it to a person, a group, both or nobody
    Assign {
        /// Its number, VUL0000001
        number: String,
        /// Sign-in name
        #[arg(long)]
        to: Option<String>,
        /// Name of a group
        #[arg(long)]
        group: Option<String>,
        /// Why; needed where nobody has it afterwards
        #[arg(long, default_value = "")]
        note: String,
    },
    /// Change its state, and by it of its items
    State {
        /// Its number, VUL0000001
        number: String,
        /// open, under_investigation, awaiting_implementation or resolved
        state: String,
    },
    /// Change its title or description
    Edit {
        /// Its number, VUL0000001
        number: String,
        /// Title
        #[arg(long, required_unless_present = "description")]
        title: Option<String>,
        /// Description
        #[arg(long)]
        description: Option<String>,
    },
    /// Put some of its open items into a new task
    Split {
        /// Its number, VUL0000001
        number: String,
        /// Numbers of the items that go, VIT0000001
        #[arg(value_delimiter = ',', required_unless_present = "matching", conflicts_with = "matching")]
        items: Vec<String>,
        /// Instead: its items that match, in the query language of items
        #[arg(long, value_name = "QUERY")]
        matching: Option<String>,
        /// Title of the new task
        #[arg(long, default_value = "")]
        title: String,
        /// Sign-in name of who gets it
        #[arg(long)]
        to: Option<String>,
        /// Name of the group that gets it
        #[arg(long)]
        group: Option<String>,
    },
    /// Put open items into it
    Add {
        /// Its number, VUL0000001
        number: String,
        /// Numbers of the items, VIT0000001
        #[arg(value_delimiter = ',', required = true)]
        items: Vec<String>,
    },
    /// Take items out of it
    Remove {
        /// Its number, VUL0000001
        number: String,
        /// Numbers of the items, VIT0000001
        #[arg(value_delimiter = ',', required = true)]
        items: Vec<String>,
    },
    /// Delete an empty task
    Delete {
        /// Its number, VUL0000001
        number: String,
    },
    /// Show why it is in its state, and what would change it
    Why {
        /// Its number, VUL0000001
        number: String,
    },
    /// Show what happened to it
    History {
        /// Its number, VUL0000001
        number: String,
    },
    /// Show the notes about it, or about an item or exception
    Notes {
        /// A number: VUL0000001, VIT0000001 or VCA0000001
        number: String,
    },
    /// Write a note about it, or about an item or exception; it cannot be changed afterwards
    Note {
        /// A number: VUL0000001, VIT0000001 or VCA0000001
        number: String,
        /// What
        text: String,
    },
}

const COLUMNS: &[Column<RemediationTask>] = &[
    ("NUMBER", |task| task.number.clone()),
    ("TITLE", |task| task.title.clone()),
    ("STATE", |task| match task.substate.as_str() {
        "" => task.state.clone(),
        substate => format!("{}/{substate}", task.state),
    }),
    ("OPEN ITEMS", |task| format!("{} of {}", task.open_items, task.items)),
    ("SCORE", |task| task.score.map(|score| score.to_string()).unwrap_or_default()),
    ("ASSIGNED TO", |task| [&task.assignee, &task.group].into_iter().flatten().cloned().collect::<Vec<_>>().join(", ")),
    ("DUE", |task| task.due_at.map(|due| due.to_string()).unwrap_or_default()),
];

const HISTORY: &[Column<ItemHistoryLine>] = &[
    ("AT", |line| line.at.to_string()),
    ("WHAT", |line| line.what.clone()),
    ("BEFORE", |line| line.before.clone()),
    ("AFTER", |line| line.after.clone()),
    ("CAUSE", |line| line.cause.clone()),
];

const NOTES: &[Column<Note>] =
    &[("AT", |note| note.at.to_string()), ("BY", |note| note.author.clone()), ("NOTE", |note| note.text.clone())];

/// The path of the notes about the record of a number.
fn notes(number: &str) -> Result<String, Failure> {
    let kind = match number.to_ascii_uppercase() {
        upper if upper.starts_with("VUL") => "tasks",
        upper if upper.starts_with("VIT") => "items",
        upper if upper.starts_with("VCA") => "exceptions",
        _ => return Err(Failure::Said(format!("{number} is no number of a task, an item or an exception"))),
    };
    Ok(path(&["notes", kind, number]))
}

async fn hold(client: &Client, number: &str, change: &RemediationTaskItems) -> Result<RemediationTaskBody, Failure> {
    client.post(&path(&["tasks", number, "items"]), change).await
}

/// Run a command.
///
/// # Errors
/// [`Failure`] of the server.
pub async fn run(command: Command, context: &Context) -> Result<(), Failure> {
    let (client, format) = (context.client()?, context.format);
    let of = |number: &str, verb: &str| path(&["tasks", number, verb]);
    let shown: RemediationTaskBody = match command {
        Command::List(list) => {
            let rows =
                client.list(&path(&["tasks"]), &list, |body: RemediationTasksBody| (body.tasks, body.next)).await?;
            return output::list(format, &rows, COLUMNS);
        }
        Command::Create { items, matching, group_by, existing, title, description, to, group } => {
            let new =
                NewRemediationTasks { items, q: matching, group_by, existing, title, description, assignee: to, group };
            let made: RemediationTasksMadeBody = client.post(&path(&["tasks"]), &new).await?;
            let fields = [
                ("TASKS", made.tasks.join(" ")),
                ("ITEMS", made.items.to_string()),
                ("LEFT OUT", made.skipped.to_string()),
            ];
            return output::record(format, &made, &fields);
        }
        Command::Split { number, items, matching, title, to, group } => {
            let split = RemediationTaskSplit { items, q: matching, title, assignee: to, group };
            let done: RemediationTaskSplitBody = client.post(&of(&number, "split"), &split).await?;
            let fields = [("NEW TASK", done.new.clone()), ("OPEN ITEMS LEFT", done.task.open_items.to_string())];
            return output::record(format, &done, &fields);
        }
        Command::Delete { number } => {
            client.delete(&path(&["tasks", &number])).await?;
            note(&format!("deleted {number}"));
            return Ok(());
        }
        Command::Why { number } => {
            let body: RemediationTaskWhyBody = client.get(&of(&number, "why"), &[]).await?;
            let mut fields = vec![("STATE", body.state.clone())];
            fields.extend(body.why.iter().map(|why| ("WHY", why.clone())));
            return output::record(format, &body, &fields);
        }
        Command::History { number } => {
            let body: RemediationTaskHistoryBody = client.get(&of(&number, "history"), &[]).await?;
            return output::list(format, &body.history, HISTORY);
        }
        Command::Notes { number } => {
            let body: NotesBody = client.get(&notes(&number)?, &[]).await?;
            return output::list(format, &body.notes, NOTES);
        }
        Command::Note { number, text } => {
            let body: NoteBody = client.post(&notes(&number)?, &NewNote { text }).await?;
            return output::list(format, &[body.note], NOTES);
        }
        Command::Show { number } => client.get(&path(&["tasks", &number]), &[]).await?,
        Command::Assign { number, to, group, note } => {
            let given = RemediationTaskAssignment { assignee: to, group, note };
            client.post(&of(&number, "assignment"), &given).await?
        }
        Command::State { number, state } => client.post(&of(&number, "state"), &StateChange { state }).await?,
        Command::Edit { number, title, description } => {
            client.patch(&path(&["tasks", &number]), &RemediationTaskChange { title, description }, None).await?
        }
        Command::Add { number, items } => {
            hold(&client, &number, &RemediationTaskItems { add: items, remove: Vec::new() }).await?
        }
        Command::Remove { number, items } => {
            hold(&client, &number, &RemediationTaskItems { add: Vec::new(), remove: items }).await?
        }
    };
    show(format, &shown)
}

fn show(format: Format, body: &RemediationTaskBody) -> Result<(), Failure> {
    let task = &body.task;
    let mut fields: Vec<(&str, String)> = COLUMNS.iter().map(|(name, show)| (*name, show(task))).collect();
    fields.push(("DESCRIPTION", task.description.clone()));
    fields.push(("MADE", format!("{} by {}", task.created_at, task.created_by)));
    fields.extend(task.rule.iter().map(|rule| ("RULE", rule.clone())));
    fields.extend(task.effort.iter().map(|effort| ("EFFORT", effort.clone())));
    fields.extend(task.due_met.iter().map(|met| ("IN TIME", if met == "met" { "yes" } else { "no" }.to_owned())));
    fields.extend(task.split_from.iter().map(|from| ("SPLIT FROM", from.clone())));
    fields.extend(task.deferred_until.map(|until| ("DEFERRED UNTIL", until.to_string())));
    fields.extend(task.closed_at.map(|at| ("CLOSED", at.to_string())));
    output::record(format, body, &fields)
}

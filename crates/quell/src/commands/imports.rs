//! `quell imports`: import runs.

use super::Context;
use crate::client::{ListArguments, path};
use crate::failure::Failure;
use crate::output::{self, Column};
use protocol::api::integrations::{
    Import, ImportBody, ImportCount, ImportStep, ImportTrouble, ImportTroublesBody, ImportsBody,
};

/// What can be done with import runs.
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// List imports, newest first
    List(ListArguments),
    /// Show an import
    Show {
        /// Its number, VINTRUN0000001
        number: String,
    },
    /// Wait for the end of an import
    Wait {
        /// Its number, VINTRUN0000001
        number: String,
    },
    /// List what is wrong with imports: failed, too long, held up, refused sign-in
    Troubles,
    /// Cancel an import: one that waits ends at once, one at work at its next page
    Cancel {
        /// Its number, VINTRUN0000001
        number: String,
    },
    /// Write the rows that an import could not use to standard output, at most 10,000
    Rejected {
        /// Its number, VINTRUN0000001
        number: String,
        /// csv or json
        #[arg(long, default_value = "csv", value_parser = ["csv", "json"])]
        format: String,
    },
}

const COLUMNS: &[Column<Import>] = &[
    ("NUMBER", |run| run.number.clone()),
    ("INSTANCE", |run| run.instance.clone()),
    ("KIND", |run| run.kind.clone()),
    ("STATE", |run| run.state.clone()),
    ("NEW", |run| run.counters.detections.new.to_string()),
    ("UPDATED", |run| run.counters.detections.updated.to_string()),
    ("UNCHANGED", |run| run.counters.detections.unchanged.to_string()),
    ("STARTED", |run| run.started_at.to_string()),
    ("DETAIL", |run| run.detail.clone()),
];

const TROUBLES: &[Column<ImportTrouble>] = &[
    ("INSTANCE", |trouble| trouble.instance.clone()),
    ("KIND", |trouble| trouble.kind.clone()),
    ("WHAT", |trouble| trouble.what.clone()),
    ("SINCE", |trouble| trouble.since_at.to_string()),
    ("IMPORT", |trouble| trouble.import.clone().unwrap_or_default()),
    ("DETAIL", |trouble| trouble.detail.clone()),
];

/// Run a command.
///
/// # Errors
/// [`Failure`] of the server.
pub async fn run(command: Command, context: &Context) -> Result<(), Failure> {
    let client = context.client()?;
    match command {
        Command::List(list) => {
            let parts = |body: ImportsBody| (body.imports, body.next);
            let runs = client.list(&path(&["imports"]), &list, parts).await?;
            output::list(context.format, &runs, COLUMNS)
        }
        Command::Show { number } => {
            let shown: ImportBody = client.get(&path(&["imports", &number]), &[]).await?;
            let mut lines = fields(&shown.import);
            lines.extend(shown.steps.iter().map(|step| ("step", step_line(step))));
            for rejection in &shown.rejections {
                let line = rejection.line.map(|line| format!(" (line {line})")).unwrap_or_default();
                lines.push(("not usable", format!("{}{line}: {}", rejection.what, rejection.reason)));
            }
            output::record(context.format, &shown, &lines)
        }
        Command::Wait { number } => {
            let ended = super::import::wait(&client, &number).await?;
            output::record(context.format, &ended, &fields(&ended))?;
            if ended.state == "complete" {
                return Ok(());
            }
            Err(Failure::Said(format!("the import failed: {}", ended.detail)))
        }
        Command::Troubles => {
            let ImportTroublesBody { troubles } = client.get(&path(&["imports", "troubles"]), &[]).await?;
            output::list(context.format, &troubles, TROUBLES)
        }
        Command::Cancel { number } => {
            let at = path(&["imports", &number, "cancel"]);
            let ImportBody { import, .. } = client.post(&at, &serde_json::json!({})).await?;
            output::record(context.format, &import, &fields(&import))
        }
        Command::Rejected { number, format } => {
            client.copy(&path(&["imports", &number, "rejections"]), &[("format", format)]).await
        }
    }
}

/// A step in a line.
fn step_line(step: &ImportStep) -> String {
    let ImportStep { name, pages, rows, asked_ms, merged_ms, .. } = step;
    let end = if step.ended_at.is_some() { "" } else { ", not to its end" };
    format!("{name}: {pages} pages, {rows} rows, {asked_ms} ms waited for the platform, {merged_ms} ms merged{end}")
}

/// A run as names and values.
pub fn fields(import: &Import) -> Vec<(&'static str, String)> {
    let counters = &import.counters;
    let count = |count: &ImportCount| {
        let ImportCount { new, updated, unchanged, ignored, rejected } = count;
        format!("{new} new, {updated} updated, {unchanged} unchanged, {ignored} ignored, {rejected} rejected")
    };
    let items = &counters.items;
    vec![
        ("import", import.number.clone()),
        ("instance", import.instance.clone()),
        ("kind", import.kind.clone()),
        ("state", import.state.clone()),
        ("detail", import.detail.clone()),
        ("host rows", count(&counters.hosts)),
        ("detection rows", count(&counters.detections)),
        ("vulnerability rows", count(&counters.vulnerabilities)),
        ("new assets", counters.assets_new.to_string()),
        (
            "items",
            format!(
                "{} new, {} updated, {} closed, {} reopened",
                items.new, items.updated, items.closed, items.reopened
            ),
        ),
        ("started", import.started_at.to_string()),
        ("ended", import.ended_at.map(|at| at.to_string()).unwrap_or_default()),
    ]
}

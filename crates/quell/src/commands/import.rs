//! `quell import FILE`: load a scanner's file, or only read it and say what it holds.

use super::Context;
use super::waiting::{self, Look};
use crate::client::{Client, path};
use crate::failure::Failure;
use crate::output::{self, Format, note};
use intake::Limits;
use protocol::api::integrations::{FileImportBody, Import, ImportBody};
use reqwest::Method;
use serde::{Deserialize, Serialize};
use std::io::BufReader;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// An upload and its reading have to be done within this time.
const UPLOAD_TIME_MAX: Duration = Duration::from_secs(30 * 60);
/// How often a run is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(300);

/// A file to load.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// The file of Qualys: host list detection (XML, CSV), knowledge base (XML), asset data report (XML), scan results (XML), scan
    /// report or VMDR list (CSV)
    file: PathBuf,
    /// Integration instance it belongs to; made where there is none [default: "Files (Qualys)"]
    #[arg(long, value_name = "NAME")]
    instance: Option<String>,
    /// Let the server read it to its end and say what it holds, and import nothing
    #[arg(long)]
    dry_run: bool,
    /// Read it here, without a server, and import nothing; this is what happens where no server is named
    #[arg(long, conflicts_with_all = ["dry_run", "instance"])]
    offline: bool,
    /// Do not wait for the end of the import
    #[arg(long)]
    no_wait: bool,
}

/// What came of it: the raw counts of the file, and the run where there is one.
#[derive(Serialize)]
struct Outcome {
    file: String,
    /// `offline`, `dry_run`, `begun` or `imported`.
    mode: &'static str,
    #[serde(flatten)]
    report: serde_json::Value,
    import: Option<Import>,
}

/// The answer to a dry run.
#[derive(Deserialize)]
struct DryRun {
    report: serde_json::Value,
}

/// Run the command.
///
/// # Errors
/// [`Failure`] for a file that is refused, of the server, or of the import.
pub async fn run(arguments: Arguments, context: &Context) -> Result<(), Failure> {
    let named = context.server.profile();
    if arguments.offline || matches!(named, Err(Failure::NoServer)) {
        if !arguments.offline {
            note("no server is named: the file is only read, nothing is imported");
        }
        return offline(&arguments.file, context.format).await;
    }
    let client = Client::new(&named?)?;
    if arguments.dry_run {
        let DryRun { report } = client.body(upload(&client, &arguments, true).await?).await?;
        return show(context.format, &Outcome { file: name(&arguments.file), mode: "dry_run", report, import: None });
    }
    let FileImportBody { import, report } = client.body(upload(&client, &arguments, false).await?).await?;
    let file = name(&arguments.file);
    if arguments.no_wait {
        return show(context.format, &Outcome { file, mode: "begun", report, import: Some(import) });
    }
    let ended = wait(&client, &import.number).await?;
    let (state, detail) = (ended.state.clone(), ended.detail.clone());
    show(context.format, &Outcome { file, mode: "imported", report, import: Some(ended) })?;
    if state == "complete" { Ok(()) } else { Err(Failure::Said(format!("the import failed: {detail}"))) }
}

fn name(file: &Path) -> String {
    file.file_name().unwrap_or(file.as_os_str()).to_string_lossy().into_owned()
}

async fn offline(file: &Path, format: Format) -> Result<(), Failure> {
    let path = file.to_owned();
    let read = tokio::task::spawn_blocking(move || {
        let opened = std::fs::File::open(&path).map_err(|source| Failure::File { doing: "read", path, source })?;
        intake::file::check(BufReader::with_capacity(64 << 10, opened), &Limits::default())
            .map_err(|error| Failure::Failed(Box::new(error)))
    });
    let report = read.await.map_err(|error| Failure::internal("cannot read the file", error))??;
    let report = serde_json::to_value(&report).map_err(|error| Failure::internal("cannot write JSON", error))?;
    show(format, &Outcome { file: name(file), mode: "offline", report, import: None })
}

async fn upload(client: &Client, arguments: &Arguments, dry_run: bool) -> Result<reqwest::RequestBuilder, Failure> {
    let opened = tokio::fs::File::open(&arguments.file).await;
    let failed = |source| Failure::File { doing: "read", path: arguments.file.clone(), source };
    let opened = opened.map_err(failed)?;
    let mut query = vec![("name", name(&arguments.file)), ("dry_run", dry_run.to_string())];
    query.extend(arguments.instance.clone().map(|instance| ("instance", instance)));
    Ok(client
        .request(Method::POST, &path(&["imports", "files"]))
        .query(&query)
        .timeout(UPLOAD_TIME_MAX)
        .header("content-type", "application/octet-stream")
        .body(reqwest::Body::from(opened)))
}

/// Look at a run until it has ended, with a line that says how far it is.
///
/// # Errors
/// [`Failure`] of the connection or the server.
pub async fn wait(client: &Client, number: &str) -> Result<Import, Failure> {
    let look = async || {
        let ImportBody { import, .. } = client.get(&path(&["imports", number]), &[]).await?;
        if import.state == "queued" {
            return Ok(Look::Still(format!("{number}: waits until nothing else of {} is at work", import.instance)));
        }
        if import.state != "running" {
            return Ok(Look::Over(import));
        }
        let counters = &import.counters;
        let rows = |count: &protocol::api::integrations::ImportCount| count.new + count.updated + count.unchanged;
        Ok(Look::Still(format!(
            "{number}: {} hosts, {} detections, {} vulnerabilities",
            rows(&counters.hosts),
            rows(&counters.detections),
            rows(&counters.vulnerabilities)
        )))
    };
    waiting::until(LOOK_EVERY, look).await
}

fn show(format: Format, outcome: &Outcome) -> Result<(), Failure> {
    if format == Format::Json {
        return output::json(outcome);
    }
    let count = |field: &str| outcome.report.get(field).map(ToString::to_string).unwrap_or_default();
    let pairs = |field: &str| {
        let map = outcome.report.get(field).and_then(serde_json::Value::as_object);
        let pairs = map.into_iter().flatten().map(|(name, number)| format!("{name} {number}"));
        pairs.collect::<Vec<_>>().join(", ")
    };
    let format_name = outcome.report.get("format").and_then(serde_json::Value::as_str).unwrap_or_default();
    let mut fields = vec![
        ("file", outcome.file.clone()),
        ("format", format_name.to_owned()),
        ("hosts", count("hosts")),
        ("detections", count("detections")),
        ("by type", pairs("detections_by_type")),
        ("by status", pairs("detections_by_status")),
        ("vulnerabilities", count("vulnerabilities")),
        ("skipped", pairs("skipped")),
        ("rejected", count("rejected")),
        ("notes", pairs("notes")),
    ];
    if let Some(import) = &outcome.import {
        fields.extend(super::imports::fields(import));
    }
    output::record(format, outcome, &fields)
}

//! What became of a job: the progress report as CSV and JSON, the view by CVE, and how long evidence is kept.

use super::jobs::ordinal;
use crate::app::App;
use crate::engine::{evidence, jobs};
use crate::http::{Caller, Error};
use crate::views::report::{self, Reader};
use axum::Json;
use axum::body::Body;
use axum::extract::{Path, Query, State};
use axum::http::header::{CONTENT_DISPOSITION, CONTENT_TYPE};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse as _, Response};
use domain::access::{Action, Record};
use domain::result;
use futures_util::stream;
use protocol::api::response as body;
use protocol::api::response::ReportLine;
use serde::Deserialize;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// The routes of this noun.
pub fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(report)).routes(routes!(cves)).routes(routes!(retention, set_retention))
}

/// Which lines and columns of a report are wanted, and in which form.
#[derive(Clone, Debug, Default, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(default, deny_unknown_fields)]
pub struct ReportQuery {
    /// `json` (default) or `csv`.
    pub format: String,
    /// Which run, from 1; the newest when absent.
    pub run: Option<i64>,
    /// Only lines with one of these action statuses, separated by commas: `Failed,Skipped`.
    pub status: String,
    /// Only these columns of the CSV form, separated by commas.
    pub columns: String,
}

/// Download the progress report of a job
///
/// One line per asset, vulnerability and mitigation, on the assets the caller may know of. Both forms are streams: a
/// failure half-way breaks the connection rather than ending the document well.
#[utoipa::path(get, path = "/jobs/{number}/report", tag = "jobs", params(("number" = String, Path), ReportQuery),
    responses((status = OK, body = body::ReportBody)))]
async fn report(
    State(app): State<App>,
    caller: Caller,
    Path(number): Path<String>,
    Query(query): Query<ReportQuery>,
) -> Result<Response, Error> {
    download(&app, &caller, &number, &query).await
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    Json,
    Csv,
}

/// A report as an attachment, for the API and the pages.
///
/// # Errors
/// Not found for a job the caller may not know of or a run it does not have; 422 for an unknown form, column or status.
pub async fn download(app: &App, caller: &Caller, number: &str, query: &ReportQuery) -> Result<Response, Error> {
    let form = match query.format.as_str() {
        "" | "json" => Form::Json,
        "csv" => Form::Csv,
        _ => return Err(Error::field("format", "bad_format", "a report is `json` or `csv`")),
    };
    let columns = report::columns(&query.columns)?;
    let statuses = statuses(&query.status)?;
    let (asker, ordinal, run) = (caller.clone(), ordinal(number)?, query.run);
    let reader = app.database.try_read(move |tx| {
        let job = jobs::load(tx, &asker, ordinal)?;
        Reader::new(tx, &job, run)
    });
    let reader = reader.await?;
    let name = format!("{number}-report.{}", if form == Form::Csv { "csv" } else { "json" });
    let (app, number) = (app.clone(), number.to_owned());
    let writing = Writing { app, reader, form, columns, statuses, number, begun: false, lined: false };
    let stream = stream::try_unfold(Some(writing), |writing| async {
        let Some(writing) = writing else { return Ok(None) };
        // Said nowhere: the answer has begun, so all that is left is to break it off.
        writing.next().await.map(Some).map_err(|error| std::io::Error::other(error.to_problem().detail))
    });
    let kind = if form == Form::Csv { "text/csv; charset=utf-8" } else { "application/json" };
    let disposition = HeaderValue::try_from(format!("attachment; filename=\"{name}\"")).map_err(Error::internal)?;
    let mut response = (StatusCode::OK, Body::from_stream(stream)).into_response();
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    response.headers_mut().insert(CONTENT_DISPOSITION, disposition);
    Ok(response)
}

fn statuses(wanted: &str) -> Result<Vec<&'static str>, Error> {
    let words = wanted.split(',').map(str::trim).filter(|word| !word.is_empty());
    let unknown = |word: &str| {
        let known: Vec<&str> = result::Action::ALL.iter().map(|action| action.as_str()).collect();
        Error::field("status", "unknown_status", format!("there is no status `{word}`; there are {}", known.join(", ")))
    };
    words.map(|word| result::Action::parse(word).map(result::Action::as_str).ok_or_else(|| unknown(word))).collect()
}

/// A report on its way out.
struct Writing {
    app: App,
    reader: Reader,
    form: Form,
    columns: Vec<&'static str>,
    statuses: Vec<&'static str>,
    number: String,
    /// The beginning was written.
    begun: bool,
    /// A line was written.
    lined: bool,
}

impl Writing {
    /// The next piece, and what follows it; nothing follows the last.
    async fn next(mut self) -> Result<(String, Option<Writing>), Error> {
        let reader = self.reader.clone();
        let read = self.app.database.try_read(move |tx| {
            let mut reader = reader.clone();
            let lines = reader.next(tx)?;
            Ok::<_, Error>((reader, lines))
        });
        let (reader, lines) = read.await?;
        self.reader = reader;
        let mut text = if std::mem::replace(&mut self.begun, true) { String::new() } else { self.head() };
        for line in &lines {
            if self.statuses.is_empty() || self.statuses.contains(&line.action_status.as_str()) {
                self.write(&mut text, line)?;
            }
        }
        if !lines.is_empty() {
            return Ok((text, Some(self)));
        }
        if self.form == Form::Json {
            text.push_str("]}\n");
        }
        Ok((text, None))
    }

    fn head(&self) -> String {
        match self.form {
            Form::Csv => format!("{}\n", self.columns.join(",")),
            Form::Json => {
                format!("{{\"job\":{},\"run\":{},\"lines\":[", serde_json::json!(self.number), self.reader.run())
            }
        }
    }

    fn write(&mut self, text: &mut String, line: &ReportLine) -> Result<(), Error> {
        match self.form {
            Form::Csv => text.push_str(&report::csv(line, &self.columns)?),
            Form::Json => {
                if std::mem::replace(&mut self.lined, true) {
                    text.push(',');
                }
                text.push_str(&serde_json::to_string(line).map_err(Error::internal)?);
            }
        }
        Ok(())
    }
}

/// Show what a job means for each CVE
///
/// On the assets the caller may know of: how many have it mitigated, only lowered, or as before.
#[utoipa::path(get, path = "/jobs/{number}/cves", tag = "jobs", params(("number" = String, Path)),
    responses((status = OK, body = body::JobCvesBody)))]
async fn cves(
    State(app): State<App>,
    caller: Caller,
    Path(number): Path<String>,
) -> Result<Json<body::JobCvesBody>, Error> {
    let number = ordinal(&number)?;
    let cves = app.database.try_read(move |tx| {
        let job = jobs::load(tx, &caller, number)?;
        report::cves(tx, &job)
    });
    Ok(Json(body::JobCvesBody { cves: cves.await? }))
}

fn shown(retention: evidence::Retention) -> body::RetentionBody {
    body::RetentionBody { retention: body::Retention { days: retention.days, default_days: evidence::DAYS_DEFAULT } }
}

/// Show how long evidence is kept
///
/// What agents said word for word, their reports and signed orders, of ended runs. Results, controls and the audit stay.
#[utoipa::path(get, path = "/settings/retention", tag = "jobs", responses((status = OK, body = body::RetentionBody)))]
async fn retention(State(app): State<App>, caller: Caller) -> Result<Json<body::RetentionBody>, Error> {
    caller.may(Action::SettingsView, &Record::default())?;
    Ok(Json(shown(app.database.read(evidence::kept).await?)))
}

/// Change how long evidence is kept
#[utoipa::path(put, path = "/settings/retention", tag = "jobs", request_body = body::RetentionRequest,
    responses((status = OK, body = body::RetentionBody)))]
async fn set_retention(
    State(app): State<App>,
    caller: Caller,
    Json(given): Json<body::RetentionRequest>,
) -> Result<Json<body::RetentionBody>, Error> {
    Ok(Json(shown(evidence::keep(&app, &caller, given.days).await?)))
}

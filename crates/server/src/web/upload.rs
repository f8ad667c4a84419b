//! `/imports/file`: loading a file that a scanner exported.

use super::frame::{Show, again, faults, frame, sentence};
use crate::api;
use crate::app::App;
use crate::engine::import::file::DEFAULT_INSTANCE;
use crate::http::flash::{self, Flash};
use crate::http::router::bounded;
use crate::http::{Error, PageActor, limits};
use crate::pages::forms::Faults;
use crate::pages::imports::UploadPage;
use crate::pages::{Fault, Field, Section};
use axum::Router;
use axum::extract::multipart::MultipartError;
use axum::extract::{Multipart, State};
use axum::http::header::LOCATION;
use axum::http::{HeaderMap, HeaderName, StatusCode};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use domain::access::{Action, Record};
use domain::number::Number;

/// What is read, in words.
const FORMATS: [(&str, &str); 4] = [
    ("Host list detection", "XML or CSV of the Qualys API: hosts with their detections"),
    ("Knowledge base", "XML of the Qualys API: vulnerabilities with their texts and CVEs"),
    ("Scan reports", "Host based report or results of a scan, as XML or CSV: hosts, detections and what they mean"),
    ("VMDR lists", "CSV of the vulnerabilities tab, by QID or by CVE"),
];

/// The routes of this noun.
pub fn routes() -> Router<App> {
    Router::new().route("/imports/file", get(form))
}

/// The upload, which may be large and take long.
pub fn streams() -> Router<App> {
    let upload = Router::new().route("/imports/file", post(load));
    bounded(upload, limits::UPLOAD_TIME_MAX, limits::UPLOAD_BYTES_MAX)
}

async fn page(app: &App, who: &PageActor, instance: &str, wrong: Vec<Fault>) -> Result<UploadPage, Error> {
    let shell = frame(app, who, Section::Imports, "Import a file").await?.under("Imports", "/imports");
    let field = Field::line("integration", "Belongs to", instance)
        .required()
        .help("Name of an integration; one that does not exist is made.")
        .faulted(&wrong);
    Ok(UploadPage { shell, fields: vec![field], faults: Faults(wrong), formats: FORMATS.to_vec() })
}

async fn form(State(app): State<App>, who: PageActor) -> Result<Response, Error> {
    who.may(Action::ImportRun, &Record::default())?;
    Ok(Show(page(&app, &who, DEFAULT_INSTANCE, Vec::new()).await?).into_response())
}

fn unreadable(error: &MultipartError) -> Error {
    Error::problem(error.status(), "bad_form", error.body_text())
}

/// The parts in the form's order: what the file belongs to, then the file.
async fn begun(app: &App, who: &PageActor, parts: &mut Multipart, instance: &mut String) -> Result<Number, Error> {
    while let Some(part) = parts.next_field().await.map_err(|error| unreadable(&error))? {
        match part.name() {
            Some("integration") => {
                let text = part.text().await.map_err(|error| unreadable(&error))?;
                instance.clear();
                instance.push_str(Some(text.trim()).filter(|text| !text.is_empty()).unwrap_or(DEFAULT_INSTANCE));
            }
            Some("file") => {
                let name = part.file_name().unwrap_or_default().to_owned();
                if name.is_empty() {
                    break;
                }
                let checked = api::imports::checked(app, who, &name, instance, part).await?;
                return api::imports::begin(app, who, instance, checked).await;
            }
            _ => {}
        }
    }
    Err(Error::field("file", "empty", "choose a file"))
}

async fn load(
    State(app): State<App>,
    who: PageActor,
    headers: HeaderMap,
    mut parts: Multipart,
) -> Result<Response, Error> {
    who.may(Action::ImportRun, &Record::default())?;
    let mut instance = DEFAULT_INSTANCE.to_owned();
    let wrong = match begun(&app, &who, &mut parts, &mut instance).await {
        Ok(number) => {
            let path = format!("/imports/{number}");
            let said = Flash::done(format!("The file can be read. {number} has begun."));
            return Ok(led(flash::redirect(&path, Some(said)), &headers));
        }
        Err(Error::Refused(refusal)) => vec![Fault::new("file", sentence(&refusal.sentence))],
        Err(error) => faults(error, |field| if field == "instance" { "integration" } else { "file" })?,
    };
    Ok(again(page(&app, &who, &instance, wrong).await?))
}

/// A redirection as htmx follows it: with the whole page, not into the dialog.
fn led(mut response: Response, headers: &HeaderMap) -> Response {
    if headers.contains_key("hx-request")
        && let Some(place) = response.headers_mut().remove(LOCATION)
    {
        *response.status_mut() = StatusCode::OK;
        response.headers_mut().insert(HeaderName::from_static("hx-redirect"), place);
    }
    response
}

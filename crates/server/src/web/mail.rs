//! `/mail`: what was sent, waits or was given up; another try; a test.

use super::frame::{Head, Show, again, faults, frame, listed, pager};
use crate::app::App;
use crate::engine::mail;
use crate::http::auth::PageActor;
use crate::http::flash::{self, Flash};
use crate::http::form::Fields;
use crate::http::{Error, ListQuery};
use crate::pages::forms::{DialogPage, Faults};
use crate::pages::lists::Action as Button;
use crate::pages::mail::{COLUMNS, MailLine, MailPage};
use crate::pages::{Chip, Empty, Fault, Field, Menu, Section, Tone, When};
use axum::Router;
use axum::extract::{Path, State};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use domain::access::{Action, Decision, Record};
use domain::mail::{Kind, State as At};
use store::mails::{self, MailRow};

/// The routes of this noun.
pub fn routes() -> Router<App> {
    Router::new()
        .route("/mail", get(list))
        .route("/mail/test", get(test_form).post(test))
        .route("/mail/retry", post(retry_all))
        .route("/mail/{id}/retry", post(retry))
}

/// Why this person, or this server, cannot send anything; none when it can.
fn unable(app: &App, actor: &PageActor) -> Option<String> {
    match actor.decide(Action::SettingsChange, &Record::default()) {
        Decision::Denied(reason) => Some(reason.to_string()),
        Decision::Allowed => app.mailer.is_none().then(|| mail::NO_SERVER.to_owned()),
    }
}

async fn list(State(app): State<App>, actor: PageActor, query: ListQuery) -> Result<Response, Error> {
    actor.may(Action::SettingsView, &Record::default())?;
    let unable = unable(&app, &actor);
    let test = || Button::show("Send a test mail", "/mail/test").icon("mail").primary().key('c').unless(unable.clone());
    let text = "Mail that jobs and agents cause is listed here: sent, waiting for its next try, and dead letters.";
    let head = Head {
        path: "/mail",
        noun: "mails",
        columns: &COLUMNS,
        sort: "-",
        empty: Empty::yet("mail", "No mail yet", text),
    };
    let (mut list, wanted) = listed(&app, &actor, &query, &mails::LIST, head)?;
    let (dead, fault) = app.database.read(|tx| Ok((mails::dead_letters(tx)?, mails::relay_fault(tx)?))).await?;
    let none = (dead == 0).then(|| "there are no dead letters".to_owned());
    let all = Button::post("Retry all dead letters", "/mail/retry").icon("refresh").unless(unable.clone().or(none));
    list.tab("All", "", None);
    list.tab("Not sent yet", "is:waiting", None);
    list.tab("Dead letters", "is:dead", Some(dead));
    let mut rows = Vec::new();
    if let Some(wanted) = wanted {
        let page = app.database.try_read(move |tx| mails::page(tx, &wanted)).await?;
        list.shown = page.rows.len();
        list.pager = pager(&query, "/mail", page.next_cursor.as_deref());
        let denied = match actor.decide(Action::SettingsChange, &Record::default()) {
            Decision::Denied(reason) => Some(reason.to_string()),
            Decision::Allowed => None,
        };
        rows = page.rows.into_iter().map(|row| line(&app, denied.clone(), row)).collect();
    }
    let server = app.mailer.as_ref().map(|mailer| format!("Mail is handed to {}.", mailer.described));
    let no_server = server.is_none().then(|| crate::web::frame::sentence(mail::NO_SERVER));
    let fault = fault.map(|said| {
        let said = crate::web::frame::sentence(&said);
        format!("{said} What waits is tried again by itself; look at the mail server's log and at the smtp settings.")
    });
    let shell = frame(&app, &actor, Section::Mail, "Mail").await?.action(all).action(test());
    Ok(Show(MailPage { shell, list, server: server.unwrap_or_default(), no_server, fault, rows }).into_response())
}

fn line(app: &App, denied: Option<String>, row: MailRow) -> MailLine {
    let now = app.clock.now().to_jiff();
    let state = match row.state {
        At::Queued => Chip::new(Tone::Idle, "Queued"),
        At::Sending => Chip::new(Tone::Run, "Sending"),
        At::Sent => Chip::new(Tone::Ok, "Sent"),
        At::Failed => Chip::new(Tone::Warn, "Tried again"),
        At::Dead => Chip::new(Tone::Fail, "Dead letter"),
    };
    let about = match row.kind {
        Kind::Started => "Execution started",
        Kind::Reported => "Percentage reported",
        Kind::Drifted => "Drifted",
        Kind::Expired => "Expired",
        Kind::Review => "Review due",
        Kind::Agents => "Agents not heard of",
        Kind::Exception => "Deferral or false positive",
        Kind::Assigned => "Assigned",
        Kind::Overdue => "Overdue",
        Kind::Scan => "Rescan ended",
        Kind::Import => "Import",
        Kind::Test => "Test",
    };
    let settled = (!row.state.can_retry()).then(|| "only what failed can be tried again".to_owned());
    let retry = Button::post("Retry now", format!("/mail/{}/retry", row.id)).icon("refresh");
    MailLine {
        menu: Menu::dots(
            format!("mail-{}", row.id),
            format!("Quick actions for the mail to {}", row.recipient),
            vec![retry.unless(denied.or(settled))],
        ),
        recipient: row.recipient,
        about,
        job: row.job_number.map(store::jobs::name),
        state,
        attempts: row.attempts,
        next: row.next_try_at.map(|at| When::near(at.to_jiff(), now)),
        caused: When::near(row.created_at.to_jiff(), now),
        sent: row.sent_at.map(|at| When::near(at.to_jiff(), now)),
        error: row.last_error,
    }
}

async fn form(app: &App, actor: &PageActor, recipient: &str, faults: Vec<Fault>) -> Result<DialogPage, Error> {
    let shell = frame(app, actor, Section::Mail, "Send a test mail").await?.under("Mail", "/mail");
    let server = app.mailer.as_ref().map(|mailer| mailer.described.clone()).unwrap_or_default();
    Ok(DialogPage {
        shell,
        to: "/mail/test".to_owned(),
        text: format!("Through {server}."),
        fields: vec![Field::typed("email", "recipient", "To", recipient).required().focus().faulted(&faults)],
        faults: Faults(faults),
        verb: "Send",
        back: "/mail".to_owned(),
    })
}

async fn test_form(State(app): State<App>, actor: PageActor) -> Result<Response, Error> {
    actor.may(Action::SettingsChange, &Record::default())?;
    let (user, database) = (actor.user, &app.database);
    let account = database.read(move |tx| store::accounts::by_id(tx, user)).await?;
    let own = account.map(|account| account.email).unwrap_or_default();
    Ok(Show(form(&app, &actor, &own, Vec::new()).await?).into_response())
}

async fn test(State(app): State<App>, actor: PageActor, fields: Fields) -> Result<Response, Error> {
    let recipient = fields.one("recipient").trim();
    match mail::test(&app, &actor, recipient).await {
        Ok(_) => Ok(flash::redirect("/mail", Some(Flash::done(format!("A test mail to {recipient} is under way."))))),
        Err(error) => {
            let faults = faults(error, |field| field)?;
            Ok(again(form(&app, &actor, recipient, faults).await?))
        }
    }
}

async fn retry(State(app): State<App>, actor: PageActor, Path(id): Path<i64>) -> Result<Response, Error> {
    let row = mail::retry(&app, &actor, id).await?;
    Ok(flash::redirect("/mail", Some(Flash::done(format!("The mail to {} is tried again.", row.recipient)))))
}

async fn retry_all(State(app): State<App>, actor: PageActor) -> Result<Response, Error> {
    let said = match mail::retry_all(&app, &actor).await? {
        1 => "One dead letter is tried again.".to_owned(),
        several => format!("{several} dead letters are tried again."),
    };
    Ok(flash::redirect("/mail", Some(Flash::done(said))))
}

//! Mail: the outbox with its dead letters, another try, a test.

use crate::app::App;
use crate::engine::mail;
use crate::http::{Caller, Error, ListQuery};
use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use domain::access::{Action, Record};
use protocol::api::mail::{Mail, MailBody, MailTest, MailsBody, MailsRetried};
use store::mails::{self, MailRow};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// The routes of this noun.
pub fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(list))
        .routes(routes!(show))
        .routes(routes!(test))
        .routes(routes!(retry))
        .routes(routes!(retry_all))
}

fn said(row: MailRow) -> Mail {
    Mail {
        id: row.id,
        kind: row.kind.as_str().to_owned(),
        job: row.job_number.map(store::jobs::name),
        recipient: row.recipient,
        state: row.state.as_str().to_owned(),
        attempts: row.attempts,
        next_try_at: row.next_try_at,
        last_error: row.last_error,
        created_at: row.created_at,
        sent_at: row.sent_at,
    }
}

/// List mail, newest first
///
/// Dead letters are `q=is:dead`.
#[utoipa::path(get, path = "/mail", tag = "mail", params(ListQuery), responses((status = OK, body = MailsBody)))]
async fn list(State(app): State<App>, caller: Caller, query: ListQuery) -> Result<Json<MailsBody>, Error> {
    caller.may(Action::SettingsView, &Record::default())?;
    let wanted = query.of_list(mails::LIST.fields, "-", app.clock.now(), &caller.name)?;
    let page = app.database.try_read(move |tx| mails::page(tx, &wanted)).await?;
    Ok(Json(MailsBody { mails: page.rows.into_iter().map(said).collect(), next: page.next_cursor }))
}

/// Show a mail
#[utoipa::path(get, path = "/mail/{id}", tag = "mail", params(("id" = i64, Path)), responses((status = OK, body = MailBody)))]
async fn show(State(app): State<App>, caller: Caller, Path(id): Path<i64>) -> Result<Json<MailBody>, Error> {
    caller.may(Action::SettingsView, &Record::default())?;
    let row = app.database.read(move |tx| mails::find(tx, id)).await?;
    let row = row.ok_or_else(|| Error::NotFound(format!("mail {id}")))?;
    Ok(Json(MailBody { mail: said(row) }))
}

/// Send a test mail
///
/// It is queued like any other; ask for it again to see what became of it.
#[utoipa::path(post, path = "/mail/test", tag = "mail", request_body = MailTest,
    responses((status = ACCEPTED, body = MailBody)))]
async fn test(
    State(app): State<App>,
    caller: Caller,
    Json(wanted): Json<MailTest>,
) -> Result<(StatusCode, Json<MailBody>), Error> {
    let row = mail::test(&app, &caller, &wanted.recipient).await?;
    Ok((StatusCode::ACCEPTED, Json(MailBody { mail: said(row) })))
}

/// Try a mail again now
///
/// A dead letter, or one that waits for its next try; its tries are counted from the beginning.
#[utoipa::path(post, path = "/mail/{id}/retry", tag = "mail", params(("id" = i64, Path)),
    responses((status = OK, body = MailBody)))]
async fn retry(State(app): State<App>, caller: Caller, Path(id): Path<i64>) -> Result<Json<MailBody>, Error> {
    let row = mail::retry(&app, &caller, id).await?;
    Ok(Json(MailBody { mail: said(row) }))
}

/// Try every dead letter again now
///
/// Their tries are counted from the beginning.
#[utoipa::path(post, path = "/mail/retry", tag = "mail", responses((status = OK, body = MailsRetried)))]
async fn retry_all(State(app): State<App>, caller: Caller) -> Result<Json<MailsRetried>, Error> {
    Ok(Json(MailsRetried { retried: mail::retry_all(&app, &caller).await? }))
}

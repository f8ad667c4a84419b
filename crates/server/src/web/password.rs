//! `/account/password`: replacing one's own password, by choice or because somebody else made it.

use super::frame::{Show, again, faults, sentence};
use crate::app::App;
use crate::http::auth::Proof;
use crate::http::error::{Error, PASSWORD_PATH};
use crate::http::flash::{self, Flash};
use crate::http::form::Fields;
use crate::http::{AnyCaller, ClientAddress, secret, session};
use crate::pages::Fault;
use crate::pages::sign_in::PasswordPage;
use axum::Router;
use axum::extract::State;
use axum::http::header::SET_COOKIE;
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;

/// The routes of this noun.
pub fn routes() -> Router<App> {
    Router::new().route(PASSWORD_PATH, get(show).post(change))
}

/// The anti-forgery token of a caller who may not have chosen a password yet.
fn csrf(caller: &AnyCaller) -> Result<String, Error> {
    match &caller.0.proof {
        Proof::Session(session) => Ok(secret::csrf(session)),
        Proof::Token(_) => Err(Error::SignInRequired),
    }
}

async fn show(caller: AnyCaller) -> Result<Response, Error> {
    Ok(Show(PasswordPage::new(&csrf(&caller)?, caller.0.password_temporary, Vec::new())).into_response())
}

async fn change(
    State(app): State<App>,
    caller: AnyCaller,
    address: ClientAddress,
    fields: Fields,
) -> Result<Response, Error> {
    let (csrf, forced) = (csrf(&caller)?, caller.0.password_temporary);
    let (current, new) = (fields.exact("current").to_owned(), fields.exact("new").to_owned());
    if new != fields.exact("again") {
        let fault = Fault::new("again", "The two new passwords differ.");
        return Ok(again(PasswordPage::new(&csrf, forced, vec![fault])));
    }
    match session::change_password(&app, &caller.0, current, new, address).await {
        Ok(signed_in) => {
            let mut response = flash::redirect("/", Some(Flash::done("Password changed. Other sessions have ended.")));
            response.headers_mut().append(SET_COOKIE, signed_in.set_cookie);
            Ok(response)
        }
        Err(Error::Problem(problem)) if problem.status == 429 => {
            Ok(again(PasswordPage::new(&csrf, forced, vec![Fault::new("current", sentence(&problem.detail))])))
        }
        Err(error) => Ok(again(PasswordPage::new(&csrf, forced, faults(error, form_name)?))),
    }
}

/// The form's name of a field of the API.
fn form_name(field: &str) -> &str {
    if field == "password" { "current" } else { "new" }
}

//! `/sign-in` and `/sign-out`.

use super::frame::{Show, sentence};
use crate::app::App;
use crate::http::error::{Error, SIGN_IN_PATH};
use crate::http::form::Fields;
use crate::http::session::{self, Credentials};
use crate::http::{AnyCaller, ClientAddress, flash};
use crate::pages::sign_in::SignInPage;
use axum::Router;
use axum::extract::{Query, State};
use axum::http::header::{RETRY_AFTER, SET_COOKIE, USER_AGENT};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use serde::Deserialize;

/// The routes of this noun.
pub fn routes() -> Router<App> {
    Router::new().route(SIGN_IN_PATH, get(show).post(sign_in)).route("/sign-out", post(sign_out))
}

#[derive(Deserialize)]
struct Wanted {
    #[serde(default)]
    next: String,
}

async fn show(caller: Option<AnyCaller>, Query(wanted): Query<Wanted>) -> Response {
    match caller {
        // Somebody who is signed in and follows an old link has nothing to do here.
        Some(AnyCaller(caller)) => flash::redirect(&session::way_back(&caller, Some(&wanted.next)), None),
        None => Show(SignInPage::new("", "", &wanted.next, None)).into_response(),
    }
}

async fn sign_in(
    State(app): State<App>,
    address: ClientAddress,
    headers: HeaderMap,
    fields: Fields,
) -> Result<Response, Error> {
    let browser = headers.get(USER_AGENT).and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned();
    let (name, next) = (fields.one("name").to_owned(), fields.one("next"));
    let password = fields.exact("password").to_owned();
    let given = Credentials { name: name.clone(), password, address, browser };
    match session::sign_in(&app, given).await {
        Ok(signed_in) => {
            let mut response = flash::redirect(&session::way_back(&signed_in.caller, Some(next)), None);
            response.headers_mut().append(SET_COOKIE, signed_in.set_cookie);
            Ok(response)
        }
        Err(Error::Problem(problem)) if matches!(problem.status, 401 | 429) => {
            let page = SignInPage::new("", &name, next, Some(sentence(&problem.detail)));
            let mut response = Show(page).into_response();
            // Not 401: that would ask browsers for another kind of sign-in.
            *response.status_mut() =
                if problem.status == 429 { StatusCode::TOO_MANY_REQUESTS } else { StatusCode::UNPROCESSABLE_ENTITY };
            if let Some(seconds) = problem.retry_after {
                response.headers_mut().insert(RETRY_AFTER, seconds.into());
            }
            Ok(response)
        }
        Err(error) => Err(error),
    }
}

async fn sign_out(State(app): State<App>, AnyCaller(caller): AnyCaller) -> Result<Response, Error> {
    let removed = session::sign_out(&app, &caller).await?;
    let mut response = flash::redirect(SIGN_IN_PATH, None);
    response.headers_mut().append(SET_COOKIE, removed);
    Ok(response)
}

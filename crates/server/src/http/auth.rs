//! Who is asking: a session's cookie or an API token, looked up once per request, and the extractors that handlers use.
//!
//! [`identify`] never refuses; a handler that needs somebody takes [`Caller`] (API) or [`PageActor`] (pages).

use super::error::{Error, PASSWORD_CHANGE_REQUIRED};
use super::flash::{self, Flash};
use super::secret;
use crate::app::App;
use axum::extract::{FromRequestParts, OptionalFromRequestParts, Request, State};
use axum::http::header::{AUTHORIZATION, COOKIE};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode};
use axum::middleware::Next;
use axum::response::Response;
use domain::access::{Action, Actor, Decision, Record, may};
use domain::time::Timestamp;
use std::ops::Deref;
use store::accounts::Account;

/// The name of the session's cookie under TLS; the prefix makes browsers insist on TLS, this host and the path `/`.
const COOKIE_TLS: &str = "__Host-quell";
/// The name of the session's cookie on a loopback address without TLS.
const COOKIE_PLAIN: &str = "quell_session";

/// By what a caller proved itself.
#[derive(Clone, PartialEq, Eq)]
pub enum Proof {
    /// A session; holds its secret, from which the anti-forgery token is made.
    Session(String),
    /// An API token of this key.
    Token(i64),
}

impl std::fmt::Debug for Proof {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Proof::Session(_) => f.write_str("Session(..)"),
            Proof::Token(id) => write!(f, "Token({id})"),
        }
    }
}

/// Who is asking, for API handlers. Dereferences to the [`Actor`].
#[derive(Clone, Debug)]
pub struct Caller {
    /// Who, with roles, groups and scopes.
    pub actor: Actor,
    /// By what.
    pub proof: Proof,
    /// A password given by somebody else has to be replaced before anything else.
    pub password_temporary: bool,
}

impl Deref for Caller {
    type Target = Actor;
    fn deref(&self) -> &Actor {
        &self.actor
    }
}

impl Caller {
    /// Ask for a permission; `?` turns a denial into 403 (or 404 where the record has to look absent).
    ///
    /// # Errors
    /// [`Error::Denied`].
    pub fn may(&self, action: Action, record: &Record) -> Result<(), Error> {
        Ok(may(&self.actor, action, record).ok()?)
    }

    /// The answer as a value, for pages that show a disabled button with its reason.
    #[must_use]
    pub fn decide(&self, action: Action, record: &Record) -> Decision {
        may(&self.actor, action, record)
    }

    /// The caller as audit entries name it: `users/ada`.
    #[must_use]
    pub fn author(&self) -> String {
        format!("users/{}", self.actor.name)
    }
}

/// Who looks at a page. Dereferences to [`Caller`]. Without a session the sign-in page comes first, then back here.
#[derive(Clone, Debug)]
pub struct PageActor {
    /// Who.
    pub caller: Caller,
    /// The anti-forgery token for this page's forms (`<input name="csrf">`) and its `csrf-token` meta element.
    pub csrf: String,
    /// What was just done, to be said on this page.
    pub flash: Option<Flash>,
}

impl Deref for PageActor {
    type Target = Caller;
    fn deref(&self) -> &Caller {
        &self.caller
    }
}

impl PageActor {
    /// Is this still somebody who is signed in, for what stays open? Takes over what changed of him since; an open page is
    /// no use of the session.
    pub async fn stays(&mut self, app: &App) -> bool {
        let Proof::Session(secret) = &self.caller.proof else { return false };
        match find(app, Given::Session(secret.clone())).await {
            Ok(Some((found, ..))) => {
                self.caller = found.caller;
                true
            }
            Ok(None) | Err(_) => false,
        }
    }
}

/// A caller who may still have to choose a password: for the few handlers that let him.
#[derive(Clone, Debug)]
pub struct AnyCaller(pub Caller);

/// Who asks could not be found out: the database does not answer.
#[derive(Clone, Debug)]
struct Unknown(std::sync::Arc<protocol::problem::Problem>);

impl<S: Sync> OptionalFromRequestParts<S> for AnyCaller {
    type Rejection = Error;
    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Option<Self>, Error> {
        match <AnyCaller as FromRequestParts<S>>::from_request_parts(parts, state).await {
            Ok(caller) => Ok(Some(caller)),
            Err(Error::SignInRequired) => Ok(None),
            Err(error) => Err(error),
        }
    }
}

/// The address a request came from, as far as it can be trusted.
#[derive(Clone, Copy, Debug)]
pub struct ClientAddress(pub std::net::IpAddr);

impl<S: Sync> FromRequestParts<S> for AnyCaller {
    type Rejection = Error;
    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Error> {
        if let Some(Unknown(problem)) = parts.extensions.get() {
            return Err(Error::Problem(Box::new((**problem).clone())));
        }
        parts.extensions.get::<Caller>().cloned().map(AnyCaller).ok_or(Error::SignInRequired)
    }
}

impl<S: Sync> FromRequestParts<S> for Caller {
    type Rejection = Error;
    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Error> {
        let AnyCaller(caller) = <AnyCaller as FromRequestParts<S>>::from_request_parts(parts, state).await?;
        if caller.password_temporary {
            let why = "the password was given by somebody else: choose a new one first";
            return Err(Error::problem(StatusCode::FORBIDDEN, PASSWORD_CHANGE_REQUIRED, why));
        }
        Ok(caller)
    }
}

impl<S: Sync> FromRequestParts<S> for PageActor {
    type Rejection = Error;
    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Error> {
        let caller = Caller::from_request_parts(parts, state).await?;
        // Pages belong to sessions: a token has no anti-forgery protection and no business here.
        let Proof::Session(session) = &caller.proof else { return Err(Error::SignInRequired) };
        let csrf = secret::csrf(session);
        Ok(PageActor { caller, csrf, flash: flash::said(&parts.headers) })
    }
}

impl FromRequestParts<App> for ClientAddress {
    type Rejection = Error;
    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Error> {
        let peer = parts.extensions.get::<axum::extract::ConnectInfo<std::net::SocketAddr>>();
        let peer = peer.map(|peer| peer.0.ip()).ok_or_else(|| Error::internal("a connection without an address"))?;
        if !app.config.trusted_proxies.contains(&peer) {
            return Ok(ClientAddress(peer));
        }
        // The last element was written by the proxy we trust; the ones before it by anybody.
        let forwarded = parts.headers.get_all("x-forwarded-for").iter().next_back();
        let last = forwarded.and_then(|value| value.to_str().ok()).and_then(|value| value.rsplit(',').next());
        Ok(ClientAddress(last.and_then(|ip| ip.trim().parse().ok()).unwrap_or(peer)))
    }
}

/// Look up who is asking and put it into the request. A proof that is not (or no longer) valid counts as none.
pub async fn identify(State(app): State<App>, mut request: Request, next: Next) -> Response {
    let given = proof_in(request.headers(), app.site.secure);
    let Some(given) = given else { return next.run(request).await };
    match look_up(&app, given).await {
        Ok(Some(caller)) => {
            request.extensions_mut().insert(caller);
        }
        Ok(None) => {}
        Err(error) => {
            // The handler would find nobody and ask for a sign-in that cannot work either.
            request.extensions_mut().insert(Unknown(std::sync::Arc::new(Error::from(error).to_problem())));
        }
    }
    next.run(request).await
}

/// The secret of the session's cookie in these headers.
#[must_use]
pub fn session_in(headers: &HeaderMap, secure: bool) -> Option<String> {
    let name = if secure { COOKIE_TLS } else { COOKIE_PLAIN };
    let pairs =
        headers.get_all(COOKIE).iter().filter_map(|value| value.to_str().ok()).flat_map(|value| value.split(';'));
    pairs
        .filter_map(|pair| pair.trim().split_once('='))
        .find(|(key, _)| *key == name)
        .map(|(_, value)| value.to_owned())
}

/// The `Set-Cookie` value that keeps a session's secret for this many seconds; 0 removes it.
#[must_use]
pub fn cookie(secret: &str, seconds: i64, secure: bool) -> String {
    let (name, more) = if secure { (COOKIE_TLS, "; Secure") } else { (COOKIE_PLAIN, "") };
    format!("{name}={secret}; Path=/; Max-Age={seconds}; HttpOnly; SameSite=Lax{more}")
}

enum Given {
    Session(String),
    Token(String),
}

fn proof_in(headers: &HeaderMap, secure: bool) -> Option<Given> {
    // A token given explicitly wins over a cookie that a browser adds by itself.
    if let Some(value) = headers.get(AUTHORIZATION) {
        let token = value.to_str().ok()?.strip_prefix("Bearer ")?.trim();
        // What `/auth` gives looks like a JWT; the token is its last part, the rest is for the client's eyes only.
        let token = token.rsplit('.').next().unwrap_or(token);
        return token.starts_with(secret::TOKEN_PREFIX).then(|| Given::Token(token.to_owned()));
    }
    session_in(headers, secure).map(Given::Session)
}

/// Who it is, and whether the use has to be noted.
struct Found {
    caller: Caller,
    news: bool,
}

async fn look_up(app: &App, given: Given) -> store::Result<Option<Caller>> {
    let Some((Found { caller, news }, digest, now)) = find(app, given).await? else { return Ok(None) };
    if news {
        note_use(app, &caller.proof, digest, now).await;
    }
    Ok(Some(caller))
}

async fn find(app: &App, given: Given) -> store::Result<Option<(Found, [u8; 32], Timestamp)>> {
    let now = app.clock.now();
    let limits = app.session_limits;
    let digest = match &given {
        Given::Session(secret) | Given::Token(secret) => secret::digest(secret),
    };
    let found = app
        .database
        .read(move |tx| match &given {
            Given::Session(secret) => {
                let Some(session) = store::sessions::find(tx, &digest, limits, now)? else { return Ok(None) };
                let news = store::sessions::use_is_news(&session, now);
                let account = store::accounts::by_id(tx, session.user)?;
                Ok(found(account, Proof::Session(secret.clone()), None, news))
            }
            Given::Token(_) => {
                let Some(token) = store::tokens::by_digest(tx, &digest)?.filter(|token| token.valid(now)) else {
                    return Ok(None);
                };
                let news = token.use_is_news(now);
                let account = store::accounts::by_id(tx, token.user)?;
                Ok(found(account, Proof::Token(token.id), Some(token.scopes), news))
            }
        })
        .await?;
    Ok(found.map(|found| (found, digest, now)))
}

fn found(
    account: Option<Account>,
    proof: Proof,
    scopes: Option<std::collections::BTreeSet<domain::access::TokenScope>>,
    news: bool,
) -> Option<Found> {
    let account = account.filter(|account| account.active)?;
    let password_temporary = account.password_temporary;
    Some(Found { caller: Caller { actor: account.actor(scopes), proof, password_temporary }, news })
}

/// Noting a use is a convenience: where the database is busy the request goes on without it.
async fn note_use(app: &App, proof: &Proof, digest: [u8; 32], now: Timestamp) {
    let token = match proof {
        Proof::Session(_) => None,
        Proof::Token(id) => Some(*id),
    };
    let noted = app.database.write(move |tx| match token {
        None => store::sessions::used(tx, &digest, now),
        Some(id) => store::tokens::used(tx, id, now),
    });
    if let Err(error) = noted.await {
        tracing::warn!("the use of a session or token was not noted: {error}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect()
    }

    #[test]
    fn cookies_are_found_by_their_whole_name() {
        assert_eq!(session_in(&headers(&[("cookie", "a=b; quell_session=x; c=d")]), false).as_deref(), Some("x"));
        assert_eq!(session_in(&headers(&[("cookie", "__Host-quell=y")]), true).as_deref(), Some("y"));
        assert_eq!(session_in(&headers(&[("cookie", "quell_session=x")]), true), None, "no plain cookie under TLS");
        assert_eq!(session_in(&headers(&[("cookie", "xquell_session=x")]), false), None);
    }

    #[test]
    fn a_wrong_authorization_is_not_replaced_by_a_cookie() {
        let given = proof_in(&headers(&[("authorization", "Basic abc"), ("cookie", "quell_session=x")]), false);
        assert!(given.is_none());
    }

    #[test]
    fn a_cookie_is_closed_to_scripts_and_other_sites() {
        assert_eq!(cookie("s", 60, true), "__Host-quell=s; Path=/; Max-Age=60; HttpOnly; SameSite=Lax; Secure");
        assert_eq!(cookie("", 0, false), "quell_session=; Path=/; Max-Age=0; HttpOnly; SameSite=Lax");
    }
}

//! Proving who we are: name and password, a session cookie, or a token; renewed once when it is no longer taken.

use crate::connect::qualys::client::{Failure, Inner, Sent};
use crate::connect::qualys::config::{Auth, Endpoint, Secret};
use crate::connect::qualys::error::{Error, Reply};
use crate::connect::qualys::retry::Then;
use intake::Limits;
use intake::qualys::returns;
use reqwest::RequestBuilder;
use reqwest::header::{COOKIE, SET_COOKIE};
use std::sync::{Mutex, PoisonError};

/// The name of the session cookie.
const COOKIE_NAME: &str = "QualysSession";
/// Tokens are a few hundred bytes to a few kilobytes.
const TOKEN_BYTES_MAX: usize = 32 << 10;

/// The session or token in use, and which one it is.
#[derive(Debug, Default)]
pub(crate) struct Tickets {
    /// Held while signing in, so that many calls sign in once.
    current: tokio::sync::Mutex<(u64, Option<Secret>)>,
    /// The latest ticket, to be masked in messages; never held across a wait.
    latest: Mutex<Option<Secret>>,
}

impl Tickets {
    /// Throws the ticket away, unless it was already replaced by a newer one.
    pub(crate) async fn forget(&self, number: u64) {
        let mut current = self.current.lock().await;
        if current.0 == number {
            current.1 = None;
        }
    }

    /// The latest ticket, for masking it.
    pub(crate) fn latest(&self) -> Option<Secret> {
        self.latest.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn remember(&self, ticket: &Secret) {
        *self.latest.lock().unwrap_or_else(PoisonError::into_inner) = Some(ticket.clone());
    }
}

impl Inner {
    /// Adds the proof to a request; signs in first where that is needed. Returns the ticket's number.
    pub(crate) async fn prove(&self, request: RequestBuilder) -> Result<(RequestBuilder, u64), Failure> {
        let config = &self.config;
        match config.auth {
            Auth::Basic => Ok((request.basic_auth(&config.username, Some(config.password.reveal())), 0)),
            Auth::Session => {
                let (number, cookie) = self.ticket().await?;
                Ok((request.header(COOKIE, format!("{COOKIE_NAME}={}", cookie.reveal())), number))
            }
            Auth::Jwt => {
                let (number, token) = self.ticket().await?;
                Ok((request.bearer_auth(token.reveal()), number))
            }
        }
    }

    pub(crate) async fn ticket(&self) -> Result<(u64, Secret), Failure> {
        let mut current = self.tickets.current.lock().await;
        if let Some(ticket) = &current.1 {
            return Ok((current.0, ticket.clone()));
        }
        let outcome = if self.config.auth == Auth::Session { self.log_in().await } else { self.token().await };
        let ticket = outcome.map_err(|failure| match failure.then {
            // A refused password is not tried again: accounts lock.
            Then::SignInAgain => Failure { then: Then::GiveUp, ..failure },
            _ => failure,
        })?;
        self.tickets.remember(&ticket);
        current.0 += 1;
        current.1 = Some(ticket.clone());
        Ok((current.0, ticket))
    }

    /// Opens a session. The cookie is handled here and not by a cookie store: it is marked `secure`, and it must go to
    /// our own base URL only.
    async fn log_in(&self) -> Result<Secret, Failure> {
        let url = self.endpoint_url(Endpoint::Session).map_err(Failure::fatal)?;
        let form = [
            ("action", "login"),
            ("username", self.config.username.as_str()),
            ("password", self.config.password.reveal()),
        ];
        let request = self.http.post(url).header("X-Requested-With", &self.config.user_agent).form(&form);
        let mut sent = self.send(Endpoint::Session, request).await?;
        let cookie = sent.headers.get_all(SET_COOKIE).iter().find_map(|header| session_cookie(header.to_str().ok()?));
        let outcome = sent.read(&Limits::default(), |input, limits| returns::answer(input, limits)).await;
        match (outcome, cookie) {
            (Ok(Ok(_)), Some(cookie)) => Ok(Secret::new(cookie)),
            (Ok(Ok(_)), None) => {
                Err(Failure::fatal(Error::SignIn { reply: Box::new(self.reply(Endpoint::Session, &sent, None)) }))
            }
            (Ok(Err(error)), _) => Err(self.body_failure(Endpoint::Session, &sent, error)),
            (Err(failure), _) => Err(failure),
        }
    }

    /// Gets a token from the gateway; the body is the bare token.
    async fn token(&self) -> Result<Secret, Failure> {
        let Some(gateway) = &self.config.gateway_url else {
            return Err(Failure::fatal(Error::Config("a token needs the gateway URL".to_owned())));
        };
        let url = super::client::join(gateway, "auth").map_err(Failure::fatal)?;
        let form = [
            ("username", self.config.username.as_str()),
            ("password", self.config.password.reveal()),
            ("token", "true"),
        ];
        let sent: Sent = self.send(Endpoint::Session, self.http.post(url).form(&form)).await?;
        let token = std::str::from_utf8(sent.spool.head(TOKEN_BYTES_MAX)).unwrap_or_default().trim();
        let plausible = !token.is_empty() && token.bytes().all(|b| b.is_ascii_graphic() && b != b'<' && b != b'{');
        if !plausible || sent.spool.len() > TOKEN_BYTES_MAX as u64 {
            let reply = Reply { status: sent.status, text: "the answer is no token".to_owned(), ..Reply::default() };
            return Err(Failure::fatal(Error::SignIn { reply: Box::new(reply) }));
        }
        Ok(Secret::new(token))
    }

    /// Closes the session, as well as it goes.
    pub(crate) async fn log_out(&self) {
        if self.config.auth != Auth::Session {
            return;
        }
        let Some(cookie) = self.tickets.current.lock().await.1.take() else { return };
        let Ok(url) = self.endpoint_url(Endpoint::Session) else { return };
        let request = self
            .http
            .post(url)
            .header("X-Requested-With", &self.config.user_agent)
            .header(COOKIE, format!("{COOKIE_NAME}={}", cookie.reveal()))
            .form(&[("action", "logout")]);
        if self.send(Endpoint::Session, request).await.is_err() {
            tracing::debug!("the Qualys session could not be closed; it ends by itself");
        }
    }
}

/// The session's id in a Set-Cookie header.
fn session_cookie(header: &str) -> Option<String> {
    let (name, value) = header.split(';').next()?.split_once('=')?;
    let value = value.trim();
    let fits = name.trim() == COOKIE_NAME
        && !value.is_empty()
        && value.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b));
    fits.then(|| value.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_session_cookie_is_taken() {
        assert_eq!(session_cookie("QualysSession=ab12; path=/api; secure").as_deref(), Some("ab12"));
        assert_eq!(session_cookie("Other=ab12; path=/"), None);
        assert_eq!(session_cookie("QualysSession=; path=/"), None);
        assert_eq!(session_cookie("QualysSession=a\r\nX: y"), None);
    }
}

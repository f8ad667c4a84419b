//! The public API as the demo's user calls it.

use crate::client::{Client, path};
use crate::failure::Failure;
use crate::profile::Profile;
use protocol::api::accounts::{PasswordChange, SessionBody, SignIn};
use serde::de::DeserializeOwned;
use server::Server;
use std::time::Duration;

/// How often something that is waited for is looked at.
const LOOK: Duration = Duration::from_millis(250);

/// A signed-in user.
#[derive(Debug)]
pub struct Session {
    /// The client with the session's cookie.
    pub client: Client,
}

impl Session {
    /// Sign in.
    ///
    /// # Errors
    /// [`Failure`] of the server.
    pub async fn begin(server: &Server, name: &str, password: &str) -> Result<Session, Failure> {
        let profile = Profile { server: server.app.site.public_url.clone(), token: None, ca_sha256: None };
        let client = Client::new(&profile)?;
        let sign_in = SignIn { name: name.to_owned(), password: password.to_owned() };
        let body: SessionBody = client.post(&path(&["session"]), &sign_in).await?;
        Ok(Session { client: client.in_session(body.session.csrf_token) })
    }

    /// Replace the one-time password and sign in again with the new one.
    ///
    /// # Errors
    /// [`Failure`] of the server.
    pub async fn replace_password(
        self,
        server: &Server,
        name: &str,
        password: &str,
    ) -> Result<(Session, String), Failure> {
        let new_password = format!("demo-{:016x}", rand::random::<u64>());
        let change = PasswordChange { password: password.to_owned(), new_password: new_password.clone() };
        let request = self.client.request(reqwest::Method::POST, &path(&["me", "password"])).json(&change);
        self.client.send(request).await?;
        Ok((Session::begin(server, name, &new_password).await?, new_password))
    }

    /// Look again and again until `ready` gives something, at most `seconds`.
    ///
    /// # Errors
    /// [`Failure`] of the server, or what was waited for in vain.
    pub async fn until<B: DeserializeOwned, T>(
        &self,
        address: &str,
        query: &[(&str, String)],
        seconds: u64,
        what: &str,
        mut ready: impl FnMut(B) -> Option<T>,
    ) -> Result<T, Failure> {
        let deadline = tokio::time::Instant::now() + Duration::from_secs(seconds);
        loop {
            if let Some(found) = ready(self.client.get::<B>(address, query).await?) {
                return Ok(found);
            }
            if tokio::time::Instant::now() >= deadline {
                return Err(Failure::Said(format!("{what} did not happen within {seconds} seconds")));
            }
            tokio::time::sleep(LOOK).await;
        }
    }
}

//! Talking to the server's API: addresses, tokens, typed bodies, pages, errors.

use crate::failure::Failure;
use crate::output;
use crate::profile::Profile;
use crate::trust;
use protocol::problem::Problem;
use reqwest::{Method, RequestBuilder, Response};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::time::Duration;
use url::Url;
use uuid::Uuid;

/// An ordinary answer has to come within this time.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(60);
/// A connection has to stand within this time.
const CONNECT_TIME_MAX: Duration = Duration::from_secs(15);
/// Records asked for at once.
const PAGE: i64 = 500;

/// How lists are asked for, the same for every noun: `#[command(flatten)]` it.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct ListArguments {
    /// Condition in the query language
    #[arg(short, long, default_value = "", value_name = "QUERY")]
    pub query: String,
    /// Column to sort by, with - in front for the other direction
    #[arg(long, default_value = "", value_name = "COLUMN", allow_hyphen_values = true)]
    pub sort: String,
    /// Records at most
    #[arg(long, default_value_t = 100, value_name = "N", conflicts_with = "all")]
    pub limit: i64,
    /// Every record
    #[arg(long)]
    pub all: bool,
}

/// A connection to one server.
#[derive(Clone, Debug)]
pub struct Client {
    http: reqwest::Client,
    server: Url,
    token: Option<String>,
    csrf: Option<String>,
}

/// The names of a path, each made safe: `path(&["users", name])` gives `/api/v1/users/...`.
pub fn path(names: &[&str]) -> String {
    let mut url: Url = "http://x/api/v1".parse().expect("a fixed address is valid");
    if let Ok(mut segments) = url.path_segments_mut() {
        segments.extend(names);
    }
    url.path().to_owned()
}

impl Client {
    /// A client for the server of this profile.
    ///
    /// # Errors
    /// Where TLS cannot be set up.
    pub fn new(profile: &Profile) -> Result<Client, Failure> {
        let builder = reqwest::Client::builder()
            .cookie_store(true)
            .connect_timeout(CONNECT_TIME_MAX)
            .redirect(reqwest::redirect::Policy::none())
            .user_agent(concat!("quell/", env!("CARGO_PKG_VERSION")));
        let builder = match profile.ca_sha256 {
            Some(fingerprint) => builder.tls_backend_preconfigured(trust::pinned(fingerprint)?),
            // Plain HTTP needs nobody's authority, and the system may have none.
            None if profile.server.scheme() == "http" => builder.tls_certs_only([]),
            None => builder,
        };
        let http = builder.build().map_err(|error| Failure::internal("cannot set the connection up", error))?;
        Ok(Client { http, server: profile.server.clone(), token: profile.token.clone(), csrf: None })
    }

    /// The same client within a session, whose cookie it keeps: with the session's anti-forgery token, without a token.
    #[must_use]
    pub fn in_session(mut self, csrf: String) -> Client {
        self.csrf = Some(csrf);
        self.token = None;
        self
    }

    /// GET a body.
    ///
    /// # Errors
    /// [`Failure`] of the connection or the server.
    pub async fn get<T: DeserializeOwned>(&self, path: &str, query: &[(&str, String)]) -> Result<T, Failure> {
        self.body(self.request(Method::GET, path).query(query)).await
    }

    /// GET something that is no body of ours and hand it to standard output as it comes.
    ///
    /// # Errors
    /// [`Failure`] of the connection or the server, or where standard output cannot be written.
    pub async fn copy(&self, path: &str, query: &[(&str, String)]) -> Result<(), Failure> {
        let mut response = self.send(self.request(Method::GET, path).query(query)).await?;
        while let Some(piece) = response.chunk().await.map_err(|source| self.unreachable(source))? {
            output::bytes(&piece)?;
        }
        Ok(())
    }

    /// POST a body and get one. It carries an idempotency key, so the one repetition after a lost connection is safe.
    ///
    /// # Errors
    /// [`Failure`] of the connection or the server.
    pub async fn post<T: DeserializeOwned>(&self, path: &str, body: &(impl Serialize + Sync)) -> Result<T, Failure> {
        let key = Uuid::new_v4().to_string();
        let request = || self.request(Method::POST, path).header("idempotency-key", &key).json(body);
        match self.body(request()).await {
            Err(Failure::Unreachable { .. }) => self.body(request()).await,
            answered => answered,
        }
    }

    /// PATCH with a body and get one; `if_match` is the entity tag of the record as it was seen.
    ///
    /// # Errors
    /// [`Failure`] of the connection or the server.
    pub async fn patch<T: DeserializeOwned>(
        &self,
        path: &str,
        body: &(impl Serialize + Sync),
        if_match: Option<&str>,
    ) -> Result<T, Failure> {
        let mut request = self.request(Method::PATCH, path).json(body);
        if let Some(tag) = if_match {
            request = request.header("if-match", tag);
        }
        self.body(request).await
    }

    /// PUT a body and get one.
    ///
    /// # Errors
    /// [`Failure`] of the connection or the server.
    pub async fn put<T: DeserializeOwned>(&self, path: &str, body: &(impl Serialize + Sync)) -> Result<T, Failure> {
        self.body(self.request(Method::PUT, path).json(body)).await
    }

    /// POST a body where the answer has none.
    ///
    /// # Errors
    /// [`Failure`] of the connection or the server.
    pub async fn post_quietly(&self, path: &str, body: &(impl Serialize + Sync)) -> Result<(), Failure> {
        let key = Uuid::new_v4().to_string();
        let request = || self.request(Method::POST, path).header("idempotency-key", &key).json(body);
        match self.send(request()).await {
            Err(Failure::Unreachable { .. }) => self.send(request()).await.map(|_| ()),
            answered => answered.map(|_| ()),
        }
    }

    /// DELETE.
    ///
    /// # Errors
    /// [`Failure`] of the connection or the server.
    pub async fn delete(&self, path: &str) -> Result<(), Failure> {
        self.send(self.request(Method::DELETE, path)).await.map(|_| ())
    }

    /// Read a list page by page, up to what `list` asks for. `parts` takes a body of type `B` apart into its records and
    /// the cursor of the next page.
    ///
    /// # Errors
    /// [`Failure`] of the connection or the server.
    pub async fn list<B: DeserializeOwned, T>(
        &self,
        path: &str,
        list: &ListArguments,
        parts: impl Fn(B) -> (Vec<T>, Option<String>),
    ) -> Result<Vec<T>, Failure> {
        let wanted = if list.all { usize::MAX } else { usize::try_from(list.limit).unwrap_or(0) };
        let (mut records, mut cursor) = (Vec::new(), None);
        while records.len() < wanted {
            let missing = i64::try_from(wanted - records.len()).unwrap_or(i64::MAX);
            let mut query = vec![("limit", missing.min(PAGE).to_string())];
            for (name, value) in [("q", &list.query), ("sort", &list.sort)] {
                if !value.is_empty() {
                    query.push((name, value.clone()));
                }
            }
            query.extend(cursor.take().map(|cursor| ("cursor", cursor)));
            let (page, next) = parts(self.get(path, &query).await?);
            records.extend(page);
            match next {
                Some(next) => cursor = Some(next),
                None => break,
            }
        }
        Ok(records)
    }

    /// A request with what this client always sends, to be made more special and given to [`Client::send`].
    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let url = format!("{}{path}", self.server.as_str().trim_end_matches('/'));
        let mut request = self.http.request(method, url).timeout(ANSWER_TIME_MAX);
        if let Some(token) = &self.token {
            request = request.bearer_auth(token);
        }
        if let Some(csrf) = &self.csrf {
            request = request.header("x-csrf-token", csrf);
        }
        request
    }

    /// Send a request and read the body.
    ///
    /// # Errors
    /// [`Failure`] of the connection or the server.
    pub async fn body<T: DeserializeOwned>(&self, request: RequestBuilder) -> Result<T, Failure> {
        let response = self.send(request).await?;
        let url = response.url().to_string();
        let bytes = response.bytes().await.map_err(|source| self.unreachable(source))?;
        serde_json::from_slice(&bytes).map_err(|source| Failure::Answer { url, source: Box::new(source) })
    }

    /// Send a request; a problem of the server is a failure.
    ///
    /// # Errors
    /// [`Failure`] of the connection or the server.
    pub async fn send(&self, request: RequestBuilder) -> Result<Response, Failure> {
        let response = request.send().await.map_err(|source| self.unreachable(source))?;
        if response.status().is_success() {
            return Ok(response);
        }
        let (url, status) = (response.url().to_string(), response.status());
        let bytes = response.bytes().await.unwrap_or_default();
        match serde_json::from_slice::<Problem>(&bytes) {
            Ok(problem) => Err(Failure::Problem(Box::new(problem))),
            Err(_) => Err(Failure::Answer { url, source: format!("HTTP status {status}").into() }),
        }
    }

    fn unreachable(&self, source: reqwest::Error) -> Failure {
        let url = self.server.to_string();
        let mut cause: Option<&dyn std::error::Error> = Some(&source);
        while let Some(error) = cause {
            if error.to_string().contains("invalid peer certificate") {
                let why = format!(
                    "{error}; for a server with its own authority give --ca-sha256 with the fingerprint that \
                     `quell serve` prints, or sign in with `quell login {url}`"
                );
                return Failure::Untrusted { url, why };
            }
            cause = error.source();
        }
        Failure::Unreachable { url, source }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_in_a_path_stay_one_segment() {
        assert_eq!(path(&["users"]), "/api/v1/users");
        assert_eq!(path(&["users", "a/b ?#%"]), "/api/v1/users/a%2Fb%20%3F%23%25");
    }
}

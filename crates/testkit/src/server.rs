//! A whole server in a temporary folder on free loopback ports, with a clock turned by hand, and a client for it.
//!
//! ```ignore
//! testkit::both_servers!(jobs_are_listed, |server| async move {
//!     let admin = server.admin().await;
//!     let reply = admin.get("/api/v1/jobs").await;
//!     assert_eq!(reply.status, 200);
//! });
//! // gives the tests jobs_are_listed::sqlite and jobs_are_listed::postgres
//! ```

#![allow(clippy::indexing_slicing, clippy::allow_attributes, reason = "JSON gives null for what is not there")]

use crate::database::TestDatabase;
use domain::time::Timestamp;
use reqwest::Method;
use reqwest::header::HeaderMap;
use serde_json::{Value, json};
use server::config::Storage;
use server::{Clock, Config, HandClock, Server};
use std::collections::BTreeSet;
use std::sync::Once;
use store::Engine;

/// What a test server's clock shows at its start: 2026-11-22T12:00:00Z.
pub const START_MICROS: i64 = 1_795_348_800_000_000;
/// The password of the test server's `admin`, chosen in place of the one-time password.
pub const ADMIN_PASSWORD: &str = "admin of a test server";
/// The password of users made by [`TestServer::user`].
pub const USER_PASSWORD: &str = "user of a test server";

/// A running server that disappears with the test.
pub struct TestServer {
    /// The server; `None` only while it is being stopped.
    server: Option<Server>,
    /// Its clock.
    pub clock: HandClock,
    /// The one-time password it was started with.
    pub first_password: String,
    /// After the server: its connections have to be gone.
    _database: Option<TestDatabase>,
    folder: tempfile::TempDir,
    config: Config,
}

/// What came back.
#[derive(Debug, Clone)]
pub struct Reply {
    /// HTTP status.
    pub status: u16,
    /// Headers.
    pub headers: HeaderMap,
    /// The body as text.
    pub text: String,
    /// The body as JSON; null where it is none.
    pub json: Value,
}

impl Reply {
    /// The code of a problem body; empty where it is none.
    pub fn code(&self) -> &str {
        self.json["code"].as_str().unwrap_or_default()
    }

    /// The body, after checking the status.
    #[track_caller]
    pub fn expect(self, status: u16) -> Value {
        assert_eq!(self.status, status, "{}", self.text);
        self.json
    }
}

/// Somebody talking to the server: a browser with its cookies, or a program with a token.
#[derive(Clone)]
pub struct Client {
    http: reqwest::Client,
    base: String,
    /// Sent as `X-CSRF-Token` with every request that changes something.
    pub csrf: Option<String>,
    /// Sent as `Authorization: Bearer`.
    pub token: Option<String>,
}

impl TestServer {
    /// Start on SQLite.
    pub async fn start() -> TestServer {
        Self::start_on(Engine::Sqlite, "").await.expect("SQLite is always there")
    }

    /// Start on this engine; `None`, said loudly, where there is no PostgreSQL.
    pub async fn start_on(engine: Engine, test: &'static str) -> Option<TestServer> {
        Self::start_with(engine, test, |_| {}).await
    }

    /// As [`start_on`](Self::start_on), with a changed configuration.
    pub async fn start_with(
        engine: Engine,
        test: &'static str,
        change: impl FnOnce(&mut Config),
    ) -> Option<TestServer> {
        provide_tls();
        let folder = tempfile::tempdir().expect("a temporary folder");
        let mut config = Config::loopback(folder.path());
        let mut database = None;
        if engine == Engine::Postgres {
            let bare = tokio::task::spawn_blocking(move || TestDatabase::bare_postgres(test)).await;
            let bare = bare.expect("making a database does not panic")?;
            config.storage = Storage::Postgres(bare.location());
            database = Some(bare);
        }
        change(&mut config);
        let clock = HandClock::new(Timestamp::from_micros(START_MICROS));
        let server = Server::start_with(config.clone(), Clock::Hand(clock.clone())).await.expect("the server starts");
        let first_password = server.first_account.as_ref().map(|first| first.password.clone()).unwrap_or_default();
        let started = TestServer { server: Some(server), clock, first_password, _database: database, folder, config };
        let client = started.client();
        let signed_in = client.sign_in("admin", &started.first_password).await;
        let change = json!({ "password": started.first_password, "new_password": ADMIN_PASSWORD });
        signed_in.post("/api/v1/me/password", &change).await.expect(200);
        Some(started)
    }

    /// The server's parts.
    pub fn app(&self) -> &server::App {
        &self.server().app
    }

    /// The server.
    pub fn server(&self) -> &Server {
        self.server.as_ref().expect("the server runs until it is stopped")
    }

    /// The server's data folder.
    pub fn folder(&self) -> &std::path::Path {
        self.folder.path()
    }

    /// The people's address with this path.
    pub fn url(&self, path: &str) -> String {
        format!("{}{path}", self.app().site.public_url.as_str().trim_end_matches('/'))
    }

    /// Nobody in particular, with an empty cookie jar. Redirections are not followed.
    pub fn client(&self) -> Client {
        provide_tls();
        let authority =
            reqwest::Certificate::from_pem(self.app().site.ca_pem.as_bytes()).expect("the CA is a certificate");
        let http = reqwest::Client::builder()
            .cookie_store(true)
            .redirect(reqwest::redirect::Policy::none())
            .tls_certs_only([authority])
            .build()
            .expect("a client can be made");
        Client { http, base: self.url(""), csrf: None, token: None }
    }

    /// The SuperUser, signed in.
    pub async fn admin(&self) -> Client {
        self.client().sign_in("admin", ADMIN_PASSWORD).await
    }

    /// A new user with these roles, signed in.
    pub async fn user(&self, name: &str, roles: &[&str]) -> Client {
        let admin = self.admin().await;
        let made = admin.post("/api/v1/users", &json!({ "name": name, "roles": roles })).await.expect(201);
        let once = made["one_time_password"].as_str().expect("a password is shown").to_owned();
        self.client().sign_in(name, &once).await.choose_password(&once, USER_PASSWORD).await
    }

    /// Stop it and start it again on the same data and clock.
    pub async fn restart(&mut self) {
        self.server.take().expect("the server runs").shutdown().await;
        let server = Server::start_with(self.config.clone(), Clock::Hand(self.clock.clone()))
            .await
            .expect("the server starts again");
        self.server = Some(server);
    }

    /// Stop it in order.
    pub async fn stop(mut self) {
        self.server.take().expect("the server runs").shutdown().await;
    }
}

/// The TLS library wants its cryptography named once per process.
pub fn provide_tls() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let _ = rustls::crypto::ring::default_provider().install_default();
    });
}

impl Client {
    /// Sign in; the cookie stays in the jar, the anti-forgery token is sent from now on.
    pub async fn sign_in(mut self, name: &str, password: &str) -> Client {
        let reply = self.try_sign_in(name, password).await.expect(200);
        self.csrf = reply["session"]["csrf_token"].as_str().map(str::to_owned);
        self
    }

    /// Replace the password; the new session's anti-forgery token is sent from now on.
    pub async fn choose_password(mut self, present: &str, new: &str) -> Client {
        let change = json!({ "password": present, "new_password": new });
        let changed = self.post("/api/v1/me/password", &change).await.expect(200);
        self.csrf = changed["session"]["csrf_token"].as_str().map(str::to_owned);
        self
    }

    /// The same client with another anti-forgery token, or none.
    #[must_use]
    pub fn with_csrf(mut self, csrf: Option<String>) -> Client {
        self.csrf = csrf;
        self
    }

    /// Try to sign in.
    pub async fn try_sign_in(&self, name: &str, password: &str) -> Reply {
        self.post("/api/v1/session", &json!({ "name": name, "password": password })).await
    }

    /// The same client with a token instead of a session.
    pub fn with_token(&self, token: &str) -> Client {
        let http = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).tls_certs_only([]).build();
        let http = http.expect("a client can be made");
        Client { http, base: self.base.clone(), csrf: None, token: Some(token.to_owned()) }
    }

    /// A token of this user with these scopes.
    pub async fn make_token(&self, scopes: &[&str]) -> String {
        let made = self.post("/api/v1/tokens", &json!({ "name": "test", "scopes": scopes })).await.expect(201);
        made["secret"].as_str().expect("a token is shown").to_owned()
    }

    /// GET.
    pub async fn get(&self, path: &str) -> Reply {
        self.send(self.request(Method::GET, path)).await
    }

    /// POST a JSON body.
    pub async fn post(&self, path: &str, body: &Value) -> Reply {
        self.send(self.request(Method::POST, path).json(body)).await
    }

    /// PATCH with a JSON body.
    pub async fn patch(&self, path: &str, body: &Value) -> Reply {
        self.send(self.request(Method::PATCH, path).json(body)).await
    }

    /// PUT a JSON body.
    pub async fn put(&self, path: &str, body: &Value) -> Reply {
        self.send(self.request(Method::PUT, path).json(body)).await
    }

    /// DELETE.
    pub async fn delete(&self, path: &str) -> Reply {
        self.send(self.request(Method::DELETE, path)).await
    }

    /// POST a form, as a page does.
    pub async fn form(&self, path: &str, fields: &[(&str, &str)]) -> Reply {
        self.send(self.request(Method::POST, path).form(fields)).await
    }

    /// A request with what this client sends by itself, to be made more special.
    pub fn request(&self, method: Method, path: &str) -> reqwest::RequestBuilder {
        let changes = method != Method::GET;
        let mut request = self.http.request(method, format!("{}{path}", self.base));
        if let Some(csrf) = self.csrf.as_ref().filter(|_| changes) {
            request = request.header("x-csrf-token", csrf);
        }
        if let Some(token) = &self.token {
            request = request.bearer_auth(token);
        }
        request
    }

    /// Send a request made by [`Client::request`].
    pub async fn send(&self, request: reqwest::RequestBuilder) -> Reply {
        let response = request.send().await.expect("the server answers");
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let text = response.text().await.expect("the body is text");
        let json = serde_json::from_str(&text).unwrap_or(Value::Null);
        Reply { status, headers, text, json }
    }
}

/// A test on a whole server, once per engine.
#[macro_export]
macro_rules! both_servers {
    ($name:ident, |$server:ident| $body:expr) => {
        mod $name {
            use super::*;

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn sqlite() {
                run($crate::server::TestServer::start().await).await;
            }

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn postgres() {
                let name = concat!(module_path!(), "::", stringify!($name));
                if let Some(server) = $crate::server::TestServer::start_on(store::Engine::Postgres, name).await {
                    run(server).await;
                }
            }

            #[allow(unused_mut, clippy::allow_attributes, reason = "not every test restarts its server")]
            async fn run(mut $server: $crate::server::TestServer) {
                $body.await
            }
        }
    };
}

/// What an agent can do that is as new as these needs of entries: all of them, and asking for permits.
pub fn able<'n>(needs: impl IntoIterator<Item = &'n str>) -> BTreeSet<String> {
    let kinds = needs.into_iter().flat_map(str::split_whitespace);
    kinds.chain([protocol::permit::PERMIT_CAPABILITY]).map(str::to_owned).collect()
}

//! A signed-in person who goes on when the server dies in the middle of an answer.

use serde_json::{Value, json};
use std::time::Duration;
use ureq::http::{Method, Request};

/// What came back: status and body, or why nothing did.
pub type Answer = Result<(u16, Value), String>;

pub struct Api {
    http: ureq::Agent,
    base: String,
    cookie: String,
    csrf: String,
    /// A token instead of the session, for who goes on longer than a session lives; none while it is empty.
    token: String,
}

impl Api {
    pub fn new(port: u16) -> Self {
        let config = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .timeout_global(Some(Duration::from_secs(20)))
            .max_idle_connections(0)
            .build();
        let base = format!("http://127.0.0.1:{port}");
        Self { http: config.into(), base, cookie: String::new(), csrf: String::new(), token: String::new() }
    }

    /// One request; an error is a connection that broke.
    pub fn call(&mut self, method: Method, path: &str, body: Option<&Value>) -> Answer {
        let request =
            Request::builder().method(method).uri(format!("{}{path}", self.base)).header("x-csrf-token", &self.csrf);
        let request = match self.token.as_str() {
            "" => request.header("cookie", &self.cookie),
            token => request.header("authorization", format!("Bearer {token}")),
        };
        let sent = match body {
            Some(body) => {
                let request = request.header("content-type", "application/json").body(body.to_string()).unwrap();
                self.http.run(request)
            }
            None => self.http.run(request.body(()).unwrap()),
        };
        let mut response = sent.map_err(|error| error.to_string())?;
        if let Some(cookie) = response.headers().get("set-cookie").and_then(|value| value.to_str().ok()) {
            self.cookie = cookie.split(';').next().unwrap_or_default().to_owned();
        }
        let status = response.status().as_u16();
        let text = response.body_mut().read_to_string().map_err(|error| error.to_string())?;
        Ok((status, serde_json::from_str(&text).unwrap_or(Value::Null)))
    }

    pub fn get(&mut self, path: &str) -> Answer {
        self.call(Method::GET, path, None)
    }

    pub fn post(&mut self, path: &str, body: &Value) -> Answer {
        self.call(Method::POST, path, Some(body))
    }

    /// A request to a server that is up: any success, the body.
    #[track_caller]
    pub fn must(&mut self, method: Method, path: &str, body: Option<&Value>) -> Value {
        let (status, answer) = self.call(method, path, body).unwrap();
        assert!((200..300).contains(&status), "{path}: {status} {answer}");
        answer
    }

    /// Sign in with the one-time password and replace it.
    pub fn sign_in(&mut self, name: &str, once: &str) {
        let body = json!({ "name": name, "password": once });
        let session = self.must(Method::POST, "/api/v1/session", Some(&body));
        self.csrf = session["session"]["csrf_token"].as_str().unwrap().to_owned();
        let body = json!({ "password": once, "new_password": "a password for crash tests" });
        let session = self.must(Method::POST, "/api/v1/me/password", Some(&body));
        self.csrf = session["session"]["csrf_token"].as_str().unwrap().to_owned();
    }

    /// Go on with a token that may do everything.
    pub fn take_token(&mut self) {
        let new = json!({ "name": "crash", "scopes": ["all"], "days": 366 });
        let made = self.must(Method::POST, "/api/v1/tokens", Some(&new));
        self.token = made["secret"].as_str().unwrap().to_owned();
    }
}

//! A running simulator with a client that keeps its manners.

use jiff::Timestamp;
use qualys_sim::{ClockMode, Options, Simulator};
use reqwest::{Method, RequestBuilder};
use std::collections::BTreeMap;

/// A simulator and a client for it.
pub struct Sim {
    pub simulator: Simulator,
    pub client: reqwest::Client,
}

/// An answer, read to its end.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: BTreeMap<String, String>,
    pub text: String,
}

impl Answer {
    pub async fn of(request: RequestBuilder) -> Self {
        let response = request.send().await.expect("an answer");
        let status = response.status().as_u16();
        let headers = response
            .headers()
            .iter()
            .map(|(name, value)| (name.as_str().to_owned(), value.to_str().unwrap_or("?").to_owned()))
            .collect();
        Self { status, headers, text: response.text().await.expect("a whole body") }
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(String::as_str)
    }

    /// The texts of every element of a name, CDATA marks removed.
    pub fn all(&self, element: &str) -> Vec<String> {
        elements(&self.text, element)
    }

    /// The text of the first element of a name.
    pub fn first(&self, element: &str) -> Option<String> {
        self.all(element).into_iter().next()
    }

    /// The scan reference in the answer to a launch.
    pub fn reference(&self) -> String {
        self.all("VALUE").pop().unwrap_or_default()
    }

    /// The refusal code directly in RESPONSE.
    pub fn code(&self) -> Option<u32> {
        self.first("CODE").and_then(|code| code.parse().ok())
    }
}

/// The texts of every element of a name; elements of that name never nest.
pub fn elements(text: &str, element: &str) -> Vec<String> {
    let close = format!("</{element}>");
    let mut found = Vec::new();
    let mut rest = text;
    while let Some(at) = rest.find(&format!("<{element}")) {
        let after = &rest[at + element.len() + 1..];
        if after.starts_with('>') || after.starts_with(' ') {
            let start = after.find('>').expect("the end of a tag") + 1;
            let end = after.find(&close).unwrap_or(start);
            let inner = after[start..end].trim();
            let plain = inner.strip_prefix("<![CDATA[").and_then(|text| text.strip_suffix("]]>")).unwrap_or(inner);
            found.push(plain.to_owned());
        }
        rest = after;
    }
    found
}

/// The fixed instant at which manual clocks start.
pub fn start() -> Timestamp {
    "2026-09-01T12:00:00Z".parse().expect("a fixed instant")
}

/// Options with a manual clock and no rate limit to trip over.
pub fn options() -> Options {
    let mut options = Options { clock: ClockMode::Manual(start()), ..Options::default() };
    options.limits.rate = 10_000;
    options
}

impl Sim {
    pub async fn start(options: Options) -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let simulator = Simulator::start(options).await.expect("a free port");
        Self { simulator, client: reqwest::Client::new() }
    }

    /// A request with credentials and the required header.
    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.client
            .request(method, format!("{}{path}", self.simulator.api_url()))
            .basic_auth(self.simulator.username(), Some(self.simulator.password()))
            .header("X-Requested-With", "test")
    }

    pub async fn get(&self, path: &str) -> Answer {
        Answer::of(self.request(Method::GET, path)).await
    }

    pub async fn post(&self, path: &str, form: &[(&str, &str)]) -> Answer {
        Answer::of(self.request(Method::POST, path).form(form)).await
    }

    /// Host list detection, version 5.
    pub async fn detections(&self, form: &[(&str, &str)]) -> Answer {
        let mut form = form.to_vec();
        form.push(("action", "list"));
        self.post("/api/5.0/fo/asset/host/vm/detection/", &form).await
    }

    /// The status of a QID on a host, whatever it is.
    pub async fn status(&self, host: u64, qid: u32) -> Option<String> {
        let (host, qid) = (host.to_string(), qid.to_string());
        let form = [("ids", host.as_str()), ("qids", &qid), ("status", "New,Active,Re-Opened,Fixed")];
        self.detections(&form).await.first("STATUS")
    }
}

//! A pace without time, clients, and a server that answers from a script.

use axum::Router;
use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{Request, State};
use axum::response::Response;
use domain::time::Timestamp;
use intake::{HostReport, Observation, VulnerabilityReport};
use server::connect::qualys::{Client, Config, Error, Pace, Page, Pages};
use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use url::Url;

/// Waits nothing, but moves its clock on and remembers.
#[derive(Debug, Default)]
pub struct Waits(Mutex<(i64, Vec<u64>)>);

impl Waits {
    /// Every wait so far, in whole seconds.
    pub fn seconds(&self) -> Vec<u64> {
        self.0.lock().unwrap().1.clone()
    }
}

impl Pace for Waits {
    fn now(&self) -> Timestamp {
        Timestamp::from_micros(self.0.lock().unwrap().0)
    }

    fn sleep(&self, length: Duration) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        let mut state = self.0.lock().unwrap();
        state.0 += i64::try_from(length.as_micros()).unwrap();
        state.1.push(length.as_secs());
        Box::pin(std::future::ready(()))
    }

    fn jitter(&self, _most: Duration) -> Duration {
        Duration::ZERO
    }
}

/// A client of `url` with its pace.
pub fn client(url: &str, change: impl FnOnce(&mut Config)) -> (Client, Arc<Waits>) {
    let mut config = Config::new(Url::parse(url).unwrap(), "quays3am1", "sim-password");
    change(&mut config);
    let waits = Arc::new(Waits::default());
    (Client::new(config, Arc::<Waits>::clone(&waits)).unwrap(), waits)
}

/// Hosts of a page.
pub fn hosts(page: &mut Page) -> Vec<HostReport> {
    let mut found = Vec::new();
    page.read(&mut |observation| {
        if let Observation::Host(host) = observation {
            found.push(*host);
        }
        Ok(())
    })
    .unwrap();
    found
}

/// Entries of a page.
pub fn entries(page: &mut Page) -> Vec<VulnerabilityReport> {
    let mut found = Vec::new();
    page.read(&mut |observation| {
        if let Observation::Vulnerability(vulnerability) = observation {
            found.push(*vulnerability);
        }
        Ok(())
    })
    .unwrap();
    found
}

/// All pages of a pull.
pub async fn all(mut pages: Pages) -> Result<Vec<Page>, Error> {
    let mut found = Vec::new();
    while let Some(page) = pages.next().await? {
        found.push(page);
    }
    Ok(found)
}

/// One request as it arrived.
#[derive(Clone, Debug)]
pub struct Asked {
    pub method: String,
    pub path: String,
    pub headers: Vec<(String, String)>,
    pub form: Vec<(String, String)>,
}

impl Asked {
    pub fn parameter(&self, name: &str) -> Option<&str> {
        self.form.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

/// One scripted answer.
#[derive(Clone, Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: Vec<(&'static str, String)>,
    pub body: String,
    /// Break the connection after the body instead of ending it.
    pub cut: bool,
}

pub fn answer(status: u16, body: impl Into<String>) -> Answer {
    Answer { status, headers: Vec::new(), body: body.into(), cut: false }
}

impl Answer {
    pub fn with(mut self, name: &'static str, value: impl std::fmt::Display) -> Answer {
        self.headers.push((name, value.to_string()));
        self
    }

    pub fn cut(mut self) -> Answer {
        self.cut = true;
        self
    }
}

type Shared = Arc<Mutex<(VecDeque<Answer>, Vec<Asked>)>>;

/// A server that gives its answers in order; the last one again and again.
pub struct Scripted {
    pub url: String,
    shared: Shared,
}

impl Scripted {
    pub async fn start(answers: impl IntoIterator<Item = Answer>) -> Scripted {
        let shared: Shared = Arc::new(Mutex::new((answers.into_iter().collect(), Vec::new())));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let router = Router::new().fallback(reply).with_state(Arc::clone(&shared));
        tokio::spawn(async move { axum::serve(listener, router).await });
        Scripted { url, shared }
    }

    pub fn asked(&self) -> Vec<Asked> {
        self.shared.lock().unwrap().1.clone()
    }
}

async fn reply(State(shared): State<Shared>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let body = to_bytes(body, 1 << 20).await.unwrap();
    let form = url::form_urlencoded::parse(&body).into_owned().collect();
    let headers = parts
        .headers
        .iter()
        .map(|(name, value)| (name.to_string(), value.to_str().unwrap_or_default().to_owned()))
        .collect();
    let mut shared = shared.lock().unwrap();
    let (method, path) = (parts.method.to_string(), parts.uri.to_string());
    shared.1.push(Asked { method, path, headers, form });
    let answer = if shared.0.len() > 1 { shared.0.pop_front().unwrap() } else { shared.0[0].clone() };
    let mut response = Response::builder().status(answer.status);
    for (name, value) in &answer.headers {
        response = response.header(*name, value);
    }
    let body = if answer.cut {
        let pieces = [Ok(Bytes::from(answer.body)), Err(std::io::Error::other("cut"))];
        Body::from_stream(futures_util::stream::iter(pieces))
    } else {
        Body::from(answer.body)
    };
    response.body(body).unwrap()
}

/// A detection page with one host per id, and the address of a next page.
pub fn page(ids: &[i64], next: Option<&str>) -> String {
    let hosts: String = ids.iter().map(|id| format!("<HOST><ID>{id}</ID><IP>10.0.0.{id}</IP></HOST>")).collect();
    let warning =
        next.map(|url| format!("<WARNING><CODE>1980</CODE><TEXT>more</TEXT><URL><![CDATA[{url}]]></URL></WARNING>"));
    format!(
        "<?xml version=\"1.0\"?><HOST_LIST_VM_DETECTION_OUTPUT><RESPONSE><HOST_LIST>{hosts}</HOST_LIST>{}</RESPONSE>\
         </HOST_LIST_VM_DETECTION_OUTPUT>",
        warning.unwrap_or_default()
    )
}

/// An error answer.
pub fn error(code: u32, text: &str) -> String {
    format!("<SIMPLE_RETURN><RESPONSE><CODE>{code}</CODE><TEXT>{text}</TEXT></RESPONSE></SIMPLE_RETURN>")
}

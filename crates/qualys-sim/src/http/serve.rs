//! From a socket to an answer: reading the request, the gate, the end point, and the framing of what comes back.

use super::call::{App, Call};
use super::faults::FaultKind;
use super::gate::{Caller, Running, Usage};
use super::journal::JournalEntry;
use super::params::Params;
use super::reply::{Chunks, Family, Refusal, Reply};
use super::route::{self, Endpoint};
use super::{
    control, cve_scores, detection_list, gateway, host_list, knowledge_base, qps, scan, schedule, search_lists, small,
    subscription,
};
use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::Response;
use flate2::Compression;
use flate2::write::GzEncoder;
use futures_util::stream;
use std::io::{self, Write};
use std::sync::Arc;
use std::time::Duration;

/// The longest request body that is read.
const BODY_MAX: usize = 16 * 1024 * 1024;
/// Time for the bytes before a planned break to reach the socket.
const BEFORE_CUT: Duration = Duration::from_millis(30);
/// Pieces are gathered up to this size before they are sent.
const PIECE: usize = 64 * 1024;

/// Takes every request.
pub(crate) async fn handle(State(app): State<Arc<App>>, request: Request) -> Response {
    let call = match read(&app, request).await {
        Ok(call) => call,
        Err(reply) => return frame(&app, reply, None, None, None),
    };
    let number = app.journal.record(entry(&call));
    let (mut reply, usage, running) = answer(&call);
    let asked = call.header("connection").is_some_and(|value| value.eq_ignore_ascii_case("close"));
    let obeys = app.world.options.switches.obeys_close && reply.family != Family::Qps;
    if asked && obeys && !reply.headers.iter().any(|(name, _)| *name == "connection") {
        reply = reply.with("connection", "close");
    }
    app.journal.answered(number, reply.status);
    if asks_for_gzip(&call) {
        reply = compressed(reply);
    }
    if let Some(fault) = &call.fault {
        let (before, _) = fault.pace();
        if !before.is_zero() {
            tokio::time::sleep(before).await;
        }
    }
    frame(&app, reply, usage, running, call.fault.as_ref())
}

fn asks_for_gzip(call: &Call) -> bool {
    call.app.world.options.switches.gzip
        && call.endpoint.name() != Endpoint::Control.name()
        && call.header("accept-encoding").is_some_and(|value| value.contains("gzip"))
}

/// The same answer with its pieces compressed one after the other.
fn compressed(reply: Reply) -> Reply {
    let mut encoder = Some(GzEncoder::new(Vec::new(), Compression::fast()));
    let mut chunks = reply.body;
    let body = std::iter::from_fn(move || {
        let mut writing = encoder.take()?;
        // Writing into memory cannot fail.
        match chunks.next() {
            Some(chunk) => {
                let _ = writing.write_all(&chunk);
                let piece = std::mem::take(writing.get_mut());
                encoder = Some(writing);
                Some(piece)
            }
            None => writing.finish().ok(),
        }
    });
    Reply { body: Box::new(body), ..reply }.with("content-encoding", "gzip")
}

async fn read(app: &Arc<App>, request: Request) -> Result<Call, Reply> {
    let (parts, body) = request.into_parts();
    let Ok(bytes) = to_bytes(body, BODY_MAX).await else {
        let text = "<html><body><h1>Request Entity Too Large</h1></body></html>".to_owned();
        return Err(Reply::new(413, "text/html; charset=UTF-8", text, Family::Plain));
    };
    let headers: Vec<(String, String)> = parts
        .headers
        .iter()
        .map(|(name, value)| (name.as_str().to_owned(), String::from_utf8_lossy(value.as_bytes()).into_owned()))
        .collect();
    let body = String::from_utf8_lossy(&bytes).into_owned();
    let path = parts.uri.path().to_owned();
    let (endpoint, version) = route::find(&path);
    let is_form = headers
        .iter()
        .find(|(name, _)| name == "content-type")
        .is_none_or(|(_, value)| value.starts_with("application/x-www-form-urlencoded"));
    let form = if is_form && endpoint != Endpoint::Control { body.as_str() } else { "" };
    let params = Params::read(parts.uri.query().unwrap_or(""), form);
    let host = headers.iter().find(|(name, _)| name == "host").map_or("localhost", |(_, value)| value.as_str());
    let base = format!("http://{host}");
    app.world.advance();
    let fault = if endpoint == Endpoint::Control { None } else { app.faults.take(endpoint.name()) };
    Ok(Call {
        app: Arc::clone(app),
        endpoint,
        version,
        method: parts.method.as_str().to_owned(),
        path,
        headers,
        params,
        body,
        base,
        now: app.world.clock.now(),
        fault,
    })
}

fn entry(call: &Call) -> JournalEntry {
    JournalEntry {
        number: 0,
        at: call.now,
        method: call.method.clone(),
        path: call.path.clone(),
        endpoint: call.endpoint.name().to_owned(),
        parameters: call.params.pairs().map(|(name, value)| (name.to_owned(), value.to_owned())).collect(),
        headers: call.headers.clone(),
        status: 0,
    }
}

type Answer = (Reply, Option<Usage>, Option<Running>);

fn answer(call: &Call) -> Answer {
    if let Some(page) = call.fault.as_ref().and_then(FaultKind::page) {
        return (page, None, None);
    }
    match call.endpoint {
        Endpoint::Control => (control::answer(call), None, None),
        Endpoint::Auth => (small::auth(call), None, None),
        Endpoint::PortalVersion | Endpoint::HostAsset | Endpoint::WebApp | Endpoint::WebFinding => {
            (qps::answer(call), None, None)
        }
        Endpoint::MitigationJobs
        | Endpoint::MitigationJob
        | Endpoint::Mitigations
        | Endpoint::PatchJobs
        | Endpoint::AssetCount => (gateway::answer(call), None, None),
        Endpoint::Unknown => (not_found(), None, None),
        Endpoint::Session => {
            let reply = small::session(call).unwrap_or_else(|refusal| refusal.reply(&call.base, call.now));
            (reply, None, None)
        }
        _ => through_the_gate(call),
    }
}

fn through_the_gate(call: &Call) -> Answer {
    let options = &call.app.world.options;
    let refuse = |refusal: &Refusal, usage| (refusal.reply(&call.base, call.now), usage, None);
    let caller = match call.app.access.check(options, &call.headers, call.now) {
        Ok(caller) => caller,
        Err(refusal) => return refuse(&refusal, None),
    };
    let needs_header = call.endpoint != Endpoint::About;
    if needs_header && call.header("x-requested-with").is_none_or(|value| value.trim().is_empty()) {
        let refusal = Refusal { at_login: true, ..Refusal::bad(1903, "Missing required header: X-Requested-With") };
        return refuse(&refusal, None);
    }
    if options.switches.retired_versions.contains(&call.version) {
        return (not_found(), None, None);
    }
    let (running, usage) = match call.app.meter.enter(options.limits, call.endpoint.name(), call.now) {
        Ok(entered) => entered,
        Err((refusal, usage)) => return refuse(&refusal, counted(call, caller, usage)),
    };
    if let Some(fault) = &call.fault
        && let Some(refusal) = fault.refusal().or_else(|| fault.unknown(&call.params))
    {
        return refuse(&refusal, fault_usage(fault, usage));
    }
    let reply = dispatch(call).unwrap_or_else(|refusal| refusal.reply(&call.base, call.now));
    (reply, (caller != Caller::Session).then_some(usage), Some(running))
}

/// Whether and which limit headers a refusal carries.
fn counted(call: &Call, caller: Caller, usage: Usage) -> Option<Usage> {
    let bare = call.app.world.options.switches.bare_concurrency_refusal && usage.remaining.is_none();
    (caller != Caller::Session && !bare).then_some(usage)
}

fn fault_usage(fault: &FaultKind, usage: Usage) -> Option<Usage> {
    match fault {
        FaultKind::RateLimited { seconds, headers } => {
            Some(Usage { remaining: Some(0), wait: headers.then_some(*seconds), ..usage })
        }
        FaultKind::TooManyAtOnce { headers: false } | FaultKind::BadLogin => None,
        FaultKind::TooManyAtOnce { headers: true } => {
            Some(Usage { remaining: None, wait: None, running: usage.concurrency, ..usage })
        }
        _ => Some(usage),
    }
}

fn dispatch(call: &Call) -> Result<Reply, Refusal> {
    match call.endpoint {
        Endpoint::HostDetection => detection_list::answer(call),
        Endpoint::HostList => host_list::answer(call),
        Endpoint::KnowledgeBase => knowledge_base::answer(call),
        Endpoint::CveScores => cve_scores::answer(call),
        Endpoint::Scan => scan::answer(call),
        Endpoint::OptionProfile => subscription::option_profiles(call),
        Endpoint::Appliance => subscription::appliances(call),
        Endpoint::AssetGroup => subscription::asset_groups(call),
        Endpoint::AssetIp => subscription::addresses(call),
        Endpoint::Network => subscription::networks(call),
        Endpoint::SearchList => search_lists::fixed(call),
        Endpoint::DynamicSearchList => search_lists::dynamic(call),
        Endpoint::Schedule => schedule::answer(call),
        Endpoint::ActivityLog => small::activity_log(call),
        _ => Ok(small::about(call)),
    }
}

fn not_found() -> Reply {
    let page = "<html>\n<head><title>404 Not Found</title></head>\n<body><h1>Not Found</h1></body>\n</html>\n";
    Reply::new(404, "text/html; charset=UTF-8", page.to_owned(), Family::Plain).with("connection", "close")
}

/// Puts the headers on and turns the pieces into a body.
fn frame(
    app: &App,
    reply: Reply,
    usage: Option<Usage>,
    running: Option<Running>,
    fault: Option<&FaultKind>,
) -> Response {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::from_u16(reply.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let closes = reply.headers.iter().any(|(name, _)| *name == "connection");
    let mut set = |name: &'static str, value: &str| {
        if let Ok(value) = HeaderValue::from_str(value) {
            response.headers_mut().append(HeaderName::from_static(name), value);
        }
    };
    set(header::CONTENT_TYPE.as_str(), reply.content_type);
    for (name, value) in &reply.headers {
        set(name, value);
    }
    family_headers(app, reply.family, closes, &mut set);
    if let Some(usage) = usage.filter(|_| reply.family == Family::Api) {
        set("x-ratelimit-limit", &usage.rate.to_string());
        set("x-ratelimit-window-sec", &usage.window.to_string());
        set("x-concurrency-limit-limit", &usage.concurrency.to_string());
        set("x-concurrency-limit-running", &usage.running.to_string());
        if let Some(wait) = usage.wait {
            set("x-ratelimit-towait-sec", &wait.to_string());
        }
        if let Some(remaining) = usage.remaining {
            set("x-ratelimit-remaining", &remaining.to_string());
        }
    }
    let chunks = match fault {
        Some(fault) => fault.spoil(reply.body),
        None => reply.body,
    };
    *response.body_mut() = body(chunks, running, fault);
    response
}

fn family_headers(app: &App, family: Family, closes: bool, set: &mut impl FnMut(&'static str, &str)) {
    if family == Family::Plain {
        return;
    }
    set("server", if family == Family::Qps { "Apache" } else { "Qualys" });
    if family == Family::Qps {
        set("vary", "Accept-Encoding");
        return;
    }
    set("strict-transport-security", "max-age=31536000; includeSubDomains");
    set("x-xss-protection", "1; mode=block");
    set("x-content-type-options", "nosniff");
    set("x-frame-options", "SAMEORIGIN");
    if family == Family::Api {
        set("x-powered-by", &powered_by(app));
    }
    if !closes {
        set("keep-alive", "timeout=300, max=250");
        set("connection", "Keep-Alive");
    }
}

/// The header that names subscription and user; clients must redact it before they share a log.
pub(crate) fn powered_by(app: &App) -> String {
    let mut roll = crate::roll::Roll::new(app.world.options.seed, &[50]);
    format!("Qualys:SIMPOD1:{}:{}", roll.uuid(), roll.uuid())
}

struct Sending {
    chunks: Chunks,
    pending: Vec<u8>,
    left: usize,
    cut: bool,
    drip: Option<(usize, Duration)>,
    done: bool,
    _running: Option<Running>,
}

fn body(chunks: Chunks, running: Option<Running>, fault: Option<&FaultKind>) -> Body {
    let cut = match fault {
        Some(FaultKind::Cut { after }) => Some(*after),
        _ => None,
    };
    let sending = Sending {
        chunks,
        pending: Vec::new(),
        left: cut.unwrap_or(usize::MAX),
        cut: cut.is_some(),
        drip: fault.and_then(|fault| fault.pace().1),
        done: false,
        _running: running,
    };
    Body::from_stream(stream::unfold(sending, |mut sending| async move {
        if let Some((_, pause)) = sending.drip {
            tokio::time::sleep(pause).await;
        }
        let piece = sending.next();
        if matches!(piece, Some(Err(_))) {
            // What was sent before has to leave the buffers, or the client would see no answer at all.
            tokio::time::sleep(BEFORE_CUT).await;
        }
        piece.map(|piece| (piece, sending))
    }))
}

impl Sending {
    fn next(&mut self) -> Option<Result<Vec<u8>, io::Error>> {
        if self.done {
            return None;
        }
        let size = self.drip.map_or(PIECE, |(bytes, _)| bytes);
        while self.pending.len() < size {
            match self.chunks.next() {
                Some(chunk) => self.pending.extend_from_slice(&chunk),
                None => break,
            }
        }
        let take = if self.drip.is_some() { size.min(self.pending.len()) } else { self.pending.len() };
        let rest = self.pending.split_off(take);
        let mut piece = std::mem::replace(&mut self.pending, rest);
        if self.cut && (self.left == 0 || piece.is_empty()) {
            self.done = true;
            return Some(Err(io::Error::new(
                io::ErrorKind::ConnectionAborted,
                "the fault plan breaks the connection here",
            )));
        }
        if piece.is_empty() {
            return None;
        }
        piece.truncate(self.left);
        self.left -= piece.len();
        Some(Ok(piece))
    }
}

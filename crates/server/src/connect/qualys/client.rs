//! One subscription's client: a call, its tries, its waits.
//!
//! Several clients can call one subscription beside each other, each with its own patience: what is learnt of limits and
//! versions, and the session, are theirs together.

use crate::connect::qualys::auth::Tickets;
use crate::connect::qualys::config::{Auth, Config, Endpoint, Secret};
use crate::connect::qualys::error::{self, BODY_BYTES, Error, Reply};
use crate::connect::qualys::lane::{Quota, Use};
use crate::connect::qualys::pace::Pace;
use crate::connect::qualys::reach;
use crate::connect::qualys::retry::{self, RateHeaders, Then};
use crate::connect::qualys::shared::{Fallen, Shared, Stats, Tally};
use crate::connect::qualys::spool::Spool;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use intake::qualys::returns;
use intake::{Limits, ReadError};
use reqwest::header::HeaderMap;
use reqwest::{RequestBuilder, Response};
use std::io::BufRead;
use std::sync::Arc;
use std::time::Duration;
use url::Url;

/// Rows of one answer that cannot be used and are described one by one: as many as a run keeps.
const REJECTIONS_DESCRIBED: usize = 10_000;
/// How much of an error's body is read.
const ERROR_BODY_MAX: u64 = 64 << 10;

/// One subscription. Cloning copies a handle; limits and sessions are shared.
#[derive(Clone, Debug)]
pub struct Client {
    pub(crate) inner: Arc<Inner>,
}

#[derive(Debug)]
pub(crate) struct Inner {
    pub(crate) config: Config,
    pub(crate) http: reqwest::Client,
    pub(crate) pace: Arc<dyn Pace>,
    pub(crate) tickets: Arc<Tickets>,
    pub(crate) limits: Limits,
    shared: Arc<Shared>,
    using: Use,
    /// Whose the session is: a borrower does not end it.
    lent: bool,
    tally: Tally,
}

/// What is asked.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    pub(crate) endpoint: Endpoint,
    pub(crate) parameters: Vec<(String, String)>,
    /// Parameters that only make the answer richer; older versions may not know them.
    pub(crate) optional: &'static [&'static str],
    /// It changes something: it must not be repeated when it is unknown whether it worked.
    pub(crate) once: bool,
}

impl Call {
    pub(crate) fn new(endpoint: Endpoint, action: &str) -> Call {
        let parameters = vec![("action".to_owned(), action.to_owned())];
        Call { endpoint, parameters, optional: &[], once: false }
    }

    pub(crate) fn with(mut self, name: &str, value: impl std::fmt::Display) -> Call {
        self.parameters.push((name.to_owned(), format!("{value}")));
        self
    }

    pub(crate) fn with_some(self, name: &str, value: Option<impl std::fmt::Display>) -> Call {
        match value {
            Some(value) => self.with(name, value),
            None => self,
        }
    }

    pub(crate) fn with_list(self, name: &str, values: &[impl ToString]) -> Call {
        if values.is_empty() {
            return self;
        }
        let list: Vec<String> = values.iter().map(ToString::to_string).collect();
        self.with(name, list.join(","))
    }
}

/// Why one try failed and what follows.
pub(crate) struct Failure {
    pub(crate) error: Error,
    pub(crate) then: Then,
    /// The ticket that was used.
    pub(crate) ticket: u64,
    /// The request certainly did not reach the platform.
    pub(crate) unsent: bool,
}

impl Failure {
    pub(crate) fn fatal(error: Error) -> Failure {
        Failure { error, then: Then::GiveUp, ticket: 0, unsent: false }
    }
}

/// An answer with a good status, put aside.
pub(crate) struct Sent {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) rate: RateHeaders,
    pub(crate) spool: Spool,
    /// Optional parameters that the platform refused and that this answer was asked without.
    pub(crate) dropped: Vec<String>,
}

impl Sent {
    /// Reads the body away from the asynchronous threads.
    pub(crate) async fn read<T: Send + 'static>(
        &mut self,
        limits: &Limits,
        reader: fn(&mut dyn BufRead, &Limits) -> Result<T, ReadError>,
    ) -> Result<Result<T, ReadError>, Failure> {
        let mut spool = std::mem::replace(&mut self.spool, Spool::new(None));
        let limits = limits.clone();
        let (spool, outcome) = tokio::task::spawn_blocking(move || {
            let outcome = match spool.reader() {
                Ok(mut input) => reader(&mut input, &limits),
                Err(error) => Err(ReadError::Io(error)),
            };
            (spool, outcome)
        })
        .await
        .map_err(|error| Failure::fatal(Error::Spool(std::io::Error::other(error))))?;
        self.spool = spool;
        Ok(outcome)
    }
}

impl Client {
    /// Makes a client of a subscription that nobody else calls. Nothing is sent yet.
    ///
    /// # Errors
    /// [`Error::Config`].
    pub fn new(config: Config, pace: Arc<dyn Pace>) -> Result<Client, Error> {
        let shared = Arc::new(Shared::new(&config));
        Client::with(config, pace, shared, Arc::new(Tickets::default()), Use::Import)
    }

    /// Another client of the same subscription, with its own patience. It knows the limits and versions that this one
    /// meets, and the other way round.
    ///
    /// # Errors
    /// [`Error::Config`].
    pub fn beside(&self, config: Config, using: Use) -> Result<Client, Error> {
        let inner = &self.inner;
        Client::with(config, Arc::clone(&inner.pace), Arc::clone(&inner.shared), Arc::clone(&inner.tickets), using)
    }

    /// The same, with a sign-in of its own: a test of a password must not be answered by an old session.
    ///
    /// # Errors
    /// [`Error::Config`].
    pub fn apart(&self, config: Config) -> Result<Client, Error> {
        let inner = &self.inner;
        let tickets = Arc::new(Tickets::default());
        Client::with(config, Arc::clone(&inner.pace), Arc::clone(&inner.shared), tickets, Use::Prompt)
    }

    /// This client for one piece of work: counted by itself, and closing it leaves the session to the others.
    #[must_use]
    pub fn lend(&self, using: Use) -> Client {
        let inner = &self.inner;
        let inner = Inner {
            config: inner.config.clone(),
            http: inner.http.clone(),
            pace: Arc::clone(&inner.pace),
            tickets: Arc::clone(&inner.tickets),
            limits: inner.limits.clone(),
            shared: Arc::clone(&inner.shared),
            using,
            lent: true,
            tally: Tally::default(),
        };
        Client { inner: Arc::new(inner) }
    }

    fn with(
        config: Config,
        pace: Arc<dyn Pace>,
        shared: Arc<Shared>,
        tickets: Arc<Tickets>,
        using: Use,
    ) -> Result<Client, Error> {
        let http = reach::http_client(&config)?;
        let limits = Limits {
            input_bytes: config.answer_bytes_max,
            rejections_described: REJECTIONS_DESCRIBED,
            ..Limits::default()
        };
        let inner = Inner { config, http, pace, tickets, limits, shared, using, lent: false, tally: Tally::default() };
        Ok(Client { inner: Arc::new(inner) })
    }

    /// What it was made from.
    pub fn config(&self) -> &Config {
        &self.inner.config
    }

    /// What was called so far, over all clones of this client.
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.inner.tally.read()
    }

    /// What the platform said of its limits.
    #[must_use]
    pub fn quotas(&self) -> Vec<(Endpoint, Quota)> {
        self.inner.shared.quotas()
    }

    /// Takes in limits that were met before a restart or elsewhere, where they are newer.
    pub fn recall(&self, endpoint: Endpoint, quota: &Quota) {
        self.inner.shared.lane(endpoint).recall(quota);
    }

    /// The end points whose version is gone, and what answers instead.
    #[must_use]
    pub fn fallen(&self) -> Vec<Fallen> {
        self.inner.shared.fallen()
    }

    /// Uses the later version from the first call on, where the configured one is still the one that was gone.
    pub fn fall(&self, fallen: Fallen) {
        self.inner.shared.fall(fallen);
    }

    /// How often anything was learnt of limits and versions, and how often a limit refused a call: to see what is new.
    #[must_use]
    pub fn news(&self) -> (u64, u64) {
        self.inner.shared.news()
    }

    /// Ends the session, where there is one and it is this client's own.
    pub async fn close(&self) {
        if !self.inner.lent {
            self.inner.log_out().await;
        }
    }

    /// Makes a call and reads its answer.
    pub(crate) async fn call<T: Send + 'static>(
        &self,
        call: Call,
        reader: fn(&mut dyn BufRead, &Limits) -> Result<T, ReadError>,
    ) -> Result<T, Error> {
        self.inner.call(call, reader).await.map(|(value, _)| value)
    }
}

impl Inner {
    /// Makes a call: waits for its turn, tries, lives with limits, and reads the answer. One page at most.
    pub(crate) async fn call<T: Send + 'static>(
        &self,
        mut call: Call,
        reader: fn(&mut dyn BufRead, &Limits) -> Result<T, ReadError>,
    ) -> Result<(T, Sent), Error> {
        let mut tries = Tries::default();
        loop {
            let before = self.pace.now();
            let lane = self.shared.lane(call.endpoint);
            let entered = lane.enter(&*self.pace, self.using, self.config.limit_wait_max).await;
            self.tally.waited(before, self.pace.now());
            let permit = match entered {
                Ok(permit) => permit,
                Err(wait) => {
                    return Err(Error::Limited { what: call.endpoint.name(), wait, reply: Box::default() });
                }
            };
            let failure = match self.attempt(&call, reader).await {
                Ok((value, sent)) => {
                    self.shared.arrived(call.endpoint, tries.fell_from);
                    return Ok((value, Sent { dropped: tries.dropped, ..sent }));
                }
                Err(failure) => failure,
            };
            drop(permit);
            let before = self.pace.now();
            let next = self.next_try(&mut call, &mut tries, failure).await;
            self.tally.waited(before, self.pace.now());
            next?;
            self.tally.retried();
        }
    }

    /// Prepares the next try, or gives the error back.
    async fn next_try(&self, call: &mut Call, tries: &mut Tries, failure: Failure) -> Result<(), Error> {
        let Failure { error, then, ticket, .. } = failure;
        tracing::debug!(call = call.endpoint.name(), error = %error, then = ?then, "a Qualys call did not work");
        match then {
            Then::GiveUp => Err(error),
            Then::Again => {
                if tries.transient >= self.config.retries_max {
                    return Err(error);
                }
                let pause = retry::pause(Duration::from_secs(2), Duration::from_secs(60), tries.transient);
                tries.transient += 1;
                self.pace.sleep(pause + self.pace.jitter(pause / 2)).await;
                Ok(())
            }
            Then::Queue => {
                self.limited(call.endpoint, &error, None);
                let pause = retry::pause(Duration::from_secs(5), Duration::from_secs(300), tries.queued);
                tries.queued += 1;
                self.wait_for_limit(tries, pause + self.pace.jitter(pause / 2), call, error).await
            }
            Then::Wait(wait) => {
                self.limited(call.endpoint, &error, Some(wait));
                let wait = wait + Duration::from_secs(1) + self.pace.jitter(Duration::from_secs(5));
                self.wait_for_limit(tries, wait, call, error).await
            }
            Then::SignInAgain => {
                if self.config.auth == Auth::Basic || tries.signed_in {
                    return Err(error);
                }
                tries.signed_in = true;
                self.tickets.forget(ticket).await;
                Ok(())
            }
            Then::UnknownParameter => match unknown_parameter(call, &error) {
                Some(index) => {
                    let (name, _) = call.parameters.remove(index);
                    tracing::info!(parameter = name, "the platform does not know a parameter; asking without it");
                    tries.dropped.push(name);
                    Ok(())
                }
                None => Err(error),
            },
            Then::LaterVersion => {
                let used = if let Error::VersionGone { version, .. } = &error { *version } else { 0 };
                let from = *tries.fell_from.get_or_insert(used);
                if self.shared.later(call.endpoint, used, from) { Ok(()) } else { Err(error) }
            }
        }
    }

    fn limited(&self, endpoint: Endpoint, error: &Error, wait: Option<Duration>) {
        let words = error.reply().map(ToString::to_string).unwrap_or_default();
        self.shared.refused(endpoint, &words, wait, self.pace.now());
    }

    async fn wait_for_limit(&self, tries: &mut Tries, wait: Duration, call: &Call, error: Error) -> Result<(), Error> {
        if tries.waited + wait > self.config.limit_wait_max {
            let reply = Box::new(error.reply().cloned().unwrap_or_default());
            return Err(Error::Limited { what: call.endpoint.name(), wait, reply });
        }
        tries.waited += wait;
        self.pace.sleep(wait).await;
        Ok(())
    }

    async fn attempt<T: Send + 'static>(
        &self,
        call: &Call,
        reader: fn(&mut dyn BufRead, &Limits) -> Result<T, ReadError>,
    ) -> Result<(T, Sent), Failure> {
        let url = self.endpoint_url(call.endpoint).map_err(Failure::fatal)?;
        let request = self.http.post(url).header("X-Requested-With", &self.config.user_agent).form(&call.parameters);
        let (request, ticket) = self.prove(request).await?;
        let mut sent = match self.send(call.endpoint, request).await {
            Ok(sent) => sent,
            Err(failure) => return Err(uncertain(call, Failure { ticket, ..failure })),
        };
        match sent.read(&self.limits, reader).await? {
            Ok(value) => Ok((value, sent)),
            Err(error) => {
                let failure = self.body_failure(call.endpoint, &sent, error);
                Err(uncertain(call, Failure { ticket, ..failure }))
            }
        }
    }

    /// Sends a request and puts the answer aside; anything but a good status is a failure.
    pub(crate) async fn send(&self, endpoint: Endpoint, request: RequestBuilder) -> Result<Sent, Failure> {
        let what = endpoint.name();
        self.tally.called();
        let version = self.shared.version(endpoint);
        let mut response = request.send().await.map_err(|error| self.unreachable(endpoint, &error))?;
        let status = response.status().as_u16();
        let rate = RateHeaders::read(response.headers());
        self.shared.learn(endpoint, &rate, self.pace.now());
        if response.status().is_redirection() {
            let to =
                response.headers().get(reqwest::header::LOCATION).and_then(|to| to.to_str().ok()).unwrap_or("nowhere");
            let to = to.split(['?', '#']).next().unwrap_or_default().chars().take(200).collect();
            return Err(Failure::fatal(Error::Redirected { what, to }));
        }
        let headers = std::mem::take(response.headers_mut());
        let good = response.status().is_success() && status != 202;
        let bytes_max = if good { self.config.answer_bytes_max } else { ERROR_BODY_MAX };
        let spool = Spool::new(self.config.spool_folder.clone());
        let mut sent = Sent { status, headers, rate, spool, dropped: Vec::new() };
        self.download(endpoint, response, &mut sent.spool, bytes_max, good).await?;
        if good {
            return Ok(sent);
        }
        let outcome = sent.read(&Limits::default(), |input, limits| returns::answer(input, limits)).await?;
        let (code, text, items) = match outcome {
            Err(ReadError::ApiError { code, text, items }) => (code, text, items),
            Ok(answer) => (None, answer.text, answer.items),
            Err(_) => (None, String::new(), Vec::new()),
        };
        let then = retry::judge(status, &sent.rate, code.as_deref(), &text, &items);
        let reply = self.reply(endpoint, &sent, Some((code, text)));
        let error = if then == Then::LaterVersion {
            Error::VersionGone { what, version, reply: Box::new(reply) }
        } else {
            error::from_reply(endpoint, reply)
        };
        Err(Failure { error, then, ticket: 0, unsent: false })
    }

    async fn download(
        &self,
        endpoint: Endpoint,
        mut response: Response,
        spool: &mut Spool,
        bytes_max: u64,
        good: bool,
    ) -> Result<(), Failure> {
        loop {
            match response.chunk().await {
                Ok(Some(bytes)) if spool.len() + bytes.len() as u64 > bytes_max => {
                    if !good {
                        return Ok(());
                    }
                    let source = ReadError::TooLarge { what: "the answer", limit: bytes_max };
                    let reply = Box::default();
                    return Err(Failure::fatal(Error::Answer { what: endpoint.name(), source, reply }));
                }
                Ok(Some(bytes)) => {
                    self.tally.received(bytes.len() as u64);
                    spool.push(&bytes).map_err(|error| Failure::fatal(Error::Spool(error)))?;
                }
                Ok(None) => return Ok(()),
                // An error's body may be cut; its status says enough.
                Err(_) if !good => return Ok(()),
                Err(error) => return Err(self.unreachable(endpoint, &error)),
            }
        }
    }

    /// The failure for a body that was promised good and is not.
    pub(crate) fn body_failure(&self, endpoint: Endpoint, sent: &Sent, source: ReadError) -> Failure {
        let then = retry::judge_body(&sent.rate, &source);
        let error = match source {
            ReadError::ApiError { code: code @ Some(_), text, .. } => {
                error::from_reply(endpoint, self.reply(endpoint, sent, Some((code, text))))
            }
            source => {
                let reply = Box::new(self.reply(endpoint, sent, None));
                Error::Answer { what: endpoint.name(), source, reply }
            }
        };
        Failure { error, then, ticket: 0, unsent: false }
    }

    /// What an answer said, with every secret masked.
    pub(crate) fn reply(&self, endpoint: Endpoint, sent: &Sent, said: Option<(Option<String>, String)>) -> Reply {
        let (code, text) = said.unwrap_or_default();
        // Option profiles can hold passwords of scanned machines.
        let kept = if endpoint == Endpoint::OptionProfiles && sent.status == 200 { 0 } else { BODY_BYTES };
        let body = String::from_utf8_lossy(sent.spool.head(kept)).into_owned();
        let ticket = self.tickets.latest();
        Reply {
            status: sent.status,
            code,
            text: self.mask(text, ticket.as_ref().map(Secret::reveal)),
            body: self.mask(body, ticket.as_ref().map(Secret::reveal)),
        }
    }

    fn mask(&self, mut text: String, ticket: Option<&str>) -> String {
        let password = self.config.password.reveal();
        let encoded: String = url::form_urlencoded::byte_serialize(password.as_bytes()).collect();
        let basic = STANDARD.encode(format!("{}:{password}", self.config.username));
        for secret in [Some(password), Some(&encoded), Some(&basic), ticket].into_iter().flatten() {
            if !secret.is_empty() && text.contains(secret) {
                text = text.replace(secret, "***");
            }
        }
        text
    }

    fn unreachable(&self, endpoint: Endpoint, error: &reqwest::Error) -> Failure {
        let host = self.config.api_url.host_str().unwrap_or_default().to_owned();
        let unsent = error.is_connect();
        let (cause, reason) = (reach::cause(error), reach::reason(error));
        let error = Error::Unreachable { host, what: endpoint.name(), cause, reason };
        Failure { error, then: Then::Again, ticket: 0, unsent }
    }

    /// Where an end point is, in the version in use.
    pub(crate) fn endpoint_url(&self, endpoint: Endpoint) -> Result<Url, Error> {
        let version = self.shared.version(endpoint);
        join(&self.config.api_url, &format!("api/{version}.0/fo/{}", endpoint.path()))
    }
}

/// How often one call was tried and how long it waited.
#[derive(Default)]
struct Tries {
    transient: u32,
    queued: u32,
    waited: Duration,
    signed_in: bool,
    dropped: Vec<String>,
    /// The version that was gone first.
    fell_from: Option<u8>,
}

/// Where in the call the parameter is that an error names, if the call can do without it.
fn unknown_parameter(call: &Call, error: &Error) -> Option<usize> {
    let text = &error.reply()?.text;
    let named = |name: &str| text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').any(|word| word == name);
    call.parameters.iter().position(|(name, _)| call.optional.contains(&name.as_str()) && named(name))
}

/// A call that changes something and got no clear answer: it is unknown whether it worked, so it is not repeated. Refusals
/// before the work (limits, sign-in) and requests that never left are repeated like any other.
fn uncertain(call: &Call, failure: Failure) -> Failure {
    if !call.once || failure.then != Then::Again || failure.unsent {
        return failure;
    }
    if matches!(&failure.error, Error::Refused { reply, .. } if reply.status < 500) {
        return Failure { then: Then::GiveUp, ..failure };
    }
    let reason = failure.error.to_string();
    Failure::fatal(Error::Uncertain { what: call.endpoint.name(), reason })
}

/// A path below a base URL, whatever path the base already has.
pub(crate) fn join(base: &Url, path: &str) -> Result<Url, Error> {
    if !matches!(base.scheme(), "https" | "http") || !base.has_host() {
        return Err(Error::Config(format!("`{base}` is no http or https address")));
    }
    let mut url = base.clone();
    url.set_path(&format!("{}/{path}", base.path().trim_end_matches('/')));
    url.set_query(None);
    url.set_fragment(None);
    Ok(url)
}

//! The network half: drives the [`Session`] machine with real sockets and pipes.
//!
//! It has no rights over the host or the agent's directory: what it knows came through its standard input. It holds one worker
//! thread per lane, because requests block. When the executor goes away it ends.

use crate::clock;
use crate::failpoint;
use crate::frame::{self, FrameError, Hello, ToNet};
use crate::session::{Input, Lane, Now, Output, Session};
use protocol::agent::BODY_BYTES_MAX;
use rand::TryRng as _;
use std::collections::BTreeMap;
use std::io::Write;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::Duration;
use ureq::tls::{Certificate, RootCerts, TlsConfig, TlsProvider};

/// Stack of a worker thread, in bytes; TLS needs the most.
const STACK_BYTES: usize = 512 * 1024;
/// How long a connection may take to be made.
const CONNECT: Duration = Duration::from_secs(15);

/// Why the network half ended.
#[derive(Debug, thiserror::Error)]
pub enum NetError {
    /// The first frame was no hello, or nonsense.
    #[error("starting the network half: {0}")]
    Hello(String),
    /// The pipe.
    #[error(transparent)]
    Frame(#[from] FrameError),
    /// The client could not be set up.
    #[error("setting up TLS: {0}")]
    Tls(String),
}

struct Request {
    path: &'static str,
    body: Vec<u8>,
    timeout: Duration,
    fresh: bool,
}

/// Run the network half on standard input and output until the executor ends it. `elsewhere`: it does not have to confine itself,
/// because a unit of systemd does that or the host's owner goes without.
///
/// # Errors
/// See [`NetError`].
pub fn serve(elsewhere: bool) -> Result<(), NetError> {
    // Without its executor it is of no use.
    let _ = rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::TERM));
    // It holds the request key: nobody else of its user may look into it, and it never becomes anybody else.
    let _ = rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::NotDumpable);
    let _ = rustix::thread::set_no_new_privs(true);
    match crate::confine::network_half() {
        Ok(()) => tracing::info!("the network half changes no file and starts no program"),
        Err(reason) if elsewhere => tracing::warn!("the network half does not confine itself: {reason}"),
        Err(reason) => return Err(NetError::Hello(format!("it cannot be confined: {reason}"))),
    }
    let mut stdin = std::io::stdin().lock();
    let hello = match frame::read::<ToNet>(&mut stdin)? {
        ToNet::Hello(hello) => *hello,
        _ => return Err(NetError::Hello("the first frame is no hello".to_owned())),
    };
    drop(stdin);
    let agent = client(&hello.ca)?;
    let (to, from) = channel();
    let lanes = [Lane::Poll, Lane::Talk].map(|lane| (lane, worker(lane, &hello, agent.clone(), to.clone())));
    spawn("frames", move || {
        let mut stdin = std::io::stdin().lock();
        while let Ok(frame) = frame::read::<ToNet>(&mut stdin) {
            if to.send(Input::Frame(Box::new(frame))).is_err() {
                return;
            }
        }
        // The executor is gone. Nothing here is worth keeping: events live in its journal.
        let _ = to.send(Input::Frame(Box::new(ToNet::Stop)));
    });
    let session = Session::new(hello, seed()).map_err(|error| NetError::Hello(error.to_string()))?;
    drive(session, &from, &lanes.into(), &mut std::io::stdout().lock())
}

fn drive(
    mut session: Session,
    from: &Receiver<Input>,
    lanes: &BTreeMap<Lane, Sender<Request>>,
    executor: &mut impl Write,
) -> Result<(), NetError> {
    let mut input = Input::Tick;
    loop {
        for output in session.handle(input, now()) {
            match output {
                Output::Send { lane, path, body, timeout_ms, fresh } => {
                    let timeout = Duration::from_millis(timeout_ms);
                    if let Some(worker) = lanes.get(&lane) {
                        let _ = worker.send(Request { path, body, timeout, fresh });
                    }
                }
                Output::Tell(told) => frame::write(executor, &told)?,
                Output::Log(line) => tracing::info!("{line}"),
                Output::End => return Ok(()),
            }
        }
        let pause = session.wake_at().map_or(60_000, |at| at.saturating_sub(now().ms)).clamp(1, 60_000);
        input = match from.recv_timeout(Duration::from_millis(pause)) {
            Ok(input) => input,
            Err(RecvTimeoutError::Timeout) => Input::Tick,
            Err(RecvTimeoutError::Disconnected) => return Ok(()),
        };
    }
}

fn now() -> Now {
    Now { ms: u64::try_from(clock::boot_micros() / 1000).unwrap_or(0), wall: clock::wall() }
}

fn seed() -> u64 {
    let mut bytes = [0; 8];
    match rand::rngs::SysRng.try_fill_bytes(&mut bytes) {
        Ok(()) => u64::from_le_bytes(bytes),
        Err(_) => clock::boot_micros().unsigned_abs(),
    }
}

fn spawn(name: &str, work: impl FnOnce() + Send + 'static) {
    let thread = std::thread::Builder::new().name(name.to_owned()).stack_size(STACK_BYTES);
    if let Err(error) = thread.spawn(work) {
        tracing::error!("a thread could not be started: {error}");
    }
}

fn worker(lane: Lane, hello: &Hello, agent: ureq::Agent, to: Sender<Input>) -> Sender<Request> {
    let (send, take) = channel::<Request>();
    let (server, ca) = (hello.server.clone(), hello.ca.clone());
    let name = match lane {
        Lane::Poll => "poll",
        Lane::Talk => "talk",
    };
    spawn(name, move || {
        for request in take {
            failpoint::hit("net-before-send");
            // A kept connection needs neither a name nor a handshake, so it would prove that nothing is cut off when all is.
            let fresh = if request.fresh { client(&ca) } else { Ok(agent.clone()) };
            let input = match fresh {
                Ok(agent) => exchange(lane, &server, &agent, &request),
                Err(error) => Input::Failed { lane, reason: error.to_string() },
            };
            failpoint::hit("net-after-reply");
            if to.send(input).is_err() {
                return;
            }
        }
    });
    send
}

fn exchange(lane: Lane, server: &str, agent: &ureq::Agent, request: &Request) -> Input {
    let failed = |reason: String| Input::Failed { lane, reason };
    let answer = agent
        .post(format!("{server}{}", request.path))
        .config()
        .timeout_global(Some(request.timeout))
        .build()
        .header("content-type", "application/json")
        .send(&request.body[..]);
    let mut response = match answer {
        Ok(response) => response,
        Err(error) => return failed(error.to_string()),
    };
    let status = response.status().as_u16();
    let retry_after = response.headers().get("retry-after").and_then(|value| value.to_str().ok()?.parse().ok());
    // An index may be larger than a request: its own limit is checked by the executor before it is parsed.
    let limit = (BODY_BYTES_MAX + 2 * catalogue::index::INDEX_BYTES_MAX) as u64;
    match response.body_mut().with_config().limit(limit).read_to_vec() {
        Ok(body) => Input::Reply { lane, status, retry_after, body },
        Err(error) => failed(error.to_string()),
    }
}

/// A client that trusts nothing but the pinned certificate.
///
/// # Errors
/// When the certificate is none.
pub fn client(ca: &str) -> Result<ureq::Agent, NetError> {
    let certificate = Certificate::from_pem(ca.as_bytes()).map_err(|error| NetError::Tls(error.to_string()))?;
    Ok(with(Trusted::Only(certificate)))
}

/// A client that trusts nobody in particular: to fetch the certificate that is then compared with the token.
#[must_use]
pub fn unverified_client() -> ureq::Agent {
    with(Trusted::AnybodyUnverified)
}

enum Trusted {
    Only(Certificate<'static>),
    AnybodyUnverified,
}

fn with(trusted: Trusted) -> ureq::Agent {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let tls = TlsConfig::builder().provider(TlsProvider::Rustls).unversioned_rustls_crypto_provider(provider);
    let tls = match trusted {
        Trusted::Only(certificate) => tls.root_certs(RootCerts::new_with_certs(&[certificate])),
        Trusted::AnybodyUnverified => tls.disable_verification(true),
    };
    ureq::Agent::config_builder()
        .https_only(true)
        .proxy(None)
        .max_redirects(0)
        .http_status_as_error(false)
        .timeout_connect(Some(CONNECT))
        .tls_config(tls.build())
        .user_agent(concat!("quell-agent/", env!("CARGO_PKG_VERSION")))
        .build()
        .into()
}

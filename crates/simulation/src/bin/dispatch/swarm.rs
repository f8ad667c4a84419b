//! A thousand light agents in one process: the production session with real signatures over real TLS connections, one per
//! lane as the agent has them; instead of an executor something that finds everything in place already.

use agent::frame::{Hello, Settings, Status, ToExecutor, ToNet};
use agent::session::{Input, Lane, Now, Output, Session};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use domain::asset::Identity;
use domain::mitigation::{ControlState, Origin};
use domain::time::Timestamp;
use protocol::agent::{
    ActionEvidence, ENROL_PATH, Enrol, Enrolled, Event, EventKind, Facts, Outcome, PROTOCOL_VERSION, TaskEpoch,
    TaskReport,
};
use protocol::order::{ORDER_BYTES_MAX, Order};
use protocol::permit::PERMIT_CAPABILITY;
use protocol::signed::{Envelope, SigningKey};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use uuid::Uuid;

/// The real agent's client drops a connection that was idle for so long.
const IDLE: Duration = Duration::from_secs(15);

/// Where the server is.
pub struct Place {
    address: String,
    name: ServerName<'static>,
    tls: TlsConnector,
}

impl Place {
    /// From `https://host:port` and the authority's certificate.
    pub fn new(url: &str, ca: &str) -> Arc<Self> {
        let mut roots = rustls::RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(ca.as_bytes()).expect("a certificate")).expect("a certificate");
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("TLS")
            .with_root_certificates(roots)
            .with_no_client_auth();
        let address = url.trim_start_matches("https://").to_owned();
        let host = address.rsplit_once(':').expect("a port").0.to_owned();
        let name = ServerName::try_from(host).expect("a name");
        Arc::new(Self { address, name, tls: TlsConnector::from(Arc::new(config)) })
    }

    async fn connect(&self) -> std::io::Result<TlsStream<TcpStream>> {
        let stream = TcpStream::connect(&self.address).await?;
        stream.set_nodelay(true)?;
        self.tls.connect(self.name.clone(), stream).await
    }
}

/// One request and its answer on a connection.
async fn exchange(stream: &mut TlsStream<TcpStream>, path: &str, body: &[u8]) -> std::io::Result<(u16, Vec<u8>)> {
    let head = format!(
        "POST {path} HTTP/1.1\r\nhost: quell\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    let mut request = head.into_bytes();
    request.extend_from_slice(body);
    stream.write_all(&request).await?;
    let mut buffer = Vec::with_capacity(2048);
    let end = loop {
        if let Some(at) = buffer.windows(4).position(|window| window == b"\r\n\r\n") {
            break at + 4;
        }
        if stream.read_buf(&mut buffer).await? == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
    };
    let head = String::from_utf8_lossy(&buffer[..end]).to_ascii_lowercase();
    let status = head.split(' ').nth(1).and_then(|word| word.parse().ok()).unwrap_or(0);
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")?.trim().parse::<usize>().ok());
    let length = length.ok_or(std::io::ErrorKind::InvalidData)?;
    while buffer.len() < end + length {
        if stream.read_buf(&mut buffer).await? == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
    }
    Ok((status, buffer[end..end + length].to_vec()))
}

/// What the swarm has seen since it was last asked.
#[derive(Default)]
pub struct Seen {
    /// When each order came, and when the server made it.
    pub orders: Vec<(Instant, Timestamp)>,
    /// (Task, epoch) whose end the server has stored.
    pub done: BTreeSet<(Uuid, u32)>,
    /// When the last of them was.
    pub last_done: Option<Instant>,
}

/// All agents.
#[derive(Clone)]
pub struct Swarm {
    /// What they have seen.
    pub seen: Arc<Mutex<Seen>>,
    /// Agents whose first poll was sent and let in.
    pub polling: Arc<AtomicUsize>,
}

struct Ask {
    path: &'static str,
    body: Vec<u8>,
}

/// One enrolled agent.
pub struct Member {
    hello: Hello,
}

/// Enrol one.
pub async fn enrol(place: &Place, token: (Uuid, &str), machine: &(String, String)) -> Member {
    let key = SigningKey::generate().expect("a key");
    let public_key = STANDARD.encode(key.public().as_bytes());
    let said = format!("quell-enrol-v1:{}:{public_key}", token.0);
    let kinds = catalogue::actions::ACTION_KINDS.iter().map(|kind| format!("{kind}@1"));
    let capabilities = kinds.chain([PERMIT_CAPABILITY.to_owned()]).collect();
    let facts = Facts {
        hostname: machine.0.clone(),
        os_id: "debian".to_owned(),
        os_version: "12".to_owned(),
        os_title: "Debian GNU/Linux 12 (bookworm)".to_owned(),
        kernel: "6.1.0-18-amd64".to_owned(),
        zone: "Europe/Rome".to_owned(),
        identity: Identity { scanner_uuid: Some(machine.1.clone()), ..Identity::default() },
        addresses: vec!["10.0.0.1".to_owned()],
        agent_version: env!("CARGO_PKG_VERSION").to_owned(),
        capabilities,
        mode: "normal".to_owned(),
        confinement: String::new(),
    };
    let enrol = Enrol {
        v: PROTOCOL_VERSION,
        token_id: token.0,
        secret: token.1.to_owned(),
        proof: STANDARD.encode(key.sign(said.as_bytes())),
        public_key,
        facts: facts.clone(),
    };
    let body = serde_json::to_vec(&enrol).expect("strings and numbers");
    let mut stream = place.connect().await.expect("a connection");
    let (status, answer) = exchange(&mut stream, ENROL_PATH, &body).await.expect("an answer");
    assert_eq!(status, 200, "{}", String::from_utf8_lossy(&answer));
    let enrolled: Enrolled = serde_json::from_slice(&answer).expect("an enrolment");
    let hello = Hello {
        server: String::new(),
        ca: String::new(),
        key: key.to_pem().as_str().to_owned(),
        agent_id: enrolled.agent_id,
        instance_id: enrolled.instance_id,
        settings: Settings::default(),
        facts,
        // Root and index are at hand, as they are for an agent that comes back.
        status: Status { root_version: 1, index_version: 1, ..Status::default() },
        seq_from: 1,
        seq_until: 1_000_000,
    };
    Member { hello }
}

impl Swarm {
    /// Nobody has seen anything.
    pub fn new() -> Self {
        Self { seen: Arc::default(), polling: Arc::default() }
    }

    /// Live one agent, for ever.
    pub async fn live(self, place: Arc<Place>, member: Member, random: u64) {
        let (to, mut from) = mpsc::unbounded_channel();
        let lanes = [Lane::Poll, Lane::Talk].map(|lane| {
            let (send, take) = mpsc::unbounded_channel::<Ask>();
            tokio::spawn(carry(lane, place.clone(), take, to.clone(), self.polling.clone()));
            send
        });
        let began = Instant::now();
        let mut session = Session::new(member.hello, random).expect("a key");
        let mut input = Input::Tick;
        loop {
            let mut inputs = vec![input];
            while let Some(next) = inputs.pop() {
                let ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(0) + 1;
                for output in session.handle(next, Now { ms, wall: agent::clock::wall() }) {
                    match output {
                        Output::Send { lane, path, body, .. } => {
                            let _ = lanes[lane as usize].send(Ask { path, body });
                        }
                        Output::Tell(frame) => inputs.extend(self.hear(frame)),
                        Output::Log(_) | Output::End => {}
                    }
                }
            }
            let ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(0) + 1;
            let pause = session.wake_at().map_or(60_000, |at| at.saturating_sub(ms)).clamp(1, 60_000);
            input = match tokio::time::timeout(Duration::from_millis(pause), from.recv()).await {
                Ok(Some(input)) => input,
                Ok(None) => return,
                Err(_) => Input::Tick,
            };
        }
    }

    /// What stands in for the executor: an order is taken, started and found done; each is said as the real one says it.
    fn hear(&self, frame: ToExecutor) -> Vec<Input> {
        match frame {
            ToExecutor::Order { envelope } => {
                let envelope = Envelope::parse(envelope.as_bytes(), ORDER_BYTES_MAX).expect("an envelope");
                let order: Order = serde_json::from_slice(envelope.unverified_payload()).expect("an order");
                let made = order.not_after.plus_seconds(-domain::task::ORDER_SECONDS);
                self.seen.lock().expect("nobody panics").orders.push((Instant::now(), made));
                let said = [EventKind::Accepted, EventKind::Started, EventKind::Finished(Box::new(unchanged(&order)))];
                let events = (1..).zip(said).map(|(n, kind)| event(&order, n, kind));
                // The last in the list is taken first.
                events.collect::<Vec<_>>().into_iter().rev().collect()
            }
            ToExecutor::Acked { acked } => {
                let mut seen = self.seen.lock().expect("nobody panics");
                for acked in acked.iter().filter(|acked| acked.n >= 3) {
                    seen.done.insert((acked.task, acked.epoch));
                    seen.last_done = Some(Instant::now());
                }
                Vec::new()
            }
            _ => Vec::new(),
        }
    }
}

fn event(order: &Order, n: u32, event: EventKind) -> Input {
    let of = TaskEpoch { task: order.task, epoch: order.epoch };
    let event = Event { task: of.task, epoch: of.epoch, n, at: agent::clock::wall(), event };
    let text = serde_json::to_string(&event).expect("strings and numbers");
    Input::Frame(Box::new(ToNet::Event { of, n, text }))
}

/// The report of an entry that is in place already.
fn unchanged(order: &Order) -> TaskReport {
    let evidence = ActionEvidence {
        kind: "file.setting".to_owned(),
        target: order.entry_id.clone(),
        before: "as wanted".to_owned(),
        after: "as wanted".to_owned(),
        did: "already_present".to_owned(),
        files: Vec::new(),
        diff: String::new(),
    };
    TaskReport {
        outcome: Outcome::Unchanged,
        state: ControlState::Effective,
        origin: Some(Origin::External),
        message: "already in place".to_owned(),
        actions: vec![evidence],
        left_changed: false,
        restart_needed: None,
    }
}

/// One lane: a connection when it is needed, requests one after the other.
async fn carry(
    lane: Lane,
    place: Arc<Place>,
    mut asks: mpsc::UnboundedReceiver<Ask>,
    to: mpsc::UnboundedSender<Input>,
    polling: Arc<AtomicUsize>,
) {
    let mut stream: Option<TlsStream<TcpStream>> = None;
    let mut counted = false;
    loop {
        let ask = if stream.is_some() && lane == Lane::Talk {
            match tokio::time::timeout(IDLE, asks.recv()).await {
                Ok(ask) => ask,
                Err(_) => {
                    stream = None;
                    continue;
                }
            }
        } else {
            asks.recv().await
        };
        let Some(ask) = ask else { return };
        let answer = async {
            if stream.is_none() {
                stream = Some(place.connect().await?);
            }
            if lane == Lane::Poll && !std::mem::replace(&mut counted, true) {
                polling.fetch_add(1, Ordering::Relaxed);
            }
            exchange(stream.as_mut().expect("just made"), ask.path, &ask.body).await
        };
        let input = match answer.await {
            Ok((status, body)) => Input::Reply { lane, status, retry_after: None, body },
            Err(error) => {
                stream = None;
                Input::Failed { lane, reason: error.to_string() }
            }
        };
        if to.send(input).is_err() {
            return;
        }
    }
}

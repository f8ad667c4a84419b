//! A server of a few dozen lines, over real TLS: keeps orders and events as the protocol says, and nothing more.

#![allow(dead_code, clippy::allow_attributes, reason = "helpers of tests, of which each test file uses its own part")]

use crate::common::{ORDER, ROOT, key, make_index, make_root, now};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use catalogue::schema::Entry;
use protocol::agent::{
    Acked, Body, CA_PATH, CONTENT_PATH, ENROL_PATH, EVENTS_PATH, Enrol, Enrolled, EnrolmentToken, Event, EventKind,
    EventsReply, POLL_PATH, PollReply, REQUEST_TYPE, Request, TaskEpoch,
};
use protocol::digest::Digest;
use protocol::order::{ORDER_TYPE, Order};
use protocol::signed::{Envelope, PublicKey};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};
use uuid::Uuid;

#[derive(Default)]
pub struct Store {
    pub agent_key: Option<PublicKey>,
    pub last_seq: u64,
    pub replays: u32,
    pub polls: u32,
    pub facts: Option<protocol::agent::Facts>,
    pub orders: Vec<(TaskEpoch, String)>,
    pub revoke: Vec<TaskEpoch>,
    pub events: BTreeMap<(Uuid, u32), Vec<String>>,
    pub conflicts: Vec<String>,
    pub order_seq: u64,
    /// Sent with the next reply, whatever the agent has: what a hostile server tries.
    pub pushed_roots: Option<Vec<String>>,
    /// As `pushed_roots`.
    pub pushed_index: Option<String>,
}

pub struct Server {
    pub ca_pem: String,
    pub token: String,
    pub entries: Vec<Entry>,
    pub store: Arc<(Mutex<Store>, Condvar)>,
    /// Handed out to an agent that has another version; a hostile server changes it.
    pub index: Mutex<String>,
    /// What is answered to whoever asks for content, instead of it: a status and words.
    pub withheld: Mutex<Option<(u16, String)>>,
    /// Given for a digest instead of an entry's own bytes.
    pub contents: Mutex<BTreeMap<String, Vec<u8>>>,
    root: String,
}

pub const AGENT: Uuid = Uuid::from_u128(0xa);
pub const INSTANCE: Uuid = Uuid::from_u128(0xb);

impl Server {
    pub fn start(entries: Vec<Entry>) -> Arc<Self> {
        Self::expiring(entries, 3600, 3600)
    }

    /// Known by this name, at this address.
    pub fn named(entries: Vec<Entry>, name: &str, address: &str) -> Arc<Self> {
        Self::with(entries, 3600, 3600, name, address)
    }

    /// Root and index run out so many seconds from now.
    pub fn expiring(entries: Vec<Entry>, root_seconds: i64, index_seconds: i64) -> Arc<Self> {
        Self::with(entries, root_seconds, index_seconds, "127.0.0.1", "127.0.0.1:0")
    }

    fn with(entries: Vec<Entry>, root_seconds: i64, index_seconds: i64, name: &str, address: &str) -> Arc<Self> {
        let ca_key = rcgen::KeyPair::generate().unwrap();
        let mut params = rcgen::CertificateParams::new(Vec::<String>::new()).unwrap();
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let ca = params.self_signed(&ca_key).unwrap();
        let issuer = rcgen::Issuer::from_params(&params, &ca_key);
        let leaf_key = rcgen::KeyPair::generate().unwrap();
        let leaf = rcgen::CertificateParams::new(vec![name.to_owned()]).unwrap();
        let leaf = leaf.signed_by(&leaf_key, &issuer).unwrap();
        let listener = TcpListener::bind(address).unwrap();
        let port = listener.local_addr().unwrap().port();
        let token = EnrolmentToken {
            server: format!("https://{name}:{port}"),
            ca_sha256: Digest::of(ca.der()).to_string(),
            token_id: Uuid::from_u128(7),
            secret: "c2VjcmV0".to_owned(),
        };
        let server = Arc::new(Self {
            ca_pem: ca.pem(),
            token: format!("quell1.{}", URL_SAFE_NO_PAD.encode(serde_json::to_vec(&token).unwrap())),
            index: Mutex::new(make_index(1, index_seconds, &entries, Vec::new())),
            withheld: Mutex::default(),
            contents: Mutex::default(),
            root: String::from_utf8(make_root(1, root_seconds).seal(&[&key(ROOT)]).unwrap().to_json()).unwrap(),
            entries,
            store: Arc::default(),
        });
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(
                vec![CertificateDer::from(leaf.der().to_vec())],
                PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(leaf_key.serialize_der())),
            )
            .unwrap();
        let config = Arc::new(config);
        let this = Arc::clone(&server);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (this, config) = (Arc::clone(&this), Arc::clone(&config));
                std::thread::spawn(move || {
                    let _ = this.serve(stream, config);
                });
            }
        });
        server
    }

    fn serve(&self, stream: TcpStream, config: Arc<rustls::ServerConfig>) -> std::io::Result<()> {
        let tls = rustls::ServerConnection::new(config).unwrap();
        let mut stream = BufReader::new(rustls::StreamOwned::new(tls, stream));
        loop {
            let mut line = String::new();
            if stream.read_line(&mut line)? == 0 {
                return Ok(());
            }
            let path = line.split_whitespace().nth(1).unwrap_or_default().to_owned();
            let mut length = 0;
            loop {
                let mut header = String::new();
                stream.read_line(&mut header)?;
                if header.trim().is_empty() {
                    break;
                }
                if let Some(value) = header.to_lowercase().strip_prefix("content-length:") {
                    length = value.trim().parse().unwrap();
                }
            }
            let mut body = vec![0; length];
            stream.read_exact(&mut body)?;
            let (status, answer) = self.answer(&path, &body);
            let head = format!("HTTP/1.1 {status} X\r\ncontent-length: {}\r\n\r\n", answer.len());
            let out = stream.get_mut();
            out.write_all(head.as_bytes())?;
            out.write_all(&answer)?;
            out.flush()?;
        }
    }

    fn answer(&self, path: &str, body: &[u8]) -> (u16, Vec<u8>) {
        match path {
            CA_PATH => (200, self.ca_pem.clone().into_bytes()),
            ENROL_PATH => {
                let enrol: Enrol = serde_json::from_slice(body).unwrap();
                let bytes: [u8; 32] = STANDARD.decode(&enrol.public_key).unwrap().try_into().unwrap();
                let public = PublicKey::from_bytes(&bytes).unwrap();
                let said = format!("quell-enrol-v1:{}:{}", enrol.token_id, enrol.public_key);
                if enrol.secret != "c2VjcmV0"
                    || !public.verifies(said.as_bytes(), &STANDARD.decode(&enrol.proof).unwrap())
                {
                    return (401, b"no".to_vec());
                }
                self.store.0.lock().unwrap().agent_key = Some(public);
                let root = self.root.clone();
                let enrolled = Enrolled { agent_id: AGENT, instance_id: INSTANCE, root, now: now() };
                (200, serde_json::to_vec(&enrolled).unwrap())
            }
            _ => match self.request(body) {
                Err(status) => (status, Vec::new()),
                Ok(request) => match (path, request.body) {
                    (POLL_PATH, Body::Poll(poll)) => self.poll(&poll),
                    (EVENTS_PATH, Body::Events(events)) => self.events(&events.events),
                    (CONTENT_PATH, Body::Content(content)) => {
                        if let Some((status, words)) = self.withheld.lock().unwrap().clone() {
                            return (status, words.into_bytes());
                        }
                        if let Some(bytes) = self.contents.lock().unwrap().get(&content.digest) {
                            return (200, bytes.clone());
                        }
                        let found = self.entries.iter().find(|e| e.digest().to_string() == content.digest);
                        found.map_or((404, Vec::new()), |entry| (200, entry.to_json()))
                    }
                    _ => (400, Vec::new()),
                },
            },
        }
    }

    fn request(&self, body: &[u8]) -> Result<Request, u16> {
        let mut store = self.store.0.lock().unwrap();
        let envelope = Envelope::parse(body, 1024 * 1024).map_err(|_| 400_u16)?;
        let key = store.agent_key.clone().ok_or(401_u16)?;
        let request: Request = envelope.verify(REQUEST_TYPE, &[key], 1).map_err(|_| 401_u16)?.parse().unwrap();
        if request.seq <= store.last_seq {
            store.replays += 1;
            return Err(409);
        }
        store.last_seq = request.seq;
        Ok(request)
    }

    fn poll(&self, poll: &protocol::agent::Poll) -> (u16, Vec<u8>) {
        let deadline = Instant::now() + Duration::from_secs(u64::from(poll.hold_seconds));
        let (lock, changed) = &*self.store;
        let mut store = lock.lock().unwrap();
        store.polls += 1;
        if poll.facts.is_some() {
            store.facts.clone_from(&poll.facts);
        }
        changed.notify_all();
        loop {
            let answered = |of: &TaskEpoch| store.events.contains_key(&(of.task, of.epoch));
            let open = |of: &TaskEpoch| poll.open.iter().any(|open| (open.task, open.epoch) == (of.task, of.epoch));
            let orders: Vec<String> = store
                .orders
                .iter()
                .filter(|(of, _)| !answered(of) && !open(of))
                .map(|(_, text)| text.clone())
                .collect();
            let revoke: Vec<TaskEpoch> = store.revoke.iter().filter(|of| !answered(of)).copied().collect();
            let index = (poll.index_version == 0).then(|| self.index.lock().unwrap().clone());
            let index = store.pushed_index.take().or(index);
            let roots = store.pushed_roots.take().unwrap_or_default();
            let left = deadline.saturating_duration_since(Instant::now());
            if !orders.is_empty() || !revoke.is_empty() || index.is_some() || !roots.is_empty() || left.is_zero() {
                let reply = PollReply {
                    now: now(),
                    roots,
                    index,
                    approvals: vec![],
                    orders,
                    revoke,
                    acked: vec![],
                    wait_seconds: 0,
                };
                return (200, serde_json::to_vec(&reply).unwrap());
            }
            store = changed.wait_timeout(store, left).unwrap().0;
        }
    }

    fn events(&self, texts: &[String]) -> (u16, Vec<u8>) {
        let (lock, changed) = &*self.store;
        let mut store = lock.lock().unwrap();
        let mut acked = Vec::new();
        for text in texts {
            let event: Event = serde_json::from_str(text).unwrap();
            let known = store.events.entry((event.task, event.epoch)).or_default();
            match known.get(event.n as usize - 1).cloned() {
                Some(old) if old == *text => {}
                Some(old) => store.conflicts.push(format!("{old}\n{text}")),
                None if known.len() + 1 == event.n as usize => known.push(text.clone()),
                None => {}
            }
            let n = u32::try_from(store.events[&(event.task, event.epoch)].len()).unwrap();
            acked.push(Acked { task: event.task, epoch: event.epoch, n });
        }
        changed.notify_all();
        (200, serde_json::to_vec(&EventsReply { now: now(), acked }).unwrap())
    }

    /// Sign and offer an order; the fields that address it are filled in.
    pub fn offer(&self, mut order: Order) {
        let (lock, changed) = &*self.store;
        let mut store = lock.lock().unwrap();
        store.order_seq += 1;
        (order.agent_id, order.instance_id, order.order_seq) = (AGENT, INSTANCE, store.order_seq);
        let payload = serde_json::to_vec(&order).unwrap();
        let text = String::from_utf8(Envelope::sign(ORDER_TYPE, &payload, &[&key(ORDER)]).to_json()).unwrap();
        store.orders.push((TaskEpoch { task: order.task, epoch: order.epoch }, text));
        changed.notify_all();
    }

    /// Offer a text in the place of an order, as it is.
    pub fn offer_text(&self, of: TaskEpoch, text: String) {
        let (lock, changed) = &*self.store;
        lock.lock().unwrap().orders.push((of, text));
        changed.notify_all();
    }

    /// Send roots or an index with the next reply, asked for or not.
    pub fn push(&self, roots: Option<Vec<String>>, index: Option<String>) {
        let (lock, changed) = &*self.store;
        let mut store = lock.lock().unwrap();
        (store.pushed_roots, store.pushed_index) = (roots, index);
        changed.notify_all();
    }

    /// Wait until something holds of the store.
    pub fn wait<T>(&self, what: &str, look: impl Fn(&Store) -> Option<T>) -> T {
        let (lock, changed) = &*self.store;
        let deadline = Instant::now() + Duration::from_secs(60);
        let mut store = lock.lock().unwrap();
        loop {
            if let Some(found) = look(&store) {
                return found;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            assert!(!left.is_zero(), "waited too long for {what}; events: {:#?}", store.events);
            store = changed.wait_timeout(store, left).unwrap().0;
        }
    }

    /// The events of a (task, epoch).
    pub fn events_of(&self, task: Uuid, epoch: u32) -> Vec<Event> {
        let store = self.store.0.lock().unwrap();
        let texts = store.events.get(&(task, epoch)).cloned().unwrap_or_default();
        texts.iter().map(|text| serde_json::from_str(text).unwrap()).collect()
    }

    /// Wait for the event that ends a (task, epoch).
    pub fn ended(&self, task: Uuid, epoch: u32) -> EventKind {
        self.wait("the end of a task", |store| {
            let last = store.events.get(&(task, epoch))?.last()?;
            let event: Event = serde_json::from_str(last).unwrap();
            match event.event {
                EventKind::Accepted | EventKind::Started => None,
                other => Some(other),
            }
        })
    }
}

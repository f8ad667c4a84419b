//! What is fixed in a model: keys, root, indexes, contents, times, and how an order is made of a row.

use crate::bounds::Bounds;
use crate::ledger::{Id, Ledger};
use crate::state::{Clock, Message, Task};
use agent::record::{FORMAT, Record};
use agent::verify::Trust;
use catalogue::ephemeral::single_key_root;
use catalogue::index::{Index, Revocation, Revoked, VerifiedIndex, verify_index};
use catalogue::schema::Entry;
use domain::time::Timestamp;
use protocol::digest::Digest;
use protocol::order::{ORDER_TYPE, Order, OrderKind, Supersedes};
use protocol::root::Root;
use protocol::signed::{Envelope, SigningKey};
use std::collections::BTreeMap;
use uuid::Uuid;

/// The end of every order, in seconds; the agent's clock is before it or past it.
const NOT_AFTER: i64 = 10_000;
/// Root and indexes stay valid.
const EXPIRES: i64 = 1_000_000;
/// Numbers of orders that the server's own row never makes.
const HOSTILE_SEQ: u64 = 100;
/// Tasks that exist only in orders of a hostile server.
const HOSTILE_TASK: Task = 100;

/// Just enough of an entry.
const ENTRY: &str = r#"
schema = 1
id = "linux-model-a"
revision = 1
title = "A setting"
status = "active"
platform = "linux"
type = "config-line"
implication = "mitigation"

[[vulnerability]]
cve = "CVE-2024-6387"
coverage = "full"
points = 45
vector = "network"

[[action]]
kind = "file.setting"
path = "/etc/ssh/sshd_config"
format = "sshd"
key = "LoginGraceTime"
value = "0"
validate = "sshd"

[after]
restart = []
reboot = "no"
reversible = "yes"

[human]
summary = "Text."
side_effects = "Text."
risk = "low"
remove_when_patched = true

[[reference]]
url = "https://example.com/advisory"
kind = "vendor"
"#;

/// An index as it travels, as it was verified, and what the monitors allow under it.
struct Listing {
    sealed: String,
    verified: Option<VerifiedIndex>,
    version: u64,
    allowed: Vec<String>,
}

/// See the module.
pub struct Scene {
    root: Root,
    order_key: SigningKey,
    content_key: SigningKey,
    entry: Entry,
    contents: BTreeMap<String, Vec<u8>>,
    listings: Vec<Listing>,
    tasks_per_host: u8,
    permits: bool,
}

fn entry(id: &str) -> Entry {
    Entry::from_toml(&ENTRY.replace("linux-model-a", id)).expect("the entry above is one")
}

fn key(n: u8) -> SigningKey {
    SigningKey::from_secret(&[n; 32])
}

fn text(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).expect("envelopes are JSON")
}

impl Scene {
    /// Make it.
    pub fn new(bounds: &Bounds) -> Self {
        let (root_key, content_key, organisation, order_key) = (key(1), key(2), key(3), key(4));
        let expires = Timestamp::from_micros(0).plus_seconds(EXPIRES);
        let publics = [&root_key, &content_key, &organisation, &order_key].map(SigningKey::public);
        let [of_root, of_content, of_organisation, of_order] = &publics;
        let root = single_key_root(of_root, of_content, of_organisation, of_order, 1, expires);
        let (a, b, never) = (entry("linux-model-a"), entry("linux-model-b"), entry("linux-model-never"));
        let reason = "withdrawn".parse().expect("a line");
        let revoked = vec![Revocation { what: Revoked::Id(a.id.clone()), reason }];
        let first = Index::of(1, expires, std::slice::from_ref(&a), Vec::new());
        let second = Index::of(2, expires, &[a.clone(), b.clone()], revoked);
        let forged = Index::of(3, expires, &[a.clone(), b.clone(), never.clone()], Vec::new());
        let seal = |index: &Index, key: &SigningKey, allowed: &[&Entry]| {
            let sealed = text(index.seal(&[key]).expect("a sound index").to_json());
            let verified = verify_index(&root, sealed.as_bytes(), 0).ok();
            let allowed = allowed.iter().map(|entry| entry.digest().to_string()).collect();
            Listing { sealed, verified, version: index.version, allowed }
        };
        let listings =
            vec![seal(&first, &content_key, &[&a]), seal(&second, &content_key, &[&b]), seal(&forged, &order_key, &[])];
        let contents = [&a, &b, &never].map(|entry| (entry.digest().to_string(), entry.to_json()));
        Self {
            root,
            order_key,
            content_key,
            entry: a,
            contents: contents.into_iter().collect(),
            listings,
            tasks_per_host: bounds.tasks,
            permits: bounds.limit > 0,
        }
    }

    /// The host of a task.
    pub fn host_of(&self, task: Task) -> u8 {
        if task >= HOSTILE_TASK { 0 } else { task / self.tasks_per_host }
    }

    /// A task's id on the wire.
    pub fn task_id(task: Task) -> Uuid {
        Uuid::from_u128(u128::from(task) + 1)
    }

    /// The task of an id on the wire.
    pub fn task_of(id: Uuid) -> Task {
        Task::try_from(id.as_u128().saturating_sub(1)).unwrap_or(Task::MAX)
    }

    /// A host's agent id.
    pub fn agent_id(host: u8) -> Uuid {
        Uuid::from_u128(0xa000 + u128::from(host))
    }

    /// A host's instance id.
    pub fn instance_id(host: u8) -> Uuid {
        Uuid::from_u128(0xb000 + u128::from(host))
    }

    /// What a host's agent trusts.
    pub fn trust(&self, host: u8, index: Option<u8>) -> Trust<'_> {
        Trust {
            root: &self.root,
            index: self.index(index),
            index_fault: None,
            approvals: const { &BTreeMap::new() },
            agent_id: Self::agent_id(host),
            instance_id: Self::instance_id(host),
        }
    }

    /// The root.
    pub fn root(&self) -> &Root {
        &self.root
    }

    /// The index in force.
    pub fn index(&self, place: Option<u8>) -> Option<&VerifiedIndex> {
        self.listings.get(usize::from(place?))?.verified.as_ref()
    }

    /// An index as it travels.
    pub fn sealed(&self, place: u8) -> &str {
        self.listings.get(usize::from(place)).map_or("", |listing| &listing.sealed)
    }

    /// Its version, for the monitors.
    pub fn version(&self, place: Option<u8>) -> u64 {
        place.and_then(|place| self.listings.get(usize::from(place))).map_or(0, |listing| listing.version)
    }

    /// Whether an index is one that the content key signed, for the monitors.
    pub fn signed(&self, place: Option<u8>) -> bool {
        self.version(place) < 3
    }

    /// Whether content may be started under an index, for the monitors.
    pub fn allows(&self, place: Option<u8>, digest: &str) -> bool {
        let listing = place.and_then(|place| self.listings.get(usize::from(place)));
        listing.is_some_and(|listing| listing.allowed.iter().any(|allowed| allowed == digest))
    }

    /// Content is always at hand: whoever runs the server can send any bytes.
    pub fn content(&self, digest: &str) -> Option<Vec<u8>> {
        self.contents.get(digest).cloned()
    }

    /// The corrected clock of an agent.
    pub fn now(clock: Clock) -> Timestamp {
        let present = NOT_AFTER / 2;
        Timestamp::from_micros(0).plus_seconds(match clock {
            Clock::True => present,
            Clock::Late => NOT_AFTER + 1,
            Clock::Slow => present / 2,
        })
    }

    /// So many seconds from now.
    pub fn at(seconds: i16) -> Timestamp {
        Self::now(Clock::True).plus_seconds(i64::from(seconds))
    }

    /// What the server signs with its order key.
    pub fn envelope(&self, kind: &str, payload: &[u8]) -> String {
        text(Envelope::sign(kind, payload, &[&self.order_key]).to_json())
    }

    /// The journal an agent begins with.
    pub fn first_records(host: u8) -> Vec<Record> {
        vec![
            Record::Opened { format: FORMAT, instance_id: Self::instance_id(host), previous: None },
            Record::Trust { root_version: 1, index_version: 1 },
        ]
    }

    /// The signed order of a task's epoch, as `server::engine::orders` makes it.
    pub fn order(&self, task: Task, epoch: u32, order_seq: u64, resolved_by: &str) -> String {
        self.sign(&self.unsigned(task, epoch, order_seq, resolved_by), &self.order_key)
    }

    fn unsigned(&self, task: Task, epoch: u32, order_seq: u64, resolved_by: &str) -> Order {
        let host = self.host_of(task);
        Order {
            v: 1,
            kind: OrderKind::Apply,
            order_id: Uuid::from_u128(u128::from(order_seq)),
            job: "MJ0000001".to_owned(),
            task: Self::task_id(task),
            epoch,
            supersedes: Supersedes::before(epoch, resolved_by),
            agent_id: Self::agent_id(host),
            instance_id: Self::instance_id(host),
            order_seq,
            catalogue_min: 1,
            entry_id: self.entry.id.to_string(),
            entry_revision: self.entry.revision,
            content_digest: self.entry.digest().to_string(),
            not_before: Timestamp::from_micros(0),
            not_after: Timestamp::from_micros(0).plus_seconds(NOT_AFTER),
            run_timeout_seconds: 60,
            output_cap_bytes: 1000,
            dry_run: false,
            approval: None,
            permit: self.permits,
            restart: false,
        }
    }

    fn sign(&self, order: &Order, key: &SigningKey) -> String {
        let payload = serde_json::to_vec(order).expect("an order holds only strings and numbers");
        text(Envelope::sign(ORDER_TYPE, &payload, &[key]).to_json())
    }

    /// What a server in foreign hands puts on the wire: content that is not listed (yet, under this id, at all), an order that
    /// is not signed by the order key, and every index it ever saw or can sign itself.
    pub fn hostile(&self, ledger: &Ledger, count: u8) -> Vec<Message> {
        let digest = |id: &str| entry(id).digest().to_string();
        let plain = |at: u8| {
            let at = u64::from(at);
            self.unsigned(HOSTILE_TASK + Task::try_from(at).unwrap_or(0), 1, HOSTILE_SEQ + at, "")
        };
        let later = Order { entry_id: "linux-model-b".to_owned(), content_digest: digest("linux-model-b"), ..plain(0) };
        let other_bytes = Order { content_digest: digest("linux-model-never"), ..plain(1) };
        let never =
            Order { entry_id: "linux-model-never".to_owned(), content_digest: digest("linux-model-never"), ..plain(2) };
        let orders = [
            self.sign(&never, &self.order_key),
            self.sign(&later, &self.order_key),
            self.sign(&other_bytes, &self.order_key),
            self.sign(&plain(3), &self.content_key),
        ];
        let orders = orders
            .iter()
            .take(usize::from(count))
            .map(|envelope| Message::Order { host: 0, envelope: ledger.text(envelope) });
        orders.chain((0_u8..).take(self.listings.len()).map(|place| Message::Index { place })).collect()
    }

    /// The digest by which an event resolves an epoch.
    pub fn digest(ledger: &Ledger, event: Option<Id>) -> String {
        event.map_or_else(String::new, |id| Digest::of(ledger.read(id).as_bytes()).to_string())
    }
}

//! What an attack is made of, and the keys, entries and traps it may use.

use crate::common::{self, CONTENT, ORDER, World, entry, key, now, sshd};
use catalogue::index::{Index, IndexEntry, Revocation, Revoked};
use catalogue::schema::{Entry, EntryPlatform, Risk, Status};
use protocol::digest::Digest;
use protocol::order::{ORDER_TYPE, Order, OrderKind, RefusalCode};
use protocol::signed::Envelope;
use std::cell::Cell;
use std::collections::BTreeMap;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use uuid::Uuid;

/// The honest entry.
pub const ID: &str = "linux-sshd-login-grace-0";

/// How an attack ends.
#[derive(Clone, Copy, Debug)]
pub enum End {
    /// Refused with this code, and the server is told so for the task named.
    Refused(RefusalCode),
    /// Refused with this code; it names no task, so nothing is told.
    Silent(RefusalCode),
    /// Refused with this code; the task named has a result of its own, which alone is told again.
    ToldAgain(RefusalCode),
    /// Taken, because it is signed as it should be, and not begun: the report says why, with these words.
    NotBegun(&'static str),
}

/// What the server does.
#[derive(Clone, Debug)]
pub enum Move {
    /// Offers a text as an order.
    Order(String),
    /// Offers a text as a catalogue index.
    Index(String),
    /// Offers texts as newer root metadata.
    Roots(Vec<String>),
    /// Gives this text as the content of this digest.
    Content(String, String),
}

/// One row.
pub struct Attack {
    pub name: &'static str,
    pub end: End,
    pub moves: fn(&Forge) -> Vec<Move>,
}

/// A row that is a single text in the place of an order.
pub fn order(name: &'static str, code: RefusalCode, moves: fn(&Forge) -> Vec<Move>) -> Attack {
    Attack { name, end: End::Refused(code), moves }
}

/// What attacks are forged from. The order key is in the attacker's hands: the worst a server can be.
pub struct Forge {
    pub agent: Uuid,
    pub instance: Uuid,
    /// Entries in the signed index by id: digest and revision.
    pub listed: BTreeMap<String, (String, u32)>,
    /// Bytes by digest, as the hostile server gives them.
    pub contents: BTreeMap<String, Vec<u8>>,
    /// The signed index.
    pub index: String,
    next: Cell<u64>,
}

impl Forge {
    /// The catalogue: the honest entry, entries nobody may use, and hostile ones signed by a content key in the wrong hands.
    pub fn new(hostile: Vec<(&'static str, Vec<u8>)>) -> Self {
        let setting = "[[action]]\nkind = \"file.setting\"\npath = \"/etc/x\"\nformat = \"postconf\"\nkey = \"k\"\nvalue = \"v\"\n";
        let mut risky = entry("linux-risky", setting);
        risky.human.risk = Risk::High;
        let mut withdrawn = entry("linux-withdrawn", setting);
        withdrawn.status = Status::Withdrawn;
        let (by_id, by_digest) = (entry("linux-revoked-id", setting), entry("linux-revoked-digest", setting));
        let reason = "wrong".parse::<catalogue::text::Line>().unwrap();
        let revoked = vec![
            Revocation { what: Revoked::Id(by_id.id.clone()), reason: reason.clone() },
            Revocation { what: Revoked::Digest(by_digest.digest()), reason },
        ];
        // Only its content is exchanged on the way; nothing else is wrong with it.
        let exchanged = entry("linux-exchanged", setting);
        let custom = entry("org-by-content-alone", setting);
        let honest: Vec<Entry> = vec![sshd(), risky, withdrawn, by_id, by_digest, exchanged, custom];
        let mut index = Index::of(1, now().plus_seconds(3600), &honest, revoked);
        let mut contents: BTreeMap<String, Vec<u8>> =
            honest.iter().map(|entry| (entry.digest().to_string(), entry.to_json())).collect();
        for (id, bytes) in hostile {
            let (digest, size) = (Digest::of(&bytes), bytes.len() as u64);
            let id = id.parse().unwrap();
            let (platform, status) = (EntryPlatform::Linux, Status::Active);
            index.entries.push(IndexEntry { id, revision: 1, digest, size, platform, status });
            contents.insert(digest.to_string(), bytes);
        }
        index.entries.sort_by(|a, b| a.id.cmp(&b.id));
        let listed = index.entries.iter().map(|e| (e.id.to_string(), (e.digest.to_string(), e.revision))).collect();
        let index = String::from_utf8(index.seal(&[&key(CONTENT)]).unwrap().to_json()).unwrap();
        let (agent, instance) = (Uuid::from_u128(0xa), Uuid::from_u128(0xb));
        Self { agent, instance, listed, contents, index, next: Cell::new(100) }
    }

    /// An order as an honest server would make it, with a task and a number of its own.
    pub fn order(&self, kind: OrderKind, entry: &str) -> Order {
        let number = self.next.get() + 1;
        self.next.set(number);
        let world = World::new(vec![sshd()]);
        let (digest, revision) = self.listed.get(entry).cloned().unwrap_or_else(|| ("ab".repeat(32), 1));
        Order {
            agent_id: self.agent,
            instance_id: self.instance,
            order_seq: number,
            entry_id: entry.to_owned(),
            entry_revision: revision,
            content_digest: digest,
            ..world.order(kind, ID, u128::from(number), 1)
        }
    }

    /// An honest apply of the honest entry, changed, and signed with the real order key.
    pub fn changed(&self, change: impl FnOnce(&mut Order)) -> Vec<Move> {
        let mut order = self.order(OrderKind::Apply, ID);
        change(&mut order);
        vec![Move::Order(common::sign(&order, ORDER))]
    }

    /// An honest apply, its JSON changed as text, and signed with the real order key.
    pub fn rewritten(&self, change: impl FnOnce(String) -> String) -> Vec<Move> {
        let text = change(serde_json::to_string(&self.order(OrderKind::Apply, ID)).unwrap());
        vec![Move::Order(seal(ORDER_TYPE, text.as_bytes(), &[ORDER]))]
    }

    /// An apply of an entry in the index.
    pub fn apply(&self, entry: &str) -> Vec<Move> {
        vec![Move::Order(common::sign(&self.order(OrderKind::Apply, entry), ORDER))]
    }

    /// An honest apply in an envelope made otherwise.
    pub fn sealed(&self, kind: &str, with: &[u8]) -> Vec<Move> {
        let payload = serde_json::to_vec(&self.order(OrderKind::Apply, ID)).unwrap();
        vec![Move::Order(seal(kind, &payload, with))]
    }

    /// An honest, sealed apply whose envelope is changed afterwards.
    pub fn broken(&self, change: impl FnOnce(&mut serde_json::Value)) -> Vec<Move> {
        let payload = serde_json::to_vec(&self.order(OrderKind::Apply, ID)).unwrap();
        let mut envelope: serde_json::Value = serde_json::from_str(&seal(ORDER_TYPE, &payload, &[ORDER])).unwrap();
        change(&mut envelope);
        vec![Move::Order(envelope.to_string())]
    }
}

/// Sign bytes as this type with these keys.
pub fn seal(kind: &str, payload: &[u8], with: &[u8]) -> String {
    let keys: Vec<_> = with.iter().map(|n| key(*n)).collect();
    let keys: Vec<_> = keys.iter().collect();
    String::from_utf8(Envelope::sign(kind, payload, &keys).to_json()).unwrap()
}

/// Lay the traps that a local attacker could have laid for the agent, on the host and beside it.
pub fn traps(world: &World) -> PathBuf {
    let outside = world.folder.path().join("outside");
    for folder in [outside.clone(), outside.join("conf.d"), outside.join("app")] {
        std::fs::create_dir(&folder).unwrap();
        common::set_mode(&folder, 0o755);
    }
    for (name, text) in
        [("secret.conf", "k = kept\n"), ("conf.d/x.conf", "k = kept\n"), ("hard.conf", "k = kept\n"), ("tool", "kept")]
    {
        std::fs::write(outside.join(name), text).unwrap();
    }
    common::set_mode(&outside.join("tool"), 0o4755);
    std::fs::write(
        outside.join("app/log4j-core-2.0.jar"),
        common::jar::jar(&[("a", b"1"), ("x/JndiLookup.class", b"2")]),
    )
    .unwrap();
    let host = world.host();
    for path in ["etc/.keep", "usr/bin/.keep", "opt/.keep", "etc/open/x.conf"] {
        world.write(path, "");
    }
    let link = |to: &Path, name: &str| symlink(to, host.join(name)).unwrap();
    link(&outside, "etc/escape");
    link(&outside.join("secret.conf"), "etc/linked.conf");
    link(&outside.join("tool"), "usr/bin/tool-1");
    link(&outside.join("app"), "opt/app");
    std::fs::hard_link(outside.join("hard.conf"), host.join("etc/hard.conf")).unwrap();
    common::set_mode(&host.join("etc/open"), 0o777);
    outside
}

/// Everything below a folder: path, mode, bytes or link target.
pub fn look(folder: &Path) -> BTreeMap<PathBuf, (u32, Vec<u8>)> {
    use std::os::unix::fs::MetadataExt as _;
    let mut found = BTreeMap::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for item in std::fs::read_dir(&folder).unwrap() {
            let path = item.unwrap().path();
            let meta = std::fs::symlink_metadata(&path).unwrap();
            let bytes = if meta.is_dir() {
                folders.push(path.clone());
                Vec::new()
            } else if meta.is_symlink() {
                std::fs::read_link(&path).unwrap().into_os_string().into_encoded_bytes()
            } else {
                std::fs::read(&path).unwrap()
            };
            found.insert(path, (meta.mode(), bytes));
        }
    }
    found
}

/// How many intents, prior states and effects the journal of a state directory holds.
pub fn begun(state: &Path) -> usize {
    use agent::record::Record;
    let (damage, records) = agent::journal::Journal::read(&state.join("journal")).unwrap();
    assert_eq!(damage, None);
    let begins =
        |record: &&Record| matches!(record, Record::Intent { .. } | Record::Captured { .. } | Record::Effect { .. });
    records.iter().filter(begins).count()
}

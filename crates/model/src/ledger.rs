//! Long things, stored once and named by a number: journals with what they mean, envelopes, event texts.
//!
//! States hold numbers only, so millions of them fit; and what the product makes of the same journal and the same input is
//! computed once. Numbers depend on the order of exploration, states are equal if and only if what they name is equal.

use agent::orders::Book;
use agent::record::Record;
use protocol::digest::Digest;
use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, RwLock};

/// The number of something stored here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Id(pub u32);

/// A journal and what the product reads out of it.
pub struct Journal {
    /// The records.
    pub records: Vec<Record>,
    /// `agent::orders::Book::read` of them.
    pub book: Book,
}

/// Values by number, and numbers by key.
type Stored<T> = (Vec<Arc<T>>, HashMap<String, Id>);

/// Stored values by number, each once by its key.
struct Shelf<T> {
    inner: RwLock<Stored<T>>,
}

impl<T> Shelf<T> {
    fn new() -> Self {
        Self { inner: RwLock::new((Vec::new(), HashMap::new())) }
    }

    fn put(&self, key: &str, make: impl FnOnce() -> T) -> Id {
        if let Some(id) = self.inner.read().expect("no step panics while it holds this").1.get(key) {
            return *id;
        }
        let mut inner = self.inner.write().expect("no step panics while it holds this");
        if let Some(id) = inner.1.get(key) {
            return *id;
        }
        let id = Id(u32::try_from(inner.0.len()).expect("bounded models are far smaller"));
        inner.0.push(Arc::new(make()));
        inner.1.insert(key.to_owned(), id);
        id
    }

    fn get(&self, id: Id) -> Arc<T> {
        let inner = self.inner.read().expect("no step panics while it holds this");
        Arc::clone(inner.0.get(id.0 as usize).expect("numbers come from `put`"))
    }

    fn len(&self) -> usize {
        self.inner.read().expect("no step panics while it holds this").0.len()
    }
}

/// Answers that were computed before.
pub struct Memo<K, V> {
    inner: RwLock<HashMap<K, V>>,
}

impl<K: std::hash::Hash + Eq, V: Clone> Memo<K, V> {
    /// An empty one.
    pub fn new() -> Self {
        Self { inner: RwLock::new(HashMap::new()) }
    }

    /// The answer for `key`, computed by `make` at the first time.
    pub fn get(&self, key: K, make: impl FnOnce() -> V) -> V {
        if let Some(value) = self.inner.read().expect("no step panics while it holds this").get(&key) {
            return value.clone();
        }
        let value = make();
        self.inner.write().expect("no step panics while it holds this").insert(key, value.clone());
        value
    }
}

/// See the module.
pub struct Ledger {
    journals: Shelf<Journal>,
    appended: Memo<(Id, String), Id>,
    texts: Shelf<String>,
}

impl fmt::Debug for Ledger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} journals, {} texts", self.journals.len(), self.texts.len())
    }
}

fn digest(records: &[Record]) -> String {
    let json = serde_json::to_vec(records).expect("records hold only strings, numbers and lists of them");
    Digest::of(&json).to_string()
}

impl Ledger {
    /// An empty one.
    pub fn new() -> Self {
        Self { journals: Shelf::new(), appended: Memo::new(), texts: Shelf::new() }
    }

    /// Store an envelope or an event.
    pub fn text(&self, text: &str) -> Id {
        self.texts.put(text, || text.to_owned())
    }

    /// What was stored.
    pub fn read(&self, id: Id) -> Arc<String> {
        self.texts.get(id)
    }

    /// Store a journal.
    pub fn journal(&self, records: Vec<Record>) -> Id {
        self.journals.put(&digest(&records), || {
            let book = Book::read(&records);
            Journal { records, book }
        })
    }

    /// A journal and its meaning.
    pub fn open(&self, id: Id) -> Arc<Journal> {
        self.journals.get(id)
    }

    /// A journal with one record more.
    pub fn append(&self, id: Id, record: &Record) -> Id {
        self.appended.get((id, digest(std::slice::from_ref(record))), || {
            let mut records = self.open(id).records.clone();
            records.push(record.clone());
            self.journal(records)
        })
    }

    /// A journal without its last record, when `lost` says that this one is lost.
    pub fn without_last(&self, id: Id, lost: impl FnOnce(&Record) -> bool) -> Id {
        let mut records = self.open(id).records.clone();
        if records.last().is_some_and(lost) {
            records.pop();
        }
        self.journal(records)
    }
}

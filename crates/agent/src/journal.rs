//! The journal: an append-only file of records, each durable before the caller goes on.
//!
//! One record is `magic, length, chain, JSON`, where chain = SHA-256 over the previous chain and the JSON. What the records
//! mean is in [`crate::record`] and [`crate::orders`]; this module knows bytes only. A half-written record at the very end
//! is what a power cut leaves: it is cut off. A damaged record with others behind it is not: it is reported, the intact
//! part is read, and nothing can be appended any more.

use crate::record::Record;
use sha2::{Digest as _, Sha256};
use std::fs::{File, OpenOptions};
use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

/// Starts each record. The first byte cannot occur in UTF-8, so it never occurs inside a record's JSON.
const MAGIC: [u8; 4] = [0xf5, b'Q', b'J', 1];
/// Bytes before a record's JSON: magic, length (u32, little endian), chain.
const HEAD_BYTES: usize = 4 + 4 + 32;
/// A record larger than this is not written and not believed, in bytes of JSON.
pub const RECORD_BYTES_MAX: usize = 2 * 1024 * 1024;
/// A journal that is this large takes no new work but reverts, in bytes; compaction keeps it far below, unless the server
/// acknowledges nothing. Work that was taken may always be written to its end, and a journal of any size is read again: what
/// is ours on the host must never be lost for its size.
pub const WORK_BYTES_MAX: u64 = 48 * 1024 * 1024;
/// A journal that is this large starts nothing but the owner's reverts, in bytes.
pub const JOURNAL_BYTES_MAX: u64 = 64 * 1024 * 1024;
/// What the chain starts from.
const GENESIS: &[u8] = b"quell agent journal 1";
const NAME: &str = "journal.log";

/// Why the journal could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// The file system refused.
    #[error("{what} the journal {path}: {source}")]
    Io {
        /// What was attempted.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// A record in the middle does not match its chain.
    #[error(
        "the journal {path} is damaged at byte {offset}: no new work is taken; see docs/agent.md, \"A damaged journal\""
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// Where the first bad record starts.
        offset: u64,
    },
    /// An earlier write failed, so what is on disk is not known.
    #[error("an earlier write to the journal {0} failed: restart the agent")]
    Poisoned(PathBuf),
    /// Too large to take new work; nothing stands in the way of putting back what is ours.
    #[error(
        "the journal {path} has {size} bytes and takes no new work above {max}: the server has to acknowledge what it was \
         told first; see docs/agent.md, \"A full journal\""
    )]
    Full {
        /// The file.
        path: PathBuf,
        /// Found.
        size: u64,
        /// Allowed.
        max: u64,
    },
    /// A record too large to be written.
    #[error("a record for the journal {path} has {size} bytes, at most {max} are allowed")]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// Found.
        size: u64,
        /// Allowed.
        max: u64,
    },
}

/// What reading the bytes of a journal gave.
#[derive(Debug, PartialEq)]
struct Parsed {
    records: Vec<Record>,
    /// Bytes up to the end of the last good record.
    good: usize,
    chain: [u8; 32],
    /// A bad record with others behind it starts here.
    damage: Option<usize>,
}

/// An open journal.
#[derive(Debug)]
pub struct Journal {
    file: File,
    path: PathBuf,
    chain: [u8; 32],
    bytes: u64,
    damage: Option<u64>,
    poisoned: bool,
    /// Bytes cut off the end when it was opened.
    torn: u64,
}

impl Journal {
    /// Open or make the journal in `directory` and read it.
    ///
    /// # Errors
    /// When it cannot be read at all. Damage is no error here, see [`Journal::damage`].
    pub fn open(directory: &Path) -> Result<(Self, Vec<Record>), JournalError> {
        let path = directory.join(NAME);
        let io = |what, path: &Path| {
            let path = path.to_owned();
            move |source| JournalError::Io { what, path, source }
        };
        std::fs::create_dir_all(directory).map_err(io("creating the directory of", &path))?;
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&path)
            .map_err(io("opening", &path))?;
        let size = file.metadata().map_err(io("reading", &path))?.len();
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).map_err(io("reading", &path))?;
        let parsed = parse(&bytes);
        let good = parsed.good as u64;
        let mut journal = Self {
            file,
            path,
            chain: parsed.chain,
            bytes: good,
            damage: parsed.damage.map(|offset| offset as u64),
            poisoned: false,
            torn: 0,
        };
        if journal.damage.is_none() && good < size {
            journal.torn = size - good;
            journal.cut()?;
        }
        sync_directory(directory).map_err(io("syncing the directory of", &journal.path))?;
        Ok((journal, parsed.records))
    }

    /// Read the journal in `directory` without changing anything, while another process may be writing it. Gives where it
    /// is damaged, if it is, and the intact records.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn read(directory: &Path) -> Result<(Option<u64>, Vec<Record>), JournalError> {
        let path = directory.join(NAME);
        let bytes = match std::fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Vec::new(),
            Err(source) => return Err(JournalError::Io { what: "reading", path, source }),
        };
        let parsed = parse(&bytes);
        Ok((parsed.damage.map(|offset| offset as u64), parsed.records))
    }

    /// Whether there is room for new work, or for a revert that was ordered. Never asked before the owner's own revert.
    ///
    /// # Errors
    /// [`JournalError::Full`].
    pub fn room(&self, revert: bool) -> Result<(), JournalError> {
        let max = if revert { JOURNAL_BYTES_MAX } else { WORK_BYTES_MAX };
        match self.bytes < max {
            true => Ok(()),
            false => Err(JournalError::Full { path: self.path.clone(), size: self.bytes, max }),
        }
    }

    /// Bytes of the journal in `directory`, 0 when there is none; works while another process writes it.
    #[must_use]
    pub fn size(directory: &Path) -> u64 {
        std::fs::metadata(directory.join(NAME)).map_or(0, |meta| meta.len())
    }

    /// Append one record; it is on disk when this returns.
    ///
    /// # Errors
    /// When it is not, or when the journal is damaged: the caller must not go on to the effect.
    pub fn append(&mut self, record: &Record) -> Result<(), JournalError> {
        if let Some(offset) = self.damage {
            return Err(JournalError::Damaged { path: self.path.clone(), offset });
        }
        if self.poisoned {
            return Err(JournalError::Poisoned(self.path.clone()));
        }
        let json = serde_json::to_vec(record).expect("records hold only strings, numbers and lists of them");
        if json.len() > RECORD_BYTES_MAX {
            let (size, max) = (json.len() as u64, RECORD_BYTES_MAX as u64);
            return Err(JournalError::TooLarge { path: self.path.clone(), size, max });
        }
        let (framed, chain) = frame(&self.chain, &json);
        let mut write = || {
            crate::failpoint::room()?;
            self.file.seek(SeekFrom::Start(self.bytes))?;
            self.file.write_all(&framed)
        };
        let written = write();
        if let Err(source) = written {
            // A full disk leaves part of a record: cut it off, so that the journal stays usable when there is room again.
            self.poisoned = self.cut().is_err();
            return Err(JournalError::Io { what: "writing", path: self.path.clone(), source });
        }
        crate::failpoint::hit("journal-before-sync");
        if let Err(source) = self.file.sync_data() {
            // After a failed fsync the kernel may have dropped the pages: only a new process knows what is there.
            self.poisoned = true;
            return Err(JournalError::Io { what: "syncing", path: self.path.clone(), source });
        }
        self.chain = chain;
        self.bytes += framed.len() as u64;
        Ok(())
    }

    /// Replace the whole journal by these records, atomically.
    ///
    /// # Errors
    /// When the new file could not be made; the old one is untouched then.
    pub fn rewrite(&mut self, records: &[Record]) -> Result<(), JournalError> {
        if let Some(offset) = self.damage {
            return Err(JournalError::Damaged { path: self.path.clone(), offset });
        }
        let mut chain = genesis();
        let mut bytes = Vec::new();
        for record in records {
            let json = serde_json::to_vec(record).expect("records hold only strings, numbers and lists of them");
            let (framed, next) = frame(&chain, &json);
            bytes.extend_from_slice(&framed);
            chain = next;
        }
        let next = self.path.with_extension("next");
        let io = |what, path: &Path| {
            let path = path.to_owned();
            move |source| JournalError::Io { what, path, source }
        };
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&next)
            .map_err(io("creating", &next))?;
        let written = crate::failpoint::room().and_then(|()| file.write_all(&bytes)).and_then(|()| file.sync_all());
        written.map_err(io("writing", &next))?;
        std::fs::rename(&next, &self.path).map_err(io("replacing", &self.path))?;
        if let Some(directory) = self.path.parent() {
            sync_directory(directory).map_err(io("syncing the directory of", &self.path))?;
        }
        (self.file, self.chain, self.bytes, self.poisoned) = (file, chain, bytes.len() as u64, false);
        Ok(())
    }

    /// Hex SHA-256 over the journal so far.
    #[must_use]
    pub fn head(&self) -> String {
        protocol::digest::Digest::from_bytes(self.chain).to_string()
    }

    /// Bytes on disk.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Where a damaged record starts, when there is one.
    #[must_use]
    pub fn damage(&self) -> Option<u64> {
        self.damage
    }

    /// How many bytes of a half-written record were cut off at opening.
    #[must_use]
    pub fn torn(&self) -> u64 {
        self.torn
    }

    fn cut(&mut self) -> Result<(), JournalError> {
        self.file.set_len(self.bytes).and_then(|()| self.file.sync_all()).map_err(|source| JournalError::Io {
            what: "cutting the torn end off",
            path: self.path.clone(),
            source,
        })
    }
}

fn genesis() -> [u8; 32] {
    Sha256::digest(GENESIS).into()
}

fn link(previous: &[u8; 32], json: &[u8]) -> [u8; 32] {
    Sha256::new().chain_update(previous).chain_update(json).finalize().into()
}

fn frame(previous: &[u8; 32], json: &[u8]) -> (Vec<u8>, [u8; 32]) {
    let chain = link(previous, json);
    let length = u32::try_from(json.len()).expect("the caller checked against RECORD_BYTES_MAX");
    let mut framed = Vec::with_capacity(HEAD_BYTES + json.len());
    framed.extend_from_slice(&MAGIC);
    framed.extend_from_slice(&length.to_le_bytes());
    framed.extend_from_slice(&chain);
    framed.extend_from_slice(json);
    (framed, chain)
}

fn parse(bytes: &[u8]) -> Parsed {
    let mut parsed = Parsed { records: Vec::new(), good: 0, chain: genesis(), damage: None };
    while let Some(rest) = bytes.get(parsed.good..).filter(|rest| !rest.is_empty()) {
        let Some((record, chain, length)) = first(rest, &parsed.chain) else {
            // Another record behind the bad one means that this is not the torn end of the last write.
            let later = rest.get(1..).unwrap_or_default();
            parsed.damage = later.windows(MAGIC.len()).any(|window| window == MAGIC).then_some(parsed.good);
            break;
        };
        parsed.records.push(record);
        parsed.chain = chain;
        parsed.good += length;
    }
    parsed
}

fn first(rest: &[u8], previous: &[u8; 32]) -> Option<(Record, [u8; 32], usize)> {
    let (magic, rest) = rest.split_first_chunk::<4>()?;
    let (length, rest) = rest.split_first_chunk::<4>()?;
    let (chain, rest) = rest.split_first_chunk::<32>()?;
    let length = u32::from_le_bytes(*length) as usize;
    let json = rest.get(..length).filter(|_| *magic == MAGIC && length <= RECORD_BYTES_MAX)?;
    if link(previous, json) != *chain {
        return None;
    }
    let record = serde_json::from_slice(json).ok()?;
    Some((record, *chain, HEAD_BYTES + length))
}

/// Make a rename or a creation in this directory durable.
///
/// # Errors
/// As the file system says.
pub fn sync_directory(directory: &Path) -> std::io::Result<()> {
    File::open(directory)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn record(n: u64) -> Record {
        Record::Trust { root_version: n, index_version: n * 2 }
    }

    fn image(count: u64) -> (Vec<u8>, Vec<usize>) {
        let (mut bytes, mut ends, mut chain) = (Vec::new(), vec![0], genesis());
        for n in 0..count {
            let (framed, next) = frame(&chain, &serde_json::to_vec(&record(n)).unwrap());
            bytes.extend_from_slice(&framed);
            chain = next;
            ends.push(bytes.len());
        }
        (bytes, ends)
    }

    #[test]
    fn what_was_appended_is_read_again() {
        let directory = tempfile::tempdir().unwrap();
        let (mut journal, records) = Journal::open(directory.path()).unwrap();
        assert!(records.is_empty());
        for n in 0..5 {
            journal.append(&record(n)).unwrap();
        }
        let head = journal.head();
        let (mut journal, records) = Journal::open(directory.path()).unwrap();
        assert_eq!(records, (0..5).map(record).collect::<Vec<_>>());
        assert_eq!(journal.head(), head);
        journal.rewrite(&[record(9)]).unwrap();
        journal.append(&record(10)).unwrap();
        let (_, records) = Journal::open(directory.path()).unwrap();
        assert_eq!(records, [record(9), record(10)]);
    }

    #[test]
    fn damage_in_the_middle_is_reported_and_stops_writing() {
        let directory = tempfile::tempdir().unwrap();
        let (mut bytes, ends) = image(4);
        bytes[ends[1] + HEAD_BYTES + 3] ^= 1;
        std::fs::write(directory.path().join(NAME), &bytes).unwrap();
        let (mut journal, records) = Journal::open(directory.path()).unwrap();
        assert_eq!(records, [record(0)]);
        assert_eq!(journal.damage(), Some(ends[1] as u64));
        assert!(matches!(journal.append(&record(9)), Err(JournalError::Damaged { .. })));
        assert_eq!(std::fs::read(directory.path().join(NAME)).unwrap(), bytes, "evidence is not touched");
    }

    proptest! {
        /// A power cut at any byte loses at most the record that was being written.
        #[test]
        fn any_torn_end_gives_the_whole_records_before_it(count in 1_u64..6, cut in 0_usize..2000) {
            let (bytes, ends) = image(count);
            let cut = cut.min(bytes.len());
            let parsed = parse(&bytes[..cut]);
            let whole = ends.iter().filter(|end| **end <= cut).count() - 1;
            prop_assert_eq!(parsed.records.len(), whole);
            prop_assert_eq!(parsed.damage, None);
        }

        /// No flipped bit is ever taken for a record.
        #[test]
        fn any_flipped_bit_is_found(count in 1_u64..6, at in 0_usize..2000, bit in 0_u8..8) {
            let (mut bytes, ends) = image(count);
            let at = at % bytes.len();
            bytes[at] ^= 1 << bit;
            let parsed = parse(&bytes);
            let hit = ends.iter().filter(|end| **end <= at).count() - 1;
            prop_assert_eq!(parsed.records.len(), hit);
            prop_assert_eq!(parsed.damage.is_some(), hit + 1 < usize::try_from(count).unwrap());
        }
    }
}

//! The agent's directory: enrolment, key, trust, content, prior states, and the host owner's switches.
//!
//! Only the executor half reads or writes here. Every write is a synced file renamed over the old one. What lies where is
//! listed in `docs/agent.md`.

mod lock;
mod switches;

use crate::journal::sync_directory;
use protocol::digest::Digest;
use protocol::signed::SigningKey;
use serde::{Deserialize, Serialize};
use std::fs::OpenOptions;
use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use uuid::Uuid;

pub use lock::Lock;
pub use switches::Controls;

/// How many sequence numbers of requests are reserved at once.
pub const SEQ_BLOCK: u64 = 1000;

/// Why the directory could not be used.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// The file system refused.
    #[error("{what} {path}: {source}")]
    Io {
        /// What was attempted.
        what: &'static str,
        /// On what.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// A file holds something else than it should.
    #[error("reading {path}: {why}")]
    Malformed {
        /// Which.
        path: PathBuf,
        /// What is wrong.
        why: String,
    },
    /// Not enrolled.
    #[error("{0} is not enrolled: run `quell-agent enrol` with a token from the server first")]
    NotEnrolled(PathBuf),
    /// Others may enter it, and it holds other things than an agent's.
    #[error("{0} can be entered by others and does not look like an agent's: name a directory of its own")]
    Shared(PathBuf),
    /// It belongs to somebody else.
    #[error(
        "{path} belongs to user {uid}, who could replace what is in it: name a directory of the user that the agent runs as"
    )]
    Foreign {
        /// Which.
        path: PathBuf,
        /// Whose.
        uid: u32,
    },
    /// Another agent runs with it.
    #[error("another agent is running with {0}")]
    Locked(PathBuf),
}

/// What enrolment gave.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Enrolment {
    /// Version of this file.
    pub format: u32,
    /// `https://host:port`.
    pub server: String,
    /// SHA-256 of the CA certificate's DER, hex, as the token gave it.
    pub ca_sha256: String,
    /// Who we are.
    pub agent_id: Uuid,
    /// Which installation.
    pub instance_id: Uuid,
}

/// The directory.
#[derive(Clone, Debug)]
pub struct StateDir {
    path: PathBuf,
}

impl StateDir {
    /// Use a directory, making it with mode 0700 if need be.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn open(path: &Path) -> Result<Self, StateError> {
        let io = |source| StateError::Io { what: "making the directory", path: path.to_owned(), source };
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(io)?;
        let state = Self { path: path.to_owned() };
        state.close_to_others()?;
        Ok(state)
    }

    /// A directory that was made before us, by a package or by hand, may be open to others. It is closed when it is ours or empty;
    /// one that holds something else is somebody else's, and is neither closed nor used.
    fn close_to_others(&self) -> Result<(), StateError> {
        let path = &self.path;
        let io = |what| move |source| StateError::Io { what, path: path.clone(), source };
        let meta = std::fs::metadata(path).map_err(io("reading the mode of"))?;
        // Whoever owns it can put other files in the place of ours, however closed it is.
        if meta.uid() != rustix::process::geteuid().as_raw() {
            return Err(StateError::Foreign { path: path.clone(), uid: meta.uid() });
        }
        let mode = meta.permissions().mode();
        if mode & 0o077 == 0 {
            return Ok(());
        }
        let empty = std::fs::read_dir(path).map_err(io("reading"))?.next().is_none();
        if !empty && !path.join("agent.json").is_file() {
            return Err(StateError::Shared(path.clone()));
        }
        let closed = std::fs::Permissions::from_mode(0o700);
        std::fs::set_permissions(path, closed).map_err(io("closing to others"))
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The journal's directory.
    #[must_use]
    pub fn journal(&self) -> PathBuf {
        self.path.join("journal")
    }

    /// Where it is written down that a package manager was begun.
    #[must_use]
    pub fn calls(&self) -> PathBuf {
        self.path.join("called")
    }

    /// The enrolment, if there is one.
    ///
    /// # Errors
    /// When the file is there and cannot be read.
    pub fn enrolment(&self) -> Result<Option<Enrolment>, StateError> {
        let path = self.path.join("agent.json");
        let Some(bytes) = self.read(&path)? else { return Ok(None) };
        serde_json::from_slice(&bytes).map(Some).map_err(|e| StateError::Malformed { path, why: e.to_string() })
    }

    /// Keep an enrolment: certificate, key and root first, so that `agent.json` is never there without them.
    ///
    /// # Errors
    /// When something cannot be written.
    pub fn enrol(&self, enrolment: &Enrolment, ca: &str, root: &str) -> Result<(), StateError> {
        self.write("ca.pem", ca.as_bytes())?;
        self.write("root.json", root.as_bytes())?;
        let json = serde_json::to_vec_pretty(enrolment).expect("an enrolment holds only strings and numbers");
        self.write("agent.json", &json)
    }

    /// The request-signing key; made when there is none.
    ///
    /// # Errors
    /// When it cannot be read or made.
    pub fn key(&self) -> Result<SigningKey, StateError> {
        let path = self.path.join("agent.key");
        let malformed = |why: String| StateError::Malformed { path: path.clone(), why };
        if let Some(bytes) = self.read(&path)? {
            let text = String::from_utf8(bytes).map_err(|e| malformed(e.to_string()))?;
            return SigningKey::from_pem(&text).map_err(|e| malformed(e.to_string()));
        }
        let key = SigningKey::generate().map_err(|e| malformed(e.to_string()))?;
        self.write("agent.key", key.to_pem().as_bytes())?;
        Ok(key)
    }

    /// The pinned CA certificate, PEM.
    ///
    /// # Errors
    /// When it is missing.
    pub fn ca(&self) -> Result<String, StateError> {
        self.text("ca.pem")?.ok_or_else(|| StateError::NotEnrolled(self.path.clone()))
    }

    /// The root metadata envelope.
    ///
    /// # Errors
    /// When it is missing.
    pub fn root(&self) -> Result<String, StateError> {
        self.text("root.json")?.ok_or_else(|| StateError::NotEnrolled(self.path.clone()))
    }

    /// Keep newer root metadata.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn keep_root(&self, envelope: &str) -> Result<(), StateError> {
        self.write("root.json", envelope.as_bytes())
    }

    /// The catalogue index envelope, if any.
    ///
    /// # Errors
    /// When it is there and cannot be read.
    pub fn index(&self) -> Result<Option<String>, StateError> {
        self.text("index.json")
    }

    /// Keep a newer index.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn keep_index(&self, envelope: &str) -> Result<(), StateError> {
        self.write("index.json", envelope.as_bytes())
    }

    /// Content by digest; only bytes that have it are returned.
    #[must_use]
    pub fn content(&self, digest: &str) -> Option<Vec<u8>> {
        self.by_digest("content", digest)
    }

    /// Keep content under its digest.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn keep_content(&self, bytes: &[u8]) -> Result<String, StateError> {
        self.keep_by_digest("content", bytes)
    }

    /// Bytes of a prior state by digest; only bytes that have it are returned.
    #[must_use]
    pub fn prior(&self, digest: &str) -> Option<Vec<u8>> {
        self.by_digest("prior", digest)
    }

    /// Keep the bytes of a prior state.
    ///
    /// # Errors
    /// When they cannot be written.
    pub fn keep_prior(&self, bytes: &[u8]) -> Result<String, StateError> {
        self.keep_by_digest("prior", bytes)
    }

    /// Lay bytes down for a validator to look at; the caller removes the file.
    ///
    /// # Errors
    /// When they cannot be written.
    pub fn stage(&self, bytes: &[u8]) -> Result<PathBuf, StateError> {
        self.write("staged", bytes)?;
        Ok(self.path.join("staged"))
    }

    /// Drop prior states that nothing refers to.
    pub fn drop_priors(&self, used: &dyn Fn(&str) -> bool) {
        let Ok(entries) = std::fs::read_dir(self.path.join("prior")) else { return };
        for entry in entries.filter_map(Result::ok) {
            if entry.file_name().to_str().is_some_and(|name| !used(name)) {
                let _ = std::fs::remove_file(entry.path());
            }
        }
    }

    /// Reserve the next block of request numbers, durably, before any of them is used.
    ///
    /// # Errors
    /// When it cannot be written: nothing may be sent then.
    pub fn reserve_seq(&self) -> Result<(u64, u64), StateError> {
        let path = self.path.join("seq");
        let from = match self.text("seq")? {
            None => 1,
            Some(text) => text
                .trim()
                .parse()
                .map_err(|_| StateError::Malformed { path, why: "not a number; enrol the agent again".to_owned() })?,
        };
        let until = from + SEQ_BLOCK;
        self.write("seq", format!("{until}\n").as_bytes())?;
        Ok((from, until))
    }

    /// What is remembered of looks at the controls; nothing where there is none or it cannot be read: then they are looked
    /// at afresh, which harms nothing.
    #[must_use]
    pub fn checks(&self) -> Option<crate::checks::Kept> {
        serde_json::from_slice(&self.read(&self.path.join("checks.json")).ok()??).ok()
    }

    /// Remember it.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn keep_checks(&self, kept: &crate::checks::Kept) -> Result<(), StateError> {
        self.write("checks.json", &serde_json::to_vec(kept).expect("it holds only strings and numbers"))
    }

    /// Write down what confines the parts of the agent that runs, for `status`.
    ///
    /// # Errors
    /// When the file system refuses.
    pub fn keep_confinement(&self, word: &str) -> Result<(), StateError> {
        self.write("confinement", word.as_bytes())
    }

    /// What confined the parts of the agent that ran last; empty when none has.
    #[must_use]
    pub fn confinement(&self) -> String {
        self.text("confinement").ok().flatten().unwrap_or_default()
    }

    fn text(&self, name: &str) -> Result<Option<String>, StateError> {
        let path = self.path.join(name);
        let Some(bytes) = self.read(&path)? else { return Ok(None) };
        String::from_utf8(bytes).map(Some).map_err(|e| StateError::Malformed { path, why: e.to_string() })
    }

    fn read(&self, path: &Path) -> Result<Option<Vec<u8>>, StateError> {
        match std::fs::read(path) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(StateError::Io { what: "reading", path: path.to_owned(), source }),
        }
    }

    fn by_digest(&self, folder: &str, digest: &str) -> Option<Vec<u8>> {
        // The digest becomes a file name: only ever a parsed one.
        let digest: Digest = digest.parse().ok()?;
        let bytes = std::fs::read(self.path.join(folder).join(digest.to_string())).ok()?;
        (Digest::of(&bytes) == digest).then_some(bytes)
    }

    fn keep_by_digest(&self, folder: &str, bytes: &[u8]) -> Result<String, StateError> {
        let digest = Digest::of(bytes).to_string();
        if self.by_digest(folder, &digest).is_none() {
            self.write(&format!("{folder}/{digest}"), bytes)?;
        }
        Ok(digest)
    }

    fn write(&self, name: &str, bytes: &[u8]) -> Result<(), StateError> {
        let path = self.path.join(name);
        let io = |what| {
            let path = path.clone();
            move |source| StateError::Io { what, path, source }
        };
        let parent = path.parent().unwrap_or(&self.path);
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(parent).map_err(io("making the directory of"))?;
        let next = path.with_extension("next");
        let mut file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&next)
            .map_err(io("creating"))?;
        let written = crate::failpoint::room().and_then(|()| file.write_all(bytes)).and_then(|()| file.sync_all());
        written.map_err(io("writing"))?;
        std::fs::rename(&next, &path).map_err(io("replacing"))?;
        sync_directory(parent).map_err(io("syncing the directory of"))
    }
}

#[cfg(test)]
#[path = "state_tests.rs"]
mod tests;

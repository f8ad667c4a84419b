//! Newer root metadata and newer indexes: what the network half brings, believed only where its signatures and versions say so.
//!
//! Expiry stops new work, never start-up and never a revert. An index that has expired when it comes is not adopted. A newer root
//! is adopted whatever its expiry, because it is what takes a key out of use; while it is expired, no new work is taken. What
//! was adopted stays in force after it expires.

use crate::decide;
use crate::executor::Executor;
use crate::frame::ToNet;
use crate::record::Record;
use catalogue::index::{INDEX_BYTES_MAX, VerifiedIndex, verify_index};
use protocol::root::{ROOT_BYTES_MAX, Root};
use protocol::signed::Envelope;

impl Executor {
    pub(crate) fn adopt_roots(&mut self, envelopes: &[String]) {
        let parsed = envelopes.iter().map(|text| Envelope::parse(text.as_bytes(), ROOT_BYTES_MAX));
        let chain = parsed.collect::<Result<Vec<_>, _>>().map_err(|error| error.to_string());
        let next = chain.and_then(|chain| self.root.accept_chain(&chain).map_err(|error| error.to_string()));
        let next = match next {
            Ok(next) if next.version > self.root.version => next,
            Ok(_) => return,
            Err(error) => return tracing::warn!("newer root metadata is not adopted: {error}"),
        };
        let text = envelopes.iter().find(|text| read_root(text).is_ok_and(|root| root.version == next.version));
        let Some(text) = text else { return };
        if let Err(error) = self.state.keep_root(text) {
            return tracing::error!("newer root metadata was not kept: {error}");
        }
        tracing::info!("root metadata version {} is in force", next.version);
        self.root = next;
        self.read_index();
        self.note_trust();
    }

    pub(crate) fn adopt_index(&mut self, envelope: &str) {
        let now = self.clock.now();
        match decide::newer_index(&self.root, &self.book, self.index.as_ref(), envelope.as_bytes(), now) {
            Ok(None) => {}
            Ok(Some(index)) => {
                if let Err(error) = self.state.keep_index(envelope) {
                    return tracing::error!("a newer index was not kept: {error}");
                }
                tracing::info!("catalogue index version {} is in force", index.version());
                (self.index, self.index_fault) = (Some(index), None);
                self.note_trust();
            }
            Err(error) => {
                tracing::warn!("the index is not adopted: {error}");
                if self.index.is_none() {
                    self.index_fault = Some(error.to_string());
                }
            }
        }
    }

    /// Read the index on the disk under the root in force.
    pub(crate) fn read_index(&mut self) {
        (self.index, self.index_fault) = match self.state.index() {
            Ok(None) => (None, None),
            Ok(Some(text)) if text.len() <= INDEX_BYTES_MAX => {
                match verify_index(&self.root, text.as_bytes(), self.book.trust().1) {
                    Ok(index) => (Some(index), None),
                    Err(error) => (None, Some(error.to_string())),
                }
            }
            Ok(Some(_)) => (None, Some("the index on the disk is too large".to_owned())),
            Err(error) => (None, Some(error.to_string())),
        };
    }

    fn note_trust(&mut self) {
        let index_version = self.index.as_ref().map_or(0, VerifiedIndex::version);
        let record = Record::Trust { root_version: self.root.version, index_version };
        if let Err(error) = self.record(&record) {
            tracing::error!("the versions seen were not journalled: {error}");
        }
        self.out.push(ToNet::Status(self.status()));
    }
}

/// Read the root metadata that this host trusts.
pub(crate) fn read_root(text: &str) -> Result<Root, String> {
    let envelope = Envelope::parse(text.as_bytes(), ROOT_BYTES_MAX).map_err(|error| error.to_string())?;
    Root::trust_first(&envelope).map_err(|error| error.to_string())
}

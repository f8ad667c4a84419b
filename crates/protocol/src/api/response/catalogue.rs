//! The catalogue in force.

use domain::time::Timestamp;
use serde::{Deserialize, Serialize};

requests! {
    /// A signed catalogue: exact texts, as they were signed.
    pub struct CatalogueParcel {
        /// Root metadata envelopes, oldest first.
        pub roots: Vec<String>,
        /// The index envelope.
        pub index: String,
        /// The entries.
        pub entries: Vec<String>,
    }
}

bodies! {
    /// The catalogue in force.
    pub struct CatalogueBody {
        /// Version of the index; 0 = none installed.
        pub version: i64,
        /// New work stops then.
        #[cfg_attr(feature = "schema", schema(value_type = Option<String>, format = DateTime))]
        pub expires_at: Option<Timestamp>,
        /// Version of the root metadata; 0 = none.
        pub root_version: u64,
        /// This server's order key, for the root's order role.
        pub order_key: OrderKey,
        /// The entries.
        pub entries: Vec<CatalogueEntry>,
    }

    /// The key that signs orders.
    pub struct OrderKey {
        /// SHA-256 of the public key, hex.
        pub id: String,
        /// As `quell catalogue root new --order` takes it: `ed25519:` and 64 hex digits.
        pub public: String,
    }

    /// An entry of the catalogue.
    pub struct CatalogueEntry {
        /// Id.
        pub entry: String,
        /// Revision.
        pub revision: i64,
        /// Digest.
        pub digest: String,
        /// Title.
        pub title: String,
        /// Platform.
        pub platform: String,
        /// `mitigation` or `fix`.
        pub implication: String,
        /// `low`, `medium`, `high`.
        pub risk: String,
    }

    /// What was installed.
    pub struct CatalogueInstalled {
        /// Version of the index.
        pub version: u64,
        /// Usable entries.
        pub entries: u64,
        /// Entries set aside: id and reason.
        pub rejected: Vec<RejectedEntry>,
    }

    /// An entry set aside.
    pub struct RejectedEntry {
        /// Id.
        pub entry: String,
        /// Why.
        pub reason: String,
    }
}

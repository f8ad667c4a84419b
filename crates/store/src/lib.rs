//! What is remembered. The only crate that knows SQL: SQLite and PostgreSQL behind one type, every statement written
//! once.
//!
//! A feature is one file here, with the same name as in every other layer. Its functions take a [`Transaction`] and
//! hold one statement each; the callers open the transaction:
//!
//! ```
//! use store::{Result, Transaction, migrate, record};
//!
//! record! {
//!     /// A setting as it is stored.
//!     #[derive(Debug, Clone, PartialEq)]
//!     pub struct SettingRow {
//!         /// Name.
//!         pub key: String,
//!         /// How often it was changed.
//!         pub version: i64,
//!     }
//! }
//!
//! /// Settings below a prefix.
//! pub fn below(tx: &mut Transaction<'_>, prefix: &str) -> Result<Vec<SettingRow>> {
//!     tx.all(
//!         "SELECT key, version FROM setting WHERE key >= $1 AND key < $1 || '~' ORDER BY key",
//!         &[&prefix],
//!     )
//! }
//!
//! # fn main() -> Result<()> {
//! let folder = tempfile::tempdir().expect("a temporary folder");
//! let database = store::Database::sqlite(folder.path().join("quell.db"))?;
//! migrate::run(&database)?;
//! let rows = database.read_blocking(|tx| below(tx, "scan."))?;
//! assert!(rows.is_empty());
//! # Ok(()) }
//! ```
//!
//! A migration is a file in `migrations/` and a line in [`migrate::MIGRATIONS`]; its types are the braces of
//! [`dialect`]. A test under `tests/` runs on both engines by `testkit::both_engines!`.
//!
//! Reading order: [`database`], [`transaction`], [`stage`], [`dialect`], [`migrate`], then any feature.

pub mod accounts;
pub mod agents;
pub mod appliances;
pub mod approvals;
pub mod assets;
pub mod assignment;
pub mod audit;
pub mod catalogue;
pub mod controls;
pub mod database;
pub mod detections;
pub mod dialect;
pub mod dry_runs;
pub mod efforts;
pub mod eliminations;
pub mod error;
pub mod exclusion;
pub mod filter;
pub mod hosts;
pub mod idempotency;
pub mod identity;
pub mod imports;
pub mod instances;
pub mod integrations;
pub mod items;
pub mod jobs;
pub mod lease;
pub mod list;
pub mod mails;
pub mod migrate;
pub mod notes;
pub mod notices;
pub mod numbers;
pub mod outbox;
pub mod overview;
pub mod proposals;
pub mod quotas;
pub mod record;
pub mod remediation;
pub mod report;
pub mod retention;
pub mod rollouts;
pub mod runs;
pub mod scanners;
pub mod scans;
pub mod scope;
pub mod scores;
pub mod search_lists;
pub mod selection;
pub mod sessions;
pub mod settings;
pub mod sql;
pub mod stage;
pub mod tags;
pub mod tasks;
pub mod tokens;
pub mod topics;
pub mod transaction;
pub mod unseen;
pub mod value;
pub mod vulnerabilities;
pub mod words;

pub use database::{Config, Database, Limits, Location};
pub use dialect::Engine;
pub use error::{Error, Result};
pub use record::{Record, Row, Scalar};
pub use sql::Sql;
pub use stage::{Kind, Stage, Staged, ends_in_batch, last_per_key};
pub use transaction::Transaction;
pub use value::{Cell, Datum, Field, Mismatch, Value};

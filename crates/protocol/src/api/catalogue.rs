//! A catalogue entry in full, and what is said of vulnerabilities that nothing sound exists for.

use domain::time::Timestamp;
use serde::{Deserialize, Serialize};

/// `{"entry": …, "signature": …}`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct EntryBody {
    /// The entry.
    pub entry: EntryDetails,
    /// Who signed for it.
    pub signature: Option<Signature>,
}

/// A catalogue entry in full.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct EntryDetails {
    /// Id.
    pub entry: String,
    /// Revision.
    pub revision: i64,
    /// SHA-256 of its signed bytes, hex.
    pub digest: String,
    /// Title.
    pub title: String,
    /// `linux`, `windows` or `any`.
    pub platform: String,
    /// `mitigation` or `fix`.
    pub implication: String,
    /// `low`, `medium`, `high`.
    pub risk: String,
    /// Class 0 to 3; from 2 on a second person has to approve.
    pub class: i64,
    /// Whether a second person has to approve.
    pub needs_approval: bool,
    /// What the weakness is and how it is closed.
    pub summary: String,
    /// What stops working or changes for users.
    pub side_effects: String,
    /// Whether it should be taken back once the patch is in.
    pub remove_when_patched: bool,
    /// The last day on which it may be offered.
    pub valid_until: Option<String>,
    /// Where it works: each the end of "only where …".
    pub applies: Vec<String>,
    /// What it covers.
    pub covers: Vec<Coverage>,
    /// What it does, in the order in which it is done.
    pub actions: Vec<Action>,
    /// What has to follow.
    pub afterwards: Afterwards,
    /// `kind@version` words an agent must list.
    pub capabilities: Vec<String>,
    /// Where the facts come from.
    pub references: Vec<Reference>,
}

/// What an entry covers of one vulnerability.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "schema", schema(as = EntryCoverage))]
pub struct Coverage {
    /// The CVE; absent where the finding has none.
    pub cve: Option<String>,
    /// QIDs it names itself.
    pub qids: Vec<i64>,
    /// `full`, `substantial`, `partial`.
    pub coverage: String,
    /// Points off the score while effective.
    pub points: i64,
    /// Which way in is closed.
    pub vector: String,
}

/// One action in words.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "schema", schema(as = EntryAction))]
pub struct Action {
    /// Its kind.
    pub kind: String,
    /// What it acts on.
    pub target: String,
    /// What is looked at.
    pub checked: String,
    /// What is changed.
    pub changed: String,
    /// What a rollback does.
    pub undone: String,
}

/// What has to follow the actions.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Afterwards {
    /// Names of the service that is restarted; empty for none.
    pub restart: String,
    /// `no`, `if-loaded`, `required`.
    pub reboot: String,
    /// `yes`, `at-reboot`, `no`.
    pub reversible: String,
    /// The same in sentences.
    pub sentences: Vec<String>,
}

/// Where a fact comes from.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "schema", schema(as = EntryReference))]
pub struct Reference {
    /// The page.
    pub url: String,
    /// Whose word it is.
    pub kind: String,
    /// The day on which a person compared it with the entry.
    pub read_on: Option<String>,
}

/// Who signed the index that lists an entry by its digest.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "schema", schema(as = EntrySignature))]
pub struct Signature {
    /// Version of the index.
    pub index_version: i64,
    /// New work stops then.
    #[cfg_attr(feature = "schema", schema(value_type = String, format = DateTime))]
    pub expires_at: Timestamp,
    /// Whether that has come.
    pub expired: bool,
    /// Version of the root metadata that says whose keys count.
    pub root_version: i64,
    /// How many content keys have to sign.
    pub threshold: i64,
    /// The keys that signed.
    pub signers: Vec<Signer>,
    /// What is wrong with the signatures, checked again now; absent when nothing is.
    pub problem: Option<String>,
}

/// A key that signed.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "schema", schema(as = EntrySigner))]
pub struct Signer {
    /// Its id: SHA-256 of the public key, hex.
    pub key: String,
    /// `content`, `organisation`, or empty where the root does not know it.
    pub role: String,
}

/// Nothing sound exists for a vulnerability short of its fix.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct NoMitigation {
    /// The CVE.
    pub cve: String,
    /// What people call it.
    pub name: String,
    /// Where it holds; everywhere when absent.
    pub scope: Option<String>,
    /// Why, and what to do instead.
    pub text: String,
    /// All of it as one paragraph.
    pub sentence: String,
    /// Where the fact comes from.
    pub url: String,
}

/// `{"statements": […]}`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct StatementsBody {
    /// One for each vulnerability.
    pub statements: Vec<NoMitigation>,
}

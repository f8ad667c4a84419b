//! What an entry is: the schema of `docs/catalogue.md`, version 1, and the strict parser for its two forms.
//!
//! People write TOML; what is signed, sent and stored is one JSON document per entry, fixed once at signing and never
//! re-encoded. An unknown field or an unknown action kind refuses the entry, because it may be a restriction this program
//! does not understand. What is merely bad style is a lint ([`crate::lints`]), not a parse error.

mod words;

use std::{collections::BTreeSet, fmt, str::FromStr};

use domain::mitigation::{Coverage, Implication};
use domain::time::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use protocol::digest::Digest;
use serde::{Deserialize, Serialize};

use crate::{
    actions::Action,
    applies::Applies,
    text::{Cve, EntryId, Line, ServiceName, Url},
};

pub use words::{EntryPlatform, Headline, Reboot, ReferenceKind, Reversible, Risk, Seen, Status, Vector};

/// The schema version this program reads.
pub const SCHEMA: u32 = 1;
/// Largest entry read, in bytes, in either form.
pub const ENTRY_BYTES_MAX: usize = 64 * 1024;
/// Most actions in one entry.
pub const ACTIONS_MAX: usize = 32;
/// Most vulnerabilities in one entry.
pub const VULNERABILITIES_MAX: usize = 64;

/// A mitigation or a fix: a wanted state with what it covers, where it works and what it costs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// Schema version, [`SCHEMA`].
    pub schema: u32,
    /// Never reused for something else.
    pub id: EntryId,
    /// From 1; raised with every change that is signed.
    pub revision: u32,
    /// What it does, in a few words.
    pub title: Line,
    /// Where it is in its life.
    pub status: Status,
    /// What it runs on.
    pub platform: EntryPlatform,
    /// The headline kind, for filters; the actions decide.
    #[serde(rename = "type")]
    pub headline: Headline,
    /// Whether it lowers exposure or removes the weakness for good.
    pub implication: Implication,
    /// The entry to use instead, when superseded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub superseded_by: Option<EntryId>,
    /// The last day on which it may be offered (workarounds lapse).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub valid_until: Option<Date>,
    /// What it covers.
    #[serde(rename = "vulnerability")]
    pub vulnerabilities: Vec<Covered>,
    /// Where its settings work.
    #[serde(default)]
    pub applies: Applies,
    /// What is to be in place, applied in order, reverted in reverse.
    #[serde(rename = "action")]
    pub actions: Vec<Action>,
    /// What has to follow.
    pub after: After,
    /// What a person has to know before saying yes.
    pub human: Human,
    /// Where the facts come from.
    #[serde(rename = "reference")]
    pub references: Vec<Reference>,
}

/// One vulnerability and how much of it the entry covers. Coverage and points are per CVE.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Covered {
    /// The CVE. Left out only for configuration findings that have none; then `qids` names the finding.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cve: Option<Cve>,
    /// Scanner ids seen in a public source; normally joined at run time from the customer's knowledge base.
    #[serde(default)]
    pub qids: Vec<SourcedQid>,
    /// How much of it is closed.
    pub coverage: Coverage,
    /// By how much the score falls while effective: 1-99 for a mitigation, 100 for a fix, 0 for check-only.
    pub points: u8,
    /// Which way in is closed.
    pub vector: Vector,
}

/// A Qualys id and where it was seen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SourcedQid {
    /// The id.
    pub qid: u32,
    /// Where it was seen, in words or as an address.
    pub source: Line,
}

/// What has to follow the actions before they are in effect.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct After {
    /// Names of one service under different distributions: the first that exists is restarted.
    #[serde(default)]
    pub restart: Vec<ServiceName>,
    /// Whether the machine has to be restarted.
    pub reboot: Reboot,
    /// Whether a revert puts everything back.
    pub reversible: Reversible,
}

/// What a person has to know before saying yes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Human {
    /// What the weakness is and how the entry closes it.
    pub summary: Line,
    /// What stops working or changes for users.
    pub side_effects: Line,
    /// Decides approval and wave sizes.
    pub risk: Risk,
    /// Whether it should be reverted once the patch is in.
    pub remove_when_patched: bool,
}

/// Where a fact comes from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Reference {
    /// The page.
    pub url: Url,
    /// Whose word it is.
    pub kind: ReferenceKind,
    /// How the text was read when the entry was written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seen: Option<Seen>,
    /// The day on which a *person* opened the page and compared it with the entry. Left out until that happened.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub read_on: Option<Date>,
}

/// Why an entry was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EntryError {
    /// Larger than [`ENTRY_BYTES_MAX`]; not parsed.
    #[error("reading an entry: {0} bytes, at most {ENTRY_BYTES_MAX} are allowed")]
    TooLarge(usize),
    /// Written for another version of the schema. Rejects this entry, never the index it is in.
    #[error("reading an entry: schema version {0}, this program reads {SCHEMA}")]
    UnknownSchema(u64),
    /// Not of the schema: a syntax error, an unknown field or kind, a value outside its rule.
    #[error("reading an entry: {0}")]
    Malformed(String),
    /// Of the schema, but breaking a rule across fields.
    #[error("reading entry {id}: {fault}")]
    Inconsistent {
        /// The entry.
        id: EntryId,
        /// The rule.
        fault: EntryFault,
    },
}

/// A rule across fields that an entry breaks. These hold for signed entries too; style is for lints.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum EntryFault {
    /// Revisions start at 1.
    #[error("revision 0 does not exist")]
    RevisionZero,
    /// Nothing covered.
    #[error("it covers no vulnerability")]
    NoVulnerability,
    /// Too many covered.
    #[error("it covers more than {VULNERABILITIES_MAX} vulnerabilities")]
    TooManyVulnerabilities,
    /// No CVE and no QID.
    #[error("a vulnerability has neither a cve nor qids")]
    Unnamed,
    /// One CVE twice.
    #[error("a CVE is listed twice")]
    RepeatedCve,
    /// Points do not fit implication and status.
    #[error("points must be 1-99 for a mitigation, 100 for a fix, 0 for check-only")]
    Points,
    /// An active entry without actions.
    #[error("it has no action")]
    NoAction,
    /// Too many actions.
    #[error("it has more than {ACTIONS_MAX} actions")]
    TooManyActions,
    /// A path outside of what its kind may write.
    #[error("an action writes outside of the paths its kind may write")]
    ForbiddenPath,
    /// A superseded entry that names no other, or another that does.
    #[error("superseded_by belongs to status = \"superseded\" and only there")]
    SupersededBy,
    /// No source at all.
    #[error("it names no reference")]
    NoReference,
}

/// Read before anything else, so that an entry of another schema says so rather than failing at its first new field.
#[derive(Deserialize)]
struct SchemaOnly {
    schema: u64,
}

impl Entry {
    /// Read the form people write.
    ///
    /// # Errors
    /// See [`EntryError`].
    pub fn from_toml(text: &str) -> Result<Self, EntryError> {
        check_size(text.len())?;
        let SchemaOnly { schema } = toml::from_str(text).map_err(|error| malformed(&error))?;
        check_schema(schema)?;
        toml::from_str::<Self>(text).map_err(|error| malformed(&error))?.checked()
    }

    /// Read the form that is signed.
    ///
    /// # Errors
    /// See [`EntryError`].
    pub fn from_json(bytes: &[u8]) -> Result<Self, EntryError> {
        check_size(bytes.len())?;
        let SchemaOnly { schema } = serde_json::from_slice(bytes).map_err(|error| malformed(&error))?;
        check_schema(schema)?;
        serde_json::from_slice::<Self>(bytes).map_err(|error| malformed(&error))?.checked()
    }

    /// The bytes to sign: compact JSON in the order of the schema. Made once, at signing; from then on the bytes themselves are
    /// kept, never made again.
    #[must_use]
    pub fn to_json(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("an entry holds only texts, numbers, lists and text-keyed maps")
    }

    /// The digest of [`Entry::to_json`].
    #[must_use]
    pub fn digest(&self) -> Digest {
        Digest::of(&self.to_json())
    }

    /// What the entry covers of one CVE.
    #[must_use]
    pub fn covered(&self, cve: &Cve) -> Option<&Covered> {
        self.vulnerabilities.iter().find(|covered| covered.cve.as_ref() == Some(cve))
    }

    /// Whether new work may use it: active, and not past its last day. Reverts do not ask.
    #[must_use]
    pub fn is_offered(&self, today: Date) -> bool {
        self.status == Status::Active && !self.is_over(today)
    }

    fn is_over(&self, today: Date) -> bool {
        self.valid_until.is_some_and(|last| last < today)
    }

    /// Its last day is over; a day ends at midnight UTC. Reverts do not ask.
    #[must_use]
    pub fn is_lapsed(&self, now: Timestamp) -> bool {
        self.is_over(now.to_jiff().to_zoned(TimeZone::UTC).date())
    }

    /// What an agent must be able to do, `kind@version`, each once.
    #[must_use]
    pub fn capabilities(&self) -> BTreeSet<String> {
        self.actions.iter().map(Action::capability).collect()
    }

    /// How much can go wrong, as a class from 0 to 4 (`spec/fleet-execution.md` 3.3): 0 only reads, 1 is undone at once, 2 is of
    /// high risk or undone only by a reboot, 3 needs a reboot to take effect, 4 cannot be undone.
    #[must_use]
    pub fn class(&self) -> u8 {
        if self.status == Status::CheckOnly {
            return 0;
        }
        match (self.after.reversible, self.after.reboot, self.human.risk) {
            (Reversible::No, _, _) => 4,
            (_, Reboot::Required, _) => 3,
            (Reversible::AtReboot, _, _) | (_, _, Risk::High) => 2,
            (Reversible::Yes, _, Risk::Low | Risk::Medium) => 1,
        }
    }

    /// Whether an order for it needs an approval manifest: class 2 and above. Until such manifests exist, agents refuse
    /// these orders (`design.md` 10).
    #[must_use]
    pub fn needs_approval(&self) -> bool {
        self.class() >= 2
    }

    fn checked(self) -> Result<Self, EntryError> {
        match self.find_fault() {
            None => Ok(self),
            Some(fault) => Err(EntryError::Inconsistent { id: self.id, fault }),
        }
    }

    fn find_fault(&self) -> Option<EntryFault> {
        let points_fit = |covered: &Covered| match (self.status, self.implication) {
            (Status::CheckOnly, _) => covered.points == 0,
            (_, Implication::Fix) => covered.points == 100,
            (_, Implication::Mitigation) => (1..=99).contains(&covered.points),
        };
        let cves: Vec<&Cve> = self.vulnerabilities.iter().filter_map(|covered| covered.cve.as_ref()).collect();
        let distinct: BTreeSet<&Cve> = cves.iter().copied().collect();
        let rules = [
            (self.revision == 0, EntryFault::RevisionZero),
            (self.vulnerabilities.is_empty(), EntryFault::NoVulnerability),
            (self.vulnerabilities.len() > VULNERABILITIES_MAX, EntryFault::TooManyVulnerabilities),
            (self.vulnerabilities.iter().any(|c| c.cve.is_none() && c.qids.is_empty()), EntryFault::Unnamed),
            (distinct.len() != cves.len(), EntryFault::RepeatedCve),
            (!self.vulnerabilities.iter().all(points_fit), EntryFault::Points),
            (self.actions.is_empty(), EntryFault::NoAction),
            (self.actions.len() > ACTIONS_MAX, EntryFault::TooManyActions),
            (!self.actions.iter().all(Action::path_is_allowed), EntryFault::ForbiddenPath),
            (self.superseded_by.is_some() != (self.status == Status::Superseded), EntryFault::SupersededBy),
            (self.references.is_empty(), EntryFault::NoReference),
        ];
        rules.into_iter().find_map(|(broken, fault)| broken.then_some(fault))
    }
}

impl FromStr for Entry {
    type Err = EntryError;

    fn from_str(text: &str) -> Result<Self, EntryError> {
        Self::from_toml(text)
    }
}

fn check_size(bytes: usize) -> Result<(), EntryError> {
    if bytes > ENTRY_BYTES_MAX { Err(EntryError::TooLarge(bytes)) } else { Ok(()) }
}

fn check_schema(found: u64) -> Result<(), EntryError> {
    if found == u64::from(SCHEMA) { Ok(()) } else { Err(EntryError::UnknownSchema(found)) }
}

/// Parsers of foreign text end their messages with a line break and quote the source; one trimmed text is enough.
fn malformed(error: &impl fmt::Display) -> EntryError {
    EntryError::Malformed(error.to_string().trim().to_owned())
}

#[cfg(test)]
#[path = "schema_tests.rs"]
mod tests;

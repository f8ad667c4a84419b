//! How a free-standing job chooses its assets: by a list, by a query, by tags, less what is taken out.
//!
//! R19, S1.05 and section 2.3 of the specification of mitigation jobs. [`decide`] says of one asset whether it is in, out
//! and why, or not named at all; the store's SQL is held to it by a property test on both engines. An asset outside the
//! scope of whoever acts is never named, whatever names it: it is not counted and not listed.
//!
//! Deliberately not here: which vulnerabilities and actions; those are chosen by the engine from the catalogue.

use crate::access::AssetScope;
use crate::asset::Platform;
use crate::filter::{Context, Fields, Filter, Subject, matches};
use crate::id::AssetId;
use crate::job::ASSETS_MAX;
use crate::refusal::Refusal;
use crate::tag::{self, Tree};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// Tags in one rule at most.
pub const TAGS_MAX: usize = 50;

/// Whether one tag is enough.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Match {
    /// The asset carries at least one of the tags.
    #[default]
    Any,
    /// The asset carries every one of them.
    All,
}

impl Match {
    /// The word in the API.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Match::Any => "any",
            Match::All => "all",
        }
    }

    /// The word back to the value; the empty word is `Any`.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        match word {
            "" | "any" => Some(Match::Any),
            "all" => Some(Match::All),
            _ => None,
        }
    }
}

/// Tags and how they count. Each stands for itself and every tag below it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TagRule {
    /// The tags.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub tags: BTreeSet<String>,
    /// Any or all of them.
    #[serde(default)]
    pub matching: Match,
}

impl TagRule {
    /// Whether an asset with these tags meets the rule; a rule without tags is met by none.
    #[must_use]
    pub fn meets(&self, carried: &BTreeSet<String>, tree: &Tree) -> bool {
        let carries = |tag: &String| tree.with_children(tag).iter().any(|each| carried.contains(each));
        match self.matching {
            Match::Any => self.tags.iter().any(carries),
            Match::All => !self.tags.is_empty() && self.tags.iter().all(carries),
        }
    }
}

/// What a free-standing job chooses. The ways to name an asset add up; what is taken out is out, however it was named.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Selection {
    /// Exactly these assets.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub assets: BTreeSet<AssetId>,
    /// Every asset that the query language of the list of assets gives; empty for none.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub query: String,
    /// Every asset with these tags.
    pub tags: TagRule,
    /// Further tags that an asset chosen by tag has to carry, all of them.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub must: BTreeSet<String>,
    /// Not what carries these tags.
    pub exclude: TagRule,
    /// Not these assets.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub exclude_assets: BTreeSet<AssetId>,
}

impl Selection {
    /// Exactly these assets.
    pub fn list(assets: impl IntoIterator<Item = AssetId>) -> Selection {
        Selection { assets: assets.into_iter().collect(), ..Selection::default() }
    }

    /// Whether it names no asset at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.assets.is_empty() && self.query.trim().is_empty() && self.tags.tags.is_empty() && self.must.is_empty()
    }

    /// The selection with its query read; what cannot be read or is too long is refused, naming the field.
    ///
    /// # Errors
    /// The field of the API and why: `query`, `tags_too_many`, `tag`, `too_many_assets`.
    pub fn read(&self, fields: &Fields) -> Result<Filter, (&'static str, Refusal)> {
        for (field, tags) in
            [("tags", &self.tags.tags), ("must_tags", &self.must), ("exclude_tags", &self.exclude.tags)]
        {
            if tags.len() > TAGS_MAX {
                let why = format!("a job names at most {TAGS_MAX} tags here");
                return Err((field, Refusal::new("tags_too_many", why)));
            }
            if let Some(why) = tags.iter().find_map(|name| tag::name_fault(name)) {
                return Err((field, Refusal::new("tag", why)));
            }
        }
        for (field, assets) in [("assets", &self.assets), ("exclude_assets", &self.exclude_assets)] {
            if assets.len() > ASSETS_MAX {
                let why = format!("a job names at most {ASSETS_MAX} assets here");
                return Err((field, Refusal::new("too_many_assets", why)));
            }
        }
        if self.query.trim().is_empty() {
            return Ok(Filter::Not(Box::new(Filter::Everything)));
        }
        crate::filter::parse(&self.query, fields).map_err(|error| ("query", Refusal::new("query", error.to_string())))
    }
}

/// Why a named asset is not in the job.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reason {
    /// Taken out by name.
    Excluded,
    /// Carries a tag that is taken out.
    ExcludedByTag,
    /// Another platform than the job's (R8).
    OtherPlatform,
    /// No agent in force on it.
    NoAgent,
}

impl Reason {
    /// Every reason, in the order in which they are asked.
    pub const ALL: [Reason; 4] = [Reason::Excluded, Reason::ExcludedByTag, Reason::OtherPlatform, Reason::NoAgent];

    /// The word in the API.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Reason::Excluded => "excluded",
            Reason::ExcludedByTag => "excluded_by_tag",
            Reason::OtherPlatform => "other_platform",
            Reason::NoAgent => "no_agent",
        }
    }

    /// The word back to the value.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|reason| reason.as_str() == word)
    }

    /// In a sentence for people: lower case, no full stop.
    #[must_use]
    pub fn sentence(self, platform: Platform) -> String {
        match self {
            Reason::Excluded => "it is taken out by name".to_owned(),
            Reason::ExcludedByTag => "it carries a tag that is taken out".to_owned(),
            Reason::OtherPlatform => format!("it does not run {}; a job has one platform", platform.title()),
            Reason::NoAgent => {
                "no agent is enrolled on this asset; create an enrolment token under Agents and run its command there"
                    .to_owned()
            }
        }
    }
}

/// What becomes of an asset.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Verdict {
    /// Not named, or outside a scope: as if it did not exist.
    Absent,
    /// In the job, as far as there is something to do on it.
    In,
    /// Named, and listed with the reason.
    Out(Reason),
}

/// What [`decide`] has to know of an asset.
#[derive(Clone, Debug)]
pub struct Candidate<'a, S: Subject> {
    /// Its key.
    pub id: AssetId,
    /// Its platform.
    pub platform: Platform,
    /// The tags it carries.
    pub tags: &'a BTreeSet<String>,
    /// An agent is in force on it.
    pub agent: bool,
    /// Its fields, for the query.
    pub row: &'a S,
}

/// What a selection is asked against.
#[derive(Clone, Debug)]
pub struct Question<'a> {
    /// What was chosen.
    pub selection: &'a Selection,
    /// Its query, read ([`Selection::read`]).
    pub filter: &'a Filter,
    /// The fields of the list of assets.
    pub fields: &'a Fields,
    /// Now, and who asks.
    pub context: &'a Context,
    /// Which tag stands below which.
    pub tree: &'a Tree,
    /// The scopes that all have to see an asset: of whoever acts, and at a later run of the owner and of whoever chose.
    pub scopes: &'a [AssetScope],
    /// The job's platform.
    pub platform: Platform,
}

/// What becomes of one asset.
#[must_use]
pub fn decide<S: Subject>(question: &Question<'_>, asset: &Candidate<'_, S>) -> Verdict {
    let Question { selection, tree, .. } = question;
    if !question.scopes.iter().all(|scope| scope.sees(asset.tags.iter().map(String::as_str))) {
        return Verdict::Absent;
    }
    let must = TagRule { tags: selection.must.clone(), matching: Match::All };
    let by_tag = match (selection.tags.tags.is_empty(), selection.must.is_empty()) {
        (true, true) => false,
        (true, false) => must.meets(asset.tags, tree),
        (false, true) => selection.tags.meets(asset.tags, tree),
        (false, false) => selection.tags.meets(asset.tags, tree) && must.meets(asset.tags, tree),
    };
    let named = selection.assets.contains(&asset.id)
        || by_tag
        || matches(question.filter, question.fields, asset.row, question.context);
    if !named {
        Verdict::Absent
    } else if selection.exclude_assets.contains(&asset.id) {
        Verdict::Out(Reason::Excluded)
    } else if selection.exclude.meets(asset.tags, tree) {
        Verdict::Out(Reason::ExcludedByTag)
    } else if asset.platform != question.platform {
        Verdict::Out(Reason::OtherPlatform)
    } else if !asset.agent {
        Verdict::Out(Reason::NoAgent)
    } else {
        Verdict::In
    }
}

/// The platform of a free-standing job.
///
/// # Errors
/// `platform_unsupported` for anything but Linux and Windows (R8).
pub fn platform(platform: Platform) -> Result<Platform, Refusal> {
    match platform {
        Platform::Linux | Platform::Windows => Ok(platform),
        other => Err(Refusal::new("platform_unsupported", format!("{} assets cannot be mitigated", other.title()))),
    }
}

#[cfg(test)]
mod tests;

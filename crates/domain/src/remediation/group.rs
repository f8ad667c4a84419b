//! How items are put into tasks: the fields they are grouped by, and what a task of a group is called.

/// How the items that a person or an effort chose are grouped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum GroupBy {
    /// All in one task.
    None,
    /// One task for each group that works on them.
    Group,
    /// One for each group and asset.
    GroupAsset,
    /// One for each group and vulnerability.
    GroupVulnerability,
    /// One for each group and band of the score.
    GroupBand,
}

impl GroupBy {
    /// Every way.
    pub const ALL: [GroupBy; 5] =
        [GroupBy::None, GroupBy::Group, GroupBy::GroupAsset, GroupBy::GroupVulnerability, GroupBy::GroupBand];
    /// Their words.
    pub const WORDS: &'static [&'static str] = &["none", "group", "group_asset", "group_vulnerability", "group_band"];

    /// The word in the API.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            GroupBy::None => "none",
            GroupBy::Group => "group",
            GroupBy::GroupAsset => "group_asset",
            GroupBy::GroupVulnerability => "group_vulnerability",
            GroupBy::GroupBand => "group_band",
        }
    }

    /// The word back to the value.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|by| by.as_str() == word)
    }

    /// As people write it.
    #[must_use]
    pub fn title(self) -> &'static str {
        match self {
            GroupBy::None => "All in one task",
            GroupBy::Group => "One task for each group",
            GroupBy::GroupAsset => "One for each group and asset",
            GroupBy::GroupVulnerability => "One for each group and vulnerability",
            GroupBy::GroupBand => "One for each group and risk band",
        }
    }

    /// The fields it groups by.
    #[must_use]
    pub fn fields(self) -> Vec<Field> {
        match self {
            GroupBy::None => vec![],
            GroupBy::Group => vec![Field::Group],
            GroupBy::GroupAsset => vec![Field::Group, Field::Asset],
            GroupBy::GroupVulnerability => vec![Field::Group, Field::Vulnerability],
            GroupBy::GroupBand => vec![Field::Group, Field::Band],
        }
    }
}

/// A field that items are grouped by.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Field {
    /// The asset.
    Asset,
    /// The vulnerability.
    Vulnerability,
    /// Its category.
    Category,
    /// Its severity, 1 to 5.
    Severity,
    /// The band of the item's score.
    Band,
    /// The group that works on the item.
    Group,
    /// The person who works on it.
    Assignee,
    /// The asset's family of operating system.
    Platform,
    /// The asset's network at the scanner.
    Network,
    /// The integration instance.
    Instance,
    /// What follows this prefix in the first of the asset's tags that begin with it.
    Tag(String),
}

/// Fields of one rule at most.
pub const FIELDS_MAX: usize = 6;
/// Words of the fields, without the prefix of a tag.
pub const WORDS: &[&str] = &[
    "asset",
    "vulnerability",
    "category",
    "severity",
    "band",
    "group",
    "assignee",
    "platform",
    "network",
    "instance",
    "tag:PREFIX",
];

impl Field {
    /// As it is stored and said in the API: `asset`, `tag:owner:`.
    #[must_use]
    pub fn text(&self) -> String {
        match self {
            Field::Asset => "asset".to_owned(),
            Field::Vulnerability => "vulnerability".to_owned(),
            Field::Category => "category".to_owned(),
            Field::Severity => "severity".to_owned(),
            Field::Band => "band".to_owned(),
            Field::Group => "group".to_owned(),
            Field::Assignee => "assignee".to_owned(),
            Field::Platform => "platform".to_owned(),
            Field::Network => "network".to_owned(),
            Field::Instance => "instance".to_owned(),
            Field::Tag(prefix) => format!("tag:{prefix}"),
        }
    }

    /// The text back to the value.
    #[must_use]
    pub fn parse(text: &str) -> Option<Field> {
        Some(match text {
            "asset" => Field::Asset,
            "vulnerability" => Field::Vulnerability,
            "category" => Field::Category,
            "severity" => Field::Severity,
            "band" => Field::Band,
            "group" => Field::Group,
            "assignee" => Field::Assignee,
            "platform" => Field::Platform,
            "network" => Field::Network,
            "instance" => Field::Instance,
            other => Field::Tag(other.strip_prefix("tag:").filter(|prefix| !prefix.is_empty())?.to_owned()),
        })
    }
}

/// What an item has in a field: what it is told apart by, and what people read. Both are empty for none.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Value {
    /// What groups are told apart by.
    pub key: String,
    /// What people read.
    pub shown: String,
}

/// The title of a task: what was given, else what its items share, cut to what a title may have. `part` counts from 1 the tasks of
/// one group.
#[must_use]
pub fn title(given: &str, values: &[(Field, Value)], part: usize) -> String {
    let shown = |(field, value): &(Field, Value)| match (field, value.shown.as_str()) {
        (Field::Group, "") => "no group".to_owned(),
        (Field::Assignee, "") => "nobody".to_owned(),
        (_, "") => "none".to_owned(),
        (Field::Severity, severity) => format!("severity {severity}"),
        (_, shown) => shown.to_owned(),
    };
    let shared = values.iter().map(shown).collect::<Vec<_>>().join(", ");
    let whole = match (given.is_empty(), shared.is_empty()) {
        (true, true) => "Remediation".to_owned(),
        (true, false) => shared,
        (false, true) => given.to_owned(),
        (false, false) => format!("{given}: {shared}"),
    };
    let number = if part > 1 { format!(" ({part})") } else { String::new() };
    let most = super::TITLE_CHARS_MAX - number.chars().count();
    let clean: String = whole.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    let cut: String = match clean.chars().count() > most {
        true => clean.chars().take(most - 1).chain(['…']).collect(),
        false => clean,
    };
    format!("{cut}{number}")
}

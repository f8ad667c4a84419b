//! Detections that are kept, but that nobody has to work on: by a rule, or because an instance counts confirmed weaknesses only.
//!
//! Rules are conditions in the query language, looked at in order: the first that holds counts. A detection that is excluded when
//! it is first seen makes no item. An item that is there stays, unless excluded detections are to close it; then what is excluded
//! counts for nothing ([`Presence::Excluded`]). Everything is still asked for and kept, so that a rule can be taken back without
//! another import.

use crate::detection::{Presence, Status};
use crate::filter::{self, Context, Field, Fields, Filter, Kind, Match, Operand, Operator, Subject, Value};
use crate::id::{ExclusionRuleId, InstanceId};
use crate::refusal::Refusal;
use crate::time::Timestamp;
use std::collections::BTreeSet;

/// Rules at most: each is looked at for every new row of every import.
pub const RULES_MAX: usize = 100;
/// Longest name of a rule, in characters.
pub const NAME_MAX: usize = 80;

/// How sure a scanner is.
pub const CERTAINTY: &[&str] = &["confirmed", "potential"];

/// What rules can ask of a detection. No instants: what a rule says must not change while nothing is imported.
pub const FIELDS: Fields = Fields {
    fields: &[
        Field { name: "qid", kind: Kind::Number, doc: "the scanner's number of the vulnerability" },
        Field { name: "title", kind: Kind::Text, doc: "title of the vulnerability" },
        Field { name: "category", kind: Kind::Name, doc: "its category in the knowledge base" },
        Field { name: "kind", kind: Kind::Words(CERTAINTY), doc: "how sure the scanner is" },
        Field { name: "severity", kind: Kind::Number, doc: "1 to 5, as the scanner numbers it" },
        Field { name: "port", kind: Kind::Number, doc: "port; 0 where it belongs to none" },
        Field { name: "protocol", kind: Kind::Name, doc: "tcp or udp" },
        Field { name: "os", kind: Kind::Text, doc: "operating system of the host" },
        Field { name: "ip", kind: Kind::Name, doc: "address of the host" },
        Field { name: "network", kind: Kind::Name, doc: "the scanner's network of the host" },
        Field { name: "asset", kind: Kind::Name, doc: "name of the asset" },
        Field { name: "tag", kind: Kind::Name, doc: "one of the asset's tags" },
        Field { name: "instance", kind: Kind::Name, doc: "integration instance" },
    ],
    flags: &[],
    free: &["title"],
};

/// A detection as rules see it; empty texts are missing values.
#[derive(Clone, Copy, Debug)]
pub struct Seen<'s> {
    /// The scanner's number of the vulnerability.
    pub qid: i64,
    /// Its title.
    pub title: &'s str,
    /// Its category.
    pub category: &'s str,
    /// One of [`CERTAINTY`]: see [`certainty`].
    pub kind: &'s str,
    /// Severity.
    pub severity: i64,
    /// Port.
    pub port: i64,
    /// Protocol.
    pub protocol: &'s str,
    /// Operating system of the host.
    pub os: &'s str,
    /// Address of the host.
    pub ip: &'s str,
    /// The scanner's network of the host.
    pub network: &'s str,
    /// Name of the asset.
    pub asset: &'s str,
    /// Tags of the asset.
    pub tags: &'s [String],
    /// Name of the integration instance.
    pub instance: &'s str,
}

impl Subject for Seen<'_> {
    fn values(&self, field: &str) -> Vec<Value> {
        let text = |text: &str| if text.is_empty() { Vec::new() } else { vec![Value::Text(text.to_owned())] };
        match field {
            "qid" => vec![Value::Number(self.qid)],
            "title" => text(self.title),
            "category" => text(self.category),
            "kind" => text(self.kind),
            "severity" => vec![Value::Number(self.severity)],
            "port" => vec![Value::Number(self.port)],
            "protocol" => text(self.protocol),
            "os" => text(self.os),
            "ip" => text(self.ip),
            "network" => text(self.network),
            "asset" => text(self.asset),
            "tag" => self.tags.iter().map(|tag| Value::Text(tag.clone())).collect(),
            "instance" => text(self.instance),
            _ => Vec::new(),
        }
    }
}

/// How sure the scanner is of a row: what the row says, else what its vulnerability is; in doubt, confirmed.
#[must_use]
pub fn certainty(row: &str, vulnerability: &str) -> &'static str {
    match (row, vulnerability) {
        ("potential", _) => "potential",
        ("confirmed", _) => "confirmed",
        (_, "potential") => "potential",
        _ => "confirmed",
    }
}

/// A rule that is in force.
#[derive(Clone, Debug, PartialEq)]
pub struct Rule {
    /// Key.
    pub id: ExclusionRuleId,
    /// What it excludes.
    pub condition: Filter,
}

/// All that is in force, as one import or one pass over what is known reads it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Policy {
    /// Rules in their order.
    pub rules: Vec<Rule>,
    /// Instances of which only what is confirmed counts.
    pub confirmed_only: BTreeSet<InstanceId>,
}

/// Why a detection is excluded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum By {
    /// It is potential, and its instance counts confirmed weaknesses only.
    ConfirmedOnly,
    /// The first rule that holds.
    Rule(ExclusionRuleId),
}

impl By {
    /// As stored: the key of the rule, 0 for confirmed only.
    #[must_use]
    pub fn stored(self) -> i64 {
        match self {
            By::ConfirmedOnly => 0,
            By::Rule(rule) => rule.0,
        }
    }
}

impl Policy {
    /// Whether nothing of this instance can be excluded.
    #[must_use]
    pub fn idle(&self, instance: InstanceId) -> bool {
        self.rules.is_empty() && !self.confirmed_only.contains(&instance)
    }

    /// Why this detection of an instance is excluded; `None` where it is not.
    #[must_use]
    pub fn judge(&self, instance: InstanceId, seen: &Seen<'_>) -> Option<By> {
        if seen.kind == "potential" && self.confirmed_only.contains(&instance) {
            return Some(By::ConfirmedOnly);
        }
        // No field is an instant or a person, so that the moment and the reader do not matter.
        let context = Context::at(Timestamp::default());
        let holds = |rule: &&Rule| filter::matches(&rule.condition, &FIELDS, seen, &context);
        self.rules.iter().find(holds).map(|rule| By::Rule(rule.id))
    }
}

/// What a detection contributes to its item: one that is excluded counts for nothing where such items close.
#[must_use]
pub fn presence(status: &str, excluded: bool, closes: bool) -> Presence {
    if excluded && closes { Status::presence_excluded(status) } else { Status::presence(status) }
}

/// The condition of a rule from what a person wrote.
///
/// # Errors
/// `condition`, with what is wrong with it; one that leaves nothing out is refused.
pub fn condition(text: &str) -> Result<Filter, Refusal> {
    match filter::parse(text, &FIELDS) {
        Ok(Filter::Everything) => {
            Err(Refusal::new("condition", "say which detections are excluded, such as qid:38628"))
        }
        Ok(condition) => Ok(condition),
        Err(error) => Err(Refusal::new("condition", error.to_string())),
    }
}

/// The name of a rule, trimmed.
///
/// # Errors
/// `name` for none, one that is too long or has control characters.
pub fn name(text: &str) -> Result<String, Refusal> {
    let name = text.trim();
    let fits = !name.is_empty() && name.chars().count() <= NAME_MAX && !name.chars().any(char::is_control);
    if fits {
        return Ok(name.to_owned());
    }
    Err(Refusal::new("name", format!("a name has 1 to {NAME_MAX} characters, none of them a control character")))
}

/// What the switch of an instance of this name excludes, as a condition.
#[must_use]
pub fn potential_of(instance: &str) -> Filter {
    let equal = |field, operand| Filter::Compare { field, operator: Operator::Equal, operand };
    let named = Operand::Text(instance.to_owned(), Match::Exact);
    Filter::and(vec![equal("kind", Operand::Word("potential")), equal("instance", named)])
}

/// Whether so many items may be touched without being asked twice.
///
/// # Errors
/// `matches_most` where it is more than half of all open ones.
pub fn check_share(touched: i64, open: i64) -> Result<(), Refusal> {
    if touched > 1 && touched.saturating_mul(2) > open {
        let why =
            format!("this is about {touched} of {open} open items, more than half; say that you mean all of them");
        return Err(Refusal::new("matches_most", why));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen<'s>(qid: i64, kind: &'s str, tags: &'s [String]) -> Seen<'s> {
        Seen {
            qid,
            title: "Outdated kernel",
            category: "Local",
            kind,
            severity: 4,
            port: 0,
            protocol: "",
            os: "Ubuntu 22.04",
            ip: "10.0.0.1",
            network: "",
            asset: "web01",
            tags,
            instance: "Main",
        }
    }

    fn policy(rules: &[&str], confirmed_only: &[i64]) -> Policy {
        let rule = |(id, text): (i64, &&str)| Rule { id: ExclusionRuleId(id), condition: condition(text).unwrap() };
        Policy {
            rules: (1..).zip(rules).map(rule).collect(),
            confirmed_only: confirmed_only.iter().copied().map(InstanceId).collect(),
        }
    }

    #[test]
    fn the_table_of_fields_is_sound() {
        assert_eq!(FIELDS.mistakes(), Vec::<String>::new());
        let still = |field: &&Field| !matches!(field.kind, Kind::Instant | Kind::Person);
        assert!(FIELDS.fields.iter().all(|field| still(&field)), "what a rule says must not change by itself");
        let full = Seen { network: "7", protocol: "tcp", ..seen(1, "confirmed", &[]) };
        let tagged = ["x".to_owned()];
        let full = Seen { tags: &tagged, ..full };
        assert!(FIELDS.fields.iter().all(|field| !full.values(field.name).is_empty()), "every field is answered");
    }

    #[test]
    fn the_first_rule_that_holds_counts() {
        let tags = ["prod".to_owned()];
        let policy = policy(&["qid:[7, 8] and not tag:prod", "severity:>=4 and os:ubuntu", "qid:7"], &[2]);
        let by = |instance, seen: &Seen<'_>| policy.judge(InstanceId(instance), seen).map(By::stored);
        assert_eq!(by(1, &seen(7, "confirmed", &[])), Some(1));
        assert_eq!(by(1, &seen(7, "confirmed", &tags)), Some(2));
        assert_eq!(by(1, &Seen { severity: 1, ..seen(7, "confirmed", &tags) }), Some(3));
        assert_eq!(by(1, &Seen { severity: 1, ..seen(9, "potential", &tags) }), None);
        assert_eq!(by(2, &Seen { severity: 1, ..seen(9, "potential", &tags) }), Some(0));
        assert_eq!(by(2, &Seen { severity: 1, ..seen(9, "confirmed", &tags) }), None);
        assert!(!policy.idle(InstanceId(1)));
        assert!(Policy { rules: Vec::new(), ..policy.clone() }.idle(InstanceId(1)));
        assert!(!Policy { rules: Vec::new(), ..policy }.idle(InstanceId(2)));
    }

    #[test]
    fn a_row_without_a_word_is_as_sure_as_its_vulnerability() {
        for (row, of, sure) in [
            ("potential", "vulnerability", "potential"),
            ("confirmed", "potential", "confirmed"),
            ("", "potential", "potential"),
            ("", "vulnerability_or_potential", "confirmed"),
            ("strange", "", "confirmed"),
        ] {
            assert_eq!(certainty(row, of), sure, "{row} {of}");
        }
    }

    /// All that is open is excluded: excluded. One gone and the rest excluded: gone. One open: open.
    #[test]
    fn what_is_excluded_counts_for_nothing_where_it_closes_items() {
        let of = |rows: &[(&str, bool)], closes| rows.iter().map(|(status, out)| presence(status, *out, closes)).max();
        for (rows, closing, keeping) in [
            (&[("active", true), ("new", true)][..], Presence::Excluded, Presence::Open),
            (&[("active", true), ("fixed", false)], Presence::Fixed, Presence::Open),
            (&[("fixed", true), ("new", true)], Presence::Fixed, Presence::Open),
            (&[("active", true), ("stale", false)], Presence::Stale, Presence::Open),
            (&[("active", true), ("active", false)], Presence::Open, Presence::Open),
            (&[("fixed", true)], Presence::Fixed, Presence::Fixed),
        ] {
            assert_eq!((of(rows, true), of(rows, false)), (Some(closing), Some(keeping)), "{rows:?}");
        }
    }

    #[test]
    fn rules_are_checked_before_they_are_kept() {
        assert_eq!(condition(" ").map_err(|refusal| refusal.code), Err("condition"));
        assert_eq!(condition("color:red").map_err(|refusal| refusal.code), Err("condition"));
        assert_eq!(name("  Lab  "), Ok("Lab".to_owned()));
        assert!(name("").is_err() && name("a\r\nb").is_err() && name(&"x".repeat(81)).is_err());
        assert!(check_share(50, 100).is_ok() && check_share(1, 1).is_ok() && check_share(0, 0).is_ok());
        assert_eq!(check_share(51, 100).map_err(|refusal| refusal.code), Err("matches_most"));
    }
}

//! Rules that give new and reopened items to somebody: in order, the first that can is the one.
//!
//! What a person has decided stands: an item that somebody assigned by hand, or took the assignment from, is never touched.

use crate::id::UserId;

/// Rules at most.
pub const RULES_MAX: usize = 100;
/// Order of a rule at most; the lowest is asked first.
pub const POSITION_MAX: i64 = 10_000;
/// Characters of what a tag begins with at most.
pub const PREFIX_CHARS_MAX: usize = 100;
/// What an item that a person assigned says of it.
pub const BY_PERSON: &str = "person";

/// Whom a rule gives items to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// A group.
    Group,
    /// A person.
    User,
    /// The group that a tag of the asset names after a prefix.
    Tag,
    /// Of one that comes back: whoever had it before.
    Previous,
}

impl Kind {
    /// Every kind.
    pub const ALL: [Kind; 4] = [Kind::Group, Kind::User, Kind::Tag, Kind::Previous];
    /// Their words.
    pub const WORDS: &'static [&'static str] = &["group", "user", "tag", "previous"];

    /// The word in the database and the API.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Kind::Group => "group",
            Kind::User => "user",
            Kind::Tag => "tag",
            Kind::Previous => "previous",
        }
    }

    /// The word back to the value.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == word)
    }

    /// As people write it.
    #[must_use]
    pub fn title(self) -> &'static str {
        match self {
            Kind::Group => "A group",
            Kind::User => "A person",
            Kind::Tag => "The group that a tag of the asset names",
            Kind::Previous => "Whoever had it before, when it comes back",
        }
    }
}

/// The part of a rule that says to whom.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct To {
    /// To what.
    pub kind: Kind,
    /// The group's name.
    pub group: String,
    /// The person.
    pub user: Option<UserId>,
    /// What the tag begins with.
    pub prefix: String,
}

/// Whom an item is given to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Given {
    /// A person.
    pub owner: Option<UserId>,
    /// A group; empty for none.
    pub group: String,
}

impl Given {
    /// Nobody at all.
    #[must_use]
    pub fn nobody(&self) -> bool {
        self.owner.is_none() && self.group.is_empty()
    }
}

/// What is to be known of an item and of who there is.
#[derive(Clone, Copy, Debug)]
pub struct Facts<'a> {
    /// Whom it is given to now.
    pub now: &'a Given,
    /// It was closed and is back.
    pub reopened: bool,
    /// The tags of its asset.
    pub tags: &'a [String],
}

/// Whether a rule may touch an item whose assignment comes from there.
#[must_use]
pub fn may_touch(assigned_by: &str) -> bool {
    assigned_by.is_empty() || assigned_by.starts_with("rule:")
}

/// Whom a rule gives an item to that it matches; `None` where it cannot: the group is gone, the person is not active, no tag names a
/// group, nobody had it before. Then the next rule is asked.
#[must_use]
pub fn given(
    to: &To,
    item: Facts<'_>,
    group_exists: impl Fn(&str) -> bool,
    active: impl Fn(UserId) -> bool,
) -> Option<Given> {
    let of_group = |name: &str| Given { owner: None, group: name.to_owned() };
    match to.kind {
        Kind::Group => group_exists(&to.group).then(|| of_group(&to.group)),
        Kind::User => {
            to.user.filter(|user| active(*user)).map(|user| Given { owner: Some(user), group: String::new() })
        }
        Kind::Tag => {
            let mut named: Vec<&str> =
                item.tags.iter().filter_map(|tag| tag.strip_prefix(to.prefix.as_str())).map(str::trim).collect();
            named.sort_unstable();
            named.into_iter().find(|name| !name.is_empty() && group_exists(name)).map(of_group)
        }
        Kind::Previous => {
            let there =
                item.now.owner.is_none_or(&active) && (item.now.group.is_empty() || group_exists(&item.now.group));
            (item.reopened && !item.now.nobody() && there).then(|| item.now.clone())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn to(kind: Kind) -> To {
        To { kind, group: "linux".to_owned(), user: Some(UserId(1)), prefix: "owner:".to_owned() }
    }

    fn had(owner: Option<i64>, group: &str) -> Given {
        Given { owner: owner.map(UserId), group: group.to_owned() }
    }

    #[test]
    fn rules_by_table() {
        let nobody = Given::default();
        let (ada, linux, db) = (had(Some(1), ""), had(None, "linux"), had(None, "db"));
        let tags = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
        let none = tags(&[]);
        let both = tags(&["prod", "owner:linux", "owner: db", "owner:gone"]);
        for (kind, now, reopened, tags, groups, people, expected) in [
            (Kind::Group, &nobody, false, &none, "linux", true, Some(&linux)),
            (Kind::Group, &ada, false, &none, "linux", true, Some(&linux)),
            (Kind::Group, &nobody, false, &none, "db", true, None),
            (Kind::User, &nobody, false, &none, "", true, Some(&ada)),
            (Kind::User, &nobody, false, &none, "", false, None),
            (Kind::Tag, &nobody, false, &both, "linux db", true, Some(&db)),
            (Kind::Tag, &nobody, false, &both, "linux", true, Some(&linux)),
            (Kind::Tag, &nobody, false, &both, "", true, None),
            (Kind::Tag, &nobody, false, &none, "linux", true, None),
            (Kind::Tag, &nobody, false, &tags(&["owner:"]), "linux", true, None),
            (Kind::Previous, &ada, true, &none, "", true, Some(&ada)),
            (Kind::Previous, &linux, true, &none, "linux", true, Some(&linux)),
            (Kind::Previous, &linux, true, &none, "db", true, None),
            (Kind::Previous, &ada, true, &none, "", false, None),
            (Kind::Previous, &ada, false, &none, "", true, None),
            (Kind::Previous, &nobody, true, &none, "", true, None),
        ] {
            let exists = |name: &str| groups.split(' ').any(|group| group == name);
            let found = given(&to(kind), Facts { now, reopened, tags }, exists, |_| people);
            assert_eq!(found.as_ref(), expected, "{kind:?} {now:?} {reopened} {groups} {people}");
        }
    }

    #[test]
    fn what_a_person_decided_stands() {
        for (by, touched) in
            [("", true), ("rule:4", true), (BY_PERSON, false), ("task:VUL0000001", false), ("other", false)]
        {
            assert_eq!(may_touch(by), touched, "{by}");
        }
        assert!(Kind::ALL.iter().zip(Kind::WORDS).all(|(kind, word)| Kind::parse(word) == Some(*kind)));
    }
}

//! Hosts that are kept apart: in which groups a host is, and how many hosts of each may be worked on at once.
//!
//! A group is a fact about hosts, not about a run: whoever works on one of its hosts takes part, by a start or by a restart. How the
//! hosts at work are counted is [`super::permit::Places`]'s to say.

use super::Apart;
use std::collections::BTreeMap;

/// A group of hosts that are kept apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kept {
    /// The tag that its hosts share.
    pub group: String,
    /// How many of them may be worked on at once.
    pub at_most: i64,
}

/// A tag of a host that is worked on, and what the run that works there keeps apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Held {
    /// The tag.
    pub tag: String,
    /// What the run says.
    pub policy: Apart,
}

/// Every group of a host with these tags in which it may have to wait, by name: what its own run keeps apart, and what a run keeps
/// apart that works on another host of the group now. Where several speak of one group the strictest holds. A run that works on none
/// of its hosts keeps no other from one, or any job could slow down all others by its mere being there.
#[must_use]
pub fn groups<'a>(own: Option<&Apart>, held: &[Held], tags: impl IntoIterator<Item = &'a str>) -> Vec<Kept> {
    let mut found: BTreeMap<&str, u32> = BTreeMap::new();
    for tag in tags {
        let at_work = held.iter().filter(|held| held.tag == tag).map(|held| &held.policy);
        for policy in own.into_iter().chain(at_work).filter(|policy| policy.speaks_of(tag)) {
            let at_most = found.entry(tag).or_insert(policy.at_most);
            *at_most = policy.at_most.min(*at_most);
        }
    }
    found.into_iter().map(|(group, at_most)| Kept { group: group.to_owned(), at_most: i64::from(at_most) }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A tag of a host at work, the beginning that its run names, and how many it allows.
    type At<'a> = (&'a str, &'a str, u32);
    /// What the own run says, what is at work, the tags of the host, its groups.
    type Case<'a> = (Option<(&'a str, u32)>, &'a [At<'a>], &'a [&'a str], &'a [(&'a str, i64)]);

    fn apart(tag: &str, at_most: u32) -> Apart {
        Apart { tag: tag.to_owned(), at_most }
    }

    fn of(own: Option<(&str, u32)>, held: &[At<'_>], tags: &[&str]) -> Vec<(String, i64)> {
        let own = own.map(|(tag, at_most)| apart(tag, at_most));
        let held = held.iter().map(|(on, tag, most)| Held { tag: (*on).to_owned(), policy: apart(tag, *most) });
        let held: Vec<Held> = held.collect();
        groups(own.as_ref(), &held, tags.iter().copied()).into_iter().map(|kept| (kept.group, kept.at_most)).collect()
    }

    #[test]
    fn groups_are_the_tags_with_the_beginning() {
        let own = Some(("cluster:", 2));
        let cases: [Case<'_>; 9] = [
            // Every tag with the beginning is a group of its own.
            (own, &[], &["prod", "cluster:b", "cluster:a"], &[("cluster:a", 2), ("cluster:b", 2)]),
            (own, &[], &["prod", "clusters"], &[]),
            (None, &[], &["cluster:a"], &[]),
            // The same tag by two scanners is one group.
            (own, &[], &["cluster:a", "cluster:a"], &[("cluster:a", 2)]),
            // Whose run says nothing waits for one that says something and is at work in that very group.
            (None, &[("cluster:a", "cluster:", 1)], &["cluster:a", "cluster:b"], &[("cluster:a", 1)]),
            (None, &[("cluster:a", "cluster:", 1)], &["cluster:ab", "prod"], &[]),
            // A tag that both hosts have and that the run at work does not speak of is none of its groups.
            (None, &[("prod", "cluster:", 1), ("cluster:a", "cluster:", 1)], &["prod"], &[]),
            // The strictest, in whatever order they come.
            (
                own,
                &[("cluster:a", "cluster:", 1), ("cluster:b", "cluster:b", 3)],
                &["cluster:a", "cluster:b"],
                &[("cluster:a", 1), ("cluster:b", 2)],
            ),
            (None, &[("rack:7", "rack:", 2), ("rack:7", "rack", 1)], &["rack:7"], &[("rack:7", 1)]),
        ];
        for (own, held, tags, expected) in cases {
            let expected: Vec<_> = expected.iter().map(|(tag, most)| ((*tag).to_owned(), *most)).collect();
            assert_eq!(of(own, held, tags), expected, "{own:?} {held:?} {tags:?}");
        }
    }

    proptest! {
        /// Whoever is at work beside never takes a host out of a group and never allows more of it; another tag changes no other
        /// group; and every group has the limit of somebody who speaks of it.
        #[test]
        fn more_words_only_keep_more_apart(
            own in proptest::option::of(("[ab]{1,2}", 1_u32..4)),
            held in proptest::collection::vec(("[ab]{1,3}", "[ab]{1,2}", 1_u32..4), 1..5),
            tags in proptest::collection::vec("[ab]{1,3}", 0..5), tag in "[ab]{1,3}",
        ) {
            let own = own.map(|(tag, at_most)| Apart { tag, at_most });
            let held: Vec<Held> =
                held.into_iter().map(|(on, tag, at_most)| Held { tag: on, policy: Apart { tag, at_most } }).collect();
            let of = |held: &[Held], tags: &[String]| groups(own.as_ref(), held, tags.iter().map(String::as_str));
            let after = of(&held, &tags);
            for kept in of(&held[1..], &tags) {
                prop_assert!(after.iter().any(|now| now.group == kept.group && now.at_most <= kept.at_most));
            }
            for kept in &after {
                let beside = held.iter().filter(|held| held.tag == kept.group).map(|held| &held.policy);
                let speak = own.iter().chain(beside).filter(|policy| kept.group.starts_with(&policy.tag));
                prop_assert_eq!(speak.map(|policy| i64::from(policy.at_most)).min(), Some(kept.at_most));
                prop_assert!(tags.contains(&kept.group));
            }
            let wider = of(&held, &tags.iter().cloned().chain([tag.clone()]).collect::<Vec<_>>());
            prop_assert!(after.iter().all(|kept| wider.contains(kept)));
            prop_assert!(wider.iter().all(|kept| kept.group == tag || after.contains(kept)));
        }
    }
}

//! Tags of assets: where a tag stands under another, and how much the assets that carry it matter.
//!
//! A tag chosen for a job stands for itself and for every tag below it. An asset's criticality is its own where somebody
//! set one by hand, else the highest of its tags, else what the scanner said (R22).
//!
//! Deliberately not here: the asset scope of an account names tags literally and never what lies below them, so that
//! moving a tag widens nobody's view.

use crate::refusal::Refusal;
use std::collections::{BTreeMap, BTreeSet};

/// Longest name of a tag, in bytes.
pub const NAME_BYTES_MAX: usize = 100;
/// How deep tags may stand below each other.
pub const DEPTH_MAX: usize = 10;

/// What keeps a text from being the name of a tag, as a sentence; none when it is one.
#[must_use]
pub fn name_fault(name: &str) -> Option<String> {
    let bad = name.trim().is_empty() || name.len() > NAME_BYTES_MAX || name.chars().any(char::is_control);
    bad.then(|| format!("a tag has 1 to {NAME_BYTES_MAX} characters and no control characters"))
}

/// Which tag stands below which.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tree {
    parents: BTreeMap<String, String>,
}

impl Tree {
    /// The tree of these pairs: a tag and the one it stands below. A tag has one parent; of several the last counts.
    pub fn new(pairs: impl IntoIterator<Item = (String, String)>) -> Tree {
        Tree { parents: pairs.into_iter().collect() }
    }

    /// The tag this one stands below.
    #[must_use]
    pub fn parent(&self, tag: &str) -> Option<&str> {
        self.parents.get(tag).map(String::as_str)
    }

    /// The tag itself and every tag below it, however deep. A circle, which [`Tree::moved`] never makes, is walked once.
    #[must_use]
    pub fn with_children(&self, tag: &str) -> BTreeSet<String> {
        let mut children: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for (child, parent) in &self.parents {
            children.entry(parent).or_default().push(child);
        }
        let mut found = BTreeSet::from([tag.to_owned()]);
        let mut open = vec![tag];
        while let Some(at) = open.pop() {
            for child in children.get(at).into_iter().flatten() {
                if found.insert((*child).to_owned()) {
                    open.push(child);
                }
            }
        }
        found
    }

    /// The tags above this one, nearest first; ends where a circle would begin again.
    #[must_use]
    pub fn above(&self, tag: &str) -> Vec<&str> {
        let mut found: Vec<&str> = Vec::new();
        let mut at = tag;
        while let Some(parent) = self.parent(at) {
            if parent == tag || found.contains(&parent) {
                break;
            }
            found.push(parent);
            at = parent;
        }
        found
    }

    /// The tree with `tag` below `parent`, or at the top.
    ///
    /// # Errors
    /// `tag_circle` where the tag would stand below itself, `tag_too_deep` beyond [`DEPTH_MAX`].
    pub fn moved(&self, tag: &str, parent: Option<&str>) -> Result<Tree, Refusal> {
        let mut tree = self.clone();
        let Some(parent) = parent else {
            tree.parents.remove(tag);
            return Ok(tree);
        };
        if self.with_children(tag).contains(parent) {
            let sentence = format!("`{parent}` stands below `{tag}` or is the same, so it cannot stand above it");
            return Err(Refusal::new("tag_circle", sentence));
        }
        tree.parents.insert(tag.to_owned(), parent.to_owned());
        if tree.with_children(tag).iter().any(|below| tree.above(below).len() > DEPTH_MAX) {
            let sentence = format!("tags stand at most {DEPTH_MAX} levels below each other");
            return Err(Refusal::new("tag_too_deep", sentence));
        }
        Ok(tree)
    }
}

/// An asset's criticality, 1 to 5: what somebody set by hand, else the highest of its tags, else what was there (R22).
#[must_use]
pub fn criticality(by_hand: Option<i64>, tags: impl IntoIterator<Item = Option<i64>>, otherwise: i64) -> i64 {
    by_hand.or_else(|| tags.into_iter().flatten().max()).unwrap_or(otherwise).clamp(1, 5)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree(pairs: &[(&str, &str)]) -> Tree {
        Tree::new(pairs.iter().map(|(child, parent)| ((*child).to_owned(), (*parent).to_owned())))
    }

    #[test]
    fn r22_the_highest_tag_wins_unless_somebody_set_one_by_hand() {
        assert_eq!(criticality(None, [Some(2), None, Some(5), Some(3)], 3), 5);
        assert_eq!(criticality(Some(1), [Some(5)], 3), 1);
        assert_eq!(criticality(None, [None], 4), 4);
        assert_eq!(criticality(None, [Some(9)], 3), 5);
    }

    #[test]
    fn a_tag_stands_for_what_lies_below_it() {
        let tree = tree(&[("db", "prod"), ("db-eu", "db"), ("web", "prod"), ("lab", "other")]);
        assert_eq!(tree.with_children("prod"), ["prod", "db", "db-eu", "web"].map(str::to_owned).into());
        assert_eq!(tree.with_children("web"), ["web".to_owned()].into());
        assert_eq!(tree.above("db-eu"), ["db", "prod"]);
    }

    #[test]
    fn no_tag_stands_below_itself_or_too_deep() {
        let known = tree(&[("db", "prod"), ("db-eu", "db")]);
        assert_eq!(known.moved("prod", Some("db-eu")).unwrap_err().code, "tag_circle");
        assert_eq!(known.moved("db", Some("db")).unwrap_err().code, "tag_circle");
        assert_eq!(known.moved("db", None).unwrap().parent("db"), None);
        let mut deep = Tree::default();
        for n in 0..DEPTH_MAX {
            deep = deep.moved(&format!("t{}", n + 1), Some(&format!("t{n}"))).unwrap();
        }
        assert_eq!(deep.moved("t11", Some("t10")).unwrap_err().code, "tag_too_deep");
        assert_eq!(deep.moved("t0", Some("over")).unwrap_err().code, "tag_too_deep");
    }

    #[test]
    fn a_circle_that_came_from_elsewhere_ends() {
        let circle = tree(&[("a", "b"), ("b", "a")]);
        assert_eq!(circle.with_children("a").len(), 2);
        assert_eq!(circle.above("a"), ["b"]);
    }
}

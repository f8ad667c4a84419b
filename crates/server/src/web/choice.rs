//! What somebody has chosen on the way to a job, as it stands in addresses: `/jobs/new?qid=38628,42046&asset=7`. Every
//! hop carries it on, so that it can be linked and survives going back.

use crate::http::flash::Flash;
use crate::pages::lists::address;
use domain::job::Kind;
use serde::Deserialize;

/// Values of one kind taken from an address at most.
const VALUES_MAX: usize = 500;
/// QIDs, and assets, that a hop from a list takes along at most: together they have to fit into one text of the filter.
pub const TAKEN_MAX: usize = 200;

/// The parameters of an address.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
pub struct Choice {
    /// QIDs, separated by commas.
    #[serde(default)]
    pub qid: String,
    /// Keys of assets, separated by commas; empty = every asset that can be taken.
    #[serde(default)]
    pub asset: String,
    /// Catalogue entries, separated by commas; empty = the best ones.
    #[serde(default)]
    pub entry: String,
    /// The platform; empty = the only one there is.
    #[serde(default)]
    pub platform: String,
    /// `rollback`, or empty for a mitigation.
    #[serde(default)]
    pub kind: String,
}

impl Choice {
    /// Of these QIDs.
    #[must_use]
    pub fn of(qids: &[i64]) -> Choice {
        Choice { qid: joined(qids), ..Choice::default() }
    }

    /// On these assets only.
    #[must_use]
    pub fn on(self, assets: &[i64]) -> Choice {
        Choice { asset: joined(assets), ..self }
    }

    /// By these entries.
    #[must_use]
    pub fn by(self, entries: &[&str]) -> Choice {
        Choice { entry: entries.join(","), ..self }
    }

    /// On this platform; `any` leaves it open.
    #[must_use]
    pub fn for_platform(self, word: &str) -> Choice {
        Choice { platform: if word == "any" { String::new() } else { word.to_owned() }, ..self }
    }

    /// To take mitigations back.
    #[must_use]
    pub fn rollback(self) -> Choice {
        Choice { kind: "rollback".to_owned(), ..self }
    }

    /// The QIDs.
    #[must_use]
    pub fn qids(&self) -> Vec<i64> {
        numbers(&self.qid)
    }

    /// The assets it is kept to; `None` = every asset that can be taken. A text without a readable key keeps it to no
    /// asset, never to all of them.
    #[must_use]
    pub fn only(&self) -> Option<Vec<i64>> {
        (!self.asset.trim().is_empty()).then(|| numbers(&self.asset))
    }

    /// The entries.
    #[must_use]
    pub fn entries(&self) -> Vec<&str> {
        named(&self.entry).take(VALUES_MAX).collect()
    }

    /// What is not taken because more was named than one job takes, as sentences.
    #[must_use]
    pub fn left_out(&self) -> Option<String> {
        let named = [
            ("QIDs", parsed(&self.qid).count()),
            ("assets", parsed(&self.asset).count()),
            ("mitigations", named(&self.entry).count()),
        ];
        let beyond = named.into_iter().filter(|(_, count)| *count > VALUES_MAX).map(|(noun, count)| {
            let left = i64::try_from(count - VALUES_MAX).unwrap_or(i64::MAX);
            format!("Taken are the first {VALUES_MAX} of {count} {noun}; {left} {} left out.", are(left))
        });
        let said: Vec<String> = beyond.collect();
        (!said.is_empty()).then(|| said.join(" "))
    }

    /// Mitigation or rollback.
    #[must_use]
    pub fn kind(&self) -> Kind {
        if self.kind == "rollback" { Kind::Rollback } else { Kind::Mitigation }
    }

    /// Where the job is made, as a post.
    #[must_use]
    pub fn address(&self) -> String {
        address(
            "/jobs/new",
            &[
                ("qid", &self.qid),
                ("asset", &self.asset),
                ("entry", &self.entry),
                ("platform", &self.platform),
                ("kind", &self.kind),
            ],
        )
    }

    /// The eliminations of these QIDs (S1.02).
    #[must_use]
    pub fn eliminations(&self) -> String {
        let q = match self.qids().as_slice() {
            [] => String::new(),
            [one] => format!("qid:{one}"),
            several => format!("qid:[{}]", several.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")),
        };
        address("/eliminations", &[("q", &q), ("asset", &self.asset)])
    }
}

fn joined(numbers: &[i64]) -> String {
    numbers.iter().map(ToString::to_string).collect::<Vec<_>>().join(",")
}

fn named(text: &str) -> impl Iterator<Item = &str> {
    text.split(',').map(str::trim).filter(|part| !part.is_empty())
}

fn parsed(text: &str) -> impl Iterator<Item = i64> {
    named(text).filter_map(|part| part.parse().ok())
}

fn numbers(text: &str) -> Vec<i64> {
    parsed(text).take(VALUES_MAX).collect()
}

/// What is said on the next page when a list takes along fewer rows than were chosen: `which` names those that it
/// takes. `counted` rows were chosen, or at least so many where counting stopped at `counted_max`.
#[must_use]
pub fn cut(noun: &str, which: &str, taken: usize, counted: i64, counted_max: i64) -> Option<Flash> {
    let left = counted - i64::try_from(taken).unwrap_or(i64::MAX);
    let least = if counted >= counted_max { "at least " } else { "" };
    let text =
        format!("Taken along: {taken} of {least}{counted} {noun}, {which}; {least}{left} {} left out.", are(left));
    (left > 0).then(|| Flash { failed: true, ..Flash::done(text) })
}

/// Why all that match are not taken: more match than one press takes, and none is done rather than some.
#[must_use]
pub fn too_many(noun: &str, most: usize) -> String {
    format!(
        "more than {most} {noun} match, and at most {most} are taken at once; nothing was done: narrow the list by its query"
    )
}

fn are(count: i64) -> &'static str {
    if count == 1 { "is" } else { "are" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_chosen_survives_the_address() {
        let chosen = Choice::of(&[38_628, 42_046]).on(&[7]).for_platform("linux");
        assert_eq!(chosen.address(), "/jobs/new?qid=38628%2C42046&asset=7&platform=linux");
        let uri: axum::http::Uri = chosen.address().parse().unwrap();
        let axum::extract::Query(back) = axum::extract::Query::<Choice>::try_from_uri(&uri).unwrap();
        assert_eq!(back, chosen);
        assert_eq!((back.qids(), back.only()), (vec![38_628, 42_046], Some(vec![7])));
        assert_eq!(Choice::of(&[1, 2]).eliminations(), "/eliminations?q=qid%3A%5B1%2C+2%5D");
        assert_eq!(Choice { qid: "1,x,,2".into(), ..Choice::default() }.qids(), [1, 2]);
    }

    #[test]
    fn assets_that_cannot_be_read_never_become_all_assets() {
        for (text, only) in
            [("", None), (" ", None), ("7, 8", Some(vec![7, 8])), ("x,7", Some(vec![7])), (",", Some(vec![]))]
        {
            assert_eq!(Choice { asset: text.into(), ..Choice::default() }.only(), only, "{text:?}");
        }
    }

    #[test]
    fn what_one_job_does_not_take_is_said() {
        let many = |count: i64| Choice::of(&(1..=count).collect::<Vec<_>>());
        assert_eq!((many(500).qids().len(), many(500).left_out()), (500, None));
        assert_eq!(many(512).qids().len(), 500);
        let said = "Taken are the first 500 of 512 QIDs; 12 are left out.";
        assert_eq!(many(512).left_out().as_deref(), Some(said));
        let assets = Choice::of(&[1]).on(&(1..=501).collect::<Vec<_>>());
        assert!(assets.left_out().is_some_and(|said| said.contains("501 assets; 1 is left out.")));
    }

    #[test]
    fn a_cut_names_how_many_are_left_out() {
        assert_eq!(cut("items", "the first", 200, 200, 1_000), None);
        let text = |counted| cut("items", "the first", 200, counted, 1_000).map(|said| said.text).unwrap_or_default();
        assert_eq!(text(201), "Taken along: 200 of 201 items, the first; 1 is left out.");
        assert_eq!(text(999), "Taken along: 200 of 999 items, the first; 799 are left out.");
        assert_eq!(text(1_000), "Taken along: 200 of at least 1000 items, the first; at least 800 are left out.");
    }
}

//! What somebody has chosen on the way to a job, as it stands in addresses: `/jobs/new?qid=38628,42046&asset=7`. Every
//! hop carries it on, so that it can be linked and survives going back.

use crate::pages::lists::address;
use domain::job::Kind;
use serde::Deserialize;

/// Values of one kind taken from an address at most.
const VALUES_MAX: usize = 500;

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

    /// The assets.
    #[must_use]
    pub fn assets(&self) -> Vec<i64> {
        numbers(&self.asset)
    }

    /// The entries.
    #[must_use]
    pub fn entries(&self) -> Vec<&str> {
        self.entry.split(',').map(str::trim).filter(|entry| !entry.is_empty()).take(VALUES_MAX).collect()
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

fn numbers(text: &str) -> Vec<i64> {
    text.split(',').filter_map(|part| part.trim().parse().ok()).take(VALUES_MAX).collect()
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
        assert_eq!((back.qids(), back.assets()), (vec![38_628, 42_046], vec![7]));
        assert_eq!(Choice::of(&[1, 2]).eliminations(), "/eliminations?q=qid%3A%5B1%2C+2%5D");
        assert_eq!(Choice { qid: "1,x,,2".into(), ..Choice::default() }.qids(), [1, 2]);
    }
}

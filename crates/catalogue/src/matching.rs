//! Which entries eliminate a detection: by its CVEs, or by its scanner id where it has none.
//!
//! Several entries on one CVE never add up: the one with the most points counts (`design.md` 5). Whether an entry's
//! conditions hold on a machine is not known here; the agent finds out.

use std::collections::BTreeMap;

use domain::{asset::Platform, mitigation::Coverage};
use jiff::civil::Date;

use crate::{
    schema::{Covered, Entry},
    text::{Cve, EntryId},
};

/// One entry that applies to a detection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Elimination<'a> {
    /// The entry.
    pub entry: &'a Entry,
    /// What it covers of the detection; never empty.
    pub covers: Vec<Cover>,
}

/// What an entry covers of a detection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cover {
    /// The CVE; `None` for a detection that has none and is covered as a whole.
    pub cve: Option<Cve>,
    /// How much of it is closed.
    pub coverage: Coverage,
    /// By how much its score falls while the entry is effective.
    pub points: u8,
}

/// The entry that counts for a CVE.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Best {
    /// The entry.
    pub entry: EntryId,
    /// Its points.
    pub points: u8,
    /// Its coverage.
    pub coverage: Coverage,
}

impl Elimination<'_> {
    /// Whether the entry alone mitigates every one of `cves` (`full` or `substantial` each). A detection without CVEs is one
    /// unit.
    #[must_use]
    pub fn mitigates_all(&self, cves: &[Cve]) -> bool {
        let mitigated = |cve: Option<&Cve>| self.covers.iter().any(|c| c.cve.as_ref() == cve && c.coverage.mitigates());
        if cves.is_empty() { mitigated(None) } else { cves.iter().all(|cve| mitigated(Some(cve))) }
    }

    /// The most points it earns on any CVE of the detection.
    #[must_use]
    pub fn points_max(&self) -> u8 {
        self.covers.iter().map(|cover| cover.points).max().unwrap_or(0)
    }
}

/// The entries on offer that cover at least one of a detection's CVEs, or its QID where it has no CVE, on a platform. Sorted by
/// what they are worth: more points first, then wider coverage, then id.
#[must_use]
pub fn eliminations<'a>(
    entries: impl IntoIterator<Item = &'a Entry>,
    cves: &[Cve],
    qids: &[u32],
    platform: Platform,
    today: Date,
) -> Vec<Elimination<'a>> {
    let mut found: Vec<Elimination<'a>> = entries
        .into_iter()
        .filter(|entry| entry.is_offered(today) && entry.platform.covers(platform))
        .map(|entry| Elimination { entry, covers: covers(entry, cves, qids) })
        .filter(|elimination| !elimination.covers.is_empty())
        .collect();
    found.sort_by(|a, b| {
        let worth = |e: &Elimination<'_>| (e.points_max(), e.covers.len());
        worth(b).cmp(&worth(a)).then_with(|| a.entry.id.cmp(&b.entry.id))
    });
    found
}

fn covers(entry: &Entry, cves: &[Cve], qids: &[u32]) -> Vec<Cover> {
    let cover = |covered: &Covered, cve| Cover { cve, coverage: covered.coverage, points: covered.points };
    if cves.is_empty() {
        // A finding without CVE is one unit: the vulnerability of the entry that names its id and covers it best.
        let named = entry.vulnerabilities.iter().filter(|covered| covered.qids.iter().any(|q| qids.contains(&q.qid)));
        return named
            .max_by_key(|covered| (covered.points, covered.coverage))
            .map(|c| cover(c, None))
            .into_iter()
            .collect();
    }
    let mut covers: Vec<Cover> =
        cves.iter().filter_map(|cve| entry.covered(cve).map(|covered| cover(covered, Some(cve.clone())))).collect();
    covers.sort_by(|a, b| a.cve.cmp(&b.cve));
    covers.dedup();
    covers
}

/// For each CVE (`None`: the detection as a whole) the entry that counts: most points, then wider coverage, then the first id.
#[must_use]
pub fn best<'a>(eliminations: &'a [Elimination<'a>]) -> BTreeMap<Option<Cve>, Best> {
    let mut best: BTreeMap<Option<Cve>, Best> = BTreeMap::new();
    for Elimination { entry, covers } in eliminations {
        for Cover { cve, coverage, points } in covers {
            let offer = Best { entry: entry.id.clone(), points: *points, coverage: *coverage };
            best.entry(cve.clone())
                .and_modify(|present| {
                    let more = (offer.points, offer.coverage) > (present.points, present.coverage);
                    let first = (offer.points, offer.coverage) == (present.points, present.coverage)
                        && offer.entry < present.entry;
                    if more || first {
                        *present = offer.clone();
                    }
                })
                .or_insert(offer);
        }
    }
    best
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(id: &str, platform: &str, covered: &[(&str, &str, u8)]) -> Entry {
        let vulnerabilities: String = covered
            .iter()
            .map(|(name, coverage, points)| {
                let name = match name.parse::<u32>() {
                    Ok(qid) => format!("qids = [{{ qid = {qid}, source = \"test\" }}]"),
                    Err(_) => format!("cve = \"{name}\""),
                };
                format!("[[vulnerability]]\n{name}\ncoverage = \"{coverage}\"\npoints = {points}\nvector = \"local\"\n")
            })
            .collect();
        Entry::from_toml(&format!(
            "schema = 1\nid = \"{id}\"\nrevision = 1\ntitle = \"T\"\nstatus = \"active\"\nplatform = \"{platform}\"\n\
             type = \"sysctl\"\nimplication = \"mitigation\"\n{vulnerabilities}\
             [[action]]\nkind = \"kernel.sysctl\"\nkey = \"fs.suid_dumpable\"\nop = \"eq\"\nvalue = 0\n\
             [after]\nreboot = \"no\"\nreversible = \"yes\"\n\
             [human]\nsummary = \"S\"\nside_effects = \"None\"\nrisk = \"low\"\nremove_when_patched = true\n\
             [[reference]]\nurl = \"https://example.org/\"\nkind = \"vendor\"\n"
        ))
        .unwrap()
    }

    fn cves(names: &[&str]) -> Vec<Cve> {
        names.iter().map(|name| name.parse().unwrap()).collect()
    }

    const TODAY: Date = Date::constant(2026, 11, 22);

    #[test]
    fn by_cve_platform_and_status() {
        let mut withdrawn = entry("withdrawn", "linux", &[("CVE-2020-0001", "full", 90)]);
        withdrawn.status = crate::schema::Status::Withdrawn;
        let entries = [
            entry("small", "linux", &[("CVE-2020-0001", "partial", 20)]),
            entry("big", "linux", &[("CVE-2020-0001", "full", 45), ("CVE-2020-0002", "substantial", 30)]),
            entry("windows", "windows", &[("CVE-2020-0001", "full", 60)]),
            entry("both", "any", &[("CVE-2020-0002", "full", 30)]),
            entry("other", "linux", &[("CVE-2020-0009", "full", 50)]),
            withdrawn,
        ];
        let wanted = cves(&["CVE-2020-0001", "CVE-2020-0002"]);
        let found = eliminations(&entries, &wanted, &[], Platform::Linux, TODAY);
        let ids: Vec<&str> = found.iter().map(|e| e.entry.id.as_str()).collect();
        assert_eq!(ids, ["big", "both", "small"]);
        assert!(found[0].mitigates_all(&wanted));
        assert!(!found[1].mitigates_all(&wanted));
        let best = best(&found);
        assert_eq!(best[&Some(wanted[0].clone())].entry.as_str(), "big");
        // Equal points: the wider coverage counts; never a sum.
        let second = &best[&Some(wanted[1].clone())];
        assert_eq!((second.entry.as_str(), second.points, second.coverage), ("both", 30, Coverage::Full));
        let none = eliminations(&entries, &wanted, &[], Platform::Macos, TODAY);
        assert!(none.is_empty());
    }

    #[test]
    fn by_qid_only_without_cves() {
        let entries = [
            entry("tls", "linux", &[("38628", "full", 40)]),
            entry("other", "linux", &[("CVE-2020-0001", "full", 40)]),
        ];
        let found = eliminations(&entries, &[], &[38628, 1], Platform::Linux, TODAY);
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].covers, [Cover { cve: None, coverage: Coverage::Full, points: 40 }]);
        assert!(found[0].mitigates_all(&[]));
        // A QID in the entry does not stand for CVEs it does not list.
        assert!(eliminations(&entries, &cves(&["CVE-2020-0002"]), &[38628], Platform::Linux, TODAY).is_empty());
        assert!(eliminations(&entries, &[], &[7], Platform::Linux, TODAY).is_empty());
    }
}

//! Scores: where they come from, what a control takes off, and when a vulnerability counts as mitigated.
//!
//! Design section 5; R9, R10, R11 of the mitigation rules. A score is 1 to 100 and never below 1.

use crate::mitigation::{ControlState, Coverage};
use serde::Serialize;

/// The band of a detection score.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Band {
    /// 1 to 39.
    Low,
    /// 40 to 69.
    Medium,
    /// 70 to 89.
    High,
    /// 90 to 100.
    Critical,
}

impl Band {
    /// The band of a score.
    #[must_use]
    pub fn of(score: u8) -> Self {
        match score {
            90.. => Band::Critical,
            70.. => Band::High,
            40.. => Band::Medium,
            _ => Band::Low,
        }
    }

    /// The word used in the database.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Band::Low => "low",
            Band::Medium => "medium",
            Band::High => "high",
            Band::Critical => "critical",
        }
    }

    /// The word back to the value.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        [Band::Low, Band::Medium, Band::High, Band::Critical].into_iter().find(|band| band.as_str() == word)
    }

    /// As people write it.
    #[must_use]
    pub fn title(self) -> &'static str {
        match self {
            Band::Low => "Low",
            Band::Medium => "Medium",
            Band::High => "High",
            Band::Critical => "Critical",
        }
    }
}

/// Where an inherent score comes from; the drill-down shows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Source {
    /// The scanner's detection score.
    Qds,
    /// The scanner's score of the CVE, capped by the detection's.
    Qvs,
    /// Our table by severity and CVSS, see [`estimate`].
    Estimated,
}

impl Source {
    /// The word used in the database and the API.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Source::Qds => "qds",
            Source::Qvs => "qvs",
            Source::Estimated => "estimated",
        }
    }

    /// The word back to the value; unknown words are `Estimated`, the weakest claim.
    #[must_use]
    pub fn parse(word: &str) -> Self {
        match word {
            "qds" => Source::Qds,
            "qvs" => Source::Qvs,
            _ => Source::Estimated,
        }
    }
}

/// A score for a detection whose scanner gave none, as most export files do: by severity 1-5 it is
/// 10, 25, 45, 65, 85; with a CVSS base score it is the mean of that and ten times the base, rounded down.
#[must_use]
pub fn estimate(severity: u8, cvss: Option<f64>) -> u8 {
    let by_severity: u16 = match severity {
        0 | 1 => 10,
        2 => 25,
        3 => 45,
        4 => 65,
        _ => 85,
    };
    let Some(base) = cvss.filter(|base| base.is_finite()) else { return clamp(i64::from(by_severity)) };
    let tenths = format!("{:.0}", (base.clamp(0.0, 10.0)) * 10.0).parse::<u16>().unwrap_or(0);
    clamp(i64::from((by_severity + tenths) / 2))
}

fn clamp(score: i64) -> u8 {
    u8::try_from(score.clamp(1, 100)).expect("clamped to 1..=100")
}

/// One unit of a vulnerability that can be mitigated: a CVE, or the vulnerability itself when it has none.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Unit {
    /// The CVE; `None` for a vulnerability without CVEs.
    pub cve: Option<String>,
    /// Score before any mitigation.
    pub inherent: u8,
    /// Where it comes from.
    pub source: Source,
}

/// The inherent scores of a detection's CVEs: the QVS where known, never above the QDS, the highest CVE being
/// the QDS; without QVS every CVE has the QDS.
#[must_use]
pub fn units(detection: u8, source: Source, cves: &[(String, Option<u8>)]) -> Vec<Unit> {
    if cves.is_empty() {
        return vec![Unit { cve: None, inherent: detection, source }];
    }
    let top = cves.iter().filter_map(|(_, qvs)| *qvs).max();
    let any_without = cves.iter().any(|(_, qvs)| qvs.is_none());
    cves.iter()
        .map(|(cve, qvs)| match qvs {
            Some(qvs) if any_without || Some(*qvs) < top => {
                Unit { cve: Some(cve.clone()), inherent: clamp(i64::from(*qvs)).min(detection), source: Source::Qvs }
            }
            _ => Unit { cve: Some(cve.clone()), inherent: detection, source },
        })
        .collect()
}

/// One control on an asset, as far as it concerns one unit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Control {
    /// Catalogue entry.
    pub entry: String,
    /// The unit it covers.
    pub cve: Option<String>,
    /// How much of the unit it covers.
    pub coverage: Coverage,
    /// Impact factor: points taken off while effective.
    pub points: u8,
    /// What the last check says.
    pub state: ControlState,
}

impl Control {
    /// What it takes off now: all when effective, half when waiting for a restart, else nothing.
    #[must_use]
    pub fn points_now(&self) -> u8 {
        match self.state {
            ControlState::Effective => self.points,
            ControlState::Configured => self.points / 2,
            _ => 0,
        }
    }

    fn mitigates(&self) -> bool {
        self.state == ControlState::Effective && self.coverage.mitigates()
    }
}

/// The `mitigation` field of a vulnerable item. It stands beside the workflow state and never replaces it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Mitigation {
    /// No control lowers anything.
    None,
    /// Some units are mitigated, or a control only lowers the score.
    Partial,
    /// Every unit is mitigated (R9, S1.23).
    Mitigated,
    /// A control that was in force was changed by somebody; the score is back up.
    Drifted,
}

impl Mitigation {
    /// Every word.
    pub const WORDS: &'static [&'static str] = &[
        Mitigation::None.as_str(),
        Mitigation::Partial.as_str(),
        Mitigation::Mitigated.as_str(),
        Mitigation::Drifted.as_str(),
    ];

    /// The word used in the database and the API.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Mitigation::None => "none",
            Mitigation::Partial => "partial",
            Mitigation::Mitigated => "mitigated",
            Mitigation::Drifted => "drifted",
        }
    }

    /// The word back to the value; unknown words are `None`.
    #[must_use]
    pub fn parse(word: &str) -> Self {
        match word {
            "partial" => Mitigation::Partial,
            "mitigated" => Mitigation::Mitigated,
            "drifted" => Mitigation::Drifted,
            _ => Mitigation::None,
        }
    }
}

/// One unit after the controls.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Residual {
    /// The unit.
    #[serde(flatten)]
    pub unit: Unit,
    /// Points taken off.
    pub points: u8,
    /// `max(1, inherent - points)` (R10).
    pub residual: u8,
    /// The control whose points count, the largest one.
    pub entry: Option<String>,
    /// An effective control covers it full or substantially.
    pub mitigated: bool,
}

/// A detection after the controls.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Assessment {
    /// Per unit, in the order given.
    pub units: Vec<Residual>,
    /// Highest inherent score of the units.
    pub inherent: u8,
    /// Highest residual score of the units (R11).
    pub residual: u8,
    /// The item's field.
    pub mitigation: Mitigation,
}

/// What the controls leave of the scores. Several controls on one unit: the largest counts, never the sum.
#[must_use]
pub fn assess(units: &[Unit], controls: &[Control]) -> Assessment {
    let units: Vec<Residual> = units.iter().map(|unit| residual(unit, controls)).collect();
    let covering = |state| controls.iter().any(|c| c.state == state && units.iter().any(|unit| unit.unit.cve == c.cve));
    let mitigation = if !units.is_empty() && units.iter().all(|unit| unit.mitigated) {
        Mitigation::Mitigated
    } else if covering(ControlState::Drifted) {
        Mitigation::Drifted
    } else if units.iter().any(|unit| unit.mitigated || unit.points > 0) {
        Mitigation::Partial
    } else {
        Mitigation::None
    };
    Assessment {
        inherent: units.iter().map(|unit| unit.unit.inherent).max().unwrap_or(1),
        residual: units.iter().map(|unit| unit.residual).max().unwrap_or(1),
        mitigation,
        units,
    }
}

fn residual(unit: &Unit, controls: &[Control]) -> Residual {
    let mine = || controls.iter().filter(|control| control.cve == unit.cve);
    // Ties go to the entry first in the alphabet, so that the drill-down does not flicker.
    let best = mine()
        .filter(|control| control.points_now() > 0)
        .max_by(|a, b| a.points_now().cmp(&b.points_now()).then_with(|| b.entry.cmp(&a.entry)));
    let points = best.map_or(0, Control::points_now);
    Residual {
        unit: unit.clone(),
        points,
        residual: unit.inherent.saturating_sub(points).max(1),
        entry: best.map(|control| control.entry.clone()),
        mitigated: mine().any(Control::mitigates),
    }
}

/// What a successful task leaves: effective, or waiting where a restart has to come first.
#[must_use]
pub fn expected(restart_needed: bool) -> ControlState {
    if restart_needed { ControlState::Configured } else { ControlState::Effective }
}

/// What would be left of the scores with these controls `put` in place as well: each takes the place of what the same entry
/// has there now. Nothing is put in place by asking.
#[must_use]
pub fn predict(units: &[Unit], controls: &[Control], put: &[Control]) -> Assessment {
    let stays = |control: &&Control| put.iter().all(|new| new.entry != control.entry);
    let then: Vec<Control> = controls.iter().filter(stays).chain(put).cloned().collect();
    assess(units, &then)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn control(cve: &str, points: u8, coverage: Coverage, state: ControlState) -> Control {
        Control { entry: format!("e{points}"), cve: Some(cve.to_owned()), coverage, points, state }
    }

    fn two_cves() -> Vec<Unit> {
        units(90, Source::Qds, &[("CVE-1".to_owned(), None), ("CVE-2".to_owned(), None)])
    }

    #[test]
    fn s1_24_ninety_with_impact_thirty_gives_sixty() {
        let units = units(90, Source::Qds, &[("CVE-1".to_owned(), None)]);
        let after = assess(&units, &[control("CVE-1", 30, Coverage::Full, ControlState::Effective)]);
        assert_eq!((after.inherent, after.residual, after.mitigation), (90, 60, Mitigation::Mitigated));
    }

    #[test]
    fn s1_23_mitigated_needs_every_cve() {
        let one = control("CVE-1", 30, Coverage::Full, ControlState::Effective);
        let after = assess(&two_cves(), std::slice::from_ref(&one));
        assert_eq!((after.residual, after.mitigation), (90, Mitigation::Partial));
        let two = control("CVE-2", 20, Coverage::Substantial, ControlState::Effective);
        let after = assess(&two_cves(), &[one, two]);
        assert_eq!((after.residual, after.mitigation), (70, Mitigation::Mitigated));
    }

    #[test]
    fn states_and_coverage_decide() {
        use ControlState::{Configured, Drifted, Effective, Exposed, NotApplicable, Unknown};
        let units = units(50, Source::Qds, &[("CVE-1".to_owned(), None)]);
        for (coverage, state, residual, mitigation) in [
            (Coverage::Full, Effective, 5, Mitigation::Mitigated),
            (Coverage::Substantial, Effective, 5, Mitigation::Mitigated),
            (Coverage::Partial, Effective, 5, Mitigation::Partial),
            (Coverage::Full, Configured, 28, Mitigation::Partial),
            (Coverage::Full, Drifted, 50, Mitigation::Drifted),
            (Coverage::Full, Unknown, 50, Mitigation::None),
            (Coverage::Full, Exposed, 50, Mitigation::None),
            (Coverage::Full, NotApplicable, 50, Mitigation::None),
        ] {
            let after = assess(&units, &[control("CVE-1", 45, coverage, state)]);
            assert_eq!((after.residual, after.mitigation), (residual, mitigation), "{coverage:?} {state:?}");
        }
    }

    #[test]
    fn the_largest_counts_never_the_sum() {
        let units = units(90, Source::Qds, &[("CVE-1".to_owned(), None)]);
        let after = assess(
            &units,
            &[
                control("CVE-1", 30, Coverage::Full, ControlState::Effective),
                control("CVE-1", 25, Coverage::Full, ControlState::Effective),
            ],
        );
        assert_eq!(after.residual, 60);
        assert_eq!(after.units[0].entry.as_deref(), Some("e30"));
    }

    #[test]
    fn the_highest_cve_is_the_detection_score() {
        let cves = [("A".to_owned(), Some(80)), ("B".to_owned(), Some(40))];
        let found: Vec<(u8, Source)> = units(95, Source::Qds, &cves).iter().map(|u| (u.inherent, u.source)).collect();
        assert_eq!(found, [(95, Source::Qds), (40, Source::Qvs)]);
        let capped = units(30, Source::Qds, &cves);
        assert!(capped.iter().all(|unit| unit.inherent == 30));
    }

    #[test]
    fn without_a_scanner_score_the_table_estimates() {
        for (severity, cvss, score) in [
            (1, None, 10),
            (5, None, 85),
            (4, Some(9.8), 81),
            (5, Some(10.0), 92),
            (1, Some(0.0), 5),
            (3, Some(f64::NAN), 45),
        ] {
            assert_eq!(estimate(severity, cvss), score, "{severity} {cvss:?}");
        }
    }

    #[test]
    fn a_prediction_replaces_what_the_entry_has_there_now() {
        let units = units(90, Source::Qds, &[("CVE-1".to_owned(), None)]);
        let drifted = control("CVE-1", 30, Coverage::Full, ControlState::Drifted);
        let put = Control { state: expected(false), ..drifted.clone() };
        assert_eq!(assess(&units, std::slice::from_ref(&drifted)).mitigation, Mitigation::Drifted);
        let after = predict(&units, std::slice::from_ref(&drifted), std::slice::from_ref(&put));
        assert_eq!((after.residual, after.mitigation), (60, Mitigation::Mitigated));
        // What waits for a restart counts half, as it will.
        let waits = Control { state: expected(true), ..drifted.clone() };
        assert_eq!(predict(&units, &[drifted], &[waits]).residual, 75);
    }

    proptest! {
        /// The prediction is what really happens when every task succeeds: controls kept by (asset, entry) as the store
        /// keeps them, each success putting its entry's lines in place one after the other, in any order.
        #[test]
        fn a_prediction_is_what_happens_when_all_succeed(
            detection in 1u8..=100,
            now in proptest::collection::btree_map(0usize..5, 0usize..6, 0..5),
            put in proptest::collection::btree_set(0usize..5, 0..5),
            points in proptest::collection::vec(0u8..=100, 5),
            restart in proptest::collection::vec(any::<bool>(), 5),
            backwards: bool,
        ) {
            let cves: Vec<(String, Option<u8>)> = (0..3).map(|n| (format!("CVE-{n}"), None)).collect();
            let units = units(detection, Source::Qds, &cves);
            let states = [ControlState::Effective, ControlState::Configured, ControlState::Drifted,
                ControlState::Unknown, ControlState::Exposed, ControlState::NotApplicable];
            // Entry n covers two of the CVEs, as a line each.
            let lines = |n: usize, state: ControlState| [n % 3, (n + 1) % 3].map(|cve| Control {
                entry: format!("e{n}"), cve: Some(format!("CVE-{cve}")), coverage: Coverage::Full, points: points[n], state,
            });
            let in_force = |held: &std::collections::BTreeMap<usize, ControlState>| -> Vec<Control> {
                held.iter().flat_map(|(n, state)| lines(*n, *state)).collect()
            };
            let mut held: std::collections::BTreeMap<usize, ControlState> =
                now.iter().map(|(n, state)| (*n, states[*state])).collect();
            let hypothetical: Vec<Control> = put.iter().flat_map(|n| lines(*n, expected(restart[*n]))).collect();
            let predicted = predict(&units, &in_force(&held), &hypothetical);
            let mut order: Vec<usize> = put.iter().copied().collect();
            if backwards { order.reverse(); }
            for n in order {
                held.insert(n, expected(restart[n]));
            }
            let happened = assess(&units, &in_force(&held));
            prop_assert_eq!((predicted.residual, predicted.mitigation), (happened.residual, happened.mitigation));
        }

        #[test]
        fn scores_stay_in_range_and_controls_never_raise(
            detection in 1u8..=100,
            qvs in proptest::collection::vec(proptest::option::of(0u8..=255), 0..4),
            raw in proptest::collection::vec((0usize..5, 0u8..=100, 0usize..6), 0..6),
        ) {
            let cves: Vec<(String, Option<u8>)> =
                qvs.iter().enumerate().map(|(n, qvs)| (format!("CVE-{n}"), *qvs)).collect();
            let units = units(detection, Source::Qds, &cves);
            prop_assert_eq!(units.iter().map(|unit| unit.inherent).max(), Some(detection));
            let states = [ControlState::Effective, ControlState::Configured, ControlState::Drifted,
                ControlState::Unknown, ControlState::Exposed, ControlState::NotApplicable];
            let controls: Vec<Control> = raw.iter()
                .map(|(n, points, state)| control(&format!("CVE-{n}"), *points, Coverage::Full, states[*state]))
                .collect();
            let after = assess(&units, &controls);
            prop_assert!(after.residual >= 1 && after.residual <= after.inherent);
            for unit in &after.units {
                prop_assert!(unit.residual >= 1 && unit.residual <= unit.unit.inherent);
            }
        }
    }
}

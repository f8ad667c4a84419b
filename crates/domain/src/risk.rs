//! Asset risk, 0 to 1000: our own monotone formula, and the four published ones by name for comparison.
//!
//! Design, section 5; mitigation rules 5.6 and 5.7, R22. A number never stands without the name of its formula. The
//! published forms are not monotone or have cliffs, which is why none of them is the default: the tests show both.

use crate::score::Band;
use serde::{Deserialize, Serialize};

/// The highest risk.
pub const RISK_MAX: f64 = 1000.0;

/// A formula of asset risk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Formula {
    /// Ours: removing or lowering any detection never raises it.
    #[default]
    Quell,
    /// The first published form: criticality x weighted band means.
    First,
    /// TruRisk 1.0: the means, each times its count to the power of 0.01.
    #[serde(rename = "trurisk_1")]
    TruRisk1,
    /// The updated form, as far as it is published: its base term.
    Updated,
    /// TruRisk 2.0, as far as it is published: the base term over CVEs.
    #[serde(rename = "trurisk_2")]
    TruRisk2,
}

impl Formula {
    /// Every formula.
    pub const ALL: [Formula; 5] =
        [Formula::Quell, Formula::First, Formula::TruRisk1, Formula::Updated, Formula::TruRisk2];

    /// The word in settings and the API.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Formula::Quell => "quell",
            Formula::First => "first",
            Formula::TruRisk1 => "trurisk_1",
            Formula::Updated => "updated",
            Formula::TruRisk2 => "trurisk_2",
        }
    }

    /// The word back to the value.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|formula| formula.as_str() == word)
    }

    /// As people write it.
    #[must_use]
    pub fn title(self) -> &'static str {
        match self {
            Formula::Quell => "Quell",
            Formula::First => "First published form",
            Formula::TruRisk1 => "TruRisk 1.0",
            Formula::Updated => "Updated TruRisk (base term)",
            Formula::TruRisk2 => "TruRisk 2.0 (base term)",
        }
    }

    /// The formula itself, shown beside every number.
    #[must_use]
    pub fn text(self) -> &'static str {
        match self {
            Formula::Quell => "1000 × criticality/5 × (1 − Π(1 − 0.9 × (score/100)⁴)) over open detections",
            Formula::First => "criticality × Σ over bands (weight × mean score); weights 1.0, 0.6, 0.4, 0.2",
            Formula::TruRisk1 => {
                "criticality × external (1.2 or 1) × Σ over bands (weight × mean score × count^0.01); weights 1.0, 0.6, 0.4, 0.2"
            }
            Formula::Updated => {
                "criticality × external × highest score × (1.3 from 90, 1.1 from 70, else 1.0); the weights of its counts are not published"
            }
            Formula::TruRisk2 => {
                "criticality × external × highest score of a CVE × (1.3 from 90, 1.1 from 70, else 1.0); the weights of its counts are not published"
            }
        }
    }
}

/// What an asset's risk is computed from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Exposed {
    /// Criticality, 1 to 5: of several tags the highest (R22).
    pub criticality: u8,
    /// It can be reached from outside.
    pub external: bool,
    /// Residual scores of the open detections, 1 to 100.
    pub detections: Vec<u8>,
    /// Residual scores of their CVEs; where empty, the detections stand for them.
    pub cves: Vec<u8>,
}

/// The risk of an asset by a formula, 0 to 1000; nothing open is 0.
#[must_use]
pub fn risk(formula: Formula, asset: &Exposed) -> f64 {
    let criticality = f64::from(asset.criticality.clamp(1, 5));
    let external = if asset.external { 1.2 } else { 1.0 };
    let scores = &asset.detections;
    let raw = match formula {
        Formula::Quell => RISK_MAX * criticality / 5.0 * any_succeeds(scores),
        Formula::First => criticality * by_bands(scores, |_| 1.0),
        Formula::TruRisk1 => criticality * external * by_bands(scores, |count| count.powf(0.01)),
        Formula::Updated => criticality * external * base(scores),
        Formula::TruRisk2 => criticality * external * base(if asset.cves.is_empty() { scores } else { &asset.cves }),
    };
    raw.clamp(0.0, RISK_MAX)
}

/// The same as people see it: a whole number.
#[must_use]
pub fn rounded(risk: f64) -> i64 {
    format!("{risk:.0}").parse().unwrap_or(0)
}

/// How likely at least one of them succeeds, taking 0.9 x (score/100)^4 for each: a lone 100 gives 0.9, a 30 next to nothing.
/// In the order of the scores, so that the same set gives the same number to the last bit.
fn any_succeeds(scores: &[u8]) -> f64 {
    let mut sorted = scores.to_vec();
    sorted.sort_unstable();
    1.0 - sorted.iter().map(|score| 1.0 - 0.9 * (f64::from((*score).min(100)) / 100.0).powi(4)).product::<f64>()
}

/// Weights of the bands: critical, high, medium, low (mitigation rules 5.6; that of high is the widely quoted one).
fn weight(band: Band) -> f64 {
    match band {
        Band::Critical => 1.0,
        Band::High => 0.6,
        Band::Medium => 0.4,
        Band::Low => 0.2,
    }
}

fn by_bands(scores: &[u8], of_count: impl Fn(f64) -> f64) -> f64 {
    [Band::Critical, Band::High, Band::Medium, Band::Low]
        .into_iter()
        .map(|band| {
            let (mut count, mut sum) = (0.0, 0.0);
            for score in scores.iter().filter(|score| Band::of(**score) == band) {
                count += 1.0;
                sum += f64::from(*score);
            }
            if count > 0.0 { weight(band) * sum / count * of_count(count) } else { 0.0 }
        })
        .sum()
}

fn base(scores: &[u8]) -> f64 {
    let Some(highest) = scores.iter().max() else { return 0.0 };
    let grade = match Band::of(*highest) {
        Band::Critical => 1.3,
        Band::High => 1.1,
        Band::Medium | Band::Low => 1.0,
    };
    f64::from(*highest) * grade
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn asset(criticality: u8, detections: &[u8]) -> Exposed {
        Exposed { criticality, detections: detections.to_vec(), ..Exposed::default() }
    }

    fn near(found: f64, expected: f64) {
        assert!((found - expected).abs() < 0.1, "{found} is not {expected}");
    }

    /// Mitigation rules 5.7.
    #[test]
    fn r22_the_worked_examples_of_the_published_forms() {
        near(risk(Formula::TruRisk1, &asset(5, &[100])), 500.0);
        // Adding a critical one lowers it: the flaw that its own makers name.
        near(risk(Formula::TruRisk1, &asset(5, &[100, 90])), 478.3);
        near(risk(Formula::TruRisk1, &asset(4, &[90])), 360.0);
        near(risk(Formula::TruRisk1, &asset(4, &[60])), 96.0);
        near(risk(Formula::Updated, &asset(5, &[90])), 585.0);
        near(risk(Formula::Updated, &asset(5, &[89])), 489.5);
        near(risk(Formula::First, &asset(5, &[100, 90])), 475.0);
    }

    /// The two examples of mitigation rules 5.6: the stated 518 is met within a point, the stated 1000 by the cap.
    #[test]
    fn r22_the_published_example_and_the_cap() {
        let mut many = vec![95; 3];
        many.extend([65; 50]);
        many.extend([30; 20]);
        near(risk(Formula::TruRisk1, &asset(4, &many)), 517.1);
        let worst = Exposed { external: true, ..asset(5, &[100, 100, 95, 89, 85, 60, 65, 30]) };
        for formula in Formula::ALL {
            assert!(risk(formula, &worst) <= RISK_MAX, "{formula:?}");
        }
        assert!((risk(Formula::TruRisk1, &worst) - RISK_MAX).abs() < f64::EPSILON);
    }

    #[test]
    fn ours_by_table_and_in_words() {
        for (criticality, detections, expected) in [
            (5, &[][..], 0),
            (5, &[100], 900),
            (5, &[90], 590),
            (5, &[60], 117),
            (5, &[30; 20], 136),
            (5, &[100, 100], 990),
            (1, &[100], 180),
            (4, &[90], 472),
        ] {
            assert_eq!(rounded(risk(Formula::Quell, &asset(criticality, detections))), expected, "{detections:?}");
        }
        for formula in Formula::ALL {
            assert_eq!(Formula::parse(formula.as_str()), Some(formula));
            assert!(!formula.title().is_empty() && !formula.text().is_empty());
        }
    }

    #[test]
    fn the_second_form_counts_cves() {
        let two = Exposed { cves: vec![95, 20], ..asset(5, &[60]) };
        near(risk(Formula::TruRisk2, &two), 617.5);
        near(risk(Formula::TruRisk2, &asset(5, &[60])), 300.0);
    }

    proptest! {
        #[test]
        fn removing_or_lowering_a_detection_never_raises_ours(
            criticality in 1u8..=5,
            detections in proptest::collection::vec(1u8..=100, 1..40),
            at in any::<prop::sample::Index>(),
            lower in 0u8..=100,
        ) {
            let before = risk(Formula::Quell, &asset(criticality, &detections));
            let at = at.index(detections.len());
            let mut removed = detections.clone();
            removed.remove(at);
            prop_assert!(risk(Formula::Quell, &asset(criticality, &removed)) <= before + 1e-9);
            let mut lowered = detections.clone();
            lowered[at] = lowered[at].min(lower.max(1));
            prop_assert!(risk(Formula::Quell, &asset(criticality, &lowered)) <= before + 1e-9);
            prop_assert!((0.0..=RISK_MAX).contains(&before));
            prop_assert!(risk(Formula::Quell, &asset((criticality + 1).min(5), &detections)) >= before);
        }

        #[test]
        fn every_form_stays_in_range(
            criticality in 0u8..=9, external in any::<bool>(),
            detections in proptest::collection::vec(0u8..=255, 0..40), cves in proptest::collection::vec(0u8..=255, 0..40),
        ) {
            let any = Exposed { criticality, external, detections, cves };
            for formula in Formula::ALL {
                prop_assert!((0.0..=RISK_MAX).contains(&risk(formula, &any)), "{:?}", formula);
            }
        }
    }
}

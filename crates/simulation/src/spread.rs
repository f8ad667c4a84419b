//! How a person lets a run spread over its assets: what is entered, and what the watch holds the servers to. Its arithmetic is
//! the watch's own.

use crate::chance::Chance;
use serde_json::{Value, json};

/// A policy as a person enters it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spread {
    /// Assets of each wave but the last.
    pub waves: Vec<u32>,
    /// How long the results of a wave have to stand, in seconds.
    pub soak: i64,
    /// Tasks at once.
    pub running: usize,
    /// Starts a minute.
    pub starts: Option<usize>,
    /// Failures the run survives.
    pub failures: Option<u64>,
    /// The rate of failures in percent that it survives with 95 % confidence.
    pub percent: Option<u32>,
    /// Results a wave needs, in percent.
    pub definitive: u64,
    /// One of a cluster at a time.
    pub apart: bool,
    /// Every start asks.
    pub permits: bool,
    /// A host that was not heard of for so many hours is away.
    pub freshness: i64,
}

/// The beginning of the tags that make clusters.
pub const CLUSTER: &str = "cluster:";

impl Default for Spread {
    /// What holds where nobody said anything; as `docs/guide.md` has it.
    fn default() -> Self {
        let (waves, definitive) = (Vec::new(), 95);
        Self {
            waves,
            soak: 0,
            running: 1000,
            starts: None,
            failures: None,
            percent: None,
            definitive,
            apart: false,
            permits: true,
            freshness: 24,
        }
    }
}

impl Spread {
    /// What somebody enters, if anything.
    pub fn draw(chance: &mut Chance) -> Option<Self> {
        if chance.percent(40) {
            return None;
        }
        let size = |chance: &mut Chance| u32::try_from(chance.between(1, 6)).unwrap_or(1);
        Some(Self {
            waves: (0..chance.index(3)).map(|_| size(chance)).collect(),
            soak: if chance.percent(50) { 0 } else { chance.between(30, 900) },
            running: if chance.percent(40) { 1000 } else { 1 + chance.index(6) },
            starts: chance.percent(25).then(|| 1 + chance.index(6)),
            failures: chance.percent(40).then(|| chance.below(4)),
            percent: chance.percent(30).then(|| u32::try_from(chance.between(2, 20)).unwrap_or(2)),
            definitive: [50, 95, 100][chance.index(3)],
            apart: chance.percent(30),
            permits: chance.percent(60),
            // Drawn by itself, see `Plan::absences`.
            freshness: 24,
        })
    }

    /// What is sent.
    pub fn json(&self) -> Value {
        let mut body = json!({
            "waves": self.waves.iter().map(ToString::to_string).collect::<Vec<_>>(),
            "soak_seconds": self.soak, "max_running": self.running, "starts_per_minute": self.starts,
            "failures": self.failures.map(|count| count.to_string()), "failure_percent": self.percent,
            "definitive_percent": self.definitive, "permits": self.permits, "freshness_hours": self.freshness,
        });
        if self.apart {
            body["apart_tag"] = CLUSTER.into();
            body["apart_at_most"] = 1.into();
        }
        body
    }

    /// Whether so many failures are more than a run of so many tasks survives.
    pub fn too_many(&self, failures: u64, tasks: u64) -> bool {
        failures > self.failures.unwrap_or_else(|| 10.max(tasks / 10))
    }

    /// Whether the true rate is above what is allowed with 95 % confidence: the limit lies below the interval of Wilson, that is
    /// below the observed rate, and further off than the interval is wide.
    pub fn rate_too_high(&self, failures: u64, judged: u64) -> bool {
        let Some(percent) = self.percent.filter(|_| judged > 0) else { return false };
        let whole = |count: u64| u32::try_from(count).map_or(f64::MAX, f64::from);
        let (n, limit) = (whole(judged), f64::from(percent) / 100.0);
        let rate = whole(failures) / n;
        rate > limit && (rate - limit).powi(2) > 1.96_f64.powi(2) * limit * (1.0 - limit) / n * 1.001
    }

    /// Whether more failed than is allowed, so that a person has to open the next wave.
    pub fn rate_seen_too_high(&self, failures: u64, judged: u64) -> bool {
        self.percent.is_some_and(|percent| failures * 100 > u64::from(percent) * judged)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_by_table() {
        let of = |failures, percent| Spread { failures, percent, ..Spread::default() };
        assert!(!of(None, None).too_many(10, 20) && of(None, None).too_many(11, 20));
        assert!(!of(None, None).too_many(20, 200) && of(None, None).too_many(21, 200));
        assert!(!of(Some(0), None).too_many(0, 9) && of(Some(0), None).too_many(1, 9));
        // 2 of 2 failed: the lower bound is 34 %; 1 of 20: 0.9 %.
        assert!(of(None, Some(30)).rate_too_high(2, 2) && !of(None, Some(35)).rate_too_high(2, 2));
        assert!(of(None, Some(5)).rate_seen_too_high(1, 19) && !of(None, Some(5)).rate_seen_too_high(1, 20));
        assert!(!of(None, None).rate_seen_too_high(9, 9) && !of(None, Some(1)).rate_seen_too_high(0, 1));
        assert!(!of(None, Some(1)).rate_too_high(1, 20) && !of(None, Some(2)).rate_too_high(0, 0));
    }
}

//! How a run spreads over its assets: waves and who is in which, limits on what runs at once, freshness of offline hosts.
//!
//! `fleet-execution.md` 1.6, 2.1 and 2.3. The judgement at the end of a wave is in [`gate`], the life of a run in [`run`], what a
//! limit means while it is held in [`permit`], which hosts are kept apart in [`apart`], what a policy comes to for a run of a known size in
//! [`resolved`].

pub mod apart;
pub mod gate;
pub mod permit;
pub mod resolved;
pub mod run;

use crate::id::AssetId;
use crate::refusal::Refusal;
use crate::time::Timestamp;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

/// Waves of a run, the last one included, at most.
pub const WAVES_MAX: usize = 20;
/// The longest soak, in seconds: seven days.
pub const SOAK_SECONDS_MAX: u32 = 7 * 24 * 3600;
/// The highest limit on what runs at once, or starts in a minute.
pub const LIMIT_MAX: u32 = 100_000;
/// The longest freshness, in hours: one year.
pub const FRESHNESS_HOURS_MAX: u32 = 366 * 24;
/// Characters of a tag that keeps assets apart.
pub const GROUP_MAX: usize = 100;
/// What runs at once where nobody said otherwise.
pub const RUNNING_DEFAULT: u32 = 1_000;
/// How many failures a run survives where nobody said otherwise, however small it is; above it one in
/// [`FAILURES_DEFAULT_SHARE`] percent counts. A job of a few assets so ends by itself and is never halted for their number.
pub const FAILURES_DEFAULT_MIN: u64 = 10;
/// See [`FAILURES_DEFAULT_MIN`].
pub const FAILURES_DEFAULT_SHARE: u8 = 10;

/// A number of things, or a share of all of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Size {
    /// So many.
    Count(u32),
    /// So many percent.
    Share(u8),
}

impl Size {
    /// How many of `all` that is for a limit: a share never allows more than the whole number below it.
    #[must_use]
    pub fn floor(self, all: u64) -> u64 {
        match self {
            Size::Count(count) => u64::from(count),
            Size::Share(percent) => all.saturating_mul(u64::from(percent)) / 100,
        }
    }

    /// How many of `all` that is for a wave: at least one, so that no wave is empty.
    #[must_use]
    pub fn ceiling(self, all: u64) -> u64 {
        match self {
            Size::Count(count) => u64::from(count),
            Size::Share(percent) => all.saturating_mul(u64::from(percent)).div_ceil(100),
        }
        .max(1)
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Size::Count(count) => write!(f, "{count}"),
            Size::Share(percent) => write!(f, "{percent}%"),
        }
    }
}

/// A text that is neither a number nor a percentage.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is neither a number such as 10 nor a share such as 5%")]
pub struct NotASize(pub String);

impl FromStr for Size {
    type Err = NotASize;

    fn from_str(text: &str) -> Result<Self, NotASize> {
        let wrong = |_| NotASize(text.to_owned());
        match text.trim().strip_suffix('%') {
            Some(percent) => percent.trim().parse().map(Size::Share).map_err(wrong),
            None => text.trim().parse().map(Size::Count).map_err(wrong),
        }
    }
}

impl Serialize for Size {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Size {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// Assets that must not be worked on together: members of one cluster, say.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Apart {
    /// The beginning of a tag, `cluster:`: assets that share a tag beginning with it are one group, see [`apart::groups`].
    pub tag: String,
    /// How many hosts of a group are worked on at once, over all runs, by starts and by restarts.
    pub at_most: u32,
}

impl Apart {
    /// Whether hosts that share this tag are a group of it.
    #[must_use]
    pub fn speaks_of(&self, tag: &str) -> bool {
        tag.starts_with(self.tag.as_str())
    }
}

/// How a run of a job spreads over its assets.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Policy {
    /// How many assets each wave but the last has; the last one takes the rest. None: one wave.
    pub waves: Vec<Size>,
    /// How long a wave's results have to stand before the next wave opens, in seconds.
    pub soak_seconds: u32,
    /// Tasks that run at once, at most.
    pub max_running: u32,
    /// Starts in a minute, at most: one each 60/n seconds.
    pub starts_per_minute: Option<u32>,
    /// Failures the run survives; one more halts it. None: see [`FAILURES_DEFAULT_MIN`].
    pub failures: Option<Size>,
    /// The failure rate in percent above which, with 95 % confidence, the run halts.
    pub failure_percent: Option<u8>,
    /// Results a wave needs before the next one opens, in percent of its tasks.
    pub definitive_percent: u8,
    /// A host that was not heard of for so long is away: its wave does not wait for it, and windowed and recurring work for it
    /// expires. In hours.
    pub freshness_hours: u32,
    /// Assets that must not be worked on together.
    pub apart: Option<Apart>,
    /// Every start asks for a permit, so that a halt is exact, even where no limit needs one.
    pub permits: bool,
    /// Hosts that need a restart for what was changed are restarted, at most so many at once; of a group that is kept apart at
    /// most as many as may run at once. None: no host is, its owner does it when it suits him.
    pub restarts: Option<u32>,
}

impl Default for Policy {
    fn default() -> Self {
        Policy {
            waves: Vec::new(),
            soak_seconds: 0,
            max_running: RUNNING_DEFAULT,
            starts_per_minute: None,
            failures: None,
            failure_percent: None,
            definitive_percent: 95,
            freshness_hours: 24,
            apart: None,
            // A halt has to be exact unless somebody decides otherwise (S7).
            permits: true,
            restarts: None,
        }
    }
}

/// A policy with a name, offered to people who do not want to think of numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Preset {
    /// Everything at once, as far as the limits allow.
    AllAtOnce,
    /// One asset, then a tenth, then the rest.
    Canary,
    /// 1, 10, 1 %, 5 %, 25 %, the rest, half an hour apart, few failures allowed.
    Careful,
}

impl Preset {
    /// Every preset.
    pub const ALL: [Preset; 3] = [Preset::AllAtOnce, Preset::Canary, Preset::Careful];

    /// The word for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Preset::AllAtOnce => "all_at_once",
            Preset::Canary => "canary",
            Preset::Careful => "careful",
        }
    }

    /// The word back to the value.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|preset| preset.as_str() == word)
    }

    /// What it means.
    #[must_use]
    pub fn policy(self) -> Policy {
        match self {
            Preset::AllAtOnce => Policy::default(),
            Preset::Canary => Policy {
                waves: vec![Size::Count(1), Size::Share(10)],
                soak_seconds: 300,
                failures: Some(Size::Share(5)),
                failure_percent: Some(5),
                ..Policy::default()
            },
            Preset::Careful => Policy {
                waves: vec![Size::Count(1), Size::Count(10), Size::Share(1), Size::Share(5), Size::Share(25)],
                soak_seconds: 1800,
                max_running: 100,
                failures: Some(Size::Count(3)),
                failure_percent: Some(2),
                ..Policy::default()
            },
        }
    }
}

impl Policy {
    /// Check what a person entered.
    ///
    /// # Errors
    /// `rollout_...`, naming the number that is out of range.
    pub fn validate(&self) -> Result<(), Refusal> {
        let wrong = |code, sentence: String| Err(Refusal::new(code, sentence));
        if self.waves.len() >= WAVES_MAX {
            return wrong("rollout_waves", format!("a run has at most {WAVES_MAX} waves, the last one included"));
        }
        let empty = |size: &Size| matches!(size, Size::Count(0) | Size::Share(0 | 101..));
        if let Some(size) = self.waves.iter().find(|size| empty(size)) {
            return wrong(
                "rollout_waves",
                format!("a wave of {size} is none: give a number from 1 or a share to 100%"),
            );
        }
        if let Some(size @ Size::Share(101..)) = self.failures {
            return wrong("rollout_failures", format!("{size} of the tasks cannot fail"));
        }
        for (name, code, value, range) in [
            ("the soak in seconds", "rollout_soak", self.soak_seconds, 0..=SOAK_SECONDS_MAX),
            ("the tasks that run at once", "rollout_max_running", self.max_running, 1..=LIMIT_MAX),
            ("the starts in a minute", "rollout_starts", self.starts_per_minute.unwrap_or(1), 1..=LIMIT_MAX),
            ("the failure rate in percent", "rollout_rate", u32::from(self.failure_percent.unwrap_or(1)), 1..=100),
            ("the results needed in percent", "rollout_definitive", u32::from(self.definitive_percent), 1..=100),
            ("the hosts restarted at once", "rollout_restarts", self.restarts.unwrap_or(1), 1..=LIMIT_MAX),
            ("the freshness in hours", "rollout_freshness", self.freshness_hours, 1..=FRESHNESS_HOURS_MAX),
        ] {
            if !range.contains(&value) {
                return wrong(code, format!("{name} must be from {} to {}, not {value}", range.start(), range.end()));
            }
        }
        match &self.apart {
            Some(apart) if apart.tag.trim().is_empty() || apart.tag.chars().count() > GROUP_MAX => wrong(
                "rollout_apart",
                format!(
                    "assets are kept apart by the beginning of a tag, 1 to {GROUP_MAX} characters, such as cluster:"
                ),
            ),
            Some(apart) if !(1..=LIMIT_MAX).contains(&apart.at_most) => {
                wrong("rollout_apart", format!("of a group 1 to {LIMIT_MAX} may run at once, not {}", apart.at_most))
            }
            _ => Ok(()),
        }
    }

    /// How many of `assets` each wave has: none is empty, and together they are all of them.
    #[must_use]
    pub fn sizes(&self, assets: u64) -> Vec<u64> {
        let mut left = assets;
        let mut sizes = Vec::new();
        for size in &self.waves {
            let size = size.ceiling(assets).min(left);
            left -= size;
            sizes.extend((size > 0).then_some(size));
        }
        sizes.extend((left > 0).then_some(left));
        sizes
    }

    /// Which asset is in which wave, from 1. By rank of a keyed hash, so that the same job with the same assets always has the same
    /// canaries and another job has others.
    #[must_use]
    pub fn assign(&self, key: u64, assets: impl IntoIterator<Item = AssetId>) -> BTreeMap<AssetId, u32> {
        self.assign_back(key, assets, &BTreeMap::new())
    }

    /// The same for a rollback, where the hosts were changed at these times (`fleet-execution.md` 6.3: in reverse order): those that
    /// were changed last come first. Waves are as large as the policy says, so that a rollback has its canaries, too. Hosts of
    /// which no time is known come last.
    #[must_use]
    pub fn assign_back(
        &self,
        key: u64,
        assets: impl IntoIterator<Item = AssetId>,
        changed: &BTreeMap<AssetId, Timestamp>,
    ) -> BTreeMap<AssetId, u32> {
        let place = |asset| (Reverse(changed.get(&asset).copied()), rank(key, asset), asset);
        let mut ranked: Vec<(Reverse<Option<Timestamp>>, u64, AssetId)> = assets.into_iter().map(place).collect();
        ranked.sort_unstable();
        ranked.dedup();
        let sizes = self.sizes(u64::try_from(ranked.len()).unwrap_or(u64::MAX));
        let waves = (1_u32..).zip(sizes).flat_map(|(wave, size)| (0..size).map(move |_| wave));
        ranked.into_iter().map(|(.., asset)| asset).zip(waves).collect()
    }

    /// How many failures a run of so many tasks survives.
    #[must_use]
    pub fn tolerated(&self, tasks: u64) -> u64 {
        match self.failures {
            Some(size) => size.floor(tasks),
            None => Size::Share(FAILURES_DEFAULT_SHARE).floor(tasks).max(FAILURES_DEFAULT_MIN),
        }
    }

    /// A host that was last heard before this is away (`fleet-execution.md` 1.6).
    #[must_use]
    pub fn away_before(&self, now: Timestamp) -> Timestamp {
        now.plus_seconds(-3600 * i64::from(self.freshness_hours))
    }

    /// Whether a task is no longer kept for its host: it was due, and the host last heard, longer ago than the bound, and the work
    /// is windowed or recurs, so that its next run comes. With a host that contact is lost with ([`crate::contact`]) it is not waited for
    /// that it was due for so long. Work that is done once stays open until it was tried or cancelled
    /// (design, section 10).
    #[must_use]
    pub fn stale(&self, due: Timestamp, heard: Timestamp, missing: bool, ends: bool, now: Timestamp) -> bool {
        let bound = self.away_before(now);
        ends && heard < bound && (missing || due < bound)
    }

    /// Whether every start of a run of so many tasks has to ask for a permit: a limit that nobody could reach needs none.
    #[must_use]
    pub fn needs_permits(&self, tasks: u64) -> bool {
        self.permits
            || !self.waves.is_empty()
            || self.starts_per_minute.is_some()
            || self.apart.is_some()
            || tasks > u64::from(self.max_running)
    }

    /// The pause between two starts that keeps any minute within the limit, in microseconds.
    #[must_use]
    pub fn start_interval_micros(&self) -> i64 {
        self.starts_per_minute.map_or(0, |starts| 60_000_000_i64.div_euclid(i64::from(starts.max(1))) + 1)
    }

    /// How long an agent that got no permit waits before it asks again, in seconds: longer where many wait for few places.
    #[must_use]
    pub fn retry_seconds(&self, asking: u64) -> u32 {
        let places = u64::from(self.max_running).max(1);
        let by_rate = self.starts_per_minute.map_or(0, |starts| asking.saturating_mul(30) / u64::from(starts.max(1)));
        u32::try_from((asking * 5 / places).max(by_rate).clamp(2, 120)).unwrap_or(120)
    }

    /// In words, for the review of a job and its page.
    #[must_use]
    pub fn sentence(&self) -> String {
        let waves = match self.waves.as_slice() {
            [] => "one wave".to_owned(),
            waves => {
                let sizes: Vec<String> = waves.iter().map(ToString::to_string).collect();
                format!("waves of {} and the rest, {} apart", sizes.join(", "), seconds(self.soak_seconds))
            }
        };
        let mut said = vec![waves];
        // Of one wave there is no next one that the share could hold back.
        said.extend((!self.waves.is_empty()).then(|| {
            format!("the next wave opens once {}% of the results of the one before are in", self.definitive_percent)
        }));
        said.push(format!("at most {} at once", self.max_running));
        said.extend(self.starts_per_minute.map(|starts| format!("at most {starts} starts a minute")));
        said.push(match self.failures {
            Some(size) => format!("halts after more than {size} failures"),
            None => format!("halts after more than {FAILURES_DEFAULT_MIN} failures and {FAILURES_DEFAULT_SHARE}%"),
        });
        said.extend(self.failure_percent.map(|percent| format!("or when more than {percent}% fail")));
        said.extend(self.apart.as_ref().map(|a| format!("at most {} of a group by the tag {}", a.at_most, a.tag)));
        said.extend(self.restarts.map(|hosts| format!("restarts hosts that need it, at most {hosts} at once")));
        if self.permits {
            said.push("every start asks for a permit".to_owned());
        }
        said.push(format!("does not wait for hosts not heard of for {} h", self.freshness_hours));
        said.join("; ")
    }
}

fn seconds(seconds: u32) -> String {
    match seconds {
        0 => "no time".to_owned(),
        s if s % 3600 == 0 => format!("{} h", s / 3600),
        s if s % 60 == 0 => format!("{} min", s / 60),
        s => format!("{s} s"),
    }
}

/// The place of an asset in a job's order: a mixing of both numbers in which one changed bit changes half of all bits.
fn rank(key: u64, asset: AssetId) -> u64 {
    let mut x = key.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ asset.0.cast_unsigned();
    for (shift, factor) in [(30, 0xbf58_476d_1ce4_e5b9_u64), (27, 0x94d0_49bb_1331_11eb), (31, 0x9e37_79b9_7f4a_7c15)] {
        x = (x ^ (x >> shift)).wrapping_mul(factor);
    }
    x ^ (x >> 29)
}

#[cfg(test)]
mod tests;

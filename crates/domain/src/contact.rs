//! Agents of which nothing is heard any more: after a week contact is lost, and after weeks an agent is retired by itself, so that what
//! it had to do comes to an end without a person (`fleet-execution.md` 6.5: an agent is considered lost after 7 days on servers and
//! 45 on laptops; nothing here knows which a host is, so the longer one retires and the shorter one is shown).
//!
//! Only time in which a server listened counts: an outage or a clock that jumps makes nobody silent. And where most of a fleet is
//! silent it is the server or its network that is ill, so nobody is retired.

use crate::refusal::Refusal;
use crate::time::Timestamp;

const DAY: i64 = 86_400;

/// Contact is lost with an agent that was not heard of for so long while somebody listened, in seconds: seven days.
pub const MISSING_SECONDS: i64 = 7 * DAY;
/// An agent is retired that was not heard of for so many days while somebody listened, where nobody said otherwise.
pub const RETIRE_DAYS_DEFAULT: i64 = 45;
/// The fewest and the most days until then: not before contact is lost, and not so late that nobody means it.
pub const RETIRE_DAYS: std::ops::RangeInclusive<i64> = 7..=400;

/// A span of time in which somebody listened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// Since when.
    pub since: Timestamp,
    /// Until when.
    pub until: Timestamp,
}

/// The latest instant since which somebody has listened for `seconds` in all; `None` while it was not so long. The spans come
/// the newest first. What lies ahead of `now` is no listening: a clock was wrong.
#[must_use]
pub fn listened_since(spans: impl IntoIterator<Item = Span>, now: Timestamp, seconds: i64) -> Option<Timestamp> {
    let (mut ceiling, mut left) = (now, seconds);
    for span in spans {
        let until = span.until.min(ceiling);
        let long = until.seconds_since(span.since);
        if long >= left && until >= span.since {
            return Some(until.plus_seconds(-left));
        }
        if long > 0 {
            left -= long;
            ceiling = span.since;
        }
    }
    None
}

/// How many seconds somebody has listened since an instant, as [`listened_since`] counts them.
#[must_use]
pub fn listened(spans: impl IntoIterator<Item = Span>, now: Timestamp, since: Timestamp) -> i64 {
    let (mut ceiling, mut seconds) = (now, 0);
    for span in spans {
        let until = span.until.min(ceiling);
        if until > span.since {
            seconds += until.seconds_since(span.since.max(since)).max(0);
            ceiling = span.since;
        }
    }
    seconds
}

/// When an agent that was last heard, or last taken back, at `heard` is retired, where somebody listens all the time from now on.
/// `days` until then, 0 for never.
#[must_use]
pub fn over_at(spans: &[Span], now: Timestamp, days: i64, heard: Timestamp) -> Option<Timestamp> {
    let days = bounded(days)?;
    Some(now.plus_seconds((days * DAY - listened(spans.iter().copied(), now, heard)).max(0)))
}

/// The days that hold; a setting that is out of bounds, however it came to be stored, never retires earlier. `None` for never.
fn bounded(days: i64) -> Option<i64> {
    (days != 0).then(|| days.clamp(*RETIRE_DAYS.start(), *RETIRE_DAYS.end()))
}

/// How an agent stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Contact {
    /// It was heard, or nobody listened long enough to say.
    Heard,
    /// Contact is lost.
    Missing,
    /// It was silent for so long that it is to be retired.
    Over,
}

/// The instants that decide: who was not heard since.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Bounds {
    /// Contact is lost with whom was not heard since then; `None`: with nobody.
    pub missing: Option<Timestamp>,
    /// Whoever was not heard since then is to be retired; `None`: nobody.
    pub over: Option<Timestamp>,
}

impl Bounds {
    /// From the time somebody listened, the newest span first. `days` until an agent is retired, 0 for never.
    #[must_use]
    pub fn of(spans: &[Span], now: Timestamp, days: i64) -> Bounds {
        let since = |seconds| listened_since(spans.iter().copied(), now, seconds);
        Bounds { missing: since(MISSING_SECONDS), over: bounded(days).and_then(|days| since(days * DAY)) }
    }

    /// How an agent stands that was last heard, or last taken back by a person, at `heard`.
    #[must_use]
    pub fn contact(self, heard: Timestamp) -> Contact {
        let before = |bound: Option<Timestamp>| bound.is_some_and(|bound| heard < bound);
        match (before(self.missing), before(self.over)) {
            (true, true) => Contact::Over,
            (true, false) => Contact::Missing,
            (false, _) => Contact::Heard,
        }
    }
}

/// A fleet as far as silence goes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Fleet {
    /// Agents in force, and those that were retired by themselves lately.
    pub agents: u64,
    /// Of these: contact is lost, or they were retired.
    pub silent: u64,
}

impl Fleet {
    /// Why nobody is retired now, if so: most of the fleet is silent. One agent alone is nobody's fleet. Those that were retired lately
    /// count, so that a fleet that is cut off host by host is not retired host by host.
    ///
    /// # Errors
    /// `fleet_silent`.
    pub fn may_retire(self) -> Result<(), Refusal> {
        let Fleet { agents, silent } = self;
        if silent < 2 || silent * 2 <= agents {
            return Ok(());
        }
        let sentence = format!(
            "contact is lost with {silent} of {agents} agents, so no agent is retired by itself: look whether hosts can reach this \
             server, and revoke by hand those that are gone"
        );
        Err(Refusal::new("fleet_silent", sentence))
    }
}

/// What an agent is told that is not in force any more.
///
/// # Errors
/// `agent_revoked`, `agent_retired`.
pub fn in_force(revoked: bool, retired: bool) -> Result<(), Refusal> {
    match (revoked, retired) {
        (false, false) => Ok(()),
        (_, true) => Err(Refusal::new(
            "agent_retired",
            "this agent was not heard of for so long that it was retired, and what it had to do was given up; an administrator can \
             take it back under Agents, or enrol it anew with a new token",
        )),
        (true, false) => {
            Err(Refusal::new("agent_revoked", "this agent was revoked; an administrator can enrol it again"))
        }
    }
}

/// Whether a person may take an agent back: only one that was retired by itself, and only while no other holds its asset.
///
/// # Errors
/// `agent_in_force`, `agent_revoked`, `asset_taken`.
pub fn may_take_back(revoked: bool, retired: bool, asset_taken: bool) -> Result<(), Refusal> {
    match (revoked, retired) {
        (_, true) if asset_taken => {
            Err(Refusal::new("asset_taken", "another agent holds its asset; revoke or unlink that one first"))
        }
        (_, true) => Ok(()),
        (true, false) => Err(Refusal::new("agent_revoked", "a person revoked it, so it has to be enrolled anew")),
        (false, false) => Err(Refusal::new("agent_in_force", "it is not retired; there is nothing to take back")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn at(days: i64) -> Timestamp {
        Timestamp::from_micros(1_790_000_000_000_000).plus_seconds(days * DAY)
    }

    fn span(since: i64, until: i64) -> Span {
        Span { since: at(since), until: at(until) }
    }

    #[test]
    fn only_time_in_which_somebody_listened_counts() {
        let long = |spans: &[Span], now, days: i64| listened_since(spans.iter().copied(), at(now), days * DAY);
        for (spans, now, days, expected) in [
            (vec![], 100, 7, None),
            (vec![span(0, 100)], 100, 7, Some(93)),
            (vec![span(0, 100)], 100, 100, Some(0)),
            (vec![span(0, 100)], 100, 101, None),
            // The server was off from day 50 to day 95.
            (vec![span(95, 100), span(0, 50)], 100, 5, Some(95)),
            (vec![span(95, 100), span(0, 50)], 100, 7, Some(48)),
            (vec![span(95, 100), span(0, 50)], 100, 45, Some(10)),
            // The clock jumps 45 days ahead: nobody listened in between.
            (vec![span(145, 145), span(0, 100)], 145, 45, Some(55)),
            (vec![span(145, 145)], 145, 45, None),
            // It was ahead for a while and is right again: what lies ahead is none.
            (vec![span(145, 146), span(90, 100)], 100, 7, Some(93)),
            (vec![span(90, 190)], 100, 20, None),
            // Spans that overlap count once.
            (vec![span(50, 100), span(40, 100)], 100, 55, Some(45)),
            (vec![span(50, 100), span(40, 100)], 100, 61, None),
            // One that ends before it begins is none.
            (vec![span(99, 98), span(0, 90)], 100, 5, Some(85)),
        ] {
            assert_eq!(long(&spans, now, days), expected.map(at), "{spans:?} at {now}, {days} days");
        }
    }

    #[test]
    fn contact_by_table() {
        let always = [span(-1_000, 100)];
        for (days, silent, expected) in [
            (45, 7, Contact::Heard),
            (45, 8, Contact::Missing),
            (45, 45, Contact::Missing),
            (45, 46, Contact::Over),
            (7, 7, Contact::Heard),
            (7, 8, Contact::Over),
            // Never.
            (0, 900, Contact::Missing),
            // What is stored out of bounds is taken as the nearest bound.
            (1, 7, Contact::Heard),
            (-3, 7, Contact::Heard),
            (9_999, 400, Contact::Missing),
            (9_999, 401, Contact::Over),
        ] {
            let contact = Bounds::of(&always, at(100), days).contact(at(100 - silent));
            assert_eq!(contact, expected, "{days} days, silent for {silent}");
        }
        assert_eq!(Bounds::of(&[], at(100), 45).contact(at(-900)), Contact::Heard, "nobody listened");
        assert_eq!(Bounds::of(&always, at(100), 45).contact(at(145)), Contact::Heard, "heard in a time to come");
    }

    #[test]
    fn when_an_agent_is_retired_if_it_is_not_heard_of_by_table() {
        for (spans, now, days, heard, expected) in [
            (vec![span(0, 100)], 100, 45, 90, Some(135)),
            (vec![span(0, 100)], 100, 45, 55, Some(100)),
            (vec![span(0, 100)], 100, 45, 20, Some(100)),
            // The server was off from day 50 to day 95: ten days of it were heard by nobody.
            (vec![span(95, 100), span(0, 50)], 100, 45, 40, Some(130)),
            (vec![], 100, 45, 20, Some(145)),
            (vec![span(0, 100)], 100, 0, 20, None),
            (vec![span(0, 100)], 100, 1, 98, Some(105)),
            // Spans that overlap count once, and what lies ahead is none.
            (vec![span(50, 100), span(40, 100)], 100, 45, 80, Some(125)),
            (vec![span(145, 146), span(90, 100)], 100, 45, 90, Some(135)),
        ] {
            assert_eq!(
                over_at(&spans, at(now), days, at(heard)),
                expected.map(at),
                "{spans:?} at {now}, heard at {heard}"
            );
        }
    }

    #[test]
    fn a_fleet_that_is_silent_is_not_retired() {
        for (agents, silent, may) in
            [(0, 0, true), (1, 1, true), (2, 1, true), (2, 2, false), (3, 2, false), (4, 2, true), (100, 51, false)]
        {
            assert_eq!(Fleet { agents, silent }.may_retire().is_ok(), may, "{silent} of {agents}");
        }
        let refusal = Fleet { agents: 3, silent: 3 }.may_retire().unwrap_err();
        assert!(refusal.code == "fleet_silent" && refusal.sentence.contains("3 of 3"), "{refusal:?}");
    }

    #[test]
    fn who_is_told_what_and_who_is_taken_back() {
        let code = |result: Result<(), Refusal>| result.map_or_else(|refusal| refusal.code, |()| "");
        assert_eq!(code(in_force(false, false)), "");
        assert_eq!(code(in_force(true, false)), "agent_revoked");
        assert_eq!(code(in_force(true, true)), "agent_retired");
        assert_eq!(code(may_take_back(true, true, false)), "");
        assert_eq!(code(may_take_back(true, true, true)), "asset_taken");
        assert_eq!(code(may_take_back(true, false, false)), "agent_revoked", "what a person ended stays ended");
        assert_eq!(code(may_take_back(false, false, false)), "agent_in_force");
    }

    proptest! {
        /// Nobody is over before contact is lost, a word never makes it worse, and listening less never makes anybody more silent.
        #[test]
        fn silence_needs_listening(
            spans in proptest::collection::vec((0_i64..40, 0_i64..60), 0..8), now in 0_i64..450, days in 0_i64..60,
            heard in 0_i64..450, later in 0_i64..50, cut in 0_usize..8,
        ) {
            // As they are written down: one after the other, with pauses between.
            let mut end = 0;
            let mut spans: Vec<Span> = spans
                .into_iter()
                .map(|(pause, long)| {
                    let since = end + pause;
                    end = since + long;
                    span(since, end)
                })
                .collect();
            spans.reverse();
            let bounds = Bounds::of(&spans, at(now), days);
            let contact = bounds.contact(at(heard));
            prop_assert!(bounds.contact(at(heard + later)) <= contact);
            if contact != Contact::Heard {
                prop_assert!(at(now).seconds_since(at(heard)) > MISSING_SECONDS);
            }
            if contact == Contact::Over {
                prop_assert!(at(now).seconds_since(at(heard)) > days.max(7) * DAY);
            }
            // A page does not promise for later what is due now.
            if contact == Contact::Over {
                prop_assert_eq!(over_at(&spans, at(now), days, at(heard)), Some(at(now)));
            }
            let mut fewer = spans;
            if cut < fewer.len() {
                fewer.remove(cut);
            }
            prop_assert!(Bounds::of(&fewer, at(now), days).contact(at(heard)) <= contact);
        }
    }
}

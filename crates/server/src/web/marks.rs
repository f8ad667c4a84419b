//! Small marks that several pages share: the words of a record as chips, icons and log entries.

use crate::http::Caller;
use crate::pages::chips::{Change, Chip, Tone, When};
use crate::pages::records::Entry;
use domain::access::{Action, Record};
use domain::due::Target;
use domain::item::State;
use domain::progress::Progress;
use domain::rescan::Verdict;
use domain::score::{Mitigation, Source};
use domain::time::Timestamp;
use store::items::{HistoryLine, ItemRow};

/// The mark of an item's mitigation; none where there is none.
#[must_use]
pub fn mitigation(mitigation: Mitigation) -> Option<Chip> {
    match mitigation {
        Mitigation::None => None,
        Mitigation::Partial => Some(Chip::new(Tone::Warn, "Partly mitigated")),
        Mitigation::Mitigated => Some(Chip::new(Tone::Mit, "Mitigated")),
        Mitigation::Drifted => Some(Chip::new(Tone::Fail, "Drifted").titled("A mitigation was changed by somebody")),
    }
}

/// The status column: how far the removal has come (S1.25).
#[must_use]
pub fn progress(progress: Progress) -> Chip {
    let tone = match progress {
        Progress::Open | Progress::Closed => Tone::Idle,
        Progress::Scheduled => Tone::Sched,
        Progress::Running => Tone::Run,
        Progress::Partial => Tone::Warn,
        Progress::Mitigated => Tone::Mit,
        Progress::Drifted => Tone::Fail,
        Progress::Fixed => Tone::Ok,
    };
    let chip = Chip::new(tone, progress.title());
    if progress == Progress::Drifted { chip.titled("A mitigation was changed by somebody") } else { chip }
}

/// The last job beside a status, with its page; none for those who may not look at jobs.
#[must_use]
pub fn last_job(who: &Caller, job: Option<i64>) -> Option<(String, String)> {
    let name = store::jobs::name(job.filter(|_| who.decide(Action::JobsView, &Record::default()).allowed())?);
    let href = format!("/jobs/{name}");
    Some((name, href))
}

/// The mark of an item's workflow state.
#[must_use]
pub fn workflow(item: &ItemRow) -> Chip {
    state(item.state.as_str(), item.substate.as_str())
}

/// The same from the words of the API.
#[must_use]
pub fn state(word: &str, why: &str) -> Chip {
    let Some(state) = State::parse(word) else { return Chip::new(Tone::Idle, word) };
    let tone = match state {
        State::Open => Tone::Warn,
        State::UnderInvestigation | State::AwaitingImplementation => Tone::Run,
        State::InReview | State::Resolved => Tone::Sched,
        State::Deferred => Tone::Idle,
        State::Closed => Tone::Ok,
    };
    let word = words(word);
    if why.is_empty() {
        Chip::new(tone, word)
    } else {
        Chip::new(tone, format!("{word} · {}", words(why).to_lowercase()))
    }
}

/// How an item stands with its due date.
#[must_use]
pub fn target(target: Target, due: Option<Timestamp>) -> Chip {
    let chip = match target {
        Target::None => Chip::new(Tone::Idle, target.title()),
        Target::InFlight => Chip::new(Tone::Ok, target.title()).with_icon("clock"),
        Target::Approaching => Chip::new(Tone::Warn, target.title()),
        Target::Missed => Chip::new(Tone::Fail, target.title()),
        Target::Met => Chip::new(Tone::Ok, target.title()),
    };
    match due {
        Some(due) => chip.titled(format!("Due {}", due.to_jiff().strftime("%-d %b %Y %H:%M UTC"))),
        None => chip,
    }
}

/// The scores of an item, leading to what made them.
#[must_use]
pub fn change(item: &ItemRow) -> Change {
    Change {
        before: Some(item.inherent.into()),
        after: Some(item.residual.into()),
        estimated: item.score_source == Source::Estimated,
        href: Some(format!("/items/{}/score", item.number())),
    }
}

/// A stored word for people: `still_present` is "Still present".
#[must_use]
pub fn words(word: &str) -> String {
    let spaced = word.replace('_', " ");
    let mut chars = spaced.chars();
    chars.next().map_or_else(String::new, |first| first.to_uppercase().chain(chars).collect())
}

/// An event of an item's history.
#[must_use]
pub fn event(line: &HistoryLine, about: &str, now: Timestamp) -> Entry {
    let (before, mut after) = (words(&line.before), words(&line.after));
    if line.what == "verdict" && !line.after.is_empty() {
        Verdict::title(&line.after).clone_into(&mut after);
    }
    let tone = match (line.what.as_str(), line.after.as_str()) {
        ("mitigation", "mitigated") => Tone::Mit,
        ("mitigation", "drifted") => Tone::Fail,
        ("score", _) if line.after.parse::<i64>().ok() < line.before.parse::<i64>().ok() => Tone::Mit,
        ("state", "closed" | "resolved") | ("verdict", "fixed") => Tone::Ok,
        ("verdict", _) => Tone::Sched,
        _ => Tone::Info,
    };
    let what = words(&line.what);
    let text =
        if line.before.is_empty() { format!("{what}: {after}") } else { format!("{what}: {before} → {after}") };
    let text = if about.is_empty() { text } else { format!("{about} · {text}") };
    Entry { at: When::near(line.at.to_jiff(), now.to_jiff()), tone, text, by: line.cause.clone() }
}

/// The name and icon of a platform word of the catalogue or an asset.
#[must_use]
pub fn platform(word: &str) -> (&'static str, &'static str) {
    match word {
        "linux" => ("Linux", "terminal-2"),
        "windows" => ("Windows", "brand-windows"),
        "macos" => ("macOS", "brand-apple"),
        "any" => ("Linux, Windows", "device-desktop"),
        _ => ("Other", "device-desktop"),
    }
}

/// Whether a catalogue entry takes the risk away for a while or for good.
#[must_use]
pub fn implication(word: &str) -> Chip {
    if word == "fix" { Chip::new(Tone::Ok, "Fix") } else { Chip::new(Tone::Mit, "Mitigation") }
}

/// How far an entry covers a CVE.
#[must_use]
pub fn coverage(word: &str) -> Chip {
    let tone = if matches!(word, "full" | "substantial") { Tone::Mit } else { Tone::Warn };
    Chip::new(tone, words(word))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stored_words_read_well() {
        for (word, shown) in [("still_present", "Still present"), ("", ""), ("open", "Open")] {
            assert_eq!(words(word), shown);
        }
    }
}

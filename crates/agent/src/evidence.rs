//! What is said of a try: its report, with what was found before and after, cut to the size that the order allows.

use crate::kinds::{Finding, Presence};
use catalogue::schema::Entry;
use domain::mitigation::ControlState;
use protocol::agent::{ActionEvidence, Outcome, TaskReport};

/// A report without evidence yet.
pub(crate) fn report(outcome: Outcome, state: ControlState, message: String) -> TaskReport {
    TaskReport { outcome, state, origin: None, message, actions: Vec::new(), left_changed: false, restart_needed: None }
}

/// The notes of findings, or the word when there are none.
pub(crate) fn notes(findings: &[Finding], word: &str) -> String {
    let notes: Vec<&str> = findings.iter().map(|f| f.note.as_str()).filter(|note| !note.is_empty()).collect();
    if notes.is_empty() { word.to_owned() } else { format!("{word}: {}", notes.join("; ")) }
}

/// What was found at each action before and after, and what was done there.
pub(crate) fn evidence(entry: &Entry, before: &[Finding], after: &[Finding], did: &str) -> Vec<ActionEvidence> {
    let rows = entry.actions.iter().zip(before.iter().zip(after));
    rows.map(|(action, (before, after))| {
        let in_place = matches!(before.presence, Presence::Present | Presence::Partial | Presence::NotHere);
        let did = if in_place && matches!(did, "changed" | "planned") { "already_present" } else { did };
        ActionEvidence {
            kind: action.kind().to_owned(),
            target: action.target(),
            before: before.shown.clone(),
            after: after.shown.clone(),
            did: did.to_owned(),
            files: Vec::new(),
            diff: String::new(),
        }
    })
    .collect()
}

/// Add files and diffs of a plan to its evidence.
pub(crate) fn show(actions: &mut [ActionEvidence], diffs: &[String], files: &[Vec<String>]) {
    for ((action, diff), files) in actions.iter_mut().zip(diffs).zip(files) {
        action.diff.clone_from(diff);
        action.files = files.iter().filter(|place| place.starts_with('/')).cloned().collect();
        action.files.dedup();
    }
}

/// Cut evidence to the size the order allows, head and tail kept. What counts is its length as JSON, which is what is sent and
/// kept: a file of control characters is six times as long there.
pub(crate) fn cap(report: &mut TaskReport, bytes_max: usize) {
    let share = (bytes_max / (report.actions.len() + 1)).max(400);
    for action in &mut report.actions {
        cut(&mut action.diff, share / 2);
        cut(&mut action.before, share / 8);
        cut(&mut action.after, share / 8);
        let mut left = share / 4;
        let fits = action.files.iter().take_while(|file| {
            let length = length(file) + 3;
            let fits = length <= left;
            left = left.saturating_sub(length);
            fits
        });
        let (fits, all) = (fits.count(), action.files.len());
        if fits < all {
            action.files.truncate(fits);
            action.files.push(format!("({} more)", all - fits));
        }
    }
    cut(&mut report.message, share.min(4000));
}

/// Bytes of a character in JSON.
fn weight(c: char) -> usize {
    match c {
        '"' | '\\' | '\n' | '\r' | '\t' => 2,
        c if c.is_ascii_control() => 6,
        c => c.len_utf8(),
    }
}

fn length(text: &str) -> usize {
    text.chars().map(weight).sum()
}

fn cut(text: &mut String, bytes_max: usize) {
    if length(text) <= bytes_max {
        return;
    }
    let half = |characters: &mut dyn Iterator<Item = char>| {
        let mut left = bytes_max / 2;
        let fits = characters.take_while(|c| {
            let fits = weight(*c) <= left;
            left = left.saturating_sub(weight(*c));
            fits
        });
        fits.map(char::len_utf8).sum::<usize>()
    };
    let (head, tail) = (half(&mut text.chars()), text.len() - half(&mut text.chars().rev()));
    let kept = |range: std::ops::Range<usize>| text.get(range).unwrap_or_default();
    *text = format!("{}\n[... {} bytes cut ...]\n{}", kept(0..head), tail - head, kept(tail..text.len()));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_is_as_long_as_the_order_allows_whatever_a_host_puts_into_it() {
        let huge = ["x", "\u{1}", "\n\"\\", "ä"].map(|text| text.repeat(300_000));
        let action = |n: usize| ActionEvidence {
            kind: "file.setting".to_owned(),
            target: "/etc/x key".to_owned(),
            before: huge[n % 4].clone(),
            after: huge[(n + 1) % 4].clone(),
            did: "changed".to_owned(),
            files: (0..5000).map(|file| format!("/home/stranger/{file}/{}", "a".repeat(200))).collect(),
            diff: huge[(n + 2) % 4].clone(),
        };
        for (actions, bytes_max) in [(1, 4096), (1, 65_536), (12, 65_536), (32, 65_536)] {
            let mut report = report(Outcome::Succeeded, ControlState::Effective, huge[1].clone());
            report.actions = (0..actions).map(action).collect();
            cap(&mut report, bytes_max);
            let json = serde_json::to_string(&report).unwrap();
            // The frame around the texts, and what says that something was cut.
            let frame = 400 * (actions + 1);
            assert!(json.len() <= bytes_max + frame, "{actions} actions: {} of {bytes_max}", json.len());
            let diff = &report.actions[0].diff;
            assert!(diff.contains("bytes cut") && diff.starts_with(huge[2].chars().next().unwrap()), "{diff}");
            assert!(report.actions[0].files.last().unwrap().ends_with("more)"));
        }
        let mut small = report(Outcome::Succeeded, ControlState::Effective, "applied".to_owned());
        small.actions = vec![ActionEvidence {
            diff: "-a\n+b\n".to_owned(),
            before: "a".to_owned(),
            after: "b".to_owned(),
            files: vec!["/etc/x".to_owned()],
            ..action(0)
        }];
        let before = small.clone();
        cap(&mut small, 65_536);
        assert_eq!(small, before, "what fits is left");
    }
}

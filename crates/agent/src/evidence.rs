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

/// Cut evidence to the size the order allows, head and tail kept.
pub(crate) fn cap(report: &mut TaskReport, bytes_max: usize) {
    let share = (bytes_max / (report.actions.len() + 1)).max(200);
    for action in &mut report.actions {
        for text in [&mut action.diff, &mut action.before, &mut action.after] {
            cut(text, share);
        }
    }
    cut(&mut report.message, share.min(4000));
}

fn cut(text: &mut String, bytes_max: usize) {
    if text.len() <= bytes_max {
        return;
    }
    let half = bytes_max / 2;
    let head = text.char_indices().map(|(at, _)| at).take_while(|at| *at <= half).last().unwrap_or(0);
    let tail = text.char_indices().map(|(at, _)| at).find(|at| *at >= text.len() - half).unwrap_or(text.len());
    let cut = format!("{}\n[... {} bytes cut ...]\n{}", &text[..head], tail - head, &text[tail..]);
    *text = cut;
}

//! What the pages of exposure share beside [`super::marks`]: reasons of disabled controls, controls, detections,
//! moments, and audit entries as lines of activity.

use super::frame::sentence;
use super::marks;
use crate::pages::{Chip, Entry, Tone, When};
use domain::access::Decision;
use domain::mitigation::ControlState;
use domain::refusal::Refusal;
use domain::time::Timestamp;
use store::audit::Written;

/// Why a control of a page is disabled; none when it is not.
pub fn reason(decision: &Decision) -> Option<String> {
    match decision {
        Decision::Allowed => None,
        Decision::Denied(reason) => Some(sentence(&reason.to_string())),
    }
}

/// A refusal as the reason of a disabled control.
pub fn refused(refusal: &Refusal) -> String {
    sentence(&refusal.sentence)
}

/// How a control on an asset is.
pub fn control(state: ControlState) -> Chip {
    match state {
        ControlState::NotApplicable => Chip::new(Tone::Idle, "Not applicable"),
        ControlState::Exposed => Chip::new(Tone::Warn, "Not in place"),
        ControlState::Configured => {
            Chip::new(Tone::Sched, "Configured").titled("Written; in force after a restart. Half the points count.")
        }
        ControlState::Effective => Chip::new(Tone::Mit, "Effective"),
        ControlState::Drifted => Chip::new(Tone::Fail, "Drifted").with_icon("shield-off"),
        ControlState::Unknown => Chip::new(Tone::Warn, "Unknown").titled("Nothing could be read: no points count"),
    }
}

/// The status of a detection, in the scanner's own words.
pub fn detection(status: &str) -> Chip {
    match status {
        "new" => Chip::new(Tone::Warn, "New"),
        "active" => Chip::new(Tone::Warn, "Active"),
        "reopened" => Chip::new(Tone::Fail, "Re-Opened").with_icon("refresh"),
        "fixed" => Chip::new(Tone::Ok, "Fixed"),
        "stale" => Chip::new(Tone::Idle, "Stale"),
        other => Chip::new(Tone::Idle, other),
    }
}

/// A moment of a list, relative to now.
pub fn near(at: Timestamp, now: Timestamp) -> When {
    When::near(at.to_jiff(), now.to_jiff())
}

/// A moment of a record.
pub fn exact(at: Timestamp) -> When {
    When::exact(at.to_jiff())
}

/// An audit entry as a line of a record's activity: `asset.edit` becomes "Edit", by its author.
pub fn activity(entry: &Written, now: Timestamp) -> Entry {
    let (_, verb) = entry.action.split_once('.').unwrap_or(("", &entry.action));
    let body: serde_json::Value = serde_json::from_slice(&entry.body).unwrap_or_default();
    let detail = body.get("detail").filter(|detail| detail.as_object().is_some_and(|fields| !fields.is_empty()));
    let said = detail.and_then(|detail| detail.as_object()).map(|fields| {
        let fields = fields.iter().filter(|(_, value)| !value.is_null());
        let said: Vec<String> =
            fields.map(|(name, value)| format!("{} {}", marks::words(name).to_lowercase(), word(value))).collect();
        said.join(", ")
    });
    let text = match said.filter(|said| !said.is_empty()) {
        Some(said) => format!("{}: {said}", marks::words(verb)),
        None => marks::words(verb),
    };
    Entry { at: near(entry.at, now), tone: Tone::Info, text, by: by(&entry.actor) }
}

/// Who did it: `users/ada` is ada, `engine/import` stays.
pub fn by(actor: &str) -> String {
    actor.strip_prefix("users/").unwrap_or(actor).to_owned()
}

fn word(value: &serde_json::Value) -> String {
    match value {
        serde_json::Value::String(text) if text.is_empty() => "none".to_owned(),
        serde_json::Value::String(text) => text.clone(),
        serde_json::Value::Array(values) => values.iter().map(word).collect::<Vec<_>>().join(" "),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn authors_are_people_or_parts_of_the_server() {
        assert_eq!((by("users/ada"), by("engine/import")), ("ada".to_owned(), "engine/import".to_owned()));
    }
}

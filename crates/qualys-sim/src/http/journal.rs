//! What the simulator was asked: one line per request, secrets masked, for tests to look at.

use jiff::Timestamp;
use serde::Serialize;
use std::sync::Mutex;

/// The most requests that are kept; older ones are dropped.
const KEPT_MAX: usize = 20_000;
/// The most bytes of a value that are kept: whoever asks for a hundred thousand ids a thousand times must not fill the memory.
const VALUE_MAX: usize = 64 * 1024;
/// Names whose values never enter the journal.
const SECRET: &[&str] = &["password", "token", "passwd", "secret", "client_secret"];

/// One request as it arrived.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct JournalEntry {
    /// Number of the request, from 1.
    pub number: u64,
    /// When it arrived, by the simulator's clock.
    pub at: Timestamp,
    /// Method.
    pub method: String,
    /// Path without query.
    pub path: String,
    /// Name of the end point, as in fault plans.
    pub endpoint: String,
    /// Query and form parameters merged, secrets masked, values over 64 KiB cut.
    pub parameters: Vec<(String, String)>,
    /// Headers in lower case, credentials masked.
    pub headers: Vec<(String, String)>,
    /// Status it was answered with; 0 while the answer is being made.
    pub status: u16,
}

impl JournalEntry {
    /// The value of a parameter.
    pub fn parameter(&self, name: &str) -> Option<&str> {
        self.parameters.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

/// The journal.
#[derive(Debug, Default)]
pub(crate) struct Journal {
    entries: Mutex<(u64, Vec<JournalEntry>)>,
}

impl Journal {
    /// Writes a request down and returns its number.
    pub(crate) fn record(&self, mut entry: JournalEntry) -> u64 {
        for (name, value) in &mut entry.parameters {
            if SECRET.contains(&name.to_lowercase().as_str()) {
                "***".clone_into(value);
            }
            if value.len() > VALUE_MAX {
                let whole = value.len();
                value.truncate(value.floor_char_boundary(VALUE_MAX));
                value.push_str(&format!("... ({whole} bytes)"));
                value.shrink_to_fit();
            }
        }
        for (name, value) in &mut entry.headers {
            match name.as_str() {
                "authorization" => *value = format!("{} ***", value.split(' ').next().unwrap_or("")),
                "cookie" => "***".clone_into(value),
                _ => {}
            }
        }
        let mut entries = self.entries.lock().expect("no code panics while holding the journal");
        entries.0 += 1;
        entry.number = entries.0;
        if entries.1.len() >= KEPT_MAX {
            entries.1.drain(..KEPT_MAX / 10);
        }
        entries.1.push(entry);
        entries.0
    }

    /// Notes how a request was answered.
    pub(crate) fn answered(&self, number: u64, status: u16) {
        let mut entries = self.entries.lock().expect("no code panics while holding the journal");
        if let Some(entry) = entries.1.iter_mut().rev().find(|entry| entry.number == number) {
            entry.status = status;
        }
    }

    /// Every request kept.
    pub(crate) fn all(&self) -> Vec<JournalEntry> {
        self.entries.lock().expect("no code panics while holding the journal").1.clone()
    }

    /// Forgets every request; numbers go on.
    pub(crate) fn clear(&self) {
        self.entries.lock().expect("no code panics while holding the journal").1.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_value_is_cut_between_two_letters_and_a_secret_never_kept() {
        let journal = Journal::default();
        let long = "1".to_owned() + &"ä".repeat(VALUE_MAX);
        let parameters = vec![("ids".to_owned(), long.clone()), ("password".to_owned(), long.clone())];
        let at = "2026-01-01T00:00:00Z".parse().expect("a fixed instant");
        let text = String::new;
        journal.record(JournalEntry {
            number: 0,
            at,
            method: text(),
            path: text(),
            endpoint: text(),
            parameters,
            headers: Vec::new(),
            status: 0,
        });
        let kept = journal.all();
        let ids = kept[0].parameter("ids").expect("the ids");
        assert!(ids.ends_with(&format!("... ({} bytes)", long.len())) && ids.len() < VALUE_MAX + 32, "{}", ids.len());
        assert_eq!(kept[0].parameter("password"), Some("***"));
    }
}

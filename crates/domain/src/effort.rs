//! Remediation efforts: a frozen set of vulnerable items that is worked off together.
//!
//! An item is in at most one effort that is not inactive. Which items an effort takes is decided when it is made; what matches
//! later does not join it.

use crate::refusal::Refusal;
use serde::{Deserialize, Serialize};

/// Items of one effort at most.
pub const ITEMS_MAX: i64 = 100_000;
/// Items that can be named for one effort; more are taken by a query.
pub const NAMED_MAX: usize = 10_000;
/// Characters of a title at most.
pub const TITLE_CHARS_MAX: usize = 160;
/// Characters of a description at most.
pub const DESCRIPTION_CHARS_MAX: usize = 2_000;

/// How an effort stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Its items are still being gathered.
    Filling,
    /// It is worked on.
    Active,
    /// Over: none of its items is active any more, or somebody ended it.
    Inactive,
}

impl State {
    /// Every state.
    pub const ALL: [State; 3] = [State::Filling, State::Active, State::Inactive];
    /// Their words.
    pub const WORDS: &'static [&'static str] = &["filling", "active", "inactive"];

    /// The word in the database, the API and the query language.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            State::Filling => "filling",
            State::Active => "active",
            State::Inactive => "inactive",
        }
    }

    /// The word back to the value.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == word)
    }
}

/// The state of an effort after its items changed: without an active one it is over, and it does not come back.
#[must_use]
pub fn after(state: State, active_items: i64) -> State {
    match state {
        State::Active if active_items == 0 => State::Inactive,
        state => state,
    }
}

/// Whether an effort may be ended by a person, or changed.
///
/// # Errors
/// `effort_inactive` for one that is over, `effort_filling` while its items are gathered.
pub fn may_change(state: State) -> Result<(), Refusal> {
    match state {
        State::Active => Ok(()),
        State::Filling => {
            Err(Refusal::new("effort_filling", "its items are still being gathered; try again in a moment"))
        }
        State::Inactive => Err(Refusal::new("effort_inactive", "the effort is over; make another one of what is left")),
    }
}

/// A title that says something, in at most [`TITLE_CHARS_MAX`] characters on one line.
///
/// # Errors
/// What is wrong with it.
pub fn title(text: &str) -> Result<String, String> {
    let text = text.trim();
    if text.is_empty() {
        return Err("give it a title".to_owned());
    }
    if text.chars().count() > TITLE_CHARS_MAX {
        return Err(format!("a title has at most {TITLE_CHARS_MAX} characters"));
    }
    if text.chars().any(crate::printable::steers) {
        return Err("it holds characters that cannot be read".to_owned());
    }
    Ok(text.to_owned())
}

/// A description in at most [`DESCRIPTION_CHARS_MAX`] characters; it may be empty.
///
/// # Errors
/// What is wrong with it.
pub fn description(text: &str) -> Result<String, String> {
    let text = text.trim().replace("\r\n", "\n");
    if text.chars().count() > DESCRIPTION_CHARS_MAX {
        return Err(format!("a description has at most {DESCRIPTION_CHARS_MAX} characters"));
    }
    if text.chars().any(|c| crate::printable::steers(c) && !matches!(c, '\n' | '\t')) {
        return Err("it holds characters that cannot be read".to_owned());
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_active_effort_ends_and_only_once() {
        for (state, items, expected) in [
            (State::Filling, 0, State::Filling),
            (State::Active, 0, State::Inactive),
            (State::Active, 1, State::Active),
            (State::Inactive, 0, State::Inactive),
            (State::Inactive, 3, State::Inactive),
        ] {
            assert_eq!(after(state, items), expected, "{state:?} {items}");
        }
        let code = |state| may_change(state).err().map(|refusal| refusal.code);
        assert_eq!(State::ALL.map(code), [Some("effort_filling"), None, Some("effort_inactive")]);
        assert!(State::ALL.iter().zip(State::WORDS).all(|(state, word)| state.as_str() == *word));
        assert!(State::WORDS.iter().all(|word| State::parse(word).is_some()) && State::parse("open").is_none());
    }

    #[test]
    fn texts_by_table() {
        assert_eq!(title("  Java 8 \t").as_deref(), Ok("Java 8"));
        for wrong in ["", " ", "a\nb", "a\r\nBcc: eve", "a\u{202e}b", &"x".repeat(TITLE_CHARS_MAX + 1)] {
            assert!(title(wrong).is_err(), "{wrong:?}");
        }
        assert_eq!(description("a\r\nb").as_deref(), Ok("a\nb"));
        assert_eq!(description(" ").as_deref(), Ok(""));
        assert!(description("a\u{0}").is_err() && description(&"x".repeat(DESCRIPTION_CHARS_MAX + 1)).is_err());
    }
}

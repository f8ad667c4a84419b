//! What record pages share: named facts, typed values and the log of what happened.

use super::chips::{Change, Chip, Severity, Tone, When, escape};
use askama::filters::HtmlSafe;
use std::fmt;

/// A value of a fact, printed in its own way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// Words; a dash when empty.
    Text(String),
    /// An identifier or a piece of configuration.
    Code(String),
    /// Words that lead elsewhere.
    Link(String, String),
    /// A state.
    Chip(Chip),
    /// A score.
    Change(Change),
    /// A moment.
    When(When),
    /// A severity.
    Severity(Severity),
}
impl HtmlSafe for Value {}

impl fmt::Display for Value {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Value::Text(text) | Value::Code(text) if text.is_empty() => {
                out.write_str("<span class=\"q-mute\">–</span>")
            }
            Value::Text(text) => out.write_str(&escape(text)),
            Value::Code(text) => write!(out, "<code>{}</code>", escape(text)),
            Value::Link(text, href) => write!(out, "<a href=\"{}\">{}</a>", escape(href), escape(text)),
            Value::Chip(chip) => chip.fmt(out),
            Value::Change(change) => change.fmt(out),
            Value::When(when) => when.fmt(out),
            Value::Severity(severity) => severity.fmt(out),
        }
    }
}

impl Value {
    /// Words.
    pub fn text(text: impl Into<String>) -> Self {
        Value::Text(text.into())
    }

    /// An identifier.
    pub fn code(text: impl Into<String>) -> Self {
        Value::Code(text.into())
    }

    /// A link.
    pub fn link(text: impl Into<String>, href: impl Into<String>) -> Self {
        Value::Link(text.into(), href.into())
    }
}

/// A named value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fact {
    /// Its name.
    pub label: &'static str,
    /// Its value.
    pub value: Value,
}

impl Fact {
    /// A fact.
    #[must_use]
    pub fn new(label: &'static str, value: Value) -> Self {
        Self { label, value }
    }
}

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// When.
    pub at: When,
    /// Of what kind.
    pub tone: Tone,
    /// One sentence.
    pub text: String,
    /// Who did it, or what caused it.
    pub by: String,
}

impl Entry {
    /// The icon of its kind.
    #[must_use]
    pub fn icon(&self) -> &'static str {
        match self.tone {
            Tone::Run => "player-play",
            Tone::Info => "info-circle",
            tone => tone.icon().unwrap_or("info-circle"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_escape_what_they_hold() {
        for value in [Value::text("<i>"), Value::code("<i>"), Value::link("<i>", "/x?a=\"<i>")] {
            let html = value.to_string();
            assert!(!html.contains("<i>") && !html.contains("=\"<"), "{html}");
        }
    }
}

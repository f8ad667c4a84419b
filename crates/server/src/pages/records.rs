//! What record pages share: named facts, typed values and the log of what happened.

use super::chips::{Change, Chip, Severity, Tone, When};
use askama::Template;
use askama::filters::HtmlSafe;

/// A value of a fact, printed in its own way.
#[derive(Debug, Clone, PartialEq, Eq, Template)]
#[template(
    ext = "html",
    source = r#"{% match self %}{% when Value::Text(text) %}{% if text.is_empty() %}<span class="q-mute">–</span>{% else %}{{ text }}{% endif %}{% when Value::Code(text) %}<code>{{ text }}</code>{% when Value::Link(text, href) %}<a href="{{ href }}">{{ text }}</a>{% when Value::Chip(chip) %}{{ chip }}{% when Value::Change(change) %}{{ change }}{% when Value::When(when) %}{{ when }}{% when Value::Severity(severity) %}{{ severity }}{% endmatch %}"#
)]
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

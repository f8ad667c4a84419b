//! Form fields: label, control, help and error as one piece, joined for screen readers.
//!
//! It renders what it is given and validates nothing; the faults come from `domain`, each with the field it belongs to.

use super::shell::Shell;
use askama::Template;
use askama::filters::HtmlSafe;

/// What is wrong with one field, or with the whole form when `field` is empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// The name of the field.
    pub field: String,
    /// What is wrong and what to do.
    pub message: String,
}

impl Fault {
    /// A fault of one field.
    pub fn new(field: impl Into<String>, message: impl Into<String>) -> Self {
        Self { field: field.into(), message: message.into() }
    }
}

/// One entry of a choice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Choice {
    /// What is sent.
    pub value: String,
    /// What is read.
    pub label: String,
}

impl Choice {
    /// A value and its words.
    pub fn new(value: impl Into<String>, label: impl Into<String>) -> Self {
        Self { value: value.into(), label: label.into() }
    }
}

/// The kind of control.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Control {
    /// One line; the word is the `type` of the input.
    Line(&'static str),
    /// Several lines.
    Text {
        /// How many are shown.
        rows: u8,
    },
    /// A list to choose from.
    Select(Vec<Choice>),
    /// One line with suggestions, of which none has to be taken.
    Suggest(Vec<Choice>),
    /// A box to tick; its value is `on`.
    Tick,
}

/// A field of a form.
#[derive(Debug, Clone, PartialEq, Eq, Template)]
#[template(path = "parts/field.html")]
pub struct Field {
    /// Its name, also the end of its id.
    pub name: String,
    /// Its label.
    pub label: String,
    /// What it holds; never filled for secrets.
    pub value: String,
    /// The kind of control.
    pub control: Control,
    /// A sentence below.
    pub help: String,
    /// What is wrong.
    pub error: Option<String>,
    /// Whether it must be filled.
    pub required: bool,
    /// What password managers and browsers may fill in.
    pub autocomplete: &'static str,
    /// Shown while it is empty.
    pub placeholder: String,
    /// Whether it holds code, an address or a token.
    pub mono: bool,
    /// Whether it can only be read.
    pub readonly: bool,
    /// Whether the page starts here.
    pub focus: bool,
}
impl HtmlSafe for Field {}

impl Field {
    fn of(control: Control, name: &str, label: &str, value: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            label: label.into(),
            value: value.into(),
            control,
            help: String::new(),
            error: None,
            required: false,
            autocomplete: "",
            placeholder: String::new(),
            mono: false,
            readonly: false,
            focus: false,
        }
    }

    /// One line of text.
    pub fn line(name: &str, label: &str, value: impl Into<String>) -> Self {
        Self::of(Control::Line("text"), name, label, value)
    }

    /// One line of another `type`: `number`, `date`, `time`, `url`, `email`.
    pub fn typed(kind: &'static str, name: &str, label: &str, value: impl Into<String>) -> Self {
        Self::of(Control::Line(kind), name, label, value)
    }

    /// A secret; it never carries a value to the page.
    #[must_use]
    pub fn secret(name: &str, label: &str, autocomplete: &'static str) -> Self {
        Self { autocomplete, ..Self::of(Control::Line("password"), name, label, "") }
    }

    /// Several lines.
    pub fn text(name: &str, label: &str, value: impl Into<String>, rows: u8) -> Self {
        Self::of(Control::Text { rows }, name, label, value)
    }

    /// A list to choose from.
    pub fn select(name: &str, label: &str, value: impl Into<String>, choices: Vec<Choice>) -> Self {
        Self::of(Control::Select(choices), name, label, value)
    }

    /// One line with suggestions, of which none has to be taken.
    pub fn suggest(name: &str, label: &str, value: impl Into<String>, choices: Vec<Choice>) -> Self {
        Self { autocomplete: "off", ..Self::of(Control::Suggest(choices), name, label, value) }
    }

    /// A box to tick.
    #[must_use]
    pub fn tick(name: &str, label: &str, on: bool) -> Self {
        Self::of(Control::Tick, name, label, if on { "on" } else { "" })
    }

    /// With a sentence below.
    #[must_use]
    pub fn help(mut self, text: impl Into<String>) -> Self {
        self.help = text.into();
        self
    }

    /// That must be filled.
    #[must_use]
    pub fn required(mut self) -> Self {
        self.required = true;
        self
    }

    /// In the code face.
    #[must_use]
    pub fn mono(mut self) -> Self {
        self.mono = true;
        self
    }

    /// With words shown while it is empty.
    #[must_use]
    pub fn placeholder(mut self, text: impl Into<String>) -> Self {
        self.placeholder = text.into();
        self
    }

    /// With what browsers may fill in.
    #[must_use]
    pub fn autocomplete(mut self, token: &'static str) -> Self {
        self.autocomplete = token;
        self
    }

    /// Where the page starts.
    #[must_use]
    pub fn focus(mut self) -> Self {
        self.focus = true;
        self
    }

    /// Only to be read.
    #[must_use]
    pub fn readonly(mut self, yes: bool) -> Self {
        self.readonly = yes;
        self
    }

    /// With its fault, if there is one among these.
    #[must_use]
    pub fn faulted(mut self, faults: &[Fault]) -> Self {
        self.error = faults.iter().find(|fault| fault.field == self.name).map(|fault| fault.message.clone());
        self
    }

    fn described(&self) -> Option<String> {
        let mut ids = Vec::new();
        if self.error.is_some() {
            ids.push(format!("error-{}", self.name));
        }
        if !self.help.is_empty() {
            ids.push(format!("help-{}", self.name));
        }
        (!ids.is_empty()).then(|| ids.join(" "))
    }
}

/// The list of faults above a form, with a link to each field; it takes the focus.
#[derive(Debug, Clone, Default, PartialEq, Eq, Template)]
#[template(path = "parts/faults.html")]
pub struct Faults(pub Vec<Fault>);
impl HtmlSafe for Faults {}

/// A few fields of a record, as a dialog and as a page.
#[derive(Debug, Clone, Template)]
#[template(path = "dialog.html")]
pub struct DialogPage {
    /// The frame; its title is what is done.
    pub shell: Shell,
    /// Where it is sent.
    pub to: String,
    /// A sentence above the fields.
    pub text: String,
    /// The fields.
    pub fields: Vec<Field>,
    /// What is wrong.
    pub faults: Faults,
    /// The word on the button.
    pub verb: &'static str,
    /// Where cancelling leads without scripts.
    pub back: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_is_joined_with_its_help_and_error() {
        let faults = [Fault::new("title", "a title is needed")];
        let html =
            Field::line("title", "Job title", "<x>").required().help("Shown in lists").faulted(&faults).to_string();
        for part in [
            "for=\"f-title\"",
            "id=\"f-title\"",
            "aria-describedby=\"error-title help-title\"",
            "aria-invalid=\"true\"",
            "a title is needed",
            "&#60;x&#62;",
        ] {
            assert!(html.contains(part), "{part} in {html}");
        }
    }

    #[test]
    fn a_select_keeps_its_value() {
        let html =
            Field::select("zone", "Time zone", "b", vec![Choice::new("a", "A"), Choice::new("b", "B")]).to_string();
        assert!(html.contains("<option value=\"b\" selected>B</option>"), "{html}");
    }
}

//! What can be done from a list or a record: buttons and menus. What is not allowed now is shown with its reason.

use askama::Template;
use askama::filters::HtmlSafe;

/// What pressing an action does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Does {
    /// Follows a link.
    Go(String),
    /// Shows that page's `#q-modal` in the dialog; without scripts it is a link.
    Show(String),
    /// Posts to an address through the form of the layout, which holds the CSRF token.
    Post(String),
    /// Opens a dialog that is part of the page, by its id.
    Open(String),
}

/// How an action looks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Look {
    /// Like any other.
    #[default]
    Plain,
    /// The one main action of a page.
    Primary,
    /// Hard to take back.
    Danger,
}

/// A question asked before an action that cannot be taken back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Confirm {
    /// Verb, object and count: "Delete MJ0000012".
    pub title: String,
    /// What will happen.
    pub text: String,
    /// The word on the button.
    pub verb: String,
}

/// A button or menu entry. One that is not allowed is shown all the same, disabled, with the reason.
#[derive(Debug, Clone, PartialEq, Eq, Template)]
#[template(path = "parts/action.html")]
pub struct Action {
    /// What it says.
    pub label: String,
    /// What it shows before the label.
    pub icon: Option<&'static str>,
    /// What it does.
    pub does: Does,
    /// How it looks.
    pub look: Look,
    /// Why it cannot be done now; the words of a `Refusal` or a denied permission.
    pub reason: Option<String>,
    /// Its key on the page.
    pub key: Option<char>,
    /// The question before it.
    pub confirm: Option<Confirm>,
}
impl HtmlSafe for Action {}

impl Action {
    fn new(label: impl Into<String>, does: Does) -> Self {
        Self { label: label.into(), icon: None, does, look: Look::Plain, reason: None, key: None, confirm: None }
    }

    /// A link.
    pub fn go(label: impl Into<String>, href: impl Into<String>) -> Self {
        Self::new(label, Does::Go(href.into()))
    }

    /// A page shown in the dialog.
    pub fn show(label: impl Into<String>, href: impl Into<String>) -> Self {
        Self::new(label, Does::Show(href.into()))
    }

    /// A change.
    pub fn post(label: impl Into<String>, to: impl Into<String>) -> Self {
        Self::new(label, Does::Post(to.into()))
    }

    /// A dialog of the same page.
    pub fn open(label: impl Into<String>, dialog: impl Into<String>) -> Self {
        Self::new(label, Does::Open(dialog.into()))
    }

    /// With an icon.
    #[must_use]
    pub fn icon(mut self, icon: &'static str) -> Self {
        self.icon = Some(icon);
        self
    }

    /// As the main action of the page.
    #[must_use]
    pub fn primary(mut self) -> Self {
        self.look = Look::Primary;
        self
    }

    /// As one that is hard to take back.
    #[must_use]
    pub fn danger(mut self) -> Self {
        self.look = Look::Danger;
        self
    }

    /// With a key.
    #[must_use]
    pub fn key(mut self, key: char) -> Self {
        self.key = Some(key);
        self
    }

    /// Disabled for this reason, or not when there is none.
    #[must_use]
    pub fn unless(mut self, reason: Option<String>) -> Self {
        self.reason = reason;
        self
    }

    /// With a question first.
    #[must_use]
    pub fn asking(mut self, title: impl Into<String>, text: impl Into<String>, verb: impl Into<String>) -> Self {
        self.confirm = Some(Confirm { title: title.into(), text: text.into(), verb: verb.into() });
        self
    }

    fn class(&self) -> &'static str {
        match self.look {
            Look::Plain => "btn",
            Look::Primary => "btn btn-primary",
            Look::Danger => "btn btn-danger",
        }
    }

    fn slug(&self) -> String {
        self.label.chars().filter(char::is_ascii_alphanumeric).collect::<String>().to_lowercase()
    }
}

/// Quick actions behind one button.
#[derive(Debug, Clone, PartialEq, Eq, Template)]
#[template(path = "parts/menu.html")]
pub struct Menu {
    /// Unique on the page.
    pub id: String,
    /// What a screen reader calls it: "Quick actions for QID 38628".
    pub label: String,
    /// A visible word on the button; three dots without one.
    pub text: Option<&'static str>,
    /// The entries; dangerous ones stand below a line.
    pub actions: Vec<Action>,
}
impl HtmlSafe for Menu {}

impl Menu {
    /// A menu behind three dots.
    pub fn dots(id: impl Into<String>, label: impl Into<String>, actions: Vec<Action>) -> Self {
        Self { id: id.into(), label: label.into(), text: None, actions }
    }
}

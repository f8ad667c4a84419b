//! Signing in and changing one's password. What was wrong with a name or a password is never told apart.

use super::forms::{Fault, Faults, Field};
use super::shell::{Section, Shell};
use askama::Template;

/// The sign-in page.
#[derive(Debug, Clone, Template)]
#[template(path = "sign_in.html")]
pub struct SignInPage {
    /// The frame; nobody is signed in.
    pub shell: Shell,
    /// Name and password.
    pub fields: Vec<Field>,
    /// Where to go afterwards; a path of this server.
    pub next: String,
    /// Why it did not work.
    pub error: Option<String>,
}

impl SignInPage {
    /// The page with the name typed before, if any.
    #[must_use]
    pub fn new(csrf: &str, name: &str, next: &str, error: Option<String>) -> Self {
        let name_field = Field::line("name", "User name", name).required().autocomplete("username");
        let password = Field::secret("password", "Password", "current-password").required();
        let fields =
            if name.is_empty() { vec![name_field.focus(), password] } else { vec![name_field, password.focus()] };
        Self { shell: Shell::new(csrf, None, Section::Elsewhere, "Sign in"), fields, next: next.to_owned(), error }
    }
}

/// Changing the password, by choice or because the first one has to be replaced.
#[derive(Debug, Clone, Template)]
#[template(path = "password.html")]
pub struct PasswordPage {
    /// The frame.
    pub shell: Shell,
    /// The passwords.
    pub fields: Vec<Field>,
    /// What is wrong.
    pub faults: Faults,
    /// Whether it has to be changed before anything else.
    pub forced: bool,
}

impl PasswordPage {
    /// The page; faults name `current`, `new` or `again`.
    #[must_use]
    pub fn new(csrf: &str, forced: bool, faults: Vec<Fault>) -> Self {
        let fields = vec![
            Field::secret("current", "Current password", "current-password").required().faulted(&faults),
            Field::secret("new", "New password", "new-password")
                .required()
                .help("At least 12 characters. A sentence is easier to remember than symbols.")
                .faulted(&faults),
            Field::secret("again", "New password again", "new-password").required().faulted(&faults),
        ];
        Self {
            shell: Shell::new(csrf, None, Section::Elsewhere, "Change password"),
            fields,
            faults: Faults(faults),
            forced,
        }
    }
}

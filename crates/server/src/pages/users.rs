//! Users, their roles and scope, and API tokens.

use super::chips::{Chip, When};
use super::forms::{Choice, Faults, Field};
use super::lists::{Action, Column, List, Menu};
use super::shell::Shell;
use askama::Template;

/// The columns of the list of users.
pub const COLUMNS: [Column; 7] = [
    Column::sorted("User", "", "name"),
    Column::new("Roles", "q-w8"),
    Column::new("Scope", "q-w6"),
    Column::new("Groups", "q-w6"),
    Column::sorted("State", "q-w4", "state"),
    Column::sorted("Last sign-in", "q-w4", "seen"),
    Column::new("", "q-w1"),
];

/// The columns of the list of tokens.
pub const TOKEN_COLUMNS: [Column; 7] = [
    Column::sorted("Token", "", "name"),
    Column::sorted("Owner", "q-w5", "owner"),
    Column::new("May", "q-w8"),
    Column::sorted("State", "q-w4", "state"),
    Column::sorted("Expires", "q-w4", "expires"),
    Column::sorted("Last used", "q-w4", "used"),
    Column::new("", "q-w1"),
];

/// One user.
#[derive(Debug, Clone)]
pub struct UserRow {
    /// The name to sign in with.
    pub name: String,
    /// The name people read.
    pub shown: String,
    /// The page.
    pub href: String,
    /// The roles.
    pub roles: Vec<String>,
    /// The tags of the assets that may be seen; all when empty.
    pub scope: String,
    /// The groups.
    pub groups: String,
    /// Active, disabled, locked for a while, must change the password.
    pub state: Chip,
    /// The last sign-in.
    pub seen: Option<When>,
    /// Quick actions.
    pub menu: Menu,
}

/// The list.
#[derive(Debug, Clone, Template)]
#[template(path = "users.html")]
pub struct UsersPage {
    /// The frame.
    pub shell: Shell,
    /// The list's frame.
    pub list: List,
    /// The rows.
    pub rows: Vec<UserRow>,
}

/// A role that can be given.
#[derive(Debug, Clone)]
pub struct RoleChoice {
    /// Its value and name.
    pub choice: Choice,
    /// What it may do, in a sentence.
    pub means: String,
    /// Whether the user has it.
    pub on: bool,
    /// Why it cannot be changed by this person.
    pub reason: Option<String>,
}

/// Making or changing a user.
#[derive(Debug, Clone, Template)]
#[template(path = "user.html")]
pub struct UserPage {
    /// The frame.
    pub shell: Shell,
    /// Where it is saved.
    pub to: String,
    /// Name, shown name, scope, groups.
    pub fields: Vec<Field>,
    /// The roles.
    pub roles: Vec<RoleChoice>,
    /// What is wrong.
    pub faults: Faults,
    /// The one-time password just made, shown once.
    pub password: Option<String>,
    /// New password, disable.
    pub actions: Vec<Action>,
}

/// One API token.
#[derive(Debug, Clone)]
pub struct TokenRow {
    /// Its name.
    pub name: String,
    /// The first letters of it.
    pub prefix: String,
    /// Whose it is.
    pub owner: String,
    /// What it may do.
    pub may: Vec<String>,
    /// Good, expired, revoked.
    pub state: Chip,
    /// When it expires.
    pub expires: Option<When>,
    /// When it was last used.
    pub used: Option<When>,
    /// Revoke.
    pub menu: Menu,
}

/// The list.
#[derive(Debug, Clone, Template)]
#[template(path = "tokens.html")]
pub struct TokensPage {
    /// The frame.
    pub shell: Shell,
    /// The list's frame.
    pub list: List,
    /// The rows.
    pub rows: Vec<TokenRow>,
}

/// Making a token, as a dialog and as a page.
#[derive(Debug, Clone, Template)]
#[template(path = "token.html")]
pub struct TokenPage {
    /// The frame.
    pub shell: Shell,
    /// `name`, `days`.
    pub fields: Vec<Field>,
    /// What it may do.
    pub scopes: Vec<RoleChoice>,
    /// What is wrong.
    pub faults: Faults,
    /// The token just made, shown once.
    pub made: Option<String>,
}

//! What is shown when a page cannot be.

use super::shell::Shell;
use askama::Template;

/// A page instead of the wanted one.
#[derive(Debug, Clone, Template)]
#[template(path = "error.html")]
pub struct ErrorPage {
    /// The frame; with the side bar when somebody is signed in.
    pub shell: Shell,
    /// The HTTP status.
    pub status: u16,
    /// What happened and what to do.
    pub detail: String,
    /// The stable code of the problem.
    pub code: String,
    /// The id to give to whoever runs the server.
    pub request: String,
}

impl ErrorPage {
    fn icon(&self) -> &'static str {
        match self.status {
            401 | 403 => "lock",
            404 | 410 => "search",
            503 => "hourglass",
            _ => "alert-triangle",
        }
    }
}

//! Asking people, without showing passwords.

use crate::failure::Failure;
use crate::output::{interactive, note};
use rustix::termios::{LocalModes, OptionalActions, tcgetattr, tcsetattr};
use std::io::{self, BufRead as _, Write as _};

/// Ask for a line.
///
/// # Errors
/// Where nobody sits in front of it.
pub fn line(question: &str) -> Result<String, Failure> {
    if !interactive() {
        return Err(Failure::Said(format!("nobody can be asked for: {}", question.trim_end_matches([':', ' ']))));
    }
    let failed = |error| Failure::internal("cannot ask", error);
    write!(io::stderr(), "{question}").and_then(|()| io::stderr().flush()).map_err(failed)?;
    read()
}

/// Ask for a password; what is typed is not shown.
///
/// # Errors
/// Where nobody sits in front of it.
pub fn password(question: &str) -> Result<String, Failure> {
    let failed = |error: rustix::io::Errno| Failure::internal("cannot hide what is typed", io::Error::from(error));
    if !interactive() {
        return line(question);
    }
    let before = tcgetattr(io::stdin()).map_err(failed)?;
    let mut hidden = before.clone();
    hidden.local_modes.remove(LocalModes::ECHO);
    tcsetattr(io::stdin(), OptionalActions::Flush, &hidden).map_err(failed)?;
    let typed = line(question);
    let shown = tcsetattr(io::stdin(), OptionalActions::Flush, &before).map_err(failed);
    note("");
    shown.and(typed)
}

/// One line of standard input: for `--password-stdin`.
///
/// # Errors
/// Where it cannot be read or is empty.
pub fn read() -> Result<String, Failure> {
    let mut text = String::new();
    io::stdin().lock().read_line(&mut text).map_err(|error| Failure::internal("cannot read standard input", error))?;
    let text = text.trim_end_matches(['\r', '\n']).to_owned();
    if text.is_empty() { Err(Failure::Said("nothing was given".to_owned())) } else { Ok(text) }
}

//! The entries that come with the program: the text people wrote, *unsigned*.
//!
//! They are a source to read, to lint and to sign with a content key that lives elsewhere. No agent runs one of these before
//! it is in a signed index.

use crate::schema::{Entry, EntryError};

/// One source file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Source {
    /// Its path below `entries/`, with `/`.
    pub path: &'static str,
    /// Its text.
    pub text: &'static str,
}

static SOURCES: &[Source] = include!(concat!(env!("OUT_DIR"), "/sources.rs"));

/// The source files, by path.
#[must_use]
pub fn sources() -> &'static [Source] {
    SOURCES
}

/// The entries, parsed.
///
/// # Errors
/// The first file that does not parse, with its path. A test keeps that from happening in a build that passed its tests.
pub fn entries() -> Result<Vec<Entry>, (&'static str, EntryError)> {
    SOURCES.iter().map(|source| Entry::from_toml(source.text).map_err(|error| (source.path, error))).collect()
}

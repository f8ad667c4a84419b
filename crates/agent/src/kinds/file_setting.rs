//! `file.setting`: a setting of a configuration file has a value in effect.
//!
//! What "in effect" means is the format's business ([`crate::format`]); here are the files: reading the main one and those it
//! includes, below the root, and planning the edited text.

use super::{Finding, KindError, Presence, Workspace};
use crate::format::{self, Effective, FormatError, Wanted, pam};
use crate::fs::Image;
use crate::host::Host;
use crate::record::FileEdit;
use catalogue::actions::{FileSetting, SettingFormat};
use std::cell::Cell;

/// Most files read for one include.
const INCLUDED_MAX: usize = 256;
/// Most text read for all includes of one question, in bytes, what is included twice counted twice.
const INCLUDED_BYTES_MAX: usize = 8 << 20;

fn wanted(action: &FileSetting) -> Wanted<'_> {
    Wanted {
        format: action.format,
        section: action.section.as_ref().map(catalogue::text::Line::as_str),
        key: action.key.as_str(),
        value: action.value.as_str(),
    }
}

/// A file's text.
///
/// # Errors
/// When it is none.
pub(super) fn text(image: &Image, path: &str) -> Result<String, KindError> {
    let text = String::from_utf8(image.bytes.clone());
    text.map_err(|_| KindError::Cannot(format!("{path} is not UTF-8 text; it has to be changed by hand")))
}

/// See [`super::check`].
///
/// # Errors
/// When the file cannot be read.
pub fn check(action: &FileSetting, host: &Host, workspace: &Workspace<'_>) -> Result<Finding, KindError> {
    let path = action.path.as_str();
    let Some(image) = workspace.file(path)? else {
        let presence = if may_be_made(action) { Presence::Absent } else { Presence::NotHere };
        return Ok(Finding::because(presence, "(absent)", format!("there is no {path}")));
    };
    let own = text(&image, path)?;
    if action.format == SettingFormat::Pam && !pam::names(&own, action.key.as_str()) {
        return Ok(Finding::because(Presence::NotHere, "(absent)", format!("{path} does not use that module")));
    }
    let wanted = wanted(action);
    Ok(match in_effect(action, own, host, workspace)? {
        Ok(Effective::Value(value)) if wanted.is(&value) => Finding::new(Presence::Present, value),
        Ok(Effective::Value(value)) => Finding::new(Presence::Absent, value),
        Ok(Effective::Unset) => Finding::new(Presence::Absent, "(absent)"),
        Ok(Effective::Mixed(value)) => {
            Finding::because(Presence::Absent, value, "a conditional block or another section says otherwise")
        }
        Err(error) => Finding::unknown(error.to_string()),
    })
}

/// What is in effect, told from the file that the program reads first where that is another one.
fn in_effect(
    action: &FileSetting,
    own: String,
    host: &Host,
    workspace: &Workspace<'_>,
) -> Result<Result<Effective, FormatError>, KindError> {
    let path = action.path.as_str();
    let first = main_of(action.format, path);
    let (path, whole) = match workspace.file(&first)? {
        Some(image) if first != path => (first.as_str(), text(&image, &first)?),
        _ => (path, own),
    };
    Ok(format::effective(&whole, &wanted(action), &including(host, workspace, path)))
}

/// The file that a program reads first: BIND's options may be in one that is included.
pub(super) fn main_of(format: SettingFormat, path: &str) -> String {
    match path.rsplit_once('/') {
        Some((folder, name)) if format == SettingFormat::Bind && name.starts_with("named.conf") => {
            format!("{folder}/named.conf")
        }
        _ => path.to_owned(),
    }
}

/// See [`super::plan`].
///
/// # Errors
/// When the text cannot be edited safely.
pub fn plan(action: &FileSetting, host: &Host, workspace: &mut Workspace<'_>) -> Result<FileEdit, KindError> {
    let path = action.path.as_str();
    let old = workspace.file(path)?;
    let before = old.as_ref().map(|image| text(image, path)).transpose()?.unwrap_or_default();
    let cannot = |error: FormatError| KindError::Cannot(format!("{path}: {error}"));
    let set = format::set(&before, &wanted(action), &including(host, workspace, path));
    let (after, edit) = set.map_err(cannot)?;
    let image = workspace.image(old.as_ref(), after.clone(), 0o644);
    workspace.put_file(path, Some(image))?;
    match in_effect(action, after, host, workspace)?.map_err(cannot)? {
        Effective::Value(value) if wanted(action).is(&value) => {
            Ok(FileEdit { path: path.to_owned(), format: action.format, edit })
        }
        _ => Err(KindError::Cannot(format!("{path} would not decide {}; it has to be changed by hand", action.key))),
    }
}

/// A missing file means that the program is not here, except where the program needs none.
fn may_be_made(action: &FileSetting) -> bool {
    matches!(action.format, SettingFormat::Gitconfig | SettingFormat::Ssh)
}

/// What a file that the program reads first includes. A file may be included again and again, so how much is read for one question
/// in all is bounded.
pub(super) fn including<'a>(
    host: &'a Host,
    workspace: &'a Workspace<'_>,
    main: &'a str,
) -> impl Fn(&str) -> Result<Vec<String>, String> + 'a {
    let read = Cell::new(0_usize);
    move |pattern| {
        let texts = included(host, workspace, main, pattern)?;
        // A file without a letter costs a look, too.
        read.set(texts.iter().fold(read.get(), |read, text| read + text.len() + 64));
        if read.get() > INCLUDED_BYTES_MAX {
            return Err(format!("{pattern}: what {main} includes is more than {} MiB", INCLUDED_BYTES_MAX >> 20));
        }
        Ok(texts)
    }
}

/// The texts an include names: relative to the main file's folder, `*` and `?` in the last part.
fn included(host: &Host, workspace: &Workspace<'_>, main: &str, pattern: &str) -> Result<Vec<String>, String> {
    let folder = main.rsplit_once('/').map_or("", |(folder, _)| folder);
    let mut texts = Vec::new();
    for word in pattern.split_whitespace().map(|word| word.trim_matches('"')) {
        if word.contains('%') || word.starts_with('~') {
            return Err(format!("{word} depends on who asks"));
        }
        let word = if word.starts_with('/') { word.to_owned() } else { format!("{folder}/{word}") };
        let (directory, name) = word.rsplit_once('/').unwrap_or(("", &word));
        if directory.contains(['*', '?', '[']) {
            return Err(format!("{word} has a pattern before its last part"));
        }
        let wild = name.contains(['*', '?', '[']);
        if wild && name.contains('[') {
            return Err(format!("{word} has a pattern this agent does not read"));
        }
        let names = match wild {
            true => host.tree.names(directory).unwrap_or_default(),
            false => vec![name.to_owned()],
        };
        for name in names.iter().filter(|file| !wild || glob(name.as_bytes(), file.as_bytes())) {
            let path = format!("{directory}/{name}");
            // What is planned counts already.
            match workspace.drafted(&path).or_else(|| host.tree.fact(&path)) {
                Some(text) => texts.push(text),
                // Naming a file that does not exist is allowed by all of these programs.
                None if matches!(host.tree.node(&path), Ok(crate::fs::Node::Absent)) => {}
                None => return Err(path),
            }
        }
    }
    if texts.len() > INCLUDED_MAX {
        return Err(format!("{pattern} names more than {INCLUDED_MAX} files"));
    }
    Ok(texts)
}

fn glob(pattern: &[u8], name: &[u8]) -> bool {
    // Hidden files need a pattern that begins with a dot.
    if name.first() == Some(&b'.') && pattern.first() != Some(&b'.') {
        return false;
    }
    glob_rest(pattern, name)
}

fn glob_rest(pattern: &[u8], name: &[u8]) -> bool {
    match (pattern.split_first(), name.split_first()) {
        (None, None) => true,
        (Some((b'*', rest)), _) => {
            glob_rest(rest, name) || name.split_first().is_some_and(|(_, n)| glob_rest(pattern, n))
        }
        (Some((b'?', rest)), Some((_, name))) => glob_rest(rest, name),
        (Some((a, rest)), Some((b, name))) if a == b => glob_rest(rest, name),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_as_in_a_shell() {
        for (pattern, name, matches) in [
            ("*.conf", "50-a.conf", true),
            ("*.conf", ".hidden.conf", false),
            ("*.conf", "a.conf.bak", false),
            ("a?c", "abc", true),
            ("", "", true),
        ] {
            assert_eq!(glob(pattern.as_bytes(), name.as_bytes()), matches, "{pattern} {name}");
        }
    }
}

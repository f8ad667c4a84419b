//! Splitting configuration text into items: sections, settings and includes with the lines they cover, per format.
//!
//! Comments and blank lines are no items. Names and values are brought into the form in which the program compares them.

use super::FormatError;
use catalogue::actions::SettingFormat;

/// One thing a text says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Item {
    /// Its first line, from 0.
    pub first: usize,
    /// Its last line; more than the first where lines continue.
    pub last: usize,
    /// What it says.
    pub what: What,
}

/// See [`Item`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    /// A section or block begins.
    Section {
        /// Its name as compared.
        name: String,
        /// It holds for some cases only.
        conditional: bool,
    },
    /// A setting has a value.
    Setting {
        /// Its name as compared.
        key: String,
        /// Its value as compared.
        value: String,
    },
    /// Other files are read here.
    Include {
        /// As written.
        pattern: String,
    },
}

/// Whether the first value counts, rather than the last.
#[must_use]
pub fn first_wins(format: SettingFormat) -> bool {
    matches!(format, SettingFormat::Sshd | SettingFormat::Ssh)
}

/// Whether an included file starts in the section its include stands in.
#[must_use]
pub fn sections_carry_into_includes(format: SettingFormat) -> bool {
    format == SettingFormat::Smbconf
}

/// Split a text.
///
/// # Errors
/// [`FormatError::Unsupported`].
pub fn read(format: SettingFormat, text: &str) -> Result<Vec<Item>, FormatError> {
    let split = match format {
        SettingFormat::Sshd | SettingFormat::Ssh => words,
        SettingFormat::Smbconf | SettingFormat::Ini | SettingFormat::Gitconfig => bracketed,
        SettingFormat::Postconf => postconf,
        SettingFormat::Bind | SettingFormat::Pam | SettingFormat::Ntp => return Err(FormatError::Unsupported(format)),
    };
    Ok(logical_lines(format, text).into_iter().filter_map(|line| split(format, &line)).collect())
}

/// A setting's name as compared; nothing when it cannot be one.
#[must_use]
pub fn plain_key(format: SettingFormat, key: &str) -> Option<String> {
    let key = key.trim();
    let plain = match format {
        SettingFormat::Smbconf => {
            let name = key.chars().filter(|c| !c.is_whitespace()).collect::<String>().to_lowercase();
            // Two names for one setting.
            if name == "vfsobject" { "vfsobjects".to_owned() } else { name }
        }
        SettingFormat::Sshd | SettingFormat::Ssh => key.to_lowercase(),
        SettingFormat::Gitconfig => key.rsplit_once('.').map_or(key, |(_, name)| name).to_lowercase(),
        _ => key.to_owned(),
    };
    let fits = !plain.is_empty() && !plain.contains(['\n', '#', '[', ']']) && !plain.starts_with(';');
    let word = |c: char| c.is_ascii_alphanumeric() || c == '-';
    let fits = fits && (format != SettingFormat::Bind || plain.chars().all(word));
    fits.then_some(plain)
}

/// The section as compared: named by the entry, or part of a dotted key.
#[must_use]
pub fn plain_section(format: SettingFormat, section: Option<&str>, key: &str) -> Option<String> {
    match (format, section) {
        (SettingFormat::Gitconfig, None) => key.rsplit_once('.').map(|(section, _)| git_section(section)),
        (SettingFormat::Gitconfig, Some(section)) => Some(git_section(section)),
        (SettingFormat::Smbconf, Some(section)) => Some(section.trim().to_lowercase()),
        (SettingFormat::Ini, Some(section)) => Some(section.trim().to_owned()),
        _ => None,
    }
}

/// A value as compared.
#[must_use]
pub fn plain_value(format: SettingFormat, value: &str) -> String {
    let value = value.trim();
    match format {
        SettingFormat::Sshd | SettingFormat::Ssh => {
            value.split_whitespace().map(|word| word.trim_matches('"')).collect::<Vec<_>>().join(" ")
        }
        SettingFormat::Smbconf | SettingFormat::Gitconfig | SettingFormat::Bind => {
            let value = if format == SettingFormat::Gitconfig { value.trim_matches('"') } else { value };
            match value.to_lowercase().as_str() {
                "yes" | "true" | "on" | "1" => "yes".to_owned(),
                "no" | "false" | "off" | "0" => "no".to_owned(),
                _ => value.to_owned(),
            }
        }
        _ => value.split_whitespace().collect::<Vec<_>>().join(" "),
    }
}

/// A setting as we write it, with its line break.
#[must_use]
pub fn line(format: SettingFormat, key: &str, value: &str) -> String {
    match format {
        SettingFormat::Sshd | SettingFormat::Ssh => format!("{key} {value}\n"),
        SettingFormat::Gitconfig => {
            let name = key.rsplit_once('.').map_or(key, |(_, name)| name);
            format!("\t{name} = {value}\n")
        }
        _ => format!("{}\n", format!("{key} = {value}").trim_end()),
    }
}

/// A section's header as we write it, with its line break.
#[must_use]
pub fn header(format: SettingFormat, section: &str) -> String {
    match (format, section.split_once('.')) {
        (SettingFormat::Gitconfig, Some((section, sub))) => format!("[{section} \"{sub}\"]\n"),
        _ => format!("[{section}]\n"),
    }
}

struct Logical {
    first: usize,
    last: usize,
    text: String,
}

/// Lines with their continuations joined: by a backslash at the end or, for Postfix, by space at the start.
fn logical_lines(format: SettingFormat, text: &str) -> Vec<Logical> {
    let mut joined: Vec<Logical> = Vec::new();
    let mut continues = false;
    for (at, raw) in text.split_inclusive('\n').enumerate() {
        let line = raw.trim_end_matches(['\n', '\r']);
        let indented = format == SettingFormat::Postconf && line.starts_with([' ', '\t']) && !line.trim().is_empty();
        let comment = line.trim_start().starts_with('#');
        if (continues || (indented && !comment))
            && let Some(last) = joined.last_mut()
        {
            last.last = at;
            last.text.push(' ');
            last.text.push_str(line.trim().trim_end_matches('\\'));
        } else if !(format == SettingFormat::Postconf && (comment || line.trim().is_empty())) {
            joined.push(Logical { first: at, last: at, text: line.trim_end_matches('\\').to_owned() });
        }
        let by_backslash = matches!(format, SettingFormat::Smbconf | SettingFormat::Gitconfig);
        continues = by_backslash && line.ends_with('\\') && !comment;
    }
    joined
}

fn item(line: &Logical, what: What) -> Item {
    Item { first: line.first, last: line.last, what }
}

fn words(format: SettingFormat, line: &Logical) -> Option<Item> {
    let text = line.text.trim();
    if text.is_empty() || text.starts_with('#') {
        return None;
    }
    let end = text.find(|c: char| c.is_whitespace() || c == '=')?;
    let (key, rest) = text.split_at(end);
    let rest = rest.trim_start_matches(|c: char| c.is_whitespace() || c == '=');
    let rest = uncommented(rest);
    Some(item(
        line,
        match key.to_lowercase().as_str() {
            "match" => {
                What::Section { name: format!("match {rest}"), conditional: !unconditional(format, "match", rest) }
            }
            "host" if format == SettingFormat::Ssh => {
                What::Section { name: format!("host {rest}"), conditional: !unconditional(format, "host", rest) }
            }
            "include" => What::Include { pattern: rest.to_owned() },
            key => What::Setting { key: key.to_owned(), value: plain_value(format, rest) },
        },
    ))
}

/// In the client `Host *` and `Match all` hold always and come in order; in the server a match overrides what is global.
fn unconditional(format: SettingFormat, word: &str, rest: &str) -> bool {
    format == SettingFormat::Ssh && matches!((word, rest.trim()), ("host", "*") | ("match", "all"))
}

/// Newer OpenSSH allows a comment after a value.
fn uncommented(value: &str) -> &str {
    value.find(" #").and_then(|at| value.get(..at)).unwrap_or(value).trim()
}

fn bracketed(format: SettingFormat, line: &Logical) -> Option<Item> {
    let text = line.text.trim();
    if text.is_empty() || text.starts_with(['#', ';']) {
        return None;
    }
    if let Some(rest) = text.strip_prefix('[') {
        let (name, _) = rest.split_once(']')?;
        let name = match format {
            SettingFormat::Smbconf => name.trim().to_lowercase(),
            SettingFormat::Gitconfig => git_section(name),
            _ => name.trim().to_owned(),
        };
        return Some(item(line, What::Section { name, conditional: false }));
    }
    // Git takes a name without a value for true.
    let (key, value) = text.split_once('=').unwrap_or((text, "true"));
    let key = plain_key(format, key)?;
    let value = if format == SettingFormat::Gitconfig { git_uncommented(value) } else { value };
    if format == SettingFormat::Smbconf && (key == "include" || key == "configfile") {
        return Some(item(line, What::Include { pattern: value.trim().to_owned() }));
    }
    Some(item(line, What::Setting { key, value: plain_value(format, value) }))
}

fn git_uncommented(value: &str) -> &str {
    if value.contains('"') {
        return value;
    }
    value.find(['#', ';']).and_then(|at| value.get(..at)).unwrap_or(value)
}

/// `remote "origin"` and `remote.origin` as one spelling.
fn git_section(name: &str) -> String {
    match name.trim().split_once(|c: char| c.is_whitespace() || c == '.') {
        Some((section, sub)) => format!("{}.{}", section.to_lowercase(), sub.trim().trim_matches('"')),
        None => name.trim().to_lowercase(),
    }
}

fn postconf(format: SettingFormat, line: &Logical) -> Option<Item> {
    let (key, value) = line.text.split_once('=')?;
    let key = plain_key(format, key)?;
    Some(item(line, What::Setting { key, value: plain_value(format, value) }))
}

//! Configuration text: what value a setting has *in effect*, how to give it another with the smallest edit, and how to take
//! exactly that edit back. Pure functions on text; which file it came from and who may write it is not known here.
//!
//! All formats are read as lists of items ([`items`]); two rules then cover them: in `sshd` and `ssh` the first value wins and
//! conditional blocks follow, everywhere else the last value within a section wins.

mod bind;
mod edit;
pub mod items;
pub mod lists;
pub mod pam;

pub use bind::spliced;

use catalogue::actions::SettingFormat;
use edit::{set_first, set_last, without};
use items::{Item, What};
use serde::{Deserialize, Serialize};

/// Files included by includes by files: deeper is refused, as the programs themselves do.
pub const INCLUDE_DEPTH_MAX: u32 = 16;

/// Why a text cannot be judged or edited.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FormatError {
    /// This agent does not read the format.
    #[error("this agent cannot read the format {0:?}")]
    Unsupported(SettingFormat),
    /// An included file cannot be read, so nobody knows what is in effect.
    #[error("an included file cannot be read: {0}")]
    Include(String),
    /// The key does not fit the format.
    #[error("`{0}` is no setting of this format")]
    Key(String),
    /// The section is a pattern that matches nothing, so there is no place for the setting.
    #[error("no section matches `{0}`")]
    NoSection(String),
    /// The text is written so that our line would not decide, or could not be taken back: a person has to look.
    #[error("`{0}` cannot be edited safely in this text; it has to be changed by hand")]
    Awkward(String),
    /// An included file says it, and what is shared is not changed.
    #[error("`{0}` is set in an included file; it has to be changed there by hand")]
    Elsewhere(String),
    /// A conditional block gives some connections another value: a person has to decide.
    #[error("a conditional block sets `{key}` to `{value}` for some cases; it has to be changed by hand")]
    Conditional {
        /// The setting.
        key: String,
        /// The block's value.
        value: String,
    },
}

/// Where a setting is and what it should be.
#[derive(Clone, Copy, Debug)]
pub struct Wanted<'a> {
    /// How the text is read.
    pub format: SettingFormat,
    /// The section as the entry names it; may hold `*`.
    pub section: Option<&'a str>,
    /// The setting's name as the entry spells it.
    pub key: &'a str,
    /// The value as the entry spells it.
    pub value: &'a str,
}

/// What is in effect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effective {
    /// Nothing sets it: the program's default holds.
    Unset,
    /// This value, everywhere.
    Value(String),
    /// This value, but a conditional block or another section says otherwise.
    Mixed(String),
}

/// One setting's edit, enough to take it back.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SettingEdit {
    /// The setting's name.
    pub key: String,
    /// Our value.
    pub value: String,
    /// One per place that was edited.
    pub lines: Vec<LineEdit>,
    /// It was taken out: there is no value of ours.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub absent: bool,
}

/// One place in a text.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LineEdit {
    /// The section, as written in the file.
    pub section: Option<String>,
    /// The lines that stood there, with their line breaks; absent = our line was added.
    pub replaced: Option<String>,
    /// The section's header is ours too.
    pub header: bool,
    /// The text did not end with a line break and we added one.
    pub ended: bool,
    /// Our value in this place, where each has its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
}

/// What taking an edit back gives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TakenBack {
    /// The text without our setting.
    Text(String),
    /// It is as it was before us already.
    AlreadyGone,
    /// Somebody changed our setting since; the present value.
    Drifted(String),
}

/// Reads the files an include names: text per file, in the order the program reads them.
pub type Includes<'a> = dyn Fn(&str) -> Result<Vec<String>, String> + 'a;

impl Wanted<'_> {
    /// The setting's name as it is compared.
    fn name(&self) -> Result<String, FormatError> {
        items::plain_key(self.format, self.key).ok_or_else(|| FormatError::Key(self.key.to_owned()))
    }

    /// The section as it is compared.
    fn place(&self) -> Option<String> {
        items::plain_section(self.format, self.section, self.key)
    }

    /// Whether a value read from a text is the wanted one.
    #[must_use]
    pub fn is(&self, value: &str) -> bool {
        items::plain_value(self.format, value) == items::plain_value(self.format, self.value)
    }
}

/// What is in effect for a setting.
///
/// # Errors
/// See [`FormatError`].
pub fn effective(text: &str, wanted: &Wanted<'_>, includes: &Includes<'_>) -> Result<Effective, FormatError> {
    match wanted.format {
        SettingFormat::Bind => return bind::effective(text, wanted, includes),
        SettingFormat::Pam => return pam::effective(text, wanted, includes),
        _ => {}
    }
    let name = wanted.name()?;
    let items = items::read(wanted.format, text)?;
    if items::first_wins(wanted.format) {
        let mut seen = Seen::default();
        walk(wanted.format, &items, &name, includes, &mut seen, 0)?;
        return Ok(match seen.global {
            None => match seen.conditional.first() {
                Some(value) => Effective::Mixed(value.clone()),
                None => Effective::Unset,
            },
            Some(value) if seen.conditional.iter().any(|other| *other != value) => Effective::Mixed(value),
            Some(value) => Effective::Value(value),
        });
    }
    let mut values = Vec::new();
    for section in sections(&items, wanted.place().as_deref()) {
        values.push(last_value(wanted.format, &items, section.as_deref(), &name, includes, 0)?);
    }
    let first = values.first().cloned().flatten();
    Ok(match first {
        _ if values.is_empty() || values.iter().all(Option::is_none) => Effective::Unset,
        Some(value) if values.iter().all(|other| other.as_ref() == Some(&value)) => Effective::Value(value),
        _ => Effective::Mixed(values.into_iter().flatten().next().unwrap_or_default()),
    })
}

/// Give a setting its wanted value.
///
/// # Errors
/// See [`FormatError`]; nothing is edited where a person has to decide.
pub fn set(text: &str, wanted: &Wanted<'_>, includes: &Includes<'_>) -> Result<(String, SettingEdit), FormatError> {
    let (edited, edit) = set_unproved(text, wanted, includes)?;
    // The promise of this module, kept by looking: what we wrote is in effect, and taking it back gives the same bytes.
    let decides = matches!(effective(&edited, wanted, includes)?, Effective::Value(value) if wanted.is(&value));
    let reversible = take_back(wanted.format, &edited, &edit)? == TakenBack::Text(text.to_owned());
    if decides && reversible { Ok((edited, edit)) } else { Err(FormatError::Awkward(wanted.key.to_owned())) }
}

fn set_unproved(
    text: &str,
    wanted: &Wanted<'_>,
    includes: &Includes<'_>,
) -> Result<(String, SettingEdit), FormatError> {
    match wanted.format {
        SettingFormat::Bind => return bind::set(text, wanted, includes),
        SettingFormat::Pam => return pam::set(text, wanted, includes),
        _ => {}
    }
    let name = wanted.name()?;
    let (key, value) = (wanted.key.to_owned(), wanted.value.to_owned());
    let mut edit = SettingEdit { key, value, ..SettingEdit::default() };
    let items = items::read(wanted.format, text)?;
    if items::first_wins(wanted.format) {
        let mut seen = Seen::default();
        walk(wanted.format, &items, &name, includes, &mut seen, 0)?;
        if let Some(value) = seen.conditional.iter().find(|value| !wanted.is(value)) {
            return Err(FormatError::Conditional { key: wanted.key.to_owned(), value: value.clone() });
        }
        let (text, line) = set_first(text, &items, wanted, &name);
        edit.lines.push(line);
        return Ok((text, edit));
    }
    let mut places = sections(&items, wanted.place().as_deref());
    if places.is_empty() {
        match wanted.place() {
            Some(pattern) if pattern.contains('*') => return Err(FormatError::NoSection(pattern)),
            place => places.push(place),
        }
    }
    let mut text = text.to_owned();
    for section in places {
        let items = items::read(wanted.format, &text)?;
        let (next, line) = set_last(&text, &items, wanted, &name, section.as_deref());
        text = next;
        edit.lines.push(line);
    }
    Ok((text, edit))
}

/// Take an edit back: our setting alone, whatever else changed in the text.
///
/// # Errors
/// See [`FormatError`].
pub fn take_back(format: SettingFormat, text: &str, edit: &SettingEdit) -> Result<TakenBack, FormatError> {
    match format {
        _ if edit.absent => return lists::put_back(format, text, edit),
        SettingFormat::Bind => return bind::take_back(text, edit),
        SettingFormat::Pam => return pam::take_back(text, edit),
        _ => {}
    }
    let (mut text, mut changed) = (text.to_owned(), false);
    for line in edit.lines.iter().rev() {
        let value = line.value.as_deref().unwrap_or(&edit.value);
        let ours = Wanted { format, section: None, key: &edit.key, value };
        let name = ours.name()?;
        let items = items::read(format, &text)?;
        let present = deciding(format, &items, line.section.as_deref(), &name);
        let before = prior_value(format, line);
        match present {
            Some(item) if ours.is(value_of(item)) => {
                text = without(&text, &items, item, line);
                changed = true;
            }
            Some(item) if before.as_deref() == Some(value_of(item)) => {}
            None if before.is_none() => {}
            Some(item) => return Ok(TakenBack::Drifted(value_of(item).to_owned())),
            None => return Ok(TakenBack::Drifted("(removed)".to_owned())),
        }
    }
    Ok(if changed { TakenBack::Text(text) } else { TakenBack::AlreadyGone })
}

#[derive(Default)]
struct Seen {
    global: Option<String>,
    conditional: Vec<String>,
}

/// Whether includes may still be followed at this depth.
fn nested(depth: u32) -> Result<(), FormatError> {
    match depth > INCLUDE_DEPTH_MAX {
        true => Err(FormatError::Include("includes are nested too deep".to_owned())),
        false => Ok(()),
    }
}

/// Walk a first-wins text with its includes.
fn walk(
    format: SettingFormat,
    items: &[Item],
    name: &str,
    includes: &Includes<'_>,
    seen: &mut Seen,
    depth: u32,
) -> Result<(), FormatError> {
    nested(depth)?;
    let mut conditional = false;
    for item in items {
        match &item.what {
            What::Section { conditional: now, .. } => conditional = *now,
            What::Setting { key, value } if key == name => {
                if conditional {
                    seen.conditional.push(value.clone());
                } else if seen.global.is_none() {
                    seen.global = Some(value.clone());
                }
            }
            What::Include { pattern } => {
                for text in includes(pattern).map_err(FormatError::Include)? {
                    let included = items::read(format, &text)?;
                    let mut inner = Seen::default();
                    walk(format, &included, name, includes, &mut inner, depth + 1)?;
                    seen.conditional.append(&mut inner.conditional);
                    if conditional {
                        seen.conditional.extend(inner.global);
                    } else if seen.global.is_none() {
                        seen.global = inner.global;
                    }
                }
            }
            What::Setting { .. } => {}
        }
    }
    Ok(())
}

/// The sections of a last-wins text that a pattern names, as written; `None` is the text without sections.
fn sections(items: &[Item], pattern: Option<&str>) -> Vec<Option<String>> {
    let Some(pattern) = pattern else { return vec![None] };
    let mut found: Vec<Option<String>> = Vec::new();
    for item in items {
        if let What::Section { name, .. } = &item.what
            && matches(pattern, name)
            && !found.iter().any(|known| known.as_deref() == Some(name))
        {
            found.push(Some(name.clone()));
        }
    }
    found
}

fn matches(pattern: &str, name: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == name,
        Some((head, tail)) => name.len() >= head.len() + tail.len() && name.starts_with(head) && name.ends_with(tail),
    }
}

fn last_value(
    format: SettingFormat,
    items: &[Item],
    section: Option<&str>,
    name: &str,
    includes: &Includes<'_>,
    depth: u32,
) -> Result<Option<String>, FormatError> {
    nested(depth)?;
    let mut value = None;
    for (place, item) in placed(items) {
        match &item.what {
            What::Setting { key, value: found } if key == name && place == section => value = Some(found.clone()),
            What::Include { pattern } => {
                for text in includes(pattern).map_err(FormatError::Include)? {
                    let included = items::read(format, &text)?;
                    // An include within a section goes on with it until the included text opens another.
                    let start = if items::sections_carry_into_includes(format) { place } else { None };
                    let inner = last_value_from(format, &included, start, section, name, includes, depth + 1)?;
                    value = inner.or(value);
                }
            }
            _ => {}
        }
    }
    Ok(value)
}

fn last_value_from(
    format: SettingFormat,
    items: &[Item],
    start: Option<&str>,
    section: Option<&str>,
    name: &str,
    includes: &Includes<'_>,
    depth: u32,
) -> Result<Option<String>, FormatError> {
    let Some(start) = start else { return last_value(format, items, section, name, includes, depth) };
    let mut all = vec![Item { first: 0, last: 0, what: What::Section { name: start.to_owned(), conditional: false } }];
    all.extend_from_slice(items);
    last_value(format, &all, section, name, includes, depth)
}

/// Items with the section they stand in.
fn placed(items: &[Item]) -> impl Iterator<Item = (Option<&str>, &Item)> {
    let mut place: Option<&str> = None;
    items.iter().map(move |item| {
        if let What::Section { name, .. } = &item.what {
            place = Some(name);
        }
        (place, item)
    })
}

/// The item of this very text that decides a setting.
fn deciding<'i>(format: SettingFormat, items: &'i [Item], section: Option<&str>, name: &str) -> Option<&'i Item> {
    let is = |item: &&Item| matches!(&item.what, What::Setting { key, .. } if key == name);
    if items::first_wins(format) {
        let ended = |item: &&Item| !matches!(item.what, What::Section { conditional: true, .. });
        return items.iter().take_while(ended).find(is);
    }
    placed(items).filter(|(place, _)| *place == section).map(|(_, item)| item).filter(is).last()
}

fn value_of(item: &Item) -> &str {
    match &item.what {
        What::Setting { value, .. } => value,
        _ => "",
    }
}

fn prior_value(format: SettingFormat, line: &LineEdit) -> Option<String> {
    let items = items::read(format, line.replaced.as_deref()?).ok()?;
    items.iter().find(|item| matches!(item.what, What::Setting { .. })).map(|item| value_of(item).to_owned())
}

#[cfg(test)]
#[path = "../format_tests.rs"]
mod tests;

#[cfg(test)]
#[path = "../format_more_tests.rs"]
mod more_tests;

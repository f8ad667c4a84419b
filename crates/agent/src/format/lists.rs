//! Settings whose value is a list of words, and settings that are to be in no place at all.

use super::bind::{self, spliced};
use super::edit::set_last;
use super::items::{self, Item, What};
use super::{
    FormatError, Includes, LineEdit, SettingEdit, TakenBack, Wanted, last_value, matches, nested, placed, sections,
};
use catalogue::actions::SettingFormat;
use std::ops::Range;

/// A word that is to be in none of a setting's lists.
#[derive(Clone, Copy, Debug)]
pub struct WantedList<'a> {
    /// How the text is read.
    pub format: SettingFormat,
    /// The section as the entry names it; may hold `*`.
    pub section: Option<&'a str>,
    /// The setting's name.
    pub key: &'a str,
    /// The word.
    pub remove: &'a str,
}

impl WantedList<'_> {
    fn setting<'w>(&'w self, value: &'w str) -> Wanted<'w> {
        Wanted { format: self.format, section: self.section, key: self.key, value }
    }

    /// Whether a word of a list is the one: `fruit`, `fruit:name`, `"fruit"`, `/usr/lib/samba/vfs/fruit.so`.
    fn is(&self, word: &str) -> bool {
        let bare = word.trim_matches(['"', '\'']).split(':').next().unwrap_or_default();
        let bare = bare.rsplit('/').next().unwrap_or_default();
        bare.strip_suffix(".so").unwrap_or(bare).eq_ignore_ascii_case(self.remove)
    }

    fn in_list(&self, value: &str) -> bool {
        words(value).any(|word| self.is(word))
    }

    fn without(&self, value: &str) -> String {
        words(value).filter(|word| !self.is(word)).collect::<Vec<_>>().join(" ")
    }
}

fn words(value: &str) -> impl Iterator<Item = &str> {
    value.split(|c: char| c.is_whitespace() || c == ',').filter(|word| !word.is_empty())
}

/// The lists that hold the word, by section, included files counted.
///
/// # Errors
/// See [`FormatError`].
pub fn holding(
    text: &str,
    wanted: &WantedList<'_>,
    includes: &Includes<'_>,
) -> Result<Vec<(Option<String>, String)>, FormatError> {
    let setting = wanted.setting("");
    let (name, place) = (setting.name()?, setting.place());
    let items = items::read(wanted.format, text)?;
    let mut places = Vec::new();
    every_section(wanted.format, &items, place.as_deref(), includes, &mut places, 0)?;
    let mut found = Vec::new();
    for section in places {
        let value = last_value(wanted.format, &items, section.as_deref(), &name, includes, 0)?;
        found.extend(value.filter(|value| wanted.in_list(value)).map(|value| (section, value)));
    }
    Ok(found)
}

/// The sections that a pattern names, those of included files counted; `None` is what stands before the first.
fn every_section(
    format: SettingFormat,
    all: &[Item],
    pattern: Option<&str>,
    includes: &Includes<'_>,
    found: &mut Vec<Option<String>>,
    depth: u32,
) -> Result<(), FormatError> {
    nested(depth)?;
    let mut here = sections(all, pattern);
    if pattern.is_some_and(|pattern| matches(pattern, "")) {
        here.push(None);
    }
    here.retain(|section| !found.contains(section));
    found.append(&mut here);
    for item in all {
        let What::Include { pattern: files } = &item.what else { continue };
        for text in includes(files).map_err(FormatError::Include)? {
            every_section(format, &items::read(format, &text)?, pattern, includes, found, depth + 1)?;
        }
    }
    Ok(())
}

/// Take the word out of every list.
///
/// # Errors
/// See [`FormatError`]; nothing is edited where a person has to decide.
pub fn remove(
    text: &str,
    wanted: &WantedList<'_>,
    includes: &Includes<'_>,
) -> Result<(String, SettingEdit), FormatError> {
    let mut edit = SettingEdit { key: wanted.key.to_owned(), ..SettingEdit::default() };
    let name = wanted.setting("").name()?;
    let mut edited = text.to_owned();
    for (section, value) in holding(text, wanted, includes)? {
        let items = items::read(wanted.format, &edited)?;
        let known = section.is_none() || placed(&items).any(|(place, _)| place == section.as_deref());
        if !known {
            return Err(FormatError::Elsewhere(wanted.key.to_owned()));
        }
        let rest = wanted.without(&value);
        let (next, line) = set_last(&edited, &items, &wanted.setting(&rest), &name, section.as_deref());
        edited = next;
        edit.lines.push(LineEdit { value: Some(rest), ..line });
    }
    let gone = holding(&edited, wanted, includes)?.is_empty();
    let reversible = super::take_back(wanted.format, &edited, &edit)? == TakenBack::Text(text.to_owned());
    if gone && reversible { Ok((edited, edit)) } else { Err(FormatError::Awkward(wanted.key.to_owned())) }
}

/// Where a text itself sets something, in order, with the values.
fn places(
    format: SettingFormat,
    text: &str,
    section: Option<&str>,
    key: &str,
) -> Result<Vec<(Range<usize>, String)>, FormatError> {
    let wanted = Wanted { format, section, key, value: "" };
    let name = wanted.name()?;
    if format == SettingFormat::Bind {
        return bind::places(text, &name);
    }
    let items = items::read(format, text)?;
    let pattern = wanted.place();
    let within = |place: Option<&str>| match &pattern {
        None => true,
        Some(pattern) => place.is_some_and(|place| matches(pattern, place)),
    };
    let starts: Vec<usize> = std::iter::once(0)
        .chain(text.split_inclusive('\n').scan(0, |at, line| {
            *at += line.len();
            Some(*at)
        }))
        .collect();
    let mut found = Vec::new();
    for (place, item) in placed(&items) {
        let What::Setting { key, value } = &item.what else { continue };
        if *key != name || !within(place) {
            continue;
        }
        let start = starts.get(item.first).copied().unwrap_or_default();
        let end = starts.get(item.last + 1).copied().unwrap_or(text.len());
        let lines = text.get(start..end).unwrap_or_default();
        let indent = lines.len() - lines.trim_start_matches([' ', '\t']).len();
        found.push((start + indent..start + lines.trim_end_matches(['\n', '\r']).len(), value.clone()));
    }
    Ok(found)
}

/// Every value something has, in a text and what it includes.
///
/// # Errors
/// See [`FormatError`].
pub fn values(
    format: SettingFormat,
    text: &str,
    section: Option<&str>,
    key: &str,
    includes: &Includes<'_>,
) -> Result<Vec<String>, FormatError> {
    values_at(format, text, section, key, includes, 0)
}

fn values_at(
    format: SettingFormat,
    text: &str,
    section: Option<&str>,
    key: &str,
    includes: &Includes<'_>,
    depth: u32,
) -> Result<Vec<String>, FormatError> {
    nested(depth)?;
    let mut values: Vec<String> = places(format, text, section, key)?.into_iter().map(|(_, value)| value).collect();
    let files = match format {
        SettingFormat::Bind => bind::included(text)?,
        _ => {
            let items = items::read(format, text)?.into_iter();
            items
                .filter_map(|item| if let What::Include { pattern } = item.what { Some(pattern) } else { None })
                .collect()
        }
    };
    for pattern in &files {
        for text in includes(pattern).map_err(FormatError::Include)? {
            values.extend(values_at(format, &text, section, key, includes, depth + 1)?);
        }
    }
    Ok(values)
}

/// What stands where something was taken out: a comment of the format, found again by its text.
fn mark(format: SettingFormat, key: &str, n: usize) -> String {
    let said = format!("quell: {key} was taken out here ({n})");
    if format == SettingFormat::Bind { format!("/* {said} */") } else { format!("# {said}") }
}

/// Take something out of a text, wherever it is set.
///
/// # Errors
/// See [`FormatError`]; nothing is edited where an included file sets it, too.
pub fn take_out(
    format: SettingFormat,
    text: &str,
    section: Option<&str>,
    key: &str,
    includes: &Includes<'_>,
) -> Result<(String, SettingEdit), FormatError> {
    let mut edit = SettingEdit { key: key.to_owned(), absent: true, ..SettingEdit::default() };
    let mut edited = text.to_owned();
    for (n, (place, _)) in places(format, text, section, key)?.into_iter().enumerate().rev() {
        let mark = mark(format, key, n + 1);
        if text.contains(&mark) {
            return Err(FormatError::Awkward(key.to_owned()));
        }
        let old = text.get(place.clone()).unwrap_or_default().to_owned();
        edited = spliced(&edited, place, &mark);
        let line = LineEdit { section: section.map(str::to_owned), replaced: Some(old), ..LineEdit::default() };
        edit.lines.insert(0, line);
    }
    if !values(format, &edited, section, key, includes)?.is_empty() {
        return Err(FormatError::Elsewhere(key.to_owned()));
    }
    let back = put_back(format, &edited, &edit)?;
    let reversible = back == TakenBack::Text(text.to_owned()) || edit.lines.is_empty();
    if reversible { Ok((edited, edit)) } else { Err(FormatError::Awkward(key.to_owned())) }
}

/// Put back what was taken out.
pub(super) fn put_back(format: SettingFormat, text: &str, edit: &SettingEdit) -> Result<TakenBack, FormatError> {
    if edit.lines.is_empty() {
        return Ok(TakenBack::AlreadyGone);
    }
    let section = edit.lines.iter().find_map(|line| line.section.as_deref());
    let now: Vec<String> = places(format, text, section, &edit.key)?.into_iter().map(|(_, value)| value).collect();
    let marks: Vec<String> = (1..=edit.lines.len()).map(|n| mark(format, &edit.key, n)).collect();
    let old = || edit.lines.iter().filter_map(|line| line.replaced.as_deref());
    if marks.iter().all(|mark| text.matches(mark.as_str()).count() == 1) {
        // Somebody who set it anew meanwhile would have it twice.
        if let Some(value) = now.into_iter().next() {
            return Ok(TakenBack::Drifted(value));
        }
        let back = marks.iter().zip(old()).fold(text.to_owned(), |text, (mark, old)| text.replacen(mark, old, 1));
        return Ok(TakenBack::Text(back));
    }
    let restored = !marks.iter().any(|mark| text.contains(mark.as_str())) && old().all(|old| text.contains(old));
    Ok(match restored {
        true => TakenBack::AlreadyGone,
        false => TakenBack::Drifted(now.into_iter().next().unwrap_or_else(|| "unset, and our mark is gone".to_owned())),
    })
}

//! PAM: an option of a module, on every line of a service's file that names the module. Stacks that the file includes are looked at
//! and never changed: other services share them.

use super::bind::spliced;
use super::{Effective, FormatError, Includes, LineEdit, SettingEdit, TakenBack, Wanted, nested};
use std::ops::Range;

/// A line that names a module: where it is in the text, without its comment and line break, and its words from the module on.
struct Line<'t> {
    place: Range<usize>,
    text: &'t str,
    words: Vec<&'t str>,
}

enum Said<'t> {
    Module(Line<'t>),
    Include(&'t str),
}

/// Lines of a text; one that is continued is refused, because nobody writes them and an edit could land in the wrong half.
fn lines(text: &str) -> Result<Vec<Said<'_>>, FormatError> {
    let mut all = Vec::new();
    let mut at = 0;
    for raw in text.split_inclusive('\n') {
        let start = at;
        at += raw.len();
        let line = raw.trim_end_matches(['\n', '\r']);
        if line.ends_with('\\') {
            return Err(FormatError::Awkward("a line that goes on in the next".to_owned()));
        }
        let said = line.split('#').next().unwrap_or_default().trim_end();
        let mut words = said.split_whitespace();
        let Some(first) = words.next() else { continue };
        if first == "@include" {
            all.extend(words.next().map(Said::Include));
            continue;
        }
        let Some(control) = words.next() else { continue };
        let mut closed = !control.starts_with('[') || control.ends_with(']');
        while !closed {
            match words.next() {
                Some(word) => closed = word.ends_with(']'),
                None => return Err(FormatError::Awkward("a bracket that is not closed".to_owned())),
            }
        }
        let words: Vec<&str> = words.collect();
        if matches!(control, "include" | "substack") {
            all.extend(words.first().copied().map(Said::Include));
        } else {
            all.push(Said::Module(Line { place: start..start + said.len(), text: said, words }));
        }
    }
    Ok(all)
}

impl Line<'_> {
    fn is(&self, module: &str) -> bool {
        let named = self.words.first().and_then(|path| path.rsplit('/').next());
        named.is_some_and(|name| name == module || Some(name) == module.strip_suffix(".so"))
    }

    /// The last value of an option; the last one counts.
    fn value(&self, option: &str) -> Option<&str> {
        self.words.iter().skip(1).rev().find_map(|word| word.strip_prefix(option)?.strip_prefix('='))
    }

    /// The line with the option set, once.
    fn with(&self, option: &str, value: &str) -> Option<String> {
        let of = |word: &&&str| word.strip_prefix(option).is_some_and(|rest| rest.is_empty() || rest.starts_with('='));
        let mut present = self.words.iter().skip(1).filter(of);
        match (present.next(), present.next()) {
            (None, _) => Some(format!("{} {option}={value}", self.text)),
            (Some(word), None) => {
                // Where the word stands: it is a part of this very text.
                let at = (word.as_ptr() as usize).checked_sub(self.text.as_ptr() as usize)?;
                Some(spliced(self.text, at..at + word.len(), &format!("{option}={value}")))
            }
            (Some(_), Some(_)) => None,
        }
    }
}

/// Module and option of a key, `pam_env.so user_readenv`.
fn parts<'k>(wanted: &Wanted<'k>) -> Result<(&'k str, &'k str), FormatError> {
    wanted.key.split_once(' ').ok_or_else(|| FormatError::Key(wanted.key.to_owned()))
}

fn modules<'t>(text: &'t str, module: &str) -> Result<Vec<Line<'t>>, FormatError> {
    let all = lines(text)?.into_iter();
    Ok(all
        .filter_map(|said| if let Said::Module(line) = said { Some(line) } else { None })
        .filter(|l| l.is(module))
        .collect())
}

/// Whether a text itself names the module of a key.
pub fn names(text: &str, key: &str) -> bool {
    let module = key.split(' ').next().unwrap_or_default();
    modules(text, module).is_ok_and(|lines| !lines.is_empty())
}

/// Values that included stacks give the option.
fn from_includes(
    text: &str,
    module: &str,
    option: &str,
    includes: &Includes<'_>,
    depth: u32,
) -> Result<Vec<String>, FormatError> {
    nested(depth)?;
    let mut values = Vec::new();
    for said in lines(text)? {
        let Said::Include(name) = said else { continue };
        for text in includes(name).map_err(FormatError::Include)? {
            values.extend(modules(&text, module)?.iter().filter_map(|line| line.value(option).map(str::to_owned)));
            values.extend(from_includes(&text, module, option, includes, depth + 1)?);
        }
    }
    Ok(values)
}

/// See [`super::effective`].
pub(super) fn effective(text: &str, wanted: &Wanted<'_>, includes: &Includes<'_>) -> Result<Effective, FormatError> {
    let (module, option) = parts(wanted)?;
    let elsewhere = from_includes(text, module, option, includes, 0)?;
    if let Some(other) = elsewhere.into_iter().find(|value| !wanted.is(value)) {
        return Ok(Effective::Mixed(other));
    }
    let lines = modules(text, module)?;
    let values: Vec<Option<&str>> = lines.iter().map(|line| line.value(option)).collect();
    Ok(match values.first() {
        None => Effective::Unset,
        Some(_) if values.iter().all(Option::is_none) => Effective::Unset,
        Some(Some(first)) if values.iter().all(|value| *value == Some(first)) => Effective::Value((*first).to_owned()),
        _ => Effective::Mixed(values.iter().flatten().next().copied().unwrap_or_default().to_owned()),
    })
}

/// See [`super::set`].
pub(super) fn set(
    text: &str,
    wanted: &Wanted<'_>,
    includes: &Includes<'_>,
) -> Result<(String, SettingEdit), FormatError> {
    let (module, option) = parts(wanted)?;
    let elsewhere = from_includes(text, module, option, includes, 0)?;
    if let Some(value) = elsewhere.into_iter().find(|value| !wanted.is(value)) {
        return Err(FormatError::Conditional { key: wanted.key.to_owned(), value });
    }
    let mut edited = text.to_owned();
    let mut edits = Vec::new();
    // From the last on, so that places before it stay what they are.
    for line in modules(text, module)?.iter().rev() {
        let new = line.with(option, wanted.value).ok_or_else(|| FormatError::Awkward(wanted.key.to_owned()))?;
        if new != line.text {
            edited = spliced(&edited, line.place.clone(), &new);
            edits.push(LineEdit { replaced: Some(line.text.to_owned()), value: Some(new), ..LineEdit::default() });
        }
    }
    edits.reverse();
    if edits.is_empty() {
        return Err(FormatError::NoSection(module.to_owned()));
    }
    let (key, value) = (wanted.key.to_owned(), wanted.value.to_owned());
    Ok((edited, SettingEdit { key, value, lines: edits, absent: false }))
}

/// See [`super::take_back`].
pub(super) fn take_back(text: &str, edit: &SettingEdit) -> Result<TakenBack, FormatError> {
    let module = edit.key.split(' ').next().unwrap_or_default();
    let (mut edited, mut changed, mut from) = (text.to_owned(), false, 0);
    for line in &edit.lines {
        let (Some(old), Some(new)) = (&line.replaced, &line.value) else { continue };
        let now = modules(&edited, module)?;
        let later = || now.iter().filter(|line| line.place.start >= from);
        if let Some(ours) = later().find(|line| line.text == new) {
            let place = ours.place.clone();
            from = place.start + old.len();
            edited = spliced(&edited, place, old);
            changed = true;
        } else if !later().any(|line| line.text == old) {
            let shown = now.first().map_or_else(|| "(removed)".to_owned(), |line| line.text.trim().to_owned());
            return Ok(TakenBack::Drifted(shown));
        }
    }
    Ok(if changed { TakenBack::Text(edited) } else { TakenBack::AlreadyGone })
}

//! Edits of texts whose settings are lines.

use super::items::{self, Item, What};
use super::{LineEdit, Wanted, deciding, placed};

pub(super) fn set_first(text: &str, items: &[Item], wanted: &Wanted<'_>, name: &str) -> (String, LineEdit) {
    let stop = items.iter().find(|item| match &item.what {
        What::Include { .. } => true,
        What::Section { conditional, .. } => *conditional,
        What::Setting { .. } => false,
    });
    let present = deciding(wanted.format, items, None, name);
    let ours = items::line(wanted.format, wanted.key, wanted.value);
    match (present, stop) {
        // An include before the line may set it first, so the line itself would not decide.
        (Some(item), Some(stop)) if item.first > stop.first => insert(text, Some(stop.first), &ours, None, false),
        (Some(item), _) => replace(text, item, &ours, None),
        (None, Some(stop)) => insert(text, Some(stop.first), &ours, None, false),
        (None, None) => insert(text, None, &ours, None, false),
    }
}

pub(super) fn set_last(
    text: &str,
    items: &[Item],
    wanted: &Wanted<'_>,
    name: &str,
    section: Option<&str>,
) -> (String, LineEdit) {
    let ours = items::line(wanted.format, wanted.key, wanted.value);
    let here: Vec<&Item> = placed(items).filter(|(place, _)| *place == section).map(|(_, item)| item).collect();
    let includes_follow =
        |item: &Item| here.iter().any(|other| other.first > item.first && matches!(other.what, What::Include { .. }));
    match deciding(wanted.format, items, section, name) {
        Some(item) if !includes_follow(item) => replace(text, item, &ours, section),
        _ => match (here.last(), section) {
            (Some(last), _) => insert(text, Some(last.last + 1), &ours, section, false),
            (None, Some(section)) => {
                let header = items::header(wanted.format, section);
                insert(text, None, &format!("{header}{ours}"), Some(section), true)
            }
            (None, None) => insert(text, None, &ours, None, false),
        },
    }
}

fn lines(text: &str) -> Vec<&str> {
    text.split_inclusive('\n').collect()
}

fn replace(text: &str, item: &Item, ours: &str, section: Option<&str>) -> (String, LineEdit) {
    let all = lines(text);
    let old: String = all.get(item.first..=item.last).unwrap_or_default().concat();
    let indent: String = old.chars().take_while(|c| *c == ' ' || *c == '\t').collect();
    let ends = old.ends_with('\n');
    let new = format!("{indent}{}", if ends { ours } else { ours.trim_end_matches('\n') });
    let head = all.get(..item.first).unwrap_or_default().concat();
    let tail = all.get(item.last + 1..).unwrap_or_default().concat();
    let edit = LineEdit { section: section.map(str::to_owned), replaced: Some(old), ..LineEdit::default() };
    (format!("{head}{new}{tail}"), edit)
}

fn insert(text: &str, at: Option<usize>, ours: &str, section: Option<&str>, header: bool) -> (String, LineEdit) {
    let all = lines(text);
    let at = at.unwrap_or(all.len()).min(all.len());
    let mut head = all.get(..at).unwrap_or_default().concat();
    let ended = !head.is_empty() && !head.ends_with('\n');
    if ended {
        head.push('\n');
    }
    let tail = all.get(at..).unwrap_or_default().concat();
    let edit = LineEdit { section: section.map(str::to_owned), header, ended, ..LineEdit::default() };
    (format!("{head}{ours}{tail}"), edit)
}

pub(super) fn without(text: &str, items: &[Item], item: &Item, edit: &LineEdit) -> String {
    let all = lines(text);
    let mut first = item.first;
    if edit.header {
        // Our section's header goes too, but not from above somebody else's settings.
        let section = edit.section.as_deref();
        let here: Vec<&Item> = placed(items).filter(|(place, _)| *place == section).map(|(_, item)| item).collect();
        if let [head, _] = here.as_slice() {
            first = head.first;
        }
    }
    let mut head = all.get(..first).unwrap_or_default().concat();
    let tail = all.get(item.last + 1..).unwrap_or_default().concat();
    match &edit.replaced {
        Some(old) => {
            let broken = !old.ends_with('\n') && !tail.is_empty();
            format!("{head}{old}{}{tail}", if broken { "\n" } else { "" })
        }
        None => {
            if edit.ended && tail.is_empty() && head.ends_with('\n') {
                head.pop();
            }
            format!("{head}{tail}")
        }
    }
}

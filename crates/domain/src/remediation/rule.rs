//! Task rules: which items of an import are put into tasks, by what they are grouped, and who gets the tasks.

use super::group::{FIELDS_MAX, Field, WORDS};
use super::{TITLE_CHARS_MAX, line};
use std::collections::BTreeSet;

/// Rules at most; each is a query on every batch of an import.
pub const RULES_MAX: i64 = 50;
/// Tasks that one rule makes in one import at most; what would need more is left without a task, and the rule says so.
pub const MADE_MAX: i64 = 10_000;

/// Who gets the tasks of a rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Assign {
    /// The group that works on the items; items of several groups are in several tasks.
    Item,
    /// The group that is named like the value of this field of the grouping, where there is such a group.
    Field(Field),
    /// This group, this person, or both.
    Fixed {
        /// Name of the group; empty for none.
        group: String,
        /// Key of the person.
        user: Option<crate::id::UserId>,
    },
}

/// What is wrong with a field of a rule: its name, a code, a sentence.
pub type Wrong = (&'static str, &'static str, String);

/// A checked rule: name, title of its tasks, fields it groups by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// Its name.
    pub name: String,
    /// What its tasks are called, before what their items share.
    pub title: String,
    /// What it groups by, in order.
    pub group_by: Vec<Field>,
}

/// Check what somebody typed.
///
/// # Errors
/// Everything that is wrong, field by field.
pub fn wanted(name: &str, title: &str, group_by: &[String]) -> Result<Wanted, Vec<Wrong>> {
    let mut wrong: Vec<Wrong> = Vec::new();
    let name = line(name, TITLE_CHARS_MAX).unwrap_or_else(|why| {
        wrong.push(("name", "bad_text", why));
        String::new()
    });
    if name.is_empty() && wrong.is_empty() {
        wrong.push(("name", "missing", "a rule has a name".to_owned()));
    }
    let title = line(title, TITLE_CHARS_MAX / 2).unwrap_or_else(|why| {
        wrong.push(("title", "bad_text", why));
        String::new()
    });
    let fields: Vec<Option<Field>> = group_by.iter().map(|text| Field::parse(text)).collect();
    for (text, _) in group_by.iter().zip(&fields).filter(|(_, field)| field.is_none()) {
        wrong.push(("group_by", "unknown", format!("\"{text}\" is none of {}", WORDS.join(", "))));
    }
    let fields: Vec<Field> = fields.into_iter().flatten().collect();
    if fields.len() > FIELDS_MAX {
        wrong.push(("group_by", "too_many", format!("a rule groups by at most {FIELDS_MAX} fields")));
    }
    if fields.iter().collect::<BTreeSet<_>>().len() < fields.len() {
        wrong.push(("group_by", "twice", "a field is named twice".to_owned()));
    }
    if wrong.is_empty() { Ok(Wanted { name, title, group_by: fields }) } else { Err(wrong) }
}

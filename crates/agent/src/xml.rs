//! XML text: whether an element, an attribute or a text is as wanted, how to make it so with the smallest edit, and how to take
//! exactly that edit back. Every byte outside of the edit stays. Pure functions on text.
//!
//! Documents that define entities are refused, because what stands in the text is then not what a program reads; nothing is ever
//! fetched or expanded.

use catalogue::actions::{FileXml, XmlWant};
use catalogue::text::matches_stars;
use quick_xml::Reader;
use quick_xml::escape::{escape, unescape};
use quick_xml::events::Event;
use serde::{Deserialize, Serialize};
use std::ops::Range;

/// Elements within elements.
const DEPTH_MAX: usize = 64;
/// Most elements of one document.
const ELEMENTS_MAX: usize = 50_000;

/// Why a document cannot be judged or edited.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum XmlError {
    /// Not well-formed, or more than is read.
    #[error("it cannot be read as XML: {0}")]
    Malformed(String),
    /// It defines entities.
    #[error("it defines entities, so its text is not what programs read; it has to be changed by hand")]
    Entities,
    /// There is no place for the element.
    #[error("there is no element {0} to put it into")]
    NoParent(String),
    /// An element with children in place of a text.
    #[error("{0} holds more than text; it has to be changed by hand")]
    NotText(String),
}

/// How a document stands to what is wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Look {
    /// It is as wanted.
    pub holds: bool,
    /// Elements the path names.
    pub elements: usize,
    /// What is there, for people.
    pub shown: String,
}

/// One edit, enough to take it back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct XmlEdit {
    /// What was wanted.
    pub wanted: FileXml,
    /// What stood there before, for each element in order: the raw attribute or text, or the element with the space before it
    /// that was taken out. Absent = there was none.
    pub before: Vec<Option<String>>,
    /// What was put in: an element with the space before it.
    pub added: Option<String>,
}

/// What taking an edit back gives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TakenBack {
    /// The text without our edit.
    Text(String),
    /// Somebody has taken it back before.
    AlreadyGone,
    /// Somebody changed it: to what.
    Drifted(String),
}

#[derive(Debug)]
struct Attribute {
    name: String,
    /// The raw value's place, between the quotes.
    value: Range<usize>,
    /// The whole, with the space before it.
    whole: Range<usize>,
    quote: char,
}

#[derive(Debug)]
struct Element {
    path: String,
    /// The start tag.
    tag: Range<usize>,
    /// From start tag to end tag.
    whole: Range<usize>,
    /// Between the tags; nothing for `<x/>`.
    inside: Option<Range<usize>>,
    attributes: Vec<Attribute>,
    children: bool,
}

/// Judge a document.
///
/// # Errors
/// See [`XmlError`].
pub fn look(text: &str, wanted: &FileXml) -> Result<Look, XmlError> {
    let all = elements(text)?;
    let found = named(text, &all, wanted)?;
    let values = found.iter().map(|element| value(text, element, wanted)).collect::<Result<Vec<_>, _>>()?;
    let plain = |raw: &Option<String>| raw.as_deref().map(plain).transpose();
    let holds = match &wanted.want {
        XmlWant::Present => !found.is_empty(),
        XmlWant::Absent => found.is_empty(),
        XmlWant::NoAttribute { .. } => values.iter().all(Option::is_none),
        XmlWant::Attribute { value: want, .. } | XmlWant::Text { value: want } => {
            let values = values.iter().map(plain).collect::<Result<Vec<_>, _>>()?;
            values.iter().all(|value| value.as_deref() == Some(want.as_str()))
        }
    };
    let shown = match (&wanted.want, values.iter().flatten().next()) {
        (_, None) => "(absent)".to_owned(),
        (XmlWant::Present | XmlWant::Absent, Some(_)) if found.len() > 1 => format!("{} elements", found.len()),
        (_, Some(first)) => first.trim().to_owned(),
    };
    Ok(Look { holds, elements: found.len(), shown })
}

/// Make it as wanted.
///
/// # Errors
/// See [`XmlError`].
pub fn set(text: &str, wanted: &FileXml) -> Result<(String, XmlEdit), XmlError> {
    let all = elements(text)?;
    let found = named(text, &all, wanted)?;
    let mut edit = XmlEdit { wanted: wanted.clone(), before: Vec::new(), added: None };
    let mut text_after = text.to_owned();
    match &wanted.want {
        XmlWant::Present => {
            let added = element_text(text, &all, wanted);
            text_after = insert(text, &all, wanted, &added)?;
            edit.added = Some(added);
        }
        XmlWant::Absent => {
            for element in found.iter().rev() {
                let place = with_space(text, &element.whole);
                edit.before.insert(0, Some(slice(text, &place).to_owned()));
                text_after.replace_range(place, "");
            }
        }
        want => {
            for element in found.iter().rev() {
                edit.before.insert(0, value(text, element, wanted)?);
                let new = match want {
                    XmlWant::Attribute { value, .. } | XmlWant::Text { value } => {
                        Some(escape(value.as_str()).into_owned())
                    }
                    _ => None,
                };
                put(&mut text_after, element, wanted, new.as_deref())?;
            }
        }
    }
    // Only what can be read back, and is as wanted then, is written.
    match look(&text_after, wanted)? {
        Look { holds: true, .. } => Ok((text_after, edit)),
        Look { shown, .. } => Err(XmlError::Malformed(format!("after the edit it would be {shown}"))),
    }
}

/// Take an edit back from a document in which other things changed.
///
/// # Errors
/// See [`XmlError`].
pub fn take_back(text: &str, edit: &XmlEdit) -> Result<TakenBack, XmlError> {
    let wanted = &edit.wanted;
    let all = elements(text)?;
    let found = named(text, &all, wanted)?;
    let mut after = text.to_owned();
    match &wanted.want {
        XmlWant::Present => {
            let Some(last) = found.last() else { return Ok(TakenBack::AlreadyGone) };
            let added = edit.added.as_deref().unwrap_or_default();
            let place = with_space(text, &last.whole);
            if slice(text, &last.whole) != added.trim() {
                return Ok(TakenBack::Drifted(slice(text, &last.whole).to_owned()));
            }
            let place = if slice(text, &place) == added { place } else { last.whole.clone() };
            after.replace_range(place, "");
        }
        XmlWant::Absent => {
            if !found.is_empty() {
                return Ok(TakenBack::AlreadyGone);
            }
            for removed in edit.before.iter().flatten() {
                after = match insert(&after, &elements(&after)?, wanted, removed) {
                    Ok(text) => text,
                    Err(XmlError::NoParent(parent)) => return Ok(TakenBack::Drifted(format!("{parent} is gone"))),
                    Err(error) => return Err(error),
                };
            }
        }
        want => {
            let ours = match want {
                XmlWant::Attribute { value, .. } | XmlWant::Text { value } => Some(value.as_str().to_owned()),
                _ => None,
            };
            let mut changed = false;
            if found.len() != edit.before.len() {
                return Ok(TakenBack::Drifted(format!("on {} elements", found.len())));
            }
            for (element, before) in found.iter().zip(&edit.before).rev() {
                let present = value(text, element, wanted)?;
                let is_ours = present.as_deref().map(plain).transpose()? == ours;
                if present == *before {
                    continue;
                }
                if !is_ours {
                    return Ok(TakenBack::Drifted(present.unwrap_or_else(|| "(removed)".to_owned())));
                }
                put(&mut after, element, wanted, before.as_deref())?;
                changed = true;
            }
            if !changed {
                return Ok(TakenBack::AlreadyGone);
            }
        }
    }
    elements(&after)?;
    Ok(TakenBack::Text(after))
}

fn slice<'t>(text: &'t str, place: &Range<usize>) -> &'t str {
    text.get(place.clone()).unwrap_or_default()
}

fn plain(raw: &str) -> Result<String, XmlError> {
    unescape(raw).map(std::borrow::Cow::into_owned).map_err(|error| XmlError::Malformed(error.to_string()))
}

/// An element's range with the blank and the line break before it.
fn with_space(text: &str, whole: &Range<usize>) -> Range<usize> {
    let head = text.get(..whole.start).unwrap_or_default();
    let trimmed = head.trim_end_matches([' ', '\t']);
    let start = trimmed.strip_suffix("\r\n").or_else(|| trimmed.strip_suffix('\n')).map_or(whole.start, str::len);
    start..whole.end
}

/// The raw value that is wanted of an element: an attribute, the text, or the element itself.
fn value(text: &str, element: &Element, wanted: &FileXml) -> Result<Option<String>, XmlError> {
    Ok(match &wanted.want {
        XmlWant::Present | XmlWant::Absent => Some(slice(text, &element.whole).to_owned()),
        XmlWant::Attribute { name, .. } | XmlWant::NoAttribute { name } => {
            let found = element.attributes.iter().find(|attribute| attribute.name == name.as_str());
            found.map(|attribute| slice(text, &attribute.value).to_owned())
        }
        XmlWant::Text { .. } if element.children => return Err(XmlError::NotText(element.path.clone())),
        XmlWant::Text { .. } => element.inside.as_ref().map(|inside| slice(text, inside).to_owned()),
    })
}

/// Put a raw value in place of what an element has. Elements are edited last first, so earlier places stay right.
fn put(text: &mut String, element: &Element, wanted: &FileXml, raw: Option<&str>) -> Result<(), XmlError> {
    match &wanted.want {
        XmlWant::Attribute { name, .. } | XmlWant::NoAttribute { name } => {
            let found = element.attributes.iter().find(|attribute| attribute.name == name.as_str());
            match (found, raw) {
                (Some(attribute), Some(raw)) => {
                    let raw = raw.replace(attribute.quote, if attribute.quote == '"' { "&quot;" } else { "&apos;" });
                    text.replace_range(attribute.value.clone(), &raw);
                }
                (Some(attribute), None) => text.replace_range(attribute.whole.clone(), ""),
                (None, Some(raw)) => {
                    let tag = slice(text, &element.tag);
                    let close = if tag.ends_with("/>") { 2 } else { 1 };
                    let at = element.tag.end - close;
                    let at = text.get(..at).map_or(at, |head| head.trim_end().len());
                    text.insert_str(at, &format!(" {name}=\"{}\"", raw.replace('"', "&quot;")));
                }
                (None, None) => {}
            }
            Ok(())
        }
        _ => match (&element.inside, raw) {
            (Some(inside), raw) => {
                text.replace_range(inside.clone(), raw.unwrap_or_default());
                Ok(())
            }
            (None, None) => Ok(()),
            (None, Some(_)) => Err(XmlError::NotText(format!("{} is empty; it", element.path))),
        },
    }
}

/// The element as we write it, indented as its last sibling is.
fn element_text(text: &str, all: &[Element], wanted: &FileXml) -> String {
    let name = wanted.element.names().last().unwrap_or_default();
    let attributes: Vec<String> =
        wanted.only.iter().map(|(name, value)| format!(" {name}=\"{}\"", escape(value.as_str()))).collect();
    let parent = wanted.element.parent().unwrap_or_default();
    let is_child = |element: &&Element| element.path.rsplit_once('/').is_some_and(|(path, _)| path == parent);
    let space = match all.iter().rfind(is_child) {
        Some(sibling) => slice(text, &(with_space(text, &sibling.whole).start..sibling.whole.start)).to_owned(),
        None => "\n  ".to_owned(),
    };
    let space = if space.is_empty() { "\n".to_owned() } else { space };
    format!("{space}<{name}{}/>", attributes.concat())
}

/// Put an element in as the last child of its parent.
fn insert(text: &str, all: &[Element], wanted: &FileXml, added: &str) -> Result<String, XmlError> {
    let parent = wanted.element.parent().unwrap_or_default();
    let place = all.iter().filter(|element| element.path == parent).find_map(|element| element.inside.clone());
    let inside = place.ok_or_else(|| XmlError::NoParent(parent.to_owned()))?;
    let at = inside.start + slice(text, &inside).trim_end().len();
    let mut after = text.to_owned();
    after.insert_str(at, added);
    Ok(after)
}

/// The elements that the path and the attributes name.
fn named<'e>(text: &str, all: &'e [Element], wanted: &FileXml) -> Result<Vec<&'e Element>, XmlError> {
    let mut found = Vec::new();
    for element in all.iter().filter(|element| element.path == wanted.element.as_str()) {
        let mut fits = true;
        for (name, value) in &wanted.only {
            let attribute = element.attributes.iter().find(|attribute| attribute.name == name.as_str());
            let present = attribute.map(|attribute| plain(slice(text, &attribute.value))).transpose()?;
            fits &= present.is_some_and(|present| match wanted.want {
                XmlWant::Present => present == value.as_str(),
                _ => matches_stars(value.as_str(), &present),
            });
        }
        if fits {
            found.push(element);
        }
    }
    Ok(found)
}

/// All elements in the order of their start tags.
fn elements(text: &str) -> Result<Vec<Element>, XmlError> {
    let malformed = |error: &dyn std::fmt::Display| XmlError::Malformed(error.to_string());
    let mut reader = Reader::from_str(text);
    reader.config_mut().check_end_names = true;
    let mut all: Vec<Element> = Vec::new();
    let mut open: Vec<usize> = Vec::new();
    loop {
        let from = place(reader.buffer_position());
        let event = reader.read_event().map_err(|error| malformed(&error))?;
        let until = place(reader.buffer_position());
        match event {
            Event::Eof if open.is_empty() && !all.is_empty() => return Ok(all),
            Event::Eof => return Err(malformed(&"it ends before its elements do")),
            Event::DocType(_)
                if text.get(from..until).unwrap_or_default().to_ascii_uppercase().contains("<!ENTITY") =>
            {
                return Err(XmlError::Entities);
            }
            Event::Start(tag) | Event::Empty(tag) => {
                let empty = text.get(from..until).is_some_and(|tag| tag.ends_with("/>"));
                if let Some(parent) = open.last().and_then(|at| all.get_mut(*at)) {
                    parent.children = true;
                } else if !all.is_empty() {
                    return Err(malformed(&"it has two outermost elements"));
                }
                let name = tag.name().as_ref().to_owned();
                let above = open.last().and_then(|at| all.get(*at)).map_or("", |parent| parent.path.as_str());
                let element = Element {
                    path: format!("{above}/{name}"),
                    tag: from..until,
                    whole: from..until,
                    inside: (!empty).then_some(until..until),
                    attributes: attributes(text, from + 1 + name.len(), until)?,
                    children: false,
                };
                if !empty {
                    open.push(all.len());
                }
                all.push(element);
                if open.len() > DEPTH_MAX || all.len() > ELEMENTS_MAX {
                    return Err(malformed(&"it is nested too deep or has too many elements"));
                }
            }
            Event::End(_) => {
                let element = open.pop().and_then(|at| all.get_mut(at));
                let element = element.ok_or_else(|| malformed(&"an element ends that never began"))?;
                element.whole.end = until;
                if let Some(inside) = &mut element.inside {
                    inside.end = from;
                }
            }
            Event::Comment(_) | Event::CData(_) | Event::PI(_) => {
                if let Some(parent) = open.last().and_then(|at| all.get_mut(*at)) {
                    parent.children = true;
                }
            }
            _ => {}
        }
    }
}

fn place(position: u64) -> usize {
    usize::try_from(position).unwrap_or(usize::MAX)
}

/// The attributes of a start tag between two places, the name before and `>` or `/>` behind.
fn attributes(text: &str, from: usize, until: usize) -> Result<Vec<Attribute>, XmlError> {
    let malformed = || XmlError::Malformed("an attribute is not written as name=\"value\"".to_owned());
    let end = text.get(from..until).ok_or_else(malformed)?.trim_end_matches('>').trim_end_matches('/').len() + from;
    let mut at = from;
    let mut found: Vec<Attribute> = Vec::new();
    loop {
        let rest = text.get(at..end).ok_or_else(malformed)?;
        let name_at = at + (rest.len() - rest.trim_start().len());
        let rest = text.get(name_at..end).ok_or_else(malformed)?;
        if rest.is_empty() {
            return Ok(found);
        }
        let name_length = rest.find(|c: char| c == '=' || c.is_whitespace()).ok_or_else(malformed)?;
        let name = rest.get(..name_length).unwrap_or_default().to_owned();
        let after = rest.get(name_length..).unwrap_or_default().trim_start();
        let after = after.strip_prefix('=').ok_or_else(malformed)?.trim_start();
        let quote = after.chars().next().filter(|c| matches!(c, '"' | '\'')).ok_or_else(malformed)?;
        let value_at = end - after.len() + 1;
        let length = text.get(value_at..end).and_then(|rest| rest.find(quote)).ok_or_else(malformed)?;
        if found.iter().any(|attribute| attribute.name == name) {
            return Err(XmlError::Malformed(format!("the attribute {name} is written twice")));
        }
        let value = value_at..value_at + length;
        found.push(Attribute { name, whole: at..value.end + 1, quote, value });
        at = value_at + length + 1;
    }
}

#[cfg(test)]
#[path = "xml_tests.rs"]
mod tests;

//! BIND's `named.conf`: statements that end with a semicolon, some with blocks of others. A setting belongs to the block `options`;
//! a `view` or a `zone` may say otherwise for itself.
//!
//! Everything is kept as places in the text, so that an edit changes one statement and nothing else.

use super::{Effective, FormatError, Includes, LineEdit, SettingEdit, TakenBack, Wanted, items, nested};
use catalogue::actions::SettingFormat;
use std::ops::Range;

/// Blocks within blocks: more is no configuration anybody wrote.
const DEPTH_MAX: u32 = 16;

/// One statement, with its words outside of blocks.
#[derive(Debug)]
struct Statement {
    words: Vec<String>,
    blocks: Vec<Block>,
    place: Range<usize>,
}

#[derive(Debug)]
struct Block {
    /// Just behind the opening brace.
    open: usize,
    inside: Vec<Statement>,
}

impl Statement {
    fn is(&self, name: &str) -> bool {
        self.words.first().is_some_and(|word| word == name)
    }

    fn value(&self, text: &str) -> String {
        match self.blocks.is_empty() {
            true => plain(&self.words.get(1..).unwrap_or_default().join(" ")),
            false => text.get(self.place.clone()).unwrap_or_default().to_owned(),
        }
    }

    fn inside(&self) -> impl Iterator<Item = &Statement> {
        self.blocks.iter().flat_map(|block| &block.inside)
    }
}

fn plain(value: &str) -> String {
    items::plain_value(SettingFormat::Bind, value)
}

enum Token {
    Word(String),
    Open,
    Close,
    End,
}

fn awkward() -> FormatError {
    FormatError::Awkward("named.conf".to_owned())
}

/// The next token from a place on, with where it is; comments and space are passed over.
fn token(text: &str, mut at: usize) -> Result<Option<(Token, Range<usize>)>, FormatError> {
    loop {
        let rest = text.get(at..).ok_or_else(awkward)?;
        let Some(first) = rest.chars().next() else { return Ok(None) };
        if first.is_whitespace() {
            at += first.len_utf8();
        } else if first == '#' || rest.starts_with("//") {
            at += rest.find('\n').unwrap_or(rest.len());
        } else if let Some(comment) = rest.strip_prefix("/*") {
            at += comment.find("*/").ok_or_else(awkward)? + 4;
        } else {
            let one = at..at + 1;
            return Ok(Some(match first {
                '{' => (Token::Open, one),
                '}' => (Token::Close, one),
                ';' => (Token::End, one),
                '"' => {
                    let (word, length) = quoted(rest)?;
                    (Token::Word(word), at..at + length)
                }
                _ => {
                    let ends = |c: char| c.is_whitespace() || matches!(c, '{' | '}' | ';' | '"' | '#');
                    let mut length = rest.find(ends).unwrap_or(rest.len());
                    for comment in ["//", "/*"] {
                        // In the word alone: looking through the rest of the file for each word would take for ever.
                        let word = rest.get(..length).unwrap_or_default();
                        length = word.find(comment).filter(|at| *at > 0).unwrap_or(length);
                    }
                    (Token::Word(rest.get(..length).unwrap_or_default().to_owned()), at..at + length)
                }
            }));
        }
    }
}

/// A text in quotes, and how long it is with them.
fn quoted(rest: &str) -> Result<(String, usize), FormatError> {
    let mut word = String::new();
    let mut escaped = false;
    for (at, c) in rest.char_indices().skip(1) {
        match c {
            _ if escaped => {
                word.push(c);
                escaped = false;
            }
            '\\' => escaped = true,
            '"' => return Ok((word, at + 1)),
            '\n' => return Err(awkward()),
            _ => word.push(c),
        }
    }
    Err(awkward())
}

/// Statements from a place to the end of the text, or to a closing brace; gives the place behind what was read.
fn statements(text: &str, mut at: usize, depth: u32) -> Result<(Vec<Statement>, usize), FormatError> {
    if depth > DEPTH_MAX {
        return Err(awkward());
    }
    let mut all = Vec::new();
    let mut current: Option<Statement> = None;
    while let Some((found, place)) = token(text, at)? {
        at = place.end;
        match found {
            Token::Close if depth > 0 && current.is_none() => return Ok((all, at)),
            Token::Close => return Err(awkward()),
            Token::End => {
                if let Some(mut done) = current.take() {
                    done.place.end = at;
                    all.push(done);
                }
            }
            Token::Word(word) => {
                current.get_or_insert_with(|| begun(&place)).words.push(word);
            }
            Token::Open => {
                let (inside, after) = statements(text, at, depth + 1)?;
                current.get_or_insert_with(|| begun(&place)).blocks.push(Block { open: at, inside });
                at = after;
            }
        }
    }
    if depth > 0 || current.is_some() { Err(awkward()) } else { Ok((all, at)) }
}

fn begun(place: &Range<usize>) -> Statement {
    Statement { words: Vec::new(), blocks: Vec::new(), place: place.clone() }
}

fn read(text: &str) -> Result<Vec<Statement>, FormatError> {
    statements(text, 0, 0).map(|(all, _)| all)
}

#[derive(Clone, Copy, PartialEq)]
enum Level {
    Top,
    Options,
    Other,
}

#[derive(Default)]
struct Seen {
    global: Option<String>,
    conditional: Vec<String>,
}

/// The texts of the files that an include names.
fn texts(include: &Statement, includes: &Includes<'_>) -> Result<Vec<String>, FormatError> {
    let mut texts = Vec::new();
    for pattern in include.words.iter().skip(1) {
        texts.extend(includes(pattern).map_err(FormatError::Include)?);
    }
    Ok(texts)
}

fn walk(
    text: &str,
    all: &[Statement],
    name: &str,
    level: Level,
    includes: &Includes<'_>,
    seen: &mut Seen,
    depth: u32,
) -> Result<(), FormatError> {
    nested(depth)?;
    for statement in all {
        if statement.is("include") && level != Level::Other {
            for text in texts(statement, includes)? {
                walk(&text, &read(&text)?, name, level, includes, seen, depth + 1)?;
            }
        } else if level == Level::Top && statement.is("options") {
            for block in &statement.blocks {
                walk(text, &block.inside, name, Level::Options, includes, seen, depth)?;
            }
        } else if level == Level::Options && statement.is(name) {
            // A second one is refused by BIND itself.
            seen.global.get_or_insert_with(|| statement.value(text));
        } else if level != Level::Options {
            deep(text, statement, name, includes, seen, depth)?;
        }
    }
    Ok(())
}

/// A setting within a view or a zone, however deep and wherever included from.
fn deep(
    text: &str,
    statement: &Statement,
    name: &str,
    includes: &Includes<'_>,
    seen: &mut Seen,
    depth: u32,
) -> Result<(), FormatError> {
    nested(depth)?;
    for inner in statement.inside() {
        if inner.is(name) {
            seen.conditional.push(inner.value(text));
        } else if inner.is("include") {
            for text in texts(inner, includes)? {
                let whole = Statement {
                    words: Vec::new(),
                    blocks: vec![Block { open: 0, inside: read(&text)? }],
                    place: 0..text.len(),
                };
                deep(&text, &whole, name, includes, seen, depth + 1)?;
            }
        }
        deep(text, inner, name, includes, seen, depth)?;
    }
    Ok(())
}

fn seen(text: &str, name: &str, includes: &Includes<'_>) -> Result<Seen, FormatError> {
    let mut seen = Seen::default();
    walk(text, &read(text)?, name, Level::Top, includes, &mut seen, 0)?;
    Ok(seen)
}

/// See [`super::effective`].
pub(super) fn effective(text: &str, wanted: &Wanted<'_>, includes: &Includes<'_>) -> Result<Effective, FormatError> {
    let seen = seen(text, &wanted.name()?, includes)?;
    Ok(match (seen.global, seen.conditional.into_iter().find(|value| !wanted.is(value))) {
        (_, Some(other)) => Effective::Mixed(other),
        (None, None) => Effective::Unset,
        (Some(value), None) => Effective::Value(value),
    })
}

/// See [`super::set`].
pub(super) fn set(
    text: &str,
    wanted: &Wanted<'_>,
    includes: &Includes<'_>,
) -> Result<(String, SettingEdit), FormatError> {
    let name = wanted.name()?;
    let seen = seen(text, &name, includes)?;
    if let Some(value) = seen.conditional.iter().find(|value| !wanted.is(value)) {
        return Err(FormatError::Conditional { key: wanted.key.to_owned(), value: value.clone() });
    }
    let all = read(text)?;
    let block = options(&all)?;
    let ours = format!("{} {};", wanted.key, wanted.value);
    let mut present = block.inside.iter().filter(|statement| statement.is(&name));
    let (place, new, replaced) = match (present.next(), present.next()) {
        (Some(one), None) => {
            (one.place.clone(), ours, Some(text.get(one.place.clone()).unwrap_or_default().to_owned()))
        }
        // An included file sets it, and BIND takes no second one.
        (None, _) if seen.global.is_some() => return Err(FormatError::Elsewhere(wanted.key.to_owned())),
        (None, _) => (block.open..block.open, format!("{INDENT}{ours}"), None),
        (Some(_), Some(_)) => return Err(FormatError::Awkward(wanted.key.to_owned())),
    };
    let line = LineEdit { section: Some("options".to_owned()), replaced, ..LineEdit::default() };
    let edit =
        SettingEdit { key: wanted.key.to_owned(), value: wanted.value.to_owned(), lines: vec![line], absent: false };
    Ok((spliced(text, place, &new), edit))
}

/// What stands before a statement of ours.
const INDENT: &str = "\n\t";

/// See [`super::take_back`].
pub(super) fn take_back(text: &str, edit: &SettingEdit) -> Result<TakenBack, FormatError> {
    let Some(line) = edit.lines.first() else { return Ok(TakenBack::AlreadyGone) };
    let all = read(text)?;
    let block = options(&all)?;
    let before = line.replaced.as_deref().map(|old| {
        let all = read(old).unwrap_or_default();
        all.first().map(|statement| statement.value(old)).unwrap_or_default()
    });
    let present = block.inside.iter().find(|statement| statement.is(&edit.key));
    let value = present.map(|statement| statement.value(text));
    Ok(match (present, value) {
        (Some(statement), Some(value)) if value == plain(&edit.value) => TakenBack::Text(match &line.replaced {
            Some(old) => spliced(text, statement.place.clone(), old),
            None => {
                let mut place = statement.place.clone();
                if text.get(..place.start).is_some_and(|head| head.ends_with(INDENT)) {
                    place.start -= INDENT.len();
                }
                spliced(text, place, "")
            }
        }),
        (_, value) if value == before => TakenBack::AlreadyGone,
        (_, value) => TakenBack::Drifted(value.unwrap_or_else(|| "(removed)".to_owned())),
    })
}

/// The one block `options` of this very text.
fn options(all: &[Statement]) -> Result<&Block, FormatError> {
    let mut found = all.iter().filter(|statement| statement.is("options")).flat_map(|statement| &statement.blocks);
    match (found.next(), found.next()) {
        (Some(block), None) => Ok(block),
        _ => Err(FormatError::NoSection("options".to_owned())),
    }
}

/// Where a text itself has statements of a name, at any depth, in order; with their values.
pub(super) fn places(text: &str, name: &str) -> Result<Vec<(Range<usize>, String)>, FormatError> {
    let mut found = Vec::new();
    collect(text, &read(text)?, name, &mut found);
    Ok(found)
}

fn collect(text: &str, all: &[Statement], name: &str, found: &mut Vec<(Range<usize>, String)>) {
    for statement in all {
        if statement.is(name) {
            found.push((statement.place.clone(), statement.value(text)));
        } else {
            statement.blocks.iter().for_each(|block| collect(text, &block.inside, name, found));
        }
    }
}

/// The files a text itself includes, as written.
pub(super) fn included(text: &str) -> Result<Vec<String>, FormatError> {
    fn of(all: &[Statement], found: &mut Vec<String>) {
        for statement in all {
            if statement.is("include") {
                found.extend(statement.words.iter().skip(1).cloned());
            }
            statement.blocks.iter().for_each(|block| of(&block.inside, found));
        }
    }
    let mut found = Vec::new();
    of(&read(text)?, &mut found);
    Ok(found)
}

/// A text with something else in one place of it.
#[must_use]
pub fn spliced(text: &str, place: Range<usize>, new: &str) -> String {
    let (head, tail) = (text.get(..place.start).unwrap_or_default(), text.get(place.end..).unwrap_or_default());
    format!("{head}{new}{tail}")
}

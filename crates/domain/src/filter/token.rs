//! The pieces of a query, with where they stand.

use std::ops::Range;

/// A piece of a query.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Token {
    /// A run of letters and signs: a field, a word, a number, a date.
    Bare(String),
    /// Between double quotes; `\"` and `\\` are understood.
    Phrase(String),
    /// Between back quotes.
    Exact(String),
    Open,
    Close,
    OpenList,
    CloseList,
    Comma,
    /// `..`
    To,
    Colon,
    /// `:!=` and the like come as a colon and this.
    NotEqual,
    Less,
    AtMost,
    Greater,
    AtLeast,
    /// A star directly after a word or a phrase.
    Star,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) struct Placed {
    pub(super) token: Token,
    /// Bytes of the query.
    pub(super) at: Range<usize>,
    /// Nothing stands between this and the piece before.
    pub(super) joined: bool,
}

/// What is wrong with the text, and where.
pub(super) type Unreadable = (&'static str, Range<usize>);

/// Take a query apart.
pub(super) fn tokens(text: &str) -> Result<Vec<Placed>, Unreadable> {
    let mut placed: Vec<Placed> = Vec::new();
    let mut at = 0;
    let mut joined = false;
    while let Some(rest) = text.get(at..).filter(|rest| !rest.is_empty()) {
        let first = rest.chars().next().unwrap_or(' ');
        if first.is_whitespace() {
            at += first.len_utf8();
            joined = false;
            continue;
        }
        if first.is_control() {
            return Err(("control characters cannot be asked for", at..at + first.len_utf8()));
        }
        let (token, length) = one(rest, at)?;
        placed.push(Placed { token, at: at..at + length, joined });
        at += length;
        joined = true;
    }
    Ok(placed)
}

fn one(rest: &str, at: usize) -> Result<(Token, usize), Unreadable> {
    const SIGNS: [(&str, Token); 14] = [
        ("..", Token::To),
        ("!=", Token::NotEqual),
        ("<=", Token::AtMost),
        (">=", Token::AtLeast),
        ("<", Token::Less),
        (">", Token::Greater),
        ("=", Token::Colon),
        (":", Token::Colon),
        ("(", Token::Open),
        (")", Token::Close),
        ("[", Token::OpenList),
        ("]", Token::CloseList),
        (",", Token::Comma),
        ("*", Token::Star),
    ];
    if let Some((sign, token)) = SIGNS.iter().find(|(sign, _)| rest.starts_with(sign)) {
        return Ok((token.clone(), sign.len()));
    }
    match rest.as_bytes().first() {
        Some(b'"') => phrase(rest, at),
        Some(b'`') => {
            let inner = rest.get(1..).unwrap_or_default();
            let end = inner.find('`').ok_or(("this back quote is never closed", at..at + 1))?;
            let text = inner.get(..end).unwrap_or_default();
            refuse_control(text, at + 1)?;
            Ok((Token::Exact(text.to_owned()), end + 2))
        }
        _ => {
            let length = bare(rest);
            if length == 0 {
                let width = rest.chars().next().map_or(1, char::len_utf8);
                return Err(("this sign has no meaning here; put text in double quotes", at..at + width));
            }
            Ok((Token::Bare(rest.get(..length).unwrap_or_default().to_owned()), length))
        }
    }
}

/// How far a run without quotes goes. A colon belongs to it only inside a time of day (`T10:30:00`).
fn bare(rest: &str) -> usize {
    let mut end = 0;
    for (at, c) in rest.char_indices() {
        let so_far = rest.get(..at).unwrap_or_default();
        let after = rest.get(at + c.len_utf8()..).unwrap_or_default();
        let stops = match c {
            ':' => !(is_time_of_day(so_far) && after.starts_with(|next: char| next.is_ascii_digit())),
            '.' => after.starts_with('.'),
            '!' => after.starts_with('='),
            '(' | ')' | '[' | ']' | ',' | '"' | '`' | '<' | '>' | '=' | '*' => true,
            _ => c.is_whitespace() || c.is_control(),
        };
        if stops {
            break;
        }
        end = at + c.len_utf8();
    }
    end
}

/// `2026-11-22T10` or `2026-11-22T10:30`: the next colon is part of it.
fn is_time_of_day(text: &str) -> bool {
    let Some((date, time)) = text.split_once(['T', 't']) else { return false };
    date.len() >= 10
        && date.chars().all(|c| c.is_ascii_digit() || c == '-')
        && !time.is_empty()
        && time.chars().all(|c| c.is_ascii_digit() || matches!(c, ':' | '.' | '+' | '-'))
}

fn phrase(rest: &str, at: usize) -> Result<(Token, usize), Unreadable> {
    let mut text = String::new();
    let mut chars = rest.char_indices().skip(1);
    while let Some((place, c)) = chars.next() {
        match c {
            '"' => {
                refuse_control(&text, at + 1)?;
                return Ok((Token::Phrase(text), place + 1));
            }
            '\\' => match chars.next() {
                Some((_, escaped @ ('"' | '\\'))) => text.push(escaped),
                _ => return Err(("after a backslash only \" or \\ can follow", at + place..at + place + 1)),
            },
            other => text.push(other),
        }
    }
    Err(("this double quote is never closed", at..at + 1))
}

fn refuse_control(text: &str, at: usize) -> Result<(), Unreadable> {
    match text.char_indices().find(|(_, c)| c.is_control()) {
        Some((place, c)) => Err(("control characters cannot be asked for", at + place..at + place + c.len_utf8())),
        None => Ok(()),
    }
}

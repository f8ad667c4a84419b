//! Text to tree. NOT binds more than AND, AND more than OR; two conditions side by side mean AND.

use super::fields::nearest;
use super::token::{Placed, Token, tokens};
use super::{
    COST_MAX, DEPTH_MAX, Field, Fields, Filter, Kind, LIST_MAX, Match, Operand, Operator, TEXT_MAX, UNITS, When,
};
use crate::time::Timestamp;
use jiff::civil::Date;
use std::fmt;
use std::ops::Range;

/// What is wrong with a query, where, and perhaps what was meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SyntaxError {
    /// What is wrong, in a sentence.
    pub message: String,
    /// Where, in bytes of the query.
    pub at: Range<usize>,
    /// What could stand there instead.
    pub suggestion: Option<String>,
}

impl fmt::Display for SyntaxError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        match &self.suggestion {
            Some(suggestion) => write!(f, "; did you mean `{suggestion}`?"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for SyntaxError {}

impl SyntaxError {
    /// The query with a caret under the place and the message below: for terminals.
    #[must_use]
    pub fn pointed(&self, text: &str) -> String {
        let before = text.get(..self.at.start).unwrap_or(text).chars().count();
        let width = text.get(self.at.clone()).unwrap_or_default().chars().count().max(1);
        let line: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
        format!("{line}\n{}{}\n{self}", " ".repeat(before), "^".repeat(width))
    }
}

/// Read a query against the fields of a list. The empty query is [`Filter::Everything`].
///
/// # Errors
/// [`SyntaxError`] with the place and, where something similar exists, a suggestion.
pub fn parse(text: &str, fields: &Fields) -> Result<Filter, SyntaxError> {
    if text.len() > TEXT_MAX {
        let message = format!("the query is longer than {TEXT_MAX} bytes");
        return Err(SyntaxError { message, at: TEXT_MAX..text.len(), suggestion: None });
    }
    let tokens =
        tokens(text).map_err(|(message, at)| SyntaxError { message: message.to_owned(), at, suggestion: None })?;
    let mut parser = Parser { tokens: &tokens, next: 0, fields, end: text.len() };
    if tokens.is_empty() {
        return Ok(Filter::Everything);
    }
    let filter = parser.any_of(0)?;
    if let Some(left) = parser.peek() {
        let message = match left.token {
            Token::Close => "this parenthesis closes nothing",
            _ => "nothing was expected here",
        };
        return Err(parser.error(message));
    }
    if filter.cost() > COST_MAX {
        let message = format!("the query asks for too much at once (cost {}, at most {COST_MAX})", filter.cost());
        return Err(SyntaxError { message, at: 0..text.len(), suggestion: None });
    }
    Ok(filter)
}

struct Parser<'p> {
    tokens: &'p [Placed],
    next: usize,
    fields: &'p Fields,
    /// Length of the text: where a missing piece is pointed at.
    end: usize,
}

type Parsed<T> = Result<T, SyntaxError>;

impl<'p> Parser<'p> {
    fn peek(&self) -> Option<&'p Placed> {
        self.tokens.get(self.next)
    }

    fn peek_at(&self, ahead: usize) -> Option<&'p Placed> {
        self.tokens.get(self.next + ahead)
    }

    fn take(&mut self) -> Option<&'p Placed> {
        let token = self.peek();
        self.next += usize::from(token.is_some());
        token
    }

    fn take_if(&mut self, token: &Token) -> bool {
        let there = self.peek().is_some_and(|placed| placed.token == *token);
        self.next += usize::from(there);
        there
    }

    fn place(&self) -> Range<usize> {
        self.peek().map_or(self.end..self.end, |placed| placed.at.clone())
    }

    fn error(&self, message: impl Into<String>) -> SyntaxError {
        SyntaxError { message: message.into(), at: self.place(), suggestion: None }
    }

    /// A bare word of the language, without regard to case; not one that is used as a field.
    fn keyword(&self, word: &str) -> bool {
        let is_word =
            matches!(self.peek(), Some(Placed { token: Token::Bare(text), .. }) if text.eq_ignore_ascii_case(word));
        is_word && !self.peek_at(1).is_some_and(|next| next.joined && is_operator(&next.token))
    }

    fn any_of(&mut self, depth: usize) -> Parsed<Filter> {
        let mut members = vec![self.all_of(depth)?];
        while self.keyword("or") {
            self.next += 1;
            members.push(self.all_of(depth)?);
        }
        Ok(Filter::or(members))
    }

    fn all_of(&mut self, depth: usize) -> Parsed<Filter> {
        let mut members = vec![self.negated(depth)?];
        loop {
            if self.keyword("and") {
                self.next += 1;
            } else if self.peek().is_none_or(|next| next.token == Token::Close) || self.keyword("or") {
                return Ok(Filter::and(members));
            }
            members.push(self.negated(depth)?);
        }
    }

    fn negated(&mut self, depth: usize) -> Parsed<Filter> {
        if depth > DEPTH_MAX {
            return Err(self.error(format!("the query is nested deeper than {DEPTH_MAX} levels")));
        }
        if self.keyword("not") {
            self.next += 1;
            return Ok(self.negated(depth + 1)?.not());
        }
        if self.take_if(&Token::Open) {
            let inner = self.any_of(depth + 1)?;
            if !self.take_if(&Token::Close) {
                return Err(self.error("a closing parenthesis is missing here"));
            }
            return Ok(inner);
        }
        self.condition()
    }

    fn condition(&mut self) -> Parsed<Filter> {
        let place = self.place();
        let Some(first) = self.take() else {
            return Err(self.error("a condition is missing here"));
        };
        match &first.token {
            Token::Bare(word) if ["and", "or"].iter().any(|keyword| word.eq_ignore_ascii_case(keyword)) => {
                Err(SyntaxError {
                    message: format!("a condition is missing before `{word}`"),
                    at: place,
                    suggestion: None,
                })
            }
            Token::Bare(name) if self.peek().is_some_and(|next| is_operator(&next.token)) => self.on_field(name, place),
            Token::Bare(text) | Token::Phrase(text) if text.is_empty() => {
                Err(SyntaxError { message: "empty text cannot be looked for".to_owned(), at: place, suggestion: None })
            }
            Token::Bare(text) | Token::Phrase(text) | Token::Exact(text) if !text.is_empty() => {
                let joined_star = self.peek().is_some_and(|next| next.joined && next.token == Token::Star);
                self.next += usize::from(joined_star); // containing is what free text asks for anyway
                self.free(text.clone(), place)
            }
            _ => Err(SyntaxError { message: "a condition was expected here".to_owned(), at: place, suggestion: None }),
        }
    }

    fn free(&self, text: String, place: Range<usize>) -> Parsed<Filter> {
        if self.fields.free.is_empty() {
            let message = "this list has no text to search; name a field, such as `field:value`".to_owned();
            let suggestion = nearest(&text, self.fields.fields.iter().map(|field| field.name));
            return Err(SyntaxError { message, at: place, suggestion: suggestion.map(|name| format!("{name}:")) });
        }
        Ok(Filter::Free(text))
    }

    /// `name:value` and the like; the name was taken.
    fn on_field(&mut self, name: &str, place: Range<usize>) -> Parsed<Filter> {
        if name.eq_ignore_ascii_case("is") {
            return self.is_word();
        }
        if name.eq_ignore_ascii_case("has") {
            return self.has_field();
        }
        let Some(field) = self.fields.get(name) else {
            return Err(unknown("field", name, place, self.fields.fields.iter().map(|field| field.name)));
        };
        let colon = self.take_if(&Token::Colon);
        let sign = self.peek().map(|next| next.token.clone());
        let operator = match sign {
            Some(Token::NotEqual) => {
                self.next += 1;
                return Ok(self.equal(field)?.not());
            }
            Some(Token::Less) => Operator::Less,
            Some(Token::AtMost) => Operator::AtMost,
            Some(Token::Greater) => Operator::Greater,
            Some(Token::AtLeast) => Operator::AtLeast,
            _ if colon => return self.equal(field),
            _ => return Err(self.error(format!("a value for {} is missing here", field.name))),
        };
        if !field.kind.ordered() {
            let message =
                format!("{} is {} and has no order; use `{}:`", field.name, field.kind.describe(), field.name);
            return Err(self.error(message));
        }
        self.next += 1;
        let operand = self.operand(field)?;
        Ok(Filter::Compare { field: field.name, operator, operand })
    }

    /// What stands after `field:`.
    fn equal(&mut self, field: &'static Field) -> Parsed<Filter> {
        match self.peek().map(|next| &next.token) {
            Some(Token::OpenList) => self.list_or_range(field),
            Some(Token::Open) if field.kind.ordered() => {
                self.next += 1;
                let low = self.operand(field)?;
                self.range(field, low, false)
            }
            _ => {
                let none = matches!(self.peek(), Some(Placed { token: Token::Bare(word), .. }) if word.eq_ignore_ascii_case("none"));
                if none && field.kind == Kind::Person {
                    self.next += 1;
                    return Ok(Filter::Present { field: field.name }.not());
                }
                let operand = self.operand(field)?;
                Ok(Filter::Compare { field: field.name, operator: Operator::Equal, operand })
            }
        }
    }

    fn list_or_range(&mut self, field: &'static Field) -> Parsed<Filter> {
        let open = self.place();
        self.next += 1;
        if self.take_if(&Token::CloseList) {
            return Err(SyntaxError {
                message: "an empty list matches nothing".to_owned(),
                at: open,
                suggestion: None,
            });
        }
        let first = self.operand(field)?;
        if self.peek().is_some_and(|next| next.token == Token::To) {
            return self.range(field, first, true);
        }
        let mut operands = vec![first];
        while self.take_if(&Token::Comma) {
            if operands.len() >= LIST_MAX {
                return Err(self.error(format!("the list is longer than {LIST_MAX} values")));
            }
            operands.push(self.operand(field)?);
        }
        if !self.take_if(&Token::CloseList) {
            return Err(self.error("a comma or a closing bracket is missing here"));
        }
        Ok(Filter::OneOf { field: field.name, operands })
    }

    fn range(&mut self, field: &'static Field, low: Operand, inclusive: bool) -> Parsed<Filter> {
        if !field.kind.ordered() {
            return Err(self.error(format!("{} is {} and has no ranges", field.name, field.kind.describe())));
        }
        if !self.take_if(&Token::To) {
            return Err(self.error("two dots are missing here: a range is (a..b) or [a..b]"));
        }
        let high = self.operand(field)?;
        let close = if inclusive { Token::CloseList } else { Token::Close };
        if !self.take_if(&close) {
            let sign = if inclusive { "bracket" } else { "parenthesis" };
            return Err(self.error(format!("a closing {sign} is missing here")));
        }
        Ok(Filter::Between { field: field.name, low, high, inclusive })
    }

    fn is_word(&mut self) -> Parsed<Filter> {
        let (word, place) = self.word_after("is")?;
        let truth = |field: &&Field| field.kind == Kind::Truth && field.name.eq_ignore_ascii_case(word);
        if let Some(field) = self.fields.fields.iter().find(truth) {
            return Ok(Filter::Compare { field: field.name, operator: Operator::Equal, operand: Operand::Truth(true) });
        }
        let flag = self.fields.flags.iter().find(|flag| flag.name.eq_ignore_ascii_case(word));
        let Some(flag) = flag else { return Err(unknown("word after is:", word, place, self.fields.is_words())) };
        Ok(match flag.words {
            [word] => Filter::Compare { field: flag.field, operator: Operator::Equal, operand: Operand::Word(word) },
            words => {
                let operands = words.iter().copied().map(Operand::Word).collect();
                Filter::OneOf { field: flag.field, operands }
            }
        })
    }

    fn has_field(&mut self) -> Parsed<Filter> {
        let (word, place) = self.word_after("has")?;
        match self.fields.get(word) {
            Some(field) => Ok(Filter::Present { field: field.name }),
            None => Err(unknown("field", word, place, self.fields.fields.iter().map(|field| field.name))),
        }
    }

    fn word_after(&mut self, keyword: &str) -> Parsed<(&'p str, Range<usize>)> {
        if !self.take_if(&Token::Colon) {
            return Err(self.error(format!("a colon belongs after `{keyword}`")));
        }
        let place = self.place();
        match self.take().map(|placed| &placed.token) {
            Some(Token::Bare(word)) => Ok((word, place)),
            _ => {
                Err(SyntaxError { message: format!("a word belongs after `{keyword}:`"), at: place, suggestion: None })
            }
        }
    }

    fn operand(&mut self, field: &'static Field) -> Parsed<Operand> {
        let place = self.place();
        let Some(placed) = self.take() else {
            return Err(self.error(format!("a value for {} is missing here: {}", field.name, field.kind.describe())));
        };
        let star = self.peek().is_some_and(|next| next.joined && next.token == Token::Star);
        let wrong = |suggestion: Option<&'static str>| SyntaxError {
            message: format!("{} expects {} here", field.name, field.kind.describe()),
            at: place.clone(),
            suggestion: suggestion.map(str::to_owned),
        };
        let text = match &placed.token {
            Token::Bare(text) | Token::Phrase(text) | Token::Exact(text) if !text.is_empty() => text.as_str(),
            _ => return Err(wrong(None)),
        };
        let quoted = !matches!(placed.token, Token::Bare(_));
        match field.kind {
            Kind::Person if !quoted && !star && text.eq_ignore_ascii_case("me") => Ok(Operand::Me),
            Kind::Text | Kind::Name | Kind::Person => {
                self.next += usize::from(star);
                let how = match (&placed.token, star) {
                    (Token::Exact(_), false) => Match::Exact,
                    (Token::Exact(_), true) => return Err(self.error("a star cannot follow back quotes")),
                    (_, true) => Match::Prefix,
                    (_, false) => Match::Usual,
                };
                Ok(Operand::Text(text.to_owned(), how))
            }
            _ if star => Err(self.error(format!("{} is {} and takes no star", field.name, field.kind.describe()))),
            Kind::Number => text.parse().map(Operand::Number).map_err(|_| wrong(None)),
            Kind::Decimal => match text.parse::<f64>() {
                Ok(value) if value.is_finite() && !text.contains(['e', 'E', 'n', 'N']) => Ok(Operand::Decimal(value)),
                _ => Err(wrong(None)),
            },
            Kind::Instant => when(text).map(Operand::When).ok_or_else(|| wrong(None)),
            Kind::Truth => match text.to_ascii_lowercase().as_str() {
                "true" | "yes" => Ok(Operand::Truth(true)),
                "false" | "no" => Ok(Operand::Truth(false)),
                _ => Err(wrong(None)),
            },
            Kind::Words(words) => match words.iter().find(|word| word.eq_ignore_ascii_case(text)) {
                Some(word) => Ok(Operand::Word(word)),
                None => Err(SyntaxError {
                    message: format!("{} is one of {}", field.name, words.join(", ")),
                    at: place.clone(),
                    suggestion: nearest(text, words.iter().copied()).map(str::to_owned),
                }),
            },
        }
    }
}

fn is_operator(token: &Token) -> bool {
    matches!(token, Token::Colon | Token::NotEqual | Token::Less | Token::AtMost | Token::Greater | Token::AtLeast)
}

fn unknown(what: &str, written: &str, at: Range<usize>, candidates: impl Iterator<Item = &'static str>) -> SyntaxError {
    let suggestion = nearest(written, candidates).map(str::to_owned);
    SyntaxError { message: format!("there is no {what} `{written}`"), at, suggestion }
}

/// `2026-11-22`, `2026-11-22T10:00:00Z`, `now`, `now-30d`.
fn when(text: &str) -> Option<When> {
    let lower = text.to_ascii_lowercase();
    if let Some(offset) = lower.strip_prefix("now") {
        return from_now(offset).map(When::FromNow);
    }
    if text.len() == 10 {
        return text.parse::<Date>().ok().map(When::Day);
    }
    text.parse::<Timestamp>().ok().map(When::Instant)
}

fn from_now(offset: &str) -> Option<i64> {
    if offset.is_empty() {
        return Some(0);
    }
    let (unit, size) = UNITS.iter().find(|(unit, _)| offset.ends_with(unit))?;
    let number = offset.strip_suffix(unit)?;
    if !number.starts_with(['+', '-']) {
        return None;
    }
    // A thousand years either way: enough to ask for, too little to overflow.
    let seconds = number.parse::<i64>().ok()?.checked_mul(*size)?;
    (seconds.abs() <= 31_557_600_000).then_some(seconds)
}

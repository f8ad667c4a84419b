//! Tree to canonical text, which parses to the same tree.

use super::{Filter, Match, Operand, Operator, When, in_units};
use std::fmt::{self, Display, Write as _};

impl Display for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Filter::Everything => Ok(()),
            Filter::And(members) => joined(f, members, " and ", |member| matches!(member, Filter::Or(_))),
            Filter::Or(members) => joined(f, members, " or ", |_| false),
            Filter::Not(inner) if matches!(**inner, Filter::And(_) | Filter::Or(_)) => write!(f, "not ({inner})"),
            Filter::Not(inner) => write!(f, "not {inner}"),
            Filter::Compare { field, operator, operand } => write!(f, "{field}:{}{operand}", operator.sign()),
            Filter::OneOf { field, operands } => {
                write!(f, "{field}:[")?;
                for (at, operand) in operands.iter().enumerate() {
                    let comma = if at == 0 { "" } else { ", " };
                    write!(f, "{comma}{operand}")?;
                }
                f.write_char(']')
            }
            Filter::Between { field, low, high, inclusive: true } => write!(f, "{field}:[{low}..{high}]"),
            Filter::Between { field, low, high, inclusive: false } => write!(f, "{field}:({low}..{high})"),
            Filter::Present { field } => write!(f, "has:{field}"),
            Filter::Free(text) => phrase(f, text),
        }
    }
}

fn joined(
    f: &mut fmt::Formatter<'_>,
    members: &[Filter],
    between: &str,
    enclose: impl Fn(&Filter) -> bool,
) -> fmt::Result {
    for (at, member) in members.iter().enumerate() {
        if at > 0 {
            f.write_str(between)?;
        }
        if enclose(member) { write!(f, "({member})")? } else { write!(f, "{member}")? }
    }
    Ok(())
}

impl Operator {
    /// The sign after the colon.
    fn sign(self) -> &'static str {
        match self {
            Operator::Equal => "",
            Operator::Less => "<",
            Operator::AtMost => "<=",
            Operator::Greater => ">",
            Operator::AtLeast => ">=",
        }
    }
}

impl Display for Operand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Operand::Text(text, Match::Usual) => phrase(f, text),
            Operand::Text(text, Match::Prefix) => {
                phrase(f, text)?;
                f.write_char('*')
            }
            Operand::Text(text, Match::Exact) => write!(f, "`{text}`"),
            Operand::Number(number) => number.fmt(f),
            Operand::Decimal(number) => number.fmt(f),
            Operand::When(when) => when.fmt(f),
            Operand::Truth(truth) => truth.fmt(f),
            Operand::Word(word) => phrase(f, word),
            Operand::Me => f.write_str("me"),
        }
    }
}

impl Display for When {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            When::Day(day) => day.fmt(f),
            When::Instant(instant) => instant.fmt(f),
            When::FromNow(0) => f.write_str("now"),
            When::FromNow(seconds) => {
                let (number, unit) = in_units(*seconds);
                write!(f, "now{number:+}{unit}")
            }
        }
    }
}

/// Text in quotes, unless it is a plain word that means nothing else.
fn phrase(f: &mut fmt::Formatter<'_>, text: &str) -> fmt::Result {
    let plain = text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'))
        && !text.contains("..")
        && !text.starts_with('.')
        && !text.ends_with('.');
    let keyword =
        ["and", "or", "not", "me", "none", "is", "has"].iter().any(|keyword| text.eq_ignore_ascii_case(keyword));
    if plain && !keyword && !text.is_empty() {
        return f.write_str(text);
    }
    f.write_char('"')?;
    for c in text.chars() {
        if matches!(c, '"' | '\\') {
            f.write_char('\\')?;
        }
        f.write_char(c)?;
    }
    f.write_char('"')
}

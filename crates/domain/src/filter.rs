//! The query language: what people type into the bar above a list, and what jobs, rules and watch topics store.
//!
//! `qid:91614 and severity:[4,5] and qds:>=90 and not is:mitigated and asset.tag:"prod" and first_seen:>now-30d`
//!
//! A list publishes a table of [`Field`]s; the same table feeds the parser, completion, the documentation and the API.
//! [`parse`] gives a [`Filter`], a tree of typed conditions; printing it gives canonical text that parses to the same
//! tree. [`matches`] says what a tree means; the store's SQL is tested against it.
//!
//! Logic has two values: a condition on a missing value is false, so its negation is true. Letters are compared
//! without case, for ASCII letters only. Instants given as a date mean the whole day in the reader's zone.
//!
//! No SQL here, and no access to records: see `store::filter`.

mod evaluate;
mod fields;
mod parse;
mod print;
mod token;

#[cfg(test)]
mod tests;

pub use evaluate::{Subject, Value, matches};
pub use fields::{Field, Fields, Flag, Kind};
pub use parse::{SyntaxError, parse};

use crate::time::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;

/// Longest query, in bytes.
pub const TEXT_MAX: usize = 4_096;
/// Deepest nesting of parentheses and `not`.
pub const DEPTH_MAX: usize = 16;
/// Highest cost: a comparison costs 1, a search within text 5, free text 10, a list one per ten values.
pub const COST_MAX: u32 = 300;
/// Longest list in brackets.
pub const LIST_MAX: usize = 500;

/// A condition on a row.
///
/// Made by [`parse`] and by [`Filter::and`], [`Filter::or`] and [`Filter::not`], which keep it in normal form: no
/// connective directly inside the same connective, none with fewer than two members, no double negation.
#[derive(Clone, Debug, PartialEq)]
pub enum Filter {
    /// Every row: the empty query.
    Everything,
    /// All of these.
    And(Vec<Filter>),
    /// At least one of these.
    Or(Vec<Filter>),
    /// Not this.
    Not(Box<Filter>),
    /// A field compared with one value.
    Compare {
        /// The field's name, as in the table.
        field: &'static str,
        /// How; everything but [`Operator::Equal`] is for numbers and instants only.
        operator: Operator,
        /// With what.
        operand: Operand,
    },
    /// A field equal to one of these.
    OneOf {
        /// The field's name.
        field: &'static str,
        /// The values; at least one.
        operands: Vec<Operand>,
    },
    /// A number or an instant between two others: `[a..b]` with both ends, `(a..b)` without.
    Between {
        /// The field's name.
        field: &'static str,
        /// The lower end.
        low: Operand,
        /// The upper end.
        high: Operand,
        /// Whether the ends belong to it.
        inclusive: bool,
    },
    /// The field has a value (`has:owner`).
    Present {
        /// The field's name.
        field: &'static str,
    },
    /// Some field that the list searches contains this text.
    Free(String),
}

/// How a field is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operator {
    /// `:`
    Equal,
    /// `<`
    Less,
    /// `<=`
    AtMost,
    /// `>`
    Greater,
    /// `>=`
    AtLeast,
}

/// The value in a condition.
#[derive(Clone, Debug, PartialEq)]
pub enum Operand {
    /// Text, and how it has to match.
    Text(String, Match),
    /// A whole number.
    Number(i64),
    /// A number with decimals.
    Decimal(f64),
    /// A point or a day in time.
    When(When),
    /// True or false.
    Truth(bool),
    /// A word of a closed set, as in the field's table.
    Word(&'static str),
    /// Whoever asks (`assignee:me`).
    Me,
}

/// How text has to match.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Match {
    /// As the field is made: contained in a text, equal to an identifier; without case.
    Usual,
    /// At the beginning (`web*`), without case.
    Prefix,
    /// The whole value with its case (`` `Web01` ``).
    Exact,
}

/// A point or a day in time, before it is known when "now" is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    /// A day in the reader's zone.
    Day(Date),
    /// An instant.
    Instant(Timestamp),
    /// Seconds from now.
    FromNow(i64),
}

/// What a condition needs to know about the moment and the person.
#[derive(Clone, Debug)]
pub struct Context {
    /// Now.
    pub now: Timestamp,
    /// The zone whose days are meant.
    pub zone: TimeZone,
    /// The name behind `me`; without one, `me` matches nothing.
    pub me: Option<String>,
}

impl Context {
    /// Now, days in UTC, nobody in particular.
    #[must_use]
    pub fn at(now: Timestamp) -> Self {
        Context { now, zone: TimeZone::UTC, me: None }
    }
}

impl When {
    /// The half-open interval of instants that is meant: from the first to before the second.
    #[must_use]
    pub fn interval(self, context: &Context) -> (Timestamp, Timestamp) {
        let point = |from: Timestamp| (from, Timestamp::from_micros(from.micros().saturating_add(1)));
        match self {
            When::Instant(instant) => point(instant),
            When::FromNow(seconds) => point(context.now.plus_seconds(seconds)),
            When::Day(day) => {
                let start = |day: Date| context.zone.to_zoned(day.into()).map(|start| start.timestamp().into());
                match (start(day), day.tomorrow().and_then(start)) {
                    (Ok(from), Ok(to)) => (from, to),
                    (Ok(from), Err(_)) => (from, Timestamp::from_micros(i64::MAX)),
                    _ => point(Timestamp::from_micros(i64::MIN)),
                }
            }
        }
    }
}

impl Filter {
    /// All of these, in normal form.
    #[must_use]
    pub fn and(members: Vec<Filter>) -> Filter {
        let mut flat = Vec::with_capacity(members.len());
        for member in members {
            match member {
                Filter::Everything => {}
                Filter::And(inner) => flat.extend(inner),
                other => flat.push(other),
            }
        }
        match (flat.len(), flat.pop()) {
            (1, Some(single)) => single,
            (_, Some(last)) => {
                flat.push(last);
                Filter::And(flat)
            }
            (_, None) => Filter::Everything,
        }
    }

    /// At least one of these, in normal form; everything where one of them is everything or there are none.
    #[must_use]
    pub fn or(members: Vec<Filter>) -> Filter {
        let mut flat = Vec::with_capacity(members.len());
        for member in members {
            match member {
                Filter::Everything => return Filter::Everything,
                Filter::Or(inner) => flat.extend(inner),
                other => flat.push(other),
            }
        }
        match (flat.len(), flat.pop()) {
            (1, Some(single)) => single,
            (_, Some(last)) => {
                flat.push(last);
                Filter::Or(flat)
            }
            (_, None) => Filter::Everything,
        }
    }

    /// Not this, in normal form.
    #[must_use]
    #[expect(clippy::should_implement_trait, reason = "it stands beside `and` and `or`, which have no operator")]
    pub fn not(self) -> Filter {
        match self {
            Filter::Not(inner) => *inner,
            other => Filter::Not(Box::new(other)),
        }
    }

    /// How much work a row is; see [`COST_MAX`].
    #[must_use]
    pub fn cost(&self) -> u32 {
        let operand = |operand: &Operand| match operand {
            Operand::Text(_, Match::Usual | Match::Prefix) => 5,
            _ => 1,
        };
        match self {
            Filter::Everything => 0,
            Filter::And(members) | Filter::Or(members) => {
                members.iter().fold(0, |sum, member| sum.saturating_add(member.cost()))
            }
            Filter::Not(inner) => inner.cost(),
            Filter::Compare { operand: value, .. } => operand(value),
            Filter::OneOf { operands, .. } => {
                let texts = operands.iter().filter(|each| matches!(each, Operand::Text(_, Match::Prefix))).count();
                1 + u32::try_from(operands.len() / 10 + texts * 5).unwrap_or(u32::MAX / 2)
            }
            Filter::Between { .. } | Filter::Present { .. } => 1,
            Filter::Free(_) => 10,
        }
    }
}

/// `now-30d` and the like: the units people may write, in seconds, longest first.
const UNITS: [(&str, i64); 5] = [("w", 604_800), ("d", 86_400), ("h", 3_600), ("m", 60), ("s", 1)];

/// Whole seconds, for printing what `now-30d` meant.
fn in_units(seconds: i64) -> (i64, &'static str) {
    UNITS
        .iter()
        .filter(|(unit, _)| *unit != "w")
        .find(|(_, size)| seconds % size == 0)
        .map_or((seconds, "s"), |(unit, size)| (seconds / size, unit))
}

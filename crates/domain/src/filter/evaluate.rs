//! What a tree means: the oracle of the store's SQL.

use super::{Context, Fields, Filter, Kind, Match, Operand, Operator};
use crate::time::Timestamp;

/// A value of a row.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// Text, a name, a person or a word.
    Text(String),
    /// A whole number.
    Number(i64),
    /// A number with decimals.
    Decimal(f64),
    /// An instant.
    Instant(Timestamp),
    /// True or false.
    Truth(bool),
}

/// A row that can be asked.
pub trait Subject {
    /// The values of a field: none where it is missing, several for tags and the like.
    fn values(&self, field: &str) -> Vec<Value>;
}

/// Whether the row is asked for.
#[must_use]
pub fn matches(filter: &Filter, fields: &Fields, subject: &dyn Subject, context: &Context) -> bool {
    match filter {
        Filter::Everything => true,
        Filter::And(members) => members.iter().all(|member| matches(member, fields, subject, context)),
        Filter::Or(members) => members.iter().any(|member| matches(member, fields, subject, context)),
        Filter::Not(inner) => !matches(inner, fields, subject, context),
        Filter::Present { field } => !subject.values(field).is_empty(),
        Filter::Free(text) => {
            let found = |field: &str| subject.values(field).iter().any(|value| contains(value, text));
            fields.free.iter().any(|field| found(field))
        }
        Filter::Compare { field, operator, operand } => {
            let kind = fields.kind(field);
            subject.values(field).iter().any(|value| compare(value, *operator, operand, kind, context))
        }
        Filter::OneOf { field, operands } => {
            let kind = fields.kind(field);
            let equals =
                |value: &Value| operands.iter().any(|operand| compare(value, Operator::Equal, operand, kind, context));
            subject.values(field).iter().any(equals)
        }
        Filter::Between { field, low, high, inclusive } => {
            let (from, to) = match inclusive {
                true => (Operator::AtLeast, Operator::AtMost),
                false => (Operator::Greater, Operator::Less),
            };
            let kind = fields.kind(field);
            let within =
                |value: &Value| compare(value, from, low, kind, context) && compare(value, to, high, kind, context);
            subject.values(field).iter().any(within)
        }
    }
}

fn contains(value: &Value, text: &str) -> bool {
    match value {
        Value::Text(value) => value.to_ascii_lowercase().contains(&text.to_ascii_lowercase()),
        _ => false,
    }
}

fn compare(value: &Value, operator: Operator, operand: &Operand, kind: Option<Kind>, context: &Context) -> bool {
    match (value, operand) {
        (Value::Text(value), Operand::Text(text, how)) => match (how, kind) {
            (Match::Exact, _) => value == text,
            (Match::Prefix, _) => value.to_ascii_lowercase().starts_with(&text.to_ascii_lowercase()),
            (Match::Usual, Some(Kind::Text)) => value.to_ascii_lowercase().contains(&text.to_ascii_lowercase()),
            (Match::Usual, _) => value.eq_ignore_ascii_case(text),
        },
        (Value::Text(value), Operand::Word(word)) => value == word,
        (Value::Text(value), Operand::Me) => context.me.as_ref().is_some_and(|me| value.eq_ignore_ascii_case(me)),
        (Value::Number(value), Operand::Number(number)) => ordered(value, operator, number),
        (Value::Decimal(value), Operand::Decimal(number)) => ordered(value, operator, number),
        (Value::Truth(value), Operand::Truth(truth)) => value == truth,
        (Value::Instant(value), Operand::When(when)) => {
            let (from, to) = when.interval(context);
            match operator {
                Operator::Equal => (from..to).contains(value),
                Operator::Less => *value < from,
                Operator::AtMost => *value < to,
                Operator::Greater => *value >= to,
                Operator::AtLeast => *value >= from,
            }
        }
        _ => false,
    }
}

fn ordered<T: PartialOrd>(value: &T, operator: Operator, other: &T) -> bool {
    match operator {
        Operator::Equal => value == other,
        Operator::Less => value < other,
        Operator::AtMost => value <= other,
        Operator::Greater => value > other,
        Operator::AtLeast => value >= other,
    }
}

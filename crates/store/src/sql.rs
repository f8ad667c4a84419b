//! Statements that are put together at run time: fixed pieces of SQL and bound values, never text from outside.
//!
//! Only the compiler of the query language and keyset lists need this; everything else is one literal per function.

use crate::value::{Datum, Value};
use std::fmt::Write as _;

/// A statement or a part of one. Pieces are `'static`, so a value can only enter as a bound parameter.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Sql {
    parts: Vec<Part>,
}

#[derive(Clone, Debug, PartialEq)]
enum Part {
    Text(&'static str),
    Value(Datum<'static>),
}

impl Sql {
    /// Begin with a piece of SQL. It holds no `$1`: values are bound where they stand.
    pub fn new(text: &'static str) -> Self {
        Sql { parts: vec![Part::Text(text)] }
    }

    /// A part that is one bound value.
    pub fn value(value: &dyn Value) -> Self {
        Sql { parts: vec![Part::Value(value.datum().into_owned())] }
    }

    /// Append a piece of SQL.
    #[must_use]
    pub fn text(mut self, text: &'static str) -> Self {
        self.parts.push(Part::Text(text));
        self
    }

    /// Append a parameter bound to this value.
    #[must_use]
    pub fn bind(mut self, value: &dyn Value) -> Self {
        self.parts.push(Part::Value(value.datum().into_owned()));
        self
    }

    /// Append another part.
    #[must_use]
    pub fn append(mut self, other: Sql) -> Self {
        self.parts.extend(other.parts);
        self
    }

    /// Whether nothing was written yet.
    pub fn is_empty(&self) -> bool {
        self.parts.is_empty()
    }

    /// The text with numbered parameters, and their values in order.
    pub(crate) fn render(&self) -> (String, Vec<Datum<'_>>) {
        let mut text = String::new();
        let mut values = Vec::new();
        for part in &self.parts {
            match part {
                Part::Text(piece) => text.push_str(piece),
                Part::Value(value) => {
                    values.push(value.clone());
                    let _ = write!(text, "${}", values.len());
                }
            }
        }
        (text, values)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_numbered_in_the_order_of_the_text() {
        let inner = Sql::new("b = ").bind(&2_i64);
        let sql = Sql::new("a = ").bind(&"x").text(" AND ").append(inner);
        let (text, values) = sql.render();
        assert_eq!(text, "a = $1 AND b = $2");
        assert_eq!(values, [Datum::Text("x".into()), Datum::Whole(2)]);
    }
}

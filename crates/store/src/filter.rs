//! The query language as SQL: a tree of [`domain::filter`] and a list's columns give a condition with bound values.
//!
//! Nothing that people type becomes SQL text: the pieces are literals of the program, values are parameters. The
//! meaning is that of `domain::filter::matches`; a property test compares the two on both engines.
//!
//! `NOT` is written `IS NOT TRUE`, so that a missing value behaves as the language says: AND and OR of conditions that
//! may be NULL are true exactly where their two-valued counterparts are, so only negation has to be careful.

use crate::error::{Error, Result};
use crate::sql::Sql;
use domain::filter::{Context, Fields, Filter, Kind, Match, Operand, Operator, When};

/// Where a field of the language is found.
#[derive(Clone, Copy, Debug)]
pub struct Column {
    /// The field, as in the list's table of [`Fields`].
    pub field: &'static str,
    /// Its SQL.
    pub source: Source,
}

impl Column {
    /// A field that is one expression, see [`Source::One`].
    #[must_use]
    pub const fn one(field: &'static str, expression: &'static str) -> Column {
        Column { field, source: Source::One(expression) }
    }

    /// A field of several values, see [`Source::Many`].
    #[must_use]
    pub const fn many(field: &'static str, from: &'static str, value: &'static str) -> Column {
        Column { field, source: Source::Many { from, value } }
    }
}

/// The SQL of a field.
#[derive(Clone, Copy, Debug)]
pub enum Source {
    /// An expression on the row, such as `item.score`. Text comes from `{text}` columns, so that letters fold and sort
    /// alike on both engines. `{now}` in it is the moment of the question.
    One(&'static str),
    /// Several values: `from` is what follows `SELECT 1 FROM`, with a `WHERE` that ties it to the row; `value` is the
    /// expression. `Many { from: "asset_tag WHERE asset_tag.asset_id = asset.id", value: "asset_tag.name" }`
    Many {
        /// Tables and the tie.
        from: &'static str,
        /// The expression.
        value: &'static str,
    },
}

/// Fields without a column and columns without a field: for a test of each list.
pub fn mistakes(fields: &Fields, columns: &[Column]) -> Vec<String> {
    let without = fields.fields.iter().filter(|field| !columns.iter().any(|column| column.field == field.name));
    let unknown = columns.iter().filter(|column| fields.get(column.field).is_none());
    let mut mistakes = fields.mistakes();
    mistakes.extend(without.map(|field| format!("the field {} has no column", field.name)));
    mistakes.extend(unknown.map(|column| format!("the column {} is no field", column.field)));
    mistakes
}

/// The condition, to be put after `WHERE` or `AND`.
///
/// # Errors
/// [`Error::Failed`] where the list has no column for a field: a mistake of the program that [`mistakes`] shows.
pub fn compile(filter: &Filter, fields: &Fields, columns: &[Column], context: &Context) -> Result<Sql> {
    Compiler { fields, columns, context }.compile(filter)
}

struct Compiler<'c> {
    fields: &'c Fields,
    columns: &'c [Column],
    context: &'c Context,
}

impl Compiler<'_> {
    fn compile(&self, filter: &Filter) -> Result<Sql> {
        match filter {
            Filter::Everything => Ok(Sql::new("TRUE")),
            Filter::And(members) => self.joined(members, " AND "),
            Filter::Or(members) => self.joined(members, " OR "),
            Filter::Not(inner) => Ok(Sql::new("(").append(self.compile(inner)?).text(" IS NOT TRUE)")),
            Filter::Present { field } => self.on(field, |value| value.text(" IS NOT NULL")),
            Filter::Free(text) => {
                let pattern = contains(text);
                let each = self.fields.free.iter().map(|field| self.on(field, |value| like(value, &pattern)));
                Ok(any(each.collect::<Result<Vec<_>>>()?))
            }
            Filter::Compare { field, operator, operand } => {
                let kind = self.fields.get(field).map(|field| field.kind);
                self.on(field, |value| self.comparison(value, *operator, operand, kind))
            }
            Filter::OneOf { field, operands } => self.one_of(field, operands),
            Filter::Between { field, low, high, inclusive } => {
                let (from, to) = match inclusive {
                    true => (Operator::AtLeast, Operator::AtMost),
                    false => (Operator::Greater, Operator::Less),
                };
                self.on(field, |value| {
                    Sql::new("(")
                        .append(self.comparison(value.clone(), from, low, None))
                        .text(" AND ")
                        .append(self.comparison(value, to, high, None))
                        .text(")")
                })
            }
        }
    }

    fn joined(&self, members: &[Filter], between: &'static str) -> Result<Sql> {
        let mut sql = Sql::new("(");
        for (at, member) in members.iter().enumerate() {
            if at > 0 {
                sql = sql.text(between);
            }
            sql = sql.append(self.compile(member)?);
        }
        Ok(sql.text(")"))
    }

    /// A condition on the value or on any of the values of a field.
    fn on(&self, field: &str, condition: impl Fn(Sql) -> Sql) -> Result<Sql> {
        let column = self.columns.iter().find(|column| column.field == field).ok_or_else(|| {
            Error::failed(format!("could not filter by {field}"), "the list has no column for this field")
        })?;
        Ok(match column.source {
            Source::One(value) => condition(self.timed(value)),
            Source::Many { from, value } => {
                let condition = condition(self.timed(value));
                Sql::new("EXISTS (SELECT 1 FROM ").text(from).text(" AND ").append(condition).text(")")
            }
        })
    }

    /// An expression with the moment of the question in its place.
    fn timed(&self, expression: &'static str) -> Sql {
        let mut parts = expression.split("{now}");
        let first = Sql::new(parts.next().unwrap_or_default());
        parts.fold(first, |sql, part| sql.text("CAST(").bind(&self.context.now).text(" AS BIGINT)").text(part))
    }

    fn one_of(&self, field: &str, operands: &[Operand]) -> Result<Sql> {
        let kind = self.fields.get(field).map(|field| field.kind);
        let plain = |operand: &Operand| matches!(operand, Operand::Number(_) | Operand::Decimal(_) | Operand::Word(_));
        self.on(field, |value| {
            if operands.iter().all(plain) {
                let mut list = value.text(" IN (");
                for (at, operand) in operands.iter().enumerate() {
                    if at > 0 {
                        list = list.text(", ");
                    }
                    list = list.append(bound(operand));
                }
                return list.text(")");
            }
            let each = |operand: &Operand| self.comparison(value.clone(), Operator::Equal, operand, kind);
            any(operands.iter().map(each).collect())
        })
    }

    fn comparison(&self, value: Sql, operator: Operator, operand: &Operand, kind: Option<Kind>) -> Sql {
        match operand {
            Operand::Text(text, Match::Exact) => value.text(" = ").bind(text),
            Operand::Text(text, Match::Prefix) => like(value, &format!("{}%", escaped(text))),
            Operand::Text(text, Match::Usual) if kind == Some(Kind::Text) => like(value, &contains(text)),
            Operand::Text(text, Match::Usual) => folded(value, text),
            Operand::Me => match &self.context.me {
                Some(me) => folded(value, me),
                None => Sql::new("FALSE"),
            },
            Operand::When(when) => self.moment(&value, operator, *when),
            Operand::Number(_) | Operand::Decimal(_) | Operand::Word(_) | Operand::Truth(_) => {
                value.text(sign(operator)).append(bound(operand))
            }
        }
    }

    fn moment(&self, value: &Sql, operator: Operator, when: When) -> Sql {
        let (from, to) = when.interval(self.context);
        let compared = |sign: &'static str, at: domain::time::Timestamp| {
            value.clone().text(sign).text("CAST(").bind(&at).text(" AS BIGINT)")
        };
        match operator {
            Operator::Equal => {
                Sql::new("(").append(compared(" >= ", from)).text(" AND ").append(compared(" < ", to)).text(")")
            }
            Operator::Less => compared(" < ", from),
            Operator::AtMost => compared(" < ", to),
            Operator::Greater => compared(" >= ", to),
            Operator::AtLeast => compared(" >= ", from),
        }
    }
}

fn sign(operator: Operator) -> &'static str {
    match operator {
        Operator::Equal => " = ",
        Operator::Less => " < ",
        Operator::AtMost => " <= ",
        Operator::Greater => " > ",
        Operator::AtLeast => " >= ",
    }
}

/// A parameter of the right width: without the cast, a small column would refuse a number that does not fit it.
fn bound(operand: &Operand) -> Sql {
    match operand {
        Operand::Number(number) => Sql::new("CAST(").bind(number).text(" AS BIGINT)"),
        Operand::Decimal(number) => Sql::new("CAST(").bind(number).text(" AS DOUBLE PRECISION)"),
        Operand::Truth(truth) => Sql::value(truth),
        Operand::Word(word) => Sql::value(word),
        Operand::Text(text, _) => Sql::value(text),
        Operand::When(_) | Operand::Me => Sql::new("NULL"), // compiled elsewhere, never reached
    }
}

fn any(conditions: Vec<Sql>) -> Sql {
    let mut sql = Sql::new("(FALSE");
    for condition in conditions {
        sql = sql.text(" OR ").append(condition);
    }
    sql.text(")")
}

fn folded(value: Sql, text: &str) -> Sql {
    Sql::new("lower(").append(value).text(") = ").bind(&text.to_ascii_lowercase())
}

fn like(value: Sql, pattern: &str) -> Sql {
    Sql::new("lower(").append(value).text(") LIKE ").bind(&pattern.to_ascii_lowercase()).text(" ESCAPE '\\'")
}

fn contains(text: &str) -> String {
    format!("%{}%", escaped(text))
}

/// The text with its own wildcards taken literally.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if matches!(c, '%' | '_' | '\\') {
            out.push('\\');
        }
        out.push(c);
    }
    out
}

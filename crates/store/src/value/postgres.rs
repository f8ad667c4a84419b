//! Values as PostgreSQL takes and gives them: encoded for the type that the statement expects.

use super::{Cell, Datum, NotBindable, without_nul};
use bytes::BytesMut;
use postgres::types::{FromSql, IsNull, ToSql, Type, to_sql_checked};
use std::borrow::Cow;
use std::error::Error as StdError;
use uuid::Uuid;

/// A [`Datum`] as PostgreSQL takes it: encoded for the type the statement expects.
#[derive(Debug)]
pub(crate) struct Bound<'a>(pub(crate) Datum<'a>);

impl ToSql for Bound<'_> {
    fn to_sql(&self, ty: &Type, out: &mut BytesMut) -> Result<IsNull, Box<dyn StdError + Sync + Send>> {
        let text = |text: &Cow<'_, str>| without_nul(Cow::Borrowed(text.as_ref())).into_owned();
        match (&self.0, ty) {
            (Datum::Null, _) => Ok(IsNull::Yes),
            (Datum::Bool(value), &Type::BOOL) => value.to_sql(ty, out),
            (Datum::Whole(value), &Type::INT8) => value.to_sql(ty, out),
            (Datum::Whole(value), &Type::INT4) => i32::try_from(*value)?.to_sql(ty, out),
            (Datum::Whole(value), &Type::INT2) => i16::try_from(*value)?.to_sql(ty, out),
            (Datum::Real(value), _) if value.is_nan() => {
                Err(Box::new(NotBindable("a number that is not a number (NaN)")))
            }
            (Datum::Real(value), &Type::FLOAT8) => value.to_sql(ty, out),
            (Datum::Text(value), &Type::TEXT | &Type::VARCHAR | &Type::NAME | &Type::UNKNOWN) => {
                if value.contains('\0') { text(value).to_sql(ty, out) } else { value.as_ref().to_sql(ty, out) }
            }
            (Datum::Bytes(value), &Type::BYTEA) => value.as_ref().to_sql(ty, out),
            (Datum::Uuid(value), &Type::UUID) => value.to_sql(ty, out),
            (Datum::Wholes(list), &Type::INT8_ARRAY) => list.as_ref().to_sql(ty, out),
            // What does not fit the column cannot be in it.
            (Datum::Wholes(list), &Type::INT4_ARRAY) => {
                list.iter().filter_map(|item| i32::try_from(*item).ok()).collect::<Vec<_>>().to_sql(ty, out)
            }
            (Datum::Wholes(list), &Type::INT2_ARRAY) => {
                list.iter().filter_map(|item| i16::try_from(*item).ok()).collect::<Vec<_>>().to_sql(ty, out)
            }
            (Datum::Texts(list), &Type::TEXT_ARRAY | &Type::VARCHAR_ARRAY) => {
                list.iter().map(|item| text(&Cow::Borrowed(item.as_str()))).collect::<Vec<_>>().to_sql(ty, out)
            }
            (datum, ty) => Err(format!("cannot bind {} where the statement expects {ty}", kind(datum)).into()),
        }
    }

    fn accepts(_: &Type) -> bool {
        true
    }

    to_sql_checked!();
}

fn kind(datum: &Datum<'_>) -> &'static str {
    match datum {
        Datum::Null => "NULL",
        Datum::Bool(_) => "a boolean",
        Datum::Whole(_) => "a whole number",
        Datum::Real(_) => "a floating point number",
        Datum::Text(_) => "a text",
        Datum::Bytes(_) => "bytes",
        Datum::Uuid(_) => "a UUID",
        Datum::Wholes(_) => "a list of whole numbers",
        Datum::Texts(_) => "a list of texts",
    }
}

impl<'a> FromSql<'a> for Cell<'a> {
    fn from_sql(ty: &Type, raw: &'a [u8]) -> Result<Self, Box<dyn StdError + Sync + Send>> {
        Ok(match *ty {
            Type::BOOL => Cell::Bool(bool::from_sql(ty, raw)?),
            Type::INT8 => Cell::Whole(i64::from_sql(ty, raw)?),
            Type::INT4 => Cell::Whole(i64::from(i32::from_sql(ty, raw)?)),
            Type::INT2 => Cell::Whole(i64::from(i16::from_sql(ty, raw)?)),
            Type::FLOAT8 => Cell::Real(f64::from_sql(ty, raw)?),
            Type::TEXT | Type::VARCHAR | Type::NAME | Type::UNKNOWN => Cell::Text(<&str>::from_sql(ty, raw)?),
            Type::BYTEA => Cell::Bytes(raw),
            Type::UUID => Cell::Uuid(Uuid::from_sql(ty, raw)?),
            _ => {
                return Err(
                    format!("a column of type {ty} has no counterpart in SQLite; write CAST(.. AS BIGINT)").into()
                );
            }
        })
    }

    fn from_sql_null(_: &Type) -> Result<Self, Box<dyn StdError + Sync + Send>> {
        Ok(Cell::Null)
    }

    fn accepts(_: &Type) -> bool {
        true
    }
}

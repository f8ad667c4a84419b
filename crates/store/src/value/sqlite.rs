//! Values as SQLite takes and gives them.

use super::{Cell, Datum, NotBindable, without_nul};
use std::borrow::Cow;
use std::error::Error as StdError;

/// A list as JSON, which `json_each` reads in SQLite.
fn json_list<T: serde::Serialize>(list: &[T]) -> Result<String, NotBindable> {
    serde_json::to_string(list).map_err(|_| NotBindable("a list that JSON cannot hold"))
}

/// A [`Datum`] as SQLite takes it.
pub(crate) fn to_sqlite(datum: Datum<'_>) -> Result<rusqlite::types::ToSqlOutput<'_>, NotBindable> {
    use rusqlite::types::{ToSqlOutput, Value as Owned, ValueRef};
    fn text(text: Cow<'_, str>) -> ToSqlOutput<'_> {
        match without_nul(text) {
            Cow::Borrowed(text) => ToSqlOutput::Borrowed(ValueRef::Text(text.as_bytes())),
            Cow::Owned(text) => ToSqlOutput::Owned(Owned::Text(text)),
        }
    }
    Ok(match datum {
        Datum::Null => ToSqlOutput::Owned(Owned::Null),
        Datum::Bool(value) => ToSqlOutput::Owned(Owned::Integer(i64::from(value))),
        Datum::Whole(value) => ToSqlOutput::Owned(Owned::Integer(value)),
        Datum::Real(value) if value.is_nan() => return Err(NotBindable("a number that is not a number (NaN)")),
        Datum::Real(value) => ToSqlOutput::Owned(Owned::Real(value)),
        Datum::Text(value) => text(value),
        Datum::Bytes(Cow::Borrowed(value)) => ToSqlOutput::Borrowed(ValueRef::Blob(value)),
        Datum::Bytes(Cow::Owned(value)) => ToSqlOutput::Owned(Owned::Blob(value)),
        Datum::Uuid(value) => ToSqlOutput::Owned(Owned::Blob(value.as_bytes().to_vec())),
        Datum::Wholes(list) => ToSqlOutput::Owned(Owned::Text(json_list(&list)?)),
        Datum::Texts(list) => {
            let list: Vec<Cow<'_, str>> = list.iter().map(|text| without_nul(Cow::Borrowed(text))).collect();
            ToSqlOutput::Owned(Owned::Text(json_list(&list)?))
        }
    })
}

/// What SQLite gave as a [`Cell`].
pub(crate) fn from_sqlite(value: rusqlite::types::ValueRef<'_>) -> Result<Cell<'_>, Box<dyn StdError + Send + Sync>> {
    use rusqlite::types::ValueRef;
    Ok(match value {
        ValueRef::Null => Cell::Null,
        ValueRef::Integer(value) => Cell::Whole(value),
        ValueRef::Real(value) => Cell::Real(value),
        ValueRef::Text(text) => Cell::Text(std::str::from_utf8(text)?),
        ValueRef::Blob(bytes) => Cell::Bytes(bytes),
    })
}

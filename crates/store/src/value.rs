//! Values on their way into the database and out of it, the same for both engines.
//!
//! A bound value is a [`Datum`], a column that was read is a [`Cell`]. Both are small closed enums, so one
//! conversion is written per Rust type and holds on both engines: the width of a whole number is fitted to the
//! column (checked), booleans are 0 and 1 in SQLite, UUIDs are 16 bytes there.
//! This module deliberately does no text formatting and never guesses: text is not parsed into a number.

use bytes::BytesMut;
use postgres::types::{FromSql, IsNull, ToSql, Type, to_sql_checked};
use std::borrow::Cow;
use std::error::Error as StdError;
use uuid::Uuid;

/// A value bound to a parameter or staged in a column.
#[derive(Clone, Debug, PartialEq)]
pub enum Datum<'a> {
    /// SQL NULL.
    Null,
    /// A boolean (0 or 1 in SQLite).
    Bool(bool),
    /// A whole number; fitted to the width of the column, an error where it does not fit.
    Whole(i64),
    /// A floating point number; NaN is refused, because SQLite would store NULL.
    Real(f64),
    /// Text. NUL characters are stored as U+FFFD, because PostgreSQL has no NUL in text.
    Text(Cow<'a, str>),
    /// Bytes, stored exactly.
    Bytes(Cow<'a, [u8]>),
    /// A UUID (16 bytes in SQLite).
    Uuid(Uuid),
    /// A list of whole numbers, for `{in $1}` only.
    Wholes(Cow<'a, [i64]>),
    /// A list of texts, for `{in $1}` only.
    Texts(Cow<'a, [String]>),
}

impl Datum<'_> {
    /// The same value without borrowed parts.
    pub fn into_owned(self) -> Datum<'static> {
        match self {
            Datum::Null => Datum::Null,
            Datum::Bool(value) => Datum::Bool(value),
            Datum::Whole(value) => Datum::Whole(value),
            Datum::Real(value) => Datum::Real(value),
            Datum::Text(value) => Datum::Text(Cow::Owned(value.into_owned())),
            Datum::Bytes(value) => Datum::Bytes(Cow::Owned(value.into_owned())),
            Datum::Uuid(value) => Datum::Uuid(value),
            Datum::Wholes(value) => Datum::Wholes(Cow::Owned(value.into_owned())),
            Datum::Texts(value) => Datum::Texts(Cow::Owned(value.into_owned())),
        }
    }
}

/// A Rust type that can be bound to a parameter.
///
/// Newtypes implement it by one line, usually through [`newtype_value!`](crate::newtype_value) or
/// [`text_value!`](crate::text_value).
pub trait Value: Sync {
    /// The value as the database sees it.
    fn datum(&self) -> Datum<'_>;
}

/// A Rust type that can be read from a column.
pub trait Field: Sized {
    /// Read one cell. `Err` names what was expected; the column's name is added by the caller.
    ///
    /// # Errors
    /// [`Mismatch`] where the cell holds something else.
    fn from_cell(cell: Cell<'_>) -> Result<Self, Mismatch>;
}

/// One column of one row.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Cell<'a> {
    /// SQL NULL.
    Null,
    /// A boolean; SQLite gives [`Cell::Whole`] instead.
    Bool(bool),
    /// A whole number of any width.
    Whole(i64),
    /// A floating point number.
    Real(f64),
    /// Text.
    Text(&'a str),
    /// Bytes; also a UUID in SQLite.
    Bytes(&'a [u8]),
    /// A UUID; SQLite gives [`Cell::Bytes`] instead.
    Uuid(Uuid),
}

/// A cell did not hold what the program expected.
#[derive(Debug, thiserror::Error)]
#[error("expected {expected}, found {found}")]
pub struct Mismatch {
    /// What the Rust type needs.
    pub expected: &'static str,
    /// What the column holds.
    pub found: String,
}

impl Mismatch {
    /// `cell` is not an `expected`. Holds the kind of the cell, and its text only where that is a short code.
    pub fn new(expected: &'static str, cell: Cell<'_>) -> Self {
        let found = match cell {
            Cell::Null => "NULL".to_owned(),
            Cell::Bool(_) => "a boolean".to_owned(),
            Cell::Whole(value) => format!("the whole number {value}"),
            Cell::Real(_) => "a floating point number".to_owned(),
            Cell::Text(text) if text.len() <= 40 => format!("the text \"{text}\""),
            Cell::Text(_) => "a text".to_owned(),
            Cell::Bytes(bytes) => format!("{} bytes", bytes.len()),
            Cell::Uuid(_) => "a UUID".to_owned(),
        };
        Mismatch { expected, found }
    }
}

// --- Rust types ------------------------------------------------------------------------------------------------------

macro_rules! whole {
    ($($kind:ty),*) => {$(
        impl Value for $kind {
            fn datum(&self) -> Datum<'_> {
                Datum::Whole(i64::from(*self))
            }
        }
        impl Field for $kind {
            fn from_cell(cell: Cell<'_>) -> Result<Self, Mismatch> {
                match cell {
                    Cell::Whole(value) => <$kind>::try_from(value)
                        .map_err(|_| Mismatch::new(concat!("a whole number that fits ", stringify!($kind)), cell)),
                    _ => Err(Mismatch::new("a whole number", cell)),
                }
            }
        }
    )*};
}
whole!(i64, i32, i16, u32, u16, u8);

impl Value for bool {
    fn datum(&self) -> Datum<'_> {
        Datum::Bool(*self)
    }
}

impl Field for bool {
    fn from_cell(cell: Cell<'_>) -> Result<Self, Mismatch> {
        match cell {
            Cell::Bool(value) => Ok(value),
            Cell::Whole(0) => Ok(false),
            Cell::Whole(1) => Ok(true),
            _ => Err(Mismatch::new("a boolean", cell)),
        }
    }
}

impl Value for f64 {
    fn datum(&self) -> Datum<'_> {
        Datum::Real(*self)
    }
}

impl Field for f64 {
    fn from_cell(cell: Cell<'_>) -> Result<Self, Mismatch> {
        match cell {
            Cell::Real(value) => Ok(value),
            _ => Err(Mismatch::new("a floating point number", cell)),
        }
    }
}

impl Value for str {
    fn datum(&self) -> Datum<'_> {
        Datum::Text(Cow::Borrowed(self))
    }
}

impl Value for String {
    fn datum(&self) -> Datum<'_> {
        Datum::Text(Cow::Borrowed(self))
    }
}

impl Field for String {
    fn from_cell(cell: Cell<'_>) -> Result<Self, Mismatch> {
        match cell {
            Cell::Text(text) => Ok(text.to_owned()),
            _ => Err(Mismatch::new("text", cell)),
        }
    }
}

impl Value for [u8] {
    fn datum(&self) -> Datum<'_> {
        Datum::Bytes(Cow::Borrowed(self))
    }
}

impl Value for Vec<u8> {
    fn datum(&self) -> Datum<'_> {
        Datum::Bytes(Cow::Borrowed(self))
    }
}

impl<const N: usize> Value for [u8; N] {
    fn datum(&self) -> Datum<'_> {
        Datum::Bytes(Cow::Borrowed(self))
    }
}

impl Field for Vec<u8> {
    fn from_cell(cell: Cell<'_>) -> Result<Self, Mismatch> {
        match cell {
            Cell::Bytes(bytes) => Ok(bytes.to_owned()),
            _ => Err(Mismatch::new("bytes", cell)),
        }
    }
}

impl<const N: usize> Field for [u8; N] {
    fn from_cell(cell: Cell<'_>) -> Result<Self, Mismatch> {
        match cell {
            Cell::Bytes(bytes) => bytes.try_into().map_err(|_| Mismatch::new("bytes of a fixed length", cell)),
            _ => Err(Mismatch::new("bytes", cell)),
        }
    }
}

impl Value for Uuid {
    fn datum(&self) -> Datum<'_> {
        Datum::Uuid(*self)
    }
}

impl Field for Uuid {
    fn from_cell(cell: Cell<'_>) -> Result<Self, Mismatch> {
        match cell {
            Cell::Uuid(value) => Ok(value),
            Cell::Bytes(bytes) => Uuid::from_slice(bytes).map_err(|_| Mismatch::new("a UUID of 16 bytes", cell)),
            _ => Err(Mismatch::new("a UUID", cell)),
        }
    }
}

/// Microseconds since 1970 UTC in a `{time}` column; what is finer than a microsecond is cut off.
impl Value for jiff::Timestamp {
    fn datum(&self) -> Datum<'_> {
        Datum::Whole(self.as_microsecond())
    }
}

impl Field for jiff::Timestamp {
    fn from_cell(cell: Cell<'_>) -> Result<Self, Mismatch> {
        match cell {
            Cell::Whole(value) => jiff::Timestamp::from_microsecond(value)
                .map_err(|_| Mismatch::new("microseconds since 1970 within the years -9999 to 9999", cell)),
            _ => Err(Mismatch::new("an instant in microseconds", cell)),
        }
    }
}

/// For `{in $1}`.
impl Value for [i64] {
    fn datum(&self) -> Datum<'_> {
        Datum::Wholes(Cow::Borrowed(self))
    }
}

/// For `{in $1}`.
impl Value for Vec<i64> {
    fn datum(&self) -> Datum<'_> {
        Datum::Wholes(Cow::Borrowed(self))
    }
}

/// For `{in $1}`.
impl Value for [String] {
    fn datum(&self) -> Datum<'_> {
        Datum::Texts(Cow::Borrowed(self))
    }
}

/// For `{in $1}`.
impl Value for Vec<String> {
    fn datum(&self) -> Datum<'_> {
        Datum::Texts(Cow::Borrowed(self))
    }
}

impl<T: Value> Value for Option<T> {
    fn datum(&self) -> Datum<'_> {
        self.as_ref().map_or(Datum::Null, Value::datum)
    }
}

impl<T: Field> Field for Option<T> {
    fn from_cell(cell: Cell<'_>) -> Result<Self, Mismatch> {
        match cell {
            Cell::Null => Ok(None),
            _ => T::from_cell(cell).map(Some),
        }
    }
}

impl<T: Value + ?Sized> Value for &T {
    fn datum(&self) -> Datum<'_> {
        (**self).datum()
    }
}

impl<T: Value + ToOwned + ?Sized> Value for Cow<'_, T>
where
    T::Owned: Sync,
{
    fn datum(&self) -> Datum<'_> {
        self.as_ref().datum()
    }
}

impl Value for Datum<'_> {
    fn datum(&self) -> Datum<'_> {
        self.clone()
    }
}

/// Make newtypes storable through the value they wrap.
///
/// The type, the type inside, how to reach the value inside, how to make one:
///
/// ```
/// #[derive(Clone, Copy, PartialEq, Debug)]
/// pub struct JobId(pub i64);
/// store::newtype_value!(JobId as i64, |id| id.0, JobId);
/// ```
#[macro_export]
macro_rules! newtype_value {
    ($name:ty as $inner:ty, |$value:ident| $get:expr, $make:expr) => {
        impl $crate::Value for $name {
            fn datum(&self) -> $crate::Datum<'_> {
                let $value = self;
                <$inner as $crate::Value>::datum(&($get)).into_owned()
            }
        }
        impl $crate::Field for $name {
            fn from_cell(cell: $crate::Cell<'_>) -> ::std::result::Result<Self, $crate::Mismatch> {
                <$inner as $crate::Field>::from_cell(cell).map($make)
            }
        }
        impl $crate::Staged for $name {
            const KIND: $crate::Kind = <$inner as $crate::Staged>::KIND;
        }
    };
}

/// Make a closed enum storable as its code word: `text_value!(State, |s| s.as_str(), |text| State::parse(text).ok())`.
///
/// The first closure gives a `&'static str`, the second an `Option` (`None` for a word the program does not know).
#[macro_export]
macro_rules! text_value {
    ($name:ty, |$value:ident| $get:expr, |$text:ident| $parse:expr) => {
        impl $crate::Value for $name {
            fn datum(&self) -> $crate::Datum<'_> {
                let $value = self;
                let word: &str = $get;
                $crate::Datum::Text(::std::borrow::Cow::Borrowed(word))
            }
        }
        impl $crate::Field for $name {
            fn from_cell(cell: $crate::Cell<'_>) -> ::std::result::Result<Self, $crate::Mismatch> {
                match cell {
                    $crate::Cell::Text($text) => {
                        $parse.ok_or_else(|| $crate::Mismatch::new(concat!("a word of ", stringify!($name)), cell))
                    }
                    _ => Err($crate::Mismatch::new(concat!("a word of ", stringify!($name)), cell)),
                }
            }
        }
        impl $crate::Staged for $name {
            const KIND: $crate::Kind = $crate::Kind::Text;
        }
    };
}

// --- SQLite ----------------------------------------------------------------------------------------------------------

fn without_nul<'a>(text: Cow<'a, str>) -> Cow<'a, str> {
    if text.contains('\0') { Cow::Owned(text.replace('\0', "\u{fffd}")) } else { text }
}

/// A list as JSON, which `json_each` reads in SQLite.
fn json_list<T: serde::Serialize>(list: &[T]) -> Result<String, NotBindable> {
    serde_json::to_string(list).map_err(|_| NotBindable("a list that JSON cannot hold"))
}

/// A value that must not reach the database.
#[derive(Debug, thiserror::Error)]
#[error("cannot bind {0}")]
pub(crate) struct NotBindable(&'static str);

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

// --- PostgreSQL ------------------------------------------------------------------------------------------------------

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

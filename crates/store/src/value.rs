//! Values on their way into the database and out of it, the same for both engines.
//!
//! A bound value is a [`Datum`], a column that was read is a [`Cell`]. Both are small closed enums, so one
//! conversion is written per Rust type and holds on both engines: the width of a whole number is fitted to the
//! column (checked), booleans are 0 and 1 in SQLite, UUIDs are 16 bytes there.
//! This module deliberately does no text formatting and never guesses: text is not parsed into a number.

mod postgres;
mod sqlite;

pub(crate) use postgres::Bound;
pub(crate) use sqlite::{from_sqlite, to_sqlite};
use std::borrow::Cow;
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

fn without_nul<'a>(text: Cow<'a, str>) -> Cow<'a, str> {
    if text.contains('\0') { Cow::Owned(text.replace('\0', "\u{fffd}")) } else { text }
}

/// A value that must not reach the database.
#[derive(Debug, thiserror::Error)]
#[error("cannot bind {0}")]
pub(crate) struct NotBindable(&'static str);

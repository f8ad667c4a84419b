//! Rows as Rust values: a struct through [`record!`](crate::record), a tuple by position, or one [`Scalar`].

use crate::error::{Error, Result};
use crate::value::{Cell, Field, from_sqlite};

/// A value read from a whole row.
pub trait Record: Sized {
    /// Read one row.
    ///
    /// # Errors
    /// [`Error::Failed`] where a column is missing or holds something else.
    fn read(row: &Row<'_>) -> Result<Self>;
}

/// One row of a result, on either engine.
pub struct Row<'r>(pub(crate) RowOf<'r>);

pub(crate) enum RowOf<'r> {
    Sqlite(&'r rusqlite::Row<'r>),
    Postgres(&'r postgres::Row),
}

impl Row<'_> {
    /// The column of this name. `near` is where it is expected: right guesses save the search.
    ///
    /// # Errors
    /// [`Error::Failed`] where there is no such column or it holds something else.
    pub fn get_near<T: Field>(&self, near: usize, column: &str) -> Result<T> {
        let position = if self.name(near) == Some(column) {
            near
        } else {
            (0..self.width())
                .find(|position| self.name(*position) == Some(column))
                .ok_or_else(|| Error::failed(format!("the statement gives no column \"{column}\""), "missing column"))?
        };
        self.at(position)
    }

    /// The column of this name.
    ///
    /// # Errors
    /// [`Error::Failed`] where there is no such column or it holds something else.
    pub fn get<T: Field>(&self, column: &str) -> Result<T> {
        self.get_near(0, column)
    }

    /// The column at this position, counted from 0.
    ///
    /// # Errors
    /// [`Error::Failed`] where there is no such column or it holds something else.
    pub fn at<T: Field>(&self, position: usize) -> Result<T> {
        let attempt = |position: usize| {
            format!("could not read column {position} (\"{}\") of a row", self.name(position).unwrap_or_default())
        };
        let cell = match &self.0 {
            RowOf::Sqlite(row) => {
                let value = row.get_ref(position).map_err(|error| Error::failed(attempt(position), error))?;
                from_sqlite(value).map_err(|error| Error::failed(attempt(position), error))?
            }
            RowOf::Postgres(row) => {
                row.try_get::<_, Cell<'_>>(position).map_err(|error| Error::failed(attempt(position), error))?
            }
        };
        T::from_cell(cell).map_err(|error| Error::failed(attempt(position), error))
    }

    fn name(&self, position: usize) -> Option<&str> {
        match &self.0 {
            RowOf::Sqlite(row) => row.as_ref().column_name(position).ok(),
            RowOf::Postgres(row) => row.columns().get(position).map(postgres::Column::name),
        }
    }

    fn width(&self) -> usize {
        match &self.0 {
            RowOf::Sqlite(row) => row.as_ref().column_count(),
            RowOf::Postgres(row) => row.len(),
        }
    }
}

/// The first column of a row, for statements that give one value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Scalar<T>(pub T);

impl<T: Field> Record for Scalar<T> {
    fn read(row: &Row<'_>) -> Result<Self> {
        row.at(0).map(Scalar)
    }
}

/// Every column of a row of whole numbers.
impl Record for Vec<i64> {
    fn read(row: &Row<'_>) -> Result<Self> {
        (0..row.width()).map(|position| row.at(position)).collect()
    }
}

macro_rules! tuple {
    ($($name:ident $position:literal),*) => {
        impl<$($name: Field),*> Record for ($($name,)*) {
            fn read(row: &Row<'_>) -> Result<Self> {
                Ok(($(row.at::<$name>($position)?,)*))
            }
        }
    };
}
tuple!(A 0);
tuple!(A 0, B 1);
tuple!(A 0, B 1, C 2);
tuple!(A 0, B 1, C 2, D 3);
tuple!(A 0, B 1, C 2, D 3, E 4);
tuple!(A 0, B 1, C 2, D 3, E 4, F 5);
tuple!(A 0, B 1, C 2, D 3, E 4, F 5, G 6);
tuple!(A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7);

/// A struct whose fields are the columns of a statement, by name.
///
/// ```
/// store::record! {
///     /// A host as the list shows it.
///     #[derive(Debug, Clone, PartialEq)]
///     pub struct HostRow {
///         /// Key.
///         pub id: i64,
///         /// Name as reported, where it is known.
///         pub name: Option<String>,
///     }
/// }
/// ```
#[macro_export]
macro_rules! record {
    ($(#[$meta:meta])* $vis:vis struct $name:ident {
        $($(#[$field_meta:meta])* $field_vis:vis $field:ident: $kind:ty),* $(,)?
    }) => {
        $(#[$meta])*
        $vis struct $name { $($(#[$field_meta])* $field_vis $field: $kind,)* }
        $crate::record_of!($name { $($field),* });
    };
}

/// Make an existing struct a [`Record`]: `record_of!(Host { id, name })`.
#[macro_export]
macro_rules! record_of {
    ($name:ty { $($field:ident),* $(,)? }) => {
        impl $crate::Record for $name {
            fn read(row: &$crate::Row<'_>) -> $crate::Result<Self> {
                let mut near = 0_usize..;
                $(let $field = row.get_near(near.next().unwrap_or(0), stringify!($field))?;)*
                Ok(Self { $($field),* })
            }
        }
    };
}

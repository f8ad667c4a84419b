//! Numbers that people see (`MJ0000001`): never reused, given in the transaction that makes the record.

use crate::{Result, Transaction};
use domain::number::{Number, Series};

/// SQL for the text of a number, with its letters and at least seven digits, as [`Number`] writes it.
macro_rules! number_text {
    ($letters:literal, $number:literal) => {
        concat!(
            "('",
            $letters,
            "' || CASE WHEN ",
            $number,
            " < 10000000 THEN substr(CAST(10000000 + ",
            $number,
            " AS TEXT), 2) ELSE CAST(",
            $number,
            " AS TEXT) END)"
        )
    };
}
pub(crate) use number_text;

/// The next number of a series.
///
/// # Errors
/// See [`Error`](crate::Error).
pub fn next(tx: &mut Transaction<'_>, series: Series) -> Result<Number> {
    let ordinal = take(tx, series.prefix(), 1)?;
    Ok(Number { series, ordinal })
}

/// `count` numbers in a row for bulk work; gives the first ordinal.
///
/// # Errors
/// See [`Error`](crate::Error).
pub fn range(tx: &mut Transaction<'_>, series: Series, count: i64) -> Result<i64> {
    take(tx, series.prefix(), count)
}

fn take(tx: &mut Transaction<'_>, prefix: &str, count: i64) -> Result<i64> {
    let after: i64 = tx.scalar(
        "INSERT INTO number_series (prefix, next) VALUES ($1, $2 + 1)
         ON CONFLICT (prefix) DO UPDATE SET next = number_series.next + excluded.next - 1
         RETURNING next",
        &[&prefix, &count],
    )?;
    Ok(after - count)
}

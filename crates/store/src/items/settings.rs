//! Settings that decide about items.

use crate::{Result, Transaction, settings};
use domain::exception::DAYS_MAX;

/// Whether a deferred item that closed and is found again within its time is deferred again.
pub const DEFER_AGAIN: &str = "items.defer_again";
/// Days ahead that an exception may hold at most.
pub const DAYS: &str = "exceptions.days_max";

/// Whether it is; it is unless somebody said otherwise.
///
/// # Errors
/// See [`Error`](crate::Error).
pub fn defer_again(tx: &mut Transaction<'_>) -> Result<bool> {
    Ok(settings::get::<bool>(tx, DEFER_AGAIN)?.is_none_or(|setting| setting.value))
}

/// How many days that are.
///
/// # Errors
/// See [`Error`](crate::Error).
pub fn exception_days_max(tx: &mut Transaction<'_>) -> Result<i64> {
    Ok(settings::get::<i64>(tx, DAYS)?.map_or(DAYS_MAX, |setting| setting.value))
}

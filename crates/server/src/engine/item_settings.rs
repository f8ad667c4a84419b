//! Settings of items: whether what was deferred is deferred again, and how long an exception may hold.

use crate::app::App;
use crate::http::auth::Caller;
use crate::http::error::Error;
use domain::access::{Action, Record};
use domain::exception::{DAYS_LONGEST, DAYS_MAX};
use store::items::settings::{self as kept, DAYS, DEFER_AGAIN};
use store::settings;

/// What holds of items.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ItemSettings {
    /// A deferred item that closed and is found again within its time is deferred again.
    pub defer_again: bool,
    /// Days ahead that an exception may hold at most.
    pub exception_days_max: i64,
}

/// What holds now.
///
/// # Errors
/// A failure of the store.
pub async fn all(app: &App) -> Result<ItemSettings, Error> {
    let read = app.database.read(|tx| {
        Ok(ItemSettings { defer_again: kept::defer_again(tx)?, exception_days_max: kept::exception_days_max(tx)? })
    });
    Ok(read.await?)
}

/// Change it; what is absent stays. What was granted stays granted.
///
/// # Errors
/// A missing permission; 422 `exception_days_max`.
pub async fn set(
    app: &App,
    caller: &Caller,
    defer_again: Option<bool>,
    exception_days_max: Option<i64>,
) -> Result<ItemSettings, Error> {
    caller.may(Action::RuleEdit, &Record::default())?;
    if exception_days_max.is_some_and(|days| !(1..=DAYS_LONGEST).contains(&days)) {
        let why = format!("give 1 to {DAYS_LONGEST} days; without a choice it is {DAYS_MAX}");
        return Err(Error::field("exception_days_max", "bad_days", why));
    }
    let (author, now) = (caller.author(), app.clock.now());
    let written = app.database.write(move |tx| {
        if let Some(again) = defer_again {
            settings::put(tx, &author, DEFER_AGAIN, &again, None, now)?;
        }
        if let Some(days) = exception_days_max {
            settings::put(tx, &author, DAYS, &days, None, now)?;
        }
        Ok(())
    });
    written.await?;
    all(app).await
}

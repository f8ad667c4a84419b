//! Due dates: the days that hold, and the items that are still to be reckoned by them.
//!
//! `domain::due` decides. The loop takes no input but the database, may be killed at any instruction and may run on two replicas:
//! an item carries by which days it was reckoned.

use crate::app::App;
use crate::http::auth::Caller;
use crate::http::conditional::changed_meanwhile;
use crate::http::error::Error;
use domain::access::{Action, Record};
use domain::due::Days;
use std::time::Duration;
use store::items::due::{self, Kept, Preview};
use store::settings;

/// Pause between two looks without a wake-up.
const PAUSE: Duration = Duration::from_secs(30);
const ACTOR: &str = "settings/due";

/// Run until the server stops.
pub async fn run(app: App) {
    let mut woken = app.wake.listen("due", 0);
    while !app.stopping.is_cancelled() {
        if let Err(error) = look(&app).await {
            tracing::error!("due dates were not reckoned again, the next look will: {error:?}");
        }
        tokio::select! {
            () = app.stopping.cancelled() => return,
            _ = woken.changed_within(PAUSE) => {}
        }
    }
}

/// Reckon the items that wait for it, in portions; gives how many.
///
/// # Errors
/// A failure of the store.
pub async fn look(app: &App) -> Result<usize, Error> {
    let mut all = 0;
    while !app.stopping.is_cancelled() && app.database.read(due::any_behind).await? {
        let now = app.clock.now();
        all += app.database.write_bulk(move |tx| due::catch_up(tx, ACTOR, now)).await?;
        app.wake.notify("item", 0);
    }
    Ok(all)
}

/// Check days that somebody wants.
fn checked(days: &Days) -> Result<(), Error> {
    days.check().map_err(|(field, why)| Error::field(field, "bad_days", why))
}

/// What other days would do.
///
/// # Errors
/// A missing permission; 422 with the field that is out of bounds.
pub async fn preview(app: &App, caller: &Caller, days: Days) -> Result<Preview, Error> {
    caller.may(Action::RuleEdit, &Record::default())?;
    checked(&days)?;
    let now = app.clock.now();
    Ok(app.database.read(move |tx| due::preview(tx, &days, now)).await?)
}

/// Change the days; items follow in portions. `seen` is the version the caller has seen.
///
/// # Errors
/// A missing permission; 412; 422 with the field that is out of bounds.
pub async fn set(app: &App, caller: &Caller, days: Days, seen: Option<i64>) -> Result<Kept, Error> {
    caller.may(Action::RuleEdit, &Record::default())?;
    checked(&days)?;
    let (author, now) = (caller.author(), app.clock.now());
    let written = app.database.try_write(move |tx| {
        let version = settings::put(tx, &author, due::SETTING, &days, seen, now).map_err(|error| match error {
            store::Error::Conflict(what) if what == settings::CHANGED => changed_meanwhile(),
            error => error.into(),
        })?;
        Ok::<_, Error>(Kept { days, version })
    });
    let kept = written.await?;
    app.wake.notify("due", 0);
    Ok(kept)
}

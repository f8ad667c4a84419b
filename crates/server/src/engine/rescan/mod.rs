//! The rescan: a request is split into launches, each launch is followed to its end, and what it found is pulled and
//! judged.
//!
//! Requests are written down by [`request`]; one loop, [`run`], does the rest and takes no input but the database. Each
//! launch that has something to do is claimed by one worker of one replica. The order of a launch is: the intent with
//! its title is durable, then the scanner is called, then the reference is durable. Whoever finds an intent without a
//! reference looks for the title at the scanner before anything is launched again, so a crash or a lost answer at any
//! place gives one scan, not two. The scan itself changes no item: the targeted import does, by the same code as every
//! import, and the verdict only says what came of it.

mod ask;
mod judge;
mod offer;
mod plan;
mod record;
mod resolved;
mod scanner;
mod settings;
mod work;

pub use ask::{Requested, cancel, may_cancel, may_retry, preview, request, retry};
pub use domain::rescan::{CallOff, Pace, Retry};
pub use offer::{Offer, available, nowhere, of_asset, of_assets, offer, offer_of_asset, unavailable};
pub use plan::{Plan, Planned, ProfileChoice, RESOLVED, Request, Skipped, Source};
pub use record::{MIXED, items_of_record, of_record, offer_in_record, offer_of_record};
pub use resolved::run as follow_resolved;
pub use settings::{PACE, RULES, Rules, pace, policy, rules, set_pace, set_policy, set_rules};

use crate::app::App;
use crate::http::{Caller, Error};
use domain::access::{Action, Record};
use domain::number::{Number, Series};
use domain::time::Timestamp;
use std::collections::BTreeSet;
use std::time::Duration;
use store::Transaction;
use store::scans::{self, ChildRow, ScanRow};
use tokio::task::JoinSet;
use uuid::Uuid;

/// Longest pause between two looks at what is due, without a wake-up.
const PAUSE: Duration = Duration::from_secs(2);
/// How long a launch stays claimed after its worker died, in seconds.
const CLAIM_SECONDS: i64 = 60;
/// How often a living worker renews that.
const RENEW_EVERY: Duration = Duration::from_secs(15);
/// Launches one replica works on at the same time.
const WORKERS_MAX: usize = 8;
/// Pause after a failure of the database.
const PAUSE_AFTER_FAILURE: Duration = Duration::from_secs(5);

/// Work on what is due until the server stops.
pub async fn run(app: App) {
    let mut woken = app.wake.listen("rescan", 0);
    let mut workers: JoinSet<()> = JoinSet::new();
    while !app.stopping.is_cancelled() {
        while workers.try_join_next().is_some() {}
        let (next, pause) = match begin_due(&app, &mut workers).await {
            Ok(next) => (next, PAUSE),
            Err(error) => {
                tracing::warn!("rescans were not looked after, the next look will: {error}");
                (None, PAUSE_AFTER_FAILURE)
            }
        };
        tokio::select! {
            () = app.stopping.cancelled() => {}
            _ = woken.changed_within(pause) => {}
            () = reached(&app, next) => {}
            Some(_) = workers.join_next() => {}
        }
    }
    // Workers notice the stop and give their claims back.
    while workers.join_next().await.is_some() {}
}

/// Claim what is due, up to the free workers; gives when the next launch is due.
async fn begin_due(app: &App, workers: &mut JoinSet<()>) -> store::Result<Option<Timestamp>> {
    while workers.len() < WORKERS_MAX {
        let now = app.clock.now();
        // Most looks find nothing due; they only read.
        let next = app.database.read(scans::next_due).await?;
        if next.is_none_or(|next| next > now) {
            return Ok(next);
        }
        let claim = Uuid::new_v4();
        let claimed = app.database.write(move |tx| scans::claim(tx, claim, now, CLAIM_SECONDS)).await?;
        // What is due is held by somebody else: come back after the pause.
        let Some(child) = claimed else { return Ok(None) };
        workers.spawn(hold(app.clone(), child));
    }
    Ok(None)
}

/// Wait for the instant at which something is due; for ever where nothing is.
async fn reached(app: &App, next: Option<Timestamp>) {
    match next {
        Some(next) => app.clock.sleep_until(next).await,
        None => std::future::pending().await,
    }
}

/// Work on a claimed launch and keep the claim meanwhile.
async fn hold(app: App, child: ChildRow) {
    let (name, scan, held) = (child.name(), child.scan_id, child.clone());
    let mut work = std::pin::pin!(work::work(&app, child));
    loop {
        tokio::select! {
            done = &mut work => {
                if let Err(error) = done {
                    tracing::warn!(scan.name = name, "the scan {name} was not worked on, the next look will: {error}");
                }
                break;
            }
            () = app.stopping.cancelled() => {
                // What was under way is as good as a crash: the intent is durable, and whoever is next looks first.
                let released = app.database.write(move |tx| scans::release(tx, &held)).await;
                if let Err(error) = released {
                    tracing::warn!(scan.name = name, "the claim of the scan {name} ends by time: {error}");
                }
                return;
            }
            () = tokio::time::sleep(RENEW_EVERY) => {
                let (held, now) = (held.clone(), app.clock.now());
                let kept = app.database.write(move |tx| scans::renew(tx, &held, now.plus_seconds(CLAIM_SECONDS))).await;
                if matches!(kept, Ok(false)) {
                    break;
                }
            }
        }
    }
    app.wake.notify("scan", scan.0);
    app.wake.notify("rescan", 0);
}

/// The request of this ordinal, if the caller may look at it.
///
/// # Errors
/// Not found, also where all of its assets are out of the caller's scope; a missing permission.
pub fn load(tx: &mut Transaction<'_>, caller: &Caller, ordinal: i64) -> Result<ScanRow, Error> {
    let missing = || Error::NotFound(format!("scan {}", Number { series: Series::Scan, ordinal }));
    let row = scans::by_number(tx, ordinal).map_err(|error| match error {
        store::Error::NotFound => missing(),
        error => error.into(),
    })?;
    let cover = ask::cover(tx, caller, &row)?;
    caller.may(Action::ScansView, &Record::default().covered(cover))?;
    Ok(row)
}

/// QIDs and hosts of a pull, each once.
fn each_once<T: Ord>(values: impl IntoIterator<Item = T>) -> Vec<T> {
    values.into_iter().collect::<BTreeSet<T>>().into_iter().collect()
}

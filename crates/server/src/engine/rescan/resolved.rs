//! Scan on Resolved: what people resolve is rescanned by itself, where its integration says so.
//!
//! The loop takes no input but the database: whatever resolves an item, and however often the server stops in between, the item
//! is looked at once for each time it was resolved. It asks in the name of who resolved it, with his permissions as they are.

use super::plan::{Request, Source};
use super::{ProfileChoice, ask, offer};
use crate::app::App;
use crate::http::auth::Proof;
use crate::http::{Caller, Error};
use domain::id::{InstanceId, ItemId};
use domain::number::{Number, Series};
use domain::time::Timestamp;
use std::collections::BTreeMap;
use std::time::Duration;
use store::scans::{self, ResolvedRow};
use store::{Transaction, accounts};

/// Pause between two looks.
const PAUSE: Duration = Duration::from_secs(5);
/// What is resolved within so many seconds is asked for together.
const GATHER_SECONDS: i64 = 60;
/// Items in one look at most.
const AT_ONCE: i64 = 2_000;

/// Look until the server stops.
pub async fn run(app: App) {
    while !app.stopping.is_cancelled() {
        if let Err(error) = look(&app).await {
            tracing::warn!("what was resolved was not looked at, the next look will: {error:?}");
        }
        tokio::select! {
            () = app.stopping.cancelled() => {}
            () = tokio::time::sleep(PAUSE) => {}
        }
    }
}

/// Ask for what was resolved a while ago.
async fn look(app: &App) -> Result<(), Error> {
    let now = app.clock.now();
    let until = now.plus_seconds(-GATHER_SECONDS);
    // Most looks find nothing; they only read.
    let any = app.database.read(move |tx| scans::resolved(tx, until, 1)).await.map_err(Error::from)?;
    if any.is_empty() {
        return Ok(());
    }
    let asked = app.database.try_write(move |tx| {
        let rows = scans::resolved(tx, until, AT_ONCE)?;
        let mut groups: BTreeMap<(InstanceId, String), Vec<ResolvedRow>> = BTreeMap::new();
        for row in rows {
            groups.entry((row.instance_id, row.cause.clone())).or_default().push(row);
        }
        let mut asked = Vec::new();
        for ((_, who), rows) in groups {
            let (refused, scan) = ask_for(tx, &who, &rows, now)?;
            scans::looked_at(tx, &rows, &refused, now)?;
            asked.extend(scan);
        }
        Ok::<_, Error>(asked)
    });
    for scan in asked.await? {
        app.wake.notify("scan", scan.0);
    }
    app.wake.notify("rescan", 0);
    Ok(())
}

type Refused = Vec<(ItemId, &'static str)>;

/// Ask in the name of who resolved it; gives what is not rescanned with its code, and the request.
fn ask_for(
    tx: &mut Transaction<'_>,
    who: &str,
    rows: &[ResolvedRow],
    now: Timestamp,
) -> Result<(Refused, Option<domain::id::ScanId>), Error> {
    let account = match who.strip_prefix("users/") {
        Some(name) => accounts::by_name(tx, name)?.filter(|account| account.active),
        None => None,
    };
    let Some(account) = account else {
        return Ok((rows.iter().map(|row| (row.item_id, "nobody_resolved_it")).collect(), None));
    };
    let caller = Caller { actor: account.actor(None), proof: Proof::Token(0), password_temporary: false };
    let numbers: Vec<i64> = rows.iter().map(|row| row.number).collect();
    let refusals = offer::unavailable(tx, &caller, &numbers)?;
    let code = |row: &ResolvedRow| Some((row.item_id, refusals.get(&row.number)?.code));
    let refused: Refused = rows.iter().filter_map(code).collect();
    let allowed = numbers.into_iter().filter(|number| !refusals.contains_key(number));
    let items: Vec<Number> = allowed.map(|ordinal| Number { series: Series::Item, ordinal }).collect();
    if items.is_empty() {
        return Ok((refused, None));
    }
    let source = Source::Resolved(items);
    let request = Request { source, profile: ProfileChoice::Default, eligible_only: true, seen: None, mail: true };
    match ask::request_in(tx, &caller, &request, now) {
        Ok(requested) => Ok((refused, Some(requested.id))),
        Err(Error::Internal(error)) => Err(Error::Internal(error)),
        // A profile that went away between two reads: said in the log, and not tried for ever.
        Err(error) => {
            tracing::warn!("what {who} resolved is not rescanned: {}", error.to_problem().detail);
            Ok((rows.iter().map(|row| (row.item_id, "not_rescanned")).collect(), None))
        }
    }
}

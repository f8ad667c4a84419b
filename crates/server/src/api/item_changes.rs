//! Several items changed at once: each as it could be changed alone, those that may not be counted by reason.

use super::items::{BATCH, given_to, judged, matching, state_word};
use crate::app::App;
use crate::http::{Caller, Error};
use axum::Json;
use axum::extract::State;
use domain::access::Action;
use domain::id::ItemId;
use domain::item::State as ItemState;
use domain::time::Timestamp;
use protocol::api::exposure::{Assignment, ItemChanges, ItemsChangedBody, RefusedCount};
use std::collections::BTreeSet;
use store::{Transaction, items, remediation};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// Items that one change of several is about at most.
pub(crate) const CHANGED_MAX: usize = 10_000;

/// The routes of this noun.
pub fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(change_several))
}

/// What a change of several items gives each of them.
#[derive(Clone, Debug)]
enum Gets {
    State(ItemState),
    Assignment(Assignment),
}

fn gets(given: &ItemChanges) -> Result<Gets, Error> {
    match (&given.state, &given.assignment) {
        (Some(word), None) => state_word(word).map(Gets::State),
        (None, Some(assignment)) => Ok(Gets::Assignment(assignment.clone())),
        _ => Err(Error::field("state", "one_of", "say either a state or an assignment")),
    }
}

/// Change several items, in transactions of at most [`BATCH`]: those that may have it, the others are counted by reason.
///
/// # Errors
/// The first refusal where none could be changed; 422 for what is not acceptable.
pub(crate) async fn change_all(app: &App, caller: &Caller, given: ItemChanges) -> Result<ItemsChangedBody, Error> {
    let gets = gets(&given)?;
    let numbers = match given.q.as_deref().filter(|_| given.items.is_empty()) {
        Some(q) => matching(app, caller, q, CHANGED_MAX).await?,
        None => given.items,
    };
    if numbers.is_empty() || numbers.len() > CHANGED_MAX {
        return Err(Error::field("items", "count", format!("a change is about 1 to {CHANGED_MAX} items")));
    }
    let once: Vec<String> = numbers.into_iter().collect::<BTreeSet<_>>().into_iter().collect();
    let (mut done, mut first) = (ItemsChangedBody::default(), None);
    for batch in once.chunks(BATCH) {
        let (batch, caller, gets, now) = (batch.to_vec(), caller.clone(), gets.clone(), app.clock.now());
        let written = app.database.try_write(move |tx| change_batch(tx, &caller, &gets, &batch, now));
        let (changed, unchanged, refused) = written.await?;
        app.wake.notify("item", 0);
        done.changed += i64::try_from(changed).unwrap_or(i64::MAX);
        done.unchanged += i64::try_from(unchanged).unwrap_or(i64::MAX);
        for error in refused {
            count(&mut done.refused, &error);
            first.get_or_insert(error);
        }
    }
    match (done.changed + done.unchanged, first) {
        (0, Some(error)) => Err(error),
        _ => Ok(done),
    }
}

fn count(refused: &mut Vec<RefusedCount>, error: &Error) {
    let problem = error.to_problem();
    match refused.iter_mut().find(|one| one.code == problem.code) {
        Some(one) => one.count += 1,
        None => refused.push(RefusedCount { code: problem.code, reason: problem.detail, count: 1 }),
    }
}

/// How many were changed, how many were so already, and what was refused.
fn change_batch(
    tx: &mut Transaction<'_>,
    caller: &Caller,
    gets: &Gets,
    batch: &[String],
    now: Timestamp,
) -> Result<(usize, usize, Vec<Error>), Error> {
    let action = match gets {
        Gets::State(_) => Action::ItemTransition,
        Gets::Assignment(_) => Action::ItemAssign,
    };
    let (mut rows, mut refused) = (Vec::new(), Vec::new());
    for answer in judged(tx, caller, action, batch)? {
        match answer {
            Ok(row) => rows.push(row),
            Err(error) => refused.push(error),
        }
    }
    match gets {
        Gets::State(to) => {
            let keys: Vec<ItemId> = rows.iter().map(|row| row.id).collect();
            let mut kept = remediation::outranking(tx, &keys, *to)?;
            let mut changes = Vec::new();
            for row in rows {
                match domain::item::change_state(row.workflow(), *to, now) {
                    Ok(_) if kept.contains_key(&row.id) => {
                        refused.extend(kept.remove(&row.id).map(|task| items::kept_by(task, *to).into()));
                    }
                    Ok(after) => changes.push((row, after)),
                    Err(refusal) => refused.push(refusal.into()),
                }
            }
            if !changes.is_empty() {
                items::set_states(tx, &caller.author(), &changes, *to, now)?;
            }
            Ok((changes.len(), 0, refused))
        }
        Gets::Assignment(given) => {
            let (owner, group) = given_to(tx, given)?;
            let owner = owner.as_ref().map(|account| (account.id, account.name.as_str()));
            let changed = items::assign_all(tx, &caller.author(), &rows, owner, &group, now)?;
            Ok((changed, rows.len() - changed, refused))
        }
    }
}

/// Change several items
///
/// Each as it could be changed alone: those that may have the state or the assignment, the others are counted by reason. Where that
/// is all of them, nothing is done.
#[utoipa::path(post, path = "/items/changes", tag = "items", request_body = ItemChanges,
    responses((status = OK, body = ItemsChangedBody), (status = CONFLICT,
    description = "`item_closed`, `closed_by_import`, `by_request`, `in_review`, `deferred`, `resolved`, `same_state`")))]
async fn change_several(
    State(app): State<App>,
    caller: Caller,
    Json(given): Json<ItemChanges>,
) -> Result<Json<ItemsChangedBody>, Error> {
    Ok(Json(change_all(&app, &caller, given).await?))
}

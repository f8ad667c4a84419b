//! Seals the audit log every few seconds, and removes what no longer matters: sessions past their limits, forgotten
//! failures, tokens that ended long ago, old answers kept for idempotency keys, evidence older than people want to keep it. Retires
//! agents that were not heard of for too long, lets count no more what no agent looks at, and asks anew for what an older program asked to be approved.
//!
//! Takes no input but the database. Sealing holds a lease, so that two replicas do not seal the same entries; the rest
//! may happen twice without harm.

use super::{after, approvals, catalogue, evidence, retire};
use crate::app::App;
use crate::http::error::causes;
use crate::http::idempotency::KEPT_SECONDS;
use domain::time::Timestamp;
use std::time::Duration;
use store::{audit, idempotency, imports, lease, sessions, tokens};
use uuid::Uuid;

/// Pause between two looks.
const PAUSE: Duration = Duration::from_secs(3);
/// Looks between two removals: about ten minutes.
const LOOKS_PER_SWEEP: u32 = 200;
/// Seconds a token is listed after its end, so that its owner sees what ended: a week.
const TOKENS_KEPT_SECONDS: i64 = 7 * 86_400;
/// Seconds the rows that an import could not use are described after its end: 90 days. Their number is kept for ever.
const REJECTIONS_KEPT_SECONDS: i64 = 90 * 86_400;
/// How long the record of an import stays after its end.
const RUNS_KEPT_SECONDS: i64 = 400 * 86_400;
/// Imports whose descriptions are removed in one transaction.
const REJECTED_RUNS_MAX: i64 = 500;
/// The lease of sealing, and how long it is taken for, in seconds.
const SEALING: (&str, i64) = ("audit-seal", 60);

/// Run until the server stops.
pub async fn run(app: App) {
    let holder = Uuid::new_v4();
    let mut looks = 0;
    while !app.stopping.is_cancelled() {
        if let Err(error) = seal(&app, holder).await {
            tracing::warn!("the audit log was not sealed now; trying again: {}", causes(&error));
        }
        if looks == 0 {
            match sweep(&app).await {
                Ok(removed) => tracing::debug!(
                    removed,
                    "removed {removed} sessions, tokens, answers and pieces of evidence that no longer matter"
                ),
                Err(error) => tracing::warn!("old sessions were not removed now; trying again: {}", causes(&error)),
            }
        }
        looks = (looks + 1) % LOOKS_PER_SWEEP;
        tokio::select! {
            () = app.stopping.cancelled() => {}
            () = tokio::time::sleep(PAUSE) => {}
        }
    }
}

/// Seal whatever is not sealed yet; gives the number of the last seal made.
///
/// # Errors
/// See [`store::Error`].
pub async fn seal(app: &App, holder: Uuid) -> store::Result<Option<i64>> {
    let mut last = None;
    // Looking costs nothing; taking the lease is a write, which an idle server does not make.
    while app.database.read(audit::waiting).await? {
        let (now, keys) = (app.clock.now(), app.keys.clone());
        let sealed = app.database.write(move |tx| {
            let (name, seconds) = SEALING;
            let Some(lease) = lease::acquire(tx, name, holder, now, seconds)? else { return Ok(None) };
            audit::seal(tx, &lease, &keys.audit_id(), &keys.audit, now)
        });
        match sealed.await? {
            Some(seal) => last = Some(seal.number),
            None => break,
        }
    }
    Ok(last)
}

/// Remove what no longer matters; gives how much that was.
///
/// # Errors
/// See [`store::Error`].
pub async fn sweep(app: &App) -> store::Result<u64> {
    let (now, limits): (Timestamp, _) = (app.clock.now(), app.session_limits);
    catalogue::lapse(app).await?;
    if let Err(error) = retire::look(app).await {
        tracing::error!("agents that are gone were not looked for, the next look will: {error:?}");
    }
    if let Err(error) = after::watch::look(app).await {
        tracing::error!("mitigations that no agent looks at were not looked for, the next look will: {error:?}");
    }
    // At the start of a newer program, too, which is when there may be some.
    if let Err(error) = approvals::anew::renew(app).await {
        tracing::error!("requests for approval of an older form were not asked anew, the next look will: {error:?}");
    }
    let gone = app.database.write(move |tx| sessions::sweep(tx, limits, now)).await?;
    let answers = app.database.write(move |tx| idempotency::forget_before(tx, now.plus_seconds(-KEPT_SECONDS))).await?;
    let ended = now.plus_seconds(-TOKENS_KEPT_SECONDS);
    let ended = app.database.write(move |tx| tokens::forget_before(tx, ended)).await?;
    let before = now.plus_seconds(-REJECTIONS_KEPT_SECONDS);
    let rejections = app.database.write(move |tx| imports::forget_rejections(tx, before, REJECTED_RUNS_MAX)).await?;
    let before = now.plus_seconds(-RUNS_KEPT_SECONDS);
    let runs = app.database.write(move |tx| imports::forget_runs(tx, before, REJECTED_RUNS_MAX)).await?;
    Ok(gone + answers + ended + rejections + runs + evidence::sweep(app).await?)
}

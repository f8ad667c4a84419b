//! Controls that no agent looks at any more stop counting: its agent was retired or revoked, sits elsewhere, or was enrolled anew and
//! knows nothing of them. A lost order so lowers no score for ever: what it did, or undid, nobody knows.
//!
//! `domain::control::unwatched` decides. Each page is read first and a transaction of its own; whoever comes back says with its next look
//! what is in force, and it counts again.

use crate::app::App;
use crate::engine::results;
use crate::http::error::Error;
use domain::control::Turn;
use domain::id::AssetId;
use domain::time::Timestamp;
use std::collections::BTreeMap;
use store::Transaction;
use store::audit::{self, Entry};
use store::controls::watch;

/// Who does it, in the audit log.
const AUTHOR: &str = "engine/after";
/// What the asset's page says of such a control.
const NOTE: &str = "no agent looks at it any more";
/// Controls that one entry of the audit names.
const NAMED_MAX: usize = 50;

/// One look at who is not looked at; gives how many controls count no more.
///
/// # Errors
/// A failure of the store.
pub async fn look(app: &App) -> Result<usize, Error> {
    let (mut last, mut all) = (0, 0);
    loop {
        let page = app.database.try_read(move |tx| Ok::<_, Error>(watch::unwatched(tx, last)?)).await?;
        let Some(end) = page.last() else { break };
        last = *end;
        let now = app.clock.now();
        all += app.database.try_write(move |tx| unwatch(tx, &page, now)).await?;
    }
    if all > 0 {
        tracing::warn!(controls = all, "{all} mitigations count no more, because no agent looks at them");
    }
    Ok(all)
}

fn unwatch(tx: &mut Transaction<'_>, page: &[i64], now: Timestamp) -> Result<usize, Error> {
    let gone = watch::unwatch(tx, page, NOTE, now)?;
    if gone.is_empty() {
        return Ok(0);
    }
    let named: Vec<_> = gone.iter().take(NAMED_MAX).map(|(asset, entry)| format!("assets/{asset}: {entry}")).collect();
    let mut by_asset: BTreeMap<AssetId, Vec<&str>> = BTreeMap::new();
    for (asset, entry) in &gone {
        by_asset.entry(*asset).or_default().push(entry);
    }
    for (asset, entries) in by_asset {
        let cause = format!("{} {}: {NOTE}", entries.join(", "), Turn::Lost.words());
        results::rescore(tx, asset, &cause, now)?;
    }
    let detail = serde_json::json!({ "controls": gone.len(), "named": named });
    audit::append(tx, &Entry { at: now, actor: AUTHOR, action: "control.unwatched", resource: "controls", detail })?;
    Ok(gone.len())
}

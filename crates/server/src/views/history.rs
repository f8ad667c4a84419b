//! What happened to a job, as bodies and in words.

use crate::engine::jobs::Job;
use crate::http::auth::Caller;
use crate::http::error::Error;
use domain::access::AssetScope;
use domain::filter::{Context, Filter};
use domain::time::Timestamp;
use protocol::api::response as body;
use std::collections::BTreeMap;
use store::jobs::history::{self, HistoryLine};
use store::list::{Page, Query};
use store::{Transaction, audit};

/// The order where nobody says how to sort.
pub const NEWEST_FIRST: &str = "-at";
/// Events counted at most: the page says this anew whenever something happens.
const COUNTED_MAX: i64 = 1_000;

/// A page of the history of a job that was loaded for its caller, with the tasks on assets inside his scope only.
///
/// # Errors
/// 422 for a sort or cursor that is not the list's.
pub fn page(
    tx: &mut Transaction<'_>,
    caller: &Caller,
    job: &Job,
    query: &Query,
) -> Result<Page<body::JobEvent>, Error> {
    let found = lines(tx, job, query)?;
    // Counts, names and reasons in there are about the whole job.
    let mut details = if caller.scope == AssetScope::All { details(tx, &found.rows)? } else { BTreeMap::new() };
    let event = |line: HistoryLine| body::JobEvent {
        text: text(&line),
        detail: line.audit_id.and_then(|id| details.remove(&id)).unwrap_or_default(),
        at: line.at,
        by: line.actor,
        what: line.what,
        run: line.run,
        asset: line.asset_id.map(|asset| asset.0),
        asset_name: line.asset,
        entry: line.entry,
    };
    Ok(Page { rows: found.rows.into_iter().map(event).collect(), next_cursor: found.next_cursor })
}

/// The same as lines.
///
/// # Errors
/// 422 for a sort or cursor that is not the list's.
pub fn lines(tx: &mut Transaction<'_>, job: &Job, query: &Query) -> Result<Page<HistoryLine>, Error> {
    Ok(history::page(tx, job.row.id, &job.row.name(), &job.scope, query)?)
}

/// How much happened besides the `shown` events, in words; empty where nothing did.
///
/// # Errors
/// A failure of the store.
pub fn more(tx: &mut Transaction<'_>, job: &Job, shown: usize, now: Timestamp) -> Result<String, Error> {
    let query = Query::new(Filter::Everything, Context::at(now));
    let all = history::count(tx, job.row.id, &job.row.name(), &job.scope, &query, COUNTED_MAX)?;
    let shown = i64::try_from(shown).unwrap_or(i64::MAX);
    Ok(match all - shown {
        ..=0 => String::new(),
        _ if all == COUNTED_MAX => format!("More than {} more", COUNTED_MAX - shown - 1),
        more => format!("{more} more"),
    })
}

fn details(tx: &mut Transaction<'_>, lines: &[HistoryLine]) -> Result<BTreeMap<i64, serde_json::Value>, Error> {
    let ids: Vec<i64> = lines.iter().filter_map(|line| line.audit_id).collect();
    let detail = |bytes: Vec<u8>| {
        let mut entry: serde_json::Value = serde_json::from_slice(&bytes).unwrap_or_default();
        entry.get_mut("detail").map(serde_json::Value::take).unwrap_or_default()
    };
    Ok(audit::bodies(tx, &ids)?.into_iter().map(|(id, bytes)| (id, detail(bytes))).collect())
}

/// An event in words.
#[must_use]
pub fn text(line: &HistoryLine) -> String {
    match line.what.strip_prefix("task.") {
        Some("began") => format!("{} began", line.asset),
        Some(state) => format!("{}: {}", line.asset, state.replace('_', " ")),
        None => deed(&line.what),
    }
}

/// What was done to a job or a run, for people.
#[must_use]
pub fn deed(action: &str) -> String {
    let known = match action {
        "job.create" => "Draft made",
        "job.edit" => "Edited",
        "job.save" => "Saved",
        "job.save_and_enable" => "Saved and enabled",
        "job.enable" => "Enabled",
        "job.disable" => "Disabled",
        "job.pause" => "Paused",
        "job.resume" => "Resumed",
        "job.cancel" => "Cancelled",
        "job.run" => "A run was made",
        "job.run_now" => "Run at once",
        "job.retry_failed" => "What failed is run again",
        "job.clone" => "Draft made as a copy",
        "job.change_owner" => "Given to somebody else",
        "job.dry_run" => "Dry run begun",
        "job.renew" => "An action took the revision in force",
        "job.review" => "Review done",
        "job.delete" => "Deleted",
        "job.end" => "The run is over",
        "run.halt" => "The run is being halted",
        "run.halted" => "The run is halted",
        "run.resume" => "The run goes on",
        "run.wave" => "The next wave opened",
        "run.promote" => "The next wave was opened by hand",
        "run.passed_over" => "Hosts that are away were passed over",
        "approval.ask" => "Approval asked for",
        "approval.sign" => "Approval signed",
        "approval.reject" => "Approval rejected",
        "approval.void" => "Approval no longer asked for",
        "approval.expire" => "Nobody approved in time",
        "mail.queue" => "Mail queued",
        other => return sentence(other),
    };
    known.to_owned()
}

/// `job.something_new` is "Something new".
fn sentence(action: &str) -> String {
    let word = action.strip_prefix("job.").unwrap_or(action).replace(['_', '.'], " ");
    let mut chars = word.chars();
    chars.next().map_or_else(String::new, |first| first.to_uppercase().chain(chars).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::job::Act;

    #[test]
    fn every_act_is_told_in_words_of_its_own() {
        for act in Act::ALL {
            let action = format!("job.{}", act.as_str());
            assert_ne!(deed(&action), sentence(&action), "{action}");
        }
        assert_eq!(deed("job.something_new"), "Something new");
        assert_eq!(deed("control.something_new"), "Control something new");
    }

    #[test]
    fn a_task_is_told_with_its_asset() {
        let line = |what: &str| HistoryLine {
            at: Timestamp::from_micros(0),
            actor: String::new(),
            what: what.to_owned(),
            run: Some(1),
            asset_id: None,
            asset: "alpha".to_owned(),
            entry: "one".to_owned(),
            audit_id: None,
        };
        assert_eq!(text(&line("task.began")), "alpha began");
        assert_eq!(text(&line("task.verify_failed")), "alpha: verify failed");
    }
}

//! Controls, proposals, reviews and asset risk as bodies.

use crate::engine::follow::Settings;
use crate::http::error::Error;
use domain::control::Afterwards;
use domain::id::AssetId;
use domain::risk::{self, Exposed, Formula};
use domain::time::Timestamp;
use protocol::api::follow as body;
use std::collections::HashMap;
use store::controls::after::{ControlLine, Review};
use store::proposals::ProposalRow;
use store::{Transaction, assets, jobs};

/// Tags that say an asset can be reached from outside: the scanner's own, and the plain word.
const EXTERNAL_TAGS: [&str; 2] = ["internet facing assets", "external"];

/// A control.
#[must_use]
pub fn control(row: ControlLine) -> body::Control {
    body::Control {
        id: row.id,
        asset_id: row.asset_id.0,
        asset: row.asset_name,
        entry: row.entry,
        title: row.title,
        state: row.state.as_str().to_owned(),
        origin: row.origin.as_str().to_owned(),
        job: row.job_number.map(jobs::name),
        reversible: row.reversible,
        note: row.note,
        since_at: Some(row.since_at),
        checked_at: Some(row.checked_at),
        drifted_at: row.drifted_at,
        expires_at: row.expires_at,
        expired_at: row.expired_at,
        put_back: row.put_back_times,
    }
}

/// A proposal.
#[must_use]
pub fn proposal(row: ProposalRow) -> body::Proposal {
    let (detail, caution) = (row.words(), row.caution().to_owned());
    body::Proposal {
        id: row.id,
        asset_id: row.asset_id.0,
        asset: row.asset_name,
        entry: row.entry,
        title: row.title,
        reason: row.reason.as_str().to_owned(),
        detail,
        caution,
        state: row.state.as_str().to_owned(),
        created_at: Some(row.created_at),
        decided_at: row.decided_at,
        decided_by: row.decided_by,
        answer: row.answer,
        job: row.job_number.map(jobs::name),
    }
}

/// A review that is due.
#[must_use]
pub fn review(row: Review) -> body::Review {
    body::Review {
        job: jobs::name(row.number),
        title: row.title,
        owner: row.owner,
        review_at: Some(row.review_at),
        controls: row.controls,
    }
}

/// What a job says of the time after it.
#[must_use]
pub fn afterwards(after: &Afterwards) -> body::Afterwards {
    body::Afterwards {
        expires_days: after.expires_days,
        expires_at: after.expires_at.map(|at| at.to_string()),
        roll_back: after.roll_back,
        review_at: after.review_at.map(|at| at.to_string()),
    }
}

/// The same in words; empty when it says nothing.
#[must_use]
pub fn in_words(after: &Afterwards) -> String {
    let day = |at: Timestamp| at.to_jiff().strftime("%-d %b %Y").to_string();
    let mut said = Vec::new();
    let then = if after.roll_back { "rolled back by itself" } else { "rollback proposed" };
    if let Some(days) = after.expires_days {
        said.push(format!(
            "expires {days} {} after it was put in place, {then}",
            if days == 1 { "day" } else { "days" }
        ));
    }
    if let Some(at) = after.expires_at {
        said.push(format!("expires on {}, {then}", day(at)));
    }
    if let Some(at) = after.review_at {
        said.push(format!("to be reviewed on {}", day(at)));
    }
    said.join("; ")
}

/// What people say of the time after a job.
///
/// # Errors
/// 422 `after.expires_at` or `after.review_at` for what is neither a date nor an instant.
pub fn understood(given: &body::Afterwards) -> Result<Afterwards, Error> {
    let at = |text: &Option<String>, field: &str| match text.as_deref() {
        None | Some("") => Ok(None),
        Some(text) => instant(text, field).map(Some),
    };
    Ok(Afterwards {
        expires_days: given.expires_days,
        expires_at: at(&given.expires_at, "after.expires_at")?,
        roll_back: given.roll_back,
        review_at: at(&given.review_at, "after.review_at")?,
    })
}

/// A date, which is its midnight in UTC, or an instant.
///
/// # Errors
/// 422 naming the field.
pub fn instant(text: &str, field: &str) -> Result<Timestamp, Error> {
    let date = || text.parse::<jiff::civil::Date>().ok()?.to_zoned(jiff::tz::TimeZone::UTC).ok();
    if let Ok(at) = text.parse::<Timestamp>() {
        return Ok(at);
    }
    date().map(|day| day.timestamp().into()).ok_or_else(|| {
        Error::field(field, "bad_time", "give a date such as 2026-12-31, or an instant such as 2026-12-31T12:00:00Z")
    })
}

/// Settings.
#[must_use]
pub fn settings(settings: &Settings) -> body::FollowSettings {
    body::FollowSettings { check_minutes: settings.check_minutes, formula: settings.formula.as_str().to_owned() }
}

/// A risk beside its formula.
#[must_use]
pub fn risk(formula: Formula, value: i64) -> body::Risk {
    body::Risk { value, formula: formula.as_str().to_owned(), text: formula.text().to_owned() }
}

/// What the risk of these assets is computed from: criticality (of several tags the highest, R22), and what is open.
///
/// # Errors
/// A failure of the store.
pub fn exposed<'t>(
    tx: &mut Transaction<'_>,
    wanted: impl IntoIterator<Item = (AssetId, i64, &'t [String])>,
) -> Result<HashMap<AssetId, Exposed>, Error> {
    let external = |tags: &[String]| tags.iter().any(|tag| EXTERNAL_TAGS.contains(&tag.to_lowercase().as_str()));
    let mut found: HashMap<AssetId, Exposed> = wanted
        .into_iter()
        .map(|(id, criticality, tags)| {
            let criticality = u8::try_from(criticality.clamp(1, 5)).unwrap_or(1);
            (id, Exposed { criticality, external: external(tags), ..Exposed::default() })
        })
        .collect();
    let ids: Vec<AssetId> = found.keys().copied().collect();
    for (asset, residual, count) in assets::open_scores(tx, &ids)? {
        if let Some(exposed) = found.get_mut(&asset) {
            // The highest CVE of a detection is the detection's score (R11), so both stand for each other here.
            exposed.detections.extend(std::iter::repeat_n(residual, usize::try_from(count).unwrap_or(0)));
        }
    }
    Ok(found)
}

/// The risk of one asset by a formula, as people see it.
#[must_use]
pub fn value(formula: Formula, exposed: &Exposed) -> i64 {
    risk::rounded(risk::risk(formula, exposed))
}

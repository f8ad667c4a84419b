//! What a job means for each CVE, as a card of its page.

use crate::engine::jobs::Job as Full;
use crate::http::Error;
use crate::pages::chips::Change;
use crate::pages::jobs::{CveRow, CvesPart};
use crate::views;
use domain::job::Status;
use protocol::api::response::JobCve;
use store::Transaction;

/// CVEs shown; the summary has all.
const CVES_SHOWN: usize = 10;

/// The card. A draft has done nothing, so there is nothing to say yet.
///
/// # Errors
/// A failure of the store.
pub(super) fn part(tx: &mut Transaction<'_>, full: &Full) -> Result<CvesPart, Error> {
    let draft = full.row.status == Status::Draft;
    let found = if draft { Vec::new() } else { views::report::cves(tx, full)? };
    Ok(CvesPart {
        more: i64::try_from(found.len().saturating_sub(CVES_SHOWN)).unwrap_or(i64::MAX),
        rows: found.into_iter().take(CVES_SHOWN).map(row).collect(),
        all: format!("/jobs/{}/summary", full.row.name()),
        none: if draft {
            "What the job means for each CVE stands here once its draft is saved."
        } else {
            "None of its vulnerabilities is open on its assets."
        },
    })
}

fn row(cve: JobCve) -> CveRow {
    CveRow {
        cve: cve.cve,
        qids: cve.qids,
        mitigated: cve.mitigated,
        partly: cve.partly,
        not: cve.not,
        change: Change::new(Some(cve.inherent), Some(cve.residual)),
    }
}

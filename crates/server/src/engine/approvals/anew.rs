//! Requests that end because something else is to be approved than they say, and are asked for anew.

use super::{ask, note};
use crate::app::App;
use crate::http::error::Error;
use domain::approval::State;
use domain::refusal::Refusal;
use domain::time::Timestamp;
use protocol::approval::{MANIFEST_VERSION, older};
use store::approvals::{self, ApprovalRow};
use store::jobs::JobRow;
use store::{Transaction, jobs};

/// Why a request is void whose run is another one than it was.
pub const CHANGED: &str = "machines, content, times or rollout of the run changed since this plan was made";
/// Why a request is void that an older program made: what it wants signed counts nowhere any more.
pub const OLDER: &str = "this plan was made by an older version of the server, in a form that nobody signs any more";

/// End a request and ask for the same run as it is now; gives the new request, none where nobody has to be asked any more.
///
/// # Errors
/// `approval_meanwhile` where somebody decided first; whatever [`ask`] refuses.
pub(super) fn ask_again(
    tx: &mut Transaction<'_>,
    author: &str,
    job: &JobRow,
    row: &ApprovalRow,
    why: &str,
    now: Timestamp,
) -> Result<Option<i64>, Error> {
    if !approvals::end(tx, row.id, State::Void, "", why, now)? {
        return Err(Refusal::new("approval_meanwhile", "somebody else decided meanwhile; look at it again").into());
    }
    let detail = serde_json::json!({ "approval": row.id, "run": row.run_ordinal, "reason": why });
    note(tx, author, "approval.void", job, detail, now)?;
    ask(tx, job, row.run_id, now)
}

/// Ask anew for whatever an older program asked for and nobody decided, each once: the new request is of this version. Gives how
/// many.
///
/// One transaction for each, so that one that cannot be asked for keeps back no other; that one is said and tried again.
///
/// # Errors
/// See [`store::Error`]; those of one request are logged.
pub async fn renew(app: &App) -> store::Result<u64> {
    let mine = format!("{{\"v\":{MANIFEST_VERSION},");
    let (now, mut renewed) = (app.clock.now(), 0);
    for (id, manifest) in app.database.read(move |tx| approvals::begun_otherwise(tx, &mine)).await? {
        // What a newer program asked for is its own to look after.
        if !older(&manifest) {
            continue;
        }
        let asked = app.database.try_write(move |tx| {
            let Some(row) = approvals::find(tx, id)?.filter(|row| row.state == State::Pending) else { return Ok(None) };
            let job = jobs::read(tx, row.job_id)?;
            ask_again(tx, "engine/approvals", &job, &row, OLDER, now)?;
            Ok::<_, Error>(Some(job.id))
        });
        match asked.await {
            Ok(Some(job)) => {
                renewed += 1;
                super::tell(app);
                app.wake.notify("job", job.0);
            }
            Ok(None) => {}
            Err(error) => tracing::error!(
                approval.id = id,
                "approval {id} is of an older version and was not asked for anew, the next look will: {error:?}"
            ),
        }
    }
    Ok(renewed)
}

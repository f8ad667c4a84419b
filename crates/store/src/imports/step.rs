//! What a run did one after the other: pages, rows, and how long each step waited for the platform and for the merge.

use super::Run;
use crate::{Result, Transaction, record};
use domain::time::Timestamp;

record! {
    /// One step of a run.
    #[derive(Clone, Debug, Default, PartialEq, Eq)]
    pub struct Step {
        /// From 1.
        pub ordinal: i64,
        /// `option_profiles`, `appliances`, `knowledge_base`, `host_list`, `detections`, `back_fill`, `hosts` or `file`.
        pub name: String,
        /// Answers of the platform.
        pub pages: i64,
        /// Hosts, detections and entries that were read.
        pub rows_read: i64,
        /// Bytes of the answers.
        pub bytes: i64,
        /// Milliseconds of waiting for the platform, its limits and second tries among them.
        pub asked_ms: i64,
        /// Milliseconds of merging.
        pub merged_ms: i64,
        /// Begun.
        pub started_at: Timestamp,
        /// Ended; none for one that is at work or did not get to its end.
        pub ended_at: Option<Timestamp>,
    }
}

/// Write down how far a step is.
///
/// # Errors
/// See [`Error`](crate::Error).
pub fn keep(tx: &mut Transaction<'_>, run: &Run, step: &Step) -> Result<()> {
    tx.execute(
        "INSERT INTO import_step (run_id, ordinal, name, pages, rows_read, bytes, asked_ms, merged_ms, started_at, ended_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
         ON CONFLICT (run_id, ordinal) DO UPDATE SET pages = excluded.pages, rows_read = excluded.rows_read,
             bytes = excluded.bytes, asked_ms = excluded.asked_ms, merged_ms = excluded.merged_ms,
             ended_at = excluded.ended_at",
        &[
            &run.id,
            &step.ordinal,
            &step.name,
            &step.pages,
            &step.rows_read,
            &step.bytes,
            &step.asked_ms,
            &step.merged_ms,
            &step.started_at,
            &step.ended_at,
        ],
    )?;
    Ok(())
}

/// The steps of a run, in order.
///
/// # Errors
/// See [`Error`](crate::Error).
pub fn steps(tx: &mut Transaction<'_>, run: i64) -> Result<Vec<Step>> {
    tx.all(
        "SELECT ordinal, name, pages, rows_read, bytes, asked_ms, merged_ms, started_at, ended_at FROM import_step
         WHERE run_id = $1 ORDER BY ordinal",
        &[&run],
    )
}

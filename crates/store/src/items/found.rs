//! What was found on an asset, by the ids under which other programs know it.

use crate::{Result, Transaction, record};
use domain::id::AssetId;
use std::collections::BTreeMap;

record! {
    /// The item of a vulnerability on an asset, and one of its occurrences.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct Found {
        /// The QID.
        pub qid: i64,
        /// Ordinal of the item's number.
        pub item: i64,
        /// Key of the occurrence; none where the item has none any more.
        pub detection: Option<i64>,
        /// The scanner's own id of the occurrence; empty or none where it gave none.
        pub unique_id: Option<String>,
    }
}

impl Found {
    /// The id of the occurrence: the scanner's own, else our key.
    #[must_use]
    pub fn detection_id(&self) -> Option<String> {
        let own = self.unique_id.clone().filter(|id| !id.is_empty());
        own.or_else(|| self.detection.map(|key| key.to_string()))
    }
}

/// What was found on an asset, by QID. Of several items of a QID the one with the highest score, of several occurrences the
/// oldest that is not fixed.
///
/// # Errors
/// See [`Error`](crate::Error).
pub fn found_on(tx: &mut Transaction<'_>, asset: AssetId) -> Result<BTreeMap<i64, Found>> {
    let rows: Vec<Found> = tx.all(
        "SELECT v.qid, i.number AS item, d.id AS detection, d.unique_id
         FROM vulnerable_item i
         JOIN vulnerability v ON v.id = i.vulnerability_id
         LEFT JOIN detection d ON d.id = (
             SELECT o.id FROM detection o WHERE o.item_id = i.id
             ORDER BY CASE WHEN o.status = 'fixed' THEN 1 ELSE 0 END, o.id LIMIT 1)
         WHERE i.asset_id = $1 ORDER BY i.residual, i.id DESC",
        &[&asset],
    )?;
    // The last one stays: the highest score, of equal ones the oldest.
    Ok(rows.into_iter().map(|row| (row.qid, row)).collect())
}

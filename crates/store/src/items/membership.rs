//! What items belong to, handed over from one item to another when its detections join that one. Whatever else items belong to is
//! handed over here, too, so that joining assets loses none of it.

use crate::{Result, Transaction};
use domain::id::ItemId;

/// Hand what each first item belongs to over to the second; gives the requests, for [`hand_back`]. Where the second belongs to a
/// request already, the first stays in it beside.
pub(crate) fn hand_over(tx: &mut Transaction<'_>, pairs: &[(ItemId, ItemId)]) -> Result<Vec<(i64, ItemId, ItemId)>> {
    let mut handed = Vec::new();
    for (from, to) in pairs {
        let requests: Vec<(i64,)> = tx.all(
            "UPDATE exception_item SET item_id = $2 WHERE item_id = $1
                 AND request_id IN (SELECT id FROM exception_request WHERE state IN ('requested', 'approved'))
                 AND NOT EXISTS (SELECT 1 FROM exception_item o WHERE o.request_id = exception_item.request_id AND o.item_id = $2)
             RETURNING request_id",
            &[from, to],
        )?;
        handed.extend(requests.into_iter().map(|(request,)| (request, *from, *to)));
    }
    Ok(handed)
}

/// Take back what was handed over.
pub(crate) fn hand_back(tx: &mut Transaction<'_>, handed: &[(i64, ItemId, ItemId)]) -> Result<()> {
    for (request, from, to) in handed {
        tx.execute(
            "UPDATE exception_item SET item_id = $2 WHERE request_id = $1 AND item_id = $3",
            &[request, from, to],
        )?;
    }
    Ok(())
}

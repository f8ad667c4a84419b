//! What a movement found, kept with it so that it can be taken back.

use crate::{Result, Transaction, record, stage};
use domain::id::{AssetId, ItemId, SourceHostId};
use domain::item::{State, Substate};
use domain::time::Timestamp;
use serde::{Deserialize, Serialize};

/// What an undo needs, as it is stored.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Moved {
    /// Hosts with the rule that had found their asset.
    pub(super) hosts: Vec<(SourceHostId, String)>,
    /// The whole asset went.
    pub(super) whole: bool,
    /// Items as they were: those that went, and those that were joined.
    pub(super) items: Vec<Was>,
    /// Memberships that were handed over: request, from, to.
    pub(super) requests: Vec<(i64, ItemId, ItemId)>,
    /// Tags of people that the asset did not have.
    pub(super) tags: Vec<String>,
    /// Tags of people that the asset that went had.
    pub(super) own_tags: Vec<String>,
    /// What the two assets looked like.
    pub(super) faces: Vec<Face>,
    /// Key of the last line of history before.
    pub(super) history: i64,
}

record! {
    /// An item.
    #[derive(Clone, Debug, Serialize, Deserialize)]
    pub(super) struct Was {
        pub(super) id: ItemId,
        state: State,
        own_state: State,
        substate: Substate,
        resolved_at: Option<Timestamp>,
        reopened: i64,
        granted_what: Substate,
        granted_until_at: Option<Timestamp>,
        opened_at: Timestamp,
        closed_at: Option<Timestamp>,
        state_cause: String,
    }
}
stage!(Was as "item_was_batch" {
    id: ItemId, state: State, own_state: State, substate: Substate, resolved_at: Option<Timestamp>, reopened: i64,
    granted_what: Substate, granted_until_at: Option<Timestamp>, opened_at: Timestamp, closed_at: Option<Timestamp>,
    state_cause: String,
});

record! {
    /// What people see of an asset, and what it is found by.
    #[derive(Clone, Debug, Serialize, Deserialize)]
    pub(super) struct Face {
        id: AssetId,
        name: String,
        platform: String,
        os: String,
        ip: String,
        fqdn: String,
        netbios: String,
        placeholder: bool,
        scanner_uuid: Option<String>,
    }
}

/// These items as they are.
pub(super) fn items(tx: &mut Transaction<'_>, items: &[i64]) -> Result<Vec<Was>> {
    let items = items.to_vec();
    tx.all(
        "SELECT id, state, own_state, substate, resolved_at, reopened, granted_what, granted_until_at, opened_at, closed_at,
             state_cause
         FROM vulnerable_item WHERE id {in $1} ORDER BY id",
        &[&items],
    )
}

/// Both assets as they are.
pub(super) fn faces(tx: &mut Transaction<'_>, from: AssetId, into: AssetId) -> Result<Vec<Face>> {
    tx.all(
        "SELECT id, name, platform, os, ip, fqdn, netbios, placeholder, scanner_uuid FROM asset WHERE id IN ($1, $2) ORDER BY id",
        &[&from, &into],
    )
}

/// Items as they were, before their detections are rolled up again.
pub(super) fn restore(tx: &mut Transaction<'_>, items: &[Was]) -> Result<()> {
    if items.is_empty() {
        return Ok(());
    }
    tx.stage(items)?;
    tx.execute(
        "UPDATE vulnerable_item SET state = b.state, own_state = b.own_state, substate = b.substate,
             resolved_at = b.resolved_at, reopened = b.reopened, granted_what = b.granted_what,
             granted_until_at = b.granted_until_at, opened_at = b.opened_at, closed_at = b.closed_at,
             state_cause = b.state_cause
         FROM item_was_batch b WHERE vulnerable_item.id = b.id",
        &[],
    )?;
    Ok(())
}

/// Assets as they were seen.
pub(super) fn put_back(tx: &mut Transaction<'_>, faces: &[Face]) -> Result<()> {
    for face in faces {
        tx.execute(
            "UPDATE asset SET name = $2, platform = $3, os = $4, ip = $5, fqdn = $6, netbios = $7, placeholder = $8,
                 scanner_uuid = $9
             WHERE id = $1",
            &[
                &face.id,
                &face.name,
                &face.platform,
                &face.os,
                &face.ip,
                &face.fqdn,
                &face.netbios,
                &face.placeholder,
                &face.scanner_uuid,
            ],
        )?;
    }
    Ok(())
}

//! Whether an order may be acted on: the checks of `fleet-execution.md` 3.3, in that order, each with its own code.
//!
//! Pure: bytes, trust, time and the host owner's choices go in. Expiry of the root or the index refuses new work only: checks
//! go on, and a revert needs neither, because it does nothing but put back what the journal of this host says we changed.

use crate::orders::{Book, Judgement};
use crate::state::Controls;
use catalogue::index::{CatalogueError, VerifiedIndex};
use domain::time::Timestamp;
use protocol::digest::Digest;
use protocol::order::{ORDER_BYTES_MAX, ORDER_TYPE, Order, OrderKind, RefusalCode};
use protocol::root::{Role, Root};
use protocol::signed::{Envelope, EnvelopeError, VerifyError};
use serde::Deserialize;
use std::collections::BTreeMap;
use uuid::Uuid;

/// What an order is checked against.
#[derive(Clone, Copy, Debug)]
pub struct Trust<'a> {
    /// The root in force.
    pub root: &'a Root,
    /// The index in force; none before the first was adopted.
    pub index: Option<&'a VerifiedIndex>,
    /// The approvals that came, by the digest of their signed bytes; nothing of them is believed before it is checked.
    pub approvals: &'a BTreeMap<Digest, Envelope>,
    /// Why an index that lies on the disk is not in force.
    pub index_fault: Option<&'a str>,
    /// Who we are.
    pub agent_id: Uuid,
    /// Which installation.
    pub instance_id: Uuid,
}

/// An order that is not acted on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The stable code.
    pub code: RefusalCode,
    /// A sentence with the particulars.
    pub reason: String,
    /// The (task, epoch) it names; a claim where the order is not authentic.
    pub claimed: Option<(Uuid, u32)>,
    /// Its number, when the order is authentic, for us, and the number one that can be ours.
    pub order_seq: Option<u64>,
}

/// The result of the checks that do not depend on content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// To be taken, once its content is at hand.
    Take(Box<Order>),
    /// The same bytes as before.
    Again(Box<Order>),
    /// Not to be acted on.
    Refuse(Refusal),
}

/// Check an order, all but its content.
#[must_use]
pub fn verify(bytes: &[u8], trust: Trust<'_>, book: &Book, controls: &Controls, now: Timestamp) -> Verdict {
    let order = match authentic(bytes, trust.root) {
        Ok(order) => order,
        Err(refusal) => return Verdict::Refuse(refusal),
    };
    let digest = Digest::of(bytes).to_string();
    let addressed = address(&order, trust);
    let judged = book.judge(&order, &digest);
    // A re-sent order is no new work: whatever has run out since, its answer is sent again.
    if judged == Judgement::Again && addressed.is_ok() {
        return Verdict::Again(Box::new(order));
    }
    let untaken = match judged {
        Judgement::Refuse(code, reason) => Err((code, reason)),
        Judgement::Fresh | Judgement::Again => Ok(()),
    };
    // A number that was not given to us, or that nobody can have counted up to, is not used up.
    let counts = addressed.is_ok() && !book.too_far(order.order_seq);
    let checked = fresh(&order, trust, now)
        .and_then(|()| listed(&order, trust))
        .and(addressed)
        .and(untaken)
        .and_then(|()| timely(&order, now))
        .and_then(|()| allowed(&order, controls));
    match checked {
        Ok(()) => Verdict::Take(Box::new(order)),
        Err((code, reason)) => Verdict::Refuse(Refusal {
            code,
            reason,
            claimed: Some((order.task, order.epoch)),
            order_seq: counts.then_some(order.order_seq),
        }),
    }
}

/// Check again right before the start what may have changed since an order was taken (S4).
///
/// # Errors
/// The code and the reason.
pub fn may_start(order: &Order, controls: &Controls, now: Timestamp) -> Result<(), (RefusalCode, String)> {
    timely(order, now).and_then(|()| allowed(order, controls))
}

/// Whether an order changes nothing.
#[must_use]
pub fn reads_only(order: &Order) -> bool {
    order.dry_run || matches!(order.kind, OrderKind::Check | OrderKind::Plan)
}

type Checked = Result<(), (RefusalCode, String)>;

fn authentic(bytes: &[u8], root: &Root) -> Result<Order, Refusal> {
    let claimed = claim(bytes);
    let refuse = |code, reason: String| Refusal { code, reason, claimed, order_seq: None };
    let envelope = Envelope::parse(bytes, ORDER_BYTES_MAX).map_err(|error| match error {
        EnvelopeError::TooLarge { .. } => refuse(RefusalCode::TooLarge, error.to_string()),
        _ => refuse(RefusalCode::Malformed, error.to_string()),
    })?;
    let verified = root.verify(Role::Order, ORDER_TYPE, &envelope).map_err(|error| {
        let code = match error {
            VerifyError::WrongType { .. } => RefusalCode::WrongType,
            VerifyError::Unsigned => RefusalCode::Unsigned,
            VerifyError::BadSignature(_) => RefusalCode::BadSignature,
            VerifyError::UnknownKeys | VerifyError::BelowThreshold { .. } | VerifyError::ZeroThreshold => {
                RefusalCode::UnknownKey
            }
        };
        refuse(code, error.to_string())
    })?;
    let order: Order =
        verified.parse().map_err(|e| refuse(RefusalCode::Malformed, format!("reading an order: {e}")))?;
    if order.v != 1 {
        let reason = format!("reading an order: version {}, this agent reads 1", order.v);
        return Err(refuse(RefusalCode::Malformed, reason));
    }
    Ok(order)
}

#[derive(Deserialize)]
struct Claim {
    task: Uuid,
    epoch: u32,
}

/// What bytes that may be forged say of themselves, for the report only.
fn claim(bytes: &[u8]) -> Option<(Uuid, u32)> {
    let envelope = Envelope::parse(bytes, ORDER_BYTES_MAX).ok()?;
    let claim: Claim = serde_json::from_slice(envelope.unverified_payload()).ok()?;
    Some((claim.task, claim.epoch))
}

fn new_work(order: &Order) -> bool {
    matches!(order.kind, OrderKind::Apply)
}

fn fresh(order: &Order, trust: Trust<'_>, now: Timestamp) -> Checked {
    if !new_work(order) {
        return Ok(());
    }
    if !trust.root.freshness(now).allows_new_work() {
        let reason = format!("the root metadata (version {}) expired at {}", trust.root.version, trust.root.expires);
        return Err((RefusalCode::RootExpired, reason));
    }
    if let Some(index) = trust.index.filter(|index| !index.freshness(now).allows_new_work()) {
        let (version, expires) = (index.version(), index.index().expires);
        return Err((
            RefusalCode::IndexExpired,
            format!("the catalogue index (version {version}) expired at {expires}"),
        ));
    }
    Ok(())
}

fn listed(order: &Order, trust: Trust<'_>) -> Checked {
    if order.kind == OrderKind::Revert {
        return Ok(());
    }
    let Some(index) = trust.index else {
        return Err(match trust.index_fault {
            Some(fault) => (RefusalCode::IndexUntrusted, fault.to_owned()),
            None => (RefusalCode::IndexOlder, "no catalogue index is here yet".to_owned()),
        });
    };
    if index.version() < order.catalogue_min {
        let reason = format!("the order asks for index version {}, here is {}", order.catalogue_min, index.version());
        return Err((RefusalCode::IndexOlder, reason));
    }
    let not_in_index = |what: String| (RefusalCode::NotInIndex, what);
    let id = order.entry_id.parse().map_err(|_| not_in_index(format!("`{}` is no entry id", order.entry_id)))?;
    let digest = order
        .content_digest
        .parse()
        .map_err(|_| (RefusalCode::WrongDigest, format!("`{}` is no digest", order.content_digest)))?;
    let entry = index.require(&id, &digest).map_err(|error| {
        let code = match error {
            CatalogueError::WrongDigest { .. } => RefusalCode::WrongDigest,
            CatalogueError::Revoked { .. } => RefusalCode::Revoked,
            CatalogueError::NotByOrganisation { .. } => RefusalCode::IndexUntrusted,
            _ => RefusalCode::NotInIndex,
        };
        (code, error.to_string())
    })?;
    if entry.revision != order.entry_revision {
        let reason = format!("the order names revision {}, the index {}", order.entry_revision, entry.revision);
        return Err((RefusalCode::WrongDigest, reason));
    }
    Ok(())
}

fn address(order: &Order, trust: Trust<'_>) -> Checked {
    if order.agent_id != trust.agent_id {
        return Err((RefusalCode::WrongAgent, format!("the order is for agent {}", order.agent_id)));
    }
    if order.instance_id != trust.instance_id {
        return Err((RefusalCode::WrongInstance, format!("the order is for installation {}", order.instance_id)));
    }
    Ok(())
}

fn timely(order: &Order, now: Timestamp) -> Checked {
    if now < order.not_before {
        return Err((RefusalCode::NotYet, format!("not to be started before {}, it is {now}", order.not_before)));
    }
    if now >= order.not_after {
        return Err((RefusalCode::Expired, format!("not to be started after {}, it is {now}", order.not_after)));
    }
    Ok(())
}

fn allowed(order: &Order, controls: &Controls) -> Checked {
    if reads_only(order) {
        return Ok(());
    }
    if controls.halted {
        return Err((RefusalCode::Halted, "the host's owner has halted this agent".to_owned()));
    }
    if controls.monitor_only {
        return Err((RefusalCode::MonitorOnly, "the host's owner allows checks only".to_owned()));
    }
    if order.kind == OrderKind::Apply && controls.denies(&order.entry_id) {
        return Err((RefusalCode::Denied, format!("the host's owner denies {}", order.entry_id)));
    }
    Ok(())
}

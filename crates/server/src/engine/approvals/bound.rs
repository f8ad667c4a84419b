//! What the orders of a run that needs approval have to carry.

use super::{back, kept};
use crate::engine::catalogue::Roots;
use crate::http::error::Error;
use domain::approval::State;
use domain::id::RunId;
use domain::time::Timestamp;
use protocol::approval::{CAPABILITY, MANIFEST_BYTES_MAX, Manifest, OrderApproval, Starts};
use protocol::signed::Envelope;
use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use store::Transaction;
use store::agents::AgentRow;
use store::approvals::{self, ApprovalRow};
use store::rollouts;
use store::tasks::TaskRow;

/// What an order of a run has to carry.
#[derive(Debug, Clone)]
pub enum Bound {
    /// Nothing: nobody was asked.
    Free,
    /// This approval, and nothing is to start outside of these instants.
    By(Box<OrderApproval>, Starts),
    /// Nothing is ordered yet, and why: its approval does not hold yet, or the agent is still one that cannot check it.
    Waits(String),
    /// It must not be ordered, and why.
    Never(String),
}

/// The approvals of the runs that orders made together belong to, each read once: for one transaction.
#[derive(Debug, Default)]
pub struct Approvals {
    pub(super) roots: Roots,
    runs: BTreeMap<RunId, Option<Arc<ApprovalRow>>>,
    /// What people signed for a run, read from the signed bytes; or why nothing of it is ordered.
    signed: BTreeMap<RunId, Result<Starts, String>>,
}

impl Approvals {
    pub(super) fn of(&mut self, tx: &mut Transaction<'_>, run: RunId) -> Result<Option<Arc<ApprovalRow>>, Error> {
        Ok(match self.runs.entry(run) {
            Entry::Occupied(known) => known.get().clone(),
            Entry::Vacant(free) => free.insert(approvals::of_run(tx, run)?.map(Arc::new)).clone(),
        })
    }

    /// Between which instants the signed bytes let something start, where they are signed as the root in force demands and the run is
    /// still what they say; once for all tasks of a run, because it costs a look at signatures.
    fn signed(
        &mut self,
        tx: &mut Transaction<'_>,
        run: RunId,
        row: &ApprovalRow,
    ) -> Result<Result<Starts, String>, Error> {
        Ok(match self.signed.entry(run) {
            Entry::Occupied(known) => known.get().clone(),
            Entry::Vacant(free) => free.insert(believed(tx, &mut self.roots, run, row)?).clone(),
        })
    }

    /// The envelope that goes with this order of a task, if it carries an approval.
    ///
    /// # Errors
    /// A failure of the store.
    pub fn envelope(&mut self, tx: &mut Transaction<'_>, task: &TaskRow, order: &str) -> Result<Option<String>, Error> {
        match task.kind.as_str() {
            "apply" => {}
            back::REVERT => return back::envelope(tx, order),
            _ => return Ok(None),
        }
        let row = self.of(tx, task.run_id)?.filter(|row| row.state == State::Approved);
        Ok(row.map(|row| row.envelope.clone()))
    }

    /// What the order of a task has to carry.
    ///
    /// # Errors
    /// A failure of the store.
    pub fn bind(
        &mut self,
        tx: &mut Transaction<'_>,
        agent: &AgentRow,
        task: &TaskRow,
        capabilities: &BTreeSet<String>,
        now: Timestamp,
    ) -> Result<Bound, Error> {
        let (row, starts) = match self.stands(tx, agent, task, capabilities, now)? {
            Ok(standing) => standing,
            Err(bound) => return Ok(bound),
        };
        Ok(match named(tx, &row, agent)? {
            Some(approval) => Bound::By(Box::new(approval), starts),
            None => Bound::Never(unproven(&task.asset_name)),
        })
    }

    /// Why nothing of a task is ordered yet, if it waits for something about its approval; cheap, because it is asked at every poll
    /// and of every task that is ready.
    ///
    /// # Errors
    /// A failure of the store.
    pub fn waiting(
        &mut self,
        tx: &mut Transaction<'_>,
        agent: &AgentRow,
        task: &TaskRow,
        capabilities: &BTreeSet<String>,
        now: Timestamp,
    ) -> Result<Option<String>, Error> {
        Ok(match self.stands(tx, agent, task, capabilities, now)? {
            Err(Bound::Waits(why)) => Some(why),
            Ok(_) | Err(_) => None,
        })
    }

    /// The approval that an order of a task is to carry, when only the machine's proof is left to look at; else what follows.
    fn stands(
        &mut self,
        tx: &mut Transaction<'_>,
        agent: &AgentRow,
        task: &TaskRow,
        capabilities: &BTreeSet<String>,
        now: Timestamp,
    ) -> Result<Result<(Arc<ApprovalRow>, Starts), Bound>, Error> {
        let never = |why: String| Ok(Err(Bound::Never(why)));
        let name = &task.asset_name;
        if task.kind != "apply" {
            return Ok(Err(Bound::Free));
        }
        let Some(row) = self.of(tx, task.run_id)? else { return Ok(Err(Bound::Free)) };
        if row.state != State::Approved {
            return never(format!("the run was not approved: the request is {}", row.state.as_str()));
        }
        let able = capabilities.contains(CAPABILITY);
        let unable = if able { "" } else { "; until then its agent could not check approvals, so update it" };
        let until = row.valid_until;
        if now >= until {
            return never(format!("the approval held until {until}{unable}; run the job again to ask anew"));
        }
        let starts = match self.signed(tx, task.run_id, &row)? {
            Ok(starts) => starts,
            Err(why) => return never(why),
        };
        // The host's clock may have come to another zone since.
        if now < starts.from {
            let why = format!("the approval lets nothing start before {}, which is late for {name}", starts.from);
            return Ok(Err(Bound::Waits(why)));
        }
        if now >= starts.until {
            let until = starts.until;
            let early = if able { format!(", which is too early for {name}") } else { unable.to_owned() };
            return never(format!(
                "the approval lets nothing start after {until}{early}; run the job again to ask anew"
            ));
        }
        if !able {
            // No update helps one that is none of the machines of the plan.
            if approvals::proof(tx, row.id, agent.agent_id, agent.instance_id)?.is_none() {
                return never(unproven(name));
            }
            let until = starts.until.min(until);
            let why = format!("the agent on {name} cannot check approvals; update it before {until}");
            return Ok(Err(Bound::Waits(why)));
        }
        Ok(Ok((row, starts)))
    }
}

/// What an order for this agent says of its approval; none where its installation is not one of the machines of the plan.
pub(super) fn named(
    tx: &mut Transaction<'_>,
    row: &ApprovalRow,
    agent: &AgentRow,
) -> Result<Option<OrderApproval>, Error> {
    let Some(proof) = approvals::proof(tx, row.id, agent.agent_id, agent.instance_id)? else { return Ok(None) };
    let manifest = row.manifest_digest.parse().map_err(Error::internal)?;
    let proof = serde_json::from_str(&proof).map_err(Error::internal)?;
    Ok(Some(OrderApproval { manifest, run: u64::try_from(row.run_ordinal).unwrap_or(0), proof }))
}

/// Why nothing is ordered of a machine that is not in the plan.
fn unproven(name: &str) -> String {
    format!("the agent on {name} was enrolled after the plan was approved; run the job again")
}

/// The signed manifest of a run, believed as far as an agent would, and held against the run as it is now.
fn believed(
    tx: &mut Transaction<'_>,
    roots: &mut Roots,
    run: RunId,
    row: &ApprovalRow,
) -> Result<Result<Starts, String>, Error> {
    let Some(root) = roots.in_force(tx)? else {
        return Ok(Err("no root metadata is in force; install a signed catalogue".to_owned()));
    };
    // Orders of many runs are made at once: one that cannot be read must not keep back the others.
    let envelope = match Envelope::parse(row.envelope.as_bytes(), MANIFEST_BYTES_MAX) {
        Ok(envelope) => envelope,
        Err(fault) => return Ok(Err(format!("its approval cannot be read: {fault}; run the job again to ask anew"))),
    };
    let (manifest, digest) = match Manifest::open(root, &envelope) {
        Ok(opened) => opened,
        Err(fault) => return Ok(Err(format!("its approval counts no more: {fault}; run the job again to ask anew"))),
    };
    if digest.to_string() != row.manifest_digest {
        return Ok(Err("its approval is not the one that was signed; run the job again to ask anew".to_owned()));
    }
    let differs = kept::differs(&rollouts::run(tx, run)?, &manifest.rollout)?;
    Ok(differs.map_or(Ok(manifest.starts), |what| Err(kept::sentence(what))))
}

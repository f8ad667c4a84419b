//! What the orders of a run that needs approval have to carry.

use crate::http::error::Error;
use domain::approval::State;
use domain::id::RunId;
use domain::time::Timestamp;
use protocol::approval::{CAPABILITY, OrderApproval};
use std::collections::{BTreeMap, BTreeSet};
use store::Transaction;
use store::agents::AgentRow;
use store::approvals::{self, ApprovalRow};
use store::tasks::TaskRow;

/// What an order of a run has to carry.
#[derive(Debug, Clone)]
pub enum Bound {
    /// Nothing: nobody was asked.
    Free,
    /// This approval, until then.
    By(Box<OrderApproval>, Timestamp),
    /// It must not be ordered, and why.
    Never(String),
}

/// The approvals of the runs that one agent's orders belong to, each read once.
#[derive(Debug, Default)]
pub struct Approvals {
    runs: BTreeMap<RunId, Option<ApprovalRow>>,
}

impl Approvals {
    fn of(&mut self, tx: &mut Transaction<'_>, run: RunId) -> Result<Option<&ApprovalRow>, Error> {
        if let std::collections::btree_map::Entry::Vacant(free) = self.runs.entry(run) {
            free.insert(approvals::of_run(tx, run)?);
        }
        Ok(self.runs.get(&run).and_then(Option::as_ref))
    }

    /// The envelope that goes with the orders of a task's run, if they carry an approval.
    ///
    /// # Errors
    /// A failure of the store.
    pub fn envelope(&mut self, tx: &mut Transaction<'_>, task: &TaskRow) -> Result<Option<String>, Error> {
        if task.kind != "apply" {
            return Ok(None);
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
        let name = &task.asset_name;
        if task.kind != "apply" {
            return Ok(Bound::Free);
        }
        let Some(row) = self.of(tx, task.run_id)? else { return Ok(Bound::Free) };
        let (id, run, until) = (row.id, row.run_ordinal, row.valid_until);
        if row.state != State::Approved {
            return Ok(Bound::Never(format!("the run was not approved: the request is {}", row.state.as_str())));
        }
        let manifest = row.manifest_digest.parse().map_err(Error::internal)?;
        if now >= until {
            return Ok(Bound::Never(format!("the approval held until {until}; run the job again to ask anew")));
        }
        if !capabilities.contains(CAPABILITY) {
            let why = format!("the agent on {name} cannot check approvals; update it and run the job again");
            return Ok(Bound::Never(why));
        }
        let Some(proof) = approvals::proof(tx, id, agent.agent_id, agent.instance_id)? else {
            let why = format!("the agent on {name} was enrolled after the plan was approved; run the job again");
            return Ok(Bound::Never(why));
        };
        let proof = serde_json::from_str(&proof).map_err(Error::internal)?;
        let run = u64::try_from(run).unwrap_or(0);
        Ok(Bound::By(Box::new(OrderApproval { manifest, run, proof }), until))
    }
}

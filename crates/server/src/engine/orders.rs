//! What agents are offered: orders made, signed and re-sent; revocations for what must not start any more.
//!
//! Everything here happens inside one transaction: an order exists for the agent only once its bytes are stored.
//! `domain::task` decides; nothing is repeated on silence alone. What many agents are offered in the same moment is read and
//! written set by set.

use crate::engine::approvals::{Approvals, Bound};
use crate::engine::dry_run;
use crate::http::error::Error;
use domain::id::{AgentKey, AssetId, JobId, RunId, TaskId};
use domain::job::Kind;
use domain::rollout::Apart;
use domain::schedule::End;
use domain::task::{self, Event, Offering, State};
use domain::time::Timestamp;
use protocol::agent::TaskEpoch;
use protocol::digest::Digest;
use protocol::order::{ORDER_TYPE, Order, OrderKind, Supersedes};
use protocol::permit::{PERMIT_CAPABILITY, RESTART_CAPABILITY};
use protocol::signed::{Envelope, SigningKey};
use std::collections::{BTreeMap, BTreeSet};
use store::agents::AgentRow;
use store::catalogue::renewal;
use store::tasks::TaskRow;
use store::tasks::many::{self, Change};
use store::{Transaction, agents, catalogue, jobs, rollouts, tasks};
use uuid::Uuid;

/// How much output and evidence a report may carry, in bytes.
const OUTPUT_CAP_BYTES: u32 = 64 * 1024;
/// Orders handed out in one poll at most: an agent does them one after the other.
const ORDERS_MAX: usize = 20;

/// What an agent gets at a poll.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Offer {
    /// Signed orders, exact text.
    pub orders: Vec<String>,
    /// The approvals they name, exact text, each once.
    pub approvals: BTreeSet<String>,
    /// What must not start any more.
    pub revoke: Vec<TaskEpoch>,
    /// Jobs whose tasks changed here.
    pub touched: BTreeSet<JobId>,
}

impl Offer {
    /// Nothing to say.
    pub fn is_empty(&self) -> bool {
        self.orders.is_empty() && self.revoke.is_empty()
    }
}

/// What an order is made with.
#[derive(Debug, Clone, Copy)]
pub struct Maker<'a> {
    /// The order key.
    pub key: &'a SigningKey,
    /// Everything is halted: nothing is offered, what is out is revoked.
    pub halted: bool,
    /// What the agent says it can do, `kind@version`.
    pub capabilities: &'a BTreeSet<String>,
    /// Now.
    pub now: Timestamp,
}

/// What a pause or a halt of its run holds back.
fn held(task: &TaskRow) -> bool {
    task.held || task.run_state.stopped()
}

/// The run that has its turn with an agent, of what concerns the agent now, with the ordinal of its job (R20). What is held
/// back has no turn and takes none away, nor has what waits for something about its approval.
#[must_use]
pub fn turn(all: &[TaskRow]) -> Option<(RunId, i64)> {
    let open: Vec<((RunId, i64), State)> = all
        .iter()
        .filter(|task| !(task.state == State::Ready && (held(task) || !task.waits_for.is_empty())))
        .map(|task| ((task.run_id, task.job_number), task.state))
        .collect();
    task::turn(&open)
}

/// Collect what `agent` is to get now; makes orders for tasks that are ready.
///
/// # Errors
/// A failure of the store.
pub fn offer(tx: &mut Transaction<'_>, agent: &AgentRow, maker: Maker<'_>) -> Result<Offer, Error> {
    let mut making = Making::default();
    let agent = agents::read(tx, agent.id)?;
    let tasks = tasks::of_agent(tx, agent.id)?;
    let offer = making.offer(tx, &agent, tasks, maker)?;
    making.write(tx, maker.now)?;
    Ok(offer)
}

/// Collect what each of these agents is to get now, by what it last said it can do.
///
/// # Errors
/// A failure of the store; then nothing was made for anybody.
pub fn offer_all(
    tx: &mut Transaction<'_>,
    keys: &[AgentKey],
    (key, halted): (&SigningKey, bool),
    now: Timestamp,
) -> Result<BTreeMap<AgentKey, Offer>, Error> {
    let mut making = Making::default();
    let mut offers = BTreeMap::new();
    let agents = agents::read_many(tx, keys)?;
    for (agent, tasks) in many::of_agents(tx, keys)? {
        // Revoked since its poll was let in: it gets nothing new.
        let Some(agent) = agents.get(&agent).filter(|agent| agent.revoked_at.is_none()) else { continue };
        let capabilities = super::agents::capabilities(agent);
        let maker = Maker { key, halted, capabilities: &capabilities, now };
        offers.insert(agent.id, making.offer(tx, agent, tasks, maker)?);
    }
    making.write(tx, now)?;
    Ok(offers)
}

/// Orders being made for one agent or many: what they have in common is read once, what came of them is written at the end.
#[derive(Debug, Default)]
struct Making {
    approvals: Approvals,
    /// Whether every start of the run asks for a permit.
    permits: BTreeMap<RunId, bool>,
    /// Whether the run restarts hosts that need it.
    restarts: BTreeMap<RunId, bool>,
    /// Whether a start of the entry asks for one.
    risky: BTreeMap<i64, bool>,
    /// What runs that are not over keep apart.
    apart: Option<Vec<Apart>>,
    /// Whether the host is in a group that one of them speaks of.
    grouped: BTreeMap<AssetId, bool>,
    catalogue: Option<Option<i64>>,
    numbers: BTreeMap<AgentKey, i64>,
    changes: Vec<Change>,
    touched: BTreeSet<JobId>,
}

impl Making {
    fn offer(
        &mut self,
        tx: &mut Transaction<'_>,
        agent: &AgentRow,
        mut all: Vec<TaskRow>,
        maker: Maker<'_>,
    ) -> Result<Offer, Error> {
        let mut offer = Offer::default();
        let news = self.waiting(tx, agent, &mut all, maker)?;
        offer.touched.extend(all.iter().filter(|task| news.contains(&task.id)).map(|task| task.job_id));
        let told = all.iter().filter(|task| news.contains(&task.id));
        let told = told.map(|task| Change { waits_for: Some(task.waits_for.clone()), ..Change::of(task) });
        let (told, made): (Vec<Change>, usize) = (told.collect(), self.changes.len());
        let turn = turn(&all).map(|(run, _)| run);
        for task in all {
            match task.life().offering(maker.halted || held(&task)) {
                Offering::Make if !task.waits_for.is_empty() => {}
                Offering::Make if offer.orders.len() < ORDERS_MAX && turn == Some(task.run_id) => {
                    let made = self.make(tx, agent, &task, maker)?;
                    if let Some(order) = &made {
                        offer.approvals.extend(self.approvals.envelope(tx, &task, order)?);
                    }
                    offer.touched.insert(task.job_id);
                    offer.orders.extend(made);
                }
                Offering::Revoke => offer.revoke.push(TaskEpoch { task: task.uuid, epoch: task.life().epoch }),
                Offering::Resend => {
                    if let Some(order) = &task.order_envelope {
                        offer.approvals.extend(self.approvals.envelope(tx, &task, order)?);
                    }
                    offer.orders.extend(task.order_envelope);
                }
                Offering::Make | Offering::Nothing => {}
            }
        }
        for change in told {
            // What has come of it waits for nothing any more.
            if !self.changes.iter().skip(made).any(|made| made.id == change.id) {
                self.changes.push(change);
            }
        }
        self.touched.extend(offer.touched.iter().copied());
        Ok(offer)
    }

    /// Say of each task that is ready what it waits for about its approval, in the rows; gives those of which that is news.
    fn waiting(
        &mut self,
        tx: &mut Transaction<'_>,
        agent: &AgentRow,
        all: &mut [TaskRow],
        maker: Maker<'_>,
    ) -> Result<BTreeSet<TaskId>, Error> {
        let mut news = BTreeSet::new();
        for task in all.iter_mut().filter(|task| task.state == State::Ready && !maker.halted && !held(task)) {
            let why = self.approvals.waiting(tx, agent, task, maker.capabilities, maker.now)?.unwrap_or_default();
            if task.waits_for != why {
                task.waits_for = why;
                news.insert(task.id);
            }
        }
        Ok(news)
    }

    /// Make the order of the task's next epoch; `None` when this agent cannot do it.
    fn make(
        &mut self,
        tx: &mut Transaction<'_>,
        agent: &AgentRow,
        task: &TaskRow,
        maker: Maker<'_>,
    ) -> Result<Option<String>, Error> {
        let now = maker.now;
        if let Some(why) = not_in_force(tx, task)? {
            return self.unable(task, why);
        }
        if let Some(missing) = task.needs.split_whitespace().find(|need| !maker.capabilities.contains(*need)) {
            let message =
                format!("the agent on {} cannot do {missing}; update it and run the job again", task.asset_name);
            return self.unable(task, message);
        }
        let permit = self.needs_permit(tx, task)?;
        if permit && !maker.capabilities.contains(PERMIT_CAPABILITY) {
            let message = format!(
                "the agent on {} does not ask for permits, which this run needs; update it and run the job again",
                task.asset_name
            );
            return self.unable(task, message);
        }
        // Past that it could not end within its window: it expires (`fleet-execution.md` 1.5).
        // Nor so near to it that a clock ahead of ours would refuse it at once, where one was out already.
        let margin = if task.epoch > 0 { task::LAPSE_MARGIN_SECONDS } else { 0 };
        if task.start_by.is_some_and(|last| last < now.plus_seconds(margin)) {
            return Ok(None);
        }
        let (approval, starts) = match self.approvals.bind(tx, agent, task, maker.capabilities, now)? {
            Bound::Free => (None, None),
            Bound::By(approval, starts) => (Some(*approval), Some(starts)),
            Bound::Waits(_) => return Ok(None),
            Bound::Never(message) => return self.unable(task, message),
        };
        let dry_run = task.kind == dry_run::KIND;
        let seconds = if dry_run { domain::dry_run::SECONDS_MAX } else { task::ORDER_SECONDS };
        let not_after = now.plus_seconds(seconds);
        let version = match self.catalogue {
            Some(version) => version,
            None => *self.catalogue.insert(catalogue::newest_version(tx)?),
        };
        let Some(version) = version else { return Ok(None) };
        let life = task::step(task.life(), Event::Offer)?;
        let number = self.numbers.entry(agent.id).or_insert(agent.order_seq);
        *number += 1;
        let order = Order {
            v: 1,
            kind: kind(tx, task)?,
            order_id: Uuid::now_v7(),
            job: jobs::name(task.job_number),
            task: task.uuid,
            epoch: life.epoch,
            supersedes: Supersedes::before(life.epoch, &task.resolved_by),
            agent_id: agent.agent_id,
            instance_id: agent.instance_id,
            order_seq: u64::try_from(*number).unwrap_or(0),
            catalogue_min: u64::try_from(version).unwrap_or(0),
            entry_id: task.entry.clone(),
            entry_revision: u32::try_from(task.entry_revision).unwrap_or(0),
            content_digest: task.digest.clone(),
            not_before: starts.map_or(task.due_at, |starts| task.due_at.max(starts.from)),
            not_after: task
                .start_by
                .into_iter()
                .chain(starts.map(|starts| starts.until))
                .fold(not_after, Timestamp::min),
            run_timeout_seconds: run_seconds(task),
            output_cap_bytes: OUTPUT_CAP_BYTES,
            dry_run,
            approval,
            permit,
            restart: self.restarts(tx, task)? && maker.capabilities.contains(RESTART_CAPABILITY),
        };
        let order = self.approvals.bind_back(tx, agent, task, maker.capabilities, order, now)?;
        let payload = serde_json::to_vec(&order).map_err(Error::internal)?;
        let envelope = Envelope::sign(ORDER_TYPE, &payload, &[maker.key]);
        let text = String::from_utf8(envelope.to_json()).map_err(Error::internal)?;
        let made = (text.clone(), order.not_after);
        self.changes.push(Change { life, order: Some(made), permit: Some(permit), ..Change::of(task) });
        Ok(Some(text))
    }

    /// End a task that this agent cannot be asked to do.
    fn unable(&mut self, task: &TaskRow, message: String) -> Result<Option<String>, Error> {
        let life = task::step(task.life(), Event::Unable)?;
        self.changes.push(Change { life, result: Some((message, None, String::new())), ..Change::of(task) });
        Ok(None)
    }

    /// Whether a start of this task asks for a permit: because of its run's limits, because its host is in a group that some run keeps
    /// apart, or because it is of a risky class.
    fn needs_permit(&mut self, tx: &mut Transaction<'_>, task: &TaskRow) -> Result<bool, Error> {
        // Looking changes nothing, so nothing has to allow it.
        if !matches!(task.kind.as_str(), "apply" | "revert") {
            return Ok(false);
        }
        let of_run = match self.permits.get(&task.run_id) {
            Some(known) => *known,
            None => *self.permits.entry(task.run_id).or_insert(rollouts::run(tx, task.run_id)?.permits),
        };
        if of_run || self.grouped(tx, task.asset_id)? {
            return Ok(true);
        }
        if task.kind == "revert" {
            return Ok(false);
        }
        if let Some(known) = self.risky.get(&task.entry_key) {
            return Ok(*known);
        }
        let entry = catalogue::entry(tx, task.entry_key)?;
        Ok(*self.risky.entry(task.entry_key).or_insert(entry.risk == "high" || !entry.reversible))
    }

    /// Whether a host is in a group that some run keeps apart, at work or not: an order that asks nobody could not be held back once it
    /// is.
    fn grouped(&mut self, tx: &mut Transaction<'_>, asset: AssetId) -> Result<bool, Error> {
        if self.apart.is_none() {
            self.apart = Some(rollouts::apart::spoken(tx)?.into_values().collect());
        }
        let apart = self.apart.as_deref().unwrap_or_default();
        // Mostly no run keeps anything apart.
        if apart.is_empty() {
            return Ok(false);
        }
        if let Some(known) = self.grouped.get(&asset) {
            return Ok(*known);
        }
        let tags = rollouts::tags(tx, asset)?;
        let grouped = tags.iter().any(|tag| apart.iter().any(|policy| policy.speaks_of(tag)));
        Ok(*self.grouped.entry(asset).or_insert(grouped))
    }

    /// Whether hosts of this task's run are restarted where the entry needs it. An agent whose owner does not allow it does not
    /// list it and is not asked to: what needs a restart then waits for its owner.
    fn restarts(&mut self, tx: &mut Transaction<'_>, task: &TaskRow) -> Result<bool, Error> {
        if !matches!(task.kind.as_str(), "apply" | "revert") {
            return Ok(false);
        }
        if let Some(known) = self.restarts.get(&task.run_id) {
            return Ok(*known);
        }
        let restarts = super::waves::policy(&rollouts::run(tx, task.run_id)?.rollout)?.restarts.is_some();
        Ok(*self.restarts.entry(task.run_id).or_insert(restarts))
    }

    fn write(&mut self, tx: &mut Transaction<'_>, now: Timestamp) -> Result<(), Error> {
        many::save(tx, &self.changes, now)?;
        agents::set_order_numbers(tx, std::mem::take(&mut self.numbers))?;
        // What agents cannot do has a result by now.
        super::mail::tell(tx, std::mem::take(&mut self.touched), now)
    }
}

/// Why the catalogue in force does not allow this task any more, or not on this asset; a rollback undoes whatever was done.
fn not_in_force(tx: &mut Transaction<'_>, task: &TaskRow) -> Result<Option<String>, Error> {
    if task.kind == "revert" {
        return Ok(None);
    }
    if task.kind == dry_run::KIND && jobs::read(tx, task.job_id)?.kind == Kind::Rollback {
        return Ok(None);
    }
    let (entry, revision) = (&task.entry, task.entry_revision);
    if !task.offered {
        return Ok(Some(format!(
            "revision {revision} of {entry} is no longer in force in the catalogue: it was replaced, withdrawn, or its last day is \
             over; look at the job's actions and run it again"
        )));
    }
    let open = renewal::unpatched(tx, task.asset_id, &task.requires_fixed)?;
    Ok(open.map(|(cve, qid)| {
        format!(
            "{entry} may be used only where {cve} is patched, and the scanner still reports it on {} (QID {qid}); patch it and rescan \
             first",
            task.asset_name
        )
    }))
}

/// How long the action may take: what is left of a short window after its last start.
pub fn run_seconds(task: &TaskRow) -> u32 {
    let end = task.window_end.zip(task.start_by).map(|(at, start_by)| End { at, start_by });
    u32::try_from(end.map_or(task::RUN_SECONDS, End::run_seconds)).unwrap_or(1)
}

/// What the order of a task says to do; a dry run only plans it.
fn kind(tx: &mut Transaction<'_>, task: &TaskRow) -> Result<OrderKind, Error> {
    Ok(match task.kind.as_str() {
        "revert" => OrderKind::Revert,
        dry_run::KIND if jobs::read(tx, task.job_id)?.kind == Kind::Rollback => OrderKind::Revert,
        dry_run::KIND => OrderKind::Plan,
        _ => OrderKind::Apply,
    })
}

/// End a task that nobody can be asked to do.
///
/// # Errors
/// A failure of the store.
pub fn unable(tx: &mut Transaction<'_>, task: &TaskRow, message: &str, now: Timestamp) -> Result<(), Error> {
    let life = task::step(task.life(), Event::Unable)?;
    tasks::save_life(tx, task.id, life, now)?;
    tasks::save_result(tx, task.id, message, None, "")?;
    Ok(())
}

/// The digest by which an event resolves an epoch, the same on both sides.
#[must_use]
pub fn event_digest(text: &str) -> String {
    Digest::of(text.as_bytes()).to_string()
}

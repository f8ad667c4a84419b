//! The executor: takes frames from the network half, verifies, journals, works, and hands events back.
//!
//! No pipes and no threads in here: [`Executor::handle`] takes one frame, [`Executor::step`] does one order, so tests drive it
//! directly. It owns the trust, the journal and the host; the network half has none of them.

mod journalled;
mod taking;

use crate::adopt::read_root;
use crate::checks::Checks;
use crate::clock::{self, Clock};
use crate::decide::{self, Revocation, Taking};
use crate::failpoint;
use crate::frame::{Hello, Settings, Status, ToExecutor, ToNet};
use crate::host::Host;
use crate::journal::{Journal, JournalError, WORK_BYTES_MAX};
use crate::orders::{Book, STRANGERS_KEPT_MAX};
use crate::permits::{Keeper, PermitFault, Permits};
use crate::record::{FORMAT, Record};
use crate::state::{Enrolment, Lock, StateDir, StateError};
use crate::teller::Teller;
use crate::verify::{Refusal, Trust};
use catalogue::index::{VerifiedEntry, VerifiedIndex};
use domain::time::Timestamp;
use protocol::agent::{Acked, EventKind, TaskEpoch, TaskReport};
use protocol::approval::MANIFEST_BYTES_MAX;
use protocol::digest::Digest;
use protocol::order::{Order, OrderKind, RefusalCode};
use protocol::permit::{PermitAnswer, RESTART_CAPABILITY};
use protocol::root::Root;
use protocol::signed::Envelope;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;
use uuid::Uuid;

/// The journal is compacted when it is larger, in bytes.
const COMPACT_BYTES: u64 = 4 * 1024 * 1024;
/// Ended tasks that are remembered in full after compaction; older ones stay refused by their numbers.
const REMEMBERED_TASKS: usize = 500;
/// Orders that wait for their content, of all contents together; with at most 64 KiB each that is 4 MiB. An honest server has 20
/// orders of an agent under way.
const WAITING_MAX: usize = 64;
/// Approvals kept; each poll brings those of its orders again.
const APPROVALS_MAX: usize = 16;
/// The mode in the facts while nothing can be journalled, and so nothing is changed.
const UNWRITABLE: &str = "journal_unwritable";
/// Refusals kept for `status`.
const REFUSALS_SHOWN: usize = 20;

/// Why the executor could not begin.
#[derive(Debug, thiserror::Error)]
pub enum ExecutorError {
    /// Its directory.
    #[error(transparent)]
    State(#[from] StateError),
    /// Its journal.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// Its root metadata.
    #[error("reading the trusted root metadata: {0}; enrol the agent again")]
    Root(String),
}

/// See the module.
#[derive(Debug)]
pub struct Executor {
    pub(crate) state: StateDir,
    pub(crate) enrolment: Enrolment,
    pub(crate) root: Root,
    pub(crate) index: Option<VerifiedIndex>,
    pub(crate) index_fault: Option<String>,
    pub(crate) journal: Journal,
    pub(crate) book: Book,
    pub(crate) host: Host,
    pub(crate) clock: Clock,
    /// Plan only, whatever an order says: the command line's `--dry-run`.
    pub(crate) dry_run: bool,
    pub(crate) checks: Checks,
    waiting: BTreeMap<String, Vec<String>>,
    /// Content that the server does not have: a revert does not wait for it again.
    pub(crate) unavailable: BTreeSet<String>,
    pub(crate) approvals: BTreeMap<Digest, Envelope>,
    permits: Permits,
    pub(crate) restarts: Permits,
    pub(crate) restarter: crate::restart::Restarter,
    permit_fault: Option<PermitFault>,
    pub(crate) out: Vec<ToNet>,
    /// Takes what is to be told while an order is done, where both halves run.
    teller: Option<Teller>,
    refusals: Vec<Refusal>,
    compact_at: u64,
    /// Something was acknowledged since the last compaction, so another one may free room.
    acknowledged: bool,
    /// A try that waits for its proof.
    pub(crate) unproven: Option<crate::proof::Unproven>,
    /// How many proofs were asked for.
    pub(crate) proofs: u32,
    /// How long one is waited for.
    pub(crate) proof: Duration,
    /// Reverts of the host's owner that were cut off and finished at this start, with what came of them.
    pub(crate) finished_for_owner: Vec<(String, TaskReport)>,
    /// It was said that no more revocations of unknown orders are kept.
    strangers_said: bool,
    /// The last record could not be written.
    unwritable: bool,
    _lock: Lock,
}

impl Executor {
    /// Begin: read everything, and report what a crash interrupted. Expired metadata never stops this.
    ///
    /// # Errors
    /// See [`ExecutorError`].
    pub fn open(state: StateDir, host: Host, dry_run: bool) -> Result<Self, ExecutorError> {
        Self::open_with(state, host, dry_run, Clock::default())
    }

    /// As [`Executor::open`], by another clock than the machine's.
    ///
    /// # Errors
    /// See [`ExecutorError`].
    pub fn open_with(state: StateDir, host: Host, dry_run: bool, clock: Clock) -> Result<Self, ExecutorError> {
        let lock = state.lock()?;
        let enrolment = state.enrolment()?.ok_or_else(|| StateError::NotEnrolled(state.path().to_owned()))?;
        let mut host = host;
        host.server = crate::host::Server::of_url(&enrolment.server);
        host.calls = Some(state.calls());
        let root = read_root(&state.root()?).map_err(ExecutorError::Root)?;
        let (mut journal, records) = Journal::open(&state.journal())?;
        let mut book = Book::read(&records);
        if journal.torn() > 0 {
            tracing::warn!("{} bytes of a half-written record were cut off the journal", journal.torn());
        }
        if let Some(offset) = journal.damage() {
            tracing::error!("the journal is damaged at byte {offset}: nothing is changed until that is looked into");
        } else if book.instance() != Some(enrolment.instance_id) {
            let opened = Record::Opened { format: FORMAT, instance_id: enrolment.instance_id, previous: None };
            // When even this cannot be written the agent still starts: it can check, and say so.
            if let Err(error) = journal.append(&opened) {
                tracing::error!("{error}");
            }
            book.apply(&opened);
        }
        let checks = Checks::new(state.checks().unwrap_or_default());
        let mut executor = Self {
            checks,
            state,
            enrolment,
            root,
            index: None,
            index_fault: None,
            journal,
            book,
            host,
            clock,
            dry_run,
            waiting: BTreeMap::new(),
            unavailable: BTreeSet::new(),
            approvals: BTreeMap::new(),
            permits: Permits::default(),
            restarts: Permits::for_restarts(),
            restarter: crate::restart::Restarter {
                pause_seconds: crate::restart::PAUSE_SECONDS,
                ..crate::restart::Restarter::default()
            },
            permit_fault: None,
            out: Vec::new(),
            teller: None,
            refusals: Vec::new(),
            compact_at: COMPACT_BYTES,
            acknowledged: true,
            unproven: None,
            proofs: 0,
            proof: Duration::from_secs(crate::proof::PROOF_SECONDS),
            finished_for_owner: Vec::new(),
            strangers_said: false,
            unwritable: false,
            _lock: lock,
        };
        executor.read_index();
        executor.wait_for_leftover();
        executor.recover();
        executor.compact_when_large();
        for (of, n, text) in executor.book.unacknowledged() {
            executor.out.push(ToNet::Event { of, n, text });
        }
        Ok(executor)
    }

    /// The first frame for a network half, with freshly reserved request numbers.
    ///
    /// # Errors
    /// When something it needs cannot be read or reserved.
    pub fn hello(&self, settings: Settings) -> Result<Hello, ExecutorError> {
        let (seq_from, seq_until) = self.state.reserve_seq()?;
        Ok(Hello {
            server: self.enrolment.server.clone(),
            ca: self.state.ca()?,
            key: self.state.key()?.to_pem(),
            agent_id: self.enrolment.agent_id,
            instance_id: self.enrolment.instance_id,
            settings,
            facts: self.facts(),
            status: self.status(),
            seq_from,
            seq_until,
        })
    }

    /// Everything a fresh network half has to deliver.
    #[must_use]
    pub fn undelivered(&self) -> Vec<ToNet> {
        let events = self.book.unacknowledged().into_iter();
        let events = events.map(|(of, n, text)| ToNet::Event { of, n, text });
        let permits = self.permits.open().into_iter().map(ToNet::Permit);
        let checks = self.checks.undelivered().map(ToNet::Checks);
        let restarts = self.restarts.open().into_iter().map(ToNet::Restart);
        events.chain(permits).chain(restarts).chain(checks).chain(self.to_prove()).collect()
    }

    /// What a poll says of us now.
    #[must_use]
    pub fn status(&self) -> Status {
        Status {
            root_version: self.root.version,
            index_version: self.index.as_ref().map_or(0, VerifiedIndex::version),
            open: self.book.open(),
            journal_head: self.journal.head(),
            boot_id: self.host.boot_id(),
        }
    }

    /// Take one frame. Orders are verified and taken, not yet done: see [`Executor::step`].
    pub fn handle(&mut self, frame: ToExecutor) {
        match frame {
            ToExecutor::Time { server } => self.hear(server),
            ToExecutor::Roots { envelopes } => self.adopt_roots(&envelopes),
            ToExecutor::Index { envelope } => self.adopt_index(&envelope),
            ToExecutor::Approvals { envelopes } => envelopes.iter().for_each(|envelope| self.keep_approval(envelope)),
            ToExecutor::Order { envelope } => self.take(envelope),
            ToExecutor::Revoke { orders } => orders.into_iter().for_each(|order| self.revoke(order)),
            ToExecutor::Acked { acked } => self.acknowledge(&acked),
            ToExecutor::Content { digest, text } => self.content(&digest, &text),
            ToExecutor::NoContent { digest, reason } => {
                tracing::warn!("content {digest} cannot be had: {reason}");
                self.without_content(digest);
            }
            ToExecutor::Permit { of, answer } => self.permit(of, &answer, false),
            ToExecutor::Restart { of, answer } => self.permit(of, &answer, true),
            ToExecutor::Checked { n, interval_seconds } => self.checked_up_to(n, interval_seconds),
            ToExecutor::Proven { n } => self.proven(n),
            ToExecutor::NeedSequence => match self.state.reserve_seq() {
                Ok((from, until)) => self.out.push(ToNet::Sequence { from, until }),
                Err(error) => tracing::error!("no request numbers could be reserved: {error}"),
            },
        }
    }

    /// Do the next order that was taken; false when there is none.
    pub fn step(&mut self) -> bool {
        let Some(order) = self.turn() else { return false };
        match self.room(OrderKind::Revert) {
            Err(error) if order.kind != OrderKind::Revert => {
                let (code, reason) = (RefusalCode::JournalUnwritable, error.to_string());
                self.finish(&order, EventKind::Refused { code, reason, order: String::new() });
            }
            _ => self.work(&order),
        }
        self.compact_when_large();
        true
    }

    /// Whether an order waits to be done; one that waits for its permit does not.
    #[must_use]
    pub fn has_work(&self) -> bool {
        self.turn().is_some()
    }

    /// How long until an order that waits for a permit is worth another look, in microseconds.
    #[must_use]
    pub fn rest_micros(&self) -> Option<u64> {
        let micros = self.clock.boot_micros();
        let next = [self.permits.next(micros), self.restarts.next(micros)].into_iter().flatten().min()?;
        Some(u64::try_from(next.saturating_sub(micros)).unwrap_or(0))
    }

    /// The order whose turn it is.
    #[must_use]
    pub fn turn(&self) -> Option<Order> {
        // Nothing is begun before a rule is proven, nor while the machine goes down.
        if self.unproven.is_some() || self.book.awaiting_restart().iter().any(|(_, restart)| restart.begun) {
            return None;
        }
        let micros = self.clock.boot_micros();
        self.book.waiting().into_iter().find(|order| !self.permits.blocks(order, micros))
    }

    /// Whether the order may start as far as permits go; asks for one where it needs one.
    pub(crate) fn permitted(&mut self, order: &Order) -> bool {
        if !order.permit {
            return true;
        }
        let of = TaskEpoch { task: order.task, epoch: order.epoch };
        let head = self.journal.head();
        match self.permits.permitted(of, self.clock.now(), self.clock.boot_micros(), || nonce(&head)) {
            Ok(()) => true,
            Err(ask) => {
                self.out.push(ToNet::Permit(ask));
                false
            }
        }
    }

    /// Use up the permit of an order that starts now.
    pub(crate) fn use_permit(&mut self, order: &Order) -> bool {
        let of = TaskEpoch { task: order.task, epoch: order.epoch };
        !order.permit || self.permits.use_up(of, self.clock.now(), self.clock.boot_micros())
    }

    fn permit(&mut self, of: TaskEpoch, answer: &PermitAnswer, restart: bool) {
        let (agent_id, instance_id) = (self.enrolment.agent_id, self.enrolment.instance_id);
        let keeper = Keeper { root: &self.root, agent_id, instance_id };
        if let PermitAnswer::Denied { reason } = answer {
            let what = if restart { "restart for" } else { "start" };
            tracing::info!("no permit to {what} task {}: {reason}", of.task);
            if restart {
                return self.restart_denied(of, reason);
            }
        }
        let permits = if restart { &mut self.restarts } else { &mut self.permits };
        let heard = permits.hear(of, answer, keeper, self.clock.now(), self.clock.boot_micros());
        if let Err(fault) = heard {
            tracing::warn!("a permit for task {} is not believed: {fault}", of.task);
            self.permit_fault = Some(fault);
        }
    }

    /// Why the last permit was not believed.
    #[must_use]
    pub fn permit_fault(&self) -> Option<PermitFault> {
        self.permit_fault
    }

    /// Frames for the network half since this was last asked.
    pub fn take_out(&mut self) -> Vec<ToNet> {
        std::mem::take(&mut self.out)
    }

    /// Tell what has to leave while an order is done by this.
    pub(crate) fn tell_by(&mut self, teller: Option<Teller>) {
        self.teller = teller;
    }

    /// Tell what is there to tell now instead of when the order is done: that it began, before what it does, for a host that dies over
    /// it. The other half is not waited for: what finds no room is told with the rest, in its order.
    pub(crate) fn tell_at_once(&mut self) {
        let Some(teller) = &self.teller else { return };
        let told = self.out.iter().take_while(|frame| teller.tell(frame, Duration::ZERO).is_ok()).count();
        self.out.drain(..told);
    }

    /// The latest refusals, also of orders that could not be reported because they name nothing.
    #[must_use]
    pub fn refusals(&self) -> &[Refusal] {
        &self.refusals
    }

    /// What is ours.
    #[must_use]
    pub fn book(&self) -> &Book {
        &self.book
    }

    /// Look at the host again; facts that changed go to the server.
    pub fn refresh_facts(&mut self) {
        self.host.refresh();
        let facts = self.facts();
        self.out.push(ToNet::Facts(Box::new(facts)));
    }

    /// The facts as they are now.
    #[must_use]
    pub fn facts(&self) -> protocol::agent::Facts {
        let full = self.unwritable || self.journal.room(false).is_err();
        let controls = self.state.controls();
        let mode = controls.mode();
        let mut facts = self.host.facts(if full && mode == "normal" { UNWRITABLE } else { mode });
        facts.capabilities.extend(controls.restart.then(|| RESTART_CAPABILITY.to_owned()));
        facts
    }

    fn hear(&mut self, server: Timestamp) {
        let known = self.clock.skew_seconds().is_some();
        self.clock.hear_now(server);
        let skew = self.clock.skew_seconds().unwrap_or(0);
        // Said once per process: the server sees it too, every request carries our wall clock.
        if !known && skew.abs() > clock::SKEW_SECONDS_REPORTED {
            tracing::warn!("this host's clock is off by {skew} s; the server's time is used");
        }
    }
}

/// A number that nobody outside this process can know before it is sent.
pub(crate) fn nonce(head: &str) -> Uuid {
    use rand::TryRng as _;
    let mut bytes = [0; 16];
    if rand::rngs::SysRng.try_fill_bytes(&mut bytes).is_err() {
        // No system worth running on is without; then at least it is used once.
        let once = format!("{head}:{}", clock::boot_micros());
        let digest = Digest::of(once.as_bytes()).to_string();
        bytes.iter_mut().zip(digest.bytes()).for_each(|(byte, of)| *byte = of);
    }
    uuid::Builder::from_random_bytes(bytes).into_uuid()
}

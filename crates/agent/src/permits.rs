//! Start permits at the executor: which were asked for, which are held, and which orders wait for one (S7).
//!
//! Kept in memory only: after a restart an order that needs a permit asks again. Pure: the time since boot is a parameter, so that
//! neither the host's owner nor the network half can stretch a permit by setting a clock.

use domain::time::Timestamp;
use protocol::agent::TaskEpoch;
use protocol::order::Order;
use protocol::permit::{PERMIT_BYTES_MAX, PERMIT_SECONDS, PERMIT_TYPE, Permit, PermitAnswer, PermitAsk, RESTART_TYPE};
use protocol::root::{Role, Root};
use protocol::signed::Envelope;
use std::collections::BTreeMap;
use uuid::Uuid;

const SECOND: i64 = 1_000_000;
/// An unanswered question is asked anew after this long, in microseconds.
pub const ASK_MICROS: i64 = 2 * PERMIT_SECONDS * SECOND;
/// The longest an answer may make an order wait, in seconds; then it asks again.
pub const WAIT_SECONDS_MAX: u32 = 600;
/// How long an order waits after a denial, in seconds. Usually its revocation comes before.
pub const DENIED_SECONDS: i64 = 30;

/// Why a permit is not believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PermitFault {
    /// Too large, no envelope, no permit, or with a field this agent does not know.
    #[error("it is no permit")]
    Malformed,
    /// Not signed as the root's order role demands, or of another type.
    #[error("it is not signed by the order key")]
    Untrusted,
    /// For another agent.
    #[error("it is for another agent")]
    WrongAgent,
    /// For another installation of this agent.
    #[error("it is for another installation")]
    WrongInstance,
    /// For another task.
    #[error("it is for another task")]
    WrongTask,
    /// For another epoch.
    #[error("it is for another epoch")]
    WrongEpoch,
    /// It answers a question that was not asked, or was answered before.
    #[error("it answers no question of ours")]
    NotAsked,
    /// Its time is over, by the server's word or by the clock since boot.
    #[error("its time is over")]
    Expired,
}

/// What a permit is checked against.
#[derive(Clone, Copy, Debug)]
pub struct Keeper<'a> {
    /// The root in force.
    pub root: &'a Root,
    /// Who we are.
    pub agent_id: Uuid,
    /// Which installation.
    pub instance_id: Uuid,
}

/// A question that has no answer yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Asked {
    /// The question.
    pub nonce: Uuid,
    /// When it was asked, in microseconds since boot.
    pub at: i64,
}

/// Check a permit of this kind (payload type) for `of` against the question it has to answer (S7). `now` is the corrected clock, `micros` the time since boot.
///
/// # Errors
/// See [`PermitFault`].
pub fn verify(
    kind: &str,
    envelope: &[u8],
    keeper: Keeper<'_>,
    of: TaskEpoch,
    asked: Option<Asked>,
    now: Timestamp,
    micros: i64,
) -> Result<Permit, PermitFault> {
    let envelope = Envelope::parse(envelope, PERMIT_BYTES_MAX).map_err(|_| PermitFault::Malformed)?;
    let verified = keeper.root.verify(Role::Order, kind, &envelope).map_err(|_| PermitFault::Untrusted)?;
    let permit: Permit = verified.parse().map_err(|_| PermitFault::Malformed)?;
    if permit.v != 1 {
        return Err(PermitFault::Malformed);
    }
    for (wrong, fault) in [
        (permit.agent_id != keeper.agent_id, PermitFault::WrongAgent),
        (permit.instance_id != keeper.instance_id, PermitFault::WrongInstance),
        (permit.task != of.task, PermitFault::WrongTask),
        (permit.epoch != of.epoch, PermitFault::WrongEpoch),
    ] {
        if wrong {
            return Err(fault);
        }
    }
    let asked = asked.filter(|asked| asked.nonce == permit.nonce).ok_or(PermitFault::NotAsked)?;
    // It was granted after it was asked for, so this is never later than what the server reckons with.
    if now >= permit.start_by || micros >= asked.at.saturating_add(PERMIT_SECONDS * SECOND) {
        return Err(PermitFault::Expired);
    }
    Ok(permit)
}

/// How one order that needs a permit stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Standing {
    /// The question is on its way.
    Asked(Asked),
    /// To be asked again at this time since boot.
    Wait(i64),
    /// It may start until this time since boot, and until this instant.
    Held { micros: i64, start_by: Timestamp },
}

/// Every order that asked for a permit and has not started.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Permits {
    /// They are about restarts of the host.
    restarts: bool,
    standings: BTreeMap<(Uuid, u32), Standing>,
}

fn key(of: TaskEpoch) -> (Uuid, u32) {
    (of.task, of.epoch)
}

impl Permits {
    /// Permits to restart the host.
    #[must_use]
    pub fn for_restarts() -> Self {
        Self { restarts: true, ..Self::default() }
    }

    /// Whether there is nothing to do for this order but wait: its question is open, or it was told when to ask again.
    #[must_use]
    pub fn waits(&self, of: TaskEpoch, micros: i64) -> bool {
        match self.standings.get(&key(of)) {
            Some(Standing::Wait(until)) => micros < *until,
            Some(Standing::Asked(asked)) => micros < asked.at.saturating_add(ASK_MICROS),
            Some(Standing::Held { .. }) | None => false,
        }
    }

    /// Whether this order has to be left alone for now: its question is open, or another order's is. One at a time: this host does
    /// one thing after the other, so a second permit would only keep a place from others.
    #[must_use]
    pub fn blocks(&self, order: &Order, micros: i64) -> bool {
        if !order.permit {
            return false;
        }
        let of = (order.task, order.epoch);
        let open = |standing: &Standing| match standing {
            Standing::Asked(asked) => micros < asked.at.saturating_add(ASK_MICROS),
            Standing::Held { micros: until, .. } => micros < *until,
            Standing::Wait(_) => false,
        };
        match self.standings.get(&of) {
            Some(Standing::Wait(until)) if micros < *until => true,
            Some(Standing::Asked(_)) if self.standings.get(&of).is_some_and(open) => true,
            Some(Standing::Held { .. }) => false,
            _ => self.standings.iter().any(|(other, standing)| *other != of && open(standing)),
        }
    }

    /// Whether the order may start now; `nonce` becomes the question when it has to ask, which is then given back.
    ///
    /// # Errors
    /// The question to be sent.
    pub fn permitted(
        &mut self,
        of: TaskEpoch,
        now: Timestamp,
        micros: i64,
        nonce: impl FnOnce() -> Uuid,
    ) -> Result<(), PermitAsk> {
        match self.standings.get(&key(of)) {
            Some(Standing::Held { micros: until, start_by }) if micros < *until && now < *start_by => return Ok(()),
            Some(Standing::Asked(asked)) if micros < asked.at.saturating_add(ASK_MICROS) => {
                return Err(PermitAsk { of, nonce: asked.nonce });
            }
            _ => {}
        }
        let ask = PermitAsk { of, nonce: nonce() };
        self.standings.insert(key(of), Standing::Asked(Asked { nonce: ask.nonce, at: micros }));
        Err(ask)
    }

    /// Use the permit up: the intent follows at once. `false` when there is none that is still good.
    #[must_use]
    pub fn use_up(&mut self, of: TaskEpoch, now: Timestamp, micros: i64) -> bool {
        match self.standings.get(&key(of)) {
            Some(Standing::Held { micros: until, start_by }) if micros < *until && now < *start_by => {
                self.standings.remove(&key(of));
                true
            }
            _ => false,
        }
    }

    /// The order has ended or was revoked.
    pub fn forget(&mut self, of: TaskEpoch) {
        self.standings.remove(&key(of));
    }

    /// An answer came.
    ///
    /// # Errors
    /// Why a permit is not believed. One that came too late is asked for again; anything else changes nothing.
    pub fn hear(
        &mut self,
        of: TaskEpoch,
        answer: &PermitAnswer,
        keeper: Keeper<'_>,
        now: Timestamp,
        micros: i64,
    ) -> Result<(), PermitFault> {
        let asked = match self.standings.get(&key(of)) {
            Some(Standing::Asked(asked)) => Some(*asked),
            _ => None,
        };
        let standing = match answer {
            PermitAnswer::Granted { permit } => {
                match verify(self.kind(), permit.as_bytes(), keeper, of, asked, now, micros) {
                    Ok(permit) => {
                        let at = asked.map_or(micros, |asked| asked.at);
                        let micros = at.saturating_add(PERMIT_SECONDS * SECOND);
                        Standing::Held { micros, start_by: permit.start_by }
                    }
                    Err(fault) => {
                        if fault == PermitFault::Expired {
                            self.forget(of);
                        }
                        return Err(fault);
                    }
                }
            }
            // These are not signed: they can only make an order wait.
            PermitAnswer::Wait { .. } | PermitAnswer::Denied { .. } if asked.is_none() => return Ok(()),
            PermitAnswer::Wait { retry_after_seconds } => {
                let seconds = i64::from((*retry_after_seconds).clamp(1, WAIT_SECONDS_MAX));
                Standing::Wait(micros.saturating_add(seconds * SECOND))
            }
            PermitAnswer::Denied { .. } => Standing::Wait(micros.saturating_add(DENIED_SECONDS * SECOND)),
        };
        self.standings.insert(key(of), standing);
        Ok(())
    }

    fn kind(&self) -> &'static str {
        if self.restarts { RESTART_TYPE } else { PERMIT_TYPE }
    }

    /// The same as a clock shows it that reads `micros` less. What is over stays over, however long ago it was: the model of the
    /// protocol keeps its time at one instant this way, so that its states have an end.
    #[must_use]
    pub fn rebased(&self, micros: i64) -> Self {
        let back = |at: i64, least: i64| at.saturating_sub(micros).max(least);
        let moved = |standing: &Standing| match *standing {
            Standing::Asked(asked) => Standing::Asked(Asked { at: back(asked.at, -ASK_MICROS), ..asked }),
            Standing::Wait(until) => Standing::Wait(back(until, 0)),
            Standing::Held { micros: until, .. } if until <= micros => {
                Standing::Held { micros: 0, start_by: Timestamp::from_micros(0) }
            }
            Standing::Held { micros: until, start_by } => {
                let start_by = Timestamp::from_micros(start_by.micros().saturating_sub(micros));
                Standing::Held { micros: until - micros, start_by }
            }
        };
        Self { standings: self.standings.iter().map(|(of, standing)| (*of, moved(standing))).collect(), ..self.clone() }
    }

    /// Questions without an answer, for a network half that is new.
    #[must_use]
    pub fn open(&self) -> Vec<PermitAsk> {
        let open = self.standings.iter().filter_map(|((task, epoch), standing)| match standing {
            Standing::Asked(asked) => {
                Some(PermitAsk { of: TaskEpoch { task: *task, epoch: *epoch }, nonce: asked.nonce })
            }
            _ => None,
        });
        open.collect()
    }

    /// When something here next changes by itself, in microseconds since boot.
    #[must_use]
    pub fn next(&self, now: i64) -> Option<i64> {
        let due = |standing: &Standing| match standing {
            Standing::Asked(asked) => asked.at.saturating_add(ASK_MICROS),
            Standing::Wait(until) => *until,
            Standing::Held { micros, .. } => *micros,
        };
        self.standings.values().map(due).filter(|due| *due > now).min()
    }
}

#[cfg(test)]
#[path = "permits_tests.rs"]
mod tests;

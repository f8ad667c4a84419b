//! The trust root: which keys hold which role, for how long, and how one root follows another.
//!
//! An agent is enrolled with one root and from then on follows only updates signed by it (`design.md` 10, TUF rules in
//! `spec/fleet-execution.md` 3.2). Expiry is a *state*, not an error: it stops new work, never start-up and never a revert,
//! which is why nothing in here refuses to read an expired root.
//!
//! Deliberately not here: where the root is stored and how it reaches an agent.

use std::fmt;

use domain::time::Timestamp;
use serde::{Deserialize, Serialize};

use crate::signed::{Envelope, EnvelopeError, KeyId, PublicKey, SigningKey, Verified, VerifyError};

/// Payload type of root metadata.
pub const ROOT_TYPE: &str = "application/vnd.quell.root+json";
/// The version of this format that this program reads.
pub const ROOT_SPEC: u32 = 1;
/// Largest sealed root read, in bytes.
pub const ROOT_BYTES_MAX: usize = 64 * 1024;
/// Most keys a root may list.
pub const ROOT_KEYS_MAX: usize = 64;
/// Longest chain of updates followed in one go.
pub const ROOT_CHAIN_MAX: usize = 256;

/// What a key may sign.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// The next root. Kept offline.
    Root,
    /// The catalogue index. Kept offline.
    Content,
    /// Approvals of the organisation (run manifests of risky classes), and the second signature under an index that lists entries
    /// of the organisation's own. Kept by people.
    Organisation,
    /// Orders to agents. The only key a server holds.
    Order,
}

impl Role {
    /// Every role, in the order they are shown.
    pub const ALL: [Self; 4] = [Self::Root, Self::Content, Self::Organisation, Self::Order];
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Root => "root",
            Self::Content => "content",
            Self::Organisation => "organisation",
            Self::Order => "order",
        })
    }
}

/// The keys of one role and how many of them must sign.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RoleKeys {
    /// Ids of keys listed in the same root; none twice.
    pub keyids: Vec<KeyId>,
    /// Distinct keys needed, at least 1.
    pub threshold: u32,
}

impl RoleKeys {
    /// One key, threshold one.
    #[must_use]
    pub fn single(key: &PublicKey) -> Self {
        Self { keyids: vec![key.id()], threshold: 1 }
    }
}

/// The four roles of a root.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Roles {
    /// See [`Role::Root`].
    pub root: RoleKeys,
    /// See [`Role::Content`].
    pub content: RoleKeys,
    /// See [`Role::Organisation`].
    pub organisation: RoleKeys,
    /// See [`Role::Order`].
    pub order: RoleKeys,
}

/// Root metadata. As a value it is only a description; trust comes from [`Root::trust_first`] and [`Root::accept_update`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Root {
    /// Version of this format, [`ROOT_SPEC`].
    pub spec: u32,
    /// Version of this root, from 1, each update exactly one higher.
    pub version: u64,
    /// From this instant on no new work is started under this root.
    pub expires: Timestamp,
    /// Every key named by a role.
    pub keys: Vec<PublicKey>,
    /// Who may sign what.
    pub roles: Roles,
}

/// Whether metadata has run out. The rule that goes with it: expiry stops new work, never start-up, never a revert.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Freshness {
    /// Valid until the instant given.
    Fresh {
        /// The first instant at which it is no longer valid.
        until: Timestamp,
    },
    /// Ran out at the instant given.
    Expired {
        /// The first instant at which it was no longer valid.
        since: Timestamp,
    },
}

impl Freshness {
    /// What an expiry means at `now`. The instant of expiry itself is already expired.
    #[must_use]
    pub fn at(expires: Timestamp, now: Timestamp) -> Self {
        if now < expires { Self::Fresh { until: expires } } else { Self::Expired { since: expires } }
    }

    /// Whether new work may start: new orders, new metadata, new jobs. Start-up and reverts do not ask.
    #[must_use]
    pub fn allows_new_work(self) -> bool {
        matches!(self, Self::Fresh { .. })
    }
}

/// Why a root is not accepted.
#[derive(Debug, thiserror::Error)]
pub enum RootError {
    /// Not an envelope.
    #[error("reading root metadata: {0}")]
    Envelope(#[from] EnvelopeError),
    /// Not signed as it must be by the keys that hold the root role in the root already trusted.
    #[error("checking root metadata against the trusted root: {0}")]
    Untrusted(#[source] VerifyError),
    /// Not signed as it must be by the keys that hold the root role in the new root itself.
    #[error("checking root metadata against its own root keys: {0}")]
    NotSelfSigned(#[source] VerifyError),
    /// Signed, but not the JSON of a root.
    #[error("reading root metadata: {0}")]
    Malformed(#[source] serde_json::Error),
    /// A format of another time.
    #[error("reading root metadata: format version {0}, this program reads {ROOT_SPEC}")]
    UnknownSpec(u32),
    /// Signed and readable, but breaking a rule of its own.
    #[error("checking root metadata: {0}")]
    Inconsistent(RootFault),
    /// Not the next version.
    #[error("updating root metadata: version {found} does not follow version {trusted}")]
    NotNext {
        /// The version trusted now.
        trusted: u64,
        /// The version offered.
        found: u64,
    },
    /// More updates at once than [`ROOT_CHAIN_MAX`].
    #[error("updating root metadata: {0} updates at once, at most {ROOT_CHAIN_MAX} are followed")]
    ChainTooLong(usize),
}

/// A rule that root metadata breaks.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RootFault {
    /// Versions start at 1.
    #[error("version 0 does not exist")]
    VersionZero,
    /// More keys than [`ROOT_KEYS_MAX`].
    #[error("{0} keys, at most {ROOT_KEYS_MAX} are allowed")]
    TooManyKeys(usize),
    /// One key twice.
    #[error("key {0} is listed twice")]
    RepeatedKey(KeyId),
    /// A role names a key that is not listed.
    #[error("role {role} names key {key}, which is not listed")]
    UnlistedKey {
        /// The role.
        role: Role,
        /// The key.
        key: KeyId,
    },
    /// A role names a key twice.
    #[error("role {role} names key {key} twice")]
    RepeatedRoleKey {
        /// The role.
        role: Role,
        /// The key.
        key: KeyId,
    },
    /// A threshold of zero, or one that the keys of the role cannot reach.
    #[error("role {role} needs {threshold} signatures of {keys} keys")]
    Threshold {
        /// The role.
        role: Role,
        /// Signatures needed.
        threshold: u32,
        /// Keys that hold the role.
        keys: usize,
    },
    /// The order key lies on a server; it must not be able to sign anything an agent trusts for longer.
    #[error("key {0} signs orders and also holds an offline role")]
    OnlineKeyHoldsOfflineRole(KeyId),
}

impl Root {
    /// Expiry as UTC microseconds, the form times are stored in.
    #[must_use]
    pub fn expires_us(&self) -> i64 {
        self.expires.micros()
    }

    /// Whether this root has run out at `now`.
    #[must_use]
    pub fn freshness(&self, now: Timestamp) -> Freshness {
        Freshness::at(self.expires, now)
    }

    /// Keys and threshold of a role by id.
    #[must_use]
    pub fn role(&self, role: Role) -> &RoleKeys {
        match role {
            Role::Root => &self.roles.root,
            Role::Content => &self.roles.content,
            Role::Organisation => &self.roles.organisation,
            Role::Order => &self.roles.order,
        }
    }

    /// The keys that hold a role.
    #[must_use]
    pub fn role_keys(&self, role: Role) -> Vec<PublicKey> {
        let ids = &self.role(role).keyids;
        self.keys.iter().filter(|key| ids.contains(&key.id())).cloned().collect()
    }

    /// Check an envelope of the given type against the keys and the threshold of a role.
    ///
    /// # Errors
    /// See [`VerifyError`].
    pub fn verify<'e>(
        &self,
        role: Role,
        payload_type: &str,
        envelope: &'e Envelope,
    ) -> Result<Verified<'e>, VerifyError> {
        envelope.verify(payload_type, &self.role_keys(role), self.role(role).threshold)
    }

    /// Seal this root with the keys given (those of its root role and, for an update, those of the root before).
    ///
    /// # Errors
    /// [`RootError::Inconsistent`] or [`RootError::UnknownSpec`]: a root that nobody would accept is not signed.
    pub fn seal(&self, keys: &[&SigningKey]) -> Result<Envelope, RootError> {
        self.check()?;
        let payload = serde_json::to_vec(self).expect("a root holds only strings and numbers");
        Ok(Envelope::sign(ROOT_TYPE, &payload, keys))
    }

    /// Read the root an agent is enrolled with. The enrolment vouches for the bytes; they must still be signed by their own
    /// root role, so that nobody enrols with a root that can never be updated. An expired root is read all the same.
    ///
    /// # Errors
    /// See [`RootError`].
    pub fn trust_first(envelope: &Envelope) -> Result<Self, RootError> {
        let unproven: Self = serde_json::from_slice(envelope.unverified_payload()).map_err(RootError::Malformed)?;
        unproven.check()?;
        unproven.verify(Role::Root, ROOT_TYPE, envelope).map_err(RootError::NotSelfSigned)?;
        Ok(unproven)
    }

    /// Follow one update: signed by the root role of this root, then also by its own, and exactly one version higher.
    ///
    /// Neither this root nor the new one needs to be fresh: a chain may pass through versions that ran out long ago, and an
    /// agent that slept must be able to catch up. Whether the last one is fresh is asked afterwards.
    ///
    /// # Errors
    /// See [`RootError`]; the signatures of the trusted root are checked before the bytes are parsed.
    pub fn accept_update(&self, envelope: &Envelope) -> Result<Self, RootError> {
        let verified = self.verify(Role::Root, ROOT_TYPE, envelope).map_err(RootError::Untrusted)?;
        let next: Self = verified.parse().map_err(RootError::Malformed)?;
        next.check()?;
        next.verify(Role::Root, ROOT_TYPE, envelope).map_err(RootError::NotSelfSigned)?;
        if self.version.checked_add(1) != Some(next.version) {
            return Err(RootError::NotNext { trusted: self.version, found: next.version });
        }
        Ok(next)
    }

    /// Follow a chain of sealed updates, oldest first. Updates not newer than this root are passed over, so the whole
    /// history may be given.
    ///
    /// # Errors
    /// See [`RootError`]. Nothing of a chain that breaks anywhere is accepted.
    pub fn accept_chain(&self, updates: &[Envelope]) -> Result<Self, RootError> {
        if updates.len() > ROOT_CHAIN_MAX {
            return Err(RootError::ChainTooLong(updates.len()));
        }
        let mut trusted = self.clone();
        for envelope in updates {
            // Only the version is read before the check, to know whether the update concerns us at all.
            let claimed: Claim = serde_json::from_slice(envelope.unverified_payload()).map_err(RootError::Malformed)?;
            if claimed.version > trusted.version {
                trusted = trusted.accept_update(envelope)?;
            }
        }
        Ok(trusted)
    }

    fn check(&self) -> Result<(), RootError> {
        if self.spec != ROOT_SPEC {
            return Err(RootError::UnknownSpec(self.spec));
        }
        self.find_fault().map_or(Ok(()), |fault| Err(RootError::Inconsistent(fault)))
    }

    fn find_fault(&self) -> Option<RootFault> {
        if self.version == 0 {
            return Some(RootFault::VersionZero);
        }
        if self.keys.len() > ROOT_KEYS_MAX {
            return Some(RootFault::TooManyKeys(self.keys.len()));
        }
        let listed: Vec<KeyId> = self.keys.iter().map(PublicKey::id).collect();
        if let Some(key) = first_repeated(&listed) {
            return Some(RootFault::RepeatedKey(key));
        }
        for role in Role::ALL {
            let RoleKeys { keyids, threshold } = self.role(role);
            if let Some(key) = keyids.iter().find(|key| !listed.contains(key)) {
                return Some(RootFault::UnlistedKey { role, key: *key });
            }
            if let Some(key) = first_repeated(keyids) {
                return Some(RootFault::RepeatedRoleKey { role, key });
            }
            let reachable = usize::try_from(*threshold).is_ok_and(|needed| needed <= keyids.len());
            if *threshold == 0 || !reachable {
                return Some(RootFault::Threshold { role, threshold: *threshold, keys: keyids.len() });
            }
        }
        let offline = [Role::Root, Role::Content, Role::Organisation];
        let both = |key: &&KeyId| offline.iter().any(|role| self.role(*role).keyids.contains(key));
        self.roles.order.keyids.iter().find(both).map(|key| RootFault::OnlineKeyHoldsOfflineRole(*key))
    }
}

/// The one field that is read from an update before its signatures are checked.
#[derive(Deserialize)]
struct Claim {
    version: u64,
}

fn first_repeated(keys: &[KeyId]) -> Option<KeyId> {
    let mut sorted = keys.to_vec();
    sorted.sort_unstable();
    sorted.windows(2).find_map(|pair| match pair {
        [a, b] if a == b => Some(*a),
        _ => None,
    })
}

#[cfg(test)]
#[path = "root_tests.rs"]
mod tests;

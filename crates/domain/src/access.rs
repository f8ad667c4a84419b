//! Who may do what: one pure question, asked by the API, the pages, the command line and the engine.
//!
//! A permission is a role's grant, perhaps bound to a relation between the actor and the record (design.md section 10,
//! "Relations are not roles"), narrowed by the actor's asset scope and by the scopes of the token used.
//! Nothing else in the program compares role names. Deliberately not here: whether the record's *state* allows the
//! action; that is the state machine of the record.

use crate::id::UserId;
use crate::refusal::Refusal;
use std::collections::BTreeSet;
use std::fmt;

mod grants;
mod words;

pub use grants::reach;
pub use words::{ACTIONS, Action, ROLES, Role, TOKEN_SCOPES, TokenScope, UnknownWord};

/// What binds an actor to a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Relations {
    /// The actor made the record, or was given it.
    pub owner: bool,
    /// The owner shared the record with the actor.
    pub co_author: bool,
    /// The record is assigned to the actor.
    pub assignee: bool,
    /// The record is assigned to a group the actor is a member of.
    pub group_member: bool,
}

impl Relations {
    /// No relation at all.
    pub const NONE: Relations = Relations { owner: false, co_author: false, assignee: false, group_member: false };
    pub(crate) const OWNER: Relations = Relations { owner: true, ..Relations::NONE };
    pub(crate) const AUTHORS: Relations = Relations { owner: true, co_author: true, ..Relations::NONE };
    pub(crate) const ASSIGNED: Relations = Relations { assignee: true, group_member: true, ..Relations::NONE };

    /// Whether the two sets share a relation.
    pub fn meets(self, other: Relations) -> bool {
        self.owner && other.owner
            || self.co_author && other.co_author
            || self.assignee && other.assignee
            || self.group_member && other.group_member
    }

    pub(crate) fn and(self, other: Relations) -> Relations {
        Relations {
            owner: self.owner || other.owner,
            co_author: self.co_author || other.co_author,
            assignee: self.assignee || other.assignee,
            group_member: self.group_member || other.group_member,
        }
    }
}

/// The assets an actor may know of: all, or those with at least one of some tags.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum AssetScope {
    /// Every asset.
    #[default]
    All,
    /// Assets that carry at least one of these tags. An empty set reaches no asset.
    Tags(BTreeSet<String>),
}

impl AssetScope {
    /// Whether an asset with these tags is inside the scope.
    pub fn sees<'t>(&self, tags: impl IntoIterator<Item = &'t str>) -> bool {
        match self {
            AssetScope::All => true,
            AssetScope::Tags(wanted) => tags.into_iter().any(|tag| wanted.contains(tag)),
        }
    }

    /// How much of a record's assets the scope covers, each asset given as whether [`AssetScope::sees`] it.
    pub fn cover(&self, assets_seen: impl IntoIterator<Item = bool>) -> Cover {
        if *self == AssetScope::All {
            return Cover::Whole;
        }
        let (mut seen, mut unseen) = (false, false);
        for asset in assets_seen {
            if asset { seen = true } else { unseen = true }
        }
        match (seen, unseen) {
            (true, true) => Cover::Part,
            (false, true) => Cover::Nothing,
            (_, false) => Cover::Whole,
        }
    }

    /// Whether this scope reaches nothing that `other` does not.
    pub fn within(&self, other: &AssetScope) -> bool {
        match (self, other) {
            (_, AssetScope::All) => true,
            (AssetScope::All, AssetScope::Tags(_)) => false,
            (AssetScope::Tags(mine), AssetScope::Tags(theirs)) => mine.is_subset(theirs),
        }
    }
}

/// How much of a record's assets lie inside the actor's scope.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Cover {
    /// All of them, or the record is not about assets.
    #[default]
    Whole,
    /// Some of them: enough to look, not enough to change.
    Part,
    /// None of them: for this actor the record does not exist.
    Nothing,
}

/// Who asks. Built by the server from a session or a token, never by a handler.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Actor {
    /// The user's key.
    pub user: UserId,
    /// The user's sign-in name, for audit entries and pages.
    pub name: String,
    /// The user's roles; several add up.
    pub roles: BTreeSet<Role>,
    /// The names of the groups the user is a member of.
    pub groups: BTreeSet<String>,
    /// The assets the user may know of.
    pub scope: AssetScope,
    /// What the token in use may do; `None` for a session, which may do whatever its user may.
    pub token_scopes: Option<BTreeSet<TokenScope>>,
}

impl Actor {
    /// A record that is assigned to the actor: whether he may do something at all, wherever he may.
    #[must_use]
    pub fn own(&self) -> Record {
        Record::assigned_to(Some(self.user), None)
    }
}

/// What a permission has to know of the record in question. [`Record::default`] is "no record in particular", as for
/// creating one or opening a list.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Record {
    /// Who owns it.
    pub owner: Option<UserId>,
    /// With whom the owner shared it.
    pub co_authors: BTreeSet<UserId>,
    /// To whom it is assigned.
    pub assignee: Option<UserId>,
    /// The name of the group it is assigned to.
    pub group: Option<String>,
    /// How much of its assets lie in the actor's scope ([`AssetScope::cover`]).
    pub cover: Cover,
    /// Whether it belongs to a SuperUser's account, which only a SuperUser changes. Without this an Administrator
    /// could set a SuperUser's password and so become one.
    pub guarded: bool,
    /// For an account: the assets it may know of. Whoever sees less changes it only as a SuperUser; without this a
    /// scoped Administrator could set the password of somebody who sees more, and so see more.
    pub scope: Option<AssetScope>,
}

impl Record {
    /// A record with an owner.
    pub fn owned_by(owner: UserId) -> Record {
        Record { owner: Some(owner), ..Record::default() }
    }

    /// The same, shared with these co-authors.
    #[must_use]
    pub fn shared_with(mut self, co_authors: impl IntoIterator<Item = UserId>) -> Record {
        self.co_authors.extend(co_authors);
        self
    }

    /// A record somebody or some group has to work on; an empty group name is no group.
    pub fn assigned_to(assignee: Option<UserId>, group: Option<&str>) -> Record {
        let group = group.filter(|name| !name.is_empty()).map(str::to_owned);
        Record { assignee, group, ..Record::default() }
    }

    /// The same, with how much of its assets the actor's scope covers.
    #[must_use]
    pub fn covered(mut self, cover: Cover) -> Record {
        self.cover = cover;
        self
    }

    /// What binds `actor` to this record.
    pub fn relations(&self, actor: &Actor) -> Relations {
        Relations {
            owner: self.owner == Some(actor.user),
            co_author: self.co_authors.contains(&actor.user),
            assignee: self.assignee == Some(actor.user),
            group_member: self.group.as_ref().is_some_and(|group| actor.groups.contains(group)),
        }
    }
}

/// Which records of a kind a list may show to an actor; the store turns it into a condition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// None.
    Nothing,
    /// Those the actor has one of these relations to.
    Related(Relations),
    /// All of them (within the asset scope).
    Everything,
}

/// The answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// Go ahead.
    Allowed,
    /// No, and why.
    Denied(Reason),
}

impl Decision {
    /// Whether the answer is yes.
    pub fn allowed(&self) -> bool {
        *self == Decision::Allowed
    }

    /// The answer as a result, for `?`.
    ///
    /// # Errors
    /// The [`Reason`] of a denial.
    pub fn ok(self) -> Result<(), Reason> {
        match self {
            Decision::Allowed => Ok(()),
            Decision::Denied(reason) => Err(reason),
        }
    }
}

/// Why not. [`Reason::code`] is stable; the `Display` text is the sentence for the API, the page (the reason of a
/// disabled button) and the command line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reason {
    /// No role of the actor grants the action on any record.
    RoleMissing(Action),
    /// The actor's role grants it to the owner and co-authors only.
    NotYours,
    /// The actor's role grants it to the owner only.
    OwnerOnly,
    /// The actor's role grants it on assigned records only (S2.07).
    NotAssigned,
    /// None of the record's assets is in the actor's scope.
    OutOfScope,
    /// Some of the record's assets are outside the actor's scope.
    PartlyOutOfScope,
    /// The token used lacks the scope.
    TokenScope(TokenScope),
    /// The record belongs to a SuperUser's account.
    Guarded,
    /// The record belongs to an account that sees assets the actor does not.
    WiderScope,
    /// The action concerns every asset, and the actor's account is kept to some.
    Scoped,
}

impl Reason {
    /// The codes of all reasons.
    pub const CODES: [&'static str; 10] = [
        "role_missing",
        "not_yours",
        "owner_only",
        "not_assigned",
        "out_of_scope",
        "partly_out_of_scope",
        "token_scope",
        "guarded",
        "wider_scope",
        "account_scoped",
    ];

    /// The stable code of this reason, one of [`Reason::CODES`].
    pub fn code(&self) -> &'static str {
        match self {
            Reason::RoleMissing(_) => "role_missing",
            Reason::NotYours => "not_yours",
            Reason::OwnerOnly => "owner_only",
            Reason::NotAssigned => "not_assigned",
            Reason::OutOfScope => "out_of_scope",
            Reason::PartlyOutOfScope => "partly_out_of_scope",
            Reason::TokenScope(_) => "token_scope",
            Reason::Guarded => "guarded",
            Reason::WiderScope => "wider_scope",
            Reason::Scoped => "account_scoped",
        }
    }

    /// Whether the record has to look absent: its existence is itself outside of what the actor may know.
    pub fn hides(&self) -> bool {
        matches!(self, Reason::OutOfScope)
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Reason::RoleMissing(action) => write!(f, "your roles do not include the permission to {}", action.phrase()),
            Reason::NotYours => f.write_str("only the owner, a co-author or an administrator may do this"),
            Reason::OwnerOnly => f.write_str("only the owner or an administrator may do this"),
            Reason::NotAssigned => f.write_str("this record is not assigned to you or to one of your groups"),
            Reason::OutOfScope => f.write_str("the assets of this record are outside your asset scope"),
            Reason::PartlyOutOfScope => f.write_str("some assets of this record are outside your asset scope"),
            Reason::TokenScope(scope) => write!(f, "the token in use lacks the scope `{scope}`"),
            Reason::Guarded => f.write_str("only a SuperUser may change the account of a SuperUser"),
            Reason::WiderScope => {
                f.write_str("only a SuperUser may change an account that sees assets outside your asset scope")
            }
            Reason::Scoped => f.write_str("this concerns every asset, and your account is kept to some of them"),
        }
    }
}

impl std::error::Error for Reason {}

impl From<Reason> for Refusal {
    fn from(reason: Reason) -> Refusal {
        Refusal::new(reason.code(), reason.to_string())
    }
}

/// May `actor` do `action` to `record`?
pub fn may(actor: &Actor, action: Action, record: &Record) -> Decision {
    if let Some(scopes) = &actor.token_scopes
        && !scopes.contains(&action.token_scope())
    {
        return Decision::Denied(Reason::TokenScope(action.token_scope()));
    }
    match reach(actor, action) {
        Reach::Nothing => return Decision::Denied(Reason::RoleMissing(action)),
        // What does not exist for the actor is not said to be somebody else's either.
        Reach::Related(_) if record.cover == Cover::Nothing => return Decision::Denied(Reason::OutOfScope),
        Reach::Related(wanted) if !wanted.meets(record.relations(actor)) => {
            return Decision::Denied(missing(wanted));
        }
        Reach::Related(_) | Reach::Everything => {}
    }
    if action.everywhere() && actor.scope != AssetScope::All {
        return Decision::Denied(Reason::Scoped);
    }
    if !action.looks() && !actor.roles.contains(&Role::SuperUser) && record.owner != Some(actor.user) {
        if record.guarded {
            return Decision::Denied(Reason::Guarded);
        }
        if record.scope.as_ref().is_some_and(|scope| !scope.within(&actor.scope)) {
            return Decision::Denied(Reason::WiderScope);
        }
    }
    match record.cover {
        Cover::Whole => Decision::Allowed,
        Cover::Part if action.looks() => Decision::Allowed,
        Cover::Part => Decision::Denied(Reason::PartlyOutOfScope),
        Cover::Nothing => Decision::Denied(Reason::OutOfScope),
    }
}

fn missing(wanted: Relations) -> Reason {
    if wanted.meets(Relations::ASSIGNED) {
        Reason::NotAssigned
    } else if wanted.co_author {
        Reason::NotYours
    } else {
        Reason::OwnerOnly
    }
}

#[cfg(test)]
mod tests;

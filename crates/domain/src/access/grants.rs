//! What each role grants. The table people read is `tests.txt`; the two are compared by test.

use super::{Action, Actor, Reach, Relations, Role};
use Action as A;

/// Which records of the kind that `action` is about the actor's roles reach. Token scopes and asset scope are not
/// considered here: [`super::may`] does that for one record, the list's own condition for many.
pub fn reach(actor: &Actor, action: Action) -> Reach {
    actor.roles.iter().map(|role| grant(*role, action)).fold(Reach::Nothing, wider)
}

fn wider(one: Reach, other: Reach) -> Reach {
    match (one, other) {
        (Reach::Everything, _) | (_, Reach::Everything) => Reach::Everything,
        (Reach::Related(a), Reach::Related(b)) => Reach::Related(a.and(b)),
        (Reach::Nothing, rest) | (rest, Reach::Nothing) => rest,
    }
}

fn grant(role: Role, action: Action) -> Reach {
    match (role, action) {
        (Role::SuperUser, A::TokenCreate) => Reach::Related(Relations::OWNER),
        (Role::SuperUser, _) => Reach::Everything,
        // A role, a scope or a key is how power is handed out; one role holds it alone.
        (Role::Administrator, A::RolesChange | A::KeysChange) => Reach::Nothing,
        // A token acts as its user, so nobody makes one for somebody else.
        (_, A::TokenCreate) => Reach::Related(Relations::OWNER),
        (Role::Administrator, _) => Reach::Everything,
        (_, A::TokenRevoke) => Reach::Related(Relations::OWNER),
        (_, A::PeopleView) => Reach::Everything,
        (Role::JobAuthor, _) => job_author(action),
        (Role::JobReader, _) => if_any(looks_at_jobs(action)),
        (Role::VulnerabilityAdministrator, _) => vulnerability_administrator(action),
        (Role::VulnerabilityAnalyst, _) => vulnerability_analyst(action),
        (Role::RemediationOwner, _) => remediation_owner(action),
        (Role::ReadOnly, _) => if_any(looks_at_work(action)),
    }
}

fn if_any(granted: bool) -> Reach {
    if granted { Reach::Everything } else { Reach::Nothing }
}

/// What belongs to understanding a job: what it closes, where, and with what.
fn looks_at_jobs(action: Action) -> bool {
    matches!(action, A::VulnerabilitiesView | A::AssetsView | A::CatalogueView | A::JobsView | A::AgentsView)
}

/// All that is work; not accounts, the audit log or settings.
fn looks_at_work(action: Action) -> bool {
    looks_at_jobs(action) || matches!(action, A::ItemsView | A::TasksView | A::ScansView | A::IntegrationsView)
}

fn job_author(action: Action) -> Reach {
    match action {
        // The second person is a peer: `domain::approval` keeps authors from their own jobs, and the signature needs a key.
        A::JobCreate | A::JobApprove => Reach::Everything,
        A::JobEdit
        | A::JobEnable
        | A::JobDisable
        | A::JobPause
        | A::JobRun
        | A::JobCancel
        | A::RunHalt
        | A::RunResume
        | A::Rollback => Reach::Related(Relations::AUTHORS),
        A::JobDelete | A::JobShare => Reach::Related(Relations::OWNER),
        _ => if_any(looks_at_work(action)),
    }
}

fn vulnerability_analyst(action: Action) -> Reach {
    match action {
        A::ItemTransition
        | A::ItemAssign
        | A::ExceptionRequest
        | A::TaskEdit
        | A::TaskSplit
        | A::NoteAdd
        | A::Rescan => Reach::Everything,
        _ => if_any(looks_at_work(action)),
    }
}

fn vulnerability_administrator(action: Action) -> Reach {
    match action {
        A::ScannerActivate
        | A::IntegrationConfigure
        | A::ImportRun
        | A::ExceptionDecide
        | A::RuleEdit
        | A::AssetEdit
        | A::AssetMerge
        | A::TagEdit => Reach::Everything,
        _ => vulnerability_analyst(action),
    }
}

fn remediation_owner(action: Action) -> Reach {
    match action {
        A::ItemsView
        | A::TasksView
        | A::ItemTransition
        | A::ItemAssign
        | A::ExceptionRequest
        | A::TaskSplit
        | A::NoteAdd
        | A::Rescan => Reach::Related(Relations::ASSIGNED),
        A::ScansView => Reach::Everything,
        _ => if_any(looks_at_jobs(action)),
    }
}

//! The words permissions are written in: roles, actions, token scopes, each with its stable spelling.

use std::fmt;
use std::str::FromStr;

/// A word that names no role, action or token scope.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("\"{word}\" is not a known {kind}; known are: {known}")]
pub struct UnknownWord {
    /// What was expected: "role" or "token scope".
    pub kind: &'static str,
    /// What was given.
    pub word: String,
    /// Every accepted spelling.
    pub known: String,
}

/// What a user is trusted with. A user may have several; their grants add up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Role {
    /// Everything, and alone: roles, asset scopes and keys.
    SuperUser,
    /// Everything but roles, asset scopes and keys.
    Administrator,
    /// Creates mitigation jobs and runs his own.
    JobAuthor,
    /// Looks at jobs and their outcomes.
    JobReader,
    /// Runs vulnerability response: scanners, imports, every item and rescan.
    VulnerabilityAdministrator,
    /// Works on every item, task and rescan.
    VulnerabilityAnalyst,
    /// Works on the items and tasks assigned to him or his groups.
    RemediationOwner,
    /// Looks.
    ReadOnly,
}

/// Every role, most powerful first.
pub const ROLES: [Role; 8] = [
    Role::SuperUser,
    Role::Administrator,
    Role::JobAuthor,
    Role::JobReader,
    Role::VulnerabilityAdministrator,
    Role::VulnerabilityAnalyst,
    Role::RemediationOwner,
    Role::ReadOnly,
];

impl Role {
    /// The stable spelling in the API, the database and the command line.
    pub fn as_str(self) -> &'static str {
        match self {
            Role::SuperUser => "super_user",
            Role::Administrator => "administrator",
            Role::JobAuthor => "job_author",
            Role::JobReader => "job_reader",
            Role::VulnerabilityAdministrator => "vulnerability_administrator",
            Role::VulnerabilityAnalyst => "vulnerability_analyst",
            Role::RemediationOwner => "remediation_owner",
            Role::ReadOnly => "read_only",
        }
    }

    /// What people read.
    pub fn label(self) -> &'static str {
        match self {
            Role::SuperUser => "SuperUser",
            Role::Administrator => "Administrator",
            Role::JobAuthor => "Job author",
            Role::JobReader => "Job reader",
            Role::VulnerabilityAdministrator => "Vulnerability administrator",
            Role::VulnerabilityAnalyst => "Vulnerability analyst",
            Role::RemediationOwner => "Remediation owner",
            Role::ReadOnly => "Read-only",
        }
    }

    /// What it is for, in a sentence.
    pub fn meaning(self) -> &'static str {
        match self {
            Role::SuperUser => "Everything, and alone: roles, asset scopes and keys.",
            Role::Administrator => "Everything but roles, asset scopes and keys.",
            Role::JobAuthor => "Creates mitigation jobs and runs his own; works on jobs shared with him.",
            Role::JobReader => "Looks at jobs and what they do.",
            Role::VulnerabilityAdministrator => "Runs scanners and imports; works on every item and rescan.",
            Role::VulnerabilityAnalyst => "Works on every item, task and rescan.",
            Role::RemediationOwner => "Works on the items and tasks assigned to him or his groups.",
            Role::ReadOnly => "Looks at everything but accounts, audit log and settings.",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Role {
    type Err = UnknownWord;

    fn from_str(word: &str) -> Result<Role, UnknownWord> {
        ROLES.into_iter().find(|role| role.as_str() == word).ok_or_else(|| UnknownWord {
            kind: "role",
            word: word.to_owned(),
            known: ROLES.map(Role::as_str).join(", "),
        })
    }
}

/// What an API token may be used for. A token never may more than its user.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum TokenScope {
    /// Look at whatever the user may look at.
    Read,
    /// Work on vulnerable items, remediation tasks and efforts.
    Items,
    /// Request rescans.
    Rescans,
    /// Create and run mitigation jobs, roll back, halt.
    Jobs,
    /// Scanners, integrations and imports.
    Integrations,
    /// Enrol, link and revoke agents; edit assets.
    Agents,
    /// Users, roles and tokens.
    Accounts,
    /// Catalogue, settings, keys.
    System,
}

/// Every token scope.
pub const TOKEN_SCOPES: [TokenScope; 8] = [
    TokenScope::Read,
    TokenScope::Items,
    TokenScope::Rescans,
    TokenScope::Jobs,
    TokenScope::Integrations,
    TokenScope::Agents,
    TokenScope::Accounts,
    TokenScope::System,
];

impl TokenScope {
    /// The stable spelling.
    pub fn as_str(self) -> &'static str {
        match self {
            TokenScope::Read => "read",
            TokenScope::Items => "items",
            TokenScope::Rescans => "rescans",
            TokenScope::Jobs => "jobs",
            TokenScope::Integrations => "integrations",
            TokenScope::Agents => "agents",
            TokenScope::Accounts => "accounts",
            TokenScope::System => "system",
        }
    }

    /// What it is for, in a sentence.
    pub fn meaning(self) -> &'static str {
        match self {
            TokenScope::Read => "Look at whatever you may look at.",
            TokenScope::Items => "Work on vulnerable items, remediation tasks and efforts.",
            TokenScope::Rescans => "Request rescans.",
            TokenScope::Jobs => "Create and run mitigation jobs, roll back, halt.",
            TokenScope::Integrations => "Scanners, integrations and imports.",
            TokenScope::Agents => "Enrol, link and revoke agents; edit assets.",
            TokenScope::Accounts => "Users, roles and tokens.",
            TokenScope::System => "Catalogue, settings and keys.",
        }
    }
}

impl fmt::Display for TokenScope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for TokenScope {
    type Err = UnknownWord;

    fn from_str(word: &str) -> Result<TokenScope, UnknownWord> {
        TOKEN_SCOPES.into_iter().find(|scope| scope.as_str() == word).ok_or_else(|| UnknownWord {
            kind: "token scope",
            word: word.to_owned(),
            known: TOKEN_SCOPES.map(TokenScope::as_str).join(", "),
        })
    }
}

macro_rules! actions {
    ($($(#[$meta:meta])* $name:ident $code:literal $scope:ident $phrase:literal,)*) => {
        /// Everything people do, each asked of [`super::may`] before it happens.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Action {
            $($(#[$meta])* $name,)*
        }

        /// Every action.
        pub const ACTIONS: &[Action] = &[$(Action::$name,)*];

        impl Action {
            /// The stable spelling, used in the permission table and in audit entries.
            pub fn as_str(self) -> &'static str {
                match self { $(Action::$name => $code,)* }
            }

            /// The action as words that follow "the permission to".
            pub fn phrase(self) -> &'static str {
                match self { $(Action::$name => $phrase,)* }
            }

            /// The scope a token needs for it.
            pub fn token_scope(self) -> TokenScope {
                match self { $(Action::$name => TokenScope::$scope,)* }
            }
        }
    };
}

actions! {
    /// The knowledge base and detections.
    VulnerabilitiesView "vulnerabilities_view" Read "look at vulnerabilities",
    /// Vulnerable items.
    ItemsView "items_view" Read "look at vulnerable items",
    /// Remediation tasks and efforts.
    TasksView "tasks_view" Read "look at remediation tasks",
    /// Assets and the mitigations in force on them.
    AssetsView "assets_view" Read "look at assets",
    /// Catalogue entries and eliminations.
    CatalogueView "catalogue_view" Read "look at the catalogue",
    /// Jobs, runs and task outcomes.
    JobsView "jobs_view" Read "look at mitigation jobs",
    /// Scan records.
    ScansView "scans_view" Read "look at scans",
    /// Agents.
    AgentsView "agents_view" Read "look at agents",
    /// Scanners, integrations and import runs, without their secrets.
    IntegrationsView "integrations_view" Read "look at scanners and integrations",
    /// Names of users and groups, to assign or share a record.
    PeopleView "people_view" Read "look at the names of users",
    /// Accounts with their roles and scopes.
    UsersView "users_view" Read "look at user accounts",
    /// The audit log.
    AuditView "audit_view" Read "read the audit log",
    /// Settings.
    SettingsView "settings_view" Read "look at settings",
    /// Move a vulnerable item or remediation task through its states.
    ItemTransition "item_transition" Items "change the state of vulnerable items",
    /// Give an item or task to a person or group.
    ItemAssign "item_assign" Items "assign vulnerable items",
    /// Make or change remediation tasks, efforts and watch topics.
    TaskEdit "task_edit" Items "create or edit remediation tasks",
    /// Split a remediation task.
    TaskSplit "task_split" Items "split remediation tasks",
    /// Write a note about a record.
    NoteAdd "note_add" Items "write notes",
    /// Ask that an item be put off for a time, or be called a false positive.
    ExceptionRequest "exception_request" Items "request deferrals and false positives",
    /// Grant or refuse what somebody else asked for.
    ExceptionDecide "exception_decide" Items "decide about deferrals and false positives",
    /// Rules that work on every item: when it is due, when it closes by itself.
    RuleEdit "rule_edit" Items "edit rules of vulnerability response",
    /// Ask the scanner to look again (S2).
    Rescan "rescan" Rescans "request rescans",
    /// Make a mitigation job.
    JobCreate "job_create" Jobs "create mitigation jobs",
    /// Change a job or its draft.
    JobEdit "job_edit" Jobs "edit mitigation jobs",
    /// DISABLED to ENABLED.
    JobEnable "job_enable" Jobs "enable mitigation jobs",
    /// Approve or reject a run that needs a second person.
    JobApprove "job_approve" Jobs "approve mitigation jobs",
    /// ENABLED to DISABLED.
    JobDisable "job_disable" Jobs "disable mitigation jobs",
    /// Hold a job, and let it go on.
    JobPause "job_pause" Jobs "pause and resume mitigation jobs",
    /// Make a further run of a job: now, or over what failed.
    JobRun "job_run" Jobs "run mitigation jobs again",
    /// Stop a running job.
    JobCancel "job_cancel" Jobs "cancel mitigation jobs",
    /// Stop the run of a job, for the time being.
    RunHalt "run_halt" Jobs "halt runs of mitigation jobs",
    /// Let a halted run go on, or open its next wave whatever the gate says.
    RunResume "run_resume" Jobs "resume runs of mitigation jobs",
    /// Remove a job.
    JobDelete "job_delete" Jobs "delete mitigation jobs",
    /// Change owner or co-authors of a job.
    JobShare "job_share" Jobs "change the owner or co-authors of mitigation jobs",
    /// Undo a mitigation that a job put in place.
    Rollback "rollback" Jobs "roll mitigations back",
    /// Stop, or let go again, all work of all agents.
    Halt "halt" Jobs "halt all jobs",
    /// Tick Active on a scanner (S2.03).
    ScannerActivate "scanner_activate" Integrations "activate scanners",
    /// Set an integration up, with its credentials.
    IntegrationConfigure "integration_configure" Integrations "set integrations up",
    /// Start an import or load a file.
    ImportRun "import_run" Integrations "run imports",
    /// Make enrolment tokens.
    AgentEnrol "agent_enrol" Agents "enrol agents",
    /// Decide which asset an agent is.
    AgentLink "agent_link" Agents "link agents to assets",
    /// End the trust in an agent.
    AgentRevoke "agent_revoke" Agents "revoke agents",
    /// Change an asset's tags or criticality.
    AssetEdit "asset_edit" Agents "edit assets",
    /// Join assets that are one machine, take that back, and say how machines are recognised.
    AssetMerge "asset_merge" Agents "join assets",
    /// Put tags below each other and say how much they matter.
    TagEdit "tag_edit" Agents "edit tags",
    /// Make, disable and group users, and reset their passwords.
    UserManage "user_manage" Accounts "manage users",
    /// Change roles and asset scopes.
    RolesChange "roles_change" Accounts "change roles and asset scopes",
    /// Make a token for oneself.
    TokenCreate "token_create" Accounts "create tokens",
    /// End a token.
    TokenRevoke "token_revoke" Accounts "revoke tokens",
    /// Install catalogue content.
    CatalogueInstall "catalogue_install" System "install catalogue content",
    /// Change settings.
    SettingsChange "settings_change" System "change settings",
    /// Rotate or replace keys of the trust root.
    KeysChange "keys_change" System "change keys",
}

impl Action {
    /// Whether the action only looks.
    pub fn looks(self) -> bool {
        self.token_scope() == TokenScope::Read
    }

    /// Whether the action tells of, or changes, every asset at once and is about no record, so that an asset scope could
    /// not narrow it: accounts with a scope never have it.
    pub fn everywhere(self) -> bool {
        matches!(
            self,
            Action::AuditView
                | Action::Halt
                | Action::RuleEdit
                | Action::ScannerActivate
                | Action::IntegrationConfigure
                | Action::ImportRun
                | Action::AssetMerge
                | Action::TagEdit
                | Action::CatalogueInstall
                | Action::SettingsChange
                | Action::KeysChange
        )
    }
}

//! Sessions, users, groups, tokens and the audit log.

use domain::time::Timestamp;
use serde::{Deserialize, Serialize};

/// What somebody gives to sign in.
#[derive(Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct SignIn {
    /// Sign-in name.
    pub name: String,
    /// Password.
    pub password: String,
}

/// `{"session": …}`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct SessionBody {
    /// The session.
    pub session: Session,
}

/// A session that has begun; its secret travels in a cookie.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Session {
    /// Sign-in name.
    pub user: String,
    /// To be sent as `X-CSRF-Token` with every request that changes something.
    pub csrf_token: String,
    /// The session ends then at the latest; earlier when it is not used.
    #[cfg_attr(feature = "schema", schema(value_type = String, format = DateTime))]
    pub expires_at: Timestamp,
    /// The password was given by somebody else: nothing else works until it is replaced.
    pub password_change_required: bool,
}

/// A user's own change of password.
#[derive(Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct PasswordChange {
    /// The present password.
    pub password: String,
    /// The new one: at least 12 characters.
    pub new_password: String,
}

/// `{"user": …}`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct UserBody {
    /// The user.
    pub user: User,
}

/// `{"users": […], "next": …}`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct UsersBody {
    /// A page of users, by name.
    pub users: Vec<User>,
    /// Where the next page begins.
    pub next: Option<String>,
}

/// A user.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct User {
    /// Key, as owners and authors of other records name it.
    pub id: i64,
    /// Sign-in name, the resource's name.
    pub name: String,
    /// What people call the user.
    pub full_name: String,
    /// Where notices go; may be empty.
    pub email: String,
    /// Roles: `super_user`, `administrator`, `job_author`, `job_reader`, `vulnerability_administrator`,
    /// `vulnerability_analyst`, `remediation_owner`, `read_only`.
    pub roles: Vec<String>,
    /// Groups the user is a member of.
    pub groups: Vec<String>,
    /// Tags of the assets the user may know of; null: all assets.
    pub scope: Option<Vec<String>>,
    /// May sign in.
    pub active: bool,
    /// Has to choose a new password at the next sign-in.
    pub password_change_required: bool,
    /// When the account was made.
    #[cfg_attr(feature = "schema", schema(value_type = String, format = DateTime))]
    pub created_at: Timestamp,
    /// When the user signed in last.
    #[cfg_attr(feature = "schema", schema(value_type = Option<String>, format = DateTime))]
    pub signed_in_at: Option<Timestamp>,
}

/// A new user.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct NewUser {
    /// Sign-in name: letters, digits and `. _ - @ +`.
    pub name: String,
    /// What people call the user.
    #[serde(default)]
    pub full_name: String,
    /// Where notices go.
    #[serde(default)]
    pub email: String,
    /// Roles; read-only when absent. Others need a SuperUser.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub roles: Option<Vec<String>>,
    /// Tags of the assets the user may know of; all assets when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scope: Option<Vec<String>>,
}

/// What changes of a user; what is absent stays.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct UserChange {
    /// What people call the user.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub full_name: Option<String>,
    /// Where notices go.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub email: Option<String>,
    /// All roles the user has from now on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub roles: Option<Vec<String>>,
    /// The asset scope from now on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scope: Option<ScopeChange>,
    /// Whether the user may sign in. Disabling ends every session at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub active: Option<bool>,
}

/// An asset scope to be set.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct ScopeChange {
    /// Tags of the assets the user may know of; null: all assets.
    pub tags: Option<Vec<String>>,
}

/// A user with a one-time password, shown in this answer and never again.
#[derive(Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct UserWithPassword {
    /// The user.
    pub user: User,
    /// The one-time password; it has to be replaced at the first sign-in.
    pub one_time_password: String,
}

/// `{"me": …}`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct MeBody {
    /// Who is asking.
    pub me: Me,
}

/// Who is asking, and what they may do.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Me {
    /// The user.
    pub user: User,
    /// The scopes of the token in use; null for a session.
    pub token_scopes: Option<Vec<String>>,
    /// Every action and what the caller may do it to.
    pub permissions: Vec<Permission>,
}

/// One action.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Permission {
    /// The action's stable word.
    pub action: String,
    /// `all` records, only `related` ones (own, shared or assigned), or `none`.
    pub reach: String,
}

/// `{"groups": […], "next": …}`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct GroupsBody {
    /// A page of groups, by name.
    pub groups: Vec<Group>,
    /// Where the next page begins.
    pub next: Option<String>,
}

/// A group of users that items and tasks are assigned to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Group {
    /// Name, the resource's name.
    pub name: String,
    /// Sign-in names of the members.
    pub members: Vec<String>,
}

/// `{"group": …}`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct GroupBody {
    /// The group.
    pub group: Group,
}

/// The members a group has from now on.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct GroupMembers {
    /// Sign-in names.
    pub members: Vec<String>,
}

/// `{"tokens": […], "next": …}`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct TokensBody {
    /// A page of tokens, newest first.
    pub tokens: Vec<Token>,
    /// Where the next page begins.
    pub next: Option<String>,
}

/// An API token, without the token itself.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Token {
    /// Key, the resource's name.
    pub id: i64,
    /// Whose it is.
    pub user: String,
    /// What it is for.
    pub name: String,
    /// Its first characters.
    pub hint: String,
    /// What it may be used for: `read`, `items`, `rescans`, `jobs`, `integrations`, `agents`, `accounts`, `system`.
    pub scopes: Vec<String>,
    /// When it was made.
    #[cfg_attr(feature = "schema", schema(value_type = String, format = DateTime))]
    pub created_at: Timestamp,
    /// When it ends by itself.
    #[cfg_attr(feature = "schema", schema(value_type = String, format = DateTime))]
    pub expires_at: Timestamp,
    /// When it was used last, to the hour.
    #[cfg_attr(feature = "schema", schema(value_type = Option<String>, format = DateTime))]
    pub used_at: Option<Timestamp>,
    /// When it was ended.
    #[cfg_attr(feature = "schema", schema(value_type = Option<String>, format = DateTime))]
    pub revoked_at: Option<Timestamp>,
}

/// A new token for oneself.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct NewToken {
    /// What it is for.
    pub name: String,
    /// What it may be used for.
    pub scopes: Vec<String>,
    /// After how many days it ends by itself: 1 to 366, 90 when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub days: Option<i64>,
}

/// A token with its secret, shown in this answer and never again.
#[derive(Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct TokenWithSecret {
    /// The token's record.
    pub token: Token,
    /// The token itself, to be sent as `Authorization: Bearer`.
    pub secret: String,
}

/// `{"entries": […], "next": …}`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct AuditBody {
    /// A page of entries, newest first.
    pub entries: Vec<AuditEntry>,
    /// Where the next page begins.
    pub next: Option<String>,
}

/// An entry of the audit log.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct AuditEntry {
    /// Key, in order of writing.
    pub id: i64,
    /// When.
    #[cfg_attr(feature = "schema", schema(value_type = String, format = DateTime))]
    pub at: Timestamp,
    /// By whom: `users/ada`, `engine/import`.
    pub actor: String,
    /// What: `job.enable`.
    pub action: String,
    /// On what: `jobs/MJ0000001`.
    pub resource: String,
    /// Anything else, such as before and after.
    pub detail: serde_json::Value,
    /// The seal that covers the entry; null while it is not sealed yet.
    pub seal: Option<i64>,
}

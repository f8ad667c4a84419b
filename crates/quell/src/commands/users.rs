//! `quell users`: accounts and groups.

use super::Context;
use crate::client::{ListArguments, path};
use crate::failure::Failure;
use crate::output::{self, Column, note};
use protocol::api::accounts::{
    Group, GroupBody, GroupMembers, GroupsBody, NewUser, ScopeChange, User, UserBody, UserChange, UserWithPassword,
    UsersBody,
};

/// What can be done with users.
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// List users
    List(ListArguments),
    /// Show a user
    Show {
        /// Sign-in name
        name: String,
    },
    /// Make a user with a one-time password
    Create(Create),
    /// Change a user
    Change(Change),
    /// Let a user sign in no more; sessions end at once
    Disable {
        /// Sign-in name
        name: String,
    },
    /// Let a user sign in again
    Enable {
        /// Sign-in name
        name: String,
    },
    /// Give a user a one-time password; sessions end at once
    ResetPassword {
        /// Sign-in name
        name: String,
    },
    /// List groups
    Groups(ListArguments),
    /// Make a group, or give it other members
    SetGroup {
        /// Name
        name: String,
        /// Sign-in names of all its members
        members: Vec<String>,
    },
    /// Remove a group
    RemoveGroup {
        /// Name
        name: String,
    },
}

/// A new user.
#[derive(Debug, clap::Args)]
pub struct Create {
    /// Sign-in name
    name: String,
    /// What people call the user
    #[arg(long, default_value = "")]
    full_name: String,
    /// Where notices go
    #[arg(long, default_value = "")]
    email: String,
    /// Role; several add up [default: read_only]
    #[arg(long = "role", value_name = "ROLE", value_delimiter = ',')]
    roles: Vec<String>,
    /// Tag of assets the user may know of; several add up [default: all assets]
    #[arg(long = "scope", value_name = "TAG", value_delimiter = ',')]
    scope: Vec<String>,
}

/// What changes; the rest stays.
#[derive(Debug, clap::Args)]
pub struct Change {
    /// Sign-in name
    name: String,
    /// What people call the user
    #[arg(long)]
    full_name: Option<String>,
    /// Where notices go
    #[arg(long)]
    email: Option<String>,
    /// Role from now on; several add up
    #[arg(long = "role", value_name = "ROLE", value_delimiter = ',')]
    roles: Vec<String>,
    /// Tag of assets the user may know of from now on; several add up
    #[arg(long = "scope", value_name = "TAG", value_delimiter = ',', conflicts_with = "all_assets")]
    scope: Vec<String>,
    /// The user may know of all assets from now on
    #[arg(long)]
    all_assets: bool,
}

const COLUMNS: &[Column<User>] = &[
    ("NAME", |user| user.name.clone()),
    ("FULL NAME", |user| user.full_name.clone()),
    ("ROLES", |user| user.roles.join(" ")),
    ("GROUPS", |user| user.groups.join(" ")),
    ("SCOPE", |user| user.scope.as_ref().map_or_else(|| "all".to_owned(), |tags| tags.join(" "))),
    ("ACTIVE", |user| if user.active { "yes" } else { "no" }.to_owned()),
    ("LAST SIGN-IN", |user| user.signed_in_at.map(|at| at.to_string()).unwrap_or_default()),
];

/// Run a command.
///
/// # Errors
/// [`Failure`] of the server.
pub async fn run(command: Command, context: &Context) -> Result<(), Failure> {
    let client = context.client()?;
    match command {
        Command::List(list) => {
            let users = client.list(&path(&["users"]), &list, |body: UsersBody| (body.users, body.next)).await?;
            output::list(context.format, &users, COLUMNS)
        }
        Command::Show { name } => {
            let UserBody { user } = client.get(&path(&["users", &name]), &[]).await?;
            show(context, &user)
        }
        Command::Create(new) => {
            let some = |list: Vec<String>| (!list.is_empty()).then_some(list);
            let (roles, scope) = (some(new.roles), some(new.scope));
            let new = NewUser { name: new.name, full_name: new.full_name, email: new.email, roles, scope };
            let made: UserWithPassword = client.post(&path(&["users"]), &new).await?;
            one_time(context, &made)
        }
        Command::Change(change) => {
            let name = change.name.clone();
            let UserBody { user } = client.patch(&path(&["users", &name]), &body(change), None).await?;
            show(context, &user)
        }
        Command::Disable { name } => active(context, &name, false).await,
        Command::Enable { name } => active(context, &name, true).await,
        Command::ResetPassword { name } => {
            let made: UserWithPassword =
                client.post(&path(&["users", &name, "password-reset"]), &serde_json::json!({})).await?;
            note("every session and API token of this user has ended");
            one_time(context, &made)
        }
        Command::Groups(list) => {
            let groups = client.list(&path(&["groups"]), &list, |body: GroupsBody| (body.groups, body.next)).await?;
            let columns: &[Column<Group>] =
                &[("NAME", |group| group.name.clone()), ("MEMBERS", |group| group.members.join(" "))];
            output::list(context.format, &groups, columns)
        }
        Command::SetGroup { name, members } => {
            let GroupBody { group } = client.put(&path(&["groups", &name]), &GroupMembers { members }).await?;
            let fields = [("name", group.name.clone()), ("members", group.members.join(" "))];
            output::record(context.format, &group, &fields)
        }
        Command::RemoveGroup { name } => {
            client.delete(&path(&["groups", &name])).await?;
            note(&format!("the group {name} is gone"));
            Ok(())
        }
    }
}

fn body(change: Change) -> UserChange {
    let tags = (!change.scope.is_empty()).then_some(change.scope);
    UserChange {
        full_name: change.full_name,
        email: change.email,
        roles: (!change.roles.is_empty()).then_some(change.roles),
        scope: (change.all_assets || tags.is_some()).then_some(ScopeChange { tags }),
        active: None,
    }
}

async fn active(context: &Context, name: &str, active: bool) -> Result<(), Failure> {
    let change = UserChange { active: Some(active), ..UserChange::default() };
    let UserBody { user } = context.client()?.patch(&path(&["users", name]), &change, None).await?;
    show(context, &user)
}

fn show(context: &Context, user: &User) -> Result<(), Failure> {
    let fields: Vec<(&'static str, String)> = COLUMNS.iter().map(|(name, show)| (*name, show(user))).collect();
    output::record(context.format, user, &fields)
}

fn one_time(context: &Context, made: &UserWithPassword) -> Result<(), Failure> {
    let fields = [("name", made.user.name.clone()), ("one-time password", made.one_time_password.clone())];
    output::record(context.format, made, &fields)
}

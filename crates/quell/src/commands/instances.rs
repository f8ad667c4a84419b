//! `quell instances`: subscriptions of scanner products.

use super::Context;
use crate::client::{Client, ListArguments, path};
use crate::failure::Failure;
use crate::output::{self, Column, note};
use crate::prompt;
use protocol::api::integrations::{
    Appliance, AppliancesBody, ConnectionCheck, ConnectionTestBody, ImportBody, ImportRequest, Instance, InstanceBody,
    InstanceChange, InstancesBody, NewInstance, OptionProfile, OptionProfilesBody, ProfileTestsBody, Quota, QuotasBody,
};

/// What can be done with integration instances.
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// List instances
    List(ListArguments),
    /// Show an instance
    Show {
        /// Its key or name
        instance: String,
    },
    /// Make an instance; the password is asked for, or read from QUELL_SCANNER_PASSWORD
    Create(Box<Create>),
    /// Change an instance
    Change(Box<Change>),
    /// Sign in at the scanner and try once what imports and rescans need
    Test {
        /// Its key or name
        instance: String,
    },
    /// Show what the platform said of its limits
    Limits {
        /// Its key or name
        instance: String,
    },
    /// No imports and no rescans from now on; the records stay
    Disable {
        /// Its key or name
        instance: String,
    },
    /// Import and rescan again
    Enable {
        /// Its key or name
        instance: String,
    },
    /// Delete an instance that never imported anything
    Delete {
        /// Its key or name
        instance: String,
    },
    /// List option profiles
    Profiles {
        /// Its key or name
        instance: String,
    },
    /// Show whether an option profile looks for a vulnerability
    Tests {
        /// Key or name of the instance
        instance: String,
        /// Key of the option profile
        profile: String,
        /// The scanner's number of the vulnerability
        qid: i64,
    },
    /// List scanner appliances
    Appliances {
        /// Its key or name
        instance: String,
    },
    /// Import now
    Import {
        /// Its key or name
        instance: String,
        /// What: everything, knowledge_base, knowledge_base_full, host_detection, comprehensive, host_list, setup, option_profiles,
        /// appliances or search_lists
        #[arg(long, default_value = "everything")]
        kind: String,
        /// Do not wait for the end
        #[arg(long)]
        no_wait: bool,
    },
}

/// A new instance.
#[derive(Debug, clap::Args)]
pub struct Create {
    /// Name
    name: String,
    /// Begin like this instance, by key or name: everything but password, option profile and appliance
    #[arg(long)]
    like: Option<String>,
    /// Base URL of the API
    #[arg(long, required_unless_present = "like")]
    api_url: Option<String>,
    /// Base URL of the gateway, for --auth token
    #[arg(long)]
    gateway_url: Option<String>,
    /// basic, session or token
    #[arg(long)]
    auth: Option<String>,
    /// User name at the scanner
    #[arg(long, required_unless_present = "like")]
    username: Option<String>,
    /// Read the password from standard input
    #[arg(long)]
    password_stdin: bool,
    /// Minutes between two scheduled imports, 15 at least
    #[arg(long)]
    interval_minutes: Option<i64>,
    /// Days that the first import goes back, 1 to 365; everything when absent
    #[arg(long)]
    first_days: Option<i64>,
    /// Version of one end point of the API, such as knowledge_base=3; once for each
    #[arg(long, value_name = "END_POINT=VERSION", value_parser = version)]
    api_version: Vec<(String, u8)>,
}

/// What changes; the rest stays.
#[derive(Debug, clap::Args)]
pub struct Change {
    /// Its key or name
    instance: String,
    /// Name
    #[arg(long)]
    name: Option<String>,
    /// Base URL of the API; needs the password again
    #[arg(long)]
    api_url: Option<String>,
    /// Base URL of the gateway; needs the password again
    #[arg(long)]
    gateway_url: Option<String>,
    /// basic, session or token
    #[arg(long)]
    auth: Option<String>,
    /// User name at the scanner; needs the password again
    #[arg(long)]
    username: Option<String>,
    /// Read a new password from standard input
    #[arg(long)]
    password_stdin: bool,
    /// Option profile of rescans; empty for none
    #[arg(long)]
    default_profile: Option<String>,
    /// Appliance of rescans; empty for none
    #[arg(long)]
    default_appliance: Option<String>,
    /// Hours a rescan is tracked
    #[arg(long)]
    tracking_hours: Option<i64>,
    /// Minutes between two scheduled imports, for all kinds at once; 0 for none (one by one: quell schedules)
    #[arg(long)]
    interval_minutes: Option<i64>,
    /// Days that the first import goes back, 1 to 365; 0 for everything
    #[arg(long)]
    first_days: Option<i64>,
    /// Version of one end point of the API, such as knowledge_base=3, or 0 for the program's; once for each
    #[arg(long, value_name = "END_POINT=VERSION", value_parser = version)]
    api_version: Vec<(String, u8)>,
}

/// `knowledge_base=3`.
fn version(text: &str) -> Result<(String, u8), String> {
    let wrong = || format!("`{text}` is not END_POINT=VERSION, such as knowledge_base=3");
    let (endpoint, version) = text.split_once('=').ok_or_else(wrong)?;
    Ok((endpoint.trim().to_owned(), version.trim().parse().map_err(|_| wrong())?))
}

const COLUMNS: &[Column<Instance>] = &[
    ("ID", |instance| instance.id.to_string()),
    ("NAME", |instance| instance.name.clone()),
    ("ADDRESS", |instance| instance.api_url.clone()),
    ("USER", |instance| instance.username.clone()),
    ("AUTH", |instance| instance.auth.clone()),
    ("DISABLED", |instance| if instance.disabled { "yes" } else { "" }.to_owned()),
    ("SOURCE", |instance| instance.source.clone().unwrap_or_default()),
    ("IMPORTED UNTIL", |instance| instance.host_detection_until.map(|at| at.to_string()).unwrap_or_default()),
    ("NEXT IMPORT", |instance| instance.next_import_at.map(|at| at.to_string()).unwrap_or_default()),
];

const CHECKS: &[Column<ConnectionCheck>] = &[
    ("CHECK", |check| check.check.clone()),
    ("FOR", |check| check.needed_for.clone()),
    ("RESULT", |check| check.verdict.clone()),
    ("CAUSE", |check| check.cause.clone()),
    ("DETAIL", |check| check.detail.clone()),
    ("ADVICE", |check| check.advice.clone()),
];

const LIMITS: &[Column<Quota>] = &[
    ("END POINT", |quota| quota.endpoint.clone()),
    ("LIMIT", |quota| number(quota.limit)),
    ("LEFT", |quota| number(quota.remaining)),
    ("RESERVE", |quota| quota.reserve.to_string()),
    ("WINDOW SECONDS", |quota| number(quota.window_seconds)),
    ("AT ONCE", |quota| number(quota.concurrency)),
    ("WAIT UNTIL", |quota| quota.wait_until.map(|at| at.to_string()).unwrap_or_default()),
    ("SAID", |quota| quota.seen_at.to_string()),
    ("REFUSED", |quota| quota.refused.clone()),
];

fn number(number: Option<i64>) -> String {
    number.map(|number| number.to_string()).unwrap_or_default()
}

const PROFILES: &[Column<OptionProfile>] = &[
    ("KEY", |profile| profile.key.clone()),
    ("TITLE", |profile| profile.title.clone()),
    ("DEFAULT", |profile| if profile.is_default { "yes" } else { "" }.to_owned()),
    ("COMPLETE", |profile| if profile.complete { "yes" } else { "no" }.to_owned()),
];

const APPLIANCES: &[Column<Appliance>] = &[
    ("KEY", |appliance| appliance.key.clone()),
    ("NAME", |appliance| appliance.name.clone()),
    ("STATUS", |appliance| appliance.status.clone()),
    ("ADDRESSES", |appliance| {
        let range = |(low, high): &(String, String)| if low == high { low.clone() } else { format!("{low}-{high}") };
        appliance.addresses.iter().map(range).collect::<Vec<_>>().join(" ")
    }),
    ("PROFILE", |appliance| appliance.profile.clone().unwrap_or_default()),
];

/// Run a command.
///
/// # Errors
/// [`Failure`] of the server.
pub async fn run(command: Command, context: &Context) -> Result<(), Failure> {
    let client = context.client()?;
    match command {
        Command::List(list) => {
            let parts = |body: InstancesBody| (body.instances, body.next);
            let instances = client.list(&path(&["instances"]), &list, parts).await?;
            output::list(context.format, &instances, COLUMNS)
        }
        Command::Show { instance } => {
            let found = find(&client, &instance).await?;
            show(context, &found)
        }
        Command::Create(new) => {
            let password = match given(new.password_stdin)? {
                Some(password) => password,
                None => prompt::password("Password at the scanner: ")?,
            };
            let like = match &new.like {
                Some(wanted) => Some(find(&client, wanted).await?),
                None => None,
            };
            let new = made(*new, like.as_ref(), password);
            let InstanceBody { instance } = client.post(&path(&["instances"]), &new).await?;
            show(context, &instance)
        }
        Command::Change(change) => {
            let found = find(&client, &change.instance).await?;
            let at = path(&["instances", &found.id.to_string()]);
            let InstanceBody { instance } = client.patch(&at, &body(*change, &found)?, None).await?;
            show(context, &instance)
        }
        Command::Test { instance } => {
            let found = find(&client, &instance).await?;
            let at = path(&["instances", &found.id.to_string(), "test"]);
            let ConnectionTestBody { test } = client.post(&at, &serde_json::json!({})).await?;
            if matches!(context.format, output::Format::Table | output::Format::Csv) {
                output::list(context.format, &test.checks, CHECKS)?;
                note(&test.detail);
            } else {
                output::record(context.format, &test, &[])?;
            }
            if test.works { Ok(()) } else { Err(Failure::Said("the connection does not work".to_owned())) }
        }
        Command::Limits { instance } => {
            let found = find(&client, &instance).await?;
            let QuotasBody { quotas } = client.get(&path(&["instances", &found.id.to_string(), "quotas"]), &[]).await?;
            output::list(context.format, &quotas, LIMITS)
        }
        Command::Disable { instance } => switch(&client, context, &instance, true).await,
        Command::Enable { instance } => switch(&client, context, &instance, false).await,
        Command::Delete { instance } => {
            let found = find(&client, &instance).await?;
            client.delete(&path(&["instances", &found.id.to_string()])).await?;
            note(&format!("{} is deleted", found.name));
            Ok(())
        }
        Command::Profiles { instance } => {
            let found = find(&client, &instance).await?;
            let at = path(&["instances", &found.id.to_string(), "option-profiles"]);
            let OptionProfilesBody { option_profiles } = client.get(&at, &[]).await?;
            output::list(context.format, &option_profiles, PROFILES)
        }
        Command::Tests { instance, profile, qid } => {
            let found = find(&client, &instance).await?;
            let id = found.id.to_string();
            let at = path(&["instances", &id, "option-profiles", &profile, "tests", &qid.to_string()]);
            let tests: ProfileTestsBody = client.get(&at, &[]).await?;
            let lines = [("tests", tests.tests.clone()), ("list", tests.list.clone().unwrap_or_default())];
            output::record(context.format, &tests, &lines)
        }
        Command::Appliances { instance } => {
            let found = find(&client, &instance).await?;
            let at = path(&["instances", &found.id.to_string(), "appliances"]);
            let AppliancesBody { appliances, .. } = client.get(&at, &[]).await?;
            output::list(context.format, &appliances, APPLIANCES)
        }
        Command::Import { instance, kind, no_wait } => import(&client, context, &instance, kind, no_wait).await,
    }
}

async fn switch(client: &Client, context: &Context, wanted: &str, disabled: bool) -> Result<(), Failure> {
    let found = find(client, wanted).await?;
    let change = InstanceChange { disabled: Some(disabled), ..InstanceChange::default() };
    let InstanceBody { instance } = client.patch(&path(&["instances", &found.id.to_string()]), &change, None).await?;
    show(context, &instance)
}

/// What is given, and what is not as in `like`: a password, a profile and an appliance belong to one subscription.
fn made(new: Create, like: Option<&Instance>, password: String) -> NewInstance {
    let text = |given: Option<String>, known: fn(&Instance) -> &String| {
        given.or_else(|| like.map(|like| known(like).clone())).unwrap_or_default()
    };
    let mut versions = like.map(|like| like.versions.clone()).unwrap_or_default();
    versions.extend(new.api_version);
    NewInstance {
        name: new.name,
        api_url: text(new.api_url, |like| &like.api_url),
        gateway_url: text(new.gateway_url, |like| &like.gateway_url),
        auth: new.auth.or_else(|| like.map(|like| like.auth.clone())),
        username: text(new.username, |like| &like.username),
        password,
        versions,
        default_profile: None,
        default_appliance: None,
        tracking_hours: like.map(|like| like.tracking_hours),
        interval_minutes: new.interval_minutes.or_else(|| like?.interval_minutes),
        first_days: new.first_days.or_else(|| like?.first_days),
        disabled: like.is_some_and(|like| like.disabled),
    }
}

async fn import(client: &Client, context: &Context, name: &str, kind: String, no_wait: bool) -> Result<(), Failure> {
    let found = find(client, name).await?;
    let at = path(&["instances", &found.id.to_string(), "imports"]);
    let ImportBody { mut import, .. } = client.post(&at, &ImportRequest { kind: Some(kind) }).await?;
    if !no_wait {
        import = super::import::wait(client, &import.number).await?;
    } else {
        note(&format!("follow it with: quell imports wait {}", import.number));
    }
    output::record(context.format, &import, &super::imports::fields(&import))?;
    if import.state == "failed" {
        return Err(Failure::Said(format!("the import failed: {}", import.detail)));
    }
    Ok(())
}

/// The instance of this key or name.
///
/// # Errors
/// [`Failure`] of the server, or where there is none.
pub(super) async fn find(client: &Client, wanted: &str) -> Result<Instance, Failure> {
    if wanted.parse::<i64>().is_ok() {
        let InstanceBody { instance } = client.get(&path(&["instances", wanted]), &[]).await?;
        return Ok(instance);
    }
    let all = ListArguments { all: true, ..ListArguments::default() };
    let parts = |body: InstancesBody| (body.instances, body.next);
    let instances = client.list(&path(&["instances"]), &all, parts).await?;
    let unknown = || Failure::Said(format!("there is no integration instance named {wanted}"));
    instances.into_iter().find(|instance| instance.name == wanted).ok_or_else(unknown)
}

/// A password given by the environment or by standard input: arguments of a program can be seen by others.
fn given(stdin: bool) -> Result<Option<String>, Failure> {
    if stdin {
        return prompt::read().map(Some);
    }
    Ok(std::env::var("QUELL_SCANNER_PASSWORD").ok().filter(|password| !password.is_empty()))
}

fn body(change: Change, found: &Instance) -> Result<InstanceChange, Failure> {
    let mut versions = found.versions.clone();
    let versioned = !change.api_version.is_empty();
    versions.extend(change.api_version);
    Ok(InstanceChange {
        name: change.name,
        api_url: change.api_url,
        gateway_url: change.gateway_url,
        auth: change.auth,
        username: change.username,
        password: given(change.password_stdin)?,
        versions: versioned.then_some(versions),
        default_profile: change.default_profile,
        default_appliance: change.default_appliance,
        tracking_hours: change.tracking_hours,
        interval_minutes: change.interval_minutes,
        first_days: change.first_days,
        disabled: None,
    })
}

fn show(context: &Context, instance: &Instance) -> Result<(), Failure> {
    let mut fields: Vec<_> = COLUMNS.iter().map(|(name, show)| (*name, show(instance))).collect();
    let set = instance.versions.iter().map(|(endpoint, version)| format!("{endpoint}={version}"));
    fields.push(("VERSIONS", set.collect::<Vec<_>>().join(" ")));
    let seen = instance.versions_seen.iter();
    let seen = seen.map(|seen| format!("{}: {} instead of {} since {}", seen.endpoint, seen.to, seen.from, seen.since));
    fields.push(("VERSIONS GONE", seen.collect::<Vec<_>>().join("; ")));
    fields.push(("FIRST DAYS", number(instance.first_days)));
    fields.push(("LAST TEST", instance.tested.as_ref().map(|test| test.detail.clone()).unwrap_or_default()));
    output::record(context.format, instance, &fields)
}

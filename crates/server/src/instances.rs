//! Integration instances: what people set of them, checked; their credentials, sealed; and the connection they amount
//! to.
//!
//! A kept password leaves this server only to the address it was entered for: whoever changes the address or the user
//! name enters the password again. Otherwise everybody who may edit an instance could have it sent elsewhere.

mod connection;

pub use connection::{ConnectError, connect, test};

use crate::app::App;
use crate::connect::qualys::Endpoint;
use crate::http::{Caller, Error};
use crate::secrets::Unopenable;
use domain::access::{Action, Record};
use domain::id::InstanceId;
use domain::refusal::Refusal;
use domain::rescan::TRACKING_HOURS;
use protocol::api::integrations::{ConnectionTest, InstanceChange, NewInstance, Quota, VersionSeen};
use protocol::problem::FieldError;
use std::collections::BTreeMap;
use std::sync::Arc;
use store::instances::{self, Instance, Settings};
use store::{Transaction, integrations};
use url::Url;

/// Shortest interval of scheduled imports.
pub const INTERVAL_MINUTES_MIN: i64 = domain::import::MINUTES_MIN;
/// Longest interval of scheduled imports: 30 days.
pub const INTERVAL_MINUTES_MAX: i64 = domain::import::MINUTES_MAX;
/// Longest way back of a first import.
pub const FIRST_DAYS_MAX: i64 = 365;
/// Longest tracking period of a rescan.
pub const TRACKING_HOURS_MAX: i64 = 168;
/// Longest name, address or user name, in bytes.
const TEXT_BYTES_MAX: usize = 500;

/// What a sealed password belongs to.
fn purpose(id: InstanceId) -> String {
    format!("instances/{id}")
}

/// The instance of this key; an unknown one is named.
///
/// # Errors
/// [`Error::NotFound`].
pub fn known(tx: &mut Transaction<'_>, id: InstanceId) -> Result<Instance, Error> {
    instances::one(tx, id).map_err(|error| match error {
        store::Error::NotFound => Error::NotFound(format!("integration instance {id}")),
        error => error.into(),
    })
}

/// Make an instance.
///
/// # Errors
/// 403, 409 `name_taken`, 422.
pub async fn create(app: &App, caller: &Caller, new: NewInstance) -> Result<Instance, Error> {
    caller.may(Action::IntegrationConfigure, &Record::default())?;
    let password = new.password;
    let settings = Settings {
        name: new.name.trim().to_owned(),
        product: "qualys".to_owned(),
        api_url: new.api_url.trim().to_owned(),
        gateway_url: new.gateway_url.trim().to_owned(),
        auth: new.auth.unwrap_or_else(|| "basic".to_owned()),
        username: new.username.trim().to_owned(),
        versions: versions_text(&new.versions)?,
        default_profile: new.default_profile.filter(|profile| !profile.is_empty()),
        default_appliance: new.default_appliance.filter(|appliance| !appliance.is_empty()),
        tracking_hours: new.tracking_hours.unwrap_or(TRACKING_HOURS),
        interval_minutes: new.interval_minutes.filter(|minutes| *minutes != 0),
        first_days: new.first_days.filter(|days| *days != 0),
        disabled: new.disabled,
    };
    check(&settings, &new.versions)?;
    if password.is_empty() {
        return Err(Error::field("password", "empty", "the scanner's password is needed to connect"));
    }
    let (author, now, sealer) = (caller.author(), app.clock.now(), Arc::clone(&app.keys.sealer));
    let made = app.database.try_write(move |tx| {
        let id = instances::create(tx, &author, &settings, now).map_err(name_taken)?;
        instances::set_secret(tx, id, &sealer.seal(&purpose(id), &password))?;
        known(tx, id)
    });
    let made = made.await?;
    app.wake.notify("instance", made.id.0);
    Ok(made)
}

/// Change an instance; `seen` is the version the caller has seen.
///
/// # Errors
/// 403, 404, 409 `password_needed` and `name_taken`, 412, 422.
pub async fn change(
    app: &App,
    caller: &Caller,
    id: InstanceId,
    change: InstanceChange,
    seen: Option<i64>,
) -> Result<Instance, Error> {
    caller.may(Action::IntegrationConfigure, &Record::default())?;
    let (author, now, sealer) = (caller.author(), app.clock.now(), Arc::clone(&app.keys.sealer));
    let changed = app.database.try_write(move |tx| {
        let before = known(tx, id)?;
        if seen.is_some_and(|seen| seen != before.version) {
            return Err(crate::http::conditional::changed_meanwhile());
        }
        let versions = change.versions.clone().unwrap_or_else(|| versions_of(&before.versions));
        let settings = changed_settings(&before, &change, versions_text(&versions)?);
        if !before.files_only() {
            check(&settings, &versions)?;
        }
        let password = change.password.as_deref().filter(|password| !password.is_empty());
        let moved = settings.api_url != before.api_url
            || settings.gateway_url != before.gateway_url
            || settings.username != before.username;
        if moved && before.has_secret && password.is_none() {
            let why = "a kept password is sent only to the address and for the user it was entered for: enter it again";
            return Err(Refusal::new("password_needed", why).into());
        }
        let sealed = password.map(|password| sealer.seal(&purpose(id), password));
        instances::update(tx, &author, id, before.version, &settings, sealed.as_deref(), now).map_err(name_taken)?;
        if change.interval_minutes.is_some() {
            integrations::set_interval(tx, &author, id, settings.interval_minutes, now)?;
        }
        known(tx, id)
    });
    let changed = changed.await?;
    app.wake.notify("instance", id.0);
    Ok(changed)
}

fn changed_settings(before: &Instance, change: &InstanceChange, versions: String) -> Settings {
    let text = |new: &Option<String>, before: &str| new.as_deref().map_or(before, str::trim).to_owned();
    let optional = |new: &Option<String>, before: &Option<String>| match new {
        None => before.clone(),
        Some(new) => Some(new.trim().to_owned()).filter(|new| !new.is_empty()),
    };
    Settings {
        name: text(&change.name, &before.name),
        product: before.product.clone(),
        api_url: text(&change.api_url, &before.api_url),
        gateway_url: text(&change.gateway_url, &before.gateway_url),
        auth: text(&change.auth, &before.auth),
        username: text(&change.username, &before.username),
        versions,
        default_profile: optional(&change.default_profile, &before.default_profile),
        default_appliance: optional(&change.default_appliance, &before.default_appliance),
        tracking_hours: change.tracking_hours.unwrap_or(before.tracking_hours),
        interval_minutes: match change.interval_minutes {
            None => before.interval_minutes,
            Some(minutes) => Some(minutes).filter(|minutes| *minutes != 0),
        },
        first_days: match change.first_days {
            None => before.first_days,
            Some(days) => Some(days).filter(|days| *days != 0),
        },
        disabled: change.disabled.unwrap_or(before.disabled),
    }
}

fn name_taken(error: store::Error) -> Error {
    if error.conflicts_with("integration_instance_name") {
        return Refusal::new("name_taken", "another integration instance has this name").into();
    }
    error.into()
}

/// 0 is the program's own version.
fn versions_text(versions: &BTreeMap<String, u8>) -> Result<String, Error> {
    let set: BTreeMap<&String, &u8> = versions.iter().filter(|(_, version)| **version != 0).collect();
    serde_json::to_string(&set).map_err(Error::internal)
}

/// The versions as they are kept.
#[must_use]
pub fn versions_of(text: &str) -> BTreeMap<String, u8> {
    serde_json::from_str(text).unwrap_or_default()
}

/// The versions that are gone, as they are kept.
#[must_use]
pub fn versions_seen(text: &str) -> Vec<VersionSeen> {
    serde_json::from_str(text).unwrap_or_default()
}

/// The last test of the connection, as it is kept.
#[must_use]
pub fn tested(text: &str) -> Option<ConnectionTest> {
    serde_json::from_str(text).ok()
}

/// A limit of the platform, as people and programs read it.
#[must_use]
pub fn quota(row: store::quotas::Quota) -> Quota {
    let reserve = crate::platforms::quota(&row).reserve();
    Quota {
        endpoint: row.endpoint,
        limit: row.limit_calls,
        window_seconds: row.window_seconds,
        remaining: row.remaining,
        reserve,
        wait_until: row.wait_until_at,
        concurrency: row.concurrency,
        seen_at: row.seen_at,
        refused_at: row.refused_at,
        refused: row.refused,
    }
}

/// May an import from the platform of this instance begin? The same for the button, the schedule and the API.
///
/// # Errors
/// `files_only`, `instance_disabled`.
pub fn importable(instance: &Instance) -> Result<(), Refusal> {
    enabled(instance)?;
    connected(instance)
}

/// Has this instance a connection to a scanner?
///
/// # Errors
/// `files_only`.
pub fn connected(instance: &Instance) -> Result<(), Refusal> {
    if instance.files_only() {
        let why = "this integration instance is filled from files; it has no connection to a scanner";
        return Err(Refusal::new("files_only", why));
    }
    Ok(())
}

/// Does this instance take anything in at all, also from a file?
///
/// # Errors
/// `instance_disabled`.
pub fn enabled(instance: &Instance) -> Result<(), Refusal> {
    if instance.disabled {
        let why = "this integration instance is disabled: it neither imports nor rescans";
        return Err(Refusal::new("instance_disabled", why));
    }
    Ok(())
}

/// Delete an instance that never imported anything; `seen` is the version the caller has seen.
///
/// # Errors
/// 403, 404, 409 `instance_in_use`, 412.
pub async fn delete(app: &App, caller: &Caller, id: InstanceId, seen: Option<i64>) -> Result<(), Error> {
    caller.may(Action::IntegrationConfigure, &Record::default())?;
    let (author, now) = (caller.author(), app.clock.now());
    let deleted = app.database.try_write(move |tx| {
        let before = known(tx, id)?;
        if seen.is_some_and(|seen| seen != before.version) {
            return Err(crate::http::conditional::changed_meanwhile());
        }
        if !instances::delete(tx, &author, id, before.version, now)? {
            let why = "it has imports, hosts or scans; disable it instead: its records stay";
            return Err(Refusal::new("instance_in_use", why).into());
        }
        Ok(())
    });
    deleted.await?;
    app.platforms.forget(id);
    app.wake.notify("instance", id.0);
    Ok(())
}

fn check(settings: &Settings, versions: &BTreeMap<String, u8>) -> Result<(), Error> {
    let mut errors = Vec::new();
    let mut refuse = |field: &str, code: &str, why: &str| errors.push(FieldError::new(field, code, why));
    if settings.name.is_empty() || settings.name.len() > TEXT_BYTES_MAX || settings.name.chars().any(char::is_control) {
        refuse("name", "name", "a name has 1 to 500 characters and no control characters");
    }
    if !address_fits(&settings.api_url) {
        refuse("api_url", "url", "the API's address is https://host, or http://127.0.0.1 for a simulator");
    }
    if !settings.gateway_url.is_empty() && !address_fits(&settings.gateway_url) {
        refuse("gateway_url", "url", "the gateway's address is https://host");
    }
    match settings.auth.as_str() {
        "basic" | "session" => {}
        "token" if settings.gateway_url.is_empty() => {
            refuse("gateway_url", "empty", "tokens come from the gateway: its address is needed");
        }
        "token" => {}
        _ => refuse("auth", "unknown", "auth is basic, session or token"),
    }
    if settings.username.is_empty() || settings.username.len() > TEXT_BYTES_MAX {
        refuse("username", "empty", "the user name at the scanner is needed to connect");
    }
    if !(1..=TRACKING_HOURS_MAX).contains(&settings.tracking_hours) {
        refuse("tracking_hours", "out_of_range", "a rescan is tracked for 1 to 168 hours");
    }
    let interval = INTERVAL_MINUTES_MIN..=INTERVAL_MINUTES_MAX;
    if settings.interval_minutes.is_some_and(|minutes| !interval.contains(&minutes)) {
        refuse("interval_minutes", "out_of_range", "scheduled imports are 15 minutes to 30 days apart; 0 is none");
    }
    if settings.first_days.is_some_and(|days| !(1..=FIRST_DAYS_MAX).contains(&days)) {
        refuse("first_days", "out_of_range", "the first import goes back 1 to 365 days; 0 is everything");
    }
    for (word, version) in versions {
        match Endpoint::of_word(word) {
            None => refuse("versions", "unknown", &format!("{word} is no end point of the API")),
            Some(endpoint) if *version != 0 && !endpoint.known_versions().contains(version) => {
                let known: Vec<String> = endpoint.known_versions().iter().map(|known| format!("{known}.0")).collect();
                let why = format!("{word} is known in the versions {}; 0 is the program's", known.join(", "));
                refuse("versions", "unknown", &why);
            }
            Some(_) => {}
        }
    }
    if errors.is_empty() { Ok(()) } else { Err(Error::Invalid(errors)) }
}

/// TLS everywhere but on this machine.
fn address_fits(text: &str) -> bool {
    let Ok(url) = Url::parse(text) else { return false };
    let here = match url.host() {
        Some(url::Host::Ipv4(ip)) => ip.is_loopback(),
        Some(url::Host::Ipv6(ip)) => ip.is_loopback(),
        Some(url::Host::Domain(name)) => name == "localhost",
        None => return false,
    };
    text.len() <= TEXT_BYTES_MAX
        && (url.scheme() == "https" || (url.scheme() == "http" && here))
        && url.username().is_empty()
        && url.password().is_none()
        && url.query().is_none()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_travel_over_tls_or_not_at_all() {
        for (text, fits) in [
            ("https://qualysapi.example", true),
            ("http://127.0.0.1:8080", true),
            ("http://[::1]:8080/", true),
            ("http://localhost:1", true),
            ("http://qualysapi.example", false),
            ("https://user:pass@qualysapi.example", false),
            ("https://qualysapi.example/?x=1", false),
            ("ftp://127.0.0.1", false),
            ("", false),
        ] {
            assert_eq!(address_fits(text), fits, "{text}");
        }
    }
}

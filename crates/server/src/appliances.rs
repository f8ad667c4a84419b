//! Scanner appliances: what people set of them, checked; and which of them serves an address.

use crate::app::App;
use crate::http::{Caller, Error};
use domain::access::{Action, Record};
use domain::id::InstanceId;
use domain::refusal::Refusal;
use domain::rescan::{self, EXTERNAL, Why};
use protocol::api::integrations::{Appliance, ApplianceChange, NewAppliance, Place};
use protocol::problem::FieldError;
use std::net::IpAddr;
use store::appliances::{self as rows, CONDITION, Settings};
use store::{Transaction, instances};
use uuid::Uuid;

/// Most ranges of a row.
const RANGES_MAX: usize = 10_000;
/// Order of a new row.
const PRECEDENCE: i64 = 100;
/// Highest order.
const PRECEDENCE_MAX: i64 = 1_000_000;
/// Longest key, name or network, in bytes.
const TEXT_BYTES_MAX: usize = 200;
/// Longest condition, in bytes.
const CONDITION_BYTES_MAX: usize = 2_000;

/// The row of this key; an unknown one is named.
///
/// # Errors
/// [`Error::NotFound`].
pub fn known(tx: &mut Transaction<'_>, id: i64) -> Result<rows::Appliance, Error> {
    rows::one(tx, id).map_err(|error| match error {
        store::Error::NotFound => Error::NotFound(format!("appliance {id}")),
        error => error.into(),
    })
}

/// A row as people and programs read it.
#[must_use]
pub fn body(row: rows::Appliance) -> Appliance {
    Appliance {
        id: row.id,
        instance_id: row.instance_id.0,
        instance: row.instance,
        key: row.key,
        name: row.name,
        status: row.status,
        group: row.group_name,
        addresses: serde_json::from_str(&row.addresses).unwrap_or_default(),
        network_id: row.network_id,
        condition: row.condition,
        profile: row.profile,
        precedence: row.precedence,
        active: row.active,
        manual: row.manual,
    }
}

/// Make a row by hand.
///
/// # Errors
/// 403, 404 for the instance, 422.
pub async fn create(app: &App, caller: &Caller, new: NewAppliance) -> Result<rows::Appliance, Error> {
    caller.may(Action::IntegrationConfigure, &Record::default())?;
    let instance = InstanceId(new.instance_id);
    let key = key(&new.key);
    let name = if new.name.trim().is_empty() { named(&key) } else { new.name.trim().to_owned() };
    let mut wrong = Vec::new();
    let settings = Settings {
        name,
        network_id: new.network_id.trim().to_owned(),
        addresses: addresses(&new.addresses, &mut wrong),
        condition: new.condition.trim().to_owned(),
        profile: new.profile.map(|profile| profile.trim().to_owned()).filter(|profile| !profile.is_empty()),
        precedence: new.precedence.unwrap_or(PRECEDENCE),
        active: true,
        key,
    };
    let (author, now, place) = (caller.author(), app.clock.now(), format!("manual:{}", Uuid::new_v4()));
    let made = app.database.try_write(move |tx| {
        crate::instances::known(tx, instance)?;
        check(tx, instance, &settings, wrong.clone())?;
        let id = rows::create(tx, &author, instance, &place, &settings, now)?;
        known(tx, id)
    });
    made.await
}

/// Change a row; `seen` is the version the caller has seen.
///
/// # Errors
/// 403, 404, 409 `not_manual`, 412, 422.
pub async fn change(
    app: &App,
    caller: &Caller,
    id: i64,
    change: ApplianceChange,
    seen: Option<i64>,
) -> Result<rows::Appliance, Error> {
    caller.may(Action::IntegrationConfigure, &Record::default())?;
    let (author, now) = (caller.author(), app.clock.now());
    let changed = app.database.try_write(move |tx| {
        let before = known(tx, id)?;
        if seen.is_some_and(|seen| seen != before.version) {
            return Err(crate::http::conditional::changed_meanwhile());
        }
        let scanners = change.key.is_some() || change.name.is_some() || change.addresses.is_some();
        if !before.manual && (scanners || change.network_id.is_some()) {
            let why =
                "key, name, network and addresses of this row come from the scanner; make a row of your own instead";
            return Err(Refusal::new("not_manual", why).into());
        }
        let text = |new: &Option<String>, before: &str| new.as_deref().map_or(before, str::trim).to_owned();
        let mut wrong = Vec::new();
        let settings = Settings {
            key: change.key.as_deref().map_or_else(|| before.key.clone(), key),
            name: text(&change.name, &before.name),
            network_id: text(&change.network_id, &before.network_id),
            addresses: match &change.addresses {
                Some(given) => addresses(given, &mut wrong),
                None => before.addresses.clone(),
            },
            condition: text(&change.condition, &before.condition),
            profile: match &change.profile {
                Some(profile) => Some(profile.trim().to_owned()).filter(|profile| !profile.is_empty()),
                None => before.profile.clone(),
            },
            precedence: change.precedence.unwrap_or(before.precedence),
            active: change.active.unwrap_or(before.active),
        };
        check(tx, before.instance_id, &settings, wrong)?;
        rows::change(tx, &author, id, before.version, &settings, now)?;
        known(tx, id)
    });
    changed.await
}

/// Delete a row that people made; `seen` is the version the caller has seen.
///
/// # Errors
/// 403, 404, 409 `not_manual`, 412.
pub async fn delete(app: &App, caller: &Caller, id: i64, seen: Option<i64>) -> Result<rows::Appliance, Error> {
    caller.may(Action::IntegrationConfigure, &Record::default())?;
    let (author, now) = (caller.author(), app.clock.now());
    let deleted = app.database.try_write(move |tx| {
        let before = known(tx, id)?;
        if seen.is_some_and(|seen| seen != before.version) {
            return Err(crate::http::conditional::changed_meanwhile());
        }
        if !rows::delete(tx, &author, id, now)? {
            let why = "this row comes from the scanner and comes again; switch it off instead";
            return Err(Refusal::new("not_manual", why).into());
        }
        Ok(before)
    });
    deleted.await
}

/// Which appliance an address is scanned from, and why. Conditions tell of assets that the caller may not see, so it is for
/// those who set them.
///
/// # Errors
/// 403, 404, 422 for what is no address.
pub async fn place(
    app: &App,
    caller: &Caller,
    instance: InstanceId,
    address: &str,
    network: &str,
) -> Result<Place, Error> {
    caller.may(Action::IntegrationConfigure, &Record::default())?;
    let Ok(address) = address.trim().parse::<IpAddr>() else {
        return Err(Error::field("address", "address", "this is no address such as 10.1.2.3 or fd00::7"));
    };
    let network = network.trim().to_owned();
    let read = app.database.try_read(move |tx| {
        let known = crate::instances::known(tx, instance)?;
        let (serving, profiles) = (rows::serving(tx, instance)?, instances::profiles(tx, instance)?);
        let default = known.default_appliance.as_deref();
        let (found, why) = rescan::chosen(&serving, default, &address.to_string(), &network);
        let own = found.and_then(|row| row.profile.clone()).filter(|profile| !profile.is_empty());
        let profile = own.or(known.default_profile.filter(|profile| !profile.is_empty()));
        let title = profile.as_deref().and_then(|word| {
            let found = profiles.iter().find(|profile| profile.key == word || profile.title == word);
            found.map(|profile| profile.title.clone())
        });
        let name = found.map_or(EXTERNAL, |row| row.name.as_str());
        let (word, because) = match why {
            Why::Range => ("range", "one of its ranges holds the address"),
            Why::Condition => ("condition", "its condition holds for the asset of that address"),
            Why::Default => ("default", "no appliance serves it, and the instance names this one for that"),
            Why::External => ("external", "no appliance serves it, and the instance names none for that"),
        };
        let with = match (&title, &profile) {
            (Some(title), _) => format!("with the option profile {title}"),
            (None, Some(gone)) => format!("with the option profile {gone}, which the scanner does not list"),
            (None, None) => "with no option profile: none is set".to_owned(),
        };
        let sentence = format!("{address} is scanned from {name} {with}, because {because}");
        let (row, appliance) = (found.map(|row| row.id), name.to_owned());
        Ok::<_, Error>(Place { row, appliance, why: word.to_owned(), profile, sentence })
    });
    read.await
}

/// People write the platform's own scanners as External.
fn key(text: &str) -> String {
    let text = text.trim();
    if text.eq_ignore_ascii_case(EXTERNAL) { "0".to_owned() } else { text.to_owned() }
}

fn named(key: &str) -> String {
    if key == "0" { EXTERNAL.to_owned() } else { key.to_owned() }
}

/// Addresses and ranges as they are kept; what is wrong with them is added.
fn addresses(given: &[String], wrong: &mut Vec<FieldError>) -> String {
    let mut ranges = Vec::new();
    let parts =
        given.iter().flat_map(|text| text.split([',', ' ', '\n'])).map(str::trim).filter(|part| !part.is_empty());
    for part in parts {
        match range(part) {
            Some((low, high)) => ranges.push((low.to_string(), high.to_string())),
            None => {
                let why = format!("{part} is neither an address nor a range such as 10.1.0.0-10.1.0.255");
                wrong.push(FieldError::new("addresses", "address", &why));
                break;
            }
        }
    }
    if ranges.len() > RANGES_MAX {
        wrong.push(FieldError::new("addresses", "too_many", "a row has at most 10,000 ranges"));
    }
    serde_json::to_string(&ranges).unwrap_or_else(|_| "[]".to_owned())
}

fn range(text: &str) -> Option<(IpAddr, IpAddr)> {
    let (low, high) = text.split_once('-').unwrap_or((text, text));
    let (low, high): (IpAddr, IpAddr) = (low.trim().parse().ok()?, high.trim().parse().ok()?);
    (low.is_ipv4() == high.is_ipv4() && low <= high).then_some((low, high))
}

fn check(
    tx: &mut Transaction<'_>,
    instance: InstanceId,
    settings: &Settings,
    mut errors: Vec<FieldError>,
) -> Result<(), Error> {
    let mut refuse = |field: &str, code: &str, why: &str| errors.push(FieldError::new(field, code, why));
    let fits = |text: &str| text.len() <= TEXT_BYTES_MAX && !text.chars().any(char::is_control);
    if settings.key.is_empty() || !fits(&settings.key) {
        refuse("key", "key", "the scanner's key of the appliance, or External, is needed");
    }
    if settings.name.is_empty() || !fits(&settings.name) {
        refuse("name", "name", "a name has 1 to 200 characters and no control characters");
    }
    if !fits(&settings.network_id) {
        refuse("network_id", "network", "the key of the scanner's network");
    }
    if settings.condition.len() > CONDITION_BYTES_MAX {
        refuse("condition", "too_long", "a condition has at most 2,000 characters");
    } else if let Err(error) = domain::filter::parse(&settings.condition, &CONDITION) {
        refuse("condition", "query", &error.to_string());
    }
    if !(0..=PRECEDENCE_MAX).contains(&settings.precedence) {
        refuse("precedence", "out_of_range", "the order is 0 to 1,000,000; lower wins");
    }
    if let Some(word) = &settings.profile {
        let profiles = instances::profiles(tx, instance)?;
        if !profiles.iter().any(|profile| profile.key == *word || profile.title == *word) {
            refuse("profile", "unknown", "the scanner lists no option profile of this key or title");
        }
    }
    if errors.is_empty() { Ok(()) } else { Err(Error::Invalid(errors)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_ranges_of_one_family_from_low_to_high() {
        for (text, kept) in [
            ("10.0.0.1", Some(r#"[["10.0.0.1","10.0.0.1"]]"#)),
            ("10.0.0.1-10.0.0.9, 10.1.0.1", Some(r#"[["10.0.0.1","10.0.0.9"],["10.1.0.1","10.1.0.1"]]"#)),
            ("fd00::1-fd00::9", Some(r#"[["fd00::1","fd00::9"]]"#)),
            ("", Some("[]")),
            ("10.0.0.9-10.0.0.1", None),
            ("10.0.0.1-fd00::1", None),
            ("10.0.0.0/8", None),
            ("a name", None),
        ] {
            let mut wrong = Vec::new();
            let found = addresses(&[text.to_owned()], &mut wrong);
            assert_eq!(wrong.is_empty().then_some(found.as_str()), kept, "{text}");
        }
    }
}

//! Settings of rescans: their pace, so that an installation with a slow scanner asks less often, and who may ask.

use crate::app::App;
use crate::http::{Caller, Error};
use domain::access::{Action, Record};
use domain::id::InstanceId;
use domain::rescan::{Pace, Policy};
use serde::{Deserialize, Serialize};
use store::{Transaction, scans, settings};

/// The setting's name.
pub const PACE: &str = "rescan.pace";

/// The pace in force.
///
/// # Errors
/// See [`store::Error`].
pub fn pace(tx: &mut Transaction<'_>) -> store::Result<Pace> {
    Ok(settings::get::<Pace>(tx, PACE)?.map(|setting| setting.value).unwrap_or_default())
}

/// Change the pace.
///
/// # Errors
/// A missing permission; 422 `pace` for seconds out of range.
pub async fn set_pace(app: &App, caller: &Caller, pace: Pace) -> Result<(), Error> {
    caller.may(Action::SettingsChange, &Record::default())?;
    pace.validate().map_err(|refusal| Error::field("pace", refusal.code, refusal.sentence))?;
    let (author, now) = (caller.author(), app.clock.now());
    app.database.write(move |tx| settings::put(tx, &author, PACE, &pace, None, now)).await?;
    Ok(())
}

/// The setting's name.
pub const RULES: &str = "rescan.rules";

/// Who may ask for a rescan.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rules {
    /// A remediation owner may rescan what is assigned to one of his groups (S2.07); otherwise only what is assigned to
    /// him by name.
    pub by_group: bool,
}

impl Default for Rules {
    fn default() -> Self {
        Rules { by_group: true }
    }
}

/// The rules in force.
///
/// # Errors
/// See [`store::Error`].
pub fn rules(tx: &mut Transaction<'_>) -> store::Result<Rules> {
    Ok(settings::get::<Rules>(tx, RULES)?.map(|setting| setting.value).unwrap_or_default())
}

/// Change the rules.
///
/// # Errors
/// A missing permission.
pub async fn set_rules(app: &App, caller: &Caller, rules: Rules) -> Result<(), Error> {
    caller.may(Action::SettingsChange, &Record::default())?;
    let (author, now) = (caller.author(), app.clock.now());
    app.database.write(move |tx| settings::put(tx, &author, RULES, &rules, None, now)).await?;
    Ok(())
}

/// When rescans of an instance are launched, and how often that was changed.
///
/// # Errors
/// A missing permission, not found.
pub async fn policy(app: &App, caller: &Caller, instance: InstanceId) -> Result<(Policy, i64), Error> {
    caller.may(Action::IntegrationsView, &Record::default())?;
    app.database
        .try_read(move |tx| {
            crate::instances::known(tx, instance)?;
            Ok::<_, Error>(scans::policy(tx, instance)?)
        })
        .await
}

/// Change that; `seen` is the version the caller has seen. Gives the new one.
///
/// # Errors
/// A missing permission, not found, 412, 422 with the field that cannot be kept.
pub async fn set_policy(
    app: &App,
    caller: &Caller,
    instance: InstanceId,
    policy: Policy,
    seen: Option<i64>,
) -> Result<i64, Error> {
    caller.may(Action::IntegrationConfigure, &Record::default())?;
    policy.validate().map_err(|(field, refusal)| Error::field(field, refusal.code, refusal.sentence))?;
    let (author, now) = (caller.author(), app.clock.now());
    let changed = app.database.try_write(move |tx| {
        crate::instances::known(tx, instance)?;
        scans::set_policy(tx, &author, instance, &policy, seen, now).map_err(|error| match error {
            store::Error::Conflict(what) if what == scans::CHANGED => crate::http::conditional::changed_meanwhile(),
            error => error.into(),
        })
    });
    let version = changed.await?;
    app.wake.notify("rescan", 0);
    Ok(version)
}

//! `windows.setting`: switches of Windows that are neither in the registry nor services, through [`crate::windows::Windows`].

use super::{Finding, KindError, Presence, Workspace, windows};
use crate::host::Host;
use crate::record::Step;
use crate::restore::As;
use catalogue::actions::{WindowsSetting, WindowsSwitch};

/// Where the switch is: each interface, or the machine. With the value as planned, or as it is.
fn values(setting: WindowsSwitch, host: &Host, workspace: &Workspace<'_>) -> Result<Vec<(String, String)>, KindError> {
    let found = windows(host).and_then(|windows| windows.switches(setting)).map_err(KindError::Cannot)?;
    let planned = |at: &str| {
        workspace.last_act(|step| match step {
            Step::WindowsSwitch { setting: of, at: place, after, .. } if *of == setting && place == at => {
                Some(after.clone())
            }
            _ => None,
        })
    };
    Ok(found.into_iter().map(|(at, value)| (at.clone(), planned(&at).unwrap_or(value))).collect())
}

/// See [`super::check`].
///
/// # Errors
/// When the switch cannot be read.
pub fn check(action: &WindowsSetting, host: &Host, workspace: &Workspace<'_>) -> Result<Finding, KindError> {
    if host.windows.is_none() {
        return Ok(Finding::because(Presence::NotHere, "(absent)", "this is no Windows"));
    }
    let values = values(action.setting, host, workspace)?;
    let Some((_, first)) = values.first() else {
        return Ok(Finding::because(Presence::NotHere, "(absent)", format!("there is no {} here", action.setting)));
    };
    let other = values.iter().find(|(_, value)| *value != action.value);
    Ok(match other {
        None => Finding::new(Presence::Present, first),
        Some((at, value)) if at.is_empty() => Finding::new(Presence::Absent, value),
        Some((at, value)) => Finding::new(Presence::Absent, format!("{value} on {at}")),
    })
}

/// See [`super::plan`].
///
/// # Errors
/// When the switch cannot be read.
pub fn plan(action: &WindowsSetting, host: &Host, workspace: &mut Workspace<'_>) -> Result<(), KindError> {
    for (at, before) in values(action.setting, host, workspace)? {
        if before != action.value {
            let (setting, after) = (action.setting, action.value.clone());
            workspace.act(Step::WindowsSwitch { setting, at, before, after });
        }
    }
    Ok(())
}

/// How a switch stands to a step of ours; an interface that is gone is as before.
///
/// # Errors
/// A sentence when it cannot be read.
pub fn compare(setting: WindowsSwitch, at: &str, before: &str, after: &str, host: &Host) -> Result<As, String> {
    let found = windows(host)?.switches(setting)?;
    Ok(match found.into_iter().find(|(place, _)| place == at) {
        None => As::Before,
        Some((_, now)) if now == before => As::Before,
        Some((_, now)) if now == after => As::After,
        Some((_, now)) => As::Neither(now),
    })
}

/// Turn a switch.
///
/// # Errors
/// A sentence; when somebody turned it meanwhile, nothing is done.
pub fn perform(setting: WindowsSwitch, at: &str, before: &str, after: &str, host: &Host) -> Result<(), String> {
    match compare(setting, at, before, after, host)? {
        As::Before => windows(host)?.set_switch(setting, at, after),
        _ => Err(format!("{setting} changed while we worked on it")),
    }
}

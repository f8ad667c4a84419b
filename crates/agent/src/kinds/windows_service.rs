//! `service.state` on Windows, through [`crate::windows::Windows`]. What systemd calls masked does not exist there: disabled is the
//! strongest.

use super::{Finding, KindError, Presence, Workspace, windows};
use crate::host::Host;
use crate::record::{ServiceLook, Step};
use crate::restore::As;
use catalogue::actions::{ServiceStart, ServiceState};

fn wanted(action: &ServiceState) -> ServiceLook {
    let start = if action.start == ServiceStart::Masked { ServiceStart::Disabled } else { action.start };
    ServiceLook { running: action.running, start }
}

fn look(name: &str, host: &Host) -> Result<Option<ServiceLook>, String> {
    windows(host)?.service(name)
}

/// See [`super::check`].
///
/// # Errors
/// When the service cannot be read.
pub fn check(action: &ServiceState, host: &Host, workspace: &Workspace<'_>) -> Result<Finding, KindError> {
    let name = action.name.as_str();
    let planned = workspace.last_act(|step| match step {
        Step::Service { name: of, after, .. } if of == name => Some(*after),
        _ => None,
    });
    let found = match planned {
        Some(after) => Some(after),
        None => look(name, host).map_err(KindError::Cannot)?,
    };
    let Some(found) = found else {
        return Ok(Finding::because(Presence::NotHere, "(absent)", format!("there is no service {name}")));
    };
    let wanted = wanted(action);
    Ok(match (found.start == wanted.start, found.running == wanted.running) {
        (true, true) => Finding::new(Presence::Present, found.to_string()),
        (true, false) => Finding::because(Presence::Lapsed, found.to_string(), "somebody started or stopped it since"),
        (false, _) => Finding::new(Presence::Absent, found.to_string()),
    })
}

/// See [`super::plan`].
///
/// # Errors
/// When the service cannot be read.
pub fn plan(action: &ServiceState, host: &Host, workspace: &mut Workspace<'_>) -> Result<(), KindError> {
    let name = action.name.as_str().to_owned();
    let before = look(&name, host).map_err(KindError::Cannot)?;
    let before = before.ok_or_else(|| KindError::Cannot(format!("there is no service {name}")))?;
    workspace.act(Step::Service { name, before, after: wanted(action) });
    Ok(())
}

/// How a service stands to a step of ours.
///
/// # Errors
/// A sentence when it cannot be read.
pub fn compare(name: &str, before: ServiceLook, after: ServiceLook, host: &Host) -> Result<As, String> {
    Ok(match look(name, host)? {
        None => As::Neither("gone".to_owned()),
        Some(now) if now == before => As::Before,
        Some(now) if now == after => As::After,
        Some(now) => As::Neither(now.to_string()),
    })
}

/// Change a service.
///
/// # Errors
/// A sentence.
pub fn perform(name: &str, before: ServiceLook, after: ServiceLook, host: &Host) -> Result<(), String> {
    match compare(name, before, after, host)? {
        As::Before => windows(host)?.set_service(name, after),
        _ => Err(format!("the service {name} changed while we worked on it")),
    }
}

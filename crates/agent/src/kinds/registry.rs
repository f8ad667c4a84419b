//! `registry.value`, `registry.value_absent` and `registry.key_absent`: settings of the Windows registry, through [`Windows`].

use super::{Finding, KindError, Presence, Workspace};
use crate::host::Host;
use crate::record::{RegistryPlace, Step};
use crate::restore::As;
use crate::windows::Windows;
use catalogue::actions::registry::View;
use catalogue::actions::{RegistryData, RegistryKeyAbsent, RegistryValue, RegistryValueAbsent};
use catalogue::text::RegistryKey;

/// Largest tree of keys that is deleted, and so kept, as JSON in bytes.
const TREE_BYTES_MAX: usize = 64 * 1024;

fn place(key: &RegistryKey, view: View) -> RegistryPlace {
    RegistryPlace { view, key: key.as_str().to_owned() }
}

fn windows(host: &Host) -> Result<&dyn Windows, String> {
    host.windows.as_deref().ok_or_else(|| "this system has no registry".to_owned())
}

fn not_windows() -> Finding {
    Finding::because(Presence::NotHere, "(absent)", "this system has no registry")
}

fn shown(data: Option<&RegistryData>) -> String {
    data.map_or_else(|| "(absent)".to_owned(), ToString::to_string)
}

/// The value as planned, or as it is.
fn value(
    at: &RegistryPlace,
    name: &str,
    host: &Host,
    workspace: &Workspace<'_>,
) -> Result<Option<RegistryData>, KindError> {
    let planned = workspace.last_act(|step| match step {
        Step::Registry { at: of, name: called, after, .. } if of == at && called == name => Some(after.clone()),
        _ => None,
    });
    match planned {
        Some(after) => Ok(after),
        None => windows(host).and_then(|windows| windows.value(at, name)).map_err(KindError::Cannot),
    }
}

/// See [`super::check`].
///
/// # Errors
/// When the value cannot be read.
pub fn check_value(action: &RegistryValue, host: &Host, workspace: &Workspace<'_>) -> Result<Finding, KindError> {
    if host.windows.is_none() {
        return Ok(not_windows());
    }
    let found = value(&place(&action.key, action.view), action.name.as_str(), host, workspace)?;
    let presence = if found.as_ref() == Some(&action.data) { Presence::Present } else { Presence::Absent };
    Ok(Finding::new(presence, shown(found.as_ref())))
}

/// See [`super::check`].
///
/// # Errors
/// When the value cannot be read.
pub fn check_value_absent(
    action: &RegistryValueAbsent,
    host: &Host,
    workspace: &Workspace<'_>,
) -> Result<Finding, KindError> {
    if host.windows.is_none() {
        return Ok(not_windows());
    }
    let found = value(&place(&action.key, action.view), action.name.as_str(), host, workspace)?;
    let presence = if found.is_none() { Presence::Present } else { Presence::Absent };
    Ok(Finding::new(presence, shown(found.as_ref())))
}

/// See [`super::check`].
///
/// # Errors
/// When the key cannot be read.
pub fn check_key_absent(
    action: &RegistryKeyAbsent,
    host: &Host,
    workspace: &Workspace<'_>,
) -> Result<Finding, KindError> {
    if host.windows.is_none() {
        return Ok(not_windows());
    }
    let at = place(&action.key, action.view);
    let planned = workspace.acts(|step| matches!(step, Step::RegistryTree { at: of, after: None, .. } if *of == at));
    let here = !planned && windows(host).and_then(|windows| windows.has_key(&at)).map_err(KindError::Cannot)?;
    Ok(match here {
        true => Finding::new(Presence::Absent, "there"),
        false => Finding::new(Presence::Present, "(absent)"),
    })
}

fn plan(
    at: RegistryPlace,
    name: &str,
    after: Option<RegistryData>,
    host: &Host,
    workspace: &mut Workspace<'_>,
) -> Result<(), KindError> {
    let before = value(&at, name, host, workspace)?;
    let mut made = Vec::new();
    if after.is_some() {
        let windows = windows(host).map_err(KindError::Cannot)?;
        let mut key = at.key.as_str();
        while !windows.has_key(&RegistryPlace { view: at.view, key: key.to_owned() }).map_err(KindError::Cannot)? {
            let planned = workspace.acts(|step| {
                matches!(step, Step::Registry { at: of, made, .. } if of.view == at.view && made.iter().any(|made| made == key))
            });
            if planned {
                break;
            }
            made.insert(0, key.to_owned());
            let above = key.rsplit_once('\\').map(|(above, _)| above);
            key = above.ok_or_else(|| KindError::Cannot(format!("there is nothing above {}", at.key)))?;
        }
    }
    workspace.act(Step::Registry { at, name: name.to_owned(), before, after, made });
    Ok(())
}

/// See [`super::plan`].
///
/// # Errors
/// When what is there cannot be read.
pub fn plan_value(action: &RegistryValue, host: &Host, workspace: &mut Workspace<'_>) -> Result<(), KindError> {
    plan(place(&action.key, action.view), action.name.as_str(), Some(action.data.clone()), host, workspace)
}

/// See [`super::plan`].
///
/// # Errors
/// When what is there cannot be read.
pub fn plan_value_absent(
    action: &RegistryValueAbsent,
    host: &Host,
    workspace: &mut Workspace<'_>,
) -> Result<(), KindError> {
    plan(place(&action.key, action.view), action.name.as_str(), None, host, workspace)
}

/// See [`super::plan`].
///
/// # Errors
/// When what is there cannot be read, or is more than is kept.
pub fn plan_key_absent(
    action: &RegistryKeyAbsent,
    host: &Host,
    workspace: &mut Workspace<'_>,
) -> Result<(), KindError> {
    let at = place(&action.key, action.view);
    let before = windows(host).and_then(|windows| windows.tree(&at)).map_err(KindError::Cannot)?;
    let bytes = serde_json::to_vec(&before).map_or(usize::MAX, |json| json.len());
    if bytes > TREE_BYTES_MAX {
        return Err(KindError::Cannot(format!("{} holds more than is kept for a revert", at.key)));
    }
    workspace.act(Step::RegistryTree { at, before, after: None });
    Ok(())
}

/// How a value or a tree stands to a step of ours.
///
/// # Errors
/// A sentence when it cannot be read.
pub fn compare(step: &Step, host: &Host) -> Result<As, String> {
    let windows = windows(host)?;
    match step {
        Step::Registry { at, name, before, after, .. } => {
            let now = windows.value(at, name)?;
            Ok(one_of(&now, before, after, || shown(now.as_ref())))
        }
        Step::RegistryTree { at, before, after } => {
            let now = windows.tree(at)?;
            Ok(one_of(&now, before, after, || "a key of somebody else".to_owned()))
        }
        _ => Ok(As::Before),
    }
}

fn one_of<T: PartialEq>(now: &T, before: &T, after: &T, say: impl Fn() -> String) -> As {
    if now == before {
        As::Before
    } else if now == after {
        As::After
    } else {
        As::Neither(say())
    }
}

/// Do a step of the registry, if what is there is what it was planned with.
///
/// # Errors
/// A sentence.
pub fn perform(step: &Step, host: &Host) -> Result<(), String> {
    if compare(step, host)? != As::Before {
        return Err(format!("{} changed while we worked on it", step.place()));
    }
    let windows = windows(host)?;
    let place = |at: &RegistryPlace, key: &String| RegistryPlace { view: at.view, key: key.clone() };
    match step {
        Step::Registry { at, name, after, made, .. } => {
            if after.is_some() {
                made.iter().try_for_each(|key| windows.make_key(&place(at, key)))?;
            }
            windows.set_value(at, name, after.as_ref())?;
            if after.is_none() {
                made.iter().rev().try_for_each(|key| windows.remove_empty_key(&place(at, key)))?;
            }
            Ok(())
        }
        Step::RegistryTree { at, after, .. } => windows.set_tree(at, after.as_ref()),
        _ => Ok(()),
    }
}

//! `firewall.rule` on Windows, through [`crate::windows::Windows`]: a rule of ours by its name, in force at once and after a restart.
//!
//! The rule is kept as the JSON of its parameters, which is what a backend is given.

use super::{Finding, KindError, Presence, Workspace, windows};
use crate::host::Host;
use crate::reach::cuts_off;
use crate::record::Step;
use catalogue::actions::FirewallRule;

fn line(action: &FirewallRule) -> Result<String, KindError> {
    serde_json::to_string(action).map_err(|error| KindError::Cannot(format!("writing the rule: {error}")))
}

fn present(name: &str, host: &Host) -> Result<Option<String>, String> {
    windows(host)?.rule(name)
}

/// See [`super::check`].
///
/// # Errors
/// When the rules cannot be read.
pub fn check(action: &FirewallRule, host: &Host, workspace: &Workspace<'_>) -> Result<Finding, KindError> {
    let name = action.name.as_str();
    let wanted = line(action)?;
    let planned = workspace.last_act(|step| match step {
        Step::Firewall { name: of, after, .. } if of == name => Some(after.clone()),
        _ => None,
    });
    let found = match planned {
        Some(after) => after,
        None => present(name, host).map_err(KindError::Cannot)?,
    };
    Ok(match found {
        Some(found) if found == wanted => Finding::new(Presence::Present, "in force"),
        Some(_) => Finding::new(Presence::Absent, "another rule of this name in force"),
        None => Finding::new(Presence::Absent, "not in force"),
    })
}

/// See [`super::plan`].
///
/// # Errors
/// When the rule would cut somebody off, or the rules cannot be read.
pub fn plan(action: &FirewallRule, host: &Host, workspace: &mut Workspace<'_>) -> Result<(), KindError> {
    if let Some(reason) = cuts_off(action, host) {
        return Err(KindError::Cannot(reason));
    }
    let name = action.name.to_string();
    let before = present(&name, host).map_err(KindError::Cannot)?;
    workspace.act(Step::Firewall { name, before, after: Some(line(action)?) });
    Ok(())
}

/// Whether there is this rule under its name, or none where `rule` is none.
///
/// # Errors
/// A sentence when it cannot be read.
pub fn is(name: &str, rule: Option<&str>, host: &Host) -> Result<bool, String> {
    Ok(present(name, host)?.as_deref() == rule)
}

/// Put a rule in place of another.
///
/// # Errors
/// A sentence; nothing has changed then.
pub fn perform(name: &str, before: Option<&str>, after: Option<&str>, host: &Host) -> Result<(), String> {
    if !is(name, before, host)? {
        return Err(format!("the firewall rule {name} changed while we worked on it"));
    }
    windows(host)?.set_rule(name, after)
}

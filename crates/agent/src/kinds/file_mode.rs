//! `file.mode`: permission bits of programs. The bytes are neither read nor kept.

use super::{Finding, KindError, Presence, Workspace};
use crate::fs::Node;
use crate::host::Host;
use catalogue::actions::FileMode;

/// Most files one pattern may cover.
const FILES_MAX: usize = 64;

/// See [`super::check`].
///
/// # Errors
/// When a file cannot be looked at.
pub fn check(action: &FileMode, host: &Host, workspace: &Workspace<'_>) -> Result<Finding, KindError> {
    let modes = modes(action, host, workspace)?;
    if modes.is_empty() {
        return Ok(Finding::because(Presence::NotHere, "(absent)", format!("there is no {}", action.path)));
    }
    let shown: Vec<String> = modes.iter().map(|(_, mode)| format!("{mode:04o}")).collect();
    let present = modes.iter().all(|(_, mode)| action.change.wanted(*mode) == *mode);
    Ok(Finding::new(if present { Presence::Present } else { Presence::Absent }, shown.join(", ")))
}

/// See [`super::plan`].
///
/// # Errors
/// When a file cannot be looked at.
pub fn plan(action: &FileMode, host: &Host, workspace: &mut Workspace<'_>) -> Result<(), KindError> {
    for (path, mode) in modes(action, host, workspace)? {
        workspace.put_mode(&path, mode, action.change.wanted(mode));
    }
    Ok(())
}

fn modes(action: &FileMode, host: &Host, workspace: &Workspace<'_>) -> Result<Vec<(String, u32)>, KindError> {
    let pattern = &action.path;
    let paths: Vec<String> = if pattern.is_wild() {
        let names = host.tree.names(pattern.folder()).unwrap_or_default();
        let folder = pattern.folder().trim_end_matches('/');
        names.iter().filter(|name| pattern.matches_name(name)).map(|name| format!("{folder}/{name}")).collect()
    } else {
        vec![pattern.as_str().to_owned()]
    };
    if paths.len() > FILES_MAX {
        return Err(KindError::Cannot(format!("{pattern} covers more than {FILES_MAX} files")));
    }
    let mut modes = Vec::new();
    for path in paths {
        match workspace.node(&path)? {
            Node::File { mode } => modes.push((path, mode)),
            // A link to the program elsewhere: the bits are those of its target, which an entry names itself.
            Node::Absent | Node::Link(_) | Node::Other => {}
        }
    }
    Ok(modes)
}

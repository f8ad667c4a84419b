//! `file.mode`: permission bits of programs. The bytes are not kept; where setuid or setgid is taken away they are read for their
//! digest, by which a revert knows the program again.

use super::{Finding, KindError, Presence, Workspace};
use crate::fs::Node;
use crate::host::Host;
use catalogue::actions::{Action, FileMode, rails};
use std::collections::BTreeMap;

/// Most files one pattern may cover.
const FILES_MAX: usize = 64;
/// Where programs are called from.
const PROGRAMS: [&str; 6] = ["/bin", "/sbin", "/usr/bin", "/usr/sbin", "/usr/local/bin", "/usr/local/sbin"];

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
/// When a file cannot be looked at, or is one that the host cannot do without by another name that it has here.
pub fn plan(action: &FileMode, host: &Host, workspace: &mut Workspace<'_>) -> Result<(), KindError> {
    let modes = modes(action, host, workspace)?;
    let vital = vital(action, host);
    for (path, mode) in modes {
        if let Some(other) = host.tree.mark(&path).and_then(|mark| vital.get(&mark)) {
            return Err(KindError::Cannot(format!(
                "{path} is {other} on this host; taking its bits away locks people out"
            )));
        }
        let loses = action.change.wanted(mode) != mode && rails::takes_exec(&action.change);
        // An entry may say that a file is setuid where it is not.
        if loses && mode & 0o6000 == 0 && rails::is_of_libraries(&path) {
            let text = format!("{path} is not setuid or setgid here; libraries and parts of services keep their bits");
            return Err(KindError::Cannot(text));
        }
        workspace.put_mode(&path, mode, action.change.wanted(mode));
    }
    Ok(())
}

/// The files of this host whose bits stay whatever their names are, by their marks: links and hard links lead to them.
fn vital(action: &FileMode, host: &Host) -> BTreeMap<String, String> {
    let stays = |path: &String| {
        let named = path.parse().map(|path| Action::FileMode(FileMode { path, change: action.change.clone() }));
        named.is_ok_and(|named| rails::breach(&named).is_some())
    };
    let names = |folder: &&str| {
        let names = host.tree.names(folder).unwrap_or_default();
        names.into_iter().map(|name| format!("{folder}/{name}")).collect::<Vec<_>>()
    };
    let paths = PROGRAMS.iter().flat_map(names).filter(stays);
    paths.filter_map(|path| host.tree.mark(&path).map(|mark| (mark, path))).collect()
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

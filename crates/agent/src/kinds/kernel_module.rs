//! `kernel.module`: a module cannot be loaded, and is not.
//!
//! We block by our own file of modprobe.d. A module that is loaded already stays until the next boot: that is "configured".
//! One that is built into the kernel cannot be blocked at all.

use super::{Finding, KindError, Presence, Workspace};
use crate::host::Host;
use catalogue::actions::{KernelModule, rails};
use std::collections::{BTreeMap, BTreeSet};

/// Folders of modprobe, the strongest first.
const FOLDERS: [&str; 5] =
    ["/etc/modprobe.d", "/run/modprobe.d", "/usr/local/lib/modprobe.d", "/usr/lib/modprobe.d", "/lib/modprobe.d"];
/// Commands in an `install` line that load nothing.
const BLOCKERS: [&str; 4] = ["/bin/false", "/usr/bin/false", "/bin/true", "/usr/bin/true"];

/// Our file for a module.
#[must_use]
pub fn dropin(name: &str) -> String {
    format!("/etc/modprobe.d/quell-{}.conf", plain(name))
}

/// modprobe takes `-` and `_` for the same.
fn plain(name: &str) -> String {
    name.replace('-', "_")
}

/// See [`super::check`].
///
/// # Errors
/// When our own file cannot be read.
pub fn check(action: &KernelModule, host: &Host, workspace: &Workspace<'_>) -> Result<Finding, KindError> {
    let name = plain(action.name.as_str());
    let installs = installs(&name, host, workspace)?;
    let blocked = !installs.is_empty() && installs.iter().all(|command| blocks(command));
    if built_in(&name, host) == Some(true) {
        let note = "the module is built into this kernel and cannot be blocked";
        return Ok(Finding::because(Presence::Absent, "built in", note));
    }
    let loaded = loaded(&name, host);
    let shown = match (blocked, loaded) {
        (true, Some(true)) => "blocked, still loaded",
        (true, _) => "blocked",
        (false, Some(true)) => "loaded",
        (false, _) => "loadable",
    };
    Ok(match (blocked, loaded) {
        (false, _) => Finding::new(Presence::Absent, shown),
        (true, Some(true)) => Finding::because(Presence::Partial, shown, "the module stays loaded until the next boot"),
        (true, Some(false)) if built_in(&name, host).is_none() => {
            Finding::because(Presence::Unknown, shown, "what is built into the kernel cannot be read")
        }
        (true, Some(false)) => Finding::new(Presence::Present, shown),
        (true, None) => Finding::because(Presence::Unknown, shown, "/proc/modules cannot be read"),
    })
}

/// See [`super::plan`].
///
/// # Errors
/// When the module is built in or holds up one that the machine needs, its state cannot be known, or another file decides otherwise.
pub fn plan(action: &KernelModule, host: &Host, workspace: &mut Workspace<'_>) -> Result<(), KindError> {
    let name = plain(action.name.as_str());
    match built_in(&name, host) {
        Some(false) => {}
        Some(true) => {
            return Err(KindError::Cannot(format!("{name} is built into this kernel and cannot be blocked")));
        }
        None => {
            let text = "what is built into the kernel cannot be read, so the result could not be checked";
            return Err(KindError::Cannot(text.to_owned()));
        }
    }
    let Some(modules) = host.tree.fact("/proc/modules") else {
        return Err(KindError::Cannot("/proc/modules cannot be read, so the result could not be checked".to_owned()));
    };
    if let Some(user) = users(&name, &modules).into_iter().find(|user| rails::is_vital_module(user)) {
        return Err(KindError::Cannot(format!(
            "{user}, which this machine uses for its disks or network, needs {name}"
        )));
    }
    let path = dropin(&name);
    let old = workspace.file(&path)?;
    let text = format!("# Quell: {name} must not be loaded.\nblacklist {name}\ninstall {name} /bin/false\n");
    let image = workspace.image(old.as_ref(), text, 0o644);
    workspace.put_file(&path, Some(image))?;
    match installs(&name, host, workspace)?.into_iter().find(|command| !blocks(command)) {
        None => Ok(()),
        Some(other) => Err(KindError::Cannot(format!("another file says `install {name} {other}`; change it by hand"))),
    }
}

fn blocks(command: &str) -> bool {
    command.split_whitespace().next().is_some_and(|program| BLOCKERS.contains(&program))
}

/// Whether it is loaded; nothing when that cannot be read.
fn loaded(name: &str, host: &Host) -> Option<bool> {
    let modules = host.tree.fact("/proc/modules")?;
    Some(modules.lines().any(|line| line.split_whitespace().next().is_some_and(|first| plain(first) == name)))
}

/// The loaded modules that need a loaded one, directly or by others: without it they do not load at the next boot.
fn users(name: &str, modules: &str) -> BTreeSet<String> {
    let mut needed = vec![name.to_owned()];
    let mut users = BTreeSet::new();
    while let Some(name) = needed.pop() {
        // Name, size, uses, and who uses it: `tls 155648 1 bonding, Live 0x0`.
        let rows = modules.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
        let list = rows
            .filter(|row| row.first().is_some_and(|first| plain(first) == name))
            .filter_map(|row| row.get(3).copied());
        for user in list.flat_map(|list| list.split(',')).filter(|user| !user.is_empty() && *user != "-").map(plain) {
            if users.insert(user.clone()) {
                needed.push(user);
            }
        }
    }
    users
}

/// Whether it is part of the kernel; nothing when that cannot be read.
fn built_in(name: &str, host: &Host) -> Option<bool> {
    let list = host.tree.fact(&format!("/lib/modules/{}/modules.builtin", host.kernel()?))?;
    let is = |line: &str| {
        let file = line.rsplit_once('/').map_or(line, |(_, file)| file);
        file.split_once(".ko").is_some_and(|(module, _)| plain(module) == name)
    };
    Some(list.lines().any(is))
}

/// The commands of all `install` lines for the module.
fn installs(name: &str, host: &Host, workspace: &Workspace<'_>) -> Result<Vec<String>, KindError> {
    let ours = dropin(name);
    let mut files: BTreeMap<String, String> = BTreeMap::new();
    for folder in FOLDERS.iter().rev() {
        for file in host.tree.names(folder).unwrap_or_default() {
            if file.ends_with(".conf") {
                files.insert(file.clone(), format!("{folder}/{file}"));
            }
        }
    }
    if let Some((_, file)) = ours.rsplit_once('/') {
        files.insert(file.to_owned(), ours.clone());
    }
    let mut commands = Vec::new();
    for path in files.into_values() {
        let text = match path == ours {
            true => workspace.file(&ours)?.map(|image| String::from_utf8_lossy(&image.bytes).into_owned()),
            false => host.tree.fact(&path),
        };
        for line in text.unwrap_or_default().lines() {
            let mut words = line.split_whitespace();
            if words.next() == Some("install") && words.next().is_some_and(|module| plain(module) == name) {
                commands.push(words.collect::<Vec<_>>().join(" "));
            }
        }
    }
    Ok(commands)
}

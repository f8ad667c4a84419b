//! `kernel.sysctl`: a kernel parameter, in the running kernel and in the files read at boot.

use super::{Finding, KindError, Presence, Workspace};
use crate::host::Host;
use catalogue::actions::{KernelSysctl, SysctlOp};
use std::collections::BTreeMap;

/// Folders of drop-ins, the strongest first; a name in a stronger one hides the same name in a weaker one.
const FOLDERS: [&str; 5] =
    ["/etc/sysctl.d", "/run/sysctl.d", "/usr/local/lib/sysctl.d", "/usr/lib/sysctl.d", "/lib/sysctl.d"];
/// Where `/etc/sysctl.conf` stands in the order: distributions link it under this name.
const MAIN: (&str, &str) = ("99-sysctl.conf", "/etc/sysctl.conf");

/// Our drop-in for a parameter; its name sorts behind everything usual, because the last one read decides.
#[must_use]
pub fn dropin(key: &str) -> String {
    format!("/etc/sysctl.d/99-zz-quell-{}.conf", key.replace('/', "."))
}

/// Where the running kernel shows it.
fn proc_path(action: &KernelSysctl) -> String {
    format!("/proc/sys/{}", action.key.proc_path())
}

/// See [`super::check`].
///
/// # Errors
/// When our own drop-in cannot be read.
pub fn check(action: &KernelSysctl, host: &Host, workspace: &Workspace<'_>) -> Result<Finding, KindError> {
    let Some(runtime) = workspace.kernel(&proc_path(action)) else {
        let known = host.tree.names("/proc/sys/kernel").is_some();
        return Ok(match known {
            true => Finding::because(Presence::NotHere, "(absent)", "this kernel has no such parameter"),
            false => Finding::unknown(format!("{} cannot be read", proc_path(action))),
        });
    };
    let persisted = persisted(action, host, workspace)?;
    let shown = format!("{runtime}, at boot {}", persisted.as_deref().unwrap_or("(not set)"));
    let fits = |value: &str| value.parse().is_ok_and(|value| action.is_satisfied_by(value));
    Ok(match (fits(&runtime), persisted.as_deref().map(fits)) {
        (true, Some(true)) => Finding::new(Presence::Present, shown),
        (true, None) => Finding::because(Presence::Absent, shown, "nothing sets it at boot"),
        (true, Some(false)) => Finding::because(Presence::Absent, shown, "another value is set at boot"),
        (false, Some(true)) => Finding::because(Presence::Lapsed, shown, "the running kernel has another value"),
        (false, _) => Finding::new(Presence::Absent, shown),
    })
}

/// See [`super::plan`].
///
/// # Errors
/// When files cannot be read, or another file would still decide at boot.
pub fn plan(action: &KernelSysctl, host: &Host, workspace: &mut Workspace<'_>) -> Result<(), KindError> {
    let key = action.key.as_str();
    let proc_path = proc_path(action);
    let present = workspace.kernel(&proc_path);
    let present = present.ok_or_else(|| KindError::Cannot(format!("{proc_path} cannot be read")))?;
    // A value that is strict enough already is kept, in the kernel and at boot.
    let kept = present.parse::<i64>().ok().filter(|value| action.is_satisfied_by(*value));
    let value = kept.unwrap_or(action.value);
    if kept.is_none() {
        workspace.put_kernel(&proc_path, present, value.to_string());
    }
    let path = dropin(key);
    let old = workspace.file(&path)?;
    let op = match action.op {
        SysctlOp::Eq => "",
        SysctlOp::Ge => " or more",
        SysctlOp::Le => " or less",
    };
    let text = format!("# Quell: {key} has to be {}{op}.\n{key} = {value}\n", action.value);
    let image = workspace.image(old.as_ref(), text, 0o644);
    workspace.put_file(&path, Some(image))?;
    match persisted(action, host, workspace)? {
        Some(decides) if decides == value.to_string() => Ok(()),
        other => Err(KindError::Cannot(format!(
            "another file sets {key} to {} after ours; it has to be changed by hand",
            other.unwrap_or_default()
        ))),
    }
}

/// The value set at boot: all files by name, the last one that sets it decides.
fn persisted(action: &KernelSysctl, host: &Host, workspace: &Workspace<'_>) -> Result<Option<String>, KindError> {
    let key = action.key.as_str().replace('/', ".");
    let ours = dropin(&key);
    let mut files: BTreeMap<String, String> = BTreeMap::new();
    for folder in FOLDERS.iter().rev() {
        for name in host.tree.names(folder).unwrap_or_default() {
            if name.ends_with(".conf") {
                files.insert(name.clone(), format!("{folder}/{name}"));
            }
        }
    }
    files.entry(MAIN.0.to_owned()).or_insert_with(|| MAIN.1.to_owned());
    if let Some((_, name)) = ours.rsplit_once('/') {
        files.insert(name.to_owned(), ours.clone());
    }
    let mut value = None;
    for path in files.into_values() {
        let text = match path == ours {
            true => workspace.file(&ours)?.map(|image| String::from_utf8_lossy(&image.bytes).into_owned()),
            false => host.tree.fact(&path),
        };
        value = last_value(&text.unwrap_or_default(), &key).or(value);
    }
    Ok(value)
}

fn last_value(text: &str, key: &str) -> Option<String> {
    let mut value = None;
    for line in text.lines().map(str::trim).filter(|line| !line.starts_with(['#', ';'])) {
        let Some((name, found)) = line.split_once('=') else { continue };
        if name.trim().trim_start_matches('-').replace('/', ".") == key {
            value = Some(found.trim().to_owned());
        }
    }
    value
}

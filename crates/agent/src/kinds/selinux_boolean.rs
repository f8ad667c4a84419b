//! `selinux.boolean`: a switch of the SELinux policy, in the running kernel and in the policy that is loaded at boot.
//!
//! The running value is a file below `/sys/fs/selinux/booleans`; what is kept for the boot is a line in the policy store, written by
//! `setsebool -P` on the live system. Below another root both are files. A switch of a policy that is not enforced is in place, not
//! in force.

use super::{Finding, KindError, Presence, Workspace};
use crate::host::Host;
use crate::record::Step;
use catalogue::actions::SelinuxBoolean;

/// What the kernel shows of SELinux.
const KERNEL: &str = "/sys/fs/selinux";
/// The program, on the live system.
const SETSEBOOL: [&str; 2] = ["/usr/sbin/setsebool", "/sbin/setsebool"];

/// Where the running kernel shows a switch.
fn switch(name: &str) -> String {
    format!("{KERNEL}/booleans/{name}")
}

/// Where changed switches are kept for the boot.
fn store(host: &Host) -> String {
    let config = host.tree.fact("/etc/selinux/config").unwrap_or_default();
    let named = config.lines().find_map(|line| line.trim().strip_prefix("SELINUXTYPE=")).map(str::trim);
    let plain =
        |policy: &&str| !policy.is_empty() && policy.chars().all(|c| c.is_ascii_alphanumeric() || "-_".contains(c));
    format!("/var/lib/selinux/{}/active/booleans.local", named.filter(plain).unwrap_or("targeted"))
}

/// The running value: the first number of the switch, the second being what is set and not yet committed.
fn running(name: &str, host: &Host, workspace: &Workspace<'_>) -> Option<bool> {
    let planned = workspace.last_act(|step| match step {
        Step::SelinuxBoolean { name: of, after, .. } if of == name => Some(*after),
        _ => None,
    });
    let read = || match host.tree.live() {
        true => host.tree.fact(&switch(name)),
        false => workspace.kernel(&switch(name)),
    };
    planned.or_else(|| read().as_deref().and_then(first))
}

fn first(text: &str) -> Option<bool> {
    match text.split_whitespace().next()? {
        "1" => Some(true),
        "0" => Some(false),
        _ => None,
    }
}

/// The last value kept for the boot; nothing where the policy's own default counts.
fn kept(text: &str, name: &str) -> Option<bool> {
    let lines = text.lines().rev().filter_map(|line| line.split_once('='));
    lines.filter(|(of, _)| of.trim() == name).find_map(|(_, value)| first(value))
}

/// See [`super::check`].
///
/// # Errors
/// When the policy store cannot be read.
pub fn check(action: &SelinuxBoolean, host: &Host, workspace: &Workspace<'_>) -> Result<Finding, KindError> {
    let name = action.name.as_str();
    if host.tree.names(KERNEL).is_none_or(|names| names.is_empty()) {
        return Ok(Finding::because(Presence::NotHere, "(absent)", "SELinux is not enabled here"));
    }
    let Some(running) = running(name, host, workspace) else {
        return Ok(Finding::because(Presence::NotHere, "(absent)", format!("the policy has no switch {name}")));
    };
    let text = match host.tree.live() {
        true => host.tree.fact(&store(host)).unwrap_or_default(),
        false => {
            let image = workspace.file(&store(host))?;
            image.map(|image| String::from_utf8_lossy(&image.bytes).into_owned()).unwrap_or_default()
        }
    };
    let planned = workspace.last_act(|step| match step {
        Step::SelinuxBoolean { name: of, after, .. } if of == name => Some(*after),
        _ => None,
    });
    let boot = planned.or_else(|| kept(&text, name));
    let word = |on: bool| if on { "on" } else { "off" };
    let shown = format!("{}, at boot {}", word(running), boot.map_or("as the policy says", word));
    let enforced = host.tree.fact(&format!("{KERNEL}/enforce")).as_deref().and_then(first) == Some(true);
    Ok(match (running == action.value, boot) {
        (true, Some(kept)) if kept != action.value => {
            Finding::because(Presence::Absent, shown, "the next boot turns it back")
        }
        (true, _) if !enforced => Finding::because(Presence::Partial, shown, "SELinux does not enforce its policy"),
        (true, _) => Finding::new(Presence::Present, shown),
        (false, Some(kept)) if kept == action.value => {
            Finding::because(Presence::Lapsed, shown, "the running kernel has another value")
        }
        (false, _) => Finding::new(Presence::Absent, shown),
    })
}

/// See [`super::plan`].
///
/// # Errors
/// When the switch cannot be read, or `setsebool` is not here.
pub fn plan(action: &SelinuxBoolean, host: &Host, workspace: &mut Workspace<'_>) -> Result<(), KindError> {
    let name = action.name.as_str();
    let cannot = KindError::Cannot;
    let before = running(name, host, workspace).ok_or_else(|| cannot(format!("{} cannot be read", switch(name))))?;
    if host.tree.live() {
        if host.program(&SETSEBOOL).is_none() {
            return Err(cannot("setsebool is not here; install policycoreutils".to_owned()));
        }
        workspace.act(Step::SelinuxBoolean { name: name.to_owned(), before, after: action.value });
        return Ok(());
    }
    let digit = u8::from(action.value);
    if before != action.value {
        let present =
            workspace.kernel(&switch(name)).ok_or_else(|| cannot(format!("{} cannot be read", switch(name))))?;
        workspace.put_kernel(&switch(name), present, format!("{digit} {digit}"));
    }
    let path = store(host);
    let old = workspace.file(&path)?;
    let text = old.as_ref().map(|image| String::from_utf8_lossy(&image.bytes).into_owned()).unwrap_or_default();
    let others: String = text.split_inclusive('\n').filter(|line| kept(line, name).is_none()).collect();
    let others = if others.is_empty() || others.ends_with('\n') { others } else { format!("{others}\n") };
    let image = workspace.image(old.as_ref(), format!("{others}{name}={digit}\n"), 0o600);
    workspace.put_file(&path, Some(image))?;
    Ok(())
}

/// Whether a switch of the running system has this value.
///
/// # Errors
/// A sentence when it cannot be read.
pub fn is(name: &str, value: bool, host: &Host) -> Result<bool, String> {
    let read = host.tree.fact(&switch(name)).as_deref().and_then(first);
    read.map(|present| present == value).ok_or_else(|| format!("{} cannot be read", switch(name)))
}

/// Turn a switch, now and for every boot.
///
/// # Errors
/// A sentence; when somebody turned it meanwhile, nothing is done.
pub fn perform(name: &str, before: bool, after: bool, host: &Host) -> Result<(), String> {
    if !is(name, before, host)? && !is(name, after, host)? {
        return Err(format!("the switch {name} changed while we worked on it"));
    }
    let program = host.program(&SETSEBOOL).ok_or("setsebool is not here")?;
    let said = host.call(program, &["-P", &format!("{name}={}", u8::from(after))])?;
    if said.ok { Ok(()) } else { Err(format!("setsebool: {}", said.text)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_line_of_a_switch_counts() {
        assert_eq!(kept("# by libsemanage\ndeny_ptrace=0\nother=1\ndeny_ptrace=1\n", "deny_ptrace"), Some(true));
        assert_eq!(kept("deny_ptrace_not=1\n", "deny_ptrace"), None);
        assert_eq!((first("1 1\n"), first("0 1"), first("x"), first("")), (Some(true), Some(false), None, None));
    }
}

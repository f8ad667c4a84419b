//! `kernel.cmdline`: a parameter of the kernel's command line, from the next boot on.
//!
//! On Debian and what is made of it: a drop-in of ours for GRUB, and the boot menu made anew. On RHEL and Fedora every kernel has an
//! entry of its own below `/boot/loader/entries`: `grubby` changes them on the live system, below another root they are edited as
//! files. In force is only what the running kernel was started with, so right after an apply the answer is "configured".

use super::{Finding, KindError, Presence, Workspace};
use crate::host::Host;
use crate::record::Step;
use catalogue::actions::KernelCmdline;

/// Makes the boot menu.
const UPDATE_GRUB: [&str; 2] = ["/usr/sbin/update-grub", "/sbin/update-grub"];
/// What GRUB's own settings are in.
const MAIN: &str = "/etc/default/grub";
/// What is read after it, by name.
const FOLDER: &str = "/etc/default/grub.d";

/// Where the boot loader's entries are, one per kernel.
const ENTRIES: &str = "/boot/loader/entries";
/// Changes them, on the live system.
const GRUBBY: [&str; 2] = ["/usr/sbin/grubby", "/sbin/grubby"];

/// Our drop-in for a parameter.
#[must_use]
pub fn dropin(name: &str) -> String {
    format!("{FOLDER}/99-quell-{name}.cfg")
}

/// See [`super::check`].
///
/// # Errors
/// When our own drop-in cannot be read.
pub fn check(action: &KernelCmdline, host: &Host, workspace: &Workspace<'_>) -> Result<Finding, KindError> {
    let param = action.param.as_str();
    let Some(running) = host.tree.fact("/proc/cmdline") else {
        return Ok(Finding::unknown("/proc/cmdline cannot be read"));
    };
    let last = last_of(&running, action.param.name());
    let kept = kept(action, host, workspace)?;
    let shown = format!("{}, {} at the next boot", last.unwrap_or("(not set)"), if kept { "set" } else { "not set" });
    Ok(match (last == Some(param), kept) {
        (true, true) => Finding::new(Presence::Present, shown),
        (false, true) => Finding::because(Presence::Partial, shown, "it takes effect with the next boot"),
        (true, false) => Finding::because(Presence::Absent, shown, "nothing sets it at the next boot"),
        (false, false) => Finding::new(Presence::Absent, shown),
    })
}

/// See [`super::plan`].
///
/// # Errors
/// When this host's boot loader is not set up this way, or another file says otherwise.
pub fn plan(action: &KernelCmdline, host: &Host, workspace: &mut Workspace<'_>) -> Result<(), KindError> {
    let cannot = |text: &str| KindError::Cannot(text.to_owned());
    if !entries(host).is_empty() {
        return plan_entries(action, host, workspace);
    }
    let known = UPDATE_GRUB.iter().any(|path| host.tree.fact(path).is_some()) && host.tree.fact(MAIN).is_some();
    if !known {
        return Err(cannot(
            "this agent sets boot parameters where there is update-grub or grubby only; set it by hand",
        ));
    }
    let name = action.param.name();
    let other = files(host).into_iter().filter(|(path, _)| *path != dropin(name)).find(|(_, text)| {
        let words = text.lines().filter(|line| !line.trim_start().starts_with('#')).flat_map(words);
        words.into_iter().any(|word| is_named(word, name) && word != action.param.as_str())
    });
    if let Some((path, _)) = other {
        return Err(KindError::Cannot(format!("{path} gives {name} another value; it has to be changed by hand")));
    }
    let path = dropin(name);
    let old = workspace.file(&path)?;
    let image = workspace.image(old.as_ref(), text(action), 0o644);
    workspace.put_file(&path, Some(image))?;
    if host.tree.live() {
        workspace.act(Step::BootMenu);
    }
    Ok(())
}

fn text(action: &KernelCmdline) -> String {
    let param = &action.param;
    format!("# Quell: the kernel is to be started with {param}.\nGRUB_CMDLINE_LINUX=\"$GRUB_CMDLINE_LINUX {param}\"\n")
}

/// Words of a shell's assignment, without its quotes.
fn words(line: &str) -> Vec<&str> {
    line.split(|c: char| c.is_whitespace() || matches!(c, '"' | '\'')).filter(|word| !word.is_empty()).collect()
}

fn files(host: &Host) -> Vec<(String, String)> {
    let names = host.tree.names(FOLDER).unwrap_or_default();
    let dropins = names.into_iter().filter(|name| name.ends_with(".cfg")).map(|name| format!("{FOLDER}/{name}"));
    let all = std::iter::once(MAIN.to_owned()).chain(dropins);
    all.filter_map(|path| host.tree.fact(&path).map(|text| (path, text))).collect()
}

/// Whether something sets it for the next boot: our drop-in, or the host's own settings.
fn kept(action: &KernelCmdline, host: &Host, workspace: &Workspace<'_>) -> Result<bool, KindError> {
    let entries = entries(host);
    if !entries.is_empty() {
        let planned = workspace.acts(
            |step| matches!(step, Step::BootArgument { param, after: true, .. } if param == action.param.as_str()),
        );
        return Ok(planned
            || entries.iter().all(|path| {
                let text = workspace.drafted(path).or_else(|| host.tree.fact(path)).unwrap_or_default();
                arguments(&text).is_some_and(|line| last_of(line, action.param.name()) == Some(action.param.as_str()))
            }));
    }
    let ours = workspace.file(&dropin(action.param.name()))?;
    if ours.is_some_and(|image| image.bytes == text(action).as_bytes()) {
        return Ok(true);
    }
    let path = dropin(action.param.name());
    Ok(files(host).iter().filter(|(of, _)| *of != path).any(|(_, text)| {
        let lines = text.lines().map(str::trim).filter(|line| line.starts_with("GRUB_CMDLINE_LINUX="));
        lines
            .flat_map(|line| words(line.split_once('=').map_or("", |(_, value)| value)))
            .any(|word| word == action.param.as_str())
    }))
}

/// The entries of the boot loader; none where it has another way.
fn entries(host: &Host) -> Vec<String> {
    let names = host.tree.names(ENTRIES).unwrap_or_default();
    names.iter().filter(|name| name.ends_with(".conf")).map(|name| format!("{ENTRIES}/{name}")).collect()
}

/// The line with the arguments of an entry.
fn arguments(text: &str) -> Option<&str> {
    text.lines().find(|line| line.split_whitespace().next() == Some("options"))
}

/// The last argument of a name, which is the one that counts. What comes after `--` is for the first program, not for the kernel.
fn last_of<'l>(line: &'l str, name: &str) -> Option<&'l str> {
    line.split_whitespace().take_while(|word| *word != "--").filter(|word| is_named(word, name)).last()
}

/// Whether an argument has a name; the kernel takes `-` and `_` for the same in names.
fn is_named(word: &str, name: &str) -> bool {
    let plain = |name: &str| name.replace('-', "_");
    word.split('=').next().map(plain) == Some(plain(name))
}

fn plan_entries(action: &KernelCmdline, host: &Host, workspace: &mut Workspace<'_>) -> Result<(), KindError> {
    let (param, name) = (action.param.as_str(), action.param.name());
    let mut has_it = None;
    for path in entries(host) {
        let old = workspace.file(&path)?.ok_or_else(|| KindError::Cannot(format!("there is no {path}")))?;
        let text = String::from_utf8_lossy(&old.bytes).into_owned();
        let line = arguments(&text).ok_or_else(|| KindError::Cannot(format!("{path} has no line with options")))?;
        match last_of(line, name) {
            Some(present) if present == param => {
                has_it = Some(path);
                continue;
            }
            Some(other) => {
                return Err(KindError::Cannot(format!("{path} has {other}; it has to be changed by hand")));
            }
            None => {}
        }
        if host.tree.live() {
            continue;
        }
        // Variables are filled in from a file that only the boot loader writes.
        if line.contains('$') {
            return Err(KindError::Cannot(format!("{path} takes its options from variables; grubby has to change it")));
        }
        let image = workspace.image(Some(&old), text.replacen(line, &format!("{line} {param}"), 1), 0o644);
        workspace.put_file(&path, Some(image))?;
    }
    if host.tree.live() {
        // grubby takes it from all kernels again, also from one that somebody else gave it to.
        if let Some(path) = has_it {
            return Err(KindError::Cannot(format!("{path} has {param}, other kernels do not; give it to all by hand")));
        }
        host.program(&GRUBBY).ok_or_else(|| KindError::Cannot("grubby is not here; set it by hand".to_owned()))?;
        workspace.act(Step::BootArgument { param: param.to_owned(), before: false, after: true });
    }
    Ok(())
}

/// Whether every entry of the boot loader has a parameter.
///
/// # Errors
/// Why that cannot be told.
pub fn argued(param: &str, host: &Host) -> Result<bool, String> {
    let having = entries_having(param, host)?;
    Ok(!having.is_empty() && having.into_iter().all(|has| has))
}

/// Whether any entry of the boot loader has a parameter: after a change that was cut short some do and some do not.
///
/// # Errors
/// Why that cannot be told.
pub fn argued_anywhere(param: &str, host: &Host) -> Result<bool, String> {
    Ok(entries_having(param, host)?.into_iter().any(|has| has))
}

fn entries_having(param: &str, host: &Host) -> Result<Vec<bool>, String> {
    let grubby = host.program(&GRUBBY).ok_or("grubby is not here")?;
    let said = host.call_long(grubby, &["--info=ALL"])?;
    if !said.ok {
        return Err(format!("grubby: {}", said.text));
    }
    let lines = said.text.lines().filter_map(|line| line.trim().strip_prefix("args="));
    Ok(lines.map(|line| words(line).contains(&param)).collect())
}

/// Add a parameter to every entry of the boot loader, or take it from them.
///
/// # Errors
/// What the program said.
pub fn argument(param: &str, after: bool, host: &Host) -> Result<(), String> {
    let grubby = host.program(&GRUBBY).ok_or("grubby is not here")?;
    let word = if after { "--args" } else { "--remove-args" };
    match host.call(grubby, &["--update-kernel=ALL", &format!("{word}={param}")])? {
        said if said.ok => Ok(()),
        said => Err(format!("grubby: {}", said.text)),
    }
}

/// Make the boot menu anew.
///
/// # Errors
/// What the program said.
pub fn perform(host: &Host) -> Result<(), String> {
    let program = host.program(&UPDATE_GRUB).ok_or("there is no update-grub here")?;
    match host.call(program, &[])? {
        said if said.ok => Ok(()),
        said => Err(format!("update-grub: {}", said.text)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_argument_that_the_kernel_reads_by_this_name_counts() {
        for (line, found) in [
            ("quiet tsx=on tsx=off", Some("tsx=off")),
            ("tsx=off quiet tsx=on", Some("tsx=on")),
            ("quiet -- tsx=off", None),
            ("tsx=on -- tsx=off", Some("tsx=on")),
            ("tsx_async_abort=off", None),
        ] {
            assert_eq!(last_of(line, "tsx"), found, "{line}");
        }
        let both = "spectre_v2=on spectre-v2=off";
        assert_eq!(last_of(both, "spectre_v2"), Some("spectre-v2=off"), "the kernel reads both names as one");
    }
}

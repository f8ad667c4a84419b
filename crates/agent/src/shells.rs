//! Who lets people in from afar, told by what runs and not by what it is called: a unit of any name may start sshd.
//!
//! Looked at are the unit's own files (what they execute, where they listen), the processes in its control group, and the units by
//! which people come in that would be stopped with it. What none of that shows, an sshd of a foreign make under a name of its own,
//! say, is not seen here; [`crate::proof`] is no help there either, because the agent does not come in by it.

use crate::host::Host;
use crate::kinds::service_state::FOLDERS;
use crate::reach;
use catalogue::actions::rails;
use std::collections::BTreeSet;

/// Programs that give somebody from afar a shell, by their names; a version or a part may follow: `sshd-9.2`, `sshd-session`.
const NAMES: [&str; 4] = ["dropbear", "lshd", "sshd", "tinysshd"];
/// Where they usually are: what is the same file by a link, symbolic or hard, is the same program.
const USUAL: [&str; 4] = ["/usr/sbin/sshd", "/usr/bin/sshd", "/usr/local/sbin/sshd", "/usr/sbin/dropbear"];
/// What stops a unit when another one is stopped.
const STOPS_WITH: [&str; 4] = ["BindsTo", "PartOf", "Requires", "StopPropagatedFrom"];

/// Whether a program's name, without its folder, is one that gives shells.
fn is_named(name: &str) -> bool {
    let end = |rest: &str| rest.is_empty() || rest.starts_with(|c: char| c == '-' || c.is_ascii_digit());
    NAMES.iter().any(|known| name.strip_prefix(known).is_some_and(end))
}

/// Whether a file is such a program, by its name or because it is the same file as one.
fn is_program(path: &str, host: &Host) -> bool {
    if is_named(path.rsplit('/').next().unwrap_or_default()) {
        return true;
    }
    let Some(mark) = path.starts_with('/').then(|| host.tree.mark(path)).flatten() else { return false };
    USUAL.iter().any(|usual| host.tree.mark(usual).as_ref() == Some(&mark))
}

/// Whether a process gives shells, by its name or by the file it runs; one that was replaced by an update still counts.
pub(crate) fn is_process(process: &str, host: &Host) -> bool {
    let named = host.tree.fact(&format!("/proc/{process}/comm")).is_some_and(|name| is_named(name.trim()));
    let runs = || host.tree.link(&format!("/proc/{process}/exe"));
    named || runs().is_some_and(|path| is_program(path.strip_suffix(" (deleted)").unwrap_or(&path), host))
}

/// Why stopping this unit would cut administrators off, whatever it is called; nothing where that cannot be seen.
pub(crate) fn lets_in(unit: &str, host: &Host) -> Option<String> {
    let started = services_of(unit, host).into_iter().find_map(|service| Some((executes(&service, host)?, service)));
    if let Some((program, service)) = started {
        return Some(format!("{service} runs {program}"));
    }
    let configured = reach::configured_ports(host);
    if let Some(port) = listens(unit, host).into_iter().find(|port| configured.contains(port)) {
        return Some(format!("{unit} listens at port {port}"));
    }
    holds(unit, host, &configured).or_else(|| takes_along(unit, host))
}

/// `name@.service` of `name@x.service`.
fn template(unit: &str) -> Option<String> {
    let ((name, _), (_, kind)) = unit.split_once('@').zip(unit.rsplit_once('.'))?;
    Some(format!("{name}@.{kind}"))
}

/// The settings of a unit and its template: its files in every folder and what is dropped in beside them, each as key and value.
fn settings(unit: &str, host: &Host) -> Vec<(String, String)> {
    let names: Vec<String> = std::iter::once(unit.to_owned()).chain(template(unit)).collect();
    let files = |name: &String| -> Vec<String> {
        let of = |folder: &&str| {
            let more = format!("{folder}/{name}.d");
            let dropped = host.tree.names(&more).unwrap_or_default().into_iter().filter(|file| file.ends_with(".conf"));
            let mut files = vec![format!("{folder}/{name}")];
            files.extend(dropped.map(|file| format!("{more}/{file}")));
            files
        };
        FOLDERS.iter().flat_map(of).collect()
    };
    let texts = names.iter().flat_map(files).filter_map(|path| host.tree.fact(&path));
    // A line may go on in the next one.
    let texts = texts.map(|text| text.replace("\\\n", " "));
    let pair = |line: &str| {
        let line = line.trim();
        let (key, value) = line.split_once('=').filter(|_| !line.starts_with(['#', ';']))?;
        Some((key.trim().to_owned(), value.trim().to_owned()))
    };
    texts.flat_map(|text| text.lines().filter_map(pair).collect::<Vec<_>>()).collect()
}

/// What runs when a unit is started: itself, or what a socket starts.
fn services_of(unit: &str, host: &Host) -> Vec<String> {
    let Some(name) = unit.strip_suffix(".socket") else { return vec![unit.to_owned()] };
    let named = settings(unit, host).into_iter().filter(|(key, _)| key == "Service").map(|(_, service)| service);
    let stem = name.split_once('@').map_or(name, |(stem, _)| stem);
    named.chain([format!("{name}.service"), format!("{stem}@.service")]).collect()
}

/// The program that gives shells and that a unit starts, also by way of a shell, `env` or the like: every word is looked at.
fn executes(unit: &str, host: &Host) -> Option<String> {
    let lines = settings(unit, host).into_iter().filter(|(key, _)| key == "ExecStart").map(|(_, line)| line);
    let program = |line: String| {
        let words = line.split(|c: char| c.is_whitespace() || matches!(c, '"' | '\'' | ';' | '=' | '&' | '|'));
        // The first word may say how it is started.
        let words = words.map(|word| word.trim_start_matches(['@', '-', ':', '+', '!']));
        words.filter(|word| !word.is_empty()).find(|word| is_program(word, host)).map(str::to_owned)
    };
    lines.into_iter().find_map(program)
}

/// TCP ports at which a socket unit listens.
fn listens(unit: &str, host: &Host) -> BTreeSet<u16> {
    let streams = settings(unit, host).into_iter().filter(|(key, _)| key == "ListenStream").map(|(_, at)| at);
    streams.filter_map(|at| at.rsplit(':').next()?.parse().ok()).collect()
}

/// What a unit's processes are or hold: a program that gives shells, or a socket that listens where administrators come in.
fn holds(unit: &str, host: &Host, configured: &BTreeSet<u16>) -> Option<String> {
    let listening = reach::listening(host);
    let of_unit = |process: &String| {
        let groups = host.tree.fact(&format!("/proc/{process}/cgroup")).unwrap_or_default();
        groups.lines().any(|line| line.rsplit(':').next().unwrap_or_default().split('/').any(|part| part == unit))
    };
    host.tree.processes().into_iter().filter(of_unit).find_map(|process| {
        if is_process(&process, host) {
            return Some(format!("{unit} runs sshd or the like as process {process}"));
        }
        let sockets = reach::sockets_of(&process, host)?;
        let port = listening.iter().find(|(port, inode)| configured.contains(port) && sockets.contains(inode))?.0;
        Some(format!("{unit} listens at port {port} as process {process}"))
    })
}

/// A unit by which people come in and that the service manager stops together with this one.
fn takes_along(unit: &str, host: &Host) -> Option<String> {
    let mut names: BTreeSet<String> = BTreeSet::new();
    for folder in FOLDERS {
        names.extend(host.tree.names(folder).unwrap_or_default());
    }
    // The folders beside a unit count without it, too.
    let stems = names.iter().map(|name| name.strip_suffix(".d").or(name.strip_suffix(".requires")).unwrap_or(name));
    let access: BTreeSet<&str> = stems
        .filter(|name| !name.ends_with(".target") && *name != unit)
        .filter(|name| rails::is_access_unit(name) || executes(name, host).is_some())
        .collect();
    access.into_iter().find_map(|name| {
        let linked = FOLDERS.iter().any(|folder| host.tree.link(&format!("{folder}/{name}.requires/{unit}")).is_some());
        let with = |(key, value): &(String, String)| {
            STOPS_WITH.contains(&key.as_str()) && value.split_whitespace().any(|other| other == unit)
        };
        let stops = linked || settings(name, host).iter().any(with);
        stops.then(|| format!("{name} is stopped with {unit}"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_is_known_by_its_name_and_its_configuration_is_none() {
        for name in ["sshd", "sshd-session", "sshd-9.2", "sshd2", "dropbear", "tinysshd", "lshd"] {
            assert!(is_named(name), "{name}");
        }
        for name in ["sshd_config", "sshd.pid", "sshdctl", "ssh", "ssh-agent", "mysshd", "dropbearkey", ""] {
            assert!(!is_named(name), "{name}");
        }
        assert_eq!(template("a@b.service").as_deref(), Some("a@.service"));
        assert_eq!(template("a.service"), None);
    }
}

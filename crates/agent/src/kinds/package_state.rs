//! `package.state`: packages are absent, present, or not of some versions.
//!
//! Looking works below any root (dpkg's status file; rpm on the live system). Changing works through apt-get on the live system
//! and, for removing, through `dpkg --root` below another root; everything else is left to a person, with the reason.

use super::{Finding, KindError, Presence, Workspace};
use crate::host::{Host, Said, call_long, call_packages};
use crate::record::{Package, Step};
use catalogue::actions::{PackageManager, PackageState, PackageWant};
use std::collections::{BTreeMap, BTreeSet};

const APT_GET: [&str; 1] = ["/usr/bin/apt-get"];
const DPKG: [&str; 2] = ["/usr/bin/dpkg", "/bin/dpkg"];

/// See [`super::check`].
///
/// # Errors
/// Never; the signature is that of all kinds.
pub fn check(action: &PackageState, host: &Host, workspace: &Workspace<'_>) -> Result<Finding, KindError> {
    let Some(installed) = planned(host, workspace) else {
        return Ok(Finding::unknown("the package database cannot be read"));
    };
    let Some(names) = names(action, host) else {
        return Ok(Finding::because(Presence::NotHere, "(absent)", "no package is named for this package manager"));
    };
    let found: Vec<(&str, &str)> =
        names.iter().filter_map(|name| Some((name.as_str(), installed.get(name)?.as_str()))).collect();
    let shown = match found.as_slice() {
        [] => "(absent)".to_owned(),
        some => some.iter().map(|(name, version)| format!("{name} {version}")).collect::<Vec<_>>().join(", "),
    };
    let holds = match &action.want {
        PackageWant::Absent => found.is_empty(),
        PackageWant::Present => found.len() == names.len(),
        PackageWant::NotVersion { versions } => {
            !found.iter().any(|(_, version)| versions.iter().any(|pattern| matches(pattern.as_str(), version)))
        }
    };
    Ok(Finding::new(if holds { Presence::Present } else { Presence::Absent }, shown))
}

/// See [`super::plan`].
///
/// # Errors
/// When this host has no way to do it.
pub fn plan(action: &PackageState, host: &Host, workspace: &mut Workspace<'_>) -> Result<(), KindError> {
    let cannot = |text: &str| KindError::Cannot(text.to_owned());
    let installed = planned(host, workspace).ok_or_else(|| cannot("the package database cannot be read"))?;
    let names = names(action, host).ok_or_else(|| cannot("no package is named for this package manager"))?;
    if host.tree.fact("/var/lib/dpkg/status").is_none() {
        return Err(cannot("this agent changes packages of dpkg only; change them by hand"));
    }
    match &action.want {
        PackageWant::Absent => {
            let present = names.iter().filter_map(|name| Some((name.clone(), installed.get(name)?.clone())));
            let packages: Vec<Package> = present.map(|(name, version)| Package { name, version }).collect();
            let able = if host.tree.live() { host.program(&APT_GET) } else { dpkg() };
            let program = able.ok_or_else(|| cannot("neither apt-get nor dpkg is here to remove packages with"))?;
            if host.tree.live() {
                simulate(program, &packages).map_err(KindError::Cannot)?;
            }
            workspace.act(Step::Remove { packages });
            Ok(())
        }
        PackageWant::Present => {
            host.program(&APT_GET)
                .ok_or_else(|| cannot("packages are installed on a live system with apt-get only"))?;
            let missing = names.iter().filter(|name| !installed.contains_key(*name)).cloned();
            let packages = missing.map(|name| Package { name, version: String::new() }).collect();
            workspace.act(Step::Install { packages });
            Ok(())
        }
        PackageWant::NotVersion { .. } => {
            Err(cannot("choosing another version needs a person: install one from the distribution's updates"))
        }
    }
}

/// Remove packages: their configuration files stay, so that installing them again gives back what was.
///
/// # Errors
/// What the package manager said.
pub fn remove(packages: &[Package], host: &Host) -> Result<(), String> {
    let names: Vec<&str> = packages.iter().map(|package| package.name.as_str()).collect();
    if !host.tree.live() {
        let dpkg = dpkg().ok_or("dpkg is not here")?;
        let root = format!("--root={}", host.tree.path().display());
        let log = format!("--log={}", host.tree.path().join("var/log/dpkg.log").display());
        let mut arguments = vec![root.as_str(), log.as_str(), "--remove", "--"];
        arguments.extend(names);
        return said(call_packages(dpkg, &arguments));
    }
    let program = host.program(&APT_GET).ok_or("apt-get is not here")?;
    // Asked again right before: what is installed may have changed since the plan.
    simulate(program, packages)?;
    let mut arguments = vec!["-y", "-q", "--no-auto-remove", "remove", "--"];
    arguments.extend(names);
    said(call_packages(program, &arguments))
}

/// Ask apt-get what removing these packages would do, and refuse when it is anything else than that: what it would take along
/// is neither named by the entry nor known to a revert.
fn simulate(program: &'static str, packages: &[Package]) -> Result<(), String> {
    let mut arguments = vec!["-s", "-q", "--no-auto-remove", "remove", "--"];
    arguments.extend(packages.iter().map(|package| package.name.as_str()));
    match call_long(program, &arguments)? {
        Said { ok: true, text } => only_removes(&text, packages),
        Said { text, .. } => {
            Err(format!("apt-get cannot say what it would remove: {}", text.lines().last().unwrap_or_default()))
        }
    }
}

/// Whether the output of `apt-get -s` does nothing but remove exactly these packages: its lines are `Remv`, `Purg`, `Inst` or
/// `Conf`, then a name (with `:arch` for a foreign architecture), then versions.
fn only_removes(simulated: &str, packages: &[Package]) -> Result<(), String> {
    let mut removed = BTreeSet::new();
    for line in simulated.lines() {
        let mut words = line.split_whitespace();
        match (words.next(), words.next()) {
            (Some("Remv"), Some(name)) => drop(removed.insert(name)),
            (Some("Purg" | "Inst" | "Conf"), Some(_)) => {
                return Err(format!("removing it would do more than that: `{}`; do it by hand", line.trim()));
            }
            _ => {}
        }
    }
    let wanted: BTreeSet<&str> = packages.iter().map(|package| package.name.as_str()).collect();
    let list = |names: Vec<&str>| names.into_iter().take(10).collect::<Vec<_>>().join(", ");
    let along: Vec<&str> = removed.difference(&wanted).copied().collect();
    if !along.is_empty() {
        let what = list(along);
        return Err(format!("removing it would take along what needs it: {what}; the entry does not name that"));
    }
    let kept: Vec<&str> = wanted.difference(&removed).copied().collect();
    match kept.is_empty() {
        true => Ok(()),
        false => Err(format!("apt-get would not remove {}; look at it by hand", list(kept))),
    }
}

/// Install packages, of the version given where one is.
///
/// # Errors
/// What the package manager said.
pub fn install(packages: &[Package], host: &Host) -> Result<(), String> {
    let program = host.program(&APT_GET).ok_or("packages are installed on a live system with apt-get only")?;
    let exact = |package: &Package| match package.version.as_str() {
        "" => package.name.clone(),
        version => format!("{}={version}", package.name),
    };
    let names: Vec<String> = packages.iter().map(exact).collect();
    // `--no-remove`: never at the price of a package that is here.
    let mut arguments = vec!["-y", "-q", "--no-install-recommends", "--no-remove", "install", "--"];
    arguments.extend(names.iter().map(String::as_str));
    said(crate::launcher::call_with_network(program, &arguments))
}

fn said(answer: Result<Said, String>) -> Result<(), String> {
    match answer? {
        Said { ok: true, .. } => Ok(()),
        Said { text, .. } => Err(text.lines().last().unwrap_or("it failed without a word").to_owned()),
    }
}

/// dpkg of the machine the agent runs on, for roots that are not it.
fn dpkg() -> Option<&'static str> {
    DPKG.into_iter().find(|path| std::path::Path::new(path).is_file())
}

/// What will be installed once the plan is carried out.
fn planned(host: &Host, workspace: &Workspace<'_>) -> Option<BTreeMap<String, String>> {
    let mut installed = host.packages()?.clone();
    installed.retain(|name, _| {
        !workspace.acts(|step| matches!(step, Step::Remove { packages } if packages.iter().any(|p| p.name == *name)))
    });
    Some(installed)
}

/// The names for this host's package manager.
fn names(action: &PackageState, host: &Host) -> Option<Vec<String>> {
    let dpkg = host.tree.fact("/var/lib/dpkg/status").is_some();
    let managers: &[PackageManager] = match dpkg {
        true => &[PackageManager::Apt],
        false => &[PackageManager::Dnf, PackageManager::Yum, PackageManager::Zypper],
    };
    let named = managers.iter().find_map(|manager| action.names.get(manager))?;
    Some(named.iter().map(|name| name.as_str().to_owned()).collect())
}

fn matches(pattern: &str, version: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == version,
        Some((head, rest)) => version.strip_prefix(head).is_some_and(|tail| {
            rest.is_empty() || (0..=tail.len()).any(|at| tail.get(at..).is_some_and(|tail| matches(rest, tail)))
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_removal_that_takes_more_along_is_refused() {
        let head = "Reading package lists...\nBuilding dependency tree...\nThe following packages will be REMOVED:\n  telnetd\n";
        let lines = |lines: &str| format!("{head}{lines}");
        for (names, output, refused) in [
            (vec!["telnetd"], lines("Remv telnetd [0.17-42]\n"), None),
            (vec!["a", "b"], lines("Remv b [1] [a:amd64 ]\nRemv a [1]\n"), None),
            (vec!["perl"], lines("Remv git [1:2.39] []\nRemv perl [5.36]\n"), Some("take along what needs it: git;")),
            (vec!["a"], lines("Remv a:i386 [1]\nRemv a [1]\n"), Some("a:i386")),
            (vec!["exim4"], lines("Remv exim4 [4]\nInst postfix (3.7 Debian:12 [amd64])\n"), Some("`Inst postfix")),
            (vec!["a"], lines("Purg a [1]\n"), Some("`Purg a")),
            (vec!["a", "b"], lines("Remv a [1]\n"), Some("would not remove b")),
            (vec!["a"], String::new(), Some("would not remove a")),
        ] {
            let package = |name: &&str| Package { name: (*name).to_owned(), version: "1".to_owned() };
            let packages: Vec<Package> = names.iter().map(package).collect();
            match (only_removes(&output, &packages), refused) {
                (Ok(()), None) => {}
                (Err(text), Some(part)) => assert!(text.contains(part), "{text}"),
                (result, _) => panic!("{names:?}: {result:?}"),
            }
        }
    }
}

//! `package.state`: packages are absent, present, or not of some versions.
//!
//! Looking works below any root (dpkg's status file; rpm on the live system). Changing works through apt-get on the live system
//! and, for removing, through `dpkg --root` below another root; everything else is left to a person, with the reason.

use super::{Finding, KindError, Presence, Workspace};
use crate::command::{Ask, Fault, Patience};
use crate::host::{Host, Said, call_packages};
use crate::leftover;
use crate::record::{Package, Step};
use catalogue::actions::{PackageManager, PackageState, PackageWant};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

const APT_GET: [&str; 1] = ["/usr/bin/apt-get"];
const DPKG: [&str; 2] = ["/usr/bin/dpkg", "/bin/dpkg"];
/// Without a terminal of its own dpkg stays in the group of what is called, where it can be asked to end, and its words keep their
/// order.
const NO_TERMINAL: [&str; 2] = ["-o", "Dpkg::Use-Pty=0"];
/// How long `dpkg --configure -a` may take that finishes what a stopped package manager left, in seconds.
const FINISH_SECONDS: u64 = 45;
/// Lines kept of what was said right before dpkg's first error: a maintainer script names the reason there.
const LINES_BEFORE: usize = 3;
/// Characters kept of a cause.
const CAUSE_CHARS_MAX: usize = 1500;

/// See [`super::check`].
///
/// # Errors
/// Never; the signature is that of all kinds.
pub fn check(action: &PackageState, host: &Host, workspace: &Workspace<'_>) -> Result<Finding, KindError> {
    if let Err(why) = leftover::none(host) {
        return Ok(Finding::unknown(why));
    }
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
    fits(host).map_err(KindError::Cannot)?;
    match &action.want {
        PackageWant::Absent => {
            let present = names.iter().filter_map(|name| Some((name.clone(), installed.get(name)?.clone())));
            let packages: Vec<Package> = present.map(|(name, version)| Package { name, version }).collect();
            let able = if host.tree.live() { host.program(&APT_GET) } else { dpkg() };
            let program = able.ok_or_else(|| cannot("neither apt-get nor dpkg is here to remove packages with"))?;
            if host.tree.live() {
                simulate(program, &packages, host).map_err(KindError::Cannot)?;
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
    leftover::none(host)?;
    let names: Vec<&str> = packages.iter().map(|package| package.name.as_str()).collect();
    if !host.tree.live() {
        let dpkg = dpkg().ok_or("dpkg is not here")?;
        let below = below_root(host);
        let arguments: Vec<&str> = below.iter().map(String::as_str).chain(["--remove", "--"]).chain(names).collect();
        return done(host, call_packages(dpkg, &arguments, host.package_patience(Ask::Nobody), host.calls.as_deref()));
    }
    let program = host.program(&APT_GET).ok_or("apt-get is not here")?;
    // Asked again right before: what is installed may have changed since the plan.
    simulate(program, packages, host)?;
    let words = ["-y", "-q", "--no-auto-remove", "remove", "--"];
    let arguments: Vec<&str> = NO_TERMINAL.into_iter().chain(words).chain(names).collect();
    done(host, call_packages(program, &arguments, host.package_patience(Ask::Leader), host.calls.as_deref()))
}

/// Ask apt-get what removing these packages would do, and refuse when it is anything else than that: what it would take along
/// is neither named by the entry nor known to a revert.
fn simulate(program: &'static str, packages: &[Package], host: &Host) -> Result<(), String> {
    let mut arguments = vec!["-s", "-q", "--no-auto-remove", "remove", "--"];
    arguments.extend(packages.iter().map(|package| package.name.as_str()));
    match host.call_long(program, &arguments)? {
        Said { ok: true, text } => only_removes(&text, packages),
        Said { text, .. } => Err(format!("apt-get cannot say what it would remove: {}", cause(&text))),
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
    leftover::none(host)?;
    let program = host.program(&APT_GET).ok_or("packages are installed on a live system with apt-get only")?;
    let exact = |package: &Package| match package.version.as_str() {
        "" => package.name.clone(),
        version => format!("{}={version}", package.name),
    };
    let names: Vec<String> = packages.iter().map(exact).collect();
    // `--no-remove`: never at the price of a package that is here.
    let words = ["-y", "-q", "--no-install-recommends", "--no-remove", "install", "--"];
    let names = names.iter().map(String::as_str);
    let arguments: Vec<&str> = NO_TERMINAL.into_iter().chain(words).chain(names).collect();
    let patience = host.package_patience(Ask::Leader);
    done(host, crate::launcher::call_with_network(program, &arguments, patience, host.calls.as_deref()))
}

/// Whether a package manager can be begun: none of an agent that died is at work, and there is time enough, as long at least as it
/// may need to come to its end.
///
/// # Errors
/// A sentence when it cannot.
pub fn fits(host: &Host) -> Result<(), String> {
    leftover::none(host)?;
    let least = host.package_grace.as_secs();
    match host.until.left().map(|left| left.as_secs()) {
        Some(left) if left < least => Err(format!(
            "a package manager needs {least} s at least, and {left} s are left of the order's time; give the job a \
             longer maintenance window"
        )),
        _ => Ok(()),
    }
}

/// Whether one of these packages is neither installed nor gone: a package manager came to an end in the middle of it.
#[must_use]
pub fn half_way(packages: &[Package], host: &Host) -> bool {
    let status = host.tree.fact("/var/lib/dpkg/status").unwrap_or_default();
    status.split("\n\n").any(|paragraph| {
        let field = |key| paragraph.lines().find_map(|line: &str| line.strip_prefix(key)).map(str::trim);
        let state = field("Status:").and_then(|status| status.split_whitespace().nth(2));
        packages.iter().any(|package| field("Package:") == Some(package.name.as_str()))
            && !matches!(state, Some("installed" | "not-installed" | "config-files"))
    })
}

/// What came of calling a package manager; what one left that had to be stopped is finished first.
fn done(host: &Host, answer: Result<Said, Fault>) -> Result<(), String> {
    match answer {
        Ok(Said { ok: true, .. }) => Ok(()),
        Ok(Said { text, .. }) => Err(cause(&text)),
        Err(Fault::Failed(why)) => Err(why),
        Err(Fault::Stopped(why)) => Err(format!("{why}; {}", finished(host))),
    }
}

/// Finish what dpkg was at when it was stopped: a package that is unpacked only is neither here nor gone.
fn finished(host: &Host) -> String {
    let by_hand = |why: &str| format!("`dpkg --configure -a` has to be run by hand: {why}");
    let Some(dpkg) = dpkg() else { return by_hand("dpkg is not here") };
    let below = if host.tree.live() { Vec::new() } else { below_root(host) };
    let words = ["--force-confdef", "--force-confold", "--configure", "-a"];
    let arguments: Vec<&str> = below.iter().map(String::as_str).chain(words).collect();
    // Whatever the time: it takes part of that for undoing, where as much is kept back ([`crate::deadline`]).
    let (limit, grace) = (Duration::from_secs(FINISH_SECONDS), Duration::from_secs(5));
    let patience = Patience { limit, grace, ask: Ask::Nobody };
    match call_packages(dpkg, &arguments, patience, host.calls.as_deref()) {
        Ok(Said { ok: true, .. }) => "`dpkg --configure -a` finished what it was at".to_owned(),
        Ok(Said { text, .. }) => by_hand(&cause(&text)),
        Err(fault) => by_hand(&fault.to_string()),
    }
}

/// What makes dpkg work below another root.
fn below_root(host: &Host) -> Vec<String> {
    let root = host.tree.path();
    vec![format!("--root={}", root.display()), format!("--log={}", root.join("var/log/dpkg.log").display())]
}

/// The lines that name the cause in what a package manager said: those of apt (`E:`) and dpkg, with what was said right before the
/// first; without any, the last line.
fn cause(text: &str) -> String {
    let lines: Vec<&str> = text.lines().map(str::trim_end).filter(|line| !line.trim().is_empty()).collect();
    let names = |line: &str| line.starts_with("E: ") || line.starts_with("dpkg: error");
    let Some(first) = lines.iter().position(|line| names(line)) else {
        return lines.last().map_or_else(|| "it failed without a word".to_owned(), |last| last.trim().to_owned());
    };
    let before = if lines.get(first).is_some_and(|line| line.starts_with("dpkg")) { LINES_BEFORE } else { 0 };
    let mut kept: Vec<&str> = lines.get(first.saturating_sub(before)..first).unwrap_or_default().to_vec();
    let mut goes_on = false;
    for line in lines.get(first..).unwrap_or_default() {
        // dpkg goes on in lines that begin with a blank.
        goes_on = names(line) || (goes_on && line.starts_with(' '));
        if goes_on && !kept.contains(line) {
            kept.push(line);
        }
    }
    let said: String = kept.iter().map(|line| line.trim()).collect::<Vec<_>>().join(" | ");
    let characters = said.chars().count();
    if characters <= CAUSE_CHARS_MAX {
        return said;
    }
    let head: String = said.chars().take(CAUSE_CHARS_MAX / 2).collect();
    let tail: String = said.chars().skip(characters - CAUSE_CHARS_MAX / 2).collect();
    format!("{head} [... cut ...] {tail}")
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
    fn the_cause_of_a_failure_is_named() {
        let failed = "Reading package lists...\nSetting up foo (1.0) ...\nchown: invalid user: 'foo'\n\
            dpkg: error processing package foo (--configure):\n installed foo package post-installation script subprocess \
            returned error exit status 1\nErrors were encountered while processing:\n foo\n\
            E: Sub-process /usr/bin/dpkg returned an error code (1)\n";
        assert_eq!(
            cause(failed),
            "Reading package lists... | Setting up foo (1.0) ... | chown: invalid user: 'foo' | dpkg: error processing package foo \
             (--configure): | installed foo package post-installation script subprocess returned error exit status 1 | \
             E: Sub-process /usr/bin/dpkg returned an error code (1)"
        );
        let (locked, unmet) = ("E: Could not get lock /var/lib/dpkg/lock-frontend", "E: Unmet dependencies");
        assert_eq!(
            cause(&format!("Reading...\n{locked}\nN: a note\n{unmet}\n{locked}\n")),
            format!("{locked} | {unmet}")
        );
        assert_eq!(cause("no such\noption\n\n"), "option");
        assert_eq!(cause(""), "it failed without a word");
        let long =
            cause(&format!("E: first\n{}E: last\n", (0..500).map(|n| format!("E: line {n}\n")).collect::<String>()));
        assert!(long.starts_with("E: first") && long.ends_with("E: last") && long.contains("[... cut ...]"), "{long}");
        assert!(long.chars().count() < CAUSE_CHARS_MAX + 50);
    }

    #[test]
    fn a_package_that_is_neither_here_nor_gone_is_noticed() {
        let root = tempfile::tempdir().unwrap();
        let status = root.path().join("var/lib/dpkg/status");
        std::fs::create_dir_all(status.parent().unwrap()).unwrap();
        let host = Host::new(crate::fs::Tree::open(root.path()).unwrap());
        let packages = [Package { name: "x".to_owned(), version: String::new() }];
        for (state, half) in [
            ("install ok installed", false),
            ("deinstall ok config-files", false),
            ("install reinstreq half-installed", true),
            ("install ok unpacked", true),
            ("install ok half-configured", true),
        ] {
            let other = "Package: xy\nStatus: install ok half-installed\nVersion: 1\n";
            std::fs::write(&status, format!("{other}\nPackage: x\nStatus: {state}\nVersion: 1\n")).unwrap();
            assert_eq!(half_way(&packages, &host), half, "{state}");
        }
    }

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

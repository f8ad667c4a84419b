//! The truth about one weakness on one host, read from the host's root folder.
//!
//! Rules of its own on purpose: the product under test has a second implementation of the same facts, and the two must be able to disagree.
//! It reads, it never writes, and it follows links only where the operating system would.

use crate::dpkg;
use crate::os::Os;
use crate::sshd::Settings;
use crate::version;
use crate::weakness::{Comparison, Judge, Safeguard, Weakness};
use std::cmp::Ordering;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// What a scan finds out about one weakness on one host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// The signature reports the host.
    pub present: bool,
    /// What was seen, as the scanner's result text.
    pub evidence: String,
}

/// Judges one weakness as the scanner does.
pub fn scan(root: &Path, weakness: &Weakness) -> Verdict {
    let (outdated, evidence) = package_is_outdated(root, weakness);
    let blocked = weakness.judge == Judge::Setting && is_safeguarded(root, weakness.safeguard);
    Verdict { present: outdated && !blocked, evidence }
}

/// Whether the weakness can be exploited on the host as it is: the code is vulnerable and no setting stands in the way.
pub fn is_exposed(root: &Path, weakness: &Weakness) -> bool {
    package_is_outdated(root, weakness).0 && !is_safeguarded(root, weakness.safeguard)
}

/// A weakness without a package is always "outdated": the setting alone decides.
fn package_is_outdated(root: &Path, weakness: &Weakness) -> (bool, String) {
    if weakness.package.is_empty() {
        return (true, "Configuration\tsetting found on the host".to_owned());
    }
    let Some(installed) = dpkg::version_of(root, weakness.package) else {
        return (false, format!("{} is not installed", weakness.package));
    };
    let Some(fixed) = Os::under(root).and_then(|os| weakness.fixed_on(os)) else {
        return (false, format!("{} {} is not affected on this release", installed.name, installed.version));
    };
    let outdated = version::compare(&installed.version, fixed) == Ordering::Less;
    (outdated, package_evidence(&installed.name, &installed.version, fixed))
}

/// The result table of a package signature.
pub(crate) fn package_evidence(name: &str, installed: &str, fixed: &str) -> String {
    format!("Package\tInstalled Version\tRequired Version\n{name}\t{installed}\t{fixed}")
}

/// Whether the configuration that blocks a weakness is in place under a root folder.
pub fn is_safeguarded(root: &Path, safeguard: Safeguard) -> bool {
    match safeguard {
        Safeguard::None => false,
        Safeguard::SshdLoginGraceZero => Settings::of_server(root).login_grace_is_zero(),
        Safeguard::SshdNoTerrapin => !Settings::of_server(root).offers_terrapin(),
        Safeguard::SshdKeyword(keyword, value) => is_value(Settings::of_server(root).get(keyword), value),
        Safeguard::SshClientKeyword(keyword, value) => is_value(Settings::of_client(root).get(keyword), value),
        Safeguard::ModulesBlocked(names) => names.iter().all(|name| module_is_blocked(root, name)),
        Safeguard::Sysctl(wanted) => wanted.iter().all(|(key, how, value)| sysctl_holds(root, key, *how, *value)),
        Safeguard::ServiceOff(unit) => service_is_off(root, unit),
        Safeguard::NoSetuid(path) => !is_setuid(&root.join(path)),
        Safeguard::PackagesAbsent(names) => {
            let installed = dpkg::installed(root);
            !names.iter().any(|name| installed.iter().any(|entry| entry.name == *name))
        }
        Safeguard::Says(path, texts) => says(&root.join(path), texts),
        Safeguard::PostfixNoSmuggling => {
            let is = |keyword: &str, wanted: &[&str]| {
                postfix(root, keyword).is_some_and(|value| wanted.iter().all(|word| value.contains(word)))
            };
            let strict = is("smtpd_forbid_bare_newline", &["yes"]) || is("smtpd_forbid_bare_newline", &["normalize"]);
            let older = is("smtpd_data_restrictions", &["reject_unauth_pipelining"])
                && is("smtpd_discard_ehlo_keywords", &["chunking"]);
            strict || older
        }
    }
}

fn is_value(found: Option<&str>, wanted: &str) -> bool {
    found.is_some_and(|value| value.eq_ignore_ascii_case(wanted))
}

fn is_setuid(path: &Path) -> bool {
    std::fs::metadata(path).is_ok_and(|file| file.permissions().mode() & 0o4000 != 0)
}

/// The files `*.conf` of several folders, a name in an earlier folder hiding the same name in a later one, sorted by name.
fn layered(root: &Path, folders: &[&str]) -> Vec<PathBuf> {
    let mut files: Vec<(String, PathBuf)> = Vec::new();
    for folder in folders {
        let Ok(entries) = std::fs::read_dir(root.join(folder)) else { continue };
        for entry in entries.flatten() {
            let Ok(name) = entry.file_name().into_string() else { continue };
            if name.ends_with(".conf") && !files.iter().any(|(known, _)| *known == name) {
                files.push((name, entry.path()));
            }
        }
    }
    files.sort();
    files.into_iter().map(|(_, path)| path).collect()
}

fn module_is_blocked(root: &Path, name: &str) -> bool {
    let same = |other: &str| other.replace('-', "_") == name.replace('-', "_");
    let folders = ["etc/modprobe.d", "run/modprobe.d", "usr/lib/modprobe.d", "lib/modprobe.d"];
    let mapped = layered(root, &folders).iter().filter_map(|file| std::fs::read_to_string(file).ok()).any(|text| {
        text.lines().map(|line| line.split_whitespace().collect::<Vec<_>>()).any(|words| {
            matches!(words.as_slice(), ["install", module, command, ..]
                if same(module) && command.rsplit('/').next().is_some_and(|last| last == "false" || last == "true"))
        })
    });
    let read = |path: &str| std::fs::read_to_string(root.join(path)).unwrap_or_default();
    let loaded = read("proc/modules").lines().filter_map(|line| line.split(' ').next()).any(same);
    let release = read("proc/sys/kernel/osrelease");
    let built_in = read(&format!("lib/modules/{}/modules.builtin", release.trim()))
        .lines()
        .filter_map(|line| line.rsplit('/').next())
        .any(|file| same(file.split(".ko").next().unwrap_or(file)));
    mapped && !loaded && !built_in
}

fn sysctl_holds(root: &Path, key: &str, how: Comparison, wanted: i64) -> bool {
    let holds = |value: i64| match how {
        Comparison::Equal => value == wanted,
        Comparison::AtLeast => value >= wanted,
        Comparison::AtMost => value <= wanted,
    };
    let running = std::fs::read_to_string(root.join("proc/sys").join(key.replace('.', "/")));
    let in_force = running.ok().and_then(|text| text.trim().parse().ok()).is_some_and(holds);
    in_force && persisted_sysctl(root, key).is_some_and(holds)
}

/// The value that would be set at the next start: the last one in file order, `etc/sysctl.conf` coming last.
fn persisted_sysctl(root: &Path, key: &str) -> Option<i64> {
    let mut files = layered(root, &["etc/sysctl.d", "run/sysctl.d", "usr/lib/sysctl.d", "lib/sysctl.d"]);
    files.push(root.join("etc/sysctl.conf"));
    let texts = files.iter().filter_map(|file| std::fs::read_to_string(file).ok());
    let mut found = None;
    for text in texts {
        for line in text.lines().map(str::trim).filter(|line| !line.starts_with(['#', ';'])) {
            let Some((name, value)) = line.split_once('=') else { continue };
            let name = name.trim().trim_start_matches('-').replace('/', ".");
            if name == key {
                found = value.trim().parse().ok();
            }
        }
    }
    found
}

/// Masked, not wanted by any target, or not there at all.
fn service_is_off(root: &Path, unit: &str) -> bool {
    let masked =
        ["etc/systemd/system", "run/systemd/system"].iter().map(|folder| root.join(folder).join(unit)).any(|path| {
            std::fs::read_link(&path).is_ok_and(|target| target == Path::new("/dev/null"))
                || std::fs::metadata(&path).is_ok_and(|file| file.is_file() && file.len() == 0)
        });
    let folders = ["etc/systemd/system", "usr/lib/systemd/system", "lib/systemd/system"];
    let exists = folders.iter().any(|folder| root.join(folder).join(unit).symlink_metadata().is_ok());
    let wanted = folders.iter().filter_map(|folder| std::fs::read_dir(root.join(folder)).ok()).any(|entries| {
        entries.flatten().any(|entry| {
            let name = entry.file_name().to_string_lossy().into_owned();
            (name.ends_with(".wants") || name.ends_with(".requires"))
                && entry.path().join(unit).symlink_metadata().is_ok()
        })
    });
    masked || !exists || !wanted
}

fn says(path: &Path, texts: &[&str]) -> bool {
    let files: Vec<PathBuf> = match std::fs::read_dir(path) {
        Ok(entries) => entries.flatten().map(|entry| entry.path()).collect(),
        Err(_) => vec![path.to_owned()],
    };
    let squeeze = |text: &str| text.chars().filter(|letter| !letter.is_whitespace()).collect::<String>();
    files.iter().filter_map(|file| std::fs::read_to_string(file).ok()).any(|content| {
        let kept: String = content
            .lines()
            .filter(|line| !line.trim_start().starts_with('#') && !line.trim_start().starts_with("//"))
            .map(squeeze)
            .collect();
        texts.iter().all(|text| kept.contains(&squeeze(text)))
    })
}

/// Postfix takes the last value of a keyword; lines that begin with a blank continue the one before.
fn postfix(root: &Path, keyword: &str) -> Option<String> {
    let text = std::fs::read_to_string(root.join("etc/postfix/main.cf")).ok()?;
    text.lines()
        .filter(|line| !line.starts_with(['#', ' ', '\t']))
        .filter_map(|line| line.split_once('='))
        .filter(|(name, _)| name.trim() == keyword)
        .map(|(_, value)| value.trim().to_owned())
        .next_back()
}

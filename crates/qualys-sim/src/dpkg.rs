//! The installed packages of a root folder, read from and written to `var/lib/dpkg/status`.
//!
//! Only the three fields that matter are understood; everything else in the file is kept as it stands.

use crate::version;
use std::cmp::Ordering;
use std::io;
use std::path::{Path, PathBuf};

/// Where the data base lies under a root folder.
pub fn status_path(root: &Path) -> PathBuf {
    root.join("var/lib/dpkg/status")
}

/// One installed package.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Installed {
    /// Package name without architecture.
    pub name: String,
    /// Its version.
    pub version: String,
}

/// Every package whose state is "installed". A missing data base is an empty one.
pub fn installed(root: &Path) -> Vec<Installed> {
    let Ok(text) = std::fs::read_to_string(status_path(root)) else {
        return Vec::new();
    };
    text.split("\n\n").filter_map(read_stanza).collect()
}

fn read_stanza(stanza: &str) -> Option<Installed> {
    let field = |name: &str| {
        stanza
            .lines()
            .filter_map(|line| line.split_once(':'))
            .find(|(key, _)| *key == name)
            .map(|(_, value)| value.trim().to_owned())
    };
    let state = field("Status")?;
    let is_installed = state.split(' ').next_back() == Some("installed");
    is_installed.then_some(Installed { name: field("Package")?, version: field("Version")? })
}

/// Whether a data base entry stands for the package a signature names; `linux-image` stands for every installed kernel.
pub fn is_package(entry: &str, wanted: &str) -> bool {
    if wanted != "linux-image" {
        return entry == wanted;
    }
    entry.strip_prefix("linux-image-").is_some_and(|rest| rest.starts_with(|first: char| first.is_ascii_digit()))
}

/// The version of a package; of several kernels the newest.
pub fn version_of(root: &Path, package: &str) -> Option<Installed> {
    installed(root)
        .into_iter()
        .filter(|entry| is_package(&entry.name, package))
        .max_by(|left, right| version::compare(&left.version, &right.version))
}

/// Raises every installed package that stands for `package` to at least `version`.
///
/// Returns whether anything changed.
///
/// # Errors
/// When the data base cannot be read or written.
pub fn raise(root: &Path, package: &str, to: &str) -> io::Result<bool> {
    rewrite(root, |stanza| {
        let entry = read_stanza(stanza)?;
        let older = version::compare(&entry.version, to) == Ordering::Less;
        (is_package(&entry.name, package) && older)
            .then(|| stanza.replace(&format!("Version: {}", entry.version), &format!("Version: {to}")))
    })
}

/// Marks a package as removed with its configuration kept, as `apt remove` leaves it.
///
/// Returns whether it was installed.
///
/// # Errors
/// When the data base cannot be read or written.
pub fn remove(root: &Path, package: &str) -> io::Result<bool> {
    rewrite(root, |stanza| {
        let entry = read_stanza(stanza)?;
        (entry.name == package)
            .then(|| stanza.replace("Status: install ok installed", "Status: deinstall ok config-files"))
    })
}

fn rewrite(root: &Path, change: impl Fn(&str) -> Option<String>) -> io::Result<bool> {
    let path = status_path(root);
    let text = std::fs::read_to_string(&path)?;
    let mut changed = false;
    let stanzas: Vec<String> = text
        .split("\n\n")
        .map(|stanza| match change(stanza) {
            Some(new) => {
                changed |= new != stanza;
                new
            }
            None => stanza.to_owned(),
        })
        .collect();
    if changed {
        std::fs::write(path, stanzas.join("\n\n"))?;
    }
    Ok(changed)
}

//! Root folders for demo hosts: files as a real server has them, with the weaknesses of that host's detections really in them.
//!
//! `plan` decides what is installed, `files` writes it, and this module offers both plus the repair "by other means" that a demo needs.
//! Only Debian-family hosts have a world: the simulator's version rules read a dpkg data base.

mod files;
mod packages;

use crate::dpkg;
use crate::hosts::Host;
use crate::judge;
use crate::os::Os;
use crate::roll::Roll;
use crate::version;
use crate::weakness::{self, Judge, Safeguard, Weakness};
use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::io;
use std::path::Path;

/// Why a root folder could not be written or repaired.
#[derive(Debug, thiserror::Error)]
pub enum WorldError {
    /// The host has no dpkg data base, so no root folder can stand for it.
    #[error("cannot write a root folder for {0}: only Debian-family hosts have one")]
    NotDebianFamily(String),
    /// The QID is not part of the demo set.
    #[error("qid {0} is not in the demo set (900000-900999), so its truth cannot be changed in a folder")]
    UnknownQid(u32),
    /// The release of the folder is unknown or not affected.
    #[error("qid {qid} has no fix for the release of the folder {folder}")]
    NoFix {
        /// The QID that was to be fixed.
        qid: u32,
        /// The root folder.
        folder: String,
    },
    /// The file system refused.
    #[error("cannot change the root folder: {0}")]
    Io(#[from] io::Error),
}

/// What is installed on a demo host and how it is set up, before anybody changes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// The release.
    pub os: Os,
    /// Release name of the running kernel.
    pub kernel: &'static str,
    /// Installed packages and versions, the kernel's included.
    pub packages: BTreeMap<String, String>,
    /// sshd lets root in with a password.
    pub root_login: bool,
    /// sshd forwards X11.
    pub x11: bool,
    /// The grace time stands in a drop-in file instead of the main file.
    pub grace_in_dropin: bool,
}

impl Plan {
    /// The plan of a host; `None` when the host is not of the Debian family.
    pub fn of(seed: u64, host: &Host) -> Option<Self> {
        if !host.os.is_debian_family() {
            return None;
        }
        let mut roll = Roll::new(seed, &[10, u64::from(host.index)]);
        let (kernel, kernel_version) = *roll.pick(packages::kernels(host.os));
        let mut installed = BTreeMap::new();
        installed.insert(format!("linux-image-{kernel}"), kernel_version.to_owned());
        for package in packages::OPTIONAL {
            let versions = package.versions(host.os);
            let wanted = roll.chance(package.percent);
            let chosen = roll.draw();
            let guaranteed = package.guaranteed_on == Some(host.index);
            if versions.is_empty() || !(wanted || guaranteed) {
                continue;
            }
            let at = usize::try_from(chosen % versions.len() as u64).unwrap_or(0);
            if let Some(version) = versions.get(at) {
                installed.insert(package.name.to_owned(), (*version).to_owned());
            }
        }
        if let Some(server) = installed.get("openssh-server").cloned() {
            installed.insert("openssh-client".to_owned(), server);
        }
        let root_login = roll.chance(50);
        let x11 = roll.chance(70);
        let grace_in_dropin = roll.chance(35);
        Some(Self { os: host.os, kernel, packages: installed, root_login, x11, grace_in_dropin })
    }

    /// The weaknesses the scanner sees on a host set up like this.
    pub fn weaknesses(&self) -> impl Iterator<Item = &'static Weakness> + '_ {
        weakness::all().filter(|weakness| self.has(weakness))
    }

    /// Name and version of the installed package a signature looks at.
    pub fn installed(&self, package: &str) -> Option<(&str, &str)> {
        self.packages
            .iter()
            .find(|(name, _)| dpkg::is_package(name, package))
            .map(|(name, version)| (name.as_str(), version.as_str()))
    }

    fn has(&self, weakness: &Weakness) -> bool {
        if weakness.package.is_empty() {
            return match weakness.safeguard {
                Safeguard::SshdKeyword("permitrootlogin", _) => self.root_login,
                Safeguard::SshdKeyword("x11forwarding", _) => self.x11,
                _ => false,
            };
        }
        let installed = self.installed(weakness.package).map(|(_, version)| version);
        match (installed, weakness.fixed_on(self.os)) {
            (Some(installed), Some(fixed)) => version::compare(installed, fixed) == Ordering::Less,
            _ => false,
        }
    }

    /// The result text of a finding on this host before anybody changed it.
    pub(crate) fn evidence(&self, weakness: &Weakness) -> Option<String> {
        let (name, version) = self.installed(weakness.package)?;
        Some(judge::package_evidence(name, version, weakness.fixed_on(self.os)?))
    }
}

/// Writes the root folder of a demo host: every weakness of its detections is really there and not mitigated.
///
/// The folder may exist; files of the same name are replaced, others are left alone.
///
/// # Errors
/// [`WorldError::NotDebianFamily`] for Windows and Red Hat hosts, [`WorldError::Io`] when the disk refuses.
pub fn write_root(root: &Path, seed: u64, host: &Host) -> Result<(), WorldError> {
    let plan = Plan::of(seed, host).ok_or_else(|| WorldError::NotDebianFamily(host.fqdn.clone()))?;
    files::write(root, host, &plan)?;
    Ok(())
}

/// What the scanner would say of one QID in a folder: still found or not.
///
/// # Errors
/// [`WorldError::UnknownQid`] for a QID outside the demo set.
pub fn is_found(root: &Path, qid: u32) -> Result<bool, WorldError> {
    let weakness = weakness::find(qid).ok_or(WorldError::UnknownQid(qid))?;
    Ok(judge::scan(root, weakness).present)
}

/// Whether one QID's weakness can be exploited in a folder: vulnerable code and no setting in the way.
///
/// # Errors
/// [`WorldError::UnknownQid`] for a QID outside the demo set.
pub fn is_exposed(root: &Path, qid: u32) -> Result<bool, WorldError> {
    let weakness = weakness::find(qid).ok_or(WorldError::UnknownQid(qid))?;
    Ok(judge::is_exposed(root, weakness))
}

/// Fixes one QID in a folder by other means than Quell: the way an administrator would, by the package update, or for findings about a
/// setting alone by the setting. Returns whether anything had to change.
///
/// # Errors
/// [`WorldError::UnknownQid`], [`WorldError::NoFix`] or [`WorldError::Io`].
pub fn fix(root: &Path, qid: u32) -> Result<bool, WorldError> {
    let weakness = weakness::find(qid).ok_or(WorldError::UnknownQid(qid))?;
    let no_fix = || WorldError::NoFix { qid, folder: root.display().to_string() };
    match weakness.safeguard {
        Safeguard::PackagesAbsent(names) if weakness.judge == Judge::Setting => {
            let mut changed = false;
            for name in names {
                changed |= dpkg::remove(root, name)?;
            }
            Ok(changed)
        }
        Safeguard::SshdKeyword(keyword, value) if weakness.package.is_empty() => {
            files::set_sshd_first(root, keyword, value)?;
            Ok(true)
        }
        _ => {
            let fixed = Os::under(root).and_then(|os| weakness.fixed_on(os)).ok_or_else(no_fix)?;
            Ok(dpkg::raise(root, weakness.package, fixed)?)
        }
    }
}

#[cfg(test)]
mod tests;

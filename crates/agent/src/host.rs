//! The host as the kinds see it: its files, what is installed, what runs, and the few programs that may be called.
//!
//! Everything is read below the root. A fact that is not there is unknown, never guessed. Programs are called only on the
//! live system, with argument vectors fixed in this crate, an empty environment and a deadline.

use crate::command::{Ask, Fault, Patience, read, run, run_noted};
use crate::deadline::Deadline;
use crate::fs::{Node, Tree};
use crate::leftover::{Note, output};
use crate::services::SETTLE_SECONDS;
use crate::windows::Windows;
use catalogue::applies::{HostFacts, OsRelease, Probe};
use catalogue::text::{PackageName, PathPattern};
use catalogue::version::VersionScheme;
use domain::asset::{Identity, Platform};
use protocol::agent::Facts;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How long a called program may take.
pub const COMMAND_SECONDS_MAX: u64 = 120;
/// How long a package manager may take: it downloads, and is better not stopped half way.
pub const PACKAGES_SECONDS_MAX: u64 = 15 * 60;
const PATIENCE: Patience =
    Patience { limit: Duration::from_secs(COMMAND_SECONDS_MAX), grace: Duration::from_secs(5), ask: Ask::Group };
/// Of what is left of an order's time a package manager gets all; then it may finish the package it is at.
pub(crate) const PACKAGES_PATIENCE: Patience =
    Patience { limit: Duration::from_secs(PACKAGES_SECONDS_MAX), grace: Duration::from_secs(30), ask: Ask::Leader };
const SETTLE: Duration = Duration::from_secs(SETTLE_SECONDS);
/// Output kept of a called program, in bytes, head and tail: with what is said about it it fits into a report's message.
const OUTPUT_BYTES_MAX: usize = 3072;
/// Output kept of a program whose output is read by a program, in bytes.
const READ_BYTES_MAX: usize = 1024 * 1024;

/// Where the server is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Server {
    /// Its name or address.
    pub host: String,
    /// Its port.
    pub port: u16,
}

impl Server {
    /// From the server's address, `https://name:port`.
    #[must_use]
    pub fn of_url(url: &str) -> Option<Self> {
        let rest = url.strip_prefix("https://")?.split(['/', '?']).next()?;
        match rest.rsplit_once(':') {
            Some((host, port)) if !port.ends_with(']') => {
                Some(Self { host: host.to_owned(), port: port.parse().ok()? })
            }
            _ => Some(Self { host: rest.to_owned(), port: 443 }),
        }
    }
}

/// What a called program said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Said {
    /// It ended with 0.
    pub ok: bool,
    /// Its output, cut.
    pub text: String,
}

/// The host.
#[derive(Debug)]
pub struct Host {
    /// Its files.
    pub tree: Tree,
    /// The server this agent must be able to reach; none before it is enrolled.
    pub server: Option<Server>,
    /// What keeps the parts that read foreign things from the host's files; empty while nothing runs.
    pub confinement: String,
    /// The parts of Windows that are no files; none on every other system.
    pub windows: Option<Box<dyn Windows>>,
    /// How long a unit has to run after its restart until it counts as back; [`SETTLE_SECONDS`] unless a test is in a hurry.
    pub settle: Duration,
    /// How long a package manager that was asked to end may go on, and the least of an order's time with which one is begun; shorter
    /// where a test is in a hurry.
    pub package_grace: Duration,
    /// Where it is written down that a package manager was begun, for whoever comes after a crash; nothing outside of an agent.
    pub calls: Option<PathBuf>,
    /// How long a package manager is waited for that a killed agent left at work; shorter where a test is in a hurry.
    pub leftover_wait: Duration,
    /// When what is called has to be over: the order's time, while one is carried out.
    pub until: Deadline,
    os: Option<OsRelease>,
    packages: Option<BTreeMap<String, String>>,
}

impl Host {
    /// Look at the host below this root. Facts are read now; make a new one to read them afresh.
    #[must_use]
    pub fn new(tree: Tree) -> Self {
        let os = tree.fact("/etc/os-release").or_else(|| tree.fact("/usr/lib/os-release"));
        let os = os.and_then(|text| OsRelease::parse(&text));
        let packages = installed_packages(&tree, Deadline::NEVER);
        Self { os, packages, ..Self::bare(tree) }
    }

    /// A machine with Windows: what is no file is asked of `windows`.
    #[must_use]
    pub fn of_windows(tree: Tree, windows: Box<dyn Windows>) -> Self {
        let os = OsRelease { id: "windows".to_owned(), id_like: Vec::new(), version: windows.version() };
        Self { windows: Some(windows), os: Some(os), ..Self::bare(tree) }
    }

    fn bare(tree: Tree) -> Self {
        Self {
            tree,
            server: None,
            confinement: String::new(),
            windows: None,
            settle: SETTLE,
            package_grace: PACKAGES_PATIENCE.grace,
            calls: None,
            leftover_wait: crate::leftover::WAIT,
            until: Deadline::NEVER,
            os: None,
            packages: None,
        }
    }

    /// Read what is installed afresh.
    pub fn refresh(&mut self) {
        self.packages = installed_packages(&self.tree, self.until);
    }

    /// Installed packages with their versions, where the package database can be read.
    #[must_use]
    pub fn packages(&self) -> Option<&BTreeMap<String, String>> {
        self.packages.as_ref()
    }

    /// The first of these programs that exists, on the live system only.
    #[must_use]
    pub fn program(&self, candidates: &[&'static str]) -> Option<&'static str> {
        let live = self.tree.live();
        candidates.iter().copied().find(|path| live && Path::new(path).is_file())
    }

    /// The kernel release, where it is known: of the live system, or the only one below `/lib/modules`.
    #[must_use]
    pub fn kernel(&self) -> Option<String> {
        if let Some(text) = self.tree.fact("/proc/sys/kernel/osrelease") {
            return Some(text.trim().to_owned());
        }
        match self.tree.names("/lib/modules")?.as_slice() {
            [only] => Some(only.clone()),
            _ => None,
        }
    }

    /// Boot id of the kernel; empty when unknown.
    #[must_use]
    pub fn boot_id(&self) -> String {
        self.tree.fact("/proc/sys/kernel/random/boot_id").map(|text| text.trim().to_owned()).unwrap_or_default()
    }

    /// Everything the server is told of the host.
    #[must_use]
    pub fn facts(&self, mode: &str) -> Facts {
        let text = |path: &str| self.tree.fact(path).map(|text| text.trim().to_owned()).unwrap_or_default();
        let release = self.tree.fact("/etc/os-release").or_else(|| self.tree.fact("/usr/lib/os-release"));
        let title = release.as_deref().and_then(|text| release_field(text, "PRETTY_NAME")).unwrap_or_default();
        Facts {
            hostname: self.hostname(),
            os_id: self.os.as_ref().map(|os| os.id.clone()).unwrap_or_default(),
            os_version: self.os.as_ref().map(|os| os.version.clone()).unwrap_or_default(),
            os_title: title,
            kernel: self.kernel().unwrap_or_default(),
            zone: zone(&self.tree),
            identity: Identity {
                scanner_uuid: some(text("/etc/qualys/hostid").to_lowercase()),
                machine_id: some(text("/etc/machine-id").to_lowercase()),
                macs: self.macs(),
            },
            addresses: self.addresses(),
            agent_version: env!("CARGO_PKG_VERSION").to_owned(),
            capabilities: self.capabilities(),
            mode: mode.to_owned(),
            confinement: self.confinement.clone(),
        }
    }

    /// The platform of the host.
    #[must_use]
    pub fn platform(&self) -> Platform {
        if self.windows.is_some() { Platform::Windows } else { Platform::Linux }
    }

    /// The kinds of action that make sense here, and that approvals are checked.
    fn capabilities(&self) -> Vec<String> {
        let windows = self.windows.is_some();
        let fits = |kind: &&&str| match **kind {
            "service.state" | "firewall.rule" => true,
            kind => catalogue::actions::is_kind_of_windows(kind) == windows,
        };
        let kinds = catalogue::actions::ACTION_KINDS.iter().filter(fits).map(|kind| format!("{kind}@1"));
        let words = [protocol::approval::CAPABILITY, protocol::permit::PERMIT_CAPABILITY];
        kinds.chain(words.map(str::to_owned)).collect()
    }

    fn hostname(&self) -> String {
        if self.tree.live() {
            return rustix::system::uname().nodename().to_string_lossy().into_owned();
        }
        self.tree.fact("/etc/hostname").map(|text| text.trim().to_owned()).unwrap_or_default()
    }

    fn macs(&self) -> Vec<String> {
        let names = self.tree.names("/sys/class/net").unwrap_or_default();
        let read = |name: &String| self.tree.fact(&format!("/sys/class/net/{name}/address"));
        let mut macs: Vec<String> = names.iter().filter_map(read).map(|text| text.trim().to_lowercase()).collect();
        macs.retain(|mac| mac.len() == 17 && mac.chars().any(|c| !matches!(c, '0' | ':')));
        macs.sort_unstable();
        macs.dedup();
        macs
    }

    /// Addresses as the kernel's routing tables list them: local ones, without loopback and link-local.
    fn addresses(&self) -> Vec<String> {
        let mut found = Vec::new();
        let trie = self.tree.fact("/proc/net/fib_trie").unwrap_or_default();
        let mut last = None;
        for line in trie.lines() {
            if let Some(at) = line.find("|-- ") {
                last = line.get(at + 4..).and_then(|text| text.trim().parse::<std::net::Ipv4Addr>().ok());
            } else if line.contains("/32 host LOCAL") {
                found.extend(last.filter(|ip| !ip.is_loopback() && !ip.is_link_local()).map(|ip| ip.to_string()));
            }
        }
        for line in self.tree.fact("/proc/net/if_inet6").unwrap_or_default().lines() {
            let hex = line.split_whitespace().next().and_then(|hex| u128::from_str_radix(hex, 16).ok());
            let ip = hex.map(std::net::Ipv6Addr::from);
            found.extend(
                ip.filter(|ip| !ip.is_loopback() && (ip.segments()[0] & 0xffc0) != 0xfe80).map(|ip| ip.to_string()),
            );
        }
        found.sort_unstable();
        found.dedup();
        found.truncate(32);
        found
    }
}

impl HostFacts for Host {
    fn os(&self) -> Option<&OsRelease> {
        self.os.as_ref()
    }

    fn version_scheme(&self) -> Option<VersionScheme> {
        let os = self.os.as_ref()?;
        let like = |family| os.is_like(family);
        use catalogue::applies::OsFamily::{Amazon, Debian, Fedora, Rhel, Suse, Ubuntu};
        if like(Debian) || like(Ubuntu) {
            Some(VersionScheme::Dpkg)
        } else if like(Rhel) || like(Fedora) || like(Suse) || like(Amazon) {
            Some(VersionScheme::Rpm)
        } else {
            None
        }
    }

    fn installed(&self, name: &PackageName) -> Option<Option<String>> {
        Some(self.packages.as_ref()?.get(name.as_str()).cloned())
    }

    fn probe(&self, probe: &Probe) -> Option<bool> {
        match probe {
            Probe::PathExists(probe) => Some(self.exists(&probe.path)),
            Probe::PathAbsent(probe) => Some(!self.exists(&probe.path)),
            Probe::ServiceExists(probe) => match &self.windows {
                Some(windows) => windows.service(probe.name.as_str()).ok().map(|found| found.is_some()),
                None => Some(crate::kinds::service_state::exists(self, &probe.name.unit())),
            },
            Probe::MountAbsent(probe) => {
                let mounts = self.tree.fact("/proc/mounts")?;
                let mounted = |line: &str| {
                    line.split_whitespace().nth(2).is_some_and(|fs| probe.types.iter().any(|ty| ty.as_str() == fs))
                };
                Some(!mounts.lines().any(mounted))
            }
        }
    }
}

impl Host {
    fn exists(&self, path: &PathPattern) -> bool {
        if path.is_wild() {
            return self.tree.names(path.folder()).unwrap_or_default().iter().any(|name| path.matches_name(name));
        }
        // Links are looked at as themselves first: a dangling one exists, and `fact` covers the linked rest.
        let there = self.tree.node(path.as_str()).is_ok_and(|node| node != Node::Absent);
        there || self.tree.fact(path.as_str()).is_some() || self.tree.names(path.as_str()).is_some()
    }
}

fn some(text: String) -> Option<String> {
    (!text.is_empty()).then_some(text)
}

fn release_field(text: &str, key: &str) -> Option<String> {
    let value = text.lines().find_map(|line| line.trim().strip_prefix(key)?.strip_prefix('='))?;
    Some(value.trim().trim_matches(['"', '\'']).to_owned())
}

/// The IANA zone: where `/etc/localtime` points, else `/etc/timezone`; empty when unknown.
#[must_use]
pub fn zone(tree: &Tree) -> String {
    let linked = tree.link("/etc/localtime").and_then(|target| {
        target.split_once("zoneinfo/").map(|(_, zone)| zone.trim_start_matches("posix/").to_owned())
    });
    let text = linked.or_else(|| tree.fact("/etc/timezone").map(|text| text.trim().to_owned())).unwrap_or_default();
    let plausible = text.len() < 64 && text.chars().all(|c| c.is_ascii_alphanumeric() || "/_+-".contains(c));
    if plausible { text } else { String::new() }
}

/// Installed packages of dpkg. An rpm database is not text; without its own tool it is unknown.
fn installed_packages(tree: &Tree, until: Deadline) -> Option<BTreeMap<String, String>> {
    if let Some(status) = tree.fact("/var/lib/dpkg/status") {
        return Some(dpkg_installed(&status));
    }
    let rpm = tree.live().then(|| ["/usr/bin/rpm", "/bin/rpm"].into_iter().find(|path| Path::new(path).is_file()));
    let arguments = ["-qa", "--qf", "%{NAME} %{EPOCHNUM}:%{VERSION}-%{RELEASE}\\n"];
    let said = read(rpm.flatten()?, &arguments, until.cap(PATIENCE), usize::MAX).ok()?;
    let pairs = said.text.lines().filter_map(|line| line.split_once(' '));
    said.ok.then(|| pairs.map(|(name, version)| (name.to_owned(), version.to_owned())).collect())
}

/// Names and versions of what dpkg's status file calls installed.
#[must_use]
pub fn dpkg_installed(status: &str) -> BTreeMap<String, String> {
    let mut installed = BTreeMap::new();
    for paragraph in status.split("\n\n") {
        let field =
            |key: &str| paragraph.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(": ")).map(str::trim);
        if let (Some(name), Some(state), Some(version)) = (field("Package"), field("Status"), field("Version"))
            && state.split_whitespace().nth(2) == Some("installed")
        {
            installed.insert(name.to_owned(), version.to_owned());
        }
    }
    installed
}

impl Host {
    /// Call a program with fixed arguments, for as long as the time for it lasts; its output is for people.
    ///
    /// # Errors
    /// A sentence when it cannot be started or takes too long.
    pub fn call(&self, program: &'static str, arguments: &[&str]) -> Result<Said, String> {
        call(program, arguments, self.until)
    }

    /// As [`Host::call`], for a program whose output is read by a program: up to a megabyte of its standard output, and its errors
    /// where it fails.
    ///
    /// # Errors
    /// See [`Host::call`].
    pub fn call_long(&self, program: &'static str, arguments: &[&str]) -> Result<Said, String> {
        Ok(read(program, arguments, self.until.cap(PATIENCE), READ_BYTES_MAX)?)
    }

    /// How long a package manager may take now, and how it comes to its end.
    pub(crate) fn package_patience(&self, ask: Ask) -> Patience {
        self.until.cap_packages(Patience { grace: self.package_grace, ask, ..PACKAGES_PATIENCE })
    }
}

/// Call a program with fixed arguments, until then at most; its output is for people.
///
/// # Errors
/// A sentence when it cannot be started or takes too long.
pub fn call(program: &'static str, arguments: &[&str], until: Deadline) -> Result<Said, String> {
    Ok(run(program, arguments, until.cap(PATIENCE), OUTPUT_BYTES_MAX)?)
}

/// Call a package manager that changes what is installed, written down at `note` while it runs. It is given a file beside the note to
/// write to: a pipe ends with the agent, and whoever writes to it then dies half way.
///
/// # Errors
/// See [`Fault`].
pub(crate) fn call_packages(
    program: &'static str,
    arguments: &[&str],
    patience: Patience,
    note: Option<&Path>,
) -> Result<Said, Fault> {
    let Some(path) = note else { return run(program, arguments, patience, READ_BYTES_MAX) };
    let mut note = Note::of(path, program);
    run_noted(program, arguments, patience, READ_BYTES_MAX, &output(path), &mut |group| {
        note.started(group);
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn facts_come_from_below_the_root() {
        let root = tempfile::tempdir().unwrap();
        for (path, text) in [
            ("etc/os-release", "ID=debian\nVERSION_ID=\"12\"\nPRETTY_NAME=\"Debian GNU/Linux 12 (bookworm)\"\n"),
            ("etc/machine-id", "ABCDEF0123456789abcdef0123456789\n"),
            ("etc/hostname", "web-1\n"),
            ("etc/qualys/hostid", "11111111-AAAA-4bbb-8ccc-222222222222\n"),
            ("sys/class/net/eth0/address", "AA:bb:cc:00:11:22\n"),
            ("sys/class/net/lo/address", "00:00:00:00:00:00\n"),
            ("proc/net/fib_trie", "Main:\n  |-- 10.1.2.3\n     /32 host LOCAL\n  |-- 127.0.0.1\n     /32 host LOCAL\n"),
            (
                "var/lib/dpkg/status",
                "Package: a\nStatus: install ok installed\nVersion: 1:2-3\n\nPackage: b\nStatus: deinstall ok config-files\nVersion: 1\n",
            ),
        ] {
            let path = root.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        std::os::unix::fs::symlink("/usr/share/zoneinfo/Europe/Rome", root.path().join("etc/localtime")).unwrap();
        let host = Host::new(Tree::open(root.path()).unwrap());
        let facts = host.facts("normal");
        assert_eq!(
            (facts.os_id.as_str(), facts.os_version.as_str(), facts.zone.as_str()),
            ("debian", "12", "Europe/Rome")
        );
        assert_eq!(facts.hostname, "web-1");
        assert_eq!(facts.identity.scanner_uuid.as_deref(), Some("11111111-aaaa-4bbb-8ccc-222222222222"));
        assert_eq!(facts.identity.macs, ["aa:bb:cc:00:11:22"]);
        assert_eq!(facts.addresses, ["10.1.2.3"]);
        assert!(facts.capabilities.contains(&"file.setting@1".to_owned()));
        assert_eq!(host.packages().unwrap().keys().collect::<Vec<_>>(), ["a"]);
        let bare = tempfile::tempdir().unwrap();
        let host = Host::new(Tree::open(bare.path()).unwrap());
        assert!(host.packages().is_none() && host.facts("normal").zone.is_empty());
    }
}

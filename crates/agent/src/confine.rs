//! Taking files away from the parts of the agent that read what strangers wrote: the network half, and the programs that check
//! a configuration. By Landlock, for the calling thread and everything it starts, for ever; where the kernel has none, by starting
//! them as units of systemd with what they do not need taken away. Where there is neither the agent does not start, unless its owner
//! says so.
//!
//! The executor itself is not confined here: changing files below `/etc` and permission bits below `/usr` is its work, and what it
//! may touch is decided per kind. The unit file (`docs/quell-agent.service`) takes from all parts what none of them needs.

use crate::deadline::Deadline;
use crate::host::{COMMAND_SECONDS_MAX, Said, call};
use landlock::{
    ABI, Access as _, AccessFs, BitFlags, Ruleset, RulesetAttr as _, RulesetCreatedAttr as _, RulesetError,
    RulesetStatus, path_beneath_rules,
};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::OnceLock;

/// What the network half reads after its start: how names are resolved, and the libraries that do it.
const RESOLVING: [&str; 6] = ["/etc", "/usr", "/lib", "/lib64", "/run", "/var/lib/sss"];
/// Devices that hold nothing: every program may use them.
const DEVICES: [&str; 6] = ["/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom", "/dev/tty"];
/// Where every program may keep its temporary files.
const TEMPORARY: [&str; 2] = ["/tmp", "/var/tmp"];
/// Where each of the programs that check a configuration keeps its own things besides; those that are not named here keep none.
/// `apachectl` makes lock folders in `/run/lock`, which is everybody's, and one for its sockets in [`MADE`].
const OWN: [(&str, &[&str]); 5] = [
    ("testparm", &["/run/samba", "/var/cache/samba", "/var/lib/samba", "/var/log/samba"]),
    ("apachectl", &["/run/apache2", "/run/httpd", "/run/lock", "/var/log/apache2", "/var/log/httpd"]),
    ("apache2ctl", &["/run/apache2", "/run/lock", "/var/log/apache2"]),
    ("httpd", &["/run/httpd", "/var/log/httpd"]),
    ("postfix", &["/var/spool/postfix", "/var/lib/postfix", "/var/log"]),
];
/// Made before these programs are called where it is missing, with mode 0755: Debian's `apachectl` makes it when Apache was not
/// started since the boot, and may not make anything right below `/run`. What belongs into it it makes itself.
const MADE: [(&str, &str, &str); 2] =
    [("apachectl", "/etc/apache2", "/run/apache2"), ("apache2ctl", "/etc/apache2", "/run/apache2")];
/// The rights that are taken away; later ones of the kernel's are left alone.
const RIGHTS: ABI = ABI::V4;

/// Starts a program as a unit of systemd.
pub const SYSTEMD_RUN: &str = "/usr/bin/systemd-run";

/// What keeps the parts that read foreign things from the host's files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Confinement {
    /// The kernel's Landlock.
    Landlock,
    /// Units of systemd with properties.
    Systemd,
    /// Nothing: the host's owner said so.
    Nothing,
}

impl Confinement {
    /// As facts and `status` say it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Landlock => "landlock",
            Self::Systemd => "systemd",
            Self::Nothing => "none",
        }
    }
}

static CHOSEN: OnceLock<Confinement> = OnceLock::new();

/// What there is to confine with, for the whole life of this process.
///
/// # Errors
/// A sentence where there is nothing and the owner did not allow that.
pub fn begin(unconfined: bool) -> Result<Confinement, String> {
    let landlock = std::thread::spawn(|| restrict(&[(&["/"], AccessFs::from_all(RIGHTS))]));
    let landlock = landlock.join().unwrap_or_else(|_| Err("asking the kernel for Landlock ended".to_owned()));
    let systemd = rustix::process::geteuid().is_root()
        && Path::new("/run/systemd/system").is_dir()
        && Path::new(SYSTEMD_RUN).is_file();
    // An older systemd refuses a unit with a property it does not know: better found out now than by an agent that hears nothing.
    let systemd = landlock.is_err() && systemd && works(&network_unit(None)) && works(&reader_unit("/bin/true", 60));
    let chosen = choose(landlock, systemd, unconfined)?;
    Ok(*CHOSEN.get_or_init(|| chosen))
}

/// Whether a program starts as such a unit.
fn works(unit: &[String]) -> bool {
    let words: Vec<&str> = unit.iter().map(String::as_str).chain(["--", "/bin/true"]).collect();
    call(SYSTEMD_RUN, &words, Deadline::NEVER).is_ok_and(|said| said.ok)
}

/// What to confine with. Landlock first: it holds from within, whoever starts what.
fn choose(landlock: Result<(), String>, systemd: bool, unconfined: bool) -> Result<Confinement, String> {
    match landlock {
        Ok(()) => Ok(Confinement::Landlock),
        Err(_) if systemd => Ok(Confinement::Systemd),
        Err(_) if unconfined => Ok(Confinement::Nothing),
        Err(reason) => Err(format!(
            "there is nothing here to keep the parts of the agent that read foreign things from the host's files: {reason}, and no \
             systemd runs that starts them as units with so little; a kernel of 5.13 or newer with Landlock helps, or start the agent with --unconfined to go without"
        )),
    }
}

/// Arguments of `systemd-run` for a part of the agent: it reads what it likes and changes nothing but these folders.
#[must_use]
fn unit(writable: &[&str], more: &[&str]) -> Vec<String> {
    let properties = [
        "ProtectSystem=strict",
        // Those below that protect the kernel's file systems bring a /run of their own that `strict` does not cover.
        "ReadOnlyPaths=/run",
        // Or root mounts it all writable again.
        "SystemCallFilter=~@mount",
        "SystemCallErrorNumber=EPERM",
        "ProtectHome=read-only",
        "ProtectKernelTunables=yes",
        "ProtectKernelModules=yes",
        "ProtectControlGroups=yes",
        "PrivateDevices=yes",
        "NoNewPrivileges=yes",
        "RestrictSUIDSGID=yes",
        "RestrictNamespaces=yes",
        "LockPersonality=yes",
        "SystemCallArchitectures=native",
        "MemoryMax=512M",
        "TasksMax=64",
    ];
    let start = ["--quiet", "--pipe", "--wait", "--collect", "--service-type=exec"].map(str::to_owned);
    // A folder that is not there needs no exception.
    let folders = writable.iter().map(|folder| format!("ReadWritePaths=-{folder}"));
    let all = properties.into_iter().chain(more.iter().copied()).map(str::to_owned).chain(folders);
    start.into_iter().chain(all.map(|property| format!("--property={property}"))).collect()
}

/// The folders that a program may write to. A unit has devices of its own.
fn scratch(program: &str) -> Vec<&'static str> {
    let name = program.rsplit('/').next().unwrap_or(program);
    let own = OWN.iter().filter(|(of, _)| *of == name).flat_map(|(_, folders)| folders.iter().copied());
    TEMPORARY.into_iter().chain(own).collect()
}

/// Make what a program would make in a place where it may not write; only where its own configuration is in this folder.
fn make_missing(program: &str) {
    let name = program.rsplit('/').next().unwrap_or(program);
    for (_, _, folder) in MADE.iter().filter(|(of, of_debian, _)| *of == name && Path::new(of_debian).is_dir()) {
        // Where this fails the program says what it misses.
        if std::fs::create_dir(folder).is_ok() {
            let _ = std::fs::set_permissions(folder, std::fs::Permissions::from_mode(0o755));
        }
    }
}

/// Arguments of `systemd-run` for the network half, run as this user and group.
#[must_use]
pub fn network_unit(user: Option<(u32, u32)>) -> Vec<String> {
    let families = "RestrictAddressFamilies=AF_UNIX AF_NETLINK AF_INET AF_INET6";
    let mut arguments = unit(&[], &[families, "CapabilityBoundingSet=", "ProtectHome=yes", "PrivateTmp=yes"]);
    if let Some((uid, gid)) = user {
        arguments.extend([format!("--uid={uid}"), format!("--gid={gid}")]);
    }
    arguments
}

/// Arguments of `systemd-run` for a program that only looks, for so many seconds.
#[must_use]
pub fn reader_unit(program: &str, seconds: u64) -> Vec<String> {
    // It runs as root and reads what root reads; without these it does not reach other files by way of another process
    // (`/proc/1/root`), of a device or of the kernel.
    let rights =
        "CapabilityBoundingSet=~CAP_SYS_ADMIN CAP_SYS_PTRACE CAP_SYS_MODULE CAP_SYS_RAWIO CAP_SYS_BOOT CAP_MKNOD";
    unit(&scratch(program), &["PrivateNetwork=yes", rights, &format!("RuntimeMaxSec={seconds}")])
}

/// Whether the network half has to be started as a unit.
#[must_use]
pub fn by_units() -> bool {
    CHOSEN.get() == Some(&Confinement::Systemd)
}

/// Leave this process what name resolution reads, and nothing else: it changes no file and starts no program. Before any other
/// thread is started.
///
/// # Errors
/// A sentence where the kernel does not support it.
pub fn network_half() -> Result<(), String> {
    let read = AccessFs::ReadFile | AccessFs::ReadDir;
    restrict(&[(&RESOLVING, read)])
}

/// Call a program that only looks: it reads and runs what it likes, and writes to places of its own only, never to a
/// configuration or a program.
///
/// # Errors
/// See [`call`]; also where it cannot be confined and nobody allowed to go without.
pub fn call_reader(program: &'static str, arguments: &[&str], until: Deadline) -> Result<Said, String> {
    make_missing(program);
    match CHOSEN.get() {
        Some(Confinement::Nothing) => return call(program, arguments, until),
        Some(Confinement::Systemd) => {
            let left = until.left().map_or(COMMAND_SECONDS_MAX, |left| left.as_secs().clamp(1, COMMAND_SECONDS_MAX));
            let unit = reader_unit(program, left);
            let words = unit.iter().map(String::as_str).chain(["--", program]).chain(arguments.iter().copied());
            return call(SYSTEMD_RUN, &words.collect::<Vec<_>>(), until);
        }
        Some(Confinement::Landlock) | None => {}
    }
    let arguments: Vec<String> = arguments.iter().map(|argument| (*argument).to_owned()).collect();
    // A thread of its own, because what it loses it never gets back.
    let work = move || {
        let read = AccessFs::ReadFile | AccessFs::ReadDir | AccessFs::Execute;
        let device = AccessFs::ReadFile | AccessFs::WriteFile;
        restrict(&[(&["/"], read), (&DEVICES, device), (&scratch(program), AccessFs::from_all(RIGHTS))])
            .map_err(|reason| format!("{program} is not called, because it cannot be confined: {reason}"))?;
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        call(program, &arguments, until)
    };
    let thread = std::thread::Builder::new().name("reader".to_owned()).spawn(work);
    let thread = thread.map_err(|error| format!("starting {program}: {error}"))?;
    thread.join().unwrap_or_else(|_| Err(format!("calling {program}: its thread ended")))
}

fn restrict(allowed: &[(&[&str], BitFlags<AccessFs>)]) -> Result<(), String> {
    let fail = |error: RulesetError| format!("Landlock: {error}");
    let mut rules =
        Ruleset::default().handle_access(AccessFs::from_all(RIGHTS)).map_err(fail)?.create().map_err(fail)?;
    for (paths, access) in allowed {
        // Folders that are not there need no rule.
        rules = rules.add_rules(path_beneath_rules(paths.iter(), *access)).map_err(fail)?;
    }
    match rules.restrict_self().map_err(fail)?.ruleset {
        RulesetStatus::NotEnforced => Err("this kernel has no Landlock".to_owned()),
        RulesetStatus::FullyEnforced | RulesetStatus::PartiallyEnforced => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn without_anything_to_confine_with_the_agent_does_not_start_unless_its_owner_says_so() {
        let none = || Err("this kernel has no Landlock".to_owned());
        for (landlock, systemd, unconfined, chosen) in [
            (Ok(()), false, false, Some(Confinement::Landlock)),
            (Ok(()), true, true, Some(Confinement::Landlock)),
            (none(), true, false, Some(Confinement::Systemd)),
            (none(), true, true, Some(Confinement::Systemd)),
            (none(), false, true, Some(Confinement::Nothing)),
            (none(), false, false, None),
        ] {
            let found = choose(landlock, systemd, unconfined);
            assert_eq!(found.clone().ok(), chosen);
            assert!(chosen.is_some() || found.unwrap_err().contains("--unconfined"));
        }
    }

    #[test]
    fn a_unit_changes_nothing_but_its_own_folders_and_has_no_rights() {
        let net = network_unit(Some((65534, 65534)));
        for word in ["--property=ProtectSystem=strict", "--property=CapabilityBoundingSet=", "--uid=65534", "--pipe"] {
            assert!(net.iter().any(|argument| argument == word), "{word}: {net:?}");
        }
        assert!(!net.iter().any(|argument| argument.contains("ReadWritePaths")), "{net:?}");
        let reader = reader_unit("/usr/sbin/sshd", 60);
        for word in ["ReadOnlyPaths=/run", "SystemCallFilter=~@mount", "PrivateNetwork=yes", "RuntimeMaxSec=60"] {
            assert!(reader.iter().any(|argument| *argument == format!("--property={word}")), "{word}: {reader:?}");
        }
        assert!(reader.iter().any(|argument| argument.contains("=~CAP_SYS_ADMIN CAP_SYS_PTRACE")), "{reader:?}");
        let writable = |program| -> Vec<String> {
            let words = reader_unit(program, 60);
            words
                .iter()
                .filter_map(|word| word.strip_prefix("--property=ReadWritePaths=-").map(str::to_owned))
                .collect()
        };
        for program in ["/usr/sbin/sshd", "/usr/sbin/visudo", "/usr/bin/named-checkconf"] {
            assert_eq!(writable(program), TEMPORARY, "{program} keeps nothing");
        }
        assert!(writable("/usr/bin/testparm").contains(&"/run/samba".to_owned()));
        for (program, _) in OWN {
            for folder in writable(program) {
                assert!(!["/run", "/proc", "/dev", "/etc", "/var"].contains(&folder.as_str()), "{program}: {folder}");
                assert!(!folder.starts_with("/run/systemd") && !folder.starts_with("/proc/"), "{program}: {folder}");
            }
        }
    }

    #[test]
    fn a_confined_thread_and_what_it_starts_change_nothing_and_others_do() {
        let folder = tempfile::tempdir_in(env!("CARGO_MANIFEST_DIR")).unwrap();
        let file = folder.path().join("file");
        fs::write(&file, "before").unwrap();
        let inner = file.clone();
        let confined = std::thread::spawn(move || {
            if let Err(reason) = network_half() {
                skip::skipped("confine::a_confined_thread", &reason);
                return false;
            }
            assert!(fs::write(&inner, "after").is_err() && fs::remove_file(&inner).is_err());
            assert!(fs::read_to_string("/etc/passwd").is_ok(), "names are resolved");
            assert!(fs::read_to_string("/proc/self/environ").is_err());
            assert!(std::process::Command::new("/bin/sh").args(["-c", "true"]).status().is_err());
            true
        });
        if !confined.join().unwrap() {
            return;
        }
        let script = format!("cat {0} && echo after > {0}", file.display());
        let said = call_reader("/bin/sh", &["-c", &script], Deadline::NEVER).unwrap();
        assert!(!said.ok && said.text.starts_with("before"), "{said:?}");
        assert!(
            call_reader(
                "/bin/sh",
                &["-c", "echo x > /tmp/quell-confine-test && rm /tmp/quell-confine-test"],
                Deadline::NEVER
            )
            .unwrap()
            .ok
        );
        assert_eq!(fs::read_to_string(&file).unwrap(), "before");
        fs::write(&file, "after").unwrap();
    }

    #[test]
    fn a_validator_writes_neither_to_the_kernel_nor_to_the_service_manager_nor_to_devices() {
        if std::thread::spawn(network_half).join().unwrap().is_err() {
            skip::skipped("confine::a_validator_writes_neither", "this kernel has no Landlock");
            return;
        }
        // Opening is enough to tell, and changes nothing where it is allowed after all.
        let opens = |path: &str| {
            let script = format!(": >> {path}");
            let free = std::process::Command::new("/bin/sh").args(["-c", &script]).status().unwrap().success();
            (free, call_reader("/bin/sh", &["-c", &script], Deadline::NEVER).unwrap().ok)
        };
        // Everybody may write to these, so it is the confinement that refuses.
        for path in ["/proc/self/comm", "/proc/self/oom_score_adj"] {
            assert_eq!(opens(path), (true, false), "{path}");
        }
        for path in ["/dev/null", "/dev/zero", "/dev/full"] {
            assert_eq!(opens(path), (true, true), "{path}");
        }
        for path in ["/proc/sys/kernel/core_pattern", "/proc/sys/kernel/modprobe", "/dev/kmsg", "/dev/mem"] {
            assert!(!opens(path).1, "{path}");
        }
        let name = format!("quell-confine-{}", std::process::id());
        for folder in ["/run", "/run/systemd/system", "/run/udev/rules.d", "/dev/shm", "/dev", "/var/log"] {
            let path = format!("{folder}/{name}");
            let said = call_reader("/bin/sh", &["-c", &format!("echo x > {path}")], Deadline::NEVER).unwrap();
            assert!(!said.ok && !Path::new(&path).exists(), "{path}: {said:?}");
        }
        let wanted =
            call_reader("/bin/sh", &["-c", "cat /proc/sys/kernel/osrelease && test -w /dev/null"], Deadline::NEVER)
                .unwrap();
        assert!(wanted.ok && !wanted.text.is_empty(), "it reads the kernel's values: {wanted:?}");
    }
}

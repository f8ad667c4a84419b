//! Taking files away from the parts of the agent that read what strangers wrote: the network half, and the programs that check
//! a configuration. By Landlock, for the calling thread and everything it starts, for ever.
//!
//! The executor itself is not confined here: changing files below `/etc` and permission bits below `/usr` is its work, and what it
//! may touch is decided per kind. The unit file (`docs/quell-agent.service`) takes from all parts what none of them needs.

use crate::host::{Said, call};
use landlock::{
    ABI, Access as _, AccessFs, BitFlags, Ruleset, RulesetAttr as _, RulesetCreatedAttr as _, RulesetError,
    RulesetStatus, path_beneath_rules,
};
use std::sync::Once;

/// What the network half reads after its start: how names are resolved, and the libraries that do it.
const RESOLVING: [&str; 6] = ["/etc", "/usr", "/lib", "/lib64", "/run", "/var/lib/sss"];
/// Where programs that check a configuration may keep their own things.
const SCRATCH: [&str; 9] = [
    "/dev",
    "/proc",
    "/run",
    "/tmp",
    "/var/tmp",
    "/var/log",
    "/var/spool/postfix",
    "/var/lib/postfix",
    "/var/cache/samba",
];
/// The rights that are taken away; later ones of the kernel's are left alone.
const RIGHTS: ABI = ABI::V4;

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
/// configuration or a program. Where the kernel does not support that, it is called as it is, and this is said once.
///
/// # Errors
/// See [`call`].
pub fn call_reader(program: &'static str, arguments: &[&str]) -> Result<Said, String> {
    let arguments: Vec<String> = arguments.iter().map(|argument| (*argument).to_owned()).collect();
    // A thread of its own, because what it loses it never gets back.
    let work = move || {
        let read = AccessFs::ReadFile | AccessFs::ReadDir | AccessFs::Execute;
        if let Err(reason) = restrict(&[(&["/"], read), (&SCRATCH, AccessFs::from_all(RIGHTS))]) {
            static SAID: Once = Once::new();
            SAID.call_once(|| tracing::warn!("programs that check a configuration are not confined: {reason}"));
        }
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        call(program, &arguments)
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
        let said = call_reader("/bin/sh", &["-c", &script]).unwrap();
        assert!(!said.ok && said.text.starts_with("before"), "{said:?}");
        assert!(
            call_reader("/bin/sh", &["-c", "echo x > /tmp/quell-confine-test && rm /tmp/quell-confine-test"])
                .unwrap()
                .ok
        );
        assert_eq!(fs::read_to_string(&file).unwrap(), "before");
        fs::write(&file, "after").unwrap();
    }
}

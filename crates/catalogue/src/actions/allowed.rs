//! Where actions may write at all, whatever an entry says: compiled in, asked by the parser and again by agents.

/// Whether an action kind may write to this path (catalogue README 3, "safety rails"): configuration below `/etc` for settings
/// and drop-ins, without the files that decide who may log in at all; programs below `/usr`, `/bin`, `/sbin` and `/opt` for
/// permission bits.
#[must_use]
pub fn allowed_path(kind: &str, path: &str) -> bool {
    const NEVER: [&str; 14] = [
        "/etc/passwd",
        "/etc/passwd-",
        "/etc/shadow",
        "/etc/shadow-",
        "/etc/group",
        "/etc/group-",
        "/etc/gshadow",
        "/etc/gshadow-",
        "/etc/sudoers",
        "/etc/fstab",
        "/etc/machine-id",
        "/etc/ld.so.preload",
        "/etc/ld.so.conf",
        "/etc/crypttab",
    ];
    const NEVER_BELOW: [&str; 5] = ["/etc/cron", "/etc/systemd/", "/etc/init", "/etc/profile", "/etc/quell"];
    let below = |prefixes: &[&str]| prefixes.iter().any(|prefix| path.starts_with(prefix));
    match kind {
        "file.setting" | "file.dropin" => below(&["/etc/"]) && !NEVER.contains(&path) && !below(&NEVER_BELOW),
        "file.xml" => {
            below(&["/etc/", "/opt/"]) && path.ends_with(".xml") && !NEVER.contains(&path) && !below(&NEVER_BELOW)
        }
        "file.mode" => below(&["/usr/", "/bin/", "/sbin/", "/opt/"]),
        "archive.member_absent" => {
            let whole =
                |folder: &str| path == folder || path.strip_prefix(folder).is_some_and(|rest| rest.starts_with('/'));
            ["/opt", "/srv", "/home", "/usr/share", "/usr/local", "/usr/lib", "/var/lib"].into_iter().any(whole)
        }
        _ => false,
    }
}

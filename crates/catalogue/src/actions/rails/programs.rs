//! Which programs and libraries keep their permission bits. Setuid and setgid may go nearly everywhere: that is what mitigations
//! take away. Without its execute bits a program is gone, and without some nobody comes in or nothing starts.

use super::super::file::{FileMode, ModeBit, ModeChange};
use crate::text::PathPattern;

/// Programs without which people cannot work on a machine they are logged in to: all of their bits stay.
const SHELLS: [&str; 6] = ["/bin/sh", "/bin/bash", "/usr/bin/sh", "/usr/bin/bash", "/bin/dash", "/usr/bin/dash"];
/// Programs that become root for people, and do nothing without their setuid bit, wherever they are.
const BECOME_ROOT: [&str; 5] = ["doas", "su", "su-rs", "sudo", "sudo-rs"];
/// Programs that have to be run for people to come in and for the machine to start, wherever they are.
const VITAL: [&str; 24] = [
    "NetworkManager",
    "agetty",
    "bash",
    "busybox",
    "dash",
    "dhclient",
    "dhcpcd",
    "doas",
    "getty",
    "init",
    "ip",
    "kmod",
    "ksh",
    "login",
    "mingetty",
    "modprobe",
    "mount",
    "nslcd",
    "sh",
    "su",
    "su-rs",
    "udevadm",
    "wpa_supplicant",
    "zsh",
];
/// How the names of further such files begin: the loader of every program, the C library, sshd with its parts, sudo, systemd, D-Bus.
const VITAL_BEGIN: [&str; 11] =
    ["dbus-", "dropbear", "ld-", "ld.so", "ld64.so", "libc", "quell", "sshd", "sssd", "sudo", "systemd"];

/// The rail that a change of permission bits breaks, and why.
pub(super) fn kept(mode: &FileMode) -> Option<(&'static str, &'static str)> {
    let FileMode { path, change } = mode;
    let shell = SHELLS.iter().any(|shell| covers(path, shell));
    if shell || BECOME_ROOT.iter().any(|name| matches(path, name)) {
        return Some(("own-shell", "taking this away locks people out"));
    }
    if !takes_exec(change) {
        return None;
    }
    if VITAL.iter().any(|name| matches(path, name)) || VITAL_BEGIN.iter().any(|start| may_begin(path, start)) {
        Some(("vital-program", "nobody comes in or nothing starts without it; only suid and sgid may be cleared there"))
    } else if is_of_libraries(path.folder()) && !takes_setuid(change) {
        Some(("vital-program", "libraries and parts of services lie there; clear suid or sgid instead"))
    } else {
        None
    }
}

/// Whether a change can take execute bits away: it names them, or sets all bits.
#[must_use]
pub fn takes_exec(change: &ModeChange) -> bool {
    match change {
        ModeChange::Clear(bits) => bits.contains(&ModeBit::Exec),
        ModeChange::Set(_) => true,
    }
}

/// Whether a folder, or a file by its path, is below one of libraries: `/lib…`, `/usr/lib…`, `/usr/local/lib…`.
#[must_use]
pub fn is_of_libraries(path: &str) -> bool {
    ["/lib", "/usr/lib", "/usr/local/lib"].iter().any(|folder| path.starts_with(folder))
}

/// Whether the entry itself says that what it covers is setuid or setgid.
fn takes_setuid(change: &ModeChange) -> bool {
    matches!(change, ModeChange::Clear(bits) if bits.contains(&ModeBit::Suid) || bits.contains(&ModeBit::Sgid))
}

/// Whether a pattern stands for a file.
fn covers(pattern: &PathPattern, file: &str) -> bool {
    file.rsplit_once('/').is_some_and(|(folder, name)| folder == pattern.folder() && matches(pattern, name))
}

/// Whether a pattern's last part stands for a name.
fn matches(pattern: &PathPattern, name: &str) -> bool {
    if pattern.is_wild() { pattern.matches_name(name) } else { pattern.name() == name }
}

/// Whether a pattern's last part may stand for a name that begins so.
fn may_begin(pattern: &PathPattern, start: &str) -> bool {
    let own = pattern.name().split('*').next().unwrap_or_default();
    own.starts_with(start) || (pattern.is_wild() && start.starts_with(own))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_vital_file_keeps_what_it_cannot_do_without() {
        let (own, vital) = (Some("own-shell"), Some("vital-program"));
        for (path, change, rail) in [
            ("/usr/bin/pkexec", "suid", None),
            ("/usr/lib/openssh/ssh-keysign", "suid", None),
            ("/usr/lib/polkit-1/polkit-agent-helper-1", "suid,exec", None),
            ("/usr/lib/x86_64-linux-gnu/utempter/utempter", "sgid", None),
            ("/usr/sbin/sshd", "suid", None),
            ("/usr/bin/*", "suid", own),
            ("/usr/bin/sudo", "suid", own),
            ("/usr/lib/cargo/bin/sudo", "suid", own),
            ("/opt/x/su", "0755", own),
            ("/bin/*sh", "sgid", own),
            ("/usr/bin/scp", "exec", None),
            ("/usr/bin/scp", "0644", None),
            ("/usr/bin/pk*", "exec", None),
            ("/opt/app/bin/tool", "exec", None),
            ("/usr/sbin/sshd", "exec", vital),
            ("/usr/sbin/ssh*", "exec", vital),
            ("/usr/sbin/s*", "exec", own),
            ("/usr/sbin/*d", "exec", vital),
            ("/usr/libexec/openssh/sshd-session", "suid,exec", vital),
            ("/usr/bin/login", "exec", vital),
            ("/sbin/agetty", "0000", vital),
            ("/sbin/init", "0644", vital),
            ("/usr/lib/systemd/systemd", "suid,exec", vital),
            ("/usr/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2", "0644", vital),
            ("/usr/lib64/libc.so.6", "0644", vital),
            ("/usr/lib64/libpam.so.0", "0600", vital),
            ("/usr/lib/openssh/sftp-server", "exec", vital),
            ("/usr/local/lib/x.so", "0600", vital),
            ("/usr/bin/bash", "exec", own),
            ("/usr/local/bin/bash", "exec", vital),
        ] {
            let text = match change.starts_with('0') {
                true => format!("mode = \"{change}\""),
                false => format!("clear = [\"{}\"]", change.replace(',', "\", \"")),
            };
            let mode: FileMode = toml::from_str(&format!("path = \"{path}\"\n{text}\n")).unwrap();
            assert_eq!(kept(&mode).map(|(rail, _)| rail), rail, "{path} {change}");
        }
    }
}

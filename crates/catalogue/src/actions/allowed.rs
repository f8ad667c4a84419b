//! Where actions may write at all, whatever an entry says: compiled in, asked by the parser and again by agents.

/// Whether an action kind may write to this path (catalogue README 3, "safety rails"): configuration below `/etc` for settings
/// and drop-ins, without the files that decide who may log in at all; programs below `/usr`, `/bin`, `/sbin` and `/opt` for
/// permission bits.
#[must_use]
pub fn allowed_path(kind: &str, path: &str) -> bool {
    const NEVER: [&str; 21] = [
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
        "/etc/hosts.allow",
        "/etc/hosts.deny",
        "/etc/modprobe.conf",
        "/etc/modules",
        "/etc/nologin",
        "/etc/shells",
        "/etc/sysctl.conf",
    ];
    // Folders whose files are programs, or say which programs run as root, and that no entry needs; and those in which kinds with
    // rails of their own write, which ask nothing here.
    const NEVER_BELOW: [&str; 35] = [
        "/etc/cron",
        "/etc/systemd/",
        "/etc/init",
        "/etc/profile",
        "/etc/quell",
        "/etc/rc",
        "/etc/bash",
        "/etc/zsh",
        "/etc/pam",
        "/etc/ld.so",
        "/etc/udev/",
        "/etc/update-motd.d/",
        "/etc/logrotate",
        "/etc/NetworkManager/",
        "/etc/network/",
        "/etc/dhcp/",
        "/etc/ppp/",
        "/etc/kernel/",
        "/etc/grub.d/",
        "/etc/X11/Xsession",
        "/etc/xdg/autostart/",
        "/etc/ssh/sshrc",
        "/etc/at.",
        "/etc/dkms/",
        "/etc/security/",
        "/etc/default/grub",
        "/etc/dracut.conf",
        "/etc/firewalld/",
        "/etc/initramfs-tools/",
        "/etc/modprobe.d/",
        "/etc/modules-load.d/",
        "/etc/netplan/",
        "/etc/nftables",
        "/etc/sysctl.d/",
        "/etc/tmpfiles.d/",
    ];
    let below = |prefixes: &[&str]| prefixes.iter().any(|prefix| path.starts_with(prefix));
    match kind {
        "file.setting" | "file.dropin" | "file.list_setting" | "file.setting_absent" => {
            below(&["/etc/"]) && !NEVER.contains(&path) && !below(&NEVER_BELOW)
        }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::actions::FileBits;

    #[test]
    fn folders_of_programs_and_of_log_in_are_out_of_reach() {
        for path in [
            "/etc/shadow",
            "/etc/cron.d/x",
            "/etc/systemd/system/x.service",
            "/etc/update-motd.d/00-x",
            "/etc/udev/rules.d/x.rules",
            "/etc/pam.d/sshd",
            "/etc/ld.so.conf.d/x.conf",
            "/etc/bash.bashrc",
            "/etc/NetworkManager/dispatcher.d/x",
            "/etc/NetworkManager/conf.d/x.conf",
            "/etc/modprobe.d/x.conf",
            "/etc/modprobe.conf",
            "/etc/modules-load.d/x.conf",
            "/etc/sysctl.d/x.conf",
            "/etc/sysctl.conf",
            "/etc/nologin",
            "/etc/hosts.deny",
            "/etc/default/grub",
            "/etc/default/grub.d/x.cfg",
            "/etc/dracut.conf.d/x.conf",
            "/etc/tmpfiles.d/x.conf",
            "/etc/netplan/x.yaml",
            "/etc/nftables.conf",
            "/usr/bin/x",
        ] {
            for kind in ["file.dropin", "file.setting", "file.list_setting", "file.setting_absent"] {
                assert!(!allowed_path(kind, path), "{kind} {path}");
            }
        }
        for path in ["/etc/ssh/sshd_config.d/x.conf", "/etc/default/x", "/etc/resolv.conf", "/etc/hosts"] {
            assert!(allowed_path("file.dropin", path), "{path}");
        }
        assert!(!allowed_path("file.mode", "/etc/shadow"));
    }

    #[test]
    fn no_entry_hands_out_setuid_setgid_or_write_for_everybody() {
        for mode in ["4755", "2755", "6755", "0666", "0777", "0002", "755", "08", "0888"] {
            assert!(mode.parse::<FileBits>().is_err(), "{mode}");
        }
        for mode in ["0644", "0440", "0755", "1755"] {
            assert_eq!(mode.parse::<FileBits>().map(|bits| bits.to_string()), Ok(mode.to_owned()));
        }
    }
}

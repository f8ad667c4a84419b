//! Tests of [`super`]: what breaks a rail, what does not, and that no entry of ours does.

use super::*;
use crate::embedded;

fn action(text: &str) -> Action {
    toml::from_str(text).unwrap_or_else(|error| panic!("{text}: {error}"))
}

fn rail(text: &str) -> Option<&'static str> {
    breach(&action(text)).map(|breach| breach.rail)
}

fn service(name: &str, start: &str) -> String {
    let running = matches!(start, "auto" | "manual");
    format!("kind = \"service.state\"\nname = \"{name}\"\nrunning = {running}\nstart = \"{start}\"\n")
}

fn rule(direction: &str, protocol: &str, ports: &str, condition: &str) -> String {
    format!(
        "kind = \"firewall.rule\"\nname = \"a-rule\"\ndirection = \"{direction}\"\nprotocol = \"{protocol}\"\nports = {ports}\n\
         remote = \"any\"\naction = \"drop\"\n{condition}"
    )
}

#[test]
fn no_embedded_entry_breaks_a_rail() {
    let entries = embedded::entries().unwrap_or_else(|(path, error)| panic!("{path}: {error}"));
    assert!(entries.iter().any(|entry| entry.actions.iter().any(|of| matches!(of, Action::ServiceState(_)))));
    for entry in entries {
        assert_eq!(breaches(&entry), [], "{}", entry.id);
    }
}

#[test]
fn units_by_which_people_or_the_agent_come_in_are_never_stopped() {
    for name in [
        "ssh",
        "ssh.socket",
        "sshd@.service",
        "systemd-resolved",
        "systemd-resolved.service",
        "dhcpcd",
        "dhcpcd@eth0.service",
        "wpa_supplicant@wlan0",
        "NetworkManager",
        "systemd-networkd.socket",
        "dbus-org.freedesktop.resolve1.service",
        "getty@tty1",
        "multi-user.target",
        "quell-agent",
        "systemd-user-sessions",
        "systemd-udevd",
        "systemd-udevd-control.socket",
        "user@0",
        "dropbear.socket",
        "dropbear@1",
        "nslcd",
        "winbind",
        "sssd",
        "sssd-nss.socket",
        "sssd-pam-priv.socket",
        "openvpn",
        "openvpn-client@office",
        "openvpn-server@office",
        "strongswan",
        "ipsec",
        "tailscaled",
        "wg-quick@wg0",
    ] {
        assert_eq!(rail(&service(name, "masked")), Some("own-access"), "{name}");
        assert_eq!(rail(&service(name, "disabled")), Some("own-access"), "{name}");
        assert_eq!(rail(&service(name, "auto")), None, "{name} may run");
    }
    for name in ["cups-browsed.service", "rpcbind", "telnet.socket", "sshguard", "NetworkManager-wait-online"] {
        assert_eq!(rail(&service(name, "masked")), None, "{name}");
    }
}

#[test]
fn packages_programs_modules_and_limits_that_a_machine_needs_stay() {
    let package =
        |want, name| format!("kind = \"package.state\"\nwant = \"{want}\"\nnames = {{ apt = [\"{name}\"] }}\n");
    for name in ["openssh-server", "systemd-resolved", "network-manager", "linux-image-amd64", "quell-agent"] {
        assert_eq!(rail(&package("absent", name)), Some("own-access"), "{name}");
        assert_eq!(rail(&package("present", name)), None, "{name}");
    }
    assert_eq!(rail(&package("absent", "telnetd")), None);
    let mode = |path| format!("kind = \"file.mode\"\npath = \"{path}\"\nclear = [\"suid\"]\n");
    for path in ["/usr/bin/sudo", "/usr/bin/su*", "/bin/*sh"] {
        assert_eq!(rail(&mode(path)), Some("own-shell"), "{path}");
    }
    assert_eq!(rail(&mode("/usr/bin/pk*")), None);
    assert_eq!(rail(&mode("/usr/sbin/sshd").replace("suid", "exec")), Some("vital-program"));
    let cmdline = |param| format!("kind = \"kernel.cmdline\"\nparam = \"{param}\"\n");
    for param in ["module_blacklist=virtio_net", "maxcpus=0", "ipv6.disable=1", "systemd.unit=x", "root=x", "init=x"] {
        assert_eq!(rail(&cmdline(param)), Some("boot-parameter"), "{param}");
    }
    assert_eq!(rail(&cmdline("gather_data_sampling=force")), None);
    let module = |name| format!("kind = \"kernel.module\"\nname = \"{name}\"\nblocked = true\n");
    for name in [
        "virtio_net",
        "net_failover",
        "nvme_core",
        "jbd2",
        "libata",
        "hv_vmbus",
        "xen_blkfront",
        "megaraid_sas",
        "mpt3sas",
        "ixgbevf",
        "gve",
        "dm_crypt",
        "scsi_mod",
    ] {
        assert_eq!(rail(&module(name)), Some("vital-module"), "{name}");
    }
    assert!(is_vital_module("dm-crypt"), "the other spelling");
    assert_eq!(rail(&module("dccp")), None);
    let sysctl = |key| format!("kind = \"kernel.sysctl\"\nkey = \"{key}\"\nop = \"le\"\nvalue = 0\n");
    for key in [
        "kernel.pid_max",
        "fs.file-max",
        "vm.overcommit_memory",
        "vm.overcommit_kbytes",
        "vm.nr_hugepages",
        "kernel.pty.max",
        "kernel.modules_disabled",
    ] {
        assert_eq!(rail(&sysctl(key)), Some("vital-sysctl"), "{key}");
    }
    assert_eq!(rail(&sysctl("net.ipv6.conf.all.disable_ipv6")), None, "that depends on the host: it is proven there");
}

#[test]
fn a_match_of_usual_sizes_narrows_nothing_down() {
    let mss = |last: u16| format!("match = \"syn and mss 1-{last}\"\n");
    for (text, broken) in [
        (rule("in", "tcp", "[]", &mss(500)), false),
        (rule("in", "tcp", "[]", &mss(535)), false),
        (rule("in", "tcp", "[]", &mss(536)), true),
        (rule("out", "tcp", "[]", &mss(65535)), true),
        (rule("in", "tcp", "[\"1-1024\"]", &mss(65535)), true),
        (rule("in", "tcp", "[\"1-1024\"]", &mss(500)), false),
        (rule("in", "tcp", "[\"1-1024\"]", ""), true),
        (rule("in", "tcp", "[\"22\"]", ""), false),
        (rule("out", "tcp", "[\"1-1024\"]", ""), false),
        (rule("in", "udp", "[\"1-1024\"]", ""), false),
    ] {
        assert_eq!(rail(&text).is_some(), broken, "{text}");
    }
}

#[test]
fn a_restart_of_what_carries_the_network_has_to_be_proven() {
    let restarts =
        |names: &[&str]| restarts_access(&names.iter().map(|name| name.parse().unwrap()).collect::<Vec<_>>());
    for name in ["sshd", "ssh", "systemd-networkd", "named", "wg-quick@wg0"] {
        assert!(restarts(&["postfix", name]), "{name}");
    }
    assert!(!restarts(&["postfix", "smbd", "apache2"]) && !restarts(&[]));
}

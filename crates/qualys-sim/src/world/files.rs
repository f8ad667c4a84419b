//! Writes the files of one demo host below a root folder.

use super::{Plan, packages};
use crate::hosts::Host;
use crate::os::Os;
use crate::roll::Roll;
use crate::weakness::{self, Safeguard};
use std::fs;
use std::io;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

/// A folder being filled.
struct Root<'a> {
    path: &'a Path,
}

impl Root<'_> {
    fn file(&self, name: &str, mode: u32, text: &str) -> io::Result<()> {
        let path = self.path.join(name);
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder)?;
        }
        if path.symlink_metadata().is_ok() {
            fs::remove_file(&path)?;
        }
        fs::write(&path, text)?;
        fs::set_permissions(&path, fs::Permissions::from_mode(mode))
    }

    fn link(&self, name: &str, target: &str) -> io::Result<()> {
        let path = self.path.join(name);
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder)?;
        }
        if path.symlink_metadata().is_ok() {
            fs::remove_file(&path)?;
        }
        symlink(target, path)
    }

    fn folder(&self, name: &str) -> io::Result<()> {
        fs::create_dir_all(self.path.join(name))
    }
}

/// Writes everything.
pub(super) fn write(path: &Path, host: &Host, plan: &Plan) -> io::Result<()> {
    let root = Root { path };
    identity(&root, host)?;
    os_release(&root, plan.os)?;
    package_database(&root, plan)?;
    ssh(&root, plan)?;
    kernel(&root, host, plan)?;
    modules(&root, plan)?;
    services(&root, plan)?;
    running(&root)?;
    programs(&root, plan)
}

fn identity(root: &Root<'_>, host: &Host) -> io::Result<()> {
    root.file("etc/hostname", 0o644, &format!("{}\n", host.name))?;
    let hosts = format!("127.0.0.1\tlocalhost\n127.0.1.1\t{}\t{}\n{}\t{}\n", host.fqdn, host.name, host.ip, host.fqdn);
    root.file("etc/hosts", 0o644, &hosts)?;
    root.file("etc/machine-id", 0o444, &format!("{}\n", host.machine_id))?;
    root.file("etc/timezone", 0o644, &format!("{}\n", host.time_zone))?;
    root.link("etc/localtime", &format!("/usr/share/zoneinfo/{}", host.time_zone))?;
    root.file("sys/class/net/eth0/address", 0o444, &format!("{}\n", host.mac))?;
    root.file("sys/class/net/lo/address", 0o444, "00:00:00:00:00:00\n")?;
    root.file("proc/net/fib_trie", 0o444, &local_addresses(host))?;
    root.file("proc/net/if_inet6", 0o444, "00000000000000000000000000000001 01 80 10 80       lo\n")?;
    if let Some(uuid) = host.agent_uuid {
        root.file("etc/qualys/hostid", 0o600, &format!("{uuid}\n"))?;
    }
    root.file(
        "etc/passwd",
        0o644,
        "root:x:0:0:root:/root:/bin/bash\nops:x:1000:1000:Operations:/home/ops:/bin/bash\n",
    )?;
    root.file("etc/group", 0o644, "root:x:0:\nsudo:x:27:ops\nops:x:1000:\n")
}

/// The kernel's list of local addresses, in the form of its routing tree.
fn local_addresses(host: &Host) -> String {
    let leaf = |ip: &str| format!("           |-- {ip}\n              /32 host LOCAL\n");
    format!("Local:\n  +-- 0.0.0.0/0 3 0 5\n{}{}", leaf(&host.ip.to_string()), leaf("127.0.0.1"))
}

fn os_release(root: &Root<'_>, os: Os) -> io::Result<()> {
    let (id, version) = os.release();
    let name = if id == "debian" { "Debian GNU/Linux" } else { "Ubuntu" };
    let code = os.codename();
    let text = format!(
        "PRETTY_NAME=\"{name} {version} ({code})\"\nNAME=\"{name}\"\nVERSION_ID=\"{version}\"\nVERSION=\"{version} ({code})\"\n\
         VERSION_CODENAME={code}\nID={id}\n{}",
        if id == "ubuntu" { "ID_LIKE=debian\n" } else { "" },
    );
    root.file("usr/lib/os-release", 0o644, &text)?;
    root.link("etc/os-release", "../usr/lib/os-release")?;
    let debian = if id == "debian" { format!("{version}.1\n") } else { format!("{code}/sid\n") };
    root.file("etc/debian_version", 0o644, &debian)
}

fn package_database(root: &Root<'_>, plan: &Plan) -> io::Result<()> {
    let mut stanzas: Vec<(String, String)> = packages::ORDINARY
        .iter()
        .map(|(name, version, about)| ((*name).to_owned(), stanza(name, version, about)))
        .chain(plan.packages.iter().map(|(name, version)| (name.clone(), stanza(name, version, "part of this server"))))
        .collect();
    stanzas.sort();
    let text: Vec<String> = stanzas.into_iter().map(|(_, stanza)| stanza).collect();
    root.file("var/lib/dpkg/status", 0o644, &(text.join("\n") + "\n"))?;
    for folder in ["var/lib/dpkg/updates", "var/lib/dpkg/triggers", "var/lib/dpkg/info", "var/log"] {
        root.folder(folder)?;
    }
    root.file("var/lib/dpkg/available", 0o644, "")?;
    root.file("var/lib/dpkg/info/format", 0o644, "1\n")?;
    let names = packages::ORDINARY.iter().map(|(name, _, _)| *name).chain(plan.packages.keys().map(String::as_str));
    for name in names {
        let owned = match name {
            "inetutils-telnetd" => "/usr\n/usr/sbin\n/usr/sbin/telnetd\n",
            "openssh-server" => "/usr\n/usr/sbin\n/usr/sbin/sshd\n",
            _ => "",
        };
        root.file(&format!("var/lib/dpkg/info/{name}.list"), 0o644, &format!("/.\n{owned}"))?;
    }
    Ok(())
}

fn stanza(name: &str, version: &str, about: &str) -> String {
    let section = if name.starts_with("linux-image") { "kernel" } else { "admin" };
    format!(
        "Package: {name}\nStatus: install ok installed\nPriority: optional\nSection: {section}\nInstalled-Size: 1024\n\
         Maintainer: Operations <ops@example.invalid>\nArchitecture: amd64\nVersion: {version}\nDescription: {about}\n"
    )
}

fn ssh(root: &Root<'_>, plan: &Plan) -> io::Result<()> {
    let grace = if plan.grace_in_dropin { "#LoginGraceTime 2m" } else { "LoginGraceTime 2m" };
    let root_login = if plan.root_login { "PermitRootLogin yes" } else { "PermitRootLogin no" };
    let x11 = if plan.x11 { "X11Forwarding yes" } else { "X11Forwarding no" };
    let server = format!(
        "# Configuration of the SSH server, see sshd_config(5).\n\nInclude /etc/ssh/sshd_config.d/*.conf\n\nPort 22\nAddressFamily any\n\n\
         # Authentication:\n{grace}\n{root_login}\nStrictModes yes\nMaxAuthTries 6\nPubkeyAuthentication yes\nKbdInteractiveAuthentication no\n\
         UsePAM yes\n\n{x11}\nPrintMotd no\nAcceptEnv LANG LC_*\nSubsystem\tsftp\t/usr/lib/openssh/sftp-server\n\n\
         # Backups come in with their own rules.\nMatch User backup\n\tPasswordAuthentication no\n\tForceCommand internal-sftp\n"
    );
    root.file("etc/ssh/sshd_config", 0o644, &server)?;
    root.folder("etc/ssh/sshd_config.d")?;
    if plan.grace_in_dropin {
        root.file(
            "etc/ssh/sshd_config.d/40-login.conf",
            0o644,
            "# kept short for the jump hosts\nLoginGraceTime 60\n",
        )?;
    }
    root.file("etc/ssh/sshd_config.d/50-audit.conf", 0o600, "LogLevel VERBOSE\nClientAliveInterval 300\n")?;
    root.folder("etc/ssh/ssh_config.d")?;
    let client = "# System-wide client settings, see ssh_config(5).\nInclude /etc/ssh/ssh_config.d/*.conf\n\nHost *\n    SendEnv LANG LC_*\n\
                  \x20   HashKnownHosts yes\n    GSSAPIAuthentication yes\n";
    root.file("etc/ssh/ssh_config", 0o644, client)
}

/// Kernel settings as they are in force: the weak value of every rule, and a few others.
fn kernel(root: &Root<'_>, host: &Host, plan: &Plan) -> io::Result<()> {
    let mut settings = vec![
        ("kernel.osrelease", plan.kernel.to_owned()),
        ("kernel.hostname", host.name.clone()),
        ("kernel.dmesg_restrict", "0".to_owned()),
        ("kernel.unprivileged_bpf_disabled", "0".to_owned()),
        ("kernel.randomize_va_space", "2".to_owned()),
        ("kernel.random.boot_id", Roll::new(host.id, &[80]).uuid().to_string()),
        ("fs.suid_dumpable", "2".to_owned()),
        ("fs.protected_symlinks", "1".to_owned()),
        ("net.ipv4.tcp_sack", "1".to_owned()),
        ("net.ipv4.ip_forward", "0".to_owned()),
        ("net.ipv4.ipfrag_low_thresh", "3145728".to_owned()),
        ("net.ipv4.ipfrag_high_thresh", "4194304".to_owned()),
        ("net.ipv6.ip6frag_low_thresh", "3145728".to_owned()),
        ("net.ipv6.ip6frag_high_thresh", "4194304".to_owned()),
        ("user.max_user_namespaces", "63434".to_owned()),
    ];
    if plan.os != Os::Ubuntu1604 {
        settings.push(("kernel.unprivileged_userns_clone", "1".to_owned()));
    }
    for (key, value) in settings {
        root.file(&format!("proc/sys/{}", key.replace('.', "/")), 0o644, &format!("{value}\n"))?;
    }
    root.file("proc/version", 0o444, &format!("Linux version {} (build@example.invalid) #1 SMP\n", plan.kernel))?;
    root.file("proc/cmdline", 0o444, &format!("BOOT_IMAGE=/boot/vmlinuz-{} root=/dev/vda1 ro quiet\n", plan.kernel))?;
    root.file("proc/mounts", 0o444, "/dev/vda1 / ext4 rw,relatime 0 0\nproc /proc proc rw,nosuid,nodev,noexec 0 0\n")?;
    root.file("etc/sysctl.conf", 0o644, "# Local settings belong into sysctl.d.\n")?;
    root.file(
        "etc/sysctl.d/10-network.conf",
        0o644,
        "# no redirects on servers\nnet.ipv4.conf.all.accept_redirects = 0\n",
    )?;
    root.file("usr/lib/sysctl.d/50-default.conf", 0o644, "fs.protected_symlinks = 1\nkernel.randomize_va_space = 2\n")
}

fn modules(root: &Root<'_>, plan: &Plan) -> io::Result<()> {
    root.file(
        "etc/modprobe.d/blacklist-framebuffer.conf",
        0o644,
        "# old framebuffers\nblacklist vesafb\nblacklist vga16fb\n",
    )?;
    root.file("etc/modprobe.d/local.conf", 0o644, "options nf_conntrack hashsize=65536\n")?;
    root.file(
        "proc/modules",
        0o444,
        "nf_conntrack 188416 1 nf_nat, Live 0x0000000000000000\next4 983040 1 - Live 0x0000000000000000\n\
         virtio_net 65536 0 - Live 0x0000000000000000\n",
    )?;
    let folder = format!("lib/modules/{}", plan.kernel);
    root.file(
        &format!("{folder}/modules.builtin"),
        0o644,
        "kernel/fs/binfmt_script.ko\nkernel/crypto/sha256_generic.ko\nkernel/drivers/tty/serial/8250/8250.ko\n",
    )?;
    let mut dependencies = String::new();
    for weakness in weakness::all() {
        let Safeguard::ModulesBlocked(names) = weakness.safeguard else { continue };
        for name in names {
            let path = format!("kernel/{}/{name}.ko", module_folder(name));
            dependencies.push_str(&format!("{path}:\n"));
            root.file(&format!("{folder}/{path}"), 0o644, "a module of the simulated host\n")?;
        }
    }
    root.file(&format!("{folder}/modules.dep"), 0o644, &dependencies)
}

fn module_folder(name: &str) -> &'static str {
    match name {
        "algif_aead" => "crypto",
        "uvcvideo" => "drivers/media/usb/uvc",
        "cifs" => "fs/smb/client",
        "n_hdlc" => "drivers/tty",
        "nvmet-tcp" => "drivers/nvme/target",
        "libiscsi" | "iscsi_tcp" | "scsi_transport_iscsi" => "drivers/scsi",
        _ => "net",
    }
}

fn services(root: &Root<'_>, plan: &Plan) -> io::Result<()> {
    root.folder("etc/systemd/system/multi-user.target.wants")?;
    let mut units = vec![
        ("ssh.service", "SSH server", "/usr/sbin/sshd -D"),
        ("cron.service", "Job scheduler", "/usr/sbin/cron -f"),
    ];
    for (package, unit) in [
        ("cups-browsed", ("cups-browsed.service", "Printer discovery", "/usr/sbin/cups-browsed")),
        ("postfix", ("postfix.service", "Mail server", "/usr/sbin/postfix start")),
        ("apache2", ("apache2.service", "Web server", "/usr/sbin/apachectl start")),
    ] {
        if plan.packages.contains_key(package) {
            units.push(unit);
        }
    }
    for (unit, about, command) in units {
        let text = format!(
            "[Unit]\nDescription={about}\nAfter=network.target\n\n[Service]\nExecStart={command}\nRestart=on-failure\n\n\
             [Install]\nWantedBy=multi-user.target\n"
        );
        root.file(&format!("usr/lib/systemd/system/{unit}"), 0o644, &text)?;
        root.link(
            &format!("etc/systemd/system/multi-user.target.wants/{unit}"),
            &format!("/usr/lib/systemd/system/{unit}"),
        )?;
    }
    Ok(())
}

/// What runs, as the control groups say. Nothing can stop a process that is only a file, so the units a mitigation switches off are
/// enabled but idle: they would start with the next boot.
fn running(root: &Root<'_>) -> io::Result<()> {
    for (unit, process) in [("ssh.service", 612), ("cron.service", 431), ("dbus.service", 399)] {
        root.file(&format!("sys/fs/cgroup/system.slice/{unit}/cgroup.procs"), 0o644, &format!("{process}\n"))?;
    }
    Ok(())
}

fn programs(root: &Root<'_>, plan: &Plan) -> io::Result<()> {
    root.file("usr/bin/pkexec", 0o4755, "a setuid program of the simulated host\n")?;
    root.file("usr/bin/sudo", 0o4755, "a setuid program of the simulated host\n")?;
    root.file("usr/bin/scp", 0o755, "a program of the simulated host\n")?;
    root.file("usr/sbin/sshd", 0o755, "a program of the simulated host\n")?;
    root.file(
        "etc/sudoers",
        0o440,
        "Defaults env_reset\nroot ALL=(ALL:ALL) ALL\n%sudo ALL=(ALL:ALL) ALL\n@includedir /etc/sudoers.d\n",
    )?;
    root.file("etc/sudoers.d/README", 0o440, "# files here must be mode 0440\n")?;
    root.file(
        "etc/apt/apt.conf.d/70debconf",
        0o644,
        "DPkg::Pre-Install-Pkgs {\"/usr/sbin/dpkg-preconfigure --apt || true\";};\n",
    )?;
    root.folder("etc/polkit-1/rules.d")?;
    if plan.packages.contains_key("needrestart") {
        root.file("etc/needrestart/needrestart.conf", 0o644, "$nrconf{restart} = 'i';\n")?;
        root.folder("etc/needrestart/conf.d")?;
    }
    if plan.packages.contains_key("inetutils-telnetd") {
        root.file("usr/sbin/telnetd", 0o755, "a program of the simulated host\n")?;
        root.file("etc/inetd.conf", 0o644, "telnet\tstream\ttcp\tnowait\troot\t/usr/sbin/tcpd\t/usr/sbin/telnetd\n")?;
    }
    if plan.packages.contains_key("postfix") {
        root.file(
            "etc/postfix/main.cf",
            0o644,
            "smtpd_banner = $myhostname ESMTP\ninet_interfaces = all\nmynetworks = 127.0.0.0/8\n",
        )?;
    }
    if plan.packages.contains_key("apache2") {
        root.file(
            "etc/apache2/apache2.conf",
            0o644,
            "Timeout 300\nKeepAlive On\nIncludeOptional conf-enabled/*.conf\n",
        )?;
        root.file(
            "etc/apache2/mods-enabled/http2.conf",
            0o644,
            "<IfModule http2_module>\n    Protocols h2 h2c http/1.1\n</IfModule>\n",
        )?;
        root.file(
            "etc/apache2/mods-enabled/http2.load",
            0o644,
            "LoadModule http2_module /usr/lib/apache2/modules/mod_http2.so\n",
        )?;
        root.folder("etc/apache2/conf-enabled")?;
    }
    Ok(())
}

/// Puts a server keyword first in sshd_config, where it wins over everything else.
pub(super) fn set_sshd_first(path: &Path, keyword: &str, value: &str) -> io::Result<()> {
    let file = path.join("etc/ssh/sshd_config");
    let text = fs::read_to_string(&file)?;
    fs::write(&file, format!("{keyword} {value}\n{text}"))
}

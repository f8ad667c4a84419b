//! What the tests need from the system, installed by its package manager and never started.

use crate::{Outcome, run};
use std::path::Path;
use std::process::{Command, Stdio};

/// Something a test needs, and the Debian packages that bring it.
struct Need {
    what: &'static str,
    packages: &'static [&'static str],
    present: fn() -> bool,
}

const NEEDS: [Need; 8] = [
    Need { what: "PostgreSQL's server programs", packages: &["postgresql"], present: postgres },
    Need { what: "Chromium and its driver", packages: &["chromium", "chromium-driver"], present: chromium },
    Need { what: "Python with pip and venv", packages: &["python3", "python3-venv", "python3-pip"], present: python },
    Need { what: "npm for the pages' assets", packages: &["npm"], present: npm },
    Need { what: "nft and ip for firewall rules", packages: &["nftables", "iproute2"], present: nft },
    Need { what: "sshd for real mitigations", packages: &["openssh-server", "openssh-client"], present: sshd },
    Need {
        what: "programs that check configurations",
        packages: &["sudo", "samba-common-bin", "bind9-utils"],
        present: validators,
    },
    Need { what: "nmap, which looks at sshd from outside", packages: &["nmap"], present: nmap },
];

/// What Debian's packages ask before they start a service they bring: while this stands, the answer is no.
const POLICY: &str = "/usr/sbin/policy-rc.d";

fn on_path(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| folder.join(program).is_file())
}

fn postgres() -> bool {
    let versions = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    on_path("initdb") || versions.into_iter().any(|version| version.path().join("bin/initdb").is_file())
}

fn chromium() -> bool {
    on_path("chromedriver") && (on_path("chromium") || on_path("chromium-browser") || on_path("google-chrome"))
}

fn python() -> bool {
    on_path("python3") && quiet(Command::new("python3").args(["-c", "import venv, ensurepip"]))
}

fn npm() -> bool {
    on_path("npm")
}

/// In directories that may not be on a user's path; where the tests and the agent look for it.
fn nft() -> bool {
    Path::new("/usr/sbin/nft").is_file()
        && (Path::new("/usr/sbin/ip").exists() || Path::new("/sbin/ip").exists() || on_path("ip"))
}

fn sshd() -> bool {
    Path::new("/usr/sbin/sshd").is_file() && on_path("ssh-keygen")
}

fn validators() -> bool {
    ["/usr/sbin/visudo", "/usr/bin/testparm", "/usr/bin/named-checkconf"].iter().all(|path| Path::new(path).is_file())
}

fn nmap() -> bool {
    Path::new("/usr/bin/nmap").is_file()
}

fn quiet(command: &mut Command) -> bool {
    command.stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok_and(|status| status.success())
}

/// Install what is missing. Says what it does; leaves a machine without apt as it is and lets the tests say what they skip.
pub fn prepare() -> Outcome {
    let missing: Vec<&Need> = NEEDS.iter().filter(|need| !(need.present)()).collect();
    if missing.is_empty() {
        return Ok(());
    }
    for need in &missing {
        eprintln!("xtask: {} is missing; package: {}", need.what, need.packages.join(" "));
    }
    if !on_path("apt-get") {
        eprintln!("xtask: this machine has no apt-get; install them by hand, or the tests that need them are skipped");
        return Ok(());
    }
    // Debian's package would make and start a database of its own; the tests make theirs, in a folder of their own.
    if missing.iter().any(|need| need.packages.contains(&"postgresql")) && !Path::new("/etc/postgresql-common").exists()
    {
        root(&["mkdir", "-p", "/etc/postgresql-common/createcluster.d"])?;
        root(&[
            "sh",
            "-c",
            "echo 'create_main_cluster = false' > /etc/postgresql-common/createcluster.d/quell-tests.conf",
        ])?;
    }
    root(&["apt-get", "update"])?;
    let mut install =
        vec!["env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "install", "-y", "--no-install-recommends"];
    install.extend(missing.iter().flat_map(|need| need.packages.iter().copied()));
    install_quietly(&install)?;
    if missing.iter().any(|need| need.packages.contains(&"openssh-server")) {
        eprintln!("xtask: sshd came for the tests only, so it is not to start with the machine");
        // Without systemd there is nothing that would start it.
        let _ = root(&["systemctl", "disable", "ssh.service"]);
    }
    Ok(())
}

/// Install while no package may start a service. A policy that the machine has already is left alone: it is somebody's choice.
fn install_quietly(install: &[&str]) -> Outcome {
    if Path::new(POLICY).exists() {
        eprintln!("xtask: {POLICY} decides which services the packages start");
        return root(install);
    }
    eprintln!("xtask: {POLICY} keeps the packages from starting services while they are installed");
    // One shell, so that the policy goes however the installation ends.
    let script = format!(
        "trap 'rm -f {POLICY}' EXIT INT TERM HUP; printf '#!/bin/sh\\nexit 101\\n' > {POLICY} && chmod 0755 {POLICY} && \"$@\""
    );
    let mut command = vec!["sh", "-c", &script, "sh"];
    command.extend(install);
    root(&command)
}

/// Run as root: directly, or by sudo.
fn root(command: &[&str]) -> Outcome {
    let uid = Command::new("id").arg("-u").output().map(|output| output.stdout).unwrap_or_default();
    let mut words = if uid.starts_with(b"0") { Vec::new() } else { vec!["sudo"] };
    words.extend(command);
    let (program, arguments) = words.split_first().expect("a command has a program");
    run(Command::new(program).args(arguments))
}

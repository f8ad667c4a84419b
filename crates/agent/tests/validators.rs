//! The programs that check a configuration, on the live system of a mount namespace of its own: what they refuse is never left in
//! place, what they accept is. `sshd`, `visudo`, `testparm` and `named-checkconf` are the real ones; `apachectl` and `postfix` are
//! stubs laid over `/usr/sbin`, because installing the real ones starts services.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::print_stderr,
    clippy::allow_attributes,
    reason = "a test that fails says so by panicking"
)]

mod common;

use agent::executor::Executor;
use agent::frame::ToExecutor;
use agent::fs::Tree;
use agent::host::Host;
use agent::state::StateDir;
use common::{World, entry};
use protocol::agent::{Outcome, TaskReport};
use protocol::order::OrderKind;
use std::path::Path;
use std::process::Command;

const NAME: &str = "what_a_validator_refuses_is_never_left_in_place";
/// Validator, program, package.
const REAL: [(&str, &str, &str); 4] = [
    ("sshd", "/usr/sbin/sshd", "openssh-server"),
    ("visudo", "/usr/sbin/visudo", "sudo"),
    ("testparm", "/usr/bin/testparm", "samba-common-bin"),
    ("named", "/usr/bin/named-checkconf", "bind9-utils"),
];

struct Row {
    validator: &'static str,
    file: &'static str,
    /// What is there before; nothing means no file.
    before: Option<&'static str>,
    bad: String,
    good: String,
    /// What the report of a refusal says.
    says: &'static str,
}

fn setting(path: &str, format: &str, section: &str, key: &str, value: &str, validate: &str) -> String {
    format!(
        "[[action]]\nkind = \"file.setting\"\npath = \"{path}\"\nformat = \"{format}\"\n{section}key = \"{key}\"\nvalue = \"{value}\"\nvalidate = \"{validate}\"\n"
    )
}

fn dropin(path: &str, content: &str, validate: &str) -> String {
    format!(
        "[[action]]\nkind = \"file.dropin\"\npath = \"{path}\"\nmode = \"0440\"\ncontent = \"{content}\\n\"\nvalidate = \"{validate}\"\n"
    )
}

fn rows() -> Vec<Row> {
    let sshd = |value| setting("/etc/ssh/sshd_config", "sshd", "", "LoginGraceTime", value, "sshd");
    let samba =
        |value| setting("/etc/samba/smb.conf", "smbconf", "section = \"global\"\n", "server role", value, "testparm");
    let postfix =
        |value| setting("/etc/postfix/main.cf", "postconf", "", "smtpd_forbid_bare_newline", value, "postfix");
    let sudo = |content| dropin("/etc/sudoers.d/90-quell", content, "visudo");
    let named = |content| dropin("/etc/bind/quell.conf", content, "named");
    let apache = |content| dropin("/etc/apache2/conf-enabled/quell.conf", content, "apachectl");
    let row = |validator, file, before, bad, good, says| Row { validator, file, before, bad, good, says };
    vec![
        row(
            "sshd",
            "/etc/ssh/sshd_config",
            Some("HostKey /etc/ssh/key\n"),
            sshd("soon"),
            sshd("0"),
            "refuses the new /etc",
        ),
        row(
            "visudo",
            "/etc/sudoers.d/90-quell",
            None,
            sudo("Defaults !!! ="),
            sudo("Defaults env_reset"),
            "refuses the new /etc",
        ),
        row(
            "testparm",
            "/etc/samba/smb.conf",
            Some("[global]\nworkgroup = X\n"),
            samba("nonsense"),
            samba("standalone server"),
            "refuses the new /etc",
        ),
        row(
            "named",
            "/etc/bind/quell.conf",
            None,
            named("options { nonsense yes; };"),
            named("options { recursion no; };"),
            "refuses the new configuration",
        ),
        row(
            "stub of apachectl",
            "/etc/apache2/conf-enabled/quell.conf",
            None,
            apache("nonsense"),
            apache("TraceEnable off"),
            "refuses the new configuration",
        ),
        row(
            "stub of postfix",
            "/etc/postfix/main.cf",
            Some("myhostname = x\n"),
            postfix("nonsense"),
            postfix("yes"),
            "refuses the new configuration",
        ),
    ]
}

#[test]
fn what_a_validator_refuses_is_never_left_in_place() {
    const INNER: &str = "QUELL_AGENT_TEST_INNER";
    if std::env::var_os(INNER).is_some() {
        return inside();
    }
    let test = format!("validators::{NAME}");
    let missing: Vec<&str> = REAL.iter().filter(|(_, path, _)| !Path::new(path).is_file()).map(|of| of.2).collect();
    if !missing.is_empty() {
        skip::skipped(&test, &format!("not installed: {}", missing.join(", ")));
        return;
    }
    if !rustix::process::geteuid().is_root() {
        skip::skipped(&test, "needs root for a mount namespace of its own");
        return;
    }
    // Configurations, what sshd wants below /run, and the stubs lie in memory of this namespace only.
    let script = "p=$(cat /etc/passwd); g=$(cat /etc/group); s=$(cat /etc/nsswitch.conf); \
        mount -t tmpfs -o mode=0755 none /etc && mount -t tmpfs -o mode=0755 none /run && mkdir /run/sshd /run/up /run/work && \
        printf '%s\\n' \"$p\" > /etc/passwd && printf '%s\\n' \"$g\" > /etc/group && printf '%s\\n' \"$s\" > /etc/nsswitch.conf && \
        mkdir -p /etc/ssh /etc/sudoers.d /etc/samba /etc/bind /etc/apache2/conf-enabled /etc/postfix && \
        ssh-keygen -q -t ed25519 -N '' -f /etc/ssh/key && echo 'include \"/etc/bind/quell.conf\";' > /etc/bind/named.conf && \
        for stub in apachectl:/etc/apache2 postfix:/etc/postfix; do \
            printf '#!/bin/sh\\n# stub\\nif grep -rq nonsense %s; then echo wrong; exit 1; fi\\n' ${stub#*:} > /run/up/${stub%%:*}; \
            chmod 0755 /run/up/${stub%%:*}; done && \
        mount -t overlay -o lowerdir=/usr/sbin,upperdir=/run/up,workdir=/run/work none /usr/sbin && exec \"$0\" \"$@\"";
    let said = Command::new("unshare")
        .args(["--mount", "sh", "-c", script])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", NAME, "--nocapture"])
        .env(INNER, "1")
        .output();
    match said {
        Ok(said) if said.status.success() => {}
        Ok(said) if ["unshare:", "overlay"].iter().any(|of| String::from_utf8_lossy(&said.stderr).contains(of)) => {
            skip::skipped(&test, &String::from_utf8_lossy(&said.stderr));
        }
        Ok(said) => panic!("{}\n{}", String::from_utf8_lossy(&said.stdout), String::from_utf8_lossy(&said.stderr)),
        Err(error) => skip::skipped(&test, &format!("unshare: {error}")),
    }
}

fn inside() {
    let rows = rows();
    let named = |row: usize, which: &str| format!("linux-{which}-{row}");
    let entries = rows
        .iter()
        .enumerate()
        .flat_map(|(at, row)| [entry(&named(at, "bad"), &row.bad), entry(&named(at, "good"), &row.good)]);
    let world = World::new(entries.collect());
    let state = StateDir::open(&world.state()).unwrap();
    let mut executor = Executor::open(state, Host::new(Tree::open(Path::new("/")).unwrap()), false).unwrap();
    executor.handle(ToExecutor::Time { server: common::now() });
    executor.handle(ToExecutor::Index { envelope: world.index.clone() });
    let mut task = 0;
    let mut run = |kind, id: &str| -> TaskReport {
        task += 1;
        let order = world.order(kind, id, task, 1);
        executor.handle(ToExecutor::Order { envelope: common::sign(&order, common::ORDER) });
        let text = String::from_utf8(world.entries[id].to_json()).unwrap();
        executor.handle(ToExecutor::Content { digest: order.content_digest, text });
        while executor.step() {}
        common::report(&common::events(&executor.take_out()))
    };
    for (at, row) in rows.iter().enumerate() {
        let name = row.validator;
        if let Some(text) = row.before {
            std::fs::write(row.file, text).unwrap();
        }
        let refused = run(OrderKind::Apply, &named(at, "bad"));
        assert_eq!((refused.outcome, refused.left_changed), (Outcome::Failed, false), "{name}: {refused:#?}");
        assert!(refused.message.contains(row.says), "{name}: {}", refused.message);
        assert_eq!(std::fs::read_to_string(row.file).ok().as_deref(), row.before, "{name}: byte for byte");
        let applied = run(OrderKind::Apply, &named(at, "good"));
        assert_eq!(applied.outcome, Outcome::Succeeded, "{name}: {applied:#?}");
        assert_ne!(std::fs::read_to_string(row.file).ok().as_deref(), row.before, "{name}");
        let reverted = run(OrderKind::Revert, &named(at, "good"));
        assert_eq!(reverted.outcome, Outcome::Reverted, "{name}: {reverted:#?}");
        assert_eq!(std::fs::read_to_string(row.file).ok().as_deref(), row.before, "{name}: byte for byte");
    }
}

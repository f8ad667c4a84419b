//! Content that is signed as it should be and must not be carried out all the same: a content key in the wrong hands, traps that
//! somebody on the host laid for the agent, and bytes exchanged on the way.

use crate::common::{SSHD, entry, sshd};
use crate::forge::{Attack, End, ID, Move, order};
use protocol::order::RefusalCode;

/// An entry that the strict parser takes, so that only the agent's care is left.
fn parsed(id: &'static str, actions: &str) -> (&'static str, Vec<u8>) {
    (id, entry(id, actions).to_json())
}

/// An entry that no parser of ours would make: honest JSON with one text replaced.
fn raw(id: &'static str, actions: &str, from: &str, to: &str) -> (&'static str, Vec<u8>) {
    let text = String::from_utf8(entry(id, actions).to_json()).unwrap();
    assert!(text.contains(from), "{text}");
    (id, text.replace(from, to).into_bytes())
}

fn setting(path: &str) -> String {
    format!(
        "[[action]]\nkind = \"file.setting\"\npath = \"{path}\"\nformat = \"postconf\"\nkey = \"k\"\nvalue = \"v\"\n"
    )
}

fn dropin(path: &str) -> String {
    format!("[[action]]\nkind = \"file.dropin\"\npath = \"{path}\"\nmode = \"0644\"\ncontent = \"owned\\n\"\n")
}

fn suid(path: &str) -> String {
    format!("[[action]]\nkind = \"file.mode\"\npath = \"{path}\"\nclear = [\"suid\"]\n")
}

fn archive(root: &str) -> String {
    format!(
        "[[action]]\nkind = \"archive.member_absent\"\nroots = [\"{root}\"]\nnames = [\"log4j-core-*.jar\"]\n\
         member = \"x/JndiLookup.class\"\nnested = false\n"
    )
}

/// A rule that drops every new connection, though it says that it is about unusual ones.
fn no_opening() -> String {
    "[[action]]\nkind = \"firewall.rule\"\nname = \"no-opening\"\ndirection = \"in\"\nprotocol = \"tcp\"\nports = []\n\
     remote = \"any\"\naction = \"drop\"\nmatch = \"syn and mss 1-65535\"\n"
        .to_owned()
}

fn stopped(unit: &str) -> String {
    format!("[[action]]\nkind = \"service.state\"\nname = \"{unit}\"\nrunning = false\nstart = \"masked\"\n")
}

fn removed(package: &str) -> String {
    format!("[[action]]\nkind = \"package.state\"\nwant = \"absent\"\nnames = {{ apt = [\"{package}\"] }}\n")
}

fn sysctl() -> String {
    "[[action]]\nkind = \"kernel.sysctl\"\nkey = \"net.ipv4.tcp_sack\"\nop = \"eq\"\nvalue = 0\n".to_owned()
}

/// What the index lists beside honest entries.
pub fn hostile() -> Vec<(&'static str, Vec<u8>)> {
    vec![
        parsed("trap-folder", &dropin("/etc/escape/new.conf")),
        parsed("trap-folder-deep", &setting("/etc/escape/conf.d/x.conf")),
        parsed("trap-file", &setting("/etc/linked.conf")),
        parsed("trap-dropin", &dropin("/etc/linked.conf")),
        parsed("trap-hard-link", &setting("/etc/hard.conf")),
        parsed("trap-open-folder", &setting("/etc/open/x.conf")),
        parsed("trap-mode-glob", &suid("/usr/bin/tool-*")),
        parsed("trap-archive", &archive("/opt/app")),
        raw("raw-dots", &dropin("/etc/x.conf"), "/etc/x.conf", "/etc/../root/.ssh/authorized_keys"),
        raw("raw-shadow", &setting("/etc/x.conf"), "/etc/x.conf", "/etc/shadow"),
        raw("raw-cron", &dropin("/etc/x.conf"), "/etc/x.conf", "/etc/cron.d/owned"),
        raw("raw-outside", &dropin("/etc/x.conf"), "/etc/x.conf", "/var/spool/cron/root"),
        raw("raw-glob-folder", &suid("/usr/bin/x"), "/usr/bin/x", "/usr/*/x"),
        raw("raw-glob-dots", &suid("/usr/bin/x"), "/usr/bin/x", "/usr/bin/../../etc/*"),
        raw("raw-setuid", &dropin("/etc/x.conf"), "0644", "4755"),
        raw("raw-world", &dropin("/etc/x.conf"), "0644", "0666"),
        raw("raw-archive-root", &archive("/opt/x"), "/opt/x", "/"),
        raw("raw-sysctl", &sysctl(), "net.ipv4.tcp_sack", "net../../../etc/passwd"),
        raw("raw-sysctl-huge", &sysctl(), "\"value\":0", "\"value\":99999999999999999999"),
        raw("raw-kind", &sysctl(), "kernel.sysctl", "script"),
        raw("raw-validator", SSHD_SETTING, "\"validate\":\"sshd\"", "\"validate\":\"/bin/sh -c id\""),
        raw("raw-twice", &sysctl(), "\"op\":\"eq\"", "\"op\":\"eq\",\"op\":\"ge\""),
        parsed("rail-ssh", &stopped("ssh.service")),
        parsed("rail-resolved", &stopped("systemd-resolved")),
        parsed("rail-dhcp", &stopped("dhcpcd@eth0.service")),
        parsed("rail-package", &removed("openssh-server")),
        parsed("rail-sudo", &suid("/usr/bin/su*")),
        parsed("rail-limit", &sysctl().replace("net.ipv4.tcp_sack", "fs.file-max")),
        parsed("rail-opening", &no_opening()),
        ("raw-other-id", sshd_named("raw-another")),
        ("raw-no-json", b"apply it, please".to_vec()),
    ]
}

const SSHD_SETTING: &str = "[[action]]\nkind = \"file.setting\"\npath = \"/etc/ssh/sshd_config\"\nformat = \"sshd\"\nkey = \"LoginGraceTime\"\nvalue = \"0\"\nvalidate = \"sshd\"\n";

fn sshd_named(id: &str) -> Vec<u8> {
    catalogue::schema::Entry::from_toml(&SSHD.replace(ID, id)).unwrap().to_json()
}

fn not_begun(name: &'static str, words: &'static str, moves: fn(&crate::Forge) -> Vec<Move>) -> Attack {
    Attack { name, end: End::NotBegun(words), moves }
}

pub fn attacks() -> Vec<Attack> {
    [traps(), entries(), exchanged()].into_iter().flatten().collect()
}

/// Links and modes that lie in wait below the root.
fn traps() -> Vec<Attack> {
    vec![
        not_begun("a folder that is a link out of the root", "symbolic link", |forge| forge.apply("trap-folder")),
        not_begun("a folder behind a link out of the root", "symbolic link", |forge| forge.apply("trap-folder-deep")),
        not_begun("a file that is a link out of the root", "symbolic link", |forge| forge.apply("trap-file")),
        not_begun("a drop-in where a link lies", "symbolic link", |forge| forge.apply("trap-dropin")),
        not_begun("a file that has another name outside the root", "hard links", |forge| forge.apply("trap-hard-link")),
        not_begun("a file in a folder that everybody may write", "can be written by others", |forge| {
            forge.apply("trap-open-folder")
        }),
        not_begun("a pattern that matches a link to a setuid program", "nothing", |forge| {
            forge.apply("trap-mode-glob")
        }),
        not_begun("a searched folder that is a link out of the root", "nothing", |forge| forge.apply("trap-archive")),
    ]
}

/// Entries that a content key signed and no agent carries out.
fn entries() -> Vec<Attack> {
    let unsupported = |name, moves| order(name, RefusalCode::Unsupported, moves);
    vec![
        unsupported("a path with dots to root's keys", |forge| forge.apply("raw-dots")),
        unsupported("the file of passwords", |forge| forge.apply("raw-shadow")),
        unsupported("a table of cron", |forge| forge.apply("raw-cron")),
        unsupported("a path outside of what this kind may write", |forge| forge.apply("raw-outside")),
        unsupported("a pattern in a folder's name", |forge| forge.apply("raw-glob-folder")),
        unsupported("a pattern behind dots", |forge| forge.apply("raw-glob-dots")),
        unsupported("a drop-in with a setuid bit", |forge| forge.apply("raw-setuid")),
        unsupported("a drop-in that everybody may write", |forge| forge.apply("raw-world")),
        unsupported("archives of the whole machine", |forge| forge.apply("raw-archive-root")),
        unsupported("a kernel parameter that is a path", |forge| forge.apply("raw-sysctl")),
        unsupported("a value beyond what a number holds", |forge| forge.apply("raw-sysctl-huge")),
        unsupported("a kind of action that runs a script", |forge| forge.apply("raw-kind")),
        unsupported("a command line in the place of a validator", |forge| forge.apply("raw-validator")),
        unsupported("an action that says one thing twice", |forge| forge.apply("raw-twice")),
        order("content that names another entry than the index", RefusalCode::NotInIndex, |forge| {
            forge.apply("raw-other-id")
        }),
        unsupported("the service that administrators come in by", |forge| forge.apply("rail-ssh")),
        unsupported("the service that finds the server's name", |forge| forge.apply("rail-resolved")),
        unsupported("the service that holds the host's address", |forge| forge.apply("rail-dhcp")),
        unsupported("the package that administrators come in by", |forge| forge.apply("rail-package")),
        unsupported("a pattern that takes sudo away", |forge| forge.apply("rail-sudo")),
        unsupported("a limit below which nothing starts", |forge| forge.apply("rail-limit")),
        unsupported("a rule that drops every new connection", |forge| forge.apply("rail-opening")),
        unsupported("content that is no entry", |forge| forge.apply("raw-no-json")),
    ]
}

/// Bytes that are not the ones that were signed.
fn exchanged() -> Vec<Attack> {
    vec![order("other bytes than the digest's", RefusalCode::WrongDigest, |forge| {
        let digest = forge.listed["linux-exchanged"].0.clone();
        let text = String::from_utf8(sshd().to_json()).unwrap().replace("\"0\"", "\"9\"");
        let mut moves = vec![Move::Content(digest, text)];
        moves.extend(forge.apply("linux-exchanged"));
        moves
    })]
}

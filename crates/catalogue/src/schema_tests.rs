//! Tests of [`super`]: strictness of both forms, rules across fields, and the bytes that get signed.

use proptest::prelude::*;

use super::*;

const GOOD: &str = r#"
schema = 1
id = "linux-example"
revision = 1
title = "Example"
status = "active"
platform = "linux"
type = "config-line"
implication = "mitigation"

[[vulnerability]]
cve = "CVE-2024-6387"
coverage = "full"
points = 45
vector = "network"

[applies]
os = [{ family = "debian", version = ">=12" }]
package = [{ any = ["openssh-server"], version = ">=8.5" }]
probe = [{ kind = "path.exists", path = "/etc/ssh/sshd_config" }]

[[action]]
kind = "file.setting"
path = "/etc/ssh/sshd_config"
format = "sshd"
key = "LoginGraceTime"
value = "0"
validate = "sshd"

[[action]]
kind = "file.dropin"
path = "/etc/sudoers.d/x"
mode = "0440"
content = "Defaults !pwfeedback\n"
validate = "visudo"

[[action]]
kind = "file.mode"
path = "/usr/bin/pkexec"
clear = ["suid"]

[[action]]
kind = "kernel.sysctl"
key = "net.ipv4.tcp_sack"
op = "eq"
value = 0

[[action]]
kind = "kernel.module"
name = "dccp"
blocked = true

[[action]]
kind = "service.state"
name = "telnet.socket"
running = false
start = "masked"

[[action]]
kind = "package.state"
want = "not-version"
names = { apt = ["xz-utils"], dnf = ["xz"] }
versions = ["5.6.0*"]

[after]
restart = ["ssh", "sshd"]
reboot = "no"
reversible = "yes"

[human]
summary = "What and why."
side_effects = "None."
risk = "low"
remove_when_patched = true

[[reference]]
url = "https://example.org/advisory"
kind = "vendor"
seen = "vendor"
read_on = "2026-11-20"
"#;

/// One of each kind that [`GOOD`] does not have.
const MORE: &str = r#"
[[action]]
kind = "file.xml"
path = "/etc/tomcat9/server.xml"
element = "/Server/Service/Connector"
only = { protocol = "AJP/*" }
want = "attribute"
attribute = "address"
value = "::1"
[[action]]
kind = "kernel.cmdline"
param = "gather_data_sampling=force"
[[action]]
kind = "firewall.rule"
name = "low-mss"
direction = "in"
protocol = "tcp"
ports = []
remote = "192.0.2.0/24"
action = "drop"
match = "syn and mss 1-500"
family = "ipv4"
[[action]]
kind = "archive.member_absent"
roots = ["/opt", "/usr/share/java"]
names = ["log4j-core-2.1*.jar"]
member = "org/a/B.class"
nested = true
[[action]]
kind = "selinux.boolean"
name = "deny_ptrace"
value = true
[[action]]
kind = "file.list_setting"
path = "/etc/samba/smb.conf"
format = "smbconf"
section = "*"
key = "vfs objects"
remove = "fruit"
validate = "testparm"
[[action]]
kind = "file.setting_absent"
path = "/etc/bind/named.conf"
format = "bind"
key = "nxdomain-redirect"
validate = "named"
[[action]]
kind = "file.scan"
rule = "sudoers-all-but-root"
[[action]]
kind = "crypto_policy.module"
name = "QUELL-NO-ETM"
[[action]]
kind = "windows.setting"
setting = "ipv6-router-dns"
value = "disabled"
[[action]]
kind = "file.acl"
path = '%windir%\system32\jscript.dll'
want = "deny-everyone"
[[action]]
kind = "iis.rewrite_rule"
site = "Default Web Site"
name = "no-powershell"
words = ["autodiscover", "powershell"]
[[action]]
kind = "iis.global_module"
name = "TokenCacheModule"
want = "absent"
[[action]]
kind = "registry.value"
key = 'HKLM\SOFTWARE\Example'
name = "Names"
type = "multi-sz"
data = ["one", "two"]
[[action]]
kind = "registry.value_absent"
key = 'HKLM\SOFTWARE\Example'
name = "Name"
view = "32"
[[action]]
kind = "registry.key_absent"
key = 'HKCR\example'

[after]
"#;

#[test]
fn what_could_do_harm_is_no_entry() {
    let with = |from: &str, to: &str| {
        assert!(MORE.contains(from), "{from}");
        Entry::from_toml(&GOOD.replace("[after]\n", &MORE.replace(from, to)))
    };
    assert!(with("[after]", "[after]").is_ok());
    for (from, to) in [
        ("ports = []", "ports = [\"0\"]"),
        ("match = \"syn and mss 1-500\"\n", ""),
        ("protocol = \"tcp\"", "protocol = \"udp\""),
        ("name = \"low-mss\"", "name = \"x\\\"; flush ruleset\""),
        ("family = \"ipv4\"", "family = \"ipv6\""),
        ("gather_data_sampling=force", "init=/bin/sh"),
        ("\"/opt\", ", "\"/etc\", "),
        ("\"/opt\", ", "\"/opting\", "),
        ("\"log4j-core-2.1*.jar\"", "\"*\""),
        ("org/a/B.class", "../a"),
        ("/etc/tomcat9/server.xml", "/etc/passwd"),
        ("/etc/tomcat9/server.xml", "/var/lib/x.xml"),
        ("/etc/samba/smb.conf", "/etc/pam.d/login"),
        ("/etc/bind/named.conf", "/etc/shadow"),
        ("rule = \"sudoers-all-but-root\"", "rule = \"/etc/shadow\""),
        ("\"QUELL-NO-ETM\"", "\"../X\""),
        ("\"QUELL-NO-ETM\"", "\"A:B\""),
        ("value = \"disabled\"", "value = \"0 & calc\""),
        ("\\system32\\jscript.dll", "\\system32\\ntdll.dll"),
        ("\\system32\\jscript.dll", "\\..\\jscript.dll"),
        ("want = \"deny-everyone\"", "want = \"D:(A;;FA;;;WD)\""),
        ("\"Default Web Site\"", "\"Default Web Site/owa\""),
        ("\"Default Web Site\"", "\"x' | calc\""),
        ("name = \"no-powershell\"", "name = \"a\\\" stopProcessing=\\\"false\""),
        ("words = [\"autodiscover\", \"powershell\"]", "words = [\".*\"]"),
        ("words = [\"autodiscover\", \"powershell\"]", "words = []"),
        ("\"TokenCacheModule\"", "\"WindowsAuthenticationModule\""),
        ("value = \"::1\"\n", ""),
        ("data = [\"one\", \"two\"]", "data = 1"),
        ("key = 'HKCR\\example'", "key = 'HKCU\\example'"),
        (
            "'HKLM\\SOFTWARE\\Example'\nname = \"Name\"",
            "'HKLM\\SOFTWARE\\Microsoft\\Windows\\CurrentVersion\\Run'\nname = \"Name\"",
        ),
    ] {
        assert!(with(from, to).is_err(), "{to}");
    }
}

fn good() -> Entry {
    Entry::from_toml(GOOD).unwrap()
}

fn refusal(toml: &str) -> String {
    Entry::from_toml(toml).unwrap_err().to_string()
}

#[test]
fn both_forms_hold_the_same() {
    let entry = Entry::from_toml(&GOOD.replace("[after]\n", MORE)).unwrap();
    assert_eq!(entry.actions.iter().map(Action::kind).collect::<Vec<_>>(), crate::actions::ACTION_KINDS);
    let bytes = entry.to_json();
    assert_eq!(Entry::from_json(&bytes).unwrap(), entry);
    assert_eq!(Digest::of(&bytes), entry.digest());
    assert_eq!(Entry::from_json(&bytes).unwrap().to_json(), bytes);
}

#[test]
fn the_signed_bytes_do_not_change_by_accident() {
    // A change here means that every entry gets a new digest: raise revisions and say so in the change log.
    assert_eq!(good().digest().to_string(), "e2536cd01344b80e3c66e000dd1fb0895cb29204d4136ffcc33ee076b820ba7a");
}

#[test]
fn unknown_schema_and_kind_are_named() {
    assert!(matches!(Entry::from_toml("schema = 2\nnew_field = 1"), Err(EntryError::UnknownSchema(2))));
    assert!(matches!(Entry::from_json(br#"{"schema":2,"x":1}"#), Err(EntryError::UnknownSchema(2))));
    let error = refusal(&GOOD.replace("kind = \"kernel.module\"", "kind = \"iis.setting\""));
    assert!(error.contains("unknown variant `iis.setting`"), "{error}");
}

/// Every table of the schema, by a line that is in it.
const TABLES: [&str; 13] = [
    "schema = 1\n",
    "points = 45\n",
    "os = [",
    "format = \"sshd\"\n",
    "mode = \"0440\"\n",
    "clear = [\"suid\"]\n",
    "op = \"eq\"\n",
    "blocked = true\n",
    "running = false\n",
    "versions = [",
    "reboot = \"no\"\n",
    "risk = \"low\"\n",
    "seen = \"vendor\"\n",
];

#[test]
fn an_unknown_field_in_any_table_is_refused() {
    for line in TABLES {
        assert!(GOOD.contains(line), "{line}");
        let error = refusal(&GOOD.replacen(line, &format!("surprise = 1\n{line}"), 1));
        assert!(error.contains("unknown field `surprise`"), "{line}: {error}");
    }
}

/// Put one more field into the object number `target` of a JSON tree, counting from the root.
fn insert_field(value: &mut serde_json::Value, key: &str, target: usize, seen: &mut usize) -> bool {
    match value {
        serde_json::Value::Object(fields) => {
            if *seen == target {
                return fields.insert(key.to_owned(), 1.into()).is_none();
            }
            *seen += 1;
            fields.values_mut().any(|value| insert_field(value, key, target, seen))
        }
        serde_json::Value::Array(values) => values.iter_mut().any(|value| insert_field(value, key, target, seen)),
        _ => false,
    }
}

proptest! {
    #[test]
    fn an_unknown_field_anywhere_in_the_signed_form_is_refused(key in "[a-z_]{1,12}", target in 0_usize..20) {
        let mut value = serde_json::to_value(good()).unwrap();
        let inserted = insert_field(&mut value, &key, target, &mut 0);
        let bytes = serde_json::to_vec(&value).unwrap();
        if inserted {
            prop_assert!(Entry::from_json(&bytes).is_err(), "{} in object {}", key, target);
        }
    }

    #[test]
    fn foreign_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200), text in ".{0,200}") {
        let _ = Entry::from_json(&bytes);
        let _ = Entry::from_toml(&text);
    }

    #[test]
    fn a_changed_byte_changes_the_digest_or_is_refused(position in 0_usize..1000, flip in 1_u8..=255) {
        let entry = good();
        let mut bytes = entry.to_json();
        let position = position % bytes.len();
        bytes[position] ^= flip;
        prop_assert_ne!(Digest::of(&bytes), entry.digest());
    }
}

#[test]
fn sizes_are_capped_before_parsing() {
    let long = format!("{GOOD}\n# {}", "x".repeat(ENTRY_BYTES_MAX));
    assert!(matches!(Entry::from_toml(&long), Err(EntryError::TooLarge(_))));
    assert!(matches!(Entry::from_json(&vec![b' '; ENTRY_BYTES_MAX + 1]), Err(EntryError::TooLarge(_))));
}

#[test]
fn values_outside_their_rule_are_refused() {
    for (from, to) in [
        ("id = \"linux-example\"", "id = \"Linux Example\""),
        ("CVE-2024-6387", "CVE-2024-1"),
        ("revision = 1", "revision = -1"),
        ("title = \"Example\"", "title = \"two\\nlines\""),
        ("status = \"active\"", "status = \"ready\""),
        ("platform = \"linux\"", "platform = \"solaris\""),
        ("coverage = \"full\"", "coverage = \"total\""),
        ("points = 45", "points = 300"),
        ("path = \"/etc/ssh/sshd_config\"\nformat", "path = \"/etc/ssh/../shadow\"\nformat"),
        ("validate = \"sshd\"", "validate = \"sh -c id\""),
        ("format = \"sshd\"", "format = \"toml\""),
        ("mode = \"0440\"", "mode = \"440\""),
        ("mode = \"0440\"", "mode = \"0o440\""),
        ("content = \"Defaults !pwfeedback\\n\"", "content = \"no line break\""),
        ("clear = [\"suid\"]", "clear = []"),
        ("clear = [\"suid\"]", "clear = [\"suid\"]\nmode = \"0755\""),
        ("clear = [\"suid\"]", ""),
        ("clear = [\"suid\"]", "clear = [\"sticky\"]"),
        ("op = \"eq\"", "op = \"ne\""),
        ("value = 0\n", "value = \"0\"\n"),
        ("blocked = true", "blocked = false"),
        ("start = \"masked\"", "start = \"never\""),
        ("versions = [\"5.6.0*\"]", ""),
        ("want = \"not-version\"", "want = \"absent\""),
        ("names = { apt = [\"xz-utils\"], dnf = [\"xz\"] }", "names = {}"),
        ("names = { apt = [\"xz-utils\"], dnf = [\"xz\"] }", "names = { apt = [] }"),
        ("names = { apt = [\"xz-utils\"], dnf = [\"xz\"] }", "names = { pip = [\"xz\"] }"),
        ("reboot = \"no\"", "reboot = \"maybe\""),
        ("risk = \"low\"", "risk = \"none\""),
        ("https://example.org", "http://example.org"),
        ("2026-11-20", "2026-11-31"),
        ("version = \">=12\"", "version = \"twelve\""),
    ] {
        assert!(GOOD.contains(from), "{from}");
        let error = Entry::from_toml(&GOOD.replacen(from, to, 1));
        assert!(matches!(error, Err(EntryError::Malformed(_))), "{from} -> {to}: {error:?}");
    }
}

#[test]
fn rules_across_fields() {
    type Change = fn(&mut Entry);
    let table: [(Change, EntryFault); 12] = [
        (|e| e.revision = 0, EntryFault::RevisionZero),
        (|e| e.vulnerabilities.clear(), EntryFault::NoVulnerability),
        (|e| e.vulnerabilities[0].cve = None, EntryFault::Unnamed),
        (|e| e.vulnerabilities.push(e.vulnerabilities[0].clone()), EntryFault::RepeatedCve),
        (|e| e.vulnerabilities[0].points = 0, EntryFault::Points),
        (|e| e.vulnerabilities[0].points = 100, EntryFault::Points),
        (|e| e.implication = Implication::Fix, EntryFault::Points),
        (|e| e.status = Status::CheckOnly, EntryFault::Points),
        (|e| e.actions.clear(), EntryFault::NoAction),
        (|e| e.actions = vec![e.actions[0].clone(); ACTIONS_MAX + 1], EntryFault::TooManyActions),
        (|e| e.status = Status::Superseded, EntryFault::SupersededBy),
        (|e| e.references.clear(), EntryFault::NoReference),
    ];
    for (change, expected) in table {
        let mut entry = good();
        change(&mut entry);
        let error = Entry::from_json(&entry.to_json()).unwrap_err();
        assert_eq!(error, EntryError::Inconsistent { id: entry.id, fault: expected });
    }
}

#[test]
fn paths_are_limited_by_kind() {
    for (from, to) in [
        ("\"/etc/ssh/sshd_config\"\nformat", "\"/usr/lib/x\"\nformat"),
        ("\"/etc/ssh/sshd_config\"\nformat", "\"/etc/shadow\"\nformat"),
        ("\"/etc/ssh/sshd_config\"\nformat", "\"/etc/cron.d/x\"\nformat"),
        ("\"/etc/sudoers.d/x\"", "\"/etc/systemd/system/x.service\""),
        ("\"/etc/sudoers.d/x\"", "\"/etc/sudoers\""),
        ("\"/etc/sudoers.d/x\"", "\"/root/.ssh/authorized_keys\""),
        ("\"/usr/bin/pkexec\"", "\"/etc/shadow\""),
        ("\"/usr/bin/pkexec\"", "\"/home/x/y\""),
    ] {
        assert!(GOOD.contains(from), "{from}");
        let result = Entry::from_toml(&GOOD.replacen(from, to, 1));
        assert!(
            matches!(result, Err(EntryError::Inconsistent { fault: EntryFault::ForbiddenPath, .. })),
            "{to}: {result:?}"
        );
    }
}

#[test]
fn offers_end_with_status_and_date() {
    let mut entry = good();
    let today: Date = "2026-11-22".parse().unwrap();
    assert!(entry.is_offered(today));
    entry.valid_until = Some("2026-11-22".parse().unwrap());
    assert!(entry.is_offered(today));
    entry.valid_until = Some("2026-11-21".parse().unwrap());
    assert!(!entry.is_offered(today));
    entry.valid_until = None;
    for status in [Status::Draft, Status::CheckOnly, Status::Superseded, Status::Withdrawn] {
        entry.status = status;
        assert!(!entry.is_offered(today), "{status:?}");
    }
}

#[test]
fn classes() {
    type Change = fn(&mut Entry);
    let table: [(Change, u8); 7] = [
        (|_| {}, 1),
        (|e| e.status = Status::CheckOnly, 0),
        (|e| e.human.risk = Risk::Medium, 1),
        (|e| e.human.risk = Risk::High, 2),
        (|e| e.after.reversible = Reversible::AtReboot, 2),
        (|e| e.after.reboot = Reboot::Required, 3),
        (|e| e.after.reversible = Reversible::No, 4),
    ];
    for (change, class) in table {
        let mut entry = good();
        change(&mut entry);
        assert_eq!(entry.class(), class);
        assert_eq!(entry.needs_approval(), class >= 2);
    }
}

/// R18: a temporary impact lies between 1 and 99, a permanent one is 100.
#[test]
fn r18_temporary_impact_is_1_to_99_and_permanent_is_100() {
    let refused = |entry: &Entry| {
        let read = Entry::from_json(&entry.to_json());
        matches!(read, Err(EntryError::Inconsistent { fault: EntryFault::Points, .. }))
    };
    for points in 0..=200_u8 {
        let mut entry = good();
        entry.vulnerabilities[0].points = points;
        assert_eq!(refused(&entry), !(1..=99).contains(&points), "a mitigation with {points}");
        entry.implication = Implication::Fix;
        assert_eq!(refused(&entry), points != 100, "a fix with {points}");
    }
}

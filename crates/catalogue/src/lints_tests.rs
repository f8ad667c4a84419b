//! Tests of [`super`]: every embedded entry is clean, and every lint can be made to speak.

use super::*;
use crate::embedded;

fn file_name(path: &str) -> &str {
    path.rsplit('/').next().unwrap().trim_end_matches(".toml")
}

#[test]
fn embedded_entries_parse_and_have_no_errors() {
    let entries = embedded::entries().unwrap_or_else(|(path, error)| panic!("{path}: {error}"));
    let named = embedded::sources().iter().zip(&entries).map(|(source, entry)| (file_name(source.path), entry));
    // The only warning accepted is the honest one: nobody has opened the page in person yet.
    let found: Vec<Finding> = lint_all(named).into_iter().filter(|finding| finding.lint != "read-on-missing").collect();
    assert!(found.is_empty(), "{found:#?}");
}

#[test]
fn embedded_entries_cover_what_was_asked_for() {
    let entries = embedded::entries().unwrap();
    let linux = entries.iter().filter(|entry| entry.platform != EntryPlatform::Windows).count();
    assert!(entries.len() >= 70 && linux >= 40, "{} entries, {linux} of them for Linux", entries.len());
    let kinds: BTreeSet<&str> = entries.iter().flat_map(|entry| &entry.actions).map(Action::kind).collect();
    assert_eq!(kinds, crate::actions::ACTION_KINDS.into_iter().collect());
    for cve in [
        "CVE-2024-6387",
        "CVE-2023-48795",
        "CVE-2021-4034",
        "CVE-2017-6074",
        "CVE-2026-31431",
        "CVE-2019-11477",
        "CVE-2022-0185",
        "CVE-2024-47176",
        "CVE-2026-24061",
    ] {
        let cve = cve.parse().unwrap();
        assert!(entries.iter().any(|entry| entry.covered(&cve).is_some()), "{cve}");
    }
    // Nobody may claim that a person read a page on a day before anybody did.
    assert!(entries.iter().flat_map(|entry| &entry.references).all(|reference| reference.read_on.is_none()));
}

const BASE: &str = r#"
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
package = [{ any = ["openssh-server"] }]
[[action]]
kind = "file.setting"
path = "/etc/ssh/sshd_config"
format = "sshd"
key = "LoginGraceTime"
value = "0"
validate = "sshd"
[after]
restart = ["ssh", "sshd"]
reboot = "no"
reversible = "yes"
[human]
summary = "A sentence that is long enough to say what is weak and how it is closed."
side_effects = "None."
risk = "medium"
remove_when_patched = true
[[reference]]
url = "https://example.org/advisory"
kind = "vendor"
seen = "vendor"
read_on = "2026-11-20"
"#;

#[test]
fn a_good_entry_is_silent() {
    assert_eq!(lint(&Entry::from_toml(BASE).unwrap()), []);
}

#[test]
fn every_lint_speaks() {
    let action = "kind = \"file.setting\"\npath = \"/etc/ssh/sshd_config\"\nformat = \"sshd\"\nkey = \"LoginGraceTime\"\nvalue = \"0\"\nvalidate = \"sshd\"\n";
    let long = format!("title = \"{}\"", "x".repeat(73));
    let table: &[(&str, &str, &str)] = &[
        ("title = \"Example\"", &long, "title-length"),
        ("title = \"Example\"", "title = \"Example.\"", "title-stop"),
        ("side_effects = \"None.\"", "side_effects = \"None\"", "sentence"),
        (
            "summary = \"A sentence that is long enough to say what is weak and how it is closed.\"",
            "summary = \"Short.\"",
            "summary-length",
        ),
        ("status = \"active\"", "status = \"draft\"", "draft"),
        ("points = 45", "points = 61", "points-high"),
        ("points = 45", "points = 3", "points-coverage"),
        ("coverage = \"full\"", "coverage = \"partial\"", "points-coverage"),
        ("kind = \"vendor\"", "kind = \"researcher\"", "no-vendor-reference"),
        ("seen = \"vendor\"", "", "no-source-read"),
        ("read_on = \"2026-11-20\"", "", "read-on-missing"),
        (
            "read_on = \"2026-11-20\"",
            "read_on = \"2026-11-20\"\n[[reference]]\nurl = \"https://example.org/advisory\"\nkind = \"vendor\"",
            "reference-twice",
        ),
        ("implication = \"mitigation\"", "implication = \"fix\"", "fix-reversible"),
        ("reversible = \"yes\"", "reversible = \"no\"", "irreversible"),
        ("reversible = \"yes\"\n[human]", "reversible = \"no\"\n[human]", "irreversible"),
        ("reboot = \"no\"", "reboot = \"if-loaded\"", "no-module-reboot"),
        (action, "kind = \"kernel.module\"\nname = \"dccp\"\nblocked = true\n", "module-reboot"),
        (action, "kind = \"kernel.module\"\nname = \"ext4\"\nblocked = true\n", "vital-module"),
        ("validate = \"sshd\"", "", "validator"),
        ("validate = \"sshd\"", "validate = \"visudo\"", "validator"),
        ("key = \"LoginGraceTime\"", "section = \"x\"\nkey = \"LoginGraceTime\"", "section"),
        ("restart = [\"ssh\", \"sshd\"]", "", "restart"),
        ("format = \"sshd\"", "format = \"ntp\"", "format-unsupported"),
        (
            action,
            "kind = \"file.setting\"\npath = \"/etc/bind/named.conf\"\nformat = \"bind\"\nsection = \"view\"\nkey = \"x\"\nvalue = \"0\"\nvalidate = \"named\"\n",
            "section",
        ),
        (
            action,
            "kind = \"file.list_setting\"\npath = \"/etc/ssh/sshd_config\"\nformat = \"sshd\"\nkey = \"x\"\nremove = \"y\"\nvalidate = \"sshd\"\n",
            "format-unsupported",
        ),
        (
            action,
            "kind = \"file.list_setting\"\npath = \"/etc/samba/smb.conf\"\nformat = \"smbconf\"\nkey = \"x\"\nremove = \"y\"\nvalidate = \"testparm\"\n",
            "section",
        ),
        (
            action,
            "kind = \"file.list_setting\"\npath = \"/etc/x\"\nformat = \"postconf\"\nkey = \"x\"\nremove = \"y z\"\n",
            "list-word",
        ),
        (
            action,
            "kind = \"file.setting_absent\"\npath = \"/etc/x\"\nformat = \"ntp\"\nkey = \"x\"\n",
            "format-unsupported",
        ),
        (
            action,
            "kind = \"file.setting_absent\"\npath = \"/etc/bind/named.conf\"\nformat = \"bind\"\nsection = \"options\"\nkey = \"x\"\nvalidate = \"named\"\n",
            "section",
        ),
        (
            action,
            "kind = \"file.setting_absent\"\npath = \"/etc/named.conf\"\nformat = \"bind\"\nkey = \"x\"\n",
            "validator",
        ),
        (action, "kind = \"file.scan\"\nrule = \"sudoers-all-but-root\"\n", "scan-changes-nothing"),
        (action, "kind = \"crypto_policy.module\"\nname = \"QUELL-X\"\n", "module-text"),
        (action, "kind = \"crypto_policy.module\"\nname = \"NO-SHA1\"\n", "module-name"),
        (action, "kind = \"windows.setting\"\nsetting = \"nfs3\"\nvalue = \"false\"\n", "platform-kind"),
        (
            action,
            "kind = \"file.acl\"\npath = '%windir%\\system32\\jscript.dll'\nwant = \"deny-everyone\"\n",
            "platform-kind",
        ),
        (
            action,
            "kind = \"iis.rewrite_rule\"\nsite = \"x\"\nname = \"one\"\nwords = [\"powershell\"]\n",
            "platform-kind",
        ),
        (action, "kind = \"iis.global_module\"\nname = \"TokenCacheModule\"\nwant = \"absent\"\n", "platform-kind"),
        (
            action,
            "kind = \"file.dropin\"\npath = \"/etc/x/quell.conf\"\nmode = \"0664\"\ncontent = \"x\\n\"\n",
            "dropin-mode",
        ),
        (
            action,
            "kind = \"file.dropin\"\npath = \"/etc/x/y.conf\"\nmode = \"0644\"\ncontent = \"x\\n\"\n",
            "dropin-name",
        ),
        (action, "kind = \"file.mode\"\npath = \"/usr/bin/x\"\nmode = \"0775\"\n", "mode-opens"),
        (action, "kind = \"file.mode\"\npath = \"/usr/bin/sudo\"\nclear = [\"suid\"]\n", "own-shell"),
        (action, "kind = \"service.state\"\nname = \"sshd\"\nrunning = false\nstart = \"masked\"\n", "own-access"),
        (action, "kind = \"kernel.sysctl\"\nkey = \"fs.file-max\"\nop = \"le\"\nvalue = 1\n", "vital-sysctl"),
        (
            action,
            "kind = \"firewall.rule\"\nname = \"all\"\ndirection = \"out\"\nprotocol = \"tcp\"\nports = []\nremote = \"any\"\naction = \"drop\"\nmatch = \"syn and mss 1-536\"\n",
            "own-access",
        ),
        (
            action,
            "kind = \"service.state\"\nname = \"ssh.service\"\nrunning = false\nstart = \"disabled\"\n",
            "restart-stopped",
        ),
        (
            action,
            "kind = \"service.state\"\nname = \"x\"\nrunning = true\nstart = \"masked\"\n",
            "service-contradiction",
        ),
        (action, "kind = \"package.state\"\nwant = \"absent\"\nnames = { apt = [\"bash\"] }\n", "own-access"),
        (
            action,
            "kind = \"package.state\"\nwant = \"absent\"\nnames = { apt = [\"openssh-server\"] }\n",
            "condition-removed",
        ),
        ("[after]", &format!("[[action]]\n{action}[after]"), "same-target"),
        ("restart = [\"ssh\", \"sshd\"]", "restart = [\"quell-agent\"]", "own-access"),
        ("[[action]]", "conflicts = [\"linux-example\"]\n[[action]]", "conflicts-with-itself"),
        ("any = [\"openssh-server\"]", "any = []", "empty-condition"),
    ];
    for &(from, to, expected) in table {
        assert!(BASE.contains(from), "{from}");
        let text = BASE.replacen(from, to, 1);
        let text = if expected == "fix-reversible" { text.replace("points = 45", "points = 100") } else { text };
        let entry = Entry::from_toml(&text).unwrap_or_else(|error| panic!("{expected}: {error}"));
        let names: Vec<&str> = lint(&entry).iter().map(|finding| finding.lint).collect();
        assert!(names.contains(&expected), "{expected}: {names:?}\n{text}");
    }
    let low = BASE.replace("risk = \"medium\"", "risk = \"low\"");
    let irreversible = Entry::from_toml(&low.replace("reversible = \"yes\"", "reversible = \"no\"")).unwrap();
    assert!(lint(&irreversible).iter().any(|f| f.lint == "irreversible-risk" && f.severity == Severity::Error));
    let removal = low.replace(action, "kind = \"package.state\"\nwant = \"absent\"\nnames = { apt = [\"x\"] }\n");
    assert!(lint(&Entry::from_toml(&removal).unwrap()).iter().any(|f| f.lint == "package-risk"));
}

#[test]
fn sets_are_linted_together() {
    let one = Entry::from_toml(BASE).unwrap();
    let mut other = one.clone();
    other.id = "linux-other".parse().unwrap();
    other.applies.conflicts = vec!["linux-example".parse().unwrap(), "linux-missing".parse().unwrap()];
    let names = |entries: &[(&str, &Entry)]| -> Vec<&'static str> {
        lint_all(entries.iter().copied()).iter().map(|finding| finding.lint).collect()
    };
    assert!(names(&[("linux-example", &one)]).is_empty());
    assert_eq!(names(&[("linux-example", &one), ("linux-example", &one)]), ["duplicate-id"]);
    assert_eq!(names(&[("example", &one)]), ["file-name"]);
    assert_eq!(names(&[("linux-example", &one), ("linux-other", &other)]), ["unknown-entry", "one-sided-conflict"]);
}

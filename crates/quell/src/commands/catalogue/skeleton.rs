//! The text of a new entry: every field explained where it stands, an example action of the kind that was chosen.

use catalogue::actions::is_kind_of_windows;
use catalogue::text::{Cve, EntryId};

use super::Error;

/// What is known of the entry that is begun.
#[derive(Debug, Clone, Copy)]
pub(super) struct Choice<'a> {
    pub id: &'a EntryId,
    pub kind: &'a str,
    /// A CVE, or a QID's number.
    pub covers: &'a str,
    pub title: Option<&'a str>,
    pub points: Option<u8>,
    pub reference: Option<&'a str>,
}

/// An example action of a kind, the headline it has in filters, and what else such entries say.
struct Example {
    kind: &'static str,
    headline: &'static str,
    action: &'static str,
    /// Services that read the changed file at their start.
    restart: &'static str,
    reboot: &'static str,
    /// Actions that have to come before.
    first: &'static str,
}

const fn plain(kind: &'static str, headline: &'static str, action: &'static str) -> Example {
    Example { kind, headline, action, restart: "", reboot: "no", first: "" }
}

const EXAMPLES: [Example; 23] = [
    Example {
        restart: "\"ssh\", \"sshd\"",
        ..plain(
            "file.setting",
            "config-line",
            r#"path     = "/etc/ssh/sshd_config"  # CHANGE: a file below /etc
format   = "sshd"                   # how the file is read: sshd, ssh, smbconf, ini, postconf, gitconfig, bind, pam
# section = "global"                # for smbconf and ini
key      = "X11Forwarding"
value    = "no"
validate = "sshd"                   # the program that has to accept the result, for files that lock people out when they are wrong
"#,
        )
    },
    plain(
        "file.dropin",
        "config-line",
        r#"path     = "/etc/example.d/90-quell-own.conf"  # CHANGE: "quell" in the name tells others whose file it is
mode     = "0644"
content  = """
# by Quell
option = off
"""
"#,
    ),
    plain(
        "file.mode",
        "file-permission",
        r#"path     = "/usr/bin/example"  # CHANGE: `*` in the last part covers several files
clear    = ["suid"]             # suid, sgid, exec; or mode = "0755"
"#,
    ),
    plain(
        "kernel.sysctl",
        "sysctl",
        r#"key      = "kernel.dmesg_restrict"  # CHANGE
op       = "ge"                      # eq, ge, le
value    = 1
"#,
    ),
    Example {
        reboot: "if-loaded",
        ..plain(
            "kernel.module",
            "kernel-module",
            r#"name     = "dccp"  # CHANGE
blocked  = true
"#,
        )
    },
    plain(
        "service.state",
        "service",
        r#"name     = "example"  # CHANGE: never what administrators or the agent come in by
running  = false
start    = "masked"  # disabled, masked
"#,
    ),
    plain(
        "package.state",
        "package",
        r#"want     = "absent"  # absent, present, not-version (with versions = ["1.2*"])
names    = { apt = ["example"], dnf = ["example"] }  # CHANGE
"#,
    ),
    plain(
        "file.xml",
        "config-line",
        r#"path      = "/etc/example/config.xml"  # CHANGE: below /etc or /opt
element   = "/config/feature"
only      = { name = "risky" }           # attributes that pick the element
want      = "attribute"                  # present, absent, attribute, no-attribute, text
attribute = "enabled"
value     = "false"
"#,
    ),
    Example {
        reboot: "required",
        ..plain(
            "kernel.cmdline",
            "feature",
            r#"param    = "slab_nomerge"  # CHANGE: one of those that switch a protection on (docs/catalogue.md)
"#,
        )
    },
    plain(
        "firewall.rule",
        "firewall",
        r#"name      = "org-no-example"  # CHANGE
direction = "in"              # in, out
protocol  = "tcp"             # tcp, udp
ports     = ["9100"]          # a port by itself or a range, "137-139"
remote    = "any"             # any, internet, a network
action    = "drop"            # drop, reject
"#,
    ),
    plain(
        "archive.member_absent",
        "feature",
        r#"roots    = ["/opt/example"]        # CHANGE: searched with everything below
names    = ["example-core-*.jar"]
member   = "org/example/Risky.class"
nested   = false
"#,
    ),
    plain(
        "selinux.boolean",
        "feature",
        r#"name     = "deny_ptrace"  # CHANGE: a switch of the policy, as getsebool -a lists them
value    = true
"#,
    ),
    Example {
        restart: "\"smbd\", \"smb\"",
        ..plain(
            "file.list_setting",
            "config-line",
            r#"path     = "/etc/samba/smb.conf"  # CHANGE: a file below /etc
format   = "smbconf"              # smbconf, ini, postconf
section  = "*"                    # for smbconf and ini; * stands for any characters
key      = "vfs objects"
remove   = "example"              # the word that is to be in none of the lists
validate = "testparm"
"#,
        )
    },
    Example {
        restart: "\"named\", \"bind9\"",
        ..plain(
            "file.setting_absent",
            "config-line",
            r#"path     = "/etc/bind/named.conf.options"  # CHANGE: a file below /etc
format   = "bind"                          # any format but pam
key      = "example-option"
validate = "named"
"#,
        )
    },
    plain(
        "file.scan",
        "config-line",
        r#"rule     = "sudoers-all-but-root"  # what is looked for
"#,
    ),
    Example {
        first: r#"[[action]]
kind     = "file.dropin"
path     = "/etc/crypto-policies/policies/modules/QUELL-EXAMPLE.pmod"
mode     = "0644"
content  = """
hash = -SHA1
"""

"#,
        ..plain(
            "crypto_policy.module",
            "config-line",
            r#"name     = "QUELL-EXAMPLE"  # CHANGE: the module whose text the action before this writes
"#,
        )
    },
    plain(
        "windows.setting",
        "feature",
        r#"setting  = "ipv6-router-dns"  # ipv4-source-routing, ipv6-reassembly-limit, ipv6-router-dns, nfs2, nfs3, nfs4
value    = "disabled"
"#,
    ),
    plain(
        "file.acl",
        "file-permission",
        r#"path     = '%windir%\system32\vbscript.dll'  # CHANGE: one of those that may be denied (docs/catalogue.md)
want     = "deny-everyone"
"#,
    ),
    plain(
        "iis.rewrite_rule",
        "config-line",
        r#"site     = "Default Web Site"
name     = "org-no-example"               # CHANGE
words    = ["autodiscover", "powershell"]  # requests whose address holds all of them are ended
"#,
    ),
    Example {
        restart: "\"W3SVC\"",
        ..plain(
            "iis.global_module",
            "config-line",
            r#"name     = "TokenCacheModule"  # the one module there is a reason for
want     = "absent"
"#,
        )
    },
    plain(
        "registry.value",
        "registry",
        r#"key      = 'HKLM\SOFTWARE\Policies\Example'  # CHANGE
name     = "DisableFeature"
type     = "dword"  # dword, qword, sz, expand-sz, multi-sz
data     = 1
"#,
    ),
    plain(
        "registry.value_absent",
        "registry",
        r#"key      = 'HKLM\SOFTWARE\Policies\Example'  # CHANGE
name     = "EnableFeature"
"#,
    ),
    plain("registry.key_absent", "registry", "key      = 'HKLM\\SOFTWARE\\Classes\\example-protocol'  # CHANGE\n"),
];

/// Kinds that a skeleton can be made for.
fn kinds() -> String {
    EXAMPLES.iter().map(|example| example.kind).collect::<Vec<_>>().join(", ")
}

/// The text of a new entry.
///
/// # Errors
/// An unknown kind, or something that is neither a CVE nor a QID.
pub(super) fn skeleton(choice: &Choice<'_>) -> Result<String, Error> {
    let unknown = || Error::Argument(format!("there is no kind {:?}; known are {}", choice.kind, kinds()));
    let example = EXAMPLES.iter().find(|example| example.kind == choice.kind).ok_or_else(unknown)?;
    let quoted = |text: &str| serde_json::Value::String(text.to_owned()).to_string();
    let looks = example.kind == "file.scan";
    let of_windows = is_kind_of_windows(example.kind);
    let platform = if of_windows { "windows" } else { "linux" };
    let title = choice.title.map_or_else(|| format!("{} by the organisation", choice.kind), str::to_owned);
    let covers = match choice.covers.to_uppercase().parse::<Cve>() {
        Ok(cve) => format!(
            "cve      = \"{cve}\"\nqids     = []  # {{ qid = 1, source = \"...\" }}, where a scanner has one without the CVE\n"
        ),
        Err(_) => match choice.covers.parse::<u32>() {
            Ok(qid) => format!("qids     = [{{ qid = {qid}, source = \"our scanner's knowledge base\" }}]\n"),
            Err(_) => {
                return Err(Error::Argument(format!(
                    "{:?} is neither a CVE such as CVE-2024-6387 nor a QID",
                    choice.covers
                )));
            }
        },
    };
    let restart = match example.restart {
        "" => "# restart  = [\"example\"]  # names of one service that reads the change at its start: the first that exists\n".to_owned(),
        names => format!("restart    = [{names}]  # names of one service: the first that exists\n"),
    };
    Ok(format!(
        r#"# A mitigation of this organisation's own. The fields are described in docs/catalogue.md, the way to the agents in
# docs/custom-mitigations.md. CHANGE marks what is an example.
schema      = 1
id          = "{id}"  # never used again for something else; "org-" says whose it is
revision    = 1  # raised with every change that is signed
title       = {title}
status      = {status}
platform    = "{platform}"
type        = "{headline}"  # for filters; the actions decide
implication = "mitigation"  # takes 1 to 99 points off the score and has a rollback; a "fix" takes 100 and has none
# valid_until = "2027-12-31"  # last day on which it is offered

[[vulnerability]]
{covers}coverage = "full"  # full, substantial, partial
points   = {points}
vector   = "network"  # network, adjacent, local, physical

# Where the setting works; all of it must hold, absent means anywhere on the platform.
# [applies]
# os      = [{{ family = "debian", version = ">=12" }}, {{ family = "rhel" }}]
# package = [{{ any = ["example"], version = ">=1.0" }}]
# probe   = [{{ kind = "path.exists", path = "/etc/example" }}]

# Applied in order, reverted in reverse; more than one may follow.
{first}[[action]]
kind     = "{kind}"
{action}
[after]
{restart}reboot     = "{reboot}"  # no, if-loaded, required
reversible = "yes"  # yes, at-reboot, no

[human]
summary      = "CHANGE: what is weak, and how this closes it, in a sentence or two that an approver understands."
side_effects = "CHANGE: what stops working; programs that use it may need a restart."
risk         = "medium"  # low, medium, high
remove_when_patched = true

# Where the facts come from: the vendor, the CNA or a response team. read_on is the day on which one of you opened the page.
[[reference]]
url     = {reference}
kind    = "vendor"  # vendor, cna, cert, researcher
seen    = "vendor"  # vendor: the issuer's own text was read; mirror: a copy
# read_on = "2026-11-22"
"#,
        id = choice.id,
        title = quoted(&title),
        headline = example.headline,
        status = if looks {
            "\"check-only\"  # looks and changes nothing"
        } else {
            "\"active\"  # draft, while it is not to be offered"
        },
        points = if looks {
            "0  # it takes nothing off the score".to_owned()
        } else {
            format!("{}  # 1 to 99; above 60 nobody believes it", choice.points.unwrap_or(30))
        },
        first = example.first,
        kind = example.kind,
        action = example.action,
        reboot = example.reboot,
        reference = quoted(choice.reference.unwrap_or("https://vendor.example/advisory")),
    ))
}

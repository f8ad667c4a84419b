//! What the sample pages share: a time, people, a list, and the rules that every saved page is held to.

use crate::pages::chips::{Tone, When};
use crate::pages::lists::{Column, Empty, List, Tab};
use crate::pages::records::Entry;
use crate::pages::shell::{Person, Section, Shell};
use jiff::{SignedDuration, Timestamp};
use std::fs;
use std::path::{Path, PathBuf};

pub(super) fn now() -> Timestamp {
    "2026-11-22T14:06:43Z".parse().expect("a time")
}

pub(super) fn ago(minutes: i64) -> Timestamp {
    now() - SignedDuration::from_mins(minutes)
}

pub(super) fn when(minutes: i64) -> When {
    When::near(ago(minutes), now())
}

pub(super) fn shell(section: Section, title: &str) -> Shell {
    let person = Person { name: "Mara Okafor".into(), role: "Administrator".into() };
    let mut shell = Shell::new("0f2c", Some(person), section, title);
    shell.counts = vec![
        (Section::Vulnerabilities, 3_418),
        (Section::Items, 61_204),
        (Section::Assets, 2_104),
        (Section::Eliminations, 212),
        (Section::Jobs, 4),
        (Section::Scans, 2),
    ];
    shell
}

pub(super) fn entry(minutes: i64, tone: Tone, text: &str, by: &str) -> Entry {
    Entry { at: When::clock(ago(minutes)), tone, text: text.into(), by: by.into() }
}

pub(super) fn tab(label: &str, count: Option<i64>, current: bool) -> Tab {
    Tab { label: label.into(), count, href: "?".into(), current }
}

pub(super) fn fields() -> Vec<(String, String)> {
    [
        ("severity", "scanner severity, 1 to 5"),
        ("score", "detection score after mitigation"),
        ("cve", "a CVE id"),
        ("asset.tag", "a tag of the asset"),
        ("is", "mitigable, mitigated, open"),
    ]
    .map(|(name, meaning)| (name.to_owned(), meaning.to_owned()))
    .to_vec()
}

pub(super) fn list(
    path: &str,
    noun: &'static str,
    columns: &[Column],
    q: &str,
    sort: &str,
    shown: usize,
    total: i64,
) -> List {
    let mut list = List::new(path, noun, columns.to_vec(), q, sort, Empty::unmatched(noun, q, path));
    list.shown = shown;
    list.total = Some(total);
    list.fields = fields();
    list
}

pub(super) fn save(folder: &Path, name: &str, html: &str) {
    for banned in [" style=", " onclick", " onload", "javascript:", "hx-on", "<style", "hx-vals"] {
        assert!(!html.contains(banned), "{name} holds {banned}");
    }
    for part in html.split("<script").skip(1) {
        let tag = part.split('>').next().unwrap_or_default();
        assert!(tag.contains(" src="), "{name} holds an inline script");
    }
    if html.contains("<html") {
        assert_eq!(html.matches("<h1").count(), 1, "{name} has one main heading");
        assert_eq!(html.matches("<main").count(), 1, "{name} has one main part");
    }
    for table in html.split("<table").skip(1) {
        let head: String = table.chars().take(200).collect();
        assert!(head.contains("<caption"), "a table of {name} has no caption: {head}");
    }
    for part in html.split(crate::assets::ICONS_SVG).skip(2) {
        let icon = part.trim_start_matches('#').split('"').next().unwrap_or_default();
        assert!(crate::assets::ICONS.contains(&icon), "{name} names the icon {icon}, which the sprite lacks");
    }
    assert!(html.len() < 200_000, "{name} has {} bytes", html.len());
    fs::write(folder.join(format!("{name}.html")), html).expect("the gallery can be written");
}

pub(super) fn folder() -> PathBuf {
    let folder =
        std::env::var_os("QUELL_GALLERY").map_or_else(|| Path::new(env!("OUT_DIR")).join("gallery"), PathBuf::from);
    fs::create_dir_all(&folder).expect("the gallery can be made");
    for asset in crate::assets::ASSETS {
        let file = folder.join(asset.path.trim_start_matches('/'));
        fs::create_dir_all(file.parent().unwrap_or(&folder)).expect("the gallery can be made");
        fs::write(file, asset.bytes).expect("the gallery can be written");
    }
    folder
}

pub(super) type Sample = (&'static str, &'static str, &'static str, i64, i64, &'static str);
pub(super) const WEAK: [Sample; 14] = [
    (
        "38909",
        "SSH prefix truncation vulnerability (Terrapin)",
        "CVE-2023-48795",
        90,
        60,
        "Disable ChaCha20-Poly1305 and EtM in sshd",
    ),
    (
        "42046",
        "OpenSSH unauthenticated remote code execution (regreSSHion)",
        "CVE-2024-6387",
        95,
        41,
        "sshd: LoginGraceTime 0",
    ),
    ("380584", "sudo local privilege escalation via chroot", "CVE-2025-32463", 89, 89, "Restrict sudo chroot"),
    ("6001", "Linux kernel nf_tables use after free", "CVE-2024-1086", 90, 44, "Unprivileged user namespaces off"),
    (
        "198645",
        "polkit pkexec local privilege escalation (PwnKit)",
        "CVE-2021-4034",
        92,
        33,
        "pkexec: drop the setuid bit",
    ),
    ("91614", "Windows SMBv3 client and server remote code execution", "CVE-2020-0796", 95, 95, ""),
    ("38794", "TLS 1.0 and 1.1 protocol enabled", "", 61, 24, "TLS 1.2 as the lowest"),
    ("150201", "Apache HTTP Server mod_lua buffer overflow", "CVE-2021-44790", 83, 27, "mod_lua off"),
    ("520021", "Redis Lua sandbox escape", "CVE-2025-49844", 94, 39, "EVAL renamed"),
    ("379011", "curl SOCKS5 heap buffer overflow", "CVE-2023-38545", 72, 72, ""),
    ("19012", "OpenSSL punycode buffer overflow", "CVE-2022-3602", 68, 68, ""),
    ("105943", "rds kernel module local privilege escalation", "CVE-2010-3904", 74, 31, "Module rds blacklisted"),
    ("90043", "SMB signing not required", "", 48, 48, ""),
    ("11827", "HTTP security header not detected", "", 22, 22, ""),
];

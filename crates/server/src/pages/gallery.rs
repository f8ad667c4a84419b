//! Renders every page with sample data into a folder, so that people can look at them without a server, and holds
//! every page to the rules of the house: no inline script or style, one main heading, labelled tables and icons.
//!
//! The folder is `QUELL_GALLERY` or the build's output folder; serve it with any static file server.

use super::charts::{Areas, Layer, Spark};
use super::chips::{Bar, Change, Chip, Severity, Tone, When};
use super::forms::{Choice, Fault, Faults, Field};
use super::jobs::CountPart;
use super::lists::{Action, Empty, List, Menu, Pager, QueryError, Tab};
use super::records::{Entry, Fact, Value};
use super::shell::{Person, Section, Shell, Toast};
use super::*;
use jiff::{SignedDuration, Timestamp};
use std::fs;
use std::path::{Path, PathBuf};

fn now() -> Timestamp {
    "2026-11-22T14:06:43Z".parse().expect("a time")
}

fn ago(minutes: i64) -> Timestamp {
    now() - SignedDuration::from_mins(minutes)
}

fn when(minutes: i64) -> When {
    When::near(ago(minutes), now())
}

fn shell(section: Section, title: &str) -> Shell {
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

fn entry(minutes: i64, tone: Tone, text: &str, by: &str) -> Entry {
    Entry { at: When::clock(ago(minutes)), tone, text: text.into(), by: by.into() }
}

fn tab(label: &str, count: Option<i64>, current: bool) -> Tab {
    Tab { label: label.into(), count, href: "?".into(), current }
}

fn fields() -> Vec<(String, String)> {
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

fn list(path: &str, noun: &'static str, columns: &[Column], q: &str, sort: &str, shown: usize, total: i64) -> List {
    let mut list = List::new(path, noun, columns.to_vec(), q, sort, Empty::unmatched(noun, q, path));
    list.shown = shown;
    list.total = Some(total);
    list.fields = fields();
    list
}

fn save(folder: &Path, name: &str, html: &str) {
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

fn folder() -> PathBuf {
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

type Sample = (&'static str, &'static str, &'static str, i64, i64, &'static str);
const WEAK: [Sample; 14] = [
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

fn vulnerability_pages(out: &Path) {
    let rows: Vec<_> = WEAK
        .iter()
        .enumerate()
        .map(|(at, (qid, title, cve, before, after, remedy))| {
            let severity = Severity(match before {
                90.. => 5,
                80.. => 4,
                60.. => 3,
                40.. => 2,
                _ => 1,
            });
            vulnerabilities::VulnerabilityRow {
                key: (*qid).into(),
                qid: (*qid).into(),
                href: "vulnerability.html".into(),
                title: (*title).into(),
                cve: (!cve.is_empty()).then(|| (*cve).into()),
                more_cves: if at == 3 { 4 } else { 0 },
                severity,
                change: Change {
                    before: Some(*before),
                    after: Some(*after),
                    estimated: at == 13,
                    href: Some("score.html".into()),
                },
                assets: [144, 60, 204, 147, 58, 319, 44, 26, 18, 93, 7, 12, 1_204, 402][at],
                assets_href: "items.html".into(),
                response: vulnerabilities::response(
                    10,
                    if before == after {
                        0
                    } else if at % 3 == 0 {
                        10
                    } else {
                        4
                    },
                    at == 1,
                    !remedy.is_empty(),
                ),
                menu: Menu::dots(
                    format!("m-{qid}"),
                    format!("Quick actions for QID {qid}"),
                    vec![
                        Action::go("View Risk Elimination", "eliminations.html").icon("shield-half"),
                        Action::show("Score drill-down", "score.html").icon("activity"),
                        Action::go("Vulnerable items", "items.html").icon("list-check"),
                        Action::show("Rescan", "rescan.html")
                            .icon("radar")
                            .unless((at % 2 == 0).then(|| "the scanner is inactive".into())),
                    ],
                ),
            }
        })
        .collect();
    let mut frame = list(
        "/vulnerabilities",
        "vulnerabilities",
        &vulnerabilities::COLUMNS,
        "severity:[4,5] and is:open",
        "-score",
        rows.len(),
        3_418,
    );
    frame.columns.pick = true;
    frame.facet(
        "Severity",
        &[
            ("Urgent", "severity:5", Some("crit"), Some(41)),
            ("Critical", "severity:4", Some("high"), Some(96)),
            ("Serious", "severity:3", Some("med"), Some(58)),
        ],
    );
    frame.facet(
        "Response",
        &[
            ("Open", "is:open", None, Some(88)),
            ("Mitigable", "is:mitigable", None, Some(212)),
            ("Mitigated", "is:mitigated", None, Some(74)),
        ],
    );
    frame.pager = Pager { previous: None, next: Some("?cursor=x".into()) };
    frame.bulk = vec![
        Action::post("View Risk Elimination", "/x").icon("shield-half"),
        Action::post("Rescan", "/y").icon("radar").unless(Some("mixed sources".into())),
    ];
    let page = vulnerabilities::VulnerabilitiesPage {
        shell: shell(Section::Vulnerabilities, "Vulnerabilities").subtitle("3,418 on 2,104 assets"),
        list: frame.clone(),
        rows,
    };
    save(out, "vulnerabilities", &page.to_string());

    let mut wrong = frame;
    "severity:[4,5] and scor:>=90".clone_into(&mut wrong.q);
    wrong.error = Some(QueryError {
        hint: Some("Did you mean “score”?".into()),
        ..QueryError::cut("severity:[4,5] and scor:>=90", 19, 23, "there is no field “scor”")
    });
    wrong.shown = 0;
    wrong.facets.clear();
    wrong.empty = Empty::unmatched("vulnerabilities", "severity:[4,5] and scor:>=90", "/vulnerabilities");
    let page = vulnerabilities::VulnerabilitiesPage {
        shell: shell(Section::Vulnerabilities, "Vulnerabilities"),
        list: wrong,
        rows: vec![],
    };
    save(out, "query_error", &page.to_string());

    let page = vulnerabilities::VulnerabilityPage {
        shell: shell(Section::Vulnerabilities, "QID 38909").under("Vulnerabilities", "vulnerabilities.html"),
        title: "SSH prefix truncation vulnerability (Terrapin)".into(),
        id: "QID 38909".into(),
        severity: Severity(5),
        marks: vec![Chip::new(Tone::Mit, "Mitigable").with_icon("shield-half")],
        actions: vec![
            Action::show("Rescan", "rescan.html").icon("radar").unless(Some(
                "The scanner is inactive. A vulnerability administrator can activate it under Scanners.".into(),
            )),
            Action::go("View Risk Elimination", "eliminations.html").icon("shield-half"),
            Action::post("Mitigate Now", "/x").icon("shield-half").primary().key('m'),
        ],
        change: Change::new(Some(90), Some(60)).linked("score.html"),
        tabs: vec![
            tab("Overview", None, true),
            tab("Assets", Some(144), false),
            tab("Eliminations", Some(1), false),
            tab("Activity", None, false),
        ],
        facts: vec![
            Fact::new("CVEs", Value::code("CVE-2023-48795")),
            Fact::new("CVSS 3.1", Value::text("5.9")),
            Fact::new("Category", Value::text("General remote services")),
            Fact::new("Published", Value::text("19 Dec 2023")),
            Fact::new("Last changed", Value::text("4 Nov 2026")),
        ],
        texts: vec![
            (
                "Threat",
                sanitise::html(
                    "The SSH protocol lets a man in the middle <b>remove messages</b> at the start of the secure channel.<P>Affected: ciphers with <code>ChaCha20-Poly1305</code>.<script>alert(1)</script>",
                ),
            ),
            (
                "Solution",
                sanitise::html(
                    "Update the server. <ul><li>OpenSSH 9.6 or later<li>see <a href=\"https://example.org/\">the advisory</a></ul>",
                ),
            ),
        ],
        found: (1..6)
            .map(|n| vulnerabilities::FoundRow {
                number: format!("VIT000{n}204"),
                href: "item.html".into(),
                asset: format!("web-fra-0{n}"),
                ip: format!("10.20.4.{n}"),
                status: Chip::new(Tone::Warn, "Active"),
                mitigation: (n < 3).then(|| Chip::new(Tone::Mit, "Mitigated")),
                change: Change::new(Some(90), Some(if n < 3 { 60 } else { 90 })).linked("score.html"),
                seen: Some(when(n * 90)),
            })
            .collect(),
        found_total: (144, "items.html".into()),
        remedies: vec![vulnerabilities::RemedyRow {
            title: "Disable ChaCha20-Poly1305 and EtM in sshd".into(),
            href: "mitigation.html".into(),
            text: "Covers CVE-2023-48795 in full, 30 points. Reversible without a restart.".into(),
            kind: Chip::new(Tone::Mit, "Mitigation"),
        }],
        log: vec![
            entry(42, Tone::Mit, "Mitigated on web-fra-01", "MJ0001187"),
            entry(300, Tone::Info, "Imported from Qualys EU", "VINTRUN0000088"),
        ],
    };
    save(out, "vulnerability", &page.to_string());

    let page = vulnerabilities::ScorePage {
        shell: shell(Section::Vulnerabilities, "Detection score").under("Vulnerabilities", "vulnerabilities.html"),
        about: "QID 38909 on web-fra-01, 22/tcp".into(),
        before: 90,
        after: 60,
        estimated: false,
        formula: "Per CVE: inherent score less the points of the strongest effective control, never below 1. The detection has the highest of its CVEs.".into(),
        factors: vec![
            vulnerabilities::FactorRow { label: "Inherent score of CVE-2023-48795".into(), source: "QDS of the detection (no QVS known)".into(), before: "90".into(), after: "90".into(), lowers: false },
            vulnerabilities::FactorRow { label: "Disable ChaCha20-Poly1305 and EtM in sshd".into(), source: "effective since 14:02, verified by the agent".into(), before: "0".into(), after: "−30".into(), lowers: true },
        ],
        cves: vec![vulnerabilities::CveRow { cve: "CVE-2023-48795".into(), change: Change::new(Some(90), Some(60)), source: "QDS".into(), control: Some("ChaCha20 off · full · −30".into()), state: Chip::new(Tone::Mit, "Mitigated") }],
        history: vec![entry(42, Tone::Mit, "90 → 60: control effective", "MJ0001187"), entry(3_000, Tone::Info, "90 as imported", "VINTRUN0000088")],
        assets: vec![],
    };
    save(out, "score", &page.to_string());
}

fn elimination_pages(out: &Path) {
    let rows: Vec<_> = WEAK
        .iter()
        .filter(|row| !row.5.is_empty())
        .enumerate()
        .map(|(at, (qid, _, _, before, after, remedy))| eliminations::EliminationRow {
            key: (*qid).into(),
            title: (*remedy).into(),
            entry: format!("linux.sshd.{at}@3"),
            href: "mitigation.html".into(),
            kind: if at == 5 { Chip::new(Tone::Ok, "Fix") } else { Chip::new(Tone::Mit, "Mitigation") },
            platform: ("Linux".into(), "terminal-2"),
            qids: (*qid).into(),
            assets: (40 + i64::try_from(at).unwrap_or(0), 44),
            assets_href: "items.html".into(),
            change: Change::new(Some(*before), Some((*after).min(60))),
            reversible: if at == 5 { "no way back".into() } else { "yes, no restart".into() },
            mitigate: Action::post("Mitigate Now", "/x")
                .unless((at == 4).then(|| "no asset with this weakness has an agent".into())),
            menu: Menu::dots(
                format!("m-{at}"),
                "Quick actions",
                vec![
                    Action::show("Details", "mitigation.html").icon("info-circle"),
                    Action::go("Vulnerable items", "items.html").icon("list-check"),
                ],
            ),
        })
        .collect();
    let page = eliminations::EliminationsPage {
        shell: shell(Section::Eliminations, "Eliminations"),
        list: list("/eliminations", "eliminations", &eliminations::COLUMNS, "", "-score", rows.len(), 212),
        about: Some(("QID 38909".into(), "vulnerability.html".into())),
        rows,
    };
    save(out, "eliminations", &page.to_string());
    let page = eliminations::MitigationPage {
        shell: shell(Section::Eliminations, "Disable ChaCha20-Poly1305 and EtM in sshd")
            .under("Eliminations", "eliminations.html"),
        marks: vec![
            Chip::new(Tone::Mit, "Mitigation"),
            Chip::new(Tone::Info, "Linux"),
            Chip::new(Tone::Ok, "Reversible"),
        ],
        summary: "Leaves the server only ciphers and MACs that the attack cannot use.".into(),
        side_effects: vec!["Clients that offer nothing but ChaCha20 cannot connect any more.".into()],
        facts: vec![
            Fact::new("Entry", Value::code("linux.sshd.terrapin@3")),
            Fact::new("Digest", Value::code("sha256:8f14e45fceea167a5a36dedd4bea2543")),
            Fact::new("Signed by", Value::text("Content key 1 of 1")),
        ],
        covers: vec![eliminations::CoverRow {
            cve: "CVE-2023-48795".into(),
            coverage: Chip::new(Tone::Mit, "Full"),
            points: 30,
            note: "None of the remaining modes can be truncated.".into(),
        }],
        steps: vec![(
            "Wanted state".into(),
            "/etc/ssh/sshd_config\n  Ciphers -chacha20-poly1305@openssh.com\n  MACs -*-etm@openssh.com".into(),
        )],
        references: vec![("Vendor note".into(), "https://example.org/".into())],
        actions: vec![Action::post("Mitigate Now", "/x").icon("shield-half").primary()],
    };
    save(out, "mitigation", &page.to_string());
}

fn frame(step: usize) -> wizard::WizardFrame {
    let recaps = [
        "Terrapin on bastions",
        "3 assets",
        "1 action · QID 38909",
        "24 Nov 02:00, agent time",
        "2 recipients",
        "1 co-author",
        "",
    ];
    let steps = wizard::STEPS
        .iter()
        .zip(recaps)
        .enumerate()
        .map(|(at, (label, recap))| wizard::StepLink {
            label,
            recap: if at < step { recap.into() } else { String::new() },
            progress: if at < step {
                wizard::Progress::Done
            } else if at == step {
                wizard::Progress::Current
            } else {
                wizard::Progress::Ahead
            },
            href: if at <= step { "wizard_basic.html".into() } else { String::new() },
        })
        .collect();
    let questions = [
        "What is this job called?",
        "Which assets does it run on?",
        "What is done on them?",
        "When do the agents run it?",
        "Who is told about it?",
        "Who else may act on it?",
        "Is everything right?",
    ];
    wizard::WizardFrame {
        steps,
        heading: wizard::STEPS[step].into(),
        question: format!("Step {} of 7 · {}", step + 1, questions[step]),
        to: "#".into(),
        version: "4".into(),
        faults: Faults::default(),
        back: (step > 0).then(|| "#".into()),
        next: wizard::STEPS.get(step + 1).map_or_else(String::new, |next| format!("Next: {next}")),
        summary: vec![
            Fact::new("Platform", Value::text("Linux")),
            Fact::new("Assets", Value::text("3")),
            Fact::new("Actions", Value::text("1")),
            Fact::new("QIDs", Value::code("38909")),
            Fact::new("Score", Value::Change(Change::new(Some(90), Some(60)))),
            Fact::new("Reversible", Value::text("yes, no restart")),
        ],
        runs: vec![
            ("Europe/Berlin · 2".into(), "Tue 24 Nov 02:00".into()),
            ("unknown zone · 1".into(), "Tue 24 Nov 02:00 UTC".into()),
        ],
        runs_note: "First start 01:00 UTC, last 02:00 UTC.".into(),
        saved: "Draft saved 14:02".into(),
        close: "jobs.html".into(),
        discard: "/x".into(),
    }
}

fn asset_row(n: i64, reason: Option<&str>) -> wizard::AssetRow {
    wizard::AssetRow {
        key: n.to_string(),
        name: format!("web-fra-0{n}"),
        href: "asset.html".into(),
        ip: format!("10.20.4.{n}"),
        os: "Debian GNU/Linux 12".into(),
        icon: "brand-debian",
        agent: if reason.is_some() { Chip::new(Tone::Idle, "No agent") } else { Chip::new(Tone::Ok, "Connected") },
        qids: "38909".into(),
        change: Change::new(Some(90), Some(60)),
        reason: reason.map(Into::into),
    }
}

fn wizard_pages(out: &Path) {
    let title = || shell(Section::Jobs, "Create: Linux Mitigation Job").under("Mitigation jobs", "jobs.html");
    let faults = vec![Fault::new("title", "A job needs a title.")];
    let mut first = frame(0);
    first.faults = Faults(faults.clone());
    let page = wizard::BasicPage {
        shell: title(),
        frame: first,
        fields: vec![
            Field::line("title", "Job title", "")
                .required()
                .focus()
                .help("Shown in lists and in mail.")
                .faulted(&faults),
            Field::text("description", "Description", "Terrapin on the bastions until the update window.", 4),
        ],
    };
    save(out, "wizard_basic", &page.to_string());
    let page = wizard::AssetsPage {
        shell: title(),
        frame: frame(1),
        chosen: (1..4).map(|n| asset_row(n, None)).collect(),
        barred: vec![
            asset_row(7, Some("no agent is enrolled on it")),
            asset_row(8, Some("its agent has not been linked to it yet")),
        ],
        remove_only: true,
        remove: "#".into(),
        removed_note: Some("web-fra-04 was removed. QID 42046 went with it, no other asset has it.".into()),
        install: Some("curl -fsSk https://quell.example:7443/install.sh | sudo sh -s -- --token qe_9f…".into()),
    };
    save(out, "wizard_assets", &page.to_string());
    let page = wizard::ActionsPage {
        shell: title(),
        frame: frame(2),
        rows: vec![wizard::ActionRow {
            key: "1".into(),
            title: "Disable ChaCha20-Poly1305 and EtM in sshd".into(),
            entry: "linux.sshd.terrapin@3".into(),
            details: "mitigation.html".into(),
            qids: "38909".into(),
            cves: "CVE-2023-48795".into(),
            coverage: Chip::new(Tone::Mit, "Full"),
            points: 30,
            notes: vec![Chip::new(Tone::Info, "reversible"), Chip::new(Tone::Info, "no restart")],
            assets: 3,
            removable: true,
        }],
        uncovered: vec![],
        remove: "#".into(),
    };
    save(out, "wizard_actions", &page.to_string());
    let page = wizard::SchedulePage {
        shell: title(),
        frame: frame(3),
        timed: true,
        date: Field::typed("date", "date", "Start date", "2026-11-24"),
        time: Field::typed("time", "time", "Start time", "02:00"),
        zone: Field::select(
            "zone",
            "Time zone",
            "",
            vec![Choice::new("", "Agent time zone (each asset's own)"), Choice::new("Europe/Berlin", "Europe/Berlin")],
        ),
        echo: Some("Tuesday 24 November 2026 at 02:00 in each agent's own time zone.".into()),
        warning: None,
    };
    save(out, "wizard_schedule", &page.to_string());
    let page = wizard::OptionsPage {
        shell: title(),
        frame: frame(4),
        recipients: Field::text("recipients", "Send mail to", "ops@example.org\nciso@example.org", 4)
            .mono()
            .help("One address per line, at most 50."),
        on_start: true,
        on_share: true,
        share: Field::typed("number", "share", "Percentage of assets that have reported", "100"),
        no_mail: None,
    };
    save(out, "wizard_options", &page.to_string());
    let page = wizard::AccessPage {
        shell: title(),
        frame: frame(5),
        owner: "Mara Okafor".into(),
        authors: vec![wizard::AuthorRow {
            key: "2".into(),
            name: "Sola Adeyemi".into(),
            allows: "Job author: may edit, enable and disable".into(),
        }],
        candidates: vec![Choice::new("3", "Jan Petrov · job reader")],
        locked: None,
    };
    save(out, "wizard_access", &page.to_string());
    let part = |label, facts| wizard::ReviewPart { label, href: "#".into(), facts };
    let page = wizard::ConfirmPage {
        shell: title(),
        frame: frame(6),
        parts: vec![
            part(
                "Basic information",
                vec![
                    Fact::new("Title", Value::text("Terrapin on bastions")),
                    Fact::new("Description", Value::text("Until the update window.")),
                ],
            ),
            part(
                "Select assets",
                vec![
                    Fact::new("Assets", Value::text("web-fra-01, web-fra-02, web-fra-03")),
                    Fact::new("QIDs", Value::code("38909")),
                ],
            ),
            part(
                "Select actions",
                vec![
                    Fact::new("Action", Value::text("Disable ChaCha20-Poly1305 and EtM in sshd")),
                    Fact::new("Score", Value::Change(Change::new(Some(90), Some(60)))),
                ],
            ),
            part("Schedule", vec![Fact::new("Start", Value::text("24 Nov 2026 02:00, agent time zone"))]),
        ],
        exact: vec![("linux.sshd.terrapin@3, exactly".into(), "set /etc/ssh/sshd_config …".into())],
        first: true,
        no_enable: None,
        no_save: None,
    };
    save(out, "wizard_confirm", &page.to_string());
}

fn job_live() -> jobs::JobLive {
    let task = |n: i64, tone, word: &str, steps, detail: &str, took: &str, after| jobs::TaskRow {
        id: n.to_string(),
        asset: format!("fs-{}-{n:02}", ["fra", "ber", "lon", "par"][usize::try_from(n % 4).unwrap_or(0)]),
        href: "asset.html".into(),
        ip: format!("10.2{}.4.{n}", n % 4),
        action: "sshd".into(),
        state: Chip::new(tone, word),
        steps,
        detail: detail.into(),
        took: took.into(),
        change: Change::new(Some(95), after),
        evidence: if n == 9 {
            "/etc/ssh/sshd_config\n- #LoginGraceTime 2m\n+ LoginGraceTime 0".into()
        } else {
            String::new()
        },
    };
    let s = jobs::steps;
    jobs::JobLive {
        status: Chip::new(Tone::Run, "Running"),
        line: "On demand · started 14:00:02 by Mara Okafor · 6 min 41 s".into(),
        counts: [
            (Tone::Mit, 41, "Mitigated"),
            (Tone::Fail, 3, "Failed"),
            (Tone::Run, 6, "Running"),
            (Tone::Idle, 10, "Queued"),
        ]
        .map(|(tone, number, label)| CountPart { tone, number, label })
        .to_vec(),
        bar: Bar::new(&[(Tone::Mit, 41, "mitigated"), (Tone::Fail, 3, "failed"), (Tone::Run, 6, "running")], 60).tall(),
        aside: "50 of 60 have reported or are at work".into(),
        tabs: vec![
            tab("All", Some(60), true),
            tab("Failed", Some(3), false),
            tab("Running", Some(6), false),
            tab("Mitigated", Some(41), false),
            tab("Queued", Some(10), false),
        ],
        tasks: vec![
            task(
                1,
                Tone::Fail,
                "Failed",
                s(2, Some(Tone::Fail), Tone::Ok),
                "1 Failed · /etc/ssh/sshd_config is immutable",
                "0:21",
                None,
            ),
            task(
                2,
                Tone::Fail,
                "Failed",
                s(2, Some(Tone::Fail), Tone::Ok),
                "1 Failed · sshd -t refused the new file, put back",
                "3:00",
                None,
            ),
            task(
                3,
                Tone::Warn,
                "Unknown",
                s(3, Some(Tone::Warn), Tone::Ok),
                "The agent went silent after it began",
                "5:10",
                None,
            ),
            task(
                4,
                Tone::Run,
                "Verifying",
                s(4, Some(Tone::Run), Tone::Ok),
                "Asking sshd for its settings",
                "1:42",
                None,
            ),
            task(5, Tone::Run, "Applying", s(3, Some(Tone::Run), Tone::Ok), "Writing LoginGraceTime", "1:37", None),
            task(6, Tone::Run, "Checking", s(1, Some(Tone::Run), Tone::Ok), "Reading the file", "0:03", None),
            task(9, Tone::Mit, "Mitigated", s(5, None, Tone::Ok), "0 Succeeded", "2:10", Some(41)),
            task(
                10,
                Tone::Mit,
                "Mitigated",
                s(5, None, Tone::Ok),
                "33/203 Skipped · already in place, put there by others",
                "2:08",
                Some(41),
            ),
            task(11, Tone::Idle, "Not applicable", s(5, None, Tone::Ok), "101 Skipped · no sshd here", "0:05", None),
            task(12, Tone::Idle, "Queued", s(0, None, Tone::Ok), "Waiting for its turn", "–", None),
            task(13, Tone::Warn, "Waiting for agent", s(0, None, Tone::Ok), "Last contact 3 h ago", "–", None),
        ],
        many: false,
        more: 49,
        risk: [
            ("Before", 95, Tone::Fail, "Critical"),
            ("Now", 58, Tone::Warn, "Medium"),
            ("Target", 41, Tone::Mit, "Medium"),
        ]
        .map(|(label, score, tone, word)| (label, Bar::new(&[(tone, score, "points")], 100), score, word))
        .to_vec(),
        log: vec![
            entry(0, Tone::Ok, "fs-par-02 verified: LoginGraceTime 0", ""),
            entry(1, Tone::Run, "fs-fra-01 verify started", ""),
            entry(1, Tone::Fail, "fs-ber-07 apply failed: the file is immutable", ""),
            entry(6, Tone::Run, "Run 1 started", "Mara Okafor"),
        ],
    }
}

fn job_pages(out: &Path) {
    type Row = (&'static str, Chip, [i64; 4], i64, i64, &'static str, i64);
    let rows: [Row; 9] = [
        ("Terrapin on bastions", Chip::new(Tone::Run, "Running"), [41, 1, 6, 60], 95, 41, "On demand", 6),
        ("regreSSHion: LoginGraceTime 0", Chip::new(Tone::Run, "Running"), [112, 0, 8, 144], 92, 38, "On demand", 11),
        (
            "Remove the JndiLookup class (Log4j 2.x)",
            Chip::new(Tone::Warn, "Partial · 4"),
            [86, 4, 0, 90],
            100,
            22,
            "21 Nov 23:00 UTC",
            540,
        ),
        (
            "Kernel: unprivileged user namespaces off",
            Chip::new(Tone::Sched, "Scheduled"),
            [0, 0, 0, 147],
            90,
            44,
            "24 Nov 02:00 agent",
            -780,
        ),
        (
            "sudo chroot restricted",
            Chip::new(Tone::Ok, "Completed"),
            [204, 0, 0, 204],
            89,
            35,
            "20 Nov 22:00 UTC",
            2_900,
        ),
        (
            "HTTP/2 off on the reverse proxies",
            Chip::new(Tone::Fail, "Failed"),
            [0, 19, 0, 19],
            87,
            87,
            "On demand",
            2_900,
        ),
        ("pkexec: drop the setuid bit", Chip::new(Tone::Ok, "Completed"), [58, 0, 0, 58], 91, 33, "On demand", 7_200),
        (
            "TLS 1.0 and 1.1 off on the old web tier",
            Chip::new(Tone::Idle, "Disabled"),
            [0, 0, 0, 44],
            61,
            24,
            "1 Dec 04:00 UTC",
            9_000,
        ),
        ("Redis: EVAL renamed", Chip::new(Tone::Ok, "Completed"), [18, 0, 0, 18], 94, 39, "On demand", 13_000),
    ];
    let rows: Vec<_> = rows
        .into_iter()
        .enumerate()
        .map(|(at, (title, status, [done, failed, running, of], before, after, schedule, minutes))| jobs::JobRow {
            number: format!("MJ000{}", 1_187 - at),
            href: "job.html".into(),
            title: title.into(),
            platform: ("terminal-2", "Linux"),
            status,
            bar: Bar::new(
                &[(Tone::Ok, done, "succeeded"), (Tone::Fail, failed, "failed"), (Tone::Run, running, "running")],
                of,
            ),
            done: done + failed,
            of,
            change: Change::new(Some(before), Some(after)),
            schedule: schedule.into(),
            owner: "M. Okafor".into(),
            activity: Some(when(minutes)),
            menu: Menu::dots(
                format!("m-{at}"),
                "Quick actions",
                vec![
                    Action::go("View progress", "job.html").icon("activity"),
                    Action::post("Enable", "/x")
                        .icon("player-play")
                        .unless((at != 7).then(|| "it is enabled already".into())),
                    Action::post("Disable", "/x").icon("player-pause"),
                    Action::go("Edit", "wizard_basic.html").icon("pencil"),
                    Action::post("Delete", "/x").icon("trash").danger().asking(
                        "Delete MJ0001187",
                        "The job and its history are removed. Mitigations stay in force.",
                        "Delete",
                    ),
                ],
            ),
        })
        .collect();
    let mut frame = list("/jobs", "mitigation jobs", &jobs::COLUMNS, "", "-activity", rows.len(), 128);
    frame.columns.pick = true;
    for (label, q, n) in [
        ("All jobs", "", 128),
        ("Running", "is:running", 3),
        ("Scheduled", "is:scheduled", 9),
        ("Needs attention", "is:failed", 3),
        ("Mine", "owner:me", 21),
    ] {
        frame.tab(label, q, Some(n));
    }
    frame.bulk = vec![
        Action::post("Disable", "/x").icon("player-pause"),
        Action::post("Delete", "/x").icon("trash").danger().asking("Delete the selected jobs", "", "Delete"),
    ];
    let mut top = shell(Section::Jobs, "Mitigation jobs")
        .action(Action::go("Create job", "eliminations.html").icon("plus").primary().key('c'));
    top.toasts = vec![Toast {
        tone: Tone::Run,
        text: "The scan request is being processed.".into(),
        link: Some(("View status".into(), "scan.html".into())),
    }];
    save(out, "jobs", &jobs::JobsPage { shell: top, list: frame.clone(), rows }.to_string());

    let mut nothing = frame;
    nothing.shown = 0;
    nothing.total = Some(0);
    nothing.empty = Empty::yet(
        "player-play",
        "No mitigation jobs yet",
        "A job starts from an elimination: choose a vulnerability, see what removes its risk, mitigate now.",
    )
    .with(Action::go("See eliminations", "eliminations.html").primary());
    let mut top = shell(Section::Jobs, "Mitigation jobs");
    top.halt =
        Some("Mara Okafor halted all agents at 14:02: “change freeze”. Nothing starts until it is lifted.".into());
    save(out, "jobs_empty", &jobs::JobsPage { shell: top, list: nothing, rows: vec![] }.to_string());

    let page = jobs::JobPage {
        shell: shell(Section::Jobs, "MJ0001187").under("Mitigation jobs", "jobs.html").action(
            Action::post("Cancel run", "/x").icon("square").danger().asking(
                "Cancel MJ0001187 on 16 assets",
                "Assets at work finish and report; the rest are skipped.",
                "Cancel run",
            ),
        ),
        title: "Terrapin on bastions".into(),
        description: String::new(),
        menu: Menu::dots(
            "m-job",
            "Quick actions",
            vec![
                Action::go("Edit", "wizard_basic.html").icon("pencil").unless(Some("it runs now".into())),
                Action::post("Roll back", "/x").icon("arrow-back-up"),
            ],
        ),
        live_from: Some("/jobs/MJ0001187/live".into()),
        live: job_live(),
        facts: vec![
            Fact::new("Owner", Value::text("Mara Okafor")),
            Fact::new("Co-authors", Value::text("")),
            Fact::new("Schedule", Value::text("On demand")),
            Fact::new("Recipients", Value::text("ops@example.org")),
            Fact::new("Created", Value::When(When::exact(ago(30)))),
        ],
        note: None,
    };
    save(out, "job", &page.to_string());
}

fn item_pages(out: &Path) {
    let rows: Vec<_> = WEAK
        .iter()
        .enumerate()
        .map(|(at, (qid, title, _, before, after, _))| items::ItemRow {
            number: format!("VIT000{}", 4_200 + at),
            href: "item.html".into(),
            title: (*title).into(),
            qid: (*qid).into(),
            asset: format!("web-fra-{at:02}"),
            asset_href: "asset.html".into(),
            state: if at == 6 {
                Chip::new(Tone::Ok, "Closed")
            } else if at % 4 == 0 {
                Chip::new(Tone::Run, "Investigating")
            } else {
                Chip::new(Tone::Warn, "Open")
            },
            mitigation: (before != after).then(|| Chip::new(Tone::Mit, "Mitigated")),
            change: Change::new(Some(*before), Some(*after)).linked("score.html"),
            source: if at % 3 == 0 { String::new() } else { "Qualys".into() },
            assignee: if at % 2 == 0 { "J. Petrov".into() } else { String::new() },
            seen: Some(when(90 * (1 + i64::try_from(at).unwrap_or(0)))),
            menu: Menu::dots(
                format!("m-{at}"),
                "Quick actions",
                vec![
                    Action::show("Rescan", "rescan.html").icon("radar"),
                    Action::post("Assign to me", "/x").icon("user"),
                ],
            ),
        })
        .collect();
    let mut frame = list("/items", "vulnerable items", &items::COLUMNS, "", "-score", rows.len(), 10_000);
    frame.capped = true;
    frame.columns.pick = true;
    frame.bulk = vec![Action::post("Rescan", "/x").icon("radar"), Action::post("Assign to me", "/x").icon("user")];
    for (label, q, n) in [
        ("All", "", None),
        ("Mine", "assignee:me", Some(12)),
        ("Open", "is:open", None),
        ("Mitigated", "is:mitigated", Some(74)),
        ("Drifted", "mitigation:drifted", Some(1)),
    ] {
        frame.tab(label, q, n);
    }
    save(
        out,
        "items",
        &items::ItemsPage { shell: shell(Section::Items, "Vulnerable items"), list: frame, rows }.to_string(),
    );

    let page = items::ItemPage {
        shell: shell(Section::Items, "VIT0004201").under("Vulnerable items", "items.html"),
        number: "VIT0004201".into(),
        title: "SSH prefix truncation vulnerability (Terrapin)".into(),
        marks: vec![Chip::new(Tone::Warn, "Open"), Chip::new(Tone::Mit, "Mitigated")],
        change: Change::new(Some(90), Some(60)).linked("score.html"),
        actions: vec![
            Action::show("Rescan", "rescan.html").icon("radar").key('r').primary(),
            Action::post("Assign to me", "/x").icon("user"),
            Action::post("Close", "/x").unless(Some("only an import closes an item".into())),
        ],
        facts: vec![
            Fact::new("Asset", Value::link("web-fra-01", "asset.html")),
            Fact::new("Vulnerability", Value::link("QID 38909", "vulnerability.html")),
            Fact::new("Source", Value::text("Qualys")),
            Fact::new("Integration", Value::text("Qualys EU")),
            Fact::new("Assigned to", Value::text("Jan Petrov")),
            Fact::new("Severity", Value::Severity(Severity(5))),
            Fact::new("First seen", Value::When(When::exact(ago(90_000)))),
            Fact::new("Last seen", Value::When(When::exact(ago(90)))),
            Fact::new("Remediation task", Value::text("")),
        ],
        detections: vec![items::DetectionRow {
            place: "22/tcp".into(),
            status: Chip::new(Tone::Warn, "Active"),
            change: Change::new(Some(90), Some(60)).linked("score.html"),
            first: Some(when(90_000)),
            last: Some(when(90)),
            result: "SSH-2.0-OpenSSH_9.2p1 Debian-2+deb12u1\nchacha20-poly1305@openssh.com".into(),
        }],
        controls: vec![(
            "Disable ChaCha20-Poly1305 and EtM in sshd".into(),
            Chip::new(Tone::Mit, "Effective"),
            30,
            "mitigation.html".into(),
        )],
        remedies: vec![("Update OpenSSH".into(), "Removes the weakness for good".into(), "mitigation.html".into())],
        scans: vec![items::ScanLine {
            number: "VSCAN0002041".into(),
            href: "scan.html".into(),
            state: Chip::new(Tone::Ok, "Complete"),
            verdict: Some(Chip::new(Tone::Mit, "Still present, mitigated")),
            at: when(60),
        }],
        texts: vec![("Threat", sanitise::html("A man in the middle can remove messages."))],
        log: vec![
            entry(42, Tone::Mit, "Mitigation none → mitigated", "MJ0001187"),
            entry(300, Tone::Info, "Assigned to Jan Petrov", "Mara Okafor"),
        ],
    };
    save(out, "item", &page.to_string());

    let page = items::RescanPage {
        shell: shell(Section::Items, "Rescan VIT0004201").under("Vulnerable items", "items.html"),
        to: "#".into(),
        facts: vec![
            Fact::new("Items", Value::text("1")),
            Fact::new("Asset", Value::text("web-fra-01")),
            Fact::new("Scanner", Value::text("Qualys EU")),
            Fact::new("Addresses", Value::code("10.20.4.1")),
        ],
        default_profile: Some("Quell verification".into()),
        profiles: vec![
            Choice::new("1", "Quell verification"),
            Choice::new("2", "Initial options"),
            Choice::new("3", "Full with authentication"),
        ],
        chosen: String::new(),
        specify: false,
        faults: Faults::default(),
        key: "0193".into(),
        reason: None,
        left_out: vec![],
        back: "item.html".into(),
    };
    save(out, "rescan", &page.to_string());
}

fn scan_live(part: usize) -> scans::ScanLive {
    let count = |tone, number, label| CountPart { tone, number, label };
    scans::ScanLive {
        state: Chip::new(Tone::Run, "Running"),
        line: "Requested by Jan Petrov 40 min ago · tracked until 23 Nov 2026 13:26 UTC at the latest".into(),
        note: (part == 0).then(|| "The scanner allows 2 scans at a time. One child waits for a free place.".into()),
        tabs: vec![
            tab("Details", None, part == 0),
            tab("Scans", Some(3), part == 1),
            tab("Source", Some(2), part == 2),
        ],
        part,
        facts: vec![
            Fact::new("Scan number", Value::code("VSCAN0002041")),
            Fact::new("Scanner source", Value::text("Qualys")),
            Fact::new("State", Value::text("Running")),
            Fact::new("Option profile", Value::text("Quell verification (default)")),
            Fact::new("Requested", Value::When(When::exact(ago(40)))),
        ],
        summary: vec![count(Tone::Ok, 1, "Completed"), count(Tone::Fail, 1, "Failed"), count(Tone::Run, 1, "Running")],
        bar: Bar::new(&[(Tone::Ok, 1, "completed"), (Tone::Fail, 1, "failed"), (Tone::Run, 1, "running")], 3).tall(),
        verdicts: vec![
            count(Tone::Ok, 1, "Fixed"),
            count(Tone::Mit, 1, "Still present, mitigated"),
            count(Tone::Warn, 0, "Still present"),
            count(Tone::Idle, 0, "Host not reached"),
        ],
        children: [
            ("Finished", Tone::Ok, ""),
            ("Error", Tone::Fail, "the appliance is offline"),
            ("Running", Tone::Run, "2 of 5 hosts done"),
        ]
        .into_iter()
        .enumerate()
        .map(|(at, (word, tone, detail))| scans::ChildRow {
            number: format!("VSCAN0002041-{}", at + 1),
            reference: format!("scan/176381{at}.22"),
            state: Chip::new(tone, word),
            place: format!("Qualys EU · appliance fra-{at} · Global Default Network"),
            profile: "Quell verification".into(),
            addresses: 5,
            detail: detail.into(),
            started: Some(when(38)),
            ended: (at < 2).then(|| when(9)),
        })
        .collect(),
        sources: vec![
            scans::SourceRow {
                number: "VIT0004201".into(),
                href: "item.html".into(),
                asset: "web-fra-01".into(),
                asset_href: "asset.html".into(),
                title: WEAK[0].1.into(),
                qid: "38909".into(),
                state: Chip::new(Tone::Warn, "Open"),
                remediation: Chip::new(Tone::Mit, "Mitigated"),
                change: Change::new(Some(90), Some(60)),
                verdict: Some(Chip::new(Tone::Mit, "Still present, mitigated")),
            },
            scans::SourceRow {
                number: "VIT0004209".into(),
                href: "item.html".into(),
                asset: "web-fra-02".into(),
                asset_href: "asset.html".into(),
                title: WEAK[1].1.into(),
                qid: "42046".into(),
                state: Chip::new(Tone::Ok, "Closed"),
                remediation: Chip::new(Tone::Ok, "Fixed"),
                change: Change::new(Some(95), None),
                verdict: Some(Chip::new(Tone::Ok, "Fixed")),
            },
        ],
        log: vec![
            entry(9, Tone::Ok, "Child 1 finished and its detections were imported", ""),
            entry(38, Tone::Run, "3 scans launched", ""),
            entry(40, Tone::Info, "Requested", "Jan Petrov"),
        ],
    }
}

fn scan_pages(out: &Path) {
    let rows: Vec<_> = [
        ("Running", Tone::Run, [1, 0, 2]),
        ("Complete", Tone::Ok, [3, 0, 3]),
        ("Timed out", Tone::Warn, [1, 0, 2]),
        ("Failed", Tone::Fail, [0, 1, 1]),
    ]
    .into_iter()
    .enumerate()
    .map(|(at, (word, tone, [done, failed, of]))| scans::ScanRow {
        number: format!("VSCAN000{}", 2_041 - at),
        href: "scan.html".into(),
        state: Chip::new(tone, word),
        bar: Bar::new(&[(Tone::Ok, done, "completed"), (Tone::Fail, failed, "failed")], of),
        done: format!("{}/{of}", done + failed),
        items: 2 + i64::try_from(at).unwrap_or(0),
        verdicts: if at == 1 {
            vec![Chip::new(Tone::Ok, "1 fixed"), Chip::new(Tone::Mit, "1 still present, mitigated")]
        } else {
            vec![]
        },
        source: "Qualys".into(),
        by: "Jan Petrov".into(),
        at: when(40 + 700 * i64::try_from(at).unwrap_or(0)),
    })
    .collect();
    save(
        out,
        "scans",
        &scans::ScansPage {
            shell: shell(Section::Scans, "Scan records"),
            list: list("/scans", "scan records", &scans::COLUMNS, "", "-requested", rows.len(), 4),
            rows,
        }
        .to_string(),
    );
    for (part, name) in [(0, "scan"), (1, "scan_scans"), (2, "scan_source")] {
        let page = scans::ScanPage {
            shell: shell(Section::Scans, "VSCAN0002041").under("Scan records", "scans.html"),
            menu: Some(Menu::dots(
                "m-scan",
                "Quick actions",
                vec![
                    Action::post("Stop tracking", "/x").icon("player-stop"),
                    Action::post("Rescan again", "/x").icon("radar"),
                ],
            )),
            live_from: (part == 0).then(|| "/scans/VSCAN0002041/live".into()),
            live: scan_live(part),
        };
        save(out, name, &page.to_string());
    }
}

fn asset_pages(out: &Path) {
    let rows: Vec<_> = (1_i64..11)
        .map(|n| assets::AssetRow {
            key: n.to_string(),
            name: format!("web-fra-{n:02}"),
            href: "asset.html".into(),
            ip: format!("10.20.4.{n}"),
            os: ["Debian GNU/Linux 12", "Ubuntu 24.04 LTS", "Red Hat Enterprise Linux 9.4", "Windows Server 2022"]
                [usize::try_from(n % 4).unwrap_or(0)]
            .into(),
            icon: assets::system_icon(
                ["Debian", "Ubuntu", "Red Hat", "Windows"][usize::try_from(n % 4).unwrap_or(0)],
                "linux",
            ),
            tags: vec!["prod".into(), "web".into()],
            criticality: 1 + n % 5,
            agent: match n % 4 {
                0 => Chip::new(Tone::Idle, "No agent"),
                1 => Chip::new(Tone::Warn, "Silent 3 h"),
                _ => Chip::new(Tone::Ok, "Connected"),
            },
            open: Bar {
                segments: [("crit", n % 3), ("high", 2), ("med", 3), ("low", 1)]
                    .map(|(class, value)| Segment { class, value, label: class })
                    .to_vec(),
                total: 10,
                tall: false,
            },
            open_count: 6 + n % 3,
            worst: Change::new(Some(95), Some(60)),
            menu: Menu::dots(
                format!("m-{n}"),
                "Quick actions",
                vec![
                    Action::show("Rescan", "rescan.html").icon("radar"),
                    Action::go("Open items", "items.html").icon("list-check"),
                ],
            ),
        })
        .collect();
    let mut frame = list("/assets", "assets", &assets::COLUMNS, "", "-score", rows.len(), 2_104);
    frame.columns.pick = true;
    frame.facet(
        "Agent",
        &[("Connected", "agent:connected", None, Some(2_000)), ("No agent", "agent:none", None, Some(104))],
    );
    frame.facet(
        "Platform",
        &[("Linux", "platform:linux", None, Some(1_700)), ("Windows", "platform:windows", None, Some(404))],
    );
    save(out, "assets", &assets::AssetsPage { shell: shell(Section::Assets, "Assets"), list: frame, rows }.to_string());

    let control = |at: usize, title: &str, tone, word: &str, ours: bool| assets::ControlRow {
        title: title.into(),
        entry: format!("linux.sshd.{at}@3"),
        href: "mitigation.html".into(),
        state: Chip::new(tone, word),
        covers: "QID 38909".into(),
        points: 30,
        job: ours.then(|| ("MJ0001187".into(), "job.html".into())),
        verified: Some(when(42)),
        expires: (at == 0).then(|| when(-40_000)),
        roll_back: Action::post("Roll back", "/x").unless((!ours).then(|| "it was put there by others".into())),
    };
    let page = assets::AssetPage {
        shell: shell(Section::Assets, "web-fra-01").under("Assets", "assets.html"),
        name: "web-fra-01".into(),
        icon: "brand-debian",
        marks: vec![Chip::new(Tone::Ok, "Agent connected"), Chip::new(Tone::Info, "prod"), Chip::new(Tone::Info, "web")],
        worst: Some(Change::new(Some(95), Some(60))),
        actions: vec![Action::show("Rescan", "rescan.html").icon("radar")],
        tabs: vec![],
        drift: Some("Somebody changed LoginGraceTime on the host 12 min ago. The score is back at 92 and the item is marked drifted.".into()),
        install: None,
        facts: vec![Fact::new("Address", Value::code("10.20.4.1")), Fact::new("System", Value::text("Debian GNU/Linux 12")), Fact::new("Criticality", Value::text("4 of 5")), Fact::new("Time zone", Value::text("Europe/Berlin")), Fact::new("Agent", Value::link("0.1.0, 12 s ago", "agent.html"))],
        controls: vec![control(0, "Disable ChaCha20-Poly1305 and EtM in sshd", Tone::Mit, "Effective", true), control(1, "sshd: LoginGraceTime 0", Tone::Fail, "Drifted", true), control(2, "pkexec: drop the setuid bit", Tone::Mit, "Effective", false)],
        findings: WEAK.iter().take(6).map(|(qid, title, _, before, after, _)| assets::FindingRow { number: format!("VIT000{qid}"), href: "item.html".into(), title: (*title).into(), qid: (*qid).into(), state: Chip::new(Tone::Warn, "Open"), mitigation: (before != after).then(|| Chip::new(Tone::Mit, "Mitigated")), change: Change::new(Some(*before), Some(*after)) }).collect(),
        findings_total: (14, "items.html".into()),
        sources: vec![("Qualys EU".into(), "host 4711".into(), "10.20.4.1".into(), "matched by agent id".into())],
        log: vec![entry(12, Tone::Fail, "Drift: LoginGraceTime changed", "agent"), entry(42, Tone::Mit, "Control effective: Terrapin", "MJ0001187")],
    };
    save(out, "asset", &page.to_string());
}

fn agent_pages(out: &Path) {
    let rows: Vec<_> = [
        ("Connected", Tone::Ok),
        ("Silent 3 h", Tone::Warn),
        ("Quarantined", Tone::Fail),
        ("Monitor only", Tone::Info),
    ]
    .into_iter()
    .enumerate()
    .map(|(at, (word, tone))| agents::AgentRow {
        key: at.to_string(),
        name: format!("web-fra-0{at}"),
        href: "agent.html".into(),
        state: Chip::new(tone, word),
        version: "0.1.0".into(),
        platform: ("Debian 12, x86_64".into(), "brand-debian"),
        contact: Some(when(180 * i64::try_from(at).unwrap_or(0))),
        zone: if at == 2 { "UTC (unknown)".into() } else { "Europe/Berlin".into() },
        asset: if at == 2 {
            Err("two assets have this machine id".into())
        } else {
            Ok((format!("web-fra-0{at}"), "asset.html".into()))
        },
        menu: Menu::dots(
            format!("m-{at}"),
            "Quick actions",
            vec![
                Action::post("Quarantine", "/x").icon("shield-off"),
                Action::post("Revoke", "/x").icon("ban").danger().asking(
                    "Revoke the agent on web-fra-00",
                    "It can do nothing until it enrols again.",
                    "Revoke",
                ),
            ],
        ),
    })
    .collect();
    let page = agents::AgentsPage {
        shell: shell(Section::Agents, "Agents")
            .action(Action::show("Enrol an agent", "enrol.html").icon("plus").primary()),
        list: list("/agents", "agents", &agents::COLUMNS, "", "name", rows.len(), 4),
        rows,
        tokens: vec![("fra rollout".into(), "17 of 50 left".into(), when(-1_400), Action::post("Revoke", "/x"))],
    };
    save(out, "agents", &page.to_string());
    let page = agents::AgentPage {
        shell: shell(Section::Agents, "web-fra-02").under("Agents", "agents.html"),
        name: "web-fra-02".into(),
        marks: vec![Chip::new(Tone::Ok, "Connected"), Chip::new(Tone::Warn, "Not linked")],
        actions: vec![Action::post("Quarantine", "/x").icon("shield-off").danger().asking(
            "Quarantine web-fra-02",
            "It is given no orders until it is released.",
            "Quarantine",
        )],
        facts: vec![
            Fact::new("Agent id", Value::code("01937c1e-7f3a-7cc2-b2f4-0d6f0f6a0c11")),
            Fact::new("Version", Value::text("0.1.0")),
            Fact::new("Time zone", Value::text("Europe/Berlin")),
        ],
        evidence: vec![
            ("Machine id".into(), "4f1c…".into(), "4f1c…".into(), Chip::new(Tone::Ok, "agrees")),
            (
                "Hardware address".into(),
                "52:54:00:12:34:56".into(),
                "52:54:00:aa:bb:cc".into(),
                Chip::new(Tone::Fail, "differs"),
            ),
        ],
        candidates: vec![(
            "web-fra-02 (10.20.4.2)".into(),
            "same machine id".into(),
            Action::post("Link", "/x").asking(
                "Link this agent to web-fra-02",
                "A wrong link would mitigate the wrong machine. This is audited.",
                "Link",
            ),
        )],
        capabilities: vec!["file.setting@1".into(), "kernel.sysctl@1".into(), "service.state@1".into()],
        log: vec![entry(42, Tone::Info, "Enrolled with token fra rollout", "")],
    };
    save(out, "agent", &page.to_string());
    let enrol = |made| agents::EnrolPage {
        shell: shell(Section::Agents, "Enrol an agent").under("Agents", "agents.html"),
        fields: vec![
            Field::line("name", "What it is for", "").required().focus(),
            Field::typed("number", "uses", "How many agents may use it", "1"),
            Field::typed("number", "hours", "Hours it is good for", "24"),
        ],
        faults: Faults::default(),
        made,
    };
    save(out, "enrol", &enrol(None).to_string());
    let made = agents::MadeToken {
        line:
            "sudo quell-agent enrol --server https://quell.example:7443 --token qe_c29tZXRoaW5nIGxvbmcgYW5kIHJhbmRvbQ"
                .into(),
        fingerprint: "sha256:9f86d081884c7d65…".into(),
        note: "Good for 1 agent until 23 Nov 2026 14:06 UTC.".into(),
    };
    save(out, "enrol_made", &enrol(Some(made)).to_string());
}

fn operation_pages(out: &Path) {
    let rows = vec![scanners::ScannerRow {
        name: "Qualys".into(),
        href: "scanner.html".into(),
        active: Chip::new(Tone::Idle, "Inactive"),
        source: "after the next import".into(),
        integrations: "Qualys EU".into(),
        imported: Some(when(42)),
        profile: "Quell verification".into(),
    }];
    save(
        out,
        "scanners",
        &scanners::ScannersPage {
            shell: shell(Section::Scanners, "Scanners"),
            columns: list("/scanners", "scanners", &scanners::COLUMNS, "", "", 1, 1).columns,
            rows,
        }
        .to_string(),
    );
    let page = scanners::ScannerPage {
        shell: shell(Section::Scanners, "Qualys").under("Scanners", "scanners.html"),
        to: "#".into(),
        active: true,
        locked: None,
        note: "Active since 14:02. Items show Qualys as their source, and can be rescanned, after the next import that starts from now.".into(),
        facts: vec![Fact::new("Next import", Value::When(when(-18)))],
        integrations: vec![scanners::IntegrationRow { name: "Qualys EU".into(), href: "integration.html".into(), address: "qualysapi.example.eu".into(), state: Chip::new(Tone::Ok, "Works"), last: Some(when(42)), next: Some(when(-18)), profile: "Quell verification".into(), import: Action::post("Import now", "/x") }],
        add: Action::go("Add integration", "integration.html").icon("plus"),
        log: vec![entry(4, Tone::Ok, "Activated", "Mara Okafor")],
    };
    save(out, "scanner", &page.to_string());
    let page = scanners::IntegrationPage {
        shell: shell(Section::Scanners, "Qualys EU").under("Scanners", "scanners.html").under("Qualys", "scanner.html"),
        to: "#".into(),
        groups: vec![
            (
                "Connection",
                "",
                vec![
                    Field::line("name", "Name", "Qualys EU").required(),
                    Field::typed("url", "address", "API address", "https://qualysapi.example.eu").required().mono(),
                    Field::select(
                        "method",
                        "Sign-in",
                        "basic",
                        vec![
                            Choice::new("basic", "Basic"),
                            Choice::new("session", "Session"),
                            Choice::new("jwt", "JWT"),
                        ],
                    ),
                ],
            ),
            (
                "Account",
                "The password is stored encrypted and never shown again. Leave it empty to keep the one stored.",
                vec![
                    Field::line("user", "User", "quell_api").autocomplete("off"),
                    Field::secret("password", "Password", "new-password").placeholder("unchanged"),
                ],
            ),
            (
                "Imports",
                "",
                vec![
                    Field::typed("number", "minutes", "Every so many minutes", "60"),
                    Field::select(
                        "profile",
                        "Default option profile",
                        "1",
                        vec![Choice::new("1", "Quell verification")],
                    ),
                ],
            ),
        ],
        faults: Faults::default(),
        tested: Some((true, "Signed in. 3 option profiles, 2 appliances and 5 asset groups can be read.".into())),
        test: Some("#".into()),
        locked: None,
        sync: Some("/x".into()),
        facts: vec![
            Fact::new("Option profiles", Value::text("3")),
            Fact::new("Appliances", Value::text("2")),
            Fact::new("Asset groups", Value::text("5")),
        ],
        actions: vec![Action::post("Import now", "/x").icon("database-import")],
    };
    save(out, "integration", &page.to_string());

    let rows: Vec<_> = [("Completed", Tone::Ok, 0), ("Failed", Tone::Fail, 0), ("Completed", Tone::Warn, 14)]
        .into_iter()
        .enumerate()
        .map(|(at, (word, tone, rejected))| imports::ImportRow {
            number: format!("VINTRUN00000{}", 88 - at),
            href: "import.html".into(),
            what: if at == 1 { "report.xml".into() } else { "Detections from Qualys EU".into() },
            state: Chip::new(tone, word),
            new: 120,
            updated: 44,
            unchanged: 60_412,
            rejected,
            at: when(42 + 60 * i64::try_from(at).unwrap_or(0)),
        })
        .collect();
    save(
        out,
        "imports",
        &imports::ImportsPage {
            shell: shell(Section::Imports, "Imports")
                .action(Action::show("Import a file", "upload.html").icon("upload").primary()),
            list: list("/imports", "imports", &imports::COLUMNS, "", "-started", rows.len(), 3),
            rows,
        }
        .to_string(),
    );
    let count = |tone, number, label| CountPart { tone, number, label };
    let page = imports::ImportPage {
        shell: shell(Section::Imports, "VINTRUN0000086").under("Imports", "imports.html"),
        what: "Detections from Qualys EU".into(),
        state: Chip::new(Tone::Warn, "Completed"),
        actions: vec![Action::go("Rejected rows (CSV)", "#").icon("download")],
        error: None,
        counts: vec![
            count(Tone::Ok, 120, "New"),
            count(Tone::Run, 44, "Updated"),
            count(Tone::Idle, 60_412, "Unchanged"),
            count(Tone::Info, 3, "Ignored"),
            count(Tone::Fail, 14, "Rejected"),
        ],
        facts: vec![
            Fact::new("Format", Value::text("Host list detection, API 5.0")),
            Fact::new("Started", Value::When(When::exact(ago(42)))),
            Fact::new("Took", Value::text("7.1 s")),
        ],
        raw: vec![("Hosts".into(), 2_104), ("Detections".into(), 60_593)],
        live_from: None,
        rejected: vec![(
            "host 4711, detection without a QID".into(),
            "the element QID is missing; the detection was left out".into(),
        )],
        rejected_more: 13,
        log: vec![entry(42, Tone::Run, "Started by schedule", "")],
    };
    save(out, "import", &page.to_string());
    let page = imports::UploadPage {
        shell: shell(Section::Imports, "Import a file").under("Imports", "imports.html"),
        fields: vec![Field::select("integration", "Belongs to", "1", vec![Choice::new("1", "Qualys EU")])],
        faults: Faults::default(),
        formats: vec![
            ("Host list detection XML", "detections per host"),
            ("Knowledge base XML", "vulnerabilities"),
            ("Asset data report XML", "scan reports"),
        ],
    };
    save(out, "upload", &page.to_string());
}

fn administration_pages(out: &Path) {
    let rows: Vec<_> = [
        ("mara", "Mara Okafor", "Administrator"),
        ("jan", "Jan Petrov", "Remediation owner"),
        ("audit", "External audit", "Read-only"),
    ]
    .into_iter()
    .enumerate()
    .map(|(at, (name, shown, role))| users::UserRow {
        name: name.into(),
        shown: shown.into(),
        href: "user.html".into(),
        roles: vec![role.into()],
        scope: if at == 1 { "tag web".into() } else { String::new() },
        groups: if at == 1 { "Web operations".into() } else { String::new() },
        state: if at == 2 { Chip::new(Tone::Idle, "Disabled") } else { Chip::new(Tone::Ok, "Active") },
        seen: Some(when(30)),
        menu: Menu::dots(
            format!("m-{at}"),
            "Quick actions",
            vec![Action::go("Edit", "user.html").icon("pencil"), Action::post("Disable", "/x").icon("ban").danger()],
        ),
    })
    .collect();
    save(
        out,
        "users",
        &users::UsersPage {
            shell: shell(Section::Users, "Users & roles")
                .action(Action::go("New user", "user.html").icon("user-plus").primary()),
            list: list("/users", "users", &users::COLUMNS, "", "name", rows.len(), 3),
            rows,
        }
        .to_string(),
    );
    let role = |value: &str, label: &str, means: &str, on, reason: Option<&str>| users::RoleChoice {
        choice: Choice::new(value, label),
        means: means.into(),
        on,
        reason: reason.map(Into::into),
    };
    let page = users::UserPage {
        shell: shell(Section::Users, "Jan Petrov").under("Users & roles", "users.html"),
        to: "#".into(),
        fields: vec![
            Field::line("name", "User name", "jan").required().readonly(true),
            Field::line("shown", "Name", "Jan Petrov"),
            Field::line("scope", "Only assets with these tags", "web")
                .help("Empty means every asset. Several tags are separated by commas."),
        ],
        roles: vec![
            role(
                "superuser",
                "SuperUser",
                "everything, roles and keys included",
                false,
                Some("only a SuperUser gives this role"),
            ),
            role("administrator", "Administrator", "set-up, users and every job", false, None),
            role("job_author", "Job author", "makes jobs and acts on their own", false, None),
            role(
                "remediation_owner",
                "Remediation owner",
                "works on items and tasks assigned to them, rescans them",
                true,
                None,
            ),
        ],
        faults: Faults::default(),
        password: Some("plum-orbit-cedar-lantern-42".into()),
        actions: vec![
            Action::post("New one-time password", "/x").icon("key"),
            Action::post("Disable", "/x").icon("ban").danger(),
        ],
    };
    save(out, "user", &page.to_string());
    let rows = vec![users::TokenRow {
        name: "Ticket bridge".into(),
        prefix: "quell_4f2a".into(),
        owner: "Mara Okafor".into(),
        may: vec!["read".into(), "jobs".into()],
        state: Chip::new(Tone::Ok, "Good"),
        expires: Some(when(-90_000)),
        used: Some(when(3)),
        menu: Menu::dots("m-1", "Quick actions", vec![Action::post("Revoke", "/x").icon("ban").danger()]),
    }];
    save(
        out,
        "tokens",
        &users::TokensPage {
            shell: shell(Section::Tokens, "API tokens")
                .action(Action::show("New token", "token.html").icon("plus").primary()),
            list: list("/tokens", "API tokens", &users::TOKEN_COLUMNS, "", "name", 1, 1),
            rows,
        }
        .to_string(),
    );
    let token = |made| users::TokenPage {
        shell: shell(Section::Tokens, "New API token").under("API tokens", "tokens.html"),
        fields: vec![
            Field::line("name", "What it is for", "").required(),
            Field::typed("number", "days", "Days it is good for", "90"),
        ],
        scopes: vec![
            role("read", "Read", "everything you may see", true, None),
            role("jobs", "Jobs", "make and change mitigation jobs", false, None),
        ],
        faults: Faults::default(),
        made,
    };
    save(out, "token", &token(None).to_string());
    save(out, "token_made", &token(Some("quell_4f2a_c29tZXRoaW5nIGxvbmcgYW5kIHJhbmRvbQ".into())).to_string());
    let rows: Vec<_> = (0_i64..6)
        .map(|n| audit::AuditRow {
            sequence: 9_120 - n,
            at: When::exact(ago(n * 9)),
            actor: "Mara Okafor".into(),
            from: "page, from 10.0.0.7".into(),
            action: "job.enable".into(),
            record: ("jobs/MJ0001187".into(), Some("job.html".into())),
            change: "status DISABLED → ENABLED".into(),
            bytes: "{\"action\":\"job.enable\",\"record\":\"jobs/MJ0001187\"}".into(),
            sealed: if n == 0 { Chip::new(Tone::Idle, "not yet") } else { Chip::new(Tone::Ok, "sealed") },
        })
        .collect();
    save(
        out,
        "audit",
        &audit::AuditPage {
            shell: shell(Section::Audit, "Audit log"),
            list: list("/audit", "audit entries", &audit::COLUMNS, "", "-sequence", rows.len(), 9_120),
            seal: "Sealed up to entry 9,119 at 14:05 UTC.".into(),
            rows,
        }
        .to_string(),
    );
}

fn other_pages(out: &Path) {
    save(
        out,
        "sign_in",
        &sign_in::SignInPage::new("t", "mara", "/", Some("The name or the password is wrong.".into())).to_string(),
    );
    save(
        out,
        "password",
        &sign_in::PasswordPage::new("t", true, vec![Fault::new("again", "The two new passwords differ.")]).to_string(),
    );
    save(
        out,
        "error",
        &errors::ErrorPage {
            shell: shell(Section::Elsewhere, "Not found"),
            status: 404,
            detail: "There is no job MJ0009999, or you may not see it.".into(),
            code: "not_found".into(),
            request: "01937c1e".into(),
        }
        .to_string(),
    );

    let days: Vec<String> = (0..90)
        .map(|day| format!("{} {}", 1 + (23 + day) % 30, ["Aug", "Sep", "Oct", "Nov"][(day + 7) / 30 % 4]))
        .collect();
    let wave = |base: f64, swing: f64, slope: f64| -> Vec<i64> {
        #[expect(clippy::cast_possible_truncation, reason = "sample data")]
        (0..90).map(|day| (base + (f64::from(day) / 6.0).sin() * swing + f64::from(day) * slope) as i64).collect()
    };
    let layer = |label, class, values| Layer { label, class, values };
    let stat = |label: &str, value: &str, note: &str, tone, values: Vec<i64>, line| home::Stat {
        label: label.into(),
        value: value.into(),
        note: note.into(),
        tone,
        spark: Some(Spark { values, tone: line }),
        href: "vulnerabilities.html".into(),
    };
    let page = home::HomePage {
        shell: shell(Section::Home, "Dashboard").subtitle("as of 14:06 UTC"),
        setup: vec![],
        stats: vec![
            stat(
                "Risk (mean of assets)",
                "612",
                "−84 in 90 days",
                Tone::Ok,
                vec![696, 690, 680, 660, 640, 622, 612],
                Tone::Run,
            ),
            stat(
                "Open critical + high",
                "224",
                "−158 in 90 days",
                Tone::Ok,
                vec![382, 370, 340, 300, 260, 240, 224],
                Tone::Fail,
            ),
            stat(
                "Mitigated, not yet fixed",
                "350",
                "12 expire within 30 days",
                Tone::Warn,
                vec![20, 60, 130, 180, 240, 300, 350],
                Tone::Mit,
            ),
            stat("Drifted controls", "3", "+1 this week", Tone::Fail, vec![1, 1, 0, 2, 2, 2, 3], Tone::Fail),
        ],
        over_time: Areas {
            title: "Open detections by band, and mitigated, over 90 days".into(),
            layers: vec![
                layer("Critical", "crit", wave(120.0, 6.0, -0.8)),
                layer("High", "high", wave(270.0, 8.0, -0.9)),
                layer("Medium", "med", wave(385.0, 9.0, -0.6)),
                layer("Low", "low", wave(165.0, 6.0, 0.0)),
                layer("Mitigated", "mit", wave(15.0, 4.0, 3.7)),
            ],
            labels: days,
        },
        stand: [
            ("crit", "Critical", [41, 6, 88, 312]),
            ("high", "High", [96, 37, 141, 904]),
            ("med", "Medium", [382, 0, 98, 1_201]),
            ("low", "Low", [160, 0, 23, 655]),
        ]
        .map(|(class, band, cells)| home::StandRow {
            class,
            band,
            cells: cells.map(|n| (n, "items.html".into())).to_vec(),
        })
        .to_vec(),
        next: WEAK
            .iter()
            .filter(|row| !row.5.is_empty())
            .take(5)
            .map(|(_, _, _, before, after, remedy)| home::NextRow {
                title: (*remedy).into(),
                href: "eliminations.html".into(),
                change: Change::new(Some(*before), Some((*after).min(60))),
                assets: 147,
                drop: -31,
                mitigate: "/x".into(),
            })
            .collect(),
        running: vec![
            home::RunningRow {
                number: "MJ0001187".into(),
                title: "Terrapin on bastions".into(),
                href: "job.html".into(),
                bar: Bar::new(&[(Tone::Ok, 41, "done"), (Tone::Fail, 3, "failed"), (Tone::Run, 6, "running")], 60),
                done: "44/60".into(),
                state: Chip::new(Tone::Run, "Running"),
            },
            home::RunningRow {
                number: "VSCAN0002041".into(),
                title: "Rescan of 2 items".into(),
                href: "scan.html".into(),
                bar: Bar::new(&[(Tone::Ok, 1, "done")], 3),
                done: "1/3".into(),
                state: Chip::new(Tone::Run, "Scanning"),
            },
        ],
    };
    save(out, "home", &page.to_string());
    let mut fresh = page;
    fresh.setup = vec![
        home::Setup {
            label: "Connect a scanner".into(),
            text: "So that Quell knows what is exposed".into(),
            href: "integration.html".into(),
            done: true,
        },
        home::Setup {
            label: "Enrol an agent".into(),
            text: "So that something can be done about it".into(),
            href: "enrol.html".into(),
            done: false,
        },
        home::Setup {
            label: "Run the first mitigation job".into(),
            text: "Choose an elimination and mitigate".into(),
            href: "eliminations.html".into(),
            done: false,
        },
    ];
    fresh.next.clear();
    fresh.running.clear();
    fresh.over_time = Areas::default();
    save(out, "home_fresh", &fresh.to_string());
}

#[test]
fn every_page_renders_within_the_rules() {
    let out = folder();
    vulnerability_pages(&out);
    elimination_pages(&out);
    wizard_pages(&out);
    job_pages(&out);
    item_pages(&out);
    scan_pages(&out);
    asset_pages(&out);
    agent_pages(&out);
    operation_pages(&out);
    administration_pages(&out);
    other_pages(&out);
    let live = job_live().to_string();
    assert!(!live.contains("<html"), "a live part is a fragment");
}

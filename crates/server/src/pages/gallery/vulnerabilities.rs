//! Vulnerabilities and their eliminations.

use super::sample::{WEAK, entry, list, save, shell, tab, when};
use crate::pages::chips::{Change, Chip, Severity, Tone};
use crate::pages::lists::{Action, Empty, Menu, Pager, QueryError};
use crate::pages::records::{Fact, Value};
use crate::pages::shell::Section;
use crate::pages::{eliminations, platform, sanitise, vulnerabilities};
use std::path::Path;

pub(super) fn pages(out: &Path) {
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
                status: if before == after {
                    Chip::new(Tone::Idle, "Open")
                } else if at % 3 == 0 {
                    Chip::new(Tone::Mit, "Mitigated")
                } else {
                    Chip::new(Tone::Warn, "Partly mitigated")
                },
                mitigable: !remedy.is_empty(),
                job: (before != after).then(|| ("MJ0000042".into(), "job.html".into())),
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
        unsound: Vec::new(),
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

pub(super) fn eliminations(out: &Path) {
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
        kept_to: Some(eliminations::KeptTo {
            assets: vec![("web-01".into(), "asset.html".into()), ("web-02".into(), "asset.html".into())],
            more: 3,
            unknown: 1,
            left_out: None,
            all: "eliminations.html".into(),
        }),
        unsound: Vec::new(),
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
        words: vec![protocol::api::catalogue::Action {
            kind: "file.setting".into(),
            target: "/etc/ssh/sshd_config Ciphers".into(),
            checked: "Whether Ciphers of /etc/ssh/sshd_config has the value in effect.".into(),
            changed: "Ciphers is set; the rest of the file stays.".into(),
            undone: "The setting gets the value it had before.".into(),
        }],
        afterwards: vec!["The first service there is of sshd, ssh is restarted.".into()],
        applies: vec!["OpenSSH is installed".into()],
        approval: None,
        signed: (vec![Fact::new("Index", Value::text("version 7"))], None),
        steps: vec![(
            "Wanted state".into(),
            "/etc/ssh/sshd_config\n  Ciphers -chacha20-poly1305@openssh.com\n  MACs -*-etm@openssh.com".into(),
        )],
        references: vec![("Vendor note".into(), "https://example.org/".into())],
        actions: vec![Action::post("Mitigate Now", "/x").icon("shield-half").primary()],
    };
    save(out, "mitigation", &page.to_string());
    let choice = |icon, name: &str, note: &str| platform::PlatformChoice {
        icon,
        name: name.into(),
        note: note.into(),
        action: Action::post(format!("Create a {name} job"), "/x"),
    };
    let page = platform::PlatformPage {
        shell: shell(Section::Jobs, "Create: Mitigation Job").under("Eliminations", "eliminations.html"),
        about: "QID 38909, 91614".into(),
        choices: vec![choice("terminal-2", "Linux", "41 assets"), choice("brand-windows", "Windows", "1 asset")],
        text: "A job has one platform.".into(),
        others: vec![Action::post("Only Linux", "/x")],
        back: "eliminations.html".into(),
    };
    save(out, "platform", &page.to_string());
}

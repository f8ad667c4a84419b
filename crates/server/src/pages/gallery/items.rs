//! Vulnerable items.

use super::sample::{WEAK, ago, entry, list, save, shell, when};
use crate::pages::chips::{Change, Chip, Severity, Tone, When};
use crate::pages::forms::{Choice, Faults};
use crate::pages::lists::{Action, Menu};
use crate::pages::records::{Fact, Value};
use crate::pages::shell::Section;
use crate::pages::{items, sanitise};
use std::path::Path;

pub(super) fn pages(out: &Path) {
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
            progress: if before == after { Chip::new(Tone::Idle, "Open") } else { Chip::new(Tone::Mit, "Mitigated") },
            job: (before != after).then(|| ("MJ0000042".into(), "job.html".into())),
            change: Change::new(Some(*before), Some(*after)).linked("score.html"),
            target: (at % 2 == 0).then(|| Chip::new(Tone::Warn, "Approaching")),
            due: (at % 2 == 0).then(|| when(-2_000)),
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
        why: "Import VINTRUN0000042 found it so. It closes when an import no longer finds it, or when nothing reports it for long.".into(),
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
        unsound: Vec::new(),
        exceptions: vec![items::ExceptionLine {
            number: "VCA0000007".into(),
            href: "exception.html".into(),
            state: Chip::new(Tone::Fail, "Rejected"),
            what: "Risk accepted".into(),
            at: when(9_000),
        }],
        tasks: vec![items::TaskLine {
            number: "VUL0000012".into(),
            href: "task.html".into(),
            state: Chip::new(Tone::Run, "Under investigation"),
            title: "OpenSSH: web-team".into(),
            who: "web-team".into(),
        }],
        notes: vec![items::NoteLine {
            text: "Called the team: they restart on Friday.".into(),
            by: "mara".into(),
            at: when(300),
        }],
        note: Action::show("Write a note", "/x").icon("file-text"),
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
        warning: None,
        profiles: vec![
            Choice::new("1", "Quell verification"),
            Choice::new("2", "Initial options"),
            Choice::new("3", "Full with authentication"),
        ],
        chosen: String::new(),
        specify: false,
        mail: true,
        faults: Faults::default(),
        key: "0193".into(),
        reason: None,
        left_out: vec![],
        unnamed: 0,
        back: "item.html".into(),
        plan: Some(items::PlanPart {
            digest: "0193".into(),
            scans: vec![items::PlanRow {
                place: "Qualys EU · scanner-fra-1 · network 5".into(),
                notes: vec![
                    "Scans of this size took about 12 minutes lately.".into(),
                    "The scanner says that this appliance is Offline.".into(),
                ],
                profile: "Quell verification".into(),
                addresses: "10.20.4.1, 10.20.4.2 and 7 more".into(),
                items: 9,
            }],
            others: vec![("VIT0004202".into(), "VSCAN0000187 looks at it already.".into())],
            more: 0,
        }),
    };
    save(out, "rescan", &page.to_string());
}

//! Rescans.

use super::sample::{WEAK, ago, entry, list, save, shell, tab, when};
use crate::pages::chips::{Bar, Change, Chip, Tone, When};
use crate::pages::jobs::CountPart;
use crate::pages::lists::{Action, Menu};
use crate::pages::records::{Fact, Value};
use crate::pages::scans;
use crate::pages::shell::Section;
use std::path::Path;

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
        unscanned: vec![("10.20.4.7".into(), "VSCAN0000187/1".into(), "The host did not answer.".into())],
        left_out: vec![scans::LeftOutRow {
            number: "VIT0004214".into(),
            href: "item.html".into(),
            asset: "web-fra-03".into(),
            asset_href: "asset.html".into(),
            host: "119204".into(),
            why: "The scanner gave no address for the host.".into(),
            scan: None,
        }],
        sources: vec![
            scans::SourceRow {
                number: "VIT0004201".into(),
                href: "item.html".into(),
                asset: "web-fra-01".into(),
                asset_href: "asset.html".into(),
                title: WEAK[0].1.into(),
                qid: "38909".into(),
                state: Chip::new(Tone::Warn, "Open"),
                remediation: Chip::new(Tone::Warn, "Approaching"),
                mitigation: Chip::new(Tone::Mit, "Mitigated"),
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
                remediation: Chip::new(Tone::Ok, "Target met"),
                mitigation: Chip::new(Tone::Ok, "Fixed"),
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

pub(super) fn pages(out: &Path) {
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

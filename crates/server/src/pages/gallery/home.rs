//! Signing in, and the first page.

use super::sample::{WEAK, save, shell};
use crate::pages::charts::{Areas, Layer, Spark};
use crate::pages::chips::{Bar, Change, Chip, Tone};
use crate::pages::forms::Fault;
use crate::pages::shell::Section;
use crate::pages::{errors, home, sign_in};
use std::path::Path;

pub(super) fn pages(out: &Path) {
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
        waiting: Some("2 mitigations drifted and 1 rollback is proposed.".into()),
        troubles: vec![("Detections from Qualys EU: the last import failed.".into(), "import.html".into())],
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
        panels: vec![home::Panel {
            id: "target",
            title: "Open items by due date",
            rows: vec![("Missed".into(), 12, "items.html".into()), ("Approaching".into(), 4, "items.html".into())],
        }],
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

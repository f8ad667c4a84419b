//! Scanners, integrations and imports.

use super::sample::{ago, entry, list, save, shell, when};
use crate::pages::chips::{Chip, Tone, When};
use crate::pages::forms::{Choice, Faults, Field};
use crate::pages::jobs::CountPart;
use crate::pages::lists::Action;
use crate::pages::records::{Fact, Value};
use crate::pages::shell::Section;
use crate::pages::{appliances, imports, scanners};
use std::path::Path;

pub(super) fn pages(out: &Path) {
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
        tested_at: Some(when(2)),
        checks: vec![
            scanners::CheckRow {
                name: "Sign in".into(),
                needed_for: "imports".into(),
                verdict: Chip::new(Tone::Ok, "Works"),
                detail: "Signed in.".into(),
                advice: String::new(),
            },
            scanners::CheckRow {
                name: "Option profiles".into(),
                needed_for: "rescans".into(),
                verdict: Chip::new(Tone::Fail, "Refused"),
                detail: "The option profile call was refused (HTTP 403).".into(),
                advice: "The account's role does not allow this call. Its role or scope has to be widened at Qualys."
                    .into(),
            },
        ],
        limits: vec![scanners::LimitRow {
            name: "Host list detection".into(),
            calls: "212 of 300".into(),
            window: "60 min".into(),
            reserve: "30".into(),
            at_once: "2".into(),
            wait: None,
            seen: when(3),
            refused: Some(when(90)),
            words: "HTTP 409, code 1960".into(),
        }],
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
    let row = |name: &str, from: &str, serves: &str, manual: bool| appliances::ApplianceRow {
        name: name.into(),
        from: from.into(),
        status: Chip::new(Tone::Ok, "Online"),
        precedence: 100,
        serves: serves.into(),
        network: String::new(),
        condition: if manual { "tag:dmz".into() } else { String::new() },
        profile: "the integration's".into(),
        instance: "Qualys EU".into(),
        instance_href: "integration.html".into(),
        edit: Action::show("Edit", "/x"),
        delete: manual.then(|| Action::post("Delete", "/x")),
    };
    let page = appliances::AppliancesPage {
        shell: shell(Section::Scanners, "Appliances").under("Scanners", "scanners.html"),
        list: list("/appliances", "appliances", &appliances::COLUMNS, "", "order", 2, 2),
        rows: vec![
            row("zrh-dc1", "asset group Zurich", "10.1.0.0-10.1.0.255, 10.1.4.7 and 12 more", false),
            row("External", "made by hand", "", true),
        ],
    };
    save(out, "appliances", &page.to_string());

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
            troubles: vec![("Detections from Qualys EU: the last import failed.".into(), "import.html".into())],
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
        steps: vec![imports::StepRow {
            name: "Detections".into(),
            pages: 3,
            rows: 62_697,
            asked: "4 s".into(),
            merged: "3 s".into(),
            took: "7 s".into(),
        }],
        live_from: None,
        rejected: vec![(
            "host 4711, detection without a QID".into(),
            "the element QID is missing; the detection was left out".into(),
        )],
        rejected_more: 13,
        log: vec![entry(42, Tone::Run, "Started by schedule", "")],
    };
    save(out, "import", &page.to_string());
    let page = imports::SchedulesPage {
        shell: shell(Section::Scanners, "When imports come").under("Qualys EU", "integration.html"),
        rows: vec![imports::ScheduleRow {
            name: "Detections".into(),
            says: "Hosts whose detections were processed since the last time.".into(),
            words: "Every 4 hours".into(),
            next: vec![when(-18)],
            held: Some(when(4)),
            change: Action::go("Change", "schedule.html"),
            import: Action::post("Import now", "/x"),
        }],
        files: false,
    };
    save(out, "schedules", &page.to_string());
    let page = imports::CadencePage {
        shell: shell(Section::Scanners, "Detections: when they come").under("Qualys EU", "integration.html"),
        to: "/x".into(),
        try_at: "/x".into(),
        back: "schedules.html".into(),
        version: 1,
        text: "Hosts whose detections were processed since the last time.".into(),
        groups: vec![(
            "When",
            "",
            vec![Field::select("when", "Comes", "every", vec![Choice::new("every", "Every so many minutes")])],
        )],
        faults: Faults::default(),
        words: Some("Every 4 hours".into()),
        next: vec![When::exact(ago(-60))],
    };
    save(out, "schedule", &page.to_string());
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

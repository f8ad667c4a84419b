//! Efforts.

use super::sample::{list, save, shell, when};
use crate::pages::chips::{Bar, Change, Chip, Tone, score};
use crate::pages::efforts::{COLUMNS, EffortPage, EffortRow, EffortsPage};
use crate::pages::exceptions::ItemRow;
use crate::pages::lists::Action;
use crate::pages::records::{Entry, Fact, Value};
use crate::pages::shell::Section;
use std::path::Path;

pub(super) fn pages(out: &Path) {
    let row = |at: i64, state: Chip, title: &str| EffortRow {
        number: format!("REF000000{at}"),
        href: "effort.html".into(),
        state,
        title: title.into(),
        topic: if at == 2 { "Critical and high".into() } else { String::new() },
        bar: Bar::new(&[(Tone::Ok, at * 12, "closed"), (Tone::Mit, 4, "mitigated")], 60),
        done: format!("{}/60", at * 12),
        score: (at != 1).then(|| score(92)),
        owner: if at == 1 { String::new() } else { "J. Petrov".into() },
        at: when(at * 700),
    };
    let rows = vec![
        row(3, Chip::new(Tone::Run, "Filling"), "Java 8 off every web server"),
        row(2, Chip::new(Tone::Warn, "Active"), "Terrapin on the bastions"),
        row(1, Chip::new(Tone::Idle, "Over"), "SMBv1"),
    ];
    let frame = list("/efforts", "efforts", &COLUMNS, "", "-number", rows.len(), 3);
    save(out, "efforts", &EffortsPage { shell: shell(Section::Efforts, "Efforts"), list: frame, rows }.to_string());

    let page = EffortPage {
        shell: shell(Section::Efforts, "REF0000002").under("Efforts", "efforts.html"),
        number: "REF0000002".into(),
        title: "Terrapin on the bastions".into(),
        marks: vec![Chip::new(Tone::Warn, "Active")],
        actions: vec![
            Action::show("Change", "/x").icon("pencil"),
            Action::post("End effort", "/x").unless(Some("Some assets of this record are outside your scope.".into())),
        ],
        description: "Before the audit in March.".into(),
        bar: Bar::new(&[(Tone::Ok, 24, "closed"), (Tone::Mit, 4, "mitigated")], 60).tall(),
        counts: vec![("Items", 60, "items.html".into()), ("Closed", 24, "items.html".into())],
        facts: vec![Fact::new("Led by", Value::text("J. Petrov")), Fact::new("Group", Value::text("linux"))],
        items: vec![ItemRow {
            number: "VIT0004201".into(),
            href: "item.html".into(),
            title: "SSH prefix truncation vulnerability (Terrapin)".into(),
            asset: "web-fra-01".into(),
            state: Chip::new(Tone::Warn, "Open"),
            change: Change::new(Some(90), Some(60)).linked("score.html"),
        }],
        all: "items.html".into(),
        log: vec![Entry { at: when(700), tone: Tone::Info, text: "Items: 60".into(), by: "mara".into() }],
    };
    save(out, "effort", &page.to_string());
}

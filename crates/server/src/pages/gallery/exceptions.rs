//! Exceptions.

use super::sample::{ago, list, save, shell, when};
use crate::pages::auto_close::{AutoClosePage, COLUMNS as COLUMNS_OF_RULES, RuleRow, RunLine};
use crate::pages::chips::{Change, Chip, Tone, When};
use crate::pages::exceptions::{COLUMNS, ExceptionPage, ExceptionRow, ExceptionsPage, ItemRow};
use crate::pages::lists::{Action, Columns};
use crate::pages::records::{Fact, Value};
use crate::pages::shell::Section;
use std::path::Path;

pub(super) fn pages(out: &Path) {
    let row = |at: i64, state: Chip, what: &str| ExceptionRow {
        number: format!("VCA000000{at}"),
        href: "exception.html".into(),
        state,
        what: what.into(),
        note: "The vendor ships no fix before the summer release.".into(),
        items: at * 12,
        by: "J. Petrov".into(),
        at: when(at * 700),
        until: (at != 2).then(|| When::exact(ago(-40_000))),
    };
    let rows = vec![
        row(3, Chip::new(Tone::Warn, "Requested"), "Fix unavailable"),
        row(2, Chip::new(Tone::Ok, "Approved"), "False positive"),
        row(1, Chip::new(Tone::Fail, "Rejected"), "Risk accepted"),
    ];
    let frame = list("/exceptions", "exceptions", &COLUMNS, "", "-number", rows.len(), 3);
    let page = ExceptionsPage { shell: shell(Section::Exceptions, "Exceptions"), list: frame, rows };
    save(out, "exceptions", &page.to_string());

    let page = ExceptionPage {
        shell: shell(Section::Exceptions, "VCA0000003").under("Exceptions", "exceptions.html"),
        number: "VCA0000003".into(),
        title: "Deferral of 36 items".into(),
        marks: vec![Chip::new(Tone::Warn, "Requested")],
        actions: vec![
            Action::show("Approve", "/x").icon("check").primary(),
            Action::show("Reject", "/x").icon("ban").danger(),
            Action::post("Withdraw", "/x").unless(Some("Only who asked for an exception withdraws it.".into())),
        ],
        note: "The vendor ships no fix before the summer release.".into(),
        answer: String::new(),
        facts: vec![
            Fact::new("Reason", Value::text("Fix unavailable")),
            Fact::new("Asked by", Value::text("J. Petrov")),
            Fact::new("Until", Value::When(When::exact(ago(-40_000)))),
        ],
        items: vec![ItemRow {
            number: "VIT0004201".into(),
            href: "item.html".into(),
            title: "SSH prefix truncation vulnerability (Terrapin)".into(),
            asset: "web-fra-01".into(),
            state: Chip::new(Tone::Sched, "In review"),
            change: Change::new(Some(90), Some(60)).linked("score.html"),
        }],
        all: "items.html".into(),
    };
    save(out, "exception", &page.to_string());

    let page = AutoClosePage {
        shell: shell(Section::Rules, "Rules that close items"),
        columns: Columns {
            columns: COLUMNS_OF_RULES.to_vec(),
            pick: false,
            path: "/rules/auto-close".into(),
            q: String::new(),
            sort: String::new(),
            keep: Vec::new(),
        },
        rows: vec![RuleRow {
            name: "Assets not scanned for 90 days".into(),
            words: "Not scanned for 90 days".into(),
            state: Chip::new(Tone::Ok, "Active"),
            position: 100,
            condition: "not asset.tag:lab".into(),
            runs: vec![RunLine {
                instance: "Qualys EU".into(),
                state: Chip::new(Tone::Warn, "4,312 wait for a person"),
                at: when(300),
                reason: "It would close 4312 of 9000 open items.".into(),
            }],
            actions: vec![Action::show("Edit", "/x").icon("pencil"), Action::show("Run", "/x").icon("player-play")],
        }],
    };
    save(out, "auto-close", &page.to_string());
}

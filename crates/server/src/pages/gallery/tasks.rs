//! Remediation tasks and the rules that make them.

use super::sample::{ago, entry, list, save, shell, when};
use crate::pages::chips::{Change, Chip, Tone, When};
use crate::pages::items::NoteLine;
use crate::pages::lists::{Action, Columns, Empty};
use crate::pages::records::{Fact, Value};
use crate::pages::shell::Section;
use crate::pages::task_rules::{COLUMNS as COLUMNS_OF_RULES, RuleLine, TaskRulePage, TaskRulesPage};
use crate::pages::tasks::{COLUMNS, ItemRow, TaskPage, TaskRow, TasksPage};
use std::path::Path;

pub(super) fn pages(out: &Path) {
    let row = |at: i64, state: Chip, who: &str| TaskRow {
        number: format!("VUL000000{at}"),
        href: "task.html".into(),
        title: "SSH prefix truncation vulnerability (Terrapin): web-team".into(),
        origin: "made by the rule Vulnerability".into(),
        state,
        open: at * 7,
        items: at * 12,
        score: (at != 2).then_some(90),
        who: who.into(),
        due: (at != 2).then(|| When::exact(ago(-40_000))),
    };
    let rows = vec![
        row(3, Chip::new(Tone::Run, "Under investigation"), "mara, web-team"),
        row(2, Chip::new(Tone::Ok, "Closed · fixed"), ""),
        row(1, Chip::new(Tone::Idle, "Deferred · risk accepted"), "web-team"),
    ];
    let frame = list("/tasks", "remediation tasks", &COLUMNS, "", "-number", rows.len(), 3);
    save(out, "tasks", &TasksPage { shell: shell(Section::Tasks, "Remediation tasks"), list: frame, rows }.to_string());

    let page = TaskPage {
        shell: shell(Section::Tasks, "VUL0000003").under("Remediation tasks", "tasks.html"),
        number: "VUL0000003".into(),
        title: "SSH prefix truncation vulnerability (Terrapin): web-team".into(),
        marks: vec![Chip::new(Tone::Run, "Under investigation")],
        actions: vec![
            Action::show("Edit", "/x").icon("pencil"),
            Action::post("Assign to me", "/x").icon("user"),
            Action::show("Split", "/x").icon("copy"),
            Action::show("Change state", "/x").unless(Some("The task is closed and stays so.".into())),
        ],
        description: "Before the audit.".into(),
        why: "Mara set it. It closes when imports close its 21 open items.".into(),
        facts: vec![
            Fact::new("Assigned to", Value::text("mara")),
            Fact::new("Open items", Value::text("21 of 36")),
            Fact::new("Due", Value::When(When::exact(ago(-40_000)))),
        ],
        items: vec![ItemRow {
            number: "VIT0004201".into(),
            href: "item.html".into(),
            title: "SSH prefix truncation vulnerability (Terrapin)".into(),
            asset: "web-fra-01".into(),
            state: Chip::new(Tone::Run, "Under investigation"),
            change: Change::new(Some(90), Some(60)).linked("score.html"),
        }],
        all: "items.html".into(),
        split: Some("/x".into()),
        take_out: Some("/x".into()),
        notes: vec![NoteLine { text: "They restart on Friday.".into(), by: "mara".into(), at: when(300) }],
        note: Action::show("Write a note", "/x").icon("file-text"),
        log: vec![entry(42, Tone::Info, "State: Open → Under investigation", "mara")],
    };
    save(out, "task", &page.to_string());

    let columns = Columns {
        columns: COLUMNS_OF_RULES.to_vec(),
        pick: false,
        path: "/rules/tasks".into(),
        q: String::new(),
        sort: String::new(),
        keep: Vec::new(),
    };
    let rule = RuleLine {
        position: 100,
        name: "By owner".into(),
        href: "task-rule.html".into(),
        condition: "score:>=70".into(),
        active: Chip::new(Tone::Ok, "Active"),
        group_by: "tag:owner:, vulnerability".into(),
        to: "the group named by tag:owner:".into(),
        tasks: 12,
        tasks_href: "tasks.html".into(),
    };
    let page = TaskRulesPage {
        shell: shell(Section::TaskRules, "Task rules").action(Action::show("New rule", "/x").icon("plus")),
        columns,
        empty: Empty::yet("checklist", "No task rules", "A rule puts new items of every import into tasks."),
        mode: "Only the first rule that matches an item takes it.",
        turn: Action::post("Let every rule take it", "/x"),
        rows: vec![rule],
    };
    save(out, "task-rules", &page.to_string());

    let page = TaskRulePage {
        shell: shell(Section::TaskRules, "By owner").under("Task rules", "task-rules.html"),
        name: "By owner".into(),
        marks: vec![Chip::new(Tone::Ok, "Active")],
        actions: vec![Action::show("Edit", "/x").icon("pencil"), Action::show("Delete", "/x").icon("trash").danger()],
        facts: vec![Fact::new("Which items", Value::code("score:>=70"))],
        trial: "412 open items match; they would be in 31 tasks.".into(),
        first: vec![("web-team, Terrapin".into(), 120)],
    };
    save(out, "task-rule", &page.to_string());
}

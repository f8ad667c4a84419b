//! Rules that assign items.

use super::sample::{save, shell};
use crate::pages::assignment::{AssignmentPage, COLUMNS, RuleRow};
use crate::pages::chips::{Chip, Tone};
use crate::pages::lists::{Action, Columns};
use crate::pages::shell::Section;
use std::path::Path;

pub(super) fn pages(out: &Path) {
    let row = |position: i64, state: Chip, condition: &str, to: &str| RuleRow {
        name: format!("Rule {position}"),
        state,
        position,
        condition: condition.into(),
        to: to.into(),
        items: position * 12,
        href: "items.html".into(),
        actions: vec![Action::show("Edit", "/x").icon("pencil"), Action::post("Delete", "/x").icon("trash")],
    };
    let columns = Columns {
        columns: COLUMNS.to_vec(),
        pick: false,
        path: "/rules/assignment".into(),
        q: String::new(),
        sort: String::new(),
        keep: Vec::new(),
    };
    let rows = vec![
        row(10, Chip::new(Tone::Ok, "Active"), "platform:linux", "the group linux"),
        row(20, Chip::new(Tone::Idle, "Not active"), "", "J. Petrov"),
    ];
    let page = AssignmentPage { shell: shell(Section::Rules, "Rules that assign items"), columns, rows };
    save(out, "assignment", &page.to_string());
}

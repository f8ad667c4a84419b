//! Watch topics.

use super::sample::{save, shell};
use crate::pages::chips::{Chip, Tone};
use crate::pages::lists::{Action, Columns};
use crate::pages::records::{Fact, Value};
use crate::pages::shell::Section;
use crate::pages::topics::{COLUMNS, TopicPage, TopicRow, TopicsPage};
use std::path::Path;

pub(super) fn pages(out: &Path) {
    let row = |name: &str, condition: &str, active: bool| TopicRow {
        name: name.into(),
        href: "topic.html".into(),
        description: if active { "What burns first.".into() } else { String::new() },
        state: if active { Chip::new(Tone::Ok, "Active") } else { Chip::new(Tone::Idle, "Not active") },
        position: 100,
        condition: condition.into(),
        owner: if active { "mara".into() } else { String::new() },
    };
    let columns = Columns {
        columns: COLUMNS.to_vec(),
        pick: false,
        path: "/topics".into(),
        q: String::new(),
        sort: String::new(),
        keep: Vec::new(),
    };
    let rows = vec![row("Critical and high", "score:>=70", true), row("Later", "", false)];
    save(out, "topics", &TopicsPage { shell: shell(Section::Topics, "Watch topics"), columns, rows }.to_string());
    let page = TopicPage {
        shell: shell(Section::Topics, "Critical and high").under("Watch topics", "topics.html"),
        name: "Critical and high".into(),
        marks: vec![Chip::new(Tone::Ok, "Active")],
        actions: vec![Action::show("New effort", "/x").icon("target").primary(), Action::show("Change", "/x")],
        description: "What burns first.".into(),
        nothing: None,
        counts: vec![("Active", 60, "items.html".into()), ("Critical", 24, "items.html".into())],
        facts: vec![Fact::new("Items", Value::code("score:>=70")), Fact::new("Watched by", Value::text("mara"))],
    };
    save(out, "topic", &page.to_string());
}

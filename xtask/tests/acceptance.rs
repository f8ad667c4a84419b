//! `docs/acceptance.md` against the tests: every statement S1 and S2 and every rule R has its row, a test of its name over the
//! API on both engines, and, where a page shows it, a step of its name in a walk.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::allow_attributes,
    reason = "a test panics rather than returning an error"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// What a row of the tables says of an id.
#[derive(Debug)]
struct Row {
    api: Vec<String>,
    browser: String,
    all: Vec<String>,
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// The ids that have to be held: R21 belongs to the isolation of hosts, which is not built.
fn ids() -> Vec<String> {
    let statements = (1..=25).map(|n| format!("S1.{n:02}")).chain((1..=20).map(|n| format!("S2.{n:02}")));
    let rules = (1..=23).filter(|n| *n != 21).map(|n| format!("R{n}"));
    statements.chain(rules).collect()
}

/// `S1.07` is `s1_07` in names, `R4` is `r4`.
fn word(id: &str) -> String {
    id.to_lowercase().replace('.', "_")
}

/// Whether a name holds an id as words of its own: `r1` is not in `r13_of_ours`.
fn holds(name: &str, id: &str) -> bool {
    format!("_{name}_").contains(&format!("_{}_", word(id)))
}

/// Every Rust file below a folder of the repository, as one text.
fn sources(under: &str) -> String {
    let mut text = String::new();
    let mut folders = vec![root().join(under)];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display())) {
            let path = entry.unwrap().path();
            if path.is_dir() && path.file_name().is_some_and(|name| name != "target") {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                text.push_str(&std::fs::read_to_string(&path).unwrap());
                text.push('\n');
            }
        }
    }
    text
}

/// The names that follow `before`, spaces and line ends in between.
fn named(text: &str, before: &str) -> BTreeSet<String> {
    let names = text.split(before).skip(1).map(|rest| {
        rest.trim_start().chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').collect::<String>()
    });
    names.filter(|name| !name.is_empty()).collect()
}

/// What stands in backticks.
fn quoted(cell: &str) -> Vec<String> {
    cell.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

fn table() -> BTreeMap<String, Row> {
    let text = std::fs::read_to_string(root().join("docs/acceptance.md")).unwrap();
    let mut rows = BTreeMap::new();
    for line in text.lines() {
        let cells: Vec<&str> = line.trim().trim_matches('|').split('|').map(str::trim).collect();
        let [id, _, api, browser, also, _] = cells[..] else { continue };
        if ids().iter().any(|known| known == id) {
            let row = Row {
                api: quoted(api),
                browser: browser.to_owned(),
                all: [api, browser, also].into_iter().flat_map(quoted).collect(),
            };
            assert!(rows.insert(id.to_owned(), row).is_none(), "{id} has two rows");
        }
    }
    rows
}

#[test]
fn every_statement_and_rule_has_its_row_its_api_test_and_its_step() {
    let table = table();
    let server = sources("crates/server/tests");
    let api: BTreeSet<String> =
        named(&server, "both_servers!(").into_iter().chain(named(&server, "both_mailed!(")).collect();
    let walks = sources("crates/quell/tests/browser");
    let (walked, defined) = (named(&walks, "step!("), named(&walks, "async fn "));
    let mut wrong = Vec::new();
    for id in ids() {
        let Some(row) = table.get(&id) else {
            wrong.push(format!("{id} has no row in docs/acceptance.md"));
            continue;
        };
        if !row.api.iter().any(|name| holds(name, &id) && api.contains(name)) {
            wrong.push(format!("{id} has no test of its name over the API on both engines: {:?}", row.api));
        }
        if let Some(reason) = row.browser.strip_prefix("no page shows it:") {
            if reason.trim().len() < 10 {
                wrong.push(format!("{id}: why does no page show it?"));
            }
            continue;
        }
        let steps = quoted(&row.browser);
        if !steps.iter().any(|name| holds(name, &id)) {
            wrong.push(format!("{id} has no step of its name in a walk: {steps:?}"));
        }
        for name in steps.iter().filter(|name| !(walked.contains(*name) && defined.contains(*name))) {
            wrong.push(format!("{id}: nobody walks the step {name}"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn every_step_and_api_test_that_names_an_id_stands_in_its_row() {
    let table = table();
    let server = sources("crates/server/tests/acceptance");
    let steps = named(&sources("crates/quell/tests/browser"), "step!(");
    let names: Vec<String> = named(&server, "both_servers!(").into_iter().chain(steps).collect();
    let mut wrong = Vec::new();
    for id in ids() {
        let known = table.get(&id).map(|row| row.all.as_slice()).unwrap_or_default();
        for name in names.iter().filter(|name| holds(name, &id) && !known.contains(name)) {
            wrong.push(format!("{name} is not in the row of {id}"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn every_test_that_is_named_exists() {
    let text = std::fs::read_to_string(root().join("docs/acceptance.md")).unwrap();
    let all = sources("crates");
    let mut known: BTreeSet<String> = named(&all, "fn ");
    for test in ["both_servers!(", "both_mailed!(", "both_engines!("] {
        known.extend(named(&all, test));
    }
    let words = known.iter().cloned().collect::<Vec<_>>();
    let mut wrong = Vec::new();
    for line in text.lines().filter(|line| line.starts_with('|')) {
        for name in quoted(line) {
            let last = name.rsplit("::").next().unwrap_or_default();
            let is_file = name.contains('/') || name.contains('.');
            // A name with an underscore is a test; `domain::job` is a place.
            if !is_file && last.contains('_') && !words.iter().any(|word| word == last || ended(last, word)) {
                let modules = name.contains("::") && all.contains(&format!("mod {last}"));
                if !modules && !root_has(last) {
                    wrong.push(name);
                }
            } else if name.starts_with("crates/") && !root().join(name.trim_end_matches('/')).exists() {
                wrong.push(name);
            }
        }
    }
    assert!(wrong.is_empty(), "docs/acceptance.md names what does not exist: {wrong:#?}");
}

/// `r22_…` stands for every name that begins so.
fn ended(short: &str, name: &str) -> bool {
    short.strip_suffix('…').or_else(|| short.strip_suffix('*')).is_some_and(|begin| name.starts_with(begin))
}

/// Test binaries and modules are files or folders.
fn root_has(name: &str) -> bool {
    let crates = std::fs::read_dir(root().join("crates")).unwrap();
    crates.map(|entry| entry.unwrap().path()).any(|path| {
        ["src", "tests"].iter().any(|part| {
            let at = path.join(part).join(name);
            at.is_dir() || at.with_extension("rs").is_file()
        }) || path.join("src/engine").join(name).with_extension("rs").is_file()
    })
}

#[test]
fn an_id_is_a_word_of_a_name() {
    assert!(holds("s1_07_s1_08_r3_r4_with_its_last_asset", "R3") && holds("r3", "R3"));
    assert!(!holds("r13_of_ours", "R1") && !holds("r13_of_ours", "R3") && !holds("s1_1_x", "S1.01"));
}

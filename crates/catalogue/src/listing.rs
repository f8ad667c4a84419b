//! The list of the entries that come with the program, as the page `docs/catalogue-entries.md`.

use std::fmt::Write as _;

use crate::{
    actions::Action,
    schema::{Covered, Entry, EntryPlatform},
    statements,
};

/// The page as Markdown. A test compares it with the file; `UPDATE_DOCS=1` makes the test write it.
#[must_use]
pub fn markdown(entries: &[Entry]) -> String {
    let mut page = String::from(
        "# The entries that come with Quell\n\n\
         Generated from `crates/catalogue/entries` (see `docs/catalogue.md`); do not edit. Points in brackets. Class 2 and above \
         needs an approval.\n\n\
         | Entry | What it does | Covers | Actions | Class |\n\
         |---|---|---|---|---|\n",
    );
    for entry in entries {
        let covers: Vec<String> = entry.vulnerabilities.iter().map(cover).collect();
        let mut actions: Vec<&str> = entry.actions.iter().map(Action::kind).collect();
        actions.dedup();
        writeln!(
            page,
            "| `{}` | {} | {} | {} | {} |",
            entry.id,
            escaped(entry.title.as_str()),
            covers.join(", "),
            actions.join(", "),
            entry.class()
        )
        .expect("writing to a string does not fail");
    }
    let vulnerabilities: usize = entries.iter().map(|entry| entry.vulnerabilities.len()).sum();
    let windows = entries.iter().filter(|entry| entry.platform == EntryPlatform::Windows).count();
    let linux = entries.len() - windows;
    writeln!(
        page,
        "\n{} entries ({linux} for Linux, {windows} for Windows), {vulnerabilities} vulnerabilities covered.\n",
        entries.len()
    )
    .expect("writing to a string does not fail");
    page.push_str(
        "## No sound mitigation\n\nFor these nothing short of a patch is known, from `crates/catalogue/statements.toml`. \
         `quell catalogue show CVE-…` says so, too.\n\n| CVE | Known as | What there is |\n|---|---|---|\n",
    );
    for statement in statements::all() {
        let scope = statement.scope.as_ref().map_or_else(String::new, |scope| format!(", {scope}"));
        let (name, text) = (escaped(statement.name.as_str()), escaped(statement.text.as_str()));
        writeln!(page, "| {} | {name}{scope} | {text} |", statement.cve).expect("writing to a string does not fail");
    }
    page
}

fn cover(covered: &Covered) -> String {
    let name = covered.cve.as_ref().map_or_else(
        || covered.qids.iter().map(|qid| format!("QID {}", qid.qid)).collect::<Vec<_>>().join(" "),
        ToString::to_string,
    );
    format!("{name} {} ({})", covered.coverage.as_str(), covered.points)
}

fn escaped(text: &str) -> String {
    text.replace('|', "\\|")
}

#[cfg(test)]
mod tests {
    use std::{env, fs, path::Path};

    use super::*;
    use crate::embedded;

    #[test]
    fn the_page_is_up_to_date() {
        let page = markdown(&embedded::entries().unwrap());
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/catalogue-entries.md");
        if env::var_os("UPDATE_DOCS").is_some() {
            fs::write(&path, &page).unwrap();
        }
        let present = fs::read_to_string(&path).unwrap_or_default();
        assert!(
            present == page,
            "docs/catalogue-entries.md is out of date: run UPDATE_DOCS=1 cargo test -p catalogue listing"
        );
    }
}

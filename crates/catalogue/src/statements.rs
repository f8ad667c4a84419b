//! What the catalogue says of vulnerabilities that nothing short of a patch closes, so that nobody lowers a score by hope.
//!
//! Facts for people: they are part of the program, unsigned, and change no decision of the server or of an agent.

use std::sync::LazyLock;

use serde::{Deserialize, Serialize};

use crate::{
    schema::Seen,
    text::{Cve, Line, Url},
};

/// There is no sound mitigation for a vulnerability.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Statement {
    /// The vulnerability.
    pub cve: Cve,
    /// What people call it.
    pub name: Line,
    /// Where the statement holds, as the end of a sentence; everywhere when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scope: Option<Line>,
    /// What the vendor offers and why it does not do, and what to do instead.
    pub text: Line,
    /// Where the fact comes from.
    pub url: Url,
    /// How that was read; absent when it was not, and the statement is from knowledge.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seen: Option<Seen>,
}

impl Statement {
    /// The statement as one paragraph: `No sound mitigation is known for CVE-2022-0847 (Dirty Pipe). …`
    #[must_use]
    pub fn sentence(&self) -> String {
        let scope = self.scope.as_ref().map_or_else(String::new, |scope| format!(" {scope}"));
        format!("No sound mitigation is known for {} ({}){scope}. {}", self.cve, self.name, self.text)
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(rename = "statement")]
    statements: Vec<Statement>,
}

static STATEMENTS: LazyLock<Vec<Statement>> = LazyLock::new(|| {
    let file: File = toml::from_str(include_str!("../statements.toml")).expect("a test reads the same bytes");
    file.statements
});

/// All statements, in the order of the file.
#[must_use]
pub fn all() -> &'static [Statement] {
    &STATEMENTS
}

/// What is said of a vulnerability.
#[must_use]
pub fn of(cve: &Cve) -> Option<&'static Statement> {
    all().iter().find(|statement| statement.cve == *cve)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use domain::mitigation::Coverage;

    use super::*;
    use crate::embedded;

    #[test]
    fn statements_are_read_each_cve_once_and_no_entry_says_otherwise() {
        assert_eq!(all().len(), 18);
        assert_eq!(all().iter().map(|statement| &statement.cve).collect::<BTreeSet<_>>().len(), 18);
        for statement in all() {
            assert!(statement.text.as_str().ends_with('.'), "{}", statement.cve);
            for entry in embedded::entries().unwrap() {
                let full = entry.covered(&statement.cve).is_some_and(|covered| covered.coverage != Coverage::Partial);
                assert!(!full || statement.scope.is_some(), "{} covers {}", entry.id, statement.cve);
            }
        }
        let pipe = of(&"CVE-2022-0847".parse().unwrap()).unwrap();
        assert!(pipe.sentence().starts_with("No sound mitigation is known for CVE-2022-0847 (Dirty Pipe). "));
        assert!(of(&"CVE-2024-6387".parse().unwrap()).is_none());
    }
}

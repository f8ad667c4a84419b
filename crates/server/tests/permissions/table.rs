//! The table as it is written, and what it says of a case.

use domain::access::ACTIONS;
use std::collections::{BTreeMap, BTreeSet};

/// The roles by the letters of the table.
pub const ROLES: [(&str, &str); 8] = [
    ("SU", "super_user"),
    ("AD", "administrator"),
    ("JA", "job_author"),
    ("JR", "job_reader"),
    ("VA", "vulnerability_administrator"),
    ("VN", "vulnerability_analyst"),
    ("RO", "remediation_owner"),
    ("RD", "read_only"),
];

/// What is heard before any state is looked at.
const ROLE_OR_SCOPE: [&str; 2] = ["role_missing", "not_found"];

/// What is expected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    Yes,
    /// With the phrase of the permission that is missing, where it is not that of the action.
    No {
        status: u16,
        code: String,
        phrase: String,
    },
}

/// A state that a case is in.
#[derive(Clone, Debug)]
pub struct State {
    pub name: String,
    /// What those hear who may.
    pub answer: Answer,
    /// The page has no disabled button for it.
    pub unsaid: bool,
    /// It is heard before who asks is looked at.
    pub first: bool,
}

/// One action.
#[derive(Debug, Default)]
pub struct Asked {
    pub name: String,
    pub permission: String,
    pub phrase: String,
    /// By role and relation; yes means as the state says.
    pub who: BTreeMap<(String, String), Answer>,
    /// In the order of the table.
    pub states: Vec<State>,
}

impl Asked {
    /// What this role with this relation hears in this state.
    pub fn expected(&self, role: &str, relation: &str, state: &State) -> Answer {
        match &self.who[&(role.to_owned(), relation.to_owned())] {
            Answer::Yes => state.answer.clone(),
            Answer::No { code, .. } if state.first && !ROLE_OR_SCOPE.contains(&code.as_str()) => state.answer.clone(),
            no => no.clone(),
        }
    }
}

#[derive(Debug, Default)]
pub struct Table {
    pub actions: Vec<Asked>,
    pub reasons: BTreeMap<String, String>,
    pub elsewhere: BTreeMap<String, String>,
}

fn no(words: &[&str], line: &str) -> Answer {
    let [status, code, phrase @ ..] = words else { panic!("a status and a code: {line}") };
    let status = status.parse().unwrap_or_else(|_| panic!("{line}"));
    Answer::No { status, code: (*code).to_owned(), phrase: phrase.join(" ") }
}

impl Table {
    pub fn read(text: &str) -> Table {
        let mut table = Table::default();
        for line in text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')) {
            let words: Vec<&str> = line.split_whitespace().collect();
            let rest = |from: usize| words[from..].join(" ");
            if let ["action", name, permission] = words[..] {
                let (name, permission) = (name.to_owned(), permission.to_owned());
                table.actions.push(Asked { name, permission, ..Asked::default() });
                continue;
            }
            match words[0] {
                "reason" => assert_eq!(table.reasons.insert(words[1].to_owned(), rest(2)), None, "twice: {line}"),
                "elsewhere" => assert_eq!(table.elsewhere.insert(words[1].to_owned(), rest(2)), None, "twice: {line}"),
                word => {
                    let asked = table.actions.last_mut().unwrap_or_else(|| panic!("before any action: {line}"));
                    match word {
                        "phrase" => asked.phrase = rest(1),
                        "state" => {
                            let (mut rest, mark) = (words[2..].to_vec(), |mark: &str| words.last() == Some(&mark));
                            let (unsaid, first) = (mark("unsaid"), mark("first"));
                            rest.retain(|word| !["unsaid", "first"].contains(word));
                            let answer = if rest == ["yes"] { Answer::Yes } else { no(&rest, line) };
                            asked.states.push(State { name: words[1].to_owned(), answer, unsaid, first });
                        }
                        "yes" | "no" => {
                            let answer = if word == "yes" { Answer::Yes } else { no(&words[3..], line) };
                            for role in words[1].split(',') {
                                assert!(ROLES.iter().any(|(known, _)| *known == role), "which role: {line}");
                                for relation in words[2].split(',') {
                                    let key = (role.to_owned(), relation.to_owned());
                                    assert_eq!(asked.who.insert(key, answer.clone()), None, "twice: {line}");
                                }
                            }
                        }
                        _ => panic!("what is this: {line}"),
                    }
                }
            }
        }
        table
    }

    /// What the table forgets or makes up.
    pub fn mistakes(&self) -> Vec<String> {
        let mut mistakes = Vec::new();
        let words: BTreeSet<&str> = ACTIONS.iter().map(|action| action.as_str()).collect();
        let asked: BTreeSet<&str> = self.actions.iter().map(|action| action.permission.as_str()).collect();
        let named: BTreeSet<&str> = asked.iter().copied().chain(self.elsewhere.keys().map(String::as_str)).collect();
        mistakes.extend(words.difference(&named).map(|word| format!("the action {word} has no row")));
        mistakes.extend(named.difference(&words).map(|word| format!("there is no action {word}")));
        for action in &self.actions {
            if action.phrase.is_empty() || action.states.is_empty() {
                mistakes.push(format!("{} has no phrase or no state", action.name));
            }
            // Who has no row for a relation cannot have it: only who may ask is ever a requester.
            for (role, _) in ROLES {
                if !action.who.keys().any(|(known, _)| known == role) {
                    mistakes.push(format!("{} says nothing of {role}", action.name));
                }
            }
        }
        mistakes
    }
}

//! Why an item is in its state: what decided it, until when, and what would change it, as sentences for people.

use super::{State, Substate, Workflow};
use crate::time::Timestamp;

/// What set the state of an item, as it is stored: `import:VINTRUN0000001`, `person:ada`, `exception:VCA0000001`, `agent:MJ0000001`,
/// `rule:assets not scanned for 90 days`, `exclusion:`, `time:`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cause {
    /// An import, by its number.
    Import(String),
    /// A person, by the sign-in name.
    Person(String),
    /// A request, or the answer to it, by its number.
    Exception(String),
    /// A fix that an agent verified, as its history names it.
    Agent(String),
    /// An auto-close rule, by its name.
    Rule(String),
    /// A change of what is excluded.
    Exclusion,
    /// The end of what was granted.
    Time,
    /// Set before causes were kept.
    Unknown,
}

impl Cause {
    /// As stored.
    #[must_use]
    pub fn text(&self) -> String {
        match self {
            Cause::Import(run) => format!("import:{run}"),
            Cause::Person(name) => format!("person:{name}"),
            Cause::Exception(number) => format!("exception:{number}"),
            Cause::Agent(about) => format!("agent:{about}"),
            Cause::Rule(name) => format!("rule:{name}"),
            Cause::Exclusion => "exclusion:".to_owned(),
            Cause::Time => "time:".to_owned(),
            Cause::Unknown => String::new(),
        }
    }

    /// The stored text back to the value.
    #[must_use]
    pub fn parse(text: &str) -> Cause {
        let (code, argument) = text.split_once(':').unwrap_or((text, ""));
        let argument = argument.to_owned();
        match code {
            "import" => Cause::Import(argument),
            "person" => Cause::Person(argument),
            "exception" => Cause::Exception(argument),
            "agent" => Cause::Agent(argument),
            "rule" => Cause::Rule(argument),
            "exclusion" => Cause::Exclusion,
            "time" => Cause::Time,
            _ => Cause::Unknown,
        }
    }

    /// A person as the audit names him: `users/ada`.
    #[must_use]
    pub fn author(author: &str) -> Cause {
        Cause::Person(author.strip_prefix("users/").unwrap_or(author).to_owned())
    }

    fn sentence(&self) -> Option<String> {
        Some(match self {
            Cause::Import(run) => format!("import {run} found it so"),
            Cause::Person(name) => format!("{name} set it"),
            Cause::Exception(number) => format!("it follows from {number}"),
            Cause::Agent(about) => format!("an agent verified a fix ({about})"),
            Cause::Rule(name) => format!("the auto-close rule \"{name}\" set it"),
            Cause::Exclusion => "it follows from a change of what is excluded".to_owned(),
            Cause::Time => "what was granted to it ended".to_owned(),
            Cause::Unknown => return None,
        })
    }
}

/// The sentences, lower case and without a full stop: what decided, until when, what would change it.
#[must_use]
pub fn why(item: Workflow, cause: &Cause, now: Timestamp) -> Vec<String> {
    let mut said: Vec<String> = cause.sentence().into_iter().collect();
    let holds = item.granted.filter(|granted| granted.holds(now));
    let until = holds.and_then(|granted| granted.until).map(|until| format!("until {}", day(until)));
    said.push(match (item.state, item.substate) {
        (State::Open | State::UnderInvestigation | State::AwaitingImplementation, _) => {
            "it closes when an import no longer finds it, or when nothing reports it for long".to_owned()
        }
        (State::InReview, _) => {
            "it waits for an answer to a request; without one it opens, and an import that finds it fixed closes \
                                 it"
            .to_owned()
        }
        (State::Deferred, _) => {
            let until = until.unwrap_or_else(|| "no longer".to_owned());
            format!(
                "it is deferred {until}; then it opens by itself, and an import that finds it fixed closes it before"
            )
        }
        (State::Resolved, _) => {
            "an import that finds it fixed closes it; one that found it after it was resolved opens it".to_owned()
        }
        (State::Closed, Substate::FalsePositive) => match (until, holds) {
            (Some(until), _) => format!("no import opens it {until}; revoking the exception does"),
            (None, Some(_)) => "no import opens it; revoking the exception does".to_owned(),
            (None, None) => "its time is over: it is about to be what its detections say".to_owned(),
        },
        (State::Closed, Substate::Excluded) => {
            "all that is open of it is excluded; it opens when something is found that is not".to_owned()
        }
        (State::Closed, Substate::Moved) => {
            "what was found belongs to the item of another asset now; it opens when that is undone".to_owned()
        }
        (State::Closed, _) => match until {
            Some(until) => format!("an import that finds it again defers it again {until}"),
            None => "an import that finds it again opens it".to_owned(),
        },
    });
    said
}

fn day(at: Timestamp) -> String {
    at.to_jiff().strftime("%-d %b %Y %H:%M UTC").to_string()
}

#[cfg(test)]
mod tests {
    use super::super::Granted;
    use super::*;

    #[test]
    fn every_state_says_what_would_change_it() {
        let now = Timestamp::from_micros(1_790_000_000_000_000);
        let until = |what, seconds: i64| Some(Granted { what, until: Some(now.plus_seconds(seconds)) });
        let of =
            |state, substate, granted| why(Workflow { state, substate, granted, ..Workflow::NEW }, &Cause::Time, now);
        for (state, substate, granted, word) in [
            (State::Open, Substate::None, None, "no longer finds it"),
            (State::InReview, Substate::None, None, "waits for an answer"),
            (State::Deferred, Substate::Other, until(Substate::Other, 60), "deferred until"),
            (State::Resolved, Substate::None, None, "after it was resolved"),
            (State::Closed, Substate::Fixed, None, "finds it again opens it"),
            (State::Closed, Substate::Fixed, until(Substate::Other, 60), "defers it again until"),
            (State::Closed, Substate::Fixed, until(Substate::Other, -60), "finds it again opens it"),
            (State::Closed, Substate::Excluded, None, "found that is not"),
            (State::Closed, Substate::Moved, None, "when that is undone"),
            (State::Closed, Substate::FalsePositive, until(Substate::FalsePositive, 60), "no import opens it until"),
            (State::Closed, Substate::FalsePositive, until(Substate::FalsePositive, -60), "its time is over"),
            (
                State::Closed,
                Substate::FalsePositive,
                Some(Granted { what: Substate::FalsePositive, until: None }),
                "no import opens it; revoking",
            ),
        ] {
            let said = of(state, substate, granted);
            assert!(said.len() == 2 && said.last().is_some_and(|last| last.contains(word)), "{state:?} {said:?}");
        }
    }

    #[test]
    fn causes_go_there_and_back() {
        for cause in [
            Cause::Import("VINTRUN0000001".to_owned()),
            Cause::author("users/ada"),
            Cause::Exception("VCA0000001".to_owned()),
            Cause::Agent("MJ0000001: verified".to_owned()),
            Cause::Rule("a:b".to_owned()),
            Cause::Exclusion,
            Cause::Time,
            Cause::Unknown,
        ] {
            assert_eq!(Cause::parse(&cause.text()), cause);
        }
        assert_eq!(Cause::author("users/ada").text(), "person:ada");
    }
}

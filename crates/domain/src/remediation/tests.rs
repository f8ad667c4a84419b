use super::group::{Field, GroupBy, Value, title};
use super::rule::wanted;
use super::why::{Cause, of_item, of_task};
use super::*;
use crate::item::Substate as Why;

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_micros(1_790_000_000_000_000).plus_seconds(seconds)
}

fn life(state: State) -> Life {
    Life { state, ..Life::NEW }
}

/// Every multiset of up to `most` states.
fn multisets(most: usize) -> Vec<Vec<State>> {
    let mut all: Vec<Vec<State>> = vec![vec![]];
    let mut last = all.clone();
    for _ in 0..most {
        let longer = |states: &Vec<State>| {
            let from = states.last().map_or(0, |last| State::ALL.iter().position(|state| state == last).unwrap_or(0));
            State::ALL.into_iter().skip(from).map(|state| [states.as_slice(), &[state]].concat()).collect::<Vec<_>>()
        };
        last = last.iter().flat_map(longer).collect();
        all.extend(last.iter().cloned());
    }
    all
}

/// The documented order, from the highest.
const ORDER: [State; 7] = [
    State::Closed,
    State::Deferred,
    State::Resolved,
    State::InReview,
    State::AwaitingImplementation,
    State::UnderInvestigation,
    State::Open,
];

#[test]
fn of_several_states_the_documented_order_decides() {
    for pair in ORDER.windows(2) {
        assert!(matches!(pair, [higher, lower] if rank(*higher) > rank(*lower)), "{pair:?}");
    }
    for tasks in multisets(4) {
        for own in State::ALL {
            let (state, decided) = effective(own, &tasks);
            let counted: Vec<State> = tasks
                .iter()
                .copied()
                .filter(|task| {
                    matches!(task, State::Resolved | State::AwaitingImplementation | State::UnderInvestigation)
                })
                .chain([own])
                .collect();
            let expected = match own {
                State::Closed => State::Closed,
                _ => ORDER.into_iter().find(|state| counted.contains(state)).unwrap(),
            };
            assert_eq!(state, expected, "own {own:?}, tasks {tasks:?}");
            // A task is said to decide only where the item is not so by itself.
            assert_eq!(decided.is_some(), state != own, "own {own:?}, tasks {tasks:?}");
            assert!(decided.is_none_or(|place| tasks.get(place) == Some(&state)));
        }
    }
}

fn counts(items: &[(State, Why)]) -> Counts {
    let mut counts = Counts::default();
    for (state, substate) in items {
        counts.add(*state, *substate, 1);
    }
    counts
}

#[test]
fn the_roll_up_row_by_row() {
    const FIXED: (State, Why) = (State::Closed, Why::Fixed);
    const STALE: (State, Why) = (State::Closed, Why::Stale);
    const FALSE: (State, Why) = (State::Closed, Why::FalsePositive);
    const OTHER: (State, Why) = (State::Closed, Why::Other);
    const OPEN: (State, Why) = (State::Open, Why::None);
    const RESOLVED: (State, Why) = (State::Resolved, Why::None);
    const REVIEW: (State, Why) = (State::InReview, Why::None);
    const RISK: (State, Why) = (State::Deferred, Why::RiskAccepted);
    const WINDOW: (State, Why) = (State::Deferred, Why::AwaitingMaintenanceWindow);
    for (before, items, state, substate) in [
        (State::Open, &[][..], State::Closed, "cancelled"),
        (State::Open, &[OPEN], State::Open, ""),
        (State::UnderInvestigation, &[OPEN, FIXED], State::UnderInvestigation, ""),
        (State::Open, &[FIXED, FIXED], State::Closed, "fixed"),
        (State::Resolved, &[FIXED, STALE], State::Closed, "fixed"),
        (State::Open, &[STALE, STALE], State::Closed, "cancelled"),
        (State::Open, &[OTHER, OTHER], State::Closed, "other"),
        (State::Open, &[FIXED, OTHER], State::Closed, ""),
        (State::AwaitingImplementation, &[FIXED, FALSE], State::AwaitingImplementation, ""),
        (State::Open, &[FALSE], State::Open, ""),
        (State::InReview, &[FALSE], State::UnderInvestigation, ""),
        (State::Deferred, &[FALSE, FIXED], State::Open, ""),
        (State::Open, &[FIXED, RISK], State::Deferred, "risk_accepted"),
        (State::Open, &[RISK, WINDOW], State::Deferred, ""),
        (State::Open, &[RISK, OPEN], State::Open, ""),
        (State::Deferred, &[RISK, OPEN], State::Open, ""),
        (State::Deferred, &[RISK, FIXED], State::Deferred, "risk_accepted"),
        (State::UnderInvestigation, &[REVIEW, RISK, FIXED], State::InReview, ""),
        (State::UnderInvestigation, &[REVIEW, OPEN], State::UnderInvestigation, ""),
        (State::InReview, &[REVIEW, OPEN], State::UnderInvestigation, ""),
        (State::Resolved, &[RESOLVED, FIXED], State::Resolved, ""),
        (State::Resolved, &[RESOLVED, OPEN], State::Open, ""),
        (State::Resolved, &[RESOLVED, REVIEW], State::Resolved, ""),
        (State::Open, &[RESOLVED, RESOLVED], State::Open, ""),
        (State::Closed, &[OPEN], State::Closed, ""),
        (State::Closed, &[], State::Closed, ""),
    ] {
        let task = Life { before_review: State::UnderInvestigation, ..life(before) };
        let after = rolled_up(task, &counts(items), Some(at(9)), at(1));
        assert_eq!((after.state, after.substate.as_str()), (state, substate), "{before:?} {items:?}");
        assert_eq!(after.until.is_some(), state == State::Deferred, "{before:?} {items:?}");
        assert_eq!(after.closed_at.is_some(), before != State::Closed && state == State::Closed);
        // Once it is so, it stays so.
        assert_eq!(rolled_up(after, &counts(items), Some(at(9)), at(2)), after, "{before:?} {items:?}");
    }
    // What was said to be done and is found again is looked at by whoever has it.
    let task = Life { assigned: true, resolved_at: Some(at(0)), ..life(State::Resolved) };
    let after = rolled_up(task, &counts(&[RESOLVED, OPEN]), None, at(1));
    assert_eq!((after.state, after.resolved_at), (State::UnderInvestigation, None));
    // A review that ends gives a resolved task its state and time back.
    let review = rolled_up(task, &counts(&[REVIEW]), None, at(1));
    assert_eq!((review.state, review.before_review), (State::InReview, State::Resolved));
    let back = rolled_up(review, &counts(&[RESOLVED]), None, at(2));
    assert_eq!((back.state, back.resolved_at), (State::Resolved, Some(at(0))));
}

#[test]
fn people_change_states_by_table() {
    use State::{
        AwaitingImplementation as Awaiting, Closed, Deferred, InReview, Open, Resolved, UnderInvestigation as Looked,
    };
    for from in State::ALL {
        for to in State::ALL {
            let found = change_state(life(from), to, at(3));
            let expected = match (from, to) {
                (Closed, _) => Some("task_closed"),
                (_, Closed) => Some("closed_by_items"),
                (_, InReview | Deferred) => Some("by_request"),
                (InReview, _) => Some("in_review"),
                (Open, Open) | (Looked, Looked) | (Awaiting, Awaiting) | (Resolved, Resolved) => Some("same_state"),
                (Deferred, Looked | Awaiting | Resolved) => Some("deferred"),
                (Resolved, Awaiting) => Some("resolved"),
                _ => None,
            };
            assert_eq!(found.as_ref().err().map(|refusal| refusal.code), expected, "{from:?} -> {to:?}");
            if let Ok(after) = found {
                assert_eq!((after.state, after.resolved_at.is_some()), (to, to == Resolved));
            }
        }
        let code = |result: Result<(), Refusal>| result.err().map(|refusal| refusal.code);
        let held = match from {
            Open | Looked | Awaiting => None,
            Closed => Some("task_closed"),
            _ => Some("not_in_work"),
        };
        assert_eq!((code(may_split(from, 2)), code(may_add(from, 0, 1))), (held, held), "{from:?}");
        let closed = (from == Closed).then_some("task_closed");
        assert_eq!((code(may_remove(from)), code(may_assign(from))), (closed, closed), "{from:?}");
    }
    let code = |result: Result<(), Refusal>| result.err().map(|refusal| refusal.code);
    assert_eq!(code(may_split(Open, 1)), Some("one_item"));
    assert_eq!((code(may_add(Open, 9_999, 1)), code(may_add(Open, 9_999, 2))), (None, Some("task_full")));
    assert_eq!((code(may_delete(0)), code(may_delete(1))), (None, Some("has_items")));
}

#[test]
fn titles_say_what_the_items_share_and_fit() {
    let value = |shown: &str| Value { key: shown.to_owned(), shown: shown.to_owned() };
    for (given, values, part, expected) in [
        ("", vec![], 1, "Remediation"),
        ("Patch", vec![], 1, "Patch"),
        ("", vec![(Field::Group, value("web")), (Field::Asset, value("h1"))], 1, "web, h1"),
        ("Patch", vec![(Field::Group, value(""))], 2, "Patch: no group (2)"),
        ("", vec![(Field::Severity, value("5")), (Field::Assignee, value(""))], 1, "severity 5, nobody"),
        ("", vec![(Field::Asset, value("a\r\nb"))], 1, "a  b"),
    ] {
        assert_eq!(title(given, &values, part), expected);
    }
    let long = title("x", &[(Field::Asset, value(&"é".repeat(400)))], 12);
    assert!(long.chars().count() == TITLE_CHARS_MAX && long.ends_with("… (12)"), "{long}");
}

#[test]
fn words_go_there_and_back() {
    for field in [
        "asset",
        "vulnerability",
        "category",
        "severity",
        "band",
        "group",
        "assignee",
        "platform",
        "network",
        "instance",
        "tag:owner:",
    ] {
        assert_eq!(Field::parse(field).map(|parsed| parsed.text()).as_deref(), Some(field));
    }
    for field in ["", "tag:", "tag", "colour"] {
        assert_eq!(Field::parse(field), None, "{field}");
    }
    assert!(GroupBy::ALL.iter().zip(GroupBy::WORDS).all(|(by, word)| by.as_str() == *word));
    assert!(GroupBy::WORDS.iter().all(|word| GroupBy::parse(word).is_some()));
    assert!(Origin::ALL.iter().zip(Origin::WORDS).all(|(origin, word)| Origin::parse(word) == Some(*origin)));
    assert!(Existing::ALL.iter().zip(Existing::WORDS).all(|(one, word)| Existing::parse(word) == Some(*one)));
    assert_eq!(Substate::parse("cancelled"), Substate::Cancelled);
    assert_eq!(Substate::parse("fixed").as_str(), "fixed");
    for cause in [Cause::Made, Cause::Person("ada".to_owned()), Cause::Items("users/a:b".to_owned())] {
        assert_eq!(Cause::parse(&cause.text()), cause);
    }
}

#[test]
fn rules_by_table() {
    let codes = |name: &str, title: &str, fields: &[&str]| {
        let fields: Vec<String> = fields.iter().map(|field| (*field).to_owned()).collect();
        let wrong = wanted(name, title, &fields).err().unwrap_or_default();
        wrong.into_iter().map(|(field, code, _)| (field, code)).collect::<Vec<_>>()
    };
    let long = "x".repeat(TITLE_CHARS_MAX + 1);
    for (name, title, fields, expected) in [
        ("a", "", &[][..], vec![]),
        ("a", "b", &["asset", "vulnerability", "severity", "band", "group", "tag:x"], vec![]),
        (" ", "", &[], vec![("name", "missing")]),
        (long.as_str(), "", &[], vec![("name", "bad_text")]),
        ("a", "b\nc", &[], vec![("title", "bad_text")]),
        ("a", "", &["x"], vec![("group_by", "unknown")]),
        ("a", "", &["asset", "asset"], vec![("group_by", "twice")]),
        (
            "a",
            "",
            &["asset", "vulnerability", "severity", "band", "group", "platform", "instance"],
            vec![("group_by", "too_many")],
        ),
    ] {
        assert_eq!(codes(name, title, fields), expected, "{name} {fields:?}");
    }
}

#[test]
fn every_state_says_why_and_what_would_change_it() {
    let of = |state, items: &[(State, Why)]| {
        of_task(Life { until: Some(at(60)), ..life(state) }, &Cause::Person("ada".to_owned()), &counts(items))
            .join(". ")
    };
    let open = [(State::Open, Why::None)];
    for (state, items, word) in [
        (State::Open, &open[..], "closes when imports close its 1 open items"),
        (State::UnderInvestigation, &open, "its items are Under Investigation unless"),
        (State::Open, &[(State::Closed, Why::FalsePositive)], "take those out of it"),
        (State::InReview, &open, "an exception is being decided"),
        (State::Deferred, &open, "are deferred until"),
        (State::Resolved, &open, "is Open when one of them is found again"),
        (State::Closed, &open, "items that come back are grouped anew"),
    ] {
        let said = of(state, items);
        assert!(said.starts_with("ada set it") && said.contains(word), "{state:?} {said}");
    }
    let tasks = |states: &[State]| -> Vec<(String, State)> {
        states.iter().enumerate().map(|(n, state)| (format!("VUL{n}"), *state)).collect()
    };
    let said = of_item(State::Open, &tasks(&[State::UnderInvestigation, State::Resolved, State::Closed]));
    assert_eq!(
        said,
        [
            "its task VUL1 is Resolved, which counts more than its own state Open",
            "its task VUL0 is Under Investigation, which does not count more"
        ]
    );
    assert!(of_item(State::Open, &[]).is_empty());
}

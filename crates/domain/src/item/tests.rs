//! The rules of an item against `transitions.txt`, and what the table cannot say.

use super::*;

const NOW: i64 = 50;
const LATE: i64 = 150;

fn at(seconds: i64) -> Timestamp {
    Timestamp::default().plus_seconds(seconds)
}

/// A state of the table's head, as it is before the event.
fn before(name: &str) -> Workflow {
    let granted = |what, until: Option<i64>| Some(Granted { what, until: until.map(at) });
    let deferred = granted(Substate::RiskAccepted, Some(100));
    let plain = |state, substate| Workflow { state, substate, ..Workflow::NEW };
    match name {
        "OP" => Workflow::NEW,
        "UI" => plain(State::UnderInvestigation, Substate::None),
        "AI" => plain(State::AwaitingImplementation, Substate::None),
        "IR" => plain(State::InReview, Substate::None),
        "DE" => Workflow { granted: deferred, ..plain(State::Deferred, Substate::RiskAccepted) },
        "RE" => Workflow { resolved_at: Some(at(10)), ..plain(State::Resolved, Substate::None) },
        "RA" => Workflow { resolved_at: Some(at(10)), ..plain(State::Resolved, Substate::AwaitingScan) },
        "CF" => plain(State::Closed, Substate::Fixed),
        "CS" => plain(State::Closed, Substate::Stale),
        "CE" => plain(State::Closed, Substate::Excluded),
        "CM" => plain(State::Closed, Substate::Moved),
        "CD" => Workflow { granted: deferred, ..plain(State::Closed, Substate::Fixed) },
        "CP" => Workflow {
            granted: granted(Substate::FalsePositive, Some(100)),
            ..plain(State::Closed, Substate::FalsePositive)
        },
        "CQ" => Workflow {
            granted: granted(Substate::FalsePositive, None),
            ..plain(State::Closed, Substate::FalsePositive)
        },
        other => panic!("the table's head has an unknown state {other}"),
    }
}

fn after(name: &str) -> (State, Substate) {
    let shown = before(if name == "FP" { "CQ" } else { name });
    (shown.state, shown.substate)
}

fn seen(presence: Presence, found: i64) -> Sightings {
    Sightings { presence, last_found_at: Some(at(found)) }
}

fn happens(event: &str, item: Workflow) -> Result<Workflow, Refusal> {
    let granted = |what, until| Answer::Granted(Granted { what, until });
    let kept = |after: Option<Workflow>| Ok(after.unwrap_or(item));
    match event {
        "person:open" => change_state(item, State::Open, at(NOW)),
        "person:investigation" => change_state(item, State::UnderInvestigation, at(NOW)),
        "person:implementation" => change_state(item, State::AwaitingImplementation, at(NOW)),
        "person:in_review" => change_state(item, State::InReview, at(NOW)),
        "person:deferred" => change_state(item, State::Deferred, at(NOW)),
        "person:resolved" => change_state(item, State::Resolved, at(NOW)),
        "person:closed" => change_state(item, State::Closed, at(NOW)),
        "ask:deferral" => ask(item, Kind::Deferral),
        "ask:false_positive" => ask(item, Kind::FalsePositive),
        "granted:deferral" => kept(answered(item, granted(Substate::RiskAccepted, Some(at(200))))),
        "granted:false_positive" => kept(answered(item, granted(Substate::FalsePositive, None))),
        "back" => kept(answered(item, Answer::Back(State::UnderInvestigation))),
        "lapsed" => kept(answered(item, Answer::Lapsed)),
        "time" => kept(time_over(item, seen(Presence::Open, 40), at(NOW))),
        "time:late" => kept(time_over(item, seen(Presence::Open, 140), at(LATE))),
        "seen:open" => Ok(roll_up(item, seen(Presence::Open, 40), at(NOW))),
        "seen:open:old" => Ok(roll_up(item, seen(Presence::Open, 5), at(NOW))),
        "seen:open:late" => Ok(roll_up(item, seen(Presence::Open, 140), at(LATE))),
        "seen:fixed" => Ok(roll_up(item, seen(Presence::Fixed, 5), at(NOW))),
        "seen:fixed:late" => Ok(roll_up(item, seen(Presence::Fixed, 5), at(LATE))),
        "seen:stale" => Ok(roll_up(item, seen(Presence::Stale, 5), at(NOW))),
        "seen:excluded" => Ok(roll_up(item, seen(Presence::Excluded, 5), at(NOW))),
        "fix_verified" => Ok(fix_verified(item, at(NOW))),
        "revoked" => kept(revoked(item, seen(Presence::Open, 40), at(NOW))),
        other => panic!("the table has an unknown event {other}"),
    }
}

#[test]
fn every_event_in_every_state_by_table() {
    let mut lines = include_str!("transitions.txt").lines().filter(|line| !line.starts_with('#'));
    let states: Vec<&str> = lines.next().unwrap().split_whitespace().skip(1).collect();
    let (mut events, mut reached) = (0, std::collections::BTreeSet::new());
    for line in lines {
        let mut cells = line.split_whitespace();
        let event = cells.next().unwrap();
        let cells: Vec<&str> = cells.collect();
        assert_eq!(cells.len(), states.len(), "{event}");
        events += 1;
        for (from, cell) in states.iter().zip(cells) {
            let item = before(from);
            let got = happens(event, item);
            match cell.strip_prefix('!') {
                Some(code) => assert_eq!(got.map_err(|refusal| refusal.code), Err(code), "{event} in {from}"),
                None => {
                    let wanted = if cell == "." { (item.state, item.substate) } else { after(cell) };
                    let got = got.unwrap_or_else(|refusal| panic!("{event} in {from}: {refusal:?}"));
                    assert_eq!((got.state, got.substate), wanted, "{event} in {from}");
                    reached.insert(got.state.as_str());
                }
            }
        }
    }
    assert_eq!((events, states.len()), (24, 14), "nobody drops a line of the table");
    assert_eq!(reached.len(), State::ALL.len(), "every state is reached: {reached:?}");
}

#[test]
fn what_opens_an_item_counts_and_forgets_what_was_granted() {
    for (from, event, reopened, granted) in [
        ("CF", "seen:open", 1, false),
        ("CD", "seen:open", 1, true),
        ("CD", "seen:open:late", 1, false),
        ("RE", "seen:open", 1, false),
        ("CP", "seen:open:late", 1, false),
        ("CP", "revoked", 1, false),
        ("CE", "seen:open", 0, false),
        ("CM", "seen:open:late", 0, false),
        ("DE", "seen:excluded", 0, true),
        ("DE", "person:open", 0, false),
        ("DE", "time:late", 0, false),
        ("CP", "time:late", 1, false),
        ("DE", "seen:fixed", 0, true),
        ("DE", "lapsed", 0, true),
    ] {
        let after = happens(event, before(from)).unwrap();
        assert_eq!((after.reopened, after.granted.is_some()), (reopened, granted), "{event} in {from}");
        assert!(after.state != State::Open || after.resolved_at.is_none(), "{event} in {from}");
    }
    // What is granted anew counts from then on.
    let longer = happens("granted:deferral", before("DE")).unwrap();
    assert_eq!(longer.granted.and_then(|granted| granted.until), Some(at(200)));
    // Of two deferrals that overlap the later end counts.
    let shorter = Granted { what: Substate::Other, until: Some(at(150)) };
    let both = answered(longer, Answer::Granted(shorter)).unwrap();
    assert_eq!((both.substate, both.granted.and_then(|granted| granted.until)), (Substate::Other, Some(at(200))));
    // What its detections say meanwhile is not lost when a false positive is revoked.
    let gone = revoked(before("CQ"), seen(Presence::Fixed, 5), at(NOW)).unwrap();
    assert_eq!((gone.state, gone.substate, gone.reopened, gone.granted), (State::Closed, Substate::Fixed, 0, None));
    let over = time_over(before("CP"), seen(Presence::Fixed, 5), at(LATE)).unwrap();
    assert_eq!((over.state, over.substate, over.granted), (State::Closed, Substate::Fixed, None));
}

#[test]
fn what_was_decided_for_an_item_counts_for_the_one_it_joins() {
    for (item, other, wanted) in [
        ("OP", "DE", "DE"),
        ("UI", "IR", "IR"),
        ("OP", "UI", "OP"),
        ("OP", "CP", "OP"),
        ("CF", "DE", "DE"),
        ("CF", "CQ", "CQ"),
        ("CD", "IR", "CD"),
        ("DE", "IR", "DE"),
        ("IR", "DE", "IR"),
        ("RE", "DE", "RE"),
        ("CQ", "DE", "CQ"),
    ] {
        let after = joined(before(item), before(other));
        assert_eq!(
            (after.state, after.substate),
            (before(wanted).state, before(wanted).substate),
            "{other} joins {item}"
        );
    }
}

#[test]
fn words_go_there_and_back() {
    for (state, word) in State::ALL.into_iter().zip(State::WORDS) {
        assert_eq!((state.as_str(), State::parse(word)), (*word, Some(state)));
    }
    for (substate, word) in Substate::ALL.into_iter().skip(1).zip(Substate::WORDS) {
        assert_eq!((substate.as_str(), Substate::parse(word)), (*word, substate));
        assert!(!substate.title().is_empty());
    }
    assert!(Substate::DEFERRALS.into_iter().all(|substate| Substate::WORDS.contains(&substate.as_str())));
}

#[test]
fn a_deferral_is_taken_up_again_only_where_that_is_wanted() {
    let open = seen(Presence::Open, 40);
    let closed = before("CD");
    assert_eq!(roll_up_by(closed, open, true, at(NOW)), roll_up(closed, open, at(NOW)));
    let opened = roll_up_by(closed, open, false, at(NOW));
    assert_eq!((opened.state, opened.granted, opened.reopened), (State::Open, None, 1));
    // What is deferred stays so.
    assert_eq!(roll_up_by(before("DE"), open, false, at(NOW)), before("DE"));
}

//! Agents of which nothing is heard any more, on both engines: the statements held to `domain::contact`.

#![allow(clippy::unwrap_used, clippy::allow_attributes, reason = "a test may panic")]

use domain::asset::{Identity, Platform};
use domain::contact::{Bounds, Contact, Span};
use domain::id::AgentKey;
use domain::time::Timestamp;
use domain::window::Window;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use std::collections::BTreeSet;
use store::agents::contact::{self, Silent};
use store::agents::{Heard, NewAgent};
use store::rollouts::away;
use store::{Transaction, agents};
use testkit::both_engines;
use uuid::Uuid;

const DAY: i64 = 86_400;

fn at(days: i64) -> Timestamp {
    Timestamp::from_micros(1_790_000_000_000_000).plus_seconds(days * DAY)
}

/// An agent with this key, last heard on this day.
fn agent(tx: &mut Transaction<'_>, public_key: &str, heard: i64) -> store::Result<AgentKey> {
    let text = String::new();
    let new = NewAgent {
        agent_id: Uuid::now_v7(),
        instance_id: Uuid::now_v7(),
        token_id: Uuid::now_v7(),
        public_key: public_key.to_owned(),
        hostname: public_key.to_owned(),
        zone: text.clone(),
        facts: text.clone(),
        version: text.clone(),
        mode: text,
    };
    agents::create(tx, &new, at(heard))
}

fn keys(silent: &[Silent]) -> BTreeSet<AgentKey> {
    silent.iter().map(|silent| silent.key).collect()
}

both_engines!(who_is_missing_and_who_is_retired_is_the_domains_to_say, |db| {
    // Silent for so many days, perhaps taken back so many days ago, perhaps revoked by a person.
    let one = (0_i64..60, prop::option::of(0_i64..60), prop::bool::weighted(0.1));
    let history = (prop::collection::vec(one, 0..12), 7_i64..50);
    let mut runner = TestRunner::new(Config { cases: 24, failure_persistence: None, ..Config::default() });
    let run = runner.run(&history, |(fleet, days)| {
        let bounds = Bounds::of(&[Span { since: at(0), until: at(100) }], at(100), days);
        let made = db
            .write_blocking(move |tx| {
                tx.execute("DELETE FROM agent", &[])?;
                let (mut missing, mut over) = (BTreeSet::new(), BTreeSet::new());
                for (number, (silent, back, revoked)) in fleet.iter().enumerate() {
                    let key = agent(tx, &number.to_string(), 100 - silent)?;
                    let back = back.map(|days| at(100 - days));
                    tx.execute("UPDATE agent SET reinstated_at = $2 WHERE id = $1", &[&key, &back])?;
                    if *revoked {
                        agents::revoke(tx, key, at(1))?;
                        continue;
                    }
                    let contact = bounds.contact(back.map_or(at(100 - silent), |back| back.max(at(100 - silent))));
                    if contact >= Contact::Missing {
                        missing.insert(key);
                    }
                    if contact == Contact::Over {
                        over.insert(key);
                    }
                }
                let marked = contact::mark(tx, bounds.missing.unwrap(), at(100))?;
                assert!(contact::mark(tx, bounds.missing.unwrap(), at(100))?.is_empty(), "once");
                let fleet = contact::fleet(tx, at(100 - days))?;
                let due = contact::over(tx, bounds.over.unwrap())?;
                let retired = contact::retire(tx, bounds.over.unwrap(), at(100))?;
                assert!(contact::retire(tx, bounds.over.unwrap(), at(100))?.is_empty(), "once");
                assert_eq!(contact::fleet(tx, at(100 - days))?, fleet, "who was retired lately counts");
                let all: Vec<AgentKey> = keys(&marked).into_iter().collect();
                assert_eq!(contact::retired(tx, &all)?, over);
                Ok(((keys(&marked), keys(&retired), due, fleet.silent), (missing, over)))
            })
            .unwrap();
        let ((marked, retired, due, silent), (missing, over)) = made;
        prop_assert_eq!(due, i64::try_from(over.len()).unwrap());
        prop_assert_eq!(silent, missing.len() as u64);
        prop_assert_eq!((marked, retired), (missing, over));
        Ok(())
    });
    run.unwrap();
});

both_engines!(a_word_ends_the_loss_of_contact_and_brings_nobody_back_from_retirement, |db| {
    db.write_blocking(|tx| {
        let (lost, gone) = (agent(tx, "lost", 0)?, agent(tx, "gone", 0)?);
        contact::mark(tx, at(10), at(20))?;
        assert!(agents::read(tx, lost)?.missing_at.is_some());
        let word = |agent, day| Heard { agent, window: Window::NEW, at: at(day) };
        agents::heard(tx, &[word(lost, 0)])?;
        assert!(agents::read(tx, lost)?.missing_at.is_some(), "an old word is none");
        agents::heard(tx, &[word(lost, 21)])?;
        assert_eq!(agents::read(tx, lost)?.missing_at, None);
        assert_eq!(keys(&contact::retire(tx, at(10), at(60))?), [gone].into());
        agents::heard(tx, &[word(gone, 61)])?;
        let row = agents::read(tx, gone)?;
        assert!(row.revoked_at.is_some() && row.retired_at.is_some(), "{row:?}");
        // A person takes it back, and it is not retired again for its old silence.
        assert!(contact::take_back(tx, gone, at(62))?);
        assert!(!contact::take_back(tx, gone, at(62))?, "once");
        let row = agents::read(tx, gone)?;
        assert_eq!((row.revoked_at, row.retired_at, row.missing_at), (None, None, None));
        agents::heard(tx, &[word(lost, 63)])?;
        assert!(contact::mark(tx, at(62), at(69))?.is_empty(), "its silence counts from there");
        // One that a person has ended stays ended.
        contact::mark(tx, at(200), at(207))?;
        contact::retire(tx, at(200), at(207))?;
        assert!(agents::revoke(tx, gone, at(208))?);
        assert!(!contact::take_back(tx, gone, at(209))?);
        assert!(agents::read(tx, gone)?.revoked_at.is_some());
        Ok(())
    })
    .unwrap();
});

both_engines!(a_retired_agent_keeps_its_claim_on_its_asset_against_other_keys, |db| {
    db.write_blocking(|tx| {
        let identity =
            Identity { machine_id: Some("m1".to_owned()), macs: vec!["aa".to_owned()], ..Identity::default() };
        let asset = agents::create_asset(tx, "one", Platform::Linux, "Debian", "10.0.0.1", &identity, at(0))?;
        let owner = agent(tx, "the owner's key", 0)?;
        agents::set_link(tx, owner, Some(asset), "own", "", at(0))?;
        let (other, same) = (agent(tx, "another key", 60)?, agent(tx, "the owner's key", 60)?);
        let claimed = |tx: &mut Transaction<'_>, who| {
            let found = agents::candidates(tx, &identity, who)?;
            Ok::<_, store::Error>(found.iter().map(|candidate| candidate.claimed).collect::<Vec<_>>())
        };
        assert_eq!(claimed(tx, other)?, [true], "in force");
        contact::mark(tx, at(10), at(60))?;
        contact::retire(tx, at(10), at(60))?;
        assert_eq!(claimed(tx, other)?, [true], "whoever calls himself this machine is not believed");
        assert_eq!(claimed(tx, same)?, [false], "the same key is the same machine");
        agents::revoke(tx, owner, at(61))?;
        assert_eq!(claimed(tx, other)?, [false], "a person has ended it");
        Ok(())
    })
    .unwrap();
});

both_engines!(time_in_which_nobody_listened_and_clocks_that_jump_are_written_down_as_what_they_are, |db| {
    db.write_blocking(|tx| {
        let minutes = |minutes: i64| at(0).plus_seconds(minutes * 60);
        // The test's own database may have been looked at by nobody yet.
        tx.execute("DELETE FROM listening", &[])?;
        for minute in 0..30 {
            away::listening(tx, minutes(minute))?;
        }
        // Off for two hours, then on for ten minutes.
        for minute in 150..160 {
            away::listening(tx, minutes(minute))?;
        }
        let span = |since, until| Span { since: minutes(since), until: minutes(until) };
        assert_eq!(away::spans(tx)?, [span(150, 159), span(0, 29)]);
        // The clock jumps 46 days ahead and nobody has listened meanwhile; then it is right again, and somebody listens at once.
        let days = 46 * 24 * 60;
        away::listening(tx, minutes(160 + days))?;
        let far = away::spans(tx)?;
        assert_eq!(Bounds::of(&far, minutes(160 + days), 45), Bounds::default(), "{far:?}");
        assert_eq!(away::listening(tx, minutes(161))?, (minutes(161), true));
        assert_eq!(away::listening(tx, minutes(163))?, (minutes(161), true));
        let now = away::spans(tx)?;
        assert!(now.contains(&span(161, 163)), "{now:?}");
        assert_eq!(away::forget_spans(tx, minutes(100))?, 1);
        Ok(())
    })
    .unwrap();
});

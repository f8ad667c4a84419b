//! What a policy comes to, and that nothing of it can change without being seen.

use super::*;
use crate::rollout::{Preset, Size};
use proptest::prelude::*;

fn base() -> Policy {
    Policy {
        waves: vec![Size::Count(1), Size::Share(10)],
        soak_seconds: 300,
        max_running: 20,
        starts_per_minute: Some(5),
        failures: Some(Size::Share(5)),
        failure_percent: Some(5),
        definitive_percent: 95,
        freshness_hours: 24,
        apart: Some(Apart { tag: "cluster:".to_owned(), at_most: 1 }),
        permits: false,
        restarts: None,
    }
}

#[test]
fn shares_are_worked_out() {
    let rollout = Rollout::of(&base(), 40, 80);
    assert_eq!((rollout.waves.as_slice(), rollout.machines()), (&[1, 4, 35][..], 40));
    assert_eq!((rollout.failures, rollout.tasks), (4, 80));
    // Waves, a pace and groups need permits although the policy does not ask for them.
    assert!(rollout.permits);
    let plain = Policy { permits: false, ..Policy::default() };
    assert!(!Rollout::of(&plain, 2, 2).permits && Rollout::of(&plain, 2_000, 2_000).permits);
    assert_eq!(Rollout::of(&plain, 2, 2).waves, [2]);
}

/// Each field of a policy, changed by itself, is seen, and named as what it is.
#[test]
fn every_change_of_a_policy_is_seen() {
    type Change = fn(&mut Policy);
    let changes: [(&str, Change); 13] = [
        ("the waves", |p| p.waves = vec![Size::Count(2), Size::Share(10)]),
        ("the waves", |p| p.waves = vec![Size::Count(1)]),
        ("the waves", |p| p.waves = Vec::new()),
        ("the gates", |p| p.soak_seconds = 299),
        ("the gates", |p| p.definitive_percent = 94),
        ("the gates", |p| p.failures = Some(Size::Share(50))),
        ("the gates", |p| p.failures = None),
        ("the gates", |p| p.failure_percent = None),
        ("the limits", |p| p.max_running = 21),
        ("the limits", |p| p.starts_per_minute = None),
        ("the limits", |p| p.apart = None),
        ("the restarts", |p| p.restarts = Some(1)),
        ("the time that a machine may be away", |p| p.freshness_hours = 25),
    ];
    let (machines, tasks) = (40, 80);
    let approved = Rollout::of(&base(), machines, tasks);
    assert_eq!(approved.differs(&approved.clone()), None);
    for (what, change) in changes {
        let mut policy = base();
        change(&mut policy);
        let now = Rollout::of(&policy, machines, tasks);
        assert_eq!((approved.differs(&now), now.differs(&approved)), (Some(what), Some(what)), "{policy:?}");
    }
    for (what, other) in [
        ("the waves", Rollout { tasks: 81, ..approved.clone() }),
        ("the limits", Rollout { permits: false, ..approved.clone() }),
    ] {
        assert_eq!(approved.differs(&other), Some(what));
    }
    // One more slot is a change as well.
    let slots = |restarts| Rollout::of(&Policy { restarts, ..base() }, machines, tasks);
    assert_eq!(slots(Some(1)).differs(&slots(Some(2))), Some("the restarts"));
}

#[test]
fn everything_is_said() {
    let text = |rollout: &Rollout| {
        rollout.words().into_iter().map(|(label, text)| format!("{label}: {text}\n")).collect::<String>()
    };
    let said = text(&Rollout::of(&base(), 40, 80));
    for part in [
        "Waves: 3 waves of 1, 4, 35 machines",
        "Next wave: opens when 95%",
        "stood for 5 min",
        "after more than 4 failures of 80 tasks",
        "when more than 5% fail",
        "half undone",
        "when 2 machines fall silent",
        "at most 20 tasks",
        "at most 5 starts a minute",
        "at most 1 of a group by the tag cluster:",
        "every start asks",
        "no machine is restarted",
        "not heard of for 24 h",
    ] {
        assert!(said.contains(part), "{part}: {said}");
    }
    let other = Policy { restarts: Some(3), permits: false, ..Policy::default() };
    let said = text(&Rollout::of(&other, 2, 2));
    assert!(said.contains("Waves: one, of all 2 machines") && !said.contains("Next wave"), "{said}");
    assert!(said.contains("at most 3 at once") && said.contains("ask for no permit"), "{said}");
}

proptest! {
    /// What is written down is read again as it was, and a field that nobody knows is refused.
    #[test]
    fn it_is_read_as_it_was_written(preset in 0_usize..3, machines in 1_u64..5_000, more in 0_u64..5_000) {
        let rollout = Rollout::of(&Preset::ALL[preset].policy(), machines, machines + more);
        prop_assert_eq!(rollout.machines(), machines);
        let mut json = serde_json::to_value(&rollout).unwrap();
        prop_assert_eq!(&serde_json::from_value::<Rollout>(json.clone()).unwrap(), &rollout);
        json["only_on_sundays"] = true.into();
        prop_assert!(serde_json::from_value::<Rollout>(json).is_err());
    }
}

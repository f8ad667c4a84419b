//! The small models: every invariant holds in every state, every task has a way out of every state, and every mutation is
//! found. The large ones are explored by `cargo xtask bench model`.

#![allow(clippy::print_stdout, clippy::allow_attributes, reason = "counts are worth seeing")]

use model::{Bounds, Breach, Mutation, REDUCED, check, escape};

fn bounds(name: &str) -> Bounds {
    *REDUCED.iter().find(|bounds| bounds.name == name).expect("a model of this name")
}

fn holds(name: &str) {
    let bounds = bounds(name);
    let explored = check(bounds, None, 1);
    let reached = escape(bounds, None);
    println!("{name}: {}; {} states, depth {}", bounds.line(), explored.states, explored.depth);
    assert!(explored.broken.is_empty(), "{name}: {:#?}", explored.broken);
    assert_eq!(reached.states, explored.states, "{name}: both explorations see the same states");
    assert_eq!(reached.stuck, 0, "{name}: S13 is broken by {:#?}", reached.way);
}

fn found(mutation: Mutation) {
    let (_, name, expected) = Mutation::ALL.iter().find(|(known, _, _)| *known == mutation).expect("it is listed");
    let bounds = bounds(name);
    if expected.contains(&Breach::NoWayOut) {
        let reached = escape(bounds, Some(mutation));
        println!("{mutation:?}: {} of {} states have no way out", reached.stuck, reached.states);
        println!("  the first is reached by {:#?}", reached.way);
        assert!(reached.stuck > 0, "{mutation:?} is not found by {name}");
        return;
    }
    let explored = check(bounds, Some(mutation), 1);
    println!("{mutation:?}: after {} states: {:#?}", explored.states, explored.broken);
    let (breach, way) = explored.broken.first().unwrap_or_else(|| panic!("{mutation:?} is not found by {name}"));
    assert!(expected.contains(breach), "{mutation:?} is found as {breach:?} by {way:#?}");
}

macro_rules! holds {
    ($($test:ident $name:literal;)*) => { $(#[test] fn $test() { holds($name); })* };
}

macro_rules! found {
    ($($test:ident $mutation:ident;)*) => {
        $(#[test] fn $test() { found(Mutation::$mutation); })*

        #[test]
        fn every_mutation_has_a_test() {
            assert_eq!(Mutation::ALL.map(|(mutation, _, _)| mutation), [$(Mutation::$mutation),*]);
        }
    };
}

holds! {
    s1_to_s5_and_s13_hold_for_a_task "task";
    s2_and_s5_hold_with_two_replicas "replicas";
    s7_holds_with_two_replicas_and_a_halt "halt";
    s1_and_s9_hold_with_two_hosts_and_misdelivery "hosts";
    s1_and_s13_hold_for_two_tasks_of_a_host "tasks";
    s1_holds_over_compaction "compaction";
    s9_holds_against_a_hostile_server "catalogue";
    s6_holds_for_permits_of_two_hosts_that_crash "permits";
    s7_holds_with_permits_two_replicas_halts_and_cancel "permit-halt";
    s6_holds_with_two_replicas_that_race "permit-replicas";
    s6_holds_with_clocks_that_differ "permit-clocks";
    s6_holds_through_silence "permit-silence";
    s6_holds_with_agents_that_are_lost "permit-lost";
    s6_holds_for_two_tasks_of_a_host "permit-tasks";
    s6_and_s7_hold_over_epochs "permit-epochs";
    s7_holds_with_permits_that_go_astray "permit-astray";
}

found! {
    no_journal_is_found NoJournal;
    dequeue_on_fetch_is_found DequeueOnFetch;
    epoch_on_timeout_is_found EpochOnTimeout;
    epoch_on_timeout_unasked_is_found EpochOnTimeoutUnasked;
    intent_not_durable_is_found IntentNotDurable;
    effect_before_intent_is_found EffectBeforeIntent;
    run_again_after_intent_is_found RunAgainAfterIntent;
    takes_ended_order_is_found TakesEndedOrder;
    takes_older_epoch_is_found TakesOlderEpoch;
    no_tombstone_is_found NoTombstone;
    cancel_without_word_is_found CancelWithoutWord;
    no_check_at_start_is_found NoCheckAtStart;
    terminal_leaves_is_found TerminalLeaves;
    past_epoch_counts_is_found PastEpochCounts;
    unknown_is_forgotten_is_found UnknownIsForgotten;
    halt_is_not_seen_is_found HaltIsNotSeen;
    blind_commit_is_found BlindCommit;
    wrong_host_is_found WrongHost;
    index_rollback_is_found IndexRollback;
    unlisted_content_is_found UnlistedContent;
    no_index_at_start_is_found NoIndexAtStart;
    no_permit_asked_is_found NoPermitAsked;
    permit_of_another_task_is_found PermitOfAnotherTask;
    permit_of_another_epoch_is_found PermitOfAnotherEpoch;
    permit_of_another_host_is_found PermitOfAnotherHost;
    permit_unasked_is_found PermitUnasked;
    time_from_the_answer_is_found TimeFromTheAnswer;
    permit_never_ends_is_found PermitNeverEnds;
    limit_per_replica_is_found LimitPerReplica;
    blind_grant_is_found BlindGrant;
    granted_twice_is_found GrantedTwice;
    halt_is_not_asked_is_found HaltIsNotAsked;
    place_is_not_closed_is_found PlaceIsNotClosed;
    place_outlasts_no_run_is_found PlaceOutlastsNoRun;
    no_margin_is_found NoMargin;
    silence_gives_back_is_found SilenceGivesBack;
    lost_gives_back_is_found LostGivesBack;
    places_never_expire_is_found PlacesNeverExpire;
    compaction_forgets_numbers_is_found CompactionForgetsNumbers;
}

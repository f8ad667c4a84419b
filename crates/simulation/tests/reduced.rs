//! The simulation in reduced form: fewer hosts and seeds than `cargo xtask bench simulation`, every rule and every break.

use simulation::{Mutation, Template, run};

const HOSTS: u32 = 12;
const SEEDS: u64 = 25;
/// A break has to be found within so many seeds.
const SEEDS_PER_MUTATION: u64 = 40;

#[test]
fn every_invariant_holds_over_the_first_seeds() {
    let template = Template::make(HOSTS);
    let (mut starts, mut retries, mut deaths) = (0, 0, 0);
    for seed in 1..=SEEDS {
        let outcome = run(&template, seed, None, false);
        let replay =
            format!("cargo run -p simulation -- --seeds {seed}..{} --hosts {HOSTS} --workers 1 --trace", seed + 1);
        assert!(outcome.broken.is_empty(), "seed {seed}: {:#?}\nreplay: {replay}", outcome.broken);
        starts += outcome.starts.0;
        retries += outcome.starts.1;
        deaths += outcome.counts.server_deaths + outcome.counts.agent_deaths;
    }
    // A simulation in which nothing happens finds nothing.
    assert!(starts > 500 && retries > 5 && deaths > 50, "{starts} starts, {retries} retries, {deaths} deaths");
}

#[test]
fn a_seed_is_one_history() {
    let template = Template::make(HOSTS);
    let first = run(&template, 7, None, false);
    // Keys, ids and the signatures over them are others in a second template: none of them may matter.
    let again = run(&Template::make(HOSTS), 7, None, false);
    assert_eq!(first.trace, again.trace);
    assert_ne!(first.trace, run(&template, 8, None, false).trace);
}

/// The break is found, by an invariant that is meant to find it.
fn found(mutation: Mutation) {
    let template = Template::make(HOSTS);
    let (_, expected) = Mutation::ALL.into_iter().find(|(known, _)| *known == mutation).expect("it is listed");
    let mut said = Vec::new();
    for seed in 1..=SEEDS_PER_MUTATION {
        said.extend(run(&template, seed, Some(mutation), false).broken);
        if said.iter().any(|line| expected.iter().any(|name| line.starts_with(&format!("{name}:")))) {
            return;
        }
    }
    panic!("{mutation:?} is not found in {SEEDS_PER_MUTATION} seeds by {expected:?}; said was {said:#?}");
}

macro_rules! mutations {
    ($($test:ident $mutation:ident),* $(,)?) => {$(
        #[test]
        fn $test() {
            found(Mutation::$mutation);
        }
    )*

        #[test]
        fn every_mutation_has_its_test() {
            let tested = [$(Mutation::$mutation),*];
            assert!(Mutation::ALL.iter().all(|(mutation, _)| tested.contains(mutation)));
        }
    };
}

mutations! {
    a_new_epoch_on_silence_is_found ReofferAfterSilence,
    an_acknowledgement_before_the_commit_is_found AckBeforeCommit,
    a_journal_that_is_not_synced_is_found JournalNotSynced,
    a_cancel_without_a_tombstone_is_found CancelWithoutTombstone,
    a_halt_that_one_replica_ignores_is_found HaltOnOneReplica,
    a_result_without_its_control_is_found ControlForgotten,
    a_score_that_is_not_computed_again_is_found ScoreForgotten,
    a_lost_entry_of_the_audit_is_found AuditEntryLost,
    a_blind_revert_is_found RevertBlind,
    an_abandoned_task_is_found TaskAbandoned,
}

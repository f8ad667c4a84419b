use super::*;

fn life(status: Status, started: bool) -> Life {
    Life { status, pace: Pace::OnDemand, started, cancelled: false, paused: false, failing: false }
}

#[test]
fn r1_s1_19_s1_21_saving() {
    assert_eq!(act(life(Status::Draft, false), Act::Save).unwrap().status, Status::Disabled);
    assert_eq!(act(life(Status::Draft, false), Act::SaveAndEnable).unwrap().status, Status::Enabled);
    assert_eq!(act(life(Status::Disabled, false), Act::SaveAndEnable).unwrap_err().code, "job_not_draft");
}

/// One letter per act (Save, save And enable, Edit, eNable, Disable, Pause, Resume, Cancel, run noW, reTry failed,
/// clOne, change owneR, deLete): its letter = allowed.
#[test]
fn acts_by_table() {
    use Pace::{OnDemand, Once, Recurring};
    use Status::{Completed, CompletedWithFailures, Disabled, Draft, Enabled};
    // status, pace, started, paused, failing
    for (status, pace, started, paused, failing, allowed) in [
        (Draft, OnDemand, false, false, false, "SAE-------ORL"),
        (Draft, Recurring, false, false, false, "SAE-------ORL"),
        (Disabled, OnDemand, false, false, false, "S-EN------ORL"),
        (Disabled, Recurring, false, false, true, "S-EN------ORL"),
        (Enabled, OnDemand, false, false, false, "----DP----ORL"),
        (Enabled, OnDemand, false, true, false, "----D-R---ORL"),
        (Enabled, OnDemand, true, false, false, "-----P-C--OR-"),
        (Enabled, OnDemand, true, true, false, "------RC--OR-"),
        (Enabled, Once, false, false, false, "----DP--W-ORL"),
        (Enabled, Once, false, true, false, "----D-R---ORL"),
        (Enabled, Once, true, false, false, "-----P-C--OR-"),
        (Enabled, Recurring, false, false, false, "----DP--W-ORL"),
        (Enabled, Recurring, false, false, true, "----DP--WTORL"),
        (Enabled, Recurring, false, true, true, "----D-R---ORL"),
        (Enabled, Recurring, true, false, true, "-----P-C--OR-"),
        (Completed, OnDemand, true, false, false, "--------W-ORL"),
        (Completed, Recurring, true, false, false, "--------W-ORL"),
        (CompletedWithFailures, OnDemand, true, false, true, "--------WTORL"),
        (CompletedWithFailures, Once, true, false, true, "--------WTORL"),
    ] {
        let before = Life { pace, paused, failing, ..life(status, started) };
        let found: String = Act::ALL
            .into_iter()
            .zip("SAENDPRCWTORL".chars())
            .map(|(what, letter)| if act(before, what).is_ok() { letter } else { '-' })
            .collect();
        assert_eq!(found, allowed, "{before:?}");
    }
}

#[test]
fn s1_22_r7_what_was_not_started_can_be_disabled_and_enabled_again() {
    let before = Life { pace: Pace::Once, ..life(Status::Enabled, false) };
    let disabled = act(before, Act::Disable).unwrap();
    assert_eq!(disabled.status, Status::Disabled);
    assert_eq!(act(disabled, Act::Enable).unwrap().status, Status::Enabled);
    let paused = act(before, Act::Pause).unwrap();
    assert!(!act(paused, Act::Disable).unwrap().paused, "what is enabled again is not paused any more");
}

#[test]
fn a_job_ends_with_its_schedule() {
    let running = Life { pace: Pace::Recurring, cancelled: true, ..life(Status::Enabled, true) };
    let between = after_run(running, true, [0, 1]);
    assert_eq!((between.status, between.cancelled, between.failing), (Status::Enabled, false, true));
    let over = after_run(running, false, [0, 33]);
    assert_eq!((over.status, over.failing), (Status::Completed, false));
    assert_eq!(after_run(running, false, [0, 1]).status, Status::CompletedWithFailures);
    let rerun = act(Life { failing: true, ..life(Status::CompletedWithFailures, true) }, Act::RetryFailed).unwrap();
    assert_eq!(rerun.status, Status::Enabled);
}

#[test]
fn r16_any_failure_decides() {
    assert_eq!(ended([0, 33, 101]), Status::Completed);
    assert_eq!(ended([0, 1]), Status::CompletedWithFailures);
    assert_eq!(outcome(&[task::State::Succeeded, task::State::Unknown]), None);
    assert_eq!(outcome(&[task::State::Succeeded, task::State::Cancelled]), Some(Status::Completed));
}

#[test]
fn r4_s1_07_removing_an_asset_removes_its_orphaned_vulnerability() {
    let target = |asset, vulnerability| Target { asset: AssetId(asset), vulnerability: VulnerabilityId(vulnerability) };
    let all = [target(1, 10), target(1, 11), target(2, 11)];
    assert_eq!(remove_assets(&all, &BTreeSet::from([AssetId(1)])), [target(2, 11)]);
}

#[test]
fn s1_06_assets_are_never_added() {
    let present = BTreeSet::from([AssetId(1), AssetId(2)]);
    assert!(only_removed(&present, &BTreeSet::from([AssetId(1)])).is_ok());
    assert_eq!(only_removed(&present, &BTreeSet::from([AssetId(3)])).unwrap_err().code, "assets_only_removed");
}

#[test]
fn actions_are_never_added() {
    let action = |vulnerability, entry| (VulnerabilityId(vulnerability), entry);
    let present = BTreeSet::from([action(1, 10), action(1, 11), action(2, 10)]);
    for (wanted, allowed) in [
        (BTreeSet::new(), true),
        (present.clone(), true),
        (BTreeSet::from([action(1, 11)]), true),
        (BTreeSet::from([action(1, 12)]), false),
        // An entry that the job has for another vulnerability is an addition as well.
        (BTreeSet::from([action(2, 10), action(2, 11)]), false),
    ] {
        let refused = actions_only_removed(&present, &wanted).err().map(|refusal| refusal.code);
        assert_eq!(refused, (!allowed).then_some("actions_only_removed"), "{wanted:?}");
    }
}

#[test]
fn r3_r5_s1_08_s1_13_what_cannot_be_saved() {
    let good = vec!["a@example.org".to_owned(); 50];
    let review = |recipients: &[String], assets, percent| {
        let job = Review { title: "t", description: "", assets, actions: 1, recipients, mail_percent: percent };
        review(&job).iter().map(|found| found.refusal.code).collect::<Vec<_>>()
    };
    assert!(review(&good, 1, Some(100)).is_empty());
    assert_eq!(review(&good, 0, None), ["no_assets"]);
    assert_eq!(review(&[good.clone(), good[..1].to_vec()].concat(), 1, None), ["too_many_recipients"]);
    assert_eq!(review(&["a@b\r\nBcc: x@y".to_owned()], 1, Some(0)), ["bad_recipient", "bad_percent"]);
}

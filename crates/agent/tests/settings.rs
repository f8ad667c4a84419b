//! `file.setting` from exposed to reverted, on real files.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::print_stderr,
    clippy::allow_attributes,
    reason = "a test that fails says so by panicking"
)]

mod common;

use common::{World, entry, mode, set_mode, sshd};
use domain::mitigation::{ControlState, Origin};
use proptest::prelude::*;
use protocol::agent::Outcome;

const ID: &str = "linux-sshd-login-grace-0";
const FILE: &str = "etc/ssh/sshd_config";

#[test]
fn exposed_applied_unchanged_reverted_byte_for_byte() {
    let world = World::new(vec![sshd()]);
    set_mode(&world.host().join(FILE), 0o640);
    let before = world.snapshot();
    assert_eq!(world.check(ID, 1).state, ControlState::Exposed);
    assert_eq!(world.snapshot(), before, "a check changes nothing");

    let applied = world.apply(ID, 2);
    assert_eq!((applied.outcome, applied.state), (Outcome::Succeeded, ControlState::Effective), "{}", applied.message);
    assert_eq!(applied.origin, Some(Origin::Ours));
    assert_eq!(world.read(FILE), "Port 22\nUsePAM yes\nLoginGraceTime 0\n");
    assert_eq!(mode(&world.host().join(FILE)), 0o640);
    let action = &applied.actions[0];
    assert_eq!((action.before.as_str(), action.after.as_str(), action.did.as_str()), ("(absent)", "0", "changed"));
    assert_eq!(action.files, ["/etc/ssh/sshd_config"]);
    assert!(action.diff.contains("+LoginGraceTime 0"));

    let again = world.apply(ID, 3);
    assert_eq!((again.outcome, again.origin), (Outcome::Unchanged, Some(Origin::Ours)));
    let reverted = world.revert(ID, 4);
    assert_eq!((reverted.outcome, reverted.state), (Outcome::Reverted, ControlState::Exposed), "{}", reverted.message);
    assert_eq!(world.snapshot(), before);
    assert_eq!(world.revert(ID, 5).outcome, Outcome::NotOurs);
}

#[test]
fn what_was_there_before_us_is_never_reverted() {
    let world = World::new(vec![sshd()]);
    world.write(FILE, "LoginGraceTime 0\n");
    let before = world.snapshot();
    let applied = world.apply(ID, 1);
    assert_eq!((applied.outcome, applied.origin), (Outcome::Unchanged, Some(Origin::External)));
    assert_eq!(world.revert(ID, 2).outcome, Outcome::NotOurs);
    assert_eq!(world.snapshot(), before);
}

#[test]
fn another_changed_line_stays_and_only_our_setting_goes_back() {
    let world = World::new(vec![sshd()]);
    world.write(FILE, "Port 22\nLoginGraceTime 120\nUsePAM yes\n");
    world.apply(ID, 1);
    world.write(FILE, "Port 2222\nLoginGraceTime 0\nUsePAM yes\nBanner none\n");
    assert_eq!(world.revert(ID, 2).outcome, Outcome::Reverted);
    assert_eq!(world.read(FILE), "Port 2222\nLoginGraceTime 120\nUsePAM yes\nBanner none\n");
}

#[test]
fn our_changed_setting_stops_the_revert_and_nothing_is_written() {
    let world = World::new(vec![sshd()]);
    world.apply(ID, 1);
    world.write(FILE, "Port 22\nUsePAM yes\nLoginGraceTime 30\n");
    assert_eq!(world.check(ID, 2).state, ControlState::Drifted);
    let before = world.snapshot();
    let reverted = world.revert(ID, 3);
    assert_eq!((reverted.outcome, reverted.state), (Outcome::DriftedSinceApply, ControlState::Drifted));
    assert!(reverted.message.contains("30"), "{}", reverted.message);
    assert_eq!(world.snapshot(), before);
    // Applied again, what the other party set becomes the prior state.
    assert_eq!(world.apply(ID, 4).outcome, Outcome::Succeeded);
    assert_eq!(world.revert(ID, 5).outcome, Outcome::Reverted);
    assert_eq!(world.snapshot(), before);
}

#[test]
fn two_settings_in_one_file_are_one_replacement_and_go_back_together() {
    let actions = r#"
[[action]]
kind = "file.setting"
path = "/etc/ssh/sshd_config"
format = "sshd"
key = "Ciphers"
value = "-chacha20-poly1305@openssh.com"

[[action]]
kind = "file.setting"
path = "/etc/ssh/sshd_config"
format = "sshd"
key = "MACs"
value = "-*-etm@openssh.com"
"#;
    let world = World::new(vec![entry("linux-two", actions), sshd()]);
    world.write(FILE, "Include /etc/ssh/sshd_config.d/*.conf\nPort 22");
    let before = world.snapshot();
    let inode = std::os::unix::fs::MetadataExt::ino(&std::fs::metadata(world.host().join(FILE)).unwrap());
    assert_eq!(world.apply("linux-two", 1).outcome, Outcome::Succeeded);
    assert_ne!(std::os::unix::fs::MetadataExt::ino(&std::fs::metadata(world.host().join(FILE)).unwrap()), inode);
    // Another entry of ours changes the same file: each takes back its own.
    assert_eq!(world.apply(ID, 2).outcome, Outcome::Succeeded);
    assert_eq!(world.revert("linux-two", 3).outcome, Outcome::Reverted);
    assert!(world.read(FILE).contains("LoginGraceTime 0") && !world.read(FILE).contains("MACs"));
    assert_eq!(world.revert(ID, 4).outcome, Outcome::Reverted);
    assert_eq!(world.snapshot(), before);
}

#[test]
fn a_setting_shared_by_two_entries_stays_until_the_last_lets_go() {
    let (_, action) = common::SSHD.split_once("[[action]]").unwrap();
    let (action, _) = action.split_once("[after]").unwrap();
    let world = World::new(vec![sshd(), entry("linux-other", &format!("[[action]]{action}"))]);
    let before = world.snapshot();
    assert_eq!(world.apply(ID, 1).outcome, Outcome::Succeeded);
    let shared = world.apply("linux-other", 2);
    assert_eq!((shared.outcome, shared.origin), (Outcome::Unchanged, Some(Origin::Ours)));
    world.stop();
    assert_eq!(world.revert(ID, 3).outcome, Outcome::Reverted);
    assert!(world.read(FILE).contains("LoginGraceTime 0"), "the other entry still needs it");
    assert_eq!(world.revert("linux-other", 4).outcome, Outcome::Reverted);
    assert_eq!(world.snapshot(), before);
}

#[test]
fn a_plan_and_a_dry_run_show_the_change_and_make_none() {
    let world = World::new(vec![sshd()]);
    let before = world.snapshot();
    for kind in [protocol::order::OrderKind::Plan, protocol::order::OrderKind::Apply] {
        let mut order = world.order(kind, ID, u128::from(kind == protocol::order::OrderKind::Plan) + 1, 1);
        order.dry_run = true;
        let planned = world.run(&order);
        assert_eq!(planned.outcome, Outcome::Reported);
        assert_eq!(planned.state, ControlState::Exposed);
        assert!(planned.actions[0].diff.contains("+LoginGraceTime 0"));
        assert_eq!((planned.actions[0].did.as_str(), planned.actions[0].after.as_str()), ("planned", "0"));
    }
    assert_eq!(world.snapshot(), before);
}

#[test]
fn links_and_foreign_directories_are_refused_with_nothing_changed() {
    let world = World::new(vec![sshd()]);
    std::fs::rename(world.host().join(FILE), world.host().join("real")).unwrap();
    std::os::unix::fs::symlink("../../real", world.host().join(FILE)).unwrap();
    let before = world.snapshot();
    let report = world.apply(ID, 1);
    assert_eq!((report.outcome, report.state), (Outcome::Failed, ControlState::Unknown));
    assert!(report.message.contains("symbolic link"), "{}", report.message);
    std::fs::remove_file(world.host().join(FILE)).unwrap();
    std::fs::rename(world.host().join("real"), world.host().join(FILE)).unwrap();
    set_mode(&world.host().join("etc"), 0o777);
    let report = world.apply(ID, 2);
    assert_eq!((report.outcome, report.left_changed), (Outcome::Failed, false));
    assert!(report.message.contains("can be written by others"), "{}", report.message);
    assert_ne!(world.snapshot(), before);
    assert!(!world.read(FILE).contains("LoginGraceTime"));
}

#[test]
fn the_owner_reverts_everything_with_the_server_gone() {
    let world = World::new(vec![sshd()]);
    let before = world.snapshot();
    world.apply(ID, 1);
    world.stop();
    let status = agent::owner::status(&world.state()).unwrap();
    assert!(status.contains(ID) && status.contains("by this agent"), "{status}");
    let state = agent::state::StateDir::open(&world.state()).unwrap();
    let host = agent::host::Host::new(agent::fs::Tree::open(&world.host()).unwrap());
    let executor = agent::executor::Executor::open(state, host, false).unwrap();
    let (text, all) = agent::owner::revert(executor, None, false);
    assert!(all, "{text}");
    assert_eq!(world.snapshot(), before);
}

#[test]
fn enrolled_anew_numbers_start_again_and_what_is_ours_stays_ours() {
    let world = World::new(vec![sshd()]);
    let before = world.snapshot();
    world.apply(ID, 1);
    world.stop();
    let state = agent::state::StateDir::open(&world.state()).unwrap();
    let anew = agent::state::Enrolment { instance_id: uuid::Uuid::from_u128(0xc), ..world.enrolment.clone() };
    state.enrol(&anew, "", &state.root().unwrap()).unwrap();
    world.start();
    assert!(world.with(|executor| executor.undelivered()).is_empty(), "the old server's answers are not the new one's");
    world.tell(agent::frame::ToExecutor::Time { server: common::now() });
    world.tell(agent::frame::ToExecutor::Index { envelope: world.index.clone() });
    let mut order = world.order(protocol::order::OrderKind::Revert, ID, 1, 1);
    (order.instance_id, order.order_seq) = (anew.instance_id, 1);
    assert_eq!(world.run(&order).outcome, Outcome::Reverted);
    assert_eq!(world.snapshot(), before);
}

#[test]
fn a_compacted_journal_still_refuses_replays_and_still_reverts() {
    let world = World::new(vec![sshd()]);
    let before = world.snapshot();
    let applied = common::sign(&world.order(protocol::order::OrderKind::Apply, ID, 1, 1), common::ORDER);
    world.deliver(&applied);
    let acked = vec![protocol::agent::Acked { task: uuid::Uuid::from_u128(1), epoch: 1, n: 3 }];
    world.tell(agent::frame::ToExecutor::Acked { acked });
    let journal = || std::fs::metadata(world.state().join("journal/journal.log")).unwrap().len();
    let long = journal();
    world.with(agent::executor::Executor::compact);
    assert!(journal() < long);
    world.stop();
    let after = world.snapshot();
    assert_eq!(world.refused(&applied), protocol::order::RefusalCode::Replayed);
    assert_eq!(world.snapshot(), after);
    assert_eq!(world.revert(ID, 2).outcome, Outcome::Reverted);
    assert_eq!(world.snapshot(), before);
    world.with(agent::executor::Executor::compact);
    let priors = std::fs::read_dir(world.state().join("prior")).unwrap().count();
    assert_eq!(priors, 0, "prior states go with what they were kept for");
}

/// The line that decides, as it was before us and as the host's owner leaves it; nothing is a line that is gone.
const GRACE: &str = "LoginGraceTime";

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    /// S10: whatever the owner does to the file after us, a revert puts our setting back where it is still as we left it, and touches
    /// no other byte; where he changed it, not one byte is written.
    #[test]
    fn s10_a_revert_writes_only_what_is_as_we_left_it(
        lines in prop::collection::vec(prop::sample::select(vec!["Port 22", "UsePAM yes", "# a note", "", "X11Forwarding no"]), 1..6),
        before in prop::option::of((0_usize..6, prop::sample::select(vec!["120", "2m"]))),
        owner in prop::sample::select(vec![None, None, Some(None), Some(Some("30")), Some(Some("120"))]),
        added in prop::collection::vec((0_usize..8, prop::sample::select(vec!["Banner none", "# mine", "MaxAuthTries 3"])), 0..4),
        gone in prop::option::of(0_usize..6),
    ) {
        let world = World::new(vec![sshd()]);
        let text = |lines: &[String]| lines.iter().map(|line| format!("{line}\n")).collect::<String>();
        let split = |text: &str| text.lines().map(str::to_owned).collect::<Vec<_>>();
        let is_grace = |line: &String| line.starts_with(GRACE);
        let mut original: Vec<String> = lines.iter().map(|line| (*line).to_owned()).collect();
        if let Some((at, value)) = before {
            original.insert(at.min(original.len()), format!("{GRACE} {value}"));
        }
        world.write(FILE, &text(&original));
        prop_assert_eq!(world.apply(ID, 1).outcome, Outcome::Succeeded);
        let mut edited = split(&world.read(FILE));
        let ours: Vec<usize> = (0..edited.len()).filter(|at| is_grace(&edited[*at])).collect();
        prop_assert_eq!(ours.len(), 1, "{:?}", edited);
        prop_assert_eq!(&edited[ours[0]], "LoginGraceTime 0");

        match owner {
            None => {}
            Some(None) => drop(edited.remove(ours[0])),
            Some(Some(value)) => edited[ours[0]] = format!("{GRACE} {value}"),
        }
        if let Some(at) = gone.filter(|at| *at < edited.len() && !is_grace(&edited[*at])) {
            edited.remove(at);
        }
        for (at, line) in &added {
            edited.insert((*at).min(edited.len()), (*line).to_owned());
        }
        let left = text(&edited);
        world.write(FILE, &left);
        let snapshot = world.snapshot();
        let reverted = world.revert(ID, 2);
        let prior = before.map(|(_, value)| value);
        match owner {
            None => {
                prop_assert_eq!(reverted.outcome, Outcome::Reverted, "{}", reverted.message);
                let expected: Vec<String> = edited.iter().filter_map(|line| match (is_grace(line), prior) {
                    (false, _) => Some(line.clone()),
                    (true, Some(value)) => Some(format!("{GRACE} {value}")),
                    (true, None) => None,
                }).collect();
                prop_assert_eq!(world.read(FILE), text(&expected), "of {:?}", left);
            }
            Some(now) => {
                prop_assert_eq!(world.snapshot(), snapshot, "not one byte of {:?}: {}", left, reverted.message);
                if now != prior {
                    prop_assert_eq!(reverted.outcome, Outcome::DriftedSinceApply, "{}", reverted.message);
                }
            }
        }
    }
}

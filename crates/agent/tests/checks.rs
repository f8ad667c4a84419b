//! Looks at the controls without being asked: drift, packages, a reboot, what others put there, and R13 to R15 by an agent.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::print_stderr,
    clippy::allow_attributes,
    reason = "a test that fails says so by panicking"
)]

mod common;

use agent::checks::{INTERVAL_SECONDS, INTERVAL_SECONDS_MIN};
use agent::executor::Executor;
use agent::frame::{ToExecutor, ToNet};
use common::{World, sshd};
use domain::mitigation::{ControlState, Origin};
use protocol::agent::{CheckCause, Checks, Outcome};

const ID: &str = "linux-sshd-login-grace-0";
const FILE: &str = "etc/ssh/sshd_config";
const SECOND: i64 = 1_000_000;

/// A clock of looks that is turned by hand; the first look of a process has been made.
struct Looks(i64);

impl Looks {
    fn after(world: &World) -> (Self, Option<Checks>) {
        let mut looks = Self(1_000 * SECOND);
        looks.at(world, 0);
        let first = looks.at(world, 301);
        (looks, first)
    }

    /// Look so many seconds later; the server takes what is reported.
    fn at(&mut self, world: &World, seconds: i64) -> Option<Checks> {
        let report = self.unanswered(world, seconds)?;
        world.tell(ToExecutor::Checked { n: report.n, interval_seconds: INTERVAL_SECONDS });
        Some(report)
    }

    fn unanswered(&mut self, world: &World, seconds: i64) -> Option<Checks> {
        self.0 += seconds * SECOND;
        let now = self.0;
        world.with(|executor| executor.look(now));
        world.with(Executor::take_out).into_iter().find_map(|frame| match frame {
            ToNet::Checks(checks) => Some(*checks),
            _ => None,
        })
    }
}

fn state(report: &Checks) -> (ControlState, bool) {
    assert_eq!(report.controls.len(), 1, "{report:?}");
    assert_eq!(report.controls[0].entry_id, ID);
    (report.controls[0].state, report.controls[0].held)
}

#[test]
fn drift_is_found_on_the_timer_and_looking_changes_nothing() {
    let world = World::new(vec![sshd()]);
    world.apply(ID, 1);
    let (mut looks, first) = Looks::after(&world);
    let first = first.unwrap();
    assert_eq!((first.n, first.why, state(&first)), (1, CheckCause::Start, (ControlState::Effective, true)));
    world.write(FILE, "Port 22\nUsePAM yes\nLoginGraceTime 30\n");
    let before = world.snapshot();
    assert_eq!(looks.at(&world, i64::from(INTERVAL_SECONDS) * 9 / 10 - 1), None, "not before its time");
    let found = looks.at(&world, i64::from(INTERVAL_SECONDS) / 5 + 1).unwrap();
    assert_eq!((found.n, found.why, state(&found)), (2, CheckCause::Timer, (ControlState::Drifted, true)));
    assert!(found.controls[0].message.contains("LoginGraceTime is 30"), "{found:?}");
    assert_eq!(world.snapshot(), before, "read only");
    // Somebody puts it right again.
    world.write(FILE, "Port 22\nUsePAM yes\nLoginGraceTime 0\n");
    let found = looks.at(&world, i64::from(INTERVAL_SECONDS) * 6 / 5).unwrap();
    assert_eq!(state(&found), (ControlState::Effective, true));
}

#[test]
fn a_change_of_packages_is_followed_by_a_look_once_it_is_over() {
    let world = World::new(vec![sshd()]);
    world.write("var/lib/dpkg/status", "Package: openssh-server\nStatus: install ok installed\nVersion: 1:9.2\n");
    world.apply(ID, 1);
    let (mut looks, _) = Looks::after(&world);
    assert_eq!(looks.at(&world, 120), None);
    // An update of the package writes its own file over ours.
    world.write(FILE, "Port 22\nUsePAM yes\n");
    world.write("var/lib/dpkg/status", "Package: openssh-server\nStatus: install ok half-configured\nVersion: 1:9.3\n");
    assert_eq!(looks.at(&world, 10), None, "it may go on");
    world.write("var/lib/dpkg/status", "Package: openssh-server\nStatus: install ok installed\nVersion: 1:9.3-1\n");
    assert_eq!(looks.at(&world, 10), None);
    let found = looks.at(&world, 25).unwrap();
    assert_eq!((found.why, state(&found)), (CheckCause::Packages, (ControlState::Drifted, true)));
    assert_eq!(looks.at(&world, 120), None, "once");
}

#[test]
fn a_boot_makes_configured_effective() {
    const BOOT: &str = "proc/sys/kernel/random/boot_id";
    let entry = common::entry("linux-mod", "[[action]]\nkind = \"kernel.module\"\nname = \"tipc\"\nblocked = true\n");
    let world = World::new(vec![entry]);
    world.write("proc/sys/kernel/osrelease", "6.1.0-test\n");
    world.write("lib/modules/6.1.0-test/modules.builtin", "kernel/fs/ext4/ext4.ko\n");
    world.write("proc/modules", "tipc 421888 0 - Live 0x0000000000000000\n");
    world.write(BOOT, "11111111-1111-4111-8111-111111111111\n");
    let applied = world.apply("linux-mod", 1);
    assert_eq!(applied.outcome, Outcome::Succeeded, "{}", applied.message);
    assert_eq!(applied.state, ControlState::Configured);
    let (_, first) = Looks::after(&world);
    assert_eq!(first.unwrap().controls[0].state, ControlState::Configured);
    world.write(BOOT, "22222222-2222-4222-8222-222222222222\n");
    world.write("proc/modules", "");
    world.start();
    world.tell(ToExecutor::Time { server: common::now() });
    let mut looks = Looks(9_000 * SECOND);
    looks.at(&world, 0);
    let found = looks.at(&world, 61).unwrap();
    assert_eq!((found.n, found.why), (2, CheckCause::Reboot));
    assert_eq!((found.controls[0].state, found.boot_id.starts_with("2222")), (ControlState::Effective, true));
}

#[test]
fn what_others_put_there_is_looked_at_too_over_restarts() {
    let world = World::new(vec![sshd()]);
    world.write(FILE, "LoginGraceTime 0\n");
    let applied = world.apply(ID, 1);
    assert_eq!((applied.outcome, applied.origin), (Outcome::Unchanged, Some(Origin::External)));
    let (mut looks, first) = Looks::after(&world);
    assert_eq!(state(&first.unwrap()), (ControlState::Effective, false));
    world.start();
    world.tell(ToExecutor::Time { server: common::now() });
    world.write(FILE, "LoginGraceTime 120\n");
    looks.at(&world, 0);
    let found = looks.at(&world, 300).unwrap();
    assert_eq!((found.n, state(&found)), (2, (ControlState::Exposed, false)));
}

#[test]
fn a_report_is_kept_until_it_is_taken_and_an_order_voids_it() {
    let world = World::new(vec![sshd()]);
    world.apply(ID, 1);
    let mut looks = Looks(1_000 * SECOND);
    looks.at(&world, 0);
    let report = looks.unanswered(&world, 300).unwrap();
    let waiting = |world: &World| {
        world.with(|executor| executor.undelivered()).into_iter().any(|frame| matches!(frame, ToNet::Checks(_)))
    };
    assert!(waiting(&world), "a network half that is started again gets it");
    assert_eq!(world.revert(ID, 2).outcome, Outcome::Reverted);
    assert!(!waiting(&world), "what was true before the order is not told after it");
    assert_eq!(world.apply(ID, 3).outcome, Outcome::Succeeded);
    let again = looks.unanswered(&world, 60).unwrap();
    assert_eq!((again.n, again.why), (report.n + 1, CheckCause::Order));
    // A server that is further on than our memory: the next number lies above.
    world.tell(ToExecutor::Checked { n: 40, interval_seconds: 1 });
    assert!(!waiting(&world));
    let again = looks.unanswered(&world, 60).unwrap();
    assert_eq!(again.n, 41);
    world.tell(ToExecutor::Checked { n: 41, interval_seconds: 1 });
    assert_eq!(
        looks.at(&world, i64::from(INTERVAL_SECONDS_MIN) * 8 / 10),
        None,
        "no server makes us look all the time"
    );
}

#[test]
fn nothing_held_and_nothing_found_is_not_reported() {
    let world = World::new(vec![sshd()]);
    let (mut looks, first) = Looks::after(&world);
    assert_eq!((first, looks.at(&world, 10 * i64::from(INTERVAL_SECONDS))), (None, None));
}

#[test]
fn r13_applied_by_us_before_is_skipped_and_said_to_be_ours() {
    let world = World::new(vec![sshd()]);
    world.apply(ID, 1);
    let again = world.apply(ID, 2);
    assert_eq!((again.outcome, again.origin), (Outcome::Unchanged, Some(Origin::Ours)));
}

#[test]
fn r14_r15_of_others_is_skipped_and_never_taken_back() {
    let world = World::new(vec![sshd()]);
    world.write(FILE, "LoginGraceTime 0\n");
    let before = world.snapshot();
    for task in 1..3 {
        let applied = world.apply(ID, task);
        assert_eq!((applied.outcome, applied.origin), (Outcome::Unchanged, Some(Origin::External)));
    }
    assert_eq!(world.revert(ID, 3).outcome, Outcome::NotOurs);
    assert_eq!(world.snapshot(), before);
}

/// An acknowledgement carries no signature.
#[test]
fn a_number_that_nobody_can_have_counted_to_is_not_believed() {
    let world = World::new(vec![sshd()]);
    world.apply(ID, 1);
    let (mut looks, first) = Looks::after(&world);
    let first = first.unwrap().n;
    for number in [u64::MAX, u64::MAX - 1, 1 << 62] {
        world.tell(ToExecutor::Checked { n: number, interval_seconds: INTERVAL_SECONDS });
    }
    let next = looks.at(&world, i64::from(INTERVAL_SECONDS) * 2).expect("looks go on");
    assert_eq!(next.n, first + 1, "counted on");
    // Nor does it make a report vanish that the server has not taken.
    looks.unanswered(&world, i64::from(INTERVAL_SECONDS) * 2).unwrap();
    world.tell(ToExecutor::Checked { n: u64::MAX, interval_seconds: INTERVAL_SECONDS });
    let kept = world.with(|executor| executor.undelivered());
    assert!(kept.iter().any(|frame| matches!(frame, ToNet::Checks(report) if report.n == first + 2)), "{kept:?}");
}

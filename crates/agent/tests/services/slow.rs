//! A service that takes its time to start again is not taken for one that is down, and a unit that runs nothing itself is not asked.

use crate::ID;
use crate::common::sshd;
use crate::site::{self, BEFORE, SSH, SSHD_CONFIG, Site};
use domain::mitigation::ControlState;
use protocol::agent::{EventKind, Outcome};
use protocol::order::OrderKind;
use std::time::{Duration, Instant};

const WRAPPER: &str = "postfix.service";
const DAEMON: &str = "postfix@-.service";

fn seconds(seconds: &str) {
    std::fs::write("/run/stub/seconds", seconds).unwrap();
}

#[test]
fn a_restart_that_is_still_under_way_when_the_time_is_over_is_said_and_not_taken_back() {
    let name = "slow::a_restart_that_is_still_under_way_when_the_time_is_over_is_said_and_not_taken_back";
    site::within(name, || {
        let mut site = Site::new(vec![sshd()]);
        site.host("active");
        site::when_ours("slow");
        site.seconds = 6;
        let begun = Instant::now();
        let report = site.run(OrderKind::Apply, ID);
        assert!(begun.elapsed() >= Duration::from_secs(3), "it was waited for: {:?}", begun.elapsed());
        assert_eq!((report.outcome, report.state), (Outcome::Succeeded, ControlState::Configured), "{report:#?}");
        assert_eq!((report.left_changed, report.restart_needed.as_deref()), (false, Some(SSH)), "{report:#?}");
        let said =
            "the restart of ssh.service was begun, and was not over when the time for it was: the unit is activating";
        assert!(report.message.contains(said), "{report:#?}");
        assert!(site::text(SSHD_CONFIG).contains("LoginGraceTime 0"), "{report:#?}");
        // Put back while it still starts: it is not left to start with what is not there any more.
        let report = site.run(OrderKind::Revert, ID);
        assert_eq!((report.outcome, report.restart_needed), (Outcome::Reverted, None), "{}", report.message);
        assert_eq!((site::is(SSH).as_str(), site::runs_with(SSH).as_str()), ("active", BEFORE));

        // The same where the try itself is undone.
        site.host("active");
        site::when_ours("slow");
        site.heard = false;
        site.order(OrderKind::Apply, ID);
        site.executor().tend(Instant::now() + Duration::from_secs(agent::proof::PROOF_SECONDS + 1));
        let EventKind::Finished(report) = site.ended() else { panic!() };
        assert!(report.message.ends_with("it was put back, and ssh.service was restarted"), "{}", report.message);
        assert_eq!((report.left_changed, site::runs_with(SSH).as_str()), (false, BEFORE), "{report:#?}");
    });
}

#[test]
fn a_slow_restart_is_waited_for_and_judged_by_its_end() {
    site::within("slow::a_slow_restart_is_waited_for_and_judged_by_its_end", || {
        let mut site = Site::new(vec![sshd()]);
        // Longer than anything that is started again and again is waited for.
        site.host("active");
        site::when_ours("slow");
        seconds("4");
        let report = site.run(OrderKind::Apply, ID);
        assert_eq!((report.outcome, report.state), (Outcome::Succeeded, ControlState::Effective), "{report:#?}");
        assert_eq!((report.restart_needed, site::is(SSH).as_str()), (None, "active"));
        assert_eq!(site.run(OrderKind::Revert, ID).outcome, Outcome::Reverted);

        site.host("active");
        site::when_ours("slow die");
        seconds("2");
        let report = site.run(OrderKind::Apply, ID);
        assert_eq!((report.outcome, report.left_changed), (Outcome::Failed, false), "{report:#?}");
        assert!(
            report.message.contains("ssh.service did not come back after its restart: it is failed"),
            "{report:#?}"
        );
        assert_eq!((site::text(SSHD_CONFIG), site::runs_with(SSH)), (BEFORE.to_owned(), BEFORE.to_owned()));
    });
}

#[test]
fn a_wrapper_is_judged_by_the_unit_that_does_its_work() {
    site::within("slow::a_wrapper_is_judged_by_the_unit_that_does_its_work", || {
        let mut entry = sshd();
        entry.after.restart = vec!["postfix".parse().unwrap()];
        let mut site = Site::new(vec![entry]);
        let host = |site: &Site, wants: &str| {
            site.host("inactive");
            site::put(WRAPPER, "active");
            site::put(DAEMON, "active");
            std::fs::write(format!("/run/stub/wants-{WRAPPER}"), wants).unwrap();
        };
        host(&site, DAEMON);
        let report = site.run(OrderKind::Apply, ID);
        assert_eq!((report.outcome, report.state), (Outcome::Succeeded, ControlState::Effective), "{report:#?}");
        assert!(site::runs_with(DAEMON).contains("LoginGraceTime 0"), "{}", site::log());
        assert_eq!(site.run(OrderKind::Revert, ID).outcome, Outcome::Reverted);
        assert_eq!(site::runs_with(DAEMON), BEFORE);

        host(&site, DAEMON);
        site::when_ours("die");
        let report = site.run(OrderKind::Apply, ID);
        assert_eq!((report.outcome, report.left_changed), (Outcome::Failed, false), "{report:#?}");
        assert!(report.message.contains("postfix@-.service did not come back after its restart"), "{report:#?}");
        assert_eq!((site::is(DAEMON).as_str(), site::runs_with(DAEMON).as_str()), ("active", BEFORE), "{report:#?}");

        // A template loads under any name: what the wrapper does not start is not its daemon.
        host(&site, "postfix@other.service");
        let report = site.run(OrderKind::Apply, ID);
        assert_eq!(report.outcome, Outcome::Succeeded, "{report:#?}");
        assert!(site::runs_with(WRAPPER).contains("LoginGraceTime 0"), "{}", site::log());
        assert_eq!(site::runs_with(DAEMON), "", "{}", site::log());
    });
}

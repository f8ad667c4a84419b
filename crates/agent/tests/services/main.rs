//! Services that have to read a changed file again: one that does not come back fails the try, nothing is restarted into a
//! configuration that a program refuses, and what was put back is not in force any more either. On the live system of a mount
//! namespace of its own, with stubs of `systemctl`, `sshd`, `apachectl`, `apt-get` and `dpkg`.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::print_stderr,
    clippy::allow_attributes,
    reason = "a test that fails says so by panicking"
)]

#[path = "../common/mod.rs"]
mod common;
mod interrupted;
mod owner;
mod site;
mod slow;
mod timed;
mod undone;
mod validated;

use common::sshd;
use domain::mitigation::ControlState;
use protocol::agent::Outcome;
use protocol::order::OrderKind;
use site::{BEFORE, SSH, SSHD_CONFIG, Site};

const ID: &str = "linux-sshd-login-grace-0";

#[test]
fn a_service_that_does_not_come_back_fails_the_try_and_is_put_back() {
    site::within("a_service_that_does_not_come_back_fails_the_try_and_is_put_back", || {
        let mut site = Site::new(vec![sshd()]);
        for (ours, said) in [("refuse", "it is failed"), ("die", "it is failed"), ("flap", "it does not stay up")] {
            site.host("active");
            site::when_ours(ours);
            let report = site.run(OrderKind::Apply, ID);
            let shown = format!("{ours}: {report:#?}");
            assert_eq!((report.outcome, report.left_changed), (Outcome::Failed, false), "{shown}");
            assert_eq!((report.state, report.restart_needed), (ControlState::Exposed, None), "{shown}");
            for part in [
                "ssh.service did not come back after its restart",
                said,
                "(ssh.service: no such option)",
                "what was changed was put back, and ssh.service was restarted",
            ] {
                assert!(report.message.contains(part), "{part}: {shown}");
            }
            assert_eq!(site::text(SSHD_CONFIG), BEFORE, "{ours}: byte for byte");
            assert_eq!((site::is(SSH).as_str(), site::runs_with(SSH).as_str()), ("active", BEFORE), "{ours}");
            assert!(
                site::log().contains("reset-failed -- ssh.service\nrestart --no-block -- ssh.service"),
                "{}",
                site::log()
            );
            assert_eq!(site.run(OrderKind::Revert, ID).outcome, Outcome::NotOurs, "{ours}: nothing of ours is left");
        }
    });
}

#[test]
fn a_service_that_stays_down_is_said_to_be() {
    site::within("a_service_that_stays_down_is_said_to_be", || {
        let mut site = Site::new(vec![sshd()]);
        site.host("active");
        site::when_any("refuse");
        let report = site.run(OrderKind::Apply, ID);
        assert_eq!((report.outcome, report.left_changed), (Outcome::Failed, true), "{report:#?}");
        assert_eq!(report.restart_needed.as_deref(), Some(SSH), "{report:#?}");
        assert!(
            report.message.contains("what was changed was put back, but ssh.service did not come back"),
            "{report:#?}"
        );
        assert_eq!(site::text(SSHD_CONFIG), BEFORE);
    });
}

#[test]
fn only_what_ran_is_restarted_and_held_to_come_back() {
    site::within("only_what_ran_is_restarted_and_held_to_come_back", || {
        let mut site = Site::new(vec![sshd()]);
        // It would not start, but nobody has started it.
        for stands in ["inactive", "failed"] {
            site.host(stands);
            site::when_any("refuse");
            let report = site.run(OrderKind::Apply, ID);
            assert_eq!((report.outcome, report.state), (Outcome::Succeeded, ControlState::Effective), "{report:#?}");
            assert_eq!(report.restart_needed, None, "{report:#?}");
            assert!(!site::log().contains("restart"), "{}", site::log());
            assert_eq!(site.run(OrderKind::Revert, ID).outcome, Outcome::Reverted);
            assert_eq!(site::is(SSH), stands);
        }
        // Whether anything runs cannot be told: the setting is in place, and somebody has to look.
        site.host("who knows");
        let report = site.run(OrderKind::Apply, ID);
        assert_eq!((report.outcome, report.state), (Outcome::Succeeded, ControlState::Configured), "{report:#?}");
        assert_eq!(report.restart_needed.as_deref(), Some(SSH), "{report:#?}");
        assert!(report.message.contains("has to be restarted by hand: whether ssh.service runs"), "{report:#?}");
        site.run(OrderKind::Revert, ID);
        // All is well: it runs with the new setting, and after the revert with the old one.
        site.host("active");
        let report = site.run(OrderKind::Apply, ID);
        assert_eq!((report.outcome, report.state), (Outcome::Succeeded, ControlState::Effective), "{report:#?}");
        assert!(site::runs_with(SSH).contains("LoginGraceTime 0"), "{}", site::runs_with(SSH));
        let report = site.run(OrderKind::Revert, ID);
        assert_eq!((report.outcome, report.message.as_str()), (Outcome::Reverted, "put back as it was"), "{report:#?}");
        assert_eq!((site::is(SSH).as_str(), site::runs_with(SSH).as_str()), ("active", BEFORE));
    });
}

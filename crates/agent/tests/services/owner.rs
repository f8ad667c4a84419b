//! The owner's own revert on the live system: what was cut off before its services were restarted is brought into force later.

use super::*;
use protocol::agent::EventKind;

#[test]
fn an_owners_revert_that_died_is_brought_into_force_at_the_next_start() {
    site::within("owner::an_owners_revert_that_died_is_brought_into_force_at_the_next_start", || {
        let mut site = Site::new(vec![sshd()]);
        for (point, stands) in [
            ("revert-effect", "active"),
            ("revert-after-write", "active"),
            ("revert-released", "active"),
            ("revert-released", "failed"),
            ("revert-restarted", "active"),
        ] {
            site.host("active");
            assert_eq!(site.run(OrderKind::Apply, ID).outcome, Outcome::Succeeded, "{point}");
            assert!(site::runs_with(SSH).contains("LoginGraceTime 0"), "{point}");
            site::put(SSH, stands);
            site.owner_reverts(Some(point));
            site::forget_log();
            // The agent is started again, by whomever.
            site.open();
            assert!(site::log().contains("restart --no-block -- ssh.service"), "{point}: {}", site::log());
            assert_eq!(
                (site::text(SSHD_CONFIG), site::runs_with(SSH)),
                (BEFORE.to_owned(), BEFORE.to_owned()),
                "{point}"
            );
            assert_eq!(site::is(SSH), "active", "{point}, {stands}");
            // Once, and not at every start from now on.
            site::forget_log();
            site.open();
            assert!(!site::log().contains("restart"), "{point}: {}", site::log());
            assert_eq!(site.run(OrderKind::Revert, ID).outcome, Outcome::NotOurs, "{point}: nothing of ours is left");
        }
    });
}

#[test]
fn a_service_that_does_not_come_back_is_said_by_the_revert_that_finishes_it() {
    site::within("owner::a_service_that_does_not_come_back_is_said_by_the_revert_that_finishes_it", || {
        let mut site = Site::new(vec![sshd()]);
        site.host("active");
        assert_eq!(site.run(OrderKind::Apply, ID).outcome, Outcome::Succeeded);
        site.owner_reverts(Some("revert-released"));
        site::when_old("refuse");
        let (said, all) = site.owner_reverts(None).unwrap();
        assert!(!all, "{said}");
        assert!(
            said.contains("was cut off is finished: put back as it was, but ssh.service did not come back"),
            "{said}"
        );
        assert_eq!(site::text(SSHD_CONFIG), BEFORE);
    });
}

#[test]
fn what_an_order_left_half_done_is_settled_before_the_owner_reverts() {
    site::within("owner::what_an_order_left_half_done_is_settled_before_the_owner_reverts", || {
        let mut site = Site::new(vec![sshd()]);
        for point in ["after-captured", "before-replace", "after-effect", "before-finished"] {
            site.host("active");
            // The agent dies at an order about the same file, and the owner reverts before it is started again.
            site.dies(point, 1, OrderKind::Apply, ID);
            let (said, all) = site.owner_reverts(None).unwrap();
            assert!(all, "{point}: {said}");
            assert_eq!(site::text(SSHD_CONFIG), BEFORE, "{point}");
            assert!(!site::runs_with(SSH).contains("LoginGraceTime"), "{point}");
            let EventKind::Interrupted { state, reason } = site.ended() else { panic!("{point}") };
            assert_eq!(state, ControlState::Exposed, "{point}: {reason}");
        }
    });
}

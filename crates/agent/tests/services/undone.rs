//! What was put back is not in force any more: what had read it is restarted again.

use crate::ID;
use crate::common::{entry, sshd};
use crate::site::{self, BEFORE, SSH, SSHD_CONFIG, Site};
use domain::mitigation::ControlState;
use protocol::agent::{EventKind, Outcome, TaskReport};
use protocol::order::OrderKind;
use std::os::unix::fs::symlink;
use std::time::{Duration, Instant};

const CUPS: &str = "/etc/systemd/system/cups.service";
const CUPS_LINK: &str = "/etc/systemd/system/multi-user.target.wants/cups.service";
const SETTING: &str = "[[action]]\nkind = \"file.setting\"\npath = \"/etc/ssh/sshd_config\"\nformat = \"sshd\"\nkey = \"LoginGraceTime\"\nvalue = \"0\"\nvalidate = \"sshd\"\n";

fn service(start: &str) -> String {
    format!("[[action]]\nkind = \"service.state\"\nname = \"cups\"\nrunning = false\nstart = \"{start}\"\n")
}

#[test]
fn a_check_that_fails_after_the_restart_leaves_nothing_in_force() {
    site::within("undone::a_check_that_fails_after_the_restart_leaves_nothing_in_force", || {
        let mut both = entry("linux-both", &format!("{SETTING}\n{}", service("disabled")));
        both.after.restart = sshd().after.restart;
        let mut site = Site::new(vec![both]);
        std::fs::write(CUPS, "[Service]\nExecStart=/bin/true\n").unwrap();
        symlink(CUPS, CUPS_LINK).unwrap();
        // Nothing here tells whether cups runs, so the check fails after all is done.
        let run = |site: &mut Site| -> TaskReport {
            let report = site.run(OrderKind::Apply, "linux-both");
            assert_eq!(report.outcome, Outcome::VerifyFailed, "{report:#?}");
            assert_eq!(site::text(SSHD_CONFIG), BEFORE, "{report:#?}");
            assert_eq!(std::fs::read_link(CUPS_LINK).unwrap().to_str(), Some(CUPS), "{report:#?}");
            report
        };
        site.host("active");
        let report = run(&mut site);
        assert_eq!((report.left_changed, report.restart_needed.as_deref()), (false, None), "{report:#?}");
        assert!(report.message.ends_with("it was put back, and ssh.service was restarted"), "{}", report.message);
        assert!(site::log().contains("try-restart --no-block -- ssh.service"), "{}", site::log());
        assert_eq!((site::is(SSH).as_str(), site::runs_with(SSH).as_str()), ("active", BEFORE), "{}", site::log());
        let (_, after) = site::log().split_once("try-restart").map(|(a, b)| (a.to_owned(), b.to_owned())).unwrap();
        assert!(after.contains("daemon-reload"), "the links are back too: {after}");

        // The service does not come back with what was there before either: that is no clean end.
        site.host("active");
        site::when_old("refuse");
        let report = run(&mut site);
        assert_eq!((report.left_changed, report.restart_needed.as_deref()), (true, Some(SSH)), "{report:#?}");
        assert!(report.message.contains("it was put back, but ssh.service did not come back"), "{}", report.message);

        // What did not run is not started by an undo.
        site.host("inactive");
        let report = run(&mut site);
        assert!(report.message.ends_with("; it was put back"), "{}", report.message);
        assert_eq!((report.left_changed, site::is(SSH).as_str()), (false, "inactive"));
    });
}

#[test]
fn a_change_that_is_not_proven_is_not_in_force_any_more() {
    site::within("undone::a_change_that_is_not_proven_is_not_in_force_any_more", || {
        let mut site = Site::new(vec![sshd()]);
        site.heard = false;
        site.host("active");
        site.order(OrderKind::Apply, ID);
        assert!(site::runs_with(SSH).contains("LoginGraceTime 0"), "it waits for its proof with the setting in force");
        let later = Instant::now() + Duration::from_secs(agent::proof::PROOF_SECONDS + 1);
        site.executor().tend(later);
        let EventKind::Finished(report) = site.ended() else { panic!() };
        assert_eq!((report.outcome, report.left_changed), (Outcome::Failed, false), "{report:#?}");
        assert_eq!((report.state, report.restart_needed.as_deref()), (ControlState::Exposed, None), "{report:#?}");
        assert!(report.message.ends_with("it was put back, and ssh.service was restarted"), "{}", report.message);
        assert_eq!((site::text(SSHD_CONFIG), site::runs_with(SSH)), (BEFORE.to_owned(), BEFORE.to_owned()));

        // What was not restarted by the try is not by its undo either, and nothing is left of it.
        for stands in ["inactive", "failed", "who knows"] {
            site.host(stands);
            site.order(OrderKind::Apply, ID);
            site.executor().tend(Instant::now() + Duration::from_secs(agent::proof::PROOF_SECONDS + 1));
            let EventKind::Finished(report) = site.ended() else { panic!() };
            assert_eq!((report.left_changed, report.restart_needed.as_deref()), (false, None), "{stands}: {report:#?}");
            assert!(report.message.ends_with("; it was put back"), "{stands}: {}", report.message);
            assert_eq!((site::text(SSHD_CONFIG).as_str(), site::is(SSH).as_str()), (BEFORE, stands));
            assert!(!site::log().contains("restart"), "{stands}: {}", site::log());
        }

        // Dead while it waits, or while sshd was down by what the try did.
        for stands in ["active", "failed"] {
            site.host("active");
            site.order(OrderKind::Apply, ID);
            assert!(site::runs_with(SSH).contains("LoginGraceTime 0"));
            site::put(SSH, stands);
            let end = site.ended();
            let EventKind::Interrupted { state, reason } = &end else { panic!("{end:?}") };
            assert_eq!(*state, ControlState::Exposed, "{reason}");
            assert!(reason.ends_with("it was put back, and ssh.service was restarted"), "{reason}");
            assert_eq!((site::text(SSHD_CONFIG), site::runs_with(SSH)), (BEFORE.to_owned(), BEFORE.to_owned()));
            assert_eq!(site::is(SSH), "active", "{stands}");
        }
    });
}

#[test]
fn a_unit_that_was_masked_is_started_after_its_mask_is_gone() {
    site::within("undone::a_unit_that_was_masked_is_started_after_its_mask_is_gone", || {
        // Now the service manager is asked what runs.
        std::fs::create_dir_all("/run/systemd/system").unwrap();
        std::fs::write("/run/systemd/system/cups.service", "[Service]\nExecStart=/bin/true\n").unwrap();
        let refused = "[[action]]\nkind = \"file.dropin\"\npath = \"/etc/apache2/conf-enabled/quell.conf\"\nmode = \"0644\"\ncontent = \"nonsense\\n\"\nvalidate = \"apachectl\"\n";
        let entries = [
            entry("linux-mask", &service("masked")),
            entry("linux-refused", &format!("{}\n{refused}", service("masked"))),
        ];
        let mut site = Site::new(entries.into());
        let stands = || (site::is("cups.service"), std::fs::symlink_metadata(CUPS).is_ok());
        site.host("active");
        site::put("cups.service", "active");
        let report = site.run(OrderKind::Apply, "linux-mask");
        assert_eq!((report.outcome, report.state), (Outcome::Succeeded, ControlState::Effective), "{report:#?}");
        assert_eq!(stands(), ("inactive".to_owned(), true));
        let report = site.run(OrderKind::Revert, "linux-mask");
        assert_eq!(report.outcome, Outcome::Reverted, "{report:#?}");
        assert_eq!(stands(), ("active".to_owned(), false));
        // The same when the try itself is undone.
        let report = site.run(OrderKind::Apply, "linux-refused");
        assert_eq!((report.outcome, report.left_changed), (Outcome::Failed, false), "{report:#?}");
        assert_eq!(stands(), ("active".to_owned(), false), "{report:#?}");
    });
}

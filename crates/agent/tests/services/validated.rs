//! The programs that check a configuration are asked before a revert restarts anything, and after a crash.

use crate::ID;
use crate::common::{entry, sshd};
use crate::site::{self, APACHE, BEFORE, SSH, SSHD_CONFIG, Site};
use catalogue::schema::Entry;
use domain::mitigation::ControlState;
use protocol::agent::{EventKind, Outcome};
use protocol::order::OrderKind;

const DROPIN: &str = "/etc/apache2/conf-enabled/quell.conf";

/// A drop-in with a check of the whole configuration, and the service that reads it.
fn dropin(id: &str, path: &str, content: &str, validate: &str, restart: &str) -> Entry {
    let action = format!(
        "[[action]]\nkind = \"file.dropin\"\npath = \"{path}\"\nmode = \"0644\"\ncontent = \"{content}\\n\"\nvalidate = \"{validate}\"\n"
    );
    let mut entry = entry(id, &action);
    entry.after.restart = vec![restart.parse().unwrap()];
    entry
}

fn append(path: &str, line: &str) {
    std::fs::write(path, format!("{}{line}\n", site::text(path))).unwrap();
}

#[test]
fn a_revert_restarts_nothing_into_what_a_program_refuses() {
    site::within("validated::a_revert_restarts_nothing_into_what_a_program_refuses", || {
        let path = "/etc/ssh/sshd_config.d/90-quell.conf";
        let mut site = Site::new(vec![sshd(), dropin("linux-dropin", path, "PermitRootLogin no", "sshd", "ssh")]);
        // An administrator is at work in the file: ours goes back, theirs stays, and sshd runs on.
        site.host("active");
        assert_eq!(site.run(OrderKind::Apply, ID).outcome, Outcome::Succeeded);
        let ran_with = site::runs_with(SSH);
        append(SSHD_CONFIG, "unfinished");
        site::forget_log();
        let report = site.run(OrderKind::Revert, ID);
        assert_eq!((report.outcome, report.left_changed), (Outcome::Reverted, false), "{report:#?}");
        assert_eq!(site::text(SSHD_CONFIG), format!("{BEFORE}unfinished\n"));
        assert_eq!(report.restart_needed.as_deref(), Some(SSH), "{report:#?}");
        for part in [
            "put back as it was, but ssh.service has to be restarted by hand",
            "/usr/sbin/sshd refuses the new /etc/ssh/sshd_config: line 2: Bad configuration option",
            "that has to be corrected first",
        ] {
            assert!(report.message.contains(part), "{part}: {report:#?}");
        }
        assert!(!site::log().contains("restart"), "{}", site::log());
        assert_eq!((site::is(SSH), site::runs_with(SSH)), ("active".to_owned(), ran_with));

        // The same of a file that is not ours at all.
        site.host("active");
        assert_eq!(site.run(OrderKind::Apply, "linux-dropin").outcome, Outcome::Succeeded);
        append(SSHD_CONFIG, "unfinished");
        site::forget_log();
        let report = site.run(OrderKind::Revert, "linux-dropin");
        assert_eq!((report.outcome, report.restart_needed.as_deref()), (Outcome::Reverted, Some(SSH)), "{report:#?}");
        assert!(report.message.contains("refuses the configuration that is in place"), "{report:#?}");
        assert!(!site::log().contains("restart") && !std::path::Path::new(path).exists(), "{}", site::log());

        // Where it does not run nothing has to be restarted, and it is said all the same.
        site.host("inactive");
        assert_eq!(site.run(OrderKind::Apply, ID).outcome, Outcome::Succeeded);
        append(SSHD_CONFIG, "unfinished");
        let report = site.run(OrderKind::Revert, ID);
        assert_eq!((report.outcome, report.restart_needed), (Outcome::Reverted, None));
        assert!(report.message.contains("put back as it was, but /usr/sbin/sshd refuses"), "{}", report.message);
    });
}

#[test]
fn a_revert_says_that_a_service_did_not_come_back() {
    site::within("validated::a_revert_says_that_a_service_did_not_come_back", || {
        let mut site = Site::new(vec![sshd()]);
        site.host("active");
        assert_eq!(site.run(OrderKind::Apply, ID).outcome, Outcome::Succeeded);
        site::when_old("die");
        let report = site.run(OrderKind::Revert, ID);
        assert_eq!((report.outcome, report.left_changed), (Outcome::RevertFailed, true), "{report:#?}");
        assert_eq!((report.state, report.restart_needed.as_deref()), (ControlState::Exposed, Some(SSH)));
        let said = "put back as it was, but ssh.service did not come back after its restart: it is failed";
        assert!(report.message.starts_with(said), "{}", report.message);
        assert_eq!(site::text(SSHD_CONFIG), BEFORE);
    });
}

#[test]
fn after_a_crash_what_a_program_refuses_is_put_back() {
    site::within("validated::after_a_crash_what_a_program_refuses_is_put_back", || {
        let of = |id, content| dropin(id, DROPIN, content, "apachectl", "apache2");
        let mut site = Site::new(vec![of("linux-bad", "nonsense"), of("linux-good", "TraceEnable off")]);
        site.host("active");
        site::put(APACHE, "active");

        // Dead between the file and the program that would have refused it.
        let end = site.apply_and_die("after-replace", "linux-bad");
        let EventKind::Interrupted { state, reason } = &end else { panic!("{end:?}") };
        assert_eq!(*state, ControlState::Exposed, "{reason}");
        assert!(reason.contains("/usr/sbin/apachectl refuses the new configuration: Invalid command"), "{reason}");
        assert!(reason.contains("what was changed was put back, and apache2.service was restarted"), "{reason}");
        assert!(!std::path::Path::new(DROPIN).exists(), "{reason}");
        assert_eq!(site::is(APACHE), "active");
        assert_eq!(site.run(OrderKind::Revert, "linux-bad").outcome, Outcome::NotOurs);

        // What it accepts stays, and is reported as before.
        let end = site.apply_and_die("after-replace", "linux-good");
        let EventKind::Interrupted { state, reason } = &end else { panic!("{end:?}") };
        assert_eq!(*state, ControlState::Configured, "nothing has read it yet: {reason}");
        assert!(reason.starts_with("the agent died in the middle") && !reason.contains("put back"), "{reason}");
        assert_eq!(site::text(DROPIN), "TraceEnable off\n");

        // A second try of an entry that is held already: only that try is undone.
        std::fs::write(DROPIN, "theirs\n").unwrap();
        std::fs::write("/etc/apache2/other.conf", "nonsense\n").unwrap();
        let end = site.apply_and_die("after-replace", "linux-good");
        let EventKind::Interrupted { state, reason } = &end else { panic!("{end:?}") };
        assert_eq!((*state, site::text(DROPIN).as_str()), (ControlState::Drifted, "theirs\n"), "{reason}");
        assert!(
            reason.contains("what was changed was put back, but apache2.service has to be restarted by hand"),
            "{reason}"
        );
        std::fs::write(DROPIN, "TraceEnable off\n").unwrap();
        std::fs::remove_file("/etc/apache2/other.conf").unwrap();
        assert_eq!(site.run(OrderKind::Revert, "linux-good").outcome, Outcome::Reverted);
        assert!(!std::path::Path::new(DROPIN).exists());
    });
}

#[test]
fn apache_is_checked_where_it_was_not_started_since_the_boot() {
    site::within("validated::apache_is_checked_where_it_was_not_started_since_the_boot", || {
        use std::os::unix::fs::MetadataExt as _;
        let mut site = Site::new(vec![dropin("linux-good", DROPIN, "TraceEnable off", "apachectl", "apache2")]);
        site.host("active");
        site::put(APACHE, "inactive");
        let made = |path: &str| std::fs::metadata(path).map(|at| (at.uid() == 0, at.mode() & 0o7777)).ok();
        assert_eq!(made("/run/apache2"), None);
        let report = site.run(OrderKind::Apply, "linux-good");
        assert_eq!((report.outcome, report.state), (Outcome::Succeeded, ControlState::Effective), "{report:#?}");
        assert_eq!(made("/run/apache2"), Some((true, 0o755)), "as Apache's own script makes it");
        assert_eq!(made("/run/apache2/socks"), Some((false, 0o755)), "it is the web server's");
    });
}

//! An order's time is a limit: whatever hangs is stopped when it is over, and what was changed is put back.

use crate::ID;
use crate::common::{entry, sshd};
use crate::site::{self, APACHE, BEFORE, SSH, SSHD_CONFIG, Site};
use catalogue::schema::Entry;
use domain::mitigation::ControlState;
use protocol::agent::{EventKind, Outcome, TaskReport};
use protocol::order::OrderKind;
use std::time::{Duration, Instant};

const DROPIN: &str = "/etc/apache2/conf-enabled/quell.conf";
const TELNET: &str = "linux-no-telnet";
const CUPS: &str = "linux-no-cups";

fn dropin() -> Entry {
    let action = format!(
        "[[action]]\nkind = \"file.dropin\"\npath = \"{DROPIN}\"\nmode = \"0644\"\ncontent = \"TraceEnable off\\n\"\nvalidate = \"apachectl\"\n"
    );
    let mut entry = entry("linux-dropin", &action);
    entry.after.restart = vec!["apache2".parse().unwrap()];
    entry
}

fn telnet() -> Entry {
    entry(TELNET, "[[action]]\nkind = \"package.state\"\nnames = { apt = [\"telnetd\"] }\nwant = \"absent\"\n")
}

fn cups() -> Entry {
    let action = "[[action]]\nkind = \"service.state\"\nname = \"cups\"\nrunning = false\nstart = \"masked\"\n";
    entry(CUPS, action)
}

/// It is over soon after its time, and nothing of it is left.
fn timed(site: &mut Site, seconds: u32, kind: OrderKind, id: &str) -> TaskReport {
    site.seconds = seconds;
    let begun = Instant::now();
    let report = site.run(kind, id);
    let took = begun.elapsed();
    assert!(
        took >= Duration::from_secs(u64::from(seconds) - 1) && took < Duration::from_secs(40),
        "{took:?}: {report:#?}"
    );
    report
}

fn assert_undone(report: &TaskReport, said: &[&str]) {
    assert_eq!((report.outcome, report.left_changed), (Outcome::TimedOut, false), "{report:#?}");
    assert_eq!((report.state, report.restart_needed.as_deref()), (ControlState::Exposed, None), "{report:#?}");
    for part in said {
        assert!(report.message.contains(part), "{part}: {report:#?}");
    }
}

fn mark(name: &str) {
    std::fs::write(format!("/run/stub/{name}"), "").unwrap();
}

#[test]
fn a_restart_that_hangs_is_stopped_and_undone() {
    site::within("timed::a_restart_that_hangs_is_stopped_and_undone", || {
        let mut site = Site::new(vec![sshd()]);
        site.host("active");
        site::when_ours("hang");
        let report = timed(&mut site, 3, OrderKind::Apply, ID);
        assert_undone(
            &report,
            &[
                "it took longer than 3 s: ssh.service did not come back after its restart: /usr/bin/systemctl took longer than",
                "what was changed was put back, and ssh.service was restarted",
            ],
        );
        assert_eq!((site::text(SSHD_CONFIG), site::runs_with(SSH)), (BEFORE.to_owned(), BEFORE.to_owned()));
        assert_eq!(site::is(SSH), "active");
    });
}

#[test]
fn a_validator_that_hangs_is_stopped_and_what_it_was_to_check_is_put_back() {
    site::within("timed::a_validator_that_hangs_is_stopped_and_what_it_was_to_check_is_put_back", || {
        let mut site = Site::new(vec![sshd(), dropin()]);
        site.host("active");
        site::put(APACHE, "active");
        mark("checks-hang");
        // Asked before anything is replaced.
        let report = timed(&mut site, 2, OrderKind::Apply, ID);
        assert_undone(&report, &["it took longer than 2 s: /usr/sbin/sshd took longer than", "nothing was changed"]);
        assert_eq!(site::text(SSHD_CONFIG), BEFORE);
        // Asked when it is in place.
        let report = timed(&mut site, 2, OrderKind::Apply, "linux-dropin");
        assert_undone(&report, &["2 s: /usr/sbin/apachectl took longer than", "what was changed was put back"]);
        assert!(!std::path::Path::new(DROPIN).exists(), "{report:#?}");
        assert!(!site::log().contains("restart"), "{}", site::log());
    });
}

#[test]
fn a_check_that_hangs_is_stopped_and_the_change_undone() {
    site::within("timed::a_check_that_hangs_is_stopped_and_the_change_undone", || {
        std::fs::create_dir_all("/run/systemd/system").unwrap();
        std::fs::write("/run/systemd/system/cups.service", "[Service]\nExecStart=/bin/true\n").unwrap();
        let mut site = Site::new(vec![cups()]);
        site.host("active");
        site::put("cups.service", "active");
        mark("looks-hang");
        let report = timed(&mut site, 3, OrderKind::Apply, CUPS);
        assert_undone(
            &report,
            &["it took longer than 3 s: applied, but the check does not find it", "what was changed was put back"],
        );
        assert_eq!(site::is("cups.service"), "active");
    });
}

#[test]
fn a_package_manager_is_asked_to_end_and_what_it_left_is_finished() {
    site::within("timed::a_package_manager_is_asked_to_end_and_what_it_left_is_finished", || {
        let mut site = Site::new(vec![telnet()]);
        let removal = |how: &str| {
            std::fs::write("/var/lib/dpkg/status", "Package: telnetd\nStatus: install ok installed\nVersion: 1\n")
                .unwrap();
            std::fs::write("/run/stub/removal", how).unwrap();
            site::forget_log();
        };
        // What is at work may finish, and then goes back like any other change.
        site.host("active");
        removal("slow");
        site.open();
        let report = timed(&mut site, 4, OrderKind::Apply, TELNET);
        assert_undone(
            &report,
            &[
                "it took longer than 4 s: telnetd: /usr/bin/apt-get took longer than",
                "it said last: Removing telnetd (1) ...",
                "`dpkg --configure -a` finished what it was at",
                "what was changed was put back",
            ],
        );
        let log = site::log();
        let at = |part: &str| log.find(part).unwrap_or_else(|| panic!("{part}: {log}"));
        assert!(
            at("apt-get is done") < at("--configure -a") && at("--configure -a") < at(" install -- telnetd=1"),
            "{log}"
        );
        assert!(log.contains("-o Dpkg::Use-Pty=0 -y"), "{log}");
        assert!(site::text("/var/lib/dpkg/status").contains("install ok installed"));

        // What never ends is killed, and only then dpkg finishes what it left.
        removal("stuck");
        site.open();
        let report = timed(&mut site, 4, OrderKind::Apply, TELNET);
        assert_undone(&report, &["was stopped", "`dpkg --configure -a` finished what it was at", "was put back"]);
        let log = site::log();
        assert!(log.contains("--configure -a") && !log.contains("still at work"), "{log}");
        assert!(site::text("/var/lib/dpkg/status").contains("install ok installed"));

        // The cause is said, and not only that there is one.
        removal("broken");
        site.seconds = 60;
        site.open();
        let report = site.run(OrderKind::Apply, TELNET);
        assert_eq!((report.outcome, report.left_changed), (Outcome::Failed, false), "{report:#?}");
        for part in
            ["rm: cannot remove '/var/x': Device busy | dpkg: error processing package telnetd", "| E: Sub-process"]
        {
            assert!(report.message.contains(part), "{part}: {report:#?}");
        }
        assert!(!site::log().contains("--configure"), "nothing was stopped: {}", site::log());
    });
}

#[test]
fn a_package_manager_is_not_begun_where_it_cannot_end_in_time() {
    site::within("timed::a_package_manager_is_not_begun_where_it_cannot_end_in_time", || {
        let mut site = Site::new(vec![telnet()]);
        site.host("active");
        std::fs::write("/var/lib/dpkg/status", "Package: telnetd\nStatus: install ok installed\nVersion: 1\n").unwrap();
        site.open();
        site.seconds = 2;
        let report = site.run(OrderKind::Apply, TELNET);
        assert_eq!((report.outcome, report.left_changed), (Outcome::Failed, false), "{report:#?}");
        assert!(report.message.contains("a package manager needs 2 s at least, and 1 s are left"), "{report:#?}");
        assert!(!site::log().contains("apt-get"), "{}", site::log());
        // The plan of a dry run says the same.
        let report = site.run(OrderKind::Plan, TELNET);
        assert!(report.message.starts_with("it cannot be applied: a package manager needs 2 s"), "{report:#?}");
        // Putting a package back needs its time, too.
        site.seconds = 60;
        assert_eq!(site.run(OrderKind::Apply, TELNET).outcome, Outcome::Succeeded);
        site.seconds = 2;
        let report = site.run(OrderKind::Revert, TELNET);
        assert_eq!((report.outcome, report.left_changed), (Outcome::RevertFailed, false), "{report:#?}");
        assert!(report.message.ends_with("nothing was written"), "{report:#?}");
        site.seconds = 60;
        assert_eq!(site.run(OrderKind::Revert, TELNET).outcome, Outcome::Reverted);
        assert!(site::text("/var/lib/dpkg/status").contains("install ok installed"));
    });
}

#[test]
fn a_revert_has_the_time_of_its_order_too() {
    site::within("timed::a_revert_has_the_time_of_its_order_too", || {
        std::fs::create_dir_all("/run/systemd/system").unwrap();
        std::fs::write("/run/systemd/system/cups.service", "[Service]\nExecStart=/bin/true\n").unwrap();
        let mut site = Site::new(vec![cups(), sshd()]);
        site.host("active");
        site::put("cups.service", "active");
        assert_eq!(site.run(OrderKind::Apply, CUPS).outcome, Outcome::Succeeded);
        site::when_any("hang");
        let report = timed(&mut site, 2, OrderKind::Revert, CUPS);
        assert_eq!((report.outcome, report.left_changed), (Outcome::RevertFailed, true), "{report:#?}");
        assert!(report.message.starts_with("it took longer than 2 s: /usr/bin/systemctl took longer"), "{report:#?}");
        // The same again, once it answers.
        site::when_any("");
        assert_eq!(site.run(OrderKind::Revert, CUPS).outcome, Outcome::Reverted);
        assert_eq!(site::is("cups.service"), "active");

        // A program that checks and never answers keeps no setting from going back.
        site.seconds = 60;
        site.host("active");
        assert_eq!(site.run(OrderKind::Apply, ID).outcome, Outcome::Succeeded);
        mark("checks-hang");
        let report = timed(&mut site, 4, OrderKind::Revert, ID);
        assert_eq!((report.outcome, report.left_changed), (Outcome::Reverted, false), "{report:#?}");
        assert_eq!((site::text(SSHD_CONFIG).as_str(), report.restart_needed.as_deref()), (BEFORE, Some(SSH)));
        assert!(report.message.contains("has to be restarted by hand: /usr/sbin/sshd took longer than"), "{report:#?}");
    });
}

#[test]
fn a_revert_that_died_before_its_restart_is_brought_into_force_at_the_next_start() {
    site::within("timed::a_revert_that_died_before_its_restart_is_brought_into_force_at_the_next_start", || {
        let mut site = Site::new(vec![sshd()]);
        for stands in ["active", "failed"] {
            site.host("active");
            assert_eq!(site.run(OrderKind::Apply, ID).outcome, Outcome::Succeeded);
            assert!(site::runs_with(SSH).contains("LoginGraceTime 0"));
            site::put(SSH, stands);
            let end = site.die("revert-released", OrderKind::Revert, ID);
            let EventKind::Interrupted { state, reason } = &end else { panic!("{end:?}") };
            assert_eq!(*state, ControlState::Exposed, "{reason}");
            assert!(reason.ends_with("it was put back, and ssh.service was restarted"), "{reason}");
            assert_eq!((site::text(SSHD_CONFIG), site::runs_with(SSH)), (BEFORE.to_owned(), BEFORE.to_owned()));
            assert_eq!(site::is(SSH), "active", "{stands}");
            assert_eq!(site.run(OrderKind::Revert, ID).outcome, Outcome::NotOurs);
        }
        // What somebody left unfinished is not restarted into.
        site.host("active");
        assert_eq!(site.run(OrderKind::Apply, ID).outcome, Outcome::Succeeded);
        std::fs::write(SSHD_CONFIG, format!("{}unfinished\n", site::text(SSHD_CONFIG))).unwrap();
        site::forget_log();
        let end = site.die("revert-released", OrderKind::Revert, ID);
        let EventKind::Interrupted { reason, .. } = &end else { panic!("{end:?}") };
        assert!(reason.contains("it was put back, but ssh.service has to be restarted by hand"), "{reason}");
        assert!(!site::log().contains("restart"), "{}", site::log());
    });
}

//! A crash while a service is restarted, or while a try is undone, leaves no service down that ran before.

use crate::ID;
use crate::common::{entry, sshd};
use crate::site::{self, APACHE, BEFORE, SSH, SSHD_CONFIG, Site};
use catalogue::schema::Entry;
use domain::mitigation::ControlState;
use protocol::agent::EventKind;
use protocol::order::OrderKind;

const DROPIN: &str = "/etc/apache2/conf-enabled/quell.conf";
const OTHER: &str = "/etc/apache2/conf-enabled/quell-other.conf";
const ONE: &str = "linux-one";
const TWO: &str = "linux-two";
const BAD: &str = "linux-bad";

/// Drop-ins that need no proof, and the service that reads them.
fn dropins(id: &str, content: &str, paths: &[&str]) -> Entry {
    let action = |path: &&str| {
        format!(
            "[[action]]\nkind = \"file.dropin\"\npath = \"{path}\"\nmode = \"0644\"\ncontent = \"{content}\\n\"\nvalidate = \"apachectl\"\n"
        )
    };
    let mut entry = entry(id, &paths.iter().map(action).collect::<String>());
    entry.after.restart = vec!["apache2".parse().unwrap()];
    entry
}

fn host(site: &Site) {
    site.host("active");
    site::put(APACHE, "active");
    let _ = std::fs::remove_file(OTHER);
    std::fs::write(DROPIN, "theirs\n").unwrap();
}

fn said(end: &EventKind) -> (ControlState, &str) {
    let EventKind::Interrupted { state, reason } = end else { panic!("{end:?}") };
    (*state, reason)
}

#[test]
fn what_a_try_left_down_is_started_again_however_far_its_undo_came() {
    site::within("interrupted::what_a_try_left_down_is_started_again_however_far_its_undo_came", || {
        let one = dropins(ONE, "LoginGraceTime 0", &[DROPIN]);
        let mut site = Site::new(vec![sshd(), one]);
        let back = "what was changed was put back, and";
        // All is back and let go.
        for (id, unit) in [(ID, SSH), (ONE, APACHE)] {
            host(&site);
            site::when_ours("die");
            site.dies("undo-released", 1, OrderKind::Apply, id);
            assert_eq!(site::is(unit), "failed");
            let end = site.ended();
            let (state, reason) = said(&end);
            assert!(reason.contains(&format!("{back} {unit} was restarted")), "{reason}");
            assert_eq!((state, site::is(unit).as_str()), (ControlState::Exposed, "active"), "{reason}");
            assert!(!site::runs_with(unit).contains("LoginGraceTime"), "{reason}");
        }
        // The file is back, and not yet let go.
        host(&site);
        site::when_ours("die");
        site.dies("after-replace", 2, OrderKind::Apply, ONE);
        assert_eq!((site::text(DROPIN).as_str(), site::is(APACHE).as_str()), ("theirs\n", "failed"));
        let end = site.ended();
        assert!(said(&end).1.contains(&format!("{back} {APACHE} was restarted")), "{end:?}");
        assert_eq!(site::is(APACHE), "active");
    });
}

#[test]
fn a_service_that_went_down_while_the_agent_was_dead_takes_the_change_back() {
    site::within("interrupted::a_service_that_went_down_while_the_agent_was_dead_takes_the_change_back", || {
        let mut site = Site::new(vec![
            dropins(ONE, "LoginGraceTime 0", &[DROPIN]),
            dropins(TWO, "LoginGraceTime 0", &[DROPIN, OTHER]),
        ]);
        for stands in ["failed", "activating"] {
            host(&site);
            site.dies("after-effect", 1, OrderKind::Apply, ONE);
            // The restart was queued, and the service manager went on with it.
            site::when_ours("flap");
            site::put(APACHE, stands);
            std::fs::write("/run/stub/reads-apache2.service", "LoginGraceTime 0\n").unwrap();
            let end = site.ended();
            let (state, reason) = said(&end);
            assert!(reason.contains("apache2.service did not come back after its restart: it "), "{reason}");
            assert!(reason.contains("what was changed was put back, and apache2.service was restarted"), "{reason}");
            assert_eq!((state, site::text(DROPIN).as_str()), (ControlState::Exposed, "theirs\n"), "{reason}");
            assert_eq!((site::is(APACHE).as_str(), site::runs_with(APACHE).contains("Login")), ("active", false));
        }
        // Before the last effect nothing was restarted: what is down then is so without us, and is left alone.
        host(&site);
        site::put(APACHE, "failed");
        site.dies("after-effect", 1, OrderKind::Apply, TWO);
        let end = site.ended();
        assert!(!said(&end).1.contains("put back"), "{end:?}");
        assert_eq!(site::is(APACHE), "failed");
        assert!(!site::log().contains("restart"), "{}", site::log());
    });
}

#[test]
fn with_a_damaged_journal_nothing_is_changed_at_a_start() {
    site::within("interrupted::with_a_damaged_journal_nothing_is_changed_at_a_start", || {
        // One to be taken back unless the server is heard, one that a program refuses, one that left a service down.
        let one = dropins(ONE, "LoginGraceTime 0", &[DROPIN]);
        let mut site = Site::new(vec![sshd(), one, dropins(BAD, "nonsense", &[DROPIN])]);
        for (point, id) in [("unproven", ID), ("after-replace", BAD), ("undo-released", ONE)] {
            host(&site);
            site::when_ours(if id == ONE { "die" } else { "" });
            let journal = journal(&site);
            site.dies(point, 1, OrderKind::Apply, id);
            let bytes = std::fs::read(&journal).unwrap();
            // What ended it was written, and cannot be read any more.
            std::fs::write(&journal, [bytes.as_slice(), b"damaged", &bytes].concat()).unwrap();
            let stands = || [SSHD_CONFIG, DROPIN].map(site::text).into_iter().chain([SSH, APACHE].map(site::is));
            let before: Vec<String> = stands().collect();
            site::forget_log();
            site.open();
            assert_eq!(stands().collect::<Vec<_>>(), before, "{id}");
            assert!(!site::log().contains("restart"), "{id}: {}", site::log());
            // The same try with a whole journal is not left like that.
            std::fs::write(&journal, bytes).unwrap();
            site.open();
            assert_ne!(stands().collect::<Vec<_>>(), before, "{id}");
            assert_eq!(site::text(SSHD_CONFIG), BEFORE);
        }
    });
}

fn journal(site: &Site) -> std::path::PathBuf {
    let files = std::fs::read_dir(site.state().join("journal")).unwrap().map(|file| file.unwrap().path());
    files.max_by_key(|file| file.metadata().unwrap().len()).unwrap()
}

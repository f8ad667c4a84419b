//! Mail by the built program: configured by arguments, tried out and listed on the command line, and a server that is
//! killed between handing a mail over and marking it.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::allow_attributes,
    reason = "a test stops where something is missing"
)]

mod common;

use common::{Served, fails, json, run};
use std::path::Path;
use std::time::Duration;
use testkit::mailbox::{Mailbox, PASSWORD, USER};

const CHOSEN: &str = "chosen by a test person";

/// The arguments that name this mail server.
fn smtp(folder: &Path, mailbox: &Mailbox) -> Vec<String> {
    let password = folder.join("smtp-password");
    std::fs::write(&password, format!("{PASSWORD}\n")).unwrap();
    let (port, ca) = (mailbox.port("starttls").to_string(), mailbox.authority());
    let pairs = [
        ("--smtp-host", "localhost"),
        ("--smtp-port", &port),
        ("--smtp-user", USER),
        ("--smtp-password-file", password.to_str().unwrap()),
        ("--smtp-from", "Quell <quell@quell.example.org>"),
        ("--smtp-ca", ca.to_str().unwrap()),
    ];
    pairs.iter().flat_map(|(name, value)| [(*name).to_owned(), (*value).to_owned()]).collect()
}

fn sign_in(folder: &Path, served: &Served) {
    let login = ["login", &served.url, "-u", "admin", "--password-stdin", "--ca-sha256", &served.fingerprint];
    let first = if served.password.is_empty() { String::new() } else { format!("{}\n", served.password) };
    json(folder, &login, &format!("{first}{CHOSEN}\n"));
}

#[test]
fn a_test_mail_says_what_the_mail_server_said() {
    let Some(mailbox) = Mailbox::start() else { return };
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let smtp = smtp(folder, &mailbox);
    let served = Served::start(folder, &smtp.iter().map(String::as_str).collect::<Vec<_>>());
    sign_in(folder, &served);
    assert_eq!(json(folder, &["mail", "test", "ann@example.org"], "")["state"], "sent");
    fails(folder, &["mail", "test", "refused@example.org"], 1, "no such mailbox here");
    fails(folder, &["mail", "test", "a@b\r\nBcc: c@d"], 1, "no address may hold");
    let dead = json(folder, &["mail", "list", "-q", "is:dead"], "");
    assert_eq!((dead.as_array().unwrap().len(), &dead[0]["recipient"]), (1, &serde_json::json!("refused@example.org")));
    let id = dead[0]["id"].to_string();
    assert_eq!(json(folder, &["mail", "retry", &id], "")["state"], "queued");
    fails(folder, &["mail", "retry", "999"], 4, "mail 999");
    until("the dead letter", || json(folder, &["mail", "list", "-q", "is:dead"], "").as_array().unwrap().len() == 1);
    assert_eq!(json(folder, &["mail", "retry", "--all"], "")["retried"], 1);
    fails(folder, &["mail", "retry"], 2, "<ID>");
    let table = String::from_utf8(run(folder, &["mail", "list"], "").stdout).unwrap();
    assert!(table.contains("ann@example.org") && table.contains("sent") && !table.contains(PASSWORD), "{table}");
    assert_eq!(mailbox.taken()[0].header("subject"), "[Quell] Test mail");
}

#[test]
fn a_kill_between_handing_over_and_marking_costs_one_copy_with_the_same_message_id() {
    let Some(mailbox) = Mailbox::start() else { return };
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let smtp = smtp(folder, &mailbox);
    let smtp: Vec<&str> = smtp.iter().map(String::as_str).collect();
    let mut served = Served::start_with(folder, &smtp, Some("mail.handed_over"), true);
    sign_in(folder, &served);
    fails(folder, &["mail", "test", "ann@example.org"], 6, "cannot reach");
    until("its death", || served.is_dead());
    assert_eq!(mailbox.taken().len(), 1, "the mail server had taken it");
    drop(served);
    // The dead replica's claim ends by the clock; turn it.
    let database = store::Database::sqlite(folder.join("data/quell.db")).unwrap();
    let turned =
        database.write_blocking(|tx| tx.execute("UPDATE outbox SET claimed_until_at = 1 WHERE topic = 'mail'", &[]));
    assert_eq!(turned.unwrap(), 1, "nothing was marked");
    drop(database);
    let served = Served::start_with(folder, &smtp, None, false);
    until("the copy", || mailbox.taken().len() >= 2);
    sign_in(folder, &served);
    until("the mark", || json(folder, &["mail", "list"], "")[0]["state"] == "sent");
    std::thread::sleep(Duration::from_secs(5));
    let taken = mailbox.taken();
    assert_eq!(taken.len(), 2, "one copy, no more");
    assert_eq!(taken[0].header("message-id"), taken[1].header("message-id"));
}

#[track_caller]
fn until(what: &str, mut ready: impl FnMut() -> bool) {
    for _ in 0..600 {
        if ready() {
            return;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    panic!("waited in vain for {what}");
}

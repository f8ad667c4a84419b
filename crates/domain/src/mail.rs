//! Mail of jobs, and of agents that are not heard of: which events cause which mail (R17), when a mail is tried again, what an address is.
//!
//! It sends nothing and words nothing; the server has the client and the templates.

use crate::printable::steers;
use crate::time::Timestamp;
use serde::{Deserialize, Serialize};

/// Recipients of a job's mail at most (S1.13, R5).
pub const RECIPIENTS_MAX: usize = 50;
/// Tries after which a mail is a dead letter; with [`next_try_seconds`] that is about twenty hours.
pub const TRIES_MAX: i64 = 12;
/// Seconds before the second try; every further wait is twice as long.
const FIRST_WAIT_SECONDS: i64 = 60;
/// Seconds between two tries at most, without the jitter.
const WAIT_SECONDS_MAX: i64 = 6 * 3_600;
/// How the last error of a mail begins that was refused for the server's sake, not for its recipient's.
pub const RELAY_REFUSES: &str = "the mail server takes no mail of this server: ";
/// Parts of a whole in which the jitter is given.
pub const JITTER_WHOLE: i64 = 1_000;
/// Days a mail that was sent stays in the outbox for people to see.
pub const KEPT_DAYS: i64 = 90;
/// Bytes of an address at most (RFC 5321 4.5.3.1).
const ADDRESS_BYTES_MAX: usize = 254;
/// Bytes before the `@` at most.
const LOCAL_BYTES_MAX: usize = 64;
/// Bytes between two dots of a host at most.
const LABEL_BYTES_MAX: usize = 63;

/// What a mail is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Execution has started (S1.14).
    Started,
    /// The chosen percentage of assets has reported (S1.15).
    Reported,
    /// Mitigations of the job were changed on their hosts.
    Drifted,
    /// The time of mitigations of the job is over.
    Expired,
    /// The job is to be looked at again.
    Review,
    /// Contact is lost with agents, or they were retired by themselves.
    Agents,
    /// A deferral or false positive is asked for, or decided.
    Exception,
    /// Items were given to somebody.
    Assigned,
    /// Items of somebody became overdue.
    Overdue,
    /// A rescan has ended.
    Scan,
    /// An import failed, takes too long or was held up.
    Import,
    /// Somebody tries out whether mail arrives.
    Test,
}

/// Every kind.
pub const KINDS: [Kind; 12] = [
    Kind::Started,
    Kind::Reported,
    Kind::Drifted,
    Kind::Expired,
    Kind::Review,
    Kind::Agents,
    Kind::Exception,
    Kind::Assigned,
    Kind::Overdue,
    Kind::Scan,
    Kind::Import,
    Kind::Test,
];

impl Kind {
    /// The word in the database and the API.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Kind::Started => "started",
            Kind::Reported => "reported",
            Kind::Drifted => "drifted",
            Kind::Expired => "expired",
            Kind::Review => "review",
            Kind::Agents => "agents",
            Kind::Exception => "exception",
            Kind::Assigned => "assigned",
            Kind::Overdue => "overdue",
            Kind::Scan => "scan",
            Kind::Import => "import",
            Kind::Test => "test",
        }
    }

    /// From that word.
    #[must_use]
    pub fn parse(text: &str) -> Option<Kind> {
        KINDS.into_iter().find(|kind| kind.as_str() == text)
    }
}

/// Where a mail to one recipient is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Not tried yet.
    Queued,
    /// A replica is handing it over.
    Sending,
    /// The mail server has taken it.
    Sent,
    /// It was tried and is tried again.
    Failed,
    /// It is not tried again, unless somebody says so: a dead letter.
    Dead,
}

/// Every state.
pub const STATES: [State; 5] = [State::Queued, State::Sending, State::Sent, State::Failed, State::Dead];

impl State {
    /// The word in the database and the API.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            State::Queued => "queued",
            State::Sending => "sending",
            State::Sent => "sent",
            State::Failed => "failed",
            State::Dead => "dead",
        }
    }

    /// From that word.
    #[must_use]
    pub fn parse(text: &str) -> Option<State> {
        STATES.into_iter().find(|state| state.as_str() == text)
    }

    /// Whether somebody may ask for another try: what waits for its next one, and dead letters.
    #[must_use]
    pub fn can_retry(self) -> bool {
        matches!(self, State::Failed | State::Dead)
    }
}

/// How far a run is, as far as mail asks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Something of it has started.
    pub started: bool,
    /// Assets in the run.
    pub assets: i64,
    /// Assets whose every task has a result.
    pub reported: i64,
}

/// Which mail a run in this state has caused by now (R17). Each is sent once per run; the caller's key sees to that.
///
/// The percentage counts assets, and an asset counts when every task on it has a result, whatever the result. Nothing is
/// mailed about a run that ended before anything of it had started.
#[must_use]
pub fn caused(wants_start: bool, wants_percent: Option<i64>, run: Progress) -> Vec<Kind> {
    let mut caused = Vec::new();
    if run.started && wants_start {
        caused.push(Kind::Started);
    }
    let reached = |percent: i64| run.assets > 0 && run.reported * 100 >= percent * run.assets;
    if run.started && wants_percent.is_some_and(reached) {
        caused.push(Kind::Reported);
    }
    caused
}

/// What became of one try.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// The mail server took it.
    Taken,
    /// The mail server answered with this code to the recipient or the mail itself.
    Code(u16),
    /// The mail server answered with this code before that: to our connection, our sign-in or the sender.
    Relay(u16),
    /// No answer: no connection, no TLS, a time-out.
    Nothing,
    /// It cannot be put into words of SMTP: an address or text that no server would take.
    Unsendable,
}

/// What follows from a try.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// Done.
    Sent,
    /// Try again after this many seconds.
    Again(i64),
    /// A dead letter.
    Dead,
}

/// What follows from the `tries`-th try (the first is 1). `jitter` is a random number below [`JITTER_WHOLE`].
///
/// A 5xx answer to the recipient or the mail is final at once. One to the greeting, the sign-in or the sender is a fault of the
/// mail server or of our settings there: it concerns every mail alike and somebody may mend it, so it is tried again. So are the
/// codes of authentication and encryption (RFC 4954, 3207), whenever they come.
#[must_use]
pub fn after(answer: Answer, tries: i64, jitter: i64) -> Next {
    match answer {
        Answer::Taken => Next::Sent,
        Answer::Unsendable => Next::Dead,
        Answer::Code(500..=599) if !about_settings(answer) => Next::Dead,
        _ if tries >= TRIES_MAX => Next::Dead,
        Answer::Code(_) | Answer::Relay(_) | Answer::Nothing => Next::Again(next_try_seconds(tries, jitter)),
    }
}

fn about_settings(answer: Answer) -> bool {
    matches!(answer, Answer::Code(530 | 534 | 535 | 538))
}

/// Seconds from the `tries`-th try to the next: doubling up to a cap, and up to a fifth more by jitter, so that what
/// failed together is not tried together.
#[must_use]
pub fn next_try_seconds(tries: i64, jitter: i64) -> i64 {
    let doublings = u32::try_from(tries.clamp(1, 30) - 1).unwrap_or(0);
    let wait = (FIRST_WAIT_SECONDS << doublings).min(WAIT_SECONDS_MAX);
    wait + wait * jitter.clamp(0, JITTER_WHOLE) / (5 * JITTER_WHOLE)
}

/// What stands in a mail, frozen when it was caused, so that a repetition says the same.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Facts {
    /// The job's number; empty for a test, and of agents.
    pub job: String,
    /// Its title.
    pub title: String,
    /// `mitigation` or `rollback`.
    pub job_kind: String,
    /// Which run of it, from 1.
    pub run: i64,
    /// The owner's sign-in name; for a test, who asked for it.
    pub owner: String,
    /// The percentage that was chosen.
    pub percent: Option<i64>,
    /// Assets in the run.
    pub assets: i64,
    /// Assets that have reported.
    pub reported: i64,
    /// Tasks that succeeded.
    pub succeeded: i64,
    /// Tasks that failed.
    pub failed: i64,
    /// Tasks that were skipped, with the reason on the job's page.
    pub skipped: i64,
    /// Tasks that have no result yet.
    pub open: i64,
    /// When it was caused.
    pub at: Option<Timestamp>,
    /// What it is about, line by line: mitigations that drifted or expired.
    #[serde(default)]
    pub lines: Vec<String>,
    /// How many lines more there are.
    #[serde(default)]
    pub more: i64,
    /// Which agents are not heard of.
    #[serde(default)]
    pub silence: Silence,
    /// Of what is about no job: the record it is about.
    #[serde(default)]
    pub about: About,
}

/// A record that a mail tells of, in words that are ready to be read.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct About {
    /// The subject after `[Quell] `.
    pub subject: String,
    /// The first sentence.
    pub lead: String,
    /// What there is to know, each with its label.
    pub rows: Vec<(String, String)>,
    /// The page, below the server's address: `/scans/VSCAN0000001`.
    pub page: String,
    /// Why who gets it gets it.
    pub why: String,
}

/// What one look at who was not heard of has found.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Silence {
    /// Agents that contact is lost with since this look.
    pub missing: i64,
    /// The first of them: host name, and when it was last heard.
    pub missing_named: Vec<(String, Timestamp)>,
    /// Agents that were retired by it.
    pub retired: i64,
    /// The first of them.
    pub retired_named: Vec<(String, Timestamp)>,
    /// Days until an agent is retired, 0 for never.
    pub days: i64,
    /// Why none is retired by itself now, if so.
    pub held: Option<String>,
}

/// Lines of one mail at most.
pub const LINES_MAX: usize = 50;

/// Why a text is no address that mail can be sent to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadAddress {
    /// No `@`, or nothing around it.
    #[error("it is not NAME@HOST")]
    Form,
    /// More than 254 bytes, 64 before the `@`, or 63 between two dots of the host.
    #[error("it is too long")]
    Long,
    /// White space, a line end, another control character, or what only stands in lists of addresses.
    #[error("it holds a character that no address may hold")]
    Character,
    /// Beyond ASCII: a host has to be given in its `xn--` form.
    #[error("it is not plain ASCII; write the host in its xn-- form")]
    NotAscii,
}

/// Check that `text` is one address and nothing else: no display name, no list, nothing that could end a header line.
///
/// # Errors
/// [`BadAddress`], the first reason.
pub fn address(text: &str) -> Result<(), BadAddress> {
    if !text.is_ascii() {
        return Err(if text.chars().any(char::is_control) { BadAddress::Character } else { BadAddress::NotAscii });
    }
    let (local, host) = text.rsplit_once('@').ok_or(BadAddress::Form)?;
    let atom = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-/=?^_`{|}~.".contains(c);
    if !local.chars().all(atom) || !host.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '.')) {
        return Err(BadAddress::Character);
    }
    let dotted = |part: &str| part.split('.').all(|piece| !piece.is_empty());
    if !dotted(local) || !dotted(host) || host.split('.').any(|label| label.starts_with('-') || label.ends_with('-')) {
        return Err(BadAddress::Form);
    }
    let long = text.len() > ADDRESS_BYTES_MAX
        || local.len() > LOCAL_BYTES_MAX
        || host.split('.').any(|label| label.len() > LABEL_BYTES_MAX);
    if long { Err(BadAddress::Long) } else { Ok(()) }
}

/// A text as one line of at most `chars` characters, for a header: every run of white space and of what steers
/// ([`crate::printable`]) becomes one space. A subject is a place to deceive.
#[must_use]
pub fn one_line(text: &str, chars: usize) -> String {
    let spaced: String = text.chars().map(|c| if steers(c) { ' ' } else { c }).collect();
    let line = spaced.split_whitespace().collect::<Vec<_>>().join(" ");
    match line.char_indices().nth(chars) {
        Some((at, _)) => format!("{}…", line.get(..at).unwrap_or_default().trim_end()),
        None => line,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn r17_s1_14_s1_15_which_mail_a_run_has_caused() {
        use Kind::{Reported, Started};
        let run = |started, assets, reported| Progress { started, assets, reported };
        for (wants_start, percent, run, expected) in [
            (true, None, run(false, 5, 0), vec![]),
            (true, None, run(true, 5, 0), vec![Started]),
            (false, None, run(true, 5, 5), vec![]),
            (false, Some(80), run(true, 5, 3), vec![]),
            (false, Some(80), run(true, 5, 4), vec![Reported]),
            (true, Some(100), run(true, 3, 2), vec![Started]),
            (true, Some(100), run(true, 3, 3), vec![Started, Reported]),
            (false, Some(1), run(true, 1_000, 9), vec![]),
            (false, Some(1), run(true, 1_000, 10), vec![Reported]),
            (false, Some(34), run(true, 3, 1), vec![]),
            // cancelled before anything started; nothing to report on
            (true, Some(50), run(false, 5, 5), vec![]),
            (false, Some(50), run(true, 0, 0), vec![]),
        ] {
            assert_eq!(caused(wants_start, percent, run), expected, "{wants_start} {percent:?} {run:?}");
        }
    }

    #[test]
    fn what_follows_from_an_answer() {
        for (answer, tries, expected) in [
            (Answer::Taken, 1, Next::Sent),
            (Answer::Taken, 99, Next::Sent),
            (Answer::Code(550), 1, Next::Dead),
            (Answer::Code(501), 1, Next::Dead),
            (Answer::Code(535), 1, Next::Again(60)),
            (Answer::Code(530), 2, Next::Again(120)),
            (Answer::Code(451), 3, Next::Again(240)),
            (Answer::Relay(554), 1, Next::Again(60)),
            (Answer::Relay(550), 2, Next::Again(120)),
            (Answer::Relay(421), 11, Next::Again(21_600)),
            (Answer::Relay(550), 12, Next::Dead),
            (Answer::Nothing, 4, Next::Again(480)),
            (Answer::Code(451), 11, Next::Again(21_600)),
            (Answer::Code(451), 12, Next::Dead),
            (Answer::Nothing, 12, Next::Dead),
            (Answer::Unsendable, 1, Next::Dead),
        ] {
            assert_eq!(after(answer, tries, 0), expected, "{answer:?} at try {tries}");
        }
        assert_eq!(next_try_seconds(1, JITTER_WHOLE), 72);
        let hours: i64 = (1..TRIES_MAX).map(|tries| next_try_seconds(tries, 0)).sum::<i64>() / 3_600;
        assert_eq!(hours, 20, "as TRIES_MAX says");
    }

    #[test]
    fn addresses_by_table() {
        let long = |n: usize| "a".repeat(n);
        for (text, expected) in [
            ("a@b", Ok(())),
            ("ops+quell@mail.example.org", Ok(())),
            ("o'brien@xn--bcher-kva.example", Ok(())),
            ("", Err(BadAddress::Form)),
            ("nobody", Err(BadAddress::Form)),
            ("@example.org", Err(BadAddress::Form)),
            ("a@", Err(BadAddress::Form)),
            ("a..b@example.org", Err(BadAddress::Form)),
            ("a@example..org", Err(BadAddress::Form)),
            ("a@-example.org", Err(BadAddress::Form)),
            ("a@b@c", Err(BadAddress::Character)),
            ("a b@example.org", Err(BadAddress::Character)),
            ("a@b\r\nBcc: x@y", Err(BadAddress::Character)),
            ("a\0@b", Err(BadAddress::Character)),
            ("Ann <ann@example.org>", Err(BadAddress::Character)),
            ("a@b,c@d", Err(BadAddress::Character)),
            ("ann@bücher.example", Err(BadAddress::NotAscii)),
            ("ann\u{85}@b", Err(BadAddress::Character)),
            (&format!("{}@b", long(65)), Err(BadAddress::Long)),
            (&format!("a@{}", long(64)), Err(BadAddress::Long)),
            (&format!("a@{}", ["abcdefgh"; 30].join(".")), Err(BadAddress::Long)),
        ] {
            assert_eq!(address(text), expected, "{text:?}");
        }
    }

    #[test]
    fn one_line_of_a_text() {
        assert_eq!(one_line("Stop\r\nBcc: eve@example.org", 80), "Stop Bcc: eve@example.org");
        assert_eq!(one_line("  a\tb\u{2028}c\u{202e}d ", 80), "a b c d");
        assert_eq!(one_line("in\u{200b}voi\u{feff}ce", 80), "in voi ce");
        assert_eq!(one_line("abcdef", 3), "abc…");
        assert_eq!(one_line("äöü", 3), "äöü");
    }

    #[test]
    fn words_survive_a_round_trip() {
        assert!(KINDS.iter().all(|kind| Kind::parse(kind.as_str()) == Some(*kind)));
        assert!(STATES.iter().all(|state| State::parse(state.as_str()) == Some(*state)));
    }

    proptest! {
        #[test]
        fn neither_a_line_nor_an_address_ever_holds_a_line_end(text in any::<String>(), chars in 0_usize..100) {
            prop_assert!(!one_line(&text, chars).chars().any(steers));
            prop_assert!(one_line(&text, chars).chars().count() <= chars + 1);
            if address(&text).is_ok() {
                prop_assert!(!text.chars().any(|c| c.is_control() || c.is_whitespace()));
                prop_assert_eq!(text.matches('@').count(), 1);
            }
        }

        #[test]
        fn waits_grow_and_stay_within_their_bounds(tries in 1_i64..200, jitter in 0_i64..1_000) {
            let wait = next_try_seconds(tries, jitter);
            prop_assert!((60..=WAIT_SECONDS_MAX * 6 / 5).contains(&wait));
            prop_assert!(next_try_seconds(tries + 1, 0) >= next_try_seconds(tries, 0));
        }
    }
}

//! What stands in a mail: subject, text and HTML, from the facts that were frozen when it was caused.
//!
//! Titles are people's words, and host names what agents say: they become one line in the subject and are escaped in the HTML. The
//! only link is to the page of what it is about, below the server's public address.

use askama::Template;
use domain::mail::{About, Facts, Kind, Silence, one_line};
use domain::time::Timestamp;
use url::Url;

/// Characters of a subject.
const SUBJECT_CHARS_MAX: usize = 160;
/// Characters of a title inside a letter.
const TITLE_CHARS_MAX: usize = 300;

/// Why recipients of a job get its mail.
const RECIPIENT: &str = "Your address is among the recipients in this job's options.";

/// A letter, ready to be sent to anybody.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Letter {
    /// One line.
    pub subject: String,
    /// For readers of plain text.
    pub text: String,
    /// For everybody else.
    pub html: String,
}

#[derive(Template)]
#[template(path = "mail/letter.txt", escape = "none", whitespace = "preserve")]
struct Text<'a>(&'a Parts);

#[derive(Template)]
#[template(path = "mail/letter.html")]
struct Html<'a>(&'a Parts);

/// What both forms say.
struct Parts {
    lead: String,
    facts: Vec<(String, String)>,
    link: (&'static str, String),
    why: String,
}

fn labelled(rows: Vec<(&'static str, String)>) -> Vec<(String, String)> {
    rows.into_iter().map(|(label, value)| (label.to_owned(), value)).collect()
}

/// The letter of a notice.
///
/// # Errors
/// Where a template fails.
pub fn write(kind: Kind, facts: &Facts, public_url: &Url) -> askama::Result<Letter> {
    let (subject, parts) = parts(kind, facts, public_url);
    Ok(Letter {
        subject: one_line(&subject, SUBJECT_CHARS_MAX),
        text: Text(&parts).render()?,
        html: Html(&parts).render()?,
    })
}

fn parts(kind: Kind, facts: &Facts, public_url: &Url) -> (String, Parts) {
    let page = |path: &str| format!("{}{path}", public_url.as_str().trim_end_matches('/'));
    let time = facts.at.map(moment).unwrap_or_default();
    if kind == Kind::Test {
        let parts = Parts {
            lead: "This is a test. Mail from this Quell server arrives.".to_owned(),
            facts: labelled(vec![("Asked for by", facts.owner.clone()), ("Time", time)]),
            link: ("Open Quell", page("/")),
            why: "Somebody who may change this server's settings sent it to your address to try it out.".to_owned(),
        };
        return ("[Quell] Test mail".to_owned(), parts);
    }
    if matches!(kind, Kind::Drifted | Kind::Expired | Kind::Review) {
        return afterwards(kind, facts, time, page(&format!("/jobs/{}", facts.job)), page("/follow-up"));
    }
    if kind == Kind::Agents {
        return silent(&facts.silence, time, &page("/agents"));
    }
    if matches!(kind, Kind::Exception | Kind::Assigned | Kind::Overdue | Kind::Scan | Kind::Import) {
        return about(&facts.about, time, page(&facts.about.page));
    }
    let noun = if facts.job_kind == "rollback" { "Rollback job" } else { "Mitigation job" };
    let (subject, lead) = match kind {
        Kind::Started => (format!("{} has started", facts.job), format!("{noun} {} has started.", facts.job)),
        _ if facts.open == 0 => (
            format!("{} has completed on {} of assets", facts.job, share(facts)),
            format!("{noun} {} has completed: every task has a result.", facts.job),
        ),
        _ => (
            format!("{} has completed on {} of assets", facts.job, share(facts)),
            format!("{noun} {} has completed on {} of its assets. The rest goes on.", facts.job, share(facts)),
        ),
    };
    let title = one_line(&facts.title, TITLE_CHARS_MAX);
    let mut rows = vec![("Title", title.clone()), ("Owner", facts.owner.clone())];
    if facts.run > 1 {
        rows.push(("Run", facts.run.to_string()));
    }
    match kind {
        Kind::Started => rows.push(("Assets", facts.assets.to_string())),
        _ => {
            let chosen =
                facts.percent.map(|percent| format!("; mail was asked for at {percent} %")).unwrap_or_default();
            rows.push(("Assets", format!("{} of {} have reported{chosen}", facts.reported, facts.assets)));
            let counts = [
                (facts.succeeded, "succeeded"),
                (facts.failed, "failed"),
                (facts.skipped, "skipped"),
                (facts.open, "without a result yet"),
            ];
            let counts = counts.map(|(number, words)| format!("{number} {words}"));
            rows.push(("Tasks", counts.join(", ")));
        }
    }
    rows.push(("Time", time));
    let parts = Parts {
        lead,
        facts: labelled(rows),
        link: ("Open the job", page(&format!("/jobs/{}", facts.job))),
        why: RECIPIENT.to_owned(),
    };
    (format!("[Quell] {subject}: {title}"), parts)
}

/// What is told after a job: drift, expiry, a review.
fn afterwards(kind: Kind, facts: &Facts, time: String, job: String, follow: String) -> (String, Parts) {
    let count = i64::try_from(facts.lines.len()).unwrap_or(i64::MAX).saturating_add(facts.more);
    let many = if count == 1 { "1 mitigation".to_owned() } else { format!("{count} mitigations") };
    let (subject, lead, link) = match kind {
        Kind::Drifted => (
            format!("{many} of {} drifted", facts.job),
            format!("Somebody changed {many} of {} on the host. The scores are back up.", facts.job),
            ("See what drifted", follow),
        ),
        Kind::Expired => (
            format!("{many} of {} expired", facts.job),
            format!("The time of {many} of {} is over. The scores are back up.", facts.job),
            ("See what is proposed", follow),
        ),
        _ => (
            format!("{} is to be reviewed", facts.job),
            format!("{} is to be looked at again: is what it put in place still wanted?", facts.job),
            ("Open the job", job),
        ),
    };
    let title = one_line(&facts.title, TITLE_CHARS_MAX);
    let mut rows = vec![("Title", title.clone()), ("Owner", facts.owner.clone())];
    rows.extend(facts.lines.iter().map(|line| ("Mitigation", one_line(line, TITLE_CHARS_MAX))));
    if facts.more > 0 {
        rows.push(("And", format!("{} more", facts.more)));
    }
    rows.push(("Time", time));
    let parts = Parts { lead, facts: labelled(rows), link, why: RECIPIENT.to_owned() };
    (format!("[Quell] {subject}: {title}"), parts)
}

/// What is told of agents that are not heard of.
fn silent(silence: &Silence, time: String, agents: &str) -> (String, Parts) {
    let Silence { missing, retired, days, .. } = *silence;
    let many = |count: i64| if count == 1 { "1 agent".to_owned() } else { format!("{count} agents") };
    let were = if retired == 1 { "was" } else { "were" };
    let ended = format!("{} {were} retired", many(retired));
    let (subject, lead, link) = match (missing, retired) {
        (0, _) => (ended.clone(), format!("{ended}: nothing was heard for {days} days."), "?q=is%3Aretired"),
        (_, 0) => {
            let lost = format!("Contact is lost with {}", many(missing));
            (lost.clone(), format!("{lost}: nothing was heard for seven days."), "?q=is%3Amissing")
        }
        _ => {
            let subject = format!("Contact is lost with {}, {ended}", many(missing));
            (subject.clone(), format!("{subject}."), "")
        }
    };
    let mut rows = Vec::new();
    let mut list = |label, count: i64, named: &[(String, Timestamp)]| {
        if count == 0 {
            return;
        }
        rows.extend(named.iter().map(|(host, heard)| {
            (label, format!("{}, last heard {}", one_line(host, TITLE_CHARS_MAX), moment(*heard)))
        }));
        let more = count - i64::try_from(named.len()).unwrap_or(count);
        if more > 0 {
            rows.push(("And", format!("{more} more")));
        }
    };
    list("Retired", retired, &silence.retired_named);
    list("Contact lost", missing, &silence.missing_named);
    let follows = match (&silence.held, missing, days) {
        (Some(held), ..) => format!("{held}."),
        (None, 0, _) => {
            "Their open tasks have ended. One that comes back is refused until somebody takes it back on its page."
                .to_owned()
        }
        (None, _, 0) => "Work that comes again is not planned for them. None is retired by itself.".to_owned(),
        (None, _, days) => format!(
            "Work that comes again is not planned for those that contact is lost with. Who is not heard of for {days} days is retired: \
             open tasks end, and it is refused until somebody takes it back."
        ),
    };
    rows.push(("What follows", follows));
    rows.push(("Time", time));
    let why = "You may take agents back on this server, and your account has this address.".to_owned();
    let parts = Parts { lead, facts: labelled(rows), link: ("Open Agents", format!("{agents}{link}")), why };
    (format!("[Quell] {subject}"), parts)
}

/// What is told of a record that is no job.
fn about(about: &About, time: String, page: String) -> (String, Parts) {
    let one = |text: &str| one_line(text, TITLE_CHARS_MAX);
    let mut facts: Vec<(String, String)> = about.rows.iter().map(|(label, value)| (one(label), one(value))).collect();
    facts.push(("Time".to_owned(), time));
    let parts = Parts { lead: one(&about.lead), facts, link: ("Open it", page), why: one(&about.why) };
    (format!("[Quell] {}", about.subject), parts)
}

fn moment(at: Timestamp) -> String {
    at.to_jiff().strftime("%-d %b %Y %H:%M:%S UTC").to_string()
}

/// `80 %`, rounded down: 100 % is said only when it is so.
fn share(facts: &Facts) -> String {
    format!("{} %", facts.reported * 100 / facts.assets.max(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts() -> Facts {
        Facts {
            job: "MJ0000001".to_owned(),
            title: "Stop <b>Print</b>\r\nBcc: eve@example.org".to_owned(),
            job_kind: "mitigation".to_owned(),
            run: 1,
            owner: "ada".to_owned(),
            percent: Some(80),
            assets: 5,
            reported: 4,
            succeeded: 3,
            failed: 1,
            skipped: 0,
            open: 1,
            at: Some(Timestamp::from_micros(1_795_348_800_000_000)),
            lines: Vec::new(),
            more: 0,
            silence: Silence::default(),
            about: About::default(),
        }
    }

    fn letter(kind: Kind, facts: &Facts) -> Letter {
        write(kind, facts, &"https://quell.example.org:8443/".parse().unwrap()).unwrap()
    }

    #[test]
    fn s1_14_s1_15_the_letters_say_what_happened_and_link_to_the_job() {
        let started = letter(Kind::Started, &facts());
        assert_eq!(started.subject, "[Quell] MJ0000001 has started: Stop <b>Print</b> Bcc: eve@example.org");
        let expected = "Mitigation job MJ0000001 has started.\n\nTitle: Stop <b>Print</b> Bcc: eve@example.org\n\
                        Owner: ada\nAssets: 5\nTime: 22 Nov 2026 12:00:00 UTC\n\n\
                        Open the job: https://quell.example.org:8443/jobs/MJ0000001\n\n-- \n\
                        Your address is among the recipients in this job's options.\n\
                        This mail was sent by a program; nobody reads answers to it.\n";
        assert_eq!(started.text, expected);
        assert!(!started.html.contains("<b>Print"), "{}", started.html);
        assert!(started.html.contains("href=\"https://quell.example.org:8443/jobs/MJ0000001\""), "{}", started.html);

        let reported = letter(Kind::Reported, &facts());
        assert!(reported.subject.starts_with("[Quell] MJ0000001 has completed on 80 % of assets: "));
        assert!(
            reported.text.contains("Assets: 4 of 5 have reported; mail was asked for at 80 %\n"),
            "{}",
            reported.text
        );
        assert!(reported.text.contains("Tasks: 3 succeeded, 1 failed, 0 skipped, 1 without a result yet\n"));
        let all = letter(Kind::Reported, &Facts { open: 0, reported: 5, job_kind: "rollback".to_owned(), ..facts() });
        assert!(
            all.text.starts_with("Rollback job MJ0000001 has completed: every task has a result.\n"),
            "{}",
            all.text
        );
    }

    #[test]
    fn what_follows_a_job_is_said_line_by_line_and_never_as_markup() {
        let line = "web-1: linux-sshd (LoginGraceTime is <b>30</b>)\r\nBcc: x".to_owned();
        let drifted = Facts { lines: vec![line], more: 3, ..facts() };
        let letter_of = |kind| letter(kind, &drifted);
        let drift = letter_of(Kind::Drifted);
        assert!(drift.subject.starts_with("[Quell] 4 mitigations of MJ0000001 drifted: "));
        assert!(
            drift.text.contains("Mitigation: web-1: linux-sshd (LoginGraceTime is <b>30</b>) Bcc: x\n"),
            "{}",
            drift.text
        );
        assert!(
            drift.text.contains("And: 3 more\n") && drift.text.contains("https://quell.example.org:8443/follow-up")
        );
        assert!(!drift.html.contains("<b>30"), "{}", drift.html);
        assert!(letter_of(Kind::Expired).text.contains("The time of 4 mitigations of MJ0000001 is over."));
        let review = letter(Kind::Review, &facts());
        assert_eq!(review.subject, "[Quell] MJ0000001 is to be reviewed: Stop <b>Print</b> Bcc: eve@example.org");
    }

    #[test]
    fn of_agents_that_are_not_heard_of_one_letter_names_them_and_says_what_follows() {
        let heard = Timestamp::from_micros(1_795_348_800_000_000);
        let host = |name: &str| (name.to_owned(), heard);
        let silence = Silence {
            missing: 3,
            missing_named: vec![host("web-1"), host("<b>x</b>\r\nBcc: eve@example.org")],
            days: 45,
            ..Silence::default()
        };
        let lost = letter(Kind::Agents, &Facts { silence: silence.clone(), at: Some(heard), ..Facts::default() });
        assert_eq!(lost.subject, "[Quell] Contact is lost with 3 agents");
        for said in [
            "nothing was heard for seven days.\n",
            "Contact lost: web-1, last heard 22 Nov 2026 12:00:00 UTC\n",
            "Contact lost: <b>x</b> Bcc: eve@example.org, last heard",
            "And: 1 more\n",
            "Who is not heard of for 45 days is retired",
            "Open Agents: https://quell.example.org:8443/agents?q=is%3Amissing\n",
            "You may take agents back on this server",
        ] {
            assert!(lost.text.contains(said), "{said}: {}", lost.text);
        }
        assert!(!lost.html.contains("<b>x"), "{}", lost.html);
        let held = Silence { held: Some("contact is lost with 3 of 4 agents".to_owned()), ..silence.clone() };
        let held = letter(Kind::Agents, &Facts { silence: held, ..Facts::default() }).text;
        assert!(
            held.contains("What follows: contact is lost with 3 of 4 agents.\n") && !held.contains("is retired"),
            "{held}"
        );
        let never = Silence { days: 0, ..silence.clone() };
        assert!(
            letter(Kind::Agents, &Facts { silence: never, ..Facts::default() })
                .text
                .contains("None is retired by itself")
        );
        let both = Silence { retired: 1, retired_named: vec![host("web-9")], ..silence };
        let both = letter(Kind::Agents, &Facts { silence: both.clone(), ..Facts::default() });
        assert_eq!(both.subject, "[Quell] Contact is lost with 3 agents, 1 agent was retired");
        assert!(both.text.contains("Retired: web-9, last heard"), "{}", both.text);
        let retired = Silence { retired: 2, retired_named: vec![host("a"), host("b")], days: 45, ..Silence::default() };
        let retired = letter(Kind::Agents, &Facts { silence: retired, ..Facts::default() });
        assert_eq!(retired.subject, "[Quell] 2 agents were retired");
        assert!(retired.text.contains("is refused until somebody takes it back"), "{}", retired.text);
    }

    #[test]
    fn the_longest_title_leaves_a_subject_of_one_line() {
        let long = letter(Kind::Started, &Facts { title: "long ".repeat(100), ..facts() });
        assert!(long.subject.chars().count() <= SUBJECT_CHARS_MAX + 1 && !long.subject.contains('\n'));
    }

    #[test]
    fn words_about_a_record_stay_words() {
        let about = About {
            subject: "VSCAN0000001 has\r\nBcc: eve@example.org ended".to_owned(),
            lead: "It looked.".to_owned(),
            rows: vec![("Closed".to_owned(), "1 of <b>2</b>".to_owned())],
            page: "/scans/VSCAN0000001".to_owned(),
            why: "You asked for it.".to_owned(),
        };
        for kind in [Kind::Scan, Kind::Import, Kind::Exception, Kind::Assigned, Kind::Overdue] {
            let scan = letter(kind, &Facts { about: about.clone(), ..Facts::default() });
            assert!(!scan.subject.contains(['\r', '\n']) && scan.subject.starts_with("[Quell] VSCAN0000001 has"));
            assert!(
                scan.text.contains("Closed: 1 of <b>2</b>") && scan.html.contains("1 of &#60;b&#62;2"),
                "{}",
                scan.html
            );
            assert!(scan.text.contains("https://quell.example.org:8443/scans/VSCAN0000001"), "{}", scan.text);
        }
    }

    #[test]
    fn a_test_says_what_it_is() {
        assert_eq!(
            letter(Kind::Test, &Facts { owner: "ada".to_owned(), ..Facts::default() }).subject,
            "[Quell] Test mail"
        );
    }
}

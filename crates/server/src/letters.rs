//! What stands in a mail: subject, text and HTML, from the facts that were frozen when it was caused.
//!
//! Titles are people's words: they become one line in the subject and are escaped in the HTML. The only link is to the
//! job's page, below the server's public address.

use askama::Template;
use domain::mail::{Facts, Kind, one_line};
use url::Url;

/// Characters of a subject.
const SUBJECT_CHARS_MAX: usize = 160;
/// Characters of a title inside a letter.
const TITLE_CHARS_MAX: usize = 300;

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
    facts: Vec<(&'static str, String)>,
    link: (&'static str, String),
    why: &'static str,
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
    let time = facts.at.map(|at| at.to_jiff().strftime("%-d %b %Y %H:%M:%S UTC").to_string()).unwrap_or_default();
    if kind == Kind::Test {
        let parts = Parts {
            lead: "This is a test. Mail from this Quell server arrives.".to_owned(),
            facts: vec![("Asked for by", facts.owner.clone()), ("Time", time)],
            link: ("Open Quell", page("/")),
            why: "Somebody who may change this server's settings sent it to your address to try it out.",
        };
        return ("[Quell] Test mail".to_owned(), parts);
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
        facts: rows,
        link: ("Open the job", page(&format!("/jobs/{}", facts.job))),
        why: "Your address is among the recipients in this job's options.",
    };
    (format!("[Quell] {subject}: {title}"), parts)
}

/// `80 %`, rounded down: 100 % is said only when it is so.
fn share(facts: &Facts) -> String {
    format!("{} %", facts.reported * 100 / facts.assets.max(1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::time::Timestamp;

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
    fn the_longest_title_leaves_a_subject_of_one_line() {
        let long = letter(Kind::Started, &Facts { title: "long ".repeat(100), ..facts() });
        assert!(long.subject.chars().count() <= SUBJECT_CHARS_MAX + 1 && !long.subject.contains('\n'));
        assert_eq!(
            letter(Kind::Test, &Facts { owner: "ada".to_owned(), ..Facts::default() }).subject,
            "[Quell] Test mail"
        );
    }
}

//! Hands mail to a mail server: STARTTLS or TLS, signing in, a few kept connections ([`session`]), a time-out for everything.
//!
//! One mail goes to one recipient in an envelope of its own, so that a refused address concerns nobody else. When to try
//! again is not decided here; what stands in a mail is `letters`.

mod session;

use self::session::{Protection, Sessions, Stage};
use crate::config::smtp::{Security, Smtp};
use crate::letters::Letter;
use domain::mail::Answer;
use domain::time::Timestamp;
use lettre::Address;
use lettre::address::Envelope;
use lettre::message::header::{HeaderName, HeaderValue};
use lettre::message::{Mailbox, Message, MultiPart, SinglePart};
use lettre::transport::smtp;
use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::{Certificate, TlsParameters};
use lettre::transport::smtp::extension::ClientId;
use std::path::PathBuf;
use std::sync::Mutex;
use std::time::{Duration, SystemTime};
use url::Url;
use uuid::Uuid;

/// Connections kept at most, and so mails under way at the same time.
pub const CONNECTIONS_MAX: u32 = 4;
/// How long one mail may take in all.
pub const SEND_TIME_MAX: Duration = Duration::from_secs(60);
/// Characters kept of what a mail server says.
const FAILURE_CHARS_MAX: usize = 500;

/// The mail server's settings cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum MailerError {
    /// The sender is no address.
    #[error("the sender of mail, `{0}`, is neither NAME@HOST nor Name <NAME@HOST>")]
    Sender(String),
    /// The certificate authority cannot be read.
    #[error("cannot read the mail server's certificate authority {}", path.display())]
    Authority {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// TLS cannot be set up.
    #[error("cannot set up TLS for the mail server {host}")]
    Tls {
        /// Which server.
        host: String,
        /// Why.
        source: smtp::Error,
    },
}

/// A mail that was not taken.
#[derive(Debug)]
pub struct Untaken {
    /// For the rules of `domain::mail`.
    pub answer: Answer,
    /// For people: one line.
    pub said: String,
}

/// Hands mail over.
pub struct Mailer {
    sessions: Sessions,
    from: Mailbox,
    /// Where and how, in words, without the password.
    pub described: String,
}

impl std::fmt::Debug for Mailer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Mailer({})", self.described)
    }
}

impl Mailer {
    /// A mailer for this mail server. It connects when there is something to send.
    ///
    /// # Errors
    /// [`MailerError`] for a sender that is none, or an authority that cannot be read.
    pub fn new(config: &Smtp, public_url: &Url) -> Result<Mailer, MailerError> {
        let from = sender(&config.from).ok_or_else(|| MailerError::Sender(config.from.clone()))?;
        let protection = match config.security {
            Security::StartTls => Protection::StartTls(tls(config)?),
            Security::Tls => Protection::Tls(tls(config)?),
            Security::None => Protection::None,
        };
        let credentials = config.credentials.as_ref();
        let sessions = Sessions {
            server: (config.host.clone(), config.port),
            protection,
            hello: hello(public_url),
            credentials: credentials.map(|(user, password)| Credentials::new(user.clone(), password.0.clone())),
            most: CONNECTIONS_MAX as usize,
            waiting: Mutex::new(Vec::new()),
        };
        let how = match config.security {
            Security::StartTls => "STARTTLS",
            Security::Tls => "TLS",
            Security::None => "not protected",
        };
        let described = format!("{} ({how}), from {}", config.address(), from.email);
        Ok(Mailer { sessions, from, described })
    }

    /// The Message-ID of the mail with this id: the same at every try, so that a recipient who gets it twice after a
    /// crash sees that it is the same.
    #[must_use]
    pub fn message_id(&self, mail: Uuid) -> String {
        format!("<{mail}.quell@{}>", self.from.email.domain())
    }

    /// Hand a mail over to one recipient.
    ///
    /// # Errors
    /// [`Untaken`], with what the mail server said.
    pub async fn send(&self, mail: Uuid, to: &str, letter: &Letter, at: Timestamp) -> Result<(), Untaken> {
        let (envelope, bytes) = self.message(mail, to, letter, at).map_err(|why| Untaken {
            answer: Answer::Unsendable,
            said: domain::mail::one_line(&why, FAILURE_CHARS_MAX),
        })?;
        match tokio::time::timeout(SEND_TIME_MAX, self.sessions.hand_over(&envelope, &bytes)).await {
            Ok(handed) => handed,
            Err(_) => {
                let said = format!("the mail server did not take it within {} s", SEND_TIME_MAX.as_secs());
                Err(Untaken { answer: Answer::Nothing, said })
            }
        }
    }

    /// Close connections that have waited for a mail for a while; nobody waits for the mail server's goodbye.
    pub fn close_idle(&self) {
        self.sessions.close_idle();
    }

    fn message(&self, mail: Uuid, to: &str, letter: &Letter, at: Timestamp) -> Result<(Envelope, Vec<u8>), String> {
        domain::mail::address(to).map_err(|why| format!("`{to}` is not a mail address: {why}"))?;
        let to: Address = to.parse().map_err(|error| format!("`{to}` is not a mail address: {error}"))?;
        let date = SystemTime::UNIX_EPOCH + Duration::from_micros(u64::try_from(at.micros()).unwrap_or(0));
        let parts = MultiPart::alternative().boundary(format!("quell-{}", mail.simple()));
        let parts =
            parts.singlepart(SinglePart::plain(letter.text.clone())).singlepart(SinglePart::html(letter.html.clone()));
        let marked =
            |name: &'static str, value: &str| HeaderValue::new(HeaderName::new_from_ascii_str(name), value.to_owned());
        let message = Message::builder()
            .from(self.from.clone())
            .to(Mailbox::new(None, to))
            .subject(letter.subject.clone())
            .date(date)
            .message_id(Some(self.message_id(mail)))
            // RFC 3834: no robot answers a robot.
            .raw_header(marked("Auto-Submitted", "auto-generated"))
            .raw_header(marked("X-Auto-Response-Suppress", "All"))
            .multipart(parts)
            .map_err(|error| format!("the mail cannot be written: {error}"))?;
        Ok((message.envelope().clone(), message.formatted()))
    }
}

/// `quell@example.org` or `Quell <quell@example.org>`.
fn sender(text: &str) -> Option<Mailbox> {
    let parsed: Mailbox = text.parse().ok()?;
    let name = parsed.name.as_deref().map(|name| domain::mail::one_line(name, 100));
    domain::mail::address(parsed.email.as_ref()).ok()?;
    Some(Mailbox::new(name, parsed.email))
}

fn tls(config: &Smtp) -> Result<TlsParameters, MailerError> {
    let failed = |source| MailerError::Tls { host: config.host.clone(), source };
    let mut builder = TlsParameters::builder(config.host.clone());
    if let Some(path) = &config.ca {
        let pem = std::fs::read(path).map_err(|source| MailerError::Authority { path: path.clone(), source })?;
        builder = builder.add_root_certificate(Certificate::from_pem(&pem).map_err(failed)?);
    }
    builder.build_rustls().map_err(failed)
}

/// How the server names itself to the mail server: by its public name.
fn hello(public_url: &Url) -> ClientId {
    match public_url.host() {
        Some(url::Host::Ipv4(ip)) => ClientId::Ipv4(ip),
        Some(url::Host::Ipv6(ip)) => ClientId::Ipv6(ip),
        Some(url::Host::Domain(name)) => ClientId::Domain(name.to_owned()),
        None => ClientId::Domain("localhost".to_owned()),
    }
}

/// What was not taken, and of what it was said.
fn untaken(error: &smtp::Error, stage: Stage) -> Untaken {
    let said = crate::http::error::causes(error);
    let (answer, said) = match (error.status().map(u16::from), stage) {
        (None, _) => (Answer::Nothing, said),
        (Some(code), Stage::Relay) => (Answer::Relay(code), format!("{}{said}", domain::mail::RELAY_REFUSES)),
        (Some(code), Stage::Mail) => (Answer::Code(code), said),
    };
    Untaken { answer, said: domain::mail::one_line(&said, FAILURE_CHARS_MAX) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mailer(from: &str) -> Result<Mailer, MailerError> {
        let config = Smtp {
            host: "localhost".to_owned(),
            port: 25,
            security: Security::None,
            credentials: None,
            from: from.to_owned(),
            ca: None,
        };
        Mailer::new(&config, &"https://quell.example.org".parse().unwrap())
    }

    #[tokio::test]
    async fn a_message_has_one_recipient_and_no_header_but_ours() {
        let mailer = mailer("Quell <quell@example.org>").unwrap();
        let letter = Letter {
            subject: "Käse\r\nBcc: eve@example.org".to_owned(),
            text: "Hello\r\n.\r\nQUIT\r\n".to_owned(),
            html: "<p>Hello</p>".to_owned(),
        };
        let id = Uuid::from_u128(7);
        let at = Timestamp::from_micros(1_795_348_800_000_000);
        let (envelope, bytes) = mailer.message(id, "ann@example.org", &letter, at).unwrap();
        assert_eq!(envelope.to().iter().map(ToString::to_string).collect::<Vec<_>>(), ["ann@example.org"]);
        assert_eq!(mailer.message(id, "ann@example.org", &letter, at).unwrap().1, bytes, "the same at every try");
        let text = String::from_utf8(bytes).unwrap();
        let (head, _) = text.split_once("\r\n\r\n").unwrap();
        let names: Vec<&str> = head
            .lines()
            .filter(|line| !line.starts_with([' ', '\t']))
            .filter_map(|line| line.split(':').next())
            .collect();
        assert!(!names.iter().any(|name| name.eq_ignore_ascii_case("bcc")), "{head}");
        assert!(head.contains("Message-ID: <00000000-0000-0000-0000-000000000007.quell@example.org>"), "{head}");
        assert!(head.contains("Auto-Submitted: auto-generated") && head.contains("Date: Sun, 22 Nov 2026"), "{head}");
        for bad in ["", "nobody", "a@b\r\nRCPT TO:<eve@example.org>", "a@b, c@d"] {
            assert!(mailer.message(id, bad, &letter, at).is_err(), "{bad:?}");
        }
    }

    #[tokio::test]
    async fn a_sender_is_one_address() {
        assert!(mailer("quell@example.org").is_ok());
        for bad in ["", "nobody", "a@b, c@d", "a@b\r\nBcc: c@d"] {
            assert!(mailer(bad).is_err(), "{bad:?}");
        }
    }
}

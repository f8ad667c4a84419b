//! Connections to the mail server: opened, protected, signed in, kept for the next mail and used command by command, because
//! what a refusal means depends on what was refused. `lettre` speaks SMTP and TLS; its own pool tells no such thing.

use super::untaken;
use crate::connect::smtp::Untaken;
use lettre::address::Envelope;
use lettre::transport::smtp;
use lettre::transport::smtp::authentication::{Credentials, Mechanism};
use lettre::transport::smtp::client::{AsyncSmtpConnection, TlsParameters};
use lettre::transport::smtp::commands::{Data, Mail, Rcpt};
use lettre::transport::smtp::extension::ClientId;
use std::sync::Mutex;
use std::time::{Duration, Instant};

/// How long a connection may take to be there.
const CONNECT_TIME_MAX: Duration = Duration::from_secs(30);
/// How long the mail server may take over what is no mail: whether a kept connection still serves, and its end. `lettre` waits
/// for every answer without a limit.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(5);
/// How long a connection is kept without use.
const IDLE_TIME_MAX: Duration = Duration::from_secs(60);
/// Ways of signing in.
const MECHANISMS: [Mechanism; 2] = [Mechanism::Plain, Mechanism::Login];

/// How a connection is protected.
#[derive(Clone)]
pub enum Protection {
    /// Not at all.
    None,
    /// By STARTTLS, or it is not used.
    StartTls(TlsParameters),
    /// By TLS from its first byte.
    Tls(TlsParameters),
}

/// What the mail server was asked when it refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Whether it serves us at all: greeting, TLS, signing in, the sender. The same for every mail.
    Relay,
    /// Whether it takes this mail for this recipient.
    Mail,
}

/// A mail server and the connections to it that wait for their next mail.
pub struct Sessions {
    /// Host and port.
    pub server: (String, u16),
    /// How connections are protected.
    pub protection: Protection,
    /// How we name ourselves.
    pub hello: ClientId,
    /// Who signs in.
    pub credentials: Option<Credentials>,
    /// Connections kept at most.
    pub most: usize,
    /// Connections that wait, the one used last at the end.
    pub waiting: Mutex<Vec<(AsyncSmtpConnection, Instant)>>,
}

impl Sessions {
    /// Hand one mail over, by a connection that waits or a new one, and keep that connection.
    ///
    /// # Errors
    /// [`Untaken`]: what was said, and whether it was said of us or of this mail.
    pub async fn hand_over(&self, envelope: &Envelope, bytes: &[u8]) -> Result<(), Untaken> {
        while let Some(mut waiting) = self.take() {
            // The other side closes what waits too long, or takes only so many mails by one connection: that is no fault.
            let serves = async { waiting.test_connected().await && offer(&mut waiting, envelope).await.is_ok() };
            match tokio::time::timeout(ANSWER_TIME_MAX, serves).await {
                Ok(true) => return self.deliver(waiting, envelope, bytes).await,
                Ok(false) => close(waiting),
                // It would not answer QUIT either.
                Err(_) => drop(waiting),
            }
        }
        let of_relay = |error| untaken(&error, Stage::Relay);
        let mut new = self.connect().await.map_err(of_relay)?;
        if let Err(error) = offer(&mut new, envelope).await {
            close(new);
            return Err(of_relay(error));
        }
        self.deliver(new, envelope, bytes).await
    }

    /// The rest of a mail whose sender was taken.
    async fn deliver(
        &self,
        mut connection: AsyncSmtpConnection,
        envelope: &Envelope,
        bytes: &[u8],
    ) -> Result<(), Untaken> {
        match recipients_and_text(&mut connection, envelope, bytes).await {
            Ok(()) => {
                self.keep(connection);
                Ok(())
            }
            Err(error) => {
                close(connection);
                Err(untaken(&error, Stage::Mail))
            }
        }
    }

    async fn connect(&self) -> Result<AsyncSmtpConnection, smtp::Error> {
        let (host, port) = (self.server.0.as_str(), self.server.1);
        let wrapped = match &self.protection {
            Protection::Tls(tls) => Some(tls.clone()),
            Protection::None | Protection::StartTls(_) => None,
        };
        let limit = Some(CONNECT_TIME_MAX);
        let mut new = AsyncSmtpConnection::connect_tokio1((host, port), limit, &self.hello, wrapped, None).await?;
        if let Protection::StartTls(tls) = &self.protection {
            new.starttls(tls.clone(), &self.hello).await?;
        }
        if let Some(credentials) = &self.credentials {
            new.auth(&MECHANISMS, credentials).await?;
        }
        Ok(new)
    }

    fn take(&self) -> Option<AsyncSmtpConnection> {
        self.waiting.lock().ok()?.pop().map(|(connection, _)| connection)
    }

    fn keep(&self, connection: AsyncSmtpConnection) {
        let Ok(mut waiting) = self.waiting.lock() else { return };
        if waiting.len() < self.most && !connection.has_broken() {
            waiting.push((connection, Instant::now()));
        }
    }

    /// Close what has waited too long for its next mail.
    pub fn close_idle(&self) {
        let idle: Vec<_> = match self.waiting.lock() {
            Ok(mut waiting) => {
                let fresh = waiting.partition_point(|(_, since)| since.elapsed() > IDLE_TIME_MAX);
                waiting.drain(..fresh).collect()
            }
            Err(_) => return,
        };
        for (connection, _) in idle {
            close(connection);
        }
    }
}

/// Say goodbye beside the mail: nobody waits for the answer to QUIT, which may never come.
fn close(mut connection: AsyncSmtpConnection) {
    tokio::spawn(async move {
        // What has not answered in time ends with the socket.
        let _ = tokio::time::timeout(ANSWER_TIME_MAX, connection.abort()).await;
    });
}

/// Offer a mail by its sender. Letters are written in ASCII, so that no extension is asked for.
async fn offer(connection: &mut AsyncSmtpConnection, envelope: &Envelope) -> Result<(), smtp::Error> {
    connection.command(Mail::new(envelope.from().cloned(), Vec::new())).await.map(|_| ())
}

async fn recipients_and_text(
    connection: &mut AsyncSmtpConnection,
    envelope: &Envelope,
    bytes: &[u8],
) -> Result<(), smtp::Error> {
    for to in envelope.to() {
        connection.command(Rcpt::new(to.clone(), Vec::new())).await?;
    }
    connection.command(Data).await?;
    connection.message(bytes).await.map(|_| ())
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::mail::Answer;
    use std::io::{BufRead as _, BufReader, Write as _};
    use std::net::{TcpListener, TcpStream};
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    /// A mail server, and how many connections it took.
    struct Server {
        port: u16,
        taken: Arc<AtomicUsize>,
    }

    /// A mail server that refuses recipients named `refused...` and never answers these commands on its first so many connections.
    fn never_answering(commands: &'static [&'static str], connections: usize) -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let (port, taken) = (listener.local_addr().unwrap().port(), Arc::new(AtomicUsize::new(0)));
        let counted = taken.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let silent = if counted.fetch_add(1, Ordering::SeqCst) < connections { commands } else { &[] };
                std::thread::spawn(move || serve(&stream, silent));
            }
        });
        Server { port, taken }
    }

    fn serve(stream: &TcpStream, silent: &[&str]) -> Option<()> {
        let say = |text: &str| (&*stream).write_all(format!("{text}\r\n").as_bytes()).ok();
        say("220 here")?;
        let mut text = false;
        for line in BufReader::new(stream).lines() {
            let line = line.ok()?;
            match line.as_str() {
                "." if text => {
                    text = false;
                    say("250 taken")?;
                }
                _ if text => {}
                line if silent.iter().any(|command| line.starts_with(command)) => {}
                "DATA" => {
                    text = true;
                    say("354 go on")?;
                }
                line if line.contains("<refused") => say("550 5.1.1 no such mailbox here")?,
                _ => say("250 OK")?,
            }
        }
        None
    }

    fn sessions(server: &Server) -> Sessions {
        Sessions {
            server: ("127.0.0.1".to_owned(), server.port),
            protection: Protection::None,
            hello: ClientId::Domain("quell.example.org".to_owned()),
            credentials: None,
            most: 4,
            waiting: Mutex::new(Vec::new()),
        }
    }

    async fn hand_over(sessions: &Sessions, to: &str) -> Result<(), Untaken> {
        let (from, to) = ("quell@example.org".parse().unwrap(), to.parse().unwrap());
        let envelope = Envelope::new(Some(from), vec![to]).unwrap();
        let done = sessions.hand_over(&envelope, b"Subject: s\r\n\r\ntext");
        tokio::time::timeout(ANSWER_TIME_MAX * 4, done).await.expect("an answer that never comes keeps nobody waiting")
    }

    fn kept(sessions: &Sessions) -> usize {
        sessions.waiting.lock().unwrap().len()
    }

    #[tokio::test]
    async fn a_kept_connection_that_went_silent_costs_no_mail() {
        for silent in [&["NOOP"] as &[&str], &["NOOP", "QUIT"]] {
            let server = never_answering(silent, 1);
            let sessions = sessions(&server);
            hand_over(&sessions, "ann@example.org").await.unwrap();
            assert_eq!(kept(&sessions), 1);
            hand_over(&sessions, "bob@example.org").await.unwrap();
            assert_eq!((server.taken.load(Ordering::SeqCst), kept(&sessions)), (2, 1), "by a new connection");
            hand_over(&sessions, "cid@example.org").await.unwrap();
            assert_eq!(server.taken.load(Ordering::SeqCst), 2, "which is kept and used again");
        }
    }

    #[tokio::test]
    async fn a_refusal_stands_though_the_goodbye_is_not_answered() {
        let server = never_answering(&["QUIT"], usize::MAX);
        let began = Instant::now();
        let refused = hand_over(&sessions(&server), "refused@example.org").await.unwrap_err();
        assert_eq!(refused.answer, Answer::Code(550), "{}", refused.said);
        assert!(began.elapsed() < ANSWER_TIME_MAX, "nobody waits for QUIT: {:?}", began.elapsed());
    }

    #[tokio::test]
    async fn closing_what_is_idle_waits_for_nobody() {
        let server = never_answering(&["QUIT"], usize::MAX);
        let sessions = sessions(&server);
        hand_over(&sessions, "ann@example.org").await.unwrap();
        sessions.close_idle();
        assert_eq!(kept(&sessions), 1, "it has not waited long enough");
        let long_ago = Instant::now().checked_sub(IDLE_TIME_MAX * 2).expect("this machine has run for two minutes");
        for (_, since) in sessions.waiting.lock().unwrap().iter_mut() {
            *since = long_ago;
        }
        sessions.close_idle();
        assert_eq!(kept(&sessions), 0);
        hand_over(&sessions, "bob@example.org").await.unwrap();
        assert_eq!(server.taken.load(Ordering::SeqCst), 2);
    }
}

//! A real mail server in a process of its own: aiosmtpd from the Python package index, as an outside judge of what the
//! product says in SMTP. See `mailbox.py` for what it refuses.

#![allow(clippy::indexing_slicing, clippy::allow_attributes, reason = "JSON gives null for what is not there")]

use serde_json::Value;
use server::config::smtp::{Password, Security, Smtp};
use std::io::BufRead as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// The packages it needs, pinned.
const PACKAGES: [&str; 3] = ["aiosmtpd==1.4.6", "atpublic==9.0.0", "attrs==26.1.0"];
/// Who may sign in to it.
pub const USER: &str = "quell";
/// With this password.
pub const PASSWORD: &str = "a password of mail";

/// The running mail server; it ends with the value.
pub struct Mailbox {
    process: Child,
    folder: tempfile::TempDir,
    ports: Value,
}

impl Drop for Mailbox {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// A mail it has taken.
#[derive(Clone, Debug)]
pub struct Taken {
    /// Envelope recipients.
    pub to: Vec<String>,
    /// Envelope sender.
    pub from: String,
    /// Which of its ports: `starttls`, `tls`, `plain`.
    pub port: String,
    /// Whether the connection was protected.
    pub tls: bool,
    /// Who had signed in.
    pub user: String,
    /// From which address and port: the same for mails by one connection.
    pub peer: String,
    /// The message, headers and body, as it came.
    pub data: String,
}

impl Taken {
    /// A header's value, unfolded; empty where there is none.
    pub fn header(&self, name: &str) -> String {
        let head = self.data.split_once("\r\n\r\n").map_or(self.data.as_str(), |(head, _)| head);
        let unfolded = head.replace("\r\n ", " ").replace("\r\n\t", " ");
        let found = unfolded.lines().find_map(|line| {
            let (key, value) = line.split_once(':')?;
            key.eq_ignore_ascii_case(name).then(|| value.trim().to_owned())
        });
        found.unwrap_or_default()
    }
}

impl Mailbox {
    /// Start it; `None`, said loudly, where Python or the package index is not at hand.
    pub fn start() -> Option<Mailbox> {
        match Mailbox::try_start() {
            Ok(mailbox) => Some(mailbox),
            Err(reason) => {
                skip::skipped("mail", &format!("python3 with pip could not give aiosmtpd: {reason}"));
                None
            }
        }
    }

    fn try_start() -> Result<Mailbox, String> {
        let packages = packages()?;
        let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
        certificate(folder.path());
        let script = folder.path().join("mailbox.py");
        std::fs::write(&script, include_str!("mailbox.py")).map_err(|error| error.to_string())?;
        // The library warns of itself; what it says is kept beside the mail.
        let log = std::fs::File::create(folder.path().join("log")).map_err(|error| error.to_string())?;
        let mut process = Command::new("python3")
            .arg(&script)
            .arg(folder.path())
            .env("PYTHONPATH", packages)
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
            .map_err(|error| error.to_string())?;
        let mut line = String::new();
        let out = process.stdout.take().expect("its output is a pipe");
        std::io::BufReader::new(out).read_line(&mut line).map_err(|error| error.to_string())?;
        let ports = serde_json::from_str(&line).map_err(|error| format!("it said {line:?}: {error}"))?;
        Ok(Mailbox { process, folder, ports })
    }

    /// How to reach it, signed in where it asks for that.
    pub fn smtp(&self, security: Security) -> Smtp {
        let protected = security != Security::None;
        let name = if security == Security::None { "plain" } else { security.as_str() };
        Smtp {
            host: "localhost".to_owned(),
            port: self.port(name),
            security,
            credentials: protected.then(|| (USER.to_owned(), Password(PASSWORD.to_owned()))),
            from: "Quell <quell@quell.example.org>".to_owned(),
            ca: protected.then(|| self.authority()),
        }
    }

    /// One of its ports.
    pub fn port(&self, name: &str) -> u16 {
        u16::try_from(self.ports[name].as_u64().expect("it said its ports")).expect("a port")
    }

    /// The certificate authority it is certified by.
    pub fn authority(&self) -> PathBuf {
        self.folder.path().join("ca.pem")
    }

    /// From now on, take mail for recipients named `later...`.
    pub fn accept(&self) {
        std::fs::write(self.folder.path().join("accept"), "").expect("the folder can be written");
    }

    /// From now on, take mail of no sender, or of every one again.
    pub fn refuse_sender(&self, refuse: bool) {
        let mark = self.folder.path().join("refuse-sender");
        let done = if refuse { std::fs::write(mark, "") } else { std::fs::remove_file(mark) };
        done.expect("the folder can be written");
    }

    /// From now on, answer no QUIT.
    pub fn hold_quit(&self) {
        std::fs::write(self.folder.path().join("hold-quit"), "").expect("the folder can be written");
    }

    /// Stop the process where it stands, or let it go on: its connections stay open, and nothing is answered by them.
    pub fn freeze(&self, frozen: bool) {
        let signal = if frozen { "-STOP" } else { "-CONT" };
        let sent = Command::new("kill").arg(signal).arg(self.process.id().to_string()).status();
        assert!(sent.is_ok_and(|status| status.success()), "the mail server could not be sent {signal}");
    }

    /// What it has taken, oldest first.
    pub fn taken(&self) -> Vec<Taken> {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let lines = self.lines("mail.jsonl");
        let taken = lines.iter().map(|mail| Taken {
            to: mail["to"].as_array().into_iter().flatten().map(text).collect(),
            from: text(&mail["from"]),
            port: text(&mail["port"]),
            tls: mail["tls"] == true,
            user: text(&mail["user"]),
            peer: text(&mail["peer"]),
            data: text(&mail["data"]),
        });
        taken.collect()
    }

    /// The recipients that were asked for, refused or not, in order.
    pub fn asked(&self) -> Vec<String> {
        self.lines("asked.jsonl").iter().map(|line| line["to"].as_str().unwrap_or_default().to_owned()).collect()
    }

    fn lines(&self, name: &str) -> Vec<Value> {
        let text = std::fs::read_to_string(self.folder.path().join(name)).unwrap_or_default();
        text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
    }

    /// Wait until it has taken this many mails.
    pub async fn until(&self, count: usize) -> Vec<Taken> {
        for _ in 0..600 {
            let taken = self.taken();
            if taken.len() >= count {
                return taken;
            }
            tokio::time::sleep(Duration::from_millis(25)).await;
        }
        panic!("not {count} mails: {:?}", self.taken());
    }
}

/// A folder with the packages, filled once and kept beside the build for the next run.
fn packages() -> Result<PathBuf, String> {
    let build = std::env::current_exe().map_err(|error| error.to_string())?;
    let build = build.parent().and_then(Path::parent).ok_or("the test lies nowhere")?.to_owned();
    let kept = build.join(format!("python-{}", PACKAGES.join("-").replace("==", "-")));
    if kept.is_dir() {
        return Ok(kept);
    }
    let run = |command: &mut Command| {
        let output = command.output().map_err(|error| format!("{command:?}: {error}"))?;
        if output.status.success() { Ok(()) } else { Err(String::from_utf8_lossy(&output.stderr).into_owned()) }
    };
    let made = tempfile::tempdir_in(&build).map_err(|error| error.to_string())?;
    let (environment, target) = (made.path().join("venv"), made.path().join("packages"));
    run(Command::new("python3").args(["-m", "venv"]).arg(&environment))?;
    let mut install = Command::new(environment.join("bin/python"));
    install.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--target"]).arg(&target);
    run(install.args(PACKAGES))?;
    match std::fs::rename(&target, &kept) {
        // Another test was faster.
        Err(_) if kept.is_dir() => Ok(kept),
        Err(error) => Err(error.to_string()),
        Ok(()) => Ok(kept),
    }
}

/// An authority and a certificate for `localhost` by it.
fn certificate(folder: &Path) {
    let write = |name: &str, text: String| std::fs::write(folder.join(name), text).expect("the folder can be written");
    let authority_key = rcgen::KeyPair::generate().expect("a key can be made");
    let mut authority = rcgen::CertificateParams::new(Vec::new()).expect("no names are fine");
    authority.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    write("ca.pem", authority.self_signed(&authority_key).expect("it signs itself").pem());
    let issuer = rcgen::Issuer::new(authority, authority_key);
    let key = rcgen::KeyPair::generate().expect("a key can be made");
    let leaf = rcgen::CertificateParams::new(vec!["localhost".to_owned()]).expect("localhost is a name");
    write("certificate.pem", leaf.signed_by(&key, &issuer).expect("it is signed").pem());
    write("key.pem", key.serialize_pem());
}

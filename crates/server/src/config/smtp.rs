//! Where mail is handed over, and how: the part of the configuration about the outgoing mail server.
//!
//! The password comes from a file or from the environment, never from an argument that every process may read, is kept
//! in memory only and never shown.

use super::ConfigError;
use serde::Deserialize;
use std::net::IpAddr;
use std::path::PathBuf;

/// The environment variable of the password; a file wins over it.
pub const PASSWORD_VARIABLE: &str = "QUELL_SMTP_PASSWORD";

/// How the connection to the mail server is protected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Security {
    /// Plain at first, TLS before anything is said; refused where the server does not offer it.
    StartTls,
    /// TLS from the first byte.
    Tls,
    /// Readable and changeable by whoever is between; on loopback, or where it was explicitly allowed.
    None,
}

impl Security {
    /// Its word in the configuration.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Security::StartTls => "starttls",
            Security::Tls => "tls",
            Security::None => "none",
        }
    }

    /// The port where nobody says.
    #[must_use]
    pub fn port(self) -> u16 {
        match self {
            Security::StartTls => 587,
            Security::Tls => 465,
            Security::None => 25,
        }
    }
}

impl std::str::FromStr for Security {
    type Err = String;
    fn from_str(text: &str) -> Result<Security, String> {
        [Security::StartTls, Security::Tls, Security::None]
            .into_iter()
            .find(|security| security.as_str() == text)
            .ok_or_else(|| "it is starttls, tls or none".to_owned())
    }
}

/// A password that does not show itself.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Password(pub String);

impl std::fmt::Debug for Password {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Password(..)")
    }
}

/// One layer of it: the table `[smtp]` of the file, or the flags.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SmtpLayer {
    /// Name or address of the mail server; without it no mail is sent.
    pub host: Option<String>,
    /// Its port.
    pub port: Option<u16>,
    /// How the connection is protected; `starttls` where nobody says.
    pub security: Option<Security>,
    /// Who signs in to it; nobody where absent.
    pub user: Option<String>,
    /// File with the password.
    pub password_file: Option<PathBuf>,
    /// The password itself, from the environment only.
    #[serde(skip)]
    pub password: Option<Password>,
    /// The sender: `quell@example.org` or `Quell <quell@example.org>`.
    pub from: Option<String>,
    /// Certificate authority in PEM that the mail server may be certified by, besides those of the system.
    pub ca: Option<PathBuf>,
    /// Allow `security = "none"` to another machine, without a password.
    pub unprotected: Option<bool>,
}

/// The mail server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Smtp {
    /// Name or address.
    pub host: String,
    /// Port.
    pub port: u16,
    /// How the connection is protected.
    pub security: Security,
    /// Who signs in, and with what.
    pub credentials: Option<(String, Password)>,
    /// The sender.
    pub from: String,
    /// A further certificate authority.
    pub ca: Option<PathBuf>,
}

impl Smtp {
    /// `smtp.example.org:587`.
    #[must_use]
    pub fn address(&self) -> String {
        format!("{}:{}", self.host, self.port)
    }
}

impl SmtpLayer {
    /// This layer over `below`: what is given here wins.
    #[must_use]
    pub fn over(self, below: SmtpLayer) -> SmtpLayer {
        SmtpLayer {
            host: self.host.or(below.host),
            port: self.port.or(below.port),
            security: self.security.or(below.security),
            user: self.user.or(below.user),
            password_file: self.password_file.or(below.password_file),
            password: self.password.or(below.password),
            from: self.from.or(below.from),
            ca: self.ca.or(below.ca),
            unprotected: self.unprotected.or(below.unprotected),
        }
    }

    /// The mail server these layers amount to; `None` where none is named.
    ///
    /// # Errors
    /// [`ConfigError`] for what is missing or contradictory.
    pub fn resolve(self) -> Result<Option<Smtp>, ConfigError> {
        let rest = self.port.is_some() || self.user.is_some() || self.password_file.is_some() || self.from.is_some();
        let Some(host) = self.host.filter(|host| !host.is_empty()) else {
            return if rest { Err(ConfigError::MailWithoutHost) } else { Ok(None) };
        };
        let from = self.from.filter(|from| !from.is_empty()).ok_or(ConfigError::MailWithoutSender)?;
        let security = self.security.unwrap_or(Security::StartTls);
        let (near, allowed) = (loopback(&host), self.unprotected.unwrap_or(false));
        if security == Security::None && !near && (!allowed || self.user.is_some()) {
            return Err(ConfigError::UnprotectedMail(host));
        }
        let password = match (self.password_file, self.password) {
            (Some(path), _) => Some(read_password(path)?),
            (None, given) => given,
        };
        let credentials = match (self.user, password) {
            (Some(user), Some(password)) => Some((user, password)),
            (Some(_), None) => return Err(ConfigError::MailWithoutPassword),
            (None, _) => None,
        };
        let port = self.port.unwrap_or(security.port());
        Ok(Some(Smtp { host, port, security, credentials, from, ca: self.ca }))
    }
}

/// The first line of the file: editors end it with a line feed that is no part of the password.
fn read_password(path: PathBuf) -> Result<Password, ConfigError> {
    match std::fs::read_to_string(&path) {
        Ok(text) => Ok(Password(text.lines().next().unwrap_or_default().to_owned())),
        Err(source) => Err(ConfigError::Unreadable { path, source }),
    }
}

fn loopback(host: &str) -> bool {
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resolve(toml: &str) -> Result<Option<Smtp>, String> {
        toml::from_str::<SmtpLayer>(toml).unwrap().resolve().map_err(|error| error.to_string())
    }

    #[test]
    fn ports_and_protection_have_safe_defaults() {
        let smtp = resolve("host='mail.example.org'\nfrom='q@example.org'").unwrap().unwrap();
        assert_eq!((smtp.port, smtp.security, smtp.credentials.is_none()), (587, Security::StartTls, true));
        let smtp = resolve("host='m'\nfrom='q@e'\nsecurity='tls'").unwrap().unwrap();
        assert_eq!(smtp.address(), "m:465");
        assert_eq!(resolve("").unwrap(), None);
        for near in ["localhost", "127.0.0.1", "::1"] {
            assert!(resolve(&format!("host='{near}'\nfrom='q@e'\nsecurity='none'")).is_ok(), "{near}");
        }
    }

    #[test]
    fn contradictions_are_refused() {
        assert!(resolve("from='q@e'").unwrap_err().contains("no mail server"));
        assert!(resolve("host='m'").unwrap_err().contains("sender"));
        assert!(resolve("host='m'\nfrom='q@e'\nuser='u'").unwrap_err().contains("password"));
        assert!(resolve("host='m'\nfrom='q@e'\nsecurity='none'").unwrap_err().contains("protected"));
        assert!(resolve("host='m'\nfrom='q@e'\nsecurity='none'\nunprotected=true").is_ok());
        let signed_in = SmtpLayer {
            password: Some(Password("p".to_owned())),
            ..toml::from_str("host='m'\nfrom='q@e'\nsecurity='none'\nunprotected=true\nuser='u'").unwrap()
        };
        assert!(signed_in.resolve().unwrap_err().to_string().contains("protected"), "never a password in the open");
        assert!(toml::from_str::<SmtpLayer>("password='p'").is_err(), "a password is not written into the file");
    }

    #[test]
    fn the_password_comes_from_a_file_and_is_never_printed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("password");
        std::fs::write(&path, "hunter two\n").unwrap();
        let text = format!("host='m'\nfrom='q@e'\nuser='u'\npassword_file='{}'", path.display());
        let smtp = resolve(&text).unwrap().unwrap();
        assert_eq!(smtp.credentials, Some(("u".to_owned(), Password("hunter two".to_owned()))));
        assert!(!format!("{smtp:?}").contains("hunter"));
        std::fs::remove_file(&path).unwrap();
        assert!(resolve(&text).unwrap_err().contains("password"));
    }
}

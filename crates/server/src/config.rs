//! The few values needed before a database can be opened.
//!
//! They come from flags, then environment variables, then one TOML file whose unknown keys are refused; everything else
//! is a setting in the database. This module merges and checks layers; reading arguments is the binary's work.

pub mod smtp;

use serde::Deserialize;
use smtp::{Smtp, SmtpLayer};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use url::Url;

/// One layer of configuration: every value may be absent. The TOML file has exactly these keys.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Layer {
    /// Folder of the database, the keys and the certificate authority.
    pub data_dir: Option<PathBuf>,
    /// URL of a PostgreSQL database; without it SQLite in the data folder.
    pub database: Option<String>,
    /// Address of the people's listener: pages and API.
    pub listen: Option<SocketAddr>,
    /// Address of the agents' listener.
    pub agent_listen: Option<SocketAddr>,
    /// How people reach the pages: scheme, host and port.
    pub public_url: Option<Url>,
    /// How agents reach their listener: scheme, host and port.
    pub agent_url: Option<Url>,
    /// Certificate chain in PEM, instead of one of the server's own authority.
    pub tls_certificate: Option<PathBuf>,
    /// The private key of that certificate in PEM.
    pub tls_key: Option<PathBuf>,
    /// Further host names and addresses for the server's own certificate.
    pub tls_names: Option<Vec<String>>,
    /// Serve people without TLS; accepted on a loopback address only.
    pub plain_http: Option<bool>,
    /// Proxies whose `X-Forwarded-For` is believed.
    pub trusted_proxies: Option<Vec<IpAddr>>,
    /// What is logged, in the words of `tracing`: `info`, `server=debug`.
    pub log: Option<String>,
    /// The mail server that mail is handed to.
    pub smtp: Option<SmtpLayer>,
}

/// What the server runs with.
#[derive(Clone, Debug)]
pub struct Config {
    /// Folder of the database, the keys and the certificate authority.
    pub data_dir: PathBuf,
    /// Where records are kept.
    pub storage: Storage,
    /// The people's listener; port 0 takes a free one.
    pub listen: SocketAddr,
    /// The agents' listener; port 0 takes a free one.
    pub agent_listen: SocketAddr,
    /// How people reach the pages, when it is not the listener's own address.
    pub public_url: Option<Url>,
    /// How agents reach their listener, when it is not the listener's own address.
    pub agent_url: Option<Url>,
    /// How connections are protected.
    pub tls: Tls,
    /// Whether people are served without TLS.
    pub people: People,
    /// Proxies whose `X-Forwarded-For` is believed.
    pub trusted_proxies: Vec<IpAddr>,
    /// What is logged.
    pub log: String,
    /// The mail server; without one no mail is sent.
    pub smtp: Option<Smtp>,
}

/// Where records are kept.
#[derive(Clone, PartialEq, Eq)]
pub enum Storage {
    /// A file of this path.
    Sqlite(PathBuf),
    /// A server at this URL, which may hold a password and is never printed.
    Postgres(String),
}

impl std::fmt::Debug for Storage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Storage::Sqlite(path) => write!(f, "Sqlite({})", path.display()),
            Storage::Postgres(_) => f.write_str("Postgres(..)"),
        }
    }
}

/// How connections are protected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Tls {
    /// A certificate by the server's own authority, made at the first start, with these names besides the obvious.
    Own {
        /// Further host names and addresses.
        names: Vec<String>,
    },
    /// A certificate made elsewhere.
    Given {
        /// The chain in PEM.
        certificate: PathBuf,
        /// The key in PEM.
        key: PathBuf,
    },
}

/// How people are served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum People {
    /// Over TLS.
    Tls,
    /// Readable by whoever can listen; only on loopback.
    PlainHttpOnLoopback,
}

/// What is wrong with the configuration.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read the configuration file {}", path.display())]
    Unreadable {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The file is not TOML or has an unknown key.
    #[error("the configuration file {} is not valid", path.display())]
    Invalid {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: Box<toml::de::Error>,
    },
    /// No data folder was named.
    #[error("no data folder is named: give --data-dir, QUELL_DATA_DIR or data_dir in the configuration file")]
    NoDataDir,
    /// The database URL names no engine known here.
    #[error("the database URL has to start with postgres:// or postgresql://; without one SQLite is used")]
    UnknownDatabase,
    /// One of certificate and key is missing.
    #[error("tls_certificate and tls_key belong together: one of them is missing")]
    HalfCertificate,
    /// Plain HTTP on a public address.
    #[error("plain HTTP is accepted on a loopback address only, and {0} is none")]
    PlainHttpInPublic(SocketAddr),
    /// Something about mail is said, but not to whom it is handed.
    #[error("no mail server is named: give --smtp-host, or leave the other smtp values out")]
    MailWithoutHost,
    /// A mail server without a sender.
    #[error("mail needs a sender: give --smtp-from")]
    MailWithoutSender,
    /// A user without a password.
    #[error("the user of the mail server needs a password: give --smtp-password-file or QUELL_SMTP_PASSWORD")]
    MailWithoutPassword,
    /// Mail over an open line.
    #[error(
        "mail to {0} would not be protected: use starttls or tls; without a user, smtp_unprotected allows it all the same"
    )]
    UnprotectedMail(String),
    /// A public address without scheme or host.
    #[error("{0} has to be an http or https address with a host and without a path")]
    PublicUrl(Url),
}

impl Layer {
    /// Read the TOML file at `path`.
    ///
    /// # Errors
    /// [`ConfigError::Unreadable`] and [`ConfigError::Invalid`], the latter also for unknown keys.
    pub fn read(path: &Path) -> Result<Layer, ConfigError> {
        let text = std::fs::read_to_string(path)
            .map_err(|source| ConfigError::Unreadable { path: path.to_owned(), source })?;
        toml::from_str(&text).map_err(|source| ConfigError::Invalid { path: path.to_owned(), source: Box::new(source) })
    }

    /// This layer, with `below` for what it leaves open.
    #[must_use]
    pub fn over(self, below: Layer) -> Layer {
        Layer {
            data_dir: self.data_dir.or(below.data_dir),
            database: self.database.or(below.database),
            listen: self.listen.or(below.listen),
            agent_listen: self.agent_listen.or(below.agent_listen),
            public_url: self.public_url.or(below.public_url),
            agent_url: self.agent_url.or(below.agent_url),
            tls_certificate: self.tls_certificate.or(below.tls_certificate),
            tls_key: self.tls_key.or(below.tls_key),
            tls_names: self.tls_names.or(below.tls_names),
            plain_http: self.plain_http.or(below.plain_http),
            trusted_proxies: self.trusted_proxies.or(below.trusted_proxies),
            log: self.log.or(below.log),
            smtp: Some(self.smtp.unwrap_or_default().over(below.smtp.unwrap_or_default())),
        }
    }

    /// The configuration these layers amount to, checked.
    ///
    /// # Errors
    /// [`ConfigError`] for what is missing or contradictory.
    pub fn resolve(self) -> Result<Config, ConfigError> {
        let data_dir = self.data_dir.ok_or(ConfigError::NoDataDir)?;
        let storage = match self.database {
            None => Storage::Sqlite(data_dir.join("quell.db")),
            Some(url) if url.starts_with("postgres://") || url.starts_with("postgresql://") => Storage::Postgres(url),
            Some(_) => return Err(ConfigError::UnknownDatabase),
        };
        let tls = match (self.tls_certificate, self.tls_key) {
            (Some(certificate), Some(key)) => Tls::Given { certificate, key },
            (None, None) => Tls::Own { names: self.tls_names.unwrap_or_default() },
            _ => return Err(ConfigError::HalfCertificate),
        };
        let listen = self.listen.unwrap_or(SocketAddr::from((Ipv4Addr::UNSPECIFIED, 8443)));
        let people = match self.plain_http.unwrap_or(false) {
            false => People::Tls,
            true if listen.ip().is_loopback() => People::PlainHttpOnLoopback,
            true => return Err(ConfigError::PlainHttpInPublic(listen)),
        };
        for url in self.public_url.iter().chain(&self.agent_url) {
            if !matches!(url.scheme(), "http" | "https") || url.host().is_none() || url.path() != "/" {
                return Err(ConfigError::PublicUrl(url.clone()));
            }
        }
        Ok(Config {
            data_dir,
            storage,
            listen,
            agent_listen: self.agent_listen.unwrap_or(SocketAddr::from((Ipv4Addr::UNSPECIFIED, 8444))),
            public_url: self.public_url,
            agent_url: self.agent_url,
            tls,
            people,
            trusted_proxies: self.trusted_proxies.unwrap_or_default(),
            log: self.log.unwrap_or_else(|| "info".to_owned()),
            smtp: self.smtp.unwrap_or_default().resolve()?,
        })
    }
}

impl Config {
    /// A configuration on free loopback ports with SQLite in `data_dir`: people by plain HTTP, agents by TLS. For the
    /// demo and tests.
    pub fn loopback(data_dir: impl Into<PathBuf>) -> Config {
        let free = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let data_dir = data_dir.into();
        Config {
            storage: Storage::Sqlite(data_dir.join("quell.db")),
            data_dir,
            listen: free,
            agent_listen: free,
            public_url: None,
            agent_url: None,
            tls: Tls::Own { names: Vec::new() },
            people: People::PlainHttpOnLoopback,
            trusted_proxies: Vec::new(),
            log: "info".to_owned(),
            smtp: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layer(toml: &str) -> Layer {
        toml::from_str(toml).unwrap()
    }

    #[test]
    fn the_upper_layer_wins_and_defaults_fill_the_rest() {
        let config = layer("listen = '127.0.0.1:1'")
            .over(layer("listen = '127.0.0.1:2'\nagent_listen = '127.0.0.1:3'\ndata_dir = '/d'"))
            .resolve()
            .unwrap();
        assert_eq!((config.listen.port(), config.agent_listen.port()), (1, 3));
        assert_eq!(config.storage, Storage::Sqlite("/d/quell.db".into()));
        assert_eq!(config.people, People::Tls);
    }

    #[test]
    fn contradictions_are_refused() {
        let refuse = |toml: &str| layer(toml).resolve().unwrap_err().to_string();
        assert!(refuse("").contains("no data folder"));
        assert!(refuse("data_dir='/d'\ndatabase='mysql://h/d'").contains("postgres://"));
        assert!(refuse("data_dir='/d'\ntls_key='/k'").contains("belong together"));
        assert!(refuse("data_dir='/d'\nplain_http=true").contains("loopback"));
        assert!(refuse("data_dir='/d'\npublic_url='https://h/path'").contains("without a path"));
        assert!(toml::from_str::<Layer>("data_dirr='/d'").unwrap_err().to_string().contains("unknown field"));
    }

    #[test]
    fn a_database_url_is_never_printed() {
        let config = layer("data_dir='/d'\ndatabase='postgres://u:secret@h/d'").resolve().unwrap();
        assert!(!format!("{config:?}").contains("secret"));
    }
}

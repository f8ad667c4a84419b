//! `quell serve`: run the server until it is told to stop.

use crate::failure::Failure;
use crate::output::{line, note};
use server::config::Layer;
use server::config::smtp::{PASSWORD_VARIABLE, Password, Security, SmtpLayer};
use server::{Clock, Server, telemetry};
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use tokio::signal::unix::{SignalKind, signal};
use url::Url;

/// The few values needed before a database can be opened. Flags win over the environment, which wins over the file.
#[derive(Debug, Default, clap::Args)]
#[group(id = "serve_arguments")]
pub struct Arguments {
    /// TOML file with any of the values below, dashes written as underscores
    #[arg(long, env = "QUELL_SERVE_CONFIG", value_name = "FILE")]
    file: Option<PathBuf>,
    /// Folder of the database, the keys and the certificate authority
    #[arg(long, env = "QUELL_DATA_DIR", value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// URL of a PostgreSQL database [default: SQLite in the data folder]
    #[arg(long, env = "QUELL_DATABASE", hide_env_values = true, value_name = "URL")]
    database: Option<String>,
    /// Address for people and their programs [default: 0.0.0.0:8443]
    #[arg(long, env = "QUELL_LISTEN", value_name = "IP:PORT")]
    listen: Option<SocketAddr>,
    /// Address for agents [default: 0.0.0.0:8444]
    #[arg(long, env = "QUELL_AGENT_LISTEN", value_name = "IP:PORT")]
    agent_listen: Option<SocketAddr>,
    /// How people reach the server, when it is not this host's name
    #[arg(long, env = "QUELL_PUBLIC_URL", value_name = "URL")]
    public_url: Option<Url>,
    /// How agents reach the server, when it is not this host's name
    #[arg(long, env = "QUELL_AGENT_URL", value_name = "URL")]
    agent_url: Option<Url>,
    /// Certificate chain in PEM [default: one by the server's own authority]
    #[arg(long, env = "QUELL_TLS_CERTIFICATE", value_name = "FILE", requires = "tls_key")]
    tls_certificate: Option<PathBuf>,
    /// The certificate's private key in PEM
    #[arg(long, env = "QUELL_TLS_KEY", value_name = "FILE")]
    tls_key: Option<PathBuf>,
    /// Further host names and addresses for the server's own certificate
    #[arg(long, env = "QUELL_TLS_NAMES", value_name = "NAME", value_delimiter = ',')]
    tls_name: Vec<String>,
    /// Serve people without TLS; on a loopback address only
    #[arg(long, env = "QUELL_PLAIN_HTTP")]
    plain_http: bool,
    /// Proxies whose X-Forwarded-For is believed
    #[arg(long, env = "QUELL_TRUSTED_PROXIES", value_name = "IP", value_delimiter = ',')]
    trusted_proxy: Vec<IpAddr>,
    /// What is logged: info, server=debug [default: info]
    #[arg(long, env = "QUELL_LOG", value_name = "FILTER")]
    log: Option<String>,
    #[command(flatten)]
    smtp: SmtpArguments,
    /// Let the environment make the server die at a named point; for tests only
    #[arg(long, hide = true)]
    allow_failpoints: bool,
}

/// The mail server that mail is handed to; in the file a table `[smtp]` with these names, `host`, `port` and so on. The
/// password comes from a file or from QUELL_SMTP_PASSWORD, never from an argument.
#[derive(Debug, Default, clap::Args)]
#[group(id = "smtp_arguments")]
struct SmtpArguments {
    /// Name of the mail server; without one no mail is sent
    #[arg(long, env = "QUELL_SMTP_HOST", value_name = "HOST")]
    smtp_host: Option<String>,
    /// Its port [default: 587 for starttls, 465 for tls, 25 for none]
    #[arg(long, env = "QUELL_SMTP_PORT", value_name = "PORT")]
    smtp_port: Option<u16>,
    /// How the connection is protected: starttls, tls, or none (on loopback) [default: starttls]
    #[arg(long, env = "QUELL_SMTP_SECURITY", value_name = "HOW")]
    smtp_security: Option<Security>,
    /// Who signs in to it; the password is in a file or in QUELL_SMTP_PASSWORD
    #[arg(long, env = "QUELL_SMTP_USER", value_name = "NAME")]
    smtp_user: Option<String>,
    /// File with the password in its first line
    #[arg(long, env = "QUELL_SMTP_PASSWORD_FILE", value_name = "FILE")]
    smtp_password_file: Option<PathBuf>,
    /// The sender: quell@example.org, or 'Quell <quell@example.org>'
    #[arg(long, env = "QUELL_SMTP_FROM", value_name = "ADDRESS")]
    smtp_from: Option<String>,
    /// Certificate authority in PEM of the mail server, besides those of the system
    #[arg(long, env = "QUELL_SMTP_CA", value_name = "FILE")]
    smtp_ca: Option<PathBuf>,
    /// Allow `none` to another machine, without a user
    #[arg(long, env = "QUELL_SMTP_UNPROTECTED")]
    smtp_unprotected: bool,
}

impl SmtpArguments {
    fn layer(self) -> SmtpLayer {
        SmtpLayer {
            host: self.smtp_host,
            port: self.smtp_port,
            security: self.smtp_security,
            user: self.smtp_user,
            password_file: self.smtp_password_file,
            password: std::env::var(PASSWORD_VARIABLE).ok().filter(|text| !text.is_empty()).map(Password),
            from: self.smtp_from,
            ca: self.smtp_ca,
            unprotected: self.smtp_unprotected.then_some(true),
        }
    }
}

impl Arguments {
    /// The configuration of these arguments over that of the file.
    ///
    /// # Errors
    /// Where the file cannot be read or a value contradicts another.
    pub fn resolve(self) -> Result<server::Config, Failure> {
        let file = self.file.clone();
        let given = Layer {
            data_dir: self.data_dir,
            database: self.database,
            listen: self.listen,
            agent_listen: self.agent_listen,
            public_url: self.public_url,
            agent_url: self.agent_url,
            tls_certificate: self.tls_certificate,
            tls_key: self.tls_key,
            tls_names: (!self.tls_name.is_empty()).then_some(self.tls_name),
            plain_http: self.plain_http.then_some(true),
            trusted_proxies: (!self.trusted_proxy.is_empty()).then_some(self.trusted_proxy),
            log: self.log,
            smtp: Some(self.smtp.layer()),
        };
        let below =
            file.map(|path| Layer::read(&path)).transpose().map_err(|error| Failure::Failed(Box::new(error)))?;
        given.over(below.unwrap_or_default()).resolve().map_err(|error| Failure::Failed(Box::new(error)))
    }
}

/// Run the server until SIGINT or SIGTERM.
///
/// # Errors
/// Where it cannot start.
pub async fn run(arguments: Arguments) -> Result<(), Failure> {
    let mut clock = Clock::System;
    if arguments.allow_failpoints {
        server::failpoint::allow().map_err(Failure::Said)?;
        clock = server::failpoint::clock().map_err(Failure::Said)?;
    }
    let config = arguments.resolve()?;
    telemetry::start(&config.log).map_err(Failure::Said)?;
    let mut terminate =
        signal(SignalKind::terminate()).map_err(|error| Failure::internal("cannot wait for signals", error))?;
    let server = Server::start_with(config, clock).await.map_err(|error| Failure::Failed(Box::new(error)))?;
    let site = server.app.site.clone();
    line(&format!("people:          {}", site.public_url))?;
    line(&format!("agents:          {}", site.agent_url))?;
    line(&format!("CA fingerprint:  {}", site.ca_fingerprint))?;
    if let Some(first) = &server.first_account {
        line("")?;
        line("There was no account, so one was made. The password works once and is shown only here:")?;
        line(&format!("  name:      {}", first.name))?;
        line(&format!("  password:  {}", first.password))?;
    }
    tokio::select! {
        _ = tokio::signal::ctrl_c() => {}
        _ = terminate.recv() => {}
    }
    note("stopping");
    server.shutdown().await;
    Ok(())
}

//! From a configuration to a server that answers, and back. Used by `quell serve`, the demo and tests alike.

use crate::app::{App, Site};
use crate::clock::Clock;
use crate::config::{Config, People, Storage, Tls};
use crate::connect::smtp::{Mailer, MailerError};
use crate::engine::agents::Presence;
use crate::engine::crowd::Crowd;
use crate::http::idempotency::InFlight;
use crate::http::listener::{self, Bound, Serving, Spoken};
use crate::http::tls::{self, Authority, TlsError};
use crate::http::{limits, router};
use crate::keys::{KeyError, Keys};
use crate::passwords::{self, Passwords};
use crate::platforms::Platforms;
use crate::wake::Wake;
use axum_server::tls_rustls::RustlsConfig;
use domain::access::{AssetScope, Role};
use domain::account::SessionLimits;
use domain::time::Timestamp;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use store::Database;
use store::accounts::{self, NewAccount};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use url::Url;

/// The name of the first SuperUser.
pub const FIRST_NAME: &str = "admin";

/// Why the server did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The data folder cannot be made.
    #[error("cannot make the data folder {}", path.display())]
    DataDir {
        /// Which folder.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A key cannot be used.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// TLS cannot be set up.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The mail server's settings cannot be used.
    #[error(transparent)]
    Mail(#[from] MailerError),
    /// The database cannot be used.
    #[error("cannot use the database")]
    Database(#[from] store::Error),
    /// The first account cannot be made.
    #[error("cannot make the first account: {0}")]
    FirstAccount(String),
    /// An address cannot be taken.
    #[error("cannot listen on {address}")]
    Listen {
        /// Which address.
        address: SocketAddr,
        /// Why.
        source: io::Error,
    },
}

/// A server that answers. Dropping it leaves its tasks to the runtime; [`Server::shutdown`] ends them in order.
#[derive(Debug)]
pub struct Server {
    /// The parts every handler works with.
    pub app: App,
    /// The people's address in use.
    pub address: SocketAddr,
    /// The agents' address in use.
    pub agent_address: SocketAddr,
    /// The account made because there was none, with its one-time password: to be shown to whoever started the server.
    pub first_account: Option<FirstAccount>,
    listeners: Vec<Serving>,
    tasks: JoinSet<()>,
}

/// The first SuperUser. The password is stored nowhere and has to be replaced at the first sign-in.
#[derive(Clone)]
pub struct FirstAccount {
    /// Sign-in name.
    pub name: String,
    /// One-time password.
    pub password: String,
}

impl std::fmt::Debug for FirstAccount {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "FirstAccount({})", self.name)
    }
}

impl Server {
    /// Start with the machine's clock.
    ///
    /// # Errors
    /// [`StartError`], naming what could not be set up.
    pub async fn start(config: Config) -> Result<Server, StartError> {
        Server::start_with(config, Clock::System).await
    }

    /// Start with a clock of the caller's.
    ///
    /// # Errors
    /// [`StartError`], naming what could not be set up.
    pub async fn start_with(config: Config, clock: Clock) -> Result<Server, StartError> {
        std::fs::create_dir_all(&config.data_dir)
            .map_err(|source| StartError::DataDir { path: config.data_dir.clone(), source })?;
        let keys = Keys::load_or_create(&config.data_dir)?;
        let authority = Authority::load_or_create(&config.data_dir)?;
        let database = open(&config.storage).await?;
        let passwords = Passwords::default();
        let first_account = first_account(&database, &passwords, clock.now()).await?;
        let people = bind(config.listen)?;
        let agents = bind(config.agent_listen)?;
        let site = site(&config, &authority, &people, &agents);
        let certificates = Certificates::new(&config, authority, &site)?;
        let mailer = config.smtp.as_ref().map(|smtp| Mailer::new(smtp, &site.public_url)).transpose()?.map(Arc::new);
        let app = parts(config, clock, database, keys, passwords, mailer, site);
        let (address, agent_address) = (people.address, agents.address);
        let people_tls = (app.config.people == People::Tls).then(|| certificates.people.clone());
        let serve = |bound: Bound, routes, spoken| {
            let address = bound.address;
            bound.serve(routes, spoken).map_err(|source| StartError::Listen { address, source })
        };
        let listeners = vec![
            serve(people, router::people(&app), Spoken::People(people_tls))?,
            serve(agents, router::agents(&app), Spoken::Agents(certificates.agents.clone()))?,
        ];
        let mut tasks = JoinSet::new();
        tasks.spawn(certificates.renew(app.stopping.clone()));
        crate::engine::start(&app, &mut tasks);
        tracing::info!(%address, %agent_address, "serving people on {address} and agents on {agent_address}");
        Ok(Server { app, address, agent_address, first_account, listeners, tasks })
    }

    /// Stop: no new connections, loops end, requests under way get [`limits::GRACE_TIME_MAX`].
    pub async fn shutdown(mut self) {
        self.app.stopping.cancel();
        for listener in self.listeners.drain(..) {
            listener.stop().await;
        }
        let ended =
            tokio::time::timeout(limits::GRACE_TIME_MAX, async { while self.tasks.join_next().await.is_some() {} });
        if ended.await.is_err() {
            tracing::warn!("some engine tasks did not end in time and were stopped");
            self.tasks.shutdown().await;
        }
    }
}

/// The parts of a server that neither listens nor loops: whoever has them passes the requests to its routers and turns its
/// loops by hand, as the simulation does.
///
/// # Errors
/// [`StartError`], naming what could not be set up.
pub async fn without_listeners(config: Config, clock: Clock) -> Result<App, StartError> {
    let keys = Keys::load_or_create(&config.data_dir)?;
    let authority = Authority::load_or_create(&config.data_dir)?;
    let database = open(&config.storage).await?;
    let url = || "https://127.0.0.1:1".parse().expect("scheme, host and port make a URL");
    let site = Site {
        public_url: config.public_url.clone().unwrap_or_else(url),
        agent_url: config.agent_url.clone().unwrap_or_else(url),
        ca_fingerprint: authority.fingerprint(),
        ca_pem: authority.pem().to_owned(),
        secure: config.people == People::Tls,
    };
    Ok(parts(config, clock, database, keys, Passwords::default(), None, site))
}

fn parts(
    config: Config,
    clock: Clock,
    database: Database,
    keys: Keys,
    passwords: Passwords,
    mailer: Option<Arc<Mailer>>,
    site: Site,
) -> App {
    App {
        database,
        clock,
        config: Arc::new(config),
        keys,
        passwords,
        session_limits: SessionLimits::default(),
        in_flight: InFlight::default(),
        presence: Presence::default(),
        platforms: Platforms::default(),
        crowd: Crowd::default(),
        mailer,
        wake: Wake::default(),
        site: Arc::new(site),
        stopping: CancellationToken::new(),
    }
}

/// Open the database and bring it up to this program.
pub(crate) async fn open(storage: &Storage) -> Result<Database, store::Error> {
    let storage = storage.clone();
    let opened = tokio::task::spawn_blocking(move || {
        let database = match &storage {
            Storage::Sqlite(path) => Database::sqlite(path)?,
            Storage::Postgres(url) => Database::postgres(url)?,
        };
        store::migrate::run(&database)?;
        Ok(database)
    });
    opened.await.unwrap_or_else(|error| Err(store::Error::failed("could not open the database", error)))
}

/// Make the first SuperUser where there is no account at all. Two replicas that start together make one: the name is
/// unique, and the slower one finds it taken.
async fn first_account(
    database: &Database,
    passwords: &Passwords,
    now: Timestamp,
) -> Result<Option<FirstAccount>, StartError> {
    if database.read(accounts::any).await? {
        return Ok(None);
    }
    let password = passwords::one_time();
    let hash = passwords.hash(password.clone()).await;
    let new = NewAccount {
        name: FIRST_NAME.to_owned(),
        full_name: "First SuperUser".to_owned(),
        email: String::new(),
        password_hash: hash.map_err(|error| StartError::FirstAccount(error.to_problem().detail))?,
        password_temporary: true,
        roles: [Role::SuperUser].into(),
        scope: AssetScope::All,
    };
    match database.write(move |tx| accounts::create(tx, "engine/start", &new, now)).await {
        Ok(_) => Ok(Some(FirstAccount { name: FIRST_NAME.to_owned(), password })),
        Err(store::Error::Conflict(_)) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

fn bind(address: SocketAddr) -> Result<Bound, StartError> {
    listener::bind(address).map_err(|source| StartError::Listen { address, source })
}

fn site(config: &Config, authority: &Authority, people: &Bound, agents: &Bound) -> Site {
    let secure = config.people == People::Tls;
    let url = |given: &Option<Url>, scheme: &str, address: SocketAddr| {
        given.clone().unwrap_or_else(|| {
            let host = if address.ip().is_unspecified() { host_name() } else { url_host(address.ip()) };
            let text = format!("{scheme}://{host}:{}", address.port());
            text.parse().expect("scheme, host and port make a URL")
        })
    };
    Site {
        public_url: url(&config.public_url, if secure { "https" } else { "http" }, people.address),
        agent_url: url(&config.agent_url, "https", agents.address),
        ca_fingerprint: authority.fingerprint(),
        ca_pem: authority.pem().to_owned(),
        secure,
    }
}

fn url_host(ip: IpAddr) -> String {
    match ip {
        IpAddr::V4(ip) => ip.to_string(),
        IpAddr::V6(ip) => format!("[{ip}]"),
    }
}

/// The machine's own name, or `localhost` where it has none that fits into a URL.
fn host_name() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let name = name.trim().to_ascii_lowercase();
    let fits = !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.'));
    if fits { name } else { "localhost".to_owned() }
}

/// The certificate in use, and where the next one comes from.
struct Certificates {
    tls: Tls,
    authority: Authority,
    names: Vec<String>,
    people: RustlsConfig,
    agents: RustlsConfig,
}

impl Certificates {
    fn new(config: &Config, authority: Authority, site: &Site) -> Result<Certificates, TlsError> {
        let mut names = vec!["localhost".to_owned(), "127.0.0.1".to_owned(), "::1".to_owned(), host_name()];
        names.extend([&site.public_url, &site.agent_url].iter().filter_map(|url| match url.host()? {
            url::Host::Domain(name) => Some(name.to_owned()),
            url::Host::Ipv4(ip) => Some(ip.to_string()),
            url::Host::Ipv6(ip) => Some(ip.to_string()),
        }));
        if let Tls::Own { names: more } = &config.tls {
            names.extend(more.iter().cloned());
        }
        names.sort();
        names.dedup();
        let first = current(&config.tls, &authority, &names)?;
        let agents = RustlsConfig::from_config(tls::for_agents(&first));
        Ok(Certificates { tls: config.tls.clone(), authority, names, people: RustlsConfig::from_config(first), agents })
    }

    /// Replace the certificate now and then: our own long before it ends, a given one because its files may be new.
    async fn renew(self, stopping: CancellationToken) {
        let every = match self.tls {
            Tls::Own { .. } => tls::RENEW_SECONDS,
            Tls::Given { .. } => 3_600,
        };
        loop {
            tokio::select! {
                () = stopping.cancelled() => return,
                () = Clock::System.sleep(every) => {}
            }
            match current(&self.tls, &self.authority, &self.names) {
                Ok(config) => {
                    self.agents.reload_from_config(tls::for_agents(&config));
                    self.people.reload_from_config(config);
                }
                Err(error) => tracing::error!("the TLS certificate was not renewed, the old one stays: {error}"),
            }
        }
    }
}

fn current(tls: &Tls, authority: &Authority, names: &[String]) -> Result<Arc<rustls::ServerConfig>, TlsError> {
    match tls {
        Tls::Own { .. } => authority.server_config(names),
        Tls::Given { certificate, key } => tls::given(certificate, key),
    }
}

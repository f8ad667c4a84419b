//! What every handler and engine task works with.

use crate::clock::Clock;
use crate::config::Config;
use crate::connect::smtp::Mailer;
use crate::engine::agents::Presence;
use crate::engine::crowd::Crowd;
use crate::http::idempotency::InFlight;
use crate::keys::Keys;
use crate::passwords::Passwords;
use crate::platforms::Platforms;
use crate::wake::Wake;
use domain::account::SessionLimits;
use std::sync::Arc;
use store::Database;
use tokio_util::sync::CancellationToken;
use url::Url;

/// The running server's parts; cloning copies handles.
#[derive(Clone, Debug)]
pub struct App {
    /// What is remembered.
    pub database: Database,
    /// The time.
    pub clock: Clock,
    /// What the server was started with.
    pub config: Arc<Config>,
    /// Signing keys.
    pub keys: Keys,
    /// Hashes and checks passwords.
    pub passwords: Passwords,
    /// How long people stay signed in.
    pub session_limits: SessionLimits,
    /// Requests with an idempotency key that are being worked on.
    pub in_flight: InFlight,
    /// When agents were last heard, not yet written.
    pub presence: Presence,
    /// Connections to scanners' platforms.
    pub platforms: Platforms,
    /// Where the requests of many agents come together.
    pub crowd: Crowd,
    /// Hands mail over, where a mail server is configured.
    pub mailer: Option<Arc<Mailer>>,
    /// In-process wake-ups.
    pub wake: Wake,
    /// Addresses and trust, known once the listeners are bound.
    pub site: Arc<Site>,
    /// Cancelled when the server is asked to stop: loops and long polls end soon after.
    pub stopping: CancellationToken,
}

/// Where this server is reached and how it proves itself.
#[derive(Clone, Debug)]
pub struct Site {
    /// The people's address: scheme, host, port.
    pub public_url: Url,
    /// The agents' address.
    pub agent_url: Url,
    /// SHA-256 of the certificate authority's DER, in hex; agents pin it.
    pub ca_fingerprint: String,
    /// The authority's certificate in PEM.
    pub ca_pem: String,
    /// Whether cookies may demand TLS.
    pub secure: bool,
}

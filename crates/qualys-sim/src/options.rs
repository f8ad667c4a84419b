//! How a simulator is started, and the switches for behaviour that differs between real subscriptions.

use crate::clock::ClockMode;
use std::net::SocketAddr;
use std::path::PathBuf;

/// Call limits per end point (spec section 2.4).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Calls allowed per window; 0 switches the rate limit off (headers stay).
    pub rate: u32,
    /// Length of the window in seconds.
    pub window_seconds: u32,
    /// Parallel calls allowed; the knowledge base always allows one less than that, but at least one.
    pub concurrency: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self { rate: 300, window_seconds: 3_600, concurrency: 2 }
    }
}

/// Behaviour that real subscriptions differ in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Switches {
    /// Session cookies carry `secure`. Off by default, because a client does not send such a cookie back over plain http.
    pub secure_cookie: bool,
    /// `details=None` answers ranges where ids follow one another closely.
    pub id_ranges: bool,
    /// Scans carry a CLIENT element, as on consultant subscriptions.
    pub client_element: bool,
    /// Scans carry ID and SCAN_TYPE, which one popular client does not survive.
    pub scan_ids: bool,
    /// Detections carry UNIQUE_VULN_ID, as newer subscriptions do.
    pub unique_vuln_id: bool,
    /// Next-page addresses name this base instead of the address that was called.
    pub returned_base: Option<String>,
    /// The concurrency refusal carries no rate headers at all.
    pub bare_concurrency_refusal: bool,
    /// Bearer tokens are accepted on the API server.
    pub bearer_on_api: bool,
    /// API versions that answer 404, as retired ones.
    pub retired_versions: Vec<u8>,
    /// Comments around the root element say that this is an evaluation version.
    pub evaluation: bool,
    /// The external scanners reach private addresses. Real ones do not; the demo has no appliance to explain.
    pub external_reaches_private: bool,
    /// Knowledge base entries carry CVSS blocks.
    pub cvss: bool,
    /// The networks feature: hosts, groups and appliances name their network, and some hosts are in a second one.
    pub networks: bool,
    /// Bodies are compressed for clients that ask for gzip. Off by default, so that benchmarks measure the client.
    pub gzip: bool,
    /// Scan control in the wrong state answers 400 with 1905 instead of 409 with 1920; which one is real is not known.
    pub wrong_state_is_bad_value: bool,
    /// Answers under `/qps/` carry the protection headers, as those recorded in 2020 do and those of 2022 do not.
    pub portal_protection: bool,
    /// The front end closes a connection where the client asks for it. That of 2020 said `Keep-Alive` all the same.
    pub obeys_close: bool,
    /// JSON scan results arrive labelled as HTML, as some platforms do.
    pub results_labelled_html: bool,
    /// Hosts on a page at most, whatever a call asks for; 0 for as many as it asks for. For tests that need many pages.
    pub page_hosts: u64,
}

impl Default for Switches {
    fn default() -> Self {
        Self {
            secure_cookie: false,
            id_ranges: false,
            client_element: false,
            scan_ids: false,
            unique_vuln_id: true,
            returned_base: None,
            bare_concurrency_refusal: false,
            bearer_on_api: false,
            retired_versions: Vec::new(),
            evaluation: true,
            external_reaches_private: true,
            cvss: true,
            networks: true,
            gzip: false,
            wrong_state_is_bad_value: false,
            portal_protection: false,
            obeys_close: true,
            results_labelled_html: false,
            page_hosts: 0,
        }
    }
}

/// What the account may do, as the service answers a login (spec section 2.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Account {
    /// In order.
    #[default]
    Active,
    /// 403 with 2002.
    Inactive,
    /// 409 with 2003, permanent.
    Unregistered,
    /// 403 with 2012.
    Unlicensed,
    /// **200** with 2001.
    Expired,
}

/// How a simulator is started.
#[derive(Debug, Clone)]
pub struct Options {
    /// Where it listens; port 0 takes a free one.
    pub listen: SocketAddr,
    /// Seed of the data set.
    pub seed: u64,
    /// Number of hosts.
    pub hosts: u32,
    /// How many of them, from the first on, are Debian-family servers with a scanner agent that can have a root folder.
    pub demo_hosts: u32,
    /// Ordinary findings of a host outside the demo set; the knowledge base grows with it.
    pub detections_per_host: u32,
    /// Ordinary findings of a demo host, beside its demo weaknesses.
    pub detections_per_demo_host: u32,
    /// Login name.
    pub username: String,
    /// Password.
    pub password: String,
    /// State of the account.
    pub account: Account,
    /// Where the time comes from.
    pub clock: ClockMode,
    /// How many times faster than real ones scans run.
    pub scan_speed: f64,
    /// A folder with one root folder per host, named by short name, full name, host id or agent UUID.
    pub truth: Option<PathBuf>,
    /// Call limits.
    pub limits: Limits,
    /// Subscription differences.
    pub switches: Switches,
    /// Whether the control end points under `/sim/` answer.
    pub control: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            seed: 1,
            hosts: 12,
            demo_hosts: 3,
            detections_per_host: 12,
            detections_per_demo_host: 6,
            username: "quays3am1".to_owned(),
            password: "sim-password".to_owned(),
            account: Account::Active,
            clock: ClockMode::System,
            scan_speed: 1.0,
            truth: None,
            limits: Limits::default(),
            switches: Switches::default(),
            control: true,
        }
    }
}

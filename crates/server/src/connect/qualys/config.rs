//! One subscription: where it is, who we are there, which versions it speaks, how patient we are.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;
use url::Url;

/// What a client is made from.
#[derive(Clone, Debug)]
pub struct Config {
    /// The API server, `https://qualysapi.<pod>`. Requests go here and nowhere else, whatever an answer says.
    pub api_url: Url,
    /// The gateway, needed for [`Auth::Jwt`] only.
    pub gateway_url: Option<Url>,
    /// Account name.
    pub username: String,
    /// Its password.
    pub password: Secret,
    /// How the account is proven.
    pub auth: Auth,
    /// Version per end point.
    pub versions: Versions,
    /// Hosts or entries per page (`truncation_limit`).
    pub page_size: u32,
    /// Most pages of one pull; a platform that never ends is an error.
    pub pages_max: u32,
    /// Most parallel calls of an end point that takes several; lowered to what the platform reports.
    pub calls_max: usize,
    /// How long to wait for a connection.
    pub connect_timeout: Duration,
    /// How long to wait for the next bytes of an answer; the platform sends comments while it works.
    pub read_timeout: Duration,
    /// How often a transient failure is tried again.
    pub retries_max: u32,
    /// The longest total wait for one call because of limits; a longer one is returned as an error with the time.
    pub limit_wait_max: Duration,
    /// Most bytes of one answer.
    pub answer_bytes_max: u64,
    /// Where answers larger than 1 MiB are put aside; the system's folder for temporary files when absent.
    pub spool_folder: Option<PathBuf>,
    /// Further certificate authorities in PEM (an inspecting proxy's, a simulator's).
    pub extra_roots_pem: Vec<String>,
    /// How we introduce ourselves.
    pub user_agent: String,
}

impl Config {
    /// A subscription with the product's usual patience.
    pub fn new(api_url: Url, username: impl Into<String>, password: impl Into<String>) -> Config {
        Config {
            api_url,
            gateway_url: None,
            username: username.into(),
            password: Secret::new(password),
            auth: Auth::Basic,
            versions: Versions::default(),
            page_size: 1000,
            pages_max: 100_000,
            calls_max: 2,
            connect_timeout: Duration::from_secs(30),
            read_timeout: Duration::from_secs(300),
            retries_max: 5,
            limit_wait_max: Duration::from_secs(2 * 3600),
            answer_bytes_max: 8 << 30,
            spool_folder: None,
            extra_roots_pem: Vec::new(),
            user_agent: concat!("quell/", env!("CARGO_PKG_VERSION")).to_owned(),
        }
    }
}

/// How an account is proven.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Auth {
    /// Name and password on each call; works everywhere.
    Basic,
    /// A session cookie; not counted by the platform's rate limits.
    Session,
    /// A token from the gateway; the subscription must be enabled for it.
    Jwt,
}

/// A text that is never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Hides `text`.
    pub fn new(text: impl Into<String>) -> Secret {
        Secret(text.into())
    }

    /// The text, for sending it.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Secret(***)")
    }
}

/// What can be called.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Endpoint {
    /// Host list detection.
    Detections,
    /// Host list.
    Hosts,
    /// Knowledge base.
    KnowledgeBase,
    /// Scan list.
    ScanList,
    /// Launch, cancel, fetch.
    ScanControl,
    /// Option profiles.
    OptionProfiles,
    /// Scanner appliances.
    Appliances,
    /// Asset groups.
    AssetGroups,
    /// Search lists that people keep.
    StaticLists,
    /// Search lists that follow a rule.
    DynamicLists,
    /// Sign in and out.
    Session,
}

impl Endpoint {
    /// All of them.
    pub const ALL: [Endpoint; 11] = [
        Endpoint::Detections,
        Endpoint::Hosts,
        Endpoint::KnowledgeBase,
        Endpoint::ScanList,
        Endpoint::ScanControl,
        Endpoint::OptionProfiles,
        Endpoint::Appliances,
        Endpoint::AssetGroups,
        Endpoint::StaticLists,
        Endpoint::DynamicLists,
        Endpoint::Session,
    ];

    /// What people call it.
    pub fn name(self) -> &'static str {
        match self {
            Endpoint::Detections => "host list detection",
            Endpoint::Hosts => "host list",
            Endpoint::KnowledgeBase => "knowledge base",
            Endpoint::ScanList => "scan list",
            Endpoint::ScanControl => "scan",
            Endpoint::OptionProfiles => "option profile",
            Endpoint::Appliances => "appliance",
            Endpoint::AssetGroups => "asset group",
            Endpoint::StaticLists => "static search list",
            Endpoint::DynamicLists => "dynamic search list",
            Endpoint::Session => "session",
        }
    }

    pub(crate) fn path(self) -> &'static str {
        match self {
            Endpoint::Detections => "asset/host/vm/detection/",
            Endpoint::Hosts => "asset/host/",
            Endpoint::KnowledgeBase => "knowledge_base/vuln/",
            Endpoint::ScanList | Endpoint::ScanControl => "scan/",
            Endpoint::OptionProfiles => "subscription/option_profile/vm/",
            Endpoint::Appliances => "appliance/",
            Endpoint::AssetGroups => "asset/group/",
            Endpoint::StaticLists => "qid/search_list/static/",
            Endpoint::DynamicLists => "qid/search_list/dynamic/",
            Endpoint::Session => "session/",
        }
    }

    /// The word in settings and records.
    #[must_use]
    pub fn word(self) -> String {
        self.name().replace(' ', "_")
    }

    /// The end point of this word.
    #[must_use]
    pub fn of_word(word: &str) -> Option<Endpoint> {
        Endpoint::ALL.into_iter().find(|endpoint| endpoint.word() == word)
    }

    /// The versions that are known, in order (`spec/qualys-api.md` 1.2).
    #[must_use]
    pub fn known_versions(self) -> &'static [u8] {
        match self {
            Endpoint::KnowledgeBase => &[2, 3, 4],
            Endpoint::OptionProfiles => &[2, 4, 5, 7],
            Endpoint::Detections | Endpoint::Hosts => &[2, 3, 4, 5],
            Endpoint::ScanList => &[2, 3],
            _ => &[2],
        }
    }

    /// Versions known to follow `version`, to be tried when a platform no longer knows it.
    pub(crate) fn later_versions(self, version: u8) -> impl Iterator<Item = u8> {
        self.known_versions().iter().copied().filter(move |later| *later > version)
    }
}

/// The version number in `/api/N.0/`, per end point (`spec/qualys-api.md` 1.2): it is not global, and old ones retire.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Versions([(Endpoint, u8); 11]);

impl Default for Versions {
    fn default() -> Self {
        Versions(Endpoint::ALL.map(|endpoint| {
            let version = match endpoint {
                Endpoint::Detections | Endpoint::Hosts => 5,
                Endpoint::ScanList => 3,
                _ => 2,
            };
            (endpoint, version)
        }))
    }
}

impl Versions {
    /// The version to use for an end point.
    pub fn get(&self, endpoint: Endpoint) -> u8 {
        self.0.iter().find(|(known, _)| *known == endpoint).map_or(2, |(_, version)| *version)
    }

    /// Uses another version for one end point.
    pub fn set(&mut self, endpoint: Endpoint, version: u8) {
        if let Some(entry) = self.0.iter_mut().find(|(known, _)| *known == endpoint) {
            entry.1 = version;
        }
    }
}

/// A place where Qualys runs its platform.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pod {
    /// Its short name.
    pub name: &'static str,
    /// API server.
    pub api_url: &'static str,
    /// Gateway.
    pub gateway_url: &'static str,
}

/// Known pods, as data for a choice list. Other sources disagree on some, so both URLs can always be set by hand.
pub const PODS: [Pod; 13] = [
    Pod { name: "US1", api_url: "https://qualysapi.qualys.com", gateway_url: "https://gateway.qg1.apps.qualys.com" },
    pod("US2", "https://qualysapi.qg2.apps.qualys.com", "https://gateway.qg2.apps.qualys.com"),
    pod("US3", "https://qualysapi.qg3.apps.qualys.com", "https://gateway.qg3.apps.qualys.com"),
    pod("US4", "https://qualysapi.qg4.apps.qualys.com", "https://gateway.qg4.apps.qualys.com"),
    Pod { name: "EU1", api_url: "https://qualysapi.qualys.eu", gateway_url: "https://gateway.qg1.apps.qualys.eu" },
    pod("EU2", "https://qualysapi.qg2.apps.qualys.eu", "https://gateway.qg2.apps.qualys.eu"),
    pod("EU3", "https://qualysapi.qg3.apps.qualys.it", "https://gateway.qg3.apps.qualys.it"),
    pod("IN1", "https://qualysapi.qg1.apps.qualys.in", "https://gateway.qg1.apps.qualys.in"),
    pod("CA1", "https://qualysapi.qg1.apps.qualys.ca", "https://gateway.qg1.apps.qualys.ca"),
    pod("AE1", "https://qualysapi.qg1.apps.qualys.ae", "https://gateway.qg1.apps.qualys.ae"),
    pod("UK1", "https://qualysapi.qg1.apps.qualys.co.uk", "https://gateway.qg1.apps.qualys.co.uk"),
    pod("AU1", "https://qualysapi.qg1.apps.qualys.com.au", "https://gateway.qg1.apps.qualys.com.au"),
    pod("KSA1", "https://qualysapi.qg1.apps.qualysksa.com", "https://gateway.qg1.apps.qualysksa.com"),
];

const fn pod(name: &'static str, api_url: &'static str, gateway_url: &'static str) -> Pod {
    Pod { name, api_url, gateway_url }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_password_is_never_shown() {
        let url = Url::parse("https://qualysapi.example").expect("a URL");
        let config = Config::new(url, "user", "hunter2");
        assert!(!format!("{config:?}").contains("hunter2"));
    }

    #[test]
    fn versions_are_per_end_point() {
        let mut versions = Versions::default();
        assert_eq!(versions.get(Endpoint::Detections), 5);
        assert_eq!(versions.get(Endpoint::ScanList), 3);
        assert_eq!(versions.get(Endpoint::ScanControl), 2);
        versions.set(Endpoint::Detections, 2);
        assert_eq!(versions.get(Endpoint::Detections), 2);
        assert_eq!(Endpoint::KnowledgeBase.later_versions(2).collect::<Vec<_>>(), [3, 4]);
    }

    #[test]
    fn every_version_in_use_is_a_known_one() {
        for endpoint in Endpoint::ALL {
            assert!(endpoint.known_versions().contains(&Versions::default().get(endpoint)), "{endpoint:?}");
            assert!(endpoint.known_versions().is_sorted());
            assert_eq!(Endpoint::of_word(&endpoint.word()), Some(endpoint));
        }
    }

    #[test]
    fn pods_are_urls() {
        for pod in PODS {
            assert!(Url::parse(pod.api_url).is_ok() && Url::parse(pod.gateway_url).is_ok(), "{}", pod.name);
        }
    }
}

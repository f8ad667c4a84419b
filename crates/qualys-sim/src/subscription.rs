//! Option profiles, scanner appliances, networks, asset groups, search lists and schedules of the simulated subscription.

use crate::hosts::{BRANCH_NETWORK, GLOBAL_NETWORK};
use crate::knowledge::{EntryKind, Knowledge};

/// An option profile.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Profile {
    /// Id, used at launch.
    pub id: u32,
    /// Title, used at launch.
    pub title: &'static str,
    /// The subscription's default.
    pub is_default: bool,
    /// The search list it tests; `None` tests everything.
    pub search_list: Option<SearchList>,
    /// When it was edited last; `None` shows `N/A`.
    pub updated: Option<&'static str>,
}

/// A search list: static, or dynamic where its QIDs follow from criteria.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SearchList {
    /// Id.
    pub id: u32,
    /// Title.
    pub title: &'static str,
    /// Which QIDs are on it.
    pub qids: QidSet,
}

/// Which QIDs a search list names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum QidSet {
    /// Windows QIDs.
    Windows,
    /// The demo set.
    Demo,
    /// By criteria: confirmed, with this severity or a higher one.
    Severe(u8),
}

impl SearchList {
    /// Whether its QIDs follow from criteria.
    pub fn is_dynamic(&self) -> bool {
        matches!(self.qids, QidSet::Severe(_))
    }

    /// Whether a QID is on the list.
    pub fn covers(&self, knowledge: &Knowledge, qid: u32) -> bool {
        match self.qids {
            QidSet::Severe(least) => {
                knowledge.brief(qid).is_some_and(|brief| brief.kind == EntryKind::Confirmed && brief.severity >= least)
            }
            QidSet::Windows => Knowledge::is_windows(qid),
            QidSet::Demo => (900_000..901_000).contains(&qid),
        }
    }
}

impl Profile {
    /// Whether a scan with this profile tests a QID.
    pub fn covers(&self, knowledge: &Knowledge, qid: u32) -> bool {
        self.search_list.is_none_or(|list| list.covers(knowledge, qid))
    }
}

/// Search lists of the subscription.
pub const SEARCH_LISTS: &[SearchList] = &[
    SearchList { id: 88_101, title: "Windows vulnerabilities", qids: QidSet::Windows },
    SearchList { id: 88_102, title: "Linux hardening", qids: QidSet::Demo },
    SearchList { id: 88_201, title: "High severity", qids: QidSet::Severe(4) },
];

/// Option profiles of the subscription.
pub const PROFILES: &[Profile] = &[
    Profile { id: 510_001, title: "Initial Options", is_default: true, search_list: None, updated: None },
    Profile {
        id: 510_002,
        title: "Authenticated full scan",
        is_default: false,
        search_list: None,
        updated: Some("2026-03-04T09:30:00Z"),
    },
    Profile {
        id: 510_003,
        title: "Linux hardening check",
        is_default: false,
        search_list: Some(SearchList { id: 88_102, title: "Linux hardening", qids: QidSet::Demo }),
        updated: Some("2026-05-11T14:02:51Z"),
    },
    Profile {
        id: 510_004,
        title: "Windows only",
        is_default: false,
        search_list: Some(SearchList { id: 88_101, title: "Windows vulnerabilities", qids: QidSet::Windows }),
        updated: Some("2026-06-20T07:00:00Z"),
    },
    Profile {
        id: 510_005,
        title: "High severity only",
        is_default: false,
        search_list: Some(SearchList { id: 88_201, title: "High severity", qids: QidSet::Severe(4) }),
        updated: Some("2026-07-01T12:00:00Z"),
    },
];

/// A scanner appliance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Appliance {
    /// Id, used at launch.
    pub id: u32,
    /// Name, used at launch.
    pub name: &'static str,
    /// The network whose addresses it reaches.
    pub network: u32,
    /// Answers the service; a scan on one that does not ends in Error.
    pub online: bool,
}

/// Appliances of the subscription; the external scanners are not among them.
pub const APPLIANCES: &[Appliance] = &[
    Appliance { id: 11_001, name: "scanner-hq-1", network: GLOBAL_NETWORK, online: true },
    Appliance { id: 11_002, name: "scanner-branch", network: BRANCH_NETWORK, online: true },
    Appliance { id: 11_003, name: "scanner-lab", network: GLOBAL_NETWORK, online: false },
];

/// Networks of the subscription.
pub const NETWORKS: &[(u32, &str)] = &[(GLOBAL_NETWORK, "Global Default Network"), (BRANCH_NETWORK, "Branch office")];

/// The title of a network.
pub fn network_name(id: u32) -> &'static str {
    NETWORKS.iter().find(|(known, _)| *known == id).map_or("", |(_, name)| name)
}

/// An asset group; its addresses are a run of hosts of one network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Group {
    /// Id.
    pub id: u32,
    /// Title.
    pub title: &'static str,
    /// Network of its addresses.
    pub network: u32,
    /// Default appliance; `None` where the group has none.
    pub appliance: Option<u32>,
    /// Which hosts of that network belong to it.
    pub members: Members,
}

/// Which hosts belong to a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Members {
    /// Every host of the network.
    All,
    /// The demo hosts.
    Demo,
    /// None; the group has no address set.
    None,
}

/// Asset groups of the subscription.
pub const GROUPS: &[Group] = &[
    Group { id: 7_001, title: "Head office", network: GLOBAL_NETWORK, appliance: Some(11_001), members: Members::All },
    Group {
        id: 7_002,
        title: "Branch office",
        network: BRANCH_NETWORK,
        appliance: Some(11_002),
        members: Members::All,
    },
    Group {
        id: 7_003,
        title: "Demo servers",
        network: GLOBAL_NETWORK,
        appliance: Some(11_001),
        members: Members::Demo,
    },
    Group { id: 7_004, title: "Planned site", network: GLOBAL_NETWORK, appliance: None, members: Members::None },
];

/// A scan that the service would launch by itself; the simulator lists it and never does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Schedule {
    /// Id.
    pub id: u32,
    /// Title.
    pub title: &'static str,
    /// Switched on.
    pub active: bool,
    /// Option profile.
    pub profile: u32,
    /// Asset group whose addresses it scans.
    pub group: u32,
    /// The addresses were typed in, so that no group is named.
    pub by_address: bool,
    /// How often.
    pub frequency: Frequency,
    /// Hour of the day, UTC.
    pub hour: i8,
}

/// How often a schedule runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Frequency {
    /// Every so many days.
    Days(u8),
    /// Every week on one day; Sunday is 0.
    Weekday(i8),
    /// Every month on one day.
    DayOfMonth(i8),
}

/// Schedules of the subscription.
pub const SCHEDULES: &[Schedule] = &[
    Schedule {
        id: 340_001,
        title: "Head office nightly",
        active: true,
        profile: 510_001,
        group: 7_001,
        by_address: false,
        frequency: Frequency::Days(1),
        hour: 2,
    },
    Schedule {
        id: 340_002,
        title: "Branch office on Sundays",
        active: true,
        profile: 510_002,
        group: 7_002,
        by_address: false,
        frequency: Frequency::Weekday(0),
        hour: 4,
    },
    Schedule {
        id: 340_003,
        title: "Demo servers monthly",
        active: false,
        profile: 510_003,
        group: 7_003,
        by_address: true,
        frequency: Frequency::DayOfMonth(1),
        hour: 6,
    },
];

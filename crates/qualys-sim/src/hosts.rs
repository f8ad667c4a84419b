//! The machines of the simulated subscription, each a function of the seed and its index.
//!
//! Hosts are never stored: host 9,999 costs what host 0 costs. Ids ascend with the index, and both ids and addresses can be turned
//! back into the index without a search.

use crate::os::Os;
use crate::roll::Roll;
use std::net::Ipv4Addr;
use uuid::Uuid;

/// The network every address belongs to unless it is said otherwise.
pub const GLOBAL_NETWORK: u32 = 0;
/// The second network of the subscription.
pub const BRANCH_NETWORK: u32 = 1103;

const ADDRESSES_PER_BLOCK: u32 = 240;
const BLOCKS_PER_OCTET: u32 = 256;
/// Distance between two host ids, so that an id taken at random is usually nobody's.
const ID_STEP: u64 = 3;

const ROLES: &[&str] = &["web", "app", "db", "mail", "git", "build", "cache", "proxy", "files", "mon"];
const SITES: &[(&str, &str)] = &[
    ("ber", "Europe/Berlin"),
    ("nyc", "America/New_York"),
    ("tyo", "Asia/Tokyo"),
    ("lon", "Europe/London"),
    ("syd", "Australia/Sydney"),
    ("sao", "America/Sao_Paulo"),
    ("bom", "Asia/Kolkata"),
];

/// One machine as the scanner knows it, plus what its own files say of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Host {
    /// Place in the data set, from 0.
    pub index: u32,
    /// The scanner's host id (`HOST/ID`).
    pub id: u64,
    /// The asset view's id (`ASSET_ID`).
    pub asset_id: u64,
    /// Its address, in 10.0.0.0/8.
    pub ip: Ipv4Addr,
    /// Host name without domain.
    pub name: String,
    /// Fully qualified name.
    pub fqdn: String,
    /// Operating system.
    pub os: Os,
    /// NetBIOS name, on Windows.
    pub netbios: Option<String>,
    /// The scanner agent's UUID (`QG_HOSTID`), where one is installed.
    pub agent_uuid: Option<Uuid>,
    /// Contents of /etc/machine-id: 32 hexadecimal digits.
    pub machine_id: String,
    /// Hardware address of eth0.
    pub mac: String,
    /// [`GLOBAL_NETWORK`] or [`BRANCH_NETWORK`].
    pub network_id: u32,
    /// IANA name of the host's time zone.
    pub time_zone: &'static str,
    /// Tag ids and names.
    pub tags: Vec<(u32, &'static str)>,
}

impl Host {
    /// How the scanner tracks the host.
    pub fn tracking_method(&self) -> &'static str {
        match (self.agent_uuid, self.os.is_windows()) {
            (Some(_), _) => "Cloud Agent",
            (None, true) => "NETBIOS",
            (None, false) => "IP",
        }
    }
}

/// The whole set of machines.
#[derive(Debug, Clone, Copy)]
pub struct Fleet {
    seed: u64,
    count: u32,
    demo: u32,
    first_id: u64,
    octet: u32,
    networks: bool,
}

impl Fleet {
    /// `count` hosts of which the first `demo` are Debian-family servers with a scanner agent and can have a root folder.
    pub fn new(seed: u64, count: u32, demo: u32) -> Self {
        let mut roll = Roll::new(seed, &[1]);
        let first_id = 20_000_000 + roll.below(50_000_000);
        let octet = u32::try_from(roll.below(180)).unwrap_or(0) + 10;
        Self { seed, count, demo: demo.min(count), first_id, octet, networks: true }
    }

    /// The same machines, all in the global network.
    #[must_use]
    pub fn without_networks(self) -> Self {
        Self { networks: false, ..self }
    }

    /// Number of hosts.
    pub fn len(&self) -> u32 {
        self.count
    }

    /// Whether there are no hosts at all.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Number of demo hosts.
    pub fn demo_len(&self) -> u32 {
        self.demo
    }

    /// The id of the host at an index.
    pub fn id_of(&self, index: u32) -> u64 {
        self.first_id + u64::from(index) * ID_STEP
    }

    /// The index of the first host whose id is at least `id`.
    pub fn first_from(&self, id: u64) -> u32 {
        let index = id.saturating_sub(self.first_id).div_ceil(ID_STEP);
        u32::try_from(index).unwrap_or(u32::MAX).min(self.count)
    }

    /// The index of a host id.
    pub fn index_of(&self, id: u64) -> Option<u32> {
        let index = self.first_from(id);
        (index < self.count && self.id_of(index) == id).then_some(index)
    }

    /// The address of the host at an index.
    pub fn ip_of(&self, index: u32) -> Ipv4Addr {
        let block = index / ADDRESSES_PER_BLOCK;
        let second = self.octet + block / BLOCKS_PER_OCTET;
        let byte = |value: u32| u8::try_from(value % 256).unwrap_or(0);
        Ipv4Addr::new(10, byte(second), byte(block), byte(index % ADDRESSES_PER_BLOCK + 10))
    }

    /// The index of an address.
    pub fn index_of_ip(&self, ip: Ipv4Addr) -> Option<u32> {
        let [ten, second, third, fourth] = ip.octets().map(u32::from);
        let block = second.checked_sub(self.octet)? * BLOCKS_PER_OCTET + third;
        let index = block * ADDRESSES_PER_BLOCK + fourth.checked_sub(10)?;
        (ten == 10 && fourth < ADDRESSES_PER_BLOCK + 10 && index < self.count).then_some(index)
    }

    /// The network of the host at an index.
    pub fn network_of(&self, index: u32) -> u32 {
        if self.networks && index >= self.demo && index % 7 == 5 { BRANCH_NETWORK } else { GLOBAL_NETWORK }
    }

    /// The operating system of the host at an index.
    pub fn os_of(&self, index: u32) -> Os {
        let mut roll = Roll::new(self.seed, &[2, u64::from(index)]);
        if index < self.demo {
            return match index {
                0 => *roll.pick(&[Os::Debian12, Os::Ubuntu2204]),
                1 => *roll.pick(&[Os::Ubuntu2204, Os::Debian12]),
                2 => *roll.pick(&[Os::Debian11, Os::Ubuntu2004]),
                3 => Os::Ubuntu1604,
                4 => Os::Ubuntu1804,
                _ => *roll.pick(&[Os::Debian12, Os::Ubuntu2204, Os::Ubuntu2404, Os::Debian11, Os::Ubuntu2004]),
            };
        }
        if index == self.demo {
            // However small the fleet, it is not all Linux.
            return Os::Windows2019;
        }
        *roll.pick(&[
            Os::Debian12,
            Os::Ubuntu2204,
            Os::Rhel9,
            Os::Rhel9,
            Os::Windows2019,
            Os::Windows2022,
            Os::Windows11,
            Os::Debian11,
            Os::Ubuntu2004,
            Os::Ubuntu2404,
        ])
    }

    /// The host at an index.
    pub fn host(&self, index: u32) -> Host {
        let mut roll = Roll::new(self.seed, &[3, u64::from(index)]);
        let os = self.os_of(index);
        let (site, time_zone) = *roll.pick(SITES);
        let role = roll.pick(ROLES);
        let name = format!("{role}-{:02}", index + 1);
        let has_agent = roll.chance(40) || index < self.demo;
        let agent_uuid = has_agent.then(|| roll.uuid());
        let machine_id = roll.uuid().simple().to_string();
        let mac = roll.hex(8).as_bytes().chunks(2).map(String::from_utf8_lossy).collect::<Vec<_>>().join(":");
        let mut tags = vec![if os.is_windows() { (9_001, "Windows") } else { (9_002, "Linux") }];
        if has_agent {
            tags.push((9_003, "Cloud Agent"));
        }
        if roll.chance(30) {
            tags.push((9_004, "Production"));
        }
        Host {
            index,
            id: self.id_of(index),
            asset_id: 300_000_000 + self.id_of(index),
            ip: self.ip_of(index),
            fqdn: format!("{name}.{site}.example"),
            netbios: os.is_windows().then(|| name.to_uppercase()),
            name,
            os,
            agent_uuid,
            machine_id,
            mac: format!("52:54:{mac}"),
            network_id: self.network_of(index),
            time_zone,
            tags,
        }
    }

    /// Every host, in order of ids.
    pub fn iter(&self) -> impl Iterator<Item = Host> + '_ {
        (0..self.count).map(|index| self.host(index))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_and_addresses_turn_back_into_the_index() {
        for (seed, count) in [(1, 3), (2, 700), (99, 130_000)] {
            let fleet = Fleet::new(seed, count, 3);
            for index in [0, 1, count / 2, count - 1] {
                assert_eq!(fleet.index_of(fleet.id_of(index)), Some(index));
                assert_eq!(fleet.index_of(fleet.id_of(index) + 1), None);
                assert_eq!(fleet.index_of_ip(fleet.ip_of(index)), Some(index));
            }
            assert_eq!(fleet.index_of_ip(fleet.ip_of(count)), None);
            assert_eq!(fleet.first_from(0), 0);
            assert_eq!(fleet.first_from(fleet.id_of(1) - 1), 1);
        }
    }

    #[test]
    fn demo_hosts_are_debian_family_servers_with_an_agent_in_the_global_network() {
        for seed in 0..20 {
            let fleet = Fleet::new(seed, 12, 3);
            for host in fleet.iter().take(3) {
                assert!(host.os.is_debian_family() && host.agent_uuid.is_some());
                assert_eq!((host.network_id, host.machine_id.len(), host.mac.len()), (GLOBAL_NETWORK, 32, 17));
            }
        }
    }

    #[test]
    fn another_seed_is_another_fleet() {
        let (one, two) = (Fleet::new(1, 5, 3), Fleet::new(2, 5, 3));
        assert_ne!(one.id_of(0), two.id_of(0));
        assert_ne!(one.host(1), two.host(1));
        assert_eq!(one.host(1), Fleet::new(1, 500, 3).host(1));
    }
}

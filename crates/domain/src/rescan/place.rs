//! Which appliance looks at an address, and with which option profile.
//!
//! `vulnerability-response.md` 1.4: rows of appliances come from the asset groups they are the default of; an address is
//! served by the row whose ranges or whose condition hold it, the lowest precedence first, else by the instance's default
//! appliance, else by the scanner's own machines on the internet.

use std::collections::BTreeSet;
use std::net::IpAddr;

/// The name under which the scanner knows its own machines.
pub const EXTERNAL: &str = "External";

/// An appliance, as far as the choice needs it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Appliance {
    /// Key of its row.
    pub id: i64,
    /// The scanner's key.
    pub key: String,
    /// Its name.
    pub name: String,
    /// The scanner's network it stands in; empty for the only or first one.
    pub network: String,
    /// Ranges it serves, both ends included.
    pub ranges: Vec<(IpAddr, IpAddr)>,
    /// Addresses, with their networks, of the assets that its condition holds for.
    pub hosts: BTreeSet<(IpAddr, String)>,
    /// Key or title of the option profile to use with it.
    pub profile: Option<String>,
    /// Lower wins.
    pub precedence: i64,
}

impl Appliance {
    fn serves(&self, address: IpAddr, network: &str) -> Option<Why> {
        if one_network(&self.network) != one_network(network) {
            return None;
        }
        if self.ranges.iter().any(|(low, high)| (*low..=*high).contains(&address)) {
            return Some(Why::Range);
        }
        let held = self.hosts.range((address, String::new())..).take_while(|(host, _)| *host == address);
        held.into_iter().any(|(_, of)| one_network(of) == one_network(network)).then_some(Why::Condition)
    }

    fn called(&self, word: &str) -> bool {
        self.key == word || self.name == word
    }
}

/// Scanners number their first network 0 or leave it out.
fn one_network(network: &str) -> &str {
    if network == "0" { "" } else { network }
}

/// Where an address is scanned from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place<'a> {
    /// Key of the appliance, or [`EXTERNAL`].
    pub appliance: &'a str,
    /// The default profile there, by key or title: the appliance's, else the instance's.
    pub profile: Option<&'a str>,
}

/// Why an address is scanned from there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// A range of the appliance holds the address.
    Range,
    /// The appliance's condition holds for the asset of the address.
    Condition,
    /// No appliance serves it; the instance names one for that.
    Default,
    /// None of that: the scanner's own machines.
    External,
}

/// The appliance for an address, and why it is that.
#[must_use]
pub fn chosen<'a>(
    appliances: &'a [Appliance],
    default_appliance: Option<&str>,
    address: &str,
    network: &str,
) -> (Option<&'a Appliance>, Why) {
    if let Ok(address) = address.parse::<IpAddr>() {
        let serving = appliances.iter().filter_map(|one| Some((one, one.serves(address, network)?)));
        let first = serving.min_by_key(|(one, _)| (one.precedence, &one.name, &one.key, one.id));
        if let Some((one, why)) = first {
            return (Some(one), why);
        }
    }
    let named = default_appliance.filter(|word| !word.is_empty());
    match named.and_then(|word| appliances.iter().find(|one| one.called(word))) {
        Some(one) => (Some(one), Why::Default),
        None => (None, Why::External),
    }
}

/// Where an address is scanned from. Key 0 is how the platform numbers its own scanners.
#[must_use]
pub fn choose<'a>(
    appliances: &'a [Appliance],
    default_appliance: Option<&'a str>,
    default_profile: Option<&'a str>,
    address: &str,
    network: &str,
) -> Place<'a> {
    match chosen(appliances, default_appliance, address, network).0 {
        Some(appliance) => {
            let profile = appliance.profile.as_deref().filter(|profile| !profile.is_empty());
            let key = if appliance.key == "0" { EXTERNAL } else { &appliance.key };
            Place { appliance: key, profile: profile.or(default_profile) }
        }
        None => Place { appliance: EXTERNAL, profile: default_profile },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn appliance(key: &str, network: &str, range: [&str; 2], profile: Option<&str>, precedence: i64) -> Appliance {
        let [low, high] = range.map(|end| end.parse().unwrap());
        Appliance {
            id: 0,
            hosts: BTreeSet::new(),
            key: key.to_owned(),
            name: format!("name of {key}"),
            network: network.to_owned(),
            ranges: vec![(low, high)],
            profile: profile.map(str::to_owned),
            precedence,
        }
    }

    #[test]
    fn the_lowest_precedence_that_serves_the_address_wins() {
        let appliances = [
            appliance("wide", "", ["10.0.0.0", "10.255.255.255"], None, 20),
            appliance("near", "0", ["10.1.0.0", "10.1.0.255"], Some("7"), 10),
            appliance("branch", "5", ["10.1.0.0", "10.1.0.255"], Some("8"), 1),
            appliance("six", "", ["fd00::", "fd00::ff"], None, 1),
        ];
        for (address, network, key, profile) in [
            ("10.1.0.9", "", "near", Some("7")),
            ("10.1.0.9", "0", "near", Some("7")),
            ("10.1.0.9", "5", "branch", Some("8")),
            ("10.1.0.9", "6", "wide", Some("1")),
            ("10.2.0.9", "", "wide", Some("1")),
            ("fd00::7", "", "six", Some("1")),
            ("192.0.2.1", "", "wide", Some("1")),
            ("a name", "", "wide", Some("1")),
        ] {
            let place = choose(&appliances, Some("name of wide"), Some("1"), address, network);
            assert_eq!(place, Place { appliance: key, profile }, "{address} in {network}");
        }
        for default in [None, Some(""), Some("External"), Some("gone")] {
            let place = choose(&appliances, default, None, "192.0.2.1", "");
            assert_eq!(place, Place { appliance: EXTERNAL, profile: None }, "{default:?}");
        }
    }

    #[test]
    fn a_condition_serves_like_a_range_in_its_own_network_only() {
        let mut by_tag = appliance("tagged", "5", ["10.9.9.9", "10.9.9.9"], Some("9"), 5);
        by_tag.hosts = [("10.1.0.9", "5"), ("10.1.0.9", "6"), ("10.1.0.8", "")]
            .map(|(ip, network)| (ip.parse().unwrap(), network.to_owned()))
            .into();
        let zero = Appliance { network: "0".to_owned(), precedence: 7, ..by_tag.clone() };
        let rows = [appliance("wide", "5", ["10.0.0.0", "10.255.255.255"], None, 20), by_tag, zero];
        for (address, network, key, why) in [
            ("10.1.0.9", "5", Some("tagged"), Why::Condition),
            ("10.9.9.9", "5", Some("tagged"), Why::Range),
            ("10.1.0.7", "5", Some("wide"), Why::Range),
            ("10.1.0.9", "6", None, Why::External),
            ("10.1.0.8", "", Some("tagged"), Why::Condition),
            ("10.1.0.8", "0", Some("tagged"), Why::Condition),
        ] {
            let (found, because) = chosen(&rows, None, address, network);
            assert_eq!((found.map(|one| one.key.as_str()), because), (key, why), "{address} in {network}");
        }
        assert_eq!(chosen(&rows, Some("wide"), "10.1.0.9", "6").1, Why::Default);
    }
}

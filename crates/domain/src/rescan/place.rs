//! Which appliance looks at an address, and with which option profile.
//!
//! `vulnerability-response.md` 1.4: rows of appliances come from the asset groups they are the default of; an address is
//! served by the row whose ranges hold it, the lowest precedence first, else by the instance's default appliance, else
//! by the scanner's own machines on the internet.

use std::net::IpAddr;

/// The name under which the scanner knows its own machines.
pub const EXTERNAL: &str = "External";

/// An appliance, as far as the choice needs it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Appliance {
    /// The scanner's key.
    pub key: String,
    /// Its name.
    pub name: String,
    /// The scanner's network it stands in; empty for the only or first one.
    pub network: String,
    /// Ranges it serves, both ends included.
    pub ranges: Vec<(IpAddr, IpAddr)>,
    /// Key or title of the option profile to use with it.
    pub profile: Option<String>,
    /// Lower wins.
    pub precedence: i64,
}

impl Appliance {
    fn serves(&self, address: IpAddr, network: &str) -> bool {
        let network_fits = one_network(&self.network) == one_network(network);
        network_fits && self.ranges.iter().any(|(low, high)| (*low..=*high).contains(&address))
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

/// The appliance for an address. Key 0 is how the platform numbers its own scanners.
#[must_use]
pub fn choose<'a>(
    appliances: &'a [Appliance],
    default_appliance: Option<&'a str>,
    default_profile: Option<&'a str>,
    address: &str,
    network: &str,
) -> Place<'a> {
    let serving = address.parse::<IpAddr>().ok().and_then(|address| {
        let fitting = appliances.iter().filter(|appliance| appliance.serves(address, network));
        fitting.min_by_key(|appliance| (appliance.precedence, &appliance.name, &appliance.key))
    });
    let fallback = || {
        let word = default_appliance.filter(|word| !word.is_empty())?;
        appliances.iter().find(|appliance| appliance.called(word))
    };
    match serving.or_else(fallback) {
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
}

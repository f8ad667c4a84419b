//! Parameters of `firewall.rule`: one rule of ours in the host's packet filter.

use std::{fmt, net::IpAddr, str::FromStr};

use serde::{Deserialize, Serialize};

use crate::text::RuleName;

/// Parameters of `firewall.rule`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Fields", into = "Fields")]
pub struct FirewallRule {
    /// Names the rule on the host; ours are found again by it.
    pub name: RuleName,
    /// Which way the packets go.
    pub direction: Direction,
    /// The transport protocol.
    pub protocol: Transport,
    /// Local ports of incoming packets, remote ports of outgoing ones; empty means every port.
    pub ports: Vec<Ports>,
    /// The other side.
    pub remote: Remote,
    /// What becomes of the packets.
    pub action: Verdict,
    /// A further condition.
    pub condition: Option<Condition>,
    /// Only this family of addresses; both where absent.
    pub family: Option<Family>,
}

/// The smallest segment size that any usual connection names (RFC 9293, 3.7.1).
pub const MSS_USUAL_MIN: u16 = 536;

impl FirewallRule {
    /// Whether the rule has a condition that no usual connection meets; any other condition narrows nothing down.
    #[must_use]
    pub fn is_unusual_only(&self) -> bool {
        self.condition.is_some_and(|condition| condition.mss_until < MSS_USUAL_MIN)
    }
}

/// Direction of `firewall.rule`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Direction {
    /// To this machine.
    In,
    /// From this machine.
    Out,
}

/// Transport protocol of `firewall.rule`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Transport {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
}

/// What a rule does with a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// Nobody answers.
    Drop,
    /// The sender is told.
    Reject,
}

/// Family of addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Family {
    /// IPv4.
    Ipv4,
    /// IPv6.
    Ipv6,
}

/// A port or a range of ports, `445` or `137-139`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Ports {
    /// The first.
    pub first: u16,
    /// The last; the same for a single port.
    pub last: u16,
}

impl Ports {
    /// Whether the port is among them.
    #[must_use]
    pub fn contains(self, port: u16) -> bool {
        (self.first..=self.last).contains(&port)
    }
}

impl FromStr for Ports {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, &'static str> {
        const WRONG: &str = "a port is \"445\" or a range \"137-139\" of 1 to 65535";
        let number = |text: &str| match text.parse::<u16>() {
            Ok(port) if port > 0 && text.bytes().all(|b| b.is_ascii_digit()) => Ok(port),
            _ => Err(WRONG),
        };
        let (first, last) = text.split_once('-').unwrap_or((text, text));
        let ports = Self { first: number(first)?, last: number(last)? };
        if ports.first <= ports.last { Ok(ports) } else { Err(WRONG) }
    }
}

impl TryFrom<String> for Ports {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, &'static str> {
        text.parse()
    }
}

impl From<Ports> for String {
    fn from(ports: Ports) -> Self {
        ports.to_string()
    }
}

impl fmt::Display for Ports {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.first == self.last { write!(f, "{}", self.first) } else { write!(f, "{}-{}", self.first, self.last) }
    }
}

/// The other side of a connection: `any`, `internet` (no private, local or reserved address), or a network such as
/// `192.0.2.0/24`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Remote {
    /// Everybody.
    Any,
    /// Everybody outside of private and local networks.
    Internet,
    /// One network: the address, with no bit beyond the length, and the length.
    Network(IpAddr, u8),
}

impl Remote {
    /// Whether an address is on this side; `Internet` is everything that is not [`PRIVATE`].
    #[must_use]
    pub fn contains(self, address: IpAddr) -> bool {
        match self {
            Self::Any => true,
            Self::Internet => !PRIVATE.iter().any(|network| {
                network.parse::<Self>().is_ok_and(|network| network != Self::Internet && network.contains(address))
            }),
            Self::Network(network, length) => masked(address, length) == Some(network),
        }
    }
}

/// The networks that `internet` leaves out: private, shared, loopback and link-local addresses.
pub const PRIVATE: [&str; 9] = [
    "10.0.0.0/8",
    "100.64.0.0/10",
    "127.0.0.0/8",
    "169.254.0.0/16",
    "172.16.0.0/12",
    "192.168.0.0/16",
    "::1/128",
    "fc00::/7",
    "fe80::/10",
];

/// The address with the bits beyond a length cleared; nothing where the length is more than the address has.
fn masked(address: IpAddr, length: u8) -> Option<IpAddr> {
    Some(match address {
        IpAddr::V4(address) => {
            let mask = u32::MAX.checked_shl(32_u32.checked_sub(u32::from(length))?).unwrap_or(0);
            IpAddr::V4((address.to_bits() & mask).into())
        }
        IpAddr::V6(address) => {
            let mask = u128::MAX.checked_shl(128_u32.checked_sub(u32::from(length))?).unwrap_or(0);
            IpAddr::V6((address.to_bits() & mask).into())
        }
    })
}

impl FromStr for Remote {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, &'static str> {
        const WRONG: &str = "remote is \"any\", \"internet\" or a network such as \"192.0.2.0/24\"";
        match text {
            "any" => Ok(Self::Any),
            "internet" => Ok(Self::Internet),
            _ => {
                let (address, length) = text.split_once('/').ok_or(WRONG)?;
                let (address, length) = (address.parse().map_err(|_| WRONG)?, length.parse().map_err(|_| WRONG)?);
                match masked(address, length) {
                    Some(network) if network == address => Ok(Self::Network(address, length)),
                    _ => Err(WRONG),
                }
            }
        }
    }
}

impl TryFrom<String> for Remote {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, &'static str> {
        text.parse()
    }
}

impl From<Remote> for String {
    fn from(remote: Remote) -> Self {
        remote.to_string()
    }
}

impl fmt::Display for Remote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any => f.write_str("any"),
            Self::Internet => f.write_str("internet"),
            Self::Network(address, length) => write!(f, "{address}/{length}"),
        }
    }
}

/// A further condition, `syn and mss 1-500`: connections being opened with such a maximum segment size.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Condition {
    /// Smallest segment size.
    pub mss_from: u16,
    /// Largest segment size.
    pub mss_until: u16,
}

impl FromStr for Condition {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, &'static str> {
        const WRONG: &str = "match is \"syn and mss 1-500\", with two numbers";
        let sizes = text.strip_prefix("syn and mss ").ok_or(WRONG)?;
        let ports: Ports = sizes.parse().map_err(|_| WRONG)?;
        if !sizes.contains('-') {
            return Err(WRONG);
        }
        Ok(Self { mss_from: ports.first, mss_until: ports.last })
    }
}

impl TryFrom<String> for Condition {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, &'static str> {
        text.parse()
    }
}

impl From<Condition> for String {
    fn from(condition: Condition) -> Self {
        condition.to_string()
    }
}

impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "syn and mss {}-{}", self.mss_from, self.mss_until)
    }
}

impl fmt::Display for FirewallRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let action = if self.action == Verdict::Drop { "drop" } else { "reject" };
        let (way, side) = if self.direction == Direction::In { ("incoming", "from") } else { ("outgoing", "to") };
        let protocol = if self.protocol == Transport::Tcp { "TCP" } else { "UDP" };
        write!(f, "{action} {way} {protocol}")?;
        if !self.ports.is_empty() {
            let ports: Vec<String> = self.ports.iter().map(Ports::to_string).collect();
            write!(f, " {}", ports.join(", "))?;
        }
        match self.remote {
            Remote::Any => {}
            Remote::Internet => write!(f, " {side} the internet")?,
            Remote::Network(..) => write!(f, " {side} {}", self.remote)?,
        }
        match self.family {
            None => {}
            Some(Family::Ipv4) => f.write_str(" over IPv4")?,
            Some(Family::Ipv6) => f.write_str(" over IPv6")?,
        }
        self.condition.map_or(Ok(()), |condition| write!(f, " where {condition}"))
    }
}

#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Fields {
    name: RuleName,
    direction: Direction,
    protocol: Transport,
    ports: Vec<Ports>,
    remote: Remote,
    action: Verdict,
    #[serde(default, rename = "match", skip_serializing_if = "Option::is_none")]
    condition: Option<Condition>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    family: Option<Family>,
}

impl TryFrom<Fields> for FirewallRule {
    type Error = &'static str;

    fn try_from(fields: Fields) -> Result<Self, &'static str> {
        let Fields { name, direction, protocol, ports, remote, action, condition, family } = fields;
        if ports.len() > 32 {
            return Err("firewall.rule: more than 32 ports");
        }
        if ports.is_empty() && condition.is_none() {
            return Err("firewall.rule: ports may be empty only with a match: such a rule would cut everything off");
        }
        if condition.is_some() && protocol != Transport::Tcp {
            return Err("firewall.rule: only TCP has a maximum segment size");
        }
        if remote == Remote::Internet && family.is_none() {
            return Err("firewall.rule: remote = \"internet\" needs a family, one rule for each");
        }
        let other_family = match (remote, family) {
            (Remote::Network(address, _), Some(family)) => address.is_ipv4() != (family == Family::Ipv4),
            _ => false,
        };
        if other_family {
            return Err("firewall.rule: the network is of another family of addresses");
        }
        Ok(Self { name, direction, protocol, ports, remote, action, condition, family })
    }
}

impl From<FirewallRule> for Fields {
    fn from(value: FirewallRule) -> Self {
        let FirewallRule { name, direction, protocol, ports, remote, action, condition, family } = value;
        Self { name, direction, protocol, ports, remote, action, condition, family }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn remotes_contain_what_they_say() {
        for (remote, address, inside) in [
            ("any", "192.0.2.1", true),
            ("internet", "192.0.2.1", true),
            ("internet", "10.1.2.3", false),
            ("internet", "::1", false),
            ("internet", "2001:db8::1", true),
            ("192.0.2.0/24", "192.0.2.255", true),
            ("192.0.2.0/24", "192.0.3.0", false),
            ("192.0.2.0/24", "2001:db8::1", false),
            ("0.0.0.0/0", "8.8.8.8", true),
            ("fe80::/10", "febf::1", true),
        ] {
            let remote: Remote = remote.parse().unwrap();
            assert_eq!(remote.contains(address.parse().unwrap()), inside, "{remote} {address}");
            assert_eq!(remote.to_string().parse(), Ok(remote));
        }
        for wrong in ["", "all", "192.0.2.1", "192.0.2.1/24", "192.0.2.0/33", "fe80::/129", "10.0.0.0/8 "] {
            assert!(wrong.parse::<Remote>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn ports_and_conditions_are_read_strictly() {
        for wrong in ["", "0", "65536", "1-", "-1", "2-1", "+1", "a", "1-2-3", " 1"] {
            assert!(wrong.parse::<Ports>().is_err(), "{wrong}");
        }
        assert!("137-139".parse::<Ports>().unwrap().contains(138));
        for wrong in ["", "mss 1-500", "syn and mss 500", "syn and mss 5-1", "syn and mss 1-500; drop"] {
            assert!(wrong.parse::<Condition>().is_err(), "{wrong}");
        }
        assert_eq!("syn and mss 1-500".parse::<Condition>().unwrap().to_string(), "syn and mss 1-500");
    }
}

//! Parameters of `windows.setting`: switches of Windows that are neither values of the registry nor services.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Parameters of `windows.setting`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Fields", into = "Fields")]
pub struct WindowsSetting {
    /// The switch.
    pub setting: WindowsSwitch,
    /// Its value in Windows' own spelling.
    pub value: String,
}

/// The switches there are. Names: how each is read and set is the agent's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum WindowsSwitch {
    /// What becomes of IPv4 packets with a route of their own, for the whole machine.
    Ipv4SourceRouting,
    /// How many bytes of IPv6 fragments are kept, for the whole machine.
    Ipv6ReassemblyLimit,
    /// Whether name servers are taken from router advertisements, of each interface with IPv6.
    Ipv6RouterDns,
    /// Version 2 of the NFS server.
    Nfs2,
    /// Version 3 of the NFS server.
    Nfs3,
    /// Version 4.1 of the NFS server.
    Nfs4,
}

impl WindowsSwitch {
    /// As written in entries.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ipv4SourceRouting => "ipv4-source-routing",
            Self::Ipv6ReassemblyLimit => "ipv6-reassembly-limit",
            Self::Ipv6RouterDns => "ipv6-router-dns",
            Self::Nfs2 => "nfs2",
            Self::Nfs3 => "nfs3",
            Self::Nfs4 => "nfs4",
        }
    }

    /// Whether there is one for each interface.
    #[must_use]
    pub fn is_of_interfaces(self) -> bool {
        self == Self::Ipv6RouterDns
    }

    fn takes(self, value: &str) -> bool {
        match self {
            Self::Ipv4SourceRouting => ["drop", "dontforward", "forward"].contains(&value),
            Self::Ipv6ReassemblyLimit => value.parse::<u32>().is_ok_and(|number| number.to_string() == value),
            Self::Ipv6RouterDns => ["enabled", "disabled"].contains(&value),
            Self::Nfs2 | Self::Nfs3 | Self::Nfs4 => ["true", "false"].contains(&value),
        }
    }
}

impl fmt::Display for WindowsSwitch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Fields {
    setting: WindowsSwitch,
    value: String,
}

impl TryFrom<Fields> for WindowsSetting {
    type Error = String;

    fn try_from(Fields { setting, value }: Fields) -> Result<Self, String> {
        if setting.takes(&value) {
            Ok(Self { setting, value })
        } else {
            let value: String = value.chars().take(40).collect();
            Err(format!("windows.setting: {setting} cannot be {value:?}"))
        }
    }
}

impl From<WindowsSetting> for Fields {
    fn from(WindowsSetting { setting, value }: WindowsSetting) -> Self {
        Self { setting, value }
    }
}

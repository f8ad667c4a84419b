//! The operating systems of the simulated fleet, as the scanner names them and as their own files name themselves.

use std::path::Path;

/// An operating system release of the simulated fleet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Os {
    /// Debian 11.
    Debian11,
    /// Debian 12.
    Debian12,
    /// Ubuntu 16.04, long out of ordinary support.
    Ubuntu1604,
    /// Ubuntu 18.04.
    Ubuntu1804,
    /// Ubuntu 20.04.
    Ubuntu2004,
    /// Ubuntu 22.04.
    Ubuntu2204,
    /// Ubuntu 24.04.
    Ubuntu2404,
    /// Red Hat Enterprise Linux 9; has no Debian package data base, so it never gets a root folder.
    Rhel9,
    /// Windows Server 2019.
    Windows2019,
    /// Windows Server 2022.
    Windows2022,
    /// Windows 11.
    Windows11,
}

use Os::{
    Debian11, Debian12, Rhel9, Ubuntu1604, Ubuntu1804, Ubuntu2004, Ubuntu2204, Ubuntu2404, Windows11, Windows2019,
    Windows2022,
};

/// Releases that a root folder can be written for.
pub const DEBIAN_FAMILY: &[Os] = &[Debian11, Debian12, Ubuntu1604, Ubuntu1804, Ubuntu2004, Ubuntu2204, Ubuntu2404];

impl Os {
    /// The name in the scanner's OS column.
    pub fn scanner_name(self) -> &'static str {
        match self {
            Debian11 => "Debian Linux 11.5",
            Debian12 => "Debian Linux 12.1",
            Ubuntu1604 => "Ubuntu Linux 16.04.7",
            Ubuntu1804 => "Ubuntu Linux 18.04.6",
            Ubuntu2004 => "Ubuntu Linux 20.04.6",
            Ubuntu2204 => "Ubuntu Linux 22.04.2",
            Ubuntu2404 => "Ubuntu Linux 24.04",
            Rhel9 => "Red Hat Enterprise Linux 9.2",
            Windows2019 => "Windows Server 2019 Standard 64 bit Edition Version 1809",
            Windows2022 => "Windows Server 2022 Datacenter 64 bit Edition Version 21H2",
            Windows11 => "Windows 11 Enterprise 64 bit Edition Version 23H2",
        }
    }

    /// The `ID` and `VERSION_ID` of os-release; empty for Windows.
    pub fn release(self) -> (&'static str, &'static str) {
        match self {
            Debian11 => ("debian", "11"),
            Debian12 => ("debian", "12"),
            Ubuntu1604 => ("ubuntu", "16.04"),
            Ubuntu1804 => ("ubuntu", "18.04"),
            Ubuntu2004 => ("ubuntu", "20.04"),
            Ubuntu2204 => ("ubuntu", "22.04"),
            Ubuntu2404 => ("ubuntu", "24.04"),
            Rhel9 => ("rhel", "9.2"),
            Windows2019 | Windows2022 | Windows11 => ("", ""),
        }
    }

    /// The release's code name; empty where there is none.
    pub fn codename(self) -> &'static str {
        match self {
            Debian11 => "bullseye",
            Debian12 => "bookworm",
            Ubuntu1604 => "xenial",
            Ubuntu1804 => "bionic",
            Ubuntu2004 => "focal",
            Ubuntu2204 => "jammy",
            Ubuntu2404 => "noble",
            Rhel9 => "Plow",
            Windows2019 | Windows2022 | Windows11 => "",
        }
    }

    /// Whether the host keeps a dpkg data base.
    pub fn is_debian_family(self) -> bool {
        DEBIAN_FAMILY.contains(&self)
    }

    /// Whether it is a Windows release.
    pub fn is_windows(self) -> bool {
        matches!(self, Windows2019 | Windows2022 | Windows11)
    }

    /// Reads which release lives under a root folder; `None` when os-release is missing or names another system.
    pub fn under(root: &Path) -> Option<Self> {
        let text = ["etc/os-release", "usr/lib/os-release"]
            .iter()
            .find_map(|path| std::fs::read_to_string(root.join(path)).ok())?;
        let value = |key: &str| {
            text.lines()
                .filter_map(|line| line.split_once('='))
                .find(|(name, _)| name.trim() == key)
                .map(|(_, value)| value.trim().trim_matches('"').to_owned())
        };
        let (id, version) = (value("ID")?, value("VERSION_ID")?);
        DEBIAN_FAMILY.iter().copied().find(|os| os.release() == (id.as_str(), version.as_str()))
    }
}

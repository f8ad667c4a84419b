//! Which versions a demo host may have installed, and the ordinary packages every server has.

use crate::os::Os::{self, Debian11, Debian12, Ubuntu1604, Ubuntu1804, Ubuntu2004, Ubuntu2204, Ubuntu2404};

/// A package that decides about weaknesses.
pub(super) struct Package {
    pub(super) name: &'static str,
    /// Chance of being installed.
    pub(super) percent: u64,
    /// A demo host (by index) that always has it where the release knows it.
    pub(super) guaranteed_on: Option<u32>,
    versions: &'static [(Os, &'static [&'static str])],
}

impl Package {
    /// The versions a release may have; empty when it has none.
    pub(super) fn versions(&self, os: Os) -> &'static [&'static str] {
        self.versions.iter().find(|(release, _)| *release == os).map_or(&[], |(_, versions)| *versions)
    }
}

/// Kernels of a release: release name and package version.
pub(super) fn kernels(os: Os) -> &'static [(&'static str, &'static str)] {
    match os {
        Debian11 => &[("5.10.0-8-amd64", "5.10.46-4"), ("5.10.0-9-amd64", "5.10.70-1")],
        Debian12 => &[("6.1.0-9-amd64", "6.1.27-1"), ("6.1.0-13-amd64", "6.1.55-1"), ("6.1.0-16-amd64", "6.1.67-1")],
        Ubuntu1604 => &[("4.4.0-59-generic", "4.4.0-59.80"), ("4.4.0-62-generic", "4.4.0-62.83")],
        Ubuntu1804 => &[("4.15.0-45-generic", "4.15.0-45.48"), ("4.15.0-50-generic", "4.15.0-50.54")],
        Ubuntu2004 => &[("5.4.0-70-generic", "5.4.0-70.78"), ("5.4.0-91-generic", "5.4.0-91.102")],
        Ubuntu2404 => &[("6.8.0-31-generic", "6.8.0-31.31"), ("6.8.0-45-generic", "6.8.0-45.45")],
        _ => &[("5.15.0-60-generic", "5.15.0-60.66"), ("5.15.0-75-generic", "5.15.0-75.82")],
    }
}

/// Packages in the order their presence is drawn.
pub(super) const OPTIONAL: &[Package] = &[
    Package {
        name: "openssh-server",
        percent: 100,
        guaranteed_on: None,
        versions: &[
            (Debian11, &["1:8.4p1-5", "1:8.4p1-5+deb11u1"]),
            (Debian12, &["1:9.2p1-2", "1:9.2p1-2+deb12u1"]),
            (Ubuntu1604, &["1:7.2p2-4ubuntu2.8", "1:7.2p2-4ubuntu2.10"]),
            (Ubuntu1804, &["1:7.6p1-4ubuntu0.3", "1:7.6p1-4ubuntu0.7"]),
            (Ubuntu2004, &["1:8.2p1-4ubuntu0.5", "1:8.2p1-4ubuntu0.9"]),
            (Ubuntu2204, &["1:8.9p1-3", "1:8.9p1-3ubuntu0.4"]),
            (Ubuntu2404, &["1:9.6p1-3ubuntu13"]),
        ],
    },
    Package {
        name: "policykit-1",
        percent: 100,
        guaranteed_on: None,
        versions: &[
            (Debian11, &["0.105-31"]),
            (Ubuntu1604, &["0.105-14.1ubuntu0.5"]),
            (Ubuntu1804, &["0.105-20ubuntu0.18.04.5"]),
            (Ubuntu2004, &["0.105-26ubuntu1", "0.105-26ubuntu1.1"]),
            (Ubuntu2204, &["0.105-33"]),
        ],
    },
    // From here on polkit is packaged under another name and has no weakness in the table.
    Package {
        name: "polkitd",
        percent: 100,
        guaranteed_on: None,
        versions: &[(Debian12, &["122-3"]), (Ubuntu2404, &["124-2ubuntu1"])],
    },
    Package {
        name: "cups-browsed",
        percent: 45,
        guaranteed_on: Some(1),
        versions: &[
            (Debian11, &["1.28.7-1+deb11u1"]),
            (Debian12, &["1.28.17-3"]),
            (Ubuntu2004, &["1.27.4-1"]),
            (Ubuntu2204, &["1.28.15-0ubuntu1", "1.28.15-0ubuntu1.2"]),
            (Ubuntu2404, &["2.0.0-0ubuntu10"]),
        ],
    },
    Package {
        name: "inetutils-telnetd",
        percent: 25,
        guaranteed_on: Some(2),
        versions: &[
            (Debian11, &["2:2.0-1+deb11u2"]),
            (Debian12, &["2:2.4-2+deb12u1"]),
            (Ubuntu2004, &["2:1.9.4-11ubuntu0.2"]),
            (Ubuntu2204, &["2:2.2-2"]),
            (Ubuntu2404, &["2:2.5-3ubuntu4"]),
        ],
    },
    Package {
        name: "needrestart",
        percent: 55,
        guaranteed_on: Some(0),
        versions: &[
            (Debian11, &["3.5-4+deb11u2"]),
            (Debian12, &["3.6-4", "3.6-4+deb12u1"]),
            (Ubuntu2004, &["3.4-6ubuntu0.1"]),
            (Ubuntu2204, &["3.5-5ubuntu2", "3.5-5ubuntu2.1"]),
            (Ubuntu2404, &["3.6-7ubuntu4"]),
        ],
    },
    Package {
        name: "sudo",
        percent: 100,
        guaranteed_on: None,
        versions: &[
            (Debian11, &["1.9.5p2-3"]),
            (Debian12, &["1.9.13p3-1+deb12u1"]),
            (Ubuntu1604, &["1.8.16-0ubuntu1.10"]),
            (Ubuntu1804, &["1.8.21p2-3ubuntu1.4"]),
            (Ubuntu2004, &["1.8.31-1ubuntu1.2"]),
            (Ubuntu2204, &["1.9.9-1ubuntu2", "1.9.9-1ubuntu2.4"]),
            (Ubuntu2404, &["1.9.15p5-3ubuntu5"]),
        ],
    },
    Package {
        name: "udisks2",
        percent: 50,
        guaranteed_on: None,
        versions: &[
            (Debian11, &["2.9.2-2+deb11u1"]),
            (Debian12, &["2.9.4-4"]),
            (Ubuntu2004, &["2.8.4-1ubuntu2"]),
            (Ubuntu2204, &["2.9.4-1ubuntu2"]),
            (Ubuntu2404, &["2.10.1-6build1"]),
        ],
    },
    Package {
        name: "systemd",
        percent: 100,
        guaranteed_on: None,
        versions: &[
            (Debian11, &["247.3-7+deb11u4"]),
            (Debian12, &["252.12-1~deb12u1", "252.22-1~deb12u1"]),
            (Ubuntu1604, &["229-4ubuntu21.31"]),
            (Ubuntu1804, &["237-3ubuntu10.57"]),
            (Ubuntu2004, &["245.4-4ubuntu3.22"]),
            (Ubuntu2204, &["249.11-0ubuntu3.9"]),
            (Ubuntu2404, &["255.4-1ubuntu8"]),
        ],
    },
    Package {
        name: "postfix",
        percent: 35,
        guaranteed_on: None,
        versions: &[
            (Debian11, &["3.5.25-0+deb11u1"]),
            (Debian12, &["3.7.6-0+deb12u2"]),
            (Ubuntu2204, &["3.6.4-1ubuntu1.1"]),
        ],
    },
    Package {
        name: "apache2",
        percent: 35,
        guaranteed_on: None,
        versions: &[
            (Debian11, &["2.4.46-4"]),
            (Debian12, &["2.4.57-2"]),
            (Ubuntu2004, &["2.4.41-4ubuntu3.1"]),
            (Ubuntu2204, &["2.4.52-1ubuntu4.5", "2.4.52-1ubuntu4.6"]),
        ],
    },
    Package {
        name: "libc6",
        percent: 100,
        guaranteed_on: None,
        versions: &[
            (Debian11, &["2.31-13+deb11u5", "2.31-13+deb11u8"]),
            (Debian12, &["2.36-9", "2.36-9+deb12u4"]),
            (Ubuntu1604, &["2.23-0ubuntu11.3"]),
            (Ubuntu1804, &["2.27-3ubuntu1.6"]),
            (Ubuntu2004, &["2.31-0ubuntu9.9"]),
            (Ubuntu2204, &["2.35-0ubuntu3.1", "2.35-0ubuntu3.8"]),
            (Ubuntu2404, &["2.39-0ubuntu8"]),
        ],
    },
    Package {
        name: "curl",
        percent: 75,
        guaranteed_on: None,
        versions: &[
            (Debian11, &["7.74.0-1.3+deb11u7"]),
            (Debian12, &["7.88.1-10", "7.88.1-10+deb12u5"]),
            (Ubuntu1604, &["7.47.0-1ubuntu2.19"]),
            (Ubuntu1804, &["7.58.0-2ubuntu3.24"]),
            (Ubuntu2004, &["7.68.0-1ubuntu2.18"]),
            (Ubuntu2204, &["7.81.0-1ubuntu1.10", "7.81.0-1ubuntu1.15"]),
            (Ubuntu2404, &["8.5.0-2ubuntu10"]),
        ],
    },
    Package {
        name: "apt",
        percent: 100,
        guaranteed_on: None,
        versions: &[
            (Debian11, &["2.2.4"]),
            (Debian12, &["2.6.1"]),
            (Ubuntu1604, &["1.2.29"]),
            (Ubuntu1804, &["1.6.6"]),
            (Ubuntu2004, &["2.0.9"]),
            (Ubuntu2204, &["2.4.9"]),
            (Ubuntu2404, &["2.7.14build2"]),
        ],
    },
];

/// Packages without a weakness, so that the data base looks like one. The versions are not judged.
pub(super) const ORDINARY: &[(&str, &str, &str)] = &[
    ("adduser", "3.134", "add and remove users and groups"),
    ("base-files", "12.4", "base system miscellaneous files"),
    ("bash", "5.2.15-2+b2", "GNU Bourne Again SHell"),
    ("coreutils", "9.1-1", "GNU core utilities"),
    ("cron", "3.0pl1-162", "process scheduling daemon"),
    ("dpkg", "1.21.22", "package management system"),
    ("gzip", "1.12-1", "GNU compression utilities"),
    ("iproute2", "6.1.0-3", "networking and traffic control tools"),
    ("kmod", "30+20221128-1", "tools for managing Linux kernel modules"),
    ("libssl3", "3.0.11-1~deb12u2", "cryptography library"),
    ("login", "1:4.13+dfsg1-1+b1", "system login tools"),
    ("logrotate", "3.21.0-1", "log rotation utility"),
    ("mount", "2.38.1-5+b1", "tools for mounting filesystems"),
    ("passwd", "1:4.13+dfsg1-1+b1", "change and administer password data"),
    ("procps", "2:4.0.2-3", "/proc file system utilities"),
    ("rsyslog", "8.2302.0-1", "system and kernel logging daemon"),
    ("tzdata", "2024a-0+deb12u1", "time zone data"),
    ("util-linux", "2.38.1-5+b1", "miscellaneous system utilities"),
    ("vim-common", "2:9.0.1378-2", "editor, common files"),
    ("zlib1g", "1:1.2.13.dfsg-1", "compression library, runtime"),
];

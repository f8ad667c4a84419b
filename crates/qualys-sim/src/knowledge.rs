//! The simulated knowledge base: every QID lies in 900000-909999, every text is ours.
//!
//! | Range | What |
//! |---|---|
//! | 900000-900999 | the demo set ([`crate::weakness`]), real CVE numbers |
//! | 901000-904999 | ordinary Linux package updates, invented CVE numbers `CVE-2025-9nnnnn` |
//! | 905000-905999 | information gathered |
//! | 906000-907999 | Windows: a few well-known ones, then ordinary updates with invented numbers |

use crate::os::Os;
use crate::roll::Roll;
use crate::weakness::{self, Gain, Weakness};
use jiff::{SignedDuration, Timestamp};

/// The smallest QID of the simulator.
pub const QID_FIRST: u32 = 900_000;
/// The largest QID of the simulator.
pub const QID_LAST: u32 = 909_999;
const LINUX_FIRST: u32 = 901_000;
const LINUX_MAX: u32 = 4_000;
const INFO_FIRST: u32 = 905_000;
const WINDOWS_FIRST: u32 = 906_000;
const WINDOWS_MAX: u32 = 2_000;

/// What kind of signature an entry is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EntryKind {
    /// A vulnerability.
    Confirmed,
    /// A potential vulnerability.
    Potential,
    /// Information gathered; has no status and no score.
    Information,
}

impl EntryKind {
    /// The knowledge base's word for it.
    pub fn vuln_type(self) -> &'static str {
        match self {
            Self::Confirmed => "Vulnerability",
            Self::Potential => "Potential Vulnerability",
            Self::Information => "Information Gathered",
        }
    }

    /// The detection's word for it.
    pub fn detection_type(self) -> &'static str {
        match self {
            Self::Confirmed => "Confirmed",
            Self::Potential => "Potential",
            Self::Information => "Info",
        }
    }
}

/// One entry of the knowledge base.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// QID.
    pub qid: u32,
    /// Kind of signature.
    pub kind: EntryKind,
    /// Severity 1 to 5.
    pub severity: u8,
    /// Title.
    pub title: String,
    /// Category.
    pub category: String,
    /// CVE numbers.
    pub cves: Vec<String>,
    /// Product and vendor.
    pub software: Option<(String, String)>,
    /// Vendor reference id and address.
    pub reference: Option<(String, String)>,
    /// Threat text, with HTML fragments.
    pub diagnosis: String,
    /// Impact text.
    pub consequence: String,
    /// Solution text.
    pub solution: String,
    /// A patch exists.
    pub patchable: bool,
    /// When the entry was published.
    pub published: Timestamp,
    /// When the service last changed it.
    pub modified: Timestamp,
    /// CVSS version 3 base score and vector.
    pub cvss3: Option<(f32, String)>,
    /// Threat intelligence ids and names.
    pub threat_intelligence: Vec<(u32, String)>,
    /// Found over the network without a login.
    pub remote: bool,
    /// Login kinds that find it.
    pub auth_types: Vec<&'static str>,
    /// Detection score 1 to 100; 0 for information gathered.
    pub score: u8,
    /// Exploit prediction, 0 to 1.
    pub epss: f32,
    /// Port and protocol of findings made over the network.
    pub port: Option<(u16, &'static str)>,
}

/// Information gathered: QID offset, title, category, diagnosis.
const INFORMATION: &[(&str, &str, &str)] = &[
    (
        "Operating System Detected",
        "Information gathering",
        "The scanner recognised the operating system from its answers or by logging in.",
    ),
    ("Host Names Found", "Information gathering", "Names by which the host is known to name services."),
    ("Open TCP Services List", "TCP/IP", "Ports that accept connections and the service behind each."),
    ("Installed Packages on Host", "Local", "The package manager's list, read after logging in."),
    ("Secure Shell Server Banner", "General remote services", "The text with which the SSH server greets."),
    ("Scan Activity per Port", "Information gathering", "Seconds the scanner spent on each port."),
];

/// Well-known Windows entries: title, CVEs, severity, score, threats.
const WINDOWS: &[(&str, &[&str], u8, u8, &str)] = &[
    (
        "Microsoft Windows Print Spooler Remote Code Execution (PrintNightmare)",
        &["CVE-2021-34527", "CVE-2021-1675"],
        5,
        96,
        "Exploit_Public,Active_Attacks,Ransomware,Cisa_Known_Exploited_Vulns,Remote_Code_Execution",
    ),
    (
        "Microsoft Windows SMB Signing Not Required",
        &["CVE-2025-33073"],
        4,
        83,
        "Exploit_Public,Active_Attacks,Cisa_Known_Exploited_Vulns",
    ),
    (
        "Microsoft Windows HTTP Protocol Stack Remote Code Execution",
        &["CVE-2022-21907"],
        5,
        85,
        "Exploit_Public,Remote_Code_Execution",
    ),
    (
        "WinVerifyTrust Signature Validation Not Enforced",
        &["CVE-2013-3900"],
        4,
        74,
        "Active_Attacks,Cisa_Known_Exploited_Vulns",
    ),
    (
        "Windows Server Update Services Remote Code Execution",
        &["CVE-2025-59287"],
        5,
        95,
        "Exploit_Public,Active_Attacks,Cisa_Known_Exploited_Vulns",
    ),
];

const PRODUCTS: &[(&str, &str)] = &[
    ("openssl", "openssl"),
    ("vim", "vim"),
    ("python3", "python"),
    ("perl", "perl"),
    ("nginx", "f5"),
    ("postgresql", "postgresql"),
    ("libxml2", "gnome"),
    ("expat", "libexpat"),
    ("bind9", "isc"),
    ("openjdk", "oracle"),
    ("git", "git"),
    ("tar", "gnu"),
    ("krb5", "mit"),
    ("samba", "samba"),
    ("php", "php"),
    ("ruby", "ruby-lang"),
    ("node", "openjs"),
    ("redis", "redis"),
    ("libtiff", "libtiff"),
    ("busybox", "busybox"),
];
const WINDOWS_PRODUCTS: &[(&str, &str)] = &[
    ("windows", "microsoft"),
    ("office", "microsoft"),
    ("edge", "microsoft"),
    (".net", "microsoft"),
    ("chrome", "google"),
    ("acrobat", "adobe"),
    ("7-zip", "7-zip"),
    ("vlc", "videolan"),
];
const FLAWS: &[(&str, Gain)] = &[
    ("Heap Buffer Overflow", Gain::RemoteCode),
    ("Use After Free", Gain::Root),
    ("Denial of Service", Gain::Outage),
    ("Information Disclosure", Gain::Leak),
    ("Privilege Escalation", Gain::Root),
    ("Improper Certificate Check", Gain::Leak),
    ("Path Traversal", Gain::Leak),
    ("Integer Overflow", Gain::RemoteCode),
];

/// The knowledge base of one seed.
#[derive(Debug, Clone, Copy)]
pub struct Knowledge {
    seed: u64,
    linux: u32,
    windows: u32,
    origin: Timestamp,
}

impl Knowledge {
    /// A knowledge base with the given number of ordinary entries for Linux and for Windows; `origin` is "now" when the data set was made.
    pub fn new(seed: u64, linux: u32, windows: u32, origin: Timestamp) -> Self {
        let known = u32::try_from(WINDOWS.len()).unwrap_or(0);
        Self { seed, linux: linux.min(LINUX_MAX), windows: windows.clamp(known, WINDOWS_MAX), origin }
    }

    /// Number of ordinary Linux entries.
    pub fn linux_len(&self) -> u32 {
        self.linux
    }

    /// Every QID, ascending.
    pub fn qids(&self) -> impl Iterator<Item = u32> + use<> {
        let information = u32::try_from(INFORMATION.len()).unwrap_or(0);
        weakness::all()
            .map(|weakness| weakness.qid)
            .chain(LINUX_FIRST..LINUX_FIRST + self.linux)
            .chain(INFO_FIRST..INFO_FIRST + information)
            .chain(WINDOWS_FIRST..WINDOWS_FIRST + self.windows)
    }

    /// QIDs of the ordinary entries a kind of host can have, of which a host takes some.
    pub fn ordinary(&self, windows: bool) -> (u32, u32) {
        if windows { (WINDOWS_FIRST, self.windows) } else { (LINUX_FIRST, self.linux) }
    }

    /// QIDs of information gathered.
    pub fn information(&self) -> impl Iterator<Item = u32> + use<> {
        INFO_FIRST..INFO_FIRST + u32::try_from(INFORMATION.len()).unwrap_or(0)
    }

    /// Whether a QID only concerns Windows.
    pub fn is_windows(qid: u32) -> bool {
        (WINDOWS_FIRST..WINDOWS_FIRST + WINDOWS_MAX).contains(&qid)
    }

    /// The detection score of a QID in this data set; 0 for information gathered and unknown QIDs.
    pub fn score(&self, qid: u32) -> u8 {
        self.brief(qid).map_or(0, |(_, _, score, _)| score)
    }

    /// Kind, severity, score and port of a QID: what a detection row needs, without the texts.
    pub fn brief(&self, qid: u32) -> Option<(EntryKind, u8, u8, Option<(u16, &'static str)>)> {
        if let Some(weakness) = weakness::find(qid) {
            let score = self.vary(qid, weakness.score);
            return Some((EntryKind::Confirmed, weakness.severity, score, weakness.port));
        }
        if let Some(at) = place(qid, INFO_FIRST, self.information().count()) {
            return INFORMATION.get(at).map(|_| (EntryKind::Information, 1, 0, None));
        }
        if let Some(known) = place(qid, WINDOWS_FIRST, WINDOWS.len()).and_then(|at| WINDOWS.get(at)) {
            return Some((EntryKind::Confirmed, known.2, self.vary(qid, known.3), None));
        }
        let linux = place(qid, LINUX_FIRST, self.linux as usize).is_some();
        let windows = place(qid, WINDOWS_FIRST, self.windows as usize).is_some();
        if !linux && !windows {
            return None;
        }
        let mut roll = Roll::new(self.seed, &[20, u64::from(qid)]);
        let severity = u8::try_from(roll.below(3) + roll.below(2) + 2).unwrap_or(3).min(5);
        let spread = u8::try_from(roll.below(18)).unwrap_or(0);
        let score = (severity * 16).saturating_sub(9) + spread;
        let kind = if roll.chance(12) { EntryKind::Potential } else { EntryKind::Confirmed };
        let port = roll.chance(25).then(|| *roll.pick(&[(443, "tcp"), (8443, "tcp"), (80, "tcp"), (5432, "tcp")]));
        Some((kind, severity, score.min(100), port))
    }

    /// The whole entry of a QID.
    pub fn entry(&self, qid: u32) -> Option<Entry> {
        let (kind, severity, score, port) = self.brief(qid)?;
        let mut roll = Roll::new(self.seed, &[21, u64::from(qid)]);
        let published = self.days_ago(roll.between(60, 1500), roll.between(0, 86_399));
        let modified = published.checked_add(SignedDuration::from_hours(24 * roll.between(1, 59))).unwrap_or(published);
        let blank = Entry {
            qid,
            kind,
            severity,
            title: String::new(),
            category: "Local".to_owned(),
            cves: Vec::new(),
            software: None,
            reference: None,
            diagnosis: String::new(),
            consequence: String::new(),
            solution: String::new(),
            patchable: true,
            published,
            modified,
            cvss3: None,
            threat_intelligence: Vec::new(),
            remote: false,
            auth_types: vec!["Unix"],
            score,
            epss: 0.0,
            port,
        };
        if let Some(weakness) = weakness::find(qid) {
            return Some(of_weakness(weakness, blank));
        }
        if kind == EntryKind::Information {
            let (title, category, diagnosis) = INFORMATION.get(place(qid, INFO_FIRST, INFORMATION.len())?)?;
            return Some(Entry {
                title: (*title).to_owned(),
                category: (*category).to_owned(),
                diagnosis: (*diagnosis).to_owned(),
                patchable: false,
                remote: true,
                ..blank
            });
        }
        if let Some(known) = place(qid, WINDOWS_FIRST, WINDOWS.len()).and_then(|at| WINDOWS.get(at)) {
            return Some(of_windows(known, blank));
        }
        Some(ordinary(&mut roll, blank))
    }

    fn vary(&self, qid: u32, score: u8) -> u8 {
        let by = Roll::new(self.seed, &[22, u64::from(qid)]).between(-4, 4);
        u8::try_from((i64::from(score) + by).clamp(1, 100)).unwrap_or(score)
    }

    fn days_ago(&self, days: i64, seconds: i64) -> Timestamp {
        let back = SignedDuration::from_secs(days * 86_400 - seconds);
        self.origin.checked_sub(back).unwrap_or(self.origin)
    }
}

fn place(qid: u32, first: u32, len: usize) -> Option<usize> {
    let at = usize::try_from(qid.checked_sub(first)?).ok()?;
    (at < len).then_some(at)
}

fn consequence(gain: Gain) -> &'static str {
    match gain {
        Gain::RemoteCode => "An attacker who reaches the service may run code on the host.",
        Gain::Root => "A local user may gain the rights of the administrator.",
        Gain::Outage => "An attacker may stop the service or the whole host.",
        Gain::Leak => "An attacker may read or change data that should be protected.",
    }
}

/// Ids of the threat intelligence vocabulary, keyed by name.
fn threat_id(name: &str) -> u32 {
    match name {
        "Exploit_Public" => 2,
        "Active_Attacks" => 3,
        "High_Lateral_Movement" => 4,
        "Denial_of_Service" => 6,
        "No_Patch" => 8,
        "Ransomware" => 12,
        "Privilege_Escalation" => 13,
        "Remote_Code_Execution" => 15,
        "Cisa_Known_Exploited_Vulns" => 18,
        _ => 99,
    }
}

fn threats(list: &str) -> Vec<(u32, String)> {
    list.split(',').filter(|name| !name.is_empty()).map(|name| (threat_id(name), name.to_owned())).collect()
}

fn of_weakness(weakness: &Weakness, blank: Entry) -> Entry {
    let update = if weakness.package.is_empty() {
        String::new()
    } else {
        let versions: Vec<String> = weakness
            .fixed
            .iter()
            .map(|(os, version)| format!("{} {}: {version}", os.release().0, os.release().1))
            .collect();
        format!("Install the corrected <B>{}</B> package:<BR>{}", weakness.package, versions.join("<BR>"))
    };
    let workaround = if weakness.workaround.is_empty() {
        String::new()
    } else {
        format!("<P>Workaround:<BR>{}", weakness.workaround)
    };
    Entry {
        title: weakness.title.to_owned(),
        category: weakness.category.to_owned(),
        cves: weakness.cves.iter().map(|cve| (*cve).to_owned()).collect(),
        software: (!weakness.package.is_empty()).then(|| (weakness.package.to_owned(), "linux".to_owned())),
        diagnosis: weakness.diagnosis.to_owned(),
        consequence: consequence(weakness.gain).to_owned(),
        solution: format!("{update}{workaround}"),
        patchable: !weakness.package.is_empty(),
        cvss3: Some((weakness.cvss, weakness.vector.to_owned())),
        threat_intelligence: threats(weakness.threats),
        remote: weakness.port.is_some(),
        epss: weakness.epss,
        ..blank
    }
}

fn of_windows(known: &(&str, &[&str], u8, u8, &str), blank: Entry) -> Entry {
    let (title, cves, _, _, list) = *known;
    Entry {
        title: title.to_owned(),
        category: "Windows".to_owned(),
        cves: cves.iter().map(|cve| (*cve).to_owned()).collect(),
        software: Some(("windows".to_owned(), "microsoft".to_owned())),
        diagnosis: "The host lacks the update or the setting that closes this weakness.".to_owned(),
        consequence: consequence(Gain::RemoteCode).to_owned(),
        solution: "Install the current cumulative update, or apply the vendor's setting.".to_owned(),
        cvss3: Some((8.8, "CVSS:3.1/AV:N/AC:L/PR:L/UI:N/S:U/C:H/I:H/A:H".to_owned())),
        threat_intelligence: threats(list),
        auth_types: vec!["Windows"],
        epss: 0.5,
        ..blank
    }
}

fn ordinary(roll: &mut Roll, blank: Entry) -> Entry {
    let windows = Knowledge::is_windows(blank.qid);
    let (product, vendor) = *roll.pick(if windows { WINDOWS_PRODUCTS } else { PRODUCTS });
    let (flaw, gain) = *roll.pick(FLAWS);
    let cves =
        (0..roll.below(3) + u64::from(!roll.chance(20))).map(|at| format!("CVE-2025-{}{}", blank.qid, at)).collect();
    let base = f32::from(blank.severity) * 1.9 + f32::from(u8::try_from(roll.below(5)).unwrap_or(0)) / 10.0;
    Entry {
        title: format!("{product} Security Update: {flaw} (SIM-{})", blank.qid),
        category: if windows { "Windows" } else { "Local" }.to_owned(),
        cves,
        software: Some((product.to_owned(), vendor.to_owned())),
        reference: Some((format!("SIM-{}", blank.qid), format!("https://advisories.example/SIM-{}", blank.qid))),
        diagnosis: format!(
            "The installed version of <B>{product}</B> has a flaw of the kind &quot;{flaw}&quot;.<P>\
             The check compares the installed version with the first corrected one.<BR>"
        ),
        consequence: consequence(gain).to_owned(),
        solution: format!(
            "Update {product} to the version named in <A HREF=\"https://advisories.example/SIM-{}\">the advisory</A>.",
            blank.qid
        ),
        cvss3: Some((base.min(10.0), "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:L/I:L/A:L".to_owned())),
        threat_intelligence: if roll.chance(15) { threats("Exploit_Public") } else { Vec::new() },
        remote: blank.port.is_some(),
        auth_types: if windows { vec!["Windows"] } else { vec!["Unix"] },
        epss: f32::from(u8::try_from(roll.below(40)).unwrap_or(0)) / 1000.0,
        ..blank
    }
}

/// Whether a host of this system can have the demo weakness at all.
pub fn concerns(os: Os, weakness: &Weakness) -> bool {
    weakness.package.is_empty() || weakness.fixed_on(os).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn knowledge() -> Knowledge {
        Knowledge::new(1, 120, 60, "2026-01-01T00:00:00Z".parse().expect("a fixed instant"))
    }

    #[test]
    fn every_qid_has_an_entry_in_the_stated_range_and_in_order() {
        let knowledge = knowledge();
        let qids: Vec<u32> = knowledge.qids().collect();
        assert!(qids.is_sorted() && qids.len() > 200);
        for qid in qids {
            assert!((QID_FIRST..=QID_LAST).contains(&qid));
            let entry = knowledge.entry(qid).expect("an entry");
            assert!(!entry.title.is_empty() && !entry.diagnosis.is_empty(), "{qid}");
            assert_eq!(entry.score == 0, entry.kind == EntryKind::Information, "{qid}");
        }
        assert_eq!(knowledge.entry(123), None);
        assert_eq!(knowledge.entry(909_999), None);
    }

    #[test]
    fn another_seed_scores_differently() {
        let other = Knowledge { seed: 2, ..knowledge() };
        assert!(other.qids().any(|qid| other.score(qid) != knowledge().score(qid)));
    }
}

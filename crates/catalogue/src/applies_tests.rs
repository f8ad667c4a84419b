//! Tests of [`super`].

use std::collections::BTreeMap;

use super::*;

#[derive(Default)]
struct Host {
    os: Option<OsRelease>,
    packages: Option<BTreeMap<String, String>>,
    probes: BTreeMap<String, bool>,
}

impl HostFacts for Host {
    fn os(&self) -> Option<&OsRelease> {
        self.os.as_ref()
    }

    fn version_scheme(&self) -> Option<VersionScheme> {
        Some(VersionScheme::Dpkg)
    }

    fn installed(&self, name: &PackageName) -> Option<Option<String>> {
        self.packages.as_ref().map(|packages| packages.get(name.as_str()).cloned())
    }

    fn probe(&self, probe: &Probe) -> Option<bool> {
        self.probes.get(&probe.describe()).copied()
    }
}

fn host(os_release: &str, packages: &[(&str, &str)]) -> Host {
    Host {
        os: OsRelease::parse(os_release),
        packages: Some(packages.iter().map(|(name, version)| (name.to_string(), version.to_string())).collect()),
        probes: BTreeMap::new(),
    }
}

fn applies(toml: &str) -> Applies {
    toml::from_str(toml).unwrap()
}

const DEBIAN: &str = "ID=debian\nVERSION_ID=\"12\"\n";
const UBUNTU: &str = "ID=ubuntu\nID_LIKE=debian\nVERSION_ID=\"22.04\"\n";
const ROCKY: &str = "ID=\"rocky\"\nID_LIKE=\"rhel centos fedora\"\nVERSION_ID=\"9.4\"\n";
const MINT: &str = "ID=linuxmint\nID_LIKE=\"ubuntu debian\"\nVERSION_ID=21\n";

#[test]
fn operating_systems() {
    for (condition, release, expected) in [
        (r#"os = [{ family = "debian", version = ">=12" }]"#, DEBIAN, true),
        (r#"os = [{ family = "debian", version = ">=13" }]"#, DEBIAN, false),
        // Ubuntu's 22.04 is not Debian 22.
        (r#"os = [{ family = "debian", version = ">=12" }]"#, UBUNTU, false),
        (r#"os = [{ family = "debian" }]"#, UBUNTU, true),
        (r#"os = [{ family = "debian" }]"#, MINT, true),
        (r#"os = [{ family = "ubuntu", version = ">=20.04" }]"#, UBUNTU, true),
        (r#"os = [{ family = "rhel", version = "9" }]"#, ROCKY, true),
        (r#"os = [{ family = "rhel", version = "8" }]"#, ROCKY, false),
        (r#"os = [{ family = "suse" }, { family = "rhel" }]"#, ROCKY, true),
        ("", ROCKY, true),
    ] {
        let answer = applies(condition).decide(&host(release, &[]));
        assert_eq!(answer == Applicability::Applicable, expected, "{condition} on {release}: {answer:?}");
    }
    let unknown = Host::default();
    assert!(matches!(applies(r#"os = [{ family = "rhel" }]"#).decide(&unknown), Applicability::Unknown(_)));
    assert_eq!(applies("").decide(&unknown), Applicability::Applicable);
}

#[test]
fn packages() {
    let condition = applies(r#"package = [{ any = ["openssh-server", "openssh"], version = ">=8.5" }]"#);
    let decide = |packages: &[(&str, &str)]| condition.decide(&host(DEBIAN, packages));
    assert_eq!(decide(&[("openssh-server", "1:9.2p1-2+deb12u2")]), Applicability::Applicable);
    assert_eq!(decide(&[("openssh", "8.7")]), Applicability::Applicable);
    let Applicability::NotApplicable(reason) = decide(&[("openssh-server", "1:7.9p1-10")]) else { panic!() };
    assert_eq!(reason, "openssh-server is installed as 1:7.9p1-10, needed is >=8.5");
    let Applicability::NotApplicable(reason) = decide(&[]) else { panic!() };
    assert_eq!(reason, "openssh-server or openssh is not installed");
    assert!(matches!(condition.decide(&Host::default()), Applicability::Unknown(_)));
}

#[test]
fn probes_and_precedence() {
    let condition = applies(
        r#"probe = [{ kind = "path.absent", path = "/sys/class/iscsi_session/*" }, { kind = "mount.absent", types = ["overlay"] }]"#,
    );
    let mut host = host(DEBIAN, &[]);
    assert!(matches!(condition.decide(&host), Applicability::Unknown(_)), "nothing known");
    host.probes.insert("there is nothing at /sys/class/iscsi_session/*".to_owned(), true);
    host.probes.insert("no overlay file system is mounted".to_owned(), true);
    assert_eq!(condition.decide(&host), Applicability::Applicable);
    // A failed condition decides even where an earlier one is unknown.
    host.probes.remove("there is nothing at /sys/class/iscsi_session/*");
    host.probes.insert("no overlay file system is mounted".to_owned(), false);
    assert!(matches!(condition.decide(&host), Applicability::NotApplicable(_)));
}

#[test]
fn unknown_fields_and_families_are_refused() {
    for bad in [
        r#"ox = []"#,
        r#"os = [{ family = "debian", codename = "x" }]"#,
        r#"os = [{ family = "plan9" }]"#,
        r#"package = [{ any = ["x"], all = ["y"] }]"#,
        r#"probe = [{ kind = "path.exists", path = "/x", more = 1 }]"#,
        r#"probe = [{ kind = "run", command = "id" }]"#,
        r#"probe = [{ kind = "path.exists", path = "relative" }]"#,
    ] {
        assert!(toml::from_str::<Applies>(bad).is_err(), "{bad}");
    }
}

#[test]
fn conditions_are_told_in_words() {
    let condition = applies(
        r#"
        os = [{ family = "debian" }, { family = "rhel", version = "9" }]
        package = [{ any = ["a", "b"], version = ">=2" }]
        probe = [{ kind = "path.exists", path = "/x" }]
        requires_fixed = ["CVE-2022-26937"]
        conflicts = ["linux-other"]
        "#,
    );
    let told = [
        "the system is Debian or RHEL 9",
        "a or b is installed in version >=2",
        "/x exists",
        "CVE-2022-26937 is patched",
        "linux-other is not in force",
    ];
    assert_eq!(condition.describe(), told);
}

#[test]
fn what_is_surely_another_system() {
    let conditions = |toml: &str| applies(toml).os;
    for (toml, id, version, expected) in [
        (r#"os = []"#, "debian", "12", false),
        (r#"os = [{ family = "debian" }]"#, "debian", "12", false),
        (r#"os = [{ family = "debian" }]"#, "ubuntu", "22.04", false),
        (r#"os = [{ family = "debian" }]"#, "rocky", "9.4", true),
        (r#"os = [{ family = "debian" }]"#, "gobolinux", "17", false),
        (r#"os = [{ family = "rhel", version = "8" }]"#, "rocky", "9.4", true),
        (r#"os = [{ family = "rhel", version = "8" }, { family = "rhel", version = "9" }]"#, "rocky", "9.4", false),
        // Not by its version, though it may have been made of it.
        (r#"os = [{ family = "rhel", version = "9" }]"#, "amzn", "2023", true),
        (r#"os = [{ family = "fedora" }]"#, "amzn", "2023", false),
    ] {
        let system = OsRelease { id: id.to_owned(), id_like: Vec::new(), version: version.to_owned() };
        assert_eq!(system.is_surely_none_of(&conditions(toml)), expected, "{toml} on {id} {version}");
    }
}

#[test]
fn entries_for_different_systems_are_apart() {
    let conditions = |toml: &str| applies(toml).os;
    let (debian, ubuntu) =
        (conditions(r#"os = [{ family = "debian" }]"#), conditions(r#"os = [{ family = "ubuntu" }]"#));
    let rhel = conditions(r#"os = [{ family = "rhel", version = "8" }, { family = "rhel", version = "9" }]"#);
    assert!(apart(&debian, &rhel) && apart(&rhel, &ubuntu));
    assert!(!apart(&debian, &ubuntu) && !apart(&debian, &[]) && !apart(&[], &rhel));
}

#[test]
fn of_several_entries_those_for_other_systems_are_left_out_while_one_is_left() {
    let on = |id: &str| OsRelease { id: id.to_owned(), id_like: Vec::new(), version: "9.4".to_owned() };
    let rivals = [
        (1, applies(r#"os = [{ family = "debian" }]"#).os),
        (2, applies(r#"os = [{ family = "rhel", version = "9" }]"#).os),
        (3, Vec::new()),
    ];
    assert_eq!(fitting(&rivals, Some(&on("debian"))), [1, 3]);
    assert_eq!(fitting(&rivals, Some(&on("rocky"))), [2, 3]);
    assert_eq!(fitting(&rivals, Some(&on("gobolinux"))), [1, 2, 3], "it may be anything");
    assert_eq!(fitting(&rivals, None), [1, 2, 3]);
    assert_eq!(fitting(&rivals[..2], Some(&on("alpine"))), [1, 2], "none is left, so both are tried");
}

//! Tests of [`super`]: tables for dpkg and rpm, and the rule for bounds.

use Ordering::{Equal, Greater, Less};
use proptest::prelude::*;

use super::*;

/// Each row also has to hold the other way round.
fn check(scheme: VersionScheme, table: &[(&str, Ordering, &str)]) {
    for (a, expected, b) in table {
        assert_eq!(compare(scheme, a, b), *expected, "{a} against {b}");
        assert_eq!(compare(scheme, b, a), expected.reverse(), "{b} against {a}");
    }
}

#[test]
fn dpkg_table() {
    check(
        VersionScheme::Dpkg,
        &[
            ("1.0", Equal, "1.0"),
            ("1.0", Less, "1.1"),
            ("1.9", Less, "1.10"),
            ("1.0", Equal, "0:1.0"),
            ("1:0.1", Greater, "9.9"),
            ("1.0-1", Less, "1.0-2"),
            ("1.0-1", Greater, "1.0"),
            ("1.0-0", Equal, "1.0"),
            ("1.0~rc1-1", Less, "1.0-1"),
            ("1.0~~", Less, "1.0~"),
            ("1.0~~a", Less, "1.0~"),
            ("1.0~", Less, "1.0"),
            ("1.0", Less, "1.0a"),
            ("1.0a", Less, "1.0+"),
            ("1.0a", Less, "1.0b"),
            ("1.0+deb12u1", Less, "1.0+deb12u2"),
            ("1:9.2p1-2+deb12u2", Less, "1:9.2p1-2+deb12u3"),
            ("1:8.9p1-3ubuntu0.10", Greater, "1:8.9p1-3ubuntu0.6"),
            ("1:9.2p1-2", Less, "1:9.8p1-1"),
            ("5.6.1+really5.4.5-1", Greater, "5.6.1-1"),
            ("1.0.0001", Equal, "1.0.1"),
            ("2.0-1-1", Greater, "2.0-1"),
            ("99999999999999999999999", Less, "100000000000000000000000"),
            ("0.105-26ubuntu1.2", Less, "0.105-31"),
        ],
    );
}

#[test]
fn rpm_table() {
    check(
        VersionScheme::Rpm,
        &[
            ("1.0", Equal, "1.0"),
            ("1.0", Less, "2.0"),
            ("2.0.1", Greater, "2.0"),
            ("2.0.1a", Greater, "2.0.1"),
            ("5.5p1", Less, "5.5p2"),
            ("5.5p10", Greater, "5.5p1"),
            ("10xyz", Less, "10.1xyz"),
            ("xyz10", Less, "xyz10.1"),
            ("xyz.4", Less, "8"),
            ("6.0.rc1", Greater, "6.0"),
            ("10b2", Greater, "10a1"),
            ("1.0aa", Greater, "1.0a"),
            ("10.0001", Equal, "10.1"),
            ("4.999.9", Less, "5.0"),
            ("20101121", Less, "20101122"),
            ("2_0", Equal, "2.0"),
            ("1.0~rc1", Less, "1.0"),
            ("1.0~rc1", Less, "1.0~rc2"),
            ("1.0~rc1~git123", Less, "1.0~rc1"),
            ("1.0^", Greater, "1.0"),
            ("1.0^git1", Less, "1.01"),
            ("1.0^git1", Less, "1.0.1"),
            ("1.0^git1", Less, "1.0^git2"),
            ("1.0~rc1^git1", Greater, "1.0~rc1"),
            ("1.0^git1~pre", Less, "1.0^git1"),
            ("8.7p1-38.el9", Less, "8.7p1-38.el9_4.1"),
            ("1:1.0-1", Greater, "2.0-1"),
            ("0.118-8.el7", Less, "0.118-10.el7"),
        ],
    );
}

#[test]
fn bounds_compare_only_what_they_write() {
    let holds = |range: &str, scheme, version: &str| range.parse::<VersionRange>().unwrap().contains(scheme, version);
    use VersionScheme::{Dotted, Dpkg, Rpm};
    for (range, scheme, version, expected) in [
        (">=8.5", Dpkg, "1:9.2p1-2+deb12u2", true),
        (">=8.5", Dpkg, "1:7.9p1-10", false),
        (">=8.5", Rpm, "8.7p1-38.el9", true),
        (">=1:8.5p1, <1:9.8p1", Dpkg, "1:9.2p1-2", true),
        (">=1:8.5p1, <1:9.8p1", Dpkg, "1:9.8p1-1", false),
        (">=1:8.5p1", Dpkg, "9.9", false),
        ("=9.2p1", Dpkg, "1:9.2p1-2", true),
        ("9.2p1", Dpkg, "1:9.2p1-2", true),
        ("!=5.6.1", Dpkg, "5.6.1-1", false),
        ("!=5.6.1", Dpkg, "5.6.1+really5.4.5-1", true),
        ("<=9.2p1-2", Dpkg, "1:9.2p1-3", false),
        (">2, <4", Rpm, "3", true),
        (">2, <4", Rpm, "4", false),
        ("9", Dotted, "9.4", true),
        ("9", Dotted, "10.1", false),
        (">=12", Dotted, "12", true),
        (">=12", Dotted, "9.13", false),
        ("20.04", Dotted, "20.04", true),
        (">=20.04", Dotted, "22", true),
        (">=9.4", Dotted, "9", false),
    ] {
        assert_eq!(holds(range, scheme, version), expected, "{range} {version}");
    }
    for bad in ["", ">=", ">= ,", "a", "=>1", "1,,2", "1 2", ">=1;", "~1"] {
        assert!(bad.parse::<VersionRange>().is_err(), "{bad:?}");
    }
}

proptest! {
    /// Any order worth its name: reflexive, antisymmetric, transitive, and it never panics.
    #[test]
    fn orders_are_orders(a in "[0-9a-c~^+.:-]{0,8}", b in "[0-9a-c~^+.:-]{0,8}", c in "[0-9a-c~^+.:-]{0,8}") {
        for scheme in [VersionScheme::Dpkg, VersionScheme::Rpm] {
            prop_assert_eq!(compare(scheme, &a, &a), Equal);
            prop_assert_eq!(compare(scheme, &a, &b), compare(scheme, &b, &a).reverse());
            if compare(scheme, &a, &b).is_le() && compare(scheme, &b, &c).is_le() {
                prop_assert!(compare(scheme, &a, &c).is_le(), "{:?} {} {} {}", scheme, a, b, c);
            }
        }
    }
}

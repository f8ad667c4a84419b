use super::*;
use crate::detection::Presence;
use crate::score::Mitigation;

#[test]
fn every_reason_has_its_code() {
    let good = Situation {
        product: "qualys",
        active: true,
        stamped: true,
        closed: false,
        connected: true,
        enabled: true,
        addresses: 1,
        profile: DefaultProfile::Known,
    };
    assert!(permitted(good).is_ok());
    for (situation, code) in [
        (Situation { product: "nessus", ..good }, "source_not_supported"),
        (Situation { active: false, ..good }, "scanner_inactive"),
        (Situation { connected: false, ..good }, "source_not_connected"),
        (Situation { enabled: false, ..good }, "instance_disabled"),
        (Situation { stamped: false, ..good }, "source_not_stamped"),
        (Situation { closed: true, ..good }, "record_closed"),
        (Situation { addresses: 0, ..good }, "nothing_to_scan"),
        (Situation { profile: DefaultProfile::Unset, ..good }, "no_default_profile"),
        (Situation { profile: DefaultProfile::Gone("7"), ..good }, "no_default_profile"),
    ] {
        assert_eq!(permitted(situation).unwrap_err().code, code);
    }
}

#[test]
fn the_first_of_several_reasons_is_always_the_same() {
    // Everything is wrong; what is mended one by one shows the next reason.
    let mut situation = Situation {
        product: "nessus",
        active: false,
        stamped: false,
        closed: true,
        connected: false,
        enabled: false,
        addresses: 0,
        profile: DefaultProfile::Unset,
    };
    let mut codes = Vec::new();
    let mends: [fn(&mut Situation<'_>); 8] = [
        |all| all.product = "qualys",
        |all| all.active = true,
        |all| all.connected = true,
        |all| all.enabled = true,
        |all| all.stamped = true,
        |all| all.closed = false,
        |all| all.addresses = 1,
        |all| all.profile = DefaultProfile::Known,
    ];
    for mend in mends {
        codes.push(permitted(situation).unwrap_err().code);
        mend(&mut situation);
    }
    assert_eq!(
        codes,
        [
            "source_not_supported",
            "scanner_inactive",
            "source_not_connected",
            "instance_disabled",
            "source_not_stamped",
            "record_closed",
            "nothing_to_scan",
            "no_default_profile"
        ]
    );
    assert!(permitted(situation).is_ok());
}

#[test]
fn a_host_without_an_address_says_why_it_is_not_scanned() {
    for (address, tracking, code) in [
        ("10.0.0.1", "AGENT", None),
        ("", "AGENT", Some("agent_only")),
        ("", "IP", Some("no_address")),
        ("", "", Some("no_address")),
    ] {
        assert_eq!(unscannable(address, tracking).map(|refusal| refusal.code), code, "{address} {tracking}");
    }
}

#[test]
fn a_child_walks_its_way_and_absorbs_at_the_end() {
    let way = [
        (Event::Launching, Child::Launching),
        (Event::Launched, Child::Running),
        (Event::Looked(Told::Going), Child::Running),
        (Event::Looked(Told::Finished { processed: false }), Child::Finished),
        (Event::Looked(Told::Finished { processed: true }), Child::Pulling),
        (Event::Pulled, Child::Complete),
        (Event::Cancel, Child::Complete),
        (Event::TrackingEnded, Child::Complete),
    ];
    way.into_iter().fold(Child::Planned, |child, (event, expected)| {
        let next = step(child, event);
        assert_eq!(next, expected, "{child:?} {event:?}");
        next
    });
    assert_eq!(step(Child::Running, Event::TrackingEnded), Child::TimedOut);
    assert_eq!(step(Child::Launching, Event::NotLaunched), Child::Planned);
    assert_eq!(step(Child::Pulling, Event::TrackingEnded), Child::Pulling, "it ended in time");
    assert_eq!(step(Child::TimedOut, Event::Adopted), Child::Pulling, "S2.19: the scan went on");
    for ended in [Child::Complete, Child::Error, Child::Cancelled] {
        assert_eq!(step(ended, Event::Adopted), ended);
    }
}

#[test]
fn an_item_on_several_hosts_is_fixed_only_when_gone_everywhere() {
    use Verdict::{Fixed, NotReached, NotTested, StillPresent, StillPresentMitigated};
    for (targets, expected) in [
        (&[Some(Fixed), Some(Fixed)][..], Some(Fixed)),
        (&[Some(Fixed), Some(NotReached)], Some(NotReached)),
        (&[Some(NotTested), Some(NotReached)], Some(NotTested)),
        (&[Some(Fixed), Some(StillPresent)], Some(StillPresent)),
        (&[Some(StillPresentMitigated), Some(NotTested)], Some(StillPresentMitigated)),
        (&[Some(Fixed), None], None),
        (&[], None),
    ] {
        assert_eq!(Verdict::of_item(targets), expected, "{targets:?}");
    }
}

#[test]
fn s2_16_the_parent_follows_its_children() {
    use Child::{Cancelled, Complete, Error, Planned, Running, TimedOut};
    for (children, expected) in [
        (&[Planned, Planned][..], State::Queued),
        (&[Planned, Running], State::Scanning),
        (&[Complete, Running], State::Scanning),
        (&[Complete, Complete], State::Complete),
        (&[Complete, Error], State::Error),
        (&[TimedOut, Error], State::TimedOut),
        (&[Complete, Cancelled], State::Cancelled),
    ] {
        assert_eq!(parent(children), expected, "{children:?}");
    }
}

#[test]
fn looks_grow_apart() {
    let pauses = |pace: Pace| (0..6).map(|looks| pace.next_look_seconds(looks)).collect::<Vec<_>>();
    assert_eq!(pauses(Pace::default()), [60, 90, 135, 202, 300, 300]);
    assert_eq!(pauses(Pace { first_seconds: 1, longest_seconds: 5, search_seconds: 1 }), [1, 2, 3, 4, 5, 5]);
    assert!(Pace { first_seconds: 0, ..Pace::default() }.validate().is_err());
    assert!(Pace { longest_seconds: 59, ..Pace::default() }.validate().is_err());
}

#[test]
fn a_scan_is_known_again_by_the_unique_word_of_its_title() {
    let key = "Quell VSCAN0000001/1 0c9d6a4e5f0b4b1e8f5a2f4f6f7d8a90";
    for (title, ours) in [
        (key, true),
        ("  Quell  VSCAN0000001/1   0c9d6a4e5f0b4b1e8f5a2f4f6f7d8a90 ", true),
        ("[API] Quell VSCAN0000001-1 0c9d6a4e5f0b4b1e8f5a2f4f6f7d8a90", true),
        ("Quell VSCAN0000001/1 1c9d6a4e5f0b4b1e8f5a2f4f6f7d8a90", false),
        ("Quell VSCAN0000001/1", false),
        ("", false),
    ] {
        assert_eq!(titled(title, key), ours, "{title}");
    }
    assert!(!titled("anything", ""), "a launch without a key owns no scan");
}

fn target(item: i64, appliance: &str, address: String) -> Target {
    Target {
        item: ItemId(item),
        source_host: SourceHostId(item),
        instance: InstanceId(1),
        network: String::new(),
        appliance: appliance.to_owned(),
        profile: "7".to_owned(),
        address,
    }
}

#[test]
fn requests_are_split_by_appliance_and_size_and_lose_nothing() {
    let mut targets: Vec<Target> =
        (0..1_100).map(|n| target(n, "a", format!("10.0.{}.{}", n / 256, n % 256))).collect();
    targets.push(target(2_000, "b", "10.9.9.9".to_owned()));
    targets.push(target(2_001, "b", "10.9.9.9".to_owned()));
    let launches = plan(&targets);
    assert_eq!(launches.iter().map(|l| l.addresses.len()).collect::<Vec<_>>(), [500, 500, 100, 1]);
    assert_eq!(launches.iter().map(|l| l.targets.len()).sum::<usize>(), targets.len());
}

#[test]
fn verdicts_by_table() {
    let at = |seconds| Some(Timestamp::default().plus_seconds(seconds));
    for (host, tested, presence, mitigation, verdict) in [
        (at(9), at(9), Presence::Fixed, Mitigation::None, Verdict::NotReached),
        (None, None, Presence::Open, Mitigation::None, Verdict::NotReached),
        (at(10), at(9), Presence::Open, Mitigation::None, Verdict::NotTested),
        (at(10), at(10), Presence::Fixed, Mitigation::Mitigated, Verdict::Fixed),
        (at(11), at(11), Presence::Open, Mitigation::Mitigated, Verdict::StillPresentMitigated),
        (at(11), at(11), Presence::Open, Mitigation::Partial, Verdict::StillPresent),
    ] {
        let evidence = Evidence {
            launched_at: Timestamp::from_micros(10_400_000),
            host_scanned_at: host,
            tested_at: tested,
            presence,
            mitigation,
        };
        assert_eq!(judge(evidence), verdict, "{host:?} {tested:?} {presence:?}");
    }
}

#[test]
fn a_launch_that_runs_twice_has_ended_once_both_have() {
    use Told::{Absent, Cancelled, Error, Finished, Going};
    let (done, stored) = (Finished { processed: true }, Finished { processed: false });
    for (told, expected) in [
        (&[][..], Absent),
        (&[done], done),
        (&[done, Going], Going),
        (&[stored, done], stored),
        (&[done, Cancelled], done),
        (&[Error, done], done),
        (&[Cancelled, Error], Cancelled),
        (&[Error, Error], Error),
    ] {
        assert_eq!(together(told), expected, "{told:?}");
    }
}

#[test]
fn what_a_cancelled_scan_found_is_waited_for_a_while() {
    let seen = Timestamp::default();
    for (processed, seconds, expected) in
        [(true, 0, Cut::Pull), (true, 9_999, Cut::Pull), (false, 3_599, Cut::Wait), (false, 3_600, Cut::End)]
    {
        assert_eq!(cut(processed, seen, seen.plus_seconds(seconds)), expected, "{processed} {seconds}");
    }
}

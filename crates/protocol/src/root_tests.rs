//! Tests of [`super`]: enrolment, rotation, expiry as a state, and every inconsistent root.

use super::*;

fn key(seed: u8) -> SigningKey {
    SigningKey::from_secret(&[seed; 32])
}

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

/// A root whose root role is held by the seeds given; content 50, organisation 51, order 52.
fn root(version: u64, seeds: &[u8], threshold: u32) -> Root {
    let holders: Vec<PublicKey> = seeds.iter().map(|seed| key(*seed).public()).collect();
    let [content, organisation, order] = [50, 51, 52].map(|seed| key(seed).public());
    Root {
        spec: ROOT_SPEC,
        version,
        expires: at("2027-01-01T00:00:00Z"),
        roles: Roles {
            root: RoleKeys { keyids: holders.iter().map(PublicKey::id).collect(), threshold },
            content: RoleKeys::single(&content),
            organisation: RoleKeys::single(&organisation),
            order: RoleKeys::single(&order),
        },
        keys: [holders, vec![content, organisation, order]].concat(),
    }
}

fn sealed(root: &Root, seeds: &[u8]) -> Envelope {
    let keys: Vec<SigningKey> = seeds.iter().map(|seed| key(*seed)).collect();
    root.seal(&keys.iter().collect::<Vec<_>>()).unwrap()
}

#[test]
fn the_first_root_must_be_signed_by_itself() {
    let first = root(1, &[1, 2], 2);
    assert_eq!(Root::trust_first(&sealed(&first, &[1, 2])).unwrap(), first);
    for seeds in [&[1][..], &[1, 1], &[], &[3, 4]] {
        assert!(matches!(Root::trust_first(&sealed(&first, seeds)), Err(RootError::NotSelfSigned(_))), "{seeds:?}");
    }
    let other_type = Envelope::sign("application/other", &serde_json::to_vec(&first).unwrap(), &[&key(1), &key(2)]);
    assert!(matches!(Root::trust_first(&other_type), Err(RootError::NotSelfSigned(VerifyError::WrongType { .. }))));
}

#[test]
fn rotation_needs_the_thresholds_of_both_roots() {
    let trusted = root(1, &[1, 2], 2);
    let next = root(2, &[2, 3], 2);
    let accept = |seeds: &[u8]| trusted.accept_update(&sealed(&next, seeds));
    assert_eq!(accept(&[1, 2, 3]).unwrap(), next);
    assert!(matches!(accept(&[2, 3]), Err(RootError::Untrusted(VerifyError::BelowThreshold { .. }))));
    assert!(matches!(accept(&[1, 2]), Err(RootError::NotSelfSigned(VerifyError::BelowThreshold { .. }))));
    assert!(matches!(accept(&[3]), Err(RootError::Untrusted(VerifyError::UnknownKeys))));
    assert!(matches!(accept(&[]), Err(RootError::Untrusted(VerifyError::Unsigned))));
    // Keys of other roles are worthless for the root.
    assert!(matches!(accept(&[50, 51, 52]), Err(RootError::Untrusted(VerifyError::UnknownKeys))));
}

#[test]
fn versions_rise_by_exactly_one() {
    let trusted = root(5, &[1], 1);
    for version in [1, 4, 5, 7, u64::MAX] {
        let result = trusted.accept_update(&sealed(&root(version, &[1], 1), &[1]));
        assert!(matches!(result, Err(RootError::NotNext { trusted: 5, .. })), "{version}");
    }
    assert!(trusted.accept_update(&sealed(&root(6, &[1], 1), &[1])).is_ok());
    let last = root(u64::MAX, &[1], 1);
    assert!(matches!(last.accept_update(&sealed(&last, &[1])), Err(RootError::NotNext { .. })));
}

#[test]
fn a_chain_is_followed_through_expired_roots_or_not_at_all() {
    let mut second = root(2, &[2], 1);
    second.expires = at("2001-01-01T00:00:00Z");
    let chain = [sealed(&root(1, &[1], 1), &[1]), sealed(&second, &[1, 2]), sealed(&root(3, &[3], 1), &[2, 3])];
    let first = Root::trust_first(&chain[0]).unwrap();
    assert_eq!(first.accept_chain(&chain).unwrap().version, 3);
    assert_eq!(first.accept_chain(&[]).unwrap().version, 1);
    assert!(first.accept_chain(&chain[2..]).is_err(), "a gap is refused");
    let many = vec![chain[0].clone(); ROOT_CHAIN_MAX + 1];
    assert!(matches!(first.accept_chain(&many), Err(RootError::ChainTooLong(_))));
}

#[test]
fn expiry_is_a_state_that_stops_only_new_work() {
    let root = root(1, &[1], 1);
    let before = root.freshness(at("2026-12-31T23:59:59.999999Z"));
    let on_time = root.freshness(at("2027-01-01T00:00:00Z"));
    assert!(before.allows_new_work());
    assert_eq!(before, Freshness::Fresh { until: root.expires });
    assert!(!on_time.allows_new_work());
    assert_eq!(on_time, Freshness::Expired { since: root.expires });
    assert_eq!(root.expires_us(), 1_798_761_600_000_000);
    // Reading an expired root still works: start-up never depends on it.
    assert!(Root::trust_first(&sealed(&root, &[1])).is_ok());
}

#[test]
fn inconsistent_roots_are_refused_by_name() {
    let good = root(1, &[1], 1);
    let stranger = key(9).public().id();
    let own = key(1).public().id();
    let order = key(52).public().id();
    type Change = Box<dyn Fn(&mut Root)>;
    let table: Vec<(Change, RootFault)> = vec![
        (Box::new(|r| r.version = 0), RootFault::VersionZero),
        (Box::new(|r| r.keys.push(key(1).public())), RootFault::RepeatedKey(own)),
        (
            Box::new(move |r| r.roles.content.keyids.push(stranger)),
            RootFault::UnlistedKey { role: Role::Content, key: stranger },
        ),
        (Box::new(move |r| r.roles.root.keyids.push(own)), RootFault::RepeatedRoleKey { role: Role::Root, key: own }),
        (Box::new(|r| r.roles.order.threshold = 0), RootFault::Threshold { role: Role::Order, threshold: 0, keys: 1 }),
        (Box::new(|r| r.roles.root.threshold = 2), RootFault::Threshold { role: Role::Root, threshold: 2, keys: 1 }),
        (
            Box::new(|r| r.roles.organisation.keyids.clear()),
            RootFault::Threshold { role: Role::Organisation, threshold: 1, keys: 0 },
        ),
        (Box::new(move |r| r.roles.content.keyids.push(order)), RootFault::OnlineKeyHoldsOfflineRole(order)),
        (Box::new(|r| r.keys = (0..=64).map(|seed| key(seed).public()).collect()), RootFault::TooManyKeys(65)),
    ];
    for (change, expected) in table {
        let mut bad = good.clone();
        change(&mut bad);
        // Signed by hand, because `seal` refuses to sign it.
        let envelope = Envelope::sign(ROOT_TYPE, &serde_json::to_vec(&bad).unwrap(), &[&key(1)]);
        match Root::trust_first(&envelope) {
            Err(RootError::Inconsistent(fault)) => assert_eq!(fault, expected),
            other => panic!("expected {expected:?}, got {other:?}"),
        }
        assert!(bad.seal(&[&key(1)]).is_err());
    }
    let mut future = good;
    future.spec = 2;
    assert!(matches!(future.seal(&[]), Err(RootError::UnknownSpec(2))));
}

#[test]
fn unknown_fields_are_refused_even_when_signed() {
    let mut value = serde_json::to_value(root(1, &[1], 1)).unwrap();
    value["surprise"] = 1.into();
    let envelope = Envelope::sign(ROOT_TYPE, &serde_json::to_vec(&value).unwrap(), &[&key(1)]);
    assert!(matches!(Root::trust_first(&envelope), Err(RootError::Malformed(_))));
}

//! Tests of [`super`]: every way an index, a bundle or an entry must be refused, each with its own reason.

use protocol::root::{RoleKeys, Roles};

use super::*;
use crate::bundle::{VerifiedCatalogue, verify_bundle};

fn key(seed: u8) -> SigningKey {
    SigningKey::from_secret(&[seed; 32])
}

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

const NOW: &str = "2026-11-22T12:00:00Z";

/// Root key 1, content keys 2 and 3 with the threshold given, organisation 4, order 5.
fn root(threshold: u32) -> Root {
    let keys: Vec<_> = (1..=5).map(|seed| key(seed).public()).collect();
    Root {
        spec: 1,
        version: 1,
        expires: at("2027-06-01T00:00:00Z"),
        roles: Roles {
            root: RoleKeys::single(&keys[0]),
            content: RoleKeys { keyids: vec![keys[1].id(), keys[2].id()], threshold },
            organisation: RoleKeys::single(&keys[3]),
            order: RoleKeys::single(&keys[4]),
        },
        keys,
    }
}

fn entries() -> Vec<Entry> {
    let toml = include_str!("../entries/linux/linux-tcp-sack-off.toml");
    let first = Entry::from_toml(toml).unwrap();
    let second = Entry { id: "linux-second".parse().unwrap(), ..first.clone() };
    vec![second, first]
}

fn index(version: u64) -> Index {
    Index::of(version, at("2027-01-01T00:00:00Z"), &entries(), Vec::new())
}

fn sealed(index: &Index, seeds: &[u8]) -> Vec<u8> {
    let keys: Vec<SigningKey> = seeds.iter().map(|seed| key(*seed)).collect();
    index.seal(&keys.iter().collect::<Vec<_>>()).unwrap().to_json()
}

fn contents() -> BTreeMap<Digest, Vec<u8>> {
    entries().iter().map(|entry| (entry.digest(), entry.to_json())).collect()
}

fn verify(index: &Index, seeds: &[u8]) -> Result<VerifiedCatalogue, CatalogueError> {
    verify_bundle(&root(1), &sealed(index, seeds), &contents(), at(NOW), 0)
}

#[test]
fn a_good_bundle_is_accepted() {
    let catalogue = verify(&index(7), &[2]).unwrap();
    assert_eq!(catalogue.index().version(), 7);
    assert_eq!(catalogue.entries().count(), 2);
    assert!(catalogue.rejected().is_empty());
    let entry = &entries()[0];
    assert_eq!(catalogue.get(&entry.id).unwrap().entry(), entry);
    assert_eq!(catalogue.by_digest(&entry.digest()).unwrap().bytes(), entry.to_json());
}

#[test]
fn signatures_are_refused_each_with_its_reason() {
    use CatalogueError as E;
    type Expected = fn(&CatalogueError) -> bool;
    let table: [(&[u8], u32, Expected); 8] = [
        (&[], 1, |e| matches!(e, E::Unsigned)),
        (&[9], 1, |e| matches!(e, E::WrongKey)), // a key of nobody
        (&[1], 1, |e| matches!(e, E::WrongKey)), // the root key does not sign content
        (&[4], 1, |e| matches!(e, E::WrongKey)), // nor does the organisation's
        (&[5], 1, |e| matches!(e, E::WrongKey)), // nor the server's order key
        (&[2], 2, |e| matches!(e, E::BelowThreshold { found: 1, needed: 2 })),
        (&[2, 2], 2, |e| matches!(e, E::BelowThreshold { found: 1, needed: 2 })), // twice the same key
        (&[2, 5], 2, |e| matches!(e, E::BelowThreshold { found: 1, needed: 2 })), // a key of another role
    ];
    for (seeds, threshold, expected) in table {
        let error = verify_index(&root(threshold), &sealed(&index(1), seeds), 0).unwrap_err();
        assert!(expected(&error), "{seeds:?}: {error:?}");
    }
    assert!(verify_index(&root(2), &sealed(&index(1), &[2, 3]), 0).is_ok());
    let other = Envelope::sign("application/other", &serde_json::to_vec(&index(1)).unwrap(), &[&key(2)]);
    assert!(matches!(verify_index(&root(1), &other.to_json(), 0), Err(E::WrongType(_))));
    let broken = [b"not json".to_vec(), vec![b'x'; INDEX_BYTES_MAX + 1]];
    for bytes in broken {
        assert!(matches!(verify_index(&root(1), &bytes, 0), Err(E::Envelope(_))));
    }
}

#[test]
fn every_flipped_byte_of_a_signed_index_is_refused() {
    let good = sealed(&index(1), &[2]);
    assert!(verify_index(&root(1), &good, 0).is_ok());
    for position in 0..good.len() {
        for flip in [0x01, 0x20, 0x80] {
            let mut forged = good.clone();
            forged[position] ^= flip;
            assert!(verify_index(&root(1), &forged, 0).is_err(), "byte {position} xor {flip:#x} was accepted");
        }
    }
    for length in 0..good.len() {
        assert!(verify_index(&root(1), &good[..length], 0).is_err(), "cut at {length} was accepted");
    }
}

#[test]
fn older_indexes_are_refused() {
    for (highest, version, accepted) in [(0, 1, true), (4, 5, true), (5, 5, true), (6, 5, false), (u64::MAX, 5, false)]
    {
        let result = verify_index(&root(1), &sealed(&index(version), &[2]), highest);
        match result {
            Ok(_) => assert!(accepted, "{highest} {version}"),
            Err(error) => {
                assert!(!accepted, "{highest} {version}");
                assert!(matches!(error, CatalogueError::Older { .. }), "{error:?}");
            }
        }
    }
}

#[test]
fn expiry_refuses_adoption_but_not_reading() {
    let mut late = index(1);
    late.expires = at(NOW);
    let sealed_late = sealed(&late, &[2]);
    let adopt = |root: &Root, now: &str| verify_bundle(root, &sealed_late, &contents(), at(now), 0);
    assert!(matches!(adopt(&root(1), NOW), Err(CatalogueError::Expired(_))));
    assert!(adopt(&root(1), "2026-11-22T11:59:59.999999Z").is_ok());
    let mut old_root = root(1);
    old_root.expires = at("2026-01-01T00:00:00Z");
    assert!(matches!(adopt(&old_root, NOW), Err(CatalogueError::RootExpired(_))));
    // A restart reads all of it and knows that nothing new may start.
    let index = verify_index(&old_root, &sealed_late, 1).unwrap();
    assert!(!index.freshness(at(NOW)).allows_new_work());
    assert!(!index.freshness(at("2026-02-01T00:00:00Z")).allows_new_work(), "the root's expiry counts too");
    assert!(index.freshness(at("2025-12-31T00:00:00Z")).allows_new_work());
    assert_eq!(VerifiedCatalogue::open(index, &contents()).unwrap().entries().count(), 2);
}

#[test]
fn contents_must_be_the_listed_ones() {
    use CatalogueError as E;
    let sealed = sealed(&index(1), &[2]);
    let open = |contents: &BTreeMap<Digest, Vec<u8>>| {
        VerifiedCatalogue::open(verify_index(&root(1), &sealed, 0).unwrap(), contents).map(|_| ())
    };
    let digest = entries()[0].digest();

    let mut missing = contents();
    missing.remove(&digest);
    assert!(matches!(open(&missing), Err(E::Missing { .. })));

    let mut changed = contents();
    *changed.get_mut(&digest).unwrap().last_mut().unwrap() = b' ';
    assert!(matches!(open(&changed), Err(E::WrongDigest { .. })));

    let mut stranger = contents();
    stranger.insert(Digest::of(b"x"), b"x".to_vec());
    assert!(matches!(open(&stranger), Err(E::NotInIndex { .. })));
}

#[test]
fn orders_name_listed_and_unrevoked_content_only() {
    use CatalogueError as E;
    let entry = &entries()[0];
    let verified = verify_index(&root(1), &sealed(&index(1), &[2]), 0).unwrap();
    assert_eq!(verified.require(&entry.id, &entry.digest()).unwrap().id, entry.id);
    assert_eq!(verified.admit(&entry.to_json()).unwrap().entry(), entry);
    assert!(matches!(verified.require(&entry.id, &Digest::of(b"x")), Err(E::WrongDigest { .. })));
    assert!(matches!(verified.require(&"linux-third".parse().unwrap(), &entry.digest()), Err(E::NotInIndex { .. })));
    let unlisted = Entry { revision: 9, ..entry.clone() };
    assert!(matches!(verified.admit(&unlisted.to_json()), Err(E::NotInIndex { .. })));
    assert!(matches!(verified.admit_as(&entry.id, &unlisted.to_json()), Err(E::WrongDigest { .. })));

    for what in [Revoked::Id(entry.id.clone()), Revoked::Digest(entry.digest())] {
        let revoked = vec![Revocation { what, reason: "superseded by the vendor's second advisory".parse().unwrap() }];
        let index = Index::of(2, at("2027-01-01T00:00:00Z"), &entries(), revoked.clone());
        let verified = verify_index(&root(1), &sealed(&index, &[2]), 1).unwrap();
        assert!(matches!(verified.require(&entry.id, &entry.digest()), Err(E::Revoked { .. })));
        assert!(matches!(verified.admit(&entry.to_json()), Err(E::Revoked { .. })));
        let catalogue = VerifiedCatalogue::open(verified, &contents()).unwrap();
        assert!(catalogue.get(&entry.id).is_none());
        assert!(matches!(catalogue.rejected(), [(id, E::Revoked { .. })] if *id == entry.id));
        // The same, once the entry is no longer listed.
        let rest = Index::of(3, at("2027-01-01T00:00:00Z"), &entries()[1..], revoked);
        let verified = verify_index(&root(1), &sealed(&rest, &[2]), 1).unwrap();
        assert!(matches!(verified.require(&entry.id, &entry.digest()), Err(E::Revoked { .. })));
    }
}

#[test]
fn an_entry_of_another_schema_is_set_aside_by_name() {
    let mut value = serde_json::to_value(&entries()[0]).unwrap();
    value["schema"] = 2.into();
    value["new_in_two"] = true.into();
    let bytes = serde_json::to_vec(&value).unwrap();
    let mut index = index(1);
    let listed = index.entries.iter_mut().find(|listed| listed.id == entries()[0].id).unwrap();
    listed.digest = Digest::of(&bytes);
    listed.size = bytes.len() as u64;
    let mut contents = contents();
    contents.remove(&entries()[0].digest());
    contents.insert(Digest::of(&bytes), bytes);
    let catalogue = verify_bundle(&root(1), &sealed(&index, &[2]), &contents, at(NOW), 0).unwrap();
    assert_eq!(catalogue.entries().count(), 1);
    assert!(matches!(
        catalogue.rejected(),
        [(id, CatalogueError::Entry(EntryError::UnknownSchema(2)))] if *id == entries()[0].id
    ));
}

#[test]
fn an_index_that_contradicts_itself_is_refused() {
    type Change = fn(&mut Index);
    let changes: [Change; 4] = [
        |i| i.version = 0,
        |i| i.entries.push(i.entries[0].clone()),
        |i| i.entries[1].id = i.entries[0].id.clone(),
        |i| i.entries[0].size = ENTRY_BYTES_MAX as u64 + 1,
    ];
    for (number, change) in changes.iter().enumerate() {
        let mut bad = index(1);
        change(&mut bad);
        assert!(bad.seal(&[&key(2)]).is_err(), "change {number} was sealed");
        let forced = Envelope::sign(INDEX_TYPE, &serde_json::to_vec(&bad).unwrap(), &[&key(2)]).to_json();
        assert!(matches!(verify_index(&root(1), &forced, 0), Err(CatalogueError::Inconsistent(_))), "change {number}");
    }
    // The index may not say something else of an entry than the entry itself.
    let mut lying = index(1);
    lying.entries[0].revision += 1;
    assert!(matches!(verify(&lying, &[2]), Err(CatalogueError::Inconsistent(_))));
    let mut future = index(1);
    future.spec = 2;
    assert!(matches!(verify(&future, &[2]), Err(CatalogueError::UnknownSpec(2))));
    let mut value = serde_json::to_value(index(1)).unwrap();
    value["surprise"] = 1.into();
    let forced = Envelope::sign(INDEX_TYPE, &serde_json::to_vec(&value).unwrap(), &[&key(2)]).to_json();
    assert!(matches!(verify_index(&root(1), &forced, 0), Err(CatalogueError::Malformed(_))));
}

#[test]
fn an_organisations_own_entry_needs_the_organisations_signature_and_nothing_else_does() {
    let own = Entry { id: "org-second".parse().unwrap(), ..entries()[1].clone() };
    let entries = vec![entries()[1].clone(), own.clone()];
    let contents: BTreeMap<_, _> = entries.iter().map(|entry| (entry.digest(), entry.to_json())).collect();
    let index = Index::of(3, at("2027-01-01T00:00:00Z"), &entries, Vec::new());
    let verify = |sealed: &[u8]| verify_bundle(&root(1), sealed, &contents, at(NOW), 0).unwrap();
    // Content alone, content twice, and every other role beside it.
    for seeds in [&[2][..], &[2, 3], &[2, 1, 5, 9]] {
        let catalogue = verify(&sealed(&index, seeds));
        assert_eq!(catalogue.entries().count(), 1, "{seeds:?}");
        assert!(!catalogue.index().is_by_organisation());
        assert!(matches!(catalogue.rejected(), [(id, CatalogueError::NotByOrganisation { .. })] if *id == own.id));
        let asked = catalogue.index().require(&own.id, &own.digest());
        assert!(matches!(asked, Err(CatalogueError::NotByOrganisation { .. })));
        assert!(
            catalogue.index().admit(&own.to_json()).is_err()
                && catalogue.index().admit_as(&own.id, &own.to_json()).is_err()
        );
    }
    assert_eq!(verify(&sealed(&index, &[2, 4])).entries().count(), 2);
    // A signature of the organisation's under another index is none.
    let other: Envelope = Envelope::parse(&sealed(&self::index(3), &[4]), INDEX_BYTES_MAX).unwrap();
    let mut forged: serde_json::Value = serde_json::from_slice(&sealed(&index, &[2])).unwrap();
    let signature = serde_json::to_value(other.signatures()).unwrap()[0].clone();
    forged["signatures"].as_array_mut().unwrap().push(signature);
    assert_eq!(verify(forged.to_string().as_bytes()).entries().count(), 1);
    // The organisation alone signs no index.
    let alone = verify_bundle(&root(1), &sealed(&index, &[4]), &contents, at(NOW), 0);
    assert!(matches!(alone, Err(CatalogueError::WrongKey)));
}

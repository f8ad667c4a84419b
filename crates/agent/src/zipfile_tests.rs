//! Tests of [`super`]: the splice is exact both ways, and hostile archives are refused or bounded.

use super::*;
use proptest::prelude::*;
use std::io::{Cursor, Write as _};

/// Write an archive: names and bytes, all stored or all deflated, with something in front and a comment.
pub(crate) fn archive(members: &[(&str, &[u8])], deflated: bool, front: &[u8], comment: &[u8]) -> Vec<u8> {
    let (mut bytes, mut list) = (front.to_vec(), Vec::new());
    for (name, data) in members {
        let packed = if deflated { pack(data) } else { data.to_vec() };
        let at = u32::try_from(bytes.len() - front.len()).unwrap();
        let mut common = vec![20, 0, 0, 8, if deflated { 8 } else { 0 }, 0, 1, 2, 3, 4];
        common.extend(crc(data).to_le_bytes());
        common.extend(u32::try_from(packed.len()).unwrap().to_le_bytes());
        common.extend(u32::try_from(data.len()).unwrap().to_le_bytes());
        common.extend(u16::try_from(name.len()).unwrap().to_le_bytes());
        bytes.extend(LOCAL);
        bytes.extend(&common);
        bytes.extend([0, 0]);
        bytes.extend(name.as_bytes());
        bytes.extend(&packed);
        list.extend(LISTED);
        list.extend([20, 3]);
        list.extend(&common);
        list.extend([0; 12]);
        list.extend(at.to_le_bytes());
        list.extend(name.as_bytes());
    }
    let at = u32::try_from(bytes.len() - front.len()).unwrap();
    let (count, length) = (u16::try_from(members.len()).unwrap(), u32::try_from(list.len()).unwrap());
    bytes.extend(&list);
    bytes.extend(END);
    bytes.extend([0; 4]);
    bytes.extend(count.to_le_bytes());
    bytes.extend(count.to_le_bytes());
    bytes.extend(length.to_le_bytes());
    bytes.extend(at.to_le_bytes());
    bytes.extend(u16::try_from(comment.len()).unwrap().to_le_bytes());
    bytes.extend(comment);
    bytes
}

fn crc(bytes: &[u8]) -> u32 {
    let mut crc = flate2::Crc::new();
    crc.update(bytes);
    crc.sum()
}

fn pack(bytes: &[u8]) -> Vec<u8> {
    let mut to = flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::default());
    to.write_all(bytes).unwrap();
    to.finish().unwrap()
}

fn contents(bytes: &[u8]) -> Vec<(String, Vec<u8>)> {
    let mut file = Cursor::new(bytes);
    let members = list(&mut file).unwrap().members;
    members.iter().map(|m| (m.name.clone(), inner(&mut file, m, &mut u64::MAX.clone()).unwrap())).collect()
}

#[test]
fn a_member_goes_and_comes_back_byte_for_byte() {
    for (deflated, front, comment) in [(false, &b""[..], &b""[..]), (true, b"#!/bin/sh\nexec java\n", b"a comment")] {
        for at in 0..3 {
            let mut members: Vec<(&str, &[u8])> =
                vec![("META-INF/MANIFEST.MF", b"x: y\n"), ("b/Other.class", b"bytes")];
            members.insert(at, ("a/Jndi.class", b"class bytes"));
            let before = archive(&members, deflated, front, comment);
            let mut file = Cursor::new(&before);
            let listed = list(&mut file).unwrap();
            let kept = cut(&mut file, &listed, "a/Jndi.class").unwrap();
            let mut after = Vec::new();
            without(&mut file, "a/Jndi.class", &mut after).unwrap();
            members.remove(at);
            assert_eq!(after, archive(&members, deflated, front, comment), "as if it had never been there");
            let kept = Cut::from_bytes(&kept.to_bytes()).unwrap();
            let mut back = Vec::new();
            whole(&mut Cursor::new(&after), &kept, &mut back).unwrap();
            assert_eq!(back, before);
            let other = archive(&[("new", b"n")], deflated, front, comment);
            let mut alone = Vec::new();
            with(&mut Cursor::new(&other), "a/Jndi.class", &kept, &mut alone).unwrap();
            let expected = [("new".to_owned(), b"n".to_vec()), ("a/Jndi.class".to_owned(), b"class bytes".to_vec())];
            assert_eq!(contents(&alone), expected);
        }
    }
}

#[test]
fn what_is_no_plain_archive_is_refused() {
    let good = archive(&[("a", b"1"), ("b", b"2")], false, b"", b"");
    assert!(matches!(list(&mut Cursor::new(b"")), Err(ZipError::NotOne)));
    assert!(matches!(list(&mut Cursor::new(b"PK\x03\x04 not really")), Err(ZipError::NotOne)));
    assert!(list(&mut Cursor::new(&good[..good.len() - 1])).is_err(), "cut off");
    let twice = archive(&[("a", b"1"), ("a", b"2")], false, b"", b"");
    let mut file = Cursor::new(&twice);
    let listed = list(&mut file).unwrap();
    assert!(cut(&mut file, &listed, "a").unwrap_err().to_string().contains("twice"));
    // Two records that point to the same bytes: what looks like two members is one (and many of them a bomb).
    let mut shared = good.clone();
    let record = shared.windows(4).rposition(|bytes| bytes == LISTED).unwrap();
    shared[record + 42..record + 46].copy_from_slice(&[0; 4]);
    let mut file = Cursor::new(&shared);
    let listed = list(&mut file).unwrap();
    assert!(cut(&mut file, &listed, "a").is_err());
    assert!(cut(&mut file, &listed, "b").is_err(), "the name where it lies is another");
    // Counts and places that lie.
    let end = good.len() - END_BYTES;
    for (at, bytes) in
        [(4, &[1, 0][..]), (8, &[9, 0]), (12, &[255, 255, 255, 254]), (16, &[255, 255, 0, 0]), (10, &[3, 0])]
    {
        let mut bad = good.clone();
        bad[end + at..end + at + bytes.len()].copy_from_slice(bytes);
        assert!(list(&mut Cursor::new(&bad)).is_err(), "{at}");
    }
}

#[test]
fn a_bomb_within_an_archive_stops_at_the_budget() {
    let zeros = vec![0_u8; 8 * 1024 * 1024];
    let bomb = archive(&[("inner.jar", &zeros)], true, b"", b"");
    assert!(bomb.len() < 20_000);
    let mut file = Cursor::new(&bomb);
    let member = list(&mut file).unwrap().members.remove(0);
    let mut budget = 1024 * 1024;
    assert!(matches!(inner(&mut file, &member, &mut budget), Err(ZipError::TooLarge)));
    assert_eq!(budget, 0);
}

proptest! {
    #[test]
    fn foreign_bytes_never_panic(mut bytes in proptest::collection::vec(any::<u8>(), 0..400), flips in proptest::collection::vec((0usize..400, any::<u8>()), 0..6)) {
        let _ = list(&mut Cursor::new(&bytes));
        let _ = Cut::from_bytes(&bytes);
        bytes = archive(&[("a/b", b"12345"), ("c", b"6")], false, b"", b"");
        for (at, byte) in flips {
            let at = at % bytes.len();
            bytes[at] = byte;
        }
        let mut file = Cursor::new(&bytes);
        if let Ok(listed) = list(&mut file) {
            let _ = cut(&mut file, &listed, "a/b");
            let mut sink = Vec::new();
            let _ = without(&mut file, "a/b", &mut sink);
            for member in &listed.members {
                let _ = inner(&mut file, member, &mut 1000);
            }
            prop_assert!(sink.is_empty() || list(&mut Cursor::new(&sink)).is_ok());
        }
    }
}

//! Tests of [`super`]: the encoding against the specification's vector, and every way an envelope must be refused.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use proptest::prelude::*;

use super::*;

const TYPE: &str = "application/vnd.example+json";

fn key(seed: u8) -> SigningKey {
    SigningKey::from_secret(&[seed; 32])
}

#[test]
fn encoding_matches_the_specification() {
    assert_eq!(
        pre_authentication_encoding("http://example.com/HelloWorld", b"hello world"),
        b"DSSEv1 29 http://example.com/HelloWorld 11 hello world"
    );
    assert_eq!(pre_authentication_encoding("", b""), b"DSSEv1 0  0 ");
    // Lengths are of bytes, not of characters.
    assert_eq!(pre_authentication_encoding("ä", "ö".as_bytes()), "DSSEv1 2 ä 2 ö".as_bytes());
}

proptest! {
    #[test]
    fn different_inputs_have_different_encodings(a in ".{0,12}", b in ".{0,12}", c in ".{0,12}", d in ".{0,12}") {
        prop_assume!((&a, &b) != (&c, &d));
        prop_assert_ne!(pre_authentication_encoding(&a, b.as_bytes()), pre_authentication_encoding(&c, d.as_bytes()));
    }

    #[test]
    fn whatever_is_signed_verifies_and_comes_back_unchanged(payload in proptest::collection::vec(any::<u8>(), 0..300)) {
        let sealed = Envelope::sign(TYPE, &payload, &[&key(1)]).to_json();
        let envelope = Envelope::parse(&sealed, sealed.len()).unwrap();
        let keys = [key(1).public()];
        prop_assert_eq!(envelope.verify(TYPE, &keys, 1).unwrap().bytes(), payload.as_slice());
    }

    #[test]
    fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let _ = Envelope::parse(&bytes, 200);
    }
}

#[test]
fn threshold_table() {
    let (a, b, c, stranger) = (key(1), key(2), key(3), key(9));
    let role = [a.public(), b.public(), c.public()];
    let below = |found, needed| Err(VerifyError::BelowThreshold { found, needed });
    let table: &[(&[&SigningKey], u32, Result<usize, VerifyError>)] = &[
        (&[], 1, Err(VerifyError::Unsigned)),
        (&[&a], 0, Err(VerifyError::ZeroThreshold)),
        (&[&a], 1, Ok(1)),
        (&[&a], 2, below(1, 2)),
        (&[&a, &a], 2, below(1, 2)), // one key signing twice counts once
        (&[&a, &b], 2, Ok(2)),
        (&[&a, &stranger], 2, below(1, 2)), // strangers do not count
        (&[&stranger, &a], 1, Ok(1)),       // and do no harm
        (&[&stranger], 1, Err(VerifyError::UnknownKeys)),
        (&[&a, &b, &c], 3, Ok(3)),
        (&[&a, &b, &c], 4, below(3, 4)),
    ];
    for (number, (signers, threshold, expected)) in table.iter().enumerate() {
        let envelope = Envelope::sign(TYPE, b"{}", signers);
        let result = envelope.verify(TYPE, &role, *threshold).map(|verified| verified.signers().len());
        assert_eq!(&result, expected, "row {number}");
    }
}

#[test]
fn a_role_that_lists_one_key_twice_still_counts_it_once() {
    let a = key(1);
    let envelope = Envelope::sign(TYPE, b"{}", &[&a, &a]);
    let result = envelope.verify(TYPE, &[a.public(), a.public()], 2).map(|_| ());
    assert_eq!(result, Err(VerifyError::BelowThreshold { found: 1, needed: 2 }));
}

#[test]
fn the_type_is_refused_before_anything_else() {
    // No signature, no keys, threshold zero: still the type is what is reported.
    let envelope = Envelope::sign("application/vnd.other+json", b"{}", &[]);
    assert!(matches!(envelope.verify(TYPE, &[], 0), Err(VerifyError::WrongType { .. })));
}

#[test]
fn a_signature_for_one_type_is_worthless_for_another() {
    let mut envelope = Envelope::sign("application/vnd.other+json", b"{}", &[&key(1)]);
    envelope.payload_type = TYPE.to_owned();
    let result = envelope.verify(TYPE, &[key(1).public()], 1).map(|_| ());
    assert_eq!(result, Err(VerifyError::BadSignature(key(1).id())));
}

#[test]
fn a_bad_signature_of_a_known_key_refuses_even_when_another_is_good() {
    let mut envelope = Envelope::sign(TYPE, b"{}", &[&key(1), &key(2)]);
    envelope.signatures[1].sig[0] ^= 1;
    let result = envelope.verify(TYPE, &[key(1).public(), key(2).public()], 1).map(|_| ());
    assert_eq!(result, Err(VerifyError::BadSignature(key(2).id())));
    for length in [0, 63, 65] {
        envelope.signatures[1].sig.resize(length, 0);
        assert!(envelope.verify(TYPE, &[key(1).public(), key(2).public()], 1).is_err());
    }
}

#[test]
fn every_flipped_bit_is_refused() {
    let sealed = Envelope::sign(TYPE, br#"{"answer":42}"#, &[&key(1)]).to_json();
    let keys = [key(1).public()];
    for position in 0..sealed.len() {
        for bit in 0..8 {
            let mut forged = sealed.clone();
            forged[position] ^= 1 << bit;
            let accepted =
                Envelope::parse(&forged, 10_000).is_ok_and(|envelope| envelope.verify(TYPE, &keys, 1).is_ok());
            assert!(!accepted, "byte {position} bit {bit}");
        }
    }
}

#[test]
fn sizes_are_capped_before_parsing() {
    assert!(matches!(Envelope::parse(&[b'x'; 11], 10), Err(EnvelopeError::TooLarge { size: 11, max: 10 })));
    let mut envelope = Envelope::sign(TYPE, b"{}", &[&key(1)]);
    envelope.signatures = vec![envelope.signatures[0].clone(); SIGNATURES_MAX + 1];
    assert!(matches!(Envelope::parse(&envelope.to_json(), 100_000), Err(EnvelopeError::TooManySignatures(_))));
}

#[test]
fn unknown_and_repeated_fields_are_refused() {
    let sealed = String::from_utf8(Envelope::sign(TYPE, b"{}", &[&key(1)]).to_json()).unwrap();
    let with_extra = sealed.replacen('{', r#"{"extra":1,"#, 1);
    let repeated = sealed.replacen('{', r#"{"payload":"e30=","#, 1);
    for bad in [with_extra, repeated] {
        assert!(matches!(Envelope::parse(bad.as_bytes(), 10_000), Err(EnvelopeError::Malformed(_))), "{bad}");
    }
}

#[test]
fn keys_round_trip_and_hide_their_secret() {
    let made = SigningKey::generate().unwrap();
    let read = SigningKey::from_pem(&made.to_pem()).unwrap();
    assert_eq!(made.public(), read.public());
    assert_eq!(made.public().to_string().parse::<PublicKey>().unwrap(), made.public());
    assert_ne!(made.id(), SigningKey::generate().unwrap().id());
    assert_eq!(format!("{:?}", key(7)), format!("SigningKey(secret of {})", key(7).id()));
    assert_eq!(SigningKey::from_pem("nonsense").unwrap_err(), KeyError::PrivateText);
}

#[test]
fn weak_and_malformed_public_keys_are_refused() {
    let identity = format!("ed25519:01{}", "00".repeat(31));
    assert_eq!(identity.parse::<PublicKey>(), Err(KeyError::PublicValue));
    for bad in ["", "ed25519:", "rsa:00", &key(1).public().to_string().to_uppercase()] {
        assert_eq!(bad.parse::<PublicKey>(), Err(KeyError::PublicText), "{bad:?}");
    }
}

#[test]
fn other_programs_agree_on_key_id_and_signature() {
    // Made with OpenSSL 3.0 from the first key of RFC 8032 (7.1): the id is sha256 of `openssl pkey -pubout -outform DER`, the
    // signature is `openssl pkeyutl -sign -rawin` over the encoded text.
    let key = "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60";
    let key = SigningKey::from_secret(&read_hex(key).unwrap());
    assert_eq!(key.to_pem().lines().nth(1), Some("MC4CAQAwBQYDK2VwBCIEIJ1hsZ3v/VpguoRK9JLsLMREScVpezJpGXA7rAMcrn9g"));
    assert_eq!(SigningKey::from_pem(&key.to_pem()).unwrap().id(), key.id());
    assert_eq!(key.public().to_string(), "ed25519:d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a");
    assert_eq!(key.id().to_string(), "06e3fd8fda29bb60ab59557de61edb0aecdb231134be30e75b455f8e1b792fa9");
    let envelope = Envelope::sign("http://example.com/HelloWorld", b"hello world", &[&key]);
    assert_eq!(
        STANDARD.encode(&envelope.signatures()[0].sig),
        "4DHX3Zn4qpBKvEj7maE8O9u9bjXEnPLLnyXVUJ2PXJR8DSLcL3QDpFvfJOj3pB/SPHsl6Jg4boxsMb6KvuYABw=="
    );
}

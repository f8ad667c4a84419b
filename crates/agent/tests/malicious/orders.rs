//! Orders that are not what they say.

use crate::common::{self, CONTENT, ORDER, ORGANISATION, ROOT, now};
use crate::forge::{Attack, End, ID, Move, order, seal};
use agent::orders::SEQ_AHEAD_MAX;
use catalogue::index::INDEX_TYPE;
use protocol::order::{ORDER_TYPE, OrderKind, RefusalCode, Supersedes};
use serde_json::Value;
use uuid::Uuid;

const STRANGER: u8 = 99;

pub fn attacks() -> Vec<Attack> {
    [envelopes(), signatures(), payloads(), addresses(), numbers(), times()].into_iter().flatten().collect()
}

fn silent(name: &'static str, code: RefusalCode, moves: fn(&crate::Forge) -> Vec<Move>) -> Attack {
    Attack { name, end: End::Silent(code), moves }
}

/// The one text among some moves.
fn text_of(moves: Vec<Move>) -> String {
    match moves.into_iter().next() {
        Some(Move::Order(text)) => text,
        other => panic!("no order: {other:?}"),
    }
}

/// Envelopes that are none.
fn envelopes() -> Vec<Attack> {
    vec![
        silent("an envelope above the size that is read", RefusalCode::TooLarge, |_| {
            vec![Move::Order(format!("{{\"payload\":\"{}\"}}", "A".repeat(70_000)))]
        }),
        silent("no JSON at all", RefusalCode::Malformed, |_| vec![Move::Order("apply it, please".to_owned())]),
        silent("an empty object", RefusalCode::Malformed, |_| vec![Move::Order("{}".to_owned())]),
        silent("ten thousand brackets", RefusalCode::Malformed, |_| vec![Move::Order("[".repeat(10_000))]),
        silent("a field more in the envelope", RefusalCode::Malformed, |forge| {
            forge.broken(|envelope| envelope["also"] = Value::Bool(true))
        }),
        silent("the payload named twice, the second one tampered with", RefusalCode::Malformed, |forge| {
            let text = text_of(forge.broken(|_| {}));
            vec![Move::Order(text.replacen('{', "{\"payload\":\"e30=\",", 1))]
        }),
        silent("a payload in another spelling of base64", RefusalCode::Malformed, |forge| {
            forge.broken(|envelope| {
                let text = envelope["payload"].as_str().unwrap().to_owned();
                envelope["payload"] = Value::String(format!("{text}\n"));
            })
        }),
        silent("bytes behind the envelope", RefusalCode::Malformed, |forge| {
            let text = text_of(forge.broken(|_| {}));
            vec![Move::Order(format!("{text}{text}"))]
        }),
    ]
}

/// Envelopes that the order key did not sign, or signed as something else.
fn signatures() -> Vec<Attack> {
    vec![
        order("no signature", RefusalCode::Unsigned, |forge| forge.sealed(ORDER_TYPE, &[])),
        order("a stranger's signature", RefusalCode::UnknownKey, |forge| forge.sealed(ORDER_TYPE, &[STRANGER])),
        order("the content key's signature", RefusalCode::UnknownKey, |forge| forge.sealed(ORDER_TYPE, &[CONTENT])),
        order("the organisation key's signature", RefusalCode::UnknownKey, |forge| {
            forge.sealed(ORDER_TYPE, &[ORGANISATION])
        }),
        order("the root key's signature", RefusalCode::UnknownKey, |forge| forge.sealed(ORDER_TYPE, &[ROOT])),
        order("every key but the order key", RefusalCode::UnknownKey, |forge| {
            forge.sealed(ORDER_TYPE, &[ROOT, CONTENT, ORGANISATION, STRANGER])
        }),
        order("a stranger's signature under the order key's name", RefusalCode::BadSignature, |forge| {
            forge.broken(|envelope| {
                let other = seal(ORDER_TYPE, b"{}", &[STRANGER]);
                let other: Value = serde_json::from_str(&other).unwrap();
                envelope["signatures"][0]["sig"] = other["signatures"][0]["sig"].clone();
            })
        }),
        order("a payload exchanged under an honest signature", RefusalCode::BadSignature, |forge| {
            let other = text_of(forge.changed(|order| order.run_timeout_seconds = 1));
            let other: Value = serde_json::from_str(&other).unwrap();
            forge.broken(|envelope| envelope["payload"] = other["payload"].clone())
        }),
        order("an order signed as an index (payload type confusion)", RefusalCode::WrongType, |forge| {
            forge.sealed(INDEX_TYPE, &[ORDER, CONTENT])
        }),
        order("an order signed as root metadata", RefusalCode::WrongType, |forge| {
            forge.sealed("application/vnd.quell.root+json", &[ORDER, ROOT])
        }),
        order("an order signed as an agent's request", RefusalCode::WrongType, |forge| {
            forge.sealed(protocol::agent::REQUEST_TYPE, &[ORDER])
        }),
        order("the type changed back after signing as another", RefusalCode::BadSignature, |forge| {
            let text = text_of(forge.sealed(INDEX_TYPE, &[ORDER]));
            vec![Move::Order(text.replace(INDEX_TYPE, ORDER_TYPE))]
        }),
        silent("the honest index in the place of an order", RefusalCode::WrongType, |forge| {
            vec![Move::Order(forge.index.clone())]
        }),
    ]
}

/// Payloads with the order key's own signature that are not an order this agent understands.
fn payloads() -> Vec<Attack> {
    vec![
        silent("an empty payload", RefusalCode::Malformed, |_| vec![Move::Order(seal(ORDER_TYPE, b"", &[ORDER]))]),
        order("a field this agent does not know", RefusalCode::Malformed, |forge| {
            forge.rewritten(|text| text.replacen('{', "{\"only_on_sundays\":true,", 1))
        }),
        order("the entry named twice (duplicate keys)", RefusalCode::Malformed, |forge| {
            forge.rewritten(|text| text.replacen('{', "{\"entry_id\":\"linux-risky\",", 1))
        }),
        order("dry_run named twice, true and false", RefusalCode::Malformed, |forge| {
            forge.rewritten(|text| text.replacen('{', "{\"dry_run\":true,", 1))
        }),
        order("a field left out", RefusalCode::Malformed, |forge| {
            forge.rewritten(|text| text.replace("\"output_cap_bytes\":65536,", ""))
        }),
        order("version 2 of the message", RefusalCode::Malformed, |forge| forge.changed(|order| order.v = 2)),
        order("a kind of order that does not exist", RefusalCode::Malformed, |forge| {
            forge.rewritten(|text| text.replace("\"kind\":\"apply\"", "\"kind\":\"shell\""))
        }),
        order("a command line smuggled in", RefusalCode::Malformed, |forge| {
            forge.rewritten(|text| text.replacen('{', "{\"command\":\"id > /tmp/owned\",", 1))
        }),
        silent("bytes behind the order", RefusalCode::Malformed, |forge| {
            forge.rewritten(|text| format!("{text}{{\"dry_run\":false}}"))
        }),
    ]
}

/// Orders for others, or for things that are not in the index.
fn addresses() -> Vec<Attack> {
    vec![
        order("an order for another agent", RefusalCode::WrongAgent, |forge| {
            forge.changed(|order| order.agent_id = Uuid::from_u128(0xbad))
        }),
        order(
            "an order of this agent's earlier installation (replay across instances)",
            RefusalCode::WrongInstance,
            |forge| forge.changed(|order| order.instance_id = Uuid::from_u128(0xbad)),
        ),
        order("an index newer than there is", RefusalCode::IndexOlder, |forge| {
            forge.changed(|order| order.catalogue_min = u64::MAX)
        }),
        order("an entry that is not in the index", RefusalCode::NotInIndex, |forge| forge.apply("linux-unheard-of")),
        order("an entry id that is a path", RefusalCode::NotInIndex, |forge| forge.apply("../../etc/passwd")),
        order("an entry id with a zero byte", RefusalCode::NotInIndex, |forge| {
            forge.apply("linux-sshd-login-grace-0\0")
        }),
        order("another digest than the index has", RefusalCode::WrongDigest, |forge| {
            forge.changed(|order| order.content_digest = "ab".repeat(32))
        }),
        order("a digest that is a path to the agent's key", RefusalCode::WrongDigest, |forge| {
            forge.changed(|order| order.content_digest = "../agent.key".to_owned())
        }),
        order("one entry's id with another's digest", RefusalCode::WrongDigest, |forge| {
            let digest = forge.listed["linux-risky"].0.clone();
            forge.changed(|order| order.content_digest = digest)
        }),
        order("another revision than the index has", RefusalCode::WrongDigest, |forge| {
            forge.changed(|order| order.entry_revision = 2)
        }),
        order("an entry that is revoked by its id", RefusalCode::Revoked, |forge| forge.apply("linux-revoked-id")),
        order("an entry that is revoked by its digest", RefusalCode::Revoked, |forge| {
            forge.apply("linux-revoked-digest")
        }),
        order("an entry that is withdrawn", RefusalCode::NotInIndex, |forge| forge.apply("linux-withdrawn")),
        order("an organisation's own entry that the content key alone signed", RefusalCode::IndexUntrusted, |forge| {
            forge.apply("org-by-content-alone")
        }),
        order("an entry of high risk without an approval", RefusalCode::ApprovalNeeded, |forge| {
            forge.apply("linux-risky")
        }),
    ]
}

/// Numbers that were used, or that nobody can have counted up to.
fn numbers() -> Vec<Attack> {
    vec![
        order("the number of an order that was carried out", RefusalCode::Replayed, |forge| {
            forge.changed(|order| order.order_seq = 1)
        }),
        order("number 0", RefusalCode::Replayed, |forge| forge.changed(|order| order.order_seq = 0)),
        order("the greatest number there is", RefusalCode::Replayed, |forge| {
            forge.changed(|order| order.order_seq = u64::MAX)
        }),
        order("a number far above all used ones", RefusalCode::Replayed, |forge| {
            forge.changed(|order| order.order_seq = SEQ_AHEAD_MAX * 2)
        }),
        order("a number beyond what a number holds", RefusalCode::Malformed, |forge| {
            let digits = "9".repeat(60);
            forge.rewritten(|text| {
                text.replacen("\"run_timeout_seconds\":60", &format!("\"run_timeout_seconds\":{digits}"), 1)
            })
        }),
        order("a negative number", RefusalCode::Malformed, |forge| {
            forge.rewritten(|text| text.replace("\"catalogue_min\":1", "\"catalogue_min\":-1"))
        }),
        order("a number with a fraction", RefusalCode::Malformed, |forge| {
            forge.rewritten(|text| text.replace("\"entry_revision\":1", "\"entry_revision\":1.5"))
        }),
        order("a later epoch without its predecessor", RefusalCode::UnresolvedEpoch, |forge| {
            forge.changed(|order| order.epoch = 1_000_000)
        }),
        order("a later epoch with an invented result", RefusalCode::UnresolvedEpoch, |forge| {
            forge.changed(|order| {
                order.epoch = 2;
                order.supersedes = Some(Supersedes { epoch: 1, result_digest: "ab".repeat(32) });
            })
        }),
        order("an epoch that names itself as its predecessor", RefusalCode::UnresolvedEpoch, |forge| {
            forge.changed(|order| {
                order.epoch = 2;
                order.supersedes = Some(Supersedes { epoch: 2, result_digest: "ab".repeat(32) });
            })
        }),
        Attack {
            name: "another order for a task that was done",
            end: End::ToldAgain(RefusalCode::Replayed),
            moves: |forge| forge.changed(|order| order.task = Uuid::from_u128(1)),
        },
    ]
}

/// Orders at the wrong time.
fn times() -> Vec<Attack> {
    vec![
        order("an order whose time is over", RefusalCode::Expired, |forge| {
            forge.changed(|order| order.not_after = now().plus_seconds(-60))
        }),
        order("an order whose time has not come", RefusalCode::NotYet, |forge| {
            forge.changed(|order| order.not_before = now().plus_seconds(3600))
        }),
        order("a window that ends before it begins", RefusalCode::NotYet, |forge| {
            forge.changed(|order| {
                order.not_before = now().plus_seconds(3600);
                order.not_after = now().plus_seconds(-3600);
            })
        }),
        order("an order that has begun at the end of time", RefusalCode::NotYet, |forge| {
            let far = serde_json::to_string(&domain::time::Timestamp::from_micros(253_402_300_799_000_000)).unwrap();
            forge.changed(|order| {
                order.not_before = serde_json::from_str(&far).unwrap();
                order.not_after = order.not_before;
            })
        }),
        order("a revert that nobody signed", RefusalCode::Unsigned, |forge| {
            let payload = serde_json::to_vec(&forge.order(OrderKind::Revert, ID)).unwrap();
            vec![Move::Order(seal(ORDER_TYPE, &payload, &[]))]
        }),
        order("a revert by the content key", RefusalCode::UnknownKey, |forge| {
            vec![Move::Order(common::sign(&forge.order(OrderKind::Revert, ID), CONTENT))]
        }),
    ]
}

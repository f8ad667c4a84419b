//! Roots and indexes that are older, forged, or signed by the wrong role, each followed by an order that only they would allow.

use crate::common::{self, CONTENT, ORDER, ORGANISATION, ROOT, entry, key, make_index, make_root, now};
use crate::forge::{Attack, Forge, ID, Move, order};
use catalogue::ephemeral::single_key_root;
use catalogue::index::Index;
use protocol::order::{OrderKind, RefusalCode};
use protocol::root::Root;

const STRANGER: u8 = 99;
const EXTRA: &str = "linux-only-in-a-forged-index";
const OWNED: &str = "[[action]]\nkind = \"file.dropin\"\npath = \"/etc/owned\"\nmode = \"0644\"\ncontent = \"x\\n\"\n";

fn sealed(root: &Root, with: &[u8]) -> String {
    let keys: Vec<_> = with.iter().map(|n| key(*n)).collect();
    let keys: Vec<_> = keys.iter().collect();
    String::from_utf8(root.seal(&keys).unwrap().to_json()).unwrap()
}

/// A root in which strangers hold the roles of orders and content.
fn strangers(version: u64) -> Root {
    let [root, content, organisation, order] = [ROOT, STRANGER, ORGANISATION, STRANGER + 1].map(|n| key(n).public());
    single_key_root(&root, &content, &organisation, &order, version, now().plus_seconds(3600))
}

/// An index with an entry that the real one does not have, signed by these keys.
fn index(version: u64, with: &[u8]) -> String {
    let extra = entry(EXTRA, OWNED);
    let index = Index::of(version, now().plus_seconds(3600), &[extra], Vec::new());
    let keys: Vec<_> = with.iter().map(|n| key(*n)).collect();
    let keys: Vec<_> = keys.iter().collect();
    String::from_utf8(index.seal(&keys).unwrap().to_json()).unwrap()
}

/// Metadata, and an honest apply signed by this key.
fn then(forge: &Forge, metadata: Move, with: u8) -> Vec<Move> {
    vec![metadata, Move::Order(common::sign(&forge.order(OrderKind::Apply, ID), with))]
}

/// An index, and an order for what only it lists.
fn listed_in(forge: &Forge, sealed: String) -> Vec<Move> {
    let mut moves = vec![Move::Index(sealed)];
    moves.extend(forge.apply(EXTRA));
    moves
}

pub fn attacks() -> Vec<Attack> {
    vec![
        order("a newer root that its own new keys signed, and an order by them", RefusalCode::UnknownKey, |forge| {
            then(forge, Move::Roots(vec![sealed(&strangers(2), &[STRANGER, STRANGER + 1])]), STRANGER + 1)
        }),
        order("a newer root that the order key signed", RefusalCode::UnknownKey, |forge| {
            then(forge, Move::Roots(vec![sealed(&strangers(2), &[ORDER])]), STRANGER + 1)
        }),
        order("a newer root that content and organisation signed", RefusalCode::UnknownKey, |forge| {
            then(forge, Move::Roots(vec![sealed(&strangers(2), &[CONTENT, ORGANISATION])]), STRANGER + 1)
        }),
        order("a root that leaves a version out", RefusalCode::UnknownKey, |forge| {
            then(forge, Move::Roots(vec![sealed(&strangers(3), &[ROOT])]), STRANGER + 1)
        }),
        order("the same version of the root with other keys (root rollback)", RefusalCode::UnknownKey, |forge| {
            then(forge, Move::Roots(vec![sealed(&strangers(1), &[ROOT])]), STRANGER + 1)
        }),
        order("a root of version 0", RefusalCode::UnknownKey, |forge| {
            let text = sealed(&make_root(1, 3600), &[ROOT]);
            let roots = vec![text.replace("\"version\":1", "\"version\":0")];
            then(forge, Move::Roots(roots), STRANGER + 1)
        }),
        order("an index that the order key signed", RefusalCode::NotInIndex, |forge| {
            listed_in(forge, index(9, &[ORDER]))
        }),
        order("an index that the root key signed", RefusalCode::NotInIndex, |forge| {
            listed_in(forge, index(9, &[ROOT]))
        }),
        order("an index that a stranger signed", RefusalCode::NotInIndex, |forge| {
            listed_in(forge, index(9, &[STRANGER]))
        }),
        order("an index that nobody signed", RefusalCode::NotInIndex, |forge| listed_in(forge, index(9, &[]))),
        order("an index of the same version with other entries", RefusalCode::NotInIndex, |forge| {
            listed_in(forge, index(1, &[CONTENT]))
        }),
        order("an index that has expired", RefusalCode::NotInIndex, |forge| {
            listed_in(forge, make_index(9, -1, &[entry(EXTRA, OWNED)], Vec::new()))
        }),
    ]
}

//! What a selection names is the same in SQL and in `domain::selection`, on both engines, whatever the scopes, tags and
//! tree; and an asset's criticality follows its tags (R22).

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::allow_attributes, reason = "a test may panic")]

use domain::access::AssetScope;
use domain::asset::{Identity, Platform};
use domain::filter::{Context, Subject, Value};
use domain::id::AssetId;
use domain::selection::{Candidate, Match, Question, Reason, Selection, TagRule, Verdict, decide};
use domain::tag::{self, Tree};
use domain::time::Timestamp;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use std::collections::{BTreeMap, BTreeSet};
use store::agents::NewAgent;
use store::{Database, Transaction, agents, assets, selection, tags};
use testkit::both_engines;
use uuid::Uuid;

const TAGS: [&str; 5] = ["a", "b", "c", "d", "e"];
const QUERIES: [&str; 7] =
    ["", "name:host-1", "name:host*", "tag:a", "not tag:b", "platform:linux and agent:true", "host-2 or tag:c"];

fn at() -> Timestamp {
    Timestamp::from_micros(1_790_000_000_000_000)
}

#[derive(Clone, Debug)]
struct Host {
    tags: BTreeSet<String>,
    platform: Platform,
    agent: bool,
}

/// A host as its fields are asked.
struct Row<'h>(String, &'h Host);

impl Subject for Row<'_> {
    fn values(&self, field: &str) -> Vec<Value> {
        match field {
            "name" => vec![Value::Text(self.0.clone())],
            "platform" => vec![Value::Text(self.1.platform.as_str().to_owned())],
            "agent" => vec![Value::Truth(self.1.agent)],
            "tag" => self.1.tags.iter().map(|tag| Value::Text(tag.clone())).collect(),
            "ip" | "os" | "fqdn" => vec![Value::Text(String::new())],
            field => panic!("the test asks for {field}"),
        }
    }
}

fn words() -> impl Strategy<Value = BTreeSet<String>> {
    proptest::collection::btree_set(proptest::sample::select(&TAGS[..]).prop_map(str::to_owned), 0..4)
}

fn rule() -> impl Strategy<Value = TagRule> {
    (words(), any::<bool>())
        .prop_map(|(tags, all)| TagRule { tags, matching: if all { Match::All } else { Match::Any } })
}

fn host() -> impl Strategy<Value = Host> {
    let platform = proptest::sample::select(vec![Platform::Linux, Platform::Linux, Platform::Windows, Platform::Macos]);
    (words(), platform, any::<bool>()).prop_map(|(tags, platform, agent)| Host { tags, platform, agent })
}

fn scope() -> impl Strategy<Value = AssetScope> {
    prop_oneof![Just(AssetScope::All), words().prop_map(AssetScope::Tags)]
}

/// Numbers of hosts, later replaced by their keys.
fn numbers() -> impl Strategy<Value = BTreeSet<i64>> {
    proptest::collection::btree_set(0_i64..8, 0..4)
}

#[derive(Clone, Debug)]
struct Case {
    hosts: Vec<Host>,
    pairs: Vec<(String, String)>,
    scopes: Vec<AssetScope>,
    listed: BTreeSet<i64>,
    excluded: BTreeSet<i64>,
    rest: Selection,
}

fn case() -> impl Strategy<Value = Case> {
    let pair =
        (0..TAGS.len(), 0..TAGS.len()).prop_map(|(child, parent)| (TAGS[child].to_owned(), TAGS[parent].to_owned()));
    let rest =
        (proptest::sample::select(&QUERIES[..]), rule(), words(), rule()).prop_map(|(query, tags, must, exclude)| {
            Selection { query: query.to_owned(), tags, must, exclude, ..Selection::default() }
        });
    (
        proptest::collection::vec(host(), 8),
        proptest::collection::vec(pair, 0..4),
        proptest::collection::vec(scope(), 0..3),
        numbers(),
        numbers(),
        rest,
    )
        .prop_map(|(hosts, pairs, scopes, listed, excluded, rest)| Case {
            hosts,
            pairs,
            scopes,
            listed,
            excluded,
            rest,
        })
}

fn make(tx: &mut Transaction<'_>, n: usize, host: &Host) -> store::Result<AssetId> {
    let name = format!("host-{n}");
    let identity = Identity { machine_id: Some(Uuid::now_v7().to_string()), ..Identity::default() };
    let asset = agents::create_asset(tx, &name, host.platform, "", "", &identity, at())?;
    let tags: Vec<String> = host.tags.iter().cloned().collect();
    assets::edit(tx, "users/test", asset, None, Some(&tags), at())?;
    if host.agent {
        let text = String::new();
        let agent = NewAgent {
            agent_id: Uuid::now_v7(),
            instance_id: Uuid::now_v7(),
            token_id: Uuid::now_v7(),
            public_key: Uuid::now_v7().to_string(),
            hostname: name,
            zone: text.clone(),
            facts: text.clone(),
            version: text.clone(),
            mode: text,
        };
        let key = agents::create(tx, &agent, at())?;
        agents::set_link(tx, key, Some(asset), "linked", "", at())?;
    }
    Ok(asset)
}

/// What the store says, and what the domain says, of every host in order.
fn both(db: &Database, case: &Case) -> (Vec<Verdict>, Vec<Verdict>) {
    let case = case.clone();
    db.write_blocking(move |tx| {
        for table in ["DELETE FROM agent", "DELETE FROM asset_tag", "DELETE FROM asset"] {
            tx.execute(table, &[])?;
        }
        let mut keys = Vec::new();
        for (n, host) in case.hosts.iter().enumerate() {
            keys.push(make(tx, n, host)?);
        }
        let of = |numbers: &BTreeSet<i64>| -> BTreeSet<AssetId> {
            numbers.iter().filter_map(|n| keys.get(usize::try_from(*n).ok()?).copied()).collect()
        };
        let chosen = Selection { assets: of(&case.listed), exclude_assets: of(&case.excluded), ..case.rest.clone() };
        let (filter, tree) = (chosen.read(&assets::FIELDS).unwrap(), Tree::new(case.pairs.clone()));
        let context = Context::at(at());
        let question = Question {
            selection: &chosen,
            filter: &filter,
            fields: &assets::FIELDS,
            context: &context,
            tree: &tree,
            scopes: &case.scopes,
            platform: Platform::Linux,
        };
        let outcome = selection::resolve(tx, &question)?;
        let mut named: BTreeMap<AssetId, Verdict> = outcome.inside.iter().map(|row| (row.id, Verdict::In)).collect();
        named.extend(outcome.outside.iter().map(|row| (row.id, Verdict::Out(Reason::parse(&row.verdict).unwrap()))));
        let counted: i64 = outcome.reasons.values().sum();
        assert_eq!(usize::try_from(counted).unwrap(), outcome.outside.len());
        let store = keys.iter().map(|key| named.get(key).copied().unwrap_or(Verdict::Absent)).collect();
        let domain = keys.iter().zip(&case.hosts).enumerate().map(|(n, (id, host))| {
            let row = Row(format!("host-{n}"), host);
            let asset = Candidate { id: *id, platform: host.platform, tags: &host.tags, agent: host.agent, row: &row };
            decide(&question, &asset)
        });
        Ok((store, domain.collect()))
    })
    .unwrap()
}

both_engines!(r19_sql_names_what_the_domain_names, |db| {
    let mut runner = TestRunner::new(Config { cases: 120, failure_persistence: None, ..Config::default() });
    let seen = std::cell::Cell::new(0);
    runner
        .run(&case(), |case| {
            let (store, domain) = both(db, &case);
            seen.set(seen.get() + store.iter().filter(|verdict| **verdict != Verdict::Absent).count());
            prop_assert_eq!(store, domain);
            Ok(())
        })
        .unwrap();
    assert!(seen.get() > 100, "the cases name something: {}", seen.get());
});

both_engines!(r22_the_highest_tag_decides_the_criticality_of_an_asset, |db| {
    db.write_blocking(|tx| {
        let host = |tags: &[&str]| Host {
            tags: tags.iter().map(|tag| (*tag).to_owned()).collect(),
            platform: Platform::Linux,
            agent: false,
        };
        let (one, two) = (make(tx, 1, &host(&["a", "b"]))?, make(tx, 2, &host(&["b"]))?);
        let says = |tx: &mut Transaction<'_>, expected: [i64; 2]| -> store::Result<()> {
            assert_eq!([assets::one(tx, one)?.criticality, assets::one(tx, two)?.criticality], expected);
            Ok(())
        };
        let before = assets::one(tx, one)?.criticality;
        tags::say(tx, "users/test", "a", None, Some(5), at())?;
        tags::say(tx, "users/test", "b", Some("a"), Some(1), at())?;
        says(tx, [5, 1])?;
        assert_eq!(tag::criticality(None, [Some(5), Some(1)], before), 5);
        // Set by hand it stays, until it is given back to the tags.
        assets::edit(tx, "users/test", one, Some(2), None, at())?;
        tags::say(tx, "users/test", "a", None, Some(4), at())?;
        says(tx, [2, 1])?;
        assets::edit(tx, "users/test", one, Some(0), None, at())?;
        says(tx, [4, 1])?;
        // Without a word of its tags an asset has what it had before.
        tags::say(tx, "users/test", "a", None, None, at())?;
        tags::say(tx, "users/test", "b", Some("a"), None, at())?;
        says(tx, [before, before])?;
        assert_eq!(tags::tree(tx)?.with_children("a").len(), 2);
        let all = tags::list(tx, &AssetScope::All)?;
        let row = |name: &str| all.iter().find(|row| row.name == name).cloned().unwrap();
        assert_eq!((row("a").assets, row("b").assets, row("b").parent), (1, 2, Some("a".to_owned())));
        let mine = tags::list(tx, &AssetScope::Tags(["a".to_owned()].into()))?;
        assert_eq!(mine.iter().map(|row| (row.name.as_str(), row.assets)).collect::<Vec<_>>(), [("a", 1), ("b", 1)]);
        Ok(())
    })
    .unwrap();
});

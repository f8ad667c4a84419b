//! The rules by table, and what holds for every portion.

use super::*;
use proptest::prelude::*;

fn host(instance: i64, keyed: bool) -> Host {
    Host {
        instance: InstanceId(instance),
        keyed,
        agent_uuid: None,
        asset_key: None,
        fqdn: String::new(),
        netbios: String::new(),
        dns: String::new(),
        ip: String::new(),
        network: String::new(),
    }
}

fn named(instance: i64, fqdn: &str, ip: &str) -> Host {
    Host { fqdn: fqdn.to_owned(), ip: ip.to_owned(), ..host(instance, true) }
}

fn with_uuid(host: Host, uuid: &str) -> Host {
    Host { agent_uuid: Some(uuid.to_owned()), ..host }
}

fn with_key(host: Host, key: &str) -> Host {
    Host { asset_key: Some(key.to_owned()), ..host }
}

/// Where one host belongs among these, whose assets are numbered from 1.
fn of(rules: &[Rule], known: &[Host], host: Host) -> Place {
    let hosts = (1..).map(AssetId).zip(known.iter().cloned()).collect();
    place(rules, &Known { hosts, agents: Vec::new() }, &[host])[0]
}

#[test]
fn each_rule_finds_what_it_looks_at_and_the_order_decides() {
    use Place::{Found, New};
    let in_network = |network: &str, host: Host| Host { network: network.to_owned(), ..host };
    let a = || named(1, "a.example", "10.0.0.1");
    for (known, new, wanted) in [
        (
            vec![with_uuid(a(), "u1")],
            with_uuid(named(2, "b.example", "10.0.0.9"), "u1"),
            Found(AssetId(1), Rule::AgentUuid),
        ),
        (vec![a()], named(2, "a.example", ""), Found(AssetId(1), Rule::Fqdn)),
        (vec![a()], named(2, "", "10.0.0.1"), Found(AssetId(1), Rule::Ip)),
        (vec![a()], in_network("7", named(2, "a.example", "10.0.0.1")), New(0)),
        (vec![in_network("7", a())], in_network("7", named(2, "", "10.0.0.1")), Found(AssetId(1), Rule::Ip)),
        // Two that fit are none, and the next rule is asked.
        (vec![a(), named(1, "a.example", "10.0.0.2")], named(2, "a.example", "10.0.0.2"), Found(AssetId(2), Rule::Ip)),
        (vec![a(), named(1, "a.example", "10.0.0.2")], named(2, "a.example", ""), New(0)),
        // A name with another agent is another machine; one without is not.
        (vec![with_uuid(a(), "u1")], with_uuid(named(2, "a.example", ""), "u2"), New(0)),
        (vec![with_uuid(a(), "u1")], named(2, "a.example", ""), Found(AssetId(1), Rule::Fqdn)),
        (vec![a()], with_uuid(named(2, "a.example", ""), "u2"), Found(AssetId(1), Rule::Fqdn)),
        // Hosts of one instance with ids of their own are told apart by these, whatever they are called.
        (vec![a()], named(1, "a.example", "10.0.0.1"), New(0)),
        (vec![a()], Host { keyed: false, ..named(1, "a.example", "") }, Found(AssetId(1), Rule::Fqdn)),
        // The inventory's id counts within its instance, across networks and names.
        (vec![with_key(a(), "9")], with_key(in_network("7", host(1, false)), "9"), Found(AssetId(1), Rule::AssetId)),
        (vec![with_key(a(), "9")], with_key(host(2, true), "9"), New(0)),
        (vec![with_key(with_uuid(a(), "u1"), "9")], with_key(with_uuid(host(1, true), "u2"), "9"), New(0)),
        // A DNS name is looked for among DNS names.
        (
            vec![Host { dns: "h1".to_owned(), ..host(1, true) }],
            Host { dns: "h1".to_owned(), ..host(2, true) },
            Found(AssetId(1), Rule::Dns),
        ),
        (
            vec![Host { netbios: "H1".to_owned(), ..host(1, true) }],
            Host { netbios: "H1".to_owned(), ..host(2, true) },
            Found(AssetId(1), Rule::Netbios),
        ),
        (vec![host(1, true)], host(2, true), New(0)),
    ] {
        assert_eq!(of(&Rule::ALL, &known, new.clone()), wanted, "{known:?} {new:?}");
    }
    let known = [a(), named(1, "b.example", "10.0.0.2")];
    let torn = || named(2, "a.example", "10.0.0.2");
    assert_eq!(of(&Rule::ALL, &known, torn()), Found(AssetId(1), Rule::Fqdn));
    let by_address = [Rule::AgentUuid, Rule::Ip, Rule::Fqdn];
    assert_eq!(of(&by_address, &known, torn()), Found(AssetId(2), Rule::Ip));
    assert_eq!(of(&[Rule::AgentUuid], &known, torn()), New(0));
}

#[test]
fn an_agent_that_several_assets_claim_is_on_none_of_them() {
    let hosts = vec![(AssetId(1), with_uuid(named(1, "a", ""), "u1"))];
    let known = Known { hosts, agents: vec![(AssetId(2), "u1".to_owned())] };
    assert_eq!(place(&Rule::ALL, &known, &[with_uuid(named(2, "a", ""), "u1")]), [Place::New(0)]);
    let known = Known { hosts: Vec::new(), agents: vec![(AssetId(2), "u1".to_owned())] };
    let found = place(&Rule::ALL, &known, &[with_uuid(host(2, true), "u1")]);
    assert_eq!(found, [Place::Found(AssetId(2), Rule::AgentUuid)]);
}

#[test]
fn a_portion_is_placed_together() {
    use Place::{Found, New};
    let known = Known { hosts: vec![(AssetId(1), named(1, "a", ""))], agents: Vec::new() };
    // Two hosts that fit one asset by name fit none, and stay two.
    assert_eq!(place(&Rule::ALL, &known, &[named(2, "a", ""), named(2, "a", "")]), [New(0), New(1)]);
    // New hosts of one agent, or of one inventory id, are one asset; another agent with that id is another one.
    let portion = [
        with_uuid(named(2, "x", ""), "u1"),
        with_uuid(named(2, "y", ""), "u1"),
        with_key(host(2, true), "9"),
        with_key(with_uuid(host(2, false), "u2"), "9"),
        with_key(with_uuid(host(2, true), "u3"), "9"),
        with_key(host(3, true), "9"),
    ];
    assert_eq!(place(&Rule::ALL, &known, &portion), [New(0), New(0), New(1), New(1), New(2), New(3)]);
    // Where one host of an instance is an asset for sure, another one is not it by its name.
    let hosts = vec![(AssetId(1), with_uuid(named(1, "a", ""), "u1"))];
    let known = Known { hosts, agents: Vec::new() };
    let portion = [named(2, "a", ""), with_uuid(named(2, "b", ""), "u1")];
    assert_eq!(place(&Rule::ALL, &known, &portion), [New(0), Found(AssetId(1), Rule::AgentUuid)]);
}

#[test]
fn rules_are_read_and_refused() {
    let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
    assert_eq!(rules(&words(&["agent_uuid", "ip"])), Ok(vec![Rule::AgentUuid, Rule::Ip]));
    for wrong in [&["ip"][..], &[], &["agent_uuid", "ip", "ip"], &["agent_uuid", "colour"], &["ip", "agent_uuid"]] {
        assert_eq!(rules(&words(wrong)).map_err(|refusal| refusal.code), Err("rules"), "{wrong:?}");
    }
    assert!(Rule::ALL.into_iter().all(|rule| Rule::parse(rule.as_str()) == Some(rule) && !rule.title().is_empty()));
}

#[test]
fn an_address_alone_is_little() {
    let only = named(1, "", "10.0.0.1");
    assert!(only_an_address(&only, ""));
    assert!(!only_an_address(&only, "Linux") && !only_an_address(&named(1, "a", "10.0.0.1"), ""));
    assert!(!only_an_address(&with_uuid(only, "u"), "") && !only_an_address(&host(1, true), ""));
}

fn any_host() -> impl Strategy<Value = Host> {
    let some = |words: &'static [&'static str]| prop::sample::select(words).prop_map(str::to_owned);
    (
        (1i64..3, any::<bool>()),
        prop::option::weighted(0.5, some(&["u1", "u2", "u3"])),
        prop::option::weighted(0.5, some(&["8", "9"])),
        (
            some(&["", "a", "b"]),
            some(&["", "A"]),
            some(&["", "d"]),
            some(&["", "10.0.0.1", "10.0.0.2"]),
            some(&["", "7"]),
        ),
    )
        .prop_map(|((instance, keyed), agent_uuid, asset_key, (fqdn, netbios, dns, ip, network))| Host {
            instance: InstanceId(instance),
            keyed,
            agent_uuid,
            asset_key,
            fqdn,
            netbios,
            dns,
            ip,
            network,
        })
}

fn any_rules() -> impl Strategy<Value = Vec<Rule>> {
    let others = Just(Rule::ALL[1..].to_vec()).prop_shuffle();
    (others, 0usize..6)
        .prop_map(|(others, count)| std::iter::once(Rule::AgentUuid).chain(others.into_iter().take(count)).collect())
}

/// Portions one after the other, each adding to what is known.
fn grown(rules: &[Rule], portions: &[Vec<Host>]) -> Vec<(AssetId, Host)> {
    let mut known = Known::default();
    let mut next = 1;
    for portion in portions {
        let places = place(rules, &known, portion);
        let first = next;
        for (place, host) in places.into_iter().zip(portion) {
            let asset = match place {
                Place::Found(asset, _) => asset,
                Place::New(n) => AssetId(first + i64::try_from(n).unwrap()),
            };
            next = next.max(asset.0 + 1);
            known.hosts.push((asset, host.clone()));
        }
    }
    known.hosts
}

proptest! {
    /// Whatever the order of the rules and of the reports.
    #[test]
    fn an_asset_never_gets_two_agents(rules in any_rules(), portions in prop::collection::vec(prop::collection::vec(any_host(), 0..6), 1..5)) {
        let mut agents: BTreeMap<AssetId, &str> = BTreeMap::new();
        let hosts = grown(&rules, &portions);
        for (asset, host) in &hosts {
            if let Some(uuid) = host.agent_uuid.as_deref() {
                prop_assert_eq!(*agents.entry(*asset).or_insert(uuid), uuid, "{}", asset);
            }
        }
    }

    /// The order of the hosts of a portion does not matter, beside who of several different agents on one inventory id comes first.
    #[test]
    fn the_order_of_a_portion_does_not_matter(known in prop::collection::vec(any_host(), 0..5), portion in prop::collection::vec(any_host(), 0..6), turn in 0usize..6) {
        let portion: Vec<Host> = portion.into_iter().map(|host| Host { asset_key: None, ..host }).collect();
        let hosts: Vec<(AssetId, Host)> = (1..).map(AssetId).zip(known).collect();
        let known = Known { hosts, agents: Vec::new() };
        let mut turned = portion.clone();
        turned.rotate_left(turn.min(portion.len()));
        let (one, mut other) = (place(&Rule::ALL, &known, &portion), place(&Rule::ALL, &known, &turned));
        other.rotate_right(turn.min(portion.len()));
        let found = |place: &Place| match place { Place::Found(asset, rule) => Some((*asset, *rule)), Place::New(_) => None };
        prop_assert_eq!(one.iter().map(found).collect::<Vec<_>>(), other.iter().map(found).collect::<Vec<_>>());
    }

    /// What cannot count changes nothing: the store may give only what shares a value, with all hosts of those assets.
    #[test]
    fn hosts_that_share_nothing_do_not_matter(known in prop::collection::vec(any_host(), 0..8), portion in prop::collection::vec(any_host(), 1..4), rules in any_rules()) {
        let hosts: Vec<(AssetId, Host)> = (0i64..).map(|n| AssetId(n % 5)).zip(known).collect();
        let shares = |theirs: &Host| portion.iter().any(|host| Rule::ALL.into_iter().any(|rule| host.value(rule).is_some() && host.value(rule) == theirs.value(rule)));
        let assets: BTreeSet<AssetId> = hosts.iter().filter(|(_, theirs)| shares(theirs)).map(|(asset, _)| *asset).collect();
        let few: Vec<(AssetId, Host)> = hosts.iter().filter(|(asset, _)| assets.contains(asset)).cloned().collect();
        let all = place(&rules, &Known { hosts, agents: Vec::new() }, &portion);
        prop_assert_eq!(all, place(&rules, &Known { hosts: few, agents: Vec::new() }, &portion));
    }
}

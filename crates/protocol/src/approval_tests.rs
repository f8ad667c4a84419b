//! A plan, its manifest, and an order that keeps to it or does not.

use super::*;
use crate::order::Order;
use crate::root::{ROOT_SPEC, RoleKeys, Roles};
use crate::signed::SigningKey;
use domain::rollout::{Apart, Policy, Size};

fn key(n: u8) -> SigningKey {
    SigningKey::from_secret(&[n; 32])
}

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_micros(0).plus_seconds(seconds)
}

/// Two keys hold the organisation role, both are needed.
fn root() -> Root {
    let keys: Vec<_> = (1..=5).map(|n| key(n).public()).collect();
    let organisation = RoleKeys { keyids: vec![key(3).id(), key(4).id()], threshold: 2 };
    let roles = Roles {
        root: RoleKeys::single(&keys[0]),
        content: RoleKeys::single(&keys[1]),
        organisation,
        order: RoleKeys::single(&keys[4]),
    };
    Root { spec: ROOT_SPEC, version: 1, expires: at(10_000), keys, roles }
}

fn plan() -> Plan {
    let body = "{\"an\":\"entry\"}".to_owned();
    let asset = |n: u128| PlanAsset {
        name: format!("host-{n}"),
        ip: String::new(),
        agent_id: Uuid::from_u128(n),
        instance_id: Uuid::from_u128(n + 100),
        wave: if n == 1 { 1 } else { 2 },
        due_at: at(0),
        start_by: None,
        entries: vec!["linux-a".to_owned()],
    };
    let policy = Policy { waves: vec![Size::Count(1)], permits: false, ..Policy::default() };
    Plan {
        v: MANIFEST_VERSION,
        job: "MJ0000001".to_owned(),
        run: 1,
        kind: OrderKind::Apply,
        title: "t".to_owned(),
        description: String::new(),
        schedule: "at once".to_owned(),
        requested_by: "ann".to_owned(),
        valid_from: at(100),
        valid_until: at(900),
        rollout: Rollout { permits: false, ..Rollout::of(&policy, 5, 5) },
        entries: vec![PlanEntry {
            id: "linux-a".to_owned(),
            revision: 1,
            digest: Digest::of(body.as_bytes()),
            class: 2,
            body,
        }],
        assets: (1..=5).map(asset).collect(),
        score: PlanScore::default(),
    }
}

fn sealed(manifest: &Manifest, with: &[u8]) -> Envelope {
    let keys: Vec<_> = with.iter().map(|n| key(*n)).collect();
    Envelope::sign(MANIFEST_TYPE, &manifest.to_json(), &keys.iter().collect::<Vec<_>>())
}

fn order(plan: &Plan, index: usize) -> Order {
    let manifest = plan.manifest(&plan.to_json());
    Order {
        v: 1,
        kind: OrderKind::Apply,
        order_id: Uuid::from_u128(1),
        job: plan.job.clone(),
        task: Uuid::from_u128(2),
        epoch: 1,
        supersedes: None,
        agent_id: plan.assets[index].agent_id,
        instance_id: plan.assets[index].instance_id,
        order_seq: 1,
        catalogue_min: 1,
        entry_id: "linux-a".to_owned(),
        entry_revision: 1,
        content_digest: plan.entries[0].digest.to_string(),
        not_before: at(100),
        not_after: at(900),
        run_timeout_seconds: 60,
        output_cap_bytes: 1000,
        dry_run: false,
        permit: false,
        restart: false,
        approval: Some(OrderApproval {
            manifest: Digest::of(&manifest.to_json()),
            run: plan.run,
            proof: plan.tree().proof(index).unwrap(),
        }),
    }
}

fn code(order: &Order, envelope: Option<&Envelope>, now: Timestamp) -> Option<RefusalCode> {
    check(&root(), order, order.approval.as_ref().unwrap(), envelope, now).err().map(|fault| fault.code())
}

#[test]
fn an_order_within_the_approval_passes_on_every_target() {
    let plan = plan();
    let envelope = sealed(&plan.manifest(&plan.to_json()), &[3, 4]);
    for index in 0..plan.assets.len() {
        assert_eq!(code(&order(&plan, index), Some(&envelope), at(500)), None);
    }
    // The time: valid_from is the first instant, valid_until the first that is over.
    for (seconds, expected) in [
        (99, Some(RefusalCode::ApprovalOutOfTime)),
        (100, None),
        (899, None),
        (900, Some(RefusalCode::ApprovalOutOfTime)),
    ] {
        assert_eq!(code(&order(&plan, 0), Some(&envelope), at(seconds)), expected, "{seconds}");
    }
}

#[test]
fn every_way_out_of_an_approval_has_its_code() {
    use RefusalCode::{
        ApprovalMismatch as Mismatch, ApprovalMissing as Missing, ApprovalNotTarget as NotTarget,
        ApprovalOutOfTime as OutOfTime, ApprovalUntrusted as Untrusted,
    };
    let plan = plan();
    let manifest = plan.manifest(&plan.to_json());
    let good = sealed(&manifest, &[3, 4]);
    let change = |what: &dyn Fn(&mut Order)| {
        let mut order = order(&plan, 0);
        what(&mut order);
        order
    };
    for (name, order, expected) in [
        ("other job", change(&|o| o.job = "MJ0000002".to_owned()), Mismatch),
        ("other run", change(&|o| o.approval.as_mut().unwrap().run = 2), Mismatch),
        ("other kind", change(&|o| o.kind = OrderKind::Check), Mismatch),
        ("other entry", change(&|o| o.entry_id = "linux-b".to_owned()), Mismatch),
        ("other revision", change(&|o| o.entry_revision = 2), Mismatch),
        ("other content", change(&|o| o.content_digest = Digest::of(b"x").to_string()), Mismatch),
        ("other agent", change(&|o| o.agent_id = Uuid::from_u128(9)), NotTarget),
        ("other installation", change(&|o| o.instance_id = Uuid::from_u128(9)), NotTarget),
        (
            "proof of another",
            change(&|o| o.approval.as_mut().unwrap().proof = plan.tree().proof(1).unwrap()),
            NotTarget,
        ),
        ("outlives it", change(&|o| o.not_after = at(901)), OutOfTime),
        ("names another", change(&|o| o.approval.as_mut().unwrap().manifest = Digest::of(b"x")), Mismatch),
    ] {
        assert_eq!(code(&order, Some(&good), at(500)), Some(expected), "{name}");
    }
    let mut twice = sealed(&manifest, &[3]);
    let again = twice.signatures()[0].clone();
    let mut json: serde_json::Value = serde_json::from_slice(&twice.to_json()).unwrap();
    json["signatures"].as_array_mut().unwrap().push(serde_json::to_value(again).unwrap());
    twice = serde_json::from_value(json).unwrap();
    let wider = Manifest { targets: 6, ..manifest.clone() };
    let other_type = Envelope::sign("application/vnd.quell.order.v1+json", &manifest.to_json(), &[&key(3), &key(4)]);
    let honest = order(&plan, 0);
    for (name, envelope, expected) in [
        ("absent", None, Missing),
        ("one key of two", Some(sealed(&manifest, &[3])), Untrusted),
        ("one key twice", Some(twice), Untrusted),
        ("keys of other roles", Some(sealed(&manifest, &[1, 2, 5])), Untrusted),
        ("unsigned", Some(sealed(&manifest, &[])), Untrusted),
        ("another type", Some(other_type), Untrusted),
        ("another manifest", Some(sealed(&wider, &[3, 4])), Mismatch),
    ] {
        assert_eq!(code(&honest, envelope.as_ref(), at(500)), Some(expected), "{name}");
    }
}

#[test]
fn a_plan_vouches_for_its_own_manifest_only() {
    let plan = plan();
    let text = plan.to_json();
    let manifest = plan.manifest(&text);
    assert_eq!(Plan::read(&text).unwrap(), plan);
    plan.vouches(&text, &manifest.to_json()).unwrap();
    let wider = Plan { assets: plan.assets.iter().cloned().chain([other_asset()]).collect(), ..plan.clone() };
    for (what, other) in [
        ("the machines", Manifest { targets_root: wider.tree().root(), targets: 6, ..manifest.clone() }),
        ("the times", Manifest { valid_until: at(9_000), ..manifest.clone() }),
        ("the windows", Manifest { starts: Starts { from: at(0), until: at(800) }, ..manifest.clone() }),
        ("the windows", Manifest { starts: Starts { from: at(1), until: at(900) }, ..manifest.clone() }),
        ("the jobs", Manifest { run: 2, ..manifest.clone() }),
        ("the plans", Manifest { plan_digest: Digest::of(b"another"), ..manifest.clone() }),
        ("the texts", Manifest { requested_by: "bob".to_owned(), ..manifest.clone() }),
    ] {
        let fault = plan.vouches(&text, &other.to_json()).unwrap_err().to_string();
        assert!(fault.contains(what), "{fault}");
    }
    // Each part of the rollout, with the digest of the very plan that is shown.
    type Change = fn(&mut Rollout);
    let changes: [Change; 8] = [
        |r| r.waves = vec![5],
        |r| r.soak_seconds = 1,
        |r| r.failures = 99,
        |r| r.failure_percent = Some(100),
        |r| r.max_running = 2,
        |r| r.apart = Some(Apart { tag: "cluster:".to_owned(), at_most: 1 }),
        |r| r.permits = true,
        |r| r.restarts = Some(1),
    ];
    for change in changes {
        let mut other = manifest.clone();
        change(&mut other.rollout);
        let fault = plan.vouches(&text, &other.to_json()).unwrap_err().to_string();
        assert!(fault.contains("the rollouts"), "{fault}");
        // The same the other way round: another plan is shown than the one whose digest is to be signed.
        let mut shown = plan.clone();
        change(&mut shown.rollout);
        let fault = shown.vouches(&shown.to_json(), &manifest.to_json()).unwrap_err().to_string();
        assert!(fault.contains("the rollouts"), "{fault}");
        let mut lying = shown.manifest(&shown.to_json());
        lying.plan_digest = manifest.plan_digest;
        let fault = shown.vouches(&shown.to_json(), &lying.to_json()).unwrap_err().to_string();
        assert!(fault.contains("the plans"), "{fault}");
    }
    // An entry whose text is not what its digest says is not shown at all.
    let mut lying = plan.clone();
    lying.entries[0].body = "{\"something\":\"else\"}".to_owned();
    assert!(matches!(Plan::read(&lying.to_json()), Err(PlanFault::Entry(_))));
    assert!(Plan::read("{}").is_err());
    // Of another version nothing else is looked at: its fields are other ones.
    for (v, says) in [(1, "of version 1, and this program reads version 2"), (3, "update this program")] {
        let strange = format!("{{\"v\":{v},\"new\":true}}");
        let fault = Plan::read(&strange).unwrap_err();
        assert!(matches!(fault, PlanFault::Version(of) if of == v), "{fault}");
        assert!(fault.to_string().contains(says) && !fault.to_string().contains("field"), "{fault}");
        let fault = Manifest::read(strange.as_bytes()).unwrap_err().to_string();
        assert!(fault.contains(says), "{fault}");
        assert_eq!(older(&strange), v == 1);
    }
    assert!(!older(&text) && !older("{}") && !older("no JSON"));
    // Nor is a plan whose machines are not in the waves that it tells of.
    for (index, wave, full) in [(1, 1, 1), (0, 3, 3), (0, 0, 0)] {
        let mut crowded = plan.clone();
        crowded.assets[index].wave = wave;
        assert!(matches!(Plan::read(&crowded.to_json()), Err(PlanFault::Waves(of)) if of == full), "{index} in {wave}");
    }
    // Fewer than it says are those without an agent.
    let mut fewer = plan.clone();
    fewer.assets.pop();
    Plan::read(&fewer.to_json()).unwrap();
}

#[test]
fn an_order_asks_for_no_more_of_its_host_than_was_signed() {
    let refused = |plan: &Plan, change: &dyn Fn(&mut Order)| {
        let mut order = order(plan, 0);
        change(&mut order);
        code(&order, Some(&sealed(&plan.manifest(&plan.to_json()), &[3, 4])), at(500))
    };
    let rolled = |permits, restarts| {
        let plan = plan();
        Plan { rollout: Rollout { permits, restarts, ..plan.rollout.clone() }, ..plan }
    };
    let mismatch = Some(RefusalCode::ApprovalMismatch);
    for (permits, restarts, permit, restart, expected) in [
        (false, None, false, false, None),
        (false, None, true, false, None),
        (false, None, false, true, mismatch),
        (false, None, true, true, mismatch),
        (false, Some(1), false, true, None),
        (false, Some(1), false, false, None),
        (true, None, false, false, mismatch),
        (true, None, true, false, None),
        (true, Some(9), false, true, mismatch),
        (true, Some(9), true, true, None),
    ] {
        let plan = rolled(permits, restarts);
        let found = refused(&plan, &|order| (order.permit, order.restart) = (permit, restart));
        assert_eq!(found, expected, "signed {permits} {restarts:?}, ordered {permit} {restart}");
    }
}

#[test]
fn a_rollback_restarts_its_host_by_the_approval_of_what_it_takes_back_while_that_holds() {
    let mut plan = plan();
    plan.rollout.restarts = Some(3);
    let envelope = sealed(&plan.manifest(&plan.to_json()), &[3, 4]);
    let back = |change: &dyn Fn(&mut Order)| {
        // A job of its own, whose order may start long after the approval is over.
        let mut order =
            Order { kind: OrderKind::Revert, job: "MJ0000009".to_owned(), not_after: at(9_999), ..order(&plan, 0) };
        change(&mut order);
        order
    };
    let found = |order: &Order, envelope: Option<&Envelope>, seconds| {
        let found = check_back(&root(), order, order.approval.as_ref().unwrap(), envelope, at(seconds));
        found.map_err(|fault| fault.code())
    };
    let good = back(&|_| {});
    assert_eq!(
        code(&good, Some(&envelope), at(500)),
        Some(RefusalCode::ApprovalMismatch),
        "it is no order to start by it"
    );
    for (seconds, expected) in [
        (99, Err(RefusalCode::ApprovalOutOfTime)),
        (100, Ok(3)),
        (899, Ok(3)),
        (900, Err(RefusalCode::ApprovalOutOfTime)),
    ] {
        assert_eq!(found(&good, Some(&envelope), seconds), expected, "{seconds}");
    }
    assert_eq!(found(&good, None, 500), Err(RefusalCode::ApprovalMissing));
    let few = sealed(&plan.manifest(&plan.to_json()), &[3]);
    assert_eq!(found(&good, Some(&few), 500), Err(RefusalCode::ApprovalUntrusted));
    type Change = fn(&mut Order);
    let changes: [(Change, RefusalCode); 7] = [
        (|order| order.kind = OrderKind::Apply, RefusalCode::ApprovalMismatch),
        (|order| order.entry_id = "linux-z".to_owned(), RefusalCode::ApprovalMismatch),
        (|order| order.entry_revision += 1, RefusalCode::ApprovalMismatch),
        (|order| order.content_digest = Digest::of(b"other").to_string(), RefusalCode::ApprovalMismatch),
        (|order| order.approval.as_mut().unwrap().run += 1, RefusalCode::ApprovalMismatch),
        (|order| order.approval.as_mut().unwrap().manifest = Digest::of(b"other"), RefusalCode::ApprovalMismatch),
        (|order| order.instance_id = Uuid::from_u128(99), RefusalCode::ApprovalNotTarget),
    ];
    for (number, (change, expected)) in changes.into_iter().enumerate() {
        assert_eq!(found(&back(&change), Some(&envelope), 500), Err(expected), "{number}");
    }
    // People who signed that no host is restarted did not sign that a rollback does it.
    let mut plan = plan.clone();
    plan.rollout.restarts = None;
    let envelope = sealed(&plan.manifest(&plan.to_json()), &[3, 4]);
    let order = Order { kind: OrderKind::Revert, ..order(&plan, 0) };
    assert_eq!(found(&order, Some(&envelope), 500), Err(RefusalCode::ApprovalMismatch));
}

#[test]
fn nothing_starts_outside_of_the_windows_that_were_signed() {
    let mut plan = plan();
    for (asset, (due, last)) in plan.assets.iter_mut().zip([(200, 300), (250, 350), (210, 310), (300, 400), (220, 320)])
    {
        (asset.due_at, asset.start_by) = (at(due), Some(at(last)));
    }
    assert_eq!(plan.starts(), Starts { from: at(200), until: at(400) });
    let envelope = sealed(&plan.manifest(&plan.to_json()), &[3, 4]);
    let late = Some(RefusalCode::ApprovalOutOfTime);
    for (now, not_after, expected) in [
        (199, 300, late),
        (200, 300, None),
        (200, 400, None),
        (200, 401, late),
        (399, 400, None),
        (400, 400, late),
        (500, 900, late),
    ] {
        let order = Order { not_after: at(not_after), ..order(&plan, 0) };
        assert_eq!(code(&order, Some(&envelope), at(now)), expected, "at {now} until {not_after}");
    }
    // One machine without a window, and the end is that of the approval; a window never outlives it.
    plan.assets[2].start_by = None;
    assert_eq!(plan.starts(), Starts { from: at(200), until: at(900) });
    plan.assets[2].start_by = Some(at(5_000));
    assert_eq!(plan.starts().until, at(900));
}

#[test]
fn the_rollout_is_told_in_words_with_its_times() {
    let said: String = plan().words().iter().map(|(label, text)| format!("{label}: {text}\n")).collect();
    for part in
        ["Starts: not before 1 Jan 1970", "Waves: 2 waves of 1, 4 machines", "Restarts: no machine is restarted"]
    {
        assert!(said.contains(part), "{part}: {said}");
    }
}

fn other_asset() -> PlanAsset {
    PlanAsset { agent_id: Uuid::from_u128(77), ..plan().assets[0].clone() }
}

#[test]
fn a_manifest_with_what_we_do_not_know_is_refused() {
    let plan = plan();
    let mut json = serde_json::to_value(plan.manifest(&plan.to_json())).unwrap();
    json["only_on_sundays"] = serde_json::Value::Bool(true);
    let envelope = Envelope::sign(MANIFEST_TYPE, json.to_string().as_bytes(), &[&key(3), &key(4)]);
    assert!(matches!(Manifest::open(&root(), &envelope), Err(ApprovalFault::Malformed(_))));
    json.as_object_mut().unwrap().remove("only_on_sundays");
    assert!(Manifest::read(json.to_string().as_bytes()).is_ok());
    // A restriction within the rollout is one as well; and what comes without a rollout is of an older version.
    for (place, name) in [("/rollout", "only_on_sundays"), ("/starts", "not_at_noon")] {
        let mut stricter = json.clone();
        stricter.pointer_mut(place).unwrap()[name] = true.into();
        assert!(Manifest::read(stricter.to_string().as_bytes()).is_err(), "{place}");
        let mut without = json.clone();
        without.as_object_mut().unwrap().remove(place.trim_start_matches('/'));
        assert!(Manifest::read(without.to_string().as_bytes()).is_err(), "{place}");
    }
    for version in [1, 3] {
        json["v"] = version.into();
        assert!(Manifest::read(json.to_string().as_bytes()).is_err());
    }
}

#[test]
fn signatures_of_two_people_come_together() {
    let plan = plan();
    let manifest = plan.manifest(&plan.to_json());
    let mut first = sealed(&manifest, &[3]);
    assert!(Manifest::open(&root(), &first).is_err());
    assert!(first.merge(&sealed(&manifest, &[4])));
    assert!(first.merge(&sealed(&manifest, &[3, 4])));
    assert_eq!(first.signatures().len(), 2);
    Manifest::open(&root(), &first).unwrap();
    assert!(!first.merge(&sealed(&Manifest { run: 2, ..manifest }, &[4])));
}

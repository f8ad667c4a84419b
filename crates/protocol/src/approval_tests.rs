//! A plan, its manifest, and an order that keeps to it or does not.

use super::*;
use crate::root::{ROOT_SPEC, RoleKeys, Roles};
use crate::signed::SigningKey;

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
        due_at: at(0),
        entries: vec!["linux-a".to_owned()],
    };
    Plan {
        v: 1,
        job: "MJ0000001".to_owned(),
        run: 1,
        kind: OrderKind::Apply,
        title: "t".to_owned(),
        description: String::new(),
        schedule: "at once".to_owned(),
        requested_by: "ann".to_owned(),
        valid_from: at(100),
        valid_until: at(900),
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
        ("the jobs", Manifest { run: 2, ..manifest.clone() }),
        ("the plans", Manifest { plan_digest: Digest::of(b"another"), ..manifest.clone() }),
        ("the texts", Manifest { requested_by: "bob".to_owned(), ..manifest.clone() }),
    ] {
        let fault = plan.vouches(&text, &other.to_json()).unwrap_err().to_string();
        assert!(fault.contains(what), "{fault}");
    }
    // An entry whose text is not what its digest says is not shown at all.
    let mut lying = plan.clone();
    lying.entries[0].body = "{\"something\":\"else\"}".to_owned();
    assert!(matches!(Plan::read(&lying.to_json()), Err(PlanFault::Entry(_))));
    assert!(Plan::read("{}").is_err());
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
    json["v"] = 2.into();
    assert!(Manifest::read(json.to_string().as_bytes()).is_err());
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

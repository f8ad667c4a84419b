//! Entries of a risky class: done only within an approval that people signed, whatever the server orders.
//!
//! The server in these tests is hostile throughout: it holds the order key and lacks the approvers' keys.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::allow_attributes,
    reason = "a test that fails says so by panicking"
)]

mod common;
#[path = "restart/cases.rs"]
mod restart;

use agent::frame::ToExecutor;
use catalogue::schema::{Entry, Risk};
use common::{CONTENT, ORDER, ORGANISATION, ROOT, World, entry, key, now, sign};
use domain::rollout::Policy;
use domain::rollout::resolved::Rollout;
use protocol::agent::Outcome;
use protocol::approval::merkle::Proof;
use protocol::approval::{
    MANIFEST_TYPE, MANIFEST_VERSION, Manifest, OrderApproval, Plan, PlanAsset, PlanEntry, PlanScore, Starts,
};
use protocol::order::{ORDER_TYPE, Order, OrderKind, RefusalCode};
use protocol::root::{Role, RoleKeys, Root};
use protocol::signed::Envelope;
use uuid::Uuid;

const RISKY: &str = "linux-risky";
const OTHER: &str = "linux-other";

fn risky(id: &str, value: &str) -> Entry {
    let actions = format!(
        "[[action]]\nkind = \"file.setting\"\npath = \"/etc/x\"\nformat = \"postconf\"\nkey = \"k\"\nvalue = \"{value}\"\n"
    );
    let mut entry = entry(id, &actions);
    entry.human.risk = Risk::High;
    entry
}

fn world() -> World {
    let world = World::new(vec![risky(RISKY, "v"), risky(OTHER, "w")]);
    world.write("etc/x", "k = old\n");
    world
}

/// The plan that people approved: the risky entry, on this host and four others.
fn plan(world: &World) -> Plan {
    let entry = &world.entries[RISKY];
    let body = String::from_utf8(entry.to_json()).unwrap();
    let asset = |agent_id, instance_id| PlanAsset {
        name: String::new(),
        ip: String::new(),
        agent_id,
        instance_id,
        wave: 1,
        due_at: now().plus_seconds(-120),
        start_by: None,
        entries: vec![RISKY.to_owned()],
    };
    let others = (1..5).map(|n| asset(Uuid::from_u128(n), Uuid::from_u128(n)));
    Plan {
        v: MANIFEST_VERSION,
        job: "MJ0000001".to_owned(),
        run: 1,
        kind: OrderKind::Apply,
        title: "t".to_owned(),
        description: String::new(),
        schedule: String::new(),
        requested_by: "ann".to_owned(),
        valid_from: now().plus_seconds(-120),
        valid_until: now().plus_seconds(1200),
        rollout: Rollout::of(&Policy { permits: false, ..Policy::default() }, 5, 5),
        entries: vec![PlanEntry {
            id: RISKY.to_owned(),
            revision: entry.revision,
            digest: entry.digest(),
            class: entry.class(),
            body,
        }],
        assets: others.chain([asset(world.enrolment.agent_id, world.enrolment.instance_id)]).collect(),
        score: PlanScore::default(),
    }
}

fn seal(manifest: &Manifest, with: &[u8]) -> Envelope {
    let keys: Vec<_> = with.iter().map(|n| key(*n)).collect();
    Envelope::sign(MANIFEST_TYPE, &manifest.to_json(), &keys.iter().collect::<Vec<_>>())
}

fn text(envelope: &Envelope) -> String {
    String::from_utf8(envelope.to_json()).unwrap()
}

fn proof(world: &World, plan: &Plan) -> Proof {
    let me = (world.enrolment.agent_id, world.enrolment.instance_id);
    let index = plan.targets().iter().position(|target| *target == me).unwrap();
    plan.tree().proof(index).unwrap()
}

/// An order that keeps to this plan's approval.
fn order(world: &World, plan: &Plan, task: u128) -> Order {
    let manifest = plan.manifest(&plan.to_json());
    let manifest = protocol::digest::Digest::of(&manifest.to_json());
    let mut order = world.order(OrderKind::Apply, RISKY, task, 1);
    order.approval = Some(OrderApproval { manifest, run: plan.run, proof: proof(world, plan) });
    order
}

fn bring(world: &World, envelope: &Envelope) {
    world.tell(ToExecutor::Approvals { envelopes: vec![text(envelope)] });
}

#[test]
fn an_approved_order_is_done_and_its_revert_needs_no_approval() {
    let world = world();
    let before = world.snapshot();
    let plan = plan(&world);
    bring(&world, &seal(&plan.manifest(&plan.to_json()), &[ORGANISATION]));
    assert_eq!(world.run(&order(&world, &plan, 1)).outcome, Outcome::Succeeded);
    assert!(world.read("etc/x").contains("k = v"));
    // Taken before a restart and sent again after it, without the approval: the same order needs it no more.
    world.stop();
    assert_eq!(world.revert(RISKY, 2).outcome, Outcome::Reverted);
    assert_eq!(world.snapshot(), before);
}

#[test]
fn a_plan_only_order_needs_no_approval_and_changes_nothing() {
    let world = world();
    let before = world.snapshot();
    let mut dry = world.order(OrderKind::Apply, RISKY, 1, 1);
    dry.dry_run = true;
    let plan = world.order(OrderKind::Plan, RISKY, 2, 1);
    for order in [dry, plan] {
        let report = world.run(&order);
        assert_eq!(report.outcome, Outcome::Reported);
        assert!(report.actions[0].diff.contains("k = v"), "{report:?}");
        assert_eq!(report.actions[0].did, "planned");
        assert_eq!(world.snapshot(), before);
    }
}

#[test]
fn every_abuse_of_an_approval_is_refused_and_changes_nothing() {
    use RefusalCode::{
        ApprovalMismatch as Mismatch, ApprovalMissing as Missing, ApprovalNeeded as Needed,
        ApprovalNotTarget as NotTarget, ApprovalOutOfTime as OutOfTime, ApprovalUntrusted as Untrusted, Malformed,
    };
    let world = world();
    let before = world.snapshot();
    let plan = plan(&world);
    let manifest = plan.manifest(&plan.to_json());
    let good = seal(&manifest, &[ORGANISATION]);
    let mut task = 100;
    let mut abused = |change: &dyn Fn(&mut Order)| {
        task += 1;
        let mut order = order(&world, &plan, task);
        change(&mut order);
        sign(&order, ORDER)
    };
    let approval = |order: &mut Order| order.approval.clone().unwrap();
    // 1 to 12: a good approval, an order outside of it.
    let other = world.entries[OTHER].clone();
    let orders = [
        ("no approval named", Needed, abused(&|o| o.approval = None)),
        ("other job", Mismatch, abused(&|o| o.job = "MJ0000009".to_owned())),
        ("replayed for another run", Mismatch, abused(&|o| o.approval.as_mut().unwrap().run = 2)),
        (
            "another risky entry",
            Mismatch,
            abused(&|o| {
                o.entry_id = OTHER.to_owned();
                o.content_digest = other.digest().to_string();
            }),
        ),
        (
            "proof of another leaf",
            NotTarget,
            abused(&|o| {
                o.approval.as_mut().unwrap().proof = plan.tree().proof(0).unwrap();
            }),
        ),
        ("another leaf's index", NotTarget, abused(&|o| o.approval.as_mut().unwrap().proof.index = 0)),
        (
            "no path at all",
            NotTarget,
            abused(&|o| {
                o.approval.as_mut().unwrap().proof = Proof { index: 0, size: 1, path: vec![] };
            }),
        ),
        (
            "a path beyond every tree",
            NotTarget,
            abused(&|o| {
                let mut own = approval(o);
                own.proof.path = vec![own.manifest; 200];
                o.approval = Some(own);
            }),
        ),
        ("an order that outlives it", OutOfTime, abused(&|o| o.not_after = now().plus_seconds(7200))),
        (
            "a manifest never sent",
            Missing,
            abused(&|o| {
                o.approval.as_mut().unwrap().manifest = protocol::digest::Digest::of(b"never");
            }),
        ),
    ];
    for (name, code, envelope) in orders {
        bring(&world, &good);
        assert_eq!(world.refused(&envelope), code, "{name}");
        assert_eq!(world.snapshot(), before, "{name}");
    }
    // An approval with a field that nobody knows is an order that nobody knows.
    let mut strange = serde_json::to_value(order(&world, &plan, 90)).unwrap();
    strange["approval"]["unless"] = serde_json::Value::Bool(true);
    let strange = Envelope::sign(ORDER_TYPE, strange.to_string().as_bytes(), &[&key(ORDER)]);
    assert_eq!(world.refused(&text(&strange)), Malformed);

    // 12 to 20: manifests that were not signed as they must be, each named by an order that fits it.
    let mut tampered: serde_json::Value = serde_json::from_slice(&good.to_json()).unwrap();
    let wide = Plan { valid_until: now().plus_seconds(999_999), ..plan.clone() };
    let wide_manifest = wide.manifest(&wide.to_json());
    let donor: serde_json::Value = serde_json::from_slice(&seal(&wide_manifest, &[ORDER]).to_json()).unwrap();
    tampered["payload"] = donor["payload"].clone();
    let tampered: Envelope = serde_json::from_value(tampered).unwrap();
    let retyped = Envelope::sign(ORDER_TYPE, &manifest.to_json(), &[&key(ORGANISATION)]);
    let forged = [
        ("unsigned", Untrusted, plan.clone(), seal(&manifest, &[])),
        ("signed by the order key", Untrusted, plan.clone(), seal(&manifest, &[ORDER])),
        ("signed by the content key", Untrusted, plan.clone(), seal(&manifest, &[CONTENT])),
        ("signed by the root key", Untrusted, plan.clone(), seal(&manifest, &[ROOT])),
        ("signed by a stranger", Untrusted, plan.clone(), seal(&manifest, &[99])),
        ("tampered with", Untrusted, wide.clone(), tampered),
        ("of another type", Untrusted, plan.clone(), retyped),
    ];
    for (name, code, plan, envelope) in forged {
        task += 1;
        bring(&world, &envelope);
        assert_eq!(world.refused(&sign(&order(&world, &plan, 1000 + task), ORDER)), code, "{name}");
        assert_eq!(world.snapshot(), before, "{name}");
    }

    // 20 to 25: properly signed, and for something else.
    let of_others = Plan { assets: plan.assets[..4].to_vec(), ..plan.clone() };
    let mut other_entry = plan.clone();
    other_entry.entries[0].id = OTHER.to_owned();
    let mut other_revision = plan.clone();
    other_revision.entries[0].revision = 7;
    let mut other_bytes = plan.clone();
    other_bytes.entries[0].digest = other.digest();
    let honest = [
        ("of another entry", Mismatch, other_entry),
        ("of another revision", Mismatch, other_revision),
        ("of other bytes", Mismatch, other_bytes),
        ("not yet valid", OutOfTime, Plan { valid_from: now().plus_seconds(900), ..plan.clone() }),
        ("over", OutOfTime, Plan { valid_until: now().plus_seconds(-1), ..plan.clone() }),
    ];
    for (name, code, plan) in honest {
        task += 1;
        bring(&world, &seal(&plan.manifest(&plan.to_json()), &[ORGANISATION]));
        assert_eq!(world.refused(&sign(&order(&world, &plan, 2000 + task), ORDER)), code, "{name}");
        assert_eq!(world.snapshot(), before, "{name}");
    }
    // Targets that were widened after signing: the server's own tree has another root than the one people signed.
    let signed = of_others.manifest(&of_others.to_json());
    bring(&world, &seal(&signed, &[ORGANISATION]));
    let mut widened = order(&world, &plan, 3000);
    widened.approval.as_mut().unwrap().manifest = protocol::digest::Digest::of(&signed.to_json());
    assert_eq!(world.refused(&sign(&widened, ORDER)), NotTarget);
    assert_eq!(world.snapshot(), before);

    // None of it stood in the way of what was approved.
    bring(&world, &good);
    assert_eq!(world.run(&order(&world, &plan, 4000)).outcome, Outcome::Succeeded);
}

/// People signed a run that restarts nothing, that asks for a permit at every start, and that keeps to its windows. The server
/// orders more than that, or signs itself what people did not.
#[test]
fn an_order_beyond_the_rollout_that_was_signed_is_refused_and_changes_nothing() {
    use RefusalCode::{ApprovalMismatch as Mismatch, ApprovalOutOfTime as OutOfTime, ApprovalUntrusted as Untrusted};
    let world = world();
    let before = world.snapshot();
    let plan = plan(&world);
    let rolled = |change: &dyn Fn(&mut Rollout)| {
        let mut plan = plan.clone();
        change(&mut plan.rollout);
        plan
    };
    let windowed = |from: i64, until: i64| {
        let mut plan = plan.clone();
        for asset in &mut plan.assets {
            (asset.due_at, asset.start_by) = (now().plus_seconds(from), Some(now().plus_seconds(until)));
        }
        plan
    };
    type Change = fn(&mut Order);
    let keeps: Change = |_| {};
    let restarts: Change = |order| order.restart = true;
    let cases = [
        ("a restart that nobody signed", Mismatch, plan.clone(), restarts),
        ("a start without the permit that was signed", Mismatch, rolled(&|r| r.permits = true), keeps),
        ("before every window", OutOfTime, windowed(60, 900), keeps),
        ("after every window", OutOfTime, windowed(-900, -60), keeps),
        ("an order that may wait beyond every window", OutOfTime, windowed(-900, 300), keeps),
    ];
    for (task, (name, code, plan, change)) in (1..).zip(cases) {
        let mut order = order(&world, &plan, task);
        change(&mut order);
        bring(&world, &seal(&plan.manifest(&plan.to_json()), &[ORGANISATION]));
        assert_eq!(world.refused(&sign(&order, ORDER)), code, "{name}");
        assert_eq!(world.snapshot(), before, "{name}");
    }
    // What was signed with the restart taken out, or the window made wider, by whoever holds the server.
    let signed = plan.manifest(&plan.to_json());
    let widened = [
        ("restarts", Manifest { rollout: Rollout { restarts: Some(9), ..signed.rollout.clone() }, ..signed.clone() }),
        (
            "windows",
            Manifest {
                starts: Starts { from: signed.starts.from, until: now().plus_seconds(9_999) },
                ..signed.clone()
            },
        ),
    ];
    for (task, (name, manifest)) in (50..).zip(widened) {
        let mut order = order(&world, &plan, task);
        order.approval.as_mut().unwrap().manifest = protocol::digest::Digest::of(&manifest.to_json());
        order.restart = true;
        bring(&world, &seal(&manifest, &[ORDER]));
        assert_eq!(world.refused(&sign(&order, ORDER)), Untrusted, "{name}");
        assert_eq!(world.snapshot(), before, "{name}");
    }
    // The slot and the window that were signed stand in nobody's way.
    let plan = Plan { rollout: Rollout { restarts: Some(1), ..plan.rollout.clone() }, ..windowed(-900, 700) };
    let mut order = order(&world, &plan, 90);
    order.restart = true;
    bring(&world, &seal(&plan.manifest(&plan.to_json()), &[ORGANISATION]));
    assert_eq!(world.run(&order).outcome, Outcome::Succeeded);
}

/// An approval from before the rollout was part of it restricts nothing that we could hold an order to.
#[test]
fn a_manifest_of_the_version_before_is_refused() {
    let world = world();
    let before = world.snapshot();
    let plan = plan(&world);
    let mut json: serde_json::Value = serde_json::from_slice(&plan.manifest(&plan.to_json()).to_json()).unwrap();
    json["v"] = 1.into();
    for field in ["rollout", "starts"] {
        json.as_object_mut().unwrap().remove(field);
    }
    let old = json.to_string().into_bytes();
    for (task, kind) in [(1, MANIFEST_TYPE), (2, "application/vnd.quell.approval.v1+json")] {
        let mut order = order(&world, &plan, task);
        order.approval.as_mut().unwrap().manifest = protocol::digest::Digest::of(&old);
        bring(&world, &Envelope::sign(kind, &old, &[&key(ORGANISATION)]));
        assert_eq!(world.refused(&sign(&order, ORDER)), RefusalCode::ApprovalUntrusted, "{kind}");
    }
    assert_eq!(world.snapshot(), before);
}

/// An approval binds an order whatever the class: a server's policy asks for one from a lower class, too.
#[test]
fn an_approval_named_without_need_is_checked_all_the_same() {
    let world = World::new(vec![common::sshd(), risky(RISKY, "v")]);
    let before = world.snapshot();
    let plan = plan(&world);
    bring(&world, &seal(&plan.manifest(&plan.to_json()), &[ORGANISATION]));
    let mut order = world.order(OrderKind::Apply, "linux-sshd-login-grace-0", 1, 1);
    order.approval = Some(OrderApproval {
        manifest: protocol::digest::Digest::of(&plan.manifest(&plan.to_json()).to_json()),
        run: 1,
        proof: proof(&world, &plan),
    });
    assert_eq!(world.refused(&sign(&order, ORDER)), RefusalCode::ApprovalMismatch);
    assert_eq!(world.snapshot(), before);
}

/// With a threshold of two, two different keys are needed; the same one twice is one.
#[test]
fn two_approvers_are_two_keys() {
    let world = world();
    let before = world.snapshot();
    let both = [ORGANISATION, 33];
    let mut root: Root = common::make_root(2, 3600);
    root.keys.push(key(33).public());
    root.roles.organisation = RoleKeys { keyids: both.iter().map(|n| key(*n).id()).collect(), threshold: 2 };
    assert_eq!(root.role(Role::Organisation).threshold, 2);
    let sealed = String::from_utf8(root.seal(&[&key(ROOT)]).unwrap().to_json()).unwrap();
    world.tell(ToExecutor::Roots { envelopes: vec![sealed] });
    assert_eq!(world.with(|executor| executor.status().root_version), 2);
    let plan = plan(&world);
    let manifest = plan.manifest(&plan.to_json());
    let once = seal(&manifest, &[ORGANISATION]);
    let mut twice: serde_json::Value = serde_json::from_slice(&once.to_json()).unwrap();
    let again = twice["signatures"][0].clone();
    twice["signatures"].as_array_mut().unwrap().push(again);
    let twice: Envelope = serde_json::from_value(twice).unwrap();
    for (task, envelope) in [(1, once), (2, twice)] {
        bring(&world, &envelope);
        assert_eq!(world.refused(&sign(&order(&world, &plan, task), ORDER)), RefusalCode::ApprovalUntrusted);
        assert_eq!(world.snapshot(), before);
    }
    bring(&world, &seal(&manifest, &both));
    assert_eq!(world.run(&order(&world, &plan, 3)).outcome, Outcome::Succeeded);
}

/// Who takes an approver's key out of the root takes back what it signed.
#[test]
fn an_approver_who_is_replaced_approves_nothing_any_more() {
    let world = world();
    let before = world.snapshot();
    let plan = plan(&world);
    bring(&world, &seal(&plan.manifest(&plan.to_json()), &[ORGANISATION]));
    let mut root = common::make_root(2, 3600);
    root.keys.push(key(33).public());
    root.roles.organisation = RoleKeys::single(&key(33).public());
    let sealed = String::from_utf8(root.seal(&[&key(ROOT)]).unwrap().to_json()).unwrap();
    world.tell(ToExecutor::Roots { envelopes: vec![sealed] });
    assert_eq!(world.refused(&sign(&order(&world, &plan, 1), ORDER)), RefusalCode::ApprovalUntrusted);
    assert_eq!(world.snapshot(), before);
}

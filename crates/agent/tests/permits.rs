//! Orders that need a start permit: nothing changes without one, everything else goes on, and no permit starts anything twice.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::allow_attributes,
    reason = "a test that fails says so by panicking"
)]

mod common;

use agent::executor::Executor;
use agent::frame::{ToExecutor, ToNet};
use agent::permits::PermitFault;
use common::{CONTENT, ORDER, World, events, key, now, sign, sshd};
use protocol::agent::{Event, EventKind, Outcome, TaskEpoch};
use protocol::order::{Order, OrderKind};
use protocol::permit::{PERMIT_TYPE, Permit, PermitAnswer, PermitAsk};
use protocol::signed::Envelope;
use uuid::Uuid;

const ID: &str = "linux-sshd-login-grace-0";

fn world() -> World {
    World::new(vec![sshd()])
}

fn needing(world: &World, task: u128, epoch: u32) -> Order {
    Order { permit: true, ..world.order(OrderKind::Apply, ID, task, epoch) }
}

/// Deliver an order and give what was said of it, and the question it asked.
fn ask(world: &World, order: &Order) -> (Vec<Event>, Option<PermitAsk>) {
    let mut frames = world.tell(ToExecutor::Order { envelope: sign(order, ORDER) });
    for frame in frames.clone() {
        if let ToNet::Want { digest } = frame {
            let entry = world.entries.values().find(|entry| entry.digest().to_string() == digest).unwrap();
            let text = String::from_utf8(entry.to_json()).unwrap();
            frames.extend(world.tell(ToExecutor::Content { digest, text }));
        }
    }
    frames.extend(work(world));
    (events(&frames), question(&frames))
}

fn work(world: &World) -> Vec<ToNet> {
    while world.with(Executor::step) {}
    world.with(Executor::take_out)
}

fn question(frames: &[ToNet]) -> Option<PermitAsk> {
    frames.iter().find_map(|frame| if let ToNet::Permit(ask) = frame { Some(*ask) } else { None })
}

fn permit(world: &World, ask: PermitAsk) -> Permit {
    Permit {
        v: 1,
        agent_id: world.enrolment.agent_id,
        instance_id: world.enrolment.instance_id,
        task: ask.of.task,
        epoch: ask.of.epoch,
        nonce: ask.nonce,
        granted_at: now(),
        start_by: now().plus_seconds(60),
    }
}

fn answer(world: &World, of: TaskEpoch, permit: &Permit, with: u8) -> Vec<ToNet> {
    let payload = serde_json::to_vec(permit).unwrap();
    let text = String::from_utf8(Envelope::sign(PERMIT_TYPE, &payload, &[&key(with)]).to_json()).unwrap();
    let mut frames = world.tell(ToExecutor::Permit { of, answer: PermitAnswer::Granted { permit: text } });
    frames.extend(work(world));
    frames
}

#[test]
fn s7_nothing_starts_without_a_permit_and_no_forgery_is_one() {
    let world = world();
    let before = world.snapshot();
    let (said, asked) = ask(&world, &needing(&world, 1, 1));
    let asked = asked.expect("it asks");
    assert!(matches!(said.as_slice(), [Event { event: EventKind::Accepted, .. }]), "{said:#?}");
    assert!(!world.with(|executor| executor.has_work()), "it waits without spinning");
    let good = permit(&world, asked);
    let forgeries = [
        (PermitFault::Untrusted, good.clone(), CONTENT),
        (PermitFault::WrongAgent, Permit { agent_id: Uuid::nil(), ..good.clone() }, ORDER),
        (PermitFault::WrongInstance, Permit { instance_id: Uuid::nil(), ..good.clone() }, ORDER),
        (PermitFault::WrongTask, Permit { task: Uuid::nil(), ..good.clone() }, ORDER),
        (PermitFault::WrongEpoch, Permit { epoch: 2, ..good.clone() }, ORDER),
        (PermitFault::NotAsked, Permit { nonce: Uuid::nil(), ..good.clone() }, ORDER),
    ];
    for (fault, forged, with) in forgeries {
        assert!(events(&answer(&world, asked.of, &forged, with)).is_empty());
        assert_eq!(world.with(|executor| executor.permit_fault()), Some(fault));
        assert_eq!(world.snapshot(), before, "{fault:?}");
    }
    let done = events(&answer(&world, asked.of, &good, ORDER));
    assert!(matches!(done[0].event, EventKind::Started));
    assert!(matches!(&done[1].event, EventKind::Finished(report) if report.outcome == Outcome::Succeeded), "{done:#?}");
    // The same permit again starts nothing.
    let after = world.snapshot();
    assert!(events(&answer(&world, asked.of, &good, ORDER)).is_empty());
    assert_eq!(world.with(|executor| executor.permit_fault()), Some(PermitFault::NotAsked));
    assert_eq!(world.snapshot(), after);
}

#[test]
fn s7_a_late_permit_is_asked_for_again_and_a_restart_asks_anew() {
    let world = world();
    let (_, asked) = ask(&world, &needing(&world, 1, 1));
    let asked = asked.unwrap();
    let late = Permit { start_by: now().plus_seconds(-1), ..permit(&world, asked) };
    let frames = answer(&world, asked.of, &late, ORDER);
    let again = question(&frames).expect("it asks again");
    assert_ne!(again.nonce, asked.nonce);
    assert!(events(&frames).is_empty());
    // A permit that was fetched before the restart is worth nothing after it.
    world.stop();
    let frames = work(&world);
    let third = question(&frames).expect("it asks after a restart");
    assert!(events(&answer(&world, again.of, &permit(&world, again), ORDER)).is_empty());
    assert_eq!(world.with(|executor| executor.permit_fault()), Some(PermitFault::NotAsked));
    let done = events(&answer(&world, third.of, &permit(&world, third), ORDER));
    assert!(matches!(&done[1].event, EventKind::Finished(report) if report.outcome == Outcome::Succeeded), "{done:#?}");
}

#[test]
fn s7_a_revoked_order_does_not_start_on_the_permit_it_holds() {
    let world = world();
    let (_, asked) = ask(&world, &needing(&world, 1, 1));
    let asked = asked.unwrap();
    let payload = serde_json::to_vec(&permit(&world, asked)).unwrap();
    let text = String::from_utf8(Envelope::sign(PERMIT_TYPE, &payload, &[&key(ORDER)]).to_json()).unwrap();
    world.tell(ToExecutor::Permit { of: asked.of, answer: PermitAnswer::Granted { permit: text } });
    let before = world.snapshot();
    let frames = world.tell(ToExecutor::Revoke { orders: vec![asked.of] });
    assert!(matches!(events(&frames)[0].event, EventKind::Revoked));
    assert!(events(&work(&world)).is_empty());
    assert_eq!(world.snapshot(), before);
}

#[test]
fn what_needs_no_permit_and_what_changes_nothing_goes_on() {
    let world = world();
    let (_, asked) = ask(&world, &needing(&world, 1, 1));
    assert!(asked.is_some());
    // Another order, without a permit, is done meanwhile.
    let (said, none) = ask(&world, &world.order(OrderKind::Check, ID, 2, 1));
    assert!(none.is_none());
    assert!(matches!(&said.last().unwrap().event, EventKind::Finished(report) if report.outcome == Outcome::Reported));
    // A second order that needs one waits its turn: one question at a time.
    let (said, none) = ask(&world, &needing(&world, 3, 1));
    assert!(none.is_none() && said.len() == 1, "{said:#?}");
    // Once the first is done the second finds it in place, and asks for nothing.
    let done = events(&answer(&world, asked.unwrap().of, &permit(&world, asked.unwrap()), ORDER));
    let ended = |event: &Event| match &event.event {
        EventKind::Finished(report) => Some((event.task.as_u128(), report.outcome)),
        _ => None,
    };
    let ends: Vec<_> = done.iter().filter_map(ended).collect();
    assert_eq!(ends, vec![(1, Outcome::Succeeded), (3, Outcome::Unchanged)]);
}

#[test]
fn a_rollback_needs_its_permit_too() {
    let world = world();
    world.apply(ID, 1);
    let before = world.snapshot();
    let order = Order { permit: true, ..world.order(OrderKind::Revert, ID, 2, 1) };
    let (said, asked) = ask(&world, &order);
    assert_eq!(said.len(), 1);
    assert_eq!(world.snapshot(), before);
    let asked = asked.unwrap();
    let done = events(&answer(&world, asked.of, &permit(&world, asked), ORDER));
    assert!(matches!(&done[1].event, EventKind::Finished(report) if report.outcome == Outcome::Reverted), "{done:#?}");
}

#[test]
fn a_wait_is_a_wait() {
    let world = world();
    let (_, asked) = ask(&world, &needing(&world, 1, 1));
    let of = asked.unwrap().of;
    let wait = PermitAnswer::Wait { retry_after_seconds: 5 };
    assert!(question(&world.tell(ToExecutor::Permit { of, answer: wait })).is_none());
    assert!(!world.with(|executor| executor.has_work()));
    let rest = world.with(|executor| executor.rest_micros()).unwrap();
    assert!((1..=5_000_000).contains(&rest), "{rest}");
}

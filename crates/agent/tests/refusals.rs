//! Orders that must not be acted on: each refused with its own code, and nothing on disk changed.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::print_stderr,
    clippy::allow_attributes,
    reason = "a test that fails says so by panicking"
)]

mod common;

use agent::executor::Executor;
use agent::frame::{ToExecutor, ToNet};
use agent::fs::Tree;
use agent::host::Host;
use agent::journal::{JOURNAL_BYTES_MAX, Journal};
use agent::orders::{SEQ_AHEAD_MAX, STRANGERS_KEPT_MAX};
use agent::record::Record;
use agent::state::StateDir;
use catalogue::index::{Revocation, Revoked};
use common::{CONTENT, ORDER, ROOT, World, entry, key, make_index, make_root, now, sign, sshd, supersedes};
use domain::mitigation::ControlState;
use protocol::agent::{Acked, Event, EventKind, Outcome, TaskEpoch};
use protocol::order::{ORDER_TYPE, Order, OrderKind, RefusalCode};
use protocol::signed::Envelope;
use uuid::Uuid;

const ID: &str = "linux-sshd-login-grace-0";

fn envelope(payload: &[u8], kind: &str, with: &[u8]) -> String {
    let keys: Vec<_> = with.iter().map(|n| key(*n)).collect();
    let keys: Vec<_> = keys.iter().collect();
    String::from_utf8(Envelope::sign(kind, payload, &keys).to_json()).unwrap()
}

fn json(order: &Order) -> Vec<u8> {
    serde_json::to_vec(order).unwrap()
}

/// Every way an order can be wrong, from a good one.
fn forgeries(world: &World) -> Vec<(RefusalCode, String)> {
    let good = |task: u128| world.order(OrderKind::Apply, ID, task, 1);
    let with = |change: &dyn Fn(&mut Order)| {
        let mut order = good(100 + u128::from(rand_task()));
        change(&mut order);
        sign(&order, ORDER)
    };
    let mut tampered: serde_json::Value = serde_json::from_str(&sign(&good(3), ORDER)).unwrap();
    let other = envelope(&json(&good(4)), ORDER_TYPE, &[ORDER]);
    let other: serde_json::Value = serde_json::from_str(&other).unwrap();
    tampered["payload"] = other["payload"].clone();
    let mut unknown_field: serde_json::Value = serde_json::to_value(good(5)).unwrap();
    unknown_field["only_on_sundays"] = serde_json::Value::Bool(true);
    vec![
        (RefusalCode::TooLarge, format!("{{\"payload\":\"{}\"}}", "A".repeat(70_000))),
        (RefusalCode::Malformed, "{}".to_owned()),
        (RefusalCode::Malformed, envelope(b"{}", ORDER_TYPE, &[ORDER])),
        (RefusalCode::Malformed, envelope(unknown_field.to_string().as_bytes(), ORDER_TYPE, &[ORDER])),
        (RefusalCode::Malformed, with(&|order| order.v = 2)),
        (RefusalCode::Unsigned, envelope(&json(&good(6)), ORDER_TYPE, &[])),
        (RefusalCode::WrongType, envelope(&json(&good(7)), "application/vnd.quell.agent-request.v1+json", &[ORDER])),
        (RefusalCode::UnknownKey, sign(&good(8), 99)),
        (RefusalCode::UnknownKey, sign(&good(9), CONTENT)),
        (RefusalCode::UnknownKey, sign(&good(10), ROOT)),
        (RefusalCode::BadSignature, tampered.to_string()),
        (RefusalCode::WrongAgent, with(&|order| order.agent_id = Uuid::from_u128(0xbad))),
        (RefusalCode::WrongInstance, with(&|order| order.instance_id = Uuid::from_u128(0xbad))),
        (RefusalCode::IndexOlder, with(&|order| order.catalogue_min = 2)),
        (RefusalCode::NotInIndex, with(&|order| order.entry_id = "linux-unheard-of".to_owned())),
        (RefusalCode::NotInIndex, with(&|order| order.entry_id = "../../etc/passwd".to_owned())),
        (RefusalCode::WrongDigest, with(&|order| order.content_digest = "ab".repeat(32))),
        (RefusalCode::WrongDigest, with(&|order| order.content_digest = "nonsense".to_owned())),
        (RefusalCode::WrongDigest, with(&|order| order.entry_revision = 9)),
        (RefusalCode::UnresolvedEpoch, with(&|order| order.epoch = 2)),
        (RefusalCode::NotYet, with(&|order| order.not_before = now().plus_seconds(300))),
        (RefusalCode::Expired, with(&|order| order.not_after = now().plus_seconds(-1))),
    ]
}

fn rand_task() -> u64 {
    use std::sync::atomic::{AtomicU64, Ordering};
    static NEXT: AtomicU64 = AtomicU64::new(1);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

#[test]
fn every_forged_order_has_its_own_code_and_changes_nothing() {
    let world = World::new(vec![sshd()]);
    let before = world.snapshot();
    for (at, (code, envelope)) in forgeries(&world).into_iter().enumerate() {
        assert_eq!(world.refused(&envelope), code, "forgery {at}");
        assert_eq!(world.snapshot(), before, "forgery {at}");
    }
    // None of them used up what an honest order needs.
    assert_eq!(world.apply(ID, 3).outcome, Outcome::Succeeded);
}

#[test]
fn a_replayed_order_changes_nothing_and_its_answer_comes_again() {
    let world = World::new(vec![sshd()]);
    let envelope = sign(&world.order(OrderKind::Apply, ID, 1, 1), ORDER);
    let first = world.deliver(&envelope);
    world.revert(ID, 2);
    let before = world.snapshot();
    for restarted in [false, true] {
        if restarted {
            world.stop();
        }
        assert_eq!(world.deliver(&envelope).iter().rev().take(first.len()).rev().cloned().collect::<Vec<_>>(), first);
        assert_eq!(world.with(|executor| executor.refusals().last().unwrap().code), RefusalCode::Replayed);
        assert_eq!(world.snapshot(), before);
    }
    let mut same_number = world.order(OrderKind::Apply, ID, 3, 1);
    same_number.order_seq = 2;
    assert_eq!(world.refused(&sign(&same_number, ORDER)), RefusalCode::Replayed);
    let same_epoch = world.order(OrderKind::Apply, ID, 1, 1);
    assert_eq!(world.refused(&sign(&same_epoch, ORDER)), RefusalCode::Replayed);
    assert_eq!(world.snapshot(), before);
}

/// An agent that was enrolled anew has lost the content: it fetches it, to say what it leaves behind.
#[test]
fn a_rollback_without_the_content_fetches_it_and_goes_on_without_where_there_is_none() {
    let world = World::new(vec![sshd()]);
    world.apply(ID, 1);
    let content = world.state().join("content");
    let lose = || {
        world.stop();
        for file in std::fs::read_dir(&content).unwrap() {
            std::fs::remove_file(file.unwrap().path()).unwrap();
        }
    };
    lose();
    let report = world.revert(ID, 2);
    assert_eq!((report.outcome, report.state), (Outcome::Reverted, ControlState::Exposed));
    // What is not ours is looked at all the same.
    world.write("etc/ssh/sshd_config", "Port 22\nUsePAM yes\nLoginGraceTime 0\n");
    lose();
    let report = world.revert(ID, 3);
    assert_eq!((report.outcome, report.state), (Outcome::NotOurs, ControlState::Effective), "{}", report.message);
    // Nobody has it, or somebody brings other bytes: nothing keeps a revert from being done.
    for (task, wrong) in [(4, false), (5, true)] {
        lose();
        let order = sign(&world.order(OrderKind::Revert, ID, task, 1), ORDER);
        let mut frames = world.tell(ToExecutor::Order { envelope: order });
        let digest =
            frames.iter().find_map(|f| if let ToNet::Want { digest } = f { Some(digest.clone()) } else { None });
        let digest = digest.expect("it asks for the content");
        frames.extend(world.tell(match wrong {
            true => ToExecutor::Content { digest, text: "{}".to_owned() },
            false => ToExecutor::NoContent { digest, reason: "no such thing".to_owned() },
        }));
        while world.with(Executor::step) {}
        frames.extend(world.with(Executor::take_out));
        let said = common::events(&frames);
        let EventKind::Finished(report) = &said.last().unwrap().event else { panic!("{said:?}") };
        assert_eq!((report.outcome, report.state), (Outcome::NotOurs, ControlState::Unknown), "{wrong}");
    }
}

/// A server that was put back to an older state makes the order of an epoch again, with other bytes. What the epoch came to is
/// its answer; a refusal would speak for what was done.
#[test]
fn a_second_order_of_a_taken_epoch_gets_the_result_of_the_first() {
    let world = World::new(vec![sshd()]);
    let first = world.deliver(&sign(&world.order(OrderKind::Apply, ID, 1, 1), ORDER));
    let before = world.snapshot();
    let second = sign(&world.order(OrderKind::Apply, ID, 1, 1), ORDER);
    for _ in 0..3 {
        assert_eq!(world.deliver(&second), first);
        assert_eq!(world.with(|executor| executor.refusals().last().unwrap().code), RefusalCode::Replayed);
    }
    assert_eq!(world.snapshot(), before);
    // Its number stays used up when the journal is compacted, also once the task itself is forgotten.
    let number = world.with(|executor| {
        executor.compact();
        (0..100).filter(|seq| executor.book().used(*seq)).max()
    });
    let (_, records) = Journal::open(&world.state().join("journal")).unwrap();
    let read = agent::orders::Book::read(&records);
    assert_eq!((0..100).filter(|seq| read.used(*seq)).max(), number, "{records:?}");
}

#[test]
fn a_higher_epoch_needs_the_result_of_the_lower_one() {
    let world = World::new(vec![sshd()]);
    let events = world.deliver(&sign(&world.order(OrderKind::Apply, ID, 1, 1), ORDER));
    let mut second = world.order(OrderKind::Apply, ID, 1, 2);
    second.supersedes = supersedes(1, &events[0]);
    assert_eq!(world.refused(&sign(&second, ORDER)), RefusalCode::UnresolvedEpoch, "accepted is no result");
    let mut third = world.order(OrderKind::Apply, ID, 1, 3);
    third.supersedes = supersedes(1, events.last().unwrap());
    assert_eq!(world.run(&third).outcome, Outcome::Unchanged);
}

#[test]
fn a_refusal_resolves_its_epoch() {
    let world = World::new(vec![sshd()]);
    let mut late = world.order(OrderKind::Apply, ID, 1, 1);
    late.not_after = now().plus_seconds(-1);
    let events = world.deliver(&sign(&late, ORDER));
    assert!(matches!(events[0].event, EventKind::Refused { code: RefusalCode::Expired, .. }));
    let mut second = world.order(OrderKind::Apply, ID, 1, 2);
    second.supersedes = supersedes(1, &events[0]);
    assert_eq!(world.run(&second).outcome, Outcome::Succeeded);
}

#[test]
fn an_older_an_unsigned_and_a_foreign_index_are_not_adopted() {
    let world = World::new(vec![sshd()]);
    world.tell(ToExecutor::Index { envelope: make_index(5, 3600, &[sshd()], Vec::new()) });
    assert_eq!(world.with(|executor| executor.status().index_version), 5);
    let index = catalogue::index::Index::of(9, now().plus_seconds(3600), &[sshd()], Vec::new());
    let sealed = |n: &[u8]| {
        let keys: Vec<_> = n.iter().map(|n| key(*n)).collect();
        let keys: Vec<_> = keys.iter().collect();
        String::from_utf8(index.seal(&keys).unwrap().to_json()).unwrap()
    };
    for envelope in [world.index.clone(), sealed(&[]), sealed(&[ORDER]), make_index(8, -1, &[sshd()], Vec::new())] {
        world.tell(ToExecutor::Index { envelope });
        assert_eq!(world.with(|executor| executor.status().index_version), 5);
    }
    // An older one put on the disk is noticed, too: the journal remembers the highest.
    world.stop();
    std::fs::write(world.state().join("index.json"), &world.index).unwrap();
    world.start();
    world.tell(ToExecutor::Time { server: now() });
    let order = world.order(OrderKind::Apply, ID, 1, 1);
    assert_eq!(world.refused(&sign(&order, ORDER)), RefusalCode::IndexUntrusted);
}

#[test]
fn a_revoked_entry_is_refused_and_still_reverted() {
    let world = World::new(vec![sshd()]);
    let before = world.snapshot();
    world.apply(ID, 1);
    let what = Revoked::Digest(sshd().digest());
    let reason = "wrong".parse().unwrap();
    world.tell(ToExecutor::Index { envelope: make_index(2, 3600, &[sshd()], vec![Revocation { what, reason }]) });
    assert_eq!(world.refused(&sign(&world.order(OrderKind::Apply, ID, 2, 1), ORDER)), RefusalCode::Revoked);
    assert_eq!(world.revert(ID, 3).outcome, Outcome::Reverted);
    assert_eq!(world.snapshot(), before);
}

#[test]
fn with_everything_expired_new_work_is_refused_and_start_check_and_revert_work() {
    for (root_seconds, index_seconds, code) in
        [(2, 3600, RefusalCode::RootExpired), (3600, 2, RefusalCode::IndexExpired)]
    {
        let world = World::expiring(vec![sshd()], root_seconds, index_seconds);
        let before = world.snapshot();
        assert_eq!(world.apply(ID, 1).outcome, Outcome::Succeeded);
        let later = now().plus_seconds(400);
        let in_time = |mut order: Order| {
            order.not_after = later.plus_seconds(600);
            sign(&order, ORDER)
        };
        let refused = |task| {
            world.tell(ToExecutor::Time { server: later });
            world.refused(&in_time(world.order(OrderKind::Apply, ID, task, 1)))
        };
        assert_eq!(refused(2), code);
        // A restart under expired metadata is no obstacle.
        world.stop();
        world.start();
        assert_eq!(refused(3), code);
        let check = common::report(&world.deliver(&in_time(world.order(OrderKind::Check, ID, 4, 1))));
        assert_eq!(check.state, ControlState::Effective);
        let revert = common::report(&world.deliver(&in_time(world.order(OrderKind::Revert, ID, 5, 1))));
        assert_eq!(revert.outcome, Outcome::Reverted);
        assert_eq!(world.snapshot(), before);
    }
}

#[test]
fn a_newer_root_is_followed_step_by_step_only() {
    let world = World::new(vec![sshd()]);
    let sealed = |version, keys: &[u8]| {
        let keys: Vec<_> = keys.iter().map(|n| key(*n)).collect();
        let keys: Vec<_> = keys.iter().collect();
        String::from_utf8(make_root(version, 3600).seal(&keys).unwrap().to_json()).unwrap()
    };
    let version = |world: &World| world.with(|executor| executor.status().root_version);
    for envelopes in [vec![sealed(3, &[ROOT])], vec![sealed(2, &[CONTENT])], vec!["{}".to_owned()]] {
        world.tell(ToExecutor::Roots { envelopes });
        assert_eq!(version(&world), 1);
    }
    world.tell(ToExecutor::Roots { envelopes: vec![sealed(2, &[ROOT]), sealed(3, &[ROOT])] });
    assert_eq!(version(&world), 3);
    world.stop();
    assert_eq!(version(&world), 3, "kept over a restart");
    assert_eq!(world.apply(ID, 1).outcome, Outcome::Succeeded);
}

/// Whoever takes a key out of use must not be held up by a date; expiry stops new work and nothing else.
#[test]
fn a_newer_root_that_has_expired_is_followed_and_stops_new_work_only() {
    let world = World::new(vec![sshd()]);
    assert_eq!(world.apply(ID, 1).outcome, Outcome::Succeeded);
    let expired = make_root(2, -1).seal(&[&key(ROOT)]).unwrap().to_json();
    world.tell(ToExecutor::Roots { envelopes: vec![String::from_utf8(expired).unwrap()] });
    assert_eq!(world.with(|executor| executor.status().root_version), 2);
    world.stop();
    assert_eq!(world.refused(&sign(&world.order(OrderKind::Apply, ID, 2, 1), ORDER)), RefusalCode::RootExpired);
    assert_eq!(world.check(ID, 3).outcome, Outcome::Reported);
    assert_eq!(world.revert(ID, 4).outcome, Outcome::Reverted);
}

#[test]
fn the_hosts_owner_has_the_last_word() {
    let world = World::new(vec![sshd()]);
    let before = world.snapshot();
    let state = StateDir::open(&world.state()).unwrap();
    let apply = |task| sign(&world.order(OrderKind::Apply, ID, task, 1), ORDER);
    std::fs::write(world.state().join("deny"), "linux-sshd-*\n").unwrap();
    assert_eq!(world.refused(&apply(1)), RefusalCode::Denied);
    std::fs::remove_file(world.state().join("deny")).unwrap();
    state.switch("monitor-only", true).unwrap();
    assert_eq!(world.refused(&apply(2)), RefusalCode::MonitorOnly);
    assert_eq!(world.check(ID, 3).state, ControlState::Exposed, "checks go on");
    state.switch("halt", true).unwrap();
    assert_eq!(world.refused(&apply(4)), RefusalCode::Halted);
    assert_eq!(world.with(|executor| executor.facts().mode), "halted");
    assert_eq!(world.snapshot(), before);
    state.switch("halt", false).unwrap();
    state.switch("monitor-only", false).unwrap();
    // Halted between taking and starting: it does not start (S4).
    world.check(ID, 5);
    let order = world.order(OrderKind::Apply, ID, 6, 1);
    world.tell(ToExecutor::Order { envelope: sign(&order, ORDER) });
    state.switch("halt", true).unwrap();
    world.with(Executor::step);
    let events = common::events(&world.with(Executor::take_out));
    assert!(matches!(events.last().unwrap().event, EventKind::Refused { code: RefusalCode::Halted, .. }));
    assert_eq!(world.snapshot(), before);
}

#[test]
fn risky_unsupported_and_inactive_entries_are_refused() {
    let actions = |format: &str| {
        format!(
            "[[action]]\nkind = \"file.setting\"\npath = \"/etc/x\"\nformat = \"{format}\"\nkey = \"k\"\nvalue = \"v\"\n"
        )
    };
    let mut risky = entry("linux-risky", &actions("postconf"));
    risky.human.risk = catalogue::schema::Risk::High;
    let mut withdrawn = entry("linux-withdrawn", &actions("postconf"));
    withdrawn.status = catalogue::schema::Status::Withdrawn;
    let mut lapsed = entry("linux-past-its-day", &actions("postconf"));
    lapsed.valid_until = Some("2020-02-29".parse().unwrap());
    let world = World::new(vec![risky, withdrawn, lapsed]);
    let before = world.snapshot();
    for (id, code) in [
        ("linux-risky", RefusalCode::ApprovalNeeded),
        ("linux-withdrawn", RefusalCode::NotInIndex),
        ("linux-past-its-day", RefusalCode::NotInIndex),
    ] {
        assert_eq!(world.refused(&sign(&world.order(OrderKind::Apply, id, 1 + id.len() as u128, 1), ORDER)), code);
    }
    assert_eq!(world.snapshot(), before);
}

#[test]
fn a_revocation_is_a_tombstone_over_restarts() {
    let world = World::new(vec![sshd()]);
    let before = world.snapshot();
    let of = TaskEpoch { task: Uuid::from_u128(1), epoch: 1 };
    let told = world.tell(ToExecutor::Revoke { orders: vec![of] });
    assert!(matches!(common::events(&told)[0].event, EventKind::Revoked));
    world.stop();
    assert_eq!(world.refused(&sign(&world.order(OrderKind::Apply, ID, 1, 1), ORDER)), RefusalCode::Cancelled);
    assert_eq!(world.snapshot(), before);
}

#[test]
fn wrong_bytes_for_a_digest_are_refused_and_not_kept() {
    let world = World::new(vec![sshd()]);
    let before = world.snapshot();
    let order = world.order(OrderKind::Apply, ID, 1, 1);
    world.tell(ToExecutor::Order { envelope: sign(&order, ORDER) });
    let text = String::from_utf8(sshd().to_json()).unwrap().replace("\"0\"", "\"9\"");
    let told = world.tell(ToExecutor::Content { digest: order.content_digest.clone(), text });
    let events = common::events(&told);
    assert!(matches!(events[0].event, EventKind::Refused { code: RefusalCode::WrongDigest, .. }), "{events:?}");
    assert_eq!(world.snapshot(), before);
}

#[test]
fn without_a_writable_journal_nothing_is_changed() {
    let world = World::new(vec![sshd()]);
    world.check(ID, 1);
    world.stop();
    // Damage in the middle: the evidence is kept, and nothing can be appended.
    let path = world.state().join("journal/journal.log");
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[60] ^= 1;
    std::fs::write(&path, &bytes).unwrap();
    let before = world.snapshot();
    world.start();
    world.tell(ToExecutor::Time { server: now() });
    world.tell(ToExecutor::Index { envelope: world.index.clone() });
    let order = world.order(OrderKind::Apply, ID, 2, 1);
    assert_eq!(world.refused(&sign(&order, ORDER)), RefusalCode::JournalUnwritable);
    assert_eq!(world.snapshot(), before);
    assert_eq!(std::fs::read(&path).unwrap(), bytes);
    // Nothing is said that could not be vouched for later; the facts say why nothing happens.
    assert!(world.deliver(&sign(&order, ORDER)).is_empty());
    assert_eq!(world.with(|executor| executor.facts().mode), "journal_unwritable");
}

fn journal_bytes(world: &World) -> u64 {
    std::fs::metadata(world.state().join("journal/journal.log")).unwrap().len()
}

#[test]
fn revocations_of_orders_never_seen_cannot_fill_the_disk() {
    let world = World::new(vec![sshd()]);
    let of = |n: u128| TaskEpoch { task: Uuid::from_u128(n), epoch: 1 };
    world.tell(ToExecutor::Revoke { orders: (10_000..10_000 + STRANGERS_KEPT_MAX as u128).map(of).collect() });
    let before = journal_bytes(&world);
    world.tell(ToExecutor::Revoke { orders: (20_000..23_000).map(of).collect() });
    assert_eq!(world.with(|executor| executor.book().strangers()), STRANGERS_KEPT_MAX);
    assert_eq!(journal_bytes(&world), before, "nothing more is written");
    assert!(agent::owner::status(&world.state()).unwrap().contains("revocations of orders never seen"));
    // What was taken can always be withdrawn.
    world.check(ID, 1);
    world.tell(ToExecutor::Order { envelope: sign(&world.order(OrderKind::Apply, ID, 2, 1), ORDER) });
    assert!(world.with(|executor| executor.has_work()));
    world.tell(ToExecutor::Revoke { orders: vec![of(2)] });
    assert!(!world.with(|executor| executor.has_work()));
}

#[test]
fn a_number_nobody_can_have_counted_up_to_uses_nothing_up() {
    let world = World::new(vec![sshd()]);
    let far = |task: u128, change: &dyn Fn(&mut Order)| {
        let mut order = world.order(OrderKind::Check, ID, task, 1);
        order.order_seq = u64::MAX;
        change(&mut order);
        sign(&order, ORDER)
    };
    assert_eq!(world.refused(&far(1, &|_| {})), RefusalCode::Replayed);
    assert_eq!(world.refused(&far(2, &|order| order.not_after = now().plus_seconds(-1))), RefusalCode::Replayed);
    assert_eq!(world.refused(&far(3, &|order| order.order_seq = SEQ_AHEAD_MAX * 2)), RefusalCode::Replayed);
    let others = |order: &mut Order| {
        order.agent_id = Uuid::from_u128(0xbad);
        order.order_seq = SEQ_AHEAD_MAX / 2;
    };
    assert_eq!(world.refused(&far(4, &others)), RefusalCode::WrongAgent, "another agent's numbers are not ours");
    world.stop();
    assert_eq!(world.apply(ID, 5).outcome, Outcome::Succeeded);
    let mut ahead = world.order(OrderKind::Revert, ID, 6, 1);
    ahead.order_seq = SEQ_AHEAD_MAX;
    assert_eq!(world.run(&ahead).outcome, Outcome::Reverted, "within the bound");
}

#[test]
fn an_authentic_order_carried_here_for_ever_writes_nothing_for_ever() {
    let world = World::new(vec![sshd()]);
    let mut others = world.order(OrderKind::Apply, ID, 1, 1);
    others.instance_id = Uuid::from_u128(0xbad);
    world.tell(ToExecutor::Revoke { orders: vec![TaskEpoch { task: Uuid::from_u128(2), epoch: 1 }] });
    world.check(ID, 3);
    let second = world.order(OrderKind::Apply, ID, 3, 1);
    let revoked = world.order(OrderKind::Apply, ID, 2, 1);
    let envelopes = [others, revoked, second].map(|order| sign(&order, ORDER));
    envelopes.iter().for_each(|envelope| drop(world.deliver(envelope)));
    let before = journal_bytes(&world);
    (0..20).for_each(|_| envelopes.iter().for_each(|envelope| drop(world.deliver(envelope))));
    assert_eq!(journal_bytes(&world), before);
}

/// A server that acknowledges nothing: the journal grows beyond every bound, and the host's owner can still undo everything.
#[test]
fn a_full_journal_takes_no_new_work_and_never_stands_in_the_way_of_a_revert() {
    let world = World::new(vec![sshd()]);
    let before = world.snapshot();
    world.apply(ID, 1);
    world.stop();
    let tasks: Vec<Uuid> = (0..36).map(|n| Uuid::from_u128(1000 + n)).collect();
    {
        let (mut journal, _) = Journal::open(&world.state().join("journal")).unwrap();
        let reason = "x".repeat(1_900_000);
        for task in tasks.clone() {
            let event = EventKind::Refused { code: RefusalCode::Expired, reason: reason.clone(), order: String::new() };
            let event = Event { task, epoch: 1, n: 1, at: now(), event };
            let event = serde_json::to_string(&event).unwrap();
            let digest = "d".to_owned();
            journal.append(&Record::Refused { task, epoch: 1, order_seq: None, digest, event }).unwrap();
        }
        assert!(journal.bytes() > JOURNAL_BYTES_MAX);
    }
    assert_eq!(
        world.refused(&sign(&world.order(OrderKind::Check, ID, 2, 1), ORDER)),
        RefusalCode::JournalUnwritable,
        "no new work"
    );
    world.stop();
    let host = Host::new(Tree::open(&world.host()).unwrap());
    let executor = Executor::open(StateDir::open(&world.state()).unwrap(), host, false).unwrap();
    let (text, all) = agent::owner::revert(executor, None, false);
    assert!(all, "{text}");
    assert_eq!(world.snapshot(), before);
    let acked = tasks.into_iter().map(|task| Acked { task, epoch: 1, n: 1 }).collect();
    world.tell(ToExecutor::Acked { acked });
    assert_eq!(world.apply(ID, 3).outcome, Outcome::Succeeded, "there is room again");
    assert!(journal_bytes(&world) < JOURNAL_BYTES_MAX / 2);
}

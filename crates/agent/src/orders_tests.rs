use super::*;
use crate::record::Step;
use domain::time::Timestamp;
use proptest::prelude::*;
use protocol::order::{OrderKind, Supersedes};

fn order(task: u128, epoch: u32, order_seq: u64, supersedes: Option<Supersedes>) -> Order {
    Order {
        v: 1,
        kind: OrderKind::Apply,
        order_id: Uuid::from_u128(u128::from(order_seq)),
        job: "MJ0000001".to_owned(),
        task: Uuid::from_u128(task),
        epoch,
        supersedes,
        agent_id: Uuid::nil(),
        instance_id: Uuid::nil(),
        order_seq,
        catalogue_min: 1,
        entry_id: "linux-x".to_owned(),
        entry_revision: 1,
        content_digest: String::new(),
        not_before: Timestamp::from_micros(0),
        not_after: Timestamp::from_micros(1),
        run_timeout_seconds: 60,
        output_cap_bytes: 1000,
        dry_run: false,
        approval: None,
        permit: false,
        restart: false,
    }
}

fn event(book: &Book, task: Uuid, epoch: u32, event: EventKind) -> String {
    let n = book.next_event(task, epoch);
    serde_json::to_string(&Event { task, epoch, n, at: Timestamp::from_micros(0), event }).unwrap()
}

fn digest(order: &Order) -> String {
    Digest::of(&serde_json::to_vec(order).unwrap()).to_string()
}

/// The executor in small: judges, and writes what it would write.
fn deliver(book: &mut Book, order: &Order) -> Judgement {
    let judgement = book.judge(order, &digest(order));
    let (task, epoch) = (order.task, order.epoch);
    match &judgement {
        Judgement::Fresh => {
            let event = event(book, task, epoch, EventKind::Accepted);
            book.apply(&Record::Accepted { order: Box::new(order.clone()), digest: digest(order), event });
        }
        Judgement::Refuse(code, reason) => {
            let kind = EventKind::Refused { code: *code, reason: reason.clone(), order: String::new() };
            let event = event(book, task, epoch, kind);
            let record =
                Record::Refused { task, epoch, order_seq: Some(order.order_seq), digest: digest(order), event };
            book.apply(&record);
        }
        Judgement::Again => {}
    }
    judgement
}

fn start(book: &mut Book, task: Uuid, epoch: u32) {
    let event = event(book, task, epoch, EventKind::Started);
    book.apply(&Record::Intent { task, epoch, pre_digest: String::new(), event });
}

fn finish(book: &mut Book, task: Uuid, epoch: u32) -> String {
    let kind = EventKind::Interrupted { state: domain::mitigation::ControlState::Exposed, reason: "test".to_owned() };
    let event = event(book, task, epoch, kind);
    book.apply(&Record::Finished { task, epoch, event: event.clone() });
    digest_of(&event)
}

#[test]
fn the_same_bytes_again_do_nothing_and_other_bytes_are_a_replay() {
    let mut book = Book::default();
    let first = order(1, 1, 5, None);
    assert_eq!(deliver(&mut book, &first), Judgement::Fresh);
    assert_eq!(deliver(&mut book, &first), Judgement::Again);
    let forged = Order { dry_run: true, ..first.clone() };
    assert!(matches!(deliver(&mut book, &forged), Judgement::Refuse(RefusalCode::Replayed, _)));
    let reused = order(2, 1, 5, None);
    assert!(matches!(deliver(&mut book, &reused), Judgement::Refuse(RefusalCode::Replayed, _)));
    assert_eq!(book.waiting(), [first]);
}

#[test]
fn an_epoch_needs_the_result_of_the_one_before() {
    let mut book = Book::default();
    let task = Uuid::from_u128(1);
    deliver(&mut book, &order(1, 1, 1, None));
    let named = |digest: &str| Some(Supersedes { epoch: 1, result_digest: digest.to_owned() });
    let unresolved = |judgement| matches!(judgement, Judgement::Refuse(RefusalCode::UnresolvedEpoch, _));
    assert!(unresolved(book.judge(&order(1, 2, 2, named("x")), "d")), "not ended");
    start(&mut book, task, 1);
    assert!(unresolved(book.judge(&order(1, 2, 2, named("x")), "d")), "started, not ended");
    let result = finish(&mut book, task, 1);
    assert!(unresolved(book.judge(&order(1, 2, 2, None), "d")), "names nothing");
    assert!(unresolved(book.judge(&order(1, 2, 2, named("x")), "d")), "names another result");
    assert_eq!(book.judge(&order(1, 2, 2, named(&result)), "d"), Judgement::Fresh);
    deliver(&mut book, &order(1, 2, 2, named(&result)));
    assert!(matches!(book.judge(&order(1, 1, 9, None), "d"), Judgement::Refuse(RefusalCode::Replayed, _)));
}

#[test]
fn a_tombstone_is_for_ever_and_a_forgery_uses_nothing_up() {
    let mut book = Book::default();
    let task = Uuid::from_u128(1);
    let revoked = event(&book, task, 1, EventKind::Revoked);
    book.apply(&Record::Tombstone { task, epoch: 1, event: revoked });
    assert!(matches!(deliver(&mut book, &order(1, 1, 1, None)), Judgement::Refuse(RefusalCode::Cancelled, _)));

    let task = Uuid::from_u128(2);
    let refused =
        EventKind::Refused { code: RefusalCode::BadSignature, reason: String::new(), order: "forged".to_owned() };
    let event = event(&book, task, 1, refused);
    book.apply(&Record::Refused { task, epoch: 1, order_seq: None, digest: "forged".to_owned(), event });
    assert_eq!(deliver(&mut book, &order(2, 1, 7, None)), Judgement::Fresh);
    assert_eq!(book.next_event(task, 1), 3, "numbers go on");
}

#[test]
fn acknowledged_events_are_not_sent_again() {
    let mut book = Book::default();
    deliver(&mut book, &order(1, 1, 1, None));
    start(&mut book, Uuid::from_u128(1), 1);
    assert_eq!(book.unacknowledged().len(), 2);
    let acked = Acked { task: Uuid::from_u128(1), epoch: 1, n: 1 };
    book.apply(&book.news(&acked).unwrap());
    assert_eq!(book.news(&acked), None);
    assert_eq!(book.unacknowledged().iter().map(|(_, n, _)| *n).collect::<Vec<_>>(), [2]);
    assert_eq!(book.open().len(), 1);
}

#[derive(Clone, Debug)]
enum Move {
    Deliver { task: u128, epoch: u32, seq: u64, honest: bool },
    Start(u128),
    Finish(u128),
    Revoke(u128, u32),
    Acknowledge(u128, u32, u32),
    Compact,
}

fn moves() -> impl Strategy<Value = Vec<Move>> {
    let one = prop_oneof![
        4 => (1_u128..4, 1_u32..4, 1_u64..40, any::<bool>())
            .prop_map(|(task, epoch, seq, honest)| Move::Deliver { task, epoch, seq, honest }),
        2 => (1_u128..4).prop_map(Move::Start),
        2 => (1_u128..4).prop_map(Move::Finish),
        1 => (1_u128..4, 1_u32..4).prop_map(|(task, epoch)| Move::Revoke(task, epoch)),
        1 => (1_u128..4, 1_u32..4, 1_u32..6).prop_map(|(task, epoch, n)| Move::Acknowledge(task, epoch, n)),
        1 => Just(Move::Compact),
    ];
    prop::collection::vec(one, 0..60)
}

proptest! {
    /// S1, S2 and S4 whatever is delivered in whatever order, with compactions in between: a (task, epoch) starts at most
    /// once, only while no other epoch of the task is unresolved, never after its tombstone, and epochs only rise.
    #[test]
    fn s1_s2_s4_hold_for_every_history(history in moves()) {
        let mut book = Book::default();
        let mut started: Vec<(u128, u32)> = Vec::new();
        let mut results: BTreeMap<(u128, u32), String> = BTreeMap::new();
        let mut dead: BTreeSet<(u128, u32)> = BTreeSet::new();
        for step in history {
            match step {
                Move::Deliver { task, epoch, seq, honest } => {
                    let named = results.get(&(task, epoch.saturating_sub(1))).filter(|_| honest).cloned();
                    let supersedes = (epoch > 1).then(|| Supersedes {
                        epoch: epoch - 1,
                        result_digest: named.unwrap_or_else(|| "wrong".to_owned()),
                    });
                    deliver(&mut book, &order(task, epoch, seq, supersedes));
                }
                Move::Start(task) => {
                    let id = Uuid::from_u128(task);
                    let Some(next) = book.waiting().into_iter().find(|order| order.task == id) else { continue };
                    prop_assert!(!started.contains(&(task, next.epoch)), "S1");
                    prop_assert!(!dead.contains(&(task, next.epoch)), "S4");
                    let last = started.iter().filter(|(t, _)| *t == task).map(|(_, e)| *e).max().unwrap_or(0);
                    prop_assert!(next.epoch > last, "epochs rise");
                    prop_assert!(last == 0 || results.contains_key(&(task, last)), "S2");
                    start(&mut book, id, next.epoch);
                    started.push((task, next.epoch));
                }
                Move::Finish(task) => {
                    let id = Uuid::from_u128(task);
                    let Some(open) = book.interrupted().into_iter().find(|order| order.task == id) else { continue };
                    let result = finish(&mut book, id, open.epoch);
                    results.insert((task, open.epoch), result);
                }
                Move::Revoke(task, epoch) => {
                    let id = Uuid::from_u128(task);
                    if book.get(id, epoch).is_some_and(|known| known.progress != Progress::Accepted) { continue }
                    let event = event(&book, id, epoch, EventKind::Revoked);
                    results.insert((task, epoch), digest_of(&event));
                    book.apply(&Record::Tombstone { task: id, epoch, event });
                    dead.insert((task, epoch));
                }
                Move::Acknowledge(task, epoch, n) => {
                    let acked = Acked { task: Uuid::from_u128(task), epoch, n };
                    if let Some(record) = book.news(&acked) { book.apply(&record); }
                }
                Move::Compact => {
                    let records = book.compacted(Uuid::nil(), String::new(), 1, Timestamp::from_micros(0));
                    let before = (book.unacknowledged(), book.open(), book.waiting());
                    book = Book::read(&records);
                    prop_assert_eq!(before, (book.unacknowledged(), book.open(), book.waiting()), "compaction loses nothing");
                }
            }
        }
    }
}

#[test]
fn a_try_that_was_undone_leaves_what_was_ours_before_it() {
    let step = |param: &&str| Step::BootArgument { param: (*param).to_owned(), before: false, after: true };
    let holding = |params: &[&str]| Holding {
        entry_id: "linux-x".to_owned(),
        revision: 1,
        content_digest: String::new(),
        boot_id: String::new(),
        restarted: true,
        steps: params.iter().map(step).collect(),
        holds: Vec::new(),
    };
    let mut book = Book::default();
    deliver(&mut book, &order(1, 1, 1, None));
    let captured = |holding| Record::Captured { task: Uuid::from_u128(1), epoch: 1, holding };
    book.apply(&captured(holding(&["a", "b"])));
    book.apply(&captured(holding(&["b"])));
    let released = |kept| Record::Released { entry_id: "linux-x".to_owned(), passed_on: Vec::new(), kept };
    book.apply(&released(Some(Box::new(holding(&["a", "b"])))));
    assert_eq!(book.holdings().get("linux-x"), Some(&holding(&["a", "b"])));
    book.apply(&released(None));
    assert!(book.holdings().is_empty());
}

fn holding(entry_id: &str) -> Holding {
    Holding {
        entry_id: entry_id.to_owned(),
        revision: 1,
        content_digest: "c".to_owned(),
        boot_id: String::new(),
        restarted: true,
        steps: Vec::new(),
        holds: Vec::new(),
    }
}

fn intent(entry_id: &str) -> Record {
    Record::OwnerIntent { entry_id: entry_id.to_owned(), content_digest: "c".to_owned(), pre_digest: String::new() }
}

proptest! {
    /// The owner's revert is open from its intent to its end, or to newer work on the same entry, whatever lies between: a
    /// compaction, another installation, what lets go.
    #[test]
    fn an_owners_revert_is_open_until_it_ends(steps in proptest::collection::vec((0_usize..6, 0_usize..2), 0..40)) {
        let entries = ["linux-a", "linux-b"];
        let (mut book, mut open, mut held) = (Book::default(), BTreeSet::new(), BTreeSet::new());
        for (what, which) in steps {
            let id = entries[which];
            match what {
                0 => {
                    book.apply(&intent(id));
                    open.insert(id);
                }
                1 => {
                    book.apply(&Record::OwnerEnd { entry_id: id.to_owned() });
                    open.remove(id);
                }
                2 => {
                    book.apply(&Record::Captured { task: Uuid::from_u128(1), epoch: 1, holding: holding(id) });
                    open.remove(id);
                    held.insert(id);
                }
                3 => {
                    book.apply(&Record::Released { entry_id: id.to_owned(), passed_on: Vec::new(), kept: None });
                    held.remove(id);
                }
                4 => {
                    let records = book.compacted(Uuid::nil(), String::new(), 0, Timestamp::from_micros(0));
                    book = Book::read(&records);
                }
                _ => book.apply(&Record::Opened { format: 1, instance_id: Uuid::from_u128(7), previous: None }),
            }
            let known: BTreeSet<&str> = book.owner_reverts().keys().map(String::as_str).collect();
            prop_assert_eq!(&known, &open);
            let kept: BTreeSet<&str> = book.holdings().keys().map(String::as_str).collect();
            prop_assert_eq!(&kept, &held);
        }
    }
}

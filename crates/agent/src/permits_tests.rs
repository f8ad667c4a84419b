//! Forged, stolen, late and repeated permits (S7).

use super::*;
use catalogue::ephemeral::single_key_root;
use proptest::prelude::*;
use protocol::order::{ORDER_TYPE, OrderKind};
use protocol::root::Root;
use protocol::signed::SigningKey;

const ORDER_KEY: u8 = 4;
const AT: i64 = 1_000_000 * SECOND;

fn signing(n: u8) -> SigningKey {
    SigningKey::from_secret(&[n; 32])
}

fn root() -> Root {
    let [root, content, organisation, order] = [1, 2, 3, ORDER_KEY].map(|n| signing(n).public());
    single_key_root(&root, &content, &organisation, &order, 1, Timestamp::from_micros(i64::MAX / 2))
}

fn trust(root: &Root) -> Keeper<'_> {
    Keeper { root, agent_id: Uuid::from_u128(1), instance_id: Uuid::from_u128(2) }
}

fn of(task: u128, epoch: u32) -> TaskEpoch {
    TaskEpoch { task: Uuid::from_u128(task), epoch }
}

fn permit(nonce: u128) -> Permit {
    Permit {
        v: 1,
        agent_id: Uuid::from_u128(1),
        instance_id: Uuid::from_u128(2),
        task: Uuid::from_u128(3),
        epoch: 1,
        nonce: Uuid::from_u128(nonce),
        granted_at: Timestamp::from_micros(AT),
        start_by: Timestamp::from_micros(AT).plus_seconds(PERMIT_SECONDS),
    }
}

fn seal(permit: &Permit, kind: &str, with: u8) -> PermitAnswer {
    let payload = serde_json::to_vec(permit).unwrap();
    let envelope = Envelope::sign(kind, &payload, &[&signing(with)]);
    PermitAnswer::Granted { permit: String::from_utf8(envelope.to_json()).unwrap() }
}

fn order(task: u128, epoch: u32, permit: bool) -> Order {
    Order {
        v: 1,
        kind: OrderKind::Apply,
        order_id: Uuid::nil(),
        job: "MJ0000001".to_owned(),
        task: Uuid::from_u128(task),
        epoch,
        supersedes: None,
        agent_id: Uuid::from_u128(1),
        instance_id: Uuid::from_u128(2),
        order_seq: 1,
        catalogue_min: 1,
        entry_id: String::new(),
        entry_revision: 1,
        content_digest: String::new(),
        not_before: Timestamp::from_micros(0),
        not_after: Timestamp::from_micros(0),
        run_timeout_seconds: 1,
        output_cap_bytes: 1,
        dry_run: false,
        permit,
        restart: false,
        approval: None,
    }
}

/// One order that has asked the question `nonce` at the time 0.
fn asked(nonce: u128) -> Permits {
    let mut permits = Permits::default();
    let ask = permits.permitted(of(3, 1), Timestamp::from_micros(AT), 0, || Uuid::from_u128(nonce)).unwrap_err();
    assert_eq!(ask, PermitAsk { of: of(3, 1), nonce: Uuid::from_u128(nonce) });
    permits
}

#[test]
fn s7_every_forged_permit_is_refused_and_none_lets_an_order_start() {
    let root = root();
    let with = |change: &dyn Fn(&mut Permit)| {
        let mut permit = permit(9);
        change(&mut permit);
        seal(&permit, PERMIT_TYPE, ORDER_KEY)
    };
    let text = |text: &str| PermitAnswer::Granted { permit: text.to_owned() };
    let mut field = serde_json::to_value(permit(9)).unwrap();
    field["only_on_sundays"] = serde_json::Value::Bool(true);
    let field = Envelope::sign(PERMIT_TYPE, field.to_string().as_bytes(), &[&signing(ORDER_KEY)]).to_json();
    let late = |permit: &mut Permit| permit.start_by = Timestamp::from_micros(AT);
    for (fault, answer) in [
        (PermitFault::Malformed, text("{}")),
        (PermitFault::Malformed, text(&"x".repeat(PERMIT_BYTES_MAX + 1))),
        (PermitFault::Malformed, text(&String::from_utf8(field).unwrap())),
        (PermitFault::Malformed, with(&|permit| permit.v = 2)),
        (PermitFault::Untrusted, seal(&permit(9), PERMIT_TYPE, 99)),
        (PermitFault::Untrusted, seal(&permit(9), PERMIT_TYPE, 2)),
        (PermitFault::Untrusted, seal(&permit(9), ORDER_TYPE, ORDER_KEY)),
        (PermitFault::WrongAgent, with(&|permit| permit.agent_id = Uuid::from_u128(7))),
        (PermitFault::WrongInstance, with(&|permit| permit.instance_id = Uuid::from_u128(7))),
        (PermitFault::WrongTask, with(&|permit| permit.task = Uuid::from_u128(7))),
        (PermitFault::WrongEpoch, with(&|permit| permit.epoch = 2)),
        (PermitFault::NotAsked, with(&|permit| permit.nonce = Uuid::from_u128(7))),
        (PermitFault::Expired, with(&late)),
    ] {
        let mut permits = asked(9);
        let now = Timestamp::from_micros(AT);
        assert_eq!(permits.hear(of(3, 1), &answer, trust(&root), now, 0), Err(fault), "{answer:?}");
        assert!(!permits.use_up(of(3, 1), now, 0), "{fault:?}");
    }
}

#[test]
fn s7_a_permit_is_used_once_and_only_in_its_time() {
    let root = root();
    let good = seal(&permit(9), PERMIT_TYPE, ORDER_KEY);
    let now = Timestamp::from_micros(AT);
    let mut permits = asked(9);
    assert!(permits.blocks(&order(3, 1, true), 0));
    permits.hear(of(3, 1), &good, trust(&root), now, 1).unwrap();
    assert!(!permits.blocks(&order(3, 1, true), 1));
    assert!(!permits.use_up(of(3, 2), now, 1), "not for another epoch");
    assert!(permits.use_up(of(3, 1), now, 1));
    assert!(!permits.use_up(of(3, 1), now, 1), "used");
    assert_eq!(permits.hear(of(3, 1), &good, trust(&root), now, 1), Err(PermitFault::NotAsked), "replayed");

    // Held too long by the clock since boot, whatever the network half says of the server's time, and by the server's time.
    for (now, micros) in [(now, PERMIT_SECONDS * SECOND), (now.plus_seconds(PERMIT_SECONDS), 1)] {
        let mut permits = asked(9);
        permits.hear(of(3, 1), &good, trust(&root), Timestamp::from_micros(AT), 1).unwrap();
        assert!(!permits.use_up(of(3, 1), now, micros));
        let again = permits.permitted(of(3, 1), now, micros, || Uuid::from_u128(10)).unwrap_err();
        assert_eq!(again.nonce, Uuid::from_u128(10), "asked anew");
        assert_eq!(
            permits.hear(of(3, 1), &good, trust(&root), Timestamp::from_micros(AT), 2),
            Err(PermitFault::NotAsked)
        );
    }
}

#[test]
fn one_question_at_a_time_and_the_rest_is_not_held_up() {
    let root = root();
    let mut permits = asked(9);
    assert!(permits.blocks(&order(4, 1, true), 0), "another order's question is open");
    assert!(!permits.blocks(&order(4, 1, false), 0), "it needs none");
    let wait = PermitAnswer::Wait { retry_after_seconds: 5 };
    permits.hear(of(3, 1), &wait, trust(&root), Timestamp::from_micros(AT), 0).unwrap();
    assert!(permits.blocks(&order(3, 1, true), 4 * SECOND));
    assert!(!permits.blocks(&order(4, 1, true), 4 * SECOND), "the next one may try its luck");
    assert_eq!(permits.next(0), Some(5 * SECOND));
    assert_eq!(permits.next(5 * SECOND), None);
    assert!(!permits.blocks(&order(3, 1, true), 5 * SECOND));
    assert!(permits.open().is_empty());
    // Nobody answers: asked again with another question.
    let mut permits = asked(9);
    assert_eq!(permits.open().len(), 1);
    assert!(permits.blocks(&order(3, 1, true), ASK_MICROS - 1));
    assert!(!permits.blocks(&order(3, 1, true), ASK_MICROS));
    let ask = permits.permitted(of(3, 1), Timestamp::from_micros(AT), ASK_MICROS, || Uuid::from_u128(10)).unwrap_err();
    assert_eq!(ask.nonce, Uuid::from_u128(10));
    permits.forget(of(3, 1));
    assert_eq!(permits.next(0), None);
}

proptest! {
    /// Whatever is said by whom in whatever order: an order starts at most once for each permit that was signed for its question.
    #[test]
    fn starts_never_outnumber_grants(steps in proptest::collection::vec((0_u8..6, 0_u128..3, 0_i64..90), 0..60)) {
        let root = root();
        let (mut permits, mut micros, mut granted, mut starts) = (Permits::default(), 0, Vec::new(), 0);
        let mut asks = 0_u128;
        for (what, pick, seconds) in steps {
            micros += seconds * SECOND;
            let now = Timestamp::from_micros(AT + micros);
            match what {
                0 | 1 => {
                    let _ = permits.permitted(of(3, 1), now, micros, || { asks += 1; Uuid::from_u128(asks) });
                }
                2 => granted.push((asks, micros)),
                3 => {
                    let index = usize::try_from(pick).unwrap();
                    if let Some((nonce, at)) = granted.iter().rev().nth(index) {
                        let grant = Permit {
                            granted_at: Timestamp::from_micros(AT + at),
                            start_by: Timestamp::from_micros(AT + at).plus_seconds(PERMIT_SECONDS),
                            ..permit(*nonce)
                        };
                        let _ = permits.hear(of(3, 1), &seal(&grant, PERMIT_TYPE, ORDER_KEY), trust(&root), now, micros);
                    }
                }
                4 => permits = Permits::default(),
                _ => {
                    if permits.use_up(of(3, 1), now, micros) {
                        starts += 1;
                        prop_assert!(granted.iter().any(|(_, at)| micros - at < PERMIT_SECONDS * SECOND));
                    }
                }
            }
            prop_assert!(starts <= granted.len());
        }
    }

    /// What a permit allows depends on how long ago things were, never on what the clock showed: the model keeps its clock at 0.
    #[test]
    fn a_clock_that_is_set_back_changes_nothing(
        steps in proptest::collection::vec((0_u8..6, 0_u128..2, 0_i64..90), 0..40), wait in 0_i64..200,
    ) {
        let root = root();
        let orders = [of(3, 1), of(4, 1)];
        let (mut permits, mut shown, mut micros) = (Permits::default(), Permits::default(), 0);
        for (what, pick, seconds) in steps {
            let at = orders[usize::try_from(pick).unwrap()];
            micros += seconds * SECOND;
            shown = shown.rebased(seconds * SECOND);
            let (now, base) = (Timestamp::from_micros(AT + micros), Timestamp::from_micros(AT));
            let nonce = || Uuid::from_u128(9);
            let needs = order(at.task.as_u128(), 1, true);
            prop_assert_eq!(permits.blocks(&needs, micros), shown.blocks(&needs, 0));
            match what {
                0 => prop_assert_eq!(permits.permitted(at, now, micros, nonce), shown.permitted(at, base, 0, nonce)),
                1 | 2 => {
                    let grant = |at: Timestamp, task: Uuid| {
                        let granted = Permit { task, granted_at: at, start_by: at.plus_seconds(PERMIT_SECONDS), ..permit(9) };
                        seal(&granted, PERMIT_TYPE, ORDER_KEY)
                    };
                    let heard = permits.hear(at, &grant(now, at.task), trust(&root), now, micros);
                    prop_assert_eq!(heard, shown.hear(at, &grant(base, at.task), trust(&root), base, 0));
                }
                3 => prop_assert_eq!(permits.use_up(at, now, micros), shown.use_up(at, base, 0)),
                4 => {
                    let later = PermitAnswer::Wait { retry_after_seconds: 70 };
                    let heard = permits.hear(at, &later, trust(&root), now, micros);
                    prop_assert_eq!(heard, shown.hear(at, &later, trust(&root), base, 0));
                }
                _ => prop_assert_eq!(permits.open(), shown.open()),
            }
        }
        let due = permits.next(micros).map(|due| due - micros);
        prop_assert_eq!(due, shown.next(0));
        let later = micros + wait * SECOND;
        for at in orders {
            let used = permits.use_up(at, Timestamp::from_micros(AT + later), later);
            prop_assert_eq!(used, shown.rebased(wait * SECOND).use_up(at, Timestamp::from_micros(AT), 0));
        }
    }
}

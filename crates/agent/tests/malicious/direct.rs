//! Every row against the executor itself.

use crate::common::{self, CONTENT, ORDER, World, key, sshd};
use crate::forge::{self, End, ID, Move};
use agent::executor::Executor;
use agent::frame::{ToExecutor, ToNet};
use protocol::agent::{Event, EventKind, Outcome};
use protocol::order::OrderKind;
use std::collections::BTreeMap;

/// Make the moves of a hostile network half; gives what the executor said.
fn play(world: &World, contents: &mut BTreeMap<String, Vec<u8>>, moves: Vec<Move>) -> Vec<Event> {
    let mut out = Vec::new();
    for made in moves {
        match made {
            Move::Order(envelope) => out.extend(world.tell(ToExecutor::Order { envelope })),
            Move::Index(envelope) => out.extend(world.tell(ToExecutor::Index { envelope })),
            Move::Roots(envelopes) => out.extend(world.tell(ToExecutor::Roots { envelopes })),
            Move::Content(digest, text) => drop(contents.insert(digest, text.into_bytes())),
        }
    }
    let wanted: Vec<String> = out
        .iter()
        .filter_map(|frame| if let ToNet::Want { digest } = frame { Some(digest.clone()) } else { None })
        .collect();
    for digest in wanted {
        let text = contents.get(&digest).map(|bytes| String::from_utf8_lossy(bytes).into_owned());
        out.extend(world.tell(match text {
            Some(text) => ToExecutor::Content { digest, text },
            None => ToExecutor::NoContent { digest, reason: "no such thing".to_owned() },
        }));
    }
    while world.with(Executor::step) {}
    out.extend(world.with(Executor::take_out));
    common::events(&out)
}

#[test]
fn malicious_orders_are_never_carried_out() {
    let forge = crate::stage();
    let mut world = World::new(vec![sshd()]);
    world.index = forge.index.clone();
    let outside = forge::traps(&world);
    let mut contents = forge.contents.clone();
    // An honest past, of which replays are made.
    let mut first = world.order(OrderKind::Apply, ID, 1, 1);
    first.order_seq = 1;
    let past = common::sign(&first, ORDER);
    let done = play(&world, &mut contents, vec![Move::Order(past.clone())]);
    assert_eq!(common::report(&done).outcome, Outcome::Succeeded);
    let mut back = world.order(OrderKind::Revert, ID, 2, 1);
    back.order_seq = 2;
    let done = play(&world, &mut contents, vec![Move::Order(common::sign(&back, ORDER))]);
    assert_eq!(common::report(&done).outcome, Outcome::Reverted);

    let (host, beside, begun) = (world.snapshot(), forge::look(&outside), forge::begun(&world.state()));
    let unchanged = |name: &str| {
        assert_eq!(world.snapshot(), host, "{name}: something below the root was changed");
        assert_eq!(forge::look(&outside), beside, "{name}: something outside of the root was changed");
        assert_eq!(forge::begun(&world.state()), begun, "{name}: an intent or an effect was journalled");
    };
    let attacks = crate::attacks();
    let rows = attacks.len();
    for attack in attacks {
        let name = attack.name;
        let events = play(&world, &mut contents, (attack.moves)(&forge));
        match attack.end {
            End::Refused(code) => {
                let told = |event: &&Event| matches!(&event.event, EventKind::Refused { code: of, .. } if *of == code);
                assert!(events.iter().any(|event| told(&event)), "{name}: {events:?}");
                // What nobody signed is told with its digest, so that the server knows whether it sent it.
                let unproven = code == protocol::order::RefusalCode::BadSignature;
                let named =
                    |event: &&Event| matches!(&event.event, EventKind::Refused { order, .. } if order.len() == 64);
                assert!(!unproven || events.iter().filter(told).all(|event| named(&event)), "{name}: {events:?}");
                assert_eq!(world.with(|executor| executor.refusals().last().unwrap().code), code, "{name}");
            }
            End::Silent(code) => {
                assert!(events.is_empty(), "{name}: {events:?}");
                assert_eq!(world.with(|executor| executor.refusals().last().unwrap().code), code, "{name}");
            }
            End::ToldAgain(code) => {
                assert_eq!(common::report(&events).outcome, Outcome::Succeeded, "{name}: {events:?}");
                assert!(
                    !events.iter().any(|event| matches!(event.event, EventKind::Refused { .. })),
                    "{name}: {events:?}"
                );
                assert_eq!(world.with(|executor| executor.refusals().last().unwrap().code), code, "{name}");
            }
            End::NotBegun(words) => {
                let report = common::report(&events);
                assert!(!matches!(report.outcome, Outcome::Succeeded | Outcome::Unchanged), "{name}: {report:?}");
                assert!(report.message.contains(words), "{name}: {report:?}");
            }
        }
        unchanged(name);
    }
    // The very bytes of the past again, also to an executor that was started anew.
    for restarted in [false, true] {
        if restarted {
            world.stop();
        }
        play(&world, &mut contents, vec![Move::Order(past.clone())]);
        assert_eq!(
            world.with(|executor| executor.refusals().last().unwrap().code),
            protocol::order::RefusalCode::Replayed
        );
        unchanged("a replay of the past");
    }
    // Nothing that was tried stands in the way of honest work.
    let mut honest = world.order(OrderKind::Apply, ID, 90_000, 1);
    honest.order_seq = 90_000;
    let done = play(&world, &mut contents, vec![Move::Order(common::sign(&honest, ORDER))]);
    assert_eq!(common::report(&done).outcome, Outcome::Succeeded);
    assert!(key(CONTENT).public() != key(ORDER).public() && rows >= 35, "{rows} rows");
    println!("{} forged or abused orders, 0 carried out", rows + 2);
}

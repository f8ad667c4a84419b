//! Every row by a hostile server, over TLS, against the real binary with both its halves.

use crate::common::{self, ORDER, World, sshd};
use crate::forge::{self, End, Forge, ID, Move};
use crate::server::{AGENT, INSTANCE, Server};
use protocol::agent::{Event, EventKind, Outcome, TaskEpoch};
use protocol::order::{Order, OrderKind};
use protocol::signed::Envelope;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use uuid::Uuid;

const EXE: &str = env!("CARGO_BIN_EXE_quell-agent");

struct Agent(Child);

impl Drop for Agent {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn command(world: &World, verb: &str) -> Command {
    let mut command = Command::new(EXE);
    command.arg(verb).arg("--state").arg(world.folder.path().join("enrolled")).arg("--root").arg(world.host());
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command
}

fn run(world: &World) -> Agent {
    let mut command = command(world, "run");
    command.args(["--hold-seconds", "2", "--backoff-seconds-max", "1", "--spread-seconds-max", "0"]);
    Agent(command.spawn().unwrap())
}

/// The task a text claims to be for, as far as anybody can tell.
fn claimed(text: &str) -> TaskEpoch {
    let parsed = Envelope::parse(text.as_bytes(), usize::MAX).ok();
    let value: Option<serde_json::Value> =
        parsed.and_then(|envelope| serde_json::from_slice(envelope.unverified_payload()).ok());
    let task = value.as_ref().and_then(|value| value["task"].as_str()?.parse().ok()).unwrap_or_default();
    let epoch = value.and_then(|value| u32::try_from(value["epoch"].as_u64()?).ok()).unwrap_or(1);
    TaskEpoch { task, epoch }
}

/// Under this name an order is offered again and again, whatever was said of its task.
const INSISTED: TaskEpoch = TaskEpoch { task: Uuid::nil(), epoch: 0 };

/// Make the moves; gives the task that the last order claims.
fn play(server: &Server, moves: Vec<Move>) -> TaskEpoch {
    let mut of = INSISTED;
    for made in moves {
        match made {
            Move::Order(text) => {
                of = claimed(&text);
                server.offer_text(INSISTED, text);
            }
            Move::Index(text) => server.push(None, Some(text)),
            Move::Roots(texts) => server.push(Some(texts), None),
            Move::Content(digest, text) => drop(server.contents.lock().unwrap().insert(digest, text.into_bytes())),
        }
    }
    of
}

fn honest(server: &Server, forge: &Forge, kind: OrderKind, number: u64) -> EventKind {
    let task = Uuid::from_u128(u128::from(number));
    let order = Order { order_seq: number, task, ..forge.order(kind, ID) };
    server.offer_text(TaskEpoch { task, epoch: 1 }, common::sign(&order, ORDER));
    server.ended(task, 1)
}

fn outcome(end: EventKind) -> Outcome {
    match end {
        EventKind::Finished(report) => report.outcome,
        other => panic!("not finished: {other:?}"),
    }
}

#[test]
fn a_malicious_server_has_no_order_carried_out() {
    let mut forge = crate::stage();
    (forge.agent, forge.instance) = (AGENT, INSTANCE);
    let server: Arc<Server> = Server::start(vec![sshd()]);
    server.index.lock().unwrap().clone_from(&forge.index);
    server.contents.lock().unwrap().clone_from(&forge.contents);
    let world = World::new(vec![sshd()]);
    let outside = forge::traps(&world);
    assert!(command(&world, "enrol").args(["--token", &server.token]).status().unwrap().success());
    let state = world.folder.path().join("enrolled");
    let agent = run(&world);
    assert_eq!(outcome(honest(&server, &forge, OrderKind::Apply, 1)), Outcome::Succeeded);
    assert_eq!(outcome(honest(&server, &forge, OrderKind::Revert, 2)), Outcome::Reverted);

    let (host, beside, begun) = (world.snapshot(), forge::look(&outside), forge::begun(&state));
    let mut rows = 0;
    for attack in crate::attacks() {
        let name = attack.name;
        let of = play(&server, (attack.moves)(&forge));
        match attack.end {
            End::Refused(code) => {
                let end = server.wait(name, |store| {
                    let last = store.events.get(&(of.task, of.epoch))?.last()?;
                    let event: Event = serde_json::from_str(last).unwrap();
                    // What was said of a task that was done before is older.
                    matches!(event.event, EventKind::Refused { .. }).then_some(event.event)
                });
                assert!(matches!(&end, EventKind::Refused { code: of, .. } if *of == code), "{name}: {end:?}");
                server.store.0.lock().unwrap().orders.pop();
            }
            // Nothing new is told; two polls later it was dealt with, and is not offered again.
            End::Silent(_) | End::ToldAgain(_) => {
                let polls = server.store.0.lock().unwrap().polls;
                server.wait(name, |store| (store.polls >= polls + 2).then_some(()));
                server.store.0.lock().unwrap().orders.pop();
            }
            End::NotBegun(words) => match server.ended(of.task, of.epoch) {
                EventKind::Finished(report) => {
                    assert!(report.message.contains(words), "{name}: {report:?}");
                    server.store.0.lock().unwrap().orders.pop();
                }
                other => panic!("{name}: {other:?}"),
            },
        }
        assert_eq!(world.snapshot(), host, "{name}: something below the root was changed");
        assert_eq!(forge::look(&outside), beside, "{name}: something outside of the root was changed");
        assert_eq!(forge::begun(&state), begun, "{name}: an intent or an effect was journalled");
        rows += 1;
    }
    // Nothing that was tried stands in the way of honest work, whoever has died meanwhile.
    drop(agent);
    let _agent = run(&world);
    assert_eq!(outcome(honest(&server, &forge, OrderKind::Apply, 90_000)), Outcome::Succeeded);
    println!("{rows} forged or abused orders of a hostile server, 0 carried out");
}

//! The real binary, both halves, against a server that is not what it should be, over real TLS: each bad order is answered
//! with its own code, and nothing on the host changes. What the executor does with them is in `refusals.rs`; here it is
//! the whole way there and back.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::allow_attributes, reason = "tests and their helpers")]

mod common;
#[path = "common/server.rs"]
mod server;

use common::{CONTENT, ORDER, World, entry, key, make_index, now, sign, sshd};
use protocol::agent::{Event, EventKind, Outcome, TaskEpoch};
use protocol::order::{ORDER_TYPE, Order, OrderKind, RefusalCode};
use protocol::signed::Envelope;
use server::{AGENT, INSTANCE, Server};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};
use uuid::Uuid;

const ID: &str = "linux-sshd-login-grace-0";
const EXE: &str = env!("CARGO_BIN_EXE_quell-agent");

struct Site {
    world: World,
    server: Arc<Server>,
    state: std::path::PathBuf,
    agent: Option<Child>,
    /// Where the agent's log goes; to ours where there is none.
    log: Option<std::path::PathBuf>,
}

impl Drop for Site {
    fn drop(&mut self) {
        self.stop();
    }
}

impl Site {
    fn new(server: Arc<Server>) -> Self {
        Self::of(server, World::new(vec![sshd()]))
    }

    fn of(server: Arc<Server>, world: World) -> Self {
        let state = world.folder.path().join("enrolled");
        let mut site = Self { world, server, state, agent: None, log: None };
        let token = site.server.token.clone();
        assert!(site.command("enrol").args(["--token", &token]).status().unwrap().success());
        site.start();
        site
    }

    fn command(&self, verb: &str) -> Command {
        let mut command = Command::new(EXE);
        command.arg(verb).arg("--state").arg(&self.state).arg("--root").arg(self.world.host());
        command.stdin(Stdio::null());
        command
    }

    fn start(&mut self) {
        self.stop();
        let mut command = self.command("run");
        command.args(["--hold-seconds", "2", "--backoff-seconds-max", "1", "--spread-seconds-max", "0"]);
        if let Some(log) = &self.log {
            command.stderr(std::fs::File::create(log).unwrap());
        }
        self.agent = Some(command.spawn().unwrap());
    }

    fn stop(&mut self) {
        if let Some(mut agent) = self.agent.take() {
            let _ = agent.kill();
            let _ = agent.wait();
        }
    }

    /// An order as an honest server would make it, but for its number, far above those the server has given out.
    fn order(&self, kind: OrderKind, task: u128) -> Order {
        let order = self.world.order(kind, ID, task, 1);
        Order { agent_id: AGENT, instance_id: INSTANCE, order_seq: 1_000 + u64::try_from(task).unwrap(), ..order }
    }

    fn offer(&self, task: u128, text: String) {
        self.server.offer_text(TaskEpoch { task: Uuid::from_u128(task), epoch: 1 }, text);
    }

    /// How the agent answers an order in the end; it gets the server's next number.
    fn answer(&self, order: &Order) -> EventKind {
        self.server.offer(order.clone());
        self.server.ended(order.task, 1)
    }

    fn refused(&self, task: u128) -> RefusalCode {
        match self.server.ended(Uuid::from_u128(task), 1) {
            EventKind::Refused { code, .. } => code,
            other => panic!("task {task} is not refused: {other:?}"),
        }
    }

    fn finished(&self, order: &Order) -> Outcome {
        match self.answer(order) {
            EventKind::Finished(report) => report.outcome,
            other => panic!("not finished: {other:?}"),
        }
    }
}

fn envelope(order: &Order, with: &[u8]) -> String {
    let keys: Vec<_> = with.iter().map(|n| key(*n)).collect();
    let keys: Vec<_> = keys.iter().collect();
    let payload = serde_json::to_vec(order).unwrap();
    String::from_utf8(Envelope::sign(ORDER_TYPE, &payload, &keys).to_json()).unwrap()
}

#[test]
fn forged_expired_and_misaddressed_orders_are_each_refused_with_their_code() {
    let site = Site::new(Server::start(vec![sshd()]));
    let before = site.world.snapshot();
    let mut task = 100;
    let mut expected = Vec::new();
    let mut wrong = |site: &Site, code, text: &dyn Fn(Order) -> String| {
        task += 1;
        let order = site.order(OrderKind::Apply, task);
        site.offer(task, text(order));
        expected.push((task, code));
    };
    let changed = |change: fn(&mut Order)| {
        move |mut order: Order| {
            change(&mut order);
            sign(&order, ORDER)
        }
    };
    wrong(&site, RefusalCode::Unsigned, &|order| envelope(&order, &[]));
    wrong(&site, RefusalCode::UnknownKey, &|order| envelope(&order, &[99]));
    // The content key signs entries and nothing else.
    wrong(&site, RefusalCode::UnknownKey, &|order| envelope(&order, &[CONTENT]));
    // A signature of another order under this one.
    wrong(&site, RefusalCode::BadSignature, &|order| {
        let other = envelope(&Order { order_seq: 2_000, ..order.clone() }, &[ORDER]);
        let mut forged: serde_json::Value = serde_json::from_str(&other).unwrap();
        let honest: serde_json::Value = serde_json::from_str(&envelope(&order, &[ORDER])).unwrap();
        forged["payload"] = honest["payload"].clone();
        forged.to_string()
    });
    wrong(&site, RefusalCode::WrongAgent, &changed(|order| order.agent_id = Uuid::from_u128(0xbad)));
    wrong(&site, RefusalCode::WrongInstance, &changed(|order| order.instance_id = Uuid::from_u128(0xbad)));
    wrong(&site, RefusalCode::WrongDigest, &changed(|order| order.content_digest = "ab".repeat(32)));
    wrong(&site, RefusalCode::NotInIndex, &changed(|order| order.entry_id = "linux-unheard-of".to_owned()));
    wrong(&site, RefusalCode::IndexOlder, &changed(|order| order.catalogue_min = 2));
    wrong(&site, RefusalCode::Expired, &changed(|order| order.not_after = now().plus_seconds(-60)));
    wrong(&site, RefusalCode::NotYet, &changed(|order| order.not_before = now().plus_seconds(300)));
    for (task, code) in expected {
        assert_eq!(site.refused(task), code, "task {task}");
    }
    assert_eq!(site.world.snapshot(), before, "something on the host was changed");
    // None of them used up what an honest order needs.
    let honest = site.order(OrderKind::Apply, 1);
    assert_eq!(site.finished(&honest), Outcome::Succeeded);
}

#[test]
fn a_replayed_order_is_not_carried_out_again() {
    let mut site = Site::new(Server::start(vec![sshd()]));
    let before = site.world.snapshot();
    let first = site.order(OrderKind::Apply, 1);
    assert_eq!(site.finished(&first), Outcome::Succeeded);
    let number = site.server.store.0.lock().unwrap().order_seq;
    let reported = site.server.events_of(first.task, 1);
    let revert = site.order(OrderKind::Revert, 2);
    assert_eq!(site.finished(&revert), Outcome::Reverted);
    assert_eq!(site.world.snapshot(), before);
    // The very bytes once more, to an agent that was started anew: what it said then, it says again, and does nothing.
    for restarted in [false, true] {
        if restarted {
            site.start();
        }
        site.server.store.0.lock().unwrap().events.clear();
        let again: Vec<Event> = site.server.wait("the old answer", |store| {
            let texts = store.events.get(&(first.task, 1)).filter(|texts| texts.len() == reported.len())?;
            Some(texts.iter().map(|text| serde_json::from_str(text).unwrap()).collect())
        });
        assert_eq!(again, reported);
        assert_eq!(site.world.snapshot(), before);
    }
    // A used number under another task.
    let mut used = site.order(OrderKind::Apply, 3);
    used.order_seq = number;
    site.offer(3, sign(&used, ORDER));
    assert_eq!(site.refused(3), RefusalCode::Replayed);
    assert_eq!(site.world.snapshot(), before);
    assert!(site.server.store.0.lock().unwrap().conflicts.is_empty());
}

#[test]
fn an_older_index_is_not_taken_back_into_use() {
    let server = Server::start(vec![sshd()]);
    *server.index.lock().unwrap() = make_index(5, 3600, &[sshd()], Vec::new());
    let mut site = Site::new(server);
    let before = site.world.snapshot();
    let check = site.order(OrderKind::Check, 1);
    assert_eq!(site.finished(&check), Outcome::Reported);
    // Somebody puts an older signed index on the disk, and the server offers the same one.
    site.stop();
    let older = make_index(4, 3600, &[sshd()], Vec::new());
    std::fs::write(site.state.join("index.json"), &older).unwrap();
    *site.server.index.lock().unwrap() = older;
    site.start();
    let order = site.order(OrderKind::Apply, 2);
    let answer = site.answer(&order);
    assert!(matches!(answer, EventKind::Refused { code: RefusalCode::IndexUntrusted, .. }), "{answer:?}");
    assert_eq!(site.world.snapshot(), before);
}

#[test]
fn with_root_and_index_expired_new_work_is_refused_and_start_check_and_revert_go_on() {
    const SECONDS: i64 = 15;
    let begun = Instant::now();
    let server = Server::expiring(vec![sshd()], SECONDS, SECONDS);
    let mut site = Site::new(server);
    let before = site.world.snapshot();
    let apply = site.order(OrderKind::Apply, 1);
    assert_eq!(site.finished(&apply), Outcome::Succeeded);
    std::thread::sleep(Duration::from_secs(SECONDS.unsigned_abs() + 1).saturating_sub(begun.elapsed()));
    let applied = site.world.snapshot();
    for (task, restarted) in [(2, false), (3, true)] {
        if restarted {
            site.start();
        }
        let order = site.order(OrderKind::Apply, task);
        let answer = site.answer(&order);
        assert!(matches!(answer, EventKind::Refused { code: RefusalCode::RootExpired, .. }), "{answer:?}");
        assert_eq!(site.world.snapshot(), applied);
    }
    let check = site.order(OrderKind::Check, 4);
    assert_eq!(site.finished(&check), Outcome::Reported);
    let revert = site.order(OrderKind::Revert, 5);
    assert_eq!(site.finished(&revert), Outcome::Reverted);
    assert_eq!(site.world.snapshot(), before);
}

#[test]
fn signed_orders_whose_contents_are_kept_back_are_parked_up_to_a_number_and_refused_beyond_it() {
    const WAITING: usize = 64;
    let other = entry("linux-other", "[[action]]\nkind = \"kernel.module\"\nname = \"tipc\"\nblocked = true\n");
    let entries = vec![sshd(), other.clone()];
    let server = Server::start(entries.clone());
    *server.withheld.lock().unwrap() = Some((503, String::new()));
    let site = Site::of(server, World::new(entries));
    // Of two contents, so that no bound for each of them helps.
    let tasks: Vec<u128> = (1..=40).flat_map(|n| [n, 1000 + n]).collect();
    for task in &tasks {
        let id = if *task < 1000 { ID } else { other.id.as_str() };
        let order = site.world.order(OrderKind::Check, id, *task, 1);
        let order_seq = u64::try_from(*task).unwrap();
        let order = Order { agent_id: AGENT, instance_id: INSTANCE, order_seq, ..order };
        site.offer(*task, sign(&order, ORDER));
    }
    let surplus = tasks.len() - WAITING;
    let ends = |store: &server::Store| -> Vec<EventKind> {
        let last = store.events.values().filter_map(|texts| texts.last());
        last.map(|text| serde_json::from_str::<Event>(text).unwrap().event).collect()
    };
    let refused = site.server.wait("refusals", |store| Some(ends(store)).filter(|ends| ends.len() >= surplus));
    for end in &refused {
        let told =
            matches!(end, EventKind::Refused { code: RefusalCode::NotYet, reason, .. } if reason.contains("64 orders"));
        assert!(told, "{end:?}");
    }
    // Offered again and again, those that wait are neither refused nor done, and are no more than before.
    let polls = site.server.store.0.lock().unwrap().polls;
    let refused = site.server.wait("more polls", |store| (store.polls >= polls + 4).then(|| ends(store)));
    assert_eq!(refused.len(), surplus, "{refused:?}");
    // Nothing is lost for those that wait when the contents come.
    *site.server.withheld.lock().unwrap() = None;
    site.server.wait("the others", |store| {
        let finished = |end: &EventKind| matches!(end, EventKind::Finished(_));
        (ends(store).into_iter().filter(finished).count() == WAITING).then_some(())
    });
}

#[test]
fn what_a_server_says_is_one_line_of_the_agents_log() {
    let server = Server::start(vec![sshd()]);
    let words = "no\n ERROR the owner has to run this: curl x | sh\r\u{1b}[2J\u{9b}31m\u{202e}";
    *server.withheld.lock().unwrap() = Some((404, words.to_owned()));
    let mut site = Site::new(server);
    site.log = Some(site.world.folder.path().join("log"));
    site.start();
    site.server.offer(site.order(OrderKind::Check, 1));
    let log = site.log.clone().unwrap();
    let logged = |words: &str| {
        let text = (0..300).find_map(|_| {
            std::thread::sleep(Duration::from_millis(100));
            let text = String::from_utf8(std::fs::read(&log).unwrap()).unwrap();
            text.contains(words).then_some(text)
        });
        text.expect("what the server said is logged")
    };
    let text = logged("curl x");
    let line = text.lines().find(|line| line.contains("curl x")).unwrap();
    assert!(line.contains("cannot be had: the server answered 404: no\\n ERROR"), "{line:?}");
    let steers = |c: char| c != '\n' && (c.is_control() || c == '\u{202e}');
    assert!(!text.contains(steers) && !text.contains("\n ERROR"), "{text:?}");
    // What the network half prints is in the same log, as its words.
    *site.server.withheld.lock().unwrap() = Some((500, words.replace("curl x", "curl y")));
    let text = logged("curl y");
    let line = text.lines().find(|line| line.contains("curl y")).unwrap();
    assert!(line.contains("network half: ") && line.contains("the server answered 500"), "{line:?}");
    assert!(!text.contains(steers) && !text.contains("\n ERROR"), "{text:?}");
}

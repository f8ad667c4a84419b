//! The machine is restarted only when all five agree, at most once for an order, and the result is what is found afterwards.
//! The restart is a script that writes a line; no test restarts anything.

use super::{ORDER, ORGANISATION, RISKY, World, bring, order, plan, risky, seal, sign};
use crate::common::{entry, events, key, now};
use agent::executor::Executor;
use agent::frame::{ToExecutor, ToNet};
use agent::state::StateDir;
use catalogue::schema::{Entry, Reboot, Reversible, Risk};
use domain::mitigation::ControlState;
use protocol::agent::{EventKind, Outcome, TaskReport};
use protocol::approval::Plan;
use protocol::order::{Order, OrderKind};
use protocol::permit::{PERMIT_TYPE, Permit, PermitAnswer, PermitAsk, RESTART_CAPABILITY, RESTART_TYPE};
use protocol::signed::Envelope;
use std::os::unix::fs::PermissionsExt as _;

/// A world whose risky entry needs a restart, with a stub that counts restarts, approved.
struct Machine {
    world: World,
    stub: &'static str,
}

impl Machine {
    fn new(needed: bool, allowed: bool) -> Self {
        let mut entry = risky(RISKY, "v");
        if needed {
            entry.after.reboot = Reboot::Required;
        }
        let machine = Self::of(entry, allowed);
        machine.world.write("etc/x", "k = old\n");
        machine
    }

    fn of(entry: Entry, allowed: bool) -> Self {
        let world = World::new(vec![entry]);
        let path = world.folder.path().join("restart");
        std::fs::write(&path, format!("#!/bin/sh\necho once >> {}\n", world.folder.path().join("count").display()))
            .unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        let stub: &'static str = Box::leak(path.display().to_string().into_boxed_str());
        StateDir::open(&world.state()).unwrap().switch("allow-restart", allowed).unwrap();
        let machine = Machine { world, stub };
        machine.boot("one");
        machine
    }

    /// The agent starts in this boot.
    fn boot(&self, id: &str) {
        self.world.write("proc/sys/kernel/random/boot_id", &format!("{id}\n"));
        self.world.stop();
        self.world.with(|executor| executor.restart_by(self.stub));
    }

    fn order(&self, task: u128) -> Order {
        let mut plan = plan(&self.world);
        plan.rollout.restarts = Some(1);
        bring(&self.world, &seal(&plan.manifest(&plan.to_json()), &[ORGANISATION]));
        Order { restart: true, ..order(&self.world, &plan, task) }
    }

    /// Deliver; gives the report if it is over.
    fn deliver(&self, order: &Order) -> (Option<TaskReport>, bool) {
        let said = self.world.deliver(&sign(order, ORDER));
        let waits = said.iter().any(|event| matches!(event.event, EventKind::Restarting { now: false, .. }));
        (said.into_iter().find_map(|event| finished(event.event)), waits)
    }

    fn tend(&self) -> Vec<ToNet> {
        self.world.with(|executor| {
            executor.tend_restart();
            executor.take_out()
        })
    }

    fn question(&self) -> Option<PermitAsk> {
        self.tend().iter().find_map(|frame| if let ToNet::Restart(ask) = frame { Some(*ask) } else { None })
    }

    fn answer(&self, ask: PermitAsk, kind: &str, with: u8, change: impl FnOnce(&mut Permit)) {
        let enrolment = &self.world.enrolment;
        let mut permit = Permit {
            v: 1,
            agent_id: enrolment.agent_id,
            instance_id: enrolment.instance_id,
            task: ask.of.task,
            epoch: ask.of.epoch,
            nonce: ask.nonce,
            granted_at: now(),
            start_by: now().plus_seconds(60),
        };
        change(&mut permit);
        let payload = serde_json::to_vec(&permit).unwrap();
        let permit = String::from_utf8(Envelope::sign(kind, &payload, &[&key(with)]).to_json()).unwrap();
        self.world.tell(ToExecutor::Restart { of: ask.of, answer: PermitAnswer::Granted { permit } });
    }

    fn restarts(&self) -> usize {
        std::fs::read_to_string(self.world.folder.path().join("count")).unwrap_or_default().lines().count()
    }

    /// Everything the journal holds of the reports.
    fn reports(&self) -> Vec<TaskReport> {
        let frames = self.world.with(|executor| executor.undelivered());
        events(&frames).into_iter().filter_map(|event| finished(event.event)).collect()
    }
}

fn finished(event: EventKind) -> Option<TaskReport> {
    if let EventKind::Finished(report) = event { Some(*report) } else { None }
}

#[test]
fn a_restart_is_done_once_and_the_result_is_what_is_found_after_it() {
    let machine = Machine::new(true, true);
    let capable = machine.world.with(|executor| executor.facts().capabilities);
    assert!(capable.iter().any(|word| word == RESTART_CAPABILITY));
    let order = machine.order(1);
    assert_eq!(machine.deliver(&order), (None, true), "its end comes after the restart");
    let ask = machine.question().expect("it asks for its slot");
    assert_eq!((ask.of.task, ask.of.epoch, machine.restarts()), (order.task, 1, 0));
    assert!(machine.question().is_none(), "once, until it is answered");
    // The same question again after the agent was restarted, still in the same boot.
    machine.boot("one");
    let ask = machine.question().expect("it asks anew");
    machine.answer(ask, RESTART_TYPE, ORDER, |_| {});
    machine.tend();
    assert_eq!(machine.restarts(), 1);
    for _ in 0..3 {
        machine.tend();
        machine.boot("one");
        assert!(machine.question().is_none());
    }
    assert_eq!(machine.restarts(), 1, "the same boot again is no second try");
    assert!(machine.reports().is_empty());
    machine.boot("two");
    let reports = machine.reports();
    let report = reports.first().expect("now it is over");
    assert_eq!(
        (report.outcome, report.state, &report.restart_needed),
        (Outcome::Succeeded, ControlState::Effective, &None)
    );
    assert!(report.message.contains("restarted"), "{}", report.message);
    machine.boot("three");
    assert_eq!((machine.reports().len(), machine.restarts()), (1, 1));
    // What the journal says of it survives being compacted.
    machine.world.with(Executor::compact);
    machine.boot("four");
    assert_eq!((machine.reports().len(), machine.restarts()), (1, 1));
}

#[test]
fn what_the_check_does_not_find_after_the_restart_has_not_succeeded() {
    let machine = Machine::new(true, true);
    machine.deliver(&machine.order(1));
    let ask = machine.question().unwrap();
    machine.answer(ask, RESTART_TYPE, ORDER, |_| {});
    machine.tend();
    machine.world.write("etc/x", "k = old\n");
    machine.boot("two");
    let reports = machine.reports();
    assert_eq!((reports[0].outcome, reports[0].left_changed), (Outcome::VerifyFailed, true), "{reports:?}");
}

#[test]
fn nothing_restarts_the_machine_unless_everybody_agrees() {
    // The owner, the order, the entry: without one of them it is done as before, and waits for somebody to restart it.
    for (what, needed, allowed, asked) in [
        ("the owner does not allow it", true, false, true),
        ("the order does not ask for it", true, true, false),
        ("the entry does not need it", false, true, true),
    ] {
        let machine = Machine::new(needed, allowed);
        let order = Order { restart: asked, ..machine.order(1) };
        let (report, waits) = machine.deliver(&order);
        let report = report.expect(what);
        assert_eq!((report.outcome, waits), (Outcome::Succeeded, false), "{what}");
        let state = if needed { ControlState::Configured } else { ControlState::Effective };
        assert_eq!(report.state, state, "{what}");
        assert!(machine.question().is_none() && machine.restarts() == 0, "{what}");
    }
    // The permit: none that is not just the one that was asked for.
    let machine = Machine::new(true, true);
    machine.deliver(&machine.order(1));
    for (what, kind, with) in
        [("a permit to start", PERMIT_TYPE, ORDER), ("signed by an approver", RESTART_TYPE, ORGANISATION)]
    {
        machine.boot("one");
        let ask = machine.question().expect(what);
        machine.answer(ask, kind, with, |_| {});
        machine.tend();
        assert_eq!(machine.restarts(), 0, "{what}");
    }
    type Change = fn(&mut Permit);
    let changes: [(&str, Change); 4] = [
        ("another agent", |permit| permit.agent_id = uuid::Uuid::nil()),
        ("another epoch", |permit| permit.epoch = 2),
        ("another question", |permit| permit.nonce = uuid::Uuid::nil()),
        ("too late", |permit| permit.start_by = now().plus_seconds(-1)),
    ];
    for (what, change) in changes {
        machine.boot("one");
        let ask = machine.question().expect(what);
        machine.answer(ask, RESTART_TYPE, ORDER, change);
        machine.tend();
        assert_eq!(machine.restarts(), 0, "{what}");
    }
    // The journal and the switches, at the last moment.
    machine.boot("one");
    StateDir::open(&machine.world.state()).unwrap().switch("allow-restart", false).unwrap();
    assert!(machine.question().is_none());
    let reports = machine.reports();
    assert_eq!((reports[0].outcome, reports[0].state), (Outcome::Succeeded, ControlState::Configured));
    assert!(reports[0].message.contains("does not allow restarts"), "{reports:?}");
    assert_eq!(machine.restarts(), 0);
}

#[test]
fn a_denied_restart_leaves_the_change_waiting_for_one() {
    let machine = Machine::new(true, true);
    machine.deliver(&machine.order(1));
    let ask = machine.question().unwrap();
    let answer = PermitAnswer::Denied { reason: "everything is halted".to_owned() };
    machine.world.tell(ToExecutor::Restart { of: ask.of, answer });
    let reports = machine.reports();
    assert_eq!((reports[0].outcome, reports[0].state), (Outcome::Succeeded, ControlState::Configured));
    assert!(reports[0].message.ends_with("not restarted: everything is halted"), "{reports:?}");
    assert!(machine.question().is_none() && machine.restarts() == 0);
}

/// A machine on which an approved order has set what only a restart undoes: the kernel takes the old value no more.
fn stuck() -> Machine {
    let actions = "[[action]]\nkind = \"kernel.sysctl\"\nkey = \"net.ipv4.tcp_sack\"\nop = \"eq\"\nvalue = 0\n";
    let mut entry = entry(RISKY, actions);
    (entry.human.risk, entry.after.reversible) = (Risk::High, Reversible::AtReboot);
    let machine = Machine::of(entry, true);
    let world = &machine.world;
    world.write("proc/sys/net/ipv4/tcp_sack", "1\n");
    world.write("proc/sys/kernel/osrelease", "6.1.0\n");
    let order = Order { restart: false, ..machine.order(1) };
    assert_eq!(world.run(&order).outcome, Outcome::Succeeded);
    // A file with two names is not written.
    let place = world.host().join("proc/sys/net/ipv4/tcp_sack");
    std::fs::hard_link(&place, world.host().join("proc/sys/net/ipv4/second")).unwrap();
    machine
}

/// The order of another job to take it back and restart the machine, by the approval of this plan.
fn back(machine: &Machine, plan: &Plan) -> Order {
    let approval = order(&machine.world, plan, 2).approval;
    let revert = machine.world.order(OrderKind::Revert, RISKY, 2, 1);
    Order { job: "MJ0000009".to_owned(), restart: true, approval, ..revert }
}

#[test]
fn a_rollback_restarts_the_machine_by_the_approval_of_what_it_takes_back() {
    let machine = stuck();
    let mut plan = plan(&machine.world);
    plan.rollout.restarts = Some(1);
    bring(&machine.world, &seal(&plan.manifest(&plan.to_json()), &[ORGANISATION]));
    let order = back(&machine, &plan);
    assert_eq!(machine.deliver(&order), (None, true));
    let ask = machine.question().expect("it asks for its slot");
    assert_eq!((ask.of.task, machine.restarts()), (order.task, 0));
    machine.answer(ask, RESTART_TYPE, ORDER, |_| {});
    machine.tend();
    assert_eq!(machine.restarts(), 1);
    machine.boot("two");
    let report = machine.reports().into_iter().find(|report| report.outcome == Outcome::Reverted).unwrap();
    assert!(report.message.contains("restarted"), "{}", report.message);
}

#[test]
fn a_rollback_restarts_nothing_that_no_approval_lets_it_and_is_done_all_the_same() {
    type Case = (&'static str, &'static [u8], fn(&mut Plan), fn(&mut Order));
    const PAST: i64 = -10;
    let cases: [Case; 7] = [
        ("no approval", &[ORGANISATION], |_| {}, |order| order.approval = None),
        ("restarts no host", &[ORGANISATION], |plan| plan.rollout.restarts = None, |_| {}),
        ("it is", &[ORGANISATION], |plan| plan.valid_until = now().plus_seconds(PAST), |_| {}),
        (
            "it is",
            &[ORGANISATION],
            |plan| plan.assets.iter_mut().for_each(|asset| asset.start_by = Some(now().plus_seconds(PAST))),
            |_| {},
        ),
        // By the server's own key, and never sent at all.
        ("", &[ORDER], |_| {}, |_| {}),
        ("", &[], |_| {}, |_| {}),
        ("to take back run 9", &[ORGANISATION], |_| {}, |order| order.approval.as_mut().unwrap().run = 9),
    ];
    for (number, (says, with, signed, ordered)) in cases.into_iter().enumerate() {
        let machine = stuck();
        // What came with the apply is not kept over a start.
        machine.boot("one");
        let mut plan = plan(&machine.world);
        plan.rollout.restarts = Some(1);
        signed(&mut plan);
        let mut order = back(&machine, &plan);
        ordered(&mut order);
        if !with.is_empty() {
            bring(&machine.world, &seal(&plan.manifest(&plan.to_json()), with));
        }
        let (report, waits) = machine.deliver(&order);
        let report = report.unwrap_or_else(|| panic!("{number}: it is over"));
        assert_eq!((report.outcome, waits), (Outcome::Reverted, false), "{number}");
        assert_eq!(report.restart_needed.as_deref(), Some("reboot"), "{number}: its owner has to");
        let told = report.message.contains("not restarted") && report.message.contains(says);
        assert!(told, "{number}: {}", report.message);
        assert!(machine.question().is_none() && machine.restarts() == 0, "{number}");
    }
}

#[test]
fn a_rollback_that_waits_for_its_restart_has_none_once_its_approval_is_gone() {
    let machine = stuck();
    let mut plan = plan(&machine.world);
    plan.rollout.restarts = Some(1);
    bring(&machine.world, &seal(&plan.manifest(&plan.to_json()), &[ORGANISATION]));
    assert_eq!(machine.deliver(&back(&machine, &plan)), (None, true));
    // The agent was started again meanwhile, and nobody brings it.
    machine.boot("one");
    assert!(machine.question().is_none());
    let report = machine.reports().into_iter().find(|report| report.outcome == Outcome::Reverted).unwrap();
    assert!(report.message.contains("not restarted"), "{}", report.message);
    assert_eq!(machine.restarts(), 0);
}

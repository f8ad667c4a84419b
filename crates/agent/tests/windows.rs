//! The kinds of Windows on a registry and services in memory, through the whole executor: order, journal, revert.

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
use agent::record::{RegistryPlace, ServiceLook};
use agent::state::StateDir;
use agent::windows::{Memory, Windows};
use catalogue::actions::registry::View;
use catalogue::actions::{Action, RegistryData, ServiceStart, WindowsSwitch};
use catalogue::applies::Probe;
use catalogue::schema::{Entry, EntryPlatform};
use catalogue::version::VersionScheme;
use common::World;
use domain::mitigation::ControlState;
use protocol::agent::{Outcome, TaskReport};
use protocol::order::OrderKind;
use std::sync::Arc;

/// A machine with an agent; runs orders.
struct Machine {
    world: World,
    memory: Arc<Memory>,
    executor: Executor,
    task: u128,
}

impl Machine {
    fn new(entries: Vec<Entry>, version: &str) -> Self {
        let world = World::new(entries);
        let memory = Arc::new(Memory::new(version));
        let host = Host::of_windows(Tree::open(&world.host()).unwrap(), Box::new(Arc::clone(&memory)));
        let state = StateDir::open(&world.state()).unwrap();
        let mut executor = Executor::open(state, host, false).unwrap();
        executor.handle(ToExecutor::Time { server: common::now() });
        executor.handle(ToExecutor::Index { envelope: world.index.clone() });
        Self { world, memory, executor, task: 0 }
    }

    fn run(&mut self, kind: OrderKind, id: &str) -> TaskReport {
        self.task += 1;
        let order = self.world.order(kind, id, self.task, 1);
        self.executor.handle(ToExecutor::Order { envelope: common::sign(&order, common::ORDER) });
        let text = String::from_utf8(self.world.entries[id].to_json()).unwrap();
        self.executor.handle(ToExecutor::Content { digest: order.content_digest, text });
        while self.executor.step() {}
        let mut out = self.executor.take_out();
        // A firewall rule counts once the server was heard through it.
        let asked = out.iter().find_map(|frame| if let ToNet::Prove { n } = frame { Some(*n) } else { None });
        if let Some(n) = asked {
            self.executor.handle(ToExecutor::Proven { n });
            out.extend(self.executor.take_out());
        }
        common::report(&common::events(&out))
    }

    fn key(&self, at: &RegistryPlace) {
        let mut key = String::new();
        for part in at.key.split('\\') {
            key = if key.is_empty() { part.to_owned() } else { format!("{key}\\{part}") };
            self.memory.make_key(&RegistryPlace { view: at.view, key: key.clone() }).unwrap();
        }
    }

    /// Make what an action finds wrong.
    fn expose(&self, action: &Action) {
        let place = |key: &str, view: View| RegistryPlace { view, key: key.to_owned() };
        match action {
            Action::RegistryValue(value) => {
                // Every second key exists with another value.
                if value.name.as_str().len().is_multiple_of(2) {
                    let at = place(value.key.as_str(), value.view);
                    self.key(&at);
                    self.memory.set_value(&at, value.name.as_str(), Some(&RegistryData::Sz("other".into()))).unwrap();
                }
            }
            Action::RegistryValueAbsent(value) => {
                let at = place(value.key.as_str(), value.view);
                self.key(&at);
                self.memory.set_value(&at, value.name.as_str(), Some(&RegistryData::Dword(1))).unwrap();
            }
            Action::RegistryKeyAbsent(key) => {
                let at = place(key.key.as_str(), key.view);
                self.key(&place(&format!("{}\\shell\\open\\command", at.key), at.view));
                self.memory.set_value(&at, "URL Protocol", Some(&RegistryData::Sz(String::new()))).unwrap();
            }
            Action::ServiceState(service) => {
                let look = ServiceLook { running: true, start: ServiceStart::Auto };
                self.memory.set_service(service.name.as_str(), look).unwrap();
            }
            Action::WindowsSetting(switch) => {
                // One interface has it already.
                let places: &[&str] = if switch.setting.is_of_interfaces() { &["1", "7", "12"] } else { &[""] };
                for (at, n) in places.iter().zip(0..) {
                    let value = if n == 1 { switch.value.as_str() } else { "as installed" };
                    self.memory.set_switch(switch.setting, at, value).unwrap();
                }
            }
            Action::FirewallRule(_) => {}
            other => panic!("{} is not of Windows", other.kind()),
        }
    }
}

fn windows_entries() -> Vec<Entry> {
    let entries = catalogue::embedded::entries().unwrap();
    entries.iter().filter(|entry| entry.platform == EntryPlatform::Windows).map(common::without_approval).collect()
}

/// A version that an entry applies to.
fn version(entry: &Entry) -> String {
    let versions = ["6.3.9600", "10.0.17763.1", "10.0.18362.1", "10.0.18363.1", "10.0.20348.1", "10.0.22621.1"];
    let fits = |version: &&&str| {
        let ranges = || entry.applies.os.iter().filter_map(|os| os.version.as_ref());
        ranges().next().is_none() || ranges().any(|range| range.contains(VersionScheme::Dotted, version))
    };
    (*versions.iter().find(fits).unwrap_or_else(|| panic!("no version for {}", entry.id))).to_owned()
}

#[test]
fn every_windows_entry_is_exposed_applied_effective_unchanged_and_reverted() {
    let entries = windows_entries();
    assert!(entries.len() >= 28, "{} entries", entries.len());
    for entry in entries {
        let id = entry.id.to_string();
        let mut machine = Machine::new(vec![entry.clone()], &version(&entry));
        for probe in &entry.applies.probe {
            match probe {
                Probe::ServiceExists(probe) => {
                    let look = ServiceLook { running: true, start: ServiceStart::Auto };
                    machine.memory.set_service(probe.name.as_str(), look).unwrap();
                }
                other => panic!("{id}: {other:?}"),
            }
        }
        entry.actions.iter().for_each(|action| machine.expose(action));
        let before = machine.memory.contents();
        assert_eq!(machine.run(OrderKind::Check, &id).state, ControlState::Exposed, "{id}");
        let applied = machine.run(OrderKind::Apply, &id);
        assert_eq!(applied.outcome, Outcome::Succeeded, "{id}: {applied:#?}");
        assert!(matches!(applied.state, ControlState::Effective | ControlState::Configured), "{id}: {applied:#?}");
        let after = machine.memory.contents();
        assert_ne!(after, before, "{id}");
        let checked = machine.run(OrderKind::Check, &id);
        assert_eq!(checked.state, applied.state, "{id}: {checked:#?}");
        assert_eq!(machine.run(OrderKind::Apply, &id).outcome, Outcome::Unchanged, "{id}");
        assert_eq!(machine.memory.contents(), after, "{id}: applied again, nothing changes");
        let reverted = machine.run(OrderKind::Revert, &id);
        assert_eq!(
            (reverted.outcome, reverted.state),
            (Outcome::Reverted, ControlState::Exposed),
            "{id}: {reverted:#?}"
        );
        assert_eq!(machine.memory.contents(), before, "{id}");
    }
}

#[test]
fn what_somebody_changed_is_left() {
    let entry = windows_entries().into_iter().find(|entry| entry.id.as_str() == "win-dns-sigred-tcp-size").unwrap();
    let (id, Action::RegistryValue(value)) = (entry.id.to_string(), entry.actions[0].clone()) else { panic!() };
    let mut machine = Machine::new(vec![entry], "10.0.17763.1");
    let look = ServiceLook { running: true, start: ServiceStart::Auto };
    machine.memory.set_service("DNS", look).unwrap();
    assert_eq!(machine.run(OrderKind::Apply, &id).outcome, Outcome::Succeeded);
    let at = RegistryPlace { view: value.view, key: value.key.to_string() };
    machine.memory.set_value(&at, value.name.as_str(), Some(&RegistryData::Dword(7))).unwrap();
    let before = machine.memory.contents();
    assert_eq!(machine.run(OrderKind::Check, &id).state, ControlState::Drifted);
    assert_eq!(machine.run(OrderKind::Revert, &id).outcome, Outcome::DriftedSinceApply);
    assert_eq!(machine.memory.contents(), before);
}

#[test]
fn a_switch_and_a_rule_that_somebody_changed_are_left() {
    let entries = windows_entries();
    for id in ["win-icmpv6-rdnss-off", "win-wsus-ports-blocked"] {
        let entry = entries.iter().find(|entry| entry.id.as_str() == id).unwrap().clone();
        let mut machine = Machine::new(vec![entry.clone()], &version(&entry));
        machine.memory.set_service("WsusService", ServiceLook { running: true, start: ServiceStart::Auto }).unwrap();
        entry.actions.iter().for_each(|action| machine.expose(action));
        assert_eq!(machine.run(OrderKind::Apply, id).outcome, Outcome::Succeeded, "{id}");
        machine.memory.set_switch(WindowsSwitch::Ipv6RouterDns, "12", "somebody's").unwrap();
        machine.memory.set_rule("wsus-in", Some("somebody's")).unwrap();
        let before = machine.memory.contents();
        assert_eq!(machine.run(OrderKind::Check, id).state, ControlState::Drifted, "{id}");
        assert_eq!(machine.run(OrderKind::Revert, id).outcome, Outcome::DriftedSinceApply, "{id}");
        assert_eq!(machine.memory.contents(), before, "{id}");
    }
}

#[test]
fn an_interface_that_is_gone_stands_in_nobodys_way() {
    let entry = windows_entries().into_iter().find(|entry| entry.id.as_str() == "win-icmpv6-rdnss-off").unwrap();
    let id = entry.id.to_string();
    let mut machine = Machine::new(vec![entry.clone()], &version(&entry));
    entry.actions.iter().for_each(|action| machine.expose(action));
    assert_eq!(machine.run(OrderKind::Apply, &id).outcome, Outcome::Succeeded);
    machine.memory.unplug("12");
    let reverted = machine.run(OrderKind::Revert, &id);
    assert_eq!(reverted.outcome, Outcome::Reverted, "{reverted:#?}");
}

#[test]
fn elsewhere_they_are_not_applicable() {
    let entries = windows_entries();
    let ids: Vec<String> = entries.iter().map(|entry| entry.id.to_string()).collect();
    let world = World::new(entries);
    let before = world.snapshot();
    for (id, task) in ids.iter().zip(100..) {
        assert_eq!(world.apply(id, task).outcome, Outcome::NotApplicable, "{id}");
    }
    assert_eq!(world.snapshot(), before);
    let facts = Host::new(Tree::open(&world.host()).unwrap()).facts("normal");
    assert!(
        !facts.capabilities.iter().any(|kind| kind.starts_with("registry.") || kind.starts_with("windows.")),
        "{:?}",
        facts.capabilities
    );
}

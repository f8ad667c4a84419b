//! The kinds of Windows on a registry, services, access lists and an IIS in memory, through the whole executor: order, journal, revert.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::print_stderr,
    clippy::allow_attributes,
    reason = "a test that fails says so by panicking"
)]

mod common;

use agent::executor::Executor;
use agent::frame::ToExecutor;
use agent::fs::Tree;
use agent::host::Host;
use agent::record::{FileAccess, IisModule, RegistryPlace, RewriteRule, ServiceLook};
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
        // A firewall rule counts once the server was heard through it.
        let out = common::carry_out(&mut self.executor, &order, &self.world.entries[id], true);
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
            Action::FileAcl(file) => self.memory.put_file(file.path.as_str(), &installed()),
            Action::IisRewriteRule(rule) => {
                self.iis(&["UriCacheModule", REWRITE], &[(rule.site.as_str(), &[redirect()])]);
            }
            Action::IisGlobalModule(module) => {
                self.iis(&["UriCacheModule", module.name.as_str(), "HttpCacheModule"], &[]);
            }
            other => panic!("{} is not of Windows", other.kind()),
        }
    }
}

const REWRITE: &str = "RewriteModule";
/// Who owns a library of Windows, and who may use it.
const INSTALLED: &str = "D:PAI(A;;FA;;;S-1-5-80-956008885)(A;;0x1200a9;;;BA)(A;;0x1200a9;;;SY)(A;;0x1200a9;;;BU)";
const DENIED: &str =
    "D:PAI(D;;FA;;;WD)(A;;FA;;;S-1-5-80-956008885)(A;;0x1200a9;;;BA)(A;;0x1200a9;;;SY)(A;;0x1200a9;;;BU)";

fn installed() -> FileAccess {
    FileAccess { owner: "S-1-5-80-956008885".to_owned(), list: INSTALLED.to_owned() }
}

/// A rule of somebody else that nothing of ours has to do with: it sends people to another address.
fn redirect() -> RewriteRule {
    RewriteRule {
        name: "to the front".to_owned(),
        enabled: true,
        stops: true,
        path: "^$".to_owned(),
        conditions: Vec::new(),
        action: "Redirect".to_owned(),
        more: false,
        behind: String::new(),
    }
}

impl Machine {
    /// IIS is there, with these modules, and these sites with their rules.
    fn iis(&self, modules: &[&str], sites: &[(&str, &[RewriteRule])]) {
        let module = |name: &&str| IisModule {
            name: (*name).to_owned(),
            image: format!("%windir%\\System32\\inetsrv\\{}.dll", name.to_lowercase()),
            condition: "bitness64".to_owned(),
            behind: String::new(),
        };
        let sites = sites.iter().map(|(site, rules)| ((*site).to_owned(), rules.to_vec()));
        self.memory.put_iis(modules.iter().map(module).collect(), sites.collect());
    }

    /// A machine with one entry that comes with the program, as the entry finds it wrong.
    fn exposed(id: &str) -> Self {
        let entry = windows_entries().into_iter().find(|entry| entry.id.as_str() == id).unwrap();
        let machine = Self::new(vec![entry.clone()], &version(&entry));
        entry.actions.iter().for_each(|action| machine.expose(action));
        machine
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
    assert!(entries.len() >= 31, "{} entries", entries.len());
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
        !facts.capabilities.iter().any(|kind| {
            ["registry.", "windows.", "iis.", "file.acl"].iter().any(|of_windows| kind.starts_with(of_windows))
        }),
        "{:?}",
        facts.capabilities
    );
    let windows = Host::of_windows(Tree::open(&world.host()).unwrap(), Box::new(Memory::new("10.0.20348.1")));
    let offered = windows.facts("normal").capabilities;
    for entry in world.entries.values() {
        let missing: Vec<String> =
            entry.capabilities().into_iter().filter(|capability| !offered.contains(capability)).collect();
        assert_eq!(missing, Vec::<String>::new(), "{}", entry.id);
    }
}

const JSCRIPT: &str = "win-jscript-dll-denied";
const SYSTEM32: &str = "%windir%\\system32\\jscript.dll";

#[test]
fn a_denied_library_gets_owner_and_access_list_back_and_a_missing_one_is_not_missed() {
    let mut machine = Machine::exposed(JSCRIPT);
    assert_eq!(machine.run(OrderKind::Apply, JSCRIPT).outcome, Outcome::Succeeded);
    let denied = machine.memory.file_access(SYSTEM32).unwrap().unwrap();
    assert_eq!((denied.owner.as_str(), denied.list.as_str()), ("S-1-5-32-544", DENIED));
    assert_eq!(machine.run(OrderKind::Revert, JSCRIPT).outcome, Outcome::Reverted);
    assert_eq!(machine.memory.file_access(SYSTEM32).unwrap(), Some(installed()));

    // A system of 32 bits has the one file only; one without either has nothing to deny.
    let entry = windows_entries().into_iter().find(|entry| entry.id.as_str() == JSCRIPT).unwrap();
    let mut machine = Machine::new(vec![entry], "10.0.17763.1");
    assert_eq!(machine.run(OrderKind::Apply, JSCRIPT).outcome, Outcome::NotApplicable);
    machine.memory.put_file(SYSTEM32, &installed());
    let applied = machine.run(OrderKind::Apply, JSCRIPT);
    assert_eq!((applied.outcome, applied.state), (Outcome::Succeeded, ControlState::Effective), "{applied:#?}");
    // An update that put the file anew takes our entry with it.
    machine.memory.put_file(SYSTEM32, &installed());
    assert_eq!(machine.run(OrderKind::Check, JSCRIPT).state, ControlState::Drifted);
    let reverted = machine.run(OrderKind::Revert, JSCRIPT);
    assert_eq!(reverted.outcome, Outcome::Reverted, "it is as it was: {reverted:#?}");
    assert_eq!(machine.memory.file_access(SYSTEM32).unwrap(), Some(installed()));
}

#[test]
fn an_access_list_that_somebody_changed_or_nobody_can_read_is_left() {
    let mut machine = Machine::exposed(JSCRIPT);
    assert_eq!(machine.run(OrderKind::Apply, JSCRIPT).outcome, Outcome::Succeeded);
    // Still denied, but another list or another owner than ours: the way back is nobody's but a person's.
    for (owner, list) in [("S-1-5-32-544", format!("{DENIED}(A;;FR;;;WD)")), ("S-1-5-18", DENIED.to_owned())] {
        machine.memory.put_file(SYSTEM32, &FileAccess { owner: owner.to_owned(), list });
        let before = machine.memory.contents();
        assert_eq!(machine.run(OrderKind::Check, JSCRIPT).state, ControlState::Effective);
        assert_eq!(machine.run(OrderKind::Revert, JSCRIPT).outcome, Outcome::DriftedSinceApply);
        assert_eq!(machine.memory.contents(), before);
    }
    for list in ["", "D:NO_ACCESS_CONTROL", "D:(A;;FA;;;BA", "O:BAG:SYD:(A;;FA;;;BA)", "D:(A;;FA;;;BA)S:(AU;;FA;;;WD)"]
    {
        let mut machine = Machine::exposed(JSCRIPT);
        machine.memory.put_file(SYSTEM32, &FileAccess { list: list.to_owned(), ..installed() });
        let before = machine.memory.contents();
        let applied = machine.run(OrderKind::Apply, JSCRIPT);
        assert_eq!(applied.outcome, Outcome::Failed, "{list}: {applied:#?}");
        assert!(applied.message.contains("look at it by hand"), "{list}: {}", applied.message);
        assert_eq!(machine.memory.contents(), before, "{list}");
    }
}

const REWRITTEN: &str = "exchange-proxynotshell-rewrite";
const SITE: &str = "Default Web Site";

/// A rule by another hand that does the same, as Microsoft's tool makes it.
fn by_the_tool() -> RewriteRule {
    RewriteRule {
        name: "PowerShell - inbound".to_owned(),
        path: ".*".to_owned(),
        conditions: vec![("{UrlDecode:{REQUEST_URI}}".to_owned(), "(?=.*autodiscover)(?=.*powershell)".to_owned())],
        action: "AbortRequest".to_owned(),
        ..redirect()
    }
}

#[test]
fn the_rule_stands_first_and_one_that_does_the_same_is_enough() {
    let mut machine = Machine::exposed(REWRITTEN);
    assert_eq!(machine.run(OrderKind::Apply, REWRITTEN).outcome, Outcome::Succeeded);
    let rules = machine.memory.rewrite_rules(SITE).unwrap().unwrap();
    let ours = RewriteRule { name: "quell-proxynotshell".to_owned(), ..by_the_tool() };
    assert_eq!(rules[0], ours);
    assert_eq!((rules[1].name.as_str(), rules[1].behind.as_str()), ("to the front", "quell-proxynotshell"));

    let otherwise = |change: &dyn Fn(&mut RewriteRule)| {
        let mut rule = by_the_tool();
        change(&mut rule);
        rule
    };
    let past = RewriteRule { action: "Rewrite".to_owned(), ..redirect() };
    let through = RewriteRule { more: true, ..redirect() };
    let off = RewriteRule { enabled: false, ..past.clone() };
    for (rules, state) in [
        (vec![], ControlState::Exposed),
        (vec![by_the_tool()], ControlState::Effective),
        (vec![redirect(), by_the_tool()], ControlState::Effective),
        (vec![off, by_the_tool()], ControlState::Effective),
        (vec![otherwise(&|rule| rule.action = "CustomResponse".to_owned())], ControlState::Effective),
        // What comes before it may let the request past it.
        (vec![past, by_the_tool()], ControlState::Exposed),
        (vec![through, by_the_tool()], ControlState::Exposed),
        // What is off, goes on, answers, negates or asks for something else does not end the request.
        (vec![otherwise(&|rule| rule.enabled = false)], ControlState::Exposed),
        (vec![otherwise(&|rule| rule.stops = false)], ControlState::Exposed),
        (vec![otherwise(&|rule| rule.action = "None".to_owned())], ControlState::Exposed),
        (vec![otherwise(&|rule| rule.more = true)], ControlState::Exposed),
        (vec![otherwise(&|rule| rule.path = "^owa".to_owned())], ControlState::Exposed),
        (vec![otherwise(&|rule| rule.conditions[0].0 = "{REQUEST_URI}".to_owned())], ControlState::Exposed),
        (
            vec![otherwise(&|rule| rule.conditions[0].1 = ".*autodiscover.*powershell.*".to_owned())],
            ControlState::Exposed,
        ),
        (
            vec![otherwise(&|rule| rule.conditions.push(("{HTTP_HOST}".to_owned(), "x".to_owned())))],
            ControlState::Exposed,
        ),
    ] {
        let mut machine = Machine::exposed(REWRITTEN);
        machine.iis(&[REWRITE], &[(SITE, &rules)]);
        let before = machine.memory.contents();
        assert_eq!(machine.run(OrderKind::Check, REWRITTEN).state, state, "{rules:#?}");
        assert_eq!(machine.memory.contents(), before);
        if state == ControlState::Effective {
            assert_eq!(machine.run(OrderKind::Apply, REWRITTEN).outcome, Outcome::Unchanged, "{rules:#?}");
            assert_eq!(machine.run(OrderKind::Revert, REWRITTEN).outcome, Outcome::NotOurs, "{rules:#?}");
        } else {
            assert_eq!(machine.run(OrderKind::Apply, REWRITTEN).state, ControlState::Effective, "{rules:#?}");
            assert_eq!(machine.run(OrderKind::Revert, REWRITTEN).outcome, Outcome::Reverted, "{rules:#?}");
        }
        assert_eq!(machine.memory.contents(), before, "{rules:#?}");
    }
}

#[test]
fn without_url_rewrite_nothing_is_written_and_without_the_site_nothing_is_wrong() {
    let mut machine = Machine::exposed(REWRITTEN);
    machine.iis(&["UriCacheModule"], &[(SITE, &[by_the_tool()])]);
    let before = machine.memory.contents();
    assert_eq!(
        machine.run(OrderKind::Check, REWRITTEN).state,
        ControlState::Exposed,
        "words in a file, nobody asks them"
    );
    let applied = machine.run(OrderKind::Apply, REWRITTEN);
    assert_eq!(applied.outcome, Outcome::Failed, "{applied:#?}");
    assert!(applied.message.contains("URL Rewrite is not installed"), "{}", applied.message);
    assert_eq!(machine.memory.contents(), before);
    machine.iis(&[REWRITE], &[("another site", &[])]);
    assert_eq!(machine.run(OrderKind::Apply, REWRITTEN).outcome, Outcome::NotApplicable);
}

#[test]
fn a_rule_or_module_that_somebody_changed_is_left() {
    let mut machine = Machine::exposed(REWRITTEN);
    assert_eq!(machine.run(OrderKind::Apply, REWRITTEN).outcome, Outcome::Succeeded);
    let changed = RewriteRule { name: "quell-proxynotshell".to_owned(), enabled: false, ..by_the_tool() };
    machine.memory.set_rewrite_rule(SITE, "quell-proxynotshell", Some(&changed)).unwrap();
    let before = machine.memory.contents();
    assert_eq!(machine.run(OrderKind::Check, REWRITTEN).state, ControlState::Drifted);
    assert_eq!(machine.run(OrderKind::Revert, REWRITTEN).outcome, Outcome::DriftedSinceApply);
    assert_eq!(machine.memory.contents(), before);
    // Moved only, it is ours still.
    let moved = RewriteRule { enabled: true, behind: "to the front".to_owned(), ..changed };
    machine.memory.set_rewrite_rule(SITE, "quell-proxynotshell", Some(&moved)).unwrap();
    assert_eq!(machine.run(OrderKind::Revert, REWRITTEN).outcome, Outcome::Reverted);
    let left: Vec<String> =
        machine.memory.rewrite_rules(SITE).unwrap().unwrap().into_iter().map(|rule| rule.name).collect();
    assert_eq!(left, ["to the front"]);

    let id = "exchange-token-cache-module-removed";
    let mut machine = Machine::exposed(id);
    assert_eq!(machine.run(OrderKind::Apply, id).outcome, Outcome::Succeeded);
    let other = IisModule {
        name: "TokenCacheModule".to_owned(),
        image: "c:\\other.dll".to_owned(),
        condition: String::new(),
        behind: String::new(),
    };
    machine.memory.set_iis_module("TokenCacheModule", Some(&other)).unwrap();
    let before = machine.memory.contents();
    assert_eq!(machine.run(OrderKind::Check, id).state, ControlState::Drifted);
    assert_eq!(machine.run(OrderKind::Revert, id).outcome, Outcome::DriftedSinceApply);
    assert_eq!(machine.memory.contents(), before);
}

#[test]
fn a_module_comes_back_to_its_place_and_to_the_end_where_that_is_gone() {
    let id = "exchange-token-cache-module-removed";
    for (others, order) in [
        (vec!["UriCacheModule", "HttpCacheModule"], vec!["UriCacheModule", "TokenCacheModule", "HttpCacheModule"]),
        (vec!["HttpCacheModule"], vec!["HttpCacheModule", "TokenCacheModule"]),
    ] {
        let mut machine = Machine::exposed(id);
        let before = machine.memory.iis_modules().unwrap().unwrap();
        assert_eq!(machine.run(OrderKind::Apply, id).outcome, Outcome::Succeeded);
        assert!(machine.memory.iis_modules().unwrap().unwrap().iter().all(|module| module.name != "TokenCacheModule"));
        machine.iis(&others, &[]);
        assert_eq!(machine.run(OrderKind::Revert, id).outcome, Outcome::Reverted);
        let after = machine.memory.iis_modules().unwrap().unwrap();
        assert_eq!(after.iter().map(|module| module.name.as_str()).collect::<Vec<_>>(), order);
        let cache = |of: &[IisModule]| {
            of.iter()
                .find(|module| module.name == "TokenCacheModule")
                .map(|module| (module.image.clone(), module.condition.clone()))
        };
        assert_eq!(cache(&after), cache(&before), "the file and condition it had");
    }
}

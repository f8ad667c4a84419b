//! What changes while the simulator runs: records of scanned hosts, the true state, scans, and the clock that moves them.

use crate::clock::Clock;
use crate::detections::{Finding, Record, Source};
use crate::hosts::{Fleet, Host};
use crate::judge;
use crate::knowledge::Knowledge;
use crate::options::Options;
use crate::scans::{Effect, HostResult, Outcome, Pace, Scan, State};
use crate::subscription::{APPLIANCES, PROFILES};
use crate::weakness;
use jiff::{SignedDuration, Timestamp};
use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};

/// The simulated subscription.
#[derive(Debug)]
pub struct World {
    /// How it was started.
    pub options: Options,
    /// Its clock.
    pub clock: Clock,
    /// What the data set is made from.
    pub source: Source,
    changing: Mutex<Changing>,
}

#[derive(Debug, Default)]
struct Changing {
    records: HashMap<u32, Record>,
    truth: BTreeMap<(u32, u32), bool>,
    roots: BTreeMap<u32, PathBuf>,
    dead: BTreeSet<u32>,
    scans: Vec<Scan>,
    outcomes: VecDeque<Outcome>,
    hidden: VecDeque<SignedDuration>,
    purged: BTreeSet<u32>,
    dropped: BTreeSet<u32>,
    disabled: BTreeSet<u32>,
    criticality: BTreeMap<u32, u8>,
    launched: u64,
}

/// Puts a value into a set or takes it out.
fn put(set: &mut BTreeSet<u32>, value: u32, is_in: bool) {
    if is_in {
        set.insert(value);
    } else {
        set.remove(&value);
    }
}

/// What a launch asks for, already checked.
#[derive(Debug, Clone)]
pub struct Launch {
    /// Title.
    pub title: String,
    /// User.
    pub user: String,
    /// Profile id.
    pub profile: u32,
    /// Appliances; empty means external.
    pub appliances: Vec<u32>,
    /// Network.
    pub network: u32,
    /// Indices of the targets.
    pub targets: Vec<u32>,
    /// Target text.
    pub target_text: String,
    /// Group titles.
    pub groups: Vec<String>,
    /// Priority.
    pub priority: u8,
}

impl World {
    /// A subscription as the options say; the data set is dated back from the clock's present.
    pub fn new(options: Options) -> Self {
        let clock = Clock::new(options.clock);
        let origin = clock.now();
        let ordinary = options.detections_per_host.max(options.detections_per_demo_host).saturating_mul(3).max(120);
        let fleet = Fleet::new(options.seed, options.hosts, options.demo_hosts);
        let fleet = if options.switches.networks { fleet } else { fleet.without_networks() };
        let source = Source {
            seed: options.seed,
            origin,
            per_host: options.detections_per_host,
            per_demo_host: options.detections_per_demo_host,
            fleet,
            knowledge: Knowledge::new(options.seed, ordinary, ordinary.max(60), origin),
        };
        let world = Self { options, clock, source, changing: Mutex::new(Changing::default()) };
        world.find_roots();
        world
    }

    fn changing(&self) -> MutexGuard<'_, Changing> {
        self.changing.lock().expect("no code panics while holding the state")
    }

    /// The machines.
    pub fn fleet(&self) -> &Fleet {
        &self.source.fleet
    }

    /// The signatures.
    pub fn knowledge(&self) -> &Knowledge {
        &self.source.knowledge
    }

    /// The detections of a host as the service knows them now.
    pub fn record(&self, host: &Host) -> Record {
        self.advance();
        self.record_unmoved(host)
    }

    /// The same without letting the clock move scans first; for streams that began earlier.
    pub(crate) fn record_unmoved(&self, host: &Host) -> Record {
        let kept = self.changing().records.get(&host.index).cloned();
        kept.unwrap_or_else(|| self.source.record(host))
    }

    /// Points a host at its root folder.
    pub fn set_root(&self, index: u32, root: &Path) {
        self.changing().roots.insert(index, root.to_owned());
    }

    /// The root folder of a host.
    pub fn root(&self, index: u32) -> Option<PathBuf> {
        self.changing().roots.get(&index).cloned()
    }

    /// Looks for root folders of hosts in the truth folder.
    fn find_roots(&self) {
        let Some(truth) = &self.options.truth else { return };
        for index in 0..self.fleet().demo_len() {
            let host = self.fleet().host(index);
            let names = [
                Some(host.name.clone()),
                Some(host.fqdn.clone()),
                Some(host.id.to_string()),
                host.agent_uuid.map(|uuid| uuid.to_string()),
            ];
            if let Some(root) = names.into_iter().flatten().map(|name| truth.join(name)).find(|path| path.is_dir()) {
                self.set_root(index, &root);
            }
        }
    }

    /// Sets whether a QID is really there on a host; it wins over the root folder.
    pub fn set_present(&self, index: u32, qid: u32, present: bool) {
        self.changing().truth.insert((index, qid), present);
    }

    /// Forgets the detections of a QID on a host, and what was said of its true state.
    pub fn purge(&self, index: u32, qid: u32) {
        let mut record = self.record(&self.fleet().host(index));
        record.detections.retain(|row| row.qid != qid);
        let mut changing = self.changing();
        changing.truth.remove(&(index, qid));
        changing.records.insert(index, record);
    }

    /// Sets whether a host answers scans.
    pub fn set_alive(&self, index: u32, alive: bool) {
        let mut changing = self.changing();
        if alive {
            changing.dead.remove(&index);
        } else {
            changing.dead.insert(index);
        }
    }

    /// Purges a host or takes the purge back: while it is purged no list tells of it and no scan reaches it.
    pub fn set_purged(&self, index: u32, purged: bool) {
        put(&mut self.changing().purged, index, purged);
    }

    /// Whether a host is purged.
    pub fn is_purged(&self, index: u32) -> bool {
        self.changing().purged.contains(&index)
    }

    /// Disables a QID or enables it again: while it is disabled its detections are hidden and scans do not test it.
    pub fn set_disabled(&self, qid: u32, disabled: bool) {
        put(&mut self.changing().disabled, qid, disabled);
    }

    /// The disabled QIDs.
    pub fn disabled(&self) -> BTreeSet<u32> {
        self.changing().disabled.clone()
    }

    /// Whether launches leave out a host's address without a word, as those outside the user's scope.
    pub fn set_dropped(&self, index: u32, dropped: bool) {
        put(&mut self.changing().dropped, index, dropped);
    }

    /// Whether launches leave out a host's address.
    pub fn is_dropped(&self, index: u32) -> bool {
        self.changing().dropped.contains(&index)
    }

    /// Says how important a host is, 1 to 5.
    pub fn set_criticality(&self, index: u32, criticality: u8) {
        self.changing().criticality.insert(index, criticality.clamp(1, 5));
    }

    /// How important a host is, 1 to 5.
    pub fn criticality(&self, index: u32) -> u8 {
        let set = self.changing().criticality.get(&index).copied();
        set.unwrap_or_else(|| 2 + u8::try_from(index % 3).unwrap_or(0))
    }

    /// Says how long the scan list keeps quiet about the next launched scan; several calls queue up.
    pub fn hide_next(&self, for_how_long: SignedDuration) {
        self.changing().hidden.push_back(for_how_long);
    }

    /// Says how the next launched scan ends; several calls queue up.
    pub fn set_next_outcome(&self, outcome: Outcome) {
        self.changing().outcomes.push_back(outcome);
    }

    /// Launches a scan.
    pub fn launch(&self, launch: Launch) -> Scan {
        self.advance();
        let now = self.clock.precise();
        let mut changing = self.changing();
        changing.launched += 1;
        let number = changing.launched;
        let offline = APPLIANCES.iter().any(|appliance| launch.appliances.contains(&appliance.id) && !appliance.online);
        let outcome = changing.outcomes.pop_front().unwrap_or(if offline { Outcome::Error } else { Outcome::Truth });
        let shown = changing.hidden.pop_front().and_then(|hidden| now.checked_add(hidden).ok()).unwrap_or(now);
        let scan = Scan {
            id: 136_000 + number,
            reference: format!("scan/{}.{:05}", now.as_second(), 10_000 + number % 90_000),
            title: launch.title,
            user: launch.user,
            launched: now,
            shown,
            profile: launch.profile,
            appliances: launch.appliances,
            network: launch.network,
            targets: launch.targets,
            target_text: launch.target_text,
            groups: launch.groups,
            priority: launch.priority,
            outcome,
            state: State::Queued,
            since: now,
            ran: SignedDuration::ZERO,
            ended: None,
            processed: false,
            results: Arc::default(),
        };
        changing.scans.push(scan.clone());
        scan
    }

    /// Every scan, in order of launch, as of now.
    pub fn scans(&self) -> Vec<Scan> {
        self.advance();
        self.changing().scans.clone()
    }

    /// One scan, as of now.
    pub fn scan(&self, reference: &str) -> Option<Scan> {
        self.scans().into_iter().find(|scan| scan.reference == reference)
    }

    /// Changes a scan; `None` when there is none of that reference.
    pub fn change_scan<T>(&self, reference: &str, change: impl FnOnce(&mut Scan, Timestamp) -> T) -> Option<T> {
        self.advance();
        let now = self.clock.precise();
        let mut changing = self.changing();
        changing.scans.iter_mut().find(|scan| scan.reference == reference).map(|scan| change(scan, now))
    }

    /// Removes a scan from the list.
    pub fn delete_scan(&self, reference: &str) {
        self.changing().scans.retain(|scan| scan.reference != reference);
    }

    /// Moves every scan to where it is at the present.
    pub fn advance(&self) {
        let now = self.clock.precise();
        let pace = Pace { speed: self.options.scan_speed };
        let mut changing = self.changing();
        for at in 0..changing.scans.len() {
            while let Some(effect) = changing.scans.get_mut(at).and_then(|scan| scan.step(now, pace)) {
                match effect {
                    Some(Effect::Examine) => self.examine(&mut changing, at),
                    Some(Effect::Process) => self.process(&mut changing, at),
                    None => {}
                }
            }
        }
    }

    /// Looks at the truth of every target the scan reaches.
    fn examine(&self, changing: &mut Changing, at: usize) {
        let Some(scan) = changing.scans.get(at).cloned() else { return };
        if scan.outcome == Outcome::NoHost {
            return;
        }
        let reached = scan.targets.iter().copied().filter(|index| self.reaches(&scan, changing, *index));
        let kept = if scan.outcome == Outcome::Partial { scan.targets.len().div_ceil(2) } else { usize::MAX };
        let results = reached.take(kept).map(|index| self.findings(changing, &scan, index)).collect();
        if let Some(scan) = changing.scans.get_mut(at) {
            scan.results = Arc::new(results);
        }
    }

    fn reaches(&self, scan: &Scan, changing: &Changing, index: u32) -> bool {
        let network = self.fleet().network_of(index);
        let networks = self.options.switches.networks;
        let by_appliance = APPLIANCES.iter().any(|appliance| {
            scan.appliances.contains(&appliance.id) && (appliance.network == network || !networks) && appliance.online
        });
        let by_external = scan.appliances.is_empty() && self.options.switches.external_reaches_private;
        (by_appliance || by_external)
            && network == scan.network
            && !changing.dead.contains(&index)
            && !changing.purged.contains(&index)
    }

    /// One finding per QID that the profile covers and the host can have.
    fn findings(&self, changing: &Changing, scan: &Scan, index: u32) -> HostResult {
        let host = self.fleet().host(index);
        let record = changing.records.get(&index).cloned().unwrap_or_else(|| self.source.record(&host));
        let profile = PROFILES.iter().find(|profile| profile.id == scan.profile);
        let covered = |qid: u32| {
            !changing.disabled.contains(&qid) && profile.is_none_or(|profile| profile.covers(self.knowledge(), qid))
        };
        let root = changing.roots.get(&index);
        let set = changing.truth.range((index, 0)..=(index, u32::MAX)).map(|((_, qid), _)| *qid);
        let known = record.detections.iter().map(|row| row.qid);
        let demo = weakness::all().map(|weakness| weakness.qid).filter(|_| root.is_some());
        let qids: BTreeSet<u32> = known.chain(set).chain(demo).filter(|qid| covered(*qid)).collect();
        let findings = qids
            .into_iter()
            .map(|qid| {
                let fixed = |row: &crate::detections::Detection| row.status == crate::detections::Status::Fixed;
                let was_there = record.detections.iter().any(|row| row.qid == qid && !fixed(row));
                match (changing.truth.get(&(index, qid)), root, weakness::find(qid)) {
                    (Some(present), _, _) => Finding { qid, present: *present, evidence: None },
                    (None, Some(root), Some(weakness)) => {
                        let verdict = judge::scan(root, weakness);
                        Finding { qid, present: verdict.present, evidence: Some(verdict.evidence) }
                    }
                    _ => Finding { qid, present: was_there, evidence: None },
                }
            })
            .collect();
        HostResult { index, findings }
    }

    /// Takes the results over into the detections.
    fn process(&self, changing: &mut Changing, at: usize) {
        let Some(scan) = changing.scans.get(at).cloned() else { return };
        let whole = |instant: Timestamp| Timestamp::from_second(instant.as_second()).unwrap_or(instant);
        let (ended, processed) = (whole(scan.ended.unwrap_or(scan.since)), whole(scan.since));
        for result in scan.results.iter() {
            let host = self.fleet().host(result.index);
            let mut record = changing.records.remove(&result.index).unwrap_or_else(|| self.source.record(&host));
            record.apply(&self.source, result.index, &result.findings, ended, processed);
            record.duration = ended.duration_since(scan.launched).as_secs().max(1);
            changing.records.insert(result.index, record);
        }
    }
}

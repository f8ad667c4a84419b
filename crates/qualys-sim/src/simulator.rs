//! Starts and stops a simulator, and lets a test reach into it.

use crate::hosts::Host;
use crate::http::call::App;
use crate::http::faults::{FaultPlan, Faults};
use crate::http::gate::{Access, Meter, Parallel};
use crate::http::journal::{Journal, JournalEntry};
use crate::http::serve::handle;
use crate::options::Options;
use crate::scans::{Outcome, Scan};
use crate::state::{Launch, World};
use crate::subscription::PROFILES;
use crate::truth::Truth;
use crate::world::{self, WorldError};
use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::Response;
use jiff::{SignedDuration, Timestamp};
use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

/// How often scans are moved while nobody calls.
const TICK: Duration = Duration::from_millis(100);

/// A running simulator; dropping it stops it.
#[derive(Debug)]
pub struct Simulator {
    app: Arc<App>,
    address: SocketAddr,
    tasks: Vec<JoinHandle<()>>,
}

impl Simulator {
    /// Listens and serves until it is shut down or dropped.
    ///
    /// # Errors
    /// When the address cannot be listened on.
    pub async fn start(options: Options) -> io::Result<Self> {
        let listener = TcpListener::bind(options.listen).await?;
        let address = listener.local_addr()?;
        let app = Arc::new(App {
            world: World::new(options),
            journal: Journal::default(),
            faults: Faults::default(),
            access: Access::default(),
            meter: Meter::default(),
        });
        let router = Router::new().fallback(entry).with_state(Arc::clone(&app));
        let serving = tokio::spawn(async move {
            if let Err(error) = axum::serve(listener, router).await {
                tracing::error!(%error, "the simulator stopped serving");
            }
        });
        let moved = Arc::clone(&app);
        let moving = tokio::spawn(async move {
            let mut ticks = tokio::time::interval(TICK);
            loop {
                ticks.tick().await;
                moved.world.advance();
            }
        });
        Ok(Self { app, address, tasks: vec![serving, moving] })
    }

    /// The address it listens on.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Base URL of the API server, without a slash at the end.
    pub fn api_url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Base URL of the gateway; the same port here.
    pub fn gateway_url(&self) -> String {
        self.api_url()
    }

    /// Login name.
    pub fn username(&self) -> &str {
        &self.app.world.options.username
    }

    /// Password.
    pub fn password(&self) -> &str {
        &self.app.world.options.password
    }

    /// The simulated subscription: hosts, knowledge base, detections, scans.
    pub fn state(&self) -> &World {
        &self.app.world
    }

    /// The demo hosts: Debian-family servers with a scanner agent.
    pub fn demo_hosts(&self) -> Vec<Host> {
        let fleet = self.app.world.fleet();
        (0..fleet.demo_len()).map(|index| fleet.host(index)).collect()
    }

    /// A host by the scanner's id.
    pub fn host(&self, id: u64) -> Option<Host> {
        let fleet = self.app.world.fleet();
        fleet.index_of(id).map(|index| fleet.host(index))
    }

    /// Writes a host's root folder and points the host at it, so that scans judge what is in it.
    ///
    /// # Errors
    /// See [`world::write_root`].
    pub fn write_root(&self, host: &Host, root: &Path) -> Result<(), WorldError> {
        world::write_root(root, self.app.world.options.seed, host)?;
        self.app.world.set_root(host.index, root);
        Ok(())
    }

    /// Points a host (by the scanner's id) at a folder that exists; whether there is such a host.
    pub fn set_root(&self, host_id: u64, root: &Path) -> bool {
        self.with_index(host_id, |index| self.app.world.set_root(index, root))
    }

    /// The folder a host is pointed at.
    pub fn root(&self, host_id: u64) -> Option<PathBuf> {
        self.app.world.fleet().index_of(host_id).and_then(|index| self.app.world.root(index))
    }

    /// Sets whether a QID is really gone from a host; wins over the folder. Detections follow with the next scan.
    /// Returns whether there is such a host.
    pub fn set_fixed(&self, host_id: u64, qid: u32, fixed: bool) -> bool {
        self.with_index(host_id, |index| self.app.world.set_present(index, qid, !fixed))
    }

    /// Lets a host answer scans or not; whether there is such a host.
    pub fn set_alive(&self, host_id: u64, alive: bool) -> bool {
        self.with_index(host_id, |index| self.app.world.set_alive(index, alive))
    }

    /// Takes the detections of a QID off a host, as a purge or a disabled signature does: the host is scanned as before, and
    /// nothing is said of the QID any more. Returns whether there is such a host.
    pub fn purge(&self, host_id: u64, qid: u32) -> bool {
        self.with_index(host_id, |index| self.app.world.purge(index, qid))
    }

    /// Purges a host, or takes the purge back: while it is purged no list tells of it and no scan reaches it. Whether there is
    /// such a host.
    pub fn set_purged(&self, host_id: u64, purged: bool) -> bool {
        self.with_index(host_id, |index| self.app.world.set_purged(index, purged))
    }

    /// Disables a QID, or enables it again: while it is disabled, lists hide it unless they are asked for the disabled ones, and
    /// scans do not test it.
    pub fn set_disabled(&self, qid: u32, disabled: bool) {
        self.app.world.set_disabled(qid, disabled);
    }

    /// Lets launches leave out a host's address without a word, as those outside the user's scope. Whether there is such a host.
    pub fn set_dropped(&self, host_id: u64, dropped: bool) -> bool {
        self.with_index(host_id, |index| self.app.world.set_dropped(index, dropped))
    }

    /// Says how important a host is, 1 to 5; whether there is such a host.
    pub fn set_criticality(&self, host_id: u64, criticality: u8) -> bool {
        self.with_index(host_id, |index| self.app.world.set_criticality(index, criticality))
    }

    /// Keeps the next launched scan out of the scan list for so long; several calls queue up.
    pub fn hide_next_launch(&self, for_how_long: SignedDuration) {
        self.app.world.hide_next(for_how_long);
    }

    /// Somebody else of the subscription scans a host for everything; whether there is such a host.
    pub fn scan_by_others(&self, host_id: u64) -> bool {
        self.with_index(host_id, |index| {
            let fleet = self.app.world.fleet();
            let (address, network) = (fleet.ip_of(index), fleet.network_of(index));
            self.app.world.launch(Launch {
                title: "Weekly".to_owned(),
                user: "somebody_else".to_owned(),
                profile: PROFILES.first().map_or(0, |profile| profile.id),
                appliances: Vec::new(),
                network,
                targets: vec![index],
                target_text: address.to_string(),
                groups: Vec::new(),
                priority: 0,
            });
        })
    }

    /// Every finding of every host, as a full pull would tell it now: about 40 bytes each. Ordered by host, QID and port.
    pub fn truth(&self) -> Vec<Truth> {
        self.app.world.advance();
        (0..self.app.world.fleet().len()).flat_map(|index| self.app.world.truth_of(index)).collect()
    }

    /// How many calls ran side by side, per end point that was called, by the names of the journal.
    pub fn parallel(&self) -> BTreeMap<String, Parallel> {
        self.app.meter.parallel()
    }

    /// Begins to count the parallel calls anew.
    pub fn forget_parallel(&self) {
        self.app.meter.forget_most();
    }

    /// Says how the next launched scan ends; several calls queue up.
    pub fn set_next_outcome(&self, outcome: Outcome) {
        self.app.world.set_next_outcome(outcome);
    }

    /// Every scan, as of now.
    pub fn scans(&self) -> Vec<Scan> {
        self.app.world.scans()
    }

    /// Every request so far, control calls left out, secrets masked.
    pub fn journal(&self) -> Vec<JournalEntry> {
        self.app.journal.all().into_iter().filter(|entry| entry.endpoint != "control").collect()
    }

    /// Forgets the journal.
    pub fn clear_journal(&self) {
        self.app.journal.clear();
    }

    /// Replaces the fault plan; counting starts anew.
    pub fn set_fault_plan(&self, plan: impl Into<FaultPlan>) {
        self.app.faults.set(plan.into());
    }

    /// The simulator's present.
    pub fn now(&self) -> Timestamp {
        self.app.world.clock.now()
    }

    /// Steps the clock and lets scans follow.
    pub fn step_clock(&self, by: SignedDuration) {
        self.app.world.clock.step(by);
        self.app.world.advance();
    }

    /// Stops serving.
    pub async fn shutdown(mut self) {
        for task in std::mem::take(&mut self.tasks) {
            task.abort();
            let _ = task.await;
        }
    }

    fn with_index(&self, host_id: u64, change: impl FnOnce(u32)) -> bool {
        self.app.world.fleet().index_of(host_id).map(change).is_some()
    }
}

impl Drop for Simulator {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
    }
}

async fn entry(state: State<Arc<App>>, request: Request<Body>) -> Response {
    handle(state, request).await
}

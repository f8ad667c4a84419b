//! Imports from a scanner's platform: set-up, knowledge base, detections, and the pull after a rescan.
//!
//! Detections are asked for by the time the platform processed them, never by scan time, with all four statuses. A page
//! is handed out only once it is known to be good; its hosts are merged before the next page is asked for, and the run
//! remembers where that begins. The next run after a failed one goes on there, and covers up to where the failed one
//! would have: what changed meanwhile comes with the run after.

use super::batch::{self, Wanted};
use super::merger::Merger;
use super::{Error, Request, What};
use crate::app::App;
use crate::connect::qualys::{Client, DetectionQuery, HostQuery, KnowledgeBaseQuery, Page, Pages};
use crate::failpoint;
use crate::instances::{connect, importable};
use crate::platforms::Purpose;
use domain::id::InstanceId;
use domain::number::Number;
use domain::time::Timestamp;
use intake::{Observation, ReadError, Stop};
use std::collections::BTreeSet;
use store::imports::{Counters, Kind, Start};
use store::instances::{self, Instance};
use store::{imports, vulnerabilities};

/// The knowledge base is asked for again for this long before the last run: entries appear in it late.
const KNOWLEDGE_BASE_OVERLAP_SECONDS: i64 = 2 * 24 * 3600;
/// Detections are asked for again for this long before the last run, because clocks differ.
const DETECTION_OVERLAP_SECONDS: i64 = 300;
/// Unknown QIDs that are asked for in one call.
const BACKFILL_QIDS: i64 = 300;
/// One that the platform did not give is asked for again after this long.
const ASKED_AGAIN_SECONDS: i64 = 7 * 24 * 3600;
/// Known entries in a part of the whole knowledge base: such an answer is tens of megabytes.
const PART_ENTRIES: usize = 5_000;
/// A failed run older than this is not gone on with; the window is asked for anew.
const RESUMED_SECONDS_MAX: i64 = 24 * 3600;
/// The parameter that asks for the tags of hosts.
const TAGS: &str = "show_tags";
/// What a run says that was not told of tags.
const TAGS_UNTOLD: &str = "the platform refused to show tags (show_tags): the tags of assets stay as they were";

/// A run that has begun, not at work yet.
#[derive(Debug)]
pub struct Started {
    /// The run's number.
    pub number: Number,
    app: App,
    /// Where it was connected before it began.
    client: Option<Client>,
    merger: Merger,
    what: What,
}

/// Begin an import from the platform of an instance that does not wait.
///
/// # Errors
/// [`Error::Refused`] while another run of the instance is at work or where it has no connection.
pub async fn start(app: &App, request: Request) -> Result<Started, Error> {
    let client = match request.what {
        // The pull of a scan that runs already is brought to its end.
        What::Targeted { .. } => connect(app, request.instance, Purpose::Pull).await?,
        _ => connection(app, request.instance).await?,
    };
    let kind = request.what.kind();
    let start = Start {
        instance: request.instance,
        kind,
        cause: request.cause,
        actor: &request.actor,
        source: request.what.source(),
    };
    let merger = Merger::start(app, start).await?;
    Ok(Started { number: merger.run.number, app: app.clone(), client: Some(client), merger, what: request.what })
}

/// The connection of an import, to an instance that imports at all.
///
/// # Errors
/// [`Error::Refused`] `instance_disabled`, or where it has no connection.
pub async fn connection(app: &App, instance: InstanceId) -> Result<Client, Error> {
    importable(&app.database.read(move |tx| instances::one(tx, instance)).await?)?;
    Ok(connect(app, instance, Purpose::Import).await?)
}

/// A run that has waited and has just begun.
#[must_use]
pub fn waited(app: &App, merger: Merger, what: What) -> Started {
    Started { number: merger.run.number, app: app.clone(), client: None, merger, what }
}

impl Started {
    /// Do the import. However it ends, the run's record says so.
    ///
    /// # Errors
    /// What ended it early; complete hosts are kept, no cursor has moved.
    pub async fn run(self) -> Result<Counters, Error> {
        let Started { app, client, mut merger, what, .. } = self;
        failpoint::hit("import.begun");
        let instance = merger.run.instance;
        let client = match client {
            Some(client) => client,
            None => match connection(&app, instance).await {
                Ok(client) => client,
                Err(error) => return merger.finish(None, Err(error)).await,
            },
        };
        let (work, stopping) = (Work { app: app.clone(), client, instance, what }, app.stopping.clone());
        let outcome = tokio::select! {
            outcome = work.run(&mut merger) => outcome,
            () = stopping.cancelled() => Err(Error::Stopping),
        };
        work.client.close().await;
        let until = outcome.as_ref().ok().and_then(|done| done.until);
        merger.finish(until, outcome.map(|done| done.remark)).await
    }
}

#[derive(Debug)]
pub(super) struct Work {
    pub(super) app: App,
    pub(super) client: Client,
    pub(super) instance: InstanceId,
    what: What,
}

/// What a finished run covered, and what is worth knowing.
#[derive(Debug, Default)]
struct Done {
    until: Option<Timestamp>,
    remark: String,
}

impl Work {
    async fn run(&self, merger: &mut Merger) -> Result<Done, Error> {
        let instance = self.instance;
        let known = self.app.database.read(move |tx| instances::one(tx, instance)).await?;
        let began = self.app.clock.now();
        let covered = |until: Option<Timestamp>| {
            Ok(Done { until: Some(until.unwrap_or(began).min(began)), remark: String::new() })
        };
        match &self.what {
            What::Setup => {
                self.setup(merger).await?;
                Ok(Done::default())
            }
            What::OptionProfiles => {
                self.option_profiles(merger).await?;
                Ok(Done::default())
            }
            What::Appliances => {
                self.appliances(merger).await?;
                Ok(Done::default())
            }
            What::Comprehensive => {
                let until = self.all_detections(merger).await?;
                self.back_fill(merger).await?;
                let remark = merger.settle().await?;
                Ok(Done { until: Some(until.unwrap_or(began).min(began)), remark })
            }
            What::SearchLists => {
                self.search_lists(merger).await?;
                Ok(Done::default())
            }
            What::HostList => {
                self.host_list(merger).await?;
                Ok(Done::default())
            }
            What::KnowledgeBase => covered(self.knowledge_base(merger, &known).await?),
            What::KnowledgeBaseFull => covered(self.whole_knowledge_base(merger).await?),
            What::HostDetection => {
                let until = self.detections(merger, &known).await?;
                self.back_fill(merger).await?;
                covered(until)
            }
            What::Everything => {
                // An account may lack the right to see profiles and appliances; that must not keep detections out.
                let remark = match self.setup(merger).await {
                    Ok(()) => String::new(),
                    Err(error @ Error::Scanner(_)) => format!("set-up for rescans was left out: {}", error.reason()),
                    Err(error) => return Err(error),
                };
                self.knowledge_base(merger, &known).await?;
                let until = self.detections(merger, &known).await?.unwrap_or(began);
                self.back_fill(merger).await?;
                Ok(Done { until: Some(until.min(began)), remark })
            }
            What::Targeted { hosts, qids, .. } => {
                let query = DetectionQuery { ids: hosts.clone(), qids: qids.clone(), ..DetectionQuery::default() };
                let mut silent: BTreeSet<i64> = hosts.iter().copied().collect();
                merger.step("detections").await?;
                let mut pages = self.client.host_detections(&query);
                while let Some(page) = merger.ask(pages.next()).await? {
                    for host in merge_page(merger, page).await? {
                        silent.remove(&host);
                    }
                }
                self.hosts_alone(merger, silent).await?;
                self.back_fill(merger).await?;
                Ok(Done::default())
            }
        }
    }

    /// Every host, also those that no detection is reported of.
    async fn host_list(&self, merger: &mut Merger) -> Result<(), Error> {
        merger.step("host_list").await?;
        let mut pages = self.client.host_list(&HostQuery::default());
        while let Some(page) = merger.ask(pages.next()).await? {
            merge_page(merger, page).await?;
        }
        Ok(())
    }

    /// The whole knowledge base in parts of about as many entries as are known; gives the platform's own time of the first
    /// answer, which is what all of them cover up to.
    async fn whole_knowledge_base(&self, merger: &mut Merger) -> Result<Option<Timestamp>, Error> {
        merger.step("knowledge_base").await?;
        let product = merger.run.product.clone();
        let mut ends = self
            .app
            .database
            .read(move |tx| vulnerabilities::milestones(tx, &product, PART_ENTRIES))
            .await?
            .into_iter();
        let (mut id_min, mut answered) = (1, None);
        loop {
            let end = ends.next();
            let query = KnowledgeBaseQuery { id_min: Some(id_min), id_max: end, ..KnowledgeBaseQuery::default() };
            let found = self.entries(merger, self.client.knowledge_base(&query)).await?;
            answered = answered.or(found);
            let Some(end) = end else { return Ok(answered) };
            id_min = end + 1;
        }
    }

    /// Entries changed since the last run; gives the platform's own time of the answer.
    async fn knowledge_base(&self, merger: &mut Merger, known: &Instance) -> Result<Option<Timestamp>, Error> {
        let modified_after =
            known.knowledge_base_until.map(|until| until.plus_seconds(-KNOWLEDGE_BASE_OVERLAP_SECONDS));
        let query = KnowledgeBaseQuery { modified_after, ..KnowledgeBaseQuery::default() };
        merger.step("knowledge_base").await?;
        self.entries(merger, self.client.knowledge_base(&query)).await
    }

    async fn entries(&self, merger: &mut Merger, mut pages: Pages) -> Result<Option<Timestamp>, Error> {
        let mut answered = None;
        while let Some(page) = merger.ask(pages.next()).await? {
            answered = answered.or(page.summary.generated_at.map(Timestamp::from_micros));
            merge_page(merger, page).await?;
        }
        Ok(answered)
    }

    /// Hosts processed since the last run; gives what this covers up to, by the platform's clock.
    async fn detections(&self, merger: &mut Merger, known: &Instance) -> Result<Option<Timestamp>, Error> {
        let first = known.first_days.map(|days| self.app.clock.now().plus_seconds(days.saturating_mul(-24 * 3_600)));
        let since = known.host_detection_until.map(|until| until.plus_seconds(-DETECTION_OVERLAP_SECONDS));
        let processed_after = since.or(first);
        let (run, since) = (merger.run.id, self.app.clock.now().plus_seconds(-RESUMED_SECONDS_MAX));
        let instance = self.instance;
        let resumed = self.app.database.read(move |tx| imports::resume_point(tx, instance, run, since)).await?;
        let mut until = resumed.as_ref().map(|point| point.until);
        let resume_at = resumed.and_then(|point| point.cursor.parse().ok());
        let query = DetectionQuery { processed_after, resume_at, ..DetectionQuery::default() };
        merger.step("detections").await?;
        let mut pages = self.client.host_detections(&query);
        while let Some(page) = merger.ask(pages.next()).await? {
            until = until.or(page.summary.generated_at.map(Timestamp::from_micros));
            let next = page.next;
            merge_page(merger, page).await?;
            if let (Some(next), Some(until)) = (next, until) {
                merger.reached(&next.to_string(), until).await?;
                failpoint::hit("import.reached");
            }
        }
        Ok(until)
    }

    /// Every detection of every host, whenever it was processed; gives what this covers up to, by the platform's clock.
    async fn all_detections(&self, merger: &mut Merger) -> Result<Option<Timestamp>, Error> {
        merger.step("detections").await?;
        merger.compare();
        let mut until = None;
        let mut pages = self.client.host_detections(&DetectionQuery::default());
        while let Some(page) = merger.ask(pages.next()).await? {
            until = until.or(page.summary.generated_at.map(Timestamp::from_micros));
            merge_page(merger, page).await?;
        }
        Ok(until)
    }

    /// Hosts that the detections left out, because none of theirs is asked for any more (purged, disabled): only the host
    /// list says when they were scanned.
    async fn hosts_alone(&self, merger: &mut Merger, hosts: BTreeSet<i64>) -> Result<(), Error> {
        // Without an id the platform would be asked for all of them.
        if hosts.is_empty() {
            return Ok(());
        }
        let query = HostQuery { ids: hosts.into_iter().collect(), ..HostQuery::default() };
        merger.step("hosts").await?;
        let mut pages = self.client.host_list(&query);
        while let Some(page) = merger.ask(pages.next()).await? {
            merge_page(merger, page).await?;
        }
        Ok(())
    }

    /// Ask for the vulnerabilities that only detections have named so far; for one that the platform does not give, once a
    /// week.
    async fn back_fill(&self, merger: &mut Merger) -> Result<(), Error> {
        let mut after = 0;
        loop {
            let (product, now) = (merger.run.product.clone(), self.app.clock.now());
            let asked_before = now.plus_seconds(-ASKED_AGAIN_SECONDS);
            let unknown = move |tx: &mut store::Transaction<'_>| {
                vulnerabilities::placeholders(tx, &product, after, asked_before, BACKFILL_QIDS)
            };
            let ids = self.app.database.read(unknown).await?;
            let Some(last) = ids.last().copied() else {
                failpoint::hit("import.back_filled");
                return Ok(());
            };
            if after == 0 {
                merger.step("back_fill").await?;
            }
            let query = KnowledgeBaseQuery { ids: ids.clone(), ..KnowledgeBaseQuery::default() };
            self.entries(merger, self.client.knowledge_base(&query)).await?;
            let product = merger.run.product.clone();
            self.app.database.write(move |tx| vulnerabilities::asked(tx, &product, &ids, now)).await?;
            after = last;
        }
    }
}

/// Merge a page that is known to be good; gives the scanner's ids of the hosts on it.
async fn merge_page(merger: &mut Merger, mut page: Page) -> Result<Vec<i64>, Error> {
    failpoint::hit("import.page");
    let summary = &page.summary;
    merger.count(1, summary.hosts + summary.detections + summary.vulnerabilities, page.bytes()).await?;
    merger.reject(summary, &summary.rejections).await?;
    let (mut collector, batches) = batch::channel(Wanted::Everything);
    if page.asked(TAGS) {
        collector = collector.told_of_tags();
    } else if page.summary.hosts > 0 {
        // No tags on a page that was not asked for them is no word about tags: scopes and exclusions hang on them.
        merger.note(TAGS_UNTOLD);
    }
    let reading = tokio::task::spawn_blocking(move || {
        let mut hosts = Vec::new();
        page.read(&mut |observation| {
            if let Observation::Host(host) = &observation {
                hosts.extend(host.host_id);
            }
            collector.push(observation)
        })?;
        collector.finish().map_err(|Stop| ReadError::Stopped)?;
        Ok(hosts)
    });
    let merged = merger.merge_all(batches).await;
    let read = reading.await.map_err(|error| Error::Spool(std::io::Error::other(error)))?;
    merged?;
    read.map_err(Error::Input)
}

impl What {
    /// What a run of this kind asks its platform for; none for what comes otherwise.
    pub(super) fn of(kind: Kind) -> Option<What> {
        match kind {
            Kind::Everything => Some(What::Everything),
            Kind::KnowledgeBase => Some(What::KnowledgeBase),
            Kind::KnowledgeBaseFull => Some(What::KnowledgeBaseFull),
            Kind::HostDetection => Some(What::HostDetection),
            Kind::Comprehensive => Some(What::Comprehensive),
            Kind::HostList => Some(What::HostList),
            Kind::Setup => Some(What::Setup),
            Kind::OptionProfiles => Some(What::OptionProfiles),
            Kind::Appliances => Some(What::Appliances),
            Kind::SearchLists => Some(What::SearchLists),
            Kind::File | Kind::Targeted => None,
        }
    }

    fn kind(&self) -> Kind {
        match self {
            What::Everything => Kind::Everything,
            What::KnowledgeBase => Kind::KnowledgeBase,
            What::KnowledgeBaseFull => Kind::KnowledgeBaseFull,
            What::HostDetection => Kind::HostDetection,
            What::Comprehensive => Kind::Comprehensive,
            What::HostList => Kind::HostList,
            What::Setup => Kind::Setup,
            What::OptionProfiles => Kind::OptionProfiles,
            What::Appliances => Kind::Appliances,
            What::SearchLists => Kind::SearchLists,
            What::Targeted { .. } => Kind::Targeted,
        }
    }

    fn source(&self) -> &str {
        match self {
            What::Targeted { source, .. } => source,
            _ => "",
        }
    }
}

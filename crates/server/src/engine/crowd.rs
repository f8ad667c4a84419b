//! What many agents ask and say in the same moment, worked on together: who they are, whether there is something for them,
//! their orders, their reports.

use crate::app::App;
use crate::engine::gather::Gather;
use crate::engine::{catalogue, dispatch, orders, results};
use crate::failpoint;
use crate::http::error::Error;
use domain::id::AgentKey;
use domain::task;
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use protocol::agent::TaskEpoch;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use store::agents::{self, AgentRow};
use store::tasks::many;
use uuid::Uuid;

/// Where the requests of agents come together.
#[derive(Clone, Debug, Default)]
pub struct Crowd {
    known: Gather<Uuid, Option<AgentRow>>,
    looks: Gather<Look, Looked>,
    offers: Gather<AgentKey, orders::Offer>,
    reports: Gather<Said, results::Stored>,
}

/// What a poll looks for.
#[derive(Clone, Copy, Debug)]
pub struct Look {
    /// Who polls.
    pub agent: AgentKey,
    /// Version of the root metadata it has.
    pub root: u64,
    /// Version of the index it has.
    pub index: u64,
}

/// What there is.
#[derive(Debug, Default)]
pub struct Looked {
    /// Root metadata newer than the agent's, oldest first, exact text.
    pub roots: Vec<String>,
    /// The index, where it is newer than the agent's.
    pub index: Option<String>,
    /// There may be an order for it, or one to be taken back.
    pub waits: bool,
    /// What it has been at work on for so long that it must still list it, and of what nobody knows what became.
    pub at_work: Vec<(TaskEpoch, task::State)>,
}

#[derive(Clone, Debug)]
struct Said {
    agent: AgentKey,
    events: Arc<Vec<String>>,
}

impl Crowd {
    /// The agent of this id, as it is stored now.
    ///
    /// # Errors
    /// A failure of the store.
    pub async fn known(app: &App, agent: Uuid) -> Result<Option<AgentRow>, Error> {
        app.crowd.known.ask(app, agent, 1, known).await
    }

    /// Look whether there is something to say.
    ///
    /// # Errors
    /// A failure of the store.
    pub async fn look(app: &App, look: Look) -> Result<Looked, Error> {
        app.crowd.looks.ask(app, look, 1, look_all).await
    }

    /// What this agent is to get now: orders are made, and stored when this returns.
    ///
    /// # Errors
    /// A failure of the store; then nothing was made.
    pub async fn offer(app: &App, agent: AgentKey) -> Result<orders::Offer, Error> {
        app.crowd.offers.ask(app, agent, 1, offer).await
    }

    /// Keep what this agent says: it is on the disk when this returns.
    ///
    /// # Errors
    /// A failure of the store; then nothing was kept.
    pub async fn report(app: &App, agent: AgentKey, events: Vec<String>) -> Result<results::Stored, Error> {
        let weight = events.len();
        app.crowd.reports.ask(app, Said { agent, events: Arc::new(events) }, weight, report).await
    }
}

fn known(app: App, ids: Arc<Vec<Uuid>>) -> BoxFuture<'static, Result<Vec<Option<AgentRow>>, Error>> {
    async move {
        app.database
            .try_read(move |tx| {
                let rows = agents::by_agent_ids(tx, &ids)?;
                let found: BTreeMap<Uuid, AgentRow> = rows.into_iter().map(|row| (row.agent_id, row)).collect();
                Ok::<_, Error>(ids.iter().map(|id| found.get(id).cloned()).collect())
            })
            .await
    }
    .boxed()
}

fn look_all(app: App, looks: Arc<Vec<Look>>) -> BoxFuture<'static, Result<Vec<Looked>, Error>> {
    async move {
        let now = app.clock.now();
        app.database
            .try_read(move |tx| {
                let version = |version: u64| i64::try_from(version).unwrap_or(i64::MAX);
                // Mostly everybody has the same.
                let mut roots = BTreeMap::new();
                for known in looks.iter().map(|look| version(look.root)).collect::<BTreeSet<_>>() {
                    let newer = store::catalogue::roots_above(tx, known)?;
                    roots.insert(known, newer.into_iter().map(|(_, envelope)| envelope).collect::<Vec<_>>());
                }
                let newest = store::catalogue::newest_version(tx)?;
                let newer = |look: &Look| newest.is_some_and(|newest| newest > version(look.index));
                let index = if looks.iter().any(newer) { store::catalogue::newest(tx)? } else { None };
                let keys: Vec<AgentKey> = looks.iter().map(|look| look.agent).collect();
                let waiting: BTreeSet<AgentKey> = many::waited_for(tx, &keys)?.into_iter().collect();
                let limit = now.plus_seconds(-task::GONE_SECONDS);
                let mut at_work: BTreeMap<AgentKey, Vec<(TaskEpoch, task::State)>> = BTreeMap::new();
                for (agent, task, epoch, state) in many::long_at_work(tx, &keys, limit)? {
                    let epoch = u32::try_from(epoch).unwrap_or(u32::MAX);
                    at_work.entry(agent).or_default().push((TaskEpoch { task, epoch }, state));
                }
                let looked = |look: &Look| Looked {
                    roots: roots.get(&version(look.root)).cloned().unwrap_or_default(),
                    index: index.as_ref().filter(|_| newer(look)).map(|release| release.index_envelope.clone()),
                    waits: waiting.contains(&look.agent),
                    at_work: at_work.get(&look.agent).cloned().unwrap_or_default(),
                };
                Ok::<_, Error>(looks.iter().map(looked).collect())
            })
            .await
    }
    .boxed()
}

fn offer(app: App, keys: Arc<Vec<AgentKey>>) -> BoxFuture<'static, Result<Vec<orders::Offer>, Error>> {
    async move {
        let (now, key, asked) = (app.clock.now(), catalogue::order_key(&app), Arc::clone(&keys));
        let offers = app.database.try_write(move |tx| {
            let halted = dispatch::halt(tx)?.is_some();
            let offers = orders::offer_all(tx, &asked, (&key, halted), now)?;
            if offers.values().any(|offer| !offer.touched.is_empty()) {
                failpoint::hit("order.made");
            }
            Ok::<_, Error>(offers)
        });
        let offers = offers.await?;
        let touched: BTreeSet<_> = offers.values().flat_map(|offer| offer.touched.iter().copied()).collect();
        for job in touched {
            app.wake.notify("job", job.0);
        }
        Ok(keys.iter().map(|key| offers.get(key).cloned().unwrap_or_default()).collect())
    }
    .boxed()
}

fn report(app: App, said: Arc<Vec<Said>>) -> BoxFuture<'static, Result<Vec<results::Stored>, Error>> {
    async move {
        let (now, asked) = (app.clock.now(), Arc::clone(&said));
        let stored = app.database.try_write(move |tx| {
            let said: Vec<results::Said<'_>> =
                asked.iter().map(|said| results::Said { agent: said.agent, events: &said.events }).collect();
            let stored = results::store_all(tx, &said, now)?;
            if stored.iter().any(|stored| !stored.touched.is_empty()) {
                failpoint::hit("events.before_commit");
            }
            Ok::<_, Error>(stored)
        });
        let stored = stored.await?;
        if stored.iter().any(|stored| !stored.touched.is_empty()) {
            failpoint::hit("events.after_commit");
        }
        if stored.iter().any(|stored| stored.resolved) {
            app.wake.notify("dispatch", 0);
        }
        for (said, _) in said.iter().zip(&stored).filter(|(_, stored)| stored.more) {
            app.wake.notify("agent", said.agent.0);
        }
        let touched: BTreeSet<_> = stored.iter().flat_map(|stored| stored.touched.iter().copied()).collect();
        for job in touched {
            app.wake.notify("job", job.0);
        }
        Ok(stored)
    }
    .boxed()
}

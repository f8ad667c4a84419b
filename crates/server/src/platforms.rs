//! The connections to scanners' platforms: one per integration instance, shared by imports, rescans and tests of this
//! server, so that what one of them learns of limits, versions and sessions all of them know.
//!
//! What is learnt is kept in the database within seconds, at once where a call was refused: a restart goes on where it
//! was, and other replicas read it before they call.

use crate::app::App;
use crate::connect::qualys::lane::Quota;
use crate::connect::qualys::{Client, Config, Endpoint, Fallen, Use};
use domain::id::InstanceId;
use domain::time::Timestamp;
use protocol::api::integrations::VersionSeen;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use store::{instances, quotas};

/// How often is looked whether something was learnt.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// What was learnt without a refusal is kept every so many looks.
const LOOKS_PER_WRITE: u32 = 10;
/// How long signing out may take.
const SIGN_OUT_TIMEOUT: Duration = Duration::from_secs(5);
/// How long one call of a rescan may take. Below the time of a claim and the search after it, so that nobody searches
/// for a launch that is still on its way.
const PROMPT_CALL_TIMEOUT: Duration = Duration::from_secs(45);

/// What somebody wants a connection for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// An import: patient, and leaves room for the others.
    Import,
    /// The pull after a rescan: patient, and somebody waits for it.
    Pull,
    /// A call of a rescan: it gives up at once, because waiting is done in the database.
    Rescan,
}

/// What a connection is made from; another one is made where any of it changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Like {
    pub(crate) api_url: String,
    pub(crate) gateway_url: String,
    pub(crate) auth: String,
    pub(crate) username: String,
    pub(crate) versions: String,
    pub(crate) sealed: Vec<u8>,
}

#[derive(Debug)]
struct Platform {
    like: Like,
    patient: Client,
    prompt: Client,
    /// What of its news is kept.
    kept: (u64, u64),
}

/// The connections of this server.
#[derive(Clone, Debug, Default)]
pub struct Platforms(Arc<Mutex<HashMap<InstanceId, Platform>>>);

impl Platforms {
    /// The connection of an instance, made where there is none like this; with what is known of it.
    ///
    /// # Errors
    /// Where the configuration cannot be used.
    pub(crate) fn client(
        &self,
        app: &App,
        id: InstanceId,
        like: Like,
        config: Config,
        known: (&[quotas::Quota], &[VersionSeen]),
    ) -> Result<Shared, crate::connect::qualys::Error> {
        let (quotas, versions) = known;
        let mut all = self.all();
        if all.get(&id).is_none_or(|platform| platform.like != like) {
            let patient = Client::new(config, Arc::new(app.clock.clone()))?;
            let hasty = Config {
                retries_max: 0,
                limit_wait_max: Duration::ZERO,
                read_timeout: PROMPT_CALL_TIMEOUT,
                connect_timeout: PROMPT_CALL_TIMEOUT / 3,
                ..patient.config().clone()
            };
            let prompt = patient.beside(hasty, Use::Prompt)?;
            for seen in versions {
                if let Some(endpoint) = Endpoint::of_word(&seen.endpoint) {
                    patient.fall(Fallen { endpoint, from: seen.from, to: seen.to });
                }
            }
            let kept = patient.news();
            if let Some(old) = all.insert(id, Platform { like, patient, prompt, kept }) {
                tokio::spawn(sign_out(old.patient));
            }
        }
        let platform = all.get(&id).ok_or_else(|| {
            crate::connect::qualys::Error::Config("the connection was taken away meanwhile".to_owned())
        })?;
        for row in quotas {
            if let Some(endpoint) = Endpoint::of_word(&row.endpoint) {
                platform.patient.recall(endpoint, &quota(row));
            }
        }
        Ok(Shared { patient: platform.patient.clone(), prompt: platform.prompt.clone() })
    }

    /// Forget the connection of an instance that is no more.
    pub(crate) fn forget(&self, id: InstanceId) {
        if let Some(old) = self.all().remove(&id) {
            tokio::spawn(sign_out(old.patient));
        }
    }

    /// What is not kept yet, by instance; all of it, or only where a call was refused since.
    fn news(&self, all: bool) -> Vec<News> {
        let mut found = Vec::new();
        for (id, platform) in self.all().iter_mut() {
            let news = platform.patient.news();
            if news.1 != platform.kept.1 || (all && news.0 != platform.kept.0) {
                platform.kept = news;
                let (quotas, fallen) = (platform.patient.quotas(), platform.patient.fallen());
                found.push(News { id: *id, versions: platform.like.versions.clone(), quotas, fallen });
            }
        }
        found
    }

    fn all(&self) -> MutexGuard<'_, HashMap<InstanceId, Platform>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The clients of one subscription.
#[derive(Debug)]
pub(crate) struct Shared {
    patient: Client,
    prompt: Client,
}

impl Shared {
    pub(crate) fn lend(&self, purpose: Purpose) -> Client {
        match purpose {
            Purpose::Import => self.patient.lend(Use::Import),
            Purpose::Pull => self.patient.lend(Use::Prompt),
            Purpose::Rescan => self.prompt.lend(Use::Prompt),
        }
    }

    /// A client that signs in by itself, to see whether that works.
    pub(crate) fn apart(&self, config: Config) -> Result<Client, crate::connect::qualys::Error> {
        self.patient.apart(config)
    }
}

struct News {
    id: InstanceId,
    versions: String,
    quotas: Vec<(Endpoint, Quota)>,
    fallen: Vec<Fallen>,
}

/// Keep what is learnt until the server stops; then keep the rest, and sign out everywhere.
pub async fn keep(app: App) {
    let mut looks = 0_u32;
    loop {
        // Real time, not the server's clock: this is about not writing too often.
        tokio::select! {
            () = app.stopping.cancelled() => break,
            () = tokio::time::sleep(LOOK_EVERY) => {}
        }
        looks = (looks + 1) % LOOKS_PER_WRITE;
        write(&app, looks == 0).await;
    }
    write(&app, true).await;
    let clients: Vec<Client> = app.platforms.all().drain().map(|(_, platform)| platform.patient).collect();
    for client in clients {
        sign_out(client).await;
    }
}

async fn write(app: &App, all: bool) {
    for News { id, versions, quotas, fallen } in app.platforms.news(all) {
        let rows: Vec<quotas::Quota> = quotas.iter().map(|(endpoint, quota)| row(*endpoint, quota)).collect();
        let now = app.clock.now();
        let written = app.database.write(move |tx| {
            quotas::keep(tx, id, &rows)?;
            keep_versions(tx, id, &versions, &fallen, now)
        });
        if let Err(error) = written.await {
            tracing::warn!(instance.id = id.0, "what instance {id} said of its limits was not kept: {error}");
        }
    }
}

fn keep_versions(
    tx: &mut store::Transaction<'_>,
    id: InstanceId,
    set: &str,
    fallen: &[Fallen],
    now: Timestamp,
) -> store::Result<()> {
    if fallen.is_empty() {
        return Ok(());
    }
    let Ok(known) = instances::one(tx, id) else { return Ok(()) };
    let before = crate::instances::versions_seen(&known.versions_seen);
    let seen = fallen.iter().map(|fallen| {
        let endpoint = fallen.endpoint.word();
        let same = before.iter().find(|seen| seen.endpoint == endpoint && seen.to == fallen.to);
        VersionSeen { from: fallen.from, to: fallen.to, since: same.map_or(now, |seen| seen.since), endpoint }
    });
    let seen = seen.collect::<Vec<_>>();
    if seen == before {
        return Ok(());
    }
    let seen = serde_json::to_string(&seen).map_err(|error| store::Error::failed("could not keep versions", error))?;
    instances::keep_versions(tx, id, set, &seen)
}

/// A session that is not ended ends by itself.
async fn sign_out(client: Client) {
    let _ = tokio::time::timeout(SIGN_OUT_TIMEOUT, client.close()).await;
}

fn row(endpoint: Endpoint, quota: &Quota) -> quotas::Quota {
    quotas::Quota {
        endpoint: endpoint.word(),
        limit_calls: quota.limit,
        window_seconds: quota.window_seconds,
        remaining: quota.remaining,
        wait_until_at: quota.wait_until,
        concurrency: quota.concurrency,
        seen_at: quota.seen_at,
        refused_at: quota.refused_at,
        refused: quota.refused.clone(),
    }
}

/// A row as the client has it.
pub(crate) fn quota(row: &quotas::Quota) -> Quota {
    Quota {
        limit: row.limit_calls,
        window_seconds: row.window_seconds,
        remaining: row.remaining,
        wait_until: row.wait_until_at,
        concurrency: row.concurrency,
        seen_at: row.seen_at,
        refused_at: row.refused_at,
        refused: row.refused.clone(),
    }
}

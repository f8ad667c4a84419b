//! Taking a signed catalogue into force: root metadata, index and entries are verified before anything is stored.
//!
//! The server holds no content key. The first root is trusted because a SuperUser installs it; every later one has to
//! be signed as the one before demands. Agents verify everything again, from the root they enrolled with.

use crate::app::App;
use crate::engine::approvals;
use crate::http::auth::Caller;
use crate::http::error::Error;
use ::catalogue::applies::OsCondition;
use ::catalogue::index::verify_bundle;
use ::catalogue::schema::Entry as CatalogueEntry;
use domain::access::{Action, Record};
use domain::time::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use protocol::digest::Digest;
use protocol::root::{Role, Root};
use protocol::signed::{Envelope, SigningKey};
use std::collections::BTreeMap;
use store::audit::{self, Entry};
use store::catalogue::{NewEntry, Release, renewal};
use store::{Transaction, catalogue, jobs};

/// Largest root metadata envelope read, in bytes.
const ROOT_BYTES_MAX: usize = 64 * 1024;

/// What is to be installed: exact texts, as signed.
#[derive(Debug, Clone, Default)]
pub struct Parcel {
    /// Root metadata envelopes, oldest first; those already known may be among them.
    pub roots: Vec<String>,
    /// The index envelope.
    pub index: String,
    /// The entries.
    pub entries: Vec<String>,
}

/// What was installed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Installed {
    /// Version of the index.
    pub version: u64,
    /// Usable entries.
    pub entries: usize,
    /// Entries set aside, with the reason.
    pub rejected: Vec<(String, String)>,
}

/// The key this server signs orders with; root metadata has to name it in its order role.
#[must_use]
pub fn order_key(app: &App) -> SigningKey {
    SigningKey::from_secret(&app.keys.order.to_bytes())
}

/// The root metadata in force.
///
/// # Errors
/// A failure of the store, or stored metadata that cannot be read.
pub fn root(tx: &mut Transaction<'_>) -> Result<Option<(Root, String)>, Error> {
    let mut texts = catalogue::roots(tx)?;
    let root = follow(&texts)?;
    Ok(root.zip(texts.pop().map(|(_, text)| text)))
}

/// The last of a chain of root metadata, each signed as the one before demands.
fn follow(texts: &[(i64, String)]) -> Result<Option<Root>, Error> {
    let mut trusted: Option<Root> = None;
    for (_, text) in texts {
        let envelope = Envelope::parse(text.as_bytes(), ROOT_BYTES_MAX).map_err(Error::internal)?;
        trusted = Some(match &trusted {
            None => Root::trust_first(&envelope).map_err(Error::internal)?,
            Some(root) => root.accept_update(&envelope).map_err(Error::internal)?,
        });
    }
    Ok(trusted)
}

/// The root metadata in force for who asks often: the texts are read each time, their signatures are looked at again only when the
/// texts are others. Nothing of it depends on the time: whether a root is fresh is asked of it each time, too.
#[derive(Debug, Default)]
pub struct Roots {
    texts: Vec<(i64, String)>,
    in_force: Option<Root>,
}

impl Roots {
    /// The root metadata in force.
    ///
    /// # Errors
    /// As [`root`]; then nothing is in force here.
    pub fn in_force(&mut self, tx: &mut Transaction<'_>) -> Result<Option<&Root>, Error> {
        let texts = catalogue::roots(tx)?;
        if texts != self.texts {
            *self = Roots::default();
            self.in_force = follow(&texts)?;
            self.texts = texts;
        }
        Ok(self.in_force.as_ref())
    }
}

/// Verify and install.
///
/// # Errors
/// A missing permission; `untrusted_root`, `order_key_missing`, `catalogue_refused` with the particulars.
pub async fn install(app: &App, caller: &Caller, parcel: Parcel) -> Result<Installed, Error> {
    caller.may(Action::CatalogueInstall, &Record::default())?;
    let (caller, now, key) = (caller.clone(), app.clock.now(), order_key(app));
    let installed = app.database.try_write(move |tx| install_in(tx, &caller, &parcel, &key, now)).await?;
    app.wake.notify("catalogue", 0);
    Ok(installed)
}

fn install_in(
    tx: &mut Transaction<'_>,
    caller: &Caller,
    parcel: &Parcel,
    key: &SigningKey,
    now: Timestamp,
) -> Result<Installed, Error> {
    let root = adopt_roots(tx, caller, &parcel.roots, now)?;
    if !root.role_keys(Role::Order).iter().any(|listed| listed.id() == key.id()) {
        let sentence = format!(
            "the root metadata does not name this server's order key {} in its order role; sign a root that does",
            key.id()
        );
        return Err(refused("order_key_missing", sentence));
    }
    let highest = catalogue::newest(tx)?.map_or(0, |release| u64::try_from(release.version).unwrap_or(0));
    let contents: BTreeMap<Digest, Vec<u8>> =
        parcel.entries.iter().map(|text| (Digest::of(text.as_bytes()), text.clone().into_bytes())).collect();
    let verified = verify_bundle(&root, parcel.index.as_bytes(), &contents, now, highest)
        .map_err(|error| refused("catalogue_refused", error.to_string()))?;
    let version = verified.index().version();
    if version == highest {
        return Ok(Installed { version, entries: verified.entries().count(), rejected: Vec::new() });
    }
    let today = now.to_jiff().to_zoned(TimeZone::UTC).date();
    let entries: Vec<NewEntry> = verified.entries().map(|entry| row(entry.entry(), entry.bytes(), today)).collect();
    let release = Release {
        version: i64::try_from(version).map_err(Error::internal)?,
        expires_at: verified.index().index().expires,
        index_envelope: parcel.index.clone(),
    };
    catalogue::install(tx, &release, &entries, now)?;
    renew(tx, caller, version, now)?;
    let rejected =
        verified.rejected().iter().map(|(id, error)| (id.to_string(), error.to_string())).collect::<Vec<_>>();
    let detail = serde_json::json!({ "version": version, "entries": entries.len(), "rejected": rejected });
    let actor = caller.author();
    audit::append(tx, &Entry { at: now, actor: &actor, action: "catalogue.install", resource: "catalogue", detail })?;
    Ok(Installed { version, entries: entries.len(), rejected })
}

/// Take what is past its last day out of what is offered: nothing new is made with it. Gives how many entries.
///
/// # Errors
/// See [`store::Error`].
pub async fn lapse(app: &App) -> store::Result<u64> {
    let now = app.clock.now();
    app.database.write(move |tx| renewal::lapse(tx, now)).await
}

/// Let jobs that were made under an older release go on with this one (`store::catalogue::renewal`). What somebody is asked to
/// approve is not changed under his eyes: the request ends and another takes its place.
fn renew(tx: &mut Transaction<'_>, caller: &Caller, version: u64, now: Timestamp) -> Result<(), Error> {
    for request in renewal::outdated_requests(tx)? {
        approvals::outdated(tx, request, version, now)?;
    }
    let actor = caller.author();
    for one in renewal::actions(tx)? {
        jobs::touch(tx, one.job_id, now)?;
        let resource = format!("jobs/{}", jobs::name(one.job_number));
        let detail = serde_json::json!({
            "entry": one.entry, "before": one.before, "after": one.after, "catalogue": version,
        });
        audit::append(tx, &Entry { at: now, actor: &actor, action: "job.renew", resource: &resource, detail })?;
    }
    let policy = approvals::policy(tx)?;
    let mut asking = BTreeMap::new();
    for of in renewal::outdated(tx)? {
        let applies = of.kind == "apply";
        // Of a run at work nobody can be asked any more: what it has not done ends with the reason when its turn comes.
        if applies && of.begun && approvals::asks(policy, &approvals::content(tx, of.after)?.1) {
            continue;
        }
        renewal::tasks(tx, &of)?;
        if applies && !of.begun {
            asking.insert(of.run_id, of.job_id);
        }
    }
    for (run, job) in asking {
        let job = jobs::read(tx, job)?;
        approvals::ask(tx, &job, run, now)?;
    }
    Ok(())
}

fn adopt_roots(tx: &mut Transaction<'_>, caller: &Caller, roots: &[String], now: Timestamp) -> Result<Root, Error> {
    let mut trusted = root(tx)?.map(|(root, _)| root);
    for text in roots {
        let envelope = Envelope::parse(text.as_bytes(), ROOT_BYTES_MAX)
            .map_err(|error| refused("untrusted_root", error.to_string()))?;
        let next = match &trusted {
            None => {
                // Whom to trust at all is decided once, by the people who hold the keys of the installation.
                caller.may(Action::KeysChange, &Record::default())?;
                Root::trust_first(&envelope)
            }
            Some(known) => {
                let claimed: Option<Root> = serde_json::from_slice(envelope.unverified_payload()).ok();
                if claimed.is_some_and(|claimed| claimed.version <= known.version) {
                    continue;
                }
                known.accept_update(&envelope)
            }
        };
        let next = next.map_err(|error| refused("untrusted_root", error.to_string()))?;
        catalogue::add_root(tx, i64::try_from(next.version).map_err(Error::internal)?, text, now)?;
        trusted = Some(next);
    }
    trusted.ok_or_else(|| {
        refused("untrusted_root", "no root metadata is in force and none came with the catalogue".to_owned())
    })
}

fn refused(code: &'static str, sentence: String) -> Error {
    Error::Refused(domain::refusal::Refusal::new(code, sentence))
}

fn row(entry: &CatalogueEntry, bytes: &[u8], today: Date) -> NewEntry {
    let mut covers = Vec::new();
    for covered in &entry.vulnerabilities {
        let (coverage, points) = (covered.coverage, i64::from(covered.points));
        match &covered.cve {
            Some(cve) => covers.push((cve.to_string(), 0, coverage, points)),
            None => covers.extend(covered.qids.iter().map(|qid| (String::new(), i64::from(qid.qid), coverage, points))),
        }
    }
    NewEntry {
        entry: entry.id.to_string(),
        revision: i64::from(entry.revision),
        digest: Digest::of(bytes).to_string(),
        title: entry.title.to_string(),
        platform: entry.platform.as_str().to_owned(),
        implication: match entry.implication {
            domain::mitigation::Implication::Mitigation => "mitigation",
            domain::mitigation::Implication::Fix => "fix",
        }
        .to_owned(),
        risk: entry.human.risk.as_str().to_owned(),
        reversible: entry.after.reversible.as_str() != "no",
        needs: entry.capabilities().into_iter().collect::<Vec<_>>().join(" "),
        systems: stored(&entry.applies.os),
        requires_fixed: entry.applies.requires_fixed.iter().map(ToString::to_string).collect::<Vec<_>>().join(" "),
        offered_until: entry.valid_until.and_then(after),
        offered: entry.is_offered(today),
        body: bytes.to_vec(),
        covers,
    }
}

/// The first instant after this day.
fn after(last: Date) -> Option<Timestamp> {
    let next = last.tomorrow().ok()?.to_zoned(TimeZone::UTC).ok()?;
    Some(Timestamp::from_micros(next.timestamp().as_microsecond()))
}

/// The operating systems that an entry is meant for, as they are stored; see [`systems`].
fn stored(systems: &[OsCondition]) -> String {
    if systems.is_empty() { String::new() } else { serde_json::to_string(systems).unwrap_or_default() }
}

/// The operating systems that a stored entry is meant for; none = any of its platform.
#[must_use]
pub fn systems(stored: &str) -> Vec<OsCondition> {
    serde_json::from_str(stored).unwrap_or_default()
}

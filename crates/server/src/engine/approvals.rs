//! Approval of runs by a second person: asked for when a run is made, signed or rejected by people, kept to by orders.
//!
//! `domain::approval` decides who may and what follows, `protocol::approval` what is signed and what an order has to keep to.
//! The server only carries: it holds no key that could sign an approval.

pub mod anew;
pub mod back;
mod bound;
pub mod kept;

use crate::app::App;
use crate::engine::catalogue::root;
use crate::engine::jobs::{self as engine, Job};
use crate::engine::runs as engine_runs;
use crate::http::auth::Caller;
use crate::http::error::Error;
use ::catalogue::schema::{Entry as CatalogueEntry, Reboot, Reversible};
pub use bound::{Approvals, Bound};
use domain::access::Action;
use domain::approval::{self, Decision, Policy, Request, State};
use domain::id::{AssetId, RunId, UserId};
use domain::job::{Life, Status};
use domain::refusal::Refusal;
use domain::score::{self, Mitigation};
use domain::time::Timestamp;
use protocol::approval::{
    ENTRIES_MAX, MANIFEST_BYTES_MAX, MANIFEST_TYPE, MANIFEST_VERSION, Plan, PlanAsset, PlanEntry, PlanScore, older,
};
use protocol::digest::Digest;
use protocol::order::OrderKind;
use protocol::root::{Role, Root};
use protocol::signed::Envelope;
use std::collections::{BTreeMap, BTreeSet};
use store::approvals::{self, ApprovalRow, NewApproval, Planned, TargetRow};
use store::audit::{self, Entry};
use store::catalogue::EntryRow;
use store::jobs::JobRow;
use store::scores::{self, Put};
use store::{Transaction, accounts, catalogue, jobs, runs, settings};
use uuid::Uuid;

/// The setting that says from which class on a second person is asked.
pub const POLICY: &str = "approval";

/// From which class on a second person is asked.
///
/// # Errors
/// A failure of the store.
pub fn policy(tx: &mut Transaction<'_>) -> Result<Policy, Error> {
    Ok(settings::get::<Policy>(tx, POLICY)?.map_or_else(Policy::default, |setting| setting.value))
}

/// Set it.
///
/// # Errors
/// A missing permission, or a class outside of what can be set.
pub async fn set_policy(app: &App, caller: &Caller, policy: Policy) -> Result<Policy, Error> {
    caller.may(Action::SettingsChange, &domain::access::Record::default())?;
    policy.validate().map_err(|refusal| Error::field("from_class", refusal.code, refusal.sentence))?;
    let (author, now) = (caller.author(), app.clock.now());
    app.database
        .try_write(move |tx| {
            settings::put(tx, &author, POLICY, &policy, None, now)?;
            Ok::<_, Error>(policy)
        })
        .await
}

/// An entry by its key, read from its signed bytes.
///
/// # Errors
/// A failure of the store, or bytes that are no entry.
pub fn content(tx: &mut Transaction<'_>, key: i64) -> Result<(EntryRow, CatalogueEntry, Vec<u8>), Error> {
    let row = catalogue::entry(tx, key)?;
    let body = catalogue::body(tx, &row.digest)?.ok_or_else(|| Error::internal("an entry without a body"))?;
    let entry = CatalogueEntry::from_json(&body).map_err(Error::internal)?;
    Ok((row, entry, body))
}

/// Whether an entry needs a second person under a policy.
#[must_use]
pub fn asks(policy: Policy, entry: &CatalogueEntry) -> bool {
    policy.asks(entry.class(), entry.after.reversible != Reversible::No)
}

/// Ask for the approval of a run that was just made, where one of its entries demands it; gives the request's key. Its tasks
/// stay pending until then. A rollback never asks.
///
/// # Errors
/// A failure of the store; more entries than one approval can name.
pub fn ask(tx: &mut Transaction<'_>, job: &JobRow, run: RunId, now: Timestamp) -> Result<Option<i64>, Error> {
    let planned = approvals::planned(tx, run)?;
    let policy = policy(tx)?;
    let mut entries = BTreeMap::new();
    for key in planned.iter().map(|task| task.entry_key).collect::<BTreeSet<_>>() {
        entries.insert(key, content(tx, key)?);
    }
    if !entries.values().any(|(_, entry, _)| asks(policy, entry)) {
        return Ok(None);
    }
    if entries.len() > ENTRIES_MAX {
        let sentence = format!("one approval covers at most {ENTRIES_MAX} actions; split the job");
        return Err(Error::field("actions", "too_many_actions", sentence));
    }
    let authors = authors(tx, job)?;
    let asker = approvals::enabled_by(tx, job.id)?.unwrap_or(job.owner_id);
    let by = accounts::names(tx, &[asker])?.pop().map(|(_, name)| name).unwrap_or_default();
    let last = planned.iter().map(|task| task.due_at).max().unwrap_or(now);
    let until = approval::valid_until(now, last);
    let plan = plan(tx, job, run, &planned, &entries, (by, now, until))?;
    let id = store_request(tx, job, run, &plan, &authors, now)?;
    let detail = serde_json::json!({
        "approval": id, "run": plan.run, "entries": plan.entries.len(), "machines": plan.targets().len(),
        "plan": Digest::of(plan.to_json().as_bytes()),
    });
    note(tx, "engine/approvals", "approval.ask", job, detail, now)?;
    Ok(Some(id))
}

fn authors(tx: &mut Transaction<'_>, job: &JobRow) -> Result<BTreeSet<UserId>, Error> {
    let mut authors: BTreeSet<UserId> = jobs::coauthors(tx, job.id)?.into_iter().collect();
    authors.insert(job.owner_id);
    authors.extend(approvals::enabled_by(tx, job.id)?);
    Ok(authors)
}

fn store_request(
    tx: &mut Transaction<'_>,
    job: &JobRow,
    run: RunId,
    plan: &Plan,
    authors: &BTreeSet<UserId>,
    now: Timestamp,
) -> Result<i64, Error> {
    let text = plan.to_json();
    let manifest = String::from_utf8(plan.manifest(&text).to_json()).map_err(Error::internal)?;
    let tree = plan.tree();
    let mut targets = Vec::new();
    for (index, (agent_id, instance_id)) in plan.targets().into_iter().enumerate() {
        let proof = tree.proof(index).ok_or_else(|| Error::internal("a leaf without a proof"))?;
        let proof = serde_json::to_string(&proof).map_err(Error::internal)?;
        targets.push(TargetRow { agent_id, instance_id, proof });
    }
    let needed = root(tx)?.map_or(1, |(root, _)| root.role(Role::Organisation).threshold);
    let keys: Vec<i64> = authors.iter().map(|author| author.0).collect();
    let new = NewApproval {
        job: job.id,
        run,
        ordinal: i64::try_from(plan.run).unwrap_or(i64::MAX),
        plan: &text,
        rollout: &serde_json::to_string(&plan.rollout).map_err(Error::internal)?,
        manifest: &manifest,
        manifest_digest: &Digest::of(manifest.as_bytes()).to_string(),
        needed: i64::from(needed),
        class: plan.entries.iter().map(|entry| i64::from(entry.class)).max().unwrap_or(0),
        entries: i64::try_from(plan.entries.len()).unwrap_or(i64::MAX),
        machines: i64::try_from(targets.len()).unwrap_or(i64::MAX),
        authors: &serde_json::to_string(&keys).map_err(Error::internal)?,
        requested_by: &plan.requested_by,
        valid_until: plan.valid_until,
    };
    Ok(approvals::ask(tx, &new, &targets, now)?)
}

type Contents = BTreeMap<i64, (EntryRow, CatalogueEntry, Vec<u8>)>;

/// The plan of a run as it stands now.
fn plan(
    tx: &mut Transaction<'_>,
    job: &JobRow,
    run: RunId,
    planned: &[Planned],
    contents: &Contents,
    (requested_by, valid_from, valid_until): (String, Timestamp, Timestamp),
) -> Result<Plan, Error> {
    let run = store::rollouts::run(tx, run)?;
    let mut assets: BTreeMap<(String, AssetId, Uuid, Uuid), PlanAsset> = BTreeMap::new();
    let mut put = Vec::new();
    for task in planned {
        let key = (task.name.clone(), task.asset_id, task.agent_id, task.instance_id);
        let asset = assets.entry(key).or_insert_with(|| PlanAsset {
            name: task.name.clone(),
            ip: task.ip.clone(),
            agent_id: task.agent_id,
            instance_id: task.instance_id,
            wave: kept::wave(task),
            due_at: task.due_at,
            start_by: task.start_by,
            entries: Vec::new(),
        });
        asset.entries.push(task.entry.clone());
        let restart = contents.get(&task.entry_key).is_some_and(|(_, entry, _)| entry.after.reboot == Reboot::Required);
        put.push(Put { asset: task.asset_id, entry_key: task.entry_key, state: score::expected(restart) });
    }
    let mut entries = Vec::new();
    for (row, entry, body) in contents.values() {
        entries.push(PlanEntry {
            id: row.entry.clone(),
            revision: u32::try_from(row.revision).unwrap_or(0),
            digest: row.digest.parse().map_err(Error::internal)?,
            class: entry.class(),
            body: String::from_utf8(body.clone()).map_err(Error::internal)?,
        });
    }
    entries.sort_by(|a, b| a.id.cmp(&b.id));
    Ok(Plan {
        v: MANIFEST_VERSION,
        job: job.name(),
        run: u64::try_from(run.ordinal).unwrap_or(0),
        kind: OrderKind::Apply,
        title: job.title.clone(),
        description: job.description.clone(),
        schedule: domain::schedule::words::whole(&serde_json::from_str(&job.schedule).map_err(Error::internal)?),
        requested_by,
        valid_from,
        valid_until,
        rollout: kept::rollout(tx, &run)?,
        entries,
        assets: assets.into_values().collect(),
        score: sum(&scores::predict(tx, &put)?),
    })
}

fn sum(items: &[scores::Predicted]) -> PlanScore {
    PlanScore {
        items: items.len() as u64,
        before: items.iter().map(|item| u64::from(item.before)).sum(),
        after: items.iter().map(|item| u64::from(item.after)).sum(),
        mitigated: items.iter().filter(|item| item.mitigation == Mitigation::Mitigated).count() as u64,
    }
}

/// A request with its job, for somebody who may look at all of it.
#[derive(Debug, Clone)]
pub struct Seen {
    /// The request.
    pub row: ApprovalRow,
    /// Its job.
    pub job: Job,
}

impl Seen {
    /// The part that decides who may decide.
    ///
    /// # Errors
    /// Authors that cannot be read.
    pub fn request(&self) -> Result<Request, Error> {
        let authors: Vec<i64> = serde_json::from_str(&self.row.authors).map_err(Error::internal)?;
        // Who became owner or co-author since the request is no second person either.
        let authors = authors.into_iter().map(UserId).chain(self.job.coauthors.iter().copied());
        Ok(Request {
            state: self.row.state,
            authors: authors.chain([self.job.row.owner_id]).collect(),
            valid_until: self.row.valid_until,
        })
    }

    /// Why this caller may not decide now, permission first; empty when he may.
    #[must_use]
    pub fn why_not(&self, caller: &Caller, now: Timestamp) -> String {
        if let Err(reason) = caller.decide(Action::JobApprove, &self.job.record).ok() {
            return reason.to_string();
        }
        match self.request() {
            Ok(request) => {
                approval::may_decide(&request, caller.user, now).err().map(|r| r.sentence).unwrap_or_default()
            }
            Err(_) => "who asked for it cannot be read".to_owned(),
        }
    }
}

/// Load a request. A plan names every machine of its job, so who sees a part of them only does not see it.
///
/// # Errors
/// Not found, also where the caller may not know of its job.
pub fn load(tx: &mut Transaction<'_>, caller: &Caller, id: i64) -> Result<Seen, Error> {
    let missing = || Error::NotFound(format!("approval {id}"));
    let row = approvals::find(tx, id)?.ok_or_else(missing)?;
    let job = engine::load(tx, caller, row.job_number).map_err(|error| match error {
        Error::NotFound(_) => missing(),
        other => other,
    })?;
    if job.hidden > 0 {
        return Err(domain::access::Reason::PartlyOutOfScope.into());
    }
    Ok(Seen { row, job })
}

/// What a signature led to.
enum Signed {
    Kept(Box<Seen>),
    Changed(&'static str, Option<i64>),
}

/// Take a signed envelope: with as many keys as the root demands the run goes on.
///
/// # Errors
/// A missing permission, a refusal of `domain::approval`, an envelope that is not over this request's manifest or not signed
/// by a key of the organisation role; `approval_changed` when machines, content, times or the rollout changed since the plan was
/// made, which makes a new request.
pub async fn sign(app: &App, caller: &Caller, id: i64, envelope: String) -> Result<Seen, Error> {
    let (doer, now) = (caller.clone(), app.clock.now());
    let signed = app.database.try_write(move |tx| sign_in(tx, &doer, id, &envelope, now)).await?;
    tell(app);
    match signed {
        Signed::Kept(seen) => {
            app.wake.notify("job", seen.job.row.id.0);
            Ok(*seen)
        }
        Signed::Changed(why, next) => {
            let next = next.map_or(String::new(), |next| format!("; request {next} asks for what it is now"));
            let sentence = format!("{why}, so it is void{next}");
            Err(Refusal::new("approval_changed", sentence).into())
        }
    }
}

fn tell(app: &App) {
    app.wake.notify("approval", 0);
    app.wake.notify("dispatch", 0);
}

fn sign_in(tx: &mut Transaction<'_>, caller: &Caller, id: i64, text: &str, now: Timestamp) -> Result<Signed, Error> {
    let seen = load(tx, caller, id)?;
    caller.may(Action::JobApprove, &seen.job.record)?;
    let request = seen.request()?;
    approval::may_decide(&request, caller.user, now)?;
    let (plan, manifest) = approvals::texts(tx, id)?;
    let root = root(tx)?.map(|(root, _)| root);
    let root =
        root.ok_or_else(|| Refusal::new("no_root", "no root metadata is in force; install a signed catalogue"))?;
    // Before the envelope: nobody can make one of a form that is signed no more.
    if older(&manifest) {
        let next = anew::ask_again(tx, &caller.author(), &seen.job.row, &seen.row, anew::OLDER, now)?;
        return Ok(Signed::Changed(anew::OLDER, next));
    }
    let envelope = believed(&root, text, &manifest, now)?;
    if kept::changed(tx, seen.row.run_id, &plan)? {
        let next = anew::ask_again(tx, &caller.author(), &seen.job.row, &seen.row, anew::CHANGED, now)?;
        return Ok(Signed::Changed(anew::CHANGED, next));
    }
    let mut merged = envelope;
    if !seen.row.envelope.is_empty() {
        let known = Envelope::parse(seen.row.envelope.as_bytes(), MANIFEST_BYTES_MAX).map_err(Error::internal)?;
        merged.merge(&known);
    }
    // A signature by a key that a newer root took out again counts no more.
    let role = root.role(Role::Organisation);
    merged.keep_signatures_of(&role.keyids);
    let signers = merged.verify(MANIFEST_TYPE, &root.role_keys(Role::Organisation), 1).map_err(Error::internal)?;
    let keys: Vec<String> = signers.signers().iter().map(ToString::to_string).collect();
    let signatures = u32::try_from(keys.len()).unwrap_or(u32::MAX);
    let state = approval::decide(&request, caller.user, &Decision::Sign { signatures, needed: role.threshold }, now)?;
    let json = String::from_utf8(merged.to_json()).map_err(Error::internal)?;
    let signed = (state, json.as_str(), i64::from(signatures));
    if !approvals::sign(tx, id, &seen.row.envelope, signed, &caller.name, now)? {
        return Err(
            Refusal::new("approval_meanwhile", "somebody else decided or signed meanwhile; look at it again").into()
        );
    }
    let detail = serde_json::json!({
        "approval": id, "run": seen.row.run_ordinal, "manifest": seen.row.manifest_digest, "keys": keys,
        "needed": role.threshold, "state": state,
    });
    note(tx, &caller.author(), "approval.sign", &seen.job.row, detail, now)?;
    Ok(Signed::Kept(Box::new(load(tx, caller, id)?)))
}

/// The envelope, signed by at least one key of the organisation role over exactly this manifest.
fn believed(root: &Root, text: &str, manifest: &str, now: Timestamp) -> Result<Envelope, Error> {
    let refuse = |code: &str, why: String| Error::field("envelope", code, why);
    if !root.freshness(now).allows_new_work() {
        let sentence =
            format!("the root metadata expired at {}; agents start no new work until it is renewed", root.expires);
        return Err(Refusal::new("root_expired", sentence).into());
    }
    let envelope = Envelope::parse(text.as_bytes(), MANIFEST_BYTES_MAX)
        .map_err(|error| refuse("bad_envelope", error.to_string()))?;
    if envelope.unverified_payload() != manifest.as_bytes() {
        let why = "the envelope is over another manifest than this request's; sign the one that is shown here";
        return Err(refuse("other_manifest", why.to_owned()));
    }
    envelope
        .verify(MANIFEST_TYPE, &root.role_keys(Role::Organisation), 1)
        .map_err(|error| refuse("bad_signature", error.to_string()))?;
    Ok(envelope)
}

/// Reject a request: its run is taken back and the job disabled.
///
/// # Errors
/// A missing permission or reason, a refusal of `domain::approval`.
pub async fn reject(app: &App, caller: &Caller, id: i64, reason: String) -> Result<Seen, Error> {
    let (doer, now) = (caller.clone(), app.clock.now());
    let seen = app
        .database
        .try_write(move |tx| {
            let seen = load(tx, &doer, id)?;
            doer.may(Action::JobApprove, &seen.job.record)?;
            let decision = Decision::Reject { reason: &reason };
            let state = approval::decide(&seen.request()?, doer.user, &decision, now).map_err(of_reason)?;
            end(tx, &seen.row, state, (&doer.name, &doer.author()), reason.trim(), now)?;
            load(tx, &doer, id)
        })
        .await?;
    tell(app);
    app.wake.notify("job", seen.job.row.id.0);
    Ok(seen)
}

fn of_reason(refusal: Refusal) -> Error {
    if refusal.code.starts_with("reason_") {
        return Error::field("reason", refusal.code, refusal.sentence);
    }
    refusal.into()
}

/// Requests for which nobody decided in time end, and their jobs are disabled; gives the jobs.
///
/// # Errors
/// A failure of the store.
pub fn expire(tx: &mut Transaction<'_>, now: Timestamp) -> Result<Vec<domain::id::JobId>, Error> {
    let mut touched = Vec::new();
    for row in approvals::overdue(tx, now)? {
        let state = approval::aged(row.state, row.valid_until, now);
        end(tx, &row, state, ("", "engine/dispatch"), "nobody decided in time", now)?;
        touched.push(row.job_id);
    }
    Ok(touched)
}

/// End a request whose run would do what the catalogue in force, of this version, holds no longer; the run stays, to be asked for
/// anew.
///
/// # Errors
/// A failure of the store.
pub fn outdated(tx: &mut Transaction<'_>, id: i64, version: u64, now: Timestamp) -> Result<(), Error> {
    let Some(row) = approvals::find(tx, id)? else { return Ok(()) };
    let why = format!("release {version} of the catalogue replaces what was to be approved; look at the new request");
    if approvals::end(tx, id, State::Void, "", &why, now)? {
        let job = jobs::read(tx, row.job_id)?;
        let detail = serde_json::json!({ "approval": id, "run": row.run_ordinal, "reason": why });
        note(tx, "engine/catalogue", "approval.void", &job, detail, now)?;
    }
    Ok(())
}

/// End a request without approval. Its run is taken back: nothing of it has started, because it waited for this.
fn end(
    tx: &mut Transaction<'_>,
    row: &ApprovalRow,
    state: State,
    (name, author): (&str, &str),
    reason: &str,
    now: Timestamp,
) -> Result<(), Error> {
    if !approvals::end(tx, row.id, state, name, reason, now)? {
        return Err(Refusal::new("approval_meanwhile", "somebody else decided meanwhile; look at it again").into());
    }
    let job = jobs::read(tx, row.job_id)?;
    runs::drop_one(tx, row.run_id)?;
    if job.started_at.is_some() {
        // Another run of it is under way and was let go: it ends, and nothing follows.
        runs::set_next(tx, job.id, None)?;
    } else if job.status == Status::Enabled {
        engine_runs::withdraw(tx, job.id)?;
        jobs::set_life(tx, job.id, Life { status: Status::Disabled, paused: false, ..job.life() }, now)?;
        jobs::forget_enabled(tx, job.id)?;
    }
    let detail = serde_json::json!({ "approval": row.id, "run": row.run_ordinal, "state": state, "reason": reason });
    let action = if state == State::Expired { "approval.expire" } else { "approval.reject" };
    note(tx, author, action, &job, detail, now)
}

/// The requests of a job that is disabled, cancelled or deleted count no more.
///
/// # Errors
/// A failure of the store.
pub fn withdraw(tx: &mut Transaction<'_>, job: &JobRow, now: Timestamp) -> Result<(), Error> {
    approvals::void(tx, job.id, "the job was disabled, cancelled or deleted", now)?;
    Ok(())
}

fn note(
    tx: &mut Transaction<'_>,
    actor: &str,
    action: &str,
    job: &JobRow,
    detail: serde_json::Value,
    now: Timestamp,
) -> Result<(), Error> {
    let resource = format!("jobs/{}", job.name());
    audit::append(tx, &Entry { at: now, actor, action, resource: &resource, detail })?;
    Ok(())
}

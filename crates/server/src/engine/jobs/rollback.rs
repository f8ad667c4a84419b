//! Rolling back a job: a draft that takes back exactly what the job put in place, as far as it is still in force and ours.
//!
//! Which controls those are is `domain::rollback`'s to say. Only assets that the caller sees and that have an agent are taken;
//! what is left out is said in the draft, so that nobody takes a part for the whole.

use super::choice::{FilledIn, Pair, kept_to};
use super::{Job, Text, assets_of, draft, load};
use crate::app::App;
use crate::http::auth::Caller;
use crate::http::error::Error;
use domain::access::{Action, Record};
use domain::asset::Platform;
use domain::id::{AssetId, JobId, VulnerabilityId};
use domain::job::{Kind, Status, Target};
use domain::refusal::Refusal;
use domain::rollback::{Turn, put_in_place};
use domain::time::Timestamp;
use std::collections::{BTreeMap, BTreeSet};
use store::controls::rollback;
use store::{Transaction, agents, jobs, rollouts, selection};

/// Make a draft that rolls a job back. Needs what making a rollback job needs, and that the caller may look at the job.
///
/// # Errors
/// Not found, a missing permission, `job_is_draft`, `job_is_rollback`; `nothing_to_roll_back` where nothing of it is in force and
/// ours inside the caller's scope, `no_assets` where no agent is left that could take it back.
pub async fn roll_back(app: &App, caller: &Caller, number: i64) -> Result<Job, Error> {
    let (caller, now) = (caller.clone(), app.clock.now());
    // What a job did in years is read before, so that nothing that writes waits for it; what it comes to now is read after.
    let asks = caller.clone();
    let controls = app.database.try_read(move |tx| {
        let job = may_roll_back(tx, &asks, number)?;
        Ok::<_, Error>(rollback::of_job(tx, job.row.id)?)
    });
    let controls = controls.await?;
    app.database.try_write(move |tx| roll_back_in(tx, &caller, number, &controls, now)).await
}

/// Why there is no way back for such a job, whatever it put in place and whoever asks.
#[must_use]
pub fn no_way_back(job: &Job) -> Option<Refusal> {
    match (job.row.kind, job.row.status) {
        (Kind::Rollback, _) => Some(Refusal::new("job_is_rollback", "it is a rollback itself; mitigate again instead")),
        (_, Status::Draft) => Some(Refusal::new("job_is_draft", "it is a draft, so nothing of it is in force")),
        _ => None,
    }
}

/// The job, where the caller may roll it back and there is a way back.
fn may_roll_back(tx: &mut Transaction<'_>, caller: &Caller, number: i64) -> Result<Job, Error> {
    let job = load(tx, caller, number)?;
    caller.may(Action::Rollback, &Record::owned_by(caller.user))?;
    match no_way_back(&job) {
        Some(refusal) => Err(refusal.into()),
        None => Ok(job),
    }
}

fn roll_back_in(
    tx: &mut Transaction<'_>,
    caller: &Caller,
    number: i64,
    controls: &[i64],
    now: Timestamp,
) -> Result<Job, Error> {
    let job = may_roll_back(tx, caller, number)?;
    let mut in_place = in_place(tx, &job, controls)?;
    let left_out = clip(tx, caller, &mut in_place)?;
    if in_place.is_empty() && left_out.without_agent > 0 {
        let why = "what the job put in place is on assets without an agent; enrol one there, then roll it back";
        return Err(Refusal::new("no_assets", why).into());
    }
    let name = job.row.name();
    let covered = by_pair(rollback::covered_by(tx, controls)?, &in_place);
    let mut found = filled_in(tx, job.row.id, job.row.platform, &covered)?;
    if found.targets.is_empty() {
        let why = format!("nothing that {name} put in place is in force and ours on the assets that you see");
        return Err(Refusal::new("nothing_to_roll_back", why).into());
    }
    found.only = kept_to(&found.targets, &found.actions, &in_place);
    in_place.retain(|pair| !covered.contains_key(pair));
    let left_out = LeftOut { unnamed: assets(&in_place).len(), ..left_out };
    let detail = serde_json::json!({
        "kind": Kind::Rollback, "of": name, "assets": assets_of(&found.targets).len(), "left_out": left_out.all(),
    });
    let text = Text {
        title: format!("Roll back {name}: {}", job.row.title),
        description: format!("Takes back what {name} put in place and is still ours.{}", left_out.sentence()),
        detail,
    };
    let mut made = draft(tx, caller, Kind::Rollback, &found, text, now)?;
    // As it went out it comes back, unless somebody says otherwise in the draft.
    let rollout = rollouts::policy(tx, job.row.id)?;
    rollouts::set_policy(tx, made.row.id, &rollout)?;
    made.rollout = job.rollout;
    Ok(made)
}

/// On which asset which entry of these controls is in force and ours because of the job.
fn in_place(tx: &mut Transaction<'_>, job: &Job, controls: &[i64]) -> Result<BTreeSet<Pair>, Error> {
    let mut turns: BTreeMap<Pair, Vec<_>> = BTreeMap::new();
    let pairs = rollback::in_force(tx, controls)?;
    for row in rollback::turns(tx, &pairs)? {
        let turn = Turn { job: row.job_id, back: row.kind == "revert", state: row.state, started: row.started };
        turns.entry((row.asset_id, row.entry_key)).or_default().push(turn);
    }
    let by_the_job = |turns: Vec<_>| put_in_place(turns).contains(&job.row.id);
    Ok(turns.into_iter().filter_map(|(pair, turns)| by_the_job(turns).then_some(pair)).collect())
}

/// How many assets are left out of a rollback, and why.
#[derive(Debug, Clone, Copy, Default)]
struct LeftOut {
    /// Outside the caller's scope.
    unseen: usize,
    /// No agent is left on them.
    without_agent: usize,
    /// No item on them names what is in force there any more.
    unnamed: usize,
}

impl LeftOut {
    fn all(self) -> usize {
        self.unseen + self.without_agent + self.unnamed
    }

    /// Said in the draft; empty where nothing is left out.
    fn sentence(self) -> String {
        let reasons = [
            (self.unseen, "outside the asset scope of who made this draft"),
            (self.without_agent, "without an agent"),
            (self.unnamed, "on which no item names the mitigation any more"),
        ];
        let some = |count: usize| if count == 1 { "1 asset".to_owned() } else { format!("{count} assets") };
        let said: Vec<String> = reasons
            .into_iter()
            .filter(|(count, _)| *count > 0)
            .map(|(count, why)| format!("{} {why}", some(count)))
            .collect();
        if said.is_empty() { String::new() } else { format!(" Left out: {}.", said.join(", ")) }
    }
}

fn assets(pairs: &BTreeSet<Pair>) -> BTreeSet<AssetId> {
    pairs.iter().map(|(asset, _)| *asset).collect()
}

/// Leave out what the caller does not see, and what no agent could take back.
fn clip(tx: &mut Transaction<'_>, caller: &Caller, in_place: &mut BTreeSet<Pair>) -> Result<LeftOut, Error> {
    let all = assets(in_place);
    let keys: Vec<i64> = all.iter().map(|asset| asset.0).collect();
    let seen: BTreeSet<AssetId> = selection::seen(tx, &keys, &caller.scope)?.into_iter().collect();
    let agents = agents::on_assets(tx, seen.iter().copied())?;
    in_place.retain(|(asset, _)| agents.contains_key(asset));
    Ok(LeftOut { unseen: all.len() - seen.len(), without_agent: seen.len() - agents.len(), unnamed: 0 })
}

/// For which vulnerabilities a pair is there.
pub(super) type Covered = BTreeMap<Pair, Vec<VulnerabilityId>>;

/// For which vulnerabilities each of these pairs is there.
pub(super) fn by_pair(rows: Vec<(VulnerabilityId, AssetId, i64)>, pairs: &BTreeSet<Pair>) -> Covered {
    let mut covered = Covered::new();
    for (vulnerability, asset, entry) in rows {
        if pairs.contains(&(asset, entry)) {
            covered.entry((asset, entry)).or_default().push(vulnerability);
        }
    }
    covered
}

/// The targets and actions that give these pairs: for the vulnerabilities that the job has there, or, where its targets have
/// changed since, for all that the entry covers.
pub(super) fn filled_in(
    tx: &mut Transaction<'_>,
    job: JobId,
    platform: Platform,
    covered: &Covered,
) -> Result<FilledIn, Error> {
    let own: BTreeSet<Target> = jobs::targets(tx, job)?.into_iter().collect();
    let (mut targets, mut actions) = (BTreeSet::new(), BTreeSet::new());
    for (&(asset, entry), vulnerabilities) in covered {
        let of_job = |vulnerability: &VulnerabilityId| own.contains(&Target { asset, vulnerability: *vulnerability });
        let any = vulnerabilities.iter().any(of_job);
        for vulnerability in vulnerabilities.iter().filter(|vulnerability| !any || of_job(vulnerability)) {
            targets.insert(Target { asset, vulnerability: *vulnerability });
            actions.insert((*vulnerability, entry));
        }
    }
    Ok(FilledIn {
        platform,
        targets: targets.into_iter().collect(),
        actions: actions.into_iter().collect(),
        only: Vec::new(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_out_is_said() {
        assert_eq!(LeftOut::default().sentence(), "");
        let left_out = LeftOut { unseen: 2, without_agent: 1, unnamed: 0 };
        assert_eq!(
            left_out.sentence(),
            " Left out: 2 assets outside the asset scope of who made this draft, 1 asset without an agent."
        );
        assert_eq!(left_out.all(), 3);
    }
}

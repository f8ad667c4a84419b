//! What the demo mitigates: few vulnerabilities, one for each kind of action that really has something to do on the machines.
//!
//! The catalogue's answer comes from the server like everybody's. Whether an entry applies on a machine, and is not in place
//! there yet, is asked of the agent's own code: an installation would show such tasks as skipped, with their reason, but they
//! show nothing of the loop.

use super::narrator::Narrator;
use super::stage::{Machine, Stage};
use crate::client::path;
use crate::failure::Failure;
use agent::fs::Tree;
use agent::host::Host;
use agent::kinds::{self, Workspace};
use catalogue::applies::Applicability;
use catalogue::schema::Entry;
use domain::mitigation::ControlState;
use protocol::api::response::EliminationsBody;
use qualys_sim::weakness::{self, Judge, Weakness};
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

/// What the demo decided to do.
#[derive(Debug, PartialEq, Eq)]
pub struct Plan {
    /// QIDs of the job.
    pub qids: Vec<i64>,
    /// The one whose score is told: the scanner goes on seeing it, because only its version was looked at.
    pub told: i64,
}

/// A vulnerability that the job could be about.
#[derive(Debug, Clone)]
struct Candidate {
    qid: i64,
    /// Machines that have it.
    assets: usize,
    /// Kinds of action that its entries take.
    kinds: BTreeSet<&'static str>,
    /// Fit to be told: one CVE, and the scanner goes on seeing it.
    tellable: bool,
    title: &'static str,
}

/// Choose for the three machines.
///
/// # Errors
/// Where nothing of this seed can be told.
pub async fn choose(stage: &Stage, voice: &Narrator) -> Result<Plan, Failure> {
    let step = voice.step("View Risk Elimination: what does the catalogue hold for what was found?");
    let entries = catalogue::embedded::entries().unwrap_or_default();
    let entries: BTreeMap<String, Entry> =
        entries.into_iter().filter(is_simple).map(|entry| (entry.id.to_string(), entry)).collect();
    let hosts = hosts(&stage.machines)?;
    let mut found = Vec::new();
    for weakness in weakness::all() {
        let query = [("qid", weakness.qid.to_string())];
        let body: EliminationsBody = match stage.session.client.get(&path(&["eliminations"]), &query).await {
            Ok(body) => body,
            // This seed's subscription does not have it.
            Err(Failure::Problem(problem)) if problem.status == 404 => continue,
            Err(failure) => return Err(failure),
        };
        found.extend(candidate(weakness, &body, &entries, &hosts));
    }
    let plan = pick(&found).ok_or_else(|| Failure::Said("this seed has nothing to show; try another".to_owned()))?;
    let lines = plan.qids.iter().filter_map(|qid| found.iter().find(|candidate| candidate.qid == *qid)).map(|chosen| {
        let kinds: Vec<&str> = chosen.kinds.iter().copied().collect();
        let assets = if chosen.assets == 1 { "1 asset".to_owned() } else { format!("{} assets", chosen.assets) };
        format!("QID {} on {assets}: {} ({})", chosen.qid, chosen.title, kinds.join(", "))
    });
    step.done(&lines.collect::<Vec<_>>());
    Ok(plan)
}

/// Low risk, reversible, and possible without a package manager, which a root folder does not have.
fn is_simple(entry: &Entry) -> bool {
    !entry.needs_approval() && entry.actions.iter().all(|action| action.kind() != "package.state")
}

/// The machines as their agents look at them, by address.
fn hosts(machines: &[Machine]) -> Result<BTreeMap<String, Host>, Failure> {
    let host = |machine: &Machine| {
        let tree = Tree::open(&machine.root).map_err(|error| Failure::Failed(Box::new(error)))?;
        Ok((machine.host.ip.to_string(), Host::new(tree)))
    };
    machines.iter().map(host).collect()
}

/// Whether the entry applies on the host and is not in place there.
fn has_work(entry: &Entry, host: &Host) -> bool {
    entry.applies.decide(host) == Applicability::Applicable && {
        let findings = kinds::check_all(entry, host, &Workspace::new(&host.tree));
        kinds::entry_state(&findings, false) == ControlState::Exposed
    }
}

/// The weakness, where every entry for it has work on every machine that has it, and together they cover all its CVEs.
fn candidate(
    weakness: &Weakness,
    body: &EliminationsBody,
    entries: &BTreeMap<String, Entry>,
    hosts: &BTreeMap<String, Host>,
) -> Option<Candidate> {
    let usable = body.eliminations.iter().filter(|found| found.implication == "mitigation");
    let chosen: Option<Vec<&Entry>> = usable.map(|found| entries.get(&found.entry)).collect();
    let chosen = chosen.filter(|chosen| !chosen.is_empty() && chosen.len() == body.eliminations.len())?;
    let there: Option<Vec<&Host>> =
        body.assets.iter().filter(|asset| asset.selectable).map(|asset| hosts.get(&asset.ip)).collect();
    let there = there.filter(|there| !there.is_empty())?;
    let covers = body.eliminations.iter().flat_map(|found| &found.covers);
    let covered: BTreeSet<&str> =
        covers.filter(|cover| cover.coverage != "partial").map(|cover| cover.cve.as_str()).collect();
    let all = weakness.cves.iter().all(|cve| covered.contains(cve));
    let works = there.iter().all(|host| chosen.iter().all(|entry| has_work(entry, host)));
    (all && works).then(|| Candidate {
        qid: i64::from(weakness.qid),
        assets: there.len(),
        kinds: chosen.iter().flat_map(|entry| &entry.actions).map(catalogue::actions::Action::kind).collect(),
        tellable: weakness.judge == Judge::Version && weakness.cves.len() == 1,
        title: weakness.title,
    })
}

/// One that can be told, then one more for each kind of action that is not there yet, those on most machines first.
fn pick(found: &[Candidate]) -> Option<Plan> {
    let mut found: Vec<&Candidate> = found.iter().collect();
    found.sort_by_key(|candidate| (Reverse(candidate.assets), candidate.qid));
    let told = *found.iter().find(|candidate| candidate.tellable)?;
    let (mut qids, mut kinds) = (vec![told.qid], told.kinds.clone());
    for candidate in found {
        if !candidate.kinds.is_subset(&kinds) {
            qids.push(candidate.qid);
            kinds.extend(&candidate.kinds);
        }
    }
    Some(Plan { qids, told: told.qid })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(qid: i64, assets: usize, kinds: &[&'static str], tellable: bool) -> Candidate {
        Candidate { qid, assets, kinds: kinds.iter().copied().collect(), tellable, title: "" }
    }

    #[test]
    fn one_is_told_and_every_kind_comes_once_from_where_most_machines_have_it() {
        let all = [
            found(1, 1, &["file.dropin"], false),
            found(2, 3, &["kernel.module"], false),
            found(3, 3, &["file.setting"], true),
            found(4, 2, &["file.dropin"], true),
            found(5, 3, &["file.setting"], true),
            found(6, 1, &["file.dropin", "service.state"], false),
        ];
        assert_eq!(pick(&all), Some(Plan { qids: vec![3, 2, 4, 6], told: 3 }));
    }

    #[test]
    fn without_one_to_tell_there_is_no_plan() {
        assert_eq!(pick(&[]), None);
        assert_eq!(pick(&[found(1, 3, &["kernel.sysctl"], false)]), None);
    }
}

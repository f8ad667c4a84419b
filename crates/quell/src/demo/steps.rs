//! The acts of the demo, in order. Each goes through the public API and looks at what came of it.

use super::choose::{Plan, choose};
use super::narrator::Narrator;
use super::stage::{Machine, Stage};
use super::summary::{Imported, JobSummary, Scan, Score, Summary, Tasks, Verdict};
use crate::client::{ListArguments, path};
use crate::failure::Failure;
use catalogue::ephemeral::Ephemeral;
use protocol::api::exposure::{Item, ItemBody, ItemsBody, ScoreBody};
use protocol::api::integrations as scanners;
use protocol::api::response as body;
use protocol::api::scans;
use protocol::signed::PublicKey;
use qualys_sim::weakness;
use qualys_sim::world;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// The demo's catalogue and keys are good for this long.
const VALID_SECONDS: i64 = 7 * 24 * 3600;
/// Longest wait for anything, in seconds.
const PATIENCE: u64 = 120;

/// Play everything.
///
/// # Errors
/// The first step that did not do what it says.
pub async fn play(stage: &mut Stage, voice: &Narrator) -> Result<Summary, Failure> {
    let mut summary = Summary { seed: stage.seed, ..Summary::default() };
    trust(stage, voice).await?;
    summary.imported = import(stage, voice).await?;
    enrol(stage, voice).await?;
    let plan = choose(stage, voice).await?;
    let told = item(stage, plan.told, |_| true).await?;
    let before = snapshot(&stage.machines);
    summary.job = mitigate(stage, voice, &plan).await?;
    summary.changed_files = changed(&stage.machines, &before, &snapshot(&stage.machines));
    summary.score = lower(stage, voice, &told, &mut summary.mitigated_items).await?;
    let gone = fix(stage, voice, &plan).await?;
    (summary.scan, summary.verdicts) = rescan(stage, voice, &[told.number.clone(), gone]).await?;
    summary.closed_fixed = items(stage, "state:closed and substate:fixed").await?.len();
    Ok(summary)
}

/// A catalogue signed with keys that exist for a moment only, and the scanner's server told to trust it.
async fn trust(stage: &Stage, voice: &Narrator) -> Result<(), Failure> {
    let step = voice.step("Sign the catalogue with demo keys that are thrown away at once, and install it");
    let client = &stage.session.client;
    let present: body::CatalogueBody = client.get(&path(&["catalogue"]), &[]).await?;
    let order: PublicKey = present
        .order_key
        .public
        .parse()
        .map_err(|_| Failure::Said("the server's order key cannot be read".to_owned()))?;
    let entries = catalogue::embedded::entries()
        .map_err(|(source, error)| Failure::Said(format!("the built-in entry {source} is broken: {error}")))?;
    let made = Ephemeral::make(&order, &entries, 1, stage.server.app.clock.now(), VALID_SECONDS)
        .map_err(|error| Failure::Failed(Box::new(error)))?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let parcel = body::CatalogueParcel {
        roots: made.bundle.roots.iter().map(|bytes| text(bytes)).collect(),
        index: text(&made.bundle.index),
        entries: made.bundle.entries.values().map(|bytes| text(bytes)).collect(),
    };
    let installed: body::CatalogueInstalled = client.post(&path(&["catalogue"]), &parcel).await?;
    step.done(&[format!("{} mitigations, index version {}", installed.entries, installed.version)]);
    Ok(())
}

/// Connect the scanner, activate it, import everything.
async fn import(stage: &Stage, voice: &Narrator) -> Result<Imported, Failure> {
    let step = voice.step("Connect Qualys, activate the scanner, import knowledge base and detections");
    let client = &stage.session.client;
    let simulator = &stage.simulator;
    let new = scanners::NewInstance {
        name: "Qualys (simulated)".to_owned(),
        api_url: simulator.api_url(),
        gateway_url: simulator.gateway_url(),
        auth: None,
        username: simulator.username().to_owned(),
        password: simulator.password().to_owned(),
        versions: BTreeMap::new(),
        default_profile: None,
        default_appliance: Some("External".to_owned()),
        tracking_hours: None,
        interval_minutes: None,
        first_days: None,
        disabled: false,
    };
    let made: scanners::InstanceBody = client.post(&path(&["instances"]), &new).await?;
    let id = made.instance.id.to_string();
    let active = scanners::ScannerChange { active: true };
    let _: scanners::ScannerBody = client.patch(&path(&["scanners", "qualys"]), &active, None).await?;
    let mut counters = Vec::new();
    for kind in ["setup", "knowledge_base", "host_detection"] {
        step.progress(kind);
        let request = scanners::ImportRequest { kind: Some(kind.to_owned()) };
        let begun: scanners::ImportBody = client.post(&path(&["instances", &id, "imports"]), &request).await?;
        let address = path(&["imports", &begun.import.number]);
        let ended = stage.session.until(&address, &[], PATIENCE, "an import", |body: scanners::ImportBody| {
            (!matches!(body.import.state.as_str(), "queued" | "running")).then_some(body.import)
        });
        let ended = ended.await?;
        if ended.state != "complete" {
            return Err(Failure::Said(format!("{} ended {}: {}", ended.number, ended.state, ended.detail)));
        }
        counters.push(ended.counters);
    }
    let profiles: scanners::OptionProfilesBody = client.get(&path(&["instances", &id, "option-profiles"]), &[]).await?;
    if let Some(profile) = profiles.option_profiles.first() {
        let change = scanners::InstanceChange {
            default_profile: Some(profile.key.clone()),
            ..scanners::InstanceChange::default()
        };
        let _: scanners::InstanceBody = client.patch(&path(&["instances", &id]), &change, None).await?;
    }
    let sum = |of: fn(&scanners::ImportCounters) -> u64| counters.iter().map(of).sum::<u64>();
    let imported = Imported {
        vulnerabilities: sum(|c| c.vulnerabilities.new + c.vulnerabilities.updated),
        assets: sum(|c| c.assets_new),
        detections: sum(|c| c.detections.new),
    };
    step.done(&[format!(
        "{} vulnerabilities, {} assets, {} detections, {} vulnerable items",
        imported.vulnerabilities,
        imported.assets,
        imported.detections,
        sum(|c| c.items.new)
    )]);
    Ok(imported)
}

/// Enrol an agent on each machine; each has to be recognised as the asset the scanner reported.
async fn enrol(stage: &mut Stage, voice: &Narrator) -> Result<(), Failure> {
    let step = voice.step("Enrol three agents, each a process of its own with a root folder of its own");
    let wanted = stage.machines.len();
    let uses = i64::try_from(wanted).unwrap_or(i64::MAX);
    let new = body::NewEnrolmentToken { label: "demo".to_owned(), uses: Some(uses), hours: Some(1) };
    let made: body::EnrolmentTokenMade = stage.session.client.post(&path(&["agents", "tokens"]), &new).await?;
    stage.start_agents(&made.text).await?;
    let ready = |body: body::AgentsBody| {
        let linked = body.agents.iter().filter(|agent| agent.link == "linked").count();
        (linked == wanted).then_some(body.agents)
    };
    let agents = stage.session.until(&path(&["agents"]), &[], PATIENCE, "recognising the agents", ready).await?;
    let told = agents.iter().map(|agent| {
        format!("{} is {}: {}", agent.hostname, agent.asset_name.as_deref().unwrap_or_default(), agent.evidence)
    });
    step.done(&told.collect::<Vec<_>>());
    Ok(())
}

/// Make the job, save it disabled, enable it, wait for its end.
async fn mitigate(stage: &Stage, voice: &Narrator, plan: &Plan) -> Result<JobSummary, Failure> {
    let step = voice.step("Mitigate Now: a job is made, saved as DISABLED, then enabled");
    let client = &stage.session.client;
    let new = body::NewJob {
        vulnerabilities: plan.qids.iter().map(|qid| body::JobSelection { qid: *qid, assets: None }).collect(),
        title: "Close what cannot be patched today".to_owned(),
        description: "made by quell demo".to_owned(),
        ..body::NewJob::default()
    };
    let draft: body::JobBody = client.post(&path(&["jobs"]), &new).await?;
    let number = draft.job.summary.number.clone();
    let saved: body::JobBody = client.post(&path(&["jobs", &number, "save"]), &body::JobSave { enable: false }).await?;
    let assets = saved.job.assets.len();
    let nothing = serde_json::Map::<String, serde_json::Value>::new();
    let _: body::JobBody = client.post(&path(&["jobs", &number, "enable"]), &nothing).await?;
    let address = path(&["jobs", &number]);
    let ended = stage.session.until(&address, &[], PATIENCE, "the end of the job", |body: body::JobBody| {
        let tasks = &body.job.summary.tasks;
        step.progress(&format!("{} of {} tasks", tasks.total - tasks.open, tasks.total));
        body.job.summary.ended_at.is_some().then_some(body.job.summary)
    });
    let ended = ended.await?;
    let every = ListArguments { all: true, ..ListArguments::default() };
    let place = path(&["jobs", &number, "tasks"]);
    let tasks = client.list(&place, &every, |body: body::TasksBody| (body.tasks, body.next)).await?;
    let mut told = vec![format!("{number} on {assets} assets was DISABLED, then ENABLED, is {}", ended.status)];
    told.extend(tasks.iter().map(|task| {
        format!("{:<22} {:<34} {} ({})", task.asset_name, task.entry, task.state, task.code.unwrap_or(-1))
    }));
    step.done(&told);
    let tasks = Tasks { succeeded: ended.tasks.succeeded, failed: ended.tasks.failed, skipped: ended.tasks.skipped };
    Ok(JobSummary { number, status: ended.status, tasks })
}

/// Look at the scores.
async fn lower(stage: &Stage, voice: &Narrator, told: &Item, mitigated: &mut usize) -> Result<Score, Failure> {
    let step = voice.step("The agents changed the files, checked themselves and reported: scores drop");
    let score: ScoreBody = stage.session.client.get(&path(&["items", &told.number, "score"]), &[]).await?;
    let unit = score.score.units.first();
    let unit = unit.ok_or_else(|| Failure::Said(format!("{} has no score", told.number)))?;
    let found = items(stage, "mitigation:mitigated").await?;
    *mitigated = found.len();
    let lines = found.iter().take(6).map(|item| {
        format!(
            "{} {:<16} QID {}  {} -> {}  Mitigated",
            item.number, item.asset, item.qid, item.inherent, item.residual
        )
    });
    step.done(&lines.collect::<Vec<_>>());
    Ok(Score {
        qid: told.qid,
        cve: unit.cve.clone().unwrap_or_default(),
        before: unit.inherent,
        points: unit.points,
        after: unit.residual,
    })
}

/// Fix one weakness by other means than the job: its package is brought up to date under one machine's root.
async fn fix(stage: &Stage, voice: &Narrator, plan: &Plan) -> Result<String, Failure> {
    let step = voice.step("Meanwhile somebody patches another weakness on one machine");
    for weakness in weakness::all().filter(|weakness| !plan.qids.contains(&i64::from(weakness.qid))) {
        for machine in &stage.machines {
            let open = item(stage, i64::from(weakness.qid), |item| item.ip == machine.host.ip.to_string()).await;
            let Ok(open) = open else { continue };
            let patched = world::fix(&machine.root, weakness.qid).unwrap_or(false);
            if patched && !world::is_found(&machine.root, weakness.qid).unwrap_or(true) {
                step.done(&[format!("{}: QID {} on {}, {}", open.number, open.qid, open.asset, weakness.title)]);
                return Ok(open.number);
            }
        }
    }
    Err(Failure::Said("nothing could be fixed by other means; try another seed".to_owned()))
}

/// Ask for a rescan of what was mitigated and of what was fixed, follow it to its end, and read the verdicts.
async fn rescan(stage: &Stage, voice: &Narrator, items: &[String]) -> Result<(Scan, Vec<Verdict>), Failure> {
    let step = voice.step("Rescan: prove it. Only what the scanner no longer sees closes");
    let client = &stage.session.client;
    // Real scans take minutes and are looked at once a minute; the simulator's take a second.
    let pace = scans::PaceBody { pace: scans::Pace { first_seconds: 1, longest_seconds: 1, search_seconds: 10 } };
    let _: scans::PaceBody = client.put(&path(&["settings", "rescan-pace"]), &pace).await?;
    let request = scans::NewScan { items: items.to_vec(), ..scans::NewScan::default() };
    let begun: scans::RequestedBody = client.post(&path(&["scans"]), &request).await?;
    let address = path(&["scans", &begun.scan.number]);
    let ended = stage.session.until(&address, &[], PATIENCE, "the end of the rescan", |body: scans::ScanBody| {
        step.progress(&body.scan.state);
        (!matches!(body.scan.state.as_str(), "queued" | "scanning")).then_some(body)
    });
    let ended = ended.await?;
    let mut verdicts = Vec::new();
    let mut told = vec![format!("{} is {}, {} child scans", ended.scan.number, ended.scan.state, ended.children.len())];
    for source in &ended.sources {
        let body: ItemBody = client.get(&path(&["items", &source.item]), &[]).await?;
        let verdict = source.verdict.clone().unwrap_or_default();
        told.push(format!(
            "{} {}: {}; the item is {}",
            source.item,
            source.title,
            verdict.replace('_', " "),
            body.item.state
        ));
        verdicts.push(Verdict { item: source.item.clone(), verdict, state: body.item.state });
    }
    step.done(&told);
    let scan = Scan { number: ended.scan.number, state: ended.scan.state, children: ended.children.len() };
    Ok((scan, verdicts))
}

async fn items(stage: &Stage, query: &str) -> Result<Vec<Item>, Failure> {
    let list = ListArguments { query: query.to_owned(), all: true, ..ListArguments::default() };
    stage.session.client.list(&path(&["items"]), &list, |body: ItemsBody| (body.items, body.next)).await
}

/// An open item of a QID on one of the machines.
async fn item(stage: &Stage, qid: i64, fits: impl Fn(&Item) -> bool) -> Result<Item, Failure> {
    let addresses: Vec<String> = stage.machines.iter().map(|machine| machine.host.ip.to_string()).collect();
    let found = items(stage, &format!("qid:{qid} and not state:closed")).await?;
    let found = found.into_iter().find(|item| addresses.contains(&item.ip) && fits(item));
    found.ok_or_else(|| Failure::Said(format!("no open item of QID {qid} on the machines")))
}

/// The files below the machines' roots with what they hold and may do.
type Files = BTreeMap<PathBuf, (Vec<u8>, u32)>;

fn snapshot(machines: &[Machine]) -> Files {
    let mut files = Files::new();
    for machine in machines {
        walk(&machine.root, &mut files);
    }
    files
}

fn walk(folder: &Path, files: &mut Files) {
    use std::os::unix::fs::PermissionsExt as _;
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let (path, Ok(kind)) = (entry.path(), entry.file_type()) else { continue };
        if kind.is_dir() {
            walk(&path, files);
        } else if kind.is_symlink() {
            let target = std::fs::read_link(&path).unwrap_or_default();
            files.insert(path, (target.into_os_string().into_encoded_bytes(), 0));
        } else if let (Ok(bytes), Ok(meta)) = (std::fs::read(&path), entry.metadata()) {
            files.insert(path, (bytes, meta.permissions().mode() & 0o7777));
        }
    }
}

/// What differs, as `machine:/path`.
fn changed(machines: &[Machine], before: &Files, after: &Files) -> Vec<String> {
    let paths: BTreeSet<&PathBuf> = before.keys().chain(after.keys()).collect();
    let differing = paths.into_iter().filter(|path| before.get(*path) != after.get(*path));
    differing
        .filter_map(|path| {
            let machine = machines.iter().find(|machine| path.starts_with(&machine.root))?;
            let inside = path.strip_prefix(&machine.root).ok()?;
            Some(format!("{}:/{}", machine.host.name, inside.display()))
        })
        .collect()
}

//! Jobs and what belongs to them as tables.

use crate::output::Column;
use protocol::api::response::{
    Elimination, EliminationAsset, JobCve, JobEvent, JobSummary, ReportLine, ResolvedInstant, Run, Task,
};
use protocol::api::selection::SelectedAsset;

/// One instant of a preview, as a row.
#[derive(serde::Serialize)]
pub struct PreviewRow {
    pub time: String,
    pub instant: ResolvedInstant,
}

pub const PREVIEW: &[Column<PreviewRow>] = &[
    ("TIME", |row| row.time.clone()),
    ("ZONE", |row| row.instant.zone.clone()),
    ("ASSETS", |row| row.instant.assets.to_string()),
    ("LOCAL", |row| row.instant.local.clone()),
    ("UTC", |row| row.instant.at.to_string()),
    ("WINDOW ENDS", |row| row.instant.window_end.map(|end| end.to_string()).unwrap_or_default()),
    ("NOTE", |row| row.instant.note.clone()),
];

pub const RUNS: &[Column<Run>] = &[
    ("RUN", |run| run.run.to_string()),
    ("STATE", |run| run.state.clone()),
    ("TIME", |run| run.time.clone().unwrap_or_default()),
    ("CAUSE", |run| run.cause.clone()),
    ("BY", |run| run.asked_by.clone()),
    ("DONE", |run| format!("{}/{}", run.tasks.total - run.tasks.open, run.tasks.total)),
    ("FAILED", |run| run.tasks.failed.to_string()),
    ("STARTED", |run| run.begun_at.map(|at| at.to_string()).unwrap_or_default()),
    ("ENDED", |run| run.ended_at.map(|at| at.to_string()).unwrap_or_default()),
];

/// The status with what keeps the job from going on.
pub fn status(job: &JobSummary) -> String {
    let held = [(job.paused, ", paused"), (job.halted, ", halted")];
    held.into_iter().filter(|(holds, _)| *holds).fold(job.status.clone(), |status, (_, word)| status + word)
}

pub const JOBS: &[Column<JobSummary>] = &[
    ("NUMBER", |job| job.number.clone()),
    ("STATUS", status),
    ("KIND", |job| job.kind.clone()),
    ("PLATFORM", |job| job.platform.clone()),
    ("TITLE", |job| job.title.clone()),
    ("ASSETS", |job| job.assets.to_string()),
    ("DONE", |job| format!("{}/{}", job.tasks.total - job.tasks.open, job.tasks.total)),
    ("FAILED", |job| job.tasks.failed.to_string()),
    ("SCHEDULE", |job| job.schedule.clone()),
    ("OWNER", |job| job.owner.clone()),
];

pub const HISTORY: &[Column<JobEvent>] = &[
    ("AT", |event| event.at.to_string()),
    ("WHAT", |event| event.text.clone()),
    ("BY", |event| event.by.clone()),
    ("RUN", |event| event.run.map(|run| run.to_string()).unwrap_or_default()),
    ("ENTRY", |event| event.entry.clone()),
    ("REASON", |event| {
        let reason = ["reason", "why"].iter().find_map(|name| event.detail.get(name)?.as_str());
        reason.unwrap_or_default().to_owned()
    }),
];

pub const TASKS: &[Column<Task>] = &[
    ("ASSET", |task| task.asset_name.clone()),
    ("ENTRY", |task| task.entry.clone()),
    ("DOES", |task| task.kind.clone()),
    ("STATE", |task| task.state.clone()),
    ("CODE", |task| task.code.map(|code| code.to_string()).unwrap_or_default()),
    ("DETAIL", |task| task.detail.map(|code| code.to_string()).unwrap_or_default()),
    ("MESSAGE", |task| match task.waits_for.as_str() {
        "" => task.message.clone(),
        waited => format!("waits: {waited}"),
    }),
];

pub const REPORT: &[Column<ReportLine>] = &[
    ("ASSET", |line| line.asset_name.clone()),
    ("QID", |line| line.qid.to_string()),
    ("MITIGATION", |line| line.mitigation_id.clone()),
    ("ACTION", |line| line.action_status.clone()),
    ("CODE", |line| match (line.return_code, line.mitigation_return_code) {
        (Some(code), Some(detail)) if code != detail => format!("{code}/{detail}"),
        (Some(code), _) => code.to_string(),
        (None, _) => String::new(),
    }),
    ("REASON", |line| line.mitigation_reason.clone()),
    ("STATUS", |line| line.mitigation_status.clone()),
    ("SCORE", |line| match (line.score_before, line.score_after) {
        (Some(before), Some(after)) if before != after => format!("{before} -> {after}"),
        (_, after) => after.map(|score| score.to_string()).unwrap_or_default(),
    }),
];

pub const CVES: &[Column<JobCve>] = &[
    ("CVE", |cve| cve.cve.clone()),
    ("QIDS", |cve| cve.qids.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")),
    ("ASSETS", |cve| cve.assets.to_string()),
    ("MITIGATED", |cve| cve.mitigated.to_string()),
    ("PARTLY", |cve| cve.partly.to_string()),
    ("NOT", |cve| cve.not.to_string()),
    ("POINTS", |cve| cve.points.to_string()),
    ("SCORE", |cve| format!("{} -> {}", cve.inherent, cve.residual)),
];

pub const ELIMINATIONS: &[Column<Elimination>] = &[
    ("QID", |e| e.qid.to_string()),
    ("ENTRY", |e| e.entry.clone()),
    ("TITLE", |e| e.title.clone()),
    ("PLATFORM", |e| e.platform.clone()),
    ("DOES", |e| e.implication.clone()),
    ("RISK", |e| e.risk.clone()),
    ("COVERS", |e| {
        let covers = e.covers.iter().map(|c| format!("{} {} -{}", c.cve, c.coverage, c.points).trim().to_owned());
        covers.collect::<Vec<_>>().join("; ")
    }),
];

pub const ASSETS: &[Column<EliminationAsset>] = &[
    ("ASSET", |asset| asset.id.to_string()),
    ("NAME", |asset| asset.name.clone()),
    ("ADDRESS", |asset| asset.ip.clone()),
    ("QID", |asset| asset.qid.to_string()),
    ("SCORE", |asset| asset.residual.to_string()),
    ("MITIGATION", |asset| asset.mitigation.clone()),
    ("CAN BE CHOSEN", |asset| if asset.selectable { "yes".to_owned() } else { format!("no: {}", asset.reason) }),
];

pub const SELECTED: &[Column<SelectedAsset>] = &[
    ("ASSET", |asset| asset.id.to_string()),
    ("NAME", |asset| asset.name.clone()),
    ("ADDRESS", |asset| asset.ip.clone()),
    ("QIDS", |asset| asset.qids.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")),
    ("IN", |asset| if asset.why.is_empty() { "yes".to_owned() } else { format!("no: {}", asset.why) }),
];

//! The progress report and the view by CVE of a job (spec mitigation-jobs.md section 3.7), for the API, the pages, the
//! printed summary and the Qualys-compatible API alike.

use crate::engine::jobs::Job;
use crate::http::error::Error;
use domain::access::AssetScope;
use domain::id::{AssetId, JobId, RunId, VulnerabilityId};
use domain::result::{self, Action, Asset};
use domain::score::Mitigation;
use domain::task::State;
use protocol::api::response::{JobCve, ReportLine};
use protocol::spreadsheet;
use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use store::report::{self, Line, Place};
use store::{Transaction, catalogue, scores};

/// Lines read in one transaction.
pub const PAGE: i64 = 500;

/// Reads a report page after page: what it is about, and how far it has come.
#[derive(Clone, Debug)]
pub struct Reader {
    job: JobId,
    number: String,
    run: Option<(RunId, i64)>,
    runs: Vec<RunId>,
    scope: AssetScope,
    after: Option<Place>,
    /// What the job does has been told of; what follows is what it did and would not do any more.
    left: bool,
    only: Option<AssetId>,
    covers: BTreeMap<(i64, VulnerabilityId), (Vec<String>, i64)>,
}

impl Reader {
    /// Of a job that was loaded for its caller: the wanted run, else the newest. What a retry leaves alone stands as the runs
    /// before it left it.
    ///
    /// # Errors
    /// Not found for a run that the job does not have.
    pub fn new(tx: &mut Transaction<'_>, job: &Job, wanted: Option<i64>) -> Result<Reader, Error> {
        let runs = report::runs(tx, job.row.id, &job.scope, i64::MAX)?;
        let run = match wanted {
            None => runs.first().map(|run| (run.id, run.ordinal)),
            Some(0) => None,
            Some(ordinal) => {
                let found = runs.iter().find(|run| run.ordinal == ordinal).map(|run| (run.id, run.ordinal));
                let missing = || Error::NotFound(format!("run {ordinal} of job {}", job.row.name()));
                Some(found.ok_or_else(missing)?)
            }
        };
        let runs = run.map(|(id, _)| report::chain(tx, id)).transpose()?.unwrap_or_default();
        Ok(Reader {
            job: job.row.id,
            number: job.row.name(),
            run,
            runs,
            scope: job.scope.clone(),
            after: None,
            left: false,
            only: None,
            covers: BTreeMap::new(),
        })
    }

    /// The same for one asset only.
    #[must_use]
    pub fn only(mut self, asset: AssetId) -> Reader {
        self.only = Some(asset);
        self.after = self.start();
        self
    }

    /// Which run it is about; 0 before the first.
    #[must_use]
    pub fn run(&self) -> i64 {
        self.run.map_or(0, |(_, ordinal)| ordinal)
    }

    /// The runs that its lines tell of, that run first; none before the first.
    #[must_use]
    pub fn runs(&self) -> &[RunId] {
        &self.runs
    }

    /// The next lines; none at the end.
    ///
    /// # Errors
    /// A failure of the store.
    pub fn next(&mut self, tx: &mut Transaction<'_>) -> Result<Vec<ReportLine>, Error> {
        let mut lines = self.page(tx)?;
        if lines.is_empty() && !self.left && !self.runs.is_empty() {
            (self.left, self.after) = (true, self.start());
            lines = self.page(tx)?;
        }
        let Some(last) = lines.last() else { return Ok(Vec::new()) };
        self.after = Some(last.place());
        let assets: BTreeSet<_> = lines.iter().map(|line| line.asset_id).collect();
        let assets: Vec<_> = assets.into_iter().collect();
        let states = report::states(tx, &self.runs, &assets)?;
        let mut said = Vec::with_capacity(lines.len());
        for line in lines {
            let of = states.get(&line.asset_id).map_or(&[] as &[State], Vec::as_slice);
            let (cves, points) = self.covers(tx, line.entry_key, line.vulnerability_id)?;
            said.push(self.line(line, Asset::of(of), cves, points));
        }
        Ok(said)
    }

    fn page(&self, tx: &mut Transaction<'_>) -> Result<Vec<Line>, Error> {
        let read = if self.left { report::left } else { report::lines };
        let mut lines = read(tx, self.job, &self.runs, &self.scope, self.after, PAGE)?;
        lines.retain(|line| self.only.is_none_or(|only| line.asset_id == only));
        Ok(lines)
    }

    /// Before the first line.
    fn start(&self) -> Option<Place> {
        self.only.map(|asset| (asset, VulnerabilityId(i64::MIN), i64::MIN))
    }

    fn covers(
        &mut self,
        tx: &mut Transaction<'_>,
        entry: i64,
        vulnerability: VulnerabilityId,
    ) -> Result<(Vec<String>, i64), Error> {
        if let Some(known) = self.covers.get(&(entry, vulnerability)) {
            return Ok(known.clone());
        }
        let covers = catalogue::covers(tx, entry, vulnerability)?;
        let points = covers.iter().map(|(_, _, points)| *points).max().unwrap_or_default();
        let cves: BTreeSet<String> = covers.into_iter().map(|(cve, ..)| cve).filter(|cve| !cve.is_empty()).collect();
        let found = (cves.into_iter().collect::<Vec<_>>(), points);
        self.covers.insert((entry, vulnerability), found.clone());
        Ok(found)
    }

    fn line(&self, line: Line, asset: Asset, cve_ids: Vec<String>, points: i64) -> ReportLine {
        let message = line.message.unwrap_or_default();
        ReportLine {
            job_number: self.number.clone(),
            run: self.run(),
            asset_id: line.asset_id.0,
            asset_name: line.asset,
            ip_address: line.ip,
            operating_system: line.os,
            job_status: asset.as_str().to_owned(),
            qid: line.qid,
            qid_title: line.vulnerability,
            cve_ids,
            action_status: Action::of(line.state, line.control).as_str().to_owned(),
            return_code: line.code,
            mitigation_reason: result::reason(line.code, line.detail, &message),
            return_message: message,
            mitigation_status: mitigation(line.mitigation).to_owned(),
            mitigation_id: line.entry,
            mitigation_revision: line.revision,
            mitigation_title: line.title,
            mitigation_type: line.implication.to_uppercase(),
            impact_factor: points,
            mitigation_return_code: line.detail.or(line.code),
            score_before: line.inherent,
            score_after: line.residual,
            due_at: line.due_at,
            started_at: line.started_at,
            ended_at: line.ended_at,
            task_id: line.task,
        }
    }
}

fn mitigation(mitigation: Option<Mitigation>) -> &'static str {
    match mitigation {
        None | Some(Mitigation::None) => "Not mitigated",
        Some(Mitigation::Partial) => "Partly mitigated",
        Some(Mitigation::Mitigated) => "Mitigated",
        Some(Mitigation::Drifted) => "Drifted",
    }
}

/// The columns of the report in order, by their names.
pub const COLUMNS: &[&str] = &[
    "jobNumber",
    "run",
    "assetId",
    "assetName",
    "ipAddress",
    "operatingSystem",
    "jobStatus",
    "qid",
    "qidTitle",
    "cveIds",
    "actionStatus",
    "returnCode",
    "returnMessage",
    "mitigationStatus",
    "mitigationId",
    "mitigationRevision",
    "mitigationTitle",
    "mitigationType",
    "impactFactor",
    "mitigationReturnCode",
    "mitigationReason",
    "scoreBefore",
    "scoreAfter",
    "dueAt",
    "startedAt",
    "endedAt",
    "taskId",
];

/// A line as CSV with these columns; lists are joined by commas.
///
/// # Errors
/// [`Error::Internal`] for a line that is no plain data.
pub fn csv(line: &ReportLine, columns: &[&str]) -> Result<String, Error> {
    let value = serde_json::to_value(line).map_err(Error::internal)?;
    Ok(spreadsheet::line(columns.iter().map(|column| cell(value.get(*column)))))
}

fn cell(value: Option<&serde_json::Value>) -> Cow<'static, str> {
    use serde_json::Value;
    match value {
        None | Some(Value::Null) => Cow::Borrowed(""),
        Some(Value::String(text)) => Cow::Owned(text.clone()),
        Some(Value::Array(list)) => {
            let parts: Vec<Cow<'_, str>> = list.iter().map(|part| cell(Some(part))).collect();
            Cow::Owned(parts.join(", "))
        }
        Some(other) => Cow::Owned(other.to_string()),
    }
}

/// The columns that were asked for, separated by commas; all of them where nothing was.
///
/// # Errors
/// 422 `columns` naming one that does not exist.
pub fn columns(wanted: &str) -> Result<Vec<&'static str>, Error> {
    let wanted: Vec<&str> = wanted.split(',').map(str::trim).filter(|name| !name.is_empty()).collect();
    if wanted.is_empty() {
        return Ok(COLUMNS.to_vec());
    }
    let known = |name: &str| COLUMNS.iter().copied().find(|column| *column == name);
    let unknown = |name: &str| {
        let why = format!("the report has no column `{name}`; it has {}", COLUMNS.join(", "));
        Error::field("columns", "unknown_column", why)
    };
    wanted.into_iter().map(|name| known(name).ok_or_else(|| unknown(name))).collect()
}

/// The CVEs of a job's vulnerabilities with what became of them on its assets, the highest score now first.
///
/// # Errors
/// A failure of the store.
pub fn cves(tx: &mut Transaction<'_>, job: &Job) -> Result<Vec<JobCve>, Error> {
    let mut found: BTreeMap<String, (JobCve, BTreeSet<i64>)> = BTreeMap::new();
    // An asset counts once per CVE, with the worse of several vulnerabilities that hold it.
    let mut assets: BTreeMap<(String, i64), (bool, bool)> = BTreeMap::new();
    for one in scores::of_job(tx, job.row.id, &job.scope)? {
        for unit in one.assessment.units {
            let cve = unit.unit.cve.unwrap_or_default();
            // Vulnerabilities without CVEs are units of their own.
            let key = if cve.is_empty() { format!("QID {}", one.qid) } else { cve.clone() };
            let slot = found.entry(key.clone()).or_insert_with(|| (empty(cve), BTreeSet::new()));
            slot.1.insert(one.qid);
            slot.0.points = slot.0.points.max(unit.points.into());
            slot.0.inherent = slot.0.inherent.max(unit.unit.inherent.into());
            slot.0.residual = slot.0.residual.max(unit.residual.into());
            let lowered = unit.mitigated || unit.points > 0;
            let before = assets.entry((key, one.asset.0)).or_insert((true, true));
            *before = (before.0 && unit.mitigated, before.1 && lowered);
        }
    }
    for ((key, _), (mitigated, lowered)) in assets {
        if let Some((cve, _)) = found.get_mut(&key) {
            cve.assets += 1;
            match (mitigated, lowered) {
                (true, _) => cve.mitigated += 1,
                (false, true) => cve.partly += 1,
                (false, false) => cve.not += 1,
            }
        }
    }
    let mut cves: Vec<JobCve> =
        found.into_values().map(|(cve, qids)| JobCve { qids: qids.into_iter().collect(), ..cve }).collect();
    cves.sort_by(|a, b| (b.residual, b.inherent).cmp(&(a.residual, a.inherent)).then_with(|| a.cve.cmp(&b.cve)));
    Ok(cves)
}

fn empty(cve: String) -> JobCve {
    JobCve { cve, qids: Vec::new(), assets: 0, mitigated: 0, partly: 0, not: 0, points: 0, inherent: 0, residual: 0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line() -> ReportLine {
        ReportLine {
            job_number: "MJ0000001".to_owned(),
            run: 1,
            asset_id: 7,
            asset_name: "=cmd|' /C calc'!A0".to_owned(),
            ip_address: String::new(),
            operating_system: "Debian, 12".to_owned(),
            job_status: "Completed".to_owned(),
            qid: 1,
            qid_title: String::new(),
            cve_ids: vec!["CVE-2024-1".to_owned(), "CVE-2024-2".to_owned()],
            action_status: "Skipped".to_owned(),
            return_code: Some(33),
            return_message: String::new(),
            mitigation_status: String::new(),
            mitigation_id: String::new(),
            mitigation_revision: 1,
            mitigation_title: String::new(),
            mitigation_type: "FIX".to_owned(),
            impact_factor: 30,
            mitigation_return_code: Some(203),
            mitigation_reason: "+1".to_owned(),
            score_before: Some(90),
            score_after: None,
            due_at: None,
            started_at: None,
            ended_at: None,
            task_id: None,
        }
    }

    #[test]
    fn every_column_is_a_field_and_every_field_a_column() {
        let value = serde_json::to_value(line()).unwrap();
        let fields: BTreeSet<&str> = value.as_object().unwrap().keys().map(String::as_str).collect();
        assert_eq!(fields, COLUMNS.iter().copied().collect());
        assert_eq!(columns("").unwrap(), COLUMNS);
        assert_eq!(columns("qid, assetName").unwrap(), ["qid", "assetName"]);
        assert!(columns("qid,secret").is_err());
    }

    #[test]
    fn a_host_cannot_put_a_formula_into_the_report() {
        let text = csv(&line(), &["assetName", "cveIds", "operatingSystem", "scoreAfter", "mitigationReason"]).unwrap();
        assert_eq!(text, "'=cmd|' /C calc'!A0,\"CVE-2024-1, CVE-2024-2\",\"Debian, 12\",,'+1\n");
    }
}

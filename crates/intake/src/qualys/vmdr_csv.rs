//! The vulnerability list of VMDR as CSV, by QID and by CVE, with its title lines or without.
//!
//! The title's first line says in which zone the dates are. A machine is told by its id in the asset inventory, which is not the id
//! that scans know it by. By CVE a detection stands there once for each CVE: it is counted once, its CVEs come together.

use crate::error::ReadError;
use crate::format::Layout;
use crate::limits::Limits;
use crate::observation::{
    CveScore, CvssReport, DetectionKind, DetectionReport, HostReport, Micros, TagReport, ThreatIndicator,
    VulnerabilityReport,
};
use crate::qualys::hld;
use crate::qualys::rows::{self, Glossary, Machines, Sink, Words};
use crate::summary::Summary;
use crate::table::{Column, Table};
use crate::values;
use jiff::tz::{Offset, TimeZone};
use std::collections::HashSet;
use std::io::BufRead;

/// The first cell of the title.
pub(crate) const TITLE: &str = "Asset Vuln Datalist Report";
const UNKNOWN_ZONE: &str = "the zone of the dates is not told or not understood, taken as UTC";

struct Columns {
    cve: Column,
    cve_cvss2: Column,
    cve_cvss3: Column,
    cve_score: Column,
    qid: Column,
    kind: Column,
    status: Column,
    last_found: Column,
    first_found: Column,
    last_fixed: Column,
    last_reopened: Column,
    times_found: Column,
    protocol: Column,
    port: Column,
    severity: Column,
    score: Column,
    results: Column,
    ignored: Column,
    disabled: Column,
    asset_id: Column,
    asset_name: Column,
    ipv4: Column,
    ipv6: Column,
    os: Column,
    tags: Column,
    criticality: Column,
    risk_score: Column,
    title: Column,
    kb_severity: Column,
    category: Column,
    threat: Column,
    solution: Column,
    patchable: Column,
    published: Column,
    indicators: Column,
}

impl Columns {
    fn of<R: BufRead>(table: &mut Table<'_, R>) -> Result<Columns, ReadError> {
        let mut column = |names: &[&str]| table.column(names);
        let columns = Columns {
            cve: column(&["CVE"])?,
            cve_cvss2: column(&["CVSSv2 Base (nvd)"])?,
            cve_cvss3: column(&["CVSSv3.1 Base (nvd)", "CVSSv3 Base (nvd)"])?,
            cve_score: column(&["QVS Score", "QVS"])?,
            qid: column(&["QID"])?,
            kind: column(&["Type Detected"])?,
            status: column(&["Status"])?,
            last_found: column(&["Last Detected"])?,
            first_found: column(&["First Detected"])?,
            last_fixed: column(&["Last Fixed"])?,
            last_reopened: column(&["Last Reopened"])?,
            times_found: column(&["Times Detected"])?,
            protocol: column(&["Protocol"])?,
            port: column(&["Port"])?,
            severity: column(&["Severity"])?,
            score: column(&["QDS"])?,
            results: column(&["Results"])?,
            ignored: column(&["Ignored"])?,
            disabled: column(&["Disabled"])?,
            asset_id: column(&["Asset Id"])?,
            asset_name: column(&["Asset Name"])?,
            ipv4: column(&["Asset IPV4"])?,
            ipv6: column(&["Asset IPV6"])?,
            os: column(&["Operating System"])?,
            tags: column(&["Asset Tags"])?,
            criticality: column(&["Asset Critical Score"])?,
            risk_score: column(&["TruRisk Score"])?,
            title: column(&["Title"])?,
            kb_severity: column(&["KB Severity"])?,
            category: column(&["Category"])?,
            threat: column(&["Threat"])?,
            solution: column(&["Solution"])?,
            patchable: column(&["Vuln Patchable"])?,
            published: column(&["Published Date"])?,
            indicators: column(&["RTI"])?,
        };
        table.asked_for_all();
        Ok(columns)
    }
}

/// A reading of one list.
struct List<'s> {
    columns: Columns,
    zone: TimeZone,
    machines: Machines,
    glossary: Glossary,
    /// By CVE: the detections that were counted.
    counted: HashSet<(String, i64, i64, String)>,
    sink: Sink<'s>,
}

/// Reads one list; `sink` receives machines and then vulnerabilities.
pub fn read(input: impl BufRead, limits: &Limits, sink: Sink<'_>) -> Result<Summary, ReadError> {
    let mut title = None;
    let is_header =
        |record: &csv::StringRecord| matches!(Layout::of(record), Some(Layout::VmdrByQid | Layout::VmdrByCve));
    let mut table = Table::open(input, limits, "VMDR vulnerability list (CSV)", is_header, |record| {
        if record.get(0).is_some_and(|cell| crate::table::name(cell) == TITLE) {
            title = record.get(1).map(|cell| cell.trim().to_owned());
        }
    })?;
    let title = title.unwrap_or_default();
    let zone = zone(&title);
    if zone.is_none() {
        table.note(UNKNOWN_ZONE);
    }
    let zone = zone.unwrap_or(TimeZone::UTC);
    table.summary.generated_at = generated(&title, &zone);
    let columns = Columns::of(&mut table)?;
    let (machines, glossary) = (Machines::default(), Glossary::default());
    let mut list = List { columns, zone, machines, glossary, counted: HashSet::new(), sink };
    while table.next()? {
        list.row(&mut table)?;
    }
    let List { machines, glossary, sink, .. } = list;
    machines.finish(&mut table, sink)?;
    glossary.finish(&mut table.summary, sink)?;
    Ok(table.summary)
}

/// The zone of a title like `04 Feb 2026 10:00AM GMT-0500`.
fn zone(title: &str) -> Option<TimeZone> {
    let word = title.split_whitespace().last()?;
    let offset = word.strip_prefix("GMT").or_else(|| word.strip_prefix("UTC"))?.replace(':', "");
    if offset.is_empty() {
        return Some(TimeZone::UTC);
    }
    let (sign, digits) = match offset.split_at_checked(1)? {
        ("+", digits) => (1, digits),
        ("-", digits) => (-1, digits),
        _ => return None,
    };
    let (hours, minutes) = digits.split_at_checked(2)?;
    let minutes: i32 = if minutes.is_empty() { 0 } else { minutes.parse().ok().filter(|minutes| *minutes < 60)? };
    let seconds = sign * (hours.parse::<i32>().ok()? * 3_600 + minutes * 60);
    Some(TimeZone::fixed(Offset::from_seconds(seconds).ok()?))
}

fn generated(title: &str, zone: &TimeZone) -> Option<Micros> {
    let (date, _) = title.rsplit_once(' ')?;
    values::civil(date, &["%d %b %Y %I:%M%p", "%d %b %Y %I:%M %p"], zone)
}

impl List<'_> {
    fn row<R: BufRead>(&mut self, table: &mut Table<'_, R>) -> Result<(), ReadError> {
        let columns = &self.columns;
        let names = [columns.asset_id, columns.asset_name, columns.ipv4, columns.ipv6];
        let cells = names.map(|column| table.raw(column));
        let asset = cells.iter().find(|cell| !cell.is_empty()).map(|asset| (*asset).to_owned());
        let Some(asset) = asset else {
            let row = format!("a row with the QID \"{}\"", table.raw(columns.qid).chars().take(20).collect::<String>());
            table.reject(row, "neither an id nor a name of its asset");
            return Ok(());
        };
        let key = cells.join("\n");
        let Some(qid) = table.number(columns.qid) else {
            table.reject(format!("a detection of asset {asset}"), "no QID");
            return Ok(());
        };
        self.vulnerability(table, qid)?;
        if self.columns.cve.exists() && self.counted_before(table, key.clone(), qid)? {
            return Ok(());
        }
        if !self.machines.is_at(&key) {
            table.next_record();
            let found = self.machine(table)?;
            self.machines.begin(table, key, found, self.sink)?;
        }
        let words = Words { kind: table.text(self.columns.kind)?, status: table.text(self.columns.status)? };
        let report = self.detection(table, qid)?;
        let Some(host) = self.machines.current() else { return Ok(()) };
        rows::keep(table.limits, &mut table.summary, host, words, report)
    }

    /// Whether the detection of the row was counted, for another CVE of it.
    fn counted_before<R: BufRead>(
        &mut self,
        table: &mut Table<'_, R>,
        asset: String,
        qid: i64,
    ) -> Result<bool, ReadError> {
        if self.counted.len() >= table.limits.distinct_detections {
            let limit = table.limits.distinct_detections as u64;
            return Err(ReadError::TooLarge { what: "the number of detections of a list by CVE", limit });
        }
        let port = table.port(self.columns.port).unwrap_or(0);
        let protocol = table.protocol(self.columns.protocol)?.unwrap_or_default();
        Ok(!self.counted.insert((asset, qid, port, protocol)))
    }

    fn machine<R: BufRead>(&self, table: &mut Table<'_, R>) -> Result<HostReport, ReadError> {
        let columns = &self.columns;
        let mut addresses = table.list(columns.ipv4)?.into_iter();
        let ip = addresses.next();
        if addresses.next().is_some() {
            table.note("further addresses of a machine not kept");
        }
        let name = table.text(columns.asset_name)?;
        let (dns, netbios) = match name {
            Some(name) if name.contains('.') => (Some(name), None),
            name => (None, name),
        };
        Ok(HostReport {
            asset_id: table.number(columns.asset_id),
            ip,
            ipv6: table.list(columns.ipv6)?.into_iter().next(),
            dns,
            netbios,
            os: table.text(columns.os)?,
            tags: table.list(columns.tags)?.into_iter().map(|name| TagReport { id: None, name }).collect(),
            criticality: table.number(columns.criticality),
            risk_score: table.number(columns.risk_score),
            ..HostReport::default()
        })
    }

    fn detection<R: BufRead>(&self, table: &mut Table<'_, R>, qid: i64) -> Result<DetectionReport, ReadError> {
        let columns = &self.columns;
        Ok(DetectionReport {
            severity: table.severity(columns.severity),
            port: table.port(columns.port),
            protocol: table.protocol(columns.protocol)?,
            results: table.evidence(columns.results)?,
            first_found_at: self.date(table, columns.first_found),
            last_found_at: self.date(table, columns.last_found),
            last_fixed_at: self.date(table, columns.last_fixed),
            last_reopened_at: self.date(table, columns.last_reopened),
            times_found: table.number(columns.times_found),
            score: table.value(columns.score, "detection score not understood", values::detection_score),
            ignored: table.flag(columns.ignored).unwrap_or(false),
            disabled: table.flag(columns.disabled).unwrap_or(false),
            ..hld::empty(qid, DetectionKind::Info)
        })
    }

    fn date<R: BufRead>(&self, table: &mut Table<'_, R>, column: Column) -> Option<Micros> {
        table.value(column, "date not understood", |text| values::civil(text, &["%b %d, %Y %I:%M %p"], &self.zone))
    }

    /// What the row tells of its vulnerability: once, but for the CVE.
    fn vulnerability<R: BufRead>(&mut self, table: &mut Table<'_, R>, qid: i64) -> Result<(), ReadError> {
        let columns = &self.columns;
        if self.glossary.lacks(qid) {
            table.next_record();
            let indicators = table.list(columns.indicators)?;
            let entry = VulnerabilityReport {
                qid,
                severity: table.severity(columns.kb_severity),
                title: table.text(columns.title)?,
                category: table.text(columns.category)?,
                threat: table.prose(columns.threat)?,
                solution: table.prose(columns.solution)?,
                patchable: table.flag(columns.patchable),
                published_at: self.date(table, columns.published),
                threat_intelligence: indicators.into_iter().map(|name| ThreatIndicator { id: None, name }).collect(),
                ..VulnerabilityReport::default()
            };
            self.glossary.add(table.limits, &mut table.summary, entry)?;
        }
        let Some(cve) = table.text(columns.cve)?.map(|cve| cve.to_ascii_uppercase()) else { return Ok(()) };
        let problem = "CVSS score not understood";
        let scores =
            [(columns.cve_cvss2), (columns.cve_cvss3)].map(|column| table.value(column, problem, values::score));
        let qvs = table.value(columns.cve_score, "CVE score not understood", values::detection_score);
        let entries_max = table.limits.list_entries;
        let Some(entry) = self.glossary.get_mut(qid) else { return Ok(()) };
        if entry.cves.contains(&cve) {
            return Ok(());
        }
        if entry.cves.len() >= entries_max {
            table.note("list cut at its limit");
            return Ok(());
        }
        // The worst of its CVEs stands for the vulnerability, of which this file has no score.
        for (kept, score) in [&mut entry.cvss2, &mut entry.cvss3].into_iter().zip(scores) {
            let before = kept.as_ref().and_then(|cvss| cvss.base);
            if let Some(score) = score.filter(|score| before.is_none_or(|before| before < *score)) {
                *kept = Some(CvssReport { base: Some(score), ..CvssReport::default() });
            }
        }
        entry.cve_scores.extend(qvs.map(|score| CveScore { cve: cve.clone(), score }));
        entry.cves.push(cve);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_zone_of_a_title() {
        let offset = |title: &str| zone(title).and_then(|zone| zone.to_fixed_offset().ok()).map(Offset::seconds);
        for (title, expected) in [
            ("04 Feb 2026 10:00AM GMT-0500", Some(-18_000)),
            ("04 Feb 2026 10:00AM GMT+05:30", Some(19_800)),
            ("04 Feb 2026 10:00AM GMT", Some(0)),
            ("04 Feb 2026 10:00AM UTC", Some(0)),
            ("04 Feb 2026 10:00AM EST", None),
            ("04 Feb 2026 10:00AM GMT-99999", None),
            ("04 Feb 2026 10:00AM GMT5", None),
            ("04 Feb 2026 10:00AM GMT-é0", None),
            ("", None),
        ] {
            assert_eq!(offset(title), expected, "{title}");
        }
        let zone = zone("x GMT-0500").expect("a zone");
        assert_eq!(generated("04 Feb 2026 10:00AM GMT-0500", &zone), values::instant("2026-02-04T15:00:00Z"));
    }
}

//! HackerGuardian reports as CSV: a PCI service that scans with the same engine and numbers.
//!
//! Of two severities the engine's own (`Q_SEVERITY`) is kept, the letters are the service's. CVSS scores have no version; they
//! are taken as version 3. What the service accepted as a false positive is ignored.

use crate::error::ReadError;
use crate::format::Layout;
use crate::limits::Limits;
use crate::observation::{CvssReport, DetectionKind, DetectionReport, HostReport, VulnerabilityReport};
use crate::qualys::hld;
use crate::qualys::rows::{self, Glossary, Machines, Sink, Words};
use crate::summary::Summary;
use crate::table::{Column, Table};
use crate::values;
use std::io::BufRead;

struct Columns {
    ip: Column,
    hostname: Column,
    last_scan: Column,
    qid: Column,
    title: Column,
    kind: Column,
    port: Column,
    protocol: Column,
    os: Column,
    pci: Column,
    false_positive: Column,
    cvss_base: Column,
    cvss_temporal: Column,
    severity: Column,
    threat: Column,
    impact: Column,
    solution: Column,
    category: Column,
    result: Column,
    bugtraq_ids: Column,
    cves: Column,
}

impl Columns {
    fn of<R: BufRead>(table: &mut Table<'_, R>) -> Result<Columns, ReadError> {
        let mut column = |names: &[&str]| table.column(names);
        let columns = Columns {
            ip: column(&["IP"])?,
            hostname: column(&["HOSTNAME"])?,
            last_scan: column(&["LAST SCAN"])?,
            qid: column(&["QID"])?,
            title: column(&["VULN TITLE"])?,
            kind: column(&["TYPE"])?,
            port: column(&["PORT"])?,
            protocol: column(&["PROTOCOL"])?,
            os: column(&["OPERATING SYSTEM"])?,
            pci: column(&["IS_PCI"])?,
            false_positive: column(&["FALSE POSITIVE STATUS"])?,
            cvss_base: column(&["CVSS_BASE"])?,
            cvss_temporal: column(&["CVSS_TEMPORAL"])?,
            severity: column(&["Q_SEVERITY"])?,
            threat: column(&["THREAT"])?,
            impact: column(&["IMPACT"])?,
            solution: column(&["SOLUTION"])?,
            category: column(&["CATEGORY"])?,
            result: column(&["RESULT"])?,
            bugtraq_ids: column(&["BUGTRAQID"])?,
            cves: column(&["CVEID"])?,
        };
        table.asked_for_all();
        Ok(columns)
    }
}

/// Reads one report; `sink` receives machines and then vulnerabilities.
pub fn read(input: impl BufRead, limits: &Limits, sink: Sink<'_>) -> Result<Summary, ReadError> {
    let is_header = |record: &csv::StringRecord| Layout::of(record) == Some(Layout::HackerGuardian);
    let mut table = Table::open(input, limits, "HackerGuardian report (CSV)", is_header, |_| ())?;
    let columns = Columns::of(&mut table)?;
    let (mut machines, mut glossary) = (Machines::default(), Glossary::default());
    while table.next()? {
        row(&mut table, &columns, &mut machines, &mut glossary, sink)?;
    }
    machines.finish(&mut table, sink)?;
    glossary.finish(&mut table.summary, sink)?;
    Ok(table.summary)
}

fn row<R: BufRead>(
    table: &mut Table<'_, R>,
    columns: &Columns,
    machines: &mut Machines,
    glossary: &mut Glossary,
    sink: Sink<'_>,
) -> Result<(), ReadError> {
    let key = [columns.ip, columns.hostname].map(|column| table.raw(column)).join("\n");
    if key.trim().is_empty() {
        table.reject("a row".to_owned(), "neither an address nor a name of its machine");
        return Ok(());
    }
    let seen_at = table.instant(columns.last_scan);
    if !machines.is_at(&key) {
        table.next_record();
        let found = HostReport {
            ip: table.text(columns.ip)?,
            dns: table.text(columns.hostname)?,
            os: table.text(columns.os)?,
            last_vm_scan_at: seen_at,
            ..HostReport::default()
        };
        machines.begin(table, key, found, sink)?;
    }
    let Some(host) = machines.current() else { return Ok(()) };
    let Some(qid) = table.number(columns.qid) else {
        rows::no_qid(table, host);
        return Ok(());
    };
    let words = Words { kind: table.text(columns.kind)?, status: Some("Active".to_owned()) };
    let report = DetectionReport {
        severity: table.severity(columns.severity),
        port: table.port(columns.port),
        protocol: table.protocol(columns.protocol)?,
        results: table.evidence(columns.result)?,
        last_found_at: seen_at,
        ignored: table.raw(columns.false_positive).eq_ignore_ascii_case("approved"),
        ..hld::empty(qid, DetectionKind::Info)
    };
    rows::keep(table.limits, &mut table.summary, host, words, report)?;
    if glossary.lacks(qid) {
        let problem = "CVSS score not understood";
        let base = table.value(columns.cvss_base, problem, values::score);
        let temporal = table.value(columns.cvss_temporal, problem, values::score);
        let entry = VulnerabilityReport {
            qid,
            severity: table.severity(columns.severity),
            title: table.text(columns.title)?,
            category: table.text(columns.category)?,
            cves: rows::cves(table.list(columns.cves)?),
            bugtraq_ids: table.list(columns.bugtraq_ids)?,
            threat: table.prose(columns.threat)?,
            impact: table.prose(columns.impact)?,
            solution: table.prose(columns.solution)?,
            cvss3: base.map(|base| CvssReport { base: Some(base), temporal, ..CvssReport::default() }),
            pci: table.value(columns.pci, "flag not understood", |word| match word {
                "Y" => Some(true),
                "N" => Some(false),
                other => values::flag(other),
            }),
            ..VulnerabilityReport::default()
        };
        glossary.add(table.limits, &mut table.summary, entry)?;
    }
    Ok(())
}

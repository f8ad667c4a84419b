//! Scan reports as CSV: the host based report and the layouts with fewer columns (scan results, PCI, monthly), which name their
//! columns alike.
//!
//! A preamble of any length comes before the names. Dates are American and, as the reports say nowhere else, UTC. A row without a
//! QID tells of a machine on which nothing was found. Where a report has no column for it, what it lists as a weakness is active.

use crate::error::ReadError;
use crate::format::Layout;
use crate::limits::Limits;
use crate::observation::{
    CvssReport, DetectionKind, DetectionReport, ExploitReport, HostReport, ReferenceReport, TagReport,
    VulnerabilityReport,
};
use crate::qualys::hld;
use crate::qualys::rows::{self, Glossary, Machines, Sink, Words};
use crate::summary::Summary;
use crate::table::{Column, Table};
use crate::values;
use std::io::BufRead;

struct Columns {
    ip: Column,
    network: Column,
    dns: Column,
    netbios: Column,
    tracking: Column,
    os: Column,
    os_cpe: Column,
    host_id: Column,
    asset_id: Column,
    agent: Column,
    tags: Column,
    qid: Column,
    status: Column,
    kind: Column,
    severity: Column,
    port: Column,
    protocol: Column,
    fqdn: Column,
    ssl: Column,
    instance: Column,
    first_found: Column,
    last_found: Column,
    last_fixed: Column,
    times_found: Column,
    score: Column,
    cvss2: Column,
    cvss3: Column,
    results: Column,
    about: About,
}

/// Columns about the vulnerability of a row.
struct About {
    title: Column,
    category: Column,
    cves: Column,
    vendor_references: Column,
    bugtraq_ids: Column,
    cvss2_base: Column,
    cvss2_temporal: Column,
    cvss3_base: Column,
    cvss3_temporal: Column,
    threat: Column,
    impact: Column,
    solution: Column,
    exploits: Column,
    malware: Column,
    pci: Column,
}

impl Columns {
    fn of<R: BufRead>(table: &mut Table<'_, R>) -> Result<Columns, ReadError> {
        let mut column = |names: &[&str]| table.column(names);
        let columns = Columns {
            ip: column(&["IP", "IP Address"])?,
            network: column(&["Network"])?,
            dns: column(&["DNS", "DNS Name"])?,
            netbios: column(&["NetBIOS", "NetBIOS Name"])?,
            tracking: column(&["Tracking Method"])?,
            os: column(&["OS", "Operating System"])?,
            os_cpe: column(&["OS CPE"])?,
            host_id: column(&["Host ID"])?,
            asset_id: column(&["Asset ID"])?,
            agent: column(&["QG Host ID", "QG HostID"])?,
            tags: column(&["Associated Tags", "Asset Tags"])?,
            qid: column(&["QID"])?,
            status: column(&["Vuln Status"])?,
            kind: column(&["Type"])?,
            severity: column(&["Severity"])?,
            port: column(&["Port"])?,
            protocol: column(&["Protocol"])?,
            fqdn: column(&["FQDN"])?,
            ssl: column(&["SSL"])?,
            instance: column(&["Instance"])?,
            first_found: column(&["First Detected"])?,
            last_found: column(&["Last Detected"])?,
            last_fixed: column(&["Date Last Fixed", "Last Fixed"])?,
            times_found: column(&["Times Detected"])?,
            score: column(&["QDS"])?,
            cvss2: column(&["CVSS"])?,
            cvss3: column(&["CVSS3", "CVSS3.1"])?,
            results: column(&["Results", "Result"])?,
            about: About {
                title: column(&["Title"])?,
                category: column(&["Category"])?,
                cves: column(&["CVE ID", "CVE"])?,
                vendor_references: column(&["Vendor Reference"])?,
                bugtraq_ids: column(&["Bugtraq ID"])?,
                cvss2_base: column(&["CVSS Base"])?,
                cvss2_temporal: column(&["CVSS Temporal"])?,
                cvss3_base: column(&["CVSS3 Base", "CVSS3.1 Base"])?,
                cvss3_temporal: column(&["CVSS3 Temporal", "CVSS3.1 Temporal"])?,
                threat: column(&["Threat"])?,
                impact: column(&["Impact"])?,
                solution: column(&["Solution"])?,
                exploits: column(&["Exploitability"])?,
                malware: column(&["Associated Malware"])?,
                pci: column(&["PCI Vuln"])?,
            },
        };
        // Known, and of no use: what it says the other columns say.
        column(&["IP Status"])?;
        table.asked_for_all();
        Ok(columns)
    }
}

/// Reads one report; `sink` receives machines and then vulnerabilities.
pub fn read(input: impl BufRead, limits: &Limits, sink: Sink<'_>) -> Result<Summary, ReadError> {
    let is_header = |record: &csv::StringRecord| Layout::of(record) == Some(Layout::ScanReport);
    let mut table = Table::open(input, limits, "scan report (CSV)", is_header, |_| ())?;
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
    let names = [columns.host_id, columns.agent, columns.ip, columns.network, columns.dns, columns.netbios];
    let cells = names.map(|column| table.raw(column));
    if cells.iter().all(|cell| cell.is_empty()) {
        let row = format!("a row with the QID \"{}\"", table.raw(columns.qid).chars().take(20).collect::<String>());
        table.reject(row, "neither an address nor a name of its machine");
        return Ok(());
    }
    let key = cells.join("\n");
    if !machines.is_at(&key) {
        table.next_record();
        let found = machine(table, columns)?;
        machines.begin(table, key, found, sink)?;
    }
    let Some(host) = machines.current() else { return Ok(()) };
    if table.raw(columns.qid).is_empty() {
        return Ok(());
    }
    let Some(qid) = table.number(columns.qid) else {
        rows::no_qid(table, host);
        return Ok(());
    };
    let kind = table.text(columns.kind)?;
    let weakness = !matches!(DetectionKind::parse(kind.as_deref().unwrap_or_default()), DetectionKind::Info);
    let status =
        if columns.status.exists() { table.text(columns.status)? } else { weakness.then(|| "Active".to_owned()) };
    let report = detection(table, columns, qid)?;
    rows::keep(table.limits, &mut table.summary, host, Words { kind, status }, report)?;
    if glossary.lacks(qid) {
        let entry = vulnerability(table, columns, qid)?;
        glossary.add(table.limits, &mut table.summary, entry)?;
    }
    Ok(())
}

fn machine<R: BufRead>(table: &mut Table<'_, R>, columns: &Columns) -> Result<HostReport, ReadError> {
    let mut found = HostReport {
        host_id: table.number(columns.host_id),
        asset_id: table.number(columns.asset_id),
        ip: table.text(columns.ip)?,
        network_name: table.text(columns.network)?,
        tracking_method: table
            .text(columns.tracking)?
            .map(|word| if word == "QAGENT" { "AGENT".to_owned() } else { word }),
        os: table.text(columns.os)?,
        os_cpe: table.text(columns.os_cpe)?,
        dns: table.text(columns.dns)?,
        netbios: table.text(columns.netbios)?,
        agent_uuid: table.text(columns.agent)?,
        tags: table.list(columns.tags)?.into_iter().map(|name| TagReport { id: None, name }).collect(),
        ..HostReport::default()
    };
    if found.ip.as_ref().is_some_and(|ip| ip.contains(':')) {
        found.ipv6 = found.ip.take();
    }
    Ok(found)
}

fn detection<R: BufRead>(table: &mut Table<'_, R>, columns: &Columns, qid: i64) -> Result<DetectionReport, ReadError> {
    let score = "CVSS score not understood";
    Ok(DetectionReport {
        severity: table.severity(columns.severity),
        port: table.port(columns.port),
        protocol: table.protocol(columns.protocol)?,
        fqdn: table.text(columns.fqdn)?,
        ssl: table.flag(columns.ssl),
        instance: table.text(columns.instance)?,
        results: table.evidence(columns.results)?,
        first_found_at: date(table, columns.first_found),
        last_found_at: date(table, columns.last_found),
        last_fixed_at: date(table, columns.last_fixed),
        times_found: table.number(columns.times_found),
        score: table.value(columns.score, "detection score not understood", values::detection_score),
        cvss2: table.value(columns.cvss2, score, values::cvss),
        cvss3: table.value(columns.cvss3, score, values::cvss),
        ..hld::empty(qid, DetectionKind::Info)
    })
}

fn date<R: BufRead>(table: &mut Table<'_, R>, column: Column) -> Option<i64> {
    table.value(column, "date not understood", |text| values::american_instant(text).or_else(|| values::instant(text)))
}

fn vulnerability<R: BufRead>(
    table: &mut Table<'_, R>,
    columns: &Columns,
    qid: i64,
) -> Result<VulnerabilityReport, ReadError> {
    let about = &columns.about;
    let references = table.list(about.vendor_references)?;
    let exploits = table.prose(about.exploits)?;
    Ok(VulnerabilityReport {
        qid,
        severity: table.severity(columns.severity),
        title: table.text(about.title)?,
        category: table.text(about.category)?,
        cves: rows::cves(table.list(about.cves)?),
        bugtraq_ids: table.list(about.bugtraq_ids)?,
        threat: table.prose(about.threat)?,
        impact: table.prose(about.impact)?,
        solution: table.prose(about.solution)?,
        cvss2: cvss(table, about.cvss2_base, about.cvss2_temporal),
        cvss3: cvss(table, about.cvss3_base, about.cvss3_temporal),
        pci: table.flag(about.pci),
        vendor_references: references.into_iter().map(|id| ReferenceReport { id: Some(id), url: None }).collect(),
        exploits: exploits
            .map(|text| ExploitReport { description: Some(text), ..ExploitReport::default() })
            .into_iter()
            .collect(),
        malware: table.list(about.malware)?,
        ..VulnerabilityReport::default()
    })
}

fn cvss<R: BufRead>(table: &mut Table<'_, R>, base: Column, temporal: Column) -> Option<CvssReport> {
    let problem = "CVSS score not understood";
    let base = table.value(base, problem, values::cvss)?;
    let temporal = table.value(temporal, problem, values::cvss).and_then(|cvss| cvss.base);
    Some(CvssReport { temporal, ..base })
}

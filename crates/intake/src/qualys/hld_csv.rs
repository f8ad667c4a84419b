//! Host list detection as CSV, in all four forms: with and without marker lines, with the machine's cells repeated in each row or
//! said once.
//!
//! Between markers the footer says whether all of it is there: `Finished`, or that this is one page of several. Without markers
//! nothing does.

use crate::error::ReadError;
use crate::format::Layout;
use crate::limits::Limits;
use crate::observation::{DetectionKind, DetectionReport, HostReport, TagReport};
use crate::qualys::rows::{self, Machines, Sink, Words};
use crate::qualys::{hld, host};
use crate::summary::{PageWarning, Summary};
use crate::table::{Column, Table};
use crate::values;
use std::io::BufRead;

/// Begins every marker line.
pub(crate) const MARKER: &str = "----";
const BODY: &str = "----BEGIN_RESPONSE_BODY_CSV";
const BODY_END: &str = "----END_RESPONSE_BODY_CSV";
const FOOTER_END: &str = "----END_RESPONSE_FOOTER_CSV";

struct Columns {
    host_id: Column,
    asset_id: Column,
    ip: Column,
    ipv6: Column,
    network_id: Column,
    network: Column,
    tracking: Column,
    os: Column,
    os_cpe: Column,
    dns: Column,
    netbios: Column,
    agent: Column,
    tags: Column,
    risk_score: Column,
    criticality: Column,
    last_scan: Column,
    last_vm_scan: Column,
    last_vm_auth_scan: Column,
    last_pc_scan: Column,
    qid: Column,
    unique_id: Column,
    kind: Column,
    port: Column,
    protocol: Column,
    fqdn: Column,
    ssl: Column,
    instance: Column,
    service: Column,
    status: Column,
    severity: Column,
    score: Column,
    first_found: Column,
    last_found: Column,
    last_test: Column,
    last_update: Column,
    last_fixed: Column,
    last_reopened: Column,
    last_processed: Column,
    times_found: Column,
    times_reopened: Column,
    results: Column,
    ignored: Column,
    disabled: Column,
}

impl Columns {
    fn of<R: BufRead>(table: &mut Table<'_, R>) -> Result<Columns, ReadError> {
        let mut column = |names: &[&str]| table.column(names);
        let columns = Columns {
            host_id: column(&["Host ID"])?,
            asset_id: column(&["Asset ID"])?,
            ip: column(&["IP Address", "IP"])?,
            ipv6: column(&["IPv6 Address", "IPv6"])?,
            network_id: column(&["Network ID"])?,
            network: column(&["Network Name", "Network"])?,
            tracking: column(&["Tracking Method"])?,
            os: column(&["Operating System", "OS"])?,
            os_cpe: column(&["OS CPE"])?,
            dns: column(&["DNS Name", "DNS"])?,
            netbios: column(&["Netbios Name", "NetBIOS"])?,
            agent: column(&["QG HostID", "QG Host ID"])?,
            tags: column(&["Tags", "Asset Tags"])?,
            risk_score: column(&["TruRisk Score"])?,
            criticality: column(&["Asset Criticality Score"])?,
            last_scan: column(&["Last Scan Datetime"])?,
            last_vm_scan: column(&["Last VM Scanned Date"])?,
            last_vm_auth_scan: column(&["Last VM Auth Scanned Date"])?,
            last_pc_scan: column(&["Last PC Scanned Date"])?,
            qid: column(&["QID"])?,
            unique_id: column(&["Unique Vuln ID"])?,
            kind: column(&["Type"])?,
            port: column(&["Port"])?,
            protocol: column(&["Protocol"])?,
            fqdn: column(&["FQDN"])?,
            ssl: column(&["SSL"])?,
            instance: column(&["Instance"])?,
            service: column(&["Service"])?,
            status: column(&["Status"])?,
            severity: column(&["Severity"])?,
            score: column(&["QDS"])?,
            first_found: column(&["First Found Datetime"])?,
            last_found: column(&["Last Found Datetime"])?,
            last_test: column(&["Last Test Datetime"])?,
            last_update: column(&["Last Update Datetime"])?,
            last_fixed: column(&["Last Fixed Datetime"])?,
            last_reopened: column(&["Last Re-opened Datetime", "Last Reopened Datetime"])?,
            last_processed: column(&["Last Processed Datetime"])?,
            times_found: column(&["Times Found"])?,
            times_reopened: column(&["Times Re-opened", "Times Reopened"])?,
            results: column(&["Results"])?,
            ignored: column(&["Ignored", "Is Ignored"])?,
            disabled: column(&["Disabled", "Is Disabled"])?,
        };
        table.asked_for_all();
        Ok(columns)
    }
}

/// Reads one answer or file; `sink` receives every machine as soon as another one follows.
pub fn read(input: impl BufRead, limits: &Limits, sink: Sink<'_>) -> Result<Summary, ReadError> {
    let expected = "host list detection (CSV)";
    let (mut marked, mut generated) = (false, None);
    let is_header = |record: &csv::StringRecord| Layout::of(record) == Some(Layout::HostListDetection);
    let mut table = Table::open(input, limits, expected, is_header, |record| {
        marked |= record.get(0).is_some_and(|cell| cell.trim() == BODY);
        generated = generated.or_else(|| values::instant(record.get(0)?.trim()));
    })?;
    table.summary.generated_at = generated;
    let columns = Columns::of(&mut table)?;
    let (mut machines, mut whole) = (Machines::default(), !marked);
    while table.next()? {
        if let Some(mark) = table.only().filter(|cell| cell.starts_with(MARKER)) {
            whole = mark == BODY_END;
            break;
        }
        row(&mut table, &columns, &mut machines, sink)?;
    }
    if !whole {
        return Err(ReadError::Truncated { line: table.line() });
    }
    if marked {
        footer(&mut table)?;
    }
    machines.finish(&mut table, sink)?;
    Ok(table.summary)
}

/// What follows the rows.
fn footer<R: BufRead>(table: &mut Table<'_, R>) -> Result<(), ReadError> {
    let (mut ended, mut warns, mut failure) = (false, false, None);
    while table.next_of_any_length()? {
        if ended {
            return Err(ReadError::NotWellFormed { line: table.line(), problem: "text after the footer".to_owned() });
        }
        let cells: Vec<&str> = table.cells().collect();
        match cells[..] {
            [FOOTER_END] => ended = true,
            ["CODE", "TEXT", "URL", ..] => warns = true,
            ["Finished" | "Status Message" | "WARNING" | ""] => {}
            [mark] if mark.starts_with(MARKER) => {}
            [code, text, ref rest @ ..] if warns => {
                let told = |text: &str| (!text.is_empty()).then(|| text.to_owned());
                let url = rest.first().and_then(|url| told(url));
                table.summary.warning = Some(PageWarning { code: code.parse().ok(), text: told(text), url });
                table.note("this is one page of several: what the others hold is not in it");
            }
            _ => failure = failure.or_else(|| Some(cells.join(" ").chars().take(200).collect())),
        }
    }
    // Only of what is whole it can be said what it says.
    match failure {
        _ if !ended => Err(ReadError::Truncated { line: table.line() }),
        Some(text) => Err(ReadError::ApiError { code: None, text, items: Vec::new() }),
        None => Ok(()),
    }
}

fn row<R: BufRead>(
    table: &mut Table<'_, R>,
    columns: &Columns,
    machines: &mut Machines,
    sink: Sink<'_>,
) -> Result<(), ReadError> {
    let key = table.raw(columns.host_id).to_owned();
    // A machine's cells can be said in its first row only.
    if !key.is_empty() && !machines.is_at(&key) {
        table.next_record();
        let Ok(id) = key.parse() else {
            table.reject(format!("host {key}"), "host id not understood");
            return Ok(());
        };
        let found = HostReport { host_id: Some(id), ..machine(table, columns)? };
        machines.begin(table, key, found, sink)?;
    }
    let Some(host) = machines.current() else {
        let row = host::name(&machine(table, columns)?);
        table.reject(row, "no host id");
        return Ok(());
    };
    let Some(qid) = table.number(columns.qid) else {
        rows::no_qid(table, host);
        return Ok(());
    };
    let words = Words { kind: table.text(columns.kind)?, status: table.text(columns.status)? };
    let report = detection(table, columns, qid)?;
    rows::keep(table.limits, &mut table.summary, host, words, report)
}

fn machine<R: BufRead>(table: &mut Table<'_, R>, columns: &Columns) -> Result<HostReport, ReadError> {
    let mut found = HostReport {
        asset_id: table.number(columns.asset_id),
        ip: table.text(columns.ip)?,
        ipv6: table.text(columns.ipv6)?,
        network_id: table.number(columns.network_id),
        network_name: table.text(columns.network)?,
        tracking_method: table.text(columns.tracking)?,
        os: table.text(columns.os)?,
        os_cpe: table.text(columns.os_cpe)?,
        dns: table.text(columns.dns)?,
        netbios: table.text(columns.netbios)?,
        agent_uuid: table.text(columns.agent)?,
        tags: table.list(columns.tags)?.into_iter().map(|name| TagReport { id: None, name }).collect(),
        risk_score: table.number(columns.risk_score),
        criticality: table.number(columns.criticality),
        last_scan_at: table.instant(columns.last_scan),
        last_vm_scan_at: table.instant(columns.last_vm_scan),
        last_vm_auth_scan_at: table.instant(columns.last_vm_auth_scan),
        last_compliance_scan_at: table.instant(columns.last_pc_scan),
        ..HostReport::default()
    };
    if found.ipv6.is_none() && found.ip.as_ref().is_some_and(|ip| ip.contains(':')) {
        found.ipv6 = found.ip.take();
    }
    Ok(found)
}

fn detection<R: BufRead>(table: &mut Table<'_, R>, columns: &Columns, qid: i64) -> Result<DetectionReport, ReadError> {
    Ok(DetectionReport {
        unique_id: table.number(columns.unique_id),
        severity: table.severity(columns.severity),
        port: table.port(columns.port),
        protocol: table.protocol(columns.protocol)?,
        fqdn: table.text(columns.fqdn)?,
        ssl: table.flag(columns.ssl),
        instance: table.text(columns.instance)?,
        service: table.text(columns.service)?,
        results: table.evidence(columns.results)?,
        score: table.value(columns.score, "detection score not understood", values::detection_score),
        first_found_at: table.instant(columns.first_found),
        last_found_at: table.instant(columns.last_found),
        last_test_at: table.instant(columns.last_test),
        last_update_at: table.instant(columns.last_update),
        last_fixed_at: table.instant(columns.last_fixed),
        last_reopened_at: table.instant(columns.last_reopened),
        last_processed_at: table.instant(columns.last_processed),
        times_found: table.number(columns.times_found),
        times_reopened: table.number(columns.times_reopened),
        ignored: table.flag(columns.ignored).unwrap_or(false),
        disabled: table.flag(columns.disabled).unwrap_or(false),
        ..hld::empty(qid, DetectionKind::Info)
    })
}

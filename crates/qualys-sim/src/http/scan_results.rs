//! What a scan found, as CSV or as the array of unlike objects (spec section 7.4).

use super::call::Call;
use super::detection_rows::{plan_of, results};
use super::params::{Kind, Known};
use super::reply::{Family, Refusal, Reply};
use super::scan::{no_such_scan, wrong_state};
use crate::detections::Detection;
use crate::hosts::Host;
use crate::knowledge::{Entry, EntryKind};
use crate::scans::{Scan, State};
use crate::subscription::{APPLIANCES, PROFILES};
use jiff::Timestamp;
use serde_json::{Value, json};

const FETCH: &[Known] = &[
    ("scan_ref", Kind::Text),
    ("ips", Kind::Ips),
    ("mode", Kind::OneOf(&["brief", "extended"])),
    ("output_format", Kind::OneOf(&["csv", "json", "csv_extended", "json_extended"])),
    ("client_id", Kind::Number),
    ("client_name", Kind::Text),
];

/// Columns of the brief form; the extended one adds those of [`EXTENDED`].
const BRIEF: &[&str] = &["ip", "dns", "netbios", "qid", "instance", "results"];
const EXTENDED: &[&str] = &[
    "ip",
    "dns",
    "netbios",
    "os",
    "ip_status",
    "qid",
    "title",
    "type",
    "severity",
    "port",
    "protocol",
    "fqdn",
    "ssl",
    "cve_id",
    "vendor_reference",
    "bugtraq_id",
    "cvss_base",
    "cvss_temporal",
    "cvss3_base",
    "cvss3_temporal",
    "threat",
    "impact",
    "solution",
    "exploitability",
    "associated_malware",
    "results",
    "pci_vuln",
    "instance",
    "category",
];

/// Answers `action=fetch`.
pub(super) fn fetch(call: &Call) -> Result<Reply, Refusal> {
    call.params.check(&[FETCH])?;
    let reference = call.params.require("scan_ref")?;
    let scan = call.app.world.scan(reference).ok_or_else(|| no_such_scan(reference))?;
    if !(scan.has_ended() || scan.state == State::Paused) {
        return Err(wrong_state(call, "fetched", scan.state));
    }
    let format = call.params.get("output_format").unwrap_or("csv");
    let extended = format.ends_with("_extended") || call.params.get("mode") == Some("extended");
    let rows = rows(call, &scan);
    if format.starts_with("json") {
        let body = as_json(call, &scan, &rows, extended);
        let html = call.app.world.options.switches.results_labelled_html;
        let label = if html { "text/html; charset=UTF-8" } else { "application/json" };
        return Ok(Reply::new(200, label, body.to_string(), Family::Api));
    }
    Ok(Reply::new(200, "text/csv", as_csv(call, &scan, &rows, extended), Family::Api))
}

type Row = (Host, Detection, Option<Entry>);

fn rows(call: &Call, scan: &Scan) -> Vec<Row> {
    let world = &call.app.world;
    let ranges = call.params.ips("ips");
    let mut rows = Vec::new();
    for result in scan.results.iter() {
        let host = world.fleet().host(result.index);
        if ranges.as_ref().is_some_and(|ranges| !ranges.iter().any(|(low, high)| (*low..=*high).contains(&host.ip))) {
            continue;
        }
        let record = world.record_unmoved(&host);
        for finding in result.findings.iter().filter(|finding| finding.present) {
            for row in record.detections.iter().filter(|row| row.qid == finding.qid) {
                let seen = Detection { evidence: finding.evidence.clone(), ..row.clone() };
                rows.push((host.clone(), seen, world.knowledge().entry(row.qid)));
            }
        }
    }
    rows
}

fn us_date(at: Timestamp) -> String {
    at.strftime("%m/%d/%Y %H:%M:%S").to_string()
}

fn header(call: &Call) -> Value {
    json!({
        "scan_report_template_title": "Scan Results",
        "result_date": us_date(call.now),
        "company": "Simulated Company", "add1": "1 Example Road", "add2": null, "city": "Example", "state": "None",
        "country": "Nowhere", "zip": "00000",
        "name": "Sim User", "username": call.app.world.options.username, "role": "Manager",
    })
}

fn summary(call: &Call, scan: &Scan) -> Value {
    let profile = PROFILES.iter().find(|profile| profile.id == scan.profile).map_or("", |profile| profile.title);
    let state = if scan.state == State::Finished { "Finished" } else { scan.state.word() };
    json!({
        "launch_date": us_date(scan.launched),
        "active_hosts": scan.results.len(),
        "total_hosts": scan.targets.len(),
        "type": "On Demand",
        "status": state,
        "reference": scan.reference,
        "scanner_appliance": appliance_names(scan),
        "duration": scan.duration_text(),
        "scan_title": scan.title,
        "asset_groups": scan.groups.join(", "),
        "ips": scan.target_text,
        "excluded_ips": "",
        "option_profile": profile,
        "client": call.app.world.options.switches.client_element.then_some("Simulated client"),
    })
}

fn appliance_names(scan: &Scan) -> String {
    if scan.appliances.is_empty() {
        return "External".to_owned();
    }
    let names: Vec<&str> =
        APPLIANCES.iter().filter(|one| scan.appliances.contains(&one.id)).map(|one| one.name).collect();
    names.join(", ")
}

fn cell(call: &Call, (host, row, entry): &Row, column: &str) -> Value {
    let entry = entry.as_ref();
    let text = |value: Option<&str>| Value::from(value.unwrap_or_default());
    match column {
        "ip" => json!(host.ip.to_string()),
        "dns" => json!(host.fqdn),
        "netbios" => json!(host.netbios),
        "os" => json!(host.os.scanner_name()),
        "ip_status" => json!("host scanned, found vuln"),
        "qid" => json!(row.qid),
        "title" => text(entry.map(|entry| entry.title.as_str())),
        "type" => json!(match row.kind {
            EntryKind::Confirmed => "Vuln",
            EntryKind::Potential => "Practice",
            EntryKind::Information => "Ig",
        }),
        "severity" => json!(row.severity.to_string()),
        "port" => json!(row.port.map(|(port, _)| port.to_string())),
        "protocol" => json!(row.port.map(|(_, protocol)| protocol)),
        "ssl" => json!(if matches!(row.port, Some((443 | 8443, _))) { "yes" } else { "no" }),
        "cve_id" => json!(entry.map(|entry| entry.cves.join(", "))),
        "vendor_reference" => json!(entry.and_then(|entry| entry.reference.as_ref()).map(|(id, _)| id)),
        "cvss_base" | "cvss3_base" => {
            json!(entry.and_then(|entry| entry.cvss3.as_ref()).map(|(base, vector)| format!("{base:.1} ({vector})")))
        }
        "threat" => text(entry.map(|entry| entry.diagnosis.as_str())),
        "impact" => text(entry.map(|entry| entry.consequence.as_str())),
        "solution" => text(entry.map(|entry| entry.solution.as_str())),
        "results" => json!(results(call, (host, plan_of(call, host).as_ref()), row)),
        "pci_vuln" => json!(if row.severity >= 3 { "yes" } else { "no" }),
        "category" => text(entry.map(|entry| entry.category.as_str())),
        _ => Value::Null,
    }
}

fn as_json(call: &Call, scan: &Scan, rows: &[Row], extended: bool) -> Value {
    let columns = if extended { EXTENDED } else { BRIEF };
    let mut parts = vec![header(call), summary(call, scan)];
    parts.extend(rows.iter().map(|row| {
        let object = columns.iter().map(|column| ((*column).to_owned(), cell(call, row, column)));
        Value::Object(object.collect())
    }));
    let fleet = call.app.world.fleet();
    let missed: Vec<String> = scan
        .targets
        .iter()
        .filter(|index| !scan.results.iter().any(|result| result.index == **index))
        .map(|index| fleet.ip_of(*index).to_string())
        .collect();
    parts.push(json!({
        "target_distribution_across_scanner_appliances": format!("{} : {}", appliance_names(scan), scan.target_text),
        "hosts_not_scanned_host_not_alive_ip": missed.join(", "),
    }));
    Value::Array(parts)
}

fn as_csv(call: &Call, scan: &Scan, rows: &[Row], extended: bool) -> String {
    let quote = |value: &Value| {
        let text = match value {
            Value::Null => String::new(),
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        format!("\"{}\"", text.replace('"', "\"\""))
    };
    let line = |cells: Vec<String>| cells.join(",") + "\n";
    let values = |object: Value| match object {
        Value::Object(map) => map.values().map(quote).collect(),
        _ => Vec::new(),
    };
    let columns = if extended { EXTENDED } else { BRIEF };
    let mut text = line(values(header(call)));
    text.push_str(&line(values(summary(call, scan))));
    text.push_str(&line(columns.iter().map(|column| format!("\"{column}\"")).collect()));
    for row in rows {
        text.push_str(&line(columns.iter().map(|column| quote(&cell(call, row, column))).collect()));
    }
    text
}

//! One host of a host list detection answer, as XML or as CSV lines.

use super::call::Call;
use super::detection_list::Hosts;
use super::faults::FaultKind;
use super::reply::Chunks;
use super::xml::{Xml, escape, stamp};
use crate::detections::{Detection, Record, Status};
use crate::hosts::Host;
use crate::knowledge::{EntryKind, Knowledge};
use crate::subscription::network_name;
use crate::weakness;
use crate::world::Plan;
use std::collections::{BTreeSet, HashMap};

/// What the `show_` parameters and switches ask for.
#[derive(Debug, Clone)]
pub(crate) struct Show {
    results: bool,
    reopened: bool,
    tags: bool,
    asset_id: bool,
    score: bool,
    factors: bool,
    unique_id: bool,
    twice_escaped: bool,
    version: u8,
    networks: bool,
    disabled: BTreeSet<u32>,
    /// What was worked out for a QID already: a page asks for the same few thousand times.
    known_factors: HashMap<u32, Vec<(&'static str, String)>>,
}

impl Show {
    /// Reads the flags of a call.
    pub(crate) fn read(call: &Call) -> Self {
        let flag = |name: &str, default| call.params.flag(name, default);
        let switches = &call.app.world.options.switches;
        Self {
            results: flag("show_results", true),
            reopened: flag("show_reopened_info", false),
            tags: flag("show_tags", false),
            asset_id: flag("show_asset_id", false),
            score: flag("show_qds", false),
            factors: flag("show_qds_factors", false),
            unique_id: switches.unique_vuln_id && call.fault != Some(FaultKind::NoUniqueVulnId),
            twice_escaped: call.fault == Some(FaultKind::DoubleEscapedResults),
            version: call.version,
            networks: switches.networks,
            disabled: call.app.world.disabled(),
            known_factors: HashMap::new(),
        }
    }
}

/// A HOST element.
pub(crate) fn host(call: &Call, show: &mut Show, host: &Host, record: &Record) -> String {
    let mut xml = Xml::at_depth(3);
    let plan = show.results.then(|| plan_of(call, host)).flatten();
    xml.open("HOST");
    identity(&mut xml, show, host);
    xml.time("LAST_SCAN_DATETIME", record.scanned);
    xml.time("LAST_VM_SCANNED_DATE", record.scanned);
    xml.number("LAST_VM_SCANNED_DURATION", u64::try_from(record.duration).unwrap_or(0));
    xml.time("LAST_VM_AUTH_SCANNED_DATE", record.scanned);
    xml.number("LAST_VM_AUTH_SCANNED_DURATION", u64::try_from(record.duration).unwrap_or(0));
    if show.tags {
        tags(&mut xml, host);
    }
    xml.open("DETECTION_LIST");
    for row in &record.detections {
        detection(&mut xml, call, show, (host, plan.as_ref()), row);
    }
    xml.close("DETECTION_LIST");
    xml.close("HOST");
    if call.fault == Some(FaultKind::KeepAliveComments) {
        xml.raw("<!-- keep-alive for HOST_LIST_VM_DETECTION_OUTPUT  -->");
    }
    xml.finish()
}

/// The elements that say which machine it is; shared with the host list.
fn identity(xml: &mut Xml, show: &Show, host: &Host) {
    xml.number("ID", host.id);
    if show.asset_id {
        xml.number("ASSET_ID", host.asset_id);
    }
    xml.leaf("IP", &host.ip.to_string());
    xml.leaf("TRACKING_METHOD", host.tracking_method());
    if show.networks {
        xml.number("NETWORK_ID", host.network_id);
        if show.version >= 3 {
            xml.leaf("NETWORK_NAME", network_name(host.network_id));
        }
    }
    xml.cdata("OS", host.os.scanner_name());
    xml.cdata("DNS", &host.fqdn);
    dns_data(xml, host);
    if let Some(netbios) = &host.netbios {
        xml.cdata("NETBIOS", netbios);
    }
    if let Some(uuid) = host.agent_uuid {
        xml.cdata("QG_HOSTID", &uuid.to_string());
    }
}

/// DNS_DATA.
pub(crate) fn dns_data(xml: &mut Xml, host: &Host) {
    xml.open("DNS_DATA");
    xml.cdata("HOSTNAME", &host.name);
    xml.cdata("DOMAIN", host.fqdn.split_once('.').map_or("", |(_, domain)| domain));
    xml.cdata("FQDN", &host.fqdn);
    xml.close("DNS_DATA");
}

/// TAGS.
pub(crate) fn tags(xml: &mut Xml, host: &Host) {
    xml.open("TAGS");
    for (id, name) in &host.tags {
        xml.open("TAG");
        xml.number("TAG_ID", *id);
        xml.cdata("NAME", name);
        xml.close("TAG");
    }
    xml.close("TAGS");
}

fn detection(xml: &mut Xml, call: &Call, show: &mut Show, of: (&Host, Option<&Plan>), row: &Detection) {
    let is_information = row.kind == EntryKind::Information;
    xml.open("DETECTION");
    if show.unique_id {
        xml.number("UNIQUE_VULN_ID", row.unique_id);
    }
    xml.number("QID", row.qid);
    xml.leaf("TYPE", row.kind.detection_type());
    xml.number("SEVERITY", row.severity);
    if let Some((port, protocol)) = row.port {
        xml.number("PORT", port);
        xml.leaf("PROTOCOL", protocol);
    }
    xml.number("SSL", u64::from(matches!(row.port, Some((443 | 8443, _)))));
    if show.results {
        let once = escape(&results(call, of, row));
        xml.cdata("RESULTS", if show.twice_escaped { escape(&once) } else { once }.as_str());
    }
    if !is_information {
        xml.leaf("STATUS", row.status.word());
    }
    xml.time("FIRST_FOUND_DATETIME", row.first_found);
    xml.time("LAST_FOUND_DATETIME", row.last_found);
    if !is_information {
        scores(xml, call, show, row);
    }
    xml.number("TIMES_FOUND", row.times_found);
    xml.time("LAST_TEST_DATETIME", row.last_test);
    xml.time("LAST_UPDATE_DATETIME", row.last_update);
    xml.maybe_time("LAST_FIXED_DATETIME", row.last_fixed);
    if show.reopened {
        xml.maybe_time("FIRST_REOPENED_DATETIME", row.first_reopened);
        xml.maybe_time("LAST_REOPENED_DATETIME", row.last_reopened);
        if row.times_reopened > 0 {
            xml.number("TIMES_REOPENED", row.times_reopened);
        }
    }
    xml.number("IS_IGNORED", 0_u32);
    xml.number("IS_DISABLED", u64::from(show.disabled.contains(&row.qid)));
    xml.time("LAST_PROCESSED_DATETIME", row.last_processed);
    xml.close("DETECTION");
}

fn scores(xml: &mut Xml, call: &Call, show: &mut Show, row: &Detection) {
    if show.score {
        xml.element(&format!("QDS severity=\"{}\"", band(row.score)), &row.score.to_string());
    }
    if show.factors {
        xml.open("QDS_FACTORS");
        let knowledge = call.app.world.knowledge();
        let known = show.known_factors.entry(row.qid).or_insert_with(|| factors(knowledge, row.qid));
        for (name, value) in known.iter() {
            let element = format!("QDS_FACTOR name=\"{name}\"");
            xml.cdata(&element, value);
        }
        xml.close("QDS_FACTORS");
    }
}

/// The band of a detection score.
pub(crate) fn band(score: u8) -> &'static str {
    match score {
        90.. => "CRITICAL",
        70.. => "HIGH",
        40.. => "MEDIUM",
        _ => "LOW",
    }
}

fn factors(knowledge: &Knowledge, qid: u32) -> Vec<(&'static str, String)> {
    let Some(entry) = knowledge.entry(qid) else { return Vec::new() };
    let threats: Vec<&str> = entry.threat_intelligence.iter().map(|(_, name)| name.as_str()).collect();
    let mut factors = Vec::new();
    if let Some((base, vector)) = &entry.cvss3 {
        factors.push(("CVSS", format!("{base:.1}")));
        factors.push(("CVSS_version", "v3.x".to_owned()));
        factors.push(("CVSS_vector", vector.trim_start_matches("CVSS:3.1/").to_owned()));
    }
    if entry.epss > 0.0 {
        factors.push(("epss", format!("{:.5}", entry.epss)));
    }
    if threats.contains(&"Exploit_Public") {
        factors.push(("exploit_maturity", if entry.epss > 0.5 { "weaponized,poc" } else { "poc" }.to_owned()));
    }
    if threats.contains(&"Cisa_Known_Exploited_Vulns") {
        factors.push(("CISA_vuln", "YES".to_owned()));
    }
    if !threats.is_empty() {
        factors.push(("RTI", threats.join(",")));
    }
    factors
}

/// What is installed on a host, which the results of the demo set tell of.
pub(crate) fn plan_of(call: &Call, host: &Host) -> Option<Plan> {
    Plan::of(call.app.world.options.seed, host)
}

/// What the scan saw: the folder's words, a package table, or an invented line.
pub(crate) fn results(call: &Call, (host, plan): (&Host, Option<&Plan>), row: &Detection) -> String {
    if let Some(evidence) = &row.evidence {
        return evidence.clone();
    }
    let seed = call.app.world.options.seed;
    if let Some(weakness) = weakness::find(row.qid) {
        let planned = plan.and_then(|plan| plan.evidence(weakness));
        return planned.unwrap_or_else(|| "Configuration\tsetting found on the host".to_owned());
    }
    if row.kind == EntryKind::Information {
        return format!("{}\t\"{}\" -> {}", host.fqdn, host.os.scanner_name(), host.ip);
    }
    let mut roll = crate::roll::Roll::new(seed, &[60, u64::from(host.index), u64::from(row.qid)]);
    let (major, minor) = (roll.below(9) + 1, roll.below(20));
    format!("Package\tInstalled Version\tRequired Version\nsim-{}\t{major}.{minor}.0\t{major}.{}.2", row.qid, minor + 1)
}

const COLUMNS: &str = "\"Host ID\",\"IP Address\",\"Tracking Method\",\"Operating System\",\"DNS Name\",\"Netbios Name\",\"QG HostID\",\
    \"Last Scan Datetime\",\"OS CPE\",\"Last VM Scanned Date\",\"QID\",\"Type\",\"Port\",\"Protocol\",\"FQDN\",\"SSL\",\"Instance\",\"Status\",\
    \"Severity\",\"First Found Datetime\",\"Last Found Datetime\",\"Last Test Datetime\",\"Last Update Datetime\",\"Last Fixed Datetime\",\
    \"First Reopened Datetime\",\"Last Reopened Datetime\",\"Times Reopened\",\"Results\",\"Ignored\",\"Disabled\",\"Times Found\",\"Service\",\
    \"Affect Running Kernel\",\"Last Processed Datetime\"";

/// The CSV form: marker lines around header, body and footer, the footer naming the next page.
pub(crate) fn csv(call: &Call, mut hosts: Hosts, markers: bool) -> Chunks {
    let call = call.clone();
    let limit = hosts.limit();
    let mut head = String::new();
    if markers {
        head.push_str("----BEGIN_RESPONSE_HEADER_CSV\n\"Datetime\",\"User Login\",\"Resource\"\n");
        let user = &call.app.world.options.username;
        head.push_str(&format!("\"{}\",\"{user}\",\"{}{}\"\n", stamp(call.now), call.base, call.path));
        head.push_str("----END_RESPONSE_HEADER_CSV\n----BEGIN_RESPONSE_BODY_CSV\n");
    }
    head.push_str(COLUMNS);
    head.push('\n');
    let disabled = call.app.world.disabled();
    let once = call.params.flag("suppress_duplicated_data_from_csv", false);
    let mut sent = 0;
    let mut ended = false;
    let lines = std::iter::from_fn(move || {
        if ended {
            return None;
        }
        match hosts.next() {
            Some((host, record)) if limit == 0 || sent < limit => {
                sent += 1;
                let plan = plan_of(&call, &host);
                Some(
                    record
                        .detections
                        .iter()
                        .enumerate()
                        .map(|(at, row)| {
                            line(
                                &call,
                                (&host, plan.as_ref()),
                                &record,
                                row,
                                Said { host: once && at > 0, disabled: disabled.contains(&row.qid) },
                            )
                        })
                        .collect::<String>()
                        .into_bytes(),
                )
            }
            next => {
                ended = true;
                Some(footer(&call, markers, limit, next.map(|(host, _)| host.id)).into_bytes())
            }
        }
    });
    Box::new(std::iter::once(head.into_bytes()).chain(lines))
}

fn footer(call: &Call, markers: bool, limit: u64, next: Option<u64>) -> String {
    if !markers {
        return String::new();
    }
    let mut text = "----END_RESPONSE_BODY_CSV\n----BEGIN_RESPONSE_FOOTER_CSV\n".to_owned();
    match next {
        Some(id) => {
            let url = call.next_page("id_min", id);
            text.push_str(&format!(
                "WARNING\n\"CODE\",\"TEXT\",\"URL\"\n\"1980\",\"{limit} record limit exceeded. Use URL to get next batch of results.\",\"{url}\"\n"
            ));
        }
        None => text.push_str("\"Status Message\"\n\"Finished\"\n"),
    }
    text.push_str("----END_RESPONSE_FOOTER_CSV\n");
    text
}

/// How many of [`COLUMNS`] tell of the machine.
const OF_HOST: usize = 10;

/// What a row depends on beside itself.
#[derive(Debug, Clone, Copy)]
struct Said {
    /// The row before told of the machine.
    host: bool,
    /// The QID is disabled.
    disabled: bool,
}

/// One row; the cells of its machine are empty where they were said in the row before.
fn line(call: &Call, of: (&Host, Option<&Plan>), record: &Record, row: &Detection, said: Said) -> String {
    let (host, _) = of;
    let is_information = row.kind == EntryKind::Information;
    let time = |at: Option<jiff::Timestamp>| at.map(stamp).unwrap_or_default();
    let port = row.port.map(|(port, protocol)| (port.to_string(), protocol.to_owned())).unwrap_or_default();
    let reopened = row.status == Status::Reopened || row.times_reopened > 0;
    let mut cells = [
        host.id.to_string(),
        host.ip.to_string(),
        host.tracking_method().to_owned(),
        host.os.scanner_name().to_owned(),
        host.fqdn.clone(),
        host.netbios.clone().unwrap_or_default(),
        host.agent_uuid.map(|uuid| uuid.to_string()).unwrap_or_default(),
        stamp(record.scanned),
        String::new(),
        stamp(record.scanned),
        row.qid.to_string(),
        row.kind.detection_type().to_owned(),
        port.0,
        port.1,
        String::new(),
        "0".to_owned(),
        String::new(),
        if is_information { String::new() } else { row.status.word().to_owned() },
        row.severity.to_string(),
        stamp(row.first_found),
        stamp(row.last_found),
        stamp(row.last_test),
        stamp(row.last_update),
        time(row.last_fixed),
        time(row.first_reopened),
        time(row.last_reopened),
        if reopened { row.times_reopened.to_string() } else { String::new() },
        results(call, of, row),
        "0".to_owned(),
        u8::from(said.disabled).to_string(),
        row.times_found.to_string(),
        String::new(),
        String::new(),
        stamp(row.last_processed),
    ];
    cells.iter_mut().take(if said.host { OF_HOST } else { 0 }).for_each(String::clear);
    let quoted: Vec<String> = cells.iter().map(|cell| format!("\"{}\"", cell.replace('"', "\"\""))).collect();
    quoted.join(",") + "\n"
}

//! The host list (spec section 4.1): hosts with or without details, or nothing but their ids.

use super::call::Call;
use super::detection_rows::{dns_data, tags};
use super::faults::FaultKind;
use super::params::{Kind, Known};
use super::reply::{Chunks, Refusal, Reply};
use super::select::{SELECTION, Selection, belongs};
use super::xml::Xml;
use crate::detections::{Record, Status};
use crate::hosts::Host;
use crate::subscription::GROUPS;

const ROOT: &str = "HOST_LIST_OUTPUT";
const DETAILS: &[&str] = &["None", "Basic", "Basic/AGs", "All", "All/AGs"];

const LIST: &[Known] = &[
    ("details", Kind::OneOf(DETAILS)),
    ("show_trurisk", Kind::Flag),
    ("show_trurisk_factors", Kind::Flag),
    ("trurisk_min", Kind::Number),
    ("trurisk_max", Kind::Number),
    ("show_ars", Kind::Flag),
    ("show_ars_factors", Kind::Flag),
    ("ars_min", Kind::Number),
    ("ars_max", Kind::Number),
    ("os_hostname", Kind::Flag),
    ("compliance_scan_since", Kind::Date),
    ("no_compliance_scan_since", Kind::Date),
];

/// Answers a call.
pub(crate) fn answer(call: &Call) -> Result<Reply, Refusal> {
    let action = call.action()?;
    if action != "list" {
        return Err(call.unknown_action(action));
    }
    call.params.check(&[SELECTION, LIST])?;
    let selection = Selection::read(call)?;
    let shape = Shape::read(call);
    let candidates = selection.candidates(&call.app.world);
    let hosts = Hosts { call: call.clone(), selection, shape, candidates };
    let limit = hosts.selection.limit;
    let pieces = if call.params.get("details") == Some("None") {
        only_ids(call, hosts, limit)
    } else {
        Box::new(Pieces { call: call.clone(), hosts, shape, limit, sent: 0, begun: false, ended: false })
    };
    Ok(Reply::stream("application/xml", pieces))
}

#[derive(Debug, Clone, Copy)]
struct Shape {
    groups: bool,
    all: bool,
    tags: bool,
    asset_id: bool,
    risk: bool,
    factors: bool,
    risk_min: u64,
    risk_max: u64,
}

impl Shape {
    fn read(call: &Call) -> Self {
        let details = call.params.get("details").unwrap_or("Basic");
        let either = |names: [&str; 2]| names.iter().any(|name| call.params.flag(name, false));
        let number = |names: [&str; 2]| names.iter().find_map(|name| call.params.number(name));
        Self {
            groups: details.ends_with("/AGs"),
            all: details.starts_with("All"),
            tags: call.params.flag("show_tags", false),
            asset_id: call.params.flag("show_asset_id", false),
            risk: either(["show_trurisk", "show_ars"]),
            factors: either(["show_trurisk_factors", "show_ars_factors"]),
            risk_min: number(["trurisk_min", "ars_min"]).unwrap_or(0),
            risk_max: number(["trurisk_max", "ars_max"]).unwrap_or(u64::MAX),
        }
    }
}

struct Hosts {
    call: Call,
    selection: Selection,
    shape: Shape,
    candidates: Box<dyn Iterator<Item = u32> + Send>,
}

impl Iterator for Hosts {
    type Item = (Host, Record);

    fn next(&mut self) -> Option<Self::Item> {
        let world = &self.call.app.world;
        for index in self.candidates.by_ref() {
            let host = world.fleet().host(index);
            if !self.selection.means(world, &host) {
                continue;
            }
            let record = world.record_unmoved(&host);
            let in_band = (self.shape.risk_min..=self.shape.risk_max).contains(&risk(&record).0);
            if self.selection.means_record(&record) && in_band {
                return Some((host, record));
            }
        }
        None
    }
}

fn dtd(call: &Call) -> String {
    let file = if call.version >= 3 { "dtd/list/output.dtd" } else { "host_list_output.dtd" };
    format!("/api/{}.0/fo/asset/host/{file}", call.version)
}

/// `details=None`: an ID_SET, with ranges only where the switch asks for them.
fn only_ids(call: &Call, mut hosts: Hosts, limit: u64) -> Chunks {
    let wanted = usize::try_from(limit).ok().filter(|limit| *limit > 0).unwrap_or(usize::MAX);
    let ids: Vec<u64> = hosts.by_ref().take(wanted).map(|(host, _)| host.id).collect();
    let next = if limit > 0 { hosts.next().map(|(host, _)| host.id) } else { None };
    let mut text = call.prologue(ROOT, &dtd(call));
    let mut xml = Xml::at_depth(2);
    if !ids.is_empty() {
        xml.open("ID_SET");
        let ranges = call.app.world.options.switches.id_ranges || call.fault == Some(FaultKind::IdRange);
        if ranges && ids.len() > 2 {
            // The ids of a real subscription follow one another without gaps more often than ours; a range spans foreign ids here.
            let (first, last) = (ids.first().copied().unwrap_or(0), ids.last().copied().unwrap_or(0));
            xml.leaf("ID_RANGE", &format!("{first}-{last}"));
        } else {
            for id in ids {
                xml.number("ID", id);
            }
        }
        xml.close("ID_SET");
    }
    text.push_str(&xml.finish());
    if let Some(next) = next {
        text.push_str(&call.truncated(limit, "id_min", next));
    }
    text.push_str(&call.epilogue(ROOT));
    Box::new(std::iter::once(text.into_bytes()))
}

struct Pieces {
    call: Call,
    hosts: Hosts,
    shape: Shape,
    limit: u64,
    sent: u64,
    begun: bool,
    ended: bool,
}

impl Iterator for Pieces {
    type Item = Vec<u8>;

    fn next(&mut self) -> Option<Vec<u8>> {
        if self.ended {
            return None;
        }
        let mut text = String::new();
        if !self.begun {
            self.begun = true;
            text.push_str(&self.call.prologue(ROOT, &dtd(&self.call)));
        }
        let full = self.limit > 0 && self.sent >= self.limit;
        match self.hosts.next() {
            Some((host, record)) if !full => {
                if self.sent == 0 {
                    text.push_str("    <HOST_LIST>\n");
                }
                self.sent += 1;
                text.push_str(&self.host(&host, &record));
            }
            next => {
                self.ended = true;
                if self.sent > 0 {
                    text.push_str("    </HOST_LIST>\n");
                }
                if let Some((host, _)) = next {
                    let frozen = self.call.fault == Some(FaultKind::FrozenCursor);
                    let cursor = if frozen { self.call.params.number("id_min").unwrap_or(1) } else { host.id };
                    text.push_str(&self.call.truncated(self.limit, "id_min", cursor));
                }
                text.push_str(&self.call.epilogue(ROOT));
            }
        }
        Some(text.into_bytes())
    }
}

impl Pieces {
    fn host(&self, host: &Host, record: &Record) -> String {
        let mut xml = Xml::at_depth(3);
        xml.open("HOST");
        xml.number("ID", host.id);
        if self.shape.asset_id {
            xml.number("ASSET_ID", host.asset_id);
        }
        xml.leaf("IP", &host.ip.to_string());
        if self.shape.risk {
            let (risk, _) = risk(record);
            xml.number("ASSET_RISK_SCORE", risk);
            xml.number("TRURISK_SCORE", risk);
            xml.number("ASSET_CRITICALITY_SCORE", self.call.app.world.criticality(host.index));
        }
        if self.shape.factors {
            risk_factors(&mut xml, record);
        }
        xml.leaf("TRACKING_METHOD", host.tracking_method());
        if self.call.app.world.options.switches.networks {
            xml.number("NETWORK_ID", host.network_id);
        }
        xml.cdata("DNS", &host.fqdn);
        dns_data(&mut xml, host);
        if let Some(netbios) = &host.netbios {
            xml.cdata("NETBIOS", netbios);
        }
        xml.cdata("OS", host.os.scanner_name());
        if let Some(uuid) = host.agent_uuid {
            xml.cdata("QG_HOSTID", &uuid.to_string());
        }
        if self.shape.tags {
            tags(&mut xml, host);
        }
        if self.shape.all {
            xml.time("LAST_VULN_SCAN_DATETIME", record.scanned);
            xml.time("LAST_VM_SCANNED_DATE", record.scanned);
            xml.number("LAST_VM_SCANNED_DURATION", u64::try_from(record.duration).unwrap_or(0));
            xml.time("LAST_VM_AUTH_SCANNED_DATE", record.scanned);
        }
        if self.shape.groups {
            let world = &self.call.app.world;
            let ids: Vec<String> = GROUPS
                .iter()
                .filter(|group| belongs(world, group, host.index))
                .map(|group| group.id.to_string())
                .collect();
            xml.leaf("ASSET_GROUP_IDS", &ids.join(","));
        }
        xml.close("HOST");
        xml.finish()
    }
}

/// A risk score of 0 to 1000 and the open findings per band, lowest first.
pub(super) fn risk(record: &Record) -> (u64, [u64; 4]) {
    let mut counts = [0_u64; 4];
    for row in record.detections.iter().filter(|row| row.status != Status::Fixed && row.score > 0) {
        let band = match row.score {
            90.. => 3,
            70.. => 2,
            40.. => 1,
            _ => 0,
        };
        if let Some(count) = counts.get_mut(band) {
            *count += 1;
        }
    }
    let [low, medium, high, critical] = counts;
    ((critical * 90 + high * 40 + medium * 12 + low * 3).min(1_000), counts)
}

fn risk_factors(xml: &mut Xml, record: &Record) {
    let (_, counts) = risk(record);
    xml.open("TRURISK_SCORE_FACTORS");
    xml.leaf("TRURISK_SCORE_FORMULA", "simulator: 90 x critical + 40 x high + 12 x medium + 3 x low");
    for (count, band) in counts.iter().zip(["1", "2", "3", "4"]) {
        xml.element(&format!("VULN_COUNT qds_severity=\"{band}\""), &count.to_string());
    }
    xml.close("TRURISK_SCORE_FACTORS");
}

//! Which hosts a call means: the selection parameters that host list and host list detection share.

use super::call::Call;
use super::params::{Kind, Known, Params};
use super::reply::Refusal;
use crate::detections::Record;
use crate::hosts::Host;
use crate::state::World;
use crate::subscription::{GROUPS, Group, Members, NETWORKS};
use jiff::{SignedDuration, Timestamp};
use std::net::Ipv4Addr;

/// Selection parameters.
pub(crate) const SELECTION: &[Known] = &[
    ("ids", Kind::Ids),
    ("id_min", Kind::Number),
    ("id_max", Kind::Number),
    ("ips", Kind::Ips),
    ("ipv6", Kind::Text),
    ("ag_ids", Kind::Ids),
    ("ag_titles", Kind::Text),
    ("network_ids", Kind::Text),
    ("network_name", Kind::Text),
    ("os_pattern", Kind::Text),
    ("compliance_enabled", Kind::Flag),
    ("use_tags", Kind::Flag),
    ("tag_set_by", Kind::OneOf(&["id", "name"])),
    ("tag_set_include", Kind::Text),
    ("tag_set_exclude", Kind::Text),
    ("tag_include_selector", Kind::OneOf(&["any", "all"])),
    ("tag_exclude_selector", Kind::OneOf(&["any", "all"])),
    ("show_tags", Kind::Flag),
    ("show_asset_id", Kind::Flag),
    ("show_cloud_tags", Kind::Flag),
    ("cloud_tag_fields", Kind::Text),
    ("host_metadata", Kind::Text),
    ("host_metadata_fields", Kind::Text),
    ("truncation_limit", Kind::Number),
    ("vm_scan_since", Kind::Date),
    ("no_vm_scan_since", Kind::Date),
    ("vm_processed_before", Kind::Date),
    ("vm_processed_after", Kind::Date),
    ("vm_scan_date_before", Kind::Date),
    ("vm_scan_date_after", Kind::Date),
    ("vm_auth_scan_date_before", Kind::Date),
    ("vm_auth_scan_date_after", Kind::Date),
];

/// Hosts returned when the call does not say how many.
const PAGE_DEFAULT: u64 = 1_000;

/// A selection, read once and asked for every host.
#[derive(Debug)]
pub(crate) struct Selection {
    ids: Option<Vec<(u64, u64)>>,
    id_min: u64,
    id_max: u64,
    ips: Option<Vec<(Ipv4Addr, Ipv4Addr)>>,
    nobody: bool,
    groups: Option<Vec<&'static Group>>,
    networks: Option<Vec<u32>>,
    os: Option<Pattern>,
    tags: Option<Tags>,
    scanned: Window,
    processed: Window,
    /// Hosts per page; 0 means all.
    pub(crate) limit: u64,
}

#[derive(Debug, Default)]
struct Window {
    from: Vec<Timestamp>,
    until: Vec<Timestamp>,
}

impl Window {
    fn holds(&self, at: Timestamp) -> bool {
        self.from.iter().all(|from| at >= *from) && self.until.iter().all(|until| at <= *until)
    }
}

#[derive(Debug)]
struct Tags {
    include: Vec<String>,
    exclude: Vec<String>,
    include_all: bool,
    exclude_all: bool,
}

/// Hosts per page as the call asks for, and no more than the subscription gives; 0 means all.
fn page_hosts(params: &Params, most: u64) -> u64 {
    match (params.number("truncation_limit").unwrap_or(PAGE_DEFAULT), most) {
        (asked, 0) => asked,
        (0, most) => most,
        (asked, most) => asked.min(most),
    }
}

impl Selection {
    /// Reads the selection of a call whose parameters were checked.
    pub(crate) fn read(call: &Call) -> Result<Self, Refusal> {
        let (params, now) = (&call.params, call.now);
        params.at_most_one(&["ag_ids", "ag_titles"])?;
        params.at_most_one(&["vm_scan_since", "no_vm_scan_since"])?;
        let uses_tags = params.flag("use_tags", false);
        if uses_tags {
            params.require("tag_set_include")?;
            params.at_most_one(&["use_tags", "ag_ids"])?;
        }
        let words =
            |name: &str| params.list(name).unwrap_or_default().into_iter().map(str::to_owned).collect::<Vec<_>>();
        let tags = uses_tags.then(|| Tags {
            include: words("tag_set_include"),
            exclude: words("tag_set_exclude"),
            include_all: params.get("tag_include_selector") == Some("all"),
            exclude_all: params.get("tag_exclude_selector") == Some("all"),
        });
        let groups = match (params.ids("ag_ids"), params.list("ag_titles")) {
            (Some(ids), _) => Some(GROUPS.iter().filter(|group| within(&ids, u64::from(group.id))).collect()),
            (None, Some(titles)) => Some(GROUPS.iter().filter(|group| titles.contains(&group.title)).collect()),
            (None, None) => None,
        };
        let networks = match (params.list("network_ids"), params.get("network_name")) {
            (Some(ids), _) => Some(ids.iter().filter_map(|id| id.parse().ok()).collect()),
            (None, Some(name)) => {
                Some(NETWORKS.iter().filter(|(_, known)| *known == name).map(|(id, _)| *id).collect())
            }
            (None, None) => None,
        };
        Ok(Self {
            ids: params.ids("ids"),
            id_min: params.number("id_min").unwrap_or(0),
            id_max: params.number("id_max").unwrap_or(u64::MAX),
            ips: params.ips("ips"),
            nobody: params.get("ipv6").is_some(),
            groups,
            networks,
            os: params.get("os_pattern").map(Pattern::read),
            tags,
            scanned: scan_window(params, now),
            processed: Window {
                from: params.date("vm_processed_after").into_iter().collect(),
                until: params.date("vm_processed_before").into_iter().collect(),
            },
            limit: page_hosts(params, call.app.world.options.switches.page_hosts),
        })
    }

    /// The host indices worth looking at: the id cursor already applied.
    pub(crate) fn candidates(&self, world: &World) -> Box<dyn Iterator<Item = u32> + Send> {
        let fleet = *world.fleet();
        let first = fleet.first_from(self.id_min);
        let last = if self.id_max == u64::MAX { fleet.len() } else { fleet.first_from(self.id_max.saturating_add(1)) };
        match &self.ids {
            Some(ids) if !self.nobody => {
                let mut runs: Vec<(u32, u32)> = ids
                    .iter()
                    .map(|(low, high)| {
                        (fleet.first_from(*low).max(first), fleet.first_from(high.saturating_add(1)).min(last))
                    })
                    .collect();
                runs.sort_unstable();
                let mut next = 0;
                Box::new(runs.into_iter().flat_map(move |(low, high)| {
                    let low = low.max(next);
                    next = next.max(high);
                    low..high
                }))
            }
            _ if self.nobody => Box::new(std::iter::empty()),
            _ => Box::new(first..last),
        }
    }

    /// Whether a host is meant, by everything but its scan dates.
    pub(crate) fn means(&self, world: &World, host: &Host) -> bool {
        let by_ip =
            self.ips.as_ref().is_none_or(|ranges| ranges.iter().any(|(low, high)| (*low..=*high).contains(&host.ip)));
        let by_group =
            self.groups.as_ref().is_none_or(|groups| groups.iter().any(|group| belongs(world, group, host.index)));
        let by_network = self.networks.as_ref().is_none_or(|networks| networks.contains(&host.network_id));
        let by_os = self.os.as_ref().is_none_or(|pattern| pattern.fits(host.os.scanner_name()));
        let by_tags = self.tags.as_ref().is_none_or(|tags| tags.fit(host));
        by_ip && by_group && by_network && by_os && by_tags && !world.is_purged(host.index)
    }

    /// Whether a host is meant by its scan dates.
    pub(crate) fn means_record(&self, record: &Record) -> bool {
        self.scanned.holds(record.scanned) && self.processed.holds(record.processed)
    }
}

fn scan_window(params: &Params, now: Timestamp) -> Window {
    let names = ["vm_scan_since", "vm_scan_date_after", "vm_auth_scan_date_after"];
    let mut from: Vec<Timestamp> = names.iter().filter_map(|name| params.date(name)).collect();
    if let Some(days) = params.number("max_days_since_last_vm_scan") {
        let back = SignedDuration::from_hours(i64::try_from(days).unwrap_or(0).saturating_mul(24));
        from.extend(now.checked_sub(back));
    }
    let names = ["no_vm_scan_since", "vm_scan_date_before", "vm_auth_scan_date_before"];
    Window { from, until: names.iter().filter_map(|name| params.date(name)).collect() }
}

/// Whether an id lies in one of the ranges.
pub(crate) fn within(ranges: &[(u64, u64)], id: u64) -> bool {
    ranges.iter().any(|(low, high)| (*low..=*high).contains(&id))
}

/// Whether a host belongs to a group.
pub(crate) fn belongs(world: &World, group: &Group, index: u32) -> bool {
    let fleet = world.fleet();
    fleet.network_of(index) == group.network
        && match group.members {
            Members::All => true,
            Members::Demo => index < fleet.demo_len(),
            Members::None => false,
        }
}

impl Tags {
    fn fit(&self, host: &Host) -> bool {
        let has = |wanted: &String| host.tags.iter().any(|(id, name)| name == wanted || id.to_string() == *wanted);
        let included = if self.include_all { self.include.iter().all(has) } else { self.include.iter().any(has) };
        let excluded = !self.exclude.is_empty()
            && if self.exclude_all { self.exclude.iter().all(has) } else { self.exclude.iter().any(has) };
        included && !excluded
    }
}

/// The small part of a regular expression that selections use: alternatives, `^`, `$` and `.*`.
#[derive(Debug)]
struct Pattern {
    alternatives: Vec<(bool, bool, Vec<String>)>,
}

impl Pattern {
    fn read(text: &str) -> Self {
        let alternatives = text
            .split('|')
            .map(|part| {
                let (starts, part) = part.strip_prefix('^').map_or((false, part), |rest| (true, rest));
                let (ends, part) = part.strip_suffix('$').map_or((false, part), |rest| (true, rest));
                (starts, ends, part.split(".*").map(|piece| piece.replace('\\', "")).collect())
            })
            .collect();
        Self { alternatives }
    }

    fn fits(&self, text: &str) -> bool {
        self.alternatives.iter().any(|(starts, ends, pieces)| {
            let mut at = 0;
            for (number, piece) in pieces.iter().enumerate() {
                let Some(found) = text.get(at..).and_then(|rest| rest.find(piece.as_str())) else { return false };
                if number == 0 && *starts && found != 0 {
                    return false;
                }
                at += found + piece.len();
            }
            !ends || pieces.last().is_some_and(|last| text.ends_with(last.as_str()))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn os_patterns_know_anchors_wildcards_and_alternatives() {
        let cases = [
            ("Linux", true),
            ("^Linux", false),
            ("^Debian.*12", true),
            ("Windows|Debian", true),
            ("^Windows|Solaris", false),
            ("12\\.1$", true),
            ("Debian$", false),
        ];
        for (pattern, fits) in cases {
            assert_eq!(Pattern::read(pattern).fits("Debian Linux 12.1"), fits, "{pattern}");
        }
    }
}

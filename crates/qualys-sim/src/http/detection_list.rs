//! Host list detection: the parameters, the paging, and the document around the hosts (spec section 3).

use super::call::Call;
use super::detection_rows::{self, Show};
use super::faults::FaultKind;
use super::params::{Kind, Known, Params};
use super::reply::{Chunks, Refusal, Reply};
use super::select::{SELECTION, Selection, within};
use super::xml::Xml;
use crate::detections::{Detection, Record, Status};
use crate::hosts::Host;
use crate::knowledge::{EntryKind, Knowledge};
use crate::state::World;
use crate::subscription::{SEARCH_LISTS, SearchList};
use jiff::{SignedDuration, Timestamp};
use std::collections::BTreeSet;

const ROOT: &str = "HOST_LIST_VM_DETECTION_OUTPUT";

const DETECTION: &[Known] = &[
    ("max_days_since_last_vm_scan", Kind::Number),
    ("detection_updated_since", Kind::Date),
    ("detection_updated_before", Kind::Date),
    ("max_days_since_detection_updated", Kind::Number),
    ("detection_processed_before", Kind::Date),
    ("detection_processed_after", Kind::Date),
    ("detection_last_tested_since", Kind::Date),
    ("detection_last_tested_before", Kind::Date),
    ("detection_last_tested_since_days", Kind::Number),
    ("detection_last_tested_before_days", Kind::Number),
    ("qids", Kind::Ids),
    ("severities", Kind::Ids),
    ("status", Kind::ListOf(&["New", "Active", "Re-Opened", "Fixed"])),
    ("include_search_list_titles", Kind::Text),
    ("include_search_list_ids", Kind::Ids),
    ("exclude_search_list_titles", Kind::Text),
    ("exclude_search_list_ids", Kind::Ids),
    ("include_vuln_type", Kind::OneOf(&["confirmed", "potential"])),
    ("filter_superseded_qids", Kind::Flag),
    ("show_igs", Kind::Flag),
    ("include_ignored", Kind::Flag),
    ("include_disabled", Kind::Flag),
    ("arf_kernel_filter", Kind::OneOf(&["0", "1", "2", "3", "4"])),
    ("arf_service_filter", Kind::OneOf(&["0", "1", "2", "3", "4"])),
    ("arf_config_filter", Kind::OneOf(&["0", "1", "2", "3", "4"])),
    ("active_kernels_only", Kind::OneOf(&["0", "1", "2", "3"])),
    ("qds_min", Kind::Number),
    ("qds_max", Kind::Number),
    ("show_results", Kind::Flag),
    ("show_reopened_info", Kind::Flag),
    ("show_qds", Kind::Flag),
    ("show_qds_factors", Kind::Flag),
    ("show_host_services", Kind::Flag),
    ("os_hostname", Kind::Flag),
    ("output_format", Kind::OneOf(&["XML", "CSV", "CSV_NO_METADATA", "CSV_MS_EXCEL", "CSV_NO_METADATA_MS_EXCEL"])),
    ("suppress_duplicated_data_from_csv", Kind::Flag),
];

/// Parameters that only the newest version knows.
const SINCE_5: &[Known] = &[("vuln_detection_source", Kind::Text)];

/// Which rows are wanted.
#[derive(Debug)]
struct Rows {
    qids: Option<Vec<(u64, u64)>>,
    severities: Option<Vec<(u64, u64)>>,
    statuses: Vec<Status>,
    include: Option<Vec<&'static SearchList>>,
    exclude: Vec<&'static SearchList>,
    kind: Option<EntryKind>,
    information: bool,
    score: Option<(u64, u64)>,
    updated: (Vec<Timestamp>, Vec<Timestamp>),
    processed: (Vec<Timestamp>, Vec<Timestamp>),
    tested: (Vec<Timestamp>, Vec<Timestamp>),
    /// Hidden QIDs; none where they are asked for, too.
    hidden: BTreeSet<u32>,
    /// Dynamic search lists ask it.
    knowledge: Knowledge,
}

impl Rows {
    fn read(params: &Params, now: Timestamp, world: &World) -> Self {
        let named = |name: &str| params.date(name).into_iter().collect::<Vec<_>>();
        let days = |name: &str| {
            let days = params.number(name).and_then(|days| i64::try_from(days).ok())?;
            now.checked_sub(SignedDuration::from_hours(days.saturating_mul(24))).ok()
        };
        let both = |dates: Vec<Timestamp>, name: &str| dates.into_iter().chain(days(name)).collect::<Vec<_>>();
        let lists = |ids: &str, titles: &str| {
            let by_id = params.ids(ids);
            let by_title = params.list(titles);
            (by_id.is_some() || by_title.is_some()).then(|| {
                SEARCH_LISTS
                    .iter()
                    .filter(|list| {
                        by_id.as_ref().is_some_and(|ids| within(ids, u64::from(list.id)))
                            || by_title.as_ref().is_some_and(|titles| titles.contains(&list.title))
                    })
                    .collect::<Vec<_>>()
            })
        };
        let statuses = params.list("status").map_or_else(
            || vec![Status::New, Status::Active, Status::Reopened],
            |words| words.into_iter().filter_map(Status::parse).collect(),
        );
        let bounds = (params.number("qds_min"), params.number("qds_max"));
        Self {
            qids: params.ids("qids"),
            severities: params.ids("severities"),
            statuses,
            include: lists("include_search_list_ids", "include_search_list_titles"),
            exclude: lists("exclude_search_list_ids", "exclude_search_list_titles").unwrap_or_default(),
            kind: params.get("include_vuln_type").map(|word| match word {
                "potential" => EntryKind::Potential,
                _ => EntryKind::Confirmed,
            }),
            information: params.flag("show_igs", false),
            score: (bounds != (None, None)).then(|| (bounds.0.unwrap_or(0), bounds.1.unwrap_or(100))),
            updated: (
                both(named("detection_updated_since"), "max_days_since_detection_updated"),
                named("detection_updated_before"),
            ),
            processed: (named("detection_processed_after"), named("detection_processed_before")),
            tested: (
                both(named("detection_last_tested_since"), "detection_last_tested_since_days"),
                both(named("detection_last_tested_before"), "detection_last_tested_before_days"),
            ),
            hidden: if params.flag("include_disabled", false) { BTreeSet::new() } else { world.disabled() },
            knowledge: *world.knowledge(),
        }
    }

    fn wants(&self, row: &Detection) -> bool {
        let is_information = row.kind == EntryKind::Information;
        let in_window = |(from, until): &(Vec<Timestamp>, Vec<Timestamp>), at: Timestamp| {
            from.iter().all(|from| at >= *from) && until.iter().all(|until| at <= *until)
        };
        (if is_information { self.information } else { self.statuses.contains(&row.status) })
            && self.qids.as_ref().is_none_or(|ranges| within(ranges, u64::from(row.qid)))
            && self.severities.as_ref().is_none_or(|ranges| within(ranges, u64::from(row.severity)))
            && self.include.as_ref().is_none_or(|lists| lists.iter().any(|list| list.covers(&self.knowledge, row.qid)))
            && !self.hidden.contains(&row.qid)
            && !self.exclude.iter().any(|list| list.covers(&self.knowledge, row.qid))
            && self.kind.is_none_or(|kind| kind == row.kind)
            && self.score.is_none_or(|(low, high)| (low..=high).contains(&u64::from(row.score)))
            && in_window(&self.updated, row.last_update)
            && in_window(&self.processed, row.last_processed)
            && in_window(&self.tested, row.last_test)
    }
}

/// Answers a call.
pub(crate) fn answer(call: &Call) -> Result<Reply, Refusal> {
    let action = call.action()?;
    if action != "list" {
        return Err(call.unknown_action(action));
    }
    let newest: &[Known] = if call.version >= 5 { SINCE_5 } else { &[] };
    call.params.check(&[SELECTION, DETECTION, newest])?;
    call.params.at_most_one(&["severities", "qids"])?;
    call.params.at_most_one(&["include_search_list_titles", "include_search_list_ids"])?;
    let selection = Selection::read(call)?;
    let mut candidates = selection.candidates(&call.app.world);
    if call.fault == Some(FaultKind::DuplicateHost)
        && let Some(before) = call.params.number("id_min").map(|id| call.app.world.fleet().first_from(id))
        && before > 0
    {
        candidates = Box::new(std::iter::once(before - 1).chain(candidates));
    }
    let hosts =
        Hosts { call: call.clone(), selection, rows: Rows::read(&call.params, call.now, &call.app.world), candidates };
    let format = call.params.get("output_format").unwrap_or("XML");
    if format.starts_with("CSV") {
        return Ok(Reply::stream("text/csv", detection_rows::csv(call, hosts, !format.contains("NO_METADATA"))));
    }
    Ok(Reply::stream("application/xml", document(call, hosts)))
}

/// The hosts a call means, each with the rows it means; worked out one by one while the answer is sent.
pub(crate) struct Hosts {
    call: Call,
    selection: Selection,
    rows: Rows,
    candidates: Box<dyn Iterator<Item = u32> + Send>,
}

impl Hosts {
    /// Hosts per page; 0 means all.
    pub(crate) fn limit(&self) -> u64 {
        self.selection.limit
    }
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
            let mut record = world.record_unmoved(&host);
            if !self.selection.means_record(&record) {
                continue;
            }
            record.detections.retain(|row| self.rows.wants(row));
            if !record.detections.is_empty() {
                return Some((host, record));
            }
        }
        None
    }
}

/// The XML document, one piece per host.
fn document(call: &Call, hosts: Hosts) -> Chunks {
    let dtd = if call.version >= 3 { "dtd/output.dtd" } else { "host_list_vm_detection_output.dtd" };
    let folder = format!("/api/{}.0/fo/asset/host/vm/detection/{dtd}", call.version);
    let limit = hosts.limit();
    let show = Show::read(call);
    let mut pieces = Pieces {
        prologue: Some(call.prologue(ROOT, &folder)),
        call: call.clone(),
        hosts,
        show,
        limit,
        sent: 0,
        waiting: None,
        ended: false,
    };
    pieces.waiting = pieces.hosts.next();
    Box::new(pieces)
}

struct Pieces {
    prologue: Option<String>,
    call: Call,
    hosts: Hosts,
    show: Show,
    limit: u64,
    sent: u64,
    waiting: Option<(Host, Record)>,
    ended: bool,
}

impl Iterator for Pieces {
    type Item = Vec<u8>;

    fn next(&mut self) -> Option<Vec<u8>> {
        if let Some(prologue) = self.prologue.take() {
            let mut text = prologue;
            if self.waiting.is_some() {
                text.push_str("    <HOST_LIST>\n");
            }
            return Some(text.into_bytes());
        }
        if self.ended {
            return None;
        }
        if let Some(FaultKind::ErrorMidway { after }) = self.call.fault
            && self.sent >= after as u64
        {
            self.ended = true;
            let mut xml = Xml::at_depth(3);
            xml.element("GENERIC_RETURN", "<RETURN status=\"FAILED\" number=\"999\">Internal error.</RETURN>");
            return Some(xml.finish().into_bytes());
        }
        let is_full = self.limit > 0 && self.sent >= self.limit;
        match self.waiting.take() {
            Some((host, record)) if !is_full => {
                self.sent += 1;
                self.waiting = self.hosts.next();
                Some(detection_rows::host(&self.call, &mut self.show, &host, &record).into_bytes())
            }
            next => {
                self.ended = true;
                Some(self.end(next.map(|(host, _)| host.id)).into_bytes())
            }
        }
    }
}

impl Pieces {
    fn end(&self, next: Option<u64>) -> String {
        let mut text = String::new();
        if self.sent > 0 || next.is_some() {
            text.push_str("    </HOST_LIST>\n");
        }
        if let Some(next) = next {
            let frozen = self.call.fault == Some(FaultKind::FrozenCursor);
            let cursor = if frozen { self.call.params.number("id_min").unwrap_or(1) } else { next };
            text.push_str(&self.call.truncated(self.limit, "id_min", cursor));
        }
        text.push_str(&self.call.epilogue(ROOT));
        text
    }
}

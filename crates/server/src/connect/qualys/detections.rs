//! Host list detection: the source of status.

use crate::connect::qualys::client::{Call, Client};
use crate::connect::qualys::config::Endpoint;
use crate::connect::qualys::pages::{Document, Pages};
use domain::time::Timestamp;

/// Which detections are wanted. All four statuses always are: `Fixed` comes only when it is named.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DetectionQuery {
    /// Hosts by id; all when empty.
    pub ids: Vec<i64>,
    /// Hosts by address or range `a-b`.
    pub ips: Vec<String>,
    /// Networks the addresses are in.
    pub network_ids: Vec<i64>,
    /// Vulnerabilities; all when empty.
    pub qids: Vec<i64>,
    /// Only hosts processed at or after this instant: what an import window is made of, never scan times.
    pub processed_after: Option<Timestamp>,
    /// Only hosts processed before this instant.
    pub processed_before: Option<Timestamp>,
    /// Facts (information gathered) as well.
    pub information: bool,
    /// Leave the evidence out, which makes pages much smaller.
    pub without_results: bool,
    /// Resume at this host id.
    pub resume_at: Option<i64>,
}

/// Parameters that only make the answer richer; a version that does not know one is asked without it.
const OPTIONAL: &[&str] =
    &["show_qds", "show_qds_factors", "show_tags", "show_asset_id", "show_reopened_info", "host_metadata"];

impl Client {
    /// Pulls detections, page by page.
    pub fn host_detections(&self, query: &DetectionQuery) -> Pages {
        let flag = |on: bool| if on { "1" } else { "0" };
        let mut call = Call::new(Endpoint::Detections, "list")
            .with("output_format", "XML")
            .with("truncation_limit", self.config().page_size)
            .with("status", "New,Active,Re-Opened,Fixed")
            .with("show_results", flag(!query.without_results))
            .with("show_igs", flag(query.information))
            .with("include_ignored", "1")
            .with("include_disabled", "1")
            .with("show_reopened_info", "1")
            .with("show_tags", "1")
            .with("show_asset_id", "1")
            .with("show_qds", "1")
            .with("show_qds_factors", "1")
            .with_list("ids", &ranges(&query.ids))
            .with_list("ips", &query.ips)
            .with_list("network_ids", &query.network_ids)
            .with_list("qids", &ranges(&query.qids))
            .with_some("vm_processed_after", query.processed_after.map(wire_instant))
            .with_some("vm_processed_before", query.processed_before.map(wire_instant))
            .with_some("id_min", query.resume_at);
        call.optional = OPTIONAL;
        Pages::new(self.clone(), Document::Detections, call)
    }
}

/// An instant as the platform reads it: whole seconds, UTC.
pub(crate) fn wire_instant(at: Timestamp) -> String {
    at.to_jiff().strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// Ids in order, each once, neighbours as ranges: `1,5-9`.
pub(crate) fn ranges(ids: &[i64]) -> Vec<String> {
    let mut sorted = ids.to_vec();
    sorted.sort_unstable();
    sorted.dedup();
    let mut found: Vec<(i64, i64)> = Vec::new();
    for id in sorted {
        match found.last_mut() {
            Some((_, last)) if last.checked_add(1) == Some(id) => *last = id,
            _ => found.push((id, id)),
        }
    }
    found
        .iter()
        .map(|(first, last)| if first == last { first.to_string() } else { format!("{first}-{last}") })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_become_ranges() {
        assert_eq!(ranges(&[9, 5, 6, 7, 8, 1, 5]), ["1", "5-9"]);
        assert_eq!(ranges(&[]), Vec::<String>::new());
        assert_eq!(ranges(&[i64::MAX, i64::MAX - 1]), [format!("{}-{}", i64::MAX - 1, i64::MAX)]);
    }

    #[test]
    fn instants_are_whole_seconds() {
        assert_eq!(wire_instant(Timestamp::from_micros(1_999_999)), "1970-01-01T00:00:01Z");
    }
}

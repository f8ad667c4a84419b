//! The host list: machines without their detections, or only their ids.

use crate::connect::qualys::client::{Call, Client};
use crate::connect::qualys::config::Endpoint;
use crate::connect::qualys::detections::ranges;
use crate::connect::qualys::error::Error;
use crate::connect::qualys::pages::{Document, Pages};

/// Which machines are wanted; all when empty.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HostQuery {
    /// By id.
    pub ids: Vec<i64>,
    /// By address or range `a-b`.
    pub ips: Vec<String>,
    /// By network.
    pub network_ids: Vec<i64>,
    /// Resume at this host id.
    pub resume_at: Option<i64>,
}

const OPTIONAL: &[&str] = &["show_tags", "show_asset_id", "show_trurisk"];

impl Client {
    /// Pulls machines with their names, tags and scan times, page by page.
    pub fn host_list(&self, query: &HostQuery) -> Pages {
        let mut call =
            self.host_call(query, "All").with("show_tags", "1").with("show_asset_id", "1").with("show_trurisk", "1");
        call.optional = OPTIONAL;
        Pages::new(self.clone(), Document::Hosts, call)
    }

    /// Ids of machines, in ascending order.
    pub async fn host_ids(&self, query: &HostQuery) -> Result<Vec<i64>, Error> {
        let mut pages = Pages::new(self.clone(), Document::Hosts, self.host_call(query, "None"));
        let mut ids = Vec::new();
        while let Some(page) = pages.next().await? {
            ids.extend(page.ids);
        }
        ids.sort_unstable();
        ids.dedup();
        Ok(ids)
    }

    pub(crate) fn host_call(&self, query: &HostQuery, details: &str) -> Call {
        Call::new(Endpoint::Hosts, "list")
            .with("details", details)
            .with("truncation_limit", self.config().page_size)
            .with_list("ids", &ranges(&query.ids))
            .with_list("ips", &query.ips)
            .with_list("network_ids", &query.network_ids)
            .with_some("id_min", query.resume_at)
    }
}

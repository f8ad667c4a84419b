//! The knowledge base. The platform takes one such call at a time.

use crate::connect::qualys::client::{Call, Client};
use crate::connect::qualys::config::Endpoint;
use crate::connect::qualys::detections::{ranges, wire_instant};
use crate::connect::qualys::pages::{Document, Pages};
use domain::time::Timestamp;

/// Which vulnerabilities are wanted. A full pull is hundreds of megabytes; unknown QIDs are left out silently.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KnowledgeBaseQuery {
    /// By number; all when empty.
    pub ids: Vec<i64>,
    /// Only what was changed at or after this instant.
    pub modified_after: Option<Timestamp>,
    /// From this number on.
    pub id_min: Option<i64>,
    /// Up to this number.
    pub id_max: Option<i64>,
}

const OPTIONAL: &[&str] = &["show_disabled_flag"];

impl Client {
    /// Pulls knowledge base entries with all their texts.
    pub fn knowledge_base(&self, query: &KnowledgeBaseQuery) -> Pages {
        let mut call = Call::new(Endpoint::KnowledgeBase, "list")
            .with("details", "All")
            .with("show_disabled_flag", "1")
            .with_list("ids", &ranges(&query.ids))
            .with_some("last_modified_after", query.modified_after.map(wire_instant))
            .with_some("id_min", query.id_min)
            .with_some("id_max", query.id_max);
        call.optional = OPTIONAL;
        Pages::new(self.clone(), Document::KnowledgeBase, call)
    }
}

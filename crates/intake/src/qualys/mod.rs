//! Readers of Qualys documents, one per format, in the order a user meets them.
//!
//! An answer is good only when its root element is the expected one, no error code stands in it and its end tag was
//! seen (`spec/qualys-api.md` 2.5); everything else is a [`crate::ReadError`].

pub mod about;
pub mod appliances;
pub mod asset_data_report;
pub mod asset_groups;
pub mod hackerguardian_csv;
pub mod hld;
pub mod hld_csv;
mod host;
pub mod host_list;
pub mod knowledge_base;
pub mod option_profiles;
mod page;
pub mod report_csv;
pub mod returns;
mod rows;
pub mod scan_fetch;
pub mod scan_results;
pub mod scans;
pub mod search_lists;
pub mod service;
pub mod vmdr_csv;

pub use page::Listing;

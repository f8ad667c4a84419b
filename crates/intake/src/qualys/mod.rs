//! Readers of Qualys documents, one per format, in the order a user meets them.
//!
//! An answer is good only when its root element is the expected one, no error code stands in it and its end tag was
//! seen (`spec/qualys-api.md` 2.5); everything else is a [`crate::ReadError`].

pub mod asset_data_report;
pub mod hld;
pub mod knowledge_base;

pub mod returns;

mod host;
mod page;

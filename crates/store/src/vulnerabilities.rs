//! Vulnerabilities: the knowledge base, shared by all instances of a product, and what is open of each.

mod list;
mod merge;

pub use list::{Cve, FIELDS, Found, LIST, Vulnerability, VulnerabilityRow, clip, cves, cves_of, found, found_on, one};
pub use merge::{Reference, VulnerabilitySeen, asked, merge, milestones, placeholders, references};

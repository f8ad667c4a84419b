//! What people see: one module per noun holds the view of its pages as plain data, its template lives beside it in
//! `templates/`. Views decide nothing; states, permissions and refusals are worded by `domain`.

pub mod charts;
pub mod chips;
pub mod forms;
pub mod lists;
pub mod records;
pub mod sanitise;
pub mod shell;

pub mod home;
pub mod sign_in;
pub mod vulnerabilities;
pub mod eliminations;
pub mod wizard;
pub mod jobs;
pub mod items;
pub mod scans;
pub mod assets;
pub mod agents;
pub mod scanners;
pub mod imports;
pub mod users;
pub mod audit;
pub mod errors;

#[cfg(test)]
mod gallery;

pub use charts::{Areas, Spark};
pub use chips::{Band, Bar, Change, Chip, Icon, Score, Segment, Severity, Tone, When, count, icon, score};
pub use forms::{Choice, Field, Fault};
pub use lists::{Action, Column, Columns, Empty, FacetGroup, Facet, List, Menu, Pager, QueryError, Tab};
pub use records::{Entry, Fact, Value};
pub use shell::{Crumb, Person, Section, Shell, Toast};

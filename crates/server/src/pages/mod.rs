//! What people see: one module per noun holds the view of its pages as plain data, its template lives beside it in
//! `templates/`. Views decide nothing; states, permissions and refusals are worded by `domain`.

mod actions;
pub mod charts;
pub mod chips;
pub mod forms;
pub mod lists;
pub mod records;
pub mod sanitise;
pub mod shell;

pub mod agents;
pub mod appliances;
pub mod approvals;
pub mod assets;
pub mod assignment;
pub mod audit;
pub mod auto_close;
pub mod efforts;
pub mod eliminations;
pub mod errors;
pub mod exceptions;
pub mod exclusion;
pub mod follow;
pub mod history;
pub mod home;
pub mod imports;
pub mod items;
pub mod jobs;
pub mod mail;
pub mod platform;
pub mod scanners;
pub mod scans;
pub mod selection;
pub mod sign_in;
pub mod summary;
pub mod tags;
pub mod task_rules;
pub mod tasks;
pub mod topics;
pub mod users;
pub mod vulnerabilities;
pub mod wizard;

#[cfg(test)]
mod gallery;

pub use charts::{Areas, Spark};
pub use chips::{Band, Bar, Change, Chip, Icon, Score, Segment, Severity, Tone, When, count, icon, score};
pub use forms::{Choice, Fault, Field};
pub use lists::{Action, Column, Columns, Empty, Facet, FacetGroup, List, Menu, Pager, QueryError, Tab};
pub use records::{Entry, Fact, Value};
pub use shell::{Crumb, Person, Section, Shell, Toast};

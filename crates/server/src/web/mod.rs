//! What pages do: one file of handlers per noun. A handler asks the store, fills the noun's view of `pages` and renders
//! it; a change calls what the API calls and leads to another page. Nothing is decided here.
//!
//! Every noun has `routes()`, listed in [`routes`].

pub mod agents;
pub mod appliances;
pub mod approvals;
pub mod asset;
pub mod assets;
mod assignment;
pub mod audit;
mod auto_close;
pub mod choice;
mod due;
mod efforts;
pub mod eliminations;
mod exception_answers;
pub mod exceptions;
pub mod exclusion;
pub mod expect;
pub mod exposure;
pub mod follow;
pub mod frame;
pub mod home;
pub mod identity;
pub mod imports;
pub mod instances;
pub mod item;
mod item_changes;
mod item_settings;
pub mod items;
pub mod job;
mod job_cves;
mod job_history;
mod job_live;
mod job_runs;
mod job_tasks;
mod job_waves;
pub mod jobs;
pub mod mail;
pub mod marks;
mod mine;
pub mod mitigations;
pub mod new_job;
pub mod notes;
pub mod password;
mod people;
pub mod rescan;
pub mod rescan_policy;
pub mod retirement;
pub mod scan;
pub mod scanners;
pub mod scans;
pub mod schedules;
pub mod scores;
pub mod sign_in;
pub mod summary;
pub mod tags;
pub mod task;
pub mod task_changes;
pub mod task_rules;
pub mod tasks;
pub mod tokens;
mod topics;
pub mod upload;
pub mod users;
pub mod vulnerabilities;
pub mod wizard;

use crate::app::App;
use axum::Router;

pub use frame::{Head, Show, faults, frame, listed, pager};

/// What stays open longer than a page may take: progress as server-sent events.
pub fn streams() -> Router<App> {
    Router::new().merge(job::streams()).merge(scan::streams()).merge(upload::streams())
}

/// Every page.
pub fn routes() -> Router<App> {
    Router::new()
        .merge(crate::assets::router())
        .merge(home::routes())
        .merge(vulnerabilities::routes())
        .merge(scores::routes())
        .merge(eliminations::routes())
        .merge(mitigations::routes())
        .merge(new_job::routes())
        .merge(summary::routes())
        .merge(jobs::routes())
        .merge(job_runs::routes())
        .merge(job_history::routes())
        .merge(job::routes())
        .merge(approvals::routes())
        .merge(agents::routes())
        .merge(retirement::routes())
        .merge(wizard::routes())
        .merge(sign_in::routes())
        .merge(password::routes())
        .merge(users::routes())
        .merge(tokens::routes())
        .merge(audit::routes())
        .merge(follow::routes())
        .merge(mail::routes())
        .merge(efforts::routes())
        .merge(topics::routes())
        .merge(mine::routes())
        .merge(assignment::routes())
        .merge(exceptions::routes())
        .merge(exception_answers::routes())
        .merge(exclusion::routes())
        .merge(items::routes())
        .merge(item_changes::routes())
        .merge(due::routes())
        .merge(auto_close::routes())
        .merge(item_settings::routes())
        .merge(item::routes())
        .merge(tasks::routes())
        .merge(task::routes())
        .merge(task_changes::routes())
        .merge(task_rules::routes())
        .merge(notes::routes())
        .merge(assets::routes())
        .merge(identity::routes())
        .merge(asset::routes())
        .merge(tags::routes())
        .merge(rescan::routes())
        .merge(rescan_policy::routes())
        .merge(scans::routes())
        .merge(scan::routes())
        .merge(scanners::routes())
        .merge(appliances::routes())
        .merge(instances::routes())
        .merge(imports::routes())
        .merge(schedules::routes())
        .merge(upload::routes())
}

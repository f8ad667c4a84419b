//! What happens without anybody asking, and what people's requests set in motion. One task per file.
//!
//! A loop here takes no input but the database, may be killed at any instruction and may run on two replicas at once.

pub mod after;
pub mod agents;
pub mod approvals;
pub mod catalogue;
pub mod checks;
pub mod crowd;
pub mod dispatch;
pub mod dry_run;
pub mod due;
pub mod efforts;
pub mod evidence;
pub mod exceptions;
pub mod exclusion;
pub mod follow;
pub mod gather;
pub mod housekeeping;
pub mod identity;
pub mod import;
pub mod item_settings;
pub mod jobs;
pub mod mail;
pub mod notices;
pub mod orders;
pub mod permits;
pub mod rescan;
pub mod results;
pub mod retire;
pub mod rollouts;
pub mod runs;
pub mod selection;
pub mod stale;
pub mod tags;
pub mod waves;

use crate::app::App;
use tokio::task::JoinSet;

/// Start every loop.
pub fn start(app: &App, tasks: &mut JoinSet<()>) {
    tasks.spawn(dispatch::run(app.clone()));
    tasks.spawn(housekeeping::run(app.clone()));
    tasks.spawn(agents::flush(app.clone()));
    tasks.spawn(rescan::run(app.clone()));
    tasks.spawn(crate::platforms::keep(app.clone()));
    tasks.spawn(rescan::follow_resolved(app.clone()));
    tasks.spawn(mail::run(app.clone()));
    tasks.spawn(import::schedule(app.clone()));
    tasks.spawn(import::watch::run(app.clone()));
    tasks.spawn(after::run(app.clone()));
    tasks.spawn(exceptions::run(app.clone()));
    tasks.spawn(efforts::run(app.clone()));
    tasks.spawn(notices::run(app.clone()));
    tasks.spawn(due::run(app.clone()));
    tasks.spawn(stale::run(app.clone()));
    tasks.spawn(exclusion::run(app.clone()));
}

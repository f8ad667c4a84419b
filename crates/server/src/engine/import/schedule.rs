//! Scheduled imports: instances whose interval has passed are imported, one run each.

use super::{Error, NOT_DUE, RUNNING, Request, What};
use crate::app::App;
use store::imports::Cause;
use store::instances;

/// How often the intervals are looked at, in seconds.
const LOOK_EVERY_SECONDS: i64 = 30;

/// Begin due imports until the server stops. With several replicas the lease of the instance decides who does.
pub async fn run(app: App) {
    loop {
        tokio::select! {
            () = app.stopping.cancelled() => return,
            () = app.clock.sleep(LOOK_EVERY_SECONDS) => {}
        }
        if let Err(error) = begin_due(&app).await {
            tracing::warn!("scheduled imports could not be begun: {error}");
        }
    }
}

async fn begin_due(app: &App) -> store::Result<()> {
    let now = app.clock.now();
    for instance in app.database.read(move |tx| instances::due(tx, now)).await? {
        let request =
            Request { instance, what: What::Everything, cause: Cause::Schedule, actor: "engine/import".to_owned() };
        match super::spawn(app, request).await {
            Ok(_) => {}
            Err(Error::Refused(refusal)) if refusal.code == NOT_DUE => {}
            // The pull of a rescan or a file is at work. The import stays due and begins at a look after that ends.
            Err(Error::Refused(refusal)) if refusal.code == RUNNING => {
                tracing::debug!(
                    instance.id = instance.0,
                    "the due import of instance {instance} waits for another one"
                );
            }
            // Nothing was begun, and nothing is wrong with the instance.
            Err(error @ (Error::Store(_) | Error::Stopping)) => {
                let reason = error.reason();
                tracing::warn!(instance.id = instance.0, "the import of instance {instance} stays due: {reason}");
            }
            Err(error) => {
                // What cannot be connected to at all is tried again after its interval.
                app.database.write(move |tx| instances::take_due(tx, instance, now)).await?;
                let reason = error.reason();
                tracing::warn!(instance.id = instance.0, "the import of instance {instance} did not begin: {reason}");
            }
        }
    }
    Ok(())
}

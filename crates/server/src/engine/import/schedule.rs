//! Scheduled imports: what is due is put into the queue, and what waits in it is begun.

use super::{Error, queue};
use crate::app::App;
use store::{imports, integrations};

/// How often the schedules are looked at, in seconds.
const LOOK_EVERY_SECONDS: i64 = 30;

/// Look after due and waiting imports until the server stops. Replicas may do so together: putting one down and beginning
/// it are one transaction each.
pub async fn run(app: App) {
    loop {
        tokio::select! {
            () = app.stopping.cancelled() => return,
            () = app.clock.sleep(LOOK_EVERY_SECONDS) => {}
        }
        if let Err(error) = look(&app).await {
            tracing::warn!("scheduled imports could not be begun: {}", error.reason());
        }
    }
}

async fn look(app: &App) -> Result<(), Error> {
    let now = app.clock.now();
    for (instance, kind) in app.database.read(move |tx| integrations::due(tx, now)).await? {
        // A scanner locks an account that is tried again and again: it stays due until somebody has looked after it.
        if app.database.read(move |tx| imports::sign_in_refused(tx, instance)).await? {
            continue;
        }
        if app.database.write(move |tx| integrations::queue_due(tx, instance, kind, now)).await? {
            app.wake.notify("instance", instance.0);
        }
    }
    for instance in app.database.read(imports::waiting).await? {
        queue::turn(app, instance).await?;
    }
    Ok(())
}

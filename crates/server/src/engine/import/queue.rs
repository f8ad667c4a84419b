//! The queue of imports: what people ask for and what is due is put down, and begins when nothing else of its instance is
//! at work, on whichever replica looks first.

use super::merger::Merger;
use super::platform::{self, Started};
use super::{Error, What};
use crate::app::App;
use domain::id::InstanceId;
use domain::import::Kind;
use domain::number::Number;
use domain::refusal::Refusal;
use store::imports::{self, Cause, Start};

/// Ask for an import. It begins now, or when its turn comes; gives the number of its run.
///
/// # Errors
/// [`Error::Refused`] `import_queued` where one of this kind waits already, `files_only` for an instance without a
/// connection; [`Error`] where there can be none.
pub async fn ask(app: &App, instance: InstanceId, kind: Kind, actor: &str) -> Result<Number, Error> {
    // What cannot work is said to who asks, not to a record that nobody looks at.
    platform::connection(app, instance).await?;
    let (actor, now) = (actor.to_owned(), app.clock.now());
    let put = app.database.write(move |tx| {
        let start = Start { instance, kind, cause: Cause::People, actor: &actor, source: "" };
        imports::queue(tx, start, now)
    });
    let (id, number) = match put.await {
        Err(error) if error.conflicts_with(imports::QUEUED) => return Err(super::queued()),
        put => put?,
    };
    app.wake.notify("import", id);
    turn(app, instance).await?;
    Ok(number)
}

/// Begin what has waited longest of an instance, where nothing else of it is at work, and what follows that.
///
/// # Errors
/// [`Error::Store`]. What ends a run early is in its record.
pub async fn turn(app: &App, instance: InstanceId) -> Result<(), Error> {
    let Some(started) = begin(app, instance).await? else { return Ok(()) };
    let app = app.clone();
    tokio::spawn(async move {
        let mut started = started;
        loop {
            let number = started.number;
            if let Err(error) = started.run().await {
                tracing::warn!(import = %number, "the import {number} did not get to its end: {}", error.reason());
            }
            started = match begin(&app, instance).await {
                Ok(Some(next)) if !app.stopping.is_cancelled() => next,
                Ok(_) => return,
                Err(error) => {
                    let reason = error.reason();
                    tracing::warn!(instance.id = instance.0, "the next import of {instance} did not begin: {reason}");
                    return;
                }
            };
        }
    });
    Ok(())
}

async fn begin(app: &App, instance: InstanceId) -> Result<Option<Started>, Error> {
    let Some((merger, queued)) = Merger::next(app, instance).await? else { return Ok(None) };
    let Some(what) = What::of(queued.kind) else {
        let why = format!("no platform is asked for {}", queued.kind.as_str());
        let refused = Error::Refused(Refusal::new("unknown_kind", why));
        return merger.finish(None, Err(refused)).await.map(|_| None);
    };
    Ok(Some(platform::waited(app, merger, what)))
}

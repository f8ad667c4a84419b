//! The watch over imports: what failed, takes too long, is held up, or must not try to sign in any more. What is found is kept
//! while it lasts, shown on the dashboard and the page of imports, and mailed once; so is that a failed import works again.

use super::Error;
use crate::app::App;
use domain::access::{Action, Record, may};
use domain::mail::{About, Facts, Kind as Mail, RECIPIENTS_MAX};
use domain::number::{Number, Series};
use domain::time::Timestamp;
use store::audit::{self, Entry};
use store::imports::{self, Trouble, TroubleRow};
use store::mails::{self, Notice};
use store::{Transaction, accounts};
use uuid::Uuid;

/// How often it looks, in seconds.
const LOOK_EVERY_SECONDS: i64 = 60;
/// Who puts the mail down.
const ACTOR: &str = "engine/import";

/// Watch until the server stops. Replicas may do so together: what is found is put down in the transaction that tells it.
pub async fn run(app: App) {
    loop {
        tokio::select! {
            () = app.stopping.cancelled() => return,
            () = app.clock.sleep(LOOK_EVERY_SECONDS) => {}
        }
        if let Err(error) = look(&app).await {
            tracing::warn!("imports were not looked after now; trying again: {}", error.reason());
        }
    }
}

/// Look once.
///
/// # Errors
/// [`Error::Store`].
pub async fn look(app: &App) -> Result<(), Error> {
    let now = app.clock.now();
    let told = app.database.write(move |tx| {
        let gone = imports::abandoned(tx, now)?;
        let found = imports::look(tx, now)?;
        let (new, over) = imports::note(tx, &found)?;
        for row in &new {
            tell(tx, row, trouble(row), now)?;
        }
        for row in over.iter().filter(|row| row.what == Trouble::Failed) {
            tell(tx, row, works_again(row), now)?;
        }
        Ok((gone, !new.is_empty() || !over.is_empty()))
    });
    let (gone, changed) = told.await?;
    for instance in gone {
        app.wake.notify("instance", instance.0);
    }
    if changed {
        app.wake.notify("mail", 0);
    }
    Ok(())
}

fn page(row: &TroubleRow) -> String {
    match (row.what, row.run) {
        (Trouble::SignIn, _) | (_, 0) => format!("/instances/{}", row.instance_id),
        (_, ordinal) => format!("/imports/{}", Number { series: Series::IntegrationRun, ordinal }),
    }
}

fn trouble(row: &TroubleRow) -> About {
    let subject = match row.what {
        Trouble::Failed => format!("import failed: {} from {}", row.kind.name(), row.instance),
        Trouble::TooLong => format!("import takes too long: {} from {}", row.kind.name(), row.instance),
        Trouble::Held => format!("import is held up: {} from {}", row.kind.name(), row.instance),
        Trouble::SignIn => format!("{} refuses the sign-in", row.instance),
        Trouble::Behind => format!("import is behind: {} from {}", row.kind.name(), row.instance),
    };
    About { subject, lead: row.what.says(row.kind, &row.instance), ..about(row) }
}

fn works_again(row: &TroubleRow) -> About {
    let words = format!("{} from {}", row.kind.name(), row.instance);
    About {
        subject: format!("import works again: {words}"),
        lead: format!("{words}: what had failed works again."),
        page: format!("/instances/{}", row.instance_id),
        ..about(row)
    }
}

fn about(row: &TroubleRow) -> About {
    let since = row.since_at.to_jiff().strftime("%-d %b %Y %H:%M UTC").to_string();
    let mut rows = vec![
        ("Integration".to_owned(), row.instance.clone()),
        ("Import".to_owned(), row.kind.name().to_owned()),
        ("Since".to_owned(), since),
    ];
    if !row.detail.is_empty() {
        rows.push(("Why".to_owned(), row.detail.clone()));
    }
    let why = "You may change integrations on this server.".to_owned();
    About { rows, page: page(row), why, ..About::default() }
}

/// Put a mail down for everybody who may set integrations up, in the transaction that causes it.
fn tell(tx: &mut Transaction<'_>, row: &TroubleRow, about: About, now: Timestamp) -> store::Result<()> {
    let recipients: Vec<String> = accounts::addressed(tx)?
        .into_iter()
        .filter(|account| may(&account.actor(None), Action::IntegrationConfigure, &Record::default()).allowed())
        .map(|account| account.email)
        .filter(|email| domain::mail::address(email).is_ok())
        .take(RECIPIENTS_MAX)
        .collect();
    if recipients.is_empty() {
        return Ok(());
    }
    let facts = Facts { at: Some(now), about, ..Facts::default() };
    let key = format!("imports/{}", Uuid::new_v4());
    let notice = Notice { key: &key, kind: Mail::Import, job: None, facts: &facts };
    let put = mails::put(tx, &notice, &recipients, now)?.unwrap_or_default();
    let detail = serde_json::json!({ "kind": Mail::Import, "what": row.what, "recipients": put.len() });
    let resource = format!("instances/{}", row.instance_id);
    audit::append(tx, &Entry { at: now, actor: ACTOR, action: "mail.queue", resource: &resource, detail })?;
    Ok(())
}

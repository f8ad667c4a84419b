//! Letters about what was newly given to somebody and about what became overdue: collected, and written as their reader sees it.
//!
//! A letter is put down in the transaction that takes the notice away, so that it is written once, whoever dies in between. The loop
//! takes no input but the database and may run on two replicas at once.

use crate::app::App;
use crate::http::auth::Caller;
use crate::http::error::Error;
use domain::access::{Action, Record};
use domain::mail::{About, Facts, Kind as MailKind};
use domain::notice::{self, Kind};
use domain::time::Timestamp;
use std::time::Duration;
use store::mails::{self, Notice};
use store::notices::{self, Due, Told, Wishes};
use store::{Transaction, accounts, settings};

/// Pause between two looks.
const PAUSE: Duration = Duration::from_secs(30);
/// Items that a letter names.
const ITEMS_NAMED: i64 = 20;

/// Run until the server stops.
pub async fn run(app: App) {
    while !app.stopping.is_cancelled() {
        if let Err(error) = look(&app).await {
            tracing::error!("notices were not looked after, the next look will: {error:?}");
        }
        tokio::select! {
            () = app.stopping.cancelled() => return,
            () = tokio::time::sleep(PAUSE) => {}
        }
    }
}

/// Note who is to be told of what is overdue, and write the letters that are due; reads first and writes only where there is something
/// to do.
///
/// # Errors
/// A failure of the store.
pub async fn look(app: &App) -> Result<(), Error> {
    let (now, mails) = (app.clock.now(), app.mailer.is_some());
    while app.database.read(move |tx| notices::any_overdue(tx, now)).await? {
        if !app.database.write(move |tx| notices::mark_overdue(tx, now)).await? {
            break;
        }
    }
    let mut told = false;
    for due in app.database.read(notices::due).await? {
        let open = now >= notice::opens(due.kind, due.at);
        if open && notice::may_write(due.kind, due.letters, due.day, now) {
            told |= app.database.try_write(move |tx| write(tx, &due, mails, now)).await?;
        }
    }
    if told {
        app.wake.notify("mail", 0);
    }
    Ok(())
}

/// Write one letter, where there is still something to be told to somebody who wants it; whether it was written.
fn write(tx: &mut Transaction<'_>, due: &Due, mails: bool, now: Timestamp) -> Result<bool, Error> {
    let wanted = mails && notices::everywhere(tx)?.wants(due.kind) && notices::wishes(tx, due.account)?.wants(due.kind);
    let account = accounts::by_id(tx, due.account)?
        .filter(|account| wanted && account.active && domain::mail::address(&account.email).is_ok());
    let letter = match account {
        None => None,
        Some(account) => {
            let told = notices::told(tx, &account.actor(None), due, ITEMS_NAMED, now)?;
            (told.count > 0).then_some((account.email, told))
        }
    };
    if !notices::done(tx, due, letter.is_some(), notice::day(now))? {
        return Ok(false);
    }
    let Some((email, told)) = letter else { return Ok(false) };
    let (kind, about) = about(due.kind, &told);
    let facts = Facts { at: Some(now), about, ..Facts::default() };
    let key = format!("notices/{}/{}/{}", due.kind.as_str(), due.account, due.at.micros());
    let put = mails::put(tx, &Notice { key: &key, kind, job: None, facts: &facts }, &[email], now)?;
    Ok(put.is_some())
}

fn about(kind: Kind, told: &Told) -> (MailKind, About) {
    let items = if told.count == 1 { "1 item".to_owned() } else { format!("{} items", told.count) };
    let mut rows: Vec<(String, String)> = told
        .items
        .iter()
        .map(|item| {
            let due = item.due_at.map(|due| format!(", due {due}")).unwrap_or_default();
            let text = format!("{} on {}, score {}{due}", item.title, item.asset, item.residual);
            (item.number().to_string(), text)
        })
        .collect();
    let more = told.count - i64::try_from(rows.len()).unwrap_or(i64::MAX);
    if more > 0 {
        rows.push(("And".to_owned(), format!("{more} more")));
    }
    let why = "It is assigned to you or to one of your groups, and your account has this address. You can turn these letters off \
               on the page My work."
        .to_owned();
    let page = "/mine".to_owned();
    match kind {
        Kind::Assigned => {
            let lead = format!("{items} to work on came to you or to one of your groups, the highest scores first.");
            (MailKind::Assigned, About { subject: format!("{items} assigned"), lead, rows, page, why })
        }
        Kind::Overdue => {
            let is = if told.count == 1 { "is" } else { "are" };
            let lead = format!("{items} of yours or of one of your groups became overdue, the highest scores first.");
            (MailKind::Overdue, About { subject: format!("{items} {is} overdue"), lead, rows, page, why })
        }
    }
}

/// What is written at all, and what the caller wants of it.
///
/// # Errors
/// A failure of the store.
pub async fn shown(app: &App, caller: &Caller) -> Result<(Wishes, Wishes), Error> {
    let user = caller.user;
    app.database.try_read(move |tx| Ok((notices::everywhere(tx)?, notices::wishes(tx, user)?))).await
}

/// Change what the caller wants; what is absent stays.
///
/// # Errors
/// A failure of the store.
pub async fn want(app: &App, caller: &Caller, assigned: Option<bool>, overdue: Option<bool>) -> Result<Wishes, Error> {
    let user = caller.user;
    app.database
        .try_write(move |tx| {
            let before = notices::wishes(tx, user)?;
            let wishes =
                Wishes { assigned: assigned.unwrap_or(before.assigned), overdue: overdue.unwrap_or(before.overdue) };
            notices::set_wishes(tx, user, wishes)?;
            Ok(wishes)
        })
        .await
}

/// Change what is written at all; what is absent stays.
///
/// # Errors
/// A missing permission, a failure of the store.
pub async fn set(app: &App, caller: &Caller, assigned: Option<bool>, overdue: Option<bool>) -> Result<Wishes, Error> {
    caller.may(Action::SettingsChange, &Record::default())?;
    let (author, now) = (caller.author(), app.clock.now());
    app.database
        .try_write(move |tx| {
            let before = notices::everywhere(tx)?;
            let wishes =
                Wishes { assigned: assigned.unwrap_or(before.assigned), overdue: overdue.unwrap_or(before.overdue) };
            if wishes != before {
                settings::put(tx, &author, notices::SETTING, &wishes, None, now)?;
            }
            Ok(wishes)
        })
        .await
}

//! Mail to be sent, being sent, sent and given up: what people see of it. The queue itself is [`outbox`](crate::outbox),
//! topic [`TOPIC`]; every function here that moves a mail moves both in the caller's transaction.

use crate::filter::{Column, Source};
use crate::list::{self, List, Page, Query, Sort, SortKind};
use crate::numbers::number_text;
use crate::outbox::{self, Message};
use crate::{Error, Result, Transaction, record};
use domain::filter::{Field, Fields, Flag, Kind as FilterKind};
use domain::id::{JobId, RunId};
use domain::mail::{self, Facts, Kind, Progress, State};
use domain::time::Timestamp;
use std::collections::BTreeSet;
use uuid::Uuid;

/// The topic of mail in the outbox.
pub const TOPIC: &str = "mail";

/// Something to be told.
#[derive(Debug, Clone)]
pub struct Notice<'a> {
    /// Once for ever: `runs/12/started`.
    pub key: &'a str,
    /// What it is about.
    pub kind: Kind,
    /// The job, where it is about one.
    pub job: Option<JobId>,
    /// What stands in it.
    pub facts: &'a Facts,
}

/// Put a notice down, one mail per recipient; gives their keys, or `None` where this notice was put down before.
///
/// # Errors
/// See [`Error`].
pub fn put(
    tx: &mut Transaction<'_>,
    notice: &Notice<'_>,
    recipients: &[String],
    now: Timestamp,
) -> Result<Option<Vec<i64>>> {
    let facts =
        serde_json::to_string(notice.facts).map_err(|error| Error::failed("could not write down a mail", error))?;
    let made: Option<(i64,)> = tx.optional(
        "INSERT INTO mail_notice (key, kind, job_id, facts, created_at) VALUES ($1, $2, $3, $4, $5)
         ON CONFLICT (key) DO NOTHING RETURNING id",
        &[&notice.key, &notice.kind, &notice.job, &facts, &now],
    )?;
    let Some((id,)) = made else { return Ok(None) };
    let mut mails = Vec::new();
    for recipient in recipients.iter().collect::<BTreeSet<_>>() {
        let mail: i64 = tx.insert(
            "INSERT INTO mail (notice_id, recipient, uuid, state, attempts, next_try_at, last_error, created_at, updated_at)
             VALUES ($1, $2, $3, $4, 0, $5, '', $5, $5) RETURNING id",
            &[&id, recipient, &Uuid::new_v4(), &State::Queued, &now],
        )?;
        outbox::push(tx, TOPIC, &mail.to_string(), "{}", now, now)?;
        mails.push(mail);
    }
    Ok(Some(mails))
}

record! {
    /// A mail as people see it.
    #[derive(Clone, Debug, PartialEq)]
    pub struct MailRow {
        /// Key.
        pub id: i64,
        /// What it is about.
        pub kind: Kind,
        /// Ordinal of the job's number, where it is about one.
        pub job_number: Option<i64>,
        /// To whom.
        pub recipient: String,
        /// The left side of its Message-ID.
        pub uuid: Uuid,
        /// Where it is.
        pub state: State,
        /// How often it was tried.
        pub attempts: i64,
        /// When it is tried next; none once it is sent or given up.
        pub next_try_at: Option<Timestamp>,
        /// What the last failed try said.
        pub last_error: String,
        /// [`Facts`] as JSON.
        pub facts: String,
        /// When it was caused.
        pub created_at: Timestamp,
        /// When it was sent.
        pub sent_at: Option<Timestamp>,
    }
}

macro_rules! columns {
    () => {
        "mail.id, mail_notice.kind, job.number AS job_number, mail.recipient, mail.uuid, mail.state, mail.attempts,
             mail.next_try_at, mail.last_error, mail_notice.facts, mail.created_at, mail.sent_at"
    };
}

macro_rules! tables {
    () => {
        "mail JOIN mail_notice ON mail_notice.id = mail.notice_id LEFT JOIN job ON job.id = mail_notice.job_id"
    };
}

macro_rules! select {
    ($rest:literal) => {
        concat!("SELECT ", columns!(), " FROM ", tables!(), " ", $rest)
    };
}

/// One mail.
///
/// # Errors
/// See [`Error`].
pub fn find(tx: &mut Transaction<'_>, id: i64) -> Result<Option<MailRow>> {
    tx.optional(select!("WHERE mail.id = $1"), &[&id])
}

/// A mail this caller holds for a while, with its claim.
#[derive(Clone, Debug)]
pub struct Claimed {
    /// The mail, this try counted.
    pub mail: MailRow,
    message: Message,
}

/// Take up to `limit` due mails for `seconds`, under a claim id that is new for each call. Who dies with a claim loses it
/// by time; the mail is then taken again, with the same Message-ID.
///
/// # Errors
/// See [`Error`].
pub fn claim(tx: &mut Transaction<'_>, claim: Uuid, now: Timestamp, seconds: i64, limit: i64) -> Result<Vec<Claimed>> {
    let mut claimed = Vec::new();
    for message in outbox::claim(tx, TOPIC, claim, now, seconds, limit)? {
        let id: i64 = message.key.parse().unwrap_or_default();
        tx.execute(
            "UPDATE mail SET state = $2, attempts = attempts + 1, next_try_at = NULL, updated_at = $3 WHERE id = $1",
            &[&id, &State::Sending, &now],
        )?;
        match find(tx, id)? {
            Some(mail) => claimed.push(Claimed { mail, message }),
            // Nothing to be told any more.
            None => _ = outbox::done(tx, &message)?,
        }
    }
    Ok(claimed)
}

/// The mail server has taken it. `false` where the claim was lost meanwhile: somebody else sends it again.
///
/// # Errors
/// See [`Error`].
pub fn sent(tx: &mut Transaction<'_>, claimed: &Claimed, now: Timestamp) -> Result<bool> {
    if !outbox::done(tx, &claimed.message)? {
        return Ok(false);
    }
    tx.execute(
        "UPDATE mail SET state = $2, sent_at = $3, updated_at = $3 WHERE id = $1",
        &[&claimed.mail.id, &State::Sent, &now],
    )?;
    Ok(true)
}

/// It was not taken now: try again at `due_at`. `false` where the claim was lost meanwhile.
///
/// # Errors
/// See [`Error`].
pub fn failed(
    tx: &mut Transaction<'_>,
    claimed: &Claimed,
    due_at: Timestamp,
    failure: &str,
    now: Timestamp,
) -> Result<bool> {
    if !outbox::retry(tx, &claimed.message, due_at, failure)? {
        return Ok(false);
    }
    tx.execute(
        "UPDATE mail SET state = $2, next_try_at = $3, last_error = $4, updated_at = $5 WHERE id = $1",
        &[&claimed.mail.id, &State::Failed, &due_at, &failure, &now],
    )?;
    Ok(true)
}

/// It is not tried again. `false` where the claim was lost meanwhile.
///
/// # Errors
/// See [`Error`].
pub fn dead(tx: &mut Transaction<'_>, claimed: &Claimed, failure: &str, now: Timestamp) -> Result<bool> {
    if !outbox::give_up(tx, &claimed.message, now, failure)? {
        return Ok(false);
    }
    tx.execute(
        "UPDATE mail SET state = $2, last_error = $3, updated_at = $4 WHERE id = $1",
        &[&claimed.mail.id, &State::Dead, &failure, &now],
    )?;
    Ok(true)
}

/// Try a dead letter, or one that waits for its next try, from the beginning. `false` where it is neither, or was just
/// taken by somebody who sends it.
///
/// # Errors
/// See [`Error`].
pub fn retry(tx: &mut Transaction<'_>, id: i64, now: Timestamp) -> Result<bool> {
    if !outbox::revive(tx, TOPIC, &id.to_string(), now)? {
        return Ok(false);
    }
    let changed = tx.execute(
        "UPDATE mail SET state = $2, attempts = 0, next_try_at = $3, updated_at = $3 WHERE id = $1",
        &[&id, &State::Queued, &now],
    )?;
    Ok(changed == 1)
}

/// Try up to `limit` dead letters with keys above `after` from the beginning; gives their keys in order.
///
/// # Errors
/// See [`Error`].
pub fn retry_dead(tx: &mut Transaction<'_>, after: i64, limit: i64, now: Timestamp) -> Result<Vec<i64>> {
    let found: Vec<(i64,)> = tx.all(
        "SELECT id FROM mail WHERE state = $1 AND id > $2 ORDER BY id LIMIT $3",
        &[&State::Dead, &after, &limit],
    )?;
    let ids: Vec<i64> = found.into_iter().map(|(id,)| id).collect();
    let keys: Vec<String> = ids.iter().map(ToString::to_string).collect();
    outbox::revive_all(tx, TOPIC, &keys, now)?;
    tx.execute(
        "UPDATE mail SET state = $2, attempts = 0, next_try_at = $3, updated_at = $3 WHERE id {in $1}",
        &[&ids, &State::Queued, &now],
    )?;
    Ok(ids)
}

/// What the mail server said last where it takes no mail of this server at all, if that is why mail waits for another try.
///
/// # Errors
/// See [`Error`].
pub fn relay_fault(tx: &mut Transaction<'_>) -> Result<Option<String>> {
    let begins = format!("{}%", mail::RELAY_REFUSES);
    let found: Option<(String,)> = tx.optional(
        "SELECT last_error FROM mail WHERE state = $1 AND last_error LIKE $2 ORDER BY updated_at DESC, id DESC LIMIT 1",
        &[&State::Failed, &begins],
    )?;
    Ok(found.map(|(said,)| said))
}

/// Forget mails that were sent before `limit`; gives how many. Their notices stay, so that nothing is told twice.
///
/// # Errors
/// See [`Error`].
pub fn forget_before(tx: &mut Transaction<'_>, limit: Timestamp) -> Result<u64> {
    tx.execute(
        "DELETE FROM mail WHERE id IN (SELECT id FROM mail WHERE state = $1 AND sent_at < $2 ORDER BY id LIMIT 1000)",
        &[&State::Sent, &limit],
    )
}

/// How many dead letters there are.
///
/// # Errors
/// See [`Error`].
pub fn dead_letters(tx: &mut Transaction<'_>) -> Result<i64> {
    tx.scalar("SELECT count(*) FROM mail WHERE state = $1", &[&State::Dead])
}

/// How far a run is, and how its tasks stand: succeeded, failed, skipped, open. `started` says whether the job has
/// started at all; of a later run something has to have left its waiting as well.
///
/// # Errors
/// See [`Error`].
pub fn progress(tx: &mut Transaction<'_>, run: RunId, started: bool) -> Result<(Progress, [i64; 4])> {
    let (assets, reported): (i64, i64) = tx.one(
        "SELECT count(*), count(*) FILTER (WHERE open = 0) FROM (
             SELECT asset_id, count(*) FILTER (WHERE code IS NULL) AS open FROM task WHERE run_id = $1 GROUP BY asset_id
         ) AS per_asset",
        &[&run],
    )?;
    let (moved, succeeded, failed, skipped, open): (i64, i64, i64, i64, i64) = tx.one(
        "SELECT count(*) FILTER (WHERE state <> 'pending'), count(*) FILTER (WHERE code = 0),
                count(*) FILTER (WHERE code = 1), count(*) FILTER (WHERE code NOT IN (0, 1)),
                count(*) FILTER (WHERE code IS NULL)
         FROM task WHERE run_id = $1",
        &[&run],
    )?;
    Ok((Progress { started: started && moved > 0, assets, reported }, [succeeded, failed, skipped, open]))
}

/// What the list of mail can be asked for.
pub const FIELDS: Fields = Fields {
    fields: &[
        Field { name: "recipient", kind: FilterKind::Name, doc: "to whom" },
        Field {
            name: "state",
            kind: FilterKind::Words(&["queued", "sending", "sent", "failed", "dead"]),
            doc: "queued, sending, sent, failed (tried again by itself) or dead (not tried again)",
        },
        Field {
            name: "kind",
            kind: FilterKind::Words(&[
                "started",
                "reported",
                "drifted",
                "expired",
                "review",
                "agents",
                "exception",
                "scan",
                "import",
                "test",
            ]),
            doc: "what it is about",
        },
        Field { name: "job", kind: FilterKind::Name, doc: "number of the job, MJ0000001" },
        Field { name: "error", kind: FilterKind::Text, doc: "what the last failed try said" },
        Field { name: "created", kind: FilterKind::Instant, doc: "when it was caused" },
        Field { name: "sent", kind: FilterKind::Instant, doc: "when it was sent" },
    ],
    flags: &[
        Flag { name: "dead", field: "state", words: &["dead"], doc: "dead letters" },
        Flag { name: "waiting", field: "state", words: &["queued", "sending", "failed"], doc: "not sent yet" },
    ],
    free: &["recipient", "job"],
};

/// The list of mail.
pub const LIST: List = List {
    name: "mail",
    select: columns!(),
    from: tables!(),
    key: "mail.id",
    fields: &FIELDS,
    columns: &[
        Column { field: "recipient", source: Source::One("mail.recipient") },
        Column { field: "state", source: Source::One("mail.state") },
        Column { field: "kind", source: Source::One("mail_notice.kind") },
        Column { field: "job", source: Source::One(number_text!("MJ", "job.number")) },
        Column { field: "error", source: Source::One("mail.last_error") },
        Column { field: "created", source: Source::One("mail.created_at") },
        Column { field: "sent", source: Source::One("mail.sent_at") },
    ],
    sorts: &[
        Sort { name: "recipient", sql: "mail.recipient", kind: SortKind::Text, nullable: false },
        Sort { name: "state", sql: "mail.state", kind: SortKind::Text, nullable: false },
        Sort { name: "job", sql: "job.number", kind: SortKind::Whole, nullable: true },
        Sort { name: "next", sql: "mail.next_try_at", kind: SortKind::Whole, nullable: true },
        Sort { name: "sent", sql: "mail.sent_at", kind: SortKind::Whole, nullable: true },
    ],
};

/// A page of the list.
///
/// # Errors
/// See [`list::Error`].
pub fn page(tx: &mut Transaction<'_>, query: &Query) -> Result<Page<MailRow>, list::Error> {
    list::page(tx, &LIST, None, query)
}

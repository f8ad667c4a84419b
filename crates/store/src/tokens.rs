//! API tokens. Only digests of them come here; the token itself is shown once, when it is made.

use crate::accounts::words;
use crate::audit::{self, Entry};
use crate::filter::Column;
use crate::list::{self, List, Page, Query, Sort};
use crate::{Error, Result, Sql, Transaction, record};
use domain::access::TokenScope;
use domain::filter::{Field, Fields, Kind};
use domain::id::UserId;
use domain::time::Timestamp;
use std::collections::BTreeSet;

/// A token's use is noted at most this often, in seconds.
const USE_NOTED_SECONDS: i64 = 3_600;

/// A token, without the token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Token {
    /// Key.
    pub id: i64,
    /// Whose.
    pub user: UserId,
    /// Name of the owner.
    pub user_name: String,
    /// What it is for.
    pub name: String,
    /// Its first characters.
    pub hint: String,
    /// What it may be used for.
    pub scopes: BTreeSet<TokenScope>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it ends by itself.
    pub expires_at: Timestamp,
    /// When it was used last, to the hour.
    pub used_at: Option<Timestamp>,
    /// When it was ended.
    pub revoked_at: Option<Timestamp>,
}

impl Token {
    /// Whether it can be used at `now`.
    #[must_use]
    pub fn valid(&self, now: Timestamp) -> bool {
        self.revoked_at.is_none() && now < self.expires_at
    }

    /// Whether its use at `now` has to be noted with [`used`].
    #[must_use]
    pub fn use_is_news(&self, now: Timestamp) -> bool {
        self.used_at.is_none_or(|used_at| now >= used_at.plus_seconds(USE_NOTED_SECONDS))
    }
}

record! {
    struct TokenRow {
        id: i64,
        account_id: i64,
        account_name: String,
        name: String,
        hint: String,
        scopes: String,
        created_at: i64,
        expires_at: i64,
        used_at: Option<i64>,
        revoked_at: Option<i64>,
    }
}

impl TokenRow {
    fn whole(self) -> Result<Token> {
        let scopes = self.scopes.split_whitespace().map(str::parse).collect::<Result<BTreeSet<TokenScope>, _>>();
        let scopes =
            scopes.map_err(|error| Error::failed(format!("could not read the scopes of token {}", self.id), error))?;
        Ok(Token {
            id: self.id,
            user: UserId(self.account_id),
            user_name: self.account_name,
            name: self.name,
            hint: self.hint,
            scopes,
            created_at: Timestamp::from_micros(self.created_at),
            expires_at: Timestamp::from_micros(self.expires_at),
            used_at: self.used_at.map(Timestamp::from_micros),
            revoked_at: self.revoked_at.map(Timestamp::from_micros),
        })
    }
}

/// What a new token begins with.
#[derive(Debug, Clone)]
pub struct NewToken {
    /// Whose.
    pub user: UserId,
    /// What it is for.
    pub name: String,
    /// SHA-256 of the token.
    pub digest: Vec<u8>,
    /// Its first characters.
    pub hint: String,
    /// What it may be used for.
    pub scopes: BTreeSet<TokenScope>,
    /// When it ends by itself.
    pub expires_at: Timestamp,
}

/// Make a token; gives its key.
///
/// # Errors
/// See [`Error`].
pub fn create(tx: &mut Transaction<'_>, by: &str, new: &NewToken, now: Timestamp) -> Result<i64> {
    let scopes = words(new.scopes.iter().map(|scope| scope.as_str()));
    let id: i64 = tx.insert(
        "INSERT INTO token (account_id, name, digest, hint, scopes, created_at, expires_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7) RETURNING id",
        &[&new.user.0, &new.name, &new.digest, &new.hint, &scopes, &now.micros(), &new.expires_at.micros()],
    )?;
    let detail = serde_json::json!({ "name": new.name, "scopes": scopes.trim(), "expires_at": new.expires_at });
    let resource = format!("tokens/{id}");
    audit::append(tx, &Entry { at: now, actor: by, action: "token.create", resource: &resource, detail })?;
    Ok(id)
}

/// The token of this digest, valid or not.
///
/// # Errors
/// See [`Error`].
pub fn by_digest(tx: &mut Transaction<'_>, digest: &[u8]) -> Result<Option<Token>> {
    let row: Option<TokenRow> = tx.optional(
        "SELECT t.id, t.account_id, a.name AS account_name, t.name, t.hint, t.scopes, t.created_at, t.expires_at,
                t.used_at, t.revoked_at
         FROM token t JOIN account a ON a.id = t.account_id WHERE t.digest = $1",
        &[&digest],
    )?;
    row.map(TokenRow::whole).transpose()
}

/// The token of this key.
///
/// # Errors
/// See [`Error`].
pub fn by_id(tx: &mut Transaction<'_>, id: i64) -> Result<Option<Token>> {
    let row: Option<TokenRow> = tx.optional(
        "SELECT t.id, t.account_id, a.name AS account_name, t.name, t.hint, t.scopes, t.created_at, t.expires_at,
                t.used_at, t.revoked_at
         FROM token t JOIN account a ON a.id = t.account_id WHERE t.id = $1",
        &[&id],
    )?;
    row.map(TokenRow::whole).transpose()
}

/// Tokens: what can be asked for and sorted by.
pub const TOKENS: List = List {
    name: "tokens",
    select: "token.id, token.account_id, account.name AS account_name, token.name, token.hint, token.scopes,
             token.created_at, token.expires_at, token.used_at, token.revoked_at",
    from: "token JOIN account ON account.id = token.account_id",
    key: "token.id",
    fields: &Fields {
        fields: &[
            Field { name: "name", kind: Kind::Text, doc: "what the token is for" },
            Field { name: "owner", kind: Kind::Person, doc: "whose it is" },
            Field { name: "scope", kind: Kind::Text, doc: "what it may be used for, as jobs" },
            Field { name: "revoked", kind: Kind::Truth, doc: "was ended by somebody" },
            Field { name: "expires", kind: Kind::Instant, doc: "when it ends by itself" },
            Field { name: "used", kind: Kind::Instant, doc: "when it was used last" },
        ],
        flags: &[],
        free: &["name", "owner"],
    },
    columns: &[
        Column::one("name", "token.name"),
        Column::one("owner", "account.name"),
        Column::one("scope", "token.scopes"),
        Column::one("revoked", "(token.revoked_at IS NOT NULL)"),
        Column::one("expires", "token.expires_at"),
        Column::one("used", "token.used_at"),
    ],
    sorts: &[
        Sort::text("name", "token.name"),
        Sort::text("owner", "account.name"),
        Sort::whole("state", "CASE WHEN token.revoked_at IS NULL THEN 1 ELSE 0 END"),
        Sort::whole("expires", "token.expires_at"),
        Sort::whole("used", "token.used_at").or_null(),
    ],
};

/// Whose tokens a list shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Whose {
    /// Everybody's.
    Everybody,
    /// One user's.
    User(UserId),
    /// One token alone, by its key.
    Itself(i64),
}

/// A page of tokens.
///
/// # Errors
/// See [`list::Error`].
pub fn page(tx: &mut Transaction<'_>, whose: Whose, query: &Query) -> Result<Page<Token>, list::Error> {
    let scope = match whose {
        Whose::Everybody => None,
        Whose::User(user) => Some(Sql::new("token.account_id = ").bind(&user.0)),
        Whose::Itself(id) => Some(Sql::new("token.id = ").bind(&id)),
    };
    let page = list::page::<TokenRow>(tx, &TOKENS, scope, query)?;
    let rows = page.rows.into_iter().map(TokenRow::whole).collect::<Result<Vec<_>>>()?;
    Ok(Page { rows, next_cursor: page.next_cursor })
}

/// Note that a token was used.
///
/// # Errors
/// See [`Error`].
pub fn used(tx: &mut Transaction<'_>, id: i64, now: Timestamp) -> Result<()> {
    tx.execute("UPDATE token SET used_at = $1 WHERE id = $2", &[&now.micros(), &id])?;
    Ok(())
}

/// Forget up to 10,000 tokens that ended by themselves before `limit`, revoked or not; gives how many. What was done with them
/// stays in the audit log.
///
/// # Errors
/// See [`Error`].
pub fn forget_before(tx: &mut Transaction<'_>, limit: Timestamp) -> Result<u64> {
    tx.execute(
        "DELETE FROM token WHERE id IN (SELECT id FROM token WHERE expires_at < $1 ORDER BY id LIMIT 10000)",
        &[&limit.micros()],
    )
}

/// End every good token of a user; gives how many there were.
///
/// # Errors
/// See [`Error`].
pub fn revoke_all(tx: &mut Transaction<'_>, by: &str, user: UserId, now: Timestamp) -> Result<usize> {
    let good: Vec<(i64,)> = tx.all(
        "SELECT id FROM token WHERE account_id = $1 AND revoked_at IS NULL AND expires_at > $2 ORDER BY id",
        &[&user.0, &now.micros()],
    )?;
    for (id,) in &good {
        revoke(tx, by, *id, now)?;
    }
    Ok(good.len())
}

/// End a token; false where it was ended before.
///
/// # Errors
/// See [`Error`].
pub fn revoke(tx: &mut Transaction<'_>, by: &str, id: i64, now: Timestamp) -> Result<bool> {
    let ended =
        tx.execute("UPDATE token SET revoked_at = $1 WHERE id = $2 AND revoked_at IS NULL", &[&now.micros(), &id])?;
    if ended == 1 {
        let resource = format!("tokens/{id}");
        let detail = serde_json::Value::Null;
        audit::append(tx, &Entry { at: now, actor: by, action: "token.revoke", resource: &resource, detail })?;
    }
    Ok(ended == 1)
}

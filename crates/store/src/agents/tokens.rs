//! The tokens that agents enrol with.

use crate::{Result, Transaction, record};
use domain::id::UserId;
use domain::time::Timestamp;
use uuid::Uuid;

record! {
    /// An enrolment token as administrators see it; the secret itself is never stored.
    #[derive(Debug, Clone)]
    pub struct TokenRow {
        /// Id.
        pub id: Uuid,
        /// What it is for.
        pub label: String,
        /// SHA-256 of the secret.
        pub secret_hash: Vec<u8>,
        /// Enrolments it is still good for.
        pub uses_left: i64,
        /// Good until.
        pub expires_at: Timestamp,
        /// Who made it.
        pub created_by: UserId,
        /// When.
        pub created_at: Timestamp,
    }
}

/// Keep a token.
///
/// # Errors
/// See [`crate::Error`].
pub fn create_token(tx: &mut Transaction<'_>, token: &TokenRow) -> Result<()> {
    tx.execute(
        "INSERT INTO enrolment_token (id, label, secret_hash, uses_left, expires_at, created_by, created_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7)",
        &[
            &token.id,
            &token.label,
            &token.secret_hash,
            &token.uses_left,
            &token.expires_at,
            &token.created_by,
            &token.created_at,
        ],
    )?;
    Ok(())
}

/// Every token, newest first.
///
/// # Errors
/// See [`crate::Error`].
pub fn tokens(tx: &mut Transaction<'_>) -> Result<Vec<TokenRow>> {
    tx.all(
        "SELECT id, label, secret_hash, uses_left, expires_at, created_by, created_at FROM enrolment_token
         ORDER BY created_at DESC, id LIMIT 1000",
        &[],
    )
}

/// One token.
///
/// # Errors
/// See [`crate::Error`].
pub fn token(tx: &mut Transaction<'_>, id: Uuid) -> Result<Option<TokenRow>> {
    tx.optional(
        "SELECT id, label, secret_hash, uses_left, expires_at, created_by, created_at FROM enrolment_token WHERE id = $1",
        &[&id],
    )
}

/// Use a token once; `false` when it is used up.
///
/// # Errors
/// See [`crate::Error`].
pub fn use_token(tx: &mut Transaction<'_>, id: Uuid) -> Result<bool> {
    Ok(tx.execute("UPDATE enrolment_token SET uses_left = uses_left - 1 WHERE id = $1 AND uses_left > 0", &[&id])? == 1)
}

/// Who made a token; none for an unknown one.
///
/// # Errors
/// See [`crate::Error`].
pub fn maker_of_token(tx: &mut Transaction<'_>, id: Uuid) -> Result<Option<UserId>> {
    let row: Option<(UserId,)> = tx.optional("SELECT created_by FROM enrolment_token WHERE id = $1", &[&id])?;
    Ok(row.map(|(maker,)| maker))
}

/// Make a token useless.
///
/// # Errors
/// See [`crate::Error`].
pub fn revoke_token(tx: &mut Transaction<'_>, id: Uuid) -> Result<bool> {
    Ok(tx.execute("UPDATE enrolment_token SET uses_left = 0 WHERE id = $1", &[&id])? == 1)
}

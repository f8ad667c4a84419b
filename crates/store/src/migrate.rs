//! Migrations: one set for both engines, in the words of [`dialect`](crate::dialect).
//!
//! They only move forward and never change once released: each is recorded with the digest of its text, and a
//! database that was made by other texts, or by a newer program, is refused. Each runs in one transaction. Two
//! replicas that start together take turns, because the list of applied migrations is locked first.
//! Replicas of two versions overlap during an update, so a migration expands and a later one contracts.

use crate::database::Database;
use crate::dialect::{Engine, translate};
use crate::error::{Error, Result};
use crate::transaction::Transaction;
use sha2::{Digest, Sha256};

/// Every migration in order: name and text. Append at the end; never change one that was released.
pub const MIGRATIONS: &[(&str, &str)] = &[
    ("0001_foundation", include_str!("../migrations/0001_foundation.sql")),
    ("0002_accounts", include_str!("../migrations/0002_accounts.sql")),
    ("0003_exposure", include_str!("../migrations/0003_exposure.sql")),
    ("0004_response", include_str!("../migrations/0004_response.sql")),
    ("0005_rescan", include_str!("../migrations/0005_rescan.sql")),
    ("0006_request_window", include_str!("../migrations/0006_request_window.sql")),
    ("0007_mail", include_str!("../migrations/0007_mail.sql")),
    ("0008_schedule", include_str!("../migrations/0008_schedule.sql")),
    ("0009_selection", include_str!("../migrations/0009_selection.sql")),
    ("0010_rollout", include_str!("../migrations/0010_rollout.sql")),
    ("0011_approval", include_str!("../migrations/0011_approval.sql")),
    ("0012_after", include_str!("../migrations/0012_after.sql")),
    ("0014_results", include_str!("../migrations/0014_results.sql")),
    ("0015_known_networks", include_str!("../migrations/0015_known_networks.sql")),
    ("0018_execution", include_str!("../migrations/0018_execution.sql")),
    ("0019_systems", include_str!("../migrations/0019_systems.sql")),
    ("0020_catalogue", include_str!("../migrations/0020_catalogue.sql")),
    ("0021_rollback", include_str!("../migrations/0021_rollback.sql")),
    ("0022_gates", include_str!("../migrations/0022_gates.sql")),
    ("0023_expiry", include_str!("../migrations/0023_expiry.sql")),
    ("0024_approval_rollout", include_str!("../migrations/0024_approval_rollout.sql")),
    ("0025_apart", include_str!("../migrations/0025_apart.sql")),
    ("0026_run_accepted", include_str!("../migrations/0026_run_accepted.sql")),
    ("0027_retired", include_str!("../migrations/0027_retired.sql")),
    ("0028_imports_mended", include_str!("../migrations/0028_imports_mended.sql")),
    ("0029_approval_waits", include_str!("../migrations/0029_approval_waits.sql")),
    ("0030_item_life", include_str!("../migrations/0030_item_life.sql")),
    ("0031_rescan_whole", include_str!("../migrations/0031_rescan_whole.sql")),
    ("0032_imports_whole", include_str!("../migrations/0032_imports_whole.sql")),
    ("0033_scanners_whole", include_str!("../migrations/0033_scanners_whole.sql")),
    ("0034_due_and_stale", include_str!("../migrations/0034_due_and_stale.sql")),
    ("0035_remediation", include_str!("../migrations/0035_remediation.sql")),
    ("0036_efforts", include_str!("../migrations/0036_efforts.sql")),
    ("0037_identity", include_str!("../migrations/0037_identity.sql")),
];

/// Bring the database up to this program; gives how many migrations were applied.
///
/// # Errors
/// [`Error::Failed`] where the database is newer than the program, was made by other texts, or refuses a statement;
/// [`Error::Unavailable`] where it cannot be reached.
pub fn run(database: &Database) -> Result<usize> {
    apply(database, MIGRATIONS)
}

/// As [`run`], with these migrations: for tests of the rules above.
///
/// # Errors
/// As [`run`].
pub fn apply(database: &Database, migrations: &'static [(&'static str, &'static str)]) -> Result<usize> {
    // A replica that starts at the same moment may create the table first; then the second try finds it.
    database.write_bulk_blocking(prepare).or_else(|_| database.write_bulk_blocking(prepare))?;
    let mut applied = 0;
    for number in 0..migrations.len() {
        applied += usize::from(database.write_bulk_blocking(move |tx| step(tx, migrations, number))?);
    }
    if migrations.is_empty() {
        database.write_bulk_blocking(move |tx| check(tx, migrations).map(|_| ()))?;
    }
    Ok(applied)
}

/// How many migrations the database has, where it has been set up at all.
///
/// # Errors
/// See [`Error`].
pub fn version(tx: &mut Transaction<'_>) -> Result<i64> {
    tx.scalar("SELECT count(*) FROM migration", &[])
}

fn prepare(tx: &mut Transaction<'_>) -> Result<()> {
    if tx.engine() == Engine::Postgres {
        let encoding: String = tx.scalar("SELECT current_setting('server_encoding')", &[])?;
        if encoding != "UTF8" {
            let why = format!("its encoding is {encoding}; create it with ENCODING 'UTF8'");
            return Err(Error::failed("could not use the database", why));
        }
    }
    let create = translate(
        tx.engine(),
        "CREATE TABLE IF NOT EXISTS migration (
             number {whole} NOT NULL PRIMARY KEY, name {text} NOT NULL, digest {bytes} NOT NULL
         ) {strict}",
    );
    tx.control(&create)
}

/// Apply the migration at this position unless it was; whether it was applied now.
fn step(tx: &mut Transaction<'_>, migrations: &[(&str, &str)], position: usize) -> Result<bool> {
    // SQLite has one writer anyway. An exclusive lock on this small table is the turn-taking of replicas.
    if tx.engine() == Engine::Postgres {
        tx.control("SET LOCAL lock_timeout = '600s'; LOCK TABLE migration IN EXCLUSIVE MODE")?;
    }
    let known = check(tx, migrations)?;
    let Some((name, text)) = migrations.get(position).filter(|_| known == position) else {
        return Ok(false);
    };
    let statements = translate(tx.engine(), text);
    tx.control(&statements).map_err(|error| Error::failed(format!("could not apply the migration {name}"), error))?;
    let number = i64::try_from(position).unwrap_or(i64::MAX) + 1;
    tx.execute(
        "INSERT INTO migration (number, name, digest) VALUES ($1, $2, $3)",
        &[&number, name, &digest(text).as_slice()],
    )?;
    Ok(true)
}

/// Compare what was applied with what this program knows; gives how many were applied.
fn check(tx: &mut Transaction<'_>, migrations: &[(&str, &str)]) -> Result<usize> {
    let applied: Vec<(i64, String, Vec<u8>)> =
        tx.all("SELECT number, name, digest FROM migration ORDER BY number", &[])?;
    for (position, (number, name, found)) in applied.iter().enumerate() {
        let why = match migrations.get(position) {
            None => format!("it was set up by a newer version (migration {number}, {name}); use that version"),
            Some((ours, text)) if ours != name || digest(text) != found.as_slice() => {
                format!("its migration {number} is {name} with another content than {ours} of this version")
            }
            Some(_) => continue,
        };
        return Err(Error::failed("could not use the database", why));
    }
    Ok(applied.len())
}

fn digest(text: &str) -> [u8; 32] {
    Sha256::digest(text.as_bytes()).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Collations and strictness come from the braces, so that both engines agree.
    #[test]
    fn migrations_are_written_in_the_words_of_the_dialect() {
        for (name, text) in MIGRATIONS {
            let code: String =
                text.lines().map(|line| line.split("--").next().unwrap_or_default()).collect::<Vec<_>>().join("\n");
            for word in ["TEXT", "BIGINT", "INTEGER", "BLOB", "BYTEA", "BOOLEAN", "REAL", "STRICT", "UUID"] {
                let bare = code.split(|c: char| !c.is_alphanumeric() && c != '_').any(|found| found == word);
                assert!(!bare, "{name}: write the brace instead of {word}");
            }
            let tables = code.matches("CREATE TABLE").count();
            let ends = code.matches("{strict}").count() + code.matches("{keyed}").count();
            assert_eq!(tables, ends, "{name}: every CREATE TABLE ends in {{strict}} or {{keyed}}");
            let unknown = translate(Engine::Sqlite, &code);
            // JSON has braces, too, but no word follows them.
            let word = |rest: &str| rest.starts_with(|c: char| c.is_ascii_lowercase());
            assert!(!unknown.split('{').skip(1).any(word), "{name}: unknown brace");
            assert!(!code.contains("now()") && !code.contains("CURRENT_"), "{name}: time is a parameter");
        }
    }

    #[test]
    fn migrations_are_in_the_order_of_their_numbers() {
        let number = |name: &str| name.split_once('_').and_then(|(number, _)| number.parse::<u32>().ok());
        for pair in MIGRATIONS.windows(2) {
            assert!(number(pair[0].0).is_some() && number(pair[0].0) < number(pair[1].0), "{pair:?}");
        }
    }
}

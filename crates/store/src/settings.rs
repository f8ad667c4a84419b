//! Settings: values edited in the interface, each with a version for optimistic locking.

use crate::audit::{self, Entry};
use crate::{Error, Result, Transaction};
use domain::time::Timestamp;
use serde::Serialize;
use serde::de::DeserializeOwned;

/// The name in [`Error::Conflict`] where somebody else changed the setting first.
pub const CHANGED: &str = "setting_changed";

/// A setting and how often it was changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setting<T> {
    /// Its value.
    pub value: T,
    /// Counts changes, from 1.
    pub version: i64,
}

/// Read a setting; `None` where it was never set.
///
/// # Errors
/// [`Error::Failed`] where what is stored is not a `T`.
pub fn get<T: DeserializeOwned>(tx: &mut Transaction<'_>, key: &str) -> Result<Option<Setting<T>>> {
    let found: Option<(String, i64)> = tx.optional("SELECT value, version FROM setting WHERE key = $1", &[&key])?;
    let Some((text, version)) = found else { return Ok(None) };
    let value = serde_json::from_str(&text)
        .map_err(|error| Error::failed(format!("could not understand the setting \"{key}\""), error))?;
    Ok(Some(Setting { value, version }))
}

/// Change a setting and say so in the audit; gives its new version. With `expected`, only where the version is still
/// that one (0: where it was never set).
///
/// # Errors
/// [`Error::Conflict`] with [`CHANGED`] where somebody else was faster.
pub fn put<T: Serialize>(
    tx: &mut Transaction<'_>,
    actor: &str,
    key: &str,
    value: &T,
    expected: Option<i64>,
    now: Timestamp,
) -> Result<i64> {
    let failed = |error| Error::failed(format!("could not write down the setting \"{key}\""), error);
    let text = serde_json::to_string(value).map_err(failed)?;
    let version: Option<(i64,)> = tx.optional(
        "INSERT INTO setting (key, value, version, changed_at)
         SELECT $1, $2, 1, $3 WHERE $4 IN (-1, 0) OR EXISTS (SELECT 1 FROM setting WHERE key = $1)
         ON CONFLICT (key) DO UPDATE SET
             value = excluded.value, version = setting.version + 1, changed_at = excluded.changed_at
         WHERE $4 IN (-1, setting.version)
         RETURNING version",
        &[&key, &text, &now, &expected.unwrap_or(-1)],
    )?;
    let (version,) = version.ok_or_else(|| Error::Conflict(CHANGED.to_owned()))?;
    let detail = serde_json::json!({ "value": value, "version": version });
    audit::append(
        tx,
        &Entry { at: now, actor, action: "setting.change", resource: &format!("settings/{key}"), detail },
    )?;
    Ok(version)
}

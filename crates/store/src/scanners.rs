//! Scanners: the products that detect. Inactive until an administrator says otherwise (S2.02, S2.03).

use crate::audit::{self, Entry};
use crate::filter::Column;
use crate::list::{List, Sort};
use crate::{Error, Result, Transaction, record};
use domain::filter::{self, Field, Fields};
use domain::id::InstanceId;
use domain::time::Timestamp;

record! {
    /// A scanner.
    #[derive(Clone, Debug, PartialEq, serde::Serialize)]
    pub struct Scanner {
        /// Product: `qualys`. The resource name.
        pub product: String,
        /// What people call it.
        pub name: String,
        /// Rescans may be requested of it.
        pub active: bool,
        /// When it was last activated.
        pub activated_at: Option<Timestamp>,
        /// How many integration instances use it.
        pub instances: i64,
        /// How many of them show it as their source, which the first import after activation makes them do (S2.04).
        pub stamped: i64,
    }
}

/// What scanners can be asked for.
pub const FIELDS: Fields = Fields {
    fields: &[
        Field { name: "product", kind: filter::Kind::Name, doc: "the product: qualys" },
        Field { name: "name", kind: filter::Kind::Name, doc: "what people call it" },
        Field { name: "active", kind: filter::Kind::Truth, doc: "rescans may be requested of it" },
    ],
    flags: &[],
    free: &["product", "name"],
};

/// The list of scanners.
pub const LIST: List = List {
    name: "scanners",
    select: "s.product, s.name, s.active, s.activated_at,
             (SELECT count(*) FROM integration_instance i WHERE i.product = s.product) AS instances,
             (SELECT count(*) FROM integration_instance i
              WHERE i.product = s.product AND i.source_stamped_at IS NOT NULL) AS stamped",
    from: "scanner s",
    key: "s.id",
    fields: &FIELDS,
    columns: &[Column::one("product", "s.product"), Column::one("name", "s.name"), Column::one("active", "s.active")],
    sorts: &[Sort::text("product", "s.product"), Sort::text("name", "s.name")],
};

/// Every scanner, by name.
///
/// # Errors
/// See [`Error`].
pub fn list(tx: &mut Transaction<'_>) -> Result<Vec<Scanner>> {
    tx.all(
        "SELECT s.product, s.name, s.active, s.activated_at,
             (SELECT count(*) FROM integration_instance i WHERE i.product = s.product) AS instances,
             (SELECT count(*) FROM integration_instance i
              WHERE i.product = s.product AND i.source_stamped_at IS NOT NULL) AS stamped
         FROM scanner s ORDER BY s.name",
        &[],
    )
}

/// One scanner.
///
/// # Errors
/// [`Error::NotFound`] for an unknown product.
pub fn one(tx: &mut Transaction<'_>, product: &str) -> Result<Scanner> {
    list(tx)?.into_iter().find(|scanner| scanner.product == product).ok_or(Error::NotFound)
}

/// Is the scanner of this instance active, and the instance itself not disabled, so that rescans may be launched there?
///
/// # Errors
/// See [`Error`].
pub fn active_at(tx: &mut Transaction<'_>, instance: InstanceId) -> Result<bool> {
    tx.scalar(
        "SELECT EXISTS (SELECT 1 FROM scanner s JOIN integration_instance n ON n.product = s.product
                        WHERE n.id = $1 AND s.active AND NOT n.disabled)",
        &[&instance],
    )
}

/// Tick or untick Active; gives whether that changed anything.
///
/// # Errors
/// [`Error::NotFound`] for an unknown product.
pub fn set_active(tx: &mut Transaction<'_>, actor: &str, product: &str, active: bool, now: Timestamp) -> Result<bool> {
    if one(tx, product)?.active == active {
        return Ok(false);
    }
    tx.execute(
        "UPDATE scanner SET active = $2, activated_at = CASE WHEN $2 THEN $3 ELSE activated_at END
         WHERE product = $1",
        &[&product, &active, &now],
    )?;
    let action = if active { "scanner.activate" } else { "scanner.deactivate" };
    let resource = format!("scanners/{product}");
    audit::append(tx, &Entry { at: now, actor, action, resource: &resource, detail: serde_json::Value::Null })?;
    Ok(true)
}

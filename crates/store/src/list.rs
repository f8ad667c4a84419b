//! Lists: filtered, sorted, in keyset pages. The cost of a page does not grow with how far one has turned.
//!
//! A list is a constant of its feature:
//!
//! ```
//! use domain::filter::{Field, Fields, Filter, Kind};
//! use store::filter::{Column, Source};
//! use store::list::{List, Order, Query, Sort, SortKind, page};
//!
//! const FIELDS: Fields = Fields {
//!     fields: &[Field { name: "key", kind: Kind::Name, doc: "name of the setting" }],
//!     flags: &[],
//!     free: &["key"],
//! };
//! const WAITING: List = List {
//!     name: "number-series",
//!     select: "outbox.id, outbox.topic, outbox.key",
//!     from: "outbox",
//!     key: "outbox.id",
//!     fields: &FIELDS,
//!     columns: &[Column::one("key", "outbox.key")],
//!     sorts: &[Sort::whole("due", "outbox.due_at")],
//! };
//! store::record! { struct Line { id: i64, topic: String, key: String } }
//!
//! fn first(tx: &mut store::Transaction<'_>, query: &Query) -> Result<Vec<Line>, store::list::Error> {
//!     Ok(page::<Line>(tx, &WAITING, None, query)?.rows)
//! }
//! ```
//!
//! Rows without the sorted value come last, in both directions. A cursor belongs to one list, order and filter; it
//! carries a check sum against damage, which is no secret: what a person may see is the scope's business, and the
//! scope is applied to every page.

use crate::error::Error as StoreError;
use crate::filter::{Column, compile};
use crate::record::{Record, Row, Scalar};
use crate::sql::Sql;
use crate::transaction::Transaction;
use crate::value::{Cell, Datum, Field, Mismatch};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use domain::filter::{Context, Fields, Filter};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// Rows on a page where nobody says otherwise.
pub const LIMIT_DEFAULT: u32 = 50;
/// Rows on a page at most.
pub const LIMIT_MAX: u32 = 500;

/// A list that can be filtered, sorted and paged.
#[derive(Clone, Copy, Debug)]
pub struct List {
    /// Its name, part of every cursor.
    pub name: &'static str,
    /// The selected columns: what stands between SELECT and FROM.
    pub select: &'static str,
    /// Tables and joins, without WHERE.
    pub from: &'static str,
    /// The `{id}` that makes every order total.
    pub key: &'static str,
    /// What people may ask for.
    pub fields: &'static Fields,
    /// Where that is found.
    pub columns: &'static [Column],
    /// What people may sort by; besides, every list can be sorted by its key, which is the default.
    pub sorts: &'static [Sort],
}

/// One way to sort.
#[derive(Clone, Copy, Debug)]
pub struct Sort {
    /// Its name.
    pub name: &'static str,
    /// The expression.
    pub sql: &'static str,
    /// What it gives.
    pub kind: SortKind,
    /// Whether it can be NULL. Say `false` where it cannot: then an index on (expression, key) gives the page.
    pub nullable: bool,
}

impl Sort {
    /// By an expression that gives whole numbers or instants, never NULL.
    #[must_use]
    pub const fn whole(name: &'static str, sql: &'static str) -> Sort {
        Sort { name, sql, kind: SortKind::Whole, nullable: false }
    }

    /// By an expression that gives text, never NULL.
    #[must_use]
    pub const fn text(name: &'static str, sql: &'static str) -> Sort {
        Sort { name, sql, kind: SortKind::Text, nullable: false }
    }

    /// By an expression that gives numbers with decimals, never NULL.
    #[must_use]
    pub const fn real(name: &'static str, sql: &'static str) -> Sort {
        Sort { name, sql, kind: SortKind::Real, nullable: false }
    }

    /// The same, where the expression can be NULL.
    #[must_use]
    pub const fn or_null(self) -> Sort {
        Sort { nullable: true, ..self }
    }
}

/// What a sorted expression gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SortKind {
    /// Whole numbers and instants.
    Whole,
    /// Numbers with decimals.
    Real,
    /// Text, by bytes.
    Text,
}

/// By what, and in which direction.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Order {
    /// A name of [`List::sorts`]; the key where `None`.
    pub by: Option<String>,
    /// From high to low.
    pub descending: bool,
}

impl Order {
    /// `score` or `-score`; the empty text is the key, ascending.
    pub fn parse(text: &str) -> Self {
        let (name, descending) = text.strip_prefix('-').map_or((text, false), |name| (name, true));
        Order { by: (!name.is_empty()).then(|| name.to_owned()), descending }
    }
}

/// Which page is wanted.
#[derive(Clone, Debug)]
pub struct Query {
    /// Which rows.
    pub filter: Filter,
    /// Now, and who asks.
    pub context: Context,
    /// In which order.
    pub order: Order,
    /// How many at most; brought between 1 and [`LIMIT_MAX`].
    pub limit: u32,
    /// Where the page before ended.
    pub cursor: Option<String>,
}

impl Query {
    /// The first page of what the filter gives, by key.
    pub fn new(filter: Filter, context: Context) -> Self {
        Query { filter, context, order: Order::default(), limit: LIMIT_DEFAULT, cursor: None }
    }
}

/// A page.
#[derive(Clone, Debug, PartialEq)]
pub struct Page<R> {
    /// The rows in order.
    pub rows: Vec<R>,
    /// Where the next page begins; `None` on the last.
    pub next_cursor: Option<String>,
}

/// Why there is no page.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The list cannot be sorted by this.
    #[error("this list cannot be sorted by `{name}`; it can be by {known}")]
    UnknownSort {
        /// What was asked for.
        name: String,
        /// What there is.
        known: String,
    },
    /// The cursor is damaged or was given for another list, order or filter.
    #[error("this cursor does not belong to this list in this order and with this filter; start without one")]
    ForeignCursor,
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What a person may see of a list: a condition that he cannot widen, and where the list's own SQL reads from
/// relations of that person, the clause that names them.
///
/// A list whose SQL names such relations fails without them, so that nobody forgets to clip it.
#[derive(Clone, Debug, Default)]
pub struct Clip {
    with: Option<Sql>,
    condition: Option<Sql>,
}

impl Clip {
    /// The relations: `WITH seen AS NOT MATERIALIZED (...) `, so that indexes are used as if they were not there.
    #[must_use]
    pub fn with(relations: Sql, condition: Option<Sql>) -> Clip {
        Clip { with: Some(relations), condition }
    }

    /// The relations alone.
    pub(crate) fn head(&self) -> Sql {
        self.with.clone().unwrap_or_default()
    }
}

impl From<Option<Sql>> for Clip {
    fn from(condition: Option<Sql>) -> Clip {
        Clip { with: None, condition }
    }
}

/// One page of what `clip` leaves of the list.
///
/// # Errors
/// See [`Error`].
pub fn page<R: Record>(
    tx: &mut Transaction<'_>,
    list: &List,
    clip: impl Into<Clip>,
    query: &Query,
) -> Result<Page<R>, Error> {
    let clip = clip.into();
    let sort = list.sort(&query.order)?;
    let seal = seal(list, query);
    let after = query.cursor.as_deref().map(|cursor| Place::open(cursor, seal, sort)).transpose()?;
    let limit = query.limit.clamp(1, LIMIT_MAX);
    let mut sql = clip.head().text("SELECT ").text(list.select).text(", ").text(sort.sql).text(" AS page_sort, ");
    sql = sql.text(list.key).text(" AS page_key FROM ").text(list.from);
    sql = sql.text(" WHERE ").append(condition(list, clip, query)?);
    if let Some(after) = &after {
        sql = sql.text(" AND ").append(after.condition(list, sort, query.order.descending));
    }
    sql = sql.text(match (query.order.descending, sort.nullable) {
        (false, false) => " ORDER BY page_sort, page_key",
        (true, false) => " ORDER BY page_sort DESC, page_key DESC",
        (false, true) => " ORDER BY page_sort NULLS LAST, page_key",
        (true, true) => " ORDER BY page_sort DESC NULLS LAST, page_key DESC",
    });
    // One more than wanted tells whether there is another page.
    let mut placed: Vec<Placed<R>> = tx.all_built(&sql.text(" LIMIT ").bind(&(limit + 1)))?;
    let more = placed.len() > limit as usize;
    placed.truncate(limit as usize);
    let next_cursor = match placed.last() {
        Some(last) if more => Some(Place::of(last)?.close(seal)),
        _ => None,
    };
    Ok(Page { rows: placed.into_iter().map(|placed| placed.row).collect(), next_cursor })
}

/// How many rows there are, counted up to `most`: a page says "more than 10,000" rather than read everything.
///
/// # Errors
/// See [`Error`].
pub fn count(
    tx: &mut Transaction<'_>,
    list: &List,
    clip: impl Into<Clip>,
    query: &Query,
    most: i64,
) -> Result<i64, Error> {
    let clip = clip.into();
    let sql = clip.head().text("SELECT count(*) FROM (SELECT 1 AS one FROM ").text(list.from).text(" WHERE ");
    let sql = sql.append(condition(list, clip, query)?).text(" LIMIT ").bind(&most).text(") AS counted");
    Ok(tx.scalar_built(&sql)?)
}

/// The keys of every row that is asked for, up to `most`, in order of the key: for "select all".
///
/// # Errors
/// See [`Error`].
pub fn keys(
    tx: &mut Transaction<'_>,
    list: &List,
    clip: impl Into<Clip>,
    query: &Query,
    most: i64,
) -> Result<Vec<i64>, Error> {
    let clip = clip.into();
    let sql = clip.head().text("SELECT ").text(list.key).text(" FROM ").text(list.from).text(" WHERE ");
    let sql = sql.append(condition(list, clip, query)?).text(" ORDER BY 1 LIMIT ").bind(&most);
    Ok(tx.all_built::<Scalar<i64>>(&sql)?.into_iter().map(|Scalar(key)| key).collect())
}

fn condition(list: &List, clip: Clip, query: &Query) -> Result<Sql, Error> {
    let sql = Sql::new("(").append(compile(&query.filter, list.fields, list.columns, &query.context)?).text(")");
    Ok(match clip.condition {
        Some(condition) => sql.text(" AND (").append(condition).text(")"),
        None => sql,
    })
}

impl List {
    /// The rows of the list that meet a condition, such as `Sql::new("asset.id = ").bind(&id)`, in order of the key.
    pub(crate) fn rows<R: Record>(&self, tx: &mut Transaction<'_>, condition: Sql) -> crate::Result<Vec<R>> {
        let sql = Sql::new("SELECT ").text(self.select).text(" FROM ").text(self.from).text(" WHERE ");
        tx.all_built(&sql.append(condition).text(" ORDER BY ").text(self.key))
    }

    /// The rows of a clipped list that meet a condition, in order of the key.
    pub(crate) fn rows_clipped<R: Record>(
        &self,
        tx: &mut Transaction<'_>,
        clip: Clip,
        condition: Sql,
    ) -> crate::Result<Vec<R>> {
        let sql = clip.head().text("SELECT ").text(self.select).text(" FROM ").text(self.from).text(" WHERE (");
        let mut sql = sql.append(condition).text(")");
        if let Some(clip) = clip.condition {
            sql = sql.text(" AND (").append(clip).text(")");
        }
        tx.all_built(&sql.text(" ORDER BY ").text(self.key))
    }

    /// The one row of a clipped list that a condition names.
    pub(crate) fn one_clipped<R: Record>(
        &self,
        tx: &mut Transaction<'_>,
        clip: Clip,
        condition: Sql,
    ) -> crate::Result<R> {
        self.rows_clipped(tx, clip, condition)?.into_iter().next().ok_or(StoreError::NotFound)
    }

    /// The one row that a condition names.
    pub(crate) fn one<R: Record>(&self, tx: &mut Transaction<'_>, condition: Sql) -> crate::Result<R> {
        self.rows(tx, condition)?.into_iter().next().ok_or(StoreError::NotFound)
    }

    fn sort(&self, order: &Order) -> Result<Sort, Error> {
        let Some(name) = &order.by else {
            return Ok(Sort { name: "", sql: self.key, kind: SortKind::Whole, nullable: false });
        };
        self.sorts.iter().find(|sort| sort.name == name).copied().ok_or_else(|| Error::UnknownSort {
            name: name.clone(),
            known: self.sorts.iter().map(|sort| sort.name).collect::<Vec<_>>().join(", "),
        })
    }
}

/// A row and where it stands.
struct Placed<R> {
    row: R,
    sort: Datum<'static>,
    key: i64,
}

impl<R: Record> Record for Placed<R> {
    fn read(row: &Row<'_>) -> crate::Result<Self> {
        Ok(Placed { row: R::read(row)?, sort: row.get("page_sort")?, key: row.get("page_key")? })
    }
}

/// Any value of an order.
impl Field for Datum<'static> {
    fn from_cell(cell: Cell<'_>) -> Result<Self, Mismatch> {
        Ok(match cell {
            Cell::Null => Datum::Null,
            Cell::Bool(value) => Datum::Bool(value),
            Cell::Whole(value) => Datum::Whole(value),
            Cell::Real(value) => Datum::Real(value),
            Cell::Text(value) => Datum::Text(value.to_owned().into()),
            Cell::Bytes(value) => Datum::Bytes(value.to_owned().into()),
            Cell::Uuid(value) => Datum::Uuid(value),
        })
    }
}

// --- cursors ---------------------------------------------------------------------------------------------------------

/// Where a page ended.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Place {
    #[serde(rename = "v")]
    version: u8,
    #[serde(rename = "s")]
    sort: Mark,
    #[serde(rename = "k")]
    key: i64,
}

/// The sorted value of the last row.
#[derive(Debug, Serialize, Deserialize)]
enum Mark {
    #[serde(rename = "-")]
    Missing,
    #[serde(rename = "n")]
    Whole(i64),
    /// The bits: a decimal text might come back as its neighbour.
    #[serde(rename = "r")]
    Real(u64),
    #[serde(rename = "t")]
    Text(String),
}

const VERSION: u8 = 1;
type Check = [u8; 8];

/// What a cursor belongs to: list, order and filter.
fn seal(list: &List, query: &Query) -> Check {
    let by = query.order.by.as_deref().unwrap_or_default();
    let text = format!("{}\n{by}\n{}\n{}", list.name, query.order.descending, query.filter);
    first_bytes(&Sha256::digest(text.as_bytes()))
}

fn first_bytes(digest: &[u8]) -> Check {
    digest.first_chunk().copied().unwrap_or_default()
}

fn check(seal: Check, json: &[u8]) -> Check {
    first_bytes(&Sha256::new().chain_update(seal).chain_update(json).finalize())
}

impl Place {
    fn of<R>(placed: &Placed<R>) -> Result<Self, Error> {
        let sort = match &placed.sort {
            Datum::Null => Mark::Missing,
            Datum::Whole(value) => Mark::Whole(*value),
            Datum::Real(value) => Mark::Real(value.to_bits()),
            Datum::Text(value) => Mark::Text(value.to_string()),
            _ => {
                return Err(
                    StoreError::failed("could not make a cursor", "rows cannot be sorted by such a value").into()
                );
            }
        };
        Ok(Place { version: VERSION, sort, key: placed.key })
    }

    fn close(&self, seal: Check) -> String {
        let json = serde_json::to_vec(self).unwrap_or_default(); // plain data, cannot fail
        let mut bytes = check(seal, &json).to_vec();
        bytes.extend(json);
        URL_SAFE_NO_PAD.encode(bytes)
    }

    fn open(cursor: &str, seal: Check, sort: Sort) -> Result<Self, Error> {
        let bytes = URL_SAFE_NO_PAD.decode(cursor).map_err(|_| Error::ForeignCursor)?;
        let (sum, json) = bytes.split_first_chunk::<8>().ok_or(Error::ForeignCursor)?;
        if check(seal, json) != *sum {
            return Err(Error::ForeignCursor);
        }
        let place: Place = serde_json::from_slice(json).map_err(|_| Error::ForeignCursor)?;
        let fits = match place.sort {
            Mark::Missing => sort.nullable,
            Mark::Whole(_) => sort.kind == SortKind::Whole,
            Mark::Real(_) => sort.kind == SortKind::Real,
            Mark::Text(_) => sort.kind == SortKind::Text,
        };
        if place.version == VERSION && fits { Ok(place) } else { Err(Error::ForeignCursor) }
    }

    /// The rows after this place.
    fn condition(&self, list: &List, sort: Sort, descending: bool) -> Sql {
        let beyond = if descending { " < " } else { " > " };
        let key = || Sql::new("CAST(").bind(&self.key).text(" AS BIGINT)");
        let value = match &self.sort {
            Mark::Missing => {
                let missing = Sql::new("(").text(sort.sql).text(" IS NULL AND ").text(list.key);
                return missing.text(beyond).append(key()).text(")");
            }
            Mark::Whole(value) => Sql::new("CAST(").bind(value).text(" AS BIGINT)"),
            Mark::Real(bits) => Sql::new("CAST(").bind(&f64::from_bits(*bits)).text(" AS DOUBLE PRECISION)"),
            Mark::Text(value) => Sql::value(value),
        };
        if sort.sql == list.key {
            return Sql::new(list.key).text(beyond).append(key());
        }
        let row = Sql::new("(").text(sort.sql).text(", ").text(list.key).text(")").text(beyond);
        let row = row.text("(").append(value).text(", ").append(key()).text(")");
        if !sort.nullable {
            return row;
        }
        Sql::new("(").append(row).text(" OR ").text(sort.sql).text(" IS NULL)")
    }
}

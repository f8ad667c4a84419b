//! How every list is asked for and answered: `q`, `sort`, `limit`, `cursor` in, one keyset page and `next` out.

use super::error::Error;
use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// Records in a page when nobody says how many.
pub const LIMIT_DEFAULT: i64 = 100;
/// Records in a page at most.
pub const LIMIT_MAX: i64 = 500;

/// What a list is asked for. Take it as an extractor; name it in `#[utoipa::path(params(ListQuery))]`.
#[derive(Clone, Debug, Default, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct ListQuery {
    /// A condition in the query language.
    #[serde(default)]
    pub q: String,
    /// The column to sort by, with `-` in front for the other direction.
    #[serde(default)]
    pub sort: String,
    /// Records in the page, 1 to 500; 100 when absent.
    pub limit: Option<i64>,
    /// Where to go on: `next` of the page before.
    pub cursor: Option<String>,
}

impl ListQuery {
    /// How many records the page may hold.
    #[must_use]
    pub fn limit(&self) -> i64 {
        self.limit.unwrap_or(LIMIT_DEFAULT).clamp(1, LIMIT_MAX)
    }

    /// The query of a [`store::list`]: the text parsed by the list's fields, order, limit and cursor. `fallback` is the
    /// order where none is asked for.
    ///
    /// # Errors
    /// 422 `q` with the place of the mistake and a suggestion.
    pub fn of_list(
        &self,
        fields: &domain::filter::Fields,
        fallback: &str,
        now: domain::time::Timestamp,
        me: &str,
    ) -> Result<store::list::Query, Error> {
        let filter =
            domain::filter::parse(&self.q, fields).map_err(|error| Error::field("q", "query", error.to_string()))?;
        let context = domain::filter::Context { me: Some(me.to_owned()), ..domain::filter::Context::at(now) };
        let sort = if self.sort.is_empty() { fallback } else { &self.sort };
        Ok(store::list::Query {
            filter,
            context,
            order: store::list::Order::parse(sort),
            limit: u32::try_from(self.limit()).unwrap_or(store::list::LIMIT_MAX),
            cursor: self.cursor.clone().filter(|cursor| !cursor.is_empty()),
        })
    }

    /// Where the page before ended; `None` for the first page.
    ///
    /// # Errors
    /// 422 `cursor` for a cursor that this list did not give.
    pub fn after<T: DeserializeOwned>(&self) -> Result<Option<T>, Error> {
        let Some(cursor) = self.cursor.as_deref().filter(|cursor| !cursor.is_empty()) else { return Ok(None) };
        let refuse = || Error::field("cursor", "cursor", "this cursor does not belong to this list; start without one");
        let bytes = URL_SAFE_NO_PAD.decode(cursor).map_err(|_| refuse())?;
        serde_json::from_slice(&bytes).map(Some).map_err(|_| refuse())
    }
}

impl<S: Sync> FromRequestParts<S> for ListQuery {
    type Rejection = Error;
    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Error> {
        let query = parts.uri.query().unwrap_or_default();
        let axum::extract::Query(list) =
            axum::extract::Query::<ListQuery>::try_from_uri(&parts.uri).map_err(|error| {
                let why = format!("the query `{query}` is not one of a list: {}", super::error::causes(&error));
                Error::field("query", "query", why)
            })?;
        Ok(list)
    }
}

/// A place in a list, as clients carry it: opaque to them.
///
/// # Errors
/// [`Error::Internal`] for a place that is not plain data.
pub fn cursor<T: Serialize>(place: &T) -> Result<String, Error> {
    Ok(URL_SAFE_NO_PAD.encode(serde_json::to_vec(place).map_err(Error::internal)?))
}

/// Cut the record that was read too many off `records` (read with `limit + 1`) and give the cursor of the next page.
///
/// # Errors
/// [`Error::Internal`] for a place that is not plain data.
pub fn next_page<T, P: Serialize>(
    records: &mut Vec<T>,
    limit: i64,
    place: impl Fn(&T) -> P,
) -> Result<Option<String>, Error> {
    let limit = usize::try_from(limit).unwrap_or(0);
    if records.len() <= limit {
        return Ok(None);
    }
    records.truncate(limit);
    records.last().map(|last| cursor(&place(last))).transpose()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_leads_on_and_a_wrong_one_is_refused() {
        let mut records = vec![1, 2, 3];
        let next = next_page(&mut records, 2, |n| *n).unwrap();
        assert_eq!(records, [1, 2]);
        let query = ListQuery { cursor: next, ..ListQuery::default() };
        assert_eq!(query.after::<i64>().unwrap(), Some(2));
        assert!(ListQuery { cursor: Some("x!".to_owned()), ..ListQuery::default() }.after::<i64>().is_err());
        assert_eq!(next_page(&mut vec![1, 2], 2, |n| *n).unwrap(), None);
    }
}

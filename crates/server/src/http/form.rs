//! Fields of a form that a page sends, names repeated where several are ticked.

use super::error::Error;
use axum::body::Bytes;
use axum::extract::{FromRequest, Request};
use axum::http::StatusCode;
use axum::response::IntoResponse as _;

/// The fields of a form.
#[derive(Clone, Debug, Default)]
pub struct Fields(Vec<(String, String)>);

impl Fields {
    /// Fields that no browser sent, such as what an address asks for.
    pub fn of<'f>(fields: impl IntoIterator<Item = (&'f str, &'f str)>) -> Fields {
        Fields(fields.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect())
    }

    /// The value of a field, without space around it; empty when it is absent.
    #[must_use]
    pub fn one(&self, name: &str) -> &str {
        self.exact(name).trim()
    }

    /// The value of a field as typed: for passwords.
    #[must_use]
    pub fn exact(&self, name: &str) -> &str {
        self.0.iter().find(|(field, _)| field == name).map(|(_, value)| value.as_str()).unwrap_or_default()
    }

    /// Every value of a field.
    #[must_use]
    pub fn all(&self, name: &str) -> Vec<String> {
        self.0.iter().filter(|(field, _)| field == name).map(|(_, value)| value.clone()).collect()
    }

    /// The parts of a field separated by commas, without empty ones.
    #[must_use]
    pub fn listed(&self, name: &str) -> Vec<String> {
        self.one(name).split(',').map(str::trim).filter(|part| !part.is_empty()).map(str::to_owned).collect()
    }
}

impl<S: Send + Sync> FromRequest<S> for Fields {
    type Rejection = Error;
    async fn from_request(request: Request, state: &S) -> Result<Self, Error> {
        let bytes = Bytes::from_request(request, state).await.map_err(|rejection| {
            let status = rejection.into_response().status();
            let code = if status == StatusCode::PAYLOAD_TOO_LARGE { "too_large" } else { "bad_request" };
            Error::problem(status, code, "the form cannot be read or is too large")
        })?;
        Ok(Fields(url::form_urlencoded::parse(&bytes).into_owned().collect()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_repeat_and_lists_are_separated_by_commas() {
        let fields = Fields(url::form_urlencoded::parse(b"a=1&role=x&role=y&tags=p,+q,,&a=2").into_owned().collect());
        assert_eq!((fields.one("a"), fields.one("b")), ("1", ""));
        assert_eq!(fields.all("role"), ["x", "y"]);
        assert_eq!(fields.listed("tags"), ["p", "q"]);
    }
}

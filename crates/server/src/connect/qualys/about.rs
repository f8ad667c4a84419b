//! Whether the connection works, and what is at the other end.

use crate::connect::qualys::client::{Client, join};
use crate::connect::qualys::config::{Auth, Endpoint};
use crate::connect::qualys::error::Error;
use crate::connect::qualys::hosts::HostQuery;
use crate::connect::qualys::pages::{Document, Pages};
use intake::qualys::about::{self, About};

/// What a connection test found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ConnectionReport {
    /// Versions, where the platform tells them (only to [`Auth::Basic`]).
    pub about: Option<About>,
    /// Whether the account sees at least one host. None may mean an empty subscription or a narrow scope.
    pub sees_hosts: bool,
}

impl Client {
    /// The platform's versions. Works with name and password only, whatever the configured way.
    pub async fn about(&self) -> Result<About, Error> {
        let inner = &self.inner;
        let url = join(&inner.config.api_url, "msp/about.php")?;
        let request = inner.http.get(url).basic_auth(&inner.config.username, Some(inner.config.password.reveal()));
        let mut sent = inner.send(Endpoint::Session, request).await.map_err(|failure| failure.error)?;
        let outcome = sent.read(&inner.limits, |input, limits| about::read(input, limits)).await;
        match outcome.map_err(|failure| failure.error)? {
            Ok(found) => Ok(found),
            Err(error) => Err(inner.body_failure(Endpoint::Session, &sent, error).error),
        }
    }

    /// Signs in and asks for one host id, which is what an import needs as well. Never tries a password twice.
    pub async fn test_connection(&self) -> Result<ConnectionReport, Error> {
        let about = if self.config().auth == Auth::Basic { Some(self.about().await?) } else { None };
        let mut call = self.host_call(&HostQuery::default(), "None");
        call.parameters.retain(|(name, _)| name != "truncation_limit");
        let call = call.with("truncation_limit", 1);
        let mut pages = Pages::new(self.clone(), Document::Hosts, call);
        let page = pages.next().await?;
        Ok(ConnectionReport { about, sees_hosts: page.is_some_and(|page| !page.ids.is_empty()) })
    }
}

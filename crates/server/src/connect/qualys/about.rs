//! What is at the other end.

use crate::connect::qualys::client::{Client, join};
use crate::connect::qualys::config::Endpoint;
use crate::connect::qualys::error::Error;
use intake::qualys::about::{self, About};

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
}

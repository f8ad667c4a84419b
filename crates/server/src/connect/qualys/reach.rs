//! The connection itself: how it is made, and why it did not come about.

use crate::connect::qualys::config::Config;
use crate::connect::qualys::error::{Cause, Error};
use std::io::ErrorKind;

/// Builds what calls are made with.
pub(crate) fn http_client(config: &Config) -> Result<reqwest::Client, Error> {
    if rustls::crypto::CryptoProvider::get_default().is_none() {
        // A second thread may have done it meanwhile, which is as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
    }
    let bad = |error: reqwest::Error| Error::Config(reason(&error));
    let mut roots = Vec::new();
    for pem in &config.extra_roots_pem {
        roots.extend(reqwest::Certificate::from_pem_bundle(pem.as_bytes()).map_err(bad)?);
    }
    let secure =
        [Some(&config.api_url), config.gateway_url.as_ref()].into_iter().flatten().any(|url| url.scheme() == "https");
    let mut builder = reqwest::Client::builder()
        .user_agent(&config.user_agent)
        // Credentials go to the configured place and nowhere else.
        .redirect(reqwest::redirect::Policy::none())
        .referer(false)
        .connect_timeout(config.connect_timeout)
        .read_timeout(config.read_timeout)
        .retry(reqwest::retry::never());
    if !secure {
        // Plain http (a simulator on this machine) must work where no certificates are installed.
        builder = builder.tls_certs_only(roots);
    } else if !roots.is_empty() {
        builder = builder.tls_certs_merge(roots);
    }
    builder.build().map_err(bad)
}

/// The causes of an error in one line, without the URL (which the message names by host already).
pub(crate) fn reason(error: &reqwest::Error) -> String {
    let mut text = if error.is_timeout() { "timed out".to_owned() } else { String::new() };
    for cause in causes(error) {
        if !text.is_empty() {
            text.push_str(": ");
        }
        text.push_str(&cause.to_string());
    }
    if text.is_empty() { "the connection failed".to_owned() } else { text }
}

/// Which of the things that can go wrong before an answer it was.
pub(crate) fn cause(error: &reqwest::Error) -> Cause {
    if error.is_timeout() {
        return Cause::TimedOut;
    }
    for cause in causes(error) {
        // The library has no type of its own for this that others can see.
        let text = cause.to_string();
        if text.contains("dns error") || text.contains("failed to lookup address") {
            return Cause::Name;
        }
        if of_tls(cause) {
            return Cause::Tls;
        }
        let Some(io) = cause.downcast_ref::<std::io::Error>() else { continue };
        match io.kind() {
            ErrorKind::ConnectionRefused => return Cause::Refused,
            ErrorKind::TimedOut => return Cause::TimedOut,
            _ => {}
        }
    }
    Cause::Broken
}

/// An error of TLS, or one of input and output around it, however deep: what it holds is no source of it.
fn of_tls(error: &(dyn std::error::Error + 'static)) -> bool {
    if error.is::<rustls::Error>() {
        return true;
    }
    let inner = error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
    inner.is_some_and(|inner| of_tls(inner))
}

fn causes(error: &reqwest::Error) -> impl Iterator<Item = &(dyn std::error::Error + 'static)> {
    std::iter::successors(std::error::Error::source(error), |cause| cause.source())
}

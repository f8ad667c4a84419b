//! How a call can fail. Closed: the engine and the set-up page can say what to do about each.

use crate::connect::qualys::config::Endpoint;
use intake::ReadError;
use std::time::Duration;
use thiserror::Error;

/// How much of a body an error keeps.
pub const BODY_BYTES: usize = 2 << 10;

/// What the platform answered, for diagnosis. Secrets are masked.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Reply {
    /// HTTP status.
    pub status: u16,
    /// The platform's error code, where it gave one.
    pub code: Option<String>,
    /// The platform's words, where it gave some.
    pub text: String,
    /// The beginning of the body, at most [`BODY_BYTES`].
    pub body: String,
}

impl std::fmt::Display for Reply {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.status {
            // Nothing was asked: an earlier answer said so.
            0 => f.write_str("known from an earlier answer")?,
            status => write!(f, "HTTP {status}")?,
        }
        if let Some(code) = &self.code {
            write!(f, ", code {code}")?;
        }
        if !self.text.is_empty() {
            write!(f, ": {}", self.text)?;
        }
        Ok(())
    }
}

/// Why no answer came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// The host's name is not known.
    Name,
    /// Nothing listens there, or something refuses.
    Refused,
    /// No answer in time.
    TimedOut,
    /// No trusted connection: the certificate, its name, or no TLS at all.
    Tls,
    /// The connection broke in another way.
    Broken,
}

/// Why a call did not work.
#[derive(Debug, Error)]
pub enum Error {
    /// The configuration cannot be used.
    #[error("the Qualys connection is not configured well: {0}")]
    Config(String),
    /// No connection, or it broke, after all retries.
    #[error("{host} could not be reached for {what}: {reason}")]
    Unreachable {
        /// Host that was called.
        host: String,
        /// What was asked.
        what: &'static str,
        /// Which of the things that can go wrong it was.
        cause: Cause,
        /// What happened.
        reason: String,
    },
    /// The platform does not take who we are. It answers a wrong password, a missing permission and a wrong platform
    /// alike.
    #[error("sign-in was refused ({reply}); check the credentials, the account's API permission and the platform URL")]
    SignIn {
        /// What it said.
        reply: Box<Reply>,
    },
    /// The account is known but may not work: expired, inactive, registration open, second factor, no licence.
    #[error("the Qualys account cannot be used ({reply}); its owner has to put that right at Qualys")]
    Account {
        /// What it said.
        reply: Box<Reply>,
    },
    /// The request was understood and refused.
    #[error("the {what} call was refused ({reply})")]
    Refused {
        /// What was asked.
        what: &'static str,
        /// What it said.
        reply: Box<Reply>,
    },
    /// The end point does not exist in this version, nor in a later one we know.
    #[error("the {what} end point has no version {version}.0 here ({reply}); choose another version or check the URL")]
    VersionGone {
        /// What was asked.
        what: &'static str,
        /// The last version that was tried.
        version: u8,
        /// What it said.
        reply: Box<Reply>,
    },
    /// Rate or concurrency limits do not allow the call for longer than we wait.
    #[error("the {what} call is limited for another {} seconds ({reply})", wait.as_secs())]
    Limited {
        /// What was asked.
        what: &'static str,
        /// When to try again, from now.
        wait: Duration,
        /// What it said.
        reply: Box<Reply>,
    },
    /// Down, under maintenance or overloaded, after all retries.
    #[error("Qualys is not available for {what} ({reply}); try again later")]
    Unavailable {
        /// What was asked.
        what: &'static str,
        /// What it said.
        reply: Box<Reply>,
    },
    /// Redirects are not followed, so that credentials go nowhere else.
    #[error("the {what} call was redirected to {to}; if that is the platform, configure its URL")]
    Redirected {
        /// What was asked.
        what: &'static str,
        /// Where it pointed, without its query.
        to: String,
    },
    /// The answer was not good, after all retries.
    #[error("the answer to the {what} call could not be used: {source} ({reply})")]
    Answer {
        /// What was asked.
        what: &'static str,
        /// What was wrong with it.
        #[source]
        source: ReadError,
        /// What it said.
        reply: Box<Reply>,
    },
    /// The pages do not lead anywhere.
    #[error("the pages of {what} do not end: {reason}")]
    Paging {
        /// What was asked.
        what: &'static str,
        /// What is wrong.
        reason: String,
    },
    /// The call may have taken effect although no answer came. Look before trying again.
    #[error("no answer to {what}, it may have taken effect: {reason}")]
    Uncertain {
        /// What was asked.
        what: &'static str,
        /// What happened.
        reason: String,
    },
    /// The answer could not be put aside on this machine.
    #[error("the answer could not be put aside in the folder for temporary files")]
    Spool(#[source] std::io::Error),
}

impl Error {
    /// A short stable word for records, logs and tests.
    pub fn kind(&self) -> &'static str {
        match self {
            Error::Config(_) => "config",
            Error::Unreachable { .. } => "unreachable",
            Error::SignIn { .. } => "sign_in",
            Error::Account { .. } => "account",
            Error::Refused { .. } => "refused",
            Error::VersionGone { .. } => "version_gone",
            Error::Limited { .. } => "limited",
            Error::Unavailable { .. } => "unavailable",
            Error::Redirected { .. } => "redirected",
            Error::Answer { .. } => "answer",
            Error::Paging { .. } => "paging",
            Error::Uncertain { .. } => "uncertain",
            Error::Spool(_) => "spool",
        }
    }

    /// What the platform answered, where it did.
    pub fn reply(&self) -> Option<&Reply> {
        match self {
            Error::SignIn { reply }
            | Error::Account { reply }
            | Error::Refused { reply, .. }
            | Error::VersionGone { reply, .. }
            | Error::Limited { reply, .. }
            | Error::Unavailable { reply, .. }
            | Error::Answer { reply, .. } => Some(reply),
            _ => None,
        }
    }

    /// Whether the same call may work later without anybody changing anything.
    pub fn transient(&self) -> bool {
        matches!(
            self,
            Error::Unreachable { .. }
                | Error::Limited { .. }
                | Error::Unavailable { .. }
                | Error::Answer { source: ReadError::Truncated { .. } | ReadError::ApiError { .. }, .. }
        )
    }
}

/// The error for an answer that says what went wrong, by its code and status.
pub(crate) fn from_reply(endpoint: Endpoint, reply: Reply) -> Error {
    let what = endpoint.name();
    let reply = Box::new(reply);
    match (reply.code.as_deref(), reply.status) {
        (Some("2000"), _) => Error::SignIn { reply },
        (Some("2001" | "2002" | "2003" | "2011" | "2012"), _) => Error::Account { reply },
        (Some("1999"), _) => Error::Unavailable { what, reply },
        (None, 401 | 403) => Error::SignIn { reply },
        (None, 500..=599) => Error::Unavailable { what, reply },
        _ => Error::Refused { what, reply },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_speak_before_status() {
        for (status, code, kind) in [
            (401, Some("2000"), "sign_in"),
            (401, None, "sign_in"),
            (200, Some("2001"), "account"),
            (409, Some("2003"), "account"),
            (403, Some("2012"), "account"),
            (400, Some("1905"), "refused"),
            (503, Some("1999"), "unavailable"),
            (502, None, "unavailable"),
            (418, None, "refused"),
        ] {
            let reply = Reply { status, code: code.map(str::to_owned), ..Reply::default() };
            assert_eq!(from_reply(Endpoint::Detections, reply).kind(), kind, "{status} {code:?}");
        }
    }

    #[test]
    fn a_refused_sign_in_names_all_three_causes() {
        let text = Error::SignIn { reply: Box::default() }.to_string();
        for cause in ["credentials", "API permission", "platform URL"] {
            assert!(text.contains(cause), "{text}");
        }
    }
}

//! The edge: listeners, TLS, limits, who is asking, and how errors look. What a request *does* is in `api` and `pages`.

pub mod agent;
pub mod auth;
pub mod conditional;
pub mod csrf;
mod csrf_part;
pub mod error;
pub mod error_page;
pub mod flash;
pub mod form;
pub mod headers;
pub mod health;
pub mod idempotency;
pub mod limits;
pub mod list;
pub mod listener;
pub mod router;
pub mod secret;
pub mod session;
pub mod tls;
pub mod trace;

pub use auth::{AnyCaller, Caller, ClientAddress, PageActor};
pub use conditional::IfMatch;
pub use error::Error;
pub use list::ListQuery;

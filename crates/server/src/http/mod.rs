//! The edge: listeners, TLS, limits, who is asking, and how errors look. What a request *does* is in `api` and `pages`.

pub mod error;
pub mod error_page;
pub mod headers;
pub mod health;
pub mod limits;
pub mod listener;
pub mod router;
pub mod tls;
pub mod trace;

pub use error::Error;

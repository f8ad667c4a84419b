//! Binding, serving and stopping. Addresses are bound before anything is promised about them, so port 0 works and the
//! address in use is known.

use super::limits::{AGENT_HEAD_BYTES_MAX, GRACE_TIME_MAX, HEADER_TIME_MAX};
use axum::Router;
use axum_server::Handle;
use axum_server::tls_rustls::{RustlsAcceptor, RustlsConfig};
use hyper_util::rt::TokioTimer;
use std::io;
use std::net::{SocketAddr, TcpListener};
use tokio::task::JoinHandle;

/// A bound address that does not answer yet.
#[derive(Debug)]
pub struct Bound {
    listener: TcpListener,
    /// The address in use.
    pub address: SocketAddr,
}

/// A listener that answers.
#[derive(Debug)]
pub struct Serving {
    handle: Handle<SocketAddr>,
    task: JoinHandle<io::Result<()>>,
}

/// Take an address; port 0 takes a free one.
///
/// # Errors
/// The system's error, when the address is taken or not ours.
pub fn bind(address: SocketAddr) -> io::Result<Bound> {
    let listener = TcpListener::bind(address)?;
    listener.set_nonblocking(true)?;
    let address = listener.local_addr()?;
    Ok(Bound { listener, address })
}

/// Who is spoken to, and how.
pub enum Spoken {
    /// People and programs: HTTP/1.1 and 2, over TLS where there is a configuration for it.
    People(Option<RustlsConfig>),
    /// Agents: HTTP/1.1 over TLS.
    Agents(RustlsConfig),
}

impl Bound {
    /// Answer with `routes`.
    ///
    /// # Errors
    /// The system's error, when the socket cannot be used.
    pub fn serve(self, routes: Router, spoken: Spoken) -> io::Result<Serving> {
        let handle = Handle::new();
        let service = routes.into_make_service_with_connect_info::<SocketAddr>();
        let mut server = axum_server::from_tcp(self.listener)?.handle(handle.clone());
        server.http_builder().http1().timer(TokioTimer::new()).header_read_timeout(HEADER_TIME_MAX);
        let tls = match spoken {
            Spoken::People(tls) => tls,
            Spoken::Agents(tls) => {
                let only = server.http_builder().clone().http1_only();
                *server.http_builder() = only;
                // Without a limit the library keeps 16 KiB for each agent: it finds 24 bytes from looking for HTTP/2 in its buffer of
                // 8 KiB and doubles it.
                server.http_builder().http1().max_buf_size(AGENT_HEAD_BYTES_MAX);
                Some(tls)
            }
        };
        let task = match tls {
            Some(config) => {
                let server = server.acceptor(RustlsAcceptor::new(config));
                tokio::spawn(server.serve(service))
            }
            None => tokio::spawn(server.serve(service)),
        };
        Ok(Serving { handle, task })
    }
}

impl Serving {
    /// Take no more connections and wait until requests under way have ended, or their grace time has.
    pub async fn stop(self) {
        self.handle.graceful_shutdown(Some(GRACE_TIME_MAX));
        match self.task.await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::error!("a listener ended with an error: {error}"),
            Err(error) => tracing::error!("a listener ended with a panic: {error}"),
        }
    }
}

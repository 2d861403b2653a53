//! Opens connections to a sink's receivers.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use parking_lot::Mutex;
use rustls::pki_types::ServerName;
use socket2::{SockRef, TcpKeepalive};
use tokio::net::{TcpStream, lookup_host};
use tokio::time::{Instant, timeout};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::config::{Settings, TlsConfig, host_of};
use super::error::{Step, SyslogError};
use super::wire::{Stream, Wire};
use crate::sinks::limits::{CONNECT_TIMEOUT, KEEPALIVE_AFTER, KEEPALIVE_EVERY, TLS_SETTINGS_AGE, USER_TIMEOUT};
use crate::tls::{self, Roots};

pub struct Dialer {
    addresses: Vec<String>,
    /// Nothing where connections aren't encrypted.
    tls: Option<TlsConfig>,
    /// What was read from the files of the TLS settings. Kept, so that later connections resume the first one's session.
    connector: Mutex<Option<(Instant, TlsConnector)>>,
}

impl Dialer {
    pub fn new(settings: &Settings) -> Self {
        let tls = settings.transport.encrypts().then(|| settings.tls.clone());
        Self { addresses: settings.addresses.clone(), tls, connector: Mutex::new(None) }
    }

    pub fn address(&self, target: usize) -> &str {
        &self.addresses[target]
    }

    /// Connects to one of the addresses, whichever of its hosts answers first in order. Dropping this leaves nothing.
    pub async fn dial(&self, target: usize) -> Result<Wire, SyslogError> {
        let mut last = None;
        for peer in resolve(self.address(target)).await? {
            match self.reach(peer, target).await {
                Ok(wire) => return Ok(wire),
                Err(error) => last = Some(error),
            }
        }
        // Only what was reached can tell that the files it was reached with are of yesterday.
        *self.connector.lock() = None;
        Err(last.unwrap_or_else(|| unresolved(self.address(target), io::ErrorKind::NotFound.into())))
    }

    async fn reach(&self, peer: SocketAddr, target: usize) -> Result<Wire, SyslogError> {
        let socket = connect(peer).await?;
        let Some(settings) = &self.tls else { return Ok(Wire { peer, target, stream: Stream::Plain(socket) }) };
        let name = server_name(settings, self.address(target))?;
        let session = handshake(self.connector(settings)?, name, socket, peer).await?;
        Ok(Wire { peer, target, stream: Stream::Tls(Box::new(session)) })
    }

    fn connector(&self, settings: &TlsConfig) -> Result<TlsConnector, SyslogError> {
        let mut kept = self.connector.lock();
        match &*kept {
            Some((read, connector)) if read.elapsed() < TLS_SETTINGS_AGE => Ok(connector.clone()),
            Some(_) | None => {
                let made = connector(settings)?;
                *kept = Some((Instant::now(), made.clone()));
                Ok(made)
            }
        }
    }
}

/// The hosts behind an address.
pub async fn resolve(address: &str) -> Result<Vec<SocketAddr>, SyslogError> {
    let found = timeout(CONNECT_TIMEOUT, lookup_host(address)).await;
    let found = found.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()));
    let hosts: Vec<_> = found.map_err(|cause| unresolved(address, cause))?.collect();
    if hosts.is_empty() {
        return Err(unresolved(address, io::ErrorKind::NotFound.into()));
    }
    Ok(hosts)
}

fn unresolved(address: &str, cause: io::Error) -> SyslogError {
    SyslogError::Resolve { address: address.to_owned(), cause }
}

pub async fn connect(peer: SocketAddr) -> Result<TcpStream, SyslogError> {
    match timeout(CONNECT_TIMEOUT, TcpStream::connect(peer)).await {
        Ok(Ok(socket)) => {
            watch(&socket);
            Ok(socket)
        }
        Ok(Err(cause)) => Err(SyslogError::Connect { address: peer, cause }),
        Err(_) => Err(SyslogError::Slow { address: peer, step: Step::Connect, seconds: CONNECT_TIMEOUT.as_secs() }),
    }
}

/// Lets the kernel notice a dead peer, and send without Nagle's timer, for which a barrier must not wait. Failing to set
/// one of these costs time, not events.
fn watch(socket: &TcpStream) {
    let _ = socket.set_nodelay(true);
    let socket = SockRef::from(socket);
    let _ = socket.set_tcp_user_timeout(Some(USER_TIMEOUT));
    let _ = socket.set_tcp_keepalive(&TcpKeepalive::new().with_time(KEEPALIVE_AFTER).with_interval(KEEPALIVE_EVERY));
}

pub fn connector(settings: &TlsConfig) -> Result<TlsConnector, SyslogError> {
    let roots = match &settings.ca {
        Some(ca) => ca.roots()?,
        None => Roots::system_and(&[])?,
    };
    let identity = match (&settings.certificate, &settings.key) {
        (Some(certificate), Some(key)) => Some(certificate.identity(key)?),
        (Some(_) | None, _) => None,
    };
    Ok(TlsConnector::from(Arc::new(tls::client(&roots, identity)?)))
}

pub fn server_name(settings: &TlsConfig, address: &str) -> Result<ServerName<'static>, SyslogError> {
    let name = settings.server_name.as_deref().unwrap_or_else(|| host_of(address)).to_owned();
    ServerName::try_from(name.clone()).map_err(|_| SyslogError::ServerName { name })
}

pub async fn handshake(
    connector: TlsConnector,
    name: ServerName<'static>,
    socket: TcpStream,
    peer: SocketAddr,
) -> Result<TlsStream<TcpStream>, SyslogError> {
    match timeout(CONNECT_TIMEOUT, connector.connect(name, socket)).await {
        Ok(Ok(session)) => Ok(session),
        Ok(Err(cause)) => Err(SyslogError::Handshake { address: peer, cause }),
        Err(_) => Err(SyslogError::Slow { address: peer, step: Step::Handshake, seconds: CONNECT_TIMEOUT.as_secs() }),
    }
}

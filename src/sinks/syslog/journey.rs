//! Sends one probe event to each receiver of a sink, as the sink would, and notes every hop of its way.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::net::{TcpStream, UdpSocket};
use tokio::time::{Instant, timeout};
use tokio_rustls::client::TlsStream;
use x509_parser::prelude::{FromDer, X509Certificate};

use super::barrier::Assurance;
use super::config::{Level, Settings, SyslogConfig, Transport};
use super::dial::{connect, connector, handshake, resolve, server_name};
use super::error::SyslogError;
use super::relp;
use super::wire::{Stream, Wire};
use crate::clock::Timestamp;
use crate::sinks::journey::{Hop, Journey};
use crate::sinks::limits::PROBE_ANSWER;

/// How long a host that nothing listens on may take to say so.
const REJECTION: Duration = Duration::from_millis(300);

const INSISTS: &str = "the receiver does not answer our half-close, and the sink's `assurance = \"a2\"` takes nothing less: \
                       use relp or another receiver, or take `assurance` away";

/// `frame` is a whole frame as the sink's framing makes it.
pub async fn travel(config: &SyslogConfig, frame: &[u8]) -> Vec<Journey> {
    let settings = config.settings();
    let mut journeys = Vec::new();
    for address in &settings.addresses {
        let mut hops = Vec::new();
        if let Err(error) = to(address, &settings, frame, &mut hops).await {
            hops.push(Hop::Failed { error: error.to_string() });
        }
        journeys.push(Journey { address: address.clone(), hops });
    }
    journeys
}

async fn to(address: &str, settings: &Settings, frame: &[u8], hops: &mut Vec<Hop>) -> Result<(), SyslogError> {
    let hosts = resolve(address).await?;
    hops.push(Hop::Resolved { hosts: hosts.clone() });
    if settings.transport == Transport::Udp {
        return datagram(&hosts, frame, hops).await;
    }
    let wire = reach(address, &hosts, settings, hops).await?;
    match settings.transport {
        Transport::Relp | Transport::RelpTls => over_relp(wire, frame, hops).await,
        Transport::Udp | Transport::Tcp | Transport::Tls => {
            let confirmed = match over_stream(wire, frame, hops).await {
                Ok(confirmed) => confirmed,
                // Whether it resets whatever is half-closed, or did not like the event, an empty connection tells.
                Err(error) if error.is_reset() => {
                    let empty = reach(address, &hosts, settings, &mut Vec::new()).await?.judge().await;
                    if empty.is_ok_and(|level| level == Assurance::A1) { None } else { return Err(error) }
                }
                Err(error) => return Err(error),
            };
            hops.push(end(confirmed, settings.level));
            Ok(())
        }
    }
}

async fn reach(
    address: &str,
    hosts: &[SocketAddr],
    settings: &Settings,
    hops: &mut Vec<Hop>,
) -> Result<Wire, SyslogError> {
    let (socket, peer) = first_that_answers(hosts, hops).await?;
    if !settings.transport.encrypts() {
        return Ok(Wire { peer, target: 0, stream: Stream::Plain(socket) });
    }
    let began = Instant::now();
    let name = server_name(&settings.tls, address)?;
    let session = handshake(connector(&settings.tls)?, name, socket, peer).await?;
    hops.push(secured(&session, millis(began)));
    Ok(Wire { peer, target: 0, stream: Stream::Tls(Box::new(session)) })
}

async fn first_that_answers(hosts: &[SocketAddr], hops: &mut Vec<Hop>) -> Result<(TcpStream, SocketAddr), SyslogError> {
    let mut last = None;
    for peer in hosts {
        let began = Instant::now();
        match connect(*peer).await {
            Ok(socket) => {
                hops.push(Hop::Connected { peer: *peer, millis: millis(began) });
                return Ok((socket, *peer));
            }
            Err(error) => last = Some(error),
        }
    }
    let nobody = || SyslogError::Resolve { address: String::new(), cause: io::ErrorKind::NotFound.into() };
    Err(last.unwrap_or_else(nobody))
}

fn secured(session: &TlsStream<TcpStream>, millis: u64) -> Hop {
    let (_, session) = session.get_ref();
    let version = match session.protocol_version() {
        Some(rustls::ProtocolVersion::TLSv1_3) => "TLS 1.3",
        Some(rustls::ProtocolVersion::TLSv1_2) => "TLS 1.2",
        Some(_) | None => "TLS",
    };
    let shown = session.peer_certificates().and_then(|chain| chain.first());
    let parsed = shown.and_then(|der| X509Certificate::from_der(der).ok()).map(|(_, certificate)| certificate);
    let subject = parsed.as_ref().map_or_else(|| "an unreadable subject".to_owned(), |it| it.subject().to_string());
    let until = parsed.map(|it| Timestamp::from_millis(it.validity().not_after.timestamp().saturating_mul(1_000)));
    Hop::Secured { version: version.to_owned(), subject, valid_until: until, millis }
}

/// How long the receiver took to confirm what it read; nothing where it does not.
async fn over_stream(mut wire: Wire, frame: &[u8], hops: &mut Vec<Hop>) -> Result<Option<u64>, SyslogError> {
    wire.write(frame).await?;
    hops.push(Hop::Sent { bytes: frame.len() });
    let began = Instant::now();
    let local = wire.half_close().await?;
    match timeout(PROBE_ANSWER, wire.answered(local)).await {
        Ok(answered) => answered.map(|()| Some(millis(began))),
        Err(_) => Ok(None),
    }
}

fn end(confirmed: Option<u64>, asked: Option<Level>) -> Hop {
    match (confirmed, asked) {
        (Some(millis), _) => Hop::Confirmed { level: Level::A2, millis },
        // Nothing would ever count for such a sink.
        (None, Some(Level::A2)) => Hop::Failed { error: INSISTS.to_owned() },
        (None, _) => Hop::Unconfirmed { level: Level::A1 },
    }
}

async fn over_relp(wire: Wire, message: &[u8], hops: &mut Vec<Hop>) -> Result<(), SyslogError> {
    let began = Instant::now();
    let open = relp::Open::begin(wire).await?;
    hops.push(Hop::SessionOpened { millis: millis(began) });
    hops.push(Hop::Sent { bytes: message.len() });
    let began = Instant::now();
    hops.push(match open.deliver(message).await? {
        None => Hop::Confirmed { level: Level::A3, millis: millis(began) },
        Some(reason) => Hop::Refused { reason },
    });
    Ok(())
}

async fn datagram(hosts: &[SocketAddr], message: &[u8], hops: &mut Vec<Hop>) -> Result<(), SyslogError> {
    let Some(peer) = hosts.first().copied() else { return Ok(()) };
    let failed = |cause| SyslogError::Connect { address: peer, cause };
    let any: SocketAddr = if peer.is_ipv4() { ([0; 4], 0).into() } else { ([0u16; 8], 0).into() };
    let socket = UdpSocket::bind(any).await.map_err(failed)?;
    socket.connect(peer).await.map_err(failed)?;
    socket.send(message).await.map_err(failed)?;
    hops.push(Hop::Sent { bytes: message.len() });
    match timeout(REJECTION, socket.recv(&mut [0; 16])).await {
        Ok(Err(cause)) => return Err(failed(cause)),
        Ok(Ok(_)) | Err(_) => hops.push(Hop::Unconfirmed { level: Level::A0 }),
    }
    Ok(())
}

fn millis(since: Instant) -> u64 {
    u64::try_from(since.elapsed().as_millis()).unwrap_or(u64::MAX)
}

//! Syslog: frames by RFC 5424 or RFC 3164, over UDP, TCP, TLS or RELP. What an acknowledgement means is in the manual.

pub mod barrier;
pub mod config;
mod dial;
pub mod error;
mod fault;
pub mod frame;
pub mod journey;
mod kernel;
mod link;
mod preset;
pub mod relp;
mod spread;
mod stretch;
mod targets;
mod tcp;
mod udp;
mod unread;
mod wire;

use std::sync::Arc;

use tokio::sync::{mpsc, watch};

use super::Parcel;
use super::status::SinkStatus;
use config::{SyslogConfig, Transport};
use link::Link;

/// Runs until the parcels end or `stop` turns true.
pub(super) async fn run(
    config: &SyslogConfig,
    parcels: mpsc::Receiver<Parcel>,
    status: Arc<SinkStatus>,
    stop: watch::Receiver<bool>,
) {
    let settings = config.settings();
    if settings.transport == Transport::Udp {
        return udp::run(&settings, parcels, status, stop).await;
    }
    let link = Arc::new(Link::new(settings, status));
    spread::run(&link, parcels, stop).await;
}

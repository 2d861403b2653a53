//! Splunk's HTTP Event Collector: batches of envelopes over HTTP, to several targets in turns, acknowledged once they are
//! accepted or, where the token can do that, once they are indexed.
//!
//! `frame` makes envelopes, `batch` puts them into requests, `answer` reads what comes back, `acks` waits for indexing and
//! `targets` chooses where to send: all pure. `desk` drives them.

mod acks;
mod answer;
mod batch;
mod client;
pub mod config;
mod desk;
pub mod frame;
pub mod journey;
pub mod limits;
mod targets;

use std::sync::Arc;

use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep, sleep_until};

use super::Parcel;
use super::limits::{PARCELS_QUEUED, RECONNECT_FIRST, RECONNECT_LONGEST};
use super::status::SinkStatus;
use client::Client;
use config::HecConfig;
use desk::Desk;
use limits::STOP_PATIENCE;

/// What an acknowledged event is: in the indexer's queue, or indexed.
pub const ACCEPTED: &str = "accepted";
pub const INDEXED: &str = "indexed";

/// Runs until the parcels end and are resolved, or `stop` turns true and what is on its way had its time.
pub async fn run(
    config: HecConfig,
    mut parcels: mpsc::Receiver<Parcel>,
    status: Arc<SinkStatus>,
    mut stop: watch::Receiver<bool>,
) {
    let Some(client) = client(&config, &status, &mut stop).await else { return };
    let mut desk = Desk::new(config, client, status);
    let (mut open, mut deadline) = (true, None);
    loop {
        desk.advance();
        let ends = deadline.is_some() && desk.is_hopeless();
        if ends || desk.is_empty() && (!open || deadline.is_some()) {
            return;
        }
        tokio::select! {
            parcel = parcels.recv(), if open && deadline.is_none() => match parcel {
                Some(parcel) => {
                    desk.take(parcel);
                    // What waits already may share a request.
                    for parcel in (0..PARCELS_QUEUED).map_while(|_| parcels.try_recv().ok()) {
                        desk.take(parcel);
                    }
                }
                None => open = false,
            },
            () = desk.next() => {}
            _ = stop.wait_for(|stopped| *stopped), if deadline.is_none() => {
                desk.ask();
                deadline = Some(Instant::now() + STOP_PATIENCE);
            }
            () = sleep_until(deadline.unwrap_or_else(Instant::now)), if deadline.is_some() => return,
        }
    }
}

/// Waits until the token and the authorities can be read.
async fn client(config: &HecConfig, status: &SinkStatus, stop: &mut watch::Receiver<bool>) -> Option<Client> {
    let mut wait = RECONNECT_FIRST;
    loop {
        match Client::new(config) {
            Ok(client) => return Some(client),
            Err(error) => {
                if status.retrying(error.to_string()) {
                    tracing::warn!(%error, "sink can't begin, trying on");
                }
            }
        }
        tokio::select! {
            () = sleep(wait) => {}
            _ = stop.wait_for(|stopped| *stopped) => return None,
        }
        wait = (wait * 2).min(RECONNECT_LONGEST);
    }
}

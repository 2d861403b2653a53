//! Several connections of one sink. A feed's parcels all go over the same one, so that its order holds.

use std::sync::Arc;

use tokio::sync::{mpsc, watch};
use tokio::task::{JoinError, JoinSet};

use super::config::Transport;
use super::link::Link;
use super::{relp, tcp};
use crate::ids::FeedId;
use crate::sinks::Parcel;
use crate::sinks::limits::PARCELS_QUEUED;

pub async fn run(link: &Arc<Link>, mut parcels: mpsc::Receiver<Parcel>, mut stop: watch::Receiver<bool>) {
    let count = usize::from(link.settings.connections);
    if count == 1 {
        return connection(Arc::clone(link), 0, parcels, stop).await;
    }
    let mut tasks = JoinSet::new();
    let mut queues = Vec::with_capacity(count);
    for number in 0..count {
        let (queue, its_parcels) = mpsc::channel(PARCELS_QUEUED);
        tasks.spawn(connection(Arc::clone(link), number, its_parcels, stop.clone()));
        queues.push(queue);
    }
    loop {
        let parcel = tokio::select! {
            parcel = parcels.recv() => parcel,
            _ = stop.wait_for(|stopped| *stopped) => None,
            // None ends before it is told to: what it was handed would wait for ever.
            Some(ended) = tasks.join_next() => {
                pass_on(ended);
                None
            }
        };
        let Some(parcel) = parcel else { break };
        match &parcel.receipt {
            Some(receipt) => {
                let queue = &queues[connection_of(&receipt.stretch().feed, count)];
                tokio::select! {
                    // It fails only once the connection's task has ended, because all are to stop.
                    _ = queue.send(parcel) => {}
                    _ = stop.wait_for(|stopped| *stopped) => {}
                }
            }
            // Whoever asks is not named, so everybody is asked; who has a full queue is busy confirming anyway.
            None => queues.iter().for_each(|queue| drop(queue.try_send(Parcel::asking(parcel.lease.clone())))),
        }
    }
    drop(queues);
    while let Some(ended) = tasks.join_next().await {
        pass_on(ended);
    }
}

/// A panic in one connection is the sink's.
fn pass_on(ended: Result<(), JoinError>) {
    if let Err(error) = ended
        && error.is_panic()
    {
        std::panic::resume_unwind(error.into_panic());
    }
}

async fn connection(link: Arc<Link>, number: usize, parcels: mpsc::Receiver<Parcel>, stop: watch::Receiver<bool>) {
    match link.settings.transport {
        Transport::Relp | Transport::RelpTls => relp::run(link, number, parcels, stop).await,
        Transport::Udp | Transport::Tcp | Transport::Tls => tcp::run(link, number, parcels, stop).await,
    }
}

/// The number of the connection that a feed keeps.
fn connection_of(feed: &FeedId, connections: usize) -> usize {
    let mut hasher = crc32fast::Hasher::new();
    for part in [feed.tenant.as_str(), feed.source.as_str(), feed.part.as_str()] {
        hasher.update(part.as_bytes());
        hasher.update(b"/");
    }
    hasher.finalize() as usize % connections
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn s15_a_feed_keeps_its_connection_and_feeds_are_spread() {
        let mut used = std::collections::BTreeSet::new();
        for part in 0..64 {
            let feed: FeedId = format!("contoso/hub/{part}").parse().unwrap();
            let chosen = connection_of(&feed, 4);
            assert_eq!(chosen, connection_of(&feed.clone(), 4));
            used.insert(chosen);
        }
        assert_eq!(used.len(), 4);
    }
}

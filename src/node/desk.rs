//! Deals with this node's quarantine: shows it, and sends records on again.
//!
//! A record is processed with today's program and settings and handed to the queue of each sink that should have had it.
//! It leaves the quarantine only after all of them have acknowledged it. A crash before that leaves it where it is: then
//! a sink may get it a second time, under the same event id.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream::{self, StreamExt as _};
use parking_lot::Mutex;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, timeout};

use super::deployment::Deployment;
use super::sinks::Sinks;
use crate::admin::quarantine::{Clear, Cleared, Filter, Listing, Record};
use crate::clock::{Clock, Timestamp};
use crate::event::batch::{Batch, Content, Coordinates, Entry, LogPosition, ObjectsPosition, Position, Shape, Version};
use crate::ids::{Epoch, FeedId, Generation, SinkId};
use crate::lease::Lease;
use crate::pipeline::prepare::{Frames, Lane, Pass, Prepared, Preparer};
use crate::pipeline::quarantine::{At, Place, Quarantine, Quarantined};
use crate::pipeline::quarantine_files::{Kept, Search};
use crate::pipeline::room::{Load, room};
use crate::pipeline::tap::Tap;
use crate::sinks::{Parcel, Receipt, Stretch};
use crate::sources;

/// Records under way at once. They leave together, so that a file is written anew once for so many.
const AT_ONCE: usize = 64;
/// How long all sinks of a record may take to acknowledge it: longer than any barrier of a sink that works.
const PATIENCE: Duration = Duration::from_secs(40);
/// For how long one call goes on with the next records: with the patience for the last, it ends before its caller gives up.
const WORK_FOR: Duration = Duration::from_secs(60);
const MOVED: &str = "its feed has moved before a subscription had acknowledged it: try again";
const LATER: &str = "it was not tried yet, because the others took so long: ask again";

/// Which feeds this node owns now.
pub trait Owning: Sync {
    /// The epoch of its ownership, and its right to act under it.
    fn owns(&self, feed: &FeedId) -> Option<(Epoch, Lease)>;
    /// Told when that may have changed.
    fn changes(&self) -> watch::Receiver<u64>;
}

/// What records are processed with.
#[derive(Clone, Copy)]
pub struct Means<'m> {
    pub deployment: &'m Deployment,
    pub tap: &'m Tap,
    pub owning: &'m dyn Owning,
}

pub struct Desk {
    pub quarantine: Quarantine,
    pub sinks: Arc<Mutex<Sinks>>,
    pub clock: Clock,
}

impl Desk {
    pub async fn list(&self, filter: Filter) -> Result<Listing, String> {
        let (after, records_max, bytes_max) = (filter.after.clone(), filter.records_max, filter.bytes_max);
        let search = Search { after, records_max, bytes_max };
        let found = self.quarantine.find(search, passing(filter)).await.map_err(|error| error.to_string())?;
        Ok(Listing {
            records: found.kept.into_iter().map(shown).collect(),
            matching: found.matching,
            total: found.total,
            closed: found.closed,
            bytes: found.bytes,
            bytes_max: found.bytes_max,
        })
    }

    pub async fn clear(&self, means: Means<'_>, ids: Vec<String>, how: Clear) -> Result<Vec<Cleared>, String> {
        let mut outcomes = Vec::with_capacity(ids.len());
        let until = Instant::now() + WORK_FOR;
        for some in ids.chunks(AT_ONCE) {
            if Instant::now() > until {
                let later = |id: &String| Cleared { id: id.clone(), gone: false, what: LATER.to_owned() };
                outcomes.extend(some.iter().map(later));
                continue;
            }
            outcomes.extend(self.clear_some(means, some, how).await?);
        }
        Ok(outcomes)
    }

    async fn clear_some(&self, means: Means<'_>, ids: &[String], how: Clear) -> Result<Vec<Cleared>, String> {
        let wanted: BTreeSet<String> = ids.iter().cloned().collect();
        let search = Search { after: String::new(), records_max: usize::MAX, bytes_max: usize::MAX };
        let found = self.quarantine.find(search, move |kept| wanted.contains(&kept.id)).await;
        let kept = found.map_err(|error| error.to_string())?.kept;
        let known: BTreeSet<String> = kept.iter().map(|kept| kept.id.clone()).collect();
        let each = kept.into_iter().map(|kept| self.clear_one(means, kept, how));
        let mut outcomes: Vec<Cleared> = stream::iter(each).buffered(AT_ONCE).collect().await;
        if how != Clear::TryOut {
            let gone = outcomes.iter().filter(|outcome| outcome.gone).map(|outcome| outcome.id.clone()).collect();
            let removed = self.quarantine.remove(gone).await.map_err(|error| error.to_string())?;
            tracing::info!(?how, removed, "records have left the quarantine");
        }
        let unknown = ids.iter().filter(|id| !known.contains(*id));
        outcomes.extend(unknown.map(|id| Cleared {
            id: id.clone(),
            gone: false,
            what: "it is not in this node's quarantine".to_owned(),
        }));
        Ok(outcomes)
    }

    async fn clear_one(&self, means: Means<'_>, kept: Kept, how: Clear) -> Cleared {
        let Kept { id, record, .. } = kept;
        let done = match how {
            Clear::Drop => Ok("dropped".to_owned()),
            Clear::Retry | Clear::TryOut => self.again(means, &record, how).await,
        };
        Cleared { id, gone: done.is_ok(), what: done.unwrap_or_else(|why| why) }
    }

    /// Processes one record again. What became of it, or why it stays.
    async fn again(&self, means: Means<'_>, record: &Quarantined, how: Clear) -> Result<String, String> {
        let Means { deployment, tap, owning } = means;
        let feed: FeedId = record.feed.parse().map_err(|_| format!("`{}` is no feed", record.feed))?;
        let mut lanes = self.lanes(deployment, &feed, record)?;
        let right = self.right(owning, &feed, record, &lanes)?;
        let batch = batch(deployment, &feed, record)?;
        let preparer = Preparer::new(feed.clone(), self.clock.clone(), tap.clone());
        let mut preparer = preparer.counting_from(record.record.unwrap_or(0));
        let epoch = Epoch(record.epoch);
        let everybody = vec![true; lanes.len()];
        let Prepared { frames, rejected, .. } = preparer.prepare(&batch, &mut lanes, Pass::First(&everybody), epoch);
        let events: u32 = frames.iter().map(|frames| frames.events).sum();
        match rejected.first() {
            Some(rejected) if events == 0 => return Err(format!("it is refused again: {}", rejected.reason)),
            Some(_) | None => {}
        }
        let names: Vec<_> = lanes.iter().zip(&frames).filter(|(_, frames)| frames.events > 0).collect();
        let names = names.iter().map(|(lane, _)| lane.sink.as_str()).collect::<Vec<_>>().join(", ");
        match (events, how) {
            // To take it out all the same is to drop it, for which somebody gives a reason.
            (0, _) => return Err("no sink's routes let it pass now: drop it if nobody wants it".to_owned()),
            (_, Clear::TryOut) => return Ok(format!("would go to {names}")),
            (_, Clear::Retry | Clear::Drop) => {}
        }
        let stretch =
            Stretch { feed, epoch: right.epoch, generation: batch.generation, after: batch.after, live: false };
        tokio::select! {
            sent = timeout(PATIENCE, send(&lanes, frames, &stretch, &right.lease)) => sent
                .map_err(|_| "not every sink has acknowledged it in time: look at `siemgate status`".to_owned())??,
            () = right.lost(owning, &stretch.feed) => return Err(MOVED.to_owned()),
        }
        // What only some can't have stays behind for those, under ids of its own.
        self.quarantine.keep(rejected).await.map_err(|error| error.to_string())?;
        Ok(format!("acknowledged by {names}"))
    }

    /// Under what it is sent to these sinks, or why it can't be.
    fn right(&self, owning: &dyn Owning, feed: &FeedId, record: &Quarantined, lanes: &[Lane]) -> Result<Right, String> {
        let sinks = self.sinks.lock();
        let Some(fetched) = lanes.iter().find(|lane| sinks.desk(&lane.sink).is_some()) else {
            return Ok(Right { epoch: Epoch(record.epoch), lease: Lease::unlimited(), fetched: false });
        };
        let (epoch, lease) = owning.owns(feed).ok_or_else(|| {
            let sink = &fetched.sink;
            format!("subscription `{sink}` gets it only from the node that reads `{feed}` now: replay its time instead")
        })?;
        Ok(Right { epoch, lease, fetched: true })
    }

    /// The sinks that should have had it.
    fn lanes(&self, deployment: &Deployment, feed: &FeedId, record: &Quarantined) -> Result<Vec<Lane>, String> {
        let key = (feed.tenant.clone(), feed.source.clone());
        if !deployment.sources.contains_key(&key) {
            return Err(format!("source `{}/{}` does not exist any more: export it, or drop it", key.0, key.1));
        }
        let wants = |sink: &str| record.sink.as_deref().is_none_or(|only| only == sink);
        let sinks = self.sinks.lock();
        let names = deployment.sinks_of(&key).map(|(name, _)| name).filter(|name| wants(name.as_str()));
        let lane = |name: &SinkId| {
            // What would not reach all that want it stays.
            sinks
                .lane(name, feed, None)
                .ok_or_else(|| format!("sink `{name}` does not run on this node yet: try again"))
        };
        let lanes = names.map(lane).collect::<Result<Vec<Lane>, String>>()?;
        match (lanes.is_empty(), &record.sink) {
            (false, _) => Ok(lanes),
            (true, Some(sink)) => Err(format!("sink `{sink}` does not exist or takes nothing of this source any more")),
            (true, None) => Err("no sink takes anything of this source".to_owned()),
        }
    }
}

/// Under what a record is sent: where members of subscriptions are to acknowledge it, its feed's ownership by this node.
/// They know the feed's events by numbers that only its owner gives.
struct Right {
    epoch: Epoch,
    lease: Lease,
    fetched: bool,
}

impl Right {
    /// Waits until this node has it no more.
    async fn lost(&self, owning: &dyn Owning, feed: &FeedId) {
        let mut changes = owning.changes();
        let holds = || !self.fetched || owning.owns(feed).is_some_and(|(epoch, _)| epoch == self.epoch);
        while holds() && changes.changed().await.is_ok() {}
        if holds() {
            std::future::pending::<()>().await;
        }
    }
}

/// Hands every sink its frames, and waits until all have acknowledged.
async fn send(lanes: &[Lane], frames: Vec<Frames>, stretch: &Stretch, lease: &Lease) -> Result<(), String> {
    let (sender, mut acks) = mpsc::channel(lanes.len());
    let mut waiting = 0;
    for (index, (lane, frames)) in lanes.iter().zip(frames).enumerate() {
        if frames.events == 0 {
            continue;
        }
        let room = room(lane, frames.bytes.len(), None).await;
        let receipt = Receipt::new(stretch.clone(), index, 0, frames.events, sender.clone());
        let Frames { bytes, ends, events, .. } = frames;
        room.send(Load { frames: bytes, ends, events }, receipt, lease.clone());
        // Where a sink confirms when it is asked, nobody waits for more to come.
        let _ = lane.parcels.try_send(Parcel::asking(lease.clone()));
        waiting += 1;
    }
    drop(sender);
    while waiting > 0 {
        let ended = || "a sink was changed before it had acknowledged: try again".to_owned();
        let ack = acks.recv().await.ok_or_else(ended)?;
        if let Some(refused) = ack.refused.first() {
            let sink = lanes.get(ack.lane).map_or("", |lane| lane.sink.as_str());
            return Err(format!("sink `{sink}` refuses it again: {}", refused.reason));
        }
        waiting -= 1;
    }
    Ok(())
}

/// The record as its source would hand it over.
fn batch(deployment: &Deployment, feed: &FeedId, record: &Quarantined) -> Result<Batch, String> {
    let bytes = record.raw.bytes().ok_or("its line was altered: the bytes can't be read")?;
    let place = record.place.clone().or_else(|| from_words(&record.coordinates));
    let Place { shape, published, at } =
        place.ok_or("an older version kept it, without all that its event id is made of: export it")?;
    let key = (feed.tenant.clone(), feed.source.clone());
    let source = deployment.sources.get(&key).map(|source| &source.spec);
    let streams = matches!(source, Some(sources::Config::EventHub(_)));
    let shape = shape.or(streams.then_some(Shape::Streaming)).ok_or("what kind of record it is, nobody knows")?;
    let (coordinates, after, generation) = place_of(at);
    let entry = Entry { content: Content::Records { shape, bytes: Bytes::from(bytes) }, coordinates, published };
    Ok(Batch { generation, entries: vec![entry], after, seen: Vec::new(), unread: None })
}

fn place_of(at: At) -> (Coordinates, Position, Generation) {
    match at {
        At::Log { generation, partition, sequence } => {
            let after = Position::Log(LogPosition::after_number(sequence, Timestamp::ZERO));
            (Coordinates::Log { generation, partition: partition.into(), sequence }, after, generation)
        }
        At::Object { id, version } => {
            let Version { updated, .. } = version;
            let after = Position::Objects(ObjectsPosition { from: updated });
            (Coordinates::Object { id: id.into(), version }, after, Generation::default())
        }
    }
}

/// Reads what older versions wrote of a message's place: of objects, it was not enough.
fn from_words(coordinates: &str) -> Option<Place> {
    let rest = coordinates.strip_prefix("generation ")?;
    let (generation, rest) = rest.split_once(", partition ")?;
    let (partition, sequence) = rest.split_once(", sequence ")?;
    let (generation, sequence) = (Generation(generation.parse().ok()?), sequence.parse().ok()?);
    let at = At::Log { generation, partition: partition.to_owned(), sequence };
    Some(Place { shape: None, published: None, at })
}

fn passing(filter: Filter) -> impl Fn(&Kept) -> bool + Send + 'static {
    let Filter { tenant, source, sink, since, reason_contains, ids, .. } = filter;
    let ids: BTreeSet<String> = ids.into_iter().collect();
    let reason_contains = reason_contains.to_lowercase();
    move |kept| {
        let record = &kept.record;
        let mut parts = record.feed.splitn(3, '/');
        let mut is = |wanted: &str| parts.next().is_some_and(|part| wanted.is_empty() || part == wanted);
        is(&tenant)
            && is(&source)
            && (sink.is_empty() || record.sink.as_deref() == Some(sink.as_str()))
            && since.is_none_or(|since| Timestamp::parse(&record.at).is_some_and(|at| at >= since))
            && (reason_contains.is_empty() || record.reason.to_lowercase().contains(&reason_contains))
            && (ids.is_empty() || ids.contains(&kept.id))
    }
}

fn shown(kept: Kept) -> Record {
    let Kept { id, line, record } = kept;
    Record {
        id,
        at: Timestamp::parse(&record.at),
        feed: record.feed,
        sink: record.sink,
        event: record.id,
        coordinates: record
            .record
            .map_or(record.coordinates.clone(), |n| format!("{}, record {n}", record.coordinates)),
        reason: record.reason,
        line,
    }
}

#[cfg(test)]
#[path = "desk_tests.rs"]
mod tests;

//! A batch becomes frames: each record is normalised once, then routed, encoded and framed for every sink that wants it.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::sync::mpsc;

use super::bad_batches::BadBatches;
use super::fit::{Fitted, SizePolicy, fit};
use super::limits::REJECTED_SHARE_WARN_PERCENT;
use super::quarantine::{Place, Quarantined, Raw};
use super::route::Route;
use super::tap::{Tap, Tapped};
use crate::clock::{Clock, Timestamp};
use crate::encode::{Encoder, Facility, Header};
use crate::event::batch::{Batch, Content, Coordinates, Entry, Gap, Position};
use crate::event::{Event, EventId};
use crate::ids::{Epoch, FeedId, Generation, SinkId};
use crate::normalize::{self, Normalized, Normalizer, Origin};
use crate::sinks::allowance::Allowance;
use crate::sinks::status::SinkStatus;
use crate::sinks::{Framed, Framing, Parcel, Refused, Stamp};
use crate::units::ByteSize;

/// One sink as a feed sees it.
pub struct Lane {
    pub sink: SinkId,
    pub route: Route,
    pub encoder: Encoder,
    pub framing: Framing,
    pub size: SizePolicy,
    pub parcels: mpsc::Sender<Parcel>,
    /// Bytes the sink may still hold unacknowledged.
    pub window: Allowance,
    /// What the sink's worker says of itself.
    pub status: Arc<SinkStatus>,
    /// The sink's cursor when the feed started.
    pub committed: Option<Position>,
    /// What is older is passed over for this sink; nothing where all is held for it.
    pub expire_after: Option<Duration>,
    pub untold: Untold,
}

/// What a sink was passed over and has not been told yet. A feed and the reader beside it share it.
pub type Untold = Arc<Mutex<Vec<Gap>>>;

/// For which sinks a batch is prepared, by lane.
#[derive(Debug, Clone, Copy)]
pub enum Pass<'a> {
    /// Nobody has looked at the batch yet: what nobody can read is rejected, and whoever watches is shown it.
    First(&'a [bool]),
    /// For sinks that were behind.
    Later(&'a [bool]),
}

impl Pass<'_> {
    fn takes(&self, lane: usize) -> bool {
        let (Self::First(lanes) | Self::Later(lanes)) = self;
        lanes.get(lane).is_some_and(|takes| *takes)
    }

    const fn is_first(&self) -> bool {
        matches!(self, Self::First(_))
    }
}

/// What came of a batch.
#[derive(Debug, Default)]
pub struct Prepared {
    /// By lane.
    pub frames: Vec<Frames>,
    pub rejected: Vec<Quarantined>,
    pub records: u64,
}

impl Prepared {
    /// How many of the rejected nobody can read. The others are too long for a sink, and counted with its frames.
    pub fn unreadable(&self) -> u64 {
        let refused: u64 = self.frames.iter().map(|frames| frames.refused).sum();
        (self.rejected.len() as u64).saturating_sub(refused)
    }
}

#[derive(Debug, Default)]
pub struct Frames {
    pub bytes: Bytes,
    /// Where each frame ends.
    pub ends: Vec<u32>,
    pub events: u32,
    pub filtered: u64,
    /// Events that were cut to what the receiver takes.
    pub shortened: u64,
    /// Events that are too long for the receiver and went to quarantine for this sink.
    pub refused: u64,
}

/// Turns batches of one feed into frames, with buffers that are used again.
pub struct Preparer {
    feed: FeedId,
    clock: Clock,
    tap: Tap,
    normalizer: Normalizer,
    payload: Vec<u8>,
    /// Bytes of the last batch by lane: the next one is likely as large.
    expected: Vec<usize>,
    /// The number of the first record of an entry: not zero where one is processed that was taken out of its message.
    first: u32,
    bad: BadBatches,
}

/// Frames of the batch at hand, by lane.
struct Building {
    framed: Framed,
    events: u32,
    filtered: u64,
    shortened: u64,
    refused: u64,
}

impl Preparer {
    pub fn new(feed: FeedId, clock: Clock, tap: Tap) -> Self {
        Self {
            feed,
            clock,
            tap,
            normalizer: Normalizer::new(),
            payload: Vec::with_capacity(4096),
            expected: Vec::new(),
            first: 0,
            bad: BadBatches::default(),
        }
    }

    /// The records of entries are counted from here.
    #[must_use]
    pub fn counting_from(self, first: u32) -> Self {
        Self { first, ..self }
    }

    pub fn prepare(&mut self, batch: &Batch, lanes: &mut [Lane], pass: Pass<'_>, epoch: Epoch) -> Prepared {
        self.expected.resize(lanes.len(), 0);
        let (building, rejected, records) = self.output(batch, lanes, pass, &[], epoch);
        for (expected, built) in self.expected.iter_mut().zip(&building).filter(|(_, built)| built.events > 0) {
            *expected = built.framed.bytes.len();
        }
        let frames = building
            .into_iter()
            .map(|built| Frames {
                bytes: built.framed.bytes.into(),
                ends: built.framed.ends,
                events: built.events,
                filtered: built.filtered,
                shortened: built.shortened,
                refused: built.refused,
            })
            .collect();
        let prepared = Prepared { frames, rejected, records };
        self.warn_if_many(prepared.unreadable(), records);
        prepared
    }

    /// The records of the frames that a sink will never take. The batch is prepared as it was before, so that each frame
    /// has its number again.
    pub fn refused(&mut self, batch: &Batch, lane: &mut Lane, refused: &[Refused], epoch: Epoch) -> Vec<Quarantined> {
        self.expected.resize(self.expected.len().max(1), 0);
        let (_, rejected, _) = self.output(batch, std::slice::from_mut(lane), Pass::Later(&[true]), refused, epoch);
        rejected
    }

    fn output(
        &mut self,
        batch: &Batch,
        lanes: &mut [Lane],
        pass: Pass<'_>,
        wanted: &[Refused],
        epoch: Epoch,
    ) -> (Vec<Building>, Vec<Quarantined>, u64) {
        let building = self.expected.iter().take(lanes.len()).enumerate();
        let building = building.map(|(lane, bytes)| Building::of(if pass.takes(lane) { *bytes } else { 0 }));
        let mut out = Output {
            building: building.collect(),
            lanes,
            pass,
            wanted,
            epoch,
            feed: &self.feed,
            payload: &mut self.payload,
            tap: &self.tap,
            rejected: Vec::new(),
            records: 0,
            now: self.clock.now(),
            first: self.first,
        };
        for entry in &batch.entries {
            out.entry(entry, batch.generation, &mut self.normalizer);
        }
        (out.building, out.rejected, out.records)
    }

    fn warn_if_many(&mut self, rejected: u64, records: u64) {
        if rejected <= 1 || rejected * 100 <= records * REJECTED_SHARE_WARN_PERCENT {
            return;
        }
        if let Some(batches) = self.bad.note(self.clock.now()) {
            tracing::warn!(
                feed = %self.feed, rejected, records, batches,
                "many records of one batch can't be read; they are in quarantine: has upstream changed its format?"
            );
        }
    }
}

impl Building {
    fn of(expected: usize) -> Self {
        let framed = Framed { bytes: Vec::with_capacity(expected + expected / 4), ends: Vec::new() };
        Self { framed, events: 0, filtered: 0, shortened: 0, refused: 0 }
    }
}

/// One batch on its way to the lanes.
struct Output<'a> {
    lanes: &'a mut [Lane],
    building: Vec<Building>,
    pass: Pass<'a>,
    /// Frames whose records are looked for.
    wanted: &'a [Refused],
    epoch: Epoch,
    feed: &'a FeedId,
    payload: &'a mut Vec<u8>,
    tap: &'a Tap,
    rejected: Vec<Quarantined>,
    records: u64,
    now: Timestamp,
    first: u32,
}

impl Output<'_> {
    fn entry(&mut self, entry: &Entry, generation: Generation, normalizer: &mut Normalizer) {
        match &entry.content {
            Content::Records { shape, bytes } => {
                let feed = self.feed;
                let origin = origin(feed, Some(&entry.coordinates), entry.published);
                normalizer.normalize_from(self.first, &origin, *shape, bytes, &mut |normalized| match normalized {
                    Normalized::Event(event) => self.event(event, entry),
                    Normalized::Rejected(rejected) => {
                        if !self.pass.is_first() {
                            return;
                        }
                        self.records += 1;
                        let reason = format!("{}; {}", rejected.reason, rejected.reason.remedy());
                        self.reject((rejected.id, rejected.index), entry, reason, rejected.raw);
                    }
                });
            }
            Content::Gap(gap) => {
                let feed = self.feed;
                let origin = origin(feed, None, Some(self.now));
                normalize::gap(&origin, &feed.part, generation, gap, |event| self.event(event, entry));
            }
            Content::Unreadable { .. } if !self.pass.is_first() => {}
            Content::Unreadable { reason, bytes } => {
                self.records += 1;
                let id = EventId::of_record(&self.feed.tenant, &self.feed.source, &entry.coordinates, 0);
                self.reject((id, None), entry, reason.clone(), bytes);
            }
        }
    }

    fn event(&mut self, event: &Event<'_>, entry: &Entry) {
        self.records += 1;
        let hex = event.id.to_hex();
        let id = std::str::from_utf8(&hex).expect("hexadecimal digits are ASCII");
        let head = Header::of(event);
        let stamp = Stamp {
            tenant: event.tenant.as_str(),
            source: event.source.as_str(),
            feed: self.feed,
            epoch: self.epoch,
            id,
            record: event.index,
            time: head.time.or(entry.published).unwrap_or(self.now),
            label: head.label,
            finding: head.facility == Facility::Alert,
            severity: head.severity,
        };
        let mut refused = Vec::new();
        for (index, (lane, built)) in self.lanes.iter_mut().zip(&mut self.building).enumerate() {
            let has_it = lane.committed.as_ref().is_some_and(|at| has(at, entry));
            if !self.pass.takes(index) || has_it {
                continue;
            }
            if !lane.route.wants(event) {
                built.filtered += 1;
                continue;
            }
            let frames = built.framed.frames();
            let framing = (&mut lane.framing, &stamp);
            match fit(event, &mut lane.encoder, framing, lane.size, self.payload, &mut built.framed) {
                Fitted::Whole => built.events += 1,
                Fitted::Shortened => {
                    built.events += 1;
                    built.shortened += 1;
                }
                Fitted::Parts(_) => built.events += 1,
                Fitted::Refused { bytes } => {
                    built.refused += 1;
                    if self.wanted.is_empty() {
                        refused.push((lane.sink.clone(), too_long(&lane.sink, lane.size, bytes)));
                    }
                }
            }
            let its_frames = frames..built.framed.frames();
            let never = self.wanted.iter().find(|refused| its_frames.contains(&(refused.frame as usize)));
            let why = |never: &Refused| format!("sink `{}` does not take it: {}", lane.sink, never.reason);
            refused.extend(never.map(|never| (lane.sink.clone(), why(never))));
        }
        for (sink, reason) in refused {
            self.reject((event.id, Some(event.index)), entry, reason, event.raw);
            self.rejected.last_mut().expect("it was pushed just now").sink = Some(sink.to_string());
        }
        if self.pass.is_first() && self.tap.watched() {
            self.show(event, &stamp, entry);
        }
    }

    fn show(&self, event: &Event<'_>, stamp: &Stamp<'_>, entry: &Entry) {
        self.tap.show(Tapped {
            id: stamp.id.to_owned(),
            feed: self.feed.clone(),
            epoch: self.epoch,
            coordinates: entry.coordinates.clone(),
            kind: stamp.label.as_str().to_owned(),
            class: event.class.name(),
            time: stamp.time,
            severity: event.severity.name(),
            record: Bytes::copy_from_slice(event.raw),
        });
    }

    fn reject(&mut self, (id, record): (EventId, Option<u32>), entry: &Entry, reason: String, raw: &[u8]) {
        self.rejected.push(Quarantined {
            at: self.now.to_microsoft(),
            feed: self.feed.to_string(),
            epoch: self.epoch.0,
            id: String::from_utf8_lossy(&id.to_hex()).into_owned(),
            coordinates: in_words(&entry.coordinates),
            record,
            reason,
            sink: None,
            place: Some(Place::of(entry)),
            raw: Raw::of(raw),
        });
    }
}

fn too_long(sink: &SinkId, size: SizePolicy, bytes: usize) -> String {
    let most = size.message_bytes_max.map_or(0, ByteSize::get);
    format!(
        "sink `{sink}` takes messages of {most} bytes and this one has {bytes}; if its receiver takes more, raise \
         `max_message_bytes`, or set `oversize` to `truncate` or `split`"
    )
}

fn origin<'o>(feed: &'o FeedId, coordinates: Option<&'o Coordinates>, published: Option<Timestamp>) -> Origin<'o> {
    Origin { tenant: &feed.tenant, source: &feed.source, coordinates, published }
}

/// Whether a sink that stands there has this entry. Message by message, because another owner cut its batches elsewhere.
/// Of objects a position tells nothing: there may be versions before it that the sink has not.
fn has(position: &Position, entry: &Entry) -> bool {
    match (position, &entry.coordinates) {
        (Position::Log(at), Coordinates::Log { sequence, .. }) => match at.from_time() {
            // It stands before the first message of that time, whose number nobody knew.
            Some(from) => entry.published.is_some_and(|published| published < from),
            None => at.sequence >= *sequence,
        },
        (Position::Log(_), Coordinates::Object { .. }) | (Position::Objects(_), _) => false,
    }
}

fn in_words(coordinates: &Coordinates) -> String {
    match coordinates {
        Coordinates::Log { generation, partition, sequence } => {
            format!("generation {generation}, partition {partition}, sequence {sequence}")
        }
        Coordinates::Object { id, version } => format!("object {id}, updated {}", version.updated),
    }
}

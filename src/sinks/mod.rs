//! The ways out. A sink takes parcels of framed events and says when each was acknowledged at its assurance level.

pub mod allowance;
pub mod file;
pub mod hec;
pub mod journey;
pub mod limits;
pub mod place;
pub mod status;
pub mod subscription;
pub mod syslog;
pub mod target_status;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use tokio::sync::{OwnedSemaphorePermit, mpsc, watch};

use crate::clock::Timestamp;
use crate::event::Label;
use crate::event::batch::Position;
use crate::ids::{Epoch, FeedId, Generation};
use crate::lease::Lease;
use crate::secret::SecretRef;
use crate::units::ByteSize;
use status::SinkStatus;
pub use syslog::config::SyslogConfig;

/// Framed events of one batch for one sink.
#[derive(Debug)]
pub struct Parcel {
    pub frames: Bytes,
    /// Where each frame ends within `frames`, for sinks that send or judge them one by one.
    pub ends: Vec<u32>,
    /// How many events the frames are; an event that was split is several frames.
    pub events: u32,
    /// Holds the sink's window open; dropped when the parcel is acknowledged.
    pub permit: Option<OwnedSemaphorePermit>,
    /// Without one, the parcel is empty and asks that what went before it be acknowledged soon: its feed is to move.
    pub receipt: Option<Receipt>,
    /// Nothing of it is written unless this holds and its feed's task lives: otherwise its feed may belong to another node.
    pub lease: Lease,
}

impl Parcel {
    pub fn asking(lease: Lease) -> Self {
        Self { frames: Bytes::new(), ends: Vec::new(), events: 0, permit: None, receipt: None, lease }
    }

    /// Its frames one by one.
    pub fn each_frame(&self) -> impl Iterator<Item = &[u8]> {
        let starts = std::iter::once(0).chain(self.ends.iter().copied());
        starts.zip(&self.ends).map(|(start, end)| &self.frames[start as usize..*end as usize])
    }

    /// One of its frames.
    fn frame(&self, number: u32) -> Option<&[u8]> {
        let number = number as usize;
        let start = number.checked_sub(1).map_or(0, |before| self.ends.get(before).map_or(0, |end| *end as usize));
        self.frames.get(start..*self.ends.get(number)? as usize)
    }

    /// Says that it is acknowledged.
    fn acknowledged(self) {
        if let Some(receipt) = self.receipt {
            receipt.acknowledged();
        }
    }

    /// Waits until it may be written. Not any more once its feed's owner has ended, its feed's task has ended here, or
    /// the sink is to stop.
    async fn may_be_written(&self, stop: &mut watch::Receiver<bool>) -> bool {
        let held = self.lease.holds()
            || tokio::select! {
                held = self.lease.held() => held.is_ok(),
                _ = stop.wait_for(|stopped| *stopped) => false,
            };
        // The lease is the node's and outlives the feed's stay here: a feed that moved away is somebody else's.
        held && self.receipt.as_ref().is_none_or(Receipt::awaited)
    }
}

/// Which stretch of which feed a parcel carries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stretch {
    pub feed: FeedId,
    pub epoch: Epoch,
    pub generation: Generation,
    /// Where the feed stands after it.
    pub after: Position,
    /// Whether the feed's owner reads it in its turn, and no replay beside it.
    pub live: bool,
}

/// How a sink says that a parcel is acknowledged. Dropped unsaid, the parcel stays unresolved and is read again.
#[derive(Debug)]
pub struct Receipt {
    stretch: Stretch,
    lane: usize,
    batch: u64,
    events: u32,
    acks: mpsc::Sender<Ack>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ack {
    pub lane: usize,
    pub batch: u64,
    pub events: u32,
    /// Frames that the receiver will never take; their events go to quarantine for this sink.
    pub refused: Vec<Refused>,
}

/// One frame of a parcel that its receiver will never take, however often it is sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// Its number within the parcel, from zero.
    pub frame: u32,
    pub reason: String,
}

impl Stretch {
    /// Some place in some feed, for tests.
    #[cfg(test)]
    pub(crate) fn sample() -> Self {
        let at = crate::event::batch::ObjectsPosition { from: Timestamp::ZERO };
        let feed = "contoso/hub/0".parse().expect("the constant is a feed");
        Self { feed, epoch: Epoch(1), generation: Generation(1), after: Position::Objects(at), live: true }
    }
}

impl Receipt {
    /// `acks` must have room for every unresolved batch of its feed, so that saying it never waits.
    pub fn new(stretch: Stretch, lane: usize, batch: u64, events: u32, acks: mpsc::Sender<Ack>) -> Self {
        Self { stretch, lane, batch, events, acks }
    }

    pub fn stretch(&self) -> &Stretch {
        &self.stretch
    }

    /// Whether the feed's task still lives. It takes the receiver of its acknowledgements with it.
    fn awaited(&self) -> bool {
        !self.acks.is_closed()
    }

    pub fn acknowledged(self) {
        self.acknowledged_but(Vec::new());
    }

    /// All of it but these frames is acknowledged, and these never will be.
    pub fn acknowledged_but(self, refused: Vec<Refused>) {
        // A feed that is gone has no use for the answer: its next owner reads the batch again.
        let _ = self.acks.try_send(Ack { lane: self.lane, batch: self.batch, events: self.events, refused });
    }
}

/// What a frame's header needs to know of an event.
#[derive(Debug, Clone, Copy)]
pub struct Stamp<'a> {
    pub tenant: &'a str,
    pub source: &'a str,
    pub feed: &'a FeedId,
    pub epoch: Epoch,
    /// The event id, in hexadecimal.
    pub id: &'a str,
    /// Index of the record within its message.
    pub record: u32,
    pub time: Timestamp,
    /// The table, or `Alert`, `Incident`, `Gap`.
    pub label: Label,
    /// Whether a finding, not telemetry; it decides the syslog facility.
    pub finding: bool,
    /// Syslog severity, 0 to 7.
    pub severity: u8,
}

/// One configured sink.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Config {
    /// Syslog over UDP, TCP, TLS or RELP.
    Syslog(Box<SyslogConfig>),
    /// Splunk's HTTP Event Collector.
    Hec(Box<hec::config::HecConfig>),
    /// One event a line, appended to a file and synced before it is acknowledged.
    File(FileConfig),
    /// One event a line on standard output.
    Stdout(StdoutConfig),
    /// Kept for whoever subscribes, over gRPC.
    Subscription(subscription::SubscriptionConfig),
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileConfig {
    pub path: PathBuf,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StdoutConfig {}

/// Frames as they are made, one behind the other.
#[derive(Debug, Default)]
pub struct Framed {
    pub bytes: Vec<u8>,
    /// Where each ends.
    pub ends: Vec<u32>,
}

impl Framed {
    pub fn frames(&self) -> usize {
        self.ends.len()
    }

    /// Takes back all frames but the first so many.
    pub fn keep(&mut self, frames: usize) {
        self.ends.truncate(frames);
        self.bytes.truncate(self.ends.last().map_or(0, |end| *end as usize));
    }
}

/// How frames are made for a sink.
#[derive(Debug, Clone)]
pub enum Framing {
    Syslog(syslog::frame::Header),
    Hec(hec::frame::Envelope),
    Line,
    Subscription,
}

impl Framing {
    /// Says which format the events will have, for frames that depend on it.
    #[must_use]
    pub fn of_format(self, format: &'static str) -> Self {
        match self {
            Self::Hec(envelope) => Self::Hec(envelope.of_format(format)),
            Self::Syslog(_) | Self::Line | Self::Subscription => self,
        }
    }

    /// Appends one frame around an encoded event, and says how long the message in it is for its receiver.
    pub fn frame(&mut self, stamp: &Stamp<'_>, payload: &[u8], out: &mut Framed) -> usize {
        let length = match self {
            Self::Syslog(header) => header.frame(stamp, payload, &mut out.bytes),
            Self::Hec(envelope) => envelope.frame(stamp, payload, &mut out.bytes),
            Self::Line => {
                // An encoder writes one line; a newline in it would be two records, so it is a space here.
                out.bytes.extend(payload.iter().map(|b| if *b == b'\n' { b' ' } else { *b }));
                out.bytes.push(b'\n');
                payload.len()
            }
            Self::Subscription => subscription::frame::frame(stamp, payload, &mut out.bytes),
        };
        // A parcel's bytes are bounded by its sink's window, far below what 32 bits count.
        out.ends.push(u32::try_from(out.bytes.len()).unwrap_or(u32::MAX));
        length
    }
}

impl Config {
    /// How long a message may be where the sink doesn't say; nothing for what takes any.
    pub fn message_bytes_max(&self) -> Option<ByteSize> {
        match self {
            Self::Syslog(config) => Some(ByteSize::new(config.message_bytes())),
            Self::Hec(_) => Some(ByteSize::new(hec::limits::EVENT_BYTES)),
            Self::File(_) | Self::Stdout(_) | Self::Subscription(_) => None,
        }
    }

    /// How long a message can be at all, whatever is asked for, and why.
    pub fn message_bytes_possible(&self) -> Option<(ByteSize, &'static str)> {
        match self {
            Self::Syslog(config) => config.message_bytes_possible(),
            Self::Hec(_) | Self::File(_) | Self::Stdout(_) | Self::Subscription(_) => None,
        }
    }

    /// As an operator writes it.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Syslog(_) => "syslog",
            Self::Hec(_) => "hec",
            Self::File(_) => "file",
            Self::Stdout(_) => "stdout",
            Self::Subscription(_) => "subscription",
        }
    }

    /// The file it writes to. No other sink may write there: each cuts off what it takes for a torn line at the end.
    pub fn file(&self) -> Option<&Path> {
        match self {
            Self::File(config) => Some(&config.path),
            Self::Syslog(_) | Self::Hec(_) | Self::Stdout(_) | Self::Subscription(_) => None,
        }
    }

    /// Where it begins, if it says so itself.
    pub fn start(&self) -> Option<subscription::Start> {
        match self {
            Self::Subscription(config) => Some(config.start),
            Self::Syslog(_) | Self::Hec(_) | Self::File(_) | Self::Stdout(_) => None,
        }
    }

    /// What is read where the sink is applied, by the keys that name it.
    pub fn secrets(&self) -> Vec<(&'static str, &SecretRef)> {
        let places = match self {
            Self::Hec(config) => config.places(),
            Self::Syslog(config) => config.places(),
            Self::File(_) | Self::Stdout(_) | Self::Subscription(_) => Vec::new(),
        };
        places.into_iter().filter_map(|(field, place)| Some((field, place.reference()?))).collect()
    }

    /// The same, for what is to stand in their place.
    pub fn secrets_mut(&mut self) -> Vec<(&'static str, &mut SecretRef)> {
        let places = match self {
            Self::Hec(config) => config.places_mut(),
            Self::Syslog(config) => config.places_mut(),
            Self::File(_) | Self::Stdout(_) | Self::Subscription(_) => Vec::new(),
        };
        places.into_iter().filter_map(|(field, place)| Some((field, place.reference_mut()?))).collect()
    }

    pub fn framing(&self) -> Framing {
        match self {
            Self::Syslog(config) => Framing::Syslog(syslog::frame::Header::new(config)),
            Self::Hec(config) => Framing::Hec(hec::frame::Envelope::new(config)),
            Self::File(_) | Self::Stdout(_) => Framing::Line,
            Self::Subscription(_) => Framing::Subscription,
        }
    }

    /// What is wrong with the settings, if anything, in words for the person who wrote them.
    pub fn fault(&self) -> Option<String> {
        match self {
            Self::Syslog(config) => config.fault(),
            Self::Hec(config) => config.fault(),
            Self::File(config) if !config.path.is_absolute() => Some(format!(
                "path `{}` must be absolute, such as `/var/log/siemgate/events.log`",
                config.path.display()
            )),
            Self::Subscription(config) => config.fault(),
            Self::File(_) | Self::Stdout(_) => None,
        }
    }
}

/// Why a file or standard output could not be written.
#[derive(Debug, thiserror::Error)]
pub enum SinkError {
    #[error("can't write {}: {cause}; check free space and permissions", path.display())]
    File { path: PathBuf, cause: std::io::Error },
    #[error("can't write to standard output: {cause}")]
    Stdout { cause: std::io::Error },
}

/// Runs one sink until its parcels end or `stop` turns true; then it acknowledges what it still can and returns.
pub async fn run(
    config: Config,
    parcels: mpsc::Receiver<Parcel>,
    status: Arc<SinkStatus>,
    stop: watch::Receiver<bool>,
) {
    match config {
        Config::Syslog(config) => syslog::run(&config, parcels, status, stop).await,
        Config::Hec(config) => hec::run(*config, parcels, status, stop).await,
        Config::File(config) => file::run(file::Target::File(config.path), parcels, status, stop).await,
        Config::Stdout(_) => file::run(file::Target::Stdout, parcels, status, stop).await,
        // Without the desk at hand nobody can come; see `subscription::run`.
        Config::Subscription(config) => {
            subscription::run(Arc::new(subscription::desk::Desk::new(config.caps(), status)), parcels, stop).await;
        }
    }
}

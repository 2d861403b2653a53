//! What a source hands over: entries of raw bytes with their coordinates, and the position after them.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;
use crate::ids::{Generation, SinkId};

/// One read from a feed. All of it is resolved by every sink before `after` may be committed.
#[derive(Debug, Clone)]
pub struct Batch {
    pub generation: Generation,
    pub entries: Vec<Entry>,
    /// Where reading stands once all entries are resolved.
    pub after: Position,
    /// Versions of objects in this batch, to be remembered with the feed; empty for log-like feeds.
    pub seen: Vec<Seen>,
    /// How many messages upstream has beyond this batch, where it says so. Objects are not numbered: of them only an end
    /// is known, which is 0.
    pub unread: Option<u64>,
}

impl Batch {
    /// When the newest of its records was published upstream, where that is known of any.
    pub fn published(&self) -> Option<Timestamp> {
        self.entries.iter().filter_map(|entry| entry.published).max()
    }

    /// What it says is lost upstream.
    pub fn gaps(&self) -> Vec<Gap> {
        let gaps = self.entries.iter().filter_map(|entry| match &entry.content {
            Content::Gap(gap) => Some(gap.clone()),
            Content::Records { .. } | Content::Unreadable { .. } => None,
        });
        gaps.collect()
    }
}

/// One thing read: a message of a log, or one version of an object.
#[derive(Debug, Clone)]
pub struct Entry {
    pub content: Content,
    pub coordinates: Coordinates,
    /// When upstream published it: Event Hubs' enqueued time, an object's last update.
    pub published: Option<Timestamp>,
}

#[derive(Debug, Clone)]
pub enum Content {
    /// Bytes as upstream sent them: one or many records, by `shape`.
    Records { shape: Shape, bytes: Bytes },
    /// Upstream lost or expired something before we could read it.
    Gap(Gap),
    /// Something is there but can't be read; it goes to quarantine with what we have of it.
    Unreadable { reason: String, bytes: Bytes },
}

/// What kind of record the bytes hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Shape {
    /// A streaming message: `{"records":[…]}`, a bare record, an array of records, or one record a line.
    Streaming,
    /// One Graph `security/incidents` object; its expanded alerts travel as entries of their own.
    GraphIncident,
    /// One Graph `security/alerts_v2` object.
    GraphAlert,
    /// One incident of the XDR interface, `api/incidents`, with its alerts.
    XdrIncident,
    /// One alert taken out of such an incident.
    XdrAlert,
    /// One alert of Defender for Endpoint's own interface, `api/alerts`.
    EndpointAlert,
    /// One record of the retired interface for SIEMs: a part of an alert, in flat columns.
    SiemDetection,
}

impl Shape {
    /// What the alerts inside a record of this shape are; nothing for shapes without.
    pub const fn of_alerts(self) -> Option<Self> {
        match self {
            Self::GraphIncident => Some(Self::GraphAlert),
            Self::XdrIncident => Some(Self::XdrAlert),
            Self::Streaming | Self::GraphAlert | Self::XdrAlert | Self::EndpointAlert | Self::SiemDetection => None,
        }
    }
}

/// Where an entry stands upstream. With tenant and source it identifies the entry for ever, whoever reads it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Coordinates {
    Log { generation: Generation, partition: Arc<str>, sequence: i64 },
    Object { id: Arc<str>, version: Version },
}

/// Which version of an object: its last update and the digest of its content, because two versions may share a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Version {
    pub updated: Timestamp,
    pub digest: [u8; 8],
}

/// A position in a feed and generation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Position {
    Log(LogPosition),
    Objects(ObjectsPosition),
}

/// As people read it.
impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Log(log) => match log.from_time() {
                Some(from) => write!(f, "time {from}"),
                None => write!(f, "message {}", log.sequence),
            },
            Self::Objects(objects) => write!(f, "time {}", objects.from),
        }
    }
}

/// After this message. `offset` is opaque: resume by it, but compare and count by `sequence` alone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogPosition {
    pub offset: String,
    pub sequence: i64,
    pub enqueued: Timestamp,
}

/// Every version updated before `from` is done with; versions since then are done with if their digest was seen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ObjectsPosition {
    pub from: Timestamp,
}

/// What stands for the offset of a position that is known by its number, or by a time, alone.
const NO_OFFSET: &str = "";
const BY_TIME: &str = "by-time";

impl LogPosition {
    /// After the message with this number, whose offset nobody here knows. Zero where its time isn't known either.
    pub fn after_number(sequence: i64, enqueued: Timestamp) -> Self {
        Self { offset: NO_OFFSET.to_owned(), sequence, enqueued }
    }

    /// Before the first message that came at `from` or later. Its number isn't known; it lies above `floor`.
    pub fn before_time(from: Timestamp, floor: i64) -> Self {
        Self { offset: BY_TIME.to_owned(), sequence: floor, enqueued: from }
    }

    /// The time before which everything is done with, where the position is known by that alone.
    pub fn from_time(&self) -> Option<Timestamp> {
        (self.offset == BY_TIME).then_some(self.enqueued)
    }

    /// Whether the number must do, because there is no offset.
    pub fn goes_by_number(&self) -> bool {
        self.offset == NO_OFFSET
    }
}

impl Position {
    /// Whether this lies at or after `other`. Positions of different kinds never do.
    pub fn reaches(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Log(mine), Self::Log(theirs)) => mine.sequence >= theirs.sequence,
            (Self::Objects(mine), Self::Objects(theirs)) => mine.from >= theirs.from,
            (Self::Log(_), Self::Objects(_)) | (Self::Objects(_), Self::Log(_)) => false,
        }
    }
}

/// One version of one object, remembered so that it isn't delivered again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Seen {
    pub updated: Timestamp,
    /// Digest of (object id, version). Once committed, mixed with which sinks were not served when it was delivered.
    pub digest: [u8; 16],
}

/// A visible statement that records were lost upstream or expired there, or that one sink was passed over.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gap {
    pub reason: GapReason,
    /// How many messages, when upstream's numbering tells; of a sink that was passed over, how many events.
    pub lost: Option<u64>,
    pub after_sequence: Option<i64>,
    pub before_sequence: Option<i64>,
    /// The one sink that lost them; nothing where all did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub passed: Option<Passed>,
}

/// Who was passed over, and how far.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Passed {
    pub sink: SinkId,
    /// In which the positions mean something.
    pub generation: Generation,
    /// What was published before this was older than the sink's `expire_after`.
    pub older_than: Timestamp,
    /// Where the sink's cursor stands because of it.
    pub to: Position,
}

impl Gap {
    /// Whether the same sink is passed over from where `earlier` ended. Objects are not numbered: of them one statement
    /// stands for all of a sink.
    pub fn continues(&self, earlier: &Self) -> bool {
        let (Some(mine), Some(theirs)) = (&self.passed, &earlier.passed) else { return false };
        let joins = match (earlier.before_sequence, self.after_sequence) {
            (Some(before), Some(after)) => before == after.saturating_add(1),
            (None, None) => true,
            (Some(_), None) | (None, Some(_)) => false,
        };
        mine.sink == theirs.sink && joins
    }

    /// Both as one statement.
    #[must_use]
    pub fn with(&self, later: &Self) -> Self {
        let lost = self.lost.zip(later.lost).map(|(mine, theirs)| mine.saturating_add(theirs));
        Self { lost, after_sequence: self.after_sequence, ..later.clone() }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum GapReason {
    /// Retention passed before the records were read.
    Expired,
    /// What is behind the feed was recreated; what was unread in the old one is gone.
    Recreated,
    /// The upstream's end lies before our cursor: a tail was lost in a fail-over there.
    TailLost,
    /// Sequence numbers jumped between two messages of one generation.
    Skipped,
    /// One sink did not take them within its `expire_after`.
    PassedOver,
}

//! One partition as a value: a log of events, the positions in it, and what goes from its front. Time comes from
//! outside, and nothing here waits.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;

use crate::clock::Timestamp;

use super::selector::Start;

/// What one event takes in a partition beside its body. It makes offsets increase without being dense, and counts the
/// memory of an entry that has no body at all.
const ENTRY_OVERHEAD_BYTES: u64 = 64;

/// The replication segment in front of each offset. Clients have to treat the whole text as opaque, and with it they
/// cannot pass an offset through a number without our noticing.
const OFFSET_SEGMENT: &str = "0:";

/// What an event carries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Content {
    pub body: Bytes,
    /// The sections from `properties` to the end of the body as a client sent them, for events that came over AMQP.
    pub sections: Option<Bytes>,
    pub partition_key: Option<Arc<str>>,
}

impl From<Bytes> for Content {
    fn from(body: Bytes) -> Self {
        Self { body, sections: None, partition_key: None }
    }
}

/// One event in a partition.
#[derive(Debug, Clone)]
pub struct Entry {
    pub sequence: u64,
    pub enqueued: Timestamp,
    pub content: Content,
    position: u64,
}

impl Entry {
    pub fn offset(&self) -> String {
        offset_text(self.position)
    }
    fn size(&self) -> u64 {
        size_of(&self.content)
    }
}

fn offset_text(position: u64) -> String {
    format!("{OFFSET_SEGMENT}{position}")
}

fn size_of(content: &Content) -> u64 {
    let bytes = content.sections.as_ref().map_or(content.body.len(), Bytes::len);
    ENTRY_OVERHEAD_BYTES + bytes as u64
}

/// What `$management` tells of a partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartitionState {
    pub begin: u64,
    pub last: Option<LastEnqueued>,
    pub is_empty: bool,
}

/// The newest event a partition ever took; retention does not change it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LastEnqueued {
    pub sequence: u64,
    pub offset: String,
    pub enqueued: Timestamp,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadPosition {
    #[error("The supplied offset '{offset}' is invalid. The last offset in the system is '{last}'")]
    OffsetBeyondEnd { offset: String, last: String },
    #[error("The supplied offset '{offset}' cannot be read")]
    OffsetUnreadable { offset: String },
    #[error("The supplied sequence number '{sequence}' is invalid. The last sequence number in the system is '{last}'")]
    SequenceBeyondEnd { sequence: i64, last: i64 },
}

/// What a reader gets in one turn.
#[derive(Debug, Clone, Default)]
pub struct Slice {
    pub entries: Vec<Entry>,
    /// When the next event becomes visible, if it exists but may not be seen yet.
    pub next_visible: Option<Timestamp>,
}

/// One partition: a dense run of sequence numbers.
#[derive(Debug, Clone, Default)]
pub struct PartitionLog {
    entries: VecDeque<Entry>,
    next_sequence: u64,
    next_position: u64,
    bytes: u64,
    last: Option<LastEnqueued>,
}

impl PartitionLog {
    pub(super) fn append(&mut self, now: Timestamp, content: Content) -> u64 {
        let size = size_of(&content);
        // A clock that steps back may not make arrival times do so: readers search by them.
        let enqueued = self.last.as_ref().map_or(now, |last| now.max(last.enqueued));
        let entry = Entry { sequence: self.next_sequence, enqueued, content, position: self.next_position };
        self.last = Some(LastEnqueued { sequence: entry.sequence, offset: entry.offset(), enqueued });
        self.next_sequence += 1;
        self.next_position += size;
        self.bytes += size;
        self.entries.push_back(entry);
        self.next_sequence - 1
    }

    /// The sequence number of the oldest event still here, or of the next one to come when there is none.
    pub fn begin(&self) -> u64 {
        self.entries.front().map_or(self.next_sequence, |entry| entry.sequence)
    }

    pub fn state(&self) -> PartitionState {
        PartitionState { begin: self.begin(), last: self.last.clone(), is_empty: self.entries.is_empty() }
    }

    /// Removes every event before `sequence`, and says how many went.
    pub(super) fn expire_before(&mut self, sequence: u64) -> u64 {
        self.expire_while(|entry, _| entry.sequence < sequence)
    }

    pub(super) fn expire_while(&mut self, is_old: impl Fn(&Entry, u64) -> bool) -> u64 {
        let mut gone = 0;
        while let Some(oldest) = self.entries.front().filter(|entry| is_old(entry, self.bytes)) {
            self.bytes -= oldest.size();
            self.entries.pop_front();
            gone += 1;
        }
        gone
    }

    /// The sequence number of the first event a reader wants, which may be yet to come.
    pub fn resolve(&self, start: &Start) -> Result<u64, BadPosition> {
        match start {
            Start::Earliest => Ok(self.begin()),
            Start::Latest => Ok(self.next_sequence),
            Start::Offset { offset, inclusive } => self.resolve_offset(offset, *inclusive),
            Start::Sequence { sequence, inclusive } => self.resolve_sequence(*sequence, *inclusive),
            Start::Enqueued { millis, inclusive } => {
                let before = |entry: &Entry| {
                    let at = entry.enqueued.millis();
                    if *inclusive { at < *millis } else { at <= *millis }
                };
                Ok(self.begin() + self.entries.partition_point(before) as u64)
            }
        }
    }

    fn resolve_offset(&self, offset: &str, inclusive: bool) -> Result<u64, BadPosition> {
        let unreadable = || BadPosition::OffsetUnreadable { offset: offset.to_owned() };
        let digits = offset.strip_prefix(OFFSET_SEGMENT).unwrap_or(offset);
        let position: u64 = digits.parse().map_err(|_| unreadable())?;
        if position >= self.next_position {
            let last = self.last.as_ref().map_or_else(|| "-1".to_owned(), |last| last.offset.clone());
            return Err(BadPosition::OffsetBeyondEnd { offset: offset.to_owned(), last });
        }
        let before = |entry: &Entry| if inclusive { entry.position < position } else { entry.position <= position };
        Ok(self.begin() + self.entries.partition_point(before) as u64)
    }

    fn resolve_sequence(&self, sequence: i64, inclusive: bool) -> Result<u64, BadPosition> {
        let last = i64::try_from(self.next_sequence).unwrap_or(i64::MAX) - 1;
        if sequence > last {
            return Err(BadPosition::SequenceBeyondEnd { sequence, last });
        }
        let first = if inclusive { sequence } else { sequence.saturating_add(1) };
        Ok(u64::try_from(first).unwrap_or(0).max(self.begin()))
    }

    /// Up to `count_max` events from `next` on that arrived by `visible_until`. What retention took is skipped without
    /// a word, as the service does it.
    pub fn read(&self, next: u64, count_max: usize, visible_until: Timestamp) -> Slice {
        let skip = usize::try_from(next.saturating_sub(self.begin())).unwrap_or(usize::MAX);
        let mut slice = Slice::default();
        if skip >= self.entries.len() {
            return slice;
        }
        for entry in self.entries.range(skip..).take(count_max) {
            if entry.enqueued > visible_until {
                slice.next_visible = Some(entry.enqueued);
                break;
            }
            slice.entries.push(entry.clone());
        }
        slice
    }
}

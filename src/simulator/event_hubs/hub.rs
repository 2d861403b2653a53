//! A hub as a value: partitions that are logs, the positions in them, and what retention takes away. Time comes from
//! outside, and nothing here waits.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use crate::clock::Timestamp;

use super::selector::Start;

/// The consumer group every hub has.
pub const DEFAULT_GROUP: &str = "$Default";

/// How long events stay, unless told otherwise: the service's default of one day.
pub const RETENTION_DEFAULT: Duration = Duration::from_secs(86_400);

/// Most bytes one partition keeps; beyond it the oldest events go, as if retention had passed. It holds eight seconds
/// of the heaviest load we measure on one partition, and keeps a forgotten simulator from filling the machine.
pub const PARTITION_BYTES_MAX: u64 = 512 << 20;

/// Most partitions of a hub; the service's limit in its dedicated tier.
pub const PARTITIONS_MAX: u32 = 1024;

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
    fn append(&mut self, now: Timestamp, content: Content) -> u64 {
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
    fn expire_before(&mut self, sequence: u64) -> u64 {
        self.expire_while(|entry, _| entry.sequence < sequence)
    }

    fn expire_while(&mut self, is_old: impl Fn(&Entry, u64) -> bool) -> u64 {
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

/// A hub: its partitions and consumer groups, and the moment of its creation, which tells one incarnation from the next.
#[derive(Debug, Clone)]
pub struct Hub {
    pub name: String,
    pub created_at: Timestamp,
    pub retention: Duration,
    pub bytes_max: u64,
    partitions: Vec<PartitionLog>,
    groups: BTreeSet<String>,
}

impl Hub {
    pub fn new(name: &str, partitions: u32, created_at: Timestamp) -> Self {
        let count = partitions.clamp(1, PARTITIONS_MAX) as usize;
        Self {
            name: name.to_owned(),
            created_at,
            retention: RETENTION_DEFAULT,
            bytes_max: PARTITION_BYTES_MAX,
            partitions: vec![PartitionLog::default(); count],
            groups: BTreeSet::from([DEFAULT_GROUP.to_ascii_lowercase()]),
        }
    }

    /// Appends to a partition and lets go of what is too old or too much. `None` when there is no such partition.
    pub fn append(&mut self, partition: u32, now: Timestamp, content: Content) -> Option<u64> {
        let (oldest, bytes_max) = (now.minus(self.retention), self.bytes_max);
        let log = self.partitions.get_mut(partition as usize)?;
        let sequence = log.append(now, content);
        log.expire_while(|entry, bytes| entry.sequence < sequence && (entry.enqueued < oldest || bytes > bytes_max));
        Some(sequence)
    }

    pub fn partition(&self, partition: u32) -> Option<&PartitionLog> {
        self.partitions.get(partition as usize)
    }

    pub fn partition_count(&self) -> u32 {
        u32::try_from(self.partitions.len()).unwrap_or(PARTITIONS_MAX)
    }

    /// Passes retention: removes every event of a partition before `sequence`, and says how many went.
    pub fn expire_before(&mut self, partition: u32, sequence: u64) -> Option<u64> {
        self.partitions.get_mut(partition as usize).map(|log| log.expire_before(sequence))
    }

    pub fn add_partitions(&mut self, count: u32) {
        let total = (self.partition_count() + count.min(PARTITIONS_MAX)).min(PARTITIONS_MAX);
        self.partitions.resize_with(total as usize, PartitionLog::default);
    }

    pub fn add_group(&mut self, group: &str) {
        self.groups.insert(group.to_ascii_lowercase());
    }

    /// Whether the consumer group exists; its name is compared without regard to case.
    pub fn has_group(&self, group: &str) -> bool {
        self.groups.contains(&group.to_ascii_lowercase())
    }

    /// Deletes the hub and creates it anew under its name: empty, numbered from zero, with a later moment of creation.
    pub fn recreate(&mut self, now: Timestamp) {
        // Creation times are told in milliseconds, so two incarnations have to lie at least one apart.
        self.created_at = now.max(self.created_at.plus(Duration::from_millis(1)));
        self.partitions.fill(PartitionLog::default());
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const FAR: Timestamp = Timestamp::from_millis(i64::MAX / 2_000_000);

    fn at(millis: i64) -> Timestamp {
        Timestamp::from_millis(millis)
    }

    /// A hub of one partition whose event n arrived at 1000 + 10 n milliseconds.
    fn hub_of(count: u64) -> Hub {
        let mut hub = Hub::new("hub", 1, at(500));
        for n in 0..count {
            let body = Bytes::from(format!("event {n}"));
            assert_eq!(hub.append(0, at(1000 + 10 * i64::try_from(n).unwrap()), body.into()), Some(n));
        }
        hub
    }

    fn first(hub: &Hub, selector: &str) -> Result<u64, BadPosition> {
        hub.partition(0).unwrap().resolve(&Start::parse(&format!("amqp.annotation.{selector}")).unwrap())
    }

    #[test]
    fn every_kind_of_position_finds_its_event() {
        let hub = hub_of(5);
        let offset = hub.partition(0).unwrap().read(2, 1, FAR).entries[0].offset();
        assert_eq!(first(&hub, "x-opt-offset > '-1'"), Ok(0));
        assert_eq!(first(&hub, "x-opt-offset > '@latest'"), Ok(5));
        assert_eq!(first(&hub, &format!("x-opt-offset > '{offset}'")), Ok(3));
        assert_eq!(first(&hub, &format!("x-opt-offset >= '{offset}'")), Ok(2));
        assert_eq!(first(&hub, "x-opt-sequence-number > '-1'"), Ok(0));
        assert_eq!(first(&hub, "x-opt-sequence-number > '3'"), Ok(4));
        assert_eq!(first(&hub, "x-opt-sequence-number >= '3'"), Ok(3));
        assert_eq!(first(&hub, "x-opt-sequence-number > '4'"), Ok(5));
        assert_eq!(first(&hub, "x-opt-enqueued-time > '1010'"), Ok(2));
        assert_eq!(first(&hub, "x-opt-enqueued-time >= '1010'"), Ok(1));
        assert_eq!(first(&hub, "x-opt-enqueued-time > '9999'"), Ok(5));
    }

    #[test]
    fn positions_beyond_the_end_and_unreadable_ones_are_refused() {
        let hub = hub_of(5);
        assert!(matches!(first(&hub, "x-opt-offset > '0:99999'"), Err(BadPosition::OffsetBeyondEnd { .. })));
        assert!(matches!(first(&hub, "x-opt-offset > 'abc'"), Err(BadPosition::OffsetUnreadable { .. })));
        assert_eq!(
            first(&hub, "x-opt-sequence-number > '5'"),
            Err(BadPosition::SequenceBeyondEnd { sequence: 5, last: 4 })
        );
    }

    #[test]
    fn passed_retention_moves_the_begin_and_readers_skip_to_it() {
        let mut hub = hub_of(5);
        assert_eq!(hub.expire_before(0, 3), Some(3));
        let log = hub.partition(0).unwrap();
        assert_eq!(log.begin(), 3);
        assert_eq!(log.resolve(&Start::Earliest), Ok(3));
        assert_eq!(log.read(1, 10, FAR).entries.iter().map(|e| e.sequence).collect::<Vec<_>>(), [3, 4]);
        assert_eq!(hub.expire_before(0, 100), Some(2));
        let state = hub.partition(0).unwrap().state();
        assert_eq!((state.begin, state.is_empty, state.last.unwrap().sequence), (5, true, 4));
    }

    #[test]
    fn too_old_and_too_much_go_first_but_never_the_newest() {
        let mut hub = hub_of(3);
        hub.retention = Duration::from_millis(15);
        hub.append(0, at(1030), Bytes::from_static(b"new").into());
        assert_eq!(hub.partition(0).unwrap().begin(), 2);
        hub.bytes_max = 1;
        hub.append(0, at(1031), Bytes::from_static(b"newer").into());
        assert_eq!(hub.partition(0).unwrap().begin(), 4);
        assert!(!hub.partition(0).unwrap().state().is_empty);
    }

    #[test]
    fn a_recreated_hub_is_empty_numbered_from_zero_and_younger() {
        let mut hub = hub_of(5);
        hub.recreate(at(500));
        assert_eq!(hub.created_at, at(501));
        assert_eq!(hub.partition(0).unwrap().state(), PartitionState { begin: 0, last: None, is_empty: true });
        assert_eq!(hub.append(0, at(2000), Bytes::new().into()), Some(0));
    }

    #[test]
    fn an_event_is_seen_only_when_its_time_has_come() {
        let hub = hub_of(3);
        let slice = hub.partition(0).unwrap().read(0, 10, at(1005));
        assert_eq!((slice.entries.len(), slice.next_visible), (1, Some(at(1010))));
    }

    #[test]
    fn partitions_and_groups_can_be_added_but_not_taken() {
        let mut hub = hub_of(1);
        hub.add_partitions(2);
        assert_eq!(hub.partition_count(), 3);
        assert_eq!(hub.append(2, at(1), Bytes::new().into()), Some(0));
        assert_eq!(hub.append(3, at(1), Bytes::new().into()), None);
        assert!(hub.has_group("$default") && !hub.has_group("siem"));
        hub.add_group("siem");
        assert!(hub.has_group("SIEM"));
    }

    proptest! {
        #[test]
        fn reading_from_any_offset_yields_exactly_what_follows_it(
            sizes in proptest::collection::vec(0usize..300, 1..40), expire in 0u64..40, pick in any::<proptest::sample::Index>()
        ) {
            let mut hub = Hub::new("hub", 1, at(0));
            for (n, size) in sizes.iter().enumerate() {
                hub.append(0, at(i64::try_from(n / 3).unwrap()), Bytes::from(vec![0; *size]).into());
            }
            let all = hub.partition(0).unwrap().read(0, 100, FAR).entries;
            let chosen = &all[pick.index(all.len())];
            hub.expire_before(0, expire.min(all.len() as u64 - 1));
            let log = hub.partition(0).unwrap();
            let next = log.resolve(&Start::Offset { offset: chosen.offset(), inclusive: false }).unwrap();
            prop_assert_eq!(next, (chosen.sequence + 1).max(log.begin()));
            let by_sequence = Start::Sequence { sequence: chosen.sequence.try_into().unwrap(), inclusive: false };
            prop_assert_eq!(log.resolve(&by_sequence).unwrap(), next);
            let read: Vec<u64> = log.read(next, 100, FAR).entries.iter().map(|e| e.sequence).collect();
            prop_assert_eq!(read, (next..all.len() as u64).collect::<Vec<_>>());
        }
    }
}

//! A hub as a value: partitions that are logs, consumer groups, and what retention takes away. Time comes from outside,
//! and nothing here waits.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::clock::Timestamp;

use super::log::{Content, PartitionLog};

/// The consumer group every hub has.
pub const DEFAULT_GROUP: &str = "$Default";

/// How long events stay, unless told otherwise: the service's default of one day.
pub const RETENTION_DEFAULT: Duration = Duration::from_secs(86_400);

/// Most bytes one partition keeps; beyond it the oldest events go, as if retention had passed. It holds eight seconds
/// of the heaviest load we measure on one partition, and keeps a forgotten simulator from filling the machine.
pub const PARTITION_BYTES_MAX: u64 = 512 << 20;

/// Most partitions of a hub; the service's limit in its dedicated tier.
pub const PARTITIONS_MAX: u32 = 1024;

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
    use bytes::Bytes;
    use proptest::prelude::*;

    use super::*;
    use crate::simulator::event_hubs::log::{BadPosition, PartitionState};
    use crate::simulator::event_hubs::selector::Start;

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

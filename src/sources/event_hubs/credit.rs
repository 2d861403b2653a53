//! How many messages the service may send before we take some. Pure. Credit is the only brake there is: without it the
//! service sends nothing, and what it may send must fit in memory.

/// Most messages on their way or waiting for one partition; enough to keep a link busy whose messages are small.
pub(super) const MESSAGES_MAX: u32 = 256;

/// What one partition may hold in memory before the pipeline takes it. At 50 ms to the service it allows 160 MB/s for
/// each partition, and a hundred partitions that nobody takes from stay below one gigabyte.
pub(super) const BYTES_MAX: usize = 8 << 20;

/// The smallest size expected of a message.
const SIZE_MIN: usize = BYTES_MAX / MESSAGES_MAX as usize;

/// What a message is taken to be before one was seen: the largest the service allows by default.
const SIZE_FIRST: usize = 1 << 20;

/// The account of one link.
#[derive(Debug, Clone)]
pub(super) struct Credit {
    /// Granted and not yet arrived.
    outstanding: u32,
    arrived_messages: u64,
    arrived_bytes: u64,
    /// The largest message of late: grows at once, shrinks slowly.
    size: usize,
}

impl Credit {
    pub(super) fn new() -> Self {
        Self { outstanding: 0, arrived_messages: 0, arrived_bytes: 0, size: SIZE_FIRST }
    }

    pub(super) fn arrive(&mut self, bytes: usize) {
        self.outstanding = self.outstanding.saturating_sub(1);
        self.arrived_messages += 1;
        self.arrived_bytes += bytes as u64;
        self.size = bytes.max(self.size - self.size / 16).max(SIZE_MIN);
    }

    /// A message arrived that nobody will take.
    pub(super) fn skip(&mut self) {
        self.outstanding = self.outstanding.saturating_sub(1);
    }

    /// The credit to grant now, if it is worth a frame. `taken` is what the pipeline has taken since the link began.
    /// Credit once granted is never taken back: messages may be on their way already.
    pub(super) fn grant(&mut self, taken_messages: u64, taken_bytes: u64) -> Option<u32> {
        let waiting = u32::try_from(self.arrived_messages.saturating_sub(taken_messages)).unwrap_or(u32::MAX);
        let waiting_bytes = usize::try_from(self.arrived_bytes.saturating_sub(taken_bytes)).unwrap_or(usize::MAX);
        let by_bytes = u32::try_from(BYTES_MAX.saturating_sub(waiting_bytes) / self.size).unwrap_or(u32::MAX);
        let room = by_bytes.min(MESSAGES_MAX.saturating_sub(waiting));
        if room == 0 || self.outstanding > room / 2 {
            return None;
        }
        self.outstanding = room;
        Some(room)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_link_begins_with_what_fits_of_the_largest_messages() {
        assert_eq!(Credit::new().grant(0, 0), Some(8));
    }

    #[test]
    fn a_pipeline_that_takes_nothing_stops_the_link_and_one_that_takes_again_starts_it() {
        let mut credit = Credit::new();
        let (mut waiting, mut waiting_bytes) = (0, 0);
        while let Some(granted) = credit.grant(0, 0) {
            for _ in 0..granted {
                credit.arrive(100_000);
                (waiting, waiting_bytes) = (waiting + 1, waiting_bytes + 100_000);
            }
        }
        assert!((1..=MESSAGES_MAX.into()).contains(&waiting), "{waiting}");
        assert!(credit.grant(waiting, waiting_bytes).is_some());
    }

    #[derive(Debug, Clone)]
    enum Turn {
        Arrive(usize),
        Take(u64),
    }

    fn turn() -> impl Strategy<Value = Turn> {
        prop_oneof![3 => (0usize..=1 << 20).prop_map(Turn::Arrive), 1 => (1u64..40).prop_map(Turn::Take)]
    }

    proptest! {
        #[test]
        fn memory_is_bounded_and_reading_never_sticks(turns in proptest::collection::vec(turn(), 1..2000)) {
            let (mut credit, mut waiting, mut taken) = (Credit::new(), std::collections::VecDeque::new(), (0u64, 0u64));
            let mut outstanding = 0;
            for turn in turns {
                if let Some(granted) = credit.grant(taken.0, taken.1) {
                    prop_assert!(granted > outstanding, "credit taken back");
                    outstanding = granted;
                }
                match turn {
                    Turn::Arrive(size) if outstanding > 0 => {
                        outstanding -= 1;
                        credit.arrive(size);
                        waiting.push_back(size as u64);
                    }
                    Turn::Arrive(_) => {}
                    Turn::Take(count) => {
                        for size in waiting.drain(..(usize::try_from(count).unwrap()).min(waiting.len())) {
                            taken = (taken.0 + 1, taken.1 + size);
                        }
                    }
                }
                prop_assert!(waiting.len() + outstanding as usize <= MESSAGES_MAX as usize);
            }
            for size in waiting.drain(..) {
                taken = (taken.0 + 1, taken.1 + size);
            }
            prop_assert!(outstanding > 0 || credit.grant(taken.0, taken.1).is_some(), "stuck");
        }
    }
}

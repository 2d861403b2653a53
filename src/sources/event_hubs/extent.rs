//! What the service has of partitions now, for people who look where a cursor stands and for those who move it.

use std::collections::BTreeMap;

use super::hub::Hub;
use super::link::{self, Management};
use super::position::{Partition, generations};
use crate::clock::{Clock, Timestamp};
use crate::event::batch::LogPosition;
use crate::ids::{FeedPart, Generation};
use crate::sources::SourceError;

/// One partition as the service says it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Extent {
    created: Timestamp,
    /// The number of the oldest message that can still be read, or of the next that will be written.
    pub oldest: i64,
    /// After the newest message ever written.
    pub newest: LogPosition,
}

impl Extent {
    fn of(partition: &Partition) -> Self {
        let (sequence, enqueued) = (partition.last, partition.last_enqueued);
        let newest = match sequence {
            0.. => LogPosition { offset: partition.last_offset.clone(), sequence, enqueued },
            ..0 => LogPosition::after_number(sequence, Timestamp::ZERO),
        };
        Self { created: partition.created, oldest: partition.oldest(), newest }
    }

    /// Whether positions of this generation mean something in the hub that is there now.
    pub fn holds(&self, generation: Generation) -> bool {
        generations(self.created).contains(&generation.0)
    }
}

impl Hub {
    /// What the service has of these partitions. Asks over one connection, and disturbs nobody who reads.
    pub async fn extents(&self, parts: &[FeedPart], clock: &Clock) -> Result<BTreeMap<FeedPart, Extent>, SourceError> {
        let place = &*self.0;
        let mut opened = link::open(place, clock).await?;
        let mut management = Management::attach(&mut opened, place).await?;
        let created = management.hub().await?.created;
        let mut extents = BTreeMap::new();
        for part in parts {
            let partition = management.partition(part.as_str(), created).await?;
            extents.insert(part.clone(), Extent::of(&partition));
        }
        Ok(extents)
    }
}

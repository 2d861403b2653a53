//! Event Hubs over AMQP 1.0: one feed for each partition, read in order by its owner under the owner's epoch.
//!
//! `Hub` is where and how; `Hub::discover` lists the feeds; `EventHubSource` reads one. The rules live in the pure
//! files `connection_string`, `cbs`, `position`, `credit`, `message`, `sections`, `diversion` and `faults`; `link` and
//! `node` talk to the service, `bypass` carries payloads round the AMQP library, and `reader` is the task that joins them.

mod bypass;
mod causes;
mod cbs;
mod connection_string;
mod credit;
mod diversion;
mod extent;
mod faults;
mod hub;
mod link;
mod message;
mod node;
mod position;
mod reader;
mod sections;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::JoinSet;

use crate::clock::{Clock, Timestamp};
use crate::event::batch::{Batch, Entry, Position};
use crate::ids::{Epoch, FeedPart, Generation};
use crate::sources::{Resume, Second, Source, SourceError};

use faults::About;
use position::Covered;
use reader::{Assignment, Item, Taken};

pub use connection_string::{BadConnection, ConnectionString, Namespace, SharedAccess};
pub use extent::Extent;
pub use hub::{Authentication, Config, Hub, Sasl, Start, TokenFuture, TokenSource};

/// How often a hub's partitions are listed anew. A partition can be added at any time and must be read within a minute.
pub const DISCOVERY_INTERVAL: Duration = Duration::from_secs(45);

/// Entra's resource for every Event Hubs namespace of the public cloud: tokens are asked for `SCOPE`.
pub const SCOPE: &str = "https://eventhubs.azure.net/.default";

/// Most messages in a batch. What is committed late is read twice after a crash, so batches stay small.
pub const BATCH_MESSAGES_MAX: usize = 128;

/// Most bytes in a batch, but for a single message that is larger.
pub const BATCH_BYTES_MAX: usize = 2 << 20;

/// One partition of one hub.
pub struct EventHubSource {
    hub: Hub,
    partition: Arc<str>,
    /// Nothing where others may read beside it.
    level: Option<Epoch>,
    generation: Generation,
    clock: Clock,
    since: Option<Timestamp>,
    covered: Option<Covered>,
    /// The number of the partition's newest message, as the service said it last.
    newest: Option<i64>,
    reader: Option<Reader>,
    /// Taken from the reader, but not part of the batch that was returned.
    held: Option<Result<Item, SourceError>>,
    /// Said by the service once, and true from then on: another owner has the partition.
    displaced: Option<(String, String)>,
}

struct Reader {
    items: mpsc::Receiver<Result<Item, SourceError>>,
    taken: Arc<Taken>,
    // Ends the task, and with it the connection, when the source is dropped or reconnects.
    _task: JoinSet<()>,
}

impl EventHubSource {
    /// Nothing is connected before the first `next_batch`.
    pub fn new(hub: Hub, part: &FeedPart, resume: Resume, clock: Clock) -> Self {
        let covered = resume.cursor.and_then(|cursor| match cursor.position {
            Position::Log(position) => Some(Covered { generation: cursor.generation, position }),
            Position::Objects(_) => None,
        });
        let partition = Arc::from(part.as_str());
        Self {
            hub,
            partition,
            level: Some(resume.epoch),
            generation: resume.generation,
            clock,
            since: resume.since,
            covered,
            newest: None,
            reader: None,
            held: None,
            displaced: None,
        }
    }

    /// A reader beside the owner's, of a hub under its second consumer group. It has no owner level there, so that several
    /// may read the partition for different ends; what it does is fenced by its lease, and where its progress is noted.
    pub fn beside(hub: Hub, part: &FeedPart, second: Second, clock: Clock) -> Self {
        Self { level: None, since: Some(second.from), ..Self::new(hub, part, second.resume, clock) }
    }

    fn reader(&mut self) -> &mut Reader {
        self.reader.get_or_insert_with(|| {
            let assignment = Assignment {
                hub: self.hub.clone(),
                partition: Arc::clone(&self.partition),
                level: self.level,
                generation: self.generation,
                covered: self.covered.clone(),
                since: self.since,
                clock: self.clock.clone(),
            };
            let (sender, items) = mpsc::channel(reader::ITEMS_MAX);
            let taken = Arc::new(Taken::default());
            let mut task = JoinSet::new();
            task.spawn(reader::read(assignment, sender, Arc::clone(&taken)));
            Reader { items, taken, _task: task }
        })
    }

    /// Puts what is ready behind `first`, without waiting, as far as it belongs to the same generation and fits.
    fn batch(&mut self, first: Item) -> Batch {
        let mut batch = Batch {
            generation: first.covered.generation,
            entries: Vec::new(),
            after: Position::Log(first.covered.position.clone()),
            seen: Vec::new(),
            unread: None,
        };
        let (mut messages, mut bytes) = (0, 0);
        let mut next = Some(first);
        while let Some(item) = next.take() {
            messages += 1;
            bytes += item.bytes;
            self.newest = item.newest.or(self.newest);
            batch.entries.extend(item.gap);
            batch.entries.extend(item.entry);
            self.covered = Some(item.covered);
            let Some(reader) = &mut self.reader else { break };
            match reader.items.try_recv() {
                Ok(Ok(item))
                    if item.covered.generation == batch.generation
                        && messages < BATCH_MESSAGES_MAX
                        && bytes + item.bytes <= BATCH_BYTES_MAX =>
                {
                    next = Some(item);
                }
                Ok(other) => self.held = Some(other),
                // Nothing is ready; or the reader ended, which the next call finds out.
                Err(_) => {}
            }
        }
        if let Some(covered) = &self.covered {
            batch.after = Position::Log(covered.position.clone());
            let behind = |newest: i64| newest.saturating_sub(covered.position.sequence);
            batch.unread = self.newest.map(|newest| u64::try_from(behind(newest)).unwrap_or(0));
        }
        self.account(&batch.entries, bytes);
        batch
    }

    /// Tells the reader what has left its account. Gaps that travelled alone were never part of it.
    fn account(&self, entries: &[Entry], bytes: usize) {
        let messages = entries.iter().filter(|entry| entry.published.is_some()).count();
        if let Some(reader) = &self.reader {
            reader.taken.add(messages as u64, bytes as u64);
        }
    }

    /// Forgets the connection: the next call opens another. Ownership once lost is never taken back.
    fn fail(&mut self, error: &SourceError) {
        (self.reader, self.newest) = (None, None);
        if let SourceError::Displaced { what, cause } = error {
            self.displaced = Some((what.clone(), cause.clone()));
        }
    }
}

impl Source for EventHubSource {
    async fn next_batch(&mut self) -> Result<Batch, SourceError> {
        if let Some((what, cause)) = &self.displaced {
            return Err(SourceError::Displaced { what: what.clone(), cause: cause.clone() });
        }
        let first = match self.held.take() {
            Some(held) => held,
            // The one place that waits: a call dropped here has taken nothing.
            None => self.reader().items.recv().await.unwrap_or_else(|| {
                let upstream = self.hub.0.name();
                Err(About { upstream: &upstream, what: "" }.disconnected("reading ended"))
            }),
        };
        first.map(|item| self.batch(item)).inspect_err(|error| self.fail(error))
    }
}

impl fmt::Debug for EventHubSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.level {
            Some(epoch) => write!(f, "{:?}/{} under {epoch}", self.hub, self.partition),
            None => write!(f, "{:?}/{} beside its owner", self.hub, self.partition),
        }
    }
}

impl Hub {
    /// The hub's partitions, each a feed part by its id.
    pub async fn discover(&self, clock: &Clock) -> Result<Vec<FeedPart>, SourceError> {
        let place = &*self.0;
        let mut opened = link::open(place, clock).await?;
        let info = link::Management::attach(&mut opened, place).await?.hub().await?;
        let name = place.name();
        let about = About { upstream: &name, what: "the hub" };
        info.partitions.iter().map(|id| id.parse().map_err(|error| about.protocol(error))).collect()
    }
}

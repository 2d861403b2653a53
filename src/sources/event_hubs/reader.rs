//! The task that reads one partition: it connects, decides where to begin, and passes messages on as long as there is
//! room. It lives apart from `next_batch`, so that dropping a call loses nothing and a pause of the pipeline neither
//! stops heartbeats nor lets the token end.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use fe2o3_amqp::Receiver;
use fe2o3_amqp::link::RecvError;
use fe2o3_amqp::types::messaging::{AmqpValue, Body, Message};
use fe2o3_amqp::types::primitives::Value;
use tokio::sync::{Notify, mpsc};
use tokio::time::MissedTickBehavior;

use super::causes::Cause;
use super::credit::{Credit, MESSAGES_MAX};
use super::diversion::Carried;
use super::faults::{self, About, Stage};
use super::hub::{Hub, Start};
use super::link::{self, Management, Opened, TokenNode};
use super::message::{self, Arrived, NoPlace};
use super::position::{self, After, Arrival, Covered, Plan, Track};
use crate::clock::{Clock, Timestamp};
use crate::event::batch::{Content, Coordinates, Entry, Gap};
use crate::ids::{Epoch, Generation};
use crate::sources::SourceError;

/// Items on their way to `next_batch`: all the messages there can be, a gap before them and an error after. As credit
/// keeps messages below this, the reader never waits here and always hears what else happens to its link.
pub(super) const ITEMS_MAX: usize = MESSAGES_MAX as usize + 2;

/// How often we say something on a link where nothing happens. Balancers on the way to the service forget a connection
/// that is silent for four minutes, without telling anybody.
const KEEPALIVE: Duration = Duration::from_secs(30);

/// How long after a failed renewal of the token the next is tried.
const RENEW_RETRY: Duration = Duration::from_secs(30);

/// One thing read, and what is covered once it is resolved.
#[derive(Debug)]
pub(super) struct Item {
    /// What is missing just before `entry`; it shares the entry's position, so that they are covered together.
    pub gap: Option<Entry>,
    /// Nothing where only the place matters at which reading stands.
    pub entry: Option<Entry>,
    pub covered: Covered,
    /// The number of the partition's newest message, where the service said it.
    pub newest: Option<i64>,
    pub bytes: usize,
}

/// What the pipeline has taken, so that the reader can let more in.
#[derive(Debug, Default)]
pub(super) struct Taken {
    messages: AtomicU64,
    bytes: AtomicU64,
    changed: Notify,
}

impl Taken {
    pub(super) fn add(&self, messages: u64, bytes: u64) {
        self.messages.fetch_add(messages, Ordering::Relaxed);
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
        self.changed.notify_one();
    }
}

/// What a reader needs to know.
pub(super) struct Assignment {
    pub hub: Hub,
    pub partition: Arc<str>,
    /// Nothing where others may read beside it.
    pub level: Option<Epoch>,
    /// The generation that the cluster has open.
    pub generation: Generation,
    pub covered: Option<Covered>,
    /// Where to begin while nothing is covered, other than the hub says.
    pub since: Option<Timestamp>,
    pub clock: Clock,
}

/// Reads until something fails, and says what.
pub(super) async fn read(assignment: Assignment, items: mpsc::Sender<Result<Item, SourceError>>, taken: Arc<Taken>) {
    let Err(error) = Reading { assignment: &assignment, items: &items, taken: &taken }.run().await;
    // The receiving side is gone only if nobody wants to know.
    let _ = items.send(Err(error)).await;
}

struct Reading<'a> {
    assignment: &'a Assignment,
    items: &'a mpsc::Sender<Result<Item, SourceError>>,
    taken: &'a Taken,
}

/// Reading ends in an error only.
enum Never {}

impl Reading<'_> {
    async fn run(&self) -> Result<Never, SourceError> {
        let Assignment { hub, partition, level, generation, covered, since, clock } = self.assignment;
        let place = &*hub.0;
        let name = place.name();
        let what = format!("partition {partition}");
        let about = About { upstream: &name, what: &what };
        let mut opened = link::open(place, clock).await?;
        let mut management = Management::attach(&mut opened, place).await?;
        let info = management.hub().await?;
        let state = management.partition(partition, info.created).await?;
        let plan = match (covered, since) {
            (None, Some(from)) => position::since(&state, *generation, *from),
            _ => position::plan(&state, covered.as_ref(), *generation, place.start == Start::Latest),
        };
        let newest = Some(state.last);
        let (receiver, _session) = self.attach(&mut opened, &plan, &about).await?;
        // The link reads what is there now. Had the hub been recreated since we asked, our plan would be for another.
        if management.hub().await?.created != info.created {
            return Err(about.disconnected("the hub was recreated meanwhile"));
        }
        let epoch = level.map(|level| level.0);
        tracing::info!(upstream = name, partition = %partition, epoch, after = plan.after.selector(), "reading");
        if let Some((gap, covered)) = plan.gap {
            let entry = self.gap(gap, covered.generation, covered.position.sequence);
            self.pass(Item { gap: None, entry: Some(entry), covered, newest, bytes: 0 }).await?;
        }
        if let Some(covered) = plan.stands {
            self.pass(Item { gap: None, entry: None, covered, newest, bytes: 0 }).await?;
        }
        let token = opened.token.take();
        tokio::select! {
            error = keep_token(token, self.assignment) => Err(error),
            error = self.receive(receiver, (plan.track, state.last), &opened.carried, &about) => error,
        }
    }

    /// Attaches by offset; where the service can't make sense of ours, by sequence number.
    async fn attach(
        &self,
        opened: &mut Opened,
        plan: &Plan,
        about: &About<'_>,
    ) -> Result<(Receiver, fe2o3_amqp::session::SessionHandle<()>), SourceError> {
        let Assignment { hub, partition, level, .. } = self.assignment;
        let entering = |cause: Cause| cause.into_error(about, Stage::Entering);
        let mut session = link::begin(&mut opened.connection).await.map_err(entering)?;
        let attached = match link::attach(&mut session, &hub.0, partition, *level, &plan.after).await {
            Err(Cause::Stated(fault)) if faults::is_bad_position(&fault) => {
                tracing::warn!(upstream = about.upstream, partition = %partition, "offset refused, going by number");
                let after = After::Sequence(plan.track.after_sequence());
                link::attach(&mut session, &hub.0, partition, *level, &after).await
            }
            attached => attached,
        };
        Ok((attached.map_err(entering)?, session))
    }

    async fn receive(
        &self,
        mut receiver: Receiver,
        (mut track, newest): (Track, i64),
        carried: &Carried,
        about: &About<'_>,
    ) -> Result<Never, SourceError> {
        let reading = |cause: Cause| cause.into_error(about, Stage::Reading);
        let mut credit = Credit::new();
        let mut keepalive = tokio::time::interval(KEEPALIVE);
        keepalive.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let (messages, bytes) = (&self.taken.messages, &self.taken.bytes);
            if let Some(room) = credit.grant(messages.load(Ordering::Relaxed), bytes.load(Ordering::Relaxed)) {
                receiver.set_credit(room).await.map_err(|error| reading(error.into()))?;
            }
            tokio::select! {
                biased;
                received = receiver.recv::<Body<Value>>() => {
                    let read = match received {
                        Ok(delivery) => {
                            receiver.accept(&delivery).await.map_err(|error| reading(error.into()))?;
                            place(delivery.into_message(), carried)
                        }
                        Err(RecvError::MessageDecode(error)) => {
                            Err(NoPlace::Undecodable { cause: error.source.to_string() })
                        }
                        Err(error) => return Err(reading(error.into())),
                    };
                    match read {
                        Ok(mut arrived) => {
                            credit.arrive(arrived.bytes);
                            arrived.newest = arrived.newest.or(Some(newest));
                            self.arrive(arrived, &mut track).await?;
                        }
                        // It can't be told apart from others, so it can't be handed on. The gap in the numbers will
                        // say that one is missing; reading it again and again would not make it readable.
                        Err(error) => {
                            credit.skip();
                            tracing::warn!(upstream = about.upstream, what = about.what, %error, "message skipped");
                        }
                    }
                }
                () = self.taken.changed.notified() => {}
                _ = keepalive.tick() => {
                    let outstanding = receiver.credit();
                    receiver.set_credit(outstanding).await.map_err(|error| reading(error.into()))?;
                }
            }
        }
    }

    async fn arrive(&self, arrived: Arrived, track: &mut Track) -> Result<(), SourceError> {
        let partition = &self.assignment.partition;
        let gap = match track.arrive(arrived.position.sequence) {
            Arrival::Follows => None,
            Arrival::Jumps(gap) | Arrival::TurnsBack(gap) => Some(gap),
        };
        let generation = track.generation;
        let gap = gap.map(|gap| self.gap(gap, generation, arrived.position.sequence.saturating_sub(1)));
        let covered = Covered { generation, position: arrived.position.clone() };
        let (newest, bytes) = (arrived.newest, arrived.bytes);
        let entry = Some(arrived.into_entry(generation, partition));
        self.pass(Item { gap, entry, covered, newest, bytes }).await
    }

    /// A gap as an entry, standing where the last of what is missing stood.
    fn gap(&self, gap: Gap, generation: Generation, sequence: i64) -> Entry {
        let partition = Arc::clone(&self.assignment.partition);
        let upstream = self.assignment.hub.0.name();
        tracing::warn!(upstream, partition = %partition, lost = gap.lost, reason = ?gap.reason, "messages are missing");
        let coordinates = Coordinates::Log { generation, partition, sequence };
        Entry { content: Content::Gap(gap), coordinates, published: None }
    }

    async fn pass(&self, item: Item) -> Result<(), SourceError> {
        let about = About { upstream: "the pipeline", what: "" };
        self.items.send(Ok(item)).await.map_err(|_| about.disconnected("it takes no more"))
    }
}

/// Reads a message, wherever its payload went.
fn place(message: Message<Body<Value>>, carried: &Carried) -> Result<Arrived, NoPlace> {
    match &message.body {
        Body::Value(AmqpValue(Value::Symbol(note))) => match carried.take(note.as_str()) {
            Some(payload) => message::read_encoded(&payload),
            None => message::read(message),
        },
        Body::Value(_) | Body::Data(_) | Body::Sequence(_) | Body::Empty => message::read(message),
    }
}

/// Renews the token as long as the link reads. Returns only when it can't be renewed in time.
async fn keep_token(token: Option<TokenNode>, assignment: &Assignment) -> SourceError {
    let Some(mut token) = token else { return std::future::pending().await };
    let (place, clock) = (&*assignment.hub.0, &assignment.clock);
    loop {
        tokio::time::sleep(token.renew_at.since(clock.now())).await;
        let Err(error) = token.put(place, clock).await else { continue };
        tracing::warn!(upstream = place.name(), %error, expires = %token.expires, "token not renewed");
        let next = clock.now().plus(RENEW_RETRY);
        if next >= token.expires {
            return error;
        }
        token.renew_at = next;
    }
}

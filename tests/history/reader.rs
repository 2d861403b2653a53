//! A subscriber that reads all the time: it acknowledges what it gets, goes on at another node when its own is gone, and
//! writes down what it saw. How it speaks to a node is the scenario's.

use std::fs::File;
use std::io::Write as _;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::future::BoxFuture;
use futures_util::stream::BoxStream;
use ring::digest;
use serde_json::json;
use siemgate::clock::Clock;
use siemgate::wire::v1;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

/// Events that may be on their way to it.
pub const CREDIT: u32 = 1_000;
/// A node that says nothing for longer, not even that it lives, is gone.
const SILENCE: Duration = Duration::from_secs(8);
/// How long a node may take to open the subscription.
const PATIENCE: Duration = Duration::from_secs(3);
const OFTEN: Duration = Duration::from_millis(50);
/// Words that wait to be sent: two for each delivery.
pub const WORDS: usize = 1_000;

/// What matters of what a node says.
pub enum Heard {
    Delivery {
        feed: String,
        epoch: u64,
        generation: u64,
        through: u64,
        events: Vec<v1::Event>,
    },
    /// That it lives, or that it took no acknowledgement: whoever refuses one has another owner's word for it.
    Alive,
    Closing,
}

/// What the subscriber says.
pub enum Said {
    Credit(u32),
    Ack(v1::Ack),
}

/// An open subscription, at a node.
pub struct Talk {
    pub node: u64,
    pub epoch: u64,
    pub say: mpsc::Sender<Said>,
    pub news: BoxStream<'static, Heard>,
}

/// Where a subscription can be opened.
pub trait Fronts: Send + Sync + 'static {
    /// Opens it at the next node that is there, in turns.
    fn open(&self, turn: usize) -> BoxFuture<'_, Option<Talk>>;
}

#[derive(Debug, Clone, Default)]
struct Orders {
    silent: bool,
    /// Counted up when it is to leave its node from one moment to the next.
    left: u64,
}

/// Reads until it is dropped.
pub struct Reader {
    orders: watch::Sender<Orders>,
    front: Arc<AtomicU64>,
    _task: JoinSet<()>,
}

impl Reader {
    /// Reads the subscription, and writes into the folder what comes of it.
    pub fn start(subscription: &str, folder: &Path, fronts: impl Fronts) -> Self {
        let history = File::create(folder.join(format!("received-{subscription}.jsonl"))).unwrap();
        let (orders, heard) = watch::channel(Orders::default());
        let (front, mut task) = (Arc::new(AtomicU64::new(0)), JoinSet::new());
        let reading = Reading { history, orders: heard, front: front.clone() };
        task.spawn(reading.run(fronts));
        Self { orders, front, _task: task }
    }

    /// The node that it reads from; 0 if there is none.
    pub fn front(&self) -> u64 {
        self.front.load(Ordering::SeqCst)
    }

    /// The node is gone: whoever read from it notices.
    pub fn lost(&self, node: u64) {
        if self.front() == node {
            self.dies();
        }
    }

    /// Its connection ends from one moment to the next, with whatever it did not acknowledge; another one begins.
    pub fn dies(&self) {
        self.orders.send_modify(|orders| orders.left += 1);
    }

    /// Reads on, and acknowledges nothing until it is told to.
    pub fn acknowledges(&self, acknowledges: bool) {
        self.orders.send_modify(|orders| orders.silent = !acknowledges);
    }
}

struct Reading {
    history: File,
    orders: watch::Receiver<Orders>,
    front: Arc<AtomicU64>,
}

impl Reading {
    async fn run(mut self, fronts: impl Fronts) {
        for turn in 0.. {
            match timeout(PATIENCE, fronts.open(turn)).await {
                Ok(Some(talk)) => {
                    self.front.store(talk.node, Ordering::SeqCst);
                    self.read(talk).await;
                    self.front.store(0, Ordering::SeqCst);
                }
                Ok(None) | Err(_) => sleep(OFTEN).await,
            }
        }
    }

    /// Until the conversation ends, or it is told to leave.
    async fn read(&mut self, mut talk: Talk) {
        let left = self.orders.borrow_and_update().left;
        if talk.say.send(Said::Credit(CREDIT)).await.is_err() {
            return;
        }
        loop {
            let heard = tokio::select! {
                heard = timeout(SILENCE, talk.news.next()) => heard,
                changed = self.orders.changed() => match changed {
                    Ok(()) => Ok(Some(Heard::Alive)),
                    Err(_) => return,
                },
            };
            // As one, so that it says nothing more where it was told to leave.
            let orders = self.orders.borrow_and_update().clone();
            if orders.left != left {
                return;
            }
            match heard {
                Ok(Some(Heard::Delivery { feed, epoch, generation, through, events })) => {
                    self.note(&feed, epoch, talk.epoch, &events);
                    let count = u32::try_from(events.len()).expect("a message holds few");
                    let mut words = vec![Said::Credit(count)];
                    if !orders.silent {
                        self.confirm(&events);
                        let subscription_epoch = talk.epoch;
                        words.push(Said::Ack(v1::Ack { subscription_epoch, feed, epoch, generation, through }));
                    }
                    for word in words {
                        if talk.say.send(word).await.is_err() {
                            return;
                        }
                    }
                }
                Ok(Some(Heard::Alive)) => {}
                Ok(Some(Heard::Closing) | None) | Err(_) => return,
            }
        }
    }

    fn note(&mut self, feed: &str, epoch: u64, connection: u64, events: &[v1::Event]) {
        let at = Clock::System.now().nanos();
        let line = |event: &v1::Event| {
            let digest = digest::digest(&digest::SHA256, &event.payload);
            let sha256: String = digest.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
            let line = json!({"kind": "received", "at": at, "conn": connection, "id": event.id, "feed": feed,
                "epoch": epoch, "record": event.record, "sha256": sha256});
            format!("{line}\n")
        };
        let lines: String = events.iter().map(line).collect();
        self.history.write_all(lines.as_bytes()).unwrap();
    }

    fn confirm(&mut self, events: &[v1::Event]) {
        let ids: Vec<&str> = events.iter().map(|event| event.id.as_str()).collect();
        let line = json!({"kind": "confirmed", "at": Clock::System.now().nanos(), "ids": ids});
        self.history.write_all(format!("{line}\n").as_bytes()).unwrap();
    }
}

//! Nodes of this process as a subscriber finds them.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures_util::future::{BoxFuture, FutureExt as _};
use futures_util::stream::StreamExt as _;
use parking_lot::Mutex;
use prost::Message as _;
use siemgate::admin::events::{Ack, News, Shown, Subscriptions, Word};
use siemgate::ids::{Epoch, Generation};
use siemgate::wire::EventBatch;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

use crate::gateway::SOC;
use crate::reader::{Fronts, Heard, Said, Talk, WORDS};
use crate::subscriber::asking;

/// Whoever serves subscribers, by node.
#[derive(Clone, Default)]
pub struct Doors(Arc<Mutex<BTreeMap<u64, Arc<dyn Subscriptions>>>>);

impl Doors {
    pub fn open(&self, node: u64, door: Arc<dyn Subscriptions>) {
        self.0.lock().insert(node, door);
    }

    pub fn close(&self, node: u64) {
        self.0.lock().remove(&node);
    }

    fn nth(&self, turn: usize) -> Option<(u64, Arc<dyn Subscriptions>)> {
        let doors = self.0.lock();
        let count = doors.len().max(1);
        doors.iter().nth(turn % count).map(|(node, door)| (*node, door.clone()))
    }

    async fn talk(&self, turn: usize) -> Option<Talk> {
        let (node, door) = self.nth(turn)?;
        let (say, said) = mpsc::channel(WORDS);
        let words = ReceiverStream::new(said).map(word).boxed();
        let mut news = door.subscribe(asking(SOC, "reader", Shown::Administrator), words).await.ok()?;
        let Some(News::Opened { epoch, .. }) = news.next().await else { return None };
        Some(Talk { node, epoch: epoch.0, say, news: news.map(heard).boxed() })
    }
}

impl Fronts for Doors {
    fn open(&self, turn: usize) -> BoxFuture<'_, Option<Talk>> {
        self.talk(turn).boxed()
    }
}

fn word(said: Said) -> Word {
    match said {
        Said::Credit(events) => Word::Credit { events },
        Said::Ack(ack) => Word::Ack(Ack {
            subscription_epoch: Epoch(ack.subscription_epoch),
            feed: ack.feed,
            epoch: Epoch(ack.epoch),
            generation: Generation(ack.generation),
            through: ack.through,
        }),
    }
}

fn heard(news: News) -> Heard {
    match news {
        News::Delivery(delivery) => Heard::Delivery {
            feed: delivery.feed.to_string(),
            epoch: delivery.epoch.0,
            generation: delivery.generation.0,
            through: delivery.through,
            events: EventBatch::decode(delivery.batch).unwrap().events,
        },
        News::Closing { .. } => Heard::Closing,
        News::Opened { .. } | News::Feeds(_) | News::Heartbeat | News::AckRefused { .. } => Heard::Alive,
    }
}

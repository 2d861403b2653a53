//! Nodes as a subscriber finds them: over their API, one after the other.

use std::path::PathBuf;

use futures_util::future::{BoxFuture, FutureExt as _};
use futures_util::stream::StreamExt as _;
use siemgate::wire::v1;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Request;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::transport::Endpoint;
use v1::events_client::EventsClient;
use v1::subscribe_request::Message as Say;
use v1::subscribe_response::Message as Hear;

use super::network::{API, address};
use super::stage::SOC;
use crate::reader::{Fronts, Heard, Said, Talk, WORDS};

pub struct Apis {
    pub nodes: u64,
    pub folder: PathBuf,
}

impl Fronts for Apis {
    fn open(&self, turn: usize) -> BoxFuture<'_, Option<Talk>> {
        let node = u64::try_from(turn).expect("few turns") % self.nodes + 1;
        self.talk(node).boxed()
    }
}

impl Apis {
    async fn talk(&self, node: u64) -> Option<Talk> {
        let token = std::fs::read_to_string(self.folder.join(format!("node-{node}/data/admin.token"))).ok()?;
        let bearer: MetadataValue<Ascii> = format!("Bearer {}", token.trim()).parse().ok()?;
        let endpoint = Endpoint::from_shared(format!("http://{}:{API}", address(node))).ok()?;
        let (say, said) = mpsc::channel(WORDS);
        let open = Say::Open(v1::Open { subscription: SOC.to_owned(), member: "reader".to_owned() });
        let opening = futures_util::stream::iter([v1::SubscribeRequest { message: Some(open) }]);
        let mut request = Request::new(opening.chain(ReceiverStream::new(said).map(word)));
        request.metadata_mut().insert("authorization", bearer);
        let channel = endpoint.connect().await.ok()?;
        let mut news = EventsClient::new(channel).subscribe(request).await.ok()?.into_inner();
        let Some(Hear::Opened(opened)) = news.message().await.ok()??.message else { return None };
        // An error is the end of the conversation.
        let news = news.take_while(|heard| std::future::ready(heard.is_ok())).filter_map(async |heard| heard.ok());
        Some(Talk { node, epoch: opened.subscription_epoch, say, news: news.map(heard).boxed() })
    }
}

fn word(said: Said) -> v1::SubscribeRequest {
    let message = match said {
        Said::Credit(events) => Say::Credit(v1::Credit { events }),
        Said::Ack(ack) => Say::Ack(ack),
    };
    v1::SubscribeRequest { message: Some(message) }
}

fn heard(response: v1::SubscribeResponse) -> Heard {
    match response.message {
        Some(Hear::Delivery(delivery)) => Heard::Delivery {
            feed: delivery.feed,
            epoch: delivery.epoch,
            generation: delivery.generation,
            through: delivery.through,
            events: delivery.batch.map(|batch| batch.events).unwrap_or_default(),
        },
        Some(Hear::Closing(_)) => Heard::Closing,
        Some(Hear::Opened(_) | Hear::Feeds(_) | Hear::Heartbeat(_) | Hear::AckRefused(_)) | None => Heard::Alive,
    }
}

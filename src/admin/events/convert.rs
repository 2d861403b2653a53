//! The public API's messages to and from ours.

use super::{Ack, CloseReason, Delivery, FeedStart, News, Place, Start, Word};
use crate::ids::{Epoch, Generation};
use crate::wire::{EventBatch, v1};
use v1::subscribe_response::Message;

pub(super) fn word_from_wire(request: v1::SubscribeRequest) -> Word {
    use v1::subscribe_request::Message;
    match request.message {
        Some(Message::Credit(credit)) => Word::Credit { events: credit.events },
        Some(Message::Ack(ack)) => Word::Ack(Ack {
            subscription_epoch: Epoch(ack.subscription_epoch),
            feed: ack.feed,
            epoch: Epoch(ack.epoch),
            generation: Generation(ack.generation),
            through: ack.through,
        }),
        Some(Message::Open(_)) => Word::Misuse("`open` is said once, by the first message"),
        None => Word::Misuse("a message says nothing that this version knows"),
    }
}

pub(super) fn news_to_wire(news: News) -> v1::SubscribeResponse {
    let message = match news {
        News::Opened { epoch, feeds, unacked_events, unacked_bytes, format } => {
            let (subscription_epoch, feeds) = (epoch.0, Some(feeds_to_wire(feeds)));
            let format = format.to_owned();
            Message::Opened(v1::Opened { subscription_epoch, feeds, unacked_events, unacked_bytes, format })
        }
        News::Delivery(delivery) => Message::Delivery(delivery_to_wire(delivery)),
        News::Feeds(feeds) => Message::Feeds(feeds_to_wire(feeds)),
        News::Heartbeat => Message::Heartbeat(v1::Heartbeat {}),
        News::AckRefused { feed, through, reason } => Message::AckRefused(v1::AckRefused { feed, through, reason }),
        News::Closing { reason, text } => {
            let reason = match reason {
                CloseReason::Replaced => v1::CloseReason::Replaced,
                CloseReason::Changed => v1::CloseReason::Changed,
                CloseReason::NodeStops => v1::CloseReason::NodeStops,
                CloseReason::Misused => v1::CloseReason::Misused,
            };
            Message::Closing(v1::Closing { reason: reason.into(), text })
        }
    };
    v1::SubscribeResponse { message: Some(message) }
}

fn delivery_to_wire(delivery: Delivery) -> v1::Delivery {
    v1::Delivery {
        feed: delivery.feed.to_string(),
        epoch: delivery.epoch.0,
        generation: delivery.generation.0,
        through: delivery.through,
        count: delivery.events,
        after: delivery.after.map(place_to_wire),
        batch: Some(EventBatch::framed(delivery.batch)),
        replayed: delivery.replayed,
    }
}

fn feeds_to_wire(feeds: Vec<FeedStart>) -> v1::FeedList {
    use v1::feed_start::Start as Wire;
    let feeds = feeds.into_iter().map(|feed| v1::FeedStart {
        feed: feed.feed.to_string(),
        epoch: feed.epoch.0,
        generation: feed.generation.0,
        start: Some(match feed.start {
            Start::After(place) => Wire::After(place_to_wire(place)),
            Start::Earliest => Wire::Earliest(v1::Begin {}),
            Start::Latest => Wire::Latest(v1::Begin {}),
            Start::Since(time) => Wire::SinceNanos(time.nanos()),
            Start::From(sequence) => Wire::FromSequence(sequence),
        }),
    });
    v1::FeedList { feeds: feeds.collect() }
}

fn place_to_wire(place: Place) -> v1::Position {
    match place {
        Place::Sequence(sequence) => v1::Position { sequence: Some(sequence), updated_before_nanos: None },
        Place::UpdatedBefore(time) => v1::Position { sequence: None, updated_before_nanos: Some(time.nanos()) },
    }
}

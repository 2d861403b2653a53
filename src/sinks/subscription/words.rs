//! What the node in front and an owner say to each other, as protobuf.

use bytes::Bytes;
use prost::Message;

use super::window::{Acknowledgement, Chunk};
use crate::clock::Timestamp;
use crate::event::batch::{LogPosition, ObjectsPosition, Position};
use crate::ids::{BadName, Epoch, Generation, MemberName, SinkId};
use crate::wire::cluster::v1 as pb;

/// From the node in front.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ToOwner {
    Visit { subscription: SinkId, member: MemberName, epoch: Epoch },
    Fetch { events: u32 },
    Acknowledge(Acknowledgement),
}

/// From an owner.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FromOwner {
    Waiting,
    Part { more: bool, chunk: Option<Chunk> },
    Refused { feed: String, through: u64, reason: String },
    Over { why: String },
}

/// The other side said something that can't be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadWord {
    #[error("it can't be decoded: {0}")]
    Malformed(String),
    #[error("it is of a newer version")]
    Unknown,
}

impl From<prost::DecodeError> for BadWord {
    fn from(error: prost::DecodeError) -> Self {
        Self::Malformed(error.to_string())
    }
}
impl From<BadName> for BadWord {
    fn from(error: BadName) -> Self {
        Self::Malformed(error.to_string())
    }
}

impl ToOwner {
    pub fn encode(&self) -> Bytes {
        use pb::to_owner::Word;
        let word = match self {
            Self::Visit { subscription, member, epoch } => Word::Visit(pb::Visit {
                subscription: subscription.to_string(),
                member: member.to_string(),
                epoch: epoch.0,
            }),
            Self::Fetch { events } => Word::Fetch(pb::Fetch { events: *events }),
            Self::Acknowledge(ack) => Word::Acknowledge(pb::DeliveryAck {
                feed: ack.feed.to_string(),
                epoch: ack.epoch.0,
                generation: ack.generation.0,
                through: ack.through,
            }),
        };
        pb::ToOwner { word: Some(word) }.encode_to_vec().into()
    }

    pub fn decode(bytes: Bytes) -> Result<Self, BadWord> {
        use pb::to_owner::Word;
        Ok(match pb::ToOwner::decode(bytes)?.word.ok_or(BadWord::Unknown)? {
            Word::Visit(visit) => Self::Visit {
                subscription: visit.subscription.parse()?,
                member: visit.member.parse()?,
                epoch: Epoch(visit.epoch),
            },
            Word::Fetch(fetch) => Self::Fetch { events: fetch.events },
            Word::Acknowledge(ack) => Self::Acknowledge(Acknowledgement {
                feed: ack.feed.parse().map_err(|_| BadWord::Malformed("it names no feed".into()))?,
                epoch: Epoch(ack.epoch),
                generation: Generation(ack.generation),
                through: ack.through,
            }),
        })
    }
}

impl FromOwner {
    pub fn encode(self) -> Bytes {
        use pb::from_owner::Word;
        let word = match self {
            Self::Waiting => Word::Waiting(pb::Waiting {}),
            Self::Part { more, chunk } => Word::Part(pb::Part { more, chunk: chunk.map(chunk_to_wire) }),
            Self::Refused { feed, through, reason } => Word::Refused(pb::DeliveryRefusal { feed, through, reason }),
            Self::Over { why } => Word::Over(pb::Over { why }),
        };
        pb::FromOwner { word: Some(word) }.encode_to_vec().into()
    }

    pub fn decode(bytes: Bytes) -> Result<Self, BadWord> {
        use pb::from_owner::Word;
        Ok(match pb::FromOwner::decode(bytes)?.word.ok_or(BadWord::Unknown)? {
            Word::Waiting(_) => Self::Waiting,
            Word::Part(part) => Self::Part { more: part.more, chunk: part.chunk.map(chunk_from_wire).transpose()? },
            Word::Refused(pb::DeliveryRefusal { feed, through, reason }) => Self::Refused { feed, through, reason },
            Word::Over(over) => Self::Over { why: over.why },
        })
    }
}

fn chunk_to_wire(chunk: Chunk) -> pb::Chunk {
    let (sequence, updated_before_nanos) = match &chunk.after {
        Some(Position::Log(log)) => (Some(log.sequence), None),
        Some(Position::Objects(objects)) => (None, Some(objects.from.nanos())),
        None => (None, None),
    };
    pb::Chunk {
        feed: chunk.feed.to_string(),
        epoch: chunk.epoch.0,
        generation: chunk.generation.0,
        through: chunk.through,
        events: chunk.events,
        batch: chunk.frames,
        sequence,
        updated_before_nanos,
        replayed: chunk.replayed,
    }
}

/// Of a position only what is shown to people travels.
fn chunk_from_wire(wire: pb::Chunk) -> Result<Chunk, BadWord> {
    let after = match (wire.sequence, wire.updated_before_nanos) {
        (Some(sequence), _) => {
            Some(Position::Log(LogPosition { offset: String::new(), sequence, enqueued: Timestamp::ZERO }))
        }
        (None, Some(nanos)) => Some(Position::Objects(ObjectsPosition { from: Timestamp::from_nanos(nanos) })),
        (None, None) => None,
    };
    Ok(Chunk {
        feed: wire.feed.parse().map_err(|_| BadWord::Malformed("it names no feed".into()))?,
        epoch: Epoch(wire.epoch),
        generation: Generation(wire.generation),
        through: wire.through,
        events: wire.events,
        frames: wire.batch,
        after,
        replayed: wire.replayed,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_reads_back_as_it_was_said() {
        let feed: crate::ids::FeedId = "contoso/hub/0".parse().unwrap();
        let (epoch, generation) = (Epoch(3), Generation(4));
        let ack = Acknowledgement { feed: feed.clone(), epoch, generation, through: 9 };
        let visit = ToOwner::Visit { subscription: "soc".parse().unwrap(), member: "a".parse().unwrap(), epoch };
        for word in [visit, ToOwner::Fetch { events: 7 }, ToOwner::Acknowledge(ack)] {
            assert_eq!(ToOwner::decode(word.encode()).unwrap(), word);
        }
        let after = Some(Position::Objects(ObjectsPosition { from: Timestamp::from_millis(5) }));
        let frames = Bytes::from_static(b"frames");
        let chunk = Chunk { feed, epoch, generation, through: 9, events: 2, frames, after, replayed: true };
        for word in [
            FromOwner::Waiting,
            FromOwner::Part { more: true, chunk: Some(chunk) },
            FromOwner::Part { more: false, chunk: None },
            FromOwner::Refused { feed: "f".into(), through: 1, reason: "r".into() },
            FromOwner::Over { why: "w".into() },
        ] {
            assert_eq!(FromOwner::decode(word.clone().encode()).unwrap(), word);
        }
        assert_eq!(ToOwner::decode(Bytes::new()), Err(BadWord::Unknown));
        assert!(FromOwner::decode(Bytes::from_static(b"\xFF")).is_err());
    }
}

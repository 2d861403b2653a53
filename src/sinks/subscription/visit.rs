//! One member's conversation with a desk: it is told that something waits, fetches it, and acknowledges it.

use bytes::Bytes;
use futures_util::stream::{self, BoxStream, StreamExt as _};
use tokio::sync::watch;
use tokio::time::sleep;

use super::desk::Visitor;
use super::window::Room;
use super::words::{BadWord, FromOwner, ToOwner};
use crate::sinks::limits::{CHUNK_BYTES, VISIT_LOOK};

/// Words in either direction.
pub type Words = BoxStream<'static, Bytes>;

/// Answers a visitor's words until one of both ends it. Nothing goes on unless the answer is polled.
pub fn serve(visitor: Visitor, words: Words) -> Words {
    let changes = visitor.changes();
    let serving = Serving { visitor, words, changes, announced: false, over: false };
    stream::unfold(serving, |mut serving| async move { Some((serving.next().await?.encode(), serving)) }).boxed()
}

/// The answer to a visitor that is not let in.
pub fn refuse(why: impl Into<String>) -> Words {
    let over = FromOwner::Over { why: why.into() }.encode();
    stream::iter([over]).boxed()
}

struct Serving {
    visitor: Visitor,
    words: Words,
    changes: watch::Receiver<()>,
    /// Whether the visitor knows that something waits.
    announced: bool,
    over: bool,
}

enum Action {
    Heard(Option<Result<ToOwner, BadWord>>),
    Look,
}

impl Serving {
    async fn next(&mut self) -> Option<FromOwner> {
        if self.over {
            return None;
        }
        loop {
            if !self.visitor.is_open() {
                return self.end("another connection has taken its place, or the subscription has changed");
            }
            if !self.announced && self.visitor.has_more() {
                self.announced = true;
                return Some(FromOwner::Waiting);
            }
            match self.select().await {
                Action::Look => {}
                Action::Heard(None) => return None,
                Action::Heard(Some(Ok(word))) => {
                    if let Some(answer) = self.apply(word) {
                        return Some(answer);
                    }
                }
                Action::Heard(Some(Err(bad))) => return self.end(&format!("a word can't be read: {bad}")),
            }
        }
    }

    async fn select(&mut self) -> Action {
        tokio::select! {
            biased;
            word = self.words.next() => Action::Heard(word.map(ToOwner::decode)),
            _ = self.changes.changed() => Action::Look,
            () = sleep(VISIT_LOOK) => Action::Look,
        }
    }

    fn apply(&mut self, word: ToOwner) -> Option<FromOwner> {
        match word {
            ToOwner::Fetch { events } => {
                let chunk = self.visitor.fetch(Room { events: events.into(), bytes: CHUNK_BYTES });
                let more = self.visitor.has_more();
                self.announced = more;
                Some(FromOwner::Part { more, chunk })
            }
            ToOwner::Acknowledge(ack) => {
                let refused = self.visitor.acknowledge(&ack).err()?;
                let (feed, through) = (ack.feed.to_string(), ack.through);
                Some(FromOwner::Refused { feed, through, reason: refused.to_string() })
            }
            ToOwner::Visit { .. } => self.end("a visit begins once"),
        }
    }

    fn end(&mut self, why: &str) -> Option<FromOwner> {
        self.over = true;
        Some(FromOwner::Over { why: why.to_owned() })
    }
}

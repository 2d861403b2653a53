//! What this node committed, for a checker that compares it with what upstream produced and a receiver got. Off unless
//! asked for; a line is written after the commit it tells of is durable.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::Path;

use parking_lot::Mutex;
use serde_json::json;

use super::NodeError;
use crate::clock::Timestamp;
use crate::cluster::CursorItem;
use crate::event::batch::{Coordinates, Position};
use crate::ids::{Epoch, FeedId};
use crate::pipeline::tap::Tapped;

#[derive(Debug, Default)]
pub struct History(Option<Mutex<File>>);

impl History {
    pub fn open(path: Option<&Path>) -> Result<Self, NodeError> {
        let Some(path) = path else { return Ok(Self(None)) };
        let file = OpenOptions::new().create(true).append(true).open(path);
        let file = file.map_err(|cause| NodeError::History { path: path.to_owned(), cause })?;
        Ok(Self(Some(Mutex::new(file))))
    }

    pub fn wanted(&self) -> bool {
        self.0.is_some()
    }

    pub fn epoch(&self, feed: &FeedId, epoch: Epoch, at: Timestamp) {
        self.line(|| json!({"kind": "epoch", "at": at.nanos(), "feed": feed, "epoch": epoch}));
    }

    /// A version of an object became an event. Records of a log need no such line: their ids follow from where they stand.
    pub fn read(&self, event: &Tapped, at: Timestamp) {
        let Coordinates::Object { id, version } = &event.coordinates else { return };
        self.line(|| {
            let digest: String = version.digest.iter().map(|byte| format!("{byte:02x}")).collect();
            json!({
                "kind": "read", "at": at.nanos(), "feed": event.feed, "epoch": event.epoch, "object": id,
                "updated": version.updated.to_microsoft(), "digest": digest, "id": event.id,
            })
        });
    }

    pub fn committed(&self, item: &CursorItem, at: Timestamp) {
        for (sink, position) in &item.cursors {
            self.line(|| {
                let mut line = json!({
                    "kind": "committed", "at": at.nanos(), "feed": item.feed, "sink": sink, "epoch": item.epoch,
                    "generation": item.generation,
                });
                match position {
                    Position::Log(log) => line["sequence"] = json!(log.sequence),
                    Position::Objects(objects) => line["from"] = json!(objects.from.to_microsoft()),
                }
                line
            });
        }
    }

    fn line(&self, content: impl FnOnce() -> serde_json::Value) {
        let Some(file) = &self.0 else { return };
        let line = format!("{}\n", content());
        if let Err(error) = file.lock().write_all(line.as_bytes()) {
            tracing::warn!(%error, "can't write the history file");
        }
    }
}

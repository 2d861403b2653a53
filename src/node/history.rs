//! What this node applied and read, for a checker that compares it with what upstream produced and a receiver got. Off
//! unless asked for. Several nodes tell of the same entries of the cluster's log; the checker counts each once.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::Path;

use parking_lot::Mutex;
use serde_json::{Value, json};

use super::NodeError;
use crate::clock::Clock;
use crate::cluster::{Chronicle, Command, ControlState, CursorItem, CursorMove, ItemOutcome, MoveOutcome, Outcome};
use crate::event::batch::{Coordinates, Position};
use crate::ids::{Epoch, FeedId, NodeId};
use crate::pipeline::tap::Tapped;

#[derive(Debug)]
pub struct History {
    file: Option<Mutex<File>>,
    node: NodeId,
}

impl History {
    pub fn open(path: Option<&Path>, node: NodeId) -> Result<Self, NodeError> {
        let open = |path: &Path| {
            let file = OpenOptions::new().create(true).append(true).open(path);
            file.map_err(|cause| NodeError::History { path: path.to_owned(), cause })
        };
        Ok(Self { file: path.map(open).transpose()?.map(Mutex::new), node })
    }

    pub fn wanted(&self) -> bool {
        self.file.is_some()
    }

    /// A version of an object became an event. Records of a log need no such line: their ids follow from where they stand.
    pub fn read(&self, event: &Tapped) {
        let Coordinates::Object { id, version } = &event.coordinates else { return };
        self.line(|| {
            let digest: String = version.digest.iter().map(|byte| format!("{byte:02x}")).collect();
            json!({
                "kind": "read", "feed": event.feed, "epoch": event.epoch, "object": id,
                "updated": version.updated.to_microsoft(), "digest": digest, "id": event.id,
            })
        });
    }

    fn assigned(&self, (applied, step): (u64, u64), feed: &FeedId, epoch: Epoch) {
        self.line(|| json!({"kind": "epoch", "feed": feed, "epoch": epoch, "applied": applied, "step": step}));
    }

    fn committed(&self, (applied, step): (u64, u64), item: &CursorItem) {
        for (sink, position) in &item.cursors {
            self.line(|| {
                let mut line = json!({
                    "kind": "committed", "feed": item.feed, "sink": sink, "epoch": item.epoch,
                    "generation": item.generation, "applied": applied, "step": step,
                });
                match position {
                    Position::Log(log) => line["sequence"] = json!(log.sequence),
                    Position::Objects(objects) => line["from"] = json!(objects.from.to_microsoft()),
                }
                line
            });
        }
    }

    fn line(&self, content: impl FnOnce() -> Value) {
        let Some(file) = &self.file else { return };
        let mut line = content();
        let mut file = file.lock();
        // The machine's clock, whatever the node goes by: all processes' lines are compared.
        line["at"] = json!(Clock::System.now().nanos());
        if let Err(error) = file.write_all(format!("{line}\n").as_bytes()) {
            tracing::warn!(%error, "can't write the history file");
        }
    }
}

impl Chronicle for History {
    fn applied(&self, place: (u64, u64), command: &Command, outcome: &Outcome, state: &ControlState) {
        match (command, outcome) {
            (Command::CommitCursors { items, .. }, Outcome::Items(outcomes)) => {
                let taken = items.iter().zip(outcomes).filter(|(_, outcome)| **outcome == ItemOutcome::Done);
                taken.for_each(|(item, _)| self.committed(place, item));
            }
            (Command::AssignFeeds { moves, .. }, Outcome::Assigned(outcomes)) => {
                for ((feed, _), outcome) in moves.iter().zip(outcomes) {
                    if let MoveOutcome::Epoch(epoch) = outcome {
                        self.assigned(place, feed, *epoch);
                    }
                }
            }
            // A feed that was recalled passes on with its release.
            (Command::Release { feed, .. }, Outcome::Done) => {
                if let Some(held) = state.feed(feed).filter(|held| held.owner.is_some()) {
                    self.assigned(place, feed, held.epoch);
                }
            }
            (Command::MoveCursor(CursorMove { feed, sink, .. }), Outcome::Done) => {
                self.line(|| json!({"kind": "rewound", "feed": feed, "sink": sink, "applied": place.0}));
                if let Some(held) = state.feed(feed) {
                    self.assigned(place, feed, held.epoch);
                }
            }
            _ => {}
        }
    }

    fn stands(&self, index: u64, digest: u128) {
        self.line(|| json!({"kind": "state", "node": self.node, "applied": index, "digest": format!("{digest:032x}")}));
    }
}

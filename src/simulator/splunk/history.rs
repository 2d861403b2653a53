//! Writes what became of events as JSON lines, for a checker to compare with what was sent and what was committed.
//!
//! An event is `accepted` when it is in memory, and `received` when it is in the index: only that outlives the process. An
//! indexer that ends in between has told nobody that it had it.

use std::fs::File;
use std::io::{self, Write as _};
use std::path::Path;

use serde_json::{Value, json};

use super::envelope::Arrived;
use super::indexer::Happened;
use crate::clock::Timestamp;

#[derive(Debug)]
pub struct History {
    file: File,
}

impl History {
    pub fn create(path: &Path) -> io::Result<Self> {
        Ok(Self { file: File::create(path)? })
    }

    pub fn write(&mut self, happened: &[Happened], at: Timestamp) {
        if !happened.is_empty() {
            self.lines(happened.iter().map(|what| line(what, at)));
        }
    }

    pub fn malformed(&mut self, reason: &str, at: Timestamp) {
        self.lines([json!({"kind": "malformed", "at": at.nanos(), "conn": 0, "reason": reason})]);
    }

    /// In one piece, so that a process that is killed leaves no more than its last line torn.
    fn lines(&mut self, lines: impl IntoIterator<Item = Value>) {
        let text: String = lines.into_iter().map(|line| format!("{line}\n")).collect();
        if let Err(error) = self.file.write_all(text.as_bytes()) {
            tracing::error!(%error, "the history is incomplete");
        }
    }
}

fn line(what: &Happened, at: Timestamp) -> Value {
    let of_event = |kind: &str, conn: u64, event: &Arrived| {
        let Arrived { id, feed, epoch, sha256, .. } = event;
        json!({"kind": kind, "at": at.nanos(), "conn": conn, "id": id, "feed": feed, "epoch": epoch, "sha256": sha256})
    };
    match what {
        Happened::Accepted(conn, event) => of_event("accepted", *conn, event),
        Happened::Indexed(conn, event) => of_event("received", *conn, event),
        Happened::Confirmed(conn, ids) => json!({"kind": "confirmed", "at": at.nanos(), "conn": conn, "ids": ids}),
    }
}

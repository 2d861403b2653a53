//! Writes what arrived as JSON lines, for a checker to compare with what was sent and what was committed.

use std::fs::File;
use std::io::{self, BufWriter, Write as _};
use std::path::Path;

use ring::digest;

use super::ledger::{Seen, UNNAMED};
use crate::clock::Timestamp;

/// Enough for a batch of frames in one write.
const BUFFER_BYTES: usize = 256 << 10;

#[derive(Debug)]
pub struct History {
    file: BufWriter<File>,
    line: Vec<u8>,
}

impl History {
    pub fn create(path: &Path) -> io::Result<Self> {
        Ok(Self { file: BufWriter::with_capacity(BUFFER_BYTES, File::create(path)?), line: Vec::new() })
    }

    pub fn received(&mut self, connection: u64, seen: &Seen<'_>, at: Timestamp) {
        let gateway = seen.header.gateway.as_ref();
        let text = digest::digest(&digest::SHA256, seen.header.text);
        let line = serde_json::json!({
            "kind": "received",
            "at": at.nanos(),
            "conn": connection,
            "id": hex(&seen.event),
            "feed": gateway.map_or(UNNAMED, |gateway| gateway.feed.as_ref()),
            "epoch": gateway.map_or(0, |gateway| gateway.epoch),
            "record": gateway.map_or(0, |gateway| gateway.record),
            "sha256": hex(text.as_ref()),
        });
        self.write(&line);
    }

    pub fn malformed(&mut self, connection: u64, reason: &str, at: Timestamp) {
        self.write(&serde_json::json!({ "kind": "malformed", "at": at.nanos(), "conn": connection, "reason": reason }));
    }

    fn write(&mut self, line: &serde_json::Value) {
        self.line.clear();
        // Writing to memory can't fail; writing to the file is reported once, when it is flushed.
        let _ = serde_json::to_writer(&mut self.line, line);
        self.line.push(b'\n');
        if let Err(error) = self.file.write_all(&self.line) {
            tracing::error!(%error, "the history is incomplete");
        }
    }

    pub fn flush(&mut self) {
        if let Err(error) = self.file.flush() {
            tracing::error!(%error, "the history is incomplete");
        }
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        for nibble in [byte >> 4, byte & 15] {
            text.push(char::from_digit(u32::from(nibble), 16).unwrap_or('0'));
        }
        text
    })
}

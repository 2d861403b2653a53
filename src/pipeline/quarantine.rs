//! Where a record goes that can't be processed: whole, with its coordinates and the reason, one JSON object a line.
//! A record counts as resolved only after its line is durable.

use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

use super::limits::{QUARANTINE_FILE_BYTES_MAX, QUARANTINE_TOTAL_BYTES_MAX};
use super::quarantine_files::{self as files, Found, Kept, Search};
use crate::clock::Timestamp;
use crate::event::batch::{Content, Coordinates, Entry, Shape, Version};
use crate::ids::Generation;

/// One record that can't be processed.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Quarantined {
    pub at: String,
    pub feed: String,
    pub epoch: u64,
    /// The id the event would have had.
    pub id: String,
    /// Where the record stands upstream, in words.
    pub coordinates: String,
    /// Which record of its message; nothing when the message as a whole can't be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub record: Option<u32>,
    pub reason: String,
    /// The one sink that refused it; nothing where it can't be read, so that no sink could have had it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sink: Option<String>,
    /// What it takes to process it again under the same id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub place: Option<Place>,
    #[serde(flatten)]
    pub raw: Raw,
}

/// Where a record stands upstream, for programs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shape: Option<Shape>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub published: Option<Timestamp>,
    pub at: At,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum At {
    Log { generation: Generation, partition: String, sequence: i64 },
    Object { id: String, version: Version },
}

impl Place {
    pub fn of(entry: &Entry) -> Self {
        let shape = match &entry.content {
            Content::Records { shape, .. } => Some(*shape),
            Content::Gap(_) | Content::Unreadable { .. } => None,
        };
        let at = match &entry.coordinates {
            Coordinates::Log { generation, partition, sequence } => {
                At::Log { generation: *generation, partition: partition.to_string(), sequence: *sequence }
            }
            Coordinates::Object { id, version } => At::Object { id: id.to_string(), version: *version },
        };
        Self { shape, published: entry.published, at }
    }
}

/// The record itself, as text when it is text.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Raw {
    Raw(String),
    RawBase64(String),
}

impl Raw {
    pub fn of(bytes: &[u8]) -> Self {
        match std::str::from_utf8(bytes) {
            Ok(text) => Self::Raw(text.to_owned()),
            Err(_) => Self::RawBase64(STANDARD.encode(bytes)),
        }
    }

    /// The bytes as they came; nothing where the line was altered by hand into something else.
    pub fn bytes(&self) -> Option<Vec<u8>> {
        match self {
            Self::Raw(text) => Some(text.as_bytes().to_vec()),
            Self::RawBase64(text) => STANDARD.decode(text).ok(),
        }
    }
}

#[derive(Debug, thiserror::Error)]
pub enum QuarantineError {
    #[error("can't read {}: {cause}; check its permissions", path.display())]
    Read { path: PathBuf, cause: io::Error },
    #[error("can't write {}: {cause}; check free space and permissions", path.display())]
    Write { path: PathBuf, cause: io::Error },
    #[error(
        "the quarantine in {} is full ({} MiB); look through its files, then move them away",
        folder.display(),
        QUARANTINE_TOTAL_BYTES_MAX >> 20
    )]
    Full { folder: PathBuf },
}

/// The node's quarantine folder. Cloning shares it.
#[derive(Debug, Clone)]
pub struct Quarantine {
    inner: Arc<Mutex<Inner>>,
}

#[derive(Debug)]
struct Inner {
    folder: PathBuf,
    open: Option<Open>,
}

#[derive(Debug)]
struct Open {
    file: File,
    path: PathBuf,
    bytes: u64,
}

impl Quarantine {
    /// The folder is made when the first record comes.
    pub fn new(folder: PathBuf) -> Self {
        Self { inner: Arc::new(Mutex::new(Inner { folder, open: None })) }
    }

    /// Appends all and makes them durable. Not cancelled by dropping: the lines are written or the error is lost.
    pub async fn keep(&self, records: Vec<Quarantined>) -> Result<(), QuarantineError> {
        if records.is_empty() {
            return Ok(());
        }
        let inner = self.inner.clone();
        let written = tokio::task::spawn_blocking(move || inner.lock().append(&records));
        written.await.expect("the write does not panic, and nobody aborts it")
    }

    /// The records that `wants` lets pass, the oldest first.
    pub async fn find(
        &self,
        search: Search,
        wants: impl Fn(&Kept) -> bool + Send + 'static,
    ) -> Result<Found, QuarantineError> {
        let inner = self.inner.clone();
        let found = tokio::task::spawn_blocking(move || {
            let folder = inner.lock().folder.clone();
            files::find(&folder, &search, &wants)
        });
        found.await.expect("the search does not panic, and nobody aborts it")
    }

    /// Takes records out, durably, and answers how many there were. Not cancelled by dropping.
    pub async fn remove(&self, ids: BTreeSet<String>) -> Result<usize, QuarantineError> {
        let inner = self.inner.clone();
        let removed = tokio::task::spawn_blocking(move || {
            let mut inner = inner.lock();
            // The file that is open may be the one that is written anew: what comes next goes to another.
            inner.open = None;
            files::remove(&inner.folder, &ids)
        });
        removed.await.expect("the removal does not panic, and nobody aborts it")
    }
}

impl Inner {
    fn append(&mut self, records: &[Quarantined]) -> Result<(), QuarantineError> {
        let mut lines = Vec::new();
        for record in records {
            serde_json::to_writer(&mut lines, record).expect("strings and numbers always serialise");
            lines.push(b'\n');
        }
        let result = self.append_lines(&lines);
        if result.is_err() {
            // A torn line may stand at the end of the file: the next attempt starts a new one.
            self.open = None;
        }
        result
    }

    fn append_lines(&mut self, lines: &[u8]) -> Result<(), QuarantineError> {
        let folder = self.folder.clone();
        let failed = |path: &Path| {
            let path = path.to_owned();
            move |cause| QuarantineError::Write { path, cause }
        };
        if self.open.as_ref().is_none_or(|open| open.bytes >= QUARANTINE_FILE_BYTES_MAX) {
            fs::create_dir_all(&folder).map_err(failed(&folder))?;
            let (number, total) = survey(&folder).map_err(failed(&folder))?;
            if total + lines.len() as u64 > QUARANTINE_TOTAL_BYTES_MAX {
                return Err(QuarantineError::Full { folder });
            }
            let path = folder.join(format!("{number:06}.ndjson"));
            let file = OpenOptions::new().create_new(true).append(true).open(&path).map_err(failed(&path))?;
            File::open(&folder).and_then(|folder| folder.sync_all()).map_err(failed(&folder))?;
            self.open = Some(Open { file, path, bytes: 0 });
        }
        let Some(open) = &mut self.open else { return Err(QuarantineError::Full { folder }) };
        let synced = open.file.write_all(lines).and_then(|()| open.file.sync_data());
        synced.map_err(failed(&open.path))?;
        open.bytes += lines.len() as u64;
        Ok(())
    }
}

/// The number for the next file, and the bytes of all files.
fn survey(folder: &Path) -> io::Result<(u64, u64)> {
    let (mut number, mut total) = (1, 0);
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        total += entry.metadata()?.len();
        let stem = entry.path().file_stem().and_then(|stem| stem.to_str()?.parse::<u64>().ok());
        number = number.max(stem.unwrap_or(0) + 1);
    }
    Ok((number, total))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(raw: &[u8]) -> Quarantined {
        Quarantined {
            at: "2030-01-01T00:00:00.0000000Z".to_owned(),
            feed: "contoso/hub/0".to_owned(),
            epoch: 1,
            id: "00".to_owned(),
            coordinates: "partition 0, sequence 7".to_owned(),
            record: Some(2),
            reason: "not JSON".to_owned(),
            sink: None,
            place: None,
            raw: Raw::of(raw),
        }
    }

    #[tokio::test]
    async fn a_bad_record_is_kept_whole_whatever_its_bytes() {
        let folder = tempfile::tempdir().unwrap();
        let quarantine = Quarantine::new(folder.path().join("quarantine"));
        quarantine.keep(vec![record(b"{\"a\":\n"), record(b"\xff\x00")]).await.unwrap();
        quarantine.keep(vec![record(b"again")]).await.unwrap();
        let text = fs::read_to_string(folder.path().join("quarantine/000001.ndjson")).unwrap();
        let lines: Vec<serde_json::Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(lines.len(), 3);
        assert_eq!(lines[0]["raw"], "{\"a\":\n");
        assert_eq!(lines[1]["raw_base64"], STANDARD.encode(b"\xff\x00"));
        assert_eq!(lines[2]["coordinates"], "partition 0, sequence 7");
    }

    #[tokio::test]
    async fn a_restart_never_writes_after_a_torn_line() {
        let folder = tempfile::tempdir().unwrap();
        Quarantine::new(folder.path().to_owned()).keep(vec![record(b"one")]).await.unwrap();
        Quarantine::new(folder.path().to_owned()).keep(vec![record(b"two")]).await.unwrap();
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2);
    }
}

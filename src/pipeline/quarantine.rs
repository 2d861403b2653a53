//! Where a record goes that can't be processed: whole, with its coordinates and the reason, one JSON object a line, and
//! each line sealed under a key of its tenant. A record counts as resolved only after its line is durable.

use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

use super::limits::{QUARANTINE_FILE_BYTES_MAX, QUARANTINE_TOTAL_BYTES_MAX};
use super::quarantine_files::{Files, Found, Kept, Search};
use super::quarantine_keys::{Keys, QuarantineKeys};
use super::spool::KeyTrouble;
use crate::clock::Timestamp;
use crate::event::batch::{Content, Coordinates, Entry, Shape, Version};
use crate::ids::{Generation, TenantId};

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
    #[error("there is no key for what is quarantined of {tenant}: {cause}")]
    NoKey { tenant: TenantId, cause: KeyTrouble },
    #[error("`{feed}` is the feed of no tenant, so that there is no key to seal its record with")]
    NoTenant { feed: String },
    #[error("the system gives no randomness: nothing can be sealed until it does")]
    NoChance,
}

/// The node's quarantine folder. Cloning shares it.
#[derive(Debug, Clone)]
pub struct Quarantine {
    inner: Arc<Mutex<Inner>>,
}

#[derive(Debug)]
struct Inner {
    files: Files,
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
    pub fn new(folder: PathBuf, keys: Arc<dyn QuarantineKeys>) -> Self {
        let files = Files { keys: Keys::new(keys, &folder), folder };
        Self { inner: Arc::new(Mutex::new(Inner { files, open: None })) }
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
            let files = inner.lock().files.clone();
            files.find(&search, &wants)
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
            inner.files.remove(&ids)
        });
        removed.await.expect("the removal does not panic, and nobody aborts it")
    }

    /// Seals what older versions left in the clear, and has every key sealed under the node's newest one.
    pub async fn seal_older(&self) -> Result<usize, QuarantineError> {
        let inner = self.inner.clone();
        let sealed = tokio::task::spawn_blocking(move || inner.lock().files.seal_older());
        sealed.await.expect("the sealing does not panic, and nobody aborts it")
    }

    /// S11: destroys the keys of tenants that are gone, and then what was sealed under them. Not cancelled by dropping.
    pub async fn keep_only(&self, keep: impl Fn(&TenantId) -> bool + Send + 'static) -> Result<usize, QuarantineError> {
        let inner = self.inner.clone();
        let removed = tokio::task::spawn_blocking(move || {
            let mut inner = inner.lock();
            let gone = inner.files.gone(&keep)?;
            if gone.is_empty() {
                return Ok(0);
            }
            inner.open = None;
            inner.files.forget(&gone)
        });
        removed.await.expect("the removal does not panic, and nobody aborts it")
    }

    /// Every line as it was before it was sealed, the oldest first, for whoever reads a node's data without the node.
    pub fn lines(&self) -> Result<Vec<String>, QuarantineError> {
        let all = Search { after: String::new(), records_max: usize::MAX, bytes_max: usize::MAX };
        let files = self.inner.lock().files.clone();
        Ok(files.find(&all, &|_| true)?.kept.into_iter().map(|kept| kept.line).collect())
    }
}

impl Inner {
    fn append(&mut self, records: &[Quarantined]) -> Result<(), QuarantineError> {
        let mut lines = Vec::new();
        for record in records {
            let line = serde_json::to_vec(record).expect("strings and numbers always serialise");
            lines.extend_from_slice(self.files.sealed(&record.feed, &line)?.as_bytes());
            lines.push(b'\n');
        }
        let durably = |file: &mut File, lines: &[u8]| file.write_all(lines).and_then(|()| file.sync_data());
        self.append_lines(&lines, durably)
    }

    fn append_lines(
        &mut self,
        lines: &[u8],
        write: impl FnOnce(&mut File, &[u8]) -> io::Result<()>,
    ) -> Result<(), QuarantineError> {
        let folder = self.files.folder.clone();
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
            let file =
                OpenOptions::new().create_new(true).append(true).mode(0o600).open(&path).map_err(failed(&path))?;
            File::open(&folder).and_then(|folder| folder.sync_all()).map_err(failed(&folder))?;
            self.open = Some(Open { file, path, bytes: 0 });
        }
        let Some(open) = &mut self.open else { return Err(QuarantineError::Full { folder }) };
        if let Err(cause) = write(&mut open.file, lines) {
            let path = open.path.clone();
            if open.take_back().is_err() {
                // A torn line may stand at its end: the next attempt starts a new file.
                self.open = None;
            }
            return Err(QuarantineError::Write { path, cause });
        }
        open.bytes += lines.len() as u64;
        Ok(())
    }
}

impl Open {
    /// Removes what a failed write has left: the records are written again whole, and must be listed once.
    fn take_back(&self) -> io::Result<()> {
        self.file.set_len(self.bytes).and_then(|()| self.file.sync_data())
    }
}

/// The number for the next file, and the bytes of all files.
fn survey(folder: &Path) -> io::Result<(u64, u64)> {
    let (mut number, mut total) = (1, 0);
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            continue;
        }
        total += entry.metadata()?.len();
        let stem = entry.path().file_stem().and_then(|stem| stem.to_str()?.parse::<u64>().ok());
        number = number.max(stem.unwrap_or(0) + 1);
    }
    Ok((number, total))
}

#[cfg(test)]
pub(crate) mod tests {
    use zeroize::Zeroizing;

    use super::*;
    use crate::pipeline::spool::DataKey;

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

    /// One key for each tenant, made of its name, as long as there is its file.
    pub(crate) struct Named;

    impl QuarantineKeys for Named {
        fn data_key(&self, tenant: &TenantId, file: &Path, make: bool) -> Result<Option<DataKey>, KeyTrouble> {
            if make {
                fs::write(file, "").unwrap();
            }
            let mut key = Zeroizing::new([1; 32]);
            key.iter_mut().zip(tenant.as_str().bytes()).for_each(|(byte, letter)| *byte ^= letter);
            Ok(file.exists().then(|| DataKey::new(&key)))
        }
    }

    pub(crate) fn quarantine(folder: &Path) -> Quarantine {
        Quarantine::new(folder.to_owned(), Arc::new(Named))
    }

    #[tokio::test]
    async fn a_bad_record_is_kept_whole_whatever_its_bytes() {
        let folder = tempfile::tempdir().unwrap();
        let quarantine = quarantine(&folder.path().join("quarantine"));
        quarantine.keep(vec![record(b"{\"a\":\n"), record(b"\xff\x00")]).await.unwrap();
        quarantine.keep(vec![record(b"again")]).await.unwrap();
        let text = fs::read_to_string(folder.path().join("quarantine/000001.ndjson")).unwrap();
        assert!(text.lines().count() == 3 && !text.contains('{') && !text.contains("not JSON"), "{text}");
        let lines = quarantine.lines().unwrap();
        let lines: Vec<serde_json::Value> = lines.iter().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(lines.len(), 3);
        assert_eq!(lines[0]["raw"], "{\"a\":\n");
        assert_eq!(lines[1]["raw_base64"], STANDARD.encode(b"\xff\x00"));
        assert_eq!(lines[2]["coordinates"], "partition 0, sequence 7");
    }

    #[test]
    fn what_a_full_disk_took_in_part_is_there_once_when_it_has_space_again() {
        let folder = tempfile::tempdir().unwrap();
        let quarantine = quarantine(folder.path());
        let mut inner = quarantine.inner.lock();
        let write = |file: &mut File, lines: &[u8]| file.write_all(lines);
        inner.append_lines(b"before\n", write).unwrap();
        for _ in 0..3 {
            let fails = inner.append_lines(b"one\ntwo\n", |file, lines| {
                file.write_all(&lines[..6])?;
                Err(io::ErrorKind::StorageFull.into())
            });
            assert!(matches!(fails, Err(QuarantineError::Write { .. })), "{fails:?}");
        }
        inner.append_lines(b"one\ntwo\n", write).unwrap();
        assert_eq!(fs::read_to_string(folder.path().join("000001.ndjson")).unwrap(), "before\none\ntwo\n");
        assert!(!folder.path().join("000002.ndjson").exists(), "retries leave no files behind");
    }

    #[tokio::test]
    async fn a_restart_never_writes_after_a_torn_line() {
        let folder = tempfile::tempdir().unwrap();
        quarantine(folder.path()).keep(vec![record(b"one")]).await.unwrap();
        quarantine(folder.path()).keep(vec![record(b"two")]).await.unwrap();
        assert!(folder.path().join("000001.ndjson").exists() && folder.path().join("000002.ndjson").exists());
    }
}

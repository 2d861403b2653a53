//! The history: one JSON line for each thing the cloud produced and each fault it was told to make, in order, so that a
//! checker can say afterwards whether all of it arrived.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::Path;

use parking_lot::Mutex;
use ring::digest::{SHA256, digest};
use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::event_hubs::Appended;
use super::graph::Collection;
use super::graph::objects::Object;
use super::settings::{Tenant, hex};
use crate::clock::Timestamp;

/// An append-only file. Each line is handed to the system whole, so a reader never meets half of one for long.
pub struct History {
    file: Mutex<File>,
}

impl History {
    pub fn open(path: &Path) -> io::Result<Self> {
        let file = OpenOptions::new().create(true).append(true).open(path)?;
        Ok(Self { file: Mutex::new(file) })
    }

    /// A message that became part of a hub.
    pub fn message(&self, appended: &Appended<'_>) {
        self.line(&json!({
            "kind": "produced",
            "source": "stream",
            "hub": appended.hub,
            "partition": appended.partition,
            "generation": appended.created_at.millis(),
            "sequence": appended.sequence,
            "records": records_in(appended.body),
            "sha256": hex(digest(&SHA256, appended.body).as_ref()),
        }));
    }

    /// A version of an object that readers see from `visible_after` on.
    pub fn object(&self, tenant: &Tenant, collection: Collection, object: &Object, visible_after: Timestamp) {
        self.line(&json!({
            "kind": "produced",
            "tenant": tenant.name,
            "collection": match collection {
                Collection::Incidents => "incidents",
                Collection::Alerts => "alerts",
            },
            "id": object.id,
            "updated": object.updated.to_microsoft(),
            "visible": visible_after.to_microsoft(),
        }));
    }

    /// A fault that was asked for.
    pub fn fault(&self, fault: &impl Serialize, now: Timestamp) {
        self.line(&json!({"kind": "fault", "at": now.to_microsoft(), "fault": fault}));
    }

    fn line(&self, line: &serde_json::Value) {
        let mut text = line.to_string();
        text.push('\n');
        let written = self.file.lock().write_all(text.as_bytes());
        if let Err(error) = written {
            tracing::error!(%error, "can't write the history; it is incomplete from here on");
        }
    }
}

/// How many records a message holds: the elements of `records`, or one when it is something else.
fn records_in(body: &[u8]) -> usize {
    #[derive(Deserialize)]
    struct Message {
        records: Vec<IgnoredAny>,
    }
    serde_json::from_slice::<Message>(body).map_or(1, |message| message.records.len())
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use serde_json::Value;

    use super::*;

    #[test]
    fn each_thing_produced_is_one_line_with_its_coordinates() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("history");
        let history = History::open(&path).unwrap();
        let body = Bytes::from_static(br#"{"records":[{"a":1},{"a":2}]}"#);
        history.message(&Appended {
            hub: "h",
            created_at: Timestamp::from_millis(5),
            partition: 1,
            sequence: 7,
            body: &body,
        });
        let text = std::fs::read_to_string(&path).unwrap();
        let line: Value = serde_json::from_str(text.trim_end()).unwrap();
        let expected = json!({"kind": "produced", "source": "stream", "hub": "h", "partition": 1, "generation": 5,
            "sequence": 7, "records": 2, "sha256": hex(digest(&SHA256, &body).as_ref())});
        assert_eq!(line, expected);
    }

    #[test]
    fn a_body_that_is_no_list_of_records_counts_as_one() {
        assert_eq!(records_in(b"{\"records\":[1,[2,3],{\"records\":[]}]}"), 3);
        assert_eq!(records_in(b"{\"records\":["), 1);
        assert_eq!(records_in(b"\xff"), 1);
    }
}

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
use serde_json::value::RawValue;

use super::event_hubs::Appended;
use super::graph::objects::Object;
use super::settings::{Tenant, hex};
use super::workload::Collection;
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
    pub fn message(&self, appended: &Appended<'_>, now: Timestamp) {
        let records = Records::of(appended.body);
        self.line(&json!({
            "kind": "produced",
            "at": now.nanos(),
            "stream": format!("{}/{}", appended.hub, appended.partition),
            "generation": appended.created_at.millis(),
            "partition": appended.partition.to_string(),
            "sequence": appended.sequence,
            "records": records.count,
            "sha256": records.sha256,
        }));
    }

    /// A version of an object that readers see from `visible_after` on.
    pub fn object(
        &self,
        tenant: &Tenant,
        collection: Collection,
        object: &Object,
        visible_after: Timestamp,
        now: Timestamp,
    ) {
        let mut line = json!({
            "kind": "produced",
            "at": now.nanos(),
            "stream": format!("{}/{}", tenant.name, collection.name()),
            "object": object.id,
            "updated": object.updated.to_microsoft(),
            "visible": visible_after.nanos(),
        });
        // An alert is also seen inside its incident.
        if let Some(incident) = object.body.get("incidentId") {
            line["incident"] = incident.clone();
        }
        self.line(&line);
    }

    /// A fault that is about to be made.
    pub fn fault(&self, fault: &impl Serialize, now: Timestamp) {
        let details = json!(fault);
        self.line(&json!({"kind": "fault", "at": now.nanos(), "what": details["fault"], "details": details}));
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

/// The records of a message, as the checker counts them.
#[derive(Debug, PartialEq, Eq)]
struct Records {
    count: usize,
    /// One digest a record; empty where the records' bytes can't be told apart.
    sha256: Vec<String>,
}

impl Records {
    /// The elements of `records`; a body that has none counts as one record.
    fn of(body: &[u8]) -> Self {
        #[derive(Deserialize)]
        struct Whole<'a> {
            #[serde(borrow)]
            records: Vec<&'a RawValue>,
        }
        #[derive(Deserialize)]
        struct Counted {
            records: Vec<IgnoredAny>,
        }
        let sha256 = |bytes: &[u8]| hex(digest(&SHA256, bytes).as_ref());
        if let Ok(Whole { records }) = serde_json::from_slice(body) {
            let sha256: Vec<_> = records.iter().map(|record| sha256(record.get().as_bytes())).collect();
            return Self { count: records.len(), sha256 };
        }
        // A record with invalid UTF-8 is still a record, though it has no text.
        match serde_json::from_slice::<Counted>(body) {
            Ok(counted) => Self { count: counted.records.len(), sha256: Vec::new() },
            Err(_) => Self { count: 1, sha256: vec![sha256(body)] },
        }
    }
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
        let created_at = Timestamp::from_millis(5);
        let appended = Appended { hub: "h", created_at, partition: 1, sequence: 7, body: &body };
        history.message(&appended, Timestamp::from_nanos(9));
        let text = std::fs::read_to_string(&path).unwrap();
        let line: Value = serde_json::from_str(text.trim_end()).unwrap();
        let sha256 = [&b"{\"a\":1}"[..], b"{\"a\":2}"].map(|record| hex(digest(&SHA256, record).as_ref()));
        let expected = json!({"kind": "produced", "at": 9, "stream": "h/1", "generation": 5, "partition": "1",
            "sequence": 7, "records": 2, "sha256": sha256});
        assert_eq!(line, expected);
    }

    #[test]
    fn a_body_that_is_no_list_of_records_counts_as_one() {
        assert_eq!(Records::of(b"{\"records\":[1,[2,3],{\"records\":[]}]}").count, 3);
        assert_eq!(Records::of(b"{\"records\":[\"\xff\",2]}"), Records { count: 2, sha256: Vec::new() });
        assert_eq!(Records::of(b"{\"records\":[").count, 1);
        assert_eq!(Records::of(b"\xff").count, 1);
    }
}

//! What nodes put into quarantine, as lines of the history.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use serde_json::{Value, json};
use siemgate::clock::Timestamp;

/// The records in a node's quarantine folder, by event id.
pub fn records(folder: &Path) -> BTreeMap<String, Value> {
    let files = fs::read_dir(folder).into_iter().flatten();
    // A file may go while it is looked for, and its last line may be half written: by a node that was killed, or by one
    // that is at it.
    let texts = files.filter_map(|file| Some(String::from_utf8_lossy(&fs::read(file.ok()?.path()).ok()?).into_owned()));
    let texts: Vec<String> = texts.collect();
    let lines = texts.iter().flat_map(|text| text.lines()).filter_map(|line| serde_json::from_str(line).ok());
    lines.filter_map(|line: Value| Some((line["id"].as_str()?.to_owned(), line))).collect()
}

/// The lines of a history that the quarantine stands for.
pub fn lines(records: &BTreeMap<String, Value>) -> String {
    let line = |(id, record): (&String, &Value)| {
        let at = record["at"].as_str().and_then(Timestamp::parse).expect("nodes write when it happened");
        format!("{}\n", json!({"kind": "quarantined", "at": at.nanos(), "feed": record["feed"], "id": id}))
    };
    records.iter().map(line).collect()
}

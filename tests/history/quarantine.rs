//! What nodes put into quarantine, as lines of the history.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::{Value, json};
use siemgate::clock::Timestamp;
use siemgate::node::quarantine_keys;

/// The records in a node's quarantine folder, by event id.
pub fn records(folder: &Path) -> BTreeMap<String, Value> {
    // The node may be killed, or be at it, or not be a member yet.
    let data_dir = folder.parent().expect("it is in a data directory");
    let opened = quarantine_keys::at_rest(data_dir).ok().flatten();
    let texts = opened.map(|quarantine| quarantine.lines().unwrap()).unwrap_or_default();
    let lines = texts.iter().filter_map(|line| serde_json::from_str(line).ok());
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

//! What readers of a workload may rely on, checked against what it writes.

mod columns;
mod objects;
mod stream;

use serde_json::Value;

use super::*;

const START: i64 = 1_893_492_125_123;

fn workload(seed: u64, options: Options) -> Workload {
    Workload::new(seed, &Tenant::named("contoso"), options)
}

fn messages(seed: u64, options: Options, count: usize) -> Vec<StreamMessage> {
    let mut workload = workload(seed, options);
    (0..count).map(|n| workload.next_message(at(n))).collect()
}

fn at(step: usize) -> Timestamp {
    Timestamp::from_millis(START + i64::try_from(step).unwrap() * 250)
}

fn records(message: &StreamMessage) -> Vec<Value> {
    let body: Value = serde_json::from_slice(&message.body).unwrap();
    body["records"].as_array().unwrap().clone()
}

fn table(record: &Value) -> &str {
    record["category"].as_str().unwrap().strip_prefix("AdvancedHunting-").unwrap()
}

fn small() -> Options {
    Options { devices: 20, users: 12, ..Options::default() }
}

//! The whole way: Event Hubs → node → syslog over TCP with acknowledged cursors, everything on this machine. The node is
//! a process of its own, so that its memory and processor time are its own.
//!
//! `cargo bench --bench path` moves 400,000 records; `cargo test --benches` a few, so that it can't rot.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a bench that can't go on says where, and prints figures")]

#[path = "../tests/node/stage.rs"]
mod stage;

use std::fs;
use std::time::{Duration, Instant};

use siemgate::simulator::Settings;
use stage::Stage;

/// As many as the simulator's hub keeps: each of its partitions forgets what is beyond 512 MiB.
const RECORDS: u64 = 400_000;
const RECORDS_IN_TESTS: u64 = 2_000;
const BOUND: Duration = Duration::from_secs(300);
/// What Linux counts processor time in.
const TICKS_PER_SECOND: f64 = 100.0;

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() {
    let measured = std::env::args().any(|argument| argument == "--bench");
    let records = if measured { RECORDS } else { RECORDS_IN_TESTS };
    let mut settings = Settings::new(1, 1).unwrap();
    settings.workload.records_per_second = 200_000;
    settings.workload.records_total = Some(records);
    settings.workload.changes_per_second = 0;
    settings.workload.prepared = 64;
    settings.workload.options.records_per_message = 50;
    let mut stage = Stage::set(settings, false).await;
    stage.configure(false);
    stage.cloud.finished().await;
    assert_eq!(stage.produced(), records);
    let node = stage.start_node(false);
    let id = node.0.id();
    let (mut began, mut peak) = (None, 0);
    let deadline = Instant::now() + BOUND;
    while stage.streamed() < records {
        assert!(Instant::now() < deadline, "{} of {records} arrived\n{}", stage.streamed(), stage.log());
        if began.is_none() && stage.streamed() > 0 {
            began = Some((Instant::now(), stage.streamed()));
        }
        peak = peak.max(resident_bytes(id));
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let (since, already) = began.unwrap_or((Instant::now(), 0));
    let seconds = since.elapsed().as_secs_f64().max(0.001);
    let rate = (records - already) as f64 / seconds;
    let tally = stage.receiver.tally();
    println!("path/event-hubs-to-syslog  {records} records, {} duplicates", tally.total.duplicates);
    println!("  events/s        {rate:>12.0}");
    println!("  node CPU-s per million events {:>8.2}", processor_seconds(id) / records as f64 * 1e6);
    println!("  node resident   {:>9} MB at most", peak / 1_000_000);
}

fn resident_bytes(id: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{id}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<u64>().ok()).unwrap_or(0) * 1_024
}

fn processor_seconds(id: u32) -> f64 {
    let stat = fs::read_to_string(format!("/proc/{id}/stat")).unwrap_or_default();
    let after_name = stat.rsplit(')').next().unwrap_or_default();
    let fields: Vec<f64> = after_name.split_whitespace().map(|field| field.parse().unwrap_or(0.0)).collect();
    // User and system time are the 14th and 15th field of the whole line, the 12th and 13th after the name.
    (fields.get(11).unwrap_or(&0.0) + fields.get(12).unwrap_or(&0.0)) / TICKS_PER_SECOND
}

//! The whole way: Event Hubs → node → syslog over TCP with acknowledged cursors, everything on this machine. The node is
//! a process of its own, so that its memory and processor time are its own.
//!
//! `cargo bench --bench path` moves 400,000 records a run and prints a table of the ways to acknowledge them; `cargo test
//! --benches` moves a few, so that it can't rot.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a bench that can't go on says where, and prints figures")]

#[path = "../tests/node/stage.rs"]
mod stage;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use siemgate::secret::Secret;
use siemgate::simulator::Settings;
use siemgate::simulator::receiver::{Options, Protocol, Receiver};
use siemgate::tls::{self, Identity};
use stage::Stage;

/// As many as the simulator's hub keeps: each of its partitions forgets what is beyond 512 MiB.
const RECORDS: u64 = 400_000;
const RECORDS_IN_TESTS: u64 = 2_000;
const ROUNDS: usize = 3;
const BOUND: Duration = Duration::from_secs(300);
/// What Linux counts processor time in.
const TICKS_PER_SECOND: f64 = 100.0;

/// How a sink is set, by the name of its row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    Acknowledged,
    Unacknowledged,
    Tls,
    Relp,
}

impl Way {
    const ALL: [Self; 4] = [Self::Acknowledged, Self::Unacknowledged, Self::Tls, Self::Relp];

    fn name(self) -> &'static str {
        match self {
            Self::Acknowledged => "tcp, acknowledged (A2)",
            Self::Unacknowledged => "tcp, by the clock (A1)",
            Self::Tls => "tls, acknowledged (A2)",
            Self::Relp => "relp, acknowledged (A3)",
        }
    }

    fn settings(self, certificate: &Path) -> String {
        match self {
            Self::Acknowledged => "assurance = \"a2\"\n".to_owned(),
            Self::Unacknowledged => "assurance = \"a1\"\n".to_owned(),
            Self::Tls => {
                format!("transport = \"tls\"\nassurance = \"a2\"\ntls = {{ ca = \"{}\" }}\n", certificate.display())
            }
            Self::Relp => "transport = \"relp\"\n".to_owned(),
        }
    }
}

/// What one run showed.
#[derive(Debug, Clone, Copy)]
struct Figures {
    rate: f64,
    processor_seconds: f64,
    resident: u64,
    duplicates: u64,
}

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() {
    let measured = std::env::args().any(|argument| argument == "--bench");
    let (records, rounds) = if measured { (RECORDS, ROUNDS) } else { (RECORDS_IN_TESTS, 1) };
    let mut runs: Vec<(Way, Figures)> = Vec::new();
    for _ in 0..rounds {
        for way in Way::ALL {
            runs.push((way, run(way, records).await));
        }
    }
    println!("Event Hubs to CEF over syslog, {records} records a run, {rounds} rounds in turns, medians");
    println!(
        "{:<26} {:>10} {:>8} {:>18} {:>12} {:>11}",
        "", "events/s", "of A2", "node CPU-s/million", "resident MB", "duplicates"
    );
    let rate = |way| median(runs.iter().filter(|(its, _)| *its == way).map(|(_, it)| it.rate));
    for way in Way::ALL {
        let its: Vec<Figures> = runs.iter().filter(|(its, _)| *its == way).map(|(_, figures)| *figures).collect();
        println!(
            "{:<26} {:>10.0} {:>7.0}% {:>18.2} {:>12} {:>11}",
            way.name(),
            rate(way),
            100.0 * rate(way) / rate(Way::Acknowledged),
            median(its.iter().map(|it| it.processor_seconds)) / records as f64 * 1e6,
            its.iter().map(|it| it.resident).max().unwrap_or(0) / 1_000_000,
            its.iter().map(|it| it.duplicates).max().unwrap_or(0),
        );
    }
}

async fn run(way: Way, records: u64) -> Figures {
    let mut settings = Settings::new(1, 1).unwrap();
    settings.workload.records_per_second = 200_000;
    settings.workload.records_total = Some(records);
    settings.workload.changes_per_second = 0;
    settings.workload.prepared = 64;
    settings.workload.options.records_per_message = 50;
    let mut stage = Stage::set(settings, false).await;
    let certificate = certificate(&stage);
    stage.receiver = Receiver::start(options(way, &certificate)).await.unwrap();
    stage.sink_settings = way.settings(&certificate);
    stage.configure(false);
    stage.cloud.finished().await;
    assert_eq!(stage.produced(), records);
    let node = stage.start_node(false);
    let id = node.0.id();
    let (mut began, mut resident) = (None, 0);
    let deadline = Instant::now() + BOUND;
    while stage.streamed() < records {
        assert!(Instant::now() < deadline, "{} of {records} arrived\n{}", stage.streamed(), stage.log());
        if began.is_none() && stage.streamed() > 0 {
            began = Some((Instant::now(), stage.streamed()));
        }
        resident = resident.max(resident_bytes(id));
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let (since, already) = began.unwrap_or((Instant::now(), 0));
    let seconds = since.elapsed().as_secs_f64().max(0.001);
    let rate = (records - already) as f64 / seconds;
    let duplicates = stage.receiver.tally().total.duplicates;
    Figures { rate, processor_seconds: processor_seconds(id), resident, duplicates }
}

/// A certificate of the receiver's own, with its key beside it.
fn certificate(stage: &Stage) -> PathBuf {
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned(), "127.0.0.1".to_owned()]).unwrap();
    fs::write(stage.path("receiver.key"), made.signing_key.serialize_pem()).unwrap();
    fs::write(stage.path("receiver.pem"), made.cert.pem()).unwrap();
    stage.path("receiver.pem")
}

fn options(way: Way, certificate: &Path) -> Options {
    let protocol = if way == Way::Relp { Protocol::Relp } else { Protocol::Stream };
    let secured = || {
        let key = Secret::new(fs::read_to_string(certificate.with_extension("key")).unwrap());
        Arc::new(tls::server(Identity::new(certificate, &key).unwrap()).unwrap())
    };
    Options { protocol, tls: (way == Way::Tls).then(secured), ..Options::default() }
}

fn median(figures: impl Iterator<Item = f64>) -> f64 {
    let mut sorted: Vec<f64> = figures.collect();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied().unwrap_or(0.0)
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

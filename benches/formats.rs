//! How fast a file of records becomes each format: the whole program, from a file to nowhere, in CPU time of one core,
//! beside serde_json building a tree of the same file in the same run.
//!
//! `cargo bench --bench formats`; `SIEMGATE_RECORDS=FILE` takes streaming records of your own, one a line. Under
//! `cargo test --benches` it runs once, with few records.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;

/// The program's own allocator, so that both sides of the comparison have the same.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const FORMATS: &[&str] = &["cef", "leef", "splunk", "ecs", "ocsf", "microsoft"];
/// Each measurement is taken so often, in turns, and the middle one counts: the machine may be busy with something else.
const ROUNDS: usize = 5;
const RECORDS: usize = 150_000;
const INCIDENTS: usize = 400;

fn main() {
    let is_test = std::env::args().any(|argument| argument == "--test");
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (records, rounds) = if is_test { (200, 1) } else { (RECORDS, ROUNDS) };
    let given = std::env::var_os("SIEMGATE_RECORDS").map(PathBuf::from);
    let streaming = given.unwrap_or_else(|| streaming(folder.path(), records));
    table("streaming records", &streaming, rounds);
    let incidents = incidents(folder.path(), if is_test { 2 } else { INCIDENTS });
    table("incidents with 50 alerts and 300 pieces of evidence", &incidents, rounds);
}

/// One table: serde_json first, then each format.
fn table(name: &str, file: &Path, rounds: usize) {
    let bytes = fs::metadata(file).expect("the file is there").len();
    let lines = BufReader::new(File::open(file).expect("it opens")).lines().count();
    let mut seconds = vec![Vec::new(); FORMATS.len() + 1];
    let mut events = vec![0; FORMATS.len()];
    for _ in 0..rounds {
        seconds[0].push(parse(file));
        for (place, format) in FORMATS.iter().enumerate() {
            let (took, count) = convert(file, format);
            seconds[place + 1].push(took);
            events[place] = count;
        }
    }
    let middle: Vec<f64> = seconds.into_iter().map(middle).collect();
    let mut out = std::io::stdout().lock();
    let head = ["events/s", "CPU s/million", "MB/s", "beside"];
    writeln!(
        out,
        "{name}: {lines} lines, {} MB\n  {:<18}{:>12}{:>14}{:>10}{:>10}",
        bytes / 1_000_000,
        "",
        head[0],
        head[1],
        head[2],
        head[3]
    )
    .expect("standard output takes it");
    let mut row = |name: &str, count: usize, seconds: f64| {
        let count = count as f64;
        writeln!(
            out,
            "  {name:<18}{:>12.0}{:>14.2}{:>10.0}{:>10.2}",
            count / seconds,
            seconds / count * 1e6,
            bytes as f64 / 1e6 / seconds,
            seconds / middle[0]
        )
        .expect("standard output takes it");
    };
    row("serde_json Value", lines, middle[0]);
    for (place, format) in FORMATS.iter().enumerate() {
        row(format, events[place], middle[place + 1]);
    }
    writeln!(out).expect("standard output takes it");
}

fn middle(mut seconds: Vec<f64>) -> f64 {
    seconds.sort_by(f64::total_cmp);
    seconds[seconds.len() / 2]
}

/// CPU seconds of a tree for each line.
fn parse(file: &Path) -> f64 {
    let mut lines = BufReader::with_capacity(256 << 10, File::open(file).expect("it opens"));
    let (mut line, before) = (Vec::new(), cpu(OWN));
    while lines.read_until(b'\n', &mut line).expect("it reads") > 0 {
        std::hint::black_box(serde_json::from_slice::<Value>(&line).expect("JSON"));
        line.clear();
    }
    cpu(OWN) - before
}

/// CPU seconds of the whole program, and how many events it made.
fn convert(file: &Path, format: &str) -> (f64, usize) {
    let before = cpu(CHILDREN);
    let done = Command::new(env!("CARGO_BIN_EXE_siemgate"))
        .args(["normalize", "--format", format, "--input"])
        .arg(file)
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .output()
        .expect("the program runs");
    let said = String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success(), "{said}");
    let events = said.split("read: ").nth(1).and_then(|rest| rest.split(' ').next());
    (cpu(CHILDREN) - before, events.and_then(|count| count.parse().ok()).expect("a count of events"))
}

/// Where `/proc/self/stat` says the time of this process and of those it waited for, after the name.
const OWN: usize = 11;
const CHILDREN: usize = 13;
/// Linux counts in hundredths of a second, whatever its own clock does.
const TICKS_PER_SECOND: f64 = 100.0;

fn cpu(field: usize) -> f64 {
    let text = fs::read_to_string("/proc/self/stat").expect("Linux");
    let fields: Vec<&str> = text.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let ticks = |place: usize| fields[place].parse::<f64>().expect("a number");
    (ticks(field) + ticks(field + 1)) / TICKS_PER_SECOND
}

/// The golden streaming records over and over, one a line.
fn streaming(folder: &Path, count: usize) -> PathBuf {
    let others = ["incident-", "alert-", "xdr-", "endpoint-", "siem-"];
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/records");
    let mut paths: Vec<_> = fs::read_dir(golden).expect("golden records").flatten().map(|entry| entry.path()).collect();
    paths.retain(|path| {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        name.ends_with(".json") && !others.iter().any(|other| name.starts_with(other))
    });
    paths.sort();
    let records: Vec<String> = paths.iter().map(|path| read(path).to_string()).collect();
    let path = folder.join("streaming.ndjson");
    let mut out = BufWriter::new(File::create(&path).expect("it is created"));
    for number in 0..count {
        writeln!(out, "{}", records[number % records.len()]).expect("it is written");
    }
    out.flush().expect("it is written");
    path
}

fn read(path: &Path) -> Value {
    serde_json::from_slice(&fs::read(path).expect("it reads")).expect("golden records are JSON")
}

/// Incidents made of the golden ones: each with 50 alerts, and 300 pieces of evidence among them.
fn incidents(folder: &Path, count: usize) -> PathBuf {
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/records");
    let mut incident = read(&golden.join("incident-expanded.json"));
    let alert = read(&golden.join("alert-evidence.json"));
    let evidence = alert["evidence"].as_array().expect("evidence").clone();
    let alerts = (0..50).map(|number| {
        let mut alert = alert.clone();
        alert["id"] = format!("da{number}").into();
        alert["evidence"] = evidence.iter().cycle().skip(number).take(6).cloned().collect();
        alert
    });
    incident["alerts"] = alerts.collect();
    let path = folder.join("incidents.ndjson");
    let mut out = BufWriter::new(File::create(&path).expect("it is created"));
    for _ in 0..count {
        writeln!(out, "{incident}").expect("it is written");
    }
    out.flush().expect("it is written");
    path
}

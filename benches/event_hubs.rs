//! How fast one core reads a partition: messages of a hundred records of 2.3 kB from the simulated service, over AMQP on
//! loopback. The service runs on a thread of its own; the reader, with all of its tasks, on one other.
//!
//! `cargo bench --bench event_hubs -- 4000` reads four thousand messages, about 900 MB.

#![allow(clippy::print_stdout, reason = "a bench talks to a person")]

use std::time::{Duration, Instant};

use bytes::Bytes;
use siemgate::clock::Clock;
use siemgate::ids::Epoch;
use siemgate::secret::Secret;
use siemgate::simulator::event_hubs::{Namespace, Options, Rights, Rule, serve};
use siemgate::sources::event_hubs::{Authentication, ConnectionString, EventHubSource, Hub};
use siemgate::sources::{Resume, Source};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

const RECORD_BYTES: usize = 2300;
const RECORDS: usize = 100;
const MESSAGES_DEFAULT: usize = 2000;

fn main() {
    let asked = std::env::args().skip(1).find_map(|argument| argument.parse().ok());
    let count: usize = asked.unwrap_or(MESSAGES_DEFAULT);
    let rule = Rule { name: "listen".into(), key: Secret::new("k".into()), rights: Rights::LISTEN };
    let namespace = Namespace::new(Options { name: "n".into(), rules: vec![rule], ..Options::default() });
    namespace.create_hub("logs", 1).expect("an empty namespace takes a hub");
    namespace.keep("logs", Duration::from_secs(3600), 4 << 30).expect("the hub exists");
    let body = message();
    for _ in 0..count {
        namespace.append("logs", 0, body.clone()).expect("the partition exists");
    }
    let (sender, port) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async move {
            let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
            sender.send(listener.local_addr().expect("an address").port()).expect("main waits");
            serve(namespace, listener, None, CancellationToken::new()).await
        })
    });
    read(port.recv().expect("the service starts"), count, body.len());
}

fn message() -> Bytes {
    let record = format!(
        "{{\"category\":\"AdvancedHunting-DeviceEvents\",\"properties\":{{\"x\":\"{}\"}}}}",
        "y".repeat(RECORD_BYTES - 66)
    );
    Bytes::from(format!("{{\"records\":[{}]}}", vec![record; RECORDS].join(",")))
}

fn read(port: u16, count: usize, size: usize) {
    let string = format!(
        "Endpoint=sb://127.0.0.1:{port}/;SharedAccessKeyName=listen;SharedAccessKey=k;EntityPath=logs;\
         UseDevelopmentEmulator=true"
    );
    let authentication = Authentication::SharedAccess(ConnectionString::parse(&string).expect("it is well formed"));
    let config = toml::from_str("credential = \"c\"").expect("it is well formed");
    let hub = Hub::new(&config, authentication).expect("it is consistent");
    let resume = Resume { epoch: Epoch(1), ..Resume::default() };
    let mut source = EventHubSource::new(hub, &"0".parse().expect("a part"), resume, Clock::System);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let mut seen = source.next_batch().await.expect("the service answers").entries.len();
        let (start, cpu, first) = (Instant::now(), thread_cpu(), seen);
        while seen < count {
            seen += source.next_batch().await.expect("the service answers").entries.len();
        }
        let (wall, cpu) = (start.elapsed(), thread_cpu() - cpu);
        let megabytes = ((seen - first) * size) as f64 / 1e6;
        println!(
            "{} messages of {size} bytes: {:.0} MB/s by the clock, {:.0} MB/s per second of reading's processor time",
            seen - first,
            megabytes / wall.as_secs_f64(),
            megabytes / cpu.as_secs_f64()
        );
    });
}

/// Processor time of this thread, which alone does all of the reading.
fn thread_cpu() -> Duration {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").expect("the kernel counts");
    let nanos = text.split(' ').next().and_then(|text| text.parse().ok()).expect("it starts with nanoseconds");
    Duration::from_nanos(nanos)
}

//! Messages for a hub on a fixed schedule: one is due every so many milliseconds whatever the gateway does, and a late one
//! is late, so that no wait is left out of the figures.

use std::sync::atomic::{AtomicBool, AtomicI64, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use bytes::Bytes;
use siemgate::clock::{Clock, Timestamp};
use siemgate::simulator::event_hubs::Namespace;
use siemgate::simulator::workload::{self, Routing, Tenant, Workload};
use siemgate::simulator::{Running, TenantAccess};

pub const RECORDS_PER_MESSAGE: usize = 10;
/// Messages that are made once and sent over and over, each time with another moment in them.
const TEMPLATES: usize = 64;
const KEY: &[u8] = b"\"Timestamp\":\"";
/// As in `2030-01-01T10:02:05.1230000`.
const TIME_BYTES: usize = 27;
/// What the poison row sends, one after the other, and how often.
const POISON_EVERY_MILLIS: i64 = 500;
pub const POISONED: u8 = 0;
/// A record longer than any receiver takes, in a message nearly as long as upstream takes.
const OVERSIZE_BYTES: usize = 900_000;

struct Template {
    body: Vec<u8>,
    /// Where the moments of its records stand.
    times: Vec<usize>,
}

/// What is shared with the thread that sends.
#[derive(Default)]
struct Shared {
    stop: AtomicBool,
    poison: AtomicBool,
    /// When the last message was due that was sent.
    last: AtomicI64,
    /// How late messages were sent, in microseconds, with when they were due.
    late: Mutex<Vec<(i64, u32)>>,
    /// When oversize records were due.
    oversize: Mutex<Vec<i64>>,
}

/// Sends until it is dropped.
pub struct Schedule {
    shared: Arc<Shared>,
    every_millis: i64,
    thread: Option<JoinHandle<()>>,
}

impl Schedule {
    pub fn start(cloud: &Running, every_millis: i64) -> Self {
        let access = &cloud.access.tenants[0];
        let templates = templates(access);
        let (hub, partitions) = (access.hub.clone(), u32::from(access.partitions));
        let (namespace, shared) = (cloud.namespace().clone(), Arc::new(Shared::default()));
        let its = Arc::clone(&shared);
        its.last.store(now_micros() / 1_000, Relaxed);
        let send = move || run(&its, &templates, (&namespace, &hub, partitions), every_millis);
        Self { shared, every_millis, thread: Some(thread::spawn(send)) }
    }

    /// The moment at which the next message is due.
    pub fn next(&self) -> i64 {
        self.shared.last.load(Relaxed) + self.every_millis
    }

    pub fn poison(&self, poison: bool) {
        self.shared.poison.store(poison, Relaxed);
    }

    /// How many events were due in this span.
    pub fn due(&self, from: i64, until: i64) -> usize {
        let messages = usize::try_from((until - from) / self.every_millis).unwrap();
        let oversize = self.shared.oversize.lock().unwrap();
        messages * RECORDS_PER_MESSAGE + oversize.iter().filter(|due| (from..until).contains(due)).count()
    }

    /// How late messages of this span were sent, in microseconds, sorted.
    pub fn late(&self, from: i64, until: i64) -> Vec<u32> {
        let mut late = self.shared.late.lock().unwrap();
        let mut its: Vec<u32> = late.iter().filter(|(due, _)| (from..until).contains(due)).map(|(_, by)| *by).collect();
        late.retain(|(due, _)| *due >= until);
        its.sort_unstable();
        its
    }
}

impl Drop for Schedule {
    fn drop(&mut self) {
        self.shared.stop.store(true, Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn run(shared: &Shared, templates: &[Template], (to, hub, partitions): (&Namespace, &str, u32), every_millis: i64) {
    let mut number: usize = 0;
    let mut next_poison = 0;
    while !shared.stop.load(Relaxed) {
        let due = shared.last.load(Relaxed) + every_millis;
        let early = due * 1_000 - now_micros();
        if early > 0 {
            thread::sleep(Duration::from_micros(early.unsigned_abs()));
        }
        let partition = u32::try_from(number).unwrap() % partitions;
        if shared.poison.load(Relaxed) && partition == u32::from(POISONED) && due >= next_poison {
            next_poison = due + POISON_EVERY_MILLIS;
            for body in poisons(due) {
                to.append(hub, partition, body).unwrap();
            }
            shared.oversize.lock().unwrap().push(due);
        }
        to.append(hub, partition, templates[number % TEMPLATES].due(due)).unwrap();
        let late = u32::try_from(now_micros() - due * 1_000).unwrap_or(0);
        shared.late.lock().unwrap().push((due, late));
        shared.last.store(due, Relaxed);
        number += 1;
    }
}

impl Template {
    /// The message with this moment in each of its records.
    fn due(&self, due: i64) -> Bytes {
        let (mut body, time) = (self.body.clone(), text(due));
        for at in &self.times {
            body[*at..*at + TIME_BYTES].copy_from_slice(time.as_bytes());
        }
        body.into()
    }
}

fn templates(access: &TenantAccess) -> Vec<Template> {
    let tenant =
        Tenant { name: access.name.clone(), directory: access.directory.clone(), domain: access.domain.clone() };
    let options = workload::Options {
        routing: Routing::OneHub("hub".into()),
        records_per_message: RECORDS_PER_MESSAGE,
        ..workload::Options::default()
    };
    let mut workload = Workload::new(9, &tenant, options);
    let made = (0..TEMPLATES).map(|_| {
        let body = workload.next_message(Timestamp::from_millis(now_micros() / 1_000)).body.to_vec();
        let times: Vec<usize> = memchr::memmem::find_iter(&body, KEY).map(|at| at + KEY.len()).collect();
        assert_eq!(times.len(), RECORDS_PER_MESSAGE, "each record tells when it happened");
        Template { body, times }
    });
    made.collect()
}

/// A body that is not JSON, one with records that are none, and one with a record that no receiver takes whole.
fn poisons(due: i64) -> [Bytes; 3] {
    let long = "A".repeat(OVERSIZE_BYTES);
    let oversize = format!(
        "{{\"records\":[{{\"time\":\"{time}Z\",\"category\":\"AdvancedHunting-DeviceProcessEvents\",\"properties\":\
         {{\"Timestamp\":\"{time}Z\",\"ActionType\":\"ProcessCreated\",\"DeviceName\":\"oversize\",\
         \"ProcessCommandLine\":\"{long}\"}}}}]}}",
        time = text(due),
    );
    [
        Bytes::from_static(b"<html>503 Service Unavailable</html>"),
        Bytes::from_static(b"{\"records\":[null,42,[],{\"properties\":null}]}"),
        oversize.into(),
    ]
}

/// As records write it, with seven digits after the second and without the zone.
fn text(due: i64) -> String {
    Timestamp::from_millis(due).to_microsoft().trim_end_matches('Z').to_owned()
}

pub fn now_micros() -> i64 {
    Clock::System.now().nanos() / 1_000
}

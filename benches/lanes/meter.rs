//! A receiver of syslog over TCP that notes when each event was due upstream and how long after that it came. It reads on
//! threads of its own, so that nothing else in this process holds it up, and confirms what it read by closing in turn.

use std::collections::VecDeque;
use std::io::Read;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

use super::schedule::now_micros;

/// What one read takes at most.
const READ_BYTES: usize = 256 << 10;
const DAY_MILLIS: i64 = 86_400_000;

/// One event that came.
#[derive(Debug, Clone, Copy)]
pub struct Sample {
    /// When it was due, in milliseconds since 1970.
    pub due: i64,
    pub partition: u8,
    pub micros: u32,
}

pub struct Meter {
    pub address: SocketAddr,
    samples: Arc<Mutex<VecDeque<Sample>>>,
}

impl Meter {
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let samples: Arc<Mutex<VecDeque<Sample>>> = Arc::default();
        let noted = Arc::clone(&samples);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let noted = Arc::clone(&noted);
                thread::spawn(move || read(stream, &noted));
            }
        });
        Self { address, samples }
    }

    /// How many of what was due from `from` on and before `until` are there.
    pub fn count(&self, from: i64, until: i64) -> usize {
        let samples = self.samples.lock().unwrap();
        samples.iter().filter(|sample| (from..until).contains(&sample.due)).count()
    }

    /// Takes what was due from `from` on and before `until`, and forgets what was due earlier.
    pub fn take(&self, from: i64, until: i64) -> Vec<Sample> {
        let mut samples = self.samples.lock().unwrap();
        let taken = samples.iter().filter(|sample| (from..until).contains(&sample.due)).copied().collect();
        samples.retain(|sample| sample.due >= until);
        taken
    }
}

/// Reads until the sender half-closes. To drop the stream then is the answer it waits for.
fn read(mut stream: TcpStream, samples: &Mutex<VecDeque<Sample>>) {
    let mut unread = Vec::with_capacity(2 * READ_BYTES);
    let mut piece = vec![0; READ_BYTES];
    while let Ok(length @ 1..) = stream.read(&mut piece) {
        let now = now_micros();
        unread.extend_from_slice(&piece[..length]);
        let mut at = 0;
        let mut samples = samples.lock().unwrap();
        while let Some((message, behind)) = frame(&unread[at..]) {
            at += behind;
            samples.extend(sample(message, now));
        }
        drop(samples);
        unread.drain(..at);
    }
}

/// The first whole message, and where the next begins: its length stands before it.
fn frame(bytes: &[u8]) -> Option<(&[u8], usize)> {
    let digits = bytes.iter().take(10).position(|byte| *byte == b' ')?;
    let length: usize = std::str::from_utf8(&bytes[..digits]).unwrap().parse().unwrap();
    let message = bytes.get(digits + 1..digits + 1 + length)?;
    Some((message, digits + 1 + length))
}

/// What a message tells: `<134>1 2030-01-01T10:02:05.123Z … feed="contoso/streaming/3" …`. Probe events name no feed.
fn sample(message: &[u8], now: i64) -> Option<Sample> {
    let begin = message.iter().position(|byte| *byte == b'>')? + 3;
    let number = |from: usize, digits: usize| {
        let text = &message[begin + from..begin + from + digits];
        text.iter().fold(0, |sum, digit| sum * 10 + i64::from(digit - b'0'))
    };
    let of_day = ((number(11, 2) * 60 + number(14, 2)) * 60 + number(17, 2)) * 1_000 + number(20, 3);
    let feed = memchr::memmem::find(message, b"feed=\"")? + 6;
    let end = feed + message[feed..].iter().position(|byte| *byte == b'"')?;
    let part = message[feed..end].rsplit(|byte| *byte == b'/').next()?;
    let partition = std::str::from_utf8(part).ok()?.parse().ok()?;
    // It came within half a day of when it was due, so the day needn't be told.
    let since = (now / 1_000 - of_day).rem_euclid(DAY_MILLIS);
    let due = now / 1_000 - since;
    Some(Sample { due, partition, micros: u32::try_from(now - due * 1_000).unwrap_or(u32::MAX) })
}

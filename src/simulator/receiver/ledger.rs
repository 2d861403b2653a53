//! What arrived, counted by event id: how much of it for the first time and how much again, by source and by feed. Pure.

use std::collections::{BTreeMap, HashMap, HashSet};

use ring::digest;

use super::header::{self, BadHeader, Header};

/// Bytes of a malformed frame kept for people to look at.
const SAMPLE_BYTES_MAX: usize = 256;
/// The name under which frames without the gateway's structured data are counted.
pub const UNNAMED: &str = "-";

/// How often something arrived.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    pub received: u64,
    /// Different event ids.
    pub distinct: u64,
    /// Frames whose event id had arrived before.
    pub duplicates: u64,
}

impl Counts {
    fn count(&mut self, fresh: bool) {
        self.received += 1;
        if fresh {
            self.distinct += 1;
        } else {
            self.duplicates += 1;
        }
    }
}

/// A snapshot of everything counted so far.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Tally {
    pub total: Counts,
    /// By `tenant/source`; `-/-` for frames that don't name theirs.
    pub sources: BTreeMap<String, Counts>,
    /// By `tenant/source/part`.
    pub feeds: BTreeMap<String, Counts>,
    pub bytes: u64,
    pub malformed: u64,
    /// The first malformed frame's reason and its beginning.
    pub malformed_sample: Option<String>,
    pub connections: u64,
    pub open_connections: u64,
}

impl Tally {
    pub fn source(&self, name: &str) -> Counts {
        self.sources.get(name).copied().unwrap_or_default()
    }

    pub fn feed(&self, name: &str) -> Counts {
        self.feeds.get(name).copied().unwrap_or_default()
    }
}

/// What one frame turned out to be.
#[derive(Debug, Clone)]
pub struct Seen<'a> {
    pub header: Header<'a>,
    /// The event's id; derived from the text where the frame carries none.
    pub event: [u8; 16],
}

#[derive(Debug, Default)]
pub struct Ledger {
    events: HashSet<[u8; 16]>,
    feeds: HashMap<String, Counts>,
    /// `tenant/source` of each feed, so that a frame costs one look-up.
    sources: HashMap<String, String>,
    total: Counts,
    bytes: u64,
    malformed: u64,
    malformed_sample: Option<String>,
    connections: u64,
    open_connections: u64,
}

impl Ledger {
    /// Counts a connection and gives it its number.
    pub fn connected(&mut self) -> u64 {
        self.connections += 1;
        self.open_connections += 1;
        self.connections
    }

    pub fn disconnected(&mut self) {
        self.open_connections -= 1;
    }

    /// Counts one frame. A malformed one is counted as such and nothing else.
    pub fn receive<'a>(&mut self, message: &'a [u8]) -> Result<Seen<'a>, BadHeader> {
        self.bytes += message.len() as u64;
        let header = header::read(message).inspect_err(|error| self.malformed(&error.to_string(), message))?;
        let event = header.gateway.as_ref().map_or_else(|| derived(header.text), |gateway| gateway.event);
        let fresh = self.events.insert(event);
        self.total.count(fresh);
        let feed = header.gateway.as_ref().map_or(UNNAMED, |gateway| &gateway.feed);
        match self.feeds.get_mut(feed) {
            Some(counts) => counts.count(fresh),
            None => {
                let source = match &header.gateway {
                    Some(gateway) => format!("{}/{}", gateway.tenant, gateway.source),
                    None => format!("{UNNAMED}/{UNNAMED}"),
                };
                self.sources.insert(feed.to_owned(), source);
                self.feeds.entry(feed.to_owned()).or_default().count(fresh);
            }
        }
        Ok(Seen { header, event })
    }

    /// Counts what can't be read as a frame.
    pub fn malformed(&mut self, reason: &str, bytes: &[u8]) {
        self.malformed += 1;
        if self.malformed_sample.is_none() {
            let beginning = &bytes[..bytes.len().min(SAMPLE_BYTES_MAX)];
            self.malformed_sample = Some(format!("{reason}: {}", beginning.escape_ascii()));
        }
    }

    pub fn tally(&self) -> Tally {
        let mut sources: BTreeMap<String, Counts> = BTreeMap::new();
        for (feed, counts) in &self.feeds {
            let name = self.sources.get(feed).cloned().unwrap_or_default();
            let sum = sources.entry(name).or_default();
            sum.received += counts.received;
            sum.distinct += counts.distinct;
            sum.duplicates += counts.duplicates;
        }
        Tally {
            total: self.total,
            sources,
            feeds: self.feeds.iter().map(|(feed, counts)| (feed.clone(), *counts)).collect(),
            bytes: self.bytes,
            malformed: self.malformed,
            malformed_sample: self.malformed_sample.clone(),
            connections: self.connections,
            open_connections: self.open_connections,
        }
    }
}

/// An id for a text that carries none, so that repetitions of it still show.
fn derived(text: &[u8]) -> [u8; 16] {
    let digest = digest::digest(&digest::SHA256, text);
    let mut id = [0; 16];
    id.copy_from_slice(&digest.as_ref()[..16]);
    id
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(feed: &str, id: u8) -> Vec<u8> {
        let (tenant, source) = (feed.split('/').next().unwrap(), feed.split('/').nth(1).unwrap());
        let id = format!("{id:02x}").repeat(16);
        let data =
            format!(r#"[gw@32473 tenant="{tenant}" source="{source}" feed="{feed}" epoch="1" id="{id}" record="0"]"#);
        format!("<134>1 - siemgate defender - Alert {data} text").into_bytes()
    }

    #[test]
    fn first_times_and_repetitions_are_told_apart() {
        let mut ledger = Ledger::default();
        for (feed, id) in [("a/hub/0", 1), ("a/hub/1", 2), ("a/hub/0", 1), ("b/hub/0", 3)] {
            ledger.receive(&frame(feed, id)).unwrap();
        }
        let tally = ledger.tally();
        assert_eq!(tally.source("a/hub"), Counts { received: 3, distinct: 2, duplicates: 1 });
        assert_eq!(tally.feed("a/hub/0"), Counts { received: 2, distinct: 1, duplicates: 1 });
        assert_eq!(tally.source("b/hub").distinct, 1);
        assert_eq!(tally.total, Counts { received: 4, distinct: 3, duplicates: 1 });
    }

    #[test]
    fn frames_without_coordinates_are_told_apart_by_their_text() {
        let mut ledger = Ledger::default();
        for text in ["<1>1 - - - - - - a", "<1>1 2030-01-01T00:00:00Z - - - - - a", "<1>1 - - - - - - b"] {
            ledger.receive(text.as_bytes()).unwrap();
        }
        assert_eq!(ledger.tally().source("-/-"), Counts { received: 3, distinct: 2, duplicates: 1 });
    }

    #[test]
    fn a_malformed_frame_is_counted_with_a_sample_and_as_nothing_else() {
        let mut ledger = Ledger::default();
        assert!(ledger.receive(b"<1>9 torn\x00").is_err());
        assert!(ledger.receive(b"junk").is_err());
        let tally = ledger.tally();
        assert_eq!((tally.malformed, tally.total.received), (2, 0));
        assert_eq!(tally.malformed_sample.as_deref(), Some("the version is not 1: <1>9 torn\\x00"));
    }
}

//! The id of an event: a digest of where it stands upstream, so that every node and every restart gives it the same one.

use std::fmt;
use std::str::FromStr;

use ring::digest::{Context, SHA256};

use crate::event::batch::{Coordinates, Gap, Version};
use crate::ids::{FeedPart, Generation, SourceId, TenantId};

/// Printed as 32 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EventId([u8; 16]);

impl EventId {
    /// Record `index` of the entry at `coordinates`. An object is an entry by itself, so that its index plays no part.
    pub fn of_record(tenant: &TenantId, source: &SourceId, coordinates: &Coordinates, index: u32) -> Self {
        match coordinates {
            Coordinates::Log { generation, partition, sequence } => {
                let mut parts = Parts::of(b"log", tenant, source);
                parts.number(generation.0);
                parts.add(partition.as_bytes());
                parts.signed(*sequence);
                parts.number(u64::from(index));
                parts.finish()
            }
            Coordinates::Object { id, version } => Self::of_version(tenant, source, id, *version),
        }
    }

    fn of_version(tenant: &TenantId, source: &SourceId, object: &str, version: Version) -> Self {
        let mut hex = [0; 16];
        write_hex(&version.digest, &mut hex);
        let mut parts = Parts::of(b"object", tenant, source);
        parts.add(object.as_bytes());
        parts.add(version.updated.to_microsoft().as_bytes());
        parts.add(&hex);
        parts.finish()
    }

    /// A statement that records were lost. `generation` is the one in which reading goes on.
    pub fn of_gap(tenant: &TenantId, source: &SourceId, part: &FeedPart, generation: Generation, gap: &Gap) -> Self {
        let mut parts = Parts::of(b"gap", tenant, source);
        parts.add(part.as_str().as_bytes());
        parts.number(generation.0);
        for end in [gap.after_sequence, gap.before_sequence] {
            match end {
                Some(sequence) => parts.signed(sequence),
                None => parts.add(b"-"),
            }
        }
        // Two sinks may be passed over at the same place, and one of them twice at a place without a number.
        if let Some(passed) = &gap.passed {
            parts.add(passed.sink.as_str().as_bytes());
            parts.add(passed.older_than.to_microsoft().as_bytes());
        }
        parts.finish()
    }

    /// A row of a streaming table without coordinates, known by the columns that identify it.
    pub fn of_row(table: &str, tenant: &str, values: &[&str]) -> Self {
        let mut parts = Parts::new();
        parts.add(b"row");
        parts.add(table.as_bytes());
        parts.add(tenant.as_bytes());
        values.iter().for_each(|value| parts.add(value.as_bytes()));
        parts.finish()
    }

    /// A record without coordinates, known only by what it says.
    pub fn of_content(record: &[u8]) -> Self {
        let mut parts = Parts::new();
        parts.add(b"content");
        parts.add(record);
        parts.finish()
    }

    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }
    pub const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }
    /// The printed form, without an allocation.
    pub fn to_hex(self) -> [u8; 32] {
        let mut hex = [0; 32];
        write_hex(&self.0, &mut hex);
        hex
    }
}

/// Each part goes in with its length before it, so that no two lists of parts run together into the same bytes.
struct Parts {
    digest: Context,
    /// Short parts gather here first: the digest takes them faster at once than one by one.
    gathered: [u8; GATHERED_BYTES],
    length: usize,
}

/// Room for all parts of nearly every record of a log.
const GATHERED_BYTES: usize = 256;

impl Parts {
    fn new() -> Self {
        Self { digest: Context::new(&SHA256), gathered: [0; GATHERED_BYTES], length: 0 }
    }

    fn of(kind: &[u8], tenant: &TenantId, source: &SourceId) -> Self {
        let mut parts = Self::new();
        parts.add(kind);
        parts.add(tenant.as_str().as_bytes());
        parts.add(source.as_str().as_bytes());
        parts
    }

    fn add(&mut self, part: &[u8]) {
        let length = u32::try_from(part.len()).unwrap_or(u32::MAX);
        self.gather(&length.to_be_bytes());
        self.gather(part);
    }

    fn gather(&mut self, bytes: &[u8]) {
        if self.length + bytes.len() > GATHERED_BYTES {
            self.digest.update(&self.gathered[..self.length]);
            self.length = 0;
            if bytes.len() > GATHERED_BYTES {
                return self.digest.update(bytes);
            }
        }
        self.gathered[self.length..self.length + bytes.len()].copy_from_slice(bytes);
        self.length += bytes.len();
    }

    fn number(&mut self, number: u64) {
        self.add(Decimal::default().write(number));
    }

    fn signed(&mut self, number: i64) {
        self.add(Decimal::default().write_signed(number));
    }

    fn finish(mut self) -> EventId {
        self.digest.update(&self.gathered[..self.length]);
        let digest = self.digest.finish();
        let mut id = [0; 16];
        id.copy_from_slice(&digest.as_ref()[..16]);
        EventId(id)
    }
}

fn write_hex(bytes: &[u8], into: &mut [u8]) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    for (pair, byte) in into.chunks_exact_mut(2).zip(bytes) {
        pair[0] = DIGITS[usize::from(byte >> 4)];
        pair[1] = DIGITS[usize::from(byte & 15)];
    }
}

/// A whole number as decimal digits on the stack: the way of an event writes several for each record.
#[derive(Default)]
pub struct Decimal {
    digits: [u8; 20],
}

impl Decimal {
    pub fn write(&mut self, mut number: u64) -> &[u8] {
        let mut at = self.digits.len();
        loop {
            at -= 1;
            self.digits[at] = b'0' + (number % 10) as u8;
            number /= 10;
            if number == 0 {
                return &self.digits[at..];
            }
        }
    }

    pub fn write_signed(&mut self, number: i64) -> &[u8] {
        let length = self.write(number.unsigned_abs()).len();
        let mut at = self.digits.len() - length;
        if number < 0 {
            at -= 1;
            self.digits[at] = b'-';
        }
        &self.digits[at..]
    }
}

impl fmt::Display for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.to_hex().iter().try_for_each(|digit| fmt::Write::write_char(f, char::from(*digit)))
    }
}
impl fmt::Debug for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("this is not an event id: write its 32 hexadecimal digits")]
pub struct BadEventId;

impl FromStr for EventId {
    type Err = BadEventId;
    fn from_str(text: &str) -> Result<Self, BadEventId> {
        if text.len() != 32 || !text.bytes().all(|b| b.is_ascii_hexdigit()) {
            return Err(BadEventId);
        }
        u128::from_str_radix(text, 16).map(|number| Self(number.to_be_bytes())).map_err(|_| BadEventId)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Timestamp;
    use crate::event::batch::GapReason;

    fn names() -> (TenantId, SourceId) {
        ("contoso".parse().unwrap(), "hub".parse().unwrap())
    }

    /// The formula written out a second time, in the plainest way.
    fn plain(parts: &[&str]) -> String {
        let mut bytes = Vec::new();
        for part in parts {
            bytes.extend(u32::try_from(part.len()).unwrap().to_be_bytes());
            bytes.extend(part.as_bytes());
        }
        let digest = ring::digest::digest(&SHA256, &bytes);
        digest.as_ref()[..16].iter().map(|byte| format!("{byte:02x}")).collect()
    }

    #[test]
    fn ids_follow_the_published_formula() {
        let (tenant, source) = names();
        let log = Coordinates::Log { generation: Generation(1_700_000_000_000), partition: "3".into(), sequence: 42 };
        assert_eq!(
            EventId::of_record(&tenant, &source, &log, 7).to_string(),
            plain(&["log", "contoso", "hub", "1700000000000", "3", "42", "7"])
        );
        let version =
            Version { updated: Timestamp::from_millis(1_893_492_125_000), digest: [0, 1, 2, 3, 4, 5, 6, 255] };
        let object = Coordinates::Object { id: "4711".into(), version };
        assert_eq!(
            EventId::of_record(&tenant, &source, &object, 9).to_string(),
            plain(&["object", "contoso", "hub", "4711", "2030-01-01T10:02:05.0000000Z", "00010203040506ff"])
        );
        let gap = Gap {
            reason: GapReason::Skipped,
            lost: None,
            after_sequence: Some(-1),
            before_sequence: None,
            passed: None,
        };
        assert_eq!(
            EventId::of_gap(&tenant, &source, &"0".parse().unwrap(), Generation(0), &gap).to_string(),
            plain(&["gap", "contoso", "hub", "0", "0", "-1", "-"])
        );
        assert_eq!(EventId::of_row("T", "d", &["a", ""]).to_string(), plain(&["row", "T", "d", "a", ""]));
        for length in [0, 1, 200, 237, 238, 239, 256, 257, 5000] {
            let record = "x".repeat(length);
            assert_eq!(EventId::of_content(record.as_bytes()).to_string(), plain(&["content", &record]));
        }
        assert_eq!(EventId::of_content(b"{}").to_string(), "2359809c71619542b5e50939baf3c9f8");
    }

    #[test]
    fn an_id_reads_back_from_what_it_prints() {
        let id = EventId::of_content(b"x");
        assert_eq!(id.to_string().parse(), Ok(id));
        for bad in ["", "+1", "0123", &"g".repeat(32), &format!("+{}", "1".repeat(31))] {
            assert_eq!(bad.parse::<EventId>(), Err(BadEventId), "{bad}");
        }
    }

    #[test]
    fn decimals_are_what_the_standard_library_prints() {
        for number in [0, 1, 9, 10, 1234, i64::MAX, i64::MIN, -1] {
            assert_eq!(Decimal::default().write_signed(number), number.to_string().as_bytes());
        }
        assert_eq!(Decimal::default().write(u64::MAX), u64::MAX.to_string().as_bytes());
    }
}

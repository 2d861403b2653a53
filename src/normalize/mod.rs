//! Records become events. Each record is read once; what an event says is borrowed from the record's bytes.
//!
//! Nothing is dropped silently: what no table maps is kept as unmapped, and what can't be read is rejected whole, with
//! its place and the reason, for the quarantine.

mod alert;
mod convert;
mod detection;
mod draft;
mod evidence;
mod gap;
mod identity;
mod incident;
mod kinds;
mod message;
mod object;
mod streaming;
mod tables;

use std::borrow::Cow;

use crate::clock::Timestamp;
use crate::event::batch::{Coordinates, Shape};
use crate::event::{Event, EventId, json};
use crate::ids::{SourceId, TenantId};

pub use gap::gap;
pub use message::{COLUMNS_MAX, RECORDS_MAX};

/// Why a column of a kind of record has no field, although it is known; nothing for one that nobody here knows.
pub fn left_out(kind: &str, column: &str) -> Option<&'static str> {
    let of_objects = || if matches!(kind, "Alert" | "Incident") { kinds::left_out(column) } else { None };
    tables::left_out(kind, column).or_else(of_objects).or_else(|| tables::evidence::left_out(kind, column))
}

/// Where the bytes come from.
#[derive(Debug, Clone, Copy)]
pub struct Origin<'o> {
    pub tenant: &'o TenantId,
    pub source: &'o SourceId,
    /// Nothing only for records that were handed to us outside of a feed: they are known by what they say.
    pub coordinates: Option<&'o Coordinates>,
    /// When upstream published the entry: the time of an event that tells no better one.
    pub published: Option<Timestamp>,
}

impl Origin<'_> {
    fn id(&self, index: u32, record: &[u8]) -> EventId {
        match self.coordinates {
            Some(coordinates) => EventId::of_record(self.tenant, self.source, coordinates, index),
            None => EventId::of_content(record),
        }
    }
}

/// What a record became.
#[derive(Debug)]
pub enum Normalized<'e> {
    Event(&'e Event<'e>),
    Rejected(Rejected<'e>),
}

/// A record that can't be processed, whole.
#[derive(Debug)]
pub struct Rejected<'e> {
    pub id: EventId,
    /// Which record of its message, counted from zero; nothing when the message had to be rejected as one.
    pub index: Option<u32>,
    pub raw: &'e [u8],
    pub reason: Reason,
}

/// Why a record can't be processed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Reason {
    #[error("it is not JSON: it {0}")]
    NotJson(#[from] json::Fault),
    #[error("it is empty")]
    Empty,
    #[error("it is not a JSON object")]
    NotAnObject,
    #[error("it has no `category` that names its table")]
    NoTable,
    #[error("it has no object `properties` with the columns of its table")]
    NoColumns,
    #[error("it has no `id`")]
    NoId,
    #[error("it has more than {COLUMNS_MAX} columns")]
    TooWide,
    #[error("the message holds more than {RECORDS_MAX} records")]
    TooMany,
}

impl Reason {
    /// What a person can do about it.
    pub const fn remedy(&self) -> &'static str {
        match self {
            Self::NotJson(_) | Self::Empty | Self::NotAnObject => {
                "look at the quarantined bytes: something between Microsoft and here has cut or changed them"
            }
            Self::NoTable | Self::NoColumns => {
                "check that the hub carries Defender's streaming records and nothing else writes to it"
            }
            Self::NoId => "check that the source's kind fits what its upstream sends",
            Self::TooWide | Self::TooMany => {
                "nothing of Microsoft's is that large: look for a stranger who writes there"
            }
        }
    }
}

/// The text of an entry or of one of its records, and the bytes it stands for.
#[derive(Clone, Copy)]
struct Input<'r> {
    text: &'r str,
    raw: &'r [u8],
    /// Whether the bytes were not UTF-8, so that the text is a repaired copy.
    repaired: bool,
}

/// Turns records into events, one entry after the other, in buffers that it keeps.
#[derive(Default)]
pub struct Normalizer {
    streaming: streaming::Streaming,
}

impl Normalizer {
    pub fn new() -> Self {
        Self::default()
    }

    /// Hands each record of one entry to `each`, as an event or as rejected, in upstream's order.
    pub fn normalize(
        &mut self,
        origin: &Origin<'_>,
        shape: Shape,
        bytes: &[u8],
        each: &mut impl FnMut(Normalized<'_>),
    ) {
        self.normalize_from(0, origin, shape, bytes, each);
    }

    /// The same, where the first record is another than number zero of its message: it was taken out of it.
    pub fn normalize_from(
        &mut self,
        first: u32,
        origin: &Origin<'_>,
        shape: Shape,
        bytes: &[u8],
        each: &mut impl FnMut(Normalized<'_>),
    ) {
        let text = std::str::from_utf8(bytes);
        let Some(read) = kinds::Kinds::shared().read(shape) else {
            return match text {
                Ok(text) => self.streaming.message(origin, Input { text, raw: bytes, repaired: false }, first, each),
                Err(_) => self.broken_text(first, origin, bytes, each),
            };
        };
        let repaired = text.is_err();
        let text = text.map_or_else(|_| String::from_utf8_lossy(bytes), Cow::Borrowed);
        let input = Input { text: &text, raw: bytes, repaired };
        let event = match read {
            kinds::Read::Incident(incidents, pieces) => incident::event(origin, input, incidents, pieces),
            kinds::Read::Alert(prepared, pieces) => alert::event(origin, input, shape, prepared, pieces),
        };
        each(match event {
            Ok(ref event) => Normalized::Event(event),
            Err(reason) => Normalized::Rejected(Rejected { id: origin.id(0, bytes), index: None, raw: bytes, reason }),
        });
    }

    /// A message that isn't UTF-8: an event must not hide behind one bad byte. The records are delimited in a copy with
    /// stand-ins of equal length, and then each one that is broken is repaired by itself.
    fn broken_text(&mut self, first: u32, origin: &Origin<'_>, bytes: &[u8], each: &mut impl FnMut(Normalized<'_>)) {
        let outline = stand_in(bytes);
        let mut message = message::Message::default();
        if let Err(reason) = message.scan(&outline) {
            each(Normalized::Rejected(Rejected { id: origin.id(0, bytes), index: None, raw: bytes, reason }));
            return;
        }
        for (index, found) in (first..).zip(&message.found) {
            let raw = &bytes[found.span.clone()];
            if let Some(reason) = found.fault {
                let id = origin.id(index, raw);
                each(Normalized::Rejected(Rejected { id, index: Some(index), raw, reason }));
            } else {
                let text = String::from_utf8_lossy(raw);
                let repaired = matches!(text, Cow::Owned(_));
                self.streaming.message(origin, Input { text: &text, raw, repaired }, index, each);
            }
        }
    }
}

/// Text with a question mark for each byte that is no part of a character. Quotes, brackets and commas stay in place.
pub(crate) fn stand_in(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        text.push_str(chunk.valid());
        text.extend(chunk.invalid().iter().map(|_| '?'));
    }
    text
}

//! What goes in and what comes out: golden files, hostile input, and a reader of CEF that shares nothing with its writer.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking, in its helpers too")]

mod conservation;
mod files;
mod read_back;
mod sameness;
mod worked_example;

use siemgate::event::Event;
use siemgate::event::batch::{Coordinates, Shape};
use siemgate::ids::{Generation, SourceId, TenantId};
use siemgate::normalize::{Normalized, Normalizer, Origin, Rejected};

/// What one input became, in order.
pub struct Outcome {
    /// For an event its format's line, for a rejected record its index, bytes and reason.
    pub items: Vec<Item>,
}

pub enum Item {
    Event { index: u32, id: String, raw: Vec<u8>, seen: String },
    Rejected { index: Option<u32>, id: String, raw: Vec<u8>, reason: String },
}

/// Normalises one entry of a log; `see` says what is wanted of each event.
pub fn normalize(shape: Shape, bytes: &[u8], mut see: impl FnMut(&Event<'_>) -> String) -> Outcome {
    let tenant: TenantId = "contoso".parse().expect("a name");
    let source: SourceId = "hub".parse().expect("a name");
    let coordinates = Coordinates::Log { generation: Generation(1), partition: "0".into(), sequence: 7 };
    let origin = Origin { tenant: &tenant, source: &source, coordinates: Some(&coordinates), published: None };
    let mut items = Vec::new();
    Normalizer::new().normalize(&origin, shape, bytes, &mut |normalized| {
        items.push(match normalized {
            Normalized::Event(event) => {
                Item::Event { index: event.index, id: event.id.to_string(), raw: event.raw.to_vec(), seen: see(event) }
            }
            Normalized::Rejected(Rejected { id, index, raw, reason }) => {
                Item::Rejected { index, id: id.to_string(), raw: raw.to_vec(), reason: reason.to_string() }
            }
        });
    });
    Outcome { items }
}

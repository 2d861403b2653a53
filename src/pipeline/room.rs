//! Room at a sink for one parcel: bytes of its window and a place in its queue, taken before the parcel is made.
//!
//! A feed never waits for a sink while it holds anything others need: it takes what room there is, or leaves word that it
//! waits and goes on with the other sinks.

use bytes::Bytes;
use tokio::sync::{OwnedSemaphorePermit, mpsc};

use super::prepare::Lane;
use super::turns::{Turn, Turns};
use crate::lease::Lease;
use crate::sinks::limits::WINDOW_BYTES;
use crate::sinks::{Parcel, Receipt};

/// A frame is seldom longer than this many times its record: OCSF repeats names, CEF leaves most out.
const FRAMES_PER_RECORD_BYTE: usize = 2;
/// The least that is asked for: what a batch without records may yet become, such as a gap record.
const ROOM_BYTES_MIN: usize = 4 << 10;

/// Room for one parcel at one sink. Dropped unused, it is given back.
#[derive(Debug)]
pub struct Room {
    bytes: OwnedSemaphorePermit,
    place: mpsc::OwnedPermit<Parcel>,
    /// What is made meanwhile is made in turn.
    _turn: Option<Turn>,
}

/// What is framed for the sink.
#[derive(Debug)]
pub struct Load {
    pub frames: Bytes,
    pub ends: Vec<u32>,
    pub events: u32,
}

/// The room to ask for, for records of so many bytes. One parcel larger than the window takes all of it.
fn wanted(record_bytes: usize) -> u32 {
    let bytes = record_bytes.saturating_mul(FRAMES_PER_RECORD_BYTE).clamp(ROOM_BYTES_MIN, WINDOW_BYTES);
    u32::try_from(bytes).unwrap_or(u32::MAX)
}

/// What room there is now; nothing when there is not enough, or the sink is gone.
pub fn try_room(lane: &Lane, record_bytes: usize) -> Option<Room> {
    let bytes = lane.window.try_take(wanted(record_bytes))?;
    let place = lane.parcels.clone().try_reserve_owned().ok()?;
    Some(Room { bytes, place, _turn: None })
}

/// Waits for room, in turn with other feeds, and for a turn to fill it, where there are turns. Never comes back once the
/// sink is gone: its feeds are built anew then.
pub fn room(lane: &Lane, record_bytes: usize, turns: Option<Turns>) -> impl Future<Output = Room> + Send + use<> {
    let (window, parcels) = (lane.window.clone(), lane.parcels.clone());
    async move {
        let Some(bytes) = window.take(wanted(record_bytes)).await else { return std::future::pending().await };
        loop {
            let Ok(place) = parcels.clone().reserve_owned().await else { return std::future::pending().await };
            let Some(turns) = &turns else { return Room { bytes, place, _turn: None } };
            // A place is kept by nobody who waits for a turn, nor a turn by anybody who waits for a place.
            drop(place);
            let turn = turns.turn().await;
            if let Ok(place) = parcels.clone().try_reserve_owned() {
                return Room { bytes, place, _turn: Some(turn) };
            }
        }
    }
}

impl Room {
    /// Hands the parcel over, and gives back what it doesn't need.
    pub fn send(mut self, load: Load, receipt: Receipt, lease: Lease) {
        let Load { frames, ends, events } = load;
        // The rest of the permit goes back at once. A parcel that came out larger than was asked for takes no more.
        let permit = Some(self.bytes.split(frames.len()).unwrap_or(self.bytes));
        self.place.send(Parcel { frames, ends, events, permit, receipt: Some(receipt), lease });
    }
}

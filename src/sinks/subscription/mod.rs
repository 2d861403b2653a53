//! Events for whoever subscribes: kept at the owner of their feed until a member asks for them and acknowledges them.
//!
//! [`desk`] is where parcels come in and members fetch them, [`visit`] one member's conversation with it. `window`, `feed`,
//! `share`, `silence`, `frame` and `config` are pure.

mod config;
pub mod desk;
mod feed;
pub mod frame;
mod reserves;
pub mod share;
pub mod silence;
pub mod visit;
pub mod window;
pub mod words;

use std::sync::Arc;

use tokio::sync::{mpsc, watch};
use tokio::time::{MissedTickBehavior, interval};

pub use config::{Start, SubscriptionConfig, TokenHash};
use desk::Desk;

use super::Parcel;
use super::limits::VISIT_LOOK;

/// Brings parcels to the desk until they end or `stop` turns true. It never waits for a subscriber: how much may lie there
/// is bounded by the sink's window.
pub async fn run(desk: Arc<Desk>, mut parcels: mpsc::Receiver<Parcel>, mut stop: watch::Receiver<bool>) {
    let mut look = interval(VISIT_LOOK);
    look.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let parcel = tokio::select! {
            biased;
            _ = stop.wait_for(|stopped| *stopped) => None,
            _ = look.tick() => {
                desk.tidy();
                continue;
            }
            parcel = parcels.recv() => parcel,
        };
        let Some(parcel) = parcel else { break };
        desk.take(parcel);
    }
    desk.close();
}

//! The admin API over gRPC: shows what the node does and proposes changes of its resources.
//!
//! The node gives us a [`Backend`]; the control plane is used as it is.

pub mod view;

use std::future::Future;
use std::sync::Arc;

use tokio::sync::broadcast;

use crate::cluster::ControlPlane;
use view::{Health, Status, TapEvent};

/// What the faces need of the node. Cheap to ask: console and scrapers do so every few seconds.
pub trait Backend: Send + Sync + 'static {
    fn control(&self) -> &ControlPlane;
    /// Everything there is to see now. The faces cut it down to what a caller asked for.
    fn status(&self) -> impl Future<Output = Status> + Send;
    /// Whether the node can do its work; asked by load balancers, so it may not wait.
    fn health(&self) -> Health;
    /// Events as they pass from here on. Slow readers miss events; delivery never waits for them.
    fn tap(&self) -> broadcast::Receiver<Arc<TapEvent>>;
}

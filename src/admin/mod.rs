//! The admin API over gRPC: shows what the node does and proposes changes of its resources.
//!
//! The node gives us a [`Backend`]; the control plane is used as it is. `access`, `accounts`, `plan`, `sealing`, `tap`,
//! `urgency` and `view` are pure.

pub mod access;
mod accounts;
mod applied;
pub mod carry_out;
pub mod convert;
pub mod cursor_plan;
mod cursors;
pub mod events;
pub mod everywhere;
pub mod figures;
pub mod first_code;
mod invite;
pub mod limits;
mod members;
mod operations;
pub mod plan;
mod proposing;
pub mod quarantine;
mod replays;
pub mod sealing;
pub mod server;
mod service;
mod sign_in;
mod subscriptions;
pub mod tap;
pub mod token_file;
pub mod urgency;
pub mod view;

#[cfg(test)]
mod apply_tests;
#[cfg(test)]
mod operations_tests;
#[cfg(test)]
mod permission_tests;
#[cfg(test)]
pub(crate) mod service_tests;

use std::collections::BTreeMap;
use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::broadcast;

use crate::cluster::ControlPlane;
use crate::cluster::pki::token::Pin;
use crate::ids::{FeedId, NodeId};
use cursor_plan::Extent;
use events::Subscriptions;
use quarantine::{Clear, Cleared, Filter, Listing};
use sealing::Sealer;
use view::{Health, Probed, Status, TapEvent};

/// By feed.
pub type Extents = BTreeMap<FeedId, Result<Extent, String>>;

/// What the faces need of the node. Cheap to ask: console and scrapers do so every few seconds.
pub trait Backend: Send + Sync + 'static {
    fn control(&self) -> &ControlPlane;
    /// Seals secrets before they are proposed.
    fn sealer(&self) -> Arc<dyn Sealer>;
    /// The pin of the cluster's authority, which goes into every token.
    fn pin(&self) -> Option<Pin>;
    /// Everything there is to see now. The faces cut it down to what a caller asked for.
    fn status(&self) -> impl Future<Output = Status> + Send;
    /// Whether the node can do its work; asked by load balancers, so it may not wait.
    fn health(&self) -> Health;
    /// Events as they pass from here on. Slow readers miss events; delivery never waits for them.
    fn tap(&self) -> broadcast::Receiver<Arc<TapEvent>>;
    /// What upstream has of these feeds now, or why it can't be asked.
    fn extents(&self, feeds: Vec<FeedId>) -> impl Future<Output = Extents> + Send;
    /// Sends a probe event the way a sink does, or says why there is none such.
    fn test_sink(&self, sink: String) -> impl Future<Output = Result<Probed, String>> + Send;
    /// The records of this node's quarantine that pass the filter.
    fn quarantined(&self, filter: Filter) -> impl Future<Output = Result<Listing, String>> + Send;
    /// Asks another member something that [`everywhere`] knows to answer there. The caller bounds how long it takes.
    fn ask_member(&self, node: NodeId, ask: Bytes) -> impl Future<Output = Result<Bytes, String>> + Send;
    /// Takes these records out of quarantine, by sending them on or for good.
    fn clear(&self, ids: Vec<String>, how: Clear) -> impl Future<Output = Result<Vec<Cleared>, String>> + Send;
    /// Whoever serves subscriptions; nobody where the node has no such part.
    fn subscriptions(&self) -> Option<Arc<dyn Subscriptions>> {
        None
    }
}

/// Why a face of the node can't be shown, by cause.
#[derive(Debug, thiserror::Error)]
pub enum AdminError {
    #[error("the API may not listen on {address}: other hosts reach it, and it speaks no TLS yet; use 127.0.0.1")]
    NotLoopback { address: SocketAddr },
    #[error("can't listen on {address} for the {what}: {cause}; stop what listens there, or use another port")]
    Bind { what: &'static str, address: SocketAddr, cause: std::io::Error },
    #[error("serving the API failed: {cause}")]
    Serve { cause: String },
}

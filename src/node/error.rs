//! Why a node can't begin, or can't go on, by cause.

use std::net::SocketAddr;
use std::path::PathBuf;

use super::membership::MembershipError;
use crate::cluster::{ClusterError, Outcome, PeerName};
use crate::ids::NodeId;

#[derive(Debug, thiserror::Error)]
pub enum NodeError {
    #[error(transparent)]
    Cluster(#[from] ClusterError),
    #[error(transparent)]
    Membership(#[from] MembershipError),
    #[error(
        "can't listen on {address} for the other members: {cause}; stop what listens there, or set `[listen] peers`"
    )]
    Listen { address: SocketAddr, cause: std::io::Error },
    #[error("the cluster does not let this node begin, it answered {answer:?}: look at its members")]
    NotEnrolled { answer: Outcome },
    #[error("node {node} was removed from the cluster: empty its data directory and let it join anew")]
    Removed { node: NodeId },
    #[error(
        "another process runs as {name} at {address}: stop that one first, and if this data directory is a copy, remove it"
    )]
    Twin { name: PeerName, address: String },
    #[error("can't prepare outgoing TLS: {cause}; check the files under `[tls]`")]
    Tls { cause: String },
    #[error("can't write the history file {}: {cause}", path.display())]
    History { path: PathBuf, cause: std::io::Error },
}

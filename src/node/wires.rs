//! How a node meets the other members: by certificates of the cluster's authority in production, or over wires that a
//! test lays.

use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::sync::Arc;

use super::NodeError;
use super::keyring::Keyring;
use super::membership::{Membership, MembershipError};
use super::twin;
use crate::clock::Clock;
use crate::cluster::peers::Peers;
use crate::cluster::pki::own::OwnFiles;
use crate::cluster::{Door, Settings};
use crate::ids::ClusterId;

/// The way to the other members.
#[derive(Clone)]
pub enum Wires {
    Tls {
        /// Where members reach this node; a port of 0 takes any that is free.
        listen: SocketAddr,
        /// The address that members are told; where it listens, unless given.
        advertise: Option<String>,
        /// Certificates that people bring, unless the cluster signs them.
        own: Option<OwnFiles>,
    },
    /// Given from outside, with whoever is to be shown the way in.
    Given { plane: Box<Settings>, entered: Entered },
}

/// Is shown the way into a node.
pub type Entered = Arc<dyn Fn(Door) + Send + Sync>;

/// What a control plane starts with, and who looks after the node's certificates.
pub(super) struct Laid {
    pub plane: Settings,
    pub membership: Option<Membership>,
    pub keyring: Arc<Keyring>,
    /// The address that others are told.
    pub peer: String,
    pub entered: Option<Entered>,
    /// The way of subscribers' events, apart from the control plane's.
    pub front: Arc<dyn Peers>,
}

impl Wires {
    pub(super) async fn lay(self, data_dir: &Path, clock: &Clock) -> Result<Laid, NodeError> {
        match self {
            Self::Tls { listen: address, advertise, own } => {
                let membership = Membership::open_with(data_dir, own, clock)?;
                if let Some(advertised) = &advertise {
                    twin::none_at(&membership, advertised).await?;
                }
                let (listener, peer) = listen(address, advertise)?;
                let plane = membership.settings(listener, &peer)?;
                let keyring = membership.keyring.clone();
                let front = Arc::new(membership.remote());
                Ok(Laid { plane, membership: Some(membership), keyring, peer, entered: None, front })
            }
            Self::Given { plane, entered } => {
                let peer = plane.address().to_owned();
                let cluster = plane.begin.cluster().unwrap_or(ClusterId([0; 16]));
                let keyring = Keyring::of_its_own(cluster, clock.clone()).map_err(MembershipError::from)?;
                let keyring = Arc::new(keyring);
                let front = plane.peers.clone();
                Ok(Laid { plane: *plane, membership: None, keyring, peer, entered: Some(entered), front })
            }
        }
    }
}

/// Bound before anything else is opened, so that a taken port is known early.
fn listen(address: SocketAddr, advertise: Option<String>) -> Result<(TcpListener, String), NodeError> {
    let failed = |cause| NodeError::Listen { address, cause };
    let listener = TcpListener::bind(address).map_err(failed)?;
    let bound = listener.local_addr().map_err(failed)?;
    Ok((listener, advertise.unwrap_or_else(|| bound.to_string())))
}

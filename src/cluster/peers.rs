//! How Raft reaches the other voters: a trait of our own, so that neither openraft's shapes nor a transport's leak into
//! each other.

use std::future::Future;

use openraft::BasicNode;
use openraft::error::{InstallSnapshotError, RPCError, RaftError, Unreachable};
use openraft::network::{RPCOption, RaftNetwork, RaftNetworkFactory};
use openraft::raft::{
    AppendEntriesRequest, AppendEntriesResponse, InstallSnapshotRequest, InstallSnapshotResponse, VoteRequest,
    VoteResponse,
};

use super::types::TypeConfig;
use crate::ids::NodeId;

/// One way to the other members. A call that cannot be answered is [`PeerUnreachable`], whatever the reason: Raft
/// treats silence and refusal alike.
pub(super) trait Peers: Clone + Send + Sync + 'static {
    fn append(
        &self,
        to: &Peer,
        request: AppendEntriesRequest<TypeConfig>,
    ) -> impl Future<Output = Result<AppendEntriesResponse<u64>, PeerUnreachable>> + Send;
    fn vote(
        &self,
        to: &Peer,
        request: VoteRequest<u64>,
    ) -> impl Future<Output = Result<VoteResponse<u64>, PeerUnreachable>> + Send;
    fn install(
        &self,
        to: &Peer,
        request: InstallSnapshotRequest<TypeConfig>,
    ) -> impl Future<Output = Result<InstallSnapshotResponse<u64>, PeerUnreachable>> + Send;
}

/// Another member, by the id that is meant and the address it was given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Peer {
    pub node: NodeId,
    pub address: String,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("node {node} at `{address}` can't be reached: {why}")]
pub(super) struct PeerUnreachable {
    pub node: NodeId,
    pub address: String,
    pub why: String,
}

/// The peers of a cluster of one: there are none.
#[derive(Debug, Clone, Copy)]
pub(super) struct Alone;

impl Alone {
    fn unreachable(to: &Peer) -> PeerUnreachable {
        let why = "this cluster has one voter".to_owned();
        PeerUnreachable { node: to.node, address: to.address.clone(), why }
    }
}

impl Peers for Alone {
    async fn append(
        &self,
        to: &Peer,
        _request: AppendEntriesRequest<TypeConfig>,
    ) -> Result<AppendEntriesResponse<u64>, PeerUnreachable> {
        Err(Self::unreachable(to))
    }
    async fn vote(&self, to: &Peer, _request: VoteRequest<u64>) -> Result<VoteResponse<u64>, PeerUnreachable> {
        Err(Self::unreachable(to))
    }
    async fn install(
        &self,
        to: &Peer,
        _request: InstallSnapshotRequest<TypeConfig>,
    ) -> Result<InstallSnapshotResponse<u64>, PeerUnreachable> {
        Err(Self::unreachable(to))
    }
}

/// openraft's view of [`Peers`].
pub(super) struct Network<P>(pub P);

/// openraft's view of one peer.
pub(super) struct Connection<P> {
    peers: P,
    to: Peer,
}

impl<P: Peers> RaftNetworkFactory<TypeConfig> for Network<P> {
    type Network = Connection<P>;

    async fn new_client(&mut self, target: u64, node: &BasicNode) -> Connection<P> {
        Connection { peers: self.0.clone(), to: Peer { node: NodeId(target), address: node.addr.clone() } }
    }
}

impl<P: Peers> RaftNetwork<TypeConfig> for Connection<P> {
    async fn append_entries(
        &mut self,
        request: AppendEntriesRequest<TypeConfig>,
        _option: RPCOption,
    ) -> Result<AppendEntriesResponse<u64>, RPCError<u64, BasicNode, RaftError<u64>>> {
        self.peers.append(&self.to, request).await.map_err(|error| Unreachable::new(&error).into())
    }
    async fn install_snapshot(
        &mut self,
        request: InstallSnapshotRequest<TypeConfig>,
        _option: RPCOption,
    ) -> Result<InstallSnapshotResponse<u64>, RPCError<u64, BasicNode, RaftError<u64, InstallSnapshotError>>> {
        self.peers.install(&self.to, request).await.map_err(|error| Unreachable::new(&error).into())
    }
    async fn vote(
        &mut self,
        request: VoteRequest<u64>,
        _option: RPCOption,
    ) -> Result<VoteResponse<u64>, RPCError<u64, BasicNode, RaftError<u64>>> {
        self.peers.vote(&self.to, request).await.map_err(|error| Unreachable::new(&error).into())
    }
}

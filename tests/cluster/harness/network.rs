//! A network inside the process whose links can be cut, each direction apart.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::future::ready;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::{BoxFuture, FutureExt as _};
use futures_util::stream::StreamExt as _;
use parking_lot::Mutex;
use siemgate::cluster::Door;
use siemgate::cluster::peers::{Answer, CallFailed, Kind, Peer, Peers, Request, Words};
use siemgate::ids::NodeId;
use tokio::time::sleep;

/// All links of a cluster. Clones are the same network.
#[derive(Clone, Default)]
pub struct Network(Arc<Mutex<Links>>);

#[derive(Default)]
struct Links {
    doors: BTreeMap<NodeId, Door>,
    /// From whom to whom nothing arrives.
    cut: BTreeSet<(NodeId, NodeId)>,
    /// After so many more requests of this kind, the connection breaks at each of them.
    breaking: BTreeMap<Kind, u64>,
    carried: BTreeMap<Kind, u64>,
    /// The newest vote each node gave.
    votes: BTreeMap<NodeId, (u64, NodeId)>,
    /// Votes that should not have been given.
    double_votes: Vec<String>,
}

/// One node's way into the network.
#[derive(Clone)]
pub struct Socket {
    network: Network,
    from: NodeId,
}

impl fmt::Debug for Socket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Socket({})", self.from)
    }
}

impl Network {
    pub fn socket(&self, from: NodeId) -> Socket {
        Socket { network: self.clone(), from }
    }
    pub fn connect(&self, node: NodeId, door: Door) {
        self.0.lock().doors.insert(node, door);
    }
    pub fn disconnect(&self, node: NodeId) {
        self.0.lock().doors.remove(&node);
    }

    /// Nothing arrives from one node at the other any more; the other way all does.
    pub fn cut_one_way(&self, from: u64, to: u64) {
        self.0.lock().cut.insert((NodeId(from), NodeId(to)));
    }
    pub fn cut(&self, one: u64, other: u64) {
        self.cut_one_way(one, other);
        self.cut_one_way(other, one);
    }
    pub fn is_whole(&self, one: u64, other: u64) -> bool {
        let cut = &self.0.lock().cut;
        !cut.contains(&(NodeId(one), NodeId(other))) && !cut.contains(&(NodeId(other), NodeId(one)))
    }
    pub fn heal(&self) {
        let mut links = self.0.lock();
        links.cut.clear();
        links.breaking.clear();
    }

    /// Lets through so many more requests of a kind; at all later ones the connection breaks.
    pub fn breaks_after(&self, kind: Kind, requests: u64) {
        self.0.lock().breaking.insert(kind, requests);
    }
    /// How many requests of a kind arrived so far.
    pub fn carried(&self, kind: Kind) -> u64 {
        self.0.lock().carried.get(&kind).copied().unwrap_or(0)
    }
    pub fn double_votes(&self) -> Vec<String> {
        self.0.lock().double_votes.clone()
    }

    /// The door at the other end, unless the request is lost on the way.
    fn way(&self, from: NodeId, to: NodeId, kind: Kind) -> Way {
        let mut links = self.0.lock();
        if links.cut.contains(&(from, to)) {
            return Way::Lost;
        }
        let Some(door) = links.doors.get(&to).cloned() else { return Way::Closed };
        if let Some(left) = links.breaking.get_mut(&kind) {
            if *left == 0 {
                return Way::Broken;
            }
            *left -= 1;
        }
        *links.carried.entry(kind).or_default() += 1;
        Way::Open(door)
    }

    /// The door at the other end, as long as the link is whole.
    fn door(&self, from: NodeId, to: NodeId) -> Option<Door> {
        let links = self.0.lock();
        let cut = links.cut.contains(&(from, to)) || links.cut.contains(&(to, from));
        links.doors.get(&to).filter(|_| !cut).cloned()
    }

    fn loses_answer(&self, from: NodeId, to: NodeId) -> bool {
        self.0.lock().cut.contains(&(to, from))
    }

    /// A vote is for a term and a candidate, ordered by both; a node never gives one that is not above its last.
    fn note_vote(&self, voter: NodeId, ballot: (u64, NodeId)) {
        let mut links = self.0.lock();
        let before = links.votes.insert(voter, ballot);
        if let Some(before) = before.filter(|before| *before > ballot) {
            links.double_votes.push(format!("{voter} voted {before:?} and then {ballot:?}"));
            links.votes.insert(voter, before);
        }
    }
}

enum Way {
    Open(Door),
    /// Nobody listens there.
    Closed,
    Broken,
    Lost,
}

impl Peers for Socket {
    fn ask<'a>(
        &'a self,
        to: &'a Peer,
        request: Request,
        within: Duration,
    ) -> BoxFuture<'a, Result<Answer, CallFailed>> {
        let peer = to.clone();
        let unanswered = |peer| CallFailed::Unanswered { peer, why: "the network lost it".into() };
        async move {
            let ballot = request.ballot();
            let door = match self.network.way(self.from, peer.node, request.kind()) {
                Way::Open(door) => door,
                Way::Closed => return Err(CallFailed::Unreachable { peer, why: "nobody listens".into() }),
                Way::Broken => return Err(unanswered(peer)),
                Way::Lost => {
                    sleep(within).await;
                    return Err(unanswered(peer));
                }
            };
            let answer = tokio::time::timeout(within, door.answer(self.from, request)).await;
            if let (Some(ballot), Ok(Ok(answer))) = (ballot, &answer)
                && answer.grants_vote()
            {
                self.network.note_vote(peer.node, ballot);
            }
            if self.network.loses_answer(self.from, peer.node) {
                sleep(within).await;
                return Err(unanswered(peer));
            }
            match answer {
                Ok(Ok(answer)) => Ok(answer),
                Ok(Err(error)) => Err(CallFailed::Unanswered { peer, why: error.to_string() }),
                Err(_) => Err(unanswered(peer)),
            }
        }
        .boxed()
    }

    fn converse<'a>(&'a self, to: &'a Peer, words: Words) -> BoxFuture<'a, Result<Words, CallFailed>> {
        let (from, peer, network) = (self.from, to.clone(), self.network.clone());
        async move {
            let closed = |peer| CallFailed::Unreachable { peer, why: "nobody listens".into() };
            // What a conversation says is no request of any kind; a cut ends it, also while it goes on.
            let door = match network.door(from, peer.node) {
                Some(door) => door,
                None => return Err(closed(peer)),
            };
            let node = peer.node;
            let there = network.clone();
            let words = words.take_while(move |_| ready(there.door(from, node).is_some())).boxed();
            let answer = door.converse(from, words).map_err(|_| closed(peer))?;
            Ok(answer.take_while(move |_| ready(network.door(from, node).is_some())).boxed())
        }
        .boxed()
    }
}

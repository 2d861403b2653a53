//! Whom a leader has heard lately, also after the machine slept.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::{BoxFuture, FutureExt as _};
use openraft::BasicNode;
use openraft::network::{RPCOption, RaftNetwork as _, RaftNetworkFactory as _};
use openraft::raft::{AppendEntriesRequest, AppendEntriesResponse};
use tokio::sync::watch;

use crate::clock::{Clock, Timestamp};
use crate::cluster::peers::{Answer, CallFailed, Peer, Peers, Reply, Request};
use crate::cluster::raft_network::{Contact, Network};
use crate::cluster::types::Vote;
use crate::cluster::writer::{Durability, Durable};
use crate::ids::NodeId;

const SPAN: Duration = Duration::from_secs(1);

/// A follower whose answer takes a while by this clock.
#[derive(Debug)]
struct Slow(Clock, Duration);

impl Peers for Slow {
    fn ask<'a>(&'a self, _: &'a Peer, _: Request, _: Duration) -> BoxFuture<'a, Result<Answer, CallFailed>> {
        self.0.advance(self.1);
        async { Ok(Answer(Reply::Append(AppendEntriesResponse::Success))) }.boxed()
    }
}

async fn heard(clock: &Clock, after: Duration) -> Contact {
    let contact = Contact::counting_on(clock.clone());
    let (_log, durable) = watch::channel(Durable::default());
    let mut network = Network {
        peers: Arc::new(Slow(clock.clone(), after)),
        contact: contact.clone(),
        durability: Durability::of(durable),
        chunk_bytes: 1_024,
    };
    let mut connection = network.new_client(2, &BasicNode::new("node-2:7444")).await;
    let beat = AppendEntriesRequest {
        vote: Vote::new_committed(2, 1),
        prev_log_id: None,
        entries: vec![],
        leader_commit: None,
    };
    connection.append_entries(beat, RPCOption::new(SPAN)).await.unwrap();
    contact
}

#[tokio::test]
async fn what_a_leader_heard_before_its_machine_slept_is_not_lately() {
    let clock = Clock::manual(Timestamp::from_millis(1_000));
    let contact = heard(&clock, Duration::ZERO).await;
    assert!(contact.within(NodeId(2), SPAN) && !contact.within(NodeId(3), SPAN));
    clock.advance(SPAN);
    assert!(contact.within(NodeId(2), SPAN));
    // No timer of this process notices: only the clock that leases are counted on goes on meanwhile.
    clock.advance(Duration::from_secs(3_600));
    assert!(!contact.within(NodeId(2), SPAN), "a lease would be renewed on the word of an hour ago");
}

#[tokio::test]
async fn an_answer_says_that_a_member_followed_when_it_was_asked() {
    let clock = Clock::manual(Timestamp::from_millis(1_000));
    let contact = heard(&clock, 2 * SPAN).await;
    assert!(!contact.within(NodeId(2), SPAN), "it may follow another by now");
}

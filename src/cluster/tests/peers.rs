//! What members say to each other arrives as it was said.

use std::collections::BTreeSet;

use bytes::Bytes;
use openraft::raft::{AppendEntriesRequest, AppendEntriesResponse, VoteRequest, VoteResponse};
use openraft::{CommittedLeaderId, EntryPayload};
use proptest::prelude::*;
use prost::Message;

use super::commands::{any_command, feed, sink_id, source_key, tenant_key};
use crate::cluster::ClusterError;
use crate::cluster::codec::{
    AskWire, CodecError, ReplyWire, accusation_to_wire, append_to_wire, beat_to_wire, change_to_wire, chunk_to_wire,
    propose_to_wire, vote_request_to_wire,
};
use crate::cluster::command::{ItemOutcome, MoveOutcome, Outcome, Refusal};
use crate::cluster::member::Standing;
use crate::cluster::membership::Change;
use crate::cluster::peers::{Accusation, Ask, Beat, Chunk, ChunkTaken, PeerStatus, Reply, Verdict};
use crate::cluster::replay_job::ReplayId;
use crate::cluster::types::{Batch, Entry, LogId, Vote};
use crate::ids::{Epoch, Generation, NodeEpoch, NodeId};
use crate::wire::cluster::v1 as pb;

fn log_id(index: u64) -> LogId {
    LogId::new(CommittedLeaderId::new(3, 2), index)
}

/// Sends a request over and shows what arrives.
fn asked<W: Message + Default + AskWire>(wire: &W) -> String {
    format!("{:?}", W::decode(wire.encode_to_vec().as_slice()).unwrap().into_ask().unwrap())
}
/// Sends an answer over and shows what arrives.
fn answered<W: Message + Default + ReplyWire>(reply: Reply) -> String {
    let wire = W::from_reply(reply).expect("the answer fits the question");
    format!("{:?}", W::decode(wire.encode_to_vec().as_slice()).unwrap().into_reply().unwrap())
}

proptest! {
    #[test]
    fn entries_arrive_as_they_are_kept(commands in prop::collection::vec(any_command(), 0..5), prev in 0..9_u64) {
        let payloads = [EntryPayload::Blank, EntryPayload::Normal(Batch(commands.clone()))];
        let entries = payloads.into_iter().zip(prev + 1..).map(|(payload, n)| Entry { log_id: log_id(n), payload });
        let request = AppendEntriesRequest {
            vote: Vote::new_committed(3, 2),
            prev_log_id: (prev > 0).then(|| log_id(prev)),
            leader_commit: Some(log_id(prev + 1)),
            entries: entries.collect(),
        };
        let wire = append_to_wire(&request);
        prop_assert_eq!(asked(&wire), format!("{:?}", Ask::Append(request)));
        prop_assert_eq!(asked(&propose_to_wire(&commands)), format!("{:?}", Ask::Propose(commands)));
    }
}

#[test]
fn every_other_request_arrives_as_it_was_made() {
    let vote = VoteRequest { vote: Vote::new(4, 1), last_log_id: Some(log_id(9)) };
    assert_eq!(asked(&vote_request_to_wire(&vote)), format!("{:?}", Ask::Vote(vote)));
    let data = Bytes::from_static(b"part");
    let chunk = Chunk { vote: Vote::new_committed(3, 2), hash: [9; 32], total: 100, offset: 40, data };
    assert_eq!(asked(&chunk_to_wire(chunk.clone())), format!("{:?}", Ask::Snapshot(chunk)));
    let unable = vec!["contoso/hub/0".parse().unwrap(), "contoso/hub/1".parse().unwrap()];
    let beat = Beat { node_epoch: NodeEpoch(7), sent: Bytes::from_static(&[1, 2, 3]), unable };
    assert_eq!(asked(&beat_to_wire(beat.clone())), format!("{:?}", Ask::Heartbeat(beat)));
    let nodes = BTreeSet::from([NodeId(2), NodeId(3)]);
    for change in [
        Change::AddLearner { node: NodeId(4), address: "node-4:7444".into() },
        Change::Promote { nodes: nodes.clone() },
        Change::Remove { nodes },
        Change::Replace { old: NodeId(3), new: NodeId(4) },
        Change::Transfer { to: NodeId(2) },
    ] {
        assert_eq!(asked(&change_to_wire(&change)), format!("{:?}", Ask::Change(change)));
    }
    assert_eq!(asked(&pb::ReadIndexRequest {}), "ReadIndex");
    assert_eq!(asked(&pb::TakeOverRequest {}), "TakeOver");
    assert_eq!(asked(&pb::StatusRequest {}), "Status");
    let accusation = Accusation { vote: Vote::new_committed(3, 2), acknowledged: 9, missing: 7 };
    assert_eq!(asked(&accusation_to_wire(&accusation)), format!("{:?}", Ask::Forgot(accusation)));
}

#[test]
fn every_answer_arrives_as_it_was_given() {
    let check = |sent: fn() -> Reply, arrived: fn(Reply) -> String| {
        assert_eq!(arrived(sent()), format!("{:?}", sent()));
    };
    check(|| Reply::Append(AppendEntriesResponse::Success), answered::<pb::AppendAnswer>);
    check(|| Reply::Append(AppendEntriesResponse::Conflict), answered::<pb::AppendAnswer>);
    check(|| Reply::Append(AppendEntriesResponse::PartialSuccess(Some(log_id(5)))), answered::<pb::AppendAnswer>);
    check(|| Reply::Append(AppendEntriesResponse::HigherVote(Vote::new(9, 3))), answered::<pb::AppendAnswer>);
    check(|| Reply::Vote(vote()), answered::<pb::VoteAnswer>);
    check(|| Reply::Snapshot(taken()), answered::<pb::SnapshotAnswer>);
    check(|| Reply::ReadIndex(Ok(77)), answered::<pb::ReadIndexAnswer>);
    for verdict in [|| Verdict::Renewed, || Verdict::Expired, || Verdict::NotReady] {
        let sent = format!("{:?}", Reply::Heartbeat(Ok(verdict())));
        assert_eq!(answered::<pb::HeartbeatAnswer>(Reply::Heartbeat(Ok(verdict()))), sent);
    }
    check(|| Reply::Change(Ok(())), answered::<pb::ChangeAnswer>);
    check(|| Reply::TakeOver(true), answered::<pb::TakeOverAnswer>);
    check(|| Reply::Forgot, answered::<pb::ForgotAnswer>);
    check(|| Reply::Status(status()), answered::<pb::StatusAnswer>);
    check(|| Reply::Status(PeerStatus::default()), answered::<pb::StatusAnswer>);
    check(|| Reply::Propose(Ok(outcomes())), answered::<pb::ProposeAnswer>);
}

fn vote() -> VoteResponse<u64> {
    VoteResponse { vote: Vote::new(4, 1), vote_granted: true, last_log_id: Some(log_id(2)) }
}
fn taken() -> ChunkTaken {
    ChunkTaken { vote: Vote::new_committed(3, 2), held: 44, installed: true }
}
fn status() -> PeerStatus {
    PeerStatus {
        leader: Some(NodeId(2)),
        term: 3,
        last_log: 90,
        applied: 88,
        snapshot: 50,
        state_digest: u128::MAX - 1,
        version: "0.1.0".into(),
    }
}

/// Every outcome there is.
fn outcomes() -> Vec<Outcome> {
    let (node, epoch) = (NodeId(3), Epoch(8));
    let items = vec![
        ItemOutcome::Done,
        ItemOutcome::Stale { current_epoch: epoch },
        ItemOutcome::StaleGeneration { current: Generation(5) },
        ItemOutcome::Behind { sink: sink_id(1) },
        ItemOutcome::NoSuchFeed,
    ];
    let moves = vec![
        MoveOutcome::Epoch(epoch),
        MoveOutcome::Owned { by: node, epoch },
        MoveOutcome::Unfit { node },
        MoveOutcome::NoSuchFeed,
    ];
    let standings = [Standing::Live, Standing::Expired, Standing::Draining, Standing::Removed];
    let refusals = [
        Refusal::Malformed { reason: "why".into() },
        Refusal::Missing { what: "this".into() },
        Refusal::InUse { what: "this".into(), by: vec![tenant_key(), source_key()] },
        Refusal::StaleEpoch { current_epoch: epoch },
        Refusal::OverLimit { what: "bodies".into(), limit: 9 },
        Refusal::StaleNode { node, current: NodeEpoch(4) },
        Refusal::NameTaken { name: "a".into() },
        Refusal::HoldsFeeds { node, feeds: 2 },
        Refusal::OlderNode { node, knows: 1 },
        Refusal::Superseded,
        Refusal::CursorMoved { feed: feed(0), sink: sink_id(1) },
        Refusal::ReplayTaken { next: ReplayId(4) },
    ];
    let unfit = standings.map(|standing| Refusal::Unfit { node, standing });
    let mut all = vec![Outcome::Done, Outcome::Epoch(epoch), Outcome::Items(items), Outcome::Assigned(moves)];
    all.extend([Outcome::Node(node), Outcome::Life(NodeEpoch(2))]);
    all.extend(refusals.into_iter().chain(unfit).map(Outcome::Refused));
    all
}

#[test]
fn a_failure_arrives_by_its_cause_and_one_without_a_word_of_its_own_as_unknown() {
    let why = || "why".to_owned();
    for (sent, arrives) in [
        (ClusterError::NotLeader { leader: Some(NodeId(2)) }, ClusterError::NotLeader { leader: Some(NodeId(2)) }),
        (ClusterError::NotLeader { leader: None }, ClusterError::NotLeader { leader: None }),
        (ClusterError::Busy, ClusterError::Busy),
        (ClusterError::Refused { why: why() }, ClusterError::Refused { why: why() }),
        (ClusterError::NoQuorum { why: why() }, ClusterError::NoQuorum { why: why() }),
        (ClusterError::Unknown { why: why() }, ClusterError::Unknown { why: why() }),
        (ClusterError::Stopped, ClusterError::Unknown { why: ClusterError::Stopped.to_string() }),
    ] {
        let expected = format!("{:?}", Reply::Propose(Err(arrives.clone())));
        assert_eq!(answered::<pb::ProposeAnswer>(Reply::Propose(Err(sent.clone()))), expected);
        let expected = format!("{:?}", Reply::ReadIndex(Err(arrives.clone())));
        assert_eq!(answered::<pb::ReadIndexAnswer>(Reply::ReadIndex(Err(sent.clone()))), expected);
        let expected = format!("{:?}", Reply::Heartbeat(Err(arrives)));
        assert_eq!(answered::<pb::HeartbeatAnswer>(Reply::Heartbeat(Err(sent))), expected);
    }
}

#[test]
fn what_a_newer_version_says_is_told_from_what_is_broken() {
    assert!(matches!(pb::ChangeRequest { change: None }.into_ask(), Err(CodecError::Newer { .. })));
    assert!(matches!(pb::AppendAnswer { answer: None }.into_reply(), Err(CodecError::Newer { .. })));
    assert!(matches!(pb::VoteRequest::default().into_ask(), Err(CodecError::Malformed { .. })));
    assert!(matches!(pb::SnapshotChunk::default().into_ask(), Err(CodecError::Malformed { .. })));
    let newer = pb::Entry { version: 99, ..pb::Entry::default() };
    let vote = Some(pb::Vote { term: 1, node: 1, committed: true });
    let request = pb::AppendRequest { vote, entries: vec![newer], ..pb::AppendRequest::default() };
    assert!(matches!(request.into_ask(), Err(CodecError::Newer { .. })));
    assert!(pb::VoteAnswer::from_reply(Reply::TakeOver(true)).is_none());
}

//! Persisted bytes: what is written reads back, what was ever written stays readable, what is newer stops the node.
//!
//! After adding to a format, `SIEMGATE_FIXTURES=write` adds the new bytes; bytes that are there are never rewritten.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use openraft::{BasicNode, CommittedLeaderId, EntryPayload};
use proptest::prelude::*;
use prost::Message as _;

use super::commands::{admit, any_command, any_history, assign_feeds, declare, drain, feed, members};
use super::samples::{
    commands, commands_of_delivery, commands_of_leaders, commands_of_members, commands_of_sink_secrets,
    commands_of_trust, state, state_of_delivery, state_of_lapses, state_of_leaders, state_of_members,
    state_of_sink_secrets, state_of_trust,
};
use super::sim_disk::SimDisk;
use crate::cluster::codec::{
    AppliedTo, CodecError, FrameBody, Identity, Opening, SnapshotHead, decode_applied, decode_frame, decode_identity,
    decode_snapshot, encode_applied, encode_entry, encode_frame, encode_frame_of, encode_identity, encode_snapshot,
    parts_of,
};
use crate::cluster::command::Command;
use crate::cluster::disk::{Disk, RealDisk};
use crate::cluster::engine::Store;
use crate::cluster::level::Level;
use crate::cluster::limits::LAPSES_KEPT;
use crate::cluster::member::Role;
use crate::cluster::snapshot::Snapshots;
use crate::cluster::state::ControlState;
use crate::cluster::types::{Batch, Entry, LogId, Membership, StoredMembership, Vote};
use crate::cluster::{ClusterError, ControlPlane, MoveOutcome, Outcome, Settings, Sizes, data_dir, frame};
use crate::ids::{Epoch, Incarnation, NodeId};
use crate::wire::cluster::v1 as pb;

const SEGMENT_BYTES: u64 = 1 << 20;

pub(super) fn log_id(term: u64, index: u64) -> LogId {
    LogId::new(CommittedLeaderId::new(term, 3), index)
}
fn membership() -> Membership {
    let nodes = [1, 2, 3].map(|node| (node, BasicNode::new(format!("node-{node}:7444"))));
    Membership::new(vec![BTreeSet::from([1]), BTreeSet::from([1, 2, 3])], BTreeMap::from(nodes))
}

fn frames() -> Vec<(&'static str, FrameBody)> {
    let entry = |index, payload| Entry { log_id: log_id(2, index), payload };
    let opening = |vote, purged, last| {
        FrameBody::Opening(Opening { cluster: [0xC1; 16], node: NodeId(3), segment: 17, vote, purged, last })
    };
    vec![
        ("frame-opening-empty", opening(None, None, None)),
        ("frame-opening", opening(Some(Vote::new_committed(2, 3)), Some(log_id(1, 4)), Some(log_id(2, 9)))),
        ("frame-blank", FrameBody::Entries(vec![entry(1, EntryPayload::Blank)])),
        ("frame-membership", FrameBody::Entries(vec![entry(2, EntryPayload::Membership(membership()))])),
        ("frame-commands", FrameBody::Entries(vec![entry(3, EntryPayload::Normal(Batch(commands())))])),
        ("frame-vote", FrameBody::Vote(Vote::new(5, 3))),
        ("frame-truncate", FrameBody::Truncate { since: 8 }),
        ("frame-purge", FrameBody::Purge { upto: log_id(1, 4) }),
    ]
}
pub(super) fn snapshot_of(state: ControlState) -> (SnapshotHead, ControlState) {
    let digest = parts_of(&state).fold(0, |sum: u128, part| sum.wrapping_add(part.digest()));
    let membership = StoredMembership::new(Some(log_id(1, 0)), membership());
    let level = state.counters().level;
    let applied = AppliedTo { last: Some(log_id(2, 9)), membership, digest, level };
    (SnapshotHead { id: "2-3-9".into(), applied }, state)
}
fn identity() -> Identity {
    Identity { cluster: [0xC1; 16], node: NodeId(3), formed: true, joins: false }
}

fn fixtures() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("src/cluster/fixtures")
}
fn fixture(name: &str, now: &[u8]) -> Vec<u8> {
    let path = fixtures().join(format!("{name}.bin"));
    let writing = std::env::var("SIEMGATE_FIXTURES").is_ok_and(|mode| mode == "write");
    if writing && !Path::new(&path).exists() {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, now).unwrap();
    }
    std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

pub(super) fn check_frame(name: &str, body: FrameBody) {
    let bytes = encode_frame(Some(&log_id(2, 6)), &body);
    let kept = fixture(name, &bytes);
    assert_eq!(decode_frame(&kept).unwrap(), (Some(log_id(2, 6)), body), "{name}");
    assert_eq!(bytes, kept, "{name}");
}
pub(super) fn check_snapshot(version: &str, (head, state): (SnapshotHead, ControlState)) {
    let bytes = encode_snapshot(&head, &state);
    let kept = fixture(&format!("snapshot.{version}"), &bytes);
    assert_eq!(decode_snapshot(&kept).unwrap(), (head.clone(), state));
    assert_eq!(bytes, kept);
    let kept = fixture(&format!("applied.{version}"), &encode_applied(&head.applied));
    assert_eq!((decode_applied(&kept).unwrap(), encode_applied(&head.applied)), (head.applied, kept.clone()));
}

#[test]
fn bytes_of_version_one_read_as_they_always_did_and_are_still_written() {
    for (name, body) in frames() {
        check_frame(&format!("{name}.v1"), body);
    }
    check_snapshot("v1", snapshot_of(state()));
    let kept = fixture("identity.v1", &encode_identity(&identity()));
    assert_eq!((decode_identity(&kept).unwrap(), encode_identity(&identity())), (identity(), kept.clone()));

    let segment = frame::encode(17, 4_096, b"a frame of the log");
    let kept = fixture("segment-frame.v1", &segment);
    assert_eq!(frame::decode(17, 4_096, &kept).unwrap(), b"a frame of the log");
    assert_eq!(segment, kept);
}

#[test]
fn bytes_of_version_two_read_as_they_always_did_and_are_still_written() {
    let entry = Entry { log_id: log_id(2, 3), payload: EntryPayload::Normal(Batch(commands_of_members())) };
    check_frame("frame-commands.v2", FrameBody::Entries(vec![entry]));
    check_snapshot("v2", snapshot_of(state_of_members()));
}

#[test]
fn bytes_of_version_three_read_as_they_always_did_and_are_still_written() {
    let entry = Entry { log_id: log_id(2, 3), payload: EntryPayload::Normal(Batch(commands_of_trust())) };
    check_frame("frame-commands.v3", FrameBody::Entries(vec![entry]));
    check_snapshot("v3", snapshot_of(state_of_trust()));
}

#[test]
fn bytes_of_version_four_read_as_they_always_did_and_are_still_written() {
    let entry = Entry { log_id: log_id(2, 3), payload: EntryPayload::Normal(Batch(commands_of_leaders())) };
    check_frame("frame-commands.v4", FrameBody::Entries(vec![entry]));
    check_snapshot("v4", snapshot_of(state_of_leaders()));
    assert!(state_of_leaders().member(NodeId(1)).unwrap().leaving);
}

#[test]
fn bytes_of_version_five_read_as_they_always_did_and_are_still_written() {
    check_snapshot("v5", snapshot_of(state_of_lapses()));
    assert_eq!(state_of_lapses().member(NodeId(1)).unwrap().lapsed_before.len(), LAPSES_KEPT);
}

#[test]
fn bytes_of_version_six_read_as_they_always_did_and_are_still_written() {
    let entry = Entry { log_id: log_id(2, 3), payload: EntryPayload::Normal(Batch(commands_of_delivery())) };
    check_frame("frame-commands.v6", FrameBody::Entries(vec![entry]));
    let state = state_of_delivery();
    assert_eq!((state.audit().count(), state.audit_broken_at()), (4, None));
    let (_, subscription) = state.subscriptions().next().unwrap();
    assert_eq!((subscription.members.len(), subscription.epoch.0 & 0xFF), (2, 3));
    check_snapshot("v6", snapshot_of(state));
}

#[test]
fn bytes_of_version_seven_read_as_they_always_did_and_are_still_written() {
    let entry = Entry { log_id: log_id(2, 3), payload: EntryPayload::Normal(Batch(commands_of_sink_secrets())) };
    check_frame("frame-commands.v7", FrameBody::Entries(vec![entry]));
    assert_eq!(state_of_sink_secrets().secrets().count(), 1);
    check_snapshot("v7", snapshot_of(state_of_sink_secrets()));
}

#[test]
fn an_entry_has_the_level_of_its_commands_and_a_state_the_level_of_its_cluster() {
    let version = |commands: &[Command]| {
        let entry = Entry { log_id: log_id(1, 1), payload: EntryPayload::Normal(Batch(commands.to_vec())) };
        let wire = pb::Frame::decode(encode_frame(None, &FrameBody::Entries(vec![entry])).as_slice()).unwrap();
        match wire.body {
            Some(pb::frame::Body::Entries(entries)) => entries.entries[0].version,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(version(&commands()), 1);
    for command in commands_of_members() {
        assert_eq!(version(&[declare(0..1), command.clone()]), 2, "{command:?}");
    }
    for command in commands_of_trust().into_iter().skip(3) {
        assert_eq!(version(&[declare(0..1), command.clone()]), 3, "{command:?}");
    }
    for command in commands_of_leaders() {
        assert_eq!(version(&[drain(3, true), command.clone()]), 4, "{command:?}");
    }
    for command in commands_of_delivery() {
        assert_eq!(version(&[drain(3, true), command.clone()]), 6, "{command:?}");
    }
    for command in commands_of_sink_secrets() {
        assert_eq!(version(&[drain(3, true), command.clone()]), 7, "{command:?}");
    }
    let version = |state| {
        let (head, state) = snapshot_of(state);
        pb::SnapshotHeader::decode_length_delimited(encode_snapshot(&head, &state).as_slice()).unwrap().version
    };
    let states = [state(), state_of_members(), state_of_trust(), state_of_leaders(), state_of_delivery()];
    assert_eq!(states.map(version), [1, 2, 3, 4, 6]);
}

#[tokio::test]
async fn a_data_directory_of_version_one_opens_and_its_feeds_go_on_above_their_epochs() {
    let dir = tempfile::tempdir().unwrap();
    copy(&fixtures().join("dir-v1"), dir.path());
    let open = || {
        let store = Store { disk: Arc::new(RealDisk::new(dir.path())), applied: None };
        let sizes = Sizes { snapshot_entries: 3, ..Sizes::default() };
        ControlPlane::open_on(Settings { sizes, ..Settings::new(dir.path(), NodeId(1)) }, store)
    };
    let plane = open().await.unwrap();
    let held = |n| plane.read(|state| state.feed(&feed(n)).cloned()).unwrap();
    assert_eq!((held(0).epoch, held(1).epoch, held(0).owner), (Epoch(2), Epoch(2), Some(NodeId(1))));
    assert_eq!(held(0).cursors.len(), 2);
    assert_eq!(plane.view().state_digest, "c08304665461014858fa527abaa9bf77", "as version one computed it");
    assert!(matches!(plane.propose(admit("a")).await, Err(ClusterError::NotYet)));
    for command in members() {
        plane.propose(command).await.unwrap();
    }
    let outcome = plane.propose(assign_feeds(&[(0, 1)])).await.unwrap();
    assert_eq!(outcome, Outcome::Assigned(vec![MoveOutcome::Epoch(Epoch(3))]));
    let raised = plane.view().applied;
    let written = async {
        while plane.view().snapshot < raised {
            plane.propose(declare(0..1)).await.unwrap();
        }
    };
    tokio::time::timeout(Duration::from_secs(20), written).await.expect("a snapshot of the new level");
    plane.shutdown().await.unwrap();
    let newest = Snapshots::open(Arc::new(RealDisk::new(dir.path()))).unwrap().newest().unwrap().unwrap();
    assert_eq!(newest.head.applied.level, Level::MEMBERS);

    let plane = open().await.unwrap();
    assert_eq!(plane.read(|state| (state.counters().level, state.members().count())), (Level::MEMBERS, 3));
    plane.shutdown().await.unwrap();
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap().path();
        let target = to.join(entry.file_name().unwrap());
        if entry.is_dir() {
            copy(&entry, &target);
        } else {
            std::fs::copy(&entry, &target).unwrap();
        }
    }
}

#[test]
fn the_sample_holds_every_part_a_state_has() {
    let state = state();
    let standing = state.feed(&feed(0)).unwrap();
    assert!(!standing.cursors.is_empty() && !standing.gaps.is_empty() && !standing.seen.is_empty());
    assert!(state.tombstone(&feed(1)).is_some() && state.counters().revision > 0);

    let state = state_of_members();
    assert!(state.feed(&feed(0)).unwrap().recall.is_some());
    let counters = state.counters();
    assert_eq!((counters.level, counters.incarnation, counters.nodes_granted), (Level::MEMBERS, Incarnation(1), 5));
    let (first, last) = (state.member(NodeId(1)).unwrap(), state.member(NodeId(4)).unwrap());
    assert!(first.alive && first.lapsed_at.is_some() && last.spec.role == Role::Witness && !last.alive);
    assert!(state.member(NodeId(3)).unwrap().draining);

    let state = state_of_trust();
    assert_eq!(state.secrets().map(|(_, record)| record.generation).collect::<Vec<_>>(), [2, 1]);
    assert_eq!((state.invitations.len(), state.open_invitations().count()), (2, 1));
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_entry_reads_back_as_it_was_written(commands in prop::collection::vec(any_command(), 0..5)) {
        let entry = Entry { log_id: log_id(1, 1), payload: EntryPayload::Normal(Batch(commands)) };
        let entries = vec![encode_entry(&entry); 2];
        let body = FrameBody::Entries(vec![entry.clone(), entry.clone()]);
        let committed = Some(log_id(1, 0));
        prop_assert_eq!(encode_frame_of(committed.as_ref(), entries), encode_frame(committed.as_ref(), &body));
        let body = FrameBody::Entries(vec![entry]);
        prop_assert_eq!(decode_frame(&encode_frame(None, &body)).unwrap(), (None, body));
    }

    #[test]
    fn every_state_reads_back_as_it_was_written(history in any_history()) {
        let mut state = ControlState::default();
        for command in history {
            state.apply(command);
        }
        let digest = parts_of(&state).fold(0, |sum: u128, part| sum.wrapping_add(part.digest()));
        let level = state.counters().level;
        let head = SnapshotHead { id: "x".into(), applied: AppliedTo { digest, level, ..AppliedTo::default() } };
        prop_assert_eq!(decode_snapshot(&encode_snapshot(&head, &state)).unwrap(), (head, state));
    }

    #[test]
    fn bytes_of_any_kind_are_refused_without_harm(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = decode_frame(&bytes);
        let _ = decode_applied(&bytes);
        let _ = decode_identity(&bytes);
        prop_assert!(decode_snapshot(&bytes).is_err());
    }
}

/// A log whose last frame holds these bytes.
fn open_with(payload: &[u8]) -> Result<(), ClusterError> {
    let disk = SimDisk::default();
    let settings = Settings::new("/simulated", NodeId(1));
    let open = |disk: SimDisk| {
        let disk: Arc<dyn Disk> = Arc::new(disk);
        data_dir::open_log(&disk, &settings, SEGMENT_BYTES).map(drop)
    };
    open(disk.clone()).unwrap();
    let mut files = disk.files();
    let segment = files.get_mut("log/0000000000000001.log").unwrap();
    segment.extend(frame::encode(1, segment.len() as u64, payload));
    open(SimDisk::of(&files))
}
fn entry_of(commands: Vec<pb::Command>, version: u32) -> Vec<u8> {
    let payload = Some(pb::entry::Payload::Commands(pb::CommandBatch { commands }));
    let id = Some(pb::LogId { term: 1, node: 1, index: 0 });
    let entries = pb::Entries { entries: vec![pb::Entry { id, version, payload }] };
    pb::Frame { committed: None, body: Some(pb::frame::Body::Entries(entries)) }.encode_to_vec()
}

#[test]
fn a_node_that_meets_what_it_does_not_know_stops_and_says_so() {
    let known = pb::Command { kind: Some(pb::command::Kind::Release(pb::Release { feed: "a/b/0".into(), epoch: 1 })) };
    let newest = Level::NEWEST.number();
    open_with(&entry_of(vec![known.clone()], newest)).unwrap();

    let newer = open_with(&entry_of(vec![known.clone()], newest + 1)).unwrap_err();
    assert!(
        matches!(&newer, ClusterError::Newer { what } if what.contains(&format!("version {}", newest + 1))),
        "{newer}"
    );

    // The command number 500, as a newer version would write it: this one sees a command without a kind.
    let unknown = pb::Command::decode([0xA2, 0x1F, 0x01, 0x00].as_slice()).unwrap();
    let newer = open_with(&entry_of(vec![known.clone(), unknown], newest)).unwrap_err();
    assert!(matches!(newer, ClusterError::Newer { .. }) && newer.to_string().contains("newer version"), "{newer}");

    // A level, and something said of a node, that only a newer version knows.
    let level = pb::command::Kind::RaiseLevel(pb::RaiseLevel { level: newest + 1 });
    let about_node = pb::command::Kind::Node(pb::NodeCommand { kind: None });
    for kind in [level, about_node] {
        let newer = open_with(&entry_of(vec![known.clone(), pb::Command { kind: Some(kind) }], newest));
        assert!(matches!(newer, Err(ClusterError::Newer { .. })), "{newer:?}");
    }

    let unknown_frame = pb::Frame { committed: None, body: None }.encode_to_vec();
    assert!(matches!(open_with(&unknown_frame), Err(ClusterError::Newer { .. })));
    assert!(matches!(open_with(b"\xFF\xFF"), Err(ClusterError::Damaged { .. })));
}

#[test]
fn a_snapshot_of_a_newer_version_or_with_a_part_too_few_is_refused() {
    let (head, state) = snapshot_of(state_of_members());
    let wrong = SnapshotHead { applied: AppliedTo { digest: 1, ..head.applied.clone() }, ..head.clone() };
    assert!(matches!(decode_snapshot(&encode_snapshot(&wrong, &state)), Err(CodecError::Malformed { .. })));
    let bytes = encode_snapshot(&head, &state);
    let header = pb::SnapshotHeader::decode_length_delimited(bytes.as_slice()).unwrap();
    let newer = pb::SnapshotHeader { version: Level::NEWEST.number() + 1, ..header }.encode_length_delimited_to_vec();
    let hash = ring::digest::digest(&ring::digest::SHA256, &newer);
    let newer = [newer.as_slice(), hash.as_ref()].concat();
    assert!(matches!(decode_snapshot(&newer), Err(CodecError::Newer { .. })));
}

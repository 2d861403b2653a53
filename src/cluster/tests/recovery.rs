//! Beginning anew with one node: what becomes of the state, and of the data on disk.

use std::collections::BTreeSet;
use std::sync::Arc;

use openraft::EntryPayload;
use proptest::prelude::*;

use super::commands::{
    any_history, assign_feeds, at, declare, drain, feed, invite, members, put, put_secret, redeem, refresh_token, spec,
    start, tenant_key, world,
};
use crate::cluster::codec::Identity;
use crate::cluster::command::{Command, MoveOutcome, Outcome};
use crate::cluster::disk::RealDisk;
use crate::cluster::level::Level;
use crate::cluster::log::Log;
use crate::cluster::member::{Role, Standing};
use crate::cluster::recovery::{Anew, CannotBegin, Survivor};
use crate::cluster::salvage::{Kept, plant, salvage};
use crate::cluster::secret_record::{Sealed, SecretCommand};
use crate::cluster::state::ControlState;
use crate::cluster::types::{Batch, Entry, LogId};
use crate::cluster::{ClusterError, ControlPlane, OnFatal, PeerName, Settings};
use crate::ids::{ClusterId, Epoch, Incarnation, NodeId};

fn applied(commands: impl IntoIterator<Item = Command>) -> ControlState {
    let mut state = ControlState::default();
    commands.into_iter().for_each(|command| drop(state.apply(command)));
    state
}
fn settled() -> ControlState {
    applied(world().into_iter().chain(members()))
}
fn anew(survivor: Survivor) -> Anew {
    Anew { survivor, incarnation: None, secrets: vec![], resources: vec![], at: at(50) }
}

#[test]
fn one_node_is_left_it_is_draining_and_nobody_owns_anything() {
    let mut state = settled();
    assert_eq!(state.apply(assign_feeds(&[(0, 1), (1, 2)])), Outcome::Assigned(vec![MoveOutcome::Epoch(Epoch(1)); 2]));
    state.apply(invite(1, Role::Data, 100));
    state.apply(put_secret(refresh_token(), 0, b"sealed for the old"));
    let sealed = Sealed::new(b"sealed for the new".to_vec());
    let secrets = vec![SecretCommand::Put { key: refresh_token(), replaces: 1, sealed: sealed.clone(), at: at(50) }];
    let node = state.begin_anew(Anew { secrets, ..anew(Survivor::Member(NodeId(2))) }).unwrap();
    assert_eq!(node, NodeId(2));
    assert_eq!(state.members().map(|(node, _)| node).collect::<Vec<_>>(), [NodeId(2)]);
    assert_eq!(state.standing(NodeId(1)), Some(Standing::Removed));
    let member = state.member(NodeId(2)).unwrap();
    assert!(member.draining && !member.alive);
    assert!(state.feeds().all(|(_, held)| held.owner.is_none()));
    assert_eq!((state.counters().incarnation, state.counters().level), (Incarnation(1), Level::NEWEST));
    assert_eq!(state.secret(&refresh_token()).map(|record| (record.generation, &record.sealed)), Some((2, &sealed)));
    assert!(matches!(state.apply(redeem(1, 7, "d", 101)), Outcome::Refused(_)), "old tokens let nobody in");

    state.apply(start(2));
    let unfit = Outcome::Assigned(vec![MoveOutcome::Unfit { node: NodeId(2) }]);
    assert_eq!(state.apply(assign_feeds(&[(0, 2)])), unfit, "before an operator says so, nothing is read");
    state.apply(drain(2, false));
    let granted = Outcome::Assigned(vec![MoveOutcome::Epoch(Epoch::floor_of(Incarnation(1)).next())]);
    assert_eq!(state.apply(assign_feeds(&[(0, 2)])), granted);
}

#[test]
fn a_newcomer_gets_an_id_that_nobody_had_also_under_a_name_that_somebody_had() {
    let mut state = settled();
    let granted = state.counters().nodes_granted;
    let name = state.member(NodeId(1)).unwrap().spec.name.clone();
    let node = state.begin_anew(anew(Survivor::Newcomer(spec(&name, Role::Data)))).unwrap();
    assert_eq!(node, NodeId(granted + 1));
    assert_eq!(state.members().count(), 1);
}

#[test]
fn a_removed_node_and_an_incarnation_that_is_not_above_are_refused() {
    let mut state = settled();
    let gone = state.begin_anew(anew(Survivor::Member(NodeId(9)))).unwrap_err();
    assert_eq!(gone, CannotBegin::NoMember { node: NodeId(9) });
    let survivor = Survivor::Member(NodeId(1));
    state.begin_anew(Anew { incarnation: Some(Incarnation(4)), ..anew(survivor.clone()) }).unwrap();
    for asked in [0, 4].map(Incarnation) {
        let refused = state.begin_anew(Anew { incarnation: Some(asked), ..anew(survivor.clone()) }).unwrap_err();
        assert_eq!(refused, CannotBegin::NotAbove { asked, current: Incarnation(4) });
    }
    state.begin_anew(anew(survivor)).unwrap();
    assert_eq!(state.counters().incarnation, Incarnation(5));
}

proptest! {
    /// S4 across recovery: whatever was granted before, also to feeds that ended or are yet to begin, is outranked.
    #[test]
    fn every_epoch_granted_after_a_recovery_is_above_all_before_it(
        before in any_history(),
        lost in any_history(),
        after in any_history(),
    ) {
        let mut old = applied(world().into_iter().chain(members()).chain(before));
        prop_assume!(old.member(NodeId(1)).is_some());
        let mut new = old.clone();
        // What the lost nodes went on to do, of which the survivor knows nothing; no recovery is part of it.
        for command in lost.into_iter().filter(|it| !matches!(it, Command::BeginIncarnation { .. })) {
            old.apply(command);
        }
        let feeds = old.feeds().map(|(_, held)| held.epoch);
        let highest = feeds.chain(old.tombstones.values().copied()).max().unwrap_or_default();
        prop_assume!(old.counters().incarnation.0 < Incarnation::LAST.0);
        new.begin_anew(anew(Survivor::Member(NodeId(1)))).unwrap();
        for command in [start(1), drain(1, false), declare(0..4)].into_iter().chain(after) {
            new.apply(command);
        }
        for (feed, held) in new.feeds() {
            prop_assert!(held.epoch >= Epoch::floor_of(new.counters().incarnation), "{feed}");
            prop_assert!(held.epoch > highest || held.owner.is_none(), "{feed}: {} and {highest}", held.epoch);
        }
    }
}

fn here(dir: &std::path::Path) -> Settings {
    Settings { on_fatal: OnFatal::new(|error| panic!("{error}")), ..Settings::new(dir, NodeId(1)) }
}

#[tokio::test]
async fn stopped_data_are_read_to_their_end_and_planted_elsewhere() {
    let (dir, new) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let plane = ControlPlane::open(here(dir.path())).await.unwrap();
    for command in world() {
        plane.propose(command).await.unwrap();
    }
    assert!(matches!(salvage(dir.path()).map(drop), Err(ClusterError::Locked { .. })), "it runs");
    plane.snapshot().await.unwrap();
    plane.propose(put(tenant_key(), "{\"after\":\"the snapshot\"}", vec![])).await.unwrap();
    plane.shutdown().await.unwrap();

    let salvaged = salvage(dir.path()).unwrap();
    let (name, committed) = (salvaged.name, salvaged.kept.index());
    let last = LogId::new(openraft::CommittedLeaderId::new(salvaged.kept.term(), 1), committed + 1);
    drop(salvaged);
    {
        // An entry that no majority ever had.
        let identity = Identity { cluster: name.cluster.0, node: name.node, formed: true, joins: false };
        let mut log = Log::open(Arc::new(RealDisk::new(dir.path())), &identity, 1 << 20).unwrap();
        let payload = EntryPayload::Normal(Batch(vec![put(tenant_key(), "{\"never\":\"committed\"}", vec![])]));
        log.append(vec![Entry { log_id: last, payload }]).unwrap();
    }
    let mut salvaged = salvage(dir.path()).unwrap();
    assert_eq!(salvaged.kept.index(), committed + 1);
    assert_eq!(salvaged.kept.state.resource(&tenant_key()).unwrap().body, "{\"never\":\"committed\"}");

    let name = PeerName { cluster: ClusterId([9; 16]), node: NodeId(1) };
    salvaged.kept.state.apply(Command::BeginIncarnation { incarnation: Incarnation(3) });
    let state = salvaged.kept.state.clone();
    plant(&new.path().join("raft"), name, "node-1:7444", &state, &salvaged.kept, salvaged.term).unwrap();
    for _ in 0..2 {
        let plane = ControlPlane::open(here(&new.path().join("raft"))).await.unwrap();
        assert_eq!(plane.read(Clone::clone), state);
        let view = plane.view();
        assert_eq!(view.members, [(NodeId(1), "node-1:7444".to_owned())]);
        assert!(view.applied > committed + 1 && view.term > salvaged.term);
        plane.shutdown().await.unwrap();
    }
    let plane = ControlPlane::open(here(&new.path().join("raft"))).await.unwrap();
    let put = put(tenant_key(), "{\"goes\":\"on\"}", vec![]);
    assert_eq!(plane.propose(put).await.unwrap(), Outcome::Done);
    assert_eq!(plane.read(|state| state.feed(&feed(0)).cloned()), state.feed(&feed(0)).cloned());
    plane.shutdown().await.unwrap();
}

#[tokio::test]
async fn a_snapshot_outside_of_its_folder_says_the_same() {
    let dir = tempfile::tempdir().unwrap();
    let plane = ControlPlane::open(here(dir.path())).await.unwrap();
    for command in world().into_iter().chain(members()) {
        plane.propose(command).await.ok();
    }
    plane.shutdown().await.unwrap();
    let kept = salvage(dir.path()).unwrap().kept;
    let again = Kept::from_snapshot(&kept.to_snapshot()).unwrap();
    assert_eq!((&again.state, again.index(), again.voters()), (&kept.state, kept.index(), kept.voters()));
    let voters: BTreeSet<_> = kept.voters().into_iter().map(|peer| peer.node).collect();
    assert_eq!(voters, BTreeSet::from([NodeId(1)]));
}

//! A leader's own entries are taken before they are durable, and nothing builds on them until they are.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::{BoxFuture, FutureExt as _};
use openraft::network::{RPCOption, RaftNetwork as _, RaftNetworkFactory as _};
use openraft::raft::{AppendEntriesRequest, AppendEntriesResponse};
use openraft::storage::{RaftLogStorage, RaftLogStorageExt as _};
use openraft::{BasicNode, CommittedLeaderId, EntryPayload};
use parking_lot::Mutex;
use tokio::time::timeout;

use super::sim_disk::{Crash, SimDisk};
use crate::cluster::fatal::OnFatal;
use crate::cluster::log_store::LogStore;
use crate::cluster::peers::{Answer, Ask, CallFailed, Peer, Peers, Reply, Request};
use crate::cluster::raft_network::{Connection, Contact, Network};
use crate::cluster::types::{Entry, LogId, Membership, Vote};
use crate::cluster::{Settings, data_dir};
use crate::ids::NodeId;

const LONG: Duration = Duration::from_secs(20);
/// Long enough for what does not wait to be done many times over.
const MOMENT: Duration = Duration::from_millis(100);

fn log_id(node: u64, index: u64) -> LogId {
    LogId::new(CommittedLeaderId::new(2, node), index)
}
fn entry(node: u64, index: u64) -> Entry {
    Entry { log_id: log_id(node, index), payload: EntryPayload::Blank }
}

/// The store of node 1, which leads in term 2 and has one durable entry. Syncs are held.
struct Leader {
    disk: SimDisk,
    store: LogStore,
    faults: Arc<Mutex<usize>>,
}

async fn leader() -> Leader {
    leader_after(Vote::new_committed(2, 1)).await
}
async fn leader_after(vote: Vote) -> Leader {
    leader_with_segments_of(1 << 20, vote).await
}
async fn leader_with_segments_of(bytes: u64, vote: Vote) -> Leader {
    let (disk, faults) = (SimDisk::default(), Arc::new(Mutex::new(0)));
    let settings = Settings::new("/simulated", NodeId(1));
    let log = data_dir::open_log(&(Arc::new(disk.clone()) as _), &settings, bytes).unwrap().1;
    let heard = faults.clone();
    let mut store = LogStore::new(log, OnFatal::new(move |_| *heard.lock() += 1)).unwrap();
    store.save_vote(&vote).await.unwrap();
    store.blocking_append([entry(1, 0)]).await.unwrap();
    store.save_committed(Some(log_id(1, 0))).await.unwrap();
    disk.holds_syncs(true);
    Leader { disk, store, faults }
}

impl Leader {
    /// Does something in a thread of its own, and checks that it ends only after syncs go on.
    async fn waits<T: Send + 'static>(&self, what: &str, work: impl AsyncFnOnce(LogStore) -> T + Send + 'static) -> T {
        let (store, done) = (self.store.clone(), tokio::sync::oneshot::channel());
        let (ended, mut end) = done;
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            let _ = ended.send(runtime.block_on(work(store)));
        });
        assert!(timeout(MOMENT, &mut end).await.is_err(), "{what} did not wait until the log was durable");
        self.disk.holds_syncs(false);
        let value = timeout(LONG, end).await.expect(what).unwrap();
        thread.join().unwrap();
        self.disk.holds_syncs(true);
        value
    }
    fn survives(&self) -> usize {
        let settings = Settings::new("/simulated", NodeId(1));
        let disk = Arc::new(self.disk.after(Crash::Lose)) as _;
        data_dir::open_log(&disk, &settings, 1 << 20).unwrap().1.read(..).unwrap().len()
    }
}

impl Drop for Leader {
    fn drop(&mut self) {
        self.disk.holds_syncs(false); // Its thread writes the rest before it ends.
        self.disk.holds_reserves(false);
    }
}

#[tokio::test]
async fn a_leaders_own_entries_are_taken_at_once_and_everything_else_waits_for_them() {
    let mut leader = leader().await;
    leader.store.blocking_append([entry(1, 1)]).await.unwrap();
    leader.store.blocking_append([entry(1, 2)]).await.unwrap();
    assert_eq!(leader.survives(), 1);
    let commit = async |mut store: LogStore| store.save_committed(Some(log_id(1, 2))).await;
    leader.waits("committing", commit).await.unwrap();
    assert_eq!(leader.survives(), 3);

    leader.store.blocking_append([entry(1, 3)]).await.unwrap();
    leader.waits("purging", async |mut store: LogStore| store.purge(log_id(1, 0)).await).await.unwrap();
    leader.store.blocking_append([entry(1, 4)]).await.unwrap();
    leader.waits("truncating", async |mut store: LogStore| store.truncate(log_id(1, 4)).await).await.unwrap();
    leader.store.blocking_append([entry(1, 4)]).await.unwrap();
    leader.waits("voting", async |mut store: LogStore| store.save_vote(&Vote::new(3, 2)).await).await.unwrap();
    assert_eq!(leader.survives(), 4);
}

#[tokio::test]
async fn entries_of_another_leader_of_an_earlier_term_or_that_change_the_members_are_durable_when_they_are_taken() {
    let members = Membership::new(vec![BTreeSet::from([1])], BTreeSet::from([1]));
    let change = Entry { log_id: log_id(1, 1), payload: EntryPayload::Membership(members) };
    for (what, vote, entry) in [
        ("another leader's entry", Vote::new_committed(2, 1), entry(3, 1)),
        ("a change of members", Vote::new_committed(2, 1), change),
        ("an entry of a leadership that has passed on", Vote::new_committed(3, 2), entry(1, 1)),
        ("an entry of an earlier leadership", Vote::new_committed(3, 1), entry(1, 1)),
        ("a candidate's entry", Vote::new(2, 1), entry(1, 1)),
    ] {
        let leader = leader_after(vote).await;
        leader.waits(what, async |mut store: LogStore| store.blocking_append([entry]).await).await.unwrap();
        assert_eq!(leader.survives(), 2, "{what}");
    }
}

/// A follower that takes everything at once.
#[derive(Debug, Default)]
struct Quick(Mutex<Vec<Option<LogId>>>);

impl Peers for Quick {
    fn ask<'a>(&'a self, _: &'a Peer, request: Request, _: Duration) -> BoxFuture<'a, Result<Answer, CallFailed>> {
        let Ask::Append(request) = request.0 else { unreachable!("nothing else is asked here") };
        self.0.lock().push(request.leader_commit);
        async { Ok(Answer(Reply::Append(AppendEntriesResponse::Success))) }.boxed()
    }
}

async fn connected(leader: &Leader) -> (Arc<Quick>, Connection) {
    let peers = Arc::new(Quick::default());
    let mut network = Network {
        peers: peers.clone(),
        contact: Contact::default(),
        durability: leader.store.durability(),
        chunk_bytes: 1_024,
    };
    let connection = network.new_client(2, &BasicNode::new("node-2:7444")).await;
    (peers, connection)
}
fn request(entries: Vec<Entry>, previous: u64, commit: u64) -> AppendEntriesRequest<crate::cluster::types::TypeConfig> {
    let (prev_log_id, leader_commit) = (Some(log_id(1, previous)), Some(log_id(1, commit)));
    AppendEntriesRequest { vote: Vote::new_committed(2, 1), prev_log_id, leader_commit, entries }
}

#[tokio::test]
async fn s7_a_followers_success_counts_only_when_the_leaders_own_log_is_durable_that_far() {
    let mut leader = leader().await;
    let (peers, mut connection) = connected(&leader).await;
    let option = || RPCOption::new(LONG);
    leader.store.blocking_append([entry(1, 1)]).await.unwrap();
    let mut counted = Box::pin(connection.append_entries(request(vec![entry(1, 1)], 0, 0), option()));
    assert!(timeout(MOMENT, &mut counted).await.is_err(), "it counts, and the leader may yet lose it");
    assert_eq!(peers.0.lock().len(), 1, "it was sent at once");
    leader.disk.holds_syncs(false);
    assert!(matches!(timeout(LONG, counted).await.unwrap(), Ok(AppendEntriesResponse::Success)));
    assert_eq!(leader.survives(), 2);

    // A majority by itself commits what is not durable yet. Nobody hears of it.
    leader.disk.holds_syncs(true);
    leader.store.blocking_append([entry(1, 2)]).await.unwrap();
    let mut told = Box::pin(connection.append_entries(request(vec![], 1, 2), option()));
    assert!(timeout(MOMENT, &mut told).await.is_err());
    assert_eq!(*peers.0.lock(), [Some(log_id(1, 0))], "a follower was told that it is committed");
    leader.disk.holds_syncs(false);
    assert!(timeout(LONG, told).await.unwrap().is_ok());
}

#[tokio::test]
async fn after_a_failed_sync_nothing_counts_and_the_process_is_told_to_end() {
    let mut leader = leader().await;
    let (_, mut connection) = connected(&leader).await;
    leader.disk.fails_next_sync();
    leader.store.blocking_append([entry(1, 1)]).await.unwrap();
    leader.disk.holds_syncs(false);
    let counted = connection.append_entries(request(vec![entry(1, 1)], 0, 0), RPCOption::new(LONG));
    assert!(timeout(LONG, counted).await.unwrap().is_err());
    assert!(timeout(LONG, leader.store.save_committed(Some(log_id(1, 1)))).await.unwrap().is_err());
    assert!(leader.store.save_vote(&Vote::new(3, 1)).await.is_err());
    assert_eq!(*leader.faults.lock(), 1);
}

#[tokio::test]
async fn a_leader_whose_disk_stalls_falls_silent_so_that_another_one_leads() {
    let mut leader = leader().await;
    let (peers, mut connection) = connected(&leader).await;
    leader.store.blocking_append([entry(1, 1)]).await.unwrap();
    let silent = async {
        while connection.append_entries(request(vec![], 0, 0), RPCOption::new(LONG)).await.is_ok() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(LONG, silent).await.expect("it goes on saying that it leads");
    let said = peers.0.lock().len();
    assert!(connection.append_entries(request(vec![], 0, 0), RPCOption::new(LONG)).await.is_err());
    assert_eq!(peers.0.lock().len(), said);
    leader.disk.holds_syncs(false);
    let heard = async {
        while connection.append_entries(request(vec![], 0, 0), RPCOption::new(LONG)).await.is_err() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(LONG, heard).await.expect("it never speaks again");
}

#[tokio::test]
async fn a_disk_that_stalls_while_the_log_makes_room_is_noticed() {
    // Each entry begins a segment, for which room has to be made.
    let mut leader = leader_with_segments_of(1, Vote::new_committed(2, 1)).await;
    leader.disk.holds_syncs(false);
    leader.disk.holds_reserves(true);
    let durability = leader.store.durability();
    leader.store.blocking_append([entry(1, 1)]).await.unwrap();
    let noticed = async {
        while !durability.stalls_for(MOMENT) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(LONG, noticed).await.expect("nobody notices that the disk stands still");
    leader.disk.holds_reserves(false);
    let ends = async {
        while durability.stalls_for(Duration::ZERO) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(LONG, ends).await.expect("the write never ends");
    assert_eq!(leader.survives(), 2);
}

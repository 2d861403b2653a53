//! Commits as feeds see them, over a control plane of one node.

use futures_util::FutureExt as _;
use tokio::join;

use super::*;
use crate::clock::Clock;
use crate::cluster::{NodeSpec, ResourceKey, ResourceKind, Role, Settings};
use crate::event::batch::{LogPosition, Position};
use crate::node::enrol;
use crate::node::life::Living;

/// What the ledger said of commits.
#[derive(Default)]
struct Heard {
    committed: Mutex<Vec<CursorItem>>,
    stale: Mutex<Vec<FeedId>>,
}

impl Commits for Heard {
    fn committed(&self, item: &CursorItem) {
        self.committed.lock().push(item.clone());
    }
    fn stale(&self, feed: &FeedId, _: Epoch) {
        self.stale.lock().push(feed.clone());
    }
}

struct Stage {
    ledger: CommitLedger<Heard>,
    heard: Arc<Heard>,
    feed: FeedId,
    _living: Living,
    _folder: tempfile::TempDir,
}

impl Stage {
    /// A node that owns a feed under epoch 1.
    async fn set() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (node, clock) = (NodeId(1), Clock::System);
        let control = ControlPlane::open(Settings::new(folder.path(), node)).await.unwrap();
        let (name, peer, api) = ("one".to_owned(), String::new(), String::new());
        let spec = NodeSpec { name, peer, api, weight: enrol::WEIGHT, role: Role::Data };
        enrol::enrol(&control, spec, &clock).await.unwrap();
        let living = Living::begin(control.clone(), node, clock.clone(), false, Arc::default()).await.unwrap();
        let feed: FeedId = "contoso/hub/0".parse().unwrap();
        for command in declaring(&feed, node, clock.now()) {
            let outcome = control.propose(command).await.unwrap();
            assert!(!matches!(outcome, Outcome::Refused(_)), "{outcome:?}");
        }
        let heard = Arc::new(Heard::default());
        let ledger = CommitLedger::new(node, living.lives(), control, heard.clone());
        Self { ledger, heard, feed, _living: living, _folder: folder }
    }

    /// The sink has acknowledged up to here.
    fn advance(&self, generation: u64, sequence: i64) {
        let at = Timestamp::ZERO;
        let position = Position::Log(LogPosition { offset: sequence.to_string(), sequence, enqueued: at });
        self.ledger.advance(FeedProgress {
            feed: self.feed.clone(),
            epoch: Epoch(1),
            generation: Generation(generation),
            cursors: vec![("siem".parse().unwrap(), position)],
            seen: vec![],
            events: 1,
            traces: vec![],
        });
    }

    fn commits(&self) -> usize {
        self.heard.committed.lock().len()
    }
}

fn declaring(feed: &FeedId, node: NodeId, at: Timestamp) -> Vec<Command> {
    let tenant = feed.tenant.clone();
    let put = |kind, tenant: Option<_>, name: &str, uses| Command::PutResource {
        kind,
        tenant,
        name: name.to_owned(),
        body: "{}".to_owned(),
        uses,
        at,
    };
    let (home, credential) = (ResourceKey::tenant(&tenant), ResourceKey::credential(&tenant, "hub"));
    vec![
        put(ResourceKind::Tenant, None, tenant.as_str(), vec![]),
        put(ResourceKind::Credential, Some(tenant.clone()), "hub", vec![home.clone()]),
        put(ResourceKind::Source, Some(tenant.clone()), feed.source.as_str(), vec![home, credential]),
        put(ResourceKind::Sink, None, "siem", vec![]),
        Command::DeclareFeeds { tenant, source: feed.source.clone(), parts: vec![feed.part.clone()] },
        Command::AssignFeeds { moves: vec![(feed.clone(), node)], at },
    ]
}

#[tokio::test]
async fn the_last_word_of_a_generation_is_committed_before_the_next_one_opens() {
    let stage = Stage::set().await;
    stage.advance(0, 5);
    stage.ledger.open_generation(&stage.feed, Epoch(1), Generation(7)).await.unwrap();
    stage.ledger.commit().await;
    assert_eq!(*stage.heard.stale.lock(), [], "nothing of its own stops the feed");
    stage.advance(7, 0);
    stage.ledger.commit().await;
    assert_eq!(stage.commits(), 2);
}

#[tokio::test]
async fn who_commits_before_giving_up_a_feed_waits_for_the_commit_under_way() {
    let stage = Stage::set().await;
    stage.advance(0, 5);
    let second = async {
        stage.ledger.commit().await;
        stage.commits()
    };
    let ((), committed) = join!(biased; stage.ledger.commit().map(drop), second);
    assert_eq!(committed, 1, "the cursor is in force when the feed is given up");
}

#[tokio::test]
async fn a_commit_that_is_dropped_loses_nothing() {
    let stage = Stage::set().await;
    stage.advance(0, 5);
    assert!(Box::pin(stage.ledger.commit()).now_or_never().is_none(), "it is under way");
    stage.ledger.commit().await;
    assert_eq!(stage.commits(), 1);
}

#[tokio::test]
async fn a_gap_that_is_found_again_is_counted_once() {
    use crate::event::batch::GapReason;

    let stage = Stage::set().await;
    let gap = |after| Gap {
        reason: GapReason::Expired,
        lost: Some(10),
        after_sequence: Some(after),
        before_sequence: Some(after + 11),
        passed: None,
    };
    for (after, time) in [(4, 1), (4, 1), (4, 2), (20, 3)] {
        let at = Timestamp::from_millis(time);
        stage.ledger.record_gap(&stage.feed, Epoch(1), &gap(after), at).await.unwrap();
    }
    let figures =
        |state: &crate::cluster::ControlState| state.feed(&stage.feed).map(|it| (it.gaps_total, it.lost_total));
    assert_eq!(stage.ledger.control.read(figures), Some((2, 20)), "an answer that was not heard loses nothing more");
    stage.ledger.open_generation(&stage.feed, Epoch(1), Generation(7)).await.unwrap();
    stage.ledger.record_gap(&stage.feed, Epoch(1), &gap(4), Timestamp::from_millis(4)).await.unwrap();
    assert_eq!(stage.ledger.control.read(figures), Some((3, 30)), "the same numbers mean others now");
    let stale = stage.ledger.record_gap(&stage.feed, Epoch(0), &gap(4), Timestamp::from_millis(5)).await;
    assert!(matches!(stale, Err(LedgerError::Stale { .. })), "{stale:?}");
}

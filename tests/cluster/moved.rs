//! An operator moves a cursor while its feed is read: the owner begins anew there, and nobody's commit undoes it.

use std::collections::BTreeSet;

use siemgate::clock::{Clock, Timestamp};
use siemgate::cluster::{Command, CursorMove, FeedState, Outcome, Refusal};
use siemgate::event::batch::{LogPosition, Position};
use siemgate::ids::{FeedId, SinkId};

use crate::gateway::{Gateway, SINK};
use crate::harness::until;

impl Gateway {
    fn held(&self, feed: &FeedId, seen_by: u64) -> FeedState {
        self.node(seen_by).control().read(|state| state.feed(feed).cloned().unwrap())
    }

    fn sequence(&self, feed: &FeedId, seen_by: u64) -> i64 {
        match self.held(feed, seen_by).cursors.get(&sink()) {
            Some(Position::Log(log)) => log.sequence,
            Some(Position::Objects(_)) | None => -1,
        }
    }

    /// So many events of the feed that the receiver had before.
    fn twice(&self, feed: &FeedId) -> u64 {
        let tally = self.receiver.tally().feed(&feed.to_string());
        tally.received - tally.distinct
    }

    /// Moves the cursor to the very beginning, as often as it takes, and answers where it stood.
    async fn rewind(&self, feed: &FeedId, asked: u64) -> i64 {
        self.tell("rewind", asked);
        until("the cursor is moved", async || {
            let held = self.held(feed, asked);
            let command = Command::MoveCursor(CursorMove {
                feed: feed.clone(),
                sink: sink(),
                generation: held.generation,
                expected: held.cursors.get(&sink()).cloned(),
                to: Position::Log(LogPosition::after_number(-1, Timestamp::ZERO)),
                by: "a test".into(),
                reason: "to see everything again".into(),
                at: Clock::System.now(),
            });
            let stood = self.sequence(feed, asked);
            match self.node(asked).control().propose(command).await.unwrap() {
                Outcome::Done => Some(stood),
                Outcome::Refused(Refusal::CursorMoved { .. }) => None, // It was committed meanwhile.
                other => panic!("{other:?}"),
            }
        })
        .await
    }
}

fn sink() -> SinkId {
    SINK.parse().unwrap()
}

/// A feed of this node of which something is committed.
async fn a_feed_of(gateway: &Gateway, node: u64, seen_by: u64) -> FeedId {
    let feed = gateway.owned_by(node, seen_by).first().cloned().unwrap();
    gateway.until_all_flow(&BTreeSet::from([feed.clone()])).await;
    until("something is committed", async || (gateway.sequence(&feed, seen_by) >= 3).then_some(())).await;
    feed
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s2_a_moved_cursor_makes_its_owner_begin_anew_there_wherever_it_was_asked_for() {
    let gateway = Gateway::of(3).await;
    gateway.until_shared_by(&[1, 2, 3]).await;
    let feed = a_feed_of(&gateway, 2, 1).await;
    let before = gateway.held(&feed, 1);
    let stood = gateway.rewind(&feed, 1).await;
    until("all comes again", async || {
        let again = i64::try_from(gateway.twice(&feed)).unwrap() > stood;
        (again && gateway.sequence(&feed, 1) > stood).then_some(())
    })
    .await;
    let after = gateway.held(&feed, 1);
    assert_eq!((after.owner, after.epoch), (before.owner, before.epoch.next()), "its owner keeps it");
    assert_eq!(gateway.node(3).control().read(|state| state.audit().count()), 1);
    assert!(gateway.keeps_its_promises().await > 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s2_an_owner_that_was_cut_off_does_not_undo_a_move_with_what_it_got_acknowledged() {
    let gateway = Gateway::of(3).await;
    gateway.until_shared_by(&[1, 2, 3]).await;
    let (follower, seen_by) = gateway.a_follower();
    let feed = a_feed_of(&gateway, follower, seen_by).await;
    gateway.cut_off(follower);
    gateway.until_all_flow(&BTreeSet::from([feed.clone()])).await;
    let stood = gateway.rewind(&feed, seen_by).await;
    gateway.until_all_flow(&BTreeSet::from([feed.clone()])).await;
    assert_eq!(gateway.sequence(&feed, seen_by), -1, "the owner goes on, and does not know");
    gateway.network.heal();
    until("all comes again", async || {
        let again = i64::try_from(gateway.twice(&feed)).unwrap() > stood;
        (again && gateway.sequence(&feed, seen_by) > stood).then_some(())
    })
    .await;
    assert!(gateway.keeps_its_promises().await > 0);
}

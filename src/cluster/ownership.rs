//! How feeds get owners and lose them: assignment, recall and release, as the log says them. Pure.

use super::command::{MoveOutcome, Outcome, Refusal};
use super::limits::ASSIGN_MOVES_MAX;
use super::member::{Member, missing};
use super::state::{ControlState, Part, Touched};
use crate::clock::Timestamp;
use crate::ids::{Epoch, FeedId, NodeId};

impl ControlState {
    pub(super) fn assign_feeds(
        &mut self,
        moves: Vec<(FeedId, NodeId)>,
        at: Timestamp,
        touched: &mut Touched,
    ) -> Result<Outcome, Refusal> {
        if moves.len() > ASSIGN_MOVES_MAX {
            let what = "the moves of one assignment".into();
            return Err(Refusal::OverLimit { what, limit: ASSIGN_MOVES_MAX as u64 });
        }
        let mut outcomes = Vec::with_capacity(moves.len());
        for (feed, node) in moves {
            let fit = self.takes_feeds(node);
            outcomes.push(match self.feeds.get_mut(&feed) {
                None => MoveOutcome::NoSuchFeed,
                Some(_) if !fit => MoveOutcome::Unfit { node },
                Some(state) => match state.owner {
                    Some(by) => MoveOutcome::Owned { by, epoch: state.epoch },
                    None => {
                        touched.insert(Part::Feed(feed));
                        MoveOutcome::Epoch(state.assign(node, at))
                    }
                },
            });
        }
        Ok(Outcome::Assigned(outcomes))
    }

    pub(super) fn recall(
        &mut self,
        feed: &FeedId,
        epoch: Epoch,
        to: NodeId,
        at: Timestamp,
        touched: &mut Touched,
    ) -> Result<Outcome, Refusal> {
        if !self.takes_feeds(to) {
            // Taking a recall back is always possible: it gives the owner nothing that it doesn't have.
            let keeps = self.feeds.get(feed).is_some_and(|state| state.owner == Some(to));
            let standing = self.standing(to).ok_or_else(|| missing(to))?;
            if !keeps {
                return Err(Refusal::Unfit { node: to, standing });
            }
        }
        self.feed_mut(feed, touched)?.recall(epoch, to, at).map(|()| Outcome::Done)
    }

    pub(super) fn release(&mut self, feed: &FeedId, epoch: Epoch, touched: &mut Touched) -> Result<Outcome, Refusal> {
        let members = &self.members;
        let takes_feeds = |node: NodeId| members.get(&node).is_some_and(Member::takes_feeds);
        let state = self.feeds.get_mut(feed).ok_or_else(|| Refusal::Missing { what: format!("feed `{feed}`") })?;
        state.release(epoch, takes_feeds)?;
        touched.insert(Part::Feed(feed.clone()));
        Ok(Outcome::Done)
    }

    fn takes_feeds(&self, node: NodeId) -> bool {
        self.members.get(&node).is_some_and(Member::takes_feeds)
    }

    /// Takes feeds from their owners, and answers how many. What was granted remains recognised as old.
    pub(super) fn release_where(&mut self, owner: impl Fn(NodeId) -> bool, touched: &mut Touched) -> usize {
        let mut released = 0;
        for (feed, state) in self.feeds.iter_mut().filter(|(_, state)| state.owner.is_some_and(&owner)) {
            state.withdraw();
            touched.insert(Part::Feed(feed.clone()));
            released += 1;
        }
        released
    }

    /// A node that can't take feeds any more is not waited for.
    pub(super) fn forget_recalls_to(&mut self, node: NodeId, touched: &mut Touched) {
        for (feed, state) in &mut self.feeds {
            if state.recall.take_if(|recall| recall.to == node).is_some() {
                touched.insert(Part::Feed(feed.clone()));
            }
        }
    }
}

//! Which sinks begin behind the others, and where one that is served beside its feed goes on with it again. Pure.
//!
//! A feed and the reader beside it read the same log. The sink goes on with the feed at a *joint*: a batch that the feed
//! still has, or will read next, and the position before it. The reader stops at or after that position, its sink
//! acknowledges what it was handed, and the feed keeps the batch until then. So nothing lies between the two; what
//! the reader has handed over of the batch itself the feed leaves out, message by message.

use super::limits::{FAR_BEHIND_MESSAGES, JOIN_WITHIN_MESSAGES};
use super::progress::BatchNumber;
use crate::event::batch::Position;

/// By lane, whether it is so far behind the one that is furthest that the others should not wait until that has passed.
/// Only logs are numbered: of collections nobody is. `from_earliest` says that who has no cursor is to have everything.
pub fn far_behind(cursors: &[Option<&Position>], from_earliest: bool) -> Vec<bool> {
    let exact = |position: &&Position| matches!(position, Position::Log(at) if at.from_time().is_none());
    let furthest = cursors.iter().flatten().copied().filter(exact).filter_map(number).max();
    let is_far = |cursor: &Option<&Position>| match (furthest, cursor) {
        (None, _) => false,
        (Some(_), None) => from_earliest,
        (Some(furthest), Some(cursor)) => number(cursor).is_some_and(|at| furthest - at > FAR_BEHIND_MESSAGES),
    };
    cursors.iter().map(is_far).collect()
}

fn number(position: &Position) -> Option<i64> {
    match position {
        Position::Log(at) => Some(at.sequence),
        Position::Objects(_) => None,
    }
}

/// How far the reader is that serves a sink beside its feed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Reached {
    /// Handed to the sink up to here.
    pub read: Option<Position>,
    /// Of that, resolved without a break.
    pub resolved: Option<Position>,
    /// It was told to go no further, and hands over no more.
    pub rests: bool,
}

impl Reached {
    /// Whether the sink holds nothing of the reader's any more, and gets nothing.
    pub fn is_quiet(&self) -> bool {
        let all = self.read.as_ref().is_none_or(|read| self.resolved.as_ref().is_some_and(|it| it.reaches(read)));
        self.rests && all
    }
}

/// A batch that a sink can go on with, and the position before it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Joint {
    pub number: BatchNumber,
    pub before: Position,
}

/// When and where one sink goes on with its feed.
#[derive(Debug, Default)]
pub struct Joining {
    chosen: Option<Joint>,
    /// A joint that was given up, because the feed could not keep what lay after it for so long.
    given_up: Option<Position>,
}

impl Joining {
    /// The joint that was chosen. From its batch on, the feed keeps everything.
    pub fn chosen(&self) -> Option<&Joint> {
        self.chosen.as_ref()
    }

    /// Chooses a joint if there is one within reach. `held` is the first batch that the feed keeps for others, and `front` the
    /// first that nobody was handed yet: to keep what comes after that costs something, so that the reader must be
    /// near. A sink that does not work would not get there. Answers what was chosen now.
    pub fn choose(
        &mut self,
        reached: &Reached,
        works: bool,
        held: Option<Joint>,
        front: Option<Joint>,
    ) -> Option<&Joint> {
        let read = reached.read.as_ref()?;
        // Who did not come as far as the last joint in time is first to come there.
        let may = self.given_up.as_ref().is_none_or(|at| reached.resolved.as_ref().is_some_and(|it| it.reaches(at)));
        if self.chosen.is_some() || !works || !may {
            return None;
        }
        let near = |joint: &Joint| match (number(&joint.before), number(read)) {
            (Some(joint), Some(read)) => joint - read <= JOIN_WITHIN_MESSAGES,
            (None, _) | (_, None) => false,
        };
        let held = held.filter(|joint| read.reaches(&joint.before));
        self.chosen = held.or_else(|| front.filter(near));
        self.chosen.as_ref()
    }

    /// The feed can't keep any longer what lies after the joint.
    pub fn give_up(&mut self) {
        if let Some(joint) = self.chosen.take() {
            self.given_up = Some(joint.before);
        }
    }

    /// Whether the sink has all before the joint and holds nothing more of the reader's: where it stands then.
    pub fn is_there(&self, reached: &Reached) -> bool {
        let (Some(joint), Some(resolved)) = (&self.chosen, &reached.resolved) else { return false };
        reached.is_quiet() && resolved.reaches(&joint.before)
    }
}

#[cfg(test)]
#[path = "joining_tests.rs"]
mod tests;

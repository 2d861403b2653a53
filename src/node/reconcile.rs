//! What is assigned against what runs, and the difference as steps. Pure, and level-triggered: it may be asked at any
//! time and forgets nothing, because it remembers nothing.

use std::collections::BTreeMap;

use crate::ids::{Epoch, FeedId, NodeId};
use crate::pipeline::feed::Halt;

/// A feed that exists, and who holds it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Declared {
    pub owner: Option<NodeId>,
    pub epoch: Epoch,
    /// Whether another node is to have it next.
    pub recalled: bool,
    /// Changes whenever the feed must be built anew: its source, its credential or its sinks changed.
    pub fingerprint: u64,
    /// Whether anything would take its events. A feed without a sink isn't read, because what it read would be lost.
    pub wanted: bool,
}

/// A feed whose task lives in this process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Running {
    pub epoch: Epoch,
    pub fingerprint: u64,
    /// What it was told last.
    pub halt: Halt,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Start the task under the epoch the feed was given to this node with.
    Start(FeedId, Epoch),
    /// Tell the task to end, in this way.
    Stop(FeedId, Halt),
    /// Give the feed up: nothing runs under this epoch any more.
    Release(FeedId, Epoch),
}

/// The steps that bring what runs closer to what is declared. `spent` holds the epochs whose task has ended: it may have
/// left batches in flight, so that whoever reads the feed next does so under another. A node that is `leaving` gives
/// up everything.
pub fn steps(
    node: NodeId,
    leaving: bool,
    declared: &BTreeMap<FeedId, Declared>,
    running: &BTreeMap<FeedId, Running>,
    spent: &BTreeMap<FeedId, Epoch>,
) -> Vec<Step> {
    let mut steps = Vec::new();
    let stays = |now: &Declared| now.owner == Some(node) && now.wanted && !now.recalled && !leaving;
    for (feed, run) in running {
        let halt = halt(node, leaving, declared.get(feed), run);
        if is_firmer(halt, run.halt) {
            steps.push(Step::Stop(feed.clone(), halt));
        }
    }
    for (feed, now) in declared {
        if running.contains_key(feed) || now.owner != Some(node) {
            continue;
        }
        let fresh = spent.get(feed) != Some(&now.epoch);
        let step = if stays(now) && fresh { Step::Start } else { Step::Release };
        steps.push(step(feed.clone(), now.epoch));
    }
    steps
}

/// How a task is to end, if it is. What was passed on, or ended with its source or tenant, is not ours to send any more;
/// what is to be given up, or built anew, is still ours until all that was sent of it is acknowledged.
fn halt(node: NodeId, leaving: bool, now: Option<&Declared>, run: &Running) -> Halt {
    match now.filter(|now| now.owner == Some(node) && now.epoch == run.epoch) {
        None => Halt::Now,
        Some(now) if leaving || now.recalled || !now.wanted || now.fingerprint != run.fingerprint => Halt::Drain,
        Some(_) => Halt::No,
    }
}

/// Whether a task that was told `before` is to hear this too. Nothing weakens what it was told.
pub fn is_firmer(halt: Halt, before: Halt) -> bool {
    match halt {
        Halt::No => false,
        Halt::Drain => before == Halt::No,
        Halt::Now => before != Halt::Now,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HERE: NodeId = NodeId(1);

    fn feed() -> FeedId {
        "contoso/hub/0".parse().unwrap()
    }

    fn declared(owner: Option<u64>, epoch: u64, fingerprint: u64) -> BTreeMap<FeedId, Declared> {
        let owner = owner.map(NodeId);
        let now = Declared { owner, epoch: Epoch(epoch), recalled: false, fingerprint, wanted: true };
        BTreeMap::from([(feed(), now)])
    }

    fn running(epoch: u64, fingerprint: u64) -> BTreeMap<FeedId, Running> {
        BTreeMap::from([(feed(), Running { epoch: Epoch(epoch), fingerprint, halt: Halt::No })])
    }

    fn told(halt: Halt) -> BTreeMap<FeedId, Running> {
        BTreeMap::from([(feed(), Running { epoch: Epoch(5), fingerprint: 7, halt })])
    }

    fn stays(declared: &BTreeMap<FeedId, Declared>, running: &BTreeMap<FeedId, Running>) -> Vec<Step> {
        steps(HERE, false, declared, running, &BTreeMap::new())
    }

    #[test]
    fn a_feed_starts_once_under_each_epoch_it_is_given_with() {
        let nothing = BTreeMap::new();
        let start = [Step::Start(feed(), Epoch(5))];
        assert_eq!(stays(&declared(Some(1), 5, 0), &nothing), start);
        let spent = BTreeMap::from([(feed(), Epoch(5))]);
        let release = [Step::Release(feed(), Epoch(5))];
        assert_eq!(steps(HERE, false, &declared(Some(1), 5, 0), &nothing, &spent), release);
        let start = [Step::Start(feed(), Epoch(6))];
        assert_eq!(steps(HERE, false, &declared(Some(1), 6, 0), &nothing, &spent), start);
    }

    #[test]
    fn what_belongs_to_others_or_nobody_is_left_to_them() {
        for owner in [None, Some(2)] {
            assert_eq!(stays(&declared(owner, 5, 0), &BTreeMap::new()), [], "{owner:?}");
        }
    }

    #[test]
    fn a_feed_that_fits_is_left_alone() {
        assert_eq!(stays(&declared(Some(1), 5, 7), &running(5, 7)), []);
    }

    #[test]
    fn a_feed_drains_when_it_changed_or_is_unwanted_or_recalled() {
        let stop = [Step::Stop(feed(), Halt::Drain)];
        assert_eq!(stays(&declared(Some(1), 5, 8), &running(5, 7)), stop);
        let mut unwanted = declared(Some(1), 5, 7);
        unwanted.values_mut().for_each(|now| now.wanted = false);
        let mut recalled = declared(Some(1), 5, 7);
        recalled.values_mut().for_each(|now| now.recalled = true);
        for given_up in [unwanted, recalled] {
            assert_eq!(stays(&given_up, &running(5, 7)), stop);
            for halt in [Halt::Drain, Halt::Now] {
                assert_eq!(stays(&given_up, &told(halt)), [], "it was told already");
            }
            assert_eq!(stays(&given_up, &BTreeMap::new()), [Step::Release(feed(), Epoch(5))]);
        }
    }

    #[test]
    fn a_feed_that_passed_on_or_is_gone_stops_at_once_also_when_it_drains_already() {
        let stop = [Step::Stop(feed(), Halt::Now)];
        let elsewhere = [declared(Some(2), 6, 7), declared(None, 5, 7), declared(Some(1), 6, 7), BTreeMap::new()];
        for elsewhere in elsewhere {
            let steps = |run| {
                let mut steps = stays(&elsewhere, &run);
                steps.retain(|step| matches!(step, Step::Stop(..)));
                steps
            };
            assert_eq!(steps(running(5, 7)), stop, "{elsewhere:?}");
            assert_eq!(steps(told(Halt::Drain)), stop, "{elsewhere:?}");
            assert_eq!(steps(told(Halt::Now)), [], "{elsewhere:?}");
        }
    }

    #[test]
    fn a_node_that_leaves_stops_and_gives_up_everything() {
        let (owned, none) = (declared(Some(1), 5, 7), BTreeMap::new());
        assert_eq!(steps(HERE, true, &owned, &running(5, 7), &none), [Step::Stop(feed(), Halt::Drain)]);
        assert_eq!(steps(HERE, true, &owned, &BTreeMap::new(), &none), [Step::Release(feed(), Epoch(5))]);
    }
}

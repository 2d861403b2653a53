//! What is assigned against what runs, and the difference as steps. Pure, and level-triggered: it may be asked at any
//! time and forgets nothing, because it remembers nothing.

use std::collections::BTreeMap;

use crate::ids::{Epoch, FeedId, NodeId};

/// A feed that exists, and who holds it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Declared {
    pub owner: Option<NodeId>,
    pub epoch: Epoch,
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
    pub stopping: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Ask the cluster for the feed under a new epoch.
    Assign(FeedId),
    /// Start the task under an epoch that was granted to this process.
    Start(FeedId, Epoch),
    /// Tell the task to drain and end.
    Stop(FeedId),
}

/// The steps that bring what runs closer to what is declared. `granted` holds the epochs this process was given; an
/// epoch of an earlier process on the same node is not in it, because that process may have left batches in flight.
pub fn steps(
    node: NodeId,
    declared: &BTreeMap<FeedId, Declared>,
    running: &BTreeMap<FeedId, Running>,
    granted: &BTreeMap<FeedId, Epoch>,
) -> Vec<Step> {
    let mut steps = Vec::new();
    for (feed, run) in running {
        let keeps = declared.get(feed).is_some_and(|now| {
            now.wanted && now.owner == Some(node) && now.epoch == run.epoch && now.fingerprint == run.fingerprint
        });
        if !keeps && !run.stopping {
            steps.push(Step::Stop(feed.clone()));
        }
    }
    for (feed, now) in declared {
        if running.contains_key(feed) || !now.wanted {
            continue;
        }
        let ours = now.owner == Some(node) && granted.get(feed) == Some(&now.epoch);
        steps.push(if ours { Step::Start(feed.clone(), now.epoch) } else { Step::Assign(feed.clone()) });
    }
    steps
}

#[cfg(test)]
mod tests {
    use super::*;

    const HERE: NodeId = NodeId(1);

    fn feed() -> FeedId {
        "contoso/hub/0".parse().unwrap()
    }

    fn declared(owner: Option<u64>, epoch: u64, fingerprint: u64) -> BTreeMap<FeedId, Declared> {
        let now = Declared { owner: owner.map(NodeId), epoch: Epoch(epoch), fingerprint, wanted: true };
        BTreeMap::from([(feed(), now)])
    }

    fn running(epoch: u64, fingerprint: u64) -> BTreeMap<FeedId, Running> {
        BTreeMap::from([(feed(), Running { epoch: Epoch(epoch), fingerprint, stopping: false })])
    }

    #[test]
    fn an_epoch_of_an_earlier_process_is_not_started_again() {
        let nobody = BTreeMap::new();
        assert_eq!(steps(HERE, &declared(Some(1), 4, 0), &BTreeMap::new(), &nobody), [Step::Assign(feed())]);
        let granted = BTreeMap::from([(feed(), Epoch(5))]);
        assert_eq!(steps(HERE, &declared(Some(1), 5, 0), &BTreeMap::new(), &granted), [Step::Start(feed(), Epoch(5))]);
    }

    #[test]
    fn a_feed_that_fits_is_left_alone() {
        let granted = BTreeMap::from([(feed(), Epoch(5))]);
        assert_eq!(steps(HERE, &declared(Some(1), 5, 7), &running(5, 7), &granted), []);
    }

    #[test]
    fn a_feed_stops_when_it_changed_or_passed_on_or_is_unwanted() {
        let granted = BTreeMap::from([(feed(), Epoch(5))]);
        let stop = [Step::Stop(feed())];
        assert_eq!(steps(HERE, &declared(Some(1), 5, 8), &running(5, 7), &granted), stop);
        assert_eq!(steps(HERE, &declared(Some(2), 6, 7), &running(5, 7), &granted), stop);
        assert_eq!(steps(HERE, &BTreeMap::new(), &running(5, 7), &granted), stop);
        let mut unwanted = declared(Some(1), 5, 7);
        unwanted.values_mut().for_each(|now| now.wanted = false);
        assert_eq!(steps(HERE, &unwanted, &running(5, 7), &granted), stop);
        let mut stopping = running(5, 7);
        stopping.values_mut().for_each(|run| run.stopping = true);
        assert_eq!(steps(HERE, &unwanted, &stopping, &granted), [], "it was told already");
    }
}

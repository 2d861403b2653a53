//! What a node does while it leads: it ends lives whose leases ran out, gives feeds to nodes, and makes voters of those
//! that joined. It looks often and remembers little: all it needs is in the committed state.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior, interval};

use super::agenda::{Basis, Planning, Takeover};
use super::deployment::Deployment;
use super::keyring::Keyring;
use crate::clock::{Clock, pace};
use crate::cluster::placement::{Plan, Policy, Wish, plan};
use crate::cluster::{Command, ControlPlane, ControlState, MoveOutcome, Outcome};
use crate::ids::{FeedId, NodeId};
use crate::metrics;

/// How often leases are looked at; a dead node's feeds wait at most this much longer.
const LOOK: Duration = Duration::from_millis(50);
/// How often members are compared with Raft's.
const MEMBERS_INTERVAL: Duration = Duration::from_secs(1);
/// A failed attempt to begin to judge waits this long.
const TRY_AGAIN: Duration = Duration::from_millis(100);

pub struct Leading {
    pub node: NodeId,
    pub control: ControlPlane,
    pub clock: Clock,
    pub keyring: Arc<Keyring>,
}

/// What was looked at last, and when.
#[derive(Default)]
struct Looked {
    planning: Planning,
    members_at: Option<Instant>,
    revision: Option<u64>,
    deployment: Arc<Deployment>,
    not_before: Option<Instant>,
    takeover: Takeover,
    figures: metrics::Leading,
}

impl Leading {
    /// Leads whenever this node is the leader, until `stop` turns true.
    pub async fn run(self, mut stop: watch::Receiver<bool>) {
        let mut looks = interval(LOOK);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut looked = Looked::default();
        loop {
            tokio::select! {
                _ = stop.wait_for(|stopped| *stopped) => return,
                _ = looks.tick() => {}
            }
            if self.control.leads() {
                self.look(&mut looked).await;
            } else {
                self.control.end_judging();
                looked = Looked { figures: looked.figures, ..Looked::default() };
            }
        }
    }

    async fn look(&self, looked: &mut Looked) {
        if !self.control.judges() {
            if looked.not_before.is_some_and(|at| at > Instant::now()) {
                return;
            }
            match self.control.begin_to_judge(self.clock.now()).await {
                Ok(leadership) => tracing::info!(node = %self.node, %leadership, "this node leads"),
                Err(error) => {
                    tracing::debug!(%error, "the leadership can't begin yet");
                    looked.not_before = Some(Instant::now() + TRY_AGAIN);
                    return;
                }
            }
        }
        for (expiry, silence) in self.control.expiries(self.clock.now()) {
            tracing::warn!(?expiry, ?silence, "a node was not heard for a whole lease: its feeds pass on");
            let before = self.clock.uptime();
            if self.propose(expiry).await.is_some() {
                looked.figures.ended.increment(1);
                looked.takeover.begins(silence, before);
            }
        }
        self.place(looked).await;
        if looked.members_at.is_none_or(|at| at.elapsed() >= MEMBERS_INTERVAL) {
            self.raise_level().await;
            self.bring_in().await;
            looked.members_at = Some(Instant::now());
        }
    }

    /// Proposes what placement asks for, whenever something changed since it was asked last.
    async fn place(&self, looked: &mut Looked) {
        let basis = Basis { applied: *self.control.changes().borrow(), unable: self.control.unable() };
        if !looked.planning.is_due(&basis, pace()) {
            return;
        }
        let now = self.clock.now();
        let (Plan { moves, recalls }, orphaned) = self.control.read(|state| {
            let revision = state.counters().revision;
            if looked.revision != Some(revision) {
                looked.deployment = Arc::new(Deployment::of(state, &self.keyring));
                looked.revision = Some(revision);
            }
            let wishes: BTreeMap<FeedId, Wish> = looked.deployment.wishes(state);
            let orphaned = wishes.keys().any(|feed| state.feed(feed).is_some_and(|held| held.owner.is_none()));
            (plan(state, &wishes, &basis.unable, now, &Policy::default()), orphaned)
        });
        let mut proposed = true;
        for (feed, epoch, to) in recalls {
            tracing::info!(%feed, %epoch, %to, "the feed is to move");
            proposed &= self.propose(Command::Recall { feed, epoch, to, at: now }).await.is_some();
        }
        if !orphaned {
            looked.takeover.forget();
        } else if !moves.is_empty() {
            let assigned = self.assign(moves).await;
            proposed &= assigned;
            if assigned && let Some(took) = looked.takeover.ends(self.clock.uptime()) {
                looked.figures.takeover.record(took.as_secs_f64());
            }
        }
        looked.planning.planned(basis, proposed, pace());
    }

    /// Returns whether the assignment has an outcome.
    async fn assign(&self, moves: Vec<(FeedId, NodeId)>) -> bool {
        let assign = Command::AssignFeeds { moves: moves.clone(), at: self.clock.now() };
        let Some(Outcome::Assigned(outcomes)) = self.propose(assign).await else { return false };
        for ((feed, node), outcome) in moves.iter().zip(outcomes) {
            match outcome {
                MoveOutcome::Epoch(epoch) => tracing::info!(%feed, %node, %epoch, "the feed has an owner"),
                outcome => tracing::debug!(%feed, %node, ?outcome, "the feed was not assigned, planning anew"),
            }
        }
        true
    }

    /// Lets new commands be used as soon as every member that ever started knows them.
    async fn raise_level(&self) {
        if let Some(level) = self.control.read(ControlState::next_level)
            && self.propose(Command::RaiseLevel { level }).await.is_some()
        {
            tracing::info!(to = %level, "the cluster's level rose; older versions can't read it now");
        }
    }

    /// Makes learners of members that Raft does not know yet, and voters of learners that have caught up.
    async fn bring_in(&self) {
        let raft = self.control.view().members.into_iter().map(|(node, _)| node).collect();
        let new = self.control.read(|state| state.newcomers(&raft));
        for (node, peer) in new {
            match self.control.add_learner(node, peer.clone()).await {
                Ok(()) => tracing::info!(%node, peer, "a node has joined and catches up"),
                Err(error) => tracing::warn!(%node, peer, %error, "a node that joined can't be brought in yet"),
            }
        }
        let Ok(ready) = self.control.promotable().await else { return };
        if ready.is_empty() {
            return;
        }
        match self.control.promote(ready.clone()).await {
            Ok(()) => tracing::info!(nodes = ?ready, "nodes that caught up are voters now"),
            Err(error) => tracing::warn!(nodes = ?ready, %error, "nodes that caught up can't be voters yet"),
        }
    }

    async fn propose(&self, command: Command) -> Option<Outcome> {
        match self.control.propose(command).await {
            Ok(Outcome::Refused(refusal)) => {
                tracing::info!(%refusal, "the control plane refused, looking again");
                None
            }
            Ok(outcome) => Some(outcome),
            Err(error) => {
                tracing::warn!(%error, "the control plane did not answer, trying again soon");
                None
            }
        }
    }
}

//! What a node does while it leads: it ends lives whose leases ran out, gives feeds to nodes, and makes voters of those
//! that joined. It looks often and remembers little: all it needs is in the committed state.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior, interval};

use super::deployment::Deployment;
use super::keyring::Keyring;
use crate::clock::Clock;
use crate::cluster::level::Level;
use crate::cluster::limits::LEASE_TTL;
use crate::cluster::placement::{Plan, Policy, Wish, plan};
use crate::cluster::{Command, ControlPlane, MoveOutcome, Outcome};
use crate::ids::{FeedId, NodeId};
use crate::metrics;

/// How often leases are looked at; a dead node's feeds wait at most this much longer.
const LOOK: Duration = Duration::from_millis(50);
/// How often ownership is planned anew although nothing was committed.
const PLAN_INTERVAL: Duration = Duration::from_secs(5);
/// The least time between two plans: a state with thousands of feeds takes milliseconds to look through.
const PLAN_PAUSE: Duration = Duration::from_millis(100);
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
    planned_at: Option<Instant>,
    planned_index: u64,
    members_at: Option<Instant>,
    revision: Option<u64>,
    deployment: Arc<Deployment>,
    not_before: Option<Instant>,
    /// Since when the feeds of an ended life wait for new owners.
    orphaned_since: Option<Instant>,
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
        for expiry in self.control.expiries(self.clock.now()) {
            tracing::warn!(?expiry, "a node was not heard for a whole lease: its feeds pass on");
            if self.propose(expiry).await.is_some() {
                looked.figures.ended.increment(1);
                looked.orphaned_since.get_or_insert_with(|| Instant::now() - LEASE_TTL);
            }
        }
        self.place(looked).await;
        if looked.members_at.is_none_or(|at| at.elapsed() >= MEMBERS_INTERVAL) {
            self.raise_level().await;
            self.bring_in().await;
            looked.members_at = Some(Instant::now());
        }
    }

    /// Proposes what placement asks for, whenever something was committed since it was asked last.
    async fn place(&self, looked: &mut Looked) {
        let applied = *self.control.changes().borrow();
        let since = looked.planned_at.map_or(Duration::MAX, |at| at.elapsed());
        if since < PLAN_PAUSE || (applied == looked.planned_index && since < PLAN_INTERVAL) {
            return;
        }
        let (now, unable) = (self.clock.now(), self.control.unable());
        let Plan { moves, recalls } = self.control.read(|state| {
            let revision = state.counters().revision;
            if looked.revision != Some(revision) {
                looked.deployment = Arc::new(Deployment::of(state, &self.keyring));
                looked.revision = Some(revision);
            }
            let wishes: BTreeMap<FeedId, Wish> = looked.deployment.wishes(state);
            plan(state, &wishes, &unable, now, &Policy::default())
        });
        (looked.planned_at, looked.planned_index) = (Some(Instant::now()), applied);
        for (feed, epoch, to) in recalls {
            tracing::info!(%feed, %epoch, %to, "the feed is to move");
            self.propose(Command::Recall { feed, epoch, to, at: now }).await;
        }
        if !moves.is_empty() {
            self.assign(moves).await;
        }
        if let Some(since) = looked.orphaned_since.take() {
            looked.figures.takeover.record(since.elapsed().as_secs_f64());
        }
    }

    async fn assign(&self, moves: Vec<(FeedId, NodeId)>) {
        let assign = Command::AssignFeeds { moves: moves.clone(), at: self.clock.now() };
        let Some(Outcome::Assigned(outcomes)) = self.propose(assign).await else { return };
        for ((feed, node), outcome) in moves.iter().zip(outcomes) {
            match outcome {
                MoveOutcome::Epoch(epoch) => tracing::info!(%feed, %node, %epoch, "the feed has an owner"),
                outcome => tracing::debug!(%feed, %node, ?outcome, "the feed was not assigned, planning anew"),
            }
        }
    }

    /// Lets new commands be used as soon as every member that ever started knows them.
    async fn raise_level(&self) {
        let known = self.control.read(|state| {
            let started = state.members().filter(|(_, member)| member.knows > 0);
            let least = started.map(|(_, member)| member.knows).min()?;
            let level = Level::try_from(least.min(Level::NEWEST.number())).ok()?;
            (level > state.counters().level).then_some(level)
        });
        if let Some(level) = known
            && self.propose(Command::RaiseLevel { level }).await.is_some()
        {
            tracing::info!(to = %level, "the cluster's level rose; older versions can't read it now");
        }
    }

    /// Makes learners of members that Raft does not know yet, and voters of learners that have caught up.
    async fn bring_in(&self) {
        let raft: BTreeSet<NodeId> = self.control.view().members.into_iter().map(|(node, _)| node).collect();
        let new: Vec<_> = self.control.read(|state| {
            let joining = state.members().filter(|(node, member)| !raft.contains(node) && !member.draining);
            joining.map(|(node, member)| (node, member.spec.peer.clone())).collect()
        });
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

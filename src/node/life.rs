//! This node's lives in the cluster: it begins one, says every half second that it goes on, and begins the next when the
//! cluster took it for ended.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval, sleep};

use super::NodeError;
use super::unable::Unable;
use crate::clock::Clock;
use crate::cluster::lease::held_until;
use crate::cluster::level::Level;
use crate::cluster::limits::BEAT;
use crate::cluster::peers::{Beat, Verdict};
use crate::cluster::{ClusterError, Command, ControlPlane, NodeCommand, Outcome, Standing};
use crate::ids::{NodeEpoch, NodeId};
use crate::lease::Lease;
use crate::metrics;

/// How long a failed beginning of a life waits before the next attempt.
const TRY_AGAIN: Duration = Duration::from_millis(250);

/// One life: all that the node holds, it holds under its epoch, and acts only while its lease holds.
#[derive(Debug, Clone)]
pub struct Life {
    pub node_epoch: NodeEpoch,
    pub lease: Lease,
}

/// Keeps the node alive.
pub struct Living {
    node: NodeId,
    control: ControlPlane,
    clock: Clock,
    lives: watch::Sender<Life>,
    figures: metrics::Life,
    /// Whether this node can't open the cluster's secrets, so that each of its lives votes and owns nothing.
    locked: bool,
    /// What this node can't run, which it says with every heartbeat.
    unable: Arc<Mutex<Unable>>,
}

impl Living {
    /// Begins a life. What the one before it held is released by this.
    pub async fn begin(
        control: ControlPlane,
        node: NodeId,
        clock: Clock,
        locked: bool,
        unable: Arc<Mutex<Unable>>,
    ) -> Result<Self, NodeError> {
        let life = begin(&control, node, &clock, locked).await?;
        let (lives, figures) = (watch::Sender::new(life), metrics::Life::default());
        Ok(Self { node, control, clock, lives, figures, locked, unable })
    }

    /// The present life, and each that follows it.
    pub fn lives(&self) -> watch::Receiver<Life> {
        self.lives.subscribe()
    }

    /// Says that it lives, until `stop` turns true. Ends by itself only when the cluster will not have this node again.
    pub async fn run(self, mut stop: watch::Receiver<bool>) -> Option<NodeError> {
        let mut beats = interval(BEAT);
        beats.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = stop.wait_for(|stopped| *stopped) => break,
                _ = beats.tick() => {}
            }
            let over = self.beat().await;
            self.show();
            if !over {
                continue;
            }
            tokio::select! {
                _ = stop.wait_for(|stopped| *stopped) => break,
                failure = self.begin_again() => if failure.is_some() { return failure },
            }
        }
        None
    }

    fn show(&self) {
        let life = self.lives.borrow();
        self.figures.lease.set_span(life.lease.remaining());
        self.figures.life.set_count(life.node_epoch.0);
    }

    /// Says once that this life goes on. Returns whether it is over.
    async fn beat(&self) -> bool {
        let life = self.lives.borrow().clone();
        let asked = self.clock.uptime();
        let unable = self.unable.lock().told();
        let beat = Beat { node_epoch: life.node_epoch, sent: Bytes::new(), unable };
        match self.control.heartbeat(beat).await {
            Ok(Verdict::Renewed) => {
                life.lease.renew(held_until(asked));
                false
            }
            Ok(Verdict::Expired) => true,
            Ok(Verdict::NotReady) => self.is_over(life.node_epoch),
            Err(error) => {
                if !life.lease.holds() {
                    tracing::debug!(%error, "the leader can't be told that this node lives");
                }
                self.is_over(life.node_epoch)
            }
        }
    }

    /// Whether the state as applied here says so already.
    fn is_over(&self, node_epoch: NodeEpoch) -> bool {
        let over = |state: &crate::cluster::ControlState| {
            state.member(self.node).is_none_or(|member| member.node_epoch > node_epoch || !member.alive)
        };
        self.control.read(over)
    }

    /// Ends the life at hand, and tries to begin another until it can, unless the node was removed.
    async fn begin_again(&self) -> Option<NodeError> {
        let node_epoch = {
            let life = self.lives.borrow();
            life.lease.end();
            life.node_epoch
        };
        tracing::warn!(node = %self.node, %node_epoch, "the cluster took this node for dead: beginning a new life");
        loop {
            match begin(&self.control, self.node, &self.clock, self.locked).await {
                Ok(life) => {
                    self.lives.send_replace(life);
                    return None;
                }
                Err(error) => {
                    let standing = self.control.read(|state| state.standing(self.node));
                    if standing == Some(Standing::Removed) {
                        return Some(NodeError::Removed { node: self.node });
                    }
                    tracing::debug!(%error, "the new life can't begin yet");
                }
            }
            sleep(TRY_AGAIN).await;
        }
    }
}

async fn begin(control: &ControlPlane, node: NodeId, clock: &Clock, locked: bool) -> Result<Life, NodeError> {
    let asked = clock.uptime();
    let start = Command::Node(NodeCommand::Start { node, knows: Level::NEWEST.number(), at: clock.now() });
    match control.propose(start).await? {
        Outcome::Life(node_epoch) => {
            tracing::info!(%node, %node_epoch, "the node's life began");
            let lease = Lease::new(clock.clone());
            // Nobody ends a life that has just begun before a whole lease has passed.
            lease.renew(held_until(asked));
            if locked {
                let leave = NodeCommand::Leave { node, node_epoch, at: clock.now() };
                control.propose(Command::Node(leave)).await?;
            }
            Ok(Life { node_epoch, lease })
        }
        answer => Err(NodeError::NotEnrolled { answer }),
    }
}

/// Ends the node's life in order, so that nobody waits for its lease to end.
pub async fn end(
    control: &ControlPlane,
    node: NodeId,
    node_epoch: NodeEpoch,
    clock: &Clock,
) -> Result<(), ClusterError> {
    let end = Command::Node(NodeCommand::End { node, node_epoch, at: clock.now() });
    control.propose(end).await.map(drop)
}

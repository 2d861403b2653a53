//! Keeps desks and control state in step: desks hear who the members are, and the cluster hears of members of this node
//! whose connection has ended.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval};

use super::super::life::Life;
use super::super::proposing::propose;
use super::super::sinks::Sinks;
use super::Connections;
use crate::cluster::{Command, ControlPlane, SubscriptionCommand};
use crate::ids::{NodeId, SinkId};
use crate::sinks::subscription::desk::Desk;

/// How often everything is compared although nothing seems to have changed.
const LOOK: Duration = Duration::from_secs(1);

pub struct Keeper {
    pub node: NodeId,
    pub control: ControlPlane,
    pub lives: watch::Receiver<Life>,
    pub sinks: Arc<Mutex<Sinks>>,
    pub connections: Connections,
}

impl Keeper {
    /// Runs until `stop` turns true.
    pub async fn run(self, mut stop: watch::Receiver<bool>) {
        let (mut changes, mut ended) = (self.control.changes(), self.connections.ended.subscribe());
        let mut look = interval(LOOK);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            self.tell_desks();
            for leave in self.gone() {
                tokio::select! {
                    _ = stop.wait_for(|stopped| *stopped) => return,
                    _ = propose(&self.control, Command::Subscription(leave)) => {}
                }
            }
            tokio::select! {
                _ = stop.wait_for(|stopped| *stopped) => return,
                changed = changes.changed() => if changed.is_err() { return },
                _ = ended.changed() => {}
                _ = look.tick() => {}
            }
        }
    }

    fn tell_desks(&self) {
        let sinks = self.sinks.lock();
        let desks: Vec<_> = sinks.iter().filter_map(|(name, sink)| Some((name.clone(), sink.desk.clone()?))).collect();
        drop(sinks);
        let tell = |desk: &Desk, members: Option<&crate::cluster::Subscription>| {
            let members = members.into_iter().flat_map(|of| &of.members);
            desk.set_members(members.map(|(name, known)| (name.clone(), known.epoch)).collect());
        };
        // Under the state's lock, so that no older list of members overtakes a newer one.
        self.control.read(|state| desks.iter().for_each(|(name, desk)| tell(desk, state.subscription(name))));
        desks.iter().for_each(|(name, desk)| log_silence(name, desk));
    }

    /// Members that came by this life of this node and are connected no more.
    fn gone(&self) -> Vec<SubscriptionCommand> {
        let node_epoch = self.lives.borrow().node_epoch;
        self.control.read(|state| {
            let all = state.subscriptions().flat_map(|(name, of)| of.members.iter().map(move |it| (name, it)));
            let gone = all.filter(|(_, (_, known))| {
                known.node == self.node && known.node_epoch == node_epoch && !self.connections.holds(known.connection)
            });
            let leave = gone.map(|(name, (member, known))| SubscriptionCommand::Leave {
                subscription: name.clone(),
                member: member.clone(),
                epoch: known.epoch,
            });
            leave.collect()
        })
    }
}

fn log_silence(subscription: &SinkId, desk: &Desk) {
    let (passed, back) = desk.news_of_silence();
    for (member, silent) in passed {
        tracing::warn!(
            %subscription, %member, what = silent.in_words(),
            remedy = "see what keeps its program, or end it; its feeds come back once it takes or acknowledges something",
            "a member is silent: others get what this node has for it"
        );
    }
    for member in back {
        tracing::info!(%subscription, %member, "a member that was silent takes part again, or is gone");
    }
}

//! The owner's side: lets in whom the cluster knows as a member, and leads it to the subscription's desk.

use std::sync::Arc;
use std::time::Duration;

use futures_util::stream::{self, StreamExt as _};
use parking_lot::Mutex;
use tokio::time::timeout;

use super::super::sinks::Sinks;
use super::INTRODUCTION;
use crate::cluster::ControlPlane;
use crate::cluster::peers::{Visited, Words};
use crate::ids::{Epoch, MemberName, NodeId, SinkId};
use crate::sinks::subscription::desk::Visitor;
use crate::sinks::subscription::visit::{refuse, serve};
use crate::sinks::subscription::words::ToOwner;

/// How often a desk that is not there yet is looked for.
const LOOK: Duration = Duration::from_millis(50);

#[derive(Clone)]
pub struct Host {
    pub control: ControlPlane,
    pub sinks: Arc<Mutex<Sinks>>,
}

impl Visited for Host {
    fn visited(&self, from: NodeId, words: Words) -> Words {
        let host = self.clone();
        stream::once(async move { host.let_in(from, words).await }).flatten().boxed()
    }
}

impl Host {
    async fn let_in(self, from: NodeId, mut words: Words) -> Words {
        let first = timeout(INTRODUCTION, words.next()).await.ok().flatten();
        let Some(Ok(ToOwner::Visit { subscription, member, epoch })) = first.map(ToOwner::decode) else {
            return refuse("the first word must say who visits");
        };
        let introduced = timeout(INTRODUCTION, async {
            loop {
                if let Some(visitor) = self.visitor(from, &subscription, &member, epoch) {
                    return visitor;
                }
                // This node may be about to hear of the member, or to start the sink.
                tokio::time::sleep(LOOK).await;
            }
        });
        match introduced.await {
            Ok(visitor) => serve(visitor, words),
            Err(_) => refuse("no such member is known here, or no such subscription"),
        }
    }

    /// A place at the desk, if this member came by the node that asks, under this epoch.
    fn visitor(&self, from: NodeId, subscription: &SinkId, member: &MemberName, epoch: Epoch) -> Option<Visitor> {
        let desk = self.sinks.lock().desk(subscription)?;
        // Under the state's lock, so that no older list of members overtakes a newer one.
        self.control.read(|state| {
            let members = &state.subscription(subscription)?.members;
            members.get(member).filter(|known| known.node == from && known.epoch == epoch)?;
            desk.set_members(members.iter().map(|(name, known)| (name.clone(), known.epoch)).collect());
            desk.attach(member, epoch)
        })
    }
}

//! The owner's side: lets in whom the cluster knows as a member, and leads it to the subscription's desk.

use std::sync::{Arc, OnceLock, Weak};
use std::time::Duration;

use futures_util::stream::{self, StreamExt as _};
use parking_lot::Mutex;
use tokio::sync::Semaphore;
use tokio::time::timeout;

use super::super::backend::NodeBackend;
use super::super::sinks::Sinks;
use super::INTRODUCTION;
use crate::admin::everywhere::{self, Asked};
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
    /// Whoever answers what another member asks for an operator, once the node has begun.
    pub backend: Arc<OnceLock<Weak<NodeBackend>>>,
    pub asks: Arc<Semaphore>,
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
        if let Some(answer) = first.as_ref().and_then(|first| self.asked(first)) {
            return answer;
        }
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

    /// The answer to what another member asks for an operator; nothing where its first word is about something else.
    fn asked(&self, first: &[u8]) -> Option<Words> {
        let asked = Asked::decode(first)?;
        let backend = self.backend.get().and_then(Weak::upgrade);
        let Some((backend, place)) = backend.zip(self.asks.clone().try_acquire_owned().ok()) else {
            return Some(stream::iter(everywhere::refusal("it is busy with others' questions: try again")).boxed());
        };
        let answer = async move {
            let _place = place;
            backend.answer_member(asked).await
        };
        Some(stream::once(answer).flat_map(stream::iter).boxed())
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

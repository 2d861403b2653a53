//! Which sinks a feed serves when it starts, where each of them stands, and which have a place in it without being served.

use std::collections::BTreeSet;
use std::sync::Arc;

use parking_lot::Mutex;

use super::beginning;
use super::deployment::{Configured, Deployment};
use super::idle::Idle;
use super::sinks::Sinks;
use crate::cluster::FeedState;
use crate::event::batch::Position;
use crate::ids::{FeedId, SinkId};
use crate::pipeline::aside::Aside;
use crate::pipeline::prepare::Lane;
use crate::pipeline::spec::SinkSpec;
use crate::sources;

pub fn lanes(
    deployment: &Deployment,
    idle: &Idle,
    sinks: &Sinks,
    source: &sources::Config,
    (feed, held): (&FeedId, &FeedState),
) -> (Vec<Lane>, Aside) {
    let key = (feed.tenant.clone(), feed.source.clone());
    let place = |name: &SinkId, spec: &SinkSpec| -> Option<Position> {
        let own = || beginning::own(&spec.sink, source, feed, held);
        held.cursors.get(name).cloned().or_else(own)
    };
    let untold = |name: &SinkId| Arc::new(Mutex::new(held.untold(name).cloned().into_iter().collect()));
    let lane = |(name, sink): (&SinkId, &Configured<SinkSpec>)| {
        Some(Lane { untold: untold(name), ..sinks.lane(name, feed, place(name, &sink.spec))? })
    };
    let lanes: Vec<Lane> = deployment.served(&key, idle).filter_map(lane).collect();
    let is_served = |name: &SinkId| lanes.iter().any(|lane| lane.sink == *name);
    let suspended = deployment.sinks_of(&key).filter(|(name, _)| !is_served(name));
    let suspended = suspended.map(|(name, sink)| (name.clone(), place(name, &sink.spec)));
    // A sink whose resource can't be read here may be readable again tomorrow; one that leaves the source out wants nothing.
    let unreadable = held.cursors.iter().filter(|(name, _)| !deployment.sinks.contains_key(*name));
    let unreadable = unreadable.map(|(name, at)| (name.clone(), Some(at.clone())));
    let owed: Vec<_> = suspended.chain(unreadable).collect();
    // Whoever has no place yet gets one with the first batch.
    let absent: BTreeSet<SinkId> =
        held.cursors.keys().chain(owed.iter().map(|(name, _)| name)).filter(|name| !is_served(name)).cloned().collect();
    let aside = Aside::new(owed, &absent);
    (lanes, aside)
}

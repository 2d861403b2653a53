//! The feeds of one member, and where their delivery stands, as the control state says. Pure.

use std::collections::BTreeMap;

use super::super::beginning::own;
use crate::admin::events::{FeedStart, Place, Start};
use crate::cluster::{ControlState, FeedState, ResourceKey};
use crate::event::batch::Position;
use crate::ids::{FeedId, MemberName, SinkId};
use crate::pipeline::spec::SinkSpec;
use crate::sinks::subscription;
use crate::sinks::subscription::share::reader_of;
use crate::sources;

/// What a member reads, ordered by feed.
pub fn feeds_of(state: &ControlState, name: &SinkId, member: &MemberName, spec: &SinkSpec) -> Vec<FeedStart> {
    let Some(of) = state.subscription(name) else { return Vec::new() };
    let wanted = state.feeds().filter(|(feed, _)| spec.routes.serves(&feed.tenant, &feed.source));
    let theirs = wanted.filter(|(feed, _)| reader_of(feed, of.members.keys()) == Some(member));
    // The parts of a source are next to each other.
    let mut sources = BTreeMap::new();
    let mut source = |feed: &FeedId| {
        let key = ResourceKey::source(&feed.tenant, &feed.source);
        let read = || serde_json::from_str(&state.resource(&key)?.body).ok();
        let known: &Option<sources::Config> = sources.entry(key.clone()).or_insert_with(read);
        known.clone()
    };
    let mut start = |feed: &FeedId, held: &FeedState| match held.cursors.get(name) {
        Some(cursor) => standing(cursor),
        None => source(feed).map_or(Start::Latest, |source| beginning(spec, &source, feed, held)),
    };
    let shown = theirs.map(|(feed, held)| FeedStart {
        feed: feed.clone(),
        epoch: held.epoch,
        generation: held.generation,
        start: start(feed, held),
    });
    shown.collect()
}

/// Where delivery goes on that has a cursor. One that an operator set by time stands before that time.
fn standing(cursor: &Position) -> Start {
    match cursor {
        Position::Log(at) => at.from_time().map_or_else(|| Start::After(place_of(cursor)), Start::Since),
        Position::Objects(_) => Start::After(place_of(cursor)),
    }
}

/// Where a feed really begins of which nothing was acknowledged: where that can't be had, as the cluster reads it.
fn beginning(spec: &SinkSpec, source: &sources::Config, feed: &FeedId, held: &FeedState) -> Start {
    match own(&spec.sink, source, feed, held) {
        Some(Position::Log(at)) => match at.from_time() {
            Some(from) => Start::Since(from),
            None => Start::From(at.sequence.saturating_add(1)),
        },
        Some(Position::Objects(at)) => Start::Since(at.from),
        None => {
            let all = matches!(source, sources::Config::EventHub(_)) || source.starts_at_earliest();
            let earliest = spec.sink.start() == Some(subscription::Start::Earliest);
            if earliest && all { Start::Earliest } else { Start::Latest }
        }
    }
}

/// Whether the same feeds are there under the same ownerships: that cursors move is no news.
pub fn same_feeds(one: &[FeedStart], other: &[FeedStart]) -> bool {
    let identity = |feed: &FeedStart| (feed.feed.clone(), feed.epoch, feed.generation);
    one.len() == other.len() && one.iter().zip(other).all(|(one, other)| identity(one) == identity(other))
}

pub fn place_of(position: &Position) -> Place {
    match position {
        Position::Log(log) => Place::Sequence(log.sequence),
        Position::Objects(objects) => Place::UpdatedBefore(objects.from),
    }
}

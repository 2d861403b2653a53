//! The feeds of one member, and where their delivery stands, as the control state says. Pure.

use crate::admin::events::{FeedStart, Place, Start};
use crate::cluster::ControlState;
use crate::event::batch::Position;
use crate::ids::{MemberName, SinkId};
use crate::pipeline::route::Route;
use crate::sinks::subscription;
use crate::sinks::subscription::share::reader_of;

/// What a member reads, ordered by feed.
pub fn feeds_of(
    state: &ControlState,
    name: &SinkId,
    member: &MemberName,
    (route, start): (&Route, subscription::Start),
) -> Vec<FeedStart> {
    let Some(of) = state.subscription(name) else { return Vec::new() };
    let wanted = state.feeds().filter(|(feed, _)| route.serves(&feed.tenant, &feed.source));
    let theirs = wanted.filter(|(feed, _)| reader_of(feed, of.members.keys()) == Some(member));
    let start = |cursor: Option<&Position>| match (cursor, start) {
        (Some(cursor), _) => Start::After(place_of(cursor)),
        (None, subscription::Start::Earliest) => Start::Earliest,
        (None, subscription::Start::Latest) => Start::Latest,
    };
    let shown = theirs.map(|(feed, held)| FeedStart {
        feed: feed.clone(),
        epoch: held.epoch,
        generation: held.generation,
        start: start(held.cursors.get(name)),
    });
    shown.collect()
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

//! Where a sink begins with a feed of which it has acknowledged nothing, and from where its owner must read for that. Pure.

use std::time::Duration;

use crate::clock::Timestamp;
use crate::cluster::FeedState;
use crate::event::batch::{ObjectsPosition, Position};
use crate::event::resume::least;
use crate::ids::{FeedId, Generation};
use crate::sinks;
use crate::sinks::subscription::Start;
use crate::sources;

/// The place that the sink's own settings name; nothing where it begins as the source and its other sinks do. Objects of
/// REST interfaces can be read from a time only while no sink has any: from another place, the others would get them again.
pub fn own(sink: &sinks::Config, source: &sources::Config, feed: &FeedId, held: &FeedState) -> Option<Position> {
    let sinks::Config::Subscription(config) = sink else { return None };
    match (source, config.start) {
        (sources::Config::EventHub(_), _) => config.beginning(feed),
        (_, Start::Since(from)) if held.cursors.is_empty() => {
            let beyond = Duration::from_nanos(u64::try_from(from.nanos().rem_euclid(SECOND)).unwrap_or(0));
            Some(Position::Objects(ObjectsPosition { from: from.minus(beyond) }))
        }
        _ => None,
    }
}

/// Defender is asked for whole seconds.
const SECOND: i64 = 1_000_000_000;

/// From where a feed is to be read, for sinks of which each has a place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ReadFrom {
    Position(Position),
    /// What came at this time or later, of a log that nobody has looked at.
    Time(Timestamp),
    /// All that upstream still has.
    Earliest,
    /// Where the source begins by itself.
    AsConfigured,
}

/// The place that serves every sink: of those with a cursor, and of those that only wish for a beginning.
pub fn read_from<'p>(generation: Generation, cursors: &[&'p Position], wishes: &[&'p Position]) -> ReadFrom {
    // Whether a message of that number is there nobody has looked: unless others stand before it, all is read, and the
    // sink is given what lies after it.
    let mut numbers = wishes.iter().filter(|wish| by_number(wish));
    if numbers.any(|wish| cursors.iter().all(|at| by_time(at) || !wish.reaches(at))) {
        return ReadFrom::Earliest;
    }
    let timed = wishes.iter().filter(|wish| !by_number(wish));
    match least(cursors.iter().chain(timed).copied()) {
        None => ReadFrom::AsConfigured,
        // Somebody stands before the first message: had that expired meanwhile, it must be told.
        Some(position) if generation != Generation::default() && cursors.contains(&&position) => {
            ReadFrom::Position(position)
        }
        // Somebody wished for a time, and somebody stands at a number of which no time is known.
        Some(Position::Log(at)) if at.goes_by_number() && at.sequence < 0 => ReadFrom::Earliest,
        Some(Position::Log(at)) if generation == Generation::default() => {
            at.from_time().map_or(ReadFrom::Earliest, ReadFrom::Time)
        }
        Some(position) => ReadFrom::Position(position),
    }
}

fn by_time(position: &Position) -> bool {
    matches!(position, Position::Log(at) if at.from_time().is_some())
}

fn by_number(position: &Position) -> bool {
    matches!(position, Position::Log(at) if at.goes_by_number())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::batch::LogPosition;

    const OPEN: Generation = Generation(7);

    fn at(second: i64) -> Timestamp {
        Timestamp::from_millis(second * 1_000)
    }
    /// Message `n` came in second `n`.
    fn exact(n: i64) -> Position {
        Position::Log(LogPosition { offset: format!("o{n}"), sequence: n, enqueued: at(n) })
    }
    fn number(n: i64) -> Position {
        Position::Log(LogPosition::after_number(n, Timestamp::ZERO))
    }
    fn time(second: i64) -> Position {
        Position::Log(LogPosition::before_time(at(second), -1))
    }

    #[test]
    fn s1_what_one_sink_wishes_for_costs_no_other_an_event() {
        assert_eq!(read_from(OPEN, &[], &[]), ReadFrom::AsConfigured);
        assert_eq!(read_from(OPEN, &[&exact(9)], &[&time(5)]), ReadFrom::Position(time(5)));
        assert_eq!(read_from(OPEN, &[&exact(3), &exact(9)], &[&time(5)]), ReadFrom::Position(exact(3)));
        assert_eq!(
            read_from(OPEN, &[&exact(3)], &[&number(5)]),
            ReadFrom::Position(exact(3)),
            "it is given what lies after 5"
        );
        assert_eq!(read_from(OPEN, &[&number(3)], &[&time(5)]), ReadFrom::Earliest, "who knows when message 3 came");
        assert_eq!(read_from(OPEN, &[&number(-1), &exact(9)], &[]), ReadFrom::Position(number(-1)), "it has a cursor");
    }

    #[test]
    fn a_number_that_nobody_has_seen_is_never_asked_for() {
        assert_eq!(read_from(OPEN, &[], &[&number(5)]), ReadFrom::Earliest);
        assert_eq!(read_from(OPEN, &[&exact(9)], &[&number(5)]), ReadFrom::Earliest);
        assert_eq!(read_from(OPEN, &[&time(9)], &[&number(5)]), ReadFrom::Earliest, "message 6 may be older than that");
        assert_eq!(read_from(Generation::default(), &[], &[&number(5)]), ReadFrom::Earliest);
    }

    #[test]
    fn a_log_that_nobody_has_looked_at_begins_at_the_time_asked_for() {
        assert_eq!(read_from(Generation::default(), &[], &[&time(5), &time(8)]), ReadFrom::Time(at(5)));
    }

    #[test]
    fn objects_begin_at_a_time_only_while_nobody_has_any() {
        let (sink, source) = (r#"{"start":"2026-01-31T08:00:00.5Z"}"#, r#"{"kind":"graph-alerts","credential":"c"}"#);
        let sink = sinks::Config::Subscription(serde_json::from_str(sink).unwrap());
        let source: sources::Config = serde_json::from_str(source).unwrap();
        let feed: FeedId = "contoso/alerts/alerts".parse().unwrap();
        let mut held = FeedState::default();
        let from = Timestamp::parse("2026-01-31T08:00:00Z").unwrap();
        assert_eq!(own(&sink, &source, &feed, &held), Some(Position::Objects(ObjectsPosition { from })));
        held.cursors.insert("siem".parse().unwrap(), Position::Objects(ObjectsPosition { from: at(9) }));
        assert_eq!(own(&sink, &source, &feed, &held), None);
    }
}

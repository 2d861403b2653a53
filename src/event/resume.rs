//! From which of several positions reading must go on, so that nobody whose position it is misses anything.

use crate::clock::Timestamp;
use crate::event::batch::{LogPosition, Position};

/// The least of the positions. Of one that is known by a time only a number is known that lies surely not after it: it is
/// followed if all the others are surely later than that time. If the least of the others is surely earlier, that one serves
/// for both; else the number decides.
pub fn least<'p>(positions: impl IntoIterator<Item = &'p Position>) -> Option<Position> {
    let positions: Vec<&Position> = positions.into_iter().collect();
    let times = positions.iter().filter_map(|position| from_time(position));
    let lowest = positions.iter().copied().reduce(|least, other| if least.reaches(other) { other } else { least });
    let (Some(from), Some(Position::Log(lowest))) = (times.min(), lowest) else { return lowest.cloned() };
    let floor = positions.iter().filter(|position| from_time(position).is_some()).filter_map(|it| sequence(it)).min();
    let later = |position: &&Position| match position {
        Position::Log(log) => log.from_time().is_some() || log.enqueued >= from,
        Position::Objects(_) => false,
    };
    let by_time = positions.iter().all(later);
    let exact = positions.iter().copied().filter(|position| from_time(position).is_none());
    let exact = exact.reduce(|least, other| if least.reaches(other) { other } else { least });
    if let Some(Position::Log(exact)) = exact
        && !exact.goes_by_number()
        && exact.enqueued < from
    {
        return Some(Position::Log(exact.clone()));
    }
    Some(Position::Log(match floor.filter(|_| by_time) {
        Some(floor) => LogPosition::before_time(from, floor),
        None => LogPosition::after_number(lowest.sequence, Timestamp::ZERO),
    }))
}

fn from_time(position: &Position) -> Option<Timestamp> {
    match position {
        Position::Log(log) => log.from_time(),
        Position::Objects(_) => None,
    }
}

fn sequence(position: &Position) -> Option<i64> {
    match position {
        Position::Log(log) => Some(log.sequence),
        Position::Objects(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::batch::ObjectsPosition;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_millis(second * 1_000)
    }
    /// A position as upstream gave it: message `n` came in second `n`.
    fn exact(n: i64) -> Position {
        Position::Log(LogPosition { offset: format!("o{n}"), sequence: n, enqueued: at(n) })
    }
    fn by_number(n: i64) -> Position {
        Position::Log(LogPosition::after_number(n, Timestamp::ZERO))
    }
    fn by_time(second: i64, floor: i64) -> Position {
        Position::Log(LogPosition::before_time(at(second), floor))
    }
    fn objects(second: i64) -> Position {
        Position::Objects(ObjectsPosition { from: at(second) })
    }

    #[test]
    fn the_lowest_number_is_the_least() {
        assert_eq!(least(&[exact(7), exact(3), exact(9)]), Some(exact(3)));
        assert_eq!(least(&[objects(7), objects(3)]), Some(objects(3)));
        assert_eq!(least(&[]), None);
    }

    #[test]
    fn a_time_is_followed_if_all_the_others_are_later() {
        assert_eq!(least(&[by_time(5, 1), exact(8)]), Some(by_time(5, 1)));
        assert_eq!(least(&[exact(8), by_time(6, 1), by_time(5, 2)]), Some(by_time(5, 1)));
    }

    #[test]
    fn nobody_misses_anything_for_a_time_that_another_asked_for() {
        assert_eq!(
            least(&[by_time(5, 1), exact(3)]),
            Some(exact(3)),
            "the other needs message 4, and 5 comes after it"
        );
        assert_eq!(least(&[by_time(5, 1), by_number(8)]), Some(by_number(1)), "who knows when message 8 came");
    }
}

//! What moving a cursor would do: where it would stand, what would come again and what would be left out. Pure.

use std::time::Duration;

use crate::clock::Timestamp;
use crate::event::batch::{LogPosition, ObjectsPosition, Position};

/// What upstream has of a feed now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Extent {
    Log(LogExtent),
    /// Objects, which are not numbered, and of which upstream doesn't say how old they get.
    Collection,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogExtent {
    /// The oldest message still there, or the next that will be written.
    pub oldest: i64,
    /// After the newest message ever written.
    pub newest: LogPosition,
    /// Whether positions of the feed's generation mean something there.
    pub same_generation: bool,
}

/// Where somebody wants a cursor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target {
    /// Before this message.
    Sequence(i64),
    /// Before what came, or changed, at this time or later.
    Time(Timestamp),
    /// So long before now.
    Back(Duration),
    Earliest,
    Latest,
}

/// A move as it is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wish {
    pub target: Target,
    pub direction: Direction,
    pub now: Timestamp,
}

/// Which way a cursor may go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    OnlyBack,
    /// Forward only where nothing is left out.
    WithoutSkips,
    Any,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Planned {
    pub to: Position,
    pub effect: Effect,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// It stands there already.
    Nothing,
    /// So many messages come again; nobody can say where there is no number.
    Again { messages: Option<u64>, at_most: bool },
    /// So many are left out.
    Skips { messages: Option<u64> },
    /// The sink had no cursor before.
    Begins,
}

/// Why a cursor can't go there.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CantMove {
    #[error("{what} lies in the future: upstream's newest is {newest}; `--latest` begins after it")]
    Future { what: String, newest: String },
    #[error("message {sequence} has expired upstream, where the oldest is {oldest}: use `--earliest`")]
    Expired { sequence: i64, oldest: i64 },
    #[error("it would skip {} that the sink has not got; if that is meant, give `--allow-skip`", count(*.messages))]
    Skips { messages: Option<u64> },
    #[error("it stands before that already, and going there would skip events: use `siemgate cursor set`")]
    NotBack,
    #[error(
        "which messages lie before {time} only upstream knows, so that a time can't be skipped to: use `--sequence` or `--latest`"
    )]
    TimeAhead { time: Timestamp },
    #[error(
        "the sink has lost messages upstream that nobody has recorded yet: let the feed be read first, or use `--earliest`"
    )]
    Behind,
    #[error("a collection has no numbers: use `--time`, `--earliest` or `--latest`")]
    NotNumbered,
    #[error(
        "upstream was recreated, and the feed's owner has not seen it yet: its positions mean nothing there; try again once the feed reads"
    )]
    Recreated,
}

fn count(messages: Option<u64>) -> String {
    match messages {
        Some(1) => "1 message".to_owned(),
        Some(messages) => format!("{messages} messages"),
        None => "events".to_owned(),
    }
}

/// A collection that never was read goes back to here: Defender is younger, and no time before it is asked for.
const OLDEST_OBJECT: Timestamp = Timestamp::from_millis(1_000_000_000_000);

/// Plans one move from where the cursor stands.
pub fn plan(from: Option<&Position>, extent: &Extent, wish: Wish) -> Result<Planned, CantMove> {
    let to = match (extent, from) {
        (Extent::Log(log), _) if !log.same_generation => return Err(CantMove::Recreated),
        (Extent::Log(log), Some(Position::Log(from))) => Position::Log(in_log(log, Some(from), wish)?),
        (Extent::Log(log), Some(Position::Objects(_)) | None) => Position::Log(in_log(log, None, wish)?),
        (Extent::Collection, _) => Position::Objects(ObjectsPosition { from: in_collection(wish)? }),
    };
    let effect = effect(from, &to);
    match (effect, wish.direction) {
        (Effect::Skips { .. }, Direction::OnlyBack) => Err(CantMove::NotBack),
        (Effect::Skips { messages }, Direction::WithoutSkips) => Err(CantMove::Skips { messages }),
        (Effect::Nothing | Effect::Again { .. } | Effect::Begins, _) | (Effect::Skips { .. }, Direction::Any) => {
            Ok(Planned { to, effect })
        }
    }
}

fn in_log(log: &LogExtent, from: Option<&LogPosition>, wish: Wish) -> Result<LogPosition, CantMove> {
    let newest = log.newest.sequence;
    let before = |sequence: i64| match sequence {
        at if at == newest.saturating_add(1) => log.newest.clone(),
        at => LogPosition::after_number(at.saturating_sub(1), Timestamp::ZERO),
    };
    match wish.target {
        Target::Sequence(sequence) if sequence > newest.saturating_add(1) => {
            Err(CantMove::Future { what: format!("message {sequence}"), newest: format!("message {newest}") })
        }
        Target::Sequence(sequence) if sequence < log.oldest => Err(CantMove::Expired { sequence, oldest: log.oldest }),
        Target::Sequence(sequence) => Ok(before(sequence)),
        Target::Earliest => Ok(before(log.oldest)),
        Target::Latest => Ok(before(newest.saturating_add(1))),
        Target::Time(time) => at_time(log, from, time, wish),
        Target::Back(span) => at_time(log, from, wish.now.minus(span), wish),
    }
}

/// A time is followed backwards only: there it is enough to know a number that lies surely before it.
fn at_time(log: &LogExtent, from: Option<&LogPosition>, time: Timestamp, wish: Wish) -> Result<LogPosition, CantMove> {
    if time > wish.now {
        return Err(CantMove::Future { what: time.to_string(), newest: format!("of {}", log.newest.enqueued) });
    }
    let floor = log.oldest.saturating_sub(1);
    match from {
        Some(from) if from.from_time().is_none() && from.sequence < floor => Err(CantMove::Behind),
        Some(from) if from.enqueued < time => match wish.direction {
            Direction::OnlyBack => Err(CantMove::NotBack),
            Direction::WithoutSkips | Direction::Any => Err(CantMove::TimeAhead { time }),
        },
        Some(_) | None => Ok(LogPosition::before_time(time, floor)),
    }
}

fn in_collection(wish: Wish) -> Result<Timestamp, CantMove> {
    let time = match wish.target {
        Target::Sequence(_) => return Err(CantMove::NotNumbered),
        Target::Time(time) => time,
        Target::Back(span) => wish.now.minus(span),
        Target::Earliest => OLDEST_OBJECT,
        Target::Latest => wish.now,
    };
    if time > wish.now {
        return Err(CantMove::Future { what: time.to_string(), newest: format!("of {}", wish.now) });
    }
    Ok(time.max(OLDEST_OBJECT))
}

fn effect(from: Option<&Position>, to: &Position) -> Effect {
    let apart = |low: i64, high: i64| u64::try_from(high.saturating_sub(low)).ok();
    match (from, to) {
        (Some(Position::Log(from)), Position::Log(to)) => match to.from_time() {
            Some(_) => Effect::Again { messages: apart(to.sequence, from.sequence), at_most: true },
            None if from.from_time().is_none() && to.sequence == from.sequence => Effect::Nothing,
            None if to.sequence > from.sequence => Effect::Skips { messages: apart(from.sequence, to.sequence) },
            None => Effect::Again { messages: apart(to.sequence, from.sequence), at_most: false },
        },
        (Some(Position::Objects(from)), Position::Objects(to)) => match to.from.cmp(&from.from) {
            std::cmp::Ordering::Equal => Effect::Nothing,
            std::cmp::Ordering::Less => Effect::Again { messages: None, at_most: false },
            std::cmp::Ordering::Greater => Effect::Skips { messages: None },
        },
        (Some(Position::Log(_)), Position::Objects(_)) | (Some(Position::Objects(_)), Position::Log(_)) | (None, _) => {
            Effect::Begins
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_millis(2_000_000_000_000);

    fn exact(sequence: i64) -> LogPosition {
        LogPosition { offset: format!("o{sequence}"), sequence, enqueued: second(sequence) }
    }
    /// Message `n` came in second `n` before now.
    fn second(n: i64) -> Timestamp {
        Timestamp::from_millis(NOW.millis() - 1_000_000 + n * 1_000)
    }
    /// Messages 100 to 900 are there.
    fn log() -> Extent {
        Extent::Log(LogExtent { oldest: 100, newest: exact(900), same_generation: true })
    }
    fn planned(from: i64, target: Target, direction: Direction) -> Result<Planned, CantMove> {
        plan(Some(&Position::Log(exact(from))), &log(), Wish { target, direction, now: NOW })
    }
    fn to(sequence: i64) -> Position {
        Position::Log(LogPosition::after_number(sequence, Timestamp::ZERO))
    }

    #[test]
    fn going_back_says_how_much_comes_again() {
        let again = |messages, at_most| Effect::Again { messages: Some(messages), at_most };
        let back = planned(500, Target::Sequence(301), Direction::WithoutSkips).unwrap();
        assert_eq!(back, Planned { to: to(300), effect: again(200, false) });
        let all = planned(500, Target::Earliest, Direction::OnlyBack).unwrap();
        assert_eq!(all, Planned { to: to(99), effect: again(401, false) });
        let timed = planned(500, Target::Back(Duration::from_secs(700)), Direction::OnlyBack).unwrap();
        let at = Position::Log(LogPosition::before_time(second(300), 99));
        assert_eq!(timed, Planned { to: at, effect: again(401, true) });
    }

    #[test]
    fn s1_what_would_be_skipped_is_skipped_only_if_it_is_said() {
        let skips = CantMove::Skips { messages: Some(400) };
        assert_eq!(planned(500, Target::Latest, Direction::WithoutSkips), Err(skips));
        assert_eq!(planned(500, Target::Latest, Direction::OnlyBack), Err(CantMove::NotBack));
        let latest = planned(500, Target::Latest, Direction::Any).unwrap();
        assert_eq!(latest, Planned { to: Position::Log(exact(900)), effect: Effect::Skips { messages: Some(400) } });
        assert_eq!(planned(900, Target::Latest, Direction::WithoutSkips).unwrap().effect, Effect::Nothing);
        let back = Target::Back(Duration::from_secs(10));
        assert_eq!(planned(500, back, Direction::OnlyBack), Err(CantMove::NotBack), "it lags more than that");
        assert!(matches!(planned(500, back, Direction::Any), Err(CantMove::TimeAhead { .. })));
    }

    #[test]
    fn what_is_not_there_is_refused() {
        let refused = |target| planned(500, target, Direction::Any).unwrap_err();
        assert!(matches!(refused(Target::Sequence(902)), CantMove::Future { .. }));
        assert!(planned(500, Target::Sequence(901), Direction::Any).is_ok(), "the next that will be written");
        assert_eq!(refused(Target::Sequence(99)), CantMove::Expired { sequence: 99, oldest: 100 });
        assert!(matches!(refused(Target::Time(NOW.plus(Duration::from_secs(1)))), CantMove::Future { .. }));
        let behind = planned(5, Target::Time(second(1)), Direction::Any);
        assert_eq!(behind, Err(CantMove::Behind), "what it lost is not recorded yet");
        let Extent::Log(anew) = log() else { panic!() };
        let anew = Extent::Log(LogExtent { same_generation: false, ..anew });
        let wish = Wish { target: Target::Earliest, direction: Direction::Any, now: NOW };
        assert_eq!(plan(None, &anew, wish), Err(CantMove::Recreated));
    }

    #[test]
    fn a_collection_goes_by_time() {
        let at = |seconds| Position::Objects(ObjectsPosition { from: second(seconds) });
        let planned =
            |target, direction| plan(Some(&at(500)), &Extent::Collection, Wish { target, direction, now: NOW });
        let back = planned(Target::Time(second(300)), Direction::OnlyBack).unwrap();
        assert_eq!(back, Planned { to: at(300), effect: Effect::Again { messages: None, at_most: false } });
        assert_eq!(planned(Target::Sequence(3), Direction::Any), Err(CantMove::NotNumbered));
        assert_eq!(planned(Target::Latest, Direction::WithoutSkips), Err(CantMove::Skips { messages: None }));
        assert!(planned(Target::Latest, Direction::Any).is_ok());
    }
}

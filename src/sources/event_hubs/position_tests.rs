//! What must hold of any reading of a partition, whatever happens to the partition and to the reader.

use proptest::prelude::*;

use super::*;

fn partition(created: i64, begin: i64, last: i64) -> Partition {
    Partition {
        created: Timestamp::from_millis(created),
        begin,
        last,
        last_offset: format!("o{last}"),
        last_enqueued: Timestamp::from_millis(last),
        empty: begin > last,
    }
}
fn covered(generation: u64, sequence: i64) -> Covered {
    let position = LogPosition { offset: format!("o{sequence}"), sequence, enqueued: Timestamp::from_millis(sequence) };
    Covered { generation: Generation(generation), position }
}
fn offset(text: &str) -> After {
    After::Offset(text.to_owned())
}
fn gap_of(plan: &Plan) -> (GapReason, Option<u64>) {
    let (gap, _) = plan.gap.as_ref().unwrap();
    (gap.reason, gap.lost)
}

/// In a cluster that knows no more than what is covered.
fn plan(partition: &Partition, covered: Option<&Covered>, from_latest: bool) -> Plan {
    super::plan(partition, covered, covered.map(|it| it.generation).unwrap_or_default(), from_latest)
}

#[test]
fn a_cursor_set_by_number_or_by_time_is_followed_and_what_expired_meanwhile_is_a_gap_only_by_number() {
    let of = |position| Covered { generation: Generation(1000), position };
    let attached = |begin, position| plan(&partition(1000, begin, 9), Some(&of(position)), false);
    let by_number = || LogPosition::after_number(4, Timestamp::ZERO);
    let by_time = || LogPosition::before_time(Timestamp::from_millis(7), 4);
    assert_eq!(attached(5, by_number()).after, After::Sequence(4));
    assert_eq!(gap_of(&attached(8, by_number())), (GapReason::Expired, Some(3)));
    let mut timed = attached(8, by_time());
    assert_eq!((&timed.after, timed.gap.is_none()), (&After::Time(Timestamp::from_millis(7)), true));
    assert!(timed.after.selector().ends_with("x-opt-enqueued-time > '6'"), "what came at that very time is read");
    assert_eq!(timed.track.arrive(8), Arrival::Follows, "which number comes first, only the service knows");
    assert!(matches!(timed.track.arrive(11), Arrival::Jumps(_)));
    let gone = of(LogPosition::before_time(Timestamp::from_millis(7), 12));
    assert_eq!(gap_of(&plan(&partition(1000, 5, 9), Some(&gone), false)).0, GapReason::TailLost);
}

#[test]
fn a_feed_without_a_cursor_stays_in_the_generation_that_is_open() {
    let attached = |open| super::plan(&partition(1000, 5, 9), None, Generation(open), false);
    for (open, expected) in [(1001, 1001), (1000 + TAILS_MAX - 1, 1999), (0, 1000), (999, 1000), (2000, 1000)] {
        assert_eq!(attached(open).track.generation, Generation(expected), "{open}");
    }
    // A number that a lost tail used before means another message now, and only the generation tells the ids apart.
    let latest = super::plan(&partition(1000, 5, 9), None, Generation(1001), true);
    assert_eq!(latest.stands.unwrap().generation, Generation(1001));
}

#[test]
fn a_feed_never_read_starts_at_the_oldest_message_unless_told_otherwise() {
    let fresh = plan(&partition(1000, 5, 9), None, false);
    assert_eq!((fresh.after, fresh.gap.is_none()), (After::all(), true));
    assert_eq!(fresh.stands, None);
    let latest = plan(&partition(1000, 5, 9), None, true);
    assert_eq!(latest.after, offset("o9"));
    // Once it is committed, the next owner goes on from there, and not from what is latest by then.
    assert_eq!(plan(&partition(1000, 5, 30), latest.stands.as_ref(), true).after, offset("o9"));
    assert_eq!(plan(&partition(1000, 0, -1), None, true).after, After::all());
}

#[test]
fn a_reader_that_begins_at_a_moment_says_at_once_where_nothing_was_taken_in_since() {
    let begins = |partition: Partition, millis| {
        let plan = since(&partition, Generation(1001), Timestamp::from_millis(millis));
        let from = match plan.after {
            After::Time(from) => Some(from.millis()),
            After::Offset(_) | After::Sequence(_) => None,
        };
        (from, plan.stands.map(|stands| (stands.generation.0, stands.position.sequence)))
    };
    assert_eq!(begins(partition(1000, 5, 9), 7), (Some(7), None));
    assert_eq!(begins(partition(1000, 5, 9), 9), (Some(9), None));
    assert_eq!(begins(partition(1000, 5, 9), 10), (None, Some((1001, 9))));
    assert_eq!(begins(partition(1000, 10, 9), 3), (None, Some((1001, 9))), "all of it expired");
    assert_eq!(begins(partition(1000, 0, -1), 0), (None, Some((1001, -1))), "nothing was ever written");
}

#[test]
fn a_partition_with_nothing_new_says_where_reading_stands() {
    let stands = |partition, seen: Option<i64>| {
        let covered = seen.map(|seen| covered(1000, seen));
        plan(&partition, covered.as_ref(), false).stands.map(|stands| (stands.generation.0, stands.position.sequence))
    };
    assert_eq!(stands(partition(1000, 0, 9), Some(9)), Some((1000, 9)));
    assert_eq!(stands(partition(1000, 0, -1), None), Some((1000, -1)), "nothing was ever written");
    assert_eq!(stands(partition(1000, 10, 9), None), Some((1000, 9)), "all of it expired");
    let again = plan(&partition(1000, 10, 9), None, false).stands.unwrap();
    assert_eq!(plan(&partition(1000, 10, 12), Some(&again), false).gap, None, "and what comes next follows on");
}

#[test]
fn a_cursor_inside_the_partition_is_continued_by_its_offset() {
    for (begin, last, seen) in [(0, 9, 4), (5, 9, 4), (0, 9, 9), (10, 9, 9), (0, -1, -1)] {
        let plan = plan(&partition(1000, begin, last), Some(&covered(1000, seen)), true);
        assert_eq!(plan.after, offset(&format!("o{seen}")), "{begin} {last} {seen}");
        assert_eq!(plan.gap, None);
        assert_eq!(plan.track.generation, Generation(1000));
    }
}

#[test]
fn what_retention_took_is_counted_exactly() {
    let plan_begun = plan(&partition(1000, 10, 20), Some(&covered(1000, 4)), false);
    assert_eq!(gap_of(&plan_begun), (GapReason::Expired, Some(5)));
    assert_eq!(plan_begun.after, After::all());
    assert_eq!(plan_begun.gap.unwrap().1.position.sequence, 9);

    let all_gone = plan(&partition(1000, 21, 20), Some(&covered(1000, 4)), false);
    assert_eq!(gap_of(&all_gone), (GapReason::Expired, Some(16)));
    assert_eq!(all_gone.gap.unwrap().1.position.sequence, 20);
}

#[test]
fn a_recreated_hub_is_read_from_its_oldest_message() {
    for created in [5000, 999] {
        let plan = plan(&partition(created, 0, 50), Some(&covered(1000 + TAILS_MAX * 2, 30)), true);
        assert_eq!(gap_of(&plan), (GapReason::Recreated, None));
        assert_eq!(plan.after, After::all());
        assert_eq!(plan.track.generation, Generation(u64::try_from(created).unwrap()));
    }
    let a_moment_later = plan(&partition(1001, 0, 50), Some(&covered(1000, 30)), false);
    assert_eq!(gap_of(&a_moment_later), (GapReason::Recreated, None));
}

#[test]
fn a_cursor_past_the_end_means_a_lost_tail_and_the_next_generation() {
    let lost = plan(&partition(1000, 3, 20), Some(&covered(1000, 25)), true);
    assert_eq!(gap_of(&lost), (GapReason::TailLost, None));
    assert_eq!((lost.after, lost.track.generation), (After::all(), Generation(1001)));
    // The generation it opened is recognised afterwards, by whoever attaches next.
    let next = plan(&partition(1000, 3, 40), Some(&covered(1001, 22)), false);
    assert_eq!((next.gap, next.track.generation), (None, Generation(1001)));
}

#[test]
fn numbers_that_jump_or_turn_back_are_told_apart() {
    let mut track = plan(&partition(1000, 0, 9), Some(&covered(1000, 4)), false).track;
    assert_eq!(track.arrive(5), Arrival::Follows);
    assert!(matches!(track.arrive(9), Arrival::Jumps(Gap { reason: GapReason::Skipped, lost: Some(3), .. })));
    assert!(matches!(track.arrive(9), Arrival::TurnsBack(_)));
    assert_eq!(track.generation, Generation(1001));
    assert_eq!(track.arrive(10), Arrival::Follows);

    let mut raced = plan(&partition(1000, 0, 9), Some(&covered(1000, 4)), false).track;
    assert!(matches!(raced.arrive(7), Arrival::Jumps(Gap { reason: GapReason::Expired, lost: Some(2), .. })));
}

/// A partition as the service keeps it. Offsets are no numbers and start anew with each incarnation, and the content
/// of each message is unique for ever.
#[derive(Debug, Default)]
struct Model {
    created: i64,
    next: i64,
    kept: Vec<(i64, u64)>,
    written: u64,
    /// Contents that nobody can read any more, and those written under numbers of a lost tail: if the tail grows past
    /// our cursor again before anybody looks, numbers can't tell the new messages from the ones we have.
    gone: Vec<u64>,
    tail_stood_at: i64,
}

impl Model {
    fn state(&self) -> Partition {
        let begin = self.kept.first().map_or(self.next, |(sequence, _)| *sequence);
        let last_offset = if self.next == 0 { BEFORE_ALL.to_owned() } else { Self::offset(self.next - 1) };
        let (last, last_enqueued) = (self.next - 1, Timestamp::from_millis(self.next));
        let created = Timestamp::from_millis(self.created);
        Partition { created, begin, last, last_offset, last_enqueued, empty: self.kept.is_empty() }
    }
    fn offset(sequence: i64) -> String {
        format!("{}", 100 + sequence * 7)
    }
    fn after(&self, after: &After) -> Vec<(i64, u64)> {
        let After::Offset(offset) = after else { panic!("nobody moved a cursor: {after:?}") };
        let from: i64 = offset.parse().unwrap();
        self.kept.iter().filter(|(sequence, _)| 100 + sequence * 7 > from).copied().collect()
    }
    fn change(&mut self, change: &Change) {
        match change {
            Change::Write(count) => {
                for _ in 0..*count {
                    self.kept.push((self.next, self.written));
                    if self.next < self.tail_stood_at {
                        self.gone.push(self.written);
                    }
                    self.next += 1;
                    self.written += 1;
                }
            }
            Change::Expire(count) => {
                let count = usize::from(*count).min(self.kept.len());
                self.gone.extend(self.kept.drain(..count).map(|(_, content)| content));
            }
            Change::LoseTail(count) => {
                self.tail_stood_at = self.tail_stood_at.max(self.next);
                let kept = self.kept.len().saturating_sub(usize::from(*count));
                let lost = self.kept.split_off(kept);
                self.next -= i64::try_from(lost.len()).unwrap();
                self.gone.extend(lost.into_iter().map(|(_, content)| content));
            }
            Change::Recreate => {
                self.gone.extend(self.kept.drain(..).map(|(_, content)| content));
                self.created += i64::try_from(TAILS_MAX).unwrap() * 2;
                (self.next, self.tail_stood_at) = (0, 0);
            }
        }
    }
}

#[derive(Debug, Clone)]
enum Change {
    Write(u8),
    Expire(u8),
    LoseTail(u8),
    Recreate,
}

fn change() -> impl Strategy<Value = Change> {
    prop_oneof![
        6 => (1u8..12).prop_map(Change::Write),
        3 => (1u8..12).prop_map(Change::Expire),
        1 => (1u8..5).prop_map(Change::LoseTail),
        1 => Just(Change::Recreate),
    ]
}

/// One owner's time: it attaches, reads up to `reads` messages and commits all but the last `uncommitted` of them.
#[derive(Debug, Clone)]
struct Owner {
    changes: Vec<Change>,
    raced: Vec<Change>,
    reads: u8,
    uncommitted: u8,
}

fn owner() -> impl Strategy<Value = Owner> {
    let raced = proptest::collection::vec((1u8..4).prop_map(Change::Expire), 0..2);
    (proptest::collection::vec(change(), 0..4), raced, 0u8..20, 0u8..6)
        .prop_map(|(changes, raced, reads, uncommitted)| Owner { changes, raced, reads, uncommitted })
}

#[derive(Debug, Default)]
struct Outcome {
    committed: Option<Covered>,
    delivered: Vec<u64>,
    counted: u64,
    unknown: bool,
}

impl Outcome {
    fn take(&mut self, gap: &Gap) {
        match gap.lost {
            Some(lost) => self.counted += lost,
            None => self.unknown = true,
        }
    }

    fn run(&mut self, owner: &Owner, model: &mut Model) {
        owner.changes.iter().for_each(|change| model.change(change));
        let plan = plan(&model.state(), self.committed.as_ref(), false);
        owner.raced.iter().for_each(|change| model.change(change));
        let mut commits = Vec::new();
        if let Some((gap, covered)) = &plan.gap {
            commits.push((None, Some(gap.clone()), covered.clone()));
        }
        let mut track = plan.track;
        for (sequence, content) in model.after(&plan.after).into_iter().take(usize::from(owner.reads)) {
            let gap = match track.arrive(sequence) {
                Arrival::Follows => None,
                Arrival::Jumps(gap) | Arrival::TurnsBack(gap) => Some(gap),
            };
            let position = LogPosition { offset: Model::offset(sequence), sequence, enqueued: Timestamp::ZERO };
            commits.push((Some(content), gap, Covered { generation: track.generation, position }));
        }
        // What isn't committed is as if it had never been read: the next owner answers for it.
        commits.truncate(commits.len().saturating_sub(usize::from(owner.uncommitted)));
        for (content, gap, covered) in commits {
            self.delivered.extend(content);
            gap.iter().for_each(|gap| self.take(gap));
            self.committed = Some(covered);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_message_ever_written_is_delivered_or_lies_in_a_gap(owners in proptest::collection::vec(owner(), 1..8)) {
        let mut model = Model { created: 1_000_000, ..Model::default() };
        let mut outcome = Outcome::default();
        for owner in &owners {
            outcome.run(owner, &mut model);
        }
        let to_the_end = Owner { changes: vec![Change::Write(1)], raced: vec![], reads: u8::MAX, uncommitted: 0 };
        outcome.run(&to_the_end, &mut model);

        let mut delivered = outcome.delivered.clone();
        delivered.sort_unstable();
        delivered.dedup();
        let missing: Vec<u64> = (0..model.written).filter(|content| delivered.binary_search(content).is_err()).collect();
        prop_assert!(missing.iter().all(|content| model.gone.contains(content)), "{missing:?} could still be read");

        let steady = owners.iter().flat_map(|owner| &owner.changes)
            .all(|change| matches!(change, Change::Write(_) | Change::Expire(_)));
        if steady {
            // Before its first commit a feed starts at whatever is oldest, and owes nothing for what was before.
            let first = delivered.first().copied().unwrap_or(0);
            let owed = missing.iter().filter(|content| **content > first).count();
            let counted = outcome.counted;
            prop_assert!(!outcome.unknown, "a gap of unknown size without a cause");
            prop_assert_eq!(delivered.len(), outcome.delivered.len(), "committed twice");
            prop_assert_eq!(u64::try_from(owed).unwrap(), counted, "counts of lost messages");
        }
    }
}

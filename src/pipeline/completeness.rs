//! Whether what was read is all there was, by the source's own numbers. Pure.

use crate::event::batch::{Batch, Content, Position};

/// Counts the messages of one generation of a log against their numbers. Objects are not numbered.
#[derive(Debug, Default)]
pub struct Completeness {
    last: Option<i64>,
}

/// Messages were read and gaps told, and the numbers say that there were more or fewer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mismatch {
    /// By their numbers.
    pub expected: i64,
    /// Read, or known to be lost.
    pub found: i64,
}

impl Completeness {
    /// Counts from here on, where it is known what comes next. Of a position that an operator set by time it is not.
    pub fn after(position: Option<&Position>) -> Self {
        let last = position.and_then(|position| match position {
            Position::Log(at) => at.from_time().is_none().then_some(at.sequence),
            Position::Objects(_) => None,
        });
        Self { last }
    }

    /// Takes a batch of the generation. Answers what doesn't add up.
    pub fn take(&mut self, batch: &Batch) -> Option<Mismatch> {
        let Position::Log(after) = &batch.after else { return None };
        let before = self.last.replace(after.sequence)?;
        let found = batch.entries.iter().try_fold(0i64, |found, entry| match &entry.content {
            Content::Records { .. } | Content::Unreadable { .. } => Some(found + 1),
            // Of a gap that nobody can count, nothing can be checked.
            Content::Gap(gap) => Some(found + i64::try_from(gap.lost?).ok()?),
        })?;
        let expected = after.sequence - before;
        (found != expected).then_some(Mismatch { expected, found })
    }

    /// Another generation begins, with numbers of its own.
    pub fn begin_anew(&mut self) {
        self.last = None;
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::clock::Timestamp;
    use crate::event::batch::{Coordinates, Entry, Gap, GapReason, LogPosition, Shape};
    use crate::ids::Generation;

    fn batch(after: i64, contents: Vec<Content>) -> Batch {
        let generation = Generation(1);
        let coordinates = || Coordinates::Log { generation, partition: "0".into(), sequence: after };
        let entries = contents
            .into_iter()
            .map(|content| Entry { content, coordinates: coordinates(), published: None })
            .collect();
        let after = Position::Log(LogPosition { offset: String::new(), sequence: after, enqueued: Timestamp::ZERO });
        Batch { generation, entries, after, seen: vec![], unread: None }
    }

    fn records(count: usize) -> Vec<Content> {
        vec![Content::Records { shape: Shape::Streaming, bytes: Bytes::new() }; count]
    }

    fn gap(lost: Option<u64>) -> Content {
        Content::Gap(Gap {
            reason: GapReason::Expired,
            lost,
            after_sequence: None,
            before_sequence: None,
            passed: None,
        })
    }

    #[test]
    fn s16_what_was_read_is_what_the_numbers_say_or_somebody_hears_of_it() {
        let mut completeness = Completeness::default();
        assert_eq!(completeness.take(&batch(9, records(3))), None, "nobody knows what was before");
        assert_eq!(completeness.take(&batch(12, records(3))), None);
        assert_eq!(completeness.take(&batch(12, vec![])), None, "it only says where reading stands");
        assert_eq!(completeness.take(&batch(20, [vec![gap(Some(5))], records(3)].concat())), None);
        assert_eq!(completeness.take(&batch(30, records(9))), Some(Mismatch { expected: 10, found: 9 }));
        assert_eq!(completeness.take(&batch(31, records(1))), None, "it was told once");
        assert_eq!(completeness.take(&batch(40, vec![gap(None)])), None);
        completeness.begin_anew();
        assert_eq!(completeness.take(&batch(0, records(1))), None);
        let by_time = Position::Log(LogPosition::before_time(Timestamp::from_millis(5), 3));
        assert_eq!(Completeness::after(Some(&by_time)).take(&batch(40, records(1))), None, "it is a lower bound");
        assert!(Completeness::after(Some(&batch(3, vec![]).after)).take(&batch(40, records(1))).is_some());
    }
}

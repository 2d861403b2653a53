//! Who may read one partition under one consumer group: the rules of owner levels, which the service calls epochs.

/// Most readers without an owner level that one partition and consumer group take; the service's own limit.
pub const PLAIN_READERS_MAX: usize = 5;

/// One attached receiver, unique in its namespace and never reused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ReaderId(pub u64);

#[derive(Debug, Clone, PartialEq, Eq)]
struct Reader {
    id: ReaderId,
    level: Option<i64>,
}

/// The receivers of one partition and consumer group.
///
/// Invariant: either one reader with an owner level, or up to `PLAIN_READERS_MAX` without.
#[derive(Debug, Clone, Default)]
pub struct Readers {
    attached: Vec<Reader>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AttachRefusal {
    #[error("a reader with the higher owner level {current} is attached, and this one asks for {asked}")]
    LowerLevel { asked: i64, current: i64 },
    #[error("a reader with owner level {current} is attached, so no reader without one may attach")]
    Owned { current: i64 },
    #[error("{PLAIN_READERS_MAX} readers without an owner level are attached, which is the limit")]
    TooMany,
}

impl Readers {
    /// Attaches a reader, and says which readers it displaces. An equal level displaces: the last to come wins.
    pub fn attach(&mut self, id: ReaderId, level: Option<i64>) -> Result<Vec<ReaderId>, AttachRefusal> {
        match (level, self.level()) {
            (Some(asked), Some(current)) if asked < current => Err(AttachRefusal::LowerLevel { asked, current }),
            (Some(_), _) => {
                let displaced = self.attached.drain(..).map(|reader| reader.id).collect();
                self.attached.push(Reader { id, level });
                Ok(displaced)
            }
            (None, Some(current)) => Err(AttachRefusal::Owned { current }),
            (None, None) if self.attached.len() >= PLAIN_READERS_MAX => Err(AttachRefusal::TooMany),
            (None, None) => {
                self.attached.push(Reader { id, level });
                Ok(Vec::new())
            }
        }
    }

    /// Forgets a reader; one that was displaced is gone already. An owner level is not remembered after its reader.
    pub fn detach(&mut self, id: ReaderId) {
        self.attached.retain(|reader| reader.id != id);
    }

    pub fn is_empty(&self) -> bool {
        self.attached.is_empty()
    }

    fn level(&self) -> Option<i64> {
        self.attached.iter().find_map(|reader| reader.level)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const A: ReaderId = ReaderId(1);
    const B: ReaderId = ReaderId(2);

    #[test]
    fn an_equal_or_higher_level_displaces_and_a_lower_one_is_refused() {
        let mut readers = Readers::default();
        assert_eq!(readers.attach(A, Some(7)), Ok(vec![]));
        assert_eq!(readers.attach(B, Some(6)), Err(AttachRefusal::LowerLevel { asked: 6, current: 7 }));
        assert_eq!(readers.attach(B, Some(7)), Ok(vec![A]));
        assert_eq!(readers.attach(A, Some(8)), Ok(vec![B]));
    }

    #[test]
    fn a_reader_with_a_level_keeps_out_and_displaces_those_without() {
        let mut readers = Readers::default();
        assert_eq!(readers.attach(A, None), Ok(vec![]));
        assert_eq!(readers.attach(B, Some(0)), Ok(vec![A]));
        assert_eq!(readers.attach(A, None), Err(AttachRefusal::Owned { current: 0 }));
        readers.detach(B);
        assert_eq!(readers.attach(A, None), Ok(vec![]));
    }

    #[test]
    fn the_sixth_reader_without_a_level_is_refused() {
        let mut readers = Readers::default();
        for id in 0..PLAIN_READERS_MAX {
            assert_eq!(readers.attach(ReaderId(id as u64), None), Ok(vec![]));
        }
        assert_eq!(readers.attach(ReaderId(99), None), Err(AttachRefusal::TooMany));
        readers.detach(ReaderId(0));
        assert_eq!(readers.attach(ReaderId(99), None), Ok(vec![]));
    }

    proptest! {
        #[test]
        fn whatever_comes_there_is_one_owner_or_a_few_plain_readers(
            steps in proptest::collection::vec((0u64..9, proptest::option::of(0i64..4), any::<bool>()), 1..60)
        ) {
            let mut readers = Readers::default();
            let mut highest_attached: Option<i64> = None;
            for (next, (id, level, leave)) in steps.into_iter().enumerate() {
                if leave {
                    readers.detach(ReaderId(id));
                } else {
                    let fresh = ReaderId(1_000 + next as u64);
                    match readers.attach(fresh, level) {
                        Ok(_) => prop_assert!(readers.attached.iter().any(|r| r.id == fresh)),
                        Err(AttachRefusal::LowerLevel { asked, current }) => {
                            prop_assert!(asked < current && highest_attached == Some(current));
                        }
                        Err(_) => prop_assert!(level.is_none()),
                    }
                }
                highest_attached = readers.level();
                let owners = readers.attached.iter().filter(|r| r.level.is_some()).count();
                prop_assert!(owners == 0 || readers.attached.len() == 1);
                prop_assert!(readers.attached.len() <= PLAIN_READERS_MAX);
            }
        }
    }
}

//! Sinks that have a place in a feed and are not served with it for now: nobody reads the subscription, the resource can't
//! be read, or its routes leave the source out. What the others get meanwhile must not pass for theirs. Pure.

use std::collections::BTreeSet;

use ring::digest::{Context, SHA256};

use crate::event::batch::{Position, Seen};
use crate::ids::SinkId;

#[derive(Debug, Clone, Default)]
pub struct Aside {
    /// Those that are to have what comes meanwhile, with where they stand; nothing where they have no place yet.
    pub owed: Vec<(SinkId, Option<Position>)>,
    /// Distinguishes versions that these sinks have not; zero while nobody is aside.
    mark: [u8; 16],
}

impl Aside {
    /// `absent` are all that have a cursor of the feed and are not served, in order.
    pub fn new<'s>(owed: Vec<(SinkId, Option<Position>)>, absent: impl IntoIterator<Item = &'s SinkId>) -> Self {
        Self { owed, mark: mark(absent) }
    }

    /// A version as it is remembered while these sinks are aside: whoever serves one of them doesn't know it, and reads it
    /// again. Marked twice, it is as it was.
    pub fn marked(&self, seen: Seen) -> Seen {
        let mut digest = seen.digest;
        digest.iter_mut().zip(self.mark).for_each(|(byte, mark)| *byte ^= mark);
        Seen { digest, ..seen }
    }

    /// The versions that all have who take part: those that everybody had, and those of the time in which just these sinks
    /// were aside.
    pub fn known(&self, seen: &BTreeSet<Seen>) -> Vec<Seen> {
        let theirs = seen.iter().copied();
        if self.mark == [0; 16] {
            return theirs.collect();
        }
        theirs.clone().chain(theirs.map(|seen| self.marked(seen))).collect()
    }
}

fn mark<'s>(absent: impl IntoIterator<Item = &'s SinkId>) -> [u8; 16] {
    let (mut context, mut anybody) = (Context::new(&SHA256), false);
    for name in absent {
        anybody = true;
        context.update(name.as_str().as_bytes());
        // No name holds this byte, so that no two lists of names are one.
        context.update(&[0]);
    }
    let mut mark = [0; 16];
    if anybody {
        mark.copy_from_slice(&context.finish().as_ref()[..16]);
    }
    mark
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Timestamp;

    fn aside(names: &[&str]) -> Aside {
        let names: Vec<SinkId> = names.iter().map(|name| name.parse().unwrap()).collect();
        Aside::new(vec![], &names)
    }

    #[test]
    fn s1_what_others_got_while_a_sink_was_aside_is_not_known_once_it_is_back() {
        let version = |n: u8| Seen { updated: Timestamp::ZERO, digest: [n; 16] };
        let (nobody, soc) = (aside(&[]), aside(&["soc"]));
        // Everybody had the first; `soc` was aside when the second came.
        let committed = BTreeSet::from([nobody.marked(version(1)), soc.marked(version(2))]);
        let known = |who: &Aside, n| who.known(&committed).contains(&version(n));
        assert!(known(&nobody, 1) && !known(&nobody, 2), "back, it gets what it lacks");
        assert!(known(&soc, 1) && known(&soc, 2), "while it is away, the others get nothing twice");
        let both = aside(&["soc", "siem"]);
        assert!(known(&both, 1) && !known(&both, 2), "who else went with it, nobody knows");
    }

    #[test]
    fn marks_tell_every_set_of_sinks_from_every_other() {
        assert_eq!(aside(&[]).mark, [0; 16]);
        let marks = [aside(&["a"]), aside(&["b"]), aside(&["a", "b"]), aside(&["ab"])].map(|aside| aside.mark);
        assert_eq!(BTreeSet::from(marks).len(), marks.len());
    }
}

//! Which texts were written already, for lists that hold each only once.

use std::collections::HashSet;
use std::hash::{BuildHasher, RandomState};

/// Texts by their hashes, whose memory is used again. The hash has a key, so that nobody can aim at two texts that share
/// one: 64 bits then stand for a text.
#[derive(Default)]
pub(super) struct Seen {
    key: RandomState,
    hashes: HashSet<u64>,
}

impl Seen {
    /// Forgets all, for the next list.
    pub(super) fn clear(&mut self) {
        self.hashes.clear();
    }

    /// Whether it is seen for the first time.
    pub(super) fn is_new(&mut self, text: &str) -> bool {
        self.hashes.insert(self.key.hash_one(text))
    }
}

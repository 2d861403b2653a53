//! A quick answer to "was this name there before?", for columns that each want a key of their own: nearly always "no",
//! from a bit alone. A "perhaps" must be looked up.

/// A bit for a hash of each name.
#[derive(Default)]
pub(super) struct Marks([u64; 16]);

impl Marks {
    /// Marks a name. `true` says that it is new for certain.
    pub(super) fn set(&mut self, name: &str) -> bool {
        let (word, bit) = Self::place(name);
        let is_new = self.0[word] & bit == 0;
        self.0[word] |= bit;
        is_new
    }

    /// Made of the length and the ends, which tell most columns of a table apart.
    fn place(name: &str) -> (usize, u64) {
        let mut ends = [0; 8];
        let head = name.len().min(4);
        ends[..head].copy_from_slice(&name.as_bytes()[..head]);
        ends[4..4 + head].copy_from_slice(&name.as_bytes()[name.len() - head..]);
        let mixed = (u64::from_le_bytes(ends) ^ name.len() as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 54;
        ((mixed >> 6) as usize, 1 << (mixed & 63))
    }
}

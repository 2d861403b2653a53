//! Which fields of an event a line shows already, so that a format can show the others elsewhere and lose none.

use crate::event::Field;

const WORDS: usize = Field::COUNT.div_ceil(64);

/// A set of fields.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(in crate::encode) struct Shown([u64; WORDS]);

impl Shown {
    pub(in crate::encode) fn of(fields: impl IntoIterator<Item = Field>) -> Self {
        let mut shown = Self::default();
        fields.into_iter().for_each(|field| shown.add(field));
        shown
    }
    #[inline]
    pub(in crate::encode) const fn add(&mut self, field: Field) {
        self.0[field as usize / 64] |= 1 << (field as usize % 64);
    }
    pub(in crate::encode) const fn remove(&mut self, field: Field) {
        self.0[field as usize / 64] &= !(1 << (field as usize % 64));
    }
    #[inline]
    pub(in crate::encode) const fn has(&self, field: Field) -> bool {
        self.0[field as usize / 64] & (1 << (field as usize % 64)) != 0
    }
}

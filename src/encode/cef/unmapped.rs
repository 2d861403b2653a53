//! Columns without a mapping, under keys of our own: the vendor, the product and the column's name in one word.

use super::line::Line;
use crate::event::{Member, Raw};

/// Longest column name that goes into a key; the rest of a longer one says nothing more.
const NAME_BYTES_MAX: usize = 64;
/// As much of a value as a custom string holds.
const CHARACTERS_MAX: usize = 4000;
const PREFIX: &str = "MicrosoftDefender";
const MARKS: usize = 64;

/// Makes keys of column names, each at most once in a line.
pub(super) struct Names {
    key: String,
    /// Every key of this line, one after the other, with a blank before and after each.
    used: String,
    /// One bit for a hash of each key, so that the list above is searched only when it has to be.
    marks: [u64; MARKS],
}

impl Default for Names {
    fn default() -> Self {
        Self { key: String::new(), used: String::new(), marks: [0; MARKS] }
    }
}

impl Names {
    pub(super) fn write(&mut self, members: &[Member<'_>], letters: &mut String, line: &mut Line<'_>) {
        self.used.clear();
        self.marks = [0; MARKS];
        for key in super::keys::OWN {
            self.claim(key.name());
        }
        for (place, member) in members.iter().enumerate() {
            self.make_key(&member.key.to_cow(), place);
            let value = match member.value {
                Raw::Null => "null",
                Raw::Bool(true) => "true",
                Raw::Bool(false) => "false",
                Raw::Number(text) | Raw::Array(text) | Raw::Object(text) => text,
                Raw::String(text) => text.read(letters),
            };
            line.additional(&self.key, CHARACTERS_MAX, value);
        }
    }

    /// A key that this line hasn't got yet. Names that are the same once they are keys are told apart by their place,
    /// which needs one attempt however many there are.
    fn make_key(&mut self, name: &str, place: usize) {
        let mut key = std::mem::take(&mut self.key);
        key.clear();
        key.push_str(PREFIX);
        key.extend(name.chars().filter(char::is_ascii_alphanumeric).take(NAME_BYTES_MAX));
        let length = key.len();
        let mut number = place + 1;
        while !self.claim(&key) {
            key.truncate(length);
            key.push_str(&number.to_string());
            number += 1;
        }
        self.key = key;
    }

    /// Whether this key hasn't been used in this line before.
    fn claim(&mut self, key: &str) -> bool {
        let hash = key
            .bytes()
            .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3));
        let bit = (hash >> 40) as usize % (MARKS * 64);
        let is_marked = self.marks[bit / 64] >> (bit % 64) & 1 == 1;
        if is_marked && self.used.split(' ').any(|used| used == key) {
            return false;
        }
        self.marks[bit / 64] |= 1 << (bit % 64);
        self.used.push_str(key);
        self.used.push(' ');
        true
    }
}

//! Numbers with a unit, as people write them in configuration: `30s`, `64MiB`. And waits that grow with failures.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadUnit {
    #[error("`{given}` is not a duration: write a number and `ms`, `s`, `m`, `h` or `d`, such as `30s`")]
    Duration { given: String },
    #[error("`{given}` is not a size: write a number and `B`, `KiB`, `MiB` or `GiB`, such as `64MiB`")]
    Size { given: String },
}

/// A span of time, written `250ms`, `30s`, `10m`, `6h` or `2d`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Span(Duration);

const SPAN_UNITS: &[(&str, u64)] = &[("ms", 1), ("s", 1_000), ("m", 60_000), ("h", 3_600_000), ("d", 86_400_000)];

impl Span {
    pub const fn from_secs(seconds: u64) -> Self {
        Self(Duration::from_secs(seconds))
    }
    pub const fn from_millis(millis: u64) -> Self {
        Self(Duration::from_millis(millis))
    }
    pub const fn get(self) -> Duration {
        self.0
    }
}

/// The wait after one more failure than `before`: twice as long as the one before it, from `first` up to `longest`, half of it
/// by chance. `dice` in `0.0..1.0` spreads those that fail together.
pub fn doubling(first: Duration, longest: Duration, before: u32, dice: f64) -> Duration {
    let whole = first.saturating_mul(1 << before.min(16)).min(longest);
    whole.mul_f64(0.5 + 0.5 * dice.clamp(0.0, 1.0))
}

/// The number before the unit, and the unit's factor.
fn scaled(text: &str, units: &[(&str, u64)]) -> Option<u64> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let factor = units.iter().find(|(name, _)| *name == unit.trim())?.1;
    number.parse::<u64>().ok()?.checked_mul(factor)
}

impl FromStr for Span {
    type Err = BadUnit;
    fn from_str(text: &str) -> Result<Self, BadUnit> {
        scaled(text.trim(), SPAN_UNITS)
            .map(|millis| Self(Duration::from_millis(millis)))
            .ok_or_else(|| BadUnit::Duration { given: text.to_owned() })
    }
}
impl TryFrom<String> for Span {
    type Error = BadUnit;
    fn try_from(text: String) -> Result<Self, BadUnit> {
        text.parse()
    }
}
impl From<Span> for String {
    fn from(span: Span) -> Self {
        span.to_string()
    }
}
impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let millis = u64::try_from(self.0.as_millis()).unwrap_or(u64::MAX);
        let (unit, factor) =
            SPAN_UNITS.iter().rev().find(|(_, factor)| millis.is_multiple_of(*factor)).unwrap_or(&("ms", 1));
        write!(f, "{}{unit}", millis / factor)
    }
}
impl fmt::Debug for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

/// A number of bytes, written `8192B`, `256KiB`, `64MiB` or `1GiB`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ByteSize(u64);

const SIZE_UNITS: &[(&str, u64)] = &[("B", 1), ("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30)];

impl ByteSize {
    pub const fn new(bytes: u64) -> Self {
        Self(bytes)
    }
    pub const fn get(self) -> u64 {
        self.0
    }
}

impl FromStr for ByteSize {
    type Err = BadUnit;
    fn from_str(text: &str) -> Result<Self, BadUnit> {
        scaled(text.trim(), SIZE_UNITS).map(Self).ok_or_else(|| BadUnit::Size { given: text.to_owned() })
    }
}
impl TryFrom<String> for ByteSize {
    type Error = BadUnit;
    fn try_from(text: String) -> Result<Self, BadUnit> {
        text.parse()
    }
}
impl From<ByteSize> for String {
    fn from(size: ByteSize) -> Self {
        size.to_string()
    }
}
impl fmt::Display for ByteSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (unit, factor) =
            SIZE_UNITS.iter().rev().find(|(_, factor)| self.0.is_multiple_of(*factor)).unwrap_or(&("B", 1));
        write!(f, "{}{unit}", self.0 / factor)
    }
}
impl fmt::Debug for ByteSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_the_longest_and_half_of_each_is_chance() {
        let (first, longest) = (Duration::from_secs(1), Duration::from_secs(60));
        let waits: Vec<u64> = (0..8).map(|before| doubling(first, longest, before, 1.0).as_secs()).collect();
        assert_eq!(waits, [1, 2, 4, 8, 16, 32, 60, 60]);
        assert_eq!(doubling(first, longest, u32::MAX, 0.0), longest / 2);
        assert_eq!(doubling(first, longest, 0, 7.0), first, "no dice make it longer");
    }

    #[test]
    fn spans_and_sizes_read_back_from_what_they_print() {
        for text in ["250ms", "30s", "10m", "6h", "2d"] {
            assert_eq!(text.parse::<Span>().unwrap().to_string(), text);
        }
        for text in ["100B", "256KiB", "64MiB", "1GiB"] {
            assert_eq!(text.parse::<ByteSize>().unwrap().to_string(), text);
        }
        for bad in ["", "30", "s", "-1s", "1.5s", "99999999999999999999s", "30 parsecs"] {
            assert!(bad.parse::<Span>().is_err(), "{bad}");
        }
    }
}

//! Seeded randomness of our own, so that a seed means the same bytes in every version of every library.

/// A small, fast generator (`SplitMix64`): one word of state, a full period, and independent streams by `fork`.
#[derive(Debug, Clone)]
pub struct Random {
    state: u64,
}

const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;

fn mix(word: u64) -> u64 {
    let word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    word ^ (word >> 31)
}

impl Random {
    pub fn new(seed: u64) -> Self {
        Self { state: mix(seed ^ GOLDEN) }
    }

    /// The stream that belongs to `label` under `seed`; streams of different labels have nothing in common.
    pub fn labelled(seed: u64, label: &str) -> Self {
        let folded = label.bytes().fold(seed, |sum, byte| mix(sum.wrapping_add(GOLDEN) ^ u64::from(byte)));
        Self::new(folded)
    }

    /// The `n`th member of a family of streams: the same for whoever asks, however often.
    #[must_use]
    pub fn fork(&self, n: u64) -> Self {
        Self::new(mix(self.state).wrapping_add(mix(n.wrapping_mul(GOLDEN))))
    }

    pub fn word(&mut self) -> u64 {
        self.state = self.state.wrapping_add(GOLDEN);
        mix(self.state)
    }

    /// From zero up to, but without, `bound`; zero when `bound` is zero.
    pub fn below(&mut self, bound: u64) -> u64 {
        let product = u128::from(self.word()) * u128::from(bound);
        u64::try_from(product >> 64).unwrap_or(0)
    }

    /// From `low` up to and with `high`.
    pub fn between(&mut self, low: u64, high: u64) -> u64 {
        low + self.below(high.saturating_sub(low) + 1)
    }

    pub fn index(&mut self, length: usize) -> usize {
        usize::try_from(self.below(length as u64)).unwrap_or(0)
    }

    pub fn pick<'a, T>(&mut self, choices: &'a [T]) -> &'a T {
        &choices[self.index(choices.len())]
    }

    pub fn one_of(&mut self, texts: &[&'static str]) -> &'static str {
        texts[self.index(texts.len())]
    }

    /// True in `share` of the cases; `share` runs from 0 to 1.
    pub fn chance(&mut self, share: f64) -> bool {
        share > 0.0 && ((self.word() >> 11) as f64) < share * (1u64 << 53) as f64
    }

    /// Random lower-case hexadecimal digits.
    pub fn hex(&mut self, digits: usize) -> String {
        let mut text = String::with_capacity(digits + 16);
        while text.len() < digits {
            let mut word = self.word();
            for _ in 0..16 {
                text.push(char::from(HEX[(word & 15) as usize]));
                word >>= 4;
            }
        }
        text.truncate(digits);
        text
    }

    pub fn guid(&mut self) -> String {
        let digits = self.hex(32);
        format!("{}-{}-4{}-a{}-{}", &digits[..8], &digits[8..12], &digits[13..16], &digits[17..20], &digits[20..])
    }
}

const HEX: &[u8; 16] = b"0123456789abcdef";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_means_the_same_numbers_for_ever() {
        let mut random = Random::new(7);
        let drawn: Vec<u64> = (0..3).map(|_| random.below(1000)).collect();
        assert_eq!(
            drawn,
            [490, 458, 865],
            "frozen: change these only together with a note that all seeds change meaning"
        );
    }

    #[test]
    fn shares_and_bounds_hold() {
        let mut random = Random::new(1);
        let hits = (0..100_000).filter(|_| random.chance(0.25)).count();
        assert!((24_000..26_000).contains(&hits), "{hits}");
        assert!((0..1000).all(|_| (5..=9).contains(&random.between(5, 9))));
        assert!(!random.chance(0.0));
        assert!(random.chance(1.0));
        assert_eq!(random.below(0), 0);
    }

    #[test]
    fn streams_are_independent_and_repeatable() {
        let base = Random::labelled(1, "contoso");
        assert_eq!(base.fork(3).word(), base.fork(3).word());
        assert_ne!(base.fork(3).word(), base.fork(4).word());
        assert_ne!(Random::labelled(1, "contoso").word(), Random::labelled(1, "fabrikam").word());
        assert_eq!(Random::new(1).guid().len(), 36);
        assert_eq!(Random::new(1).hex(40).len(), 40);
    }
}

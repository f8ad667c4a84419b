//! Chance that is the same every time: a value drawn from a seed and a few keys.
//!
//! Everything the simulator invents (hosts, histories, scores) is a function of the seed and of the place it stands at,
//! never of the order in which it was asked for. That is what lets one host out of ten thousand be rendered without the others.
//! It deliberately is not a general random number generator and promises nothing about secrecy.

/// A stream of reproducible values for one place in the data set.
#[derive(Debug, Clone)]
pub struct Roll {
    state: u64,
}

/// One step of the SplitMix64 mixing function (public domain constants).
fn mix(value: u64) -> u64 {
    let mut z = value.wrapping_add(0x9E37_79B9_7F4A_7C15);
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

impl Roll {
    /// A stream for the place named by `keys` in the data set of `seed`.
    pub fn new(seed: u64, keys: &[u64]) -> Self {
        let state = keys.iter().fold(mix(seed ^ 0x51AD_u64), |state, key| mix(state ^ mix(*key)));
        Self { state }
    }

    /// The next 64 bits.
    pub fn draw(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        mix(self.state)
    }

    /// A value in `0..bound`; 0 for a bound of 0.
    pub fn below(&mut self, bound: u64) -> u64 {
        self.draw().checked_rem(bound).unwrap_or(0)
    }

    /// A value in `low..=high`.
    pub fn between(&mut self, low: i64, high: i64) -> i64 {
        let span = u64::try_from(high - low + 1).unwrap_or(1);
        low + i64::try_from(self.below(span)).unwrap_or(0)
    }

    /// True with a chance of `percent` in a hundred.
    pub fn chance(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }

    /// One of the items.
    ///
    /// # Panics
    /// Never for a non-empty slice; callers only pass constant tables.
    pub fn pick<'a, T>(&mut self, items: &'a [T]) -> &'a T {
        let index = usize::try_from(self.below(items.len() as u64)).unwrap_or(0);
        items.get(index).expect("the table of choices is not empty")
    }

    /// `length` lower-case hexadecimal digits.
    pub fn hex(&mut self, length: usize) -> String {
        let mut text = String::with_capacity(length + 16);
        while text.len() < length {
            text.push_str(&format!("{:016x}", self.draw()));
        }
        text.truncate(length);
        text
    }

    /// A version 4 UUID in the usual form.
    pub fn uuid(&mut self) -> uuid::Uuid {
        let high = u128::from(self.draw()) << 64;
        uuid::Builder::from_random_bytes((high | u128::from(self.draw())).to_be_bytes()).into_uuid()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_place_draws_the_same_values_and_another_place_does_not() {
        let draw = |seed, key| Roll::new(seed, &[key, 2]).hex(32);
        assert_eq!(draw(1, 1), draw(1, 1));
        assert_ne!(draw(1, 1), draw(2, 1));
        assert_ne!(draw(1, 1), draw(1, 2));
    }

    #[test]
    fn between_reaches_both_ends_and_stays_inside() {
        let mut roll = Roll::new(7, &[]);
        let drawn: std::collections::BTreeSet<i64> = (0..500).map(|_| roll.between(-2, 2)).collect();
        assert_eq!(drawn.into_iter().collect::<Vec<_>>(), vec![-2, -1, 0, 1, 2]);
    }
}

//! Numbers that may be used once each and may arrive a little out of order: the highest one and which of those just below it
//! were used, as the anti-replay window of IPsec keeps them (RFC 4303, 3.4.3).
//!
//! An agent numbers its requests rising and sends them over two connections, so a later one may overtake an earlier one.
//! What is too far below the highest counts as used: it is late beyond what two connections can do, or replayed.

/// Which numbers were used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// The highest number that was used; none is below 1.
    pub highest: i64,
    /// Bit `n` is set when `highest - n` was used, from the lowest bit up.
    pub used: u64,
}

impl Window {
    /// How many numbers are told apart, the highest included.
    pub const WIDTH: i64 = 64;
    /// Nothing was used: numbers begin at 1.
    pub const NEW: Window = Window { highest: 0, used: u64::MAX };

    /// Use a number; `None` when it was used before, or lies below the window.
    #[must_use]
    pub fn take(self, number: i64) -> Option<Window> {
        let back = self.highest.saturating_sub(number);
        if back < 0 {
            return Some(Window { highest: number, used: up(self.used, back.saturating_neg()) | 1 });
        }
        let bit = up(1, back);
        (bit & !self.used != 0).then_some(Window { used: self.used | bit, ..self })
    }

    /// What two know together, each of whom saw some of the numbers: used by one is used.
    #[must_use]
    pub fn merge(self, other: Window) -> Window {
        let (high, low) = if self.highest >= other.highest { (self, other) } else { (other, self) };
        let used = high.used | up(low.used, high.highest.saturating_sub(low.highest));
        Window { highest: high.highest, used }
    }
}

/// Bits moved up, those moved out gone.
fn up(bits: u64, by: i64) -> u64 {
    u32::try_from(by).ok().and_then(|by| bits.checked_shl(by)).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    #[test]
    fn numbers_are_taken_once_within_the_window() {
        let table: &[(&[i64], i64, bool)] = &[
            (&[], 0, false),
            (&[], 1, true),
            (&[], -1, false),
            (&[], i64::MAX, true),
            (&[1], 1, false),
            (&[1], 2, true),
            (&[2], 1, true),
            (&[2, 1], 1, false),
            (&[64], 1, true),
            (&[65], 1, false),
            (&[65], 2, true),
            (&[1, 65], 2, true),
            (&[1000], 936, false),
            (&[1000], 937, true),
            (&[10, 1000], 11, false),
            (&[i64::MAX], i64::MAX, false),
            (&[i64::MAX], i64::MAX - 1, true),
            (&[i64::MAX], i64::MIN, false),
        ];
        for (used, number, expected) in table {
            let window = used.iter().fold(Window::NEW, |window, number| window.take(*number).unwrap_or(window));
            assert_eq!(window.take(*number).is_some(), *expected, "{number} after {used:?}");
        }
    }

    fn numbers() -> impl Strategy<Value = Vec<i64>> {
        // Near each other, so that they meet; now and then far ahead, so that the window moves by more than its width.
        prop::collection::vec(prop_oneof![9 => 0_i64..200, 1 => 0_i64..2_000], 0..200)
    }

    fn of(numbers: &[i64]) -> Window {
        numbers.iter().fold(Window::NEW, |window, number| window.take(*number).unwrap_or(window))
    }

    proptest! {
        /// Held to a set that forgets nothing: a number is taken when it is new and not below the window, and only then.
        #[test]
        fn never_twice_never_below_the_window_and_always_otherwise(numbers in numbers()) {
            let (mut window, mut taken) = (Window::NEW, BTreeSet::new());
            for number in numbers {
                let wanted = number > 0 && number > window.highest - Window::WIDTH && !taken.contains(&number);
                let next = window.take(number);
                prop_assert_eq!(next.is_some(), wanted, "{} after {:?}", number, taken);
                if let Some(next) = next {
                    taken.insert(number);
                    prop_assert_eq!(next.highest, window.highest.max(number));
                    window = next;
                }
            }
        }

        /// Two replicas that put together what they saw refuse what either of them took.
        #[test]
        fn merged_windows_refuse_what_either_refuses(one in numbers(), other in numbers(), number in 0_i64..2_100) {
            let (one, other) = (of(&one), of(&other));
            let both = one.merge(other);
            prop_assert_eq!(both, other.merge(one));
            prop_assert_eq!(both.merge(one), both);
            let below = number <= both.highest - Window::WIDTH;
            let refused = one.take(number).is_none() || other.take(number).is_none();
            prop_assert_eq!(both.take(number).is_none(), below || refused);
        }
    }
}

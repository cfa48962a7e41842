//! A small generator of pseudo-random numbers, whose numbers no version of a dependency can change.

/// SplitMix64 (Steele, Lea, Flood, "Fast splittable pseudorandom number generators", OOPSLA 2014).
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    /// The generator of `seed`; equal seeds give equal numbers.
    pub const fn new(seed: u64) -> Self {
        Self(seed)
    }
    /// Any 64 bits.
    pub const fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
    /// Uniform in `0..bound`; 0 for a bound of 0. The bias of the multiplication is below 2⁻³² for bounds below 2³².
    pub const fn below(&mut self, bound: u64) -> u64 {
        let wide = self.bits() as u128 * bound as u128;
        (wide >> 64) as u64
    }
    /// Uniform in `low..=high`; `low` when `high` is smaller.
    pub const fn between(&mut self, low: u64, high: u64) -> u64 {
        low + self.below(high.saturating_sub(low) + 1)
    }
    /// True in `percent` of a hundred draws.
    pub const fn chance(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }
    /// One of `items`, which must not be empty.
    pub fn pick<'a, T: ?Sized>(&mut self, items: &[&'a T]) -> &'a T {
        items[usize::try_from(self.below(items.len() as u64)).unwrap_or(0)]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_seeds_give_equal_numbers_and_bounds_hold() {
        let (mut a, mut b) = (Random::new(42), Random::new(42));
        for _ in 0..10_000 {
            let value = a.between(70, 95);
            assert_eq!(value, b.between(70, 95));
            assert!((70..=95).contains(&value));
        }
        assert_ne!(Random::new(1).bits(), Random::new(2).bits());
    }
}

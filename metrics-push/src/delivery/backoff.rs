//! `Backoff`: the pauses between attempts, as an infinite iterator.
//!
//! Exponential backoff with full jitter: each pause is random between zero and an upper bound that doubles, so that
//! many jobs that failed at the same moment do not retry at the same moment.

use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::time::Duration;

use super::policy::{INITIAL_BACKOFF, MAX_BACKOFF};

/// The pauses of one delivery.
#[derive(Clone, Debug)]
pub(crate) struct Backoff {
    upper_bound: Duration,
    state: u64,
}

impl Backoff {
    pub(crate) fn new() -> Self {
        // The seed of a hash map is the only random value that the standard library offers.
        Self::with_seed(RandomState::new().build_hasher().finish())
    }

    fn with_seed(seed: u64) -> Self {
        Self { upper_bound: INITIAL_BACKOFF, state: seed }
    }

    /// Returns a random number from 0 to 1, by `SplitMix64`: good enough to spread pauses.
    fn random(&mut self) -> f64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^= mixed >> 31;
        f64::from((mixed >> 32) as u32) / f64::from(u32::MAX)
    }
}

impl Iterator for Backoff {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        let pause = self.upper_bound.mul_f64(self.random());
        self.upper_bound = (self.upper_bound * 2).min(MAX_BACKOFF);
        Some(pause)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_stay_below_a_doubling_bound() {
        for seed in 0..1_000 {
            let mut bound = INITIAL_BACKOFF;
            for pause in Backoff::with_seed(seed).take(12) {
                assert!(pause <= bound, "{pause:?} > {bound:?}");
                bound = (bound * 2).min(MAX_BACKOFF);
            }
        }
    }

    #[test]
    fn pauses_spread_over_the_whole_range() {
        let firsts: Vec<_> =
            (0..1_000).map(|seed| Backoff::with_seed(seed).next().unwrap()).collect();
        let below_half = firsts.iter().filter(|pause| **pause < INITIAL_BACKOFF / 2).count();
        assert!((400..600).contains(&below_half), "{below_half}");
        assert!(firsts.iter().any(|pause| *pause < INITIAL_BACKOFF / 20));
        assert!(firsts.iter().any(|pause| *pause > INITIAL_BACKOFF * 19 / 20));
    }

    #[test]
    fn backoffs_of_two_deliveries_differ() {
        let pauses = || Backoff::new().take(4).collect::<Vec<_>>();
        assert_ne!(pauses(), pauses());
    }
}

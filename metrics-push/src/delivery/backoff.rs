//! Backoff: the pauses between attempts, as an endless iterator.
//!
//! Exponential with full jitter: each pause is anything from nothing up to a ceiling that doubles, so that a
//! thousand jobs that met the same dead gateway do not meet it again in the same moment.

use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::time::Duration;

/// The ceiling of the first pause: enough for a connection that a restart broke.
pub(crate) const FIRST: Duration = Duration::from_millis(200);
/// The ceiling of every later pause: a gateway that comes back within the budget is found in time.
pub(crate) const LONGEST: Duration = Duration::from_secs(2);

/// The pauses of one delivery.
#[derive(Clone, Debug)]
pub(crate) struct Backoff {
    ceiling: Duration,
    state: u64,
}

impl Backoff {
    pub(crate) fn new() -> Self {
        // The standard library's hash maps are seeded by the system: the one source of chance it has.
        Self::with_seed(RandomState::new().build_hasher().finish())
    }

    fn with_seed(seed: u64) -> Self {
        Self { ceiling: FIRST, state: seed }
    }

    /// `SplitMix64`: chance enough to spread pauses.
    fn chance(&mut self) -> f64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^= mixed >> 31;
        // The upper half of the bits, as a fraction of all it could be.
        f64::from((mixed >> 32) as u32) / f64::from(u32::MAX)
    }
}

impl Iterator for Backoff {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        let pause = self.ceiling.mul_f64(self.chance());
        self.ceiling = (self.ceiling * 2).min(LONGEST);
        Some(pause)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_stay_below_a_ceiling_that_doubles() {
        for seed in 0..1_000 {
            let mut ceiling = FIRST;
            for pause in Backoff::with_seed(seed).take(12) {
                assert!(pause <= ceiling, "{pause:?} > {ceiling:?}");
                ceiling = (ceiling * 2).min(LONGEST);
            }
        }
    }

    #[test]
    fn pauses_use_all_the_room_they_have() {
        let firsts: Vec<_> =
            (0..1_000).map(|seed| Backoff::with_seed(seed).next().unwrap()).collect();
        let below_half = firsts.iter().filter(|pause| **pause < FIRST / 2).count();
        assert!((400..600).contains(&below_half), "{below_half}");
        assert!(firsts.iter().any(|pause| *pause < FIRST / 20));
        assert!(firsts.iter().any(|pause| *pause > FIRST * 19 / 20));
    }

    #[test]
    fn two_deliveries_do_not_wait_alike() {
        let pauses = || Backoff::new().take(4).collect::<Vec<_>>();
        assert_ne!(pauses(), pauses());
    }
}

//! Sums of floats.

/// The rounded sum, and exactly what the rounding left out (Knuth's `TwoSum`).
#[inline]
pub(super) fn two_sum(left: f64, right: f64) -> (f64, f64) {
    let sum = left + right;
    let right_part = sum - left;
    let left_part = sum - right_part;
    (sum, (left - left_part) + (right - right_part))
}

/// A sum that keeps what rounding takes, so that the order of its terms doesn't show.
#[derive(Default)]
pub(super) struct Compensated {
    pub(super) sum: f64,
    rest: f64,
}

impl Compensated {
    pub(super) fn add(&mut self, amount: f64) {
        let (sum, lost) = two_sum(self.sum, amount);
        (self.sum, self.rest) = (sum, self.rest + lost);
    }

    pub(super) fn value(&self) -> f64 {
        if self.sum.is_finite() { self.sum + self.rest } else { self.sum }
    }
}

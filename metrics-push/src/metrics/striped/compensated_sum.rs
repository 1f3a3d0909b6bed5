//! `CompensatedSum`: a floating-point sum that does not accumulate rounding errors.

/// Returns the rounded sum and the exact rounding error (Knuth's `TwoSum`).
#[inline]
pub(super) fn two_sum(left: f64, right: f64) -> (f64, f64) {
    let sum = left + right;
    let right_part = sum - left;
    let left_part = sum - right_part;
    (sum, (left - left_part) + (right - right_part))
}

/// A sum that also adds up its rounding errors, so that the order of the terms does not matter.
#[derive(Default)]
pub(super) struct CompensatedSum {
    pub(super) sum: f64,
    error: f64,
}

impl CompensatedSum {
    pub(super) fn add(&mut self, amount: f64) {
        let (sum, error) = two_sum(self.sum, amount);
        (self.sum, self.error) = (sum, self.error + error);
    }

    pub(super) fn value(&self) -> f64 {
        if self.sum.is_finite() { self.sum + self.error } else { self.sum }
    }
}

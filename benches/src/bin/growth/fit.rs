//! Fits the exponent of a growth.

/// How a cost grows with the amount of work.
pub(crate) struct Growth {
    /// The cost of one unit at the largest amount, above that of no work.
    per_unit: f64,
    /// `None` if the cost of no amount, or of too few, is above the resolution.
    pub(crate) exponent: Option<f64>,
}

impl Growth {
    /// Fits the growth of costs above the first cost, which is that of no work. Only costs that exceed it by the resolution
    /// are used.
    pub(crate) fn fit(sizes: &[usize], costs: &[f64], resolution: f64) -> Self {
        let base = costs[0];
        let points: Vec<_> = sizes
            .iter()
            .zip(costs)
            .filter(|(_, cost)| **cost - base > resolution)
            .map(|(size, cost)| ((*size as f64).ln(), (cost - base).ln()))
            .collect();
        let last = sizes.len() - 1;
        let exponent = (points.len() >= 3).then(|| slope(&points));
        Self { per_unit: (costs[last] - base) / sizes[last] as f64, exponent }
    }

    pub(crate) fn per_unit(&self) -> String {
        format!("{:.2}", self.per_unit)
    }

    pub(crate) fn exponent(&self) -> String {
        self.exponent.map_or_else(|| "-".to_owned(), |exponent| format!("{exponent:.2}"))
    }
}

/// Returns the slope of the line with the least squares.
fn slope(points: &[(f64, f64)]) -> f64 {
    let count = points.len() as f64;
    let mean = |of: fn(&(f64, f64)) -> f64| points.iter().map(of).sum::<f64>() / count;
    let (x, y) = (mean(|point| point.0), mean(|point| point.1));
    let covariance: f64 = points.iter().map(|point| (point.0 - x) * (point.1 - y)).sum();
    let variance: f64 = points.iter().map(|point| (point.0 - x).powi(2)).sum();
    covariance / variance
}

#[cfg(test)]
mod tests {
    use super::*;

    fn exponent_of(cost: fn(f64) -> f64) -> f64 {
        let sizes = [0, 10, 20, 40, 80, 160];
        let costs: Vec<_> = sizes.iter().map(|size| 500.0 + cost(f64::from(*size))).collect();
        Growth::fit(&sizes.map(|size| size as usize), &costs, 1.0).exponent.unwrap()
    }

    #[test]
    fn exponent_ignores_the_cost_of_no_work() {
        assert!((exponent_of(|size| 3.0 * size) - 1.0).abs() < 1e-9);
        assert!((exponent_of(|size| size * size) - 2.0).abs() < 1e-9);
    }

    #[test]
    fn exponent_is_not_stated_for_a_flat_cost() {
        assert!(Growth::fit(&[0, 10, 20, 40], &[5.0; 4], 1.0).exponent.is_none());
    }
}

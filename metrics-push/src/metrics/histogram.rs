//! `Histogram`: a count per bucket and an exact sum, which threads increase without contention.
//!
//! The stripes store, in this order: the sum of all observed durations in nanoseconds, the sum of all other
//! observations and its rounding error, and one count per bucket. These counts are not cumulative. Their sum is the
//! number of observations.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use prometheus::proto::{self, Bucket, Metric, MetricType};

use super::family::MetricKind;
use super::striped::Stripes;

/// The default upper bounds of buckets, in seconds: from one millisecond to one hour.
///
/// Batch work takes longer than requests, for which the `prometheus` crate's defaults end at ten seconds.
pub const DEFAULT_BUCKETS: &[f64] =
    &[0.001, 0.005, 0.02, 0.1, 0.5, 1.0, 5.0, 15.0, 60.0, 300.0, 900.0, 3600.0];

const NANOS_PER_SECOND: u64 = 1_000_000_000;

const NANOS: usize = 0;
const SUM: usize = 1;
const FIRST_BUCKET: usize = 3;

/// Counts observations per bucket, and adds them up. Clones share the counts and the sum.
///
/// ```
/// # fn main() -> Result<(), metrics_push::Error> {
/// let sizes = metrics_push::histogram_with_buckets("order_bytes", "Size of an order.", &[100.0, 1000.0])?;
/// sizes.observe(250.0);
/// assert_eq!((sizes.count(), sizes.sum()), (1, 250.0));
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Histogram(Arc<HistogramState>);

struct HistogramState {
    bounds: BucketBounds,
    /// The smallest number of nanoseconds above the first bound.
    first_limit: u64,
    /// The smallest number of nanoseconds above each of the other bounds.
    other_limits: Box<[u64]>,
    /// The sums and the first buckets.
    first_stripes: Stripes,
    /// The buckets that do not fit into `first_stripes`.
    other_stripes: Box<[Stripes]>,
}

impl HistogramState {
    /// Returns the stripes and the index that store the count of a bucket.
    #[inline]
    fn location(&self, bucket: usize) -> (&Stripes, usize) {
        let index = FIRST_BUCKET + bucket;
        match index / Stripes::WIDTH {
            0 => (&self.first_stripes, index),
            other => (&self.other_stripes[other - 1], index % Stripes::WIDTH),
        }
    }
}

#[inline]
fn seconds(nanos: u64) -> f64 {
    nanos as f64 / NANOS_PER_SECOND as f64
}

/// Returns the smallest number of nanoseconds above a bound, or `u64::MAX` if no number is above it.
fn nanos_above(bound: f64) -> u64 {
    let (mut low, mut high) = (0, u64::MAX);
    while low < high {
        let middle = low + (high - low) / 2;
        if seconds(middle) <= bound {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    high
}

/// The upper bounds of buckets: at least one, all finite and increasing.
#[derive(Clone, PartialEq)]
pub struct BucketBounds(Arc<[f64]>);

impl BucketBounds {
    /// Returns the bounds if they are valid.
    pub(super) fn new(bounds: &[f64]) -> Option<Self> {
        are_valid_buckets(bounds).then(|| Self::from_valid(bounds))
    }

    /// Returns the bounds, which must have passed [`are_valid_buckets`].
    pub(crate) fn from_valid(bounds: &[f64]) -> Self {
        debug_assert!(are_valid_buckets(bounds), "{bounds:?}");
        Self(bounds.into())
    }

    /// Returns the position of the first bucket that contains `value`. NaN is in the last bucket, which has no bound.
    #[inline]
    fn bucket(&self, value: f64) -> usize {
        self.0.iter().position(|bound| value <= *bound).unwrap_or(self.0.len())
    }
}

/// Returns true if these are valid upper bounds of buckets: at least one, all finite and increasing.
pub(crate) const fn are_valid_buckets(bounds: &[f64]) -> bool {
    let mut position = 0;
    while position < bounds.len() {
        if !bounds[position].is_finite() {
            return false;
        }
        if position > 0 && bounds[position - 1] >= bounds[position] {
            return false;
        }
        position += 1;
    }
    position > 0
}

impl fmt::Debug for BucketBounds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Histogram {
    /// Adds one observation.
    #[inline]
    pub fn observe(&self, value: f64) {
        let (stripes, index) = self.0.location(self.0.bounds.bucket(value));
        stripes.add(index, 1);
        self.0.first_stripes.add_float(SUM, value);
    }

    /// Adds one observation, in seconds. The sum of all durations is exact to the nanosecond.
    #[inline]
    pub fn observe_duration(&self, duration: Duration) {
        // Saturates at 584 years.
        let seconds = duration.as_secs().saturating_mul(NANOS_PER_SECOND);
        let nanos = seconds.saturating_add(duration.subsec_nanos().into());
        self.observe_nanos(nanos);
    }

    /// Adds one observation, given in nanoseconds and recorded in seconds.
    #[inline]
    pub(crate) fn observe_nanos(&self, nanos: u64) {
        // Short calls take the fast path, because overhead affects them most.
        if nanos < self.0.first_limit {
            self.0.first_stripes.add_one_and_amount(FIRST_BUCKET, NANOS, nanos);
        } else {
            self.observe_nanos_above_first(nanos);
        }
    }

    #[inline(never)]
    fn observe_nanos_above_first(&self, nanos: u64) {
        let limits = &self.0.other_limits;
        let other = limits.iter().position(|limit| nanos < *limit).unwrap_or(limits.len());
        let (stripes, index) = self.0.location(1 + other);
        stripes.add(index, 1);
        self.0.first_stripes.add(NANOS, nanos);
    }

    /// Returns the number of observations.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.buckets().sum()
    }

    /// Returns the sum of all observations.
    ///
    /// It is exact to the last digit for any number of observations in any order, unless large values of opposite sign
    /// cancel out. The error is then slightly larger.
    #[must_use]
    pub fn sum(&self) -> f64 {
        self.0.first_stripes.total_float(SUM) + seconds(self.0.first_stripes.total(NANOS))
    }

    /// Returns the count of each bucket, not cumulative. The last bucket has no bound.
    fn buckets(&self) -> impl Iterator<Item = u64> {
        (0..=self.0.bounds.0.len()).map(|number| {
            let (stripes, index) = self.0.location(number);
            stripes.total(index)
        })
    }
}

impl MetricKind for Histogram {
    type Opts = BucketBounds;
    const TYPE_NAME: &'static str = "histogram";
    const TYPE: MetricType = MetricType::HISTOGRAM;

    fn new(bounds: &BucketBounds) -> Self {
        let others = (FIRST_BUCKET + bounds.0.len()) / Stripes::WIDTH;
        let mut limits = bounds.0.iter().map(|bound| nanos_above(*bound));
        Self(Arc::new(HistogramState {
            bounds: bounds.clone(),
            first_limit: limits.next().unwrap_or_default(),
            other_limits: limits.collect(),
            first_stripes: Stripes::default(),
            other_stripes: std::iter::repeat_with(Stripes::default).take(others).collect(),
        }))
    }

    fn sample(&self) -> Metric {
        let mut buckets = Vec::with_capacity(self.0.bounds.0.len());
        let mut count = 0;
        let bounds = self.0.bounds.0.iter().map(Some).chain([None]);
        for (bound, observed) in bounds.zip(self.buckets()) {
            count += observed;
            if let Some(bound) = bound {
                let mut bucket = Bucket::default();
                bucket.set_upper_bound(*bound);
                bucket.set_cumulative_count(count);
                buckets.push(bucket);
            }
        }
        let mut histogram = proto::Histogram::default();
        histogram.set_sample_count(count);
        histogram.set_sample_sum(self.sum());
        histogram.set_bucket(buckets);
        let mut metric = Metric::default();
        metric.set_histogram(histogram);
        metric
    }
}

impl fmt::Debug for Histogram {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Histogram").field("count", &self.count()).field("sum", &self.sum()).finish()
    }
}

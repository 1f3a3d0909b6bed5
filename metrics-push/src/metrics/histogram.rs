//! Histograms: counts per bucket and a sum that doesn't drift, without contention between threads.
//!
//! The cells hold the nanoseconds observed as durations, the sum of all other observations with what rounding
//! took from it, then a count per bucket, not cumulative. The count of observations is the sum of those.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::cells::{Cells, Seat};
use super::family::Sealed;
use super::proto::{self, Bucket, Metric, MetricType};

/// Upper bounds of the buckets where none are given, in seconds.
///
/// Batch work takes anything from a millisecond to an hour; the `prometheus` crate's own defaults end at ten
/// seconds, which suits requests.
pub const DEFAULT_BUCKETS: &[f64] =
    &[0.001, 0.005, 0.02, 0.1, 0.5, 1.0, 5.0, 15.0, 60.0, 300.0, 900.0, 3600.0];

const NANOS_PER_SECOND: u64 = 1_000_000_000;

const NANOS: usize = 0;
const SUM: usize = 1;
const FIRST_BUCKET: usize = 3;

/// Observations counted in buckets, and their sum. Clones observe together.
///
/// ```
/// # fn main() -> Result<(), metrics_push::Error> {
/// let sizes = metrics_push::histogram_with_buckets("order_bytes", "Size of orders.", &[100.0, 1000.0])?;
/// sizes.observe(250.0);
/// assert_eq!((sizes.count(), sizes.sum()), (1, 250.0));
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Histogram(Arc<Inner>);

struct Inner {
    bounds: Bounds,
    /// The least nanoseconds that are beyond the first bound, and beyond each of the others.
    first_limit: u64,
    limits: Box<[u64]>,
    sums: Cells,
    /// The buckets for which there is no room beside the sums.
    more: Box<[Cells]>,
}

impl Inner {
    /// Where a bucket is counted.
    #[inline]
    fn place(&self, bucket: usize) -> (&Cells, usize) {
        let index = FIRST_BUCKET + bucket;
        match index / Cells::COUNT {
            0 => (&self.sums, index),
            further => (&self.more[further - 1], index % Cells::COUNT),
        }
    }
}

#[inline]
fn seconds(nanos: u64) -> f64 {
    nanos as f64 / NANOS_PER_SECOND as f64
}

/// The least nanoseconds that are beyond a bound; the greatest there are, where none is.
fn nanos_beyond(bound: f64) -> u64 {
    let (mut within, mut beyond) = (0, u64::MAX);
    while within < beyond {
        let middle = within + (beyond - within) / 2;
        if seconds(middle) <= bound {
            within = middle + 1;
        } else {
            beyond = middle;
        }
    }
    beyond
}

/// The buckets' upper bounds: finite and increasing.
#[derive(Clone, PartialEq)]
pub struct Bounds(Arc<[f64]>);

impl Bounds {
    /// The bounds, if they are such.
    pub(crate) fn checked(bounds: &[f64]) -> Option<Self> {
        are_bounds(bounds).then(|| Self::trusted(bounds))
    }

    /// The bounds, which somebody has checked with [`are_bounds`].
    pub(crate) fn trusted(bounds: &[f64]) -> Self {
        debug_assert!(are_bounds(bounds), "{bounds:?}");
        Self(bounds.into())
    }

    /// The first bucket that holds `value`; the one after the last bound for what exceeds all, and for NaN.
    #[inline]
    fn bucket_of(&self, value: f64) -> usize {
        self.0.iter().position(|bound| value <= *bound).unwrap_or(self.0.len())
    }
}

/// Whether buckets can have these upper bounds: some, finite and increasing.
pub(crate) const fn are_bounds(bounds: &[f64]) -> bool {
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

impl fmt::Debug for Bounds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Histogram {
    /// Counts `value`.
    #[inline]
    pub fn observe(&self, value: f64) {
        let (cells, index) = self.0.place(self.0.bounds.bucket_of(value));
        cells.add(index, 1);
        self.0.sums.add_real(SUM, value);
    }

    /// Counts a duration, in seconds. Their sum is exact to the nanosecond.
    #[inline]
    pub fn observe_duration(&self, duration: Duration) {
        // What no sum could hold, 584 years, is the longest there is.
        let seconds = duration.as_secs().saturating_mul(NANOS_PER_SECOND);
        self.observe_nanos(Seat::here(), seconds.saturating_add(duration.subsec_nanos().into()));
    }

    /// Counts a duration given in nanoseconds.
    #[inline]
    pub(crate) fn observe_nanos(&self, seat: Seat, nanos: u64) {
        // Short calls, whose cost shows most.
        if nanos < self.0.first_limit {
            self.0.sums.add_one_and(seat, FIRST_BUCKET, NANOS, nanos);
        } else {
            self.observe_more_nanos(nanos);
        }
    }

    #[inline(never)]
    fn observe_more_nanos(&self, nanos: u64) {
        let limits = &self.0.limits;
        let further = limits.iter().position(|limit| nanos < *limit).unwrap_or(limits.len());
        let (cells, index) = self.0.place(1 + further);
        cells.add(index, 1);
        self.0.sums.add(NANOS, nanos);
    }

    /// How many values were observed.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.buckets().sum()
    }

    /// The sum of the values observed. However many there are, in whatever order, it is exact to its last digit;
    /// only where large values cancel each other, a little less.
    #[must_use]
    pub fn sum(&self) -> f64 {
        self.0.sums.total_real(SUM) + seconds(self.0.sums.total(NANOS))
    }

    /// The count of each bucket alone, the one without bound included.
    fn buckets(&self) -> impl Iterator<Item = u64> {
        (0..=self.0.bounds.0.len()).map(|number| {
            let (cells, index) = self.0.place(number);
            cells.total(index)
        })
    }
}

impl Sealed for Histogram {
    type Shape = Bounds;
    const KIND: &'static str = "histogram";
    const TYPE: MetricType = MetricType::HISTOGRAM;

    fn new(bounds: &Bounds) -> Self {
        let further = (FIRST_BUCKET + bounds.0.len()) / Cells::COUNT;
        let more = std::iter::repeat_with(Cells::default).take(further).collect();
        let mut limits = bounds.0.iter().map(|bound| nanos_beyond(*bound));
        Self(Arc::new(Inner {
            bounds: bounds.clone(),
            first_limit: limits.next().unwrap_or_default(),
            limits: limits.collect(),
            sums: Cells::default(),
            more,
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

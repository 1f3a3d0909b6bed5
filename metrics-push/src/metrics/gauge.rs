//! Gauges: a value that is set, and a level that threads enter and leave without meeting.

use std::fmt;
use std::sync::Arc;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use super::cells::Cells;
use super::family::Sealed;
use super::proto::{self, Metric, MetricType};

/// A number that goes up and down. Clones share it.
///
/// ```
/// # fn main() -> Result<(), metrics_push::Error> {
/// let waiting = metrics_push::gauge("orders_waiting", "Orders that wait.")?;
/// waiting.set(12.0);
/// waiting.dec();
/// assert_eq!(waiting.get(), 11.0);
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Gauge(Arc<Inner>);

struct Inner {
    value: AtomicU64,
    /// How many entered, less those who left; a wrapping sum.
    level: OnceLock<Cells>,
}

impl Gauge {
    /// Sets the value.
    #[inline]
    pub fn set(&self, value: f64) {
        self.0.value.store(value.to_bits(), Ordering::Relaxed);
    }

    /// Adds `amount`.
    pub fn add(&self, amount: f64) {
        let add = |bits| Some((f64::from_bits(bits) + amount).to_bits());
        let _ = self.0.value.fetch_update(Ordering::Relaxed, Ordering::Relaxed, add);
    }

    /// Subtracts `amount`.
    pub fn sub(&self, amount: f64) {
        self.add(-amount);
    }

    /// Adds one.
    pub fn inc(&self) {
        self.add(1.0);
    }

    /// Subtracts one.
    pub fn dec(&self) {
        self.add(-1.0);
    }

    /// One more inside, until [`leave`](Self::leave), which may be called on another thread.
    #[inline]
    pub(crate) fn enter(&self) {
        self.level().add(0, 1);
    }

    #[inline]
    pub(crate) fn leave(&self) {
        self.level().add(0, u64::MAX);
    }

    #[inline]
    fn level(&self) -> &Cells {
        self.0.level.get_or_init(Cells::default)
    }

    /// The value.
    #[must_use]
    pub fn get(&self) -> f64 {
        let level = self.0.level.get().map_or(0, |level| level.total(0).cast_signed());
        f64::from_bits(self.0.value.load(Ordering::Relaxed)) + level as f64
    }
}

impl Sealed for Gauge {
    type Shape = ();
    const KIND: &'static str = "gauge";
    const TYPE: MetricType = MetricType::GAUGE;

    fn new((): &()) -> Self {
        Self(Arc::new(Inner { value: AtomicU64::new(0), level: OnceLock::new() }))
    }

    fn sample(&self) -> Metric {
        let mut gauge = proto::Gauge::default();
        gauge.set_value(self.get());
        let mut metric = Metric::default();
        metric.set_gauge(gauge);
        metric
    }
}

impl fmt::Debug for Gauge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Gauge").field(&self.get()).finish()
    }
}

//! `Gauge`: the sum of a float and a number of calls in flight. Threads change the latter without contention.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use prometheus::proto::{self, Metric, MetricType};

use super::family::MetricKind;
use super::striped::{OnceBox, Stripes};

/// A number that increases and decreases. Clones share the number.
///
/// ```
/// # fn main() -> Result<(), metrics_push::Error> {
/// let waiting = metrics_push::gauge("orders_waiting", "Orders in the queue.")?;
/// waiting.set(12.0);
/// waiting.dec();
/// assert_eq!(waiting.get(), 11.0);
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Gauge(Arc<GaugeState>);

struct GaugeState {
    value: AtomicU64,
    /// Number of calls in flight: calls of `enter` minus calls of `leave`, wrapping around. In a box, because most gauges
    /// count no calls.
    in_flight: OnceBox<Stripes>,
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

    /// Adds one call in flight. [`leave`](Self::leave) subtracts it, also on another thread.
    #[inline]
    pub(crate) fn enter(&self) {
        self.in_flight().add(0, 1);
    }

    #[inline]
    pub(crate) fn leave(&self) {
        self.in_flight().add(0, u64::MAX);
    }

    #[inline]
    fn in_flight(&self) -> &Stripes {
        self.0.in_flight.get_or_init(Box::default)
    }

    /// Returns the current value.
    #[must_use]
    pub fn get(&self) -> f64 {
        let in_flight = self.0.in_flight.get().map_or(0, |calls| calls.total(0).cast_signed());
        f64::from_bits(self.0.value.load(Ordering::Relaxed)) + in_flight as f64
    }
}

impl MetricKind for Gauge {
    type Opts = ();
    const TYPE_NAME: &'static str = "gauge";
    const TYPE: MetricType = MetricType::GAUGE;

    fn new((): &()) -> Self {
        Self(Arc::new(GaugeState { value: AtomicU64::new(0), in_flight: OnceBox::new() }))
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

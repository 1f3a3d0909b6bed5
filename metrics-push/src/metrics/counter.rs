//! `Counter`: an exact integer that threads increase without contention.

use std::fmt;
use std::sync::Arc;

use prometheus::proto::{self, Metric, MetricType};

use super::family::MetricKind;
use super::striped::Stripes;

/// A number that only increases. Clones share the number.
///
/// ```
/// # fn main() -> Result<(), metrics_push::Error> {
/// let orders = metrics_push::counter("orders_total", "Orders seen.")?;
/// orders.inc();
/// orders.add(2);
/// assert_eq!(orders.get(), 3);
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Counter {
    stripes: Arc<Stripes>,
    index: usize,
}

impl Counter {
    /// Returns several counters that share their cache lines.
    pub(crate) fn array<const N: usize>() -> [Self; N] {
        const { assert!(N <= Stripes::WIDTH, "too many counters for one cache line") };
        let stripes = Arc::new(Stripes::default());
        std::array::from_fn(|index| Self { stripes: Arc::clone(&stripes), index })
    }

    /// Adds one.
    #[inline]
    pub fn inc(&self) {
        self.add(1);
    }

    /// Adds `amount`.
    #[inline]
    pub fn add(&self, amount: u64) {
        self.stripes.add(self.index, amount);
    }

    /// Returns the current value.
    #[must_use]
    pub fn get(&self) -> u64 {
        self.stripes.total(self.index)
    }
}

impl MetricKind for Counter {
    type Opts = ();
    const TYPE_NAME: &'static str = "counter";
    const TYPE: MetricType = MetricType::COUNTER;

    fn new((): &()) -> Self {
        let [counter] = Self::array();
        counter
    }

    fn sample(&self) -> Metric {
        let mut counter = proto::Counter::default();
        counter.set_value(self.get() as f64);
        let mut metric = Metric::default();
        metric.set_counter(counter);
        metric
    }
}

impl fmt::Debug for Counter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Counter").field(&self.get()).finish()
    }
}

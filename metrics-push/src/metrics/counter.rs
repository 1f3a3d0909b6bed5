//! Counters: exact integers, without contention between threads.

use std::fmt;
use std::sync::Arc;

use super::cells::Cells;
use super::family::Sealed;
use super::proto::{self, Metric, MetricType};

/// A number that only grows. Clones count together.
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
    cells: Arc<Cells>,
    index: usize,
}

impl Counter {
    /// Counters that belong together share their cache lines.
    pub(crate) fn together<const N: usize>() -> [Self; N] {
        const { assert!(N <= Cells::COUNT, "that many don't fit") };
        let cells = Arc::new(Cells::default());
        std::array::from_fn(|index| Self { cells: Arc::clone(&cells), index })
    }

    /// Adds one.
    #[inline]
    pub fn inc(&self) {
        self.add(1);
    }

    /// Adds `amount`.
    #[inline]
    pub fn add(&self, amount: u64) {
        self.cells.add(self.index, amount);
    }

    /// What was counted so far.
    #[must_use]
    pub fn get(&self) -> u64 {
        self.cells.total(self.index)
    }
}

impl Sealed for Counter {
    type Shape = ();
    const KIND: &'static str = "counter";
    const TYPE: MetricType = MetricType::COUNTER;

    fn new((): &()) -> Self {
        let [counter] = Self::together();
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

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

/// Counters that a caller increases by position.
pub(crate) struct CounterArray<const N: usize> {
    /// The stripes of all counters, if one [`Counter::array`] created them in this order (the fast path). Otherwise unused
    /// stripes, which stay unallocated.
    stripes: Arc<Stripes>,
    counters: [Counter; N],
}

impl<const N: usize> CounterArray<N> {
    pub(crate) fn new(counters: [Counter; N]) -> Self {
        Self { stripes: shared_stripes(&counters).unwrap_or_default(), counters }
    }

    /// Adds one to the counter at `index`.
    #[inline]
    pub(crate) fn inc(&self, index: usize) {
        if !self.stripes.inc_allocated(index) {
            self.inc_slow(index);
        }
    }

    #[cold]
    #[inline(never)]
    fn inc_slow(&self, index: usize) {
        self.counters[index].inc();
    }
}

/// Returns the stripes of counters that are those of one [`Counter::array`], in the same order.
fn shared_stripes(counters: &[Counter]) -> Option<Arc<Stripes>> {
    let stripes = &counters.first()?.stripes;
    let mut positions = counters.iter().enumerate();
    let are_shared = positions.all(|(position, counter)| {
        counter.index == position && Arc::ptr_eq(&counter.stripes, stripes)
    });
    are_shared.then(|| Arc::clone(stripes))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counter_array_increases_counters_of_any_origin() {
        let [first, second] = Counter::array();
        let arrays =
            [[first.clone(), second.clone()], [second, first], [0; 2].map(|_| Counter::new(&()))];
        for counters in arrays {
            let before = counters.each_ref().map(Counter::get);
            let array = CounterArray::new(counters.clone());
            [0, 1, 1].into_iter().for_each(|index| array.inc(index));
            let after = counters.each_ref().map(Counter::get);
            assert_eq!(after, [before[0] + 1, before[1] + 2]);
        }
    }
}

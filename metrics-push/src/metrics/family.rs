//! One metric with all its series: name, help, label names, and what a registry gathers from it.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use super::key::Values;
use super::origin::Origin;
use super::proto::{LabelPair, Metric, MetricFamily, MetricType};
use super::series::SeriesTable;
use super::{Collector, Desc};

/// What a series measures: a [`Counter`](super::Counter), a [`Gauge`](super::Gauge) or a
/// [`Histogram`](super::Histogram).
pub trait Kind: Sealed {}

impl<S: Sealed> Kind for S {}

/// What the kinds have to offer; out of reach for other crates, so that kinds can change.
pub trait Sealed: Clone + Send + Sync + 'static {
    /// What all series of a family share besides their names.
    type Shape: Clone + PartialEq + fmt::Debug + Send + Sync;

    /// The word of the `# TYPE` line.
    const KIND: &'static str;

    #[doc(hidden)]
    const TYPE: MetricType;

    /// A series that has counted nothing.
    fn new(shape: &Self::Shape) -> Self;

    /// What it has measured so far, without labels.
    fn sample(&self) -> Metric;
}

/// A metric of one registry.
pub(crate) struct Family<S: Sealed> {
    pub(crate) desc: Desc,
    pub(crate) shape: S::Shape,
    pub(crate) origin: Origin,
    pub(crate) series: SeriesTable<S>,
}

impl<S: Sealed> Family<S> {
    /// A family without series. Names are checked by whoever registers it.
    pub(crate) fn new(
        name: &str,
        help: &str,
        labels: &[&str],
        shape: S::Shape,
        origin: Origin,
    ) -> Result<Self, prometheus::Error> {
        let labels = labels.iter().map(|&label| label.to_owned()).collect();
        let desc = Desc::new(name.to_owned(), help.to_owned(), labels, HashMap::new())?;
        Ok(Self { desc, shape, origin, series: SeriesTable::new() })
    }

    /// A series that has no labels yet.
    pub(crate) fn fresh(&self) -> S {
        S::new(&self.shape)
    }

    /// The series with these label values, made if need be.
    pub(crate) fn series<'v>(&self, values: impl Values<'v>) -> S {
        self.series_or(values, || self.fresh())
    }

    /// The series with these label values, or else `make`'s.
    pub(crate) fn series_or<'v>(&self, values: impl Values<'v>, make: impl Fn() -> S) -> S {
        self.series.find_or_make(values, |_| Some(make())).cloned().unwrap_or_else(make)
    }

    /// Sorted by name, as they are pushed.
    fn labels<'v>(&self, values: impl Iterator<Item = &'v str>) -> Vec<LabelPair> {
        let pairs = self.desc.variable_labels.iter().zip(values).map(|(name, value)| {
            let mut pair = LabelPair::default();
            pair.set_name(name.clone());
            pair.set_value(value.to_owned());
            pair
        });
        let mut pairs: Vec<_> = pairs.collect();
        pairs.sort_by(|left, right| left.name().cmp(right.name()));
        pairs
    }
}

/// What a registry holds of a family.
pub(crate) struct Registered<S: Sealed>(pub(crate) Arc<Family<S>>);

impl<S: Sealed> Collector for Registered<S> {
    fn desc(&self) -> Vec<&Desc> {
        vec![&self.0.desc]
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let family = &*self.0;
        // A registry sorts what it gathers, and finds it sorted. What is made in this order lies in it, too: whoever
        // reads very many series need not look for them all over the memory.
        let mut series: Vec<_> = family.series.iter().collect();
        series.sort_by(|left, right| left.cmp_values(right));
        let metrics = series.into_iter().map(|series| {
            let mut metric = series.cells.sample();
            metric.set_label(family.labels(series.values()));
            metric
        });
        let mut gathered = MetricFamily::default();
        gathered.set_name(family.desc.fq_name.clone());
        gathered.set_help(family.desc.help.clone());
        gathered.set_field_type(S::TYPE);
        gathered.set_metric(metrics.collect());
        vec![gathered]
    }
}

/// A metric with `N` labels: one [`Counter`](super::Counter), [`Gauge`](super::Gauge) or
/// [`Histogram`](super::Histogram) per set of label values.
///
/// Clones share their series. Asking for a set of values seen before takes no lock.
///
/// ```
/// # fn main() -> Result<(), metrics_push::Error> {
/// let orders = metrics_push::counter_vec("orders_total", "Orders.", &["service", "payment"])?;
/// orders.with_label_values(&["checkout", "card"]).inc();
/// assert_eq!(orders.with_label_values(&["checkout", "card"]).get(), 1);
/// # Ok(())
/// # }
/// ```
pub struct MetricVec<S: Kind, const N: usize>(pub(crate) Arc<Family<S>>);

impl<S: Kind, const N: usize> MetricVec<S, N> {
    /// The series with these label values, in the order of the names. It exists from now on.
    #[must_use]
    pub fn with_label_values(&self, values: &[&str; N]) -> S {
        self.0.series(values.iter().copied())
    }
}

impl<S: Kind, const N: usize> Clone for MetricVec<S, N> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<S: Kind, const N: usize> fmt::Debug for MetricVec<S, N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {:?}", S::KIND, self.0.desc.fq_name, self.0.desc.variable_labels)
    }
}

//! `Family`: one metric with all its series, and the collector through which a registry gathers it.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use prometheus::core::{Collector, Desc};
use prometheus::proto::{LabelPair, Metric, MetricFamily, MetricType};

use super::call_site::CallSite;
use super::label_values::ValueIter;
use super::series::SeriesTable;
use super::text_encoder::SampleWriter;
use super::text_family::{LabeledSeries, TextFamily, placeholder};
use super::validate::log_rendering;
use crate::label_text::{Rendering, bounded, is_bounded};

/// The kinds of metrics: [`Counter`](crate::Counter), [`Gauge`](crate::Gauge) and [`Histogram`](crate::Histogram).
///
/// Other crates cannot name this trait, so they cannot implement it.
pub trait MetricKind: Clone + Send + Sync + 'static {
    /// The options that all series of a family share: the buckets of a histogram.
    type Opts: Clone + PartialEq + fmt::Debug + Send + Sync;

    /// The type in the `# TYPE` line.
    const TYPE_NAME: &'static str;

    #[doc(hidden)]
    const TYPE: MetricType;

    /// Returns a new series without observations.
    fn new(opts: &Self::Opts) -> Self;

    /// Returns the current value, without labels.
    fn sample(&self) -> Metric;
}

/// One metric of a registry, with all its series.
pub(crate) struct Family<K: MetricKind> {
    pub(super) desc: Desc,
    pub(super) opts: K::Opts,
    pub(super) call_site: CallSite,
    series: SeriesTable<K>,
}

impl<K: MetricKind> Family<K> {
    /// Returns a family without series.
    pub(super) fn new(
        name: &str,
        help: &str,
        labels: &[&str],
        opts: K::Opts,
        call_site: CallSite,
    ) -> Result<Self, prometheus::Error> {
        let labels = labels.iter().map(|&label| label.to_owned()).collect();
        let desc = Desc::new(name.to_owned(), help.to_owned(), labels, HashMap::new())?;
        Ok(Self { desc, opts, call_site, series: SeriesTable::new() })
    }

    /// Returns a new series that does not belong to the family yet.
    pub(crate) fn new_series(&self) -> K {
        K::new(&self.opts)
    }

    /// Returns the series with these label values. Creates it if necessary.
    pub(crate) fn series<'v>(&self, values: impl ValueIter<'v>) -> K {
        self.series_or_insert(values, || self.new_series())
    }

    /// Returns the series with these label values, after inserting the result of `create` if there is none.
    pub(crate) fn series_or_insert<'v>(
        &self,
        values: impl ValueIter<'v>,
        create: impl Fn() -> K,
    ) -> K {
        self.series.find_or_insert(values, |_| Some(create())).cloned().unwrap_or_else(create)
    }

    /// Writes all series as text. Returns `None` if there are none, or if a label value would be changed.
    fn text(&self, head: &MetricFamily) -> Option<String> {
        let (order, mut text, mut values) =
            (label_order(&self.desc.variable_labels), String::new(), Vec::new());
        let all = self.series.sorted(&order);
        if all.is_empty() {
            return None;
        }
        let mut samples = SampleWriter::start(head, all.len(), &mut text);
        for series in all {
            values.clear();
            values.extend(series.values());
            if values.iter().any(|value: &&str| value.is_empty() || !is_bounded(value)) {
                return None;
            }
            samples.write(self.labels(&order, &values), &series.metric.sample());
        }
        Some(text)
    }

    /// Returns the labels in this order.
    fn labels<'v>(
        &'v self,
        order: &[usize],
        values: &[&'v str],
    ) -> impl Iterator<Item = (&'v str, &'v str)> {
        let names = &self.desc.variable_labels;
        order.iter().filter_map(|&it| Some((names.get(it)?.as_str(), *values.get(it)?)))
    }
}

/// Returns the positions of labels, sorted by name as they are pushed.
fn label_order(names: &[String]) -> Vec<usize> {
    let mut order: Vec<_> = (0..names.len()).collect();
    order.sort_unstable_by_key(|position| &names[*position]);
    order
}

impl<K: MetricKind> LabeledSeries for Family<K> {
    fn name(&self) -> &str {
        &self.desc.fq_name
    }

    fn label_names(&self) -> &[String] {
        &self.desc.variable_labels
    }

    fn metrics(&self) -> Vec<Metric> {
        let order = label_order(&self.desc.variable_labels);
        // The registry sorts the series anyway. Sorting them first means that their samples are also allocated in this
        // order, so that later passes over many series read memory sequentially.
        let metrics = self.series.sorted(&order).into_iter().map(|series| {
            let values: Vec<_> = series.values().collect();
            let labels = self.labels(&order, &values).map(|(name, value)| {
                let mut pair = LabelPair::default();
                pair.set_name(name.to_owned());
                pair.set_value(value.to_owned());
                pair
            });
            let mut metric = series.metric.sample();
            metric.set_label(labels.collect());
            metric
        });
        metrics.collect()
    }
}

/// The collector of a family.
pub(super) struct FamilyCollector<K: MetricKind>(pub(super) Arc<Family<K>>);

impl<K: MetricKind> Collector for FamilyCollector<K> {
    fn desc(&self) -> Vec<&Desc> {
        vec![&self.0.desc]
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let family = &self.0;
        let mut gathered = MetricFamily::default();
        gathered.set_name(family.desc.fq_name.clone());
        gathered.set_help(family.desc.help.clone());
        gathered.set_field_type(K::TYPE);
        let placeholder = placeholder(|| {
            let (text, source) = (family.text(&gathered)?, Arc::clone(family));
            Some(TextFamily { text, source })
        });
        gathered.set_metric(placeholder.map_or_else(|| family.metrics(), |it| vec![it]));
        vec![gathered]
    }
}

/// A metric with `N` labels: one [`Counter`](crate::Counter), [`Gauge`](crate::Gauge) or
/// [`Histogram`](crate::Histogram) per set of label values.
///
/// Clones share their series. Finding an existing series takes no lock.
///
/// ```
/// # fn main() -> Result<(), metrics_push::Error> {
/// let orders = metrics_push::counter_vec("orders_total", "Orders.", &["service", "payment"])?;
/// orders.with_label_values(&["checkout", "card"]).inc();
/// assert_eq!(orders.with_label_values(&["checkout", "card"]).get(), 1);
/// # Ok(())
/// # }
/// ```
pub struct MetricVec<S: MetricKind, const N: usize>(pub(super) Arc<Family<S>>);

impl<S: MetricKind, const N: usize> MetricVec<S, N> {
    /// Returns the series with these label values, in the order of the label names. Creates it if necessary.
    ///
    /// A value longer than 1,024 bytes is cut, and ends with a checksum of the whole value.
    #[must_use]
    pub fn with_label_values(&self, values: &[&str; N]) -> S {
        if values.iter().all(|value| is_bounded(value)) {
            return self.0.series(values.iter().copied());
        }
        let Desc { fq_name, variable_labels, .. } = &self.0.desc;
        for (label, _) in variable_labels.iter().zip(values).filter(|(_, value)| !is_bounded(value))
        {
            log_rendering(fq_name, label, Rendering::Cut);
        }
        let values = values.map(bounded);
        self.0.series(values.iter().map(|value| &**value))
    }
}

impl<S: MetricKind, const N: usize> Clone for MetricVec<S, N> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<S: MetricKind, const N: usize> fmt::Debug for MetricVec<S, N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {:?}", S::TYPE_NAME, self.0.desc.fq_name, self.0.desc.variable_labels)
    }
}

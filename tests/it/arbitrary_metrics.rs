//! Proptest strategies for metrics that a registry can gather.

use metrics_push::prometheus::Registry;
use metrics_push::prometheus::core::{Collector, Desc};
use metrics_push::prometheus::proto::{
    Bucket, Counter, Gauge, Histogram, LabelPair, Metric, MetricFamily, MetricType, Quantile,
    Summary,
};
use proptest::prelude::*;

/// A collector that returns fixed families.
struct FixedCollector(Desc, Vec<MetricFamily>);

impl Collector for FixedCollector {
    fn desc(&self) -> Vec<&Desc> {
        vec![&self.0]
    }

    fn collect(&self) -> Vec<MetricFamily> {
        self.1.clone()
    }
}

/// Returns a registry that gathers these families.
pub(crate) fn registry(families: Vec<MetricFamily>) -> Registry {
    let desc = Desc::new("fixed".into(), "Fixed.".into(), Vec::new(), Default::default()).unwrap();
    let registry = Registry::new();
    registry.register(Box::new(FixedCollector(desc, families))).unwrap();
    registry
}

fn any_value() -> impl Strategy<Value = f64> {
    let special =
        vec![f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 0.0, -0.0, f64::MIN_POSITIVE, f64::MAX];
    prop_oneof![
        any::<f64>(),
        (0..1000_i32).prop_map(f64::from),
        -1e6..1e6,
        proptest::sample::select(special)
    ]
}

/// Counts that a float represents exactly, because the Pushgateway parses counts in the text format as floats.
fn any_count() -> impl Strategy<Value = u64> {
    0..1_u64 << 53
}

fn any_metric() -> impl Strategy<Value = Metric> {
    let points = (
        proptest::collection::vec((-1e3..1e3, any_count()), 0..4),
        proptest::collection::vec((0.0..1.0, any_value()), 0..4),
    );
    ((any_count(), any_value()), points).prop_map(|((count, value), (buckets, quantiles))| {
        let mut metric = Metric::default();
        let mut counter = Counter::default();
        counter.set_value(value);
        metric.set_counter(counter);
        let mut gauge = Gauge::default();
        gauge.set_value(value);
        metric.set_gauge(gauge);
        let mut histogram = Histogram::default();
        histogram.set_sample_count(count);
        histogram.set_sample_sum(value);
        let bucket = |(bound, count)| {
            let mut bucket = Bucket::default();
            bucket.set_upper_bound(bound);
            bucket.set_cumulative_count(count);
            bucket
        };
        histogram.set_bucket(buckets.into_iter().map(bucket).collect());
        metric.set_histogram(histogram);
        let mut summary = Summary::default();
        summary.set_sample_count(count);
        summary.set_sample_sum(value);
        let quantile = |(rank, value)| {
            let mut quantile = Quantile::default();
            quantile.set_quantile(rank);
            quantile.set_value(value);
            quantile
        };
        summary.set_quantile(quantiles.into_iter().map(quantile).collect());
        metric.set_summary(summary);
        metric
    })
}

fn any_family() -> impl Strategy<Value = MetricFamily> {
    use MetricType::{COUNTER, GAUGE, HISTOGRAM, SUMMARY, UNTYPED};
    let kinds = proptest::sample::select(vec![COUNTER, GAUGE, HISTOGRAM, SUMMARY, UNTYPED]);
    // The text format does not preserve spaces at the beginning of a help text.
    let help = "([a-zé\\\\\n\"][ a-zé\\\\\n\"\r]{0,9})?";
    let value = prop_oneof![any::<String>(), "[\\\\\"\n a{},=\r]{0,6}", "x{130}"];
    let labels = proptest::collection::btree_map("[a-d_][a-d0-9]{0,2}", value, 0..4);
    let metrics = proptest::collection::vec((labels, any_metric()), 1..6);
    (help, kinds, metrics).prop_map(|(help, kind, metrics)| {
        let mut family = MetricFamily::default();
        family.set_help(help);
        family.set_field_type(kind);
        let labelled = |(number, (labels, mut metric)): (usize, (_, Metric))| {
            let labels: std::collections::BTreeMap<String, String> = labels;
            let mut pairs: Vec<_> = labels.iter().map(|(name, value)| label(name, value)).collect();
            // Makes every set of labels unique.
            pairs.push(label("number", &number.to_string()));
            metric.set_label(pairs);
            metric
        };
        family.set_metric(metrics.into_iter().enumerate().map(labelled).collect());
        family
    })
}

fn label(name: &str, value: &str) -> LabelPair {
    let mut label = LabelPair::default();
    label.set_name(name.to_owned());
    label.set_value(value.to_owned());
    label
}

/// At least one family, of any type.
pub(crate) fn any_families() -> impl Strategy<Value = Vec<MetricFamily>> {
    proptest::collection::vec(any_family(), 1..5).prop_map(|mut families| {
        for (number, family) in families.iter_mut().enumerate() {
            family.set_name(format!("metric_{number}"));
        }
        families
    })
}

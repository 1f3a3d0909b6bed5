//! `Snapshot`: the metric families gathered at one moment, validated and not yet encoded.
//!
//! Invariants: families are sorted by name and unique; every family has at least one series; series are unique across
//! families; all metric and label names are valid; samples have no timestamp and no empty label value. A metric that breaks
//! one of these rules is left out and reported as a [`RejectedMetric`]. The functions do not panic for any output of a
//! collector.

use std::collections::BTreeMap;
use std::time::Duration;

use prometheus::proto::{Counter, Gauge, LabelPair, Metric, MetricFamily, MetricType};

use super::gather::{RegistrySource, gather};
use super::text_encoder::{push_number, write_head};
use super::text_family::GatheredFamily;
use super::validate::{RejectedMetric, ValidFamily};
use crate::labels::GroupingKey;
use crate::ordered_map::ordered_map;

/// The labels, as names and values, and the value of one series.
type LabelledValue<'a> = (&'a [(&'a str, &'a str)], f64);

/// The metric families gathered at one moment.
#[derive(Clone, Debug, Default)]
pub(crate) struct Snapshot {
    families: Vec<ValidFamily>,
    rejections: Vec<RejectedMetric>,
}

impl Snapshot {
    /// Gathers a registry. If a collector panics or does not finish within `timeout`, the snapshot is empty except for a
    /// rejection.
    pub(crate) fn gather(source: &RegistrySource, timeout: Duration) -> Self {
        match gather(source, timeout) {
            Ok(families) => Self::from_gathered(families),
            Err(reason) => {
                Self { families: Vec::new(), rejections: vec![RejectedMetric::new("*", reason)] }
            }
        }
    }

    /// Validates families and drops empty ones.
    #[cfg(test)]
    pub(crate) fn from_families(families: impl IntoIterator<Item = MetricFamily>) -> Self {
        Self::from_gathered(families.into_iter().map(GatheredFamily::Metrics))
    }

    pub(super) fn from_gathered(families: impl IntoIterator<Item = GatheredFamily>) -> Self {
        let mut snapshot = Self::default();
        snapshot.add_all(families);
        snapshot
    }

    /// Adds a gauge. Each sample consists of pairs of label names and values, and of a value.
    pub(crate) fn gauge(&mut self, name: &str, help: &str, samples: &[LabelledValue<'_>]) {
        self.add(MetricType::GAUGE, name, help, samples, |metric, value| {
            let mut gauge = Gauge::default();
            gauge.set_value(value);
            metric.set_gauge(gauge);
        });
    }

    /// Adds a counter.
    pub(crate) fn counter(&mut self, name: &str, help: &str, samples: &[LabelledValue<'_>]) {
        self.add(MetricType::COUNTER, name, help, samples, |metric, value| {
            let mut counter = Counter::default();
            counter.set_value(value);
            metric.set_counter(counter);
        });
    }

    fn add(
        &mut self,
        metric_type: MetricType,
        name: &str,
        help: &str,
        samples: &[LabelledValue<'_>],
        set_value: impl Fn(&mut Metric, f64),
    ) {
        let metrics = samples.iter().map(|(labels, value)| {
            let labels = labels.iter().map(|(name, value)| pair(name, value));
            let mut metric = Metric::from_label(labels.collect());
            set_value(&mut metric, *value);
            metric
        });
        let mut family = MetricFamily::default();
        family.set_name(name.to_owned());
        family.set_help(help.to_owned());
        family.set_field_type(metric_type);
        family.set_metric(metrics.collect());
        self.add_all([GatheredFamily::Metrics(family)]);
    }

    /// Adds the families of another snapshot. Series of families with the same name are combined. If the types
    /// differ, the other snapshot's family is rejected.
    pub(crate) fn merge(&mut self, other: Self) {
        self.rejections.extend(other.rejections);
        self.families.extend(other.families);
        self.combine();
    }

    /// Returns each family in the text format, by name. The text of families that have no series in memory is moved out of the
    /// snapshot.
    pub(crate) fn encode(&mut self) -> BTreeMap<String, String> {
        ordered_map(self.families.iter_mut().map(|it| (it.name().to_owned(), it.take_text())))
    }

    /// Returns true if the snapshot has no families.
    pub(crate) fn is_empty(&self) -> bool {
        self.families.is_empty()
    }

    /// Returns the families, sorted by name, without the series that are text.
    #[cfg(test)]
    fn families(&self) -> impl ExactSizeIterator<Item = &MetricFamily> {
        self.families.iter().map(ValidFamily::family)
    }

    /// Returns the metrics that were removed, with reasons.
    pub(crate) fn rejections(&self) -> &[RejectedMetric] {
        &self.rejections
    }

    /// Removes the families that have a label of the grouping key.
    pub(crate) fn reject_labels_of(&mut self, key: &GroupingKey) {
        let rejections = &mut self.rejections;
        self.families.retain(|family| match family.conflict_with(key) {
            None => true,
            Some(rejection) => {
                rejections.push(rejection);
                false
            }
        });
    }

    /// Adds the families that are valid.
    fn add_all(&mut self, families: impl IntoIterator<Item = GatheredFamily>) {
        let rejections = &mut self.rejections;
        self.families.extend(families.into_iter().filter_map(|family| match family {
            GatheredFamily::Metrics(family) if family.get_metric().is_empty() => None,
            GatheredFamily::Metrics(family) => ValidFamily::new(family, rejections),
            GatheredFamily::Text(family, text) => ValidFamily::from_text(family, text, rejections),
        }));
        self.combine();
    }

    /// Sorts the families by name, and combines those with the same name. Takes linear time if the families are two sorted
    /// lists, one after the other.
    fn combine(&mut self) {
        self.families.sort_by(|left, right| left.name().cmp(right.name()));
        let rejections = &mut self.rejections;
        self.families.dedup_by(|later, first| {
            let is_same = later.name() == first.name();
            if is_same {
                first.append(later, rejections);
            }
            is_same
        });
        self.reject_sample_names();
    }

    /// Removes families whose name is also that of a sample of another family. Servers and collectors reject the whole
    /// text if it contains both.
    fn reject_sample_names(&mut self) {
        let families = &self.families;
        let mut clashes: Vec<_> = families.iter().filter_map(|it| it.clash_in(families)).collect();
        // `clashes` is sorted by name, because `families` is.
        self.families.retain(|family| !RejectedMetric::contains(&clashes, family.name()));
        self.rejections.append(&mut clashes);
    }
}

fn pair(name: &str, value: &str) -> LabelPair {
    let mut pair = LabelPair::default();
    pair.set_name(name.to_owned());
    pair.set_value(value.to_owned());
    pair
}

/// Returns the text that a [`Snapshot`] encodes for a gauge with one series and no labels. The name must be valid.
pub(crate) fn gauge_text(name: &str, help: &str, value: f64) -> String {
    let mut text = String::new();
    write_head(MetricType::GAUGE, name, help, &mut text);
    text.extend([name, " "]);
    push_number(&mut text, value);
    text.push('\n');
    text
}

#[cfg(test)]
mod tests {
    use prometheus::core::{Collector, Desc};
    use prometheus::{GaugeVec, Opts, Registry};

    use super::*;
    use crate::metrics::MetricFactory;

    fn family(name: &str, kind: MetricType, series: &[&[(&str, &str)]]) -> MetricFamily {
        let metrics = series.iter().map(|labels| {
            let labels = labels.iter().map(|(name, value)| {
                let mut label = LabelPair::default();
                label.set_name((*name).to_owned());
                label.set_value((*value).to_owned());
                label
            });
            let mut metric = Metric::from_label(labels.collect());
            metric.set_timestamp_ms(7);
            metric
        });
        let mut family = MetricFamily::default();
        family.set_name(name.to_owned());
        family.set_field_type(kind);
        family.set_metric(metrics.collect());
        family
    }

    fn gathered(registry: &Registry) -> Snapshot {
        Snapshot::gather(&RegistrySource::Own(registry.clone()), Duration::from_secs(60))
    }

    fn names(snapshot: &Snapshot) -> Vec<&str> {
        snapshot.families().map(MetricFamily::name).collect()
    }

    fn reasons(snapshot: &Snapshot) -> Vec<String> {
        snapshot.rejections().iter().map(ToString::to_string).collect()
    }

    #[test]
    fn text_of_a_gauge_is_that_of_its_snapshot() {
        for (help, value) in [("", 0.25), ("Rows \\ of\nall \"files\".", -3.0)] {
            let mut snapshot = Snapshot::default();
            snapshot.gauge("rows", help, &[(&[], value)]);
            assert_eq!(gauge_text("rows", help, value), snapshot.encode()["rows"]);
        }
    }

    #[test]
    fn snapshot_drops_timestamps_empty_labels_and_empty_families() {
        let snapshot = Snapshot::from_families([
            family("b", MetricType::GAUGE, &[&[("x", ""), ("b", "1"), ("a", "2")]]),
            family("a", MetricType::GAUGE, &[]),
        ]);
        assert_eq!(names(&snapshot), ["b"]);
        let metric = &snapshot.families[0].family().get_metric()[0];
        let labels: Vec<_> = metric.get_label().iter().map(LabelPair::name).collect();
        assert_eq!((labels.as_slice(), metric.timestamp_ms()), (["a", "b"].as_slice(), 0));
        assert_eq!(snapshot.rejections(), []);
    }

    #[test]
    fn snapshot_rejects_invalid_names_with_reasons() {
        let snapshot = Snapshot::from_families([
            family("my-metric", MetricType::GAUGE, &[&[]]),
            family("push_time_seconds", MetricType::GAUGE, &[&[]]),
            family("a", MetricType::GAUGE, &[&[("b-c", "1")]]),
            family("b", MetricType::GAUGE, &[&[("x", "1"), ("x", "2")]]),
            family("c", MetricType::HISTOGRAM, &[&[("le", "1")]]),
            family("d", MetricType::GAUGE, &[&[("le", "1")]]),
        ]);
        assert_eq!(names(&snapshot), ["d"]);
        assert_eq!(
            reasons(&snapshot),
            [
                r#"metric "my-metric" is skipped: invalid metric name"#,
                r#"metric "push_time_seconds" is skipped: the name is reserved by the Pushgateway"#,
                r#"metric "a" is skipped: invalid label name "b-c""#,
                r#"metric "b" is skipped: duplicate label "x""#,
                r#"metric "c" is skipped: invalid label name "le""#,
            ]
        );
    }

    #[test]
    fn metric_with_the_name_of_a_sample_is_rejected() {
        let plain = |name: &str| family(name, MetricType::GAUGE, &[&[]]);
        let distributions =
            [family("h", MetricType::HISTOGRAM, &[&[]]), family("s", MetricType::SUMMARY, &[&[]])];
        let others =
            ["g", "g_count", "h_bucket", "h_count", "h_sum", "h_total", "s_bucket", "s_count"];
        let mut snapshot = Snapshot::from_families(others.map(plain));
        snapshot.merge(Snapshot::from_families(distributions));
        assert_eq!(names(&snapshot), ["g", "g_count", "h", "h_total", "s", "s_bucket"]);
        assert_eq!(
            reasons(&snapshot),
            [
                r#"metric "h_bucket" is skipped: a sample of the histogram "h" has this name"#,
                r#"metric "h_count" is skipped: a sample of the histogram "h" has this name"#,
                r#"metric "h_sum" is skipped: a sample of the histogram "h" has this name"#,
                r#"metric "s_count" is skipped: a sample of the summary "s" has this name"#,
            ]
        );
    }

    #[test]
    fn snapshot_sorts_series_and_removes_duplicates() {
        let [one, two] = [&[("x", "1")][..], &[("x", "2")]];
        for (series, duplicates) in
            [(&[two, one][..], 0), (&[one, one, two], 1), (&[two, one, two], 1)]
        {
            let snapshot = Snapshot::from_families([family("a", MetricType::GAUGE, series)]);
            let values = snapshot.families[0].family().get_metric().iter();
            assert!(values.map(|metric| metric.get_label()[0].value()).eq(["1", "2"]));
            assert_eq!(snapshot.rejections().len(), duplicates, "{series:?}");
        }
    }

    #[test]
    fn merge_combines_series_and_rejects_a_second_type() {
        let mut snapshot = Snapshot::from_families([
            family("a", MetricType::GAUGE, &[&[("x", "2")]]),
            family("b", MetricType::GAUGE, &[&[]]),
        ]);
        snapshot.merge(Snapshot::from_families([
            family("a", MetricType::GAUGE, &[&[("x", "1")], &[("x", "2")]]),
            family("b", MetricType::COUNTER, &[&[]]),
            family("c", MetricType::COUNTER, &[&[]]),
        ]));
        assert_eq!(names(&snapshot), ["a", "b", "c"]);
        assert_eq!(snapshot.families[0].family().get_metric().len(), 2);
        assert_eq!(snapshot.families[1].family().get_field_type(), MetricType::GAUGE);
        assert_eq!(
            reasons(&snapshot),
            [
                r#"metric "a" is skipped: 1 duplicate series"#,
                r#"metric "b" is skipped: a counter of the same name as a gauge"#,
            ]
        );
    }

    #[test]
    fn snapshot_rejects_labels_of_the_grouping_key() {
        let mut snapshot = Snapshot::from_families([
            family("a", MetricType::GAUGE, &[&[("job", "x")]]),
            family("b", MetricType::GAUGE, &[&[], &[("region", "x")]]),
            family("c", MetricType::GAUGE, &[&[("zone", "x")]]),
        ]);
        let key = GroupingKey::new("import").and_then(|key| key.label("region", "eu")).unwrap();
        snapshot.reject_labels_of(&key);
        assert_eq!(names(&snapshot), ["c"]);
        assert_eq!(
            reasons(&snapshot)[1],
            r#"metric "b" is skipped: label "region" is part of the grouping key {job="import",region="eu"}"#
        );
    }

    #[test]
    fn snapshot_contains_own_and_foreign_metrics() {
        let registry = Registry::new();
        let foreign = GaugeVec::new(Opts::new("theirs", "Theirs."), &["x"]).unwrap();
        foreign.with_label_values(&[""]).set(1.0);
        registry.register(Box::new(foreign)).unwrap();
        MetricFactory::with(&registry).counter("ours_total", "Ours.").unwrap();
        let snapshot = gathered(&registry);
        assert_eq!(names(&snapshot), ["ours_total", "theirs"]);
        assert_eq!(snapshot.families[1].family().get_metric()[0].get_label().len(), 0);
    }

    struct Panics(Desc);

    impl Collector for Panics {
        fn desc(&self) -> Vec<&Desc> {
            vec![&self.0]
        }

        fn collect(&self) -> Vec<MetricFamily> {
            panic!("cannot read the disk")
        }
    }

    #[test]
    fn panicking_collector_leaves_the_snapshot_empty() {
        let registry = Registry::new();
        let desc = Desc::new("x".into(), "X.".into(), vec![], Default::default()).unwrap();
        registry.register(Box::new(Panics(desc))).unwrap();
        let snapshot = gathered(&registry);
        assert_eq!(names(&snapshot), Vec::<&str>::new());
        assert!(reasons(&snapshot)[0].contains("panicked"), "{snapshot:?}");
    }
}

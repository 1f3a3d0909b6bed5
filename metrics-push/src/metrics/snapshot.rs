//! Everything gathered at one moment, made fit for the wire and not yet encoded.
//!
//! Invariants: families are sorted by name, each name once; each family has a metric; no series twice; no
//! timestamp, no empty label value, no name that Prometheus would refuse. What had to go is kept as a
//! [`Refusal`]. Nothing here panics, whatever a foreign collector returns.

use std::panic::{AssertUnwindSafe, catch_unwind};

use super::fit::{Fit, Refusal};
use super::proto::{Gauge, LabelPair, Metric, MetricFamily, MetricType};
use super::{Registry, marker};
use crate::labels::GroupingKey;

/// The metric families of one moment.
#[derive(Clone, Debug, Default)]
pub(crate) struct Snapshot {
    families: Vec<Fit>,
    refusals: Vec<Refusal>,
}

impl Snapshot {
    /// What a registry has to tell right now.
    pub(crate) fn gather(registry: &Registry) -> Self {
        // A collector that panics must not take the job with it.
        match catch_unwind(AssertUnwindSafe(|| marker::gather(registry))) {
            Ok(families) => Self::from_families(families),
            Err(_) => {
                let reason = "a collector panicked while its registry was gathered";
                Self { families: Vec::new(), refusals: vec![Refusal::new("*", reason)] }
            }
        }
    }

    /// What is left of these families once they are fit for the wire.
    pub(crate) fn from_families(families: impl IntoIterator<Item = MetricFamily>) -> Self {
        let mut snapshot = Self::default();
        for family in families {
            snapshot.insert(family);
        }
        snapshot
    }

    /// Adds a gauge of ours, with its labels' names and values for each sample.
    pub(crate) fn gauge(&mut self, name: &str, help: &str, samples: &[(&[(&str, &str)], f64)]) {
        let metrics = samples.iter().map(|(labels, value)| {
            let mut gauge = Gauge::default();
            gauge.set_value(*value);
            let mut metric = Metric::from_gauge(gauge);
            metric.set_label(labels.iter().map(|(name, value)| pair(name, value)).collect());
            metric
        });
        let mut family = MetricFamily::default();
        family.set_name(name.to_owned());
        family.set_help(help.to_owned());
        family.set_field_type(MetricType::GAUGE);
        family.set_metric(metrics.collect());
        self.insert(family);
    }

    /// Adds what another registry told. Where both have a family, the metrics of both are in it, unless
    /// the types differ: then ours stays.
    pub(crate) fn merge(&mut self, other: Self) {
        self.refusals.extend(other.refusals);
        for family in other.families {
            self.join(family);
        }
    }

    /// The families, sorted by name.
    pub(crate) fn families(&self) -> impl ExactSizeIterator<Item = &MetricFamily> {
        self.families.iter().map(Fit::family)
    }

    /// What was left out.
    pub(crate) fn refusals(&self) -> &[Refusal] {
        &self.refusals
    }

    /// Leaves out what carries one of the key's labels.
    pub(crate) fn retain_apart_from(&mut self, key: &GroupingKey) {
        let refusals = &mut self.refusals;
        self.families.retain(|family| match family.clash(key) {
            None => true,
            Some(refusal) => {
                refusals.push(refusal);
                false
            }
        });
    }

    fn insert(&mut self, family: MetricFamily) {
        if family.get_metric().is_empty() {
            return;
        }
        if let Some(fit) = Fit::of(family, &mut self.refusals) {
            self.join(fit);
        }
    }

    fn join(&mut self, fit: Fit) {
        let name = |known: &Fit| known.family().name().cmp(fit.family().name());
        match self.families.binary_search_by(name) {
            Err(position) => self.families.insert(position, fit),
            Ok(position) => self.families[position].append(fit, &mut self.refusals),
        }
    }
}

fn pair(name: &str, value: &str) -> LabelPair {
    let mut pair = LabelPair::default();
    pair.set_name(name.to_owned());
    pair.set_value(value.to_owned());
    pair
}

#[cfg(test)]
mod tests {
    use prometheus::core::{Collector, Desc};
    use prometheus::{GaugeVec, Opts};

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

    fn names(snapshot: &Snapshot) -> Vec<&str> {
        snapshot.families().map(MetricFamily::name).collect()
    }

    fn reasons(snapshot: &Snapshot) -> Vec<String> {
        snapshot.refusals().iter().map(ToString::to_string).collect()
    }

    #[test]
    fn timestamps_empty_values_and_empty_families_never_leave() {
        let snapshot = Snapshot::from_families([
            family("b", MetricType::GAUGE, &[&[("x", ""), ("b", "1"), ("a", "2")]]),
            family("a", MetricType::GAUGE, &[]),
        ]);
        assert_eq!(names(&snapshot), ["b"]);
        let metric = &snapshot.families[0].family().get_metric()[0];
        let labels: Vec<_> = metric.get_label().iter().map(LabelPair::name).collect();
        assert_eq!((labels.as_slice(), metric.timestamp_ms()), (["a", "b"].as_slice(), 0));
        assert_eq!(snapshot.refusals(), []);
    }

    #[test]
    fn what_prometheus_would_refuse_is_left_out_with_the_reason() {
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
                r#"metric "my-metric" is left out: that is no name for a metric"#,
                r#"metric "push_time_seconds" is left out: the gateway keeps that name for itself"#,
                r#"metric "a" is left out: its label "b-c" is not allowed"#,
                r#"metric "b" is left out: it has the label "x" twice"#,
                r#"metric "c" is left out: its label "le" is not allowed"#,
            ]
        );
    }

    #[test]
    fn series_that_come_unsorted_or_twice_are_sorted_and_each_once() {
        let [one, two] = [&[("x", "1")][..], &[("x", "2")]];
        for (series, repeated) in
            [(&[two, one][..], 0), (&[one, one, two], 1), (&[two, one, two], 1)]
        {
            let snapshot = Snapshot::from_families([family("a", MetricType::GAUGE, series)]);
            let values = snapshot.families[0].family().get_metric().iter();
            assert!(values.map(|metric| metric.get_label()[0].value()).eq(["1", "2"]));
            assert_eq!(snapshot.refusals().len(), repeated, "{series:?}");
        }
    }

    #[test]
    fn merging_joins_families_of_one_name_and_keeps_the_first_type() {
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
                r#"metric "a" is left out: 1 of its series came twice"#,
                r#"metric "b" is left out: it comes as a counter, and there is a gauge of that name"#,
            ]
        );
    }

    #[test]
    fn labels_of_the_grouping_key_are_told_apart() {
        let mut snapshot = Snapshot::from_families([
            family("a", MetricType::GAUGE, &[&[("job", "x")]]),
            family("b", MetricType::GAUGE, &[&[], &[("region", "x")]]),
            family("c", MetricType::GAUGE, &[&[("zone", "x")]]),
        ]);
        let key = GroupingKey::new("import").and_then(|key| key.label("region", "eu")).unwrap();
        snapshot.retain_apart_from(&key);
        assert_eq!(names(&snapshot), ["c"]);
        assert_eq!(
            reasons(&snapshot)[1],
            r#"metric "b" is left out: its label "region" belongs to the grouping key {job="import",region="eu"}"#
        );
    }

    #[test]
    fn a_registry_of_both_makes_is_gathered_in_one() {
        let registry = Registry::new();
        let foreign = GaugeVec::new(Opts::new("theirs", "Theirs."), &["x"]).unwrap();
        foreign.with_label_values(&[""]).set(1.0);
        registry.register(Box::new(foreign)).unwrap();
        MetricFactory::with(&registry).counter("ours_total", "Ours.").unwrap();
        let snapshot = Snapshot::gather(&registry);
        assert_eq!(names(&snapshot), ["ours_total", "theirs"]);
        assert_eq!(snapshot.families[1].family().get_metric()[0].get_label().len(), 0);
    }

    struct Panics(Desc);

    impl Collector for Panics {
        fn desc(&self) -> Vec<&Desc> {
            vec![&self.0]
        }

        fn collect(&self) -> Vec<MetricFamily> {
            panic!("no disk left to look at")
        }
    }

    #[test]
    fn a_collector_that_panics_costs_its_registry_and_nothing_else() {
        let registry = Registry::new();
        let desc = Desc::new("x".into(), "X.".into(), vec![], Default::default()).unwrap();
        registry.register(Box::new(Panics(desc))).unwrap();
        let snapshot = Snapshot::gather(&registry);
        assert_eq!(names(&snapshot), Vec::<&str>::new());
        assert!(reasons(&snapshot)[0].contains("panicked"), "{snapshot:?}");
        assert!(!marker::is_gathering());
    }
}

//! Everything gathered at one moment, made fit for the wire and not yet encoded.
//!
//! Invariants: families are sorted by name, each name once; each family has a metric; no series twice; no
//! timestamp, no empty label value, no name that Prometheus would refuse. What had to go is kept as a
//! [`Refusal`]. Nothing here panics, whatever a foreign collector returns.

use std::cmp::Ordering;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};

use super::proto::{Gauge, LabelPair, Metric, MetricFamily, MetricType};
use super::{Registry, marker};
use crate::error::{Error, Kind};
use crate::labels::{GATEWAYS_OWN, GroupingKey, is_label_name, is_metric_name};

/// The metric families of one moment.
#[derive(Clone, Debug, Default)]
pub(crate) struct Snapshot {
    families: Vec<MetricFamily>,
    refusals: Vec<Refusal>,
}

/// A metric that can't go on the wire, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) metric: String,
    pub(crate) reason: String,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "metric {:?} is left out: {}", self.metric, self.reason)
    }
}

impl From<Refusal> for Error {
    fn from(refusal: Refusal) -> Self {
        Self::new(Kind::Metric, refusal.to_string())
    }
}

impl Snapshot {
    /// What a registry has to tell right now.
    pub(crate) fn gather(registry: &Registry) -> Self {
        // A collector that panics must not take the job with it.
        match catch_unwind(AssertUnwindSafe(|| marker::gather(registry))) {
            Ok(families) => Self::from_families(families),
            Err(_) => Self {
                families: Vec::new(),
                refusals: vec![Refusal {
                    metric: "*".to_owned(),
                    reason: "a collector panicked while its registry was gathered".to_owned(),
                }],
            },
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
    pub(crate) fn families(&self) -> &[MetricFamily] {
        &self.families
    }

    /// What was left out.
    pub(crate) fn refusals(&self) -> &[Refusal] {
        &self.refusals
    }

    /// Leaves out what carries one of the key's labels: the gateway would overwrite it without a word.
    pub(crate) fn retain_apart_from(&mut self, key: &GroupingKey) {
        let refusals = &mut self.refusals;
        self.families.retain(|family| match clash(family, key) {
            None => true,
            Some(refusal) => {
                refusals.push(refusal);
                false
            }
        });
    }

    fn insert(&mut self, mut family: MetricFamily) {
        if family.get_metric().is_empty() {
            return;
        }
        match clean(&mut family) {
            Ok(()) => {
                self.drop_repeated(&mut family);
                self.join(family);
            }
            Err(reason) => self.refuse(family.name(), reason),
        }
    }

    /// Adds a clean family, which has no series twice, to those that are there.
    fn join(&mut self, mut family: MetricFamily) {
        let name = |known: &MetricFamily| known.name().cmp(family.name());
        match self.families.binary_search_by(name) {
            Err(position) => self.families.insert(position, family),
            Ok(position) => {
                let mut known = std::mem::take(&mut self.families[position]);
                if known.get_field_type() == family.get_field_type() {
                    known.mut_metric().append(family.mut_metric());
                    self.drop_repeated(&mut known);
                } else {
                    let (has, comes) = (type_name(&known), type_name(&family));
                    let reason =
                        format!("it comes as a {comes}, and there is a {has} of that name");
                    self.refuse(family.name(), reason);
                }
                self.families[position] = known;
            }
        }
    }

    /// Sorts the series and keeps the first of equal ones.
    fn drop_repeated(&mut self, family: &mut MetricFamily) {
        let metrics = family.mut_metric();
        let before = metrics.len();
        if !metrics.is_sorted_by(|left, right| by_labels(left, right).is_lt()) {
            metrics.sort_by(by_labels);
            metrics.dedup_by(|later, first| by_labels(later, first).is_eq());
        }
        let repeated = before - metrics.len();
        if repeated > 0 {
            self.refuse(family.name(), format!("{repeated} of its series came twice"));
        }
    }

    fn refuse(&mut self, metric: &str, reason: impl Into<String>) {
        self.refusals.push(Refusal { metric: metric.to_owned(), reason: reason.into() });
    }
}

fn pair(name: &str, value: &str) -> LabelPair {
    let mut pair = LabelPair::default();
    pair.set_name(name.to_owned());
    pair.set_value(value.to_owned());
    pair
}

/// Makes a family fit for the wire, or says why that can't be.
fn clean(family: &mut MetricFamily) -> Result<(), String> {
    if !is_metric_name(family.name()) {
        return Err("that is no name for a metric".to_owned());
    }
    if GATEWAYS_OWN.contains(&family.name()) {
        return Err("the gateway keeps that name for itself".to_owned());
    }
    let reserved = match family.get_field_type() {
        MetricType::HISTOGRAM => Some("le"),
        MetricType::SUMMARY => Some("quantile"),
        _ => None,
    };
    for metric in family.mut_metric() {
        if metric.timestamp_ms() != 0 {
            metric.set_timestamp_ms(0);
        }
        if !is_tidy(metric.get_label()) {
            tidy(metric);
        }
    }
    check_names(family.get_metric(), reserved)
}

/// Whether labels are sorted and have values, which nearly all have from the start.
fn is_tidy(labels: &[LabelPair]) -> bool {
    labels.is_sorted_by(|left, right| left.name() < right.name())
        && labels.iter().all(|label| !label.value().is_empty())
}

/// Sorts the labels and drops those without a value, which are as good as absent.
fn tidy(metric: &mut Metric) {
    let mut labels = metric.take_label();
    labels.retain(|label| !label.value().is_empty());
    labels.sort_by(|left, right| left.name().cmp(right.name()));
    metric.set_label(labels);
}

/// Refuses labels that Prometheus would refuse. They are sorted.
fn check_names(metrics: &[Metric], reserved: Option<&str>) -> Result<(), String> {
    fn names(labels: &[LabelPair]) -> impl Iterator<Item = &str> {
        labels.iter().map(LabelPair::name)
    }
    let mut known: &[LabelPair] = &[];
    for labels in metrics.iter().map(Metric::get_label) {
        // Series of one family have the same labels, as a rule.
        if names(known).eq(names(labels)) {
            continue;
        }
        if let Some([label, ..]) = labels.windows(2).find(|pair| pair[0].name() == pair[1].name()) {
            return Err(format!("it has the label {:?} twice", label.name()));
        }
        let is_allowed = |name: &str| is_label_name(name) && Some(name) != reserved;
        if let Some(label) = names(labels).find(|name| !is_allowed(name)) {
            return Err(format!("its label {label:?} is not allowed"));
        }
        known = labels;
    }
    Ok(())
}

/// Only labels that are sorted can be compared like this.
fn by_labels(left: &Metric, right: &Metric) -> Ordering {
    fn pairs(metric: &Metric) -> impl Iterator<Item = (&str, &str)> {
        metric.get_label().iter().map(|label| (label.name(), label.value()))
    }
    pairs(left).cmp(pairs(right))
}

fn clash(family: &MetricFamily, key: &GroupingKey) -> Option<Refusal> {
    let mut labels = family.get_metric().iter().flat_map(Metric::get_label).map(LabelPair::name);
    let label = labels.find(|label| key.has_label(label))?;
    Some(Refusal {
        metric: family.name().to_owned(),
        reason: format!("its label {label:?} belongs to the grouping key {key}"),
    })
}

fn type_name(family: &MetricFamily) -> &'static str {
    match family.get_field_type() {
        MetricType::COUNTER => "counter",
        MetricType::GAUGE => "gauge",
        MetricType::SUMMARY => "summary",
        MetricType::UNTYPED => "untyped metric",
        MetricType::HISTOGRAM => "histogram",
    }
}

#[cfg(test)]
mod tests {
    use prometheus::core::{Collector, Desc};
    use prometheus::{GaugeVec, Opts};

    use super::*;
    use crate::metrics::Catalog;

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
        snapshot.families().iter().map(MetricFamily::name).collect()
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
        let metric = &snapshot.families()[0].get_metric()[0];
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
        assert_eq!(snapshot.families()[0].get_metric().len(), 2);
        assert_eq!(snapshot.families()[1].get_field_type(), MetricType::GAUGE);
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
        Catalog::of(&registry).unwrap().counter("ours_total", "Ours.").unwrap();
        let snapshot = Snapshot::gather(&registry);
        assert_eq!(names(&snapshot), ["ours_total", "theirs"]);
        assert_eq!(snapshot.families()[1].get_metric()[0].get_label().len(), 0);
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

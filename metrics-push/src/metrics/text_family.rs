//! `TextFamily`: the series of a metric of this crate, in the text format.
//!
//! A registry allocates memory several times for each series, which takes most of the time and memory of a large push.
//! Therefore the collectors of this crate write text while this crate gathers a registry, and return a placeholder for all
//! series of a metric. If the registry did not change the placeholder, the text replaces it. Otherwise the series replace it,
//! because the registry can have a prefix, labels, and other collectors with the same name.

use std::cell::RefCell;
use std::fmt;
use std::sync::Arc;

use prometheus::proto::{Gauge, Metric, MetricFamily};

/// The series of a metric, in the text format.
#[derive(Clone)]
pub(super) struct TextFamily {
    /// The whole family. Its series are sorted by their labels.
    pub(super) text: String,
    pub(super) source: Arc<dyn LabeledSeries>,
}

/// The metric whose series are text.
pub(super) trait LabeledSeries: Send + Sync {
    fn name(&self) -> &str;

    /// Returns the names of the labels that each series has.
    fn label_names(&self) -> &[String];

    /// Returns the series.
    fn metrics(&self) -> Vec<Metric>;
}

impl fmt::Debug for TextFamily {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// A family that a registry has gathered.
pub(super) enum GatheredFamily {
    Metrics(MetricFamily),
    /// The first field has the name, the help text and the type, but no series.
    Text(MetricFamily, TextFamily),
}

thread_local! {
    /// What the collectors of this crate have written on this thread. `None` if they must not write text.
    static WRITTEN: RefCell<Option<Vec<TextFamily>>> = const { RefCell::new(None) };
}

/// Calls `gather`, which gathers a registry, while the collectors of this crate write text. If a collector of the program has
/// changed one of their placeholders, `gather` is called again, and the collectors return series.
pub(super) fn gather_text(gather: impl Fn() -> Vec<MetricFamily>) -> Vec<GatheredFamily> {
    WRITTEN.set(Some(Vec::new()));
    let gathered = gather();
    let written = WRITTEN.take().unwrap_or_default();
    replace_placeholders(gathered, written)
        .unwrap_or_else(|| gather().into_iter().map(GatheredFamily::Metrics).collect())
}

/// Returns a placeholder for the series of a metric if they must be text, and if `write` can write them.
pub(super) fn placeholder(write: impl FnOnce() -> Option<TextFamily>) -> Option<Metric> {
    // The program may gather while the thread ends, when the variable does not exist any more.
    let is_text = WRITTEN.try_with(|written| written.borrow().is_some()).unwrap_or(false);
    let family = if is_text { write()? } else { return None };
    WRITTEN.with_borrow_mut(|written| {
        let written = written.as_mut()?;
        written.push(family);
        Some(numbered_placeholder(written.len() - 1))
    })
}

/// The time of the first placeholder.
const FIRST_TIME: i64 = i64::MIN;

/// Returns the placeholder of the family with this index. No metric of a program has its time and its value.
fn numbered_placeholder(index: usize) -> Metric {
    const VALUE: f64 = -5.486_124_068_793_689e303;

    let mut value = Gauge::default();
    value.set_value(VALUE);
    let mut placeholder = Metric::from_gauge(value);
    placeholder.set_timestamp_ms(FIRST_TIME.saturating_add_unsigned(index as u64));
    placeholder
}

/// Replaces each placeholder by its text or by its series. Returns `None` if one is changed or missing.
fn replace_placeholders(
    gathered: Vec<MetricFamily>,
    written: Vec<TextFamily>,
) -> Option<Vec<GatheredFamily>> {
    let mut written: Vec<_> = written.into_iter().map(Some).collect();
    let mut replaced = Vec::with_capacity(gathered.len());
    for mut family in gathered {
        // A registry sorts series without labels first, and the earliest of them before the others.
        let time = family.get_metric().first().map_or(0, Metric::timestamp_ms);
        let index = usize::try_from(time.abs_diff(FIRST_TIME)).unwrap_or(usize::MAX);
        let Some(text) = written.get_mut(index) else {
            replaced.push(GatheredFamily::Metrics(family));
            continue;
        };
        let text = text.take()?;
        let mut placeholder = family.mut_metric().remove(0);
        let labels = placeholder.take_label();
        if placeholder != numbered_placeholder(index) {
            return None;
        }
        let is_changed = family.name() != text.source.name() || !labels.is_empty();
        replaced.push(if is_changed || !family.get_metric().is_empty() {
            family.mut_metric().extend(text.source.metrics().into_iter().map(|mut metric| {
                let mut all = metric.take_label();
                all.extend_from_slice(&labels);
                metric.set_label(all);
                metric
            }));
            GatheredFamily::Metrics(family)
        } else {
            GatheredFamily::Text(family, text)
        });
    }
    written.iter().all(Option::is_none).then_some(replaced)
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;
    use std::time::Duration;

    use prometheus::core::{Collector, Desc};
    use prometheus::{GaugeVec, IntGauge, Opts, Registry};

    use super::*;
    use crate::metrics::{MetricFactory, RegistrySource, Snapshot};

    /// Registers a gauge of this crate with two series.
    fn register_gauge(registry: &Registry) {
        let gauge = MetricFactory::with(registry).gauge_vec("rows", "Rows.", &["z", "a"]).unwrap();
        gauge.with_label_values(&["1", "y"]).set(1.0);
        gauge.with_label_values(&["2", "x"]).set(2.5);
    }

    /// Gathers a registry while the collectors of this crate write text, although other registries have such collectors.
    fn text_snapshot(registry: &Registry) -> Snapshot {
        let snapshot = Snapshot::from_gathered(gather_text(|| registry.gather()));
        assert_eq!(snapshot.rejections(), []);
        snapshot
    }

    /// Gathers a registry, and returns its families in the text format.
    fn encoded(registry: &Registry) -> String {
        text_snapshot(registry).encode().into_values().collect()
    }

    fn is_text(registry: &Registry) -> bool {
        let gathered = gather_text(|| registry.gather());
        gathered.iter().all(|family| matches!(family, GatheredFamily::Text(..)))
    }

    const HEAD: &str = "# HELP rows Rows.\n# TYPE rows gauge\n";

    #[test]
    fn text_has_sorted_labels_and_series() {
        let registry = Registry::new();
        register_gauge(&registry);
        assert!(is_text(&registry));
        let samples = "rows{a=\"x\",z=\"2\"} 2.5\nrows{a=\"y\",z=\"1\"} 1\n";
        assert_eq!(encoded(&registry), format!("{HEAD}{samples}"));
        // The program gathers series.
        assert_eq!(registry.gather()[0].get_metric().len(), 2);
    }

    #[test]
    fn text_of_own_metrics_is_that_of_the_encoder() {
        let registry = Registry::new();
        let factory = MetricFactory::with(&registry);
        factory.counter("a_total", "A \\ and\nmore.").unwrap().inc();
        factory.histogram("b_seconds", "B.").unwrap().observe(0.3);
        let gauge = factory.gauge_vec("c", "C.", &["v", "empty"]).unwrap();
        for value in ["", "\0", "a", "a\u{1}", "ab", "é", "\u{10ffff}", "\"\n\\"] {
            gauge.with_label_values(&[value, "x"]).set(-0.5);
        }
        factory.gauge_vec("d", "D.", &["v"]).unwrap();
        let mut expected = Snapshot::from_families(registry.gather());
        assert_eq!(encoded(&registry), expected.encode().into_values().collect::<String>());
    }

    #[test]
    fn registry_with_prefix_and_labels_changes_the_series() {
        let labels = HashMap::from([("region".to_owned(), "eu".to_owned())]);
        let registry = Registry::new_custom(Some("shop".into()), Some(labels)).unwrap();
        register_gauge(&registry);
        assert!(!is_text(&registry));
        let mut expected = Snapshot::from_families(registry.gather());
        let text = encoded(&registry);
        assert!(text.contains("shop_rows{a=\"x\",region=\"eu\",z=\"2\"} 2.5\n"), "{text}");
        assert_eq!(text, expected.encode().into_values().collect::<String>());
    }

    #[test]
    fn registries_with_the_same_metric_are_merged() {
        let [one, other] = [Registry::new(), Registry::new()];
        register_gauge(&one);
        let gauge = MetricFactory::with(&other).gauge_vec("rows", "Rows.", &["z", "a"]).unwrap();
        gauge.with_label_values(&["1", "xx"]).set(7.0);
        let mut snapshot = text_snapshot(&one);
        snapshot.merge(text_snapshot(&other));
        let samples =
            "rows{a=\"x\",z=\"2\"} 2.5\nrows{a=\"xx\",z=\"1\"} 7\nrows{a=\"y\",z=\"1\"} 1\n";
        assert_eq!(snapshot.encode()["rows"], format!("{HEAD}{samples}"));
    }

    /// A collector of a program that gathers another registry and changes its families.
    struct Changing(Desc, Registry, fn(&mut MetricFamily));

    impl Collector for Changing {
        fn desc(&self) -> Vec<&Desc> {
            vec![&self.0]
        }

        fn collect(&self) -> Vec<MetricFamily> {
            let mut families = self.1.gather();
            families.iter_mut().for_each(self.2);
            families
        }
    }

    fn register_changing(registry: &Registry, inner: Registry, change: fn(&mut MetricFamily)) {
        let desc = Desc::new("y".into(), "Y.".into(), vec![], HashMap::new()).unwrap();
        registry.register(Box::new(Changing(desc, inner, change))).unwrap();
    }

    #[test]
    fn series_of_another_collector_are_added_to_those_of_the_text() {
        let (registry, inner) = (Registry::new(), Registry::new());
        register_gauge(&registry);
        let theirs = GaugeVec::new(Opts::new("rows", "Rows."), &["b"]).unwrap();
        theirs.with_label_values(&["t"]).set(3.0);
        inner.register(Box::new(theirs)).unwrap();
        register_changing(&registry, inner, |_| {});
        let samples = "rows{a=\"x\",z=\"2\"} 2.5\nrows{a=\"y\",z=\"1\"} 1\nrows{b=\"t\"} 3\n";
        assert_eq!(encoded(&registry), format!("{HEAD}{samples}"));
    }

    #[test]
    fn collector_that_changes_families_gets_series() {
        let changes: [fn(&mut MetricFamily); 5] = [
            |_| {},
            |family| family.set_name("lines".into()),
            |family| family.mut_metric().retain(|metric| !metric.get_label().is_empty()),
            |family| family.mut_metric().iter_mut().for_each(|metric| metric.set_timestamp_ms(7)),
            |family| {
                for metric in family.mut_metric() {
                    let mut gauge = Gauge::default();
                    gauge.set_value(metric.get_label().len() as f64);
                    metric.set_gauge(gauge);
                }
            },
        ];
        for (number, change) in changes.into_iter().enumerate() {
            let inner = Registry::new();
            register_gauge(&inner);
            let registry = Registry::new();
            registry.register(Box::new(IntGauge::new("x", "X.").unwrap())).unwrap();
            register_changing(&registry, inner, change);
            let mut expected = Snapshot::from_families(registry.gather());
            let expected: String = expected.encode().into_values().collect();
            assert_eq!(encoded(&registry), expected, "{number}");
        }
    }

    #[test]
    fn collector_of_the_program_gathers_series_of_another_registry() {
        let (registry, inner) = (Registry::new(), Registry::new());
        register_gauge(&inner);
        // The registry has metrics of this crate, too.
        MetricFactory::with(&registry).counter("a_total", "A.").unwrap();
        register_changing(&registry, inner, |family| {
            family.set_name(format!("series_{}", family.get_metric().len()));
        });
        let source = RegistrySource::Own(registry);
        let mut snapshot = Snapshot::gather(&source, Duration::from_secs(60));
        assert!(snapshot.encode().contains_key("series_2"));
    }
}

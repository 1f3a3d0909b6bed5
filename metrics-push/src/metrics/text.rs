//! The text format, version 0.0.4, written straight from gathered families.
//!
//! One family at a time: HELP, TYPE, then a line per sample, each ended by a line feed. Counts of
//! histograms and summaries are exact integers, other numbers the shortest that read back as the same.
//! Timestamps are never written: the gateway refuses them.

use std::hint::black_box;

use super::model::{counter_value, gauge_value, untyped_value};
use super::proto::{Metric, MetricFamily, MetricType};

/// Room for a line, so that the text of many series is not moved about while it grows.
const USUAL_LINE: usize = 64;

/// How many metrics are brought near at once: few enough that they are still there when they are written.
const BATCH: usize = 32;

/// Appends a family. Nothing is written for one without metrics.
pub(crate) fn write_family(family: &MetricFamily, text: &mut String) {
    if family.get_metric().is_empty() {
        return;
    }
    write_head(family, text);
    text.reserve(family.get_metric().len() * USUAL_LINE);
    let mut samples = Samples { name: family.name(), text, labels: String::new() };
    for batch in family.get_metric().chunks(BATCH) {
        bring_near(batch);
        for metric in batch {
            samples.write(family.get_field_type(), metric);
        }
    }
}

/// Looks at every label. Those of many metrics are scattered over more memory than caches hold, and looking at
/// several at a time waits for it once where writing one after the other waits each time.
fn bring_near(metrics: &[Metric]) {
    let labels = metrics.iter().flat_map(Metric::get_label);
    let first = |text: &str| text.as_bytes().first().copied().unwrap_or_default();
    black_box(labels.fold(0, |seen, label| seen ^ first(label.name()) ^ first(label.value())));
}

fn write_head(family: &MetricFamily, text: &mut String) {
    let name = family.name();
    if !family.help().is_empty() {
        text.extend(["# HELP ", name, " "]);
        push_escaped(text, family.help(), b"\\\n");
        text.push('\n');
    }
    let word = match family.get_field_type() {
        MetricType::COUNTER => "counter",
        MetricType::GAUGE => "gauge",
        MetricType::SUMMARY => "summary",
        MetricType::UNTYPED => "untyped",
        MetricType::HISTOGRAM => "histogram",
    };
    text.extend(["# TYPE ", name, " ", word, "\n"]);
}

/// The lines of one family.
struct Samples<'a> {
    name: &'a str,
    text: &'a mut String,
    /// The labels of the metric that is being written, as they stand in each of its lines.
    labels: String,
}

/// A label that the format adds: a bucket's bound, a quantile.
type Extra = Option<(&'static str, f64)>;

impl Samples<'_> {
    fn write(&mut self, kind: MetricType, metric: &Metric) {
        self.read_labels(metric);
        match kind {
            MetricType::COUNTER => self.number(counter_value(metric)),
            MetricType::GAUGE => self.number(gauge_value(metric)),
            MetricType::UNTYPED => self.number(untyped_value(metric)),
            MetricType::HISTOGRAM => self.histogram(metric),
            MetricType::SUMMARY => self.summary(metric),
        }
    }

    fn read_labels(&mut self, metric: &Metric) {
        self.labels.clear();
        for label in metric.get_label() {
            if !self.labels.is_empty() {
                self.labels.push(',');
            }
            self.labels.push_str(label.name());
            self.labels.push_str("=\"");
            push_escaped(&mut self.labels, label.value(), b"\\\n\"");
            self.labels.push('"');
        }
    }

    fn number(&mut self, value: f64) {
        self.series("", None);
        self.value(value);
    }

    fn histogram(&mut self, metric: &Metric) {
        let histogram = metric.get_histogram();
        for bucket in histogram.get_bucket() {
            self.series("_bucket", Some(("le", bucket.upper_bound())));
            self.count(bucket.cumulative_count());
        }
        if histogram.get_bucket().last().is_none_or(|last| last.upper_bound() != f64::INFINITY) {
            self.series("_bucket", Some(("le", f64::INFINITY)));
            self.count(histogram.get_sample_count());
        }
        self.series("_sum", None);
        self.value(histogram.get_sample_sum());
        self.series("_count", None);
        self.count(histogram.get_sample_count());
    }

    fn summary(&mut self, metric: &Metric) {
        let summary = metric.get_summary();
        for quantile in summary.get_quantile() {
            self.series("", Some(("quantile", quantile.quantile())));
            self.value(quantile.value());
        }
        self.series("_sum", None);
        self.value(summary.sample_sum());
        self.series("_count", None);
        self.count(summary.sample_count());
    }

    /// The name and the labels of a line.
    fn series(&mut self, suffix: &str, extra: Extra) {
        self.text.push_str(self.name);
        self.text.push_str(suffix);
        if self.labels.is_empty() && extra.is_none() {
            self.text.push(' ');
            return;
        }
        self.text.push('{');
        self.text.push_str(&self.labels);
        if let Some((name, value)) = extra {
            if !self.labels.is_empty() {
                self.text.push(',');
            }
            self.text.push_str(name);
            self.text.push_str("=\"");
            push_number(self.text, value);
            self.text.push('"');
        }
        self.text.push_str("} ");
    }

    fn value(&mut self, value: f64) {
        push_number(self.text, value);
        self.text.push('\n');
    }

    fn count(&mut self, count: u64) {
        push_integer(self.text, count);
        self.text.push('\n');
    }
}

fn push_escaped(text: &mut String, value: &str, special: &[u8]) {
    let mut rest = value;
    while let Some(position) = rest.bytes().position(|byte| special.contains(&byte)) {
        let (plain, escaped) = rest.split_at(position);
        let (character, behind) = escaped.split_at(1);
        text.extend([plain, "\\", if character == "\n" { "n" } else { character }]);
        rest = behind;
    }
    text.push_str(rest);
}

/// Whole numbers up to here have a float of their own.
const EXACT: f64 = 9_007_199_254_740_992.0;

fn push_number(text: &mut String, value: f64) {
    let magnitude = value.abs();
    // Most values are whole.
    if magnitude <= EXACT && magnitude == (magnitude as u64) as f64 {
        if value.is_sign_negative() {
            text.push('-');
        }
        push_integer(text, magnitude as u64);
    } else if value.is_finite() {
        text.push_str(zmij::Buffer::new().format_finite(value));
    } else {
        text.push_str(match value {
            f64::INFINITY => "+Inf",
            f64::NEG_INFINITY => "-Inf",
            _ => "NaN",
        });
    }
}

fn push_integer(text: &mut String, number: u64) {
    const LONGEST: usize = 20;
    let mut digits = [b'0'; LONGEST];
    let mut start = LONGEST;
    let mut rest = number;
    while rest > 0 || start == LONGEST {
        start -= 1;
        digits[start] += (rest % 10) as u8;
        rest /= 10;
    }
    text.push_str(str::from_utf8(&digits[start..]).unwrap_or_default());
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use prometheus::{
        CounterVec, GaugeVec, HistogramOpts, HistogramVec, Opts, Registry, TextEncoder,
    };
    use proptest::prelude::*;

    use super::*;
    use crate::metrics::proto::{Quantile, Summary};

    fn written(families: &[MetricFamily]) -> String {
        let mut text = String::new();
        families.iter().for_each(|family| write_family(family, &mut text));
        text
    }

    #[test]
    fn a_registry_reads_as_the_format_wants() {
        let registry = Registry::new();
        let orders = CounterVec::new(Opts::new("orders", "A \\ and\na line."), &["x"]).unwrap();
        orders.with_label_values(&["q\"b\\n\n\r\té"]).inc_by(3.0);
        let sizes =
            HistogramVec::new(HistogramOpts::new("size", "S.").buckets(vec![0.5, 1e22]), &[])
                .unwrap();
        sizes.with_label_values::<&str>(&[]).observe(0.25);
        registry.register(Box::new(orders)).unwrap();
        registry.register(Box::new(sizes)).unwrap();
        assert_eq!(
            written(&registry.gather()),
            "# HELP orders A \\\\ and\\na line.\n\
             # TYPE orders counter\n\
             orders{x=\"q\\\"b\\\\n\\n\r\té\"} 3\n\
             # HELP size S.\n\
             # TYPE size histogram\n\
             size_bucket{le=\"0.5\"} 1\n\
             size_bucket{le=\"1e+22\"} 1\n\
             size_bucket{le=\"+Inf\"} 1\n\
             size_sum 0.25\n\
             size_count 1\n"
        );
    }

    #[test]
    fn numbers_are_short_and_read_back_as_the_same() {
        for (number, text) in [
            (0.0, "0"),
            (-0.0, "-0"),
            (1.0, "1"),
            (-17.0, "-17"),
            (0.1, "0.1"),
            (1_758_000_000.25, "1758000000.25"),
            (9_007_199_254_740_992.0, "9007199254740992"),
            (1e20, "1e+20"),
            (1e21, "1e+21"),
            (1.5e300, "1.5e+300"),
            (5e-324, "5e-324"),
            (1e-5, "0.00001"),
            (-1e-6, "-1e-6"),
            (f64::INFINITY, "+Inf"),
            (f64::NEG_INFINITY, "-Inf"),
            (f64::NAN, "NaN"),
        ] {
            let mut written = String::new();
            push_number(&mut written, number);
            assert_eq!(written, text);
        }
    }

    #[test]
    fn counts_beyond_the_exact_floats_stay_exact() {
        let mut summary = Summary::default();
        summary.set_sample_count(u64::MAX);
        summary.set_sample_sum(f64::NAN);
        let mut quantile = Quantile::default();
        quantile.set_quantile(0.99);
        quantile.set_value(1.5);
        summary.set_quantile(vec![quantile]);
        let mut metric = Metric::default();
        metric.set_summary(summary);
        let mut family = MetricFamily::default();
        family.set_name("s".to_owned());
        family.set_field_type(MetricType::SUMMARY);
        family.set_metric(vec![metric]);
        assert_eq!(
            written(&[family]),
            "# TYPE s summary\ns{quantile=\"0.99\"} 1.5\ns_sum NaN\ns_count 18446744073709551615\n"
        );
    }

    #[test]
    fn untyped_families_are_written_where_others_give_up() {
        let mut family = MetricFamily::default();
        family.set_name("u".to_owned());
        family.set_field_type(MetricType::UNTYPED);
        family.set_metric(vec![Metric::default()]);
        assert_eq!(written(&[family]), "# TYPE u untyped\nu 0\n");
    }

    /// A family as a reader of the format understands it: NaN by its bits, everything else by value.
    #[derive(Debug, Default, PartialEq)]
    struct Read {
        kind: String,
        help: String,
        samples: BTreeMap<(String, BTreeMap<String, String>), u64>,
    }

    fn read(text: &str) -> BTreeMap<String, Read> {
        let mut families: BTreeMap<String, Read> = BTreeMap::new();
        let mut current = String::new();
        assert!(text.is_empty() || text.ends_with('\n'));
        for line in text.split_terminator('\n') {
            if let Some(rest) = line.strip_prefix("# HELP ") {
                let (name, help) = rest.split_once(' ').unwrap();
                families.entry(name.to_owned()).or_default().help = unescaped(help, None).0;
            } else if let Some(rest) = line.strip_prefix("# TYPE ") {
                let (name, kind) = rest.split_once(' ').unwrap();
                families.entry(name.to_owned()).or_default().kind = kind.to_owned();
                current = name.to_owned();
            } else {
                let (name, labels, value) = read_sample(line);
                let family = families.get_mut(&current).unwrap();
                assert_eq!(family.samples.insert((name, labels), value.to_bits()), None);
            }
        }
        families
    }

    fn read_sample(line: &str) -> (String, BTreeMap<String, String>, f64) {
        let end = line.find(['{', ' ']).unwrap();
        let (name, mut rest) = line.split_at(end);
        let mut labels = BTreeMap::new();
        while let Some((label, value)) =
            rest.strip_prefix(['{', ',']).unwrap_or("").split_once("=\"")
        {
            let (value, length) = unescaped(value, Some('"'));
            rest = &rest[1 + label.len() + 2 + length + 1..];
            let number = value.parse().map(|number: f64| number.to_string());
            let is_number = label == "le" || label == "quantile";
            labels.insert(label.to_owned(), if is_number { number.unwrap() } else { value });
        }
        let value: f64 = rest.trim_start_matches('}').trim_start().parse().unwrap();
        (name.to_owned(), labels, value)
    }

    /// The text up to a character that isn't escaped, or to the end; and how long it was when escaped.
    fn unescaped(text: &str, end: Option<char>) -> (String, usize) {
        let mut plain = String::new();
        let mut characters = text.char_indices();
        while let Some((position, character)) = characters.next() {
            match character {
                _ if Some(character) == end => return (plain, position),
                '\\' => match characters.next().unwrap().1 {
                    'n' => plain.push('\n'),
                    other => plain.push(other),
                },
                other => plain.push(other),
            }
        }
        (plain, text.len())
    }

    fn any_registry() -> impl Strategy<Value = Registry> {
        let label = prop_oneof![any::<String>(), "[\\\\\"\n a{},=]{0,6}"];
        let value = prop_oneof![any::<f64>(), (-1e6..1e6), (0..1000_i32).prop_map(f64::from)];
        let series = proptest::collection::vec(((label.clone(), label), value), 0..8);
        let metric = ("[\\\\\n \"a-zé]{1,9}", series, 0..3_u8);
        proptest::collection::vec(metric, 0..5).prop_map(|metrics| {
            let registry = Registry::new();
            for (number, (help, series, kind)) in metrics.into_iter().enumerate() {
                add_metric(&registry, &format!("metric_{number}"), &help, &series, kind);
            }
            registry
        })
    }

    type Series = ((String, String), f64);

    fn add_metric(registry: &Registry, name: &str, help: &str, series: &[Series], kind: u8) {
        let names = ["a", "b"];
        let opts = Opts::new(name, help);
        let each = |record: &dyn Fn(&[&str], f64)| {
            series.iter().for_each(|((a, b), value)| record(&[a.as_str(), b.as_str()], *value));
        };
        let registered = match kind {
            0 => {
                let metric = CounterVec::new(opts, &names).unwrap();
                each(&|labels, value| metric.with_label_values(labels).inc_by(value.abs()));
                registry.register(Box::new(metric))
            }
            1 => {
                let metric = GaugeVec::new(opts, &names).unwrap();
                each(&|labels, value| metric.with_label_values(labels).set(value));
                registry.register(Box::new(metric))
            }
            _ => {
                let opts = HistogramOpts::from(opts).buckets(vec![1e-7, 0.25, 3.0, 1e30]);
                let metric = HistogramVec::new(opts, &names).unwrap();
                each(&|labels, value| metric.with_label_values(labels).observe(value));
                registry.register(Box::new(metric))
            }
        };
        registered.unwrap();
    }

    proptest! {
        #[test]
        fn what_is_written_means_what_prometheus_own_encoder_means(registry in any_registry()) {
            let families = registry.gather();
            let theirs = TextEncoder::new().encode_to_string(&families).unwrap();
            prop_assert_eq!(read(&written(&families)), read(&theirs));
        }
    }
}

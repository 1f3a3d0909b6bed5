//! Tests of the text encoder, mostly against the `prometheus` crate's encoder.

use std::collections::BTreeMap;
use std::fmt;

use prometheus::proto::{Bucket, Counter, Gauge, Histogram, LabelPair, Quantile, Summary, Untyped};
use prometheus::{CounterVec, HistogramOpts, HistogramVec, Opts, Registry, TextEncoder};
use proptest::prelude::*;

use super::*;

fn encode(families: &[MetricFamily]) -> String {
    let mut text = String::new();
    families.iter().for_each(|family| write_family(family, &mut text));
    text
}

#[test]
fn encoder_escapes_and_formats_a_registry() {
    let registry = Registry::new();
    let orders = CounterVec::new(Opts::new("orders", "A \\ and\na line."), &["x"]).unwrap();
    orders.with_label_values(&["q\"b\\n\n\r\té"]).inc_by(3.0);
    let sizes =
        HistogramVec::new(HistogramOpts::new("size", "S.").buckets(vec![0.5, 1e22]), &[]).unwrap();
    sizes.with_label_values::<&str>(&[]).observe(0.25);
    registry.register(Box::new(orders)).unwrap();
    registry.register(Box::new(sizes)).unwrap();
    assert_eq!(
        encode(&registry.gather()),
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
fn numbers_are_encoded_in_shortest_form() {
    for (number, text) in [
        (0.0, "0"),
        (-0.0, "-0"),
        (1.0, "1"),
        (-17.0, "-17"),
        (0.1, "0.1"),
        (1_758_000_000.25, "1758000000.25"),
        (9_007_199_254_740_992.0, "9007199254740992"),
        (1.8e19, "1.8e+19"),
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
        let mut encoded = String::new();
        push_number(&mut encoded, number);
        assert_eq!(encoded, text);
    }
}

#[test]
fn counts_above_the_largest_exact_integer_are_exact() {
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
        encode(&[family]),
        "# TYPE s summary\ns{quantile=\"0.99\"} 1.5\ns_sum NaN\ns_count 18446744073709551615\n"
    );
}

#[test]
#[allow(deprecated, reason = "there is no other way to create an untyped metric")]
fn encoder_supports_untyped_families() {
    let mut untyped = Untyped::default();
    untyped.set_value(1.5);
    let mut metric = Metric::default();
    metric.set_untyped(untyped);
    let mut family = MetricFamily::default();
    family.set_name("u".to_owned());
    family.set_field_type(MetricType::UNTYPED);
    family.set_metric(vec![metric]);
    assert_eq!(encode(&[family]), "# TYPE u untyped\nu 1.5\n");
}

/// A parsed family. Samples are compared by their bits, so that NaN equals NaN.
#[derive(Debug, Default, PartialEq)]
struct ParsedFamily {
    kind: String,
    help: String,
    samples: BTreeMap<(String, BTreeMap<String, String>), u64>,
}

fn parse(text: &str) -> BTreeMap<String, ParsedFamily> {
    let mut families: BTreeMap<String, ParsedFamily> = BTreeMap::new();
    let mut current = String::new();
    assert!(text.is_empty() || text.ends_with('\n'));
    for line in text.split_terminator('\n') {
        if let Some(rest) = line.strip_prefix("# HELP ") {
            let (name, help) = rest.split_once(' ').unwrap();
            families.entry(name.to_owned()).or_default().help = unescape(help, None).0;
        } else if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, kind) = rest.split_once(' ').unwrap();
            families.entry(name.to_owned()).or_default().kind = kind.to_owned();
            current = name.to_owned();
        } else {
            let (name, labels, value) = parse_sample(line);
            let family = families.get_mut(&current).unwrap();
            assert_eq!(family.samples.insert((name, labels), value.to_bits()), None);
        }
    }
    families
}

fn parse_sample(line: &str) -> (String, BTreeMap<String, String>, f64) {
    let end = line.find(['{', ' ']).unwrap();
    let (name, mut rest) = line.split_at(end);
    let mut labels = BTreeMap::new();
    while let Some((label, value)) = rest.strip_prefix(['{', ',']).unwrap_or("").split_once("=\"") {
        let (value, length) = unescape(value, Some('"'));
        rest = &rest[1 + label.len() + 2 + length + 1..];
        let number = value.parse().map(|number: f64| number.to_string());
        let is_number = label == "le" || label == "quantile";
        labels.insert(label.to_owned(), if is_number { number.unwrap() } else { value });
    }
    let value: f64 = rest.trim_start_matches('}').trim_start().parse().unwrap();
    (name.to_owned(), labels, value)
}

/// Returns the text up to an unescaped `end` or to the end of the input, and its length in the input.
fn unescape(text: &str, end: Option<char>) -> (String, usize) {
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

/// Sets of labels, all different, with their names in any order.
fn any_label_sets() -> impl Strategy<Value = Vec<Vec<(String, String)>>> {
    let value = prop_oneof![any::<String>(), "[\\\\\"\n a{},=]{0,6}"];
    let labels = proptest::collection::btree_map("[a-d_][a-d0-9_]{0,2}", value, 0..5);
    proptest::collection::btree_set(labels, 1..6).prop_flat_map(|sets| {
        let shuffled =
            |set: BTreeMap<_, _>| Just(set.into_iter().collect::<Vec<_>>()).prop_shuffle();
        sets.into_iter().map(shuffled).collect::<Vec<_>>()
    })
}

fn any_value() -> impl Strategy<Value = f64> {
    let special =
        [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 0.0, -0.0, f64::MIN_POSITIVE, f64::MAX];
    prop_oneof![
        any::<f64>(),
        any::<u64>().prop_map(f64::from_bits),
        -1e6..1e6,
        (0..1000_i32).prop_map(f64::from),
        any::<i64>().prop_map(|number| number as f64),
        proptest::sample::select(special.to_vec()),
    ]
}

/// Pairs whose first numbers are all different, such as the bounds of buckets. The numbers are compared by their bits,
/// because floats are not `Ord`.
fn any_points<T: fmt::Debug>(
    value: impl Strategy<Value = T>,
) -> impl Strategy<Value = Vec<(f64, T)>> {
    let point = any_value().prop_filter("NaN is not ordered", |point| !point.is_nan());
    let points = proptest::collection::btree_map(point.prop_map(f64::to_bits), value, 0..5);
    points
        .prop_map(|points| points.into_iter().map(|(bits, t)| (f64::from_bits(bits), t)).collect())
}

/// A metric with a value for every type, so that a family of any type can use it.
fn any_metric() -> impl Strategy<Value = Metric> {
    let numbers = (any::<u64>(), any_value());
    let points = (any_points(any::<u64>()), any_points(any_value()));
    (numbers, points).prop_map(|((count, value), (buckets, quantiles))| {
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
        histogram.set_bucket(buckets.into_iter().map(bucket).collect());
        metric.set_histogram(histogram);
        let mut summary = Summary::default();
        summary.set_sample_count(count);
        summary.set_sample_sum(value);
        summary.set_quantile(quantiles.into_iter().map(quantile).collect());
        metric.set_summary(summary);
        metric
    })
}

fn bucket((bound, count): (f64, u64)) -> Bucket {
    let mut bucket = Bucket::default();
    bucket.set_upper_bound(bound);
    bucket.set_cumulative_count(count);
    bucket
}

fn quantile((rank, value): (f64, f64)) -> Quantile {
    let mut quantile = Quantile::default();
    quantile.set_quantile(rank);
    quantile.set_value(value);
    quantile
}

fn any_family() -> impl Strategy<Value = MetricFamily> {
    let kinds =
        [MetricType::COUNTER, MetricType::GAUGE, MetricType::HISTOGRAM, MetricType::SUMMARY];
    let help = prop_oneof![any::<String>(), "[\\\\\n \"a-zé]{0,9}"];
    let metrics = any_label_sets().prop_flat_map(|sets| {
        let labelled = |set: Vec<(String, String)>| {
            any_metric().prop_map(move |mut metric| {
                metric.set_label(set.iter().map(|(name, value)| label(name, value)).collect());
                metric
            })
        };
        sets.into_iter().map(labelled).collect::<Vec<_>>()
    });
    (help, proptest::sample::select(kinds.to_vec()), metrics).prop_map(|(help, kind, metrics)| {
        let mut family = MetricFamily::default();
        family.set_help(help);
        family.set_field_type(kind);
        family.set_metric(metrics);
        family
    })
}

fn label(name: &str, value: &str) -> LabelPair {
    let mut label = LabelPair::default();
    label.set_name(name.to_owned());
    label.set_value(value.to_owned());
    label
}

proptest! {
    #[test]
    fn encoder_agrees_with_the_prometheus_crate(
        families in proptest::collection::vec(any_family(), 0..4),
    ) {
        let mut families = families;
        for (number, family) in families.iter_mut().enumerate() {
            family.set_name(format!("metric_{number}"));
        }
        let expected = TextEncoder::new().encode_to_string(&families).unwrap();
        prop_assert_eq!(parse(&encode(&families)), parse(&expected));
    }
}

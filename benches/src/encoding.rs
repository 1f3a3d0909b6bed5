//! Measures the encoding of many series as text, with the `prometheus` crate's encoder and with ours.
//!
//! `cargo run --release -p metrics-push-benches --bin encode` prints the tables. The plain writer formats the same lines
//! without families or escapes; it is the lower bound.

use std::fmt::Write as _;
use std::hint::black_box;
use std::time::Instant;

use metrics_push_benches::{Table, median, median_ratio};
use prometheus::proto::MetricFamily;
use prometheus::{GaugeVec, Opts, Registry, TextEncoder};

const SERIES: [usize; 3] = [1_000, 10_000, 100_000];
const ROUNDS: usize = 11;

/// The maximum ratio to the plain writer.
const MAX_RATIO: f64 = 2.0;

#[path = "../../metrics-push/src/metrics/proto_compat.rs"]
mod proto_compat;
#[path = "../../metrics-push/src/metrics/text_encoder.rs"]
mod text_encoder;

fn labels(number: usize) -> (String, f64) {
    (format!("service{number}"), number as f64 * 1.37)
}

fn gathered(series: usize) -> Vec<MetricFamily> {
    let registry = Registry::new();
    let opts = Opts::new("some_gauge_seconds", "A gauge.");
    let gauge = GaugeVec::new(opts, &["service", "payment"]).expect("valid names");
    for (service, value) in (0..series).map(labels) {
        gauge.with_label_values(&[service.as_str(), "card"]).set(value);
    }
    registry.register(Box::new(gauge)).expect("an empty registry");
    registry.gather()
}

fn plain(series: &[(String, f64)]) -> String {
    series.iter().fold(String::new(), |mut text, (service, value)| {
        let line =
            writeln!(text, "some_gauge_seconds{{payment=\"card\",service=\"{service}\"}} {value}");
        line.map(|()| text).expect("writing to a string does not fail")
    })
}

/// Reads every label without writing. Measures the cost of the scattered memory, which every encoder pays.
fn read(families: &[MetricFamily]) -> String {
    let metrics = families.iter().flat_map(MetricFamily::get_metric);
    let bytes = metrics.flat_map(|metric| {
        let ends = |text: &str| u64::from(text.as_bytes()[0]);
        metric.get_label().iter().map(move |label| ends(label.name()) + ends(label.value()))
    });
    black_box(bytes.fold(0, u64::wrapping_add));
    String::new()
}

fn milliseconds(encode: impl FnOnce() -> String) -> f64 {
    let started = Instant::now();
    black_box(encode());
    started.elapsed().as_secs_f64() * 1e3
}

pub(crate) fn print() {
    let mut table = Table::new(&[
        "series",
        "plain, ms",
        "reading, ms",
        "`TextEncoder`, ms",
        "ours, ms",
        "/ plain",
        "ours, ns per series",
    ]);
    let mut targets = Table::new(&["ratio", "measured", "at most", ""]);
    for count in SERIES {
        let series: Vec<_> = (0..count).map(labels).collect();
        let families = gathered(count);
        let [mut simple, mut reading, mut theirs, mut ours] = [const { Vec::new() }; 4];
        for _ in 0..ROUNDS {
            simple.push(milliseconds(|| plain(&series)));
            reading.push(milliseconds(|| read(&families)));
            theirs.push(milliseconds(|| TextEncoder::new().encode_to_string(&families).unwrap()));
            ours.push(milliseconds(|| {
                let mut body = String::new();
                families.iter().for_each(|family| text_encoder::write_family(family, &mut body));
                body
            }));
        }
        let ratio = median_ratio(&ours, &simple);
        let each = median(&ours) * 1e6 / count as f64;
        let [simple, reading, theirs, ours] =
            [&simple, &reading, &theirs, &ours].map(|times| format!("{:.2}", median(times)));
        table.row(&[
            &count.to_string(),
            &simple,
            &reading,
            &theirs,
            &ours,
            &format!("{ratio:.2}"),
            &format!("{each:.0}"),
        ]);
        targets.ratio(&format!("ours / plain, {count} series"), ratio, MAX_RATIO);
    }
    println!("{table}\n{targets}");
}

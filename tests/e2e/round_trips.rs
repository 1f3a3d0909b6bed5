//! Grouping keys and metrics that are pushed to the real gateway and read back.

use metrics_push::prometheus::{Gauge, Histogram, HistogramOpts, IntCounter, Registry};
use metrics_push::{Gateway, GroupingKey, Pusher, StoredValue};
use proptest::test_runner::{Config, TestRunner};

use crate::real::Pushgateway;

fn gauge(name: &str, value: f64) -> Gauge {
    let gauge = Gauge::new(name, "A gauge.").unwrap();
    gauge.set(value);
    gauge
}

/// Pushes to a job with the label `shard`, and asserts that the stored group has exactly these labels.
fn assert_round_trip(url: &str, gateway: &Gateway, job: &str, shard: &str) {
    let pusher = Pusher::new(url, job).unwrap().grouping("shard", shard).unwrap();
    pusher.collector(gauge("present", 1.0)).unwrap().push().unwrap();
    let groups = gateway.metrics().unwrap();
    let mut expected = vec![("job".to_owned(), job.to_owned())];
    expected.extend((!shard.is_empty()).then(|| ("shard".to_owned(), shard.to_owned())));
    let expected = expected.into_iter().collect();
    assert!(groups.iter().any(|group| group.labels == expected), "{expected:?} not in {groups:?}");
    let key = GroupingKey::new(job).unwrap().label("shard", shard).unwrap();
    gateway.delete(&key).unwrap();
}

#[test]
fn label_values_with_special_characters_round_trip() {
    let real = Pushgateway::start();
    let gateway = Gateway::new(real.url()).unwrap();
    let long = "x".repeat(255);
    for value in [
        "a b",
        "a+b",
        "a/b",
        "a%41",
        "q?x",
        "h#x",
        "etl:daily",
        "http:x",
        "..",
        ".",
        "...",
        "é",
        "a;b,c=d&e@f",
        "line\nbreak",
        "//",
        "/",
        "%2F",
        "@base64",
        "\\",
        "\"",
        "{}",
        "\u{1F980}",
        " ",
        &long,
    ] {
        assert_round_trip(&real.url(), &gateway, value, "plain");
        assert_round_trip(&real.url(), &gateway, "plain", value);
    }
    assert_round_trip(&real.url(), &gateway, "plain", "");
}

#[test]
fn random_label_values_round_trip() {
    let real = Pushgateway::start();
    let gateway = Gateway::new(real.url()).unwrap();
    let mut runner =
        TestRunner::new(Config { cases: 64, failure_persistence: None, ..Config::default() });
    let values = ("\\PC{1,12}", "\\PC{0,12}");
    runner
        .run(&values, |(job, shard)| {
            assert_round_trip(&real.url(), &gateway, &job, &shard);
            Ok(())
        })
        .unwrap();
}

#[test]
fn url_with_path_prefix_reaches_the_gateway() {
    let real = Pushgateway::with_flags(&["--web.route-prefix=/push/gateway"]);
    let origin = format!("http://{}", real.address());
    for base in ["/push/gateway", "/push/gateway/", "/push/gateway//"] {
        let url = format!("{origin}{base}");
        let gateway = Gateway::new(&url).unwrap();
        assert_round_trip(&url, &gateway, "prefixed", "x");
    }
    let error = Pusher::new(&origin, "lost").unwrap().collector(gauge("g", 1.0)).unwrap().push();
    let error = error.unwrap_err();
    assert!(error.is_config() && error.to_string().contains("path prefix"), "{error}");
}

#[test]
fn metrics_of_every_type_round_trip() {
    let real = Pushgateway::start();
    let registry = Registry::new();
    let counter = IntCounter::new("big_total", "The largest exact integer of a float.").unwrap();
    counter.inc_by(9_007_199_254_740_991);
    registry.register(Box::new(counter)).unwrap();
    let options = HistogramOpts::new("took_seconds", "A \\ back\nslash.").buckets(vec![0.5, 1.0]);
    let histogram = Histogram::with_opts(options).unwrap();
    [0.25, 0.75, 8.0].iter().for_each(|value| histogram.observe(*value));
    registry.register(Box::new(histogram)).unwrap();
    for (name, value) in
        [("nan", f64::NAN), ("inf", f64::INFINITY), ("tiny", 5e-324), ("neg", -0.1)]
    {
        registry.register(Box::new(gauge(name, value))).unwrap();
    }
    Pusher::new(real.url(), "types").unwrap().gatherer(&registry).push().unwrap();
    let group = Gateway::new(real.url()).unwrap().metrics().unwrap().remove(0);
    assert_eq!(group.value("big_total", &[]), Some(9_007_199_254_740_991.0));
    assert_eq!(group.value("inf", &[]), Some(f64::INFINITY));
    assert_eq!(group.value("tiny", &[]), Some(5e-324));
    assert_eq!(group.value("neg", &[]), Some(-0.1));
    assert!(group.value("nan", &[]).unwrap().is_nan());
    assert_eq!(group.families["took_seconds"].help, "A \\ back\nslash.");
    let expected = StoredValue::Histogram {
        buckets: vec![(0.5, 1.0), (1.0, 2.0), (f64::INFINITY, 3.0)],
        sum: 9.0,
        count: 3.0,
    };
    assert_eq!(group.families["took_seconds"].metrics[0].value, expected);
}

#[test]
fn type_conflict_with_another_group_is_explained() {
    let real = Pushgateway::start();
    let counter = IntCounter::new("contested", "A counter here.").unwrap();
    Pusher::new(real.url(), "first").unwrap().collector(counter).unwrap().push().unwrap();
    let second =
        Pusher::new(real.url(), "second").unwrap().collector(gauge("contested", 1.0)).unwrap();
    let error = second.push().unwrap_err();
    assert!(error.is_rejected() && error.status() == Some(400), "{error}");
    assert!(
        error.to_string().contains("contested") && error.to_string().contains("rename"),
        "{error}"
    );
}

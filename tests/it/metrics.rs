//! `MetricFactory` and its metrics: get-or-register, conflicts that name both places, exact totals.

use std::thread;
use std::time::Duration;

use metrics_push::prometheus::proto::MetricFamily;
use metrics_push::prometheus::{self, IntCounter, IntGauge, Registry};
use metrics_push::{Error, MetricFactory};

fn factory() -> (Registry, MetricFactory) {
    let registry = Registry::new();
    let factory = MetricFactory::with(&registry);
    (registry, factory)
}

fn text(registry: &Registry) -> String {
    prometheus::TextEncoder::new().encode_to_string(&registry.gather()).expect("typed families")
}

/// Asserts that the error of a conflict contains the difference and names both places.
fn assert_names_both_places(error: &Error, difference: &str, first_line: u32) {
    let text = error.to_string();
    assert!(error.is_metric() && text.contains(difference), "{text}");
    let places = text.matches(file!()).count();
    let registered = format!("registered: {}:{first_line}", file!());
    assert!(places == 2 && text.contains(&registered), "{text}");
}

#[test]
fn factories_of_one_registry_return_the_same_metric() {
    let (registry, factory) = factory();
    factory.counter("orders_total", "Orders.").unwrap().add(2);
    let elsewhere = thread::spawn({
        let registry = registry.clone();
        move || MetricFactory::with(&registry).counter("orders_total", "Orders.").unwrap().inc()
    });
    elsewhere.join().unwrap();
    assert_eq!(
        text(&registry),
        "# HELP orders_total Orders.\n# TYPE orders_total counter\norders_total 3\n"
    );
}

#[test]
fn metric_vec_has_one_series_per_set_of_label_values() {
    let (registry, factory) = factory();
    let orders = factory.counter_vec("orders_total", "Orders.", &["service", "payment"]).unwrap();
    orders.with_label_values(&["checkout", "card"]).inc();
    orders.with_label_values(&["checkout", "cash"]).add(2);
    orders.with_label_values(&["checkout", "card"]).inc();
    let _ = orders.with_label_values(&["check", "outcard"]);
    assert_eq!(
        text(&registry),
        "# HELP orders_total Orders.\n# TYPE orders_total counter\n\
         orders_total{payment=\"card\",service=\"checkout\"} 2\n\
         orders_total{payment=\"cash\",service=\"checkout\"} 2\n\
         orders_total{payment=\"outcard\",service=\"check\"} 0\n"
    );
}

#[test]
fn histogram_agrees_with_the_prometheus_crate() {
    let (registry, factory) = factory();
    let bounds = [0.1, 1.0, 10.0];
    let ours = factory.histogram_with_buckets("ours", "H.", &bounds).unwrap();
    let opts = prometheus::HistogramOpts::new("theirs", "H.").buckets(bounds.to_vec());
    let theirs = prometheus::Histogram::with_opts(opts).unwrap();
    registry.register(Box::new(theirs.clone())).unwrap();
    for value in [0.05, 0.1, 0.5, 1.0, 1.5, 10.0, 11.0, -3.0, 0.0] {
        ours.observe(value);
        theirs.observe(value);
    }
    let text = text(&registry);
    let (ours, theirs) = text.split_at(text.find("# HELP theirs").unwrap());
    assert_eq!(ours, theirs.replace("theirs", "ours"));
}

#[test]
fn histogram_counts_nan_in_the_last_bucket() {
    let (registry, factory) = factory();
    let histogram = factory.histogram_with_buckets("h", "H.", &[1.0]).unwrap();
    histogram.observe(f64::NAN);
    assert!(text(&registry).contains("h_bucket{le=\"1\"} 0\nh_bucket{le=\"+Inf\"} 1\nh_sum NaN"));
}

#[test]
fn histogram_sum_does_not_depend_on_the_order() {
    let (_registry, factory) = factory();
    let values = [1e16, 1.0, -1e16, 3.25, 1e9, 0.1, 0.2, 0.3, 0.0];
    let sums = (0..values.len()).map(|start| {
        let histogram = factory.histogram(&format!("h{start}"), "H.").unwrap();
        let rotated = (0..values.len()).map(|step| values[(start + step * 4) % values.len()]);
        rotated.for_each(|value| histogram.observe(value));
        histogram.sum()
    });
    assert_eq!(sums.collect::<Vec<_>>(), [1_000_000_004.85; 9]);
}

#[test]
fn gauge_is_set_increased_and_decreased() {
    let (registry, factory) = factory();
    let gauge = factory.gauge_vec("temperature_celsius", "T.", &["room"]).unwrap();
    gauge.with_label_values(&["cellar"]).set(-3.5);
    gauge.with_label_values(&["cellar"]).inc();
    gauge.with_label_values(&["cellar"]).sub(0.25);
    assert!(text(&registry).contains("temperature_celsius{room=\"cellar\"} -2.75\n"));
}

#[test]
fn metric_of_another_type_is_a_conflict() {
    let (_registry, factory) = factory();
    let first = line!() + 1;
    factory.counter("a", "A.").unwrap();
    let error = factory.gauge("a", "A.").unwrap_err();
    assert_names_both_places(&error, "requested as a gauge but registered as a counter", first);
}

#[test]
fn metric_with_other_labels_help_or_buckets_is_a_conflict() {
    let (_registry, factory) = factory();
    let first = line!() + 1;
    factory.histogram_vec_with_buckets("a", "A.", &[1.0], &["x"]).unwrap();
    let labels = factory.histogram_vec_with_buckets("a", "A.", &[1.0], &["y"]).unwrap_err();
    assert_names_both_places(
        &labels,
        r#"requested with labels ["y"] but registered with ["x"]"#,
        first,
    );
    let buckets = factory.histogram_vec_with_buckets("a", "A.", &[2.0], &["x"]).unwrap_err();
    assert_names_both_places(
        &buckets,
        "requested with buckets [2.0] but registered with [1.0]",
        first,
    );
    let help = factory.histogram_vec_with_buckets("a", "B.", &[1.0], &["x"]).unwrap_err();
    assert_names_both_places(&help, r#"requested with help "B." but registered with "A.""#, first);
}

#[test]
fn name_registered_through_prometheus_is_a_conflict() {
    let (registry, factory) = factory();
    registry.register(Box::new(IntCounter::new("a", "A.").unwrap())).unwrap();
    for error in [factory.counter("a", "A.").unwrap_err(), factory.gauge("a", "B.").unwrap_err()] {
        let text = error.to_string();
        assert!(text.contains("registered: through the prometheus crate"), "{text}");
        assert!(text.contains(file!()) && error.is_metric(), "{text}");
    }
    assert_eq!(registry.gather().len(), 1);
}

#[test]
fn invalid_names_and_buckets_are_errors() {
    let (registry, factory) = factory();
    for error in [
        factory.counter("my-metric", "A.").unwrap_err(),
        factory.counter_vec("a", "A.", &["b-c"]).unwrap_err(),
        factory.counter_vec("a", "A.", &["b", "b"]).unwrap_err(),
        factory.counter("a", "").unwrap_err(),
        factory.histogram_vec("a", "A.", &["le"]).unwrap_err(),
        factory.histogram_with_buckets("a", "A.", &[]).unwrap_err(),
        factory.histogram_with_buckets("a", "A.", &[1.0, 1.0]).unwrap_err(),
        factory.histogram_with_buckets("a", "A.", &[f64::INFINITY]).unwrap_err(),
    ] {
        assert!(error.to_string().contains(file!()), "{error}");
    }
    assert_eq!(registry.gather().len(), 0);
}

#[test]
fn default_registry_is_that_of_the_prometheus_crate() {
    let theirs = prometheus::register_int_gauge!("theirs_in_use", "Theirs.").unwrap();
    theirs.set(4);
    metrics_push::counter("ours_in_use_total", "Ours.").unwrap().inc();
    let text = text(prometheus::default_registry());
    assert!(text.contains("theirs_in_use 4\n") && text.contains("ours_in_use_total 1\n"), "{text}");
    assert!(metrics_push::gauge("theirs_in_use", "Theirs.").is_err());
}

#[test]
fn unregistered_metric_is_registered_again_on_request() {
    let (registry, factory) = factory();
    factory.gauge("a", "A.").unwrap().set(3.0);
    registry.unregister(Box::new(IntGauge::new("a", "A.").unwrap())).unwrap();
    assert_eq!(registry.gather().len(), 0);
    factory.gauge("a", "A.").unwrap();
    assert!(text(&registry).contains("a 3\n"));
}

#[test]
fn registries_have_separate_metrics() {
    let (one, other) = (factory(), factory());
    one.1.counter("a", "A.").unwrap().inc();
    other.1.gauge("a", "B.").unwrap().set(7.0);
    assert!(text(&one.0).contains("a 1\n") && text(&other.0).contains("a 7\n"));
}

#[test]
fn concurrent_requests_return_the_same_metric() {
    let registry = Registry::new();
    thread::scope(|scope| {
        for _ in 0..16 {
            scope.spawn(|| {
                for number in 0..50 {
                    let factory = MetricFactory::with(&registry);
                    factory.counter(&format!("c{number}"), "C.").unwrap().inc();
                    let labelled = factory.counter_vec("labelled", "L.", &["number"]).unwrap();
                    labelled.with_label_values(&[&number.to_string()]).inc();
                }
            });
        }
    });
    let families = registry.gather();
    assert_eq!(families.len(), 51);
    let counts = families.iter().flat_map(MetricFamily::get_metric);
    assert!(counts.clone().all(|metric| metric.get_counter().get_value() == 16.0));
    assert_eq!(counts.count(), 100);
}

#[test]
fn counts_of_ended_threads_are_preserved() {
    const THREADS: u64 = 64;
    const WAVES: u64 = 5;
    const COUNTS: u64 = 1_000_000 / (THREADS * WAVES);
    let (_registry, factory) = factory();
    let counter = factory.counter("calls_total", "Calls.").unwrap();
    let histogram = factory.histogram_with_buckets("sizes", "Sizes.", &[0.5, 1.5]).unwrap();
    for _ in 0..WAVES {
        thread::scope(|scope| {
            for thread in 0..THREADS {
                let (counter, histogram) = (&counter, &histogram);
                scope.spawn(move || {
                    for _ in 0..COUNTS {
                        counter.inc();
                        histogram.observe((thread % 3) as f64);
                    }
                });
            }
        });
    }
    let calls = THREADS * WAVES * COUNTS;
    assert_eq!((calls, counter.get(), histogram.count()), (1_000_000, calls, calls));
    let sum: u64 = (0..THREADS).map(|thread| thread % 3 * COUNTS * WAVES).sum();
    assert_eq!(histogram.sum(), sum as f64);
}

#[test]
fn threads_without_a_slot_lose_no_counts() {
    const THREADS: usize = 150;
    let (_registry, factory) = factory();
    let counter = factory.counter("calls_total", "Calls.").unwrap();
    let histogram = factory.histogram_with_buckets("sizes", "Sizes.", &[0.5]).unwrap();
    let all_started = std::sync::Barrier::new(THREADS);
    thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                counter.inc();
                all_started.wait();
                for _ in 0..1000 {
                    counter.inc();
                    histogram.observe(0.25);
                }
            });
        }
    });
    assert_eq!(counter.get(), 150 * 1001);
    assert_eq!((histogram.count(), histogram.sum()), (150_000, 37_500.0));
}

/// Pseudo-random numbers, the same in every run.
fn random(seed: u64) -> impl Iterator<Item = u64> {
    let mut state = seed;
    std::iter::repeat_with(move || {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let word = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        word ^ (word >> 31)
    })
}

#[test]
fn histogram_counts_and_sum_are_exact_on_many_threads() {
    const THREADS: u64 = 8;
    const EACH: usize = 20_000;
    let bounds = metrics_push::DEFAULT_BUCKETS;
    // Nanoseconds of every magnitude, each bound, and the first nanosecond above each bound.
    let observed = |thread| {
        let on_bounds = bounds.iter().map(|bound| (bound * 1e9) as u64);
        let at_bounds = on_bounds.flat_map(|nanos| [nanos, nanos + 1]);
        random(thread).map(|word| (word >> 20) >> (word % 40)).take(EACH).chain(at_bounds)
    };
    let (registry, factory) = factory();
    let durations = factory.histogram("a_seconds", "A.").unwrap();
    let values = factory.histogram("b_seconds", "B.").unwrap();
    thread::scope(|scope| {
        for thread in 0..THREADS {
            let (durations, values) = (&durations, &values);
            scope.spawn(move || {
                for nanos in observed(thread) {
                    durations.observe_duration(Duration::from_nanos(nanos));
                    values.observe(nanos as f64 / 1e9);
                }
            });
        }
    });
    let all: Vec<_> = (0..THREADS).flat_map(observed).collect();
    let within =
        |bound: f64| all.iter().filter(|nanos| **nanos as f64 / 1e9 <= bound).count() as u64;
    let sum = all.iter().sum::<u64>() as f64 / 1e9;
    for family in registry.gather() {
        let histogram = family.get_metric()[0].get_histogram();
        assert_eq!(histogram.get_sample_count(), all.len() as u64, "{}", family.name());
        for bucket in histogram.get_bucket() {
            assert_eq!(bucket.cumulative_count(), within(bucket.upper_bound()), "{bucket:?}");
        }
        let error = (histogram.get_sample_sum() / sum - 1.0).abs();
        assert!(error <= f64::EPSILON, "{} has error {error}", family.name());
    }
    assert_eq!(durations.sum(), sum);
}

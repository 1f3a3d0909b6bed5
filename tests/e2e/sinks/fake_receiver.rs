//! Compares the fake receiver with the real Prometheus, and records the answers of other receivers.

use std::collections::BTreeMap;
use std::time::Duration;

use metrics_push::testing::FakeReceiver;

use crate::http::{Response, send};
use crate::real::Labels;
use crate::remote_write::{PATH, SentSeries, post, write};

use super::influx_db::InfluxDb;
use super::receivers::{RealReceiver, ReceiverKind, now};

const MINUTE: i64 = 60_000;

/// The requests of one situation, each with its series.
struct Situation {
    name: &'static str,
    requests: Vec<Vec<SentSeries>>,
}

/// Situations whose samples are relative to the present time. Each has its own job.
fn situations() -> Vec<Situation> {
    let now = now();
    let at = |name: &str, job: &str, samples: &[(i64, f64)]| {
        let samples: Vec<_> = samples.iter().map(|&(time, value)| (now + time, value)).collect();
        SentSeries::new(name, job, &samples)
    };
    let single = |name: &'static str, times: &[(i64, f64)]| Situation {
        name,
        requests: times.iter().map(|sample| vec![at("m", name, &[*sample])]).collect(),
    };
    let mut repeated = at("m", "repeated_label", &[(0, 1.0)]);
    repeated.labels.push(("job".into(), "other".into()));
    let mut unsorted = at("m", "unsorted", &[(0, 1.0)]);
    unsorted.labels.reverse();
    let mut unnamed = at("m", "unnamed", &[(0, 1.0)]);
    unnamed.labels.remove(0);
    let mut empty_label = at("m", "empty_label", &[(0, 1.0)]);
    empty_label.labels.push(("region".into(), String::new()));
    let mut special = at("m", "special_characters", &[(0, 1.0)]);
    special.labels.push(("v".into(), "a \"b\"\n\\ é/b, c=d".into()));
    let stale = f64::from_bits(0x7ff0_0000_0000_0002);
    vec![
        single("first", &[(0, 1.0)]),
        single("repeated", &[(0, 1.0), (0, 1.0)]),
        single("other_value", &[(0, 1.0), (0, 2.0)]),
        single("older", &[(0, 1.0), (-1, 1.0)]),
        single("replayed", &[(0, 1.0), (1, 2.0), (0, 1.0)]),
        single("new_series_59_minutes_old", &[(-59 * MINUTE, 1.0)]),
        single("new_series_61_minutes_old", &[(-61 * MINUTE, 1.0)]),
        single("new_series_a_day_old", &[(-24 * 60 * MINUTE, 1.0)]),
        single("new_series_three_days_old", &[(-3 * 24 * 60 * MINUTE, 1.0)]),
        single("infinite", &[(0, f64::INFINITY)]),
        single("ended", &[(0, 1.0), (1, stale)]),
        Situation {
            name: "one_old",
            requests: vec![
                vec![at("old", "one_old", &[(0, 1.0)])],
                vec![at("new", "one_old", &[(0, 1.0)]), at("old", "one_old", &[(-5, 1.0)])],
            ],
        },
        Situation {
            name: "out_of_order_in_request",
            requests: vec![vec![at("m", "out_of_order_in_request", &[(0, 1.0), (-9, 2.0)])]],
        },
        Situation {
            name: "in_order_in_request",
            requests: vec![vec![at("m", "in_order_in_request", &[(-20 * MINUTE, 1.0), (0, 2.0)])]],
        },
        Situation {
            name: "too_old_in_request",
            requests: vec![vec![at("m", "too_old_in_request", &[(-120 * MINUTE, 1.0), (0, 2.0)])]],
        },
        Situation {
            name: "twice_in_request",
            requests: vec![vec![
                at("m", "twice_in_request", &[(0, 1.0)]),
                at("m", "twice_in_request", &[(0, 2.0)]),
            ]],
        },
        Situation { name: "repeated_label", requests: vec![vec![repeated]] },
        Situation { name: "unsorted", requests: vec![vec![unsorted]] },
        Situation { name: "unnamed", requests: vec![vec![unnamed]] },
        Situation { name: "empty_label", requests: vec![vec![empty_label]] },
        Situation { name: "special_characters", requests: vec![vec![special]] },
        Situation { name: "empty", requests: vec![vec![]] },
    ]
}

/// A sample that sets the newest time of a receiver, so that the age of others is compared with it.
fn write_first(address: std::net::SocketAddr) {
    let first = SentSeries::new("first", "first_of_all", &[(now(), 1.0)]);
    assert_eq!(write(address, PATH, &[first]).status, 204);
}

/// The stored samples of a job. Stale markers are not part of the result of a query.
fn stored(receiver: &FakeReceiver, job: &str) -> BTreeMap<Labels, Vec<(i64, f64)>> {
    let millis = |point: &metrics_push::testing::Point| {
        let since_epoch = point.time.duration_since(std::time::UNIX_EPOCH).unwrap();
        (i64::try_from(since_epoch.as_millis()).unwrap(), point.value)
    };
    let series = receiver.series().into_iter().filter(|series| series.labels["job"] == job);
    let read = |series: metrics_push::testing::Series| {
        let mut labels = series.labels;
        if !series.name.is_empty() {
            labels.insert("__name__".into(), series.name);
        }
        let points = series.samples.iter().filter(|point| !point.is_stale_marker());
        (labels, points.map(millis).collect())
    };
    series.map(read).collect()
}

#[track_caller]
fn assert_same(kind: ReceiverKind, fake: &FakeReceiver) {
    let real = RealReceiver::start(kind);
    let addresses = [real.address(), fake.address()];
    addresses.into_iter().for_each(write_first);
    for Situation { name, requests } in situations() {
        for (number, request) in requests.iter().enumerate() {
            let [expected, found] = addresses.map(|address| write(address, PATH, request));
            assert_eq!(
                (found.status, found.text()),
                (expected.status, expected.text()),
                "{kind:?}: {name}, request {number}"
            );
        }
        assert_eq!(stored(fake, name), real.stored(name), "{kind:?}: {name}");
    }
}

#[test]
fn fake_receiver_accepts_the_same_samples_as_prometheus() {
    assert_same(ReceiverKind::Prometheus, &FakeReceiver::start());
}

#[test]
fn fake_receiver_accepts_the_same_samples_as_prometheus_with_a_window() {
    let window = Duration::from_secs(48 * 3_600);
    let fake = FakeReceiver::builder().out_of_order_window(window).start();
    assert_same(ReceiverKind::PrometheusOutOfOrder, &fake);
}

#[test]
fn fake_receiver_is_poisoned_by_the_future_like_prometheus() {
    let (real, fake) = (RealReceiver::start(ReceiverKind::Prometheus), FakeReceiver::start());
    for address in [real.address(), fake.address()] {
        write_first(address);
        for (minutes, then) in [(10, 204), (61, 400)] {
            let ahead = SentSeries::new("m", "ahead", &[(now() + minutes * MINUTE, 1.0)]);
            assert_eq!(write(address, PATH, &[ahead]).status, 204, "{minutes}");
            for name in ["first", "other"] {
                let series = SentSeries::new(name, "first_of_all", &[(now(), 1.0)]);
                let response = write(address, PATH, &[series]);
                assert_eq!(response.status, then, "{minutes}: {response:?}");
                assert!(then == 204 || response.text() == "out of bounds\n", "{response:?}");
            }
        }
    }
}

#[test]
fn fake_receiver_responds_to_invalid_requests_like_prometheus() {
    let (real, fake) = (RealReceiver::start(ReceiverKind::Prometheus), FakeReceiver::start());
    let empty = [0];
    let requests: [(&str, &str, &[u8]); 7] = [
        (PATH, "Content-Encoding: snappy\r\n", &empty),
        (PATH, "Content-Encoding: gzip\r\nContent-Type: text/plain\r\n", &empty),
        (PATH, "X-Prometheus-Remote-Write-Version: 2.0.0\r\n", &empty),
        (PATH, "", b"garbage"),
        (PATH, "", b""),
        ("/", "", &empty),
        ("/api/v1/push", "", &empty),
    ];
    for (path, headers, body) in requests {
        let answer = |address| {
            let response: Response = post(address, path, headers, body);
            let date = response.header("date").is_some();
            (
                response.status,
                date,
                response.header("x-prometheus-remote-write-samples-written").is_some(),
            )
        };
        assert_eq!(answer(fake.address()), answer(real.address()), "{path} {headers} {body:?}");
    }
    let get = |address| send(address, "GET", PATH, b"").unwrap().status;
    assert_eq!(get(fake.address()), get(real.address()));
}

#[test]
fn victoria_metrics_accepts_samples_of_any_age() {
    let receiver = RealReceiver::start(ReceiverKind::VictoriaMetrics);
    for Situation { name, requests } in situations() {
        for request in &requests {
            let response = write(receiver.address(), PATH, request);
            assert_eq!(response.status, 204, "{name}: {response:?}");
        }
    }
}

#[test]
fn influx_db_accepts_samples_of_any_age_except_infinite_ones() {
    let influx = InfluxDb::start();
    for Situation { name, requests } in situations() {
        for request in &requests {
            let response = write(influx.address(), "/api/v1/prom/write?db=batch", request);
            let expected = if name == "infinite" { 400 } else { 204 };
            assert_eq!(response.status, expected, "{name}: {response:?}");
        }
    }
}

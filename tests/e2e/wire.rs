//! Every form of a body against the real gateway: it reads back the same, and the fake one agrees on what is broken.

use std::time::Duration;

use metrics_push::{Gateway, GroupingKey, Pusher};
use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::TestRunner;

use crate::arbitrary_metrics::{any_families, registry};
use crate::fake_vs_real::{FakeVsReal, same};
use crate::http::{send, send_raw};
use crate::real::Pushgateway;

/// The samples and heads of one job, as the gateway exposes them.
fn exposed(gateway: &Pushgateway) -> Vec<String> {
    let text = send(gateway.address(), "GET", "/metrics", b"").unwrap().text();
    let is_ours = |line: &&str| line.contains("metric_") && !line.contains("push_");
    text.split('\n').filter(is_ours).map(str::to_owned).collect()
}

#[test]
fn every_form_reads_back_the_same() {
    const CASES: usize = 24;
    let gateway = Pushgateway::start();
    let keeper = Gateway::new(gateway.url()).unwrap();
    let key = GroupingKey::new("wire").unwrap();
    let mut runner = TestRunner::deterministic();
    for _ in 0..CASES {
        let families = any_families().new_tree(&mut runner).unwrap().current();
        let registry = registry(families.clone());
        let pusher = || {
            Pusher::new(gateway.url(), "wire")
                .unwrap()
                .gatherer(&registry)
                .map_gateway(|gateway| gateway.timeout(Duration::from_secs(20)))
        };
        pusher().push().unwrap();
        let text = exposed(&gateway);
        assert!(!text.is_empty(), "{families:?}");
        for other in [
            pusher().map_gateway(|gateway| gateway.protobuf()),
            pusher().map_gateway(|gateway| gateway.protobuf().gzip().unwrap()),
            pusher().map_gateway(|gateway| gateway.gzip().unwrap()),
        ] {
            keeper.delete(&key).unwrap();
            other.push().unwrap();
            assert_eq!(exposed(&gateway), text, "{families:?}");
        }
    }
}

#[test]
fn a_large_body_arrives_compressed() {
    const SERIES: usize = 20_000;
    let gateway = Pushgateway::start();
    let exposition: String =
        (0..SERIES).map(|number| format!("metric_rows{{number=\"{number}\"}} 1\n")).collect();
    let key = GroupingKey::new("wire").unwrap();
    let plain = Gateway::new(gateway.url()).unwrap();
    for gateway in [plain.clone().gzip().unwrap(), plain.clone().protobuf().gzip().unwrap()] {
        gateway.push(&key, &exposition.parse().unwrap()).unwrap();
        let held = gateway.metrics().unwrap();
        assert_eq!(held[0].value("metric_rows", &[("number", "19999")]), Some(1.0));
        gateway.delete(&key).unwrap();
    }
}

/// A length, and what it is the length of.
fn delimited(bytes: &[u8]) -> Vec<u8> {
    assert!(bytes.len() < 0x80);
    [&[u8::try_from(bytes.len()).unwrap()], bytes].concat()
}

fn field(number: u8, bytes: &[u8]) -> Vec<u8> {
    [&[number << 3 | 2][..], &delimited(bytes)].concat()
}

/// A family `a` of this type, with a metric for each of these messages.
fn family(kind: u8, metrics: &[&[u8]]) -> Vec<u8> {
    let metrics: Vec<_> = metrics.iter().map(|metric| field(4, metric)).collect();
    delimited(&[field(1, b"a"), vec![3 << 3, kind], metrics.concat()].concat())
}

#[test]
fn protobuf_is_answered_alike() {
    const EXACT: &str = "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited";
    let value = [&[1 << 3 | 1][..], &1.5_f64.to_le_bytes()].concat();
    let gauge = field(2, &value);
    let label = field(1, &[field(1, b"l"), field(2, b"v")].concat());
    let labelled = [label.clone(), gauge.clone()].concat();
    let bad_label =
        [field(1, &[field(1, b"l-x"), field(2, b"v")].concat()), gauge.clone()].concat();
    let with = |bytes: &[u8]| [&gauge[..], bytes].concat();
    let whole = family(1, &[&labelled]);
    let bodies = [
        (EXACT, Vec::new()),
        (EXACT, vec![0]),
        (EXACT, whole.clone()),
        (EXACT, [whole.clone(), family(1, &[&gauge])].concat()),
        (EXACT, family(1, &[&gauge, &labelled])),
        (EXACT, family(1, &[&gauge, &gauge])),
        (EXACT, family(1, &[&bad_label])),
        (EXACT, family(1, &[])),
        (EXACT, family(1, &[&with(&[6 << 3, 5])])),
        (EXACT, family(1, &[&with(&[15 << 3 | 2, 1, b'x'])])),
        (EXACT, whole[..whole.len() - 3].to_vec()),
        (EXACT, b"a 1\n".to_vec()),
        (EXACT, b"# TYPE a gauge\na 1\n".repeat(20)),
        (
            "Application/vnd.google.protobuf;Proto=io.prometheus.client.MetricFamily ;encoding=delimited;x=1",
            whole.clone(),
        ),
        ("application/vnd.google.protobuf", b"a 1\n".to_vec()),
        (
            "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=text",
            b"a 1\n".to_vec(),
        ),
    ];
    let pair = FakeVsReal::start();
    for (kind, body) in bodies {
        let head = format!(
            "PUT /metrics/job/a HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Type: {kind}\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        let request = [head.as_bytes(), &body].concat();
        let [real, fake] = pair.addresses().map(|address| send_raw(address, &request).unwrap());
        let what = format!("the answers to {kind} {body:?}");
        // A clash quotes the metric in a notation of its own.
        let said = |text: String| text.split(['{', '}']).step_by(2).collect::<String>();
        assert_eq!(
            same(&what, &(real.status, said(real.text())), &(fake.status, said(fake.text()))),
            Ok(())
        );
        assert_eq!(pair.compare(), Ok(()), "{what}");
        pair.wipe();
    }
}

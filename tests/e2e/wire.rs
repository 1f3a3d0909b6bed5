//! Every encoding of a push against the real gateway: all are stored alike, and the fake gateway responds like the real
//! one.

use std::io::Write as _;
use std::process::Stdio;
use std::time::Duration;

use metrics_push::{Gateway, GroupingKey, Pusher};
use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::TestRunner;

use crate::arbitrary_metrics::{any_families, registry};
use crate::fake_vs_real::{FakeVsReal, same};
use crate::http::{send, send_raw};
use crate::programs::command;
use crate::real::Pushgateway;

/// The lines of the gateway's exposition that come from the test.
fn exposed(gateway: &Pushgateway) -> Vec<String> {
    let text = send(gateway.address(), "GET", "/metrics", b"").unwrap().text();
    let is_pushed = |line: &&str| line.contains("metric_") && !line.contains("push_");
    text.split('\n').filter(is_pushed).map(str::to_owned).collect()
}

#[test]
fn all_encodings_are_stored_alike() {
    const CASES: usize = 24;
    let gateway = Pushgateway::start();
    let client = Gateway::new(gateway.url()).unwrap();
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
            pusher().map_gateway(Gateway::protobuf),
            pusher().map_gateway(|gateway| gateway.protobuf().gzip().unwrap()),
            pusher().map_gateway(|gateway| gateway.gzip().unwrap()),
        ] {
            client.delete(&key).unwrap();
            other.push().unwrap();
            assert_eq!(exposed(&gateway), text, "{families:?}");
        }
    }
}

#[test]
fn large_compressed_body_is_stored() {
    const SERIES: usize = 20_000;
    let gateway = Pushgateway::start();
    let exposition: String =
        (0..SERIES).map(|number| format!("metric_rows{{number=\"{number}\"}} 1\n")).collect();
    let key = GroupingKey::new("wire").unwrap();
    let plain = Gateway::new(gateway.url()).unwrap();
    for gateway in [plain.clone().gzip().unwrap(), plain.clone().protobuf().gzip().unwrap()] {
        gateway.push(&key, &exposition.parse().unwrap()).unwrap();
        let stored = gateway.metrics().unwrap();
        assert_eq!(stored[0].value("metric_rows", &[("number", "19999")]), Some(1.0));
        gateway.delete(&key).unwrap();
    }
}

/// Prefixes a protobuf message with its length.
fn delimited(bytes: &[u8]) -> Vec<u8> {
    assert!(bytes.len() < 0x80);
    [&[u8::try_from(bytes.len()).unwrap()], bytes].concat()
}

/// A length-delimited protobuf field.
fn field(number: u8, bytes: &[u8]) -> Vec<u8> {
    [&[number << 3 | 2][..], &delimited(bytes)].concat()
}

/// A delimited family `a` of this type with these metrics.
fn family(kind: u8, metrics: &[&[u8]]) -> Vec<u8> {
    let metrics: Vec<_> = metrics.iter().map(|metric| field(4, metric)).collect();
    delimited(&[field(1, b"a"), vec![3 << 3, kind], metrics.concat()].concat())
}

#[test]
fn real_and_fake_gateway_respond_to_protobuf_alike() {
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
        // An invalid media type is read as text.
        (
            "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited; x",
            b"a 1\n".to_vec(),
        ),
        (
            "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited; x=",
            b"a 1\n".to_vec(),
        ),
        (
            "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited;",
            whole.clone(),
        ),
        (
            "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited; encoding=delimited",
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
        let case = format!("the responses to {kind} {body:?}");
        // A type conflict quotes the metric in braces, in Go's notation.
        let message = |text: String| text.split(['{', '}']).step_by(2).collect::<String>();
        assert_eq!(
            same(&case, &(real.status, message(real.text())), &(fake.status, message(fake.text()))),
            Ok(())
        );
        assert_eq!(pair.compare(), Ok(()), "{case}");
        pair.wipe();
    }
}

/// Compresses with the program of the system.
fn compressed(bytes: &[u8]) -> Vec<u8> {
    let mut child = command("gzip").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(bytes).unwrap();
    child.wait_with_output().unwrap().stdout
}

#[test]
fn fake_reads_corrupt_gzip_like_the_real_gateway() {
    let whole = compressed(b"a 1\n");
    let half_line = compressed(b"a 1\nb");
    let pair = FakeVsReal::start();
    let wrong_checksum = [&whole[..whole.len() - 8], &[1; 8]].concat();
    for body in [
        whole.clone(),
        whole[..whole.len() - 1].to_vec(),
        whole[..whole.len() - 8].to_vec(),
        whole[..whole.len() - 10].to_vec(),
        whole[..12].to_vec(),
        whole[..9].to_vec(),
        Vec::new(),
        [&whole[..], b"junk"].concat(),
        [&whole[..], b"a long text that is not gzip"].concat(),
        [&whole[..], &whole[..]].concat(),
        wrong_checksum,
        half_line.clone(),
        half_line[..half_line.len() - 1].to_vec(),
        [&half_line[..], b"junk and more junk"].concat(),
        b"a 1\n".to_vec(),
        b"a text that is not compressed\n".to_vec(),
    ] {
        let head = format!(
            "PUT /metrics/job/a HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Encoding: gzip\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        let request = [head.as_bytes(), &body].concat();
        let [real, fake] = pair.addresses().map(|address| send_raw(address, &request).unwrap());
        let case = format!("the responses to {body:02x?}");
        assert_eq!(same(&case, &(real.status, real.text()), &(fake.status, fake.text())), Ok(()));
        assert_eq!(pair.compare(), Ok(()), "{case}");
        pair.wipe();
    }
}

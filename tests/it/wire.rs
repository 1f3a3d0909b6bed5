//! Tests of encodings: text by default, protobuf and gzip on request, and text for a gateway that reads nothing else.

use std::sync::OnceLock;
use std::time::Duration;

use metrics_push::prometheus::{GaugeVec, Opts, Registry};
use metrics_push::testing::{FakeGateway, Fault, Request};
use metrics_push::{Config, Exposition, Gateway, GroupingKey, Job, Outcome, Pusher};
use proptest::prelude::*;

use crate::arbitrary_metrics::{any_families, registry};
use crate::temp_dir::TempDir;

const TEXT: &str = "text/plain; version=0.0.4; charset=utf-8";
const PROTOBUF: &str =
    "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited";

/// Returns a pusher of this number of series.
fn pusher(gateway: &FakeGateway, series: usize) -> Pusher {
    let registry = Registry::new();
    let gauge = GaugeVec::new(Opts::new("rows", "Rows."), &["table"]).unwrap();
    for number in 0..series {
        gauge.with_label_values(&[format!("table_{number}")]).set(1.5);
    }
    registry.register(Box::new(gauge)).unwrap();
    Pusher::new(gateway.url(), "wire").unwrap().gatherer(&registry)
}

/// Enough series for a body that is compressed.
const MANY: usize = 1_000;

/// Returns the content type and encoding of each body.
fn sent_bodies(gateway: &FakeGateway) -> Vec<(String, Option<String>)> {
    let requests = gateway.requests();
    let form = |request: &Request| {
        let header = |name| request.header(name).map(str::to_owned);
        Some((header("content-type")?, header("content-encoding")))
    };
    requests.iter().filter_map(form).collect()
}

fn bodies(kinds: &[(&str, Option<&str>)]) -> Vec<(String, Option<String>)> {
    kinds.iter().map(|(kind, coding)| ((*kind).to_owned(), coding.map(str::to_owned))).collect()
}

/// Returns all metrics of a gateway except the timestamps that it adds.
fn stored_metrics(gateway: &FakeGateway) -> String {
    let text = gateway.to_string();
    text.lines().filter(|line| !line.contains("push_")).flat_map(|line| [line, "\n"]).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn protobuf_and_text_store_the_same_metrics(families in any_families()) {
        let gateway = FakeGateway::start();
        let registry = registry(families);
        let pusher = || Pusher::new(gateway.url(), "wire").unwrap().gatherer(&registry);
        pusher().push().unwrap();
        let text = stored_metrics(&gateway);
        gateway.clear();
        pusher().map_gateway(Gateway::protobuf).push().unwrap();
        prop_assert_eq!(&sent_bodies(&gateway)[0].0, PROTOBUF);
        prop_assert_eq!(text, stored_metrics(&gateway));
    }
}

#[test]
fn exposition_is_sent_as_protobuf() {
    let exposition: Exposition = "# HELP h A \\\\ and\\nmore.\n# TYPE h histogram\nh_bucket{le=\"1\",x=\"a\"} 2e0\n\
        h_bucket{x=\"b\",le=\"+Inf\"} 7\nh_count{x=\"b\"} 7\nh_sum{x=\"b\"} 1\nh_bucket{x=\"a\",le=\"+Inf\"} 3\n\
        h_sum{x=\"a\"} NaN\nh_count{x=\"a\"} 3\n# TYPE s summary\ns{quantile=\"0.5\"} -Inf\ns_sum 1\ns_count 1\nu{q=\"\\\"},{\"} 1e3\n"
        .parse()
        .unwrap();
    let key = GroupingKey::new("wire").unwrap();
    let push_and_read = |gateway: Gateway, fake: &FakeGateway| {
        gateway.push(&key, &exposition).unwrap();
        stored_metrics(fake)
    };
    let fake = FakeGateway::start();
    let text = push_and_read(Gateway::new(fake.url()).unwrap(), &fake);
    fake.clear();
    let protobuf = push_and_read(Gateway::new(fake.url()).unwrap().protobuf(), &fake);
    assert_eq!(sent_bodies(&fake), bodies(&[(PROTOBUF, None)]));
    assert_eq!(text, protobuf);
    assert!(text.contains("h_bucket{instance=\"\",job=\"wire\",x=\"b\",le=\"+Inf\"} 7"), "{text}");
}

#[test]
fn only_large_bodies_are_compressed() {
    let gateway = FakeGateway::start();
    pusher(&gateway, 1).map_gateway(|gateway| gateway.gzip().unwrap()).push().unwrap();
    pusher(&gateway, MANY).map_gateway(|gateway| gateway.gzip().unwrap()).push().unwrap();
    pusher(&gateway, MANY)
        .map_gateway(|gateway| gateway.gzip().unwrap().protobuf())
        .push()
        .unwrap();
    assert_eq!(
        sent_bodies(&gateway),
        bodies(&[(TEXT, None), (TEXT, Some("gzip")), (PROTOBUF, Some("gzip"))])
    );
    assert!(gateway.requests()[1].body.len() < 16 * 1024);
    let group = gateway.group("wire", &[]);
    assert_eq!(group.value("rows", &[("table", "table_999")]), 1.5);
}

/// The response of an old gateway, which parses unknown formats as text.
fn misread() -> Fault {
    Fault::status(400).body("text format parsing error in line 1: invalid metric name\n")
}

#[test]
fn text_only_gateway_receives_text_after_one_rejection() {
    for misread in [misread(), Fault::status(415), Fault::status(400).body("unexpected EOF\n")] {
        let gateway = FakeGateway::start();
        let pusher =
            pusher(&gateway, MANY).map_gateway(|gateway| gateway.gzip().unwrap().protobuf());
        gateway.fault(misread.when(|request| request.header("content-type") != Some(TEXT)));
        pusher.push().unwrap();
        pusher.push().unwrap();
        assert_eq!(
            sent_bodies(&gateway),
            bodies(&[(PROTOBUF, Some("gzip")), (TEXT, None), (TEXT, None)])
        );
        assert_eq!(gateway.group("wire", &[]).samples().len(), MANY + 2);
    }
}

#[test]
fn rejection_of_both_encodings_keeps_the_configured_one() {
    let gateway = FakeGateway::start();
    let pusher = pusher(&gateway, MANY).map_gateway(|gateway| gateway.gzip().unwrap());
    gateway.fail_next(2, misread());
    let error = pusher.push().unwrap_err();
    assert!(error.is_rejected() && error.to_string().contains("could not parse"), "{error}");
    pusher.push().unwrap();
    assert_eq!(
        sent_bodies(&gateway),
        bodies(&[(TEXT, Some("gzip")), (TEXT, None), (TEXT, Some("gzip"))])
    );
}

#[test]
fn rejection_of_parsed_metrics_is_not_retried_as_text() {
    let gateway = FakeGateway::start();
    let clash = "# TYPE rows counter\nrows 1\n".parse().unwrap();
    let key = GroupingKey::new("other").unwrap();
    Gateway::new(gateway.url()).unwrap().push(&key, &clash).unwrap();
    let error = pusher(&gateway, 1).map_gateway(Gateway::protobuf).push().unwrap_err();
    assert!(error.to_string().contains("clash"), "{error}");
    assert_eq!(sent_bodies(&gateway), bodies(&[(TEXT, None), (PROTOBUF, None)]));
}

#[test]
fn run_is_pushed_in_the_configured_encoding() {
    #[metrics_push::push_job(name = "wire_run")]
    fn run() {}
    let gateway = FakeGateway::start();
    let _scope = Config::default().url(gateway.url()).unwrap().protobuf().scope().unwrap();
    run();
    gateway.after_run("wire_run", &[]).assert_outcome("success");
    assert!(sent_bodies(&gateway).iter().all(|(kind, _)| kind == PROTOBUF));
}

#[test]
fn spooled_outcome_is_sent_in_the_configured_encoding() {
    let (gateway, state) = (FakeGateway::start(), TempDir::new());
    let config = || {
        let config = Config::default().url(gateway.url()).unwrap().protobuf();
        config.gzip().unwrap().state_dir(state.path())
    };
    let registry = Registry::new();
    let rows = GaugeVec::new(Opts::new("rows", "Rows."), &["table"]).unwrap();
    registry.register(Box::new(rows.clone())).unwrap();
    (0..MANY).for_each(|number| rows.with_label_values(&[number.to_string()]).set(1.5));
    static REGISTRY: OnceLock<Registry> = OnceLock::new();
    REGISTRY.set(registry).unwrap();
    gateway.refuse_connections();
    {
        let _scope = config().timeout(Duration::from_millis(300)).scope().unwrap();
        let job = Job::new("spooled").registry(|| REGISTRY.get().unwrap()).whole_process();
        job.start().finish(Outcome::Success);
    }
    gateway.accept_connections();
    let _scope = config().scope().unwrap();
    let recovery = metrics_push::recover(Duration::from_secs(20));
    assert_eq!((recovery.delivered, recovery.left), (1, 0));
    assert_eq!(sent_bodies(&gateway), bodies(&[(PROTOBUF, Some("gzip"))]));
    let group = gateway.group("spooled", &[]);
    assert_eq!(group.value("rows", &[("table", "999")]), 1.5);
    group.assert_outcome("success");
}

#[test]
fn variables_enable_protobuf_and_gzip() {
    let (config, errors) = Config::from_variables(|name| {
        let is_set = ["METRICS_PUSH_PROTOBUF", "METRICS_PUSH_GZIP"].contains(&name);
        is_set.then(|| "on".into())
    });
    assert!(errors.is_empty(), "{errors:?}");
    let gateway = FakeGateway::start();
    let config = config.url(gateway.url()).unwrap();
    let many: String = (0..MANY).map(|number| format!("m{{n=\"{number}\"}} 1\n")).collect();
    let key = GroupingKey::new("wire").unwrap();
    Gateway::from_config(&config).unwrap()[0].push(&key, &many.parse().unwrap()).unwrap();
    assert_eq!(sent_bodies(&gateway), bodies(&[(PROTOBUF, Some("gzip"))]));
}

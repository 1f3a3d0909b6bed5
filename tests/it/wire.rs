//! What goes over the wire: text unless asked otherwise, and to a gateway that reads nothing else.

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

/// A pusher of that many series.
fn pusher(gateway: &FakeGateway, series: usize) -> Pusher {
    let registry = Registry::new();
    let gauge = GaugeVec::new(Opts::new("rows", "Rows."), &["table"]).unwrap();
    for number in 0..series {
        gauge.with_label_values(&[format!("table_{number}")]).set(1.5);
    }
    registry.register(Box::new(gauge)).unwrap();
    Pusher::new(gateway.url(), "wire").unwrap().gatherer(&registry)
}

/// More than is sent as it is.
const MANY: usize = 1_000;

/// The bodies that were sent, as type and encoding.
fn sent(gateway: &FakeGateway) -> Vec<(String, Option<String>)> {
    let requests = gateway.requests();
    let form = |request: &Request| {
        let header = |name| request.header(name).map(str::to_owned);
        Some((header("content-type")?, header("content-encoding")))
    };
    requests.iter().filter_map(form).collect()
}

fn as_sent(kinds: &[(&str, Option<&str>)]) -> Vec<(String, Option<String>)> {
    kinds.iter().map(|(kind, coding)| ((*kind).to_owned(), coding.map(str::to_owned))).collect()
}

/// All that a gateway holds but for its own stamps.
fn held(gateway: &FakeGateway) -> String {
    let text = gateway.to_string();
    text.lines().filter(|line| !line.contains("push_")).flat_map(|line| [line, "\n"]).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn protobuf_says_what_the_text_says(families in any_families()) {
        let gateway = FakeGateway::start();
        let registry = registry(families);
        let pusher = || Pusher::new(gateway.url(), "wire").unwrap().gatherer(&registry);
        pusher().push().unwrap();
        let text = held(&gateway);
        gateway.clear();
        pusher().map_gateway(|gateway| gateway.protobuf()).push().unwrap();
        prop_assert_eq!(&sent(&gateway)[0].0, PROTOBUF);
        prop_assert_eq!(text, held(&gateway));
    }
}

#[test]
fn an_exposition_goes_as_protobuf_too() {
    let exposition: Exposition = "# HELP h A \\\\ and\\nmore.\n# TYPE h histogram\nh_bucket{le=\"1\",x=\"a\"} 2e0\n\
        h_bucket{x=\"b\",le=\"+Inf\"} 7\nh_count{x=\"b\"} 7\nh_sum{x=\"b\"} 1\nh_bucket{x=\"a\",le=\"+Inf\"} 3\n\
        h_sum{x=\"a\"} NaN\nh_count{x=\"a\"} 3\n# TYPE s summary\ns{quantile=\"0.5\"} -Inf\ns_sum 1\ns_count 1\nu{q=\"\\\"},{\"} 1e3\n"
        .parse()
        .unwrap();
    let key = GroupingKey::new("wire").unwrap();
    let held_after = |gateway: Gateway, fake: &FakeGateway| {
        gateway.push(&key, &exposition).unwrap();
        held(fake)
    };
    let fake = FakeGateway::start();
    let text = held_after(Gateway::new(fake.url()).unwrap(), &fake);
    fake.clear();
    let protobuf = held_after(Gateway::new(fake.url()).unwrap().protobuf(), &fake);
    assert_eq!(sent(&fake), as_sent(&[(PROTOBUF, None)]));
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
        sent(&gateway),
        as_sent(&[(TEXT, None), (TEXT, Some("gzip")), (PROTOBUF, Some("gzip"))])
    );
    assert!(gateway.requests()[1].body.len() < 16 * 1024);
    let group = gateway.group("wire", &[]);
    assert_eq!(group.value("rows", &[("table", "table_999")]), 1.5);
}

/// What a gateway says that is too old for a body: it takes whatever it doesn't know for text.
fn misread() -> Fault {
    Fault::status(400).body("text format parsing error in line 1: invalid metric name\n")
}

#[test]
fn a_gateway_that_reads_only_text_gets_text_from_then_on() {
    for misread in [misread(), Fault::status(415), Fault::status(400).body("unexpected EOF\n")] {
        let gateway = FakeGateway::start();
        let pusher =
            pusher(&gateway, MANY).map_gateway(|gateway| gateway.gzip().unwrap().protobuf());
        gateway.fault(misread.when(|request| request.header("content-type") != Some(TEXT)));
        pusher.push().unwrap();
        pusher.push().unwrap();
        assert_eq!(
            sent(&gateway),
            as_sent(&[(PROTOBUF, Some("gzip")), (TEXT, None), (TEXT, None)])
        );
        assert_eq!(gateway.group("wire", &[]).samples().len(), MANY + 2);
    }
}

#[test]
fn what_is_refused_in_any_form_says_nothing_about_the_form() {
    let gateway = FakeGateway::start();
    let pusher = pusher(&gateway, MANY).map_gateway(|gateway| gateway.gzip().unwrap());
    gateway.fail_next(2, misread());
    let error = pusher.push().unwrap_err();
    assert!(error.is_rejected() && error.to_string().contains("could not read"), "{error}");
    pusher.push().unwrap();
    assert_eq!(
        sent(&gateway),
        as_sent(&[(TEXT, Some("gzip")), (TEXT, None), (TEXT, Some("gzip"))])
    );
}

#[test]
fn a_refusal_of_what_was_read_is_no_misunderstanding() {
    let gateway = FakeGateway::start();
    let clash = "# TYPE rows counter\nrows 1\n".parse().unwrap();
    let key = GroupingKey::new("other").unwrap();
    Gateway::new(gateway.url()).unwrap().push(&key, &clash).unwrap();
    let error = pusher(&gateway, 1).map_gateway(|gateway| gateway.protobuf()).push().unwrap_err();
    assert!(error.to_string().contains("clash"), "{error}");
    assert_eq!(sent(&gateway), as_sent(&[(TEXT, None), (PROTOBUF, None)]));
}

#[test]
fn a_run_is_pushed_in_the_form_that_is_configured() {
    #[metrics_push::push_job(name = "wire_run")]
    fn run() {}
    let gateway = FakeGateway::start();
    let _scope = Config::default().url(gateway.url()).unwrap().protobuf().scope().unwrap();
    run();
    gateway.after_run("wire_run", &[]).assert_outcome("success");
    assert!(sent(&gateway).iter().all(|(kind, _)| kind == PROTOBUF));
}

#[test]
fn what_waited_on_disk_goes_in_the_form_that_is_configured() {
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
        let job = Job::new("waited").registry(|| REGISTRY.get().unwrap()).whole_process();
        job.start().finish(Outcome::Success);
    }
    gateway.accept_connections();
    let _scope = config().scope().unwrap();
    let recovery = metrics_push::recover(Duration::from_secs(20));
    assert_eq!((recovery.delivered, recovery.left), (1, 0));
    assert_eq!(sent(&gateway), as_sent(&[(PROTOBUF, Some("gzip"))]));
    let group = gateway.group("waited", &[]);
    assert_eq!(group.value("rows", &[("table", "999")]), 1.5);
    group.assert_outcome("success");
}

#[test]
fn variables_ask_for_either_form() {
    let (config, problems) = Config::from_variables(|name| {
        let is_asked = ["METRICS_PUSH_PROTOBUF", "METRICS_PUSH_GZIP"].contains(&name);
        is_asked.then(|| "on".into())
    });
    assert!(problems.is_empty(), "{problems:?}");
    let gateway = FakeGateway::start();
    let config = config.url(gateway.url()).unwrap();
    let many: String = (0..MANY).map(|number| format!("m{{n=\"{number}\"}} 1\n")).collect();
    let key = GroupingKey::new("wire").unwrap();
    Gateway::from_config(&config).unwrap()[0].push(&key, &many.parse().unwrap()).unwrap();
    assert_eq!(sent(&gateway), as_sent(&[(PROTOBUF, Some("gzip"))]));
}

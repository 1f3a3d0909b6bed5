//! Compares the fake gateway with the real one by random sequences of pushes and deletions.
//!
//! There are few names, labels and values, so that pushes conflict with each other. Some bodies contain a random error.

use std::time::{Duration, Instant};

use proptest::prelude::*;
use proptest::test_runner::{Config, RngSeed, TestRunner};

use crate::fake_vs_real::{FakeVsReal, Step};

/// The time after which the test skips the remaining sequences.
const MAX_TEST_TIME: Duration = Duration::from_secs(15);

fn any_path() -> impl Strategy<Value = String> {
    let job = prop::sample::select(vec!["/job/a", "/job/b", "/job@base64/YQ=="]);
    let labels = prop::sample::select(vec![
        "",
        "",
        "",
        "/",
        "/x/1",
        "/x@base64/MQ",
        "/x/",
        "/instance/i",
        "/instance/",
        "/job/b",
        "/x",
        "/x/1/y/2",
        "/y/2/x/1",
        "/x/%FF",
        "/quantile/1",
    ]);
    (job, labels).prop_map(|(job, labels)| format!("/metrics{job}{labels}"))
}

fn any_line() -> impl Strategy<Value = String> {
    let name = prop::sample::select(vec![
        "m",
        "m",
        "n",
        "m_count",
        "m_sum",
        "m_bucket",
        "push_time_seconds",
    ]);
    let kind = prop::sample::select(vec!["counter", "gauge", "untyped", "histogram", "summary"]);
    let labels = prop::sample::select(vec![
        "",
        "",
        "{}",
        "{l=\"1\"}",
        "{l=\"2\"}",
        "{le=\"1\"}",
        "{quantile=\"0.5\"}",
        "{job=\"b\"}",
        "{instance=\"i\"}",
        "{l=\"1\",le=\"+Inf\"}",
        "{x=\"1\"}",
    ]);
    let value = prop::sample::select(vec!["1", "2.5", "-1", "NaN", "+Inf", "1e9", "0"]);
    let sample = (name.clone(), labels, value)
        .prop_map(|(name, labels, value)| format!("{name}{labels} {value}\n"));
    let typed = (name.clone(), kind).prop_map(|(name, kind)| format!("# TYPE {name} {kind}\n"));
    prop_oneof![
        6 => sample,
        4 => typed,
        1 => name.prop_map(|name| format!("# HELP {name} Some text.\n")),
        1 => Just("m 1 5\n".to_owned()),
    ]
}

/// Generates mostly valid lines, sometimes with one character replaced.
fn any_body() -> impl Strategy<Value = String> {
    let lines = prop::collection::vec(any_line(), 0..6).prop_map(|lines| lines.concat());
    let error = (
        any::<prop::sample::Index>(),
        prop::sample::select(vec!["", "\"", "\\", " ", "\n", "{", "}", "é", "1", "#"]),
    );
    (lines, prop::option::weighted(0.3, error)).prop_map(|(mut text, error)| {
        if let Some((position, insertion)) = error.filter(|_| !text.is_empty()) {
            let position = position.index(text.len());
            text.replace_range(position..=position, insertion);
        }
        text
    })
}

fn any_step() -> impl Strategy<Value = Step> {
    let method = prop::sample::select(vec!["PUT", "PUT", "POST", "POST", "POST", "DELETE"]);
    (method, any_path(), any_body()).prop_map(|(method, path, body)| Step { method, path, body })
}

#[test]
fn random_sequences_have_the_same_effect() {
    let gateways = FakeVsReal::start();
    let started = Instant::now();
    let config = Config {
        cases: std::env::var("PROPTEST_CASES").ok().and_then(|n| n.parse().ok()).unwrap_or(400),
        rng_seed: RngSeed::Fixed(0x9091),
        failure_persistence: None,
        ..Config::default()
    };
    let sequences = prop::collection::vec(any_step(), 1..12);
    let outcome = TestRunner::new(config).run(&sequences, |sequence| {
        if started.elapsed() > MAX_TEST_TIME {
            return Ok(());
        }
        gateways.wipe();
        let outcome = sequence.iter().try_for_each(|step| gateways.step(step));
        outcome.and_then(|()| gateways.compare()).map_err(TestCaseError::fail)
    });
    if let Err(failure) = outcome {
        panic!("{failure}");
    }
}

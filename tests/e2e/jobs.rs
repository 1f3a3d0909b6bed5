//! Annotated programs as child processes. They must behave like the bare programs, and Prometheus must scrape their
//! outcomes.

use std::process::Output;
use std::time::Duration;

use crate::programs::{command, program};
use crate::real::{Prometheus, Pushgateway};

fn run(name: &str, ending: &str, url: &str) -> Output {
    command(program(&format!("job_{name}")))
        .arg(ending)
        .env("METRICS_PUSH_URL", url)
        .env("METRICS_PUSH_JOB", name)
        .env("METRICS_PUSH_STATE_DIR", "off")
        .env("RUST_BACKTRACE", "0")
        .output()
        .unwrap()
}

/// Removes the line with the source location and the thread's number, which differ between programs.
fn panic_message(stderr: &[u8]) -> String {
    let text = String::from_utf8_lossy(stderr);
    text.lines().filter(|line| !line.contains("panicked at")).collect::<Vec<_>>().join("\n")
}

const VARIANTS: [(&str, &str); 3] =
    [("annotated", "bare"), ("annotated_above", "bare_async"), ("annotated_below", "bare_async")];

#[test]
fn annotated_programs_behave_like_bare_ones_and_report() {
    let gateway = Pushgateway::start();
    let prometheus = Prometheus::scraping(gateway.address(), Duration::from_millis(200));
    for (variant, bare) in VARIANTS {
        let mut last_success = None;
        for (ending, outcome) in
            [("ok", "success"), ("error", "error"), ("early", "error"), ("panic", "panic")]
        {
            let (annotated, plain) = (run(variant, ending, &gateway.url()), run(bare, ending, ""));
            assert_eq!(annotated.status.code(), plain.status.code(), "{variant} {ending}");
            assert_eq!(annotated.stdout, plain.stdout, "{variant} {ending}");
            assert_eq!(
                panic_message(&annotated.stderr),
                panic_message(&plain.stderr),
                "{variant} {ending}"
            );

            let reported = format!(
                "batch_job_last_run_outcome{{job=\"{variant}\",outcome=\"{outcome}\"}} == 1"
            );
            let found = prometheus.wait_for(&reported, |series| !series.is_empty());
            assert_eq!(
                found[0].0.get("exported_job"),
                None,
                "Prometheus renamed the label `job`: honor_labels is not set"
            );
            let value = |name: &str, label: &str| {
                // A scrape that fails on a busy machine leaves a moment without any series.
                let query = format!("batch_job_{name}{{job=\"{variant}\"{label}}}");
                prometheus.wait_for(&query, |series| series.len() == 1)[0].1
            };
            let all = format!("sum(batch_job_last_run_outcome{{job=\"{variant}\"}}) == 1");
            prometheus.wait_for(&all, |series| !series.is_empty());
            assert!((value("last_run_success", "") > 0.5) == (outcome == "success"));
            assert!(
                (value("last_run_records", ",result=\"processed\"") - 3.0).abs() < f64::EPSILON
            );
            assert!((0.0..60.0).contains(&value("last_run_duration_seconds", "")));
            assert!((value("success_deadline_seconds", "") - 7_200.0).abs() < f64::EPSILON);
            assert!(
                value("last_completion_timestamp_seconds", "")
                    >= value("last_start_timestamp_seconds", "")
            );
            let success = value("last_success_timestamp_seconds", "");
            assert_eq!(
                *last_success.get_or_insert(success.to_bits()),
                success.to_bits(),
                "{variant} {ending}"
            );
        }
    }
}

#[test]
fn outcomes_of_tasks_are_delivered_before_the_process_exits() {
    let gateway = Pushgateway::start();
    let output = run("tasks", "", &gateway.url());
    assert!(output.status.success(), "{output:?}");
    let groups = metrics_push::Gateway::new(gateway.url()).unwrap().metrics().unwrap();
    let outcome = |job: &str, outcome: &str| {
        let group = groups.iter().find(|group| group.labels["job"] == job);
        let group = group.unwrap_or_else(|| panic!("no group of {job} in {groups:?}"));
        group.value("batch_job_last_run_outcome", &[("outcome", outcome)])
    };
    assert_eq!(outcome("cancelled_task", "cancelled"), Some(1.0));
    assert_eq!(outcome("blocking_task", "success"), Some(1.0));
    assert!(groups.iter().any(|group| group.labels.get("shard").is_some_and(|shard| shard == "1")));
}

#[test]
fn custom_termination_is_judged_by_its_exit_code() {
    let gateway = Pushgateway::start();
    let group = || metrics_push::Gateway::new(gateway.url()).unwrap().metrics().unwrap().remove(0);
    for (ending, code, outcome) in
        [("0", 0, "success"), ("3", 3, "exit_code"), ("none", 1, "error")]
    {
        let output = run("termination", ending, &gateway.url());
        assert_eq!(output.status.code(), Some(code), "{output:?}");
        let group = group();
        let stored = group.value("batch_job_last_run_outcome", &[("outcome", outcome)]);
        assert_eq!(stored, Some(1.0), "{ending}: {group:?}");
        let success = group.value("batch_job_last_run_success", &[]);
        assert_eq!(success, Some(f64::from(code == 0)), "{ending}");
    }
}

#[test]
fn job_without_a_gateway_behaves_like_the_bare_one() {
    for (variant, bare) in VARIANTS {
        let (annotated, plain) = (run(variant, "error", ""), run(bare, "error", ""));
        assert_eq!(annotated, plain, "{variant}");
    }
}

#[test]
fn unreachable_gateway_adds_lines_about_the_wait_and_the_outcome() {
    let (annotated, plain) = (run("annotated", "ok", "http://127.0.0.1:9"), run("bare", "ok", ""));
    assert_eq!((annotated.status, &annotated.stdout), (plain.status, &plain.stdout));
    let stderr = String::from_utf8_lossy(&annotated.stderr);
    let [wait, outcome] = stderr.lines().collect::<Vec<_>>()[..] else { panic!("{stderr}") };
    assert!(wait.contains("http://127.0.0.1:9") && wait.contains("the process waits"), "{stderr}");
    assert!(outcome.contains("http://127.0.0.1:9") && outcome.contains("refused"), "{stderr}");
}

#[test]
fn invalid_variables_are_named_and_the_job_runs() {
    let output = command(program("job_annotated"))
        .env("METRICS_PUSH_URL", "http://gateway/?tenant=a")
        .env("METRICS_PUSH_TIMEOUT", "soon")
        .output()
        .unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && output.stdout.starts_with(b"the job's own output"));
    for variable in ["METRICS_PUSH_URL", "METRICS_PUSH_TIMEOUT"] {
        assert!(stderr.contains(variable), "{stderr}");
    }
}

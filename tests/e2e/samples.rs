//! The rules and the dashboard for a storage that holds samples: a real Prometheus with its receiver of remote write.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::cli;
use crate::http;
use crate::programs::command;
use crate::real::{Labels, Prometheus, Pushgateway};
use crate::remote_write::{PATH, SentSeries, write};
use crate::rules::{self, alert_name, blocks, files};

/// The interval between two evaluations of the rules.
const INTERVAL: Duration = Duration::from_secs(1);

/// Runs `metrics-push` and returns what it prints.
pub(crate) fn printed(arguments: &[&str]) -> String {
    let mut command = command(cli::metrics_push_program());
    let output = command.args(arguments).stdin(Stdio::null()).output().unwrap();
    assert!(output.status.success(), "{arguments:?}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

pub(crate) fn printed_rules() -> String {
    printed(&["rules", "--for", "samples"])
}

/// A folder that is removed on drop.
pub(crate) struct Scratch(pub(crate) PathBuf);

impl Scratch {
    pub(crate) fn new(name: &str) -> Self {
        let folder = format!("samples-{name}-{}", std::process::id());
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(folder);
        fs::create_dir_all(&folder).unwrap();
        Self(folder)
    }

    pub(crate) fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.0.join(name);
        fs::write(&path, text).unwrap();
        path
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Runs promtool in a folder. Returns its output if it fails.
fn promtool(folder: &Path, arguments: &[&str]) -> Result<(), String> {
    let mut promtool = command("promtool");
    let output = promtool.args(arguments).current_dir(folder).output().unwrap();
    let text = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    if output.status.success() { Ok(()) } else { Err(text) }
}

/// The values of a series of promtool without repetitions: a sample exists only where the value changes.
fn written_once(values: &str) -> String {
    let mut last = None;
    let mut written = Vec::new();
    for value in values.split_whitespace().flat_map(expand) {
        let is_new = value.is_some() && value != last;
        written.push(value.filter(|_| is_new).map_or("_".to_owned(), |value| value.to_string()));
        last = value.or(last);
    }
    written.join(" ")
}

/// The values of a term in promtool's notation, such as `0+60x10`, `_x5` and `stale`.
fn expand(term: &str) -> Vec<Option<f64>> {
    let number = |text: &str| text.parse::<f64>().unwrap_or_else(|_| panic!("{term}"));
    let (value, times) = term.split_once('x').unwrap_or((term, ""));
    let repeated = times.parse::<u32>().unwrap_or_default();
    match value.split_once('+') {
        Some((first, step)) => {
            (0..=repeated).map(|at| Some(number(first) + f64::from(at) * number(step))).collect()
        }
        None if value == "_" => vec![None; repeated.max(1) as usize],
        None if value == "stale" => vec![None],
        None => vec![Some(number(value))],
    }
}

#[test]
fn samples_of_a_test_are_written_once() {
    assert_eq!(written_once("1+0x2 0 0+60x2 _x2 120 stale 5"), "1 _ _ 0 _ 60 120 _ _ _ _ 5");
}

/// The groups of a rule file with these names.
fn groups_named(rules: &str, names: &BTreeSet<&str>) -> String {
    let groups = rules.split("\n  - name: ").skip(1);
    let selected = groups.filter(|group| names.contains(group.lines().next().unwrap()));
    selected.fold("groups:".to_owned(), |text, group| format!("{text}\n  - name: {group}"))
}

/// The names of the groups in the rule files that a test file loads.
fn groups_of(test: &str) -> BTreeSet<String> {
    let head = test.split("evaluation_interval").next().unwrap();
    let rules = files("rules");
    let loaded = rules.iter().filter(|(name, _)| head.contains("/*.yaml") || head.contains(*name));
    let groups =
        loaded.flat_map(|(_, text)| text.lines()).filter_map(|it| it.strip_prefix("  - name: "));
    groups.map(str::to_owned).collect()
}

/// The tests of the rules about groups, with samples that are written once. Leaves out those that expect an alert about a
/// gateway.
fn tests_for_samples(test: &str, alerts: &BTreeSet<&str>) -> (String, usize) {
    let (head, tests) = test.split_once("\ntests:\n").unwrap();
    let interval = head.lines().find(|line| line.starts_with("evaluation_interval")).unwrap();
    // The groups that others read come first.
    let mut text = format!(
        "rule_files: [rules.yaml]\n{interval}\ngroup_eval_order: [batch_job_delivery, batch_job_memory, \
         batch_job_runs, batch_job_schedule, batch_job_history, watchdog]\ntests:\n"
    );
    let mut count = 0;
    for scenario in tests.split("  - name: ").skip(1) {
        if scenario.starts_with("On a Pushgateway") {
            continue;
        }
        let names = scenario.split("labels: ALERTS{alertname=\"").skip(1);
        let mut names = names.map(|rest| rest.split('"').next().unwrap());
        if names.any(|name| !alerts.contains(name)) {
            continue;
        }
        count += 1;
        text.push_str("  - name: ");
        for line in scenario.lines() {
            match line.split_once("values: ") {
                Some((indentation, values)) => {
                    text.extend([indentation, "values: ", &written_once(values), "\n"]);
                }
                None => text.extend([line, "\n"]),
            }
        }
    }
    (text, count)
}

/// The names of the alerts for samples.
fn alerts(rules: &str) -> BTreeSet<&str> {
    blocks(rules).into_iter().filter_map(alert_name).collect()
}

#[test]
fn rules_for_samples_pass_the_tests_of_the_rules_for_groups() {
    let rules = printed_rules();
    let alerts = alerts(&rules);
    assert!(alerts.len() > 14, "{alerts:?}");
    let mut count = 0;
    for (name, test) in files("tests") {
        let mut groups = groups_of(&test);
        if groups.contains("batch_job_runs") {
            // Records the last report, which takes the place of the gateway's time of the push.
            groups.insert("batch_job_delivery".to_owned());
        }
        let groups = groups.iter().map(String::as_str).collect();
        let (test, scenarios) = tests_for_samples(&test, &alerts);
        let scratch = Scratch::new(&name);
        scratch.write("rules.yaml", &groups_named(&rules, &groups));
        scratch.write("tests.yaml", &test);
        if scenarios > 0 {
            promtool(&scratch.0, &["test", "rules", "tests.yaml"])
                .unwrap_or_else(|output| panic!("{name}: {output}"));
        }
        count += scenarios;
    }
    assert!(count > 30, "only {count} tests were found");
}

#[test]
fn rules_for_samples_pass_their_own_tests() {
    let scratch = Scratch::new("own");
    scratch.write("rules.yaml", &printed_rules());
    for (name, text) in files("tests-samples") {
        scratch.write(&name, &text);
        promtool(&scratch.0, &["test", "rules", &name]).unwrap();
    }
    promtool(&scratch.0, &["check", "rules", "rules.yaml"]).unwrap();
}

#[test]
fn alerts_on_samples_have_tests_that_fire_and_tests_that_do_not() {
    let printed = printed_rules();
    let names = alerts(&printed);
    let mut tests = files("tests-samples");
    for (name, text) in files("tests") {
        tests.insert(name, tests_for_samples(&text, &names).0);
    }
    for text in tests.values_mut() {
        *text = text.replace("rules.yaml", "../rules/rules.yaml");
    }
    let rules = BTreeMap::from([("rules.yaml".to_owned(), printed.clone())]);
    rules::assert_alerts_are_tested("samples", &rules, &tests, |selector| {
        format!("last_over_time({selector}[8d])")
    });
}

#[test]
fn window_extends_how_long_alerts_fire() {
    let scratch = Scratch::new("window");
    scratch.write("rules.yaml", &printed(&["rules", "--for", "samples", "--window", "35d"]));
    let tests = &files("tests-samples")["window.yaml"];
    let longer = tests.replace("191h", "839h").replace("193h", "841h");
    assert_ne!(*tests, longer);
    scratch.write("tests.yaml", &longer);
    promtool(&scratch.0, &["test", "rules", "tests.yaml"]).unwrap();
}

#[test]
fn latch_of_the_page_holds_a_value_for_a_day() {
    const PAGE: &str = include_str!("../../examples/monitoring/README.md");
    let snippets = PAGE.split("```yaml\n").skip(1).map(|rest| rest.split("```").next().unwrap());
    let rules: Vec<_> = snippets.filter(|snippet| snippet.contains("latched")).collect();
    let scratch = Scratch::new("latch");
    scratch.write("rules.yaml", rules[0]);
    scratch.write(
        "tests.yaml",
        "\
rule_files: [rules.yaml]
evaluation_interval: 1m
tests:
  - interval: 1m
    input_series:
      - series: batch_job_last_success_timestamp_seconds{job=\"import\"}
        values: 7
    promql_expr_test:
      - expr: batch_job:latched_success:timestamp_seconds
        eval_time: 25h
        exp_samples:
          - labels: batch_job:latched_success:timestamp_seconds{job=\"import\"}
            value: 7
",
    );
    promtool(&scratch.0, &["test", "rules", "tests.yaml"]).unwrap();
}

/// How a run ended.
#[derive(Clone, Copy, PartialEq)]
enum Ending {
    Success,
    Failure,
    /// It has not ended.
    Open,
}

/// The runs of a job, and the alerts that must fire. All times are in minutes, those of the runs before now.
struct Situation {
    job: &'static str,
    runs: &'static [(f64, Ending)],
    deadline: f64,
    max_runtime: f64,
    records: f64,
    alerts: &'static [&'static str],
}

/// A daily job that counts its records.
const HEALTHY: Situation = Situation {
    job: "succeeded_now",
    runs: &[(1.0, Ending::Success)],
    deadline: 2_880.0,
    max_runtime: 60.0,
    records: 5.0,
    alerts: &[],
};

const SITUATIONS: [Situation; 8] = [
    HEALTHY,
    Situation { job: "succeeded", runs: &[(20.0, Ending::Success)], ..HEALTHY },
    Situation {
        job: "failed_now",
        runs: &[(1.0, Ending::Failure)],
        alerts: &["BatchJobFailed"],
        ..HEALTHY
    },
    Situation {
        job: "failed",
        runs: &[(20.0, Ending::Failure)],
        alerts: &["BatchJobFailed"],
        ..HEALTHY
    },
    Situation {
        job: "overdue",
        runs: &[(40.0, Ending::Success)],
        deadline: 20.0,
        alerts: &["BatchJobMissedRun", "BatchJobNoRecentSuccess"],
        ..HEALTHY
    },
    Situation {
        job: "killed",
        runs: &[(30.0, Ending::Open)],
        max_runtime: 10.0,
        alerts: &["BatchJobVanished"],
        ..HEALTHY
    },
    Situation {
        job: "always_failed",
        runs: &[(50.0, Ending::Failure), (25.0, Ending::Failure)],
        deadline: 20.0,
        alerts: &["BatchJobFailed", "BatchJobMissedRun", "BatchJobNeverSucceeded"],
        ..HEALTHY
    },
    Situation {
        job: "did_nothing",
        runs: &[(20.0, Ending::Success)],
        records: 0.0,
        alerts: &["BatchJobNothingDone"],
        ..HEALTHY
    },
];

/// One value of a family: the name with labels other than `job`, and the value.
type Value = (&'static str, &'static [(&'static str, &'static str)], f64);

impl Situation {
    /// What the job pushes, each with the time of the push in seconds.
    fn pushes(&self, now: f64) -> Vec<(f64, Vec<Value>)> {
        let mut pushes = Vec::new();
        for &(minutes, ending) in self.runs {
            let end = now - 60.0 * minutes;
            let start = end - 5.0;
            let started: Vec<Value> = vec![
                ("batch_job_last_start_timestamp_seconds", &[], start),
                ("batch_job_success_deadline_seconds", &[], 60.0 * self.deadline),
                // The deadline is two intervals, and a run may start half an interval late.
                ("batch_job_next_run_timestamp_seconds", &[], start + 30.0 * self.deadline),
                ("batch_job_start_grace_seconds", &[], 15.0 * self.deadline),
                ("batch_job_max_runtime_seconds", &[], 60.0 * self.max_runtime),
            ];
            pushes.push((start, started.clone()));
            let success = match ending {
                Ending::Open => continue,
                Ending::Success => ("batch_job_last_success_timestamp_seconds", 1.0),
                Ending::Failure => ("batch_job_last_failure_timestamp_seconds", 0.0),
            };
            let ended: Vec<Value> = vec![
                ("batch_job_last_completion_timestamp_seconds", &[], end),
                ("batch_job_pushed_at_timestamp_seconds", &[], end),
                (success.0, &[], end),
                ("batch_job_last_run_success", &[], success.1),
                ("batch_job_last_run_outcome", &[("outcome", "success")], success.1),
                ("batch_job_last_run_outcome", &[("outcome", "error")], 1.0 - success.1),
                ("batch_job_last_run_duration_seconds", &[], end - start),
                ("batch_job_last_run_records", &[("result", "processed")], self.records),
                ("batch_job_last_run_records", &[("result", "failed")], 0.0),
            ];
            pushes.push((end, [started, ended].concat()));
        }
        pushes
    }
}

fn now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs_f64()
}

/// The labels of a series of a job.
fn series(job: &str, name: &str, labels: &[(&str, &str)]) -> Labels {
    let all = [&[("__name__", name), ("job", job)], labels].concat();
    all.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

/// Writes all pushes of the situations as samples, with the times of the pushes.
fn write_samples(prometheus: &Prometheus) {
    let now = now();
    let mut samples = Vec::new();
    for situation in &SITUATIONS {
        for (at, values) in situation.pushes(now) {
            samples.extend(values.into_iter().map(|(name, labels, value)| SentSeries {
                labels: series(situation.job, name, labels).into_iter().collect(),
                samples: vec![((1e3 * at) as i64, value)],
            }));
        }
    }
    assert_eq!(write(prometheus.address(), PATH, &samples).status, 204);
}

/// Stores the groups of the situations on a gateway, which does not change the times of the runs.
fn push_groups(gateway: &Pushgateway) {
    let now = now();
    for situation in &SITUATIONS {
        let mut group = BTreeMap::new();
        for (_, values) in situation.pushes(now) {
            group.extend(values.into_iter().map(|(name, labels, value)| ((name, labels), value)));
        }
        // All reports arrive now. A report that is older arrives late, which is another alert.
        group.insert(("batch_job_pushed_at_timestamp_seconds", &[]), now);
        let text: String = group
            .into_iter()
            .map(|((name, labels), value)| {
                let labels: Vec<_> =
                    labels.iter().map(|(name, value)| format!("{name}=\"{value}\"")).collect();
                format!("{name}{{{}}} {value}\n", labels.join(","))
            })
            .collect();
        let path = format!("/metrics/job/{}", situation.job);
        let response = http::send(gateway.address(), "PUT", &path, text.as_bytes()).unwrap();
        assert_eq!(response.status, 200, "{response:?}");
    }
}

/// Removes what delays an alert: `for`, and the intervals of groups.
pub(crate) fn without_delays(rules: &str) -> String {
    let is_delay =
        |line: &&str| line.starts_with("        for: ") || line.starts_with("    interval: ");
    let lines = rules.lines().filter(|line| !is_delay(line));
    let text: String = lines.flat_map(|line| [line, "\n"]).collect();
    // A subquery is evaluated at multiples of its step, so a new series is part of it after one step.
    text.replace("[8d:5m]", "[10m:1s]").replace("[3d:5m]", "[10m:1s]")
}

/// The names of alerts by job.
type Alerts = BTreeMap<String, BTreeSet<String>>;

/// Asserts that exactly these alerts fire, and still do after a few more evaluations.
#[track_caller]
fn assert_firing(prometheus: &Prometheus, expected: &Alerts) {
    let firing = r#"ALERTS{alertname=~"BatchJob.+", alertstate="firing"}"#;
    let names = |series: &[(Labels, f64)]| {
        let mut found = Alerts::new();
        for (labels, _) in series {
            found.entry(labels["job"].clone()).or_default().insert(labels["alertname"].clone());
        }
        found
    };
    prometheus.wait_for(firing, |series| names(series) == *expected);
    // Rules read what other groups have recorded.
    let later = now() + 4.0 * INTERVAL.as_secs_f64();
    let evaluated = format!(r#"timestamp(ALERTS{{alertname="Watchdog"}}) > {later}"#);
    prometheus.wait_for(&evaluated, |series| !series.is_empty());
    assert_eq!(names(&prometheus.query(firing)), *expected);
}

fn expected_alerts() -> Alerts {
    let expected = SITUATIONS.iter().filter(|situation| !situation.alerts.is_empty());
    let alerts = |it: &Situation| it.alerts.iter().map(|&name| name.to_owned()).collect();
    expected.map(|it| (it.job.to_owned(), alerts(it))).collect()
}

#[test]
fn rules_for_samples_fire_in_six_of_eight_situations() {
    let scratch = Scratch::new("situations");
    let rules = scratch.write("rules.yaml", &without_delays(&printed_rules()));
    let prometheus = Prometheus::receiving(INTERVAL, &rules);
    write_samples(&prometheus);
    assert_firing(&prometheus, &expected_alerts());
}

#[test]
fn rules_for_groups_fire_in_the_same_situations() {
    let scratch = Scratch::new("groups");
    let rules = scratch.write("rules.yaml", &without_delays(&printed(&["rules"])));
    let gateway = Pushgateway::start();
    push_groups(&gateway);
    let prometheus = Prometheus::watching(gateway.address(), INTERVAL, &rules);
    assert_firing(&prometheus, &expected_alerts());
}

/// Why there are two kinds of rules: an instant selector finds a sample for five minutes.
#[test]
fn rules_for_groups_miss_samples_older_than_five_minutes() {
    let scratch = Scratch::new("wrong-rules");
    let rules = scratch.write("rules.yaml", &without_delays(&printed(&["rules"])));
    let prometheus = Prometheus::receiving(INTERVAL, &rules);
    write_samples(&prometheus);
    let failed = BTreeSet::from(["BatchJobFailed".to_owned()]);
    assert_firing(&prometheus, &Alerts::from([("failed_now".to_owned(), failed)]));
}

/// Writes the groups of a gateway as samples of this age, as a sink for samples would have written them.
pub(crate) fn copy_groups(gateway: &Pushgateway, prometheus: &Prometheus, age: Duration) {
    let text = http::send(gateway.address(), "GET", "/metrics", b"").unwrap().text();
    let time = (1e3 * (now() - age.as_secs_f64())) as i64;
    let is_pushed = |line: &&str| line.starts_with("batch_job_") || line.starts_with("function_");
    let samples: Vec<_> = text.lines().filter(is_pushed).map(|line| parse(line, time)).collect();
    assert!(samples.len() > 20, "{text}");
    assert_eq!(write(prometheus.address(), PATH, &samples).status, 204);
}

/// Parses a line such as `name{a="b",c="d"} 1`. The labels contain neither quotes nor commas.
fn parse(line: &str, time: i64) -> SentSeries {
    let (series, value) = line.rsplit_once(' ').unwrap();
    let (name, labels) = series.trim_end_matches('}').split_once('{').unwrap();
    let mut found = Labels::from([("__name__".to_owned(), name.to_owned())]);
    for label in labels.split(',') {
        let (name, value) = label.split_once('=').unwrap();
        let value = value.trim_matches('"');
        if !value.is_empty() {
            found.insert(name.to_owned(), value.to_owned());
        }
    }
    let samples = vec![(time, value.parse().unwrap())];
    SentSeries { labels: found.into_iter().collect(), samples }
}

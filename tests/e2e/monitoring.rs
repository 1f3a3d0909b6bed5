//! The shipped dashboard and alert rules in a real Prometheus, with data that the examples push to a real Pushgateway.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use metrics_push::testing::FakeGateway;
use metrics_push::{Gateway, StoredGroup};
use serde_json::Value;

use crate::cli;
use crate::faketime;
use crate::programs::{command, program};
use crate::real::{Prometheus, Pushgateway};
use crate::samples::{self, Scratch};

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../metrics-push-cli/monitoring");

/// The scrape interval and the evaluation interval of the rules.
const INTERVAL: Duration = Duration::from_secs(1);

const DATA_TIMEOUT: Duration = Duration::from_secs(60);

/// The jobs that the dashboard must offer for selection.
const JOBS: [&str; 5] = ["nightly_import", "etl_steps", "watched", "ends_with_code", "is_killed"];

/// The default of a query that counts.
const DEFAULT: &str = " or on () vector(0)";

/// Parts of the queries without data in this test. The gateway sets the time of a push, so no push can
/// be a month old.
const EXPECTED_EMPTY: [&str; 1] = [" > 30 * 86400 unless push_time_seconds"];

/// Both servers and a state directory for the jobs.
struct Stack {
    gateway: Pushgateway,
    prometheus: Prometheus,
    state: PathBuf,
}

impl Stack {
    fn start(name: &str) -> Self {
        let gateway = Pushgateway::start();
        let rules = Path::new(FOLDER).join("rules/*.yaml");
        let prometheus = Prometheus::watching(gateway.address(), INTERVAL, &rules);
        Self::with_servers(name, gateway, prometheus)
    }

    fn with_servers(name: &str, gateway: Pushgateway, prometheus: Prometheus) -> Self {
        let state = format!("monitoring-{name}-{}", std::process::id());
        let state = Path::new(env!("CARGO_TARGET_TMPDIR")).join(state);
        Self { gateway, prometheus, state }
    }

    fn command(&self, program: &Path, arguments: &[&str]) -> Command {
        let mut command = command(program);
        command.args(arguments).env("METRICS_PUSH_URL", self.gateway.url());
        command.env("METRICS_PUSH_STATE_DIR", &self.state).env("METRICS_PUSH_TOTALS", "on");
        command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        command
    }

    /// Runs an example and returns its exit code.
    fn run(&self, name: &str, arguments: &[&str]) -> Option<i32> {
        self.command(&program(name), arguments).status().unwrap().code()
    }

    /// Starts a run of `job_watched` that lasts until it is killed.
    fn start_open_run(&self) -> Child {
        self.command(&program("job_watched"), &["wait"]).spawn().unwrap()
    }

    /// Runs a command with `metrics-push exec` and returns its exit code.
    fn exec(&self, url: &str, arguments: &[&str]) -> Option<i32> {
        let mut command = self.command(&cli::metrics_push_program(), &["exec"]);
        command.args(arguments).env("METRICS_PUSH_URL", url);
        command.status().unwrap().code()
    }

    /// Runs all jobs of the dashboard, so that each panel has data. Returns the run that is still open.
    fn run_jobs(&self) -> Child {
        let url = self.gateway.url();
        // The second run reports what the first one has stored for the gateway that is down.
        for _ in 0..2 {
            let both = format!("{url},http://127.0.0.1:9");
            assert_eq!(self.exec(&both, &["--job", "elsewhere", "--", "true"]), Some(0));
        }
        assert_eq!(self.run("nightly_import", &[]), Some(0));
        assert_eq!(self.run("nightly_import", &["--fail"]), Some(1));
        assert_eq!(self.run("etl_steps", &[]), Some(0));
        assert_eq!(self.run("job_watched", &[]), Some(0));
        let late = ["--job", "is_late", "--every", "500ms", "--", "true"];
        assert_eq!(self.exec(&url, &late), Some(0));
        let threshold = ["--job", "ends_with_code", "--failure-threshold", "2"];
        let code = [&threshold[..], &["--", "sh", "-c", "exit 3"]].concat();
        assert_eq!(self.exec(&url, &code), Some(3));
        let killed = ["--job", "is_killed", "--", "sh", "-c", "kill -KILL $$"];
        assert_ne!(self.exec(&url, &killed), Some(0));
        self.start_open_run()
    }

    /// Waits until the gateway stores the start of the open run.
    fn wait_for_open_run(&self) {
        let deadline = Instant::now() + DATA_TIMEOUT;
        let gateway = Gateway::new(self.gateway.url()).unwrap();
        let is_open = |group: &StoredGroup| {
            let time = |name| group.value(&format!("batch_job_last_{name}_timestamp_seconds"), &[]);
            group.labels["job"] == "watched" && time("start") > time("completion")
        };
        while !gateway.metrics().unwrap().iter().any(is_open) {
            assert!(Instant::now() < deadline, "no run of `watched` is open");
            thread::sleep(INTERVAL);
        }
    }

    /// Waits until all queries return data.
    #[track_caller]
    fn wait_for_data(&self, mut queries: Vec<String>) {
        let deadline = Instant::now() + DATA_TIMEOUT;
        loop {
            queries.retain(|query| !has_data(&self.prometheus, query));
            if queries.is_empty() {
                break;
            }
            assert!(Instant::now() < deadline, "no data for {queries:#?}");
            thread::sleep(INTERVAL);
        }
    }

    /// Waits until Prometheus has evaluated all rules with the groups that are stored at the time of the call.
    fn wait_for_evaluation(&self) {
        let now = self.prometheus.query("vector(time())")[0].1;
        let next = |series: &str, instant: f64| {
            let later = format!("timestamp({series}) > {instant}");
            self.prometheus.wait_for(&later, |series| !series.is_empty())[0].1
        };
        let scraped = next(r#"up{job="pushgateway"}"#, now);
        // Prometheus evaluates each group of rules once per interval, and some rules use series that others record.
        next(r#"ALERTS{alertname="Watchdog"}"#, scraped + 2.0 * INTERVAL.as_secs_f64());
    }

    /// The names of the alerts that this expression selects.
    fn alerts(&self, expression: &str) -> BTreeSet<String> {
        let series = self.prometheus.query(expression);
        series.into_iter().map(|(labels, _)| labels["alertname"].clone()).collect()
    }
}

impl Drop for Stack {
    fn drop(&mut self) {
        // Fails if no job has created the directory.
        let _ = fs::remove_dir_all(&self.state);
    }
}

/// Collects the expressions of panels, including those inside rows.
fn expressions_of(panels: &Value, found: &mut Vec<String>) {
    for panel in panels.as_array().into_iter().flatten() {
        let targets = panel["targets"].as_array().into_iter().flatten();
        found.extend(targets.map(|target| target["expr"].as_str().unwrap().to_owned()));
        expressions_of(&panel["panels"], found);
    }
}

fn dashboard() -> Value {
    let text = fs::read_to_string(Path::new(FOLDER).join("dashboard.json")).unwrap();
    serde_json::from_str(&text).unwrap()
}

/// The series and the label of a variable's query `label_values(series, label)`.
fn label_values(query: &str) -> Option<(&str, &str)> {
    query.strip_prefix("label_values(")?.strip_suffix(')')?.rsplit_once(", ")
}

/// The queries of the selections above the panels.
fn queries_of_variables(dashboard: &Value) -> Vec<&str> {
    let variables = dashboard["templating"]["list"].as_array().unwrap();
    let queries: Vec<_> = variables.iter().filter_map(|it| it["query"]["query"].as_str()).collect();
    assert_eq!(queries.len(), 3);
    queries
}

/// All queries of a dashboard.
fn queries(dashboard: &Value) -> Vec<String> {
    let mut found = Vec::new();
    expressions_of(&dashboard["panels"], &mut found);
    let annotations = dashboard["annotations"]["list"].as_array().unwrap();
    // The built-in annotations of Grafana have no expression.
    found.extend(annotations.iter().filter_map(|it| it["expr"].as_str()).map(str::to_owned));
    found
}

/// Replaces the variables as Grafana does: all environments, and one query for each job if the query uses `$job`.
fn expand(query: &str) -> Vec<String> {
    let query = [
        ("$__rate_interval", "1m"),
        ("$__interval", "1m"),
        ("$__range", "1m"),
        ("$cluster", ".*"),
        ("$environment", ".*"),
    ]
    .iter()
    .fold(query.to_owned(), |query, (variable, value)| query.replace(variable, value));
    let of_job = |job| query.replace("$job", job);
    let queries: Vec<_> =
        if query.contains("$job") { JOBS.map(of_job).to_vec() } else { vec![query] };
    assert!(!queries[0].contains('$'), "the test has no value for a variable: {}", queries[0]);
    queries
}

/// Returns true if the query returns a number for any job.
fn has_data(prometheus: &Prometheus, query: &str) -> bool {
    // The default of zero would hide that the query returns nothing.
    let bare = query.strip_suffix(DEFAULT).unwrap_or(query);
    let expanded = expand(bare)[0].replace(r#"{cluster=~".*", environment=~".*"}"#, "");
    let is_expected_empty = EXPECTED_EMPTY.iter().any(|part| expanded.contains(part));
    let query = if is_expected_empty { query } else { bare };
    let has_number = |query: &String| prometheus.query(query).iter().any(|it| it.1.is_finite());
    expand(query).iter().any(has_number)
}

#[test]
fn dashboard_queries_all_return_data() {
    let stack = Stack::start("dashboard");
    let mut open = stack.run_jobs();
    // Rates need pushes after a scrape.
    stack.wait_for_evaluation();
    assert_eq!(stack.run("nightly_import", &["--fail"]), Some(1));
    assert_eq!(stack.run("etl_steps", &[]), Some(0));

    let dashboard = dashboard();
    let queries = queries(&dashboard);
    assert!(queries.len() > 50, "not all queries were found: {queries:#?}");
    stack.wait_for_data(queries);
    for query in queries_of_variables(&dashboard) {
        let (series, label) = label_values(query).unwrap_or_else(|| panic!("{query}"));
        let found = stack.prometheus.query(&expand(series)[0]);
        if label != "job" {
            // The stack has one environment, without labels.
            assert!(!found.is_empty(), "{query}");
            continue;
        }
        let values: BTreeSet<_> = found.iter().map(|(labels, _)| labels[label].as_str()).collect();
        assert!(JOBS.iter().all(|job| values.contains(job)), "{query}: {values:?}");
    }
    open.kill().unwrap();
    open.wait().unwrap();
}

#[test]
fn dashboard_queries_for_samples_all_return_data() {
    let scratch = Scratch::new("dashboard");
    let rules = scratch.write("rules.yaml", &samples::without_delays(&samples::printed_rules()));
    let prometheus = Prometheus::receiving(INTERVAL, &rules);
    let stack = Stack::with_servers("samples", Pushgateway::start(), prometheus);
    let mut open = stack.run_jobs();
    // The start of the open run is sent while the run goes on.
    stack.wait_for_open_run();
    samples::copy_groups(&stack.gateway, &stack.prometheus, Duration::from_secs(20 * 60));

    let dashboard = samples::printed(&["dashboard", "--for", "samples"]);
    let dashboard: Value = serde_json::from_str(&dashboard).unwrap();
    let queries = queries(&dashboard);
    assert!(queries.len() > 40, "not all queries were found: {queries:#?}");
    stack.wait_for_data(queries);
    for query in queries_of_variables(&dashboard) {
        let expression = query.strip_prefix("query_result(").unwrap().strip_suffix(')').unwrap();
        let found = stack.prometheus.query(&expand(expression)[0]);
        let values: BTreeSet<_> = found.iter().filter_map(|it| it.0.get("job")).collect();
        let is_complete = JOBS.iter().all(|&job| values.contains(&job.to_owned()));
        assert!(is_complete || !query.contains("by (job)"), "{query}: {values:?}");
        assert!(!found.is_empty(), "{query}");
    }
    open.kill().unwrap();
    open.wait().unwrap();
}

/// Collects the panels, including those inside rows.
fn panels_of<'a>(panels: &'a Value, found: &mut Vec<&'a Value>) {
    for panel in panels.as_array().into_iter().flatten() {
        found.push(panel);
        panels_of(&panel["panels"], found);
    }
}

#[test]
fn dashboard_panels_have_unique_ids_and_do_not_overlap() {
    let dashboard = dashboard();
    let mut panels = Vec::new();
    panels_of(&dashboard["panels"], &mut panels);
    let mut ids = BTreeSet::new();
    let mut occupied = BTreeSet::new();
    for panel in panels {
        assert!(ids.insert(panel["id"].as_u64().unwrap()), "{panel}");
        assert!(!panel["title"].as_str().unwrap().is_empty(), "{panel}");
        let position = |key: &str| panel["gridPos"][key].as_u64().unwrap();
        let (columns, rows) = (
            position("x")..position("x") + position("w"),
            position("y")..position("y") + position("h"),
        );
        assert!(columns.end <= 24, "the grid has 24 columns: {panel}");
        for cell in columns.flat_map(|x| rows.clone().map(move |y| (x, y))) {
            assert!(occupied.insert(cell), "the panel overlaps another one at {cell:?}: {panel}");
        }
        let targets = panel["targets"].as_array().into_iter().flatten();
        let mut ref_ids = BTreeSet::new();
        for target in targets {
            let ref_id = target["refId"].as_str().unwrap();
            assert!(ref_ids.insert(ref_id), "duplicate refId {ref_id}: {panel}");
            assert_eq!(target["datasource"]["uid"], "${datasource}", "{panel}");
        }
    }
}

#[test]
fn dashboard_has_a_name_for_every_outcome() {
    let text = dashboard().to_string();
    let gateway = FakeGateway::start();
    let mut job = command(program("job_watched"));
    job.env("METRICS_PUSH_URL", gateway.url()).env("METRICS_PUSH_STATE_DIR", "off");
    assert!(job.output().unwrap().status.success());
    let group = gateway.group("watched", &[]);
    let states = group.families["batch_job_last_run_outcome"].samples();
    assert!(states.len() > 8, "{group}");
    for state in states {
        let outcome = &state.labels["outcome"];
        assert!(text.contains(&format!(r#"outcome=\"{outcome}\""#)), "no query for {outcome}");
        assert!(text.contains(&format!(r#""text":"{outcome}""#)), "no text for {outcome}");
    }
}

#[test]
fn vanished_alert_fires_from_kill_to_next_success() {
    let stack = Stack::start("vanished");
    let vanished = r#"ALERTS{alertname="BatchJobVanished",alertstate="firing",job="watched"}"#;
    assert_eq!(stack.run("job_watched", &[]), Some(0));
    stack.wait_for_evaluation();
    assert!(stack.alerts(vanished).is_empty());

    let mut open = stack.start_open_run();
    let open_run = r#"batch_job:open_run:start_timestamp_seconds{job="watched"}"#;
    stack.prometheus.wait_for(open_run, |series| !series.is_empty());
    open.kill().unwrap();
    assert!(!open.wait().unwrap().success());
    stack.prometheus.wait_for(vanished, |series| series.len() == 1);

    assert_eq!(stack.run("job_watched", &[]), Some(0));
    stack.prometheus.wait_for(vanished, <[_]>::is_empty);
}

/// Returns the day of the week of a day since 1970-01-01, which was a Thursday. 0 is Sunday.
fn weekday(day: u64) -> u64 {
    (day + 4) % 7
}

#[test]
fn missed_run_alert_fires_for_a_job_that_skips_a_weekday() {
    const DAY: u64 = 86_400;
    let stack = Stack::start("weekdays");
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let today = now / DAY;
    let on = |first: u64, second: u64| format!("0 0 * * {},{}", weekday(first), weekday(second));
    // Both ran at noon of the day before yesterday. One was due yesterday, the other one is due tomorrow.
    let noon = format!("-{}", now - (today - 2) * DAY - DAY / 2);
    let schedules = [("missed", on(today - 1, today + 2)), ("due_later", on(today + 1, today + 2))];
    for (job, schedule) in &schedules {
        let program = cli::metrics_push_program();
        let arguments = ["exec", "--job", job, "--schedule", schedule];
        let mut run = stack.command(&program, &arguments);
        run.args(["--timezone", "UTC", "--", "true"]).envs(faketime::variables(&noon));
        assert!(run.status().unwrap().success());
    }
    let missed = r#"ALERTS{alertname="BatchJobMissedRun",alertstate="firing"}"#;
    let fired = stack.prometheus.wait_for(missed, |series| !series.is_empty());
    let jobs: Vec<_> = fired.iter().map(|(labels, _)| labels["job"].as_str()).collect();
    assert_eq!(jobs, ["missed"]);
    stack.wait_for_evaluation();
    assert_eq!(stack.prometheus.query(missed).len(), 1);

    let (job, schedule) = &schedules[0];
    let arguments = ["--job", job, "--schedule", schedule, "--timezone", "UTC", "--", "true"];
    assert_eq!(stack.exec(&stack.gateway.url(), &arguments), Some(0));
    stack.prometheus.wait_for(missed, <[_]>::is_empty);
}

#[test]
fn healthy_jobs_fire_only_the_watchdog() {
    let stack = Stack::start("healthy");
    let watchdog = BTreeSet::from(["Watchdog".to_owned()]);
    // An operator may start a daily job three times by hand.
    for _ in 0..3 {
        for name in ["nightly_import", "etl_steps", "job_annotated"] {
            assert_eq!(stack.run(name, &[]), Some(0), "{name}");
        }
        stack.wait_for_evaluation();
    }
    let evaluated = stack.prometheus.query("batch_job:run_limit:seconds");
    assert_eq!(evaluated.len(), 3, "{evaluated:?}");
    assert_eq!(stack.alerts(r#"last_over_time(ALERTS{alertstate="firing"}[10m])"#), watchdog);
    assert_eq!(stack.alerts("ALERTS"), watchdog, "an alert is pending");
}

#[test]
fn rules_use_the_number_of_intervals_in_a_deadline() {
    let gateway = FakeGateway::start();
    let mut hourly = command(program("job_watched"));
    hourly.env("METRICS_PUSH_URL", gateway.url()).env("METRICS_PUSH_STATE_DIR", "off");
    assert!(hourly.output().unwrap().status.success());
    let group = gateway.group("watched", &[]);
    let value = |name: &str| group.value(&format!("batch_job_{name}_seconds"), &[]);
    let intervals = value("success_deadline") / 3_600.0;
    // A missed run is reported after one and a half intervals.
    let missed_at = value("next_run_timestamp") + value("start_grace");
    assert!((missed_at - value("last_start_timestamp") - 1.5 * 3_600.0).abs() < 1e-3);

    let rules = |file: &str| fs::read_to_string(format!("{FOLDER}/rules/{file}.yaml")).unwrap();
    let twice_an_hour = format!("> 4 + 2 * {} / (\n", 3_600.0 * intervals);
    assert!(rules("runs").contains(&twice_an_hour), "{twice_an_hour}");
}

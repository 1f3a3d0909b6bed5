//! The shipped dashboard and alert rules in a real Prometheus, fed by the examples through a real Pushgateway.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use metrics_push::testing::FakeGateway;
use serde_json::Value;

use crate::cli;
use crate::programs::{command, program};
use crate::real::{Prometheus, Pushgateway};

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../metrics-push-cli/monitoring");

/// Between scrapes, and between evaluations of the rules.
const INTERVAL: Duration = Duration::from_millis(500);

const PATIENCE: Duration = Duration::from_secs(20);

/// What one job can be chosen from, in the dashboard.
const JOBS: [&str; 5] = ["nightly_import", "etl_steps", "watched", "ends_with_code", "is_killed"];

/// Queries of states that no test can bring about, with what they are without their ` or vector(0)`: the time of
/// a push is the gateway's own, and none can be a month old.
const EMPTY: [&str; 1] =
    ["count(time() - push_time_seconds > 30 * 86400 unless push_time_seconds == 0)"];

/// The servers, and a state directory for the jobs.
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
        let state = format!("monitoring-{name}-{}", std::process::id());
        let state = Path::new(env!("CARGO_TARGET_TMPDIR")).join(state);
        Self { gateway, prometheus, state }
    }

    fn command(&self, program: &Path, arguments: &[&str]) -> Command {
        let mut command = command(program);
        command.args(arguments).env("METRICS_PUSH_URL", self.gateway.url());
        command.env("METRICS_PUSH_STATE_DIR", &self.state);
        command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        command
    }

    /// Runs an example to its end and gives its exit code.
    fn run(&self, name: &str, arguments: &[&str]) -> Option<i32> {
        self.command(&program(name), arguments).status().unwrap().code()
    }

    /// A run of `job_watched` that lasts until it is killed, or its input is closed.
    fn start_waiting(&self) -> Child {
        self.command(&program("job_watched"), &["wait"]).spawn().unwrap()
    }

    /// Runs any command by ours.
    fn exec(&self, url: &str, arguments: &[&str]) -> Option<i32> {
        let mut command = self.command(cli::metrics_push_program(), &["exec"]);
        command.args(arguments).env("METRICS_PUSH_URL", url).env("METRICS_PUSH_TIMEOUT", "2s");
        command.status().unwrap().code()
    }

    /// Waits until all rules have seen what is on the gateway by now.
    fn settle(&self) {
        let now = self.prometheus.query("vector(time())")[0].1;
        let next = |series: &str, instant: f64| {
            let later = format!("timestamp({series}) > {instant}");
            self.prometheus.wait_for(&later, |series| !series.is_empty())[0].1
        };
        let scraped = next(r#"up{job="pushgateway"}"#, now);
        // Each group of rules has its turn in each interval, and some use what others record.
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
        // Not every test writes to it.
        let _ = fs::remove_dir_all(&self.state);
    }
}

/// The expressions of panels, those inside rows among them.
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

/// The series and the label that a variable is chosen from, in a query `label_values(series, label)`.
fn label_values(query: &str) -> Option<(&str, &str)> {
    query.strip_prefix("label_values(")?.strip_suffix(')')?.split_once(", ")
}

/// Every query of the shipped dashboard.
fn queries() -> Vec<String> {
    let dashboard = dashboard();
    let mut found = Vec::new();
    expressions_of(&dashboard["panels"], &mut found);
    let annotations = dashboard["annotations"]["list"].as_array().unwrap();
    // Grafana's own annotations have no expression.
    found.extend(annotations.iter().filter_map(|it| it["expr"].as_str()).map(str::to_owned));
    found
}

/// What Grafana would ask for, once for each job if the query is about one.
fn asked(query: &str) -> Vec<String> {
    let query = ["$__rate_interval", "$__interval", "$__range"]
        .iter()
        .fold(query.to_owned(), |query, variable| query.replace(variable, "1m"));
    let about = |job| query.replace("$job", job);
    let asked: Vec<_> = if query.contains("$job") { JOBS.map(about).to_vec() } else { vec![query] };
    assert!(!asked[0].contains('$'), "a variable that has no value here: {}", asked[0]);
    asked
}

/// Whether a panel would show something: a number, of any of the jobs.
fn has_data(prometheus: &Prometheus, query: &str) -> bool {
    // Zero where there is nothing says nothing of the query before it.
    let bare = query.strip_suffix(" or vector(0)").unwrap_or(query);
    let query = if EMPTY.contains(&bare) { query } else { bare };
    let shows = |query: &String| prometheus.query(query).iter().any(|it| it.1.is_finite());
    asked(query).iter().any(shows)
}

#[test]
fn every_query_of_the_dashboard_shows_something() {
    let stack = Stack::start("dashboard");
    let url = stack.gateway.url();
    // It stays in the spool, since nobody else asks for that gateway.
    assert_eq!(stack.exec("http://127.0.0.1:9", &["--job", "elsewhere", "--", "true"]), Some(0));
    assert_eq!(stack.run("nightly_import", &[]), Some(0));
    assert_eq!(stack.run("nightly_import", &["--fail"]), Some(1));
    assert_eq!(stack.run("etl_steps", &[]), Some(0));
    assert_eq!(stack.run("job_watched", &[]), Some(0));
    assert_eq!(stack.exec(&url, &["--job", "is_late", "--every", "500ms", "--", "true"]), Some(0));
    let code = ["--job", "ends_with_code", "--", "sh", "-c", "exit 3"];
    assert_eq!(stack.exec(&url, &code), Some(3));
    let killed = ["--job", "is_killed", "--", "sh", "-c", "kill -KILL $$"];
    assert_ne!(stack.exec(&url, &killed), Some(0));
    let mut open = stack.start_waiting();
    // Rates need pushes that come after a scrape.
    stack.settle();
    assert_eq!(stack.run("nightly_import", &["--fail"]), Some(1));
    assert_eq!(stack.run("etl_steps", &[]), Some(0));

    let mut empty = queries();
    assert!(empty.len() > 50, "not all queries are found: {empty:#?}");
    let deadline = Instant::now() + PATIENCE;
    loop {
        empty.retain(|query| !has_data(&stack.prometheus, query));
        if empty.is_empty() {
            break;
        }
        assert!(Instant::now() < deadline, "no data for {empty:#?}");
        thread::sleep(INTERVAL);
    }
    let dashboard = dashboard();
    let variables = dashboard["templating"]["list"].as_array().unwrap();
    let asked: Vec<_> = variables.iter().filter_map(|it| it["query"]["query"].as_str()).collect();
    assert!(!asked.is_empty());
    for query in asked {
        let (series, label) = label_values(query).unwrap_or_else(|| panic!("{query}"));
        let found = stack.prometheus.query(series);
        let values: BTreeSet<_> = found.iter().map(|(labels, _)| labels[label].as_str()).collect();
        assert!(JOBS.iter().all(|job| values.contains(job)), "{query}: {values:?}");
    }
    open.kill().unwrap();
    open.wait().unwrap();
}

/// The panels, those inside rows among them.
fn panels_of<'a>(panels: &'a Value, found: &mut Vec<&'a Value>) {
    for panel in panels.as_array().into_iter().flatten() {
        found.push(panel);
        panels_of(&panel["panels"], found);
    }
}

#[test]
fn panels_have_a_place_and_a_number_of_their_own_and_ask_the_chosen_data_source() {
    let dashboard = dashboard();
    let mut panels = Vec::new();
    panels_of(&dashboard["panels"], &mut panels);
    let mut numbers = BTreeSet::new();
    let mut taken = BTreeSet::new();
    for panel in panels {
        assert!(numbers.insert(panel["id"].as_u64().unwrap()), "{panel}");
        assert!(!panel["title"].as_str().unwrap().is_empty(), "{panel}");
        let place = |key: &str| panel["gridPos"][key].as_u64().unwrap();
        assert!(place("x") + place("w") <= 24, "the grid has 24 columns: {panel}");
        for cell in (place("x")..place("x") + place("w"))
            .flat_map(|x| (place("y")..place("y") + place("h")).map(move |y| (x, y)))
        {
            assert!(taken.insert(cell), "it lies over another at {cell:?}: {panel}");
        }
        let targets = panel["targets"].as_array().into_iter().flatten();
        let names: Vec<_> =
            targets.map(|target| (&target["refId"], &target["datasource"])).collect();
        let letters: BTreeSet<_> =
            names.iter().map(|(letter, _)| letter.as_str().unwrap()).collect();
        assert_eq!(letters.len(), names.len(), "one letter twice: {panel}");
        for (_, source) in names {
            assert_eq!(source["uid"], "${datasource}", "{panel}");
        }
    }
}

#[test]
fn the_state_of_a_job_has_a_name_for_every_outcome() {
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
        assert!(text.contains(&format!(r#"outcome=\"{outcome}\""#)), "{outcome} is not asked for");
        assert!(text.contains(&format!(r#""text":"{outcome}""#)), "{outcome} is not shown");
    }
}

#[test]
fn a_killed_job_is_told_as_vanished_until_it_succeeds_again() {
    let stack = Stack::start("vanished");
    let vanished = r#"ALERTS{alertname="BatchJobVanished",alertstate="firing",job="watched"}"#;
    assert_eq!(stack.run("job_watched", &[]), Some(0));
    stack.settle();
    assert!(stack.alerts(vanished).is_empty());

    let mut open = stack.start_waiting();
    let under_way = r#"batch_job:open_run:start_timestamp_seconds{job="watched"}"#;
    stack.prometheus.wait_for(under_way, |series| !series.is_empty());
    // `kill -9`.
    open.kill().unwrap();
    assert!(!open.wait().unwrap().success());
    stack.prometheus.wait_for(vanished, |series| series.len() == 1);

    assert_eq!(stack.run("job_watched", &[]), Some(0));
    stack.prometheus.wait_for(vanished, <[_]>::is_empty);
}

#[test]
fn a_healthy_schedule_fires_the_watchdog_alone() {
    let stack = Stack::start("healthy");
    let watchdog = BTreeSet::from(["Watchdog".to_owned()]);
    // Three runs of a daily job are what somebody may start by hand.
    for _ in 0..3 {
        for name in ["nightly_import", "etl_steps", "job_annotated"] {
            assert_eq!(stack.run(name, &[]), Some(0), "{name}");
        }
        stack.settle();
    }
    let judged = stack.prometheus.query("batch_job:run_limit:seconds");
    assert_eq!(judged.len(), 3, "{judged:?}");
    assert_eq!(stack.alerts(r#"last_over_time(ALERTS{alertstate="firing"}[10m])"#), watchdog);
    assert_eq!(stack.alerts("ALERTS"), watchdog, "those that are pending among them");
}

#[test]
fn rules_that_reckon_in_intervals_know_how_many_a_deadline_has() {
    let gateway = FakeGateway::start();
    let mut hourly = command(program("job_watched"));
    hourly.env("METRICS_PUSH_URL", gateway.url()).env("METRICS_PUSH_STATE_DIR", "off");
    assert!(hourly.output().unwrap().status.success());
    let deadline = gateway.group("watched", &[]).value("batch_job_success_deadline_seconds", &[]);
    let intervals = deadline / 3_600.0;

    let rules = |file: &str| fs::read_to_string(format!("{FOLDER}/rules/{file}.yaml")).unwrap();
    let one_and_a_half = format!("> {} * batch_job_success_deadline_seconds\n", 1.5 / intervals);
    assert!(rules("schedule").contains(&one_and_a_half), "{one_and_a_half}");
    let twice_an_hour =
        format!("> 4 + 2 * {} / batch_job_success_deadline_seconds\n", 3_600.0 * intervals);
    assert!(rules("runs").contains(&twice_an_hour), "{twice_an_hour}");
}

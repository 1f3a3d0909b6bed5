//! The alert rules and the dashboard with several environments in one Prometheus.
//!
//! `metrics-push-cli/monitoring/rules/environments.yaml` names the labels that tell environments apart.

use std::fs;
use std::path::Path;

use crate::programs::command;
use crate::rules::{FOLDER, blocks, files, value};

/// Adds a label to a selector such as `up{job="pushgateway"}` or `ALERTS`.
fn with_label(selector: &str, label: &str) -> String {
    match selector.split_once('{') {
        Some((name, labels)) => format!("{name}{{{label}, {labels}"),
        None => format!("{selector}{{{label}}}"),
    }
}

/// One test of a promtool file, as lines of YAML.
struct Scenario<'a> {
    interval: &'a str,
    series: &'a str,
    expectations: &'a str,
}

impl<'a> Scenario<'a> {
    /// Returns `None` for expectations that do not concern one environment: alerts about the absence of any gateway.
    fn new(text: &'a str) -> Option<Self> {
        let (head, rest) = text.split_once("    input_series:\n").unwrap();
        let (series, expectations) = rest.split_once("    promql_expr_test:\n").unwrap();
        let interval = head.lines().find(|line| line.contains("interval:")).unwrap();
        let needs_no_gateway = head.contains("without a gateway") || head.contains("another name");
        (!needs_no_gateway).then_some(Self { interval, series, expectations })
    }

    /// Both tests in one Prometheus, with the expectations of this one.
    fn beside(&self, other: &Self) -> String {
        format!(
            "  - {}\n    input_series:\n{}{}    promql_expr_test:\n{}",
            self.interval.trim(),
            self.series_in("staging"),
            other.series_in("production"),
            self.expectations_in("staging"),
        )
    }

    /// The series of the test in one environment.
    fn series_in(&self, environment: &str) -> String {
        self.add_label(self.series, "- series: ", environment)
    }

    /// The expectations of the test, for the alerts of one environment only.
    fn expectations_in(&self, environment: &str) -> String {
        let text = self.add_label(self.expectations, "- labels: ", environment);
        let text = self.add_label(&text, "- expr: ", environment);
        // The Watchdog belongs to no environment.
        let lines: Vec<_> = text.lines().collect();
        let is_watchdog = |at: usize| {
            lines[at].contains(r#"alertname="Watchdog""#) && lines[at].contains("labels:")
        };
        let kept =
            (0..lines.len()).filter(|at| !is_watchdog(*at) && (*at == 0 || !is_watchdog(at - 1)));
        kept.map(|at| format!("{}\n", lines[at])).collect()
    }

    fn add_label(&self, text: &str, key: &str, environment: &str) -> String {
        let label = format!("environment=\"{environment}\"");
        let line = |line: &str| match line.split_once(key) {
            // Functions around a selector, such as `count(..)`.
            Some((indentation, value)) if value.contains('(') => {
                let (function, selector) = value.rsplit_once('(').unwrap();
                let name =
                    selector.find(|c: char| !c.is_alphanumeric() && !"_:".contains(c)).unwrap();
                let (name, rest) = selector.split_at(name);
                let labels = rest
                    .strip_prefix('{')
                    .map_or_else(|| format!("}}{rest}"), |it| format!(", {it}"));
                format!("{indentation}{key}{function}({name}{{{label}{labels}\n")
            }
            Some((indentation, value)) => {
                format!("{indentation}{key}{}\n", with_label(value, &label))
            }
            None => format!("{line}\n"),
        };
        text.lines().map(line).collect()
    }
}

/// Runs all tests in two environments at once, each together with itself and with the next test of its file. The alerts of
/// one environment must be the same whatever happens in the other one.
#[test]
fn alerts_of_one_environment_ignore_the_other() {
    let folder = format!("rules-in-two-environments-{}", std::process::id());
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(folder);
    fs::create_dir_all(&folder).unwrap();
    let mut pairs = 0;
    for (name, text) in files("tests") {
        // Its tests contain several environments already.
        if name == "environments.yaml" {
            continue;
        }
        let (head, tests) = text.split_once("\ntests:\n").unwrap();
        let scenarios: Vec<_> =
            tests.split("  - name: ").skip(1).filter_map(Scenario::new).collect();
        let mut merged =
            format!("{}\ntests:\n", head.replace("../rules", &format!("{FOLDER}/rules")));
        for (at, one) in scenarios.iter().enumerate() {
            let others = scenarios[at + 1..].iter().chain(&scenarios[..at]);
            let next = others.into_iter().find(|other| other.interval == one.interval);
            for other in [Some(one), next].into_iter().flatten() {
                merged.push_str(&one.beside(other));
                pairs += 1;
            }
        }
        fs::write(folder.join(name), merged).unwrap();
    }
    let mut promtool = command("promtool");
    promtool
        .args(["test", "rules"])
        .args(fs::read_dir(&folder).unwrap().map(|it| it.unwrap().path()));
    let output = promtool.output().unwrap();
    assert!(
        output.status.success(),
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    fs::remove_dir_all(&folder).unwrap();
    assert!(pairs > 60, "only {pairs} pairs of tests were found");
}

/// The aggregation operators that the rules and the dashboard may use.
const AGGREGATIONS: [&str; 5] = ["sum", "count", "max", "min", "avg"];

/// The aggregations in an expression that merge environments.
fn merging_aggregations(expression: &str) -> Vec<&str> {
    let is_word = |c: char| c.is_alphanumeric() || "_:".contains(c);
    let mut found = Vec::new();
    for name in AGGREGATIONS {
        for (at, _) in expression.match_indices(name) {
            let rest = expression[at + name.len()..].trim_start();
            let is_name = !expression[..at].ends_with(is_word)
                && ["(", "by", "without"].iter().any(|follows| rest.starts_with(follows));
            let labels = rest.split(')').next().unwrap_or_default();
            let separates = match labels.split_once('(') {
                Some(("by ", labels)) => labels.starts_with("cluster, environment"),
                Some(("without ", labels)) => {
                    !labels.contains("cluster") && !labels.contains("environment")
                }
                _ => false,
            };
            if is_name && !separates {
                found.push(&expression[at..]);
            }
        }
    }
    found
}

#[test]
fn rules_and_dashboard_aggregate_by_environment() {
    let dashboard = fs::read_to_string(Path::new(FOLDER).join("dashboard.json")).unwrap();
    let mut expressions: Vec<String> =
        dashboard.lines().filter(|line| line.contains("\"expr\": ")).map(str::to_owned).collect();
    for (name, text) in files("rules") {
        // Matches groups to gateways by fewer labels.
        if name != "environments.yaml" {
            let is_code = |line: &&str| !line.trim_start().starts_with('#');
            let expressions_of = |block: &str| value(block, "expr").to_owned();
            let code: String =
                text.lines().filter(is_code).map(|line| format!("{line}\n")).collect();
            expressions.extend(blocks(&code).into_iter().map(expressions_of));
        }
    }
    assert!(expressions.len() > 80, "only {} expressions were found", expressions.len());
    for expression in expressions {
        let found = merging_aggregations(&expression);
        assert!(found.is_empty(), "these merge environments: {found:#?}");
    }
}

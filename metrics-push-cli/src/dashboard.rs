//! `metrics-push dashboard`: prints the dashboard in `monitoring/`, which matches this version.

use std::process::ExitCode;

use clap::Args;
use serde_json::Value;

use crate::failure::Failure;
use crate::samples::{Window, is_available};
use crate::storage::StorageArguments;
use crate::terminal;

const DASHBOARD: &str = include_str!("../monitoring/dashboard.json");

/// What differs in the dashboard for samples besides the queries, so that both can be imported.
const SAMPLES_KEYS: [(&str, &str); 3] = [
    ("uid", "metrics-push-jobs-samples"),
    ("title", "Batch jobs (samples)"),
    (
        "description",
        "Batch jobs that report to a receiver of samples: all jobs, one job in detail, and the delivery of reports.",
    ),
];

/// The type of a variable's query that evaluates an expression.
const QUERY_RESULT: u8 = 3;

/// The number of columns of a dashboard.
const COLUMNS: u64 = 24;

/// Prints the dashboard of this version, to import into Grafana.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    storage: StorageArguments,
}

pub(crate) fn run(arguments: &Arguments) -> Result<ExitCode, Failure> {
    match arguments.storage.window()? {
        None => terminal::print(DASHBOARD)?,
        Some(window) => {
            terminal::print(&for_samples(DASHBOARD, &window).map_err(Failure::failed)?)?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Rewrites the queries for samples, and leaves out the panels about a gateway.
fn for_samples(text: &str, window: &Window) -> Result<String, serde_json::Error> {
    let mut dashboard: Value = serde_json::from_str(text)?;
    for (key, value) in SAMPLES_KEYS {
        dashboard[key] = value.into();
    }
    if let Some(panels) = dashboard["panels"].as_array_mut() {
        panels.retain_mut(|panel| rewrite_targets(panel, window));
        arrange(panels);
    }
    for annotation in elements(&mut dashboard["annotations"]["list"]) {
        rewrite_expression(annotation, window);
    }
    for variable in elements(&mut dashboard["templating"]["list"]) {
        rewrite_variable(variable, window);
    }
    Ok(format!("{dashboard:#}\n"))
}

fn elements(array: &mut Value) -> &mut [Value] {
    array.as_array_mut().map(Vec::as_mut_slice).unwrap_or_default()
}

/// Rewrites the queries of a panel. Returns false if all of them are about a gateway.
fn rewrite_targets(panel: &mut Value, window: &Window) -> bool {
    let Some(targets) = panel.get_mut("targets").and_then(Value::as_array_mut) else {
        return true;
    };
    targets.retain(|target| target["expr"].as_str().is_none_or(is_available));
    for target in targets.iter_mut() {
        rewrite_expression(target, window);
    }
    !targets.is_empty()
}

fn rewrite_expression(query: &mut Value, window: &Window) {
    if let Some(expression) = query["expr"].as_str() {
        query["expr"] = window.rewrite(expression).into();
    }
}

/// Replaces `label_values`, which finds only the samples in the time range that the dashboard shows.
fn rewrite_variable(variable: &mut Value, window: &Window) {
    let Some((series, label)) = variable["query"]["query"].as_str().and_then(label_values) else {
        return;
    };
    let query = format!("query_result(count by ({label}) ({}))", window.rewrite(series));
    // The result is a text such as `{job="import"} 1 1700000000000`.
    variable["regex"] = format!("/{label}=\"([^\"]+)\"/").into();
    variable["definition"] = query.clone().into();
    variable["query"]["query"] = query.into();
    variable["query"]["qryType"] = QUERY_RESULT.into();
}

/// The series and the label of `label_values(series, label)`.
fn label_values(query: &str) -> Option<(&str, &str)> {
    query.strip_prefix("label_values(")?.strip_suffix(')')?.rsplit_once(", ")
}

/// Places the panels in lines of equal height, in their order.
fn arrange(panels: &mut [Value]) {
    let (mut x, mut y, mut line_height) = (0, 0, 0);
    for panel in panels {
        let position = &mut panel["gridPos"];
        let [width, height] = ["w", "h"].map(|key| position[key].as_u64().unwrap_or_default());
        if x + width > COLUMNS || height != line_height {
            (x, y, line_height) = (0, y + line_height, height);
        }
        position["x"] = x.into();
        position["y"] = y.into();
        x += width;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn panels(dashboard: &Value) -> Vec<Value> {
        dashboard["panels"].as_array().unwrap().clone()
    }

    #[test]
    fn dashboard_for_samples_has_no_panels_about_a_gateway() {
        let rewritten = for_samples(DASHBOARD, &Window::default()).unwrap();
        assert!(!rewritten.contains("push_time_seconds") && !rewritten.contains("label_values"));
        let rewritten: Value = serde_json::from_str(&rewritten).unwrap();
        let original: Value = serde_json::from_str(DASHBOARD).unwrap();
        let titles = |panels: Vec<Value>| -> Vec<String> {
            panels.iter().map(|panel| panel["title"].as_str().unwrap().to_owned()).collect()
        };
        let left_out: Vec<_> = titles(panels(&original))
            .into_iter()
            .filter(|title| !titles(panels(&rewritten)).contains(title))
            .collect();
        let expected = [
            "Gateways up",
            "Rejected pushes",
            "Stale groups",
            "Gateway started",
            "Clock of the job, ahead of the gateway's",
            "Age of the last push",
            "Requests by status",
            "Duration of pushes",
            "Groups by job",
        ];
        assert_eq!(left_out, expected);
    }

    #[test]
    fn arranging_complete_lines_changes_nothing() {
        let dashboard: Value = serde_json::from_str(DASHBOARD).unwrap();
        let mut arranged = panels(&dashboard);
        arrange(&mut arranged);
        assert_eq!(arranged, panels(&dashboard));
    }

    #[test]
    fn panels_close_up_after_one_is_left_out() {
        let panel = |expression: &str, width: u64| {
            serde_json::json!({
                "targets": [{ "expr": expression }],
                "gridPos": { "x": 9, "y": 9, "w": width, "h": 4 },
            })
        };
        let dashboard = serde_json::json!({
            "panels": [panel("up", 12), panel("batch_job_a", 12), panel("batch_job_b", 12), panel("vector(1)", 12)],
        });
        let rewritten = for_samples(&dashboard.to_string(), &Window::default()).unwrap();
        let rewritten: Value = serde_json::from_str(&rewritten).unwrap();
        let shown: Vec<_> = panels(&rewritten)
            .iter()
            .map(|panel| {
                let position = &panel["gridPos"];
                let expression = panel["targets"][0]["expr"].as_str().unwrap().to_owned();
                (expression, position["x"].as_u64().unwrap(), position["y"].as_u64().unwrap())
            })
            .collect();
        assert_eq!(
            shown,
            [
                ("last_over_time(batch_job_a[8d])".to_owned(), 0, 0),
                ("last_over_time(batch_job_b[8d])".to_owned(), 12, 0),
                ("vector(1)".to_owned(), 0, 4),
            ]
        );
    }

    #[test]
    fn variables_list_all_jobs_of_the_window() {
        let mut variable = serde_json::json!({
            "query": { "qryType": 1, "query": "label_values(batch_job_a{b=\"c, d\"}, job)" },
        });
        rewrite_variable(&mut variable, &Window::default());
        let query = r#"query_result(count by (job) (last_over_time(batch_job_a{b="c, d"}[8d])))"#;
        assert_eq!(variable["query"]["query"], query);
        assert_eq!(variable["definition"], query);
        assert_eq!(variable["regex"], r#"/job="([^"]+)"/"#);
    }
}

//! Reads the groups of jobs from a server with Prometheus' query API.
//!
//! The server has either scraped a gateway or received samples. A gateway is scraped all the time, so the current value of
//! a series is the stored one. A sample is written once per run, so the last value within a window is the stored one. A
//! gateway adds the time of the last push to each group, and samples do not have it; this distinguishes the two.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use metrics_push::__private::QueryServer;
use metrics_push::{Error, StoredValue};
use serde_json::Value;

use crate::jobs::{Group, Metric};
use crate::samples::Window;

/// The metrics that describe runs and pushes, as a matcher of their names.
const PUSHED: &str = r#"__name__=~"batch_job_.+|push_time_seconds|push_failure_time_seconds""#;

/// Metrics with labels whose values change from run to run: in a window, values of earlier runs remain.
const CHANGING: &str = r#"__name__!~"batch_job_info|batch_job_stage_duration_seconds""#;

/// Each group has at least one of these, with the grouping labels only.
const KEY_FAMILIES: [&str; 2] =
    ["batch_job_last_start_timestamp_seconds", "batch_job_last_completion_timestamp_seconds"];

const PUSH_TIME: &str = "push_time_seconds";
const PUSH_FAILURE_TIME: &str = "push_failure_time_seconds";

type Labels = BTreeMap<String, String>;

struct Series {
    name: String,
    labels: Labels,
    value: f64,
}

/// Returns the groups of scraped gateways, and those whose samples are within the window.
///
/// # Errors
/// If the server does not respond, or its response is not a vector.
pub(crate) fn groups(server: &QueryServer, window: &Window) -> Result<Vec<Group>, Error> {
    let current = vector(server, &format!("{{{PUSHED}}}"))?;
    let within_window =
        vector(server, &format!("last_over_time({{{PUSHED},{CHANGING}}}[{window}])"))?;
    Ok(merge(new_groups(current), new_groups(within_window)))
}

fn vector(server: &QueryServer, expression: &str) -> Result<Vec<Series>, Error> {
    let response = server.query(expression)?;
    let document: Value = serde_json::from_slice(&response).unwrap_or_default();
    let result = document.pointer("/data/result").and_then(Value::as_array);
    let result = result.ok_or_else(|| server.invalid_response())?;
    Ok(result.iter().filter_map(series).collect())
}

/// `None` for a series in an unknown form, such as a native histogram.
fn series(result: &Value) -> Option<Series> {
    let metric = result.get("metric")?.as_object()?;
    let label = |(name, value): (&String, &Value)| Some((name.clone(), value.as_str()?.to_owned()));
    let mut labels: Labels = metric.iter().filter_map(label).collect();
    let value = result.get("value")?.get(1)?.as_str()?.parse().ok()?;
    Some(Series { name: labels.remove("__name__")?, labels, value })
}

/// Assigns each series to the group with its grouping labels.
fn new_groups(series: Vec<Series>) -> BTreeMap<Labels, Group> {
    let keys = Keys::new(&series);
    let mut groups: BTreeMap<Labels, Group> = BTreeMap::new();
    for Series { name, labels, value } in series {
        let Some(key) = keys.find(&labels) else { continue };
        let own = labels.into_iter().filter(|(name, _)| !key.contains_key(name)).collect();
        let metric = Metric { labels: own, value: StoredValue::Single(value) };
        let group = groups
            .entry(key.clone())
            .or_insert_with(|| Group { labels: key.clone(), ..Group::default() });
        group.families.entry(name).or_default().push(metric);
    }
    for group in groups.values_mut() {
        let time = |family| group.value(family, &[]);
        group.is_refused = time(PUSH_FAILURE_TIME) > time(PUSH_TIME);
    }
    groups
}

/// The grouping keys, and the sets of label names that they have, the largest first.
struct Keys {
    keys: BTreeSet<Labels>,
    names: Vec<BTreeSet<String>>,
}

impl Keys {
    fn new(series: &[Series]) -> Self {
        let is_key = |series: &&Series| KEY_FAMILIES.contains(&series.name.as_str());
        let keys: BTreeSet<Labels> =
            series.iter().filter(is_key).map(|series| series.labels.clone()).collect();
        let names: BTreeSet<BTreeSet<String>> =
            keys.iter().map(|key| key.keys().cloned().collect()).collect();
        let mut names: Vec<_> = names.into_iter().collect();
        names.sort_by_key(|names| Reverse(names.len()));
        Self { keys, names }
    }

    /// Returns the grouping labels of a series: the largest key that is a part of its labels.
    fn find(&self, labels: &Labels) -> Option<&Labels> {
        self.names.iter().find_map(|names| {
            let part = labels.iter().filter(|(name, _)| names.contains(*name));
            let part: Labels = part.map(|(name, value)| (name.clone(), value.clone())).collect();
            self.keys.get(&part)
        })
    }
}

/// Adds the groups of samples to those of gateways. A group of a gateway that has no current value was deleted.
fn merge(current: BTreeMap<Labels, Group>, within_window: BTreeMap<Labels, Group>) -> Vec<Group> {
    let is_scraped = |group: &Group| group.families.contains_key(PUSH_TIME);
    let mut groups: Vec<Group> = current.into_values().filter(is_scraped).collect();
    groups.extend(within_window.into_values().filter(|group| !is_scraped(group)));
    groups
}

#[cfg(test)]
mod tests {
    use super::*;

    fn series(name: &str, labels: &[(&str, &str)], value: f64) -> Series {
        let labels = labels.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        Series { name: name.to_owned(), labels: labels.collect(), value }
    }

    const START: &str = "batch_job_last_start_timestamp_seconds";

    #[test]
    fn series_are_assigned_to_the_group_with_their_labels() {
        let groups = new_groups(vec![
            series(START, &[("job", "a")], 1.0),
            series(START, &[("job", "a"), ("region", "eu")], 2.0),
            series("batch_job_info", &[("job", "a"), ("region", "eu"), ("version", "1.2")], 1.0),
            series("batch_job_last_run_records", &[("job", "a"), ("result", "failed")], 3.0),
            series("push_time_seconds", &[("job", "other client")], 4.0),
        ]);
        let [eu, all] = &Vec::from_iter(groups.values())[..] else { panic!("{groups:?}") };
        let (eu, all) = if eu.labels.len() == 2 { (eu, all) } else { (all, eu) };
        assert_eq!(eu.value("batch_job_info", &[("version", "1.2")]), Some(1.0));
        assert_eq!(all.value("batch_job_last_run_records", &[("result", "failed")]), Some(3.0));
        assert_eq!((all.value(START, &[]), eu.value(START, &[])), (Some(1.0), Some(2.0)));
    }

    #[test]
    fn label_of_a_metric_can_be_a_grouping_label_of_another_group() {
        let load = [("job", "a"), ("stage", "load")];
        let groups = new_groups(vec![
            series(START, &[("job", "a")], 1.0),
            series(START, &load, 2.0),
            series("batch_job_last_run_success", &load, 1.0),
        ]);
        assert_eq!(groups.len(), 2);
        let families = |labels: &[(&str, &str)]| {
            let group = groups.values().find(|group| group.labels.len() == labels.len());
            group.map(|group| group.families.len())
        };
        assert_eq!((families(&load[..1]), families(&load)), (Some(1), Some(2)));
    }

    #[test]
    fn deleted_group_of_a_gateway_is_not_returned() {
        let scraped = |job| {
            vec![
                series(START, &[("job", job)], 1.0),
                series("push_time_seconds", &[("job", job)], 1.0),
            ]
        };
        let samples = vec![series(START, &[("job", "written")], 1.0)];
        let current = new_groups(scraped("current"));
        let window = [scraped("current"), scraped("deleted"), samples].into_iter().flatten();
        let groups = merge(current, new_groups(window.collect()));
        let names: Vec<_> = groups.iter().map(|group| group.labels["job"].as_str()).collect();
        assert_eq!(names, ["current", "written"]);
    }

    #[test]
    fn rejected_push_is_newer_than_the_accepted_one() {
        let group = |failure| {
            let labels = &[("job", "a")];
            let groups = new_groups(vec![
                series(START, labels, 1.0),
                series(PUSH_TIME, labels, 5.0),
                series(PUSH_FAILURE_TIME, labels, failure),
            ]);
            groups.into_values().next().unwrap().is_refused
        };
        assert_eq!((group(0.0), group(6.0)), (false, true));
    }
}

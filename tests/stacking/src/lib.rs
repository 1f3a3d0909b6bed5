//! Stacks the attributes of metrics-push with those of other libraries.

use metrics_push::prometheus::gather;

/// Returns the number of counted calls of a function, by outcome, for example "error 1, success 2".
#[must_use]
pub fn calls(function: &str) -> String {
    let families = gather();
    let mut calls: Vec<String> = families
        .iter()
        .filter(|family| family.name() == "function_calls_total")
        .flat_map(|family| family.get_metric())
        .filter(|metric| label(metric, "function") == Some(function))
        .filter(|metric| metric.get_counter().get_value() > 0.0)
        .map(|metric| {
            format!(
                "{} {}",
                label(metric, "outcome").unwrap_or_default(),
                metric.get_counter().get_value()
            )
        })
        .collect();
    calls.sort();
    calls.join(", ")
}

fn label<'a>(metric: &'a metrics_push::prometheus::proto::Metric, name: &str) -> Option<&'a str> {
    metric.get_label().iter().find(|label| label.name() == name).map(|label| label.value())
}

//! The JSON documents for scripts. Fields have the names of the metrics.

use metrics_push::{BreakerState, StoredValue};
use serde_json::{Map, Value, json};

use crate::jobs::{
    GatewayStatus, Job, Metric, Overview, Records, RunSummary, STRIP_LENGTH, success_rate,
};

/// Above this, not every whole number is a float.
const MAX_EXACT: f64 = 9_007_199_254_740_992.0;

/// Returns the document of `status`.
pub(crate) fn status(verdict: &str, overview: &Overview, jobs: &[&Job]) -> String {
    let document = json!({
        "verdict": verdict,
        "gateways": overview.delivery.gateways.iter().map(gateway).collect::<Vec<_>>(),
        "jobs": jobs.iter().map(|it| job(it, overview.clock.now())).collect::<Vec<_>>(),
    });
    format!("{document:#}\n")
}

/// Returns the document of `history`, with the last runs of a job, newest first.
pub(crate) fn history(job: &Job, count: usize) -> String {
    let runs: Vec<_> = job.runs.iter().rev().take(count).map(run).collect();
    let document = json!({
        "labels": job.labels,
        "consecutive_failures": optional(job.facts.failures_in_a_row),
        "failing_since_timestamp_seconds": optional(job.facts.failing_since),
        "success_percent_of_last_10": success_rate(&job.runs, 10),
        "success_percent_of_last_100": success_rate(&job.runs, 100),
        "runs": runs,
    });
    format!("{document:#}\n")
}

fn gateway(gateway: &GatewayStatus) -> Value {
    json!({
        "url": gateway.url,
        "error": gateway.error.as_ref().map(|error| format!("{error:?}")),
        "response_seconds": gateway.response_time.as_secs_f64(),
        "last_push_timestamp_seconds": optional(gateway.last_push),
        "circuit_breaker": gateway.breaker.map(BreakerState::as_str),
        "pending_requests": gateway.pending.count,
        "oldest_pending_timestamp_seconds": optional(gateway.pending.oldest),
    })
}

fn job(job: &Job, now: f64) -> Value {
    let facts = &job.facts;
    let sentence = job.sentence();
    let failure = job.current_failure();
    let runs = &job.runs[job.runs.len().saturating_sub(STRIP_LENGTH)..];
    json!({
        "labels": job.labels,
        "state": job.state.as_str().replace(' ', "_"),
        "needs_attention": job.needs_attention(),
        "since_timestamp_seconds": optional(job.since),
        "why": sentence.as_ref().map(ToString::to_string),
        "failed_stage": failure.and_then(|run| run.failed_stage.as_deref()),
        "last_stage": failure.and_then(|run| run.last_stage.as_deref()),
        "reason": failure.and_then(|run| run.reason.as_deref()),
        "warnings": job.warnings(),
        "outcome": facts.outcome,
        "is_running": facts.is_open(),
        "success_age_seconds": optional(facts.success.map(|success| now - success)),
        "last_start_timestamp_seconds": optional(facts.start),
        "last_completion_timestamp_seconds": optional(facts.completion),
        "last_success_timestamp_seconds": optional(facts.success),
        "next_run_timestamp_seconds": optional(facts.next_run),
        "success_deadline_seconds": optional(facts.deadline),
        "max_runtime_seconds": optional(facts.max_runtime),
        "last_run_duration_seconds": optional(facts.duration),
        "last_run_exit_code": optional(facts.exit_code),
        "last_run_signal": optional(facts.signal),
        "consecutive_failures": optional(facts.failures_in_a_row),
        "failure_threshold": optional(facts.failure_threshold),
        "progress_ratio": optional(facts.open_progress()),
        "last_run_records": records(facts.records),
        "push_time_seconds": optional(facts.push_time),
        "metrics": metrics(job),
        "runs": runs.iter().map(run).collect::<Vec<_>>(),
    })
}

fn metrics(job: &Job) -> Value {
    let family = |metrics: &Vec<Metric>| metrics.iter().map(metric).collect::<Vec<_>>().into();
    let families = job.families.iter().map(|(name, metrics)| (name.clone(), family(metrics)));
    Value::Object(families.collect::<Map<_, _>>())
}

fn metric(metric: &Metric) -> Value {
    let pairs = |name: &str, pairs: &[(f64, f64)]| {
        let pair = |(at, value): &(f64, f64)| json!({ name: bound(*at), "value": number(*value) });
        pairs.iter().map(pair).collect::<Vec<_>>()
    };
    let mut value = match &metric.value {
        StoredValue::Single(value) => json!({ "value": number(*value) }),
        StoredValue::Histogram { buckets, sum, count } => json!({
            "sum": number(*sum), "count": number(*count), "buckets": pairs("le", buckets),
        }),
        StoredValue::Summary { quantiles, sum, count } => json!({
            "sum": number(*sum), "count": number(*count), "quantiles": pairs("quantile", quantiles),
        }),
        _ => json!({}),
    };
    value["labels"] = json!(metric.labels);
    value
}

fn run(run: &RunSummary) -> Value {
    json!({
        "id": run.id,
        "start_timestamp_seconds": number(run.start),
        "end_timestamp_seconds": optional(run.end),
        "duration_seconds": optional(run.duration),
        "outcome": run.outcome,
        "exit_code": optional(run.exit_code),
        "signal": optional(run.signal),
        "records": records(run.records),
        "stages": run.stages.iter().map(|(name, seconds)| (name.clone(), number(*seconds)))
            .collect::<Map<_, _>>(),
        "attempts": run.attempts,
        "failed_stage": run.failed_stage,
        "last_stage": run.last_stage,
        "reason": run.reason,
    })
}

fn records(records: Records) -> Value {
    json!({
        "processed": optional(records.processed),
        "failed": optional(records.failed),
        "skipped": optional(records.skipped),
    })
}

fn optional(value: Option<f64>) -> Value {
    value.map_or(Value::Null, number)
}

/// A whole number without a fraction. JSON has no infinity and no NaN: they become null.
#[expect(clippy::cast_possible_truncation, reason = "a whole number within the limit")]
fn number(value: f64) -> Value {
    if value.fract() == 0.0 && value.abs() < MAX_EXACT { json!(value as i64) } else { json!(value) }
}

/// The upper bound of a bucket: `+Inf` is a text.
fn bound(value: f64) -> Value {
    if value.is_finite() { number(value) } else { json!("+Inf") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::jobs::morning;

    #[test]
    fn documents_have_the_stage_of_a_failure() {
        let mut morning = morning::overview();
        let is_export = |job: &Job| job.name() == "orders_export";
        let at = morning.jobs.iter().position(is_export).unwrap();
        for expected in [[json!("upload"), Value::Null], [Value::Null, json!("upload")]] {
            let job = &morning.jobs[at];
            let status: Value = serde_json::from_str(&status("wrong", &morning, &[job])).unwrap();
            let history: Value = serde_json::from_str(&history(job, 1)).unwrap();
            for found in [&status["jobs"][0], &history["runs"][0]] {
                assert_eq!(
                    ["failed_stage", "last_stage"].map(|name| found[name].clone()),
                    expected
                );
                assert!(found["reason"].as_str().unwrap().starts_with("Upload {"), "{found}");
            }
            let last = morning.jobs[at].runs.last_mut().unwrap();
            last.last_stage = last.failed_stage.take();
        }
    }
}

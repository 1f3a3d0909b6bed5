//! The JSON document for scripts. Fields have the names of the metrics.

use serde_json::{Value, json};

use super::answer::{Answer, Verdict};
use super::report::{Report, State};

pub(super) fn text(answers: &[Answer], verdict: Verdict) -> String {
    let gateways: Vec<Value> = answers.iter().map(gateway).collect();
    format!("{:#}\n", json!({ "verdict": verdict.as_str(), "gateways": gateways }))
}

fn gateway(answer: &Answer) -> Value {
    match &answer.reports {
        Ok(reports) => {
            json!({ "url": answer.url, "jobs": reports.iter().map(job).collect::<Vec<_>>() })
        }
        Err(error) => json!({ "url": answer.url, "error": format!("{error:?}") }),
    }
}

fn job(report: &Report) -> Value {
    let facts = &report.facts;
    json!({
        "labels": report.labels,
        "state": state(&report.state),
        "is_well": report.is_well(),
        "problems": report.problems,
        "last_start_timestamp_seconds": facts.start,
        "last_completion_timestamp_seconds": facts.completion,
        "last_success_timestamp_seconds": facts.success,
        "success_age_seconds": report.success_age(),
        "success_deadline_seconds": facts.deadline,
        "max_runtime_seconds": facts.max_runtime,
        "last_run_duration_seconds": facts.took,
        "last_run_exit_code": facts.exit_code,
        "last_run_signal": facts.signal,
        "last_run_records": {
            "processed": facts.processed,
            "failed": facts.failed,
            "skipped": facts.skipped,
        },
        "push_time_seconds": facts.push,
    })
}

fn state(state: &State) -> &str {
    match state {
        State::Ended(outcome) => outcome,
        State::Running(_) => "running",
        State::Vanished => "vanished",
        State::Overdue => "overdue",
        State::Refused => "refused",
        State::NoRuns => "no_runs",
    }
}

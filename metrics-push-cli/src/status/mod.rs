//! `metrics-push status`: judges the stored metrics of each job and prints a table or JSON.

mod answer;
mod json;
mod report;
mod table;

use std::process::ExitCode;
use std::time::{SystemTime, UNIX_EPOCH};

use clap::Args;
use metrics_push::Gateway;

use crate::context::{self, GatewayArguments};
use crate::failure::Failure;
use crate::terminal::{self, Color, Terminal};
use answer::{Answer, Verdict};
use report::Report;

const HELP: &str = "\
Exit status:
  0
          All jobs are well.
  1
          A job failed, is overdue, vanished during a run, or had its last push rejected.
  2
          Unknown: a gateway did not respond, or it has no job to judge.

JSON:
  verdict
          well, wrong or unknown, as the exit status.
  gateways[].url
          The URL without credentials.
  gateways[].error
          Why the gateway did not respond; replaces gateways[].jobs.
  gateways[].jobs[].labels
          The grouping key: the job and the other grouping labels.
  gateways[].jobs[].state
          The outcome of the last run, or running, vanished, overdue, refused, no_runs.
  gateways[].jobs[].is_well
          Whether the job has no problems.
  gateways[].jobs[].problems
          The problems, one sentence each.
  gateways[].jobs[].success_age_seconds
          The age of the last success; null without a success.
  gateways[].jobs[].last_start_timestamp_seconds
  gateways[].jobs[].last_completion_timestamp_seconds
  gateways[].jobs[].last_success_timestamp_seconds
  gateways[].jobs[].success_deadline_seconds
  gateways[].jobs[].max_runtime_seconds
  gateways[].jobs[].last_run_duration_seconds
  gateways[].jobs[].last_run_exit_code
  gateways[].jobs[].last_run_signal
          The metrics with these names after batch_job_; null if the group does not have them.
  gateways[].jobs[].last_run_records.processed
  gateways[].jobs[].last_run_records.failed
  gateways[].jobs[].last_run_records.skipped
          The records of the last run; null if the run counted none.
  gateways[].jobs[].push_time_seconds
          The time of the last accepted push, by the gateway's clock.

Examples:
  metrics-push status --job import >/dev/null || echo check the job
  metrics-push status --json | jq -r '.gateways[].jobs[].problems[]'
";

/// Shows the jobs on the gateways, those with problems first.
///
/// On a terminal, the table fits the width and has colours. In a pipe, each group is one line.
#[derive(Debug, Args)]
#[command(after_long_help = HELP)]
pub(crate) struct Arguments {
    #[command(flatten)]
    gateways: GatewayArguments,
    /// Shows only groups of this job.
    #[arg(long, value_name = "NAME")]
    job: Option<String>,
    /// Prints JSON with all values; times are in seconds. Later versions may add fields.
    #[arg(long)]
    json: bool,
    /// When to use colours.
    #[arg(long, value_name = "WHEN", default_value = "auto")]
    color: Color,
}

pub(crate) fn run(arguments: &Arguments) -> Result<ExitCode, Failure> {
    let config = context::config(&arguments.gateways)?;
    let gateways = context::gateways(&config)?;
    let job = arguments.job.as_deref();
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64();
    let answers: Vec<Answer> = gateways.iter().map(|gateway| fetch(gateway, job, now)).collect();
    let verdict = Verdict::new(&answers);
    let text = if arguments.json {
        json::text(&answers, verdict)
    } else {
        table::text(&answers, job, Terminal::new(arguments.color))
    };
    terminal::print_painted(&text)?;
    for error in answers.iter().filter_map(|answer| answer.reports.as_ref().err()) {
        Failure::from(error.clone()).print();
    }
    Ok(verdict.exit_code())
}

/// Fetches the groups of a job, or all groups, and sorts their reports.
fn fetch(gateway: &Gateway, job: Option<&str>, now: f64) -> Answer {
    let reports = gateway.metrics().map(|groups| {
        let is_selected =
            |label: Option<&String>| job.is_none_or(|job| label.is_some_and(|l| l == job));
        let groups = groups.iter().filter(|group| is_selected(group.labels.get("job")));
        let mut reports: Vec<_> = groups.map(|group| Report::new(group, now)).collect();
        reports.sort_by_cached_key(Report::sort_key);
        reports
    });
    Answer { url: gateway.url(), reports }
}

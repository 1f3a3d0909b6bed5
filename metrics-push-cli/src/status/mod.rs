//! `metrics-push status`: shows the state of each job, as a table or as JSON.

mod report;
mod selection;
mod table;
mod verdict;
mod watch;

use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use metrics_push::parse_duration;

use crate::failure::Failure;
use crate::jobs::{GatewayStatus, Overview};
use crate::json;
use crate::source::{Source, SourceArguments};
use crate::terminal::{self, Color, Terminal};
use selection::SelectionArguments;
use verdict::Verdict;

const HELP: &str = "\
States:
  failing
          The last runs failed, as many in a row as the failure threshold of the job; by default one. Lasts until the
          next success, also while a run is open.
  vanished
          The open run has exceeded its maximum runtime.
  overdue
          The last success is older than the deadline, or a scheduled run did not start.
  no success
          The job has never succeeded, and its first run is older than the deadline.
  refused
          The gateway rejected the last push.
  flapping
          At least five of the last 20 runs failed, or fewer in a row than the failure threshold.
  running, skipped, success, no runs
          No attention is needed.

Exit status:
  0
          No job needs attention.
  1
          A job needs attention: it is failing, vanished, overdue, without success, or refused.
  2
          Unknown: a gateway did not respond, or it has no job to judge.

JSON:
  verdict
          well, wrong or unknown, as the exit status.
  gateways[].url
          The URL without credentials.
  gateways[].error
          Why the gateway did not respond; null if it did.
  gateways[].response_seconds
          How long it took to respond.
  gateways[].last_push_timestamp_seconds
          The newest accepted push of its groups, by its clock.
  gateways[].circuit_breaker
          closed, open or half_open: whether runs of this machine deliver to it.
  gateways[].pending_requests
  gateways[].oldest_pending_timestamp_seconds
          The undelivered requests for this gateway on this machine's disk.
  jobs[].labels
          The grouping key: the job and the other grouping labels.
  jobs[].state
          The state, in snake case.
  jobs[].needs_attention
          Whether the job is failing, vanished, overdue, without success, or refused.
  jobs[].since_timestamp_seconds
          Since when the state lasts; null if that is unknown.
  jobs[].why
          The state in one sentence; null for a job that is fine.
  jobs[].failed_stage
  jobs[].last_stage
  jobs[].reason
          Where and why the last run failed, from the history of this machine; null if it is unknown. It failed in
          failed_stage, or in or after last_stage.
  jobs[].warnings
          What is wrong beside the state: a clock, or a rejected push.
  jobs[].outcome
          The outcome of the last run that has ended.
  jobs[].is_running
          Whether a run is open.
  jobs[].success_age_seconds
          The age of the last success; null without a success.
  jobs[].last_start_timestamp_seconds
  jobs[].last_completion_timestamp_seconds
  jobs[].last_success_timestamp_seconds
  jobs[].next_run_timestamp_seconds
  jobs[].success_deadline_seconds
  jobs[].max_runtime_seconds
  jobs[].last_run_duration_seconds
  jobs[].last_run_exit_code
  jobs[].last_run_signal
  jobs[].consecutive_failures
  jobs[].failure_threshold
  jobs[].progress_ratio
          The metrics with these names after batch_job_; null if the group does not have them.
  jobs[].last_run_records.processed
  jobs[].last_run_records.failed
  jobs[].last_run_records.skipped
          The records of the last run; null if the run counted none.
  jobs[].push_time_seconds
          The time of the last accepted push, by the gateway's clock.
  jobs[].metrics
          All metrics of the group by name: their labels and their value, sum, count, buckets or quantiles.
  jobs[].runs
          The last 20 runs in the history of this machine, oldest first.

Examples:
  metrics-push status 'db_*' region=eu
  metrics-push status --failed --watch
  metrics-push status --job import >/dev/null || echo check the job
  metrics-push status --json | jq -r '.jobs[] | select(.needs_attention) | .why'
";

/// Shows the state of each job, the most urgent last.
///
/// On a terminal, the table fits the width and has colours. In a pipe, each job is one line.
#[derive(Debug, Args)]
#[command(after_long_help = HELP)]
pub(crate) struct Arguments {
    #[command(flatten)]
    source: SourceArguments,
    #[command(flatten)]
    selection: SelectionArguments,
    /// Prints JSON with all values; times are in seconds. Later versions may add fields.
    #[arg(long)]
    json: bool,
    /// Repeats the report at this interval. On a terminal, it is drawn in place until you press q or Ctrl-C. In a pipe,
    /// it is printed again when the state of a job changes.
    #[arg(long, value_name = "INTERVAL", num_args = 0..=1, conflicts_with = "json", value_parser = parse_duration,
          default_missing_value = watch::DEFAULT_INTERVAL)]
    watch: Option<Duration>,
    /// When to use colours.
    #[arg(long, value_name = "WHEN", default_value = "auto")]
    color: Color,
}

pub(crate) fn run(arguments: &Arguments) -> Result<ExitCode, Failure> {
    let source = Source::new(&arguments.source)?;
    let Some(overview) = load_and_watch(source, arguments)? else {
        return Ok(ExitCode::SUCCESS);
    };
    let verdict = Verdict::new(&overview);
    if arguments.json {
        let jobs = arguments.selection.select(&overview).jobs;
        terminal::print(&json::status(verdict.as_str(), &overview, &jobs))?;
    } else {
        let terminal = Terminal::new(arguments.color);
        terminal::print_painted(&report::text(&overview, &arguments.selection, terminal))?;
    }
    print_errors(&overview);
    Ok(verdict.exit_code())
}

/// Returns the report of all jobs for standard output.
pub(crate) fn text(overview: &Overview) -> String {
    report::text(overview, &SelectionArguments::default(), Terminal::new(Color::Auto))
}

/// Loads the jobs. With `--watch`, shows them until the user or the reader of the pipe ends it, and returns the last ones
/// if they are to be printed.
fn load_and_watch(source: Source, arguments: &Arguments) -> Result<Option<Overview>, Failure> {
    let selection = arguments.selection.clone();
    let load = move || source.load(|group| selection.is_selected(&group.labels));
    let report = |overview: &Overview| {
        report::text(overview, &arguments.selection, Terminal::new(arguments.color))
    };
    match arguments.watch {
        None => Ok(Some(load())),
        Some(interval) if terminal::is_terminal() => watch::draw(interval, load, report),
        Some(interval) => watch::print_changes(interval, load, report).map(|()| None),
    }
}

/// Prints why gateways did not respond. On a terminal, the report already names those that are down.
fn print_errors(overview: &Overview) {
    let is_terminal = terminal::is_terminal();
    let gateways = &overview.delivery.gateways;
    let has_answer = gateways.iter().any(GatewayStatus::is_up);
    for error in gateways.iter().filter_map(|gateway| gateway.error.as_ref()) {
        if !(is_terminal && has_answer && (error.is_unreachable() || error.is_timeout())) {
            Failure::from(error.clone()).print();
        }
    }
}

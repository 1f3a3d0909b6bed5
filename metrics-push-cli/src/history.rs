//! `metrics-push history`: shows the last runs of a job that ended on this machine, one line each.

use std::collections::BTreeMap;
use std::process::ExitCode;

use clap::Args;
use metrics_push::__private::escape;

use crate::context;
use crate::failure::Failure;
use crate::humanize::{age, count, duration, number};
use crate::jobs::{
    Delivery, Group, Job, LocalClock, Overview, RunMark, RunSummary, success_rate, words,
};
use crate::json;
use crate::layout::{cut, hang, width};
use crate::local_history;
use crate::marks::bar;
use crate::source::{Source, SourceArguments};
use crate::terminal::{self, Color, Terminal, Tone};

const START_WIDTH: usize = "Thu 26 Nov 06:10".len();
const BAR_WIDTH: usize = 20;
/// Narrower terminals show no bars.
const MIN_WIDTH_FOR_BARS: usize = 100;

const HELP: &str = "\
Exit status:
  0
          The runs are printed.
  1
          This machine has no history of the job.

Examples:
  metrics-push history orders_export --grouping region=eu -n 50
  metrics-push history orders_export --json | jq -r '.runs[] | select(.reason) | .reason'
";

/// Shows the last runs of a job that ended on this machine, newest first: when, how long, how and why.
///
/// Reads the history in the state directory. The state of the job above it needs a gateway, and is left out if none
/// responds.
#[derive(Debug, Args)]
#[command(after_long_help = HELP)]
pub(crate) struct Arguments {
    /// The name of the job; by default METRICS_PUSH_JOB.
    job: Option<String>,
    /// A grouping label of the job. Without one, the job must have one group.
    #[arg(long, value_name = "NAME=VALUE", value_parser = context::parse_label)]
    grouping: Vec<(String, String)>,
    /// Shows this many runs.
    #[arg(short = 'n', long, value_name = "NUMBER", default_value_t = 20)]
    runs: usize,
    /// Prints JSON with all values; times are in seconds. Later versions may add fields.
    #[arg(long)]
    json: bool,
    /// When to use colours.
    #[arg(long, value_name = "WHEN", default_value = "auto")]
    color: Color,
    #[command(flatten)]
    source: SourceArguments,
}

pub(crate) fn run(arguments: &Arguments) -> Result<ExitCode, Failure> {
    let source = Source::or_history(&arguments.source)?;
    let group = select(arguments)?;
    let mut overview = source.load(|other| other.labels == group.labels);
    if overview.jobs.is_empty() {
        let (delivery, clock) = (Delivery::default(), &overview.clock);
        overview = Overview::new([group], local_history::runs, delivery, clock);
    }
    for job in &overview.jobs {
        if arguments.json {
            terminal::print(&json::history(job, arguments.runs))?;
        } else {
            let text = text(job, &overview.clock, arguments, Terminal::new(arguments.color));
            terminal::print_painted(&text)?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Returns the group whose labels the arguments have, or else the only group of the job.
fn select(arguments: &Arguments) -> Result<Group, Failure> {
    let job = arguments.job.clone().or_else(context::job_variable).ok_or_else(|| {
        Failure::usage("no job is selected; name it as the argument or in METRICS_PUSH_JOB")
    })?;
    let mut labels = BTreeMap::from([("job".to_owned(), job)]);
    labels.extend(arguments.grouping.iter().cloned());
    let groups = metrics_push::histories();
    let groups: Vec<Group> = groups.iter().map(local_history::group).collect();
    if let Some(group) = groups.iter().find(|group| group.labels == labels) {
        return Ok(group.clone());
    }
    let has_labels =
        |group: &&Group| labels.iter().all(|(name, value)| group.labels.get(name) == Some(value));
    let matching: Vec<&Group> = groups.iter().filter(has_labels).collect();
    match matching[..] {
        [group] => Ok(group.clone()),
        [] => Err(Failure::failed(format!(
            "this machine has no history of {}; run `metrics-push status` for the jobs of the gateway, or set \
             METRICS_PUSH_STATE_DIR to the state directory of the job",
            words(&labels).join(" "),
        ))),
        _ => {
            let others = matching.iter().map(|group| {
                let labels = words(&group.labels).into_iter().skip(1);
                labels.map(|label| format!("--grouping {label}")).collect::<Vec<_>>().join(" ")
            });
            Err(Failure::usage(format!(
                "{} groups match; select one of them: {}",
                matching.len(),
                others.collect::<Vec<_>>().join(", "),
            )))
        }
    }
}

fn text(job: &Job, clock: &LocalClock, arguments: &Arguments, terminal: Terminal) -> String {
    let mut text = format!("{}\n", escape(&job.words().join(" ")));
    for line in std::iter::once(state_line(job, clock)).chain(schedule_line(job)) {
        text.push_str(&hang(&escape(&line), terminal.width, terminal.ellipsis()));
    }
    let shown = &job.runs[job.runs.len().saturating_sub(arguments.runs)..];
    text.push('\n');
    push_runs(shown, clock, terminal, &mut text);
    text.push('\n');
    let older = job.runs.len() - shown.len();
    if older > 0 {
        let command = format!("{} -n {}", job.history_command(), job.runs.len());
        text.push_str(&format!("{}: {}\n", count(older, "older run"), escape(&command)));
    }
    text.extend([&success_rates(&job.runs), "\n"]);
    text
}

/// `failing for 3 runs since 02:10 (error); last success 6h29m ago, allowed 4h27m`.
fn state_line(job: &Job, clock: &LocalClock) -> String {
    if let Some(sentence) = job.sentence() {
        return sentence.without_next_run().to_string();
    }
    let success = job.facts.success.map(|success| age(clock.now() - success));
    let success = success.map_or(String::new(), |age| format!("; last success {age} ago"));
    format!("{}{success}", job.state_text())
}

/// `schedule 10 */2 * * * Europe/Berlin, grace 10m; next run 08:10, in 1h27m`.
fn schedule_line(job: &Job) -> Option<String> {
    let next_run = job.next_run_clause()?;
    let schedule = job.facts.schedule().map_or(String::new(), |(expression, timezone)| {
        let text = format!("schedule {expression} {timezone}");
        format!("{}, ", text.trim_end())
    });
    let grace =
        job.facts.grace.map_or(String::new(), |grace| format!("grace {}; ", duration(grace)));
    Some(format!("{schedule}{grace}{next_run}"))
}

/// Appends one line for each run, newest first.
fn push_runs(runs: &[RunSummary], clock: &LocalClock, terminal: Terminal, text: &mut String) {
    let line_width = terminal.width.unwrap_or(usize::MAX);
    let bar_width = if line_width < MIN_WIDTH_FOR_BARS { 0 } else { BAR_WIDTH };
    let longest = runs.iter().filter_map(|run| run.duration).fold(0.0, f64::max);
    let outcomes: Vec<String> =
        runs.iter().map(|run| escape(&run.outcome_text()).into_owned()).collect();
    let outcome_width = outcomes.iter().map(|it| width(it)).max().unwrap_or(0).max(7);
    let columns = |start: &str, took: &str, bar: &str, outcome: &str, records: &str, why: &str| {
        let bar = if bar_width > 0 { format!("{bar:<bar_width$}  ") } else { String::new() };
        let outcome_pad = " ".repeat(outcome_width - width(outcome));
        let left = format!("{start:<START_WIDTH$}  {took:>6}  {bar}");
        let right = format!("{outcome_pad}  {records:>7}  ");
        let used = width(&left) + outcome_width + 2 + 7 + 2;
        let why = cut(why, line_width.saturating_sub(used), terminal.ellipsis());
        (left, format!("{right}{why}"))
    };
    let (left, right) = columns("START", "TOOK", "", "OUTCOME", "RECORDS", "WHY");
    let heading = format!("{left}OUTCOME{right}");
    text.extend([terminal.paint(Tone::Heading, heading.trim_end()).as_str(), "\n"]);
    for (run, outcome) in runs.iter().zip(&outcomes).rev() {
        let took = run.duration.map_or_else(|| "-".to_owned(), duration);
        let ratio = run.duration.map_or(0.0, |duration| duration / longest.max(f64::MIN_POSITIVE));
        let records = run.records.processed.map_or_else(|| "-".to_owned(), number);
        let (left, right) = columns(
            &clock.date_and_time(run.start),
            &took,
            &bar(ratio, bar_width, terminal),
            outcome,
            &records,
            &escape(&run.failure().unwrap_or_default()),
        );
        let tone = match run.mark() {
            RunMark::Failure => Tone::Bad,
            RunMark::Success => Tone::Good,
            _ => Tone::Plain,
        };
        let line = format!("{left}{}{right}", terminal.paint(tone, outcome));
        text.extend([line.trim_end(), "\n"]);
    }
}

/// `success rate: 70% of the last 10 runs, 97% of the last 100`.
fn success_rates(runs: &[RunSummary]) -> String {
    let rate = |last: usize| {
        success_rate(runs, last).map_or_else(|| "unknown".to_owned(), |rate| format!("{rate}%"))
    };
    let all = runs.len();
    match all {
        ..=10 => format!("success rate: {} of {}", rate(all), count(all, "run")),
        11..100 => {
            format!("success rate: {} of the last 10 runs, {} of all {all}", rate(10), rate(all))
        }
        100.. => {
            format!("success rate: {} of the last 10 runs, {} of the last 100", rate(10), rate(100))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::jobs::morning;

    #[test]
    fn history_of_a_failing_job_fits_the_width() {
        let overview = morning::overview();
        let job = overview.jobs.iter().find(|job| job.name() == "orders_export").unwrap();
        let arguments = |runs| Arguments {
            job: None,
            grouping: Vec::new(),
            runs,
            json: false,
            color: Color::Never,
            source: SourceArguments::default(),
        };
        let texts = [80, 100].map(|width| {
            let terminal = Terminal::plain(Some(width));
            (width, text(job, &overview.clock, &arguments(12), terminal))
        });
        for (width, text) in &texts {
            for line in text.lines().filter(|line| !line.contains("older runs")) {
                assert!(crate::layout::width(line) <= *width, "{width}: {line}");
            }
        }
        let [narrow, wide] = texts.map(|(_, text)| text);
        crate::golden::assert_golden!("history-80", narrow);
        crate::golden::assert_golden!("history-100", wide);
        let all = text(job, &overview.clock, &arguments(50), Terminal::plain(None));
        assert!(!all.contains("older"), "{all}");
        assert!(all.ends_with("success rate: 70% of the last 10 runs, 85% of all 20\n"), "{all}");
    }

    #[test]
    fn history_prints_every_run_in_one_line() {
        let run = |number: u32| RunSummary {
            start: f64::from(number) * 86_400.0,
            duration: Some(f64::from(u32::MAX)),
            outcome: Some("exit_code".to_owned()),
            exit_code: Some(f64::from(i32::MIN)),
            failed_stage: Some("load".to_owned()),
            reason: Some("\u{1b}\n".repeat(512)),
            ..RunSummary::default()
        };
        let runs: Vec<_> = (0..200).map(run).collect();
        let mut text = String::new();
        push_runs(&runs, &morning::clock(), Terminal::plain(None), &mut text);
        assert_eq!(text.lines().count(), 201);
        let failure = r"in stage load: \u{1b}\n";
        assert_eq!(text.matches(failure).count(), 200, "{text}");
    }

    #[test]
    fn success_rate_does_not_count_skipped_runs() {
        let run = |outcome: &str| RunSummary {
            outcome: Some(outcome.to_owned()),
            ..RunSummary::default()
        };
        let rate = |outcomes: &[&str]| {
            success_rates(&outcomes.iter().map(|outcome| run(outcome)).collect::<Vec<_>>())
        };
        assert_eq!(rate(&["success", "skipped", "error", "error"]), "success rate: 33% of 4 runs");
        assert_eq!(rate(&["skipped"]), "success rate: unknown of 1 run");
        assert_eq!(
            rate(&[&["error"; 90][..], &["success"; 60]].concat()),
            "success rate: 100% of the last 10 runs, 60% of the last 100"
        );
    }
}

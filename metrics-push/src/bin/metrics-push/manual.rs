//! What the help and the man pages say beyond arguments: exit statuses, examples, fields, variables.
//!
//! One form serves both: a heading at the margin, terms two columns in, and what is said of a term ten columns in.

use std::fmt::Write as _;

use metrics_push::Config;

pub(crate) const STATUS: &str = "\
Exit status:
  0
          All is well.
  1
          A job has failed, is overdue, has vanished in the middle of a run, or had its push refused.
  2
          That can't be told: a gateway did not answer, or there is no job to judge.

JSON:
  verdict
          well, wrong or unknown: what the exit status says.
  gateways[].url
          Without credentials.
  gateways[].error
          Why the gateway did not answer. There are no jobs then.
  gateways[].jobs[].labels
          The grouping key: job and further labels.
  gateways[].jobs[].state
          The outcome of the last run, or running, vanished, overdue, refused, no_runs.
  gateways[].jobs[].is_well
          Whether nobody has to look at it.
  gateways[].jobs[].problems
          What somebody has to look at, in words; empty, if it is well.
  gateways[].jobs[].success_age_seconds
          How old the last success is; null, if there is none.
  gateways[].jobs[].last_start_timestamp_seconds
  gateways[].jobs[].last_completion_timestamp_seconds
  gateways[].jobs[].last_success_timestamp_seconds
  gateways[].jobs[].success_deadline_seconds
  gateways[].jobs[].max_runtime_seconds
  gateways[].jobs[].last_run_duration_seconds
  gateways[].jobs[].last_run_exit_code
  gateways[].jobs[].last_run_signal
          The metrics of these names, batch_job_ left out; null, if they are not there.
  gateways[].jobs[].last_run_records.processed
  gateways[].jobs[].last_run_records.failed
  gateways[].jobs[].last_run_records.skipped
          The records of the last run; null, if it counted none.
  gateways[].jobs[].push_time_seconds
          The last push that was accepted, by the gateway's clock.

Examples:
  metrics-push status --job import >/dev/null || echo look at it
  metrics-push status --json | jq -r '.gateways[].jobs[].problems[]'
";

pub(crate) const PUSH: &str = "\
Exit status:
  0
          Every gateway has taken the metrics.
  1
          A gateway refused them, or did not answer.
  2
          Nothing was sent: an argument, a variable or the metrics have to change.

Examples:
  df --output=avail -B1 / | awk 'NR == 2 {print \"free_bytes \" $1}' | metrics-push push --job disk_usage
";

pub(crate) const RECOVER: &str = "\
Exit status:
  0
          Nothing is left.
  1
          Something waits on.
";

pub(crate) const SPOOL_LIST: &str = "\
Exit status:
  0
          Nothing waits.
  1
          Something does.
";

pub(crate) const EXEC: &str = "\
Exit status:
  126
          The command can't be run.
  127
          There is no such command.
  128 and more
          A signal has ended the command: the rest is its number.
  any other
          The command's own.

Examples:
  metrics-push exec --job backup --every 24h -- backup --all
";

pub(crate) const COMPLETIONS: &str = "\
Examples:
  metrics-push completions bash > /etc/bash_completion.d/metrics-push
  metrics-push completions zsh > /usr/local/share/zsh/site-functions/_metrics-push
  metrics-push completions fish > ~/.config/fish/completions/metrics-push.fish
";

pub(crate) const MAN: &str = "\
Examples:
  metrics-push man status | man -l -
  metrics-push man > /usr/local/share/man/man1/metrics-push.1
";

/// The library's table of variables, for people who look for it here.
pub(crate) fn environment() -> String {
    let mut text = String::from("Environment:\n");
    for variable in Config::variables() {
        let meaning = variable.meaning.replace('`', "");
        // Writing to memory does not fail.
        let _ = writeln!(text, "  {}\n          {meaning}", variable.name);
    }
    text
}

/// The same as sections of a man page.
pub(crate) fn sections(text: &str) -> String {
    // No word is parted and no blank widened: terms are what people copy.
    let mut page = String::from(".nh\n.ad l\n");
    for line in text.lines() {
        let said = line.trim_start().replace('\\', "\\e").replace('-', "\\-");
        let _ = match line.len() - line.trim_start().len() {
            _ if line.is_empty() => continue,
            0 => writeln!(page, ".SH \"{}\"", said.trim_end_matches(':').to_uppercase()),
            2 => writeln!(page, ".TP\n\\fB{said}\\fR"),
            // What begins with a dot or a quote would be a request.
            _ => writeln!(page, "\\&{said}"),
        };
    }
    page
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headings_terms_and_what_is_said_of_them_become_requests() {
        let page = sections("Exit status:\n  0\n          .All is well.\n\nExamples:\n  a --b\n");
        assert_eq!(
            page,
            ".nh\n.ad l\n.SH \"EXIT STATUS\"\n.TP\n\\fB0\\fR\n\\&.All is well.\n.SH \"EXAMPLES\"\n.TP\n\\fBa \\-\\-b\\fR\n"
        );
    }
}

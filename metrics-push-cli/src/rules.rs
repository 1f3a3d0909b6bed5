//! `metrics-push rules`: prints the alert rules in `monitoring/`, which match this version.
//!
//! The files are text with a fixed indentation, so that comments and line breaks stay as they are.

use std::process::ExitCode;

use clap::Args;

use crate::failure::Failure;
use crate::promql::rename;
use crate::samples::{Window, is_available};
use crate::storage::StorageArguments;
use crate::terminal;

const FILES: [&str; 6] = [
    include_str!("../monitoring/rules/environments.yaml"),
    include_str!("../monitoring/rules/runs.yaml"),
    include_str!("../monitoring/rules/schedule.yaml"),
    include_str!("../monitoring/rules/history.yaml"),
    include_str!("../monitoring/rules/delivery.yaml"),
    include_str!("../monitoring/rules/gateway.yaml"),
];

/// The top-level key of a rule file.
const GROUPS: &str = "groups:\n";

/// The first line of a group of rules.
const GROUP: &str = "  - name: ";

/// The first lines of rules.
const RULES: [&str; 2] = ["      - alert: ", "      - record: "];

/// The key of a rule's expression.
const EXPRESSION: &str = "\n        expr: ";

/// The evaluation interval on samples: a window costs more than the last value, and runs end less often than this.
const SAMPLES_INTERVAL: &str = "    interval: 1m\n";

/// Metrics that take the place of another one on samples: the rule, the metric of the gateway, and its replacement.
const REPLACEMENTS: [(&str, &str, &str); 1] =
    [("BatchJobHeartbeatLost", "push_time_seconds", "batch_job:last_report:timestamp_seconds")];

/// Prints the alert rules of this version as one file for Prometheus' rule_files.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    storage: StorageArguments,
}

pub(crate) fn run(arguments: &Arguments) -> Result<ExitCode, Failure> {
    let rules = match arguments.storage.window()? {
        None => concatenate(&FILES),
        Some(window) => for_samples(&FILES, &window),
    };
    terminal::print(&rules)?;
    Ok(ExitCode::SUCCESS)
}

/// Puts the groups of all files below one key. A comment before the key of a file stays above that file's groups.
fn concatenate(files: &[&str]) -> String {
    let mut text = String::from(GROUPS);
    for file in files {
        let (comment, groups) = file.split_once(GROUPS).unwrap_or(("", file));
        text.extend(["\n", comment, groups]);
    }
    text
}

/// Rewrites the rules for samples. Leaves out the rules about a gateway, and the comments on files and groups.
fn for_samples(files: &[&str], window: &Window) -> String {
    let mut text = format!(
        "# For a storage that holds samples: the rules look back {window}, because each sample is written only once.\n\
         {GROUPS}"
    );
    for file in files {
        let mut group = None;
        for item in items(file) {
            if let Some(name) = name(item, &[GROUP]) {
                let has_interval = item.contains("    interval: ");
                let head = &item[item.find(GROUP).unwrap_or_default()..];
                let (first, rest) = head.split_at(GROUP.len() + name.len() + 1);
                let interval = if has_interval { "" } else { SAMPLES_INTERVAL };
                group = Some(format!("\n{first}{interval}{rest}"));
            } else if let Some(rule) = rule_for_samples(item, window) {
                // A group without rules has no head.
                text.extend(group.take());
                text.push_str(&rule);
            }
        }
    }
    text
}

/// Splits a file before each group and each rule. The comments above it belong to it.
fn items(file: &str) -> Vec<&str> {
    let mut starts = Vec::new();
    let mut at = 0;
    let mut comments = None;
    for line in file.split_inclusive('\n') {
        if line.trim().is_empty() || line.trim_start().starts_with('#') {
            comments.get_or_insert(at);
        } else {
            let is_item = line.starts_with(GROUP) || RULES.iter().any(|key| line.starts_with(key));
            if is_item {
                starts.push(comments.unwrap_or(at));
            }
            comments = None;
        }
        at += line.len();
    }
    let ends = starts.iter().skip(1).copied().chain([file.len()]);
    starts.iter().zip(ends).map(|(&start, end)| &file[start..end]).collect()
}

/// The value of the first line of an item that starts with one of these keys.
fn name<'a>(item: &'a str, keys: &[&str]) -> Option<&'a str> {
    item.lines().find_map(|line| keys.iter().find_map(|key| line.strip_prefix(key)))
}

fn rule_for_samples(rule: &str, window: &Window) -> Option<String> {
    let name = name(rule, &RULES)?;
    let start = rule.find(EXPRESSION)? + EXPRESSION.len();
    let end = start + expression_length(&rule[start..]);
    let mut expression = rule[start..end].to_owned();
    for (_, from, to) in REPLACEMENTS.iter().filter(|(rule, _, _)| *rule == name) {
        expression = rename(&expression, from, to);
    }
    if !is_available(name) || !is_available(&expression) {
        return None;
    }
    Some([&rule[..start], &window.rewrite(&expression), &rule[end..]].concat())
}

/// The length of the text up to the next key of the rule.
fn expression_length(text: &str) -> usize {
    let is_key = |line: &str| {
        line.strip_prefix("        ").is_some_and(|rest| !rest.starts_with([' ', '\n']))
    };
    let mut lines = text.split_inclusive('\n');
    let first = lines.next().map_or(0, str::len);
    first + lines.take_while(|line| !is_key(line)).map(str::len).sum::<usize>()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rule_files_are_concatenated_below_one_key() {
        let files =
            ["# First.\ngroups:\n  - name: a\n", "# Second.\n# More.\ngroups:\n  - name: b\n"];
        assert_eq!(
            concatenate(&files),
            "groups:\n\n# First.\n  - name: a\n\n# Second.\n# More.\n  - name: b\n"
        );
    }

    #[test]
    fn every_rule_file_has_the_key_once() {
        for file in FILES {
            assert_eq!(file.matches(GROUPS).count(), 1, "{file}");
        }
    }

    #[test]
    fn rules_for_samples_look_back_and_leave_out_the_gateway() {
        let file = "\
# The file.
groups:
  # The first group.
  - name: gone
    rules:
      - alert: Gone
        expr: up == 0

  - name: slow
    interval: 2m
    rules:
      - record: pushgateway:up:min
        expr: min(up)

      # The rule.
      - alert: Slow
        expr: |
          batch_job_a
            and batch_job_b > 0
        for: 1m
        annotations:
          text: >-
            batch_job_a expr: up

      - record: batch_job:a:b
        expr: batch_job_a
";
        assert_eq!(
            for_samples(&[file], &Window::default()),
            "\
# For a storage that holds samples: the rules look back 8d, because each sample is written only once.
groups:

  - name: slow
    interval: 2m
    rules:

      # The rule.
      - alert: Slow
        expr: |
          last_over_time(batch_job_a[8d])
            and last_over_time(batch_job_b[8d]) > 0
        for: 1m
        annotations:
          text: >-
            batch_job_a expr: up

      - record: batch_job:a:b
        expr: last_over_time(batch_job_a[8d])
"
        );
    }

    #[test]
    fn group_without_an_interval_is_evaluated_every_minute() {
        let file =
            "groups:\n  - name: a\n    rules:\n      - record: a:b\n        expr: vector(1)\n";
        let rules = for_samples(&[file], &Window::default());
        assert!(
            rules.contains("  - name: a\n    interval: 1m\n    rules:\n      - record"),
            "{rules}"
        );
    }

    #[test]
    fn replaced_metrics_are_read_by_their_rules() {
        for (rule, from, to) in REPLACEMENTS {
            let all = FILES.iter().flat_map(|file| items(file));
            let rule = all.clone().find(|item| name(item, &RULES) == Some(rule)).unwrap();
            assert!(rename(rule, from, "").len() < rule.len(), "{rule}");
            assert!(all.into_iter().any(|item| name(item, &RULES) == Some(to)), "{to}");
        }
    }

    /// What rules record for the queries of users.
    const FOR_QUERIES: [&str; 1] = ["job:batch_job_runs_total"];

    #[test]
    fn rules_for_samples_read_only_recorded_and_pushed_series() {
        let rules = for_samples(&FILES, &Window::default());
        let recorded: Vec<_> =
            items(&rules).into_iter().filter_map(|item| name(item, &RULES[1..])).collect();
        let mut read = Vec::new();
        for item in items(&rules) {
            let Some(start) = item.find(EXPRESSION).map(|at| at + EXPRESSION.len()) else {
                continue;
            };
            let expression = &item[start..start + expression_length(&item[start..])];
            assert!(is_available(expression), "{item}");
            read.extend(crate::promql::words(expression).filter(|word| word.contains(':')));
        }
        for name in &read {
            assert!(recorded.contains(name), "{name} is not recorded");
        }
        for name in recorded.into_iter().filter(|name| !FOR_QUERIES.contains(name)) {
            assert!(read.contains(&name), "{name} is not read");
        }
        assert!(read.len() > 10, "{read:?}");
    }
}

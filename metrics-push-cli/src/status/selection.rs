//! Which jobs `status` shows, and in which order.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use clap::{Args, ValueEnum};

use crate::jobs::{Job, Overview};

/// Arguments that select and sort jobs.
#[derive(Clone, Debug, Default, Args)]
pub(super) struct SelectionArguments {
    /// Shows only jobs whose name matches one of these patterns: * stands for any characters, ? for one. A pattern with
    /// = matches a grouping label, such as region=eu*.
    #[arg(value_name = "PATTERN", value_parser = parse_pattern)]
    patterns: Vec<String>,
    /// Shows only groups of this job.
    #[arg(long, value_name = "NAME")]
    job: Option<String>,
    /// Shows only jobs that need attention.
    #[arg(long)]
    failed: bool,
    /// The order of the jobs.
    #[arg(long, value_name = "ORDER", default_value = "state")]
    sort: Order,
    /// Shows at most this many jobs: the last ones of the order.
    #[arg(long, value_name = "NUMBER")]
    limit: Option<usize>,
}

/// The order of the jobs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum Order {
    /// The most urgent last.
    #[default]
    State,
    /// By name and labels.
    Name,
    /// The oldest success last, after it those without a success.
    Age,
}

/// The jobs to show.
pub(super) struct Selected<'a> {
    pub(super) jobs: Vec<&'a Job>,
    /// The number of jobs that `--limit` leaves out.
    pub(super) hidden: usize,
}

impl SelectionArguments {
    /// Returns true if the patterns and `--job` select the group with these labels.
    pub(super) fn is_selected(&self, labels: &BTreeMap<String, String>) -> bool {
        let name = labels.get("job").map_or("", String::as_str);
        let matches = |pattern: &String| match pattern.split_once('=') {
            Some((label, pattern)) => {
                labels.get(label).is_some_and(|value| is_match(pattern, value))
            }
            None => is_match(pattern, name),
        };
        self.job.as_ref().is_none_or(|job| job == name)
            && (self.patterns.is_empty() || self.patterns.iter().any(matches))
    }

    /// What the patterns and `--job` select, for a message; `None` if they select all jobs.
    pub(super) fn describe(&self) -> Option<String> {
        let quoted = |text: &String| format!("{text:?}");
        let texts: Vec<_> = self.job.iter().chain(&self.patterns).map(quoted).collect();
        (!texts.is_empty()).then(|| texts.join(", "))
    }

    /// Returns the jobs to show in their order.
    pub(super) fn select<'a>(&self, overview: &'a Overview) -> Selected<'a> {
        let is_shown = |job: &&Job| !self.failed || job.needs_attention();
        let mut jobs: Vec<&Job> = overview.jobs.iter().filter(is_shown).collect();
        match self.sort {
            Order::State => {}
            Order::Name => jobs.sort_by_cached_key(|job| job.words()),
            Order::Age => jobs.sort_by(|a, b| by_age(a, b)),
        }
        let excess = self.limit.map_or(0, |limit| jobs.len().saturating_sub(limit));
        jobs.drain(..excess);
        Selected { hidden: excess, jobs }
    }
}

fn by_age(a: &Job, b: &Job) -> Ordering {
    let success = |job: &Job| job.facts.success.unwrap_or(f64::NEG_INFINITY);
    success(b).total_cmp(&success(a))
}

/// Rejects a URL, which may contain a password that a message would repeat.
fn parse_pattern(text: &str) -> Result<String, &'static str> {
    if text.contains("://") {
        return Err("it is a URL; set the URL of a gateway with --url");
    }
    Ok(text.to_owned())
}

/// Returns true if a text matches a pattern with `*` and `?`.
fn is_match(pattern: &str, text: &str) -> bool {
    let (pattern, text): (Vec<char>, Vec<char>) =
        (pattern.chars().collect(), text.chars().collect());
    let (mut at, mut position) = (0, 0);
    // The last `*`, and where the text that it stands for ends.
    let mut star = None;
    while position < text.len() {
        match pattern.get(at) {
            Some('*') => {
                star = Some((at, position));
                at += 1;
            }
            Some(c) if *c == '?' || *c == text[position] => {
                at += 1;
                position += 1;
            }
            _ => {
                let Some((star_at, end)) = star else { return false };
                star = Some((star_at, end + 1));
                at = star_at + 1;
                position = end + 1;
            }
        }
    }
    pattern[at..].iter().all(|c| *c == '*')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pattern_matches_the_whole_text() {
        for (pattern, text, expected) in [
            ("db_*", "db_backup", true),
            ("db_*", "my_db_backup", false),
            ("*backup", "db_backup", true),
            ("*b*c*", "abbbcc", true),
            ("a?c", "abc", true),
            ("a?c", "ac", false),
            ("*", "", true),
            ("", "", true),
            ("", "a", false),
            ("a*b", "aXbXc", false),
            ("größe?", "größen", true),
        ] {
            assert_eq!(is_match(pattern, text), expected, "{pattern} {text}");
        }
    }

    #[test]
    fn pattern_with_many_stars_is_fast() {
        assert!(!is_match(&"*a".repeat(40), &format!("{}b", "a".repeat(10_000))));
    }
}

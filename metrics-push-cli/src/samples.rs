//! Queries for a storage that holds samples, such as a Prometheus that receives remote write.
//!
//! A Pushgateway is scraped, so a query always finds the last value of a job. A sample is written once per run, and a
//! query finds it for five minutes only. Therefore each selector of a pushed metric is replaced by the last value within a
//! window. Everything that this storage does not have is listed here, for rules and dashboard alike.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use metrics_push::parse_duration;

use crate::promql::{Token, TokenKind, tokens, words};

/// The window of the rules by default, which is also the range over which they remember the last values on a gateway. Covers
/// the last run of a weekly job.
const DEFAULT_WINDOW: &str = "8d";

const MIN_WINDOW: Duration = Duration::from_secs(3_600);

/// The first words of the names that jobs push. The names of recording rules contain a colon instead: they are evaluated
/// all the time, so a query always finds them.
const PUSHED: [&str; 2] = ["batch_job_", "function_"];

/// Names that do not exist on this storage, so that queries with them are left out.
const UNAVAILABLE: [&str; 7] = [
    // Only a Pushgateway and its scrapes have these.
    "process_start_time_seconds",
    "push_failure_time_seconds",
    "push_time_seconds",
    "up",
    // Recorded for the rules about missing groups. A sample does not disappear.
    "batch_job:gateway_up:min",
    "batch_job:start_seen:timestamp_seconds",
    // The versions of earlier runs would stay in the window, beside the current one.
    "batch_job_info",
];

/// The first words of further names that only a Pushgateway has.
const UNAVAILABLE_PREFIXES: [&str; 2] = ["pushgateway_", "pushgateway:"];

/// A metric with a label whose values change from run to run, and the window after which a value of an earlier run is no
/// longer shown.
const CHANGING: (&str, &str) = ("batch_job_stage_duration_seconds", "1h");

/// Returns true if everything that an expression reads exists on this storage.
pub(crate) fn is_available(expression: &str) -> bool {
    !words(expression).any(|name| {
        UNAVAILABLE.contains(&name)
            || UNAVAILABLE_PREFIXES.iter().any(|prefix| name.starts_with(prefix))
    })
}

/// The window within which rewritten expressions find the last value, as PromQL writes it.
#[derive(Clone, Debug)]
pub(crate) struct Window(String);

impl Default for Window {
    fn default() -> Self {
        Self(DEFAULT_WINDOW.to_owned())
    }
}

impl FromStr for Window {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let duration = parse_duration(text).map_err(|error| error.to_string())?;
        if duration < MIN_WINDOW {
            return Err(format!("invalid window {text:?}: it must be at least 1h"));
        }
        let seconds = duration.as_secs();
        Ok(Self(match seconds {
            days if days % 86_400 == 0 => format!("{}d", days / 86_400),
            hours if hours % 3_600 == 0 => format!("{}h", hours / 3_600),
            seconds => format!("{seconds}s"),
        }))
    }
}

impl fmt::Display for Window {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Window {
    /// Rewrites an expression so that it finds the last value of each pushed metric within the window.
    ///
    /// A range over a pushed metric stays, and a subquery over one becomes a range.
    pub(crate) fn rewrite(&self, expression: &str) -> String {
        let tokens = tokens(expression);
        let mut rest = tokens.as_slice();
        let mut rewritten = String::new();
        while let [token, after @ ..] = rest {
            if let Some((selector, after)) = Selector::parse(rest) {
                rewritten.push_str(&self.last_value(&selector));
                rest = after;
            } else {
                rewritten.push_str(rewritten_token(token, after));
                rest = after;
            }
        }
        rewritten
    }

    fn last_value(&self, selector: &Selector<'_>) -> String {
        let Selector { name, matchers, range, offset } = selector;
        let offset = offset.map(|duration| format!(" offset {duration}")).unwrap_or_default();
        let Some(range) = range else {
            let window = if *name == CHANGING.0 { CHANGING.1 } else { &self.0 };
            return format!("{}({name}{matchers}[{window}]{offset})", selector.function());
        };
        // The step of a subquery follows the colon. The rules remember values for the default window.
        let range = range.split(':').next().unwrap_or_default();
        let range = if range == DEFAULT_WINDOW { &self.0 } else { range };
        format!("{name}{matchers}[{range}]{offset}")
    }
}

/// The text of a token outside selectors. The last instant that was written can be older than an earlier one, so the
/// function for the last value becomes the one for the largest value.
fn rewritten_token<'a>(token: &Token<'a>, after: &[Token<'_>]) -> &'a str {
    let is_of_instant = match after {
        [open, argument @ ..] if open.text == "(" => {
            Selector::parse(argument).is_some_and(|(selector, _)| selector.is_instant())
        }
        _ => false,
    };
    if token.text == "last_over_time" && is_of_instant { "max_over_time" } else { token.text }
}

/// A selector of a pushed metric.
struct Selector<'a> {
    name: &'a str,
    /// Empty if there are none.
    matchers: &'a str,
    /// Without its brackets.
    range: Option<&'a str>,
    offset: Option<&'a str>,
}

impl<'a> Selector<'a> {
    /// Parses the selector at the start of these tokens. Also returns the tokens after it.
    fn parse<'t>(tokens: &'t [Token<'a>]) -> Option<(Self, &'t [Token<'a>])> {
        let [first, rest @ ..] = tokens else { return None };
        if !PUSHED.iter().any(|prefix| first.text.starts_with(prefix)) {
            return None;
        }
        let (matchers, rest) = match rest {
            [next, rest @ ..] if next.kind == TokenKind::Matchers => (next.text, rest),
            _ => ("", rest),
        };
        let (range, rest) = match rest {
            [next, rest @ ..] if next.kind == TokenKind::Range => (Some(next.text), rest),
            _ => (None, rest),
        };
        let range = range.map(|text| text.trim_matches(['[', ']']));
        let (offset, rest) = match rest {
            [_, word, _, duration, rest @ ..] if word.text == "offset" => {
                (Some(duration.text), rest)
            }
            _ => (None, rest),
        };
        Some((Self { name: first.text, matchers, range, offset }, rest))
    }

    /// Returns true for the time of an event in the past. The newest one is the largest one, also if a report arrives late.
    fn is_instant(&self) -> bool {
        self.name.ends_with("_timestamp_seconds") && !self.name.starts_with("batch_job_next_")
    }

    /// The function that returns the last value of a range.
    fn function(&self) -> &'static str {
        if self.is_instant() { "max_over_time" } else { "last_over_time" }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn assert_rewritten(expression: &str, expected: &str) {
        assert_eq!(Window::default().rewrite(expression), expected);
    }

    #[test]
    fn selector_finds_the_last_value_of_the_window() {
        assert_rewritten(
            "batch_job_last_run_success == 0",
            "last_over_time(batch_job_last_run_success[8d]) == 0",
        );
        assert_rewritten(
            "max without (result) (batch_job_last_run_records{result=\"processed\"}) == 0",
            "max without (result) (last_over_time(batch_job_last_run_records{result=\"processed\"}[8d])) == 0",
        );
    }

    #[test]
    fn selector_of_an_instant_finds_the_newest_one() {
        assert_rewritten(
            "time() - batch_job_last_start_timestamp_seconds{job=\"a\"}",
            "time() - max_over_time(batch_job_last_start_timestamp_seconds{job=\"a\"}[8d])",
        );
        // After a change of the schedule, the next run can be earlier than before.
        assert_rewritten(
            "time() > batch_job_next_run_timestamp_seconds",
            "time() > last_over_time(batch_job_next_run_timestamp_seconds[8d])",
        );
    }

    #[test]
    fn offset_applies_to_the_window() {
        assert_rewritten(
            "batch_job_spool_dropped - batch_job_spool_dropped offset 1d > 0",
            "last_over_time(batch_job_spool_dropped[8d]) - last_over_time(batch_job_spool_dropped[8d] offset 1d) > 0",
        );
    }

    #[test]
    fn range_stays_and_subquery_becomes_a_range() {
        assert_rewritten(
            "changes(batch_job_last_start_timestamp_seconds[1h]) > 30",
            "changes(batch_job_last_start_timestamp_seconds[1h]) > 30",
        );
        assert_rewritten(
            "min_over_time(batch_job_last_start_timestamp_seconds[8d:5m])",
            "min_over_time(batch_job_last_start_timestamp_seconds[8d])",
        );
        assert_rewritten(
            "last_over_time(batch_job_last_success_timestamp_seconds[8d:5m])",
            "max_over_time(batch_job_last_success_timestamp_seconds[8d])",
        );
    }

    #[test]
    fn recorded_series_and_other_metrics_stay() {
        for expression in [
            "time() - batch_job:open_run:start_timestamp_seconds > batch_job:run_limit:seconds",
            "quantile_over_time(0.5, batch_job:last_success_duration:seconds[7d:15m])",
            "ALERTS{alertname=~\"BatchJob.+\"} # batch_job_info",
            "vector(1)",
        ] {
            assert_rewritten(expression, expression);
        }
    }

    #[test]
    fn window_replaces_the_default_window_only() {
        let window: Window = "35d".parse().unwrap();
        for (expression, expected) in [
            ("batch_job_max_runtime_seconds", "last_over_time(batch_job_max_runtime_seconds[35d])"),
            ("min_over_time(batch_job_a[8d:5m])", "min_over_time(batch_job_a[35d])"),
            ("changes(batch_job_a[7d:15m])", "changes(batch_job_a[7d])"),
            (
                "batch_job_stage_duration_seconds",
                "last_over_time(batch_job_stage_duration_seconds[1h])",
            ),
        ] {
            assert_eq!(window.rewrite(expression), expected);
        }
    }

    #[test]
    fn window_is_written_as_promql() {
        for (text, expected) in
            [("35d", "35d"), ("48h", "2d"), ("36h", "36h"), ("90m", "5400s"), ("1h", "1h")]
        {
            assert_eq!(text.parse::<Window>().unwrap().to_string(), expected);
        }
        let error = "59m".parse::<Window>().unwrap_err();
        assert_eq!(error, "invalid window \"59m\": it must be at least 1h");
        assert!("8".parse::<Window>().is_err());
    }

    #[test]
    fn expressions_about_a_gateway_are_not_available() {
        for expression in [
            "time() - push_time_seconds > 1",
            "up{job=\"pushgateway\"} == 0",
            "rate(pushgateway_http_requests_total[5m])",
            "batch_job:start_seen:timestamp_seconds unless pushgateway:up:min",
        ] {
            assert!(!is_available(expression), "{expression}");
        }
        for expression in ["batch_job_last_start_timestamp_seconds{a=\"up\"}", "vector(1)"] {
            assert!(is_available(expression), "{expression}");
        }
    }
}

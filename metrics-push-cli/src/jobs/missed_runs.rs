//! The runs that were due and did not start.

use metrics_push::__private::scheduled_times;

use super::facts::Facts;

/// The maximum number of missed runs after the first one: a job that has run every minute can be late by months.
const MAX_LATER_RUNS: usize = 999;

/// The search for the last times of a schedule starts this long before now, in seconds. If it finds too few, it is
/// repeated with an earlier start.
const INITIAL_SEARCH: f64 = 86_400.0;

/// Returns when the runs were due that did not start, oldest first; empty if the grace of the first one has not passed. If too
/// many runs did not start, returns the times of the first one and of the newest ones.
///
/// A job with a cron schedule is due at the times of the schedule. Another job is due at its interval.
pub(super) fn missed_runs(facts: &Facts, now: f64) -> Vec<f64> {
    let Some(due) = missed_start(facts, now) else { return Vec::new() };
    let later = scheduled_after(facts, due, now).unwrap_or_else(|| repeated_after(facts, due, now));
    let newest = later.len().saturating_sub(MAX_LATER_RUNS);
    std::iter::once(due).chain(later.into_iter().skip(newest)).collect()
}

/// Returns when the next run was due, if it is late.
fn missed_start(facts: &Facts, now: f64) -> Option<f64> {
    let next_run = facts.next_run?;
    let is_missed = facts.start.is_none_or(|start| start < next_run)
        && !facts.is_open()
        && now - next_run > facts.grace.unwrap_or_default();
    is_missed.then_some(next_run)
}

/// The last times of the job's cron expression up to now; `None` if it has none.
fn scheduled_after(facts: &Facts, due: f64, now: f64) -> Option<Vec<f64>> {
    let (expression, timezone) = facts.schedule()?;
    let mut search = INITIAL_SEARCH;
    loop {
        let start = due.max(now - search);
        let times = scheduled_times(expression, timezone, start).ok()?;
        let times: Vec<_> = times.take_while(|time| *time <= now).collect();
        if start <= due || times.len() >= MAX_LATER_RUNS {
            return Some(times);
        }
        search *= 2.0;
    }
}

/// The last times up to now at the interval between the last start and the run that was due after it; none if the interval is
/// unknown.
fn repeated_after(facts: &Facts, due: f64, now: f64) -> Vec<f64> {
    let interval = facts.interval().unwrap_or(f64::INFINITY);
    let last = ((now - due) / interval).floor();
    let first = (last - MAX_LATER_RUNS as f64 + 1.0).max(1.0);
    let numbers = (0..MAX_LATER_RUNS).map(|at| first + at as f64);
    numbers.take_while(|number| *number <= last).map(|number| due + number * interval).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: f64 = 3_600.0;
    const DAY: f64 = 24.0 * HOUR;

    /// Fri 27 Nov 2026, 03:00 UTC.
    const FRIDAY: f64 = 1_795_748_400.0;

    fn daily(expression: &str) -> Facts {
        let info = [("schedule", expression), ("timezone", "UTC")];
        let info = info.map(|(name, value)| (name.to_owned(), value.to_owned()));
        Facts {
            start: Some(FRIDAY - DAY),
            completion: Some(FRIDAY - DAY + 60.0),
            next_run: Some(FRIDAY),
            info: info.into(),
            ..Facts::default()
        }
    }

    #[test]
    fn missed_runs_of_weekdays_leave_out_the_weekend() {
        let missed = |days: f64| missed_runs(&daily("0 3 * * 1-5"), FRIDAY + days * DAY + HOUR);
        assert_eq!(missed(0.0), [FRIDAY]);
        assert_eq!(missed(2.0), [FRIDAY]);
        assert_eq!(missed(3.0), [FRIDAY, FRIDAY + 3.0 * DAY]);
        assert_eq!(missed(7.0).len(), 6);
    }

    #[test]
    fn missed_runs_of_two_times_a_day_have_two_distances() {
        let missed = missed_runs(&daily("0 3,4 * * *"), FRIDAY + DAY + HOUR);
        assert_eq!(missed, [0.0, HOUR, DAY, DAY + HOUR].map(|after| FRIDAY + after));
    }

    #[test]
    fn missed_runs_without_a_schedule_have_the_interval() {
        let facts = Facts { info: [].into(), grace: Some(HOUR), ..daily("") };
        assert!(missed_runs(&facts, FRIDAY + HOUR).is_empty());
        assert_eq!(missed_runs(&facts, FRIDAY + 1.5 * DAY), [FRIDAY, FRIDAY + DAY]);
        let unknown = Facts { start: None, ..facts };
        assert_eq!(missed_runs(&unknown, FRIDAY + 9.0 * DAY), [FRIDAY]);
    }

    #[test]
    fn many_missed_runs_are_the_first_and_the_newest_ones() {
        let now = FRIDAY + 400.0 * DAY;
        let (start, completion) = (Some(FRIDAY - 60.0), Some(FRIDAY - 30.0));
        let by_minute = Facts { start, completion, ..daily("* * * * *") };
        let by_interval = Facts { info: [].into(), ..by_minute.clone() };
        let newest = (0..MAX_LATER_RUNS).rev().map(|minutes| now - 60.0 * minutes as f64);
        let expected: Vec<_> = std::iter::once(FRIDAY).chain(newest).collect();
        assert_eq!(missed_runs(&by_minute, now), expected);
        assert_eq!(missed_runs(&by_interval, now), expected);
    }

    /// The schedule has no times in the last days, and more times in November than are returned.
    #[test]
    fn missed_runs_of_one_month_are_the_newest_ones() {
        let missed = missed_runs(&daily("* * 11 * *"), FRIDAY + 40.0 * DAY);
        let days_ago = |at: f64| (FRIDAY + 40.0 * DAY - at) / DAY;
        assert_eq!((missed[0], missed.len()), (FRIDAY, MAX_LATER_RUNS + 1));
        assert!((25.0..26.0).contains(&days_ago(missed[MAX_LATER_RUNS])), "{missed:?}");
    }

    #[test]
    fn invalid_schedule_is_counted_by_its_interval() {
        assert_eq!(missed_runs(&daily("at noon"), FRIDAY + DAY + HOUR).len(), 2);
    }
}

//! The runs that were due and did not start.

use metrics_push::__private::scheduled_times;

use super::facts::Facts;

/// The maximum number of missed runs that are counted: a job that has run every minute can be late by months.
const MAX_MISSED_RUNS: usize = 1_000;

/// Returns when the runs were due that did not start, oldest first; empty if the grace of the first one has not passed.
///
/// A job with a cron schedule is due at the times of the schedule. Another job is due at its interval.
pub(super) fn missed_runs(facts: &Facts, now: f64) -> Vec<f64> {
    let Some(due) = missed_start(facts, now) else { return Vec::new() };
    let later = scheduled_after(facts, due).unwrap_or_else(|| repeated_after(facts, due));
    let is_due = |start: &f64| *start <= now;
    std::iter::once(due).chain(later).take_while(is_due).take(MAX_MISSED_RUNS).collect()
}

/// Returns when the next run was due, if it is late.
fn missed_start(facts: &Facts, now: f64) -> Option<f64> {
    let next_run = facts.next_run?;
    let is_missed = facts.start.is_none_or(|start| start < next_run)
        && !facts.is_open()
        && now - next_run > facts.grace.unwrap_or_default();
    is_missed.then_some(next_run)
}

type Starts = Box<dyn Iterator<Item = f64>>;

/// The times of the job's cron expression; `None` if it has none.
fn scheduled_after(facts: &Facts, due: f64) -> Option<Starts> {
    let (expression, timezone) = facts.schedule()?;
    Some(Box::new(scheduled_times(expression, timezone, due).ok()?))
}

/// The times at the interval between the last start and the run that was due after it; none if the interval is unknown.
fn repeated_after(facts: &Facts, due: f64) -> Starts {
    let interval = facts.interval().unwrap_or(f64::INFINITY);
    Box::new((1..).map(move |count| due + f64::from(count) * interval))
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
    fn number_of_missed_runs_is_limited() {
        assert_eq!(missed_runs(&daily("* * * * *"), FRIDAY + 400.0 * DAY).len(), MAX_MISSED_RUNS);
    }

    #[test]
    fn invalid_schedule_is_counted_by_its_interval() {
        assert_eq!(missed_runs(&daily("at noon"), FRIDAY + DAY + HOUR).len(), 2);
    }
}

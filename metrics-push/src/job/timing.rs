//! `Timing`: when the runs of a job are due.

use std::borrow::Cow;
use std::time::Duration;

use crate::error::Error;
use crate::schedule::nth_after;

/// The deadline for the next success, as a multiple of the expected interval. Prometheus' practices recommend enough
/// time for two full runs, so that a person need not react to a single failure.
const DEADLINE_INTERVALS: u32 = 2;

/// How late a run may start after its scheduled time, unless the job sets another duration. Schedulers start many jobs at
/// the same time, and containers need some time to start.
const DEFAULT_START_GRACE: Duration = Duration::from_secs(300);

/// A run that starts at most this many seconds before a scheduled time counts as the run of that time, because the
/// scheduler's clock can be ahead of the job's. Otherwise that time would be exported as the next run, and reported as
/// missed.
const MAX_EARLY_START: f64 = 10.0;

/// How often a job runs, or at which times.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Timing<'a> {
    /// A success is expected at this interval.
    Every(Duration),
    /// A cron expression in a time zone, which is that of the machine if the name is empty.
    Schedule { expression: Cow<'a, str>, timezone: Cow<'a, str> },
}

impl Timing<'_> {
    /// Returns when the next run after this one is due. Both times are in Unix seconds.
    ///
    /// # Errors
    /// `is_config` if the schedule or the time zone is invalid, or if the schedule never matches.
    pub(super) fn next_run(&self, started_at: f64) -> Result<f64, Error> {
        match self {
            Self::Every(interval) => Ok(started_at + interval.as_secs_f64()),
            Self::Schedule { expression, timezone } => {
                nth_after(expression, timezone, started_at + MAX_EARLY_START, 1)?.ok_or_else(|| {
                    Error::config(format!("the schedule {expression:?} matches no day"))
                        .remedy("check the day of the month and the month")
                })
            }
        }
    }

    /// Returns how late the next run may start by default.
    pub(super) fn default_grace(&self) -> Duration {
        match self {
            Self::Every(interval) => *interval / 2,
            Self::Schedule { .. } => DEFAULT_START_GRACE,
        }
    }

    /// Returns the largest age that the last success may reach, if it is the same for all successes.
    pub(super) fn fixed_deadline(&self) -> Option<Duration> {
        match self {
            Self::Every(interval) => Some(interval.saturating_mul(DEADLINE_INTERVALS)),
            Self::Schedule { .. } => None,
        }
    }

    /// Returns the largest age that the success of a run may reach, if it depends on the time of the success: one run after
    /// it may fail, and the second one may take `runtime`.
    pub(super) fn deadline_after(
        &self,
        started_at: f64,
        succeeded_at: f64,
        runtime: Duration,
    ) -> Option<Duration> {
        let Self::Schedule { expression, timezone } = self else { return None };
        let after = succeeded_at.max(started_at + MAX_EARLY_START);
        let run_at = nth_after(expression, timezone, after, DEADLINE_INTERVALS).ok()??;
        let until_run = Duration::try_from_secs_f64(run_at - succeeded_at).ok()?;
        Some(until_run.saturating_add(runtime))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_secs(3_600);

    #[test]
    fn interval_allows_one_failure_and_half_an_interval_of_delay() {
        let timing = Timing::Every(HOUR);
        assert_eq!(timing.next_run(1_000.5).unwrap(), 4_600.5);
        assert_eq!(timing.default_grace(), HOUR / 2);
        assert_eq!(timing.fixed_deadline(), Some(HOUR * 2));
        assert_eq!(timing.deadline_after(1_000.0, 1_000.5, HOUR), None);
        assert_eq!(Timing::Every(Duration::MAX).fixed_deadline(), Some(Duration::MAX));
    }

    #[cfg(feature = "schedule")]
    mod schedule {
        use super::*;

        /// Friday, 2026-01-02, 03:00:00 UTC.
        const FRIDAY: f64 = 1_767_322_800.0;
        const DAY: f64 = 86_400.0;

        fn scheduled(expression: &str, timezone: &str) -> Timing<'static> {
            Timing::Schedule {
                expression: expression.to_owned().into(),
                timezone: timezone.to_owned().into(),
            }
        }

        #[test]
        fn deadline_is_the_second_scheduled_run_plus_its_runtime() {
            let timing = scheduled("0 3 * * 1-5", "UTC");
            let deadline = timing.deadline_after(FRIDAY, FRIDAY + 60.0, HOUR).unwrap();
            // The runs after Friday's success are those of Monday and Tuesday.
            assert_eq!(timing.next_run(FRIDAY + 1.0).unwrap(), FRIDAY + 3.0 * DAY);
            assert_eq!(deadline.as_secs_f64(), 4.0 * DAY - 60.0 + 3_600.0);
            assert_eq!(timing.fixed_deadline(), None);
            assert_eq!(timing.default_grace(), DEFAULT_START_GRACE);
        }

        #[test]
        fn early_start_counts_as_the_run_of_its_scheduled_time() {
            let timing = scheduled("0 3 * * *", "UTC");
            for (early, next_run) in [(0.001, DAY), (9.9, DAY), (10.1, 0.0), (0.0, DAY)] {
                let started_at = FRIDAY - early;
                assert_eq!(timing.next_run(started_at).unwrap(), FRIDAY + next_run, "{early}");
                let deadline = timing.deadline_after(started_at, started_at, HOUR).unwrap();
                let expected = next_run + DAY + early + 3_600.0;
                assert!((deadline.as_secs_f64() - expected).abs() < 1e-3, "{early}: {deadline:?}");
            }
            // This run took almost an hour and ended shortly before the next scheduled time.
            let hourly = scheduled("0 * * * *", "UTC");
            let deadline = hourly.deadline_after(FRIDAY - 3_600.0, FRIDAY - 1.0, HOUR);
            assert_eq!(deadline, Some(Duration::from_secs(7_201)));
        }

        #[test]
        fn invalid_schedule_has_no_times() {
            for (expression, timezone, message) in [
                ("0 3 * *", "UTC", "invalid schedule"),
                ("0 3 * * *", "Mars/Olympus", "unknown time zone"),
                ("0 3 31 2 *", "UTC", "matches no day"),
            ] {
                let timing = scheduled(expression, timezone);
                let error = timing.next_run(FRIDAY).unwrap_err();
                assert!(error.is_config() && error.to_string().contains(message), "{error}");
                assert_eq!(timing.deadline_after(FRIDAY, FRIDAY, HOUR), None);
            }
        }
    }
}

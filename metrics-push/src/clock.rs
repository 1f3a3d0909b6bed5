//! `Moment`: a reading of the wall clock and the monotonic clock.
//!
//! Timestamps come from the wall clock, durations from the monotonic clock. Other modules read these clocks only
//! through `Moment`, except for the clock of the timing metrics, `metrics::tsc_clock`, and the test server.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// The longest duration that is added to a moment: longer than any process runs, and too short to overflow a clock.
const MAX_DURATION: Duration = Duration::from_secs(100 * 366 * 86_400);

/// The end of the year 9999 in Unix seconds.
const MAX_DATE_SECONDS: f64 = 253_402_300_800.0;

/// Formats a timestamp, in Unix seconds as in the metrics, as RFC 3339 with whole seconds in UTC. A timestamp before
/// 1970 or after the year 9999 is written as a number.
///
/// ```
/// assert_eq!(metrics_push::format_timestamp(1_763_806_500.25), "2025-11-22T10:15:00Z");
/// ```
#[must_use]
pub fn format_timestamp(unix_seconds: f64) -> String {
    if !(0.0..MAX_DATE_SECONDS).contains(&unix_seconds) {
        return unix_seconds.to_string();
    }
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "in the range that is checked above; the fraction is cut off"
    )]
    let seconds = unix_seconds as u64;
    let (year, month, day) = date(seconds / 86_400);
    let (hour, minute, second) = (seconds / 3_600 % 24, seconds / 60 % 60, seconds % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

/// Returns year, month and day of a number of days since 1970-01-01.
///
/// The algorithm is `civil_from_days` of Howard Hinnant: years start in March, so that the leap day is the last one.
fn date(days: u64) -> (u64, u64, u64) {
    const DAYS_PER_ERA: u64 = 146_097;

    let days = days + 719_468;
    let (era, day_of_era) = (days / DAYS_PER_ERA, days % DAYS_PER_ERA);
    let leap_days = day_of_era / 1_460 + day_of_era / 146_096 - day_of_era / 36_524;
    let year_of_era = (day_of_era - leap_days) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = (month_from_march + 2) % 12 + 1;
    (era * 400 + year_of_era + u64::from(month <= 2), month, day)
}

/// One moment on both clocks.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Moment {
    wall: SystemTime,
    monotonic: Instant,
}

impl Moment {
    pub(crate) fn now() -> Self {
        Self { wall: SystemTime::now(), monotonic: Instant::now() }
    }

    /// Returns seconds since the Unix epoch, the unit of Prometheus timestamps.
    pub(crate) fn unix_seconds(self) -> f64 {
        unix_seconds(self.wall)
    }

    /// Returns milliseconds since the Unix epoch, the unit of timestamps in the spool.
    pub(crate) fn unix_millis(self) -> u64 {
        let since_epoch = self.wall.duration_since(UNIX_EPOCH).unwrap_or_default();
        u64::try_from(since_epoch.as_millis()).unwrap_or(u64::MAX)
    }

    /// Returns the time of the wall clock, for comparison with file times.
    pub(crate) fn wall(self) -> SystemTime {
        self.wall
    }

    pub(crate) fn is_at_or_after(self, other: Self) -> bool {
        self.monotonic >= other.monotonic
    }

    /// Returns the moment `duration` earlier.
    pub(crate) fn before(self, duration: Duration) -> Self {
        Self {
            wall: self.wall - duration,
            monotonic: self.monotonic.checked_sub(duration).unwrap_or(self.monotonic),
        }
    }

    /// Returns nanoseconds since the Unix epoch, for file names that are ordered by time.
    pub(crate) fn unix_nanos(self) -> u128 {
        self.wall.duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos()
    }

    pub(crate) fn since(self, earlier: Self) -> Duration {
        self.monotonic.saturating_duration_since(earlier.monotonic)
    }

    /// Returns the moment `duration` later, at most [`MAX_DURATION`] later.
    pub(crate) fn after(self, duration: Duration) -> Self {
        let duration = duration.min(MAX_DURATION);
        Self { wall: self.wall + duration, monotonic: self.monotonic + duration }
    }

    /// Returns the time until this moment; zero if it has passed.
    pub(crate) fn remaining(self) -> Duration {
        self.monotonic.saturating_duration_since(Instant::now())
    }

    /// Returns the same moment with the wall clock set back by `duration`.
    #[cfg(test)]
    pub(crate) fn with_wall_clock_back(self, duration: Duration) -> Self {
        Self { wall: self.wall - duration, ..self }
    }

    pub(crate) fn earlier_of(self, other: Self) -> Self {
        if other.monotonic < self.monotonic { other } else { self }
    }

    pub(crate) fn later_of(self, other: Self) -> Self {
        if other.monotonic > self.monotonic { other } else { self }
    }
}

/// Returns seconds since the Unix epoch, negative before it.
pub(crate) fn unix_seconds(wall: SystemTime) -> f64 {
    match wall.duration_since(UNIX_EPOCH) {
        Ok(after) => after.as_secs_f64(),
        Err(before) => -before.duration().as_secs_f64(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_come_from_the_monotonic_clock() {
        let start = Moment::now();
        let mut end = start.after(Duration::from_secs(3));
        end.wall = UNIX_EPOCH;
        assert_eq!(end.since(start), Duration::from_secs(3));
        assert_eq!(start.since(end), Duration::ZERO);
    }

    #[test]
    fn after_accepts_any_duration() {
        let now = Moment::now();
        assert_eq!(now.after(Duration::MAX).since(now), MAX_DURATION);
    }

    #[test]
    fn timestamp_is_formatted_as_rfc_3339() {
        for (seconds, expected) in [
            (0.0, "1970-01-01T00:00:00Z"),
            (951_782_399.9, "2000-02-28T23:59:59Z"),
            (951_782_400.0, "2000-02-29T00:00:00Z"),
            (951_868_800.0, "2000-03-01T00:00:00Z"),
            (1_704_067_199.0, "2023-12-31T23:59:59Z"),
            (1_709_210_096.0, "2024-02-29T12:34:56Z"),
            (4_107_542_400.0, "2100-03-01T00:00:00Z"),
            (253_402_300_799.0, "9999-12-31T23:59:59Z"),
            (253_402_300_800.0, "253402300800"),
            (-1.0, "-1"),
            (f64::NAN, "NaN"),
            (f64::INFINITY, "inf"),
        ] {
            assert_eq!(format_timestamp(seconds), expected);
        }
    }

    #[test]
    fn timestamps_are_seconds_since_the_epoch() {
        let mut moment = Moment::now();
        moment.wall = UNIX_EPOCH + Duration::from_millis(1_500);
        assert_eq!(moment.unix_seconds().to_bits(), 1.5_f64.to_bits());
        moment.wall = UNIX_EPOCH - Duration::from_secs(2);
        assert_eq!(moment.unix_seconds().to_bits(), (-2.0_f64).to_bits());
    }
}

//! `Moment`: a reading of the wall clock and the monotonic clock.
//!
//! Timestamps come from the wall clock, durations from the monotonic clock. Other modules read these clocks only
//! through `Moment`, except for the clock of the timing metrics, `metrics::tsc_clock`, and the test server.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// The longest duration that is added to a moment: longer than any process runs, and too short to overflow a clock.
const MAX_DURATION: Duration = Duration::from_secs(100 * 366 * 86_400);

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
    fn timestamps_are_seconds_since_the_epoch() {
        let mut moment = Moment::now();
        moment.wall = UNIX_EPOCH + Duration::from_millis(1_500);
        assert_eq!(moment.unix_seconds().to_bits(), 1.5_f64.to_bits());
        moment.wall = UNIX_EPOCH - Duration::from_secs(2);
        assert_eq!(moment.unix_seconds().to_bits(), (-2.0_f64).to_bits());
    }
}

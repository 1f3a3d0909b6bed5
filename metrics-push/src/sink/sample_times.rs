//! `SampleTimer`: the times of samples. A sample has the time at which its request was made, by the receiver's clock.
//!
//! Invariants:
//! - no sample is ahead of the receiver's clock: a Prometheus before version 3 would reject the samples of every sender
//!   until its clock reaches that time;
//! - the times of two requests for a group differ, because receivers reject a second value for the same time;
//! - a request that is sent again, or a part of it, has the same time again: receivers ignore exact duplicates;
//! - the first request of a process for a group is newer than the ends of the group's series that other processes have sent
//!   before the state directory named this process.

use std::collections::HashMap;
use std::fmt;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::time::Duration;

use crate::labels::GroupingKey;
use crate::push_request::{Payload, is_delivery_family};

/// A clock that differs from the receiver's by more than this is wrong. The `Date` of a response has whole seconds, and a
/// response can arrive late.
pub(super) const MAX_DIFFERENCE: Duration = Duration::from_secs(60);

/// How long a reading is valid. It is shorter than the hour by which a sample may be ahead of all others: a clock that was
/// set forward since by less than this does no harm, and one that was set forward by more makes the reading invalid.
pub(super) const CLOCK_READING_TTL: Duration = Duration::from_secs(30 * 60);

/// Older samples are not sent with their own time: Prometheus rejects those that are an hour older than the newest one.
pub(super) const MAX_SAMPLE_AGE: Duration = Duration::from_secs(50 * 60);

/// The maximum age of the totals before a run. Receivers reject a request with samples that are more than an hour old.
const MAX_RUN_AGE: Duration = Duration::from_secs(30 * 60);

/// The maximum number of groups whose last time is stored.
const MAX_TIMED_GROUPS: usize = 10_000;

/// How far the clock of this machine was ahead of the receiver's. All times are in milliseconds since the Unix epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ClockReading {
    ahead: i64,
    measured_at: u64,
}

impl ClockReading {
    /// Creates a reading from the times of both clocks. If the receiver reports none, they are assumed to be equal.
    pub(super) fn new(now: u64, receiver: Option<u64>) -> Self {
        let ahead = receiver.map_or(0, |receiver| now.cast_signed() - receiver.cast_signed());
        Self { ahead, measured_at: now }
    }

    /// Reads a stored reading; `None` if it is corrupt.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (measured_at, ahead) = text.split_once(' ')?;
        Some(Self { ahead: ahead.parse().ok()?, measured_at: measured_at.parse().ok()? })
    }

    /// Returns true if so much of the validity of `stored` has passed that this newer reading must replace it on disk.
    pub(super) fn must_replace(self, stored: Self) -> bool {
        let age = self.measured_at.abs_diff(stored.measured_at);
        age > millis(CLOCK_READING_TTL) / 2
            || self.ahead_by().is_some() != stored.ahead_by().is_some()
    }

    /// Returns true unless the reading is older than `ttl`, or the clock was set back since.
    pub(super) fn is_valid(self, now: u64, ttl: Duration) -> bool {
        now.checked_sub(self.measured_at).is_some_and(|age| age < millis(ttl))
    }

    /// Returns by how much the clock is ahead; `None` if it is right or behind.
    pub(super) fn ahead_by(self) -> Option<Duration> {
        let ahead = Duration::from_millis(u64::try_from(self.ahead).unwrap_or(0));
        (ahead > MAX_DIFFERENCE).then_some(ahead)
    }

    /// Returns by how much the clock is behind; `None` if it is right or ahead.
    pub(super) fn behind_by(self) -> Option<Duration> {
        Self { ahead: self.ahead.saturating_neg(), ..self }.ahead_by()
    }

    /// Returns the reading, but treats a clock that is behind as right.
    pub(super) fn never_behind(self) -> Self {
        Self { ahead: self.ahead.max(0), ..self }
    }

    /// Converts a time of this machine's clock to the receiver's clock.
    pub(super) fn to_receiver(self, time: u64) -> u64 {
        let is_wrong = self.ahead_by().or(self.behind_by()).is_some();
        time.saturating_add_signed(if is_wrong { self.ahead.saturating_neg() } else { 0 })
    }
}

/// Writes the form that [`ClockReading::parse`] reads.
impl fmt::Display for ClockReading {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.measured_at, self.ahead)
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// The properties of a request by which its time is chosen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct RequestIdentity {
    /// By the clock of the machine that made it.
    created_at: u64,
    /// The earliest time of its samples, by the same clock.
    earliest: u64,
    /// A hash of each family, except those about the delivery.
    families: Vec<u64>,
    has_totals: bool,
}

impl RequestIdentity {
    pub(super) fn new(payload: &Payload<'_>) -> Self {
        let hash = |family: (&str, &str)| {
            let mut hasher = DefaultHasher::new();
            family.hash(&mut hasher);
            hasher.finish()
        };
        let families = payload.families().filter(|(name, _)| !is_delivery_family(name));
        Self {
            created_at: payload.created_at(),
            earliest: payload.earliest(),
            families: families.map(hash).collect(),
            has_totals: payload.families().any(|(name, _)| payload.total_before(name).is_some()),
        }
    }

    /// Returns true if the other request contains all families of this one, unchanged.
    fn is_part_of(&self, other: &Self) -> bool {
        self.created_at == other.created_at
            && self.families.iter().all(|family| other.families.contains(family))
    }
}

/// The times of all samples of a request, in milliseconds since the Unix epoch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct RequestTimes {
    pub(super) time: u64,
    /// The time of the last totals of the group, if this process has sent some before.
    pub(super) last_totals: Option<u64>,
    /// When the counters started at zero, if it is known: at the start of the run, unless they add up over runs.
    pub(super) start: Option<u64>,
}

impl RequestTimes {
    /// Returns the time of totals as they were before the run of the request: the start of the run, but not so early that
    /// receivers reject it, before the request, and after the totals of a run that has ended since. Prometheus computes no
    /// increase from the first sample of a series.
    pub(super) fn before_run(&self) -> Option<u64> {
        let oldest = self.time.saturating_sub(millis(MAX_RUN_AGE));
        let earliest = self.last_totals.map_or(oldest, |last| oldest.max(last + 1));
        let start = self.start?.min(self.time.saturating_sub(1)).max(earliest);
        (start < self.time).then_some(start)
    }

    /// Returns the times of counters that were zero at `since`. The start is at least a millisecond before the samples.
    pub(super) fn counting_since(self, since: Option<u64>) -> Self {
        let latest = self.time.saturating_sub(1);
        Self { start: since.or(self.start).map(|start| start.min(latest)), ..self }
    }
}

/// The last request of a group.
#[derive(Debug)]
struct LastRequest {
    identity: RequestIdentity,
    time: u64,
    /// The time of the last totals before the request.
    last_totals: Option<u64>,
}

impl LastRequest {
    /// Returns the time of the last totals, including those of the request.
    fn totals(&self) -> Option<u64> {
        if self.identity.has_totals { Some(self.time) } else { self.last_totals }
    }
}

/// The last request of each group.
#[derive(Debug, Default)]
pub(super) struct SampleTimer {
    groups: HashMap<GroupingKey, LastRequest>,
}

impl SampleTimer {
    /// Removes all times, because later ones are from another clock.
    pub(super) fn clear(&mut self) {
        self.groups.clear();
    }

    /// Returns the times of a request's samples, by the receiver's clock, without a start.
    pub(super) fn times(
        &mut self,
        key: &GroupingKey,
        request: RequestIdentity,
        clock: ClockReading,
        now: u64,
    ) -> RequestTimes {
        let times = |time, last_totals| RequestTimes { time, last_totals, start: None };
        let now = clock.to_receiver(now);
        let time = clock.to_receiver(request.created_at).min(now);
        // The earliest time is one millisecond after a record, so it may be ahead of the clock.
        let earliest = clock.to_receiver(request.earliest).min(now + 1);
        let times = match self.groups.get(key) {
            None => times(time.max(earliest), None),
            Some(last) if request.is_part_of(&last.identity) => {
                return times(last.time, last.last_totals);
            }
            // An older request that was spooled. Unless the clock was set back, it stays in its place.
            Some(last) if request.created_at < last.identity.created_at && last.time <= now => {
                return times(time, None);
            }
            Some(last) => times(time.max(earliest).max(last.time + 1), last.totals()),
        };
        if self.groups.len() >= MAX_TIMED_GROUPS {
            // Two requests for a group within one millisecond are rare.
            self.groups.clear();
        }
        let RequestTimes { time, last_totals, .. } = times;
        self.groups.insert(key.clone(), LastRequest { identity: request, time, last_totals });
        times
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::push_request::{Families, PushRequest};

    const NOW: u64 = 1_700_000_000_000;
    const HOUR: u64 = 3_600_000;

    fn key(job: &str) -> GroupingKey {
        GroupingKey::new(job).unwrap()
    }

    fn request(created_at: u64, family: u64) -> RequestIdentity {
        RequestIdentity { created_at, earliest: 0, families: vec![family], has_totals: false }
    }

    fn right() -> ClockReading {
        ClockReading::new(NOW, Some(NOW - 900))
    }

    /// Returns the times of requests for one group that are sent when they are made.
    fn times(requests: &[(u64, u64)], clock: ClockReading) -> Vec<u64> {
        let mut timer = SampleTimer::default();
        let time = |(created_at, content): &(u64, u64)| {
            timer.times(&key("a"), request(*created_at, *content), clock, *created_at).time
        };
        requests.iter().map(time).collect()
    }

    #[test]
    fn sample_has_the_time_of_its_request() {
        assert_eq!(times(&[(NOW, 1), (NOW + 5, 2)], right()), [NOW, NOW + 5]);
    }

    #[test]
    fn requests_within_one_millisecond_have_different_times() {
        let times = times(&[(NOW, 1), (NOW, 2), (NOW, 3), (NOW + 1, 4)], right());
        assert_eq!(times, [NOW, NOW + 1, NOW + 2, NOW + 3]);
    }

    #[test]
    fn first_request_of_a_process_is_not_earlier_than_its_record() {
        let mut timer = SampleTimer::default();
        let joining = RequestIdentity { earliest: NOW + 8, ..request(NOW, 1) };
        assert_eq!(timer.times(&key("a"), joining.clone(), right(), NOW + 9).time, NOW + 8);
        assert_eq!(timer.times(&key("a"), joining, right(), NOW + 99).time, NOW + 8, "again");
        // This request was created before the process was recorded.
        assert_eq!(timer.times(&key("a"), request(NOW + 1, 2), right(), NOW + 99).time, NOW + 9);
    }

    #[test]
    fn earliest_time_is_by_the_clock_of_the_receiver() {
        let ahead = ClockReading::new(NOW + HOUR, Some(NOW));
        let joining = RequestIdentity { earliest: NOW + HOUR + 8, ..request(NOW + HOUR, 1) };
        for (passed, expected) in [(9, NOW + 8), (0, NOW + 1)] {
            let now = NOW + HOUR + passed;
            let times = SampleTimer::default().times(&key("a"), joining.clone(), ahead, now);
            assert_eq!(times.time, expected);
        }
    }

    #[test]
    fn groups_have_independent_times() {
        let mut timer = SampleTimer::default();
        for job in ["a", "b"] {
            assert_eq!(timer.times(&key(job), request(NOW, 1), right(), NOW).time, NOW);
        }
    }

    #[test]
    fn request_that_is_sent_again_has_the_same_time() {
        let mut timer = SampleTimer::default();
        timer.times(&key("a"), request(NOW, 1), right(), NOW);
        let first = timer.times(&key("a"), request(NOW, 2), right(), NOW).time;
        let again = timer.times(&key("a"), request(NOW, 2), right(), NOW + 9_000).time;
        assert_eq!((first, again), (NOW + 1, NOW + 1));
    }

    #[test]
    fn metrics_of_the_delivery_do_not_change_the_time() {
        let request = PushRequest::add(key("a"), Families::from([("x".into(), "x 1\n".into())]));
        let identity = |attempts: u32| {
            let text = format!("batch_job_push_attempts {attempts}\n");
            let own = Families::from([("batch_job_push_attempts".into(), text)]);
            let mut payload = Payload::from(&request);
            payload.insert(&own);
            RequestIdentity::new(&payload)
        };
        assert_eq!(identity(1), identity(2));
    }

    #[test]
    fn part_of_a_request_has_its_time() {
        let mut timer = SampleTimer::default();
        let whole = RequestIdentity { families: vec![1, 2, 3], ..request(NOW, 0) };
        assert_eq!(timer.times(&key("a"), whole.clone(), right(), NOW).time, NOW);
        for families in [vec![3], vec![1, 2], vec![]] {
            let part = RequestIdentity { families, ..request(NOW, 0) };
            assert_eq!(timer.times(&key("a"), part, right(), NOW + 5).time, NOW);
        }
        assert_eq!(timer.times(&key("a"), request(NOW, 4), right(), NOW + 5).time, NOW + 1);
    }

    #[test]
    fn older_request_keeps_its_time() {
        let mut timer = SampleTimer::default();
        timer.times(&key("a"), request(NOW, 1), right(), NOW);
        for _ in 0..2 {
            let time = timer.times(&key("a"), request(NOW - 500, 2), right(), NOW + 9).time;
            assert_eq!(time, NOW - 500);
        }
        assert_eq!(timer.times(&key("a"), request(NOW, 1), right(), NOW + 9).time, NOW);
    }

    #[test]
    fn totals_before_a_run_within_one_millisecond_are_earlier() {
        for start in [NOW, NOW + 1] {
            let times = RequestTimes { time: NOW, last_totals: None, start: Some(start) };
            assert_eq!(times.before_run(), Some(NOW - 1));
        }
    }

    #[test]
    fn totals_before_a_run_follow_those_of_a_run_that_ended_during_it() {
        const ENDED: u64 = NOW + 2_000;
        let mut timer = SampleTimer::default();
        let mut times = |created_at, family, has_totals| {
            let request = RequestIdentity { has_totals, ..request(created_at, family) };
            let times = timer.times(&key("a"), request, right(), created_at);
            RequestTimes { start: Some(NOW), ..times }.before_run()
        };
        assert_eq!(times(ENDED, 1, true), Some(NOW));
        // A heartbeat has no totals.
        assert_eq!(times(ENDED + 500, 2, false), Some(ENDED + 1));
        for _ in 0..2 {
            assert_eq!(times(ENDED + 900, 3, true), Some(ENDED + 1), "also if it is sent again");
        }
        assert_eq!(times(ENDED + 901, 4, true), None, "no time is left in between");
    }

    #[test]
    fn times_increase_although_the_clock_is_set_back() {
        assert_eq!(times(&[(NOW, 1), (NOW - HOUR, 2)], right()), [NOW, NOW + 1]);
    }

    #[test]
    fn wrong_clock_is_replaced_by_that_of_the_receiver() {
        for ahead in [2 * HOUR, 400 * 24 * HOUR] {
            let clock = ClockReading::new(NOW + ahead, Some(NOW));
            assert_eq!(clock.ahead_by(), Some(Duration::from_millis(ahead)));
            let times = times(&[(NOW + ahead, 1), (NOW + ahead + 7, 2)], clock);
            assert_eq!(times, [NOW, NOW + 7]);
        }
    }

    #[test]
    fn clock_that_is_slightly_ahead_or_behind_is_right() {
        for receiver in [NOW - 60_000, NOW, NOW + 60_000] {
            let clock = ClockReading::new(NOW, Some(receiver));
            assert_eq!((clock.ahead_by(), clock.behind_by()), (None, None));
            assert_eq!(clock.to_receiver(NOW), NOW);
        }
        assert_eq!(ClockReading::new(NOW, None).ahead_by(), None);
    }

    #[test]
    fn reading_behind_the_receiver_sets_times_forward() {
        let clock = ClockReading::new(NOW, Some(NOW + 2 * HOUR));
        assert_eq!(clock.behind_by(), Some(Duration::from_millis(2 * HOUR)));
        assert_eq!((clock.ahead_by(), clock.to_receiver(NOW)), (None, NOW + 2 * HOUR));
        let chosen = clock.never_behind();
        assert_eq!((chosen.behind_by(), chosen.to_receiver(NOW)), (None, NOW));
    }

    #[test]
    fn counters_start_before_their_samples() {
        let times = RequestTimes { time: NOW, last_totals: None, start: None };
        for (since, start) in [(NOW - 5, NOW - 5), (NOW, NOW - 1), (NOW + 2 * HOUR, NOW - 1)] {
            assert_eq!(times.counting_since(Some(since)).start, Some(start));
        }
        assert_eq!(times.counting_since(None).start, None);
    }

    #[test]
    fn request_made_by_a_wrong_clock_is_not_ahead_of_a_right_one() {
        let mut timer = SampleTimer::default();
        let made_ahead = request(NOW + 2 * HOUR, 1);
        assert_eq!(timer.times(&key("a"), made_ahead, right(), NOW).time, NOW);
    }

    #[test]
    fn reading_is_invalid_when_it_is_old_or_from_the_future() {
        let reading = right();
        let ttl = millis(CLOCK_READING_TTL);
        for (now, is_valid) in
            [(NOW, true), (NOW + ttl - 1, true), (NOW + ttl, false), (NOW - 1, false)]
        {
            assert_eq!(reading.is_valid(now, CLOCK_READING_TTL), is_valid, "{now}");
        }
    }

    #[test]
    fn stored_reading_is_read() {
        for reading in
            [right(), ClockReading::new(NOW, Some(NOW + HOUR)), ClockReading::new(NOW, None)]
        {
            assert_eq!(ClockReading::parse(&reading.to_string()), Some(reading));
        }
        for text in ["", "1", "1 x", "x 1", "1  1", "-1 1"] {
            assert_eq!(ClockReading::parse(text), None, "{text}");
        }
    }

    #[test]
    fn reading_is_stored_again_when_it_is_half_expired_or_differs() {
        let stored = right();
        let later = |time| ClockReading::new(NOW + time, Some(NOW + time));
        assert!(!later(HOUR / 4).must_replace(stored) && later(HOUR / 4 + 1).must_replace(stored));
        assert!(ClockReading::new(NOW, Some(NOW - HOUR)).must_replace(stored));
    }

    #[test]
    fn number_of_groups_is_limited() {
        let mut timer = SampleTimer::default();
        for number in 0..=MAX_TIMED_GROUPS {
            timer.times(&key(&number.to_string()), request(NOW, 1), right(), NOW);
        }
        assert!(timer.groups.len() <= MAX_TIMED_GROUPS);
    }
}

//! `SampleClock`: chooses the times of the samples for one receiver, by the clock of the receiver.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, UNIX_EPOCH};

use super::interface::Rejection;
use super::sample_times::{
    CLOCK_READING_TTL, ClockReading, MAX_DIFFERENCE, MAX_SAMPLE_AGE, RequestIdentity, RequestTimes,
    SampleTimer,
};
use super::series::counting_since;
use crate::clock::Moment;
use crate::error::{Error, Kind};
use crate::http::Response;
use crate::log;
use crate::push_request::Payload;
use crate::sync::Mutex;

#[derive(Debug, Default)]
pub(super) struct SampleClock {
    reading: Mutex<Option<ClockReading>>,
    /// The reading in the state directory.
    stored: Mutex<Option<ClockReading>>,
    timer: Mutex<SampleTimer>,
    /// Whether times are set forward: the clock of this machine is behind, and the receiver has rejected samples. A
    /// `Date` alone is not sufficient, because it can be that of a proxy, and samples from the future make a receiver
    /// reject those of other senders.
    is_behind: AtomicBool,
}

impl SampleClock {
    /// Returns the last reading of the server's clock, unless it is old.
    pub(super) fn valid_reading(&self) -> Option<ClockReading> {
        let now = Moment::now().unix_millis();
        // After this machine's clock is corrected, times must no longer be set forward, so readings expire sooner.
        let ttl = if self.is_behind() { MAX_DIFFERENCE } else { CLOCK_READING_TTL };
        self.reading.lock().filter(|reading| reading.is_valid(now, ttl))
    }

    /// Returns the times of a payload's samples.
    pub(super) fn times(&self, payload: &Payload<'_>, reading: ClockReading) -> RequestTimes {
        let request = RequestIdentity::new(payload);
        let now = Moment::now().unix_millis();
        let reading = if self.is_behind() { reading } else { reading.never_behind() };
        let times = self.timer.lock().times(payload.key(), request, reading, now);
        times.counting_since(counting_since(payload).map(|start| reading.to_receiver(start)))
    }

    /// Returns true if times are set forward.
    pub(super) fn is_behind(&self) -> bool {
        self.is_behind.load(Ordering::Relaxed)
    }

    /// Sets times forward after the receiver rejected a payload as too old or superseded. Returns false if the payload
    /// is not recent or the clock is not behind.
    pub(super) fn set_behind(&self, payload: &Payload<'_>, url: &str) -> bool {
        let is_new = age(payload) <= MAX_DIFFERENCE;
        let behind = self.valid_reading().and_then(ClockReading::behind_by);
        let Some(behind) = behind.filter(|_| is_new) else { return false };
        if !self.is_behind.swap(true, Ordering::Relaxed) {
            self.timer.lock().clear();
            log_difference("the clock of this machine is behind that of the receiver", behind, url);
        }
        true
    }

    /// Compares the clock of this machine with that of a response.
    pub(super) fn read(&self, response: &Response, url: &str) -> ClockReading {
        let date = response.headers.date().and_then(|date| date.duration_since(UNIX_EPOCH).ok());
        let receiver = date.and_then(|date| u64::try_from(date.as_millis()).ok());
        let reading = ClockReading::new(Moment::now().unix_millis(), receiver);
        let previous = self.reading.lock().replace(reading);
        let is_new = previous.and_then(ClockReading::ahead_by).is_none();
        if let (Some(ahead), true) = (reading.ahead_by(), is_new) {
            log_difference(
                "the clock of this machine is ahead of that of the receiver",
                ahead,
                url,
            );
        }
        reading
    }

    /// Restores the reading of an earlier process.
    pub(super) fn restore(&self, state: &str) {
        let reading = ClockReading::parse(state);
        *self.stored.lock() = reading;
        *self.reading.lock() = reading;
    }

    /// Returns the reading if it must be stored for later processes.
    pub(super) fn take_state(&self) -> Option<String> {
        let reading = (*self.reading.lock())?;
        let mut stored = self.stored.lock();
        if stored.is_some_and(|stored| !reading.must_replace(stored)) {
            return None;
        }
        *stored = Some(reading);
        Some(reading.to_string())
    }
}

fn log_difference(what: &'static str, difference: Duration, url: &str) {
    let error = Error::config(what)
        .at("url", url)
        .at("seconds", difference.as_secs())
        .remedy("set the clock of this machine, for example with NTP");
    log::warn(format_args!("{error:?}; samples have the time of the receiver"));
}

/// Checks that a payload is young enough for receivers that, like Prometheus, reject old samples.
///
/// # Errors
/// If it is too old.
pub(super) fn check_age(payload: &Payload<'_>) -> Result<(), Rejection> {
    if age(payload) <= MAX_SAMPLE_AGE {
        return Ok(());
    }
    let error = Error::new(Kind::Metric, "the samples are older than receivers accept");
    Err(Rejection::TooOld(error))
}

fn age(payload: &Payload<'_>) -> Duration {
    Duration::from_millis(Moment::now().unix_millis().saturating_sub(payload.created_at()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::labels::GroupingKey;
    use crate::push_request::{LAST_START, PushRequest, Verb};

    const HOUR: i64 = 3_600_000;

    /// Returns a clock whose reading is that this machine is ahead by `ahead` milliseconds.
    fn clock(ahead: i64) -> SampleClock {
        let clock = SampleClock::default();
        clock.restore(&format!("{} {ahead}", Moment::now().unix_millis()));
        clock
    }

    /// Returns the present time in milliseconds, without a fraction of a second.
    fn now() -> u64 {
        Moment::now().unix_millis() / 1_000 * 1_000
    }

    /// Returns the request of a run that started a second before the request was made.
    fn request(created_at: u64) -> PushRequest {
        let start = created_at / 1_000 - 1;
        let families = [(LAST_START.to_owned(), format!("{LAST_START} {start}\n"))].into();
        let key = GroupingKey::new("job").unwrap();
        PushRequest::with_created_at(created_at, Verb::Add, key, families)
    }

    fn times(clock: &SampleClock, request: &PushRequest) -> RequestTimes {
        clock.times(&Payload::from(request), clock.valid_reading().unwrap())
    }

    #[test]
    fn counters_start_by_the_clock_of_the_receiver() {
        let now = now();
        let times = times(&clock(HOUR), &request(now));
        let receiver = now - HOUR.unsigned_abs();
        assert_eq!((times.time, times.start), (receiver, Some(receiver - 1_000)));
    }

    #[test]
    fn clock_behind_is_replaced_only_after_a_rejection() {
        let (clock, now) = (clock(-HOUR), now());
        let request = request(now);
        assert_eq!(times(&clock, &request).time, now);
        assert!(clock.set_behind(&Payload::from(&request), "http://receiver"));
        assert!(
            clock.set_behind(&Payload::from(&request), "http://receiver"),
            "of another request"
        );
        assert_eq!(times(&clock, &request).time, now + HOUR.unsigned_abs());
    }

    #[test]
    fn rejection_does_not_set_times_forward_if_it_has_another_cause() {
        let now = now();
        for (ahead, created_at) in [(0, now), (HOUR, now), (-HOUR, now - 600_000)] {
            let (clock, request) = (clock(ahead), request(created_at));
            assert!(
                !clock.set_behind(&Payload::from(&request), "http://receiver")
                    && !clock.is_behind()
            );
        }
    }
}

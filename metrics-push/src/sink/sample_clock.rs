//! `SampleClock`: chooses the times of the samples for one receiver, by the clock of the receiver.

use std::time::{Duration, UNIX_EPOCH};

use super::interface::Rejection;
use super::sample_times::{
    ClockReading, MAX_SAMPLE_AGE, RequestIdentity, RequestTimes, SampleTimer,
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
}

impl SampleClock {
    /// Returns the last reading of the server's clock, unless it is old.
    pub(super) fn valid_reading(&self) -> Option<ClockReading> {
        let now = Moment::now().unix_millis();
        self.reading.lock().filter(|reading| reading.is_valid(now))
    }

    /// Returns the times of a payload's samples.
    pub(super) fn times(&self, payload: &Payload<'_>, reading: ClockReading) -> RequestTimes {
        let request = RequestIdentity::new(payload);
        let now = Moment::now().unix_millis();
        let times = self.timer.lock().times(payload.key(), request, reading, now);
        times.counting_since(counting_since(payload))
    }

    /// Compares the clock of this machine with that of a response.
    pub(super) fn read(&self, response: &Response, url: &str) -> ClockReading {
        let date = response.headers.date().and_then(|date| date.duration_since(UNIX_EPOCH).ok());
        let receiver = date.and_then(|date| u64::try_from(date.as_millis()).ok());
        let reading = ClockReading::new(Moment::now().unix_millis(), receiver);
        let previous = self.reading.lock().replace(reading);
        let is_new = previous.and_then(ClockReading::wrong_by).is_none();
        if let (Some(ahead), true) = (reading.wrong_by(), is_new) {
            let error = Error::config("the clock of this machine is ahead of that of the receiver")
                .at("url", url)
                .at("seconds", ahead.as_secs())
                .remedy("set the clock of this machine, for example with NTP");
            log::warn(format_args!("{error:?}; samples have the time of the receiver"));
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

/// Checks that a payload is young enough for receivers that, like Prometheus, reject old samples.
///
/// # Errors
/// If it is too old.
pub(super) fn check_age(payload: &Payload<'_>) -> Result<(), Rejection> {
    let age = Moment::now().unix_millis().saturating_sub(payload.created_at());
    if Duration::from_millis(age) <= MAX_SAMPLE_AGE {
        return Ok(());
    }
    let error = Error::new(Kind::Metric, "the samples are older than receivers accept");
    Err(Rejection::TooOld(error))
}

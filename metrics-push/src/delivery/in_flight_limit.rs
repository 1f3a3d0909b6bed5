//! `InFlightLimit`: how many requests for groups may be in flight to one sink. It reads no clock.
//!
//! A gateway that compares each push with all stored groups processes one push after another. With thousands of groups,
//! the last of many concurrent requests would reach the timeout of its attempt, although the gateway works. The limit falls
//! if a response is slow and takes at least twice as long as the fastest one, because the request has then waited for
//! others. It increases by one and decreases by half, as in the congestion control of TCP (RFC 5681).

use std::time::Duration;

use super::policy::{INITIAL_IN_FLIGHT, MAX_IN_FLIGHT, SLOW_RESPONSE};

#[derive(Debug)]
pub(super) struct InFlightLimit {
    requests: usize,
    /// The time of the fastest response.
    fastest: Duration,
}

impl Default for InFlightLimit {
    fn default() -> Self {
        Self { requests: INITIAL_IN_FLIGHT, fastest: Duration::MAX }
    }
}

impl InFlightLimit {
    pub(super) const fn requests(&self) -> usize {
        self.requests
    }

    /// Adapts the limit to the time of a request until its response or its timeout.
    pub(super) fn record_response(&mut self, time: Duration) {
        self.fastest = time.min(self.fastest);
        let has_waited = time >= SLOW_RESPONSE && time / 2 >= self.fastest;
        self.requests = if has_waited {
            self.requests.div_ceil(2)
        } else {
            MAX_IN_FLIGHT.min(self.requests + 1)
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::delivery::policy::MAX_ATTEMPT_TIMEOUT;

    #[test]
    fn limit_rises_if_requests_do_not_wait_for_each_other() {
        for time in [Duration::from_millis(5), SLOW_RESPONSE * 2] {
            let mut limit = InFlightLimit::default();
            (0..MAX_IN_FLIGHT).for_each(|_| limit.record_response(time));
            assert_eq!(limit.requests(), MAX_IN_FLIGHT, "{time:?}");
        }
    }

    /// Each request waits for all others that are in flight.
    #[test]
    fn requests_of_a_serial_gateway_end_before_the_timeout() {
        for service_time in [10, 100, 300, 1_000].map(Duration::from_millis) {
            let mut limit = InFlightLimit::default();
            let mut most = 0;
            for response in 1..200 {
                most = most.max(limit.requests());
                let waiting = limit.requests().min(response);
                let time = service_time * u32::try_from(waiting).unwrap();
                assert!(time < MAX_ATTEMPT_TIMEOUT, "{service_time:?}");
                limit.record_response(time);
            }
            assert!(most > 1, "{service_time:?}");
        }
    }
}

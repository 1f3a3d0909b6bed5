//! `Breaker`: the circuit breaker of one sink. It reads no clock: callers pass the time.
//!
//! A closed breaker admits all deliveries. After [`FAILURES_TO_OPEN`] deliveries in a row that found the sink
//! unreachable, the breaker opens and admits one probe per [`PROBE_INTERVAL`]; while the probe is in flight, it is
//! half-open. Any response closes it. Deliveries of class `Final` are attempted in any state.

use std::fmt;

use super::policy::{FAILURES_TO_OPEN, PROBE_INTERVAL};
use crate::clock::Moment;

/// The state of a gateway's circuit breaker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BreakerState {
    /// All deliveries are attempted.
    Closed,
    /// The gateway did not respond to several deliveries in a row. Only completions of whole processes and one probe per
    /// interval are attempted.
    Open,
    /// A probe is in flight.
    HalfOpen,
}

impl BreakerState {
    /// Returns the state in one lowercase word.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Open => "open",
            Self::HalfOpen => "half_open",
        }
    }
}

impl fmt::Display for BreakerState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Breaker {
    failures: u32,
    state: ProbeState,
}

#[derive(Clone, Copy, Debug, Default)]
enum ProbeState {
    #[default]
    Closed,
    Open {
        probe_at: Moment,
    },
    /// A probe is in flight. If it never returns, the next one is due at `probe_at`.
    HalfOpen {
        probe_at: Moment,
    },
}

impl Breaker {
    /// Returns true if a delivery may be attempted now. While the breaker is open, one caller per interval gets true.
    pub(crate) fn admit(&mut self, now: Moment) -> bool {
        match self.state {
            ProbeState::Closed => true,
            ProbeState::Open { probe_at } | ProbeState::HalfOpen { probe_at } => {
                let is_due = now.is_at_or_after(probe_at);
                if is_due {
                    self.state = ProbeState::HalfOpen { probe_at: now.after(PROBE_INTERVAL) };
                }
                is_due
            }
        }
    }

    /// Closes the breaker: the sink has answered, even if it refused the request.
    pub(crate) fn record_answer(&mut self) {
        *self = Self::default();
    }

    /// Counts a delivery that ended without an answer.
    pub(crate) fn record_failure(&mut self, now: Moment) {
        self.failures = self.failures.saturating_add(1);
        if self.failures >= FAILURES_TO_OPEN {
            self.open(now);
        }
    }

    /// Opens the breaker: one delivery has shown that the sink is down.
    pub(crate) fn open(&mut self, now: Moment) {
        self.failures = FAILURES_TO_OPEN;
        self.state = ProbeState::Open { probe_at: now.after(PROBE_INTERVAL) };
    }

    /// Opens the breaker because another process has found that the sink is down. The first delivery is a probe.
    pub(crate) fn open_with_probe(&mut self, now: Moment) {
        self.open(now);
        self.state = ProbeState::Open { probe_at: now };
    }

    pub(crate) fn state(&self) -> BreakerState {
        match self.state {
            ProbeState::Closed => BreakerState::Closed,
            ProbeState::Open { .. } => BreakerState::Open,
            ProbeState::HalfOpen { .. } => BreakerState::HalfOpen,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open_breaker(now: Moment) -> Breaker {
        let mut breaker = Breaker::default();
        for failure in 1..=FAILURES_TO_OPEN {
            assert!(breaker.admit(now), "before failure {failure}");
            breaker.record_failure(now);
        }
        breaker
    }

    #[test]
    fn breaker_opens_after_failures_in_a_row() {
        let now = Moment::now();
        let mut breaker = open_breaker(now);
        assert!(!breaker.admit(now) && breaker.state() == BreakerState::Open);
    }

    #[test]
    fn breaker_counts_from_zero_after_an_answer() {
        let now = Moment::now();
        let mut breaker = Breaker::default();
        for _ in 0..10 {
            breaker.record_failure(now);
            breaker.record_failure(now);
            breaker.record_answer();
        }
        assert!(breaker.admit(now) && breaker.state() == BreakerState::Closed);
    }

    #[test]
    fn open_breaker_admits_one_probe_per_interval() {
        let mut now = Moment::now();
        let mut breaker = open_breaker(now);
        for _ in 0..5 {
            now = now.after(PROBE_INTERVAL);
            let admitted = (0..1_000).filter(|_| breaker.admit(now)).count();
            assert_eq!((admitted, breaker.state()), (1, BreakerState::HalfOpen));
            breaker.record_failure(now);
            assert!(!breaker.admit(now.after(PROBE_INTERVAL / 2)));
        }
    }

    #[test]
    fn lost_probe_is_followed_by_another() {
        let now = Moment::now();
        let mut breaker = open_breaker(now);
        assert!(breaker.admit(now.after(PROBE_INTERVAL)));
        assert!(!breaker.admit(now.after(PROBE_INTERVAL)));
        assert!(breaker.admit(now.after(PROBE_INTERVAL * 2)));
    }

    #[test]
    fn outage_found_by_another_process_admits_a_probe_at_once() {
        let (mut breaker, now) = (Breaker::default(), Moment::now());
        breaker.open_with_probe(now);
        assert_eq!(breaker.state(), BreakerState::Open);
        assert!(breaker.admit(now) && !breaker.admit(now));
        breaker.record_failure(now);
        assert!(!breaker.admit(now));
    }

    #[test]
    fn answered_probe_closes_the_breaker() {
        let now = Moment::now();
        let mut breaker = open_breaker(now);
        assert!(breaker.admit(now.after(PROBE_INTERVAL)));
        breaker.record_answer();
        assert!((0..10).all(|_| breaker.admit(now)));
        assert_eq!(breaker.state().to_string(), "closed");
    }
}

//! Breaker: keeps a long-lived process from hammering a gateway that is down. Pure state over given moments.
//!
//! Closed, everything passes. After [`FAILURES_TO_OPEN`] deliveries in a row that found nobody it opens: nothing
//! passes but one probe per [`PAUSE`] (half-open). A probe that is answered closes it, however it is answered.

use std::fmt;
use std::time::Duration;

use crate::clock::Moment;

/// One lost delivery is an accident, and a second may be the same one.
pub(crate) const FAILURES_TO_OPEN: u32 = 3;
/// How long a gateway that is down is left alone: a fraction of the time it takes a person to notice.
pub(crate) const PAUSE: Duration = Duration::from_secs(15);

/// Whether deliveries to a gateway pass its breaker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BreakerState {
    /// All do.
    Closed,
    /// The gateway has not answered for a while, and is left alone but for a process' last words.
    Open,
    /// One is on its way, to find out.
    HalfOpen,
}

impl BreakerState {
    /// The state in one lowercase word.
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

/// What a breaker knows of one gateway.
#[derive(Clone, Debug, Default)]
pub(crate) struct Breaker {
    failures: u32,
    state: State,
}

#[derive(Clone, Copy, Debug, Default)]
enum State {
    #[default]
    Closed,
    Open {
        probe_at: Moment,
    },
    /// The probe is on its way. If it never comes back, there is another one later.
    HalfOpen {
        probe_at: Moment,
    },
}

impl Breaker {
    /// Whether a delivery may be tried now. Of those that ask while it is open, one per pause may.
    pub(crate) fn admits(&mut self, now: Moment) -> bool {
        match self.state {
            State::Closed => true,
            State::Open { probe_at } | State::HalfOpen { probe_at } => {
                let is_due = now.is_at_or_after(probe_at);
                if is_due {
                    self.state = State::HalfOpen { probe_at: now.after(PAUSE) };
                }
                is_due
            }
        }
    }

    /// The gateway has answered, if only to refuse.
    pub(crate) fn answered(&mut self) {
        *self = Self::default();
    }

    /// A delivery has used up its time, and nobody was there.
    pub(crate) fn failed(&mut self, now: Moment) {
        self.failures = self.failures.saturating_add(1);
        if self.failures >= FAILURES_TO_OPEN {
            self.state = State::Open { probe_at: now.after(PAUSE) };
        }
    }

    pub(crate) fn state(&self) -> BreakerState {
        match self.state {
            State::Closed => BreakerState::Closed,
            State::Open { .. } => BreakerState::Open,
            State::HalfOpen { .. } => BreakerState::HalfOpen,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn opened(now: Moment) -> Breaker {
        let mut breaker = Breaker::default();
        for failure in 1..=FAILURES_TO_OPEN {
            assert!(breaker.admits(now), "before failure {failure}");
            breaker.failed(now);
        }
        breaker
    }

    #[test]
    fn it_opens_after_failures_in_a_row() {
        let now = Moment::now();
        let mut breaker = opened(now);
        assert!(!breaker.admits(now) && breaker.state() == BreakerState::Open);
    }

    #[test]
    fn an_answer_in_between_starts_the_count_anew() {
        let now = Moment::now();
        let mut breaker = Breaker::default();
        for _ in 0..10 {
            breaker.failed(now);
            breaker.failed(now);
            breaker.answered();
        }
        assert!(breaker.admits(now) && breaker.state() == BreakerState::Closed);
    }

    #[test]
    fn one_probe_passes_per_pause() {
        let mut now = Moment::now();
        let mut breaker = opened(now);
        for _ in 0..5 {
            now = now.after(PAUSE);
            let passed = (0..1_000).filter(|_| breaker.admits(now)).count();
            assert_eq!((passed, breaker.state()), (1, BreakerState::HalfOpen));
            breaker.failed(now);
            assert!(!breaker.admits(now.after(PAUSE / 2)));
        }
    }

    #[test]
    fn a_probe_that_never_comes_back_is_followed_by_another() {
        let now = Moment::now();
        let mut breaker = opened(now);
        assert!(breaker.admits(now.after(PAUSE)));
        assert!(!breaker.admits(now.after(PAUSE)));
        assert!(breaker.admits(now.after(PAUSE * 2)));
    }

    #[test]
    fn a_probe_that_is_answered_closes_it() {
        let now = Moment::now();
        let mut breaker = opened(now);
        assert!(breaker.admits(now.after(PAUSE)));
        breaker.answered();
        assert!((0..10).all(|_| breaker.admits(now)));
        assert_eq!(breaker.state().to_string(), "closed");
    }
}

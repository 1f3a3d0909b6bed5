//! The clock of timed calls: the processor's own counter where that is worth it and can be trusted,
//! [`Instant`] elsewhere.
//!
//! Calibrating the counter takes a millisecond of work, at worst two hundred, and is never done on
//! the caller's path: a thread does it once so many calls were timed that it pays. A call ends on the clock it
//! started on, and no clock runs backwards. Against `Instant` the counter is off by at most [`MAX_DRIFT`].

use std::cell::Cell;
use std::sync::{Once, OnceLock};
use std::thread;
use std::time::Instant;

use quanta::Clock;

/// How many calls one thread has to time before the counter is calibrated: at some thirty nanoseconds saved
/// per call, the millisecond is soon won back.
const CALLS_UNTIL_IT_PAYS: u32 = 50_000;

/// How far the counter may be from `Instant`, as a share of the time measured: 0.36 seconds in an hour. It is a
/// tenth of that as a rule.
#[cfg(test)]
const MAX_DRIFT: f64 = 1e-4;

/// The counter, once it is calibrated.
static COUNTER: OnceLock<Clock> = OnceLock::new();

thread_local! {
    static CALLS: Cell<u32> = const { Cell::new(0) };
}

/// When a call started.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Start {
    Counter(u64),
    System(Instant),
}

impl Start {
    #[inline]
    pub(crate) fn now() -> Self {
        match COUNTER.get() {
            Some(counter) => Self::Counter(counter.raw()),
            None => Self::system(),
        }
    }

    fn system() -> Self {
        // A thread in its last moments, or one that has wrapped around, merely asks once more.
        let calls = CALLS.get().wrapping_add(1);
        CALLS.set(calls);
        if calls == CALLS_UNTIL_IT_PAYS {
            calibrate_aside();
        }
        Self::System(Instant::now())
    }

    /// How long ago that was.
    #[inline]
    pub(crate) fn elapsed_nanos(self) -> u64 {
        match self {
            Self::Counter(start) => COUNTER.get().map_or(0, |counter| {
                // Zero where another processor's counter lags behind.
                counter.delta_as_nanos(start, counter.raw())
            }),
            Self::System(start) => u64::try_from(start.elapsed().as_nanos()).unwrap_or(u64::MAX),
        }
    }
}

#[cold]
fn calibrate_aside() {
    static ASKED: Once = Once::new();
    ASKED.call_once(|| {
        if is_trusted() {
            let calibrate = || drop(COUNTER.set(Clock::new()));
            // Without another thread there is still `Instant`.
            let _ = thread::Builder::new().name("metrics-push-clock".to_owned()).spawn(calibrate);
        }
    });
}

/// Whether the kernel keeps its own time by the counter. It watches it, and turns to another clock when several
/// processors disagree.
fn is_trusted() -> bool {
    const KERNELS_CHOICE: &str = "/sys/devices/system/clocksource/clocksource0/current_clocksource";
    if !cfg!(target_os = "linux") {
        return true;
    }
    std::fs::read_to_string(KERNELS_CHOICE)
        .is_ok_and(|clock| matches!(clock.trim(), "tsc" | "arch_sys_counter"))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    /// A stretch of time in counts, and between which durations it was.
    fn stretch(counter: &Clock) -> (u64, Duration, Duration) {
        let outer = Instant::now();
        let start = counter.raw();
        let inner = Instant::now();
        while inner.elapsed() < Duration::from_millis(100) {
            std::hint::spin_loop();
        }
        let least = inner.elapsed();
        let counts = counter.raw() - start;
        (counts, least, outer.elapsed())
    }

    #[test]
    fn seconds_and_hours_are_as_long_as_the_systems() {
        let counter = Clock::new();
        let (counts, least, most) = stretch(&counter);
        // Of a second, and of an hour.
        for times in [10, 36_000] {
            let measured = counter.delta_as_nanos(1, 1 + counts * times) as f64 / 1e9;
            let [least, most] = [least, most].map(|bound| bound.as_secs_f64() * times as f64);
            let fits =
                least * (1.0 - MAX_DRIFT) <= measured && measured <= most * (1.0 + MAX_DRIFT);
            assert!(fits, "{least} <= {measured} <= {most}");
        }
    }

    #[test]
    fn no_clock_runs_backwards() {
        let counter = COUNTER.get_or_init(Clock::new);
        let future = counter.raw() + (1 << 40);
        assert_eq!(Start::Counter(future).elapsed_nanos(), 0);
        let future = Instant::now() + Duration::from_secs(60);
        assert_eq!(Start::System(future).elapsed_nanos(), 0);
    }

    #[test]
    fn a_call_ends_on_the_clock_it_started_on() {
        let system = Start::System(Instant::now());
        COUNTER.get_or_init(Clock::new);
        assert!(matches!(Start::now(), Start::Counter(_)));
        assert!(system.elapsed_nanos() < Duration::from_secs(60).as_nanos() as u64);
    }
}

//! `CallStart`: the clock for timed calls. It is the processor's time-stamp counter (TSC) if that is reliable, and
//! [`Instant`] otherwise.
//!
//! The frequency of the counter is unknown. A separate thread measures it after a program has timed many calls; until
//! then, and if the counter is unreliable, calls are timed with `Instant`. A call ends on the clock that it started
//! on, and no duration is negative. The counter deviates from `Instant` by at most [`MAX_DRIFT`]: 0.1 milliseconds
//! per second, 0.36 seconds per hour. The deviation comes from the measurement; the arithmetic adds microseconds per
//! hour.

use std::cell::Cell;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Once, OnceLock};
use std::thread;
use std::time::{Duration, Instant};

use crate::threads;

/// Number of calls that one thread times before the frequency is measured. The measurement takes about a millisecond of
/// processor time, and the counter then saves about thirty nanoseconds per call.
const CALLS_BEFORE_MEASUREMENT: u32 = 50_000;

/// Duration of one measurement: long enough that a preemption between two readings is negligible.
const MEASUREMENT_INTERVAL: Duration = Duration::from_millis(100);

/// Maximum relative difference between two measurements. The difference is usually a tenth of it. If the difference is
/// larger, the measurements are repeated.
const MAX_DRIFT: f64 = 1e-4;

/// Maximum number of attempts to make two measurements that agree. Preemption can distort a measurement on a busy machine.
/// If all attempts fail, the counter is not used.
const MAX_ATTEMPTS: usize = 10;

/// Duration of one tick, in nanoseconds times 2 to the power of [`SCALE`]. Zero if it is unknown.
static TICK: AtomicU64 = AtomicU64::new(0);
const SCALE: u32 = 32;

/// Measures the duration of a tick twice. Returns `None` if the measurements disagree.
fn measure_tick(interval: Duration) -> Option<u64> {
    let measure = || {
        let (first, start) = read_both_clocks();
        thread::sleep(interval);
        let (last, end) = read_both_clocks();
        Measurement { ticks: last.saturating_sub(first), time: end - start }
    };
    agreed_tick(&measure(), &measure())
}

/// Returns the duration of a tick if two measurements agree on it.
fn agreed_tick(one: &Measurement, other: &Measurement) -> Option<u64> {
    let (one, other) = (one.nanos_per_tick(), other.nanos_per_tick());
    let tick = (one + other) / 2.0 * f64::from(SCALE).exp2();
    // A counter that does not advance results in infinities, and the comparison with NaN is false.
    ((one / other - 1.0).abs() <= MAX_DRIFT && tick >= 1.0).then_some(tick as u64)
}

#[inline]
fn ticks_to_nanos(ticks: u64, tick: u64) -> u64 {
    ((u128::from(ticks) * u128::from(tick)) >> SCALE) as u64
}

/// Reads the counter. Always returns the same value on architectures without a known counter.
#[inline]
fn read_counter() -> u64 {
    // The crate's `start` and `stop` are not used, because they clobber a register that they do not declare.
    #[cfg(target_arch = "x86_64")]
    return tick_counter::x86_64_tick_counter();
    #[cfg(target_arch = "aarch64")]
    return tick_counter::aarch64_tick_counter();
    #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
    return 0;
}

/// The progress of the counter and of `Instant` over the same interval.
struct Measurement {
    ticks: u64,
    time: Duration,
}

impl Measurement {
    fn nanos_per_tick(&self) -> f64 {
        self.time.as_nanos() as f64 / self.ticks as f64
    }
}

/// Reads both clocks at nearly the same moment. Returns the best of several attempts: the one that took the fewest ticks.
fn read_both_clocks() -> (u64, Instant) {
    let attempts = std::iter::repeat_with(|| {
        let (before, now, after) = (read_counter(), Instant::now(), read_counter());
        (after.saturating_sub(before), before, now)
    });
    let best = attempts.take(16).min_by_key(|(width, ..)| *width);
    best.map_or_else(
        || (read_counter(), Instant::now()),
        |(width, before, now)| (before + width / 2, now),
    )
}

thread_local! {
    static CALLS: Cell<u32> = const { Cell::new(0) };
}

/// The start of a call: two flags in the highest bits, which no time reaches within decades. If `BY_INSTANT` is set, the
/// other bits are the nanoseconds since the first call by `Instant`, otherwise the value of the counter.
#[derive(Clone, Copy, Debug)]
pub(crate) struct CallStart(u64);

impl CallStart {
    /// Set if the call was not started by [`by_counter`](Self::by_counter).
    const SLOW_END: u64 = 1 << 63;
    const BY_INSTANT: u64 = 1 << 62;

    /// Reads the counter. Returns `None` if the duration of a tick is unknown.
    #[inline]
    pub(crate) fn by_counter(tick: &TickCopy) -> Option<Self> {
        (tick.get() != 0).then(|| Self(read_counter()))
    }

    /// Reads the counter if the duration of a tick is known, and `Instant` otherwise.
    pub(crate) fn now() -> Self {
        if TICK.load(Ordering::Relaxed) == 0 {
            return Self::by_instant();
        }
        Self(read_counter() | Self::SLOW_END)
    }

    fn by_instant() -> Self {
        let calls = CALLS.get().wrapping_add(1);
        CALLS.set(calls);
        if calls == CALLS_BEFORE_MEASUREMENT {
            start_measurement();
        }
        Self(nanos_since_first_call() | Self::BY_INSTANT | Self::SLOW_END)
    }

    /// Returns the elapsed nanoseconds. Returns `None` unless [`by_counter`](Self::by_counter) started the call with the
    /// same `tick`, and if the counter is now below the start.
    #[inline]
    pub(crate) fn elapsed_by_counter(self, tick: &TickCopy) -> Option<u64> {
        if self.0 & Self::SLOW_END != 0 {
            return None;
        }
        read_counter().checked_sub(self.0).map(|ticks| ticks_to_nanos(ticks, tick.get()))
    }

    /// Returns the elapsed nanoseconds.
    pub(crate) fn elapsed_nanos(self) -> u64 {
        let start = self.0 & !Self::SLOW_END;
        if start & Self::BY_INSTANT != 0 {
            return (nanos_since_first_call() | Self::BY_INSTANT).saturating_sub(start);
        }
        // Zero if the call moved to a processor whose counter is behind.
        ticks_to_nanos(read_counter().saturating_sub(start), TICK.load(Ordering::Relaxed))
    }
}

/// A copy of [`TICK`] next to other values that a call reads.
#[derive(Default)]
pub(crate) struct TickCopy(AtomicU64);

impl TickCopy {
    #[inline]
    fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    /// Copies the duration of a tick if it is known. Once copied, it never changes, even if several threads copy it.
    pub(crate) fn update(&self) {
        let tick = TICK.load(Ordering::Relaxed);
        if tick != 0 {
            self.0.store(tick, Ordering::Relaxed);
        }
    }
}

/// Returns the nanoseconds since the first call, by `Instant`. They fit in 62 bits for 146 years.
fn nanos_since_first_call() -> u64 {
    static FIRST_CALL: OnceLock<Instant> = OnceLock::new();
    FIRST_CALL.get_or_init(Instant::now).elapsed().as_nanos() as u64
}

/// Completed when the measurement has been started or disabled.
static MEASUREMENT: Once = Once::new();

/// Disables the counter in this process. Has no effect if its measurement has already started.
pub(crate) fn disable_tsc_clock() {
    MEASUREMENT.call_once(|| ());
}

#[cold]
fn start_measurement() {
    MEASUREMENT.call_once(|| {
        if is_counter_reliable() {
            let measure = || {
                let mut attempts = (0..MAX_ATTEMPTS).map(|_| measure_tick(MEASUREMENT_INTERVAL));
                if let Some(tick) = attempts.find_map(|tick| tick) {
                    TICK.store(tick, Ordering::Relaxed);
                }
            };
            // If the thread cannot be spawned, `Instant` remains in use.
            let _ = threads::spawn("metrics-push-clock", measure);
        }
    });
}

/// Returns true if the counter advances at a constant rate, the same on all processors.
///
/// Linux monitors the counter and selects another clock source if it is unreliable. On other systems, only the
/// architecture `aarch64` guarantees it.
fn is_counter_reliable() -> bool {
    const CLOCK_SOURCE: &str = "/sys/devices/system/clocksource/clocksource0/current_clocksource";
    if !cfg!(any(target_arch = "x86_64", target_arch = "aarch64")) {
        return false;
    }
    if !cfg!(any(target_os = "linux", target_os = "android")) {
        return cfg!(target_arch = "aarch64");
    }
    std::fs::read_to_string(CLOCK_SOURCE)
        .is_ok_and(|source| matches!(source.trim(), "tsc" | "arch_sys_counter"))
}

#[cfg(all(test, any(target_arch = "x86_64", target_arch = "aarch64")))]
mod tests {
    use std::sync::mpsc::channel;

    use super::*;

    const NANOS_PER_SECOND: u64 = 1_000_000_000;

    /// Returns the duration of a tick. Preemption can distort several attempts.
    fn tick() -> u64 {
        let mut attempts = (0..20).map(|_| measure_tick(Duration::from_millis(20)));
        attempts.find_map(|tick| tick).expect("two measurements that agree")
    }

    /// Makes `CallStart::now` read the counter.
    fn enable_counter() {
        TICK.store(tick(), Ordering::Relaxed);
    }

    #[test]
    fn counter_measures_one_second_like_instant() {
        let tick = tick();
        let (outer, start, inner) = (Instant::now(), read_counter(), Instant::now());
        thread::sleep(Duration::from_secs(1));
        let (min, end, max) = (inner.elapsed(), read_counter(), outer.elapsed());
        let measured = ticks_to_nanos(end - start, tick) as f64 / 1e9;
        let (min, max) = (min.as_secs_f64(), max.as_secs_f64());
        let fits = min * (1.0 - MAX_DRIFT) <= measured && measured <= max * (1.0 + MAX_DRIFT);
        assert!(fits, "{min} <= {measured} <= {max}");
    }

    /// Frequencies of processors' counters, in ticks per second.
    const FREQUENCIES: [u64; 5] =
        [19_200_000, 24_000_000, 1_000_000_000, 2_595_124_000, 5_700_000_000];

    /// A measurement of a counter with this frequency, whose end was read `late` nanoseconds late.
    fn measurement(frequency: u64, late: i64) -> Measurement {
        let nanos = MEASUREMENT_INTERVAL.as_nanos() as i64;
        let ticks = (i128::from(frequency) * i128::from(nanos) / 1_000_000_000) as u64;
        Measurement { ticks, time: Duration::from_nanos((nanos + late) as u64) }
    }

    #[test]
    fn counter_deviates_by_the_measurement_error_only() {
        const HOUR: u64 = 3600;
        for frequency in FREQUENCIES {
            // One microsecond is far more than the delay of a reading, and a tenth of the allowed drift.
            for (first, second) in [(0, 0), (1_000, 1_000), (-1_000, -1_000), (1_000, -1_000)] {
                let measurements = (measurement(frequency, first), measurement(frequency, second));
                let tick = agreed_tick(&measurements.0, &measurements.1).expect("they agree");
                let measured = ticks_to_nanos(frequency * HOUR, tick) as f64;
                let late = (first + second) as f64 / 2.0 / MEASUREMENT_INTERVAL.as_nanos() as f64;
                let hour = (HOUR * NANOS_PER_SECOND) as f64;
                // The duration of a tick is rounded down to a fraction of a nanosecond, and floats are rounded.
                let rounding = frequency as f64 * HOUR as f64 / f64::from(SCALE).exp2() + 2_000.0;
                assert!(
                    (measured - hour * (1.0 + late)).abs() <= rounding,
                    "{frequency} {first} {second}"
                );
                // The documented limit: 0.36 seconds.
                assert!((measured / hour - 1.0).abs() <= 1e-4);
            }
        }
    }

    #[test]
    fn counter_that_is_uneven_or_stopped_is_not_used() {
        for frequency in FREQUENCIES {
            let limit = MEASUREMENT_INTERVAL.as_nanos() as i64 / 10_000;
            let agreed =
                |late| agreed_tick(&measurement(frequency, late), &measurement(frequency, 0));
            assert!(agreed(limit - 10).is_some() && agreed(10 - limit).is_some());
            assert!(agreed(limit + 10).is_none() && agreed(-limit - 10).is_none());
        }
        assert!(agreed_tick(&measurement(0, 0), &measurement(0, 0)).is_none());
        let too_fast = || Measurement { ticks: u64::MAX, time: MEASUREMENT_INTERVAL };
        assert!(agreed_tick(&too_fast(), &too_fast()).is_none());
    }

    #[test]
    fn start_sent_between_threads_is_never_in_the_future() {
        enable_counter();
        let [(to_other, from_here), (to_here, from_other)] =
            [(); 2].map(|()| channel::<(CallStart, Instant)>());
        let check = |(start, before): (CallStart, Instant)| {
            let nanos = start.elapsed_nanos() as f64;
            // A negative duration would wrap around to centuries.
            let max = before.elapsed().as_nanos() as f64 * (1.0 + MAX_DRIFT);
            assert!(nanos <= max, "{nanos} of {max}");
        };
        let now = || {
            let before = Instant::now();
            (CallStart::now(), before)
        };
        let other = thread::spawn(move || {
            for received in from_here {
                check(received);
                to_here.send(now()).unwrap();
            }
        });
        for _ in 0..10_000 {
            to_other.send(now()).unwrap();
            check(from_other.recv().unwrap());
        }
        drop(to_other);
        other.join().unwrap();
    }

    #[test]
    fn start_in_the_future_has_elapsed_zero() {
        enable_counter();
        assert_eq!(CallStart(read_counter() + (1 << 40)).elapsed_nanos(), 0);
        let future = nanos_since_first_call() + 60_000_000_000;
        assert_eq!(CallStart(future | CallStart::BY_INSTANT).elapsed_nanos(), 0);
    }

    #[test]
    fn call_ends_on_the_clock_it_started_on() {
        let by_instant = CallStart::by_instant();
        enable_counter();
        let by_counter = CallStart::now();
        assert_eq!(by_instant.0 & CallStart::BY_INSTANT, CallStart::BY_INSTANT);
        assert_eq!(by_counter.0 & CallStart::BY_INSTANT, 0);
        let tick = TickCopy::default();
        assert!(CallStart::by_counter(&tick).is_none());
        tick.update();
        assert_eq!(by_instant.elapsed_by_counter(&tick), None);
        assert_eq!(by_counter.elapsed_by_counter(&tick), None);
        let fast = || CallStart::by_counter(&tick).expect("the duration of a tick is known");
        let starts: [&dyn Fn() -> CallStart; 3] = [&CallStart::by_instant, &CallStart::now, &fast];
        for start in starts {
            let (outer, start, inner) = (Instant::now(), start(), Instant::now());
            thread::sleep(Duration::from_millis(1));
            let min = inner.elapsed();
            let nanos = start.elapsed_by_counter(&tick).unwrap_or_else(|| start.elapsed_nanos());
            let [min, max] = [min, outer.elapsed()].map(|time| time.as_nanos() as f64);
            // A processor may read its counter a few instructions early or late.
            let fits = min * (1.0 - MAX_DRIFT) - 1_000.0 <= nanos as f64
                && nanos as f64 <= max * (1.0 + MAX_DRIFT) + 1_000.0;
            assert!(fits, "{min} <= {nanos} <= {max}");
        }
    }
}

//! The clock of timed calls: the processor's own counter where that is worth it and can be trusted,
//! [`Instant`] elsewhere.
//!
//! Finding out how long a count is takes a while and is never done on the caller's path: a thread does it once
//! so many calls were timed that it pays. A call ends on the clock it started on, and no clock runs backwards.
//! Against `Instant` the counter is off by at most [`MAX_DRIFT`]: a tenth of a millisecond in a second, 0.36
//! seconds in an hour. What the readings that measured it were off is all there is to it; the arithmetic adds but
//! microseconds in an hour.

use std::cell::Cell;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Once, OnceLock};
use std::thread;
use std::time::{Duration, Instant};

/// How many calls one thread has to time before the counter is looked at: that costs a millisecond or so, which
/// some thirty nanoseconds saved per call soon win back.
const CALLS_UNTIL_IT_PAYS: u32 = 50_000;

/// How long the two measurements of a count are; preemption between two readings is small beside it.
const STRETCH: Duration = Duration::from_millis(100);

/// How far two measurements of a count may be apart, or the counter is not used. Some ten times as much as
/// they are as a rule.
const MAX_DRIFT: f64 = 1e-4;

/// How often it is measured before it is given up: on a busy machine a stretch may be torn.
const ATTEMPTS: usize = 10;

/// How long a count is, in nanoseconds times 2 to the power of [`SCALE`]; zero until it is known.
static COUNT: AtomicU64 = AtomicU64::new(0);
const SCALE: u32 = 32;

/// Measures a count twice; none, if the counter doesn't run evenly.
fn measured_count(stretch: Duration) -> Option<u64> {
    let measure = || {
        let (first, start) = reading();
        thread::sleep(stretch);
        let (last, end) = reading();
        Stretch { counts: last.saturating_sub(first), time: end - start }
    };
    count_of(&measure(), &measure())
}

/// How long a count is, if two stretches agree on it.
fn count_of(one: &Stretch, other: &Stretch) -> Option<u64> {
    let (one, other) = (one.nanos_per_count(), other.nanos_per_count());
    let count = (one + other) / 2.0 * f64::from(SCALE).exp2();
    // A counter that stands still makes infinities of them, which agree on nothing.
    ((one / other - 1.0).abs() <= MAX_DRIFT && count >= 1.0).then_some(count as u64)
}

#[inline]
fn nanos_of(counts: u64, count: u64) -> u64 {
    ((u128::from(counts) * u128::from(count)) >> SCALE) as u64
}

/// The counter now. It stands still where there is none that we know.
#[inline]
fn counts() -> u64 {
    // The crate's plain readers alone: its `start` and `stop` overwrite a register without telling the compiler.
    #[cfg(target_arch = "x86_64")]
    return tick_counter::x86_64_tick_counter();
    #[cfg(target_arch = "aarch64")]
    return tick_counter::aarch64_tick_counter();
    #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
    return 0;
}

/// How far the counter came in a while.
struct Stretch {
    counts: u64,
    time: Duration,
}

impl Stretch {
    fn nanos_per_count(&self) -> f64 {
        self.time.as_nanos() as f64 / self.counts as f64
    }
}

/// The counter and the system's clock at one moment, as near as one gets in a few attempts.
fn reading() -> (u64, Instant) {
    let readings = std::iter::repeat_with(|| {
        let (before, now, after) = (counts(), Instant::now(), counts());
        (after.saturating_sub(before), before, now)
    });
    let nearest = readings.take(16).min_by_key(|(width, ..)| *width);
    nearest.map_or_else(
        || (counts(), Instant::now()),
        |(width, before, now)| (before + width / 2, now),
    )
}

thread_local! {
    static CALLS: Cell<u32> = const { Cell::new(0) };
}

/// When a call started: a count of the counter; or, with the highest bit set, nanoseconds since the epoch.
/// No counter gets that far within decades.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Start(u64);

impl Start {
    const SYSTEM: u64 = 1 << 63;

    #[inline]
    pub(crate) fn now() -> Self {
        if COUNT.load(Ordering::Relaxed) == 0 { Self::system() } else { Self(counts()) }
    }

    #[inline(never)]
    fn system() -> Self {
        // A thread in its last moments, or one that has wrapped around, merely asks once more.
        let calls = CALLS.get().wrapping_add(1);
        CALLS.set(calls);
        if calls == CALLS_UNTIL_IT_PAYS {
            measure_aside();
        }
        Self(nanos_since_epoch() | Self::SYSTEM)
    }

    /// How long ago that was, if it was taken from the counter and the counter has not run backwards since.
    #[inline]
    pub(crate) fn counted_nanos(self) -> Option<u64> {
        if self.0 & Self::SYSTEM != 0 {
            return None;
        }
        // Known, as there is such a start.
        let count = COUNT.load(Ordering::Relaxed);
        counts().checked_sub(self.0).map(|counts| nanos_of(counts, count))
    }

    /// How long ago that was.
    pub(crate) fn elapsed_nanos(self) -> u64 {
        // Zero where another processor's counter lags behind.
        self.counted_nanos().or_else(|| self.nanos_by_system()).unwrap_or(0)
    }

    fn nanos_by_system(self) -> Option<u64> {
        let nanos = nanos_since_epoch() | Self::SYSTEM;
        (self.0 & Self::SYSTEM != 0).then(|| nanos.saturating_sub(self.0))
    }
}

/// Nanoseconds of the system's clock since the first call; they fit for 292 years.
fn nanos_since_epoch() -> u64 {
    static EPOCH: OnceLock<Instant> = OnceLock::new();
    EPOCH.get_or_init(Instant::now).elapsed().as_nanos() as u64
}

/// Whether the counter was looked at, or never will be.
static ASKED: Once = Once::new();

/// Keeps this process from looking at the counter, if it has not yet done so.
pub(crate) fn keep_to_the_system_clock() {
    ASKED.call_once(|| ());
}

#[cold]
fn measure_aside() {
    ASKED.call_once(|| {
        if is_trusted() {
            let measure = || {
                let mut attempts = (0..ATTEMPTS).map(|_| measured_count(STRETCH));
                if let Some(count) = attempts.find_map(|count| count) {
                    COUNT.store(count, Ordering::Relaxed);
                }
            };
            // Without another thread there is still `Instant`.
            let _ = thread::Builder::new().name("metrics-push-clock".to_owned()).spawn(measure);
        }
    });
}

/// Whether the kernel keeps its own time by the counter. It watches it, and turns to another clock when it isn't
/// invariant, or several processors disagree. Elsewhere only the architecture's word counts.
fn is_trusted() -> bool {
    const KERNELS_CHOICE: &str = "/sys/devices/system/clocksource/clocksource0/current_clocksource";
    if !cfg!(any(target_arch = "x86_64", target_arch = "aarch64")) {
        // No use in measuring what stands still, whatever the kernel reads.
        return false;
    }
    if !cfg!(any(target_os = "linux", target_os = "android")) {
        return cfg!(target_arch = "aarch64");
    }
    std::fs::read_to_string(KERNELS_CHOICE)
        .is_ok_and(|clock| matches!(clock.trim(), "tsc" | "arch_sys_counter"))
}

#[cfg(all(test, any(target_arch = "x86_64", target_arch = "aarch64")))]
mod tests {
    use std::sync::mpsc::channel;

    use super::*;

    const NANOS_PER_SECOND: u64 = 1_000_000_000;

    /// How long a count of this machine is; a test's thread may be kept waiting, so several attempts.
    fn count() -> u64 {
        let mut measured = (0..20).map(|_| measured_count(Duration::from_millis(20)));
        measured.find_map(|count| count).expect("two measurements that agree")
    }

    /// Has starts taken from the counter from now on.
    fn use_the_counter() {
        COUNT.store(count(), Ordering::Relaxed);
    }

    #[test]
    fn a_second_is_as_long_as_the_systems() {
        let count = count();
        let (outer, start, inner) = (Instant::now(), counts(), Instant::now());
        thread::sleep(Duration::from_secs(1));
        let (least, end, most) = (inner.elapsed(), counts(), outer.elapsed());
        let measured = nanos_of(end - start, count) as f64 / 1e9;
        let (least, most) = (least.as_secs_f64(), most.as_secs_f64());
        let fits = least * (1.0 - MAX_DRIFT) <= measured && measured <= most * (1.0 + MAX_DRIFT);
        assert!(fits, "{least} <= {measured} <= {most}");
    }

    /// Counters of processors, in counts per second.
    const FREQUENCIES: [u64; 5] =
        [19_200_000, 24_000_000, 1_000_000_000, 2_595_124_000, 5_700_000_000];

    /// A stretch of this counter whose end was read so many nanoseconds late, or early.
    fn stretch(frequency: u64, late: i64) -> Stretch {
        let nanos = STRETCH.as_nanos() as i64;
        let counts = (i128::from(frequency) * i128::from(nanos) / 1_000_000_000) as u64;
        Stretch { counts, time: Duration::from_nanos((nanos + late) as u64) }
    }

    #[test]
    fn an_hour_is_off_by_what_the_readings_were_and_by_no_more() {
        const HOUR: u64 = 3600;
        for frequency in FREQUENCIES {
            // A microsecond late is far more than a reading ever is; a hundredth of the drift that is allowed.
            for (first, second) in [(0, 0), (1_000, 1_000), (-1_000, -1_000), (1_000, -1_000)] {
                let stretches = (stretch(frequency, first), stretch(frequency, second));
                let count = count_of(&stretches.0, &stretches.1).expect("they agree");
                let measured = nanos_of(frequency * HOUR, count) as f64;
                let late = (first + second) as f64 / 2.0 / STRETCH.as_nanos() as f64;
                let hour = (HOUR * NANOS_PER_SECOND) as f64;
                // A count is rounded down to a share of a nanosecond, and floats round as well.
                let rounding = frequency as f64 * HOUR as f64 / f64::from(SCALE).exp2() + 2_000.0;
                assert!(
                    (measured - hour * (1.0 + late)).abs() <= rounding,
                    "{frequency} {first} {second}"
                );
                // What users are told: 0.36 seconds.
                assert!((measured / hour - 1.0).abs() <= 1e-4);
            }
        }
    }

    #[test]
    fn a_counter_that_runs_unevenly_or_not_at_all_is_not_used() {
        for frequency in FREQUENCIES {
            let limit = STRETCH.as_nanos() as i64 / 10_000;
            let agrees = |late| count_of(&stretch(frequency, late), &stretch(frequency, 0));
            assert!(agrees(limit - 10).is_some() && agrees(10 - limit).is_some());
            assert!(agrees(limit + 10).is_none() && agrees(-limit - 10).is_none());
        }
        assert!(count_of(&stretch(0, 0), &stretch(0, 0)).is_none());
        let too_fast = || Stretch { counts: u64::MAX, time: STRETCH };
        assert!(count_of(&too_fast(), &too_fast()).is_none());
    }

    #[test]
    fn a_start_that_goes_from_thread_to_thread_is_never_in_the_future() {
        use_the_counter();
        let [(to_other, from_here), (to_here, from_other)] =
            [(); 2].map(|()| channel::<(Start, Instant)>());
        let take = |(start, before): (Start, Instant)| {
            let nanos = start.elapsed_nanos() as f64;
            // Backwards would be centuries.
            let most = before.elapsed().as_nanos() as f64 * (1.0 + MAX_DRIFT);
            assert!(nanos <= most, "{nanos} of {most}");
        };
        let now = || {
            let before = Instant::now();
            (Start::now(), before)
        };
        let other = thread::spawn(move || {
            for given in from_here {
                take(given);
                to_here.send(now()).unwrap();
            }
        });
        for _ in 0..10_000 {
            to_other.send(now()).unwrap();
            take(from_other.recv().unwrap());
        }
        drop(to_other);
        other.join().unwrap();
    }

    #[test]
    fn no_clock_runs_backwards() {
        use_the_counter();
        assert_eq!(Start(counts() + (1 << 40)).elapsed_nanos(), 0);
        let future = Start((nanos_since_epoch() + 60_000_000_000) | Start::SYSTEM);
        assert_eq!(future.elapsed_nanos(), 0);
    }

    #[test]
    fn a_call_ends_on_the_clock_it_started_on() {
        let system = Start::system();
        use_the_counter();
        let counted = Start::now();
        assert_eq!((system.0 & Start::SYSTEM, counted.0 & Start::SYSTEM), (Start::SYSTEM, 0));
        assert_eq!(system.counted_nanos(), None);
        for start in [Start::system, Start::now] {
            let (outer, start, inner) = (Instant::now(), start(), Instant::now());
            thread::sleep(Duration::from_millis(1));
            let (least, nanos, most) = (inner.elapsed(), start.elapsed_nanos(), outer.elapsed());
            let [least, most] = [least, most].map(|time| time.as_nanos() as f64);
            // A processor may read its counter a few instructions early or late.
            let fits = least * (1.0 - MAX_DRIFT) - 1_000.0 <= nanos as f64
                && nanos as f64 <= most * (1.0 + MAX_DRIFT) + 1_000.0;
            assert!(fits, "{least} <= {nanos} <= {most}");
        }
    }
}

//! Tests of the stripes with loom: every schedule of a few threads, and every value that a relaxed load may return.

use std::sync::Arc;

use loom::model::Builder;
use loom::thread::{self, JoinHandle};

use stripes::Stripes;
use sync::Ordering;

#[path = "compensated_sum.rs"]
#[expect(clippy::duplicate_mod, reason = "compiled once with std's primitives, once with loom's")]
mod compensated_sum;
#[path = "stripes.rs"]
#[expect(clippy::duplicate_mod, reason = "compiled once with std's primitives, once with loom's")]
#[expect(dead_code, reason = "the tests use a counter and a float sum only")]
mod stripes;
#[path = "thread_slot.rs"]
#[expect(clippy::duplicate_mod, reason = "compiled once with std's primitives, once with loom's")]
mod thread_slot;

/// Replaces `sync.rs` with loom's primitives.
mod sync {
    use std::sync::OnceLock;

    pub(super) use loom::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

    macro_rules! per_thread {
        (static $name:ident: $of_type:ty = const { $value:expr };) => {
            loom::thread_local!(static $name: $of_type = $value);
        };
        (static $name:ident: $of_type:ty = $value:expr;) => {
            loom::thread_local!(static $name: $of_type = $value);
        };
    }
    pub(super) use per_thread as thread_local;

    macro_rules! shared {
        ($(#[$doc:meta])* static $name:ident: $of_type:ty = $value:expr;) => {
            loom::lazy_static! {
                $(#[$doc])*
                pub(super) static ref $name: $of_type = $value;
            }
        };
    }
    pub(super) use shared;

    /// A box that several threads may initialise. Each thread creates its own box; the first one to set `chosen` wins.
    pub(super) struct OnceBox<T> {
        boxes: [OnceLock<Box<T>>; 4],
        /// The position of the winner in `boxes`, counted from one; zero if there is no winner yet.
        chosen: AtomicUsize,
    }

    impl<T> Default for OnceBox<T> {
        fn default() -> Self {
            Self { boxes: [const { OnceLock::new() }; 4], chosen: AtomicUsize::new(0) }
        }
    }

    impl<T> OnceBox<T> {
        fn nth(&self, number: usize) -> Option<&T> {
            Some(self.boxes.get(number.checked_sub(1)?)?.get()?)
        }

        pub(super) fn get(&self) -> Option<&T> {
            self.nth(self.chosen.load(Ordering::Acquire))
        }

        pub(super) fn get_or_init(&self, make: impl FnOnce() -> Box<T>) -> &T {
            if let Some(existing) = self.get() {
                return existing;
            }
            let mut mine = make();
            let mut number = 1;
            while let Err(back) = self.boxes[number - 1].set(mine) {
                (mine, number) = (back, number + 1);
            }
            let chosen =
                self.chosen.compare_exchange(0, number, Ordering::Release, Ordering::Acquire);
            self.nth(chosen.map_or_else(|first| first, |_| number)).unwrap()
        }
    }
}

/// Maximum number of preemptions in one schedule. With a higher number, the tests take minutes and find no other errors.
const MAX_PREEMPTIONS: usize = 3;

const ALL_SLOTS: u64 = (1 << thread_slot::SLOTS) - 1;

/// Runs `scenario` in every schedule. At its start, the slots in the bit mask `free` are free and all others are leased.
fn in_every_schedule(free: u64, scenario: impl Fn(&Arc<Stripes>) + Send + Sync + 'static) {
    let mut model = Builder::new();
    model.preemption_bound = Some(MAX_PREEMPTIONS);
    model.check(move || {
        thread_slot::LEASED.store(ALL_SLOTS & !free, Ordering::Relaxed);
        scenario(&Arc::default());
        // A thread may return its slot only after `join` has returned.
        while thread_slot::LEASED.load(Ordering::Relaxed) & free != 0 {
            thread::yield_now();
        }
    });
}

fn spawn_adds(stripes: &Arc<Stripes>, amounts: &'static [u64]) -> JoinHandle<()> {
    let stripes = Arc::clone(stripes);
    thread::spawn(move || amounts.iter().for_each(|amount| stripes.add(0, *amount)))
}

fn join<const N: usize>(threads: [JoinHandle<()>; N]) {
    threads.into_iter().for_each(|thread| thread.join().unwrap());
}

#[test]
fn total_never_decreases_nor_exceeds_the_additions() {
    in_every_schedule(ALL_SLOTS, |stripes| {
        let threads = [spawn_adds(stripes, &[1, 2]), spawn_adds(stripes, &[4])];
        let first = stripes.total(0);
        let second = stripes.total(0);
        assert!(first <= second && second <= 7, "{first} then {second}");
        join(threads);
        assert_eq!(stripes.total(0), 7);
    });
}

#[test]
fn reused_slot_continues_from_its_last_value() {
    in_every_schedule(ALL_SLOTS, |stripes| {
        let first = spawn_adds(stripes, &[1]);
        let second = spawn_adds(stripes, &[2]);
        join([first]);
        let third = spawn_adds(stripes, &[4]);
        join([second, third]);
        assert_eq!(stripes.total(0), 7);
    });
}

#[test]
fn threads_without_a_slot_lose_no_additions() {
    in_every_schedule(0, |stripes| {
        join([spawn_adds(stripes, &[1, 2]), spawn_adds(stripes, &[4])]);
        assert_eq!(stripes.total(0), 7);
    });
}

#[test]
fn two_threads_competing_for_one_slot_lose_no_additions() {
    in_every_schedule(1, |stripes| {
        join([spawn_adds(stripes, &[1, 2]), spawn_adds(stripes, &[4])]);
        assert_eq!(stripes.total(0), 7);
    });
}

#[test]
fn block_allocated_by_two_threads_loses_no_additions() {
    in_every_schedule(0b11 << stripes::BLOCK_SIZE, |stripes| {
        let threads = [spawn_adds(stripes, &[1, 2]), spawn_adds(stripes, &[4])];
        let seen = stripes.total(0);
        assert!(seen <= 7, "{seen}");
        join(threads);
        assert_eq!(stripes.total(0), 7);
    });
}

#[test]
fn float_sum_is_exact_with_and_without_slots() {
    fn spawn_floats(stripes: &Arc<Stripes>, amounts: &'static [f64]) -> JoinHandle<()> {
        let stripes = Arc::clone(stripes);
        thread::spawn(move || amounts.iter().for_each(|amount| stripes.add_float(0, *amount)))
    }
    for free in [ALL_SLOTS, 1, 0] {
        in_every_schedule(free, |stripes| {
            // An uncompensated sum would lose the one.
            join([spawn_floats(stripes, &[1e100, 1.0]), spawn_floats(stripes, &[-1e100])]);
            assert_eq!(stripes.total_float(0), 1.0);
        });
    }
}

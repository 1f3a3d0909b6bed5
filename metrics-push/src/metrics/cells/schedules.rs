//! The same cells under every schedule of a few threads, and every value that a relaxed load may then read.

use std::sync::Arc;

use loom::model::Builder;
use loom::thread::{self, JoinHandle};

use rows::Cells;
use sync::Ordering;

#[path = "rows.rs"]
#[expect(clippy::duplicate_mod, reason = "once with the standard parts, once with loom's")]
#[expect(dead_code, reason = "a counter and a sum show what there is to show")]
mod rows;
#[path = "seats.rs"]
#[expect(clippy::duplicate_mod, reason = "once with the standard parts, once with loom's")]
mod seats;
#[path = "sum.rs"]
#[expect(clippy::duplicate_mod, reason = "once with the standard parts, once with loom's")]
mod sum;

/// What [`super::sync`] has, of loom's parts.
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

    /// As many boxes as threads may make at once; the first that says so is the one.
    pub(super) struct OnceBox<T> {
        made: [OnceLock<Box<T>>; 4],
        /// Which of them, counted from one.
        chosen: AtomicUsize,
    }

    impl<T> Default for OnceBox<T> {
        fn default() -> Self {
            Self { made: [const { OnceLock::new() }; 4], chosen: AtomicUsize::new(0) }
        }
    }

    impl<T> OnceBox<T> {
        fn made(&self, number: usize) -> Option<&T> {
            Some(self.made.get(number.checked_sub(1)?)?.get()?)
        }

        pub(super) fn get(&self) -> Option<&T> {
            self.made(self.chosen.load(Ordering::Acquire))
        }

        pub(super) fn get_or_init(&self, make: impl FnOnce() -> Box<T>) -> &T {
            if let Some(made) = self.get() {
                return made;
            }
            let mut mine = make();
            let mut number = 1;
            while let Err(back) = self.made[number - 1].set(mine) {
                (mine, number) = (back, number + 1);
            }
            let chosen =
                self.chosen.compare_exchange(0, number, Ordering::Release, Ordering::Acquire);
            self.made(chosen.map_or_else(|first| first, |_| number)).unwrap()
        }
    }
}

/// Preemptions in one schedule; more find nothing that fewer don't, and take minutes.
const PREEMPTIONS: usize = 3;

const ALL: u64 = (1 << seats::SEATS) - 1;

/// Brings a situation about in every way; threads find these seats free.
fn in_every_schedule(free: u64, situation: impl Fn(&Arc<Cells>) + Send + Sync + 'static) {
    let mut schedules = Builder::new();
    schedules.preemption_bound = Some(PREEMPTIONS);
    schedules.check(move || {
        seats::LEASED.store(ALL & !free, Ordering::Relaxed);
        situation(&Arc::default());
        // Threads give their seats back after whoever joins them goes on.
        while seats::LEASED.load(Ordering::Relaxed) & free != 0 {
            thread::yield_now();
        }
    });
}

fn adds(cells: &Arc<Cells>, amounts: &'static [u64]) -> JoinHandle<()> {
    let cells = Arc::clone(cells);
    thread::spawn(move || amounts.iter().for_each(|amount| cells.add(0, *amount)))
}

fn join<const N: usize>(threads: [JoinHandle<()>; N]) {
    threads.into_iter().for_each(|thread| thread.join().unwrap());
}

#[test]
fn who_reads_meanwhile_never_sees_less_than_before_nor_more_than_was_added() {
    in_every_schedule(ALL, |cells| {
        let threads = [adds(cells, &[1, 2]), adds(cells, &[4])];
        let first = cells.total(0);
        let second = cells.total(0);
        assert!(first <= second && second <= 7, "{first} then {second}");
        join(threads);
        assert_eq!(cells.total(0), 7);
    });
}

#[test]
fn who_takes_the_seat_of_a_thread_that_ends_goes_on_from_what_it_added() {
    in_every_schedule(ALL, |cells| {
        let first = adds(cells, &[1]);
        let second = adds(cells, &[2]);
        join([first]);
        let third = adds(cells, &[4]);
        join([second, third]);
        assert_eq!(cells.total(0), 7);
    });
}

#[test]
fn threads_without_a_seat_lose_nothing_to_each_other() {
    in_every_schedule(0, |cells| {
        join([adds(cells, &[1, 2]), adds(cells, &[4])]);
        assert_eq!(cells.total(0), 7);
    });
}

#[test]
fn two_threads_for_one_seat_share_what_is_left() {
    in_every_schedule(1, |cells| {
        join([adds(cells, &[1, 2]), adds(cells, &[4])]);
        assert_eq!(cells.total(0), 7);
    });
}

#[test]
fn threads_whose_rows_are_not_at_hand_find_one_place_for_them() {
    in_every_schedule(0b11 << rows::BLOCK, |cells| {
        let threads = [adds(cells, &[1, 2]), adds(cells, &[4])];
        let seen = cells.total(0);
        assert!(seen <= 7, "{seen}");
        join(threads);
        assert_eq!(cells.total(0), 7);
    });
}

#[test]
fn sums_of_floats_are_whole_with_seats_and_without() {
    fn observes(cells: &Arc<Cells>, amounts: &'static [f64]) -> JoinHandle<()> {
        let cells = Arc::clone(cells);
        thread::spawn(move || amounts.iter().for_each(|amount| cells.add_real(0, *amount)))
    }
    for free in [ALL, 1, 0] {
        in_every_schedule(free, |cells| {
            // In plain floats the one would be lost.
            join([observes(cells, &[1e100, 1.0]), observes(cells, &[-1e100])]);
            assert_eq!(cells.total_real(0), 1.0);
        });
    }
}

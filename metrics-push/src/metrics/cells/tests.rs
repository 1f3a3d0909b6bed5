//! Cells on real threads.

use std::cell::RefCell;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Sender, channel};
use std::thread;

use proptest::prelude::*;

use super::rows::Cells;
use super::seats::{LEASED, NO_SEAT, SEATS, seat};

#[test]
fn a_seat_is_taken_and_given_back() {
    let seat_of = |thread: thread::JoinHandle<usize>| thread.join().unwrap();
    let sit = |cells: &Cells| {
        cells.add(0, 1);
        seat()
    };
    let cells = Arc::new(Cells::default());
    for _ in 0..3 * SEATS {
        let cells = Arc::clone(&cells);
        assert!(seat_of(thread::spawn(move || sit(&cells))) < SEATS);
    }
    assert_eq!(cells.total(0), 3 * SEATS as u64);
}

/// Adds when its thread ends, and tells whether the thread still had the right to its seat.
struct AddsAtTheEnd(Arc<Cells>, Sender<bool>);

impl Drop for AddsAtTheEnd {
    fn drop(&mut self) {
        self.0.add(0, 1);
        let leased = LEASED.load(Ordering::Relaxed);
        let seat = seat();
        let _ = self.1.send(seat == NO_SEAT || leased & (1 << seat) != 0);
    }
}

#[test]
fn a_thread_in_its_last_moments_adds_beside_the_seat_it_gave_back() {
    thread_local! {
        static EARLY: RefCell<Option<AddsAtTheEnd>> = const { RefCell::new(None) };
        static LATE: RefCell<Option<AddsAtTheEnd>> = const { RefCell::new(None) };
    }
    let cells = Arc::new(Cells::default());
    let (sender, had_the_right) = channel();
    let last = || Some(AddsAtTheEnd(Arc::clone(&cells), sender.clone()));
    let (early, late, inside) = (last(), last(), Arc::clone(&cells));
    let thread = thread::spawn(move || {
        EARLY.set(early);
        inside.add(0, 1);
        LATE.set(late);
    });
    thread.join().unwrap();
    drop(sender);
    assert_eq!(had_the_right.iter().collect::<Vec<_>>(), [true, true]);
    assert_eq!(cells.total(0), 3);
}

#[test]
fn infinities_stay_what_they_are() {
    let sum_of = |values: &[f64]| {
        let cells = Cells::default();
        values.iter().for_each(|value| cells.add_real(0, *value));
        cells.total_real(0)
    };
    assert_eq!(sum_of(&[1.0, f64::INFINITY, 2.0]), f64::INFINITY);
    assert!(sum_of(&[f64::INFINITY, f64::NEG_INFINITY, 1.0]).is_nan());
    assert!(sum_of(&[f64::NAN, 1.0]).is_nan());
    assert_eq!(sum_of(&[1e100, 1.0, -1e100]), 1.0);
}

/// A float, and the same in whole numbers of 2^-30.
fn exact_float() -> impl Strategy<Value = (f64, i128)> {
    let mantissa = -(1_i64 << 53)..(1_i64 << 53);
    (mantissa, 0..60).prop_map(|(mantissa, exponent)| {
        let float = mantissa as f64 * 2_f64.powi(exponent - 30);
        (float, i128::from(mantissa) << exponent)
    })
}

/// The sum of what so many threads add, turn and turn about.
fn sum_on_threads(terms: &[(f64, i128)], threads: usize) -> f64 {
    let cells = Cells::default();
    thread::scope(|scope| {
        for first in 0..threads {
            let own = terms.iter().skip(first).step_by(threads);
            scope.spawn(|| own.for_each(|(term, _)| cells.add_real(0, *term)));
        }
    });
    cells.total_real(0)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_sum_is_exact_to_its_last_digit_in_any_order_and_on_any_threads(
        (terms, shuffled) in prop::collection::vec(exact_float(), 1..300)
            .prop_flat_map(|terms| (Just(terms.clone()), Just(terms).prop_shuffle())),
        threads in 1..5_usize,
    ) {
        let exact = terms.iter().map(|(_, term)| term).sum::<i128>() as f64 / 2_f64.powi(30);
        // Beyond the last digit, only where terms cancel: the square of what plain floats would lose.
        let size: f64 = terms.iter().map(|(term, _)| term.abs()).sum();
        let lost = (terms.len() as f64 * f64::EPSILON).powi(2) * size;
        let last_digit = exact.abs() * f64::EPSILON;
        for sum in [sum_on_threads(&terms, threads), sum_on_threads(&shuffled, 1)] {
            prop_assert!((sum - exact).abs() <= last_digit + lost, "{sum} is not {exact}");
        }
    }
}

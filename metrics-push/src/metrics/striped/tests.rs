//! Tests of the stripes on real threads.

use std::cell::RefCell;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Sender, channel};
use std::thread;

use proptest::prelude::*;

use super::stripes::Stripes;
use super::thread_slot::{LEASED, NO_SLOT, SLOTS, slot_number};

#[test]
fn slot_is_leased_again_after_its_thread_ends() {
    let stripes = Arc::new(Stripes::default());
    for _ in 0..3 * SLOTS {
        let stripes = Arc::clone(&stripes);
        let thread = thread::spawn(move || {
            stripes.add(0, 1);
            slot_number()
        });
        assert!(thread.join().unwrap() < SLOTS);
    }
    assert_eq!(stripes.total(0), 3 * SLOTS as u64);
}

/// Adds when its thread ends. Then sends true if the thread had no slot, or a slot that was still leased.
struct AddsOnDrop(Arc<Stripes>, Sender<bool>);

impl Drop for AddsOnDrop {
    fn drop(&mut self) {
        self.0.add(0, 1);
        let leased = LEASED.load(Ordering::Relaxed);
        let slot = slot_number();
        let _ = self.1.send(slot == NO_SLOT || leased & (1 << slot) != 0);
    }
}

#[test]
fn ending_thread_does_not_add_to_a_returned_slot() {
    thread_local! {
        static EARLY: RefCell<Option<AddsOnDrop>> = const { RefCell::new(None) };
        static LATE: RefCell<Option<AddsOnDrop>> = const { RefCell::new(None) };
    }
    let stripes = Arc::new(Stripes::default());
    let (sender, was_allowed) = channel();
    let adds_on_drop = || Some(AddsOnDrop(Arc::clone(&stripes), sender.clone()));
    let (early, late, inside) = (adds_on_drop(), adds_on_drop(), Arc::clone(&stripes));
    let thread = thread::spawn(move || {
        EARLY.set(early);
        inside.add(0, 1);
        LATE.set(late);
    });
    thread.join().unwrap();
    drop(sender);
    assert_eq!(was_allowed.iter().collect::<Vec<_>>(), [true, true]);
    assert_eq!(stripes.total(0), 3);
}

#[test]
fn float_sum_of_infinities_matches_ieee_754() {
    let sum_of = |values: &[f64]| {
        let stripes = Stripes::default();
        values.iter().for_each(|value| stripes.add_float(0, *value));
        stripes.total_float(0)
    };
    assert_eq!(sum_of(&[1.0, f64::INFINITY, 2.0]), f64::INFINITY);
    assert!(sum_of(&[f64::INFINITY, f64::NEG_INFINITY, 1.0]).is_nan());
    assert!(sum_of(&[f64::NAN, 1.0]).is_nan());
    assert_eq!(sum_of(&[1e100, 1.0, -1e100]), 1.0);
}

/// A float, and the same number as a multiple of 2^-30.
fn exact_float() -> impl Strategy<Value = (f64, i128)> {
    let mantissa = -(1_i64 << 53)..(1_i64 << 53);
    (mantissa, 0..60).prop_map(|(mantissa, exponent)| {
        let float = mantissa as f64 * 2_f64.powi(exponent - 30);
        (float, i128::from(mantissa) << exponent)
    })
}

/// Sums the terms on several threads, each of which adds every n-th term.
fn sum_on_threads(terms: &[(f64, i128)], threads: usize) -> f64 {
    let stripes = Stripes::default();
    thread::scope(|scope| {
        for first in 0..threads {
            let own = terms.iter().skip(first).step_by(threads);
            scope.spawn(|| own.for_each(|(term, _)| stripes.add_float(0, *term)));
        }
    });
    stripes.total_float(0)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn float_sum_is_exact_in_any_order_on_any_threads(
        (terms, shuffled) in prop::collection::vec(exact_float(), 1..300)
            .prop_flat_map(|terms| (Just(terms.clone()), Just(terms).prop_shuffle())),
        threads in 1..5_usize,
    ) {
        let exact = terms.iter().map(|(_, term)| term).sum::<i128>() as f64 / 2_f64.powi(30);
        // If terms cancel out, the error may exceed the last digit by the square of the error of an uncompensated sum.
        let size: f64 = terms.iter().map(|(term, _)| term.abs()).sum();
        let lost = (terms.len() as f64 * f64::EPSILON).powi(2) * size;
        let last_digit = exact.abs() * f64::EPSILON;
        for sum in [sum_on_threads(&terms, threads), sum_on_threads(&shuffled, 1)] {
            prop_assert!((sum - exact).abs() <= last_digit + lost, "{sum} is not {exact}");
        }
    }
}

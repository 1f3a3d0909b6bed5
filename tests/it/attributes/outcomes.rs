//! Exactly one outcome per call, for every way a call can end.

use std::cell::Cell;
use std::pin::pin;

use metrics_push::{counted, timed};

use super::{block_on, calls, panic_of, pause, poll, series, timings, value};

#[test]
fn all_outcomes_are_gathered_after_the_first_call() {
    #[counted]
    fn first_gather() {}
    first_gather();
    let found = series("function_calls_total", &[("function", "first_gather")]);
    let mut outcomes: Vec<_> =
        found.iter().filter_map(|series| super::label(series, "outcome")).collect();
    outcomes.sort_unstable();
    assert_eq!(outcomes, ["cancelled", "error", "panic", "success"]);
}

#[test]
fn panic_propagates_and_is_recorded_once() {
    #[counted]
    #[timed]
    fn panicking(text: &str) -> u32 {
        panic!("{text}")
    }
    assert_eq!(panic_of(|| panicking("boom")), "boom");
    assert_eq!(calls!("panicking"), "panic 1");
    assert_eq!(timings!("panicking"), "calls 1");
}

#[test]
fn unpolled_future_is_not_recorded() {
    #[counted]
    #[timed]
    async fn unpolled(run: bool) {
        assert!(run);
    }
    drop(unpolled(false));
    block_on(unpolled(true));
    assert_eq!(calls!("unpolled"), "success 1");
    assert_eq!(timings!("unpolled"), "calls 1");
}

#[test]
fn future_dropped_after_a_poll_is_cancelled() {
    #[counted]
    #[timed(in_flight)]
    async fn dropped() {
        pause().await;
    }
    let in_flight = || value(&series("function_in_flight", &[("function", "dropped")])[0]);
    {
        let mut future = pin!(dropped());
        assert!(poll(future.as_mut()).is_pending());
        assert_eq!(in_flight(), 1.0);
    }
    assert_eq!(calls!("dropped"), "cancelled 1");
    assert_eq!(timings!("dropped"), "calls 1");
    assert_eq!(in_flight(), 0.0);
}

#[test]
fn in_flight_gauge_is_decremented_after_a_panic() {
    #[timed(in_flight)]
    fn in_flight() {
        let found = series("function_in_flight", &[("function", "in_flight")]);
        assert_eq!(value(&found[0]), 1.0);
        panic!("stop");
    }
    assert_eq!(panic_of(in_flight), "stop");
    assert_eq!(value(&series("function_in_flight", &[("function", "in_flight")])[0]), 0.0);
}

#[test]
fn panic_inside_a_poll_is_not_a_cancellation() {
    #[counted]
    async fn panicking_poll() {
        pause().await;
        panic!("in the poll");
    }
    assert_eq!(panic_of(|| block_on(panicking_poll())), "in the poll");
    assert_eq!(calls!("panicking_poll"), "panic 1");
}

#[test]
fn future_dropped_by_an_unrelated_panic_is_cancelled() {
    #[counted]
    async fn bystander() {
        pause().await;
    }
    #[counted]
    async fn untouched() {}
    let message = panic_of(|| {
        let mut future = pin!(bystander());
        let _untouched = untouched();
        assert!(poll(future.as_mut()).is_pending());
        panic!("unrelated");
    });
    block_on(untouched());
    assert_eq!(message, "unrelated");
    assert_eq!(calls!("bystander"), "cancelled 1");
    assert_eq!(calls!("untouched"), "success 1");
}

#[test]
fn poll_after_completion_panics_like_the_bare_future() {
    async fn bare() {}
    #[counted]
    async fn annotated() {}
    #[counted(future)]
    fn boxed() -> std::pin::Pin<Box<dyn Future<Output = ()>>> {
        Box::pin(async {
            pause().await;
        })
    }
    fn panic_of_extra_poll(future: impl Future) -> String {
        panic_of(|| {
            let mut future = pin!(future);
            while poll(future.as_mut()).is_pending() {}
            poll(future.as_mut()).is_ready()
        })
    }
    assert_eq!(panic_of_extra_poll(annotated()), panic_of_extra_poll(bare()));
    assert_eq!(panic_of_extra_poll(boxed()), panic_of_extra_poll(bare()));
    assert_eq!((calls!("annotated"), calls!("boxed")), ("success 1".into(), "success 1".into()));
}

#[test]
fn call_in_a_destructor_succeeds_during_unwinding() {
    struct Cleanup;
    impl Drop for Cleanup {
        fn drop(&mut self) {
            clean_up();
            block_on(clean_up_later());
            if std::thread::panicking() {
                silent();
            }
        }
    }
    #[counted]
    #[timed]
    fn clean_up() {}
    #[counted]
    async fn clean_up_later() {
        pause().await;
    }
    #[counted]
    #[track_caller]
    fn silent() {}
    panic_of(|| {
        let _cleanup = Cleanup;
        panic!("unwind");
    });
    for recorded in [calls!("clean_up"), calls!("clean_up_later"), calls!("silent")] {
        assert_eq!(recorded, "success 1");
    }
}

#[test]
fn never_returning_call_is_a_panic_during_unwinding() {
    #[counted]
    fn gives_up() -> ! {
        panic!("inside");
    }
    struct Cleanup;
    impl Drop for Cleanup {
        fn drop(&mut self) {
            assert_eq!(panic_of(|| gives_up()), "inside");
        }
    }
    panic_of(|| {
        let _cleanup = Cleanup;
        panic!("unwind");
    });
    assert_eq!(calls!("gives_up"), "panic 1");
}

#[test]
fn track_caller_function_records_panics_and_returns() {
    #[counted]
    #[timed(name = "located_seconds", outcome, in_flight)]
    #[track_caller]
    fn located_outcome(fails: bool) {
        assert!(!fails, "boom");
    }
    located_outcome(false);
    assert_eq!(panic_of(|| located_outcome(true)), "boom");
    assert_eq!(calls!("located_outcome"), "panic 1, success 1");
    let timed = |outcome| value(&series("located_seconds", &[("outcome", outcome)])[0]);
    assert_eq!(["success", "error", "panic", "cancelled"].map(timed), [1.0, 0.0, 1.0, 0.0]);
    let in_flight = series("function_in_flight", &[("function", "located_outcome")]);
    assert_eq!(value(&in_flight[0]), 0.0);
}

#[test]
fn every_level_of_a_recursion_is_recorded() {
    #[counted]
    #[timed(in_flight)]
    fn down(n: u32) -> Result<u32, u32> {
        if n == 0 { Err(0) } else { down(n - 1).or(Ok(n)) }
    }
    #[counted]
    #[timed]
    async fn down_later(n: u32) -> u32 {
        if n == 0 { 0 } else { 1 + Box::pin(down_later(n - 1)).await }
    }
    assert_eq!(down(3), Ok(1));
    assert_eq!(block_on(down_later(3)), 3);
    assert_eq!(calls!("down"), "error 1, success 3");
    assert_eq!(calls!("down_later"), "success 4");
    assert_eq!(timings!("down_later"), "calls 4");
}

#[test]
fn overlapping_calls_are_recorded_separately() {
    #[counted]
    async fn overlapping(fails: bool) -> Result<(), ()> {
        pause().await;
        if fails { Err(()) } else { Ok(()) }
    }
    let (mut first, mut second) = (Box::pin(overlapping(true)), Box::pin(overlapping(false)));
    let mut third = Box::pin(overlapping(true));
    assert!(poll(first.as_mut()).is_pending());
    assert!(poll(second.as_mut()).is_pending());
    assert!(poll(third.as_mut()).is_pending());
    assert!(poll(first.as_mut()).is_ready() && poll(second.as_mut()).is_ready());
    drop(third);
    assert_eq!(calls!("overlapping"), "cancelled 1, error 1, success 1");
}

#[test]
fn stacked_attributes_each_record_once() {
    #[counted]
    #[counted(name = "stacked_total")]
    #[timed]
    #[timed(name = "stacked_seconds", outcome)]
    fn stacked(fails: bool) -> Result<(), ()> {
        if fails { Err(()) } else { Ok(()) }
    }
    #[timed]
    #[counted]
    #[timed(name = "stacked_later_seconds", outcome, in_flight)]
    async fn stacked_later(mut n: Cell<u8>) -> u8 {
        *n.get_mut() += 1;
        pause().await;
        n.get()
    }
    assert!(stacked(true).is_err() && stacked(false).is_ok());
    assert_eq!(block_on(stacked_later(Cell::new(1))), 2);
    assert_eq!(calls!("stacked"), "error 1, success 1");
    assert_eq!(timings!("stacked"), "calls 2");
    let errors = series("stacked_total", &[("outcome", "error")]);
    let timed_errors = series("stacked_seconds", &[("outcome", "error")]);
    assert_eq!((value(&errors[0]), value(&timed_errors[0])), (1.0, 1.0));
    assert_eq!(
        (calls!("stacked_later"), timings!("stacked_later")),
        ("success 1".into(), "calls 1".into())
    );
}

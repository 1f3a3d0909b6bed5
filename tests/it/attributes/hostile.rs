//! Labels and predicates that panic, and very long label values: the function still returns its value.

use std::fmt;

use metrics_push::testing::FakeGateway;
use metrics_push::{Config, counted, push_job, timed};

use super::{block_on, calls, label, series, value};
use crate::flushes::flush;

/// A value whose `Display` implementation panics.
#[derive(Clone, Copy)]
struct Panics;

impl fmt::Display for Panics {
    fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
        panic!("in Display")
    }
}

/// Returns the values of the label `of` of a function's series in the calling module.
macro_rules! label_values {
    ($metric:literal, $function:literal) => {{
        let series = series($metric, &[("module", module_path!()), ("function", $function)]);
        let values = series.iter().map(|series| label(series, "of").unwrap().to_owned());
        values.collect::<std::collections::BTreeSet<_>>().into_iter().collect::<Vec<_>>()
    }};
}

#[test]
fn panicking_display_of_a_label_is_recorded_as_invalid() {
    #[counted(name = "hostile_calls_total", labels(of = value))]
    fn count(value: Panics) -> u8 {
        7
    }
    #[timed(name = "hostile_value_seconds", labels(of = value))]
    fn time(value: Panics) -> u8 {
        7
    }
    #[counted(name = "hostile_async_calls_total", labels(of = value))]
    async fn count_later(value: Panics) -> u8 {
        let _ = value;
        7
    }
    #[timed(name = "hostile_future_seconds", labels(of = value))]
    fn time_later(value: Panics) -> impl Future<Output = u8> {
        async { 7 }
    }
    for _ in 0..2 {
        assert_eq!(count(Panics) + time(Panics), 14);
        assert_eq!(block_on(count_later(Panics)) + block_on(time_later(Panics)), 14);
    }
    assert_eq!(label_values!("hostile_calls_total", "count"), ["_invalid"]);
    assert_eq!(label_values!("hostile_async_calls_total", "count_later"), ["_invalid"]);
    assert_eq!(label_values!("hostile_value_seconds", "time"), ["_invalid"]);
    assert_eq!(label_values!("hostile_future_seconds", "time_later"), ["_invalid"]);
}

#[test]
fn panicking_predicate_counts_as_an_error() {
    fn panics(_: &u8) -> bool {
        panic!("in a predicate")
    }
    #[counted(ok_if = panics)]
    fn checked() -> u8 {
        7
    }
    #[counted(error_if = panics)]
    async fn checked_later() -> u8 {
        7
    }
    #[counted(ok_if = |_| std::panic::panic_any(PanicsOnDrop))]
    fn checked_with_hostile_payload() -> u8 {
        7
    }
    assert_eq!(checked() + block_on(checked_later()) + checked_with_hostile_payload(), 21);
    assert_eq!(calls!("checked"), "error 1");
    assert_eq!(calls!("checked_later"), "error 1");
    assert_eq!(calls!("checked_with_hostile_payload"), "error 1");
}

/// The payload of a panic that panics again.
struct PanicsOnDrop;

impl Drop for PanicsOnDrop {
    fn drop(&mut self) {
        panic!("while the payload is dropped");
    }
}

#[test]
fn labels_and_predicates_may_panic_while_the_thread_unwinds() {
    struct CallsOnDrop;
    impl Drop for CallsOnDrop {
        fn drop(&mut self) {
            #[counted(name = "unwinding_calls_total", labels(of = value), ok_if = |_| panic!("expected"))]
            fn called_in_drop(value: Panics) -> u8 {
                7
            }
            assert_eq!(called_in_drop(Panics), 7);
        }
    }
    let unwind = || {
        let _calls = CallsOnDrop;
        panic!("expected")
    };
    assert!(std::panic::catch_unwind(unwind).is_err());
    assert_eq!(label_values!("unwinding_calls_total", "called_in_drop"), ["_invalid"]);
}

#[test]
fn panics_of_a_job_s_grouping_and_predicate_do_not_change_its_result() {
    #[push_job(name = "hostile_job", grouping(of = value), ok_if = |_| panic!("expected"))]
    fn run(value: Panics) -> u8 {
        7
    }
    #[push_job(name = "hostile_job_later", grouping(of = value), error_if = |_| panic!("expected"))]
    async fn run_later(value: Panics) -> u8 {
        let _ = value;
        7
    }
    let gateway = FakeGateway::start();
    let _scope = Config::default().url(gateway.url()).unwrap().scope().unwrap();
    assert_eq!(run(Panics) + block_on(run_later(Panics)), 14);
    flush();
    for job in ["hostile_job", "hostile_job_later"] {
        let group = gateway.group(job, &[("of", "_invalid")]);
        assert_eq!(crate::lifecycle::outcomes(&group), ["error"], "{job}");
    }
}

#[test]
fn long_label_values_are_cut_and_stay_distinct() {
    #[counted(name = "long_calls_total", labels(of = value))]
    fn count(value: &str) {}
    #[timed(name = "long_seconds", labels(of = format_args!("{value}")))]
    fn time(value: &str) {}
    let long = "é".repeat(500_000);
    for end in ["a", "b"] {
        for _ in 0..3 {
            count(&format!("{long}{end}"));
            time(&format!("{long}{end}"));
        }
    }
    for values in
        [label_values!("long_calls_total", "count"), label_values!("long_seconds", "time")]
    {
        assert_eq!(values.len(), 2, "{values:?}");
        assert!(values.iter().all(|value| value.len() <= 1_024 && value.starts_with("éé")));
    }
    let series = series("long_calls_total", &[("function", "count"), ("outcome", "success")]);
    assert_eq!(series.iter().map(value).collect::<Vec<_>>(), [3.0, 3.0]);
}

#[test]
fn panic_of_a_registry_expression_does_not_reach_the_caller() {
    fn registry() -> &'static prometheus::Registry {
        panic!("in the argument `registry`")
    }
    #[counted(registry = registry())]
    fn unregistered() -> u8 {
        7
    }
    assert_eq!(unregistered() + unregistered(), 14);
}

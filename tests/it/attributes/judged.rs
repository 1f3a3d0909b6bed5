//! Outcomes of returned values: judged by their type, or by a predicate.

use std::ops::ControlFlow;
use std::process::ExitCode;
use std::task::Poll;

use metrics_push::{counted, timed};

use super::{block_on, calls, series, value};

#[test]
fn exit_codes_are_judged_by_value() {
    #[counted]
    fn exit_code(code: u8) -> ExitCode {
        ExitCode::from(code)
    }
    #[counted]
    fn exit_code_or_error(code: Option<u8>) -> Result<ExitCode, String> {
        code.map(ExitCode::from).ok_or_else(|| "none".to_owned())
    }
    exit_code(0);
    exit_code(2);
    assert_eq!(calls!("exit_code"), "error 1, success 1");
    assert!(exit_code_or_error(Some(0)).is_ok() && exit_code_or_error(Some(1)).is_ok());
    assert!(exit_code_or_error(None).is_err());
    assert_eq!(calls!("exit_code_or_error"), "error 2, success 1");
}

#[test]
fn exit_code_behind_an_alias_is_judged_by_value() {
    /// The argument is the type of the error.
    type Result<E> = std::result::Result<ExitCode, E>;
    #[counted]
    fn exit_code_of_alias(code: u8) -> Result<u32> {
        Ok(ExitCode::from(code))
    }
    assert!(exit_code_of_alias(0).is_ok() && exit_code_of_alias(3).is_ok());
    assert_eq!(calls!("exit_code_of_alias"), "error 1, success 1");
}

#[test]
fn exit_code_behind_an_alias_with_the_error_first_is_judged_by_value() {
    type Result<E, T> = std::result::Result<T, E>;
    #[counted]
    fn exit_code_after_error(code: u8) -> Result<u32, ExitCode> {
        Ok(ExitCode::from(code))
    }
    assert!(exit_code_after_error(0).is_ok() && exit_code_after_error(3).is_ok());
    assert_eq!(calls!("exit_code_after_error"), "error 1, success 1");
}

#[test]
fn predicates_judge_any_type() {
    #[counted(ok_if = Option::is_some)]
    fn option(n: u8) -> Option<u8> {
        n.checked_sub(1)
    }
    #[counted(error_if = |done| !*done)]
    fn boolean(done: bool) -> bool {
        done
    }
    #[counted(error_if = ControlFlow::is_break)]
    fn flow(stops: bool) -> ControlFlow<u8> {
        if stops { ControlFlow::Break(1) } else { ControlFlow::Continue(()) }
    }
    #[counted(ok_if = |polled: &Poll<Result<u32, u32>>| matches!(polled, Poll::Ready(Ok(_))))]
    fn polled(n: u32) -> Poll<Result<u32, u32>> {
        if n == 0 { Poll::Ready(Err(n)) } else { Poll::Ready(Ok(n)) }
    }
    #[counted(error_if = is_large)]
    async fn later(n: u32) -> u32 {
        n
    }
    fn is_large(n: &u32) -> bool {
        *n > 10
    }
    assert_eq!((option(1), option(0)), (Some(0), None));
    assert!(boolean(true) && !boolean(false));
    assert!(flow(true).is_break() && flow(false).is_continue());
    assert!(polled(0).is_ready() && polled(1).is_ready());
    assert_eq!(block_on(later(1)) + block_on(later(11)), 12);
    for recorded in
        [calls!("option"), calls!("boolean"), calls!("flow"), calls!("polled"), calls!("later")]
    {
        assert_eq!(recorded, "error 1, success 1");
    }
}

#[test]
fn predicate_takes_precedence_over_the_type() {
    #[counted(ok_if = |result| matches!(result, Ok(_) | Err(404)))]
    fn found(status: u16) -> Result<(), u16> {
        if status == 200 { Ok(()) } else { Err(status) }
    }
    assert!(found(200).is_ok() && found(404).is_err() && found(500).is_err());
    assert_eq!(calls!("found"), "error 1, success 2");
}

#[test]
fn generic_results_are_a_success_without_a_predicate() {
    trait Task {
        type Output;
        fn work(self) -> Self::Output;
    }
    impl Task for u8 {
        type Output = Result<(), u8>;
        fn work(self) -> Self::Output {
            Err(self)
        }
    }
    #[counted]
    fn unknown<T: Task>(task: T) -> T::Output {
        task.work()
    }
    #[counted(error_if = |_| true)]
    fn with_predicate<T: Task>(task: T) -> T::Output {
        task.work()
    }
    #[counted]
    fn bound<T: Task<Output = Result<(), E>>, E>(task: T) -> T::Output {
        task.work()
    }
    assert!(unknown(1).is_err() && with_predicate(1).is_err() && bound(1).is_err());
    assert_eq!(calls!("unknown"), "success 1");
    assert_eq!((calls!("with_predicate"), calls!("bound")), ("error 1".into(), "error 1".into()));
}

#[test]
fn only_error_counts_errors_only() {
    #[counted(name = "only_errors_total", only = error)]
    fn failing(fails: bool) -> Result<(), ()> {
        if fails { Err(()) } else { Ok(()) }
    }
    assert!(failing(true).is_err() && failing(false).is_ok());
    let found: f64 = series("only_errors_total", &[]).iter().map(value).sum();
    assert_eq!(found, 1.0);
}

#[test]
fn outcome_argument_records_durations_by_outcome() {
    #[timed(name = "by_outcome_seconds", outcome, error_if = |n| *n == 0, buckets = [0.1, 1, 10])]
    fn by_outcome(n: u32) -> u32 {
        n
    }
    assert_eq!(by_outcome(0) + by_outcome(1), 1);
    for outcome in ["success", "error"] {
        let found = series("by_outcome_seconds", &[("outcome", outcome)]);
        assert_eq!(value(&found[0]), 1.0, "{outcome}");
        let bounds: Vec<_> = found[0]
            .get_histogram()
            .get_bucket()
            .iter()
            .map(prometheus::proto::Bucket::upper_bound)
            .collect();
        assert_eq!(bounds[..3], [0.1, 1.0, 10.0]);
    }
}

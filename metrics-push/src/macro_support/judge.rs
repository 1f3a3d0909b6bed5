//! Judges the result of a function by its type or by the user's predicate. An alias of the type makes no difference.
//!
//! Autoderef specialisation: method lookup for `judge(&result).outcome()` tries [`Judge`], then [`ByVariant`], then
//! [`Returned`]; each step accepts more types. In generic code, method lookup knows only the bounds of a type
//! parameter, so its value is judged by [`Returned`].

use std::any::type_name;
use std::ops::Deref;
use std::process::ExitCode;

use crate::job::{Outcome, Verdict};
use crate::log;
use crate::unwind::catch_panic;

/// Wraps a result of any type. Expansions call `outcome` on it.
#[inline]
pub const fn judge<R: ?Sized>(result: &R) -> Judge<'_, R> {
    Judge(ByVariant(result))
}

/// Judges by a predicate that returns true for a success. A predicate that panics is an error.
#[inline]
pub fn ok_if<R: ?Sized, P: FnOnce(&R) -> bool>(result: &R, is_ok: P) -> Verdict {
    if holds(result, is_ok) == Some(true) { Outcome::Success.into() } else { Outcome::Error.into() }
}

/// Judges by a predicate that returns true for an error. A predicate that panics is an error.
#[inline]
pub fn error_if<R: ?Sized, P: FnOnce(&R) -> bool>(result: &R, is_error: P) -> Verdict {
    if holds(result, is_error) == Some(false) {
        Outcome::Success.into()
    } else {
        Outcome::Error.into()
    }
}

/// Returns what the predicate returns; `None` if it panics.
#[inline]
fn holds<R: ?Sized, P: FnOnce(&R) -> bool>(result: &R, predicate: P) -> Option<bool> {
    let holds = catch_panic(|| predicate(result));
    if holds.is_none() {
        log_panic(type_name::<P>());
    }
    holds
}

#[cold]
fn log_panic(predicate: &str) {
    log::warn_once(format_args!(
        "the outcome is an error because the predicate {predicate:?} panicked; fix the predicate"
    ));
}

/// Judges by a predicate that returns true if there was nothing to do, and otherwise returns `verdict`. A predicate that
/// panics is an error.
#[inline]
pub fn skip_if<R: ?Sized, P: FnOnce(&R) -> bool>(
    result: &R,
    is_skipped: P,
    verdict: Verdict,
) -> Verdict {
    match holds(result, is_skipped) {
        Some(true) => Outcome::Skipped.into(),
        Some(false) => verdict,
        None => Outcome::Error.into(),
    }
}

/// Presumes success without inspecting the result.
#[inline]
pub fn unjudged<R: ?Sized>(_: &R) -> Verdict {
    Verdict::presumed(Outcome::Success)
}

/// The first step of method lookup: `ExitCode` and `()`, also inside a `Result`.
#[derive(Debug)]
pub struct Judge<'a, R: ?Sized>(ByVariant<'a, R>);

/// The second step of method lookup: every other `Result`.
#[derive(Debug)]
pub struct ByVariant<'a, R: ?Sized>(&'a R);

/// The last step of method lookup: every other type, which is a success.
#[derive(Debug)]
pub struct Returned;

impl Judge<'_, ExitCode> {
    /// Returns success if the exit code is `ExitCode::SUCCESS`.
    #[inline]
    #[must_use]
    pub fn outcome(&self) -> Verdict {
        judge_exit_code(*self.0.0)
    }
}

impl<E> Judge<'_, Result<ExitCode, E>> {
    /// Returns success if the exit code is `ExitCode::SUCCESS`.
    #[inline]
    #[must_use]
    pub fn outcome(&self) -> Verdict {
        self.0.0.as_ref().map_or(Outcome::Error.into(), |code| judge_exit_code(*code))
    }
}

impl Judge<'_, ()> {
    /// Returns success.
    #[inline]
    #[must_use]
    pub const fn outcome(&self) -> Verdict {
        Verdict::certain(Outcome::Success)
    }
}

impl<E> Judge<'_, Result<(), E>> {
    /// Returns success if the result is `Ok`.
    #[inline]
    #[must_use]
    pub const fn outcome(&self) -> Verdict {
        Verdict::certain(if self.0.0.is_ok() { Outcome::Success } else { Outcome::Error })
    }
}

impl<T, E> ByVariant<'_, Result<T, E>> {
    /// Returns success if the result is `Ok`. The success is presumed, because the value may still be a failing exit
    /// code.
    #[inline]
    #[must_use]
    pub const fn outcome(&self) -> Verdict {
        if self.0.is_ok() {
            Verdict::presumed(Outcome::Success)
        } else {
            Verdict::certain(Outcome::Error)
        }
    }
}

impl Returned {
    /// Returns a presumed success.
    #[inline]
    #[must_use]
    pub const fn outcome(&self) -> Verdict {
        Verdict::presumed(Outcome::Success)
    }
}

impl<'a, R: ?Sized> Deref for Judge<'a, R> {
    type Target = ByVariant<'a, R>;

    #[inline]
    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

impl<R: ?Sized> Deref for ByVariant<'_, R> {
    type Target = Returned;

    #[inline]
    fn deref(&self) -> &Returned {
        &Returned
    }
}

fn judge_exit_code(code: ExitCode) -> Verdict {
    if code == ExitCode::SUCCESS { Outcome::Success.into() } else { Outcome::Error.into() }
}

#[cfg(test)]
mod tests {
    use std::fmt;

    use super::*;
    use crate::job::Standing;

    #[test]
    fn results_are_judged_through_aliases() {
        type Aliased = Result<u8, fmt::Error>;
        assert_eq!(judge(&Aliased::Ok(1)).outcome().outcome, Outcome::Success);
        assert_eq!(judge(&Aliased::Err(fmt::Error)).outcome().outcome, Outcome::Error);
        assert_eq!(judge(&fmt::Result::Err(fmt::Error)).outcome().outcome, Outcome::Error);
    }

    #[test]
    fn exit_codes_are_judged_by_value() {
        assert_eq!(judge(&ExitCode::from(0)).outcome().outcome, Outcome::Success);
        assert_eq!(judge(&ExitCode::from(3)).outcome().outcome, Outcome::Error);
        assert_eq!(judge(&Ok::<_, ()>(ExitCode::SUCCESS)).outcome().outcome, Outcome::Success);
        assert_eq!(judge(&Ok::<_, ()>(ExitCode::FAILURE)).outcome().outcome, Outcome::Error);
        assert_eq!(judge(&Err::<ExitCode, _>(())).outcome().outcome, Outcome::Error);
    }

    #[test]
    fn other_types_are_a_success() {
        struct Result;
        fn in_generic_code<T>(result: &T) -> Outcome {
            judge(result).outcome().outcome
        }
        assert_eq!(judge(&None::<u8>).outcome().outcome, Outcome::Success);
        assert_eq!(judge(&Result).outcome().outcome, Outcome::Success);
        assert_eq!(judge("unsized").outcome().outcome, Outcome::Success);
        assert_eq!(in_generic_code(&Err::<(), ()>(())), Outcome::Success);
    }

    #[test]
    fn predicate_decides_the_outcome() {
        assert_eq!(ok_if(&Some(1), Option::is_some).outcome, Outcome::Success);
        assert_eq!(ok_if(&None::<u8>, Option::is_some).outcome, Outcome::Error);
        assert_eq!(error_if(&false, |is_done| !is_done).outcome, Outcome::Error);
        assert_eq!(error_if(&true, |is_done| !is_done).outcome, Outcome::Success);
        let skips_zero = |n| skip_if(&n, |n| *n == 0, ok_if(&n, |n| *n < 9)).outcome;
        assert_eq!([0, 1, 9].map(skips_zero), [Outcome::Skipped, Outcome::Success, Outcome::Error]);
    }

    #[test]
    fn predicate_that_panics_is_an_error() {
        fn broken(_: &u8) -> bool {
            panic!("broken predicate")
        }
        let success = || Verdict::from(Outcome::Success);
        let verdicts = [ok_if(&1, broken), error_if(&1, broken), skip_if(&1, broken, success())];
        assert!(verdicts.iter().all(|verdict| verdict.outcome == Outcome::Error));
    }

    #[test]
    fn verdict_is_final_only_if_the_exit_status_is_known() {
        struct Custom;
        assert_eq!(judge(&()).outcome().standing, Standing::Final);
        assert_eq!(judge(&Ok::<(), ()>(())).outcome().standing, Standing::Final);
        assert_eq!(judge(&Err::<Custom, ()>(())).outcome().standing, Standing::Final);
        assert_eq!(judge(&Custom).outcome().standing, Standing::Presumed);
        assert_eq!(judge(&Ok::<_, ()>(Custom)).outcome().standing, Standing::Presumed);
    }
}

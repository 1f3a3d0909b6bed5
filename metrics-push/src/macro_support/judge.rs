//! Judges the result of a function by the predicates of the user.

use std::any::type_name;

use crate::job::{Outcome, Verdict};
use crate::log;
use crate::unwind::catch_panic;

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

/// Returns an outcome if the predicate returns true, which means that there was nothing to do. A predicate that panics is
/// an error.
#[inline]
pub fn skip_if<R: ?Sized, P: FnOnce(&R) -> bool>(result: &R, is_skipped: P) -> Option<Verdict> {
    match holds(result, is_skipped) {
        Some(true) => Some(Outcome::Skipped.into()),
        Some(false) => None,
        None => Some(Outcome::Error.into()),
    }
}

/// Presumes success without inspecting the result.
#[inline]
#[must_use]
pub const fn unjudged() -> Verdict {
    Verdict::presumed(Outcome::Success)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn predicate_decides_the_outcome() {
        assert_eq!(ok_if(&Some(1), Option::is_some).outcome, Outcome::Success);
        assert_eq!(ok_if(&None::<u8>, Option::is_some).outcome, Outcome::Error);
        assert_eq!(error_if(&false, |is_done| !is_done).outcome, Outcome::Error);
        assert_eq!(error_if(&true, |is_done| !is_done).outcome, Outcome::Success);
        let skips_zero = |n| skip_if(&n, |n| *n == 0).map(|verdict| verdict.outcome);
        assert_eq!([0, 1].map(skips_zero), [Some(Outcome::Skipped), None]);
    }

    #[test]
    fn predicate_that_panics_is_an_error() {
        fn broken(_: &u8) -> bool {
            panic!("broken predicate")
        }
        let verdicts = [Some(ok_if(&1, broken)), Some(error_if(&1, broken)), skip_if(&1, broken)];
        assert_eq!(verdicts, [Some(Outcome::Error.into()); 3]);
    }
}

//! How a result becomes an outcome: by its type, through whatever alias, or by the user's predicate.
//!
//! Types are told apart by method lookup: each step of dereferencing offers `outcome` for fewer types less, until
//! the last one takes any. In generic code only what the bounds say is known, and a type parameter is anything.

use std::ops::Deref;
use std::process::ExitCode;

use crate::job::Outcome;

/// Asks `.outcome()` of a result of any type.
#[inline]
pub const fn judge<R: ?Sized>(result: &R) -> Judge<'_, R> {
    Judge(ByVariant(result))
}

/// A predicate that says what a success is.
#[inline]
pub fn ok_if<R: ?Sized>(result: &R, is_ok: impl FnOnce(&R) -> bool) -> Outcome {
    if is_ok(result) { Outcome::Success } else { Outcome::Error }
}

/// A predicate that says what an error is.
#[inline]
pub fn error_if<R: ?Sized>(result: &R, is_error: impl FnOnce(&R) -> bool) -> Outcome {
    if is_error(result) { Outcome::Error } else { Outcome::Success }
}

/// For calls of which only the end counts.
#[inline]
pub fn unjudged<R: ?Sized>(_: &R) -> Outcome {
    Outcome::Success
}

/// The first step: exit codes, bare or in a `Result`.
#[derive(Debug)]
pub struct Judge<'a, R: ?Sized>(ByVariant<'a, R>);

/// The second step: any other `Result`.
#[derive(Debug)]
pub struct ByVariant<'a, R: ?Sized>(&'a R);

/// The last step: whatever was returned is a success.
#[derive(Debug)]
pub struct Returned;

impl Judge<'_, ExitCode> {
    /// Whether the process will succeed.
    #[inline]
    #[must_use]
    pub fn outcome(&self) -> Outcome {
        of_exit_code(*self.0.0)
    }
}

impl<E> Judge<'_, Result<ExitCode, E>> {
    /// Whether the process will succeed.
    #[inline]
    #[must_use]
    pub fn outcome(&self) -> Outcome {
        self.0.0.as_ref().map_or(Outcome::Error, |code| of_exit_code(*code))
    }
}

impl<T, E> ByVariant<'_, Result<T, E>> {
    /// Whether it is `Ok`.
    #[inline]
    #[must_use]
    pub const fn outcome(&self) -> Outcome {
        if self.0.is_ok() { Outcome::Success } else { Outcome::Error }
    }
}

impl Returned {
    /// A success.
    #[inline]
    #[must_use]
    pub const fn outcome(&self) -> Outcome {
        Outcome::Success
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

fn of_exit_code(code: ExitCode) -> Outcome {
    if code == ExitCode::SUCCESS { Outcome::Success } else { Outcome::Error }
}

#[cfg(test)]
mod tests {
    use std::fmt;

    use super::*;

    #[test]
    fn results_are_seen_through_any_alias() {
        type Aliased = Result<u8, fmt::Error>;
        assert_eq!(judge(&Aliased::Ok(1)).outcome(), Outcome::Success);
        assert_eq!(judge(&Aliased::Err(fmt::Error)).outcome(), Outcome::Error);
        assert_eq!(judge(&fmt::Result::Err(fmt::Error)).outcome(), Outcome::Error);
    }

    #[test]
    fn exit_codes_count_where_they_fail() {
        assert_eq!(judge(&ExitCode::from(0)).outcome(), Outcome::Success);
        assert_eq!(judge(&ExitCode::from(3)).outcome(), Outcome::Error);
        assert_eq!(judge(&Ok::<_, ()>(ExitCode::SUCCESS)).outcome(), Outcome::Success);
        assert_eq!(judge(&Ok::<_, ()>(ExitCode::FAILURE)).outcome(), Outcome::Error);
        assert_eq!(judge(&Err::<ExitCode, _>(())).outcome(), Outcome::Error);
    }

    #[test]
    fn whatever_else_returns_is_a_success() {
        struct Result;
        fn in_generic_code<T>(result: &T) -> Outcome {
            judge(result).outcome()
        }
        assert_eq!(judge(&None::<u8>).outcome(), Outcome::Success);
        assert_eq!(judge(&Result).outcome(), Outcome::Success);
        assert_eq!(judge("unsized").outcome(), Outcome::Success);
        assert_eq!(in_generic_code(&Err::<(), ()>(())), Outcome::Success);
    }

    #[test]
    fn a_predicate_has_the_last_word() {
        assert_eq!(ok_if(&Some(1), Option::is_some), Outcome::Success);
        assert_eq!(ok_if(&None::<u8>, Option::is_some), Outcome::Error);
        assert_eq!(error_if(&false, |is_done| !is_done), Outcome::Error);
        assert_eq!(error_if(&true, |is_done| !is_done), Outcome::Success);
    }
}

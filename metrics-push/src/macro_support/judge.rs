//! How a result becomes an outcome: by its type, through whatever alias, or by the user's predicate.
//!
//! Types are told apart by method lookup: each step of dereferencing offers `outcome` for fewer types less, until
//! the last one takes any. In generic code only what the bounds say is known, and a type parameter is anything.

use std::ops::Deref;
use std::process::ExitCode;

use crate::job::{Outcome, Verdict};

/// Asks `.outcome()` of a result of any type.
#[inline]
pub const fn judge<R: ?Sized>(result: &R) -> Judge<'_, R> {
    Judge(ByVariant(result))
}

/// A predicate that says what a success is.
#[inline]
pub fn ok_if<R: ?Sized>(result: &R, is_ok: impl FnOnce(&R) -> bool) -> Verdict {
    if is_ok(result) { Outcome::Success.into() } else { Outcome::Error.into() }
}

/// A predicate that says what an error is.
#[inline]
pub fn error_if<R: ?Sized>(result: &R, is_error: impl FnOnce(&R) -> bool) -> Verdict {
    if is_error(result) { Outcome::Error.into() } else { Outcome::Success.into() }
}

/// For calls of which only the end counts.
#[inline]
pub fn unjudged<R: ?Sized>(_: &R) -> Verdict {
    Verdict::presumed(Outcome::Success)
}

/// The first step: exit codes and nothing at all, bare or in a `Result`.
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
    pub fn outcome(&self) -> Verdict {
        of_exit_code(*self.0.0)
    }
}

impl<E> Judge<'_, Result<ExitCode, E>> {
    /// Whether the process will succeed.
    #[inline]
    #[must_use]
    pub fn outcome(&self) -> Verdict {
        self.0.0.as_ref().map_or(Outcome::Error.into(), |code| of_exit_code(*code))
    }
}

impl Judge<'_, ()> {
    /// A success.
    #[inline]
    #[must_use]
    pub const fn outcome(&self) -> Verdict {
        Verdict::certain(Outcome::Success)
    }
}

impl<E> Judge<'_, Result<(), E>> {
    /// Whether it is `Ok`.
    #[inline]
    #[must_use]
    pub const fn outcome(&self) -> Verdict {
        Verdict::certain(if self.0.0.is_ok() { Outcome::Success } else { Outcome::Error })
    }
}

impl<T, E> ByVariant<'_, Result<T, E>> {
    /// Whether it is `Ok`; what is in it may still fail a process.
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
    /// A success, as far as anybody can tell.
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

fn of_exit_code(code: ExitCode) -> Verdict {
    if code == ExitCode::SUCCESS { Outcome::Success.into() } else { Outcome::Error.into() }
}

#[cfg(test)]
mod tests {
    use std::fmt;

    use super::*;
    use crate::job::Standing;

    #[test]
    fn results_are_seen_through_any_alias() {
        type Aliased = Result<u8, fmt::Error>;
        assert_eq!(judge(&Aliased::Ok(1)).outcome().outcome, Outcome::Success);
        assert_eq!(judge(&Aliased::Err(fmt::Error)).outcome().outcome, Outcome::Error);
        assert_eq!(judge(&fmt::Result::Err(fmt::Error)).outcome().outcome, Outcome::Error);
    }

    #[test]
    fn exit_codes_count_where_they_fail() {
        assert_eq!(judge(&ExitCode::from(0)).outcome().outcome, Outcome::Success);
        assert_eq!(judge(&ExitCode::from(3)).outcome().outcome, Outcome::Error);
        assert_eq!(judge(&Ok::<_, ()>(ExitCode::SUCCESS)).outcome().outcome, Outcome::Success);
        assert_eq!(judge(&Ok::<_, ()>(ExitCode::FAILURE)).outcome().outcome, Outcome::Error);
        assert_eq!(judge(&Err::<ExitCode, _>(())).outcome().outcome, Outcome::Error);
    }

    #[test]
    fn whatever_else_returns_is_a_success() {
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
    fn a_predicate_has_the_last_word() {
        assert_eq!(ok_if(&Some(1), Option::is_some).outcome, Outcome::Success);
        assert_eq!(ok_if(&None::<u8>, Option::is_some).outcome, Outcome::Error);
        assert_eq!(error_if(&false, |is_done| !is_done).outcome, Outcome::Error);
        assert_eq!(error_if(&true, |is_done| !is_done).outcome, Outcome::Success);
    }

    #[test]
    fn only_what_can_not_fail_a_process_is_certain() {
        struct Custom;
        assert_eq!(judge(&()).outcome().standing, Standing::Final);
        assert_eq!(judge(&Ok::<(), ()>(())).outcome().standing, Standing::Final);
        assert_eq!(judge(&Err::<Custom, ()>(())).outcome().standing, Standing::Final);
        assert_eq!(judge(&Custom).outcome().standing, Standing::Presumed);
        assert_eq!(judge(&Ok::<_, ()>(Custom)).outcome().standing, Standing::Presumed);
    }
}

//! `Ended`: a call whose body has returned. Judges the result by its type. An alias of the type makes no difference.
//!
//! Autoderef specialisation: method lookup for `ended.finish()` tries [`Ended`], then [`ByVariant`], then [`Returned`];
//! each step accepts more types. In generic code, method lookup uses only the bounds of a type parameter, so its value
//! is judged by [`Returned`].
//!
//! One method judges the result, ends the call and returns the result, because each further call or variable in an
//! expansion costs compile time, most of all in an `async fn`.

use std::ops::{Deref, DerefMut};
use std::process::ExitCode;

use super::measure::{Armed, Measure};
use crate::job::{Outcome, Verdict};

/// The first step of method lookup: the result is `ExitCode` or `()`, also inside a `Result`.
#[must_use = "a call without an outcome is reported as a panic"]
pub struct Ended<C: Measure, R>(ByVariant<C, R>);

/// The second step of method lookup: the result is any other `Result`.
pub struct ByVariant<C: Measure, R>(Returned<C, R>);

/// The last step of method lookup: the result has any other type, which is a success.
// The result is dropped before the guard, so that a panic in its destructor is reported.
pub struct Returned<C: Measure, R>(Option<(R, Armed<C>)>);

impl<C: Measure, R> Ended<C, R> {
    #[inline]
    pub(super) const fn new(result: R, armed: Armed<C>) -> Self {
        Self(ByVariant(Returned(Some((result, armed)))))
    }
}

impl<C: Measure> Ended<C, ExitCode> {
    /// Ends the call with success if the exit code is `ExitCode::SUCCESS`.
    #[inline]
    pub fn finish(&mut self) -> ExitCode {
        self.finish_by(|code| judge_exit_code(*code))
    }
}

impl<C: Measure, E> Ended<C, Result<ExitCode, E>> {
    /// Ends the call with success if the exit code is `ExitCode::SUCCESS`.
    ///
    /// # Errors
    /// The error of the body.
    #[inline]
    pub fn finish(&mut self) -> Result<ExitCode, E> {
        self.finish_by(|result| {
            result.as_ref().map_or(Outcome::Error.into(), |code| judge_exit_code(*code))
        })
    }
}

impl<C: Measure> Ended<C, ()> {
    /// Ends the call with success.
    #[inline]
    pub fn finish(&mut self) {
        self.finish_as(Verdict::certain(Outcome::Success));
    }
}

impl<C: Measure, E> Ended<C, Result<(), E>> {
    /// Ends the call with success if the result is `Ok`.
    ///
    /// # Errors
    /// The error of the body.
    #[inline]
    pub fn finish(&mut self) -> Result<(), E> {
        self.finish_by(|result| {
            Verdict::certain(if result.is_ok() { Outcome::Success } else { Outcome::Error })
        })
    }
}

impl<C: Measure, T, E> ByVariant<C, Result<T, E>> {
    /// Ends the call with success if the result is `Ok`. The success is presumed, because the value may still be a
    /// failing exit code.
    ///
    /// # Errors
    /// The error of the body.
    #[inline]
    pub fn finish(&mut self) -> Result<T, E> {
        self.0.finish_by(|result| match result {
            Ok(_) => Verdict::presumed(Outcome::Success),
            Err(_) => Verdict::certain(Outcome::Error),
        })
    }
}

impl<C: Measure, R> Returned<C, R> {
    /// Ends the call with a presumed success.
    #[inline]
    pub fn finish(&mut self) -> R {
        self.finish_as(Verdict::presumed(Outcome::Success))
    }

    /// Ends the call with this outcome.
    #[inline]
    pub fn finish_as(&mut self, verdict: Verdict) -> R {
        self.finish_by(|_| verdict)
    }

    #[inline]
    fn finish_by(&mut self, judge: impl FnOnce(&R) -> Verdict) -> R {
        let Some((result, armed)) = self.0.take() else { has_ended() };
        armed.finish(judge(&result));
        result
    }

    /// Returns the result of the body.
    #[inline]
    pub const fn result(&self) -> &R {
        match &self.0 {
            Some((result, _)) => result,
            None => has_ended(),
        }
    }
}

#[cold]
const fn has_ended() -> ! {
    unreachable!()
}

impl<C: Measure, R> Deref for Ended<C, R> {
    type Target = ByVariant<C, R>;

    #[inline]
    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

impl<C: Measure, R> DerefMut for Ended<C, R> {
    #[inline]
    fn deref_mut(&mut self) -> &mut Self::Target {
        &mut self.0
    }
}

impl<C: Measure, R> Deref for ByVariant<C, R> {
    type Target = Returned<C, R>;

    #[inline]
    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

impl<C: Measure, R> DerefMut for ByVariant<C, R> {
    #[inline]
    fn deref_mut(&mut self) -> &mut Self::Target {
        &mut self.0
    }
}

fn judge_exit_code(code: ExitCode) -> Verdict {
    if code == ExitCode::SUCCESS { Outcome::Success.into() } else { Outcome::Error.into() }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::fmt;

    use super::super::measure::armed;
    use super::*;
    use crate::outcome::Standing;

    /// Stores the outcome of a call.
    struct Recorder<'a>(&'a Cell<Option<Verdict>>);

    impl Measure for Recorder<'_> {
        fn finish(self, verdict: Verdict) {
            self.0.set(Some(verdict));
        }
    }

    /// Returns the outcome of a call with this result, judged as in an expansion.
    macro_rules! judge {
        ($result:expr) => {{
            let recorded = Cell::new(None);
            let _ = Ended::new($result, armed(Recorder(&recorded))).finish();
            recorded.get().expect("the call has ended")
        }};
    }

    #[test]
    fn results_are_judged_through_aliases() {
        type Aliased = Result<u8, fmt::Error>;
        assert_eq!(judge!(Aliased::Ok(1)).outcome, Outcome::Success);
        assert_eq!(judge!(Aliased::Err(fmt::Error)).outcome, Outcome::Error);
        assert_eq!(judge!(fmt::Result::Err(fmt::Error)).outcome, Outcome::Error);
    }

    #[test]
    fn exit_codes_are_judged_by_value() {
        assert_eq!(judge!(ExitCode::from(0)).outcome, Outcome::Success);
        assert_eq!(judge!(ExitCode::from(3)).outcome, Outcome::Error);
        assert_eq!(judge!(Ok::<_, ()>(ExitCode::SUCCESS)).outcome, Outcome::Success);
        assert_eq!(judge!(Ok::<_, ()>(ExitCode::FAILURE)).outcome, Outcome::Error);
        assert_eq!(judge!(Err::<ExitCode, _>(())).outcome, Outcome::Error);
    }

    #[test]
    fn other_types_are_a_success() {
        struct Result;
        fn in_generic_code<T>(result: T) -> Outcome {
            judge!(result).outcome
        }
        assert_eq!(judge!(None::<u8>).outcome, Outcome::Success);
        assert_eq!(judge!(Result).outcome, Outcome::Success);
        assert_eq!(judge!("text").outcome, Outcome::Success);
        assert_eq!(in_generic_code(Err::<(), ()>(())), Outcome::Success);
    }

    #[test]
    fn verdict_is_final_only_if_the_exit_status_is_known() {
        struct Custom;
        assert_eq!(judge!(()).standing, Standing::Final);
        assert_eq!(judge!(Ok::<(), ()>(())).standing, Standing::Final);
        assert_eq!(judge!(Err::<Custom, ()>(())).standing, Standing::Final);
        assert_eq!(judge!(Custom).standing, Standing::Presumed);
        assert_eq!(judge!(Ok::<_, ()>(Custom)).standing, Standing::Presumed);
    }

    #[test]
    fn call_without_an_outcome_is_a_panic() {
        let recorded = Cell::new(None);
        drop(Ended::new(1, armed(Recorder(&recorded))));
        assert_eq!(recorded.get(), Some(Outcome::Panic.into()));
    }
}

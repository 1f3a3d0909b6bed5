//! `Ended`: a call whose body has returned. Judges the result by its type. An alias of the type makes no difference.
//!
//! Autoderef specialisation: method lookup for `ended.finish()` tries [`Ended`] first and [`Returned`] last; each step
//! accepts more types. Results whose error implements `Debug` come first, so that a run has the text of its error, and the
//! function needs no bound. In generic code, method lookup uses only the bounds of a type parameter, so its value
//! is judged by [`Returned`].
//!
//! One method judges the result, ends the call and returns the result, because each further call or variable in an
//! expansion costs compile time, most of all in an `async fn`. Each step of the lookup is a call, too. So [`Ended`] has
//! methods for the types that an attribute recognises, and the first step of the lookup finds them. They take the call by
//! value: an expansion then has no temporary value to drop.

use std::fmt::Debug;
use std::ops::{Deref, DerefMut};
use std::process::ExitCode;

use super::measure::{Armed, Measure};
use crate::job::{Outcome, Verdict};

/// The first step of method lookup: the result is `()` or `ExitCode`, or one of them in a `Result` with a printable error.
#[must_use = "a call without an outcome is reported as a panic"]
pub struct Ended<C: Measure, R>(ByVariant<C, R>);

/// The second step of method lookup: the result is any other `Result` with a printable error.
pub struct ByVariant<C: Measure, R>(WithoutText<C, R>);

/// The third step of method lookup: the result is a `Result` with `()` or `ExitCode`.
pub struct WithoutText<C: Measure, R>(ByVariantWithoutText<C, R>);

/// The fourth step of method lookup: the result is any other `Result`.
pub struct ByVariantWithoutText<C: Measure, R>(Returned<C, R>);

/// The last step of method lookup: the result has any other type, which is a success.
// The result is dropped before the guard, so that a panic in its destructor is reported.
pub struct Returned<C: Measure, R>(Option<(R, Armed<C>)>);

/// A value that determines the outcome.
pub trait Conclusive {
    /// Returns the outcome.
    fn verdict(&self) -> Verdict;
}

impl Conclusive for () {
    #[inline]
    fn verdict(&self) -> Verdict {
        Outcome::Success.into()
    }
}

impl Conclusive for ExitCode {
    fn verdict(&self) -> Verdict {
        if *self == Self::SUCCESS { Outcome::Success.into() } else { Outcome::Error.into() }
    }
}

impl<C: Measure, R> Ended<C, R> {
    #[inline]
    pub(super) const fn new(result: R, armed: Armed<C>) -> Self {
        Self(ByVariant(WithoutText(ByVariantWithoutText(Returned(Some((result, armed)))))))
    }
}

impl<C: Measure, R> Ended<C, R> {
    /// Ends the call with a presumed success, for a type that is neither a `Result` nor an exit code.
    #[inline]
    pub fn finish_value(mut self) -> R {
        Returned::finish(&mut self)
    }
}

impl<C: Measure, T, E> Ended<C, Result<T, E>> {
    /// Ends the call with success if the result is `Ok`, for a type that is a `Result` without an exit code.
    ///
    /// # Errors
    /// The error of the body.
    #[inline]
    pub fn finish_result(mut self) -> Result<T, E> {
        ByVariantWithoutText::finish(&mut self)
    }
}

impl<C: Measure> Ended<C, ExitCode> {
    /// Ends the call with success if the exit code is `ExitCode::SUCCESS`.
    #[inline]
    pub fn finish(&mut self) -> ExitCode {
        self.finish_by(Conclusive::verdict)
    }
}

impl<C: Measure> Ended<C, ()> {
    /// Ends the call with success.
    #[inline]
    pub fn finish(&mut self) {
        self.finish_by(Conclusive::verdict);
    }
}

impl<C: Measure, T: Conclusive, E: Debug> Ended<C, Result<T, E>> {
    /// Ends the call with success if the result is `Ok` and its value is not a failing exit code.
    ///
    /// # Errors
    /// The error of the body.
    #[inline]
    pub fn finish(&mut self) -> Result<T, E> {
        self.set_error();
        self.finish_by(conclude)
    }
}

impl<C: Measure, T, E: Debug> ByVariant<C, Result<T, E>> {
    /// Ends the call with success if the result is `Ok`.
    ///
    /// # Errors
    /// The error of the body.
    #[inline]
    pub fn finish(&mut self) -> Result<T, E> {
        self.set_error();
        self.finish_by(presume)
    }
}

impl<C: Measure, T: Conclusive, E> WithoutText<C, Result<T, E>> {
    /// Ends the call with success if the result is `Ok` and its value is not a failing exit code.
    ///
    /// # Errors
    /// The error of the body.
    #[inline]
    pub fn finish(&mut self) -> Result<T, E> {
        self.finish_by(conclude)
    }
}

impl<C: Measure, T, E> ByVariantWithoutText<C, Result<T, E>> {
    /// Ends the call with success if the result is `Ok`.
    ///
    /// # Errors
    /// The error of the body.
    #[inline]
    pub fn finish(&mut self) -> Result<T, E> {
        self.finish_by(presume)
    }
}

#[inline]
fn conclude<T: Conclusive, E>(result: &Result<T, E>) -> Verdict {
    result.as_ref().map_or(Outcome::Error.into(), Conclusive::verdict)
}

/// The success is presumed, because the value may still be a failing exit code.
#[inline]
fn presume<T, E>(result: &Result<T, E>) -> Verdict {
    match result {
        Ok(_) => Verdict::presumed(Outcome::Success),
        Err(_) => Outcome::Error.into(),
    }
}

impl<C: Measure, T, E: Debug> Returned<C, Result<T, E>> {
    #[inline]
    fn set_error(&self) {
        if let Some((Err(error), armed)) = &self.0 {
            armed.set_error(error);
        }
    }
}

impl<C: Measure, R> Returned<C, R> {
    /// Ends the call with a presumed success.
    #[inline]
    pub fn finish(&mut self) -> R {
        self.finish_as(Verdict::presumed(Outcome::Success))
    }

    /// Ends the call with a presumed success. The type has the name `Result`, but is not that of `std`.
    #[inline]
    pub fn finish_result(&mut self) -> R {
        self.finish()
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

/// Lets method lookup continue with the next step.
macro_rules! step {
    ($from:ident => $to:ident) => {
        impl<C: Measure, R> Deref for $from<C, R> {
            type Target = $to<C, R>;

            #[inline]
            fn deref(&self) -> &Self::Target {
                &self.0
            }
        }

        impl<C: Measure, R> DerefMut for $from<C, R> {
            #[inline]
            fn deref_mut(&mut self) -> &mut Self::Target {
                &mut self.0
            }
        }
    };
}

step!(Ended => ByVariant);
step!(ByVariant => WithoutText);
step!(WithoutText => ByVariantWithoutText);
step!(ByVariantWithoutText => Returned);

#[cfg(test)]
mod tests {
    use std::cell::{Cell, RefCell};
    use std::fmt;

    use super::super::measure::armed;
    use super::*;
    use crate::outcome::Standing;

    /// Stores the outcome and the error of a call.
    struct Recorder<'a>(&'a Cell<Option<Verdict>>, &'a RefCell<Option<String>>);

    impl Measure for Recorder<'_> {
        type Span = ();

        fn enter_span(&self) {}

        fn set_error<E: Debug>(&self, error: &E) {
            *self.1.borrow_mut() = Some(format!("{error:?}"));
        }

        fn finish(self, verdict: Verdict) {
            self.0.set(Some(verdict));
        }
    }

    /// Returns the outcome of a call with this result, judged as in an expansion.
    macro_rules! judge {
        ($result:expr) => {{
            let (recorded, error) = (Cell::new(None), RefCell::default());
            let _ = Ended::new($result, armed(Recorder(&recorded, &error))).finish();
            recorded.get().expect("the call has ended")
        }};
    }

    /// Returns the error of a call with this result.
    macro_rules! error {
        ($result:expr) => {{
            let (recorded, error) = (Cell::new(None), RefCell::default());
            let _ = Ended::new($result, armed(Recorder(&recorded, &error))).finish();
            error.into_inner()
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
    fn error_has_its_text_if_its_type_has_one() {
        struct Custom;
        fn in_generic_code<T, E>(result: Result<T, E>) -> Option<String> {
            error!(result)
        }
        fn with_a_bound<T, E: std::error::Error>(result: Result<T, E>) -> Option<String> {
            error!(result)
        }
        let text = || Some("Error".to_owned());
        assert_eq!(error!(Err::<(), _>(fmt::Error)), text());
        assert_eq!(error!(Err::<ExitCode, _>(fmt::Error)), text());
        assert_eq!(error!(Err::<Custom, _>(fmt::Error)), text());
        assert_eq!(with_a_bound(Err::<Custom, _>(fmt::Error)), text());
        assert_eq!(error!(Err::<(), _>(Custom)), None);
        assert_eq!(error!(Err::<u8, _>(Custom)), None);
        assert_eq!(in_generic_code(Err::<u8, _>(fmt::Error)), None);
        assert_eq!(error!(Ok::<u8, fmt::Error>(1)), None);
    }

    #[test]
    fn recognised_types_are_judged_as_by_method_lookup() {
        /// A type with the name of the one in `std`.
        enum Result<T> {
            Value(T),
        }
        let recorded = Cell::new(None);
        let error = RefCell::default();
        let recorder = || armed(Recorder(&recorded, &error));
        let _ = Ended::new(Ok::<u8, ()>(1), recorder()).finish_result();
        assert_eq!(recorded.take(), Some(Verdict::presumed(Outcome::Success)));
        let _ = Ended::new(Err::<u8, ()>(()), recorder()).finish_result();
        assert_eq!(recorded.take(), Some(Outcome::Error.into()));
        let Result::Value(_) = Ended::new(Result::Value(1), recorder()).finish_result();
        assert_eq!(recorded.take(), Some(Verdict::presumed(Outcome::Success)));
        assert_eq!(Ended::new(1, recorder()).finish_value(), 1);
        assert_eq!(recorded.take(), Some(Verdict::presumed(Outcome::Success)));
    }

    #[test]
    fn result_whose_error_has_no_text_is_judged() {
        struct Custom;
        assert_eq!(judge!(Err::<(), _>(Custom)).outcome, Outcome::Error);
        assert_eq!(judge!(Err::<u8, _>(Custom)).outcome, Outcome::Error);
        assert_eq!(judge!(Ok::<u8, Custom>(1)), Verdict::presumed(Outcome::Success));
        assert_eq!(judge!(Ok::<ExitCode, Custom>(ExitCode::FAILURE)).outcome, Outcome::Error);
        assert_eq!(judge!(Ok::<(), Custom>(())).standing, Standing::Final);
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
        let (recorded, error) = (Cell::new(None), RefCell::default());
        drop(Ended::new(1, armed(Recorder(&recorded, &error))));
        assert_eq!(recorded.get(), Some(Outcome::Panic.into()));
    }
}

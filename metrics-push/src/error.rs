//! The one error type: what went wrong, where, the likely cause and what to do about it.
//!
//! It is opaque, so that kinds and context can grow without breaking anybody; predicates answer
//! the questions a caller has. It never carries a secret: URLs arrive here without credentials.

use std::borrow::Cow;
use std::error::Error as StdError;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::log::excerpt;

/// The most characters of one part of a message: what is quoted may be of any length.
const LONGEST_PART: usize = 1_000;

/// What can go wrong between a metric and a gateway that holds it.
///
/// `Display` is one lowercase sentence fragment that names the place and ends with the remedy, where
/// one is known; [`source`](StdError::source) is the underlying error, if any.
#[derive(Clone)]
pub struct Error(Box<Inner>);

#[derive(Clone)]
struct Inner {
    kind: Kind,
    what: Cow<'static, str>,
    context: Vec<(&'static str, String)>,
    remedy: Option<Cow<'static, str>>,
    retry_after: Option<Duration>,
    is_unsent: bool,
    // Shared, because one receipt may answer several askers.
    source: Option<Arc<dyn StdError + Send + Sync>>,
}

/// The classes of failure; what is retried and what is told to whom depends on nothing else.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// The request could never work: a setting, a name or a URL has to change.
    Config,
    /// Two metrics claim one name, or a metric cannot be exported.
    Metric,
    /// The gateway wants other credentials than it got.
    Credentials { status: Option<u16> },
    /// The gateway answered, and its answer was not that it has taken the request.
    Refused { status: u16, retry: Retry },
    /// No connection, or one that broke.
    Unreachable,
    /// Time ran out; what the gateway did is unknown.
    Timeout,
}

/// Whether a refused request may be sent again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Retry {
    /// The server would refuse it again.
    Never,
    /// The server did not process it.
    Safe,
    /// The server may have processed it, so a gateway that adds up would count it twice.
    MayDuplicate,
}

impl Error {
    pub(crate) fn new(kind: Kind, what: impl Into<Cow<'static, str>>) -> Self {
        Self(Box::new(Inner {
            kind,
            what: what.into(),
            context: Vec::new(),
            remedy: None,
            retry_after: None,
            is_unsent: false,
            source: None,
        }))
    }

    pub(crate) fn config(what: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Kind::Config, what)
    }

    /// Adds where it happened. The innermost context comes first in the text.
    pub(crate) fn at(mut self, name: &'static str, value: impl fmt::Display) -> Self {
        let value = excerpt(&value.to_string(), LONGEST_PART).into_owned();
        self.0.context.push((name, value));
        self
    }

    pub(crate) fn remedy(mut self, remedy: impl Into<Cow<'static, str>>) -> Self {
        self.0.remedy = Some(remedy.into());
        self
    }

    pub(crate) fn caused_by(
        mut self,
        source: impl Into<Box<dyn StdError + Send + Sync + 'static>>,
    ) -> Self {
        self.0.source = Some(Arc::from(source.into()));
        self
    }

    /// When the server asks to be tried again.
    pub(crate) fn after(mut self, wait: Option<Duration>) -> Self {
        self.0.retry_after = wait;
        self
    }

    /// Nothing has left this machine, whatever it looks like.
    pub(crate) fn unsent(mut self) -> Self {
        self.0.is_unsent = true;
        self
    }

    /// Whether the gateway may have applied the request, although this went wrong.
    pub(crate) fn may_have_arrived(&self) -> bool {
        match self.0.kind {
            Kind::Unreachable | Kind::Timeout => !self.0.is_unsent,
            Kind::Refused { retry, .. } => retry == Retry::MayDuplicate,
            Kind::Config | Kind::Metric | Kind::Credentials { .. } => false,
        }
    }

    pub(crate) fn retry_after(&self) -> Option<Duration> {
        self.0.retry_after
    }

    /// Whether other credentials might help.
    pub(crate) fn is_about_credentials(&self) -> bool {
        matches!(self.0.kind, Kind::Credentials { .. })
    }

    /// Whether a setting, a name or a URL has to change before this can work.
    #[must_use]
    pub fn is_config(&self) -> bool {
        matches!(self.0.kind, Kind::Config | Kind::Credentials { .. })
    }

    /// Whether a metric is at fault: its name, its labels, or a clash with another metric.
    #[must_use]
    pub fn is_metric(&self) -> bool {
        self.0.kind == Kind::Metric
    }

    /// Whether the gateway refused this very request. It would refuse it again.
    #[must_use]
    pub fn is_rejected(&self) -> bool {
        matches!(self.0.kind, Kind::Refused { retry: Retry::Never, .. })
    }

    /// Whether there was no connection to the gateway, or it broke.
    #[must_use]
    pub fn is_unreachable(&self) -> bool {
        self.0.kind == Kind::Unreachable
    }

    /// Whether time ran out. The gateway may have applied the request all the same.
    #[must_use]
    pub fn is_timeout(&self) -> bool {
        self.0.kind == Kind::Timeout
    }

    /// Whether the same request may be accepted later.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        match self.0.kind {
            Kind::Unreachable | Kind::Timeout => true,
            Kind::Refused { retry, .. } => retry != Retry::Never,
            Kind::Config | Kind::Metric | Kind::Credentials { .. } => false,
        }
    }

    /// The gateway's HTTP status, if it answered at all.
    #[must_use]
    pub fn status(&self) -> Option<u16> {
        match self.0.kind {
            Kind::Refused { status, .. } => Some(status),
            Kind::Credentials { status } => status,
            _ => None,
        }
    }
}

impl Error {
    fn write_place(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // It may quote a name or a value.
        f.write_str(&excerpt(&self.0.what, LONGEST_PART))?;
        for (position, (name, value)) in self.0.context.iter().enumerate() {
            f.write_str(if position == 0 { " (" } else { ", " })?;
            write!(f, "{name}: {value}")?;
        }
        if self.0.context.is_empty() { Ok(()) } else { f.write_str(")") }
    }

    fn write_causes(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut cause = self.source();
        while let Some(error) = cause {
            write!(f, ": {error}")?;
            cause = error.source();
        }
        Ok(())
    }

    fn write_remedy(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0.remedy {
            Some(remedy) => write!(f, "; {remedy}"),
            None => Ok(()),
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.write_place(f)?;
        self.write_remedy(f)
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // `main` prints errors with `Debug`: let it read like `Display`, causes included.
        self.write_place(f)?;
        self.write_causes(f)?;
        self.write_remedy(f)
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.0.source.as_deref().map(|source| source as &(dyn StdError + 'static))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn display_names_the_place_and_ends_with_the_remedy() {
        let error = Error::config("the job name is empty")
            .at("url", "http://gateway:9091")
            .at("job", "\"\"")
            .remedy("give the job a name");
        assert_eq!(
            error.to_string(),
            "the job name is empty (url: http://gateway:9091, job: \"\"); give the job a name"
        );
        assert!(error.is_config() && !error.is_retryable());
    }

    #[test]
    fn debug_adds_the_chain_of_causes() {
        let error = Error::new(Kind::Unreachable, "no connection")
            .caused_by(std::io::Error::other("refused"))
            .remedy("try again");
        assert_eq!(format!("{error:?}"), "no connection: refused; try again");
        assert!(error.is_retryable() && error.is_unreachable());
    }

    #[test]
    fn a_result_is_no_larger_for_it() {
        assert_eq!(size_of::<Result<(), Error>>(), size_of::<usize>());
    }
}

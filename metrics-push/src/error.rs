//! `Error`: a message with the place, the cause and the remedy.
//!
//! It is opaque, so that kinds and context can be added; callers use its predicates. It never contains a secret: all URLs
//! in it are without credentials.

use std::any::Any;
use std::borrow::Cow;
use std::error::Error as StdError;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::escape::escape;
use crate::log::excerpt;

/// The maximum length of each part of a message, because quoted values can have any length.
const MAX_PART_CHARS: usize = 1_000;

/// An error of this library.
///
/// `Display` writes one lowercase sentence with the place, which ends with the remedy if one is known.
/// [`source`](StdError::source) returns the underlying error.
#[derive(Clone)]
pub struct Error(Box<Inner>);

#[derive(Clone)]
struct Inner {
    kind: Kind,
    message: Cow<'static, str>,
    context: Vec<(&'static str, String)>,
    remedy: Option<Cow<'static, str>>,
    retry_after: Option<Duration>,
    is_unsent: bool,
    // Shared, because several callers can receive the same receipt.
    source: Option<Arc<dyn StdError + Send + Sync>>,
}

/// The kind of an error. [`Error::is_retryable`] depends only on the kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A setting, a name or a URL is invalid.
    Config,
    /// A metric is invalid or conflicts with another one, or there are no metrics.
    Metric,
    /// The gateway or a proxy requires other credentials.
    Credentials { status: Option<u16> },
    /// The gateway responded and did not accept the request.
    Refused { status: u16, retry: Retry },
    /// The connection failed or broke.
    Unreachable,
    /// The timeout passed. The gateway may have applied the request.
    Timeout,
}

/// Whether a refused request may be sent again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Retry {
    /// The server would refuse it again.
    Never,
    /// The server did not process it.
    Safe,
    /// The server may have processed it, so an aggregating gateway could count it twice.
    MayDuplicate,
}

impl Error {
    pub(crate) fn new(kind: Kind, message: impl Into<Cow<'static, str>>) -> Self {
        Self(Box::new(Inner {
            kind,
            message: message.into(),
            context: Vec::new(),
            remedy: None,
            retry_after: None,
            is_unsent: false,
            source: None,
        }))
    }

    pub(crate) fn config(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Kind::Config, message)
    }

    /// Returns the error of a push that a panic of this library has interrupted.
    pub(crate) fn panicked(payload: &(dyn Any + Send)) -> Self {
        let text = payload.downcast_ref::<&str>().map(ToString::to_string);
        let text = text.or_else(|| payload.downcast_ref::<String>().cloned()).unwrap_or_default();
        Self::new(Kind::Unreachable, "a panic interrupted the push")
            .caused_by(text.lines().next().unwrap_or_default())
            .remedy("report this as a bug of metrics-push")
    }

    /// Adds a name and a value to the context. The message lists them in the order of the calls.
    pub(crate) fn at(self, name: &'static str, value: impl fmt::Display) -> Self {
        self.with_context(name, &value)
    }

    fn with_context(mut self, name: &'static str, value: &dyn fmt::Display) -> Self {
        let value = escape(&excerpt(&value.to_string(), MAX_PART_CHARS)).into_owned();
        self.0.context.push((name, value));
        self
    }

    /// Returns true if the context has a value with this name.
    pub(crate) fn has_context(&self, name: &str) -> bool {
        self.0.context.iter().any(|(known, _)| *known == name)
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

    /// Sets the delay that the server requests before the next attempt.
    pub(crate) fn after(mut self, delay: Option<Duration>) -> Self {
        self.0.retry_after = delay;
        self
    }

    /// Marks that no part of the request was sent.
    pub(crate) fn unsent(mut self) -> Self {
        self.0.is_unsent = true;
        self
    }

    /// Returns true if the gateway may have applied the request.
    pub(crate) fn may_have_arrived(&self) -> bool {
        match self.0.kind {
            Kind::Unreachable | Kind::Timeout => !self.0.is_unsent,
            Kind::Refused { retry, .. } => retry == Retry::MayDuplicate,
            Kind::Config | Kind::Metric | Kind::Credentials { .. } => false,
        }
    }

    /// Returns true if the server, or a proxy in front of it, refused the connection or has no address.
    pub(crate) fn is_unconnected(&self) -> bool {
        self.0.kind == Kind::Unreachable && self.0.is_unsent
    }

    pub(crate) fn retry_after(&self) -> Option<Duration> {
        self.0.retry_after
    }

    /// Returns true if other credentials may succeed.
    pub(crate) fn is_about_credentials(&self) -> bool {
        matches!(self.0.kind, Kind::Credentials { .. })
    }

    /// Returns true if a setting, a name or a URL must change.
    #[must_use]
    pub fn is_config(&self) -> bool {
        matches!(self.0.kind, Kind::Config | Kind::Credentials { .. })
    }

    /// Returns true if the metrics are the cause: a name, a label, a conflict between two metrics, or no metrics at
    /// all.
    #[must_use]
    pub fn is_metric(&self) -> bool {
        self.0.kind == Kind::Metric
    }

    /// Returns true if the gateway rejected the request. It would reject the same request again.
    #[must_use]
    pub fn is_rejected(&self) -> bool {
        matches!(self.0.kind, Kind::Refused { retry: Retry::Never, .. })
    }

    /// Returns true if the connection to the gateway failed or broke.
    #[must_use]
    pub fn is_unreachable(&self) -> bool {
        self.0.kind == Kind::Unreachable
    }

    /// Returns true if the timeout passed. The gateway may have applied the request.
    #[must_use]
    pub fn is_timeout(&self) -> bool {
        self.0.kind == Kind::Timeout
    }

    /// Returns true if the gateway may accept the same request later.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        match self.0.kind {
            Kind::Unreachable | Kind::Timeout => true,
            Kind::Refused { retry, .. } => retry != Retry::Never,
            Kind::Config | Kind::Metric | Kind::Credentials { .. } => false,
        }
    }

    /// Returns the HTTP status of the response, if there was one.
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
        f.write_str(&escape(&excerpt(&self.0.message, MAX_PART_CHARS)))?;
        for (position, (name, value)) in self.0.context.iter().enumerate() {
            f.write_str(if position == 0 { " (" } else { ", " })?;
            write!(f, "{name}: {value}")?;
        }
        if self.0.context.is_empty() { Ok(()) } else { f.write_str(")") }
    }

    fn write_causes(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut cause = self.source();
        while let Some(error) = cause {
            write!(f, ": {}", escape(&excerpt(&error.to_string(), MAX_PART_CHARS)))?;
            cause = error.source();
        }
        Ok(())
    }

    fn write_remedy(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0.remedy {
            Some(remedy) => write!(f, "; {}", escape(remedy)),
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
        // `main` prints its error with `Debug`, so this writes the text of `Display` and the causes.
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
            .remedy("set a job name");
        assert_eq!(
            error.to_string(),
            "the job name is empty (url: http://gateway:9091, job: \"\"); set a job name"
        );
        assert!(error.is_config() && !error.is_retryable());
    }

    #[test]
    fn debug_adds_the_causes() {
        let error = Error::new(Kind::Unreachable, "no connection")
            .caused_by(std::io::Error::other("refused"))
            .remedy("try again");
        assert_eq!(format!("{error:?}"), "no connection: refused; try again");
        assert!(error.is_retryable() && error.is_unreachable());
    }

    #[test]
    fn error_escapes_control_characters_in_every_part() {
        let error = Error::config("a\u{1b}[2J\n")
            .at("location", "\u{202e}x")
            .caused_by(std::io::Error::other("b\u{7}"))
            .remedy("c\r");
        assert_eq!(format!("{error:?}"), r"a\u{1b}[2J\n (location: \u{202e}x): b\u{7}; c\r");
        assert_eq!(error.to_string(), r"a\u{1b}[2J\n (location: \u{202e}x); c\r");
    }

    #[test]
    fn result_with_an_error_is_as_large_as_a_pointer() {
        assert_eq!(size_of::<Result<(), Error>>(), size_of::<usize>());
    }
}

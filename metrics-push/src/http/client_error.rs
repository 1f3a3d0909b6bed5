//! Converts the errors of `reqwest` to [`Error`].

use std::error::Error as StdError;

use crate::error::{Error, Kind};

const PROXY_REMEDY: &str =
    "check the variable and that the proxy is running, or add the gateway to NO_PROXY";

/// Returns the error of a response that did not arrive in time.
pub(super) fn timed_out() -> Error {
    Error::new(Kind::Timeout, "the gateway did not respond in time")
        .remedy("check the network and the load of the gateway")
}

/// Like [`timed_out`], for a request through a proxy, which may be the cause.
pub(super) fn timed_out_proxied() -> Error {
    Error::new(Kind::Timeout, "the proxy or the gateway did not respond in time")
        .remedy(PROXY_REMEDY)
}

/// Converts an error of the client. Its text repeats the URL, so the converted error contains only its root cause.
pub(super) fn convert(error: &reqwest::Error) -> Error {
    with_root_cause(describe(error), error)
}

/// Like [`convert`], for a request through a proxy, which may be the cause.
pub(super) fn convert_proxied(error: &reqwest::Error) -> Error {
    let converted = if error.is_timeout() {
        timed_out_proxied()
    } else if error.is_connect() {
        Error::new(Kind::Unreachable, "no connection through the proxy").remedy(PROXY_REMEDY)
    } else {
        return convert(error);
    };
    with_root_cause(converted, error)
}

fn describe(error: &reqwest::Error) -> Error {
    if error.is_timeout() {
        timed_out()
    } else if error.is_connect() {
        Error::new(Kind::Unreachable, "no connection to the gateway")
            .remedy("check the URL, and that the gateway is running")
    } else if error.is_builder() {
        Error::config("cannot build the HTTP request")
    } else {
        Error::new(Kind::Unreachable, "the connection to the gateway was lost")
    }
}

fn with_root_cause(converted: Error, error: &reqwest::Error) -> Error {
    match root_cause(error) {
        Some(cause) => converted.caused_by(cause),
        None => converted,
    }
}

/// Returns true if a proxy refused to open a tunnel because it requires credentials.
pub(super) fn is_proxy_refusal(error: &reqwest::Error) -> bool {
    root_cause(error).is_some_and(|cause| cause.contains("proxy authorization required"))
}

/// Returns the text of the last error in the chain of causes. The errors before it add no information.
fn root_cause(error: &reqwest::Error) -> Option<String> {
    std::iter::successors(error.source(), |&error| error.source()).last().map(ToString::to_string)
}

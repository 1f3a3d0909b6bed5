//! Converts the client's errors to [`Error`].

use std::error::Error as StdError;

use super::tls;
use crate::error::{Error, Kind};

/// The text of the client's error repeats the URL, so only its root cause is included.
pub(super) fn convert(error: &reqwest::Error) -> Error {
    if let Some(error) = tls::handshake_failure(error) {
        return error;
    }
    let converted = if error.is_timeout() {
        Error::new(Kind::Timeout, "the gateway did not answer in time")
            .remedy("check the network and the load of the gateway")
    } else if error.is_connect() {
        Error::new(Kind::Unreachable, "no connection to the gateway")
            .remedy("check the URL, and that the gateway is running")
    } else if error.is_builder() {
        Error::config("cannot build the HTTP request")
    } else {
        Error::new(Kind::Unreachable, "the connection to the gateway broke")
    };
    match root_cause(error) {
        Some(cause) => converted.caused_by(cause),
        None => converted,
    }
}

/// Returns true if a proxy requires credentials before it opens a tunnel.
pub(super) fn is_proxy_refusal(error: &reqwest::Error) -> bool {
    root_cause(error).is_some_and(|cause| cause.contains("proxy authorization required"))
}

/// Returns the text of the last error in the chain: the errors before it add no information.
fn root_cause(error: &reqwest::Error) -> Option<String> {
    std::iter::successors(error.source(), |&error| error.source()).last().map(ToString::to_string)
}

//! Reply: what came back, or why nothing did, in our terms.

use std::time::Duration;

use reqwest::header::{DATE, HeaderMap, LOCATION, RETRY_AFTER};

use super::address::shown_target;
use super::direct::within;
use super::tls;
use crate::clock::Moment;
use crate::error::{Error, Kind};
use crate::retry;

/// What came back.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) location: Option<String>,
    /// How long the server asks to be left alone.
    pub(crate) retry_after: Option<Duration>,
    pub(crate) body: String,
}

impl Reply {
    /// A proxy that wants credentials before it opens a tunnel says so by a status, which the client takes for an error.
    pub(super) fn of_proxy(error: &reqwest::Error) -> Option<Self> {
        use std::error::Error as _;

        let wants_credentials =
            root_cause(error.source())?.contains("proxy authorization required");
        wants_credentials.then(|| Self {
            status: 407,
            location: None,
            retry_after: None,
            body: String::new(),
        })
    }
}

pub(super) async fn read_reply(
    mut response: reqwest::Response,
    limit: usize,
    until: Moment,
) -> Result<Reply, Error> {
    let status = response.status().as_u16();
    let location = response
        .headers()
        .get(LOCATION)
        .map(|value| shown_target(&String::from_utf8_lossy(value.as_bytes())));
    let retry_after = retry_after(response.headers());
    let mut body = Vec::new();
    while body.len() < limit {
        let chunk = within(until, response.chunk()).await;
        match chunk.and_then(|chunk| chunk.map_err(|error| failure(&error))) {
            Ok(Some(chunk)) => {
                body.extend_from_slice(&chunk[..chunk.len().min(limit - body.len())]);
            }
            Ok(None) => break,
            // A status has arrived and says it all; only a text for people is cut short.
            Err(_) if status >= 300 => break,
            Err(error) => return Err(error),
        }
    }
    Ok(Reply { status, location, retry_after, body: String::from_utf8_lossy(&body).into_owned() })
}

fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
    retry::retry_after(text(RETRY_AFTER)?, text(DATE), Moment::now().wall())
}

/// The client's error in our terms. Its own text repeats the URL, so only its causes are kept.
pub(super) fn failure(error: &reqwest::Error) -> Error {
    let classified = tls::failure(error).unwrap_or_else(|| classify(error));
    if error.is_connect() { classified.unsent() } else { classified }
}

fn classify(error: &reqwest::Error) -> Error {
    use std::error::Error as _;

    let classified = if error.is_timeout() {
        timed_out()
    } else if error.is_connect() {
        no_connection()
    } else if error.is_builder() {
        Error::config("the request can't be made")
    } else {
        connection_broke()
    };
    caused_by_root(classified, error.source())
}

pub(super) fn timed_out() -> Error {
    Error::new(Kind::Timeout, "the gateway did not answer in time")
        .remedy("what it did is unknown; the next push carries everything again")
}

fn no_connection() -> Error {
    Error::new(Kind::Unreachable, "no connection to the gateway")
        .remedy("check the address, and that the gateway runs")
}

fn connection_broke() -> Error {
    Error::new(Kind::Unreachable, "the connection to the gateway broke")
}

/// Why a connection did not come about, in our terms.
pub(super) fn unconnected(error: &(dyn std::error::Error + 'static)) -> Error {
    let has_timed_out = std::iter::successors(Some(error), |error| error.source()).any(|error| {
        let error = error.downcast_ref::<std::io::Error>();
        error.is_some_and(|error| error.kind() == std::io::ErrorKind::TimedOut)
    });
    let classified = if has_timed_out { timed_out() } else { no_connection() };
    caused_by_root(classified, Some(error)).unsent()
}

/// Why a connection that was there came to nothing, in our terms.
pub(super) fn broken(error: &(dyn std::error::Error + 'static)) -> Error {
    caused_by_root(connection_broke(), Some(error))
}

fn caused_by_root(error: Error, first: Option<&(dyn std::error::Error + 'static)>) -> Error {
    match root_cause(first) {
        Some(cause) => error.caused_by(cause),
        None => error,
    }
}

/// The last error of a chain, as text: the ones before it say only that something failed.
fn root_cause(first: Option<&(dyn std::error::Error + 'static)>) -> Option<String> {
    std::iter::successors(first, |error| error.source()).last().map(ToString::to_string)
}
